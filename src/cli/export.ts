import { pairFromSymbol } from '../domain/accounting.js';
import { abs, formatDecimal, notional } from '../domain/money.js';
import type { Fill } from '../domain/order.js';
import type { CashMovement } from '../domain/venue-port.js';
import { BackupError } from '../ledger/backup.js';
import { writeBackupMark } from '../ledger/backup-mark.js';
import type { LedgerReader } from '../ledger/reader.js';
import { wallMs } from '../runtime/clock.js';
import {
  BOOKS_OPTIONS,
  BOOKS_USAGE,
  noPositionals,
  present,
  symbolOption,
  textOption,
  timeOption,
  withBooks,
} from './books.js';
import { fillJson } from './fills.js';
import { writeNew } from './new-file.js';
import { CliRefused } from './refused.js';
import { json, jsonAmount, jsonTime } from './table.js';
import type { Verb, VerbIo } from './verb.js';

/** The columns that CoinTracking's own CSV import expects, in its order. */
const COIN_TRACKING = [
  'Type',
  'Buy Amount',
  'Buy Currency',
  'Sell Amount',
  'Sell Currency',
  'Fee',
  'Fee Currency',
  'Exchange',
  'Trade-Group',
  'Comment',
  'Date',
] as const;

export const verb: Verb = {
  name: 'export',
  usage: `export [--format csv|jsonl] [--from TIME] [--to TIME] [--symbol S] [--out FILE] [--backup FILE] ${BOOKS_USAGE}`,
  about: `Writes fills, deposits and withdrawals for other programs, or a copy of the whole database.

--format csv (default) has CoinTracking's columns: amounts are what the balance changed by, with fee and tax already in
them; the fee column repeats fee and tax together; dates are UTC. --format jsonl has one JSON object a line with type
"fill" or "cash-movement" and exact decimal text. --from and --to (excluded) take a date or a time with its offset.
--out FILE writes a new file instead of standard output. --backup FILE copies the database, also while the bot runs,
checks the copy, and exports nothing else; with --json it prints { backup, database }.`,
  options: {
    ...BOOKS_OPTIONS,
    format: { type: 'string' },
    from: { type: 'string' },
    to: { type: 'string' },
    symbol: { type: 'string' },
    out: { type: 'string' },
    backup: { type: 'string' },
  },
  run: ({ values, positionals }, io) => {
    noPositionals(positionals);
    const format = textOption(values, 'format') ?? (values.json === true ? 'jsonl' : 'csv');
    if (format !== 'csv' && format !== 'jsonl')
      throw new CliRefused(`--format must be csv or jsonl, not ${JSON.stringify(format)}`);
    const range = present({ fromMs: timeOption(values, 'from'), toMs: timeOption(values, 'to') });
    if (range.fromMs !== undefined && range.toMs !== undefined && range.fromMs >= range.toMs)
      throw new CliRefused('--from must be before --to, which is excluded: nothing lies between them');
    return withBooks(values, io, async books => {
      const backup = textOption(values, 'backup');
      if (backup !== undefined) {
        await backUp(books, backup);
        rememberBackup(books.path, backup, io);
        io.out(
          values.json === true
            ? json({ backup, database: books.path })
            : `${books.path} is copied to ${backup}\n`,
        );
        return 0;
      }
      const symbol = symbolOption(values);
      const fills = books.fills({ ...range, ...present({ symbol }) });
      const movements = (symbol === undefined ? books.movements() : []).filter(
        movement => movement.atMs >= (range.fromMs ?? 0) && movement.atMs < (range.toMs ?? Number.MAX_VALUE),
      );
      const text = format === 'csv' ? csv(books, fills, movements) : jsonLines(fills, movements);
      const out = textOption(values, 'out');
      if (out === undefined) io.out(text);
      else writeNew(out, text);
      return 0;
    });
  },
};

const backUp = async (books: LedgerReader, target: string): Promise<void> => {
  try {
    await books.backup(target);
  } catch (error) {
    if (error instanceof BackupError || error instanceof TypeError)
      throw new CliRefused(`cannot back up to ${target}: ${error.message}`);
    throw error;
  }
};

/** A folder that cannot be written, as when another user reads the books, makes the copy no worse. */
const rememberBackup = (ledgerPath: string, file: string, io: VerbIo): void => {
  try {
    writeBackupMark(ledgerPath, file, wallMs());
  } catch (error) {
    io.err(`the copy is good, but doctor will not know of it: ${(error as Error).message}\n`);
  }
};

/** One CSV row by column. */
type Row = Partial<Record<(typeof COIN_TRACKING)[number], string>> & { readonly atMs: number };

const csv = (books: LedgerReader, fills: readonly Fill[], movements: readonly CashMovement[]): string => {
  const strategies = books.strategies();
  const exchange = books.mode === 'live' ? 'BtcTurk' : `BtcTurk (${books.mode})`;
  const rows = [
    ...fills.map(fill => fillRow(fill, strategies.get(fill.clientOrderId ?? '') ?? '')),
    ...movements.map(movementRow),
  ].sort((left, right) => left.atMs - right.atMs);
  const lines = rows.map(row =>
    COIN_TRACKING.map(column =>
      quoted(column === 'Exchange' ? exchange : column === 'Date' ? csvTime(row.atMs) : (row[column] ?? '')),
    ).join(','),
  );
  return `${[COIN_TRACKING.map(quoted).join(','), ...lines].join('\n')}\n`;
};

const fillRow = (fill: Fill, strategy: string): Row => {
  const { base, quote } = pairFromSymbol(fill.symbol, fill.feeAsset);
  const costs = fill.fee + fill.tax;
  const inBase = fill.feeAsset === base ? costs : 0n;
  const inQuote = fill.feeAsset === quote ? costs : 0n;
  const value = notional(fill.price, fill.quantity);
  const buying = fill.side === 'buy';
  return {
    Type: 'Trade',
    'Buy Amount': formatDecimal(buying ? fill.quantity - inBase : value - inQuote),
    'Buy Currency': buying ? base : quote,
    'Sell Amount': formatDecimal(buying ? value + inQuote : fill.quantity + inBase),
    'Sell Currency': buying ? quote : base,
    Fee: formatDecimal(costs),
    'Fee Currency': fill.feeAsset,
    'Trade-Group': strategy,
    Comment: `trade ${fill.tradeId} of order ${fill.clientOrderId ?? fill.venueOrderId}`,
    atMs: fill.executedAtMs,
  };
};

const movementRow = (movement: CashMovement): Row => {
  const costs = movement.fee + movement.tax;
  const change = formatDecimal(abs(movement.amount - costs));
  const deposit = movement.kind === 'deposit';
  return {
    Type: deposit ? 'Deposit' : 'Withdrawal',
    ...(deposit
      ? { 'Buy Amount': change, 'Buy Currency': movement.asset }
      : { 'Sell Amount': change, 'Sell Currency': movement.asset }),
    Fee: formatDecimal(costs),
    'Fee Currency': movement.asset,
    Comment: `${movement.kind} ${movement.movementId}`,
    atMs: movement.atMs,
  };
};

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;

/** `2026-09-23 03:20:00`, UTC. */
const csvTime = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');

const jsonLines = (fills: readonly Fill[], movements: readonly CashMovement[]): string =>
  [
    ...fills.map(fill => ({ atMs: fill.executedAtMs, line: { type: 'fill', ...fillJson(fill) } })),
    ...movements.map(movement => ({
      atMs: movement.atMs,
      line: {
        type: 'cash-movement',
        movementId: movement.movementId,
        kind: movement.kind,
        asset: movement.asset,
        amount: jsonAmount(movement.amount),
        fee: jsonAmount(movement.fee),
        tax: jsonAmount(movement.tax),
        at: jsonTime(movement.atMs),
      },
    })),
  ]
    .sort((left, right) => left.atMs - right.atMs)
    .map(({ line }) => `${JSON.stringify(line)}\n`)
    .join('');
