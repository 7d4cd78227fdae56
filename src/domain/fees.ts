/** Fee plus value-added tax, parts per million of an order's value in quote. */
export interface FeeRates {
  readonly makerPpm: number;
  readonly takerPpm: number;
}

/** The first level of the venue's published table, tax included (protocol section 6.7). */
const FIRST_LEVEL_TRY: FeeRates = { makerPpm: 1_200, takerPpm: 2_400 };
const FIRST_LEVEL_USDT: FeeRates = { makerPpm: 1_000, takerPpm: 1_400 };

/**
 * The dearest rates an account can have on pairs of this quote asset. No request tells the account's own level, so
 * these are assumed until fills prove otherwise (protocol section 12 rule 12).
 */
export const dearestFees = (quote: string): FeeRates =>
  quote === 'USDT' ? FIRST_LEVEL_USDT : FIRST_LEVEL_TRY;
