/** Supervisor and every worker. Small, never queued behind data: it has a port of its own. */
import type { MessagePort } from 'node:worker_threads';
import type { ControlState, HoldCleared, HoldWanted, LeaseRenewed } from '../domain/safety.js';
import type { ActorName } from '../domain/step.js';
import { ledgerRefusalIn } from './ledger-refusal.js';

/** A fresh channel to a peer, at start and whenever that peer was restarted. Replaces an earlier one. */
export interface PeerConnected {
  readonly type: 'peer-connected';
  readonly peer: ActorName;
  readonly incarnation: number;
  readonly port: MessagePort;
}

/** The peer is gone: everything asked of it and not answered has failed. */
export interface PeerLost {
  readonly type: 'peer-lost';
  readonly peer: ActorName;
}

/** An operator's act that a worker must carry out: pull every own resting order. */
export interface CancelAllOrdered {
  readonly type: 'cancel-all-ordered';
  readonly reason: string;
}

/** To the workers that sign, and to nobody else: prove this key by a signed read, and go on with the one in use. */
export interface KeyOffered {
  readonly type: 'key-offered';
  readonly credentials: { readonly apiKey: string; readonly apiSecret: string };
}

/** The offered key has been proven by every worker that signs: sign with it from now on. */
export interface KeyAdopted {
  readonly type: 'key-adopted';
}

/** Forget the offered key. */
export interface KeyDropped {
  readonly type: 'key-dropped';
}

export type ToWorker =
  | ControlState
  | LeaseRenewed
  | PeerConnected
  | PeerLost
  | CancelAllOrdered
  | KeyOffered
  | KeyAdopted
  | KeyDropped;

/** Sign of life, every `BEAT_INTERVAL_MS`. */
export interface Beat {
  readonly type: 'beat';
  readonly monoMs: number;
  /** Messages waiting in this worker's mailboxes. */
  readonly queued: number;
  readonly dropped: number;
  readonly eventLoopDelayMs: number;
}

/** Facts for `btcbot status`, replaced as a whole by each report; plain JSON values, amounts as decimal text. */
export interface StatusReported {
  readonly type: 'status-reported';
  readonly facts: Readonly<Record<string, unknown>>;
}

/** The worker has nothing more to do by itself: a recording has been played to its end. */
export interface WorkFinished {
  readonly type: 'work-finished';
  readonly reason: string;
}

/** The venue has answered a read that was signed with the offered key. */
export interface KeyVerified {
  readonly type: 'key-verified';
}

/** It has not, and why. */
export interface KeyRefused {
  readonly type: 'key-refused';
  readonly reason: string;
}

/** The venue has answered a request of this worker with 429. Each reply is told: whoever asked, they add up. */
export interface Throttled {
  readonly type: 'throttled';
  /** Method and path. */
  readonly request: string;
}

export type FromWorker =
  | Beat
  | HoldWanted
  | HoldCleared
  | StatusReported
  | WorkFinished
  | Throttled
  | KeyVerified
  | KeyRefused;

/** Exit codes a worker may choose for a first start that fails (design: processes and commands). */
export type StartExitCode = 1 | 2 | 3 | 5;

const START_REFUSED = 'StartRefused';

/**
 * A worker cannot start; the message says what was found and what to do, in one line. The exit code is part of `name`,
 * because a comlink call carries only name, message and stack of an error.
 */
export class StartRefused extends Error {
  constructor(exitCode: StartExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = `${START_REFUSED}/${exitCode}`;
  }
}

/** What the process ends with after an error of start(), also one that has crossed a thread; 1 when it does not say. */
export const startExitCode = (error: unknown): number => {
  if (!(error instanceof Error)) return 1;
  const refused = new RegExp(`^${START_REFUSED}/([1235])$`).exec(error.name)?.[1];
  return refused === undefined ? (ledgerRefusalIn(error)?.exitCode ?? 1) : Number(refused);
};

/**
 * The control surface every worker exposes through comlink, on a port of its own. The supervisor puts a deadline
 * and an exit race around each call (a call to a dead worker never settles).
 */
export interface WorkerControl {
  /** Begin work. Resolves when the actor may be used, with facts other actors need (a URL, an epoch). */
  start(): Promise<Readonly<Record<string, string>>>;
  /** Take nothing new, finish what is in flight, flush, let go of every handle. The worker then exits by itself. */
  drain(): Promise<void>;
  /** The brain's state, for people. */
  snapshot(): Promise<unknown>;
  health(): Promise<{ readonly ok: boolean; readonly detail: string }>;
}
