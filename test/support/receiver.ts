/** Something that takes POSTs: a collector, a webhook. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Receiver<T> {
  readonly url: string;
  readonly received: readonly T[];
  /** Resolves with the first body, past or future, that fits. */
  until(fits: (body: T) => boolean): Promise<T>;
  /** The next request is refused, or never answered; it counts as not received. */
  strikeNext(how: 'refuse' | 'hang'): void;
  /** From now on nothing is answered any more. */
  hang(): void;
  close(): void;
}

/** @param decode what a request's bytes mean */
export const openReceiver = async <T>(decode: (body: Buffer) => T): Promise<Receiver<T>> => {
  const received: T[] = [];
  const listeners = new Set<(body: T) => void>();
  let hanging = false;
  let strike: 'refuse' | 'hang' | null = null;
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const struck = strike;
      strike = null;
      if (hanging || struck === 'hang') return;
      if (struck === 'refuse') {
        response.writeHead(503).end();
        return;
      }
      const body = decode(Buffer.concat(chunks));
      received.push(body);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      for (const listener of listeners) listener(body);
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    until: fits =>
      new Promise(resolve => {
        const before = received.find(fits);
        if (before !== undefined) {
          resolve(before);
          return;
        }
        const listener = (body: T): void => {
          if (!fits(body)) return;
          listeners.delete(listener);
          resolve(body);
        };
        listeners.add(listener);
      }),
    strikeNext: how => {
      strike = how;
    },
    hang: () => {
      hanging = true;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
};
