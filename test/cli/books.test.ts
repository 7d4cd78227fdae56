import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import SqliteDatabase from 'better-sqlite3';
import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import { SCHEMA_VERSION } from '#src/ledger/schema.js';
import { type Ledger, openLedger } from '#src/ledger/store.js';
import { AT, audited, filled, intended, moved, order, scratch } from '../ledger/fixtures.js';
import { run } from './run.js';

const amount = parseDecimal;

/** A day's trading worked by hand: c1 bought 0.5, of which 0.2 was sold by c2; c3 was denied; c4 rests. */
const write = (ledger: Ledger): void => {
  ledger.append([
    {
      type: 'balances',
      atMs: AT - 1_000,
      opening: true,
      balances: [
        { asset: 'TRY', total: amount('100000'), free: amount('100000'), locked: 0n },
        { asset: 'BTC', total: 0n, free: 0n, locked: 0n },
        { asset: 'ETH', total: 0n, free: 0n, locked: 0n },
      ],
    },
  ]);
  ledger.append([
    audited('strategy:1:4', 'market-data:1:7', 'intent-made', { intentId: 'maker:1:c1', width: '12.5' }),
  ]);
  ledger.append([
    intended('c1', { terms: { ...order('c1').terms, price: amount('1000'), quantity: amount('0.5') } }),
    audited('execution:1:1', 'strategy:1:4', 'intent-approved', {
      clientOrderId: 'c1',
      intentId: 'maker:1:c1',
      notional: '500',
      collarBps: 12,
    }),
    moved('c1', { status: 'in-flight', sentAtMs: AT + 2 }, AT + 2),
    {
      ...moved('c1', { status: 'working', venueOrderId: '77', filled: 0n }, AT + 14),
      cause: 'execution:1:2',
    },
    audited('execution:1:2', 'execution:1:1', 'order-working', { clientOrderId: 'c1', venueOrderId: '77' }),
    filled('t1', {
      venueOrderId: '77',
      price: amount('1000'),
      quantity: amount('0.5'),
      fee: amount('1'),
      tax: amount('0.2'),
    }),
    moved('c1', { status: 'filled', venueOrderId: '77', filled: amount('0.5') }, AT + 50),
  ]);
  ledger.append([
    intended('c2', {
      terms: { ...order('c2').terms, side: 'sell', price: amount('1100'), quantity: amount('0.2') },
      intendedAtMs: AT + 100,
    }),
    moved('c2', { status: 'in-flight', sentAtMs: AT + 101 }, AT + 101),
    filled('t2', {
      clientOrderId: 'c2',
      venueOrderId: '78',
      side: 'sell',
      price: amount('1100'),
      quantity: amount('0.2'),
      fee: amount('0.5'),
      tax: amount('0.1'),
      executedAtMs: AT + 120,
    }),
    moved('c2', { status: 'filled', venueOrderId: '78', filled: amount('0.2') }, AT + 130),
    intended('c3', { intendedAtMs: AT + 200 }),
    moved('c3', { status: 'denied', reason: 'fenced' }, AT + 201),
    intended('c4', { intendedAtMs: AT + 300, terms: { ...order('c4').terms, symbol: 'ETHUSDT' } }),
    audited('execution:1:9', 'strategy:1:8', 'intent-denied', {
      intentId: 'maker:1:99',
      code: 'book-stale',
      ageMs: 7_000,
    }),
    // Somebody's own trade on the account: it moves the balances and is not ours.
    filled('t9', {
      clientOrderId: null,
      venueOrderId: '9',
      symbol: 'ETHTRY',
      price: amount('10'),
      quantity: amount('1'),
      fee: 0n,
      executedAtMs: AT + 400,
    }),
    {
      type: 'cash-movement',
      movement: {
        movementId: 'w1',
        kind: 'withdrawal',
        asset: 'TRY',
        amount: amount('-100'),
        fee: amount('3'),
        tax: 0n,
        atMs: AT + 500,
      },
    },
    { type: 'mark', symbol: 'BTCTRY', price: amount('1200'), atMs: AT + 600 },
    {
      type: 'balances',
      atMs: AT + 700,
      opening: false,
      balances: [
        { asset: 'TRY', total: amount('99605.2'), free: amount('99605.2'), locked: 0n },
        { asset: 'BTC', total: amount('0.3'), free: amount('0.3'), locked: 0n },
        { asset: 'ETH', total: amount('1'), free: amount('1'), locked: 0n },
      ],
    },
  ]);
};

describe('btcbot reading the books', () => {
  const dir = scratch();
  let ledger: Ledger;
  beforeEach(() => {
    ledger = openLedger({ path: dir.file('a.sqlite'), mode: 'paper' });
    write(ledger);
  });
  afterEach(() => ledger.close());
  const read = (...words: string[]) => run([...words, '--db', dir.file('a.sqlite')]);

  describe('orders', () => {
    it('--json has every order with exact amounts, state and times', async () => {
      const { code, json } = await read('orders', '--json');
      expect(code).to.equal(0);
      const { mode, orders } = json<{ mode: string; orders: Record<string, unknown>[] }>();
      expect(mode).to.equal('paper');
      expect(orders.map(each => [each.clientOrderId, each.state, each.filled])).to.deep.equal([
        ['c1', 'filled', '0.5'],
        ['c2', 'filled', '0.2'],
        ['c3', 'denied', '0'],
        ['c4', 'intended', '0'],
      ]);
      expect(orders[0]).to.deep.equal({
        clientOrderId: 'c1',
        venueOrderId: '77',
        symbol: 'BTCTRY',
        side: 'buy',
        method: 'limit',
        price: '1000',
        quantity: '0.5',
        filled: '0.5',
        state: 'filled',
        reason: null,
        strategy: 'maker',
        tag: null,
        intentId: 'maker:1:c1',
        intendedAt: '2026-09-23T03:20:00.027Z',
        sentAt: '2026-09-23T03:20:00.029Z',
        settledAt: '2026-09-23T03:20:00.077Z',
        cause: 'market-data:1:7',
      });
      expect(orders[2]?.reason).to.equal('fenced');
    });

    it('narrows by symbol, to open ones, and to the newest', async () => {
      const ids = async (...words: string[]) =>
        (await read('orders', '--json', ...words))
          .json<{ orders: { clientOrderId: string }[] }>()
          .orders.map(each => each.clientOrderId);
      for (const written of ['ethusdt', 'ETH_USDT', 'eth/usdt', 'ETH-USDT'])
        expect(await ids('--symbol', written), written).to.deep.equal(['c4']);
      expect(await ids('--open')).to.deep.equal(['c4']);
      expect(await ids('--limit', '2')).to.deep.equal(['c3', 'c4']);
    });

    it('as text is a table with aligned numbers', async () => {
      const { out } = await read('orders', '--limit', '4');
      const [header = '', first = '', second = ''] = out.split('\n');
      const end = (line: string, word: string): number => line.indexOf(word) + word.length;
      expect(end(first, ' 0.5')).to.be.at.least(end(header, 'quantity'));
      expect(first.indexOf('filled')).to.equal(second.indexOf('filled'));
      expect(out).to.not.match(/ \n/);
    });
  });

  describe('fills', () => {
    it('--json has every fill with its value and costs', async () => {
      const { fills } = (await read('fills', '--json')).json<{ fills: Record<string, unknown>[] }>();
      expect(fills.map(each => each.tradeId)).to.deep.equal(['t1', 't2', 't9']);
      expect(fills[1]).to.deep.equal({
        tradeId: 't2',
        clientOrderId: 'c2',
        venueOrderId: '78',
        symbol: 'BTCTRY',
        side: 'sell',
        price: '1100',
        quantity: '0.2',
        value: '220',
        fee: '0.5',
        tax: '0.1',
        feeAsset: 'TRY',
        executedAt: '2026-09-23T03:20:00.147Z',
      });
    });

    it('narrows to one order', async () => {
      const { fills } = (await read('fills', '--json', '--order', 'c1')).json<{
        fills: { tradeId: string }[];
      }>();
      expect(fills.map(each => each.tradeId)).to.deep.equal(['t1']);
    });
  });

  describe('balances', () => {
    it('shows the report beside opening plus everything booked, to the last digit', async () => {
      const { balances, openingAt } = (await read('balances', '--json')).json<{
        openingAt: string;
        balances: Record<string, unknown>[];
      }>();
      expect(openingAt).to.equal('2026-09-23T03:19:59.027Z');
      const asOf = '2026-09-23T03:20:00.727Z';
      // TRY: 100000 - 500 - 1.2 + 220 - 0.6 - 10 - 103
      expect(balances).to.deep.equal([
        { asset: 'BTC', total: '0.3', free: '0.3', locked: '0', asOf, expected: '0.3', difference: '0' },
        { asset: 'ETH', total: '1', free: '1', locked: '0', asOf, expected: '1', difference: '0' },
        {
          asset: 'TRY',
          total: '99605.2',
          free: '99605.2',
          locked: '0',
          asOf,
          expected: '99605.2',
          difference: '0',
        },
      ]);
    });

    it('expects nothing while nothing was opened', async () => {
      const fresh = openLedger({ path: dir.file('fresh.sqlite'), mode: 'dry-run' });
      fresh.append([
        {
          type: 'balances',
          atMs: AT,
          opening: false,
          balances: [{ asset: 'TRY', total: 5n, free: 5n, locked: 0n }],
        },
      ]);
      const { balances } = (await run(['balances', '--json', '--db', dir.file('fresh.sqlite')])).json<{
        balances: Record<string, unknown>[];
      }>();
      expect(balances[0]).to.include({ total: '0.0000000000000005', expected: null, difference: null });
      fresh.close();
    });
  });

  describe('pnl', () => {
    it('--json counts our own trades only, under both methods, with costs', async () => {
      const report = (await read('pnl', '--json')).json<Record<string, unknown>>();
      // 0.2 of 0.5 @ 1000 sold @ 1100: 20, less 1.8 costs; 0.3 left at a mark of 1200: 60.
      const result = { realized: '18.2', unrealized: '60', profit: '78.2', fees: '1.5', taxes: '0.3' };
      expect(report.symbols).to.deep.equal([
        {
          symbol: 'BTCTRY',
          base: 'BTC',
          quote: 'TRY',
          position: '0.3',
          averagePrice: '1000',
          cost: '300',
          mark: '1200',
          markAt: '2026-09-23T03:20:00.627Z',
          ...result,
          fifo: { realized: '18.2', unrealized: '60', profit: '78.2', cost: '300' },
          bought: '0.5',
          sold: '0.2',
          turnover: '720',
          fills: 2,
          try: { rate: '1', ...result },
        },
      ]);
      expect(report.totals).to.deep.equal({
        quotes: [{ quote: 'TRY', ...result }],
        try: result,
        missing: [],
      });
    });

    it('turns dollars into lira at the recorded rate, and says what is missing without one', async () => {
      const dollars = filled('t3', {
        clientOrderId: 'c4',
        symbol: 'ETHUSDT',
        feeAsset: 'USDT',
        price: amount('10'),
        quantity: amount('2'),
        fee: amount('0.5'),
        executedAtMs: AT + 310,
      });
      ledger.append([dollars]);
      const before = (await read('pnl', '--json')).json<{ totals: Record<string, unknown> }>().totals;
      expect(before.try).to.equal(null);
      expect(before.missing).to.deep.equal(['ETHUSDT', 'USDTTRY']);
      expect((await read('pnl')).out).to.contain('no mark or rate recorded for: ETHUSDT, USDTTRY');
      ledger.append([
        { type: 'mark', symbol: 'ETHUSDT', price: amount('12'), atMs: AT },
        { type: 'mark', symbol: 'USDTTRY', price: amount('40'), atMs: AT },
      ]);
      const after = (await read('pnl', '--json')).json<{ totals: Record<string, unknown> }>().totals;
      // 78.2 lira and (2 × 2 - 0.5) dollars at 40
      expect(after.try).to.deep.equal({
        realized: '-1.8',
        unrealized: '220',
        profit: '218.2',
        fees: '21.5',
        taxes: '0.3',
      });
      expect(after.missing).to.deep.equal([]);
    });

    it('as text rounds for reading and says where every digit is', async () => {
      const { out } = await read('pnl');
      expect(out).to.match(/BTCTRY +0\.3 +1000 +1200 +18\.20 +60\.00 +78\.20/);
      expect(out).to.contain('--json has every digit');
    });

    it('of a symbol that was never traded is empty', async () => {
      expect((await read('pnl', '--symbol', 'XRPTRY')).out).to.contain('nothing was traded');
    });
  });

  describe('explain', () => {
    const events = async (reference: string): Promise<string[]> =>
      (await read('explain', reference, '--json'))
        .json<{ steps: { event: string }[] }>()
        .steps.map(step => step.event);

    it('follows an order from the decision that led to it to its end, once each', async () => {
      expect(await events('c1')).to.have.members([
        'intent-made',
        'intent-approved',
        'order-intended',
        'order-in-flight',
        'order-working',
        'fill',
        'order-filled',
      ]);
    });

    it('finds the order also by the exchange’s id and by its intent', async () => {
      expect(await events('77')).to.deep.equal(await events('c1'));
      expect(await events('maker:1:c1')).to.deep.equal(await events('c1'));
    });

    it('shows the numbers of the gates and how long everything took', async () => {
      const story = (await read('explain', 'c1', '--json')).json<{
        timings: unknown;
        steps: { event: string; facts: unknown; cause: string }[];
      }>();
      expect(story.timings).to.deep.equal({
        intendedToSentMs: 2,
        sentToAnsweredMs: 12,
        intendedToFirstFillMs: 20,
        intendedToSettledMs: 50,
      });
      expect(story.steps.find(step => step.event === 'intent-approved')).to.deep.include({
        cause: 'strategy:1:4',
        facts: { clientOrderId: 'c1', intentId: 'maker:1:c1', notional: '500', collarBps: 12 },
      });
      const { out } = await read('explain', 'c1');
      expect(out).to.contain('notional=500').and.to.contain('caused by market-data:1:7');
    });

    it('tells of an intent that was denied before it became an order', async () => {
      const { out } = await read('explain', 'maker:1:99');
      expect(out).to.contain('intent-denied').and.to.contain('code=book-stale ageMs=7000');
    });

    it('does not mix runs whose event ids are the same', async () => {
      ledger.close();
      ledger = openLedger({ path: dir.file('a.sqlite'), mode: 'paper' });
      ledger.append([audited('strategy:1:4', 'market-data:1:7', 'intent-made', { width: 'of another day' })]);
      expect((await read('explain', 'c1')).out).to.not.contain('another day');
    });

    it('of an order that nobody knows is refused', async () => {
      const { code, err } = await read('explain', 'c99');
      expect(code).to.equal(2);
      expect(err).to.contain('no order or intent "c99"');
    });
  });

  describe('export', () => {
    it('writes CoinTracking’s columns with what the balances changed by', async () => {
      const lines = (await read('export')).out.trimEnd().split('\n');
      expect(lines[0]).to.equal(
        '"Type","Buy Amount","Buy Currency","Sell Amount","Sell Currency","Fee","Fee Currency","Exchange","Trade-Group","Comment","Date"',
      );
      expect(lines.slice(1)).to.deep.equal([
        '"Trade","0.5","BTC","501.2","TRY","1.2","TRY","BtcTurk (paper)","maker","trade t1 of order c1","2026-09-23 03:20:00"',
        '"Trade","219.4","TRY","0.2","BTC","0.6","TRY","BtcTurk (paper)","maker","trade t2 of order c2","2026-09-23 03:20:00"',
        '"Trade","1","ETH","10","TRY","0","TRY","BtcTurk (paper)","","trade t9 of order 9","2026-09-23 03:20:00"',
        '"Withdrawal","","","103","TRY","3","TRY","BtcTurk (paper)","","withdrawal w1","2026-09-23 03:20:00"',
      ]);
    });

    it('writes JSON lines, in a range, to a new file and never over one', async () => {
      const out = dir.file('fills.jsonl');
      const words = ['export', '--format', 'jsonl', '--symbol', 'BTCTRY', '--out', out];
      const from = new Date(AT + 100).toISOString();
      expect((await read(...words, '--from', from)).code).to.equal(0);
      const lines = readFileSync(out, 'utf8').trimEnd().split('\n');
      expect(lines.map(line => (JSON.parse(line) as { tradeId: string }).tradeId)).to.deep.equal(['t2']);
      expect(statSync(out).mode & 0o777).to.equal(0o600);
      const again = await read(...words);
      expect([again.code, again.err.includes('exists')]).to.deep.equal([2, true]);
    });

    it('--backup copies a database in use', async () => {
      const { code, out } = await read('export', '--backup', dir.file('copy.sqlite'), '--json');
      expect(code).to.equal(0);
      expect(JSON.parse(out)).to.deep.equal({
        backup: dir.file('copy.sqlite'),
        database: dir.file('a.sqlite'),
      });
      const copy = await run(['fills', '--json', '--db', dir.file('copy.sqlite')]);
      expect(copy.json<{ fills: unknown[] }>().fills).to.have.length(3);
      expect((await read('export', '--backup', dir.file('copy.sqlite'))).code).to.equal(2);
      expect((await read('export', '--backup', dir.file('no/where/copy.sqlite'))).code).to.equal(2);
      expect(existsSync(dir.file('copy.sqlite.part'))).to.equal(false);
    });

    it('--backup is consistent while another process writes as fast as it can', async () => {
      const busy = dir.file('busy.sqlite');
      const child = spawn(
        process.execPath,
        [fileURLToPath(new URL('../ledger/children/append-loop.js', import.meta.url)), busy, '0', '50'],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      const exited = once(child, 'exit');
      await once(child.stdout, 'data');
      for (let n = 0; n < 3; n++) {
        const { code } = await run(['export', '--backup', dir.file(`busy${n}.sqlite`), '--db', busy]);
        expect(code).to.equal(0);
      }
      child.kill('SIGKILL');
      await exited;
      for (let n = 0; n < 3; n++) {
        const copy = new SqliteDatabase(dir.file(`busy${n}.sqlite`), { readonly: true });
        expect(copy.pragma('integrity_check', { simple: true })).to.equal('ok');
        const [orders, events] = ['orders', 'order_events'].map(table =>
          copy.prepare(`SELECT count(*) FROM ${table}`).pluck().get(),
        );
        expect(orders).to.equal(events);
        copy.close();
      }
    });
  });

  describe('the database', () => {
    it('is found by --db, else the environment, else the configuration file', async () => {
      const config = dir.file('config.json');
      writeFileSync(config, JSON.stringify({ STATE_DB_PATH: dir.file('from-file.sqlite') }));
      const missing = async (words: string[], env: Record<string, string> = {}) =>
        (await run(words, env)).err;
      expect(await missing(['orders', '--config', config])).to.contain('from-file.sqlite');
      expect(await missing(['orders'], { BTCBOT_CONFIG: config })).to.contain('from-file.sqlite');
      const env = { STATE_DB_PATH: dir.file('from-env.sqlite') };
      expect(await missing(['orders', '--config', config], env)).to.contain('from-env.sqlite');
      expect(await missing(['orders', '--db', dir.file('from-word.sqlite')], env)).to.contain(
        'from-word.sqlite',
      );
    });

    it('is read the same after the bot has stopped, and is not changed by reading', async () => {
      const while_ = (await read('pnl', '--json')).out;
      ledger.close();
      const before = statSync(dir.file('a.sqlite')).mtimeMs;
      expect((await read('pnl', '--json')).out).to.equal(while_);
      expect(statSync(dir.file('a.sqlite')).mtimeMs).to.equal(before);
      ledger = openLedger({ path: dir.file('a.sqlite'), mode: 'paper' });
    });

    it('of another program or a newer schema is refused in words', async () => {
      const other = new SqliteDatabase(dir.file('other.sqlite'));
      other.exec('CREATE TABLE photos (id INTEGER)');
      other.close();
      const refused = await run(['orders', '--db', dir.file('other.sqlite')]);
      expect([refused.code, refused.err.includes('not a ledger')]).to.deep.equal([2, true]);
      ledger.close();
      const newer = new SqliteDatabase(dir.file('a.sqlite'));
      newer.pragma('user_version = 99');
      newer.close();
      const { code, err } = await read('orders');
      expect([code, err.includes('schema version 99')]).to.deep.equal([2, true]);
      const back = new SqliteDatabase(dir.file('a.sqlite'));
      back.pragma(`user_version = ${SCHEMA_VERSION}`);
      back.close();
      ledger = openLedger({ path: dir.file('a.sqlite'), mode: 'paper' });
    });

    it('cannot break a line or command the terminal with what others wrote into it', async () => {
      ledger.append([
        intended('c5'),
        moved('c5', { status: 'rejected', reason: 'no\n\u001b[2Jorders   42\u2028' }),
      ]);
      const { out } = await read('explain', 'c5');
      expect(out).to.contain('reason=no  [2Jorders   42');
      expect(out.includes('\u001b') || out.includes('\u2028')).to.equal(false);
    });
  });
});
