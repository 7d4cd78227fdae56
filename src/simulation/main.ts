/**
 * `npm run simulate -- [--seed N] [--runs K] [--hours H] [--every S] [--strategy NAME] [--symbols A,B] [--live] [--trace]`:
 * K simulated runs of H hours with faults, from seed N on. With `--every 0` nothing goes wrong. `--live` has the market
 * and routine work as busy as live; otherwise the seed draws a quieter tempo. With
 * `--recording FILE` one quiet run over a recording. Ends with 1 when a promise was broken.
 */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Piscina } from 'piscina';
import type { StrategyDefinition } from '../domain/strategy.js';
import { monoMs } from '../runtime/clock.js';
import { findStrategy, STRATEGIES } from '../strategies/catalogue.js';
import { maker } from '../strategies/maker.js';
import { bookDifferences } from './books.js';
import { loadRecording } from './load-recording.js';
import { missedPaths, RARE_PATHS } from './rare-paths.js';
import { reckless } from './reckless.js';
import {
  hashOf,
  MIXED,
  replayCommand,
  runSeed,
  type SeedPlan,
  type SeedResult,
  speedOf,
} from './seed-run.js';
import { START_MONO_MS } from './virtual-time.js';
import { createWorld } from './world.js';

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

/** From so many simulated hours on, each rare path must be reached more than by chance. */
const LONG_BATCH_HOURS = 20;
const LEAST_VISITS = 5;

/** What a failure must be replayed at. */
const commitHere = (): string => {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
};

/** Runs seeds on every core; each thread takes the next seed, so that nothing waits in the pool's queue. */
const runSeeds = async (
  plans: readonly SeedPlan[],
  finished: (plan: SeedPlan, result: SeedResult) => void,
): Promise<void> => {
  const threads = Math.min(plans.length, availableParallelism());
  const pool = new Piscina<SeedPlan, SeedResult>({
    filename: new URL('./seed-run.js', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    maxQueue: threads,
    atomics: 'disabled',
  });
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let plan = plans[next++]; plan !== undefined; plan = plans[next++])
      finished(plan, await pool.run(plan));
  };
  try {
    await Promise.all(Array.from({ length: threads }, lane));
  } finally {
    await pool.destroy();
  }
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
      strategy: { type: 'string', default: MIXED },
      symbols: { type: 'string', default: 'BTCTRY' },
      recording: { type: 'string' },
      live: { type: 'boolean', default: false },
      trace: { type: 'boolean', default: false },
    },
  });
  const seed = numberOf('seed', values.seed, 0);
  if (values.recording !== undefined)
    return runRecording(
      values.recording,
      seed,
      strategyNamed(values.strategy === MIXED ? maker.name : values.strategy),
    );
  if (values.strategy !== MIXED && values.strategy !== reckless.name) strategyNamed(values.strategy);
  const runs = numberOf('runs', values.runs, 1);
  const everyS = numberOf('every', values.every, 0);
  const hours = numberOf('hours', values.hours, 0);
  const symbols = values.symbols.split(',');
  const plans = Array.from(
    { length: runs },
    (_, run): SeedPlan => ({
      seed: seed + run,
      strategy: values.strategy,
      symbols,
      hours,
      everyS,
      ...(values.live ? { tempo: 'live' } : {}),
    }),
  );
  const coverage = new Map<string, number>();
  let broken = 0;
  const finished = (plan: SeedPlan, { kept, lines, coverage: reached }: SeedResult): void => {
    for (const line of lines) print(line);
    for (const [name, count] of reached) coverage.set(name, (coverage.get(name) ?? 0) + count);
    if (kept) return;
    broken += 1;
    print(`the same again: ${replayCommand(plan)}   # at commit ${commit}`);
  };
  const commit = commitHere();
  const startedMs = monoMs();
  if (values.trace) for (const plan of plans) finished(plan, runSeed(plan, print));
  else await runSeeds(plans, finished);
  for (const [name, count] of [...coverage].sort(([left], [right]) => (left < right ? -1 : 1)))
    if (name.startsWith('fault: ') || name in RARE_PATHS) print(`${String(count).padStart(7)} ${name}`);
  const least = runs * hours >= LONG_BATCH_HOURS ? LEAST_VISITS : 1;
  const missed = everyS === 0 ? [] : missedPaths(coverage, least);
  if (missed.length > 0)
    print(`${least === 1 ? 'never came to' : `came fewer than ${least} times to`}: ${missed.join('; ')}`);
  print(
    `commit ${commit}: ${runs} runs of ${hours} h from seed ${seed} in ${((monoMs() - startedMs) / 1_000).toFixed(0)} s, ` +
      `${(process.cpuUsage().user / 1e6).toFixed(0)} s of processor time`,
  );
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
