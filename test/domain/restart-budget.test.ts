import { expect } from 'chai';
import fc from 'fast-check';
import { refill, restartBudget, spend } from '#src/domain/restart-budget.js';
import { runs } from '../runs.js';

describe('restart budget', () => {
  it('is used up by the crash that makes its limit within the window', () => {
    let budget = restartBudget(5, 30_000);
    const exhausted: boolean[] = [];
    for (const at of [0, 1_000, 2_000, 3_000, 29_999]) {
      const spent = spend(budget, at);
      budget = spent.budget;
      exhausted.push(spent.exhausted);
    }
    expect(exhausted).to.deep.equal([false, false, false, false, true]);
  });

  it('forgets a crash exactly one window later', () => {
    let budget = restartBudget(2, 30_000);
    budget = spend(budget, 0).budget;
    expect(spend(budget, 30_000).exhausted).to.equal(false);
    expect(spend(budget, 29_999).exhausted).to.equal(true);
  });

  it('is whole again when refilled', () => {
    const spent = spend(restartBudget(1, 1_000), 0);
    expect(spent.exhausted).to.equal(true);
    expect(refill(spent.budget)).to.deep.equal(restartBudget(1, 1_000));
  });

  it('allows fewer than its limit of restarts in any window, whatever the times', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 6 }),
        (gaps, limit) => {
          let budget = restartBudget(limit, 30_000);
          let at = 0;
          const restarts: number[] = [];
          for (const gap of gaps) {
            at += gap;
            const spent = spend(budget, at);
            budget = spent.budget;
            if (spent.exhausted) continue;
            restarts.push(at);
            const inWindow = restarts.filter(time => at - time < 30_000).length;
            expect(inWindow).to.be.lessThan(limit);
          }
          expect(budget.crashes.every(time => at - time < 30_000)).to.equal(true);
        },
      ),
      { numRuns: runs(1_000) },
    );
  });
});
