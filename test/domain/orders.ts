/** Orders, fills and reports for tests, in small round numbers. */
import { parseDecimal } from '#src/domain/money.js';
import type { Fill, Order, OrderState, OrderTerms } from '#src/domain/order.js';
import { type OrderRecord, orderRecord } from '#src/domain/order-machine.js';
import type { OrderReport } from '#src/domain/venue-port.js';

export const d = parseDecimal;

const HUNDRED = d('100');
const TEN = d('10');

export const limitTerms = (over: Partial<OrderTerms> = {}): OrderTerms => ({
  symbol: 'BTCTRY',
  side: 'buy',
  method: 'limit',
  price: HUNDRED,
  quantity: TEN,
  quoteQuantity: null,
  stopPrice: null,
  ...over,
});

export const orderIn = (state: OrderState, terms: OrderTerms = limitTerms()): Order => ({
  clientOrderId: 'bb-db-1-test-1',
  intentId: 'test:1:1',
  strategy: 'test',
  terms,
  configHash: 'hash',
  cause: 'market-data:1:1',
  intendedAtMs: 1_000,
  sentAtMs:
    state.status === 'intended' || state.status === 'denied' || state.status === 'unknown' ? null : 1_000,
  settledAtMs: null,
  state,
});

export const fillOf = (quantity: string, over: Partial<Fill> = {}): Fill => ({
  tradeId: '1263118840021773311',
  venueOrderId: 'V1',
  clientOrderId: 'bb-db-1-test-1',
  symbol: 'BTCTRY',
  side: 'buy',
  price: d('100'),
  quantity: d(quantity),
  fee: 0n,
  tax: 0n,
  feeAsset: 'TRY',
  executedAtMs: 2_000,
  ...over,
});

export const reportOf = (
  status: OrderReport['status'],
  filled: string,
  over: Partial<OrderReport> = {},
): OrderReport => ({
  venueOrderId: 'V1',
  clientOrderId: 'bb-db-1-test-1',
  symbol: 'BTCTRY',
  side: 'buy',
  method: 'limit',
  price: d('100'),
  quantity: d('10'),
  remaining: d('10') - d(filled),
  status,
  createdAtMs: 0,
  updatedAtMs: 0,
  ...over,
});

/** A record as it is in each status, with the one fill of an order that is filled, and no other. */
export const recordIn = (status: OrderState['status'], terms?: OrderTerms): OrderRecord => {
  const states: { readonly [S in OrderState['status']]: OrderState } = {
    intended: { status: 'intended' },
    'in-flight': { status: 'in-flight', sentAtMs: 1_000 },
    unknown: { status: 'unknown', sinceMs: 1_000, cause: 'timeout', filled: 0n },
    working: { status: 'working', venueOrderId: 'V1', filled: 0n },
    'cancel-in-flight': {
      status: 'cancel-in-flight',
      venueOrderId: 'V1',
      filled: 0n,
      requestedAtMs: 1_000,
    },
    filled: { status: 'filled', venueOrderId: 'V1', filled: d('10') },
    canceled: { status: 'canceled', venueOrderId: 'V1', filled: 0n },
    expired: { status: 'expired', venueOrderId: 'V1', filled: 0n },
    rejected: { status: 'rejected', reason: 'FAILED_LIMIT_ORDER' },
    denied: { status: 'denied', reason: 'fenced' },
  };
  const record = orderRecord(
    orderIn(states[status], terms),
    status === 'filled' ? [fillOf('10', { tradeId: 'all of it' })] : [],
  );
  record.journaled = true;
  return record;
};
