/** Supervisor and every worker. Small, never queued behind data: it has a port of its own. */
import type { MessagePort } from 'node:worker_threads';
import type { ControlState, HoldCleared, HoldWanted, LeaseRenewed } from '../domain/safety.js';
import type { ActorName } from '../domain/step.js';

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

export type ToWorker = ControlState | LeaseRenewed | PeerConnected | PeerLost | CancelAllOrdered;

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

export type FromWorker = Beat | HoldWanted | HoldCleared | StatusReported | WorkFinished;

/** What became of start(). A failure crosses the thread as facts, because a thrown error would lose its fields. */
export type StartOutcome =
  | { readonly ok: true; readonly facts: Readonly<Record<string, string>> }
  | {
      readonly ok: false;
      readonly reason: string;
      /** What the process ends with when this was the first start (design: exit codes). */
      readonly exitCode: number;
    };

/**
 * The control surface every worker exposes through comlink, on a port of its own. The supervisor puts a deadline
 * and an exit race around each call (a call to a dead worker never settles).
 */
export interface WorkerControl {
  /** Begin work. Resolves when the actor may be used, with facts other actors need (a URL, an epoch). */
  start(): Promise<StartOutcome>;
  /** Take nothing new, finish what is in flight, flush, let go of every handle. The worker then exits by itself. */
  drain(): Promise<void>;
  /** The brain's state, for people. */
  snapshot(): Promise<unknown>;
  health(): Promise<{ readonly ok: boolean; readonly detail: string }>;
}
