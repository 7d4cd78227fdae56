/**
 * Exact decimals. Every price, quantity and amount in the program is a `bigint` that counts 10^-16, the finest unit
 * the venue stores (protocol section 5.1). One scale for all of them: with prices and base quantities of at most 8
 * decimals their product is exact, and nothing is ever converted between scales.
 */

declare const unit: unique symbol;

/** Quote units for one base unit, times 10^16. */
export type Price = bigint & { readonly [unit]?: 'price' };
/** Base units, times 10^16; never negative in an order or a fill. */
export type Quantity = bigint & { readonly [unit]?: 'quantity' };
/** Units of one asset (a balance, a fee, a notional value, a base position), times 10^16; may be negative. */
export type Amount = bigint & { readonly [unit]?: 'amount' };

/** Decimals kept by every value. */
export const DECIMALS = 16;
/** 10^16: one whole unit. */
export const ONE = 10n ** BigInt(DECIMALS);

/** How a result that does not fit 16 decimals is rounded. `down` is toward zero, `up` away from zero. */
export type Rounding = 'down' | 'up' | 'half-up';

/** A text that is not a plain decimal number. Carries the text, shortened. */
export class MoneyError extends Error {
  override readonly name = 'MoneyError';
}

/** Digits that a text may have before and after its dot; more are no price or amount of anything. */
const MOST_WHOLE_DIGITS = 24;
const MOST_DECIMALS = 40;
/** Digits that a double holds whatever they are. */
const SAFE_DIGITS = 15;
/** Character codes. */
const ZERO = 48;
const DOT = 46;
const MINUS = 45;
const POWERS = Array.from({ length: DECIMALS + 1 }, (_, exponent) => 10n ** BigInt(exponent));

/**
 * Reads a plain decimal: optional minus, digits, optional dot and digits; no exponent, no separators.
 * Digits past the 16th decimal must be zeros.
 * @returns the value, or `undefined` when the text is anything else.
 */
export const tryParseDecimal = (text: string): bigint | undefined => {
  const { length } = text;
  const start = text.charCodeAt(0) === MINUS ? 1 : 0;
  let dot = length;
  let digits = 0;
  for (let index = start; index < length; index++) {
    const digit = text.charCodeAt(index) - ZERO;
    if (digit >= 0 && digit <= 9) digits = digits * 10 + digit;
    else if (digit === DOT - ZERO && dot === length) dot = index;
    else return undefined;
  }
  const whole = dot - start;
  const decimals = Math.max(0, length - 1 - dot);
  if (whole === 0 || dot === length - 1 || whole > MOST_WHOLE_DIGITS || decimals > MOST_DECIMALS)
    return undefined;
  // Nearly every text is short, and a small number becomes a bigint sooner than a text does.
  const value = whole + decimals <= SAFE_DIGITS ? scaled(digits, decimals) : longDecimal(text, start, dot);
  return value !== undefined && start === 1 ? -value : value;
};

const scaled = (digits: number | string, decimals: number): bigint =>
  BigInt(digits) * (POWERS[DECIMALS - decimals] as bigint);

/** The digits of a plain decimal that a double may not hold, without its sign. */
const longDecimal = (text: string, start: number, dot: number): bigint | undefined => {
  const end = dot + 1 + DECIMALS;
  if (/[1-9]/.test(text.slice(end))) return undefined;
  const fraction = text.slice(dot + 1, end);
  return scaled(text.slice(start, dot) + fraction, fraction.length);
};

/**
 * As {@link tryParseDecimal}, for text that must be a number.
 * @throws MoneyError when it is not.
 */
export const parseDecimal = (text: string): bigint => {
  const value = tryParseDecimal(text);
  if (value === undefined)
    throw new MoneyError(`not a plain decimal number: ${JSON.stringify(text.slice(0, 40))}`);
  return value;
};

/** A whole number of units. */
export const fromInteger = (units: number | bigint): bigint => BigInt(units) * ONE;

/** Exact text without trailing zeros: `12.5`, `-0.0001`, `0`. */
export const formatDecimal = (value: bigint): string => {
  if (value === 0n) return '0';
  const negative = value < 0n;
  const digits = (negative ? -value : value).toString().padStart(DECIMALS + 1, '0');
  const dot = digits.length - DECIMALS;
  let end = digits.length;
  while (end > dot && digits.charCodeAt(end - 1) === ZERO) end -= 1;
  const fraction = end === dot ? '' : `.${digits.slice(dot, end)}`;
  return `${negative ? '-' : ''}${digits.slice(0, dot)}${fraction}`;
};

/** Text with exactly `decimals` digits after the dot (0 to 16), rounded; for wires and tables that want padding. */
export const formatFixed = (value: bigint, decimals: number, rounding: Rounding = 'down'): string => {
  const rounded = decimals === DECIMALS ? value : roundTo(value, decimals, rounding);
  const negative = rounded < 0n;
  const digits = (negative ? -rounded : rounded).toString().padStart(DECIMALS + 1, '0');
  const fraction = digits.slice(-DECIMALS).slice(0, decimals);
  return `${negative ? '-' : ''}${digits.slice(0, -DECIMALS)}${decimals === 0 ? '' : `.${fraction}`}`;
};

/** Nearest floating number, for statistics and displays only; never for an order, a fill or a balance. */
export const toNumber = (value: bigint): number => Number(value) / 1e16;

/** Integer division with a named rounding. `divisor` must not be 0. */
export const divide = (dividend: bigint, divisor: bigint, rounding: Rounding): bigint => {
  const quotient = dividend / divisor;
  if (rounding === 'down') return quotient;
  // A product costs less than a second division.
  const remainder = dividend - quotient * divisor;
  if (remainder === 0n) return quotient;
  const away = dividend < 0n === divisor < 0n ? 1n : -1n;
  if (rounding === 'up') return quotient + away;
  const twice = 2n * (remainder < 0n ? -remainder : remainder);
  return twice >= (divisor < 0n ? -divisor : divisor) ? quotient + away : quotient;
};

/** Product of two 16-decimal values. */
export const multiply = (left: bigint, right: bigint, rounding: Rounding): bigint =>
  // Lira is the unit of most sums.
  right === ONE ? left : divide(left * right, ONE, rounding);

/** Quotient of two 16-decimal values. `divisor` must not be 0. */
export const ratio = (dividend: bigint, divisor: bigint, rounding: Rounding): bigint =>
  divide(dividend * ONE, divisor, rounding);

/** Price times quantity, in quote. Exact when both have at most 8 decimals; else rounded half up, as the venue does. */
export const notional = (price: Price, quantity: Quantity): Amount => multiply(price, quantity, 'half-up');

/** `value` times `bps` / 10,000. */
export const basisPoints = (value: bigint, bps: number, rounding: Rounding): bigint =>
  divide(value * BigInt(Math.round(bps * 1_000)), 10_000_000n, rounding);

/** `value` times `ppm` / 1,000,000; fee rates are published in parts per million (protocol section 6.7). */
export const partsPerMillion = (value: bigint, ppm: number, rounding: Rounding): bigint =>
  divide(value * BigInt(ppm), 1_000_000n, rounding);

/** `value` with at most `decimals` digits after the dot (0 to 16). */
export const roundTo = (value: bigint, decimals: number, rounding: Rounding): bigint => {
  const step = POWERS[DECIMALS - decimals] as bigint;
  return divide(value, step, rounding) * step;
};

/** How many digits after the dot `value` needs: 0 for whole numbers. */
export const decimalsOf = (value: bigint): number => {
  // The fraction in two halves of eight digits, which are small numbers: divisions of bigints cost much more.
  const fraction = abs(value) % ONE;
  const low = Number(fraction % HALF_FRACTION);
  if (low !== 0) return DECIMALS - trailingZeros(low);
  const high = Number(fraction / HALF_FRACTION);
  return high === 0 ? 0 : DECIMALS / 2 - trailingZeros(high);
};

const HALF_FRACTION = 10n ** BigInt(DECIMALS / 2);

/** Of a whole number other than 0. */
const trailingZeros = (digits: number): number => {
  let zeros = 0;
  for (let rest = digits; rest % 10 === 0; rest /= 10) zeros += 1;
  return zeros;
};

export const abs = (value: bigint): bigint => (value < 0n ? -value : value);
export const min = (left: bigint, right: bigint): bigint => (left < right ? left : right);
export const max = (left: bigint, right: bigint): bigint => (left > right ? left : right);
