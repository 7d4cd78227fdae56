/**
 * Candles from files, as flat arrays of whole ticks and lots. Read are:
 * - freqtrade's JSON and anything like it: `[[unix ms, open, high, low, close, volume], …]`, plain or gzip;
 * - JSON lists of objects, and CSV with a header, with `time` (also `date`, `timestamp`, `openAt`; Unix ms, Unix s or
 *   ISO-8601), `open`, `high`, `low`, `close`, `volume`.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { parse } from 'csv-parse/sync';
import { CANDLE_INTERVALS, CANDLE_LENGTHS_MS, type CandleInterval } from '../domain/candles.js';
import { lotSize, tickSize } from '../domain/instrument.js';
import { tryParseDecimal } from '../domain/money.js';
import { type Listing, listingForMarket } from '../exchange/instruments.js';
import { instrumentOf } from './tape.js';

/** One market's candles, oldest first, without gaps in their order. */
export interface CandleTape {
  readonly listing: Listing;
  readonly interval: CandleInterval;
  readonly length: number;
  /** Beginning of each, Unix ms. */
  readonly openAtMs: Float64Array;
  /** In ticks. */
  readonly open: Float64Array;
  readonly high: Float64Array;
  readonly low: Float64Array;
  readonly close: Float64Array;
  /** In lots. */
  readonly volume: Float64Array;
}

/** Candles that cannot be used; the message says which file, where and why. */
export class CandleError extends Error {
  override readonly name = 'CandleError';
}

type Row = readonly [
  time: unknown,
  open: unknown,
  high: unknown,
  low: unknown,
  close: unknown,
  volume: unknown,
];
const FIELDS = ['open', 'high', 'low', 'close', 'volume'] as const;
const TIME_NAMES = ['time', 'date', 'timestamp', 'openAt', 'open_time', 'datetime'];
/** Most problems told of one file. */
const MOST_PROBLEMS = 10;

/**
 * Reads a file of candles.
 * @param named symbol and interval where the file's name does not say them as freqtrade's do (`BTC_USDT-1m.json`)
 * @throws CandleError with all problems at once
 */
export const readCandles = (
  path: string,
  named: { readonly symbol?: string | undefined; readonly interval?: string | undefined } = {},
): CandleTape => {
  const fail = (problem: string): never => {
    throw new CandleError(`candles ${path}: ${problem}`);
  };
  const fromName = /^([A-Z0-9]+)[_-]?([A-Z0-9]+)-(\d+[mhd])\./.exec(basename(path));
  const symbol = named.symbol ?? (fromName === null ? undefined : `${fromName[1]}${fromName[2]}`);
  const interval = named.interval ?? fromName?.[3];
  if (symbol === undefined) return fail('say which market they are: --symbol BTCUSDT');
  if (!(CANDLE_INTERVALS as readonly (string | undefined)[]).includes(interval))
    return fail(`say how long they are: --interval one of ${CANDLE_INTERVALS.join(', ')}`);
  return candleTape(rowsOf(path, fail), symbol, interval as CandleInterval, fail);
};

const rowsOf = (path: string, fail: (problem: string) => never): readonly Row[] => {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = gunzipSync(bytes);
  } catch (error) {
    return fail(`cannot be read: ${(error as Error).message}`);
  }
  const text = bytes.toString('utf8');
  if (/^\s*\[/.test(text)) {
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch (error) {
      return fail(`not whole JSON: ${(error as Error).message}`);
    }
    return (parsed as readonly unknown[]).map(each =>
      Array.isArray(each)
        ? (each as unknown as Row)
        : rowOf((each ?? {}) as Readonly<Record<string, unknown>>),
    );
  }
  try {
    const records = parse(text, { columns: true, skip_empty_lines: true, trim: true, bom: true });
    return records.map(record => rowOf(record as Readonly<Record<string, unknown>>));
  } catch (error) {
    return fail(`not readable as CSV: ${(error as Error).message}`);
  }
};

const rowOf = (record: Readonly<Record<string, unknown>>): Row => {
  const lower = new Map(Object.entries(record).map(([name, value]) => [name.toLowerCase(), value]));
  const time = TIME_NAMES.map(name => lower.get(name.toLowerCase())).find(value => value !== undefined);
  const [open, high, low, close, volume] = FIELDS.map(name => lower.get(name));
  return [time, open, high, low, close, volume];
};

const timeOf = (value: unknown): number => {
  if (typeof value === 'number') return value < 1e11 ? value * 1_000 : value;
  if (typeof value !== 'string') return Number.NaN;
  if (/^\d+(\.0+)?$/.test(value)) return timeOf(Number(value));
  // A time without its offset is UTC, as freqtrade writes it.
  return Date.parse(/Z$|[+-]\d{2}:?\d{2}$/.test(value) ? value : `${value.replace(' ', 'T')}Z`);
};

const decimalOf = (value: unknown): bigint | undefined => {
  if (typeof value === 'number') return Number.isFinite(value) ? tryParseDecimal(plain(value)) : undefined;
  return typeof value === 'string' ? tryParseDecimal(value.trim()) : undefined;
};
/** A number without an exponent, with the digits it prints with. */
const plain = (value: number): string => {
  const text = String(value);
  return text.includes('e') ? value.toFixed(12).replace(/0+$/, '').replace(/\.$/, '') : text;
};

/** Makes a tape of rows; the market gets the decimals its prices really have. */
const candleTape = (
  rows: readonly Row[],
  symbol: string,
  interval: CandleInterval,
  fail: (problem: string) => never,
): CandleTape => {
  const lengthMs = CANDLE_LENGTHS_MS[interval];
  const problems: string[] = [];
  const values: { readonly at: number; readonly numbers: readonly bigint[] }[] = [];
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const [index, row] of rows.entries()) {
    const at = timeOf(row[0]);
    const numbers = row.slice(1, 6).map(decimalOf);
    const problem = problemWith(at, numbers, lastMs, lengthMs);
    if (problem === null) {
      values.push({ at, numbers: numbers as readonly bigint[] });
      lastMs = at;
    } else if (problems.length < MOST_PROBLEMS) problems.push(`row ${index + 1} ${problem}`);
  }
  if (problems.length > 0) return fail(problems.join('; '));
  if (values.length === 0) return fail('there are none');
  const listing = listingForMarket(
    symbol,
    values.flatMap(({ numbers }) => numbers.slice(0, 4)),
    values.map(({ numbers }) => numbers[4] ?? 0n),
  );
  if (listing === undefined) return fail(`${symbol} is not a pair with a known quote asset`);
  const instrument = instrumentOf(listing);
  const tick = tickSize(instrument);
  const lot = lotSize(instrument);
  const column = (field: number, step: bigint): Float64Array =>
    Float64Array.from(values, ({ numbers }) => Number((numbers[field] ?? 0n) / step));
  return {
    listing,
    interval,
    length: values.length,
    openAtMs: Float64Array.from(values, ({ at }) => at),
    open: column(0, tick),
    high: column(1, tick),
    low: column(2, tick),
    close: column(3, tick),
    volume: column(4, lot),
  };
};

const problemWith = (
  at: number,
  numbers: readonly (bigint | undefined)[],
  lastMs: number,
  lengthMs: number,
): string | null => {
  if (!Number.isFinite(at)) return 'has no time';
  if (at % lengthMs !== 0)
    return `begins at ${new Date(at).toISOString()}, which is not a beginning of its interval`;
  if (at <= lastMs) return `(${new Date(at).toISOString()}) is not later than the one before it`;
  const [open, high, low, close, volume] = numbers;
  if (
    open === undefined ||
    high === undefined ||
    low === undefined ||
    close === undefined ||
    volume === undefined
  )
    return 'lacks a number among open, high, low, close, volume';
  if (low <= 0n || volume < 0n) return 'has a price of 0 or less, or a negative volume';
  if (high < low || open > high || open < low || close > high || close < low)
    return 'has an open or a close outside of low and high';
  return null;
};

/** The part of a tape whose candles began at `fromMs` or later and had closed by `toMs`, sharing its memory. */
export const candlesBetween = (tape: CandleTape, fromMs: number, toMs: number): CandleTape => {
  const lengthMs = CANDLE_LENGTHS_MS[tape.interval];
  let begin = 0;
  while (begin < tape.length && (tape.openAtMs[begin] ?? 0) < fromMs) begin += 1;
  let end = tape.length;
  while (end > begin && (tape.openAtMs[end - 1] ?? 0) + lengthMs > toMs) end -= 1;
  const part = (numbers: Float64Array): Float64Array => numbers.subarray(begin, end);
  return {
    ...tape,
    length: end - begin,
    openAtMs: part(tape.openAtMs),
    open: part(tape.open),
    high: part(tape.high),
    low: part(tape.low),
    close: part(tape.close),
    volume: part(tape.volume),
  };
};
