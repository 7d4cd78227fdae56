/**
 * Candles built from trades. The rules, for live, paper and backtest alike:
 *
 * - An interval begins at a whole multiple of its length since 1970-01-01 00:00 UTC, as the venue's charts have it
 *   (protocol sections 4.7 and 4.8), and ends just before the next one. A trade belongs to the interval of the venue's
 *   time of the trade.
 * - A candle is closed by the first trade of a later interval, or once the clock is {@link CLOSE_GRACE_MS} past its end.
 *   A trade that arrives for a closed candle is left out and counted.
 * - An interval without a trade gives an empty candle: all four prices are the close before it, the volume is zero. So
 *   a period of an indicator always is that many intervals of time. Before the first price there is nothing.
 * - What may lack a trade, because the feed was down or the candle was begun in its middle, says so: `complete` is false.
 */
import { max, min, type Price, type Quantity } from './money.js';

/** Lengths that the venue's charts have as well, so that history can be read at a start, ms. */
export const CANDLE_LENGTHS_MS = {
  '1m': 60_000,
  '5m': 300_000,
  '15m': 900_000,
  '30m': 1_800_000,
  '1h': 3_600_000,
  '4h': 14_400_000,
  '1d': 86_400_000,
} as const;
export type CandleInterval = keyof typeof CANDLE_LENGTHS_MS;
export const CANDLE_INTERVALS = Object.keys(CANDLE_LENGTHS_MS) as readonly CandleInterval[];

/** How long after an interval's end its last trades may still be on their way. */
export const CLOSE_GRACE_MS = 1_000;
/** Empty candles made of one gap at most; of a longer one only the newest are made. */
export const MAX_FILLED = 1_500;

export interface Candle {
  readonly symbol: string;
  readonly interval: CandleInterval;
  /** Unix ms, a multiple of the length. */
  readonly openAtMs: number;
  /** Unix ms of the next interval's beginning. */
  readonly closeAtMs: number;
  readonly open: Price;
  readonly high: Price;
  readonly low: Price;
  readonly close: Price;
  /** Base. */
  readonly volume: Quantity;
  /** False for the one that is still being built. */
  readonly closed: boolean;
  /** False when trades may be missing. */
  readonly complete: boolean;
}

/** One series under construction. Owned by whoever builds; changed in place. */
export interface CandleBuilder {
  readonly symbol: string;
  readonly interval: CandleInterval;
  readonly lengthMs: number;
  /** Beginning of the interval under construction; null before there is any price. */
  openAtMs: number | null;
  /** What traded in it so far; null for nothing. */
  traded: { open: Price; high: Price; low: Price; close: Price; volume: Quantity } | null;
  complete: boolean;
  /** Whether trades are being heard of at all. */
  following: boolean;
  /** Close of the candle before. */
  lastClose: Price | null;
  /** Trades that came too late. */
  late: number;
}

const NONE: readonly Candle[] = [];

export const candleBuilder = (symbol: string, interval: CandleInterval): CandleBuilder => ({
  symbol,
  interval,
  lengthMs: CANDLE_LENGTHS_MS[interval],
  openAtMs: null,
  traded: null,
  complete: false,
  following: true,
  lastClose: null,
  late: 0,
});

/** Adds a trade. @returns the candles it closes, oldest first */
export const addTrade = (
  builder: CandleBuilder,
  trade: { readonly price: Price; readonly quantity: Quantity; readonly tradedAtMs: number },
): readonly Candle[] => {
  const { price, quantity, tradedAtMs } = trade;
  const openAtMs = tradedAtMs - (tradedAtMs % builder.lengthMs);
  if (builder.openAtMs === null) {
    builder.openAtMs = openAtMs;
    builder.complete = false;
  } else if (openAtMs < builder.openAtMs) {
    builder.late += 1;
    return NONE;
  }
  const closed = openAtMs > builder.openAtMs ? closeUntil(builder, openAtMs) : NONE;
  const { traded } = builder;
  if (traded === null)
    builder.traded = { open: price, high: price, low: price, close: price, volume: quantity };
  else {
    traded.high = max(traded.high, price);
    traded.low = min(traded.low, price);
    traded.close = price;
    traded.volume += quantity;
  }
  return closed;
};

/** The clock says `wallMs`. @returns the candles that are over, oldest first */
export const passTime = (builder: CandleBuilder, wallMs: number): readonly Candle[] => {
  const { openAtMs, lengthMs } = builder;
  if (openAtMs === null || wallMs - CLOSE_GRACE_MS < openAtMs + lengthMs) return NONE;
  const over = wallMs - CLOSE_GRACE_MS;
  return closeUntil(builder, over - (over % lengthMs));
};

/** Whether trades are heard of from now on. While they are not, whatever is built is incomplete. */
export const follow = (builder: CandleBuilder, following: boolean): void => {
  builder.following = following;
  if (!following) builder.complete = false;
};

/** Goes on after a candle that somebody else has closed. */
export const continueAfter = (builder: CandleBuilder, last: Candle): void => {
  builder.lastClose = last.close;
  if (builder.openAtMs !== null && builder.openAtMs >= last.closeAtMs) return;
  builder.openAtMs = last.closeAtMs;
  builder.traded = null;
  builder.complete = false;
};

/** The candle under construction, for a look; `undefined` while there is no price. */
export const formingCandle = (builder: CandleBuilder): Candle | undefined =>
  builder.openAtMs === null ? undefined : candleAt(builder, builder.openAtMs, false);

/** Puts empty candles between candles of one series that do not follow one another; the rest stays as it is. */
export const fillGaps = (candles: readonly Candle[]): readonly Candle[] => {
  const filled: Candle[] = [];
  for (const candle of candles) {
    const before = filled.at(-1);
    if (before !== undefined) filled.push(...emptiesBetween(before, candle.openAtMs));
    filled.push(candle);
  }
  return filled;
};

const emptiesBetween = (before: Candle, untilMs: number): Candle[] => {
  const lengthMs = CANDLE_LENGTHS_MS[before.interval];
  const empties: Candle[] = [];
  const firstMs = Math.max(before.closeAtMs, untilMs - MAX_FILLED * lengthMs);
  for (let openAtMs = firstMs; openAtMs < untilMs; openAtMs += lengthMs)
    empties.push(emptyCandle(before.symbol, before.interval, openAtMs, before.close, before.complete));
  return empties;
};

const emptyCandle = (
  symbol: string,
  interval: CandleInterval,
  openAtMs: number,
  price: Price,
  complete: boolean,
): Candle => ({
  symbol,
  interval,
  openAtMs,
  closeAtMs: openAtMs + CANDLE_LENGTHS_MS[interval],
  open: price,
  high: price,
  low: price,
  close: price,
  volume: 0n,
  closed: true,
  complete,
});

/** Closes everything that begins before `untilMs`, and begins there. */
const closeUntil = (builder: CandleBuilder, untilMs: number): readonly Candle[] => {
  const { openAtMs } = builder;
  const first = openAtMs === null ? undefined : candleAt(builder, openAtMs, true);
  builder.openAtMs = untilMs;
  builder.traded = null;
  builder.complete = builder.following;
  if (first === undefined) return NONE;
  builder.lastClose = first.close;
  return first.closeAtMs === untilMs ? [first] : [first, ...emptiesBetween(first, untilMs)];
};

const candleAt = (builder: CandleBuilder, openAtMs: number, closed: boolean): Candle | undefined => {
  const { symbol, interval, lengthMs, traded, lastClose, complete } = builder;
  if (traded === null && lastClose === null) return undefined;
  const price = lastClose ?? 0n;
  const { open, high, low, close, volume } = traded ?? {
    open: price,
    high: price,
    low: price,
    close: price,
    volume: 0n,
  };
  return {
    symbol,
    interval,
    openAtMs,
    closeAtMs: openAtMs + lengthMs,
    open,
    high,
    low,
    close,
    volume,
    closed,
    complete,
  };
};

/**
 * What is wrong with a candle that came from outside, or null: off the grid of its interval, prices that contradict one
 * another, or a negative volume.
 */
export const candleProblem = (candle: Candle): string | null => {
  const { openAtMs, closeAtMs, open, high, low, close, volume } = candle;
  const lengthMs = CANDLE_LENGTHS_MS[candle.interval];
  if (!Number.isSafeInteger(openAtMs) || openAtMs % lengthMs !== 0 || closeAtMs !== openAtMs + lengthMs)
    return `a candle of ${candle.interval} that begins at ${openAtMs} is off the grid`;
  if (low <= 0n || high < low || open > high || open < low || close > high || close < low)
    return `the prices of the candle at ${openAtMs} contradict one another`;
  return volume < 0n ? `the volume of the candle at ${openAtMs} is negative` : null;
};
