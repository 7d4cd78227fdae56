import type { Socket } from 'node:net';
import { expect } from 'chai';
import {
  createRestClient,
  type RestClient,
  type RestClientOptions,
  type WriteGuard,
} from '#src/btcturk/rest-client.js';
import type { Now } from '#src/domain/step.js';
import type { SubmitOutcome } from '#src/domain/venue-port.js';
import { now } from '#src/runtime/clock.js';
import { openPauseBoard, PAUSE_BOARD_BYTES } from '#src/runtime/pause-board.js';
import { CREDENTIALS, cancel, endpointsAt, instrument, SUBMITTED, submit } from './fixtures.js';
import { type RawServer, response, startRawServer } from './raw-server.js';

const open = (overrides: Partial<WriteGuard> = {}): WriteGuard => ({
  beforeBytes: () => null,
  signal: new AbortController().signal,
  ...overrides,
});

describe('rest client over a raw socket', () => {
  let server: RawServer;
  let client: RestClient;

  const start = async (
    onRequest: (request: string, socket: Socket) => void,
    options: Partial<RestClientOptions> = {},
  ): Promise<void> => {
    server = await startRawServer(onRequest);
    client = createRestClient({ endpoints: endpointsAt(server.url), credentials: CREDENTIALS, ...options });
  };
  const send = (guard: WriteGuard = open()): Promise<SubmitOutcome> =>
    client.write(submit(), instrument(), guard);

  afterEach(async () => {
    await client.close();
    await server.close();
  });

  it('confirms a submit and sends it once, with plain strings and a signature', async () => {
    const requests: string[] = [];
    await start((request, socket) => {
      requests.push(request);
      socket.write(response(200, SUBMITTED));
    });
    expect(await send()).to.deep.equal({ type: 'confirmed', venueOrderId: '31840022901' });
    expect(requests).to.have.length(1);
    const [head = '', body = ''] = (requests[0] ?? '').split('\r\n\r\n');
    expect(head).to.match(/^POST \/api\/v1\/order HTTP\/1\.1\r\n/);
    expect(head).to.match(/X-PCK: 11111111-2222-3333-4444-555555555555\r\n/);
    expect(head).to.match(/X-Stamp: \d{13}\r\n/);
    expect(JSON.parse(body)).to.deep.equal({
      quantity: '0.004',
      price: '77000',
      newOrderClientId: 'b-1-1',
      orderMethod: 'limit',
      orderType: 'buy',
      pairSymbol: 'BTCUSDT',
    });
  });

  it('keeps a pause that another client of the same venue was told of, also for what waits for a place', async () => {
    const lines: string[] = [];
    const throttled: string[] = [];
    const memory = new SharedArrayBuffer(PAUSE_BOARD_BYTES);
    await start(
      (request, socket) => {
        lines.push(request.split(' HTTP')[0] ?? '');
        socket.write(
          request.includes('/ticker')
            ? response(200, '{"success":true,"message":null,"code":0,"data":[]}')
            : response(429, '{}', { 'retry-after': '90' }),
        );
      },
      {
        pauses: openPauseBoard(memory),
        onThrottled: request => void throttled.push(request),
        concurrency: { read: 1 },
      },
    );
    const other = createRestClient({
      endpoints: endpointsAt(server.url),
      credentials: CREDENTIALS,
      pauses: openPauseBoard(memory),
    });
    try {
      const [first, second] = await Promise.all([
        client.read({ type: 'balances' }),
        client.read({ type: 'balances' }),
      ]);
      const third = await other.read({ type: 'balances' });
      expect(first).to.deep.include({ ok: false, failure: { type: 'rate-limited', retryAfterMs: 90_000 } });
      for (const result of [second, third]) {
        const failure = result.ok ? null : result.failure;
        expect(failure).to.include({ type: 'rate-limited', unsent: true });
        expect(failure?.type === 'rate-limited' && failure.retryAfterMs).to.be.within(1, 90_000);
      }
      await other.read({ type: 'ticker', symbol: 'BTCTRY' });
      expect(lines).to.have.length(2);
      expect(throttled).to.deep.equal(['GET /api/v1/users/balances']);
    } finally {
      await other.close();
    }
  });

  it('leaves an endpoint alone that no budget counts, too, and asks the others', async () => {
    const lines: string[] = [];
    await start((request, socket) => {
      lines.push(request.split('\r\n', 1)[0] ?? '');
      socket.write(response(429, '{}', { 'retry-after': '90' }));
    });
    const book = { type: 'order-book', symbol: 'BTCTRY', depth: 5 } as const;
    await client.read(book);
    const again = await client.read(book);
    expect(again.ok ? null : again.failure).to.include({ type: 'rate-limited', unsent: true });
    await client.read({ type: 'public-trades', symbol: 'BTCTRY', count: 5 });
    expect(lines).to.have.length(2);
  });

  it('tells of a write that was answered with 429, too', async () => {
    const throttled: string[] = [];
    const pauses = openPauseBoard(undefined);
    await start((_request, socket) => socket.write(response(429, '{}', { 'retry-after': '1' })), {
      pauses,
      onThrottled: request => void throttled.push(request),
    });
    expect((await send()).type).to.equal('unknown');
    expect(throttled).to.deep.equal(['POST /api/v1/order']);
    // For the next incarnation of whoever sent it: a minute at least (protocol section 8).
    expect(pauses.until('submit')).to.be.greaterThan(now().monoMs + 30_000);
    expect(pauses.until('cancel')).to.equal(0);
  });

  it('asks the guard once a connection stands, and sends nothing when it refuses', async () => {
    await start(() => {});
    let asked = 0;
    const outcome = await send(
      open({
        beforeBytes: () => {
          asked += 1;
          return 'lease expired';
        },
      }),
    );
    expect(outcome).to.deep.equal({ type: 'denied', reason: 'lease expired' });
    expect(asked).to.equal(1);
    await server.connected(1);
    await client.close();
    expect(server.bytes()).to.equal(0);
  });

  it('denies a guarded write on a connection that has been used, and keeps that connection for the next', async () => {
    await start((_request, socket) => socket.write(response(200, SUBMITTED)));
    expect((await send()).type).to.equal('confirmed');
    const before = server.bytes();
    expect(await send(open({ beforeBytes: () => 'hold' }))).to.deep.equal({ type: 'denied', reason: 'hold' });
    expect(server.bytes()).to.equal(before);
    expect((await send()).type).to.equal('confirmed');
    expect(server.connections).to.have.length(1);
  });

  it('denies when the guard itself fails', async () => {
    await start(() => {});
    const outcome = await send(
      open({
        beforeBytes: () => {
          throw new Error('fence broke');
        },
      }),
    );
    expect(outcome.type).to.equal('denied');
    await server.connected(1);
    await client.close();
    expect(server.bytes()).to.equal(0);
  });

  it('denies what was aborted before it began, sending nothing', async () => {
    await start(() => {});
    const abort = new AbortController();
    abort.abort(new Error('safe mode'));
    expect(await send(open({ signal: abort.signal }))).to.deep.equal({ type: 'denied', reason: 'safe mode' });
    expect(server.bytes()).to.equal(0);
  });

  it('denies at once what is aborted while it waits for a place, and never sends it', async () => {
    const sockets: Socket[] = [];
    await start((_request, socket) => sockets.push(socket), { concurrency: { submit: 1 } });
    const first = send();
    await server.request(1);
    const before = server.bytes();
    const abort = new AbortController();
    const second = send(open({ signal: abort.signal }));
    abort.abort(new Error('safe mode'));
    expect(await second).to.deep.equal({ type: 'denied', reason: 'safe mode' });
    sockets[0]?.write(response(200, SUBMITTED));
    expect((await first).type).to.equal('confirmed');
    await client.close();
    expect(server.bytes()).to.equal(before);
  });

  it('denies what is aborted between its dispatch and its bytes', async () => {
    await start((_request, socket) => socket.write(response(200, SUBMITTED)));
    await send();
    const before = server.bytes();
    const abort = new AbortController();
    // A used connection is checked for one turn of the loop before it is written to: abort inside that turn.
    const second = send(open({ signal: abort.signal }));
    process.nextTick(() => queueMicrotask(() => abort.abort(new Error('safe mode'))));
    expect(await second).to.deep.equal({ type: 'denied', reason: 'safe mode' });
    expect((await send()).type).to.equal('confirmed');
    expect(server.bytes()).to.equal(before * 2);
  });

  it('calls a write unknown when it is aborted after its bytes left', async () => {
    await start(() => {});
    const abort = new AbortController();
    const outcome = send(open({ signal: abort.signal }));
    await server.request(1);
    abort.abort(new Error('leaving'));
    expect(await outcome).to.deep.equal({ type: 'unknown', cause: 'disconnect' });
  });

  it('denies when no connection can be made', async () => {
    await start(() => {});
    await server.close();
    const outcome = await send();
    expect(outcome.type).to.equal('denied');
    expect(outcome)
      .to.have.property('reason')
      .that.matches(/no connection/);
    server = await startRawServer(() => {});
  });

  for (const [title, answer, cause] of [
    ['the connection is reset after the request', (socket: Socket) => socket.resetAndDestroy(), 'disconnect'],
    ['the connection is closed after the request', (socket: Socket) => socket.end(), 'disconnect'],
    [
      'half a response arrives',
      (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"success":true'),
      'disconnect',
    ],
    ['half a head arrives', (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-le'), 'disconnect'],
    ['the answer is not HTTP', (socket: Socket) => socket.end('SSH-2.0-x\r\n\r\n'), 'unreadable'],
    [
      'a gateway answers with HTML',
      (socket: Socket) => socket.write(response(504, '<html><body>Gateway Time-out</body></html>')),
      'server-error',
    ],
    [
      'a 200 carries HTML',
      (socket: Socket) => socket.write(response(200, '<html>just a moment</html>')),
      'unreadable',
    ],
    [
      'the reply is larger than allowed',
      (socket: Socket) => socket.write(response(200, `{"a":"${'x'.repeat(1024 * 1024 + 1)}"}`)),
      'unreadable',
    ],
    [
      'the head is larger than allowed',
      (socket: Socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`),
      'unreadable',
    ],
    [
      'the answer is a redirect',
      (socket: Socket) => socket.write(response(307, '', { location: '/x' })),
      'unreadable',
    ],
  ] as const) {
    it(`calls a submit unknown, and sends it once, when ${title}`, async () => {
      let requests = 0;
      await start((_request, socket) => {
        requests += 1;
        answer(socket);
      });
      expect(await send()).to.deep.include({ type: 'unknown', cause });
      await client.close();
      expect(requests).to.equal(1);
    });
  }

  it('calls a submit unknown when nothing answers in time', async () => {
    await start(() => {}, { limits: { replyMs: 120 } });
    expect(await send()).to.deep.equal({ type: 'unknown', cause: 'timeout' });
  });

  it('calls a submit unknown when the reply drips', async () => {
    await start(
      (_request, socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n');
        const drip = setInterval(() => socket.write('x'), 10);
        socket.on('close', () => clearInterval(drip));
      },
      { limits: { replyMs: 200 } },
    );
    expect(await send()).to.deep.equal({ type: 'unknown', cause: 'timeout' });
  });

  it('settles a write that has left as unknown, and one that waits as denied, when the client closes', async () => {
    await start(() => {}, { concurrency: { submit: 1 } });
    const left = send();
    await server.request(1);
    const waiting = send();
    await client.close();
    expect(await left).to.deep.equal({ type: 'unknown', cause: 'disconnect' });
    expect((await waiting).type).to.equal('denied');
  });

  it('does not let reads or submits hold up a cancel', async () => {
    await start((request, socket) => {
      if (request.startsWith('DELETE'))
        socket.write(response(200, '{"success":true,"message":"SUCCESS","code":0}'));
    });
    const reads = Array.from({ length: 10 }, () => client.read({ type: 'balances' }));
    const submits = Array.from({ length: 10 }, () => send());
    expect(await client.write(cancel(), instrument(), open())).to.deep.equal({ type: 'queued' });
    await client.close();
    await Promise.all([...reads, ...submits]);
  });

  it('opens connections without sending, and uses them', async () => {
    await start((_request, socket) => socket.write(response(200, SUBMITTED)));
    expect(await client.warmUp()).to.equal(2);
    await server.connected(2);
    expect(server.bytes()).to.equal(0);
    expect((await send()).type).to.equal('confirmed');
    expect((await send()).type).to.equal('confirmed');
    expect(server.connections.length).to.equal(2);
  });

  it('notices that the other side closed a warm connection, and makes a new one', async () => {
    await start((_request, socket) => socket.write(response(200, SUBMITTED)));
    await client.warmUp();
    await server.connected(2);
    await Promise.all(
      server.connections.map(
        ({ socket }) =>
          new Promise<void>(resolve => {
            socket.once('close', () => resolve());
            socket.end();
          }),
      ),
    );
    expect((await send()).type).to.equal('confirmed');
  });

  it('measures the venue clock at half the round trip and stamps requests with it', async () => {
    const stamps: number[] = [];
    const serverMs = Date.now() + 3_600_000;
    await start((request, socket) => {
      if (request.includes('/server/time')) socket.write(response(200, `{"serverTime":${serverMs}}`));
      else {
        stamps.push(Number(/X-Stamp: (\d+)/.exec(request)?.[1]));
        socket.write(response(200, '{"data":[],"success":true,"message":null,"code":0}'));
      }
    });
    expect(client.clock()).to.equal(null);
    await client.read({ type: 'server-time' });
    expect(client.clock()?.offsetMs).to.be.within(3_590_000, 3_610_000);
    for (let count = 0; count < 5; count++) await client.read({ type: 'balances' });
    expect(stamps).to.deep.equal([...new Set(stamps)].sort((left, right) => left - right));
    expect(stamps[0]).to.be.greaterThan(serverMs - 10_000);
  });

  it('stays within the venue’s window while our clock is set back between two looks at the venue’s', async () => {
    const stamps: number[] = [];
    let setBackMs = 0;
    const at = (): Now => ({ ...now(), wallMs: now().wallMs - setBackMs });
    await start(
      (request, socket) => {
        if (request.includes('/server/time')) socket.write(response(200, `{"serverTime":${Date.now()}}`));
        else {
          stamps.push(Number(/X-Stamp: (\d+)/.exec(request)?.[1]) - Date.now());
          socket.write(response(200, '{"data":[],"success":true,"message":null,"code":0}'));
        }
      },
      { now: at, readsOurClock: false },
    );
    await client.read({ type: 'server-time' });
    setBackMs = 60_000;
    await client.read({ type: 'balances' });
    expect(stamps[0]).to.be.within(-1_000, 1_000);
  });

  it('refuses to read the account without a key, sending nothing', async () => {
    await start(() => {}, { credentials: null });
    const { result } = await client.ask({ type: 'balances' });
    expect(result).to.deep.include({ ok: false });
    expect(server.bytes()).to.equal(0);
  });
});
