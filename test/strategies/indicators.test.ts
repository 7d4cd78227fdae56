import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { ATR, EMA } from 'trading-signals';

/** Where the library is, by its own entry. */
const FOLDER = join(process.cwd(), 'node_modules', 'trading-signals', 'dist');

describe('the indicator library', () => {
  it('is pure: it reads a clock only in its weekday helpers, imports nothing, and sets no timer', () => {
    const impure = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
      .filter(path => path.endsWith('.js'))
      .filter(path =>
        /Date\.now|new Date\(\s*\)|Math\.random|\bprocess\b|setTimeout|setInterval|\bfetch\b|from ['"][^.]/.test(
          readFileSync(join(FOLDER, path), 'utf8'),
        ),
      );
    expect(impure).to.deep.equal([join('util', 'trading', 'getWeekday.js')]);
  });

  it('computes what the formulas say: values worked by hand', () => {
    const ema = new EMA(3);
    // Weight 2 / (3 + 1): 10, 10 + (20 - 10) / 2, 15 + (30 - 15) / 2.
    expect([10, 20, 30].map(value => ema.add(value))).to.deep.equal([10, 15, 22.5]);
    const atr = new ATR(2);
    // True ranges 2 and 4 average to 3; then 5, smoothed by Wilder: (3 + 5) / 2.
    const candles = [
      { high: 11, low: 9, close: 10 },
      { high: 14, low: 11, close: 13 },
      { high: 13, low: 8, close: 9 },
    ];
    expect(candles.map(candle => atr.add(candle))).to.deep.equal([null, 3, 4]);
  });
});
