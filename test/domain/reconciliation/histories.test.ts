import { expect } from 'chai';
import fc from 'fast-check';
import {
  type Accounting,
  bookFill,
  initialAccounting,
  pairFromSymbol,
  positionView,
  positionViews,
} from '#src/domain/accounting.js';
import { formatDecimal, parseDecimal } from '#src/domain/money.js';
import { isTerminal, type OrderTerms } from '#src/domain/order.js';
import { expectedTotals } from '#src/domain/three-way-proof.js';
import { Bench, type Faults, NO_FAULTS, TinyLedger } from './bench.js';
import { type SubmitFate, TinyExecution } from './tiny-execution.js';
import { TinyVenue } from './tiny-venue.js';

const RUNS = Number(process.env.BTCBOT_RUNS ?? 1_000);
const OPENING = { TRY: '1000000', BTC: '50' };
const ABSENCE_WINDOW_MS = 20_000;

type Act =
  | {
      readonly type: 'submit';
      readonly side: 'buy' | 'sell';
      readonly lots: number;
      readonly fate: SubmitFate;
    }
  | { readonly type: 'fill'; readonly pick: number; readonly lots: number }
  | { readonly type: 'cancel'; readonly pick: number; readonly afterMs: number }
  /** Many small fills, faster than the venue's lists keep up. */
  | { readonly type: 'burst'; readonly pick: number; readonly fills: number; readonly everyMs: number }
  /** A person trades on the same account. */
  | {
      readonly type: 'human';
      readonly side: 'buy' | 'sell';
      readonly lots: number;
      readonly labelled: boolean;
    }
  | { readonly type: 'deposit'; readonly lira: number }
  | { readonly type: 'reconnect' }
  | { readonly type: 'restart' }
  | { readonly type: 'outage'; readonly ms: number };

const fate: fc.Arbitrary<SubmitFate> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      acceptedAfterMs: fc.constant(50),
      answeredAfterMs: fc.constantFrom(60, 100, 2_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      acceptedAfterMs: fc.constantFrom(50, 3_000, 9_000),
      answeredAfterMs: fc.constant(null),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ acceptedAfterMs: null, answeredAfterMs: null }) },
);

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('submit' as const),
      side: fc.constantFrom('buy' as const, 'sell' as const),
      lots: fc.integer({ min: 1, max: 9 }),
      fate,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('fill' as const),
      pick: fc.nat(20),
      lots: fc.integer({ min: 1, max: 9 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('cancel' as const),
      pick: fc.nat(20),
      afterMs: fc.constantFrom(0, 100, 2_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('burst' as const),
      pick: fc.nat(20),
      fills: fc.integer({ min: 2, max: 25 }),
      everyMs: fc.constantFrom(1, 30, 400),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('human' as const),
      side: fc.constantFrom('buy' as const, 'sell' as const),
      lots: fc.integer({ min: 1, max: 9 }),
      labelled: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('deposit' as const),
      lira: fc.integer({ min: -500, max: 5_000 }).filter(lira => lira !== 0),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'reconnect' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'restart' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('outage' as const), ms: fc.constantFrom(500, 4_000) }),
  },
);

const history = fc.record({
  steps: fc.array(fc.record({ act, thenMs: fc.constantFrom(0, 20, 100, 400, 3_000) }), {
    minLength: 8,
    maxLength: 40,
    size: 'max',
  }),
  faults: fc.record({
    readFails: fc.constantFrom(0, 0, 0.05, 0.2),
    frameLost: fc.constantFrom(0, 0.1, 0.5, 1),
    frameTwice: fc.constantFrom(0, 0.3),
    matchWrong: fc.constantFrom(0, 0.2),
    lags: fc.record({
      balancesMs: fc.constantFrom(0, 500, 5_000),
      ordersMs: fc.constantFrom(0, 500, 3_000),
      tradesMs: fc.constantFrom(0, 500, 8_000),
    }),
  }),
  clockAheadMs: fc.constantFrom(0, -700, 900),
  seed: fc.integer(),
});

const generator = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
};

const terms = (side: 'buy' | 'sell', lots: number): OrderTerms => ({
  symbol: 'BTCTRY',
  side,
  method: 'limit',
  price: parseDecimal(side === 'buy' ? '99.7' : '101.3'),
  quantity: parseDecimal('0.01') * BigInt(lots),
  quoteQuantity: null,
  stopPrice: null,
});

/** The bot's whole life around one venue and one ledger, across restarts. */
class Life {
  readonly venue = new TinyVenue(OPENING);
  readonly ledger = new TinyLedger();
  readonly random: () => number;
  readonly submitted: string[] = [];
  bench: Bench;
  execution: TinyExecution;
  epoch = 1;
  refutedAbsences = 0;

  constructor(
    seed: number,
    readonly clockAheadMs: number,
    public faults: Faults,
  ) {
    this.random = generator(seed);
    this.ledger.checkpointKeeps = seed % 4;
    this.bench = this.boot(1_000);
    this.execution = new TinyExecution(this.bench, this.epoch);
    this.bench.runUntil(() => this.bench.state.phase === 'running', 60_000, 'opening', 200);
  }

  private boot(monoMs: number): Bench {
    const bench = new Bench({
      venue: this.venue,
      ledger: this.ledger,
      random: this.random,
      monoMs,
      config: { absenceWindowMs: ABSENCE_WINDOW_MS, reconcileIntervalMs: 5_000, seed: this.epoch },
    });
    bench.clockAheadMs = this.clockAheadMs;
    bench.faults = this.faults;
    bench.give({ type: 'private-state', feed: 'live', reason: 'logged in' });
    return bench;
  }

  act(act: Act): void {
    const { bench, venue } = this;
    const open = venue.orders.filter(order => venue.isOpen(order.venueOrderId));
    switch (act.type) {
      case 'submit':
        this.submitted.push(this.execution.submit(terms(act.side, act.lots), act.fate));
        return;
      case 'fill': {
        const order = open[act.pick % Math.max(1, open.length)];
        if (order === undefined) return;
        const fill = venue.fill(order.venueOrderId, parseDecimal('0.01') * BigInt(act.lots), bench.venueMs);
        bench.send(TinyVenue.frames({ type: 'fill', fill }));
        return;
      }
      case 'burst': {
        const order = open[act.pick % Math.max(1, open.length)];
        if (order === undefined) return;
        for (let index = 0; index < act.fills; index++)
          bench.at(index * act.everyMs, () => {
            if (!venue.isOpen(order.venueOrderId)) return;
            const fill = venue.fill(order.venueOrderId, parseDecimal('0.001'), bench.venueMs);
            bench.send(TinyVenue.frames({ type: 'fill', fill }));
          });
        return;
      }
      case 'cancel': {
        const order = open[act.pick % Math.max(1, open.length)];
        if (order?.clientOrderId != null) this.execution.cancel(order.clientOrderId, act.afterMs);
        return;
      }
      case 'human': {
        const humanOrder = venue.submit(
          act.labelled ? 'advanced' : null,
          terms(act.side, act.lots),
          bench.venueMs,
        );
        bench.send(TinyVenue.frames({ type: 'inserted', order: venue.order(humanOrder) }));
        return;
      }
      case 'deposit':
        venue.deposit('TRY', parseDecimal(String(act.lira)), bench.venueMs);
        return;
      case 'reconnect':
        bench.give({ type: 'private-state', feed: 'disconnected', reason: 'closed' });
        bench.give({ type: 'private-state', feed: 'live', reason: 'logged in' });
        return;
      case 'restart':
        this.restart();
        return;
      case 'outage':
        bench.failWith = () => ({ type: 'unavailable', cause: 'disconnect' });
        bench.at(act.ms, () => {
          bench.failWith = () => null;
        });
        return;
    }
  }

  /** kill -9: what was on its way to the venue still arrives there; nobody hears of anything else. */
  restart(): void {
    const old = this.bench;
    old.silence();
    old.run(10_000, 1_000);
    this.epoch += 1;
    this.bench = this.boot(old.monoMs);
    this.execution = new TinyExecution(this.bench, this.epoch);
    this.execution.inherit(this.ledger.orders.values());
  }

  /** The faults stop: everything must come together. */
  quieten(): void {
    this.bench.faults = NO_FAULTS;
    this.bench.failWith = () => null;
    const done = (): boolean =>
      this.bench.state.everClean &&
      [...this.execution.orders.values()].every(order => order.state.status !== 'unknown') &&
      this.bench.state.discrepancies.length === 0 &&
      this.bench.state.accounting.outOfOrder.size === 0 &&
      this.bench.state.lastCleanMonoMs > quietSince;
    const quietSince = this.bench.monoMs + 10_000;
    this.bench.runUntil(done, 120_000, 'agreement', 250);
  }
}

const isOwn = (clientOrderId: string | null): boolean => clientOrderId?.startsWith('bb-') ?? false;

const tradedByUs = (venue: TinyVenue): bigint =>
  venue.trades
    .filter(trade => isOwn(trade.clientOrderId))
    .reduce((sum, trade) => sum + (trade.side === 'buy' ? trade.quantity : -trade.quantity), 0n);

const foldedFromNothing = (ledger: TinyLedger): Accounting => {
  const books = initialAccounting(null);
  for (const fill of ledger.fills.values())
    if (fill.clientOrderId !== null) bookFill(books, fill, pairFromSymbol(fill.symbol, fill.feeAsset));
  return books;
};

const text = (totals: ReadonlyMap<string, bigint>): string[] =>
  [...totals].map(([asset, total]) => `${asset} ${formatDecimal(total)}`).sort();

describe('any history of orders, faults and restarts', () => {
  it(`books every fill once, finds every order, and ends with ledger and venue equal (${RUNS} histories)`, function () {
    this.timeout(60_000 + RUNS * 100);
    const seen = { restarts: 0, unknownFound: 0, absent: 0, fills: 0 };
    fc.assert(
      fc.property(history, ({ steps, faults, clockAheadMs, seed }) => {
        const life = new Life(seed, clockAheadMs, faults);
        for (const { act, thenMs } of steps) {
          life.act(act);
          life.bench.run(thenMs, 200);
          if (act.type === 'restart') seen.restarts += 1;
        }
        life.quieten();
        const { venue, ledger, bench, execution } = life;

        expect([...ledger.fills.keys()].sort()).to.deep.equal(
          venue.trades.map(trade => trade.tradeId).sort(),
        );
        expect(text(expectedTotals(bench.state))).to.deep.equal(text(venue.totals));
        const humanOpen = venue.orders.filter(
          order => !isOwn(order.clientOrderId) && venue.isOpen(order.venueOrderId),
        );
        expect([...bench.holds.keys()].sort()).to.deep.equal(
          humanOpen.map(order => `foreign-order:${order.venueOrderId}`).sort(),
        );
        expect([...bench.everHeld.keys()].filter(key => key.startsWith('invariant'))).to.deep.equal([]);
        const position = positionView(bench.state.accounting, 'BTCTRY').quantity;
        expect(position).to.equal(tradedByUs(venue));
        expect(positionViews(bench.state.accounting)).to.deep.equal(positionViews(foldedFromNothing(ledger)));

        const atVenue = new Set(venue.orders.map(order => order.clientOrderId));
        for (const clientOrderId of execution.absent)
          expect(atVenue.has(clientOrderId), `absence of ${clientOrderId}`).to.equal(false);
        for (const clientOrderId of life.submitted) {
          const order = ledger.orders.get(clientOrderId);
          if (order === undefined) throw new Error(`order ${clientOrderId} was never recorded`);
          const venueOrder = venue.orders.find(each => each.clientOrderId === clientOrderId);
          if (venueOrder === undefined) expect(order.state.status).to.equal('rejected');
          else {
            expect(isTerminal(order.state), `${clientOrderId} ${order.state.status}`).to.equal(
              !venue.isOpen(venueOrder.venueOrderId),
            );
            const traded = venueOrder.terms.quantity - venue.remaining(venueOrder.venueOrderId);
            expect('filled' in order.state ? order.state.filled : 0n).to.equal(traded);
          }
        }
        seen.absent += execution.absent.size;
        seen.fills += venue.trades.length;
        seen.unknownFound += bench.logs.filter(line => line.event === 'evidence-found').length;
      }),
      { numRuns: RUNS },
    );
    expect(seen.restarts, 'restarts reached').to.be.greaterThan(0);
    expect(seen.unknownFound, 'unknown orders found').to.be.greaterThan(0);
    expect(seen.absent, 'absences proven').to.be.greaterThan(0);
    expect(seen.fills, 'fills booked').to.be.greaterThan(0);
  });
});
