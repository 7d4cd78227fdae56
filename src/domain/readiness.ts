/**
 * The evidence that live trading needs: the bot itself writes down how long it ran healthily in dry run, with what
 * build and what configuration (design: safety state). Time counts while nothing is held; a passing hold stops the
 * count, a fault that only an operator or a restart can mend takes it back to nothing.
 */
import { CAUSES } from './breaker.js';
import type { ControlState } from './safety.js';

/** What is kept, as it is kept. */
export interface ReadinessRecord {
  readonly build: string;
  readonly configHash: string;
  /** Healthy time since the last incident, ms. */
  readonly healthyMs: number;
  /** Unix ms: the beginning of that time, and the last moment that was looked at. */
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Whether the bot was healthy at that last moment. */
  readonly healthyAtEnd: boolean;
  /** The last incident, for people; empty when there was none. */
  readonly incident: string;
}

/** How the last kill drill went, as it is kept. */
export interface DrillRecord {
  /** The program that was rehearsed. */
  readonly build: string;
  /** Unix ms of its beginning. */
  readonly atMs: number;
  readonly passed: boolean;
  /** From the kill to the moment at which the venue showed none of our orders; null when it did not. */
  readonly verifiedZeroMs: number | null;
  /** Client order ids that were left. */
  readonly left: readonly string[];
}

/** Older drills say little about today's bot. */
export const DRILL_MAX_AGE_MS = 30 * 24 * 3_600_000;
/** Evidence for less than this is a rehearsal on loopback (the settings allow it nowhere else), and asks for no drill. */
export const FULL_READINESS_MINUTES = 30;

/** Older evidence says nothing about today's venue, network and clock. */
export const READINESS_MAX_AGE_MS = 24 * 3_600_000;
/** A gap in the count longer than this is not counted: the bot was not running, or not looking. */
const MAX_STEP_MS = 5_000;

/** Whether this moment counts: a dry run in which orders may be sent to the simulated venue. */
export const isHealthy = (control: ControlState): boolean =>
  control.mode === 'dry-run' &&
  control.state === 'dry-run' &&
  control.maySubmit &&
  control.holds.length === 0;

/** The fault in this moment that ends what was gathered; null when there is none. */
export const incidentIn = (control: ControlState): string | null => {
  const hold = control.holds.find(
    ({ cause }) => CAUSES[cause].releasedBy === 'operator' || cause === 'worker-down' || cause === 'ledger',
  );
  return hold === undefined ? null : `${hold.key}: ${hold.detail}`;
};

export const newReadiness = (build: string, configHash: string, nowMs: number): ReadinessRecord => ({
  build,
  configHash,
  healthyMs: 0,
  sinceMs: nowMs,
  untilMs: nowMs,
  healthyAtEnd: false,
  incident: '',
});

/**
 * Goes on from an earlier run's record where it speaks of the same build and configuration and is recent. What was healthy
 * longer ago than evidence lasts is left behind, else a few seconds a day would keep it for ever: when it was is not known, so
 * all that time counts as healthy then.
 */
export const continueReadiness = (
  record: ReadinessRecord | null,
  build: string,
  configHash: string,
  nowMs: number,
): ReadinessRecord => {
  const goesOn =
    record !== null &&
    record.build === build &&
    record.configHash === configHash &&
    record.untilMs <= nowMs &&
    nowMs - record.untilMs <= READINESS_MAX_AGE_MS;
  if (!goesOn) return newReadiness(build, configHash, nowMs);
  const oldMs = Math.max(0, nowMs - READINESS_MAX_AGE_MS - record.sinceMs);
  return {
    ...record,
    healthyMs: Math.max(0, record.healthyMs - oldMs),
    sinceMs: record.sinceMs + oldMs,
    untilMs: nowMs,
    healthyAtEnd: false,
  };
};

/** Takes one moment in. */
export const countReadiness = (
  record: ReadinessRecord,
  control: ControlState,
  nowMs: number,
): ReadinessRecord => {
  const incident = incidentIn(control);
  if (incident !== null)
    return { ...record, healthyMs: 0, sinceMs: nowMs, untilMs: nowMs, healthyAtEnd: false, incident };
  const healthy = isHealthy(control);
  const step = nowMs - record.untilMs;
  const counts = healthy && record.healthyAtEnd && step > 0 && step <= MAX_STEP_MS;
  return {
    ...record,
    healthyMs: record.healthyMs + (counts ? step : 0),
    untilMs: nowMs,
    healthyAtEnd: healthy,
  };
};

/** Why the last kill drill is no evidence for this build; empty when it is. */
export const drillRefusals = (drill: DrillRecord | null, build: string, nowMs: number): readonly string[] => {
  if (drill === null)
    return ['no kill drill is recorded: btcbot drill kill holds one, on paper or in dry run'];
  if (!drill.passed) return ['the last kill drill failed'];
  if (drill.build !== build) return ['the last kill drill was held with another build'];
  const ageMs = nowMs - drill.atMs;
  if (ageMs < 0) return ['the last kill drill is from the future'];
  const days = Math.floor(ageMs / 86_400_000);
  return ageMs > DRILL_MAX_AGE_MS
    ? [`the last kill drill is ${days} days old, more than ${DRILL_MAX_AGE_MS / 86_400_000}`]
    : [];
};

/** Why the evidence does not cover a live start; empty when it does, or when none is asked for. */
export const readinessRefusals = (
  record: ReadinessRecord | null,
  drill: DrillRecord | null,
  wanted: {
    readonly build: string;
    readonly configHash: string;
    readonly minMinutes: number;
    readonly nowMs: number;
  },
): readonly string[] => {
  if (wanted.minMinutes === 0) return [];
  const rehearsal = wanted.minMinutes < FULL_READINESS_MINUTES;
  const refusals =
    rehearsal && drill?.passed !== false ? [] : [...drillRefusals(drill, wanted.build, wanted.nowMs)];
  if (record === null) return ['no evidence of a healthy dry run is recorded', ...refusals];
  if (record.build !== wanted.build) refusals.push('the evidence was gathered with another build');
  if (record.configHash !== wanted.configHash)
    refusals.push('the evidence was gathered under another configuration');
  const minutes = record.healthyMs / 60_000;
  if (minutes < wanted.minMinutes)
    refusals.push(
      `the dry run was healthy for ${minutes.toFixed(1)} of ${wanted.minMinutes} minutes${record.incident === '' ? '' : ` since the incident ${record.incident}`}`,
    );
  if (!record.healthyAtEnd) refusals.push('the dry run did not end healthily');
  const ageMs = wanted.nowMs - record.untilMs;
  if (ageMs < 0) refusals.push('the evidence is from the future');
  else if (ageMs > READINESS_MAX_AGE_MS)
    refusals.push(
      `the evidence is ${Math.floor(ageMs / 3_600_000)} hours old, more than ${READINESS_MAX_AGE_MS / 3_600_000}`,
    );
  return refusals;
};
