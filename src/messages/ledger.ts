/** everyone → ledger. Appends are answered; the snapshot and the epoch are asked for once, at a worker's start. */
import type { AppendRequest, LedgerReply, LedgerSnapshot } from '../domain/ledger-records.js';

/** What the ledger knows, for a worker that starts. */
/** All fills (true), none (false), or those of orders that have not ended. */
export type FillScope = boolean | 'of-open-orders';

export interface SnapshotWanted {
  readonly type: 'snapshot-wanted';
  readonly request: number;
  /**
   * Which fills are wanted. All of them, when absent, for a worker that keeps accounts; those of open orders, or none:
   * that saves nearly all of the time that a long history takes.
   */
  readonly fills?: FillScope;
}

/** A new write epoch, durable before it is answered: part of every client order id of one execution incarnation. */
export interface EpochWanted {
  readonly type: 'epoch-wanted';
  readonly request: number;
}

export interface SnapshotGiven {
  readonly type: 'snapshot-given';
  readonly request: number;
  readonly snapshot: LedgerSnapshot;
}

export interface EpochGiven {
  readonly type: 'epoch-given';
  readonly request: number;
  readonly epoch: number;
}

export type ToLedger = AppendRequest | SnapshotWanted | EpochWanted;
export type FromLedger = LedgerReply | SnapshotGiven | EpochGiven;
