/** What a restarted bot knows, read from the ledger. */
import type { Database } from 'better-sqlite3';
import { CANCEL_RANK, type CancelOrigin } from '../domain/fence.js';
import {
  type BooksCheckpoint,
  type LedgerSnapshot,
  RECENT_ORDERS_MS,
  type RecentOrder,
  type StandingWish,
  type Valuation,
} from '../domain/ledger-records.js';
import { parseDecimal, type Quantity } from '../domain/money.js';
import type { ClientOrderId, Fill, TradeId } from '../domain/order.js';
import type { Hold } from '../domain/safety.js';
import type { Balance, CashMovement } from '../domain/venue-port.js';
import type { FillScope } from '../messages/ledger.js';
import type { PlacedBooks } from './book-checkpoints.js';
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
  readonly fills: FillScope;
  readonly recentOrders: boolean;
  /** From where the fills `after-checkpoint` go on; null when there is none, and they are all fills. */
  readonly books: PlacedBooks | null;
}

/** Reads everything in one transaction, so that the parts belong together. */
export const readSnapshot = (
  db: Database,
  { instance, lastRecordAtMs, fills, recentOrders, books }: SnapshotScope,
): LedgerSnapshot =>
  db.transaction(
    (): LedgerSnapshot => ({
      instance,
      openOrders: (
        db.prepare(`${SELECT_ORDERS} WHERE s.ended = 0 ORDER BY s.order_seq`).all() as OrderRow[]
      ).map(orderFrom),
      cancelWishes: readWishes(db),
      recentOrders: recentOrders ? readRecent(db) : null,
      fills: fills === false ? [] : readFills(db, ...conditionOf(fills, books)),
      ...(books === null ? {} : { checkpoint: checkpointFrom(db, books) }),
      openingBalances: readOpening(db),
      openingAtMs: readOpeningAt(db),
      ...readOpeningMovementIds(db),
      valuation: readValuation(db),
      cashMovements: readMovements(db),
      holds: readHolds(db),
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

/** Beyond this many, how many recent orders there were is not told. */
export const RECENT_ORDERS_MOST = 5_000;

/** Numbers stand in its text: SQLite plans a statement anew for each value that is bound to its limit. */
const readRecent = (db: Database): readonly RecentOrder[] | null => {
  const recent = db
    .prepare(
      `WITH newest AS (SELECT seq, intended_at_ms FROM orders ORDER BY seq DESC LIMIT ${RECENT_ORDERS_MOST})
       ${SELECT_ORDERS}
       WHERE o.seq IN
         (SELECT seq FROM newest WHERE intended_at_ms > (SELECT max(intended_at_ms) FROM newest) - ${RECENT_ORDERS_MS})
       ORDER BY o.seq`,
    )
    .all() as OrderRow[];
  if (recent.length === RECENT_ORDERS_MOST) return null;
  return recent.map(orderFrom).map(({ intendedAtMs, terms }) => ({ intendedAtMs, terms }));
};

const WISH_ORIGINS = Object.keys(CANCEL_RANK) as CancelOrigin[];

/** The strongest wish for each open order: its own, or that of the last cancel-all, which stands for what came before it. */
const readWishes = (db: Database): readonly StandingWish[] => {
  const all = db.prepare("SELECT value FROM meta WHERE key = 'cancel_all'").pluck().get() as
    | string
    | undefined;
  const lastAll =
    all === undefined
      ? null
      : (JSON.parse(all) as {
          readonly atMs: number;
          readonly reason: string;
          readonly id: string;
          /** The newest order of that moment; absent where an earlier version wrote it, which went by the clock. */
          readonly throughSeq?: number;
        });
  const open = db
    .prepare(
      `SELECT o.seq, o.client_order_id, o.intended_at_ms FROM orders o JOIN order_states s ON s.order_seq = o.seq
       WHERE s.ended = 0 ORDER BY s.order_seq`,
    )
    .all() as {
    readonly seq: number;
    readonly client_order_id: string;
    readonly intended_at_ms: number;
  }[];
  const wanted = db.prepare(
    "SELECT cause, facts FROM audit WHERE client_order_id = ? AND event = 'cancel-wanted' ORDER BY seq",
  );
  return open.flatMap(({ seq, client_order_id: clientOrderId, intended_at_ms: intendedAtMs }) => {
    let strongest: StandingWish | null = null;
    const consider = (wish: StandingWish): void => {
      if (strongest === null || CANCEL_RANK[wish.origin] > CANCEL_RANK[strongest.origin]) strongest = wish;
    };
    for (const row of wanted.all(clientOrderId) as { readonly cause: string; readonly facts: string }[]) {
      const { origin, reason } = JSON.parse(row.facts) as { origin?: unknown; reason?: unknown };
      const known = WISH_ORIGINS.find(each => each === origin) ?? 'strategy';
      consider({ clientOrderId, origin: known, reason: String(reason ?? ''), cause: row.cause });
    }
    if (
      lastAll !== null &&
      (lastAll.throughSeq === undefined ? intendedAtMs <= lastAll.atMs : seq <= lastAll.throughSeq)
    )
      consider({ clientOrderId, origin: 'operator', reason: lastAll.reason, cause: lastAll.id });
    return strongest === null ? [] : [strongest];
  });
};

const OF_OPEN_ORDERS = `WHERE client_order_id IN
  (SELECT o.client_order_id FROM orders o JOIN order_states s ON s.order_seq = o.seq WHERE s.ended = 0)`;

/**
 * Fills in order of execution. Row by row: a list of all rows beside the list of fills costs the collector more
 * than the reading. Fills are booked nearly in that order, so sorting here is cheaper than in the query.
 */
const readFills = (db: Database, which: string, ...values: readonly (string | number)[]): Fill[] => {
  const fills: Fill[] = [];
  for (const row of db.prepare(`${SELECT_FILLS} ${which} ORDER BY seq`).iterate(...values))
    fills.push(fillFrom(row as FillRow));
  return fills.sort((left, right) => left.executedAtMs - right.executedAtMs);
};

const conditionOf = (
  fills: Exclude<FillScope, false>,
  books: PlacedBooks | null,
): [string, ...(string | number)[]] => {
  if (fills === 'of-open-orders') return [OF_OPEN_ORDERS];
  return books === null ? [''] : ['WHERE seq > ?', books.throughSeq];
};

export const readFillsOf = (db: Database, symbol: string): Fill[] =>
  readFills(db, 'WHERE symbol = ?', symbol);

const checkpointFrom = (db: Database, { books, throughSeq }: PlacedBooks): BooksCheckpoint => ({
  books,
  tradeIds: readTradesThrough(db, throughSeq),
  booked: readBooked(db),
});

/** From the index alone, which has the places too: a tenth of the table. */
const readTradesThrough = (db: Database, seq: number): TradeId[] =>
  db
    .prepare('SELECT trade_id FROM fills INDEXED BY sqlite_autoindex_fills_1 WHERE +seq <= ?')
    .pluck()
    .all(seq) as TradeId[];

/** Execution keeps fewer orders that have ended. */
const ENDED_TOLD = 5_000;

/** What is booked of each order that may still be spoken of: those that are open, and the last that ended. */
const readBooked = (db: Database): Map<ClientOrderId, Quantity> => {
  const orders = db.prepare('SELECT max(seq) FROM orders').pluck().get() as number | null;
  const rows = db
    // With so few that all are told, none need be put in the order in which they ended.
    .prepare(`${SELECT_BOOKED} ${(orders ?? 0) <= ENDED_TOLD ? '' : OF_ORDERS_TOLD} ORDER BY s.order_seq`)
    .raw()
    .all() as [ClientOrderId, string][];
  return new Map(rows.map(([clientOrderId, booked]) => [clientOrderId, parseDecimal(booked)]));
};

const SELECT_BOOKED = `
  SELECT o.client_order_id, s.booked FROM order_states s JOIN orders o ON o.seq = s.order_seq
  WHERE s.booked <> '0'`;
const OF_ORDERS_TOLD = `
  AND s.order_seq IN (
    SELECT order_seq FROM order_states WHERE ended = 0
    UNION SELECT * FROM (SELECT order_seq FROM order_states ORDER BY settled_at_ms DESC LIMIT ${ENDED_TOLD}))`;

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

/** Nothing for a ledger that is not opened, or was by a program that did not say. */
const readOpeningMovementIds = (db: Database): Pick<LedgerSnapshot, 'openingMovementIds'> => {
  const value = db.prepare("SELECT value FROM meta WHERE key = 'opening_movement_ids'").pluck().get();
  return value === undefined ? {} : { openingMovementIds: JSON.parse(value as string) as string[] };
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

/** Holds in force, oldest first. */
export const readHolds = (db: Database): Hold[] =>
  (
    db
      .prepare(
        'SELECT key, cause, subject, detail, placed_at_ms FROM holds WHERE released_at_ms IS NULL ORDER BY seq',
      )
      .all() as HoldRow[]
  ).map(holdFrom);
