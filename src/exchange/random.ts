import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';

/** A seeded source of numbers, part of the venue's state. Drawing from it advances it. */
export type Random = RandomGenerator;

/**
 * An independent stream of one seed: drawing more from one stream never changes another, so that switching a fault on
 * leaves the market as it was.
 */
export const randomStream = (seed: number, stream: number): Random => {
  const generator = xoroshiro128plus(seed);
  for (let jumps = 0; jumps < stream; jumps++) generator.jump();
  // The first draws of neighbouring seeds resemble each other.
  for (let warmUp = 0; warmUp < 32; warmUp++) generator.next();
  return generator;
};

/** Uniform in [0, 1). */
export const uniform = (random: Random): number => uniformFloat64(random);

/** Uniform whole number in [0, bound). */
export const below = (random: Random, bound: number): number => Math.floor(uniformFloat64(random) * bound);

/** Exponential with this mean. */
export const exponential = (random: Random, mean: number): number =>
  -mean * Math.log(1 - uniformFloat64(random));

/** Standard normal (Box and Muller; the second value is not kept, so that a stream has no hidden state). */
export const normal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - uniformFloat64(random))) * Math.cos(2 * Math.PI * uniformFloat64(random));

/** Log-normal with this median. */
export const logNormal = (random: Random, median: number, sigma: number): number =>
  median * Math.exp(sigma * normal(random));
