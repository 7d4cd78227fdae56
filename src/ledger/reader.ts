/**
 * Read-only sight of a ledger file, for the command line: works while the bot runs and after it stopped, takes no
 * ownership, changes nothing.
 */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import SqliteDatabase, { type Database } from 'better-sqlite3';
import {
  type Accounting,
  bookFill,
  bookMovement,
  initialAccounting,
  pairFromSymbol,
} from '../domain/accounting.js';
import { type Amount, type Price, parseDecimal } from '../domain/money.js';
import type { Fill, Order } from '../domain/order.js';
import type { Hold } from '../domain/safety.js';
import type { Balance, CashMovement } from '../domain/venue-port.js';
import { LedgerRefused } from '../messages/ledger-refusal.js';
import { backUp } from './backup.js';
import { asRefusal } from './connection.js';
import { refuseNewer, schemaVersionOf } from './migrations.js';
import { type FillRow, fillFrom, type OrderRow, orderFrom, SELECT_FILLS, SELECT_ORDERS } from './rows.js';
import { APPLICATION_ID, SCHEMA_VERSION } from './schema.js';
import { balanceFrom, readHolds, readMovements, readOpening, readOpeningAt } from './snapshot.js';

/** A reader waits this long for a lock; only a checkpoint at the wrong moment makes it wait at all. */
const READ_TIMEOUT_MS = 2_000;
/** Bounds of one explanation: generations of causes before the order, and decisions after it. */
const ANCESTORS_MAX = 50;
const DESCENDANTS_MAX = 500;

export interface OrderFilter {
  readonly symbol?: string;
  /** Only orders that have not ended. */
  readonly open?: boolean;
  /** The newest so many. */
  readonly limit?: number;
}

export interface FillFilter {
  readonly symbol?: string;
  readonly clientOrderId?: string;
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly limit?: number;
}

/** An order with what the books add to it. */
export interface OrderLine {
  readonly order: Order;
  readonly venueOrderId: string | null;
  /** Executed base quantity, the greater of what the order says and what is booked. */
  readonly filled: Amount;
  /** Which opening of the ledger it belongs to; event ids are unique within one. */
  readonly run: number;
}

export interface BalanceLine extends Balance {
  readonly asOfMs: number;
}

/** One recorded decision. */
export interface AuditLine {
  readonly seq: number;
  readonly atMs: number;
  readonly actor: string;
  readonly event: string;
  readonly id: string;
  readonly cause: string;
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;
}

export interface TransitionLine {
  readonly atMs: number;
  readonly status: string;
  readonly venueOrderId: string | null;
  readonly filled: Amount | null;
  readonly reason: string | null;
  readonly cause: string;
  readonly detail: string;
}

export interface Mark {
  readonly price: Price;
  readonly atMs: number;
}

export interface LedgerReader {
  readonly path: string;
  readonly mode: string;
  readonly instance: string;
  /** Orders, oldest first. */
  orders(filter?: OrderFilter): OrderLine[];
  /** Fills, oldest first. */
  fills(filter?: FillFilter): Fill[];
  movements(): CashMovement[];
  balances(): BalanceLine[];
  marks(): Map<string, Mark>;
  /** Holds in force, oldest first. */
  holds(): Hold[];
  /** Null while nothing was opened. */
  openingAtMs(): number | null;
  /** The books folded from opening, movements and fills; other people's fills on the account apart from ours. */
  accounting(): { readonly own: Accounting; readonly foreign: Accounting };
  /** By client order id, else by venue order id, else by intent id; the newest when there are several. */
  findOrder(reference: string): OrderLine | undefined;
  transitions(clientOrderId: string): TransitionLine[];
  /** Decisions about an order or intent, what led to them and what followed, oldest first. */
  decisions(about: { readonly order?: OrderLine; readonly intentId: string }): AuditLine[];
  /** Strategy of each client order id. */
  strategies(): Map<string, string>;
  backup(target: string): Promise<void>;
  close(): void;
}

/**
 * Opens a ledger for reading.
 * @throws LedgerRefused when there is no ledger, it is another program's, damaged, or of another schema.
 */
export const openReader = (path: string): LedgerReader => {
  if (!existsSync(path))
    throw new LedgerRefused(
      'unwritable',
      `there is no ledger at ${path}: start the bot once, or set STATE_DB_PATH or --db to where it is`,
    );
  if (!statSync(path).isFile())
    throw new LedgerRefused(
      'not-a-ledger',
      `${path} is not a file: STATE_DB_PATH or --db name the ledger itself`,
    );
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw new LedgerRefused(
      'unwritable',
      `${path}: ${(error as Error).message}; run this as the user who runs the bot`,
    );
  }
  let db: Database | undefined;
  try {
    db = new SqliteDatabase(path, { readonly: true, fileMustExist: true, timeout: READ_TIMEOUT_MS });
    refuseUnreadable(db, path);
    return readerOn(db, path);
  } catch (error) {
    db?.close();
    throw asRefusal(error, path);
  }
};

const refuseUnreadable = (db: Database, path: string): void => {
  const version = schemaVersionOf(db);
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID || version === 0)
    throw new LedgerRefused('not-a-ledger', `${path} is not a ledger of this program`);
  refuseNewer(version, SCHEMA_VERSION, path);
  if (version < SCHEMA_VERSION)
    throw new LedgerRefused(
      'newer-schema',
      `${path} has schema version ${version}, this program reads ${SCHEMA_VERSION}: start the bot once, it brings the file forward`,
    );
};

interface OrderLineRow extends OrderRow {
  readonly executed: string;
  readonly run: number;
}

interface AuditRow {
  readonly seq: number;
  readonly run: number;
  readonly at_ms: number;
  readonly actor: string;
  readonly event: string;
  readonly event_id: string;
  readonly cause: string;
  readonly facts: string;
}

const SELECT_ORDER_LINES = SELECT_ORDERS.replace('SELECT ', 'SELECT s.executed, o.run, ');
const SELECT_AUDIT = 'SELECT seq, run, at_ms, actor, event, event_id, cause, facts FROM audit';

const readerOn = (db: Database, path: string): LedgerReader => {
  const meta = (key: string): string =>
    (db.prepare('SELECT value FROM meta WHERE key = ?').pluck().get(key) as string | undefined) ?? '';

  const orders = (filter: OrderFilter = {}): OrderLine[] => {
    const where = conditions([
      [filter.symbol, 'o.symbol = ?'],
      [filter.open === true ? 0 : undefined, 's.ended = ?'],
    ]);
    const rows = db
      .prepare(`${SELECT_ORDER_LINES}${where.sql} ORDER BY o.seq DESC LIMIT ?`)
      .all(...where.values, filter.limit ?? -1) as OrderLineRow[];
    return rows.reverse().map(orderLine);
  };

  const fills = (filter: FillFilter = {}): Fill[] => {
    const where = conditions([
      [filter.symbol, 'symbol = ?'],
      [filter.clientOrderId, 'client_order_id = ?'],
      [filter.fromMs, 'executed_at_ms >= ?'],
      [filter.toMs, 'executed_at_ms < ?'],
    ]);
    const rows = db
      .prepare(`${SELECT_FILLS}${where.sql} ORDER BY executed_at_ms DESC, seq DESC LIMIT ?`)
      .all(...where.values, filter.limit ?? -1) as FillRow[];
    return rows.reverse().map(fillFrom);
  };

  const findOrder = (reference: string): OrderLine | undefined => {
    for (const column of ['o.client_order_id', 's.venue_order_id', 'o.intent_id']) {
      const row = db
        .prepare(`${SELECT_ORDER_LINES} WHERE ${column} = ? ORDER BY o.seq DESC LIMIT 1`)
        .get(reference) as OrderLineRow | undefined;
      if (row !== undefined) return orderLine(row);
    }
    return undefined;
  };

  const decisions: LedgerReader['decisions'] = ({ order, intentId }) => {
    const found = new Map<number, AuditRow>();
    const take = (rows: readonly AuditRow[]): void => {
      for (const row of rows) found.set(row.seq, row);
    };
    if (order !== undefined)
      take(
        db.prepare(`${SELECT_AUDIT} WHERE client_order_id = ?`).all(order.order.clientOrderId) as AuditRow[],
      );
    const byIntent = db.prepare(`${SELECT_AUDIT} WHERE intent_id = ?`).all(intentId) as AuditRow[];
    // Intent ids begin anew with each run of the bot.
    const run = order?.run ?? byIntent.at(-1)?.run;
    if (run === undefined) return [];
    take(byIntent.filter(row => row.run === run));
    const own = [...found.values()];

    const ancestor = db.prepare(`${SELECT_AUDIT} WHERE run = ? AND event_id = ?`);
    let causes = new Set([...own.map(row => row.cause), ...(order === undefined ? [] : [order.order.cause])]);
    const asked = new Set<string>();
    for (let generation = 0; causes.size > 0 && generation < ANCESTORS_MAX; generation++) {
      const next = new Set<string>();
      for (const cause of causes) {
        if (asked.has(cause)) continue;
        asked.add(cause);
        const rows = ancestor.all(run, cause) as AuditRow[];
        take(rows);
        for (const row of rows) next.add(row.cause);
      }
      causes = next;
    }

    const descendant = db.prepare(`${SELECT_AUDIT} WHERE run = ? AND cause = ? LIMIT ${DESCENDANTS_MAX}`);
    const queue = own.map(row => row.event_id);
    const followed = new Set<string>();
    for (let id = queue.shift(); id !== undefined && found.size < DESCENDANTS_MAX; id = queue.shift()) {
      if (followed.has(id)) continue;
      followed.add(id);
      const rows = descendant.all(run, id) as AuditRow[];
      take(rows);
      queue.push(...rows.map(row => row.event_id));
    }
    return [...found.values()].sort((left, right) => left.seq - right.seq).map(auditLine);
  };

  return {
    path,
    mode: meta('mode'),
    instance: meta('instance'),
    orders,
    fills,
    movements: () => readMovements(db),
    holds: () => readHolds(db),
    balances: () =>
      (
        db.prepare('SELECT asset, total, free, locked, as_of_ms FROM balances ORDER BY asset').all() as {
          asset: string;
          total: string;
          free: string;
          locked: string;
          as_of_ms: number;
        }[]
      ).map(row => ({ ...balanceFrom(row), asOfMs: row.as_of_ms })),
    marks: () =>
      new Map(
        (
          db.prepare('SELECT symbol, price, at_ms FROM marks').all() as {
            symbol: string;
            price: string;
            at_ms: number;
          }[]
        ).map(row => [row.symbol, { price: parseDecimal(row.price), atMs: row.at_ms }]),
      ),
    openingAtMs: () => readOpeningAt(db),
    accounting: () =>
      db.transaction(() => {
        const atMs = readOpeningAt(db);
        const own = initialAccounting(atMs === null ? null : { atMs, balances: readOpening(db) });
        const foreign = initialAccounting({ atMs: atMs ?? 0, balances: [] });
        for (const movement of readMovements(db)) bookMovement(own, movement);
        for (const fill of fills())
          bookFill(
            fill.clientOrderId === null ? foreign : own,
            fill,
            pairFromSymbol(fill.symbol, fill.feeAsset),
          );
        return { own, foreign };
      })(),
    findOrder,
    transitions: clientOrderId =>
      (
        db
          .prepare(
            `SELECT at_ms, status, venue_order_id, filled, reason, cause, detail FROM order_events
             WHERE client_order_id = ? ORDER BY seq`,
          )
          .all(clientOrderId) as {
          at_ms: number;
          status: string;
          venue_order_id: string | null;
          filled: string | null;
          reason: string | null;
          cause: string;
          detail: string;
        }[]
      ).map(row => ({
        atMs: row.at_ms,
        status: row.status,
        venueOrderId: row.venue_order_id,
        filled: row.filled === null ? null : parseDecimal(row.filled),
        reason: row.reason,
        cause: row.cause,
        detail: row.detail,
      })),
    decisions,
    strategies: () =>
      new Map(db.prepare('SELECT client_order_id, strategy FROM orders').raw().all() as [string, string][]),
    backup: target => backUp(db, target),
    close: () => void db.close(),
  };
};

const orderLine = (row: OrderLineRow): OrderLine => ({
  order: orderFrom(row),
  venueOrderId: row.venue_order_id,
  filled: parseDecimal(row.executed),
  run: row.run,
});

const auditLine = (row: AuditRow): AuditLine => ({
  seq: row.seq,
  atMs: row.at_ms,
  actor: row.actor,
  event: row.event,
  id: row.event_id,
  cause: row.cause,
  facts: JSON.parse(row.facts) as AuditLine['facts'],
});

/** The given ones of some optional conditions. */
const conditions = (
  wanted: readonly (readonly [string | number | undefined, string])[],
): { readonly sql: string; readonly values: readonly (string | number)[] } => {
  const given = wanted.filter(([value]) => value !== undefined);
  return {
    sql: given.length === 0 ? '' : ` WHERE ${given.map(([, sql]) => sql).join(' AND ')}`,
    values: given.map(([value]) => value as string | number),
  };
};
