/**
 * Price-time matching on exact decimals: the one matching engine of the embedded exchange and of the backtests.
 *
 * Invariants: a book is never crossed by anything placed with {@link place}; the better price trades first and, at one
 * price, the older order; every match happens at the resting order's price; what the taker got is exactly what the
 * resting orders lost. A book belongs to its caller and is updated in place; nothing here keeps a clock or an id.
 */
import type { Side } from './instrument.js';
import { divide, min, type Price, type Quantity } from './money.js';

/** An order in the queue of its level. `ref` is whatever the book's owner attaches to it. */
export interface RestingOrder<Ref> {
  readonly side: Side;
  readonly price: Price;
  /** Base quantity still open; 0 once filled or withdrawn. */
  remaining: Quantity;
  readonly ref: Ref;
  /** The queue's links: read them, never set them. */
  level: BookLevel<Ref> | null;
  older: RestingOrder<Ref> | null;
  newer: RestingOrder<Ref> | null;
}

/** All orders at one price, oldest first. */
export interface BookLevel<Ref> {
  readonly price: Price;
  /** Sum of what its orders have open. */
  total: Quantity;
  oldest: RestingOrder<Ref> | null;
  newest: RestingOrder<Ref> | null;
}

/** Both sides of one market. Levels run from the worst to the best price: the touch is the last element. */
export interface MatchingBook<Ref> {
  readonly bids: BookLevel<Ref>[];
  readonly asks: BookLevel<Ref>[];
}

/** Told of each match, after the maker was reduced; it must not touch the book. The price is the maker's. */
export type OnMatch<Ref> = (maker: RestingOrder<Ref>, quantity: Quantity) => void;

export const emptyBook = <Ref>(): MatchingBook<Ref> => ({ bids: [], asks: [] });

/** The levels on which an order of `side` rests, worst first. */
export const levelsOf = <Ref>(book: MatchingBook<Ref>, side: Side): BookLevel<Ref>[] =>
  side === 'buy' ? book.bids : book.asks;

/** The best level of a side, or `undefined` when the side is empty. */
export const touch = <Ref>(book: MatchingBook<Ref>, side: Side): BookLevel<Ref> | undefined =>
  levelsOf(book, side).at(-1);

/** The level at exactly this price, or `undefined`. */
export const levelAt = <Ref>(
  book: MatchingBook<Ref>,
  side: Side,
  price: Price,
): BookLevel<Ref> | undefined => {
  const levels = levelsOf(book, side);
  const level = levels[positionOf(levels, side, price)];
  return level !== undefined && level.price === price ? level : undefined;
};

/**
 * A limit order: trades against every better or equal opposite price, then rests what is left.
 * @param quantity greater than 0
 * @returns the resting remainder, or null when all of it traded
 */
export const place = <Ref>(
  book: MatchingBook<Ref>,
  side: Side,
  price: Price,
  quantity: Quantity,
  ref: Ref,
  onMatch: OnMatch<Ref>,
): RestingOrder<Ref> | null => {
  const left = take(book, side, price, quantity, onMatch);
  return left === 0n ? null : rest(book, side, price, left, ref);
};

/**
 * Takes up to `quantity` from the opposite side, at `limit` or better (null: at any price).
 * @returns the quantity that found no counterpart
 */
export const take = <Ref>(
  book: MatchingBook<Ref>,
  side: Side,
  limit: Price | null,
  quantity: Quantity,
  onMatch: OnMatch<Ref>,
): Quantity => {
  const opposite = side === 'buy' ? book.asks : book.bids;
  let left = quantity;
  while (left > 0n) {
    const level = opposite[opposite.length - 1];
    if (level === undefined || !reaches(side, limit, level.price)) break;
    const maker = level.oldest!;
    const matched = min(maker.remaining, left);
    left -= matched;
    fill(opposite, level, maker, matched, onMatch);
  }
  return left;
};

/**
 * Buys for a budget instead of a quantity: at each resting order takes as much as `affordable(price)` says, until that
 * is 0 or the limit is reached. The caller's `onMatch` lowers the budget.
 */
export const spend = <Ref>(
  book: MatchingBook<Ref>,
  limit: Price | null,
  affordable: (price: Price) => Quantity,
  onMatch: OnMatch<Ref>,
): void => {
  for (;;) {
    const level = book.asks[book.asks.length - 1];
    if (level === undefined || !reaches('buy', limit, level.price)) return;
    const wanted = affordable(level.price);
    if (wanted <= 0n) return;
    const maker = level.oldest!;
    fill(book.asks, level, maker, min(maker.remaining, wanted), onMatch);
  }
};

/**
 * Joins the queue at `price` without trading: `behind` everybody there, or `ahead` of them (a recorded level that was
 * out of sight when ours joined). The caller makes sure that it does not cross.
 */
export const rest = <Ref>(
  book: MatchingBook<Ref>,
  side: Side,
  price: Price,
  quantity: Quantity,
  ref: Ref,
  where: 'behind' | 'ahead' = 'behind',
): RestingOrder<Ref> => {
  const levels = levelsOf(book, side);
  const position = positionOf(levels, side, price);
  let level = levels[position];
  if (level === undefined || level.price !== price) {
    level = { price, total: 0n, oldest: null, newest: null };
    if (position === levels.length) levels.push(level);
    else levels.splice(position, 0, level);
  }
  const order: RestingOrder<Ref> = { side, price, remaining: quantity, ref, level, older: null, newer: null };
  level.total += quantity;
  if (level.newest === null) {
    level.oldest = order;
    level.newest = order;
  } else if (where === 'behind') {
    order.older = level.newest;
    level.newest.newer = order;
    level.newest = order;
  } else {
    order.newer = level.oldest;
    level.oldest!.older = order;
    level.oldest = order;
  }
  return order;
};

/** Takes an order off the book; nothing happens when it has already left. */
export const withdraw = <Ref>(book: MatchingBook<Ref>, order: RestingOrder<Ref>): void => {
  reduce(book, order, order.remaining);
};

/** Lowers what an order has open, keeping its place in the queue; at 0 it leaves the book. */
export const reduce = <Ref>(book: MatchingBook<Ref>, order: RestingOrder<Ref>, by: Quantity): void => {
  const level = order.level;
  if (level === null) return;
  order.remaining -= by;
  level.total -= by;
  if (order.remaining === 0n) unlink(levelsOf(book, order.side), level, order);
};

/** Raises what an order has open without moving it: for an aggregate of many orders whose tail has grown. */
export const enlarge = <Ref>(order: RestingOrder<Ref>, by: Quantity): void => {
  if (order.level === null) return;
  order.remaining += by;
  order.level.total += by;
};

/**
 * A resting order trades outside {@link take}: a recorded trade reached it. The match is reported as usual.
 * @returns the quantity traded
 */
export const hit = <Ref>(
  book: MatchingBook<Ref>,
  maker: RestingOrder<Ref>,
  quantity: Quantity,
  onMatch: OnMatch<Ref>,
): Quantity => {
  const level = maker.level;
  if (level === null) return 0n;
  const matched = min(maker.remaining, quantity);
  fill(levelsOf(book, maker.side), level, maker, matched, onMatch);
  return matched;
};

/**
 * The worst price a market order may reach: a share of the best opposite price at submission (protocol section 6.3).
 * @returns `undefined` when there is nobody to trade with
 */
export const marketBound = <Ref>(book: MatchingBook<Ref>, side: Side, percent: bigint): Price | undefined => {
  const best = touch(book, side === 'buy' ? 'sell' : 'buy');
  if (best === undefined) return undefined;
  const distance = divide(best.price * percent, 100n, 'down');
  return side === 'buy' ? best.price + distance : best.price - distance;
};

const reaches = (side: Side, limit: Price | null, price: Price): boolean =>
  limit === null || (side === 'buy' ? price <= limit : price >= limit);

const fill = <Ref>(
  levels: BookLevel<Ref>[],
  level: BookLevel<Ref>,
  maker: RestingOrder<Ref>,
  matched: Quantity,
  onMatch: OnMatch<Ref>,
): void => {
  maker.remaining -= matched;
  level.total -= matched;
  if (maker.remaining === 0n) unlink(levels, level, maker);
  onMatch(maker, matched);
};

const unlink = <Ref>(levels: BookLevel<Ref>[], level: BookLevel<Ref>, order: RestingOrder<Ref>): void => {
  if (order.older === null) level.oldest = order.newer;
  else order.older.newer = order.newer;
  if (order.newer === null) level.newest = order.older;
  else order.newer.older = order.older;
  order.level = null;
  order.older = null;
  order.newer = null;
  if (level.oldest !== null) return;
  if (levels[levels.length - 1] === level) levels.pop();
  else levels.splice(positionOf(levels, order.side, order.price), 1);
};

/** Most activity is near the touch, at the array's end: look there before halving. */
const NEAR_TOUCH = 4;

/** Index of the level at `price`, or where it has to be inserted. */
const positionOf = <Ref>(levels: BookLevel<Ref>[], side: Side, price: Price): number => {
  let high = levels.length;
  const near = Math.max(0, high - NEAR_TOUCH);
  while (high > near) {
    const above = levels[high - 1]!.price;
    if (side === 'buy' ? above < price : above > price) return high;
    high -= 1;
    if (above === price) return high;
  }
  let low = 0;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = levels[middle]!.price;
    if (side === 'buy' ? at < price : at > price) low = middle + 1;
    else high = middle;
  }
  return low;
};
