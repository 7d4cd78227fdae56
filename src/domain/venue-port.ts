/**
 * What the brains may ask of a venue and what they can learn from it, in domain terms. The adapter translates both
 * ways; the simulator answers the same calls under virtual time.
 */
import type { Instrument, OrderMethod, Side } from './instrument.js';
import type { Amount, Price, Quantity } from './money.js';
import type { ClientOrderId, Fill, OrderTerms, UnknownCause, VenueOrderId } from './order.js';

/** The outcome of a submit. Only `rejected` and `denied` say that nothing exists at the venue. */
export type SubmitOutcome =
  | { readonly type: 'confirmed'; readonly venueOrderId: VenueOrderId }
  | { readonly type: 'rejected'; readonly reason: string; readonly code: string }
  /** We refused before a byte left: the fence, an abort, an expired lease. */
  | { readonly type: 'denied'; readonly reason: string }
  | UnknownOutcome;

/** `closed`: the venue's words, where it says that it is under maintenance without saying what became of the write. */
interface UnknownOutcome {
  readonly type: 'unknown';
  readonly cause: UnknownCause;
  readonly retryAfterMs?: number;
  readonly closed?: string;
}

/** The outcome of a cancel. `queued` is the venue's 200: validated, not done (protocol section 5.9). */
export type CancelOutcome =
  | { readonly type: 'queued' }
  | { readonly type: 'rejected'; readonly reason: string; readonly code: string }
  | { readonly type: 'denied'; readonly reason: string }
  | UnknownOutcome;

/** A write, ready to be sent once. */
export type VenueWrite =
  | { readonly type: 'submit'; readonly clientOrderId: ClientOrderId; readonly terms: OrderTerms }
  | { readonly type: 'cancel'; readonly clientOrderId: ClientOrderId; readonly venueOrderId: VenueOrderId };

/** The venue's word on one order (protocol section 5.4). */
export interface OrderReport {
  readonly venueOrderId: VenueOrderId;
  /** The label given at submit; any text, not unique, may be somebody else's. */
  readonly clientOrderId: string | null;
  readonly symbol: string;
  readonly side: Side;
  readonly method: OrderMethod;
  readonly price: Price | null;
  /** Original base quantity. */
  readonly quantity: Quantity;
  readonly remaining: Quantity;
  readonly status: 'untouched' | 'partial' | 'canceled' | 'closed';
  /** Unix ms; 0 where the venue does not say (open orders). */
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** One asset of the account (protocol section 5.1). */
export interface Balance {
  readonly asset: string;
  readonly total: Amount;
  readonly free: Amount;
  readonly locked: Amount;
}

/** A deposit or a withdrawal; `amount` is signed as it changes the balance, fee and tax are costs beside it. */
export interface CashMovement {
  readonly movementId: string;
  readonly kind: 'deposit' | 'withdrawal';
  readonly asset: string;
  readonly amount: Amount;
  readonly fee: Amount;
  readonly tax: Amount;
  readonly atMs: number;
}

/** Reads, each with its own request bucket and units fixed here: all times are Unix milliseconds. */
export type VenueRead =
  | { readonly type: 'server-time' }
  /** Every pair, or `symbols` alone: the venue gives one list of all, and most of the cost is in reading it. */
  | { readonly type: 'instruments'; readonly symbols?: readonly string[] }
  | { readonly type: 'ticker'; readonly symbol: string }
  | { readonly type: 'balances' }
  | { readonly type: 'open-orders'; readonly symbol: string }
  | {
      readonly type: 'all-orders';
      readonly symbol: string;
      readonly fromMs: number | null;
      readonly toMs: number | null;
      readonly limit: number;
    }
  | { readonly type: 'order'; readonly venueOrderId: VenueOrderId }
  | { readonly type: 'trades'; readonly fromMs: number | null; readonly toMs: number | null }
  | { readonly type: 'trades-of-order'; readonly venueOrderId: VenueOrderId }
  | { readonly type: 'cash-movements'; readonly fromMs: number | null; readonly toMs: number | null };

/** What each read answers. */
export interface VenueAnswers {
  'server-time': { readonly serverMs: number };
  /** `problems` names the listed pairs that could not be read, and why. */
  instruments: { readonly instruments: readonly Instrument[]; readonly problems?: readonly string[] };
  ticker: { readonly symbol: string; readonly bid: Price; readonly ask: Price; readonly last: Price } | null;
  balances: { readonly balances: readonly Balance[]; readonly atMs: number };
  /** `pairGone`: there is no list, since the venue says that it has no such pair. */
  'open-orders': { readonly orders: readonly OrderReport[]; readonly pairGone?: true };
  'all-orders': { readonly orders: readonly OrderReport[] };
  order: { readonly order: OrderReport | null };
  trades: { readonly fills: readonly Fill[] };
  'trades-of-order': { readonly fills: readonly Fill[] };
  'cash-movements': { readonly movements: readonly CashMovement[] };
}

/** Why a read has no answer. */
export type ReadFailure =
  /** `unsent`: an earlier reply to somebody has paused the endpoint, and nothing left. */
  | { readonly type: 'rate-limited'; readonly retryAfterMs: number; readonly unsent?: true }
  | { readonly type: 'unauthorized'; readonly message: string }
  | { readonly type: 'refused'; readonly message: string; readonly code: string }
  | { readonly type: 'unavailable'; readonly cause: UnknownCause; readonly detail?: string };

export type ReadResult<T> =
  | { readonly ok: true; readonly value: T; readonly tookMs: number }
  | { readonly ok: false; readonly failure: ReadFailure; readonly tookMs: number };

/** A read's answer paired with its question. */
export type ReadAnswer = {
  [K in VenueRead['type']]: {
    readonly call: Extract<VenueRead, { readonly type: K }>;
    readonly result: ReadResult<VenueAnswers[K]>;
  };
}[VenueRead['type']];

/** What the private feed says (protocol section 9.11). Only `fill` is a fact about money; the rest are hints. */
export type PrivateEvent =
  | { readonly type: 'fill'; readonly fill: Fill }
  | {
      readonly type: 'match-hint';
      readonly venueOrderId: VenueOrderId;
      readonly clientOrderId: string | null;
      readonly quantity: Quantity;
    }
  | {
      readonly type: 'order-inserted';
      readonly venueOrderId: VenueOrderId;
      readonly clientOrderId: string | null;
    }
  | {
      readonly type: 'order-removed';
      readonly venueOrderId: VenueOrderId;
      readonly clientOrderId: string | null;
    }
  | { readonly type: 'balance-hint' };

export type PrivateFeedState = 'disconnected' | 'connecting' | 'logging-in' | 'live' | 'refused';
