/** A TCP server that a test scripts byte by byte: what HTTP libraries would never send. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface RawConnection {
  readonly socket: Socket;
  /** Everything received so far. */
  readonly received: () => string;
}

export interface RawServer {
  readonly url: string;
  readonly connections: readonly RawConnection[];
  /** Bytes received on all connections. */
  bytes(): number;
  /** Resolves once `count` whole requests have arrived. */
  request(count?: number): Promise<void>;
  /** Resolves once `count` connections were accepted. */
  connected(count: number): Promise<void>;
  close(): Promise<void>;
}

/** @param onRequest called with each complete request (head and body) and the socket to answer on */
export const startRawServer = async (
  onRequest: (request: string, socket: Socket) => void,
): Promise<RawServer> => {
  const connections: RawConnection[] = [];
  const sockets = new Set<Socket>();
  const requestCount = counter();
  const connectionCount = counter();
  const server = createServer(socket => {
    sockets.add(socket);
    let all = '';
    let pending = '';
    socket.setEncoding('latin1');
    connections.push({ socket, received: () => all });
    connectionCount.add();
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (piece: string) => {
      all += piece;
      pending += piece;
      for (;;) {
        const headEnd = pending.indexOf('\r\n\r\n');
        if (headEnd < 0) return;
        const length = Number(/content-length: (\d+)/i.exec(pending.slice(0, headEnd))?.[1] ?? 0);
        const end = headEnd + 4 + length;
        if (pending.length < end) return;
        const request = pending.slice(0, end);
        pending = pending.slice(end);
        onRequest(request, socket);
        requestCount.add();
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    connections,
    bytes: () => connections.reduce((sum, connection) => sum + connection.received().length, 0),
    request: (count = 1) => requestCount.reaches(count),
    connected: count => connectionCount.reaches(count),
    close: async () => {
      if (!server.listening) return;
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
};

/** A complete HTTP response. */
export const response = (
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): string =>
  [
    `HTTP/1.1 ${status} X`,
    ...Object.entries({ 'content-length': String(Buffer.byteLength(body)), ...headers }).map(
      ([name, value]) => `${name}: ${value}`,
    ),
    '',
    body,
  ].join('\r\n');

const counter = () => {
  let reached = 0;
  let waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  return {
    add: (): void => {
      reached += 1;
      for (const waiter of waiting) if (reached >= waiter.count) waiter.resolve();
      waiting = waiting.filter(waiter => reached < waiter.count);
    },
    reaches: (count: number): Promise<void> =>
      new Promise(resolve => {
        if (reached >= count) resolve();
        else waiting.push({ count, resolve });
      }),
  };
};
