import type { ControlState } from './safety.js';
import type { Now } from './step.js';
import type { VenueWrite } from './venue-port.js';

/** Who wants a cancel; under the kill switch only the operator's hand may (design: safety state). */
export type CancelOrigin = 'strategy' | 'hold' | 'operator' | 'stop';

/** How far each one's hand reaches; the strongest of those who want an order ended counts. */
export const CANCEL_RANK: Readonly<Record<CancelOrigin, number>> = {
  strategy: 0,
  hold: 1,
  stop: 2,
  operator: 3,
};

/** What a write was allowed on. Crosses no thread: the execution brain makes it, the fence reads it. */
export interface WriteApproval {
  /** {@link ControlState.epoch} under which the write was judged. */
  readonly epoch: number;
  /** Monotonic ms after which the decision is too old to act on; Infinity for a cancel. */
  readonly validUntilMonoMs: number;
  /** The intent is on disk. Always true for a cancel, whose order was journaled long before. */
  readonly journaled: boolean;
  readonly origin: CancelOrigin;
}

/** Why the fence lets nothing through, strictest first. */
export const FENCE_REASONS = [
  'no-control-state',
  'lease-expired',
  'submit-forbidden',
  'cancel-forbidden',
  'symbol-blocked',
  'epoch-changed',
  'not-journaled',
  'decision-expired',
] as const;
export type FenceReason = (typeof FENCE_REASONS)[number];

export interface FenceInput {
  readonly now: Now;
  /** The newest word of the supervisor, after the control port was drained; null before the first. */
  readonly control: ControlState | null;
  readonly leaseUntilMonoMs: number;
  readonly approval: WriteApproval;
  readonly write: VenueWrite;
}

/**
 * The last check before a write's first byte, after every queue, wait and commit (design: the fence).
 * @returns null when the write may leave, else why not.
 */
export const checkFence = (input: FenceInput): FenceReason | null => {
  const { now, control, approval, write } = input;
  if (control === null) return 'no-control-state';
  if (!(now.monoMs < input.leaseUntilMonoMs)) return 'lease-expired';
  if (write.type === 'cancel') return mayCancelUnder(control, approval.origin) ? null : 'cancel-forbidden';
  if (!maySubmitUnder(control)) return 'submit-forbidden';
  if (control.blockedSymbols.includes(write.terms.symbol)) return 'symbol-blocked';
  if (approval.epoch !== control.epoch) return 'epoch-changed';
  if (approval.journaled !== true) return 'not-journaled';
  if (!(now.monoMs <= approval.validUntilMonoMs)) return 'decision-expired';
  return null;
};

/** Whether new orders may be sent. The state is asked beside the flag, so that neither alone can open the way. */
export const maySubmitUnder = (control: ControlState): boolean =>
  control.maySubmit && (control.state === 'live' || control.state === 'dry-run');

/** Whether an order may be canceled on behalf of `origin`. */
export const mayCancelUnder = (control: ControlState, origin: CancelOrigin): boolean => {
  if (control.state === 'observe-only') return false;
  if (control.state === 'killed') return origin === 'operator';
  return control.mayCancel;
};
