import { expect } from 'chai';
import { parseClientOrderId } from '#src/domain/client-order-id.js';
import type { Fill } from '#src/domain/order.js';
import type { Strategy, StrategyDefinition } from '#src/domain/strategy.js';
import { EVERY_TICK, runExact } from '#src/research/exact-run.js';
import { runFast } from '#src/research/fast-run.js';
import { denialsByStrategy, ordersOf, type RunResult } from '#src/research/run-result.js';
import type { MarketTape } from '#src/research/tape.js';
import { tapeUntil } from '#src/research/tape.js';
import { readTape } from '#src/research/tape-file.js';
import { loadRecording } from '#src/simulation/load-recording.js';
import { START_MONO_MS } from '#src/simulation/virtual-time.js';
import { createWorld, type WorldRecording } from '#src/simulation/world.js';
import { maker } from '#src/strategies/maker.js';
import { pulse } from '#src/strategies/pulse.js';
import {
  type GeneratedMarket,
  generatedMarket,
  phasesOf,
  portfolioOf,
  STEADY_LATENCIES,
  sharedRecording,
  studyOf,
} from './studies.js';

/** Sleeps through the start of a world, whose first seconds are not the market's doing. */
const SLEEP_MS = 6_000;
const sleepy = (definition: StrategyDefinition): StrategyDefinition => ({
  ...definition,
  create: parameters => {
    const inner = definition.create(parameters);
    const awake = (monoMs: number): boolean => monoMs >= START_MONO_MS + SLEEP_MS;
    const outer: Strategy = {
      onBook: (view, book) => (awake(view.now.monoMs) ? (inner.onBook?.(view, book) ?? []) : []),
      onTimer: view => (awake(view.now.monoMs) ? (inner.onTimer?.(view) ?? []) : []),
      onOrder: (view, event) => inner.onOrder?.(view, event) ?? [],
    };
    return outer;
  },
});

/** Both engines' orders, refusals and fills, without what only names or dates them. */
const traded = (run: RunResult, shiftMs: number) => ({
  orders: ordersOf(run.records)
    .map(({ order, state }) => ({
      strategy: order.strategy,
      label: parseClientOrderId(order.clientOrderId)?.strategy,
      symbol: order.terms.symbol,
      side: order.terms.side,
      price: order.terms.price,
      quantity: order.terms.quantity,
      status: state.status,
      filled: 'filled' in state ? state.filled : 0n,
      intendedAtMs: order.intendedAtMs - shiftMs,
    }))
    // Two reads that leave in one moment may answer in either order.
    .sort((left, right) => left.intendedAtMs - right.intendedAtMs || (keyOf(left) < keyOf(right) ? -1 : 1)),
  denials: [...denialsByStrategy(run.records)],
  fills: run.fills.map(({ fill, liquidity }) => ({
    ...without(fill),
    executedAtMs: fill.executedAtMs - shiftMs,
    liquidity,
  })),
});
const keyOf = ({ strategy, symbol, side }: Readonly<Record<'strategy' | 'symbol' | 'side', string>>) =>
  `${strategy} ${symbol} ${side}`;
const without = ({ side, price, quantity, fee, tax, feeAsset, symbol }: Fill) => ({
  side,
  price,
  quantity,
  fee,
  tax,
  feeAsset,
  symbol,
});

/** Who had fills, and where. */
const filledBy = (run: RunResult): readonly string[] => {
  const strategies = new Map(ordersOf(run.records).map(({ order }) => [order.clientOrderId, order.strategy]));
  return [
    ...new Set(run.fills.map(({ fill }) => `${strategies.get(fill.clientOrderId ?? '')} ${fill.symbol}`)),
  ].sort();
};

const compareOn = (
  definition: StrategyDefinition,
  config: Readonly<Record<string, unknown>>,
  tape: MarketTape,
  recording: WorldRecording,
): RunResult => {
  return compared(studyOf(definition, tape, config), recording);
};

/** Both engines over the same study, their orders and fills compared; the fast one's run. */
const compared = (given: Awaited<ReturnType<typeof portfolioOf>>, recording: WorldRecording): RunResult => {
  const study = {
    ...given,
    members: given.members.map(each => ({ ...each, definition: sleepy(each.definition) })),
  };
  const { latency } = phasesOf(observeOnly(given.members[0]?.definition ?? maker), recording);
  const exact = runExact({ ...study, seed: 1, recording, latencies: STEADY_LATENCIES });
  const fast = runFast({ ...study, fillModel: 'queue', tryRates: exact.result.tryRates, latency });
  expect(traded(fast, 0)).to.deep.equal(traded(exact.result, latency.leadMs));
  expect(exact.result.stops).to.deep.equal([]);
  expect(fast.stops).to.deep.equal([]);
  return fast;
};

/** The same parameters and name, so that the world starts alike; it does nothing. */
const observeOnly = (definition: StrategyDefinition): StrategyDefinition => ({
  ...definition,
  create: () => ({}),
});

describe('the engines of a backtest', function () {
  this.timeout(120_000);
  let market: GeneratedMarket;
  before(async () => {
    market = await generatedMarket(30);
  });
  after(() => market.remove());

  it('give the same orders and fills to the last digit with the maker', () => {
    const run = compareOn(maker, { minHalfSpreadBps: 1 }, market.tape, market.recording);
    expect(ordersOf(run.records).length).to.be.greaterThan(20);
    expect(run.fills.length).to.be.greaterThan(3);
  });

  it('give the same orders and fills with orders that cross the market', () => {
    const run = compareOn(
      pulse,
      { intervalMs: 1_000, offsetBps: -2, notional: '300' },
      market.tape,
      market.recording,
    );
    expect(run.fills.some(({ liquidity }) => liquidity === 'taker')).to.equal(true);
  });

  const PAIR = [
    { name: 'quotes', strategy: 'maker', config: { minHalfSpreadBps: 1 } },
    { name: 'beat', strategy: 'pulse', config: { intervalMs: 1_100, offsetBps: -2, notional: '300' } },
  ];
  const AMPLE = {
    MAX_OPEN_ORDERS: '20',
    MAX_OPEN_ORDERS_PER_SYMBOL: '10',
    MAX_ORDERS_PER_MINUTE: '1000',
    PAPER_BALANCES: 'TRY=100000,USDT=100000,BTC=2,ETH=2',
  };

  it('give the same orders and fills with two strategies on one symbol', async () => {
    const run = compared(await portfolioOf(market.tape, PAIR, AMPLE), market.recording);
    expect(filledBy(run)).to.deep.equal(['beat BTCUSDT', 'quotes BTCUSDT']);
  });

  it('give the same where one strategy is refused what the other has used up', async () => {
    const limits = { ...AMPLE, MAX_ORDERS_PER_MINUTE: '12' };
    const run = compared(await portfolioOf(market.tape, PAIR, limits), market.recording);
    expect([...denialsByStrategy(run.records).keys()].sort()).to.deep.equal(['beat', 'quotes']);
  });

  it('give the same with two strategies on two symbols, whose frames come in the same moments', async () => {
    const two = await generatedMarket(20, 11, ['BTCUSDT', 'ETHUSDT']);
    try {
      const [quotes, beat] = PAIR;
      const list = [
        { ...quotes, symbols: ['ETHUSDT'] },
        { ...beat, symbols: ['BTCUSDT', 'ETHUSDT'] },
      ];
      const run = compared(await portfolioOf(two.tape, list, AMPLE), two.recording);
      expect(filledBy(run)).to.deep.equal(['beat BTCUSDT', 'beat ETHUSDT', 'quotes ETHUSDT']);
    } finally {
      two.remove();
    }
  });

  it('give the same on the shared recording', async function () {
    const path = sharedRecording();
    if (path === null) {
      // The generated market has proven the same rule.
      this.skip();
    }
    const recording = await loadRecording(path);
    const entries = recording.entries.slice(0, 2_500);
    const tape = tapeUntil(await readTape(path), entries.at(-1)?.atMs ?? 0);
    const run = compareOn(maker, {}, tape, { ...recording, entries });
    expect(ordersOf(run.records).length).to.be.greaterThan(5);
  });

  it('leave a ledger that is the paper run of the same recording, byte for byte', () => {
    expectPaperLedger(studyOf(maker, market.tape), market.recording);
  });

  it('leave it with several strategies too, as the settings name them', async () => {
    const short = await generatedMarket(8, 3);
    try {
      expectPaperLedger(await portfolioOf(short.tape, PAIR, AMPLE), short.recording);
    } finally {
      short.remove();
    }
  });
});

/** An exact run leaves the bytes that a paper run on the same settings does. */
const expectPaperLedger = (
  study: Awaited<ReturnType<typeof portfolioOf>>,
  recording: WorldRecording,
): void => {
  const { ledger } = runExact({ ...study, seed: 3, recording });
  const paper = createWorld({
    seed: 3,
    symbols: study.settings.symbols,
    strategy: maker,
    moreStrategies: [pulse],
    settings: study.settings,
    recording,
    latencies: EVERY_TICK,
  });
  paper.start();
  expect(paper.runToEnd()).to.equal(0);
  expect(ledger.equals(paper.ledger.bytes())).to.equal(true);
  expect(paper.exchangeAccount().trades.length).to.be.greaterThan(0);
};
