import { fromLots, fromTicks, type Instrument } from './instrument.js';
import type { Price, Quantity } from './money.js';

/**
 * A book as it travels between actors: whole ticks and whole lots, as safe integers in one flat array, because a
 * copied Float64Array costs a fraction of cloned objects (design section 6). Layout:
 * `[bidCount, askCount, bidTicks0, bidLots0, …, askTicks0, askLots0, …]`; bids descending, asks ascending.
 * Level quantities finer than a lot are floored: the book informs, it is not money.
 */
export type BookLevels = Float64Array;

/** A book's levels with the facts that decide whether an order may lean on it. */
export interface BookView {
  readonly symbol: string;
  /** Grows by one with every change published for this symbol in this run of the market-data actor. */
  readonly version: number;
  /** False while the chain of differences is broken, the book is crossed or one-sided, or a cross-check failed. */
  readonly trusted: boolean;
  /** 0 to 100, from everything that should agree with the book (book-trust.ts); for people and metrics. */
  readonly trustScore?: number;
  /** Monotonic time at which the last frame behind this view was received. */
  readonly receivedMonoMs: number;
  readonly levels: BookLevels;
}

/**
 * A view with all it says in fields of its own, as one has that came from another thread. Where views are made by the
 * thousand, most levels are never looked at, and are made when they are: whoever may keep, copy or print one gets this.
 */
export const wholeView = (book: BookView): BookView =>
  Object.hasOwn(book, 'levels')
    ? book
    : {
        symbol: book.symbol,
        version: book.version,
        trusted: book.trusted,
        ...(book.trustScore === undefined ? {} : { trustScore: book.trustScore }),
        receivedMonoMs: book.receivedMonoMs,
        levels: book.levels,
      };

/** One price level, exact. */
export interface Level {
  readonly price: Price;
  readonly quantity: Quantity;
}

export const bidCount = (book: BookView): number => book.levels[0] ?? 0;
export const askCount = (book: BookView): number => book.levels[1] ?? 0;

/** Ticks of the bid at `depth` (0 is the best); `undefined` past the end. */
export const bidTicks = (book: BookView, depth = 0): number | undefined =>
  depth < bidCount(book) ? book.levels[2 + 2 * depth] : undefined;
export const bidLots = (book: BookView, depth = 0): number | undefined =>
  depth < bidCount(book) ? book.levels[3 + 2 * depth] : undefined;
/** Ticks of the ask at `depth` (0 is the best); `undefined` past the end. */
export const askTicks = (book: BookView, depth = 0): number | undefined =>
  depth < askCount(book) ? book.levels[2 + 2 * (bidCount(book) + depth)] : undefined;
export const askLots = (book: BookView, depth = 0): number | undefined =>
  depth < askCount(book) ? book.levels[3 + 2 * (bidCount(book) + depth)] : undefined;

/** The best bid, or `undefined` when there is none. */
export const bestBid = (book: BookView, instrument: Instrument): Level | undefined => {
  const ticks = bidTicks(book);
  return ticks === undefined
    ? undefined
    : { price: fromTicks(ticks, instrument), quantity: fromLots(bidLots(book) ?? 0, instrument) };
};

/** The best ask, or `undefined` when there is none. */
export const bestAsk = (book: BookView, instrument: Instrument): Level | undefined => {
  const ticks = askTicks(book);
  return ticks === undefined
    ? undefined
    : { price: fromTicks(ticks, instrument), quantity: fromLots(askLots(book) ?? 0, instrument) };
};

/** The middle of a two-sided book, in ticks (may end on a half); `undefined` when either side is missing. */
export const midTicks = (book: BookView): number | undefined => {
  const bid = bidTicks(book);
  const ask = askTicks(book);
  return bid === undefined || ask === undefined ? undefined : (bid + ask) / 2;
};
