import { expect } from 'chai';
import { withSection } from '#src/operations/reliability-document.js';
import { SyncTrace, syncs } from './fsync.js';
import { kills } from './kills.js';
import { type FaultPart, sizesFor } from './part.js';
import { PARTS, partsNamed } from './parts.js';
import { type RunFacts, sectionOf } from './reliability.js';
import { testSmall } from './small-run.js';
import { submits } from './submits.js';

/** The first minutes of `npm run faults`; the long run writes docs/RELIABILITY.md. */
describe('the money path through real threads and sockets', () => {
  for (const part of [submits, kills, syncs]) testSmall(part);
});

describe('the document of the fault runs', () => {
  const part: FaultPart = {
    name: 'two',
    title: 'The second',
    about: 'What is done.',
    full: { runs: 10, other: 2 },
    small: { runs: 1, other: 2 },
    run: async () => ({ rows: [], contradictions: [] }),
  };
  const facts: RunFacts = {
    date: '2026-01-31',
    commit: 'abc1234',
    machine: '2 cores',
    loadBefore: 0.51,
    loadAfter: 1.99,
    tookMs: 12_345,
  };
  const sectionWith = (name: string, text: string): string =>
    `<!-- part: ${name} -->\n${text}\n<!-- end of ${name} -->`;
  const order = ['one', 'two', 'three'];

  it('says when, where and at which size a section was made, and what was found', () => {
    const text = sectionOf(part, { runs: 3, other: 2 }, { seed: 4, lanes: 2 }, facts, {
      rows: [['runs', '10', '3']],
      contradictions: ['one thing was wrong'],
      notes: ['A word about it.'],
    });
    for (const words of [
      '2026-01-31, commit abc1234, 2 cores; load average 0.5 before, 2.0 after;',
      '12 s, seed 4, lanes 2. Smaller than the full size: runs 3 of 10.',
      '| runs | 10 | 3 |',
      'A word about it.',
      '- one thing was wrong',
    ])
      expect(text).to.contain(words);
    expect(sectionOf(part, part.full, { seed: 4, lanes: 2 }, facts, new Error('no disk'))).to.contain(
      'Full size.\n\nThe run broke off: no disk',
    );
  });

  it('replaces one section and leaves every other byte alone', () => {
    const before = `# Head\n\n${sectionWith('one', 'a')}\n\n${sectionWith('two', 'b')}\n\n## By hand\n`;
    expect(withSection(before, 'one', sectionWith('one', 'new'), order)).to.equal(
      before.replace('\na\n', '\nnew\n'),
    );
  });

  it('puts a new section behind that of the nearest part before it, or first', () => {
    const both = `# Head\n\n${sectionWith('one', 'a')}\n\n${sectionWith('three', 'c')}\n`;
    const marksIn = (text: string): string[] =>
      [...text.matchAll(/<!-- part: (\w+) -->/g)].map(([, name = '']) => name);
    expect(marksIn(withSection(both, 'two', sectionWith('two', 'b'), order))).to.deep.equal(order);
    const later = `# Head\n\n${sectionWith('two', 'b')}\n`;
    expect(marksIn(withSection(later, 'one', sectionWith('one', 'a'), order))).to.deep.equal(['one', 'two']);
    const fresh = withSection('', 'three', sectionWith('three', 'c'), order);
    expect(fresh).to.match(/^# Reliability\n/);
    expect(marksIn(fresh)).to.deep.equal(['three']);
  });

  it('takes sizes that belong to a part, and names only parts that are there', () => {
    expect(sizesFor(part, 'full', { runs: 3, seed: 9 })).to.deep.equal({ runs: 3, other: 2 });
    expect(partsNamed([])).to.equal(PARTS);
    expect(partsNamed(['kills,submits']).map(({ name }) => name)).to.deep.equal(['submits', 'kills']);
    expect(() => partsNamed(['kils'])).to.throw('no part is called kils: there are submits');
  });
});

describe('the judgement of a system-call trace', () => {
  const id = 'bb-0123abcd-1-pulse-1';
  const log = `11 pwrite64(20</db-wal>, "\\0${id}\\0", 4096, 56) = 4096`;
  const post = `12 write(30<socket:[1]>, "POST /api/v1/order {\\"newOrderClientId\\":\\"${id}\\"}", 300) = 300`;
  const rows: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['a POST behind its sync is fine', [log, '11 fdatasync(20</db-wal>) = 0', post], []],
    ['a POST without any sync is early', [log, post], [id]],
    ['a POST before its sync is early', [log, post, '11 fdatasync(20</db-wal>) = 0'], [id]],
    ['a sync before the write covers nothing', ['11 fdatasync(20</db-wal>) = 0', log, post], [id]],
    ['a sync of another file covers nothing', [log, '11 fdatasync(21</db>) = 0', post], [id]],
    ['a failed sync covers nothing', [log, '11 fdatasync(20</db-wal>) = -1 EIO', post], [id]],
    [
      'a sync that has not returned covers nothing',
      [log, '11 fdatasync(20</db-wal> <unfinished ...>', post, '11 <... fdatasync resumed>) = 0'],
      [id],
    ],
    [
      'a sync that has returned in two lines covers it',
      [log, '11 fdatasync(20</db-wal> <unfinished ...>', '11 <... fdatasync resumed>) = 0', post],
      [],
    ],
  ];
  for (const [title, lines, early] of rows)
    it(title, () => {
      const trace = new SyncTrace();
      for (const line of lines) trace.take(line);
      expect(trace.posts).to.equal(1);
      expect(trace.early).to.deep.equal(early);
    });
});
