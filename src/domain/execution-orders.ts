/** What happens around an order when a fact reaches it: journal, tell, count, watch. */
import {
  askForFact,
  countConfirmation,
  countRejection,
  reportImpossible,
  watchTrial,
  watchUnknown,
} from './execution-detectors.js';
import { REFUSED, type TrackedOrder, type Turn } from './execution-state.js';
import type { LedgerRecord } from './ledger-records.js';
import { formatDecimal } from './money.js';
import { filledQuantity, isTerminal, type Order, venueOrderIdOf } from './order.js';
import { applyOrderFact, type OrderFact } from './order-machine.js';
import { type EventId, nextEventId } from './step.js';

/** Ended orders kept for late facts. */
const ENDED_KEPT = 4_096;
/** Reconciliation is not asked about the same order more often than this. */
const EVIDENCE_ASK_MS = 1_000;

/** Appends facts. Only a durable batch is answered. @returns the batch. */
export const append = (turn: Turn, records: readonly LedgerRecord[], durable: boolean): number => {
  const batch = turn.state.nextBatch++;
  turn.effects.push({ type: 'append', request: { type: 'append', batch, durable, records } });
  return batch;
};

/** Appends transitions of orders: kept until the ledger confirms them, so that a lost ledger loses none. */
const appendMoves = (turn: Turn, records: readonly LedgerRecord[], durable: boolean): void => {
  // What comes after a refused one waits for it: the ledger keeps an order's transitions as they come.
  if (turn.state.unconfirmed.some(({ batch }) => batch === REFUSED)) {
    turn.state.unconfirmed.push({ batch: REFUSED, records });
    return;
  }
  const batch = append(turn, records, durable);
  turn.state.unconfirmed.push({ batch, records });
};

/** A decision, for `btcbot explain`. */
export const audit = (
  turn: Turn,
  id: EventId,
  cause: EventId,
  event: string,
  facts: Readonly<Record<string, string | number | boolean | null>>,
): LedgerRecord => ({
  type: 'audit',
  atMs: turn.now.wallMs,
  actor: 'execution',
  event,
  id,
  cause,
  facts,
});

/** Says how an order stands to strategy and reconciliation. */
export const tellOrder = (turn: Turn, tracked: TrackedOrder, id: EventId, cause: EventId): void => {
  const { order } = tracked.record;
  turn.effects.push(
    { type: 'tell', to: 'strategy', message: { type: 'order-updated', id, cause, order, fill: null } },
    { type: 'tell', to: 'reconciliation', message: { type: 'order-tracked', id, cause, order } },
  );
};

/** Asks reconciliation what the venue says about an order, at most once a second. */
export const askEvidence = (turn: Turn, tracked: TrackedOrder, cause: EventId): void => {
  if (turn.now.monoMs - tracked.evidenceAskedAt < EVIDENCE_ASK_MS) return;
  tracked.evidenceAskedAt = turn.now.monoMs;
  const { clientOrderId } = tracked.record.order;
  turn.effects.push({
    type: 'tell',
    to: 'reconciliation',
    message: { type: 'evidence-wanted', id: nextEventId(turn.state.ids), cause, clientOrderId },
  });
};

/** Applies a fact to an order and does everything that follows from it. `detail` is for people. */
export const applyFact = (
  turn: Turn,
  tracked: TrackedOrder,
  fact: OrderFact,
  cause: EventId,
  detail = '',
): void => {
  const { state, now } = turn;
  const { record } = tracked;
  const before = record.order.state;
  const applied = applyOrderFact(record, fact, now);
  const after = record.order.state;
  if (record.venueOrderId !== null) tracked.knownAt ??= now.monoMs;
  watchTrial(turn, tracked);
  for (const finding of applied.findings) {
    turn.effects.push({
      type: 'metric',
      kind: 'counter',
      name: finding.kind === 'late' ? 'btcbot_late_facts_total' : 'btcbot_impossible_facts_total',
      value: 1,
      labels: { what: finding.what },
    });
    if (finding.kind === 'impossible') reportImpossible(turn, tracked, finding, cause);
  }
  if (applied.evidenceWanted) askEvidence(turn, tracked, cause);
  if (!applied.changed) {
    if (applied.fill !== null) tellFill(turn, tracked, applied.fill, cause);
    return;
  }

  const id = nextEventId(state.ids);
  const statusChanged = before.status !== after.status;
  const records: LedgerRecord[] = [
    ...(tracked.approvalAudit === null ? [] : [tracked.approvalAudit]),
    {
      type: 'order-moved',
      clientOrderId: record.order.clientOrderId,
      state: after,
      atMs: now.wallMs,
      cause: id,
      detail,
    },
    audit(turn, id, cause, `order-${after.status}`, {
      clientOrderId: record.order.clientOrderId,
      from: before.status,
      fact: fact.type,
      venueOrderId: venueOrderIdOf(after),
      filled: formatDecimal(filledQuantity(after)),
      detail,
      ...timings(tracked, now.monoMs),
    }),
  ];
  tracked.approvalAudit = null;
  // The first byte must not wait for a disk a second time: that it left is known durably with the next commit.
  appendMoves(turn, records, after.status !== 'in-flight');
  turn.effects.push(
    {
      type: 'tell',
      to: 'strategy',
      message: { type: 'order-updated', id, cause, order: record.order, fill: applied.fill },
    },
    {
      type: 'tell',
      to: 'reconciliation',
      message: { type: 'order-tracked', id, cause, order: record.order },
    },
  );
  if (statusChanged || applied.fill !== null) logOrder(turn, tracked, detail);

  if (isTerminal(after)) close(turn, tracked);
  else if (isTerminal(before)) reopen(turn, tracked);
  if (statusChanged) {
    if (after.status === 'rejected' && fact.type === 'submit-rejected')
      countRejection(turn, record.order.terms.symbol, fact.reason);
    if (fact.type === 'submit-confirmed') countConfirmation(turn);
    if (before.status === 'unknown' || after.status === 'unknown')
      watchUnknown(turn, record.order.terms.symbol);
  }
};

const tellFill = (
  turn: Turn,
  tracked: TrackedOrder,
  fill: NonNullable<ReturnType<typeof applyOrderFact>['fill']>,
  cause: EventId,
): void => {
  const { order } = tracked.record;
  const id = nextEventId(turn.state.ids);
  turn.effects.push({
    type: 'tell',
    to: 'strategy',
    message: { type: 'order-updated', id, cause, order, fill },
  });
};

const close = (turn: Turn, tracked: TrackedOrder): void => {
  const { state, now } = turn;
  const { clientOrderId } = tracked.record.order;
  state.open.delete(clientOrderId);
  if (state.ended.has(clientOrderId)) return;
  state.ended.set(clientOrderId, tracked);
  if (tracked.knownAt !== null) state.unreflected.push(tracked);
  if (tracked.firstCancelSentAt !== null)
    observeLatency(turn, 'cancel_latency_ms', now.monoMs - tracked.firstCancelSentAt);
  for (const [oldest, old] of state.ended) {
    if (state.ended.size <= ENDED_KEPT) break;
    state.ended.delete(oldest);
    if (state.byIntent.get(old.record.order.intentId) === oldest)
      state.byIntent.delete(old.record.order.intentId);
  }
};

/** An order that had ended is open again: the venue says so, and it counts. */
const reopen = (turn: Turn, tracked: TrackedOrder): void => {
  const { clientOrderId } = tracked.record.order;
  turn.state.ended.delete(clientOrderId);
  turn.state.open.set(clientOrderId, tracked);
  askForFact(
    turn,
    'invariant',
    tracked.record.order.terms.symbol,
    `order ${clientOrderId} had ended here but the venue shows it`,
  );
};

/** The gauge of the contract, and a histogram beside it. */
export const observeLatency = (
  turn: Turn,
  name: 'order_submit_latency_ms' | 'cancel_latency_ms',
  value: number,
): void => {
  turn.effects.push(
    { type: 'metric', kind: 'gauge', name, value },
    { type: 'metric', kind: 'histogram', name: `btcbot_${name}`, value },
  );
};

/** Where the time went: to the disk, to the budget's grant, to the first byte; later, since the first byte. */
const timings = (tracked: TrackedOrder, nowMonoMs: number): Record<string, number> => {
  const { approvedAt, journaledAt, handedOverAt, sentAt } = tracked;
  if (sentAt === null) return {};
  const tenths = (ms: number): number => Math.round(ms * 10) / 10;
  if (sentAt !== nowMonoMs || approvedAt === null || journaledAt === null || handedOverAt === null)
    return { sinceSentMs: tenths(nowMonoMs - sentAt) };
  return {
    journalMs: tenths(journaledAt - approvedAt),
    budgetMs: tenths(handedOverAt - journaledAt),
    departureMs: tenths(sentAt - handedOverAt),
  };
};

/** An order's facts for a log line. */
export const describeOrder = (order: Order): Record<string, unknown> => ({
  clientOrderId: order.clientOrderId,
  venueOrderId: venueOrderIdOf(order.state),
  symbol: order.terms.symbol,
  side: order.terms.side,
  price: order.terms.price === null ? 'market' : formatDecimal(order.terms.price),
  quantity: formatDecimal(order.terms.quantity),
  filled: formatDecimal(filledQuantity(order.state)),
});

const LEVELS = { unknown: 'warn', rejected: 'warn', denied: 'warn' } as const;
const QUIET: ReadonlySet<string> = new Set(['in-flight', 'cancel-in-flight']);

const logOrder = (turn: Turn, tracked: TrackedOrder, detail: string): void => {
  const { order } = tracked.record;
  const { status } = order.state;
  turn.effects.push({
    type: 'log',
    level: QUIET.has(status) ? 'debug' : (LEVELS[status as keyof typeof LEVELS] ?? 'info'),
    event: `order-${status}`,
    fields: { ...describeOrder(order), ...(detail === '' ? {} : { detail }) },
  });
};
