/**
 * Who piles up memory outside the heap. A worker's heap has a limit, array buffers do not count towards it: without this
 * a strategy that keeps them takes the whole process with it.
 */
import { getHeapStatistics } from 'node:v8';
import type { PortfolioWatch } from '../domain/strategy-portfolio.js';

/** More than any honest strategy keeps: books travel as buffers and are let go. */
export const MAX_EXTERNAL_BYTES = 256 * 1024 * 1024;

export interface StrategyMemory {
  /** To be told who is about to run, and when nobody does. */
  readonly watch: PortfolioWatch;
  /** The member that added most, once there is too much; null otherwise. */
  culprit(): number | null;
}

const externalMemory = (): number => getHeapStatistics().external_memory;

/**
 * For a strategy that has the thread to itself: it is the culprit. Nothing is measured around its calls, which would be
 * 0.03 ms of each order's way.
 */
export const createSoleMemory = (
  externalBytes: () => number = externalMemory,
  mostBytes = MAX_EXTERNAL_BYTES,
): StrategyMemory => ({ watch: () => {}, culprit: () => (externalBytes() > mostBytes ? 0 : null) });

/** @param externalBytes bytes this thread holds outside its heap; costs 1 µs, and 15 where it is in no cache */
export const createStrategyMemory = (
  externalBytes: () => number = externalMemory,
  mostBytes = MAX_EXTERNAL_BYTES,
): StrategyMemory => {
  /** What each member has added by its calls. What is let go is let go between calls, by the collector. */
  const added = new Map<number, number>();
  let running: number | null = null;
  let before = 0;
  return {
    watch: member => {
      const bytes = externalBytes();
      if (running !== null) added.set(running, (added.get(running) ?? 0) + Math.max(0, bytes - before));
      running = member;
      before = bytes;
    },
    culprit: () => {
      if (externalBytes() <= mostBytes) return null;
      const [most] = [...added].sort(([, one], [, other]) => other - one);
      return most?.[0] ?? null;
    },
  };
};
