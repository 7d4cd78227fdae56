/** The whole bot under virtual time, while the exchange is closed for maintenance. */
import { expect } from 'chai';
import { statusText } from '#src/cli/status.js';
import { statusOf } from '#src/domain/supervisor.js';
import { faultFrom } from '#src/exchange/faults.js';
import { bookDifferences } from '#src/simulation/books.js';
import { createWorld, type World } from '#src/simulation/world.js';
import { pulse } from '#src/strategies/pulse.js';

const MINUTE_MS = 60_000;

interface Story {
  readonly world: World;
  /** Events of the log, in order, with what they were about. */
  readonly told: string[];
  readonly count: (event: string) => number;
}

const started = (): Story => {
  const told: string[] = [];
  const world = createWorld({
    seed: 11,
    symbols: ['BTCTRY'],
    strategy: pulse,
    watcher: {
      onLog: (_actor, _level, event, fields) =>
        void told.push(`${event} ${fields.what ?? fields.key ?? ''}`.trim()),
    },
  });
  world.start();
  world.run(20_000);
  return {
    world,
    told,
    count: event => told.filter(line => line === event || line.startsWith(`${event} `)).length,
  };
};

const close = (world: World, value: string): void =>
  world.venue.admin({
    type: 'set-fault',
    fault: faultFrom({ name: 'maintenance', on: 'submit', value }),
  });

const open = (world: World): void => world.venue.admin({ type: 'clear-faults', name: 'maintenance' });

const stop = (world: World): void => {
  // A cancel that is under way at the stop is the next start's to record.
  const isCanceling = (): boolean =>
    world.ledger.snapshot().openOrders.some(({ state }) => state.status === 'cancel-in-flight');
  for (let waited = 0; waited < 10_000 && isCanceling(); waited += 20) world.run(20);
  world.process.signal('SIGTERM');
  expect(world.runToEnd(20_000)).to.equal(0);
  expect(bookDifferences(world.ledger.snapshot(), world.exchangeAccount())).to.deep.equal([]);
};

describe('maintenance of the exchange', function () {
  this.timeout(120_000);

  for (const [words, what] of [
    ['ORDER_INSERT_BLOCKED', 'BTCTRY'],
    ['SYSTEM_UNDER_MAINTENANCE', 'everything'],
  ] as const)
    it(`passes without a person: ${words}`, () => {
      const { world, told, count } = started();
      const before = world.exchangeAccount().orders.size;
      expect(before).to.be.greaterThan(3);
      close(world, words);
      world.run(20 * MINUTE_MS);
      // One that is not known to have been refused ends as rejected too, once its absence is proven.
      const tries = count('order-rejected');
      expect(tries, 'one order every two minutes').to.be.within(2, 11);
      expect(world.exchangeAccount().orders.size).to.be.within(before, before + 1);
      open(world);
      const reopened = world.exchangeAccount().orders.size;
      world.run(8 * MINUTE_MS);
      expect(world.exchangeAccount().orders.size - reopened).to.be.greaterThan(50);
      expect(told.filter(line => /^venue-(closed|open)/.test(line))).to.deep.equal([
        `venue-closed ${what}`,
        `venue-open ${what}`,
      ]);
      expect(told).to.not.include('hold-placed reject-storm');
      expect(world.process.state.control.state).to.equal('live');
      stop(world);
    });

  it('passes over a restart in its midst', () => {
    const { world, told, count } = started();
    close(world, 'ORDER_INSERT_BLOCKED');
    world.run(MINUTE_MS);
    world.process.kill();
    world.run(500);
    const before = count('order-rejected');
    world.start();
    expect(world.process.state.control.maySubmit, 'closed first').to.equal(false);
    world.run(10 * MINUTE_MS);
    expect(count('order-rejected') - before).to.be.within(1, 7);
    open(world);
    world.run(3 * MINUTE_MS);
    expect(count('venue-open')).to.equal(1);
    expect(told).to.not.include('hold-placed reject-storm');
    expect(world.process.state.control.state).to.equal('live');
    stop(world);
  });

  it('is shown by `btcbot status` while it lasts', () => {
    const { world } = started();
    const status = (): string => statusText(statusOf(world.process.state, world.time.now()));
    expect(status()).to.not.match(/closed by the exchange/);
    close(world, 'ORDER_INSERT_BLOCKED');
    world.run(5_000);
    expect(status()).to.match(/closed by the exchange +its words +since +state/);
    expect(status()).to.match(/BTCTRY +ORDER_INSERT_BLOCKED \(2010\) .* waiting/);
    stop(world);
  });

  it('hides no storm of other rejections', () => {
    const { world, told } = started();
    world.venue.admin({ type: 'set-fault', fault: faultFrom({ name: 'reject', on: 'submit' }) });
    world.run(MINUTE_MS);
    expect(told).to.include('hold-placed reject-storm');
    expect(world.process.state.control.maySubmit).to.equal(false);
  });
});
