/**
 * Builds one book from snapshots and differences (protocol sections 9.8 and 9.9). Prices are whole ticks and
 * quantities whole lots in flat arrays of safe integers, so that applying a difference allocates nothing.
 *
 * Invariant: while `state` is `synced` the book is exactly what the venue said; whenever that cannot be vouched for it
 * is `broken`, with the reason, until the next snapshot. No function throws.
 */
import type { BookLevels } from './book-view.js';
import { LEVEL_DELETE, LEVEL_INSERT, LEVEL_REPLACE } from './public-frame.js';

export type BookFault = 'gap' | 'crossed' | 'malformed' | 'too-deep' | 'stuck';

/** What applying a frame did. A fault has broken the book: leave, join again, wait for a snapshot. */
export type BookVerdict = 'applied' | 'ignored' | BookFault;

export interface OrderBook {
  /** `empty`: waiting for the first snapshot. */
  state: 'empty' | 'synced' | 'broken';
  fault: BookFault | null;
  /** Change set of the last applied frame; belongs to one subscription. */
  changeSet: number;
  /** Old differences in a row: a few are repeats, many are a sequence that went back. */
  ignoredInARow: number;
  readonly bids: BookSide;
  readonly asks: BookSide;
}

/** Levels of one side, best first. Keys ascend: a bid's key is its negated ticks. */
interface BookSide {
  readonly sign: 1 | -1;
  readonly keys: Float64Array;
  readonly lots: Float64Array;
  count: number;
}

/** The venue's window (protocol section 9.9 rule 6): what a view shows. */
export const WINDOW_LEVELS = 100;
/**
 * Levels kept. An insert may come a frame before the eviction it causes, so a side may be a little over the window;
 * far over it, deletions have been missed.
 */
const LEVELS_MAX = 256;
/** So many old differences in a row are not repeats. */
const IGNORED_MAX = 50;

const side = (sign: 1 | -1): BookSide => ({
  sign,
  keys: new Float64Array(LEVELS_MAX),
  lots: new Float64Array(LEVELS_MAX),
  count: 0,
});

export const initialOrderBook = (): OrderBook => ({
  state: 'empty',
  fault: null,
  changeSet: 0,
  ignoredInARow: 0,
  bids: side(-1),
  asks: side(1),
});

/** Replaces the book by a snapshot: `ticks, lots` pairs, best first. Valid at any time (rule 4). */
export const applySnapshot = (
  book: OrderBook,
  changeSet: number,
  bids: ArrayLike<number>,
  asks: ArrayLike<number>,
): BookVerdict => {
  if (!Number.isSafeInteger(changeSet)) return breakBook(book, 'malformed');
  const fault = fill(book.bids, bids) ?? fill(book.asks, asks);
  if (fault !== null) return breakBook(book, fault);
  book.changeSet = changeSet;
  book.ignoredInARow = 0;
  book.state = 'synced';
  book.fault = null;
  return isCrossed(book) ? breakBook(book, 'crossed') : 'applied';
};

/** Applies a difference: `action, ticks, lots` triples. Ignored while there is no snapshot to apply it to. */
export const applyDifference = (
  book: OrderBook,
  changeSet: number,
  bids: ArrayLike<number>,
  asks: ArrayLike<number>,
): BookVerdict => {
  if (book.state !== 'synced') return 'ignored';
  if (!isNext(changeSet, book.changeSet)) {
    if (!(changeSet <= book.changeSet)) return breakBook(book, 'gap');
    book.ignoredInARow += 1;
    return book.ignoredInARow > IGNORED_MAX ? breakBook(book, 'stuck') : 'ignored';
  }
  const fault = change(book.bids, bids) ?? change(book.asks, asks);
  if (fault !== null) return breakBook(book, fault);
  book.changeSet = changeSet;
  book.ignoredInARow = 0;
  return isCrossed(book) ? breakBook(book, 'crossed') : 'applied';
};

/** Marks the book as not to be believed until the next snapshot; its levels stay to be looked at. */
export const breakBook = (book: OrderBook, fault: BookFault): BookFault => {
  book.state = 'broken';
  book.fault = fault;
  return fault;
};

/** `CS` may be a signed 32-bit counter (protocol section 9.8), so it may wrap. */
const isNext = (changeSet: number, last: number): boolean =>
  changeSet === last + 1 || (last === 0x7fffffff && changeSet === -0x80000000);

const fill = (target: BookSide, levels: ArrayLike<number>): BookFault | null => {
  const count = levels.length / 2;
  if (count > LEVELS_MAX) return 'too-deep';
  let previous = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < count; index++) {
    const key = (levels[2 * index] as number) * target.sign;
    const lots = levels[2 * index + 1] as number;
    if (!isLevel(key * target.sign, lots) || key <= previous) return 'malformed';
    target.keys[index] = key;
    target.lots[index] = lots;
    previous = key;
  }
  target.count = count;
  return Number.isInteger(count) ? null : 'malformed';
};

const change = (target: BookSide, changes: ArrayLike<number>): BookFault | null => {
  for (let at = 0; at < changes.length; at += 3) {
    const action = changes[at];
    const ticks = changes[at + 1] as number;
    const lots = changes[at + 2] as number;
    if (!isLevel(ticks, lots)) return 'malformed';
    const key = ticks * target.sign;
    const index = indexOf(target, key);
    const known = index < target.count && target.keys[index] === key;
    if (action === LEVEL_DELETE) {
      if (known) remove(target, index);
    } else if (action === LEVEL_REPLACE || action === LEVEL_INSERT) {
      if (!known && !insert(target, index, key)) return 'too-deep';
      target.lots[index] = lots;
    } else return 'malformed';
  }
  return null;
};

const isLevel = (ticks: number, lots: number): boolean =>
  Number.isSafeInteger(ticks) && ticks > 0 && Number.isSafeInteger(lots) && lots >= 0;

/** The place of `key`: of the level with it, or of the first one behind it. */
const indexOf = ({ keys, count }: BookSide, key: number): number => {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as number) < key) low = middle + 1;
    else high = middle;
  }
  return low;
};

const insert = (target: BookSide, index: number, key: number): boolean => {
  if (target.count >= LEVELS_MAX) return false;
  target.keys.copyWithin(index + 1, index, target.count);
  target.lots.copyWithin(index + 1, index, target.count);
  target.keys[index] = key;
  target.count += 1;
  return true;
};

const remove = (target: BookSide, index: number): void => {
  target.keys.copyWithin(index, index + 1, target.count);
  target.lots.copyWithin(index, index + 1, target.count);
  target.count -= 1;
};

const isCrossed = ({ bids, asks }: OrderBook): boolean =>
  bids.count > 0 && asks.count > 0 && -(bids.keys[0] as number) >= (asks.keys[0] as number);

/** Both sides have a level. */
export const isTwoSided = (book: OrderBook): boolean => book.bids.count > 0 && book.asks.count > 0;

/** Ticks of the best bid or ask; 0 when there is none. */
export const bestBidTicks = ({ bids }: OrderBook): number =>
  bids.count === 0 ? 0 : -(bids.keys[0] as number);
export const bestAskTicks = ({ asks }: OrderBook): number =>
  asks.count === 0 ? 0 : (asks.keys[0] as number);

/** Lots at a price; 0 when there is no such level. */
export const lotsAt = (book: OrderBook, which: 'bids' | 'asks', ticks: number): number => {
  const target = book[which];
  const key = ticks * target.sign;
  const index = indexOf(target, key);
  return index < target.count && target.keys[index] === key ? (target.lots[index] as number) : 0;
};

/** Ticks of the level at `depth` (0 is the best); 0 past the end. */
export const ticksAt = (book: OrderBook, which: 'bids' | 'asks', depth: number): number => {
  const target = book[which];
  return depth < target.count ? (target.keys[depth] as number) * target.sign : 0;
};

/** A copy of the window in the layout of book-view.ts. */
export const levelsOf = ({ bids, asks }: OrderBook): BookLevels => {
  const bidCount = Math.min(bids.count, WINDOW_LEVELS);
  const askCount = Math.min(asks.count, WINDOW_LEVELS);
  const levels = new Float64Array(2 + 2 * (bidCount + askCount));
  levels[0] = bidCount;
  levels[1] = askCount;
  let at = 2;
  for (let index = 0; index < bidCount; index++) {
    levels[at++] = -(bids.keys[index] as number);
    levels[at++] = bids.lots[index] as number;
  }
  for (let index = 0; index < askCount; index++) {
    levels[at++] = asks.keys[index] as number;
    levels[at++] = asks.lots[index] as number;
  }
  return levels;
};
