/** What strategies share when they turn a wish into an order: sizes, funds, and room under the limits. */
import { type Instrument, roundQuantity, type Side } from '../domain/instrument.js';
import {
  type Amount,
  formatDecimal,
  min,
  notional,
  type Price,
  partsPerMillion,
  type Quantity,
  ratio,
} from '../domain/money.js';
import type { OwnOrder, StrategyIntent, StrategyView } from '../domain/strategy.js';

/**
 * The whole lots that `value` of quote buys at `price`, rounded down, unless that falls below the least order value
 * that `value` itself meets; not above the instrument's greatest quantity.
 */
export const quantityFor = (value: Amount, price: Price, instrument: Instrument): Quantity => {
  const exact = ratio(value, price, 'up');
  const down = roundQuantity(exact, instrument, 'down');
  const short = value >= instrument.minNotional && !meetsMinimum(price, down, instrument);
  const wanted = short ? roundQuantity(exact, instrument, 'up') : down;
  return instrument.maxQuantity === null ? wanted : min(wanted, instrument.maxQuantity);
};

/** Whether an order is worth enough for the venue to take it. */
export const meetsMinimum = (price: Price, quantity: Quantity, instrument: Instrument): boolean =>
  quantity > 0n && notional(price, quantity) >= instrument.minNotional;

/** Why `value` per order can never be enough on this instrument, or null. */
const tooSmall = (value: Amount, instrument: Instrument): string | null =>
  value >= instrument.minNotional
    ? null
    : `orders of ${formatDecimal(value)} ${instrument.quote} are below the least order value of ${instrument.symbol}, ${formatDecimal(instrument.minNotional)}: nothing is quoted there`;

/** A note for each symbol on which orders of `value` can never be enough. */
export const tooSmallNotes = (view: StrategyView, value: Amount): StrategyIntent[] =>
  view.symbols.flatMap(symbol => {
    const problem = tooSmall(value, view.instrument(symbol));
    return problem === null ? [] : [{ type: 'note', text: problem }];
  });

/**
 * What an order may still use of the account: the total less what orders other than own ones on `except` tie up; every
 * order when that is absent. An order that replaces an own one may use what that one ties up, a further one may not.
 * Buys tie up quote with the taker's fee on top, as the venue reserves it (protocol section 6.7); sells tie up base.
 * Zero before the first account update.
 */
export const spendable = (
  view: StrategyView,
  asset: string,
  except: { symbol: string; side: Side } | null = null,
): bigint => {
  const balance = view.balance(asset);
  if (balance === undefined) return 0n;
  const left =
    balance.total -
    tiedUpBy(view.openOrders(), view, asset, except) -
    tiedUpBy(view.otherOrders(), view, asset, null);
  return left > 0n ? left : 0n;
};

const tiedUpBy = (
  orders: readonly OwnOrder[],
  view: StrategyView,
  asset: string,
  except: { symbol: string; side: Side } | null,
): bigint => {
  let tied = 0n;
  for (const order of orders) {
    if (order.symbol === except?.symbol && order.side === except.side) continue;
    const instrument = view.instrument(order.symbol);
    if ((order.side === 'buy' ? instrument.quote : instrument.base) === asset) tied += tiedUp(view, order);
  }
  return tied;
};

const tiedUp = (view: StrategyView, order: OwnOrder): bigint => {
  const remaining = order.quantity - order.filled;
  if (order.side === 'sell') return remaining;
  const value = notional(order.price, remaining);
  return value + partsPerMillion(value, view.fees(order.symbol).takerPpm, 'up');
};

/** What an order of this side may take from when it replaces the own ones of its side: quote for buys, base for sells. */
export const fundsFor = (view: StrategyView, symbol: string, side: Side): bigint => {
  const { base, quote } = view.instrument(symbol);
  return spendable(view, side === 'sell' ? base : quote, { symbol, side });
};

/** The most quote an order of this side may be worth at `price`, with {@link fundsFor} it. */
export const worthOf = (funds: bigint, side: Side, price: Price, takerPpm: number): Amount =>
  side === 'sell' ? notional(price, funds as Quantity) : funds - partsPerMillion(funds, takerPpm, 'up');

/**
 * The most quote an order of this side may be worth at `price`, by the account's funds, when it replaces the own ones of
 * its side.
 */
export const affordable = (view: StrategyView, symbol: string, side: Side, price: Price): Amount =>
  worthOf(fundsFor(view, symbol, side), side, price, view.fees(symbol).takerPpm);

/** As {@link affordable}, for an order beside all that are open. */
export const affordableBeside = (view: StrategyView, symbol: string, side: Side, price: Price): Amount => {
  const { base, quote } = view.instrument(symbol);
  return worthOf(spendable(view, side === 'sell' ? base : quote), side, price, view.fees(symbol).takerPpm);
};

/** How many more orders may be opened on a symbol. */
export const roomFor = (view: StrategyView, symbol: string): number =>
  Math.min(
    view.maxOpenOrders - view.openOrders().length - view.otherOrders().length,
    view.maxOpenOrdersPerSymbol - view.openOrders(symbol).length - view.otherOrders(symbol).length,
  );
