import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import type { Fill } from '#src/domain/order.js';
import { expectedTotals } from '#src/domain/three-way-proof.js';
import { Bench, label, limitOrder, newOrder, openedLedger, START_WALL_MS, TinyLedger } from './bench.js';
import { TinyVenue } from './tiny-venue.js';

const OPENING = { TRY: '100000', BTC: '2' };

/** An order that worked when the last run ended. */
const leaveWorking = (venue: TinyVenue, ledger: TinyLedger, sequence: number, quantity: string): string => {
  const atMs = START_WALL_MS - 120_000;
  const terms = limitOrder('buy', quantity);
  const venueOrderId = venue.submit(label(sequence), terms, atMs);
  ledger.orders.set(
    label(sequence),
    newOrder(label(sequence), terms, { status: 'working', venueOrderId, filled: 0n }, atMs),
  );
  return venueOrderId;
};

const recovered = (bench: Bench): Bench => {
  bench.runUntil(() => bench.state.everClean, 60_000, 'recovery');
  return bench;
};

describe('reconciliation at start', () => {
  it('finds the fills that happened while nobody was there, and the end of their order', () => {
    const venue = new TinyVenue(OPENING);
    const ledger = openedLedger(venue);
    const venueOrderId = leaveWorking(venue, ledger, 1, '0.5');
    venue.fill(venueOrderId, parseDecimal('0.2'), START_WALL_MS - 50_000);
    venue.fill(venueOrderId, parseDecimal('0.3'), START_WALL_MS - 40_000);
    const bench = recovered(new Bench({ venue, ledger }));
    expect([...ledger.fills.keys()]).to.deep.equal(venue.trades.map(trade => trade.tradeId));
    expect(bench.messages('fill-booked').at(-1)?.orderFilled).to.equal(parseDecimal('0.5'));
    expect(bench.messages('order-reported').at(-1)?.report.status).to.equal('closed');
    expect([...expectedTotals(bench.state)].sort()).to.deep.equal([...venue.totals].sort());
    expect(bench.cleared).to.deep.equal(['starting']);
  });

  it('finds the end of an order of which execution speaks while the lists are on their way', () => {
    for (let spokenMs = 0; spokenMs <= 400; spokenMs += 10) {
      const venue = new TinyVenue(OPENING);
      const ledger = openedLedger(venue);
      venue.cancel(leaveWorking(venue, ledger, 1, '0.5'), START_WALL_MS - 50_000);
      const bench = new Bench({ venue, ledger });
      for (const order of ledger.orders.values()) bench.at(spokenMs, () => bench.track(order));
      recovered(bench);
      const said = bench.messages('order-reported').map(({ report }) => report.status);
      expect(said, `spoken of after ${spokenMs} ms`).to.include('canceled');
    }
  });

  it('finds the end of an order that was filled in part before, however its reads and words cross', () => {
    for (let seed = 1; seed <= 60; seed++)
      for (const answerMs of [1, 20, 60]) {
        const venue = new TinyVenue(OPENING);
        const ledger = openedLedger(venue);
        const venueOrderId = leaveWorking(venue, ledger, 1, '0.5');
        venue.fill(venueOrderId, parseDecimal('0.2'), START_WALL_MS - 50_000);
        venue.cancel(venueOrderId, START_WALL_MS - 40_000);
        const [order] = ledger.orders.values();
        if (order === undefined) throw new Error('no order was left');
        let state = seed;
        const bench = new Bench({
          venue,
          ledger,
          random: () => {
            state = (state * 48_271) % 2_147_483_647;
            return state / 2_147_483_647;
          },
        });
        bench.onTold = message => {
          if (message.type !== 'fill-booked') return;
          const filled = message.orderFilled;
          bench.at(answerMs, () =>
            bench.track({ ...order, state: { status: 'working', venueOrderId, filled } }),
          );
        };
        recovered(bench);
        const said = bench.messages('order-reported').map(({ report }) => report.status);
        expect(said, `seed ${seed}, answered after ${answerMs} ms`).to.include('canceled');
      }
  });

  it('finds an order that left just before the crash, by its label', () => {
    const venue = new TinyVenue(OPENING);
    const ledger = openedLedger(venue);
    const terms = limitOrder('sell', '0.1');
    ledger.orders.set(
      label(1),
      newOrder(label(1), terms, { status: 'intended' }, START_WALL_MS - 5_000, null),
    );
    const venueOrderId = venue.submit(label(1), terms, START_WALL_MS - 4_900);
    const bench = recovered(new Bench({ venue, ledger }));
    expect(bench.messages('order-reported').map(message => message.report.venueOrderId)).to.include(
      venueOrderId,
    );
  });

  it('reads back to the oldest open order when it is older than the last record', () => {
    const venue = new TinyVenue(OPENING);
    const ledger = openedLedger(venue);
    const venueOrderId = leaveWorking(venue, ledger, 1, '0.5');
    venue.fill(venueOrderId, parseDecimal('0.2'), START_WALL_MS - 110_000);
    ledger.lastRecordAtMs = START_WALL_MS;
    recovered(new Bench({ venue, ledger }));
    expect(ledger.fills.size).to.equal(1);
  });

  it('looks further and further back for a fill that everybody has missed', () => {
    const venue = new TinyVenue(OPENING);
    const ledger = openedLedger(venue);
    const ended = venue.submit(label(9), limitOrder('buy', '0.5'), START_WALL_MS - 3_500_000);
    venue.fill(ended, parseDecimal('0.5'), START_WALL_MS - 3_400_000);
    ledger.lastRecordAtMs = START_WALL_MS;
    const bench = recovered(new Bench({ venue, ledger }));
    expect([...ledger.fills.keys()]).to.deep.equal(venue.trades.map(trade => trade.tradeId));
    expect([...bench.everHeld.keys()]).to.deep.equal([]);
  });

  it('follows an order on a symbol that is not allowed any more to its end', () => {
    const venue = new TinyVenue(OPENING);
    const ledger = openedLedger(venue);
    const terms = { ...limitOrder('buy', '1'), symbol: 'ETHTRY' };
    const venueOrderId = venue.submit(label(1), terms, START_WALL_MS - 100_000);
    ledger.orders.set(
      label(1),
      newOrder(label(1), terms, { status: 'working', venueOrderId, filled: 0n }, START_WALL_MS - 100_000),
    );
    venue.cancel(venueOrderId, START_WALL_MS - 50_000);
    const bench = recovered(new Bench({ venue, ledger }));
    expect(bench.messages('order-reported').at(-1)?.report.status).to.equal('canceled');
  });

  it('recovers again when it is killed while it recovers, at every moment', () => {
    for (let lifeMs = 20; lifeMs <= 400; lifeMs += 20) {
      const venue = new TinyVenue(OPENING);
      const ledger = new TinyLedger();
      for (let run = 0, monoMs = 1_000; run < 4; run++) {
        const bench = new Bench({ venue, ledger, monoMs });
        bench.run(lifeMs, 20);
        bench.silence();
        monoMs = bench.monoMs + 500;
      }
      const bench = recovered(new Bench({ venue, ledger, monoMs: 10_000 }));
      expect(ledger.opening?.balances.length, `killed after ${lifeMs} ms`).to.equal(2);
      expect([...bench.everHeld.keys()]).to.deep.equal([]);
    }
  });

  it('says nothing of recovery while the venue does not answer, and holds for the lag', () => {
    const venue = new TinyVenue(OPENING);
    const bench = new Bench({ venue, ledger: openedLedger(venue) });
    bench.failWith = () => ({ type: 'unavailable', cause: 'timeout' });
    bench.run(70_000);
    expect(bench.cleared).to.not.include('starting');
    expect(bench.messages('reconciled')).to.deep.equal([]);
    expect([...bench.holds.keys()]).to.include('reconcile-lag');
    bench.failWith = () => null;
    recovered(bench);
    expect([...bench.holds.keys()]).to.not.include('reconcile-lag');
  });

  it('asks nothing that is signed without a key, and never recovers', () => {
    const bench = new Bench({ venue: new TinyVenue(OPENING), config: { signed: false } });
    bench.run(120_000);
    expect([...new Set(bench.reads.map(read => read.call.type))]).to.deep.equal(['server-time']);
    expect(bench.cleared).to.deep.equal([]);
    expect(bench.status.phase).to.equal('observing');
  });
});

describe('an invariant broken at start', () => {
  /** What is wrong, and a part of the reason that must be shown. */
  const broken: readonly {
    readonly name: string;
    readonly reason: RegExp;
    readonly breakIt: (venue: TinyVenue, ledger: TinyLedger) => void;
  }[] = [
    {
      name: 'a trade that the ledger holds twice with different numbers',
      reason: /the ledger holds trade \d+ twice/,
      breakIt: (venue, ledger) => {
        const fill = venue.fill(
          leaveWorking(venue, ledger, 1, '0.5'),
          parseDecimal('0.2'),
          START_WALL_MS - 90_000,
        );
        ledger.fills.set(fill.tradeId, fill);
        ledger.fills.set('a second time', { ...fill, quantity: parseDecimal('0.1') });
      },
    },
    {
      name: 'fills beyond their order',
      reason: /more fills of order bb-testdb-1-pulse-1 than its quantity/,
      breakIt: (venue, ledger) => {
        const venueOrderId = leaveWorking(venue, ledger, 1, '0.5');
        const fill = venue.fill(venueOrderId, parseDecimal('0.5'), START_WALL_MS - 90_000);
        ledger.fills.set(fill.tradeId, { ...fill, quantity: parseDecimal('0.6') });
      },
    },
    {
      name: 'a negative balance at the venue',
      reason: /the venue shows a negative balance of USDT/,
      breakIt: venue => venue.totals.set('USDT', parseDecimal('-1')),
    },
    {
      name: 'a negative balance in the books',
      reason: /the ledger expects a negative balance of BTC/,
      breakIt: (venue, ledger) => {
        const fill: Fill = {
          tradeId: '77',
          venueOrderId: '30000000077',
          clientOrderId: label(7),
          symbol: 'BTCTRY',
          side: 'sell',
          price: parseDecimal('1'),
          quantity: parseDecimal('5'),
          fee: 0n,
          tax: 0n,
          feeAsset: 'TRY',
          executedAtMs: START_WALL_MS - 100_000,
        };
        ledger.fills.set(fill.tradeId, fill);
        void venue;
      },
    },
    {
      name: 'a balance that nothing explains',
      reason: /the venue's TRY less the ledger's is -0\.0000000000000001/,
      breakIt: venue => venue.totals.set('TRY', parseDecimal('99999.9999999999999999')),
    },
    {
      name: 'a trade that the venue shows with other numbers than the ledger has',
      reason: /trade \d+ was shown with different numbers/,
      breakIt: (venue, ledger) => {
        const fill = venue.fill(
          leaveWorking(venue, ledger, 1, '0.5'),
          parseDecimal('0.2'),
          START_WALL_MS - 90_000,
        );
        ledger.fills.set(fill.tradeId, { ...fill, fee: fill.fee + 1n });
      },
    },
    {
      name: 'a trade of the venue beyond its order',
      reason: /would fill 0\.7 of order bb-testdb-1-pulse-1, which is for 0\.5/,
      breakIt: (venue, ledger) => {
        const venueOrderId = leaveWorking(venue, ledger, 1, '0.5');
        venue.trades.push({
          ...venue.fill(venueOrderId, parseDecimal('0.2'), START_WALL_MS - 90_000),
          tradeId: '99',
          quantity: parseDecimal('0.5'),
        });
      },
    },
    {
      name: 'an order of ours that is open at the venue and not in the ledger',
      reason: /with our label bb-testdb-1-pulse-18 is open at the venue, but not for the ledger/,
      breakIt: venue => void venue.submit(label(44), limitOrder('buy', '0.1'), START_WALL_MS - 90_000),
    },
    {
      name: 'two venue orders under one label',
      reason: /more than one order under the label bb-testdb-1-pulse-1/,
      breakIt: (venue, ledger) => {
        leaveWorking(venue, ledger, 1, '0.5');
        venue.submit(label(1), limitOrder('buy', '0.5'), START_WALL_MS - 90_000);
      },
    },
  ];

  for (const { name, reason, breakIt } of broken)
    it(`holds everything and says why: ${name}`, () => {
      const venue = new TinyVenue(OPENING);
      const ledger = openedLedger(venue);
      breakIt(venue, ledger);
      const bench = new Bench({ venue, ledger });
      bench.runUntil(() => bench.holds.has('invariant:account'), 90_000, 'the hold');
      expect(bench.holds.get('invariant:account')).to.match(reason);
      expect(bench.cleared).to.not.include('starting');
      expect(bench.messages('reconciled').every(message => !message.clean)).to.equal(true);
      expect(
        bench.logs.some(line => line.event === 'discrepancy' && reason.test(String(line.fields.discrepancy))),
      ).to.equal(true);
    });

  it('does not hold when nothing is broken', () => {
    const venue = new TinyVenue(OPENING);
    const ledger = openedLedger(venue);
    leaveWorking(venue, ledger, 1, '0.5');
    const bench = recovered(new Bench({ venue, ledger }));
    bench.run(120_000);
    expect([...bench.everHeld.keys()]).to.deep.equal(['ws-reconnect:private-feed']);
  });
});

describe('the opening of a ledger', () => {
  it('takes the balances of an account at rest', () => {
    const bench = new Bench({ venue: new TinyVenue(OPENING) });
    bench.runUntil(() => bench.state.phase === 'running', 5_000, 'recovery');
    expect(bench.ledger.opening?.balances.map(({ asset, total }) => [asset, total])).to.deep.equal([
      ['TRY', parseDecimal('100000')],
      ['BTC', parseDecimal('2')],
    ]);
    expect(bench.cleared).to.include('starting');
    expect(bench.messages('reconciled').map(message => message.clean)).to.deep.equal([true]);
    expect([...bench.holds]).to.deep.equal([]);
  });

  it('waits while somebody trades, and then counts each trade on one side of the opening', () => {
    const venue = new TinyVenue(OPENING);
    const bench = new Bench({ venue });
    bench.give({ type: 'private-state', feed: 'live', reason: 'logged in' });
    bench.faults = { ...bench.faults, lags: { balancesMs: 800, ordersMs: 0, tradesMs: 800 } };
    const human = venue.submit('advanced', limitOrder('buy', '1'), bench.venueMs);
    for (let at = 0; at < 6_000; at += 700)
      bench.at(at, () => void venue.fill(human, parseDecimal('0.01'), bench.venueMs));
    bench.run(6_000);
    expect(bench.ledger.opening).to.equal(null);
    expect(bench.status.openingObjection).to.be.a('string');
    bench.runUntil(() => bench.ledger.opening !== null, 60_000, 'the opening');
    const after = venue.fill(human, parseDecimal('0.01'), bench.venueMs);
    recovered(bench);
    bench.run(20_000);
    expect([...bench.ledger.fills.keys()]).to.deep.equal([after.tradeId]);
    expect(bench.state.discrepancies).to.deep.equal([]);
    expect([...expectedTotals(bench.state)].sort()).to.deep.equal([...venue.totals].sort());
    expect([...bench.holds.keys()]).to.deep.equal([`foreign-order:${human}`]);
  });

  it('waits until the balances must show the last trade', () => {
    const venue = new TinyVenue(OPENING);
    const human = venue.submit('advanced', limitOrder('buy', '1'), START_WALL_MS - 60_000);
    venue.fill(human, parseDecimal('1'), START_WALL_MS - 1_000);
    const bench = new Bench({ venue });
    bench.faults = { ...bench.faults, lags: { balancesMs: 16_000, ordersMs: 0, tradesMs: 0 } };
    bench.run(20_000);
    expect(bench.ledger.opening).to.equal(null);
    recovered(bench);
    bench.run(20_000);
    expect(bench.ledger.fills.size).to.equal(0);
    expect([...bench.everHeld.keys()].filter(key => key.startsWith('invariant'))).to.deep.equal([]);
  });

  it('is not done on a picture that two looks do not share', () => {
    const venue = new TinyVenue(OPENING);
    const bench = new Bench({ venue });
    for (let at = 0; at < 5_000; at += 400) bench.at(at, () => venue.deposit('TRY', 1n, bench.venueMs));
    bench.run(4_900);
    expect(bench.ledger.opening).to.equal(null);
    bench.runUntil(() => bench.ledger.opening !== null, 120_000, 'the opening');
    recovered(bench);
    expect(bench.ledger.opening?.balances[0]?.total).to.equal(venue.totals.get('TRY'));
  });

  it('waits until it is on disk', () => {
    const bench = new Bench({ venue: new TinyVenue(OPENING) });
    bench.failAppends = true;
    bench.run(8_000);
    expect(bench.state.phase).to.equal('opening');
    expect([...bench.holds.keys()]).to.deep.equal(['ledger:reconciliation']);
    bench.failAppends = false;
    recovered(bench);
    expect(bench.ledger.opening).to.not.equal(null);
    expect([...bench.holds.keys()]).to.deep.equal([]);
  });
});
