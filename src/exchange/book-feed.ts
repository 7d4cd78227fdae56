/**
 * Books on the socket: 431 whole, 432 as differences of a window of 100 levels a side, with a change set number that
 * grows by one per subscription (protocol sections 9.8 and 9.9).
 */
import { type BookLevel, levelsOf } from '../domain/matching.js';
import { formatDecimal, type Price, type Quantity } from '../domain/money.js';
import type { AccountOrder } from './accounts.js';
import { strikes } from './faults.js';
import { sendToSubscriber } from './frames.js';
import { below } from './random.js';
import { later, type Market, type PublishedSide, type Subscription, type VenueState } from './venue-state.js';

/** Levels a side that the feed and the REST book show. */
export const WINDOW_LEVELS = 100;

/** Says that a market's book has changed: subscribers are told soon. */
export const bookChanged = (venue: VenueState, market: Market): void => {
  market.dirty = true;
  market.fullBookDirty = true;
  if (market.publishDue || market.subscribers.obdiff.size === 0) return;
  market.publishDue = true;
  const waitMs = market.publishedAtMs + venue.config.bookIntervalMs - venue.now.monoMs;
  later(venue, Math.max(0, waitMs), { type: 'publish-book', market });
};

/** Sends what has changed since the last difference to everyone who joined `obdiff`. */
export const publishBook = (venue: VenueState, market: Market): void => {
  market.publishDue = false;
  if (!market.dirty || market.subscribers.obdiff.size === 0) return;
  market.publishedAtMs = venue.now.monoMs;
  market.dirty = false;
  const { symbol } = market.listing;
  const asks = moveWindow(market.published.asks, levelsOf(market.book, 'sell'), 'sell');
  const bids = moveWindow(market.published.bids, levelsOf(market.book, 'buy'), 'buy');
  if (asks.length === 0 && bids.length === 0) return;
  if (strikes(venue.faults, 'missing-delete', { symbol }) !== undefined)
    for (const changes of [asks, bids])
      changes.splice(0, changes.length, ...changes.filter(change => !change.startsWith('{"CP":3')));
  const bestAsk = market.published.asks.prices[0];
  if (bestAsk !== undefined && strikes(venue.faults, 'crossed-book', { symbol }) !== undefined)
    bids.push(`{"CP":1,"P":"${formatDecimal((bestAsk * 1_001n) / 1_000n)}","A":"1"}`);
  const rest = `,"PS":"${symbol}","AO":[${asks.join(',')}],"BO":[${bids.join(',')}],"channel":"obdiff","event":"${symbol}","type":432}]`;
  for (const subscription of market.subscribers.obdiff) {
    subscription.changeSet += 1;
    if (strikes(venue.faults, 'cs-gap', { symbol }) !== undefined) continue;
    const text = `[432,{"CS":${subscription.changeSet}${rest}`;
    sendToSubscriber(venue, subscription, market, text);
    if (strikes(venue.faults, 'cs-repeat', { symbol }) !== undefined)
      sendToSubscriber(venue, subscription, market, text);
    if (strikes(venue.faults, 'late-full-book', { symbol }) !== undefined) {
      subscription.changeSet += 1;
      sendToSubscriber(venue, subscription, market, fullBook(market, subscription));
    }
  }
};

/** The first frame of a joined book channel. */
export const joinBook = (venue: VenueState, market: Market, subscription: Subscription): void => {
  subscription.changeSet = 1_000 + below(venue.random, 30_000_000);
  if (subscription.channel === 'obdiff') {
    // Those already there get the differences first, so that one window serves all.
    publishBook(venue, market);
    refreshWindow(market);
    market.dirty = false;
  } else if (market.subscribers.orderbook.size === 0) market.fullBookDirty = false;
  sendToSubscriber(venue, subscription, market, fullBook(market, subscription));
};

/** A 431 for `orderbook` subscribers, when something has changed since the last one. */
export const publishFullBook = (venue: VenueState, market: Market): void => {
  if (!market.fullBookDirty || market.subscribers.orderbook.size === 0) return;
  market.fullBookDirty = false;
  // The differences that led here go first: the two channels never contradict each other for long.
  publishBook(venue, market);
  for (const subscription of market.subscribers.orderbook) {
    subscription.changeSet += 1;
    sendToSubscriber(venue, subscription, market, fullBook(market, subscription));
  }
};

/** Best levels of a side, best first. */
export const bestLevels = (
  market: Market,
  side: 'buy' | 'sell',
  limit: number,
): readonly BookLevel<AccountOrder | null>[] => {
  const levels = levelsOf(market.book, side);
  return levels.slice(Math.max(0, levels.length - limit)).reverse();
};

const fullBook = (market: Market, subscription: Subscription): string => {
  const { symbol } = market.listing;
  const side = (name: 'buy' | 'sell'): string => {
    if (subscription.channel === 'obdiff') {
      const { prices, totals } = name === 'buy' ? market.published.bids : market.published.asks;
      return prices.map((price, index) => levelText(price, totals[index]!)).join(',');
    }
    return shownText(levelsOf(market.book, name));
  };
  return `[431,{"CS":${subscription.changeSet},"PS":"${symbol}","AO":[${side('sell')}],"BO":[${side('buy')}],"channel":"${subscription.channel}","event":"${symbol}","type":431}]`;
};

const levelText = (price: Price, total: Quantity): string =>
  `{"A":"${formatDecimal(total)}","P":"${formatDecimal(price)}"}`;

/** Most levels of a book are as they were in its last frame. */
const levelTexts = new WeakMap<object, { readonly total: Quantity; readonly text: string }>();
const textOf = (level: BookLevel<unknown>): string => {
  const known = levelTexts.get(level);
  if (known?.total === level.total) return known.text;
  const text = levelText(level.price, level.total);
  levelTexts.set(level, { total: level.total, text });
  return text;
};

/** A side's best levels as they were when it was last shown, with their text: most frames repeat one of two sides. */
interface ShownSide {
  readonly levels: readonly BookLevel<unknown>[];
  readonly totals: readonly Quantity[];
  readonly text: string;
}

const shownSides = new WeakMap<object, ShownSide>();

/** The text of the best levels, best first. @param side the book's, worst first */
const shownText = (side: readonly BookLevel<unknown>[]): string => {
  const least = Math.max(0, side.length - WINDOW_LEVELS);
  const shown = shownSides.get(side);
  if (shown !== undefined && isAsShown(side, least, shown)) return shown.text;
  const levels = side.slice(least);
  const totals: Quantity[] = [];
  const texts: string[] = [];
  for (const level of levels) {
    totals.push(level.total);
    texts.push(textOf(level));
  }
  const text = texts.reverse().join(',');
  shownSides.set(side, { levels, totals, text });
  return text;
};

const isAsShown = (
  side: readonly BookLevel<unknown>[],
  least: number,
  { levels, totals }: ShownSide,
): boolean => {
  if (side.length - least !== levels.length) return false;
  for (let index = levels.length - 1; index >= 0; index--) {
    const level = side[least + index]!;
    if (level !== levels[index] || level.total !== totals[index]) return false;
  }
  return true;
};

const refreshWindow = (market: Market): void => {
  moveWindow(market.published.asks, levelsOf(market.book, 'sell'), 'sell');
  moveWindow(market.published.bids, levelsOf(market.book, 'buy'), 'buy');
};

/**
 * Brings a published side up to the book's best 100 levels.
 * @param levels the book's, worst first
 * @returns the changes as wire text: CP 0 replaced, 1 new, 3 gone with its last amount
 */
const moveWindow = (
  published: PublishedSide,
  levels: readonly BookLevel<unknown>[],
  side: 'buy' | 'sell',
): string[] => {
  const changes: string[] = [];
  if (isPublished(published, levels)) return changes;
  const prices: Price[] = [];
  const totals: Quantity[] = [];
  let old = 0;
  const gone = (): void => {
    changes.push(change(3, published.prices[old]!, published.totals[old]!));
    old += 1;
  };
  const end = Math.max(0, levels.length - WINDOW_LEVELS);
  for (let index = levels.length - 1; index >= end; index--) {
    const { price, total } = levels[index]!;
    prices.push(price);
    totals.push(total);
    while (old < published.prices.length) {
      const was = published.prices[old]!;
      if (side === 'buy' ? was <= price : was >= price) break;
      gone();
    }
    if (old < published.prices.length && published.prices[old] === price) {
      if (published.totals[old] !== total) changes.push(change(0, price, total));
      old += 1;
    } else changes.push(change(1, price, total));
  }
  while (old < published.prices.length) gone();
  published.prices = prices;
  published.totals = totals;
  return changes;
};

/** Whether the best levels are what was published; mostly only one side of a book has changed. */
const isPublished = ({ prices, totals }: PublishedSide, levels: readonly BookLevel<unknown>[]): boolean => {
  if (Math.min(levels.length, WINDOW_LEVELS) !== prices.length) return false;
  const best = levels.length - 1;
  for (let index = 0; index < prices.length; index++) {
    const { price, total } = levels[best - index]!;
    if (price !== prices[index] || total !== totals[index]) return false;
  }
  return true;
};

const change = (kind: 0 | 1 | 3, price: Price, total: Quantity): string =>
  `{"CP":${kind},"P":"${formatDecimal(price)}","A":"${formatDecimal(total)}"}`;
