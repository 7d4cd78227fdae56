/** Submits and cancels: the checks in the venue's order, and what an accepted order becomes (sections 5.8, 5.9, 6.2). */
import type { OrderMethod, Side } from '../domain/instrument.js';
import { marketBound, touch } from '../domain/matching.js';
import {
  type Amount,
  decimalsOf,
  formatDecimal,
  notional,
  type Price,
  type Quantity,
} from '../domain/money.js';
import { type Account, type AccountOrder, freeOf, holdingOf, type OrderRecord } from './accounts.js';
import { faultOn, numberOf, strikes } from './faults.js';
import { ratesOf } from './fees.js';
import { normalizedName, priceDecimals, quoteDecimals, statusOf, TRADING } from './instruments.js';
import { json, type RefusalMessage, refusal, submitRefusal } from './refusals.js';
import { decimalField, type RequestFields, readFields, textField } from './request-body.js';
import { MARKET_BOUND_PERCENT } from './stops.js';
import { affordable, hitOrder, meetsItself, removeOrder, reserveOf, takeOrderId } from './trading.js';
import {
  type HttpReply,
  type HttpRequest,
  later,
  type Market,
  marketOf,
  record,
  serverMs,
  type VenueState,
} from './venue-state.js';
import type { Wire } from './wire.js';

/** A submit that has passed the model check: nulls where the request has nothing. */
interface Submit {
  readonly market: Market;
  readonly side: Side;
  readonly method: OrderMethod;
  /** As sent: quote for buys by budget, else base. */
  readonly quantity: bigint;
  readonly price: Price | null;
  readonly stopPrice: Price | null;
  readonly clientOrderId: string;
}

/** Answers `POST /api/v1/order`. */
export const submitOrder = (venue: VenueState, account: Account, request: HttpRequest): HttpReply => {
  const read = readSubmit(venue, account, request);
  if ('status' in read) return read;
  const { market } = read;
  const { symbol } = market.listing;
  const site = { request: 'submit', symbol } as const;
  const blocked = strikes(venue.faults, 'maintenance', site);
  if (blocked?.value === 'SYSTEM_UNDER_MAINTENANCE') return underMaintenance();
  if (blocked?.value === 'ORDER_INSERT_BLOCKED') return submitRefusal('ORDER_INSERT_BLOCKED');
  const rejected = strikes(venue.faults, 'reject', site);
  if (rejected?.value !== undefined && rejected.value !== null) return submitRefusal(rejected.value);
  const refused = firstRefusal(venue, account, read);
  if (refused !== undefined) return submitRefusal(refused);
  return accept(venue, account, read);
};

/** Answers `DELETE /api/v1/order?id=`: a success says that the cancel is queued. */
export const cancelOrder = (venue: VenueState, account: Account, request: HttpRequest): HttpReply => {
  const id = new URLSearchParams(request.query).get('id') ?? '';
  const order = /^\d{1,16}$/.test(id) ? account.orders.get(Number(id)) : undefined;
  if (order === undefined) return refusal('NO_ORDER_MATCHES_YOUR_REQUEST');
  const site = { request: 'cancel', symbol: order.symbol } as const;
  const blocked = strikes(venue.faults, 'maintenance', site);
  if (blocked?.value === 'SYSTEM_UNDER_MAINTENANCE') return underMaintenance();
  if (blocked?.value === 'ORDER_CANCEL_BLOCKED') return refusal('ORDER_CANCEL_BLOCKED');
  const queued = json(200, { success: true, message: 'SUCCESS', code: 0 });
  // Canceling what is canceled succeeds since late 2024 (protocol section 5.9).
  if (order.status === 'canceled') return queued;
  if (order.status === 'closed' || order.method === 'market') return refusal('ORDER_COULD_NOT_BE_CANCELED');
  if (strikes(venue.faults, 'cancel-refused', site) !== undefined)
    return refusal('ORDER_COULD_NOT_BE_CANCELED');
  if (strikes(venue.faults, 'cancel-lost', site) !== undefined) return queued;
  const late = strikes(venue.faults, 'cancel-late', site);
  const waitMs = venue.config.latency.cancelMs + (late === undefined ? 0 : numberOf(late));
  later(venue, waitMs, { type: 'execute-cancel', order, leftAtRequest: order.remaining });
  return queued;
};

/** A queued cancel is carried out; a fill may have come first. */
export const executeCancel = (venue: VenueState, order: AccountOrder, leftAtRequest: Quantity): void => {
  if (order.status === 'canceled' || order.status === 'closed') return;
  if (
    order.resting !== null &&
    strikes(venue.faults, 'cancel-overtaken', { symbol: order.symbol }) !== undefined
  ) {
    hitOrder(venue, marketOf(venue, order.symbol), order.resting, order.remaining, 'publish');
    return;
  }
  removeOrder(venue, order, 'canceled by its owner', leftAtRequest);
};

const underMaintenance = (): HttpReply =>
  json(503, { success: false, message: 'SYSTEM_UNDER_MAINTENANCE', code: 'SYSTEM_UNDER_MAINTENANCE' });

const METHODS: Readonly<Record<string, OrderMethod>> = {
  limit: 'limit',
  market: 'market',
  stoplimit: 'stop-limit',
  stopmarket: 'stop-market',
};
const METHOD_WORDS: Readonly<Record<OrderMethod, string>> = {
  limit: 'limit',
  market: 'market',
  'stop-limit': 'stoplimit',
  'stop-market': 'stopmarket',
};

/** A method as the venue prints it. */
export const methodWord = (method: OrderMethod): string => METHOD_WORDS[method];

/** The pair of a request: `BTCTRY` or `BTC_TRY`, in any case. */
export const findMarket = (venue: VenueState, name: string): Market | undefined =>
  venue.markets.get(name.replaceAll('_', '').toUpperCase());

export const unknownPair = (name: string): string => `Pair ${name.toUpperCase()} does not exists.`;

const readSubmit = (venue: VenueState, account: Account, request: HttpRequest): Submit | HttpReply => {
  if (!(request.headers['content-type'] ?? '').toLowerCase().includes('json'))
    return json(415, { success: false, message: 'INVALID_REQUEST_ERROR', code: 1037 });
  const fields = readFields(request.body);
  const pair = fields === undefined ? undefined : textField(fields, 'pairSymbol');
  const type = fields === undefined ? undefined : textField(fields, 'orderType');
  const methodText = fields === undefined ? undefined : textField(fields, 'orderMethod');
  if (fields === undefined || pair === undefined || type === undefined || methodText === undefined)
    return submitRefusal('INVALID_REQUEST_ERROR');
  const side = type.toLowerCase();
  if (side !== 'buy' && side !== 'sell') return submitRefusal('ORDER_TYPE_NOT_SUPPORTED');
  const method = METHODS[methodText.toLowerCase().replaceAll('_', '')];
  if (method === undefined) return submitRefusal('ORDER_METHOD_NOT_SUPPORTED');
  const amounts = readAmounts(fields, method);
  const clientOrderId = textField(fields, 'newOrderClientId') ?? guid(venue, account);
  if (amounts === undefined || clientOrderId.length > 50) return submitRefusal('FAILED_ORDER_PARAMETER');
  const market = findMarket(venue, pair);
  if (market === undefined) return submitRefusal(unknownPair(pair));
  return { market, side, method, clientOrderId, ...amounts };
};

const readAmounts = (
  fields: RequestFields,
  method: OrderMethod,
): Pick<Submit, 'quantity' | 'price' | 'stopPrice'> | undefined => {
  const quantity = decimalField(fields, 'quantity');
  const price = decimalField(fields, 'price');
  const stopPrice = decimalField(fields, 'stopPrice');
  if (quantity.type !== 'value' || price.type === 'malformed' || stopPrice.type === 'malformed')
    return undefined;
  const priced = price.type === 'value' && price.value > 0n ? price.value : null;
  const stopped = stopPrice.type === 'value' && stopPrice.value > 0n ? stopPrice.value : null;
  const isLimit = method === 'limit' || method === 'stop-limit';
  const isStop = method === 'stop-limit' || method === 'stop-market';
  if ((isLimit && priced === null) || (isStop && stopped === null)) return undefined;
  return { quantity: quantity.value, price: priced, stopPrice: isStop ? stopped : null };
};

/** The first check that fails, in the order of protocol section 13.1. */
const firstRefusal = (venue: VenueState, account: Account, submit: Submit): RefusalMessage | undefined => {
  const { market, side, method, quantity, price, stopPrice } = submit;
  const { listing } = market;
  if (statusOf(listing) !== TRADING) return 'ORDER_INSERT_BLOCKED';
  const byMarket = method === 'market' || method === 'stop-market';
  const closed = byMarket && faultOn(venue.faults, 'no-market-methods') !== undefined;
  if (closed || !listing.methods.includes(method)) return 'ORDER_METHOD_NOT_SUPPORTED';
  // The scale of a price has been checked on market orders too (protocol section 5.8).
  if (price !== null && decimalsOf(price) > priceDecimals(listing)) return 'FAILED_INVALID_PRICE_SCALE';
  const byBudget = byMarket && side === 'buy';
  if (decimalsOf(quantity) > (byBudget ? quoteDecimals(listing) : listing.quantityScale))
    return 'FAILED_INVALID_QUANTITY_SCALE';
  if (stopPrice !== null && decimalsOf(stopPrice) > priceDecimals(listing))
    return 'FAILED_INVALID_STOP_PRICE_SCALE';
  if (!byMarket && price !== null) {
    const refused = outsideWindow(market, price);
    if (refused !== undefined) return refused;
  }
  if (listing.maxQuantity !== null && !byBudget && quantity > listing.maxQuantity)
    return 'MAXIMUM_ORDER_AMOUNT_EXCEEDED';
  const opposite = touch(market.book, side === 'buy' ? 'sell' : 'buy')?.price;
  if (method === 'market' && opposite === undefined) return 'FAILED_MARKET_ORDER';
  const valuedAt = byMarket ? (stopPrice ?? opposite ?? 0n) : (price ?? 0n);
  const value = byBudget ? quantity : notional(valuedAt, quantity);
  if (value < listing.minNotional) return 'FAILED_MIN_TOTAL_AMOUNT';
  if (stopPrice !== null) {
    const bid = touch(market.book, 'buy')?.price;
    const ask = touch(market.book, 'sell')?.price;
    if (side === 'buy' && stopPrice <= (ask ?? market.lastPrice))
      return 'FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK';
    if (side === 'sell' && stopPrice >= (bid ?? market.lastPrice))
      return 'FAILED_STOP_PRICE_LESS_THAN_BEST_BID';
  }
  const self = { account, side, price: byMarket ? 0n : (price ?? 0n) };
  if (stopPrice === null && faultOn(venue.faults, 'no-self-trade') !== undefined && meetsItself(market, self))
    return 'FAILED_LIMIT_ORDER';
  return shortOfFunds(venue, account, submit);
};

const outsideWindow = (market: Market, price: Price): RefusalMessage | undefined => {
  const { minPrice, maxPrice } = market.listing;
  if (price > maxPrice) return 'PRICE_MUST_BE_LESS_THAN_MAXPRICE';
  if (price < minPrice) return 'PRICE_MUST_BE_LESS_THAN_MINPRICE';
  if (price * 10n < market.lastPrice) return 'ORDER_MIN_PRICE_EXCEEDED';
  if (price > market.lastPrice * 10n) return 'ORDER_MAX_PRICE_EXCEEDED';
  return undefined;
};

const shortOfFunds = (venue: VenueState, account: Account, submit: Submit): RefusalMessage | undefined => {
  const { base, quote, symbol } = submit.market.listing;
  const asset = submit.side === 'buy' ? quote : base;
  const needed = fundsNeeded(account, submit);
  if (needed > freeOf(account, asset))
    return needed > holdingOf(account, asset).total ? 'BALANCE_NOT_ENOUGH' : 'FAILED_ORDER_WITH_OPEN_ORDERS';
  const settling = faultOn(venue.faults, 'insufficient-after-fill');
  if (
    settling !== undefined &&
    account.lastSettlementMs > 0 &&
    serverMs(venue) - account.lastSettlementMs < numberOf(settling) &&
    strikes(venue.faults, 'insufficient-after-fill', { request: 'submit', symbol }) !== undefined
  )
    return 'FAILED_ORDER_WITH_OPEN_ORDERS';
  return undefined;
};

const isBudget = ({ side, method }: Submit): boolean =>
  side === 'buy' && (method === 'market' || method === 'stop-market');

const fundsNeeded = (account: Account, submit: Submit): Amount => {
  if (submit.side === 'sell' || isBudget(submit)) return submit.quantity;
  const { takerPpm } = ratesOf(account.feeLevel, submit.market.listing.quote);
  return reserveOf(submit.price ?? 0n, submit.quantity, takerPpm);
};

const accept = (venue: VenueState, account: Account, submit: Submit): HttpReply => {
  const { market, side, method, clientOrderId, stopPrice, quantity } = submit;
  const { listing } = market;
  const { takerPpm } = ratesOf(account.feeLevel, listing.quote);
  const byMarket = method === 'market' || method === 'stop-market';
  const bound = method === 'market' ? (marketBound(market.book, side, MARKET_BOUND_PERCENT) ?? null) : null;
  const convertedAt = stopPrice ?? touch(market.book, 'sell')?.price ?? market.lastPrice;
  const order: OrderRecord = {
    orderId: takeOrderId(venue),
    clientOrderId,
    symbol: listing.symbol,
    base: listing.base,
    quote: listing.quote,
    side,
    method,
    price: byMarket ? 0n : (submit.price ?? 0n),
    stopPrice,
    quantity: isBudget(submit) ? affordable(quantity, convertedAt, takerPpm, 'half-up') : quantity,
    quoteQuantity: isBudget(submit) ? quantity : null,
    bound,
    locked: fundsNeeded(account, submit),
  };
  const atMs = serverMs(venue);
  record(venue, account, { type: 'order-accepted', order, atMs });
  const accepted = account.open.get(order.orderId);
  const stuck = strikes(venue.faults, 'stuck-order', { request: 'submit', symbol: listing.symbol });
  if (accepted !== undefined && stuck === undefined)
    later(venue, venue.config.latency.submitMs, { type: 'enter-order', order: accepted });
  const data: Wire = {
    id: order.orderId,
    quantity: formatDecimal(quantity),
    price: formatDecimal(order.price),
    stopPrice: stopPrice === null ? null : formatDecimal(stopPrice),
    newOrderClientId: clientOrderId,
    type: side,
    method: methodWord(method),
    pairSymbol: listing.symbol,
    pairSymbolNormalized: normalizedName(listing),
    datetime: atMs,
  };
  const withStatus = faultOn(venue.faults, 'no-http-status-code') === undefined;
  return json(200, {
    ...(withStatus ? { httpStatusCode: 200 } : {}),
    data,
    success: true,
    message: 'SUCCESS',
    code: 0,
  });
};

/** The label of an order that was sent without one: unique, and looking like what the venue makes up. */
const guid = (venue: VenueState, account: Account): string => {
  const hex = (value: number, width: number): string => value.toString(16).padStart(width, '0').slice(-width);
  return `${hex(account.userId, 8)}-0000-4000-8000-${hex(venue.nextOrderId, 12)}`;
};
