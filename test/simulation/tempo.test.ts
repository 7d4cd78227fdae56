import { expect } from 'chai';
import { randomStream } from '#src/exchange/random.js';
import { drawNetwork } from '#src/simulation/latencies.js';
import { drawTempo } from '#src/simulation/tempo.js';
import { nextTickMs } from '#src/simulation/worker-tree.js';
import { createWorld } from '#src/simulation/world.js';
import { observe } from '#src/strategies/observe.js';

describe('a tempo', () => {
  it('is drawn from its seed, and quiet at the median', () => {
    const draw = (seed: number) => drawTempo(randomStream(seed, 1));
    expect(draw(5)).to.deep.equal(draw(5));
    const paces = Array.from({ length: 401 }, (_, seed) => draw(seed).marketPace).sort(
      (left, right) => left - right,
    );
    expect(paces[200]).to.be.within(0.01, 0.04);
    expect(paces[0]).to.be.greaterThan(0);
    expect(paces[400]).to.be.at.most(0.1);
  });

  it('is calmer in runs of hours, and never so calm that a book counts as old between two frames', () => {
    for (let seed = 0; seed < 200; seed++) {
      const short = drawTempo(randomStream(seed, 1));
      const long = drawTempo(randomStream(seed, 1), 24);
      expect(long.marketPace).to.be.lessThan(short.marketPace);
      expect(long.slowIntervalMs).to.be.within(short.slowIntervalMs, 4_500);
      expect(long.markIntervalMs).to.be.within(short.markIntervalMs, 40_000);
      expect(long.reconcileIntervalMs).to.be.within(short.reconcileIntervalMs, 55_000);
      expect(long.refreshMs).to.be.greaterThan(short.refreshMs);
    }
  });

  it('makes the generated market slower, in proportion', () => {
    const tradesAt = (marketPace: number): number => {
      const tempo = { ...drawTempo(randomStream(1, 1)), marketPace };
      const world = createWorld({ seed: 1, symbols: ['BTCTRY'], strategy: observe, tempo });
      let frames = 0;
      world.venue.request('eavesdropper', {
        accepted: () => {},
        refused: () => {},
        frame: text => {
          if (text.startsWith('[422')) frames += 1;
        },
        ping: () => {},
        closed: () => {},
      });
      world.venue.frame('eavesdropper', '[151,{"type":151,"channel":"trade","event":"BTCTRY","join":true}]');
      world.run(60_000);
      return frames;
    };
    expect(tradesAt(1)).to.be.greaterThan(5 * tradesAt(0.05));
  });
});

describe('the ticks of a simulated worker', () => {
  it('come at their usual pace while something happens, and thin out while nothing does', () => {
    expect(nextTickMs(800, true, 800)).to.equal(50);
    expect(nextTickMs(50, false, 800)).to.equal(200);
    expect(nextTickMs(200, false, 800)).to.equal(800);
    expect(nextTickMs(800, false, 800)).to.equal(800);
    expect(nextTickMs(50, false, 1_600, 32)).to.equal(1_600);
  });
});

describe('a network', () => {
  it('is drawn from its seed: near and far ones, steady and unsteady, never quicker than the nearest', () => {
    const draw = (seed: number) => drawNetwork(randomStream(seed, 1));
    expect(draw(5)).to.deep.equal(draw(5));
    const all = Array.from({ length: 401 }, (_, seed) => draw(seed));
    for (const { toVenue, fromVenue } of all) {
      expect(toVenue.leastMs).to.be.within(1, 80);
      expect(fromVenue.leastMs).to.equal(toVenue.leastMs);
      for (const { leastMs, meanExtraMs } of [toVenue, fromVenue])
        expect(meanExtraMs).to.be.within(0, leastMs);
    }
    const lengths = all.map(({ toVenue }) => toVenue.leastMs);
    expect(Math.min(...lengths)).to.be.lessThan(2);
    expect(Math.max(...lengths)).to.be.greaterThan(60);
    expect(all.some(({ toVenue }) => toVenue.meanExtraMs < toVenue.leastMs / 10)).to.equal(true);
    expect(all.some(({ fromVenue }) => fromVenue.meanExtraMs > 0.9 * fromVenue.leastMs)).to.equal(true);
  });
});
