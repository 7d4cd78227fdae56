import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { formatDecimal, fromInteger, parseDecimal } from '#src/domain/money.js';
import { defineStrategy, type StrategyDefinition, type StrategyIntent } from '#src/domain/strategy.js';
import { soleMember } from '#src/domain/strategy-portfolio.js';
import { runCandles } from '#src/research/candle-run.js';
import { CandleError, readCandles } from '#src/research/candles.js';
import type { FillModel } from '#src/research/fast-market.js';
import type { RunResult } from '#src/research/run-result.js';
import { studyParameters, studySettings } from '#src/research/study.js';
import { tapeBetween } from '#src/research/tape.js';
import { readTapeFile, writeTapeFile } from '#src/research/tape-file.js';
import { generatedMarket } from './studies.js';

const START = Date.parse('2026-03-01T00:00:00Z');
const row = (minute: number, open: number, high: number, low: number, close: number, volume = 100) =>
  [START + minute * 60_000, open, high, low, close, volume] as const;
/** Falls to 97, rises to 103, stands still. */
const ROWS = [
  row(0, 100, 100.5, 99.5, 100),
  row(1, 100, 100.2, 97, 98),
  row(2, 98, 103, 97.5, 102),
  row(3, 102, 102, 102, 102),
];

describe('candles from files', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'btcbot-candles-'));
  });
  after(() => rmSync(folder, { recursive: true }));
  const written = (name: string, content: string | Buffer): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };

  it("are the same from freqtrade's JSON, objects and CSV", () => {
    const freqtrade = readCandles(written('DOT_USDT-1m.json', JSON.stringify(ROWS)));
    expect(freqtrade.listing.symbol).to.equal('DOTUSDT');
    expect(freqtrade).to.include({ interval: '1m', length: 4 });
    expect([...freqtrade.low]).to.deep.equal([9_950, 9_700, 9_750, 10_200]);
    const named = { symbol: 'DOTUSDT', interval: '1m' };
    const objects = ROWS.map(([time, open, high, low, close, volume]) => ({
      time,
      open: String(open),
      high,
      low,
      close,
      volume,
    }));
    expect(readCandles(written('objects.json.gz', gzipSync(JSON.stringify(objects))), named)).to.deep.equal(
      freqtrade,
    );
    const lines = ROWS.map(([time, ...rest]) =>
      [new Date(time).toISOString().slice(0, 19).replace('T', ' '), ...rest].join(','),
    );
    const csv = ['date,open,high,low,close,volume', ...lines].join('\n');
    expect(readCandles(written('candles.csv', csv), named)).to.deep.equal(freqtrade);
  });

  it('are refused for what is wrong: the file, before the market that it does not name; a comma that is no separator', () => {
    expect(() => readCandles(join(folder, 'absent.json'))).to.throw(
      CandleError,
      /absent\.json: cannot be read: ENOENT/,
    );
    const spreadsheet = 'date;open;high;low;close;volume\n2024-01-01;1,5;2,5;1;2;5\n';
    expect(() => readCandles(written('DOT_USDT-1d.csv', spreadsheet))).to.throw(
      CandleError,
      'columns are separated by commas, the first line is time,open,high,low,close,volume, and numbers have a point',
    );
  });

  it('are refused with every problem at once', () => {
    const bad = [
      row(0, 100, 99, 98, 99),
      row(0, 100, 101, 99, 100),
      [START + 61_000, 1, 1, 1, 1, 1],
      row(3, 100, 101, 99, 100),
      row(2, 1, 1, 1, 1),
    ];
    expect(() => readCandles(written('DOT_USDT-5m.json', JSON.stringify(ROWS)))).to.throw(
      CandleError,
      'row 2',
    );
    expect(() => readCandles(written('DOT_USDT-1m.json', JSON.stringify(bad))))
      .to.throw(CandleError)
      .with.property('message')
      .that.matches(/row 1 has an open.*row 3 begins.*row 5 .*not later/s);
    expect(() => readCandles(written('some.csv', 'a\n1'))).to.throw(CandleError, '--symbol');
    expect(() => readCandles(join(folder, 'none.json'), { symbol: 'DOTUSDT', interval: '1m' })).to.throw(
      CandleError,
      'cannot be read',
    );
  });

  const DOT = { symbol: 'DOTUSDT', interval: '1m' } as const;
  const asCsv = (header: string, times: readonly (string | number)[]): string =>
    [header, ...times.map(time => `${time},100,101,99,100,5`)].join('\n');

  it('fill what is missing with empty candles, as the candles that the bot builds from trades', () => {
    const holes = [row(0, 100, 101, 99, 100.5), row(1, 100, 101, 97, 98), row(4, 97, 99, 96, 99)];
    const tape = readCandles(written('DOT_USDT-1m.json', JSON.stringify(holes)));
    expect([...tape.openAtMs].map(at => (at - START) / 60_000)).to.deep.equal([0, 1, 2, 3, 4]);
    for (const column of [tape.open, tape.high, tape.low, tape.close])
      expect([...column.slice(2, 4)]).to.deep.equal([9_800, 9_800]);
    expect([...tape.volume.slice(1)]).to.deep.equal([10_000, 0, 0, 10_000]);
    expect([...tape.filled]).to.deep.equal([0, 0, 1, 1, 0]);
  });

  it('take Unix times in seconds, milliseconds, microseconds and nanoseconds for what they are', () => {
    for (const perMs of [1e-3, 1, 1e3, 1e6]) {
      const times = [START, START + 60_000].map(at => BigInt(at / 1_000) * BigInt(perMs * 1_000));
      const tape = readCandles(
        written('times.csv', asCsv('time,open,high,low,close,volume', times.map(String))),
        DOT,
      );
      expect([...tape.openAtMs]).to.deep.equal([START, START + 60_000]);
    }
  });

  it('refuse a date that is not ISO-8601 rather than guess which number is the month', () => {
    for (const time of ['03.02.2026 00:00', '03/02/2026 00:00', '03-02-2026', 'Feb 3 2026', '1e400'])
      expect(
        () => readCandles(written('dates.csv', asCsv('date,open,high,low,close,volume', [time])), DOT),
        time,
      ).to.throw(CandleError, 'row 1 has the time');
    for (const time of [
      '2026-02-03',
      '2026-02-03T00:00',
      '2026-02-03 00:00:00+00:00',
      '2026-02-03T03:00:00.000+03',
      '2026-02-03 00:00:00 UTC',
    ])
      expect(
        readCandles(written('dates.csv', asCsv('date,open,high,low,close,volume', [time])), DOT).openAtMs[0],
        time,
      ).to.equal(Date.UTC(2026, 1, 3));
  });

  it('are refused under an interval that is not theirs', () => {
    const fiveMinutes = [0, 5, 10, 15].map(minute => row(minute, 100, 101, 99, 100));
    expect(() => readCandles(written('five.json', JSON.stringify(fiveMinutes)), DOT)).to.throw(
      CandleError,
      'no two of them are 1m apart, the nearest are 5m: give their own --interval',
    );
    expect(readCandles(written('five.json', JSON.stringify(fiveMinutes)), { ...DOT, interval: '5m' }))
      .to.have.property('length')
      .that.equals(4);
    expect(() => readCandles(written('DOT_USDT-2h.json', '[]'))).to.throw(CandleError, '2h');
  });

  it('say in which form they would be read', () => {
    const refused = (name: string, content: string | Buffer): string => {
      try {
        readCandles(written(name, content), DOT);
      } catch (error) {
        return error instanceof CandleError ? error.message : `not refused properly: ${String(error)}`;
      }
      return 'not refused';
    };
    expect(refused('headless.csv', `${START},1,1,1,1,1\n${START + 60_000},1,1,1,1,1`)).to.contain(
      'the first line must name the columns',
    );
    expect(refused('half.csv', 'time,open,high,low,close\n1,1,1,1,1')).to.contain(
      'has no column volume: it has time, open, high, low, close',
    );
    expect(refused('semicolons.csv', 'time;open;high;low;close;volume\n1;1;1;1;1;1')).to.contain(
      'has no column time, open, high, low, close, volume: it has time;open;high;low;close;volume',
    );
    expect(refused('one.json', '{"data": []}')).to.contain('list');
    expect(refused('dot.feather', Buffer.from('ARROW1\0\0and more'))).to.contain('convert-data');
    for (const [name, content] of [
      ['bom.json', `\uFEFF${JSON.stringify(ROWS)}`],
      ['bom.csv', `\uFEFF${asCsv('time,open,high,low,close,volume', [START]).replaceAll('\n', '\r\n')}\r\n`],
    ] as const)
      expect(refused(name, content)).to.equal('not refused');
  });

  /** One order of each side on the first close, at 98.5 and 102.5, and nothing else. */
  const bracket = defineStrategy({
    name: 'bracket',
    about: 'Places one order of each side.',
    parameters: {},
    candles: () => [{ interval: '1m', warmUp: 0 }],
    create: () => {
      let placed = false;
      return {
        onCandle: (view, candle): StrategyIntent[] => {
          if (placed) return [];
          placed = true;
          const order = (side: 'buy' | 'sell', price: string): StrategyIntent => ({
            type: 'place',
            symbol: candle.symbol,
            side,
            method: 'limit',
            price: parseDecimal(price),
            quantity: parseDecimal('0.5'),
          });
          return view.maySubmit(candle.symbol) ? [order('buy', '98.5'), order('sell', '101.5')] : [];
        },
      };
    },
  });
  const runOf = (
    definition: StrategyDefinition,
    rows: readonly (readonly number[])[],
    fillModel: FillModel,
  ): RunResult => {
    const candles = readCandles(written('DOT_USDT-1m.json', JSON.stringify(rows)));
    const settings = studySettings({
      definition,
      config: {},
      symbols: ['DOTUSDT'],
      inputs: { env: { PAPER_BALANCES: 'USDT=10000,DOT=100' }, cwd: '/', readFile: () => '', nowMs: START },
    });
    return runCandles({
      candles,
      members: [soleMember(definition, studyParameters(definition, {}), settings.symbols)],
      settings,
      opening: settings.paper.balances,
      fillModel,
      feeLevel: 1,
      tryRates: new Map([
        ['TRY', fromInteger(1)],
        ['USDT', fromInteger(48)],
      ]),
    });
  };
  const filled = (fillModel: FillModel, rows: readonly (readonly number[])[]): readonly string[] => {
    const run = runOf(bracket, rows, fillModel);
    return run.fills.map(
      ({ fill, liquidity }) =>
        `${Math.floor((fill.executedAtMs - START) / 60_000)} ${fill.side} ${formatDecimal(fill.price)} ${formatDecimal(fill.quantity)} ${liquidity}`,
    );
  };

  it('fill resting orders from the candle after the one they were placed on', () => {
    expect(filled('queue', ROWS)).to.deep.equal(['2 buy 98.5 0.5 maker', '3 sell 101.5 0.5 maker']);
  });

  it('fill less where little was traded, and only beyond the price', () => {
    const touching = [ROWS[0]!, row(1, 100, 100.2, 98.5, 99), row(2, 99, 99, 98, 98, 2)];
    expect(filled('touch', touching)).to.deep.equal(['2 buy 98.5 0.5 maker']);
    // Reached on the second candle, passed on the third, of whose 2 a tenth is ours.
    expect(filled('queue', touching)).to.deep.equal(['3 buy 98.5 0.2 maker']);
  });

  it('fill nothing on a candle in which nobody traded', () => {
    const still = [
      row(0, 98.5, 98.5, 98.5, 98.5),
      row(1, 98.5, 98.5, 98.5, 98.5, 0),
      row(3, 98.5, 98.5, 98.5, 98.5),
    ];
    expect(filled('touch', still)).to.deep.equal(['4 buy 98.5 0.5 maker']);
  });

  it('fill an order that crosses at no better a price than the next candle began with', () => {
    // What is shown after the first close is 100 with a spread of a tick on either side; the order asks for 101.5 and more.
    const gapUp = [row(0, 102, 102, 102, 102), row(1, 104, 105, 103.5, 104)];
    expect(filled('queue', gapUp)).to.deep.equal(['1 sell 101.99 0.5 taker']);
    const gapDown = [row(0, 102, 102, 102, 102), row(1, 101.7, 101.8, 101, 101.2)];
    expect(filled('queue', gapDown)).to.deep.equal(['1 sell 101.69 0.5 taker']);
    // The next candle began below what the order asks for: it waits, and nobody comes up to it.
    const gone = [row(0, 102, 102, 102, 102), row(1, 100, 100.5, 99.9, 100)];
    expect(filled('queue', gone)).to.deep.equal([]);
    // After the last candle there is no market any more.
    expect(filled('queue', [row(0, 102, 102, 102, 102)])).to.deep.equal([]);
  });

  it('make longer candles of shorter ones where the last of an hour is missing', () => {
    const seen: string[] = [];
    const watcher = defineStrategy({
      name: 'watcher',
      about: 'Writes down what it is shown.',
      parameters: {},
      candles: () => [{ interval: '5m', warmUp: 0 }],
      create: () => ({
        onCandle: (_view, { openAtMs, close, volume }) => {
          seen.push(`${(openAtMs - START) / 60_000} ${formatDecimal(close)} ${formatDecimal(volume)}`);
          return [];
        },
      }),
    });
    runOf(
      watcher,
      [0, 1, 2, 3, 5, 6, 9, 17].map(minute => row(minute, 100, 101, 99, 100)),
      'queue',
    );
    expect(seen).to.deep.equal(['0 100 400', '5 100 300', '10 100 0']);
  });

  it('fill only the side that the close went against where both could have', () => {
    const wild = [ROWS[0]!, row(1, 100, 103, 97, 99), row(2, 99, 99, 99, 99)];
    expect(filled('queue', wild)).to.have.length(2);
    expect(filled('through', wild)).to.deep.equal(['2 buy 98.5 0.5 maker']);
  });
});

describe('a tape', () => {
  it('is the same from its binary file, and in parts that are markets of their own', async () => {
    const market = await generatedMarket(5);
    const folder = mkdtempSync(join(tmpdir(), 'btcbot-tape-'));
    try {
      const path = join(folder, 'market.tape');
      writeTapeFile(path, market.tape);
      expect(readTapeFile(path)).to.deep.equal(market.tape);
      const middle = (market.tape.atMs[0] ?? 0) + 2_500;
      const end = market.tape.atMs[market.tape.length - 1] ?? 0;
      const part = tapeBetween(market.tape, middle, end);
      expect(part.kinds[0]).to.equal(0);
      expect(part.atMs[0]).to.equal(middle);
      expect(part.length - 1).to.equal(market.tape.atMs.filter(at => at >= middle).length);
      expect(part.offsets[part.length]).to.equal(part.numbers.length);
      expect(tapeBetween(part, middle, end)).to.deep.equal(part);
      writeFileSync(path, Buffer.alloc(100));
      expect(() => readTapeFile(path)).to.throw('not a usable tape');
    } finally {
      rmSync(folder, { recursive: true });
      market.remove();
    }
  });
});
