import type { BookView } from './book-view.js';
import type { Instrument, Side } from './instrument.js';
import type { Price, Quantity } from './money.js';
import type { Traced } from './step.js';

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

/** What market-data tells strategy and execution. */
export type MarketEvent = BookUpdated | PublicTrade | FeedStatusChanged | InstrumentsListed;
