/** How long things take in a simulated world; a file of its own, since backtests need these numbers and no world. */
import type { NetworkLatencies } from './sim-rest.js';
import type { TreeLatencies } from './worker-tree.js';

export interface WorldLatencies extends TreeLatencies {
  readonly network: NetworkLatencies;
}

/** Hops as measured on two cores (56 µs at the median, 213 µs at the 99th percentile); the network is a guess. */
export const DEFAULT_LATENCIES: WorldLatencies = {
  spawn: { leastMs: 60, meanExtraMs: 20 },
  hop: { leastMs: 0.03, meanExtraMs: 0.04 },
  network: {
    connection: { leastMs: 0.02, meanExtraMs: 0.02 },
    toVenue: { leastMs: 4, meanExtraMs: 1 },
    fromVenue: { leastMs: 4, meanExtraMs: 1 },
  },
};
