/**
 * How much of the fills' history reconciliation keeps in memory, and what it does about a fill that belongs before that:
 * it is booked at once, and the ledger is asked for all fills of its symbol, which are then folded again.
 */
import { refoldSymbol, settleOldest } from './accounting.js';
import type { FillsGiven } from './ledger-records.js';
import { log, type ReconciliationEffect, type ReconciliationState } from './reconciliation-state.js';
import type { Now } from './step.js';

/** Fills of a symbol that stand in memory one by one, at least. */
const KEPT_FILLS = 500;
/** How long the ledger has for an answer. */
const ASK_AGAIN_MS = 5_000;

/** Lets go of what memory needs no longer, and asks for what it needs again. */
export const wantHistories = (
  state: ReconciliationState,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  settleOldest(state.accounting, KEPT_FILLS);
  settleOldest(state.foreignAccounting, KEPT_FILLS);
  const symbols = new Set([...state.accounting.outOfOrder, ...state.foreignAccounting.outOfOrder]);
  if (symbols.size === 0 || now.monoMs < state.historyWantedMonoMs) return;
  state.historyWantedMonoMs = now.monoMs + ASK_AGAIN_MS;
  for (const symbol of symbols) {
    log(effects, 'info', 'history-wanted', { symbol });
    effects.push({ type: 'fills-wanted', symbol });
  }
};

/** Folds a symbol again, from all that the ledger has of it. */
export const takeHistory = (state: ReconciliationState, { symbol, fills }: FillsGiven): void => {
  for (const books of [state.accounting, state.foreignAccounting]) {
    if (!books.outOfOrder.has(symbol)) continue;
    const own = books === state.accounting;
    refoldSymbol(
      books,
      symbol,
      fills.filter(fill => (fill.clientOrderId !== null) === own),
    );
  }
  state.accountDirty = true;
};
