/**
 * Reading tapes: from recordings (JSON lines), and from the compact binary form that is made of them once.
 *
 * The binary form: eight bytes of magic, the header's length (32 bits), the header (JSON, padded to eight bytes), then
 * the tape's arrays one after the other, each padded to eight bytes; numbers as this machine has them, little-endian.
 */
import { closeSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { z } from 'zod';
import { formatDecimal, parseDecimal } from '../domain/money.js';
import type { Listing } from '../exchange/instruments.js';
import { bytesOfRecording, openRecording, RecordingError } from '../exchange/recording.js';
import { createTapeBuilder, type MarketTape, type TapeNumbers } from './tape.js';

const KIND = 'BBTAPE';
const MAGIC = `${KIND}02`;
const HEAD_BYTES = 12;

/** Whether a file is a tape in binary form. */
export const isTapeFile = (path: string): boolean => {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return false;
  }
  try {
    const head = Buffer.alloc(KIND.length);
    return readSync(file, head, 0, KIND.length, 0) === KIND.length && head.toString('latin1') === KIND;
  } catch {
    return false;
  } finally {
    closeSync(file);
  }
};

/**
 * Reads a recording, or a tape in binary form, whole.
 * @throws RecordingError when it cannot be read or is damaged
 */
export const readTape = async (path: string): Promise<MarketTape> => {
  if (isTapeFile(path)) return readTapeFile(path);
  const { listings, items } = await openRecording(path);
  await items.return(undefined);
  return tapeOfLines(path, listings);
};

const LINE_FEED = 10;

const tapeOfLines = async (path: string, listings: readonly Listing[]): Promise<MarketTape> => {
  const builder = createTapeBuilder(listings);
  let line = 0;
  try {
    for await (const bytes of bytesOfRecording(path))
      for (let from = 0; from < bytes.length; ) {
        const feed = bytes.indexOf(LINE_FEED, from);
        const to = feed === -1 ? bytes.length : feed;
        line += 1;
        if (!builder.line(bytes, from, to)) {
          const problem = takeLine(bytes.toString('utf8', from, to), builder);
          if (problem !== null) throw new RecordingError(`recording ${path}: ${problem} (line ${line})`);
        }
        from = to + 1;
      }
  } catch (error) {
    if (error instanceof RecordingError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new RecordingError(`recording ${path} is cut off or damaged after line ${line}: ${why}`);
  }
  return builder.finish();
};

const takeLine = (text: string, builder: ReturnType<typeof createTapeBuilder>): string | null => {
  if (text === '') return null;
  let parsed: { readonly at?: unknown; readonly frame?: unknown };
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch {
    return 'the line is not whole JSON';
  }
  if (parsed === null || typeof parsed !== 'object') return 'the line is not an object';
  if (parsed.frame === undefined) return null;
  if (typeof parsed.at !== 'number' || !Number.isFinite(parsed.at)) return 'the line has no arrival time';
  return builder.frame(parsed.frame, parsed.at);
};

const amount = z.string().transform(parseDecimal);
const headerSchema = z.object({
  format: z.literal('btcbot-tape'),
  version: z.literal(2),
  length: z.number().int().nonnegative(),
  numbers: z.number().int().nonnegative(),
  width: z.union([z.literal(4), z.literal(8)]),
  listings: z.array(
    z.object({
      pairId: z.number(),
      symbol: z.string(),
      base: z.string(),
      quote: z.string(),
      quantityScale: z.number(),
      denominatorScale: z.number(),
      hasFraction: z.boolean(),
      tickSize: z.string(),
      minNotional: amount,
      minPrice: amount,
      maxPrice: amount,
      maxQuantity: amount.nullable(),
      methods: z.array(z.enum(['limit', 'market', 'stop-limit', 'stop-market'])),
      displayOrder: z.number(),
    }),
  ),
});

const padded = (bytes: number): number => Math.ceil(bytes / 8) * 8;
const arraysOf = (tape: MarketTape): readonly (TapeNumbers | Uint8Array | Uint32Array)[] => [
  tape.atMs.subarray(0, tape.length),
  tape.tradeIds.subarray(0, tape.length),
  tape.numbers,
  tape.offsets.subarray(0, tape.length + 1),
  tape.splits.subarray(0, tape.length),
  tape.kinds.subarray(0, tape.length),
  tape.symbols.subarray(0, tape.length),
];

/** Writes a tape in binary form. @throws RecordingError on a machine of the other byte order */
export const writeTapeFile = (path: string, tape: MarketTape): void => {
  requireLittleEndian();
  const header = Buffer.from(
    JSON.stringify(
      {
        format: 'btcbot-tape',
        version: 2,
        length: tape.length,
        numbers: tape.numbers.length,
        width: tape.numbers.BYTES_PER_ELEMENT,
        listings: tape.listings,
      },
      (_key, value: unknown) => (typeof value === 'bigint' ? formatDecimal(value) : value),
    ),
  );
  const start = padded(HEAD_BYTES + header.length);
  const arrays = arraysOf(tape);
  const file = Buffer.alloc(arrays.reduce((at, array) => at + padded(array.byteLength), start));
  file.write(MAGIC, 0, 'latin1');
  file.writeUInt32LE(header.length, MAGIC.length);
  header.copy(file, HEAD_BYTES);
  let at = start;
  for (const array of arrays) {
    file.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at);
    at += padded(array.byteLength);
  }
  writeFileSync(path, file);
};

/** @throws RecordingError when the file is not a tape, or is cut short */
export const readTapeFile = (path: string): MarketTape => {
  requireLittleEndian();
  const file = readFileSync(path);
  try {
    if (file.toString('latin1', 0, MAGIC.length) !== MAGIC)
      throw new Error('it does not begin as one of this version: make it again from its recording');
    const headerBytes = file.readUInt32LE(MAGIC.length);
    const header = headerSchema.parse(
      JSON.parse(file.toString('utf8', HEAD_BYTES, HEAD_BYTES + headerBytes)),
    );
    let at = padded(HEAD_BYTES + headerBytes);
    // Views must start on multiples of eight, which a pooled buffer does not promise.
    const bytes =
      file.byteOffset === 0
        ? file.buffer
        : file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
    const end = file.byteLength;
    const take = <T>(count: number, width: number, view: (at: number, count: number) => T): T => {
      if (at + count * width > end) throw new Error('it is cut short');
      const taken = view(at, count);
      at += padded(count * width);
      return taken;
    };
    const { length, numbers, width, listings } = header;
    return {
      listings,
      length,
      atMs: take(length, 8, (from, count) => new Float64Array(bytes, from, count)),
      tradeIds: take(length, 8, (from, count) => new Float64Array(bytes, from, count)),
      numbers: take(numbers, width, (from, count) =>
        width === 4 ? new Int32Array(bytes, from, count) : new Float64Array(bytes, from, count),
      ),
      offsets: take(length + 1, 4, (from, count) => new Uint32Array(bytes, from, count)),
      splits: take(length, 4, (from, count) => new Uint32Array(bytes, from, count)),
      kinds: take(length, 1, (from, count) => new Uint8Array(bytes, from, count)),
      symbols: take(length, 1, (from, count) => new Uint8Array(bytes, from, count)),
    };
  } catch (error) {
    throw new RecordingError(
      `${path} is not a usable tape: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`,
    );
  }
};

const requireLittleEndian = (): void => {
  if (endianness() !== 'LE')
    throw new RecordingError('tapes in binary form are little-endian, and this machine is not');
};
