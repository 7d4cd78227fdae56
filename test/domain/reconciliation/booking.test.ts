import { expect } from 'chai';
import { bookFill, initialAccounting, pairFromSymbol, positionView } from '#src/domain/accounting.js';
import { parseDecimal } from '#src/domain/money.js';
import type { Fill, OrderTerms } from '#src/domain/order.js';
import { furtherReads } from '#src/domain/read-group.js';
import { expectedTotals } from '#src/domain/three-way-proof.js';
import type { PrivateEvent, ReadAnswer } from '#src/domain/venue-port.js';
import {
  Bench,
  label,
  limitOrder,
  NO_FAULTS,
  newOrder,
  openedLedger,
  START_WALL_MS,
  type TinyLedger,
} from './bench.js';
import { TinyVenue } from './tiny-venue.js';

const OPENING = { TRY: '1000000', BTC: '20' };

/** A bench that has recovered, with the private feed live. */
const running = (venue = new TinyVenue(OPENING)): Bench => {
  const bench = new Bench({ venue, ledger: openedLedger(venue) });
  bench.give({ type: 'private-state', feed: 'live', reason: 'logged in' });
  bench.runUntil(() => bench.state.phase === 'running', 20_000, 'recovery');
  return bench;
};

/** An order of ours that rests at the venue and that execution has told of. */
const rest = (bench: Bench, sequence: number, terms: OrderTerms): string => {
  const venueOrderId = bench.venue.submit(label(sequence), terms, bench.venueMs);
  const order = newOrder(
    label(sequence),
    terms,
    { status: 'working', venueOrderId, filled: 0n },
    bench.wallMs,
  );
  bench.ledger.orders.set(order.clientOrderId, order);
  bench.track(order);
  return venueOrderId;
};

const fillNow = (bench: Bench, venueOrderId: string, quantity: string): Fill =>
  bench.venue.fill(venueOrderId, parseDecimal(quantity), bench.venueMs);

const DAY_MS = 86_400_000;

const frame = (bench: Bench, event: PrivateEvent): void => bench.give({ type: 'private-event', event });

describe('a fill', () => {
  it('is booked once, told with the total of its order, and on its way to the disk at once', () => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '0.5'));
    const first = fillNow(bench, venueOrderId, '0.2');
    frame(bench, { type: 'fill', fill: first });
    expect(bench.messages('fill-booked').map(message => message.orderFilled)).to.deep.equal([
      parseDecimal('0.2'),
    ]);
    expect(bench.ledger.fills.has(first.tradeId)).to.equal(true);
    frame(bench, { type: 'fill', fill: first });
    const second = fillNow(bench, venueOrderId, '0.3');
    frame(bench, { type: 'fill', fill: second });
    frame(bench, { type: 'fill', fill: first });
    const state = { status: 'filled' as const, venueOrderId, filled: parseDecimal('0.5') };
    bench.track(newOrder(label(1), limitOrder('buy', '0.5'), state, bench.wallMs));
    bench.run(40_000);
    expect(bench.messages('fill-booked').map(message => message.orderFilled)).to.deep.equal([
      parseDecimal('0.2'),
      parseDecimal('0.5'),
    ]);
    expect(bench.ledger.repeatedFills).to.equal(0);
    expect(bench.state.discrepancies).to.deep.equal([]);
  });

  it('is remembered of an order that is followed, and of the many that were followed last', () => {
    const bench = running();
    const { bookedByOrder, live, settled } = bench.state;
    const followed = rest(bench, 1, limitOrder('buy', '0.5'));
    frame(bench, { type: 'fill', fill: fillNow(bench, followed, '0.2') });
    const ended = rest(bench, 2, limitOrder('buy', '0.3'));
    frame(bench, { type: 'fill', fill: fillNow(bench, ended, '0.3') });
    const filled = { status: 'filled' as const, venueOrderId: ended, filled: parseDecimal('0.3') };
    bench.track(newOrder(label(2), limitOrder('buy', '0.3'), filled, bench.wallMs));
    bench.run(20_000);
    expect([[...live.keys()], [...settled.keys()]]).to.deep.equal([[label(1)], [label(2)]]);
    for (let sequence = 10_000; sequence < 20_000; sequence++) bookedByOrder.set(label(sequence), 1n);
    bench.run(900_000);
    expect(settled.size).to.equal(0);
    expect(bookedByOrder.size).to.equal(8_192);
    expect(bookedByOrder.get(label(1))).to.equal(parseDecimal('0.2'));
    expect(bookedByOrder.get(label(2))).to.equal(parseDecimal('0.3'));
    // The two, and as many of the others as there is room for: the newest.
    expect(bookedByOrder.has(label(20_000 - 8_190))).to.equal(true);
    expect(bookedByOrder.has(label(20_000 - 8_191))).to.equal(false);
  });

  it('is matched by its label while the venue order id is not known yet, and proves the order', () => {
    const bench = running();
    const terms = limitOrder('buy', '0.5');
    bench.track(newOrder(label(1), terms, { status: 'in-flight', sentAtMs: bench.wallMs }, bench.wallMs));
    const venueOrderId = bench.venue.submit(label(1), terms, bench.venueMs);
    frame(bench, { type: 'fill', fill: fillNow(bench, venueOrderId, '0.1') });
    expect(bench.messages('fill-booked')[0]?.fill.clientOrderId).to.equal(label(1));
    expect(bench.messages('order-hinted')[0]).to.include({
      venueOrderId,
      hint: 'matched',
      clientOrderId: label(1),
    });
  });

  it('is booked from the trades endpoint after a match hint that no fill frame follows', () => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '0.5'));
    const fill = fillNow(bench, venueOrderId, '0.2');
    frame(bench, { type: 'match-hint', venueOrderId, clientOrderId: label(1), quantity: fill.quantity });
    bench.run(1_500);
    expect(bench.messages('fill-booked')).to.have.length(1);
    const asked = bench.reads.filter(read => read.call.type === 'trades-of-order').length;
    bench.run(60_000);
    expect(bench.reads.filter(read => read.call.type === 'trades-of-order').length).to.equal(asked);
  });

  it('is not invented from a wrong match hint, and the hint is given up after a few looks', () => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '0.5'));
    frame(bench, {
      type: 'match-hint',
      venueOrderId,
      clientOrderId: label(1),
      quantity: parseDecimal('5.7'),
    });
    bench.run(120_000);
    expect(bench.messages('fill-booked')).to.deep.equal([]);
    expect(bench.reads.filter(read => read.call.type === 'trades-of-order').length).to.be.within(1, 6);
    expect([...bench.everHeld.keys()]).to.deep.equal([]);
  });

  it('that a frame puts beyond its order is refused, and booked as the trades endpoint has it', () => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '0.48'));
    const fill = fillNow(bench, venueOrderId, '0.48');
    frame(bench, { type: 'fill', fill: { ...fill, quantity: parseDecimal('0.57') } });
    expect(bench.messages('fill-booked')).to.deep.equal([]);
    bench.run(2_000);
    expect(bench.messages('fill-booked').map(message => message.fill.quantity)).to.deep.equal([
      parseDecimal('0.48'),
    ]);
    expect([...bench.everHeld.keys()]).to.deep.equal([]);
  });

  it('on the wrong side or symbol of its order is refused', () => {
    for (const wrong of [{ side: 'sell' as const }, { symbol: 'ETHTRY' }]) {
      const bench = running();
      const venueOrderId = rest(bench, 1, limitOrder('buy', '0.5'));
      frame(bench, { type: 'fill', fill: { ...fillNow(bench, venueOrderId, '0.2'), ...wrong } });
      expect(bench.messages('fill-booked')).to.deep.equal([]);
      expect(bench.logs.some(line => line.event === 'fill-refused')).to.equal(true);
    }
  });

  it('shown with different numbers by the two sources stops everything', () => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '0.5'));
    const fill = fillNow(bench, venueOrderId, '0.2');
    frame(bench, { type: 'fill', fill: { ...fill, tax: fill.tax + 1n } });
    bench.runUntil(() => bench.holds.has('invariant:account'), 30_000, 'the hold');
    expect(bench.holds.get('invariant:account')).to.contain(
      `trade ${fill.tradeId} was shown with different numbers`,
    );
  });

  it('that only the private feed ever shows is called out, once lateness cannot explain it', () => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '0.5'));
    const fill = fillNow(bench, venueOrderId, '0.2');
    bench.venue.trades.pop();
    frame(bench, { type: 'fill', fill });
    bench.run(25_000);
    expect([...bench.everHeld.keys()]).to.deep.equal([]);
    bench.run(120_000);
    expect(bench.holds.get('invariant:account')).to.contain('the trades endpoint does not show it');
  });

  it('of an order that ended before this run is booked as ours', () => {
    const bench = running();
    const venueOrderId = bench.venue.submit(label(5), limitOrder('sell', '0.5'), bench.venueMs - 700_000);
    const fill = fillNow(bench, venueOrderId, '0.5');
    frame(bench, { type: 'fill', fill });
    bench.run(20_000);
    expect(bench.messages('fill-booked')[0]?.fill.clientOrderId).to.equal(label(5));
    expect([...bench.everHeld.keys()]).to.deep.equal([]);
  });

  it('of an order that was refused is booked, and stops everything', () => {
    const bench = running();
    const terms = limitOrder('buy', '0.5');
    bench.track(
      newOrder(label(1), terms, { status: 'rejected', reason: 'FAILED_MIN_TOTAL_AMOUNT' }, bench.wallMs),
    );
    const venueOrderId = bench.venue.submit(label(1), terms, bench.venueMs);
    frame(bench, { type: 'fill', fill: fillNow(bench, venueOrderId, '0.5') });
    bench.run(20_000);
    expect(bench.ledger.fills.size).to.equal(1);
    expect(bench.messages('fill-booked')).to.have.length(1);
    expect(bench.holds.get('invariant:account')).to.contain('was rejected for the ledger');
  });

  it('waits for a ledger that cannot take it, and is handed over until it is on disk', () => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '0.5'));
    bench.failAppends = true;
    const fill = fillNow(bench, venueOrderId, '0.2');
    frame(bench, { type: 'fill', fill });
    bench.run(12_000);
    expect(bench.ledger.fills.size).to.equal(0);
    expect([...bench.holds.keys()]).to.deep.equal(['ledger:reconciliation']);
    bench.failAppends = false;
    bench.run(6_000);
    expect(bench.ledger.fills.has(fill.tradeId)).to.equal(true);
    expect([...bench.holds.keys()]).to.deep.equal([]);
  });

  it('is handed over again to a ledger that started afresh', () => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '0.5'));
    bench.loseAppends = true;
    const fill = fillNow(bench, venueOrderId, '0.2');
    frame(bench, { type: 'fill', fill });
    bench.run(1_000);
    bench.loseAppends = false;
    bench.give({ type: 'peer-connected', peer: 'ledger' });
    expect(bench.ledger.fills.has(fill.tradeId)).to.equal(true);
  });

  it('of the private feed is looked for where it was executed until the trades endpoint shows it', () => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '0.5'));
    // Half of it: a row that appears a quarter of an hour late.
    bench.faults = { ...NO_FAULTS, lags: { balancesMs: 0, ordersMs: 0, tradesMs: 1_800_000 } };
    frame(bench, { type: 'fill', fill: fillNow(bench, venueOrderId, '0.2') });
    bench.run(840_000, 250);
    expect(bench.state.discrepancies).to.have.length(1);
    bench.run(120_000, 250);
    expect(bench.state.discrepancies).to.deep.equal([]);
    expect(bench.messages('reconciled').at(-1)?.clean).to.equal(true);
  });

  it('that the trades endpoint never shows is taken as it is when the operator releases the hold', () => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '0.5'));
    frame(bench, { type: 'fill', fill: fillNow(bench, venueOrderId, '0.2') });
    bench.venue.trades.pop();
    bench.runUntil(() => bench.holds.has('invariant:account'), 200_000, 'the hold');
    expect(bench.holds.get('invariant:account')).to.contain('the trades endpoint does not show it');
    bench.control([
      { key: 'invariant:account', cause: 'invariant', subject: 'account', detail: '', placedAtMs: 0 },
    ]);
    bench.run(10_000);
    expect(bench.state.discrepancies).to.have.length(1);
    bench.control([]);
    bench.run(200_000, 250);
    expect(bench.state.discrepancies).to.deep.equal([]);
    expect(bench.state.held.has('invariant:account')).to.equal(false);
    expect(bench.ledger.movements.size).to.equal(0);
  });

  it('is told again to an execution that does not know it', () => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '0.5'));
    frame(bench, { type: 'fill', fill: fillNow(bench, venueOrderId, '0.2') });
    bench.run(2_000);
    bench.give({ type: 'peer-connected', peer: 'execution' });
    bench.run(1_000);
    expect(bench.messages('fill-booked').map(message => message.orderFilled)).to.deep.equal([
      parseDecimal('0.2'),
      parseDecimal('0.2'),
    ]);
  });
});

describe('lists that are cut off', () => {
  it('are read on until every trade is known', () => {
    const venue = new TinyVenue(OPENING);
    const ledger = openedLedger(venue);
    const terms = limitOrder('buy', '10');
    const atMs = ledger.lastRecordAtMs - 300_000;
    const venueOrderId = venue.submit(label(1), terms, atMs);
    ledger.orders.set(
      label(1),
      newOrder(label(1), terms, { status: 'working', venueOrderId, filled: 0n }, atMs),
    );
    for (let index = 0; index < 950; index++)
      venue.fill(venueOrderId, parseDecimal('0.01'), atMs + Math.floor(index / 3));
    const bench = new Bench({ venue, ledger });
    bench.runUntil(() => bench.state.everClean, 20_000, 'recovery');
    expect(ledger.fills.size).to.equal(950);
    expect(bench.messages('fill-booked').at(-1)?.orderFilled).to.equal(parseDecimal('9.5'));
    expect(bench.reads.filter(read => read.call.type === 'trades').length).to.be.within(5, 9);
  });

  it('come to an end when more trades share a millisecond than an answer has room for', () => {
    const venue = new TinyVenue(OPENING);
    const call = { type: 'trades' as const, fromMs: 0, toMs: null };
    const order = venue.submit(label(1), limitOrder('buy', '10'), 5);
    for (let index = 0; index < 300; index++) venue.fill(order, parseDecimal('0.01'), 500);
    let reads: readonly ReadAnswer['call'][] = [call];
    let rounds = 0;
    for (; reads.length > 0 && rounds < 20; rounds++) {
      const [next] = reads;
      if (next?.type !== 'trades') throw new Error('not a list of trades');
      const fills = venue.trades.filter(
        fill => fill.executedAtMs >= (next.fromMs ?? 0) && fill.executedAtMs <= (next.toMs ?? 1_000),
      );
      reads = furtherReads({
        call: next,
        result: { ok: true, value: { fills: fills.slice(-200) }, tookMs: 1 },
      });
    }
    expect(rounds).to.be.lessThan(5);
  });

  for (const [counted, endsMs] of [
    ['is', 0],
    ['is not', 1],
  ] as const)
    it(`lose no trade of the millisecond of the cut when the end of a window ${counted} part of it`, () => {
      const venue = new TinyVenue(OPENING);
      const order = venue.submit(label(1), limitOrder('buy', '10'), 5);
      for (let index = 0; index < 500; index++)
        venue.fill(order, parseDecimal('0.01'), 500 + Math.floor(index / 7));
      const seen = new Set<string>();
      let reads: readonly ReadAnswer['call'][] = [{ type: 'trades', fromMs: 0, toMs: null }];
      for (let rounds = 0; reads.length > 0 && rounds < 20; rounds++) {
        const [next] = reads;
        if (next?.type !== 'trades') throw new Error('not a list of trades');
        const fills = venue.trades
          .filter(fill => fill.executedAtMs <= (next.toMs ?? 1_000) - endsMs)
          .slice(-200);
        for (const fill of fills) seen.add(fill.tradeId);
        reads = furtherReads({ call: next, result: { ok: true, value: { fills }, tookMs: 1 } });
      }
      expect(seen.size).to.equal(500);
      expect(reads).to.deep.equal([]);
    });

  it('of orders are searched on both sides, whatever their order and wherever they were cut', () => {
    const times = [10_000, 20_000, 30_000];
    const orders = (count: number) =>
      Array.from({ length: count }, (_, index) => ({ createdAtMs: times[index % times.length] ?? 0 }));
    const call = { type: 'all-orders' as const, symbol: 'BTCTRY', fromMs: 5_000, toMs: null, limit: 1_000 };
    const further = (count: number) =>
      furtherReads({ call, result: { ok: true, value: { orders: orders(count) as never }, tookMs: 1 } });
    expect(further(24)).to.deep.equal([]);
    for (const count of [25, 50, 100, 1_000])
      expect(further(count)).to.deep.equal([
        { ...call, fromMs: 5_000, toMs: 11_000 },
        { ...call, fromMs: 30_000, toMs: null },
      ]);
  });
});

describe('the three-way proof', () => {
  it('explains deposits and withdrawals, and books each once', () => {
    const bench = running();
    bench.venue.deposit('TRY', parseDecimal('500.00000001'), bench.venueMs);
    bench.venue.deposit('BTC', parseDecimal('-0.25'), bench.venueMs);
    bench.run(60_000);
    expect([...bench.ledger.movements.values()].map(movement => movement.amount)).to.deep.equal([
      parseDecimal('500.00000001'),
      parseDecimal('-0.25'),
    ]);
    expect([...bench.everHeld.keys()]).to.deep.equal([]);
    expect([...expectedTotals(bench.state)].sort()).to.deep.equal([...bench.venue.totals].sort());
  });

  it('looks further back for a deposit of days in which nothing was read, over a restart too', () => {
    const venue = new TinyVenue(OPENING);
    const ledger = openedLedger(venue);
    // Prices were recorded all the time.
    ledger.opening = { balances: venue.balancesAt(START_WALL_MS), atMs: START_WALL_MS - 10 * DAY_MS };
    const deposit = venue.deposit('TRY', parseDecimal('500'), START_WALL_MS - 3 * DAY_MS);
    const bench = new Bench({ venue, ledger });
    bench.runUntil(() => bench.state.everClean, 30_000, 'recovery');
    expect([...ledger.movements.keys()]).to.deep.equal([deposit.movementId]);
    expect(bench.everHeld.has('invariant:account')).to.equal(false);
  });

  it('finds what was missed although a clock that was far ahead has dated the last records', () => {
    const venue = new TinyVenue(OPENING);
    const ledger = openedLedger(venue);
    ledger.lastRecordAtMs = START_WALL_MS + 40 * DAY_MS;
    const human = venue.submit('advanced', limitOrder('sell', '1'), START_WALL_MS - 50_000);
    const trade = venue.fill(human, parseDecimal('1'), START_WALL_MS - 40_000);
    const deposit = venue.deposit('BTC', parseDecimal('2'), START_WALL_MS - 45_000);
    const bench = new Bench({ venue, ledger });
    bench.runUntil(() => bench.state.everClean, 30_000, 'recovery');
    expect([...ledger.fills.keys()]).to.deep.equal([trade.tradeId]);
    expect([...ledger.movements.keys()]).to.deep.equal([deposit.movementId]);
  });

  it('stays clean under constant trading, whatever the balances lag behind', () => {
    const bench = running();
    bench.faults = { ...NO_FAULTS, lags: { balancesMs: 4_000, ordersMs: 0, tradesMs: 4_000 } };
    const venueOrderId = rest(bench, 1, limitOrder('buy', '10'));
    let worstLagMs = 0;
    for (let second = 0; second < 180; second++) {
      for (const offset of [0, 300, 650])
        bench.at(offset, () => {
          const fill = fillNow(bench, venueOrderId, '0.01');
          bench.send(TinyVenue.frames({ type: 'fill', fill }));
        });
      bench.run(1_000);
      worstLagMs = Math.max(worstLagMs, bench.metrics.get('reconcile_lag_ms') ?? 0);
    }
    expect(worstLagMs).to.be.lessThan(25_000);
    expect([...bench.everHeld.keys()]).to.deep.equal([]);
  });

  it('names a difference to the last digit, in the metric, the status and the hold, and never before it had its time', () => {
    const bench = running();
    bench.venue.totals.set('BTC', (bench.venue.totals.get('BTC') ?? 0n) - 1n);
    bench.run(30_000);
    expect(bench.metrics.get('btcbot_reconcile_residual')).to.equal(1);
    expect(bench.holds.has('invariant:account')).to.equal(false);
    bench.run(60_000);
    expect(bench.holds.get('invariant:account')).to.contain(
      "the venue's BTC less the ledger's is -0.0000000000000001",
    );
    expect(bench.messages('reconciled').at(-1)?.clean).to.equal(false);
    expect(bench.status.reconciliation).to.deep.include({ residuals: { BTC: '-0.0000000000000001' } });
  });

  it('is lateness while the read that would settle it is refused for our rate, and ends with that read', () => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '0.5'));
    bench.run(1_000);
    bench.venue.cancel(venueOrderId, bench.venueMs);
    bench.failWith = call => (call.type === 'order' ? { type: 'rate-limited', retryAfterMs: 150_000 } : null);
    frame(bench, { type: 'order-removed', venueOrderId, clientOrderId: label(1) });
    bench.run(5_000);
    bench.failWith = () => null;
    bench.run(140_000, 250);
    expect([...bench.holds.keys()]).to.include('reconcile-lag');
    bench.run(15_000, 250);
    expect(bench.state.discrepancies).to.deep.equal([]);
    expect([...bench.everHeld.keys()]).to.not.include('invariant:account');
    expect([...bench.holds.keys()]).to.not.include('reconcile-lag');
  });

  it('is a difference when the read that would settle it is answered, and settles nothing', () => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '0.5'));
    bench.run(1_000);
    frame(bench, { type: 'order-removed', venueOrderId, clientOrderId: label(1) });
    bench.run(90_000, 250);
    expect(bench.holds.get('invariant:account')).to.contain('said to have left the book, not confirmed');
  });

  it('takes a difference as a correction when the operator releases the hold, and goes on from there', () => {
    const bench = running();
    bench.venue.totals.set('TRY', (bench.venue.totals.get('TRY') ?? 0n) + 77n);
    bench.runUntil(() => bench.holds.has('invariant:account'), 120_000, 'the hold');
    const hold = {
      key: 'invariant:account',
      cause: 'invariant' as const,
      subject: 'account',
      detail: '',
      placedAtMs: 0,
    };
    bench.control([hold]);
    bench.run(30_000);
    expect(bench.ledger.movements.size).to.equal(0);
    bench.control([]);
    bench.run(10_000);
    expect(
      [...bench.ledger.movements.values()].map(({ asset, amount, movementId }) => [
        asset,
        amount,
        movementId.startsWith('correction-TRY-'),
      ]),
    ).to.deep.equal([['TRY', 77n, true]]);
    expect(bench.messages('reconciled').at(-1)?.clean).to.equal(true);
    expect(bench.state.discrepancies).to.deep.equal([]);
  });

  it('adopts nothing that a trade has explained since the last pass', () => {
    const bench = running();
    const human = bench.venue.submit('Sat', limitOrder('buy', '0.5'), bench.venueMs);
    const fill = fillNow(bench, human, '0.5');
    const [row] = bench.venue.trades.splice(0);
    bench.runUntil(() => bench.holds.has('invariant:account'), 200_000, 'the hold');
    bench.control([
      { key: 'invariant:account', cause: 'invariant', subject: 'account', detail: '', placedAtMs: 0 },
    ]);
    bench.failWith = () => ({ type: 'unavailable', cause: 'server-error' });
    bench.run(5_000);
    frame(bench, { type: 'fill', fill });
    bench.control([]);
    bench.failWith = () => null;
    if (row !== undefined) bench.venue.trades.push(row);
    bench.run(20_000);
    expect(bench.ledger.movements.size).to.equal(0);
    expect(bench.state.discrepancies).to.deep.equal([]);
    expect([...expectedTotals(bench.state)].sort()).to.deep.equal([...bench.venue.totals].sort());
  });

  it('asks again for a hold that stands when something else is found, and not for the same', () => {
    const bench = running();
    const asked: string[] = [];
    const { set } = bench.everHeld;
    bench.everHeld.set = (key, detail) => {
      if (key === 'invariant:account') asked.push(detail);
      return set.call(bench.everHeld, key, detail);
    };
    bench.state.violations.set('test', 'something impossible');
    bench.runUntil(() => bench.holds.has('invariant:account'), 30_000, 'the hold');
    bench.control([
      { key: 'invariant:account', cause: 'invariant', subject: 'account', detail: '', placedAtMs: 0 },
    ]);
    bench.run(30_000);
    expect(asked).to.have.length(1);
    // The operator may have released it a moment ago, and this is not what was looked at.
    bench.state.violations.set('other', 'something else that cannot be');
    bench.run(30_000);
    expect(asked).to.have.length(2);
    expect(asked[1]).to.contain('something else that cannot be');
  });

  it('adopts nothing that is merely late when another hold of the account is released', () => {
    const bench = running();
    bench.state.violations.set('test', 'something impossible');
    bench.runUntil(() => bench.holds.has('invariant:account'), 30_000, 'the hold');
    bench.control([
      { key: 'invariant:account', cause: 'invariant', subject: 'account', detail: '', placedAtMs: 0 },
    ]);
    bench.venue.totals.set('TRY', (bench.venue.totals.get('TRY') ?? 0n) + 77n);
    bench.run(10_000);
    bench.control([]);
    bench.run(10_000);
    expect(bench.ledger.movements.size).to.equal(0);
    expect(bench.state.discrepancies).to.have.length(1);
  });
});

describe('an order that is not ours', () => {
  const holdOf = (venueOrderId: string): string => `foreign-order:${venueOrderId}`;

  it('is found among the open orders, held on, and let go of when the venue says that it ended', () => {
    const bench = running();
    const human = bench.venue.submit('advanced', limitOrder('sell', '1'), bench.venueMs);
    bench.run(20_000);
    expect([...bench.holds.keys()]).to.deep.equal([holdOf(human)]);
    bench.run(60_000);
    expect([...bench.holds.keys()]).to.deep.equal([holdOf(human)]);
    bench.venue.cancel(human, bench.venueMs);
    bench.run(20_000);
    expect(bench.cleared).to.include(holdOf(human));
    expect(bench.reads.some(read => read.call.type === 'order' && read.call.venueOrderId === human)).to.equal(
      true,
    );
  });

  it('is seen at once when the private feed shows it, also on a symbol that nobody trades', () => {
    const bench = running();
    const terms = { ...limitOrder('buy', '1'), symbol: 'ETHTRY' };
    const human = bench.venue.submit(null, terms, bench.venueMs);
    frame(bench, { type: 'order-inserted', venueOrderId: human, clientOrderId: null });
    expect([...bench.holds.keys()]).to.deep.equal([holdOf(human)]);
    bench.venue.cancel(human, bench.venueMs);
    frame(bench, { type: 'order-removed', venueOrderId: human, clientOrderId: null });
    bench.run(5_000);
    expect(bench.cleared).to.include(holdOf(human));
  });

  it('moves the balances by its fills, and no position of ours', () => {
    const bench = running();
    const human = bench.venue.submit('Sat', limitOrder('sell', '1'), bench.venueMs);
    fillNow(bench, human, '0.4');
    bench.run(40_000);
    expect(bench.state.discrepancies).to.deep.equal([]);
    expect([...bench.ledger.fills.values()].map(fill => fill.clientOrderId)).to.deep.equal([null]);
    expect(bench.messages('fill-booked')).to.deep.equal([]);
    expect(bench.messages('account-updated').at(-1)?.positions).to.deep.equal([]);
    expect([...bench.holds.keys()]).to.deep.equal([holdOf(human)]);
  });

  it('of another instance is foreign; of an older epoch of this one it is ours', () => {
    const bench = running();
    const other = bench.venue.submit('bb-otherdb-1-pulse-1', limitOrder('sell', '1'), bench.venueMs);
    bench.run(20_000);
    expect([...bench.holds.keys()]).to.deep.equal([holdOf(other)]);
    const older = rest(bench, 3, limitOrder('sell', '0.1'));
    bench.run(20_000);
    expect(bench.holds.has(holdOf(older))).to.equal(false);
  });

  it('under a label of ours but with other terms is foreign', () => {
    const bench = running();
    rest(bench, 1, limitOrder('sell', '0.1'));
    const copy = bench.venue.submit(label(1), limitOrder('sell', '3'), bench.venueMs);
    bench.run(20_000);
    expect([...bench.holds.keys()]).to.deep.equal([holdOf(copy)]);
  });

  it('is still booked as foreign after a restart', () => {
    const venue = new TinyVenue(OPENING);
    const bench = running(venue);
    const human = venue.submit('advanced', limitOrder('sell', '1'), bench.venueMs);
    fillNow(bench, human, '1');
    bench.run(40_000);
    bench.silence();
    const again = new Bench({
      venue,
      ledger: bench.ledger satisfies TinyLedger,
      monoMs: bench.monoMs + 1_000,
    });
    again.runUntil(() => again.state.everClean, 20_000, 'recovery');
    expect(again.messages('account-updated').at(-1)?.positions).to.deep.equal([]);
  });
});

describe('a start from a checkpoint of the books', () => {
  /** Five fills of an order that is still open, one a second; the checkpoint holds the first three. */
  const restarted = (): { bench: Bench; fills: Fill[]; venueOrderId: string } => {
    const bench = running();
    const venueOrderId = rest(bench, 1, limitOrder('buy', '2'));
    const fills = ['0.1', '0.2', '0.3', '0.1', '0.2'].map((quantity, n) => {
      const fill = { ...fillNow(bench, venueOrderId, quantity), price: parseDecimal(String(1_000 + n)) };
      bench.venue.trades.pop();
      return fill;
    });
    bench.ledger.checkpointKeeps = 2;
    return { bench, fills, venueOrderId };
  };
  const startOn = (bench: Bench): Bench => new Bench({ venue: bench.venue, ledger: bench.ledger });

  it('books no trade of the checkpoint again, and lets the ledger compare its numbers once', () => {
    const { bench, fills } = restarted();
    for (const fill of fills) bench.ledger.fills.set(fill.tradeId, fill);
    const next = startOn(bench);
    expect([...next.state.accounting.booked.keys()]).to.deep.equal(fills.slice(3).map(fill => fill.tradeId));
    const totals = expectedTotals(next.state);
    for (let time = 0; time < 3; time++)
      for (const fill of fills)
        frame(next, { type: 'fill', fill: { ...fill, executedAtMs: fill.executedAtMs + 60_000 } });
    expect(expectedTotals(next.state)).to.deep.equal(totals);
    expect(next.messages('fill-booked')).to.deep.equal([]);
    expect(next.ledger.repeatedFills).to.equal(3);
    expect(next.state.bookedByOrder.get(label(1))).to.equal(parseDecimal('0.9'));
  });

  it('books a late fill with an older time at once, and right to the last digit when the ledger has told the rest', () => {
    const { bench, fills, venueOrderId } = restarted();
    const [late, ...others] = fills as [Fill, ...Fill[]];
    for (const fill of others) bench.ledger.fills.set(fill.tradeId, fill);
    bench.ledger.checkpointKeeps = 1;
    const next = startOn(bench);
    next.give({ type: 'private-state', feed: 'live', reason: 'logged in' });
    frame(next, { type: 'fill', fill: { ...late, executedAtMs: late.executedAtMs - 5_000 } });
    expect(next.messages('fill-booked').map(message => message.orderFilled)).to.deep.equal([
      parseDecimal('0.9'),
    ]);
    expect(positionView(next.state.accounting, 'BTCTRY').quantity).to.equal(parseDecimal('0.9'));
    expect([...next.state.accounting.outOfOrder]).to.deep.equal(['BTCTRY']);
    next.runUntil(() => next.state.accounting.outOfOrder.size === 0, 5_000, 'the history');
    const whole = initialAccounting(null);
    for (const fill of next.ledger.fills.values()) bookFill(whole, fill, pairFromSymbol(fill.symbol));
    expect(next.state.accounting.positions.get('BTCTRY')).to.deep.equal(whole.positions.get('BTCTRY'));
    expect(next.ledger.orders.get(label(1))?.state).to.deep.include({ venueOrderId });
  });
});
