/** Rows of the ledger to domain values and back. Stored state is input: it is parsed, never cast. */
import { formatDecimal, parseDecimal } from '../domain/money.js';
import type { Fill, Order, OrderState, UnknownCause } from '../domain/order.js';
import type { Hold, HoldCause } from '../domain/safety.js';
import { HOLD_CAUSES } from '../domain/safety.js';

/** A row that this program cannot have written. Names the table and what is wrong. */
export class LedgerRowError extends Error {
  override readonly name = 'LedgerRowError';
}

/** The columns of a state, as both `order_events` and `order_states` have them. */
export interface StateColumns {
  readonly status: string;
  readonly venue_order_id: string | null;
  readonly filled: string | null;
  readonly moment_ms: number | null;
  readonly reason: string | null;
}

export interface OrderRow extends StateColumns {
  readonly client_order_id: string;
  readonly intent_id: string;
  readonly strategy: string;
  readonly tag: string | null;
  readonly symbol: string;
  readonly side: string;
  readonly method: string;
  readonly price: string | null;
  readonly quantity: string;
  readonly quote_quantity: string | null;
  readonly stop_price: string | null;
  readonly config_hash: string;
  readonly cause: string;
  readonly intended_at_ms: number;
  readonly sent_at_ms: number | null;
  readonly settled_at_ms: number | null;
}

export interface FillRow {
  /** Its place in the order of booking. */
  readonly seq: number;
  readonly trade_id: string;
  readonly client_order_id: string | null;
  readonly venue_order_id: string;
  readonly symbol: string;
  readonly side: string;
  readonly price: string;
  readonly quantity: string;
  readonly fee: string;
  readonly tax: string;
  readonly fee_asset: string;
  readonly executed_at_ms: number;
}

export interface HoldRow {
  readonly key: string;
  readonly cause: string;
  readonly subject: string;
  readonly detail: string;
  readonly placed_at_ms: number;
}

/** Columns of {@link OrderRow}, joined; for every query that reads orders. */
export const SELECT_ORDERS = `
  SELECT o.client_order_id, o.intent_id, o.strategy, o.tag, o.symbol, o.side, o.method, o.price, o.quantity,
         o.quote_quantity, o.stop_price, o.config_hash, o.cause, o.intended_at_ms,
         s.status, s.venue_order_id, s.filled, s.moment_ms, s.reason, s.sent_at_ms, s.settled_at_ms
  FROM orders o JOIN order_states s ON s.order_seq = o.seq`;

/** Columns of {@link FillRow}, in order of execution. */
export const SELECT_FILLS = `
  SELECT seq, trade_id, client_order_id, venue_order_id, symbol, side, price, quantity, fee, tax, fee_asset,
         executed_at_ms
  FROM fills`;

const UNKNOWN_CAUSES: readonly string[] = [
  'timeout',
  'disconnect',
  'server-error',
  'unreadable',
  'rate-limited',
  'unrecognised',
  'process-ended',
] satisfies readonly UnknownCause[];

const METHODS: readonly string[] = ['limit', 'market', 'stop-limit', 'stop-market'];

/** Exact decimal text of an amount that may be absent. */
export const text = (value: bigint | null): string | null => (value === null ? null : formatDecimal(value));

const amount = (value: string | null): bigint | null => (value === null ? null : parseDecimal(value));

export const stateColumns = (state: OrderState): StateColumns => ({
  status: state.status,
  venue_order_id: 'venueOrderId' in state ? state.venueOrderId : null,
  filled: 'filled' in state ? formatDecimal(state.filled) : null,
  moment_ms:
    state.status === 'in-flight'
      ? state.sentAtMs
      : state.status === 'unknown'
        ? state.sinceMs
        : state.status === 'cancel-in-flight'
          ? state.requestedAtMs
          : null,
  reason: state.status === 'unknown' ? state.cause : 'reason' in state ? state.reason : null,
});

/** @throws LedgerRowError when a column that the status needs is missing or the status is not known. */
export const stateFrom = (row: StateColumns, of: string): OrderState => {
  const need = <T>(value: T | null, column: string): T => {
    if (value === null) throw new LedgerRowError(`order ${of} is ${row.status} but has no ${column}`);
    return value;
  };
  switch (row.status) {
    case 'intended':
      return { status: 'intended' };
    case 'in-flight':
      return { status: 'in-flight', sentAtMs: need(row.moment_ms, 'moment_ms') };
    case 'unknown': {
      const cause = need(row.reason, 'reason');
      if (!UNKNOWN_CAUSES.includes(cause))
        throw new LedgerRowError(`order ${of} is unknown for a cause this program does not know: ${cause}`);
      return {
        status: 'unknown',
        sinceMs: need(row.moment_ms, 'moment_ms'),
        cause: cause as UnknownCause,
        filled: parseDecimal(need(row.filled, 'filled')),
      };
    }
    case 'working':
    case 'filled':
    case 'canceled':
    case 'expired':
      return {
        status: row.status,
        venueOrderId: need(row.venue_order_id, 'venue_order_id'),
        filled: parseDecimal(need(row.filled, 'filled')),
      };
    case 'cancel-in-flight':
      return {
        status: 'cancel-in-flight',
        venueOrderId: need(row.venue_order_id, 'venue_order_id'),
        filled: parseDecimal(need(row.filled, 'filled')),
        requestedAtMs: need(row.moment_ms, 'moment_ms'),
      };
    case 'rejected':
    case 'denied':
      return { status: row.status, reason: need(row.reason, 'reason') };
    default:
      throw new LedgerRowError(`order ${of} has a status this program does not know: ${row.status}`);
  }
};

export const orderFrom = (row: OrderRow): Order => {
  if (!METHODS.includes(row.method))
    throw new LedgerRowError(`order ${row.client_order_id} has an unknown method: ${row.method}`);
  return {
    clientOrderId: row.client_order_id,
    intentId: row.intent_id,
    strategy: row.strategy,
    ...(row.tag === null ? {} : { tag: row.tag }),
    terms: {
      symbol: row.symbol,
      side: sideFrom(row.side, `order ${row.client_order_id}`),
      method: row.method as Order['terms']['method'],
      price: amount(row.price),
      quantity: parseDecimal(row.quantity),
      quoteQuantity: amount(row.quote_quantity),
      stopPrice: amount(row.stop_price),
    },
    configHash: row.config_hash,
    cause: row.cause,
    intendedAtMs: row.intended_at_ms,
    sentAtMs: row.sent_at_ms,
    settledAtMs: row.settled_at_ms,
    state: stateFrom(row, row.client_order_id),
  };
};

export const fillFrom = (row: FillRow): Fill => ({
  tradeId: row.trade_id,
  venueOrderId: row.venue_order_id,
  clientOrderId: row.client_order_id,
  symbol: row.symbol,
  side: sideFrom(row.side, `fill ${row.trade_id}`),
  price: parseDecimal(row.price),
  quantity: parseDecimal(row.quantity),
  fee: parseDecimal(row.fee),
  tax: parseDecimal(row.tax),
  feeAsset: row.fee_asset,
  executedAtMs: row.executed_at_ms,
});

export const holdFrom = (row: HoldRow): Hold => {
  if (!(HOLD_CAUSES as readonly string[]).includes(row.cause))
    throw new LedgerRowError(`hold ${row.key} has a cause this program does not know: ${row.cause}`);
  return {
    key: row.key,
    cause: row.cause as HoldCause,
    subject: row.subject,
    detail: row.detail,
    placedAtMs: row.placed_at_ms,
  };
};

const sideFrom = (value: string, of: string): 'buy' | 'sell' => {
  if (value !== 'buy' && value !== 'sell') throw new LedgerRowError(`${of} has no side: ${value}`);
  return value;
};
