/**
 * The queue of what strategies ask of the market beside its feed: whose turn it is, and when. Invariants:
 *
 * - a series waits once, whoever asks for it and however often: a question that is repeated keeps its place;
 * - reads of the charts leave at a pace that stays within 80 % of what the venue is assumed to allow, in any minute;
 * - after a 429 nothing leaves before the venue's pause is over, and then no burst does; what waited keeps waiting;
 * - a venue that goes on refusing ends the waiting of all at once: nobody waits for what will not come.
 *
 * All times are monotonic milliseconds. The queue holds at most one entry per series, and one for the tickers.
 */
import type { CandleInterval } from './candles.js';
import type { CandlesWaiting, CandlesWanted, MarketWish, TickersWanted } from './market-events.js';
import type { EventId } from './step.js';

/**
 * Limits of the charts are not published: 60 a minute are assumed (protocol section 8), as the limit of the whole host is
 * 600 in ten minutes. A burst and a minute of the pace are 48; a process that is started again brings a second burst, 60.
 */
export const CHART_BURST = 12;
export const CHART_INTERVAL_MS = 60_000 / 36;
/** Each 429 halves the pace, at most so often: a venue that counts more strictly than assumed goes on doing so. */
const SLOWER_MAX = 2;
/** So many replies 429 without an answer between them are a refusal for good. */
export const CHART_REFUSALS_MAX = 3;
/** Charts that have not been reached for so long, in so many reads, are not there: a read may take many seconds to fail. */
export const CHARTS_GONE_MS = 60_000;
export const CHARTS_GONE_READS = 6;

/** A series that waits, with everyone who asked: how many candles by the id of the question. */
export interface SeriesWish {
  readonly symbol: string;
  readonly interval: CandleInterval;
  readonly asks: Map<EventId, number>;
}

export interface WishQueue {
  /** In the order of asking. */
  waiting: SeriesWish[];
  underWay: SeriesWish | null;
  tickers: TickersWanted | null;
  /** When the pace will have absorbed every read that left. */
  fullAt: number;
  pausedUntil: number;
  slower: number;
  /** Replies 429 since the last answer. */
  refusals: number;
  /** Reads since the charts were last reached, and when the first of them failed. */
  failures: number;
  failingSince: number;
}

/** @param cold whether an earlier worker may just have sent a burst */
export const wishQueue = (nowMonoMs: number, cold: boolean): WishQueue => ({
  waiting: [],
  underWay: null,
  tickers: null,
  fullAt: cold ? nowMonoMs + (CHART_BURST - 1) * CHART_INTERVAL_MS : Number.NEGATIVE_INFINITY,
  pausedUntil: Number.NEGATIVE_INFINITY,
  slower: 0,
  refusals: 0,
  failures: 0,
  failingSince: Number.NEGATIVE_INFINITY,
});

export const addWish = (queue: WishQueue, wish: MarketWish): void => {
  if (wish.type === 'tickers-wanted') {
    // The answer is every strategy's.
    queue.tickers = wish;
    return;
  }
  if (queue.underWay !== null && isOf(queue.underWay, wish) && queue.underWay.asks.has(wish.id)) return;
  const { symbol, interval, id, count } = wish;
  const same = queue.waiting.find(each => isOf(each, wish));
  if (same === undefined) queue.waiting.push({ symbol, interval, asks: new Map([[id, count]]) });
  else same.asks.set(id, count);
};

/** Who asked is gone: what waits is nobody's. */
export const forgetWishes = (queue: WishQueue): void => {
  queue.waiting = [];
  queue.tickers = null;
};

/** What may be asked of the venue now, taken from the queue; null while nothing waits, or must go on waiting. */
export const nextWish = (queue: WishQueue, nowMonoMs: number): SeriesWish | TickersWanted | null => {
  const { tickers } = queue;
  // Another endpoint with a wide limit, and one wish a minute: it never waits behind the charts.
  if (tickers !== null) {
    queue.tickers = null;
    return tickers;
  }
  if (queue.underWay !== null || queue.waiting.length === 0 || turnAt(queue, nowMonoMs, 0) > nowMonoMs)
    return null;
  queue.underWay = queue.waiting.shift() ?? null;
  queue.fullAt = Math.max(queue.fullAt, nowMonoMs) + intervalMs(queue);
  return queue.underWay;
};

/** The series under way was answered, with candles or a refusal of its own. */
export const wishAnswered = (queue: WishQueue): void => {
  queue.underWay = null;
  queue.refusals = 0;
  queue.failures = 0;
};

/**
 * The charts were not reached.
 * @returns null while that may be this read's bad luck; else every series that waits, and waits no longer
 */
export const wishFailed = (queue: WishQueue, nowMonoMs: number): readonly SeriesWish[] | null => {
  queue.underWay = null;
  if (queue.failures === 0) queue.failingSince = nowMonoMs;
  queue.failures += 1;
  const gone = queue.failures >= CHARTS_GONE_READS && nowMonoMs - queue.failingSince >= CHARTS_GONE_MS;
  return gone ? takeAll(queue) : null;
};

/**
 * The venue wants its charts left alone.
 * @param sent whether it said so to this read; false for one that did not leave because of an earlier reply
 * @returns series that wait no longer, since the venue goes on refusing; empty while there is hope
 */
export const wishThrottled = (
  queue: WishQueue,
  nowMonoMs: number,
  retryAfterMs: number,
  sent: boolean,
): readonly SeriesWish[] => {
  const { underWay } = queue;
  queue.underWay = null;
  queue.pausedUntil = Math.max(queue.pausedUntil, nowMonoMs + retryAfterMs);
  if (sent) {
    queue.refusals += 1;
    queue.slower = Math.min(SLOWER_MAX, queue.slower + 1);
  }
  queue.fullAt = Math.max(queue.fullAt, queue.pausedUntil + (CHART_BURST - 1) * intervalMs(queue));
  if (underWay !== null) {
    const again = queue.waiting.findIndex(each => isOf(each, underWay));
    const [later] = again < 0 ? [] : queue.waiting.splice(again, 1);
    for (const [id, count] of later?.asks ?? []) underWay.asks.set(id, count);
    queue.waiting.unshift(underWay);
  }
  return queue.refusals < CHART_REFUSALS_MAX ? [] : takeAll(queue);
};

const takeAll = (queue: WishQueue): readonly SeriesWish[] => {
  const all = queue.waiting;
  queue.waiting = [];
  return all;
};

/** How long everyone waits still, by the id of the question, as far as the pace and the pause decide it. */
export const waitsOf = (queue: WishQueue, nowMonoMs: number): CandlesWaiting['waiting'] => [
  ...[...(queue.underWay?.asks.keys() ?? [])].map(wish => ({ wish, dueInMs: 0 })),
  ...queue.waiting.flatMap(({ asks }, ahead) => {
    const dueInMs = Math.ceil(turnAt(queue, nowMonoMs, ahead) - nowMonoMs);
    return [...asks.keys()].map(wish => ({ wish, dueInMs }));
  }),
];

const isOf = (
  series: SeriesWish,
  { symbol, interval }: Pick<CandlesWanted, 'symbol' | 'interval'>,
): boolean => series.symbol === symbol && series.interval === interval;

const intervalMs = ({ slower }: WishQueue): number => CHART_INTERVAL_MS * 2 ** slower;

/** When the read with so many others ahead of it may leave. */
const turnAt = (queue: WishQueue, nowMonoMs: number, ahead: number): number => {
  const { fullAt, pausedUntil } = queue;
  const every = intervalMs(queue);
  return Math.max(
    nowMonoMs,
    pausedUntil,
    Math.max(fullAt, nowMonoMs, pausedUntil) + (ahead + 1 - CHART_BURST) * every,
  );
};
