/**
 * What strategies ask of the market beside its feed: candles from before their start, and tickers of the last 24 hours.
 * One request at a time; which one, and when, is the queue's business (domain/market-wishes.ts).
 */
import { CANDLE_LENGTHS_MS, type Candle, type CandleInterval } from '../domain/candles.js';
import type {
  CandlesRead,
  CandlesWaiting,
  CandlesWanted,
  MarketWish,
  TickersRead,
  TickersWanted,
} from '../domain/market-events.js';
import {
  addWish,
  forgetWishes,
  nextWish,
  type SeriesWish,
  waitsOf,
  wishAnswered,
  wishFailed,
  wishQueue,
  wishThrottled,
} from '../domain/market-wishes.js';
import { type EventId, type EventIds, type Now, nextEventId } from '../domain/step.js';
import type { ReadFailure } from '../domain/venue-port.js';
import { failureText } from './listed-instruments.js';
import type { Resolution } from './market-reads.js';
import type { RestClient } from './rest-client.js';

/** Protocol section 4.8. */
const RESOLUTIONS: Readonly<Record<CandleInterval, Resolution>> = {
  '1m': '1',
  '5m': '5',
  '15m': '15',
  '30m': '30',
  '1h': '60',
  '4h': '240',
  '1d': '1D',
};
/** Those who wait are told how long this often; well within the time after which a strategy asks again. */
export const WAITING_TOLD_MS = 2_000;

export interface MarketWishes {
  /** Takes a wish; its answer comes through `tell`, and until then, now and then, how long it waits. */
  wish(wish: MarketWish): void;
  /** Whoever asked is gone, and whoever comes in its place asks anew. */
  forget(): void;
  /** To be called often: asks what is due. */
  tick(): void;
  close(): Promise<void>;
}

export interface MarketWishesOptions {
  readonly client: Pick<RestClient, 'read' | 'close'>;
  readonly symbols: readonly string[];
  readonly ids: EventIds;
  readonly now: () => Now;
  /** Whether an earlier worker may have asked within the last minute. */
  readonly cold: boolean;
  readonly tell: (answer: CandlesRead | CandlesWaiting | TickersRead) => void;
}

export const createMarketWishes = (options: MarketWishesOptions): MarketWishes => {
  const { client, ids, symbols, tell, now } = options;
  const queue = wishQueue(now().monoMs, options.cold);
  let nextToldMonoMs = Number.NEGATIVE_INFINITY;
  let running = false;
  let closed = false;

  const tellAsker = (
    { symbol, interval }: SeriesWish,
    cause: EventId,
    read: Pick<CandlesRead, 'candles' | 'problem' | 'final'>,
  ): void => tell({ type: 'candles-read', id: nextEventId(ids), cause, symbol, interval, ...read });

  const giveUp = (all: readonly SeriesWish[], problem: string | null): void => {
    for (const lost of all)
      for (const cause of lost.asks.keys()) tellAsker(lost, cause, { candles: [], problem, final: true });
  };

  const answerSeries = async (wish: SeriesWish): Promise<void> => {
    const { symbol, interval } = wish;
    const count = Math.max(...wish.asks.values());
    const { wallMs } = now();
    const read = await readCandles(client, { symbol, interval, count }, wallMs);
    if (closed) return;
    if (read.failure?.type === 'rate-limited') {
      const { retryAfterMs, unsent } = read.failure;
      giveUp(wishThrottled(queue, now().monoMs, retryAfterMs, unsent !== true), read.problem);
      return;
    }
    if (read.failure?.type === 'unavailable') {
      const lost = wishFailed(queue, now().monoMs);
      if (lost !== null) {
        giveUp([wish, ...lost], read.problem);
        return;
      }
    } else wishAnswered(queue);
    const lengthMs = CANDLE_LENGTHS_MS[interval];
    for (const [cause, wanted] of wish.asks) {
      const fromMs = wallMs - (wallMs % lengthMs) - wanted * lengthMs;
      const candles = read.candles.filter(({ openAtMs }) => openAtMs >= fromMs);
      tellAsker(wish, cause, { candles, problem: read.problem });
    }
  };
  const answerTickers = async (wish: TickersWanted): Promise<void> => {
    const result = await client.read({ type: 'day-tickers' });
    // Without an answer the choice stands until the next one.
    if (closed || !result.ok) return;
    const tickers = result.value.tickers.filter(({ symbol }) => symbols.includes(symbol));
    tell({ type: 'tickers-read', id: nextEventId(ids), cause: wish.id, tickers });
  };
  const run = async (): Promise<void> => {
    if (running) return;
    running = true;
    for (
      let wish = nextWish(queue, now().monoMs);
      wish !== null && !closed;
      wish = nextWish(queue, now().monoMs)
    )
      await ('asks' in wish ? answerSeries(wish) : answerTickers(wish));
    running = false;
  };
  const tellWaiting = (): void => {
    const { monoMs } = now();
    const waiting = waitsOf(queue, monoMs);
    if (waiting.length === 0 || monoMs < nextToldMonoMs) return;
    nextToldMonoMs = monoMs + WAITING_TOLD_MS;
    tell({ type: 'candles-waiting', id: nextEventId(ids), cause: 'queue', waiting });
  };

  return {
    wish(wish) {
      if (closed) return;
      addWish(queue, wish);
      void run();
    },
    forget: () => forgetWishes(queue),
    tick() {
      if (closed) return;
      void run();
      tellWaiting();
    },
    async close() {
      closed = true;
      forgetWishes(queue);
      await client.close();
    },
  };
};

/** The newest `count` closed candles of a series, as far as the charts have them. */
export const readCandles = async (
  client: Pick<RestClient, 'read'>,
  { symbol, interval, count }: Pick<CandlesWanted, 'symbol' | 'interval' | 'count'>,
  nowMs: number,
): Promise<{
  readonly candles: readonly Candle[];
  readonly problem: string | null;
  readonly failure: ReadFailure | null;
}> => {
  const lengthMs = CANDLE_LENGTHS_MS[interval];
  const toMs = nowMs - (nowMs % lengthMs);
  const result = await client.read({
    type: 'candles',
    symbol,
    resolution: RESOLUTIONS[interval],
    fromMs: toMs - count * lengthMs,
    toMs,
  });
  if (!result.ok) return { candles: [], problem: failureText(result.failure), failure: result.failure };
  const candles = result.value.candles
    .filter(({ openedAtMs }) => openedAtMs < toMs)
    .map(
      ({ openedAtMs, open, high, low, close, volume }): Candle => ({
        symbol,
        interval,
        openAtMs: openedAtMs,
        closeAtMs: openedAtMs + lengthMs,
        open,
        high,
        low,
        close,
        volume,
        closed: true,
        complete: true,
      }),
    )
    .sort((one, other) => one.openAtMs - other.openAtMs);
  return { candles, problem: null, failure: null };
};
