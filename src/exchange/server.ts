/**
 * The embedded exchange as a server: real HTTP and WebSocket on loopback around the step function of `venue.ts`. One
 * event loop, one clock; account events reach the disk before the reply that follows from them leaves.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Amount, Price } from '../domain/money.js';
import { monoMs, now } from '../runtime/clock.js';
import { type AccountFile, openAccountFile, writeWhole } from './account-file.js';
import type { Account, AccountEvent } from './accounts.js';
import { statementOf } from './admin.js';
import { type MirrorSource, startMirror } from './mirror.js';
import { openRecording, playRecording, type Recording } from './recording.js';
import { ExchangeError, type ExchangeOptions, listingsFor, sourcesFor } from './setup.js';
import { initialVenue, nextWakeMs, stepVenue } from './venue.js';
import {
  type AdminCommand,
  DEFAULT_LATENCY,
  type HttpReply,
  type VenueEffect,
  type VenueInput,
  type VenueState,
} from './venue-state.js';
import { toJson } from './wire.js';

export interface RunningExchange {
  /** `http://127.0.0.1:port`: REST and charts. */
  readonly url: string;
  readonly wsUrl: string;
  readonly apiKey: string;
  readonly apiSecret: string;
  /** Settles when a recording has been played and what it caused is done; never for other markets. */
  readonly finished: Promise<string>;
  /** The venue's state, to look at. */
  readonly venue: VenueState;
  /** The account of a key, or of the exchange's own key. */
  account(apiKey?: string): Account;
  /** @returns why a command was refused, or `undefined` */
  admin(command: AdminCommand): string | undefined;
  /** The account as a statement of exact decimals (JSON text). */
  statement(): string;
  /** Writes the statement to its file, if it has one. */
  writeStatement(): void;
  /** Writes the statement and lets go of every handle. */
  close(): Promise<void>;
}

const LOOPBACK = ['127.0.0.1', '::1', 'localhost'];
const MOST_BODY_BYTES = 64 * 1_024;
/** A reader that falls this far behind is dropped (protocol section 9.4). */
const MOST_UNSENT_BYTES = 8 * 1_024 * 1_024;
/** Reused connections stay open longer than any client keeps them, so that no request meets a closing one. */
const KEEP_ALIVE_MS = 75_000;
/** How often the place of generated markets is kept. */
const MARK_MS = 10_000;
/** A client that follows the book but never logs in gets its recording anyway. */
const LOGIN_WAIT_MS = 10_000;
/** From ready clients to the first recorded frame, and from the last one to the end. */
const CURTAIN_MS = 1_000;
const CAUGHT_UP_DEADLINE_MS = 5_000;

/**
 * Starts the exchange.
 * @throws ExchangeError, RecordingError, AccountFileError
 */
export const startExchange = async (options: ExchangeOptions): Promise<RunningExchange> => {
  const host = options.host ?? '127.0.0.1';
  if (!LOOPBACK.includes(host))
    throw new ExchangeError(`the exchange serves loopback only (${LOOPBACK.join(', ')}), not ${host}`);
  const recording = options.market.type === 'recording' ? await openRecording(options.market.path) : null;
  const mirror: MirrorSource | null =
    options.market.type === 'mirror'
      ? await startMirror(options.market, options.symbols, options.log ?? ignore)
      : null;
  let file: AccountFile | null = null;
  try {
    file =
      options.accountPath === undefined
        ? null
        : openAccountFile(options.accountPath, options.mode ?? 'paper');
    return await serve(options, host, recording, mirror, file);
  } catch (error) {
    mirror?.stop();
    file?.close();
    await recording?.items.return(undefined);
    throw error;
  }
};

const ignore = (): void => undefined;

const serve = async (
  options: ExchangeOptions,
  host: string,
  recording: Recording | null,
  mirror: MirrorSource | null,
  file: AccountFile | null,
): Promise<RunningExchange> => {
  const log = options.log ?? ignore;
  const restored = file?.accounts ?? new Map<string, readonly AccountEvent[]>();
  const listings = listingsFor(options, recording, mirror, restored);
  let venue = initialVenue({
    seed: options.seed ?? 1,
    listings,
    sources: sourcesFor(options, recording, listings),
    authentication: 'check',
    keepalive: 'ping',
    latency: { ...DEFAULT_LATENCY, ...options.latency },
    bookIntervalMs: 100,
    history: true,
    accounts: [...restored.values()],
    prices: file?.prices ?? new Map<string, Price>(),
    faults: options.faults ?? [],
  });

  const requests = new Map<string, ServerResponse>();
  const upgrades = new Map<string, { request: IncomingMessage; socket: Duplex; head: Buffer }>();
  const sockets = new Map<string, WebSocket>();
  const ending = new AbortController();
  let serial = 0;
  let refused: string | undefined;
  /** Somebody has spoken to this exchange: only then does it touch its files. */
  let contacted = false;
  let wake: NodeJS.Timeout | undefined;
  let wakeAtMs = Number.POSITIVE_INFINITY;

  const step = (input: VenueInput): void => {
    if (ending.signal.aborted) return;
    if (input.type === 'http' || input.type === 'socket-requested') {
      contacted = true;
      file?.begin();
    }
    const stepped = stepVenue(venue, input, now());
    venue = stepped.state;
    for (const effect of stepped.effects) perform(effect);
    armWake();
  };

  const armWake = (): void => {
    const dueMs = nextWakeMs(venue) ?? Number.POSITIVE_INFINITY;
    if (dueMs >= wakeAtMs) return;
    clearTimeout(wake);
    wakeAtMs = dueMs;
    wake = setTimeout(
      () => {
        wakeAtMs = Number.POSITIVE_INFINITY;
        step({ type: 'tick' });
      },
      Math.max(0, dueMs - monoMs()),
    );
  };

  const perform = (effect: VenueEffect): void => {
    switch (effect.type) {
      case 'reply':
        answer(effect.requestId, effect);
        break;
      case 'reset-request':
        requests.get(effect.requestId)?.socket?.resetAndDestroy();
        requests.delete(effect.requestId);
        break;
      case 'accept-socket':
        acceptSocket(effect.socketId);
        break;
      case 'refuse-socket': {
        const upgrade = upgrades.get(effect.socketId);
        upgrades.delete(effect.socketId);
        upgrade?.socket.end(rawReply(effect));
        break;
      }
      case 'frame': {
        const socket = sockets.get(effect.socketId);
        if (socket === undefined) break;
        if (socket.bufferedAmount > MOST_UNSENT_BYTES) socket.terminate();
        else socket.send(effect.text);
        break;
      }
      case 'ping':
        sockets.get(effect.socketId)?.ping();
        break;
      case 'close-socket': {
        const socket = sockets.get(effect.socketId);
        sockets.delete(effect.socketId);
        if (effect.abrupt) socket?.terminate();
        else socket?.close(effect.code);
        break;
      }
      case 'account-event':
        file?.append(effect.apiKey, effect.event);
        break;
      case 'refused':
        refused = effect.reason;
        break;
    }
  };

  const answer = (requestId: string, reply: HttpReply): void => {
    const response = requests.get(requestId);
    requests.delete(requestId);
    if (response === undefined || response.destroyed) return;
    response.writeHead(reply.status, {
      ...reply.headers,
      'content-length': String(Buffer.byteLength(reply.body)),
    });
    response.end(reply.body);
  };

  const http: Server = createServer((request, response) => {
    receive(request, body => {
      if (body === undefined) {
        response.writeHead(413, { connection: 'close' }).end();
        return;
      }
      const [path = '/', query = ''] = splitOnce(request.url ?? '/', '?');
      if (path.toLowerCase().startsWith('/admin/') && !isLoopbackHost(request.headers.host)) {
        response.writeHead(403).end();
        return;
      }
      const requestId = `r${++serial}`;
      requests.set(requestId, response);
      response.once('close', () => requests.delete(requestId));
      step({
        type: 'http',
        requestId,
        method: request.method ?? 'GET',
        path,
        query,
        headers: singleHeaders(request),
        body,
        ip: request.socket.remoteAddress ?? '',
      });
    });
  });
  http.keepAliveTimeout = KEEP_ALIVE_MS;

  const webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: 1_024 * 1_024,
  });
  http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    if (splitOnce(request.url ?? '/', '?')[0] !== '/') {
      socket.end(rawReply({ status: 404, headers: {}, body: '' }));
      return;
    }
    const socketId = `s${++serial}`;
    upgrades.set(socketId, { request, socket, head });
    step({ type: 'socket-requested', socketId, ip: request.socket.remoteAddress ?? '' });
  });

  const acceptSocket = (socketId: string): void => {
    const upgrade = upgrades.get(socketId);
    upgrades.delete(socketId);
    if (upgrade === undefined) return;
    webSockets.handleUpgrade(upgrade.request, upgrade.socket, upgrade.head, socket => {
      sockets.set(socketId, socket);
      socket.on('message', (message, isBinary) => {
        if (!isBinary) step({ type: 'socket-frame', socketId, text: message.toString() });
      });
      socket.on('pong', () => step({ type: 'socket-pong', socketId }));
      socket.on('error', () => socket.terminate());
      socket.on('close', () => {
        sockets.delete(socketId);
        step({ type: 'socket-closed', socketId });
      });
    });
  };

  const admin = (command: AdminCommand): string | undefined => {
    refused = undefined;
    step({ type: 'admin', command });
    return refused;
  };
  const port = await listen(http, host, options.port ?? 0);
  const credentials = openOwnAccount(options, restored, admin);
  const address = host === '::1' ? '[::1]' : host;
  const account = (apiKey = credentials.apiKey): Account => {
    const found = venue.accounts.get(apiKey);
    if (found === undefined) throw new ExchangeError(`no account has the key ${apiKey}`);
    return found;
  };
  const statement = (): string => `${toJson(statementOf(account()))}\n`;

  const writeStatement = (): void => {
    if (options.statementPath !== undefined && contacted) writeWhole(options.statementPath, statement());
  };

  /** Every connected client has read everything it was sent: it answers a ping that was sent behind it. */
  const caughtUp = async (): Promise<void> => {
    const token = randomBytes(4);
    await Promise.all([...sockets.values()].map(socket => pong(socket, token)));
  };

  const finished = recording === null ? new Promise<string>(() => undefined) : play(recording);

  async function play(source: Recording): Promise<string> {
    const speed = options.market.type === 'recording' ? options.market.speed : 1;
    let damage: string | null = null;
    const { signal } = ending;
    const items = source.items;
    const first = await untilFirstBook(items, entry =>
      step({ type: 'market', symbol: entry.symbol, activity: entry.activity }),
    );
    if (options.playAtOnce !== true) await clientsReady(() => venue, signal);
    if (first)
      await playRecording(items, {
        speed,
        signal,
        caughtUp,
        feed: entry => step({ type: 'market', symbol: entry.symbol, activity: entry.activity }),
        notice: item => {
          log('warn', `recording-${item.type}`, { line: item.line, reason: item.reason });
          if (item.type === 'damage') damage = `line ${item.line}: ${item.reason}`;
        },
      });
    await wait(CURTAIN_MS, signal);
    await caughtUp();
    if (signal.aborted) return `recording ${source.path} was stopped before its end`;
    return damage === null
      ? `recording ${source.path} has been played to its end`
      : `recording ${source.path} has been played up to where it is damaged (${damage})`;
  }

  const markPrices = (): void => {
    for (const { market } of venue.flows.values()) file?.mark(market.listing.symbol, market.lastPrice);
  };
  const mark = setInterval(markPrices, MARK_MS);
  mirror?.follow((symbol, activity) => step({ type: 'market', symbol, activity }));
  step({ type: 'tick' });
  log('info', 'exchange-started', { url: `http://${address}:${port}`, symbols: options.symbols.join(',') });

  return {
    url: `http://${address}:${port}`,
    wsUrl: `ws://${address}:${port}`,
    ...credentials,
    finished,
    get venue() {
      return venue;
    },
    account,
    admin,
    statement,
    writeStatement,
    async close() {
      if (ending.signal.aborted) return;
      writeStatement();
      markPrices();
      ending.abort();
      clearTimeout(wake);
      clearInterval(mark);
      mirror?.stop();
      for (const socket of sockets.values()) socket.terminate();
      for (const response of requests.values()) response.destroy();
      webSockets.close();
      http.closeAllConnections();
      await new Promise(resolve => http.close(resolve));
      file?.close();
    },
  };
};

/** The account of this exchange: the one that was there, or a new one with a fresh key pair. */
const openOwnAccount = (
  options: ExchangeOptions,
  restored: ReadonlyMap<string, readonly AccountEvent[]>,
  admin: (command: AdminCommand) => string | undefined,
): { readonly apiKey: string; readonly apiSecret: string } => {
  for (const [opening] of restored.values())
    if (opening?.type === 'account-opened') return { apiKey: opening.apiKey, apiSecret: opening.apiSecret };
  const credentials = options.credentials ?? {
    apiKey: randomUUID(),
    apiSecret: randomBytes(32).toString('base64'),
  };
  const problem = admin({
    type: 'open-account',
    ...credentials,
    feeLevel: options.feeLevel ?? 1,
    balances: options.balances ?? new Map<string, Amount>(),
  });
  if (problem !== undefined) throw new ExchangeError(`the paper account cannot be opened: ${problem}`);
  return credentials;
};

const listen = (http: Server, host: string, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new ExchangeError(
          error.code === 'EADDRINUSE'
            ? `port ${port} on ${host} is in use: choose another, or 0 for any free one`
            : `the exchange cannot listen on ${host}:${port}: ${error.message}`,
        ),
      );
    });
    http.listen(port, host, () => resolve((http.address() as AddressInfo).port));
  });

/** Collects a body; `undefined` when it is too large. */
const receive = (request: IncomingMessage, done: (body: string | undefined) => void): void => {
  const chunks: Buffer[] = [];
  let size = 0;
  let over = false;
  request.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > MOST_BODY_BYTES && !over) {
      over = true;
      done(undefined);
    }
    if (!over) chunks.push(chunk);
  });
  request.on('end', () => {
    if (!over) done(Buffer.concat(chunks).toString('utf8'));
  });
};

const singleHeaders = (request: IncomingMessage): Record<string, string | undefined> => {
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(request.headers))
    headers[name] = Array.isArray(value) ? value[0] : value;
  return headers;
};

const isLoopbackHost = (hostHeader: string | undefined): boolean =>
  hostHeader !== undefined && LOOPBACK.includes(hostHeader.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''));

const splitOnce = (text: string, mark: string): readonly [string, string] => {
  const at = text.indexOf(mark);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
};

/** A reply to a handshake that is not taken up. */
const rawReply = (reply: HttpReply): string => {
  const lines = Object.entries(reply.headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${reply.status} Refused\r\n${lines.join('')}content-length: ${Buffer.byteLength(reply.body)}\r\nconnection: close\r\n\r\n${reply.body}`;
};

const pong = (socket: WebSocket, token: Buffer): Promise<void> =>
  new Promise(resolve => {
    const finish = (): void => {
      clearTimeout(deadline);
      socket.off('pong', onPong);
      socket.off('close', finish);
      resolve();
    };
    const onPong = (answer: Buffer): void => {
      if (answer.equals(token)) finish();
    };
    const deadline = setTimeout(finish, CAUGHT_UP_DEADLINE_MS);
    socket.on('pong', onPong);
    socket.on('close', finish);
    if (socket.readyState === socket.OPEN) socket.ping(token);
    else finish();
  });

/** Puts the recording's first book on show. @returns false when there is none */
const untilFirstBook = async (
  items: Recording['items'],
  feed: (entry: Parameters<Parameters<typeof playRecording>[1]['feed']>[0]) => void,
): Promise<boolean> => {
  for (;;) {
    const { value, done } = await items.next();
    if (done === true || value.type === 'damage') return false;
    if (value.type !== 'entry') continue;
    feed(value.entry);
    if (value.entry.activity.type === 'book') return true;
  }
};

/** Resolves when somebody follows a book and an account is logged in, or after a while without a login. */
const clientsReady = (venue: () => VenueState, signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    let followedSince: number | undefined;
    let loggedInSince: number | undefined;
    const watch = setInterval(() => {
      const at = monoMs();
      const sessions = [...venue().sockets.values()];
      const followed = [...venue().markets.values()].some(market => market.subscribers.obdiff.size > 0);
      followedSince = followed ? (followedSince ?? at) : undefined;
      loggedInSince = sessions.some(session => session.account !== null) ? (loggedInSince ?? at) : undefined;
      const ready =
        followedSince !== undefined &&
        (at - followedSince >= LOGIN_WAIT_MS ||
          (loggedInSince !== undefined && at - Math.max(followedSince, loggedInSince) >= CURTAIN_MS));
      if (!ready && !signal.aborted) return;
      clearInterval(watch);
      resolve();
    }, 50);
  });

const wait = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
