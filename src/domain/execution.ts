/**
 * The execution brain: where money moves. One step function over everything execution hears; the rest of it is in
 * execution-state.ts (what it knows), execution-submit.ts (intent to first byte), execution-orders.ts (facts about an
 * order), execution-cancel.ts (ending orders) and execution-detectors.ts (asking for holds).
 *
 * Invariants:
 * - no POST without a durable intent, none twice for one client order id, none before ledger and venue were proven
 *   equal;
 * - what may still execute counts at its worst case until the venue proves otherwise;
 * - cancels come before submits, from a budget of their own.
 */
import type { AccountReport, AccountUpdated, FillBooked } from './account-events.js';
import { fillEffects, pairFromSymbol } from './accounting.js';
import { rememberBook } from './book-memory.js';
import {
  cancelAgainIfLive,
  cancelOutcome,
  cancelSent,
  pullResting,
  pumpCancels,
  wishCancel,
  wishCancelAll,
} from './execution-cancel.js';
import {
  askForHold,
  clearHold,
  keepPauses,
  payHolds,
  rateLimited,
  showThrottling,
  watchClosed,
  watchLease,
  watchLoss,
  watchPauses,
  watchUnknown,
} from './execution-detectors.js';
import { append, applyFact, askEvidence, observeLatency } from './execution-orders.js';
import {
  type ExecutionEffect,
  type ExecutionInput,
  type ExecutionState,
  REFUSED,
  type TrackedOrder,
  type Turn,
} from './execution-state.js';
import {
  denyIntent,
  denyOrder,
  hasUnknownOn,
  isClosedFor,
  journaled,
  journalFailed,
  place,
  pumpSubmits,
} from './execution-submit.js';
import { mayCancelUnder } from './fence.js';
import { firstBatch, type LedgerReply } from './ledger-records.js';
import type { MarketEvent } from './market-events.js';
import { formatDecimal } from './money.js';
import type { ClientOrderId } from './order.js';
import type { OrderIntent } from './order-events.js';
import { worstRemaining } from './order-machine.js';
import { forgetRepeats } from './recent-approvals.js';
import { giveBack, rampUp, spend, take, usage } from './request-budget.js';
import type { ControlState } from './safety.js';
import { type ActorName, type EventId, type Now, nextEventId, type Stepped } from './step.js';
import { WHOLE_VENUE } from './venue-block.js';
import type { CancelOutcome, ReadAnswer, SubmitOutcome, VenueWrite } from './venue-port.js';

/** A write without an outcome after this long is unknown: the shell's own deadlines are half of it. */
export const WRITE_DEADLINE_MS = 12_000;
/** An intent that the ledger has not confirmed after this long is given up. */
export const JOURNAL_DEADLINE_MS = 5_000;
/** While an instrument is missing the venue's list is asked for this often. */
const INSTRUMENTS_ASK_MS = 10_000;
/** The venue's clock is measured this often; sooner after a write was not authorised. */
const CLOCK_ASK_MS = 60_000;
const CLOCK_ASK_SOON_MS = 5_000;
/** Reconciliation is reminded of what it was asked for; sooner of orders that are to end. */
const EVIDENCE_REMIND_MS = 5_000;
const CANCEL_REMIND_MS = 1_500;
const RESEND_MS = 1_000;
/**
 * The wall clock has gone on so much further than the monotonic one within a step: the machine slept, which the
 * monotonic clock of Linux does not count (clock_gettime(2)), or somebody set the clock.
 */
const SLEPT_MS = 2_000;
const STATUS_MS = 1_000;

const isBook = (input: ExecutionInput): boolean =>
  input.type === 'message' && input.message.type === 'book-updated';

/** One step of execution. */
export const stepExecution = (
  state: ExecutionState,
  input: ExecutionInput,
  now: Now,
): Stepped<ExecutionState, ExecutionEffect> => {
  const turn: Turn = { state, now, effects: [] };
  wake(turn);
  hear(turn, input);
  pumpCancels(turn);
  pumpSubmits(turn);
  // Most steps are books that move nothing: what they would show is shown already.
  if (turn.effects.length > 0 || !isBook(input)) showGauges(turn);
  return { state, effects: turn.effects };
};

/** How much further the wall clock has gone than the monotonic one since the last step, ms. */
const sleptMs = ({ seenAt }: ExecutionState, now: Now): number =>
  seenAt === null ? 0 : now.wallMs - seenAt.wallMs - (now.monoMs - seenAt.monoMs);

/**
 * After a sleep a book of an hour ago looks as fresh as it was, and the account as proven: nothing is leaned on before it
 * has been shown again.
 */
const wake = (turn: Turn): void => {
  const { state, now } = turn;
  const slept = sleptMs(state, now);
  state.seenAt = now;
  if (slept < SLEPT_MS) return;
  state.books.clear();
  state.recovered = false;
  // If it was the clock that was set, what is known of the venue's is wrong by as much.
  state.clockAskedAt = Number.NEGATIVE_INFINITY;
  turn.effects.push({
    type: 'log',
    level: 'warn',
    event: 'time-went-on',
    fields: { byMs: Math.round(slept) },
  });
};

/**
 * The brain's own last word on a write, beside the fence: asked at the same moment.
 * @returns why it may not leave, or null.
 */
export const vetoOf = (state: ExecutionState, write: VenueWrite, now: Now): string | null => {
  const tracked = state.open.get(write.clientOrderId);
  if (write.type === 'cancel') return tracked?.cancel === 'handed-over' ? null : 'order-ended';
  if (state.stopping) return 'stopping';
  if (!state.recovered) return 'not-recovered';
  if (sleptMs(state, now) >= SLEPT_MS) return 'time-went-on';
  if (tracked?.submit !== 'handed-over' || tracked.record.order.state.status !== 'intended')
    return 'already-settled';
  // It may have waited for its connection meanwhile: what was to end, and what was learnt, counts here as in the queue.
  if (tracked.cancelWish !== null) return 'cancel-wanted';
  if (hasUnknownOn(state, tracked.record.order.terms.symbol)) return 'unknown-outcome';
  return isClosedFor(state, tracked, now) ? 'venue-closed' : null;
};

/**
 * True when a draining actor has nothing more to wait for: no write in the air and, where resting orders are to be
 * canceled and may be, none left that can be.
 */
export const isDrained = (state: ExecutionState): boolean => {
  const mayCancel = state.control !== null && mayCancelUnder(state.control, 'stop');
  for (const tracked of state.open.values()) {
    if (tracked.submit === 'handed-over' || tracked.submit === 'sent' || tracked.cancel !== 'idle')
      return false;
    // One whose outcome is not known may rest there too: its id may still be learnt in time.
    const mayRest = tracked.record.venueOrderId !== null || tracked.record.order.state.status === 'unknown';
    if (state.config.shutdownOpenOrders === 'cancel' && mayCancel && mayRest) return false;
  }
  return true;
};

/**
 * Whether a draining actor still waits for the ledger's word on what it has recorded. A ledger that has ended starts
 * again only once this actor is gone, so then nobody would answer.
 */
export const awaitsLedger = (state: ExecutionState): boolean =>
  state.unconfirmed.length > 0 && !state.ledgerLost;

const hear = (turn: Turn, input: ExecutionInput): void => {
  switch (input.type) {
    case 'started':
      start(turn);
      return;
    case 'message':
      switch (input.from) {
        case 'strategy':
          onIntent(turn, input.message);
          return;
        case 'market-data':
          onMarket(turn, input.message);
          return;
        case 'reconciliation':
          onAccount(turn, input.message);
          return;
        case 'ledger':
          onLedger(turn, input.message);
          return;
      }
      break;
    case 'intent-refused':
      onRefused(turn, input.message);
      return;
    case 'control':
      onControl(turn, input.control);
      return;
    case 'cancel-all-ordered':
      wishCancelAll(turn, 'operator', input.reason, 'operator');
      return;
    case 'peer-connected':
      onPeer(turn, input.peer);
      return;
    case 'peer-lost':
      onPeerLost(turn, input.peer);
      return;
    case 'read-answered':
      onRead(turn, input.answer);
      return;
    case 'write-sent':
      onSent(turn, input.kind, input.clientOrderId);
      return;
    case 'write-outcome':
      if (input.kind === 'submit') onSubmitOutcome(turn, input.clientOrderId, input.outcome);
      else onCancelOutcome(turn, input.clientOrderId, input.outcome);
      return;
    case 'drain':
      drain(turn);
      return;
    case 'drain-deadline':
      leaveUnknown(turn);
      tellResting(turn);
      return;
    case 'tick':
      if (input.leaseUntilMonoMs !== undefined) watchLease(turn, input.leaseUntilMonoMs);
      tick(turn);
      return;
  }
};

/** What the journal left open: outcomes nobody can know are unknown, the rest must be shown again by the venue. */
const start = (turn: Turn): void => {
  const { state } = turn;
  const cause = nextEventId(state.ids);
  for (const tracked of [...state.open.values()]) {
    applyFact(turn, tracked, { type: 'process-ended' }, cause, 'found in the journal at the start');
    askEvidence(turn, tracked, cause);
  }
  keepPauses(turn);
  turn.effects.push({
    type: 'log',
    level: 'info',
    event: 'execution-started',
    fields: { epoch: state.config.epoch, openOrders: state.open.size },
  });
};

const onIntent = (turn: Turn, intent: OrderIntent): void => {
  if (intent.type === 'place-order') {
    place(turn, intent);
    return;
  }
  const tracked = trackedOf(turn, turn.state.byIntent.get(intent.intentId));
  if (tracked === undefined) {
    turn.effects.push({
      type: 'log',
      level: 'debug',
      event: 'cancel-without-order',
      fields: { intentId: intent.intentId },
    });
    return;
  }
  wishCancel(turn, tracked, { origin: 'strategy', reason: 'strategy', cause: intent.id });
};

/** In a full mailbox intents are refused, cancels are kept. */
const onRefused = (turn: Turn, intent: OrderIntent): void => {
  if (intent.type === 'cancel-order') onIntent(turn, intent);
  else denyIntent(turn, intent, { code: 'mailbox-full', context: { symbol: intent.terms.symbol } });
};

const onMarket = (turn: Turn, event: MarketEvent): void => {
  if (event.type === 'book-updated') {
    rememberBook(turn.state.books, event.book);
    return;
  }
  if (event.type === 'instruments-listed') {
    for (const instrument of event.instruments) turn.state.instruments.set(instrument.symbol, instrument);
    return;
  }
  // No book may be leaned on until a new one comes.
  if (event.type === 'feed-status-changed' && event.state !== 'live') turn.state.books.delete(event.symbol);
};

const onAccount = (turn: Turn, report: AccountReport): void => {
  switch (report.type) {
    case 'order-reported': {
      const tracked = trackedOf(turn, report.clientOrderId);
      if (tracked === undefined) {
        unheardOf(turn, report.clientOrderId, report.type, report.id);
        return;
      }
      applyFact(
        turn,
        tracked,
        { type: 'reported', report: report.report, asOfMonoMs: report.asOfMonoMs },
        report.id,
        `venue says ${report.report.status}`,
      );
      cancelAgainIfLive(turn, tracked);
      pullResting(turn);
      return;
    }
    case 'order-hinted': {
      const tracked = trackedOf(turn, report.clientOrderId);
      if (tracked === undefined) {
        unheardOf(turn, report.clientOrderId, report.type, report.id);
        return;
      }
      applyFact(
        turn,
        tracked,
        { type: `hint-${report.hint}`, venueOrderId: report.venueOrderId },
        report.id,
        `private feed: ${report.hint}`,
      );
      pullResting(turn);
      return;
    }
    case 'fill-booked':
      onFill(turn, report);
      return;
    case 'absence-proven': {
      const tracked = trackedOf(turn, report.clientOrderId);
      if (tracked === undefined) {
        unheardOf(turn, report.clientOrderId, report.type, report.id);
        return;
      }
      applyFact(
        turn,
        tracked,
        { type: 'absence-proven', evidence: report.evidence },
        report.id,
        report.evidence,
      );
      return;
    }
    case 'account-updated':
      onAccountUpdated(turn, report);
      return;
    case 'reconciled':
      if (turn.state.recovered !== report.clean)
        turn.effects.push({
          type: 'log',
          level: report.clean ? 'info' : 'warn',
          event: report.clean ? 'execution-recovered' : 'execution-not-reconciled',
          fields: { discrepancies: report.discrepancies.slice(0, 10) },
        });
      turn.state.recovered = report.clean;
      return;
  }
};

const onFill = (turn: Turn, report: FillBooked): void => {
  const { state } = turn;
  const { fill } = report;
  const tracked = trackedOf(turn, fill.clientOrderId ?? undefined);
  const repeated = tracked?.record.tradeIds.has(fill.tradeId) ?? false;
  if (!repeated) {
    // The account's next word has it; until then neither position nor money may be behind the orders.
    const signed = fill.side === 'buy' ? fill.quantity : -fill.quantity;
    state.positions.set(fill.symbol, (state.positions.get(fill.symbol) ?? 0n) + signed);
    for (const [asset, change] of fillEffects(fill, pairFromSymbol(fill.symbol, fill.feeAsset)))
      state.owned.set(asset, (state.owned.get(asset) ?? 0n) + change);
  }
  if (tracked === undefined) {
    unheardOf(turn, fill.clientOrderId ?? '', report.type, report.id);
    return;
  }
  applyFact(
    turn,
    tracked,
    { type: 'fill-booked', fill, orderFilled: report.orderFilled },
    report.id,
    `fill ${fill.tradeId}`,
  );
  pullResting(turn);
};

const onAccountUpdated = (turn: Turn, account: AccountUpdated): void => {
  turn.state.account = account;
  turn.state.positions = new Map(account.positions.map(view => [view.symbol, view.quantity]));
  turn.state.owned = new Map(account.owned);
  watchLoss(turn, account);
};

/** Evidence about an order that ended so long ago, or in another run, that nothing more can follow from it here. */
const unheardOf = (turn: Turn, clientOrderId: ClientOrderId, what: string, cause: EventId): void => {
  turn.effects.push({
    type: 'log',
    level: 'debug',
    event: 'order-not-tracked',
    fields: { clientOrderId, what, cause },
  });
};

const onLedger = (turn: Turn, reply: LedgerReply): void => {
  const { state, now } = turn;
  // Meant for an incarnation that is gone: nothing of ours would ever follow it that clears its hold.
  if (reply.batch < firstBatch(state.config.incarnation)) return;
  if (reply.type === 'appended') {
    let confirmed = 0;
    while (confirmed < state.unconfirmed.length && (state.unconfirmed[confirmed]?.batch ?? 0) <= reply.batch)
      confirmed += 1;
    state.unconfirmed.splice(0, confirmed);
    if (state.ledgerFailed && !state.unconfirmed.some(entry => entry.batch === REFUSED)) {
      state.ledgerFailed = false;
      clearHold(turn, 'ledger', '', 'the ledger takes records again');
    }
    journaled(turn, reply.batch);
    return;
  }
  state.ledgerFailed = true;
  askForHold(turn, 'ledger', '', `execution's records were refused: ${reply.reason}`);
  journalFailed(turn, reply.batch, reply.reason);
  // No later confirmation speaks for it: it and everything after it go again, in their order.
  state.unconfirmed = state.unconfirmed.map(entry =>
    entry.batch === reply.batch ? { ...entry, batch: REFUSED } : entry,
  );
  state.resendAt = Math.min(state.resendAt, now.monoMs + RESEND_MS);
};

const onControl = (turn: Turn, control: ControlState): void => {
  const { state } = turn;
  state.control = control;
  const repeatHeld = control.holds.some(hold => hold.cause === 'repeat-execution');
  // Re-armed by a person: the count begins anew.
  if (state.repeatHeld && !repeatHeld) forgetRepeats(state.approvals);
  state.repeatHeld = repeatHeld;
  const throttleHeld = control.holds.some(hold => hold.cause === 'rest-429');
  // Whichever bucket the venue refused, new orders come back slowly: it counts all of them against one address.
  if (state.throttleHeld && !throttleHeld) rampUp(state.budget, 'submit', turn.now.monoMs);
  state.throttleHeld = throttleHeld;
  pullResting(turn);
};

const onPeer = (turn: Turn, peer: ActorName): void => {
  const { state } = turn;
  // One that was replaced knows no figure that is told only when it changes.
  if (peer === 'telemetry') {
    state.gaugesShown.open = -1;
    state.gaugesShown.closed = -1;
  }
  if (peer !== 'reconciliation' && peer !== 'strategy') return;
  if (peer === 'reconciliation') state.recovered = false;
  for (const tracked of state.open.values()) {
    const { order } = tracked.record;
    const id = nextEventId(state.ids);
    if (peer === 'strategy') {
      turn.effects.push({
        type: 'tell',
        to: 'strategy',
        message: { type: 'order-updated', id, cause: id, order, fill: null },
      });
      continue;
    }
    turn.effects.push({
      type: 'tell',
      to: 'reconciliation',
      message: { type: 'order-tracked', id, cause: id, order },
    });
    tracked.evidenceAskedAt = Number.NEGATIVE_INFINITY;
    if (order.state.status === 'unknown' || order.state.status === 'cancel-in-flight')
      askEvidence(turn, tracked, id);
  }
};

/** Market-data's word on an instrument is the newer one. */
const onRead = (turn: Turn, { result }: ReadAnswer): void => {
  if (!result.ok || result.value === null || !('instruments' in result.value)) return;
  for (const instrument of result.value.instruments)
    if (!turn.state.instruments.has(instrument.symbol))
      turn.state.instruments.set(instrument.symbol, instrument);
};

const onPeerLost = (turn: Turn, peer: ActorName): void => {
  const { state } = turn;
  if (peer === 'reconciliation') state.recovered = false;
  if (peer === 'market-data') state.books.clear();
  if (peer === 'ledger') {
    state.ledgerLost = true;
    for (const batch of [...state.journaling.keys()]) journalFailed(turn, batch, 'the ledger is gone');
  }
};

const onSent = (turn: Turn, kind: VenueWrite['type'], clientOrderId: ClientOrderId): void => {
  const tracked = trackedOf(turn, clientOrderId);
  if (tracked === undefined) throw new Error(`bytes left for order ${clientOrderId}, which nobody approved`);
  if (kind === 'cancel') {
    cancelSent(turn, tracked);
    return;
  }
  if (tracked.submit === 'handed-over') {
    spend(turn.state.budget, 'submit', turn.now.monoMs);
    tracked.submit = 'sent';
  }
  tracked.sentAt = turn.now.monoMs;
  applyFact(turn, tracked, { type: 'sent' }, tracked.record.order.cause);
};

const onSubmitOutcome = (turn: Turn, clientOrderId: ClientOrderId, outcome: SubmitOutcome): void => {
  const { state, now } = turn;
  const tracked = trackedOf(turn, clientOrderId);
  if (tracked === undefined) {
    unheardOf(turn, clientOrderId, 'write-outcome', '');
    return;
  }
  const cause = tracked.record.order.cause;
  if (tracked.submit === 'handed-over') {
    if (outcome.type === 'denied') giveBack(state.budget, 'submit');
    else spend(state.budget, 'submit', now.monoMs);
  }
  if (outcome.type === 'denied' && tracked.submit === 'handed-over') {
    denyOrder(turn, tracked, 'fenced', outcome.reason);
    return;
  }
  tracked.submit = 'settled';
  switch (outcome.type) {
    case 'confirmed':
      observeAnswer(turn, tracked);
      applyFact(
        turn,
        tracked,
        { type: 'submit-confirmed', venueOrderId: outcome.venueOrderId },
        cause,
        'acknowledged',
      );
      return;
    case 'rejected':
      observeAnswer(turn, tracked);
      applyFact(
        turn,
        tracked,
        { type: 'submit-rejected', reason: `${outcome.reason} (${outcome.code})` },
        cause,
        outcome.reason,
      );
      return;
    case 'denied':
      applyFact(turn, tracked, { type: 'submit-denied', reason: outcome.reason }, cause);
      return;
    case 'unknown':
      if (outcome.cause === 'rate-limited') rateLimited(turn, 'submit', outcome.retryAfterMs);
      applyFact(turn, tracked, { type: 'submit-unknown', cause: outcome.cause }, cause, outcome.cause);
      if (outcome.closed !== undefined) watchClosed(turn, tracked.record.order.terms.symbol, outcome.closed);
      return;
  }
};

const observeAnswer = (turn: Turn, tracked: TrackedOrder): void => {
  if (tracked.sentAt !== null)
    observeLatency(turn, 'order_submit_latency_ms', turn.now.monoMs - tracked.sentAt);
};

const onCancelOutcome = (turn: Turn, clientOrderId: ClientOrderId, outcome: CancelOutcome): void => {
  const tracked = trackedOf(turn, clientOrderId);
  if (tracked === undefined) {
    unheardOf(turn, clientOrderId, 'write-outcome', '');
    return;
  }
  cancelOutcome(turn, tracked, outcome, tracked.cancelWish?.cause ?? tracked.record.order.cause);
};

/** Nothing new; what has not left never leaves; resting orders as configured. */
const drain = (turn: Turn): void => {
  const { state } = turn;
  state.stopping = true;
  payHolds(turn);
  for (const tracked of [...state.open.values()])
    if (tracked.submit === 'journaling' || tracked.submit === 'queued')
      denyOrder(turn, tracked, 'writes-forbidden', 'stopping');
  if (state.config.shutdownOpenOrders === 'cancel') wishCancelAll(turn, 'stop', 'stop', 'stop');
};

const leaveUnknown = (turn: Turn): void => {
  for (const tracked of [...turn.state.open.values()]) {
    const { status } = tracked.record.order.state;
    if (status === 'in-flight' || status === 'intended')
      applyFact(
        turn,
        tracked,
        { type: 'submit-unknown', cause: 'process-ended' },
        'stop',
        'the stop did not wait longer',
      );
  }
};

/** Orders named in one line of the log. */
const NAMED_MOST = 10;

/** A stop that was to cancel what rests, and did not: somebody has to. */
const tellResting = (turn: Turn): void => {
  const { state } = turn;
  if (state.config.shutdownOpenOrders !== 'cancel' || state.open.size === 0) return;
  const mayCancel = state.control !== null && mayCancelUnder(state.control, 'stop');
  turn.effects.push({
    type: 'log',
    level: 'warn',
    event: 'resting-orders-left',
    fields: {
      orders: state.open.size,
      first: [...state.open.keys()].slice(0, NAMED_MOST),
      why: mayCancel
        ? 'their end was not confirmed in time'
        : `the state ${state.control?.state ?? 'unknown'} allows no cancels`,
      remedy: 'btcbot cancel-all with KILL_SWITCH=true and SAFE_MODE=false, or cancel at the exchange',
    },
  });
};

const tick = (turn: Turn): void => {
  const { state, now } = turn;
  payHolds(turn);
  pullResting(turn);
  const unknownSymbols = new Set<string>();
  for (const tracked of [...state.open.values()]) {
    settleOverdue(turn, tracked);
    const { order } = tracked.record;
    const { status } = order.state;
    if (status === 'unknown') unknownSymbols.add(order.terms.symbol);
    // A refused cancel is repeated once a read shows the order live, and the last one may have been from before it.
    const refused = tracked.cancelRetryAt === Number.POSITIVE_INFINITY;
    const ending = status === 'cancel-in-flight' || tracked.record.ended !== null || refused;
    const remindMs = ending ? CANCEL_REMIND_MS : EVIDENCE_REMIND_MS;
    if ((ending || status === 'unknown') && now.monoMs - tracked.evidenceAskedAt >= remindMs)
      askEvidence(turn, tracked, order.cause);
  }
  for (const symbol of unknownSymbols) watchUnknown(turn, symbol);
  watchPauses(turn);
  resendUnconfirmed(turn);
  askForInstruments(turn);
  askForClock(turn);
  if (now.monoMs - state.statusAt >= STATUS_MS) {
    showStatus(turn);
    if (state.throttledAt.length > 0) showThrottling(turn);
  }
};

/** Market-data lists the instruments; without it, what is open could be neither valued nor counted. */
const askForInstruments = (turn: Turn): void => {
  const { state, now } = turn;
  if (now.monoMs - state.instrumentsAskedAt < INSTRUMENTS_ASK_MS) return;
  const missing =
    state.config.symbols.some(symbol => !state.instruments.has(symbol)) ||
    [...state.open.values()].some(({ record }) => !state.instruments.has(record.order.terms.symbol));
  if (!missing || !take(state.budget, 'instruments', now.monoMs).granted) return;
  state.instrumentsAskedAt = now.monoMs;
  turn.effects.push({ type: 'read', call: { type: 'instruments' } });
};

/** Signatures carry the venue's time (protocol section 3.1): the shell's client measures the offset by this read. */
const askForClock = (turn: Turn): void => {
  const { state, now } = turn;
  const wait = state.unauthorizedInRow > 0 ? CLOCK_ASK_SOON_MS : CLOCK_ASK_MS;
  if (now.monoMs - state.clockAskedAt < wait) return;
  if (!take(state.budget, 'server-time', now.monoMs).granted) return;
  state.clockAskedAt = now.monoMs;
  turn.effects.push({ type: 'read', call: { type: 'server-time' } });
};

/** Every request settles: by its answer, or by a deadline, which for a write means unknown. */
const settleOverdue = (turn: Turn, tracked: TrackedOrder): void => {
  const { state, now } = turn;
  const waitedSince = tracked.sentAt ?? tracked.handedOverAt;
  if (
    (tracked.submit === 'handed-over' || tracked.submit === 'sent') &&
    waitedSince !== null &&
    now.monoMs - waitedSince > WRITE_DEADLINE_MS
  )
    onSubmitOutcome(turn, tracked.record.order.clientOrderId, { type: 'unknown', cause: 'timeout' });
  if (tracked.cancel !== 'idle' && now.monoMs - tracked.cancelHandedOverAt > WRITE_DEADLINE_MS)
    onCancelOutcome(turn, tracked.record.order.clientOrderId, { type: 'unknown', cause: 'timeout' });
  if (tracked.submit !== 'journaling' || tracked.approvedAt === null || tracked.approval === null) return;
  if (now.monoMs <= Math.max(tracked.approvedAt + JOURNAL_DEADLINE_MS, tracked.approval.validUntilMonoMs))
    return;
  for (const [batch, waiting] of state.journaling)
    if (waiting === tracked) journalFailed(turn, batch, 'the ledger does not answer');
};

/** Transitions that the ledger may have lost are appended again: the same state twice says nothing new. */
const resendUnconfirmed = (turn: Turn): void => {
  const { state, now } = turn;
  if (now.monoMs < state.resendAt) return;
  state.resendAt = Number.POSITIVE_INFINITY;
  if (state.unconfirmed.length === 0) return;
  const records = state.unconfirmed.flatMap(entry => entry.records);
  const batch = append(turn, records, true);
  state.unconfirmed = [{ batch, records }];
};

const trackedOf = (turn: Turn, clientOrderId: ClientOrderId | undefined): TrackedOrder | undefined =>
  clientOrderId === undefined
    ? undefined
    : (turn.state.open.get(clientOrderId) ?? turn.state.ended.get(clientOrderId));

const showGauges = (turn: Turn): void => {
  const { state } = turn;
  let unknown = 0;
  for (const tracked of state.open.values())
    if (tracked.record.order.state.status === 'unknown') unknown += 1;
  const { gaugesShown } = state;
  if (state.venueBlocks.size !== gaugesShown.closed) {
    gaugesShown.closed = state.venueBlocks.size;
    turn.effects.push({
      type: 'metric',
      kind: 'gauge',
      name: 'btcbot_venue_closed',
      value: gaugesShown.closed,
    });
  }
  if (state.open.size === gaugesShown.open && unknown === gaugesShown.unknown) return;
  gaugesShown.open = state.open.size;
  gaugesShown.unknown = unknown;
  turn.effects.push(
    { type: 'metric', kind: 'gauge', name: 'btcbot_open_orders', value: state.open.size },
    { type: 'metric', kind: 'gauge', name: 'btcbot_unknown_orders', value: unknown },
  );
};

const showStatus = (turn: Turn): void => {
  const { state, now } = turn;
  state.statusAt = now.monoMs;
  turn.effects.push({
    type: 'status',
    facts: {
      recovered: state.recovered,
      stopping: state.stopping,
      epoch: state.config.epoch,
      controlEpoch: state.control?.epoch ?? null,
      queued: state.queue.length + state.journaling.size,
      submitBudget: usage(state.budget, 'submit', now.monoMs),
      cancelBudget: usage(state.budget, 'cancel', now.monoMs),
      denials: Object.fromEntries(state.denials),
      closed: [...state.venueBlocks.values()].map(({ subject, words, sinceMs, retryAtMonoMs, trial }) => ({
        subject: subject === WHOLE_VENUE ? 'everything' : subject,
        words,
        sinceMs,
        state: now.monoMs < retryAtMonoMs ? 'waiting' : trial === null ? 'next order is tried' : 'trying',
      })),
      openOrders: [...state.open.values()].map(({ record }) => ({
        clientOrderId: record.order.clientOrderId,
        venueOrderId: record.venueOrderId,
        symbol: record.order.terms.symbol,
        side: record.order.terms.side,
        price: record.order.terms.price === null ? 'market' : formatDecimal(record.order.terms.price),
        quantity: formatDecimal(record.order.terms.quantity),
        filled: formatDecimal(record.booked),
        worstRemaining: formatDecimal(worstRemaining(record)),
        state: record.order.state.status,
      })),
    },
  });
};

export {
  type ExecutionConfig,
  type ExecutionEffect,
  type ExecutionInput,
  type ExecutionState,
  initialExecution,
  writeOutcome,
} from './execution-state.js';
