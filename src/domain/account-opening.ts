/**
 * The first start of a database: the account's balances become the books' baseline. The baseline is a moment of the
 * venue's clock, and every fill must lie clearly before it (then it is in the balances) or clearly after it (then it
 * will be booked). So the balances are taken twice, some time apart, with the trades read after each: when both
 * pictures agree and nobody traded around the first, the first is the opening.
 */
import { initialAccounting } from './accounting.js';
import { failedParts, type ReadGroup, startGroup } from './read-group.js';
import {
  append,
  log,
  type Opening,
  type ReconciliationEffect,
  type ReconciliationState,
  TRADES_OVERLAP_MS,
  type VenueBalances,
  venueNowMs,
} from './reconciliation-state.js';
import type { Now } from './step.js';
import type { VenueRead } from './venue-port.js';

const RETRY_MS = 1_000;

/** Drives the opening: starts a look when one is due. */
export const stepOpening = (state: ReconciliationState, now: Now): void => {
  if (state.clockOffsetMs === null) return;
  state.opening ??= firstLook(now.monoMs);
  const { opening } = state;
  if (opening.pending || now.monoMs < opening.lookMonoMs) return;
  if (opening.step === 'first-look' || opening.step === 'second-look') look(state, opening, now);
};

const firstLook = (lookMonoMs: number): Opening => ({
  step: 'first-look',
  first: null,
  newestTradeMs: 0,
  lookMonoMs,
  pending: false,
  batch: null,
});

const look = (state: ReconciliationState, opening: Opening, now: Now): void => {
  opening.pending = true;
  const reads = new Map<string, VenueRead>([['balances', { type: 'balances' }]]);
  for (const symbol of state.config.symbols)
    reads.set(`open-orders ${symbol}`, { type: 'open-orders', symbol });
  if (opening.step === 'second-look')
    reads.set('trades', { type: 'trades', fromMs: venueNowMs(state, now) - TRADES_OVERLAP_MS, toMs: null });
  startGroup(state, { type: 'opening' }, reads, now.monoMs);
};

/** A look has been answered; its facts have been taken in. */
export const openingAnswered = (
  state: ReconciliationState,
  group: ReadGroup,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const { opening, balances } = state;
  if (opening === null) return;
  opening.pending = false;
  const failed = failedParts(group);
  if (failed.length > 0 || balances === null) {
    startOver(state, now, effects, `reads failed: ${failed.join(', ')}`);
  } else if (opening.step === 'first-look') {
    opening.step = 'second-look';
    opening.first = balances;
    opening.lookMonoMs = now.monoMs + state.config.openingQuietMs;
  } else if (opening.first !== null) {
    const cutMs = opening.first.asOfVenueMs;
    // Balances may not show a trade this young yet: whether it lies before or after the opening could not be told.
    if (opening.newestTradeMs >= cutMs - state.config.balanceLagMs)
      startOver(state, now, effects, 'somebody trades on the account at this moment');
    else if (!sameTotals(opening.first, balances))
      startOver(state, now, effects, 'the balances have changed between two looks');
    else open(state, opening, balances, cutMs, effects);
  }
};

const startOver = (
  state: ReconciliationState,
  now: Now,
  effects: ReconciliationEffect[],
  reason: string,
): void => {
  log(effects, 'warn', 'opening-postponed', { reason });
  state.openingObjection = reason;
  state.opening = firstLook(now.monoMs + RETRY_MS);
};

const open = (
  state: ReconciliationState,
  opening: Opening,
  balances: VenueBalances,
  cutMs: number,
  effects: ReconciliationEffect[],
): void => {
  opening.step = 'appending';
  state.accounting = initialAccounting({ balances: balances.list, atMs: cutMs });
  state.foreignAccounting = initialAccounting({ balances: [], atMs: cutMs });
  state.tradesThroughMs = cutMs;
  state.movementsThroughMs = cutMs;
  opening.batch = append(
    state,
    effects,
    [{ type: 'balances', atMs: cutMs, opening: true, balances: balances.list }],
    true,
  );
  log(effects, 'info', 'ledger-opened', {
    at: cutMs,
    balances: balances.list.map(({ asset, total }) => ({ asset, total })),
  });
};

/** The ledger has a batch on disk. @returns true when it was the opening, so that recovery may begin. */
export const openingAppended = (state: ReconciliationState, batch: number): boolean => {
  if (state.opening === null || state.opening.batch !== batch) return false;
  state.opening = null;
  state.openingObjection = null;
  return true;
};

const sameTotals = (left: VenueBalances, right: VenueBalances): boolean => {
  const assets = new Set([...left.byAsset.keys(), ...right.byAsset.keys()]);
  for (const asset of assets)
    if ((left.byAsset.get(asset)?.total ?? 0n) !== (right.byAsset.get(asset)?.total ?? 0n)) return false;
  return true;
};
