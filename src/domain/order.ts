import type { OrderMethod, Side } from './instrument.js';
import type { Amount, Price, Quantity } from './money.js';
import type { EventId } from './step.js';

/** Ours, made and stored before sending; at most 50 characters (protocol section 6.5). See client-order-id.ts. */
export type ClientOrderId = string;
/** The venue's order id, as text: JSON integers above 2^53 must survive. */
export type VenueOrderId = string;
/** The venue's trade id, as text; the one key of a fill. */
export type TradeId = string;

/** Why the outcome of a submit or cancel is not known. */
export type UnknownCause =
  | 'timeout'
  | 'disconnect'
  | 'server-error'
  | 'unreadable'
  | 'rate-limited'
  | 'unrecognised'
  | 'process-ended';

/** Where an order stands; each state has exactly the data that is true in it. */
export type OrderState =
  | { readonly status: 'intended' }
  | { readonly status: 'in-flight'; readonly sentAtMs: number }
  | {
      readonly status: 'unknown';
      readonly sinceMs: number;
      readonly cause: UnknownCause;
      readonly filled: Quantity;
    }
  | { readonly status: 'working'; readonly venueOrderId: VenueOrderId; readonly filled: Quantity }
  | {
      readonly status: 'cancel-in-flight';
      readonly venueOrderId: VenueOrderId;
      readonly filled: Quantity;
      readonly requestedAtMs: number;
    }
  /**
   * `expired` is for a venue whose orders end by a time limit of their own. BtcTurk has none (protocol section 6.3), and
   * what it takes off its book it reports as canceled: no fact leads there, and one found in a journal stays what it is.
   */
  | {
      readonly status: 'filled' | 'canceled' | 'expired';
      readonly venueOrderId: VenueOrderId;
      readonly filled: Quantity;
    }
  | { readonly status: 'rejected'; readonly reason: string }
  | { readonly status: 'denied'; readonly reason: string };

export type OrderStatus = OrderState['status'];

/** What an order asks for; it never changes after the intent. */
export interface OrderTerms {
  readonly symbol: string;
  readonly side: Side;
  readonly method: OrderMethod;
  /** Limit price; null for a market order. */
  readonly price: Price | null;
  /** Base quantity. Market buys, whose wire quantity is quote, are built from {@link quoteQuantity}. */
  readonly quantity: Quantity;
  /** Quote to spend, for market buys only (protocol section 6.1). */
  readonly quoteQuantity: Amount | null;
  readonly stopPrice: Price | null;
}

/** An order from its durable intent on. */
export interface Order {
  readonly clientOrderId: ClientOrderId;
  readonly intentId: string;
  /** Name of the running strategy: its own, or the one it has in `STRATEGIES`. */
  readonly strategy: string;
  /** Why the strategy wanted it, in its own words; absent for none. */
  readonly tag?: string;
  readonly terms: OrderTerms;
  readonly configHash: string;
  /** The event that led to the intent. */
  readonly cause: EventId;
  readonly intendedAtMs: number;
  /** Unix ms of the first byte, once it left; null before. */
  readonly sentAtMs: number | null;
  readonly settledAtMs: number | null;
  readonly state: OrderState;
}

/** An execution of one of our orders; `tradeId` is its only key. */
export interface Fill {
  readonly tradeId: TradeId;
  readonly venueOrderId: VenueOrderId;
  /** Null when the order is not ours. */
  readonly clientOrderId: ClientOrderId | null;
  readonly symbol: string;
  readonly side: Side;
  readonly price: Price;
  /** Base, positive, exact (`preciseAmount`, protocol section 5.2). */
  readonly quantity: Quantity;
  /** Cost in `feeAsset`, positive or zero; the wire has it negative. */
  readonly fee: Amount;
  /** Value-added tax on the fee, in `feeAsset`, positive or zero. */
  readonly tax: Amount;
  readonly feeAsset: string;
  readonly executedAtMs: number;
}

export const isTerminal = (state: OrderState): boolean =>
  state.status === 'filled' ||
  state.status === 'canceled' ||
  state.status === 'expired' ||
  state.status === 'rejected' ||
  state.status === 'denied';

/** Base quantity executed so far, as far as booked. */
export const filledQuantity = (state: OrderState): Quantity => ('filled' in state ? state.filled : 0n);

export const venueOrderIdOf = (state: OrderState): VenueOrderId | null =>
  'venueOrderId' in state ? state.venueOrderId : null;
