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

/**
 * Levels of one side as `key, lots` pairs. Keys ascend to the best level, which is the last pair: most changes are near
 * the touch, where little has to be moved. An ask's key is its negated ticks.
 */
interface SideLevels {
  readonly sign: 1 | -1;
  pairs: Float64Array;
  count: number;
}

interface BookSide extends SideLevels {
  /** Where the pairs that many changes at once make of these are written: the two take turns. */
  spare: Float64Array;
  /** Where somebody else reads these pairs and they must not be written: what is spare once they are left. Else null. */
  instead: Float64Array | null;
}

/** The levels of a book: its own, or as they were, see {@link takeLevels}. */
export interface LevelsOfBook {
  readonly bids: Readonly<SideLevels>;
  readonly asks: Readonly<SideLevels>;
}

/** Levels of a book as they were at some time. */
export interface TakenLevels {
  readonly bids: SideLevels;
  readonly asks: SideLevels;
}

/** The venue's window (protocol section 9.9 rule 6): what a view shows. */
export const WINDOW_LEVELS = 100;
/**
 * Levels kept. An insert may come a frame before the eviction it causes, so a side may be a little over the window;
 * far over it, deletions have been missed.
 */
const LEVELS_MAX = 256;
/** Lots of a deleted level among `ticks, lots` pairs. */
export const GONE = -1;
/** So many old differences in a row are not repeats. */
const IGNORED_MAX = 50;

const noLevels = (sign: 1 | -1): SideLevels => ({ sign, pairs: new Float64Array(2 * LEVELS_MAX), count: 0 });
const side = (sign: 1 | -1): BookSide => ({
  ...noLevels(sign),
  spare: new Float64Array(2 * LEVELS_MAX),
  instead: null,
});

export const initialOrderBook = (): OrderBook => ({
  state: 'empty',
  fault: null,
  changeSet: 0,
  ignoredInARow: 0,
  bids: side(1),
  asks: side(-1),
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
  return changed(book, changeSet, change(book.bids, bids) ?? change(book.asks, asks));
};

/**
 * Applies the next difference of a sequence without gaps that is kept as `ticks, lots` pairs, {@link GONE} lots for a
 * level that is deleted: bids from `from`, asks from `split` to before `to`. Ignored while there is no snapshot.
 */
export const applyNextPairs = (
  book: OrderBook,
  pairs: Float64Array | Int32Array,
  from: number,
  split: number,
  to: number,
): BookVerdict => {
  if (book.state !== 'synced') return 'ignored';
  const fault = changePairs(book.bids, pairs, from, split) ?? changePairs(book.asks, pairs, split, to);
  return changed(book, book.changeSet + 1, fault);
};

const changed = (book: OrderBook, changeSet: number, fault: BookFault | null): BookVerdict => {
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
export const isNext = (changeSet: number, last: number): boolean =>
  changeSet === last + 1 || (last === 0x7fffffff && changeSet === -0x80000000);

const fill = (target: BookSide, levels: ArrayLike<number>): BookFault | null => {
  const count = levels.length / 2;
  if (count > LEVELS_MAX) return 'too-deep';
  if (!Number.isInteger(count)) return 'malformed';
  leaveTaken(target);
  const { pairs, sign } = target;
  let previous = Number.POSITIVE_INFINITY;
  for (let index = 0; index < count; index++) {
    const ticks = levels[2 * index] as number;
    const lots = levels[2 * index + 1] as number;
    const key = ticks * sign;
    if (!isLevel(ticks, lots) || key >= previous) return 'malformed';
    const at = 2 * (count - 1 - index);
    pairs[at] = key;
    pairs[at + 1] = lots;
    previous = key;
  }
  target.count = count;
  return null;
};

const change = (target: BookSide, changes: ArrayLike<number>): BookFault | null => {
  leaveTaken(target);
  let index = target.count;
  for (let at = 0; at < changes.length; at += 3) {
    const action = changes[at];
    const ticks = changes[at + 1] as number;
    const lots = changes[at + 2] as number;
    if (!isLevel(ticks, lots)) return 'malformed';
    const key = ticks * target.sign;
    index = indexOf(target, key, index);
    if (action === LEVEL_DELETE) remove(target, index, key);
    else if (action === LEVEL_REPLACE || action === LEVEL_INSERT) {
      if (!put(target, index, key, lots)) return 'too-deep';
    } else return 'malformed';
  }
  return null;
};

const changePairs = (
  target: BookSide,
  changes: Float64Array | Int32Array,
  from: number,
  to: number,
): BookFault | null => {
  if (from === to) return null;
  if (to - from >= MERGED && mergePairs(target, changes, from, to)) return null;
  leaveTaken(target);
  let index = target.count;
  for (let at = from; at < to; at += 2) {
    const ticks = changes[at] as number;
    const lots = changes[at + 1] as number;
    const gone = lots === GONE;
    if (!isLevel(ticks, gone ? 0 : lots)) return 'malformed';
    const key = ticks * target.sign;
    index = indexOf(target, key, index);
    if (gone) remove(target, index, key);
    else if (!put(target, index, key, lots)) return 'too-deep';
  }
  return null;
};

/** As many numbers of changes are merged with the levels in one go, which is quicker than to move levels for each. */
const MERGED = 6;

/**
 * Applies changes that are in order, best first, and sound: one pass over levels and changes.
 * @returns false when they are not, or when there may be no room for them: nothing was applied
 */
const mergePairs = (
  target: BookSide,
  changes: Float64Array | Int32Array,
  from: number,
  to: number,
): boolean => {
  const { pairs, spare, sign } = target;
  const end = 2 * target.count;
  if (end + to - from > spare.length) return false;
  let read = 0;
  let written = 0;
  let next = end === 0 ? Number.POSITIVE_INFINITY : (pairs[0] as number);
  let previous = Number.NEGATIVE_INFINITY;
  for (let at = to - 2; at >= from; at -= 2) {
    const ticks = changes[at] as number;
    const lots = changes[at + 1] as number;
    const key = ticks * sign;
    if (!isLevel(ticks, lots === GONE ? 0 : lots) || key <= previous) return false;
    previous = key;
    while (next < key) {
      spare[written] = next;
      spare[written + 1] = pairs[read + 1] as number;
      written += 2;
      read += 2;
      next = read < end ? (pairs[read] as number) : Number.POSITIVE_INFINITY;
    }
    if (next === key) {
      read += 2;
      next = read < end ? (pairs[read] as number) : Number.POSITIVE_INFINITY;
    }
    if (lots === GONE) continue;
    spare[written] = key;
    spare[written + 1] = lots;
    written += 2;
  }
  for (; read < end; read++) spare[written++] = pairs[read] as number;
  goOnIn(target, spare);
  target.count = written / 2;
  return true;
};

/** What was written into the spare pairs are the levels now. */
const goOnIn = (target: BookSide, spare: Float64Array): void => {
  target.spare = target.instead ?? target.pairs;
  target.instead = null;
  target.pairs = spare;
};

/** Before pairs are written where they stand: not where somebody has taken them. */
const leaveTaken = (target: BookSide): void => {
  if (target.instead === null) return;
  target.spare.set(target.pairs);
  goOnIn(target, target.spare);
};

const isLevel = (ticks: number, lots: number): boolean =>
  Number.isSafeInteger(ticks) && ticks > 0 && Number.isSafeInteger(lots) && lots >= 0;

/** A search goes down from a guess for so many levels before it halves. */
const NEAR = 6;

/**
 * The place of `key`: of the level with it, or of the next better one.
 * @param guess where to begin: the changes of a frame are mostly in order, best first
 */
const indexOf = ({ pairs, count }: Readonly<SideLevels>, key: number, guess: number): number => {
  let low = 0;
  let high = guess < count ? guess : count;
  if (high < count && (pairs[2 * high] as number) < key) {
    low = high + 1;
    high = count;
  } else {
    for (let left = NEAR; left > 0; left--) {
      if (high === 0 || (pairs[2 * high - 2] as number) < key) return high;
      high -= 1;
    }
  }
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((pairs[2 * middle] as number) < key) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** Where more numbers than these are moved, the runtime's own copying is quicker than a loop. */
const MOVED_BY_HAND = 64;

/** Sets the level that `index` is the place of. @returns false when there is no room for it */
const put = (target: BookSide, index: number, key: number, lots: number): boolean => {
  const { pairs, count } = target;
  const at = 2 * index;
  if (index === count || pairs[at] !== key) {
    if (count >= LEVELS_MAX) return false;
    const end = 2 * count;
    if (end - at > MOVED_BY_HAND) pairs.copyWithin(at + 2, at, end);
    else for (let from = end - 1; from >= at; from--) pairs[from + 2] = pairs[from] as number;
    pairs[at] = key;
    target.count = count + 1;
  }
  pairs[at + 1] = lots;
  return true;
};

const remove = (target: BookSide, index: number, key: number): void => {
  const { pairs, count } = target;
  const at = 2 * index;
  if (index === count || pairs[at] !== key) return;
  const end = 2 * count;
  if (end - at > MOVED_BY_HAND) pairs.copyWithin(at, at + 2, end);
  else for (let from = at + 2; from < end; from++) pairs[from - 2] = pairs[from] as number;
  target.count = count - 1;
};

const isCrossed = ({ bids, asks }: OrderBook): boolean =>
  bids.count > 0 && asks.count > 0 && bestTicks(bids) >= bestTicks(asks);

const bestTicks = ({ pairs, count, sign }: BookSide): number => (pairs[2 * count - 2] as number) * sign;

/** Both sides have a level. */
export const isTwoSided = (book: OrderBook): boolean => book.bids.count > 0 && book.asks.count > 0;

/** Ticks of the best bid or ask; 0 when there is none. */
export const bestBidTicks = ({ bids }: OrderBook): number => (bids.count === 0 ? 0 : bestTicks(bids));
export const bestAskTicks = ({ asks }: OrderBook): number => (asks.count === 0 ? 0 : bestTicks(asks));

/** One side of a book; the runtime looks a property up by a name that varies much more slowly. */
export const sideOf = <Side>(
  book: { readonly bids: Side; readonly asks: Side },
  which: 'bids' | 'asks',
): Side => (which === 'bids' ? book.bids : book.asks);

/** Lots at a price; 0 when there is no such level. */
export const lotsAt = (book: LevelsOfBook, which: 'bids' | 'asks', ticks: number): number => {
  const target = sideOf(book, which);
  const key = ticks * target.sign;
  const index = indexOf(target, key, target.count);
  return index < target.count && target.pairs[2 * index] === key
    ? (target.pairs[2 * index + 1] as number)
    : 0;
};

/** Ticks of the level at `depth` (0 is the best); 0 past the end. */
export const ticksAt = (book: LevelsOfBook, which: 'bids' | 'asks', depth: number): number => {
  const { pairs, count, sign } = sideOf(book, which);
  return depth < count ? (pairs[2 * (count - 1 - depth)] as number) * sign : 0;
};

/** How many levels of a side are better than a price. */
export const depthOf = (book: LevelsOfBook, which: 'bids' | 'asks', ticks: number): number => {
  const target = sideOf(book, which);
  const { pairs, count, sign } = target;
  const index = indexOf(target, ticks * sign, count);
  return count - index - (index < count && pairs[2 * index] === ticks * sign ? 1 : 0);
};

/** Room for the levels of a book. */
export const roomForLevels = (): TakenLevels => ({ bids: noLevels(1), asks: noLevels(-1) });

/**
 * Has `taken` say what the levels of a book are now, whatever becomes of the book. Mostly nothing is copied: the book
 * leaves its arrays to it as soon as it changes, and goes on in those that `taken` brings.
 */
export const takeLevels = (taken: TakenLevels, book: OrderBook): void => {
  takeSide(taken.bids, book.bids);
  takeSide(taken.asks, book.asks);
};

const takeSide = (taken: SideLevels, from: BookSide): void => {
  taken.count = from.count;
  if (from.instead !== null) {
    // Somebody else has them, too, who may give them back at another time.
    taken.pairs.set(from.pairs);
    return;
  }
  from.instead = taken.pairs;
  taken.pairs = from.pairs;
};

/** Nobody will look at what was taken of a book any more: it is room for other levels of that book. */
export const giveLevelsBack = (taken: TakenLevels, book: OrderBook): void => {
  giveSideBack(taken.bids, book.bids);
  giveSideBack(taken.asks, book.asks);
};

const giveSideBack = (taken: SideLevels, to: BookSide): void => {
  if (taken.pairs !== to.pairs || to.instead === null) return;
  taken.pairs = to.instead;
  to.instead = null;
};

/** A copy of the window in the layout of book-view.ts. */
export const levelsOf = ({ bids, asks }: OrderBook): BookLevels => {
  const bidCount = Math.min(bids.count, WINDOW_LEVELS);
  const askCount = Math.min(asks.count, WINDOW_LEVELS);
  const levels = new Float64Array(2 + 2 * (bidCount + askCount));
  levels[0] = bidCount;
  levels[1] = askCount;
  copyLevels(bids, 0, bidCount, levels, 2);
  copyLevels(asks, 0, askCount, levels, 2 + 2 * bidCount);
  return levels;
};

/** Writes the levels of a side from one depth up to another into an array, as `ticks, lots` pairs beginning at `to`. */
export const copyLevels = (
  { pairs, count, sign }: LevelsOfBook['bids'],
  fromDepth: number,
  toDepth: number,
  target: Float64Array,
  to: number,
): void => {
  let at = to;
  for (let from = 2 * (count - 1 - fromDepth), end = 2 * (count - 1 - toDepth); from > end; from -= 2) {
    target[at++] = (pairs[from] as number) * sign;
    target[at++] = pairs[from + 1] as number;
  }
};
