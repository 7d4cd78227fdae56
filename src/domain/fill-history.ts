/**
 * How much of the fills' history books keep in memory, and what is done about a fill that belongs before that: it is
 * booked at once, and the ledger is asked for all fills of its symbol, which are then folded again.
 */
import { type Accounting, refoldSymbol, settleOldest } from './accounting.js';
import type { FillsGiven, FillsWanted } from './ledger-records.js';
import type { Fill } from './order.js';
import type { Now } from './step.js';

/** Fills of a symbol that stand in memory one by one, at least. */
const KEPT_FILLS = 500;
/** How long the ledger has for an answer. */
const ASK_AGAIN_MS = 5_000;

const NOTHING: readonly FillsWanted[] = [];

/** Kept by whoever owns the books. */
export interface HistoryWish {
  /** When the history of symbols that are out of order is asked for next, monotonic ms. */
  historyWantedMonoMs: number;
}

/** Lets go of what memory needs no longer, and says what it needs again. */
export const wantHistories = (
  wish: HistoryWish,
  books: readonly Accounting[],
  { monoMs }: Now,
): readonly FillsWanted[] => {
  for (const each of books) settleOldest(each, KEPT_FILLS);
  if (books.every(({ outOfOrder }) => outOfOrder.size === 0)) return NOTHING;
  const symbols = new Set(books.flatMap(({ outOfOrder }) => [...outOfOrder]));
  if (monoMs < wish.historyWantedMonoMs) return NOTHING;
  wish.historyWantedMonoMs = monoMs + ASK_AGAIN_MS;
  return [...symbols].map(symbol => ({ type: 'fills-wanted', symbol }));
};

/** Folds a symbol again, from those of the ledger's fills that belong in these books, where a fill came late. */
export const takeHistory = (
  books: Accounting,
  { symbol, fills }: FillsGiven,
  isTheirs: (fill: Fill) => boolean,
): void => {
  if (books.outOfOrder.has(symbol)) refoldSymbol(books, symbol, fills.filter(isTheirs));
};
