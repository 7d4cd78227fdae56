/**
 * A backtest that is the whole bot: every brain, the adapter's translation, the real ledger and the embedded exchange
 * under virtual time (src/simulation), over a recording in which nothing goes wrong. What a paper run of the same
 * recording does, this does, to the last byte of the ledger.
 */
import type { AppendRequest, LedgerRecord } from '../domain/ledger-records.js';
import type { Amount } from '../domain/money.js';
import { bestAskTicks, bestBidTicks, isTwoSided } from '../domain/order-book.js';
import { TICK_MS } from '../runtime/limits.js';
import type { WorldLatencies } from '../simulation/latencies.js';
import type { WorldRecording } from '../simulation/world.js';
import { createWorld } from '../simulation/world.js';
import { FastMarket } from './fast-market.js';
import type { RunOptions } from './fast-run.js';
import {
  createPriceSampler,
  type PriceSeries,
  type ResultFill,
  type RunResult,
  runStrategyOf,
  strategyStop,
} from './run-result.js';
import { instrumentOf, type MarketTape, TAPE_KINDS } from './tape.js';

export interface ExactRunOptions extends Omit<RunOptions, 'fillModel' | 'tryRates'> {
  readonly seed: number;
  readonly recording: WorldRecording;
  /** The same recording as a tape: prices for the report. */
  readonly tape: MarketTape;
  readonly latencies?: Partial<WorldLatencies>;
  readonly sampleMs?: number;
}

/** An exact run, and the database it left. */
export interface ExactRun {
  readonly result: RunResult;
  /** The whole SQLite file. */
  readonly ledger: Buffer;
}

/** Timers go off when they are due, as in a bot that has its machine to itself. */
export const EVERY_TICK = { idleTickMs: TICK_MS } as const;
const DEFAULT_SAMPLE_MS = 1_000;

/** @throws Error when the bot ends with another exit code than 0 */
export const runExact = (options: ExactRunOptions): ExactRun => {
  const { tape, recording, settings } = options;
  const records: LedgerRecord[] = [];
  const stops: string[] = [];
  const rates = new Map<string, Amount>();
  const [first] = options.members;
  if (first === undefined) throw new Error('there is no strategy to run');
  const world = createWorld({
    seed: options.seed,
    symbols: settings.symbols,
    strategy: first.definition,
    members: options.members,
    settings,
    recording,
    feeLevel: options.feeLevel,
    latencies: { ...options.latencies, ...EVERY_TICK },
    watcher: {
      onMessage: (_from, to, message) => {
        const request = message as { readonly type?: string };
        if (to === 'ledger' && request.type === 'append') records.push(...(request as AppendRequest).records);
        if (to === 'execution' && request.type === 'account-updated')
          for (const [asset, rate] of (message as { readonly tryRates: ReadonlyMap<string, Amount> })
            .tryRates)
            rates.set(asset, rate);
      },
      onLog: (_actor, _level, event, fields) => {
        if (event === 'strategy-stopped') stops.push(strategyStop(fields, options.members.length));
        if (event === 'hold-placed' && fields.cause !== 'starting')
          stops.push(`hold ${String(fields.key)}: ${String(fields.detail)}`);
      },
    },
  });
  world.start();
  const exitCode = world.runToEnd();
  if (exitCode !== 0) throw new Error(`the bot ended with exit code ${exitCode}`);
  const liquidity = new Map(
    world.exchangeAccount().trades.map(trade => [trade.tradeId.toString(), trade.liquidity]),
  );
  const fills: ResultFill[] = records.flatMap(record =>
    record.type === 'fill'
      ? [{ fill: record.fill, liquidity: liquidity.get(record.fill.tradeId) ?? 'taker' }]
      : [],
  );
  const opened = records.find(record => record.type === 'balances' && record.opening);
  return {
    ledger: world.ledger.bytes(),
    result: {
      engine: 'exact',
      fillModel: 'queue',
      strategies: options.members.map(runStrategyOf),
      instruments: tape.listings.map(instrumentOf),
      feeLevel: options.feeLevel,
      fromMs: tape.atMs[0] ?? 0,
      toMs: tape.atMs[tape.length - 1] ?? 0,
      events: tape.length,
      opening: new Map(
        opened?.type === 'balances'
          ? opened.balances.map(({ asset, total }) => [asset, total])
          : options.opening,
      ),
      tryRates: rates,
      records,
      fills,
      prices: pricesOf(tape, options.sampleMs ?? DEFAULT_SAMPLE_MS),
      stops,
    },
  };
};

/** The middles of each market as its frames state them. */
const pricesOf = (tape: MarketTape, everyMs: number): readonly PriceSeries[] => {
  const markets = tape.listings.map(listing => {
    const instrument = instrumentOf(listing);
    return {
      market: new FastMarket<null>(instrument, 'queue', () => {}),
      sampler: createPriceSampler(instrument, everyMs),
    };
  });
  for (let event = 0; event < tape.length; event++) {
    const each = markets[tape.symbols[event] ?? 0];
    if (each === undefined || (tape.kinds[event] ?? 0) > TAPE_KINDS.difference) continue;
    each.market.event(tape, event);
    const { book } = each.market;
    if (isTwoSided(book))
      each.sampler.sample(tape.atMs[event] ?? 0, (bestBidTicks(book) + bestAskTicks(book)) / 2);
  }
  return markets.map(({ sampler }) => sampler.finish());
};
