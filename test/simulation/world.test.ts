import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { formatDecimal } from '#src/domain/money.js';
import { bookDifferences } from '#src/simulation/books.js';
import { loadRecording } from '#src/simulation/load-recording.js';
import { createWorld, type World, type WorldRecording } from '#src/simulation/world.js';
import { maker } from '#src/strategies/maker.js';
import { observe } from '#src/strategies/observe.js';
import { pulse } from '#src/strategies/pulse.js';

const RECORDING = join(process.env.BTCBOT_SHARED ?? '../shared', 'data/btcusdt-2024-08-08.jsonl.gz');

/** The first three minutes; `npm run simulate -- --recording FILE` plays all of it. */
const ENTRIES = 8_000;

/** Runs a generated market for a while, then stops the bot in good order. */
const generated = (seed: number, strategy = maker, forMs = 30_000): World => {
  const world = createWorld({ seed, symbols: ['BTCTRY'], strategy });
  world.start();
  world.run(forMs);
  world.process.signal('SIGTERM');
  expect(world.runToEnd(20_000), 'exit code').to.equal(0);
  return world;
};

const recorded = (recording: WorldRecording, seed: number): World => {
  const world = createWorld({
    seed,
    symbols: recording.listings.map(({ symbol }) => symbol),
    strategy: maker,
    recording,
  });
  world.start();
  expect(world.runToEnd(), 'exit code').to.equal(0);
  return world;
};

/** Every order at the exchange has one earlier intent of ours, and none appears twice. */
const expectIntents = (world: World): void => {
  const labels = [...world.exchangeAccount().orders.values()].map(order => order.clientOrderId);
  expect(new Set(labels).size).to.equal(labels.length);
  expect(labels.every(label => label.startsWith('bb-'))).to.equal(true);
};

describe('a simulated world', () => {
  it('quotes within seconds, fills within a minute, and agrees with the exchange to the last digit', () => {
    const world = createWorld({ seed: 1, symbols: ['BTCTRY'], strategy: maker });
    world.start();
    world.run(10_000);
    expect(world.process.state.control.state).to.equal('live');
    // Between a cancel and the next quote nothing rests for a moment.
    for (let looks = 0; looks < 20 && world.exchangeAccount().open.size === 0; looks++) world.run(250);
    expect(world.exchangeAccount().open.size).to.be.greaterThan(0);
    world.run(55_000);
    expect(world.exchangeAccount().trades.length).to.be.greaterThan(3);
    world.process.signal('SIGTERM');
    expect(world.runToEnd(20_000)).to.equal(0);
    expect(bookDifferences(world.ledger.snapshot(), world.exchangeAccount())).to.deep.equal([]);
    expectIntents(world);
  });

  it('is the same to the last byte of its ledger when made alike, and another with another seed', () => {
    const first = generated(7);
    const second = generated(7);
    const other = generated(8);
    expect(first.exchangeAccount().trades.length).to.be.greaterThan(0);
    expect(first.ledger.bytes().equals(second.ledger.bytes())).to.equal(true);
    expect(first.ledger.bytes().equals(other.ledger.bytes())).to.equal(false);
  });

  it('runs the drill: orders come and go at a steady beat', () => {
    const world = generated(3, pulse, 20_000);
    const { orders } = world.exchangeAccount();
    expect(orders.size).to.be.within(15, 21);
    expect([...orders.values()].some(({ side }) => side === 'buy')).to.equal(true);
    expect([...orders.values()].some(({ side }) => side === 'sell')).to.equal(true);
    expect(bookDifferences(world.ledger.snapshot(), world.exchangeAccount())).to.deep.equal([]);
  });

  it('observes without an order', () => {
    expect(generated(3, observe, 5_000).exchangeAccount().orders.size).to.equal(0);
  });

  it('goes on where it was after the process was killed in the midst of it', () => {
    const world = createWorld({ seed: 5, symbols: ['BTCTRY'], strategy: maker });
    world.start();
    for (let kill = 0; kill < 5; kill++) {
      world.run(6_000 + kill * 37);
      world.process.kill();
      world.run(500);
      world.start();
    }
    world.run(10_000);
    // A cancel that is under way at the stop is the next start's to record.
    const isCanceling = (): boolean =>
      world.ledger.snapshot().openOrders.some(({ state }) => state.status === 'cancel-in-flight');
    for (let waited = 0; waited < 10_000 && isCanceling(); waited += 20) world.run(20);
    world.process.signal('SIGTERM');
    expect(world.runToEnd(20_000)).to.equal(0);
    expect(world.exchangeAccount().trades.length).to.be.greaterThan(3);
    expect(bookDifferences(world.ledger.snapshot(), world.exchangeAccount())).to.deep.equal([]);
    expectIntents(world);
  });

  it('refuses wrong settings with all that is wrong', () => {
    expect(() =>
      createWorld({ seed: 1, symbols: ['BTCTRY'], strategy: maker, env: { MAX_OPEN_ORDERS: 'many' } }),
    ).to.throw('MAX_OPEN_ORDERS');
  });
});

describe('a simulated world over the shared recording', () => {
  let recording: WorldRecording;
  before(async function () {
    if (!existsSync(RECORDING)) {
      console.log(`      skipped: ${RECORDING} is not there; the same is proven on a generated market above`);
      this.skip();
    }
    const whole = await loadRecording(RECORDING);
    recording = { ...whole, entries: whole.entries.slice(0, ENTRIES) };
  });

  it("trades on it to its end, twice the same to the last byte, with the exchange's own numbers", function () {
    this.timeout(120_000);
    const first = recorded(recording, 1);
    const second = recorded(recording, 1);
    expect(first.exchangeAccount().trades.length).to.be.greaterThan(10);
    expect(bookDifferences(first.ledger.snapshot(), first.exchangeAccount())).to.deep.equal([]);
    expectIntents(first);
    expect(first.ledger.bytes().equals(second.ledger.bytes())).to.equal(true);
  });
});

describe('the comparison of books', () => {
  it('names every difference', () => {
    const world = generated(2, maker, 15_000);
    const account = world.exchangeAccount();
    const ledger = world.ledger.snapshot();
    const [fill, ...others] = ledger.fills;
    if (fill === undefined) throw new Error('there was no fill to compare');
    const differing = (fills: typeof ledger.fills) => bookDifferences({ ...ledger, fills }, account);
    expect(differing(others)[0]).to.equal(`trade ${fill.tradeId} is not in the ledger`);
    expect(differing([{ ...fill, fee: fill.fee + 1n }, ...others])[0]).to.equal(
      `trade ${fill.tradeId}: fee ${formatDecimal(fill.fee + 1n)}, and ${formatDecimal(fill.fee)} there`,
    );
    expect(differing([...ledger.fills, fill])).to.include('a trade is booked twice');
    expect(differing([...ledger.fills, { ...fill, tradeId: '1' }])).to.include(
      'trade 1 is in the ledger only',
    );
    // A trade that came before the opening is in its balances, unless it is one of ours.
    const openedLast = { ...ledger, openingAtMs: fill.executedAtMs + 1, fills: others };
    const first = account.trades.find(({ tradeId }) => tradeId.toString() === fill.tradeId);
    if (first === undefined) throw new Error('the exchange does not know the fill');
    const byHand = { ...first, order: { ...first.order, clientOrderId: 'by hand' } };
    const trades = account.trades.map(trade => (trade === first ? byHand : trade));
    const notThere = `trade ${fill.tradeId} is not in the ledger`;
    expect(bookDifferences(openedLast, account)[0]).to.equal(notThere);
    expect(bookDifferences(openedLast, { ...account, trades })[0]).to.not.equal(notThere);
    expect(
      bookDifferences({ ...openedLast, openingAtMs: fill.executedAtMs }, { ...account, trades })[0],
    ).to.equal(notThere);
    expect(
      bookDifferences({ ...ledger, openOrders: [] }, account).every(words =>
        words.endsWith('is not open in the ledger'),
      ),
    ).to.equal(true);
  });
});
