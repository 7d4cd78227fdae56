/**
 * A log of simulated runs, one line of JSON for each: what a batch of days is resumed from, and what its report is made
 * of. A line that was cut by a kill is left out, and its seed runs again.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { RARE_PATHS } from './rare-paths.js';
import { replayCommand, type SeedPlan, type SeedResult } from './seed-run.js';

/** One line of the log. */
export interface LoggedRun {
  readonly seed: number;
  /** What runs it again. */
  readonly replay: string;
  readonly hours: number;
  readonly commit: string;
  /** Null when every promise was kept. */
  readonly violation: string | null;
  readonly orders: number;
  readonly fills: number;
  readonly events: number;
  /** Digest of the ledger's bytes. */
  readonly ledger: string;
  /** Holds that waited for the operator at the end. */
  readonly latched: number;
  /** Processor time, seconds. */
  readonly cpuS: number;
  /** ISO 8601. */
  readonly endedAt: string;
  /** What earlier runs of this seed broke, before something was mended; absent when none did. */
  readonly brokeBefore?: readonly { readonly commit: string; readonly violation: string }[];
  /** Visits of rare paths, and faults. */
  readonly paths: Readonly<Record<string, number>>;
}

/** Whether a path is one that is counted for people. */
export const isCounted = (name: string): boolean =>
  name.startsWith('fault: ') || Object.hasOwn(RARE_PATHS, name);

/** @param endedAt ISO 8601 */
export const loggedRun = (
  plan: SeedPlan,
  result: SeedResult,
  commit: string,
  endedAt: string,
): LoggedRun => ({
  seed: plan.seed,
  replay: replayCommand(plan),
  hours: plan.hours,
  commit,
  violation: result.figures === null ? (result.lines.at(-1) ?? 'a promise was broken') : null,
  orders: result.figures?.orders ?? 0,
  fills: result.figures?.fills ?? 0,
  events: result.figures?.events ?? 0,
  ledger: result.figures?.ledger ?? '',
  latched: result.figures?.latched.length ?? 0,
  cpuS: Math.round(result.cpuMs / 10) / 100,
  endedAt,
  paths: Object.fromEntries([...result.coverage].filter(([name]) => isCounted(name))),
});

/** On a line of its own, also behind one that was cut. */
export const appendRun = (path: string, run: LoggedRun): void =>
  appendFileSync(path, `\n${JSON.stringify(run)}\n`);

/**
 * The runs of a log by seed, the newest of each, with what the earlier ones broke; empty when there is no such file.
 */
export const readRuns = (path: string): ReadonlyMap<number, LoggedRun> => {
  const runs = new Map<number, LoggedRun>();
  if (!existsSync(path)) return runs;
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const run = runIn(line);
    if (run !== null) runs.set(run.seed, after(runs.get(run.seed), run));
  }
  return runs;
};

const after = (earlier: LoggedRun | undefined, run: LoggedRun): LoggedRun => {
  if (earlier === undefined || earlier.violation === null) return run;
  const { commit, violation } = earlier;
  const [firstLine = ''] = violation.split('\n', 1);
  const brokeBefore = [...(earlier.brokeBefore ?? []), { commit, violation: firstLine }];
  // Paths stand last: a line that was cut is no JSON then.
  const { paths, ...rest } = run;
  return { ...rest, brokeBefore, paths };
};

/** Writes the runs where they are kept, packed, in the order of their seeds: the same runs give the same bytes. */
export const keepRuns = (path: string, runs: readonly LoggedRun[]): void => {
  const lines = [...runs]
    .sort((left, right) => left.seed - right.seed)
    .map(run => `${JSON.stringify(run)}\n`);
  writeFileSync(path, gzipSync(lines.join(''), { level: 9 }));
};

/** A whole line ends with its paths: one that was cut is no JSON. */
const runIn = (line: string): LoggedRun | null => {
  try {
    return JSON.parse(line) as LoggedRun;
  } catch {
    return null;
  }
};

/** How often each counted path was reached in all of them, in the order of names. */
export const pathsOf = (runs: Iterable<LoggedRun>): ReadonlyMap<string, number> => {
  const totals = new Map<string, number>();
  for (const { paths } of runs)
    for (const [name, count] of Object.entries(paths)) totals.set(name, (totals.get(name) ?? 0) + count);
  return new Map([...totals].sort(([left], [right]) => (left < right ? -1 : 1)));
};
