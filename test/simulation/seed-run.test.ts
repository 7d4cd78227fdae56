import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { Piscina } from 'piscina';
import { runSeed, type SeedPlan, type SeedResult } from '#src/simulation/seed-run.js';

/** A line without its duration and speed: what must be the same wherever the seed runs. */
const timeless = (lines: readonly string[]): string[] =>
  lines.map(line => line.replace(/events in .* a second/, 'events'));

describe('a seed in the pool', function () {
  this.timeout(60_000);

  it('gives what it gives in this thread, to the hash of its ledger', async () => {
    const plan: SeedPlan = { seed: 11, strategy: 'maker', symbols: ['BTCTRY'], hours: 0.005, everyS: 6 };
    const pool = new Piscina<SeedPlan, SeedResult>({
      filename: pathToFileURL(resolve('dist/simulation/seed-run.js')).href,
      maxThreads: 1,
      atomics: 'disabled',
    });
    try {
      const there = await pool.run(plan);
      const here = runSeed(plan);
      expect(here.kept).to.equal(true);
      expect(timeless(there.lines)).to.deep.equal(timeless(here.lines));
      expect([...there.coverage]).to.deep.equal([...here.coverage]);
    } finally {
      await pool.destroy();
    }
  });
});
