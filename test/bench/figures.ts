/** Figures from samples, and fair turns for what is compared. */

/** The value below which `share` of the samples lie; NaN without samples. */
export const percentile = (samples: readonly number[], share: number): number => {
  const sorted = samples.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
};

export const median = (samples: readonly number[]): number => percentile(samples, 0.5);

/** A figure with as many decimals as its size deserves: 0.042, 4.20, 42.0, 420. */
export const figure = (value: number): string => {
  if (!Number.isFinite(value)) return 'none';
  const size = Math.abs(value);
  return value.toFixed(size < 1 ? 3 : size < 10 ? 2 : size < 100 ? 1 : 0);
};

/** Runs `work` and says how long it took, ms. */
export const timed = async <T>(
  work: () => T | Promise<T>,
): Promise<{ readonly ms: number; readonly value: T }> => {
  const startedMs = performance.now();
  const value = await work();
  return { ms: performance.now() - startedMs, value };
};

/** The samples of one variant, one array a round. */
export type Rounds = readonly (readonly number[])[];

/**
 * Measures variants against each other on one machine that may be busy: all of them in every round, one after the
 * other, and each round begins with another one, so that none is always first or always after the same neighbour.
 */
export const inTurns = async <Name extends string>(
  variants: Readonly<Record<Name, () => Promise<readonly number[]>>>,
  rounds: number,
): Promise<Readonly<Record<Name, Rounds>>> => {
  const names = Object.keys(variants) as Name[];
  const taken = Object.fromEntries(names.map(name => [name, [] as (readonly number[])[]])) as Record<
    Name,
    (readonly number[])[]
  >;
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + turn) % names.length] as Name;
      taken[name].push(await variants[name]());
    }
  return taken;
};

/** The middle over all rounds of what each round says: a round that was disturbed does not decide. */
export const acrossRounds = (rounds: Rounds, share: number): number =>
  median(rounds.map(samples => percentile(samples, share)));

/** How many times the baseline's figure a variant's is: taken in each round, then the middle of the rounds. */
export const ratioOf = (variant: Rounds, baseline: Rounds, share: number): number =>
  median(
    variant.map((samples, round) => percentile(samples, share) / percentile(baseline[round] ?? [], share)),
  );
