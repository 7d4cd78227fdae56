/**
 * The life of the private socket as a step function: connect, wait for the version notice, log in, listen. Its faults
 * are those of protocol section 9.11: a login may be refused, a socket may die without a word, and after a login the
 * order channels may be mute although the socket, the login and the fills work.
 */
import {
  attemptAfterLoss,
  earliestAllowed,
  initialReconnect,
  noteAttempt,
  noteUseful,
  PRIVATE_RECONNECT,
  type ReconnectState,
  uniform,
} from '../domain/reconnect.js';
import type { Now, Stepped } from '../domain/step.js';
import type { PrivateEvent, PrivateFeedState } from '../domain/venue-port.js';
import type { PrivateFrame } from './private-frames.js';

export type PrivateSessionInput =
  | { readonly type: 'opened' }
  /** The socket is gone, or could not be made. */
  | { readonly type: 'closed'; readonly detail: string }
  | { readonly type: 'frame'; readonly frame: PrivateFrame }
  /** A protocol ping: the venue sends one every 15 s (protocol section 9.4). */
  | { readonly type: 'pinged' }
  /**
   * The venue confirmed this submit: a 451 with its label must come, or the order channels are mute. Say it only of
   * confirmed submits, since a refused one is never inserted.
   */
  | { readonly type: 'expect-inserted'; readonly clientOrderId: string; readonly sentAtMonoMs: number }
  /**
   * A fresh connection is wanted, after the usual wait: the feed does not show what it should, or what the login was refused
   * for has been mended.
   */
  | { readonly type: 'reconnect'; readonly reason: string }
  | { readonly type: 'tick' };

export type PrivateSessionEffect =
  | { readonly type: 'connect' }
  /** Drop the socket now, without waiting for the other side. */
  | { readonly type: 'disconnect'; readonly reason: string }
  | { readonly type: 'send-login' }
  | { readonly type: 'event'; readonly event: PrivateEvent }
  | { readonly type: 'state'; readonly state: PrivateFeedState; readonly detail: string }
  | { readonly type: 'problem'; readonly problem: string };

/** The handshake, and then the version notice, must be there within this. */
export const OPEN_DEADLINE_MS = 5_000;
/** The login must be answered within this. */
export const LOGIN_DEADLINE_MS = 5_000;
/** No frame and no ping for this long: the socket is dead. Pings come every 15 s. */
export const SILENCE_MAX_MS = 40_000;
/** A confirmed submit must be followed by its 451 within this. */
export const INSERTED_DEADLINE_MS = 5_000;
/** Waits after a refused login: doubling from the first, so that unauthorised attempts never come in a row. */
const REFUSED_FIRST_MS = 60_000;
const REFUSED_BOUND_MAX_MS = 3_600_000;
/** After this many refusals in a row nothing is tried until somebody has mended it; about 50 block the address (section 3.2). */
export const REFUSALS_MAX = 8;
/** Labels remembered, because a 451 may come before the reply to its submit (section 6.6). */
const SEEN_MAX = 512;
const EXPECTED_MAX = 1_000;

type Phase =
  | { readonly phase: 'disconnected'; readonly retryAtMonoMs: number }
  | { readonly phase: 'connecting'; readonly deadlineMonoMs: number; readonly opened: boolean }
  | { readonly phase: 'logging-in'; readonly deadlineMonoMs: number }
  | { readonly phase: 'live'; readonly sinceMonoMs: number }
  | { readonly phase: 'refused'; readonly retryAtMonoMs: number | null };

export interface PrivateSession {
  phase: Phase;
  reconnect: ReconnectState;
  refusals: number;
  /** Whom the venue last logged in; null before it has said. */
  userId: string | null;
  lastHeardMonoMs: number;
  /** Labels awaited, with the time at which their silence means that the channel is mute. */
  expected: Map<string, number>;
  /** Labels of inserted, matched or removed orders, oldest first. */
  seen: Set<string>;
}

/** @param forgottenAttempts connections an earlier incarnation may just have made */
export const initialPrivateSession = (
  config: { readonly seed: number; readonly forgottenAttempts?: number },
  monoMs: number,
): PrivateSession => {
  const forgotten = config.forgottenAttempts ?? 0;
  const reconnect = initialReconnect(config.seed, forgotten, monoMs);
  // After a restart the attempts just before it are not known: the first one waits its turn like any other.
  const retryAtMonoMs = forgotten === 0 ? monoMs : attemptAfterLoss(reconnect, PRIVATE_RECONNECT, monoMs);
  return {
    phase: { phase: 'disconnected', retryAtMonoMs },
    reconnect,
    refusals: 0,
    userId: null,
    lastHeardMonoMs: monoMs,
    expected: new Map(),
    seen: new Set(),
  };
};

/** What the feed is worth, as reconciliation sees it. */
export const privateFeedState = (session: PrivateSession): PrivateFeedState => session.phase.phase;

export const stepPrivateSession = (
  session: PrivateSession,
  input: PrivateSessionInput,
  now: Now,
): Stepped<PrivateSession, PrivateSessionEffect> => {
  const effects: PrivateSessionEffect[] = [];
  switch (input.type) {
    case 'opened':
      session.lastHeardMonoMs = now.monoMs;
      if (session.phase.phase === 'connecting')
        session.phase = {
          phase: 'connecting',
          opened: true,
          deadlineMonoMs: now.monoMs + OPEN_DEADLINE_MS,
        };
      break;
    case 'closed':
      if (isUp(session)) lose(session, effects, now, input.detail);
      break;
    case 'pinged':
      session.lastHeardMonoMs = now.monoMs;
      break;
    case 'frame':
      session.lastHeardMonoMs = now.monoMs;
      onFrame(session, effects, input.frame, now);
      break;
    case 'expect-inserted':
      expectInserted(session, effects, input, now);
      break;
    case 'reconnect':
      if (isUp(session)) drop(session, effects, now, input.reason);
      else if (session.phase.phase === 'refused') tryAgain(session, effects, now, input.reason);
      break;
    case 'tick':
      onTick(session, effects, now);
      break;
  }
  return { state: session, effects };
};

/** There is a socket, or one is being made. */
const isUp = ({ phase: { phase } }: PrivateSession): boolean =>
  phase === 'connecting' || phase === 'logging-in' || phase === 'live';

const enter = (
  session: PrivateSession,
  effects: PrivateSessionEffect[],
  phase: Phase,
  detail: string,
): void => {
  session.phase = phase;
  effects.push({ type: 'state', state: phase.phase, detail });
};

/** The connection is no good any more: a fresh one comes after a jittered wait. */
const lose = (session: PrivateSession, effects: PrivateSessionEffect[], now: Now, reason: string): void => {
  const retryAtMonoMs = attemptAfterLoss(session.reconnect, PRIVATE_RECONNECT, now.monoMs);
  session.expected.clear();
  enter(session, effects, { phase: 'disconnected', retryAtMonoMs }, reason);
};

const drop = (session: PrivateSession, effects: PrivateSessionEffect[], now: Now, reason: string): void => {
  effects.push({ type: 'disconnect', reason });
  lose(session, effects, now, reason);
};

const onFrame = (
  session: PrivateSession,
  effects: PrivateSessionEffect[],
  frame: PrivateFrame,
  now: Now,
): void => {
  switch (frame.type) {
    case 'version':
      if (session.phase.phase !== 'connecting') return;
      effects.push({ type: 'send-login' });
      enter(
        session,
        effects,
        { phase: 'logging-in', deadlineMonoMs: now.monoMs + LOGIN_DEADLINE_MS },
        'logging in',
      );
      return;
    case 'login-result':
      if (session.phase.phase !== 'logging-in') return;
      if (!frame.ok) {
        refuse(session, effects, now, frame.message);
        return;
      }
      session.refusals = 0;
      session.userId = frame.userId ?? session.userId;
      enter(session, effects, { phase: 'live', sinceMonoMs: now.monoMs }, 'logged in');
      return;
    case 'event':
      if (!isUp(session)) return;
      noteUseful(session.reconnect, PRIVATE_RECONNECT, now.monoMs);
      onEvent(session, frame.event);
      effects.push({ type: 'event', event: frame.event });
      return;
    case 'malformed':
      effects.push({ type: 'problem', problem: frame.problem });
      // Something about the account changed and we could not read it: let reconciliation look.
      if (isUp(session) && frame.model !== 114)
        effects.push({ type: 'event', event: { type: 'balance-hint' } });
      return;
    case 'ignored':
      return;
  }
};

/**
 * A refused login is not repeated at once: a wrong key stays wrong, and refusals in a row block the address. Clock
 * trouble heals, so a few more attempts follow, ever further apart.
 */
const refuse = (
  session: PrivateSession,
  effects: PrivateSessionEffect[],
  now: Now,
  message: string,
): void => {
  effects.push({ type: 'disconnect', reason: 'login refused' });
  session.expected.clear();
  session.refusals += 1;
  const waitMs = Math.min(REFUSED_BOUND_MAX_MS, REFUSED_FIRST_MS * 2 ** (session.refusals - 1));
  const retryAtMonoMs =
    session.refusals >= REFUSALS_MAX ? null : now.monoMs + waitMs * (1 + uniform(session.reconnect) / 2);
  enter(session, effects, { phase: 'refused', retryAtMonoMs }, message === '' ? 'login refused' : message);
};

/** The refusals were of another key, or of a fault that somebody has mended: they count no more, the attempts do. */
const tryAgain = (
  session: PrivateSession,
  effects: PrivateSessionEffect[],
  now: Now,
  reason: string,
): void => {
  session.refusals = 0;
  const retryAtMonoMs = earliestAllowed(session.reconnect, PRIVATE_RECONNECT, now.monoMs);
  enter(session, effects, { phase: 'disconnected', retryAtMonoMs }, reason);
};

const onEvent = (session: PrivateSession, event: PrivateEvent): void => {
  // A fill does not show that the order channels speak: 423 works when they are mute.
  if (event.type === 'fill' || event.type === 'balance-hint' || event.clientOrderId === null) return;
  session.expected.delete(event.clientOrderId);
  session.seen.add(event.clientOrderId);
  if (session.seen.size > SEEN_MAX) {
    for (const oldest of session.seen) {
      session.seen.delete(oldest);
      break;
    }
  }
};

const expectInserted = (
  session: PrivateSession,
  effects: PrivateSessionEffect[],
  { clientOrderId, sentAtMonoMs }: Extract<PrivateSessionInput, { readonly type: 'expect-inserted' }>,
  now: Now,
): void => {
  // Only an order sent while this connection was live must show here; earlier ones are found by reads.
  if (session.phase.phase !== 'live' || sentAtMonoMs < session.phase.sinceMonoMs) return;
  if (session.seen.has(clientOrderId)) return;
  if (session.expected.size >= EXPECTED_MAX) {
    effects.push({ type: 'problem', problem: 'too many inserts are awaited; this one is not' });
    return;
  }
  session.expected.set(clientOrderId, now.monoMs + INSERTED_DEADLINE_MS);
};

const onTick = (session: PrivateSession, effects: PrivateSessionEffect[], now: Now): void => {
  const { phase } = session;
  switch (phase.phase) {
    case 'disconnected':
    case 'refused':
      if (phase.retryAtMonoMs !== null && now.monoMs >= phase.retryAtMonoMs) connect(session, effects, now);
      return;
    case 'connecting':
      if (now.monoMs >= phase.deadlineMonoMs)
        drop(session, effects, now, phase.opened ? 'no version notice in time' : 'no handshake in time');
      return;
    case 'logging-in':
      if (now.monoMs >= phase.deadlineMonoMs) drop(session, effects, now, 'no answer to the login in time');
      return;
    case 'live':
      if (now.monoMs - session.lastHeardMonoMs >= SILENCE_MAX_MS)
        drop(session, effects, now, 'the socket is silent: no frame and no ping');
      else if (isMute(session, now))
        drop(
          session,
          effects,
          now,
          'the order channels are mute: a confirmed submit was not followed by its 451',
        );
      return;
  }
};

const isMute = (session: PrivateSession, now: Now): boolean => {
  for (const deadlineMonoMs of session.expected.values()) if (now.monoMs >= deadlineMonoMs) return true;
  return false;
};

const connect = (session: PrivateSession, effects: PrivateSessionEffect[], now: Now): void => {
  noteAttempt(session.reconnect, PRIVATE_RECONNECT, now.monoMs);
  session.lastHeardMonoMs = now.monoMs;
  const deadlineMonoMs = now.monoMs + OPEN_DEADLINE_MS;
  enter(session, effects, { phase: 'connecting', opened: false, deadlineMonoMs }, 'connecting');
  effects.push({ type: 'connect' });
};
