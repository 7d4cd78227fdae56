/** One seed's run as a pure computation: the task of the pool that runs many seeds, and the whole of a run of one. */
import { createHash } from 'node:crypto';
import type { StrategyDefinition } from '../domain/strategy.js';
import { randomStream } from '../exchange/random.js';
import { monoMs } from '../runtime/clock.js';
import { findStrategy } from '../strategies/catalogue.js';
import { maker } from '../strategies/maker.js';
import { POOR_ENV, RECKLESS_ENV, reckless } from './reckless.js';
import { SimulationFailure, type SimulationReport, simulate } from './simulation.js';
import { drawTempo, LIVE_TEMPO } from './tempo.js';

/** Stream of the world's seed from which the tempo is drawn. */
const TEMPO_STREAM = 22;
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

/** What came of it: lines for people, and how often each path was reached. */
export interface SeedResult {
  readonly kept: boolean;
  readonly lines: readonly string[];
  readonly coverage: ReadonlyMap<string, number>;
}

/** What runs a seed again, with every line of its trace. */
export const replayCommand = ({ seed, strategy, symbols, hours, everyS, tempo }: SeedPlan): string =>
  `npm run simulate -- --seed ${seed} --hours ${hours} --every ${everyS} --strategy ${strategy} ` +
  `--symbols ${symbols.join(',')}${tempo === 'live' ? ' --live' : ''} --trace`;

export const hashOf = (ledger: Buffer): string => createHash('sha256').update(ledger).digest('hex');

export const speedOf = (events: number, tookMs: number): string =>
  `${events} events in ${(tookMs / 1_000).toFixed(1)} s, ${Math.round(events / (tookMs / 1_000))} a second`;

/**
 * Runs one seed to its end.
 * @param onTrace hears every line as it happens; the lines of a failure are then not repeated in the result
 */
export const runSeed = (plan: SeedPlan, onTrace?: (line: string) => void): SeedResult => {
  const strategy = strategyFor(plan);
  if (strategy === undefined) throw new Error(`there is no strategy ${plan.strategy}`);
  const startedMs = monoMs();
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
      tempo: plan.tempo === 'live' ? LIVE_TEMPO : drawTempo(randomStream(plan.seed, TEMPO_STREAM)),
      faults:
        plan.everyS === 0 ? null : { meanIntervalMs: plan.everyS * 1_000, meanDurationMs: MEAN_DURATION_MS },
      ...(onTrace === undefined ? {} : { onTrace, traceLevel: 'debug' }),
    });
  } catch (error) {
    if (!(error instanceof SimulationFailure)) throw error;
    const trace = onTrace === undefined ? error.trace.slice(-SHOWN_LINES) : [];
    return {
      kept: false,
      lines: [...trace, `seed ${plan.seed} BROKEN: ${error.message}`],
      coverage: new Map(),
    };
  }
  return {
    kept: true,
    lines: [
      `seed ${plan.seed} kept every promise: ${report.orders} orders, ${report.fills} fills, ` +
        `${speedOf(report.events, monoMs() - startedMs)}, ledger ${hashOf(report.ledger).slice(0, 16)}` +
        (report.latched.length === 0 ? '' : `, latched for the operator: ${report.latched.join('; ')}`),
    ],
    coverage: new Map(report.coverage),
  };
};

/** The strategies of a mixed batch: mostly one that trades well, sometimes one that must be stopped. */
const strategyFor = ({ strategy, seed }: SeedPlan): StrategyDefinition | undefined => {
  if (strategy === reckless.name || (strategy === MIXED && seed % 4 === 3)) return reckless;
  return findStrategy(strategy === MIXED ? maker.name : strategy);
};

/** What the pool calls. */
export default (plan: SeedPlan): SeedResult => runSeed(plan);
