/**
 * A gateway in front of an exchange, as badly made as gateways are: told to, it answers by saying back what it was sent,
 * key and signature among it, in the forms in which error pages and debug replies do that.
 */
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

/** What a request is answered with instead of being passed on. */
export const ECHOES: Readonly<
  Record<string, (headers: string) => [status: number, type: string, body: string]>
> = {
  'an error page with the headers': headers => [502, 'text/html', `<html><pre>${headers}</pre></html>`],
  'a refusal that quotes the headers': headers => [
    400,
    'application/json',
    JSON.stringify({ success: false, message: `bad request: ${headers}`, code: 1_234, data: null }),
  ],
  'a refusal of the key that quotes the headers': headers => [
    401,
    'application/json',
    JSON.stringify({ success: false, message: `Unauthorized - ${headers}`, code: 1_037, data: null }),
  ],
  'success with the headers where the list should be': headers => [
    200,
    'application/json',
    JSON.stringify({ success: true, message: headers, code: 0, data: headers }),
  ],
  'the headers, URL-encoded': headers => [500, 'text/plain', encodeURIComponent(headers)],
  'half a JSON text with the headers': headers => [
    200,
    'application/json',
    JSON.stringify({ success: true, data: { id: headers } }).slice(0, -3),
  ],
};

export interface Gateway {
  readonly url: string;
  readonly wsUrl: string;
  /** Every signature that went through. */
  readonly signatures: ReadonlySet<string>;
  /** Requests that were answered with an echo. */
  readonly echoed: number;
  /** From now on private requests are answered so; null passes everything on. */
  echo: string | null;
  close(): void;
}

export const openGateway = async (exchangeUrl: string): Promise<Gateway> => {
  const target = new URL(exchangeUrl);
  const signatures = new Set<string>();
  let echoed = 0;

  const pass = (request: IncomingMessage, response: ServerResponse): void => {
    const onward = forward(
      {
        host: target.hostname,
        port: target.port,
        method: request.method,
        path: request.url,
        headers: request.headers,
      },
      reply => {
        response.writeHead(reply.statusCode ?? 502, reply.headers);
        reply.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  };

  const server = createServer((request, response) => {
    const signature = request.headers['x-signature'];
    if (typeof signature === 'string') signatures.add(signature);
    const how = gateway.echo === null ? undefined : ECHOES[gateway.echo];
    if (how === undefined || signature === undefined) {
      pass(request, response);
      return;
    }
    echoed += 1;
    const [status, type, body] = how(
      Object.entries(request.headers)
        .map(([name, value]) => `${name}: ${String(value)}`)
        .join('; '),
    );
    request.resume();
    response.writeHead(status, { 'content-type': type }).end(body);
  });
  server.on('upgrade', (request, socket, head) => {
    const onward = connect(Number(target.port), target.hostname, () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let at = 0; at < request.rawHeaders.length; at += 2)
        lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
      onward.write(`${lines.join('\r\n')}\r\n\r\n`);
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
    onward.on('close', () => socket.destroy());
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const gateway: Gateway = {
    url: `http://127.0.0.1:${port}`,
    wsUrl: `ws://127.0.0.1:${port}`,
    signatures,
    get echoed() {
      return echoed;
    },
    echo: null,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return gateway;
};
