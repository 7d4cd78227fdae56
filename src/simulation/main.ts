/**
 * `npm run simulate -- [--seed N] [--runs K] [--hours H] [--every S] [--threads T] [--strategy NAME] [--symbols A,B] [--live]
 * [--trace] [--log FILE [--publish]]`: K simulated runs of H hours with faults, from seed N on. With `--every 0` nothing
 * goes wrong. `--live` has the market and routine work as busy as live; otherwise the seed draws a quieter tempo. What is
 * printed follows from the seeds alone; progress and times go to stderr. `--log` keeps a line for each run and leaves out
 * what is in the file already; `--publish` makes docs/RELIABILITY.md's section from it and keeps it, packed, beside that.
 * SIGINT and SIGTERM end it after the runs under way, and a traced one at once. With `--recording FILE` one quiet run over a
 * recording. Ends with 1 when a promise was broken.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import type { StrategyDefinition } from '../domain/strategy.js';
import { withSection } from '../operations/reliability-document.js';
import { monoMs, wallMs } from '../runtime/clock.js';
import { findStrategy, STRATEGIES } from '../strategies/catalogue.js';
import { maker } from '../strategies/maker.js';
import { runBatch } from './batch.js';
import { bookDifferences } from './books.js';
import { daysSection, KEPT_LOG, SECTION } from './days-report.js';
import { loadRecording } from './load-recording.js';
import { missedPaths } from './rare-paths.js';
import { reckless } from './reckless.js';
import { appendRun, isCounted, keepRuns, type LoggedRun, loggedRun, readRuns } from './run-log.js';
import { hashOf, MIXED, replayCommand, runSeed, type SeedPlan, type SeedResult } from './seed-run.js';
import { START_MONO_MS } from './virtual-time.js';
import { createWorld } from './world.js';

/** A wrong argument; the message says what would do. */
class UsageError extends Error {
  override readonly name = 'UsageError';
}

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const progress = (line: string): void => {
  process.stderr.write(`${line}\n`);
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
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
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
      `${world.time.count} events, exit code ${exitCode}, ledger ${hashOf(world.ledger.bytes())}`,
  );
  progress(`${((monoMs() - startedMs) / 1_000).toFixed(1)} s`);
  return exitCode === 0 && differences.length === 0;
};

/** Writes the section about simulated days from every run of the log, and keeps the log beside it. */
const publish = (runs: readonly LoggedRun[]): void => {
  if (runs.length === 0) throw new UsageError('--publish needs runs in the log');
  const document = join(process.cwd(), 'docs', 'RELIABILITY.md');
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GB of memory, Node ${process.version}`;
  writeFileSync(
    document,
    withSection(readFileSync(document, 'utf8'), SECTION, daysSection(runs, machine), [BEFORE_DAYS, SECTION]),
  );
  keepRuns(join(process.cwd(), KEPT_LOG), runs);
};
/** The part of the document behind which the days stand. */
const BEFORE_DAYS = 'mutants';

/**
 * How the engine is set for the threads of a batch, which run much code, each part of it seldom, while every core has a
 * thread of its own already: plain machine code at once, young objects collected rarely and without helpers. A tenth of
 * the processor time; the results do not know of it.
 */
const ENGINE_FLAGS = [
  '--always-sparkplug',
  '--no-parallel-scavenge',
  '--min-semi-space-size=16',
  '--max-semi-space-size=32',
];

/** What the log has already, of the plans that are wanted. @throws UsageError when it has runs of another kind */
const alreadyRun = (path: string | undefined, plans: readonly SeedPlan[]): ReadonlyMap<number, LoggedRun> => {
  const runs = path === undefined ? new Map<number, LoggedRun>() : readRuns(path);
  for (const plan of plans) {
    const run = runs.get(plan.seed);
    if (run !== undefined && run.replay !== replayCommand(plan))
      throw new UsageError(
        `--log ${path} holds another run of seed ${plan.seed} (${run.replay}); name another file`,
      );
  }
  return runs;
};

const runPlans = async (
  plans: readonly SeedPlan[],
  options: {
    readonly threads: number;
    readonly trace: boolean;
    readonly log: string | undefined;
    readonly publish: boolean;
  },
): Promise<boolean> => {
  const commit = commitHere();
  const startedMs = monoMs();
  const known = alreadyRun(options.log, plans);
  const left = plans.filter(({ seed }) => !known.has(seed));
  if (left.length < plans.length)
    progress(`${plans.length - left.length} runs are in ${options.log} already`);
  const coverage = new Map<string, number>();
  let ended = 0;
  let told = 0;
  let broken = 0;
  let stopped = false;
  const stop = (): void => {
    stopped = true;
    progress('ends after the runs under way');
  };
  const onEnded = (plan: SeedPlan, result: SeedResult): void => {
    ended += 1;
    if (options.log !== undefined)
      appendRun(options.log, loggedRun(plan, result, commit, new Date(wallMs()).toISOString()));
    if (left.length > 1)
      progress(
        `${ended} of ${left.length}: seed ${plan.seed} ${result.figures === null ? 'BROKEN' : 'kept every promise'}, ${(result.cpuMs / 1_000).toFixed(1)} s of processor time`,
      );
  };
  const onNext = (plan: SeedPlan, { figures, lines, coverage: reached }: SeedResult): void => {
    told += 1;
    for (const line of lines) print(line);
    for (const [name, count] of reached) coverage.set(name, (coverage.get(name) ?? 0) + count);
    if (figures !== null) return;
    broken += 1;
    print(`the same again: ${replayCommand(plan)}   # at commit ${commit}`);
  };
  if (options.trace)
    for (const plan of left) {
      const result = runSeed(plan, print);
      onEnded(plan, result);
      onNext(plan, result);
    }
  else if (left.length > 0) {
    // A traced run keeps this thread to itself: no word of a signal would come through, so it ends at once there.
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
    for (const flag of ENGINE_FLAGS) setFlagsFromString(flag);
    await runBatch(left, options.threads, { onEnded, onNext, isOver: () => stopped });
  }
  for (const [name, count] of [...coverage].sort(([one], [other]) => (one < other ? -1 : 1)))
    if (isCounted(name)) print(`${String(count).padStart(7)} ${name}`);
  const hours = left.slice(0, told).reduce((sum, plan) => sum + plan.hours, 0);
  const least = hours >= LONG_BATCH_HOURS ? LEAST_VISITS : 1;
  const missed = told === 0 || plans[0]?.everyS === 0 ? [] : missedPaths(coverage, least);
  if (missed.length > 0)
    print(`${least === 1 ? 'never came to' : `came fewer than ${least} times to`}: ${missed.join('; ')}`);
  print(`commit ${commit}: ${told} runs, ${hours} simulated hours, ${broken} broke a promise`);
  const { user, system } = process.cpuUsage();
  progress(
    `${((monoMs() - startedMs) / 1_000).toFixed(0)} s, ${((user + system) / 1e6).toFixed(0)} s of processor time`,
  );
  if (options.publish && options.log !== undefined) publish([...readRuns(options.log).values()]);
  return broken === 0;
};

const main = async (): Promise<boolean> => {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      runs: { type: 'string', default: '1' },
      hours: { type: 'string', default: '1' },
      every: { type: 'string', default: '20' },
      threads: { type: 'string', default: String(availableParallelism()) },
      strategy: { type: 'string', default: MIXED },
      symbols: { type: 'string', default: 'BTCTRY' },
      recording: { type: 'string' },
      live: { type: 'boolean', default: false },
      trace: { type: 'boolean', default: false },
      log: { type: 'string' },
      publish: { type: 'boolean', default: false },
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
  if (values.publish && values.log === undefined)
    throw new UsageError('--publish is made from a log: name its file with --log');
  const everyS = numberOf('every', values.every, 0);
  const hours = numberOf('hours', values.hours, 0);
  const symbols = values.symbols.split(',');
  const plans = Array.from(
    // With a log, none is enough to publish what is in it.
    { length: numberOf('runs', values.runs, values.log === undefined ? 1 : 0) },
    (_, run): SeedPlan => ({
      seed: seed + run,
      strategy: values.strategy,
      symbols,
      hours,
      everyS,
      ...(values.live ? { tempo: 'live' } : {}),
    }),
  );
  return runPlans(plans, {
    threads: numberOf('threads', values.threads, 1),
    trace: values.trace,
    log: values.log,
    publish: values.publish,
  });
};

// A reader that has seen enough (`| head`) breaks no promise.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  const words = error instanceof Error ? error.message : String(error);
  process.stderr.write(`simulate: ${words}\n`);
  process.exitCode = 2;
}
