import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { formatDecimal, fromInteger, parseDecimal } from '#src/domain/money.js';
import { defineStrategy, type StrategyIntent } from '#src/domain/strategy.js';
import { soleMember } from '#src/domain/strategy-portfolio.js';
import { runCandles } from '#src/research/candle-run.js';
import { CandleError, readCandles } from '#src/research/candles.js';
import type { FillModel } from '#src/research/fast-market.js';
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
  const filled = (fillModel: FillModel, rows: readonly (readonly number[])[]): readonly string[] => {
    const candles = readCandles(written('DOT_USDT-1m.json', JSON.stringify(rows)));
    const settings = studySettings({
      definition: bracket,
      config: {},
      symbols: ['DOTUSDT'],
      inputs: { env: { PAPER_BALANCES: 'USDT=10000,DOT=100' }, cwd: '/', readFile: () => '', nowMs: START },
    });
    const run = runCandles({
      candles,
      members: [soleMember(bracket, studyParameters(bracket, {}), settings.symbols)],
      settings,
      opening: settings.paper.balances,
      fillModel,
      feeLevel: 1,
      tryRates: new Map([
        ['TRY', fromInteger(1)],
        ['USDT', fromInteger(48)],
      ]),
    });
    return run.fills.map(
      ({ fill, liquidity }) =>
        `${(fill.executedAtMs - START) / 60_000} ${fill.side} ${formatDecimal(fill.price)} ${formatDecimal(fill.quantity)} ${liquidity}`,
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
