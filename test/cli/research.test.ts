import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
