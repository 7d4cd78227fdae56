/**
 * The set of holds. Each key lives by itself: placing, trying or ending one never touches another. State of one key:
 *
 *   absent --wanted--> open --cleared--> trial --quiet for its length--> absent     (released by probe)
 *                        ^                 | wanted: open again, next trial twice as long
 *   absent --wanted--> open --cleared--> absent                                     (released by evidence)
 *   absent --wanted--> open --operator--> absent                                    (released by the operator)
 */
import { CAUSES, type CircuitState, MAX_TRIAL_MS } from './breaker.js';
import { HOLD_CAUSES, type Hold, type HoldCause, holdKey } from './safety.js';
import type { ActorName } from './step.js';

interface OpenHold {
  readonly hold: Hold;
  /** Whose detector asked for it last; null when it is from an earlier run. */
  readonly by: ActorName | null;
  /** Set during a half-open trial. */
  readonly trial: { readonly untilMonoMs: number } | null;
  readonly nextTrialMs: number;
}

/** Owned state; change it only through the functions below. */
export interface HoldSet {
  readonly open: Map<string, OpenHold>;
}

/** What became of a request. `unchanged` says that nothing had to be done. */
export type HoldChange =
  | { readonly type: 'placed'; readonly hold: Hold }
  | { readonly type: 'relapsed'; readonly hold: Hold }
  | { readonly type: 'trial-started'; readonly hold: Hold; readonly untilMonoMs: number }
  | { readonly type: 'released'; readonly hold: Hold }
  | { readonly type: 'refused'; readonly hold: Hold; readonly why: string }
  | { readonly type: 'unchanged' };

const UNCHANGED: HoldChange = { type: 'unchanged' };

export const emptyHolds = (): HoldSet => ({ open: new Map() });
export const holdsOf = (set: HoldSet): readonly Hold[] => [...set.open.values()].map(({ hold }) => hold);
export const hasHold = (set: HoldSet, cause: HoldCause, subject = ''): boolean =>
  set.open.has(holdKey(cause, subject));

/** Places a hold, or takes one that is on trial back to open. Idempotent: an open hold keeps its time, and takes the newest words. */
export const placeHold = (
  set: HoldSet,
  cause: HoldCause,
  subject: string,
  detail: string,
  by: ActorName,
  wallMs: number,
): HoldChange => {
  const key = holdKey(cause, subject);
  const existing = set.open.get(key);
  if (existing === undefined) {
    const hold: Hold = { key, cause, subject, detail, placedAtMs: wallMs };
    set.open.set(key, { hold, by, trial: null, nextTrialMs: CAUSES[cause].trialMs });
    return { type: 'placed', hold };
  }
  const hold: Hold = { ...existing.hold, detail };
  if (existing.trial === null) {
    set.open.set(key, { ...existing, hold });
    return UNCHANGED;
  }
  set.open.set(key, { hold, by, trial: null, nextTrialMs: Math.min(existing.nextTrialMs * 2, MAX_TRIAL_MS) });
  return { type: 'relapsed', hold };
};

/** Puts back a hold of an earlier run as it was. */
export const restoreHold = (set: HoldSet, hold: Hold): HoldChange => {
  if (set.open.has(hold.key)) return UNCHANGED;
  set.open.set(hold.key, { hold, by: null, trial: null, nextTrialMs: CAUSES[hold.cause].trialMs });
  return { type: 'placed', hold };
};

/** The detector says that its condition has passed; the cause's release rule decides what that means. */
export const clearHold = (set: HoldSet, cause: HoldCause, subject: string, monoMs: number): HoldChange => {
  const key = holdKey(cause, subject);
  const existing = set.open.get(key);
  if (existing === undefined) return UNCHANGED;
  switch (CAUSES[cause].releasedBy) {
    case 'evidence':
      set.open.delete(key);
      return { type: 'released', hold: existing.hold };
    case 'probe': {
      if (existing.trial !== null) return UNCHANGED;
      const untilMonoMs = monoMs + existing.nextTrialMs;
      set.open.set(key, { ...existing, trial: { untilMonoMs } });
      return { type: 'trial-started', hold: existing.hold, untilMonoMs };
    }
    case 'operator':
      return { type: 'refused', hold: existing.hold, why: 'only an operator may release it' };
    case 'supervisor':
      return { type: 'refused', hold: existing.hold, why: 'only the supervisor releases it' };
  }
};

/** Ends a hold by its key, for whoever the cause's rule names. */
export const releaseHold = (set: HoldSet, key: string, by: 'operator' | 'supervisor'): HoldChange => {
  const existing = set.open.get(key);
  if (existing === undefined) return UNCHANGED;
  if (CAUSES[existing.hold.cause].releasedBy !== by)
    return { type: 'refused', hold: existing.hold, why: `the ${by} may not release it` };
  set.open.delete(key);
  return { type: 'released', hold: existing.hold };
};

/** Ends the trials that stayed quiet for their whole length. */
export const passTrials = (set: HoldSet, monoMs: number): readonly HoldChange[] => {
  const changes: HoldChange[] = [];
  for (const [key, { hold, trial }] of set.open) {
    if (trial === null || monoMs < trial.untilMonoMs) continue;
    set.open.delete(key);
    changes.push({ type: 'released', hold });
  }
  return changes;
};

/**
 * A detector was replaced by a fresh one, which judges everything anew: what its predecessor's word could have ended
 * goes the same way as on that word. Holds that need an operator stay.
 */
export const clearHoldsOf = (set: HoldSet, actor: ActorName, monoMs: number): readonly HoldChange[] => {
  const changes: HoldChange[] = [];
  for (const { hold, by } of [...set.open.values()]) {
    if (by !== actor || hold.cause === 'starting') continue;
    const change = clearHold(set, hold.cause, hold.subject, monoMs);
    if (change.type !== 'refused') changes.push(change);
  }
  return changes;
};

/** Per cause, the worst state of its holds. */
export const circuitStates = (set: HoldSet): ReadonlyMap<HoldCause, CircuitState> => {
  const states = new Map<HoldCause, CircuitState>(HOLD_CAUSES.map(cause => [cause, 'closed']));
  for (const { hold, trial } of set.open.values()) {
    const state: CircuitState =
      CAUSES[hold.cause].releasedBy === 'operator' ? 'latched' : trial === null ? 'open' : 'half-open';
    // Holds of one cause share a rule, so only open and half-open can meet.
    if (states.get(hold.cause) !== 'open') states.set(hold.cause, state);
  }
  return states;
};
