import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { Piscina } from 'piscina';
import { replayCommand, runSeed, type SeedPlan, type SeedResult } from '#src/simulation/seed-run.js';
import { runs } from '../runs.js';

describe('a seed in the pool', function () {
  this.timeout(600_000);

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
      expect(here.figures).not.to.equal(null);
      expect(there.figures).to.deep.equal(here.figures);
      expect(there.lines).to.deep.equal(here.lines);
      expect([...there.coverage]).to.deep.equal([...here.coverage]);
    } finally {
      await pool.destroy();
    }
  });
});

describe('mixed seeds', () => {
  it('keep every promise, whatever tempo, strategy and faults they draw', function () {
    this.timeout(3_600_000);
    for (let seed = 1; seed <= runs(6, 10_000); seed++) {
      const result = runSeed({ seed, strategy: 'mixed', symbols: ['BTCTRY'], hours: 0.08, everyS: 5 });
      expect(result.figures, result.lines.join('\n')).not.to.equal(null);
    }
  });

  it('keep every promise where one was once broken', function () {
    this.timeout(120_000);
    // 21134: a market without asks holds the bot. 21323: balances three seconds old show no lock of an order.
    for (const seed of [21134, 21323]) {
      const result = runSeed({ seed, strategy: 'mixed', symbols: ['BTCTRY'], hours: 0.5, everyS: 20 });
      expect(result.figures, result.lines.join('\n')).not.to.equal(null);
    }
  });

  it('name the command that runs a seed again', () => {
    const plan: SeedPlan = { seed: 7, strategy: 'mixed', symbols: ['BTCTRY', 'ETHTRY'], hours: 2, everyS: 9 };
    expect(replayCommand({ ...plan, tempo: 'live' })).to.equal(
      'npm run simulate -- --seed 7 --hours 2 --every 9 --strategy mixed --symbols BTCTRY,ETHTRY --live --trace',
    );
  });
});

describe('the simulator as a program', function () {
  this.timeout(60_000);

  it('ends well when nobody reads on, and outside a repository without a word of git', async () => {
    const child = spawn(
      process.execPath,
      [resolve('dist/simulation/main.js'), '--seed', '1', '--hours', '0.005'],
      { cwd: tmpdir(), stdio: ['ignore', 'pipe', 'pipe'] },
    );
    child.stdout.destroy();
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    expect(await once(child, 'close')).to.deep.equal([0, null]);
    expect(said).to.match(/^[^\n]* of processor time\n$/);
  });
});
