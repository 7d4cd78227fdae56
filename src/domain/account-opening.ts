/**
 * The first start of a database: the account's balances become the books' baseline. Every trade and every movement of
 * money must be known to be in them, and is then never booked, or known not to be, and is then booked. No clock may
 * decide that, as clocks are set; so the venue is asked in this order:
 *
 * 1. its time, the trades and the movements: what has happened so far;
 * 2. the balances;
 * 3. some time later the balances again, with the trades and the movements again.
 *
 * When both lists name the same and both pictures agree, nothing happened in between: the balances hold what is listed,
 * and nothing else. Two things a list cannot say. Balances lag (protocol section 5.1): so nobody may have traded lately,
 * and what was moved lately must be seen to be in them, which it is when the movements alone add up to the balances. And
 * rows come late: so what others traded before the venue's time of step 1 counts as contained even when no list had it.
 *
 * The ids of the listed movements are recorded with the balances. About another that is dated before or around the
 * opening the balances decide (reconcile-pass); our own trades are never part of an opening (accounting).
 */
import { bookMovement, expectedBalances, initialAccounting, sameMovement } from './accounting.js';
import type { Amount } from './money.js';
import type { Fill } from './order.js';
import { failedParts, type ReadGroup, startGroup } from './read-group.js';
import {
  append,
  log,
  MOVEMENTS_OVERLAP_MS,
  type Opening,
  type ReconciliationEffect,
  type ReconciliationState,
  TRADES_OVERLAP_MS,
  type VenueBalances,
  venueNowMs,
} from './reconciliation-state.js';
import type { Now } from './step.js';
import { proveBalances } from './three-way-proof.js';
import type { CashMovement, VenueRead } from './venue-port.js';

const RETRY_MS = 1_000;

/** Drives the opening: asks what is due. */
export const stepOpening = (state: ReconciliationState, now: Now): void => {
  if (state.clockOffsetMs === null) return;
  state.opening ??= begin(state, now.monoMs, 0, now);
  const { opening } = state;
  if (opening.pending || opening.step === 'appending' || now.monoMs < opening.lookMonoMs) return;
  look(state, opening, now);
};

const begin = (state: ReconciliationState, lookMonoMs: number, newestTradeMs: number, now: Now): Opening => ({
  step: 'lists',
  cutMs: null,
  // Further back than any later list of this day, also when the clock is set in between.
  movementsFromMs: Math.max(0, venueNowMs(state, now) - 2 * MOVEMENTS_OVERLAP_MS),
  tradesBefore: new Set(),
  traded: false,
  newestTradeMs,
  movementsBefore: [],
  first: null,
  movementsAfter: [],
  lookMonoMs,
  pending: false,
  batch: null,
});

const look = (state: ReconciliationState, opening: Opening, now: Now): void => {
  opening.pending = true;
  const reads = new Map<string, VenueRead>();
  if (opening.step === 'lists') reads.set('server-time', { type: 'server-time' });
  else {
    reads.set('balances', { type: 'balances' });
    for (const symbol of state.config.symbols)
      reads.set(`open-orders ${symbol}`, { type: 'open-orders', symbol });
  }
  if (opening.step !== 'first-look') {
    reads.set('trades', { type: 'trades', fromMs: venueNowMs(state, now) - TRADES_OVERLAP_MS, toMs: null });
    reads.set('cash-movements', { type: 'cash-movements', fromMs: opening.movementsFromMs, toMs: null });
  }
  startGroup(state, { type: 'opening' }, reads, now.monoMs);
};

/** The venue's time was told; it counts when no balances have been asked for yet. */
export const noteVenueTime = (opening: Opening, serverMs: number): void => {
  if (opening.step === 'lists') opening.cutMs = serverMs;
};

/** A trade was shown, by the trades endpoint or the private feed. */
export const noteTrade = (opening: Opening, { tradeId, executedAtMs }: Fill): void => {
  opening.newestTradeMs = Math.max(opening.newestTradeMs, executedAtMs);
  if (opening.step === 'lists') opening.tradesBefore.add(tradeId);
  else if (!opening.tradesBefore.has(tradeId)) opening.traded = true;
};

/** The movements were listed. */
export const noteMovements = (opening: Opening, movements: readonly CashMovement[]): void => {
  if (opening.step === 'lists') opening.movementsBefore = movements;
  else opening.movementsAfter = movements;
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
  if (failed.length > 0) startOver(state, opening, now, effects, `reads failed: ${failed.join(', ')}`);
  else if (opening.step === 'lists') {
    opening.step = 'first-look';
    look(state, opening, now);
  } else if (opening.step === 'first-look') {
    opening.step = 'second-look';
    opening.first = balances;
    opening.lookMonoMs = now.monoMs + quietMs(state, opening, balances);
  } else {
    const { first, cutMs } = opening;
    if (first === null || balances === null || cutMs === null) {
      startOver(state, opening, now, effects, 'a look is missing');
      return;
    }
    const objection = objectionTo(opening, first, balances, cutMs - state.config.balanceLagMs);
    if (objection === null) open(state, opening, balances, cutMs, effects);
    else startOver(state, opening, now, effects, objection);
  }
};

/**
 * How long to wait between the looks. A deposit is dated when it was seen first and listed once it is confirmed, so that its
 * date does not say whether the balances show it already: by then they do, unless the movements add up to them anyway.
 */
const quietMs = (
  { config }: ReconciliationState,
  { movementsBefore }: Opening,
  balances: VenueBalances | null,
): number => {
  const seen =
    movementsBefore.length === 0 || (balances !== null && addUp(movementsBefore, totalsOf(balances)));
  return seen ? config.openingQuietMs : Math.max(config.openingQuietMs, config.balanceLagMs);
};

/**
 * Why these looks do not show what the balances hold, or null.
 * @param shownBeforeMs what is dated from then on, on the venue's clock, the balances may not show yet
 */
const objectionTo = (
  opening: Opening,
  first: VenueBalances,
  second: VenueBalances,
  shownBeforeMs: number,
): string | null => {
  const { movementsBefore, movementsAfter } = opening;
  if (opening.traded || opening.newestTradeMs >= shownBeforeMs)
    return 'somebody trades on the account at this moment';
  if (!sameMovements(movementsBefore, movementsAfter)) return 'money was moved between two looks';
  const totals = totalsOf(second);
  if (!proveBalances(totalsOf(first), [], totals).proven)
    return 'the balances have changed between two looks';
  const moved = movementsAfter.some(({ atMs }) => atMs >= shownBeforeMs);
  return moved && !addUp(movementsAfter, totals)
    ? 'money was moved a moment ago, and the balances may not show it yet'
    : null;
};

const totalsOf = ({ list }: VenueBalances): ReadonlyMap<string, Amount> =>
  new Map(list.map(({ asset, total }) => [asset, total]));

const sameMovements = (left: readonly CashMovement[], right: readonly CashMovement[]): boolean => {
  const known = new Map(left.map(movement => [movement.movementId, movement]));
  const again = new Set(right.map(({ movementId }) => movementId));
  return (
    known.size === again.size &&
    right.every(movement => {
      const before = known.get(movement.movementId);
      return before !== undefined && sameMovement(before, movement);
    })
  );
};

/** Whether the movements are all that ever happened to the account, and all in its balances. */
const addUp = (movements: readonly CashMovement[], totals: ReadonlyMap<string, Amount>): boolean => {
  const books = initialAccounting(null);
  for (const movement of movements) bookMovement(books, movement);
  return proveBalances(expectedBalances(books), [], totals).proven;
};

const startOver = (
  state: ReconciliationState,
  { newestTradeMs }: Opening,
  now: Now,
  effects: ReconciliationEffect[],
  reason: string,
): void => {
  log(effects, 'warn', 'opening-postponed', { reason });
  state.openingObjection = reason;
  state.opening = begin(state, now.monoMs + RETRY_MS, newestTradeMs, now);
};

const open = (
  state: ReconciliationState,
  opening: Opening,
  balances: VenueBalances,
  cutMs: number,
  effects: ReconciliationEffect[],
): void => {
  opening.step = 'appending';
  const movementIds = opening.movementsAfter.map(({ movementId }) => movementId);
  state.accounting = initialAccounting({ balances: balances.list, atMs: cutMs });
  state.foreignAccounting = initialAccounting({ balances: [], atMs: cutMs });
  state.openingMovementIds = new Set(movementIds);
  state.tradesThroughMs = cutMs;
  state.movementsThroughMs = cutMs;
  opening.batch = append(
    state,
    effects,
    [{ type: 'balances', atMs: cutMs, opening: true, balances: balances.list, movementIds }],
    true,
  );
  log(effects, 'info', 'ledger-opened', {
    at: cutMs,
    balances: balances.list.map(({ asset, total }) => ({ asset, total })),
    movements: movementIds.length,
  });
};

/** The ledger has a batch on disk. @returns true when it was the opening, so that recovery may begin. */
export const openingAppended = (state: ReconciliationState, batch: number): boolean => {
  if (state.opening === null || state.opening.batch !== batch) return false;
  state.opening = null;
  state.openingObjection = null;
  return true;
};
