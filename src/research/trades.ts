/**
 * Closed trades of a run, exact. A trade is what one order closed of a position, against the oldest open lots first (first
 * in, first out): for a strategy that enters and leaves it is the round trip, for a market maker each order that lowered
 * the inventory. Fees and taxes of both sides belong to it, those of a partly closed lot in proportion, rounded half up,
 * with the remainder on what stays open; so all trades and all open lots together cost what the fills cost.
 */
import type { Instrument } from '../domain/instrument.js';
import { type Amount, abs, divide, min, notional, type Quantity } from '../domain/money.js';
import type { Fill } from '../domain/order.js';

/** Amounts in the symbol's quote. */
export interface ClosedTrade {
  readonly symbol: string;
  readonly direction: 'long' | 'short';
  readonly quantity: Quantity;
  /** What was given for it and what it brought, without fees (for a short: brought, then given). */
  readonly entryValue: Amount;
  readonly exitValue: Amount;
  /** Fees and taxes of entry and exit. */
  readonly costs: Amount;
  /** Net of costs. */
  readonly profit: Amount;
  readonly openedAtMs: number;
  readonly closedAtMs: number;
  readonly entryReason: string;
  readonly exitReason: string;
}

/** A part of a position that is still open. Signed like the position. */
export interface OpenLot {
  readonly symbol: string;
  quantity: Quantity;
  /** Quote given for it (negative: received), without fees. */
  cost: Amount;
  /** Fees and taxes paid for it. */
  costs: Amount;
  readonly openedAtMs: number;
  readonly reason: string;
}

/** The reason of an order whose strategy gave none. */
export const NO_REASON = 'untagged';

/** @param reasonOf the tag of an order, by client order id */
export const closedTrades = (
  fills: readonly Fill[],
  instruments: readonly Instrument[],
  reasonOf: (clientOrderId: string) => string | undefined,
): { readonly trades: readonly ClosedTrade[]; readonly open: readonly OpenLot[] } => {
  const quotes = new Map(instruments.map(({ symbol, quote }) => [symbol, quote]));
  const lots = new Map<string, OpenLot[]>();
  /** By the order that closed, in the order of the last thing that each closed. */
  const trades = new Map<string, ClosedTrade>();

  for (const fill of fills) {
    const { symbol, side, price, quantity } = fill;
    const costs: bigint = fill.feeAsset === quotes.get(symbol) ? fill.fee + fill.tax : 0n;
    const orderId = fill.clientOrderId ?? fill.venueOrderId;
    const reason = reasonOf(orderId) ?? NO_REASON;
    const sign = side === 'buy' ? 1n : -1n;
    const value = notional(price, quantity);
    const open = lots.get(symbol) ?? [];
    lots.set(symbol, open);
    let left = quantity;
    let valueLeft: bigint = value;
    let costsLeft = costs;
    for (let lot = open[0]; lot !== undefined && left > 0n && lot.quantity * sign < 0n; lot = open[0]) {
      const held = abs(lot.quantity);
      const part = min(held, left);
      const entryValue = shareOf(lot.cost, part, held);
      const entryCosts = shareOf(lot.costs, part, held);
      const exitValue = shareOf(valueLeft, part, left);
      const exitCosts = shareOf(costsLeft, part, left);
      const direction = lot.quantity > 0n ? 'long' : 'short';
      const gross = direction === 'long' ? exitValue - entryValue : -entryValue - exitValue;
      const trade: ClosedTrade = {
        symbol,
        direction,
        quantity: part,
        entryValue: abs(entryValue),
        exitValue,
        costs: entryCosts + exitCosts,
        profit: gross - entryCosts - exitCosts,
        openedAtMs: lot.openedAtMs,
        closedAtMs: fill.executedAtMs,
        entryReason: lot.reason,
        exitReason: reason,
      };
      // Others may have traded between two fills of one order.
      const before = trades.get(orderId);
      trades.delete(orderId);
      trades.set(orderId, before === undefined ? trade : joined(before, trade));
      lot.quantity += sign * part;
      lot.cost -= entryValue;
      lot.costs -= entryCosts;
      left -= part;
      valueLeft -= exitValue;
      costsLeft -= exitCosts;
      if (lot.quantity === 0n) open.shift();
    }
    if (left > 0n)
      open.push({
        symbol,
        quantity: sign * left,
        cost: sign * valueLeft,
        costs: costsLeft,
        openedAtMs: fill.executedAtMs,
        reason,
      });
  }
  return { trades: [...trades.values()], open: [...lots.values()].flat() };
};

const joined = (left: ClosedTrade, right: ClosedTrade): ClosedTrade => ({
  ...left,
  quantity: left.quantity + right.quantity,
  entryValue: left.entryValue + right.entryValue,
  exitValue: left.exitValue + right.exitValue,
  costs: left.costs + right.costs,
  profit: left.profit + right.profit,
  closedAtMs: right.closedAtMs,
});

const shareOf = (amount: bigint, part: bigint, whole: bigint): bigint =>
  part === whole ? amount : divide(amount * part, whole, 'half-up');
