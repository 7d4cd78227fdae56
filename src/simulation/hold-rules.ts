/**
 * The rules of holds, watched from outside the supervisor's brain: a hold that was asked for stands in the same step, one
 * that ends does so by whoever may end its cause and alone, what survives a restart stands at the next start, and a
 * worker that crashed too often stays down.
 */
import { CAUSES } from '../domain/breaker.js';
import { type Hold, holdKey } from '../domain/safety.js';
import type { SupervisorInput, SupervisorState } from '../domain/supervisor.js';
import { CRASH_LIMIT, CRASH_WINDOW_MS } from '../runtime/limits.js';

export interface HoldRules {
  /** A process starts with these latched. */
  onBoot(latched: readonly Hold[], state: SupervisorState): void;
  /** The supervisor has taken a step. */
  onStep(input: SupervisorInput, state: SupervisorState, monoMs: number): void;
}

interface Standing {
  readonly hold: Hold;
  /** The supervisor noticed by itself, and ends it when it sees that all is well. */
  readonly bySupervisor: boolean;
  /** When its half-open trial ends; null without one. */
  readonly trialUntilMonoMs: number | null;
}

/** Inputs after which a worker's detectors are new: what the old ones could have ended ends on them. */
const REPLACES_DETECTORS: ReadonlySet<SupervisorInput['type']> = new Set([
  'worker-exited',
  'worker-ready',
  'worker-start-failed',
]);

const NONE: ReadonlyMap<string, Standing> = new Map();
const NOBODY: ReadonlySet<string> = new Set();

const drainingIn = ({ children }: SupervisorState): ReadonlySet<string> => {
  const draining = children.filter(({ status }) => status === 'draining');
  return draining.length === 0 ? NOBODY : new Set(draining.map(({ rule }) => rule.actor));
};

export const createHoldRules = (violated: (words: string) => never): HoldRules => {
  let standing = NONE;
  /** Times of each worker's crashes inside the window. */
  const crashes = new Map<string, number[]>();
  /** Workers that were told to stop before this step: however they end, nobody restarts them for it. */
  let draining: ReadonlySet<string> = NOBODY;

  const mayEnd = (
    { hold, bySupervisor, trialUntilMonoMs }: Standing,
    input: SupervisorInput,
    monoMs: number,
  ): boolean => {
    switch (CAUSES[hold.cause].releasedBy) {
      case 'operator':
        return (
          input.type === 'command' && input.command.type === 'safe-mode-off' && input.command.key === hold.key
        );
      case 'evidence':
        return (
          hold.cause === 'starting' ||
          (bySupervisor && input.type === 'tick') ||
          REPLACES_DETECTORS.has(input.type) ||
          (input.type === 'hold-cleared' && holdKey(input.holdCause, input.subject) === hold.key)
        );
      case 'probe':
        return trialUntilMonoMs !== null && monoMs >= trialUntilMonoMs;
      case 'supervisor':
        return true;
    }
  };

  const read = (state: SupervisorState): ReadonlyMap<string, Standing> => {
    if (state.holds.open.size === 0) return NONE;
    const now = new Map<string, Standing>();
    for (const [key, { hold, by, trial }] of state.holds.open)
      now.set(key, {
        hold,
        bySupervisor: by === 'supervisor',
        trialUntilMonoMs: trial?.untilMonoMs ?? null,
      });
    return now;
  };

  const watchCrashes = (input: SupervisorInput, state: SupervisorState, monoMs: number): void => {
    if (input.type === 'command') crashes.clear();
    if (input.type !== 'worker-exited' || input.error === null || state.stop !== null) return;
    if (draining.has(input.actor)) return;
    const recent = (crashes.get(input.actor) ?? []).filter(at => monoMs - at < CRASH_WINDOW_MS);
    recent.push(monoMs);
    crashes.set(input.actor, recent);
    const child = state.children.find(({ rule }) => rule.actor === input.actor);
    if (recent.length >= CRASH_LIMIT && child?.status !== 'given-up')
      violated(`${input.actor} crashed ${recent.length} times within its window and is not given up`);
  };

  return {
    onBoot: (latched, state) => {
      crashes.clear();
      draining = NOBODY;
      for (const { key, cause } of latched)
        if (CAUSES[cause].survivesRestart && !state.holds.open.has(key))
          violated(`hold ${key} did not survive the restart`);
      standing = read(state);
    },
    onStep: (input, state, monoMs) => {
      if (input.type === 'hold-wanted' && !state.holds.open.has(holdKey(input.holdCause, input.subject)))
        violated(`hold ${holdKey(input.holdCause, input.subject)} was asked for and does not stand`);
      for (const [key, was] of standing)
        if (!state.holds.open.has(key) && !mayEnd(was, input, monoMs))
          violated(`hold ${key} ended on ${input.type}, which may not end it`);
      watchCrashes(input, state, monoMs);
      standing = read(state);
      draining = drainingIn(state);
    },
  };
};
