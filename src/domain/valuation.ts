/**
 * The bot's own profit marked to market in lira: since the start of the UTC+3 trading day, and below its peak. Kept by
 * the ledger, so that a restart forgets neither the day's loss nor the peak.
 */
import { pairFromSymbol, realized, unrealized } from './accounting.js';
import { type Amount, max, multiply, ONE, type Price, ratio, toNumber } from './money.js';
import { startGroup } from './read-group.js';
import {
  append,
  type Mark,
  type ReconciliationEffect,
  type ReconciliationState,
} from './reconciliation-state.js';
import type { Now } from './step.js';
import type { VenueRead } from './venue-port.js';

/** Turkey keeps UTC+3 all year; its days are the trading days. */
const DAY_MS = 86_400_000;
const TURKEY_MS = 3 * 3_600_000;
/** A mark older than this values nothing. */
const MARK_LIFE_MS = 60_000;
const MARK_APPEND_MS = 60_000;
/** The peak and the profit reach the disk at most this often. */
const VALUATION_APPEND_MS = 5_000;
const LIRA = 'TRY';

/** Unix ms at which the UTC+3 day of a moment (Unix ms) began. */
export const tradingDayStart = (atMs: number): number =>
  Math.floor((atMs + TURKEY_MS) / DAY_MS) * DAY_MS - TURKEY_MS;

/** The symbols whose price is wanted: what is traded, and what turns each quote into lira. */
const markedSymbols = (state: ReconciliationState): Set<string> => {
  const symbols = new Set(state.config.symbols);
  for (const symbol of state.accounting.positions.keys()) symbols.add(symbol);
  for (const symbol of [...symbols]) {
    const { quote } = pairFromSymbol(symbol);
    if (quote !== LIRA && quote !== '') symbols.add(`${quote}${LIRA}`);
  }
  return symbols;
};

/** Reads the prices when their interval has passed. */
export const stepMarks = (state: ReconciliationState, now: Now): void => {
  if (now.monoMs < state.marksWantedMonoMs) return;
  state.marksWantedMonoMs = Number.POSITIVE_INFINITY;
  const reads = new Map<string, VenueRead>();
  for (const symbol of markedSymbols(state)) reads.set(symbol, { type: 'ticker', symbol });
  startGroup(state, { type: 'marks' }, reads, now.monoMs);
};

/** Takes in a price: the middle where there are two sides, else the last. */
export const takeMark = (
  state: ReconciliationState,
  symbol: string,
  prices: { readonly bid: Price; readonly ask: Price; readonly last: Price },
  asOfMonoMs: number,
): void => {
  const twoSided = prices.bid > 0n && prices.ask >= prices.bid;
  const price = twoSided ? (prices.bid + prices.ask) / 2n : prices.last;
  if (price > 0n) state.marks.set(symbol, { price, atMonoMs: asOfMonoMs });
};

const freshMark = (state: ReconciliationState, symbol: string, now: Now): Mark | null => {
  const mark = state.marks.get(symbol);
  return mark === undefined || now.monoMs - mark.atMonoMs > MARK_LIFE_MS ? null : mark;
};

/** Lira for one unit of each quote asset, where known and fresh. */
export const tryRates = (state: ReconciliationState, now: Now): Map<string, Amount> => {
  const rates = new Map<string, Amount>([[LIRA, ONE]]);
  for (const symbol of markedSymbols(state)) {
    const { quote } = pairFromSymbol(symbol);
    const mark = freshMark(state, `${quote}${LIRA}`, now);
    if (quote !== LIRA && mark !== null) rates.set(quote, mark.price as bigint);
  }
  return rates;
};

/** Net profit since the ledger began, in lira; null while a needed price is missing. */
const profitTry = (
  state: ReconciliationState,
  rates: ReadonlyMap<string, Amount>,
  now: Now,
): Amount | null => {
  let total: Amount = 0n;
  for (const position of state.accounting.positions.values()) {
    const rate = rates.get(position.pair.quote);
    const mark = position.quantity === 0n ? null : freshMark(state, position.pair.symbol, now);
    if (rate === undefined || (position.quantity !== 0n && mark === null)) return null;
    const open = mark === null ? 0n : unrealized(position, mark.price);
    total += multiply(realized(position) + open, rate, 'half-up');
  }
  return total;
};

/** What the account was opened with and what was paid in since, at today's prices; the measure of a drawdown. */
const capitalTry = (state: ReconciliationState, rates: ReadonlyMap<string, Amount>, now: Now): Amount => {
  const { accounting } = state;
  const held = new Map(accounting.opening);
  for (const movement of accounting.movements.values())
    held.set(movement.asset, (held.get(movement.asset) ?? 0n) + movement.amount);
  let total: Amount = 0n;
  for (const [asset, amount] of held) {
    // Most assets of an account are not held.
    if (amount === 0n) continue;
    const direct = rates.get(asset) ?? freshMark(state, `${asset}${LIRA}`, now)?.price;
    const dollars = freshMark(state, `${asset}USDT`, now)?.price;
    const dollarRate = rates.get('USDT');
    const rate =
      direct ??
      (dollars !== undefined && dollarRate !== undefined ? multiply(dollars, dollarRate, 'down') : 0n);
    total += multiply(amount, rate, 'down');
  }
  return total;
};

/** Values the account anew; new peaks, new days and, now and then, the rest go to the ledger. */
export const revalue = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  const rates = tryRates(state, now);
  const profit = profitTry(state, rates, now);
  appendMarks(state, now, effects);
  // A clock of ours that is set for a moment must not begin a day, which would forget the loss of this one.
  const { venueClock } = state;
  if (profit === null || venueClock === null) {
    state.valuedMonoMs = Number.NEGATIVE_INFINITY;
    return;
  }
  const last = state.valuation;
  const dayStartMs = tradingDayStart(venueClock.atMs + (now.monoMs - venueClock.monoMs));
  const sameDay = last !== null && last.dayStartMs === dayStartMs;
  const peak = max(last?.peakProfitTry ?? 0n, profit);
  state.valuedMonoMs = now.monoMs;
  state.valuation = {
    atMs: now.wallMs,
    profitTry: profit,
    peakProfitTry: peak,
    dayStartMs,
    // What happened while nobody looked counts for the new day.
    dayStartProfitTry: sameDay ? last.dayStartProfitTry : (last?.profitTry ?? 0n),
  };
  const base = capitalTry(state, rates, now) + peak;
  state.drawdownPct = base <= 0n ? null : toNumber(ratio((peak - profit) * 100n, base, 'up'));
  const changed = last === null || !sameDay || last.profitTry !== profit;
  const due = now.monoMs - state.valuationAppendedMonoMs >= VALUATION_APPEND_MS;
  if (last !== null && sameDay && !(changed && due)) return;
  state.valuationAppendedMonoMs = now.monoMs;
  append(state, effects, [{ type: 'valuation', valuation: state.valuation }], false);
};

const appendMarks = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  if (now.monoMs - state.marksAppendedMonoMs >= MARK_APPEND_MS) keepMarks(state, now, effects);
};

/**
 * Records the newest prices, each under the time at which it was read, so that reports value positions at them while no
 * bot runs, and say how old they are.
 */
const keepMarks = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  if (state.marks.size === 0) return;
  state.marksAppendedMonoMs = now.monoMs;
  append(
    state,
    effects,
    [...state.marks].map(([symbol, mark]) => ({
      type: 'mark',
      symbol,
      price: mark.price as bigint,
      atMs: Math.round(now.wallMs - (now.monoMs - mark.atMonoMs)),
    })),
    false,
  );
};

/** The last word on the prices before a stop; those that are too old to be acted on are not made young by it. */
export const keepLastMarks = (
  state: ReconciliationState,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  if (isValued(state, now)) keepMarks(state, now, effects);
};

/** Whether the last valuation is young enough to be acted on. */
export const isValued = (state: ReconciliationState, now: Now): boolean =>
  now.monoMs - state.valuedMonoMs <= MARK_LIFE_MS;

/** Profit of the trading day in lira; null while prices are missing. */
export const dayProfitTry = (state: ReconciliationState, now: Now): Amount | null =>
  state.valuation === null || !isValued(state, now)
    ? null
    : state.valuation.profitTry - state.valuation.dayStartProfitTry;
