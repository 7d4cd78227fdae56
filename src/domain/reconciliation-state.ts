/** What the reconciliation brain keeps, what it hears and what it asks for; the parts of the brain share this file. */

import type { AccountReport, ExecutionReport } from './account-events.js';
import {
  type Accounting,
  accountingFrom,
  bookFill,
  bookMovement,
  initialAccounting,
  pairFromSymbol,
} from './accounting.js';
import { CAUSES } from './breaker.js';
import { originOf } from './client-order-id.js';
import type { CommonEffect, Tell } from './effects.js';
import type { HistoryWish } from './fill-history.js';
import {
  type AppendRequest,
  type FillsGiven,
  type FillsWanted,
  firstBatch,
  type LedgerRecord,
  type LedgerReply,
  type LedgerSnapshot,
  type Valuation,
} from './ledger-records.js';
import type { Amount, Price, Quantity } from './money.js';
import {
  type ClientOrderId,
  type Fill,
  filledQuantity,
  isTerminal,
  type Order,
  type OrderState,
  type TradeId,
  type VenueOrderId,
  venueOrderIdOf,
} from './order.js';
import type { ReadGroups, ReadPurpose } from './read-group.js';
import { initialReadSchedule, type ReadEffect, type ReadSettings } from './read-schedule.js';
import { createRequestBudget } from './request-budget.js';
import { type ControlState, type HoldCause, holdKey } from './safety.js';
import { type EventId, type EventIds, eventIds, type LogLevel, type Now, nextEventId } from './step.js';
import { TradeIds } from './trade-ids.js';
import type {
  Balance,
  CashMovement,
  OrderReport,
  PrivateEvent,
  PrivateFeedState,
  ReadAnswer,
} from './venue-port.js';

export interface ReconciliationConfig {
  readonly incarnation: number;
  /** Seed of the retry jitter. */
  readonly seed: number;
  readonly symbols: readonly string[];
  /** False without a key: nothing signed is asked, and the bot stays an observer. */
  readonly signed: boolean;
  /** True when an earlier run may have read from the venue within the last minute. */
  readonly coldBudget: boolean;
  readonly reads: ReadSettings;
  readonly reconcileIntervalMs: number;
  readonly reconcileMaxLagMs: number;
  /** Longer than the venue's worst delay between taking a submit in and showing it anywhere (protocol section 12 rule 2). */
  readonly absenceWindowMs: number;
  /**
   * Unix ms of the start of an embedded exchange: what was sent before went to one that has ended, and can no longer be
   * carried out. Null, absent or NaN for a venue whose life is not ours to know.
   */
  readonly venueStartedAtMs?: number | null;
  /** How long the account must stand still before its balances may open a ledger. */
  readonly openingQuietMs: number;
  /** How long a difference may last, while reads may merely be late, before it is called one. */
  readonly graceMs: number;
  /** How far balances may lag behind the fills of the same moment. */
  readonly balanceLagMs: number;
  /** How long the private feed may be down. */
  readonly feedMaxDownMs: number;
  readonly markIntervalMs: number;
}

export type ReconciliationInput =
  | { readonly type: 'message'; readonly from: 'execution'; readonly message: ExecutionReport }
  | { readonly type: 'control'; readonly control: ControlState }
  | { readonly type: 'private-event'; readonly event: PrivateEvent }
  | { readonly type: 'private-state'; readonly feed: PrivateFeedState; readonly reason: string }
  | ({ readonly type: 'read-answered'; readonly requestId: number } & ReadAnswer)
  | { readonly type: 'ledger-replied'; readonly reply: LedgerReply }
  | FillsGiven
  /** A peer has a fresh channel: what was told to the old one may be lost. */
  | { readonly type: 'peer-connected'; readonly peer: 'execution' | 'strategy' | 'ledger' }
  /** Take a last look and say `drained`, by `deadlineMonoMs` at the latest. */
  | { readonly type: 'drain'; readonly deadlineMonoMs: number }
  | { readonly type: 'tick' };

export type ReconciliationEffect =
  | CommonEffect
  | ReadEffect
  /** The private feed should show this order's insertion soon, or it is mute (protocol section 9.11). */
  | { readonly type: 'expect-inserted'; readonly clientOrderId: ClientOrderId; readonly sentAtMonoMs: number }
  /** The private feed does not show what it should, or may be let in again: a fresh connection is wanted. */
  | { readonly type: 'reconnect-private'; readonly reason: string }
  | Tell<'execution' | 'strategy', AccountReport>
  | FillsWanted
  /** The last look is over, or its time is. */
  | { readonly type: 'drained'; readonly clean: boolean };

/** Where the actor stands. `observing`: there is no key, so nothing can ever be proven. */
export type ReconciliationPhase = 'observing' | 'opening' | 'recovering' | 'running' | 'draining' | 'drained';

/** One of our orders, as long as anything about it can still change, and a while after. */
export interface TrackedOrder {
  order: Order;
  /** Monotonic time at which execution last told something new of it. */
  changedMonoMs: number;
  /** Of lists that were asked for after this, one that does not show it says that it has ended. */
  listedFromMonoMs: number;
  /** When execution told that its bytes leave; null when it was found in the ledger. */
  sentMonoMs: number | null;
  readonly venueOrderIds: Set<VenueOrderId>;
  /** Base quantity of its booked fills. */
  booked: Quantity;
  lastFill: Fill | null;
  /** The newest word of the venue's reads. */
  report: { readonly report: OrderReport; readonly asOfMonoMs: number } | null;
  /** The private feed has shown it, so it needs not be expected there any more. */
  insertedSeen: boolean;
  /** Sum of the match hints (441), and of the fills booked since the first of them: the second should reach the first. */
  hinted: Quantity;
  bookedSinceTracked: Quantity;
  /** The feed said that it left the book, and no read has confirmed it yet. */
  removedHinted: boolean;
  /** Missing from an open-orders list sent at this time although it should be there. */
  missingAsOfMonoMs: number | null;
  /** A cancel is under way: the order is looked at until its end is proven, or execution says that it works on. */
  cancelQuestioned: boolean;
  watch: OrderWatch | null;
  /** When the newest look at it that was answered in full was sent; null before the first. */
  lookedMonoMs: number | null;
  search: EvidenceSearch | null;
  /** Ended, and everything about it is booked; null before. */
  settledMonoMs: number | null;
}

/** Reads about one order, repeated with a back-off until its facts fit together. */
export interface OrderWatch {
  nextMonoMs: number;
  attempt: number;
  pending: boolean;
  /** Reads wanted whatever the facts say. */
  order: boolean;
  trades: boolean;
}

/** The search for a submit whose outcome is unknown. */
export interface EvidenceSearch {
  /** Unix ms from which the venue may show it. */
  readonly fromWallMs: number;
  /** Only reads sent after this may prove that it does not exist. */
  readonly provableMonoMs: number;
  nextMonoMs: number;
  polls: number;
  /** Why the last look after the window proved nothing yet. */
  objection: string | null;
}

/** An order or trade on the account that is not ours. Seen, reported, never touched. */
export interface ForeignOrder {
  readonly venueOrderId: VenueOrderId;
  readonly clientOrderId: string | null;
  symbol: string | null;
  report: OrderReport | null;
  /** When the newest read that showed it open was sent. */
  openAsOfMonoMs: number;
  pending: boolean;
}

/** A difference that persists: since when, and in how many evaluations. */
export interface Difference {
  readonly sinceMonoMs: number;
  seen: number;
  text: string;
}

export interface VenueBalances {
  readonly byAsset: ReadonlyMap<string, Balance>;
  readonly list: readonly Balance[];
  /** When the read was sent. */
  readonly asOfMonoMs: number;
  /** The same moment on the venue's clock, Unix ms. */
  readonly asOfVenueMs: number;
  /** For people, once somebody has asked: the status shows them every second, and they are read every few. */
  shown: readonly Readonly<Record<string, string>>[] | null;
}

/** A mid price and when it was read. */
export interface Mark {
  readonly price: Price;
  readonly atMonoMs: number;
}

/** How far the opening of a ledger has come; account-opening says what its steps prove. */
export interface Opening {
  step: 'lists' | 'first-look' | 'second-look' | 'appending';
  /** The venue's own time, told before the first balances were asked for; Unix ms. */
  cutMs: number | null;
  /** From where movements are listed, both times. */
  movementsFromMs: number;
  /** The trades that somebody had shown before the first balances were asked for. */
  readonly tradesBefore: Set<TradeId>;
  /** One has been shown since that was not among them. */
  traded: boolean;
  /** Venue time of the newest trade anybody has shown. */
  newestTradeMs: number;
  movementsBefore: readonly CashMovement[];
  first: VenueBalances | null;
  movementsAfter: readonly CashMovement[];
  lookMonoMs: number;
  pending: boolean;
  batch: number | null;
}

export interface ReconciliationState extends ReadGroups, HistoryWish {
  readonly config: ReconciliationConfig;
  readonly ids: EventIds;
  readonly instance: string;
  phase: ReconciliationPhase;
  control: ControlState | null;
  readonly startedMonoMs: number;

  /** Own books, and those of the trades others made on the account: both move the balances, only ours are positions. */
  accounting: Accounting;
  foreignAccounting: Accounting;
  /** Of every order that somebody may still speak of; see {@link forgetOrder}. */
  readonly bookedByOrder: Map<ClientOrderId, Quantity>;
  /** Trades shown again whose numbers only the ledger knows: it has compared them once. */
  readonly compared: TradeIds;
  /** Fills young enough that balances may not show them yet. */
  recentFills: Fill[];
  /** Fills that only the private feed has shown so far. */
  readonly unconfirmedFills: Map<TradeId, { readonly fill: Fill; readonly bookedMonoMs: number }>;
  /** Own fills that only the trades endpoint has shown, although the private feed was live: when they were booked. */
  readonly unseenByFeed: Map<TradeId, number>;
  /** Facts that can never be right, by subject; only an operator may judge them. */
  readonly violations: Map<string, string>;

  readonly live: Map<ClientOrderId, TrackedOrder>;
  readonly settled: Map<ClientOrderId, TrackedOrder>;
  /** Orders with a watch. */
  readonly watching: Set<ClientOrderId>;
  readonly byVenueId: Map<VenueOrderId, ClientOrderId>;
  /** Open orders with our label that the ledger does not hold open. */
  readonly strays: Map<VenueOrderId, { readonly report: OrderReport; asOfMonoMs: number }>;
  readonly foreign: Map<VenueOrderId, ForeignOrder>;
  readonly evidenceRounds: Set<string>;

  balances: VenueBalances | null;
  balancesWantedMonoMs: number | null;
  balancesPending: boolean;
  /** Balances last appended, as text, to append only changes. */
  balancesAppended: string;
  opening: Opening | null;
  /** Why the ledger could not be opened yet. */
  openingObjection: string | null;
  /** The movements that the opening balances hold. */
  openingMovementIds: ReadonlySet<string>;
  /** Of the last list: movements dated before or around the opening, which did not list them, and not booked; by id. */
  undecidedMovements: ReadonlyMap<string, CashMovement>;
  /** Trades are known up to here, venue time in Unix ms. */
  tradesThroughMs: number;
  movementsThroughMs: number;
  movementsReadMonoMs: number;

  pass: Pass | null;
  nextPassMonoMs: number;
  passReason: string;
  /** Failed or inconclusive passes in a row. */
  passesAgain: number;
  lastCleanMonoMs: number;
  /** Epoch of the control state under which the newest complete lists of the venue were asked for; null before the first. */
  listedEpoch: number | null;
  lastCleanWallMs: number | null;
  everClean: boolean;
  readonly differences: Map<string, Difference>;
  /** What the last evaluation said, for status. */
  discrepancies: readonly string[];
  residuals: ReadonlyMap<string, Amount>;

  readonly marks: Map<string, Mark>;
  marksWantedMonoMs: number;
  marksAppendedMonoMs: number;
  valuation: Valuation | null;
  valuedMonoMs: number;
  valuationAppendedMonoMs: number;
  drawdownPct: number | null;

  clockOffsetMs: number | null;
  /** What the venue's clock said last, and when: it tells the time also while ours is being set. Null before. */
  venueClock: { readonly atMs: number; readonly monoMs: number } | null;
  clockWantedMonoMs: number;
  clockPending: boolean;

  feed: PrivateFeedState;
  /** Since when it is; null while it is not. */
  feedLiveMonoMs: number | null;
  feedReplacedMonoMs: number;
  feedEverConnected: boolean;
  /** Monotonic times of the reconnects of the last minute. */
  feedConnects: number[];
  /** Refused logins since it was last live. */
  feedRefusals: number;
  /** Since when the private feed is not live; null while it is. */
  feedDownMonoMs: number | null;
  /** Holds we have asked for, by key, and in what words. */
  readonly held: Map<string, string>;
  /** Subjects of the hold `auth` that the control state shows. */
  readonly authHoldsSeen: Set<string>;
  invariantHoldSeen: boolean;

  nextBatch: number;
  readonly unacknowledged: Map<number, { readonly request: AppendRequest; retryMonoMs: number | null }>;

  accountDirty: boolean;
  accountToldMonoMs: number;
  metricsMonoMs: number;
  statusMonoMs: number;
  /** The last line for people. */
  summary: { readonly profitTry: Amount | null; readonly atMonoMs: number };
  drainDeadlineMonoMs: number | null;
}

/** A full look at the account. */
export interface Pass {
  readonly group: number;
  readonly reason: string;
  readonly startedMonoMs: number;
  readonly startedVenueMs: number;
  /** Epoch of the control state that was known by then. */
  readonly controlEpoch: number | null;
  stage: 'lists' | 'follow-up';
  /** Orders whose facts did not fit together when the lists were in. */
  readonly followedUp: Set<ClientOrderId>;
  followUpUntilMonoMs: number;
}

/** Rows are known to appear late: each read of trades goes back this far behind the last one (protocol section 12 rule 5). */
export const TRADES_OVERLAP_MS = 600_000;
/** Rows of movements may be dated long before they were credited. */
export const MOVEMENTS_OVERLAP_MS = 86_400_000;

/** The brain of an actor that starts, from what the ledger knows. `now` is the moment of the start. */
export const initialReconciliation = (
  config: ReconciliationConfig,
  snapshot: LedgerSnapshot,
  now: Now,
): ReconciliationState => {
  const opened = snapshot.openingAtMs !== null;
  const opening = opened ? { balances: snapshot.openingBalances, atMs: snapshot.openingAtMs } : null;
  const foreignOpening = { balances: [], atMs: snapshot.openingAtMs ?? 0 };
  const checkpoint = snapshot.checkpoint ?? null;
  const earlier = new TradeIds(checkpoint?.tradeIds);
  const state: ReconciliationState = {
    config,
    ids: eventIds('reconciliation', config.incarnation),
    instance: snapshot.instance,
    schedule: initialReadSchedule<ReadPurpose>(
      config.reads,
      createRequestBudget({ writesPerSecond: 1, writeBurst: 1, cold: config.coldBudget }, now.monoMs),
      config.seed,
    ),
    groups: new Map(),
    nextGroup: 1,
    phase: !config.signed ? 'observing' : opened ? 'recovering' : 'opening',
    control: null,
    startedMonoMs: now.monoMs,
    accounting:
      checkpoint === null
        ? initialAccounting(opening)
        : accountingFrom(opening, checkpoint.books.own, earlier),
    foreignAccounting:
      checkpoint === null
        ? initialAccounting(foreignOpening)
        : accountingFrom(foreignOpening, checkpoint.books.foreign, earlier),
    bookedByOrder: new Map(),
    compared: new TradeIds(),
    historyWantedMonoMs: Number.NEGATIVE_INFINITY,
    recentFills: [],
    unconfirmedFills: new Map(),
    unseenByFeed: new Map(),
    violations: new Map(),
    live: new Map(),
    settled: new Map(),
    watching: new Set(),
    byVenueId: new Map(),
    strays: new Map(),
    foreign: new Map(),
    evidenceRounds: new Set(),
    balances: null,
    balancesWantedMonoMs: null,
    balancesPending: false,
    balancesAppended: '',
    opening: null,
    openingObjection: null,
    openingMovementIds: new Set(snapshot.openingMovementIds),
    undecidedMovements: new Map(),
    tradesThroughMs: snapshot.lastRecordAtMs,
    movementsThroughMs: snapshot.lastRecordAtMs,
    movementsReadMonoMs: Number.NEGATIVE_INFINITY,
    pass: null,
    nextPassMonoMs: now.monoMs,
    passReason: 'recovery',
    passesAgain: 0,
    lastCleanMonoMs: now.monoMs,
    listedEpoch: null,
    lastCleanWallMs: null,
    everClean: false,
    differences: new Map(),
    discrepancies: [],
    residuals: new Map(),
    marks: new Map(),
    marksWantedMonoMs: now.monoMs,
    marksAppendedMonoMs: Number.NEGATIVE_INFINITY,
    valuation: snapshot.valuation,
    valuedMonoMs: Number.NEGATIVE_INFINITY,
    valuationAppendedMonoMs: Number.NEGATIVE_INFINITY,
    drawdownPct: null,
    clockOffsetMs: null,
    venueClock: null,
    clockWantedMonoMs: now.monoMs,
    clockPending: false,
    feed: 'disconnected',
    feedLiveMonoMs: null,
    feedReplacedMonoMs: Number.NEGATIVE_INFINITY,
    feedEverConnected: false,
    feedConnects: [],
    feedRefusals: 0,
    feedDownMonoMs: now.monoMs,
    held: new Map(),
    authHoldsSeen: new Set(),
    invariantHoldSeen: false,
    nextBatch: firstBatch(config.incarnation),
    unacknowledged: new Map(),
    accountDirty: false,
    accountToldMonoMs: Number.NEGATIVE_INFINITY,
    metricsMonoMs: Number.NEGATIVE_INFINITY,
    statusMonoMs: Number.NEGATIVE_INFINITY,
    summary: { profitTry: null, atMonoMs: now.monoMs },
    drainDeadlineMonoMs: null,
  };
  for (const movement of snapshot.cashMovements) bookMovement(state.accounting, movement);
  for (const fill of snapshot.fills) replayFill(state, fill);
  for (const [clientOrderId, booked] of checkpoint?.booked ?? [])
    state.bookedByOrder.set(clientOrderId, booked);
  for (const order of snapshot.openOrders) trackOrder(state, order, now);
  return state;
};

/** Books a fill that the ledger already has. */
const replayFill = (state: ReconciliationState, fill: Fill): void => {
  const own = fill.clientOrderId !== null;
  const outcome = bookFill(
    own ? state.accounting : state.foreignAccounting,
    fill,
    pairFromSymbol(fill.symbol, fill.feeAsset),
  );
  if (outcome !== 'booked') {
    state.violations.set(
      `trade:${fill.tradeId}`,
      `the ledger holds trade ${fill.tradeId} twice (${outcome})`,
    );
    return;
  }
  state.recentFills.push(fill);
  if (fill.clientOrderId === null) return;
  const booked = (state.bookedByOrder.get(fill.clientOrderId) ?? 0n) + fill.quantity;
  state.bookedByOrder.set(fill.clientOrderId, booked);
};

/** Begins to follow an order, or takes in what execution now says of it. */
export const trackOrder = (state: ReconciliationState, order: Order, now: Now): TrackedOrder => {
  const known = state.live.get(order.clientOrderId) ?? state.settled.get(order.clientOrderId);
  const tracked: TrackedOrder = known ?? {
    order,
    changedMonoMs: now.monoMs,
    listedFromMonoMs: now.monoMs,
    sentMonoMs: null,
    venueOrderIds: new Set(),
    booked: state.bookedByOrder.get(order.clientOrderId) ?? 0n,
    lastFill: null,
    report: null,
    insertedSeen: false,
    hinted: 0n,
    bookedSinceTracked: 0n,
    removedHinted: false,
    missingAsOfMonoMs: null,
    cancelQuestioned: false,
    watch: null,
    lookedMonoMs: null,
    search: null,
    settledMonoMs: null,
  };
  const believed = tracked.order.state;
  if (!isSameBelief(believed, order.state)) tracked.changedMonoMs = now.monoMs;
  // Lists that are on their way may have been made before an order was there. That a known one was filled or is being
  // canceled, or is spoken of again by an execution that started afresh, takes it off no list.
  const isThereSinceNow =
    venueOrderIdOf(believed) !== venueOrderIdOf(order.state) ||
    (isTerminal(believed) && !isTerminal(order.state));
  if (isThereSinceNow) tracked.listedFromMonoMs = now.monoMs;
  tracked.order = order;
  if (order.state.status === 'in-flight') tracked.sentMonoMs ??= now.monoMs;
  const venueOrderId = venueOrderIdOf(order.state);
  if (venueOrderId !== null) linkVenueOrder(state, tracked, venueOrderId);
  if (known !== undefined && known.settledMonoMs !== null && !isTerminal(order.state)) {
    // It lives after all: execution has heard of it from elsewhere, or has started afresh.
    known.settledMonoMs = null;
    state.settled.delete(order.clientOrderId);
    state.live.set(order.clientOrderId, known);
  }
  if (known === undefined) {
    state.live.set(order.clientOrderId, tracked);
    if (order.terms.method !== 'market' && tracked.booked > order.terms.quantity)
      state.violations.set(
        `order:${order.clientOrderId}`,
        `the ledger holds more fills of order ${order.clientOrderId} than its quantity`,
      );
  }
  return tracked;
};

const isSameBelief = (one: OrderState, other: OrderState): boolean =>
  one.status === other.status &&
  filledQuantity(one) === filledQuantity(other) &&
  venueOrderIdOf(one) === venueOrderIdOf(other);

/**
 * Orders whose booked quantity is kept after they are followed no longer: twice as many as execution keeps of those that
 * have ended, so that all it may still hear of are among them.
 */
const BOOKED_KEPT = 8_192;

/** Follows a settled order no longer. What is booked of it is forgotten when many others have come after it. */
export const forgetOrder = (state: ReconciliationState, { order, venueOrderIds }: TrackedOrder): void => {
  const { bookedByOrder } = state;
  const { clientOrderId } = order;
  state.settled.delete(clientOrderId);
  for (const venueOrderId of venueOrderIds) state.byVenueId.delete(venueOrderId);
  const booked = bookedByOrder.get(clientOrderId);
  if (booked === undefined) return;
  // It counts as late as it can: it may have rested while others were filled.
  bookedByOrder.delete(clientOrderId);
  bookedByOrder.set(clientOrderId, booked);
  let spare = bookedByOrder.size - BOOKED_KEPT;
  for (const other of bookedByOrder.keys()) {
    if (spare <= 0) break;
    if (state.live.has(other) || state.settled.has(other)) continue;
    bookedByOrder.delete(other);
    spare -= 1;
  }
};

/** Two venue orders under one of our labels are one too many, unless the venue replaced a triggered stop (section 6.4). */
export const linkVenueOrder = (
  state: ReconciliationState,
  tracked: TrackedOrder,
  venueOrderId: VenueOrderId,
): void => {
  if (tracked.venueOrderIds.has(venueOrderId)) return;
  tracked.venueOrderIds.add(venueOrderId);
  state.byVenueId.set(venueOrderId, tracked.order.clientOrderId);
  state.strays.delete(venueOrderId);
  const { method } = tracked.order.terms;
  const most = method === 'stop-limit' || method === 'stop-market' ? 2 : 1;
  if (tracked.venueOrderIds.size > most)
    state.violations.set(
      `twice:${tracked.order.clientOrderId}`,
      `the venue has more than one order under the label ${tracked.order.clientOrderId}: ${[...tracked.venueOrderIds].join(', ')}`,
    );
};

/** The order that a fact of the venue is about, by the venue's id first: labels are not unique (protocol section 6.5). */
export const findTracked = (
  state: ReconciliationState,
  venueOrderId: VenueOrderId,
  clientOrderId: string | null,
): TrackedOrder | undefined => {
  const label = state.byVenueId.get(venueOrderId) ?? clientOrderId;
  return label === null ? undefined : (state.live.get(label) ?? state.settled.get(label));
};

/** Whether a label was given by this database, in whatever epoch. */
export const isOwnLabel = (state: ReconciliationState, label: string | null): boolean => {
  const origin = originOf(label, { instance: state.instance, epoch: 0 });
  return origin === 'this-epoch' || origin === 'older-epoch' || origin === 'newer-epoch';
};

/** What execution believes is filled. */
export const believedFilled = (tracked: TrackedOrder): Quantity => filledQuantity(tracked.order.state);

/** The venue's wall clock, as far as measured. */
export const venueNowMs = (state: ReconciliationState, now: Now): number =>
  now.wallMs + (state.clockOffsetMs ?? 0);

// What the parts of the brain have in common when they speak.

export const tell = (
  effects: ReconciliationEffect[],
  to: 'execution' | 'strategy',
  message: AccountReport,
): void => {
  effects.push({ type: 'tell', to, message });
};

export const traced = (
  state: ReconciliationState,
  cause: EventId | null = null,
): { readonly id: EventId; readonly cause: EventId } => {
  const id = nextEventId(state.ids);
  return { id, cause: cause ?? id };
};

export const log = (
  effects: ReconciliationEffect[],
  level: LogLevel,
  event: string,
  fields: Readonly<Record<string, unknown>>,
): void => {
  effects.push({ type: 'log', level, event, fields });
};

/** Hands facts to the ledger; durable ones are kept until the ledger has them on disk. */
export const append = (
  state: ReconciliationState,
  effects: ReconciliationEffect[],
  records: readonly LedgerRecord[],
  durable: boolean,
): number => {
  const batch = state.nextBatch++;
  const request: AppendRequest = { type: 'append', batch, durable, records };
  if (durable) state.unacknowledged.set(batch, { request, retryMonoMs: null });
  effects.push({ type: 'append', request });
  return batch;
};

export const audit = (
  state: ReconciliationState,
  effects: ReconciliationEffect[],
  now: Now,
  event: string,
  facts: Readonly<Record<string, string | number | boolean | null>>,
): void => {
  append(
    state,
    effects,
    [{ type: 'audit', atMs: now.wallMs, actor: 'reconciliation', event, ...traced(state), facts }],
    false,
  );
};

/**
 * Asks for a hold once, until it is cleared; one that an operator releases also for every new finding, which may be younger
 * than a release that we have not heard of yet.
 */
export const placeHold = (
  state: ReconciliationState,
  effects: ReconciliationEffect[],
  holdCause: HoldCause,
  subject: string,
  detail: string,
): void => {
  const key = holdKey(holdCause, subject);
  const asked = state.held.get(key);
  if (asked !== undefined && (asked === detail || CAUSES[holdCause].releasedBy !== 'operator')) return;
  state.held.set(key, detail);
  effects.push({
    type: 'hold',
    message: { type: 'hold-wanted', ...traced(state), holdCause, subject, detail },
  });
  log(effects, 'warn', 'hold-wanted', { holdCause, subject, detail });
};

/** Says that a hold's condition has passed, if it was ours. */
export const clearHold = (
  state: ReconciliationState,
  effects: ReconciliationEffect[],
  holdCause: HoldCause,
  subject: string,
  detail: string,
): void => {
  // Said on every look, and mostly nothing is held.
  if (state.held.size === 0 || !state.held.delete(holdKey(holdCause, subject))) return;
  effects.push({
    type: 'hold',
    message: { type: 'hold-cleared', ...traced(state), holdCause, subject, detail },
  });
};
