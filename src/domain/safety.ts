import type { ActorName, Traced } from './step.js';

/** From strictest to freest (design: safety state). Computed from mode flags and holds, never set. */
export const TRADING_STATES = ['observe-only', 'killed', 'dry-run', 'cancel-only', 'paused', 'live'] as const;
export type TradingState = (typeof TRADING_STATES)[number];

/** Every cause that can hold trading. */
export const HOLD_CAUSES = [
  'starting',
  'operator',
  'rest-429',
  'ws-reconnect',
  'stale-data',
  'book-untrusted',
  'reconcile-lag',
  'unknown-outcome',
  'foreign-order',
  'invariant',
  'auth',
  'reject-storm',
  'repeat-execution',
  'loss-limit',
  'clock-skew',
  'ledger',
  'restart-storm',
  'lease',
  'worker-down',
] as const;
export type HoldCause = (typeof HOLD_CAUSES)[number];

/** A named reason not to trade. */
export interface Hold {
  /** `cause` or `cause:subject`; one hold per key. */
  readonly key: string;
  readonly cause: HoldCause;
  /** What it concerns: a symbol, a worker, an order; empty for everything. */
  readonly subject: string;
  /** The facts, for people. */
  readonly detail: string;
  readonly placedAtMs: number;
}

export const holdKey = (cause: HoldCause, subject: string): string =>
  subject === '' ? cause : `${cause}:${subject}`;

/** Subject of the `invariant` hold that stands while a worker leaves out what may be money. */
export const poisonSubject = (actor: ActorName): string => `poison:${actor}`;

/** An actor's detector asks for a hold; the supervisor owns the set. Idempotent per key. */
export interface HoldWanted extends Traced {
  readonly type: 'hold-wanted';
  readonly holdCause: HoldCause;
  readonly subject: string;
  readonly detail: string;
}

/** An actor's detector says that its condition has passed; the cause's release rule decides what follows. */
export interface HoldCleared extends Traced {
  readonly type: 'hold-cleared';
  readonly holdCause: HoldCause;
  readonly subject: string;
  readonly detail: string;
}

/** Whether writes go to the venue for real money, to the embedded or simulated venue, or nowhere. */
export type Mode = 'live' | 'paper' | 'dry-run';

/** The safety state as the supervisor tells everyone, whole, at every change. */
export interface ControlState {
  readonly type: 'control-state';
  /** Raised at each change, so that an approval given under an older state can be refused. */
  readonly epoch: number;
  readonly mode: Mode;
  readonly state: TradingState;
  readonly mayObserve: true;
  readonly maySubmit: boolean;
  readonly mayCancel: boolean;
  /** Symbols on which nothing new may be submitted although the whole may. */
  readonly blockedSymbols: readonly string[];
  /** Resting orders are to be pulled: all, none, or those of the given symbols. */
  readonly pull: 'all' | 'none' | readonly string[];
  readonly holds: readonly Hold[];
  readonly reasons: readonly string[];
}

/** The write lease: no write leaves after `untilMonoMs` unless it was renewed. */
export interface LeaseRenewed {
  readonly type: 'lease-renewed';
  readonly untilMonoMs: number;
}
