/** What the exchange charges, and how it is rounded: the one place (protocol section 6.7). */
import type { FeeRates } from '../domain/fees.js';
import { type Amount, divide, partsPerMillion } from '../domain/money.js';

/** Rates by level 1 to 8: [TRY maker, TRY taker, USDT maker, USDT taker]. */
const TIERS: readonly (readonly [number, number, number, number])[] = [
  [1200, 2400, 1000, 1400],
  [1100, 2100, 800, 1300],
  [1000, 1900, 600, 1100],
  [800, 1700, 500, 900],
  [600, 1500, 400, 700],
  [400, 1200, 300, 500],
  [200, 1000, 200, 300],
  [100, 800, 100, 200],
];

export const FEE_LEVELS = TIERS.length;

/**
 * @param level 1 (the dearest, the default of a new account) to 8
 * @throws RangeError on another level
 */
export const ratesOf = (level: number, quote: string): FeeRates => {
  const tier = TIERS[level - 1];
  if (tier === undefined) throw new RangeError(`fee level ${level} does not exist: 1 to ${FEE_LEVELS}`);
  return quote === 'TRY'
    ? { makerPpm: tier[0], takerPpm: tier[1] }
    : { makerPpm: tier[2], takerPpm: tier[3] };
};

/** Fee plus tax on a notional value, rounded down to 16 decimals so that parts never cost more than the whole. */
export const commissionOf = (value: Amount, ppm: number): Amount => partsPerMillion(value, ppm, 'down');

/**
 * A commission as the trade row shows it: 20 % VAT is inside, so the fee is five sixths of it (half up at 16 decimals)
 * and the tax is the rest. A balance is reproduced from rows alone: a buy costs `notional + fee + tax`, a sell brings
 * `notional - fee - tax`, with `notional()` of domain/money.ts over the row's price and exact quantity.
 */
export const splitCommission = (commission: Amount): { readonly fee: Amount; readonly tax: Amount } => {
  const fee = divide(commission * 5n, 6n, 'half-up');
  return { fee, tax: commission - fee };
};
