import { notional } from '../domain/money.js';
import type { Fill } from '../domain/order.js';
import {
  BOOKS_OPTIONS,
  BOOKS_USAGE,
  countOption,
  noPositionals,
  present,
  symbolOption,
  textOption,
  withBooks,
} from './books.js';
import { type Column, exact, json, jsonAmount, jsonTime, renderTable, time } from './table.js';
import type { Verb } from './verb.js';

/** Lines of text shown unless told otherwise. */
const SHOWN = 50;

export const verb: Verb = {
  name: 'fills',
  usage: `fills [--symbol S] [--order ID] [--limit N] ${BOOKS_USAGE}`,
  about: `Lists executions of our orders from the ledger, oldest first; ${SHOWN} newest as text, all with --json.

--order ID takes a client order id; --limit N shows the N newest.
JSON: { mode, database, fills: [{ tradeId, clientOrderId, venueOrderId, symbol, side, price, quantity, value, fee, tax,
feeAsset, executedAt }] }; value is price times quantity; amounts are exact decimal text, fee and tax are costs.`,
  options: {
    ...BOOKS_OPTIONS,
    symbol: { type: 'string' },
    order: { type: 'string' },
    limit: { type: 'string' },
  },
  run: ({ values, positionals }, io) => {
    noPositionals(positionals);
    const limit = countOption(values, 'limit') ?? (values.json === true ? undefined : SHOWN);
    return withBooks(values, io, books => {
      const fills = books.fills(
        present({ symbol: symbolOption(values), clientOrderId: textOption(values, 'order'), limit }),
      );
      if (values.json === true)
        io.out(json({ mode: books.mode, database: books.path, fills: fills.map(fillJson) }));
      else io.out(renderTable(COLUMNS, fills, 'no fills'));
      return 0;
    });
  },
};

/** A fill as JSON has it. */
export const fillJson = (fill: Fill): Record<string, unknown> => ({
  tradeId: fill.tradeId,
  clientOrderId: fill.clientOrderId,
  venueOrderId: fill.venueOrderId,
  symbol: fill.symbol,
  side: fill.side,
  price: jsonAmount(fill.price),
  quantity: jsonAmount(fill.quantity),
  value: jsonAmount(notional(fill.price, fill.quantity)),
  fee: jsonAmount(fill.fee),
  tax: jsonAmount(fill.tax),
  feeAsset: fill.feeAsset,
  executedAt: jsonTime(fill.executedAtMs),
});

const COLUMNS: readonly Column<Fill>[] = [
  { title: 'executed', cell: fill => time(fill.executedAtMs) },
  { title: 'trade', cell: fill => fill.tradeId },
  { title: 'order', cell: fill => fill.clientOrderId ?? '-' },
  { title: 'symbol', cell: fill => fill.symbol },
  { title: 'side', cell: fill => fill.side },
  { title: 'price', align: 'right', cell: fill => exact(fill.price) },
  { title: 'quantity', align: 'right', cell: fill => exact(fill.quantity) },
  { title: 'fee', align: 'right', cell: fill => exact(fill.fee) },
  { title: 'tax', align: 'right', cell: fill => exact(fill.tax) },
  { title: 'in', cell: fill => fill.feeAsset },
];
