/**
 * What strategies ask of the market beside its feed: candles from before their start, and tickers of the last 24 hours.
 * One request at a time, so that a start with many series stays far below the venue's limit (protocol section 8).
 */
import { CANDLE_LENGTHS_MS, type Candle, type CandleInterval } from '../domain/candles.js';
import type { CandlesRead, CandlesWanted, MarketWish, TickersRead } from '../domain/market-events.js';
import { type EventIds, nextEventId } from '../domain/step.js';
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
/** Wishes that wait; the oldest goes, and is asked for again. */
const MAX_WAITING = 200;

export interface MarketWishes {
  /** Takes a wish; its answer comes through `tell`, sooner or later or never. */
  wish(wish: MarketWish): void;
  close(): Promise<void>;
}

export interface MarketWishesOptions {
  readonly client: Pick<RestClient, 'read' | 'close'>;
  readonly symbols: readonly string[];
  readonly ids: EventIds;
  readonly wallMs: () => number;
  readonly tell: (answer: CandlesRead | TickersRead) => void;
}

export const createMarketWishes = (options: MarketWishesOptions): MarketWishes => {
  const { client, ids, symbols, tell } = options;
  let waiting: MarketWish[] = [];
  let running = false;
  let closed = false;

  const answer = async (wish: MarketWish): Promise<void> => {
    if (wish.type === 'candles-wanted') {
      const read = await readCandles(client, wish, options.wallMs());
      const { symbol, interval } = wish;
      if (!closed)
        tell({ type: 'candles-read', id: nextEventId(ids), cause: wish.id, symbol, interval, ...read });
      return;
    }
    const result = await client.read({ type: 'day-tickers' });
    // Without an answer the choice stands until the next one.
    if (closed || !result.ok) return;
    const tickers = result.value.tickers.filter(({ symbol }) => symbols.includes(symbol));
    tell({ type: 'tickers-read', id: nextEventId(ids), cause: wish.id, tickers });
  };
  const run = async (): Promise<void> => {
    if (running) return;
    running = true;
    for (let wish = waiting.shift(); wish !== undefined && !closed; wish = waiting.shift())
      await answer(wish);
    running = false;
  };

  return {
    wish(wish) {
      if (closed) return;
      waiting.push(wish);
      if (waiting.length > MAX_WAITING) waiting.shift();
      void run();
    },
    async close() {
      closed = true;
      waiting = [];
      await client.close();
    },
  };
};

/** The newest `count` closed candles of a series, as far as the charts have them. */
export const readCandles = async (
  client: Pick<RestClient, 'read'>,
  { symbol, interval, count }: Pick<CandlesWanted, 'symbol' | 'interval' | 'count'>,
  nowMs: number,
): Promise<{ readonly candles: readonly Candle[]; readonly problem: string | null }> => {
  const lengthMs = CANDLE_LENGTHS_MS[interval];
  const toMs = nowMs - (nowMs % lengthMs);
  const result = await client.read({
    type: 'candles',
    symbol,
    resolution: RESOLUTIONS[interval],
    fromMs: toMs - count * lengthMs,
    toMs,
  });
  if (!result.ok) return { candles: [], problem: failureText(result.failure) };
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
  return { candles, problem: null };
};
