/**
 * Follows each of our orders until what the venue says of it, what is booked of it and what execution believes of it
 * fit together. Hints of the private feed and lists only cause reads; reads of the order and of its trades decide.
 */
import { foreignOrderEnded, noteForeignOrder } from './foreign-orders.js';
import type { Quantity } from './money.js';
import { formatDecimal } from './money.js';
import { type ClientOrderId, isTerminal, type OrderTerms, type VenueOrderId } from './order.js';
import { groupAsOf, type ReadGroup, startGroup } from './read-group.js';
import {
  audit,
  findTracked,
  forgetOrder,
  isOwnLabel,
  linkVenueOrder,
  log,
  type ReconciliationEffect,
  type ReconciliationState,
  type TrackedOrder,
  tell,
  traced,
} from './reconciliation-state.js';
import type { Now } from './step.js';
import type { OrderReport, VenueRead } from './venue-port.js';

/** Back-off of the reads about one order. */
const WATCH_BASE_MS = 300;
const WATCH_MAX_MS = 5_000;
/** 423 follows 441 within this, as a rule; only then is a hint worth a read. */
const MATCH_GRACE_MS = 700;
/** 452 follows the cancel within this, as a rule. */
const CANCEL_GRACE_MS = 1_000;
/** Looks at the trades after a match hint before the hint is taken for wrong (protocol section 11). */
const MATCH_HINT_LOOKS = 5;
/** How long a settled order is remembered, for late facts about it. */
const SETTLED_MEMORY_MS = 900_000;

/** Base quantity that the venue says is filled. */
export const reportedFilled = (report: OrderReport): Quantity => report.quantity - report.remaining;

export const isEnded = (report: OrderReport): boolean =>
  report.status === 'canceled' || report.status === 'closed';

const endedReport = (tracked: TrackedOrder): OrderReport | null =>
  tracked.report !== null && isEnded(tracked.report.report) ? tracked.report.report : null;

/** Looks at an order at `atMonoMs` or earlier. */
export const watchOrder = (
  state: ReconciliationState,
  tracked: TrackedOrder,
  atMonoMs: number,
  wanted: { readonly order?: boolean; readonly trades?: boolean } = {},
): void => {
  tracked.watch ??= { nextMonoMs: atMonoMs, attempt: 0, pending: false, order: false, trades: false };
  tracked.watch.nextMonoMs = Math.min(tracked.watch.nextMonoMs, atMonoMs);
  tracked.watch.order ||= wanted.order === true;
  tracked.watch.trades ||= wanted.trades === true;
  state.watching.add(tracked.order.clientOrderId);
};

/** Takes in the venue's word on an order, from a read sent at `asOfMonoMs`. */
export const takeReport = (
  state: ReconciliationState,
  report: OrderReport,
  asOfMonoMs: number,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const tracked = findTracked(state, report.venueOrderId, report.clientOrderId);
  if (tracked !== undefined && describes(report, tracked.order.terms))
    takeOwnReport(state, tracked, report, asOfMonoMs, now, effects);
  else if (tracked === undefined && isOwnLabel(state, report.clientOrderId)) {
    if (isEnded(report)) state.strays.delete(report.venueOrderId);
    else state.strays.set(report.venueOrderId, { report, asOfMonoMs });
  } else if (isEnded(report)) foreignOrderEnded(state, report.venueOrderId, now, effects);
  else noteForeignOrder(state, { ...report, report }, asOfMonoMs, now, effects);
};

/** Labels are not unique at the venue: a report is an order's only when it asks for the same. */
const describes = (report: OrderReport, terms: OrderTerms): boolean =>
  report.symbol === terms.symbol &&
  report.side === terms.side &&
  report.method === terms.method &&
  (terms.method !== 'limit' || (report.price === terms.price && report.quantity === terms.quantity));

const takeOwnReport = (
  state: ReconciliationState,
  tracked: TrackedOrder,
  report: OrderReport,
  asOfMonoMs: number,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const { clientOrderId, state: believed } = tracked.order;
  linkVenueOrder(state, tracked, report.venueOrderId);
  const never = believed.status === 'rejected' || believed.status === 'denied';
  if (never)
    state.violations.set(
      `risen:${clientOrderId}`,
      `order ${clientOrderId} was ${believed.status} for the ledger but exists at the venue as ${report.venueOrderId}`,
    );
  // The end is final at the venue: a list that still shows the order is old, whenever it was asked for. Of two answers
  // that show it, the older may know of fewer fills.
  const known = tracked.report;
  if (known !== null) {
    if (isEnded(known.report) && !isEnded(report)) return;
    if (known.asOfMonoMs > asOfMonoMs && isEnded(known.report) === isEnded(report)) return;
  }
  endSearch(state, tracked, `the venue reports it ${report.status} as ${report.venueOrderId}`, now, effects);
  const isNews = never || !state.settled.has(clientOrderId);
  tracked.report = { report, asOfMonoMs };
  if (isEnded(report)) {
    tracked.removedHinted = false;
    tracked.cancelQuestioned = false;
    tracked.missingAsOfMonoMs = null;
  }
  if (isNews)
    tell(effects, 'execution', {
      type: 'order-reported',
      ...traced(state),
      clientOrderId,
      report,
      asOfMonoMs,
    });
  if (outOfLine(tracked) !== null) watchOrder(state, tracked, now.monoMs);
  settleIfDone(state, tracked, now);
};

/** The venue has shown an order that was searched for. */
export const endSearch = (
  state: ReconciliationState,
  tracked: TrackedOrder,
  evidence: string,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  if (tracked.search === null) return;
  tracked.search = null;
  const found = { clientOrderId: tracked.order.clientOrderId, evidence };
  log(effects, 'info', 'evidence-found', found);
  audit(state, effects, now, 'evidence-found', found);
};

/** Takes in a whole open-orders list of one symbol: who is on it, and who should be and is not. */
export const takeOpenOrders = (
  state: ReconciliationState,
  symbol: string,
  orders: readonly OrderReport[],
  asOfMonoMs: number,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const listed = new Set<VenueOrderId>();
  for (const report of orders) {
    listed.add(report.venueOrderId);
    takeReport(state, report, asOfMonoMs, now, effects);
  }
  for (const [venueOrderId, stray] of state.strays)
    if (stray.report.symbol === symbol && stray.asOfMonoMs < asOfMonoMs && !listed.has(venueOrderId))
      state.strays.delete(venueOrderId);
  for (const tracked of state.live.values()) {
    if (tracked.order.terms.symbol !== symbol || tracked.venueOrderIds.size === 0) continue;
    const isListed = [...tracked.venueOrderIds].some(venueOrderId => listed.has(venueOrderId));
    const seenLater = (tracked.report?.asOfMonoMs ?? 0) > asOfMonoMs;
    if (isListed) tracked.missingAsOfMonoMs = null;
    else if (endedReport(tracked) === null && tracked.listedFromMonoMs < asOfMonoMs && !seenLater) {
      tracked.missingAsOfMonoMs = asOfMonoMs;
      watchOrder(state, tracked, now.monoMs, { order: true });
    }
  }
};

/** Execution has told of an order: what must be looked at now? */
export const reviewTracked = (
  state: ReconciliationState,
  tracked: TrackedOrder,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const { clientOrderId, state: believed } = tracked.order;
  if (believed.status === 'working') tracked.cancelQuestioned = false;
  if (believed.status === 'cancel-in-flight' && endedReport(tracked) === null) {
    tracked.cancelQuestioned = true;
    watchOrder(state, tracked, now.monoMs + CANCEL_GRACE_MS);
  }
  // An execution that started afresh, or whose message crossed ours, learns the end again.
  if (!isTerminal(believed) && tracked.report !== null && endedReport(tracked) !== null)
    tell(effects, 'execution', {
      type: 'order-reported',
      ...traced(state),
      clientOrderId,
      report: tracked.report.report,
      asOfMonoMs: tracked.report.asOfMonoMs,
    });
  if (outOfLine(tracked) !== null) watchOrder(state, tracked, now.monoMs + WATCH_BASE_MS);
  settleIfDone(state, tracked, now);
};

/** The private feed said something about an order of ours. */
export const takeOrderHint = (
  state: ReconciliationState,
  tracked: TrackedOrder,
  hint: 'inserted' | 'removed' | 'matched',
  quantity: Quantity,
  nowMonoMs: number,
): void => {
  switch (hint) {
    case 'inserted':
      tracked.insertedSeen = true;
      return;
    case 'removed':
      if (endedReport(tracked) !== null) return;
      tracked.removedHinted = true;
      watchOrder(state, tracked, nowMonoMs);
      return;
    case 'matched':
      tracked.hinted += quantity;
      if (tracked.hinted > tracked.bookedSinceTracked) watchOrder(state, tracked, nowMonoMs + MATCH_GRACE_MS);
      return;
  }
};

/** What does not fit yet between the venue's word, the booked fills and execution's belief; null when all does. */
export const outOfLine = (tracked: TrackedOrder): string | null => {
  const { clientOrderId } = tracked.order;
  if (tracked.report !== null && reportedFilled(tracked.report.report) > tracked.booked)
    return `order ${clientOrderId}: the venue says ${formatDecimal(reportedFilled(tracked.report.report))} are filled, ${formatDecimal(tracked.booked)} are booked`;
  return endUnconfirmed(tracked);
};

/** Why the order's end is likely and not proven; null when it is proven, or not in question. */
const endUnconfirmed = (tracked: TrackedOrder): string | null => {
  const { clientOrderId, terms, state } = tracked.order;
  if (endedReport(tracked) !== null) return null;
  if (tracked.removedHinted) return `order ${clientOrderId}: said to have left the book, not confirmed`;
  if (tracked.missingAsOfMonoMs !== null)
    return `order ${clientOrderId}: not among the open orders, its end not confirmed`;
  const whole = tracked.booked >= terms.quantity && terms.quoteQuantity === null;
  if (tracked.venueOrderIds.size > 0 && isTerminal(state) && !whole && 'venueOrderId' in state)
    return `order ${clientOrderId}: ${state.status} for the ledger, the venue has not confirmed it`;
  return null;
};

const wantsOrder = (tracked: TrackedOrder): boolean =>
  endedReport(tracked) === null &&
  (tracked.watch?.order === true || tracked.cancelQuestioned || endUnconfirmed(tracked) !== null);

const wantsTrades = (tracked: TrackedOrder): boolean =>
  tracked.watch?.trades === true ||
  (tracked.report !== null && reportedFilled(tracked.report.report) > tracked.booked) ||
  tracked.hinted > tracked.bookedSinceTracked;

/** Starts the looks that are due. */
export const stepWatches = (state: ReconciliationState, now: Now): void => {
  for (const clientOrderId of state.watching) {
    const tracked = state.live.get(clientOrderId) ?? state.settled.get(clientOrderId);
    const watch = tracked?.watch ?? null;
    if (tracked === undefined || watch === null) state.watching.delete(clientOrderId);
    else if (!watch.pending && watch.nextMonoMs <= now.monoMs) look(state, tracked, now);
  }
  for (const tracked of state.settled.values()) {
    if (tracked.settledMonoMs === null || now.monoMs - tracked.settledMonoMs < SETTLED_MEMORY_MS) break;
    forgetOrder(state, tracked);
  }
};

const look = (state: ReconciliationState, tracked: TrackedOrder, now: Now): void => {
  const { clientOrderId } = tracked.order;
  const reads = new Map<string, VenueRead>();
  for (const venueOrderId of tracked.venueOrderIds) {
    if (wantsOrder(tracked)) reads.set(`order ${venueOrderId}`, { type: 'order', venueOrderId });
    if (wantsTrades(tracked)) reads.set(`trades ${venueOrderId}`, { type: 'trades-of-order', venueOrderId });
  }
  if (reads.size === 0 || tracked.watch === null) {
    tracked.watch = null;
    return;
  }
  tracked.watch.pending = true;
  tracked.watch.order = false;
  tracked.watch.trades = false;
  startGroup(state, { type: 'watch', clientOrderId }, reads, now.monoMs);
};

/** A look at an order is over: again, later, if something still does not fit. */
export const watchAnswered = (
  state: ReconciliationState,
  group: ReadGroup,
  clientOrderId: ClientOrderId,
  now: Now,
): void => {
  const tracked = state.live.get(clientOrderId) ?? state.settled.get(clientOrderId);
  if (tracked === undefined) return;
  tracked.lookedMonoMs = groupAsOf(group) ?? tracked.lookedMonoMs;
  if (tracked.watch === null) return;
  const { watch } = tracked;
  watch.pending = false;
  watch.attempt += 1;
  if (tracked.hinted > tracked.bookedSinceTracked && watch.attempt >= MATCH_HINT_LOOKS)
    tracked.hinted = tracked.bookedSinceTracked;
  if (!wantsOrder(tracked) && !wantsTrades(tracked)) tracked.watch = null;
  else watch.nextMonoMs = now.monoMs + Math.min(WATCH_MAX_MS, WATCH_BASE_MS * 2 ** (watch.attempt - 1));
  settleIfDone(state, tracked, now);
};

/** Moves an order about which nothing can change any more to those that are merely remembered. */
export const settleIfDone = (state: ReconciliationState, tracked: TrackedOrder, now: Now): void => {
  const { clientOrderId, state: believed, terms } = tracked.order;
  if (!state.live.has(clientOrderId) || !isTerminal(believed) || outOfLine(tracked) !== null) return;
  const never = believed.status === 'rejected' || believed.status === 'denied';
  const whole = terms.quoteQuantity === null && tracked.booked >= terms.quantity;
  if (!never && !whole && endedReport(tracked) === null) return;
  tracked.search = null;
  tracked.settledMonoMs = now.monoMs;
  state.live.delete(clientOrderId);
  state.settled.set(clientOrderId, tracked);
};
