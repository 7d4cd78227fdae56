/** Each built-in strategy in the whole bot under virtual time, on the embedded exchange's generated market. */
import { expect } from 'chai';
import { notional, parseDecimal } from '#src/domain/money.js';
import { isTerminal } from '#src/domain/order.js';
import type { StrategyDefinition } from '#src/domain/strategy.js';
import { bookDifferences } from '#src/simulation/books.js';
import { LIVE_TEMPO, type Tempo } from '#src/simulation/tempo.js';
import { createWorld, type World } from '#src/simulation/world.js';
import { dca } from '#src/strategies/dca.js';
import { grid } from '#src/strategies/grid.js';
import { maker } from '#src/strategies/maker.js';
import { rebalance } from '#src/strategies/rebalance.js';
import { trend } from '#src/strategies/trend.js';

const LIMITS = {
  MAX_OPEN_ORDERS: '10',
  MAX_OPEN_ORDERS_PER_SYMBOL: '4',
  MAX_NOTIONAL_PER_ORDER_TRY: '100000',
  MAX_POSITION_NOTIONAL_TRY: '1000000',
  MAX_GROSS_EXPOSURE_TRY: '2000000',
};

const run = (
  strategy: StrategyDefinition,
  strategyConfig: Record<string, unknown>,
  forMs: number,
  over: {
    symbols?: readonly string[];
    env?: Record<string, string>;
    more?: readonly StrategyDefinition[];
    tempo?: Tempo;
  } = {},
): World => {
  const world = createWorld({
    seed: 3,
    symbols: over.symbols ?? ['BTCTRY'],
    strategy,
    strategyConfig,
    env: { ...LIMITS, ...over.env },
    moreStrategies: over.more ?? [],
    tempo: over.tempo ?? LIVE_TEMPO,
  });
  world.start();
  world.run(forMs);
  return world;
};

/** What the strategies bought and sold, by tag. */
const trades = (world: World): Record<string, number> => {
  const tags: Record<string, number> = {};
  const { fills } = world.ledger.snapshot();
  for (const { side } of fills) tags[side] = (tags[side] ?? 0) + 1;
  return tags;
};

const stop = (world: World): void => {
  world.process.signal('SIGTERM');
  expect(world.runToEnd(20_000)).to.equal(0);
  expect(bookDifferences(world.ledger.snapshot(), world.exchangeAccount())).to.deep.equal([]);
};

describe('a built-in strategy on the paper exchange', function () {
  this.timeout(120_000);

  it('grid buys and sells its rungs', () => {
    const world = run(grid, { spacingBps: 3, levels: 8 }, 25_000);
    const { buy = 0, sell = 0 } = trades(world);
    expect(buy, 'buys').to.be.greaterThan(0);
    expect(sell, 'sells').to.be.greaterThan(0);
    stop(world);
  });

  it('dca buys at its times', () => {
    const world = run(dca, { everyMs: 10_000, patienceMs: 2_000 }, 25_000);
    const { buy = 0, sell = 0 } = trades(world);
    expect(buy).to.be.within(2, 20);
    expect(sell).to.equal(0);
    stop(world);
  });

  it('trend warms up on its own candles, then enters and leaves', () => {
    const world = run(
      trend,
      { interval: '1m', fast: 2, slow: 3, atrPeriod: 2, channel: 2, stopAtr: 0.5 },
      17 * 60_000,
      { tempo: { ...LIVE_TEMPO, marketPace: 0.1, slowIntervalMs: 3_000, markIntervalMs: 20_000 } },
    );
    const { buy = 0, sell = 0 } = trades(world);
    expect(buy, 'buys').to.be.greaterThan(0);
    expect(sell, 'sells').to.be.greaterThan(0);
    stop(world);
  });

  it('rebalance brings two symbols to their weights', () => {
    const world = run(
      rebalance,
      {
        weights: 'BTCTRY=0.3,ETHTRY=0.1',
        maxOrder: '90000',
        everyMs: 2_000,
        patienceMs: 5_000,
        cross: true,
        bandBps: 300,
      },
      40_000,
      { symbols: ['BTCTRY', 'ETHTRY'], env: { PAPER_BALANCES: 'TRY=500000,BTC=0,ETH=0' } },
    );
    const { buy = 0 } = trades(world);
    expect(buy, 'buys').to.be.greaterThan(3);
    expect(new Set(world.ledger.snapshot().fills.map(({ symbol }) => symbol)).size).to.equal(2);
    stop(world);
  });

  it('several of them trade side by side, each in its own name, and find their positions after a kill', () => {
    const list = [
      { name: 'quotes', strategy: 'maker', symbols: ['BTCTRY'] },
      { name: 'ladder', strategy: 'grid', symbols: ['BTCTRY'], config: { spacingBps: 3 } },
      { name: 'once', strategy: 'dca', symbols: ['ETHTRY'], config: { everyMs: 86_400_000, patienceMs: 0 } },
      { name: 'saver', strategy: 'dca', symbols: ['ETHTRY'], config: { everyMs: 15_000, patienceMs: 2_000 } },
    ];
    const world = run(maker, {}, 25_000, {
      symbols: ['BTCTRY', 'ETHTRY'],
      env: { STRATEGIES: JSON.stringify(list) },
      more: [grid, dca],
    });
    const filled = (): Set<string> =>
      new Set(
        world.ledger.snapshot().fills.map(({ clientOrderId }) => (clientOrderId ?? '').split('-')[3] ?? ''),
      );
    expect([...filled()].sort()).to.deep.equal(['ladder', 'once', 'quotes', 'saver']);
    const before = world.ledger.snapshot();
    world.process.kill();
    world.start();
    world.run(20_000);
    const after = world.ledger.snapshot();
    expect(after.fills.length).to.be.greaterThan(before.fills.length);
    const once = after.fills.filter(({ clientOrderId }) => clientOrderId?.split('-')[3] === 'once');
    const spent = once.reduce((sum, { price, quantity }) => sum + notional(price, quantity), 0n);
    expect(spent <= parseDecimal('251'), 'what it saved has kept it from buying twice').to.equal(true);
    expect(after.openOrders.every(({ state }) => !isTerminal(state))).to.equal(true);
    stop(world);
  });
});
