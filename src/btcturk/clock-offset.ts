import type { Now } from '../domain/step.js';

/**
 * How far the venue's clock is from ours: `venue = ours + offsetMs`. Kept from the quickest of the recent samples,
 * because half the round trip is the bound of a sample's error.
 */
export interface ClockOffset {
  readonly offsetMs: number;
  /** Round trip of the sample the offset comes from: the offset is right within half of it. */
  readonly roundTripMs: number;
  readonly measuredMonoMs: number;
}

interface Sample extends ClockOffset {}

export interface ClockTracker {
  /**
   * One reading of `server/time`.
   * @param sentMonoMs when the request's bytes left
   * @param received when the reply's headers arrived
   */
  add(serverMs: number, sentMonoMs: number, received: Now): void;
  /** Null before the first reading. */
  current(): ClockOffset | null;
  /** A stamp for the next signed request, venue time in ms: strictly increasing while no clock is set back. */
  stamp(wallMs: number): number;
}

/** Samples kept. */
const SAMPLES_MAX = 8;
/** A sample older than this no longer outweighs a slower, newer one: clocks drift. */
const SAMPLE_LIFE_MS = 5 * 60_000;

export const createClockTracker = (): ClockTracker => {
  let samples: Sample[] = [];
  let best: ClockOffset | null = null;
  let lastStamp = 0;
  return {
    add(serverMs, sentMonoMs, received) {
      const roundTripMs = Math.max(0, received.monoMs - sentMonoMs);
      const offsetMs = serverMs + roundTripMs / 2 - received.wallMs;
      const sample: Sample = { offsetMs, roundTripMs, measuredMonoMs: received.monoMs };
      samples = [
        ...samples.filter(kept => received.monoMs - kept.measuredMonoMs < SAMPLE_LIFE_MS),
        sample,
      ].slice(-SAMPLES_MAX);
      best = samples.reduce((left, right) => (right.roundTripMs < left.roundTripMs ? right : left));
      if (contradicts(best, sample)) {
        samples = [sample];
        best = sample;
      }
    },
    current: () => best,
    stamp(wallMs) {
      const venueMs = Math.round(wallMs + (best?.offsetMs ?? 0));
      lastStamp = lastStamp - venueMs > STAMP_LEAD_MAX_MS ? venueMs : Math.max(lastStamp + 1, venueMs);
      return lastStamp;
    },
  };
};

/** The two intervals of possible offsets do not meet: a clock was stepped, and only the newer sample knows. */
const contradicts = (older: ClockOffset, newer: ClockOffset): boolean =>
  Math.abs(older.offsetMs - newer.offsetMs) > (older.roundTripMs + newer.roundTripMs) / 2 + STEP_SLACK_MS;

/**
 * After our clock was set back, counting on from the old stamps would leave the venue's window of 5 s (protocol
 * section 3.1): being accepted matters more than the order of stamps, which the venue does not ask for.
 */
const STAMP_LEAD_MAX_MS = 2_000;

/** Resolution of the two clocks together. */
const STEP_SLACK_MS = 20;
