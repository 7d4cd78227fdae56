/**
 * Candles from files, as flat arrays of whole ticks and lots. Read are:
 * - freqtrade's JSON and anything like it: `[[unix ms, open, high, low, close, volume], …]`, plain or gzip;
 * - JSON lists of objects, and CSV with a header, with `time` (also `date`, `timestamp`, `openAt`; Unix time or ISO-8601),
 *   `open`, `high`, `low`, `close`, `volume`.
 *
 * An interval that the file leaves out gets an empty candle, by the rule of domain/candles.ts.
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

/** One market's candles, oldest first: one for each interval from the first to the last. */
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
  /** 1 for an empty candle that stands for one that the file does not have, else 0. */
  readonly filled: Uint8Array;
  /** Where a part of a longer tape ends, what the next candle began with, in ticks; null at the end of a file. */
  readonly nextOpen: number | null;
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
/** Most candles of one file, the empty ones between them included: nineteen years of minutes. */
const MOST_CANDLES = 10_000_000;

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
  // Before its name is judged: a file that is not there is no question of markets.
  const bytes = bytesOf(path, fail);
  const fromName = /^([A-Z0-9]+)[_-]?([A-Z0-9]+)-(\d+[mhd])\./.exec(basename(path));
  const symbol = named.symbol ?? (fromName === null ? undefined : `${fromName[1]}${fromName[2]}`);
  const interval = named.interval ?? fromName?.[3];
  if (symbol === undefined) return fail('say which market they are: --symbol BTCUSDT');
  if (!(CANDLE_INTERVALS as readonly (string | undefined)[]).includes(interval))
    return fail(
      interval === undefined
        ? `say how long they are: --interval one of ${CANDLE_INTERVALS.join(', ')}`
        : `candles of ${interval} are none that strategies may want: there are ${CANDLE_INTERVALS.join(', ')}`,
    );
  return candleTape(rowsOf(bytes, fail), symbol, interval as CandleInterval, fail);
};

/** The file, unpacked. */
const bytesOf = (path: string, fail: (problem: string) => never): Buffer => {
  try {
    const bytes = readFileSync(path);
    return bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes;
  } catch (error) {
    return fail(`cannot be read: ${(error as Error).message}`);
  }
};

const rowsOf = (bytes: Buffer, fail: (problem: string) => never): readonly Row[] => {
  if (bytes.includes(0))
    return fail(
      'neither CSV nor JSON in UTF-8; freqtrade makes JSON of its other forms with convert-data --format-to json',
    );
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '');
  if (/^\s*\{/.test(text)) return fail('a list of candles is needed, not an object');
  if (/^\s*\[/.test(text)) {
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch (error) {
      return fail(`not whole JSON: ${(error as Error).message}`);
    }
    const rows = parsed as readonly unknown[];
    const first = rows[0] ?? [];
    if (!Array.isArray(first)) mustHaveColumns(Object.keys(first), fail);
    return rows.map(each =>
      Array.isArray(each)
        ? (each as unknown as Row)
        : rowOf((each ?? {}) as Readonly<Record<string, unknown>>),
    );
  }
  let records: readonly Readonly<Record<string, unknown>>[];
  try {
    records = parse(text, {
      columns: (header: readonly string[]) => {
        if (header.every(name => name !== '' && Number.isFinite(Number(name))))
          throw new Error(`the first line must name the columns: time, ${FIELDS.join(', ')}`);
        return [...header];
      },
      skip_empty_lines: true,
      trim: true,
    });
  } catch (error) {
    const hint = /^[^,\n]*[;\t]/.test(text)
      ? `; columns are separated by commas, the first line is time,${FIELDS.join(',')}, and numbers have a point`
      : '';
    return fail(`not readable as CSV: ${(error as Error).message}${hint}`);
  }
  const first = records[0];
  if (first !== undefined) mustHaveColumns(Object.keys(first), fail);
  return records.map(rowOf);
};

/** Refuses candles whose columns are other ones: told once, not for every row. */
const mustHaveColumns = (names: readonly string[], fail: (problem: string) => never): void => {
  const there = new Set(names.map(name => name.toLowerCase()));
  const missing: string[] = FIELDS.filter(name => !there.has(name));
  if (!TIME_NAMES.some(name => there.has(name.toLowerCase()))) missing.unshift('time');
  if (missing.length > 0) fail(`has no column ${missing.join(', ')}: it has ${names.join(', ')}`);
};

const rowOf = (record: Readonly<Record<string, unknown>>): Row => {
  const lower = new Map(Object.entries(record).map(([name, value]) => [name.toLowerCase(), value]));
  const time = TIME_NAMES.map(name => lower.get(name.toLowerCase())).find(value => value !== undefined);
  const [open, high, low, close, volume] = FIELDS.map(name => lower.get(name));
  return [time, open, high, low, close, volume];
};

/** Unix ms of a Unix time in s, ms, µs or ns: their sizes lie far apart in every year from 1973 to 5138. */
const unixMs = (value: number): number => {
  if (value < 1e11) return value * 1_000;
  if (value < 1e14) return value;
  return value < 1e17 ? value / 1e3 : value < 1e20 ? value / 1e6 : Number.NaN;
};

const ISO_TIME =
  /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?) ?(?:Z|UTC|([+-]\d{2}):?(\d{2})?)?)?$/;

/** Unix ms, or NaN. What is not ISO-8601 is not guessed at: 03.02. is March to one and February to another. */
const timeOf = (value: unknown): number => {
  if (typeof value === 'number') return unixMs(value);
  if (typeof value !== 'string') return Number.NaN;
  const text = value.trim();
  if (/^\d+(\.0+)?$/.test(text)) return unixMs(Number(text));
  const [, date, clock = '00:00', hours, minutes = '00'] = ISO_TIME.exec(text) ?? [];
  if (date === undefined) return Number.NaN;
  // A time without its offset is UTC, as freqtrade writes it.
  return Date.parse(`${date}T${clock}${hours === undefined ? 'Z' : `${hours}:${minutes}`}`);
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
    const problem = problemWith(row[0], at, numbers, lastMs, lengthMs);
    if (problem === null) {
      values.push({ at, numbers: numbers as readonly bigint[] });
      lastMs = at;
    } else if (problems.length < MOST_PROBLEMS) problems.push(`row ${index + 1} ${problem}`);
  }
  if (problems.length > 0) return fail(problems.join('; '));
  if (values.length === 0) return fail('there are none');
  const gaps = values.slice(1).map(({ at }, index) => at - (values[index]?.at ?? 0));
  const nearestMs = gaps.reduce((least, gap) => Math.min(least, gap), Number.POSITIVE_INFINITY);
  if (gaps.length > 1 && nearestMs > lengthMs)
    return fail(
      `no two of them are ${interval} apart, the nearest are ${lengthInWords(nearestMs)}: give their own --interval`,
    );
  const count = ((values.at(-1)?.at ?? 0) - (values[0]?.at ?? 0)) / lengthMs + 1;
  if (count > MOST_CANDLES)
    return fail(`from the first to the last there would be ${count}: at most ${MOST_CANDLES} are read`);
  const listing = listingForMarket(
    symbol,
    values.flatMap(({ numbers }) => numbers.slice(0, 4)),
    values.map(({ numbers }) => numbers[4] ?? 0n),
  );
  if (listing === undefined) return fail(`${symbol} is not a pair with a known quote asset`);
  const instrument = instrumentOf(listing);
  const tick = tickSize(instrument);
  const lot = lotSize(instrument);
  const firstMs = values[0]?.at ?? 0;
  const openAtMs = Float64Array.from({ length: count }, (_, index) => firstMs + index * lengthMs);
  const filled = new Uint8Array(count).fill(1);
  for (const { at } of values) filled[(at - firstMs) / lengthMs] = 0;
  const column = (field: number, step: bigint): Float64Array => {
    const numbers = new Float64Array(count);
    for (const row of values)
      numbers[(row.at - firstMs) / lengthMs] = Number((row.numbers[field] ?? 0n) / step);
    return numbers;
  };
  const close = column(3, tick);
  const columns = [column(0, tick), column(1, tick), column(2, tick), close] as const;
  // All prices of an empty candle are the close before it; its volume is zero.
  for (let index = 1; index < count; index++)
    if (filled[index] === 1) for (const each of columns) each[index] = close[index - 1] ?? 0;
  const [open, high, low] = columns;
  return {
    listing,
    interval,
    length: count,
    openAtMs,
    open,
    high,
    low,
    close,
    volume: column(4, lot),
    filled,
    nextOpen: null,
  };
};

const lengthInWords = (ms: number): string =>
  CANDLE_INTERVALS.find(interval => CANDLE_LENGTHS_MS[interval] === ms) ?? `${ms / 60_000} minutes`;

const problemWith = (
  given: unknown,
  at: number,
  numbers: readonly (bigint | undefined)[],
  lastMs: number,
  lengthMs: number,
): string | null => {
  if (!Number.isFinite(at))
    return given === undefined || given === ''
      ? 'has no time'
      : `has the time ${JSON.stringify(given)}, which is neither a Unix time nor ISO-8601`;
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
  const isUnderWay = end < tape.length && (tape.openAtMs[end] ?? 0) <= toMs;
  return {
    ...tape,
    length: end - begin,
    openAtMs: part(tape.openAtMs),
    open: part(tape.open),
    high: part(tape.high),
    low: part(tape.low),
    close: part(tape.close),
    volume: part(tape.volume),
    filled: tape.filled.subarray(begin, end),
    nextOpen: isUnderWay ? (tape.open[end] ?? null) : end === tape.length ? tape.nextOpen : null,
  };
};
