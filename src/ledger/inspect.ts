/** A look at a ledger without opening it for work. */
import SqliteDatabase, { type Database } from 'better-sqlite3';
import { asRefusal, checkIntegrity, type IntegrityCheck } from './connection.js';

/**
 * Checks that a ledger is sound; reads it whole when it is small.
 * @throws LedgerRefused when it is damaged, or no database.
 */
export const inspectIntegrity = (path: string): IntegrityCheck => {
  let db: Database | undefined;
  try {
    db = new SqliteDatabase(path, { readonly: true, fileMustExist: true, timeout: 50 });
    return checkIntegrity(db, path);
  } catch (error) {
    throw asRefusal(error, path);
  } finally {
    db?.close();
  }
};
