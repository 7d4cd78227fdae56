/**
 * Orders and trades on the account that this database did not make: a person's, another program's, another instance's.
 * They are seen, reported and held on, and never touched. Their fills move the balances and are booked as foreign.
 */
import type { VenueOrderId } from './order.js';
import { startGroup } from './read-group.js';
import {
  audit,
  clearHold,
  log,
  placeHold,
  type ReconciliationEffect,
  type ReconciliationState,
} from './reconciliation-state.js';
import type { Now } from './step.js';
import type { OrderReport } from './venue-port.js';

/** Takes note of an order that is not ours. */
export const noteForeignOrder = (
  state: ReconciliationState,
  seen: {
    readonly venueOrderId: VenueOrderId;
    readonly clientOrderId: string | null;
    readonly symbol: string | null;
    readonly report: OrderReport | null;
  },
  asOfMonoMs: number,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const known = state.foreign.get(seen.venueOrderId);
  if (known !== undefined) {
    known.symbol ??= seen.symbol;
    known.report = seen.report ?? known.report;
    known.openAsOfMonoMs = seen.report === null ? known.openAsOfMonoMs : asOfMonoMs;
    return;
  }
  state.foreign.set(seen.venueOrderId, {
    venueOrderId: seen.venueOrderId,
    clientOrderId: seen.clientOrderId,
    symbol: seen.symbol,
    report: seen.report,
    openAsOfMonoMs: asOfMonoMs,
    pending: false,
  });
  const { venueOrderId, clientOrderId, symbol } = seen;
  const label = seen.clientOrderId ?? 'none';
  log(effects, 'warn', 'foreign-order-seen', { venueOrderId, clientOrderId, symbol });
  audit(state, effects, now, 'foreign-order-seen', { venueOrderId, clientOrderId, symbol });
  placeHold(
    state,
    effects,
    'foreign-order',
    seen.venueOrderId,
    `order ${seen.venueOrderId} on ${seen.symbol ?? 'an unknown symbol'} with label ${label} is not ours`,
  );
};

/** The venue says that it has ended. */
export const foreignOrderEnded = (
  state: ReconciliationState,
  venueOrderId: VenueOrderId,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  if (!state.foreign.delete(venueOrderId)) return;
  log(effects, 'info', 'foreign-order-ended', { venueOrderId });
  audit(state, effects, now, 'foreign-order-ended', { venueOrderId });
  clearHold(state, effects, 'foreign-order', venueOrderId, `order ${venueOrderId} has ended at the venue`);
};

/** Asks the venue about each foreign order that no read since `sinceMonoMs` has shown open: only its word ends one. */
export const askAboutForeignOrders = (state: ReconciliationState, sinceMonoMs: number, now: Now): void => {
  for (const order of state.foreign.values()) {
    if (order.pending || order.openAsOfMonoMs >= sinceMonoMs) continue;
    order.pending = true;
    startGroup(
      state,
      { type: 'foreign', venueOrderId: order.venueOrderId },
      new Map([['order', { type: 'order', venueOrderId: order.venueOrderId }]]),
      now.monoMs,
    );
  }
};
