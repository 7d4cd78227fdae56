/**
 * The candles of one strategy: which series it declared, what of them it has seen, and what it waits for. A series
 * whose history is being read delivers nothing before the answer, so that a strategy sees every candle once, in order.
 */
import {
  addTrade,
  type Candle,
  type CandleBuilder,
  type CandleInterval,
  candleBuilder,
  candleProblem,
  continueAfter,
  fillGaps,
  follow,
  formingCandle,
  passTime,
} from './candles.js';
import type { CandlesRead, CandlesWaiting, PublicTrade } from './market-events.js';
import type { EventId } from './step.js';
import type { CandleWish } from './strategy.js';

/** Closed candles a strategy can look back on, or as many as its warm-up needs. */
export const CANDLES_KEPT = 500;
/**
 * History of which nothing is heard is asked for again after this, and so is one that was refused. It is given up after so
 * many questions in silence, or so many refusals; while it is known to wait for its turn, never.
 */
export const HISTORY_AGAIN_MS = 10_000;
export const HISTORY_ASKS_MAX = 6;
/** Trades this far ahead of the clock are somebody's broken clock. */
const FUTURE_MS = 60_000;

export interface CandleSeries {
  readonly builder: CandleBuilder;
  readonly warmUp: number;
  readonly closed: Candle[];
  /** How many of them the strategy has been shown. */
  seen: number;
  /** Own candles that wait for the history before them; null once it is there or given up. */
  waiting: Candle[] | null;
  /** Questions since it was last heard of, and refusals. */
  asks: number;
  refusals: number;
  /** When it was last asked for or heard of. */
  askedMonoMs: number;
  /** Its questions; an answer names one of them as its cause. */
  readonly wishIds: Set<EventId>;
  /** The question that is not answered; a repeat bears the same id. */
  openWish: EventId | null;
  /** When its turn comes at the venue, as far as is known. */
  dueMonoMs: number | null;
}

export type CandleDesk = ReadonlyMap<string, readonly CandleSeries[]>;

const NONE: readonly Candle[] = [];

/** @param history whether somebody answers when history is asked for */
export const candleDesk = (
  symbols: readonly string[],
  wishes: readonly CandleWish[],
  history: boolean,
): CandleDesk =>
  new Map(
    symbols.map(symbol => [
      symbol,
      wishes.map(
        ({ interval, warmUp }): CandleSeries => ({
          builder: candleBuilder(symbol, interval),
          warmUp,
          closed: [],
          seen: 0,
          waiting: history && warmUp > 0 ? [] : null,
          asks: 0,
          refusals: 0,
          wishIds: new Set(),
          openWish: null,
          askedMonoMs: Number.NEGATIVE_INFINITY,
          dueMonoMs: null,
        }),
      ),
    ]),
  );

export const seriesOf = (
  desk: CandleDesk,
  symbol: string,
  interval: CandleInterval,
): CandleSeries | undefined => desk.get(symbol)?.find(({ builder }) => builder.interval === interval);

/** @returns candles to be shown to the strategy now */
export const onTrade = (desk: CandleDesk, trade: PublicTrade, wallMs: number): readonly Candle[] => {
  const all = desk.get(trade.symbol);
  if (all === undefined || all.length === 0 || trade.tradedAtMs > wallMs + FUTURE_MS) return NONE;
  return collect(all, series => addTrade(series.builder, trade));
};

export const onTime = (desk: CandleDesk, wallMs: number): readonly Candle[] => {
  let due: Candle[] | null = null;
  for (const all of desk.values()) {
    const closed = collect(all, series => passTime(series.builder, wallMs));
    if (closed.length > 0) due = due === null ? [...closed] : [...due, ...closed];
  }
  return due ?? NONE;
};

/** A candle that was closed elsewhere, as a backtest on candles has them. One the series is past of is nothing. */
export const onClosedCandle = (desk: CandleDesk, candle: Candle): readonly Candle[] => {
  const series = seriesOf(desk, candle.symbol, candle.interval);
  if (series === undefined || candle.openAtMs < (series.closed.at(-1)?.closeAtMs ?? 0)) return NONE;
  continueAfter(series.builder, candle);
  return collect([series], () => [candle]);
};

/** The feed of a symbol is up or down. */
export const onFeed = (desk: CandleDesk, symbol: string, following: boolean): void => {
  for (const series of desk.get(symbol) ?? []) follow(series.builder, following);
};

/** What came before: it and everything that waited for it. */
export const onHistory = (
  desk: CandleDesk,
  answer: CandlesRead,
): { readonly candles: readonly Candle[]; readonly problem: string | null } => {
  const series = seriesOf(desk, answer.symbol, answer.interval);
  // Another strategy may have asked for the same series with a shorter warm-up.
  if (series === undefined || series.waiting === null || !series.wishIds.has(answer.cause))
    return { candles: NONE, problem: null };
  if (answer.problem !== null) {
    series.refusals += 1;
    series.asks = 0;
    series.openWish = null;
    series.dueMonoMs = null;
    return answer.final !== true && series.refusals < HISTORY_ASKS_MAX
      ? { candles: NONE, problem: answer.problem }
      : { candles: release(series, NONE), problem: answer.problem };
  }
  const sound = answer.candles.filter(candle => candle.closed && candleProblem(candle) === null);
  const odd = answer.candles.find(candle => candleProblem(candle) !== null);
  return { candles: release(series, sound), problem: odd === undefined ? null : candleProblem(odd) };
};

/** What waits for its turn at the venue is not lost: it is neither asked for again nor given up. */
export const onWaiting = (desk: CandleDesk, { waiting }: CandlesWaiting, monoMs: number): void => {
  const dueIn = new Map(waiting.map(({ wish, dueInMs }) => [wish, dueInMs]));
  for (const all of desk.values())
    for (const series of all) {
      const dueInMs = series.openWish === null ? undefined : dueIn.get(series.openWish);
      if (series.waiting === null || dueInMs === undefined) continue;
      series.asks = 0;
      series.askedMonoMs = monoMs;
      series.dueMonoMs = monoMs + dueInMs;
    }
};

/** How many series wait for their history, and when the turn of the last one comes, ms from now; null for none. */
export const historyLeft = (
  desk: CandleDesk,
  monoMs: number,
): { readonly series: number; readonly lastInMs: number | null } | null => {
  let series = 0;
  let last: number | null = null;
  for (const all of desk.values())
    for (const { waiting, dueMonoMs } of all) {
      if (waiting === null) continue;
      series += 1;
      if (dueMonoMs !== null) last = Math.max(last ?? 0, dueMonoMs - monoMs);
    }
  return series === 0 ? null : { series, lastInMs: last };
};

/** Series whose history has to be asked for now; marks them as asked. Gives up those nobody answers. */
export const historyDue = (
  desk: CandleDesk,
  monoMs: number,
): { readonly asks: readonly CandleSeries[]; readonly candles: readonly Candle[] } => {
  const asks: CandleSeries[] = [];
  const candles: Candle[] = [];
  for (const all of desk.values())
    for (const series of all) {
      if (series.waiting === null || monoMs - series.askedMonoMs < HISTORY_AGAIN_MS) continue;
      if (series.asks >= HISTORY_ASKS_MAX) {
        candles.push(...release(series, NONE));
        continue;
      }
      series.asks += 1;
      series.askedMonoMs = monoMs;
      // Nobody has confirmed for a while what was said of its turn.
      series.dueMonoMs = null;
      asks.push(series);
    }
  return { asks, candles };
};

/** A candle is about to be shown to the strategy: it sees this one and none that came with it, as if each had come alone. */
export const noteShown = (desk: CandleDesk, candle: Candle): void => {
  const series = seriesOf(desk, candle.symbol, candle.interval);
  if (series === undefined) return;
  const most = Math.max(CANDLES_KEPT, series.warmUp);
  series.seen += 1;
  series.closed.push(candle);
  if (series.closed.length > 2 * most) series.closed.splice(0, series.closed.length - most);
};

/** How far the warm-up is: the series that is furthest behind, as candles seen of candles needed; null when done. */
export const warmUpLeft = (
  desk: CandleDesk,
): {
  readonly symbol: string;
  readonly interval: CandleInterval;
  readonly seen: number;
  readonly needed: number;
} | null => {
  let worst: CandleSeries | null = null;
  for (const all of desk.values())
    for (const series of all)
      if (
        series.seen < series.warmUp &&
        (worst === null || series.warmUp - series.seen > worst.warmUp - worst.seen)
      )
        worst = series;
  return worst === null
    ? null
    : {
        symbol: worst.builder.symbol,
        interval: worst.builder.interval,
        seen: worst.seen,
        needed: worst.warmUp,
      };
};

export const forming = (desk: CandleDesk, symbol: string, interval: CandleInterval): Candle | undefined => {
  const series = seriesOf(desk, symbol, interval);
  return series === undefined ? undefined : formingCandle(series.builder);
};

const collect = (
  all: readonly CandleSeries[],
  closing: (series: CandleSeries) => readonly Candle[],
): readonly Candle[] => {
  let due: readonly Candle[] = NONE;
  for (const series of all) {
    const closed = closing(series);
    if (closed.length === 0) continue;
    if (series.waiting !== null) {
      series.waiting.push(...closed);
      continue;
    }
    due = due.length === 0 ? closed : [...due, ...closed];
  }
  return due;
};

/** Ends the waiting. Where history and own candles overlap, a complete own one counts, else the venue's. */
const release = (series: CandleSeries, history: readonly Candle[]): readonly Candle[] => {
  const byOpening = new Map(history.map(candle => [candle.openAtMs, candle]));
  for (const own of series.waiting ?? [])
    if (own.complete || !byOpening.has(own.openAtMs)) byOpening.set(own.openAtMs, own);
  series.waiting = null;
  const sorted = [...byOpening.values()].sort((left, right) => left.openAtMs - right.openAtMs);
  const last = sorted.at(-1);
  if (last === undefined) return NONE;
  continueAfter(series.builder, last);
  return fillGaps(sorted);
};
