/** The server around the step function: real HTTP and WebSocket on loopback. */
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { WebSocket } from 'ws';
import { parseDecimal } from '#src/domain/money.js';
import { type FaultSpec, parseFault } from '#src/exchange/faults.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import { ExchangeError, type ExchangeOptions } from '#src/exchange/setup.js';
import { request } from './client.js';
import { amounts, KEY, SECRET } from './harness.js';

const folder = mkdtempSync(join(tmpdir(), 'exchange-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const open = (options: Partial<ExchangeOptions> = {}): Promise<RunningExchange> =>
  startExchange({
    market: { type: 'generated' },
    symbols: [],
    credentials: { apiKey: KEY, apiSecret: SECRET },
    balances: amounts({ USDT: '10000', BTC: '1' }),
    ...options,
  });
const refusal = (options: Partial<ExchangeOptions>): Promise<unknown> =>
  open(options).then(
    async exchange => {
      await exchange.close();
      return undefined;
    },
    (error: unknown) => error,
  );
const fault = (exchange: RunningExchange, text: string): void => {
  exchange.admin({ type: 'set-fault', fault: parseFault(text) satisfies FaultSpec });
};
/** Resolves with the failure of a request that is answered with none. */
const failureOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'answered',
    (error: unknown) => String((error as { cause?: { code?: string } }).cause?.code ?? error),
  );

describe('the exchange as a server', () => {
  let exchange: RunningExchange;
  before(async () => {
    exchange = await open({ symbols: ['BTCUSDT'] });
  });
  after(() => exchange.close());
  afterEach(() => exchange.admin({ type: 'clear-faults' }));

  it('answers over HTTP with headers and exact lengths', async () => {
    const reply = await fetch(`${exchange.url}/api/v2/server/exchangeinfo`);
    expect([
      reply.status,
      reply.headers.get('access-control-allow-origin'),
      reply.headers.get('cache-control'),
    ]).to.deep.equal([200, '*', 'public, max-age=30']);
    const text = await reply.text();
    expect(Buffer.byteLength(text)).to.equal(Number(reply.headers.get('content-length')));
    expect(text).to.contain('Türk Lirası');
    const unknown = await fetch(`${exchange.url}/nothing`);
    expect([unknown.status, await unknown.text()]).to.deep.equal([404, '']);
  });

  it('speaks to sockets: 991 first, an answer to each join, frames as text', async () => {
    const socket = new WebSocket(exchange.wsUrl);
    const frames: [number, { event?: string }][] = [];
    const enough = new Promise<void>(resolve => {
      socket.on('message', (message, isBinary) => {
        expect(isBinary).to.equal(false);
        frames.push(JSON.parse(message.toString()) as [number, { event?: string }]);
        if (frames.filter(([model]) => model === 432).length >= 3) resolve();
      });
    });
    await once(socket, 'open');
    socket.send('[151,{"type":151,"channel":"obdiff","event":"BTCUSDT","join":true}]');
    await enough;
    expect(frames.slice(0, 3).map(([model]) => model)).to.deep.equal([991, 100, 431]);
    expect(exchange.venue.sockets.size).to.equal(1);
    socket.terminate();
    await once(socket, 'close');
    while (exchange.venue.sockets.size > 0) await new Promise(resolve => setImmediate(resolve));
    expect(exchange.venue.markets.get('BTCUSDT')?.subscribers.obdiff.size).to.equal(0);
  });

  it('answers the protocol pings of a client', async () => {
    const socket = new WebSocket(exchange.wsUrl);
    await once(socket, 'open');
    socket.ping('there?');
    const [answer] = (await once(socket, 'pong')) as [Buffer];
    expect(answer.toString()).to.equal('there?');
    socket.terminate();
  });

  it('resets, hangs and refuses handshakes when told to', async () => {
    fault(exchange, 'accept-then-reset,on=submit,count=1');
    const order = {
      pairSymbol: 'BTCUSDT',
      orderType: 'buy',
      orderMethod: 'limit',
      price: '70000',
      quantity: '0.001',
    };
    expect(await failureOf(request(exchange, 'POST', '/api/v1/order', order))).to.match(
      /ECONNRESET|UND_ERR_SOCKET/,
    );
    expect(exchange.account().orders.size).to.equal(1);
    fault(exchange, 'hang,on=balances,count=1');
    const hung = fetch(`${exchange.url}/api/v1/users/balances`, { signal: AbortSignal.timeout(150) });
    expect(
      await hung.then(
        () => 'answered',
        () => 'given up',
      ),
    ).to.equal('given up');
    fault(exchange, 'handshake-refused=503,count=1');
    const socket = new WebSocket(exchange.wsUrl);
    socket.on('error', () => undefined);
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
    expect(response.statusCode).to.equal(503);
    fault(exchange, 'reconnect-storm=10,count=1');
    const brief = new WebSocket(exchange.wsUrl);
    const [code] = (await once(brief, 'close')) as [number];
    expect(code).to.equal(1000);
  });

  it('refuses other socket paths, and bodies that are too large', async () => {
    const socket = new WebSocket(`${exchange.wsUrl}/other`);
    socket.on('error', () => undefined);
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
    expect(response.statusCode).to.equal(404);
    expect((await request(exchange, 'POST', '/api/v1/order', 'x'.repeat(70_000))).status).to.equal(413);
  });

  it('survives what is no HTTP at all', async () => {
    const port = Number(new URL(exchange.url).port);
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume();
    socket.end('\u0016\u0003\u0001 nonsense\r\n\r\n');
    await once(socket, 'close');
    expect((await fetch(`${exchange.url}/api/v2/server/ping`)).status).to.equal(200);
  });

  it('shows its account and takes deposits on the admin paths, for loopback names only', async () => {
    const deposit = await request(exchange, 'POST', '/admin/deposit', { asset: 'try', amount: '12.5' });
    expect(deposit.text).to.equal('{"ok":true}');
    const shown = JSON.parse((await request(exchange, 'GET', '/admin/account')).text) as {
      balances: { asset: string; total: string }[];
    };
    expect(shown.balances).to.deep.include({ asset: 'TRY', total: '12.5', free: '12.5', locked: '0' });
    expect(exchange.account().holdings.get('TRY')?.total).to.equal(parseDecimal('12.5'));
    for (const [body, words] of [
      [{ asset: 'TRY', amount: '1e9' }, 'a deposit needs'],
      [{ asset: 'GOLD', amount: '1' }, 'GOLD is not listed'],
      [{ asset: 'TRY', amount: '-50' }, 'exceeds what is free'],
    ] as const) {
      const refused = await request(exchange, 'POST', '/admin/deposit', body);
      expect([refused.status, refused.text.includes(words)], refused.text).to.deep.equal([400, true]);
    }
    const port = Number(new URL(exchange.url).port);
    const status = await new Promise<number | undefined>(resolve => {
      get({ host: '127.0.0.1', port, path: '/admin/account', headers: { host: 'evil.example' } }, reply => {
        reply.resume();
        resolve(reply.statusCode);
      });
    });
    expect(status).to.equal(403);
    expect((await request(exchange, 'GET', '/admin/nothing')).status).to.equal(404);
  });

  it('opens further accounts, each with its own money', async () => {
    const other = { apiKey: 'other', apiSecret: 'b3RoZXItc2VjcmV0' };
    expect((await request(exchange, 'POST', '/admin/accounts', other)).text).to.equal('{"ok":true}');
    expect((await request(exchange, 'POST', '/admin/accounts', other)).text).to.contain(
      'account other exists',
    );
    await request(exchange, 'POST', '/admin/deposit?apiKey=other', { asset: 'ADA', amount: '3' });
    const balances = await request({ url: exchange.url, ...other }, 'GET', '/api/v1/users/balances');
    expect(balances.text).to.contain('"asset":"ADA","assetname":"Cardano","balance":"3.0000000000000000"');
    expect(exchange.account().holdings.get('ADA')).to.equal(undefined);
  });

  it('takes a further key of an account until it is revoked, on the admin paths', async () => {
    const other = { apiKey: 'second-key', apiSecret: Buffer.from('second-secret').toString('base64') };
    const read = async (): Promise<number> =>
      (await request({ url: exchange.url, ...other }, 'GET', '/api/v1/users/balances')).status;
    expect(await read()).to.equal(401);
    const added = { newKey: other.apiKey, newSecret: other.apiSecret };
    expect((await request(exchange, 'POST', '/admin/keys', added)).text).to.equal('{"ok":true}');
    expect((await request(exchange, 'POST', '/admin/keys', added)).status).to.equal(400);
    expect(await read()).to.equal(200);
    expect((await request(exchange, 'DELETE', `/admin/keys?key=${other.apiKey}`)).text).to.equal(
      '{"ok":true}',
    );
    expect(await read()).to.equal(401);
    expect((await request(exchange, 'DELETE', `/admin/keys?key=${other.apiKey}`)).status).to.equal(400);
  });

  it('pulls orders, trades as a participant and moves a market on the admin paths', async () => {
    const placed = await request(exchange, 'POST', '/api/v1/order', {
      pairSymbol: 'BTCUSDT',
      orderType: 'buy',
      orderMethod: 'limit',
      price: '70000',
      quantity: '0.001',
    });
    const { id } = (JSON.parse(placed.text) as { data: { id: number } }).data;
    while (exchange.account().orders.get(id)?.status !== 'working')
      await new Promise(resolve => setImmediate(resolve));
    expect((await request(exchange, 'POST', '/admin/pull-order', { id })).text).to.equal('{"ok":true}');
    expect(exchange.account().orders.get(id)?.status).to.equal('canceled');
    const before = exchange.venue.nextTradeId;
    await request(exchange, 'POST', '/admin/participant', {
      symbol: 'ETHUSDT',
      side: 'buy',
      quantity: '0.25',
    });
    expect(exchange.venue.nextTradeId > before).to.equal(true);
    expect(
      (await request(exchange, 'POST', '/admin/shock', { symbol: 'BTC_USDT', bps: '-50' })).status,
    ).to.equal(200);
    expect(
      (await request(exchange, 'POST', '/admin/shock', { symbol: 'BTCUSDT', bps: 'much' })).status,
    ).to.equal(400);
  });
});

describe('starting the exchange', () => {
  it('serves loopback only', async () => {
    for (const host of ['0.0.0.0', '192.168.1.10', 'example.org']) {
      const error = await refusal({ host });
      expect(error).to.be.instanceOf(ExchangeError);
      expect(String(error)).to.contain(`not ${host}`);
    }
    expect(await refusal({ host: 'localhost' })).to.equal(undefined);
  });

  it('says that a port is in use', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await once(blocker, 'listening');
    const { port } = blocker.address() as { port: number };
    const error = await refusal({ port });
    expect(error).to.be.instanceOf(ExchangeError);
    expect(String(error)).to.contain(
      `port ${port} on 127.0.0.1 is in use: choose another, or 0 for any free one`,
    );
    blocker.close();
  });

  it('says which symbols it does not list, and which it does', async () => {
    const error = await refusal({ symbols: ['BTCTRY', 'DOGETRY', 'PEPEUSDT'] });
    expect(String(error)).to.match(/does not list DOGETRY, PEPEUSDT; it lists BTCTRY, ETHTRY,/);
  });

  it('makes a key pair of its own, another one each time', async () => {
    const own: ExchangeOptions = { market: { type: 'generated' }, symbols: [] };
    const [first, second] = [await startExchange(own), await startExchange(own)];
    expect(first.apiKey).to.match(/^[0-9a-f-]{36}$/);
    expect(Buffer.from(first.apiSecret, 'base64')).to.have.length(32);
    expect([first.apiKey, first.apiSecret]).not.to.deep.equal([second.apiKey, second.apiSecret]);
    expect((await request(first, 'GET', '/api/v1/users/balances')).status).to.equal(200);
    await first.close();
    await second.close();
  });

  it('goes on from the last price of a generated market', async () => {
    const accountPath = join(folder, 'prices.jsonl');
    const first = await open({ symbols: ['BTCUSDT'], accountPath });
    await request(first, 'GET', '/api/v2/server/ping');
    const market = first.venue.markets.get('BTCUSDT');
    if (market === undefined) throw new Error('no market');
    market.lastPrice = parseDecimal('81000');
    await first.close();
    const second = await open({ symbols: ['BTCUSDT'], accountPath });
    const resumed = second.venue.markets.get('BTCUSDT')?.book.bids.at(-1)?.price ?? 0n;
    expect(resumed > parseDecimal('80800') && resumed < parseDecimal('81000')).to.equal(true);
    await second.close();
  });

  it('writes its closing statement, and lets go of everything', async () => {
    const statementPath = join(folder, 'statement.json');
    const exchange = await open({ statementPath });
    await request(exchange, 'GET', '/api/v2/server/ping');
    const socket = new WebSocket(exchange.wsUrl);
    await once(socket, 'open');
    const closed = once(socket, 'close');
    await exchange.close();
    await closed;
    const statement = JSON.parse(readFileSync(statementPath, 'utf8')) as Record<string, unknown>;
    expect(statement).to.include.keys('balances', 'orders', 'trades', 'movements');
    expect(await failureOf(fetch(exchange.url))).to.equal('ECONNREFUSED');
    await exchange.close();
  });

  it('leaves files alone to which nobody has given it a reason', async () => {
    const statementPath = join(folder, 'untouched.json');
    const exchange = await open({ statementPath, accountPath: join(folder, 'untouched.jsonl') });
    await exchange.close();
    expect([existsSync(statementPath), existsSync(join(folder, 'untouched.jsonl'))]).to.deep.equal([
      false,
      false,
    ]);
  });
});
