/**
 * What the account should hold and what the bot has earned, folded from fills, cash movements and the opening
 * balances. The reconciliation actor, the backtester and the command line use this one fold.
 *
 * - The result depends on the set of facts alone: each symbol's fills are taken in the order of their execution,
 *   whatever the order in which they became known, and each trade and movement counts once.
 * - Nothing is rounded away. A position keeps the exact cost of what is open; when part of it is closed, the part's
 *   cost is rounded to 16 decimals (half up) and the rest is what remains. So realised plus unrealised profit equals
 *   the change of equity to the last digit.
 * - A long history needs not stand in memory: the oldest fills of a symbol may be folded into a foundation, which goes
 *   on to the last digit. A fill that turns out to lie before a foundation is booked, and the symbol is named in
 *   `outOfOrder`: how its profit divides into realised and open is right again after {@link refoldSymbol}; quantities,
 *   balances, costs and the sum of both profits do not depend on the order and are right at once.
 */
import type { Side } from './instrument.js';
import { type Amount, abs, divide, min, notional, type Price, type Quantity, ratio } from './money.js';
import type { Fill, TradeId } from './order.js';
import type { PositionView } from './strategy.js';
import { type KnownTrades, TradeIds } from './trade-ids.js';
import type { Balance, CashMovement } from './venue-port.js';

/** The two assets of a symbol. An `Instrument` is one. */
export interface Pair {
  readonly symbol: string;
  readonly base: string;
  readonly quote: string;
}

/** An open part of a position, oldest first; signed like the position. */
export interface Lot {
  quantity: Quantity;
  /** Quote given for it (negative: received). */
  cost: Amount;
  readonly openedAtMs: number;
}

/** Where a fill stands among the fills of its symbol. */
export type ExecutionKey = Pick<Fill, 'executedAtMs' | 'tradeId'>;

/** The sums of a symbol's fills. Quantities in base, everything else in quote. */
export interface PositionSums {
  /** Signed base quantity traded by the bot since the ledger began. */
  quantity: Quantity;
  /** Exact cost of the open quantity, without fees; negative when the position is. */
  cost: Amount;
  /** Profit of the closed quantity under average cost, before fees and tax. */
  grossRealized: Amount;
  /** The same under first in, first out. */
  grossRealizedFifo: Amount;
  lots: Lot[];
  fees: Amount;
  taxes: Amount;
  bought: Quantity;
  sold: Quantity;
  /** Quote value of everything traded. */
  turnover: Amount;
}

/** The oldest fills of a symbol, folded; their own records are no longer needed. Never changed. */
export interface Foundation extends Readonly<Omit<PositionSums, 'lots'>> {
  readonly lots: readonly Readonly<Lot>[];
  readonly fillCount: number;
  readonly newest: ExecutionKey;
}

/** One symbol's books. */
export interface Position extends PositionSums {
  readonly pair: Pair;
  /** Null when every fill stands in `fills`. */
  foundation: Foundation | null;
  /** The booked fills after the foundation, in order of execution. */
  readonly fills: Fill[];
}

/** The books of some fills without the fills, as a checkpoint keeps them. Each map by symbol or asset. */
export interface BooksFold {
  readonly positions: ReadonlyMap<string, { readonly pair: Pair; readonly foundation: Foundation }>;
  /** Sum of the fills' effects on each asset. */
  readonly changes: ReadonlyMap<string, Amount>;
  readonly otherCosts: ReadonlyMap<string, Amount>;
}

/** The whole account's books. Owned by whoever folds; changed in place. */
export interface Accounting {
  /** Unix ms on the venue's clock; what others traded before it is part of the opening balances. */
  readonly openingAtMs: number;
  readonly opening: ReadonlyMap<string, Amount>;
  /** Sum of all effects on each asset since the opening. */
  readonly changes: Map<string, Amount>;
  readonly positions: Map<string, Position>;
  readonly booked: Map<TradeId, Fill>;
  /** Trades that stand in foundations alone: those of a checkpoint, which several books may share, and those since. */
  readonly earlier: KnownTrades;
  readonly settled: TradeIds;
  /** Symbols with a fill before their foundation: their whole history must be folded again. */
  readonly outOfOrder: Set<string>;
  readonly movements: Map<string, CashMovement>;
  /** Fees and taxes paid in an asset that is neither base nor quote of the fill's symbol. */
  readonly otherCosts: Map<string, Amount>;
}

/**
 * What became of a fact. `repeated`: known already, nothing changed. `contradicted`: known already with other numbers;
 * the first version stands and somebody must look. `settled`: known already, and its numbers stand in the ledger alone.
 * `before-opening`: somebody else's trade that is part of the opening balances already. One of our own never is: until a
 * ledger is opened nothing is sent under its labels, whatever a clock that was set back makes of the trade's time.
 */
export type BookingOutcome = 'booked' | 'repeated' | 'contradicted' | 'settled' | 'before-opening';

/** Quotes the venue lists or has listed, longest first (protocol section 4.2). */
const VENUE_QUOTES = ['USDT', 'TRY', 'BTC'] as const;

const NONE_EARLIER: KnownTrades = new TradeIds();

/** The books at the opening. Without opening balances (null) everything starts from zero at the beginning of time. */
export const initialAccounting = (
  opening: { readonly balances: readonly Balance[]; readonly atMs: number } | null,
): Accounting => ({
  openingAtMs: opening?.atMs ?? 0,
  opening: new Map((opening?.balances ?? []).map(balance => [balance.asset, balance.total])),
  changes: new Map(),
  positions: new Map(),
  booked: new Map(),
  earlier: NONE_EARLIER,
  settled: new TradeIds(),
  outOfOrder: new Set(),
  movements: new Map(),
  otherCosts: new Map(),
});

/**
 * The books that go on from a checkpoint's.
 * @param earlier every trade that any of the checkpoint's books has folded
 */
export const accountingFrom = (
  opening: { readonly balances: readonly Balance[]; readonly atMs: number } | null,
  fold: BooksFold,
  earlier: KnownTrades,
): Accounting => {
  const accounting: Accounting = { ...initialAccounting(opening), earlier };
  for (const [asset, change] of fold.changes) accounting.changes.set(asset, change);
  for (const [asset, cost] of fold.otherCosts) accounting.otherCosts.set(asset, cost);
  for (const [symbol, { pair, foundation }] of fold.positions)
    accounting.positions.set(symbol, positionOn(pair, foundation, []));
  return accounting;
};

/** The books without their fills. Movements are not among the changes. */
export const foldOf = (accounting: Accounting): BooksFold => {
  const changes = new Map(accounting.changes);
  for (const movement of accounting.movements.values())
    add(changes, movement.asset, -movementEffect(movement));
  return {
    changes,
    otherCosts: new Map(accounting.otherCosts),
    positions: new Map(
      [...accounting.positions].map(([symbol, position]) => {
        const last = position.fills.at(-1) ?? position.foundation?.newest;
        if (last === undefined) throw new Error(`there is no fill of ${symbol} in its books`);
        return [symbol, { pair: position.pair, foundation: foundationOf(position, last) }];
      }),
    ),
  };
};

/**
 * Folds all but the newest `keep` fills of each symbol into its foundation, once there are twice as many. Of what is
 * folded, the ids are kept.
 */
export const settleOldest = (accounting: Accounting, keep: number): void => {
  for (const [symbol, position] of accounting.positions) {
    if (position.fills.length <= 2 * keep || accounting.outOfOrder.has(symbol)) continue;
    const oldest = position.fills.splice(0, position.fills.length - keep);
    const folded = positionOn(position.pair, position.foundation, oldest);
    for (const fill of oldest) {
      applyFill(folded, fill);
      accounting.booked.delete(fill.tradeId);
      accounting.settled.add(fill.tradeId);
    }
    position.foundation = foundationOf(folded, oldest.at(-1) as Fill);
  }
};

/**
 * Folds a symbol from nothing.
 * @param history the ledger's fills of the symbol for these books; those the books do not know are left out
 * @returns whether the history was whole; if not, nothing has changed.
 */
export const refoldSymbol = (accounting: Accounting, symbol: string, history: readonly Fill[]): boolean => {
  const position = accounting.positions.get(symbol);
  if (position === undefined) return false;
  const fills = new Map(position.fills.map(fill => [fill.tradeId, fill]));
  for (const fill of history)
    if (!fills.has(fill.tradeId) && isSettled(accounting, fill.tradeId)) fills.set(fill.tradeId, fill);
  if (fills.size !== fillCountOf(position)) return false;
  const again = positionOn(position.pair, null, [...fills.values()].sort(byExecution));
  for (const fill of again.fills) {
    applyFill(again, fill);
    accounting.booked.set(fill.tradeId, fill);
    accounting.settled.delete(fill.tradeId);
  }
  accounting.positions.set(symbol, again);
  accounting.outOfOrder.delete(symbol);
  return true;
};

const isSettled = (accounting: Accounting, tradeId: TradeId): boolean =>
  accounting.settled.has(tradeId) || accounting.earlier.has(tradeId);

/** Whether a trade is in these books, or in others of the same checkpoint. */
export const isBooked = (accounting: Accounting, tradeId: TradeId): boolean =>
  accounting.booked.has(tradeId) || isSettled(accounting, tradeId);

/** Fills of a symbol that are booked. */
export const fillCountOf = (position: Position): number =>
  (position.foundation?.fillCount ?? 0) + position.fills.length;

/** Fills that are booked. */
export const fillCount = (accounting: Accounting): number =>
  [...accounting.positions.values()].reduce((sum, position) => sum + fillCountOf(position), 0);

/** Books a fill, once per trade id. Base and quote change by exactly what was traded, less fee and tax. */
export const bookFill = (accounting: Accounting, fill: Fill, pair: Pair): BookingOutcome => {
  const known = accounting.booked.get(fill.tradeId);
  if (known !== undefined) return sameTrade(known, fill) ? 'repeated' : 'contradicted';
  if (isSettled(accounting, fill.tradeId)) return 'settled';
  if (fill.clientOrderId === null && fill.executedAtMs < accounting.openingAtMs) return 'before-opening';
  accounting.booked.set(fill.tradeId, fill);
  addEffects(accounting.changes, fill, pair);
  if (fill.feeAsset !== pair.base && fill.feeAsset !== pair.quote)
    add(accounting.otherCosts, fill.feeAsset, fill.fee + fill.tax);

  const position = accounting.positions.get(fill.symbol) ?? positionOn(pair, null, []);
  const { foundation } = position;
  if (foundation !== null && byExecution(foundation.newest, fill) > 0) accounting.outOfOrder.add(fill.symbol);
  const newest = position.fills.at(-1) ?? foundation?.newest;
  if (newest === undefined || byExecution(newest, fill) < 0) {
    position.fills.push(fill);
    applyFill(position, fill);
    accounting.positions.set(fill.symbol, position);
  } else accounting.positions.set(fill.symbol, refold(position, fill));
  return 'booked';
};

/**
 * Books a deposit or withdrawal, once per movement id. Its fee and tax reduce the same asset, beside its amount. Whether
 * the opening balances hold it already is for the caller to know: its date does not tell (account-opening).
 */
export const bookMovement = (accounting: Accounting, movement: CashMovement): BookingOutcome => {
  const known = accounting.movements.get(movement.movementId);
  if (known !== undefined) return sameMovement(known, movement) ? 'repeated' : 'contradicted';
  accounting.movements.set(movement.movementId, movement);
  add(accounting.changes, movement.asset, movementEffect(movement));
  return 'booked';
};

/** What a deposit or withdrawal does to its asset, signed. */
export const movementEffect = ({ amount, fee, tax }: CashMovement): Amount => amount - fee - tax;

/** What each asset's total must be: opening, movements and fills, to the last digit. */
export const expectedBalances = (accounting: Accounting): Map<string, Amount> => {
  const expected = new Map(accounting.opening);
  for (const [asset, change] of accounting.changes) add(expected, asset, change);
  return expected;
};

/** What a fill does to the account: signed change by asset. */
export const fillEffects = (fill: Fill, pair: Pair): Map<string, Amount> => {
  const effects = new Map<string, Amount>();
  addEffects(effects, fill, pair);
  return effects;
};

const addEffects = (sums: Map<string, Amount>, fill: Fill, pair: Pair): void => {
  const value = notional(fill.price, fill.quantity);
  add(sums, pair.base, fill.side === 'buy' ? fill.quantity : -fill.quantity);
  add(sums, pair.quote, fill.side === 'buy' ? -value : value);
  add(sums, fill.feeAsset, -(fill.fee + fill.tax));
};

/** A symbol's position as strategies and reports see it; flat when nothing was ever traded. */
export const positionView = (accounting: Accounting, symbol: string): PositionView => {
  const position = accounting.positions.get(symbol);
  return {
    symbol,
    quantity: position?.quantity ?? 0n,
    averagePrice: position === undefined ? null : averagePrice(position),
    realized: position === undefined ? 0n : realized(position),
    fees: position?.fees ?? 0n,
    taxes: position?.taxes ?? 0n,
  };
};

/** Every position that was ever traded, by symbol. */
export const positionViews = (accounting: Accounting): PositionView[] =>
  [...accounting.positions.keys()].sort().map(symbol => positionView(accounting, symbol));

/** Average entry price of the open quantity without fees, rounded half up to 16 decimals; null when flat. */
export const averagePrice = (position: Position): Price | null =>
  position.quantity === 0n ? null : ratio(position.cost, position.quantity, 'half-up');

/** Profit of what was closed under average cost, less all fees and taxes paid so far, in quote. */
export const realized = (position: Position): Amount =>
  position.grossRealized - position.fees - position.taxes;

/** As {@link realized}, under first in, first out. */
export const realizedFifo = (position: Position): Amount =>
  position.grossRealizedFifo - position.fees - position.taxes;

/** What closing the position at `mark` would add, before the fees of doing so, in quote. */
export const unrealized = (position: Position, mark: Price): Amount =>
  notional(mark, position.quantity) - position.cost;

/** As {@link unrealized}, under first in, first out. */
export const unrealizedFifo = (position: Position, mark: Price): Amount =>
  notional(mark, position.quantity) - openCostFifo(position);

/** Exact cost of the open lots. */
export const openCostFifo = (position: Position): Amount =>
  position.lots.reduce((sum, lot) => sum + lot.cost, 0n);

/**
 * Base and quote of a symbol known by its joined name only, as fills in a database are. The asset of its fees decides
 * when it is a suffix; else the venue's quotes do.
 */
export const pairFromSymbol = (symbol: string, feeAsset?: string): Pair => {
  const quotes = feeAsset === undefined ? VENUE_QUOTES : [feeAsset, ...VENUE_QUOTES];
  const quote = quotes.find(asset => asset !== '' && symbol.length > asset.length && symbol.endsWith(asset));
  return quote === undefined
    ? { symbol, base: symbol, quote: '' }
    : { symbol, base: symbol.slice(0, -quote.length), quote };
};

/** Order of execution; trades of one millisecond by their ids, as numbers where they are. */
export const byExecution = (left: ExecutionKey, right: ExecutionKey): number =>
  left.executedAtMs - right.executedAtMs ||
  left.tradeId.length - right.tradeId.length ||
  (left.tradeId < right.tradeId ? -1 : left.tradeId > right.tradeId ? 1 : 0);

/** A position on its foundation; `fills` are not applied yet. */
const positionOn = (pair: Pair, foundation: Foundation | null, fills: Fill[]): Position => ({
  pair,
  foundation,
  quantity: foundation?.quantity ?? 0n,
  cost: foundation?.cost ?? 0n,
  grossRealized: foundation?.grossRealized ?? 0n,
  grossRealizedFifo: foundation?.grossRealizedFifo ?? 0n,
  lots: (foundation?.lots ?? []).map(lot => ({ ...lot })),
  fees: foundation?.fees ?? 0n,
  taxes: foundation?.taxes ?? 0n,
  bought: foundation?.bought ?? 0n,
  sold: foundation?.sold ?? 0n,
  turnover: foundation?.turnover ?? 0n,
  fills,
});

const foundationOf = (position: Position, newest: ExecutionKey): Foundation => ({
  quantity: position.quantity,
  cost: position.cost,
  grossRealized: position.grossRealized,
  grossRealizedFifo: position.grossRealizedFifo,
  lots: position.lots.map(lot => ({ ...lot })),
  fees: position.fees,
  taxes: position.taxes,
  bought: position.bought,
  sold: position.sold,
  turnover: position.turnover,
  fillCount: fillCountOf(position),
  newest: { executedAtMs: newest.executedAtMs, tradeId: newest.tradeId },
});

/** Books a fill that became known after later ones: everything of its symbol after the foundation again, in order. */
const refold = (position: Position, late: Fill): Position => {
  const fills = position.fills;
  let index = fills.length;
  while (index > 0 && byExecution(fills[index - 1] as Fill, late) > 0) index -= 1;
  fills.splice(index, 0, late);
  const again = positionOn(position.pair, position.foundation, fills);
  for (const fill of fills) applyFill(again, fill);
  return again;
};

const applyFill = (position: Position, fill: Fill): void => {
  const value = notional(fill.price, fill.quantity);
  trade(position, fill.side, fill.price, fill.quantity, value, fill.executedAtMs);
  position.turnover += value;
  if (fill.side === 'buy') position.bought += fill.quantity;
  else position.sold += fill.quantity;

  if (fill.feeAsset === position.pair.quote) {
    position.fees += fill.fee;
    position.taxes += fill.tax;
  } else if (fill.feeAsset === position.pair.base) {
    // A cost paid in base is a sale of that base at the fill's price whose proceeds pay the cost.
    const fee = notional(fill.price, fill.fee as bigint);
    const tax = notional(fill.price, fill.tax as bigint);
    const paid = fill.fee + fill.tax;
    if (paid !== 0n) trade(position, 'sell', fill.price, paid, fee + tax, fill.executedAtMs);
    position.fees += fee;
    position.taxes += tax;
  }
};

/** Closes what stands against the trade, under both methods, then opens with the rest. */
const trade = (
  position: Position,
  side: Side,
  price: Price,
  quantity: Quantity,
  value: Amount,
  atMs: number,
): void => {
  const sign = side === 'buy' ? 1n : -1n;
  const open = abs(position.quantity);
  const closing = sign * position.quantity >= 0n ? 0n : quantity < open ? quantity : open;
  const closingValue = closing === quantity ? value : notional(price, closing);
  if (closing > 0n) {
    const cost = shareOf(position.cost, closing, open);
    position.grossRealized -= sign * closingValue + cost;
    position.cost -= cost;
    position.quantity += sign * closing;
    position.grossRealizedFifo -= sign * closingValue + takeLots(position.lots, closing);
  }
  const opening = quantity - closing;
  if (opening > 0n) {
    const cost = sign * (value - closingValue);
    position.quantity += sign * opening;
    position.cost += cost;
    position.lots.push({ quantity: sign * opening, cost, openedAtMs: atMs });
  }
};

/** Removes `quantity` from the oldest lots. @returns the cost that was removed. */
const takeLots = (lots: Lot[], quantity: Quantity): Amount => {
  let wanted = quantity;
  let cost = 0n;
  let emptied = 0;
  for (const lot of lots) {
    if (wanted === 0n) break;
    const held = abs(lot.quantity);
    const taken = min(wanted, held);
    const share = shareOf(lot.cost, taken, held);
    cost += share;
    lot.cost -= share;
    lot.quantity += lot.quantity > 0n ? -taken : taken;
    wanted -= taken;
    if (taken === held) emptied += 1;
  }
  lots.splice(0, emptied);
  return cost;
};

/** The part of a cost that belongs to `part` of `whole`; all of it when they are equal. */
const shareOf = (cost: Amount, part: Quantity, whole: Quantity): Amount =>
  part === whole ? cost : divide(cost * part, whole, 'half-up');

const add = (sums: Map<string, Amount>, asset: string, amount: Amount): void => {
  sums.set(asset, (sums.get(asset) ?? 0n) + amount);
};

/** Whether two accounts of one trade agree on the money. Sources may differ by a moment in its time. */
const sameTrade = (left: Fill, right: Fill): boolean =>
  left.symbol === right.symbol &&
  left.side === right.side &&
  left.price === right.price &&
  left.quantity === right.quantity &&
  left.fee === right.fee &&
  left.tax === right.tax &&
  left.feeAsset === right.feeAsset;

/** Whether two accounts of one movement agree on the money. */
export const sameMovement = (left: CashMovement, right: CashMovement): boolean =>
  left.kind === right.kind &&
  left.asset === right.asset &&
  left.amount === right.amount &&
  left.fee === right.fee &&
  left.tax === right.tax;
