/** What a failed SQLite call says about the next step. */
import SqliteDatabase from 'better-sqlite3';

const codeOf = (error: unknown): string => (error instanceof SqliteDatabase.SqliteError ? error.code : '');

/** Somebody else holds a lock: nothing is broken, try again later. */
export const isBusy = (error: unknown): boolean => /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error));

/** The facts themselves break a rule of the schema: the file is fine, this batch is not. */
export const isConstraint = (error: unknown): boolean => /^SQLITE_(CONSTRAINT|MISMATCH)/.test(codeOf(error));

/** The file is damaged or no database at all. */
export const isDamaged = (error: unknown): boolean => /^SQLITE_(CORRUPT|NOTADB)/.test(codeOf(error));
