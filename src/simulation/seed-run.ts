/** One seed's run as a pure computation: the task of the pool that runs many seeds, and the whole of a run of one. */
import { createHash } from 'node:crypto';
import type { StrategyDefinition } from '../domain/strategy.js';
import { randomStream } from '../exchange/random.js';
import { findStrategy } from '../strategies/catalogue.js';
import { maker } from '../strategies/maker.js';
import { drawNetwork } from './latencies.js';
import { POOR_ENV, RECKLESS_ENV, reckless } from './reckless.js';
import { SimulationFailure, type SimulationReport, simulate } from './simulation.js';
import { drawTempo, LIVE_TEMPO } from './tempo.js';

/** Streams of the world's seed from which the tempo and the network are drawn. */
const TEMPO_STREAM = 22;
const NETWORK_STREAM = 24;
const HOUR_MS = 3_600_000;
const MEAN_DURATION_MS = 8_000;
/** Trace lines of a failure that are kept without a trace. */
const SHOWN_LINES = 40;

/** Every other seed of a mixed batch that is reckless has little money. */
const POOR_EVERY = 8;
const POOR_REST = 3;

/** As a strategy's name: one or another, by the seed. */
export const MIXED = 'mixed';

/** What to run; plain data, since it crosses into a thread. */
export interface SeedPlan {
  readonly seed: number;
  /** Name of a built-in strategy. */
  readonly strategy: string;
  readonly symbols: readonly string[];
  readonly hours: number;
  /** `live` for the full rate of market and routine work; drawn from the seed when absent. */
  readonly tempo?: 'live';
  /** Mean seconds between faults; 0 for none. */
  readonly everyS: number;
}

/** What a run that kept every promise did. */
export interface SeedFigures {
  readonly orders: number;
  readonly fills: number;
  readonly events: number;
  /** Digest of the ledger's bytes. */
  readonly ledger: string;
  /** Holds that waited for the operator at the end. */
  readonly latched: readonly string[];
}

/** What came of it: lines for people, the same wherever and however fast it runs, and how often each path was reached. */
export interface SeedResult {
  readonly lines: readonly string[];
  readonly coverage: ReadonlyMap<string, number>;
  /** Null when a promise was broken. */
  readonly figures: SeedFigures | null;
  /** Processor time of its thread, ms. */
  readonly cpuMs: number;
}

/** What runs a seed again, with every line of its trace. */
export const replayCommand = ({ seed, strategy, symbols, hours, everyS, tempo }: SeedPlan): string =>
  `npm run simulate -- --seed ${seed} --hours ${hours} --every ${everyS} --strategy ${strategy} ` +
  `--symbols ${symbols.join(',')}${tempo === 'live' ? ' --live' : ''} --trace`;

export const hashOf = (ledger: Buffer): string => createHash('sha256').update(ledger).digest('hex');

/**
 * Runs one seed to its end.
 * @param onTrace hears every line as it happens; the lines of a failure are then not repeated in the result
 */
export const runSeed = (plan: SeedPlan, onTrace?: (line: string) => void): SeedResult => {
  const strategy = strategyFor(plan);
  if (strategy === undefined) throw new Error(`there is no strategy ${plan.strategy}`);
  const before = process.threadCpuUsage();
  const cpuMs = (): number => {
    const { user, system } = process.threadCpuUsage(before);
    return (user + system) / 1_000;
  };
  let report: SimulationReport;
  try {
    report = simulate({
      seed: plan.seed,
      strategy,
      symbols: plan.symbols,
      ...(strategy === reckless
        ? {
            strategyConfig: { seed: plan.seed },
            env: plan.seed % POOR_EVERY === POOR_REST ? POOR_ENV : RECKLESS_ENV,
          }
        : {}),
      durationMs: plan.hours * HOUR_MS,
      tempo:
        plan.tempo === 'live' ? LIVE_TEMPO : drawTempo(randomStream(plan.seed, TEMPO_STREAM), plan.hours),
      network: drawNetwork(randomStream(plan.seed, NETWORK_STREAM)),
      faults:
        plan.everyS === 0 ? null : { meanIntervalMs: plan.everyS * 1_000, meanDurationMs: MEAN_DURATION_MS },
      ...(onTrace === undefined ? {} : { onTrace, traceLevel: 'debug' }),
    });
  } catch (error) {
    if (!(error instanceof SimulationFailure)) throw error;
    const trace = onTrace === undefined ? error.trace.slice(-SHOWN_LINES) : [];
    return {
      lines: [...trace, `seed ${plan.seed} BROKEN: ${error.message}`],
      coverage: new Map(),
      figures: null,
      cpuMs: cpuMs(),
    };
  }
  const { orders, fills, events, latched } = report;
  const ledger = hashOf(report.ledger);
  return {
    lines: [
      `seed ${plan.seed} kept every promise: ${orders} orders, ${fills} fills, ${events} events, ledger ${ledger.slice(0, 16)}` +
        (latched.length === 0 ? '' : `, latched for the operator: ${latched.join('; ')}`),
    ],
    coverage: new Map(report.coverage),
    figures: { orders, fills, events, ledger, latched },
    cpuMs: cpuMs(),
  };
};

/** The strategies of a mixed batch: mostly one that trades well, sometimes one that must be stopped. */
const strategyFor = ({ strategy, seed }: SeedPlan): StrategyDefinition | undefined => {
  if (strategy === reckless.name || (strategy === MIXED && seed % 4 === 3)) return reckless;
  return findStrategy(strategy === MIXED ? maker.name : strategy);
};

/** What the pool calls. */
export default (plan: SeedPlan): SeedResult => runSeed(plan);
