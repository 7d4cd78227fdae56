import { expect } from 'chai';
import { missedPaths, RARE_PATHS } from '#src/simulation/rare-paths.js';
import { SimulationFailure, simulate } from '#src/simulation/simulation.js';
import { maker } from '#src/strategies/maker.js';
import { runs } from '../runs.js';

const OFTEN = { meanIntervalMs: 6_000, meanDurationMs: 6_000 };

describe('a simulation', () => {
  it('keeps every promise while things go wrong, and comes right afterwards', function () {
    this.timeout(600_000);
    for (let seed = 1; seed <= runs(2, 10_000); seed++) {
      const report = simulate({
        seed,
        strategy: maker,
        symbols: ['BTCTRY'],
        durationMs: 60_000,
        faults: OFTEN,
      });
      expect(report.orders).to.be.greaterThan(0);
      expect([...report.coverage.keys()].some(name => name.startsWith('fault: '))).to.equal(true);
    }
  });

  it('is the same to the last byte of its ledger when it is run again', function () {
    this.timeout(600_000);
    const once = () =>
      simulate({ seed: 11, strategy: maker, symbols: ['BTCTRY'], durationMs: 60_000, faults: OFTEN });
    const first = once();
    const second = once();
    expect(first.ledger.equals(second.ledger)).to.equal(true);
    expect([...first.coverage]).to.deep.equal([...second.coverage]);
  });

  it('ends with the seed and what led to it when something breaks', () => {
    let failure: unknown;
    try {
      simulate({
        seed: 12,
        strategy: maker,
        symbols: ['BTCTRY'],
        durationMs: 5_000,
        faults: null,
        onTrace: line => {
          if (line.includes('WRITE ')) throw new Error('no such thing');
        },
      });
    } catch (error) {
      failure = error;
    }
    expect(failure).to.be.instanceOf(SimulationFailure);
    const { message, trace } = failure as SimulationFailure;
    expect(message).to.match(/^seed 12: .*no such thing/);
    expect(trace.some(line => line.includes('supervisor info worker-ready'))).to.equal(true);
  });
});

describe('the rare paths', () => {
  it('are named when a batch of runs never came to them', () => {
    expect(missedPaths(new Map())).to.have.length(Object.keys(RARE_PATHS).length);
    expect(missedPaths(new Map(Object.keys(RARE_PATHS).map(key => [key, 1])))).to.deep.equal([]);
    const some = new Map([['execution: order-unknown', 3]]);
    expect(missedPaths(some)).not.to.include(RARE_PATHS['execution: order-unknown']);
    expect(missedPaths(some, 4)).to.include(RARE_PATHS['execution: order-unknown']);
  });
});
