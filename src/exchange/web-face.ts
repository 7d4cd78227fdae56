/** HTTP and WebSocket on loopback: turns what arrives into inputs of the venue, and carries out the effects that leave. */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { ExchangeError } from './setup.js';
import type { HttpReply, VenueEffect, VenueInput } from './venue-state.js';

/** The exchange as the network sees it. */
export interface WebFace {
  /** Begins to listen. @returns the port @throws ExchangeError when it cannot */
  listen(host: string, port: number): Promise<number>;
  /** Carries out an effect that concerns a connection. */
  perform(effect: VenueEffect): void;
  /** Resolves when every connected client has read everything it was sent: it answers a ping that was sent behind it. */
  caughtUp(): Promise<void>;
  close(): Promise<void>;
}

export const LOOPBACK: readonly string[] = ['127.0.0.1', '::1', 'localhost'];
const MOST_BODY_BYTES = 64 * 1_024;
const MOST_FRAME_BYTES = 1_024 * 1_024;
/** A reader that falls this far behind is dropped (protocol section 9.4). */
const MOST_UNSENT_BYTES = 8 * 1_024 * 1_024;
/** Reused connections stay open longer than any client keeps them, so that no request meets a closing one. */
const KEEP_ALIVE_MS = 75_000;
const CAUGHT_UP_DEADLINE_MS = 5_000;

export const openWebFace = (step: (input: VenueInput) => void): WebFace => {
  const requests = new Map<string, ServerResponse>();
  const upgrades = new Map<string, { request: IncomingMessage; socket: Duplex; head: Buffer }>();
  const sockets = new Map<string, WebSocket>();
  let serial = 0;

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
      case 'refused':
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
    maxPayload: MOST_FRAME_BYTES,
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

  return {
    listen: (host, port) => listen(http, host, port),
    perform,
    caughtUp: async () => {
      const token = randomBytes(4);
      await Promise.all([...sockets.values()].map(socket => pong(socket, token)));
    },
    async close() {
      for (const socket of sockets.values()) socket.terminate();
      for (const response of requests.values()) response.destroy();
      webSockets.close();
      http.closeAllConnections();
      await new Promise(resolve => http.close(resolve));
    },
  };
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
