import { expect } from 'chai';
import { sudden } from './kills.js';
import { faultySubmits } from './submits.js';

/** The first minute of `npm run faults`; the long run writes docs/RELIABILITY.md. */
describe('the money path through real threads and sockets', function () {
  this.timeout(180_000);

  it('sends no intent twice and knows every order while the venue swallows its answers', async () => {
    const result = await faultySubmits({ submits: 60, bots: 1, seed: 11, probability: 0.05 });
    expect(result.violations).to.deep.equal([]);
    expect(result.unresolved).to.equal(0);
    expect(result.submits).to.be.at.least(60);
    const struck = Object.values(result.struck).reduce((sum, times) => sum + times, 0);
    expect(struck, 'faults that struck').to.be.greaterThan(0);
  });

  it('is killed at random and at named moments, and its ledger equals the exchange after each start', async () => {
    const result = await sudden({
      kills: 3,
      points: ['after-commit', 'mid-request', 'before-response', 'recovery-read'],
      perPoint: 1,
      lanes: 1,
      seed: 5,
    });
    expect(result.violations).to.deep.equal([]);
    expect(result.deaths).to.have.length(8);
    expect(result.orders).to.be.greaterThan(0);
  });
});
