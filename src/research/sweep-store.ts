/** Results of sweeps in one SQLite file: what was tried is not tried again, so that a sweep can be broken off and resumed. */
import { dirname } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { makeFolder } from '../runtime/folders.js';
import type { Candidate } from './search.js';

/** What a trial came to, on one segment of the data. Money in lira. */
export interface TrialResult {
  readonly score: number;
  readonly profitTry: string;
  /** For one period of the whole market's returns; null where there are too few. */
  readonly sharpe: number | null;
  readonly drawdown: number;
  readonly fills: number;
  readonly trades: number;
}

export interface StoredTrial {
  readonly candidate: Candidate;
  readonly segment: number;
  readonly result: TrialResult;
}

export interface SweepStore {
  /** Results so far, in the order in which they came. */
  trials(): readonly StoredTrial[];
  add(key: string, trial: StoredTrial): void;
  close(): void;
}

const SCHEMA = `
CREATE TABLE IF NOT EXISTS sweeps (
  id INTEGER PRIMARY KEY,
  study TEXT NOT NULL UNIQUE,
  started_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS trials (
  sweep INTEGER NOT NULL REFERENCES sweeps (id),
  parameters TEXT NOT NULL,
  segment INTEGER NOT NULL,
  score REAL NOT NULL,
  profit_try TEXT NOT NULL,
  sharpe REAL,
  drawdown REAL NOT NULL,
  fills INTEGER NOT NULL,
  trades INTEGER NOT NULL,
  PRIMARY KEY (sweep, parameters, segment)
);`;

interface TrialRow {
  readonly parameters: string;
  readonly segment: number;
  readonly score: number;
  readonly profit_try: string;
  readonly sharpe: number | null;
  readonly drawdown: number;
  readonly fills: number;
  readonly trades: number;
}

/** A file that results cannot be kept in; the message says which and why. */
export class SweepStoreRefused extends Error {
  override readonly name = 'SweepStoreRefused';
}

const OWN_TABLES = ['sweeps', 'trials'];

/** Opens the file, made where there is none. @throws SweepStoreRefused when it is anything else, with nothing written */
const openDatabase = (path: string): SqliteDatabase.Database => {
  let db: SqliteDatabase.Database | undefined;
  try {
    makeFolder(dirname(path));
    db = new SqliteDatabase(path);
    const tables = db
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
      .pluck()
      .all() as readonly string[];
    if (tables.some(table => !OWN_TABLES.includes(table)))
      throw new Error('it is another database, the ledger of a bot perhaps');
    db.pragma('journal_mode = WAL');
    db.exec(SCHEMA);
    return db;
  } catch (error) {
    db?.close();
    throw new SweepStoreRefused(
      `the results of a sweep cannot be kept in ${path}: ${(error as Error).message}. Give --db a file of their own`,
    );
  }
};

/**
 * @param study what makes two sweeps the same: market, strategy, fixed parameters, settings, segments, score
 * @param startedAt UTC ISO-8601
 * @throws SweepStoreRefused
 */
export const openSweepStore = (path: string, study: string, startedAt: string): SweepStore => {
  const db = openDatabase(path);
  db.prepare('INSERT OR IGNORE INTO sweeps (study, started_at) VALUES (?, ?)').run(study, startedAt);
  const { id } = db.prepare('SELECT id FROM sweeps WHERE study = ?').get(study) as { readonly id: number };
  const insert = db.prepare(
    'INSERT OR REPLACE INTO trials (sweep, parameters, segment, score, profit_try, sharpe, drawdown, fills, trades) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const select = db.prepare('SELECT * FROM trials WHERE sweep = ? ORDER BY rowid');
  return {
    trials: () =>
      (select.all(id) as readonly TrialRow[]).map(row => ({
        candidate: JSON.parse(row.parameters) as Candidate,
        segment: row.segment,
        result: {
          score: row.score,
          profitTry: row.profit_try,
          sharpe: row.sharpe,
          drawdown: row.drawdown,
          fills: row.fills,
          trades: row.trades,
        },
      })),
    add: (key, { segment, result }) =>
      void insert.run(
        id,
        key,
        segment,
        result.score,
        result.profitTry,
        result.sharpe,
        result.drawdown,
        result.fills,
        result.trades,
      ),
    close: () => db.close(),
  };
};
