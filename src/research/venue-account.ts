/**
 * Our account as the venue keeps it, for runs without the venue around it: what orders lock, what fills cost, what is
 * left, by the embedded exchange's own arithmetic (exchange/trading.ts, exchange/fees.ts).
 */
import type { Instrument } from '../domain/instrument.js';
import { type Amount, min, notional, type Price, type Quantity } from '../domain/money.js';
import type { ClientOrderId, Fill, OrderTerms } from '../domain/order.js';
import type { OrderReport, SubmitOutcome } from '../domain/venue-port.js';
import { commissionOf, ratesOf, splitCommission } from '../exchange/fees.js';
import { reserveOf } from '../exchange/trading.js';
import type { Liquidity } from './fast-market.js';

/** A limit order of ours at the venue. Changed by the account alone. */
export interface VenueOrder {
  readonly venueOrderId: string;
  readonly clientOrderId: ClientOrderId;
  readonly terms: OrderTerms;
  readonly price: Price;
  readonly instrument: Instrument;
  remaining: Quantity;
  filled: Quantity;
  locked: Amount;
  status: 'accepted' | 'working' | 'canceled' | 'closed';
  readonly createdAtMs: number;
  updatedAtMs: number;
}

export interface VenueAccount {
  /** Takes an order in and locks its funds, or says why not. */
  accept(
    clientOrderId: ClientOrderId,
    terms: OrderTerms,
    atMs: number,
  ): { readonly order: VenueOrder | null; readonly outcome: SubmitOutcome };
  /** Settles one match. The order has not been reduced yet. */
  fill(order: VenueOrder, price: Price, quantity: Quantity, liquidity: Liquidity, atMs: number): Fill;
  cancel(order: VenueOrder, atMs: number): void;
  byVenueId(venueOrderId: string): VenueOrder | undefined;
  report(clientOrderId: ClientOrderId): OrderReport | null;
  locked(asset: string): Amount;
  /** Orders that have not ended, oldest first. */
  readonly open: ReadonlySet<VenueOrder>;
}

/** Where ids begin, as at the embedded exchange. */
const FIRST_ORDER_ID = 31_840_000_001;
const FIRST_TRADE_ID = 1_263_118_840_000_000_001n;

export const createVenueAccount = (
  opening: ReadonlyMap<string, Amount>,
  instruments: readonly Instrument[],
  feeLevel: number,
): VenueAccount => {
  const totals = new Map(opening);
  const lockedBy = new Map<string, Amount>();
  const bySymbol = new Map(instruments.map(instrument => [instrument.symbol, instrument]));
  const orders = new Map<string, VenueOrder>();
  const byClientId = new Map<ClientOrderId, VenueOrder>();
  const open = new Set<VenueOrder>();
  let nextOrderId = FIRST_ORDER_ID;
  let nextTradeId = FIRST_TRADE_ID;

  const add = (to: Map<string, Amount>, asset: string, amount: bigint): void => {
    to.set(asset, (to.get(asset) ?? 0n) + amount);
  };
  const lockedAsset = ({ terms, instrument }: VenueOrder): string =>
    terms.side === 'buy' ? instrument.quote : instrument.base;
  const setLocked = (order: VenueOrder, amount: bigint): void => {
    add(lockedBy, lockedAsset(order), amount - order.locked);
    order.locked = amount;
  };
  const end = (order: VenueOrder, status: 'canceled' | 'closed', atMs: number): void => {
    setLocked(order, 0n);
    order.status = status;
    order.updatedAtMs = atMs;
    open.delete(order);
  };

  return {
    open,
    accept: (clientOrderId, terms, atMs) => {
      const instrument = bySymbol.get(terms.symbol);
      const rejected = (reason: string): { readonly order: null; readonly outcome: SubmitOutcome } => ({
        order: null,
        outcome: { type: 'rejected', reason, code: reason },
      });
      if (instrument === undefined || terms.price === null || terms.method !== 'limit')
        return rejected('ORDER_METHOD_NOT_SUPPORTED');
      if (notional(terms.price, terms.quantity) < instrument.minNotional)
        return rejected('FAILED_MIN_TOTAL_AMOUNT');
      const { takerPpm } = ratesOf(feeLevel, instrument.quote);
      const needed: bigint =
        terms.side === 'buy' ? reserveOf(terms.price, terms.quantity, takerPpm) : terms.quantity;
      const asset = terms.side === 'buy' ? instrument.quote : instrument.base;
      const total = totals.get(asset) ?? 0n;
      if (needed > total - (lockedBy.get(asset) ?? 0n))
        return rejected(needed > total ? 'BALANCE_NOT_ENOUGH' : 'FAILED_ORDER_WITH_OPEN_ORDERS');
      const venueOrderId = String(nextOrderId++);
      const order: VenueOrder = {
        venueOrderId,
        clientOrderId,
        terms,
        price: terms.price,
        instrument,
        remaining: terms.quantity,
        filled: 0n,
        locked: 0n,
        status: 'accepted',
        createdAtMs: atMs,
        updatedAtMs: atMs,
      };
      setLocked(order, needed);
      orders.set(venueOrderId, order);
      byClientId.set(clientOrderId, order);
      open.add(order);
      return { order, outcome: { type: 'confirmed', venueOrderId } };
    },
    fill: (order, price, quantity, liquidity, atMs) => {
      const { terms, instrument } = order;
      const { makerPpm, takerPpm } = ratesOf(feeLevel, instrument.quote);
      const value = notional(price, quantity);
      const full = commissionOf(value, liquidity === 'taker' ? takerPpm : makerPpm);
      const { fee, tax } = splitCommission(terms.side === 'buy' ? min(full, order.locked - value) : full);
      order.remaining -= quantity;
      order.filled += quantity;
      order.updatedAtMs = atMs;
      if (terms.side === 'buy') {
        add(totals, instrument.base, quantity);
        add(totals, instrument.quote, -(value + fee + tax));
        setLocked(
          order,
          min(order.locked - value - fee - tax, reserveOf(order.price, order.remaining, takerPpm)),
        );
      } else {
        add(totals, instrument.base, -quantity);
        add(totals, instrument.quote, value - fee - tax);
        setLocked(order, order.remaining);
      }
      const tradeId = nextTradeId;
      nextTradeId += 1n;
      if (order.remaining === 0n) end(order, 'closed', atMs);
      return {
        tradeId: String(tradeId),
        venueOrderId: order.venueOrderId,
        clientOrderId: order.clientOrderId,
        symbol: terms.symbol,
        side: terms.side,
        price,
        quantity,
        fee,
        tax,
        feeAsset: instrument.quote,
        executedAtMs: Math.floor(atMs),
      };
    },
    cancel: (order, atMs) => end(order, 'canceled', Math.floor(atMs)),
    byVenueId: venueOrderId => orders.get(venueOrderId),
    report: clientOrderId => {
      const order = byClientId.get(clientOrderId);
      if (order === undefined) return null;
      return {
        venueOrderId: order.venueOrderId,
        clientOrderId,
        symbol: order.terms.symbol,
        side: order.terms.side,
        method: 'limit',
        price: order.price,
        quantity: order.terms.quantity,
        remaining: order.remaining,
        status:
          order.status === 'canceled' || order.status === 'closed'
            ? order.status
            : order.filled > 0n
              ? 'partial'
              : 'untouched',
        createdAtMs: order.createdAtMs,
        updatedAtMs: order.updatedAtMs,
      };
    },
    locked: asset => lockedBy.get(asset) ?? 0n,
  };
};
