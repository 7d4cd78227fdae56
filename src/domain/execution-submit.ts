/** From intent to first byte: judge, journal, budget, hand over. One intent, one label, at most one POST, ever. */
import { makeClientOrderId, parseClientOrderId } from './client-order-id.js';
import { askForFact, askForHold } from './execution-detectors.js';
import { append, applyFact, audit, describeOrder, tellOrder } from './execution-orders.js';
import {
  type ExecutionState,
  fingerprint,
  type TrackedOrder,
  type Turn,
  trackOrder,
} from './execution-state.js';
import { type ExposedOrder, reservation } from './exposure.js';
import { maySubmitUnder } from './fence.js';
import { type Amount, max } from './money.js';
import { isTerminal, type Order, type OrderTerms } from './order.js';
import type { Denial, DenialCode, PlaceOrder } from './order-events.js';
import { orderRecord, worstRemaining } from './order-machine.js';
import { forgetPoints, notePoint } from './price-drift.js';
import { forgetApprovals, noteApproval, repeatsOf } from './recent-approvals.js';
import { capacityWithin, reserve } from './request-budget.js';
import { judge } from './risk.js';
import { type Now, nextEventId } from './step.js';
import { beginTrial, blockOn } from './venue-block.js';

/** Everything open must be cancelable within this. */
export const CANCEL_ALL_WITHIN_MS = 10_000;
/** Balances may lag an order by this much (protocol section 11: settlement lag). */
export const BALANCE_LAG_MS = 1_000;

/** A strategy wants an order. */
export const place = (turn: Turn, intent: PlaceOrder): void => {
  const { state, now } = turn;
  const known = state.byIntent.get(intent.intentId);
  if (known !== undefined && parseClientOrderId(known)?.epoch === state.config.epoch) {
    // The same intent again is not a second order.
    turn.effects.push({
      type: 'log',
      level: 'warn',
      event: 'intent-repeated',
      fields: { intentId: intent.intentId, clientOrderId: known },
    });
    return;
  }
  const print = fingerprint(intent.terms);
  const unknownSymbols = new Set<string>();
  const openOrders: ExposedOrder[] = [];
  for (const { record } of state.open.values()) {
    openOrders.push({ terms: record.order.terms, remaining: worstRemaining(record) });
    if (record.order.state.status === 'unknown') unknownSymbols.add(record.order.terms.symbol);
  }
  forgetApprovals(state.approvals, now.monoMs);
  const trail = state.trails.get(intent.terms.symbol) ?? [];
  forgetPoints(trail, now.monoMs);
  const verdict = judge({
    intent,
    now,
    control: state.control,
    stopping: state.stopping,
    recovered: state.recovered,
    symbols: state.symbols,
    instruments: state.instruments,
    books: state.books,
    maxMarketDataAgeMs: state.config.maxMarketDataAgeMs,
    limits: state.config.limits,
    openOrders,
    unknownSymbols,
    venueBlock: blockOn(state.venueBlocks, intent.terms.symbol, now.monoMs, null),
    account: state.account,
    positions: state.positions,
    ...moneyOfOrders(turn),
    owned: state.owned,
    takerPpm: state.config.feesOf(state.instruments.get(intent.terms.symbol)?.quote ?? '').takerPpm,
    cancelable: capacityWithin(
      state.budget,
      'cancel',
      now.monoMs,
      CANCEL_ALL_WITHIN_MS,
      Math.min(state.config.limits.maxOpenOrders, openOrders.length + 1),
    ),
    trail,
    ordersLastMinute: state.approvals.approvals.length,
    repeats: repeatsOf(state.approvals.same, print),
  });
  if (!verdict.approved) {
    denyIntent(turn, intent, verdict.denial);
    return;
  }

  const id = nextEventId(state.ids);
  const order: Order = {
    clientOrderId: makeClientOrderId({
      instance: state.config.instance,
      epoch: state.config.epoch,
      strategy: intent.strategy,
      sequence: state.nextSequence++,
    }),
    intentId: intent.intentId,
    strategy: intent.strategy,
    ...(intent.tag === undefined ? {} : { tag: intent.tag }),
    terms: intent.terms,
    configHash: state.config.configHash,
    cause: intent.cause,
    intendedAtMs: now.wallMs,
    sentAtMs: null,
    settledAtMs: null,
    state: { status: 'intended' },
  };
  const tracked = trackOrder(orderRecord(order), 'journaling');
  tracked.approvedAt = now.monoMs;
  tracked.approval = {
    epoch: verdict.approval.epoch,
    validUntilMonoMs: verdict.approval.validUntilMonoMs,
    journaled: false,
    origin: 'strategy',
  };
  state.open.set(order.clientOrderId, tracked);
  state.byIntent.set(intent.intentId, order.clientOrderId);
  beginTrial(state.venueBlocks, order.terms.symbol, order.clientOrderId);
  noteApproval(state.approvals, { at: now.monoMs, fingerprint: print });
  const { mid } = verdict.approval;
  notePoint(trail, { at: now.monoMs, least: mid, greatest: mid });
  state.trails.set(order.terms.symbol, trail);
  tracked.approvalAudit = audit(turn, id, intent.id, 'intent-approved', {
    clientOrderId: order.clientOrderId,
    intentId: intent.intentId,
    ...verdict.approval.facts,
  });
  const batch = append(turn, [{ type: 'order-intended', order }], true);
  state.journaling.set(batch, tracked);
  tellOrder(turn, tracked, id, intent.id);
  turn.effects.push({
    type: 'log',
    level: 'debug',
    event: 'order-intended',
    fields: describeOrder(order),
  });
};

/** The intent ends here: the strategy is told, the reason is counted and kept. */
export const denyIntent = (turn: Turn, intent: PlaceOrder, denial: Denial): void => {
  const { state } = turn;
  const id = nextEventId(state.ids);
  countDenial(turn, denial.code);
  append(
    turn,
    [
      audit(turn, id, intent.id, 'intent-denied', {
        intentId: intent.intentId,
        symbol: intent.terms.symbol,
        side: intent.terms.side,
        code: denial.code,
        ...denial.context,
      }),
    ],
    false,
  );
  turn.effects.push(
    {
      type: 'tell',
      to: 'strategy',
      message: {
        type: 'intent-denied',
        id,
        cause: intent.id,
        intentId: intent.intentId,
        strategy: intent.strategy,
        denial,
      },
    },
    {
      type: 'log',
      level: 'info',
      event: 'intent-denied',
      fields: {
        intentId: intent.intentId,
        symbol: intent.terms.symbol,
        side: intent.terms.side,
        code: denial.code,
        ...denial.context,
      },
    },
  );
  if (denial.code === 'repeated-execution')
    askForFact(
      turn,
      'repeat-execution',
      intent.terms.symbol,
      `the same order ${denial.context.repeats} times within a minute`,
    );
  if (denial.code === 'loss-limit' && !Object.values(denial.context).some(value => value === 'unknown'))
    askForHold(turn, 'loss-limit', '', JSON.stringify(denial.context));
};

/** An order that was approved ends before a byte left. */
export const denyOrder = (turn: Turn, tracked: TrackedOrder, code: DenialCode, detail: string): void => {
  countDenial(turn, code);
  tracked.submit = 'settled';
  applyFact(
    turn,
    tracked,
    { type: 'submit-denied', reason: detail === '' ? code : `${code}: ${detail}` },
    tracked.record.order.cause,
    detail,
  );
};

const countDenial = (turn: Turn, code: DenialCode): void => {
  turn.state.denials.set(code, (turn.state.denials.get(code) ?? 0) + 1);
  turn.effects.push({
    type: 'metric',
    kind: 'counter',
    name: 'btcbot_denials_total',
    value: 1,
    labels: { code },
  });
};

/** The intent is on disk: it may ask for its place in the budget. */
export const journaled = (turn: Turn, batch: number): void => {
  const tracked = turn.state.journaling.get(batch);
  if (tracked === undefined) return;
  turn.state.journaling.delete(batch);
  applyFact(turn, tracked, { type: 'journaled' }, tracked.record.order.cause);
  if (tracked.submit !== 'journaling') return;
  tracked.submit = 'queued';
  tracked.journaledAt = turn.now.monoMs;
  if (tracked.approval !== null) tracked.approval = { ...tracked.approval, journaled: true };
  turn.state.queue.push(tracked);
};

/** The intent is not on disk, or nobody can say: its POST must never leave. */
export const journalFailed = (turn: Turn, batch: number, reason: string): void => {
  const tracked = turn.state.journaling.get(batch);
  if (tracked === undefined) return;
  turn.state.journaling.delete(batch);
  if (tracked.submit === 'journaling') denyOrder(turn, tracked, 'journal-failed', reason);
};

/** Hands queued orders to the shell as far as the budget goes; what has become too old or forbidden ends here. */
export const pumpSubmits = (turn: Turn): void => {
  const { state, now } = turn;
  while (state.queue.length > 0) {
    const tracked = state.queue[0];
    if (tracked === undefined) return;
    if (tracked.submit !== 'queued') {
      state.queue.shift();
      continue;
    }
    const obstacle = obstacleOf(turn, tracked);
    if (obstacle !== null) {
      state.queue.shift();
      denyOrder(turn, tracked, obstacle.code, obstacle.detail);
      continue;
    }
    const grant = reserve(state.budget, 'submit', now.monoMs);
    if (!grant.granted) return;
    state.queue.shift();
    handOver(turn, tracked);
  }
};

const handOver = (turn: Turn, tracked: TrackedOrder): void => {
  const { record, approval } = tracked;
  // The one place that makes a POST. An order passes it once: anything else is a defect that must stop this actor.
  if (
    tracked.submit !== 'queued' ||
    tracked.handedOverAt !== null ||
    approval === null ||
    record.order.state.status !== 'intended' ||
    !record.journaled
  )
    throw new Error(`a second or unjournaled submit of order ${record.order.clientOrderId}`);
  tracked.submit = 'handed-over';
  tracked.handedOverAt = turn.now.monoMs;
  turn.effects.push({
    type: 'write',
    write: { type: 'submit', clientOrderId: record.order.clientOrderId, terms: record.order.terms },
    approval,
  });
};

/** Why an approved order may not leave any more. */
const obstacleOf = (
  turn: Turn,
  tracked: TrackedOrder,
): { readonly code: DenialCode; readonly detail: string } | null => {
  const { state, now } = turn;
  const { approval } = tracked;
  const { symbol } = tracked.record.order.terms;
  if (state.stopping) return { code: 'writes-forbidden', detail: 'stopping' };
  if (state.control === null || approval === null || !maySubmitUnder(state.control))
    return { code: 'writes-forbidden', detail: state.control?.state ?? 'none' };
  if (!state.recovered) return { code: 'not-recovered', detail: '' };
  if (now.monoMs > approval.validUntilMonoMs)
    return {
      code: 'intent-expired',
      detail: `${Math.round(now.monoMs - approval.validUntilMonoMs)} ms too late`,
    };
  if (state.control.blockedSymbols.includes(symbol)) return { code: 'symbol-blocked', detail: 'hold' };
  if (hasUnknownOn(state, symbol)) return { code: 'symbol-blocked', detail: 'unknown-outcome' };
  if (isClosedFor(state, tracked, now)) return { code: 'symbol-blocked', detail: 'venue' };
  if (state.control.epoch !== approval.epoch) return { code: 'fenced', detail: 'epoch-changed' };
  return null;
};

/** Whether the outcome of an order on this symbol is not known: then nothing new is sent there. */
export const hasUnknownOn = (state: ExecutionState, symbol: string): boolean => {
  for (const { record } of state.open.values())
    if (record.order.state.status === 'unknown' && record.order.terms.symbol === symbol) return true;
  return false;
};

/** Whether the venue has closed what the order is for, and it is not the one to be tried. */
export const isClosedFor = (state: ExecutionState, { record: { order } }: TrackedOrder, now: Now): boolean =>
  blockOn(state.venueBlocks, order.terms.symbol, now.monoMs, order.clientOrderId) !== null;

/** What own orders take from each asset. */
interface MoneyOfOrders {
  /**
   * From the free balance, beyond what the venue's last balances can show: for orders the venue did not know when those
   * were read, if they lag by no more than {@link BALANCE_LAG_MS}. Too much only until the next read.
   */
  readonly reserved: ReadonlyMap<string, Amount>;
  /** From the total, by all that have not ended, at their worst. */
  readonly committed: ReadonlyMap<string, Amount>;
}

const moneyOfOrders = (turn: Turn): MoneyOfOrders => {
  const { state } = turn;
  const reserved = new Map<string, Amount>();
  const committed = new Map<string, Amount>();
  const asOf = state.account?.balancesAsOfMonoMs ?? Number.NEGATIVE_INFINITY;
  const isReflected = (tracked: TrackedOrder): boolean =>
    tracked.knownAt !== null && tracked.knownAt + BALANCE_LAG_MS <= asOf;
  const add = (sums: Map<string, Amount>, terms: OrderTerms, quantity: bigint): void => {
    const instrument = state.instruments.get(terms.symbol);
    if (instrument === undefined || quantity === 0n) return;
    const { side, amount } = reservation(terms, quantity, state.config.feesOf(instrument.quote).takerPpm);
    const asset = side === 'buy' ? instrument.quote : instrument.base;
    sums.set(asset, (sums.get(asset) ?? 0n) + amount);
  };
  for (const tracked of state.open.values()) {
    const { record } = tracked;
    const { terms } = record.order;
    add(committed, terms, worstRemaining(record));
    if (!isReflected(tracked)) add(reserved, terms, max(record.booked, terms.quantity));
  }
  if (state.unreflected.length > 0)
    state.unreflected = state.unreflected.filter(tracked => !isReflected(tracked));
  for (const tracked of state.unreflected)
    if (isTerminal(tracked.record.order.state))
      add(reserved, tracked.record.order.terms, tracked.record.booked);
  return { reserved, committed };
};
