/** Which parameter sets a sweep tries, and which of them a walk forward would have chosen. Everything follows from a seed. */
import type { ParameterSpec, ParameterSpecs } from '../domain/strategy.js';
import { below, normal, type Random, uniform } from '../exchange/random.js';

/** The values a parameter may take: a list, or everything between two numbers. */
export type Axis =
  | { readonly name: string; readonly type: 'list'; readonly values: readonly Value[] }
  | {
      readonly name: string;
      readonly type: 'range';
      readonly min: number;
      readonly max: number;
      readonly whole: boolean;
      /** Decimals are given as text. */
      readonly text: boolean;
    };
export type Value = number | string | boolean;
export type Candidate = Readonly<Record<string, Value>>;

/** A parameter that cannot be swept as asked; the message says why. */
export class SearchError extends Error {
  override readonly name = 'SearchError';
}

/**
 * Reads `name=1,2,3` or `name=1..9` against the declarations of a strategy.
 * @throws SearchError
 */
export const readAxis = (given: string, specs: ParameterSpecs): Axis => {
  const at = given.indexOf('=');
  const name = given.slice(0, Math.max(at, 0));
  const spec = specs[name];
  if (spec === undefined)
    throw new SearchError(
      `--sweep ${given}: there is no parameter ${JSON.stringify(name)}; there are ${Object.keys(specs).join(', ')}`,
    );
  const words = given.slice(at + 1);
  const range = /^(-?[\d.]+)\.\.(-?[\d.]+)$/.exec(words);
  if (range === null)
    return { name, type: 'list', values: words.split(',').map(word => readValue(word, spec, given)) };
  const [min, max] = [Number(range[1]), Number(range[2])];
  if (spec.type === 'boolean' || spec.type === 'choice' || spec.type === 'text')
    throw new SearchError(`--sweep ${given}: ${name} has no range; name its values`);
  if (!(min < max) || min < Number(spec.min) || max > Number(spec.max))
    throw new SearchError(`--sweep ${given}: ${name} goes from ${spec.min} to ${spec.max}`);
  return { name, type: 'range', min, max, whole: spec.type === 'integer', text: spec.type === 'decimal' };
};

const readValue = (word: string, spec: ParameterSpec, given: string): Value => {
  if (spec.type === 'boolean') {
    if (word === 'true' || word === 'false') return word === 'true';
    throw new SearchError(`--sweep ${given}: ${JSON.stringify(word)} is neither true nor false`);
  }
  if (spec.type === 'choice' || spec.type === 'decimal' || spec.type === 'text') return word;
  const value = Number(word);
  if (word.trim() === '' || !Number.isFinite(value))
    throw new SearchError(`--sweep ${given}: ${JSON.stringify(word)} is not a number`);
  return value;
};

/** Every combination; a range counts as five even steps. */
export const gridOf = (axes: readonly Axis[]): readonly Candidate[] => {
  let candidates: readonly Candidate[] = [{}];
  for (const axis of axes)
    candidates = candidates.flatMap(each => valuesOf(axis).map(value => ({ ...each, [axis.name]: value })));
  return candidates;
};

const GRID_STEPS = 5;
const valuesOf = (axis: Axis): readonly Value[] =>
  axis.type === 'list'
    ? axis.values
    : [
        ...new Set(
          Array.from({ length: GRID_STEPS }, (_, step) =>
            shaped(axis, axis.min + ((axis.max - axis.min) * step) / (GRID_STEPS - 1)),
          ),
        ),
      ];

const shaped = (axis: Extract<Axis, { readonly type: 'range' }>, value: number): Value => {
  const inside = Math.min(axis.max, Math.max(axis.min, value));
  const rounded = axis.whole ? Math.round(inside) : Number(inside.toPrecision(6));
  return axis.text ? String(rounded) : rounded;
};

const drawn = (axis: Axis, random: Random): Value =>
  axis.type === 'list'
    ? (axis.values[below(random, axis.values.length)] ?? '')
    : shaped(axis, axis.min + uniform(random) * (axis.max - axis.min));

/** Drawn anew for each parameter. */
export const randomCandidate = (axes: readonly Axis[], random: Random): Candidate =>
  Object.fromEntries(axes.map(axis => [axis.name, drawn(axis, random)]));

/** Part of a range that one step of the search is wide, as a standard deviation. */
const STEP = 0.15;
/** Chance that a listed value is drawn anew. */
const REDRAW = 0.4;

/** A neighbour of a good set. */
export const neighbour = (axes: readonly Axis[], of: Candidate, random: Random): Candidate =>
  Object.fromEntries(
    axes.map(axis => {
      const value = of[axis.name];
      if (axis.type === 'list')
        return [axis.name, uniform(random) < REDRAW || value === undefined ? drawn(axis, random) : value];
      return [axis.name, shaped(axis, Number(value) + normal(random) * STEP * (axis.max - axis.min))];
    }),
  );

/** The same set has the same key, whatever the order of its names. */
export const keyOf = (candidate: Candidate): string =>
  JSON.stringify(
    Object.fromEntries(Object.entries(candidate).sort(([left], [right]) => (left < right ? -1 : 1))),
  );

/** One set's score on each segment of the data, in order. */
export interface Scored {
  readonly candidate: Candidate;
  readonly scores: readonly number[];
}

export interface WalkStep {
  /** The segment it is judged on; it was chosen on those before. */
  readonly segment: number;
  /** Null where no set has a score on all of them: it was refused there, or nothing could be scored. */
  readonly chosen: Candidate | null;
  readonly trainScore: number | null;
  readonly testScore: number | null;
}

/** Walks forward: for each segment after the first, the set that was best on all segments before it, or none. */
export const walkForward = (trials: readonly Scored[], segments: number): readonly WalkStep[] => {
  const steps: WalkStep[] = [];
  for (let segment = 1; segment < segments; segment++) {
    let best: { readonly trial: Scored; readonly score: number } | null = null;
    for (const trial of trials) {
      const score = trial.scores.slice(0, segment).reduce((sum, each) => sum + each, 0) / segment;
      if (score === Number.NEGATIVE_INFINITY) continue;
      if (
        best === null ||
        score > best.score ||
        (score === best.score && keyOf(trial.candidate) < keyOf(best.trial.candidate))
      )
        best = { trial, score };
    }
    steps.push({
      segment,
      chosen: best?.trial.candidate ?? null,
      trainScore: best?.score ?? null,
      testScore: best?.trial.scores[segment] ?? null,
    });
  }
  return steps;
};
