/**
 * The reconciliation brain: the account as the venue sees it. It books every fill once, follows every order of ours to
 * its proven end, searches for submits whose outcome is unknown, recovers at each start before anything is traded, and
 * proves ledger and venue equal to the last digit, again and again.
 *
 * Every answer and every frame is first taken in as a fact, whoever asked for it; then those who asked are told that
 * their reads are done. The parts: read-schedule (pacing, retries), read-group (what belongs together), fill-booking,
 * order-watch, evidence, foreign-orders, account-opening, reconcile-pass, three-way-proof, valuation.
 */
import type { ExecutionReport } from './account-events.js';
import { openingAnswered, openingAppended, stepOpening } from './account-opening.js';
import { positionViews } from './accounting.js';
import { evidenceAnswered, openSearches, searchFor, stepSearches } from './evidence.js';
import { takeFill } from './fill-booking.js';
import { noteForeignOrder } from './foreign-orders.js';
import type { LedgerReply } from './ledger-records.js';
import { formatDecimal, formatFixed } from './money.js';
import { isTerminal, venueOrderIdOf } from './order.js';
import {
  reviewTracked,
  stepWatches,
  takeOpenOrders,
  takeOrderHint,
  takeReport,
  watchAnswered,
  watchOrder,
} from './order-watch.js';
import { type ReadGroup, type ReadPurpose, settlePart, startGroup } from './read-group.js';
import {
  isThrottled,
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
  findTracked,
  isOwnLabel,
  log,
  placeHold,
  type ReconciliationEffect,
  type ReconciliationInput,
  type ReconciliationState,
  type TrackedOrder,
  tell,
  traced,
  trackOrder,
} from './reconciliation-state.js';
import type { Now, Stepped } from './step.js';
import { dayProfitTry, isValued, revalue, stepMarks, takeMark, tryRates } from './valuation.js';
import type { PrivateEvent, PrivateFeedState, ReadAnswer, ReadFailure, VenueAnswers } from './venue-port.js';

export {
  initialReconciliation,
  type ReconciliationConfig,
  type ReconciliationEffect,
  type ReconciliationInput,
  type ReconciliationState,
} from './reconciliation-state.js';

/** 429s within a minute that make it a storm (safety: 429 signal). */
const THROTTLED_STORM = 3;
/** How late a 423 may be, and how often its silence may cost a connection. */
const FEED_MUTE_MS = 15_000;
const FEED_REPLACE_MS = 300_000;
/** Reconnects within a minute that make a storm; the venue blocks at 15 (protocol section 9.4). */
const RECONNECT_STORM = 8;
/** Refused logins in a row, without a live feed between them, that mean the key and not a moment. */
const LOGIN_REFUSALS = 3;
const CLOCK_INTERVAL_MS = 60_000;
const CLOCK_RETRY_MS = 2_000;
/** Offsets from which nobody should trade, and from which all is well again (design: clock-skew). */
const CLOCK_SKEW_HOLD_MS = 2_000;
const CLOCK_SKEW_WARN_MS = 1_000;
/** An account picture reaches its readers at least, and at most, this often. */
const TELL_LEAST_MS = 3_000;
const TELL_MOST_MS = 100;
/** Balances are read at most this often for fills and hints. */
const BALANCES_SPACING_MS = 1_000;
/** While the budget of an earlier run counts, passes need most of what is left. */
const COLD_MS = 60_000;
const BALANCES_COLD_SPACING_MS = 5_000;
const BALANCES_HINT_MS = 250;
const METRICS_MS = 1_000;
const SUMMARY_MS = 10_000;
const STATUS_MS = 1_000;
const APPEND_RETRY_MS = 5_000;
/** After a reconnect the venue's own lists need a moment (protocol section 12 rule 5). */
const RECONNECT_PASS_MS = 200;
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

/** A confirmed submit must show up in the private feed, or the feed is mute (protocol section 9.11). */
const expectInserted = (tracked: TrackedOrder, effects: ReconciliationEffect[]): void => {
  const { clientOrderId, state: believed } = tracked.order;
  const sentAtMonoMs = tracked.sentMonoMs;
  if (tracked.insertedSeen || sentAtMonoMs === null || believed.status !== 'working') return;
  tracked.insertedSeen = true;
  effects.push({ type: 'expect-inserted', clientOrderId, sentAtMonoMs });
};

// The private feed

const takePrivateEvent = (
  state: ReconciliationState,
  event: PrivateEvent,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  switch (event.type) {
    case 'fill':
      takeFill(state, event.fill, 'feed', now, effects);
      return;
    case 'balance-hint':
      state.balancesWantedMonoMs ??= now.monoMs + BALANCES_HINT_MS;
      return;
    case 'order-inserted':
      takeHint(state, event, 'inserted', 0n, now, effects);
      return;
    case 'order-removed':
      takeHint(state, event, 'removed', 0n, now, effects);
      return;
    case 'match-hint':
      takeHint(state, event, 'matched', event.quantity, now, effects);
      return;
  }
};

const takeHint = (
  state: ReconciliationState,
  event: { readonly venueOrderId: string; readonly clientOrderId: string | null },
  hint: 'inserted' | 'removed' | 'matched',
  quantity: bigint,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const { venueOrderId, clientOrderId } = event;
  const tracked = findTracked(state, venueOrderId, clientOrderId);
  if (tracked === undefined) {
    if (hint === 'inserted' && !isOwnLabel(state, clientOrderId))
      noteForeignOrder(
        state,
        { venueOrderId, clientOrderId, symbol: null, report: null },
        now.monoMs,
        now,
        effects,
      );
    if (hint === 'removed' && state.foreign.has(venueOrderId))
      wantPass(state, 'foreign-order', RECONNECT_PASS_MS, now);
    return;
  }
  tell(effects, 'execution', {
    type: 'order-hinted',
    ...traced(state),
    clientOrderId: tracked.order.clientOrderId,
    venueOrderId,
    hint,
  });
  takeOrderHint(state, tracked, hint, quantity, now.monoMs);
  // A hint names the order, and only a read says what it is: its first sight is worth one.
  if (tracked.search !== null) tracked.search.nextMonoMs = now.monoMs;
};

const takeFeedState = (
  state: ReconciliationState,
  feed: PrivateFeedState,
  reason: string,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const was = state.feed;
  state.feed = feed;
  if (feed === 'refused') {
    state.feedRefusals += 1;
    if (state.feedRefusals >= LOGIN_REFUSALS)
      placeHold(state, effects, 'auth', 'private-feed', `the venue refuses the login: ${reason}`);
  }
  if (feed === was) return;
  if (feed === 'connecting') {
    if (state.feedEverConnected) state.feedConnects.push(now.monoMs);
    state.feedEverConnected = true;
  }
  log(effects, feed === 'refused' ? 'error' : 'info', 'private-feed', { feed, reason });
  if (feed === 'live') {
    state.feedDownMonoMs = null;
    state.feedLiveMonoMs = now.monoMs;
    state.feedRefusals = 0;
    clearHold(state, effects, 'auth', 'private-feed', 'the venue accepts the login');
    wantPass(state, 'private-reconnect', RECONNECT_PASS_MS, now);
    return;
  }
  state.feedDownMonoMs ??= now.monoMs;
  state.feedLiveMonoMs = null;
  state.unseenByFeed.clear();
};

const watchFeed = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  if (state.phase === 'observing' || state.phase === 'draining') return;
  if (isFeedMute(state, now)) {
    const reason = 'fills appear among the trades that the private feed does not show';
    state.unseenByFeed.clear();
    state.feedReplacedMonoMs = now.monoMs;
    log(effects, 'warn', 'private-feed-mute', { reason });
    effects.push({ type: 'reconnect-private', reason });
  }
  const downMs = state.feedDownMonoMs === null ? 0 : now.monoMs - state.feedDownMonoMs;
  const reconnects = reconnectsOf(state, now);
  if (reconnects >= RECONNECT_STORM)
    placeHold(
      state,
      effects,
      'ws-reconnect',
      'private-feed',
      `the private feed reconnected ${reconnects} times in a minute`,
    );
  else if (downMs > state.config.feedMaxDownMs)
    placeHold(
      state,
      effects,
      'ws-reconnect',
      'private-feed',
      'the private feed has not been live for too long',
    );
  else if (downMs === 0)
    clearHold(state, effects, 'ws-reconnect', 'private-feed', 'the private feed is live');
};

/** Connections of the private feed in the last minute, beyond the first of the start. */
const reconnectsOf = (state: ReconciliationState, now: Now): number => {
  state.feedConnects = state.feedConnects.filter(at => now.monoMs - at < 60_000);
  return state.feedConnects.length;
};

/** A fill that the trades endpoint has shown for a while, and the feed, live all the time, has not (protocol section 11). */
const isFeedMute = (state: ReconciliationState, now: Now): boolean => {
  if (now.monoMs - state.feedReplacedMonoMs < FEED_REPLACE_MS) return false;
  for (const bookedMonoMs of state.unseenByFeed.values())
    if (now.monoMs - bookedMonoMs > FEED_MUTE_MS) return true;
  return false;
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
      takeMovements(state, movements, effects);
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
      watchAnswered(state, owner.clientOrderId, now);
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

/** Signed reads go on once the operator has released what held them. */
const resumeAfterAuth = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  const held = state.control?.holds.some(hold => hold.cause === 'auth' && hold.subject === 'reads') ?? false;
  if (held) state.authHoldSeen = true;
  else if (state.authHoldSeen) {
    state.authHoldSeen = false;
    state.held.delete('auth:reads');
    resumeSignedReads(state.schedule);
    log(effects, 'info', 'signed-reads-resumed', {});
    wantPass(state, 'auth-released', 0, now);
  }
};

/** Only an operator releases this hold: what it was placed for is accepted. */
const adoptAfterRelease = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  const held =
    state.control?.holds.some(hold => hold.cause === 'invariant' && hold.subject === 'account') ?? false;
  if (held) state.invariantHoldSeen = true;
  else if (state.invariantHoldSeen) {
    state.invariantHoldSeen = false;
    if (state.held.delete('invariant:account')) adoptDifferences(state, now, effects);
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
  summarise(state, now, effects);
  if (!clean) log(effects, 'warn', 'last-look-unclean', { discrepancies: state.discrepancies });
  effects.push({ type: 'drained', clean });
};

// What others are told

const tellAccount = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  if (state.balances === null || state.phase === 'opening' || state.phase === 'observing') return;
  const since = now.monoMs - state.accountToldMonoMs;
  if (!(state.accountDirty && since >= TELL_MOST_MS) && since < TELL_LEAST_MS) return;
  state.accountDirty = false;
  state.accountToldMonoMs = now.monoMs;
  revalue(state, now, effects);
  const account = {
    type: 'account-updated' as const,
    balances: state.balances.list,
    balancesAsOfMonoMs: state.balances.asOfMonoMs,
    positions: positionViews(state.accounting),
    tryRates: tryRates(state, now),
    dayProfitTry: dayProfitTry(state, now),
    drawdownPct: isValued(state, now) ? state.drawdownPct : null,
  };
  tell(effects, 'execution', { ...account, ...traced(state) });
  tell(effects, 'strategy', { ...account, ...traced(state) });
};

/** One line for people, when the profit has changed, and as the last word. */
const summarise = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  const profit = state.valuation?.profitTry ?? null;
  if (profit === null || profit === state.summary.profitTry) return;
  state.summary = { profitTry: profit, atMonoMs: now.monoMs };
  log(effects, 'info', 'run-summary', {
    profit: `${formatFixed(profit, 2)} TRY`,
    fills: state.accounting.booked.size,
    drawdownPct: state.drawdownPct === null ? null : Math.round(state.drawdownPct * 100) / 100,
    lagMs: Math.round(now.monoMs - state.lastCleanMonoMs),
  });
};

const report = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  if (now.monoMs - state.summary.atMonoMs >= SUMMARY_MS) summarise(state, now, effects);
  if (now.monoMs - state.metricsMonoMs >= METRICS_MS) {
    state.metricsMonoMs = now.monoMs;
    reportMetrics(state, now, effects);
  }
  if (now.monoMs - state.statusMonoMs >= STATUS_MS) {
    state.statusMonoMs = now.monoMs;
    effects.push({ type: 'status', facts: statusFacts(state, now) });
  }
};

const reportMetrics = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  const gauge = (name: string, value: number): void => {
    effects.push({ type: 'metric', kind: 'gauge', name, value });
  };
  const rates = readRates(state.schedule, now);
  gauge('rest_retry_rate', rates.retryRate);
  gauge('rest_429_rate', rates.throttledPerMinute);
  gauge('ws_reconnect_rate', reconnectsOf(state, now));
  gauge('btcbot_reconcile_residual', state.residuals.size);
  if (!isThrottled(state.schedule, now) && rates.throttledPerMinute < THROTTLED_STORM)
    clearHold(state, effects, 'rest-429', 'reads', 'the venue answers our reads again');
  if (state.phase === 'observing') return;
  const lagMs = now.monoMs - state.lastCleanMonoMs;
  // A pass every interval is the plan; the lag is what comes on top.
  gauge('reconcile_lag_ms', Math.max(0, Math.round(lagMs - state.config.reconcileIntervalMs)));
  if (lagMs > state.config.reconcileMaxLagMs)
    placeHold(
      state,
      effects,
      'reconcile-lag',
      '',
      `ledger and venue were last proven equal ${Math.round(lagMs / 1_000)} s ago${state.discrepancies.length > 0 ? `: ${state.discrepancies.slice(0, 3).join('; ')}` : ''}`,
    );
};

/** The actor's part of `btcbot status`. */
export const statusFacts = (state: ReconciliationState, now: Now): Readonly<Record<string, unknown>> => {
  const money = (amount: bigint | null): string | null => (amount === null ? null : formatDecimal(amount));
  return {
    phase: state.phase,
    openingObjection: state.openingObjection,
    privateFeed: state.feed,
    clockOffsetMs: state.clockOffsetMs,
    balances: (state.balances?.list ?? []).map(balance => ({
      asset: balance.asset,
      total: formatDecimal(balance.total),
      free: formatDecimal(balance.free),
      locked: formatDecimal(balance.locked),
    })),
    positions: positionViews(state.accounting).map(position => ({
      symbol: position.symbol,
      quantity: formatDecimal(position.quantity),
      averagePrice: money(position.averagePrice),
      realized: formatDecimal(position.realized),
      fees: formatDecimal(position.fees),
      taxes: formatDecimal(position.taxes),
    })),
    profit: {
      totalTry: money(state.valuation?.profitTry ?? null),
      dayTry: money(dayProfitTry(state, now)),
      drawdownPct: isValued(state, now) ? state.drawdownPct : null,
    },
    reconciliation: {
      lagMs: Math.round(now.monoMs - state.lastCleanMonoMs),
      lastCleanAtMs: state.lastCleanWallMs,
      discrepancies: state.discrepancies,
      residuals: Object.fromEntries(
        [...state.residuals].map(([asset, amount]) => [asset, formatDecimal(amount)]),
      ),
    },
    fills: state.accounting.booked.size,
    openOrders: state.live.size,
    searches: openSearches(state, now),
    foreignOrders: [...state.foreign.values()].map(({ venueOrderId, clientOrderId, symbol }) => ({
      venueOrderId,
      clientOrderId,
      symbol,
    })),
    reads: {
      ...readRates(state.schedule, now),
      waiting: state.schedule.waiting.length,
      stopped: state.schedule.signedStopped,
    },
  };
};
