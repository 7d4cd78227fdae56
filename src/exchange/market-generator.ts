/**
 * A seeded market that looks like one: participants add and withdraw orders around the fair price of a pair, trade in
 * bursts, now and then sweep through several levels, and take what is priced through the fair price.
 */
import type { Side } from '../domain/instrument.js';
import { touch, withdraw } from '../domain/matching.js';
import { DECIMALS, max, type Quantity, toNumber } from '../domain/money.js';
import { bookChanged } from './book-feed.js';
import {
  FAIR_STEP_MS,
  fairPrice,
  gridPrice,
  gridQuantity,
  halfSpreadBps,
  stepFairValues,
  usualQuantity,
} from './fair-values.js';
import { priceDecimals } from './instruments.js';
import { below, exponential, logNormal, uniform } from './random.js';
import { enterParticipant, takeAsParticipant } from './trading.js';
import { type Flow, later, type Market, type VenueState } from './venue-state.js';

/** Events a second of a calm market; trading excites more. */
const CALM_EVENTS_PER_S = 10;
/** What a trade adds to the activity, and how fast that fades. Each trade leads to about 0.5 others. */
const EXCITEMENT = 0.06;
const EXCITEMENT_FADES_MS = 4_000;
const MOST_ACTIVITY = 6;
/** Share of events that trade; the rest adds and withdraws in balance. */
const TRADE_SHARE = 0.12;
/** Chance that a trade is on the side of the one before. */
const SAME_SIDE = 0.62;
/** Share of trades that sweep to a price instead of taking a quantity, and how far, basis points past the touch. */
const SWEEP_SHARE = 0.12;
const SWEEP_MEAN_BPS = 12;
/** Share of the other trades that are large. */
const LARGE_SHARE = 0.05;
/** Orders a busy market holds on average, and those a quiet one keeps. */
const USUAL_ORDERS = 400;
const QUIET_ORDERS = 360;
/** Share of orders near the touch; the others are up to fifteen times as far away. */
const NEAR_SHARE = 0.6;
/** Orders between these distances from the fair price, basis points, are mostly left alone. */
const DEEP_BPS = 40;
const STALE_BPS = 400;
/** Chance per step that what is priced through the fair price is taken. */
const PICK_OFF_CHANCE = 0.5;

/** Fills an empty book around the fair price and, for a busy market, begins its flow. */
export const beginMarket = (venue: VenueState, market: Market, busy: boolean): void => {
  const flow: Flow = {
    market,
    orders: [],
    activity: 1,
    activityAtMs: venue.now.monoMs,
    lastSide: 'buy',
  };
  for (let count = 0; count < (busy ? USUAL_ORDERS : QUIET_ORDERS); count++)
    addOrder(venue, flow, count % 2 === 0 ? 'buy' : 'sell');
  if (!busy) return;
  venue.flows.set(market.listing.symbol, flow);
  later(venue, nextFlowMs(venue, flow), { type: 'flow', market });
};

/** Begins the movement of fair values. */
export const beginFairValues = (venue: VenueState): void =>
  later(venue, FAIR_STEP_MS / venue.marketPace, { type: 'fair-values' });

/** One step of every fair value; what is then priced through it gets taken. */
export const moveFairValues = (venue: VenueState): void => {
  stepFairValues(venue.fair);
  for (const flow of venue.flows.values()) pickOff(venue, flow);
  beginFairValues(venue);
};

/** One event of a market's flow. */
export const stepFlow = (venue: VenueState, market: Market): void => {
  const { random } = venue.fair;
  const flow = venue.flows.get(market.listing.symbol);
  if (flow === undefined) return;
  if (uniform(random) < TRADE_SHARE) trade(venue, flow);
  else if (uniform(random) < flow.orders.length / (2 * USUAL_ORDERS)) withdrawOne(venue, flow);
  else addOrder(venue, flow, uniform(random) < 0.5 ? 'buy' : 'sell');
  later(venue, nextFlowMs(venue, flow), { type: 'flow', market });
};

const nextFlowMs = (venue: VenueState, flow: Flow): number =>
  exponential(venue.fair.random, 1_000 / (CALM_EVENTS_PER_S * flow.activity * venue.marketPace));

const addOrder = (venue: VenueState, flow: Flow, side: Side): void => {
  const { market } = flow;
  const { random } = venue.fair;
  const { listing } = market;
  const spread = halfSpreadBps(venue.fair, listing);
  const near = uniform(random) < NEAR_SHARE;
  const bps = spread + exponential(random, spread * (near ? 2 : 30));
  const sign = side === 'buy' ? -1 : 1;
  const wanted = fairPrice(venue.fair, listing) * (1 + (sign * bps) / 10_000);
  const quantity = orderSize(venue, flow, near ? 1 : 2.5);
  const step = 10n ** BigInt(DECIMALS - priceDecimals(listing));
  let price = gridPrice(listing, wanted, side === 'buy' ? 'down' : 'up');
  // Adding liquidity never takes any: next to a touch that is in the way.
  const opposite = touch(market.book, side === 'buy' ? 'sell' : 'buy')?.price;
  const crosses = (): boolean =>
    opposite !== undefined && (side === 'buy' ? price >= opposite : price <= opposite);
  if (opposite !== undefined && crosses())
    price = max(step, side === 'buy' ? opposite - step : opposite + step);
  if (crosses()) return;
  const resting = enterParticipant(venue, market, side, price, quantity);
  if (resting !== null) flow.orders.push(resting);
};

const orderSize = (venue: VenueState, flow: Flow, times: number): Quantity => {
  const { listing } = flow.market;
  return gridQuantity(listing, logNormal(venue.fair.random, usualQuantity(venue.fair, listing) * times, 0.9));
};

const withdrawOne = (venue: VenueState, flow: Flow): void => {
  const { orders, market } = flow;
  const { random } = venue.fair;
  const fair = fairPrice(venue.fair, market.listing);
  for (let attempt = 0; attempt < 3 && orders.length > 0; attempt++) {
    const index = below(random, orders.length);
    const order = orders[index]!;
    const distanceBps = Math.abs(toNumber(order.price) / fair - 1) * 10_000;
    const deep = distanceBps > DEEP_BPS && distanceBps < STALE_BPS;
    if (order.level !== null && deep && uniform(random) < 0.7) continue;
    orders[index] = orders[orders.length - 1]!;
    orders.pop();
    if (order.level === null) continue;
    withdraw(market.book, order);
    bookChanged(venue, market);
    return;
  }
};

const trade = (venue: VenueState, flow: Flow): void => {
  const { random } = venue.fair;
  const { market } = flow;
  const side: Side = uniform(random) < SAME_SIDE ? flow.lastSide : flow.lastSide === 'buy' ? 'sell' : 'buy';
  flow.lastSide = side;
  excite(flow, venue.now.monoMs, venue.marketPace);
  const best = touch(market.book, side === 'buy' ? 'sell' : 'buy');
  if (best === undefined) return;
  const sweeps = uniform(random) < SWEEP_SHARE;
  const reachBps = sweeps ? exponential(random, SWEEP_MEAN_BPS) : 500;
  const times = sweeps ? 40 : uniform(random) < LARGE_SHARE ? 6 : 0.35;
  const sign = side === 'buy' ? 1 : -1;
  const limit = gridPrice(
    market.listing,
    toNumber(best.price) * (1 + (sign * reachBps) / 10_000),
    side === 'buy' ? 'down' : 'up',
  );
  takeAsParticipant(venue, market, side, limit, orderSize(venue, flow, times));
};

const excite = (flow: Flow, nowMs: number, pace: number): void => {
  const passedMs = (nowMs - flow.activityAtMs) * pace;
  const faded = (flow.activity - 1) * Math.exp(-passedMs / EXCITEMENT_FADES_MS);
  flow.activity = Math.min(MOST_ACTIVITY, 1 + faded + EXCITEMENT);
  flow.activityAtMs = nowMs;
};

/** Takes orders that the fair price has left behind. */
const pickOff = (venue: VenueState, flow: Flow): void => {
  const { market } = flow;
  const { listing } = market;
  const fair = fairPrice(venue.fair, listing);
  const ask = touch(market.book, 'sell');
  const bid = touch(market.book, 'buy');
  const side: Side | undefined =
    ask !== undefined && toNumber(ask.price) < fair
      ? 'buy'
      : bid !== undefined && toNumber(bid.price) > fair
        ? 'sell'
        : undefined;
  if (side === undefined || uniform(venue.fair.random) >= PICK_OFF_CHANCE) return;
  const limit = gridPrice(listing, fair, side === 'buy' ? 'down' : 'up');
  takeAsParticipant(venue, market, side, limit, orderSize(venue, flow, 8));
};
