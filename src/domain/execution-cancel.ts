/**
 * Ending orders: wishes from strategy, holds, operator and stop; one DELETE in flight per order, repeated at most once a
 * second and only while the venue may still hold the order; never for an order whose venue id is not known, never for
 * anybody else's.
 */
import { countAuthorization, rateLimited, watchAuthorization, watchClosed } from './execution-detectors.js';
import { append, applyFact, askEvidence, audit } from './execution-orders.js';
import { CANCEL_REPEAT_MIN_MS, type CancelWish, type TrackedOrder, type Turn } from './execution-state.js';
import { denyOrder } from './execution-submit.js';
import { CANCEL_RANK, type CancelOrigin, mayCancelUnder } from './fence.js';
import { isTerminal } from './order.js';
import { giveBack, reserve, spend } from './request-budget.js';
import { type EventId, nextEventId } from './step.js';
import type { CancelOutcome } from './venue-port.js';

/** Without a word about the order, a cancel that the venue may have taken is asked for again after this long. */
export const CANCEL_QUEUED_PATIENCE_MS = 5_000;

/** Notes that an order is to end. The strongest origin counts: only the operator's hand reaches through the kill switch. */
export const wishCancel = (turn: Turn, tracked: TrackedOrder, wish: CancelWish): void => {
  const { order } = tracked.record;
  if (isTerminal(order.state)) return;
  // Nothing has left: it ends here, without a request.
  if (tracked.submit === 'journaling' || tracked.submit === 'queued') {
    denyOrder(turn, tracked, 'writes-forbidden', `canceled before it was sent: ${wish.reason}`);
    return;
  }
  // Market orders cannot be canceled (protocol section 6.3), but one whose bytes have not left can be kept from leaving.
  if (order.terms.method === 'market' && tracked.submit !== 'handed-over') return;
  if (tracked.cancelWish !== null && CANCEL_RANK[tracked.cancelWish.origin] >= CANCEL_RANK[wish.origin])
    return;
  // It stands until the order has ended, also across a restart: the ledger keeps it.
  const id = nextEventId(turn.state.ids);
  append(
    turn,
    [
      audit(turn, id, wish.cause, 'cancel-wanted', {
        clientOrderId: order.clientOrderId,
        origin: wish.origin,
        reason: wish.reason,
      }),
    ],
    false,
  );
  tracked.cancelWish = wish;
};

/** Notes the wish for every own order. */
export const wishCancelAll = (
  turn: Turn,
  origin: CancelOrigin,
  reason: string,
  cause: EventId,
  symbols: readonly string[] | null = null,
): void => {
  for (const tracked of [...turn.state.open.values()])
    if (symbols === null || symbols.includes(tracked.record.order.terms.symbol))
      wishCancel(turn, tracked, { origin, reason, cause });
};

/** Pulls what the newest control state wants pulled. */
export const pullResting = (turn: Turn): void => {
  const { control } = turn.state;
  if (control === null || control.pull === 'none') return;
  const reason = control.holds[0]?.key ?? control.state;
  wishCancelAll(
    turn,
    'hold',
    reason,
    `control:${control.epoch}`,
    control.pull === 'all' ? null : control.pull,
  );
};

/** Sends the cancels that are due, oldest order first, as far as the cancel budget goes. */
export const pumpCancels = (turn: Turn): void => {
  const { state, now } = turn;
  const { control } = state;
  if (control === null) return;
  for (const tracked of state.open.values()) {
    const { record, cancelWish } = tracked;
    if (cancelWish === null || tracked.cancel !== 'idle' || record.venueOrderId === null) continue;
    if (record.ended !== null || now.monoMs < tracked.cancelRetryAt) continue;
    if (!mayCancelUnder(control, cancelWish.origin)) continue;
    if (!reserve(state.budget, 'cancel', now.monoMs).granted) return;
    tracked.cancel = 'handed-over';
    tracked.cancelHandedOverAt = now.monoMs;
    turn.effects.push({
      type: 'write',
      write: {
        type: 'cancel',
        clientOrderId: record.order.clientOrderId,
        venueOrderId: record.venueOrderId,
      },
      approval: {
        epoch: control.epoch,
        validUntilMonoMs: Number.POSITIVE_INFINITY,
        journaled: true,
        origin: cancelWish.origin,
      },
    });
  }
};

/** A DELETE's first byte leaves. */
export const cancelSent = (turn: Turn, tracked: TrackedOrder): void => {
  const { state, now } = turn;
  if (tracked.cancel !== 'handed-over') return;
  spend(state.budget, 'cancel', now.monoMs);
  tracked.cancel = 'sent';
  tracked.lastCancelSentAt = now.monoMs;
  tracked.cancelsSent += 1;
  tracked.firstCancelSentAt ??= now.monoMs;
  tracked.cancelRetryAt = now.monoMs + CANCEL_REPEAT_MIN_MS;
  applyFact(
    turn,
    tracked,
    { type: 'cancel-sent' },
    tracked.cancelWish?.cause ?? tracked.record.order.cause,
    tracked.cancelWish?.reason,
  );
};

/** A DELETE's end, whatever it was. */
export const cancelOutcome = (
  turn: Turn,
  tracked: TrackedOrder,
  outcome: CancelOutcome,
  cause: EventId,
): void => {
  const { state, now } = turn;
  if (tracked.cancel === 'handed-over') {
    // Refused by the fence, or nobody knows whether a byte left: then it counts as sent.
    if (outcome.type === 'denied') giveBack(state.budget, 'cancel');
    else cancelSent(turn, tracked);
  }
  tracked.cancel = 'idle';
  switch (outcome.type) {
    case 'queued':
      tracked.cancelRetryAt = now.monoMs + CANCEL_QUEUED_PATIENCE_MS;
      countAuthorization(turn);
      applyFact(turn, tracked, { type: 'cancel-queued' }, cause);
      askEvidence(turn, tracked, cause);
      return;
    case 'rejected':
      // The order may have ended, or the venue may be unable to cancel now. Only a report tells; until one shows the
      // order live the cancel is not repeated.
      tracked.cancelRetryAt = Number.POSITIVE_INFINITY;
      applyFact(turn, tracked, { type: 'cancel-rejected' }, cause, outcome.reason);
      watchAuthorization(turn, outcome.reason);
      // An order that could not be canceled is not to be sent.
      watchClosed(turn, tracked.record.order.terms.symbol, outcome.reason);
      return;
    case 'denied':
      tracked.cancelRetryAt = now.monoMs + CANCEL_REPEAT_MIN_MS;
      applyFact(turn, tracked, { type: 'cancel-denied' }, cause, outcome.reason);
      return;
    case 'unknown':
      tracked.cancelRetryAt = now.monoMs + CANCEL_QUEUED_PATIENCE_MS;
      if (outcome.cause === 'rate-limited') rateLimited(turn, 'cancel', outcome.retryAfterMs);
      applyFact(turn, tracked, { type: 'cancel-unknown' }, cause, outcome.cause);
      if (outcome.closed !== undefined) watchClosed(turn, tracked.record.order.terms.symbol, outcome.closed);
      askEvidence(turn, tracked, cause);
      return;
  }
};

/**
 * A report shows an order live that is to end. A cancel that was refused is asked for again; one that the venue may still
 * carry out only when the read was sent well after it, each time a little later.
 */
export const cancelAgainIfLive = (turn: Turn, tracked: TrackedOrder): void => {
  const { record, cancelWish, cancel, lastCancelSentAt } = tracked;
  if (cancelWish === null || cancel !== 'idle' || tracked.cancelRetryAt <= turn.now.monoMs) return;
  const repeatAt =
    lastCancelSentAt +
    Math.min(CANCEL_QUEUED_PATIENCE_MS, CANCEL_REPEAT_MIN_MS * 2 ** Math.max(0, tracked.cancelsSent - 1));
  if (record.liveAsOf < (record.cancelPending ? repeatAt : lastCancelSentAt)) return;
  tracked.cancelRetryAt = Math.max(turn.now.monoMs, repeatAt);
};
