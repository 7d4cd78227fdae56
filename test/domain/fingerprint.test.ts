import { expect } from 'chai';
import fc from 'fast-check';
import { fingerprintOf } from '#src/domain/fingerprint.js';
import { runs } from '../runs.js';

const book = (version: number, levels: readonly number[]): unknown => ({
  type: 'book-updated',
  id: `market-data:${version}:1`,
  cause: 'socket',
  book: {
    symbol: 'BTCTRY',
    version,
    trusted: true,
    receivedMonoMs: version * 100,
    levels: Float64Array.from(levels),
  },
});

describe('the fingerprint of a message', () => {
  it('is the same when the same is said again, with other ids, versions and times', () => {
    expect(fingerprintOf(book(1, [1, 2, 3]))).to.deep.equal(fingerprintOf(book(99, [1, 2, 3])));
    const fill = (at: number) => ({
      type: 'fill-booked',
      id: String(at),
      fill: { price: 5n, executedAtMs: at },
    });
    expect(fingerprintOf(fill(1))).to.deep.equal(fingerprintOf(fill(2)));
  });

  it('tells other contents apart', () => {
    const messages: readonly unknown[] = [
      book(1, [1, 2, 3]),
      book(1, [1, 2, 4]),
      book(1, [1, 3, 2]),
      book(1, [1, 2]),
      { type: 'a' },
      { type: 'b' },
      { a: 'type' },
      { amount: 5n },
      { amount: 50n },
      { amount: 0.1 },
      { amount: 0.2 },
      { amount: 2 ** 40 },
      { amount: null },
      { amount: true },
      { amount: false },
      ['a', 'b'],
      ['ab'],
      'text',
      new Map([['a', 1]]),
    ];
    const prints = messages.map(message => fingerprintOf(message).join());
    expect(new Set(prints).size).to.equal(messages.length);
  });

  it('ends for any message, however deep or long, and does not change', () => {
    fc.assert(
      fc.property(fc.anything({ maxDepth: 12, withBigInt: true, withMap: true }), message => {
        expect(fingerprintOf(message)).to.deep.equal(fingerprintOf(message));
      }),
      { numRuns: runs(300) },
    );
    const deep: { inner?: unknown } = {};
    deep.inner = deep;
    expect(fingerprintOf(deep)).to.have.length(2);
  });
});
