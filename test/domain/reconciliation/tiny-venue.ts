import { pairFromSymbol } from '#src/domain/accounting.js';
import { divide, notional, ONE, parseDecimal } from '#src/domain/money.js';
import type { Fill, OrderTerms } from '#src/domain/order.js';
import type {
  Balance,
  CashMovement,
  OrderReport,
  PrivateEvent,
  ReadAnswer,
  ReadFailure,
  VenueRead,
} from '#src/domain/venue-port.js';

/** How the venue's lists lie about the present: each shows the account as it was this long ago. */
export interface Lags {
  balancesMs: number;
  ordersMs: number;
  tradesMs: number;
  movementsMs?: number;
}

interface VenueOrder {
  readonly venueOrderId: string;
  readonly clientOrderId: string | null;
  readonly terms: OrderTerms;
  readonly createdAtMs: number;
  /** What became of it, newest last. */
  readonly history: {
    readonly atMs: number;
    readonly remaining: bigint;
    readonly status: OrderReport['status'];
  }[];
}

/**
 * A venue with true books that shows them late. It matches nothing by itself: the test says what fills and what is
 * canceled. Times are Unix ms on the venue's clock as if nobody had set it; what is dated is dated as it is set.
 */
export class TinyVenue {
  readonly orders: VenueOrder[] = [];
  readonly trades: Fill[] = [];
  readonly movements: CashMovement[] = [];
  /** Orders that no answer shows. */
  readonly hidden = new Set<string>();
  readonly totals: Map<string, bigint>;
  /** Changes of totals, oldest first. */
  private readonly changes: { readonly atMs: number; readonly asset: string; readonly amount: bigint }[] = [];
  /** How far its clock was set forward. */
  clockSetMs = 0;
  /** From when a trade or movement is listed, where its date does not say. */
  private readonly listedFromMs = new Map<string, number>();
  private nextOrder = 30_000_000_000;
  private nextTrade = 1_263_118_840_021_773_000n;
  readonly tradesCap: number;

  constructor(opening: Readonly<Record<string, string>>, tradesCap = 200) {
    this.totals = new Map(Object.entries(opening).map(([asset, amount]) => [asset, parseDecimal(amount)]));
    this.tradesCap = tradesCap;
  }

  submit(clientOrderId: string | null, terms: OrderTerms, atMs: number): string {
    const venueOrderId = String(this.nextOrder++);
    this.orders.push({
      venueOrderId,
      clientOrderId,
      terms,
      createdAtMs: atMs,
      history: [{ atMs, remaining: terms.quantity, status: 'untouched' }],
    });
    return venueOrderId;
  }

  order(venueOrderId: string): VenueOrder {
    const order = this.orders.find(each => each.venueOrderId === venueOrderId);
    if (order === undefined) throw new Error(`no order ${venueOrderId}`);
    return order;
  }

  remaining(venueOrderId: string): bigint {
    return this.order(venueOrderId).history.at(-1)?.remaining ?? 0n;
  }

  isOpen(venueOrderId: string): boolean {
    const status = this.order(venueOrderId).history.at(-1)?.status;
    return status === 'untouched' || status === 'partial';
  }

  /** Trades part of an order at its own price, with fee and tax. */
  fill(venueOrderId: string, wanted: bigint, atMs: number): Fill {
    const order = this.order(venueOrderId);
    const left = this.remaining(venueOrderId);
    const quantity = wanted < left ? wanted : left;
    const { terms, clientOrderId } = order;
    const { base, quote } = pairFromSymbol(terms.symbol);
    const price = terms.price ?? ONE;
    const value = notional(price, quantity);
    const fee = divide(value, 1_000n, 'half-up');
    const tax = divide(fee, 5n, 'half-up');
    const fill: Fill = {
      tradeId: String(this.nextTrade++),
      venueOrderId,
      clientOrderId,
      symbol: terms.symbol,
      side: terms.side,
      price,
      quantity,
      fee,
      tax,
      feeAsset: quote,
      executedAtMs: atMs + this.clockSetMs,
    };
    this.trades.push(fill);
    this.listedFromMs.set(fill.tradeId, atMs);
    order.history.push({
      atMs,
      remaining: left - quantity,
      status: left === quantity ? 'closed' : 'partial',
    });
    const sign = terms.side === 'buy' ? 1n : -1n;
    this.change(base, sign * quantity, atMs);
    this.change(quote, -sign * value - fee - tax, atMs);
    return fill;
  }

  cancel(venueOrderId: string, atMs: number): boolean {
    if (!this.isOpen(venueOrderId)) return false;
    const remaining = this.remaining(venueOrderId);
    this.order(venueOrderId).history.push({ atMs, remaining, status: 'canceled' });
    return true;
  }

  /** @param datedMs when it was seen first, if that is not when it counts */
  deposit(asset: string, amount: bigint, atMs: number, datedMs = atMs + this.clockSetMs): CashMovement {
    const movement: CashMovement = {
      movementId: String(88_000_000 + this.movements.length),
      kind: amount > 0n ? 'deposit' : 'withdrawal',
      asset,
      amount,
      fee: 0n,
      tax: 0n,
      atMs: datedMs,
    };
    this.movements.push(movement);
    this.listedFromMs.set(movement.movementId, atMs);
    this.change(asset, amount, atMs);
    return movement;
  }

  private change(asset: string, amount: bigint, atMs: number): void {
    this.changes.push({ atMs, asset, amount });
    this.totals.set(asset, (this.totals.get(asset) ?? 0n) + amount);
  }

  balancesAt(atMs: number): Balance[] {
    const totals = new Map(this.totals);
    for (const change of this.changes)
      if (change.atMs > atMs) totals.set(change.asset, (totals.get(change.asset) ?? 0n) - change.amount);
    const locked = new Map<string, bigint>();
    for (const order of this.orders) {
      const then = order.history.filter(entry => entry.atMs <= atMs).at(-1);
      if (then === undefined || then.status === 'canceled' || then.status === 'closed') continue;
      const { base, quote } = pairFromSymbol(order.terms.symbol);
      const [asset, amount] =
        order.terms.side === 'sell'
          ? [base, then.remaining]
          : [quote, notional(order.terms.price ?? 0n, then.remaining)];
      locked.set(asset, (locked.get(asset) ?? 0n) + amount);
    }
    return [...totals].map(([asset, total]) => ({
      asset,
      total,
      locked: locked.get(asset) ?? 0n,
      free: total - (locked.get(asset) ?? 0n),
    }));
  }

  reportAt(order: VenueOrder, atMs: number): OrderReport | null {
    const then = order.history.filter(entry => entry.atMs <= atMs).at(-1);
    if (then === undefined) return null;
    return {
      venueOrderId: order.venueOrderId,
      clientOrderId: order.clientOrderId,
      symbol: order.terms.symbol,
      side: order.terms.side,
      method: order.terms.method,
      price: order.terms.price,
      quantity: order.terms.quantity,
      remaining: then.remaining,
      status: then.status,
      createdAtMs: order.createdAtMs,
      updatedAtMs: then.atMs,
    };
  }

  private reports(symbol: string, atMs: number): OrderReport[] {
    return this.orders
      .filter(order => order.terms.symbol === symbol && !this.hidden.has(order.venueOrderId))
      .map(order => this.reportAt(order, atMs))
      .filter(report => report !== null);
  }

  /** Answers a read truthfully, as of the lagging moments. */
  answer(call: VenueRead, atMs: number, lags: Lags, tookMs: number): ReadAnswer {
    return { call, result: { ok: true, value: this.value(call, atMs, lags), tookMs } } as ReadAnswer;
  }

  static failure(call: VenueRead, failure: ReadFailure, tookMs: number): ReadAnswer {
    return { call, result: { ok: false, failure, tookMs } } as ReadAnswer;
  }

  private value(call: VenueRead, atMs: number, lags: Lags): unknown {
    const ordersAtMs = atMs - lags.ordersMs;
    switch (call.type) {
      case 'server-time':
        return { serverMs: atMs + this.clockSetMs };
      case 'instruments':
        return { instruments: [] };
      case 'ticker':
        return call.symbol.endsWith('TRY')
          ? { symbol: call.symbol, bid: 99n * ONE, ask: 101n * ONE, last: 100n * ONE }
          : null;
      case 'balances':
        return { balances: this.balancesAt(atMs - lags.balancesMs), atMs };
      case 'open-orders':
        return {
          orders: this.reports(call.symbol, ordersAtMs)
            .filter(report => report.status === 'untouched' || report.status === 'partial')
            .map(report => ({ ...report, createdAtMs: 0 })),
        };
      case 'all-orders':
        return {
          orders: this.reports(call.symbol, ordersAtMs)
            .filter(report => inWindow(report.createdAtMs, call))
            .sort((left, right) => right.createdAtMs - left.createdAtMs)
            .slice(0, call.limit),
        };
      case 'order': {
        const order = this.orders.find(each => each.venueOrderId === call.venueOrderId);
        return { order: order === undefined ? null : this.reportAt(order, ordersAtMs) };
      }
      case 'trades':
        return {
          fills: this.rows(atMs - lags.tradesMs)
            .filter(fill => inWindow(fill.executedAtMs, call))
            .slice(-this.tradesCap),
        };
      case 'trades-of-order':
        return {
          fills: this.rows(atMs - lags.tradesMs).filter(fill => fill.venueOrderId === call.venueOrderId),
        };
      case 'cash-movements':
        return {
          movements: this.movements.filter(
            movement =>
              this.isListed(movement.movementId, movement.atMs, atMs - (lags.movementsMs ?? 0)) &&
              inWindow(movement.atMs, call),
          ),
        };
    }
  }

  private rows(atMs: number): Fill[] {
    return this.trades.filter(fill => this.isListed(fill.tradeId, fill.executedAtMs, atMs));
  }

  private isListed(id: string, datedMs: number, atMs: number): boolean {
    return (this.listedFromMs.get(id) ?? datedMs) <= atMs;
  }

  /** The frames a change gives rise to. */
  static frames(
    change:
      | { readonly type: 'inserted' | 'removed'; readonly order: VenueOrder }
      | { readonly type: 'fill'; readonly fill: Fill },
  ): PrivateEvent[] {
    if (change.type === 'fill')
      return [
        {
          type: 'match-hint',
          venueOrderId: change.fill.venueOrderId,
          clientOrderId: change.fill.clientOrderId,
          quantity: change.fill.quantity,
        },
        { type: 'fill', fill: change.fill },
        { type: 'balance-hint' },
      ];
    const { venueOrderId, clientOrderId } = change.order;
    return [
      { type: change.type === 'inserted' ? 'order-inserted' : 'order-removed', venueOrderId, clientOrderId },
    ];
  }
}

const inWindow = (
  atMs: number,
  window: { readonly fromMs: number | null; readonly toMs: number | null },
): boolean =>
  (window.fromMs === null || atMs >= window.fromMs) && (window.toMs === null || atMs <= window.toMs);
