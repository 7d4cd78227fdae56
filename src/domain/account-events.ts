import type { Amount, Quantity } from './money.js';
import type { ClientOrderId, Fill, Order, VenueOrderId } from './order.js';
import type { Traced } from './step.js';
import type { PositionView } from './strategy.js';
import type { Balance, OrderReport } from './venue-port.js';

/** Execution tells reconciliation of every change of an order it is responsible for. Never dropped. */
export interface OrderTracked extends Traced {
  readonly type: 'order-tracked';
  readonly order: Order;
}

/** Execution asks for evidence about an order whose submit or cancel outcome is unknown. */
export interface EvidenceWanted extends Traced {
  readonly type: 'evidence-wanted';
  readonly clientOrderId: ClientOrderId;
}

/** What execution tells reconciliation. */
export type ExecutionReport = OrderTracked | EvidenceWanted;

/** The venue's word on one of our orders, from a read. `asOfMonoMs` is when the read was sent. */
export interface OrderReported extends Traced {
  readonly type: 'order-reported';
  readonly clientOrderId: ClientOrderId;
  readonly report: OrderReport;
  readonly asOfMonoMs: number;
}

/** The private feed said that the venue took the order in (451) or off the book (452): hints, confirmed by reads. */
export interface OrderHinted extends Traced {
  readonly type: 'order-hinted';
  readonly clientOrderId: ClientOrderId;
  readonly venueOrderId: VenueOrderId;
  readonly hint: 'inserted' | 'removed' | 'matched';
}

/** A fill of one of our orders, booked for the first time. `orderFilled` is the order's booked total after it. */
export interface FillBooked extends Traced {
  readonly type: 'fill-booked';
  readonly fill: Fill;
  readonly orderFilled: Quantity;
}

/**
 * Open orders, all orders, trades and balances all show, over a window longer than the venue's worst delay, that an
 * unknown submit never became an order.
 */
export interface AbsenceProven extends Traced {
  readonly type: 'absence-proven';
  readonly clientOrderId: ClientOrderId;
  readonly evidence: string;
}

/** The account as last proven: balances from the venue, positions from the booked fills, rates into lira. */
export interface AccountUpdated extends Traced {
  readonly type: 'account-updated';
  readonly balances: readonly Balance[];
  readonly balancesAsOfMonoMs: number;
  /** What each asset's total is by the books: the opening, every booked fill, deposits and withdrawals. */
  readonly owned: ReadonlyMap<string, Amount>;
  readonly positions: readonly PositionView[];
  /** Lira for one unit of each quote asset; TRY itself is 1. An asset without a fresh rate is absent. */
  readonly tryRates: ReadonlyMap<string, Amount>;
  /** Net realised and unrealised profit since the start of the UTC+3 trading day and since the peak, in TRY. */
  readonly dayProfitTry: Amount | null;
  readonly drawdownPct: number | null;
}

/** A full pass found ledger and venue equal, or what differs. */
export interface Reconciled extends Traced {
  readonly type: 'reconciled';
  readonly clean: boolean;
  readonly discrepancies: readonly string[];
  readonly completedMonoMs: number;
}

/** What reconciliation tells execution. Never dropped. */
export type AccountReport =
  | OrderReported
  | OrderHinted
  | FillBooked
  | AbsenceProven
  | AccountUpdated
  | Reconciled;
