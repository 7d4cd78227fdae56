import type { AppendRequest } from './ledger-records.js';
import type { HoldCleared, HoldWanted } from './safety.js';
import type { LogEffect, MetricEffect } from './step.js';

/** A message for a peer. */
export interface Tell<To extends string, Message> {
  readonly type: 'tell';
  readonly to: To;
  readonly message: Message;
}

/** Effects every actor may have; performed by runtime/perform.ts, and by the simulator. */
export type CommonEffect =
  | LogEffect
  | MetricEffect
  /** A detector's word to the supervisor. */
  | { readonly type: 'hold'; readonly message: HoldWanted | HoldCleared }
  /** Facts for the ledger. */
  | { readonly type: 'append'; readonly request: AppendRequest }
  /** The actor's part of `btcbot status`, as plain JSON. */
  | { readonly type: 'status'; readonly facts: Readonly<Record<string, unknown>> };
