/** What must be true of the file and its place before a ledger is opened in it. */
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { LedgerRefused } from '../messages/ledger-refusal.js';
import { makeFolder } from '../runtime/folders.js';
import { syncPath } from './backup.js';
import { isBusy } from './sqlite-errors.js';

/** Linux `statfs` magic numbers of file systems whose locks or syncs reach past this machine (statfs(2)). */
const REMOTE_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9p'],
  [0x65735546, 'FUSE or virtiofs'],
  [0x00c36400, 'Ceph'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x73757245, 'Coda'],
  [0x0bd00bd0, 'Lustre'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
  [0x786f4256, 'a VirtualBox shared folder'],
]);

/** File systems that lose their content with the machine or the container. */
const VOLATILE_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
  [0x794c7630, 'overlay'],
]);

/** Verdict on a file system by its `statfs` type. */
export const judgeFileSystem = (
  type: number,
): { readonly kind: 'local' | 'remote' | 'volatile'; readonly name: string } => {
  const magic = type >>> 0;
  const remote = REMOTE_FILE_SYSTEMS.get(magic);
  if (remote !== undefined) return { kind: 'remote', name: remote };
  const volatile = VOLATILE_FILE_SYSTEMS.get(magic);
  if (volatile !== undefined) return { kind: 'volatile', name: volatile };
  return { kind: 'local', name: 'local' };
};

/** The ownership of a ledger file; ends with the process at the latest. */
export interface OwnerLock {
  release(): void;
}

/**
 * Makes sure that directory and file exist, belong to a local file system and are for this user alone.
 * @returns a warning for people, or null.
 * @throws LedgerRefused `network-file-system` or `unwritable`.
 */
export const prepareFile = (path: string): string | null => {
  const directory = dirname(resolve(path));
  let warning: string | null = null;
  try {
    makeFolder(directory, 0o700);
    if (process.platform === 'linux') {
      const verdict = judgeFileSystem(statfsSync(directory).type);
      if (verdict.kind === 'remote')
        throw new LedgerRefused(
          'network-file-system',
          `${directory} is on ${verdict.name}: SQLite's locks and syncs are not reliable there; put STATE_DB_PATH on a local disk`,
        );
      if (verdict.kind === 'volatile')
        warning = `${directory} is on ${verdict.name}: the ledger is lost with it; mount a local volume there before trading live`;
    }
    accessSync(directory, constants.W_OK | constants.X_OK);
    for (const file of [path, lockPathOf(path)]) createPrivate(file);
    for (const file of [path, `${path}-wal`, `${path}-shm`, lockPathOf(path)]) keepPrivate(file);
    accessSync(path, constants.R_OK | constants.W_OK);
  } catch (error) {
    if (error instanceof LedgerRefused) throw error;
    throw new LedgerRefused('unwritable', `cannot write the ledger ${path}: ${wordsOf(error)}`, {
      cause: error,
    });
  }
  return warning;
};

/**
 * Takes the ownership of a ledger file, or refuses.
 *
 * The lock is an exclusive transaction on an empty SQLite file beside the ledger, which is never written. SQLite's
 * locks are the operating system's: they end with the process however it dies, so no stale lock is ever left behind;
 * they also exclude a second owner inside this process, and a reader of the ledger itself is not disturbed. The ledger
 * could not be its own lock: readers would be shut out.
 * @throws LedgerRefused `owned`.
 */
export const takeOwnership = (path: string): OwnerLock => {
  const lock = new SqliteDatabase(lockPathOf(path), { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if (!isBusy(error)) throw error;
    throw new LedgerRefused(
      'owned',
      `another instance owns ${path}: stop it first, or give this one its own STATE_DB_PATH`,
    );
  }
  return { release: () => void lock.close() };
};

export const lockPathOf = (path: string): string => `${path}.lock`;

/**
 * Creates an empty file for this user alone. An existing one is left unopened: closing a handle on it would drop the
 * locks that SQLite holds on it in this process.
 */
const createPrivate = (path: string): void => {
  if (existsSync(path)) return;
  closeSync(openSync(path, 'wx', 0o600));
  syncPath(dirname(resolve(path)));
};

const keepPrivate = (path: string): void => {
  if (process.platform === 'win32' || !existsSync(path)) return;
  if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
};

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
