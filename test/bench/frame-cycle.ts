/** Differences of one invented pair that can be sent over and over. */
import { applyMove, differenceFrame, initialSides, type Window, windowOf } from '../domain/venue-feed.js';

/** How a stream of invented frames is to be. */
export interface FrameStream {
  readonly pairs: number;
  readonly perSecond: number;
  readonly frames: number;
}

export const symbolOf = (pair: number): string => `P${pair}USDT`;

/** One pair's differences in frame text without their change set, one to three levels each, and the book before them. */
export const cycleFor = (symbol: string): { readonly first: Window; readonly texts: readonly string[] } => {
  const sides = initialSides(10_000, 100);
  const first = windowOf(sides, 100);
  const texts: string[] = [];
  let window = first;
  const step = (ticks: number, lots: number, side: 'bids' | 'asks'): void => {
    applyMove(sides, { side, ticks, lots });
    const next = windowOf(sides, 100);
    texts.push(differenceFrame(symbol, 0, window, next));
    window = next;
  };
  for (let round = 0; round < 10; round++) {
    step(9_999 - round, 500 + round, 'bids');
    step(10_001 + round, 0, 'asks');
    step(10_001 + round, 700 + round, 'asks');
  }
  return { first, texts };
};
