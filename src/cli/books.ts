/** Opening the books for a reading verb: where they are, and closing them again. */
import { readFileSync } from 'node:fs';
import type { ParseArgsOptionsConfig } from 'node:util';
import { type LedgerReader, openReader } from '../ledger/reader.js';
import { CONFIG_FILE_VARIABLE, SETTINGS } from '../runtime/setting-table.js';
import { CliRefused } from './refused.js';
import type { VerbIo } from './verb.js';

/** Options of every verb that reads the books. */
export const BOOKS_OPTIONS = { db: { type: 'string' } } as const satisfies ParseArgsOptionsConfig;

export const BOOKS_USAGE = '[--db FILE] [--config FILE] [--json]';

/** Runs `work` on the ledger that the options, the environment or the configuration file name. */
export const withBooks = async <T>(
  values: Readonly<Record<string, unknown>>,
  io: VerbIo,
  work: (books: LedgerReader) => T | Promise<T>,
): Promise<T> => {
  const books = openReader(ledgerPath(values, io.env));
  try {
    return await work(books);
  } finally {
    books.close();
  }
};

/**
 * `--db`, else `STATE_DB_PATH` from the environment, else from the configuration file (`--config`, else BTCBOT_CONFIG),
 * else the default. Reading needs none of the other settings, so a configuration that would not start the bot still
 * shows its books.
 */
export const ledgerPath = (
  values: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): string => {
  if (typeof values.db === 'string') return values.db;
  if (env.STATE_DB_PATH !== undefined && env.STATE_DB_PATH !== '') return env.STATE_DB_PATH;
  const config = typeof values.config === 'string' ? values.config : env[CONFIG_FILE_VARIABLE];
  const named = config === undefined || config === '' ? undefined : pathInConfig(config);
  return named ?? SETTINGS.STATE_DB_PATH.fallback ?? '';
};

/** Relative paths are relative to where the command runs, as for the bot. */
const pathInConfig = (file: string): string | undefined => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CliRefused(`cannot read --config ${file}: ${(error as Error).message}`);
  }
  const named = (parsed as Record<string, unknown> | null)?.STATE_DB_PATH;
  return typeof named === 'string' ? named : undefined;
};

/** A whole number of at least 1, `most` at most, from an option, or undefined when it was not given. */
export const countOption = (
  values: Readonly<Record<string, unknown>>,
  name: string,
  most = 999_999_999,
): number | undefined => {
  const given = values[name];
  if (given === undefined) return undefined;
  if (typeof given !== 'string' || !/^[1-9]\d{0,8}$/.test(given))
    throw new CliRefused(`--${name} must be a whole number of at least 1, not ${JSON.stringify(given)}`);
  if (Number(given) > most) throw new CliRefused(`--${name} must be ${most} at most, not ${given}`);
  return Number(given);
};

/** Unix ms from an ISO-8601 option, or undefined when it was not given. */
export const timeOption = (values: Readonly<Record<string, unknown>>, name: string): number | undefined => {
  const given = values[name];
  if (given === undefined) return undefined;
  const ms =
    typeof given === 'string' &&
    /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/.test(given) &&
    isDay(given.slice(0, 10))
      ? Date.parse(given)
      : Number.NaN;
  if (Number.isNaN(ms))
    throw new CliRefused(
      `--${name} must be a date (2026-09-23) or a time with its offset (2026-09-23T03:20:00Z), not ${JSON.stringify(given)}`,
    );
  return ms;
};

/** False for a day that its month does not have, which `Date.parse` takes for one of the next month. */
const isDay = (text: string): boolean => {
  const ms = Date.parse(text);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
};

export const textOption = (values: Readonly<Record<string, unknown>>, name: string): string | undefined => {
  const given = values[name];
  return typeof given === 'string' ? given : undefined;
};

/** `BTCTRY` from whatever case it was typed in, and as other programs write pairs: BTC_TRY, BTC/TRY. */
export const symbolOption = (values: Readonly<Record<string, unknown>>): string | undefined => {
  const given = textOption(values, 'symbol');
  return given === undefined ? undefined : joinedSymbol(given);
};

export const joinedSymbol = (text: string): string => text.trim().toUpperCase().replaceAll(/[_/-]/g, '');

/** Optional filters without the absent ones. */
export const present = <T extends Record<string, unknown>>(
  filter: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };

/** More words than a verb takes are a mistake, not noise. */
export const noPositionals = (positionals: readonly string[]): void => {
  if (positionals.length > 0)
    throw new CliRefused(`unexpected ${positionals.map(word => JSON.stringify(word)).join(' ')}`);
};
