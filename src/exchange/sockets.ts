/** Socket sessions: handshake, version notice, login, pings (protocol sections 9.1, 9.4, 9.10). */
import type { Account } from './accounts.js';
import { type AuthVerdict, checkLogin } from './auth.js';
import { faultOn, numberOf, strikes } from './faults.js';
import { sendFrame } from './frames.js';
import { dropSubscriptions, subscribe } from './public-feed.js';
import { countRequest, tooManyRequests } from './rate-limits.js';
import { gatewayPage } from './refusals.js';
import { later, type SocketSession, serverMs, type VenueState } from './venue-state.js';
import { toJson } from './wire.js';

const PING_INTERVAL_MS = 15_000;
/** A client that answers no ping is closed after this long. */
const PONG_DEADLINE_MS = 45_000;

/** A handshake: refused, or answered with the version notice. */
export const openSocket = (venue: VenueState, socketId: string, ip: string): void => {
  const refused = strikes(venue.faults, 'handshake-refused');
  if (refused !== undefined) {
    venue.effects.push({ type: 'refuse-socket', socketId, ...gatewayPage(numberOf(refused)) });
    return;
  }
  const limited =
    faultOn(venue.faults, 'no-rate-limits') === undefined
      ? countRequest(venue.rateWindows, 'socket-connect', `ip ${ip}`, venue.now.monoMs)
      : undefined;
  if (limited !== undefined) {
    venue.effects.push({
      type: 'refuse-socket',
      socketId,
      status: 429,
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'retry-after': String(Math.ceil(limited.retryAfterMs / 1_000)),
      },
      body: tooManyRequests(limited),
    });
    return;
  }
  const session: SocketSession = {
    socketId,
    subscriptions: new Map(),
    account: null,
    muted: false,
    stalled: false,
    lastPongMs: venue.now.monoMs,
  };
  venue.sockets.set(socketId, session);
  venue.effects.push({ type: 'accept-socket', socketId });
  const storm = strikes(venue.faults, 'reconnect-storm');
  if (storm !== undefined) later(venue, numberOf(storm), { type: 'end-socket', session });
  if (strikes(venue.faults, 'no-version') === undefined)
    sendFrame(venue, session, '[991,{"type":991,"current":"6.0.0","min":"2.3.0"}]');
  if (venue.config.keepalive === 'ping') later(venue, PING_INTERVAL_MS, { type: 'keepalive', session });
};

/** A frame from a client: what cannot be read is ignored, the socket stays open. */
export const receiveFrame = (venue: VenueState, socketId: string, text: string): void => {
  const session = venue.sockets.get(socketId);
  const frame = session === undefined ? undefined : readFrame(text);
  if (session === undefined || frame === undefined) return;
  if (frame.model === 151) subscribe(venue, session, frame.payload);
  else if (frame.model === 114) login(venue, session, frame.payload);
};

export const receivePong = (venue: VenueState, socketId: string): void => {
  const session = venue.sockets.get(socketId);
  if (session !== undefined) session.lastPongMs = venue.now.monoMs;
};

/** The next ping, or the end of a client that has not answered for 45 s. */
export const keepAlive = (venue: VenueState, session: SocketSession): void => {
  if (!venue.sockets.has(session.socketId)) return;
  if (venue.now.monoMs - session.lastPongMs >= PONG_DEADLINE_MS) {
    endSocket(venue, session, false);
    return;
  }
  if (faultOn(venue.faults, 'no-ping') === undefined)
    venue.effects.push({ type: 'ping', socketId: session.socketId });
  else session.lastPongMs = venue.now.monoMs;
  later(venue, PING_INTERVAL_MS, { type: 'keepalive', session });
};

/** Closes a socket from this side. */
export const endSocket = (venue: VenueState, session: SocketSession, abrupt: boolean): void => {
  if (!venue.sockets.has(session.socketId)) return;
  forgetSocket(venue, session.socketId);
  venue.effects.push({ type: 'close-socket', socketId: session.socketId, code: 1000, abrupt });
};

export const forgetSocket = (venue: VenueState, socketId: string): void => {
  const session = venue.sockets.get(socketId);
  if (session === undefined) return;
  dropSubscriptions(venue, session);
  venue.sockets.delete(socketId);
};

const login = (
  venue: VenueState,
  session: SocketSession,
  payload: Readonly<Record<string, unknown>>,
): void => {
  const verdict = judgeLogin(venue, session, payload);
  if (!verdict.ok) {
    sendFrame(venue, session, `[114,${toJson({ type: 114, ok: false, id: 0, message: verdict.message })}]`);
    return;
  }
  const { account } = verdict;
  session.account = account;
  account.logins += 1;
  session.muted = account.logins > 1 && strikes(venue.faults, 'mute-after-relogin') !== undefined;
  sendFrame(venue, session, `[114,${toJson({ type: 114, id: account.userId, ok: true, message: null })}]`);
};

const judgeLogin = (
  venue: VenueState,
  session: SocketSession,
  payload: Readonly<Record<string, unknown>>,
): AuthVerdict<Account> => {
  const fault = strikes(venue.faults, 'login-refused');
  if (fault !== undefined) return { ok: false, message: fault.value ?? '' };
  if (session.account !== null && faultOn(venue.faults, 'second-login-refused') !== undefined)
    return { ok: false, message: 'Unauthorized - Invalid Request' };
  const separate = faultOn(venue.faults, 'separate-keys') !== undefined;
  const trusted =
    venue.config.authentication === 'skip' ? venue.accounts.get(String(payload.publicKey)) : undefined;
  return trusted === undefined
    ? checkLogin(payload, venue.accounts, serverMs(venue), separate)
    : { ok: true, account: trusted };
};

/** Field names without quotes, as some old clients send them (protocol section 9.3). */
const BARE_NAME = /([{,]\s*)([A-Za-z_]\w*)(\s*:)/g;

const readFrame = (
  text: string,
): { readonly model: number; readonly payload: Readonly<Record<string, unknown>> } | undefined => {
  const frame = parse(text) ?? parse(text.replace(BARE_NAME, '$1"$2"$3'));
  if (!Array.isArray(frame) || typeof frame[0] !== 'number') return undefined;
  const payload: unknown = frame[1];
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return undefined;
  return { model: frame[0], payload: payload as Readonly<Record<string, unknown>> };
};

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};
