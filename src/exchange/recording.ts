/**
 * Recordings: JSON lines, plain or gzip, `{"at": <arrival, Unix ms>, "frame": [model, payload]}`, in one file or in the
 * parts of a directory with a manifest (`btcbot record` makes these). Lines without a frame, and frames of other models,
 * are passed over. Damage is told by part and line number, and what comes before it is played.
 */
import { createReadStream } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import type { Price, Quantity } from '../domain/money.js';
import { monoMs } from '../runtime/clock.js';
import { type Listing, listingForMarket } from './instruments.js';
import { listingsIn } from './mirror.js';
import { type FrameActivity, FrameError, readFrameActivity } from './recorded-frames.js';

/** One usable line. */
export interface RecordedEntry extends FrameActivity {
  readonly line: number;
  readonly atMs: number;
}

/** What reading a recording yields: entries, then possibly the place where it is damaged. */
export type RecordingItem =
  | { readonly type: 'entry'; readonly entry: RecordedEntry }
  | { readonly type: 'gap'; readonly line: number; readonly reason: string }
  | { readonly type: 'damage'; readonly line: number; readonly reason: string };

/** A recording that cannot be used at all. The message says which file, where and why. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError';
}

/** An opened recording: its head has been looked at. */
export interface Recording {
  readonly path: string;
  /** The markets in its first lines, with the decimals they really use. */
  readonly listings: readonly Listing[];
  /** Everything, head included; can be read once. */
  readonly items: AsyncGenerator<RecordingItem>;
}

/** The part of a manifest that is needed: the parts in their order, and the venue's exchangeinfo. */
const manifestSchema = z.object({
  format: z.literal('btcbot-recording'),
  symbols: z.array(z.string()),
  parts: z.array(z.object({ file: z.string().regex(/^[\w.-]+$/) })).min(1),
  exchangeinfo: z.unknown().optional(),
});
const MANIFEST = 'manifest.json';

/** The files of a recording, and what its manifest lists. */
interface Sources {
  readonly files: readonly string[];
  readonly listings: ReadonlyMap<string, Listing>;
}

/** @throws RecordingError when a directory has no usable manifest */
const sourcesOf = async (path: string): Promise<Sources> => {
  if (!(await isDirectory(path))) return { files: [path], listings: new Map() };
  try {
    const manifest = manifestSchema.parse(JSON.parse(await readFile(join(path, MANIFEST), 'utf8')));
    const listed = listingsIn(manifest.exchangeinfo, manifest.symbols);
    return {
      files: manifest.parts.map(({ file }) => join(path, file)),
      listings: new Map(listed.map(listing => [listing.symbol, listing])),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new RecordingError(`recording ${path} has no usable ${MANIFEST}: ${reason}`);
  }
};

const isDirectory = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
};

/** Lines looked at to find out which markets a recording has. */
const HEAD_LINES = 2_000;
/** A longer line is damage. */
const MOST_LINE_BYTES = 8 * 1_024 * 1_024;

/**
 * Opens a recording.
 * @throws RecordingError when the file cannot be read or its first lines hold no book
 */
export const openRecording = async (path: string): Promise<Recording> => {
  const sources = await sourcesOf(path);
  const reader = readFiles(sources.files);
  const head: RecordingItem[] = [];
  const prices = new Map<string, { prices: Price[]; quantities: Quantity[] }>();
  while (head.length < HEAD_LINES) {
    const { value, done } = await reader.next();
    if (done === true) break;
    head.push(value);
    if (value.type === 'damage') break;
    if (value.type === 'entry') collect(prices, value.entry);
  }
  const listings = [...prices].flatMap(([symbol, seen]) => {
    const found = sources.listings.get(symbol) ?? listingForMarket(symbol, seen.prices, seen.quantities);
    return found === undefined ? [] : [found];
  });
  if (listings.length === 0) {
    const damage = head.find(item => item.type === 'damage');
    await reader.return(undefined);
    throw new RecordingError(
      damage?.type === 'damage'
        ? `recording ${path}: ${damage.reason} (line ${damage.line}), and nothing to play before it`
        : `recording ${path} holds no book frames (431 or 432) in its first ${HEAD_LINES} lines`,
    );
  }
  return { path, listings, items: chain(head, reader) };
};

/**
 * Reads a recording item by item; ends after damage.
 * @throws RecordingError when it cannot be read at all
 */
export async function* readRecording(path: string): AsyncGenerator<RecordingItem> {
  yield* readFiles((await sourcesOf(path)).files);
}

async function* readFiles(files: readonly string[]): AsyncGenerator<RecordingItem> {
  const changeSets = new Map<string, number>();
  for (const file of files) {
    const where = files.length === 1 ? '' : `${basename(file)}: `;
    for await (const item of readPart(file, changeSets)) {
      if (item.type === 'entry') {
        yield item;
        continue;
      }
      yield { ...item, reason: `${where}${item.reason}` };
      if (item.type === 'damage') return;
    }
  }
}

async function* readPart(path: string, changeSets: Map<string, number>): AsyncGenerator<RecordingItem> {
  let line = 0;
  try {
    for await (const text of linesOf(path)) {
      line += 1;
      if (text.trim() === '') continue;
      const entry = readLine(text, line);
      if (entry === undefined) continue;
      if (entry.changeSet !== null && entry.activity.type === 'book') {
        const last = changeSets.get(entry.symbol);
        changeSets.set(entry.symbol, entry.changeSet);
        if (!entry.activity.whole && last !== undefined && entry.changeSet !== last + 1)
          yield {
            type: 'gap',
            line,
            reason: `${entry.symbol} goes from change set ${last} to ${entry.changeSet}`,
          };
      }
      yield { type: 'entry', entry };
    }
  } catch (error) {
    if (error instanceof LineError) yield { type: 'damage', line, reason: error.message };
    else if (isReadError(error))
      throw new RecordingError(`recording ${path} cannot be read: ${error.message}`);
    else
      yield {
        type: 'damage',
        line: line + 1,
        reason: `the file is cut off or damaged: ${error instanceof Error ? error.message : String(error)}`,
      };
  }
}

export interface Playback {
  /** Times real speed; Infinity for as fast as `caughtUp` permits. */
  readonly speed: number;
  /** Takes one entry; called in order. */
  readonly feed: (entry: RecordedEntry) => void;
  /** Resolves when the consumers have read what they were sent; awaited at full speed only. */
  readonly caughtUp: () => Promise<void>;
  /** Told of gaps and of damage. */
  readonly notice: (item: Exclude<RecordingItem, { type: 'entry' }>) => void;
  readonly signal: AbortSignal;
}

/** Entries fed at full speed before the consumers are waited for. */
const BURST = 32;

/** Plays items to their end, or until the signal. */
export const playRecording = async (
  items: AsyncGenerator<RecordingItem>,
  playback: Playback,
): Promise<void> => {
  const { speed, signal } = playback;
  let begun: { readonly atMs: number; readonly monoMs: number } | undefined;
  let burst = 0;
  for await (const item of items) {
    if (signal.aborted) return;
    if (item.type !== 'entry') {
      playback.notice(item);
      continue;
    }
    const { atMs } = item.entry;
    begun ??= { atMs, monoMs: monoMs() };
    if (speed === Number.POSITIVE_INFINITY) {
      burst += 1;
      if (burst % BURST === 0) await playback.caughtUp();
    } else {
      const waitMs = begun.monoMs + (atMs - begun.atMs) / speed - monoMs();
      if (waitMs > 1) await pause(waitMs, signal);
    }
    if (signal.aborted) return;
    playback.feed(item.entry);
  }
  await playback.caughtUp();
};

/** A line that breaks the recording off. */
class LineError extends Error {}

const readLine = (text: string, line: number): RecordedEntry | undefined => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new LineError('the line is not whole JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new LineError('the line is not an object');
  const { at, frame } = parsed as { readonly at?: unknown; readonly frame?: unknown };
  if (frame === undefined) return undefined;
  if (typeof at !== 'number' || !Number.isFinite(at)) throw new LineError('the line has no arrival time');
  try {
    const activity = readFrameActivity(frame);
    return activity === undefined ? undefined : { ...activity, line, atMs: at };
  } catch (error) {
    if (error instanceof FrameError) throw new LineError(error.message);
    throw error;
  }
};

/**
 * The bytes of a recording's files without their byte order marks, in pieces of whole lines as they are read; the last
 * line may lack its line feed.
 * @throws RecordingError, or what reading and unpacking throw
 */
export async function* bytesOfRecording(path: string): AsyncGenerator<Buffer> {
  for (const file of (await sourcesOf(path)).files) yield* wholeLinesOf(file);
}

async function* linesOf(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const bytes of wholeLinesOf(path)) {
    const lines = decoder.decode(bytes, { stream: true }).split('\n');
    if (lines.at(-1) === '') lines.pop();
    yield* lines;
  }
}

const LINE_FEED = 10;
const PIECE_BYTES = 256 * 1_024;
const BYTE_ORDER_MARK = Buffer.from('\ufeff');

async function* wholeLinesOf(path: string): AsyncGenerator<Buffer> {
  const zipped = await startsWithGzip(path);
  const file = createReadStream(path, { highWaterMark: PIECE_BYTES });
  const source: Readable = zipped ? file.pipe(createGunzip({ chunkSize: PIECE_BYTES })) : file;
  file.once('error', error => source.destroy(error));
  let rest: Buffer[] = [];
  let restBytes = 0;
  let begun = false;
  try {
    for await (const chunk of source) {
      const marked = !begun && BYTE_ORDER_MARK.equals((chunk as Buffer).subarray(0, BYTE_ORDER_MARK.length));
      const bytes = (chunk as Buffer).subarray(marked ? BYTE_ORDER_MARK.length : 0);
      begun = true;
      const end = bytes.lastIndexOf(LINE_FEED) + 1;
      if (end > 0) {
        yield restBytes === 0 ? bytes.subarray(0, end) : Buffer.concat([...rest, bytes.subarray(0, end)]);
        rest = [];
        restBytes = 0;
      }
      if (end < bytes.length) rest.push(bytes.subarray(end));
      restBytes += bytes.length - end;
      if (restBytes > MOST_LINE_BYTES) throw new LineError('the line is longer than 8 MiB');
    }
    if (restBytes > 0) yield Buffer.concat(rest);
  } finally {
    file.destroy();
  }
}

const startsWithGzip = async (path: string): Promise<boolean> => {
  const file = await open(path, 'r');
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
  } finally {
    await file.close();
  }
};

const isReadError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && 'syscall' in error;

const collect = (
  seen: Map<string, { prices: Price[]; quantities: Quantity[] }>,
  entry: RecordedEntry,
): void => {
  if (entry.activity.type !== 'book') return;
  let market = seen.get(entry.symbol);
  if (market === undefined) {
    market = { prices: [], quantities: [] };
    seen.set(entry.symbol, market);
  }
  for (const { price, total } of [...entry.activity.bids, ...entry.activity.asks]) {
    market.prices.push(price);
    market.quantities.push(total);
  }
};

async function* chain(
  head: readonly RecordingItem[],
  rest: AsyncGenerator<RecordingItem>,
): AsyncGenerator<RecordingItem> {
  yield* head;
  yield* rest;
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
