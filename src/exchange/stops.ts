/**
 * Stop orders (protocol section 6.4): on its trigger a stop order ends as `Canceled` with its full quantity left, and
 * a new order with a higher id, the same client id and method `limit` or `market` takes its place and its funds.
 */
import { marketBound, touch } from '../domain/matching.js';
import type { AccountOrder } from './accounts.js';
import { faultOn } from './faults.js';
import { tellRemoved } from './private-feed.js';
import { takeOrderId } from './trading.js';
import { later, type Market, record, serverMs, type VenueState } from './venue-state.js';

/** Percent of the best opposite price that a market order may go (protocol section 6.3). */
export const MARKET_BOUND_PERCENT = 5n;

/** Triggers every stop whose price has been reached. */
export const checkStops = (venue: VenueState, market: Market): void => {
  for (const order of [...market.stops.values()])
    if (reached(venue, market, order)) trigger(venue, market, order);
};

/** What triggers stops is not documented: the last trade's price, or the touch when the switch says so. */
const reached = (venue: VenueState, market: Market, order: AccountOrder): boolean => {
  const { stopPrice, side } = order;
  if (stopPrice === null) return false;
  const byTouch = faultOn(venue.faults, 'stop-trigger')?.value === 'touch';
  // Before its first trade a market has a price to show, but none that triggers.
  const last = market.tape.at(-1)?.price;
  const price = byTouch ? touch(market.book, side === 'buy' ? 'sell' : 'buy')?.price : last;
  if (price === undefined) return false;
  return side === 'buy' ? price >= stopPrice : price <= stopPrice;
};

const trigger = (venue: VenueState, market: Market, stop: AccountOrder): void => {
  const { account, locked } = stop;
  const atMs = serverMs(venue);
  market.stops.delete(stop.orderId);
  record(venue, account, {
    type: 'order-ended',
    orderId: stop.orderId,
    status: 'canceled',
    reason: 'stop triggered',
    quantity: stop.quantity,
    remaining: stop.remaining,
    atMs,
  });
  tellRemoved(venue, stop, stop.remaining);
  const isLimit = stop.method === 'stop-limit';
  const orderId = takeOrderId(venue);
  record(venue, account, {
    type: 'order-accepted',
    order: {
      orderId,
      clientOrderId: stop.clientOrderId,
      symbol: stop.symbol,
      base: stop.base,
      quote: stop.quote,
      side: stop.side,
      method: isLimit ? 'limit' : 'market',
      // A triggered market order shows its stop price (protocol section 5.4).
      price: isLimit ? stop.price : (stop.stopPrice ?? 0n),
      stopPrice: null,
      quantity: stop.quantity,
      quoteQuantity: stop.quoteQuantity,
      bound: isLimit ? null : (marketBound(market.book, stop.side, MARKET_BOUND_PERCENT) ?? null),
      locked,
    },
    atMs,
  });
  const order = account.open.get(orderId);
  if (order !== undefined) later(venue, venue.config.latency.submitMs, { type: 'enter-order', order });
};
