/**
 * How busy a simulated hour is. Most hours of a real market are quiet, and a fault needs orders about, not crowds:
 * a drawn tempo makes the market slow and the clocks of routine work long, so that an hour costs seconds. Busy phases
 * come from the fault plan.
 */
import { exponential, type Random, uniform } from '../exchange/random.js';

export interface Tempo {
  /** How fast time goes for the generated market: 1 is ten events a second and more. */
  readonly marketPace: number;
  /** Time between two tickers, and between two whole books, ms. */
  readonly slowIntervalMs: number;
  /** How often positions are marked to market, ms. */
  readonly markIntervalMs: number;
  readonly reconcileIntervalMs: number;
  /** Least time between two placements, for strategies that have such a parameter, ms. */
  readonly refreshMs: number;
}

/** As the bot and the embedded exchange are when nobody says otherwise. */
export const LIVE_TEMPO: Tempo = {
  marketPace: 1,
  slowIntervalMs: 750,
  markIntervalMs: 2_000,
  reconcileIntervalMs: 15_000,
  refreshMs: 1_000,
};

const SLOWEST_PACE = 0.004;
const FASTEST_PACE = 0.05;

/** A quiet tempo: the market's pace is log-uniform, 0.014 at the median. */
export const drawTempo = (random: Random): Tempo => ({
  marketPace: SLOWEST_PACE * (FASTEST_PACE / SLOWEST_PACE) ** uniform(random),
  slowIntervalMs: 2_000 + Math.round(1_500 * uniform(random)),
  markIntervalMs: 5_000 + Math.round(25_000 * uniform(random)),
  reconcileIntervalMs: 15_000 + Math.round(30_000 * uniform(random)),
  refreshMs: 1_000 + Math.round(exponential(random, 3_000)),
});
