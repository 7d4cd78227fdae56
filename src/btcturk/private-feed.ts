/** The private socket: the session of private-session.ts with a real socket and a clock. */
import type { Now } from '../domain/step.js';
import type { PrivateEvent, PrivateFeedState } from '../domain/venue-port.js';
import { now as clockNow } from '../runtime/clock.js';
import { TICK_MS } from '../runtime/limits.js';
import { type ApiCredentials, socketPairOf } from '../runtime/settings.js';
import { readPrivateFrame } from './private-frames.js';
import {
  initialPrivateSession,
  type PrivateSessionEffect,
  type PrivateSessionInput,
  stepPrivateSession,
} from './private-session.js';
import { loginFrame, prepareSigningKey } from './sign.js';
import { openSocket, type VenueSocket } from './socket.js';
import { createStepLoop } from './step-loop.js';

export interface PrivateFeedOptions {
  readonly wsUrl: string;
  readonly credentials: ApiCredentials;
  readonly onEvent: (event: PrivateEvent) => void;
  /** Every change of state. `live` is the moment to reconcile: frames may have been lost before it. */
  readonly onState: (state: PrivateFeedState, detail: string) => void;
  /** A frame that could not be read; a `balance-hint` event follows it. */
  readonly onProblem?: (problem: string) => void;
  /** Handles a frame; absent, it is simply handled. */
  readonly guard?: (text: string, handle: () => void) => void;
  /** Spreads reconnects; any integer. */
  readonly seed: number;
  /** Connections an earlier incarnation may just have made. */
  readonly forgottenAttempts?: number;
  /** The venue's clock minus ours, ms (`RestClient.clock()`); the login travels with venue time. */
  readonly clockOffsetMs?: () => number;
  readonly now?: () => Now;
}

export interface PrivateFeed {
  /**
   * A submit sent at this monotonic time was confirmed: its 451 must come, or the socket is replaced.
   * Not to be said of refused or unknown submits.
   */
  expectInserted(clientOrderId: string, sentAtMonoMs: number): void;
  /**
   * The feed does not show what it should, or what it was refused for has been mended: replaces the socket, within the bounds
   * on attempts.
   */
  reconnect(reason: string): void;
  /**
   * Logs in with this key from now on: replaces the socket, so that it is known to work before the old key is revoked, and
   * makes one where the old key was refused.
   * @throws SigningKeyError when it cannot sign; the key in use stays.
   */
  useKey(credentials: ApiCredentials): void;
  /** Whom the venue logged in last, also after that key was revoked; null before a login that named a user. */
  userId(): string | null;
  /** Drops the socket and stops; no callback follows. */
  close(): void;
}

/**
 * Connects, logs in and stays connected until closed.
 * @throws SigningKeyError when the credentials cannot sign.
 */
export const openPrivateFeed = (options: PrivateFeedOptions): PrivateFeed => {
  const now = options.now ?? clockNow;
  let key = prepareSigningKey(socketPairOf(options.credentials));
  let session = initialPrivateSession(
    { seed: options.seed, forgottenAttempts: options.forgottenAttempts ?? 0 },
    now().monoMs,
  );
  let socket: VenueSocket | null = null;
  let closed = false;

  const perform = (effect: PrivateSessionEffect): void => {
    switch (effect.type) {
      case 'connect':
        socket = openSocket(options.wsUrl, {
          onOpen: () => step({ type: 'opened' }),
          onText: text => {
            const handle = (): void => step({ type: 'frame', frame: readPrivateFrame(text) });
            if (options.guard === undefined) handle();
            else options.guard(text, handle);
          },
          onPing: () => step({ type: 'pinged' }),
          onClosed: detail => step({ type: 'closed', detail }),
        });
        return;
      case 'disconnect':
        socket?.drop();
        socket = null;
        return;
      case 'send-login':
        socket?.send(loginFrame(key, Math.round(now().wallMs + (options.clockOffsetMs?.() ?? 0))));
        return;
      case 'event':
        options.onEvent(effect.event);
        return;
      case 'state':
        options.onState(effect.state, effect.detail);
        return;
      case 'problem':
        options.onProblem?.(effect.problem);
        return;
    }
  };

  const step = createStepLoop<PrivateSessionInput, PrivateSessionEffect>(input => {
    if (closed) return [];
    const stepped = stepPrivateSession(session, input, now());
    session = stepped.state;
    return stepped.effects;
  }, perform);

  const ticks = setInterval(() => step({ type: 'tick' }), TICK_MS);
  setImmediate(() => step({ type: 'tick' }));
  return {
    expectInserted: (clientOrderId, sentAtMonoMs) =>
      step({ type: 'expect-inserted', clientOrderId, sentAtMonoMs }),
    reconnect: reason => step({ type: 'reconnect', reason }),
    useKey: credentials => {
      key = prepareSigningKey(socketPairOf(credentials));
      step({ type: 'reconnect', reason: 'the key was rotated' });
    },
    userId: () => session.userId,
    close: () => {
      closed = true;
      clearInterval(ticks);
      socket?.drop();
      socket = null;
    },
  };
};
