/**
 * Fills are booked here and nowhere else, once per trade id, whichever source shows them first: the private feed (423)
 * or the trades endpoint. Neither is believed beyond reason: a fill must fit the order it names, and both sources must
 * say the same of one trade (protocol sections 5.2, 9.11 and 11).
 */

import { noteTrade } from './account-opening.js';
import { type BookingOutcome, bookFill, byExecution, isBooked, pairFromSymbol } from './accounting.js';
import { noteForeignOrder } from './foreign-orders.js';
import { formatDecimal, notional } from './money.js';
import type { Fill } from './order.js';
import { endSearch, settleIfDone, watchOrder } from './order-watch.js';
import {
  append,
  findTracked,
  isOwnLabel,
  linkVenueOrder,
  log,
  type ReconciliationEffect,
  type ReconciliationState,
  type TrackedOrder,
  tell,
  traced,
  venueNowMs,
} from './reconciliation-state.js';
import type { Now } from './step.js';

/** Who shows a fill. The endpoint is the book of record; the feed is first, and has been wrong (protocol section 11). */
export type FillSource = 'feed' | 'trades';

/** After a fill the balances are read again, once the venue has settled it (about 150 ms, protocol section 0.3). */
const SETTLEMENT_MS = 250;

const CLOCK_MARGIN_MS = 1_000;

/** Books a fill unless it is known, part of the opening, or impossible. */
export const takeFill = (
  state: ReconciliationState,
  shown: Fill,
  source: FillSource,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  if (state.phase === 'observing') return;
  if (state.phase === 'opening') {
    if (state.opening !== null) noteTrade(state.opening, shown);
    return;
  }
  const tracked = findTracked(state, shown.venueOrderId, shown.clientOrderId);
  const own = tracked !== undefined || isOwnLabel(state, shown.clientOrderId);
  const clientOrderId = tracked?.order.clientOrderId ?? (own ? shown.clientOrderId : null);
  const fill: Fill = { ...shown, clientOrderId };

  if (isKnown(state, fill)) {
    if (source === 'trades') state.unconfirmedFills.delete(fill.tradeId);
    else state.unseenByFeed.delete(fill.tradeId);
    const outcome = bookAgain(state, fill);
    if (outcome === 'settled') compareInLedger(state, fill, now, effects);
    if (outcome === 'contradicted')
      state.violations.set(`trade:${fill.tradeId}`, `trade ${fill.tradeId} was shown with different numbers`);
    return;
  }
  const objection = tracked === undefined ? null : objectionTo(tracked, fill);
  if (objection !== null && tracked !== undefined) {
    log(effects, 'error', 'fill-refused', { source, objection, ...facts(fill) });
    if (source === 'trades') state.violations.set(`trade:${fill.tradeId}`, objection);
    else watchOrder(state, tracked, now.monoMs, { trades: true });
    return;
  }
  const outcome = bookFill(
    own ? state.accounting : state.foreignAccounting,
    fill,
    pairFromSymbol(fill.symbol, fill.feeAsset),
  );
  if (outcome !== 'booked') return;
  remember(state, fill, source, now);
  append(state, effects, [{ type: 'fill', fill, bookedAtMs: now.wallMs }], true);
  if (clientOrderId === null) {
    log(effects, 'warn', 'foreign-fill', facts(fill));
    noteForeignOrder(
      state,
      {
        venueOrderId: fill.venueOrderId,
        clientOrderId: shown.clientOrderId,
        symbol: fill.symbol,
        report: null,
      },
      Number.NEGATIVE_INFINITY,
      now,
      effects,
    );
    return;
  }
  const orderFilled = (state.bookedByOrder.get(clientOrderId) ?? 0n) + fill.quantity;
  state.bookedByOrder.set(clientOrderId, orderFilled);
  if (tracked !== undefined && isRefused(tracked))
    state.violations.set(
      `risen:${clientOrderId}`,
      `trade ${fill.tradeId} fills order ${clientOrderId}, which was ${tracked.order.state.status} for the ledger`,
    );
  if (tracked !== undefined) noteOnOrder(state, tracked, fill, now, effects);
  tell(effects, 'execution', { type: 'fill-booked', ...traced(state), fill, orderFilled });
  log(effects, 'info', 'fill-booked', facts(fill));
  if (tracked !== undefined) settleIfDone(state, tracked, now);
  effects.push({
    type: 'metric',
    kind: 'counter',
    name: 'btcbot_fills_total',
    value: 1,
    labels: { symbol: fill.symbol, side: fill.side },
  });
};

/** Says again what is booked of an order, to an execution that seems not to know. */
export const tellBookedAgain = (
  state: ReconciliationState,
  tracked: TrackedOrder,
  effects: ReconciliationEffect[],
): void => {
  if (tracked.lastFill === null) return;
  tell(effects, 'execution', {
    type: 'fill-booked',
    ...traced(state),
    fill: tracked.lastFill,
    orderFilled: tracked.booked,
  });
};

const isKnown = (state: ReconciliationState, fill: Fill): boolean =>
  isBooked(state.accounting, fill.tradeId) || isBooked(state.foreignAccounting, fill.tradeId);

const bookAgain = (state: ReconciliationState, fill: Fill): BookingOutcome => {
  const { accounting, foreignAccounting } = state;
  const inForeign = foreignAccounting.booked.has(fill.tradeId) || foreignAccounting.settled.has(fill.tradeId);
  return bookFill(
    inForeign ? foreignAccounting : accounting,
    fill,
    pairFromSymbol(fill.symbol, fill.feeAsset),
  );
};

/** Memory has forgotten the trade's numbers. The ledger books nothing twice, and says when they differ. */
const compareInLedger = (
  state: ReconciliationState,
  fill: Fill,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  if (state.compared.has(fill.tradeId)) return;
  state.compared.add(fill.tradeId);
  append(state, effects, [{ type: 'fill', fill, bookedAtMs: now.wallMs }], false);
};

/** For the ledger it never existed. */
const isRefused = (tracked: TrackedOrder): boolean =>
  tracked.order.state.status === 'rejected' || tracked.order.state.status === 'denied';

/** Why a fill cannot be one of this order's, or null. */
const objectionTo = (tracked: TrackedOrder, fill: Fill): string | null => {
  const { terms, clientOrderId } = tracked.order;
  if (fill.symbol !== terms.symbol || fill.side !== terms.side)
    return `trade ${fill.tradeId} is a ${fill.side} of ${fill.symbol}, but order ${clientOrderId} is a ${terms.side} of ${terms.symbol}`;
  if (fill.quantity <= 0n) return `trade ${fill.tradeId} has no quantity`;
  if (terms.quoteQuantity !== null) {
    const spent = notional(fill.price, fill.quantity);
    return spent > terms.quoteQuantity
      ? `trade ${fill.tradeId} spends ${formatDecimal(spent)}, more than order ${clientOrderId} gives`
      : null;
  }
  const total = tracked.booked + fill.quantity;
  return total > terms.quantity
    ? `trade ${fill.tradeId} would fill ${formatDecimal(total)} of order ${clientOrderId}, which is for ${formatDecimal(terms.quantity)}`
    : null;
};

const remember = (state: ReconciliationState, fill: Fill, source: FillSource, now: Now): void => {
  const recent = state.recentFills;
  let index = recent.length;
  while (index > 0 && byExecution(recent[index - 1] as Fill, fill) > 0) index -= 1;
  recent.splice(index, 0, fill);
  if (source === 'feed') state.unconfirmedFills.set(fill.tradeId, { fill, bookedMonoMs: now.monoMs });
  else if (shouldHaveBeenSeen(state, fill, now)) state.unseenByFeed.set(fill.tradeId, now.monoMs);
  state.accountDirty = true;
  state.balancesWantedMonoMs ??= now.monoMs + SETTLEMENT_MS;
};

/** The private feed was live when the fill happened, clocks compared within the margin. */
const shouldHaveBeenSeen = (state: ReconciliationState, fill: Fill, now: Now): boolean => {
  if (state.feedLiveMonoMs === null) return false;
  const executedAgoMs = venueNowMs(state, now) - fill.executedAtMs;
  return now.monoMs - executedAgoMs > state.feedLiveMonoMs + CLOCK_MARGIN_MS;
};

const noteOnOrder = (
  state: ReconciliationState,
  tracked: TrackedOrder,
  fill: Fill,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  tracked.booked += fill.quantity;
  tracked.bookedSinceTracked += fill.quantity;
  tracked.lastFill = fill;
  if (tracked.venueOrderIds.has(fill.venueOrderId)) return;
  // A fill proves that the order exists, before anything else has named its venue id.
  linkVenueOrder(state, tracked, fill.venueOrderId);
  endSearch(state, tracked, `trade ${fill.tradeId} fills it as ${fill.venueOrderId}`, now, effects);
  tell(effects, 'execution', {
    type: 'order-hinted',
    ...traced(state),
    clientOrderId: tracked.order.clientOrderId,
    venueOrderId: fill.venueOrderId,
    hint: 'matched',
  });
  watchOrder(state, tracked, now.monoMs, { order: true });
};

const facts = (fill: Fill): Record<string, unknown> => ({
  symbol: fill.symbol,
  side: fill.side,
  price: fill.price,
  quantity: fill.quantity,
  fee: fill.fee,
  tax: fill.tax,
  feeAsset: fill.feeAsset,
  tradeId: fill.tradeId,
  venueOrderId: fill.venueOrderId,
  clientOrderId: fill.clientOrderId,
});
