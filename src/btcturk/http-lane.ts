/**
 * A few HTTP/1.1 connections to one origin, one request at a time on each, one attempt per request.
 *
 * The order of things for one request: a place in the lane, then a connection, then the headers (a signature ages),
 * then, in the same turn of the event loop in which undici writes to the socket, the caller's last word. undici calls
 * `onRequestStart` synchronously between choosing the socket and writing to it, and a throw there ends the request with
 * nothing written (proven with a raw TCP server in test/btcturk/rest-client.test.ts).
 */
import type { Socket } from 'node:net';
import Bottleneck from 'bottleneck';
import { buildConnector, Client, type Dispatcher, errors } from 'undici';
import type { Now } from '../domain/step.js';
import type { EndSignal } from './ending.js';
import type { HttpReply } from './replies.js';

export interface LaneLimits {
  readonly connectMs: number;
  /** Silence before the headers, and between pieces of the body. */
  readonly silenceMs: number;
  /** The whole reply, from the request's first byte: a dripping body must not last. */
  readonly replyMs: number;
  readonly responseBytesMax: number;
  /** How long a connection may idle before it is closed. */
  readonly idleMs: number;
}

export const LANE_LIMITS: LaneLimits = {
  connectMs: 3_000,
  silenceMs: 5_000,
  replyMs: 5_500,
  responseBytesMax: 1024 * 1024,
  idleMs: 55_000,
};

/** Requests that may wait for a place in one lane; more are refused at once. */
const WAITING_MAX = 128;

export interface LaneRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body: string | null;
  /** Called once a connection stands, so that stamps are fresh. */
  headers(): Readonly<Record<string, string>>;
  /** The last word before the bytes are written: a reason not to, or null. */
  beforeBytes(): string | null;
  /** Ends the request: nothing is sent if nothing has been; else the answer is given up. */
  readonly signal: EndSignal | null;
}

export interface LaneReply {
  readonly reply: HttpReply;
  /** When the request's bytes were written; null when they were not. */
  readonly sentMonoMs: number | null;
  /** When the response's headers arrived, or the request failed. */
  readonly received: Now;
}

export interface HttpLane {
  /** Never rejects. */
  send(request: LaneRequest): Promise<LaneReply>;
  /** Opens connections up to `count`, without sending anything. Resolves to how many stand. */
  warmUp(count: number): Promise<number>;
  close(): Promise<void>;
}

/** @param connections how many requests may be under way at once */
export const createLane = (
  origin: string,
  connections: number,
  limits: LaneLimits,
  now: () => Now,
): HttpLane => {
  const lines = Array.from({ length: connections }, () => createLine(origin, limits, now));
  // Requests wait in the limiter, which starts each from a timer, a millisecond later at best: one that finds a free
  // line and nobody before it does not go through it.
  const limiter = new Bottleneck({
    maxConcurrent: connections,
    highWater: WAITING_MAX,
    strategy: Bottleneck.strategy.OVERFLOW,
  });
  /** Requests inside the limiter that have no line yet; those among them that it has started want to hear of one. */
  let waiting = 0;
  const onLineFree: (() => void)[] = [];
  let closed = false;
  let closing: Promise<void> | null = null;

  const notSent = (reason: string): LaneReply => ({
    reply: { type: 'not-sent', reason },
    sentMonoMs: null,
    received: now(),
  });
  const freeLine = (): Line | undefined => {
    const free = lines.filter(line => !line.busy);
    return free.find(candidate => candidate.connected) ?? free[0];
  };
  const sendOn = async (line: Line, request: LaneRequest): Promise<LaneReply> => {
    try {
      return await line.send(request);
    } finally {
      onLineFree.shift()?.();
    }
  };
  const onFreeLine = async (request: LaneRequest): Promise<LaneReply> => {
    let line = freeLine();
    for (; line === undefined; line = freeLine())
      await new Promise<void>(resolve => onLineFree.push(resolve));
    waiting -= 1;
    if (closed || request.signal?.aborted) {
      onLineFree.shift()?.();
      return notSent(closed ? 'the client is closed' : abortReason(request.signal));
    }
    return sendOn(line, request);
  };
  const inTurn = (request: LaneRequest): Promise<LaneReply> => {
    if (closed) return Promise.resolve(notSent('the client is closed'));
    if (request.signal?.aborted) return Promise.resolve(notSent(abortReason(request.signal)));
    const line = waiting === 0 ? freeLine() : undefined;
    if (line !== undefined) return sendOn(line, request);
    waiting += 1;
    let started = false;
    return limiter
      .schedule(() => {
        started = true;
        return onFreeLine(request);
      })
      .catch(() => {
        if (!started) waiting -= 1;
        return notSent(closed ? 'the client is closed' : 'too many requests wait for this lane');
      });
  };

  return {
    send: request =>
      new Promise(resolve => {
        let left = false;
        // Until its bytes leave, an abort settles a request at once, whether it waits for a place or a connection.
        const onAbort = (): void => {
          if (!left) resolve(notSent(abortReason(request.signal)));
        };
        const settle = (answered: LaneReply): void => {
          request.signal?.removeEventListener('abort', onAbort);
          resolve(answered);
        };
        const observed: LaneRequest = {
          ...request,
          beforeBytes: () => {
            const reason = request.beforeBytes();
            left = reason === null;
            return reason;
          },
        };
        request.signal?.addEventListener('abort', onAbort, { once: true });
        void inTurn(observed).then(settle);
      }),
    async warmUp(count) {
      const opened = await Promise.all(lines.slice(0, count).map(line => line.connect()));
      return opened.filter(problem => problem === null).length;
    },
    close() {
      closed = true;
      closing ??= Promise.all([
        limiter.stop({ dropWaitingJobs: true }),
        ...lines.map(line => line.close()),
      ]).then(() => {});
      return closing;
    },
  };
};

const abortReason = (signal: EndSignal | null): string =>
  signal?.reason instanceof Error ? signal.reason.message : String(signal?.reason ?? 'aborted');

/** Ends a request inside undici with nothing written. */
class DeniedError extends Error {
  override readonly name = 'DeniedError';
}

/** One connection. */
interface Line {
  readonly busy: boolean;
  readonly connected: boolean;
  /** Opens the connection if there is none. Resolves to null, or to why it could not be opened. */
  connect(): Promise<string | null>;
  send(request: LaneRequest): Promise<LaneReply>;
  close(): Promise<void>;
}

const createLine = (origin: string, limits: LaneLimits, now: () => Now): Line => {
  const url = new URL(origin);
  const dial = buildConnector({ timeout: limits.connectMs, allowH2: false, keepAlive: true });
  let spare: Spare | null = null;
  let adopted = false;
  let busy = false;
  let connecting: Promise<string | null> | null = null;

  const client = new Client(url.origin, {
    pipelining: 1,
    keepAliveTimeout: limits.idleMs,
    keepAliveMaxTimeout: limits.idleMs,
    headersTimeout: limits.silenceMs,
    bodyTimeout: limits.silenceMs,
    maxResponseSize: limits.responseBytesMax,
    allowH2: false,
    connect: (options, callback) => {
      const socket = spare?.take() ?? null;
      spare = null;
      if (socket === null) dial(options, callback);
      else queueMicrotask(() => callback(null, socket));
    },
  });
  client.on('connect', () => {
    adopted = true;
  });
  client.on('disconnect', () => {
    adopted = false;
  });

  const isConnected = (): boolean => adopted || (spare?.alive ?? false);

  const open = (): Promise<string | null> =>
    new Promise(resolve => {
      dial(
        {
          hostname: url.hostname.replace(/^\[|\]$/g, ''),
          host: url.host,
          protocol: url.protocol,
          port: url.port,
        },
        (error, socket) => {
          if (error !== null) {
            resolve(`no connection to ${url.host}: ${error.message}`);
            return;
          }
          if (client.destroyed) {
            socket.destroy();
            resolve('the client is closed');
            return;
          }
          spare = holdSpare(socket);
          resolve(null);
        },
      );
    });

  const connect = (): Promise<string | null> => {
    if (isConnected()) return Promise.resolve(null);
    connecting ??= open().finally(() => {
      connecting = null;
    });
    return connecting;
  };

  const send = async (request: LaneRequest): Promise<LaneReply> => {
    busy = true;
    try {
      if (spare !== null) await nextTurn();
      const problem = await connect();
      if (problem !== null)
        return { reply: { type: 'not-sent', reason: problem }, sentMonoMs: null, received: now() };
      return await dispatch(client, request, limits, now);
    } finally {
      busy = false;
    }
  };

  return {
    get busy() {
      return busy;
    },
    get connected() {
      return isConnected();
    },
    connect,
    send,
    async close() {
      spare?.take()?.destroy();
      spare = null;
      await client.destroy();
    },
  };
};

/** A connection opened by us and not yet handed to undici. */
interface Spare {
  readonly alive: boolean;
  /** The socket, or null when the other side has closed it or spoken out of turn. */
  take(): Socket | null;
}

/** Keeps reading a spare connection, so that its end is noticed before a request is written into it. */
const holdSpare = (socket: Socket): Spare => {
  const drop = (): void => {
    socket.destroy();
  };
  const events = ['data', 'end', 'close', 'error'] as const;
  for (const event of events) socket.on(event, drop);
  socket.unref();
  return {
    get alive() {
      return !socket.destroyed;
    },
    take() {
      if (socket.destroyed) return null;
      for (const event of events) socket.off(event, drop);
      socket.pause();
      socket.ref();
      return socket;
    },
  };
};

/** Lets pending ends and resets of idle connections be seen first. */
const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

/** Hands one request to undici and follows it to its end. Never rejects. */
const dispatch = (
  client: Client,
  request: LaneRequest,
  limits: LaneLimits,
  now: () => Now,
): Promise<LaneReply> =>
  new Promise(resolve => {
    let sentMonoMs: number | null = null;
    let received: Now | null = null;
    let controller: Dispatcher.DispatchController | null = null;
    let status = 0;
    let headers: Readonly<Record<string, string>> = {};
    let bytes = 0;
    const pieces: Buffer[] = [];
    let settled = false;
    let deadline: NodeJS.Timeout | undefined;

    const settle = (reply: HttpReply): void => {
      if (settled) return;
      settled = true;
      clearTimeout(deadline);
      request.signal?.removeEventListener('abort', onAbort);
      resolve({ reply, sentMonoMs, received: received ?? now() });
    };
    const giveUp = (cause: 'timeout' | 'disconnect' | 'unreadable', detail: string): void => {
      settle({ type: 'no-response', cause, detail });
      controller?.abort(new Error(detail));
    };
    const onAbort = (): void => {
      const reason = abortReason(request.signal);
      if (sentMonoMs === null) settle({ type: 'not-sent', reason });
      else giveUp('disconnect', `given up after it was sent: ${reason}`);
    };
    request.signal?.addEventListener('abort', onAbort, { once: true });
    if (request.signal?.aborted) {
      onAbort();
      return;
    }

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(started) {
        // undici moves a request to another connection when the first is closed for its own reasons: never twice.
        if (sentMonoMs !== null) throw new DeniedError('already sent once');
        if (settled) throw new DeniedError('settled before it was sent');
        const reason = request.beforeBytes();
        if (reason !== null) {
          settle({ type: 'not-sent', reason });
          throw new DeniedError(reason);
        }
        // Asking may itself have ended the request: it was settled as not sent, and stays so.
        if (settled) throw new DeniedError('settled before it was sent');
        controller = started;
        sentMonoMs = now().monoMs;
        // A timer is made once the bytes are out, at the end of this turn: in no cache, it takes 0.02 ms.
        queueMicrotask(() => {
          if (settled) return;
          deadline = setTimeout(
            () => giveUp('timeout', `no complete reply in ${limits.replyMs} ms`),
            limits.replyMs,
          );
        });
      },
      onResponseStart(_controller, statusCode, incoming) {
        received = now();
        status = statusCode;
        headers = flatHeaders(incoming);
      },
      onResponseData(_controller, chunk) {
        bytes += chunk.length;
        if (bytes > limits.responseBytesMax) giveUp('unreadable', 'the reply is too large');
        else pieces.push(chunk);
      },
      onResponseEnd() {
        settle({ type: 'response', status, headers, body: Buffer.concat(pieces).toString('utf8') });
      },
      onResponseError(_controller, error) {
        if (sentMonoMs === null) settle({ type: 'not-sent', reason: `no connection: ${error.message}` });
        else settle({ type: 'no-response', cause: causeOf(error), detail: error.message });
      },
    };
    try {
      client.dispatch(
        {
          path: request.path,
          method: request.method,
          headers: request.headers(),
          body: request.body,
        },
        handler,
      );
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      settle(
        sentMonoMs === null
          ? { type: 'not-sent', reason }
          : { type: 'no-response', cause: 'disconnect', detail: reason },
      );
    }
  });

const causeOf = (error: Error): 'timeout' | 'disconnect' | 'unreadable' => {
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError)
    return 'timeout';
  if (
    error instanceof errors.HTTPParserError ||
    error instanceof errors.HeadersOverflowError ||
    error instanceof errors.ResponseExceededMaxSizeError
  )
    return 'unreadable';
  return 'disconnect';
};

/** Header names come in lower case; a repeated header is joined as HTTP joins lists. */
const flatHeaders = (
  incoming: Readonly<Record<string, string | readonly string[] | undefined>>,
): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(incoming).flatMap(([name, value]) =>
      value === undefined ? [] : [[name.toLowerCase(), typeof value === 'string' ? value : value.join(', ')]],
    ),
  );
