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
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { formatDecimal, type Price, tryParseDecimal } from '../domain/money.js';
import { makeFolder } from '../runtime/folders.js';
import type { AccountEvent } from './accounts.js';

/** A file that cannot be used; the message says which, where and why. */
export class AccountFileError extends Error {
  override readonly name = 'AccountFileError';
}

export interface AccountFile {
  /** What was in it, by key, oldest first. */
  readonly accounts: ReadonlyMap<string, readonly AccountEvent[]>;
  /** Last known prices of generated markets. */
  readonly prices: ReadonlyMap<string, Price>;
  /**
   * Begins to write: the torn end of a former run is cut off, and what waits is written. Nothing is written before, so
   * that an instance that is refused elsewhere leaves the file of the running one alone.
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
 * Reads the file, if there is one, and makes sure that it can be written.
 * @param mode part of its identity: a paper account is never mistaken for a dry-run one
 * @throws AccountFileError
 */
export const openAccountFile = (path: string, mode: string): AccountFile => {
  const accounts = new Map<string, AccountEvent[]>();
  const prices = new Map<string, Price>();
  const text = readIfThere(path);
  const whole = text.lastIndexOf('\n') + 1;
  const lines = text.slice(0, whole).split('\n').slice(0, -1);
  for (const [index, line] of lines.entries()) readRow(path, index + 1, line, mode, accounts, prices);
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
      fd = openSync(path, 'a', 0o600);
      if (whole < text.length) ftruncateSync(fd, kept);
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

const readIfThere = (path: string): string => {
  try {
    makeFolder(dirname(path));
    if (!statSync(dirname(path)).isDirectory()) throw new Error(`${dirname(path)} is not a folder`);
    accessSync(dirname(path), constants.W_OK);
    if (!existsSync(path)) return '';
    if (!statSync(path).isFile()) throw new Error('it is not a file');
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new AccountFileError(`the paper account ${path} cannot be used: ${messageOf(error)}`);
  }
};

/** Writes a text whole or not at all; readable by its owner only. */
export const writeWhole = (path: string, text: string): void => {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
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

const eventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('account-opened'),
    apiKey: z.string(),
    apiSecret: z.string(),
    userId: z.number().int(),
    feeLevel: z.number().int(),
    atMs,
  }),
  z.object({
    type: z.literal('moved'),
    movementId: z.number().int(),
    asset: z.string(),
    amount: decimal,
    atMs,
  }),
  z.object({
    type: z.literal('order-accepted'),
    order: z.object({
      orderId,
      clientOrderId: z.string(),
      symbol: z.string(),
      base: z.string(),
      quote: z.string(),
      side,
      method: z.enum(['limit', 'market', 'stop-limit', 'stop-market']),
      price: decimal,
      stopPrice: decimal.nullable(),
      quantity: decimal,
      quoteQuantity: decimal.nullable(),
      bound: decimal.nullable(),
      locked: decimal,
    }),
    atMs,
  }),
  z.object({ type: z.literal('order-entered'), orderId, atMs }),
  z.object({
    type: z.literal('order-filled'),
    orderId,
    tradeId: integer,
    price: decimal,
    quantity: decimal,
    fee: decimal,
    tax: decimal,
    liquidity: z.enum(['maker', 'taker']),
    lockedAfter: decimal,
    atMs,
  }),
  z.object({
    type: z.literal('order-ended'),
    orderId,
    status: z.enum(['canceled', 'closed']),
    reason: z.string(),
    quantity: decimal,
    remaining: decimal,
    atMs,
  }),
]);

const rowSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('paper-account'), version: z.literal(1), mode: z.string() }),
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
