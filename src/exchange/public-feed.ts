/** Public channels of the socket: joining, leaving, and everything but the books (protocol section 9.3). */
import type { Side } from '../domain/instrument.js';
import { formatFixed, type Price, type Quantity } from '../domain/money.js';
import { joinBook, publishFullBook } from './book-feed.js';
import { addTrade, candlesBetween, DAY_S, resolutionSeconds } from './candles.js';
import { sendFrame, sendToSubscriber } from './frames.js';
import { candlesOf } from './market-history.js';
import { tickerFrame, tickerItem } from './ticker.js';
import {
  type Channel,
  later,
  type Market,
  type SocketSession,
  type Subscription,
  serverMs,
  type TapeTrade,
  type VenueState,
} from './venue-state.js';
import { exact, toJson } from './wire.js';

/** Pace of the ticker and of the full book, ms. */
export const SLOW_INTERVAL_MS = 750;
const TAPE_LENGTH = 50;
const CHANNELS: readonly string[] = ['obdiff', 'orderbook', 'trade', 'ticker', 'tradeview'];

/** Answers a 151. What cannot be understood is ignored; an unknown pair or channel is acknowledged and stays silent. */
export const subscribe = (
  venue: VenueState,
  session: SocketSession,
  payload: Readonly<Record<string, unknown>>,
): void => {
  const { channel, event, join } = payload;
  if (typeof channel !== 'string' || typeof event !== 'string' || typeof join !== 'boolean') return;
  const key = `${channel}:${event}`;
  const known = session.subscriptions.get(key);
  const words = `${join ? 'join' : 'leave'}|${key}`;
  const acknowledge = (ok: boolean): void =>
    sendFrame(venue, session, `[100,${toJson({ type: 100, ok, message: words })}]`);
  if (!join) {
    if (known !== undefined) dropSubscription(venue, known);
    session.subscriptions.delete(key);
    acknowledge(true);
    return;
  }
  acknowledge(known === undefined);
  if (known !== undefined || !CHANNELS.includes(channel)) return;
  const [symbol = '', resolution = ''] = channel === 'tradeview' ? event.split('_') : [event];
  const resolutionS = channel === 'tradeview' ? resolutionSeconds(resolution) : 0;
  const market = venue.markets.get(symbol);
  const all = channel === 'ticker' && event === 'all';
  if (resolutionS === undefined || (market === undefined && !all)) return;
  const subscription: Subscription = {
    session,
    channel: channel as Channel,
    event,
    resolutionS,
    changeSet: 0,
  };
  session.subscriptions.set(key, subscription);
  greet(venue, market ?? null, subscription);
  if (market === undefined) venue.tickerSubscribers.add(subscription);
  else market.subscribers[subscription.channel].add(subscription);
};

/** Forgets everything a closed socket had joined. */
export const dropSubscriptions = (venue: VenueState, session: SocketSession): void => {
  for (const subscription of session.subscriptions.values()) dropSubscription(venue, subscription);
  session.subscriptions.clear();
};

/** Puts a trade on the tape, into the candles and on the socket. */
export const publishTrade = (
  venue: VenueState,
  market: Market,
  price: Price,
  quantity: Quantity,
  side: Side,
  recordedId?: string,
): void => {
  const trade: TapeTrade = {
    tradeId: recordedId ?? String(venue.nextTradeId++),
    price,
    quantity,
    side,
    atMs: serverMs(venue),
  };
  market.tape.push(trade);
  if (market.tape.length > TAPE_LENGTH) market.tape.shift();
  market.lastPrice = price;
  market.candleDirty = true;
  addTrade(candlesOf(venue, market), venue.now.wallMs, price, quantity);
  if (market.subscribers.trade.size === 0) return;
  const { symbol } = market.listing;
  const text = `[422,{${tradeFields(trade)},"PS":"${symbol}","S":${side === 'buy' ? 0 : 1},"channel":"trade","event":"${symbol}","type":422}]`;
  for (const subscription of market.subscribers.trade) sendToSubscriber(venue, subscription, market, text);
};

/** Sends the paced channels, and comes again while somebody listens. */
export const publishSlow = (venue: VenueState): void => {
  venue.slowDue = false;
  let listeners = venue.tickerSubscribers.size;
  for (const market of venue.markets.values()) {
    const { ticker, orderbook, tradeview } = market.subscribers;
    listeners += ticker.size + orderbook.size + tradeview.size;
    if (ticker.size > 0) {
      const text = tickerFrame(venue, market);
      for (const subscription of ticker) sendToSubscriber(venue, subscription, market, text);
    }
    publishFullBook(venue, market);
    if (market.candleDirty) {
      market.candleDirty = false;
      for (const subscription of tradeview) sendCandle(venue, market, subscription);
    }
  }
  if (venue.tickerSubscribers.size > 0) {
    const text = allTickers(venue);
    for (const subscription of venue.tickerSubscribers) sendToSubscriber(venue, subscription, null, text);
  }
  if (listeners > 0) scheduleSlow(venue);
};

const greet = (venue: VenueState, market: Market | null, subscription: Subscription): void => {
  switch (subscription.channel) {
    case 'obdiff':
      if (market !== null) joinBook(venue, market, subscription);
      return;
    case 'orderbook':
      if (market !== null) joinBook(venue, market, subscription);
      break;
    case 'trade':
      if (market !== null) sendToSubscriber(venue, subscription, market, tapeFrame(market));
      return;
    case 'ticker':
      sendToSubscriber(
        venue,
        subscription,
        market,
        market === null ? allTickers(venue) : tickerFrame(venue, market),
      );
      break;
    case 'tradeview':
      if (market !== null) sendCandle(venue, market, subscription);
      break;
  }
  scheduleSlow(venue);
};

const scheduleSlow = (venue: VenueState): void => {
  if (venue.slowDue) return;
  venue.slowDue = true;
  later(venue, venue.config.slowIntervalMs ?? SLOW_INTERVAL_MS, { type: 'publish-slow' });
};

const dropSubscription = (venue: VenueState, subscription: Subscription): void => {
  venue.tickerSubscribers.delete(subscription);
  const symbol = subscription.event.split('_')[0] ?? '';
  venue.markets.get(symbol)?.subscribers[subscription.channel].delete(subscription);
};

const tradeFields = (trade: TapeTrade): string =>
  `"D":"${trade.atMs}","I":"${trade.tradeId}","A":"${formatFixed(trade.quantity, 10)}","P":"${formatFixed(trade.price, 10)}"`;

/** The 421: the tape, newest first. */
const tapeFrame = (market: Market): string => {
  const { symbol } = market.listing;
  const items = market.tape.map(trade => `{${tradeFields(trade)},"S":${trade.side === 'buy' ? 0 : 1}}`);
  return `[421,{"symbol":"${symbol}","items":[${items.reverse().join(',')}],"channel":"trade","event":"${symbol}","type":421}]`;
};

const allTickers = (venue: VenueState): string =>
  `[401,${toJson({
    type: 401,
    channel: 'ticker',
    event: 'all',
    items: [...venue.markets.values()].map(market => tickerItem(venue, market)),
  })}]`;

/** The 428: the candle under way; nothing before the market's first trade. */
const sendCandle = (venue: VenueState, market: Market, subscription: Subscription): void => {
  const nowS = Math.floor(venue.now.wallMs / 1_000);
  const candle = candlesBetween(
    candlesOf(venue, market),
    subscription.resolutionS,
    nowS - 2 * Math.max(subscription.resolutionS, DAY_S),
    nowS,
  ).at(-1);
  if (candle === undefined) return;
  sendToSubscriber(
    venue,
    subscription,
    market,
    `[428,${toJson({
      D: candle.startS,
      P: market.listing.symbol,
      R: String(subscription.resolutionS / 60),
      O: exact(candle.open),
      H: exact(candle.high),
      L: exact(candle.low),
      C: exact(candle.close),
      V: exact(candle.volume),
      channel: 'tradeview',
      event: subscription.event,
      type: 428,
    })}]`,
  );
};
