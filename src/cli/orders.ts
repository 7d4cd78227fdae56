import type { OrderLine } from '../ledger/reader.js';
import {
  BOOKS_OPTIONS,
  BOOKS_USAGE,
  countOption,
  noPositionals,
  present,
  symbolOption,
  withBooks,
} from './books.js';
import { type Column, exact, json, jsonAmount, jsonTime, renderTable, time } from './table.js';
import type { Verb } from './verb.js';

/** Lines of text shown unless told otherwise. */
const SHOWN = 50;

export const verb: Verb = {
  name: 'orders',
  usage: `orders [--symbol S] [--open] [--limit N] ${BOOKS_USAGE}`,
  about: `Lists orders from the ledger, oldest first; ${SHOWN} newest as text, all with --json.

--open shows only orders that have not ended; --limit N the N newest.
JSON: { mode, database, orders: [{ clientOrderId, venueOrderId, symbol, side, method, price, quantity, filled, state,
reason, strategy, tag, intentId, intendedAt, sentAt, settledAt, cause }] }; amounts are exact decimal text.`,
  options: {
    ...BOOKS_OPTIONS,
    symbol: { type: 'string' },
    open: { type: 'boolean' },
    limit: { type: 'string' },
  },
  run: ({ values, positionals }, io) => {
    noPositionals(positionals);
    const limit = countOption(values, 'limit') ?? (values.json === true ? undefined : SHOWN);
    return withBooks(values, io, books => {
      const orders = books.orders(
        present({ symbol: symbolOption(values), open: values.open === true ? true : undefined, limit }),
      );
      if (values.json === true)
        io.out(json({ mode: books.mode, database: books.path, orders: orders.map(orderJson) }));
      else io.out(renderTable(COLUMNS, orders, 'no orders'));
      return 0;
    });
  },
};

/** An order as JSON has it. */
export const orderJson = ({ order, venueOrderId, filled }: OrderLine): Record<string, unknown> => ({
  clientOrderId: order.clientOrderId,
  venueOrderId,
  symbol: order.terms.symbol,
  side: order.terms.side,
  method: order.terms.method,
  price: jsonAmount(order.terms.price),
  quantity: jsonAmount(order.terms.quantity),
  filled: jsonAmount(filled),
  state: order.state.status,
  reason: 'reason' in order.state ? order.state.reason : null,
  strategy: order.strategy,
  tag: order.tag ?? null,
  intentId: order.intentId,
  intendedAt: jsonTime(order.intendedAtMs),
  sentAt: jsonTime(order.sentAtMs),
  settledAt: jsonTime(order.settledAtMs),
  cause: order.cause,
});

const COLUMNS: readonly Column<OrderLine>[] = [
  { title: 'intended', cell: line => time(line.order.intendedAtMs) },
  { title: 'order', cell: line => line.order.clientOrderId },
  { title: 'venue id', cell: line => line.venueOrderId ?? '-' },
  { title: 'symbol', cell: line => line.order.terms.symbol },
  { title: 'side', cell: line => line.order.terms.side },
  { title: 'price', align: 'right', cell: line => exact(line.order.terms.price) },
  { title: 'quantity', align: 'right', cell: line => exact(line.order.terms.quantity) },
  { title: 'filled', align: 'right', cell: line => exact(line.filled) },
  { title: 'state', cell: line => line.order.state.status },
];
