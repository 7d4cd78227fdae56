/**
 * Standard output that never blocks and never grows: lines wait in a bounded buffer, and when a stopped reader lets it
 * fill up, new lines are dropped and counted. Measured: an unread pipe behind an unbounded writer grew by 200 MB a
 * second (safety notes, section 2.3).
 */
import { fstatSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { isatty, WriteStream } from 'node:tty';

/** Bytes that may wait for a reader. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

export interface Sink {
  /** Writes text; false when it was dropped. */
  write(text: string): boolean;
  /** Texts dropped so far. */
  readonly dropped: number;
  /** Width of the terminal; undefined when it is none. */
  readonly columns?: number | undefined;
  /** Resolves when everything has been handed to the system, or after `withinMs`. */
  flush(withinMs: number): Promise<void>;
}

/** What a sink needs of a stream. */
export interface WaitingStream {
  write(text: string, done: () => void): unknown;
  readonly writableLength: number;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** A sink over a stream that does not block. */
export const streamSink = (stream: WaitingStream, maxWaitingBytes = MAX_WAITING_BYTES): Sink => {
  let dropped = 0;
  let broken = false;
  let unfinished = 0;
  let onIdle: (() => void) | null = null;
  stream.on('error', () => {
    broken = true;
    onIdle?.();
  });
  return {
    write(text) {
      if (broken || stream.writableLength + text.length > maxWaitingBytes) {
        dropped += 1;
        return false;
      }
      unfinished += 1;
      stream.write(text, () => {
        unfinished -= 1;
        if (unfinished === 0) onIdle?.();
      });
      return true;
    },
    get dropped() {
      return dropped;
    },
    flush: withinMs =>
      unfinished === 0 || broken
        ? Promise.resolve()
        : new Promise(resolve => {
            const timer = setTimeout(resolve, withinMs);
            onIdle = () => {
              clearTimeout(timer);
              resolve();
            };
          }),
  };
};

/** A sink over a file or a null device, which never make a writer wait for a reader. */
const fileSink = (descriptor: number): Sink => {
  let dropped = 0;
  return {
    write(text) {
      try {
        writeSync(descriptor, text);
        return true;
      } catch {
        dropped += 1; // The disk is full: the log is the least of our worries.
        return false;
      }
    },
    get dropped() {
      return dropped;
    },
    flush: () => Promise.resolve(),
  };
};

/**
 * Opens descriptor 1 in this thread. A worker's `process.stdout` would travel through the main thread, which must not
 * carry the log.
 */
export const openStdout = (): Sink => {
  if (isatty(1)) {
    const screen = new WriteStream(1);
    return Object.defineProperty(streamSink(screen), 'columns', { get: () => screen.columns });
  }
  const kind = fstatSync(1);
  if (!kind.isFIFO() && !kind.isSocket()) return fileSink(1);
  const pipe = new Socket({ fd: 1, readable: false, writable: true });
  pipe.unref();
  return streamSink(pipe);
};
