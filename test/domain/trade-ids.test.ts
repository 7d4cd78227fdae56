import { expect } from 'chai';
import fc from 'fast-check';
import { TradeIds } from '#src/domain/trade-ids.js';
import { runs } from '../runs.js';

/** As the venue's, and everything that is nearly one. */
const ids = fc.oneof(
  fc.bigInt({ min: 0n, max: 40n }).map(String),
  fc.bigInt({ min: 1_263_118_840_021_773_300n, max: 1_263_118_840_021_773_340n }).map(String),
  fc.constantFrom('18446744073709551615', '18446744073709551616', '99999999999999999999', '4294967296'),
  fc.constantFrom('', '0', '00', '07', '+7', '7.0', ' 7', '７', '431-1', 'e7'),
  fc.string(),
);

describe('the ids of booked trades', () => {
  it('are those that were added and not taken out again, whatever they look like', () => {
    const acts = fc.array(fc.tuple(fc.constantFrom('add', 'add', 'delete'), ids), {
      maxLength: 200,
      size: 'max',
    });
    fc.assert(
      fc.property(acts, fc.array(ids, { maxLength: 50 }), (history, asked) => {
        const kept = new TradeIds();
        const model = new Set<string>();
        for (const [act, id] of history) {
          if (act === 'add') {
            kept.add(id);
            model.add(id);
          } else expect(kept.delete(id)).to.equal(model.delete(id));
          expect(kept.size).to.equal(model.size);
        }
        for (const id of [...asked, ...history.map(([, each]) => each)])
          expect(kept.has(id), id).to.equal(model.has(id));
      }),
      { numRuns: runs(300) },
    );
  });

  it('are all there when there are many, none beside them, and they take a few bytes each', () => {
    const count = 50_000;
    const nth = (n: number): string => String(1_263_118_840_021_773_311n + 7n * BigInt(n));
    const before = process.memoryUsage().arrayBuffers;
    const kept = new TradeIds(Array.from({ length: count }, (_, n) => nth(n)));
    // The array that it has outgrown may still be there.
    expect((process.memoryUsage().arrayBuffers - before) / count).to.be.below(50);
    expect(kept.size).to.equal(count);
    for (let n = 0; n < count; n++) {
      if (!kept.has(nth(n))) expect.fail(`${nth(n)} is lost`);
      if (kept.has(String(BigInt(nth(n)) + 1n))) expect.fail(`${nth(n)} has a neighbour`);
    }
    for (let n = 0; n < count; n += 2) kept.delete(nth(n));
    expect(kept.size).to.equal(count / 2);
    for (let n = 0; n < count; n++) if (kept.has(nth(n)) !== (n % 2 === 1)) expect.fail(nth(n));
  });
});
