/**
 * The three-way proof, per asset and to the last digit: what the ledger expects (opening balances, booked fills of the
 * private feed and the trades endpoint, deposits and withdrawals) against what the venue's balances say.
 *
 * Balances lag behind the fills of the same moment (protocol section 5.1). So the venue's figures may equal the books
 * as they stood a few fills ago, as long as those fills are recent: they are still a proof of everything before.
 */
import { expectedBalances, fillEffects, pairFromSymbol } from './accounting.js';
import type { Amount } from './money.js';
import type { Fill } from './order.js';
import type { ReconciliationState, VenueBalances } from './reconciliation-state.js';
import type { Balance } from './venue-port.js';

export interface Proof {
  readonly proven: boolean;
  /** Recent fills that the venue's balances do not show yet. */
  readonly behind: number;
  /** Venue less ledger, assets with a difference only. Empty when proven. */
  readonly residuals: ReadonlyMap<string, Amount>;
}

/**
 * @param expected what each asset's total is, with every booked fact
 * @param recent fills that the venue may not show yet, in order of execution; part of `expected`
 * @param venue totals as the venue says; an absent asset is zero
 */
export const proveBalances = (
  expected: ReadonlyMap<string, Amount>,
  recent: readonly Fill[],
  venue: ReadonlyMap<string, Amount>,
): Proof => {
  const books = new Map(expected);
  const residuals = differences(books, venue);
  if (residuals.size === 0) return { proven: true, behind: 0, residuals };
  for (let behind = 1; behind <= recent.length; behind++) {
    const fill = recent[recent.length - behind] as Fill;
    for (const [asset, change] of fillEffects(fill, pairFromSymbol(fill.symbol, fill.feeAsset)))
      books.set(asset, (books.get(asset) ?? 0n) - change);
    if (differences(books, venue).size === 0) return { proven: true, behind, residuals: new Map() };
  }
  return { proven: false, behind: 0, residuals };
};

const differences = (
  expected: ReadonlyMap<string, Amount>,
  venue: ReadonlyMap<string, Amount>,
): Map<string, Amount> => {
  const found = new Map<string, Amount>();
  for (const asset of new Set([...expected.keys(), ...venue.keys()])) {
    const difference = (venue.get(asset) ?? 0n) - (expected.get(asset) ?? 0n);
    if (difference !== 0n) found.set(asset, difference);
  }
  return found;
};

/** What the ledger expects of each asset: own books, and what others traded on the account. */
export const expectedTotals = (state: ReconciliationState): Map<string, Amount> => {
  const expected = expectedBalances(state.accounting);
  for (const [asset, change] of state.foreignAccounting.changes)
    expected.set(asset, (expected.get(asset) ?? 0n) + change);
  return expected;
};

/** Proves the books against one picture of the venue's balances. */
export const prove = (state: ReconciliationState, balances: VenueBalances): Proof => {
  const settledBeforeMs = balances.asOfVenueMs - state.config.balanceLagMs;
  state.recentFills = state.recentFills.filter(fill => fill.executedAtMs >= settledBeforeMs);
  const venue = new Map(balances.list.map(balance => [balance.asset, balance.total]));
  return proveBalances(expectedTotals(state), state.recentFills, venue);
};

/** Whether these balances can only be those of our account: not nothing, and what the ledger expects to the last digit. */
export const isOurAccount = (state: ReconciliationState, balances: readonly Balance[]): boolean =>
  (state.phase === 'running' || state.phase === 'recovering') &&
  balances.some(({ total }) => total !== 0n) &&
  proveBalances(
    expectedTotals(state),
    state.recentFills,
    new Map(balances.map(({ asset, total }) => [asset, total])),
  ).proven;

/**
 * What can never be right: something below zero, at the venue or in the books (so also a position beyond what was
 * opened with), and every contradiction met so far. By subject.
 */
export const brokenInvariants = (state: ReconciliationState): Map<string, string> => {
  const broken = new Map(state.violations);
  for (const balance of state.balances?.list ?? [])
    if (balance.total < 0n || balance.free < 0n || balance.locked < 0n)
      broken.set(`venue:${balance.asset}`, `the venue shows a negative balance of ${balance.asset}`);
  for (const [asset, total] of expectedTotals(state))
    if (total < 0n) broken.set(`ledger:${asset}`, `the ledger expects a negative balance of ${asset}`);
  return broken;
};
