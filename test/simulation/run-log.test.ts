import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect } from 'chai';
import { runBatch } from '#src/simulation/batch.js';
import { daysSection } from '#src/simulation/days-report.js';
import { RARE_PATHS } from '#src/simulation/rare-paths.js';
import {
  appendRun,
  keepRuns,
  type LoggedRun,
  loggedRun,
  pathsOf,
  readRuns,
} from '#src/simulation/run-log.js';
import { replayCommand, type SeedPlan, type SeedResult } from '#src/simulation/seed-run.js';

const PLAN: SeedPlan = { seed: 1, strategy: 'maker', symbols: ['BTCTRY'], hours: 24, everyS: 20 };
const RESULT: SeedResult = {
  lines: ['seed 1 kept every promise'],
  coverage: new Map([
    ['fault: worker crash', 3],
    ['execution: order-unknown', 6],
    ['market-data: some-log-line', 9],
  ]),
  figures: { orders: 5, fills: 2, events: 100, ledger: 'abc', latched: ['operator: why'] },
  cpuMs: 12_345,
};
const BROKEN: SeedResult = {
  lines: ['a line of the trace', 'seed 2 BROKEN: seed 2: an order is sent twice'],
  coverage: new Map(),
  figures: null,
  cpuMs: 100,
};
const AT = '2026-01-31T12:00:00.000Z';

describe('the log of simulated runs', () => {
  it('gives each run back, the newest of a seed, and leaves a cut line out', () => {
    const folder = mkdtempSync(join(tmpdir(), 'btcbot-runs-'));
    const path = join(folder, 'log');
    try {
      expect(readRuns(path).size).to.equal(0);
      const kept = loggedRun(PLAN, RESULT, 'abc1234', AT);
      const broken = loggedRun({ ...PLAN, seed: 2 }, BROKEN, 'abc1234', AT);
      for (const run of [{ ...kept, orders: 1 }, broken, kept]) appendRun(path, run);
      appendFileSync(path, JSON.stringify({ ...kept, seed: 3 }).slice(0, -1));
      expect([...readRuns(path)]).to.deep.equal([
        [1, kept],
        [2, broken],
      ]);
      const resumed = loggedRun({ ...PLAN, seed: 3 }, RESULT, 'abc1234', AT);
      appendRun(path, resumed);
      expect(readRuns(path).get(3)).to.deep.equal(resumed);
      // A seed that broke and was run again keeps what it broke, in the log and in the report.
      const mended = loggedRun({ ...PLAN, seed: 2 }, RESULT, 'def5678', AT);
      appendRun(path, mended);
      const again = readRuns(path).get(2);
      expect(again).to.deep.equal({
        ...mended,
        brokeBefore: [{ commit: 'abc1234', violation: broken.violation }],
      });
      expect(daysSection([again ?? mended], 'a machine')).to.include(
        `Seed 2 was run again; at commit abc1234 it had ended so: ${broken.violation}`,
      );
      expect(kept).to.include({ replay: replayCommand(PLAN), violation: null, latched: 1, cpuS: 12.35 });
      expect(broken.violation).to.contain('an order is sent twice');
      expect([...pathsOf([kept, kept])]).to.deep.equal([
        ['execution: order-unknown', 12],
        ['fault: worker crash', 6],
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the log that is kept', () => {
  it('is, unpacked, a log to go on from, and the same for the same runs', () => {
    const folder = mkdtempSync(join(tmpdir(), 'btcbot-runs-'));
    const [packed, again, log] = ['packed', 'again', 'log'].map(name => join(folder, name)) as [
      string,
      string,
      string,
    ];
    try {
      const runs = [3, 1, 2].map(seed => loggedRun({ ...PLAN, seed }, RESULT, 'abc1234', AT));
      keepRuns(packed, runs);
      keepRuns(again, [...runs].reverse());
      expect(readFileSync(packed).equals(readFileSync(again))).to.equal(true);
      writeFileSync(log, gunzipSync(readFileSync(packed)));
      expect([...readRuns(log).keys()]).to.deep.equal([1, 2, 3]);
      expect(readRuns(log).get(2)).to.deep.equal(runs[2]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the report of simulated days', () => {
  const run = (seed: number, result = RESULT): LoggedRun =>
    loggedRun({ ...PLAN, seed }, result, 'abc1234', AT);

  it('tells how far the runs came, on which commits, and what they reached too seldom', () => {
    const seldom = loggedRun({ ...PLAN, seed: 2, everyS: 60 }, RESULT, 'def5678', AT);
    const section = daysSection([run(1), seldom], 'a machine');
    expect(section).to.include('| mean seconds between faults |  | 20 (1 runs), 60 (1 runs) |');
    expect(section).to.include(
      '2026-01-31 to 2026-01-31, commit abc1234 (1 runs), commit def5678 (1 runs), a machine',
    );
    expect(section).to.include('| simulated days | 1000 | 2.0 |');
    expect(section).to.include('| runs that broke a promise | 0 | 0 |');
    expect(section).to.include('The run was stopped before 1000 days');
    expect(section).to.include('No promise was broken.');
    expect(section).to.include(
      `Too seldom to show anything: ${RARE_PATHS['reconciliation: evidence-found']}`,
    );
  });

  it('names each broken run with what runs it again', () => {
    const section = daysSection([run(1), run(2, BROKEN)], 'a machine');
    expect(section).to.include('| runs that broke a promise | 0 | 1 |');
    expect(section).to.include(`an order is sent twice: \`${replayCommand({ ...PLAN, seed: 2 })}\``);
    expect(section).not.to.include('No promise was broken.');
  });
});

describe('a batch of seeds', function () {
  this.timeout(600_000);

  it('tells of them in their order, and begins no more when it is over', async () => {
    const plans = [1, 2, 3, 4].map(seed => ({ ...PLAN, seed, hours: 0.002, everyS: 6 }));
    const ended: number[] = [];
    const told: number[] = [];
    await runBatch(plans, 2, {
      onEnded: ({ seed }) => ended.push(seed),
      onNext: ({ seed }) => told.push(seed),
      isOver: () => ended.length > 0,
    });
    expect(ended.length).to.be.within(1, 3);
    expect(told).to.deep.equal([...ended].sort((one, other) => one - other));
  });
});
