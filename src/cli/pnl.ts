import {
  averagePrice,
  fillCountOf,
  openCostFifo,
  type Position,
  realized,
  realizedFifo,
  unrealized,
  unrealizedFifo,
} from '../domain/accounting.js';
import { type Amount, multiply, ONE } from '../domain/money.js';
import type { LedgerReader, Mark } from '../ledger/reader.js';
import { BOOKS_OPTIONS, BOOKS_USAGE, noPositionals, symbolOption, withBooks } from './books.js';
import {
  type Column,
  exact,
  json,
  jsonAmount,
  jsonTime,
  readable,
  readablePrice,
  renderTable,
  time,
} from './table.js';
import type { Verb } from './verb.js';

const LIRA = 'TRY';

/** Results in one currency; null where a price or a rate is missing. */
interface Result {
  readonly realized: Amount;
  readonly unrealized: Amount | null;
  readonly profit: Amount | null;
  readonly fees: Amount;
  readonly taxes: Amount;
}

interface Line extends Result {
  readonly position: Position;
  readonly mark: Mark | null;
  readonly fifo: {
    readonly realized: Amount;
    readonly unrealized: Amount | null;
    readonly profit: Amount | null;
    readonly cost: Amount;
  };
  /** The same in lira, or null without a rate. */
  readonly lira: Result | null;
}

export const verb: Verb = {
  name: 'pnl',
  usage: `pnl [--symbol S] ${BOOKS_USAGE}`,
  about: `Shows what the bot's own trades have earned, per symbol and in all.

realized is the result of what was closed, less all fees and taxes paid so far; unrealized is what closing the rest at
the last recorded mark would add; profit is their sum, the same under average cost and first in, first out.
JSON: { mode, database, symbols: [{ symbol, base, quote, position, averagePrice, cost, mark, markAt, realized,
unrealized, profit, fifo: { realized, unrealized, profit, cost }, fees, taxes, bought, sold, turnover, fills,
try: { rate, realized, unrealized, profit, fees, taxes } | null }],
totals: { quotes: [{ quote, realized, unrealized, profit, fees, taxes }], try: { … } | null, missing: [] },
otherCosts: [{ asset, amount }] }; amounts are exact decimal text in the quote asset, null where a mark or rate is missing.`,
  options: { ...BOOKS_OPTIONS, symbol: { type: 'string' } },
  run: ({ values, positionals }, io) => {
    noPositionals(positionals);
    return withBooks(values, io, books => {
      const report = profitReport(books, symbolOption(values));
      io.out(values.json === true ? json(reportJson(books, report)) : reportText(report));
      return 0;
    });
  },
};

interface Report {
  readonly lines: readonly Line[];
  readonly quotes: readonly (Result & { readonly quote: string })[];
  readonly lira: Result | null;
  /** Marks and rates that would be needed. */
  readonly missing: readonly string[];
  readonly rates: ReadonlyMap<string, bigint>;
  readonly otherCosts: ReadonlyMap<string, Amount>;
}

const profitReport = (books: LedgerReader, symbol: string | undefined): Report => {
  const { own } = books.accounting();
  const marks = books.marks();
  const rates = new Map<string, bigint>([[LIRA, ONE]]);
  for (const [name, mark] of marks)
    if (name.endsWith(LIRA) && name !== LIRA) rates.set(name.slice(0, -LIRA.length), mark.price);

  const positions = [...own.positions.values()]
    .filter(position => symbol === undefined || position.pair.symbol === symbol)
    .sort((left, right) => (left.pair.symbol < right.pair.symbol ? -1 : 1));
  const lines = positions.map(position =>
    lineOf(position, marks.get(position.pair.symbol) ?? null, rates.get(position.pair.quote)),
  );
  const missing = new Set<string>();
  for (const { position, mark, lira } of lines) {
    if (position.quantity !== 0n && mark === null) missing.add(position.pair.symbol);
    if (lira === null) missing.add(`${position.pair.quote}${LIRA}`);
  }
  const quoteNames = [...new Set(lines.map(line => line.position.pair.quote))].sort();
  return {
    lines,
    quotes: quoteNames.map(quote => ({
      quote,
      ...sum(lines.filter(line => line.position.pair.quote === quote)),
    })),
    lira: lines.every(line => line.lira !== null) ? sum(lines.flatMap(line => line.lira ?? [])) : null,
    missing: [...missing].sort(),
    rates,
    otherCosts: own.otherCosts,
  };
};

const lineOf = (position: Position, mark: Mark | null, rate: bigint | undefined): Line => {
  const open = mark !== null ? unrealized(position, mark.price) : position.quantity === 0n ? 0n : null;
  const openFifo =
    mark !== null ? unrealizedFifo(position, mark.price) : position.quantity === 0n ? 0n : null;
  const result = resultOf(realized(position), open, position.fees, position.taxes);
  return {
    position,
    mark,
    ...result,
    fifo: {
      realized: realizedFifo(position),
      unrealized: openFifo,
      profit: openFifo === null ? null : realizedFifo(position) + openFifo,
      cost: openCostFifo(position),
    },
    lira:
      rate === undefined
        ? null
        : resultOf(
            inLira(result.realized, rate),
            open === null ? null : inLira(open, rate),
            inLira(result.fees, rate),
            inLira(result.taxes, rate),
          ),
  };
};

const resultOf = (closed: Amount, open: Amount | null, fees: Amount, taxes: Amount): Result => ({
  realized: closed,
  unrealized: open,
  profit: open === null ? null : closed + open,
  fees,
  taxes,
});

const inLira = (amount: Amount, rate: bigint): Amount => multiply(amount, rate, 'half-up');

const sum = (results: readonly Result[]): Result => {
  const total = (part: (result: Result) => Amount): Amount =>
    results.reduce((all, result) => all + part(result), 0n);
  const complete = results.every(result => result.unrealized !== null);
  return resultOf(
    total(result => result.realized),
    complete ? total(result => result.unrealized ?? 0n) : null,
    total(result => result.fees),
    total(result => result.taxes),
  );
};

const resultJson = (result: Result): Record<string, unknown> => ({
  realized: jsonAmount(result.realized),
  unrealized: jsonAmount(result.unrealized),
  profit: jsonAmount(result.profit),
  fees: jsonAmount(result.fees),
  taxes: jsonAmount(result.taxes),
});

const reportJson = (books: LedgerReader, report: Report): Record<string, unknown> => ({
  mode: books.mode,
  database: books.path,
  symbols: report.lines.map(line => ({
    symbol: line.position.pair.symbol,
    base: line.position.pair.base,
    quote: line.position.pair.quote,
    position: jsonAmount(line.position.quantity),
    averagePrice: jsonAmount(averagePrice(line.position)),
    cost: jsonAmount(line.position.cost),
    mark: jsonAmount(line.mark?.price ?? null),
    markAt: jsonTime(line.mark?.atMs ?? null),
    ...resultJson(line),
    fifo: {
      realized: jsonAmount(line.fifo.realized),
      unrealized: jsonAmount(line.fifo.unrealized),
      profit: jsonAmount(line.fifo.profit),
      cost: jsonAmount(line.fifo.cost),
    },
    bought: jsonAmount(line.position.bought),
    sold: jsonAmount(line.position.sold),
    turnover: jsonAmount(line.position.turnover),
    fills: fillCountOf(line.position),
    try:
      line.lira === null
        ? null
        : {
            rate: jsonAmount(report.rates.get(line.position.pair.quote) ?? null),
            ...resultJson(line.lira),
          },
  })),
  totals: {
    quotes: report.quotes.map(({ quote, ...result }) => ({ quote, ...resultJson(result) })),
    try: report.lira === null ? null : resultJson(report.lira),
    missing: report.missing,
  },
  otherCosts: [...report.otherCosts].map(([asset, amount]) => ({ asset, amount: jsonAmount(amount) })),
});

const reportText = (report: Report): string => {
  const parts = [renderTable(COLUMNS, report.lines, 'nothing was traded')];
  if (report.lines.length > 0) {
    const totals = [
      ...report.quotes.map(result => ({ name: `total ${result.quote}`, asset: result.quote, result })),
      // With lira alone the total in lira is the line above.
      ...(report.lira === null || report.quotes.every(result => result.quote === LIRA)
        ? []
        : [{ name: 'all in TRY', asset: LIRA, result: report.lira }]),
    ];
    parts.push(renderTable(TOTAL_COLUMNS, totals, ''));
  }
  if (report.missing.length > 0) parts.push(`no mark or rate recorded for: ${report.missing.join(', ')}\n`);
  for (const [asset, amount] of report.otherCosts) parts.push(`paid in ${asset} beside: ${exact(amount)}\n`);
  if (report.lines.length > 0) parts.push('rounded for reading; --json has every digit\n');
  return parts.join('\n');
};

const money = (line: Line, value: Amount | null): string => readable(value, line.position.pair.quote);

const COLUMNS: readonly Column<Line>[] = [
  { title: 'symbol', cell: line => line.position.pair.symbol },
  { title: 'position', align: 'right', cell: line => exact(line.position.quantity) },
  { title: 'average', align: 'right', cell: line => readablePrice(averagePrice(line.position)) },
  { title: 'mark', align: 'right', cell: line => readablePrice(line.mark?.price ?? null) },
  { title: 'realized', align: 'right', cell: line => money(line, line.realized) },
  { title: 'unrealized', align: 'right', cell: line => money(line, line.unrealized) },
  { title: 'profit', align: 'right', cell: line => money(line, line.profit) },
  { title: 'fifo realized', align: 'right', cell: line => money(line, line.fifo.realized) },
  { title: 'fees', align: 'right', cell: line => money(line, line.fees) },
  { title: 'taxes', align: 'right', cell: line => money(line, line.taxes) },
  { title: 'in', cell: line => line.position.pair.quote },
  { title: 'fills', align: 'right', cell: line => String(fillCountOf(line.position)) },
  { title: 'marked at', cell: line => time(line.mark?.atMs ?? null) },
];

interface Total {
  readonly name: string;
  readonly asset: string;
  readonly result: Result;
}

const TOTAL_COLUMNS: readonly Column<Total>[] = [
  { title: '', cell: total => total.name },
  { title: 'realized', align: 'right', cell: total => readable(total.result.realized, total.asset) },
  { title: 'unrealized', align: 'right', cell: total => readable(total.result.unrealized, total.asset) },
  { title: 'profit', align: 'right', cell: total => readable(total.result.profit, total.asset) },
  { title: 'fees', align: 'right', cell: total => readable(total.result.fees, total.asset) },
  { title: 'taxes', align: 'right', cell: total => readable(total.result.taxes, total.asset) },
];
