/** Public reads beyond those every brain may ask for: books, trades and candles, for tools, recordings and doctors. */
import type { Side } from '../domain/instrument.js';
import type { MarketTicker } from '../domain/market-events.js';
import type { Price, Quantity } from '../domain/money.js';
import type { VenueAnswers, VenueRead } from '../domain/venue-port.js';

/** Candle lengths of the chart host (protocol section 4.8). */
export type Resolution = '1' | '5' | '15' | '30' | '60' | '240' | '1D' | '1W' | '1Y';

export type MarketRead =
  /** At most 100 levels a side (protocol section 4.4). */
  | { readonly type: 'order-book'; readonly symbol: string; readonly depth: number }
  /** The newest public trades, at most 50. */
  | { readonly type: 'public-trades'; readonly symbol: string; readonly count: number }
  | {
      readonly type: 'candles';
      readonly symbol: string;
      readonly resolution: Resolution;
      readonly fromMs: number;
      readonly toMs: number;
    }
  /** Every pair's last 24 hours (protocol section 4.3). */
  | { readonly type: 'day-tickers' }
  | {
      readonly type: 'daily-candles';
      readonly symbol: string;
      readonly fromMs: number;
      readonly toMs: number;
    };

export interface BookSide {
  readonly price: Price;
  readonly quantity: Quantity;
}

export interface Candle {
  readonly openedAtMs: number;
  readonly open: Price;
  readonly high: Price;
  readonly low: Price;
  readonly close: Price;
  readonly volume: Quantity;
}

export interface MarketAnswers {
  'order-book': {
    readonly atMs: number;
    /** Best first. */
    readonly bids: readonly BookSide[];
    readonly asks: readonly BookSide[];
  };
  /** Oldest first. */
  'public-trades': {
    readonly trades: readonly {
      readonly tradeId: string;
      readonly price: Price;
      readonly quantity: Quantity;
      readonly side: Side;
      readonly tradedAtMs: number;
    }[];
  };
  candles: { readonly candles: readonly Candle[] };
  'day-tickers': { readonly tickers: readonly MarketTicker[] };
  'daily-candles': { readonly candles: readonly Candle[] };
}

/** Every read the adapter knows. */
export type BtcturkRead = VenueRead | MarketRead;
export type BtcturkAnswers = VenueAnswers & MarketAnswers;
