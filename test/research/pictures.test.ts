import { expect } from 'chai';
import fc from 'fast-check';
import { applyNextPairs, applySnapshot, GONE, initialOrderBook } from '#src/domain/order-book.js';
import { type Overlay, type Picture, Pictures, type Shown } from '#src/research/pictures.js';
import { runs } from '../runs.js';

const BEST_BID = 1_000;
const DEEP = 120;

/** What happens between two pictures, and what is done with them. */
const step = fc.record({
  changes: fc.array(
    fc.tuple(
      fc.constantFrom<'bids' | 'asks'>('bids', 'asks'),
      fc.oneof({ weight: 4, arbitrary: fc.nat(5) }, fc.integer({ min: 92, max: 104 })),
      fc.oneof(fc.constant(GONE), fc.integer({ min: 1, max: 3 })),
    ),
    { maxLength: 6 },
  ),
  /** Ours, by depth: put in, or taken away when negative; null leaves the overlay as it is. */
  ours: fc.option(
    fc.record({
      buy: fc.uniqueArray(fc.tuple(fc.nat(4), fc.integer({ min: -3, max: 3 })), {
        maxLength: 2,
        selector: ([depth]) => depth,
      }),
      sell: fc.uniqueArray(fc.tuple(fc.integer({ min: 96, max: 102 }), fc.integer({ min: -3, max: 3 })), {
        maxLength: 2,
        selector: ([depth]) => depth,
      }),
    }),
    { freq: 3 },
  ),
  /** Whether a snapshot says the book of the beginning again. */
  restate: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, fc.constant(true)),
  look: fc.boolean(),
  replaceEarlier: fc.boolean(),
});

const overlayOf = (ours: {
  readonly buy: readonly (readonly [number, number])[];
  readonly sell: readonly (readonly [number, number])[];
}): Overlay => {
  const side = (all: readonly (readonly [number, number])[], sign: 1 | -1): readonly Shown[] =>
    all
      .map(([depth, lots]): Shown => [sign === 1 ? BEST_BID + 1 + depth : BEST_BID - depth, lots])
      .sort(([left], [right]) => sign * (left - right));
  return { buy: side(ours.buy, -1), sell: side(ours.sell, 1) };
};

const lookAt = (
  picture: Picture,
): { readonly levels: readonly number[] | null; readonly refusal: string } => {
  try {
    return { levels: [...picture.levels], refusal: '' };
  } catch (error) {
    return { levels: null, refusal: String(error) };
  }
};

describe('pictures of a book', () => {
  it('show it as it was when they were taken, whenever they are looked at, and are new only where it differs', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 25 }), steps => {
        const book = initialOrderBook();
        const ladder = (sign: 1 | -1, from: number): number[] =>
          Array.from({ length: DEEP }, (_, depth) => [from + sign * depth, 5]).flat();
        applySnapshot(book, 1, ladder(-1, BEST_BID), ladder(1, BEST_BID + 1));
        const pictures = new Pictures(book);
        let overlay: Overlay = { buy: [], sell: [] };
        let last: Picture | undefined;
        let lastLevels: readonly number[] = [];
        /** Not given back yet, and those that somebody has looked at. */
        const open = new Map<Picture, readonly number[]>();
        const seen = new Map<Picture, readonly number[]>();
        for (const { changes, ours, restate, look, replaceEarlier } of steps) {
          const pairs = (which: 'bids' | 'asks'): number[] =>
            [...new Map(changes.filter(([side]) => side === which).map(each => [each[1], each[2]]))]
              .sort(([left], [right]) => left - right)
              .flatMap(([depth, lots]) => [which === 'bids' ? BEST_BID - depth : BEST_BID + 1 + depth, lots]);
          const bids = pairs('bids');
          const numbers = Int32Array.from([...bids, ...pairs('asks')]);
          applyNextPairs(book, numbers, 0, bids.length, numbers.length);
          if (restate) applySnapshot(book, 1, ladder(-1, BEST_BID), ladder(1, BEST_BID + 1));
          if (ours !== null) overlay = overlayOf(ours);
          const levels = [...new Pictures(book).layOut(book, overlay)];
          const picture = pictures.take(overlay, last);
          expect(picture === last).to.equal(
            last !== undefined &&
              levels.length === lastLevels.length &&
              levels.every((each, at) => each === lastLevels[at]),
          );
          if (replaceEarlier && last !== undefined && picture !== last) {
            pictures.giveBack(last);
            // Never a newer book: what it showed, where somebody has looked, or a plain refusal.
            const { levels: shown, refusal } = lookAt(last);
            if (shown === null) expect(refusal).to.include('replaced by a newer one');
            else expect(shown).to.deep.equal(lastLevels);
            expect(shown === null && seen.has(last)).to.equal(false);
            open.delete(last);
          }
          last = picture;
          lastLevels = levels;
          open.set(picture, levels);
          if (look) {
            expect([...picture.levels]).to.deep.equal(levels);
            seen.set(picture, levels);
          }
        }
        for (const [picture, levels] of [...open, ...seen]) expect([...picture.levels]).to.deep.equal(levels);
      }),
      { numRuns: runs(150) },
    );
  });
});
