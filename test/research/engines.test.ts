import { expect } from 'chai';
import type { Fill } from '#src/domain/order.js';
import type { Strategy, StrategyDefinition } from '#src/domain/strategy.js';
import { EVERY_TICK, runExact } from '#src/research/exact-run.js';
import { runFast } from '#src/research/fast-run.js';
import { ordersOf, type RunResult } from '#src/research/run-result.js';
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

/** Both engines' orders and fills, without what only names or dates them. */
const traded = (run: RunResult, shiftMs: number) => ({
  orders: ordersOf(run.records)
    .map(({ order, state }) => ({
      side: order.terms.side,
      price: order.terms.price,
      quantity: order.terms.quantity,
      status: state.status,
      filled: 'filled' in state ? state.filled : 0n,
      intendedAtMs: order.intendedAtMs - shiftMs,
    }))
    // Two reads that leave in one moment may answer in either order.
    .sort((left, right) => left.intendedAtMs - right.intendedAtMs || (left.side < right.side ? -1 : 1)),
  fills: run.fills.map(({ fill, liquidity }) => ({
    ...without(fill),
    executedAtMs: fill.executedAtMs - shiftMs,
    liquidity,
  })),
});
const without = ({ side, price, quantity, fee, tax, feeAsset, symbol }: Fill) => ({
  side,
  price,
  quantity,
  fee,
  tax,
  feeAsset,
  symbol,
});

const compareOn = (
  definition: StrategyDefinition,
  config: Readonly<Record<string, unknown>>,
  tape: MarketTape,
  recording: WorldRecording,
): RunResult => {
  const study = studyOf(sleepy(definition), tape, config);
  const { latency } = phasesOf(observeOnly(definition), recording);
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
    const study = studyOf(maker, market.tape);
    const { ledger } = runExact({ ...study, seed: 3, recording: market.recording });
    const paper = createWorld({
      seed: 3,
      symbols: study.settings.symbols,
      strategy: maker,
      settings: study.settings,
      recording: market.recording,
      latencies: EVERY_TICK,
    });
    paper.start();
    expect(paper.runToEnd()).to.equal(0);
    expect(ledger.equals(paper.ledger.bytes())).to.equal(true);
    expect(paper.exchangeAccount().trades.length).to.be.greaterThan(0);
  });
});
