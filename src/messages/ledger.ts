/** everyone → ledger. Appends are answered; the snapshot and the epoch are asked for once, at a worker's start. */
import type {
  AppendRequest,
  FillsGiven,
  FillsWanted,
  LedgerReply,
  LedgerSnapshot,
} from '../domain/ledger-records.js';

/** What the ledger knows, for a worker that starts. */
/** All fills (true), none (false), those of orders that have not ended, or those after the newest checkpoint, with it. */
export type FillScope = boolean | 'of-open-orders' | 'after-checkpoint';

export interface SnapshotWanted {
  readonly type: 'snapshot-wanted';
  readonly request: number;
  /**
   * Which fills are wanted: all of them, when absent. A worker that keeps accounts goes on from the checkpoint; those
   * of open orders, or none, save it too.
   */
  readonly fills?: FillScope;
  /** Whether the recent orders are wanted: they are limits' business alone, and a list of thousands at times. */
  readonly recentOrders?: boolean;
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

export type ToLedger = AppendRequest | SnapshotWanted | FillsWanted | EpochWanted;
export type FromLedger = LedgerReply | SnapshotGiven | FillsGiven | EpochGiven;
