/** Opening the ledger's SQLite file the only way it may be opened. */
import { statSync } from 'node:fs';
import SqliteDatabase, { type Database } from 'better-sqlite3';
import { LedgerRefused } from '../messages/ledger-refusal.js';
import { schemaVersionOf } from './migrations.js';
import { APPLICATION_ID } from './schema.js';
import { isBusy, isDamaged } from './sqlite-errors.js';

/** Older versions can damage a database that two connections write and checkpoint at once. */
const SQLITE_VERSION_LEAST = [3, 51, 3] as const;

/** A statement waits this long for somebody else's lock before it says so; the thread is blocked meanwhile. */
const BUSY_TIMEOUT_MS = 20;

/**
 * As much of the file a connection keeps in memory. Writing and starting were as fast with 2 MiB as with the 16 MB that
 * the library takes by itself, and which grow with the file for hours.
 */
const CACHE_KIB = 4_096;

/** Up to this size the start-up check also compares every index with its table; above, that would delay a restart. */
const FULL_CHECK_BYTES = 32 * 1024 * 1024;

/** How much was checked: `full` is `PRAGMA integrity_check`, `quick` is `PRAGMA quick_check` (no index contents). */
export type IntegrityCheck = 'full' | 'quick';

/** Makes a connection; tests hand in one that fails where they want it to. */
export type Connect = (path: string) => Database;

export const connectSqlite: Connect = path => new SqliteDatabase(path, { timeout: BUSY_TIMEOUT_MS });

/**
 * Opens the file, refuses what is not ours, and sets what every connection must have. The synchronous level is set
 * after the journal mode and on every connection: it falls back to NORMAL on each reopen otherwise (design section 6).
 * @throws LedgerRefused
 */
export const openConnection = (path: string, connect: Connect): Database => {
  let db: Database | undefined;
  try {
    db = connect(path);
    refuseOldSqlite(db);
    refuseForeign(db, path);
    db.pragma('mmap_size = 0');
    db.pragma(`cache_size = -${CACHE_KIB}`);
    db.pragma('cell_size_check = ON');
    db.pragma('temp_store = MEMORY');
    // Darwin's fsync leaves the drive's cache alone.
    db.pragma('fullfsync = ON');
    db.pragma('checkpoint_fullfsync = ON');
    if (!db.memory) {
      const mode = db.pragma('journal_mode = WAL', { simple: true });
      if (mode !== 'wal')
        throw new LedgerRefused('unwritable', `${path}: the journal stays in mode ${String(mode)}, not wal`);
      // Checkpoints are the worker's, between commits and after their answers.
      db.pragma('wal_autocheckpoint = 0');
      db.pragma('journal_size_limit = 67108864');
    }
    db.pragma('synchronous = FULL');
    return db;
  } catch (error) {
    db?.close();
    throw asRefusal(error, path);
  }
};

/** @throws LedgerRefused `integrity` with the first findings when the check does not pass. */
export const checkIntegrity = (db: Database, path: string): IntegrityCheck => {
  const check = db.memory || statSync(path).size <= FULL_CHECK_BYTES ? 'full' : 'quick';
  const found = (
    db.pragma(check === 'full' ? 'integrity_check(3)' : 'quick_check(3)') as readonly Record<string, string>[]
  ).map(row => Object.values(row)[0]);
  if (found.length !== 1 || found[0] !== 'ok')
    throw new LedgerRefused(
      'integrity',
      `${path} is damaged (${found.join('; ')}): keep it for study and restore a backup`,
    );
  return check;
};

/** SQLite's errors at opening, as refusals that say what to do; other errors as they are. */
export const asRefusal = (error: unknown, path: string): unknown => {
  if (isBusy(error))
    return new LedgerRefused(
      'locked',
      `${path} is locked by another program: close it (a shell, a viewer, a backup tool) and start again`,
      { cause: error },
    );
  if (isDamaged(error))
    return new LedgerRefused(
      'integrity',
      `${path} is damaged or is not a database: keep it for study and restore a backup`,
      { cause: error },
    );
  if (error instanceof SqliteDatabase.SqliteError)
    return new LedgerRefused('unwritable', `${path}: ${error.message} (${error.code})`, { cause: error });
  return error;
};

const refuseOldSqlite = (db: Database): void => {
  const version = db.prepare('SELECT sqlite_version()').pluck().get() as string;
  const parts = version.split('.').map(Number);
  for (const [index, least] of SQLITE_VERSION_LEAST.entries()) {
    const part = parts[index] ?? 0;
    if (part > least) return;
    if (part < least)
      throw new LedgerRefused(
        'sqlite-too-old',
        `SQLite ${version} can damage a write-ahead log; ${SQLITE_VERSION_LEAST.join('.')} or newer is needed`,
      );
  }
};

/** Before anything is written: an empty file and our own are welcome, everything else is left as it is. */
const refuseForeign = (db: Database, path: string): void => {
  if (db.pragma('application_id', { simple: true }) === APPLICATION_ID) return;
  const objects = db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get();
  if (objects !== 0 || schemaVersionOf(db) !== 0)
    throw new LedgerRefused(
      'not-a-ledger',
      `${path} is a database of another program: set STATE_DB_PATH to a file of its own`,
    );
};
