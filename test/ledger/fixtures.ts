import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LedgerRecord } from '#src/domain/ledger-records.js';
import { parseDecimal } from '#src/domain/money.js';
import type { Fill, Order, OrderState } from '#src/domain/order.js';

/** 2026-09-23T03:20:00.027Z */
export const AT = 1_790_133_600_027;

export const order = (id: string, changes: Partial<Order> = {}): Order => ({
  clientOrderId: id,
  intentId: `maker:1:${id}`,
  strategy: 'maker',
  terms: {
    symbol: 'BTCTRY',
    side: 'buy',
    method: 'limit',
    price: parseDecimal('3754135.12345678'),
    quantity: parseDecimal('0.5'),
    quoteQuantity: null,
    stopPrice: null,
  },
  configHash: 'c0ffee',
  cause: 'market-data:1:7',
  intendedAtMs: AT,
  sentAtMs: null,
  settledAtMs: null,
  state: { status: 'intended' },
  ...changes,
});

export const intended = (id: string, changes: Partial<Order> = {}): LedgerRecord => ({
  type: 'order-intended',
  order: order(id, changes),
});

export const moved = (
  id: string,
  state: OrderState,
  atMs = AT + 10,
): Extract<LedgerRecord, { type: 'order-moved' }> => ({
  type: 'order-moved',
  clientOrderId: id,
  state,
  atMs,
  cause: 'execution:1:3',
  detail: '',
});

export const fill = (tradeId: string, changes: Partial<Fill> = {}): Fill => ({
  tradeId,
  venueOrderId: '31840022117',
  clientOrderId: 'c1',
  symbol: 'BTCTRY',
  side: 'buy',
  price: parseDecimal('3754135.12345678'),
  quantity: parseDecimal('0.1'),
  fee: parseDecimal('0.0000000000000001'),
  tax: 0n,
  feeAsset: 'TRY',
  executedAtMs: AT + 20,
  ...changes,
});

export const filled = (tradeId: string, changes: Partial<Fill> = {}): LedgerRecord => ({
  type: 'fill',
  fill: fill(tradeId, changes),
  bookedAtMs: AT + 30,
});

export const audited = (
  id: string,
  cause: string,
  event: string,
  facts: Record<string, string | number | boolean | null> = {},
): LedgerRecord => ({ type: 'audit', atMs: AT + 40, actor: id.split(':')[0] ?? '', event, id, cause, facts });

/** A fresh directory for each test; removed afterwards. Call inside `describe`. */
export const scratch = (): { readonly path: string; file(name: string): string } => {
  let path = '';
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), 'btcbot-ledger-'));
  });
  afterEach(() => {
    rmSync(path, { recursive: true, force: true });
  });
  return {
    get path() {
      return path;
    },
    file: name => join(path, name),
  };
};
