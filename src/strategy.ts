/**
 * What a strategy of your own may use: `btcbot/strategy`. Everything here is pure; money is `bigint` at 10^-16.
 * See docs/strategies/README.md.
 */
export {
  askCount,
  askLots,
  askTicks,
  type BookView,
  bestAsk,
  bestBid,
  bidCount,
  bidLots,
  bidTicks,
  type Level,
  midTicks,
} from './domain/book-view.js';
export { CANDLE_INTERVALS, CANDLE_LENGTHS_MS, type Candle, type CandleInterval } from './domain/candles.js';
export type { FeeRates } from './domain/fees.js';
export {
  fromLots,
  fromTicks,
  type Instrument,
  lotSize,
  priceFromNumber,
  quantityFromNumber,
  roundPrice,
  roundQuantity,
  type Side,
  tickSize,
  toTicks,
} from './domain/instrument.js';
export type { PublicTrade } from './domain/market-events.js';
export {
  type Amount,
  basisPoints,
  formatDecimal,
  notional,
  type Price,
  parseDecimal,
  partsPerMillion,
  type Quantity,
  type Rounding,
  ratio,
  toNumber,
  tryParseDecimal,
} from './domain/money.js';
export type { Fill, Order, OrderState } from './domain/order.js';
export { DENIAL_CODES, type Denial, type DenialCode } from './domain/order-events.js';
export * from './domain/strategy.js';
export type { Universe, UniverseReason } from './domain/universe.js';
export type { Balance } from './domain/venue-port.js';
export {
  acrossTouch,
  awayFrom,
  type Backoff,
  besideTouch,
  cancelOverdue,
  createBackoff,
  isHolding,
  orderFor,
  orderWorth,
  type Wish,
} from './strategies/asking.js';
export { affordable, meetsMinimum, quantityFor, roomFor, spendable } from './strategies/sizing.js';
