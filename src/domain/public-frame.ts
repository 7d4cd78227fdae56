import type { Side } from './instrument.js';
import type { Price, Quantity } from './money.js';

/** The channels a symbol is followed on (protocol section 9.3). */
export const PUBLIC_CHANNELS = ['obdiff', 'orderbook', 'ticker', 'trade'] as const;
export type PublicChannel = (typeof PUBLIC_CHANNELS)[number];

/** What a difference does to one level (protocol section 9.9): replace its total, insert it, delete it. */
export const LEVEL_REPLACE = 0;
export const LEVEL_INSERT = 1;
export const LEVEL_DELETE = 3;

/** A whole book: `ticks, lots` pairs in safe integers, bids descending, asks ascending. */
export interface BookSnapshotFrame {
  readonly type: 'book-snapshot';
  readonly channel: 'obdiff' | 'orderbook';
  readonly symbol: string;
  /** `CS`: counts within one subscription only. */
  readonly changeSet: number;
  readonly bids: readonly number[];
  readonly asks: readonly number[];
}

/** Changes of a book: `action, ticks, lots` triples in safe integers. */
export interface BookDifferenceFrame {
  readonly type: 'book-difference';
  readonly symbol: string;
  readonly changeSet: number;
  readonly bids: readonly number[];
  readonly asks: readonly number[];
}

export interface FrameTrade {
  readonly tradeId: string;
  readonly price: Price;
  readonly quantity: Quantity;
  readonly side: Side;
  readonly tradedAtMs: number;
}

/** One frame of the public socket in domain terms. */
export type PublicFrame =
  /** 991: the connection is one. */
  | { readonly type: 'version' }
  /** 100: an answer to a join or leave, which proves nothing (protocol section 9.3). */
  | {
      readonly type: 'subscription-result';
      readonly channel: string;
      readonly symbol: string;
      readonly join: boolean;
    }
  | BookSnapshotFrame
  | BookDifferenceFrame
  /** 402: repeated about every 750 ms even when nothing changes; 0 ticks stand for a missing side. */
  | {
      readonly type: 'ticker';
      readonly symbol: string;
      readonly bidTicks: number;
      readonly askTicks: number;
      /** Price text of the last trade and base volume of the last day, to see that there was a trade; null when not told. */
      readonly last: string | null;
      readonly dayVolume: number | null;
    }
  /** 421 (`history` true: the last 50 at the time of the join) and 422; oldest first. */
  | {
      readonly type: 'trades';
      readonly symbol: string;
      readonly history: boolean;
      readonly trades: readonly FrameTrade[];
    }
  /** Nothing for us: an unknown model, a channel or symbol that was not asked for. */
  | { readonly type: 'ignored' }
  /** A frame that should have told something and cannot be read. Channel and symbol where they can be made out. */
  | {
      readonly type: 'malformed';
      readonly channel: PublicChannel | null;
      readonly symbol: string | null;
      readonly problem: string;
    };
