import { expect } from 'chai';
import { awaitsLedger, isDrained, vetoOf } from '#src/domain/execution.js';
import { firstBatch } from '#src/domain/ledger-records.js';
import type { Order } from '#src/domain/order.js';
import { ORDER_PATH_PAUSE_MIN_MS, usage } from '#src/domain/request-budget.js';
import { type HoldCause, holdKey } from '#src/domain/safety.js';
import type { OrderReport } from '#src/domain/venue-port.js';
import { accountOf, Bench, type BenchSnapshot, benchConfig, controlState } from './execution-bench.js';
import { d, fillOf, limitTerms, orderIn, reportOf } from './orders.js';

const ready = (...args: ConstructorParameters<typeof Bench>): Bench => new Bench(...args).ready();

const report = (
  bench: Bench,
  id: string,
  status: OrderReport['status'],
  filled = '0',
  over: Partial<OrderReport> = {},
): void => {
  const terms = bench.state.open.get(id)?.record.order.terms ?? limitTerms();
  bench.account({
    type: 'order-reported',
    id: 'reconciliation:1:9',
    cause: 'read',
    clientOrderId: id,
    asOfMonoMs: bench.monoMs,
    report: reportOf(status, '0', {
      symbol: terms.symbol,
      side: terms.side,
      method: terms.method,
      price: terms.price,
      quantity: terms.quantity,
      remaining: terms.quantity - d(filled),
      clientOrderId: id,
      ...over,
    }),
  });
};

const fill = (bench: Bench, id: string, quantity: string, total: string, tradeId = '1'): void => {
  bench.account({
    type: 'fill-booked',
    id: 'reconciliation:1:8',
    cause: 'frame',
    fill: fillOf(quantity, { clientOrderId: id, tradeId }),
    orderFilled: d(total),
  });
};

describe('execution', () => {
  describe('the way of an order out', () => {
    it('journals the intent durably before its bytes may leave, and then hands it over once', () => {
      const bench = ready();
      const id = bench.place();
      expect(id).to.equal('bb-db-1-test-1');
      expect(bench.records('order-intended').map(record => record.order.clientOrderId)).to.deep.equal([id]);
      expect(bench.appends()[0]?.durable).to.equal(true);
      expect(bench.submits()).to.deep.equal([]);
      bench.pass(200);
      expect(bench.submits()).to.deep.equal([]);
      bench.journal();
      expect(bench.submits()).to.deep.equal([id]);
      bench.journal();
      bench.pass(500);
      expect(bench.submits()).to.deep.equal([id]);
    });

    it('tells strategy and reconciliation of each change, and the ledger', () => {
      const bench = ready();
      const id = bench.working('V1');
      const statuses = bench
        .orderEvents()
        .map(event => (event.type === 'order-updated' ? event.order.state.status : event.type));
      expect(statuses).to.deep.equal(['intended', 'in-flight', 'working']);
      const tracked = bench.told('reconciliation') as readonly { type: string; order: Order }[];
      expect(tracked.map(message => message.order.state.status)).to.deep.equal(statuses);
      expect(bench.records('order-moved').map(record => record.state.status)).to.deep.equal([
        'in-flight',
        'working',
      ]);
      fill(bench, id, '1', '1');
      expect(bench.status(id)).to.equal('filled');
      const last = bench.orderEvents().at(-1);
      expect(last?.type === 'order-updated' && last.fill?.tradeId).to.equal('1');
    });

    it('leads from the order back to the intent and the market event', () => {
      const bench = ready();
      const message = bench.intent();
      bench.step({ type: 'message', from: 'strategy', message });
      expect(bench.records('audit'), 'before the first byte only the intent is written').to.have.length(0);
      bench.journal();
      bench.sent(bench.state.byIntent.get(message.intentId) ?? '');
      const audit = bench.records('audit').find(record => record.event === 'intent-approved');
      expect(audit?.cause).to.equal(message.id);
      expect(audit?.facts).to.include({ intentId: message.intentId, bookVersion: 1, distanceBps: 0 });
      expect(bench.records('order-intended')[0]?.order.cause).to.equal(message.cause);
    });

    it('says where the time went on the way to the first byte', () => {
      const bench = ready();
      const id = bench.place() ?? '';
      bench.pass(100);
      bench.journal();
      bench.pass(50);
      bench.sent(id);
      const audit = bench.records('audit').find(record => record.event === 'order-in-flight');
      expect(audit?.facts).to.include({ journalMs: 100, budgetMs: 0, departureMs: 50 });
    });

    it('makes no second order of the same intent', () => {
      const bench = ready();
      const message = bench.intent();
      for (let count = 0; count < 3; count++) {
        bench.step({ type: 'message', from: 'strategy', message });
        bench.journal();
      }
      expect(bench.submits()).to.have.length(1);
      expect(bench.records('order-intended')).to.have.length(1);
    });

    it('refuses to hand an order over twice, whatever happened to its state', () => {
      const bench = ready();
      const id = bench.place() ?? '';
      bench.journal();
      const tracked = bench.state.open.get(id);
      if (tracked === undefined) throw new Error('not tracked');
      tracked.submit = 'queued';
      bench.state.queue.push(tracked);
      expect(() => bench.step({ type: 'tick' })).to.throw('a second or unjournaled submit');
    });

    it('lets nothing leave whose record was refused', () => {
      const bench = ready();
      const id = bench.place() ?? '';
      const batch = bench.appends()[0]?.batch ?? 0;
      bench.step({
        type: 'message',
        from: 'ledger',
        message: { type: 'append-failed', batch, reason: 'disk full' },
      });
      bench.pass(2_000);
      expect(bench.submits()).to.deep.equal([]);
      expect(bench.orderState(id)).to.deep.equal({ status: 'denied', reason: 'journal-failed: disk full' });
      expect(bench.holdNames()).to.include('+ledger');
    });

    it('gives the ledger again, in order, what it refused and what came after, whatever it took meanwhile', () => {
      const bench = ready();
      const first = bench.place() ?? '';
      const second = bench.place({ symbol: 'ETHTRY' }) ?? '';
      bench.journal();
      bench.sent(first);
      bench.sent(second);
      bench.forget();
      bench.submitted(first, { type: 'confirmed', venueOrderId: 'V1' });
      bench.submitted(second, { type: 'confirmed', venueOrderId: 'V2' });
      const [refused, taken] = bench.appends().filter(({ durable }) => durable);
      if (refused === undefined || taken === undefined) throw new Error('two batches were expected');
      bench.step({
        type: 'message',
        from: 'ledger',
        message: { type: 'append-failed', batch: refused.batch, reason: 'disk full' },
      });
      bench.step({ type: 'message', from: 'ledger', message: { type: 'appended', batch: taken.batch } });
      expect(bench.holdNames()).to.not.include('-ledger');
      bench.forget();
      bench.pass(1_500);
      expect(bench.records('order-moved').map(({ clientOrderId }) => clientOrderId)).to.deep.equal([
        first,
        second,
      ]);
      bench.journal();
      expect(bench.holdNames()).to.include('-ledger');
      expect(bench.state.unconfirmed).to.deep.equal([]);
    });

    it('takes no refusal for its own that the ledger says to an incarnation that is gone', () => {
      const bench = ready({ incarnation: 2 });
      const refuse = (batch: number): void => {
        bench.step({
          type: 'message',
          from: 'ledger',
          message: { type: 'append-failed', batch, reason: 'disk full' },
        });
      };
      refuse(firstBatch(2) - 1);
      expect(bench.holdNames()).to.not.include('+ledger');
      refuse(firstBatch(2));
      expect(bench.holdNames()).to.include('+ledger');
    });

    it('lets nothing leave while the ledger does not answer, or is gone', () => {
      const silent = ready();
      const id = silent.place({}, { validUntilMonoMs: silent.monoMs + 60_000 }) ?? '';
      silent.pass(20_000);
      expect(silent.submits()).to.deep.equal([]);
      expect(silent.status(id)).to.equal('denied');
      silent.journal();
      expect(silent.submits()).to.deep.equal([]);

      const gone = ready();
      const other = gone.place() ?? '';
      gone.step({ type: 'peer-lost', peer: 'ledger' });
      gone.journal();
      expect(gone.submits()).to.deep.equal([]);
      expect(gone.status(other)).to.equal('denied');
    });

    it('refuses an order whose decision is too old when its turn comes', () => {
      const bench = ready();
      const id = bench.place({}, { validUntilMonoMs: bench.monoMs + 100 }) ?? '';
      bench.pass(150);
      bench.journal();
      expect(bench.submits()).to.deep.equal([]);
      expect(bench.orderState(id)).to.deep.include({ status: 'denied' });
      expect((bench.orderState(id) as { reason: string }).reason).to.match(/^intent-expired: 50 ms/);
    });

    it('refuses an order approved under an older control state', () => {
      const bench = ready();
      const id = bench.place() ?? '';
      bench.step({ type: 'control', control: controlState({ epoch: 2 }) });
      bench.journal();
      expect(bench.submits()).to.deep.equal([]);
      expect(bench.orderState(id)).to.deep.equal({ status: 'denied', reason: 'fenced: epoch-changed' });
    });

    for (const [title, change] of [
      [
        'writes are forbidden',
        (b: Bench) => b.step({ type: 'control', control: controlState({ maySubmit: false }) }),
      ],
      [
        'its symbol is blocked',
        (b: Bench) => b.step({ type: 'control', control: controlState({ blockedSymbols: ['BTCTRY'] }) }),
      ],
      ['reconciliation found a difference', (b: Bench) => b.reconciled(false)],
      ['reconciliation is gone', (b: Bench) => b.step({ type: 'peer-lost', peer: 'reconciliation' })],
      ['the actor stops', (b: Bench) => b.step({ type: 'drain' })],
    ] as const)
      it(`refuses a journaled order once ${title}`, () => {
        const bench = ready();
        const id = bench.place() ?? '';
        change(bench);
        bench.journal();
        bench.pass(100);
        expect(bench.submits()).to.deep.equal([]);
        expect(bench.status(id)).to.equal('denied');
      });

    it('takes what the fence refused for what it is, and gives its place back', () => {
      const bench = ready();
      const id = bench.place() ?? '';
      bench.journal();
      bench.submitted(id, { type: 'denied', reason: 'lease-expired' });
      expect(bench.orderState(id)).to.deep.equal({ status: 'denied', reason: 'fenced: lease-expired' });
      expect(bench.state.budget.buckets.submit.unsent).to.equal(0);
      expect(bench.metrics('btcbot_denials_total')).to.deep.equal([1]);
    });

    it('vetoes at the last moment what it has settled meanwhile', () => {
      const bench = ready();
      const id = bench.place() ?? '';
      bench.journal();
      const write = bench.writes()[0]?.write;
      if (write === undefined) throw new Error('nothing was handed over');
      expect(vetoOf(bench.state, write, bench.now())).to.equal(null);
      bench.reconciled(false);
      expect(vetoOf(bench.state, write, bench.now())).to.equal('not-recovered');
      bench.reconciled(true);
      bench.submitted(id, { type: 'unknown', cause: 'timeout' });
      expect(vetoOf(bench.state, write, bench.now())).to.equal('already-settled');
    });

    for (const [title, terms] of [
      ['a limit order', {}],
      ['a market order', { method: 'market', price: null, quantity: d('2'), quoteQuantity: d('100') }],
    ] as const)
      it(`vetoes ${title} that was to end while it waited for its connection`, () => {
        const bench = ready();
        const id = bench.place(terms) ?? '';
        bench.journal();
        const write = bench.writes()[0]?.write;
        if (write === undefined) throw new Error('nothing was handed over');
        bench.cancel(id);
        expect(vetoOf(bench.state, write, bench.now())).to.equal('cancel-wanted');
        bench.submitted(id, { type: 'denied', reason: 'cancel-wanted' });
        expect(bench.orderState(id)).to.deep.equal({ status: 'denied', reason: 'fenced: cancel-wanted' });
        bench.pass(2_000);
        expect(bench.cancels()).to.deep.equal([]);
      });

    it('vetoes an order whose symbol has an unknown outcome since it was handed over', () => {
      const bench = ready();
      const first = bench.place() ?? '';
      bench.place();
      bench.place({ symbol: 'ETHTRY' });
      bench.journal();
      const [, second, elsewhere] = bench.writes().map(({ write }) => write);
      if (second === undefined || elsewhere === undefined) throw new Error('three were handed over');
      bench.sent(first);
      expect(vetoOf(bench.state, second, bench.now())).to.equal(null);
      bench.submitted(first, { type: 'unknown', cause: 'disconnect' });
      expect(vetoOf(bench.state, second, bench.now())).to.equal('unknown-outcome');
      expect(vetoOf(bench.state, elsewhere, bench.now())).to.equal(null);
    });

    it('measures from the first byte to the definitive answer', () => {
      const bench = ready();
      const id = bench.place() ?? '';
      bench.journal();
      bench.pass(100);
      bench.sent(id);
      bench.pass(250);
      bench.submitted(id, { type: 'confirmed', venueOrderId: 'V1' });
      expect(bench.metrics('order_submit_latency_ms')).to.deep.equal([250]);
      expect(bench.metrics('btcbot_order_submit_latency_ms')).to.deep.equal([250]);
    });

    it('keeps to the budget: no more than 8 in a second, the rest later or never', () => {
      const bench = ready({
        limits: { ...new Bench().state.config.limits, maxOpenOrders: 50, maxOpenOrdersPerSymbol: 50 },
      });
      const ids = Array.from({ length: 20 }, () => bench.place() ?? '');
      bench.journal();
      expect(bench.submits()).to.have.length(8);
      for (const id of bench.submits()) bench.sent(id);
      bench.pass(1_200);
      // The second eight a second later would still be in time, were their decisions not made for one second.
      expect(bench.submits()).to.have.length(8);
      expect(ids.filter(id => bench.status(id) === 'denied')).to.have.length(12);
    });
  });

  describe('an unknown outcome', () => {
    const lost = (bench: Bench): string => {
      const id = bench.place() ?? '';
      bench.journal();
      bench.sent(id);
      bench.submitted(id, { type: 'unknown', cause: 'timeout' });
      return id;
    };

    it('holds and blocks its symbol, asks for evidence, and counts at its worst', () => {
      const bench = ready();
      const id = lost(bench);
      expect(bench.status(id)).to.equal('unknown');
      expect(bench.holdNames()).to.deep.equal(['+unknown-outcome:BTCTRY']);
      expect(bench.told('reconciliation').map(message => message.type)).to.include('evidence-wanted');
      expect(bench.metrics('btcbot_unknown_orders')).to.deep.equal([0, 1]);
      expect(bench.place()).to.equal(null);
      expect(bench.denials()).to.deep.equal(['symbol-blocked']);
      expect(bench.place({ symbol: 'ETHTRY' })).to.not.equal(null);
    });

    it('does not end by the clock', () => {
      const bench = ready();
      const id = lost(bench);
      bench.pass(600_000);
      expect(bench.status(id)).to.equal('unknown');
      expect(bench.submits()).to.deep.equal([id]);
    });

    it('reminds reconciliation while it lasts', () => {
      const bench = ready();
      lost(bench);
      bench.forget();
      bench.pass(30_000);
      const asked = bench.told('reconciliation').filter(message => message.type === 'evidence-wanted');
      expect(asked.length).to.be.within(5, 7);
    });

    it('ends when the venue shows the order, and the hold with it', () => {
      const bench = ready();
      const id = lost(bench);
      report(bench, id, 'untouched');
      expect(bench.orderState(id)).to.deep.equal({ status: 'working', venueOrderId: 'V1', filled: 0n });
      expect(bench.holdNames()).to.deep.equal(['+unknown-outcome:BTCTRY', '-unknown-outcome:BTCTRY']);
      expect(bench.place()).to.not.equal(null);
    });

    it('ends when absence is proven', () => {
      const bench = ready();
      const id = lost(bench);
      bench.account({
        type: 'absence-proven',
        id: 'reconciliation:1:5',
        cause: 'reads',
        clientOrderId: id,
        evidence: 'in no list for six minutes',
      });
      expect(bench.orderState(id)).to.deep.equal({
        status: 'rejected',
        reason: 'proven absent: in no list for six minutes',
      });
      expect(bench.holdNames()).to.include('-unknown-outcome:BTCTRY');
    });

    it('keeps the hold while another order on the symbol is unknown', () => {
      const bench = ready();
      const first = bench.place() ?? '';
      const second = bench.place({ price: d('99.5') }) ?? '';
      bench.journal();
      for (const id of [first, second]) bench.sent(id);
      for (const id of [first, second]) bench.submitted(id, { type: 'unknown', cause: 'disconnect' });
      report(bench, first, 'untouched');
      expect(bench.holdNames()).to.not.include('-unknown-outcome:BTCTRY');
      report(bench, second, 'untouched', '0', { venueOrderId: 'V2' });
      expect(bench.holdNames()).to.include('-unknown-outcome:BTCTRY');
    });

    it('is asked to be held again while the supervisor does not show it', () => {
      const bench = ready();
      lost(bench);
      bench.forget();
      bench.pass(2_500);
      expect(bench.holdNames().length).to.be.within(1, 3);
      bench.forget();
      bench.step({
        type: 'control',
        control: controlState({
          holds: [
            {
              key: holdKey('unknown-outcome', 'BTCTRY'),
              cause: 'unknown-outcome',
              subject: 'BTCTRY',
              detail: '',
              placedAtMs: 0,
            },
          ],
        }),
      });
      bench.pass(5_000);
      expect(bench.holdNames()).to.deep.equal([]);
    });

    it('is what a write without an answer becomes; a late answer is still heard', () => {
      const bench = ready();
      const id = bench.place() ?? '';
      bench.journal();
      bench.sent(id);
      bench.pass(13_000);
      expect(bench.status(id)).to.equal('unknown');
      bench.submitted(id, { type: 'confirmed', venueOrderId: 'V1' });
      expect(bench.status(id)).to.equal('working');
      expect(bench.holdNames()).to.include('-unknown-outcome:BTCTRY');
    });
  });

  describe('a cancel', () => {
    it('leaves for a working order, and ends with the venue’s word', () => {
      const bench = ready();
      const id = bench.working('V1');
      bench.cancel(id);
      expect(bench.cancels()).to.deep.equal([id]);
      bench.sent(id, 'cancel');
      expect(bench.status(id)).to.equal('cancel-in-flight');
      bench.canceled(id, { type: 'queued' });
      expect(bench.status(id)).to.equal('cancel-in-flight');
      bench.pass(300);
      report(bench, id, 'canceled');
      expect(bench.status(id)).to.equal('canceled');
      expect(bench.metrics('cancel_latency_ms')).to.deep.equal([300]);
    });

    it('of an order that has not left ends it without a request', () => {
      const bench = ready();
      const id = bench.place() ?? '';
      bench.cancel(id);
      bench.journal();
      expect(bench.status(id)).to.equal('denied');
      expect(bench.writes()).to.deep.equal([]);
    });

    it('waits for the venue order id', () => {
      const bench = ready();
      const id = bench.place() ?? '';
      bench.journal();
      bench.sent(id);
      bench.cancel(id);
      bench.submitted(id, { type: 'unknown', cause: 'timeout' });
      bench.pass(5_000);
      expect(bench.cancels()).to.deep.equal([]);
      report(bench, id, 'untouched');
      expect(bench.cancels()).to.deep.equal([id]);
    });

    it('is one at a time, and not repeated while the venue may still carry it out', () => {
      const bench = ready();
      const id = bench.working('V1');
      bench.cancel(id);
      bench.cancel(id);
      bench.sent(id, 'cancel');
      bench.canceled(id, { type: 'queued' });
      bench.cancel(id);
      bench.pass(900);
      report(bench, id, 'untouched');
      bench.pass(3_000);
      expect(bench.cancels()).to.have.length(1);
    });

    it('is repeated when a read sent a second after it still shows the order', () => {
      const bench = ready();
      const id = bench.working('V1');
      bench.cancel(id);
      bench.sent(id, 'cancel');
      bench.canceled(id, { type: 'queued' });
      bench.pass(1_000);
      report(bench, id, 'untouched');
      expect(bench.cancels()).to.have.length(2);
    });

    it('is repeated at most once a second, whatever the venue says', () => {
      const bench = ready();
      const id = bench.working('V1');
      bench.cancel(id);
      const times: number[] = [];
      for (let count = 0; count < 400; count++) {
        if (bench.state.open.get(id)?.cancel === 'handed-over') {
          times.push(bench.monoMs);
          bench.sent(id, 'cancel');
          bench.canceled(
            id,
            count % 2 === 0
              ? { type: 'rejected', reason: 'ORDER_COULD_NOT_BE_CANCELED', code: '1051' }
              : { type: 'unknown', cause: 'server-error' },
          );
        }
        report(bench, id, 'untouched');
        bench.pass(50);
      }
      expect(times.length).to.be.greaterThan(4);
      for (const [index, time] of times.entries())
        if (index > 0) expect(time - (times[index - 1] ?? 0)).to.be.at.least(1_000);
    });

    it('that the venue refused is repeated a second after it, once a report shows the order live', () => {
      const bench = ready();
      const id = bench.working('V1');
      bench.cancel(id);
      bench.sent(id, 'cancel');
      bench.canceled(id, { type: 'rejected', reason: 'ORDER_COULD_NOT_BE_CANCELED', code: '1051' });
      bench.pass(50);
      report(bench, id, 'untouched');
      expect(bench.status(id)).to.equal('working');
      bench.pass(900);
      expect(bench.cancels()).to.have.length(1);
      bench.pass(50);
      expect(bench.cancels()).to.have.length(2);
    });

    it('that the venue refused is asked about until a read from after it shows the order', () => {
      const bench = ready();
      const id = bench.working('V1');
      bench.cancel(id);
      const before = bench.monoMs;
      bench.pass(100);
      bench.sent(id, 'cancel');
      bench.canceled(id, { type: 'rejected', reason: 'ORDER_CANCEL_BLOCKED', code: '0' });
      bench.account({
        type: 'order-reported',
        id: 'reconciliation:1:9',
        cause: 'read',
        clientOrderId: id,
        asOfMonoMs: before,
        report: reportOf('untouched', '0', { clientOrderId: id, quantity: d('1'), remaining: d('1') }),
      });
      expect(bench.status(id)).to.equal('working');
      bench.forget();
      bench.pass(2_000);
      expect(bench.told('reconciliation').map(({ type }) => type)).to.deep.equal(['evidence-wanted']);
      report(bench, id, 'untouched');
      expect(bench.cancels()).to.deep.equal([id]);
      bench.sent(id, 'cancel');
      bench.canceled(id, { type: 'queued' });
    });

    it('that is not carried out is repeated at growing distances, while reports show the order live', () => {
      const bench = ready();
      const id = bench.working('V1');
      bench.cancel(id);
      const times: number[] = [];
      const start = bench.monoMs;
      while (bench.monoMs < start + 14_000) {
        if (bench.state.open.get(id)?.cancel === 'handed-over') {
          times.push(bench.monoMs - start);
          bench.sent(id, 'cancel');
          bench.canceled(id, { type: 'queued' });
        }
        bench.pass(50);
        report(bench, id, 'untouched');
      }
      expect(times).to.deep.equal([0, 1_000, 3_000, 7_000, 12_000]);
    });

    it('asks for the venue’s word while it is under way', () => {
      const bench = ready();
      const id = bench.working('V1');
      bench.cancel(id);
      bench.sent(id, 'cancel');
      bench.canceled(id, { type: 'queued' });
      bench.forget();
      bench.pass(3_000);
      expect(bench.told('reconciliation').filter(({ type }) => type === 'evidence-wanted')).to.have.length(2);
    });

    it('that the venue refused is not repeated before a report shows the order live', () => {
      const bench = ready();
      const id = bench.working('V1');
      bench.cancel(id);
      bench.sent(id, 'cancel');
      bench.canceled(id, { type: 'rejected', reason: 'NO_ORDER_MATCHES_YOUR_REQUEST', code: '1052' });
      bench.pass(20_000);
      expect(bench.cancels()).to.have.length(1);
      report(bench, id, 'closed', '1');
      fill(bench, id, '1', '1');
      expect(bench.status(id)).to.equal('filled');
    });

    it('of an unknown intent does nothing', () => {
      const bench = ready();
      bench.cancel('nobody');
      expect(bench.writes()).to.deep.equal([]);
    });

    it('survives a full mailbox, where a new order does not', () => {
      const bench = ready();
      const id = bench.working('V1');
      const { intentId } = bench.state.open.get(id)?.record.order ?? { intentId: '' };
      bench.step({
        type: 'intent-refused',
        message: { type: 'cancel-order', id: 's', cause: 's', strategy: 'test', intentId },
      });
      expect(bench.cancels()).to.deep.equal([id]);
      bench.step({ type: 'intent-refused', message: bench.intent() });
      expect(bench.denials()).to.deep.equal(['mailbox-full']);
    });

    it('comes before submits when both wait', () => {
      const bench = ready();
      const id = bench.working('V1');
      bench.place({ symbol: 'ETHTRY' });
      bench.forget();
      const batch = Math.max(...bench.state.journaling.keys());
      bench.step({ type: 'control', control: controlState({ pull: ['BTCTRY'] }) });
      bench.step({ type: 'message', from: 'ledger', message: { type: 'appended', batch } });
      expect(bench.writes().map(effect => effect.write.type)).to.deep.equal(['cancel', 'submit']);
      expect(bench.cancels()).to.deep.equal([id]);
    });
  });

  describe('pulling resting orders', () => {
    it('follows the control state: all, some, none', () => {
      const bench = ready();
      const btc = bench.working('V1');
      const eth = bench.working('V2', { symbol: 'ETHTRY' });
      bench.step({
        type: 'control',
        control: controlState({ epoch: 2, pull: ['ETHTRY'], maySubmit: false }),
      });
      expect(bench.cancels()).to.deep.equal([eth]);
      bench.step({ type: 'control', control: controlState({ epoch: 3, pull: 'all', maySubmit: false }) });
      expect(bench.cancels()).to.deep.equal([eth, btc]);
    });

    it('reaches an order whose existence is learned later', () => {
      const bench = ready();
      const id = bench.place() ?? '';
      bench.journal();
      bench.sent(id);
      bench.step({ type: 'control', control: controlState({ epoch: 2, pull: 'all', maySubmit: false }) });
      bench.submitted(id, { type: 'unknown', cause: 'timeout' });
      expect(bench.cancels()).to.deep.equal([]);
      bench.account({
        type: 'order-hinted',
        id: 'reconciliation:1:4',
        cause: 'frame',
        clientOrderId: id,
        venueOrderId: 'V1',
        hint: 'inserted',
      });
      expect(bench.cancels()).to.deep.equal([id]);
    });

    it('waits while canceling is forbidden, and happens when it is allowed again', () => {
      const bench = ready();
      const id = bench.working('V1');
      const forbidden = { epoch: 2, state: 'observe-only', maySubmit: false, mayCancel: false } as const;
      bench.step({ type: 'control', control: controlState({ ...forbidden, pull: 'all' }) });
      bench.pass(2_000);
      expect(bench.cancels()).to.deep.equal([]);
      bench.step({
        type: 'control',
        control: controlState({ epoch: 3, state: 'cancel-only', maySubmit: false }),
      });
      expect(bench.cancels()).to.deep.equal([id]);
    });

    it('under the kill switch is for the operator’s hand alone', () => {
      const bench = ready();
      const id = bench.working('V1');
      const killed = { epoch: 2, state: 'killed', maySubmit: false, mayCancel: false } as const;
      bench.step({ type: 'control', control: controlState(killed) });
      bench.cancel(id);
      bench.pass(1_000);
      expect(bench.cancels()).to.deep.equal([]);
      bench.step({ type: 'cancel-all-ordered', reason: 'operator' });
      expect(bench.cancels()).to.deep.equal([id]);
      expect(bench.writes().at(-1)?.approval.origin).to.equal('operator');
    });

    it('sends 25 cancels within 3.5 s', () => {
      const limits = { ...new Bench().state.config.limits, maxOpenOrders: 25, maxOpenOrdersPerSymbol: 25 };
      const bench = ready({ limits });
      for (let count = 0; count < 25; count++) {
        bench.working(`V${count}`);
        bench.pass(300);
      }
      bench.forget();
      const start = bench.monoMs;
      bench.step({ type: 'cancel-all-ordered', reason: 'drill' });
      let last = 0;
      while (bench.monoMs < start + 10_000) {
        for (const [id, tracked] of bench.state.open)
          if (tracked.cancel === 'handed-over') {
            bench.sent(id, 'cancel');
            bench.canceled(id, { type: 'queued' });
            last = bench.monoMs;
          }
        if (new Set(bench.cancels()).size === 25) break;
        bench.pass(50);
      }
      expect(new Set(bench.cancels()).size).to.equal(25);
      expect(last - start).to.be.at.most(3_500);
    });
  });

  describe('the gate with what only execution knows', () => {
    it('lets two orders on their way not spend the same money', () => {
      const bench = ready();
      const balances = [{ asset: 'TRY', total: d('150'), free: d('150'), locked: 0n }];
      bench.account(accountOf({ balances, balancesAsOfMonoMs: bench.monoMs }));
      expect(bench.place()).to.not.equal(null);
      expect(bench.place()).to.equal(null);
      expect(bench.denials()).to.deep.equal(['insufficient-balance']);
    });

    it('counts an order’s money once: as its own reservation until the balances show it', () => {
      const bench = ready();
      const balance = (free: string) =>
        accountOf({
          balances: [{ asset: 'TRY', total: d('250'), free: d(free), locked: d('250') - d(free) }],
          balancesAsOfMonoMs: bench.monoMs,
        });
      bench.account(balance('250'));
      bench.working('V1');
      // Read before the venue had settled the lock: the reservation stays.
      bench.pass(100);
      bench.account(balance('250'));
      expect(bench.place({ quantity: d('2') })).to.equal(null);
      // Read later: the lock is in the balance.
      bench.pass(2_000);
      bench.account(balance('149.76'));
      expect(bench.place({ price: d('99'), quantity: d('1.5') })).to.not.equal(null);
    });

    it('counts what an order cost that ended before the balances showed it', () => {
      const bench = ready();
      const balances = [{ asset: 'TRY', total: d('150'), free: d('150'), locked: 0n }];
      bench.account(accountOf({ balances, balancesAsOfMonoMs: bench.monoMs }));
      const id = bench.working('V1');
      fill(bench, id, '1', '1');
      expect(bench.status(id)).to.equal('filled');
      expect(bench.place()).to.equal(null);
    });

    it('believes its own books when the balances lag behind its orders and fills', () => {
      const bench = ready();
      const balances = [{ asset: 'TRY', total: d('250'), free: d('250'), locked: 0n }];
      const owned = (try_: string, btc: string) =>
        new Map([
          ['TRY', d(try_)],
          ['BTC', d(btc)],
        ]);
      bench.account(accountOf({ balances, balancesAsOfMonoMs: bench.monoMs }));
      const id = bench.working('V1');
      // Read long after the venue took the order, and shown as they were before it.
      bench.pass(2_000);
      bench.account(accountOf({ balances, balancesAsOfMonoMs: bench.monoMs }));
      expect(bench.place({ quantity: d('2') })).to.equal(null);
      fill(bench, id, '1', '1');
      // The same after it was filled, before the books' next word and after it.
      bench.pass(2_000);
      expect(bench.place({ quantity: d('2') })).to.equal(null);
      bench.account(accountOf({ balances, balancesAsOfMonoMs: bench.monoMs, owned: owned('149.76', '1') }));
      expect(bench.place({ quantity: d('2') })).to.equal(null);
      expect(bench.denials()).to.deep.equal(Array(3).fill('insufficient-balance'));
      expect(bench.place({ quantity: d('1.4') })).to.not.equal(null);
    });

    it('adds a booked fill to the position at once', () => {
      const limits = { ...new Bench().state.config.limits, maxPositionNotionalTry: d('150') };
      const bench = ready({ limits });
      const id = bench.working('V1');
      fill(bench, id, '1', '1');
      expect(bench.place()).to.equal(null);
      expect(bench.denials()).to.deep.equal(['position-exceeds-limit']);
    });

    it('opens no more orders than the cancel budget can end in ten seconds', () => {
      const bench = ready();
      const id = bench.working('V1');
      bench.cancel(id);
      bench.sent(id, 'cancel');
      bench.canceled(id, { type: 'unknown', cause: 'rate-limited', retryAfterMs: 1_000 });
      bench.forget();
      expect(bench.place({ symbol: 'ETHTRY' })).to.equal(null);
      expect(bench.denials()).to.deep.equal(['open-orders-exceed-limit']);
    });

    it('denies everything before a clean reconciliation, and after reconciliation was restarted', () => {
      const bench = new Bench().ready();
      bench.reconciled(false);
      expect(bench.place()).to.equal(null);
      bench.reconciled(true);
      expect(bench.place()).to.not.equal(null);
      bench.step({ type: 'peer-connected', peer: 'reconciliation' });
      bench.place();
      expect(bench.denials()).to.deep.equal(['not-recovered', 'not-recovered']);
    });

    it('leans on no book of a feed that is not live, nor of a market-data actor that is gone', () => {
      const bench = ready();
      bench.step({
        type: 'message',
        from: 'market-data',
        message: {
          type: 'feed-status-changed',
          id: 'm',
          cause: 'm',
          symbol: 'BTCTRY',
          state: 'resyncing',
          reason: 'gap',
        },
      });
      bench.place();
      bench.place({ symbol: 'ETHTRY' });
      bench.step({ type: 'peer-lost', peer: 'market-data' });
      bench.place({ symbol: 'ETHTRY' });
      expect(bench.denials()).to.deep.equal(['book-missing', 'book-missing']);
    });
  });

  describe('after a sleep of the machine', () => {
    it('leans on no book and no proof from before it, and lets nothing out that was on its way', () => {
      const bench = ready();
      bench.place();
      bench.journal();
      const write = bench.writes()[0]?.write;
      if (write === undefined) throw new Error('nothing was handed over');
      expect(vetoOf(bench.state, write, bench.now())).to.equal(null);
      // The monotonic clock stood still meanwhile.
      bench.wallOffset += 3_600_000;
      expect(vetoOf(bench.state, write, bench.now())).to.equal('time-went-on');
      bench.place({ symbol: 'ETHTRY' });
      expect(vetoOf(bench.state, write, bench.now())).to.equal('not-recovered');
      bench.reconciled(true);
      bench.place({ symbol: 'ETHTRY' });
      expect(bench.denials()).to.deep.equal(['not-recovered', 'book-missing']);
      bench.books();
      expect(bench.place({ symbol: 'ETHTRY' })).to.be.a('string');
    });

    it('measures the venue’s clock at once', () => {
      const bench = ready();
      bench.pass(1_000);
      bench.forget();
      bench.wallOffset += 10_000;
      bench.pass(50);
      expect(bench.effects).to.deep.include({ type: 'read', call: { type: 'server-time' } });
    });

    it('does not mind a clock that was set back, or on by less than books may be old', () => {
      const bench = ready();
      bench.wallOffset -= 3_600_000;
      expect(bench.place()).to.be.a('string');
      bench.wallOffset += 1_999;
      expect(bench.place()).to.be.a('string');
    });
  });

  describe('detectors', () => {
    it('hold a bucket after a 429, leave cancels alone, and say when the pause is over', () => {
      const bench = ready();
      const resting = bench.working('V1', { symbol: 'ETHTRY' });
      const id = bench.place() ?? '';
      bench.journal();
      bench.sent(id);
      bench.submitted(id, { type: 'unknown', cause: 'rate-limited', retryAfterMs: 2_000 });
      expect(bench.holdNames()).to.deep.equal(['+rest-429:submit', '+unknown-outcome:BTCTRY']);
      expect(bench.holds()[0]?.detail).to.match(/nothing to submit for 60 s, until 2023-/);
      expect(bench.metrics('rest_429_rate').at(-1)).to.equal(1);
      expect(bench.metrics('btcbot_order_path_429_rate').at(-1)).to.equal(1);
      bench.cancel(resting);
      expect(bench.cancels()).to.deep.equal([resting]);
      const other = bench.place({ symbol: 'ETHTRY', side: 'sell', price: d('101') }) ?? '';
      bench.journal();
      bench.pass(ORDER_PATH_PAUSE_MIN_MS - 100);
      expect(bench.submits()).to.not.include(other);
      expect(bench.status(other)).to.equal('denied');
      expect(bench.holdNames()).to.not.include('-rest-429:submit');
      bench.pass(200);
      expect(bench.holdNames()).to.include('-rest-429:submit');
      expect(bench.metrics('rest_429_rate').at(-1)).to.equal(0);
    });

    it('keep what the venue told an earlier incarnation: nothing to submit before the pause ends, and a hold', () => {
      const bench = new Bench({ pausedUntil: { submit: 1_030_000, cancel: 999_000 } });
      expect(bench.holdNames()).to.deep.equal(['+rest-429:submit']);
      expect(bench.holds()[0]?.detail).to.match(/nothing to submit for 30 s, until 2023-/);
      bench.ready();
      const resting = bench.place() ?? '';
      bench.journal();
      bench.pass(1_000_000 + 29_900 - bench.monoMs);
      expect(bench.submits()).to.not.include(resting);
      expect(bench.holdNames()).to.not.include('-rest-429:submit');
      bench.pass(200);
      expect(bench.holdNames()).to.include('-rest-429:submit');
      const later = bench.place() ?? '';
      bench.journal();
      bench.pass(200);
      expect(bench.submits()).to.include(later);
    });

    for (const subject of ['cancel', 'open-orders'])
      it(`let submits come back slowly after a 429 to ${subject}`, () => {
        const bench = ready();
        const share = (): number => usage(bench.state.budget, 'submit', bench.monoMs).share;
        const hold = {
          key: holdKey('rest-429', subject),
          cause: 'rest-429',
          subject,
          detail: '',
          placedAtMs: 0,
        } as const;
        bench.step({ type: 'control', control: controlState({ epoch: 2, holds: [hold] }) });
        expect(share()).to.equal(1);
        bench.step({ type: 'control', control: controlState({ epoch: 3 }) });
        expect(share()).to.equal(0.1);
        bench.step({ type: 'control', control: controlState({ epoch: 4 }) });
        expect(share()).to.equal(0.1);
      });

    it('hold a reject storm: five in a row', () => {
      const bench = ready();
      for (let count = 0; count < 5; count++) {
        expect(bench.holdNames()).to.not.include('+reject-storm');
        const id = bench.place() ?? '';
        bench.journal();
        bench.sent(id);
        bench.submitted(id, { type: 'rejected', reason: 'FAILED_LIMIT_ORDER', code: '1120' });
        bench.pass(300);
      }
      expect(bench.holdNames()).to.deep.equal(['+reject-storm']);
    });

    it('hold a reject storm: ten within a minute, even between successes', () => {
      const bench = ready();
      for (let count = 0; count < 10; count++) {
        expect(bench.holdNames()).to.not.include('+reject-storm');
        const id = bench.place({ price: d('99') }) ?? '';
        bench.journal();
        bench.sent(id);
        bench.submitted(id, { type: 'rejected', reason: 'FAILED_ORDER_WITH_OPEN_ORDERS', code: '1122' });
        bench.pass(300);
        const good = bench.working(`V${count}`, { symbol: 'ETHTRY' });
        report(bench, good, 'canceled', '0', { venueOrderId: `V${count}` });
        bench.pass(300);
      }
      expect(bench.holdNames()).to.deep.equal(['+reject-storm']);
    });

    it('hold after the second unauthorised write in a row, and measure the clock meanwhile', () => {
      const bench = ready();
      bench.pass(10_000);
      bench.forget();
      for (let count = 0; count < 2; count++) {
        expect(bench.holdNames()).to.deep.equal([]);
        const id = bench.place() ?? '';
        bench.journal();
        bench.sent(id);
        bench.submitted(id, { type: 'rejected', reason: 'Unauthorized - Invalid Nonce', code: '1037' });
        bench.pass(100);
      }
      expect(bench.holdNames()).to.deep.equal(['+auth']);
      expect(bench.effects).to.deep.include({ type: 'read', call: { type: 'server-time' } });
    });

    it('do not take two unauthorised writes for two in a row that had a cancel between them which the venue took', () => {
      const bench = ready();
      const id = bench.working('V1');
      const again = bench.working('V2');
      bench.forget();
      bench.cancel(id);
      bench.sent(id, 'cancel');
      bench.canceled(id, { type: 'rejected', reason: 'Unauthorized - Invalid Nonce', code: '1037' });
      bench.cancel(again);
      bench.sent(again, 'cancel');
      bench.canceled(again, { type: 'queued' });
      bench.pass(2_000);
      report(bench, id, 'untouched');
      bench.sent(id, 'cancel');
      bench.canceled(id, { type: 'rejected', reason: 'Unauthorized - Invalid Nonce', code: '1037' });
      expect(bench.holdNames()).to.not.include('+auth');
    });

    it('hold a repeating strategy after exactly its number of orders, until it is re-armed', () => {
      const limits = {
        ...new Bench().state.config.limits,
        maxRepeatedExecutions: 3,
        maxOpenOrders: 40,
        maxOpenOrdersPerSymbol: 40,
      };
      const bench = ready({ limits });
      for (let count = 0; count < 6; count++) {
        bench.place();
        // Another order between them does not make it another loop.
        bench.place({ side: 'sell', price: d('101'), quantity: BigInt(count + 1) * d('1') });
      }
      expect(bench.denials()).to.deep.equal([
        'repeated-execution',
        'repeated-execution',
        'repeated-execution',
      ]);
      expect(bench.holdNames()).to.deep.equal(['+repeat-execution:BTCTRY']);
      const hold = {
        key: 'repeat-execution:BTCTRY',
        cause: 'repeat-execution',
        subject: 'BTCTRY',
        detail: '',
        placedAtMs: 0,
      } as const;
      bench.step({ type: 'control', control: controlState({ epoch: 2, holds: [hold] }) });
      bench.step({ type: 'control', control: controlState({ epoch: 3 }) });
      expect(bench.place()).to.not.equal(null);
    });

    it('hold on the loss limit by marks alone', () => {
      const bench = ready();
      bench.account(accountOf({ dayProfitTry: d('-999.99') }));
      expect(bench.holdNames()).to.deep.equal([]);
      bench.account(accountOf({ dayProfitTry: d('-1000') }));
      expect(bench.holdNames()).to.deep.equal(['+loss-limit']);
    });

    it('do not hold on a loss that is not known', () => {
      const bench = ready();
      bench.account(accountOf({ dayProfitTry: null, drawdownPct: null }));
      bench.place();
      expect(bench.denials()).to.deep.equal(['loss-limit']);
      expect(bench.holdNames()).to.deep.equal([]);
    });

    it('show the open and the unknown orders again to a telemetry that was replaced', () => {
      const bench = ready();
      bench.working('V1');
      bench.pass(1_000);
      bench.forget();
      bench.pass(1_000);
      expect(bench.metrics('btcbot_open_orders')).to.deep.equal([]);
      bench.step({ type: 'peer-connected', peer: 'telemetry' });
      bench.pass(50);
      expect(bench.metrics('btcbot_open_orders')).to.deep.equal([1]);
      expect(bench.metrics('btcbot_unknown_orders')).to.deep.equal([0]);
    });

    it('hold when the lease runs out, tell people past the supervisor, and let go when it is back', () => {
      const bench = ready();
      const tick = (leaseUntilMonoMs: number): void => {
        bench.monoMs += 50;
        bench.step({ type: 'tick', leaseUntilMonoMs });
      };
      const told = (): readonly string[] =>
        bench.effects.flatMap(effect =>
          effect.type === 'log' && effect.event.startsWith('lease-') ? [effect.event] : [],
        );
      // None was granted yet.
      tick(0);
      tick(bench.monoMs + 1_000);
      expect(bench.holdNames()).to.deep.equal([]);
      const until = bench.monoMs;
      tick(until);
      tick(until);
      expect(bench.holdNames()).to.deep.equal(['+lease']);
      expect(told()).to.deep.equal(['lease-lost']);
      for (let ticks = 0; ticks < 30; ticks++) tick(until);
      // Nobody has shown it yet.
      expect(bench.holdNames()).to.deep.equal(['+lease', '+lease']);
      bench.step({
        type: 'control',
        control: controlState({
          epoch: 2,
          state: 'observe-only',
          maySubmit: false,
          mayCancel: false,
          holds: [{ key: 'lease', cause: 'lease', subject: '', detail: '', placedAtMs: 0 }],
        }),
      });
      bench.forget();
      tick(bench.monoMs + 1_000);
      tick(bench.monoMs + 1_000);
      expect(bench.holdNames()).to.deep.equal(['-lease']);
      expect(told()).to.deep.equal(['lease-back']);
    });

    it('hold on what cannot be: a fill beyond its order, a second venue order', () => {
      const bench = ready();
      const id = bench.working('V1');
      fill(bench, id, '2', '2');
      expect(bench.holdNames()).to.deep.equal(['+invariant:BTCTRY']);
      expect(bench.records('audit').map(record => record.event)).to.include('order-impossible');

      const other = ready();
      const twin = other.working('V1');
      report(other, twin, 'untouched', '0', { venueOrderId: 'V2' });
      expect(other.holdNames()).to.deep.equal(['+invariant:BTCTRY']);
    });

    describe('that happened once', () => {
      const shows = (bench: Bench, cause: HoldCause, subject: string): void => {
        bench.step({
          type: 'control',
          control: controlState({
            epoch: 2,
            holds: [{ key: holdKey(cause, subject), cause, subject, detail: '', placedAtMs: 0 }],
          }),
        });
      };

      it('are asked for although the hold is shown: it may have been released a moment ago', () => {
        const bench = ready();
        const id = bench.working('V1');
        shows(bench, 'invariant', 'BTCTRY');
        fill(bench, id, '2', '2');
        expect(bench.holdNames()).to.deep.equal(['+invariant:BTCTRY']);

        const refused = ready();
        const ids = Array.from({ length: 5 }, (_, count) => {
          const placed = refused.place({ price: d(`${90 + count}`) }) ?? '';
          refused.journal();
          refused.sent(placed);
          refused.pass(300);
          return placed;
        });
        shows(refused, 'reject-storm', '');
        for (const placed of ids)
          refused.submitted(placed, { type: 'rejected', reason: 'FAILED_LIMIT_ORDER', code: '1120' });
        expect(refused.holdNames()).to.deep.equal(['+reject-storm']);

        const strange = ready();
        const [first, second] = [strange.working('V1'), strange.working('V2', { price: d('98') })];
        shows(strange, 'auth', '');
        for (const working of [first, second]) {
          strange.cancel(working);
          strange.sent(working, 'cancel');
          strange.canceled(working, { type: 'rejected', reason: 'Unauthorized', code: '1037' });
        }
        expect(strange.holdNames()).to.deep.equal(['+auth']);
      });

      it('are asked for again soon when one follows another, in the words of the newest, and no more often', () => {
        const bench = ready();
        const id = bench.working('V1');
        for (let count = 0; count < 30; count++) {
          report(bench, id, 'untouched', '0', { venueOrderId: `W${count}` });
          bench.pass(10);
        }
        expect(bench.holdNames()).to.deep.equal(['+invariant:BTCTRY']);
        bench.pass(1_500);
        expect(bench.holdNames()).to.deep.equal(['+invariant:BTCTRY', '+invariant:BTCTRY']);
        expect(bench.holds()[1]?.detail).to.contain('W29');
        bench.pass(5_000);
        expect(bench.holds()).to.have.length(2);
      });

      it('are asked for before execution ends', () => {
        const bench = ready();
        const id = bench.working('V1');
        report(bench, id, 'untouched', '0', { venueOrderId: 'W1' });
        report(bench, id, 'untouched', '0', { venueOrderId: 'W2' });
        expect(bench.holds()).to.have.length(1);
        bench.step({ type: 'drain' });
        expect(bench.holds()).to.have.length(2);
        report(bench, id, 'untouched', '0', { venueOrderId: 'W3' });
        expect(bench.holds()).to.have.length(3);
      });
    });
  });

  describe('a restart', () => {
    const order = (n: number, state: Order['state']): Order => ({
      ...orderIn(state, limitTerms({ quantity: d('1') })),
      clientOrderId: `bb-db-1-test-${n}`,
      intentId: `test:0:${n}`,
    });
    const openOrders = [
      order(1, { status: 'intended' }),
      order(2, { status: 'in-flight', sentAtMs: 1 }),
      order(3, { status: 'unknown', sinceMs: 1, cause: 'timeout', filled: 0n }),
      order(4, { status: 'working', venueOrderId: 'V4', filled: 0n }),
      order(5, { status: 'cancel-in-flight', venueOrderId: 'V5', filled: 0n, requestedAtMs: 1 }),
    ];
    const restarted = (over: Partial<BenchSnapshot> = {}): Bench =>
      new Bench({ epoch: 2 }, { openOrders, fills: [], ...over });

    it('turns what nobody can know into unknown, and keeps the rest', () => {
      const bench = restarted();
      expect(openOrders.map(({ clientOrderId }) => bench.status(clientOrderId))).to.deep.equal([
        'unknown',
        'unknown',
        'unknown',
        'working',
        'cancel-in-flight',
      ]);
      expect(bench.records('order-moved').map(record => record.clientOrderId)).to.have.members([
        'bb-db-1-test-1',
        'bb-db-1-test-2',
        'bb-db-1-test-3',
      ]);
      expect(bench.holdNames()).to.include('+unknown-outcome:BTCTRY');
    });

    it('tells reconciliation of every one, also when it connects later', () => {
      const bench = restarted();
      bench.forget();
      bench.step({ type: 'peer-connected', peer: 'reconciliation' });
      const told = bench.told('reconciliation') as readonly { type: string; order?: Order }[];
      expect(told.filter(message => message.type === 'order-tracked')).to.have.length(5);
      expect(told.filter(message => message.type === 'evidence-wanted')).to.have.length(4);
    });

    it('submits nothing before everything was proven, and never an old order again', () => {
      const bench = restarted();
      bench.ready();
      bench.reconciled(false);
      bench.place({ symbol: 'ETHTRY' });
      expect(bench.denials()).to.deep.equal(['not-recovered']);
      bench.pass(30_000);
      expect(bench.submits()).to.deep.equal([]);
    });

    it('goes on canceling what was being canceled', () => {
      const bench = restarted();
      bench.step({ type: 'control', control: controlState() });
      // The earlier run may have asked a moment ago.
      bench.pass(950);
      expect(bench.cancels()).to.deep.equal([]);
      bench.pass(50);
      expect(bench.cancels()).to.deep.equal(['bb-db-1-test-5']);
    });

    for (const [words, control] of [
      [
        'for the operator, also under the kill switch',
        { state: 'killed', maySubmit: false, mayCancel: false },
      ],
      ['for whoever wanted it, where cancels are allowed', {}],
    ] as const)
      it(`cancels what was to be canceled before the crash, sent or not: ${words}`, () => {
        const bench = restarted({
          cancelWishes: [
            {
              clientOrderId: 'bb-db-1-test-4',
              origin: 'operator',
              reason: 'cancel-all',
              cause: 'supervisor:1:9',
            },
          ],
        });
        bench.step({ type: 'control', control: controlState(control) });
        bench.pass(1_050);
        expect(bench.cancels()).to.include('bb-db-1-test-4');
      });

    it('takes fills that the journal has into account', () => {
      const fills = [fillOf('0.4', { clientOrderId: 'bb-db-1-test-2', venueOrderId: 'V2' })];
      const bench = new Bench({ epoch: 2 }, { openOrders, fills });
      expect(bench.orderState('bb-db-1-test-2')).to.deep.equal({
        status: 'working',
        venueOrderId: 'V2',
        filled: d('0.4'),
      });
    });

    it('takes an intent id that an older run also used for a new intent', () => {
      const bench = restarted().ready();
      const id = bench.place({ symbol: 'ETHTRY' }, { intentId: 'test:0:4' });
      expect(id).to.equal('bb-db-2-test-1');
    });

    it('of the strategy tells it the open orders', () => {
      const bench = ready();
      bench.working('V1');
      bench.forget();
      bench.step({ type: 'peer-connected', peer: 'strategy' });
      expect(bench.told('strategy').map(message => message.type)).to.deep.equal(['order-updated']);
    });

    it('of the ledger is not waited for, since it starts again only when its clients are gone', () => {
      const bench = ready();
      bench.working('V1');
      expect(awaitsLedger(bench.state)).to.equal(true);
      bench.step({ type: 'peer-lost', peer: 'ledger' });
      expect(awaitsLedger(bench.state)).to.equal(false);
    });
  });

  describe('what a restart finds in the ledger', () => {
    const recent = (agoMs: number, price = '100') => ({
      intendedAtMs: WALL - agoMs,
      terms: limitTerms({ quantity: d('1'), price: d(price) }),
    });
    const WALL = new Bench().now().wallMs;

    it('counts the orders of the last minute on', () => {
      const bench = ready(
        { limits: { ...benchConfig().limits, maxOrdersPerMinute: 3 } },
        { recentOrders: [recent(61_000), recent(30_000, '99'), recent(20_000, '98')] },
      );
      expect(bench.place()).not.to.equal(null);
      expect(bench.place({ price: d('99.5') })).to.equal(null);
      expect(bench.denials()).to.deep.equal(['orders-per-minute-exceed-limit']);
    });

    it('counts repeated executions on, and one from the future as if it were now', () => {
      const bench = ready(
        { limits: { ...benchConfig().limits, maxRepeatedExecutions: 2 } },
        { recentOrders: [recent(50_000), recent(-3_600_000)] },
      );
      expect(bench.place()).to.equal(null);
      expect(bench.denials()).to.deep.equal(['repeated-execution']);
    });

    it('takes every limit for used up for a minute when the ledger cannot tell', () => {
      const bench = ready({}, { recentOrders: null });
      expect(bench.place()).to.equal(null);
      expect(bench.denials()).to.deep.equal(['orders-per-minute-exceed-limit']);
      bench.pass(60_050);
      bench.account(accountOf({ balancesAsOfMonoMs: bench.monoMs }));
      expect(bench.place()).not.to.equal(null);
    });

    it('remembers where the market was, within the collar of the orders’ own prices', () => {
      const bench = ready(
        { limits: { ...benchConfig().limits, priceCollarBps: 100, priceDriftBps: 100 } },
        { recentOrders: [recent(300_000, '90')] },
      );
      expect(bench.place()).to.equal(null);
      expect(bench.denials()).to.deep.equal(['price-drifted']);
    });

    it('numbers its batches so that an answer meant for its predecessor confirms nothing', () => {
      const first = ready();
      first.place();
      const batch = first.appends().at(-1)?.batch ?? 0;
      const second = ready({ incarnation: 2 });
      second.place();
      second.step({ type: 'message', from: 'ledger', message: { type: 'appended', batch } });
      expect(second.submits()).to.deep.equal([]);
      second.journal();
      expect(second.submits()).to.have.length(1);
    });
  });

  describe('a market that walks away', () => {
    it('stops the bot at the bound of ten minutes, and lets it go on when they have passed', () => {
      const bench = ready();
      let sent = 0;
      /** 1 % a minute. */
      const minute = (): void => {
        bench.midTicks = Math.round(bench.midTicks * 1.01);
        bench.pass(59_950);
        bench.account(accountOf({ balancesAsOfMonoMs: bench.monoMs }));
        bench.pass(50);
        const id = bench.place({ price: d((bench.midTicks / 100 - 0.5).toFixed(2)) });
        if (id === null) return;
        sent += 1;
        bench.cancel(id);
      };
      bench.place();
      for (let count = 0; count < 9; count++) minute();
      // 100 to 104.06; one more step would be 5.1 %.
      expect(sent).to.equal(4);
      expect(new Set(bench.denials().slice(1))).to.deep.equal(new Set(['price-drifted']));
      const before = sent;
      for (let count = 0; count < 3; count++) minute();
      expect(sent).to.equal(before);
      for (let count = 0; count < 4; count++) minute();
      expect(sent).to.be.greaterThan(before);
    });
  });

  describe('a stop', () => {
    it('takes nothing new, settles what is on its way, and leaves what rests', () => {
      const bench = ready();
      const resting = bench.working('V1');
      const going = bench.place({ symbol: 'ETHTRY' }) ?? '';
      bench.journal();
      bench.sent(going);
      const waiting = bench.place({ price: d('99') }) ?? '';
      bench.step({ type: 'drain' });
      expect(bench.place()).to.equal(null);
      expect(bench.denials()).to.deep.equal(['writes-forbidden']);
      expect(bench.status(waiting)).to.equal('denied');
      expect(isDrained(bench.state)).to.equal(false);
      bench.submitted(going, { type: 'confirmed', venueOrderId: 'V2' });
      expect(isDrained(bench.state)).to.equal(true);
      expect(bench.status(resting)).to.equal('working');
      expect(bench.cancels()).to.deep.equal([]);
    });

    it('cancels what rests when it is told to', () => {
      const bench = ready({ shutdownOpenOrders: 'cancel' });
      const id = bench.working('V1');
      bench.step({ type: 'drain' });
      expect(bench.cancels()).to.deep.equal([id]);
      expect(isDrained(bench.state)).to.equal(false);
      bench.sent(id, 'cancel');
      bench.canceled(id, { type: 'queued' });
      expect(isDrained(bench.state)).to.equal(false);
      report(bench, id, 'canceled');
      expect(isDrained(bench.state)).to.equal(true);
    });

    it('waits for word of an order whose outcome is unknown, and cancels it when it turns up', () => {
      const bench = ready({ shutdownOpenOrders: 'cancel' });
      const id = bench.place() ?? '';
      bench.journal();
      bench.sent(id);
      bench.submitted(id, { type: 'unknown', cause: 'server-error' });
      bench.step({ type: 'drain' });
      expect(bench.cancels()).to.deep.equal([]);
      expect(isDrained(bench.state)).to.equal(false);
      report(bench, id, 'untouched');
      expect(bench.cancels()).to.deep.equal([id]);
    });

    it('does not wait for cancels that are forbidden', () => {
      const bench = ready({ shutdownOpenOrders: 'cancel' });
      bench.working('V1');
      bench.step({
        type: 'control',
        control: controlState({ state: 'observe-only', maySubmit: false, mayCancel: false }),
      });
      bench.step({ type: 'drain' });
      expect(bench.cancels()).to.deep.equal([]);
      expect(isDrained(bench.state)).to.equal(true);
    });

    it('names what it was told to cancel and leaves, and why', () => {
      const left = (bench: Bench): readonly unknown[] =>
        bench.effects.flatMap(effect =>
          effect.type === 'log' && effect.event === 'resting-orders-left'
            ? [effect.fields.first, effect.fields.why]
            : [],
        );
      const late = ready({ shutdownOpenOrders: 'cancel' });
      const id = late.working('V1');
      late.step({ type: 'drain' });
      late.step({ type: 'drain-deadline' });
      expect(left(late)).to.deep.equal([[id], 'their end was not confirmed in time']);

      const forbidden = ready({ shutdownOpenOrders: 'cancel' });
      const other = forbidden.working('V1');
      forbidden.step({
        type: 'control',
        control: controlState({ state: 'observe-only', maySubmit: false, mayCancel: false }),
      });
      forbidden.step({ type: 'drain' });
      forbidden.step({ type: 'drain-deadline' });
      expect(left(forbidden)).to.deep.equal([[other], 'the state observe-only allows no cancels']);

      // Nothing is said where nothing is left, or where it was to be left.
      const told = ready({ shutdownOpenOrders: 'leave' });
      told.working('V1');
      const none = ready({ shutdownOpenOrders: 'cancel' });
      for (const bench of [told, none]) {
        bench.step({ type: 'drain' });
        bench.step({ type: 'drain-deadline' });
        expect(left(bench)).to.deep.equal([]);
      }
    });

    it('leaves in the journal as unknown what did not settle in time', () => {
      const bench = ready();
      const id = bench.place() ?? '';
      bench.journal();
      bench.sent(id);
      bench.step({ type: 'drain' });
      bench.step({ type: 'drain-deadline' });
      expect(bench.orderState(id)).to.include({ status: 'unknown', cause: 'process-ended' });
      expect(bench.appends().at(-1)?.durable).to.equal(true);
    });
  });

  it('reads the venue’s list only while an instrument is missing, and its clock every minute', () => {
    const bench = new Bench();
    bench.pass(125_000);
    const reads = (type: string): number =>
      bench.effects.filter(effect => effect.type === 'read' && effect.call.type === type).length;
    expect(reads('server-time')).to.equal(3);
    expect(reads('instruments')).to.equal(13);
    bench.ready();
    bench.pass(60_000);
    expect(reads('instruments')).to.equal(0);
  });

  it('says what it stands on, every second', () => {
    const bench = ready();
    bench.working('V1');
    bench.pass(3_000);
    const facts = bench.effects.flatMap(effect => (effect.type === 'status' ? [effect.facts] : []));
    expect(facts.length).to.be.within(2, 4);
    expect(facts.at(-1)).to.deep.include({ recovered: true, stopping: false, epoch: 1, queued: 0 });
    expect(JSON.stringify(facts.at(-1))).to.include('"state":"working"');
    // A kill drill believes only what was said under its own control state.
    bench.forget();
    bench.step({ type: 'control', control: controlState({ epoch: 7, state: 'killed', maySubmit: false }) });
    bench.pass(1_000);
    const killed = bench.effects.flatMap(effect => (effect.type === 'status' ? [effect.facts] : []));
    expect(killed[0]).to.include({ controlEpoch: 7 });
  });
});
