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

interface Sample extends ClockOffset {
  /** How far our wall clock was ahead of the monotonic one then. */
  readonly wallAheadMs: number;
}

export interface ClockTracker {
  /**
   * One reading of `server/time`.
   * @param sentMonoMs when the request's bytes left
   * @param received when the reply's headers arrived
   */
  add(serverMs: number, sentMonoMs: number, received: Now): void;
  /** Null before the first reading. */
  current(): ClockOffset | null;
  /**
   * A stamp for the next signed request, venue time in ms: strictly increasing, also while our wall clock is set back
   * between two readings of a venue that has a clock of its own. One that is set forward is followed: after a sleep of
   * the machine it alone knows the time.
   */
  stamp(now: Now): number;
}

/** Samples kept. */
const SAMPLES_MAX = 8;
/** A sample older than this no longer outweighs a slower, newer one: clocks drift. */
const SAMPLE_LIFE_MS = 5 * 60_000;

/**
 * @param isOurs whether the venue reads the clock that we read, as an exchange on this machine does: one that is set is then
 *   set for both
 */
export const createClockTracker = (isOurs = false): ClockTracker => {
  let samples: Sample[] = [];
  let best: Sample | null = null;
  let lastStamp = 0;
  return {
    add(serverMs, sentMonoMs, received) {
      const roundTripMs = Math.max(0, received.monoMs - sentMonoMs);
      const offsetMs = serverMs + roundTripMs / 2 - received.wallMs;
      const sample: Sample = {
        offsetMs,
        roundTripMs,
        measuredMonoMs: received.monoMs,
        wallAheadMs: received.wallMs - received.monoMs,
      };
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
    current: () =>
      best && {
        offsetMs: best.offsetMs,
        roundTripMs: best.roundTripMs,
        measuredMonoMs: best.measuredMonoMs,
      },
    stamp({ wallMs, monoMs }) {
      const setBackMs = best === null || isOurs ? 0 : Math.max(0, best.wallAheadMs - (wallMs - monoMs));
      const venueMs = Math.round(wallMs + setBackMs + (best?.offsetMs ?? 0));
      lastStamp = lastStamp - venueMs > STAMP_LEAD_MAX_MS ? venueMs : Math.max(lastStamp + 1, venueMs);
      return lastStamp;
    },
  };
};

/** The two intervals of possible offsets do not meet: a clock was stepped, and only the newer sample knows. */
const contradicts = (older: ClockOffset, newer: ClockOffset): boolean =>
  Math.abs(older.offsetMs - newer.offsetMs) > (older.roundTripMs + newer.roundTripMs) / 2 + STEP_SLACK_MS;

/**
 * After our clock was set back before any reading, or a reading has shown the venue's to be behind, counting on from the
 * old stamps would leave the venue's window of 5 s (protocol section 3.1): being accepted matters more than the order of
 * stamps, which the venue does not ask for.
 */
const STAMP_LEAD_MAX_MS = 2_000;

/** Resolution of the two clocks together. */
const STEP_SLACK_MS = 20;
