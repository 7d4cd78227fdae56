import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import SqliteDatabase from 'better-sqlite3';
import { expect } from 'chai';
import fc from 'fast-check';
import type { LedgerRecord } from '#src/domain/ledger-records.js';
import { formatDecimal, parseDecimal } from '#src/domain/money.js';
import type { OrderState } from '#src/domain/order.js';
import { judgeFileSystem } from '#src/ledger/ledger-file.js';
import { stateColumns, stateFrom } from '#src/ledger/rows.js';
import { RECENT_ORDERS_MOST } from '#src/ledger/snapshot.js';
import { type Ledger, openLedger } from '#src/ledger/store.js';
import { LedgerRecordError } from '#src/ledger/writer.js';
import { LEDGER_REFUSALS, ledgerRefusalIn } from '#src/messages/ledger-refusal.js';
import { AT, audited, fill, filled, intended, moved, order, scratch } from './fixtures.js';

const runs = Math.min(Number(process.env.BTCBOT_RUNS ?? 80), 20_000);

const inMemory = (): Ledger => openLedger({ path: ':memory:', mode: 'paper', instance: 'aaaa0000' });

const rowsOf = (ledger: Ledger, sql: string): Record<string, unknown>[] => {
  const copy = new SqliteDatabase(ledger.serialize());
  try {
    return copy.prepare(sql).all() as Record<string, unknown>[];
  } finally {
    copy.close();
  }
};

const refusalOf = (work: () => unknown): { reason: string; exitCode: number; message: string } => {
  try {
    work();
  } catch (error) {
    const refusal = ledgerRefusalIn(error);
    if (refusal === undefined) throw error;
    return refusal;
  }
  throw new Error('it was not refused');
};

const quantity = fc.bigInt({ min: 0n, max: 10n ** 26n });
const moment = fc.integer({ min: 1, max: 4_000_000_000_000 });
const venueOrderId = fc.bigInt({ min: 1n, max: 10n ** 18n }).map(String);
const anyState: fc.Arbitrary<OrderState> = fc.oneof(
  fc.record({ status: fc.constant('intended' as const) }),
  fc.record({ status: fc.constant('in-flight' as const), sentAtMs: moment }),
  fc.record({
    status: fc.constant('unknown' as const),
    sinceMs: moment,
    cause: fc.constantFrom('timeout' as const, 'process-ended' as const),
    filled: quantity,
  }),
  fc.record({ status: fc.constant('working' as const), venueOrderId, filled: quantity }),
  fc.record({
    status: fc.constant('cancel-in-flight' as const),
    venueOrderId,
    filled: quantity,
    requestedAtMs: moment,
  }),
  fc.record({
    status: fc.constantFrom('filled' as const, 'canceled' as const, 'expired' as const),
    venueOrderId,
    filled: quantity,
  }),
  fc.record({ status: fc.constantFrom('rejected' as const, 'denied' as const), reason: fc.string() }),
);

describe('ledger store', () => {
  describe('what is written is what is read', () => {
    it('every order state survives its columns', () => {
      fc.assert(
        fc.property(anyState, state => {
          expect(stateFrom(stateColumns(state), 'c1')).to.deep.equal(state);
        }),
      );
    });

    it('a state with a missing part or an unknown name is refused by name', () => {
      const columns = { venue_order_id: null, filled: null, moment_ms: null, reason: null };
      expect(() => stateFrom({ ...columns, status: 'working' }, 'c1')).to.throw(
        'order c1 is working but has no',
      );
      expect(() => stateFrom({ ...columns, status: 'resting' }, 'c1')).to.throw('resting');
      expect(() =>
        stateFrom({ ...columns, status: 'unknown', reason: 'weather', moment_ms: 1, filled: '0' }, 'c1'),
      ).to.throw('weather');
    });

    it('the snapshot shows the last state of each open order, every fill in order of execution, and all else', () => {
      const ledger = inMemory();
      const hold = {
        key: 'unknown-outcome:BTCTRY',
        cause: 'unknown-outcome' as const,
        subject: 'BTCTRY',
        detail: 'no answer',
        placedAtMs: AT,
      };
      const valuation = {
        atMs: AT,
        profitTry: -5n,
        peakProfitTry: 7n,
        dayStartMs: AT - 1,
        dayStartProfitTry: 3n,
      };
      const movement = {
        movementId: 'w1',
        kind: 'withdrawal' as const,
        asset: 'TRY',
        amount: -10n,
        fee: 3n,
        tax: 0n,
        atMs: AT + 5,
      };
      const balance = { asset: 'TRY', total: parseDecimal('15210.440312'), free: 1n, locked: 2n };
      ledger.append([
        { type: 'balances', atMs: AT - 1, opening: true, balances: [balance], movementIds: ['fiat:1', 'd2'] },
        intended('c1'),
        intended('c2'),
        intended('c3'),
        moved('c1', { status: 'in-flight', sentAtMs: AT + 1 }),
        moved('c1', { status: 'working', venueOrderId: '9007199254740993', filled: 0n }),
        moved('c2', { status: 'denied', reason: 'below-min-notional' }),
        filled('t2', { executedAtMs: AT + 21 }),
        filled('t1', { executedAtMs: AT + 20 }),
        { type: 'cash-movement', movement },
        { type: 'hold-placed', hold, atMs: AT },
        { type: 'hold-placed', hold: { ...hold, key: 'operator', cause: 'operator' }, atMs: AT },
        { type: 'hold-released', key: 'operator', atMs: AT + 60, by: 'btcbot safe-mode off' },
        { type: 'strategy-saved', strategy: 'maker', state: '{"n":1}', atMs: AT },
        { type: 'strategy-saved', strategy: 'maker', state: '{"n":2}', atMs: AT },
        { type: 'valuation', valuation: { ...valuation, atMs: AT - 9 } },
        { type: 'valuation', valuation },
      ]);
      expect(ledger.snapshot()).to.deep.equal({
        instance: 'aaaa0000',
        openOrders: [
          order('c1', {
            sentAtMs: AT + 1,
            state: { status: 'working', venueOrderId: '9007199254740993', filled: 0n },
          }),
          order('c3'),
        ],
        cancelWishes: [],
        recentOrders: ['c1', 'c2', 'c3'].map(label => ({
          intendedAtMs: AT,
          terms: order(label).terms,
        })),
        fills: [fill('t1', { executedAtMs: AT + 20 }), fill('t2', { executedAtMs: AT + 21 })],
        openingBalances: [balance],
        openingAtMs: AT - 1,
        openingMovementIds: ['fiat:1', 'd2'],
        valuation,
        cashMovements: [movement],
        holds: [hold],
        strategyStates: new Map([['maker', '{"n":2}']]),
        lastRecordAtMs: 0,
      });
    });

    it('the snapshot keeps the strongest wish to end each open order, until the order has ended', () => {
      const ledger = inMemory();
      const wanted = (label: string, origin: string, id: string): LedgerRecord =>
        audited(id, 'strategy:1:1', 'cancel-wanted', { clientOrderId: label, origin, reason: `${origin}'s` });
      ledger.append([
        ...['c1', 'c2', 'c3', 'c4'].map(label => intended(label)),
        wanted('c1', 'strategy', 'execution:1:1'),
        wanted('c2', 'operator', 'execution:1:2'),
        wanted('c2', 'hold', 'execution:1:3'),
        wanted('c3', 'strategy', 'execution:1:4'),
        moved('c3', { status: 'canceled', venueOrderId: '3', filled: 0n }),
      ]);
      const wishes = (): readonly string[] =>
        ledger.snapshot().cancelWishes.map(wish => `${wish.clientOrderId} ${wish.origin} ${wish.reason}`);
      expect(wishes()).to.deep.equal(["c1 strategy strategy's", "c2 operator operator's"]);
      ledger.append([
        { type: 'cancel-all-ordered', atMs: AT + 1, reason: 'all', id: 'supervisor:1:1' },
        intended('c5', { intendedAtMs: AT + 2 }),
      ]);
      expect(wishes()).to.deep.equal(['c1 operator all', "c2 operator operator's", 'c4 operator all']);
    });

    it('a cancel-all stands for the orders before it, whatever the clock said and however often it is handed in', () => {
      const ledger = inMemory();
      const all: LedgerRecord = {
        type: 'cancel-all-ordered',
        atMs: AT - 60_000,
        reason: 'all',
        id: 'supervisor:1:1',
      };
      const wished = (): readonly string[] =>
        ledger.snapshot().cancelWishes.map(({ clientOrderId }) => clientOrderId);
      // The clock was set back between the order and the cancel-all.
      ledger.append([intended('c1'), all]);
      expect(wished()).to.deep.equal(['c1']);
      // And again between the cancel-all and the next order.
      ledger.append([intended('c2', { intendedAtMs: AT - 120_000 })]);
      ledger.append([all]);
      expect(wished()).to.deep.equal(['c1']);
      ledger.append([{ ...all, atMs: AT - 110_000 }]);
      expect(wished()).to.deep.equal(['c1', 'c2']);
    });

    it('the snapshot has the orders of ten minutes, or says that they are too many to be told', () => {
      const ledger = inMemory();
      const at = (label: string, intendedAtMs: number): LedgerRecord => intended(label, { intendedAtMs });
      ledger.append([at('c1', AT - 600_000), at('c2', AT - 599_999), at('c3', AT)]);
      expect(ledger.snapshot().recentOrders?.map(({ intendedAtMs }) => intendedAtMs)).to.deep.equal([
        AT - 599_999,
        AT,
      ]);
      ledger.append(Array.from({ length: RECENT_ORDERS_MOST }, (_, index) => at(`d${index}`, AT + 1)));
      expect(ledger.snapshot().recentOrders).to.equal(null);
    });

    it('a batch that is handed in twice is in the history once', () => {
      const ledger = inMemory();
      const batch: readonly LedgerRecord[] = [
        intended('c1'),
        moved('c1', { status: 'in-flight', sentAtMs: AT + 1 }, AT + 1),
        audited('execution:1:3', 'strategy:1:1', 'order-in-flight', { clientOrderId: 'c1' }),
      ];
      ledger.append(batch);
      const kinds = ledger.append([
        ...batch,
        {
          ...moved('c1', { status: 'working', venueOrderId: '1', filled: 0n }, AT + 2),
          cause: 'execution:1:4',
        },
      ]);
      expect(kinds.map(({ type }) => type)).to.deep.equal(['intent-repeated', 'move-repeated']);
      expect(rowsOf(ledger, 'SELECT status, cause, detail FROM order_events ORDER BY seq')).to.deep.equal([
        { status: 'intended', cause: 'market-data:1:7', detail: '' },
        { status: 'in-flight', cause: 'execution:1:3', detail: '' },
        { status: 'working', cause: 'execution:1:4', detail: '' },
      ]);
      expect(rowsOf(ledger, 'SELECT event FROM audit')).to.deep.equal([{ event: 'order-in-flight' }]);
      expect(ledger.snapshot().openOrders[0]?.state.status).to.equal('working');
      ledger.close();
    });

    it('any history of one order leaves its last state, first sending and settling', () => {
      fc.assert(
        fc.property(fc.array(anyState, { maxLength: 8 }), states => {
          const ledger = inMemory();
          ledger.append([intended('c1')]);
          let settled: number | null = null;
          let ended = false;
          let sent: number | null = null;
          for (const [index, state] of states.entries()) {
            const atMs = AT + index;
            ledger.append([moved('c1', state, atMs)]);
            const ends = ['filled', 'canceled', 'expired', 'rejected', 'denied'].includes(state.status);
            settled = ends ? (ended ? settled : atMs) : null;
            ended = ends;
            if (state.status === 'in-flight' && sent === null) sent = state.sentAtMs;
          }
          const last = states.at(-1) ?? { status: 'intended' as const };
          const { openOrders } = ledger.snapshot();
          if (ended) expect(openOrders).to.deep.equal([]);
          else expect(openOrders).to.deep.equal([order('c1', { state: last, sentAtMs: sent })]);
          const [view] = rowsOf(ledger, 'SELECT state, settled_at FROM v_orders');
          expect(view).to.deep.equal({
            state: last.status,
            settled_at: settled === null ? null : new Date(settled).toISOString(),
          });
          expect(rowsOf(ledger, 'SELECT count(*) AS n FROM order_events')).to.deep.equal([
            { n: states.length + 1 },
          ]);
        }),
        { numRuns: runs },
      );
    });
  });

  describe('facts count once', () => {
    it('a repeated intent, fill or movement is left out and said so', () => {
      const ledger = inMemory();
      ledger.append([intended('c1'), filled('t1')]);
      expect(ledger.append([intended('c1'), filled('t1')])).to.deep.equal([
        { type: 'intent-repeated', subject: 'c1' },
        { type: 'fill-repeated', subject: 't1' },
      ]);
      expect(ledger.snapshot().fills).to.deep.equal([fill('t1')]);
      const movement = {
        movementId: 'w1',
        kind: 'withdrawal',
        asset: 'TRY',
        amount: -10n,
        fee: 3n,
        tax: 1n,
        atMs: AT,
      } as const;
      expect(ledger.append([{ type: 'cash-movement', movement }])).to.deep.equal([]);
      // The venue's list gives a movement a time of its own once it is settled.
      expect(
        ledger.append([{ type: 'cash-movement', movement: { ...movement, atMs: AT + 1 } }]),
      ).to.deep.equal([{ type: 'movement-repeated', subject: 'w1' }]);
      for (const other of [
        { kind: 'deposit' as const },
        { asset: 'BTC' },
        { amount: -9n },
        { fee: 2n },
        { tax: 0n },
      ])
        expect(
          ledger.append([{ type: 'cash-movement', movement: { ...movement, ...other } }]),
          Object.keys(other)[0],
        ).to.deep.equal([{ type: 'movement-contradicted', subject: 'w1' }]);
      expect(ledger.snapshot().cashMovements).to.deep.equal([movement]);
    });

    it('a fill with one other number or name contradicts the first, which stands', () => {
      const ledger = inMemory();
      ledger.append([intended('c1'), filled('t1')]);
      for (const other of [
        { symbol: 'ETHTRY' },
        { side: 'sell' as const },
        { price: 1n },
        { quantity: 1n },
        { fee: 0n },
        { tax: 1n },
        { feeAsset: 'BTC' },
      ])
        expect(ledger.append([filled('t1', other)]), Object.keys(other)[0]).to.deep.equal([
          { type: 'fill-contradicted', subject: 't1' },
        ]);
      expect(ledger.snapshot().fills).to.deep.equal([fill('t1')]);
    });

    it('balances are in the history when one of their amounts changed, and only then', () => {
      const ledger = inMemory();
      const shown = { asset: 'TRY', total: 3n, free: 2n, locked: 1n };
      const inTurn = [shown, shown, { ...shown, total: 4n }, { ...shown, total: 4n, free: 3n }];
      for (const [index, balance] of [...inTurn, { ...shown, total: 4n, free: 3n, locked: 0n }].entries())
        ledger.append([{ type: 'balances', atMs: AT + index, opening: false, balances: [balance] }]);
      expect(rowsOf(ledger, `SELECT at_ms - ${AT} AS after FROM balance_changes`)).to.deep.equal(
        [0, 2, 3, 4].map(after => ({ after })),
      );
      expect(ledger.snapshot()).to.include({ openingAtMs: null });
    });

    it('an asset that the venue names no longer is at zero, which is in the history once', () => {
      const ledger = inMemory();
      const lira = { asset: 'TRY', total: 3n, free: 2n, locked: 1n };
      const coins = { asset: 'BTC', total: 7n, free: 7n, locked: 0n };
      for (const [index, balances] of [[lira, coins], [lira], [lira]].entries())
        ledger.append([{ type: 'balances', atMs: AT + index, opening: false, balances }]);
      expect(
        rowsOf(ledger, `SELECT asset, total, free, as_of_ms - ${AT} AS after FROM balances`),
      ).to.deep.equal([
        { asset: 'BTC', total: '0', free: '0', after: 1 },
        { asset: 'TRY', total: '0.0000000000000003', free: '0.0000000000000002', after: 2 },
      ]);
      expect(
        rowsOf(
          ledger,
          `SELECT asset, total, at_ms - ${AT} AS after FROM balance_changes WHERE asset = 'BTC'`,
        ),
      ).to.deep.equal([
        { asset: 'BTC', total: '0.0000000000000007', after: 0 },
        { asset: 'BTC', total: '0', after: 1 },
      ]);
    });

    it('a second opening does not move the first', () => {
      const ledger = inMemory();
      ledger.append([{ type: 'balances', atMs: 5, opening: true, balances: [] }]);
      expect(
        ledger.append([
          {
            type: 'balances',
            atMs: 6,
            opening: true,
            balances: [{ asset: 'TRY', total: 1n, free: 1n, locked: 0n }],
          },
        ]),
      ).to.deep.equal([{ type: 'opening-repeated', subject: '6' }]);
      expect(ledger.snapshot()).to.include({ openingAtMs: 5 });
      expect(ledger.snapshot().openingBalances).to.deep.equal([]);
    });

    it('an audit names its order and intent in columns of their own, where it has them', () => {
      const ledger = inMemory();
      ledger.append([
        audited('execution:1:1', 'x', 'sent', { clientOrderId: 'c1', intentId: 'maker:1:c1' }),
        audited('execution:1:2', 'x', 'counted', { clientOrderId: 1, intentId: 2 }),
        { type: 'cancel-all-ordered', atMs: AT, reason: 'the end of the day', id: 'supervisor:1:9' },
        { type: 'mark', symbol: 'BTCTRY', price: parseDecimal('99.5'), atMs: AT },
      ]);
      const columns = 'actor, event, event_id, cause, client_order_id, intent_id, facts';
      expect(rowsOf(ledger, `SELECT ${columns} FROM audit ORDER BY seq`).map(Object.values)).to.deep.equal([
        [
          'execution',
          'sent',
          'execution:1:1',
          'x',
          'c1',
          'maker:1:c1',
          '{"clientOrderId":"c1","intentId":"maker:1:c1"}',
        ],
        ['execution', 'counted', 'execution:1:2', 'x', null, null, '{"clientOrderId":1,"intentId":2}'],
        [
          'supervisor',
          'cancel-all-ordered',
          'supervisor:1:9',
          'operator',
          null,
          null,
          '{"reason":"the end of the day"}',
        ],
      ]);
      expect(rowsOf(ledger, 'SELECT * FROM marks')).to.deep.equal([
        { symbol: 'BTCTRY', price: '99.5', at_ms: AT },
      ]);
    });

    it('a transition without an intent is kept and said so', () => {
      const ledger = inMemory();
      expect(ledger.append([moved('c9', { status: 'denied', reason: 'fenced' })])).to.deep.equal([
        { type: 'order-unknown', subject: 'c9' },
      ]);
      expect(rowsOf(ledger, 'SELECT client_order_id FROM order_events')).to.deep.equal([
        { client_order_id: 'c9' },
      ]);
    });

    it('a client order id used again for another order refuses its batch and no other', () => {
      const ledger = inMemory();
      ledger.append([intended('c1')]);
      const other = intended('c1', { intentId: 'maker:1:other' });
      const { terms } = order('c1');
      for (const reused of [
        other,
        intended('c1', { terms: { ...terms, symbol: 'ETHTRY' } }),
        intended('c1', { terms: { ...terms, side: 'sell' } }),
        intended('c1', { terms: { ...terms, price: null } }),
        intended('c1', { terms: { ...terms, quantity: 1n } }),
      ])
        expect(() => ledger.append([intended('c2'), reused]))
          .to.throw(LedgerRecordError, 'c1 was used before')
          .with.property('name', 'LedgerRecordError');
      const outcomes = ledger.appendGroup([[intended('c3')], [intended('c4'), other], [intended('c5')]]);
      expect(outcomes.map(outcome => outcome.ok)).to.deep.equal([true, false, true]);
      expect(ledger.snapshot().openOrders.map(each => each.clientOrderId)).to.deep.equal(['c1', 'c3', 'c5']);
    });

    it('a record that is no record refuses its batch and leaves the ledger sound', () => {
      const ledger = inMemory();
      const broken = {
        type: 'mark',
        symbol: 'BTCTRY',
        price: undefined,
        atMs: AT,
      } as unknown as LedgerRecord;
      const [outcome] = ledger.appendGroup([[broken]]);
      expect(outcome?.ok).to.equal(false);
      ledger.append([intended('c1')]);
      expect(ledger.snapshot().openOrders).to.have.length(1);
    });

    it('what was appended cannot be changed or deleted, by anybody', () => {
      const ledger = inMemory();
      ledger.append([
        intended('c1'),
        filled('t1'),
        audited('execution:1:1', 'market-data:1:7', 'approved'),
        {
          type: 'balances',
          atMs: 5,
          opening: true,
          balances: [{ asset: 'TRY', total: 1n, free: 1n, locked: 0n }],
        },
        {
          type: 'cash-movement',
          movement: { movementId: 'w', kind: 'deposit', asset: 'TRY', amount: 1n, fee: 0n, tax: 0n, atMs: 1 },
        },
      ]);
      const copy = new SqliteDatabase(ledger.serialize());
      for (const table of [
        'orders',
        'order_events',
        'fills',
        'audit',
        'cash_movements',
        'opening_balances',
        'balance_changes',
      ]) {
        expect(() => copy.exec(`DELETE FROM ${table}`), table).to.throw('append-only');
        const column = (copy.pragma(`table_info(${table})`) as { name: string }[])[0]?.name ?? '';
        expect(() => copy.exec(`UPDATE ${table} SET ${column} = ${column}`), table).to.throw('append-only');
      }
      copy.close();
    });
  });

  describe('views for people', () => {
    const VIEWS: Record<string, readonly string[]> = {
      v_orders: [
        'client_order_id',
        'venue_order_id',
        'symbol',
        'side',
        'method',
        'price',
        'quantity',
        'filled',
        'state',
        'intended_at',
        'sent_at',
        'settled_at',
        'cause',
      ],
      v_order_reasons: ['client_order_id', 'strategy', 'tag'],
      v_fills: [
        'trade_id',
        'client_order_id',
        'venue_order_id',
        'symbol',
        'side',
        'price',
        'quantity',
        'fee',
        'tax',
        'fee_asset',
        'executed_at',
      ],
      v_balances: ['asset', 'total', 'free', 'locked', 'as_of'],
      v_holds: ['key', 'cause', 'subject', 'detail', 'placed_at', 'released_at', 'released_by'],
      v_audit: [
        'seq',
        'run',
        'at',
        'actor',
        'event',
        'event_id',
        'cause',
        'client_order_id',
        'intent_id',
        'facts',
      ],
    };
    for (const [view, columns] of Object.entries(VIEWS))
      it(`${view} has its documented columns`, () => {
        const copy = new SqliteDatabase(inMemory().serialize());
        expect((copy.pragma(`table_info(${view})`) as { name: string }[]).map(row => row.name)).to.deep.equal(
          columns,
        );
        copy.close();
      });

    it('v_orders and v_fills show exact amounts and UTC times', () => {
      const ledger = inMemory();
      ledger.append([
        intended('c1'),
        moved('c1', { status: 'in-flight', sentAtMs: AT + 1 }),
        moved('c1', { status: 'working', venueOrderId: '31840022117', filled: 0n }),
        filled('t1'),
        filled('t2', { quantity: parseDecimal('0.4') }),
        moved('c1', { status: 'filled', venueOrderId: '31840022117', filled: parseDecimal('0.5') }, AT + 973),
      ]);
      expect(rowsOf(ledger, 'SELECT * FROM v_orders')).to.deep.equal([
        {
          client_order_id: 'c1',
          venue_order_id: '31840022117',
          symbol: 'BTCTRY',
          side: 'buy',
          method: 'limit',
          price: '3754135.12345678',
          quantity: '0.5',
          filled: '0.5',
          state: 'filled',
          intended_at: '2026-09-23T03:20:00.027Z',
          sent_at: '2026-09-23T03:20:00.028Z',
          settled_at: '2026-09-23T03:20:01.000Z',
          cause: 'market-data:1:7',
        },
      ]);
      expect(rowsOf(ledger, 'SELECT * FROM v_fills')[0]).to.deep.equal({
        trade_id: 't1',
        client_order_id: 'c1',
        venue_order_id: '31840022117',
        symbol: 'BTCTRY',
        side: 'buy',
        price: '3754135.12345678',
        quantity: '0.1',
        fee: '0.0000000000000001',
        tax: '0',
        fee_asset: 'TRY',
        executed_at: '2026-09-23T03:20:00.047Z',
      });
    });

    it('v_orders counts a fill as soon as it is booked, before the order is told', () => {
      const ledger = inMemory();
      ledger.append([
        intended('c1'),
        moved('c1', { status: 'unknown', sinceMs: AT, cause: 'timeout', filled: 0n }),
        filled('t1'),
      ]);
      expect(rowsOf(ledger, 'SELECT filled, venue_order_id FROM v_orders')).to.deep.equal([
        { filled: '0.1', venue_order_id: '31840022117' },
      ]);
    });

    it('every moment becomes the text that JavaScript gives it', () => {
      const copy = new SqliteDatabase(':memory:');
      const iso = copy.prepare("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', ? / 1000.0, 'unixepoch')").pluck();
      fc.assert(
        fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), ms => {
          expect(iso.get(ms)).to.equal(new Date(ms).toISOString());
        }),
        { numRuns: 2_000 },
      );
      copy.close();
    });

    it('every amount is the exact text of its value', () => {
      fc.assert(
        fc.property(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), total => {
          const ledger = inMemory();
          ledger.append([
            {
              type: 'balances',
              atMs: AT,
              opening: false,
              balances: [{ asset: 'A', total, free: 0n, locked: 0n }],
            },
          ]);
          expect(rowsOf(ledger, 'SELECT total FROM v_balances')).to.deep.equal([
            { total: formatDecimal(total) },
          ]);
        }),
        { numRuns: 50 },
      );
    });
  });

  describe('determinism', () => {
    it('the same appends in the same groups give the same bytes', () => {
      const history = fc.array(
        fc.array(
          fc.oneof(
            fc.integer({ min: 0, max: 9 }).map(n => intended(`c${n}`)),
            fc.tuple(fc.integer({ min: 0, max: 9 }), anyState).map(([n, state]) => moved(`c${n}`, state)),
            fc.integer({ min: 0, max: 9 }).map(n => filled(`t${n}`, { clientOrderId: `c${n}` })),
            fc.integer({ min: 0, max: 9 }).map(n => audited(`execution:1:${n}`, 'x', 'seen', { n })),
          ),
          { maxLength: 5 },
        ),
        { maxLength: 10 },
      );
      fc.assert(
        fc.property(history, groups => {
          const [first, second] = [inMemory(), inMemory()];
          for (const group of groups) {
            first.appendGroup([group]);
            second.appendGroup([group]);
          }
          expect(first.serialize().equals(second.serialize())).to.equal(true);
        }),
        { numRuns: Math.min(runs, 30) },
      );
    });
  });

  describe('files', () => {
    const dir = scratch();

    it('keeps the reason an order was wanted for, and gives it back', () => {
      const ledger = openLedger({ path: dir.file('tag.sqlite'), mode: 'paper' });
      ledger.append([intended('c1', { tag: 'cross-up' }), intended('c2')]);
      expect(ledger.snapshot().openOrders.map(({ tag }) => tag)).to.deep.equal(['cross-up', undefined]);
      ledger.close();
      const db = new SqliteDatabase(dir.file('tag.sqlite'), { readonly: true });
      expect(db.prepare('SELECT * FROM v_order_reasons').raw().all()).to.deep.equal([
        ['c1', 'maker', 'cross-up'],
        ['c2', 'maker', null],
      ]);
      db.close();
    });

    const open = (mode: 'paper' | 'live' | 'dry-run' = 'paper') =>
      openLedger({ path: dir.file('a.sqlite'), mode });

    it('keep their instance, count runs and epochs, and remember the time of the last record', () => {
      const first = open();
      first.append([intended('c1'), audited('execution:1:1', 'x', 'seen')]);
      expect([first.run, first.nextEpoch(), first.nextEpoch()]).to.deep.equal([1, 1, 2]);
      first.close();
      const second = open();
      expect([second.run, second.nextEpoch()]).to.deep.equal([2, 3]);
      expect(second.instance)
        .to.equal(first.instance)
        .and.to.match(/^[0-9a-f]{8}$/);
      expect(second.snapshot().lastRecordAtMs).to.equal(AT + 40);
      second.close();
    });

    it('take an audit for known that this run or the one before wrote, and no older one: ids begin anew', () => {
      const counts = [1, 2, 3].map(() => {
        const ledger = open();
        const record = audited('execution:1:1', 'x', 'seen');
        ledger.append([record, record]);
        ledger.close();
        const db = new SqliteDatabase(dir.file('a.sqlite'), { readonly: true });
        const count = db.prepare('SELECT count(*) FROM audit').pluck().get();
        db.close();
        return count;
      });
      expect(counts).to.deep.equal([1, 1, 2]);
    });

    it('give no epoch twice, also when an older backup is put back', async () => {
      const first = open();
      const backedUp = first.nextEpoch(AT);
      await first.backup(dir.file('backup.sqlite'));
      const later = first.nextEpoch(AT + 60_000);
      // A clock that went back gives no epoch again either.
      expect(first.nextEpoch(AT)).to.equal(later + 1);
      expect(later).to.equal(backedUp + 60);
      first.close();
      const restored = openLedger({ path: dir.file('backup.sqlite'), mode: 'paper' });
      expect(restored.nextEpoch(AT + 120_000)).to.be.greaterThan(later + 1);
      restored.close();
    });

    it('are for their owner alone, together with their journal', () => {
      const path = dir.file('deep/er/a.sqlite');
      const ledger = openLedger({ path, mode: 'paper' });
      ledger.append([intended('c1')]);
      for (const name of readdirSync(dir.file('deep/er')))
        expect(statSync(join(dir.file('deep/er'), name)).mode & 0o777, name).to.equal(0o600);
      ledger.close();
      chmodSync(path, 0o644);
      openLedger({ path, mode: 'paper' }).close();
      expect(statSync(path).mode & 0o777).to.equal(0o600);
    });

    it('of another mode are refused and left as they are', () => {
      open('paper').close();
      const before = statSync(dir.file('a.sqlite')).mtimeMs;
      const refusal = refusalOf(() => open('live'));
      expect(refusal).to.include({ reason: 'mode-mismatch', exitCode: 3 });
      expect(refusal.message).to.contain('mode paper').and.to.contain('mode live');
      expect(statSync(dir.file('a.sqlite')).mtimeMs).to.equal(before);
      open('paper').close();
    });

    it('with a newer schema are refused', () => {
      open().close();
      const db = new SqliteDatabase(dir.file('a.sqlite'));
      db.pragma('user_version = 99');
      db.close();
      const refusal = refusalOf(() => open());
      expect(refusal).to.include({ reason: 'newer-schema', exitCode: 3 });
      expect(refusal.message).to.contain('version 99');
    });

    it('of another program are refused and left as they are', () => {
      const db = new SqliteDatabase(dir.file('a.sqlite'));
      db.exec('CREATE TABLE photos (id INTEGER)');
      db.close();
      expect(refusalOf(() => open())).to.include({ reason: 'not-a-ledger', exitCode: 3 });
      const again = new SqliteDatabase(dir.file('a.sqlite'), { readonly: true });
      expect(again.pragma('journal_mode', { simple: true })).to.equal('delete');
      again.close();
    });

    it('that are no database are refused', () => {
      writeFileSync(dir.file('a.sqlite'), 'what a pity'.repeat(1_000));
      expect(refusalOf(() => open())).to.include({ reason: 'integrity', exitCode: 3 });
    });

    it('that are damaged inside are refused with what was found', () => {
      const ledger = open();
      for (let n = 0; n < 200; n++) ledger.append([intended(`c${n}`)]);
      ledger.close();
      const bytes = execFileSync('cat', [dir.file('a.sqlite')]);
      bytes.fill(0xa5, bytes.length - 3 * 4096, bytes.length - 4096);
      writeFileSync(dir.file('b.sqlite'), bytes);
      const refusal = refusalOf(() => openLedger({ path: dir.file('b.sqlite'), mode: 'paper' }));
      expect(refusal).to.include({ reason: 'integrity', exitCode: 3 });
      expect(refusal.message).to.contain('restore a backup');
    });

    it('have one owner at a time, in this process too', () => {
      const owner = open();
      expect(refusalOf(() => open())).to.include({ reason: 'owned', exitCode: 5 });
      expect(refusalOf(() => open('live'))).to.include({ reason: 'owned' });
      owner.append([intended('c1')]);
      owner.close();
      open().close();
    });

    it('stay owned against other processes after this one was refused a second time', () => {
      const owner = open();
      expect(refusalOf(() => open())).to.include({ reason: 'owned' });
      const child = spawnSync(
        process.execPath,
        [fileURLToPath(new URL('children/append-loop.js', import.meta.url)), dir.file('a.sqlite'), '1'],
        { encoding: 'utf8' },
      );
      expect(child.stderr).to.contain('LedgerRefused/owned');
      expect(child.stdout).to.equal('');
      owner.append([intended('c1')]);
      owner.close();
    });

    it('locked by a program without the ownership are refused as locked', () => {
      open().close();
      const shell = new SqliteDatabase(dir.file('a.sqlite'));
      shell.exec('BEGIN IMMEDIATE');
      expect(refusalOf(() => open())).to.include({ reason: 'locked', exitCode: 5 });
      shell.exec('ROLLBACK');
      shell.close();
      open().close();
    });

    it('in a place that cannot be are refused as configuration', () => {
      writeFileSync(dir.file('plain'), '');
      expect(refusalOf(() => openLedger({ path: dir.file('plain/a.sqlite'), mode: 'paper' }))).to.include({
        reason: 'unwritable',
        exitCode: 2,
      });
      mkdirSync(dir.file('a.sqlite'));
      expect(refusalOf(() => open())).to.include({ reason: 'unwritable', exitCode: 2 });
    });

    it('of an older SQLite, which damages logs, are refused', () => {
      const connect = (path: string) => {
        const db = new SqliteDatabase(path);
        db.function('sqlite_version', () => '3.51.2');
        return db;
      };
      expect(refusalOf(() => openLedger({ path: dir.file('a.sqlite'), mode: 'paper', connect }))).to.include({
        reason: 'sqlite-too-old',
      });
    });

    it('are copied whole while in use, and a copy never overwrites', async () => {
      const ledger = open();
      ledger.append([intended('c1')]);
      await ledger.backup(dir.file('copy.sqlite'));
      ledger.append([intended('c2')]);
      let refused: unknown;
      await ledger.backup(dir.file('copy.sqlite')).catch(error => {
        refused = error;
      });
      expect(String(refused)).to.contain('exists');
      ledger.close();
      expect(statSync(dir.file('copy.sqlite')).mode & 0o777).to.equal(0o600);
      const copy = openLedger({ path: dir.file('copy.sqlite'), mode: 'paper' });
      expect(copy.snapshot().openOrders.map(each => each.clientOrderId)).to.deep.equal(['c1']);
      copy.close();
      expect(readdirSync(dir.path).filter(name => name.includes('.part'))).to.deep.equal([]);
    });
  });

  it('tells remote and volatile file systems from local ones by their magic numbers', () => {
    expect(judgeFileSystem(0x6969)).to.deep.equal({ kind: 'remote', name: 'NFS' });
    expect(judgeFileSystem(0xff534d42 | 0).kind).to.equal('remote');
    expect(judgeFileSystem(0x01021997).kind).to.equal('remote');
    expect(judgeFileSystem(0x65735546).kind).to.equal('remote');
    expect(judgeFileSystem(0x794c7630)).to.deep.equal({ kind: 'volatile', name: 'overlay' });
    expect(judgeFileSystem(0xef53).kind).to.equal('local');
  });

  it('a refusal is recognised after a thread has stripped its class, and nothing else is', () => {
    for (const [reason, exitCode] of Object.entries(LEDGER_REFUSALS)) {
      const stripped = Object.assign(new Error('words'), { name: `LedgerRefused/${reason}` });
      expect(ledgerRefusalIn(stripped)).to.deep.equal({ reason, exitCode, message: 'words' });
    }
    expect(ledgerRefusalIn(new Error('words'))).to.equal(undefined);
    expect(ledgerRefusalIn(Object.assign(new Error(''), { name: 'LedgerRefused/toString' }))).to.equal(
      undefined,
    );
    expect(ledgerRefusalIn('LedgerRefused/owned')).to.equal(undefined);
  });
});
