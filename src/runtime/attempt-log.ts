/**
 * When a worker connected, in memory that outlives its thread: the venue counts connections per address, whichever
 * incarnation made them, so its successor need not suppose the worst.
 */
import { ATTEMPTS_PER_ADDRESS } from '../domain/reconnect.js';

export const ATTEMPT_LOG_BYTES = ATTEMPTS_PER_ADDRESS * Float64Array.BYTES_PER_ELEMENT;

export interface AttemptLog {
  /** An attempt begins now, monotonic ms. Written before the connection is asked for. */
  note(monoMs: number): void;
  /** The newest attempts of all incarnations, oldest first. */
  attempts(): readonly number[];
  /** The other side has forgotten them too. */
  forget(): void;
}

/** @param scratch absent where threads are not restarted */
export const openAttemptLog = (scratch: SharedArrayBuffer | undefined): AttemptLog => {
  const cells = new Float64Array(scratch ?? new SharedArrayBuffer(ATTEMPT_LOG_BYTES));
  return {
    note(monoMs) {
      let oldest = 0;
      for (let index = 1; index < cells.length; index++)
        if ((cells[index] ?? 0) < (cells[oldest] ?? 0)) oldest = index;
      cells[oldest] = monoMs;
    },
    attempts: () => [...cells].filter(atMs => atMs > 0).sort((left, right) => left - right),
    forget: () => void cells.fill(0),
  };
};
