/**
 * A database in memory that outlives the workers and processes which have it open: what was committed when one of them
 * ended is what the next one opens.
 */
import SqliteDatabase, { type Database, type Statement } from 'better-sqlite3';
import type { LedgerRecord, LedgerSnapshot } from '../domain/ledger-records.js';
import type { Mode } from '../domain/safety.js';
import { type Ledger, LedgerBroken, openLedger } from '../ledger/store.js';

export interface KeptLedger {
  /** Opens the database for a new incarnation of the ledger worker. */
  open(): Ledger;
  /** Whoever had it open is gone; what was not committed is lost. */
  crash(): void;
  /** The whole database as it is committed now. */
  bytes(): Buffer;
  /** What a worker that starts now would be told. */
  snapshot(): LedgerSnapshot;
}

/** What becomes of one commit on the simulated disk. */
export type CommitFate =
  | { readonly type: 'done' }
  /** The disk refuses it, or its sync fails: nobody is promised anything. `kept`: it is in the file all the same. */
  | { readonly type: 'fails'; readonly reason: 'full' | 'sync'; readonly kept: boolean }
  /** The power goes while it is written: a torn group is none, a whole one is there. */
  | { readonly type: 'dies'; readonly kept: boolean; kill(): void };

export const DONE: CommitFate = { type: 'done' };

/** Asked at every commit, with the records in it; none where the ledger writes for itself. */
export type CommitFates = (batches: readonly (readonly LedgerRecord[])[]) => CommitFate;

/** A run of minutes writes many, and every restart goes on from one. */
const OFTEN = { keep: 4, every: 8 };

const FAILURES = {
  full: ['database or disk is full', 'SQLITE_FULL'],
  sync: ['disk I/O error', 'SQLITE_IOERR_FSYNC'],
} as const;

/**
 * A ledger on a disk that may fail. After a failed commit nothing is taken until a recovery has found the disk sound, as
 * with the real file; what a failed sync has left there may be there or not.
 */
const onFaultyDisk = (ledger: Ledger, fateOf: CommitFates): Ledger => {
  let broken = false;
  const commit = <T>(
    work: () => T,
    nobodyHears: () => T,
    batches: readonly (readonly LedgerRecord[])[] = [],
  ): T => {
    if (broken) throw new LedgerBroken('the last commit failed and the file has not been proven sound since');
    const fate = fateOf(batches);
    switch (fate.type) {
      case 'done':
        return work();
      case 'fails': {
        if (fate.kept) work();
        broken = true;
        const [message, code] = FAILURES[fate.reason];
        throw new SqliteDatabase.SqliteError(message, code);
      }
      case 'dies':
        if (fate.kept) work();
        fate.kill();
        return nobodyHears();
    }
  };
  return {
    ...ledger,
    appendGroup: batches =>
      commit(
        () => ledger.appendGroup(batches),
        () => batches.map(() => ({ ok: true, findings: [] })),
        batches,
      ),
    nextEpoch: wallMs =>
      commit(
        () => ledger.nextEpoch(wallMs),
        () => 0,
      ),
    recover: () => {
      broken = false;
      try {
        commit(
          () => {},
          () => {},
        );
      } catch (error) {
        broken = true;
        throw error;
      }
    },
  };
};

/** Settings of a connection alone, which stay as they were set. Setting one again has every statement prepared anew. */
const STAYS_SET = /^(?:mmap_size|cache_size|cell_size_check|temp_store|fullfsync|checkpoint_fullfsync) = /;

/**
 * One connection for the life of a world: whoever opens the ledger anew prepares the same statements and sets the same
 * settings, so these are kept. Memory is read as it was written, so that the check of a file for damage, whose cost grows
 * with every simulated hour, is left out.
 */
const connectForGood = (): Database => {
  const db = new SqliteDatabase(':memory:');
  const prepared = new Map<string, Statement>();
  const set = new Set<string>();
  const prepare = db.prepare.bind(db);
  const pragma = db.pragma.bind(db);
  return Object.assign(db, {
    prepare: (source: string): Statement => {
      let statement = prepared.get(source);
      if (statement === undefined) {
        statement = prepare(source);
        prepared.set(source, statement);
      }
      return statement;
    },
    pragma: (source: string, options?: { readonly simple?: boolean }): unknown => {
      if (source.startsWith('integrity_check')) return [{ integrity_check: 'ok' }];
      if (!STAYS_SET.test(source)) return pragma(source, options);
      if (set.has(source)) return [];
      set.add(source);
      return pragma(source, options);
    },
  });
};

export const createKeptLedger = (
  mode: Mode,
  instance: string,
  fateOf: CommitFates = () => DONE,
): KeptLedger => {
  const db = connectForGood();
  let opened: Ledger | null = null;
  const open = (): Ledger =>
    openLedger({ path: ':memory:', mode, instance, checkpoints: OFTEN, connect: () => db });
  /** Nobody has it open: what a transaction had not committed is gone. */
  const letGo = (): void => {
    if (db.inTransaction) db.exec('ROLLBACK');
    opened = null;
  };
  return {
    open: () => {
      letGo();
      const ledger = open();
      opened = ledger;
      const whileOpen = (batches: Parameters<CommitFates>[0]): CommitFate => {
        if (opened !== ledger) throw new Error('a ledger that was let go is written');
        return fateOf(batches);
      };
      return {
        ...onFaultyDisk(ledger, whileOpen),
        close: () => {
          if (opened === ledger) letGo();
        },
      };
    },
    crash: letGo,
    bytes: () => db.serialize(),
    snapshot: () => {
      if (opened !== null) return opened.snapshot();
      const copy = new SqliteDatabase(db.serialize());
      try {
        return openLedger({ path: ':memory:', mode, instance, connect: () => copy }).snapshot();
      } finally {
        copy.close();
      }
    },
  };
};
