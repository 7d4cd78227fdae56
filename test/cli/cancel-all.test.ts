import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createRestClient, type RestClient } from '#src/btcturk/rest-client.js';
import { ownOpenOrders } from '#src/cli/direct-cancel.js';
import { makeClientOrderId } from '#src/domain/client-order-id.js';
import type { Instrument } from '#src/domain/instrument.js';
import type { LedgerRecord } from '#src/domain/ledger-records.js';
import { parseDecimal } from '#src/domain/money.js';
import type { OrderTerms } from '#src/domain/order.js';
import { holdKey } from '#src/domain/safety.js';
import { parseFault } from '#src/exchange/faults.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import { type Ledger, openLedger } from '#src/ledger/store.js';
import { buildId } from '#src/runtime/build-id.js';
import { latchPath, writeLatch } from '#src/runtime/latch-file.js';
import { CREDENTIALS, endpointsAt } from '../btcturk/fixtures.js';
import { response, startRawServer } from '../btcturk/raw-server.js';
import { limitTerms, orderIn } from '../domain/orders.js';
import { cleanUp, REAL_BOT, startBot } from '../supervision/bot-process.js';
import { accountAt, LIVE_FLAGS } from '../support/live-venue.js';
import { run } from './run.js';

interface Report {
  readonly by: string;
  readonly orders: number;
  readonly lastCancelMs: number | null;
  readonly verifiedZeroMs: number | null;
  readonly left: readonly string[];
}

describe('our open orders, asked for without a bot', () => {
  it('are not said to be none where the exchange says that it has no such pair', async () => {
    const gone = '{"success":false,"message":"Pair LUNATRY does not exists.","code":1037}';
    const server = await startRawServer((_request, socket) => socket.write(response(400, gone)));
    const client = createRestClient({ endpoints: endpointsAt(server.url), credentials: CREDENTIALS });
    const told = await ownOpenOrders(client, ['LUNATRY'], 'i').catch((error: unknown) => error);
    await client.close();
    await server.close();
    expect(String(told)).to.contain('the open orders of LUNATRY cannot be read');
  });
});

describe('cancel-all when no bot runs', () => {
  let exchange: RunningExchange;
  let client: RestClient;
  let instruments: readonly Instrument[];
  let folder = '';
  let instance = '';
  const db = (): string => join(folder, 'live.sqlite');

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'btcbot-cancel-'));
    exchange = await startExchange({
      host: '127.0.0.1',
      port: 0,
      market: { type: 'generated' },
      symbols: ['BTCTRY', 'ETHTRY'],
      seed: 3,
      feeLevel: 1,
      balances: new Map([['TRY', parseDecimal('10000000')]]),
      faults: [],
      playAtOnce: true,
      log: () => {},
    });
    client = createRestClient({
      endpoints: { baseUrl: exchange.url, graphUrl: exchange.url, wsUrl: exchange.wsUrl },
      credentials: { apiKey: exchange.apiKey, apiSecret: exchange.apiSecret },
    });
    const listed = await client.read({ type: 'instruments' });
    if (!listed.ok) throw new Error('no instruments');
    instruments = listed.value.instruments;
    const ledger = openLedger({ path: db(), mode: 'live' });
    instance = ledger.instance;
    ledger.close();
  });
  afterEach(async () => {
    await client.close();
    await exchange.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A buy far below the market, which rests. */
  const rest = async (clientOrderId: string, symbol = 'BTCTRY'): Promise<OrderTerms> => {
    const ticker = await client.read({ type: 'ticker', symbol });
    if (!ticker.ok || ticker.value === null) throw new Error('no ticker');
    const tick = 10n ** 16n;
    const terms: OrderTerms = {
      symbol,
      side: 'buy',
      method: 'limit',
      price: (ticker.value.bid / 2n / tick) * tick,
      quantity: parseDecimal(symbol === 'BTCTRY' ? '0.001' : '0.1'),
      quoteQuantity: null,
      stopPrice: null,
    };
    const outcome = await client.write(
      { type: 'submit', clientOrderId, terms },
      instruments.find(each => each.symbol === symbol) ?? null,
      { beforeBytes: () => null, signal: new AbortController().signal },
    );
    expect(outcome.type).to.equal('confirmed');
    return terms;
  };
  const ours = (sequence: number, epoch = 1): string =>
    makeClientOrderId({ instance, epoch, strategy: 'maker', sequence });
  /** The ledger knows an order as open. */
  const intend = (clientOrderId: string, terms: OrderTerms): void => {
    const ledger = openLedger({ path: db(), mode: 'live' });
    ledger.append([
      { type: 'order-intended', order: { ...orderIn({ status: 'intended' }, terms), clientOrderId } },
    ]);
    ledger.close();
  };
  const openLabels = (): readonly string[] =>
    [...exchange.account().open.values()].map(order => String(order.clientOrderId)).sort();
  const env = (over: Readonly<Record<string, string>> = {}): Record<string, string> => ({
    STATE_DB_PATH: db(),
    ...accountAt(exchange),
    BTCTURK_RATE_LIMIT_RPS: '100',
    BTCTURK_RATE_LIMIT_BURST: '100',
    ...LIVE_FLAGS,
    KILL_SWITCH: 'true',
    ...over,
  });

  it('cancels what this ledger’s bot left, whatever its run, and nothing else', async () => {
    await rest(ours(1));
    await rest(ours(2, 7));
    await rest('somebody-elses');
    await rest(makeClientOrderId({ instance: 'ffffffff', epoch: 1, strategy: 'maker', sequence: 1 }));
    const { code, json } = await run(['cancel-all', '--json'], env());
    const report = json<Report>();
    expect(report).to.include({ by: 'direct', orders: 2 });
    expect(report.left).to.deep.equal([]);
    expect(report.verifiedZeroMs).to.be.a('number');
    expect(report.lastCancelMs).to.be.at.most(report.verifiedZeroMs ?? 0);
    expect(code).to.equal(0);
    expect(openLabels()).to.have.length(2);
    expect(openLabels()).to.include('somebody-elses');
  });

  it('cancels while the venue tells neither its time nor its pairs', async () => {
    await rest(ours(1));
    exchange.admin({ type: 'set-fault', fault: parseFault('html-5xx=503,on=public') });
    const { code, json } = await run(['cancel-all', '--json'], env());
    expect(json<Report>()).to.deep.include({ orders: 1, left: [] });
    expect(code).to.equal(0);
    expect(openLabels()).to.deep.equal([]);
  });

  it('cancels what rests on a symbol that is configured no longer', async () => {
    const terms = await rest(ours(1), 'ETHTRY');
    intend(ours(1), terms);
    const { code, json } = await run(['cancel-all', '--json'], env());
    expect(json<Report>()).to.deep.include({ orders: 1, left: [] });
    expect(code).to.equal(0);
    expect(openLabels()).to.deep.equal([]);
  });

  it('cancels what it sees when a list cannot be read, and looks again', async () => {
    await rest(ours(1));
    const terms = await rest(ours(2), 'ETHTRY');
    intend(ours(2), terms);
    exchange.admin({ type: 'set-fault', fault: parseFault('html-5xx=503,on=open-orders,count=1') });
    const { code, json } = await run(['cancel-all', '--json'], env());
    expect(json<Report>()).to.deep.include({ orders: 2, left: [] });
    expect(code).to.equal(0);
    expect(openLabels()).to.deep.equal([]);
  });

  it('says which list it cannot read, once it has canceled what it sees', async () => {
    await rest(ours(1));
    intend(ours(2), limitTerms({ symbol: 'GONETRY' }));
    const { code, err } = await run(['cancel-all'], env());
    expect(code).to.equal(2);
    expect(err).to.contain('the open orders of GONETRY cannot be read');
    expect(openLabels()).to.deep.equal([]);
  });

  it('says what it could not cancel', async () => {
    await rest(ours(1));
    exchange.admin({ type: 'set-fault', fault: parseFault('html-5xx=503,on=cancel') });
    const { code, json } = await run(['cancel-all', '--within', '1', '--json'], env());
    expect(json<Report>()).to.deep.include({ orders: 1, verifiedZeroMs: null, left: [ours(1)] });
    expect(code).to.equal(1);
  });

  for (const [words, over, why] of [
    ['in safe mode', { SAFE_MODE: 'true' }, 'SAFE_MODE is true'],
    ['with a malformed safe mode', { SAFE_MODE: 'no' }, 'SAFE_MODE is true'],
    ['in dry run', { DRY_RUN: 'true' }, 'dry-run, whose orders rest on the embedded exchange'],
    ['without a key', { BTCTURK_API_KEY: '', BTCTURK_API_SECRET: '' }, 'no API key'],
  ] as const)
    it(`refuses ${words}, and leaves every order`, async () => {
      await rest(ours(1));
      const { code, err } = await run(['cancel-all'], env(over));
      expect(code).to.equal(2);
      expect(err).to.contain(why);
      expect(openLabels()).to.deep.equal([ours(1)]);
    });

  it('pulls the orders of the ledger that --db names, and of no other', async () => {
    const other = join(folder, 'other.sqlite');
    openLedger({ path: other, mode: 'live' }).close();
    await rest(ours(1));
    const { code } = await run(['cancel-all', '--db', other, '--json'], env());
    expect(code).to.equal(0);
    expect(openLabels()).to.deep.equal([ours(1)]);
    expect((await run(['cancel-all', '--db', db()], env({ STATE_DB_PATH: other }))).code).to.equal(0);
    expect(openLabels()).to.deep.equal([]);
  });

  it('refuses over a latched safe mode, which a running bot would refuse too', async () => {
    await rest(ours(1));
    const hold = {
      key: 'operator',
      cause: 'operator',
      subject: '',
      detail: 'SIGUSR2',
      placedAtMs: 1,
    } as const;
    writeLatch(latchPath(db()), [hold]);
    const { code, err } = await run(['cancel-all'], env());
    expect(code).to.equal(2);
    expect(err).to.contain('operator (SIGUSR2)').and.to.contain('KILL_SWITCH=true');
    expect(openLabels()).to.deep.equal([ours(1)]);
    // A cause under which the bot itself would go on canceling is none.
    writeLatch(latchPath(db()), [{ ...hold, key: 'loss-limit', cause: 'loss-limit' }]);
    expect((await run(['cancel-all'], env())).code).to.equal(0);
    expect(openLabels()).to.deep.equal([]);
  });

  it('refuses over a latch that the ledger alone has kept, because its file could not be written', async () => {
    await rest(ours(1));
    const keep = (...records: Parameters<Ledger['append']>[0]): void => {
      const ledger = openLedger({ path: db(), mode: 'live' });
      ledger.append(records);
      ledger.close();
    };
    const placed = (cause: 'invariant' | 'starting' | 'loss-limit', subject = ''): LedgerRecord => ({
      type: 'hold-placed',
      atMs: 1,
      hold: { key: holdKey(cause, subject), cause, subject, detail: `why ${cause}`, placedAtMs: 1 },
    });
    // What ends with its run and what lets the bot itself go on canceling stop nothing.
    keep(placed('starting'), placed('loss-limit'), placed('invariant', 'account'));
    const { code, err } = await run(['cancel-all'], env());
    expect(code).to.equal(2);
    expect(err).to.contain('invariant:account (why invariant)').and.not.to.contain('loss-limit');
    expect(openLabels()).to.deep.equal([ours(1)]);
    // One that the file keeps as well is named once, and the file alone is still enough.
    writeLatch(latchPath(db()), [
      { key: 'operator', cause: 'operator', subject: '', detail: 'SIGUSR2', placedAtMs: 1 },
    ]);
    expect((await run(['cancel-all'], env())).err)
      .to.contain('operator (SIGUSR2)')
      .and.to.contain('account');
    keep({ type: 'hold-released', key: 'invariant:account', atMs: 2, by: 'operator' });
    expect((await run(['cancel-all'], env())).err)
      .to.contain('operator')
      .and.not.to.contain('account');
    writeLatch(latchPath(db()), []);
    expect((await run(['cancel-all'], env())).code).to.equal(0);
    expect(openLabels()).to.deep.equal([]);
  });

  it('refuses while somebody else owns the ledger', async () => {
    await rest(ours(1));
    const owner = openLedger({ path: db(), mode: 'live' });
    try {
      expect((await run(['cancel-all'], env())).code).to.equal(2);
      expect(openLabels()).to.deep.equal([ours(1)]);
    } finally {
      owner.close();
    }
  });
});

describe('cancel-all through a running bot', function () {
  this.timeout(30_000);
  afterEach(cleanUp);

  it('ends every open order and says when, and so does a kill drill, after which the bot trades on', async () => {
    const bot = startBot({
      entry: REAL_BOT,
      env: {
        SYMBOLS: 'BTCTRY',
        STRATEGY: 'pulse',
        STRATEGY_CONFIG: '{"intervalMs":300,"maxOpen":4,"offsetBps":100}',
        MAX_OPEN_ORDERS: '8',
        MAX_OPEN_ORDERS_PER_SYMBOL: '8',
        LOG_LEVEL: 'info',
      },
    });
    for (let open = 0; open < 3; ) {
      await bot.heard('order-working');
      open =
        ((await bot.status()).workers.execution?.facts.openOrders as readonly unknown[] | undefined)
          ?.length ?? 0;
    }
    const { code, json, err } = await run(['cancel-all', '--json'], {
      STATE_DB_PATH: join(bot.folder, 'bot.sqlite'),
    });
    expect(err).to.equal('');
    const report = json<Report>();
    expect(report.by).to.equal('bot');
    expect(report.orders).to.be.at.least(3);
    expect(report.left).to.deep.equal([]);
    expect(report.lastCancelMs).to.be.a('number');
    expect(report.verifiedZeroMs).to.be.a('number');
    expect(code).to.equal(0);

    const drilled = await run(['drill', 'kill', '--json'], { STATE_DB_PATH: join(bot.folder, 'bot.sqlite') });
    const drill = drilled.json<Report & { passed: boolean; fenceMs: number }>();
    expect(drill).to.deep.include({ passed: true, left: [] });
    expect(drill.verifiedZeroMs).to.be.a('number');
    expect(drill.fenceMs).to.be.a('number');
    expect(drilled.code).to.equal(0);
    const kept = JSON.parse(readFileSync(join(bot.folder, 'drill.json'), 'utf8')) as {
      passed: boolean;
      build: string;
    };
    expect(kept).to.include({ passed: true, build: buildId() });
    const after = bot.log.length;
    await bot.heard('order-working', line => bot.log.indexOf(line) >= after);
    bot.signal('SIGTERM');
    expect((await bot.exited).code).to.equal(0);
  });
});
