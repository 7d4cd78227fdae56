/** Records into rows. Runs inside the caller's transaction. */
import type { Database } from 'better-sqlite3';
import type { LedgerRecord } from '../domain/ledger-records.js';
import { formatDecimal, max, parseDecimal } from '../domain/money.js';
import { type Fill, filledQuantity, isTerminal, type Order, type OrderState } from '../domain/order.js';
import { type FillRow, SELECT_FILLS, type StateColumns, stateColumns, text } from './rows.js';

/** Records that contradict what the ledger holds. The whole batch is refused. */
export class LedgerRecordError extends Error {
  override readonly name = 'LedgerRecordError';
}

/** Something odd about a record that was taken or left out all the same. */
export interface Finding {
  readonly type: /** Known already: nothing was written. */
    | 'intent-repeated'
    | 'move-repeated'
    | 'fill-repeated'
    | 'movement-repeated'
    | 'opening-repeated'
    /** Known already with other numbers: the first version stands. */
    | 'fill-contradicted'
    | 'movement-contradicted'
    /** A transition of an order without an intent: kept in `order_events` alone. */
    | 'order-unknown';
  readonly subject: string;
}

export interface Writer {
  /** @throws LedgerRecordError, or SQLite's error. */
  write(records: readonly LedgerRecord[]): readonly Finding[];
}

interface StateRow extends StateColumns {
  readonly order_seq: number;
  readonly ended: number;
  readonly sent_at_ms: number | null;
  readonly settled_at_ms: number | null;
  readonly booked: string;
  readonly executed: string;
}

type RecordOf<T extends LedgerRecord['type']> = Extract<LedgerRecord, { readonly type: T }>;

/** Prepares every statement once for a connection. */
export const writerFor = (db: Database, run: number): Writer => {
  const orderBy = db.prepare(
    'SELECT seq, intent_id, symbol, side, price, quantity FROM orders WHERE client_order_id = ?',
  );
  const insertOrder = db.prepare(
    `INSERT INTO orders (client_order_id, intent_id, strategy, symbol, side, method, price, quantity, quote_quantity,
                         stop_price, config_hash, cause, run, intended_at_ms, tag)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertEvent = db.prepare(
    `INSERT INTO order_events (client_order_id, run, at_ms, status, venue_order_id, filled, moment_ms, reason, cause, detail)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const eventKnown = db.prepare(
    'SELECT 1 FROM order_events WHERE client_order_id = ? AND cause = ? AND at_ms = ? AND status = ? AND detail = ?',
  );
  // A subquery: the equal join costs ten times as much for each call.
  const stateBy = db.prepare(
    'SELECT * FROM order_states WHERE order_seq = (SELECT seq FROM orders WHERE client_order_id = ?)',
  );
  const putState = db.prepare(
    `INSERT INTO order_states (order_seq, ended, status, venue_order_id, filled, moment_ms, reason, sent_at_ms,
                               settled_at_ms, booked, executed)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET ended = excluded.ended, status = excluded.status,
       venue_order_id = excluded.venue_order_id, filled = excluded.filled, moment_ms = excluded.moment_ms,
       reason = excluded.reason, sent_at_ms = excluded.sent_at_ms, settled_at_ms = excluded.settled_at_ms,
       booked = excluded.booked, executed = excluded.executed`,
  );
  const fillBy = db.prepare(`${SELECT_FILLS} WHERE trade_id = ?`);
  const insertFill = db.prepare(
    `INSERT INTO fills (trade_id, client_order_id, venue_order_id, symbol, side, price, quantity, fee, tax, fee_asset,
                        executed_at_ms, booked_at_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const openingAt = db.prepare("SELECT value FROM meta WHERE key = 'opening_at_ms'");
  const setOpeningAt = db.prepare("INSERT INTO meta (key, value) VALUES ('opening_at_ms', ?)");
  const setOpeningMovements = db.prepare("INSERT INTO meta (key, value) VALUES ('opening_movement_ids', ?)");
  const insertOpening = db.prepare(
    'INSERT INTO opening_balances (asset, total, free, locked) VALUES (?, ?, ?, ?)',
  );
  const balanceBy = db.prepare('SELECT total, free, locked FROM balances WHERE asset = ?');
  const putBalance = db.prepare(
    `INSERT INTO balances (asset, total, free, locked, as_of_ms) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET total = excluded.total, free = excluded.free, locked = excluded.locked,
       as_of_ms = excluded.as_of_ms`,
  );
  const shownHeld = db
    .prepare("SELECT asset FROM balances WHERE total <> '0' OR free <> '0' OR locked <> '0'")
    .pluck();
  const insertBalanceChange = db.prepare(
    'INSERT INTO balance_changes (at_ms, asset, total, free, locked) VALUES (?, ?, ?, ?, ?)',
  );
  const movementBy = db.prepare(
    'SELECT kind, asset, amount, fee, tax FROM cash_movements WHERE movement_id = ?',
  );
  const insertMovement = db.prepare(
    'INSERT INTO cash_movements (movement_id, kind, asset, amount, fee, tax, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?)',
  );
  const insertHold = db.prepare(
    `INSERT INTO holds (key, cause, subject, detail, placed_at_ms, recorded_at_ms)
     SELECT ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM holds WHERE key = ? AND released_at_ms IS NULL)`,
  );
  const releaseHold = db.prepare(
    'UPDATE holds SET released_at_ms = ?, released_by = ? WHERE key = ? AND released_at_ms IS NULL',
  );
  // Ids begin anew with each process; a ledger that was reopened within one counts as the next run.
  const insertAudit = db.prepare(
    `INSERT INTO audit (run, at_ms, actor, event, event_id, cause, client_order_id, intent_id, facts)
     SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS
       (SELECT 1 FROM audit WHERE run IN (?, ?) AND event_id = ? AND actor = ? AND event = ? AND at_ms = ?)`,
  );
  const putCancelAll = db.prepare(
    `INSERT INTO meta (key, value) VALUES ('cancel_all', ?)
     ON CONFLICT DO UPDATE SET value = excluded.value`,
  );
  const cancelAll = db.prepare("SELECT value FROM meta WHERE key = 'cancel_all'").pluck();
  const newestOrder = db.prepare('SELECT max(seq) FROM orders').pluck();
  const putStrategy = db.prepare(
    `INSERT INTO strategy_states (strategy, state, at_ms) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET state = excluded.state, at_ms = excluded.at_ms`,
  );
  const putMark = db.prepare(
    `INSERT INTO marks (symbol, price, at_ms) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET price = excluded.price, at_ms = excluded.at_ms`,
  );
  const putValuation = db.prepare(
    `INSERT INTO valuation (one, at_ms, profit_try, peak_profit_try, day_start_ms, day_start_profit_try)
     VALUES (1, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms, profit_try = excluded.profit_try,
       peak_profit_try = excluded.peak_profit_try, day_start_ms = excluded.day_start_ms,
       day_start_profit_try = excluded.day_start_profit_try`,
  );

  const writeEvent = (
    clientOrderId: string,
    atMs: number,
    columns: StateColumns,
    cause: string,
    detail: string,
  ): void => {
    insertEvent.run(
      clientOrderId,
      run,
      atMs,
      columns.status,
      columns.venue_order_id,
      columns.filled,
      columns.moment_ms,
      columns.reason,
      cause,
      detail,
    );
  };

  const writeState = (
    orderSeq: number,
    state: OrderState,
    columns: StateColumns,
    before: Pick<StateRow, 'venue_order_id' | 'sent_at_ms' | 'settled_at_ms' | 'booked' | 'executed'>,
    settledAtMs: number | null,
  ): void => {
    putState.run(
      orderSeq,
      isTerminal(state) ? 1 : 0,
      columns.status,
      columns.venue_order_id ?? before.venue_order_id,
      columns.filled,
      columns.moment_ms,
      columns.reason,
      before.sent_at_ms ?? (state.status === 'in-flight' ? state.sentAtMs : null),
      settledAtMs,
      before.booked,
      formatDecimal(max(parseDecimal(before.executed), filledQuantity(state))),
    );
  };

  const intend = (order: Order): Finding | null => {
    const known = orderBy.get(order.clientOrderId) as
      | {
          seq: number;
          intent_id: string;
          symbol: string;
          side: string;
          price: string | null;
          quantity: string;
        }
      | undefined;
    if (known !== undefined) {
      const same =
        known.intent_id === order.intentId &&
        known.symbol === order.terms.symbol &&
        known.side === order.terms.side &&
        known.price === text(order.terms.price) &&
        known.quantity === formatDecimal(order.terms.quantity);
      if (same) return { type: 'intent-repeated', subject: order.clientOrderId };
      throw new LedgerRecordError(`client order id ${order.clientOrderId} was used before for another order`);
    }
    const { terms } = order;
    const { lastInsertRowid } = insertOrder.run(
      order.clientOrderId,
      order.intentId,
      order.strategy,
      terms.symbol,
      terms.side,
      terms.method,
      text(terms.price),
      formatDecimal(terms.quantity),
      text(terms.quoteQuantity),
      text(terms.stopPrice),
      order.configHash,
      order.cause,
      run,
      order.intendedAtMs,
      order.tag ?? null,
    );
    const columns = stateColumns(order.state);
    writeEvent(order.clientOrderId, order.intendedAtMs, columns, order.cause, '');
    writeState(
      Number(lastInsertRowid),
      order.state,
      columns,
      { venue_order_id: null, sent_at_ms: order.sentAtMs, settled_at_ms: null, booked: '0', executed: '0' },
      order.settledAtMs,
    );
    return null;
  };

  const move = (record: RecordOf<'order-moved'>): Finding | null => {
    const columns = stateColumns(record.state);
    // Said again because nobody heard that it was written: the history has it, and whoever says it says in which order.
    const { clientOrderId, cause, atMs, detail } = record;
    const repeated = eventKnown.get(clientOrderId, cause, atMs, columns.status, detail) !== undefined;
    if (!repeated) writeEvent(clientOrderId, atMs, columns, cause, detail);
    const before = stateBy.get(record.clientOrderId) as StateRow | undefined;
    if (before === undefined) return { type: 'order-unknown', subject: record.clientOrderId };
    const settledAtMs = isTerminal(record.state)
      ? before.ended === 1
        ? before.settled_at_ms
        : record.atMs
      : null;
    writeState(before.order_seq, record.state, columns, before, settledAtMs);
    return repeated ? { type: 'move-repeated', subject: clientOrderId } : null;
  };

  const bookFill = (fill: Fill, bookedAtMs: number): Finding | null => {
    const known = fillBy.get(fill.tradeId) as FillRow | undefined;
    if (known !== undefined)
      return { type: sameFill(known, fill) ? 'fill-repeated' : 'fill-contradicted', subject: fill.tradeId };
    insertFill.run(
      fill.tradeId,
      fill.clientOrderId,
      fill.venueOrderId,
      fill.symbol,
      fill.side,
      formatDecimal(fill.price),
      formatDecimal(fill.quantity),
      formatDecimal(fill.fee),
      formatDecimal(fill.tax),
      fill.feeAsset,
      fill.executedAtMs,
      bookedAtMs,
    );
    // Of a fill that is nobody's order here there is none: null equals nothing in SQL.
    const state = stateBy.get(fill.clientOrderId) as StateRow | undefined;
    if (state !== undefined) {
      const booked = parseDecimal(state.booked) + fill.quantity;
      putState.run(
        state.order_seq,
        state.ended,
        state.status,
        state.venue_order_id ?? fill.venueOrderId,
        state.filled,
        state.moment_ms,
        state.reason,
        state.sent_at_ms,
        state.settled_at_ms,
        formatDecimal(booked),
        formatDecimal(max(parseDecimal(state.executed), booked)),
      );
    }
    return null;
  };

  const observe = (record: RecordOf<'balances'>): Finding | null => {
    let finding: Finding | null = null;
    if (record.opening) {
      if (openingAt.get() === undefined) {
        setOpeningAt.run(String(record.atMs));
        if (record.movementIds !== undefined) setOpeningMovements.run(JSON.stringify(record.movementIds));
        for (const { asset, total, free, locked } of record.balances)
          insertOpening.run(asset, formatDecimal(total), formatDecimal(free), formatDecimal(locked));
      } else finding = { type: 'opening-repeated', subject: String(record.atMs) };
    }
    // An asset that is not named is at zero: the venue may leave out what is not held.
    const named = new Set(record.balances.map(({ asset }) => asset));
    for (const asset of shownHeld.all() as string[]) {
      if (named.has(asset)) continue;
      insertBalanceChange.run(record.atMs, asset, '0', '0', '0');
      putBalance.run(asset, '0', '0', '0', record.atMs);
    }
    for (const { asset, ...amounts } of record.balances) {
      const total = formatDecimal(amounts.total);
      const free = formatDecimal(amounts.free);
      const locked = formatDecimal(amounts.locked);
      const known = balanceBy.get(asset) as { total: string; free: string; locked: string } | undefined;
      if (known === undefined || known.total !== total || known.free !== free || known.locked !== locked)
        insertBalanceChange.run(record.atMs, asset, total, free, locked);
      putBalance.run(asset, total, free, locked, record.atMs);
    }
    return finding;
  };

  const moveCash = ({ movement }: RecordOf<'cash-movement'>): Finding | null => {
    const row = {
      kind: movement.kind,
      asset: movement.asset,
      amount: formatDecimal(movement.amount),
      fee: formatDecimal(movement.fee),
      tax: formatDecimal(movement.tax),
    };
    const known = movementBy.get(movement.movementId) as typeof row | undefined;
    if (known !== undefined) {
      const same = (Object.keys(row) as (keyof typeof row)[]).every(column => row[column] === known[column]);
      return { type: same ? 'movement-repeated' : 'movement-contradicted', subject: movement.movementId };
    }
    insertMovement.run(movement.movementId, row.kind, row.asset, row.amount, row.fee, row.tax, movement.atMs);
    return null;
  };

  /** A batch that is handed in again, because nobody heard that it was written, says nothing new. */
  const writeAudit = (record: Omit<RecordOf<'audit'>, 'type'>): void => {
    const { atMs, actor, event, id, cause, facts } = record;
    const { clientOrderId, intentId } = facts;
    insertAudit.run(
      run,
      atMs,
      actor,
      event,
      id,
      cause,
      typeof clientOrderId === 'string' ? clientOrderId : null,
      typeof intentId === 'string' ? intentId : null,
      JSON.stringify(facts),
      run,
      run - 1,
      id,
      actor,
      event,
      atMs,
    );
  };

  /**
   * It stands for the orders that are in the books by now. Not for those of an earlier time: a clock that was set back
   * would take from it, or add to it. Handed in again, it stands for what it stood for.
   */
  const orderCancelAll = (atMs: number, reason: string, id: string): void => {
    const known = cancelAll.get() as string | undefined;
    const last = known === undefined ? null : (JSON.parse(known) as { atMs: number; id: string });
    if (last?.id === id && last.atMs === atMs) return;
    putCancelAll.run(JSON.stringify({ atMs, reason, id, throughSeq: newestOrder.get() ?? 0 }));
  };

  const writeOne = (record: LedgerRecord): Finding | null => {
    switch (record.type) {
      case 'order-intended':
        return intend(record.order);
      case 'order-moved':
        return move(record);
      case 'fill':
        return bookFill(record.fill, record.bookedAtMs);
      case 'balances':
        return observe(record);
      case 'cash-movement':
        return moveCash(record);
      case 'hold-placed': {
        const { key, cause, subject, detail, placedAtMs } = record.hold;
        insertHold.run(key, cause, subject, detail, placedAtMs, record.atMs, key);
        return null;
      }
      case 'hold-released':
        releaseHold.run(record.atMs, record.by, record.key);
        return null;
      case 'audit':
        writeAudit(record);
        return null;
      case 'cancel-all-ordered': {
        const { atMs, reason, id } = record;
        writeAudit({
          atMs,
          actor: 'supervisor',
          event: record.type,
          id,
          cause: 'operator',
          facts: { reason },
        });
        orderCancelAll(atMs, reason, id);
        return null;
      }
      case 'strategy-saved':
        putStrategy.run(record.strategy, record.state, record.atMs);
        return null;
      case 'mark':
        putMark.run(record.symbol, formatDecimal(record.price), record.atMs);
        return null;
      case 'valuation': {
        const { atMs, profitTry, peakProfitTry, dayStartMs, dayStartProfitTry } = record.valuation;
        putValuation.run(
          atMs,
          formatDecimal(profitTry),
          formatDecimal(peakProfitTry),
          dayStartMs,
          formatDecimal(dayStartProfitTry),
        );
        return null;
      }
    }
  };

  return {
    write(records) {
      const findings: Finding[] = [];
      for (const record of records) {
        const finding = writeOne(record);
        if (finding !== null) findings.push(finding);
      }
      return findings;
    },
  };
};

const sameFill = (row: FillRow, fill: Fill): boolean =>
  row.symbol === fill.symbol &&
  row.side === fill.side &&
  row.price === formatDecimal(fill.price) &&
  row.quantity === formatDecimal(fill.quantity) &&
  row.fee === formatDecimal(fill.fee) &&
  row.tax === formatDecimal(fill.tax) &&
  row.fee_asset === fill.feeAsset;
