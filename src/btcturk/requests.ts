/**
 * What is sent for each read and write. Every unit that differs between endpoints is converted here and nowhere else:
 * `allOrders` takes seconds, `users/transactions` milliseconds, charts seconds, a market buy's quantity is quote
 * (protocol sections 1.2 and 6.1).
 */
import type { Instrument, OrderMethod, Side } from '../domain/instrument.js';
import { decimalsOf, formatDecimal } from '../domain/money.js';
import type { ClientOrderId, OrderTerms } from '../domain/order.js';
import type { VenueWrite } from '../domain/venue-port.js';
import type { BtcturkRead } from './market-reads.js';

declare const unit: unique symbol;
/** The unit of a wire value is part of its type, because endpoints that look alike differ in it. */
type UnixSeconds = number & { readonly [unit]: 'unix-seconds' };
type UnixMilliseconds = number & { readonly [unit]: 'unix-milliseconds' };
/** Decimal text, in base or in quote units. */
type BaseText = string & { readonly [unit]: 'base' };
type QuoteText = string & { readonly [unit]: 'quote' };

interface AllOrdersQuery {
  readonly pairSymbol: string;
  readonly startTime: UnixSeconds | null;
  readonly endTime: UnixSeconds | null;
  readonly limit: number;
}
interface TransactionsQuery {
  readonly startDate: UnixMilliseconds | null;
  readonly endDate: UnixMilliseconds | null;
}
interface KlinesQuery {
  readonly symbol: string;
  readonly resolution: string;
  readonly from: UnixSeconds;
  readonly to: UnixSeconds;
}

/** The part of a submit that says how much: quote to spend, or base to trade. */
type WireQuantity =
  | { readonly orderMethod: 'market' | 'stopmarket'; readonly orderType: 'buy'; readonly quantity: QuoteText }
  | { readonly orderMethod: WireMethod; readonly orderType: Side; readonly quantity: BaseText };

/** One request, without addresses, stamps or signatures: those belong to the moment it is sent. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** `api`: the REST host; `graph`: the chart host. */
  readonly host: 'api' | 'graph';
  /** Path with query, `/api/v1/order?id=1`. */
  readonly path: string;
  /** JSON text of a POST, else null. */
  readonly body: string | null;
  readonly signed: boolean;
}

/** An order that must not be sent as it is: a bug upstream, told before a byte leaves. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
}

/** The requests whose replies together answer a read: one, but two for cash movements. */
export const buildRead = (call: BtcturkRead): readonly HttpRequest[] => {
  switch (call.type) {
    case 'server-time':
      return [open('/api/v2/server/time')];
    case 'instruments':
      return [open('/api/v2/server/exchangeinfo')];
    case 'ticker':
      return [open('/api/v2/ticker', { pairSymbol: call.symbol })];
    case 'day-tickers':
      return [open('/api/v2/ticker')];
    case 'order-book':
      return [open('/api/v2/orderbook', { pairSymbol: call.symbol, limit: within(call.depth, 1, 100) })];
    case 'public-trades':
      return [open('/api/v2/trades', { pairSymbol: call.symbol, last: within(call.count, 1, 50) })];
    case 'candles':
      return [
        chart('/v1/klines/history', {
          symbol: call.symbol,
          resolution: call.resolution,
          from: seconds(call.fromMs),
          to: seconds(call.toMs),
        } satisfies KlinesQuery),
      ];
    case 'daily-candles':
      return [chart('/v1/ohlcs', { pair: call.symbol, from: seconds(call.fromMs), to: seconds(call.toMs) })];
    case 'balances':
      return [signed('/api/v1/users/balances')];
    case 'open-orders':
      return [signed('/api/v1/openOrders', { pairSymbol: call.symbol })];
    case 'all-orders':
      return [
        signed('/api/v1/allOrders', {
          pairSymbol: call.symbol,
          startTime: call.fromMs === null ? null : seconds(call.fromMs),
          endTime: call.toMs === null ? null : secondsUp(call.toMs),
          limit: within(call.limit, 1, 1_000),
        } satisfies AllOrdersQuery),
      ];
    case 'order':
      return [signed(`/api/v1/order/${orderId(call.venueOrderId)}`)];
    case 'trades':
      return [signed('/api/v1/users/transactions/trade', ...TRADE_TYPES, between(call))];
    case 'trades-of-order':
      return [signed('/api/v1/users/transactions/trade', { orderId: orderId(call.venueOrderId) })];
    case 'cash-movements':
      return [
        signed('/api/v1/users/transactions/crypto', ...CASH_TYPES, between(call)),
        signed('/api/v1/users/transactions/fiat', ...CASH_TYPES, between(call)),
      ];
  }
};

/**
 * The request of a write. Quantities and prices must already fit the instrument: nothing is rounded here.
 * @param instrument that of a submit; a cancel names an id alone, and leaves whatever is known of its pair
 * @throws RequestError when the terms contradict the method, the instrument or the venue's formats.
 */
export const buildWrite = (write: VenueWrite, instrument: Instrument | null): HttpRequest =>
  write.type === 'cancel'
    ? {
        method: 'DELETE',
        host: 'api',
        path: `/api/v1/order?id=${orderId(write.venueOrderId)}`,
        body: null,
        signed: true,
      }
    : {
        method: 'POST',
        host: 'api',
        path: '/api/v1/order',
        body: JSON.stringify(submitBody(write.clientOrderId, write.terms, instrument)),
        signed: true,
      };

const WIRE_METHOD = {
  limit: 'limit',
  market: 'market',
  'stop-limit': 'stoplimit',
  'stop-market': 'stopmarket',
} as const satisfies Record<OrderMethod, string>;
type WireMethod = (typeof WIRE_METHOD)[OrderMethod];

const submitBody = (
  clientOrderId: ClientOrderId,
  terms: OrderTerms,
  instrument: Instrument | null,
): Readonly<Record<string, string>> => {
  if (instrument === null) throw new RequestError(`the instrument of order ${clientOrderId} is not known`);
  if (terms.symbol !== instrument.symbol)
    throw new RequestError(
      `an order for ${terms.symbol} was paired with the instrument ${instrument.symbol}`,
    );
  if (!/^[\x21-\x7e]{1,50}$/.test(clientOrderId))
    throw new RequestError('a client order id has 1 to 50 printable characters');
  const needsPrice = terms.method === 'limit' || terms.method === 'stop-limit';
  const needsStop = terms.method === 'stop-limit' || terms.method === 'stop-market';
  return {
    ...wireQuantity(terms, instrument),
    ...(needsPrice ? { price: wirePrice('price', terms.price, instrument) } : {}),
    ...(needsStop ? { stopPrice: wirePrice('stop price', terms.stopPrice, instrument) } : {}),
    newOrderClientId: clientOrderId,
    pairSymbol: terms.symbol,
  };
};

/** Decimals a market buy's quote amount may safely have (protocol section 6.1). */
const QUOTE_DECIMALS_MAX = 2;

/** Base, but quote to spend for a market or stop-market buy (protocol section 6.1). */
const wireQuantity = (terms: OrderTerms, instrument: Instrument): WireQuantity => {
  const orderMethod = WIRE_METHOD[terms.method];
  if (terms.side === 'buy' && (orderMethod === 'market' || orderMethod === 'stopmarket')) {
    const decimalsMax = Math.min(QUOTE_DECIMALS_MAX, instrument.priceScale);
    const quantity = wireDecimal('quote quantity', terms.quoteQuantity, decimalsMax) as QuoteText;
    return { orderMethod, orderType: 'buy', quantity };
  }
  if (terms.quoteQuantity !== null)
    throw new RequestError(`a quote quantity has no meaning in a ${terms.method} ${terms.side}`);
  const quantity = wireDecimal('quantity', terms.quantity, instrument.quantityScale) as BaseText;
  return { orderMethod, orderType: terms.side, quantity };
};

const wirePrice = (what: string, price: bigint | null, instrument: Instrument): string =>
  wireDecimal(what, price, instrument.priceScale);

/** Plain text as the venue's model wants it: no sign, no exponent, at most 12 whole digits, no trailing zeros. */
const wireDecimal = (what: string, value: bigint | null, decimalsMax: number): string => {
  if (value === null) throw new RequestError(`the ${what} is missing`);
  if (value <= 0n) throw new RequestError(`the ${what} ${formatDecimal(value)} is not positive`);
  if (decimalsOf(value) > decimalsMax)
    throw new RequestError(`the ${what} ${formatDecimal(value)} has more than ${decimalsMax} decimals`);
  const text = formatDecimal(value);
  if (!/^\d{1,12}(\.\d{1,16})?$/.test(text)) throw new RequestError(`the ${what} ${text} is too large`);
  return text;
};

const orderId = (venueOrderId: string): string => {
  if (!/^\d{1,20}$/.test(venueOrderId))
    throw new RequestError(`not a venue order id: ${JSON.stringify(venueOrderId.slice(0, 24))}`);
  return venueOrderId;
};

type Parameters = Readonly<Record<string, string | number | null>>;

const TRADE_TYPES: readonly Parameters[] = [{ type: 'buy' }, { type: 'sell' }];
const CASH_TYPES: readonly Parameters[] = [{ type: 'deposit' }, { type: 'withdrawal' }];

const between = (call: {
  readonly fromMs: number | null;
  readonly toMs: number | null;
}): Parameters & TransactionsQuery => ({
  startDate: call.fromMs === null ? null : (Math.floor(call.fromMs) as UnixMilliseconds),
  endDate: call.toMs === null ? null : (Math.ceil(call.toMs) as UnixMilliseconds),
});

/** Whole Unix seconds at or before a time in ms. */
const seconds = (ms: number): UnixSeconds => Math.floor(ms / 1_000) as UnixSeconds;
/** Whole Unix seconds at or after a time in ms, so that a window never loses its last second. */
const secondsUp = (ms: number): UnixSeconds => Math.ceil(ms / 1_000) as UnixSeconds;
const within = (value: number, least: number, most: number): number =>
  Math.min(most, Math.max(least, Math.trunc(value)));

const get = (
  host: 'api' | 'graph',
  isSigned: boolean,
  path: string,
  groups: readonly Parameters[],
): HttpRequest => {
  const query = groups
    .flatMap(group => Object.entries(group))
    .filter((entry): entry is [string, string | number] => entry[1] !== null)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
    .join('&');
  return {
    method: 'GET',
    host,
    path: query === '' ? path : `${path}?${query}`,
    body: null,
    signed: isSigned,
  };
};
const open = (path: string, ...groups: Parameters[]): HttpRequest => get('api', false, path, groups);
const chart = (path: string, ...groups: Parameters[]): HttpRequest => get('graph', false, path, groups);
const signed = (path: string, ...groups: Parameters[]): HttpRequest => get('api', true, path, groups);
