/**
 * Whether somebody gives signs of life in time. No timer inside: it answers for the time it is asked about.
 * The bounds are plain ages, not a learned distribution: beats come every 200 ms on the same machine, so a missing one
 * means a blocked thread, and a fixed bound is one that an operator can check.
 */
export interface Heartbeat {
  readonly lateAfterMs: number;
  readonly lostAfterMs: number;
  readonly lastMonoMs: number;
}

export type Pulse = 'on-time' | 'late' | 'lost';

export const heartbeat = (lateAfterMs: number, lostAfterMs: number, monoMs: number): Heartbeat => ({
  lateAfterMs,
  lostAfterMs,
  lastMonoMs: monoMs,
});

/** A sign of life seen at `monoMs`. */
export const beaten = (beats: Heartbeat, monoMs: number): Heartbeat =>
  monoMs <= beats.lastMonoMs
    ? beats
    : { lateAfterMs: beats.lateAfterMs, lostAfterMs: beats.lostAfterMs, lastMonoMs: monoMs };

/** Nobody could be heard for so long: that time counts neither for them nor against them. */
export const unheardFor = (beats: Heartbeat, ms: number): Heartbeat => ({
  ...beats,
  lastMonoMs: beats.lastMonoMs + ms,
});

export const pulseOf = (beats: Heartbeat, monoMs: number): Pulse => {
  const age = monoMs - beats.lastMonoMs;
  return age > beats.lostAfterMs ? 'lost' : age > beats.lateAfterMs ? 'late' : 'on-time';
};
