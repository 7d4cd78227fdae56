import { expect } from 'chai';
import fc from 'fast-check';
import { max, min, ONE } from '#src/domain/money.js';
import { addTrade, DAY_S, emptyCandles, lastDay } from '#src/exchange/candles.js';

const MINUTE_MS = 60_000;
const START_MS = 1_790_133_600_000;

describe('candles', () => {
  it('gives the figures of the minutes of the last day, whatever the clock did meanwhile', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            // Mostly on, sometimes back: the clock of an exchange is set now and then.
            afterMinutes: fc.integer({ min: -90, max: 400 }),
            price: fc.bigInt({ min: ONE, max: 1_000n * ONE }),
            quantity: fc.bigInt({ min: ONE, max: 1_000n * ONE }),
          }),
          { maxLength: 60 },
        ),
        fc.integer({ min: 0, max: 3_000 }),
        (trades, laterMinutes) => {
          const store = emptyCandles();
          let atMs = START_MS;
          for (const { afterMinutes, price, quantity } of trades) {
            atMs += afterMinutes * MINUTE_MS;
            addTrade(store, atMs, price, quantity);
          }
          const nowMs = atMs + laterMinutes * MINUTE_MS;
          const day = store.minutes.filter(({ startS }) => startS >= Math.floor(nowMs / 1_000) - DAY_S);
          const last = trades.at(-1)?.price ?? 1n;
          expect(lastDay(store, nowMs, last)).to.deep.equal({
            open: day[0]?.open ?? last,
            high: day.reduce((most, { high }) => max(most, high), last),
            low: day.reduce((least, { low }) => min(least, low), last),
            volume: day.reduce((sum, { volume }) => sum + volume, 0n),
            turnover: day.reduce((sum, { turnover }) => sum + turnover, 0n),
          });
        },
      ),
    );
  });

  it('sums what was paid', () => {
    const store = emptyCandles();
    addTrade(store, START_MS, 5n * ONE, 7n * ONE);
    expect(lastDay(store, START_MS, 5n * ONE)).to.deep.include({ volume: 7n * ONE, turnover: 35n * ONE });
  });
});
