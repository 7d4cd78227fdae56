/** The ledger's file against the exchange's statement, row by row, without any of the bot's own reading code. */
import SqliteDatabase from 'better-sqlite3';
import { formatDecimal } from '#src/domain/money.js';
import type { Account, AccountOrder } from '#src/exchange/accounts.js';

interface LedgerOrder {
  readonly client_order_id: string;
  readonly venue_order_id: string | null;
  readonly filled: string;
  readonly state: string;
  readonly intended_at: string;
}

interface LedgerFill {
  readonly trade_id: string;
  readonly client_order_id: string | null;
  readonly price: string;
  readonly quantity: string;
  readonly fee: string;
  readonly tax: string;
}

const withLedger = <T>(path: string, read: (db: SqliteDatabase.Database) => T): T => {
  const db = new SqliteDatabase(path, { readonly: true, timeout: 1_000 });
  try {
    return read(db);
  } finally {
    db.close();
  }
};

/** What an exchange had taken in and done at one moment. */
export interface VenueMoment {
  readonly orders: readonly {
    readonly orderId: string;
    readonly clientOrderId: string;
    readonly acceptedAtMs: number;
    readonly filled: string;
    readonly ended: boolean;
  }[];
  readonly trades: ReadonlyMap<string, string>;
}

const isOpen = (account: Account, order: AccountOrder): boolean => account.open.has(order.orderId);

export const momentOf = (account: Account): VenueMoment => ({
  orders: [...account.orders.values()].map(order => ({
    orderId: String(order.orderId),
    clientOrderId: order.clientOrderId,
    acceptedAtMs: order.createdAtMs,
    filled: formatDecimal(order.filled),
    ended: !isOpen(account, order),
  })),
  trades: new Map(
    account.trades.map(trade => [
      String(trade.tradeId),
      [
        trade.order.clientOrderId,
        formatDecimal(trade.price),
        formatDecimal(trade.quantity),
        formatDecimal(trade.fee),
        formatDecimal(trade.tax),
      ].join(' '),
    ]),
  ),
});

/** Orders at the exchange that share their label with another: a second POST for one intent. */
export const duplicatesIn = (moment: VenueMoment): string[] => {
  const seen = new Set<string>();
  const duplicates: string[] = [];
  for (const { clientOrderId } of moment.orders) {
    if (seen.has(clientOrderId)) duplicates.push(clientOrderId);
    seen.add(clientOrderId);
  }
  return duplicates;
};

/** What may never be, at whatever instant one looks: an order without an earlier intent, a fill that is none. */
export const impossibilities = (path: string, moment: VenueMoment, later: VenueMoment): string[] =>
  withLedger(path, db => {
    const found = duplicatesIn(moment).map(label => `two orders at the exchange are called ${label}`);
    const orders = new Map(
      (db.prepare('SELECT * FROM v_orders').all() as LedgerOrder[]).map(order => [
        order.client_order_id,
        order,
      ]),
    );
    for (const order of moment.orders) {
      const intent = orders.get(order.clientOrderId);
      if (intent === undefined) found.push(`order ${order.clientOrderId} was never intended`);
      else if (Date.parse(intent.intended_at) > order.acceptedAtMs)
        found.push(`order ${order.clientOrderId} was intended after the exchange had it`);
    }
    for (const fill of db.prepare('SELECT * FROM v_fills').all() as LedgerFill[]) {
      const there = later.trades.get(fill.trade_id);
      const here = [fill.client_order_id, fill.price, fill.quantity, fill.fee, fill.tax].join(' ');
      if (there !== here)
        found.push(`fill ${fill.trade_id} is ${here} in the ledger, ${there} at the exchange`);
    }
    return found;
  });

/** What of a moment at the exchange the ledger does not know, or knows otherwise. */
export const missingIn = (path: string, moment: VenueMoment): string[] =>
  withLedger(path, db => {
    const missing: string[] = [];
    const orderBy = db.prepare('SELECT * FROM v_orders WHERE client_order_id = ?');
    const fillBy = db.prepare('SELECT * FROM v_fills WHERE trade_id = ?');
    for (const order of moment.orders) {
      const row = orderBy.get(order.clientOrderId) as LedgerOrder | undefined;
      const what = `order ${order.clientOrderId}`;
      if (row === undefined) missing.push(`${what} is not in the ledger`);
      else if (row.venue_order_id !== order.orderId) missing.push(`${what} has no venue id (${row.state})`);
      else if (order.ended && !['filled', 'canceled', 'expired', 'rejected'].includes(row.state))
        missing.push(`${what} has ended at the exchange and is ${row.state}`);
      else if (order.ended && row.filled !== order.filled)
        missing.push(`${what} filled ${order.filled} at the exchange, ${row.filled} in the ledger`);
    }
    for (const tradeId of moment.trades.keys())
      if (fillBy.get(tradeId) === undefined) missing.push(`trade ${tradeId} is not booked`);
    return missing;
  });

/**
 * Orders whose outcome the ledger does not know, and those that are still on their way although they were intended before
 * a moment, Unix ms.
 */
export const openQuestions = (path: string, intendedBeforeMs = Number.NEGATIVE_INFINITY): string[] =>
  withLedger(path, db => {
    const rows = db
      .prepare(
        "SELECT client_order_id AS id, state, intended_at AS intendedAt FROM v_orders WHERE state IN ('intended', 'in-flight', 'unknown')",
      )
      .all() as { readonly id: string; readonly state: string; readonly intendedAt: string }[];
    return rows
      .filter(({ state, intendedAt }) => state === 'unknown' || Date.parse(intendedAt) < intendedBeforeMs)
      .map(({ id }) => id);
  });

/** How long each order stayed unknown, ms, and how it came out; null for one that still is. */
export const unknownTimes = (
  path: string,
): readonly { readonly ms: number | null; readonly became: string }[] =>
  withLedger(path, db => {
    const rows = db
      .prepare(
        'SELECT client_order_id AS id, at_ms AS atMs, status FROM order_events ORDER BY client_order_id, seq',
      )
      .all() as { readonly id: string; readonly atMs: number; readonly status: string }[];
    const times: { ms: number | null; became: string }[] = [];
    for (let index = 0; index < rows.length; index++) {
      const row = rows[index]!;
      if (
        row.status !== 'unknown' ||
        (rows[index - 1]?.id === row.id && rows[index - 1]?.status === 'unknown')
      )
        continue;
      const next = rows.slice(index + 1).find(later => later.id !== row.id || later.status !== 'unknown');
      if (next === undefined || next.id !== row.id) times.push({ ms: null, became: 'unknown' });
      else times.push({ ms: next.atMs - row.atMs, became: next.status });
    }
    return times;
  });
