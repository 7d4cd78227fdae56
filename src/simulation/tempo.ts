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
  /** By how much an idle worker's next tick is farther away than the last was; the workers' own measure when absent. */
  readonly idleTickGrowth?: number;
}

/** As the bot and the embedded exchange are when nobody says otherwise. */
export const LIVE_TEMPO: Tempo = {
  marketPace: 1,
  slowIntervalMs: 750,
  markIntervalMs: 2_000,
  reconcileIntervalMs: 15_000,
  refreshMs: 1_000,
};

/** Bounds between which a tempo is drawn. */
interface TempoRange {
  /** The market's pace, log-uniform. */
  readonly marketPace: readonly [slowest: number, fastest: number];
  readonly slowIntervalMs: readonly [least: number, most: number];
  readonly markIntervalMs: readonly [least: number, most: number];
  readonly reconcileIntervalMs: readonly [least: number, most: number];
  /** Least, and how much more on average. */
  readonly refreshMs: readonly [least: number, meanExtra: number];
  readonly idleTickGrowth?: number;
}

/** For runs of minutes: 0.014 of the live pace at the median. */
const QUIET: TempoRange = {
  marketPace: [0.004, 0.05],
  slowIntervalMs: [2_000, 3_500],
  markIntervalMs: [5_000, 30_000],
  reconcileIntervalMs: [15_000, 45_000],
  refreshMs: [1_000, 3_000],
};

/**
 * For runs of hours, in which faults come as often and the bot trades less in between: 0.005 at the median. A frame of a
 * quiet market still comes before its books count as old, a price before its mark does, and a pass before it is late. A
 * worker with nothing to do ticks once soon and then seldom.
 */
const CALM: TempoRange = {
  marketPace: [0.0015, 0.015],
  slowIntervalMs: [3_500, 4_500],
  markIntervalMs: [15_000, 40_000],
  reconcileIntervalMs: [30_000, 55_000],
  refreshMs: [2_000, 8_000],
  idleTickGrowth: 32,
};

/** Runs of this many hours and longer are calm. */
export const CALM_FROM_HOURS = 0.5;

/** A quiet tempo for a run of so many simulated hours. */
export const drawTempo = (random: Random, hours = 0): Tempo => {
  const range = hours >= CALM_FROM_HOURS ? CALM : QUIET;
  const [slowest, fastest] = range.marketPace;
  const [leastRefreshMs, extraRefreshMs] = range.refreshMs;
  const between = ([least, most]: readonly [number, number]): number =>
    least + Math.round((most - least) * uniform(random));
  return {
    marketPace: slowest * (fastest / slowest) ** uniform(random),
    slowIntervalMs: between(range.slowIntervalMs),
    markIntervalMs: between(range.markIntervalMs),
    reconcileIntervalMs: between(range.reconcileIntervalMs),
    refreshMs: leastRefreshMs + Math.round(exponential(random, extraRefreshMs)),
    ...(range.idleTickGrowth === undefined ? {} : { idleTickGrowth: range.idleTickGrowth }),
  };
};
