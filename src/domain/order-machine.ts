/**
 * The life of one order as one table of (status, fact). Rules it keeps:
 *
 * - Late facts are legal: they are applied, counted, and named `late` in the findings. A fill may follow a cancel, the
 *   private feed may overtake the POST's reply, a reply may come after evidence has answered the question.
 * - Impossible facts are loud (`impossible` in the findings), and still applied where they concern money: the venue's
 *   word about what exists outranks our opinion that it cannot.
 * - `unknown` ends only by evidence: a venue order id from a report, a hint or a fill; a definitive reply; or proven
 *   absence. Never by a clock or a retry count.
 * - A cancel's 200 ends nothing. `canceled` is final only when a report shows the order ended and the booked fills equal
 *   what the report says was executed; until then the order stays `cancel-in-flight` with its exposure.
 */
import { max, type Quantity } from './money.js';
import {
  type Fill,
  isTerminal,
  type Order,
  type OrderState,
  type OrderStatus,
  type TradeId,
  type UnknownCause,
  type VenueOrderId,
} from './order.js';
import type { Now } from './step.js';
import type { OrderReport } from './venue-port.js';

/** Something that happened to an order, from wherever it became known. */
export type OrderFact =
  /** The intent is on disk. */
  | { readonly type: 'journaled' }
  /** The first byte of the POST is about to leave. */
  | { readonly type: 'sent' }
  | { readonly type: 'submit-confirmed'; readonly venueOrderId: VenueOrderId }
  | { readonly type: 'submit-rejected'; readonly reason: string }
  /** Refused by us; no byte left. */
  | { readonly type: 'submit-denied'; readonly reason: string }
  | { readonly type: 'submit-unknown'; readonly cause: UnknownCause }
  | { readonly type: 'cancel-sent' }
  | { readonly type: 'cancel-queued' }
  | { readonly type: 'cancel-rejected' }
  | { readonly type: 'cancel-denied' }
  | { readonly type: 'cancel-unknown' }
  | { readonly type: 'hint-inserted'; readonly venueOrderId: VenueOrderId }
  | { readonly type: 'hint-removed'; readonly venueOrderId: VenueOrderId }
  | { readonly type: 'hint-matched'; readonly venueOrderId: VenueOrderId }
  | { readonly type: 'reported'; readonly report: OrderReport; readonly asOfMonoMs: number }
  | { readonly type: 'fill-booked'; readonly fill: Fill; readonly orderFilled: Quantity }
  | { readonly type: 'absence-proven'; readonly evidence: string }
  /** The process that was responsible ended; this one has only the journal. */
  | { readonly type: 'process-ended' };
export type OrderFactType = OrderFact['type'];

/** What was odd about a fact. */
export interface OrderFinding {
  readonly kind: 'late' | 'impossible';
  readonly what: FindingName;
  readonly detail: string;
}
export type FindingName =
  | 'sent-before-journal'
  | 'sent-twice'
  | 'answer-before-sent'
  | 'answer-after-evidence'
  | 'answer-after-end'
  | 'rejected-order-exists'
  | 'denied-order-exists'
  | 'denied-after-sent'
  | 'absence-of-existing-order'
  | 'absence-while-in-flight'
  | 'second-venue-order'
  | 'cancel-without-order'
  | 'fill-repeated'
  | 'fill-after-end'
  | 'fill-beyond-quantity'
  | 'fill-of-another-order'
  | 'fill-total-differs'
  | 'report-stale'
  | 'report-of-another-order'
  | 'report-contradicts-itself'
  | 'report-below-booked'
  | 'ended-order-live';

/** An order with what the machine remembers beside its state. Updated in place by {@link applyOrderFact}. */
export interface OrderRecord {
  order: Order;
  venueOrderId: VenueOrderId | null;
  journaled: boolean;
  /** Base quantity of the booked fills: of those we were told of, or more where the journal of an earlier process says more. */
  booked: Quantity;
  /**
   * Of the fills that the accounting has told us of, or that the ledger has. Less than `booked` when a process died after it
   * had journaled what a fill made of the order and before the ledger had the fill: it will be told as a new one.
   */
  named: Quantity;
  readonly tradeIds: Set<TradeId>;
  /** The venue's last word that the order ended, while booked fills may still be missing. */
  ended: {
    readonly status: 'canceled' | 'closed';
    readonly filled: Quantity;
    readonly atMonoMs: number;
    readonly asOfMonoMs: number;
  } | null;
  /** `asOfMonoMs` of the newest report applied, and of the newest that showed the order live. */
  reportedAsOf: number;
  liveAsOf: number;
  /** A cancel of ours left and was not refused: the venue may still carry it out. */
  cancelPending: boolean;
  /** Further venue orders that carry this order's label: each may execute the whole quantity again. */
  readonly strays: VenueOrderId[];
}

/** What applying a fact came to. */
export interface Applied {
  /** True when the order's state changed, if only in its filled quantity. */
  readonly changed: boolean;
  /** The venue should be asked about this order. */
  readonly evidenceWanted: boolean;
  /** The booked fill, when this fact brought a new one. */
  readonly fill: Fill | null;
  readonly findings: readonly OrderFinding[];
}

/** Reads may show an ended order as live for a while (protocol section 11); after this long it is impossible. */
export const ENDED_LIVE_GRACE_MS = 10_000;

/** A record for a new order, or for one found in the journal (`booked`: the fills the journal has). */
export const orderRecord = (order: Order, booked: readonly Fill[] = []): OrderRecord => {
  const journaledFilled = 'filled' in order.state ? order.state.filled : 0n;
  let sum = 0n;
  for (const fill of booked) sum += fill.quantity;
  return {
    order,
    venueOrderId:
      'venueOrderId' in order.state ? order.state.venueOrderId : (booked[0]?.venueOrderId ?? null),
    journaled: order.state.status !== 'intended' || booked.length > 0,
    booked: max(sum, journaledFilled),
    named: sum,
    tradeIds: new Set(booked.map(fill => fill.tradeId)),
    ended: null,
    reportedAsOf: Number.NEGATIVE_INFINITY,
    liveAsOf: Number.NEGATIVE_INFINITY,
    cancelPending: order.state.status === 'cancel-in-flight',
    strays: [],
  };
};

/** Base quantity that a terminal order can no longer, and any other still may, execute; strays at their worst. */
export const worstRemaining = (record: OrderRecord): Quantity => {
  const stray = record.order.terms.quantity * BigInt(record.strays.length);
  if (isTerminal(record.order.state)) return stray;
  return stray + max(0n, record.order.terms.quantity - record.booked);
};

/** One application: the record, the time and what it comes to. */
interface Turn {
  readonly record: OrderRecord;
  readonly now: Now;
  readonly before: OrderState;
  findings: OrderFinding[] | null;
  evidenceWanted: boolean;
  fill: Fill | null;
}

type Rule<F> = (turn: Turn, fact: F) => void;
type FactOf<T extends OrderFactType> = Extract<OrderFact, { readonly type: T }>;
type Row = { readonly [T in OrderFactType]: Rule<FactOf<T>> };

/** Applies one fact. Every pair of status and fact has a rule in {@link ORDER_TABLE}. */
export const applyOrderFact = (record: OrderRecord, fact: OrderFact, now: Now): Applied => {
  const turn: Turn = {
    record,
    now,
    before: record.order.state,
    findings: null,
    evidenceWanted: false,
    fill: null,
  };
  (ORDER_TABLE[record.order.state.status][fact.type] as Rule<OrderFact>)(turn, fact);
  return {
    changed: record.order.state !== turn.before,
    evidenceWanted: turn.evidenceWanted,
    fill: turn.fill,
    findings: turn.findings ?? [],
  };
};

// The vocabulary of the table.

const find = (turn: Turn, kind: OrderFinding['kind'], what: FindingName, detail = ''): void => {
  turn.findings ??= [];
  turn.findings.push({ kind, what, detail });
};

const move = (turn: Turn, state: OrderState): void => {
  const { record, now } = turn;
  record.order = {
    ...record.order,
    state,
    settledAtMs: isTerminal(state) ? (record.order.settledAtMs ?? now.wallMs) : null,
  };
};

/** Moves to an open state of an order that the venue knows, with what is booked. */
const moveOpen = (turn: Turn, status: 'working' | 'cancel-in-flight'): void => {
  const { record, now } = turn;
  const venueOrderId = record.venueOrderId;
  if (venueOrderId === null) throw new Error('an order without a venue order id cannot be open at the venue');
  const { state } = record.order;
  if (status === 'working') {
    if (state.status !== 'working' || state.filled !== record.booked)
      move(turn, { status, venueOrderId, filled: record.booked });
    return;
  }
  const requestedAtMs = state.status === 'cancel-in-flight' ? state.requestedAtMs : now.wallMs;
  if (state.status !== 'cancel-in-flight' || state.filled !== record.booked)
    move(turn, { status, venueOrderId, filled: record.booked, requestedAtMs });
};

/** Learns the venue's id. @returns false when the id is another than the one known: a second order under our label. */
const learnId = (turn: Turn, venueOrderId: VenueOrderId): boolean => {
  const { record } = turn;
  if (record.venueOrderId === null) {
    record.venueOrderId = venueOrderId;
    return true;
  }
  if (record.venueOrderId === venueOrderId) return true;
  if (!record.strays.includes(venueOrderId)) record.strays.push(venueOrderId);
  find(turn, 'impossible', 'second-venue-order', `${record.venueOrderId} and ${venueOrderId}`);
  turn.evidenceWanted = true;
  return false;
};

/** The order exists at the venue under this id: whatever was not open before is working now. */
const found = (turn: Turn, venueOrderId: VenueOrderId): void => {
  if (learnId(turn, venueOrderId)) settle(turn);
};

/**
 * The open or final state that follows from what is booked and what the venue last said. Called when an order is known
 * to exist at the venue.
 */
const settle = (turn: Turn): void => {
  const { record } = turn;
  const { terms, state } = record.order;
  const venueOrderId = record.venueOrderId;
  if (venueOrderId === null) return;
  const finish = (status: 'filled' | 'canceled'): void => {
    if (state.status !== status || state.filled !== record.booked)
      move(turn, { status, venueOrderId, filled: record.booked });
  };
  if (record.ended !== null && record.booked > record.ended.filled)
    find(turn, 'impossible', 'report-below-booked', `${record.ended.filled} but ${record.booked} booked`);
  // A market buy is asked for in quote: its base quantity is known only from what the venue reports at the end.
  const openEnded = terms.method === 'market' && terms.side === 'buy';
  if (!openEnded && record.booked > terms.quantity) {
    find(turn, 'impossible', 'fill-beyond-quantity', `${record.booked} of ${terms.quantity}`);
    finish('filled');
    return;
  }
  if (!openEnded && record.booked === terms.quantity) {
    finish('filled');
    return;
  }
  if (record.ended !== null) {
    if (record.booked === record.ended.filled) {
      finish(record.ended.status === 'closed' ? 'filled' : 'canceled');
      return;
    }
    // The fills are still on their way, or the report is wrong: the exposure stays until the two agree.
    if (record.ended.status === 'canceled') moveOpen(turn, 'cancel-in-flight');
    else moveOpen(turn, state.status === 'cancel-in-flight' ? 'cancel-in-flight' : 'working');
    turn.evidenceWanted = true;
    return;
  }
  moveOpen(
    turn,
    state.status === 'cancel-in-flight' || record.cancelPending ? 'cancel-in-flight' : 'working',
  );
};

const stay: Rule<unknown> = () => {};
const late =
  (what: FindingName): Rule<unknown> =>
  turn =>
    find(turn, 'late', what);
const impossible =
  (what: FindingName): Rule<unknown> =>
  turn =>
    find(turn, 'impossible', what);

const journal: Rule<unknown> = ({ record }) => {
  record.journaled = true;
};

const leave: Rule<unknown> = turn => {
  const { record, now } = turn;
  if (!record.journaled) find(turn, 'impossible', 'sent-before-journal');
  record.order = { ...record.order, sentAtMs: now.wallMs };
  move(turn, { status: 'in-flight', sentAtMs: now.wallMs });
};
/** Our deadline had passed before the first byte left after all. */
const leaveLate: Rule<unknown> = turn => {
  const { record, now } = turn;
  if (record.order.sentAtMs !== null) find(turn, 'impossible', 'sent-twice');
  else record.order = { ...record.order, sentAtMs: now.wallMs };
};

const confirm: Rule<FactOf<'submit-confirmed'>> = (turn, fact) => found(turn, fact.venueOrderId);
const confirmUnsent: Rule<FactOf<'submit-confirmed'>> = (turn, fact) => {
  find(turn, 'impossible', 'answer-before-sent');
  found(turn, fact.venueOrderId);
};
const confirmLate: Rule<FactOf<'submit-confirmed'>> = (turn, fact) => {
  find(turn, 'late', 'answer-after-evidence');
  found(turn, fact.venueOrderId);
};
const confirmEnded: Rule<FactOf<'submit-confirmed'>> = (turn, fact) => {
  find(turn, 'late', 'answer-after-end');
  learnId(turn, fact.venueOrderId);
};

const reject: Rule<FactOf<'submit-rejected'>> = (turn, fact) =>
  move(turn, { status: 'rejected', reason: fact.reason });
const rejectExisting: Rule<FactOf<'submit-rejected'>> = (turn, fact) =>
  find(turn, 'impossible', 'rejected-order-exists', fact.reason);
const deny: Rule<FactOf<'submit-denied'>> = (turn, fact) =>
  move(turn, { status: 'denied', reason: fact.reason });
const denyExisting: Rule<FactOf<'submit-denied'>> = (turn, fact) =>
  find(turn, 'impossible', 'denied-order-exists', fact.reason);

const lose: Rule<FactOf<'submit-unknown'>> = (turn, fact) => {
  const { record, now } = turn;
  move(turn, { status: 'unknown', sinceMs: now.wallMs, cause: fact.cause, filled: record.booked });
  turn.evidenceWanted = true;
};
/** "Refused before a byte left", although its bytes left: nothing is certain. */
const denyInFlight: Rule<FactOf<'submit-denied'>> = turn => {
  find(turn, 'late', 'denied-after-sent');
  lose(turn, { type: 'submit-unknown', cause: 'unrecognised' });
};
const denyUnknown: Rule<FactOf<'submit-denied'>> = (turn, fact) => {
  if (turn.record.order.sentAtMs === null) deny(turn, fact);
  else find(turn, 'late', 'denied-after-sent', fact.reason);
};
/** The journal is all there is: without a venue order id, whether the order exists is not known. */
const endProcess: Rule<unknown> = turn => {
  if (turn.record.venueOrderId === null) lose(turn, { type: 'submit-unknown', cause: 'process-ended' });
  else settle(turn);
};
const wantEvidence: Rule<unknown> = turn => {
  turn.evidenceWanted = true;
};
const lateWithEvidence: Rule<unknown> = turn => {
  find(turn, 'late', 'answer-after-evidence');
  turn.evidenceWanted = true;
};

const sendCancel: Rule<unknown> = turn => {
  turn.record.cancelPending = true;
  moveOpen(turn, 'cancel-in-flight');
};
/** The order may have ended, or the venue may not cancel now: only a read can tell (protocol section 5.9). */
const refuseCancel: Rule<unknown> = turn => {
  turn.record.cancelPending = false;
  turn.evidenceWanted = true;
};

const insert: Rule<FactOf<'hint-inserted'>> = (turn, fact) => found(turn, fact.venueOrderId);
const insertUnsent: Rule<FactOf<'hint-inserted'>> = (turn, fact) => {
  find(turn, 'impossible', 'answer-before-sent');
  found(turn, fact.venueOrderId);
};
const match: Rule<FactOf<'hint-matched'>> = (turn, fact) => {
  found(turn, fact.venueOrderId);
  turn.evidenceWanted = true;
};
const matchUnsent: Rule<FactOf<'hint-matched'>> = (turn, fact) => {
  find(turn, 'impossible', 'answer-before-sent');
  match(turn, fact);
};
const remove: Rule<FactOf<'hint-removed'>> = (turn, fact) => {
  turn.evidenceWanted = true;
  if (!learnId(turn, fact.venueOrderId)) return;
  settle(turn);
  if (!isTerminal(turn.record.order.state)) moveOpen(turn, 'cancel-in-flight');
};
const removeUnsent: Rule<FactOf<'hint-removed'>> = (turn, fact) => {
  find(turn, 'impossible', 'answer-before-sent');
  remove(turn, fact);
};
/** A hint about an order that has ended: only its id is checked. */
const hintEnded: Rule<{ readonly venueOrderId: VenueOrderId }> = (turn, fact) => {
  learnId(turn, fact.venueOrderId);
};
/** The venue knows an order that was refused: it exists after all, and counts from now on. */
const revive =
  (what: 'rejected-order-exists' | 'denied-order-exists') =>
  (turn: Turn, fact: { readonly venueOrderId: VenueOrderId }): void => {
    find(turn, 'impossible', what, fact.venueOrderId);
    turn.evidenceWanted = true;
    found(turn, fact.venueOrderId);
  };

const report: Rule<FactOf<'reported'>> = (turn, { report, asOfMonoMs }) => {
  const { record } = turn;
  if (!describes(report, record.order)) {
    find(turn, 'impossible', 'report-of-another-order', report.venueOrderId);
    return;
  }
  if (report.remaining < 0n || report.remaining > report.quantity) {
    find(turn, 'impossible', 'report-contradicts-itself', `${report.remaining} of ${report.quantity}`);
    return;
  }
  if (!learnId(turn, report.venueOrderId)) return;
  const live = report.status === 'untouched' || report.status === 'partial';
  // The end is final at the venue: a slow answer that shows it is newer than any list that still shows the order. Of two
  // that show it, the older may know of fewer fills.
  const newest = live ? record.reportedAsOf : (record.ended?.asOfMonoMs ?? Number.NEGATIVE_INFINITY);
  if (asOfMonoMs < newest) {
    find(turn, 'late', 'report-stale');
    return;
  }
  record.reportedAsOf = Math.max(record.reportedAsOf, asOfMonoMs);
  if (live) {
    if (isTerminal(record.order.state) && hasEnded(record.order.state)) {
      endedButLive(turn, asOfMonoMs);
      return;
    }
    record.liveAsOf = asOfMonoMs;
    if (record.order.state.status === 'cancel-in-flight' && record.ended === null && !record.cancelPending)
      moveOpen(turn, 'working');
    else settle(turn);
    return;
  }
  record.ended = {
    status: report.status === 'canceled' ? 'canceled' : 'closed',
    filled: report.quantity - report.remaining,
    atMonoMs: turn.now.monoMs,
    asOfMonoMs,
  };
  settle(turn);
};
const reportUnsent: Rule<FactOf<'reported'>> = (turn, fact) => {
  find(turn, 'impossible', 'answer-before-sent');
  report(turn, fact);
};
const reportRefused =
  (what: 'rejected-order-exists' | 'denied-order-exists'): Rule<FactOf<'reported'>> =>
  (turn, fact) => {
    if (describes(fact.report, turn.record.order)) find(turn, 'impossible', what, fact.report.venueOrderId);
    report(turn, fact);
  };

const hasEnded = (state: OrderState): boolean =>
  state.status === 'filled' || state.status === 'canceled' || state.status === 'expired';

/** Reads lag; but a read sent long after the end that still shows the order live says that it never ended. */
const endedButLive = (turn: Turn, asOfMonoMs: number): void => {
  const { record } = turn;
  turn.evidenceWanted = true;
  const endedAt = record.ended?.atMonoMs ?? asOfMonoMs;
  if (record.order.state.status === 'filled' || asOfMonoMs < endedAt + ENDED_LIVE_GRACE_MS) {
    find(turn, 'late', 'report-stale');
    return;
  }
  find(turn, 'impossible', 'ended-order-live', record.venueOrderId ?? '');
  record.ended = null;
  record.liveAsOf = asOfMonoMs;
  moveOpen(turn, 'working');
};

/** Labels are not unique at the venue: a report is this order's only when its terms are, too. */
const describes = (report: OrderReport, order: Order): boolean => {
  const { terms } = order;
  if (report.symbol !== terms.symbol || report.side !== terms.side || report.method !== terms.method)
    return false;
  return terms.method !== 'limit' || (report.price === terms.price && report.quantity === terms.quantity);
};

const book: Rule<FactOf<'fill-booked'>> = (turn, { fill, orderFilled }) => {
  const { record } = turn;
  const { terms, state } = record.order;
  if (record.tradeIds.has(fill.tradeId)) {
    find(turn, 'late', 'fill-repeated', fill.tradeId);
    return;
  }
  if (fill.symbol !== terms.symbol || fill.side !== terms.side)
    find(turn, 'impossible', 'fill-of-another-order', fill.tradeId);
  record.tradeIds.add(fill.tradeId);
  turn.fill = fill;
  record.named += fill.quantity;
  // The booked total is the accounting's word. Higher than ours: fills were booked while we were not listening.
  if (orderFilled > record.named) record.named = orderFilled;
  else if (orderFilled < record.named)
    find(turn, 'impossible', 'fill-total-differs', `${orderFilled} but ${record.named} here`);
  record.booked = max(record.booked, record.named);
  learnId(turn, fill.venueOrderId);
  if (hasEnded(state)) {
    find(turn, 'late', 'fill-after-end', fill.tradeId);
    bookAfterEnd(turn);
    return;
  }
  settle(turn);
};
/** The order stays ended; what was executed is counted all the same. */
const bookAfterEnd = (turn: Turn): void => {
  const { record } = turn;
  const { terms, state } = record.order;
  if (!('venueOrderId' in state)) return;
  const openEnded = terms.method === 'market' && terms.side === 'buy';
  if (!openEnded && record.booked > terms.quantity)
    find(turn, 'impossible', 'fill-beyond-quantity', `${record.booked} of ${terms.quantity}`);
  const complete = !openEnded && record.booked >= terms.quantity;
  move(turn, {
    status: complete ? 'filled' : state.status === 'expired' ? 'expired' : finalStatus(state),
    venueOrderId: state.venueOrderId,
    filled: record.booked,
  });
};
const finalStatus = (state: OrderState): 'filled' | 'canceled' =>
  state.status === 'filled' ? 'filled' : 'canceled';
const bookUnsent: Rule<FactOf<'fill-booked'>> = (turn, fact) => {
  find(turn, 'impossible', 'answer-before-sent');
  book(turn, fact);
};
const bookRefused =
  (what: 'rejected-order-exists' | 'denied-order-exists'): Rule<FactOf<'fill-booked'>> =>
  (turn, fact) => {
    find(turn, 'impossible', what, fact.fill.venueOrderId);
    turn.evidenceWanted = true;
    book(turn, fact);
  };

const proveAbsent: Rule<FactOf<'absence-proven'>> = (turn, fact) => {
  if (turn.record.booked > 0n) find(turn, 'impossible', 'absence-of-existing-order', fact.evidence);
  else move(turn, { status: 'rejected', reason: `proven absent: ${fact.evidence}` });
};
const absentButKnown: Rule<FactOf<'absence-proven'>> = (turn, fact) =>
  find(turn, 'impossible', 'absence-of-existing-order', fact.evidence);

/** Rows shared by the two open states of an order that the venue knows. */
const OPEN: Row = {
  journaled: stay,
  sent: impossible('sent-twice'),
  'submit-confirmed': confirmLate,
  'submit-rejected': rejectExisting,
  'submit-denied': denyExisting,
  'submit-unknown': late('answer-after-evidence'),
  'cancel-sent': sendCancel,
  'cancel-queued': lateWithEvidence,
  'cancel-rejected': refuseCancel,
  'cancel-denied': stay,
  'cancel-unknown': lateWithEvidence,
  'hint-inserted': insert,
  'hint-removed': remove,
  'hint-matched': match,
  reported: report,
  'fill-booked': book,
  'absence-proven': absentButKnown,
  'process-ended': endProcess,
};

/** Rows shared by the states of an order that existed at the venue and has ended there. */
const ENDED: Row = {
  journaled: stay,
  sent: impossible('sent-twice'),
  'submit-confirmed': confirmEnded,
  'submit-rejected': rejectExisting,
  'submit-denied': denyExisting,
  'submit-unknown': late('answer-after-end'),
  'cancel-sent': late('answer-after-end'),
  'cancel-queued': stay,
  'cancel-rejected': stay,
  'cancel-denied': stay,
  'cancel-unknown': stay,
  'hint-inserted': hintEnded,
  'hint-removed': hintEnded,
  'hint-matched': hintEnded,
  reported: report,
  'fill-booked': book,
  'absence-proven': absentButKnown,
  'process-ended': stay,
};

/** Rows shared by the states of an order that never came to exist. */
const refused = (what: 'rejected-order-exists' | 'denied-order-exists'): Row => ({
  journaled: stay,
  sent: impossible('sent-twice'),
  'submit-confirmed': revive(what),
  'submit-rejected': late('answer-after-end'),
  'submit-denied': late('answer-after-end'),
  'submit-unknown': late('answer-after-end'),
  'cancel-sent': impossible('cancel-without-order'),
  'cancel-queued': impossible('cancel-without-order'),
  'cancel-rejected': impossible('cancel-without-order'),
  'cancel-denied': stay,
  'cancel-unknown': impossible('cancel-without-order'),
  'hint-inserted': revive(what),
  'hint-removed': revive(what),
  'hint-matched': revive(what),
  reported: reportRefused(what),
  'fill-booked': bookRefused(what),
  'absence-proven': stay,
  'process-ended': stay,
});

/** Status by fact: what happens. The types make every pair present. */
export const ORDER_TABLE: { readonly [S in OrderStatus]: Row } = {
  intended: {
    journaled: journal,
    sent: leave,
    'submit-confirmed': confirmUnsent,
    'submit-rejected': reject,
    'submit-denied': deny,
    'submit-unknown': lose,
    'cancel-sent': impossible('cancel-without-order'),
    'cancel-queued': impossible('cancel-without-order'),
    'cancel-rejected': impossible('cancel-without-order'),
    'cancel-denied': stay,
    'cancel-unknown': impossible('cancel-without-order'),
    'hint-inserted': insertUnsent,
    'hint-removed': removeUnsent,
    'hint-matched': matchUnsent,
    reported: reportUnsent,
    'fill-booked': bookUnsent,
    'absence-proven': late('absence-while-in-flight'),
    'process-ended': endProcess,
  },
  'in-flight': {
    journaled: stay,
    sent: impossible('sent-twice'),
    'submit-confirmed': confirm,
    'submit-rejected': reject,
    'submit-denied': denyInFlight,
    'submit-unknown': lose,
    'cancel-sent': impossible('cancel-without-order'),
    'cancel-queued': impossible('cancel-without-order'),
    'cancel-rejected': impossible('cancel-without-order'),
    'cancel-denied': stay,
    'cancel-unknown': impossible('cancel-without-order'),
    'hint-inserted': insert,
    'hint-removed': remove,
    'hint-matched': match,
    reported: report,
    'fill-booked': book,
    'absence-proven': late('absence-while-in-flight'),
    'process-ended': endProcess,
  },
  unknown: {
    journaled: stay,
    sent: leaveLate,
    'submit-confirmed': confirmLate,
    'submit-rejected': reject,
    'submit-denied': denyUnknown,
    'submit-unknown': wantEvidence,
    'cancel-sent': impossible('cancel-without-order'),
    'cancel-queued': impossible('cancel-without-order'),
    'cancel-rejected': impossible('cancel-without-order'),
    'cancel-denied': stay,
    'cancel-unknown': impossible('cancel-without-order'),
    'hint-inserted': insert,
    'hint-removed': remove,
    'hint-matched': match,
    reported: report,
    'fill-booked': book,
    'absence-proven': proveAbsent,
    'process-ended': endProcess,
  },
  working: OPEN,
  'cancel-in-flight': { ...OPEN, 'cancel-queued': stay, 'cancel-unknown': wantEvidence },
  filled: ENDED,
  canceled: ENDED,
  expired: ENDED,
  rejected: refused('rejected-order-exists'),
  denied: refused('denied-order-exists'),
};
