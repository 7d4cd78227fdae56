/**
 * The collar over time: how far the market that orders lean on may move while they go on being sent. The collar of one
 * order cannot see a price that walks away step by step; this one compares it with where orders were sent at in the
 * last minutes. Per symbol; both ways.
 */
import { basisPoints, max, min, type Price } from './money.js';

export const DRIFT_WINDOW_MS = 600_000;
/** PRICE_DRIFT_BPS when nobody sets it. */
export const DRIFT_BPS = 500;

/** Where the market was when an order was approved: one price, or a range where only the order's own is known. */
export interface PricePoint {
  /** Monotonic ms. */
  readonly at: number;
  readonly least: Price;
  readonly greatest: Price;
}

/** The points of one symbol, oldest first. Owned; changed through the functions below. */
export type PriceTrail = PricePoint[];

/** Forgets what is older than the window. */
export const forgetPoints = (trail: PriceTrail, monoMs: number): void => {
  let gone = 0;
  while (gone < trail.length && (trail[gone]?.at ?? 0) <= monoMs - DRIFT_WINDOW_MS) gone += 1;
  if (gone > 0) trail.splice(0, gone);
};

/**
 * Adds the newest point. Earlier ones that it, or others after them, bound at least as narrowly are forgotten: they
 * leave the window sooner and can never decide again, so that the trail stays short however many orders are sent.
 */
export const notePoint = (trail: PriceTrail, point: PricePoint): void => {
  let { least, greatest } = point;
  let kept = trail.length;
  for (let index = trail.length - 1; index >= 0; index--) {
    const earlier = trail[index] as PricePoint;
    if (earlier.least <= least && earlier.greatest >= greatest) continue;
    least = max(least, earlier.least);
    greatest = min(greatest, earlier.greatest);
    kept -= 1;
    trail[kept] = earlier;
  }
  trail.splice(0, kept);
  trail.push(point);
};

/**
 * @param bps greatest distance from every point of the trail
 * @returns the bounds that `price` is outside of; null when it is within them
 */
export const driftOf = (
  trail: readonly PricePoint[],
  price: Price,
  bps: number,
): { readonly least: Price; readonly greatest: Price } | null => {
  const [first] = trail;
  if (first === undefined) return null;
  let lowest = first.least;
  let highest = first.greatest;
  for (const { least, greatest } of trail) {
    // The bound is narrowest at the highest of the lows and the lowest of the highs.
    lowest = max(lowest, least);
    highest = min(highest, greatest);
  }
  const least = lowest - basisPoints(lowest, bps, 'up');
  const greatest = highest + basisPoints(highest, bps, 'up');
  return price < least || price > greatest ? { least, greatest } : null;
};
