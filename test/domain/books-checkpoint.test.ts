import { expect } from 'chai';
import fc from 'fast-check';
import {
  type Accounting,
  accountingFrom,
  type BooksFold,
  bookFill,
  byExecution,
  expectedBalances,
  fillCount,
  initialAccounting,
  isBooked,
  openCostFifo,
  type Position,
  pairFromSymbol,
  realized,
  realizedFifo,
  refoldSymbol,
  settleOldest,
  unrealized,
} from '#src/domain/accounting.js';
import { cutOf, decodeBooks, encodeBooks, foldFills, reachesBefore } from '#src/domain/books-checkpoint.js';
import { parseDecimal } from '#src/domain/money.js';
import type { Fill } from '#src/domain/order.js';

const runs = Number(process.env.BTCBOT_RUNS ?? 500);
const OPENED = { atMs: 1_000, balances: [] };

const label = (strategy: string, n: number): string => `bb-0123abcd-1-${strategy}-${n.toString(36)}`;

/** Fills in the order in which they become known, mostly that of their execution, of several books and fee assets. */
const histories = fc
  .array(
    fc.record({
      symbol: fc.constantFrom('BTCTRY', 'BTCTRY', 'ETHUSDT'),
      owner: fc.constantFrom('maker', 'maker', 'taker', null),
      side: fc.constantFrom('buy' as const, 'sell' as const),
      price: fc.bigInt(1n, 9_999_999n),
      quantity: fc.bigInt(1n, 10n ** 17n),
      fee: fc.bigInt(0n, 10n ** 14n),
      tax: fc.bigInt(0n, 10n ** 13n),
      feeAsset: fc.constantFrom('TRY', 'USDT', 'BTC', 'BNB'),
      laterMs: fc.integer({ min: 0, max: 3 }),
      knownLate: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 12 })),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map(drafts => {
    let atMs = OPENED.atMs;
    const known = drafts.map((draft, n) => {
      atMs += draft.laterMs;
      const fill: Fill = {
        tradeId: String(900 + ((n * 7) % 200)),
        venueOrderId: String(n),
        clientOrderId: draft.owner === null ? null : label(draft.owner, n),
        symbol: draft.symbol,
        side: draft.side,
        price: draft.price * 10n ** 11n,
        quantity: draft.quantity,
        fee: draft.fee,
        tax: draft.tax,
        feeAsset: draft.feeAsset,
        executedAtMs: atMs,
      };
      return { fill, place: n + draft.knownLate };
    });
    return known.sort((left, right) => left.place - right.place).map(({ fill }) => fill);
  });

const book = (accounting: Accounting, fills: readonly Fill[]): Accounting => {
  for (const fill of fills) bookFill(accounting, fill, pairFromSymbol(fill.symbol, fill.feeAsset));
  return accounting;
};

const sums = (position: Position): unknown => {
  const { foundation, fills, ...rest } = position;
  return { ...rest, fifo: realizedFifo(position), net: realized(position), openFifo: openCostFifo(position) };
};

const sorted = (entries: Iterable<readonly [string, unknown]>): unknown =>
  [...entries].sort(([left], [right]) => (left < right ? -1 : 1));

/** Everything a book says, whatever it keeps in memory for it. */
const picture = (accounting: Accounting): unknown => ({
  balances: sorted(expectedBalances(accounting)),
  otherCosts: sorted(accounting.otherCosts),
  positions: sorted([...accounting.positions].map(([symbol, position]) => [symbol, sums(position)] as const)),
  fills: fillCount(accounting),
});

const ownersOf = (fills: readonly Fill[]): Record<string, Fill[]> => ({
  own: fills.filter(fill => fill.clientOrderId !== null),
  foreign: fills.filter(fill => fill.clientOrderId === null),
  maker: fills.filter(fill => fill.clientOrderId?.includes('-maker-') === true),
  taker: fills.filter(fill => fill.clientOrderId?.includes('-taker-') === true),
});

const inMemory = (
  books: BooksFold | undefined,
  tail: readonly Fill[],
  earlier: readonly Fill[],
): Accounting =>
  book(
    books === undefined
      ? initialAccounting(OPENED)
      : accountingFrom(OPENED, books, new Set(earlier.map(fill => fill.tradeId))),
    tail,
  );

describe('checkpoints of the books', () => {
  it('go on exactly as if every fill had been folded from nothing, whatever the history and the place', () => {
    fc.assert(
      fc.property(histories, fc.nat(30), fc.nat(30), (fills, keepFirst, keep) => {
        // One checkpoint on top of another, both through text.
        const half = fills.slice(0, fills.length >> 1);
        const firstCut = cutOf(half, keepFirst);
        const first = firstCut === 0 ? null : foldFills(null, half.slice(0, firstCut), OPENED.atMs);
        const base = first === null ? null : decodeBooks(encodeBooks(first));
        const later = fills.slice(firstCut);
        if (base !== null && reachesBefore(base, later)) {
          expect(foldFills(base, later, OPENED.atMs) === null || !mixes(base, later)).to.equal(true);
          return;
        }
        const cut = firstCut + cutOf(later, keep);
        const folded = foldFills(base, fills.slice(firstCut, cut), OPENED.atMs);
        if (folded === null) throw new Error('a valid place was refused');
        const books = decodeBooks(encodeBooks(folded));
        const whole = ownersOf(fills);
        const tail = ownersOf(fills.slice(cut));
        const byOwner: Record<string, BooksFold | undefined> = {
          own: books.own,
          foreign: books.foreign,
          maker: books.strategies.get('maker'),
          taker: books.strategies.get('taker'),
        };
        for (const owner of Object.keys(whole))
          expect(picture(inMemory(byOwner[owner], tail[owner] ?? [], fills.slice(0, cut)))).to.deep.equal(
            picture(book(initialAccounting(OPENED), whole[owner] ?? [])),
          );
      }),
      { numRuns: runs },
    );
  });

  /** Whether a late fill belongs before fills of its own book. */
  const mixes = (base: NonNullable<ReturnType<typeof foldFills>>, later: readonly Fill[]): boolean =>
    later.some(fill => {
      const books = fill.clientOrderId === null ? base.foreign : base.own;
      const newest = books.positions.get(fill.symbol)?.foundation.newest;
      return newest !== undefined && byExecution(newest, fill) > 0;
    });

  it('leave as many fills out as were wanted, unless a late one moves the place', () => {
    const at = (executedAtMs: number): Fill => fill({ tradeId: String(executedAtMs), executedAtMs });
    expect(cutOf([at(1), at(2), at(3), at(4)], 2)).to.equal(2);
    expect(cutOf([at(1), at(2), at(3), at(4)], 9)).to.equal(0);
    expect(cutOf([at(1), at(3), at(4), at(2)], 2)).to.equal(1);
    expect(cutOf([at(3), at(4), at(1), at(5)], 2)).to.equal(3);
    expect(cutOf([at(3), { ...at(1), symbol: 'ETHTRY' }], 1)).to.equal(1);
  });

  it("are refused over another's fill before the opening, a trade that is there twice, and one before the base", () => {
    const one = fill({ tradeId: '1', executedAtMs: 2_000 });
    expect(foldFills(null, [{ ...one, clientOrderId: null, executedAtMs: 999 }], 1_000)).to.equal(null);
    expect(foldFills(null, [{ ...one, executedAtMs: 999 }], 1_000)).to.not.equal(null);
    expect(foldFills(null, [one, one], 1_000)).to.equal(null);
    const base = foldFills(null, [one], 1_000);
    expect(foldFills(base, [fill({ tradeId: '0', executedAtMs: 1_500 })], 1_000)).to.equal(null);
  });

  it('keep their format: what an earlier version wrote is read to the same books', () => {
    const books = foldFills(
      null,
      [
        fill({ tradeId: '1', executedAtMs: 1_001, fee: parseDecimal('0.1') }),
        fill({ tradeId: '2', executedAtMs: 1_002, side: 'sell', quantity: parseDecimal('0.4') }),
        fill({
          tradeId: '3',
          executedAtMs: 1_003,
          clientOrderId: null,
          fee: parseDecimal('2'),
          feeAsset: 'BNB',
        }),
      ],
      1_000,
    );
    if (books === null) throw new Error('the fills are in order');
    const fold = (lots: string): string =>
      `{"changes":[["BTC","6000000000000000"],["TRY","-601000000000000000"]],"otherCosts":[],"positions":[{"pair":["BTCTRY","BTC","TRY"],"sums":["6000000000000000","600000000000000000","0","0","1000000000000000","0","10000000000000000","4000000000000000","1400000000000000000"],"lots":"${lots}","fillCount":2,"newest":[1002,"2"]}]}`;
    const foreign =
      '{"changes":[["BTC","10000000000000000"],["TRY","-1000000000000000000"],["BNB","-20000000000000000"]],"otherCosts":[["BNB","20000000000000000"]],"positions":[{"pair":["BTCTRY","BTC","TRY"],"sums":["10000000000000000","1000000000000000000","0","0","0","0","10000000000000000","0","1000000000000000000"],"lots":"10000000000000000 1000000000000000000 1003","fillCount":1,"newest":[1003,"3"]}]}';
    const own = fold('6000000000000000 600000000000000000 1001');
    const text = `{"own":${own},"foreign":${foreign},"strategies":[["maker","own"]]}`;
    expect(encodeBooks(books)).to.equal(text);
    expect(decodeBooks(text)).to.deep.equal(books);
  });

  it('are not read from a text that is something else', () => {
    const lots = (text: string): string =>
      `{"changes":[],"otherCosts":[],"positions":[{"pair":["A","B","C"],"sums":["1","1","1","1","1","1","1","1","1"],"lots":"${text}","fillCount":1,"newest":[1,"2"]}]}`;
    const whole = (text: string): string => `{"own":${lots(text)},"foreign":${lots('')},"strategies":[]}`;
    expect(decodeBooks(whole('1 2 3;4 -5 6')).own.positions.get('A')?.foundation.lots).to.deep.equal([
      { quantity: 1n, cost: 2n, openedAtMs: 3 },
      { quantity: 4n, cost: -5n, openedAtMs: 6 },
    ]);
    for (const text of ['1', '1 2', '1 2 ', ' 2 3', '1  3', '1 2 x', '1 2 3;;', 'x 2 3', '1 2 3;4'])
      expect(() => decodeBooks(whole(text)), text).to.throw();
    for (const text of ['', '{}', '{"own":{},"foreign":{},"strategies":[]}', '[]', 'null'])
      expect(() => decodeBooks(text), text).to.throw();
  });
});

describe('books that forget their oldest fills', () => {
  const mark = parseDecimal('123');

  it('say the same, and a fill from before what they remember is booked right once the history is folded again', () => {
    fc.assert(
      fc.property(histories, fc.nat(6), fc.nat(40), (fills, keep, latest) => {
        const own = ownersOf(fills).own ?? [];
        const [late] = own.splice(latest % Math.max(1, own.length), 1);
        if (late === undefined) return;
        const books = initialAccounting(OPENED);
        for (const each of own) {
          book(books, [each]);
          settleOldest(books, keep);
          for (const symbol of books.outOfOrder)
            expect(refoldSymbol(books, symbol, ofSymbol(own, symbol))).to.equal(true);
        }
        expect(picture(books)).to.deep.equal(picture(book(initialAccounting(OPENED), own)));

        expect(isBooked(books, late.tradeId)).to.equal(false);
        book(books, [late]);
        const whole = book(initialAccounting(OPENED), [...own, late]);
        expect(totals(books)).to.deep.equal(totals(whole));
        const history = ofSymbol([...own, late], late.symbol);
        if (books.outOfOrder.has(late.symbol))
          expect(refoldSymbol(books, late.symbol, history)).to.equal(true);
        expect(picture(books)).to.deep.equal(picture(whole));
        for (const each of history) expect(isBooked(books, each.tradeId)).to.equal(true);
      }),
      { numRuns: runs },
    );
  });

  const ofSymbol = (fills: readonly Fill[], symbol: string): Fill[] =>
    fills.filter(fill => fill.symbol === symbol);

  /** What does not depend on the order of the fills. */
  const totals = (accounting: Accounting): unknown => ({
    balances: sorted(expectedBalances(accounting)),
    positions: sorted(
      [...accounting.positions].map(
        ([symbol, position]) =>
          [
            symbol,
            {
              quantity: position.quantity,
              fees: position.fees,
              taxes: position.taxes,
              turnover: position.turnover,
              profit: realized(position) + unrealized(position, mark),
            },
          ] as const,
      ),
    ),
  });

  it('book no forgotten trade again, and leave the history alone that is not whole', () => {
    const fills = Array.from({ length: 9 }, (_, n) => fill({ tradeId: String(n), executedAtMs: 2_000 + n }));
    const books = book(initialAccounting(OPENED), fills);
    settleOldest(books, 2);
    expect([...books.booked.keys()]).to.deep.equal(['7', '8']);
    expect(bookFill(books, fill({ tradeId: '3', executedAtMs: 9_000 }), pairFromSymbol('BTCTRY'))).to.equal(
      'settled',
    );
    book(books, [fill({ tradeId: 'late', executedAtMs: 1_500 })]);
    expect([...books.outOfOrder]).to.deep.equal(['BTCTRY']);
    expect(refoldSymbol(books, 'BTCTRY', fills.slice(1))).to.equal(false);
    expect(refoldSymbol(books, 'BTCTRY', [...fills, fill({ tradeId: 'new', executedAtMs: 9_000 })])).to.equal(
      true,
    );
    expect(fillCount(books)).to.equal(10);
    expect(isBooked(books, 'new')).to.equal(false);
  });
});

const fill = (changes: Partial<Fill>): Fill => ({
  tradeId: '1',
  venueOrderId: '7',
  clientOrderId: label('maker', 1),
  symbol: 'BTCTRY',
  side: 'buy',
  price: parseDecimal('100'),
  quantity: parseDecimal('1'),
  fee: 0n,
  tax: 0n,
  feeAsset: 'TRY',
  executedAtMs: 2_000,
  ...changes,
});
