import { expect } from 'chai';
import fc from 'fast-check';
import {
  addTrade,
  CANDLE_LENGTHS_MS,
  type Candle,
  CLOSE_GRACE_MS,
  candleBuilder,
  candleProblem,
  continueAfter,
  fillGaps,
  follow,
  formingCandle,
  MAX_FILLED,
  passTime,
} from '#src/domain/candles.js';
import { formatDecimal, parseDecimal } from '#src/domain/money.js';
import { runs } from '../runs.js';

const MINUTE = CANDLE_LENGTHS_MS['1m'];
/** A multiple of every length up to a day. */
const T0 = 20_718 * 86_400_000;

const trade = (atMs: number, price: number, quantity = 1) => ({
  price: parseDecimal(String(price)),
  quantity: parseDecimal(String(quantity)),
  tradedAtMs: T0 + atMs,
});

/** `openMinute o h l c v`, with a `?` when trades may be missing. */
const shape = (candles: readonly Candle[]): string[] =>
  candles.map(
    ({ openAtMs, open, high, low, close, volume, complete }) =>
      `${(openAtMs - T0) / MINUTE} ${[open, high, low, close, volume].map(formatDecimal).join(' ')}${complete ? '' : '?'}`,
  );

describe('candles', () => {
  it('take trades by their time: the first millisecond belongs to the candle, the last one too, the next not', () => {
    const builder = candleBuilder('BTCTRY', '1m');
    expect(addTrade(builder, trade(0, 10))).to.deep.equal([]);
    expect(addTrade(builder, trade(30_000, 12, 2))).to.deep.equal([]);
    expect(addTrade(builder, trade(59_999, 9))).to.deep.equal([]);
    expect(shape(addTrade(builder, trade(60_000, 11)))).to.deep.equal(['0 10 12 9 9 4?']);
    expect(shape([formingCandle(builder) as Candle])).to.deep.equal(['1 11 11 11 11 1']);
    expect(formingCandle(builder)?.closed).to.equal(false);
    expect(shape(addTrade(builder, trade(120_000, 5)))).to.deep.equal(['1 11 11 11 11 1']);
  });

  it('are closed by the clock a grace after their end, and a trade for a closed one is left out', () => {
    const builder = candleBuilder('BTCTRY', '1m');
    addTrade(builder, trade(1, 10));
    expect(passTime(builder, T0 + MINUTE + CLOSE_GRACE_MS - 1)).to.deep.equal([]);
    addTrade(builder, trade(59_999, 12));
    expect(shape(passTime(builder, T0 + MINUTE + CLOSE_GRACE_MS))).to.deep.equal(['0 10 12 10 12 2?']);
    expect(addTrade(builder, trade(59_999, 99))).to.deep.equal([]);
    expect(builder.late).to.equal(1);
    expect(shape([formingCandle(builder) as Candle])).to.deep.equal(['1 12 12 12 12 0']);
  });

  it('are empty, at the close before, where nothing traded, and absent before the first price', () => {
    const builder = candleBuilder('BTCTRY', '1m');
    expect(passTime(builder, T0 + 10 * MINUTE)).to.deep.equal([]);
    expect(formingCandle(builder)).to.equal(undefined);
    addTrade(builder, trade(10 * MINUTE, 10));
    expect(shape(addTrade(builder, trade(13 * MINUTE, 20)))).to.deep.equal([
      '10 10 10 10 10 1?',
      '11 10 10 10 10 0?',
      '12 10 10 10 10 0?',
    ]);
    expect(shape(passTime(builder, T0 + 15 * MINUTE + CLOSE_GRACE_MS))).to.deep.equal([
      '13 20 20 20 20 1',
      '14 20 20 20 20 0',
    ]);
  });

  it('say that trades may be missing for as long as the feed is down', () => {
    const builder = candleBuilder('BTCTRY', '1m');
    addTrade(builder, trade(0, 10));
    addTrade(builder, trade(MINUTE, 10));
    follow(builder, false);
    expect(shape(passTime(builder, T0 + 3 * MINUTE + CLOSE_GRACE_MS))).to.deep.equal([
      '1 10 10 10 10 1?',
      '2 10 10 10 10 0?',
    ]);
    follow(builder, true);
    addTrade(builder, trade(3 * MINUTE, 11));
    addTrade(builder, trade(4 * MINUTE, 11));
    expect(shape(addTrade(builder, trade(5 * MINUTE, 11)))).to.deep.equal(['4 11 11 11 11 1']);
  });

  it('go on after one that was closed elsewhere', () => {
    const builder = candleBuilder('BTCTRY', '1m');
    const [last] = fillGaps([{ ...candle(0), close: parseDecimal('7'), low: parseDecimal('7') }]);
    continueAfter(builder, last as Candle);
    expect(shape(passTime(builder, T0 + 3 * MINUTE + CLOSE_GRACE_MS))).to.deep.equal([
      '1 7 7 7 7 0?',
      '2 7 7 7 7 0?',
    ]);
    continueAfter(builder, candle(1));
    expect(formingCandle(builder)?.openAtMs).to.equal(T0 + 3 * MINUTE);
  });

  it('fill no more of a gap than anybody can use', () => {
    const filled = fillGaps([candle(0), candle(10 * MAX_FILLED)]);
    expect(filled).to.have.length(MAX_FILLED + 2);
    expect(filled[1]?.openAtMs).to.equal(T0 + 9 * MAX_FILLED * MINUTE);
  });

  for (const [words, over] of [
    ['begins off the grid', { openAtMs: T0 + 1 }],
    ['ends elsewhere', { closeAtMs: T0 }],
    ['has a high below its low', { high: parseDecimal('1') }],
    ['opens above its high', { open: parseDecimal('100') }],
    ['closes below its low', { close: parseDecimal('1') }],
    ['has no price', { low: 0n }],
    ['has a negative volume', { volume: -1n }],
  ] as const)
    it(`are refused when one ${words}`, () => {
      expect(candleProblem({ ...candle(0), ...over })).not.to.equal(null);
      expect(candleProblem(candle(0))).to.equal(null);
    });

  it('of any trades follow one another without a gap and hold every trade that was in time, exactly once', () => {
    const trades = fc.array(
      fc.record({
        waitMs: fc.integer({ min: -30_000, max: 200_000 }),
        price: fc.integer({ min: 1, max: 1_000 }),
        quantity: fc.integer({ min: 1, max: 9 }),
        ticks: fc.boolean(),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(trades, history => {
        const builder = candleBuilder('BTCTRY', '1m');
        const closed: Candle[] = [];
        let atMs = 0;
        let volume = 0n;
        for (const { waitMs, price, quantity, ticks } of history) {
          atMs = Math.max(0, atMs + waitMs);
          if (ticks) closed.push(...passTime(builder, T0 + atMs));
          const late = builder.late;
          closed.push(...addTrade(builder, trade(atMs, price, quantity)));
          if (builder.late === late) volume += parseDecimal(String(quantity));
        }
        closed.push(...passTime(builder, (builder.openAtMs ?? 0) + 2 * MINUTE + CLOSE_GRACE_MS));
        const openings = closed.map(({ openAtMs }) => openAtMs);
        const first = openings[0] ?? 0;
        expect(openings).to.deep.equal(openings.map((_, index) => first + index * MINUTE));
        expect(closed.map(candleProblem).filter(problem => problem !== null)).to.deep.equal([]);
        expect(closed.reduce((sum, each) => sum + each.volume, 0n)).to.equal(volume);
      }),
      { numRuns: runs(300) },
    );
  });
});

const candle = (minute: number): Candle => ({
  symbol: 'BTCTRY',
  interval: '1m',
  openAtMs: T0 + minute * MINUTE,
  closeAtMs: T0 + (minute + 1) * MINUTE,
  open: parseDecimal('10'),
  high: parseDecimal('12'),
  low: parseDecimal('9'),
  close: parseDecimal('11'),
  volume: parseDecimal('1'),
  closed: true,
  complete: true,
});
