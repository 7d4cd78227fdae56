/**
 * The paper account on disk: a JSON line per event, written before the reply leaves, so that the account survives the
 * sudden death of the process. A last line that is torn was never answered, and is cut off.
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { formatDecimal, type Price, tryParseDecimal } from '../domain/money.js';
import { makeFolder } from '../runtime/folders.js';
import { replaceFile } from '../runtime/replace-file.js';
import { AccountError, type AccountEvent, shorten } from './accounts.js';

/** A file that cannot be used; the message says which, where and why. */
export class AccountFileError extends Error {
  override readonly name = 'AccountFileError';
  /** What a bot that is refused for it ends with, as for its ledger: 3 for what the file holds, 2 for its place. */
  readonly exitCode: 2 | 3;

  constructor(message: string, exitCode: 2 | 3 = 3) {
    super(message);
    this.exitCode = exitCode;
  }
}

export interface AccountFile {
  /** What was in it, by key, oldest first. */
  readonly accounts: ReadonlyMap<string, readonly AccountEvent[]>;
  /** Last known prices of generated markets. */
  readonly prices: ReadonlyMap<string, Price>;
  /**
   * Begins to write: the torn end of a former run is cut off, and what waits is written. Nothing is written before, so
   * that an instance that is refused elsewhere leaves the file of the running one alone. Where it cannot be opened,
   * `problem` says why, and the next call tries again.
   */
  begin(): void;
  /** Writes an event, or keeps it waiting while the disk refuses it. */
  append(apiKey: string, event: AccountEvent): void;
  /** Keeps where a generated market is, so that it goes on from there. */
  mark(symbol: string, price: Price): void;
  /** Why events are waiting to be written, after another attempt; null when none is. */
  problem(): string | null;
  close(): void;
}

/**
 * Reads the file, if there is one, and makes sure that it can be written. One that has grown long is shortened at the first
 * write: whole or not at all.
 * @param mode part of its identity: a paper account is never mistaken for a dry-run one
 * @param longBytes how long it may be
 * @throws AccountFileError
 */
export const openAccountFile = (path: string, mode: string, longBytes = LONG_BYTES): AccountFile => {
  const accounts = new Map<string, AccountEvent[]>();
  const prices = new Map<string, Price>();
  const text = readIfThere(path);
  const whole = text.lastIndexOf('\n') + 1;
  const lines = text.slice(0, whole).split('\n').slice(0, -1);
  for (const [index, line] of lines.entries()) readRow(path, index + 1, line, mode, accounts, prices);
  const shortened = whole > longBytes ? shortenAll(accounts, prices, mode) : null;
  const rows: unknown[] = whole === 0 ? [{ kind: 'paper-account', version: 1, mode }] : [];
  let fd: number | null = null;
  let kept = Buffer.byteLength(text.slice(0, whole));
  let failure: string | null = null;
  /** Writes what waits, oldest first; a row that does not get through whole is taken back and waits on. */
  const flush = (): void => {
    if (fd === null) return;
    try {
      while (rows.length > 0) {
        const bytes = Buffer.from(`${encode(rows[0])}\n`);
        for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
        kept += bytes.length;
        rows.shift();
      }
      failure = null;
    } catch (error) {
      failure = messageOf(error);
      ftruncateSync(fd, kept);
    }
  };
  return {
    accounts,
    prices,
    begin() {
      if (fd !== null) return;
      const rewritten = shortened !== null && isReplaced(path, shortened);
      if (rewritten) kept = Buffer.byteLength(shortened);
      try {
        fd = openSync(path, 'a', 0o600);
      } catch (error) {
        failure = messageOf(error);
        return;
      }
      if (!rewritten && whole < text.length) ftruncateSync(fd, kept);
      flush();
    },
    append(apiKey, event) {
      rows.push({ kind: 'event', apiKey, event });
      flush();
    },
    mark(symbol, price) {
      if (fd === null || failure !== null) return;
      rows.push({ kind: 'mark', symbol, price: formatDecimal(price) });
      flush();
    },
    problem() {
      if (failure !== null) flush();
      return failure;
    },
    close() {
      flush();
      if (fd !== null) closeSync(fd);
      fd = null;
    },
  };
};

/** About fifty thousand orders. */
const LONG_BYTES = 32 * 1024 * 1024;

/** Shortens the accounts, and gives the text of a file that holds them so; null when one contradicts itself. */
const shortenAll = (
  accounts: Map<string, AccountEvent[]>,
  prices: ReadonlyMap<string, Price>,
  mode: string,
): string | null => {
  const rows: unknown[] = [{ kind: 'paper-account', version: 2, mode }];
  try {
    for (const [apiKey, events] of accounts) {
      const short = shorten(events);
      accounts.set(apiKey, [...short]);
      for (const event of short) rows.push({ kind: 'event', apiKey, event });
    }
  } catch (error) {
    // Whoever puts the account together says what is wrong with it.
    if (error instanceof AccountError) return null;
    throw error;
  }
  for (const [symbol, price] of prices) rows.push({ kind: 'mark', symbol, price: formatDecimal(price) });
  return `${rows.map(encode).join('\n')}\n`;
};

/** A disk that has no room for it keeps the long one. */
const isReplaced = (path: string, text: string): boolean => {
  try {
    replaceFile(path, text);
    return true;
  } catch {
    return false;
  }
};

const readIfThere = (path: string): string => {
  try {
    makeFolder(dirname(path));
    if (!statSync(dirname(path)).isDirectory()) throw new Error(`${dirname(path)} is not a folder`);
    accessSync(dirname(path), constants.W_OK);
    if (!existsSync(path)) return '';
    if (!statSync(path).isFile()) throw new Error('it is not a file');
    accessSync(path, constants.R_OK | constants.W_OK);
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new AccountFileError(`the paper account ${path} cannot be used: ${messageOf(error)}`, 2);
  }
};

const decimal = z.string().transform((text, context) => {
  const value = tryParseDecimal(text);
  if (value === undefined) {
    context.addIssue({ code: 'custom', message: 'not a decimal' });
    return z.NEVER;
  }
  return value;
});
const integer = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform(BigInt);
const side = z.enum(['buy', 'sell']);
const atMs = z.number();
const orderId = z.number().int();

const liquidity = z.enum(['maker', 'taker']);
const method = z.enum(['limit', 'market', 'stop-limit', 'stop-market']);
const orderTerms = {
  orderId,
  clientOrderId: z.string(),
  symbol: z.string(),
  base: z.string(),
  quote: z.string(),
  side,
  method,
  price: decimal,
  stopPrice: decimal.nullable(),
  quantity: decimal,
  quoteQuantity: decimal.nullable(),
  bound: decimal.nullable(),
  locked: decimal,
};
const movement = { movementId: z.number().int(), asset: z.string(), amount: decimal, atMs };
const trade = {
  tradeId: integer,
  price: decimal,
  quantity: decimal,
  fee: decimal,
  tax: decimal,
  liquidity,
  atMs,
};

const eventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('account-opened'),
    apiKey: z.string(),
    apiSecret: z.string(),
    userId: z.number().int(),
    feeLevel: z.number().int(),
    atMs,
  }),
  z.object({ type: z.literal('moved'), ...movement }),
  z.object({ type: z.literal('order-accepted'), order: z.object(orderTerms), atMs }),
  z.object({ type: z.literal('order-entered'), orderId, atMs }),
  z.object({ type: z.literal('order-filled'), orderId, ...trade, lockedAfter: decimal }),
  z.object({
    type: z.literal('order-ended'),
    orderId,
    status: z.enum(['canceled', 'closed']),
    reason: z.string(),
    quantity: decimal,
    remaining: decimal,
    atMs,
  }),
  z.object({
    type: z.literal('carried-over'),
    holdings: z.array(z.object({ asset: z.string(), total: decimal, locked: decimal })),
    orders: z.array(
      z.object({
        ...orderTerms,
        remaining: decimal,
        filled: decimal,
        status: z.enum(['accepted', 'working', 'canceled', 'closed']),
        createdAtMs: atMs,
        updatedAtMs: atMs,
        firstFillPrice: decimal.nullable(),
      }),
    ),
    trades: z.array(z.object({ ...trade, orderId })),
    movements: z.array(z.object(movement)),
    lastSettlementMs: atMs,
    atMs,
  }),
]);

const rowSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('paper-account'),
    version: z.union([z.literal(1), z.literal(2)]),
    mode: z.string(),
  }),
  z.object({ kind: z.literal('event'), apiKey: z.string(), event: eventSchema }),
  z.object({ kind: z.literal('mark'), symbol: z.string(), price: decimal }),
]);

/** Fields that are whole numbers, not amounts. */
const INTEGER_FIELDS = ['tradeId'];

const encode = (row: unknown): string =>
  JSON.stringify(row, (name, value: unknown) =>
    typeof value === 'bigint'
      ? INTEGER_FIELDS.includes(name)
        ? String(value)
        : formatDecimal(value)
      : value,
  );

const readRow = (
  path: string,
  line: number,
  text: string,
  mode: string,
  accounts: Map<string, AccountEvent[]>,
  prices: Map<string, Price>,
): void => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new AccountFileError(`the paper account ${path} is damaged: line ${line} is not JSON`);
  }
  const parsed = rowSchema.safeParse(json);
  if (!parsed.success)
    throw new AccountFileError(
      `the paper account ${path} is damaged: line ${line}: ${parsed.error.issues[0]?.path.join('.') ?? ''} ${parsed.error.issues[0]?.message ?? ''}`,
    );
  const row = parsed.data;
  if (row.kind === 'paper-account') {
    if (row.mode !== mode)
      throw new AccountFileError(
        `${path} is the account of a ${row.mode} run, this is a ${mode} run: use another STATE_DB_PATH`,
      );
  } else if (row.kind === 'mark') prices.set(row.symbol, row.price);
  else {
    const events = accounts.get(row.apiKey);
    if (events === undefined) accounts.set(row.apiKey, [row.event]);
    else events.push(row.event);
  }
};

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
