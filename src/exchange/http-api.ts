/**
 * Requests: which path is what, who may ask, what it costs, and how it can go wrong. The order of checks is the
 * venue's: address, path, signature, budget, then the endpoint's own (protocol section 13.1).
 */
import type { Account } from './accounts.js';
import { handleAdmin } from './admin.js';
import { checkRequest } from './auth.js';
import { type FaultSite, type FaultSpec, faultOn, numberOf, type RequestKind, strikes } from './faults.js';
import { cancelOrder, submitOrder } from './order-entry.js';
import { allOrders, balances, movements, openOrders, singleOrder, userTrades } from './private-api.js';
import {
  exchangeInfo,
  graphKlines,
  graphOhlcs,
  legacyOhlc,
  orderBook,
  publicTrades,
  serverPing,
  serverTime,
  tickers,
  tickersOfQuote,
} from './public-api.js';
import { countRequest, type RateLimitName, tooManyRequests } from './rate-limits.js';
import { gatewayPage, json, unauthorized } from './refusals.js';
import {
  type HttpReply,
  type HttpRequest,
  later,
  serverMs,
  type VenueEffect,
  type VenueState,
} from './venue-state.js';

type Answer =
  | { readonly access: 'public'; answer(venue: VenueState, request: HttpRequest): HttpReply }
  | {
      readonly access: 'private';
      answer(venue: VenueState, account: Account, request: HttpRequest): HttpReply;
    };

/** One verb on one path. */
type Endpoint = Answer & { readonly kind: RequestKind; readonly budget: RateLimitName | null };

const open = (
  kind: RequestKind,
  budget: RateLimitName | null,
  answer: (venue: VenueState, request: HttpRequest) => HttpReply,
): Endpoint => ({ access: 'public', kind, budget, answer });

const signed = (
  kind: RequestKind,
  budget: RateLimitName,
  answer: (venue: VenueState, account: Account, request: HttpRequest) => HttpReply,
): Endpoint => ({ access: 'private', kind, budget, answer });

/** Paths in lower case; matching ignores case (protocol section 1.1). */
const ENDPOINTS: Readonly<Record<string, Readonly<Record<string, Endpoint>>>> = {
  '/api/v2/server/time': { GET: open('public', 'server-time', serverTime) },
  '/api/v2/server/ping': { GET: open('public', null, serverPing) },
  '/api/v2/server/exchangeinfo': { GET: open('public', 'exchange-info', exchangeInfo) },
  '/api/v2/ticker': { GET: open('public', 'ticker', tickers) },
  '/api/v2/ticker/currency': { GET: open('public', 'ticker', tickersOfQuote) },
  '/api/v2/orderbook': { GET: open('public', 'order-book', orderBook) },
  '/api/v2/trades': { GET: open('public', 'trades', publicTrades) },
  '/api/v1/trades': { GET: open('public', 'trades-v1', publicTrades) },
  '/api/v2/ohlc': { GET: open('public', 'ohlc', legacyOhlc) },
  '/v1/ohlcs': { GET: open('graph', 'ohlcs', graphOhlcs) },
  '/v1/klines/history': { GET: open('graph', 'klines', graphKlines) },
  '/api/v1/users/balances': { GET: signed('balances', 'balances', balances) },
  '/api/v1/users/transactions/trade': { GET: signed('user-trades', 'user-trades', userTrades) },
  '/api/v1/users/transactions/crypto': {
    GET: signed('movements', 'crypto', (venue, account, request) =>
      movements(venue, account, request, 'CRYPTO'),
    ),
  },
  '/api/v1/users/transactions/fiat': {
    GET: signed('movements', 'fiat', (venue, account, request) => movements(venue, account, request, 'FIAT')),
  },
  '/api/v1/openorders': { GET: signed('open-orders', 'open-orders', openOrders) },
  '/api/v1/allorders': { GET: signed('all-orders', 'all-orders', allOrders) },
  '/api/v1/order': {
    POST: signed('submit', 'submit', submitOrder),
    DELETE: signed('cancel', 'cancel', cancelOrder),
  },
};

const SINGLE_ORDER = /^\/api\/v1\/order\/([^/]+)$/;
const SINGLE_ORDER_VERBS: Readonly<Record<string, Endpoint>> = {
  GET: signed('order', 'order', (venue, account, request) =>
    singleOrder(venue, account, SINGLE_ORDER.exec(request.path.toLowerCase())?.[1] ?? ''),
  ),
};

/** After this many refused signatures in a row an address is shut out (protocol section 3.2). */
const MOST_REFUSALS = 50;
const CORS = { 'access-control-allow-origin': '*' };

/** Takes a request in: faults first, then the answer, then the faults of replies. */
export const handleRequest = (venue: VenueState, request: HttpRequest): void => {
  const path = request.path.toLowerCase();
  if (path.startsWith('/admin/')) {
    reply(venue, request, handleAdmin(venue, request), 0);
    return;
  }
  const verbs = ENDPOINTS[path] ?? (SINGLE_ORDER.test(path) ? SINGLE_ORDER_VERBS : undefined);
  if (verbs === undefined) {
    reply(venue, request, { status: 404, headers: {}, body: '' }, 0);
    return;
  }
  const endpoint = verbs[request.method];
  if (endpoint === undefined) {
    reply(venue, request, { status: 405, headers: { allow: Object.keys(verbs).join(', ') }, body: '' }, 0);
    return;
  }
  const site: FaultSite = { request: endpoint.kind };
  if (strikes(venue.faults, 'hang', site) !== undefined) return;
  if (strikes(venue.faults, 'reset-before', site) !== undefined) {
    venue.effects.push({ type: 'reset-request', requestId: request.requestId });
    return;
  }
  const late = endpoint.kind === 'submit' ? strikes(venue.faults, 'late-accept', site) : undefined;
  if (late !== undefined) {
    later(venue, numberOf(late), { type: 'late-request', request });
    return;
  }
  respond(venue, request, endpoint, 'now');
};

/** A request that was left lying is looked at: its signature was good when it came. */
export const handleLateRequest = (venue: VenueState, request: HttpRequest): void => {
  const endpoint = ENDPOINTS[request.path.toLowerCase()]?.[request.method];
  if (endpoint !== undefined) respond(venue, request, endpoint, 'late');
};

const respond = (venue: VenueState, request: HttpRequest, endpoint: Endpoint, when: 'now' | 'late'): void => {
  const site: FaultSite = { request: endpoint.kind };
  const refused = when === 'late' ? undefined : refusedByFault(venue, site);
  if (refused !== undefined) {
    reply(venue, request, refused, venue.config.latency.replyMs);
    return;
  }
  const answer = answerOf(venue, request, endpoint, when);
  const slow = strikes(venue.faults, 'slow-replies', site);
  const waitMs = venue.config.latency.replyMs + (slow === undefined ? 0 : numberOf(slow));
  const write = endpoint.kind === 'submit' || endpoint.kind === 'cancel';
  const accepted = write && answer.status === 200;
  if (accepted && strikes(venue.faults, 'accept-then-timeout', site) !== undefined) return;
  if (accepted && strikes(venue.faults, 'accept-then-reset', site) !== undefined) {
    emitLater(venue, { type: 'reset-request', requestId: request.requestId }, waitMs);
    return;
  }
  reply(
    venue,
    request,
    accepted ? spoiled(venue, site, answer) : answer,
    waitMs,
    endpoint.access === 'public',
  );
};

const answerOf = (
  venue: VenueState,
  request: HttpRequest,
  endpoint: Endpoint,
  when: 'now' | 'late',
): HttpReply => {
  if (endpoint.access === 'public') {
    const exceeded = when === 'late' ? undefined : overBudget(venue, endpoint, request.ip, null);
    return exceeded ?? endpoint.answer(venue, request);
  }
  if (venue.config.authentication === 'skip' || when === 'late') {
    const account =
      venue.accounts.get(request.headers['x-pck'] ?? '') ?? venue.accounts.values().next().value;
    if (account === undefined) return unauthorized('Unauthorized - Invalid Public key', false);
    const exceeded = when === 'late' ? undefined : overBudget(venue, endpoint, request.ip, account);
    return exceeded ?? endpoint.answer(venue, account, request);
  }
  const refusals = venue.refusals.get(request.ip) ?? 0;
  if (refusals > MOST_REFUSALS) return gatewayPage(403);
  const separate = faultOn(venue.faults, 'separate-keys') !== undefined;
  const verdict = checkRequest(request.headers, venue.accounts, serverMs(venue), separate);
  if (!verdict.ok) {
    venue.refusals.set(request.ip, refusals + 1);
    return unauthorized(verdict.message, faultOn(venue.faults, 'success-on-401') !== undefined);
  }
  venue.refusals.delete(request.ip);
  return (
    overBudget(venue, endpoint, request.ip, verdict.account) ??
    endpoint.answer(venue, verdict.account, request)
  );
};

const overBudget = (
  venue: VenueState,
  endpoint: Endpoint,
  ip: string,
  account: Account | null,
): HttpReply | undefined => {
  if (faultOn(venue.faults, 'no-rate-limits') !== undefined) return undefined;
  const nowMs = venue.now.monoMs;
  const subjects = account === null ? [`ip ${ip}`] : [`account ${account.apiKey}`, `ip ${ip}`];
  const counted = [
    ...(endpoint.kind === 'graph' ? [countRequest(venue.rateWindows, 'graph', `ip ${ip}`, nowMs)] : []),
    ...(endpoint.budget === null
      ? []
      : subjects.map(subject => countRequest(venue.rateWindows, endpoint.budget!, subject, nowMs))),
  ];
  const exceeded = counted.find(verdict => verdict !== undefined);
  if (exceeded === undefined) return undefined;
  return {
    status: 429,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'retry-after': String(Math.ceil(exceeded.retryAfterMs / 1_000)),
    },
    body: tooManyRequests(exceeded),
  };
};

/** Faults that answer in place of the venue; nothing has been done then. */
const refusedByFault = (venue: VenueState, site: FaultSite): HttpReply | undefined => {
  const page = strikes(venue.faults, 'html-5xx', site);
  if (page !== undefined) return gatewayPage(numberOf(page));
  if (strikes(venue.faults, 'forbidden', site) !== undefined) return gatewayPage(403);
  const limited = strikes(venue.faults, 'rate-limit', site);
  if (limited !== undefined) return stormReply(venue, limited);
  const denied = strikes(venue.faults, 'unauthorized', site);
  if (denied?.value !== undefined && denied.value !== null)
    return unauthorized(denied.value, faultOn(venue.faults, 'success-on-401') !== undefined);
  return undefined;
};

/** What becomes of the reply to a submit or cancel that was carried out. */
const spoiled = (venue: VenueState, site: FaultSite, answer: HttpReply): HttpReply => {
  const page = strikes(venue.faults, 'accept-then-5xx', site);
  if (page !== undefined) return gatewayPage(numberOf(page));
  const limited = strikes(venue.faults, 'accept-then-429', site);
  if (limited !== undefined) return stormReply(venue, limited);
  if (strikes(venue.faults, 'accept-then-garbage', site) !== undefined)
    return { ...answer, body: answer.body.slice(0, Math.ceil(answer.body.length / 2)) };
  return answer;
};

/** A 429 with each form of Retry-After that a client may meet. */
const stormReply = (venue: VenueState, spec: FaultSpec): HttpReply => {
  const [form = 'seconds', argument = '1'] = (spec.value ?? 'seconds:1').split(':');
  const at = (ms: number): string => new Date(serverMs(venue) + ms).toUTCString();
  const forms: Readonly<Record<string, string | undefined>> = {
    seconds: argument,
    date: at(5_000),
    missing: undefined,
    zero: '0',
    negative: '-5',
    fraction: '1.5',
    garbage: 'soon',
    huge: '99999999999',
    text: '',
  };
  const retryAfter = Object.hasOwn(forms, form) ? forms[form] : argument;
  return json(
    429,
    { success: false, message: 'TOO_MANY_REQUESTS', code: 429 },
    retryAfter === undefined ? {} : { 'retry-after': retryAfter },
  );
};

const reply = (
  venue: VenueState,
  request: HttpRequest,
  answer: HttpReply,
  waitMs: number,
  crossOrigin = false,
): void => {
  const headers = crossOrigin ? { ...answer.headers, ...CORS } : answer.headers;
  emitLater(venue, { type: 'reply', requestId: request.requestId, ...answer, headers }, waitMs);
};

const emitLater = (venue: VenueState, effect: VenueEffect, waitMs: number): void => {
  if (waitMs <= 0) venue.effects.push(effect);
  else later(venue, waitMs, { type: 'effect', effect });
};
