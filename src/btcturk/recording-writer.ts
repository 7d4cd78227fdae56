/**
 * Writes a recording: a directory with a manifest and numbered parts, each a gzip of JSON lines.
 *
 * - `{"at":<Unix ms>,"frame":[…]}`: a frame of the public socket, in the venue's own text.
 * - `{"at":…,"frame":[431,…],"made":"rotation"}`: the whole books with which a part after the first begins.
 * - `{"at":…,"text":"…"}`: a text frame that is not a JSON array.
 * - `{"at":…,"reply":{"method":…,"path":…,"status":…,"body":"…"}}`: a REST reply; `"failure"` instead of a status when
 *   there was none.
 * - `{"at":…,"socket":"opened"|"closed","detail":"…"}`, and `{"at":…,"lost":<frames>}` where the disk was too slow.
 *
 * Parts are flushed every two seconds: what a crash takes is the last of them, and what is left can still be played.
 */
import { createWriteStream, constants as fileConstants, type WriteStream } from 'node:fs';
import { access, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, createGzip, type Gzip } from 'node:zlib';
import { makeFolder } from '../runtime/folders.js';
import { createBookTexts } from './book-texts.js';
import type { HttpExchange } from './rest-client.js';

export interface RecordingOptions {
  /** Made if it is not there; must not hold a recording already. */
  readonly directory: string;
  readonly symbols: readonly string[];
  readonly source: { readonly baseUrl: string; readonly wsUrl: string };
  /** JSON text of the venue's exchangeinfo reply. */
  readonly exchangeInfo: string;
  /** A part ends at this many bytes before compression, or after this long. */
  readonly partBytesMax: number;
  readonly partMsMax: number;
  readonly startedAtMs: number;
}

export interface RecordingPart {
  readonly file: string;
  readonly firstAtMs: number | null;
  readonly lastAtMs: number | null;
  readonly lines: number;
  readonly frames: number;
  /** Before compression. */
  readonly bytes: number;
  readonly complete: boolean;
}

export interface RecordingSummary {
  readonly directory: string;
  readonly parts: readonly RecordingPart[];
  readonly frames: number;
  readonly replies: number;
  readonly lost: number;
}

export interface RecordingWriter {
  frame(text: string, atMs: number): void;
  reply(exchange: HttpExchange): void;
  socket(event: 'opened' | 'closed', detail: string, atMs: number): void;
  /** Resolves with what is wrong when the disk refuses; never otherwise. */
  readonly failed: Promise<Error>;
  /** Finishes the last part and the manifest. */
  close(atMs: number): Promise<RecordingSummary>;
}

/** A directory that cannot be recorded into; the message says why. */
export class RecordingWriterError extends Error {
  override readonly name = 'RecordingWriterError';
}

export const MANIFEST = 'manifest.json';
const FLUSH_MS = 2_000;
/** Bytes that may wait for the disk; frames beyond are lost, and the loss is written down. */
const WAITING_BYTES_MAX = 64 * 1024 * 1024;

interface OpenPart {
  readonly file: string;
  readonly gzip: Gzip;
  readonly output: WriteStream;
  readonly openedAtMs: number;
  firstAtMs: number | null;
  lastAtMs: number | null;
  lines: number;
  frames: number;
  bytes: number;
}

/** What a directory holds, made where there is none. */
const filesIn = async (directory: string): Promise<readonly string[]> => {
  try {
    makeFolder(directory);
    await access(directory, fileConstants.W_OK | fileConstants.X_OK);
    return await readdir(directory);
  } catch (error) {
    throw new RecordingWriterError(
      `${directory} cannot be recorded into: ${(error as Error).message}; name a directory this user may write to`,
    );
  }
};

/** @throws RecordingWriterError when the directory cannot be used */
export const createRecordingWriter = async (options: RecordingOptions): Promise<RecordingWriter> => {
  const { directory } = options;
  if ((await filesIn(directory)).includes(MANIFEST))
    throw new RecordingWriterError(`${directory} holds a recording already: choose another directory`);

  const books = createBookTexts();
  const finished: RecordingPart[] = [];
  const closings: Promise<void>[] = [];
  let frames = 0;
  let replies = 0;
  let lost = 0;
  let lostUntold = 0;
  let endedAtMs: number | null = null;
  let manifests = Promise.resolve();
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<Error>(resolve => {
    fail = resolve;
  });

  const openPart = (atMs: number): OpenPart => {
    const file = `part-${String(finished.length + 1).padStart(5, '0')}.jsonl.gz`;
    const gzip = createGzip({ level: 6 });
    const output = createWriteStream(join(directory, file), { flags: 'wx' });
    output.on('error', fail);
    gzip.on('error', fail);
    gzip.pipe(output);
    return {
      file,
      gzip,
      output,
      openedAtMs: atMs,
      firstAtMs: null,
      lastAtMs: null,
      lines: 0,
      frames: 0,
      bytes: 0,
    };
  };
  const describe = (open: OpenPart, complete: boolean): RecordingPart => ({
    file: open.file,
    firstAtMs: open.firstAtMs,
    lastAtMs: open.lastAtMs,
    lines: open.lines,
    frames: open.frames,
    bytes: open.bytes,
    complete,
  });
  let part = openPart(options.startedAtMs);

  /** One at a time and whole: written beside the old one, then put in its place. */
  const writeManifest = (): void => {
    const parts = endedAtMs === null ? [...finished, describe(part, false)] : finished;
    const text = manifestText(options, parts, endedAtMs);
    manifests = manifests
      .then(async () => {
        const path = join(directory, MANIFEST);
        await writeFile(`${path}.new`, text);
        await rename(`${path}.new`, path);
      })
      .catch((error: unknown) => fail(error instanceof Error ? error : new Error(String(error))));
  };

  const finishPart = (): void => {
    const ending = part;
    finished.push(describe(ending, true));
    closings.push(
      new Promise(resolve => {
        ending.output.once('close', resolve);
        ending.gzip.end();
      }),
    );
  };
  const write = (line: string, atMs: number, isFrame: boolean): void => {
    part.firstAtMs ??= atMs;
    part.lastAtMs = atMs;
    part.lines += 1;
    part.bytes += line.length + 1;
    if (isFrame) part.frames += 1;
    part.gzip.write(`${line}\n`);
  };
  const append = (line: string, atMs: number, isFrame: boolean): void => {
    if (endedAtMs !== null) return;
    if (part.gzip.writableLength + part.output.writableLength > WAITING_BYTES_MAX) {
      lost += 1;
      lostUntold += 1;
      return;
    }
    if (part.bytes >= options.partBytesMax || atMs - part.openedAtMs >= options.partMsMax) {
      finishPart();
      part = openPart(atMs);
      for (const frame of books.frames())
        write(`{"at":${atMs},"frame":${frame},"made":"rotation"}`, atMs, false);
      writeManifest();
    }
    if (lostUntold > 0) write(`{"at":${atMs},"lost":${lostUntold}}`, atMs, false);
    lostUntold = 0;
    write(line, atMs, isFrame);
  };

  const flushes = setInterval(() => part.gzip.flush(constants.Z_SYNC_FLUSH), FLUSH_MS);
  writeManifest();

  return {
    failed,
    frame(text, atMs) {
      const parsed = parsedFrame(text);
      frames += 1;
      // The line first: a part that begins with this frame must begin with the books before it.
      if (parsed === undefined) append(`{"at":${atMs},"text":${JSON.stringify(text)}}`, atMs, true);
      else append(`{"at":${atMs},"frame":${onOneLine(text, parsed)}}`, atMs, true);
      if (parsed !== undefined) books.note(parsed);
    },
    reply({ request, reply, received }) {
      const atMs = received.wallMs;
      replies += 1;
      const { method, path } = request;
      const outcome =
        reply.type === 'response'
          ? { status: reply.status, body: reply.body }
          : { failure: reply.type === 'not-sent' ? reply.reason : `${reply.cause}: ${reply.detail}` };
      append(JSON.stringify({ at: atMs, reply: { method, path, ...outcome } }), atMs, false);
    },
    socket(event, detail, atMs) {
      append(JSON.stringify({ at: atMs, socket: event, detail }), atMs, false);
    },
    async close(atMs) {
      if (endedAtMs === null) {
        clearInterval(flushes);
        finishPart();
        endedAtMs = atMs;
        await Promise.race([Promise.all(closings), failed]);
        writeManifest();
        await manifests;
      }
      return { directory, parts: finished, frames, replies, lost };
    },
  };
};

/** A frame is a JSON array; anything else is kept as text. */
const parsedFrame = (text: string): readonly unknown[] | undefined => {
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
};

/** The venue's own text, unless it has line breaks between its tokens. */
const onOneLine = (text: string, parsed: readonly unknown[]): string =>
  /[\n\r]/.test(text) ? JSON.stringify(parsed) : text;

const manifestText = (
  options: RecordingOptions,
  parts: readonly RecordingPart[],
  endedAtMs: number | null,
): string => {
  const { symbols, source, startedAtMs, exchangeInfo } = options;
  const head = JSON.stringify({
    format: 'btcbot-recording',
    version: 1,
    symbols,
    source,
    startedAtMs,
    endedAtMs,
    parts,
  });
  return `${head.slice(0, -1)},"exchangeinfo":${exchangeInfo}}\n`;
};
