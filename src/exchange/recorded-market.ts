/**
 * A market that follows frames: a recording, or a live public feed that is mirrored. What the frames say of a price
 * level is one queue of nobody's orders; orders of accounts join that queue where it ends.
 *
 * - The book shown is the one the frames state; trades do not change it, the next difference does.
 * - An account's order has the displayed quantity at its price ahead of it. Trades at the price bring it forward, and
 *   fill it once it is in front; a decrease that no trade explains takes from every part of the queue in proportion; an
 *   increase joins behind.
 * - A trade beyond an order's price fills it, up to the traded quantity. So does a level that appears across it, up to
 *   the quantity that appears.
 * - What accounts take from a level stays gone for as long as the frames keep the level.
 * - Beyond the frames' window of 100 levels nothing is known: a level that comes into sight is ahead of ours.
 */
import type { Side } from '../domain/instrument.js';
import {
  enlarge,
  levelAt,
  levelsOf,
  type RestingOrder,
  reduce,
  rest,
  touch,
  withdraw,
} from '../domain/matching.js';
import { divide, min, type Price, type Quantity } from '../domain/money.js';
import type { AccountOrder } from './accounts.js';
import { bookChanged, publishBook, WINDOW_LEVELS } from './book-feed.js';
import { publishTrade } from './public-feed.js';
import { checkStopsSoon, hitOrder } from './trading.js';
import type { Market, MarketActivity, RecordedLevel, VenueState } from './venue-state.js';

/** Carries out what one frame says. */
export const applyActivity = (venue: VenueState, market: Market, activity: MarketActivity): void => {
  switch (activity.type) {
    case 'book':
      applyBook(venue, market, activity.whole, activity.bids, activity.asks);
      if (market.tape.length === 0)
        market.lastPrice =
          touch(market.book, 'buy')?.price ?? touch(market.book, 'sell')?.price ?? market.lastPrice;
      break;
    case 'trade':
      applyTrade(venue, market, activity.price, activity.quantity, activity.side);
      publishTrade(venue, market, activity.price, activity.quantity, activity.side, activity.tradeId);
      checkStopsSoon(venue, market);
      break;
    case 'lost':
      applyBook(venue, market, true, [], []);
      break;
  }
  if (activity.type === 'trade') return;
  bookChanged(venue, market);
  publishBook(venue, market);
};

const applyBook = (
  venue: VenueState,
  market: Market,
  whole: boolean,
  bids: readonly RecordedLevel[],
  asks: readonly RecordedLevel[],
): void => {
  const hidden = { buy: hiddenPrices(venue, market, 'buy'), sell: hiddenPrices(venue, market, 'sell') };
  const sides = [
    ['buy', bids],
    ['sell', asks],
  ] as const;
  // What leaves goes first, so that what comes does not meet orders that are no longer there.
  const raised: { readonly side: Side; readonly level: RecordedLevel; readonly added: Quantity }[] = [];
  for (const [side, levels] of sides) {
    const stated = market.stated[side];
    if (whole) {
      const named = new Set(levels.map(level => level.price));
      for (const price of [...stated.keys()]) if (!named.has(price)) lower(market, side, price, 0n);
    }
    for (const level of levels) {
      const before = stated.get(level.price) ?? 0n;
      if (level.total > before) raised.push({ side, level, added: level.total - before });
      else lower(market, side, level.price, level.total);
    }
  }
  for (const { side, level, added } of raised)
    raise(venue, market, side, level.price, level.total, added, hidden[side].has(level.price));
};

const NOWHERE: ReadonlySet<Price> = new Set();

/** Prices of accounts' orders beyond the worst level in sight, as things are before a frame. */
const hiddenPrices = (venue: VenueState, market: Market, side: Side): ReadonlySet<Price> => {
  const stated = market.stated[side];
  let prices: Set<Price> | undefined;
  for (const account of venue.accounts.values())
    for (const order of account.open.values())
      if (order.resting !== null && order.side === side && order.symbol === market.listing.symbol)
        if (!stated.has(order.price)) {
          prices ??= new Set();
          prices.add(order.price);
        }
  if (prices === undefined || stated.size === 0) return prices ?? NOWHERE;
  if (stated.size < WINDOW_LEVELS) return NOWHERE;
  let worst: Price | undefined;
  for (const price of stated.keys())
    if (worst === undefined || (side === 'buy' ? price < worst : price > worst)) worst = price;
  for (const price of prices)
    if (worst === undefined || (side === 'buy' ? price >= worst : price <= worst)) prices.delete(price);
  return prices;
};

const lower = (market: Market, side: Side, price: Price, total: Quantity): void => {
  const before = market.stated[side].get(price) ?? 0n;
  if (total === 0n) market.stated[side].delete(price);
  else market.stated[side].set(price, total);
  const nobodys = nobodysOrders(market, side, price);
  const present = nobodys.reduce((sum, order) => sum + order.remaining, 0n);
  // At most what is stated; what accounts have taken is not put back.
  const kept = min(present - min(present, before - total), total);
  // What trades had eaten was moved to the end of the queue when they were seen.
  const explained = min(present - kept, takeTraded(market, side, price));
  const cut = present - kept - explained;
  let owed = cut + explained;
  for (const order of nobodys) {
    const share = cut === 0n ? 0n : divide(cut * order.remaining, present, 'down');
    reduce(market.book, order, share);
    owed -= share;
  }
  for (const order of nobodys.reverse()) {
    const share = min(owed, order.remaining);
    reduce(market.book, order, share);
    owed -= share;
  }
};

/** What trades have eaten of a level since it was last stated; asked for once. */
const takeTraded = (market: Market, side: Side, price: Price): Quantity => {
  if (market.traded[side].size === 0) return 0n;
  const traded = market.traded[side].get(price) ?? 0n;
  market.traded[side].delete(price);
  return traded;
};

const raise = (
  venue: VenueState,
  market: Market,
  side: Side,
  price: Price,
  total: Quantity,
  added: Quantity,
  hidden: boolean,
): void => {
  market.stated[side].set(price, total);
  takeTraded(market, side, price);
  const opposite: Side = side === 'buy' ? 'sell' : 'buy';
  let left = added;
  for (;;) {
    const best = touch(market.book, opposite);
    if (best === undefined || (side === 'buy' ? best.price > price : best.price < price)) break;
    const order = best.oldest!;
    if (order.ref === null) {
      // The frames put both on the book at once: the newer one counts.
      market.stated[opposite].delete(best.price);
      withdraw(market.book, order);
    } else if (left === 0n) return;
    else left -= hitOrder(venue, market, order, left, 'publish');
  }
  const present = nobodysOrders(market, side, price).reduce((sum, order) => sum + order.remaining, 0n);
  left = min(left, total - min(total, present));
  if (left === 0n) return;
  if (hidden) rest(market.book, side, price, left, null, 'ahead');
  else joinQueue(market, side, price, left);
};

/** Nobody's quantity joins the end of a queue. */
const joinQueue = (market: Market, side: Side, price: Price, quantity: Quantity): void => {
  const newest = levelAt(market.book, side, price)?.newest;
  if (newest?.ref === null) enlarge(newest, quantity);
  else rest(market.book, side, price, quantity, null);
};

/** A recorded trade: orders of accounts at better prices first, then the queue at its price. */
const applyTrade = (
  venue: VenueState,
  market: Market,
  price: Price,
  quantity: Quantity,
  aggressor: Side,
): void => {
  const side: Side = aggressor === 'buy' ? 'sell' : 'buy';
  let left = quantity;
  for (const order of accountOrdersBeyond(market, side, price)) {
    if (left === 0n) break;
    left -= hitOrder(venue, market, order, left, 'silent');
  }
  let eaten = 0n;
  while (left > 0n && hasAccountOrder(market, side, price)) {
    const order = levelAt(market.book, side, price)!.oldest!;
    if (order.ref === null) {
      const part = min(left, order.remaining);
      reduce(market.book, order, part);
      eaten += part;
      left -= part;
    } else left -= hitOrder(venue, market, order, left, 'silent');
  }
  if (eaten === 0n) return;
  joinQueue(market, side, price, eaten);
  market.traded[side].set(price, (market.traded[side].get(price) ?? 0n) + eaten);
};

const hasAccountOrder = (market: Market, side: Side, price: Price): boolean => {
  let order = levelAt(market.book, side, price)?.oldest ?? null;
  for (; order !== null; order = order.newer) if (order.ref !== null) return true;
  return false;
};

const nobodysOrders = (market: Market, side: Side, price: Price): RestingOrder<AccountOrder | null>[] => {
  const orders: RestingOrder<AccountOrder | null>[] = [];
  let order = levelAt(market.book, side, price)?.oldest ?? null;
  for (; order !== null; order = order.newer) if (order.ref === null) orders.push(order);
  return orders;
};

/** Orders of accounts that are better than a price, best and oldest first. */
const accountOrdersBeyond = (
  market: Market,
  side: Side,
  price: Price,
): RestingOrder<AccountOrder | null>[] => {
  const orders: RestingOrder<AccountOrder | null>[] = [];
  const levels = levelsOf(market.book, side);
  for (let index = levels.length - 1; index >= 0; index--) {
    const level = levels[index]!;
    if (side === 'buy' ? level.price <= price : level.price >= price) break;
    for (let order = level.oldest; order !== null; order = order.newer)
      if (order.ref !== null) orders.push(order);
  }
  return orders;
};
