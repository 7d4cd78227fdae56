/**
 * The ledger: an append-only record of orders, fills, balances, holds and decisions in one SQLite file. Synchronous;
 * used by the ledger worker, by the simulator (in memory) and by tests. It reads no clock and, given an instance id, no
 * randomness: the same appends in the same groups give the same bytes.
 *
 * - A group is one transaction. It is on the disk when the call returns (`synchronous=FULL`), or not at all.
 * - After a failed commit nothing is accepted until {@link Ledger.recover} has succeeded.
 */
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import SqliteDatabase, { type Database } from 'better-sqlite3';
import type { LedgerRecord, LedgerSnapshot } from '../domain/ledger-records.js';
import type { Fill } from '../domain/order.js';
import type { Mode } from '../domain/safety.js';
import type { FillScope } from '../messages/ledger.js';
import { LedgerRefused } from '../messages/ledger-refusal.js';
import { backUp } from './backup.js';
import { bookCheckpoints, CHECKPOINT_SIZES, type CheckpointSizes } from './book-checkpoints.js';
import {
  asRefusal,
  type Connect,
  checkIntegrity,
  connectSqlite,
  type IntegrityCheck,
  openConnection,
} from './connection.js';
import { type OwnerLock, prepareFile, takeOwnership } from './ledger-file.js';
import { MIGRATIONS, type Migration, migrate, schemaVersionOf } from './migrations.js';
import { APPLICATION_ID } from './schema.js';
import { readFillsOf, readOpeningAt, readSnapshot } from './snapshot.js';
import { isBusy, isConstraint } from './sqlite-errors.js';
import { type Finding, LedgerRecordError, type Writer, writerFor } from './writer.js';

/** 2020-01-01 UTC. */
const EPOCHS_FROM_MS = 1_577_836_800_000;

export interface OpenLedgerOptions {
  /** A file, or `:memory:`. */
  readonly path: string;
  readonly mode: Mode;
  /** Id of a new database; random when absent. Existing databases keep theirs. */
  readonly instance?: string;
  readonly connect?: Connect;
  readonly migrations?: readonly Migration[];
  readonly checkpoints?: CheckpointSizes;
}

/** What became of one batch of a group. */
export type BatchOutcome =
  | { readonly ok: true; readonly findings: readonly Finding[] }
  /** The batch contradicts the ledger or its rules; nothing of it was written, the rest of the group was. */
  | { readonly ok: false; readonly reason: string };

/** The last commit failed and the file has not been proven sound since. */
export class LedgerBroken extends Error {
  override readonly name = 'LedgerBroken';
}

export interface Ledger {
  readonly path: string;
  readonly mode: Mode;
  readonly instance: string;
  /** Counts the openings of this database; stamped on orders, transitions and audit lines. */
  readonly run: number;
  readonly schemaVersion: number;
  readonly integrity: IntegrityCheck;
  /** For people: something about the file's place that may cost them the ledger; null when fine. */
  readonly warning: string | null;
  /** The copy taken before a migration, or null. */
  readonly migrationBackup: string | null;
  /**
   * Writes one batch durably.
   * @throws LedgerRecordError when the records contradict the ledger; SQLite's error when the disk fails.
   */
  append(records: readonly LedgerRecord[]): readonly Finding[];
  /** Writes several batches in one commit. @throws SQLite's error when the disk fails: nothing was written then. */
  appendGroup(batches: readonly (readonly LedgerRecord[])[]): readonly BatchOutcome[];
  /** Everything a restarted bot knows, with the fills and the recent orders that are wanted; all, without a scope. */
  snapshot(scope?: { readonly fills: FillScope; readonly recentOrders?: boolean }): LedgerSnapshot;
  /** Every fill of a symbol, in order of execution. */
  fillsOf(symbol: string): readonly Fill[];
  /**
   * Writes a checkpoint of the books when it is time for one; `soon` when the ledger is about to be closed.
   * @returns the place it holds for, or null.
   * @throws SQLite's error when the disk fails: nothing was written then.
   */
  keepBooks(soon?: boolean): number | null;
  /** Why checkpoints were not used, since the last question; for people. */
  checkpointComplaints(): readonly string[];
  /**
   * The next write epoch, durable when this returns: one more than the last, and at least the seconds from 2020 to
   * `wallMs`. A restored backup does not know the epochs that were given after it was made: the clock has passed them,
   * so that no label is ever given twice.
   */
  nextEpoch(wallMs?: number): number;
  /**
   * Moves the write-ahead log into the database: `passive` as far as readers allow, `truncate` wholly.
   * @returns whether all of it was moved.
   */
  checkpoint(kind: 'passive' | 'truncate'): boolean;
  /** Bytes in the write-ahead log. */
  walBytes(): number;
  /** Whether the file is still the one at its path: what is written into a removed file is lost with this process. */
  inPlace(): boolean;
  /**
   * After a failed commit: a new connection, an integrity check, a complete checkpoint and a commit that succeeds.
   * The failed fsync is never repeated as if it had only been late: the system may have marked the lost pages clean, so
   * everything still in the write-ahead log is written again into the database and synced there.
   * @throws what is still wrong.
   */
  recover(): void;
  /** A consistent copy of the database in a new file. */
  backup(target: string): Promise<void>;
  /** The database as bytes. */
  serialize(): Buffer;
  /** Checkpoints and lets go of file and ownership. */
  close(): void;
}

/**
 * Opens or creates a ledger.
 * @throws LedgerRefused with a reason (see LEDGER_REFUSALS) and words for the operator.
 */
export const openLedger = (options: OpenLedgerOptions): Ledger => {
  const { path, mode } = options;
  const connect = options.connect ?? connectSqlite;
  const inMemory = path === ':memory:';
  const warning = inMemory ? null : prepareFile(path);
  const owner: OwnerLock | null = inMemory ? null : takeOwnership(path);
  let db: Database | undefined;
  try {
    db = openConnection(path, connect);
    refuseOtherMode(db, path, mode);
    const integrity = checkIntegrity(db, path);
    const migrationBackup = migrate(db, inMemory ? null : path, options.migrations ?? MIGRATIONS);
    const lastRecordAtMs = newestRecordAt(db);
    const { instance, run } = beginRun(db, mode, options.instance);
    assertDurable(db, path);
    return ledgerOn(db, {
      path,
      mode,
      connect,
      owner,
      instance,
      run,
      integrity,
      warning,
      migrationBackup,
      lastRecordAtMs,
      checkpoints: options.checkpoints ?? CHECKPOINT_SIZES,
    });
  } catch (error) {
    db?.close();
    owner?.release();
    throw asRefusal(error, path);
  }
};

interface Opened {
  readonly path: string;
  readonly mode: Mode;
  readonly connect: Connect;
  readonly owner: OwnerLock | null;
  readonly instance: string;
  readonly run: number;
  readonly integrity: IntegrityCheck;
  readonly warning: string | null;
  readonly migrationBackup: string | null;
  readonly lastRecordAtMs: number;
  readonly checkpoints: CheckpointSizes;
}

const ledgerOn = (first: Database, opened: Opened): Ledger => {
  let db = first;
  let writer: Writer = writerFor(db, opened.run);
  let brackets = bracketsOf(db);
  let broken = false;
  const inMemory = opened.path === ':memory:';
  const place = fileAt(opened.path);
  const checkpoints = bookCheckpoints(
    () => db,
    opened.instance,
    () => readOpeningAt(db),
    opened.checkpoints,
  );

  const mustBeSound = (): void => {
    if (broken) throw new LedgerBroken('the last commit failed and the file has not been proven sound since');
  };

  /** One durable transaction. Any failure but a foreign lock leaves the ledger broken. */
  const commit = <T>(work: () => T): T => {
    mustBeSound();
    checkpoints.grown();
    try {
      brackets.begin.run();
      const result = work();
      brackets.commit.run();
      return result;
    } catch (error) {
      if (error instanceof LedgerRecordError) {
        db.exec('ROLLBACK');
        throw error;
      }
      broken = !isBusy(error);
      if (db.open && db.inTransaction) db.exec('ROLLBACK');
      throw error;
    }
  };

  const writeBatch = (records: readonly LedgerRecord[]): BatchOutcome => {
    brackets.savepoint.run();
    try {
      const findings = writer.write(records);
      brackets.release.run();
      return { ok: true, findings };
    } catch (error) {
      // Anything but a failing disk is the batch's own fault: a broken rule, a value that is none.
      if (error instanceof SqliteDatabase.SqliteError && !isConstraint(error)) throw error;
      db.exec('ROLLBACK TO batch');
      db.exec('RELEASE batch');
      return { ok: false, reason: error instanceof Error ? error.message : String(error) };
    }
  };

  const checkpoint: Ledger['checkpoint'] = kind => {
    if (inMemory) return true;
    const [row] = db.pragma(`wal_checkpoint(${kind})`) as readonly {
      readonly busy: number;
      readonly log: number;
      readonly checkpointed: number;
    }[];
    return row !== undefined && row.busy === 0 && row.log === row.checkpointed;
  };

  const inPlace = (): boolean => fileAt(opened.path) === place;

  return {
    path: opened.path,
    mode: opened.mode,
    instance: opened.instance,
    run: opened.run,
    schemaVersion: schemaVersionOf(db),
    integrity: opened.integrity,
    warning: opened.warning,
    migrationBackup: opened.migrationBackup,
    append(records) {
      const outcome = commit(() => writeBatch(records));
      if (!outcome.ok) throw new LedgerRecordError(outcome.reason);
      return outcome.findings;
    },
    appendGroup: batches => commit(() => batches.map(writeBatch)),
    snapshot: ({ fills, recentOrders = false } = { fills: true, recentOrders: true }) => {
      const books = fills === 'after-checkpoint' ? checkpoints.newest : null;
      return readSnapshot(db, {
        instance: opened.instance,
        lastRecordAtMs: opened.lastRecordAtMs,
        fills,
        recentOrders,
        books,
      });
    },
    fillsOf: symbol => readFillsOf(db, symbol),
    keepBooks(soon = false) {
      mustBeSound();
      const placed = checkpoints.next(soon);
      if (placed === null) return null;
      commit(() => checkpoints.write(placed));
      checkpoints.written(placed);
      return placed.throughSeq;
    },
    checkpointComplaints: () => checkpoints.complaints(),
    nextEpoch: (wallMs = 0) =>
      commit(() => countUp(db, 'epoch', Math.max(1, Math.floor((wallMs - EPOCHS_FROM_MS) / 1_000)))),
    checkpoint,
    walBytes: () => (inMemory ? 0 : (statSync(`${opened.path}-wal`, { throwIfNoEntry: false })?.size ?? 0)),
    inPlace,
    recover() {
      // The open handle may be the last way to a removed file: it is not closed for another one.
      if (!inPlace())
        throw new LedgerBroken(`${opened.path} is not the file that was opened: put it back in its place`);
      if (inMemory) throw new LedgerBroken('a ledger in memory cannot be opened again');
      broken = true;
      if (db.open) db.close();
      db = openConnection(opened.path, opened.connect);
      checkIntegrity(db, opened.path);
      if (schemaVersionOf(db) === 0 || metaOf(db, 'instance') !== opened.instance)
        throw new LedgerBroken(`${opened.path} does not hold the books that were opened: put them back`);
      if (!checkpoint('truncate'))
        throw new LedgerBroken(
          'a reader keeps the write-ahead log in use: close it so that the log can be emptied',
        );
      writer = writerFor(db, opened.run);
      brackets = bracketsOf(db);
      broken = false;
      commit(() => countUp(db, 'recoveries'));
    },
    backup: target => backUp(db, target),
    serialize: () => db.serialize(),
    close() {
      if (db.open) {
        // A checkpoint that fails here loses nothing: the write-ahead log stays, and the next opening reads it.
        try {
          if (!broken) checkpoint('truncate');
        } finally {
          db.close();
        }
      }
      opened.owner?.release();
    },
  };
};

/** What stands around every group and every batch in it, prepared once for a connection. */
const bracketsOf = (db: Database) => ({
  begin: db.prepare('BEGIN IMMEDIATE'),
  commit: db.prepare('COMMIT'),
  savepoint: db.prepare('SAVEPOINT batch'),
  release: db.prepare('RELEASE batch'),
});

/** Names the file at a path; empty where that cannot be told. */
const fileAt = (path: string): string => {
  if (path === ':memory:' || process.platform === 'win32') return '';
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? 'none' : `${found.dev}:${found.ino}`;
};

/** The mode is part of the file's identity: nothing is written into a file of another mode. */
const refuseOtherMode = (db: Database, path: string, mode: Mode): void => {
  if (schemaVersionOf(db) === 0) return;
  const found = metaOf(db, 'mode');
  if (found === mode) return;
  throw new LedgerRefused(
    'mode-mismatch',
    `${path} holds the books of mode ${found ?? '(none)'}, and this start is in mode ${mode}: ` +
      'they never share a file; set STATE_DB_PATH to another one',
  );
};

const beginRun = (
  db: Database,
  mode: Mode,
  wanted: string | undefined,
): { readonly instance: string; readonly run: number } =>
  db
    .transaction(() => {
      db.pragma(`application_id = ${APPLICATION_ID}`);
      const put = db.prepare('INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING');
      put.run('mode', mode);
      put.run('instance', wanted ?? randomBytes(4).toString('hex'));
      return { instance: metaOf(db, 'instance') ?? '', run: countUp(db, 'run') };
    })
    .immediate();

/** After the first write: the settings that durability hangs on must still stand. */
const assertDurable = (db: Database, path: string): void => {
  const synchronous = db.pragma('synchronous', { simple: true });
  if (synchronous !== 2 && synchronous !== 3)
    throw new LedgerRefused('integrity', `${path}: synchronous is ${String(synchronous)}, not FULL`);
};

const metaOf = (db: Database, key: string): string | undefined =>
  db.prepare('SELECT value FROM meta WHERE key = ?').pluck().get(key) as string | undefined;

/** One more than the counter says, and not less than `least`. */
const countUp = (db: Database, counter: string, least = 1): number =>
  Number(
    db
      .prepare(
        `INSERT INTO meta (key, value) VALUES (?, CAST(CAST(? AS INTEGER) AS TEXT))
         ON CONFLICT DO UPDATE SET value = CAST(max(CAST(value AS INTEGER) + 1, CAST(? AS INTEGER)) AS TEXT)
         RETURNING value`,
      )
      .pluck()
      .get(counter, least, least),
  );

/** Unix ms of the newest record of any kind; 0 in a new database. Each table's newest row is its last. */
const newestRecordAt = (db: Database): number => {
  const newest = db
    .prepare(
      `SELECT max(at) FROM (
         SELECT max(at_ms) AS at FROM (SELECT at_ms FROM audit ORDER BY seq DESC LIMIT 1)
         UNION ALL SELECT max(at_ms) FROM (SELECT at_ms FROM order_events ORDER BY seq DESC LIMIT 1)
         UNION ALL SELECT max(booked_at_ms) FROM (SELECT booked_at_ms FROM fills ORDER BY seq DESC LIMIT 1)
         UNION ALL SELECT max(at) FROM (SELECT max(recorded_at_ms, coalesce(released_at_ms, 0)) AS at FROM holds)
         UNION ALL SELECT max(as_of_ms) FROM balances
         UNION ALL SELECT max(at_ms) FROM strategy_states
         UNION ALL SELECT max(at_ms) FROM marks
         UNION ALL SELECT max(at_ms) FROM valuation)`,
    )
    .pluck()
    .get() as number | null;
  return newest ?? 0;
};
