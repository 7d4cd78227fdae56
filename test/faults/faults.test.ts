import { expect } from 'chai';
import { hasStrace, SyncTrace, syncsBeforePosts } from './fsync.js';
import { sudden } from './kills.js';
import { faultySubmits } from './submits.js';

/** The first minute of `npm run faults`; the long run writes docs/RELIABILITY.md. */
describe('the money path through real threads and sockets', function () {
  this.timeout(180_000);

  it('sends no intent twice and knows every order while the venue swallows its answers', async () => {
    const result = await faultySubmits({ submits: 24, bots: 1, seed: 11, probability: 0.1 });
    expect(result.violations).to.deep.equal([]);
    expect(result.unresolved).to.equal(0);
    expect(result.submits).to.be.at.least(24);
    const struck = Object.values(result.struck).reduce((sum, times) => sum + times, 0);
    expect(struck, 'faults that struck').to.be.greaterThan(0);
  });

  it('is killed at random and at named moments, and its ledger equals the exchange after each start', async () => {
    const result = await sudden({
      kills: 1,
      points: ['after-commit', 'mid-request', 'before-response', 'recovery-read'],
      perPoint: 1,
      lanes: 1,
      seed: 5,
    });
    expect(result.violations).to.deep.equal([]);
    expect(result.deaths).to.have.length(6);
    expect(result.orders).to.be.greaterThan(0);
  });

  it('writes no byte of a POST before the log with its intent is synced, on a fresh and a reopened ledger', async function () {
    if (!hasStrace()) {
      console.log('      skipped: strace is absent; the rows below prove the judgement alone');
      this.skip();
    }
    const { fresh, reopened } = await syncsBeforePosts(5, 77);
    expect(fresh.posts).to.be.at.least(5);
    expect(reopened.posts).to.be.at.least(5);
    expect([...fresh.early, ...reopened.early]).to.deep.equal([]);
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
