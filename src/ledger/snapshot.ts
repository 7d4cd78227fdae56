/** What a restarted bot knows, read from the ledger. */
import type { Database } from 'better-sqlite3';
import type { LedgerSnapshot, Valuation } from '../domain/ledger-records.js';
import { parseDecimal } from '../domain/money.js';
import type { Fill } from '../domain/order.js';
import type { Balance, CashMovement } from '../domain/venue-port.js';
import {
  type FillRow,
  fillFrom,
  type HoldRow,
  holdFrom,
  type OrderRow,
  orderFrom,
  SELECT_FILLS,
  SELECT_ORDERS,
} from './rows.js';

/** What a snapshot carries beside what is in the database. */
export interface SnapshotScope {
  readonly instance: string;
  readonly lastRecordAtMs: number;
  /** Whether the fills are read; else the list is empty. */
  readonly fills: boolean;
}

/** Reads everything in one transaction, so that the parts belong together. */
export const readSnapshot = (
  db: Database,
  { instance, lastRecordAtMs, fills }: SnapshotScope,
): LedgerSnapshot =>
  db.transaction(
    (): LedgerSnapshot => ({
      instance,
      openOrders: (
        db.prepare(`${SELECT_ORDERS} WHERE s.ended = 0 ORDER BY s.order_seq`).all() as OrderRow[]
      ).map(orderFrom),
      fills: fills ? readFills(db) : [],
      openingBalances: readOpening(db),
      openingAtMs: readOpeningAt(db),
      valuation: readValuation(db),
      cashMovements: readMovements(db),
      holds: (
        db
          .prepare(
            'SELECT key, cause, subject, detail, placed_at_ms FROM holds WHERE released_at_ms IS NULL ORDER BY seq',
          )
          .all() as HoldRow[]
      ).map(holdFrom),
      strategyStates: new Map(
        (
          db.prepare('SELECT strategy, state FROM strategy_states ORDER BY strategy').all() as {
            strategy: string;
            state: string;
          }[]
        ).map(row => [row.strategy, row.state]),
      ),
      lastRecordAtMs,
    }),
  )();

/**
 * Every fill in order of execution. Row by row: a list of all rows beside the list of fills costs the collector more
 * than the reading. Fills are booked nearly in that order, so sorting here is cheaper than in the query.
 */
const readFills = (db: Database): Fill[] => {
  const fills: Fill[] = [];
  for (const row of db.prepare(`${SELECT_FILLS} ORDER BY seq`).iterate())
    fills.push(fillFrom(row as FillRow));
  return fills.sort((left, right) => left.executedAtMs - right.executedAtMs);
};

interface AmountsRow {
  readonly asset: string;
  readonly total: string;
  readonly free: string;
  readonly locked: string;
}

export const readOpening = (db: Database): Balance[] =>
  (db.prepare('SELECT asset, total, free, locked FROM opening_balances').all() as AmountsRow[]).map(
    balanceFrom,
  );

export const balanceFrom = (row: AmountsRow): Balance => ({
  asset: row.asset,
  total: parseDecimal(row.total),
  free: parseDecimal(row.free),
  locked: parseDecimal(row.locked),
});

/** Unix ms, or null before the opening. */
export const readOpeningAt = (db: Database): number | null => {
  const value = db.prepare("SELECT value FROM meta WHERE key = 'opening_at_ms'").pluck().get();
  return value === undefined ? null : Number(value);
};

export const readMovements = (db: Database): CashMovement[] =>
  (
    db
      .prepare(
        'SELECT movement_id, kind, asset, amount, fee, tax, at_ms FROM cash_movements ORDER BY at_ms, seq',
      )
      .all() as {
      movement_id: string;
      kind: 'deposit' | 'withdrawal';
      asset: string;
      amount: string;
      fee: string;
      tax: string;
      at_ms: number;
    }[]
  ).map(row => ({
    movementId: row.movement_id,
    kind: row.kind,
    asset: row.asset,
    amount: parseDecimal(row.amount),
    fee: parseDecimal(row.fee),
    tax: parseDecimal(row.tax),
    atMs: row.at_ms,
  }));

const readValuation = (db: Database): Valuation | null => {
  const row = db
    .prepare('SELECT at_ms, profit_try, peak_profit_try, day_start_ms, day_start_profit_try FROM valuation')
    .get() as
    | {
        at_ms: number;
        profit_try: string;
        peak_profit_try: string;
        day_start_ms: number;
        day_start_profit_try: string;
      }
    | undefined;
  return row === undefined
    ? null
    : {
        atMs: row.at_ms,
        profitTry: parseDecimal(row.profit_try),
        peakProfitTry: parseDecimal(row.peak_profit_try),
        dayStartMs: row.day_start_ms,
        dayStartProfitTry: parseDecimal(row.day_start_profit_try),
      };
};
