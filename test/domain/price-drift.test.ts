import { expect } from 'chai';
import fc from 'fast-check';
import { parseDecimal } from '#src/domain/money.js';
import {
  DRIFT_WINDOW_MS,
  driftOf,
  forgetPoints,
  notePoint,
  type PricePoint,
  type PriceTrail,
} from '#src/domain/price-drift.js';
import { runs } from '../runs.js';

const price = (units: number) => parseDecimal(String(units));

describe('the trail of prices at which orders were sent', () => {
  it('decides as if every point of the window had been kept, and stays short', () => {
    const sent = fc.record({
      after: fc.integer({ min: 0, max: DRIFT_WINDOW_MS / 4 }),
      least: fc.integer({ min: 90, max: 110 }),
      width: fc.integer({ min: 0, max: 3 }),
      asked: fc.integer({ min: 80, max: 120 }),
    });
    fc.assert(
      fc.property(fc.array(sent, { maxLength: 40 }), orders => {
        const trail: PriceTrail = [];
        const all: PricePoint[] = [];
        let at = 0;
        for (const { after, least, width, asked } of orders) {
          at += after;
          forgetPoints(trail, at);
          const within = all.filter(point => point.at > at - DRIFT_WINDOW_MS);
          expect(driftOf(trail, price(asked), 500)).to.deep.equal(driftOf(within, price(asked), 500));
          const point = { at, least: price(least), greatest: price(least + width) };
          notePoint(trail, point);
          all.push(point);
        }
        // At most one point for each bound that differs.
        expect(trail.length).to.be.at.most(2 * 24);
      }),
      { numRuns: runs(500) },
    );
  });
});
