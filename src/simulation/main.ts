/**
 * `npm run simulate -- [--seed N] [--runs K] [--hours H] [--every S] [--strategy NAME] [--symbols A,B] [--trace]`:
 * K simulated runs of H hours with faults, from seed N on. With `--every 0` nothing goes wrong. With
 * `--recording FILE` one quiet run over a recording. Ends with 1 when a promise was broken.
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import type { StrategyDefinition } from '../domain/strategy.js';
import { monoMs } from '../runtime/clock.js';
import { findStrategy, STRATEGIES } from '../strategies/catalogue.js';
import { bookDifferences } from './books.js';
import { loadRecording } from './load-recording.js';
import { missedPaths, RARE_PATHS } from './rare-paths.js';
import { SimulationFailure, type SimulationReport, simulate } from './simulation.js';
import { START_MONO_MS } from './virtual-time.js';
import { createWorld } from './world.js';

const HOUR_MS = 3_600_000;
const MEAN_DURATION_MS = 8_000;
/** Trace lines of a failure that are printed without `--trace`. */
const SHOWN_LINES = 40;

/** A wrong argument; the message says what would do. */
class UsageError extends Error {
  override readonly name = 'UsageError';
}

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const numberOf = (name: string, text: string, least: number): number => {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < least)
    throw new UsageError(`--${name} must be a number of ${least} or more, not ${JSON.stringify(text)}`);
  return value;
};

const strategyNamed = (name: string): StrategyDefinition => {
  const found = findStrategy(name);
  if (found !== undefined) return found;
  throw new UsageError(
    `--strategy must be one of ${STRATEGIES.map(strategy => strategy.name).join(', ')}, not ${name}`,
  );
};

const hashOf = (ledger: Buffer): string => createHash('sha256').update(ledger).digest('hex');

const speedOf = (events: number, tookMs: number): string =>
  `${events} events in ${(tookMs / 1_000).toFixed(1)} s, ${Math.round(events / (tookMs / 1_000))} a second`;

const runSeed = (
  seed: number,
  options: {
    readonly strategy: StrategyDefinition;
    readonly symbols: readonly string[];
    readonly hours: number;
    readonly everyS: number;
    readonly trace: boolean;
  },
  coverage: Map<string, number>,
): boolean => {
  const startedMs = monoMs();
  let report: SimulationReport;
  try {
    report = simulate({
      seed,
      strategy: options.strategy,
      symbols: options.symbols,
      durationMs: options.hours * HOUR_MS,
      faults:
        options.everyS === 0
          ? null
          : { meanIntervalMs: options.everyS * 1_000, meanDurationMs: MEAN_DURATION_MS },
      ...(options.trace ? { onTrace: print, traceLevel: 'debug' } : {}),
    });
  } catch (error) {
    if (!(error instanceof SimulationFailure)) throw error;
    if (!options.trace) for (const line of error.trace.slice(-SHOWN_LINES)) print(line);
    print(`seed ${seed} BROKEN: ${error.message}`);
    return false;
  }
  for (const [name, count] of report.coverage) coverage.set(name, (coverage.get(name) ?? 0) + count);
  print(
    `seed ${seed} kept every promise: ${report.orders} orders, ${report.fills} fills, ` +
      `${speedOf(report.events, monoMs() - startedMs)}, ledger ${hashOf(report.ledger).slice(0, 16)}` +
      (report.latched.length === 0 ? '' : `, latched for the operator: ${report.latched.join('; ')}`),
  );
  return true;
};

const runRecording = async (path: string, seed: number, strategy: StrategyDefinition): Promise<boolean> => {
  const recording = await loadRecording(path);
  const startedMs = monoMs();
  const symbols = recording.listings.map(({ symbol }) => symbol);
  const world = createWorld({ seed, symbols, strategy, recording });
  world.start();
  const exitCode = world.runToEnd();
  const differences = bookDifferences(world.ledger.snapshot(), world.exchangeAccount());
  for (const difference of differences) print(`difference: ${difference}`);
  print(
    `${symbols.join(', ')}: ${((world.time.now().monoMs - START_MONO_MS) / 60_000).toFixed(1)} min of market, ` +
      `${world.exchangeAccount().orders.size} orders, ${world.exchangeAccount().trades.length} fills, ` +
      `${speedOf(world.time.count, monoMs() - startedMs)}, exit code ${exitCode}, ledger ${hashOf(world.ledger.bytes())}`,
  );
  return exitCode === 0 && differences.length === 0;
};

const main = async (): Promise<boolean> => {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      runs: { type: 'string', default: '1' },
      hours: { type: 'string', default: '1' },
      every: { type: 'string', default: '20' },
      strategy: { type: 'string', default: 'maker' },
      symbols: { type: 'string', default: 'BTCTRY' },
      recording: { type: 'string' },
      trace: { type: 'boolean', default: false },
    },
  });
  const seed = numberOf('seed', values.seed, 0);
  const strategy = strategyNamed(values.strategy);
  if (values.recording !== undefined) return runRecording(values.recording, seed, strategy);
  const runs = numberOf('runs', values.runs, 1);
  const options = {
    strategy,
    symbols: values.symbols.split(','),
    hours: numberOf('hours', values.hours, 0),
    everyS: numberOf('every', values.every, 0),
    trace: values.trace,
  };
  const coverage = new Map<string, number>();
  let broken = 0;
  for (let run = 0; run < runs; run++) if (!runSeed(seed + run, options, coverage)) broken += 1;
  for (const [name, count] of [...coverage].sort(([left], [right]) => (left < right ? -1 : 1)))
    if (name.startsWith('fault: ') || name in RARE_PATHS) print(`${String(count).padStart(7)} ${name}`);
  const missed = options.everyS === 0 ? [] : missedPaths(coverage);
  if (missed.length > 0) print(`never came to: ${missed.join('; ')}`);
  if (broken > 0) print(`${broken} of ${runs} runs broke a promise`);
  return broken === 0;
};

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  const words = error instanceof Error ? error.message : String(error);
  process.stderr.write(`simulate: ${words}\n`);
  process.exitCode = 2;
}
