import { expect } from 'chai';
import { sectionText, withSection } from './document.js';
import { acrossRounds, figure, inTurns, percentile, ratioOf } from './figures.js';
import { SECTIONS } from './sections.js';
import { growthPerHour, leastOfWindows } from './soak.js';

describe('the benchmarks', function () {
  this.timeout(180_000);

  for (const section of SECTIONS.filter(({ inSuite }) => inSuite !== false))
    it(`run ${section.name} at its smallest size`, async () => {
      const result = await section.run({ rounds: 1, tiny: true });
      expect(result.tables).to.not.have.length(0);
      for (const { head, rows } of result.tables) {
        expect(rows, head.join()).to.not.have.length(0);
        for (const row of rows) expect(row, row.join()).to.have.length(head.length);
        expect(rows.flat().filter(cell => /NaN|Infinity|undefined/.test(cell))).to.deep.equal([]);
      }
    });

  it('have names of their own', () => {
    const names = SECTIONS.map(({ name }) => name);
    expect(new Set(names).size).to.equal(names.length);
    for (const name of names) expect(name).to.match(/^[a-z]+(-[a-z]+)*$/);
  });
});

describe('the figures of a benchmark', () => {
  it('tell growth from noise', () => {
    const samples = Array.from({ length: 61 }, (_, at) => ({ atMs: 1_000_000 + at * 60_000 }));
    expect(
      growthPerHour(
        samples,
        samples.map((_, at) => 200 + at / 30),
      ),
    ).to.be.closeTo(2, 1e-9);
    expect(
      growthPerHour(
        samples,
        samples.map((_, at) => 200 + (at % 2)),
      ),
    ).to.be.closeTo(0, 0.1);
    expect(growthPerHour(samples.slice(0, 1), [200])).to.equal(0);
  });

  it('see beneath a sawtooth what it stands on', () => {
    const samples = Array.from({ length: 120 }, (_, at) => ({
      atMs: 5_000 + at * 60_000,
      mb: 200 + at / 30 + 3 * (at % 20),
    }));
    const least = leastOfWindows(samples, 1_200_000, ({ mb }) => mb);
    expect(least.map(({ atMs }) => (atMs - 5_000) / 60_000)).to.deep.equal([0, 20, 40, 60, 80, 100]);
    expect(
      growthPerHour(
        least,
        least.map(({ mb }) => mb),
      ),
    ).to.be.closeTo(2, 1e-9);
    expect(leastOfWindows([], 1_000, () => 0)).to.deep.equal([]);
  });

  it('take percentiles of what was measured, in whatever order', () => {
    expect([0, 0.5, 0.99, 1].map(share => percentile([3, 1, 4, 2], share))).to.deep.equal([1, 3, 4, 4]);
    expect(figure(percentile([], 0.5))).to.equal('none');
    expect([0.0421, 4.204, 42.04, 420.4].map(figure)).to.deep.equal(['0.042', '4.20', '42.0', '420']);
  });

  it('take every variant once a round, and begin each round with another one', async () => {
    const calls: string[] = [];
    const variant = (name: string) => async () => {
      calls.push(name);
      return [calls.length];
    };
    const taken = await inTurns({ a: variant('a'), b: variant('b'), c: variant('c') }, 4);
    expect(calls.join('')).to.equal('abcbcacababc');
    expect(taken.b).to.deep.equal([[2], [4], [9], [11]]);
  });

  it('compare within a round, so that a slow round is slow for all', () => {
    const baseline = [[1], [10], [2]];
    expect(ratioOf([[2], [20], [4]], baseline, 0.5)).to.equal(2);
    expect(
      acrossRounds(
        [
          [1, 1, 1],
          [9, 9, 9],
          [2, 2, 2],
        ],
        0.5,
      ),
    ).to.equal(2);
  });
});

describe('the document of the benchmarks', () => {
  const order = ['first', 'second', 'third'];
  const text = (name: string, measured: string): string =>
    sectionText(
      { name, title: `The ${name}`, about: 'About it.' },
      {
        tables: [{ head: ['What', 'ms'], rows: [['a thing', measured]] }],
        goals: [
          { what: 'a thing', goal: '1 ms', measured, met: false, why: 'It is slow.' },
          { what: 'another', goal: '1 ms', measured: '0 ms', met: true, why: 'It is slow.' },
        ],
      },
      { date: '2026-01-02', commit: 'abc1234', machine: 'a machine', load: ['1.0', '2.0'], rounds: 5 },
    );

  it('names where and when a section was measured, and what was missed and why', () => {
    const section = text('first', '3 ms');
    expect(section).to.contain(
      'Measured on 2026-01-02, at commit abc1234, on a machine; load average 1.0 before and 2.0 after',
    );
    expect(section).to.contain('| What | ms |\n| --- | --- |\n| a thing | 3 ms |');
    expect(section).to.contain('- **Missed**: a thing, goal 1 ms, measured 3 ms. It is slow.');
    expect(section).to.contain('- Met: another, goal 1 ms, measured 0 ms.\n');
  });

  it('takes sections in in their order, whichever was measured first', () => {
    let document = '';
    for (const name of ['second', 'third', 'first'])
      document = withSection(document, name, text(name, '1'), order);
    expect([...document.matchAll(/^## The (\w+)$/gm)].map(([, name]) => name)).to.deep.equal(order);
    expect(document.startsWith('# Performance\n')).to.equal(true);
  });

  it('changes the section that was measured again, and no other byte', () => {
    let document = '';
    for (const name of order) document = withSection(document, name, text(name, '1'), order);
    const again = withSection(document, 'second', text('second', '2'), order);
    expect(again).to.equal(document.replace(text('second', '1'), text('second', '2')));
    expect(again).to.not.equal(document);
  });
});
