/** How long things take between the parts of the bot and the venue, for runs without a simulated network. */
import { DEFAULT_LATENCY } from '../exchange/venue-state.js';
import { DEFAULT_LATENCIES } from '../simulation/latencies.js';

/** All in ms. The paths are those of the whole bot: see ARCHITECTURE.md, the life of an order. */
export interface RunLatency {
  /** From the venue's frame to strategy and execution. */
  readonly marketMs: number;
  /** From one actor to the next. */
  readonly hopMs: number;
  /** From execution's append to the ledger's word that it is on disk. */
  readonly journalMs: number;
  /** From a granted write to its first byte, and from there to the venue. */
  readonly departMs: number;
  readonly toVenueMs: number;
  readonly fromVenueMs: number;
  /** The venue's own queues: an accepted submit to the book, an accepted cancel to its execution, a match to its row. */
  readonly enterMs: number;
  readonly cancelMs: number;
  readonly fillRowMs: number;
  /** The bot starts this long before the market's first moment. */
  readonly leadMs: number;
  /**
   * When the strategy begins, and where ticks fall within 50 ms, from the market's first moment. Timers go off on the
   * strategy's ticks; what waits for the request budget is looked at on execution's; what the private feed hints at is
   * proven by a read that leaves on reconciliation's.
   */
  readonly strategyStartMs: number;
  readonly strategyTickMs: number;
  readonly executionTickMs: number;
  readonly reconciliationTickMs: number;
  /** Where the venue's slower pictures of the whole book fall within 750 ms: what has changed is shown before them. */
  readonly fullBookMs: number;
}

const { hop, network } = DEFAULT_LATENCIES;
const typical = ({ leastMs, meanExtraMs }: { readonly leastMs: number; readonly meanExtraMs: number }) =>
  leastMs + meanExtraMs;

/**
 * The simulated world's own latencies at their means: hops as measured on two cores, the network and the venue's queues
 * as assumed there. Give your own where you have measured them.
 */
export const DEFAULT_RUN_LATENCY: RunLatency = {
  marketMs: typical(network.fromVenue) + typical(hop),
  hopMs: typical(hop),
  journalMs: 2 * typical(hop),
  departMs: typical(network.connection),
  toVenueMs: typical(network.toVenue),
  fromVenueMs: typical(network.fromVenue),
  enterMs: DEFAULT_LATENCY.submitMs,
  cancelMs: DEFAULT_LATENCY.cancelMs,
  fillRowMs: DEFAULT_LATENCY.userTradeMs,
  leadMs: 0,
  strategyStartMs: 0,
  strategyTickMs: 0,
  executionTickMs: 0,
  reconciliationTickMs: 0,
  fullBookMs: 0,
};
