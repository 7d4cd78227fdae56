import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import type { OrderTerms } from '#src/domain/order.js';
import { takeOpenOrders, takeReport } from '#src/domain/order-watch.js';
import type { VenueRead } from '#src/domain/venue-port.js';
import { Bench, CONFIG, label, limitOrder, newOrder, openedLedger } from './bench.js';
import { TinyVenue } from './tiny-venue.js';

const OPENING = { TRY: '1000000', BTC: '20' };
const WINDOW_MS = CONFIG.absenceWindowMs;

const running = (): Bench => {
  const venue = new TinyVenue(OPENING);
  const bench = new Bench({ venue, ledger: openedLedger(venue) });
  bench.give({ type: 'private-state', feed: 'live', reason: 'logged in' });
  bench.runUntil(() => bench.state.phase === 'running', 20_000, 'recovery');
  return bench;
};

/** A submit that was sent five seconds ago and never answered. */
const loseTrackOf = (bench: Bench, sequence: number, terms: OrderTerms): void => {
  const sentAtMs = bench.wallMs - 5_000;
  bench.track(
    newOrder(
      label(sequence),
      terms,
      { status: 'unknown', sinceMs: bench.wallMs, cause: 'timeout', filled: 0n },
      sentAtMs,
    ),
  );
  bench.give({
    type: 'message',
    from: 'execution',
    message: {
      type: 'evidence-wanted',
      id: 'execution:1:9',
      cause: 'execution:1:8',
      clientOrderId: label(sequence),
    },
  });
};

const failing =
  (...types: readonly VenueRead['type'][]) =>
  (call: VenueRead) =>
    types.includes(call.type) ? ({ type: 'unavailable', cause: 'timeout' } as const) : null;

describe('an unknown submit that the venue took in', () => {
  const terms = limitOrder('buy', '0.5');

  it('is found among the open orders within a second', () => {
    const bench = running();
    const venueOrderId = bench.venue.submit(label(1), terms, bench.venueMs - 4_000);
    loseTrackOf(bench, 1, terms);
    bench.run(1_000);
    expect(bench.messages('order-reported')[0]?.report).to.include({ venueOrderId, status: 'untouched' });
  });

  it('is found among all orders when it has ended already, and its fills with it', () => {
    const bench = running();
    const venueOrderId = bench.venue.submit(label(1), terms, bench.venueMs - 4_000);
    bench.venue.fill(venueOrderId, terms.quantity, bench.venueMs - 3_000);
    loseTrackOf(bench, 1, terms);
    bench.run(3_000);
    expect(bench.messages('order-reported').at(-1)?.report.status).to.equal('closed');
    expect(bench.messages('fill-booked')[0]?.orderFilled).to.equal(terms.quantity);
  });

  it('is found by its trades when the lists of orders fail', () => {
    const bench = running();
    const venueOrderId = bench.venue.submit(label(1), terms, bench.venueMs - 4_000);
    bench.venue.fill(venueOrderId, parseDecimal('0.1'), bench.venueMs - 3_000);
    bench.failWith = failing('open-orders', 'all-orders');
    loseTrackOf(bench, 1, terms);
    bench.run(15_000);
    expect(bench.messages('order-hinted')[0]).to.include({ venueOrderId, hint: 'matched' });
    expect(bench.messages('order-reported')[0]?.report.venueOrderId).to.equal(venueOrderId);
  });

  it('is found by a private frame before any read', () => {
    const bench = running();
    loseTrackOf(bench, 1, terms);
    const venueOrderId = bench.venue.submit(label(1), terms, bench.venueMs);
    bench.give({
      type: 'private-event',
      event: { type: 'order-inserted', venueOrderId, clientOrderId: label(1) },
    });
    expect(bench.messages('order-hinted')[0]).to.include({ venueOrderId, hint: 'inserted' });
  });

  it('is found when it is taken in minutes late, and its absence is not declared before', () => {
    for (let lateMs = 1_000; lateMs < WINDOW_MS; lateMs += 1_700) {
      const bench = running();
      loseTrackOf(bench, 1, terms);
      bench.at(lateMs, () => void bench.venue.submit(label(1), terms, bench.venueMs));
      bench.run(WINDOW_MS * 2);
      expect(bench.messages('absence-proven'), `taken in after ${lateMs} ms`).to.deep.equal([]);
      expect(bench.messages('order-reported').length).to.be.greaterThan(0);
    }
  });

  it('is found within seconds of the venue answering again', () => {
    const bench = running();
    bench.venue.submit(label(1), terms, bench.venueMs - 4_000);
    bench.failWith = () => ({ type: 'unavailable', cause: 'server-error' });
    loseTrackOf(bench, 1, terms);
    bench.run(120_000);
    bench.failWith = () => null;
    bench.runUntil(() => bench.messages('order-reported').length > 0, 15_000, 'the order');
  });

  it('is never declared absent by a number of tries, however long reads fail', () => {
    const bench = running();
    loseTrackOf(bench, 1, terms);
    bench.failWith = failing('all-orders');
    bench.run(3_600_000, 250);
    expect(bench.messages('absence-proven')).to.deep.equal([]);
    expect(bench.status.searches).to.have.length(1);
  });

  it('that turns up after its absence was proven stops everything, and execution learns of it', () => {
    const bench = running();
    loseTrackOf(bench, 1, terms);
    bench.runUntil(() => bench.messages('absence-proven').length > 0, WINDOW_MS * 3, 'absence');
    bench.track(newOrder(label(1), terms, { status: 'rejected', reason: 'proven absent' }, bench.wallMs));
    const venueOrderId = bench.venue.submit(label(1), terms, bench.venueMs);
    bench.run(20_000);
    expect(bench.holds.get('invariant:account')).to.contain(`exists at the venue as ${venueOrderId}`);
    expect(bench.messages('order-reported').at(-1)?.report.venueOrderId).to.equal(venueOrderId);
  });
});

describe('an unknown submit that never reached the venue', () => {
  const terms = limitOrder('buy', '0.5');

  it('is proven absent once the window has passed, by reads sent after it', () => {
    const bench = running();
    loseTrackOf(bench, 1, terms);
    const since = bench.monoMs;
    bench.run(WINDOW_MS - 100);
    expect(bench.messages('absence-proven')).to.deep.equal([]);
    bench.run(6_000);
    expect(bench.messages('absence-proven')[0]?.evidence).to.contain('show nothing of it');
    for (const type of ['open-orders', 'all-orders', 'trades', 'balances'])
      expect(bench.reads.some(read => read.call.type === type && read.atMonoMs > since + WINDOW_MS)).to.equal(
        true,
      );
  });

  it('is proven absent by the first reads when it went to an exchange that has ended since', () => {
    const venue = new TinyVenue(OPENING);
    const ledger = openedLedger(venue);
    const bench = new Bench({ venue, ledger, config: { venueStartedAtMs: Number.POSITIVE_INFINITY } });
    bench.give({ type: 'private-state', feed: 'live', reason: 'logged in' });
    bench.runUntil(() => bench.state.phase === 'running', 20_000, 'recovery');
    loseTrackOf(bench, 1, terms);
    bench.run(3_000);
    expect(bench.messages('absence-proven')).to.have.length(1);
  });

  it('keeps its window when it went to the exchange that still runs', () => {
    const venue = new TinyVenue(OPENING);
    const ledger = openedLedger(venue);
    const bench = new Bench({ venue, ledger, config: { venueStartedAtMs: 0 } });
    bench.give({ type: 'private-state', feed: 'live', reason: 'logged in' });
    bench.runUntil(() => bench.state.phase === 'running', 20_000, 'recovery');
    loseTrackOf(bench, 1, terms);
    bench.run(WINDOW_MS - 100);
    expect(bench.messages('absence-proven')).to.deep.equal([]);
  });

  it('starts its window anew after a restart', () => {
    const bench = running();
    loseTrackOf(bench, 1, terms);
    bench.run(WINDOW_MS - 5_000);
    bench.silence();
    const order = newOrder(
      label(1),
      terms,
      { status: 'unknown', sinceMs: bench.wallMs - WINDOW_MS, cause: 'timeout', filled: 0n },
      bench.wallMs - WINDOW_MS,
    );
    bench.ledger.orders.set(label(1), order);
    const again = new Bench({ venue: bench.venue, ledger: bench.ledger, monoMs: bench.monoMs + 2_000 });
    again.run(WINDOW_MS - 1_000);
    expect(again.messages('absence-proven')).to.deep.equal([]);
    again.run(20_000);
    expect(again.messages('absence-proven')).to.have.length(1);
  });

  for (const type of ['open-orders', 'all-orders', 'trades', 'balances'] as const)
    it(`is not proven absent while ${type} cannot be read`, () => {
      const bench = running();
      loseTrackOf(bench, 1, terms);
      bench.failWith = failing(type);
      bench.run(WINDOW_MS * 4);
      expect(bench.messages('absence-proven')).to.deep.equal([]);
      bench.failWith = () => null;
      bench.run(30_000);
      expect(bench.messages('absence-proven')).to.have.length(1);
    });

  it('is not proven absent while the balances show something unexplained', () => {
    const bench = running();
    loseTrackOf(bench, 1, terms);
    bench.venue.totals.set('BTC', (bench.venue.totals.get('BTC') ?? 0n) + terms.quantity);
    bench.run(WINDOW_MS + 20_000);
    expect(bench.messages('absence-proven')).to.deep.equal([]);
    expect(bench.status).to.deep.nested.include({
      'searches[0].objection': 'balances differ from the ledger: BTC',
    });
  });

  for (const side of ['buy', 'sell'] as const)
    it(`is not proven absent while funds for such a ${side} are locked by nothing that is known`, () => {
      const bench = running();
      const hidden = bench.venue.submit(
        null,
        { ...limitOrder(side, '0.5'), symbol: 'BTCTRY' },
        bench.venueMs,
      );
      bench.venue.hidden.add(hidden);
      loseTrackOf(bench, 1, limitOrder(side, '0.5'));
      bench.run(WINDOW_MS + 20_000);
      expect(bench.messages('absence-proven')).to.deep.equal([]);
      bench.venue.cancel(hidden, bench.venueMs);
      bench.run(30_000);
      expect(bench.messages('absence-proven')).to.have.length(1);
    });

  it('is proven absent although the bot goes on trading on another symbol, between two passes', () => {
    const bench = running();
    loseTrackOf(bench, 1, terms);
    const elsewhere = { ...limitOrder('buy', '0.5'), symbol: 'ETHTRY' };
    let resting: { readonly sequence: number; readonly venueOrderId: string } | null = null;
    const turnOver = (sequence: number): void => {
      if (resting !== null) {
        const { sequence: before, venueOrderId } = resting;
        bench.venue.cancel(venueOrderId, bench.venueMs);
        const requestedAtMs = bench.wallMs;
        bench.track(
          newOrder(label(before), elsewhere, { status: 'canceled', venueOrderId, filled: 0n }, requestedAtMs),
        );
      }
      const venueOrderId = bench.venue.submit(label(sequence), elsewhere, bench.venueMs);
      bench.track(
        newOrder(label(sequence), elsewhere, { status: 'working', venueOrderId, filled: 0n }, bench.wallMs),
      );
      resting = { sequence, venueOrderId };
    };
    for (let second = 0; second < (WINDOW_MS + 10_000) / 1_000; second++) {
      turnOver(100 + second);
      bench.run(1_000);
    }
    expect(bench.messages('absence-proven')).to.have.length(1);
  });

  it('shares its polls with the other unknown orders of its symbol', () => {
    const bench = running();
    for (let sequence = 1; sequence <= 20; sequence++) loseTrackOf(bench, sequence, terms);
    const before = bench.reads.length;
    bench.run(WINDOW_MS + 10_000);
    expect(bench.messages('absence-proven')).to.have.length(20);
    expect(bench.reads.length - before).to.be.lessThan(90);
  });
});

describe('a cancel', () => {
  const working = (bench: Bench): string => {
    const venueOrderId = bench.venue.submit(label(1), limitOrder('buy', '0.5'), bench.venueMs);
    bench.track(
      newOrder(
        label(1),
        limitOrder('buy', '0.5'),
        { status: 'working', venueOrderId, filled: 0n },
        bench.wallMs,
      ),
    );
    return venueOrderId;
  };
  const canceling = (bench: Bench, venueOrderId: string): void =>
    bench.track(
      newOrder(
        label(1),
        limitOrder('buy', '0.5'),
        { status: 'cancel-in-flight', venueOrderId, filled: 0n, requestedAtMs: bench.wallMs },
        bench.wallMs,
      ),
    );

  it('is confirmed by a read as soon as the feed says that the order left the book', () => {
    const bench = running();
    const venueOrderId = working(bench);
    canceling(bench, venueOrderId);
    bench.venue.cancel(venueOrderId, bench.venueMs);
    bench.give({
      type: 'private-event',
      event: { type: 'order-removed', venueOrderId, clientOrderId: label(1) },
    });
    bench.run(300);
    expect(bench.messages('order-reported').at(-1)?.report.status).to.equal('canceled');
  });

  it('is confirmed by reads alone when the feed is silent', () => {
    const bench = running();
    const venueOrderId = working(bench);
    canceling(bench, venueOrderId);
    bench.at(700, () => void bench.venue.cancel(venueOrderId, bench.venueMs));
    bench.run(3_000);
    expect(bench.messages('order-reported').at(-1)?.report.status).to.equal('canceled');
  });

  it('that a fill overtook brings the fill before the end is in line', () => {
    const bench = running();
    const venueOrderId = working(bench);
    canceling(bench, venueOrderId);
    bench.venue.fill(venueOrderId, parseDecimal('0.3'), bench.venueMs);
    bench.venue.cancel(venueOrderId, bench.venueMs);
    bench.faults = { ...bench.faults, lags: { balancesMs: 0, ordersMs: 0, tradesMs: 6_000 } };
    bench.run(15_000);
    expect(bench.messages('order-reported').at(-1)?.report.status).to.equal('canceled');
    expect(bench.messages('fill-booked').at(-1)?.orderFilled).to.equal(parseDecimal('0.3'));
    expect(bench.ledger.fills.size).to.equal(1);
  });

  it('is looked at when execution asks, and no longer than that', () => {
    const bench = running();
    const venueOrderId = working(bench);
    bench.give({
      type: 'message',
      from: 'execution',
      message: {
        type: 'evidence-wanted',
        id: 'execution:1:9',
        cause: 'execution:1:8',
        clientOrderId: label(1),
      },
    });
    bench.run(10_000);
    const looks = bench.reads.filter(
      read => read.call.type === 'order' && read.call.venueOrderId === venueOrderId,
    );
    expect(looks).to.have.length(1);
  });

  it('once proven is not undone by lists that are older than they look', () => {
    const bench = running();
    const venueOrderId = working(bench);
    bench.run(20_000);
    canceling(bench, venueOrderId);
    bench.venue.cancel(venueOrderId, bench.venueMs);
    bench.give({
      type: 'private-event',
      event: { type: 'order-removed', venueOrderId, clientOrderId: label(1) },
    });
    bench.run(500);
    bench.faults = { ...bench.faults, lags: { balancesMs: 0, ordersMs: 16_000, tradesMs: 0 } };
    const before = bench.reads.filter(read => read.call.type === 'open-orders').length;
    bench.give({ type: 'private-state', feed: 'disconnected', reason: '' });
    bench.give({ type: 'private-state', feed: 'live', reason: '' });
    bench.run(5_000);
    expect(bench.reads.filter(read => read.call.type === 'open-orders').length).to.be.greaterThan(before);
    expect(bench.messages('order-reported').at(-1)?.report.status).to.equal('canceled');
    expect(bench.state.discrepancies).to.deep.equal([]);
  });
});

describe('what is known of an order', () => {
  const terms = limitOrder('buy', '0.5');

  it('is not replaced by the answer to an older question', () => {
    const bench = running();
    const venueOrderId = bench.venue.submit(label(1), terms, bench.venueMs);
    bench.track(newOrder(label(1), terms, { status: 'working', venueOrderId, filled: 0n }, bench.wallMs));
    bench.run(1_000);
    const report = bench.venue.reportAt(bench.venue.order(venueOrderId), bench.venueMs);
    if (report === null) throw new Error('no report');
    const asked = bench.monoMs - 100;
    takeReport(bench.state, report, asked, bench.now(), []);
    takeReport(bench.state, { ...report, status: 'partial', remaining: 1n }, asked - 1, bench.now(), []);
    expect(bench.state.live.get(label(1))?.report).to.deep.equal({ report, asOfMonoMs: asked });
    takeOpenOrders(bench.state, 'BTCTRY', [], asked - 1, bench.now(), []);
    expect(bench.state.live.get(label(1))?.missingAsOfMonoMs).to.equal(null);
    takeOpenOrders(bench.state, 'BTCTRY', [], asked + 1, bench.now(), []);
    expect(bench.state.live.get(label(1))?.missingAsOfMonoMs).to.equal(asked + 1);
    // Its end outranks any list, but not a newer answer that shows it, too: that knows of a fill more.
    const ended = { ...report, status: 'canceled', remaining: parseDecimal('0.2') } as const;
    takeReport(bench.state, ended, asked - 2, bench.now(), []);
    takeReport(bench.state, { ...ended, remaining: ended.quantity }, asked - 3, bench.now(), []);
    expect(bench.state.live.get(label(1))?.report).to.deep.equal({ report: ended, asOfMonoMs: asked - 2 });
  });

  it('is gathered again to its end when a refused order turns out to live', () => {
    const bench = running();
    bench.track(newOrder(label(1), terms, { status: 'rejected', reason: 'no' }, bench.wallMs));
    const venueOrderId = bench.venue.submit(label(1), terms, bench.venueMs);
    bench.track(newOrder(label(1), terms, { status: 'working', venueOrderId, filled: 0n }, bench.wallMs));
    bench.run(1_000);
    bench.venue.cancel(venueOrderId, bench.venueMs);
    bench.run(20_000);
    expect(bench.messages('order-reported').at(-1)?.report.status).to.equal('canceled');
  });
});
