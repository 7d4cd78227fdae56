import type { Fill, Order, OrderTerms } from './order.js';
import type { Traced } from './step.js';

/** What a strategy wants: one new order. Not an order until approved and recorded. */
export interface PlaceOrder extends Traced {
  readonly type: 'place-order';
  /** Unique per strategy run: `<strategy>:<incarnation>:<n>`. */
  readonly intentId: string;
  readonly strategy: string;
  readonly terms: OrderTerms;
  /** Monotonic time after which the decision is too old to act on. */
  readonly validUntilMonoMs: number;
  /** The book version the decision was made on. */
  readonly bookVersion: number;
  /** Why the strategy wants it, in its own words: the entry and exit reasons of reports. */
  readonly tag?: string;
}

/** What a strategy wants: the end of one of its orders. */
export interface CancelOrder extends Traced {
  readonly type: 'cancel-order';
  readonly strategy: string;
  readonly intentId: string;
}

/** What strategy tells execution. In a full mailbox intents are refused, cancels are kept. */
export type OrderIntent = PlaceOrder | CancelOrder;

/** Every reason execution may refuse an intent, in order of precedence: the first that applies is the answer. */
export const DENIAL_CODES = [
  'writes-forbidden',
  'not-recovered',
  'mailbox-full',
  'symbol-not-allowed',
  'instrument-unknown',
  'not-trading',
  'method-not-supported',
  'intent-expired',
  'symbol-blocked',
  'book-missing',
  'book-untrusted',
  'book-stale',
  'precision',
  'price-outside-window',
  'price-outside-collar',
  'price-drifted',
  'below-min-notional',
  'quantity-exceeds-limit',
  'notional-exceeds-limit',
  'conversion-rate-missing',
  'position-exceeds-limit',
  'exposure-exceeds-limit',
  'open-orders-exceed-limit',
  'open-orders-per-symbol-exceed-limit',
  'orders-per-minute-exceed-limit',
  'repeated-execution',
  'loss-limit',
  'self-trade',
  'insufficient-balance',
  'journal-failed',
  'fenced',
] as const;
export type DenialCode = (typeof DENIAL_CODES)[number];

/** A refusal by us, before anything was sent: the code, and the numbers that led to it (decimal text). */
export interface Denial {
  readonly code: DenialCode;
  readonly context: Readonly<Record<string, string | number>>;
}

/** An order changed; carries the whole order, and the fill when there was one. Never dropped. */
export interface OrderUpdated extends Traced {
  readonly type: 'order-updated';
  readonly order: Order;
  readonly fill: Fill | null;
}

/** An intent ended before it became an order. */
export interface IntentDenied extends Traced {
  readonly type: 'intent-denied';
  readonly intentId: string;
  readonly strategy: string;
  readonly denial: Denial;
}

/** What execution tells strategy. */
export type OrderEvent = OrderUpdated | IntentDenied;
