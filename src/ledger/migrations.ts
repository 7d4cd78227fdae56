/**
 * Brings a file to this program's schema. Each step is one transaction that also writes the version, so that a process
 * killed in the middle leaves the version before it. A file with content is copied aside first.
 */
import type { Database } from 'better-sqlite3';
import { LedgerRefused } from '../messages/ledger-refusal.js';
import { copyOut } from './backup.js';
import { SCHEMA_V1, SCHEMA_V2, SCHEMA_V3 } from './schema.js';

/** One step, from the version before to `version`. Runs inside a transaction; must not commit. */
export interface Migration {
  readonly version: number;
  readonly about: string;
  up(db: Database): void;
}

/** Every step, oldest first; versions count up from 1 without gaps. */
export const MIGRATIONS: readonly Migration[] = [
  { version: 1, about: 'orders, fills, balances, holds, audit', up: db => void db.exec(SCHEMA_V1) },
  { version: 2, about: 'the reason an order was wanted for', up: db => void db.exec(SCHEMA_V2) },
  { version: 3, about: 'checkpoints of the books', up: db => void db.exec(SCHEMA_V3) },
];

/** What `PRAGMA user_version` says: 0 for a file without a ledger. */
export const schemaVersionOf = (db: Database): number =>
  db.pragma('user_version', { simple: true }) as number;

/**
 * Applies the steps that the file lacks.
 * @param path the file, for the backup beside it (`<path>.v<version>.bak`, replaced when there is one); null for a database in memory.
 * @returns the path of the backup that was taken, or null.
 * @throws LedgerRefused `newer-schema` when the file is ahead of `migrations`; nothing has been changed then.
 */
export const migrate = (
  db: Database,
  path: string | null,
  migrations: readonly Migration[] = MIGRATIONS,
): string | null => {
  const newest = migrations.at(-1)?.version ?? 0;
  const found = schemaVersionOf(db);
  refuseNewer(found, newest, path ?? 'the ledger');
  if (found === newest) return null;
  let backup: string | null = null;
  if (found > 0 && path !== null) {
    backup = `${path}.v${found}.bak`;
    copyOut(db, backup);
  }
  for (const migration of migrations.filter(each => each.version > found))
    db.transaction(() => {
      migration.up(db);
      db.prepare(
        "INSERT INTO meta (key, value) VALUES ('schema_version', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
      ).run(String(migration.version));
      db.pragma(`user_version = ${migration.version}`);
    }).immediate();
  return backup;
};

/** @throws LedgerRefused when `found` is ahead of `newest`. */
export const refuseNewer = (found: number, newest: number, path: string): void => {
  if (found > newest)
    throw new LedgerRefused(
      'newer-schema',
      `${path} has schema version ${found}, this program knows versions up to ${newest}: ` +
        'run the newer version, or restore the backup it made beside the file',
    );
};
