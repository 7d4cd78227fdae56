import { type Amount, DECIMALS, divide, type Price, type Quantity, type Rounding, roundTo } from './money.js';

export type Side = 'buy' | 'sell';
/** How an order trades; the venue offers a subset per pair (protocol section 6). */
export type OrderMethod = 'limit' | 'market' | 'stop-limit' | 'stop-market';

/** A pair as the venue lists it (protocol section 4.2), reduced to what orders and books need. */
export interface Instrument {
  /** Joined upper-case name, `BTCTRY`. */
  readonly symbol: string;
  /** The venue's pair id, as it appears on the socket. */
  readonly pairId: number;
  readonly base: string;
  readonly quote: string;
  /** Decimals a price may have: 0 when `hasFraction` is false, whatever `denominatorScale` says. */
  readonly priceScale: number;
  /** Decimals a base quantity may have (`numeratorScale`). */
  readonly quantityScale: number;
  /** Least order value in quote (`minExchangeValue`). */
  readonly minNotional: Amount;
  /** Static price window of the price filter. */
  readonly minPrice: Price;
  readonly maxPrice: Price;
  /** Dynamic limit-price window (0.1 and 10 times the current price); null when not given. Refresh before relying on it. */
  readonly minLimitPrice: Price | null;
  readonly maxLimitPrice: Price | null;
  /** Greatest base quantity of one order, or null when the venue shows none. */
  readonly maxQuantity: Quantity | null;
  readonly methods: readonly OrderMethod[];
  /** `TRADING` or whatever else the venue says; not a maintenance signal (protocol section 4.2). */
  readonly status: string;
}

/** The price step: one unit of the last decimal a price may have. */
export const tickSize = ({ priceScale }: Instrument): Price => STEPS[priceScale] ?? stepOf(priceScale);
/** The quantity step. */
export const lotSize = ({ quantityScale }: Instrument): Quantity =>
  STEPS[quantityScale] ?? stepOf(quantityScale);

/** One unit of the last of so many decimals. */
const stepOf = (scale: number): bigint => 10n ** BigInt(DECIMALS - scale);
const STEPS = Array.from({ length: DECIMALS + 1 }, (_, scale) => stepOf(scale));

export const roundPrice = (price: Price, instrument: Instrument, rounding: Rounding): Price =>
  roundTo(price, instrument.priceScale, rounding);
export const roundQuantity = (quantity: Quantity, instrument: Instrument, rounding: Rounding): Quantity =>
  roundTo(quantity, instrument.quantityScale, rounding);

/** Whole ticks of a price that fits the instrument's scale. */
export const toTicks = (price: Price, instrument: Instrument): bigint =>
  divide(price, tickSize(instrument), 'down');
/** The price of a whole number of ticks. */
export const fromTicks = (ticks: number | bigint, instrument: Instrument): Price =>
  BigInt(ticks) * tickSize(instrument);
/** The quantity of a whole number of lots. */
export const fromLots = (lots: number | bigint, instrument: Instrument): Quantity =>
  BigInt(lots) * lotSize(instrument);

/** The exact price nearest to a number a signal produced, on the instrument's grid. `undefined` unless finite and positive. */
export const priceFromNumber = (
  value: number,
  instrument: Instrument,
  rounding: Rounding,
): Price | undefined => {
  if (!Number.isFinite(value) || value <= 0) return undefined;
  return onGrid(value, instrument.priceScale, rounding);
};

/** The exact quantity nearest to a number a signal produced, on the instrument's grid. `undefined` unless finite and ≥ 0. */
export const quantityFromNumber = (
  value: number,
  instrument: Instrument,
  rounding: Rounding,
): Quantity | undefined => {
  if (!Number.isFinite(value) || value < 0) return undefined;
  return onGrid(value, instrument.quantityScale, rounding);
};

const onGrid = (value: number, scale: number, rounding: Rounding): bigint => {
  const scaled = value * 10 ** scale;
  const whole =
    rounding === 'down' ? Math.floor(scaled) : rounding === 'up' ? Math.ceil(scaled) : Math.round(scaled);
  return BigInt(whole) * 10n ** BigInt(DECIMALS - scale);
};
