import type { AccountReport, AccountUpdated, ExecutionReport } from './account-events.js';
import type { BookMemory } from './book-memory.js';
import type { CommonEffect, Tell } from './effects.js';
import type { FeeRates } from './fees.js';
import type { CancelOrigin, WriteApproval } from './fence.js';
import type { Instrument } from './instrument.js';
import {
  firstBatch,
  type LedgerRecord,
  type LedgerReply,
  type LedgerSnapshot,
  type RecentOrder,
} from './ledger-records.js';
import type { MarketEvent } from './market-events.js';
import { type Amount, basisPoints, type Quantity } from './money.js';
import type { ClientOrderId, Fill, OrderTerms } from './order.js';
import type { OrderEvent, OrderIntent } from './order-events.js';
import { type OrderRecord, orderRecord } from './order-machine.js';
import { DRIFT_WINDOW_MS, type PriceTrail } from './price-drift.js';
import { type Approval, type RecentApprovals, recentApprovals } from './recent-approvals.js';
import {
  type Bucket,
  type BudgetSettings,
  createRequestBudget,
  type RequestBudget,
} from './request-budget.js';
import type { RiskLimits } from './risk.js';
import type { ControlState, HoldCause } from './safety.js';
import { type ActorName, type EventId, type EventIds, eventIds, type Now } from './step.js';
import type { VenueBlocks } from './venue-block.js';
import type { CancelOutcome, ReadAnswer, SubmitOutcome, VenueRead, VenueWrite } from './venue-port.js';

/** A cancel of the same order is not repeated sooner. */
export const CANCEL_REPEAT_MIN_MS = 1_000;

/** Stands for the batch of transitions that the ledger does not have, until they are sent again. */
export const REFUSED = Number.POSITIVE_INFINITY;

/** What the execution brain is told once, at its start. */
export interface ExecutionConfig {
  readonly symbols: readonly string[];
  readonly limits: RiskLimits;
  readonly maxMarketDataAgeMs: number;
  /** By quote asset. */
  readonly feesOf: (quote: string) => FeeRates;
  readonly configHash: string;
  /** Id of the database, and the epoch of this incarnation, both part of every client order id. */
  readonly instance: string;
  readonly epoch: number;
  /** Restarts of this actor within the process; part of every event id. */
  readonly incarnation: number;
  readonly budget: BudgetSettings;
  /** Until when the venue wants the order paths left alone by what it told earlier incarnations, monotonic ms. */
  readonly pausedUntil?: Readonly<Partial<Record<Bucket, number>>>;
  readonly shutdownOpenOrders: 'leave' | 'cancel';
}

/** Someone wants an order ended. */
export interface CancelWish {
  readonly origin: CancelOrigin;
  readonly reason: string;
  readonly cause: EventId;
}

/** An order with everything execution remembers of it beside its own life. Times are monotonic ms. */
export interface TrackedOrder {
  readonly record: OrderRecord;
  /** Where its one POST is. An order found in the journal has had its chance: it is `settled` from the start. */
  submit: 'journaling' | 'queued' | 'handed-over' | 'sent' | 'settled';
  approval: WriteApproval | null;
  /** When the intent was approved, when it was on disk. */
  approvedAt: number | null;
  journaledAt: number | null;
  /** When the write was handed to the shell, and when its first byte left. */
  handedOverAt: number | null;
  sentAt: number | null;
  /** First proof that the venue knows the order. */
  knownAt: number | null;
  cancelWish: CancelWish | null;
  /** Where the newest DELETE is. */
  cancel: 'idle' | 'handed-over' | 'sent';
  cancelHandedOverAt: number;
  firstCancelSentAt: number | null;
  lastCancelSentAt: number;
  cancelsSent: number;
  /** Not before this may the cancel be repeated. */
  cancelRetryAt: number;
  evidenceAskedAt: number;
  /**
   * The numbers behind the approval, for people: recorded with the order's first transition, because they would double
   * the pages of the commit that the first byte waits for. Null once they are.
   */
  approvalAudit: LedgerRecord | null;
}

/** What makes two orders the same execution. */
export const fingerprint = (terms: OrderTerms): string =>
  `${terms.symbol} ${terms.side} ${terms.price ?? terms.method} ${terms.quoteQuantity ?? terms.quantity}`;

export interface ExecutionState {
  readonly config: ExecutionConfig;
  readonly ids: EventIds;
  readonly symbols: ReadonlySet<string>;
  readonly budget: RequestBudget;
  /** When the last step was taken; null before the first. */
  seenAt: Now | null;
  control: ControlState | null;
  stopping: boolean;
  recovered: boolean;
  account: AccountUpdated | null;
  positions: Map<string, Quantity>;
  /** What each asset's total is by the books, with every booked fill. */
  owned: Map<string, Amount>;
  readonly instruments: Map<string, Instrument>;
  instrumentsAskedAt: number;
  clockAskedAt: number;
  readonly books: Map<string, BookMemory>;
  /** Orders that have not ended, oldest first. */
  readonly open: Map<ClientOrderId, TrackedOrder>;
  /** Orders that ended in this run, oldest first; bounded. */
  readonly ended: Map<ClientOrderId, TrackedOrder>;
  /** Ended orders whose cost the venue's balances may not show yet. */
  unreflected: TrackedOrder[];
  readonly byIntent: Map<string, ClientOrderId>;
  /** Journaled orders that wait for the request budget, oldest first. */
  readonly queue: TrackedOrder[];
  /** Intents on their way to the disk, by batch. */
  readonly journaling: Map<number, TrackedOrder>;
  nextSequence: number;
  nextBatch: number;
  /** Transitions the ledger has not confirmed, oldest first; sent again when it comes back. */
  unconfirmed: { readonly batch: number; readonly records: readonly LedgerRecord[] }[];
  resendAt: number;
  /** The ledger has ended, and no other is there yet. */
  ledgerLost: boolean;
  ledgerFailed: boolean;
  /** The write lease has run out, and no new one has come. */
  leaseLost: boolean;
  readonly approvals: RecentApprovals;
  /** By symbol: where the market was when orders were approved. */
  readonly trails: Map<string, PriceTrail>;
  /** Venue refusals of the last minute, and how many came in a row. */
  rejections: number[];
  rejectionsInRow: number;
  unauthorizedInRow: number;
  /** What the venue has closed for maintenance. */
  readonly venueBlocks: VenueBlocks;
  repeatHeld: boolean;
  /** Whether some bucket is held for a 429, here or seen by another actor. */
  throttleHeld: boolean;
  /** When each hold was last asked for; asked again while its condition lasts and the supervisor does not show it. */
  readonly holdsAsked: Map<string, number>;
  /** By key, what is still to be asked for because of something that happened while the last request was young. */
  readonly holdsOwed: Map<
    string,
    { readonly cause: HoldCause; readonly subject: string; readonly detail: string }
  >;
  readonly pausedBuckets: Map<Bucket, number>;
  /** Monotonic times of the replies 429 of the last minute. */
  throttledAt: number[];
  readonly denials: Map<string, number>;
  readonly gaugesShown: { open: number; unknown: number; closed: number };
  statusAt: number;
}

/** A write for the shell: to be sent once, through the fence. */
export interface WriteEffect {
  readonly type: 'write';
  readonly write: VenueWrite;
  readonly approval: WriteApproval;
}

export type ExecutionEffect =
  | CommonEffect
  | Tell<'strategy', OrderEvent>
  | Tell<'reconciliation', ExecutionReport>
  | WriteEffect
  /** A read for execution's own sake: the venue's clock, or its list while market-data has not told it. */
  | { readonly type: 'read'; readonly call: ExecutionRead };

export type ExecutionRead = Extract<VenueRead, { readonly type: 'instruments' | 'server-time' }>;

export type ExecutionInput =
  /** First input: what the journal knew has to be told and resolved. */
  | { readonly type: 'started' }
  | { readonly type: 'message'; readonly from: 'strategy'; readonly message: OrderIntent }
  | { readonly type: 'message'; readonly from: 'market-data'; readonly message: MarketEvent }
  | { readonly type: 'message'; readonly from: 'reconciliation'; readonly message: AccountReport }
  | { readonly type: 'message'; readonly from: 'ledger'; readonly message: LedgerReply }
  /** An intent that the full mailbox refused. */
  | { readonly type: 'intent-refused'; readonly message: OrderIntent }
  | { readonly type: 'control'; readonly control: ControlState }
  | { readonly type: 'cancel-all-ordered'; readonly reason: string }
  | { readonly type: 'peer-connected'; readonly peer: ActorName }
  | { readonly type: 'peer-lost'; readonly peer: ActorName }
  | { readonly type: 'read-answered'; readonly answer: ReadAnswer }
  /** The fence let the write pass; its first byte leaves now. */
  | {
      readonly type: 'write-sent';
      readonly kind: VenueWrite['type'];
      readonly clientOrderId: ClientOrderId;
    }
  | {
      readonly type: 'write-outcome';
      readonly kind: 'submit';
      readonly clientOrderId: ClientOrderId;
      readonly outcome: SubmitOutcome;
    }
  | {
      readonly type: 'write-outcome';
      readonly kind: 'cancel';
      readonly clientOrderId: ClientOrderId;
      readonly outcome: CancelOutcome;
    }
  | { readonly type: 'drain' }
  /** The stop's time is over: what is in flight is left unknown in the journal. */
  | { readonly type: 'drain-deadline' }
  /** `leaseUntilMonoMs`: how long the write lease lasts; 0 before the first, absent where there is none. */
  | { readonly type: 'tick'; readonly leaseUntilMonoMs?: number };

/** What became of a write, as an input. */
export const writeOutcome = (
  { type: kind, clientOrderId }: Pick<VenueWrite, 'type' | 'clientOrderId'>,
  outcome: SubmitOutcome | CancelOutcome,
): ExecutionInput => {
  if (kind === 'cancel' && outcome.type !== 'confirmed')
    return { type: 'write-outcome', kind, clientOrderId, outcome };
  if (kind === 'submit' && outcome.type !== 'queued')
    return { type: 'write-outcome', kind, clientOrderId, outcome };
  throw new Error(`a ${kind} cannot end as ${outcome.type}`);
};

/** One step: the state, the time, the effects so far. */
export interface Turn {
  readonly state: ExecutionState;
  readonly now: Now;
  readonly effects: ExecutionEffect[];
}

/** A tracked order in its first state. */
export const trackOrder = (record: OrderRecord, submit: TrackedOrder['submit']): TrackedOrder => ({
  record,
  submit,
  approval: null,
  approvedAt: null,
  journaledAt: null,
  handedOverAt: null,
  sentAt: null,
  knownAt: null,
  cancelWish: null,
  cancel: 'idle',
  cancelHandedOverAt: Number.NEGATIVE_INFINITY,
  firstCancelSentAt: null,
  lastCancelSentAt: Number.NEGATIVE_INFINITY,
  cancelsSent: 0,
  cancelRetryAt: Number.NEGATIVE_INFINITY,
  evidenceAskedAt: Number.NEGATIVE_INFINITY,
  approvalAudit: null,
});

/**
 * The state at the start of an incarnation, from what the journal knows. Orders that had not ended are taken over; the
 * `started` input then turns those whose outcome nobody can know into `unknown`.
 */
export const initialExecution = (
  config: ExecutionConfig,
  snapshot: Pick<LedgerSnapshot, 'openOrders' | 'fills' | 'cancelWishes' | 'recentOrders'>,
  now: Now,
): ExecutionState => {
  const wishes = new Map(snapshot.cancelWishes.map(wish => [wish.clientOrderId, wish]));
  const fillsByOrder = new Map<ClientOrderId, Fill[]>();
  for (const fill of snapshot.fills) {
    if (fill.clientOrderId === null) continue;
    const fills = fillsByOrder.get(fill.clientOrderId);
    if (fills === undefined) fillsByOrder.set(fill.clientOrderId, [fill]);
    else fills.push(fill);
  }
  const open = new Map<ClientOrderId, TrackedOrder>();
  const byIntent = new Map<string, ClientOrderId>();
  for (const order of snapshot.openOrders) {
    const tracked = trackOrder(orderRecord(order, fillsByOrder.get(order.clientOrderId)), 'settled');
    tracked.record.journaled = true;
    // The run before this one may have sent a cancel a moment ago.
    tracked.lastCancelSentAt = now.monoMs;
    tracked.cancelRetryAt = now.monoMs + CANCEL_REPEAT_MIN_MS;
    // Balances that are read a moment after the start may not show it yet.
    if (tracked.record.venueOrderId !== null) tracked.knownAt = now.monoMs;
    const wish = wishes.get(order.clientOrderId);
    if (wish !== undefined)
      tracked.cancelWish = {
        origin: wish.origin,
        reason: `${wish.reason}, before the restart`,
        cause: wish.cause,
      };
    else if (order.state.status === 'cancel-in-flight')
      tracked.cancelWish = { origin: 'strategy', reason: 'asked for before the restart', cause: order.cause };
    open.set(order.clientOrderId, tracked);
    byIntent.set(order.intentId, order.clientOrderId);
  }
  return {
    config,
    ids: eventIds('execution', config.incarnation),
    symbols: new Set(config.symbols),
    budget: createRequestBudget(config.budget, now.monoMs),
    seenAt: null,
    control: null,
    stopping: false,
    recovered: false,
    account: null,
    positions: new Map(),
    owned: new Map(),
    instruments: new Map(),
    instrumentsAskedAt: Number.NEGATIVE_INFINITY,
    clockAskedAt: Number.NEGATIVE_INFINITY,
    books: new Map(),
    open,
    ended: new Map(),
    unreflected: [],
    byIntent,
    queue: [],
    journaling: new Map(),
    nextSequence: 1,
    nextBatch: firstBatch(config.incarnation),
    unconfirmed: [],
    resendAt: Number.POSITIVE_INFINITY,
    ledgerLost: false,
    ledgerFailed: false,
    leaseLost: false,
    approvals: recentApprovals(approvalsOf(config.limits, snapshot.recentOrders, now)),
    trails: trailsOf(config.limits, snapshot.recentOrders, now),
    rejections: [],
    rejectionsInRow: 0,
    unauthorizedInRow: 0,
    venueBlocks: new Map(),
    repeatHeld: false,
    throttleHeld: false,
    holdsAsked: new Map(),
    holdsOwed: new Map(),
    pausedBuckets: new Map(),
    throttledAt: [],
    denials: new Map(),
    gaugesShown: { open: -1, unknown: -1, closed: -1 },
    statusAt: Number.NEGATIVE_INFINITY,
  };
};

const MINUTE_MS = 60_000;

/** How long ago an order was intended. A clock that went back makes it recent: it counts all the same. */
const ageOf = (order: RecentOrder, now: Now): number => Math.max(0, now.wallMs - order.intendedAtMs);

/** What an earlier incarnation approved counts on. Not known counts as the limit used up for a minute. */
const approvalsOf = (limits: RiskLimits, recent: readonly RecentOrder[] | null, now: Now): Approval[] => {
  if (recent === null)
    return Array.from({ length: limits.maxOrdersPerMinute ?? 1 }, () => ({
      at: now.monoMs,
      fingerprint: '',
    }));
  return recent
    .filter(order => ageOf(order, now) < MINUTE_MS)
    .map(order => ({ at: now.monoMs - ageOf(order, now), fingerprint: fingerprint(order.terms) }))
    .sort((left, right) => left.at - right.at);
};

/** The ledger knows the order's own price; the market was within the collar of it. */
const trailsOf = (
  limits: RiskLimits,
  recent: readonly RecentOrder[] | null,
  now: Now,
): Map<string, PriceTrail> => {
  const trails = new Map<string, PriceTrail>();
  for (const order of recent ?? []) {
    const { symbol, price } = order.terms;
    if (price === null || ageOf(order, now) >= DRIFT_WINDOW_MS) continue;
    const reach = basisPoints(price, limits.priceCollarBps ?? 0, 'up');
    const trail = trails.get(symbol) ?? [];
    trail.push({ at: now.monoMs - ageOf(order, now), least: price - reach, greatest: price + reach });
    trails.set(symbol, trail);
  }
  for (const trail of trails.values()) trail.sort((left, right) => left.at - right.at);
  return trails;
};
