/**
 * A sweep: many parameter sets on every core, each on every segment of the data, with what is known already left out.
 * Threads take the next trial when they are free, so that nothing waits in the pool's queue; a sweep that is broken off
 * finishes what runs, and goes on from there the next time.
 */
import { Piscina } from 'piscina';
import { randomStream } from '../exchange/random.js';
import { WITHOUT_ADDON } from '../runtime/worker-env.js';
import { StrategyNotMade } from './run-result.js';
import {
  type Axis,
  type Candidate,
  gridOf,
  keyOf,
  neighbour,
  randomCandidate,
  type Scored,
  type WalkStep,
  walkForward,
} from './search.js';
import type { SweepStore, TrialResult } from './sweep-store.js';
import type { SweepTask, TrialAnswer } from './sweep-task.js';

export const METHODS = ['grid', 'random', 'search'] as const;
export type Method = (typeof METHODS)[number];

export interface SweepOptions {
  readonly method: Method;
  readonly axes: readonly Axis[];
  /** Sets to try; a grid has as many as it has. */
  readonly trials: number;
  readonly seed: number;
  /** First and last moment of each segment, Unix ms. */
  readonly segments: readonly (readonly [fromMs: number, toMs: number])[];
  readonly threads: number;
  readonly store: SweepStore;
  readonly signal: AbortSignal;
  /** Everything of a task but its set and its segment. */
  readonly task: Omit<SweepTask, 'candidate' | 'segment' | 'fromMs' | 'toMs'>;
  /** Told after each trial; `total` counts trials times segments. */
  onProgress(done: number, total: number): void;
}

export interface SweepOutcome {
  /** Sets with a result on every segment, best first. */
  readonly trials: readonly (Scored & { readonly results: readonly TrialResult[] })[];
  readonly walk: readonly WalkStep[];
  /** False when it was broken off. */
  readonly finished: boolean;
  /** Trials run now, and those that were known. */
  readonly ran: number;
  readonly known: number;
}

/** Sets of one generation of the search: the next one is drawn around the best of all before. */
const GENERATION = 8;
/** Parents of a generation. */
const PARENTS = 3;

/** @throws StrategyNotMade with the set for which it could not be; results until then are kept */
export const runSweep = async (options: SweepOptions): Promise<SweepOutcome> => {
  const { axes, segments, signal, store } = options;
  const results = new Map<
    string,
    { readonly candidate: Candidate; readonly bySegment: Map<number, TrialResult> }
  >();
  const entryOf = (candidate: Candidate) => {
    const key = keyOf(candidate);
    const found = results.get(key) ?? { candidate, bySegment: new Map<number, TrialResult>() };
    results.set(key, found);
    return found;
  };
  for (const { candidate, segment, result } of store.trials())
    entryOf(candidate).bySegment.set(segment, result);
  const wanted = new Map<string, Candidate>();
  const random = randomStream(options.seed, 41);
  const grid = options.method === 'grid' ? gridOf(axes) : [];
  const count = options.method === 'grid' ? grid.length : options.trials;
  const total = count * segments.length;
  let done = 0;
  let ran = 0;
  let known = 0;
  const pool = new Piscina<SweepTask, TrialAnswer>({
    filename: new URL('./sweep-task.js', import.meta.url).href,
    minThreads: options.threads,
    maxThreads: options.threads,
    maxQueue: options.threads,
    atomics: 'disabled',
    // A sweep that is refused ends threads that are still starting. A strategy reads no environment.
    env: WITHOUT_ADDON,
  });

  const runAll = async (candidates: readonly Candidate[]): Promise<void> => {
    const todo: { readonly candidate: Candidate; readonly segment: number }[] = [];
    for (const candidate of candidates) {
      wanted.set(keyOf(candidate), candidate);
      for (const segment of segments.keys())
        if (entryOf(candidate).bySegment.has(segment)) {
          known += 1;
          done += 1;
        } else todo.push({ candidate, segment });
    }
    options.onProgress(done, total);
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let job = todo[next++]; job !== undefined && !signal.aborted; job = todo[next++]) {
        const [fromMs, toMs] = segments[job.segment] ?? [0, 0];
        const answer = await pool.run({ ...options.task, ...job, fromMs, toMs });
        if ('notMade' in answer)
          throw new StrategyNotMade(`${answer.notMade} (with ${keyOf(job.candidate)})`);
        const { result } = answer;
        store.add(keyOf(job.candidate), { ...job, result });
        entryOf(job.candidate).bySegment.set(job.segment, result);
        ran += 1;
        done += 1;
        options.onProgress(done, total);
      }
    };
    await Promise.all(Array.from({ length: options.threads }, lane));
  };
  const scored = () =>
    [...wanted.keys()].flatMap(key => {
      const entry = results.get(key);
      if (entry === undefined || entry.bySegment.size < segments.length) return [];
      const all = [...segments.keys()].flatMap(segment => entry.bySegment.get(segment) ?? []);
      return [{ candidate: entry.candidate, scores: all.map(({ score }) => score), results: all }];
    });
  const sumOf = (trial: Scored): number => trial.scores.reduce((sum, score) => sum + score, 0);
  const ranked = () =>
    scored().sort(
      (left, right) =>
        sumOf(right) - sumOf(left) || (keyOf(left.candidate) < keyOf(right.candidate) ? -1 : 1),
    );
  /** A set that was not tried yet, or any after some attempts. */
  const fresh = (draw: () => Candidate, taken: readonly Candidate[]): Candidate => {
    let candidate = draw();
    const keys = new Set([...wanted.keys(), ...taken.map(keyOf)]);
    for (let attempt = 0; attempt < 20 && keys.has(keyOf(candidate)); attempt++) candidate = draw();
    return candidate;
  };

  try {
    if (options.method === 'grid') await runAll(grid);
    else
      for (let left = count; left > 0 && !signal.aborted; ) {
        const size = options.method === 'random' ? left : Math.min(left, GENERATION);
        const parents = options.method === 'search' ? ranked().slice(0, PARENTS) : [];
        const generation: Candidate[] = [];
        for (let index = 0; index < size; index++) {
          const parent = parents[index % Math.max(1, parents.length)];
          generation.push(
            fresh(
              () =>
                parent === undefined
                  ? randomCandidate(axes, random)
                  : neighbour(axes, parent.candidate, random),
              generation,
            ),
          );
        }
        await runAll(generation);
        left -= size;
      }
  } finally {
    await pool.destroy();
  }
  const trials = ranked();
  return { trials, walk: walkForward(trials, segments.length), finished: !signal.aborted, ran, known };
};

/** The times of a tape cut into so many equal parts. */
export const segmentsOf = (
  fromMs: number,
  toMs: number,
  count: number,
): readonly (readonly [number, number])[] =>
  Array.from({ length: count }, (_, index) => {
    const at = (part: number): number => fromMs + ((toMs - fromMs) * part) / count;
    return [at(index), index === count - 1 ? toMs : at(index + 1) - 1] as const;
  });
