/**
 * Execution's eyes: what makes it ask the supervisor for a hold. The detector of a condition asks once and asks again while
 * the condition lasts and the supervisor does not show the hold; that of something that happened once asks for each. Who may
 * release it is the supervisor's table.
 */

import type { AccountUpdated } from './account-events.js';
import { THROTTLED_WINDOW_MS } from './breaker.js';
import type { TrackedOrder, Turn } from './execution-state.js';
import { isTerminal } from './order.js';
import type { OrderFinding } from './order-machine.js';
import { BUCKETS, type Bucket, pause, pauseUntil } from './request-budget.js';
import { lossBeyondLimit } from './risk.js';
import { type HoldCause, holdKey } from './safety.js';
import { type EventId, nextEventId } from './step.js';
import { closedBy, noteBlock, settleTrial, VENUE_BLOCK_RETRY_MS, WHOLE_VENUE } from './venue-block.js';

/** A hold that is not shown is asked for again after this long. */
const ASK_AGAIN_MS = 1_000;
/** The venue refused this many submits in a row, or this many within a minute. */
export const REJECTIONS_IN_ROW = 5;
export const REJECTIONS_PER_MINUTE = 10;
/** Authentication failures in a row after which nothing more is tried (protocol section 3.2). */
export const UNAUTHORIZED_IN_ROW = 2;

/** Asks for the hold of a condition, unless the supervisor already shows it or was asked a moment ago. */
export const askForHold = (turn: Turn, cause: HoldCause, subject: string, detail: string): void => {
  const { state, now } = turn;
  const key = holdKey(cause, subject);
  if (now.monoMs - (state.holdsAsked.get(key) ?? Number.NEGATIVE_INFINITY) < ASK_AGAIN_MS) return;
  const shown = state.control?.holds.some(hold => hold.key === key) ?? false;
  state.holdsAsked.set(key, now.monoMs);
  if (!shown) want(turn, cause, subject, detail);
};

/**
 * Asks for a hold because of something that happened once and will not be noticed again. Also while the supervisor shows
 * the hold, since the operator may have released it a moment ago; what still stands takes the newer words. Of many in a row
 * the newest waits until a second has passed.
 */
export const askForFact = (turn: Turn, cause: HoldCause, subject: string, detail: string): void => {
  turn.state.holdsOwed.set(holdKey(cause, subject), { cause, subject, detail });
  payHolds(turn);
};

/** Asks for what has waited long enough; for all of it once execution is to end. */
export const payHolds = (turn: Turn): void => {
  const { state, now } = turn;
  if (state.holdsOwed.size === 0) return;
  for (const [key, { cause, subject, detail }] of [...state.holdsOwed]) {
    const sinceMs = now.monoMs - (state.holdsAsked.get(key) ?? Number.NEGATIVE_INFINITY);
    if (sinceMs < ASK_AGAIN_MS && !state.stopping) continue;
    state.holdsOwed.delete(key);
    state.holdsAsked.set(key, now.monoMs);
    want(turn, cause, subject, detail);
  }
};

const want = (turn: Turn, holdCause: HoldCause, subject: string, detail: string): void => {
  const id = nextEventId(turn.state.ids);
  turn.effects.push({
    type: 'hold',
    message: { type: 'hold-wanted', id, cause: id, holdCause, subject, detail },
  });
};

/** Says that a condition has passed, if a hold was asked for it. */
export const clearHold = (turn: Turn, cause: HoldCause, subject: string, detail: string): void => {
  const { state } = turn;
  const key = holdKey(cause, subject);
  const shown = state.control?.holds.some(hold => hold.key === key) ?? false;
  if (!state.holdsAsked.delete(key) && !shown) return;
  const id = nextEventId(state.ids);
  turn.effects.push({
    type: 'hold',
    message: { type: 'hold-cleared', id, cause: id, holdCause: cause, subject, detail },
  });
};

/** Holds a symbol while an order on it is unknown, and lets go when the last one is resolved. */
export const watchUnknown = (turn: Turn, symbol: string): void => {
  let unknown = 0;
  for (const tracked of turn.state.open.values())
    if (tracked.record.order.state.status === 'unknown' && tracked.record.order.terms.symbol === symbol)
      unknown += 1;
  if (unknown > 0) askForHold(turn, 'unknown-outcome', symbol, `${unknown} order(s) with unknown outcome`);
  else clearHold(turn, 'unknown-outcome', symbol, 'every outcome is known');
};

/**
 * The fence keeps writes back by itself once the lease has run out. This makes it known: to people at once, since nothing of
 * it goes through the supervisor's thread, and as a hold when the supervisor hears again.
 */
export const watchLease = (turn: Turn, untilMonoMs: number): void => {
  const { state, now } = turn;
  const lost = untilMonoMs > 0 && now.monoMs >= untilMonoMs;
  if (lost !== state.leaseLost) {
    state.leaseLost = lost;
    turn.effects.push({
      type: 'log',
      level: lost ? 'error' : 'info',
      event: lost ? 'lease-lost' : 'lease-back',
      fields: {},
    });
    if (!lost) clearHold(turn, 'lease', '', 'the supervisor renews the write lease again');
  }
  if (lost) askForHold(turn, 'lease', '', 'the supervisor has not renewed the write lease in time');
};

/** A fact that cannot be: it was applied as far as money is concerned, and the operator has to look. */
export const reportImpossible = (
  turn: Turn,
  tracked: TrackedOrder,
  finding: OrderFinding,
  cause: EventId,
): void => {
  const { order } = tracked.record;
  const detail = `${finding.what} for order ${order.clientOrderId} (${order.state.status}) ${finding.detail}`;
  const id = nextEventId(turn.state.ids);
  turn.effects.push(
    {
      type: 'log',
      level: 'error',
      event: 'order-impossible',
      fields: { clientOrderId: order.clientOrderId, what: finding.what, detail: finding.detail },
    },
    {
      type: 'append',
      request: {
        type: 'append',
        batch: turn.state.nextBatch++,
        durable: false,
        records: [
          {
            type: 'audit',
            atMs: turn.now.wallMs,
            actor: 'execution',
            event: 'order-impossible',
            id,
            cause,
            facts: {
              clientOrderId: order.clientOrderId,
              what: finding.what,
              status: order.state.status,
              detail: finding.detail,
            },
          },
        ],
      },
    },
  );
  askForFact(turn, 'invariant', order.terms.symbol, detail);
};

/** The venue answered 429 to a write: its bucket rests, and the supervisor is told until when. */
export const rateLimited = (turn: Turn, bucket: Bucket, retryAfterMs: number | undefined): void => {
  const { state, now } = turn;
  const until = pause(state.budget, bucket, now.monoMs, retryAfterMs);
  state.throttledAt.push(now.monoMs);
  showThrottling(turn);
  turn.effects.push({
    type: 'log',
    level: 'warn',
    event: 'rate-limited',
    fields: { bucket, pauseMs: Math.round(until - now.monoMs) },
  });
  tellPause(turn, bucket, until);
};

/** What the venue told an earlier incarnation holds for this one. */
export const keepPauses = (turn: Turn): void => {
  const { state, now } = turn;
  for (const bucket of BUCKETS) {
    const until = state.config.pausedUntil?.[bucket] ?? 0;
    if (until <= now.monoMs) continue;
    pauseUntil(state.budget, bucket, until);
    tellPause(turn, bucket, until);
  }
};

/** Each 429 is told, also while the hold stands: the pause may have become longer. */
const tellPause = (turn: Turn, bucket: Bucket, until: number): void => {
  const { state, now } = turn;
  state.pausedBuckets.set(bucket, until);
  state.holdsAsked.delete(holdKey('rest-429', bucket));
  const id = nextEventId(state.ids);
  turn.effects.push({
    type: 'hold',
    message: {
      type: 'hold-wanted',
      id,
      cause: id,
      holdCause: 'rest-429',
      subject: bucket,
      detail: `429: nothing to ${bucket} for ${Math.ceil((until - now.monoMs) / 1_000)} s, until ${new Date(now.wallMs + until - now.monoMs).toISOString()}`,
    },
  });
  state.holdsAsked.set(holdKey('rest-429', bucket), now.monoMs);
};

/** Replies 429 to writes in the last minute: part of `rest_429_rate`, and by themselves. */
export const showThrottling = (turn: Turn): void => {
  const { state, now } = turn;
  state.throttledAt = state.throttledAt.filter(at => now.monoMs - at < THROTTLED_WINDOW_MS);
  for (const name of ['rest_429_rate', 'btcbot_order_path_429_rate'])
    turn.effects.push({ type: 'metric', kind: 'gauge', name, value: state.throttledAt.length });
};

/** Says of each pause that has ended that it has. */
export const watchPauses = (turn: Turn): void => {
  for (const [bucket, until] of turn.state.pausedBuckets) {
    if (turn.now.monoMs < until) continue;
    turn.state.pausedBuckets.delete(bucket);
    clearHold(turn, 'rest-429', bucket, 'the pause has ended; the budget ramps up');
  }
};

/** What a refusal of a write on `symbol` closes. @returns whether it says that anything is closed. */
export const watchClosed = (turn: Turn, symbol: string, words: string): boolean => {
  const subject = closedBy(words, symbol);
  if (subject === null) return false;
  const isNews = noteBlock(turn.state.venueBlocks, subject, words, turn.now);
  turn.effects.push({
    type: 'log',
    level: isNews ? 'warn' : 'info',
    event: isNews ? 'venue-closed' : 'venue-still-closed',
    fields: {
      what: subject === WHOLE_VENUE ? 'everything' : subject,
      words,
      againInS: VENUE_BLOCK_RETRY_MS / 1_000,
    },
  });
  return true;
};

/** Whether the order that is being tried where the venue was closed has shown that it is open again. */
export const watchTrial = (turn: Turn, tracked: TrackedOrder): void => {
  const { state, now } = turn;
  if (state.venueBlocks.size === 0) return;
  const { order } = tracked.record;
  const isTaken = tracked.knownAt !== null;
  if (!isTaken && !isTerminal(order.state)) return;
  const fate = isTaken ? 'taken' : 'ended';
  for (const block of settleTrial(state.venueBlocks, order.clientOrderId, fate, now.monoMs))
    turn.effects.push({
      type: 'log',
      level: 'info',
      event: 'venue-open',
      fields: {
        what: block.subject === WHOLE_VENUE ? 'everything' : block.subject,
        closedForS: Math.round((now.wallMs - block.sinceMs) / 1_000),
        provenBy: order.clientOrderId,
      },
    });
};

/** The venue refused a submit. Maintenance is no fault of the order, and ends by itself: it counts for no storm. */
export const countRejection = (turn: Turn, symbol: string, reason: string): void => {
  if (!watchClosed(turn, symbol, reason)) countForStorm(turn, reason);
  watchAuthorization(turn, reason);
};

const countForStorm = (turn: Turn, reason: string): void => {
  const { state, now } = turn;
  while (state.rejections.length > 0 && (state.rejections[0] ?? 0) <= now.monoMs - 60_000)
    state.rejections.shift();
  state.rejections.push(now.monoMs);
  state.rejectionsInRow += 1;
  if (state.rejectionsInRow >= REJECTIONS_IN_ROW || state.rejections.length >= REJECTIONS_PER_MINUTE)
    askForFact(
      turn,
      'reject-storm',
      '',
      `${state.rejectionsInRow} refusals in a row, ${state.rejections.length} in a minute, the last: ${reason}`,
    );
};

/** The venue took a submit. */
export const countConfirmation = (turn: Turn): void => {
  turn.state.rejectionsInRow = 0;
  countAuthorization(turn);
};

/** The venue took a write: the key and the clock are right. */
export const countAuthorization = (turn: Turn): void => {
  turn.state.unauthorizedInRow = 0;
};

/** A refused write may say that the key, its permissions or the clock are wrong (protocol section 3.3). */
export const watchAuthorization = (turn: Turn, reason: string): void => {
  const { state } = turn;
  if (!/unauthori[sz]ed|access[_ ]denied|\b401\b|\b403\b/i.test(reason)) {
    state.unauthorizedInRow = 0;
    return;
  }
  state.unauthorizedInRow += 1;
  if (state.unauthorizedInRow >= UNAUTHORIZED_IN_ROW)
    askForFact(turn, 'auth', '', `${state.unauthorizedInRow} writes in a row were not authorised: ${reason}`);
};

/** A known loss beyond its limit stops trading at once, not at the next intent. */
export const watchLoss = (turn: Turn, account: AccountUpdated): void => {
  const { limits } = turn.state.config;
  if (limits.maxDailyLossTry === null || limits.maxDrawdownPct === null) return;
  const known = {
    ...account,
    dayProfitTry: account.dayProfitTry ?? 0n,
    drawdownPct: account.drawdownPct ?? 0,
  };
  const loss = lossBeyondLimit(known, limits);
  if (loss !== null) askForHold(turn, 'loss-limit', '', JSON.stringify(loss));
};
