/**
 * The embedded exchange as a step function: requests, frames, market activity and commands in; replies, frames and
 * account events out. Deterministic: state, input and time alone decide, so that one thread under virtual time gives
 * the same bytes twice. The server (`server.ts`), the simulator and the backtests all drive this.
 */
import { emptyBook } from '../domain/matching.js';
import { max, toNumber } from '../domain/money.js';
import type { Now, Stepped } from '../domain/step.js';
import { type Account, AccountError, type AccountEvent, applyAccountEvent, openAccount } from './accounts.js';
import { carryOut } from './admin.js';
import { publishBook } from './book-feed.js';
import { fairPrice, gridPrice, newFairValues, shockFairPrice } from './fair-values.js';
import { emptyFaultBoard, setFault } from './faults.js';
import { handleLateRequest, handleRequest } from './http-api.js';
import { currenciesOf, type Listing } from './instruments.js';
import { beginFairValues, beginMarket, moveFairValues, stepFlow } from './market-generator.js';
import { executeCancel } from './order-entry.js';
import { sendPrivate } from './private-feed.js';
import { publishSlow } from './public-feed.js';
import { randomStream } from './random.js';
import { applyActivity } from './recorded-market.js';
import { emptySchedule, nextDueMs, takeDue } from './schedule.js';
import { endSocket, forgetSocket, keepAlive, openSocket, receiveFrame, receivePong } from './sockets.js';
import { checkStops } from './stops.js';
import { enterOrder, resumeOrder } from './trading.js';
import type {
  Market,
  MarketSource,
  Scheduled,
  VenueConfig,
  VenueEffect,
  VenueInput,
  VenueState,
} from './venue-state.js';

/** Where ids begin: order ids near 3×10^10, user trade ids above 2^53 (protocol section 2.2). */
const FIRST_ORDER_ID = 31_840_000_001;
const FIRST_USER_TRADE_ID = 1_263_118_840_000_000_001n;
const FIRST_SMALL_TRADE_ID = 1n;
const FIRST_TRADE_ID = 1_021_876_402_000_001n;
const FIRST_MOVEMENT_ID = 88_120_001;
const FIRST_USER_ID = 700_123;

/** @throws AccountError when the restored events contradict each other */
export const initialVenue = (config: VenueConfig): VenueState => {
  const fair = newFairValues(config.seed, config.listings);
  const venue: VenueState = {
    config,
    currencies: currenciesOf(config.listings),
    markets: new Map(),
    accounts: new Map(),
    sockets: new Map(),
    schedule: emptySchedule<Scheduled>(),
    rateWindows: new Map(),
    faults: emptyFaultBoard(randomStream(config.seed, 3)),
    random: randomStream(config.seed, 0),
    fair,
    flows: new Map(),
    tickerSubscribers: new Set(),
    refusals: new Map(),
    started: false,
    marketPace: 1,
    slowDue: false,
    nextOrderId: FIRST_ORDER_ID,
    nextUserTradeId: config.faults.some(fault => fault.name === 'small-ids')
      ? FIRST_SMALL_TRADE_ID
      : FIRST_USER_TRADE_ID,
    nextTradeId: FIRST_TRADE_ID,
    nextMovementId: FIRST_MOVEMENT_ID,
    nextUserId: FIRST_USER_ID,
    now: { monoMs: 0, wallMs: 0 },
    effects: [],
  };
  for (const fault of config.faults) setFault(venue.faults, fault);
  for (const events of config.accounts) restoreAccount(venue, events);
  for (const listing of config.listings) {
    const source = config.sources.get(listing.symbol) ?? 'quiet';
    const known = config.prices.get(listing.symbol);
    if (known !== undefined && source === 'generated')
      shockFairPrice(fair, listing, toNumber(known) / fairPrice(fair, listing));
    venue.markets.set(listing.symbol, newMarket(venue, listing, source));
  }
  return venue;
};

/** One step. Everything that was due before `now` happens first, each thing at its own time. */
export const stepVenue = (
  venue: VenueState,
  input: VenueInput,
  now: Now,
): Stepped<VenueState, VenueEffect> => {
  venue.effects = [];
  if (!venue.started) start(venue, now);
  for (;;) {
    const due = takeDue(venue.schedule, now.monoMs);
    if (due === undefined) break;
    venue.now = { monoMs: due.dueMs, wallMs: now.wallMs - (now.monoMs - due.dueMs) };
    perform(venue, due.item);
  }
  venue.now = now;
  accept(venue, input);
  for (;;) {
    const due = takeDue(venue.schedule, now.monoMs);
    if (due === undefined) break;
    perform(venue, due.item);
  }
  const { effects } = venue;
  venue.effects = [];
  return { state: venue, effects };
};

/** When the venue has something to do by itself, monotonic ms. */
export const nextWakeMs = (venue: VenueState): number | undefined => nextDueMs(venue.schedule);

const accept = (venue: VenueState, input: VenueInput): void => {
  switch (input.type) {
    case 'http':
      handleRequest(venue, input);
      break;
    case 'socket-requested':
      openSocket(venue, input.socketId, input.ip);
      break;
    case 'socket-frame':
      receiveFrame(venue, input.socketId, input.text);
      break;
    case 'socket-pong':
      receivePong(venue, input.socketId);
      break;
    case 'socket-closed':
      forgetSocket(venue, input.socketId);
      break;
    case 'market': {
      const market = venue.markets.get(input.symbol);
      if (market !== undefined) applyActivity(venue, market, input.activity);
      break;
    }
    case 'admin': {
      const reason = carryOut(venue, input.command);
      if (reason !== undefined) venue.effects.push({ type: 'refused', reason });
      break;
    }
    case 'tick':
      break;
  }
};

const perform = (venue: VenueState, item: Scheduled): void => {
  switch (item.type) {
    case 'enter-order':
      enterOrder(venue, item.order);
      break;
    case 'execute-cancel':
      executeCancel(venue, item.order, item.leftAtRequest);
      break;
    case 'check-stops':
      checkStops(venue, item.market);
      break;
    case 'effect':
      venue.effects.push(item.effect);
      break;
    case 'private-frame':
      sendPrivate(venue, item.account, item.model, item.text);
      break;
    case 'late-request':
      handleLateRequest(venue, item.request);
      break;
    case 'publish-book':
      publishBook(venue, item.market);
      break;
    case 'publish-slow':
      publishSlow(venue);
      break;
    case 'keepalive':
      keepAlive(venue, item.session);
      break;
    case 'end-socket':
      endSocket(venue, item.session, false);
      break;
    case 'fair-values':
      moveFairValues(venue);
      break;
    case 'flow':
      stepFlow(venue, item.market);
      break;
  }
};

const newMarket = (venue: VenueState, listing: Listing, source: MarketSource): Market => ({
  listing,
  source,
  book: emptyBook(),
  stated: { buy: new Map(), sell: new Map() },
  traded: { buy: new Map(), sell: new Map() },
  stops: new Map(),
  tape: [],
  candles: null,
  lastPrice: gridPrice(listing, fairPrice(venue.fair, listing)),
  published: { bids: { prices: [], totals: [] }, asks: { prices: [], totals: [] } },
  subscribers: {
    obdiff: new Set(),
    orderbook: new Set(),
    trade: new Set(),
    ticker: new Set(),
    tradeview: new Set(),
  },
  dirty: false,
  publishDue: false,
  publishedAtMs: 0,
  fullBookDirty: false,
  candleDirty: false,
});

/** Restored orders go back first: they were there before whoever comes now. Then the markets open. */
const start = (venue: VenueState, now: Now): void => {
  venue.started = true;
  venue.now = now;
  for (const account of venue.accounts.values()) resumeOrders(venue, account);
  let busy = false;
  for (const market of venue.markets.values()) {
    if (market.source === 'recorded') continue;
    beginMarket(venue, market, market.source === 'generated');
    busy ||= market.source === 'generated';
  }
  if (busy) beginFairValues(venue);
};

const resumeOrders = (venue: VenueState, account: Account): void => {
  for (const order of [...account.open.values()]) resumeOrder(venue, order);
};

/** Folds an account's events, and makes sure that no id is given out twice. */
const restoreAccount = (venue: VenueState, events: readonly AccountEvent[]): void => {
  const [opening, ...rest] = events;
  if (opening?.type !== 'account-opened')
    throw new AccountError('the first event of an account must be its opening');
  const account = openAccount(opening);
  for (const event of rest) applyAccountEvent(account, event);
  venue.accounts.set(account.apiKey, account);
  venue.nextUserId = Math.max(venue.nextUserId, account.userId + 1);
  for (const orderId of account.orders.keys()) venue.nextOrderId = Math.max(venue.nextOrderId, orderId + 1);
  for (const { tradeId } of account.trades) venue.nextUserTradeId = max(venue.nextUserTradeId, tradeId + 1n);
  for (const { movementId } of account.movements)
    venue.nextMovementId = Math.max(venue.nextMovementId, movementId + 1);
};
