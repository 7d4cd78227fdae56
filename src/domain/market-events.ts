import type { BookView } from './book-view.js';
import type { Candle, CandleInterval } from './candles.js';
import type { Instrument, Side } from './instrument.js';
import type { Price, Quantity } from './money.js';
import type { EventId, Traced } from './step.js';

/** A new picture of one book. In a full mailbox only the newest per symbol is kept. */
export interface BookUpdated extends Traced {
  readonly type: 'book-updated';
  readonly book: BookView;
}

/** Somebody's trade on the venue (protocol section 9.6). `side` is the aggressor's. */
export interface PublicTrade extends Traced {
  readonly type: 'public-trade';
  readonly symbol: string;
  readonly tradeId: string;
  readonly price: Price;
  readonly quantity: Quantity;
  readonly side: Side;
  /** The venue's time of the trade, Unix ms. */
  readonly tradedAtMs: number;
}

export type FeedState = 'connecting' | 'resyncing' | 'live' | 'stale' | 'disconnected';

/** A change in what can be believed of a feed: nobody downstream may overlook it. */
export interface FeedStatusChanged extends Traced {
  readonly type: 'feed-status-changed';
  readonly symbol: string;
  readonly state: FeedState;
  readonly reason: string;
}

/**
 * What can be traded and how, from the venue's list (protocol section 4.2), reduced to the allowed symbols. Told before
 * the first book to a peer that connects, and again whenever the list changed: nobody downstream reads it for himself.
 */
export interface InstrumentsListed extends Traced {
  readonly type: 'instruments-listed';
  readonly instruments: readonly Instrument[];
}

/** A candle that was closed elsewhere: backtests on candles have no trades to build from. Never sent live. */
export interface CandleClosed extends Traced {
  readonly type: 'candle-closed';
  readonly candle: Candle;
}

/** What the venue's charts have of a series, oldest first; or why it could not be read. Its cause is the wish's id. */
export interface CandlesRead extends Traced {
  readonly type: 'candles-read';
  readonly symbol: string;
  readonly interval: CandleInterval;
  readonly candles: readonly Candle[];
  readonly problem: string | null;
  /** True with a problem that asking again will not solve. */
  readonly final?: boolean;
}

/** Which wishes for candles still wait for the venue, told every few seconds while any does. */
export interface CandlesWaiting extends Traced {
  readonly type: 'candles-waiting';
  /** By the id of the wish: when its turn comes, ms from now, unless the venue asks for a pause. */
  readonly waiting: readonly { readonly wish: EventId; readonly dueInMs: number }[];
}

/** Facts that choose among symbols, from the venue's 24-hour ticker (protocol section 4.3). */
export interface TickersRead extends Traced {
  readonly type: 'tickers-read';
  readonly tickers: readonly MarketTicker[];
}

/** One symbol's last 24 hours. Amounts in quote. */
export interface MarketTicker {
  readonly symbol: string;
  readonly bid: Price;
  readonly ask: Price;
  readonly last: Price;
  /** Base traded in 24 hours. */
  readonly volume: Quantity;
  readonly atMs: number;
}

/** What market-data tells strategy and execution. */
export type MarketEvent =
  | BookUpdated
  | PublicTrade
  | FeedStatusChanged
  | InstrumentsListed
  | CandleClosed
  | CandlesRead
  | CandlesWaiting
  | TickersRead;

/**
 * A strategy's warm-up needs the newest `count` closed candles of a series. Answered by `candles-read`; repeated under the
 * same id while nothing at all is heard of it.
 */
export interface CandlesWanted extends Traced {
  readonly type: 'candles-wanted';
  readonly symbol: string;
  readonly interval: CandleInterval;
  readonly count: number;
}

/** A universe is chosen from tickers: they are wanted from now on, every `everyMs`. */
export interface TickersWanted extends Traced {
  readonly type: 'tickers-wanted';
  readonly everyMs: number;
}

/** What strategy asks of market-data. */
export type MarketWish = CandlesWanted | TickersWanted;
