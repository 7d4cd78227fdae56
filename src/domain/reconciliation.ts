/**
 * The reconciliation brain: the account as the venue sees it. It books every fill once, follows every order of ours to
 * its proven end, searches for submits whose outcome is unknown, recovers at each start before anything is traded, and
 * proves ledger and venue equal to the last digit, again and again.
 *
 * Every answer and every frame is first taken in as a fact, whoever asked for it; then those who asked are told that
 * their reads are done. The parts: read-schedule (pacing, retries), read-group (what belongs together), fill-booking,
 * order-watch, evidence, foreign-orders, account-opening, reconcile-pass, three-way-proof, valuation,
 * private-feed-watch, account-report.
 */
import type { ExecutionReport } from './account-events.js';
import {
  noteMovements,
  noteVenueTime,
  openingAnswered,
  openingAppended,
  stepOpening,
} from './account-opening.js';
import { report, statusFacts, summarise, tellAccount } from './account-report.js';
import { THROTTLED_STORM } from './breaker.js';
import { evidenceAnswered, searchFor, stepSearches } from './evidence.js';
import { takeFill } from './fill-booking.js';
import { takeHistory, wantHistories } from './fill-history.js';
import type { LedgerReply } from './ledger-records.js';
import { isTerminal, venueOrderIdOf } from './order.js';
import {
  reviewTracked,
  stepWatches,
  takeOpenOrders,
  takeReport,
  watchAnswered,
  watchOrder,
} from './order-watch.js';
import { expectInserted, takeFeedState, takePrivateEvent, watchFeed } from './private-feed-watch.js';
import { type ReadGroup, type ReadPurpose, settlePart, startGroup } from './read-group.js';
import {
  readRates,
  resumeSignedReads,
  type SentRead,
  type SettledRead,
  sendDueReads,
  settleOverdueReads,
  settleRead,
} from './read-schedule.js';
import {
  adoptDifferences,
  passAnswered,
  startPass,
  stepPass,
  takeMovements,
  wantPass,
} from './reconcile-pass.js';
import {
  audit,
  clearHold,
  log,
  placeHold,
  type ReconciliationEffect,
  type ReconciliationInput,
  type ReconciliationState,
  type TrackedOrder,
  trackOrder,
} from './reconciliation-state.js';
import { type ControlState, holdKey } from './safety.js';
import type { Now, Stepped } from './step.js';
import { keepLastMarks, revalue, stepMarks, takeMark } from './valuation.js';
import type { ReadAnswer, ReadFailure, VenueAnswers } from './venue-port.js';

export { statusFacts } from './account-report.js';
export {
  initialReconciliation,
  type ReconciliationConfig,
  type ReconciliationEffect,
  type ReconciliationInput,
  type ReconciliationState,
} from './reconciliation-state.js';

const CLOCK_INTERVAL_MS = 60_000;
const CLOCK_RETRY_MS = 2_000;
/** While the skew holds orders: a clock that was set while it was being read shows one that is over already. */
const CLOCK_DOUBT_MS = 10_000;
/** Offsets from which nobody should trade, and from which all is well again (design: clock-skew). */
const CLOCK_SKEW_HOLD_MS = 2_000;
const CLOCK_SKEW_WARN_MS = 1_000;
/** Balances are read at most this often for fills and hints. */
const BALANCES_SPACING_MS = 1_000;
/** While the budget of an earlier run counts, passes need most of what is left. */
const COLD_MS = 60_000;
const BALANCES_COLD_SPACING_MS = 5_000;
const APPEND_RETRY_MS = 5_000;
const LAST_LOOK_AGAIN_MS = 100;

/** One step of the brain. */
export const stepReconciliation = (
  state: ReconciliationState,
  input: ReconciliationInput,
  now: Now,
): Stepped<ReconciliationState, ReconciliationEffect> => {
  const effects: ReconciliationEffect[] = [];
  switch (input.type) {
    case 'message':
      takeMessage(state, input.message, now, effects);
      break;
    case 'control':
      lookUnderKill(state, input.control, now);
      state.control = input.control;
      resumeAfterAuth(state, now, effects);
      adoptAfterRelease(state, now, effects);
      break;
    case 'private-event':
      takePrivateEvent(state, input.event, now, effects);
      break;
    case 'private-state':
      takeFeedState(state, input.feed, input.reason, now, effects);
      break;
    case 'read-answered':
      takeSettled(state, settleRead(state.schedule, input.requestId, input, now), now, effects);
      break;
    case 'ledger-replied':
      takeLedgerReply(state, input.reply, now, effects);
      break;
    case 'fills-given':
      takeHistory(state.accounting, input, ({ clientOrderId }) => clientOrderId !== null);
      takeHistory(state.foreignAccounting, input, ({ clientOrderId }) => clientOrderId === null);
      state.accountDirty = true;
      break;
    case 'peer-connected':
      takePeer(state, input.peer, now, effects);
      break;
    case 'drain':
      drain(state, input.deadlineMonoMs, now);
      break;
    case 'tick':
      tick(state, now, effects);
      break;
  }
  endDrain(state, now, effects);
  if (state.phase !== 'drained') effects.push(...sendDueReads(state.schedule, now));
  return { state, effects };
};

const tick = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  for (const settled of settleOverdueReads(state.schedule, now)) takeSettled(state, settled, now, effects);
  stepClock(state, now);
  if (state.phase === 'opening') stepOpening(state, now);
  if (state.phase === 'recovering' || state.phase === 'running' || state.phase === 'draining') {
    stepPass(state, now, effects);
    stepWatches(state, now);
    stepSearches(state, now);
    stepBalances(state, now);
    stepMarks(state, now);
  }
  retryAppends(state, now, effects);
  for (const wanted of wantHistories(state, [state.accounting, state.foreignAccounting], now)) {
    log(effects, 'info', 'history-wanted', { symbol: wanted.symbol });
    effects.push(wanted);
  }
  watchFeed(state, now, effects);
  tellAccount(state, now, effects);
  report(state, now, effects);
};

// Execution

const takeMessage = (
  state: ReconciliationState,
  message: ExecutionReport,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  switch (message.type) {
    case 'order-tracked': {
      const { order } = message;
      const tracked = trackOrder(state, order, now);
      if (isTerminal(order.state) || venueOrderIdOf(order.state) !== null) tracked.search = null;
      else if (order.state.status === 'unknown') question(state, tracked, now);
      expectInserted(tracked, effects);
      reviewTracked(state, tracked, now, effects);
      return;
    }
    case 'evidence-wanted': {
      const tracked = state.live.get(message.clientOrderId) ?? state.settled.get(message.clientOrderId);
      if (tracked === undefined)
        log(effects, 'error', 'evidence-wanted-for-stranger', { clientOrderId: message.clientOrderId });
      else question(state, tracked, now);
      return;
    }
  }
};

/** Looks for an order at the venue: by its id when it has one, else by its label. */
const question = (state: ReconciliationState, tracked: TrackedOrder, now: Now): void => {
  if (tracked.venueOrderIds.size === 0) searchFor(state, tracked, now);
  else watchOrder(state, tracked, now.monoMs, { order: true });
};

// Reads

const takeSettled = (
  state: ReconciliationState,
  settled: SettledRead<ReadPurpose>,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  if (settled.type === 'unexpected') return;
  if (settled.type === 'answered') takeAnswer(state, settled.read, settled.answer, now, effects);
  else takeFailure(state, settled.read, settled.failure, settled.type, now, effects);
  const group = settlePart(state, settled, now.monoMs);
  if (group !== null) groupAnswered(state, group, now, effects);
};

/** Takes in the facts of an answer, whoever asked. */
const takeAnswer = (
  state: ReconciliationState,
  read: SentRead<ReadPurpose>,
  answer: ReadAnswer,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  if (!answer.result.ok) return;
  const asOfMonoMs = read.sentMonoMs;
  switch (answer.call.type) {
    case 'server-time': {
      const { serverMs } = answer.result.value as VenueAnswers['server-time'];
      if (state.opening !== null) noteVenueTime(state.opening, serverMs);
      measureClock(state, read, serverMs, answer.result.tookMs, effects);
      return;
    }
    case 'ticker': {
      const prices = answer.result.value as VenueAnswers['ticker'];
      if (prices !== null) takeMark(state, answer.call.symbol, prices, asOfMonoMs);
      return;
    }
    case 'balances': {
      const { balances } = answer.result.value as VenueAnswers['balances'];
      if (state.balances !== null && state.balances.asOfMonoMs > asOfMonoMs) return;
      state.balances = {
        list: balances,
        byAsset: new Map(balances.map(balance => [balance.asset, balance])),
        asOfMonoMs,
        asOfVenueMs: read.sentWallMs + (state.clockOffsetMs ?? 0),
        shown: null,
      };
      state.accountDirty = true;
      return;
    }
    case 'open-orders': {
      const { orders } = answer.result.value as VenueAnswers['open-orders'];
      takeOpenOrders(state, answer.call.symbol, orders, asOfMonoMs, now, effects);
      return;
    }
    case 'all-orders': {
      const { orders } = answer.result.value as VenueAnswers['all-orders'];
      for (const order of orders) takeReport(state, order, asOfMonoMs, now, effects);
      return;
    }
    case 'order': {
      const { order } = answer.result.value as VenueAnswers['order'];
      if (order !== null) takeReport(state, order, asOfMonoMs, now, effects);
      return;
    }
    case 'trades':
    case 'trades-of-order': {
      const { fills } = answer.result.value as VenueAnswers['trades'];
      for (const fill of fills) takeFill(state, fill, 'trades', now, effects);
      return;
    }
    case 'cash-movements': {
      const { movements } = answer.result.value as VenueAnswers['cash-movements'];
      if (state.opening === null) takeMovements(state, movements, effects);
      else noteMovements(state.opening, movements);
      return;
    }
    case 'instruments':
      return;
  }
};

const takeFailure = (
  state: ReconciliationState,
  read: SentRead<ReadPurpose>,
  failure: ReadFailure,
  verdict: 'retrying' | 'failed',
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  log(effects, verdict === 'retrying' ? 'debug' : 'warn', 'read-failed', {
    read: read.call.type,
    attempt: read.attempt,
    verdict,
    failure,
  });
  if (failure.type === 'rate-limited' && readRates(state.schedule, now).throttledPerMinute >= THROTTLED_STORM)
    placeHold(state, effects, 'rest-429', 'reads', 'the venue refuses our reads for their rate');
  if (failure.type !== 'unauthorized') return;
  // A clock that ran away looks like a bad key (protocol section 3.1).
  state.clockWantedMonoMs = Math.min(state.clockWantedMonoMs, now.monoMs);
  if (state.schedule.signedStopped)
    placeHold(state, effects, 'auth', 'reads', `the venue refuses the key: ${failure.message}`);
};

const groupAnswered = (
  state: ReconciliationState,
  group: ReadGroup,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const { owner } = group;
  switch (owner.type) {
    case 'pass':
      passAnswered(state, group, now, effects);
      return;
    case 'opening':
      openingAnswered(state, group, now, effects);
      return;
    case 'evidence':
      evidenceAnswered(state, group, owner, now, effects);
      return;
    case 'watch':
      watchAnswered(state, group, owner.clientOrderId, now);
      return;
    case 'foreign': {
      const foreign = state.foreign.get(owner.venueOrderId);
      if (foreign !== undefined) foreign.pending = false;
      return;
    }
    case 'marks':
      state.marksWantedMonoMs = now.monoMs + state.config.markIntervalMs;
      revalue(state, now, effects);
      return;
    case 'balances':
      state.balancesPending = false;
      return;
    case 'clock':
      state.clockPending = false;
      return;
  }
};

/** Signed reads, and a refused login, go on once the operator has released what held them. */
const resumeAfterAuth = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  if (isReleased(state, 'reads')) {
    resumeSignedReads(state.schedule);
    log(effects, 'info', 'signed-reads-resumed', {});
    wantPass(state, 'auth-released', 0, now);
  }
  if (isReleased(state, 'private-feed') && state.feed !== 'live') {
    state.feedRefusals = 0;
    // An attempt that is under way goes on.
    if (state.feed === 'refused')
      effects.push({ type: 'reconnect-private', reason: 'the hold on its login was released' });
  }
};

/** Whether the hold `auth` on this subject was there and is no more; told once. It may be asked for again then. */
const isReleased = (state: ReconciliationState, subject: string): boolean => {
  const isHeld =
    state.control?.holds.some(hold => hold.cause === 'auth' && hold.subject === subject) ?? false;
  if (isHeld) state.authHoldsSeen.add(subject);
  else if (state.authHoldsSeen.delete(subject)) {
    state.held.delete(holdKey('auth', subject));
    return true;
  }
  return false;
};

/** Whoever ordered the kill wants to know what the venue shows after it, and not what it showed before. */
const lookUnderKill = (state: ReconciliationState, next: ControlState, now: Now): void => {
  if (next.state === 'killed' && state.control?.state !== 'killed') wantPass(state, 'killed', 0, now);
};

/** Only an operator releases this hold: what it was placed for is accepted. */
const adoptAfterRelease = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  const held =
    state.control?.holds.some(hold => hold.cause === 'invariant' && hold.subject === 'account') ?? false;
  if (held) state.invariantHoldSeen = true;
  else if (state.invariantHoldSeen) {
    state.invariantHoldSeen = false;
    if (state.held.delete(holdKey('invariant', 'account'))) adoptDifferences(state, now, effects);
  }
};

const stepBalances = (state: ReconciliationState, now: Now): void => {
  if (state.balancesPending || state.balancesWantedMonoMs === null || now.monoMs < state.balancesWantedMonoMs)
    return;
  const since = now.monoMs - (state.balances?.asOfMonoMs ?? Number.NEGATIVE_INFINITY);
  const cold = state.config.coldBudget && now.monoMs - state.startedMonoMs < COLD_MS;
  if (since < (cold ? BALANCES_COLD_SPACING_MS : BALANCES_SPACING_MS)) return;
  state.balancesWantedMonoMs = null;
  state.balancesPending = true;
  startGroup(state, { type: 'balances' }, new Map([['balances', { type: 'balances' }]]), now.monoMs);
};

// The clock

const stepClock = (state: ReconciliationState, now: Now): void => {
  if (state.clockPending || now.monoMs < state.clockWantedMonoMs) return;
  state.clockPending = true;
  state.clockWantedMonoMs = now.monoMs + (state.clockOffsetMs === null ? CLOCK_RETRY_MS : CLOCK_INTERVAL_MS);
  startGroup(state, { type: 'clock' }, new Map([['server-time', { type: 'server-time' }]]), now.monoMs);
};

const measureClock = (
  state: ReconciliationState,
  read: SentRead<ReadPurpose>,
  serverMs: number,
  tookMs: number,
  effects: ReconciliationEffect[],
): void => {
  // Whole: it goes into times that are recorded.
  const offsetMs = Math.round(serverMs - (read.sentWallMs + tookMs / 2));
  if (state.clockOffsetMs === null) state.clockWantedMonoMs = read.sentMonoMs + CLOCK_INTERVAL_MS;
  state.clockOffsetMs = offsetMs;
  state.venueClock = { atMs: serverMs, monoMs: read.sentMonoMs + tookMs / 2 };
  // Half the round trip is the bound of the error: what it may explain is no skew.
  const skewMs = Math.max(0, Math.abs(offsetMs) - tookMs / 2);
  const detail = `our clock is ${Math.round(Math.abs(offsetMs))} ms ${offsetMs > 0 ? 'behind' : 'ahead of'} the venue's`;
  effects.push({
    type: 'metric',
    kind: 'gauge',
    name: 'btcbot_clock_offset_ms',
    value: Math.round(offsetMs),
  });
  if (skewMs > CLOCK_SKEW_HOLD_MS) placeHold(state, effects, 'clock-skew', '', detail);
  else if (skewMs <= CLOCK_SKEW_WARN_MS) clearHold(state, effects, 'clock-skew', '', detail);
  if (state.held.has(holdKey('clock-skew', ''))) state.clockWantedMonoMs = read.sentMonoMs + CLOCK_DOUBT_MS;
  if (skewMs > CLOCK_SKEW_WARN_MS) log(effects, 'warn', 'clock-skew', { offsetMs: Math.round(offsetMs) });
};

// The ledger and the peers

const takeLedgerReply = (
  state: ReconciliationState,
  reply: LedgerReply,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const waiting = state.unacknowledged.get(reply.batch);
  if (waiting === undefined) return;
  if (reply.type === 'append-failed') {
    waiting.retryMonoMs = now.monoMs + APPEND_RETRY_MS;
    placeHold(state, effects, 'ledger', 'reconciliation', `facts could not be recorded: ${reply.reason}`);
    return;
  }
  state.unacknowledged.delete(reply.batch);
  if (state.unacknowledged.size === 0)
    clearHold(state, effects, 'ledger', 'reconciliation', 'every fact is recorded');
  if (!openingAppended(state, reply.batch)) return;
  if (state.phase === 'opening') state.phase = 'recovering';
  audit(state, effects, now, 'ledger-opened', { atMs: state.accounting.openingAtMs });
  wantPass(state, 'recovery', 0, now);
};

const retryAppends = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  for (const waiting of state.unacknowledged.values()) {
    if (waiting.retryMonoMs === null || waiting.retryMonoMs > now.monoMs) continue;
    waiting.retryMonoMs = null;
    effects.push({ type: 'append', request: waiting.request });
  }
};

const takePeer = (
  state: ReconciliationState,
  peer: 'execution' | 'strategy' | 'ledger',
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  state.accountDirty = true;
  if (peer === 'execution' && state.everClean) wantPass(state, 'execution-started', 0, now);
  if (peer !== 'ledger') return;
  state.historyWantedMonoMs = now.monoMs;
  // The ledger books each fact once: what it may have lost is simply said again.
  for (const waiting of state.unacknowledged.values()) {
    waiting.retryMonoMs = null;
    effects.push({ type: 'append', request: waiting.request });
  }
};

// The stop

const drain = (state: ReconciliationState, deadlineMonoMs: number, now: Now): void => {
  state.drainDeadlineMonoMs = deadlineMonoMs;
  const provable = state.phase === 'running' || state.phase === 'recovering';
  state.phase = 'draining';
  if (!provable || state.schedule.signedStopped) state.drainDeadlineMonoMs = now.monoMs;
  else {
    state.passReason = 'last-look';
    startPass(state, now);
  }
};

/** The last look is over when it was clean and the ledger has everything, or when its time has run out. */
const endDrain = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  if (state.phase !== 'draining' || state.drainDeadlineMonoMs === null) return;
  const late = now.monoMs >= state.drainDeadlineMonoMs;
  const clean =
    state.everClean && state.pass === null && state.discrepancies.length === 0 && state.passesAgain === 0;
  if (state.pass === null && !clean)
    state.nextPassMonoMs = Math.min(state.nextPassMonoMs, now.monoMs + LAST_LOOK_AGAIN_MS);
  if (!late && !(clean && state.unacknowledged.size === 0)) return;
  state.phase = 'drained';
  revalue(state, now, effects);
  keepLastMarks(state, now, effects);
  summarise(state, now, effects);
  if (!clean) log(effects, 'warn', 'last-look-unclean', { discrepancies: state.discrepancies });
  effects.push({ type: 'status', facts: statusFacts(state, now) });
  effects.push({ type: 'drained', clean });
};
