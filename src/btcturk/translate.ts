/** The only bridge from wire shapes to domain values. Each function refuses what it cannot say exactly. */
import type { Instrument, OrderMethod } from '../domain/instrument.js';
import type { MarketTicker } from '../domain/market-events.js';
import { abs, DECIMALS, parseDecimal } from '../domain/money.js';
import type { Fill } from '../domain/order.js';
import type { Balance, CashMovement, OrderReport } from '../domain/venue-port.js';
import type { Candle, MarketAnswers } from './market-reads.js';
import type {
  VenueBalance,
  VenueCandles,
  VenueCashRow,
  VenueDailyRows,
  VenueDayTicker,
  VenueOrder,
  VenueOrderBook,
  VenuePublicTrade,
  VenueSymbol,
  VenueUserTrade,
} from './wire.js';

/** A wire value of the right shape that contradicts itself: nothing is guessed from it. */
export class TranslationError extends Error {
  override readonly name = 'TranslationError';
}

const METHODS: Readonly<Record<string, OrderMethod>> = {
  LIMIT: 'limit',
  MARKET: 'market',
  STOP_LIMIT: 'stop-limit',
  STOP_MARKET: 'stop-market',
};

/** Section 4.2. Methods with names we do not know are left out: they cannot be used anyway. */
export const toInstrument = (symbol: VenueSymbol): Instrument => {
  if (symbol.numerator + symbol.denominator !== symbol.name)
    throw new TranslationError(`${symbol.name} is not made of ${symbol.numerator} and ${symbol.denominator}`);
  return {
    symbol: symbol.name,
    pairId: symbol.id,
    base: symbol.numerator,
    quote: symbol.denominator,
    priceScale: symbol.hasFraction ? symbol.denominatorScale : 0,
    quantityScale: symbol.numeratorScale,
    minNotional: parseDecimal(symbol.filters.minExchangeValue),
    minPrice: parseDecimal(symbol.filters.minPrice),
    maxPrice: parseDecimal(symbol.filters.maxPrice),
    minLimitPrice: optional(symbol.minimumLimitOrderPrice),
    maxLimitPrice: optional(symbol.maximumLimitOrderPrice),
    maxQuantity: optional(symbol.maximumOrderAmount),
    methods: symbol.orderMethods.flatMap(name => METHODS[name] ?? []),
    status: symbol.status,
  };
};

const optional = (text: string | null | undefined): bigint | null =>
  text === null || text === undefined ? null : parseDecimal(text);

const ORDER_METHODS = {
  limit: 'limit',
  market: 'market',
  stoplimit: 'stop-limit',
  stopmarket: 'stop-market',
} as const satisfies Record<VenueOrder['method'], OrderMethod>;

/**
 * Section 5.4. The price of a market or stop-market order is not kept: the venue shows a last, first or stop price
 * there.
 */
export const toOrderReport = (order: VenueOrder): OrderReport => {
  const quantity = parseDecimal(order.amount);
  const remaining = parseDecimal(order.leftAmount);
  if (remaining < 0n || remaining > quantity)
    throw new TranslationError(`order ${order.id} has ${order.leftAmount} left of ${order.amount}`);
  const method = ORDER_METHODS[order.method];
  return {
    venueOrderId: order.id,
    clientOrderId: order.orderClientId,
    symbol: order.pairSymbol,
    side: order.type,
    method,
    price: method === 'limit' || method === 'stop-limit' ? parseDecimal(order.price) : null,
    quantity,
    remaining,
    status: order.status,
    createdAtMs: order.time,
    updatedAtMs: order.updateTime,
  };
};

/** Section 5.2 and 423 frames: the quantity is `preciseAmount`, since `amount` is rounded. */
export const toFill = (trade: VenueUserTrade): Fill => {
  const signedQuantity = preciseQuantity(trade.preciseAmount);
  const price = parseDecimal(trade.price);
  const fee = -parseDecimal(trade.fee);
  const tax = -parseDecimal(trade.tax);
  if (signedQuantity === 0n || signedQuantity < 0n !== (trade.orderType === 'sell'))
    throw new TranslationError(`trade ${trade.id} is a ${trade.orderType} of ${trade.preciseAmount}`);
  if (price <= 0n) throw new TranslationError(`trade ${trade.id} has the price ${trade.price}`);
  if (fee < 0n || tax < 0n)
    throw new TranslationError(
      `trade ${trade.id} has fee ${trade.fee} and tax ${trade.tax}: costs are negative`,
    );
  return {
    tradeId: trade.id,
    venueOrderId: trade.orderId,
    clientOrderId: trade.orderClientId,
    symbol: trade.numeratorSymbol + trade.denominatorSymbol,
    side: trade.orderType,
    price,
    quantity: abs(signedQuantity),
    fee,
    tax,
    feeAsset: trade.denominatorSymbol,
    executedAtMs: trade.timestamp,
  };
};

/**
 * `preciseAmount` is a JSON number. The venue stores 16 decimals (section 5.1), so digits past them come from how a
 * binary float is printed and are rounded away; everything the venue can mean is kept.
 */
const preciseQuantity = (text: string): bigint => {
  const [whole = '', fraction = ''] = text.split('.');
  if (fraction.length <= DECIMALS) return parseDecimal(text);
  const kept = parseDecimal(`${whole}.${fraction.slice(0, DECIMALS)}`);
  if (fraction.charCodeAt(DECIMALS) < FIVE) return kept;
  return text.startsWith('-') ? kept - 1n : kept + 1n;
};
const FIVE = '5'.charCodeAt(0);

/** Section 5.1. Nothing is clamped: a negative or inconsistent balance is for reconciliation to see. */
export const toBalance = (row: VenueBalance): Balance => ({
  asset: row.asset,
  total: parseDecimal(row.balance),
  free: parseDecimal(row.free),
  locked: parseDecimal(row.locked),
});

/**
 * Section 5.3: the sign follows the kind, because that withdrawals are negative is deduced and not documented.
 * @returns undefined for a row the venue has not confirmed: no balance has changed yet. It appears again later under
 * its old time, so windows must overlap.
 */
export const toCashMovement = (row: VenueCashRow, table: 'crypto' | 'fiat'): CashMovement | undefined => {
  if (row.isConfirmed === false) return undefined;
  const amount = abs(parseDecimal(row.amount));
  return {
    movementId: `${table}:${row.id}`,
    kind: row.balanceType,
    asset: row.currencySymbol,
    amount: row.balanceType === 'deposit' ? amount : -amount,
    fee: abs(parseDecimal(row.fee)),
    tax: abs(parseDecimal(row.tax)),
    atMs: row.timestamp,
  };
};

/** Section 4.4. */
export const toBook = (book: VenueOrderBook): MarketAnswers['order-book'] => {
  const level = ([price, quantity]: readonly [string, string]) => ({
    price: parseDecimal(price),
    quantity: parseDecimal(quantity),
  });
  return { atMs: book.timestamp, bids: book.bids.map(level), asks: book.asks.map(level) };
};

/** Section 4.5, oldest first. */
export const toPublicTrades = (trades: readonly VenuePublicTrade[]): MarketAnswers['public-trades'] => ({
  trades: trades
    .map(trade => ({
      tradeId: trade.tid,
      price: parseDecimal(trade.price),
      quantity: parseDecimal(trade.amount),
      side: trade.side,
      tradedAtMs: trade.date,
    }))
    .sort((left, right) => left.tradedAtMs - right.tradedAtMs),
});

/** Section 4.3. */
export const toDayTicker = (ticker: VenueDayTicker): MarketTicker => ({
  symbol: ticker.pair,
  bid: parseDecimal(ticker.bid),
  ask: parseDecimal(ticker.ask),
  last: parseDecimal(ticker.last),
  volume: parseDecimal(ticker.volume),
  atMs: ticker.timestamp,
});

/** Section 4.8: parallel arrays of one length, or an error. */
export const toCandles = (candles: VenueCandles): readonly Candle[] => {
  const lengths = new Set(
    [candles.t, candles.o, candles.h, candles.l, candles.c, candles.v].map(a => a.length),
  );
  if (lengths.size !== 1) throw new TranslationError('the arrays of a candle reply differ in length');
  const at = (values: readonly string[], index: number): bigint => parseDecimal(values[index] ?? '');
  return candles.t.map((time, index) => ({
    openedAtMs: time * 1_000,
    open: at(candles.o, index),
    high: at(candles.h, index),
    low: at(candles.l, index),
    close: at(candles.c, index),
    volume: at(candles.v, index),
  }));
};

/** Section 4.7. */
export const toDailyCandles = (rows: VenueDailyRows): readonly Candle[] =>
  rows.map(row => ({
    openedAtMs: row.time * 1_000,
    open: parseDecimal(row.open),
    high: parseDecimal(row.high),
    low: parseDecimal(row.low),
    close: parseDecimal(row.close),
    volume: parseDecimal(row.volume),
  }));
