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

type Open = SupervisorState['holds']['open'];
/** As the supervisor keeps it: an entry is replaced, and never changed. */
type Standing = Open extends ReadonlyMap<string, infer Entry> ? Entry : never;

/** Inputs after which a worker's detectors are new: what the old ones could have ended ends on them. */
const REPLACES_DETECTORS: ReadonlySet<SupervisorInput['type']> = new Set([
  'worker-exited',
  'worker-ready',
  'worker-start-failed',
]);

const NOBODY: ReadonlySet<string> = new Set();

const drainingIn = ({ children }: SupervisorState): ReadonlySet<string> => {
  let draining: Set<string> | null = null;
  for (const { status, rule } of children)
    if (status === 'draining') {
      draining ??= new Set();
      draining.add(rule.actor);
    }
  return draining ?? NOBODY;
};

/** Whether every hold stands as it stood; most steps of the supervisor touch none. */
const isSame = (open: Open, standing: ReadonlyMap<string, Standing>): boolean => {
  if (open.size !== standing.size) return false;
  for (const [key, entry] of open) if (standing.get(key) !== entry) return false;
  return true;
};

export const createHoldRules = (violated: (words: string) => never): HoldRules => {
  let standing: ReadonlyMap<string, Standing> = new Map();
  /** Times of each worker's crashes inside the window. */
  const crashes = new Map<string, number[]>();
  /** Workers that were told to stop before this step: however they end, nobody restarts them for it. */
  let draining: ReadonlySet<string> = NOBODY;

  const mayEnd = ({ hold, by, trial }: Standing, input: SupervisorInput, monoMs: number): boolean => {
    switch (CAUSES[hold.cause].releasedBy) {
      case 'operator':
        return (
          input.type === 'command' && input.command.type === 'safe-mode-off' && input.command.key === hold.key
        );
      case 'evidence':
        return (
          hold.cause === 'starting' ||
          // It noticed by itself, and ends it when it sees that all is well.
          (by === 'supervisor' && input.type === 'tick') ||
          REPLACES_DETECTORS.has(input.type) ||
          (input.type === 'hold-cleared' && holdKey(input.holdCause, input.subject) === hold.key)
        );
      case 'probe':
        return trial !== null && monoMs >= trial.untilMonoMs;
      case 'supervisor':
        return true;
    }
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
      standing = new Map(state.holds.open);
    },
    onStep: (input, state, monoMs) => {
      if (input.type === 'hold-wanted' && !state.holds.open.has(holdKey(input.holdCause, input.subject)))
        violated(`hold ${holdKey(input.holdCause, input.subject)} was asked for and does not stand`);
      if (!isSame(state.holds.open, standing)) {
        for (const [key, was] of standing)
          if (!state.holds.open.has(key) && !mayEnd(was, input, monoMs))
            violated(`hold ${key} ended on ${input.type}, which may not end it`);
        standing = new Map(state.holds.open);
      }
      watchCrashes(input, state, monoMs);
      draining = drainingIn(state);
    },
  };
};
