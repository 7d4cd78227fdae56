import { expectedBalances } from '../domain/accounting.js';
import type { Amount } from '../domain/money.js';
import type { LedgerReader } from '../ledger/reader.js';
import { BOOKS_OPTIONS, BOOKS_USAGE, noPositionals, withBooks } from './books.js';
import { type Column, exact, json, jsonAmount, jsonTime, renderTable, time } from './table.js';
import type { Verb } from './verb.js';

interface Line {
  readonly asset: string;
  readonly total: Amount | null;
  readonly free: Amount | null;
  readonly locked: Amount | null;
  readonly asOfMs: number | null;
  readonly expected: Amount | null;
  readonly difference: Amount | null;
}

export const verb: Verb = {
  name: 'balances',
  usage: `balances ${BOOKS_USAGE}`,
  about: `Shows the account as the exchange last reported it, beside what the ledger expects.

expected is the opening balance plus deposits, withdrawals and fills (also of orders that are not ours) less fees and
tax, to the last digit; difference is total minus expected. Right after a fill the report may lag: look at asOf.
JSON: { mode, database, openingAt, balances: [{ asset, total, free, locked, asOf, expected, difference }] }; amounts
are exact decimal text, null where nothing is known yet.`,
  options: { ...BOOKS_OPTIONS },
  run: ({ values, positionals }, io) => {
    noPositionals(positionals);
    return withBooks(values, io, books => {
      const lines = balanceLines(books);
      if (values.json === true)
        io.out(
          json({
            mode: books.mode,
            database: books.path,
            openingAt: jsonTime(books.openingAtMs()),
            balances: lines.map(line => ({
              asset: line.asset,
              total: jsonAmount(line.total),
              free: jsonAmount(line.free),
              locked: jsonAmount(line.locked),
              asOf: jsonTime(line.asOfMs),
              expected: jsonAmount(line.expected),
              difference: jsonAmount(line.difference),
            })),
          }),
        );
      else io.out(renderTable(COLUMNS, lines.filter(isWorthALine), 'no balances'));
      return 0;
    });
  },
};

const balanceLines = (books: LedgerReader): Line[] => {
  const reported = new Map(books.balances().map(balance => [balance.asset, balance]));
  const opened = books.openingAtMs() !== null;
  const { own, foreign } = books.accounting();
  const expected = opened ? expectedBalances(own) : new Map<string, Amount>();
  if (opened)
    for (const [asset, change] of foreign.changes) expected.set(asset, (expected.get(asset) ?? 0n) + change);
  return [...new Set([...reported.keys(), ...expected.keys()])].sort().map(asset => {
    const balance = reported.get(asset);
    const wanted = expected.get(asset) ?? (opened ? 0n : null);
    return {
      asset,
      total: balance?.total ?? null,
      free: balance?.free ?? null,
      locked: balance?.locked ?? null,
      asOfMs: balance?.asOfMs ?? null,
      expected: wanted,
      difference: balance === undefined || wanted === null ? null : balance.total - wanted,
    };
  });
};

/** The exchange lists every asset it knows; people want those that they have. */
const isWorthALine = (line: Line): boolean =>
  [line.total, line.free, line.locked, line.expected, line.difference].some(
    amount => amount !== null && amount !== 0n,
  );

const COLUMNS: readonly Column<Line>[] = [
  { title: 'asset', cell: line => line.asset },
  { title: 'total', align: 'right', cell: line => exact(line.total) },
  { title: 'free', align: 'right', cell: line => exact(line.free) },
  { title: 'locked', align: 'right', cell: line => exact(line.locked) },
  { title: 'expected', align: 'right', cell: line => exact(line.expected) },
  { title: 'difference', align: 'right', cell: line => exact(line.difference) },
  { title: 'as of', cell: line => time(line.asOfMs) },
];
