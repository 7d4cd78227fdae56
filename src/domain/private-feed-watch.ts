/**
 * What the private feed says, and whether it can be believed. Only a fill is a fact about money; everything else is a
 * hint that makes somebody look. The feed itself may be down, refused, or mute although its socket lives (protocol
 * section 9.11).
 */
import { STORM_ATTEMPTS } from './breaker.js';
import { takeFill } from './fill-booking.js';
import { noteForeignOrder } from './foreign-orders.js';
import { takeOrderHint } from './order-watch.js';
import { wantPass } from './reconcile-pass.js';
import {
  clearHold,
  findTracked,
  isOwnLabel,
  log,
  placeHold,
  type ReconciliationEffect,
  type ReconciliationState,
  type TrackedOrder,
  tell,
  traced,
} from './reconciliation-state.js';
import type { Now } from './step.js';
import type { PrivateEvent, PrivateFeedState } from './venue-port.js';

/** How late a 423 may be, and how often its silence may cost a connection. */
const FEED_MUTE_MS = 15_000;
const FEED_REPLACE_MS = 300_000;
/** Refused logins in a row, without a live feed between them, that mean the key and not a moment. */
const LOGIN_REFUSALS = 3;
const BALANCES_HINT_MS = 250;
/** After a reconnect the venue's own lists need a moment (protocol section 12 rule 5). */
const RECONNECT_PASS_MS = 200;

/** A confirmed submit must show up in the private feed, or the feed is mute (protocol section 9.11). */
export const expectInserted = (tracked: TrackedOrder, effects: ReconciliationEffect[]): void => {
  const { clientOrderId, state: believed } = tracked.order;
  const sentAtMonoMs = tracked.sentMonoMs;
  if (tracked.insertedSeen || sentAtMonoMs === null || believed.status !== 'working') return;
  tracked.insertedSeen = true;
  effects.push({ type: 'expect-inserted', clientOrderId, sentAtMonoMs });
};

/** Takes in one event of the feed. */
export const takePrivateEvent = (
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

/** Takes in what has become of the feed. */
export const takeFeedState = (
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
      placeHold(
        state,
        effects,
        'auth',
        'private-feed',
        `the venue refuses the login: ${reason} (a key for the socket is made apart: BTCTURK_WS_API_KEY)`,
      );
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

/** Judges the feed by what has happened since; call it on ticks. */
export const watchFeed = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
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
  if (reconnects >= STORM_ATTEMPTS)
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
export const reconnectsOf = (state: ReconciliationState, now: Now): number => {
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
