/**
 * Durable checkpoints of the books: what the older fills fold into, with the place up to which it holds, so that a start
 * reads the newest fills alone. A checkpoint follows from the fills of the same file and from nothing else, and fills
 * are never changed; so one that is lost, damaged or of another program costs time and nothing more.
 */
import { createHash } from 'node:crypto';
import type { Database, Statement } from 'better-sqlite3';
import {
  CHECKPOINT_FORMAT,
  cutOf,
  decodeBooks,
  encodeBooks,
  type FoldedBooks,
  foldFills,
  reachesBefore,
} from '../domain/books-checkpoint.js';
import type { Fill } from '../domain/order.js';
import { type FillRow, fillFrom, LedgerRowError, SELECT_FILLS } from './rows.js';

/** Fills that stay out of a checkpoint at least, and new ones after which the next is written. */
export interface CheckpointSizes {
  readonly keep: number;
  readonly every: number;
}

export const CHECKPOINT_SIZES: CheckpointSizes = { keep: 500, every: 1_000 };

/** Checkpoints that are kept: the newest, and the one before for when that is damaged. */
const KEPT = 2;

/** The books up to a place among the fills. */
export interface PlacedBooks {
  readonly throughSeq: number;
  readonly books: FoldedBooks;
}

export interface BookCheckpoints {
  /** The newest that holds; null when every fill must be read. Reads the file once. */
  readonly newest: PlacedBooks | null;
  /** Why checkpoints of the file were not used, since the last question. */
  complaints(): readonly string[];
  /** The next checkpoint, when it is time for one; `soon` when the file is about to be closed. */
  next(soon: boolean): PlacedBooks | null;
  /** Writes one; inside the caller's transaction. */
  write(placed: PlacedBooks): void;
  /** The transaction of the last {@link write} has been committed. */
  written(placed: PlacedBooks): void;
  /** Something is written, fills perhaps. */
  grown(): void;
}

interface CheckpointRow {
  readonly through_seq: number;
  readonly through_trade: string;
  readonly format: number;
  readonly instance: string;
  readonly opening_at_ms: number | null;
  readonly books: string;
  readonly checksum: string;
}

/**
 * @param connection the connection in use, which a recovery replaces
 * @param openingAt Unix ms of the opening balances, or null before
 */
export const bookCheckpoints = (
  connection: () => Database,
  instance: string,
  openingAt: () => number | null,
  { keep, every }: CheckpointSizes,
): BookCheckpoints => {
  let found: PlacedBooks | null | undefined;
  let inFile = true;
  /** A late fill belongs before what is folded, or a fill cannot be read: only a start tries again. */
  let overtaken = false;
  let complaints: string[] = [];

  const fillsAfter = (seq: number): { readonly seqs: number[]; readonly fills: Fill[] } => {
    const seqs: number[] = [];
    const fills: Fill[] = [];
    for (const each of connection().prepare(`${SELECT_FILLS} WHERE seq > ? ORDER BY seq`).iterate(seq)) {
      const row = each as FillRow;
      seqs.push(row.seq);
      fills.push(fillFrom(row));
    }
    return { seqs, fills };
  };

  /** Asked every second: prepared once for each connection, and read again only after something was written. */
  let newestFill: { readonly db: Database; readonly seq: Statement } | null = null;
  let newestKnown: number | null = null;
  const newestSeq = (): number => {
    const db = connection();
    if (newestFill?.db !== db) newestFill = { db, seq: db.prepare('SELECT max(seq) FROM fills').pluck() };
    else if (newestKnown !== null) return newestKnown;
    newestKnown = (newestFill.seq.get() as number | null) ?? 0;
    return newestKnown;
  };

  /** The base with the fills after it, all but about the newest. */
  const foldOn = (base: PlacedBooks | null): PlacedBooks | null => {
    const { seqs, fills } = fillsAfter(base?.throughSeq ?? 0);
    const cut = cutOf(fills, keep);
    const throughSeq = seqs[cut - 1];
    if (throughSeq === undefined) return null;
    if (base !== null && reachesBefore(base.books, fills)) return null;
    const books = foldFills(base?.books ?? null, fills.slice(0, cut), openingAt());
    return books === null ? null : { throughSeq, books };
  };

  const read = (): PlacedBooks | null => {
    const rows = connection()
      .prepare('SELECT * FROM book_checkpoints ORDER BY through_seq DESC')
      .all() as CheckpointRow[];
    for (const row of rows) {
      const books = booksOf(row);
      if (typeof books !== 'string') return { throughSeq: row.through_seq, books };
      complaints.push(`the checkpoint through fill ${row.through_seq} ${books}`);
    }
    inFile = false;
    return newestSeq() >= keep + every ? foldOn(null) : null;
  };

  /** The books of a checkpoint, or why it does not hold. */
  const booksOf = (row: CheckpointRow): FoldedBooks | string => {
    const complaint = complaintAbout(row);
    if (complaint !== null) return complaint;
    let books: FoldedBooks;
    try {
      books = decodeBooks(row.books);
    } catch (error) {
      return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    }
    return reachesBefore(books, fillsAfter(row.through_seq).fills)
      ? 'holds fills that were executed after one booked later'
      : books;
  };

  const complaintAbout = (row: CheckpointRow): string | null => {
    if (row.format !== CHECKPOINT_FORMAT) return `has format ${row.format}, not ${CHECKPOINT_FORMAT}`;
    if (row.checksum !== checksumOf(row)) return 'is damaged';
    if (row.instance !== instance) return 'is of another database';
    if (row.opening_at_ms !== openingAt()) return 'is of books with another opening';
    if (tradeAt(row.through_seq) !== row.through_trade) return 'is of other fills';
    return null;
  };

  const tradeAt = (seq: number): string | null =>
    (connection().prepare('SELECT trade_id FROM fills WHERE seq = ?').pluck().get(seq) as
      | string
      | undefined) ?? null;

  const newest = (): PlacedBooks | null => {
    if (found === undefined) found = read();
    return found;
  };

  const next = (soon: boolean): PlacedBooks | null => {
    const base = newest();
    if (base !== null && !inFile) return base;
    const fresh = newestSeq() - (base?.throughSeq ?? 0) - keep;
    if (fresh < (soon ? 1 : every)) return null;
    const placed = foldOn(base);
    overtaken = placed === null;
    if (overtaken)
      complaints.push('no checkpoint can follow the last one: a fill was booked that belongs before it');
    return placed;
  };

  return {
    get newest() {
      return newest();
    },
    complaints() {
      const told = complaints;
      complaints = [];
      return told;
    },
    next(soon) {
      if (overtaken) return null;
      try {
        return next(soon);
      } catch (error) {
        // It will not be readable a second later either.
        overtaken = error instanceof LedgerRowError;
        throw error;
      }
    },
    write(placed) {
      const row = {
        through_seq: placed.throughSeq,
        through_trade: tradeAt(placed.throughSeq) ?? '',
        format: CHECKPOINT_FORMAT,
        instance,
        opening_at_ms: openingAt(),
        books: encodeBooks(placed.books),
      };
      // What stands beyond it was refused, and must not push a good one out.
      connection().prepare('DELETE FROM book_checkpoints WHERE through_seq > ?').run(placed.throughSeq);
      connection()
        .prepare(
          `INSERT OR REPLACE INTO book_checkpoints
             (through_seq, through_trade, format, instance, opening_at_ms, books, checksum)
           VALUES (?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(...Object.values(row), checksumOf(row));
      connection()
        .prepare(
          `DELETE FROM book_checkpoints WHERE through_seq NOT IN
             (SELECT through_seq FROM book_checkpoints ORDER BY through_seq DESC LIMIT ${KEPT})`,
        )
        .run();
    },
    written(placed) {
      found = placed;
      inFile = true;
    },
    grown() {
      newestKnown = null;
    },
  };
};

const checksumOf = (row: Omit<CheckpointRow, 'checksum'>): string =>
  createHash('sha256')
    .update(JSON.stringify([row.through_seq, row.through_trade, row.format, row.instance, row.opening_at_ms]))
    .update(row.books)
    .digest('hex');
