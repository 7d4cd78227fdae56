/**
 * What the account stands to lose on, with every order that may still execute at its worst case: intended, in flight,
 * unknown, working and being canceled. Nothing is released before proof.
 */
import type { Side } from './instrument.js';
import {
  type Amount,
  abs,
  max,
  multiply,
  notional,
  type Price,
  partsPerMillion,
  type Quantity,
} from './money.js';
import type { OrderTerms } from './order.js';

/** An order that may still execute `remaining`, base. */
export interface ExposedOrder {
  readonly terms: OrderTerms;
  readonly remaining: Quantity;
}

/** Open buys and sells of one symbol, base and quote. */
export interface OpenInterest {
  readonly buys: Quantity;
  readonly sells: Quantity;
}

/** Sums the open orders of a symbol at their worst. */
export const openInterest = (orders: Iterable<ExposedOrder>, symbol: string): OpenInterest => {
  let buys = 0n;
  let sells = 0n;
  for (const { terms, remaining } of orders) {
    if (terms.symbol !== symbol) continue;
    if (terms.side === 'buy') buys += remaining;
    else sells += remaining;
  }
  return { buys, sells };
};

/** The greatest position, in absolute base quantity, that any outcome of the open orders on `side` can lead to. */
export const worstPosition = (position: Quantity, open: OpenInterest, side: Side): Quantity =>
  side === 'buy' ? max(0n, position + open.buys) : max(0n, open.sells - position);

/**
 * Base quantity by which open orders can enlarge positions: buys beyond what they cover of a short, sells beyond what
 * they close of a long. Both sides count, since either may execute alone.
 */
export const enlarging = (position: Quantity, open: OpenInterest): Quantity =>
  max(0n, open.buys - max(0n, -position)) + max(0n, open.sells - max(0n, position));

/** Gross exposure of one symbol in quote: the position, and what open orders can add to it, at `price`. */
export const grossExposure = (position: Quantity, open: OpenInterest, price: Price): Amount =>
  notional(price, abs(position) + enlarging(position, open));

/** The price at which an order is valued for limits: the market's middle, or the order's own if that is higher. */
export const valuationPrice = (terms: OrderTerms, mid: Price): Price => max(mid, terms.price ?? 0n);

/** What an order takes from the free balance while it may execute `quantity`: buys pay the taker fee on top (protocol section 6.7). */
export const reservation = (
  terms: OrderTerms,
  quantity: Quantity,
  takerPpm: number,
): { readonly side: Side; readonly amount: Amount } => {
  if (terms.side === 'sell') return { side: 'sell', amount: quantity as bigint };
  if (terms.method === 'market') return { side: 'buy', amount: terms.quoteQuantity ?? 0n };
  const value = multiply(terms.price ?? 0n, quantity, 'up');
  return { side: 'buy', amount: value + partsPerMillion(value, takerPpm, 'up') };
};

/** True when the two orders could trade with each other: opposite sides at crossing prices; market orders cross all. */
export const wouldSelfTrade = (left: OrderTerms, right: OrderTerms): boolean => {
  if (left.symbol !== right.symbol || left.side === right.side) return false;
  if (left.price === null || right.price === null) return true;
  return left.side === 'buy' ? left.price >= right.price : right.price >= left.price;
};
