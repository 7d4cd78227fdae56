/** An exchange that mirrors another one's public market: what a dry run trades against. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { WebSocketServer } from 'ws';
import { parseDecimal } from '#src/domain/money.js';
import { parseFault } from '#src/exchange/faults.js';
import { MirrorError, type MirrorSource, startMirror } from '#src/exchange/mirror.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import type { MarketActivity } from '#src/exchange/venue-state.js';
import { request } from './client.js';
import { amounts, KEY, SECRET } from './harness.js';

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise(resolve => setTimeout(resolve, 5));
};
const best = (exchange: RunningExchange, side: 'bids' | 'asks'): bigint =>
  exchange.venue.markets.get('DOTUSDT')?.book[side].at(-1)?.price ?? 0n;

describe('a mirrored market', function () {
  // A lost connection is made anew after a wait with jitter.
  this.timeout(120_000);
  let source: RunningExchange;
  let mirror: RunningExchange;
  const events: string[] = [];
  before(async () => {
    source = await startExchange({ market: { type: 'generated' }, symbols: [] });
    mirror = await startExchange({
      market: { type: 'mirror', wsUrl: source.wsUrl, baseUrl: source.url },
      symbols: ['DOTUSDT'],
      credentials: { apiKey: KEY, apiSecret: SECRET },
      balances: amounts({ USDT: '10000', DOT: '500' }),
      log: (_level, event) => events.push(event),
    });
    await until(() => best(mirror, 'bids') === best(source, 'bids') && best(mirror, 'bids') > 0n);
  });
  after(async () => {
    await mirror.close();
    await source.close();
  });

  it('shows the same book, and follows it', async () => {
    const levels = (exchange: RunningExchange) =>
      exchange.venue.markets
        .get('DOTUSDT')
        ?.book.asks.map(level => [level.price, level.total])
        .slice(-100);
    expect(levels(mirror)).to.deep.equal(levels(source));
    source.admin({
      type: 'participant',
      symbol: 'DOTUSDT',
      side: 'buy',
      price: best(source, 'asks'),
      quantity: parseDecimal('100000'),
    });
    await until(() => best(mirror, 'bids') === best(source, 'bids'));
    expect(best(mirror, 'asks')).to.equal(best(source, 'asks'));
  });

  it('lets our orders trade here and leaves the source alone', async () => {
    const before = source.venue.nextTradeId;
    const reply = await request(mirror, 'POST', '/api/v1/order', {
      pairSymbol: 'DOTUSDT',
      orderType: 'sell',
      orderMethod: 'market',
      quantity: '5',
    });
    expect(reply.status, reply.text).to.equal(200);
    await until(() => mirror.account().trades.length > 0);
    expect(mirror.account().trades[0]?.price).to.equal(best(source, 'bids'));
    expect(source.venue.nextTradeId).to.equal(before);
  });

  it('rests in the queue and fills by the source’s trades', async () => {
    const ask = best(source, 'asks');
    const price = (Number(ask / 10n ** 14n) / 100).toFixed(2);
    const reply = await request(mirror, 'POST', '/api/v1/order', {
      pairSymbol: 'DOTUSDT',
      orderType: 'sell',
      orderMethod: 'limit',
      price,
      quantity: '3',
    });
    const { id } = (JSON.parse(reply.text) as { data: { id: number } }).data;
    await until(() => mirror.account().orders.get(id)?.status === 'working');
    const level = source.venue.markets.get('DOTUSDT')?.book.asks.at(-1)?.total ?? 0n;
    source.admin({
      type: 'participant',
      symbol: 'DOTUSDT',
      side: 'buy',
      price: null,
      quantity: level + parseDecimal('10'),
    });
    await until(() => mirror.account().orders.get(id)?.status === 'closed');
    expect(mirror.account().trades.at(-1)?.liquidity).to.equal('maker');
  });

  it('joins again after a gap', async () => {
    source.admin({ type: 'set-fault', fault: parseFault('cs-gap,count=1') });
    const step = (quantity: string): void => {
      source.admin({
        type: 'participant',
        symbol: 'DOTUSDT',
        side: 'buy',
        price: best(source, 'bids'),
        quantity: parseDecimal(quantity),
      });
    };
    step('7');
    await until(() => source.venue.faults.active[0]?.left === 0);
    step('11');
    await until(() => events.includes('mirror-gap'));
    const totals = (exchange: RunningExchange) =>
      exchange.venue.markets.get('DOTUSDT')?.book.bids.at(-1)?.total;
    await until(() => totals(mirror) === totals(source));
  });

  it('empties the book when the source is lost, and fills nothing then', async () => {
    const trades = mirror.account().trades.length;
    source.admin({ type: 'set-fault', fault: parseFault('abrupt-drop') });
    await until(() => events.includes('mirror-lost'));
    expect([best(mirror, 'bids'), best(mirror, 'asks')]).to.deep.equal([0n, 0n]);
    const refused = await request(mirror, 'POST', '/api/v1/order', {
      pairSymbol: 'DOTUSDT',
      orderType: 'sell',
      orderMethod: 'market',
      quantity: '5',
    });
    expect(refused.text).to.contain('FAILED_MARKET_ORDER');
    await until(() => best(mirror, 'bids') === best(source, 'bids') && best(mirror, 'bids') > 0n);
    expect(mirror.account().trades.length).to.equal(trades);
  });
});

describe('a source that a mirror follows', () => {
  const BOOK = '"channel":"obdiff","event":"DOTUSDT"';
  const level = (amount: string): string => `[{"CP":1,"P":"4.2","A":"${amount}"}]`;
  let server: WebSocketServer;
  let mirror: MirrorSource;

  /** What the mirror makes of these frames, sent as answers to its joins of `obdiff`; and what it joined. */
  const follow = async (
    answers: readonly (readonly string[])[],
    activities: number,
  ): Promise<{ readonly seen: readonly MarketActivity[]; readonly joined: readonly unknown[] }> => {
    server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const joined: unknown[] = [];
    const left = [...answers];
    server.on('connection', socket =>
      socket.on('message', message => {
        const [, { channel, join }] = JSON.parse(message.toString()) as [
          number,
          { readonly channel: string; readonly join: boolean },
        ];
        joined.push(`${join ? 'join' : 'leave'} ${channel}`);
        if (channel === 'obdiff' && join) for (const frame of left.shift() ?? []) socket.send(frame);
      }),
    );
    const { port } = server.address() as AddressInfo;
    const seen: MarketActivity[] = [];
    mirror = await startMirror(
      { wsUrl: `ws://127.0.0.1:${port}`, baseUrl: 'http://127.0.0.1:1' },
      ['DOTUSDT'],
      () => {},
    );
    mirror.follow(
      (_symbol, activity) => seen.push(activity),
      () => {},
    );
    await until(() => seen.length >= activities);
    return { seen, joined };
  };
  afterEach(() => {
    mirror.stop();
    server.close();
  });

  const totals = (seen: readonly MarketActivity[]): readonly unknown[] =>
    seen.map(activity => (activity.type === 'book' ? activity.bids[0]?.total : activity.type));

  it('may count its changes in 32 bits: the book goes on past the greatest number', async () => {
    const { seen } = await follow(
      [
        [
          `[431,{"CS":2147483646,"AO":[],"BO":${level('1')},${BOOK}}]`,
          `[432,{"CS":2147483647,"AO":[],"BO":${level('2')},${BOOK}}]`,
          `[432,{"CS":-2147483648,"AO":[],"BO":${level('3')},${BOOK}}]`,
          `[432,{"CS":-2147483647,"AO":[],"BO":${level('4')},${BOOK}}]`,
        ],
      ],
      4,
    );
    expect(totals(seen)).to.deep.equal(['1', '2', '3', '4'].map(parseDecimal));
  });

  it('may write a side without levels as null, as for the books of the bot', async () => {
    const { seen } = await follow(
      [
        [
          `[431,{"CS":7,"AO":null,"BO":${level('1')},${BOOK}}]`,
          `[432,{"CS":8,"AO":null,"BO":${level('2')},${BOOK}}]`,
        ],
      ],
      2,
    );
    expect(totals(seen)).to.deep.equal(['1', '2'].map(parseDecimal));
  });

  it('is joined for its ticker, too: a quiet market is no dead connection', async () => {
    const { joined } = await follow([[`[431,{"CS":7,"AO":[],"BO":[],${BOOK}}]`]], 1);
    await until(() => joined.length >= 3);
    expect(joined).to.have.members(['join obdiff', 'join trade', 'join ticker']);
  });
});

describe('a market that cannot be mirrored', () => {
  it('is refused when it does not list the symbol', async () => {
    const source = await startExchange({ market: { type: 'generated' }, symbols: [] });
    const error = await startExchange({
      market: { type: 'mirror', wsUrl: source.wsUrl, baseUrl: source.url },
      symbols: ['NOPETRY'],
    }).then(
      () => undefined,
      (failure: unknown) => failure,
    );
    expect(error).to.be.instanceOf(MirrorError);
    expect(String(error)).to.contain('does not list NOPETRY');
    await source.close();
  });

  it('is no reason not to start: the catalogue lists it and its feed is tried on', async () => {
    const server = createServer((_request, response) => response.writeHead(502).end('<html>'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const events: string[] = [];
    const exchange = await startExchange({
      market: { type: 'mirror', wsUrl: `ws://127.0.0.1:${port}`, baseUrl: `http://127.0.0.1:${port}` },
      symbols: ['BTCTRY'],
      log: (_level, event) => events.push(event),
    });
    await until(() => events.includes('mirror-lost'));
    expect(events.slice(0, 3)).to.deep.equal(['mirror-unanswered', 'mirror-unanswered', 'exchange-started']);
    expect((await request(exchange, 'GET', '/api/v2/orderbook?pairSymbol=BTCTRY')).text).to.contain(
      '"bids":[]',
    );
    await exchange.close();
    server.close();
  });
});
