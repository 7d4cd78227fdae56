/** How long things take in a simulated world; a file of its own, since backtests need these numbers and no world. */
import { type Random, uniform } from '../exchange/random.js';
import type { Latency } from './link.js';
import type { NetworkLatencies } from './sim-rest.js';
import type { TreeLatencies } from './worker-tree.js';

export interface WorldLatencies extends TreeLatencies {
  readonly network: NetworkLatencies;
}

/** Hops as measured on two cores (56 µs at the median, 213 µs at the 99th percentile); the network is what a good one may be. */
export const DEFAULT_LATENCIES: WorldLatencies = {
  spawn: { leastMs: 60, meanExtraMs: 20 },
  hop: { leastMs: 0.03, meanExtraMs: 0.04 },
  network: {
    connection: { leastMs: 0.02, meanExtraMs: 0.02 },
    toVenue: { leastMs: 4, meanExtraMs: 1 },
    fromVenue: { leastMs: 4, meanExtraMs: 1 },
  },
};

/** One way to the venue: from a machine beside it to one on another continent, ms. */
const NEAREST_MS = 1;
const FARTHEST_MS = 80;

/**
 * A network for a whole run: how far the venue is (log-uniform), and how unsteady each way there and back (up to its length
 * more on average). What crosses on its way depends on both: with short ways of one length hardly anything does.
 */
export const drawNetwork = (random: Random): NetworkLatencies => {
  const leastMs = NEAREST_MS * (FARTHEST_MS / NEAREST_MS) ** uniform(random);
  const way = (): Latency => ({ leastMs, meanExtraMs: leastMs * uniform(random) });
  return { ...DEFAULT_LATENCIES.network, toVenue: way(), fromVenue: way() };
};
