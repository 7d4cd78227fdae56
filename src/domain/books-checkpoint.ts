/**
 * Checkpoints of the books: what a long history of fills folds into, so that a start reads the newest fills alone. A
 * checkpoint stands for the ledger's fills up to a place, and books that go on from it equal those folded from nothing,
 * to the last digit: no later fill may have been executed before one of its symbol that it has folded.
 */
import {
  type Accounting,
  accountingFrom,
  type BooksFold,
  bookFill,
  byExecution,
  type Foundation,
  foldOf,
  initialAccounting,
  type Lot,
  type Pair,
  pairFromSymbol,
} from './accounting.js';
import { strategyTagIn } from './client-order-id.js';
import type { Amount } from './money.js';
import type { Fill } from './order.js';
import { TradeIds } from './trade-ids.js';
import type { Balance } from './venue-port.js';

/** Of the text and of the rules of the fold: a checkpoint of another format is no checkpoint. */
export const CHECKPOINT_FORMAT = 1;

/** Every book that is kept of the fills. */
export interface FoldedBooks {
  /** Of the bot's own orders. */
  readonly own: BooksFold;
  /** Of what others traded on the account. */
  readonly foreign: BooksFold;
  /** Of each strategy's own orders, by its tag in their labels. */
  readonly strategies: ReadonlyMap<string, BooksFold>;
}

/**
 * Folds fills, given in any order, on top of a base.
 * @param openingAtMs Unix ms of the opening balances; null for books that were never opened
 * @returns null when they cannot be folded: one of them lies before the opening or before a fill of the base, or is
 *   there twice.
 */
export const foldFills = (
  base: FoldedBooks | null,
  fills: readonly Fill[],
  openingAtMs: number | null,
): FoldedBooks | null => {
  const opened = { balances: [], atMs: openingAtMs ?? 0 };
  const own = goOn(base?.own, opened);
  const foreign = goOn(base?.foreign, opened);
  const only = onlyStrategy(base, fills);
  const strategies = new Map<string, Accounting>();
  if (only === null)
    for (const [tag, fold] of base?.strategies ?? []) strategies.set(tag, goOn(fold, opened));
  for (const fill of [...fills].sort(byExecution)) {
    const pair = pairFromSymbol(fill.symbol, fill.feeAsset);
    const books = fill.clientOrderId === null ? foreign : own;
    if (bookFill(books, fill, pair) !== 'booked' || books.outOfOrder.size > 0) return null;
    const tag = only === null ? tagOf(fill) : null;
    if (tag === null) continue;
    const strategy = strategies.get(tag) ?? goOn(undefined, opened);
    strategies.set(tag, strategy);
    bookFill(strategy, fill, pair);
  }
  const ownFold = foldOf(own);
  return {
    own: ownFold,
    foreign: foldOf(foreign),
    strategies:
      only === null
        ? new Map([...strategies].map(([tag, books]) => [tag, foldOf(books)]))
        : new Map([[only, ownFold]]),
  };
};

const tagOf = (fill: Fill): string | null =>
  fill.clientOrderId === null ? null : strategyTagIn(fill.clientOrderId);

/** The strategy whose books are the bot's own, so that they are folded once; null when there are others, or none. */
const onlyStrategy = (base: FoldedBooks | null, fills: readonly Fill[]): string | null => {
  const [known] = base?.strategies ?? [];
  if (base !== null && base.own.positions.size > 0 && (known === undefined || known[1] !== base.own))
    return null;
  const own = fills.filter(fill => fill.clientOrderId !== null);
  const tag = known?.[0] ?? (own[0] === undefined ? null : tagOf(own[0]));
  return own.every(fill => tagOf(fill) === tag) ? tag : null;
};

const goOn = (
  fold: BooksFold | undefined,
  opened: { readonly balances: readonly Balance[]; readonly atMs: number },
): Accounting =>
  fold === undefined ? initialAccounting(opened) : accountingFrom(opened, fold, new TradeIds());

/** Whether one of the fills was executed before a fill of its symbol that the books have folded. */
export const reachesBefore = (books: FoldedBooks, fills: readonly Fill[]): boolean =>
  fills.some(fill =>
    [books.own, books.foreign].some(fold => {
      const newest = fold.positions.get(fill.symbol)?.foundation.newest;
      return newest !== undefined && byExecution(newest, fill) > 0;
    }),
  );

/**
 * How many of `fills`, in the order in which they were booked, may be folded away: all but about the newest `keep`, so
 * that none of the others was executed before one of its symbol among them.
 */
export const cutOf = (fills: readonly Fill[], keep: number): number => {
  const crossed = crossedCuts(fills);
  const wanted = Math.max(0, fills.length - keep);
  for (let cut = wanted; cut > 0; cut--) if (crossed[cut] === 0) return cut;
  if (wanted === 0) return 0;
  let cut = wanted + 1;
  while (crossed[cut] !== 0) cut += 1;
  return cut;
};

/** For each number of fills before a cut, how many after it should come before one of those; 0 after the last fill. */
const crossedCuts = (fills: readonly Fill[]): Int32Array => {
  const change = new Int32Array(fills.length + 2);
  /** By symbol, where each fill stands that is newer than all before it. */
  const records = new Map<string, number[]>();
  for (const [index, fill] of fills.entries()) {
    const own = records.get(fill.symbol) ?? [];
    records.set(fill.symbol, own);
    const first = own[firstNewer(fills, own, fill)];
    if (first === undefined) {
      own.push(index);
      continue;
    }
    change[first + 1] = (change[first + 1] ?? 0) + 1;
    change[index + 1] = (change[index + 1] ?? 0) - 1;
  }
  for (let cut = 1; cut < change.length; cut++) change[cut] = (change[cut] ?? 0) + (change[cut - 1] ?? 0);
  return change;
};

/** Position of the first record that is newer than a fill; their number when none is. */
const firstNewer = (fills: readonly Fill[], records: readonly number[], fill: Fill): number => {
  let from = 0;
  let to = records.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (byExecution(fills[records[middle] as number] as Fill, fill) > 0) to = middle;
    else from = middle + 1;
  }
  return from;
};

/** In place of a strategy's books: the bot's own, as where no other strategy ever traded. */
const SAME_AS_OWN = 'own';

/** As text. A lot takes about fifty bytes. */
export const encodeBooks = (books: FoldedBooks): string => {
  const strategies = [...books.strategies].map(([tag, fold]) => [
    tag,
    fold === books.own ? SAME_AS_OWN : foldText(fold),
  ]);
  return JSON.stringify({ own: foldText(books.own), foreign: foldText(books.foreign), strategies });
};

const SUMS = [
  'quantity',
  'cost',
  'grossRealized',
  'grossRealizedFifo',
  'fees',
  'taxes',
  'bought',
  'sold',
  'turnover',
] as const;

const foldText = ({ changes, otherCosts, positions }: BooksFold): unknown => ({
  changes: amountsText(changes),
  otherCosts: amountsText(otherCosts),
  positions: [...positions.values()].map(({ pair, foundation }) => ({
    pair: [pair.symbol, pair.base, pair.quote],
    sums: SUMS.map(sum => String(foundation[sum])),
    lots: foundation.lots.map(lot => `${lot.quantity} ${lot.cost} ${lot.openedAtMs}`).join(';'),
    fillCount: foundation.fillCount,
    newest: [foundation.newest.executedAtMs, foundation.newest.tradeId],
  })),
});

const amountsText = (amounts: ReadonlyMap<string, Amount>): unknown =>
  [...amounts].map(([asset, amount]) => [asset, String(amount)]);

/** @throws Error when the text is no checkpoint of this format. */
export const decodeBooks = (text: string): FoldedBooks => {
  const { own: ownText, foreign, strategies } = fieldsOf(JSON.parse(text));
  const own = foldFrom(ownText);
  return {
    own,
    foreign: foldFrom(foreign),
    strategies: new Map(
      listOf(strategies).map(each => {
        const [tag, fold] = listOf(each);
        return [textOf(tag), fold === SAME_AS_OWN ? own : foldFrom(fold)];
      }),
    ),
  };
};

const foldFrom = (value: unknown): BooksFold => {
  const { changes, otherCosts, positions } = fieldsOf(value);
  return {
    changes: amountsFrom(changes),
    otherCosts: amountsFrom(otherCosts),
    positions: new Map(
      listOf(positions).map(each => {
        const position = positionFrom(each);
        return [position.pair.symbol, position];
      }),
    ),
  };
};

const positionFrom = (value: unknown): { readonly pair: Pair; readonly foundation: Foundation } => {
  const { pair, sums, lots, fillCount, newest } = fieldsOf(value);
  const [symbol, base, quote] = listOf(pair).map(textOf);
  const amounts = listOf(sums).map(amountOf);
  const [executedAtMs, tradeId] = listOf(newest);
  const sumOf = (name: (typeof SUMS)[number]): bigint => known(amounts[SUMS.indexOf(name)]);
  return {
    pair: { symbol: known(symbol), base: known(base), quote: known(quote) },
    foundation: {
      quantity: sumOf('quantity'),
      cost: sumOf('cost'),
      grossRealized: sumOf('grossRealized'),
      grossRealizedFifo: sumOf('grossRealizedFifo'),
      fees: sumOf('fees'),
      taxes: sumOf('taxes'),
      bought: sumOf('bought'),
      sold: sumOf('sold'),
      turnover: sumOf('turnover'),
      lots: lotsFrom(textOf(lots)),
      fillCount: wholeOf(fillCount),
      newest: { executedAtMs: wholeOf(executedAtMs), tradeId: textOf(tradeId) },
    },
  };
};

/** In one pass: a position that was built up in many steps has as many lots. */
const lotsFrom = (text: string): Lot[] => {
  const lots: Lot[] = [];
  for (let at = 0; at < text.length; ) {
    const cost = text.indexOf(' ', at) + 1;
    const openedAt = text.indexOf(' ', cost) + 1;
    const next = text.indexOf(';', openedAt);
    const end = next < 0 ? text.length : next;
    if (cost <= at + 1 || openedAt <= cost + 1 || end <= openedAt)
      throw new Error('a lot of the books is missing');
    lots.push({
      quantity: BigInt(text.slice(at, cost - 1)),
      cost: BigInt(text.slice(cost, openedAt - 1)),
      openedAtMs: wholeOf(Number(text.slice(openedAt, end))),
    });
    at = end + 1;
  }
  return lots;
};

const amountsFrom = (value: unknown): Map<string, Amount> =>
  new Map(
    listOf(value).map(each => {
      const [asset, amount] = listOf(each);
      return [textOf(asset), amountOf(amount)];
    }),
  );

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> => {
  if (typeof value !== 'object' || value === null) throw new Error('a part of the books is missing');
  return value as Readonly<Record<string, unknown>>;
};

const listOf = (value: unknown): readonly unknown[] => {
  if (!Array.isArray(value)) throw new Error('a list of the books is missing');
  return value;
};

const textOf = (value: unknown): string => {
  if (typeof value !== 'string') throw new Error('a text of the books is missing');
  return value;
};

/** BigInt() takes an empty text for 0. */
const amountOf = (value: unknown): bigint => {
  if (typeof value !== 'string' || !/^-?\d+$/.test(value))
    throw new Error('an amount of the books is missing');
  return BigInt(value);
};

const wholeOf = (value: unknown): number => {
  if (!Number.isSafeInteger(value)) throw new Error('a number of the books is missing');
  return value as number;
};

const known = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error('a part of the books is missing');
  return value;
};
