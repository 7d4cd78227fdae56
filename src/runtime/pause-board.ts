/**
 * Until when the venue wants each endpoint left alone, in memory that all workers share: a 429 says nothing about who
 * asked, so whoever asks next must wait, also for what was handed over before the reply came.
 */
import { BUCKETS, type Bucket } from '../domain/request-budget.js';

export const PAUSE_BOARD_BYTES = BUCKETS.length * Float64Array.BYTES_PER_ELEMENT;

export interface PauseBoard {
  /** Monotonic ms; 0 for an endpoint that was never paused. */
  until(bucket: Bucket): number;
  /** Leaves a longer pause as it is. */
  pause(bucket: Bucket, untilMonoMs: number): void;
}

/** @param memory shared by everybody who talks to the same venue; absent for a board of one's own */
export const openPauseBoard = (memory: SharedArrayBuffer | undefined): PauseBoard => {
  const cells = new Float64Array(memory ?? new SharedArrayBuffer(PAUSE_BOARD_BYTES));
  const until = (bucket: Bucket): number => cells[BUCKETS.indexOf(bucket)] ?? 0;
  return {
    until,
    pause(bucket, untilMonoMs) {
      cells[BUCKETS.indexOf(bucket)] = Math.max(until(bucket), untilMonoMs);
    },
  };
};
