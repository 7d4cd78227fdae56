import { type Amount, fromInteger } from '../domain/money.js';

export interface PracticeLimits {
  readonly MAX_NOTIONAL_PER_ORDER_TRY: Amount;
  readonly MAX_POSITION_NOTIONAL_TRY: Amount;
  readonly MAX_GROSS_EXPOSURE_TRY: Amount;
  readonly MAX_DAILY_LOSS_TRY: Amount;
  readonly MAX_DRAWDOWN_PCT: number;
  readonly PRICE_COLLAR_BPS: number;
  readonly MAX_ORDERS_PER_MINUTE: number;
  readonly MAX_REPEATED_EXECUTIONS: number;
}

/**
 * What an unset risk limit means where no real money moves (paper and dry run). Live has no such defaults: whoever
 * risks money chooses every limit.
 */
export const practiceLimits: PracticeLimits = {
  MAX_NOTIONAL_PER_ORDER_TRY: fromInteger(100_000),
  MAX_POSITION_NOTIONAL_TRY: fromInteger(500_000),
  MAX_GROSS_EXPOSURE_TRY: fromInteger(1_000_000),
  MAX_DAILY_LOSS_TRY: fromInteger(50_000),
  MAX_DRAWDOWN_PCT: 20,
  PRICE_COLLAR_BPS: 200,
  MAX_ORDERS_PER_MINUTE: 120,
  MAX_REPEATED_EXECUTIONS: 20,
};
