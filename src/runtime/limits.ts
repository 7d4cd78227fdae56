/** Bounds of the runtime, with the relations between them asserted at load. Times in milliseconds. */

/** A worker tells the supervisor that it lives. */
export const BEAT_INTERVAL_MS = 200;
/** Without a beat for this long a worker is suspect. */
export const BEAT_LATE_MS = 1_500;
/** Without a beat for this long a worker is lost and replaced. */
export const BEAT_LOST_MS = 3_000;
/** The supervisor renews the write lease this often. */
export const LEASE_RENEW_MS = 200;
/** A lease that is not renewed ends after this long. */
export const LEASE_LIFE_MS = 1_000;
/** Brains are stepped with a tick at least this often. */
export const TICK_MS = 50;
/** Messages handled in one turn of a worker before it lets timers and sockets run. */
export const MAILBOX_TURN = 256;
/** The whole stop, from the signal to the exit. */
export const STOP_TOTAL_MS = 8_000;
/**
 * Execution's share of it: writes in flight settle, what rests is canceled where that is wanted, and what is left is named.
 * It plans with this time, and is ended when the time is over.
 */
export const STOP_EXECUTION_MS = 4_000;
/** A worker must answer start() within this. */
export const START_WORKER_MS = 15_000;
/** So many crashes of one worker within the window, and it stays down. */
export const CRASH_LIMIT = 5;
export const CRASH_WINDOW_MS = 30_000;

const mustHold = (relation: boolean, words: string): void => {
  if (!relation) throw new Error(`limits contradict each other: ${words}`);
};
mustHold(BEAT_INTERVAL_MS * 4 <= BEAT_LATE_MS, 'a late beat must mean several missed ones');
mustHold(BEAT_LATE_MS < BEAT_LOST_MS, 'late comes before lost');
mustHold(LEASE_RENEW_MS * 3 <= LEASE_LIFE_MS, 'a lease must survive two lost renewals');
mustHold(STOP_EXECUTION_MS * 2 <= STOP_TOTAL_MS, 'one worker must not use up the whole stop');
