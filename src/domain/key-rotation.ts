/**
 * The rotation of the account's key in a running bot, as a step function: the new key is read by the shell, every worker that
 * signs proves it with a signed read of its own, and only when all have is the old one let go. Whatever goes wrong before
 * that leaves everything as it was. No value of a key passes through here.
 */
import type { ActorName } from './step.js';

/** A rotation that has not ended by then is given up: two reads of each signer, with their connections. */
export const KEY_ROTATION_WITHIN_MS = 20_000;

export interface KeyRotation {
  /** The operator's request that is to be answered. */
  readonly request: number;
  readonly deadlineMonoMs: number;
  readonly signers: readonly ActorName[];
  /** Signers that have not said yet what the venue says to the new key. */
  readonly waiting: Set<ActorName>;
  offered: boolean;
}

export type KeyRotationInput =
  /** The shell has found a key that differs from the one in use and that the policy allows. */
  | { readonly type: 'key-read' }
  | { readonly type: 'key-unreadable'; readonly reason: string }
  | { readonly type: 'key-verified'; readonly actor: ActorName }
  | { readonly type: 'key-refused'; readonly actor: ActorName; readonly reason: string }
  | { readonly type: 'signer-lost'; readonly actor: ActorName }
  | { readonly type: 'tick'; readonly monoMs: number };

export type KeyRotationVerdict =
  | { readonly type: 'wait' }
  /** Hand the new key to the signers, to be proven. */
  | { readonly type: 'offer' }
  /** Every signer has proven it: it is the key from now on. */
  | { readonly type: 'adopt' }
  /** The old key stays. */
  | { readonly type: 'give-up'; readonly reason: string };

const WAIT: KeyRotationVerdict = { type: 'wait' };
const giveUp = (reason: string): KeyRotationVerdict => ({ type: 'give-up', reason });

/** @param signers the workers that sign, all of them up */
export const beginKeyRotation = (
  request: number,
  signers: readonly ActorName[],
  monoMs: number,
): KeyRotation => ({
  request,
  deadlineMonoMs: monoMs + KEY_ROTATION_WITHIN_MS,
  signers,
  waiting: new Set(signers),
  offered: false,
});

/** What follows from an input; `adopt` and `give-up` end the rotation. */
export const stepKeyRotation = (rotation: KeyRotation, input: KeyRotationInput): KeyRotationVerdict => {
  switch (input.type) {
    case 'key-read':
      if (rotation.offered) return WAIT;
      rotation.offered = true;
      return { type: 'offer' };
    case 'key-unreadable':
      return rotation.offered ? WAIT : giveUp(input.reason);
    case 'key-verified':
      if (!rotation.offered || !rotation.waiting.delete(input.actor)) return WAIT;
      return rotation.waiting.size === 0 ? { type: 'adopt' } : WAIT;
    case 'key-refused':
      return rotation.offered && rotation.waiting.has(input.actor) ? giveUp(input.reason) : WAIT;
    case 'signer-lost':
      return rotation.signers.includes(input.actor)
        ? giveUp(`${input.actor} ended while the new key was being proven; try again when it is back`)
        : WAIT;
    case 'tick':
      return input.monoMs < rotation.deadlineMonoMs
        ? WAIT
        : giveUp(
            `the venue did not answer ${[...rotation.waiting].join(' and ')} within ${KEY_ROTATION_WITHIN_MS / 1_000} s`,
          );
  }
};
