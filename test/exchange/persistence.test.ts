/** The paper account on disk: replayed to the last digit, after any history and after a sudden death. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import fc from 'fast-check';
import { formatDecimal, notional, parseDecimal } from '#src/domain/money.js';
import { AccountFileError, openAccountFile } from '#src/exchange/account-file.js';
import { type AccountEvent, shorten } from '#src/exchange/accounts.js';
import { statementOf } from '#src/exchange/admin.js';
import { startExchange } from '#src/exchange/server.js';
import { type ExchangeOptions, listingsFor } from '#src/exchange/setup.js';
import { toJson } from '#src/exchange/wire.js';
import { runs } from '../runs.js';
import { request } from './client.js';
import { type Harness, KEY, limit, quietHarness } from './harness.js';

const folder = mkdtempSync(join(tmpdir(), 'account-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const entry = fileURLToPath(new URL('./children/exchange.js', import.meta.url));
let serial = 0;
const freshPath = (): string => join(folder, `account-${++serial}.jsonl`);

const eventsOf = (self: Harness): AccountEvent[] =>
  self.effects.flatMap(effect => (effect.type === 'account-event' ? [effect.event] : []));
const keep = (path: string, events: readonly AccountEvent[]): void => {
  const file = openAccountFile(path, 'paper');
  for (const event of events) file.append(KEY, event);
  file.begin();
  file.close();
};
const statement = (self: Harness): string => toJson(statementOf(self.account()));

/** Open orders with everything that is locked for them. */
const whatIsOpen = (self: Harness): unknown =>
  [...self.account().open.values()].map(({ account: _account, resting: _resting, ...order }) => order);

describe('a paper account that has grown long', () => {
  const traded = (): Harness => {
    const self = quietHarness();
    for (let count = 0; count < 5; count++) limit(self, 'buy', '77010', '0.01');
    limit(self, 'buy', '76990', '0.1');
    self.advance(100);
    return self;
  };
  const shortened = (self: Harness, endedMax?: number): Harness =>
    quietHarness({ noAccount: true, config: { accounts: [shorten(eventsOf(self), endedMax)] } });

  it('lets go of what has ended, and of nothing that it holds, rests or has locked', () => {
    const self = traded();
    const before = self.account();
    const after = shortened(self, 1).account();
    expect(after.orders.size).to.be.lessThan(before.orders.size);
    expect([...after.holdings]).to.deep.equal([...before.holdings]);
    expect([...after.open.keys()]).to.deep.equal([...before.open.keys()]);
    expect(after.movements).to.deep.equal(before.movements);
    expect(after.lastSettlementMs).to.equal(before.lastSettlementMs);
  });

  it('lets go of nothing that has ended within thirty days', () => {
    const self = traded();
    expect(toJson(statementOf(shortened(self).account()))).to.equal(statement(self));
    const events = eventsOf(self);
    const last = events.at(-1)?.atMs ?? 0;
    const later = [
      ...events,
      { type: 'moved', movementId: 999, asset: 'TRY', amount: 1n, atMs: last + 30 * 86_400_000 + 1 } as const,
    ];
    const [, carried] = shorten(later);
    if (carried?.type !== 'carried-over') throw new Error('nothing was carried over');
    // The one that is open, and the newest, which holds its ids.
    expect(carried.orders.length).to.equal(2);
  });

  it('still lists the pairs it holds orders of, whatever market is followed now', () => {
    const events = eventsOf(traded()).map(event =>
      event.type === 'order-accepted' ? { ...event, order: { ...event.order, symbol: 'ABCTRY' } } : event,
    );
    const options = { symbols: [] } as unknown as ExchangeOptions;
    for (const each of [events, shorten(events)]) {
      const listings = listingsFor(options, null, null, new Map([[KEY, each]]));
      expect(listings.map(({ symbol }) => symbol)).to.include('ABCTRY');
    }
  });

  it('gives no id twice, also when everything of late was let go', () => {
    const self = traded();
    const again = shortened(self, 0);
    again.advance(50);
    limit(again, 'buy', '77010', '0.01');
    again.advance(100);
    const used = new Set(self.account().orders.keys());
    const fresh = [...again.account().orders.keys()].filter(id => !used.has(id));
    expect(fresh.length).to.equal(1);
    expect(fresh[0]).to.be.greaterThan(Math.max(...used));
    const trades = again.account().trades.map(({ tradeId }) => tradeId);
    const known = new Set(self.account().trades.map(({ tradeId }) => tradeId));
    expect(trades.filter(id => !known.has(id)).length).to.equal(1);
    expect(new Set(trades).size).to.equal(trades.length);
  });

  it('is written whole beside the long file, keeps the prices of its markets, and goes on from there', () => {
    const self = traded();
    const path = freshPath();
    keep(path, eventsOf(self));
    const first = openAccountFile(path, 'paper');
    first.begin();
    first.mark('BTCUSDT', parseDecimal('77001.5'));
    first.close();
    const long = statSync(path).size;
    const again = openAccountFile(path, 'paper', 0);
    expect(statSync(path).size, 'nothing is written before it begins').to.equal(long);
    again.begin();
    expect(statSync(path).size).to.be.lessThan(long);
    const moved = { type: 'moved', movementId: 77, asset: 'TRY', amount: 5n, atMs: 1 } as const;
    again.append(KEY, moved);
    again.close();
    const read = openAccountFile(path, 'paper');
    expect(read.prices.get('BTCUSDT')).to.equal(parseDecimal('77001.5'));
    expect(read.accounts.get(KEY)?.map(({ type }) => type)).to.deep.equal([
      'account-opened',
      'carried-over',
      'moved',
    ]);
    expect(existsSync(`${path}.new`)).to.equal(false);
    expect(() => openAccountFile(path, 'dry-run')).to.throw(AccountFileError, 'paper');
  });

  it('stays long where it cannot be replaced, and nothing is lost', () => {
    const self = traded();
    const path = freshPath();
    keep(path, eventsOf(self));
    // A folder of that name: the shorter file cannot be written.
    mkdirSync(`${path}.new`);
    const again = openAccountFile(path, 'paper', 0);
    again.begin();
    again.append(KEY, { type: 'moved', movementId: 77, asset: 'TRY', amount: 5n, atMs: 1 });
    again.close();
    const events = [...openAccountFile(path, 'paper').accounts.values()][0] ?? [];
    expect(events.length).to.equal(eventsOf(self).length + 1);
    rmSync(`${path}.new`, { recursive: true });
  });
});

describe('a paper account on disk', () => {
  it('is the same account when it is read back, after any history', () => {
    const step = fc.record({
      side: fc.constantFrom('buy', 'sell'),
      method: fc.constantFrom('limit', 'limit', 'market', 'stoplimit', 'stopmarket', 'cancel', 'hit'),
      price: fc.integer({ min: 76_900, max: 77_110 }),
      size: fc.integer({ min: 1, max: 900 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), steps => {
        const self = quietHarness({ faults: ['no-rate-limits'] });
        for (const { side, method, price, size } of steps) {
          if (method === 'cancel') {
            const id = [...self.account().open.keys()][size % Math.max(1, self.account().open.size)];
            if (id !== undefined) self.call('DELETE', `/api/v1/order?id=${id}`);
          } else if (method === 'hit')
            self.admin({
              type: 'participant',
              symbol: 'BTCUSDT',
              side: side === 'buy' ? 'buy' : 'sell',
              price: parseDecimal(String(price)),
              quantity: parseDecimal(`0.0${size}`),
            });
          else
            self.call('POST', '/api/v1/order', {
              pairSymbol: 'BTCUSDT',
              orderType: side,
              orderMethod: method,
              price: String(price),
              stopPrice: side === 'buy' ? String(77_050 + (size % 40)) : String(76_950 - (size % 40)),
              quantity: side === 'buy' && method.endsWith('market') ? String(10 + size) : `0.00${size}`,
            });
          self.advance(size % 30);
        }
        self.advance(100);
        const path = freshPath();
        keep(path, eventsOf(self));
        const read = openAccountFile(path, 'paper');
        const again = quietHarness({ noAccount: true, config: { accounts: [...read.accounts.values()] } });
        const before = JSON.parse(statement(self)) as Record<string, unknown>;
        const after = JSON.parse(statement(again)) as Record<string, unknown>;
        expect(after).to.deep.equal(before);

        const shorter = openAccountFile(path, 'paper', 0);
        shorter.begin();
        shorter.close();
        const short = openAccountFile(path, 'paper');
        expect([...short.accounts.values()].map(({ length }) => length)).to.deep.equal([2]);
        const carried = quietHarness({ noAccount: true, config: { accounts: [...short.accounts.values()] } });
        expect(JSON.parse(statement(carried))).to.deep.equal(before);
        expect(whatIsOpen(carried)).to.deep.equal(whatIsOpen(again));
        for (const each of [again, carried]) each.advance(100);
        expect(JSON.parse(statement(carried))).to.deep.equal(JSON.parse(statement(again)));
        rmSync(path);
      }),
      { numRuns: runs(30, 3_000) },
    );
  });

  it('puts resting orders back into the book, stops back to wait, and gives no id twice', () => {
    const self = quietHarness();
    const bid = limit(self, 'buy', '76995', '0.1');
    limit(self, 'buy', '77010', '0.05');
    self.call('POST', '/api/v1/order', {
      pairSymbol: 'BTCUSDT',
      orderType: 'sell',
      orderMethod: 'stoplimit',
      price: '76000',
      stopPrice: '76500',
      quantity: '0.1',
    });
    self.advance(100);
    const again = quietHarness({ noAccount: true, config: { accounts: [eventsOf(self)] } });
    again.advance(50);
    expect(again.account().orders.get(bid)).to.include({
      status: 'working',
      clientOrderId: self.account().orders.get(bid)?.clientOrderId,
    });
    again.admin({
      type: 'participant',
      symbol: 'BTCUSDT',
      side: 'sell',
      price: null,
      quantity: parseDecimal('5'),
    });
    again.advance(100);
    expect(again.account().orders.get(bid)?.status).to.equal('closed');
    expect([...again.account().orders.values()].map(order => order.method)).to.deep.equal([
      'limit',
      'limit',
      'stop-limit',
      'limit',
    ]);
    const ids = [...again.account().orders.keys()];
    expect(ids).to.deep.equal([...ids].sort((left, right) => left - right));
    const trades = again.account().trades.map(fill => fill.tradeId);
    expect(new Set(trades).size).to.equal(trades.length);
    const fresh = limit(again, 'buy', '76000', '0.01');
    expect(fresh).to.be.greaterThan(Math.max(...ids));
  });

  it('enters an order that was accepted and never entered, and ends a market order that was interrupted', () => {
    const self = quietHarness();
    const resting = limit(self, 'buy', '76995', '0.1');
    const market = self.call('POST', '/api/v1/order', {
      pairSymbol: 'BTCUSDT',
      orderType: 'buy',
      orderMethod: 'market',
      quantity: '100',
    })?.json.data.id;
    const again = quietHarness({ noAccount: true, config: { accounts: [eventsOf(self)] } });
    again.advance(50);
    expect(again.account().orders.get(resting)?.status).to.equal('working');
    expect(again.account().orders.get(market)?.status).to.equal('canceled');
    expect(formatDecimal(again.account().holdings.get('USDT')?.locked ?? 0n)).to.equal('7710.2793');
  });

  it('is readable by its owner only, and untouched until somebody speaks to the exchange', async () => {
    const path = freshPath();
    const exchange = await startExchange({ market: { type: 'generated' }, symbols: [], accountPath: path });
    try {
      expect(existsSync(path)).to.equal(false);
      await request(exchange, 'GET', '/api/v2/server/ping');
      expect(statSync(path).mode & 0o777).to.equal(0o600);
      expect(readFileSync(path, 'utf8').split('\n')[0]).to.equal(
        '{"kind":"paper-account","version":1,"mode":"paper"}',
      );
    } finally {
      await exchange.close();
    }
  });

  it('loses a torn last line, which was never answered', () => {
    const path = freshPath();
    const self = quietHarness();
    keep(path, eventsOf(self));
    const whole = readFileSync(path, 'utf8');
    appendFileSync(path, '{"kind":"event","apiKey":"1111');
    const file = openAccountFile(path, 'paper');
    expect(file.accounts.get(KEY)).to.have.length(eventsOf(self).length);
    file.begin();
    file.close();
    expect(readFileSync(path, 'utf8')).to.equal(whole);
  });

  for (const [title, spoil, words] of [
    [
      'a damaged line, by its number',
      (lines: string[]) => lines.splice(2, 1, '{"kind":'),
      /line 3 is not JSON/,
    ],
    [
      'an amount that is none, by its line',
      (lines: string[]) => lines.splice(2, 1, lines[2]?.replace(/"amount":"\d+/, '"amount":"1e5') ?? ''),
      /line 3: event\.amount not a decimal/,
    ],
    [
      'an unknown event',
      (lines: string[]) => lines.splice(2, 1, '{"kind":"event","apiKey":"k","event":{"type":"gift"}}'),
      /line 3/,
    ],
    [
      'the account of another mode',
      (lines: string[]) => lines.splice(0, 1, '{"kind":"paper-account","version":1,"mode":"dry-run"}'),
      /is the account of a dry-run run, this is a paper run/,
    ],
  ] as const)
    it(`refuses ${title}`, () => {
      const path = freshPath();
      keep(path, eventsOf(quietHarness()));
      const lines = readFileSync(path, 'utf8').split('\n');
      spoil(lines);
      writeFileSync(path, lines.join('\n'));
      expect(() => openAccountFile(path, 'paper')).to.throw(AccountFileError, words);
    });

  it('is not added to while the disk refuses it: the exchange answers 503, and the file stays whole', async () => {
    const path = freshPath();
    const command = `ulimit -f 4; exec "${process.execPath}" "${entry}" "${path}"`;
    const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exit = once(child, 'exit');
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    const to = JSON.parse(line) as { url: string; apiKey: string; apiSecret: string };
    let accepted = 0;
    let status = 200;
    for (; status === 200 && accepted < 50; accepted++)
      ({ status } = await request(to, 'POST', '/api/v1/order', {
        pairSymbol: 'BTCTRY',
        orderType: 'buy',
        orderMethod: 'limit',
        price: '3000000',
        quantity: '0.001',
      }));
    expect(status).to.equal(503);
    child.kill('SIGKILL');
    await exit;
    const file = openAccountFile(path, 'paper');
    expect([...file.accounts.values()][0]?.length).to.be.greaterThan(3);
    // The kill may fall between a half-written row and its removal: the next run cuts the row off when it begins.
    file.begin();
    file.close();
    expect(readFileSync(path, 'utf8').endsWith('\n')).to.equal(true);
  });

  it('refuses what is no file', () => {
    expect(() => openAccountFile('/dev/full', 'paper')).to.throw(AccountFileError, /it is not a file/);
  });

  it('is not begun where the disk refuses, says why, and is as soon as it lets', () => {
    const folder = freshPath();
    mkdirSync(folder);
    const path = join(folder, 'account.jsonl');
    const file = openAccountFile(path, 'paper');
    mkdirSync(path);
    file.begin();
    expect(file.problem()).to.contain('EISDIR');
    rmdirSync(path);
    file.begin();
    expect(file.problem()).to.equal(null);
    file.close();
    expect(readFileSync(path, 'utf8')).to.contain('"mode":"paper"');
  });

  it('refuses a place that cannot be written', () => {
    const inTheWay = freshPath();
    writeFileSync(inTheWay, '');
    expect(() => openAccountFile(join(inTheWay, 'account.jsonl'), 'paper')).to.throw(
      AccountFileError,
      /the paper account .* cannot be used/,
    );
  });
});

describe('a paper account whose process is killed', () => {
  it('keeps every order that was answered and every balance, to the last digit', async () => {
    const path = freshPath();
    const answered: string[] = [];
    let credentials = { url: '', apiKey: '', apiSecret: '' };
    for (let life = 0; life < 2; life++) {
      const child = spawn(process.execPath, [entry, path], { stdio: ['ignore', 'pipe', 'inherit'] });
      const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
      const now = JSON.parse(line) as typeof credentials;
      if (life > 0)
        expect([now.apiKey, now.apiSecret]).to.deep.equal([credentials.apiKey, credentials.apiSecret]);
      credentials = now;
      const book = JSON.parse(
        (await request(now, 'GET', '/api/v2/orderbook?pairSymbol=BTCTRY&limit=1')).text,
      ) as {
        data: { bids: [string, string][]; asks: [string, string][] };
      };
      const [[bid = ''] = []] = book.data.bids;
      const [[ask = ''] = []] = book.data.asks;
      const exit = once(child, 'exit');
      for (const [side, price] of [
        ['buy', String(Number(bid) - 20_000)],
        ['buy', String(Number(ask) + 2_000)],
        ['sell', String(Number(bid) - 2_000)],
        ['sell', String(Number(ask) + 20_000)],
      ] as const) {
        const { status, text } = await request(now, 'POST', '/api/v1/order', {
          pairSymbol: 'BTCTRY',
          orderType: side,
          orderMethod: 'limit',
          price,
          quantity: '0.0012',
        });
        expect(status, text).to.equal(200);
        answered.push(String((JSON.parse(text) as { data: { id: number } }).data.id));
      }
      child.kill('SIGKILL');
      await exit;
    }
    const exchange = await startExchange({
      market: { type: 'generated' },
      symbols: ['BTCTRY'],
      accountPath: path,
    });
    try {
      const account = exchange.account();
      expect(exchange.apiKey).to.equal(credentials.apiKey);
      for (const id of answered) expect(account.orders.has(Number(id)), id).to.equal(true);
      expect(new Set(answered).size).to.equal(8);
      let lira = parseDecimal('1000000');
      let coins = parseDecimal('1');
      for (const { order, price, quantity, fee, tax } of account.trades) {
        const value = notional(price, quantity);
        lira += (order.side === 'buy' ? -value : value) - fee - tax;
        coins += order.side === 'buy' ? quantity : -quantity;
      }
      expect(account.trades.length).to.be.greaterThan(0);
      expect(account.holdings.get('TRY')?.total).to.equal(lira);
      expect(account.holdings.get('BTC')?.total).to.equal(coins);
      expect(new Set(account.trades.map(fill => fill.tradeId)).size).to.equal(account.trades.length);
    } finally {
      await exchange.close();
    }
  });
});
