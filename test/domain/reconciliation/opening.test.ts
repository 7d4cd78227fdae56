import { expect } from 'chai';
import fc from 'fast-check';
import { formatDecimal, ONE, parseDecimal } from '#src/domain/money.js';
import { expectedTotals } from '#src/domain/three-way-proof.js';
import type { VenueRead } from '#src/domain/venue-port.js';
import { Bench, label, limitOrder, NO_FAULTS, newOrder, START_WALL_MS, TinyLedger } from './bench.js';
import { TinyVenue } from './tiny-venue.js';

const RUNS = Number(process.env.BTCBOT_RUNS ?? 1_000);
const OPENING = { TRY: '100000', BTC: '2' };
const JUMP_MS = 8_000;
const DAY_MS = 86_400_000;

/** An account whose whole life is in its movements, as an exchange of our own funds it when it starts. */
const funded = (atMs: number): TinyVenue => {
  const venue = new TinyVenue({});
  venue.deposit('TRY', 6_000n * ONE, atMs);
  venue.deposit('BTC', ONE, atMs);
  return venue;
};

const opened = (bench: Bench, limitMs = 60_000): Bench => {
  bench.runUntil(() => bench.ledger.opening !== null, limitMs, 'the opening');
  return bench;
};

/** Opens if it has not, waits until everything late is there, and finds books and venue equal and nothing held over it. */
const balanced = (bench: Bench): Bench => {
  bench.runUntil(() => bench.state.everClean, 120_000, 'recovery');
  bench.run(60_000);
  expect(bench.state.discrepancies).to.deep.equal([]);
  expect(sorted(expectedTotals(bench.state))).to.deep.equal(sorted(bench.venue.totals));
  expect([...bench.everHeld.keys()].filter(key => key.startsWith('invariant'))).to.deep.equal([]);
  return bench;
};

const sorted = (totals: ReadonlyMap<string, bigint>): string[] =>
  [...totals]
    .filter(([, total]) => total !== 0n)
    .map(([asset, total]) => `${asset} ${formatDecimal(total)}`)
    .sort();

const movementsBooked = (bench: Bench): string[] => [...bench.ledger.movements.keys()];

/** Calls back when the nth read of a kind leaves. */
const atRead = (bench: Bench, type: VenueRead['type'], nth: number, run: () => void): void => {
  let reads = 0;
  bench.failWith = call => {
    if (call.type === type && ++reads === nth) run();
    return null;
  };
};

describe('what the opening balances hold', () => {
  for (const [who, wall, venueClock] of [
    ["the bot's and the venue's clock", -JUMP_MS, -JUMP_MS],
    ["the bot's clock", -JUMP_MS, 0],
    ["the venue's clock", 0, -JUMP_MS],
  ] as const)
    it(`is never booked again when ${who} was set back before it was read`, () => {
      const bench = new Bench({ venue: funded(START_WALL_MS) });
      bench.wallSetMs = wall;
      bench.venue.clockSetMs = venueClock;
      opened(bench, 5_000);
      balanced(bench);
      expect(movementsBooked(bench)).to.deep.equal([]);
      // What the movements were is known to the next start too, whatever the time.
      bench.silence();
      const next = new Bench({ venue: bench.venue, ledger: bench.ledger, monoMs: bench.monoMs });
      balanced(next);
      expect(movementsBooked(next)).to.deep.equal([]);
    });

  for (const [what, wall, venueClock] of [
    ["the bot's clock is set forward", 3_600_000, 0],
    ["the bot's clock is set back", -3_600_000, 0],
    ["the venue's clock is set forward", 0, JUMP_MS],
    ["the venue's clock is set back", 0, -JUMP_MS],
  ] as const)
    for (const [when, nth] of [
      ['while the first lists are read', 1],
      ['while the second lists are read', 2],
    ] as const)
      it(`is known when ${what} ${when}, and what follows is booked once`, () => {
        const bench = new Bench({ venue: funded(START_WALL_MS) });
        atRead(bench, 'cash-movements', nth, () => {
          bench.wallSetMs = wall;
          bench.venue.clockSetMs = venueClock;
        });
        opened(bench);
        const after = [
          bench.venue.deposit('TRY', 500n * ONE, bench.venueMs + 200),
          bench.venue.deposit('BTC', -ONE / 2n, bench.venueMs + 300),
        ];
        balanced(bench);
        expect(movementsBooked(bench)).to.have.members(after.map(({ movementId }) => movementId));
      });

  it('holds no movement of which it cannot be seen that the balances show it', () => {
    const venue = new TinyVenue(OPENING);
    venue.deposit('TRY', 500n * ONE, START_WALL_MS - 2_000);
    const bench = new Bench({ venue });
    bench.faults = { ...NO_FAULTS, lags: { ...NO_FAULTS.lags, balancesMs: 40_000 } };
    bench.run(35_000);
    expect(bench.ledger.opening).to.equal(null);
    expect(bench.status.openingObjection).to.match(/moved a moment ago|the balances have changed/);
    balanced(bench);
    expect(movementsBooked(bench)).to.deep.equal([]);
  });

  it('waits for a movement of a moment ago, also when both pictures are the same', () => {
    const venue = new TinyVenue(OPENING);
    venue.deposit('TRY', 500n * ONE, START_WALL_MS - 2_000);
    const bench = new Bench({ venue });
    bench.run(35_000);
    expect(bench.ledger.opening).to.equal(null);
    expect(bench.status.openingObjection).to.match(/moved a moment ago/);
    balanced(bench);
    expect(movementsBooked(bench)).to.deep.equal([]);
  });

  it('waits for the time of a movement that is dated later than the balances, unless it adds up', () => {
    const venue = new TinyVenue(OPENING);
    venue.deposit('TRY', 500n * ONE, START_WALL_MS, START_WALL_MS + 20_000);
    const bench = new Bench({ venue });
    bench.run(45_000);
    expect(bench.ledger.opening).to.equal(null);
    balanced(opened(bench));
    expect(movementsBooked(bench)).to.deep.equal([]);
  });

  for (const [when, type, nth] of [
    ['the first lists and the first balances', 'balances', 1],
    ['the two balances', 'balances', 2],
    ['the last balances and the last lists', 'cash-movements', 2],
  ] as const)
    it(`is looked at again when money moves between ${when}`, () => {
      const bench = new Bench({ venue: new TinyVenue(OPENING) });
      bench.faults = { ...NO_FAULTS, lags: { ...NO_FAULTS.lags, balancesMs: 1_000 } };
      atRead(bench, type, nth, () => void bench.venue.deposit('TRY', 7n * ONE, bench.venueMs));
      balanced(bench);
      expect(bench.logs.filter(({ event }) => event === 'opening-postponed')).to.have.length.greaterThan(0);
      expect(movementsBooked(bench)).to.deep.equal([]);
    });

  it('is looked at again when somebody trades between the looks, whatever the date of the trade', () => {
    const venue = new TinyVenue(OPENING);
    const bench = new Bench({ venue });
    bench.faults = { ...NO_FAULTS, lags: { ...NO_FAULTS.lags, balancesMs: 1_000 } };
    atRead(bench, 'balances', 2, () => {
      venue.clockSetMs = -120_000;
      venue.fill(venue.submit('by hand', limitOrder('buy', '0.5'), bench.venueMs), ONE / 2n, bench.venueMs);
    });
    balanced(bench);
    expect(bench.logs.find(({ event }) => event === 'opening-postponed')?.fields.reason).to.match(/trades/);
    expect(bench.ledger.fills.size).to.equal(0);
  });

  for (const [which, nth] of [
    ['first', 1],
    ['second', 2],
  ] as const)
    it(`stays unknown while the ${which} list of movements cannot be read`, () => {
      const bench = new Bench({ venue: new TinyVenue(OPENING) });
      let lists = 0;
      bench.failWith = call =>
        call.type === 'cash-movements' && ++lists >= nth
          ? { type: 'refused', code: '1037', message: 'no' }
          : null;
      bench.run(30_000);
      expect(bench.ledger.opening).to.equal(null);
      expect(bench.cleared).to.deep.equal([]);
      expect(bench.status.openingObjection).to.match(/^reads failed: cash-movements \(refused: 1037 no\)$/);
      bench.failWith = () => null;
      balanced(bench);
    });

  it('is known when no movement is listed, and a row that comes late is not booked', () => {
    const venue = new TinyVenue(OPENING);
    const bench = new Bench({ venue });
    const late = venue.deposit('TRY', 500n * ONE, START_WALL_MS - 60_000);
    bench.faults = { ...NO_FAULTS, lags: { ...NO_FAULTS.lags, movementsMs: 160_000 } };
    opened(bench, 5_000);
    balanced(bench);
    expect([...bench.state.undecidedMovements.keys()]).to.deep.equal([]);
    bench.faults = NO_FAULTS;
    bench.run(310_000);
    expect([...bench.state.undecidedMovements.keys()]).to.deep.equal([late.movementId]);
    balanced(bench);
    expect(movementsBooked(bench)).to.deep.equal([]);
  });

  it('lacks a deposit that was seen before and is credited later: it is booked, though one like it is not', () => {
    const venue = new TinyVenue(OPENING);
    const dated = START_WALL_MS - 600_000;
    venue.deposit('TRY', 500n * ONE, dated);
    const bench = opened(new Bench({ venue }));
    bench.run(40_000);
    const credited = venue.deposit('TRY', 500n * ONE, bench.venueMs, dated);
    balanced(bench);
    expect(movementsBooked(bench)).to.deep.equal([credited.movementId]);
    bench.silence();
    const monoMs = bench.monoMs + 1_000;
    const others = [
      venue.deposit('TRY', 400n * ONE, START_WALL_MS + monoMs, dated - DAY_MS / 2),
      venue.deposit('TRY', -30n * ONE, START_WALL_MS + monoMs, dated + 1),
    ];
    const next = balanced(new Bench({ venue, ledger: bench.ledger, monoMs }));
    expect(movementsBooked(next)).to.deep.equal([credited, ...others].map(({ movementId }) => movementId));
  });

  for (const [where, rowMs] of [
    ['that the list names at once', 0],
    ['that the list names a while after the balances', 5_000],
  ] as const)
    it(`is not mistaken for a later deposit of the same amount ${where}`, () => {
      const venue = new TinyVenue(OPENING);
      venue.deposit('TRY', 500n * ONE, START_WALL_MS - 60_000);
      const bench = new Bench({ venue });
      bench.faults = { ...NO_FAULTS, lags: { ...NO_FAULTS.lags, movementsMs: 160_000 } };
      opened(bench);
      bench.run(60_000);
      bench.faults = NO_FAULTS;
      bench.run(310_000);
      bench.faults = { ...NO_FAULTS, lags: { ...NO_FAULTS.lags, movementsMs: rowMs } };
      const later = venue.deposit('TRY', 500n * ONE, bench.venueMs);
      balanced(bench);
      bench.run(640_000, 200);
      balanced(bench);
      expect(movementsBooked(bench)).to.deep.equal([later.movementId]);
    });

  it('is not mistaken for a later deposit in a ledger that does not say what its opening held', () => {
    const venue = new TinyVenue(OPENING);
    venue.deposit('TRY', 500n * ONE, START_WALL_MS - 600_000);
    const bench = balanced(new Bench({ venue }));
    const { ledger } = bench;
    if (ledger.opening === null) throw new Error('it was not opened');
    ledger.opening = { balances: ledger.opening.balances, atMs: ledger.opening.atMs };
    bench.silence();
    const next = balanced(new Bench({ venue, ledger, monoMs: bench.monoMs + 1_000 }));
    const later = venue.deposit('TRY', 500n * ONE, next.venueMs);
    next.run(640_000, 200);
    balanced(next);
    expect(movementsBooked(next)).to.deep.equal([later.movementId]);
  });

  for (const lagMs of [2_000, 12_000, 25_000])
    it(`holds a deposit dated long ago that the balances show ${lagMs} ms after it is listed`, () => {
      const venue = new TinyVenue(OPENING);
      venue.deposit('TRY', 500n * ONE, START_WALL_MS - 200, START_WALL_MS - 600_000);
      const bench = new Bench({ venue });
      bench.faults = { ...NO_FAULTS, lags: { ...NO_FAULTS.lags, balancesMs: lagMs } };
      balanced(opened(bench, 120_000));
      expect(movementsBooked(bench)).to.deep.equal([]);
    });

  it('is not touched by a difference that no movement explains', () => {
    const venue = new TinyVenue(OPENING);
    const bench = opened(new Bench({ venue }));
    bench.run(5_000);
    venue.deposit('TRY', 500n * ONE, bench.venueMs, START_WALL_MS - 600_000);
    venue.totals.set('TRY', (venue.totals.get('TRY') ?? 0n) + 1n);
    bench.runUntil(() => bench.holds.has('invariant:account'), 120_000, 'the hold');
    expect(bench.holds.get('invariant:account')).to.contain("the venue's TRY less the ledger's is 500.");
    expect(movementsBooked(bench)).to.deep.equal([]);
  });

  it("holds none of our own trades, even when the venue's clock is set back after it", () => {
    const venue = new TinyVenue(OPENING);
    const bench = balanced(new Bench({ venue }));
    venue.clockSetMs = -400_000;
    const terms = limitOrder('buy', '0.5');
    const venueOrderId = venue.submit(label(1), terms, bench.venueMs);
    const order = newOrder(label(1), terms, { status: 'working', venueOrderId, filled: 0n }, bench.wallMs);
    bench.ledger.orders.set(label(1), order);
    bench.track(order);
    const fill = venue.fill(venueOrderId, parseDecimal('0.2'), bench.venueMs);
    expect(fill.executedAtMs).to.be.lessThan(bench.ledger.opening?.atMs ?? 0);
    bench.run(20_000);
    expect([...bench.ledger.fills.keys()]).to.deep.equal([fill.tradeId]);
    bench.silence();
    const next = balanced(new Bench({ venue, ledger: bench.ledger, monoMs: bench.monoMs }));
    // Also one that only the list of trades can show: nobody follows its order any more.
    const ended = venue.submit(label(9), limitOrder('sell', '0.1'), next.venueMs);
    const missed = venue.fill(ended, parseDecimal('0.1'), next.venueMs);
    expect(missed.executedAtMs).to.be.lessThan(next.ledger.opening?.atMs ?? 0);
    balanced(next);
    expect([...next.ledger.fills.keys()]).to.deep.equal([fill.tradeId, missed.tradeId]);
  });
});

type Event =
  | { readonly type: 'deposit'; readonly lira: number; readonly seenBeforeMs: number }
  | { readonly type: 'trade'; readonly lots: number }
  | { readonly type: 'own-clock' | 'venue-clock' | 'both-clocks'; readonly byMs: number }
  | { readonly type: 'restart' };

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('deposit' as const),
      lira: fc.integer({ min: -500, max: 5_000 }).filter(lira => lira !== 0),
      seenBeforeMs: fc.constantFrom(0, 0, 5_000, 1_200_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('trade' as const), lots: fc.integer({ min: 1, max: 9 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constantFrom('own-clock' as const, 'venue-clock' as const, 'both-clocks' as const),
      byMs: fc.integer({ min: -10_000, max: 10_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'restart' as const }) },
);

/** What happens, and how long after the thing before it. */
const history = fc.array(fc.tuple(fc.integer({ min: 0, max: 1_500 }), event), { maxLength: 7 });

describe('the opening in every history of its first seconds', () => {
  it('has each movement and trade on one side, whatever the clocks are set to', () => {
    fc.assert(
      fc.property(
        history,
        fc.boolean(),
        fc.constantFrom(0, 900),
        fc.constantFrom(0, 900),
        fc.integer({ min: 0, max: 2 ** 31 }),
        (events, rich, balancesMs, movementsMs, seed) => {
          const venue = rich ? new TinyVenue(OPENING) : funded(START_WALL_MS);
          let random = seed;
          const options = {
            venue,
            ledger: new TinyLedger(),
            random: () => {
              random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fffffff;
              return random / 2 ** 31;
            },
          };
          let bench = new Bench(options);
          const faults = {
            ...NO_FAULTS,
            readFails: 0.05,
            lags: { balancesMs, ordersMs: 0, tradesMs: 0, movementsMs },
          };
          bench.faults = faults;
          // A person's trades after an opening are told from those before it by the venue's clock alone.
          const trades = !events.some(([, { type }]) => type === 'venue-clock' || type === 'both-clocks');
          for (const [afterMs, what] of events) {
            bench.run(afterMs);
            switch (what.type) {
              case 'deposit':
                venue.deposit(
                  'TRY',
                  BigInt(what.lira) * ONE,
                  bench.venueMs,
                  bench.venueMs + venue.clockSetMs - what.seenBeforeMs,
                );
                break;
              case 'trade':
                if (trades)
                  venue.fill(
                    venue.submit('by hand', limitOrder('buy', '1', '10'), bench.venueMs),
                    BigInt(what.lots) * (ONE / 10n),
                    bench.venueMs,
                  );
                break;
              case 'own-clock':
                bench.wallSetMs += what.byMs;
                break;
              case 'venue-clock':
                venue.clockSetMs += what.byMs;
                break;
              case 'both-clocks':
                bench.wallSetMs += what.byMs;
                venue.clockSetMs += what.byMs;
                break;
              case 'restart': {
                bench.silence();
                const { wallSetMs, monoMs, ledger } = bench;
                bench = new Bench({ ...options, ledger, monoMs: monoMs + 300 });
                bench.wallSetMs = wallSetMs;
                bench.faults = faults;
                break;
              }
            }
          }
          bench.run(2_000);
          bench.faults = { ...NO_FAULTS, lags: faults.lags };
          bench.runUntil(() => bench.state.everClean, 180_000, 'recovery', 200);
          // A pass that sees it, and as long as balances and lists may be apart.
          bench.run(45_000, 200);
          expect(bench.state.discrepancies).to.deep.equal([]);
          expect(sorted(expectedTotals(bench.state))).to.deep.equal(sorted(venue.totals));
          expect([...bench.everHeld.keys()].filter(key => key.startsWith('invariant'))).to.deep.equal([]);
        },
      ),
      { numRuns: Math.ceil(RUNS / 5) },
    );
  });
});
