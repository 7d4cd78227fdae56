import { expect } from 'chai';
import fc from 'fast-check';
import type { Side } from '#src/domain/instrument.js';
import {
  emptyBook,
  levelAt,
  levelsOf,
  type MatchingBook,
  marketBound,
  place,
  type RestingOrder,
  reduce,
  rest,
  spend,
  take,
  touch,
  withdraw,
} from '#src/domain/matching.js';
import { fromInteger, type Price, parseDecimal, type Quantity } from '#src/domain/money.js';

const RUNS = Number(process.env.BTCBOT_RUNS ?? 1_000);
const price = (units: number): Price => fromInteger(units);
const quantity = (units: number): Quantity => fromInteger(units);

interface Seen {
  readonly maker: string;
  readonly price: Price;
  readonly quantity: Quantity;
}

const recorder = (): { matches: Seen[]; onMatch: (maker: RestingOrder<string>, q: Quantity) => void } => {
  const matches: Seen[] = [];
  return {
    matches,
    onMatch: (maker, q) => matches.push({ maker: maker.ref, price: maker.price, quantity: q }),
  };
};

const bookOf = (orders: readonly (readonly [string, Side, number, number])[]): MatchingBook<string> => {
  const book = emptyBook<string>();
  for (const [name, side, at, size] of orders) rest(book, side, price(at), quantity(size), name);
  return book;
};

const ASKS = [
  ['a', 'sell', 101, 1],
  ['b', 'sell', 101, 2],
  ['c', 'sell', 102, 3],
  ['far', 'sell', 110, 5],
] as const;
const BIDS = [
  ['d', 'buy', 99, 1],
  ['e', 'buy', 98, 2],
  ['f', 'buy', 98, 3],
] as const;

describe('matching', () => {
  for (const row of [
    {
      title: 'a buy below the best ask rests',
      side: 'buy',
      at: 100,
      size: 1,
      matched: [],
      rested: 1,
    },
    {
      title: 'a buy at the best ask takes the older order first',
      side: 'buy',
      at: 101,
      size: 2,
      matched: [
        ['a', 101, 1],
        ['b', 101, 1],
      ],
      rested: 0,
    },
    {
      title: 'a buy through two levels pays each its own price and rests the remainder',
      side: 'buy',
      at: 102,
      size: 8,
      matched: [
        ['a', 101, 1],
        ['b', 101, 2],
        ['c', 102, 3],
      ],
      rested: 2,
    },
    {
      title: 'a sell above the best bid rests',
      side: 'sell',
      at: 100,
      size: 1,
      matched: [],
      rested: 1,
    },
    {
      title: 'a sell takes the highest bid first, then the older one below',
      side: 'sell',
      at: 98,
      size: 4,
      matched: [
        ['d', 99, 1],
        ['e', 98, 2],
        ['f', 98, 1],
      ],
      rested: 0,
    },
  ] as const) {
    it(row.title, () => {
      const book = bookOf([...ASKS, ...BIDS]);
      const { matches, onMatch } = recorder();
      const left = place(book, row.side, price(row.at), quantity(row.size), 'taker', onMatch);
      expect(matches).to.deep.equal(
        row.matched.map(([maker, at, size]) => ({ maker, price: price(at), quantity: quantity(size) })),
      );
      expect(left?.remaining ?? 0n).to.equal(quantity(row.rested));
      if (row.rested > 0) expect(touch(book, row.side)?.newest?.ref).to.equal('taker');
    });
  }

  it('a market order stops at its bound and hands back the rest', () => {
    const book = bookOf(ASKS);
    const { matches, onMatch } = recorder();
    const bound = marketBound(book, 'buy', 5n);
    expect(bound).to.equal(parseDecimal('106.05'));
    expect(take(book, 'buy', bound ?? null, quantity(20), onMatch)).to.equal(quantity(14));
    expect(matches.map(match => match.maker)).to.deep.equal(['a', 'b', 'c']);
    expect(touch(book, 'sell')?.price).to.equal(price(110));
  });

  it('a market order without a counterpart has no bound', () => {
    expect(marketBound(bookOf(ASKS), 'sell', 5n)).to.equal(undefined);
    expect(marketBound(bookOf(BIDS), 'sell', 5n)).to.equal(parseDecimal('94.05'));
  });

  it('a budget buys level by level until it is gone', () => {
    const book = bookOf(ASKS);
    let budget = 101n * 3n + 51n;
    const bought: [string, Quantity][] = [];
    spend(
      book,
      null,
      at => (budget * fromInteger(1)) / (at / fromInteger(1)),
      (maker, q) => {
        budget -= (q * (maker.price / fromInteger(1))) / fromInteger(1);
        bought.push([maker.ref, q]);
      },
    );
    expect(bought).to.deep.equal([
      ['a', quantity(1)],
      ['b', quantity(2)],
      ['c', parseDecimal('0.5')],
    ]);
    expect(budget).to.equal(0n);
  });

  it('a reduced order keeps its place and a withdrawn one leaves no empty level', () => {
    const book = bookOf(ASKS);
    const older = levelAt(book, 'sell', price(101))?.oldest;
    if (older === null || older === undefined) throw new Error('no order at 101');
    reduce(book, older, parseDecimal('0.5'));
    const { matches, onMatch } = recorder();
    take(book, 'buy', price(101), quantity(1), onMatch);
    expect(matches.map(match => match.maker)).to.deep.equal(['a', 'b']);
    const left = levelAt(book, 'sell', price(101))?.oldest;
    if (left === null || left === undefined) throw new Error('no order left at 101');
    withdraw(book, left);
    withdraw(book, left);
    expect(levelAt(book, 'sell', price(101))).to.equal(undefined);
    expect(touch(book, 'sell')?.price).to.equal(price(102));
  });

  it('an order put ahead trades before those already there', () => {
    const book = bookOf([['ours', 'buy', 90, 1]]);
    rest(book, 'buy', price(90), quantity(2), 'returned', 'ahead');
    const { matches, onMatch } = recorder();
    take(book, 'sell', price(90), quantity(3), onMatch);
    expect(matches.map(match => match.maker)).to.deep.equal(['returned', 'ours']);
  });

  it('any history keeps the book sorted and uncrossed, its totals right, and creates or loses no quantity', () => {
    const action = fc.oneof(
      fc.record({
        type: fc.constant('limit' as const),
        side: fc.constantFrom<Side>('buy', 'sell'),
        at: fc.integer({ min: 90, max: 110 }),
        size: fc.integer({ min: 1, max: 20 }),
      }),
      fc.record({
        type: fc.constant('market' as const),
        side: fc.constantFrom<Side>('buy', 'sell'),
        size: fc.integer({ min: 1, max: 40 }),
      }),
      fc.record({ type: fc.constant('cancel' as const), pick: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), actions => {
        const book = emptyBook<number>();
        const resting = new Map<number, RestingOrder<number>>();
        let placed = 0n;
        let withdrawn = 0n;
        let matched = 0n;
        let next = 1;
        for (const step of actions) {
          const bestBefore = { buy: touch(book, 'buy')?.price, sell: touch(book, 'sell')?.price };
          const makers: RestingOrder<number>[] = [];
          const onMatch = (maker: RestingOrder<number>, q: Quantity): void => {
            expect(q > 0n).to.equal(true);
            matched += q;
            makers.push(maker);
            if (maker.remaining === 0n) resting.delete(maker.ref);
          };
          if (step.type === 'limit') {
            const id = next++;
            placed += quantity(step.size);
            const left = place(book, step.side, price(step.at), quantity(step.size), id, onMatch);
            if (left !== null) resting.set(id, left);
            for (const maker of makers)
              expect(
                step.side === 'buy' ? maker.price <= price(step.at) : maker.price >= price(step.at),
              ).to.equal(true);
          } else if (step.type === 'market') {
            const left = take(book, step.side, null, quantity(step.size), onMatch);
            placed += quantity(step.size) - left;
          } else if (resting.size > 0) {
            const id = [...resting.keys()][step.pick % resting.size];
            const order = id === undefined ? undefined : resting.get(id);
            if (id === undefined || order === undefined) throw new Error('picked nothing');
            withdrawn += order.remaining;
            withdraw(book, order);
            resting.delete(id);
          }
          for (let index = 1; index < makers.length; index++) {
            const [earlier, later] = [makers[index - 1], makers[index]];
            if (earlier === undefined || later === undefined) throw new Error('out of range');
            const worse = later.side === 'sell' ? later.price > earlier.price : later.price < earlier.price;
            expect(worse || (later.price === earlier.price && later.ref > earlier.ref)).to.equal(true);
          }
          if (makers.length > 0) {
            const first = makers[0];
            expect(first?.price).to.equal(first?.side === 'sell' ? bestBefore.sell : bestBefore.buy);
          }
          const bid = touch(book, 'buy')?.price;
          const ask = touch(book, 'sell')?.price;
          if (bid !== undefined && ask !== undefined) expect(bid < ask).to.equal(true);
        }
        let open = 0n;
        for (const side of ['buy', 'sell'] as const) {
          let last: Price | undefined;
          for (const level of levelsOf(book, side)) {
            if (last !== undefined)
              expect(side === 'buy' ? level.price > last : level.price < last).to.equal(true);
            last = level.price;
            let total = 0n;
            for (let order = level.oldest; order !== null; order = order.newer) {
              total += order.remaining;
              expect(resting.get(order.ref)).to.equal(order);
            }
            expect(level.total).to.equal(total);
            expect(total > 0n).to.equal(true);
            open += total;
          }
        }
        expect(placed).to.equal(open + withdrawn + 2n * matched);
      }),
      { numRuns: RUNS },
    );
  });
});
