/** Candles of one market and its 24-hour figures. Exact sums; a history from before the start is invented from a seed. */
import { type Amount, max, min, notional, type Price, type Quantity, toNumber } from '../domain/money.js';
import { logNormal, normal, type Random } from './random.js';

export interface Candle {
  /** Unix seconds, aligned to the resolution. */
  readonly startS: number;
  readonly open: Price;
  high: Price;
  low: Price;
  close: Price;
  volume: Quantity;
  /** In quote. */
  turnover: Amount;
}

/** Candles at the three resolutions that are kept; the others are folded from them. */
export interface CandleStore {
  readonly minutes: Candle[];
  readonly hours: Candle[];
  readonly days: Candle[];
}

const MINUTE_S = 60;
const HOUR_S = 3_600;
export const DAY_S = 86_400;
/** How many of each are kept: three days, sixty days, about three years. */
const KEPT = { minutes: 4_320, hours: 1_440, days: 1_100 };

/** Resolutions in seconds by every spelling the venue and its clients use (protocol section 4.8). */
const RESOLUTIONS: Readonly<Record<string, number>> = {
  '1': MINUTE_S,
  '5': 5 * MINUTE_S,
  '15': 15 * MINUTE_S,
  '30': 30 * MINUTE_S,
  '60': HOUR_S,
  '240': 4 * HOUR_S,
  '1D': DAY_S,
  '1W': 7 * DAY_S,
  '1Y': 365 * DAY_S,
};

/** Seconds of a resolution as text (`60`, `1D`, `1 d`), or `undefined`. */
export const resolutionSeconds = (text: string): number | undefined =>
  RESOLUTIONS[text.replace(/\s+/g, '').toUpperCase()];

export const emptyCandles = (): CandleStore => ({ minutes: [], hours: [], days: [] });

/** Adds one trade. */
export const addTrade = (store: CandleStore, atMs: number, price: Price, quantity: Quantity): void => {
  const startS = Math.floor(atMs / 1_000);
  const turnover = notional(price, quantity);
  const trade: Candle = {
    startS,
    open: price,
    high: price,
    low: price,
    close: price,
    volume: quantity,
    turnover,
  };
  fold(store.minutes, MINUTE_S, trade, KEPT.minutes);
  fold(store.hours, HOUR_S, trade, KEPT.hours);
  fold(store.days, DAY_S, trade, KEPT.days);
};

/** Candles of a resolution that start within [fromS, toS], oldest first. */
export const candlesBetween = (
  store: CandleStore,
  resolutionS: number,
  fromS: number,
  toS: number,
): Candle[] => {
  const source = resolutionS < HOUR_S ? store.minutes : resolutionS < DAY_S ? store.hours : store.days;
  const candles: Candle[] = [];
  for (const candle of source) {
    const startS = alignedStart(candle.startS, resolutionS);
    if (startS >= fromS && startS <= toS) fold(candles, resolutionS, candle, Number.POSITIVE_INFINITY);
  }
  return candles;
};

/** Figures over the last 24 hours. */
export interface DayFigures {
  readonly open: Price;
  readonly high: Price;
  readonly low: Price;
  readonly volume: Quantity;
  readonly turnover: Amount;
}

/**
 * Whole hours where they lie inside the day, and minutes of the hour in which it begins: both hold the same trades.
 * @returns the figures, or flat ones at `lastPrice` when nothing traded
 */
export const lastDay = ({ minutes, hours }: CandleStore, nowMs: number, lastPrice: Price): DayFigures => {
  const sinceS = Math.floor(nowMs / 1_000) - DAY_S;
  const hoursFromS = alignedStart(sinceS + HOUR_S - 1, HOUR_S);
  let open = lastPrice;
  let high = lastPrice;
  let low = lastPrice;
  let volume = 0n;
  let turnover = 0n;
  /** From before the place `end` back to `fromS`. */
  const take = (candles: readonly Candle[], end: number, fromS: number): void => {
    for (let index = end - 1; index >= 0; index--) {
      const candle = candles[index]!;
      if (candle.startS < fromS) return;
      open = candle.open;
      high = max(high, candle.high);
      low = min(low, candle.low);
      volume += candle.volume;
      turnover += candle.turnover;
    }
  };
  take(hours, hours.length, hoursFromS);
  take(minutes, placeOf(minutes, hoursFromS), sinceS);
  return { open, high, low, volume, turnover };
};

/** The place of the first candle that starts at `startS` or later. */
const placeOf = (candles: readonly Candle[], startS: number): number => {
  let from = 0;
  let to = candles.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (candles[middle]!.startS < startS) from = middle + 1;
    else to = middle;
  }
  return from;
};

/**
 * Invents what came before `beforeMs`: a seeded path that ends at `lastPrice`, in minutes for a day, hours for
 * a month and days for most of a year before that.
 * @param toPrice puts a number on the market's price grid
 * @param minuteVolume typical base volume of a minute, and how to put it on the quantity grid
 */
export const inventHistory = (
  random: Random,
  lastPrice: Price,
  beforeMs: number,
  annualVolatility: number,
  toPrice: (value: number) => Price,
  minuteVolume: number,
  toQuantity: (value: number) => Quantity,
): CandleStore => {
  const endS = alignedStart(Math.floor(beforeMs / 1_000), MINUTE_S);
  const hoursEndS = alignedStart(endS - 26 * HOUR_S, HOUR_S);
  const daysEndS = alignedStart(hoursEndS - 30 * DAY_S, DAY_S);
  const spans = [
    { durationS: MINUTE_S, fromS: hoursEndS, toS: endS },
    { durationS: HOUR_S, fromS: daysEndS, toS: hoursEndS },
    { durationS: DAY_S, fromS: daysEndS - 300 * DAY_S, toS: daysEndS },
  ];
  const newestFirst: { readonly durationS: number; readonly candle: Candle }[] = [];
  let close = toNumber(lastPrice);
  for (const { durationS, fromS, toS } of spans) {
    const sigma = annualVolatility * Math.sqrt(durationS / (365 * DAY_S));
    for (let startS = toS - durationS; startS >= fromS; startS -= durationS) {
      const open = close * Math.exp(-sigma * normal(random));
      const reach = sigma * Math.abs(normal(random)) * 0.5;
      const at = (value: number): Price => toPrice(value);
      const [openPrice, closePrice] = [at(open), at(close)];
      const volume = toQuantity(logNormal(random, (minuteVolume * durationS) / MINUTE_S, 0.6));
      newestFirst.push({
        durationS,
        candle: {
          startS,
          open: openPrice,
          high: max(at(Math.max(open, close) * (1 + reach)), max(openPrice, closePrice)),
          low: min(at(Math.min(open, close) * (1 - reach)), min(openPrice, closePrice)),
          close: closePrice,
          volume,
          turnover: notional(at((open + close) / 2), volume),
        },
      });
      close = open;
    }
  }
  const store = emptyCandles();
  for (const { durationS, candle } of newestFirst.reverse()) {
    if (durationS === MINUTE_S) fold(store.minutes, MINUTE_S, candle, KEPT.minutes);
    if (durationS <= HOUR_S) fold(store.hours, HOUR_S, candle, KEPT.hours);
    fold(store.days, DAY_S, candle, KEPT.days);
  }
  return store;
};

const alignedStart = (startS: number, durationS: number): number => startS - (startS % durationS);

const fold = (candles: Candle[], durationS: number, part: Candle, kept: number): void => {
  const startS = alignedStart(part.startS, durationS);
  const last = candles.at(-1);
  if (last !== undefined && last.startS >= startS) {
    last.high = max(last.high, part.high);
    last.low = min(last.low, part.low);
    last.close = part.close;
    last.volume += part.volume;
    last.turnover += part.turnover;
    return;
  }
  candles.push({ ...part, startS });
  if (candles.length > kept) candles.shift();
};
