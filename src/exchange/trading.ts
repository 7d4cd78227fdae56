/**
 * Orders of accounts and participants against the book: entry, matching, settlement, removal. Every change of an
 * account is an event; every match reaches the tape, the book feed and the private feed.
 */
import type { Side } from '../domain/instrument.js';
import {
  hit,
  levelsOf,
  type OnMatch,
  place,
  type RestingOrder,
  rest,
  spend,
  take,
  withdraw,
} from '../domain/matching.js';
import {
  type Amount,
  divide,
  min,
  multiply,
  notional,
  ONE,
  type Price,
  parseDecimal,
  partsPerMillion,
  type Quantity,
  type Rounding,
} from '../domain/money.js';
import type { AccountOrder } from './accounts.js';
import { bookChanged } from './book-feed.js';
import { faultOn } from './faults.js';
import { commissionOf, ratesOf, splitCommission } from './fees.js';
import { tellBalance, tellFill, tellInserted, tellRemoved } from './private-feed.js';
import { publishTrade } from './public-feed.js';
import { below } from './random.js';
import { later, type Market, marketOf, record, serverMs, type VenueState } from './venue-state.js';

/** A budget of less than this is spent: its remainder is dust and goes back. */
const QUOTE_DUST = parseDecimal('0.00000001');

/** What a limit buy locks: its value and the taker's commission on it, rounded up (protocol section 6.7). */
export const reserveOf = (price: Price, quantity: Quantity, takerPpm: number): Amount => {
  const value = multiply(price, quantity, 'up');
  return value + partsPerMillion(value, takerPpm, 'up');
};

/**
 * How much base a quote budget buys at a price, commission included (protocol section 6.1). Rounded down when it is to
 * be bought; the venue shows it rounded half up.
 */
export const affordable = (
  budget: Amount,
  price: Price,
  takerPpm: number,
  rounding: Rounding = 'down',
): Quantity => divide(budget * 1_000_000n * ONE, price * BigInt(1_000_000 + takerPpm), rounding);

/** The next order id: a little above the last one, since others order too. */
export const takeOrderId = (venue: VenueState): number => {
  const orderId = venue.nextOrderId;
  venue.nextOrderId += 1 + below(venue.random, 40);
  return orderId;
};

/** An accepted order reaches the book, or the list of stops. Nothing happens when it was canceled on the way. */
export const enterOrder = (venue: VenueState, order: AccountOrder): void => {
  if (order.status !== 'accepted') return;
  const market = marketOf(venue, order.symbol);
  record(venue, order.account, { type: 'order-entered', orderId: order.orderId, atMs: serverMs(venue) });
  if (order.method === 'stop-limit' || order.method === 'stop-market') {
    market.stops.set(order.orderId, order);
    tellInserted(venue, order);
    checkStopsSoon(venue, market);
    return;
  }
  if (!(goesAtOnce(market, order) && faultOn(venue.faults, 'no-451-when-immediate') !== undefined))
    tellInserted(venue, order);
  const onMatch: OnMatch<AccountOrder | null> = (maker, quantity) =>
    settle(venue, market, maker, quantity, order);
  if (order.method === 'limit')
    order.resting = place(market.book, order.side, order.price, order.remaining, order, onMatch);
  else if (order.quoteQuantity === null) enterMarketQuantity(venue, market, order, onMatch);
  else enterMarketBudget(venue, market, order, onMatch);
  afterMatching(venue, market);
};

/**
 * An order of a restored account goes back to where it was. What was interrupted in the middle of its matching ends
 * with what it got.
 */
export const resumeOrder = (venue: VenueState, order: AccountOrder): void => {
  const market = marketOf(venue, order.symbol);
  if (order.method === 'market' || order.remaining === 0n) {
    if (order.filled > 0n) endOrder(venue, order, 'closed', 'filled', order.filled, 0n);
    else endOrder(venue, order, 'canceled', 'interrupted', order.quantity, order.remaining);
  } else if (order.status === 'accepted') enterOrder(venue, order);
  else if (order.method === 'limit') {
    order.resting = place(market.book, order.side, order.price, order.remaining, order, (maker, quantity) =>
      settle(venue, market, maker, quantity, order),
    );
    afterMatching(venue, market);
  } else market.stops.set(order.orderId, order);
};

/** Puts an order of no account into the book or against it. */
export const enterParticipant = (
  venue: VenueState,
  market: Market,
  side: Side,
  price: Price,
  quantity: Quantity,
): RestingOrder<AccountOrder | null> | null => {
  const resting = place(market.book, side, price, quantity, null, (maker, matched) =>
    settle(venue, market, maker, matched, null),
  );
  afterMatching(venue, market);
  return resting;
};

/** A participant takes what is there, up to a price. */
export const takeAsParticipant = (
  venue: VenueState,
  market: Market,
  side: Side,
  limit: Price | null,
  quantity: Quantity,
): void => {
  take(market.book, side, limit, quantity, (maker, matched) => settle(venue, market, maker, matched, null));
  afterMatching(venue, market);
};

/** A participant trades with one resting order of an account, wherever it stands in the queue. */
export const hitOrder = (
  venue: VenueState,
  market: Market,
  maker: RestingOrder<AccountOrder | null>,
  quantity: Quantity,
  tape: 'publish' | 'silent',
): Quantity => {
  const matched = hit(market.book, maker, quantity, (order, q) =>
    settle(venue, market, order, q, null, tape),
  );
  if (matched > 0n) afterMatching(venue, market);
  return matched;
};

/** Takes an open order off the book or the stops; its funds are free again. `numLeft` is what the 452 shows. */
export const removeOrder = (
  venue: VenueState,
  order: AccountOrder,
  reason: string,
  numLeft: Quantity = order.remaining,
): void => {
  const market = marketOf(venue, order.symbol);
  if (order.resting !== null) {
    withdraw(market.book, order.resting);
    order.resting = null;
    bookChanged(venue, market);
  }
  market.stops.delete(order.orderId);
  endOrder(venue, order, 'canceled', reason, order.quantity, order.remaining);
  tellRemoved(venue, order, numLeft);
  tellBalance(venue, order);
};

/** Whether an order of this account would meet an order of its own. */
export const meetsItself = (
  market: Market,
  order: Pick<AccountOrder, 'account' | 'side' | 'price'>,
): boolean => {
  const opposite = levelsOf(market.book, order.side === 'buy' ? 'sell' : 'buy');
  for (let index = opposite.length - 1; index >= 0; index--) {
    const level = opposite[index]!;
    if (order.price !== 0n && (order.side === 'buy' ? level.price > order.price : level.price < order.price))
      return false;
    for (let resting = level.oldest; resting !== null; resting = resting.newer)
      if (resting.ref?.account === order.account) return true;
  }
  return false;
};

/** Stops are looked at once the matching under way is over. */
export const checkStopsSoon = (venue: VenueState, market: Market): void => {
  if (market.stops.size > 0) later(venue, 0, { type: 'check-stops', market });
};

const afterMatching = (venue: VenueState, market: Market): void => {
  bookChanged(venue, market);
  checkStopsSoon(venue, market);
};

/** A market sell, or a market order by base quantity: what its bound leaves over is canceled. */
const enterMarketQuantity = (
  venue: VenueState,
  market: Market,
  order: AccountOrder,
  onMatch: OnMatch<AccountOrder | null>,
): void => {
  const left =
    order.bound === null
      ? order.remaining
      : take(market.book, order.side, order.bound, order.remaining, onMatch);
  if (left === 0n) return;
  if (order.bound !== null && faultOn(venue.faults, 'market-remainder-rests') !== undefined)
    order.resting = rest(market.book, order.side, order.bound, left, order);
  else removeOrder(venue, order, 'market remainder');
};

/** A market buy: spends its budget; what cannot be spent inside the bound goes back. */
const enterMarketBudget = (
  venue: VenueState,
  market: Market,
  order: AccountOrder,
  onMatch: OnMatch<AccountOrder | null>,
): void => {
  const { takerPpm } = ratesOf(order.account.feeLevel, order.quote);
  if (order.bound !== null)
    spend(
      market.book,
      order.bound,
      price => (order.locked < QUOTE_DUST ? 0n : affordable(order.locked, price, takerPpm)),
      onMatch,
    );
  if (order.locked < QUOTE_DUST) {
    endOrder(venue, order, 'closed', 'filled', order.filled, 0n);
    if (faultOn(venue.faults, '452-after-fill') !== undefined) tellRemoved(venue, order, 0n);
    return;
  }
  const estimate = affordable(order.locked, order.bound ?? market.lastPrice, takerPpm);
  endOrder(venue, order, 'canceled', 'market remainder', order.filled + estimate, estimate);
  tellRemoved(venue, order, estimate);
  tellBalance(venue, order);
};

/** One match: both sides' accounts, if they have one, and the tape. */
const settle = (
  venue: VenueState,
  market: Market,
  maker: RestingOrder<AccountOrder | null>,
  quantity: Quantity,
  taker: AccountOrder | null,
  tape: 'publish' | 'silent' = 'publish',
): void => {
  if (maker.ref !== null) fillOrder(venue, maker.ref, maker.price, quantity, 'maker');
  if (taker !== null) fillOrder(venue, taker, maker.price, quantity, 'taker');
  if (tape === 'publish')
    publishTrade(venue, market, maker.price, quantity, maker.side === 'buy' ? 'sell' : 'buy');
};

const fillOrder = (
  venue: VenueState,
  order: AccountOrder,
  price: Price,
  quantity: Quantity,
  liquidity: 'maker' | 'taker',
): void => {
  const { account } = order;
  const { makerPpm, takerPpm } = ratesOf(account.feeLevel, order.quote);
  const tookBefore =
    faultOn(venue.faults, 'remainder-pays-taker') !== undefined &&
    account.trades.some(trade => trade.order === order && trade.liquidity === 'taker');
  const value = notional(price, quantity);
  const full = commissionOf(value, liquidity === 'taker' || tookBefore ? takerPpm : makerPpm);
  // A buy never costs more than was locked for it: the last units of rounding come off its commission.
  const { fee, tax } = splitCommission(order.side === 'buy' ? min(full, order.locked - value) : full);
  const remaining = order.remaining - quantity;
  record(venue, account, {
    type: 'order-filled',
    orderId: order.orderId,
    tradeId: takeUserTradeId(venue),
    price,
    quantity,
    fee,
    tax,
    liquidity,
    lockedAfter: lockedAfter(order, remaining, value + fee + tax, takerPpm),
    atMs: serverMs(venue),
  });
  tellFill(venue, order, account.trades.at(-1)!);
  if (order.quoteQuantity !== null || order.remaining > 0n) return;
  order.resting = null;
  endOrder(venue, order, 'closed', 'filled', order.quantity, 0n);
  if (faultOn(venue.faults, '452-after-fill') !== undefined) tellRemoved(venue, order, 0n);
};

const lockedAfter = (order: AccountOrder, remaining: bigint, costs: Amount, takerPpm: number): Amount => {
  if (order.side === 'sell') return remaining;
  const left = order.locked - costs;
  return order.quoteQuantity === null ? min(left, reserveOf(order.price, remaining, takerPpm)) : left;
};

const endOrder = (
  venue: VenueState,
  order: AccountOrder,
  status: 'canceled' | 'closed',
  reason: string,
  quantity: Quantity,
  remaining: Quantity,
): void =>
  record(venue, order.account, {
    type: 'order-ended',
    orderId: order.orderId,
    status,
    reason,
    quantity,
    remaining,
    atMs: serverMs(venue),
  });

const takeUserTradeId = (venue: VenueState): bigint => {
  const tradeId = venue.nextUserTradeId;
  const step = faultOn(venue.faults, 'small-ids') === undefined ? 1 + below(venue.random, 1_000_000) : 1;
  venue.nextUserTradeId += BigInt(step);
  return tradeId;
};

const goesAtOnce = (market: Market, order: AccountOrder): boolean => {
  if (order.method !== 'limit') return true;
  let left = order.remaining;
  const opposite = levelsOf(market.book, order.side === 'buy' ? 'sell' : 'buy');
  for (let index = opposite.length - 1; index >= 0 && left > 0n; index--) {
    const level = opposite[index]!;
    if (order.side === 'buy' ? level.price > order.price : level.price < order.price) break;
    left -= level.total;
  }
  return left <= 0n;
};
