import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { Report } from '#src/research/report.js';
import { writeRecording } from '../support/generated-recording.js';
import { run } from './run.js';

const MINUTE_MS = 60_000;
const FROM_MS = Date.UTC(2026, 0, 1);

/** A market that goes up and down, in the form of freqtrade's files. */
const candles = (count: number): string =>
  JSON.stringify(
    Array.from({ length: count }, (_, index) => {
      const middle = 60_000 + 900 * Math.sin(index / 25) + 40 * Math.sin(index * 1.7);
      const close = middle + 30 * Math.sin(index * 2.3);
      return [
        FROM_MS + index * MINUTE_MS,
        middle.toFixed(2),
        (Math.max(middle, close) + 20).toFixed(2),
        (Math.min(middle, close) - 20).toFixed(2),
        close.toFixed(2),
        '5.0',
      ];
    }),
  );

describe('backtest and sweep on the command line', function () {
  this.timeout(120_000);
  let folder: string;
  let file: string;
  let recording: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'btcbot-research-'));
    file = join(folder, 'BTC_USDT-1m.json');
    recording = join(folder, 'market.jsonl.gz');
    writeFileSync(file, candles(600));
    writeRecording(recording, { seed: 4, seconds: 10, symbol: 'BTCUSDT', midCents: 6_000_000 });
  });
  after(() => rmSync(folder, { recursive: true }));

  const TREND = ['--candles', '', '--strategy', 'trend', '--strategy-config', '{"interval":"1m"}'];
  const onCandles = (...more: readonly string[]): readonly string[] => [
    ...TREND.map(word => (word === '' ? file : word)),
    ...more,
    '--json',
  ];

  it('sweep candles, and each set comes to what a backtest of it comes to', async () => {
    const swept = await run([
      'sweep',
      ...onCandles('--sweep', 'fast=5,8', '--threads', '1', '--db', join(folder, 'sweeps.sqlite')),
    ]);
    expect(swept.err).to.equal('');
    expect(swept.code).to.equal(0);
    const { trials, best } = swept.json<{
      trials: { parameters: { fast: number }; profitTry: string[]; fills: number }[];
      best: Report;
    }>();
    expect(trials.map(({ parameters }) => parameters.fast)).to.have.members([5, 8]);
    for (const { parameters, profitTry, fills } of trials) {
      const config = JSON.stringify({ interval: '1m', ...parameters });
      const alone = (
        await run([
          'backtest',
          '--candles',
          file,
          '--strategy',
          'trend',
          '--strategy-config',
          config,
          '--json',
        ])
      ).json<Report>();
      expect(fills).to.be.greaterThan(0);
      expect(fills).to.equal(alone.liquidity.maker.fills + alone.liquidity.taker.fills);
      expect(Number(profitTry[0])).to.be.closeTo(Number(alone.money.profitTry), 1e-6);
    }
    expect(best.run.engine).to.equal('candles');
    expect(best.run.parameters).to.include(trials[0]?.parameters ?? {});
  });

  it('cut candles into parts that share none, and leave out a set that the strategy refuses', async () => {
    const swept = await run([
      'sweep',
      ...onCandles(
        ...['--sweep', 'fast=300,5', '--segments', '3', '--threads', '1'],
        ...['--db', join(folder, 'parts.sqlite')],
      ),
    ]);
    expect(swept.err).to.equal('');
    const { trials, walkForward, best } = swept.json<{
      trials: { parameters: object; fills: number; scores: number[] }[];
      walkForward: unknown[];
      best: Report;
    }>();
    expect(trials.map(({ parameters }) => parameters)).to.deep.equal([{ fast: 5 }, { fast: 300 }]);
    expect(trials[0]?.scores).to.have.length(3);
    expect(new Set(trials[0]?.scores).size).to.equal(3);
    expect(trials[1]?.fills).to.equal(0);
    expect(walkForward).to.have.length(2);
    expect(best.run.parameters).to.include({ fast: 5 });
  });

  it('sweep what one set allows, wherever in the grid it stands, and take none for the best that was refused', async () => {
    const swept = await run([
      'sweep',
      ...onCandles(
        ...['--sweep', 'slow=2,9', '--sweep', 'fast=300,5', '--threads', '1', '--score', 'sharpe'],
        ...['--db', join(folder, 'some.sqlite')],
      ),
    ]);
    expect(swept.err).to.equal('');
    const { best, trials } = swept.json<{ best: Report; trials: unknown[] }>();
    expect(trials).to.have.length(4);
    expect(best.run.parameters).to.include({ fast: 5, slow: 9 });
  });

  const broken = (): string => {
    const path = join(folder, 'broken.json');
    writeFileSync(path, '[[1');
    return path;
  };
  for (const [what, words, says] of [
    ['no market', () => [], 'either --recording or --candles is needed'],
    ['two markets', () => ['--recording', recording, '--candles', file], 'either --recording or --candles'],
    ['a recording that is not there', () => ['--recording', '/nowhere'], '/nowhere'],
    [
      'candles that are not whole',
      () => ['--candles', broken(), '--symbol', 'BTCUSDT', '--interval', '1m'],
      'not whole JSON',
    ],
    ['candles of nobody knows what', () => ['--candles', broken()], '--symbol'],
    ['a rate that is none', () => ['--candles', file, '--try-rate', 'USDT=x'], '--try-rate must be'],
    [
      'parameters that do not fit',
      () => ['--candles', file, '--strategy-config', '{"interval":"1y"}'],
      'interval',
    ],
    ['a fee level that is none', () => ['--candles', file, '--fee-level', '9'], '--fee-level must be 1 to 8'],
  ] as const)
    it(`refuse ${what} in the same words`, async () => {
      const said: string[] = [];
      for (const verb of [
        ['backtest'],
        ['sweep', '--sweep', 'fast=5', '--db', join(folder, 'refused.sqlite')],
      ]) {
        const { code, err, out } = await run([...verb, '--strategy', 'trend', ...words()]);
        expect(out).to.equal('');
        expect(code).to.equal(2);
        expect(err).to.contain(says);
        said.push(err.replace(/^btcbot \w+: /, '').split('usage:')[0] ?? '');
      }
      expect(said[1]).to.equal(said[0]);
    });

  const LIST = [
    { name: 'quotes', strategy: 'maker', config: { minHalfSpreadBps: 1 } },
    { name: 'beat', strategy: 'pulse', symbols: ['BTCUSDT'], config: { intervalMs: 300, offsetBps: -20 } },
  ];
  const several = (...more: readonly string[]): readonly string[] => [
    'backtest',
    ...['--recording', recording, '--json', ...more],
  ];

  it('run the strategies that the bot would run, from the option, the environment or the configuration', async () => {
    const text = JSON.stringify(LIST);
    const config = join(folder, 'several.json');
    writeFileSync(config, JSON.stringify({ SYMBOLS: 'BTCTRY', STRATEGIES: LIST }));
    const db = join(folder, 'several.sqlite');
    const asked = await run(
      several(
        '--strategies',
        text,
        '--check-lookahead',
        '--ledger',
        db,
        '--html',
        join(folder, 'several.html'),
      ),
    );
    expect(asked.err).to.equal('');
    const { lookahead, ...report } = asked.json<Report & { lookahead: { findings: unknown[] } }>();
    expect(lookahead.findings).to.deep.equal([]);
    expect(report.run.strategy).to.equal('quotes, beat');
    expect(report.strategies?.map(({ name, fills }) => [name, fills > 0])).to.deep.equal([
      ['quotes', true],
      ['beat', true],
    ]);
    expect((await run(several(), { STRATEGIES: text })).json()).to.deep.equal(report);
    expect((await run(several('--config', config))).json()).to.deep.equal(report);
    // One that is named on the command line runs alone.
    const alone = await run(several('--strategy', 'observe'), { STRATEGIES: text });
    expect(alone.json<Report>().run.strategy).to.equal('observe');
    const { orders } = (await run(['orders', '--db', db, '--json'])).json<{
      orders: { clientOrderId: string }[];
    }>();
    expect(new Set(orders.map(({ clientOrderId }) => clientOrderId.split('-')[3]))).to.deep.equal(
      new Set(['quotes', 'beat']),
    );
  });

  it('say everything that is wrong with several strategies, and with options that do not fit together', async () => {
    const text = JSON.stringify(LIST);
    const elsewhere = JSON.stringify([
      { ...LIST[0], symbols: ['ETHTRY'] },
      { ...LIST[1], config: { offsetBps: 'x' } },
    ]);
    for (const [words, env, says] of [
      [['--strategies', elsewhere], {}, ['quotes trades ETHTRY', 'those of its market: BTCUSDT']],
      [
        [
          '--strategies',
          JSON.stringify([
            { name: 'a', strategy: 'nobody' },
            { ...LIST[1], config: { offsetBps: 'x' } },
          ]),
        ],
        {},
        ['nobody is not a strategy', 'offsetBps'],
      ],
      [['--strategies', text, '--strategy', 'maker'], {}, ['leave --strategy out']],
      [['--strategy-config', '{}'], { STRATEGIES: text }, ['--strategy-config belongs to --strategy']],
      [[], { STRATEGIES: text, STRATEGY: 'maker' }, ['is given together with STRATEGY']],
    ] as const) {
      const refused = await run(several(...words), env);
      expect(refused).to.include({ code: 2, out: '' });
      for (const each of says) expect(refused.err).to.contain(each);
    }
    const both = await run([
      'backtest',
      '--candles',
      file,
      '--engine',
      'exact',
      '--binary',
      join(folder, 'no.tape'),
    ]);
    expect(both).to.include({ code: 2, out: '' });
    expect(both.err).to.contain('--engine exact runs on a recording').and.to.contain('candles have none');
    const swept = await run(['sweep', '--recording', recording, '--sweep', 'fast=5'], { STRATEGIES: text });
    expect(swept).to.include({ code: 2, out: '' });
    expect(swept.err).to.contain('STRATEGIES names several: give --strategy');
  });

  /** Quotes at the best bid after each candle, a while later, and takes its quote back when it is stopped. */
  const ownStrategy = (name: string, bps: number): string => {
    const path = join(folder, `${name}.mjs`);
    writeFileSync(
      path,
      `import { besideTouch, defineStrategy, orderWorth } from 'btcbot/strategy';
export default defineStrategy({
  name: '${name}',
  about: 'Quotes below the market.',
  parameters: {
    value: { type: 'decimal', default: '200', min: '0', max: '1000', unit: 'quote', about: 'Value of an order.' },
    broken: { type: 'boolean', default: false, about: 'Whether it cannot be made.' },
    warmUp: { type: 'integer', default: 1, min: 0, max: 4000, unit: 'candles', about: 'Candles it waits for.' },
  },
  timerMs: () => 1_000,
  candles: ({ warmUp }) => [{ interval: '5m', warmUp }],
  create: ({ value, broken }) => {
    if (broken) throw new Error('its author made a mistake');
    const cancels = view => view.openOrders().map(({ intentId }) => ({ type: 'cancel', intentId }));
    const quotes = view => {
      const price = besideTouch(view, 'BTCUSDT', 'buy', ${bps});
      return price === undefined || view.openOrders().length > 0
        ? []
        : orderWorth(view, { symbol: 'BTCUSDT', side: 'buy', price, value, tag: 'quote' });
    };
    return { onCandle: view => (view.openOrders().length > 0 ? cancels(view) : quotes(view)), onTimer: quotes, onStop: cancels };
  },
});
`,
    );
    return path;
  };
  const own = (name: string, ...more: readonly string[]): readonly string[] => [
    ...['--candles', file, '--strategy', ownStrategy(name, 0), '--json', ...more],
  ];

  it('know of no look-ahead in a strategy that acts between candles and tidies up at its stop', async () => {
    const { code, err, out } = await run(['backtest', ...own('tidy', '--check-lookahead')]);
    expect(err).to.equal('');
    const { lookahead, orders } = JSON.parse(out) as Report & {
      lookahead: { compared: number; findings: unknown[] };
    };
    expect(orders.placed).to.be.greaterThan(50);
    expect(lookahead.findings).to.deep.equal([]);
    expect(code).to.equal(0);
  });

  it('say nothing of the spread and of the seconds after a fill, which candles do not show', async () => {
    const { costs, liquidity } = (await run(['backtest', ...own('blind')])).json<Report>();
    expect(liquidity.maker.fills).to.be.greaterThan(0);
    expect(costs).to.include({ spreadPaidTry: null, spreadCapturedTry: null, adverseSelectionTry: null });
    for (const { markoutBps } of [liquidity.maker, liquidity.taker])
      expect(markoutBps).to.deep.equal({ '1s': null, '10s': null, '60s': null });
  });

  it('say that a warm-up was never over, and give its set no score', async () => {
    const cold = (
      await run(['backtest', ...own('cold', '--strategy-config', '{"warmUp":121}')])
    ).json<Report>();
    expect(cold.orders.placed).to.equal(0);
    expect(cold.run.stops).to.deep.equal([
      'strategy cold: its warm-up was not over at the end (BTCUSDT 5m: 120 of 121 candles)',
    ]);
    const swept = await run([
      'sweep',
      ...own('cold', '--sweep', 'warmUp=1,61', '--segments', '2', '--threads', '1'),
      ...['--db', join(folder, 'cold.sqlite')],
    ]);
    expect(swept.err).to.equal('');
    const { trials } = swept.json<{ trials: { parameters: object; scores: (number | null)[] }[] }>();
    expect(
      trials.find(({ parameters }) => JSON.stringify(parameters) === '{"warmUp":61}')?.scores,
    ).to.deep.equal([null, null]);
  });

  it('say since when a hold has kept the run from trading', async () => {
    const { run: ran } = (
      await run(['backtest', ...own('held')], { MAX_DAILY_LOSS_TRY: '1' })
    ).json<Report>();
    expect(ran.stops).to.have.length(1);
    expect(ran.stops[0]).to.match(/^hold loss-limit: .* \(since 2026-01-01T\d\d:\d\d:\d\d\.\d{3}Z\)$/);
  });

  it('refuse, in words, candles longer than those that are wanted and a strategy that cannot be made', async () => {
    const hours = join(folder, 'hours.json');
    writeFileSync(
      hours,
      JSON.stringify([0, 1, 2].map(hour => [FROM_MS + hour * 60 * MINUTE_MS, 9, 9, 9, 9, 1])),
    );
    const long = ['--candles', hours, '--symbol', 'BTCUSDT', '--interval', '1h', '--strategy'];
    const mine = ownStrategy('mine', 0);
    for (const [words, says] of [
      [[...long, mine], 'candles of 5m cannot be made of candles of 1h'],
      [own('mine', '--strategy-config', '{"broken":true}'), 'its author made a mistake'],
    ] as const)
      for (const verb of [
        ['backtest'],
        ['sweep', '--sweep', 'value=100,200', '--db', join(folder, 'no.sqlite')],
      ]) {
        const { code, err, out } = await run([...verb, ...words]);
        expect(err).to.contain(says).and.to.not.contain('    at ');
        expect([code, out]).to.deep.equal([2, '']);
      }
  });

  it('outlive a refused sweep whose other threads are still starting', async () => {
    const words = [
      'sweep',
      ...own('mine', '--strategy-config', '{"broken":true}'),
      '--sweep',
      'value=100,200',
    ];
    const cli = fileURLToPath(new URL('../../cli.js', import.meta.url));
    const ends = Array.from({ length: 6 }, (_, index) => async () => {
      const db = join(folder, 'ends.sqlite');
      const child = spawn(process.execPath, [
        cli,
        ...words,
        '--db',
        db,
        '--threads',
        String(2 + (index % 5)),
      ]);
      const [code] = (await once(child, 'exit')) as [number | null];
      return code;
    });
    const codes: (number | null)[] = [];
    for (const end of ends) codes.push(await end());
    expect(codes).to.deep.equal(codes.map(() => 2));
  });

  it('take a pair as it is written elsewhere', async () => {
    const other = join(folder, 'other.json');
    writeFileSync(other, candles(30));
    for (const symbol of ['BTC_USDT', 'btc/usdt', 'BTC-USDT', 'BTCUSDT']) {
      const words = [
        '--candles',
        other,
        '--symbol',
        symbol,
        '--interval',
        '1m',
        '--strategy',
        'observe',
        '--json',
      ];
      expect((await run(['backtest', ...words])).json<Report>().run.symbols, symbol).to.deep.equal([
        'BTCUSDT',
      ]);
    }
  });

  it('run the strategy of the configuration file where no other is named', async () => {
    const config = join(folder, 'one.json');
    writeFileSync(
      config,
      JSON.stringify({ STRATEGY: 'trend', STRATEGY_CONFIG: { interval: '1m', fast: 4 }, SYMBOLS: 'BTCTRY' }),
    );
    const words = ['--candles', file, '--config', config, '--json'];
    const { run: ran } = (await run(['backtest', ...words])).json<Report>();
    expect(ran.strategy).to.equal('trend');
    expect(ran.parameters).to.include({ fast: 4, interval: '1m' });
    const swept = await run(['sweep', ...words, '--sweep', 'slow=20', '--db', join(folder, 'one.sqlite')]);
    expect(swept.err).to.equal('');
    expect(swept.json<{ best: Report }>().best.run.parameters).to.include({
      fast: 4,
      slow: 20,
      interval: '1m',
    });
    const named = (await run(['backtest', ...words, '--strategy', 'observe'])).json<Report>();
    expect(named.run.strategy).to.equal('observe');
  });

  it('lose no report to a page that cannot be written, and say so in words', async () => {
    const { code, out, err } = await run(['backtest', ...onCandles('--html', '/proc/report.html')]);
    expect(code).to.equal(2);
    expect(JSON.parse(out)).to.have.property('money');
    expect(err)
      .to.contain('cannot write /proc/report.html')
      .and.not.to.match(/\n\s+at /);
    const threads = await run(['sweep', ...onCandles('--sweep', 'fast=5', '--threads', '100000')]);
    expect(threads.code).to.equal(2);
    expect(threads.err).to.contain('--threads must be 256 at most');
  });

  it('keep a sweep in a folder that is not there yet, and never in somebody else’s database', async () => {
    const words = ['sweep', ...own('kept', '--sweep', 'value=100', '--threads', '1')];
    const db = join(folder, 'new', 'folder', 'sweeps.sqlite');
    expect(await run([...words, '--db', db])).to.include({ code: 0, err: '' });
    const ledger = join(folder, 'books.sqlite');
    await run(['backtest', ...own('kept', '--ledger', ledger)]);
    const before = readFileSync(ledger);
    const refused = await run([...words, '--db', ledger]);
    expect([refused.code, refused.out]).to.deep.equal([2, '']);
    expect(refused.err).to.contain('books.sqlite').and.to.contain('--db');
    expect(readFileSync(ledger).equals(before)).to.equal(true);
    writeFileSync(join(folder, 'notes.txt'), 'not a database, and longer than nothing at all'.repeat(40));
    expect(await run([...words, '--db', join(folder, 'notes.txt')])).to.include({ code: 2, out: '' });
  });

  it('sweep anew when the strategy or the market has changed under its name', async () => {
    const market = join(folder, 'changing.json');
    writeFileSync(market, candles(300));
    const words = (path: string): readonly string[] => [
      ...[
        'sweep',
        '--candles',
        market,
        '--symbol',
        'BTCUSDT',
        '--interval',
        '1m',
        '--strategy',
        path,
        '--json',
      ],
      ...['--sweep', 'value=100,200', '--threads', '1', '--db', join(folder, 'changing.sqlite')],
    ];
    const counts = async (path: string): Promise<unknown> => {
      const { ran, known } = (await run(words(path))).json<{ ran: number; known: number }>();
      return { ran, known };
    };
    const path = ownStrategy('edited', 0);
    expect(await counts(path)).to.deep.equal({ ran: 2, known: 0 });
    expect(await counts(path)).to.deep.equal({ ran: 0, known: 2 });
    ownStrategy('edited', 5);
    expect(await counts(path)).to.deep.equal({ ran: 2, known: 0 });
    writeFileSync(market, candles(300).replaceAll('5.0', '6.0'));
    expect(await counts(path)).to.deep.equal({ ran: 2, known: 0 });
  });

  it('lose no report for a page that cannot be written', async () => {
    const refused = await run([
      'backtest',
      ...own('paged', '--html', join(folder, 'nowhere', 'report.html')),
    ]);
    expect([refused.code, refused.out]).to.deep.equal([2, '']);
    expect(refused.err).to.contain('cannot write').and.to.not.contain('    at ');
    const folderItself = await run(['backtest', ...own('paged', '--html', folder)]);
    expect(folderItself.code).to.equal(2);
    expect(folderItself.err).to.contain('cannot write').and.to.not.contain('    at ');
  });

  it('leave a ledger that fills, orders and pnl read as the bot’s own', async () => {
    const db = join(folder, 'backtest.sqlite');
    const words = ['backtest', '--recording', recording, '--strategy', 'pulse', '--ledger', db, '--json'];
    const config = ['--strategy-config', '{"intervalMs":300,"offsetBps":-20}'];
    const report = (await run([...words, ...config])).json<Report>();
    const { mode, fills } = (await run(['fills', '--db', db, '--json'])).json<{
      mode: string;
      fills: { symbol: string; value: string; clientOrderId: string }[];
    }>();
    expect(mode).to.equal('paper');
    expect(fills).to.have.length(report.liquidity.maker.fills + report.liquidity.taker.fills);
    expect(fills.length).to.be.greaterThan(3);
    const { orders } = (await run(['orders', '--db', db, '--json'])).json<{
      orders: { clientOrderId: string }[];
    }>();
    expect(orders).to.have.length(report.orders.placed);
    expect(new Set(orders.map(({ clientOrderId }) => clientOrderId))).to.include.all.keys(
      fills.map(({ clientOrderId }) => clientOrderId),
    );
    const pnl = (await run(['pnl', '--db', db, '--json'])).json<{
      symbols: { symbol: string; fills: number; turnover: string; fees: string; taxes: string }[];
    }>();
    expect(pnl.symbols).to.have.length(1);
    expect(pnl.symbols[0]).to.include({ symbol: 'BTCUSDT', fills: fills.length });
    const explained = await run(['explain', fills[0]?.clientOrderId ?? '', '--db', db]);
    expect(explained.code).to.equal(0);
    expect(explained.out).to.contain(fills[0]?.clientOrderId);
    // A ledger that is there already is not written into.
    const again = await run([...words, ...config]);
    expect(again).to.include({ code: 2, out: '' });
    expect(again.err).to.contain('exists: name a new file');
    expect((await run(['fills', '--db', db, '--json'])).json<{ fills: unknown[] }>().fills).to.have.length(
      fills.length,
    );
  });
});
