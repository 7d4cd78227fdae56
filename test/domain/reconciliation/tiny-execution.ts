import type { AccountReport } from '#src/domain/account-events.js';
import {
  filledQuantity,
  isTerminal,
  type Order,
  type OrderState,
  type OrderTerms,
  venueOrderIdOf,
} from '#src/domain/order.js';
import { type Bench, label, newOrder } from './bench.js';
import { TinyVenue } from './tiny-venue.js';

/** How a submit goes. */
export interface SubmitFate {
  /** The venue takes it in after this long; null when it never does. */
  readonly acceptedAfterMs: number | null;
  /** The POST is answered after this long; null when nobody ever hears. */
  readonly answeredAfterMs: number | null;
}

/**
 * An execution that submits, cancels, and believes what reconciliation tells: as much of the order machine as the bench
 * needs, written from the contract.
 */
export class TinyExecution {
  readonly orders = new Map<string, Order>();
  /** Orders that were told to be proven absent. */
  readonly absent = new Set<string>();
  private readonly booked = new Map<string, bigint>();
  private readonly ended = new Map<string, bigint>();
  private sequence: number;

  constructor(
    readonly bench: Bench,
    readonly epoch: number,
  ) {
    this.sequence = 0;
    bench.onTold = message => this.hear(message);
  }

  submit(terms: OrderTerms, fate: SubmitFate): string {
    const { bench } = this;
    const clientOrderId = label(++this.sequence, this.epoch);
    this.move(newOrder(clientOrderId, terms, { status: 'in-flight', sentAtMs: bench.wallMs }, bench.wallMs));
    if (fate.acceptedAfterMs !== null)
      bench.at(fate.acceptedAfterMs, () => {
        const venueOrderId = bench.venue.submit(clientOrderId, terms, bench.venueMs);
        bench.send(TinyVenue.frames({ type: 'inserted', order: bench.venue.order(venueOrderId) }));
      });
    const answered = fate.answeredAfterMs;
    const isHeard = answered !== null && fate.acceptedAfterMs !== null && fate.acceptedAfterMs <= answered;
    bench.at(isHeard ? answered : 5_000, () => {
      const order = this.orders.get(clientOrderId);
      if (order === undefined || order.state.status !== 'in-flight') return;
      const venueOrder = bench.venue.orders.find(each => each.clientOrderId === clientOrderId);
      if (isHeard && venueOrder !== undefined)
        this.moveTo(clientOrderId, {
          status: 'working',
          venueOrderId: venueOrder.venueOrderId,
          filled: this.filled(clientOrderId),
        });
      else {
        this.moveTo(clientOrderId, {
          status: 'unknown',
          sinceMs: bench.wallMs,
          cause: 'timeout',
          filled: 0n,
        });
        this.ask(clientOrderId);
      }
    });
    return clientOrderId;
  }

  cancel(clientOrderId: string, afterMs: number): void {
    const order = this.orders.get(clientOrderId);
    if (order === undefined || order.state.status !== 'working') return;
    const { venueOrderId, filled } = order.state;
    this.moveTo(clientOrderId, {
      status: 'cancel-in-flight',
      venueOrderId,
      filled,
      requestedAtMs: this.bench.wallMs,
    });
    this.bench.at(afterMs, () => {
      if (!this.bench.venue.cancel(venueOrderId, this.bench.venueMs)) return;
      this.bench.send(TinyVenue.frames({ type: 'removed', order: this.bench.venue.order(venueOrderId) }));
    });
  }

  /** Takes over what an earlier run left, as a fresh process does. */
  inherit(orders: Iterable<Order>): void {
    for (const order of orders) {
      if (isTerminal(order.state)) continue;
      this.booked.set(order.clientOrderId, this.bookedInLedger(order.clientOrderId));
      const id = venueOrderIdOf(order.state);
      this.move(
        id === null
          ? {
              ...order,
              state: { status: 'unknown', sinceMs: this.bench.wallMs, cause: 'process-ended', filled: 0n },
            }
          : order,
      );
      this.ask(order.clientOrderId);
    }
  }

  private bookedInLedger(clientOrderId: string): bigint {
    let sum = 0n;
    for (const fill of this.bench.ledger.fills.values())
      if (fill.clientOrderId === clientOrderId) sum += fill.quantity;
    return sum;
  }

  private ask(clientOrderId: string): void {
    this.bench.give({
      type: 'message',
      from: 'execution',
      message: { type: 'evidence-wanted', id: 'execution:1:2', cause: 'execution:1:1', clientOrderId },
    });
  }

  private hear(message: AccountReport): void {
    switch (message.type) {
      case 'fill-booked': {
        const label = message.fill.clientOrderId ?? '';
        this.booked.set(label, message.orderFilled);
        this.settle(label, message.fill.venueOrderId);
        return;
      }
      case 'order-reported': {
        const { report, clientOrderId } = message;
        if (report.status === 'canceled' || report.status === 'closed')
          this.ended.set(clientOrderId, report.quantity - report.remaining);
        this.settle(clientOrderId, report.venueOrderId);
        return;
      }
      case 'order-hinted':
        this.settle(message.clientOrderId, message.venueOrderId);
        return;
      case 'absence-proven':
        this.absent.add(message.clientOrderId);
        if (this.orders.get(message.clientOrderId)?.state.status === 'unknown')
          this.moveTo(message.clientOrderId, { status: 'rejected', reason: message.evidence });
        return;
      default:
        return;
    }
  }

  private filled(clientOrderId: string): bigint {
    return this.booked.get(clientOrderId) ?? 0n;
  }

  private settle(clientOrderId: string, venueOrderId: string): void {
    const order = this.orders.get(clientOrderId);
    if (order === undefined) return;
    const filled = this.filled(clientOrderId);
    const ended = this.ended.get(clientOrderId);
    const { status } = order.state;
    let state: OrderState;
    if (filled >= order.terms.quantity) state = { status: 'filled', venueOrderId, filled };
    else if (ended !== undefined && filled >= ended) state = { status: 'canceled', venueOrderId, filled };
    else if (isTerminal(order.state)) return;
    else if (order.state.status === 'cancel-in-flight') state = { ...order.state, filled };
    else state = { status: 'working', venueOrderId, filled };
    if (status !== state.status || filled !== filledQuantity(order.state)) this.move({ ...order, state });
  }

  private moveTo(clientOrderId: string, state: OrderState): void {
    const order = this.orders.get(clientOrderId);
    if (order !== undefined) this.move({ ...order, state });
  }

  /** Tells in a later turn, as a message to another thread is. */
  private move(order: Order): void {
    if (this.bench.dead) return;
    this.bench.ledger.orders.set(order.clientOrderId, order);
    this.orders.set(order.clientOrderId, order);
    this.bench.at(0, () => this.bench.track(order));
  }
}
