/**
 * Pictures of a market's book as it is shown, with ours in it. Most of them nobody looks at before the next one comes,
 * so a picture takes the book's arrays as they are; its levels are laid out when they are first looked at.
 */
import type { Side } from '../domain/instrument.js';
import {
  copyLevels,
  depthOf,
  giveLevelsBack,
  type LevelsOfBook,
  lotsAt,
  type OrderBook,
  roomForLevels,
  sideOf,
  type TakenLevels,
  takeLevels,
  ticksAt,
  WINDOW_LEVELS,
} from '../domain/order-book.js';

/** Where a level is shown otherwise than stated: so many lots, or so many fewer than stated when negative. */
export type Shown = readonly [ticks: number, lots: number];

/** By side, best first; a price may stand there twice. */
export type Overlay = Readonly<Record<Side, readonly Shown[]>>;

/** One book as it was shown; made by {@link Pictures}. */
export class Picture {
  /** As the frames state it; null once it was given back. */
  book: TakenLevels | null;
  readonly overlay: Overlay;
  readonly #pictures: Pictures;
  #levels: Float64Array | null = null;

  constructor(book: TakenLevels, overlay: Overlay, pictures: Pictures) {
    this.book = book;
    this.overlay = overlay;
    this.#pictures = pictures;
  }

  /** In the layout of book-view.ts. @throws Error when it was given back before anybody looked */
  get levels(): Float64Array {
    if (this.#levels !== null) return this.#levels;
    if (this.book === null)
      throw new Error('this picture of a book was replaced by a newer one before anybody looked at it');
    this.#levels = this.#pictures.layOut(this.book, this.overlay);
    return this.#levels;
  }
}

/** Numbers taken from the runtime at a time: an array of its own for each picture would cost more than filling it. */
const SLAB = 32_768;
const PICTURE_MAX = 2 + 4 * WINDOW_LEVELS;
const NOTHING: readonly Shown[] = [];

/** The pictures of one market's book. */
export class Pictures {
  readonly #book: OrderBook;
  /** Levels that nobody needs any more. */
  readonly #room: TakenLevels[] = [];
  #slab = new Float64Array(0);
  #used = 0;

  constructor(book: OrderBook) {
    this.#book = book;
  }

  /**
   * The book as it is shown now.
   * @param last the newest picture, which comes back when this one would be no different
   */
  take(overlay: Overlay, last?: Picture): Picture {
    const stated = last?.book ?? null;
    // What is shown otherwise is the same list, or a new one.
    const likeness =
      stated === null || last?.overlay !== overlay ? 'unknown' : likenessOf(stated, this.#book, overlay);
    if (last !== undefined && likeness === 'same') return last;
    const levels = this.#room.pop() ?? roomForLevels();
    takeLevels(levels, this.#book);
    const picture = new Picture(levels, overlay, this);
    if (last === undefined || likeness === 'different' || !isSame(picture.levels, last.levels))
      return picture;
    this.giveBack(picture);
    return last;
  }

  /** Nobody will look at a picture for the first time any more; its levels, if they were made, stay as they are. */
  giveBack(picture: Picture): void {
    if (picture.book === null) return;
    giveLevelsBack(picture.book, this.#book);
    this.#room.push(picture.book);
    picture.book = null;
  }

  /** The levels of a book as it is shown, in the layout of book-view.ts. */
  layOut(book: LevelsOfBook, overlay: Overlay): Float64Array {
    if (this.#used + PICTURE_MAX > this.#slab.length) {
      this.#slab = new Float64Array(SLAB);
      this.#used = 0;
    }
    const slab = this.#slab;
    const begin = this.#used;
    let used = begin + 2;
    for (const side of SIDES) {
      const from = used;
      const shown = ofSide(overlay, side);
      if (shown.length > 0) used = overlaid(book, side, shown, slab, from);
      else {
        const levels = sideOf(book, sideName(side));
        const most = Math.min(levels.count, WINDOW_LEVELS);
        copyLevels(levels, 0, most, slab, from);
        used = from + 2 * most;
      }
      slab[side === 'buy' ? begin : begin + 1] = (used - from) / 2;
    }
    this.#used = used;
    return slab.subarray(begin, used);
  }
}

/** Whether two books with the same overlay are shown alike; `unknown` where the overlay has a part in it. */
const likenessOf = (
  left: LevelsOfBook,
  right: LevelsOfBook,
  overlay: Overlay,
): 'same' | 'different' | 'unknown' => {
  let likeness: 'same' | 'unknown' = 'same';
  for (const side of SIDES) {
    const which = sideName(side);
    const shown = ofSide(overlay, side);
    const depth = firstDifference(left, right, which);
    if (depth === -1) continue;
    const first = ticksAt(left, which, depth);
    const second = ticksAt(right, which, depth);
    // What is put in before it may push it out of sight.
    if (depth + shown.length < WINDOW_LEVELS && !isAmong(shown, first) && !isAmong(shown, second))
      return 'different';
    likeness = 'unknown';
  }
  return likeness;
};

const isAmong = (shown: readonly Shown[], ticks: number): boolean => {
  for (const each of shown) if (each[0] === ticks) return true;
  return false;
};

/** The depth of the first level in sight in which two books differ; -1 for none. */
const firstDifference = (left: LevelsOfBook, right: LevelsOfBook, which: 'bids' | 'asks'): number => {
  const { pairs, count } = sideOf(left, which);
  const { pairs: others, count: otherCount } = sideOf(right, which);
  const shared = Math.min(count, otherCount, WINDOW_LEVELS);
  let at = 2 * count - 1;
  let other = 2 * otherCount - 1;
  for (let depth = 0; depth < shared; depth++) {
    if (pairs[at] !== others[other] || pairs[at - 1] !== others[other - 1]) return depth;
    at -= 2;
    other -= 2;
  }
  return shared < WINDOW_LEVELS && count !== otherCount ? shared : -1;
};

const isSame = (left: Float64Array, right: Float64Array): boolean => {
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false;
  return true;
};

/**
 * Writes the levels of a side with what is shown otherwise in its place. It runs for every book that a strategy looks
 * at: nothing here makes an object.
 * @returns the end of what was written
 */
const overlaid = (
  book: LevelsOfBook,
  side: Side,
  shown: readonly Shown[],
  target: Float64Array,
  begin: number,
): number => {
  const which = sideName(side);
  const levels = sideOf(book, which);
  const count = Math.min(levels.count, WINDOW_LEVELS);
  const most = begin + 2 * WINDOW_LEVELS;
  let to = begin;
  let depth = 0;
  for (let index = 0; index <= shown.length; index++) {
    const each = shown[index];
    const place = each === undefined ? count : Math.min(depthOf(book, which, each[0]), count);
    // What is stated down to there, as far as there is room.
    if (place > depth) {
      const end = Math.min(place, depth + (most - to) / 2);
      copyLevels(levels, depth, end, target, to);
      to += 2 * (end - depth);
      depth = place;
    }
    if (each === undefined) break;
    const ticks = each[0];
    const lots = each[1];
    const isStated = place === depth && place < count && ticksAt(book, which, place) === ticks;
    const stated = isStated ? lotsAt(book, which, ticks) : 0;
    if (isStated) depth += 1;
    const left = lots > 0 ? lots : stated + lots;
    if (left <= 0 || to === most) continue;
    target[to++] = ticks;
    target[to++] = left;
  }
  return to;
};

export const NO_OVERLAY: Overlay = { buy: NOTHING, sell: NOTHING };

/** What is kept for a side, without a look-up by its name. */
export const ofSide = <Kept>(kept: Readonly<Record<Side, Kept>>, side: Side): Kept =>
  side === 'buy' ? kept.buy : kept.sell;

export const SIDES = ['buy', 'sell'] as const;
/** The side of the book where an order of this side stands. */
export const sideName = (side: Side): 'bids' | 'asks' => (side === 'buy' ? 'bids' : 'asks');
