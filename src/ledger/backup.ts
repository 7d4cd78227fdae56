/** Consistent copies of a database in use. */
import { chmodSync, closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import SqliteDatabase, { type Database } from 'better-sqlite3';

/** A backup that could not be made; the message says why. */
export class BackupError extends Error {
  override readonly name = 'BackupError';
}

/**
 * Copies the whole database into a new file in one read transaction. Synchronous, for migrations.
 * The copy appears under its name only when it is complete and on the disk.
 */
export const copyOut = (db: Database, target: string): void => {
  const part = `${target}.part`;
  rmSync(part, { force: true });
  db.prepare('VACUUM INTO ?').run(part);
  settle(part, target);
};

/**
 * The same through the online backup API, for a database that another process may be writing. All pages are taken in
 * one step: a copy in several steps starts over whenever somebody commits in between.
 * @throws BackupError when the target exists or the copy fails its check.
 */
export const backUp = async (db: Database, target: string): Promise<void> => {
  if (existsSync(target)) throw new BackupError(`${target} exists: name a new file`);
  const part = `${target}.part`;
  rmSync(part, { force: true });
  await db.backup(part, { progress: () => 0x7fffffff });
  const copy = new SqliteDatabase(part, { readonly: true });
  let found: unknown;
  try {
    found = copy.pragma('quick_check', { simple: true });
  } finally {
    copy.close();
  }
  if (found !== 'ok') throw new BackupError(`the copy does not pass its check: ${String(found)}`);
  for (const suffix of ['-wal', '-shm']) rmSync(part + suffix, { force: true });
  settle(part, target);
};

/** Makes a finished copy durable and gives it its name. */
const settle = (part: string, target: string): void => {
  chmodSync(part, 0o600);
  syncPath(part);
  renameSync(part, target);
  syncPath(dirname(target));
};

/** fsync of a file or directory. Never for the ledger's own file: closing any handle on it drops SQLite's locks. */
export const syncPath = (path: string): void => {
  // Windows cannot open a directory for this.
  if (process.platform === 'win32' && statSync(path).isDirectory()) return;
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
};
