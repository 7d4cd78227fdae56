/**
 * Everything the embedded exchange can be told to do wrong, or differently: one table. Faults are off until set;
 * switches choose between readings of an undecided point (protocol section 13.1). Both are set at start or at run
 * time, with an optional probability (drawn from a seeded stream), a number of times, a symbol and a kind of request.
 */
import { distance } from 'fastest-levenshtein';
import { type Random, uniform } from './random.js';

interface FaultDescription {
  readonly kind: 'request' | 'order' | 'account' | 'socket' | 'switch';
  readonly about: string;
  /** What the value means; null when there is none. */
  readonly value: string | null;
  /** The value used when none is given. */
  readonly default?: string;
}

/** The table: name, what it does, its value. */
export const FAULTS = {
  // Requests: `on` narrows them to some.
  hang: { kind: 'request', about: 'the request is never looked at and never answered', value: null },
  'slow-replies': {
    kind: 'request',
    about: 'the reply waits; frames about the same order overtake it',
    value: 'milliseconds',
    default: '1000',
  },
  'html-5xx': {
    kind: 'request',
    about: 'a gateway page instead of an answer; nothing was done',
    value: '500, 502, 503 or 504',
    default: '502',
  },
  forbidden: { kind: 'request', about: 'a 403 challenge page; nothing was done', value: null },
  'rate-limit': {
    kind: 'request',
    about: 'a 429; nothing was done. The value says what Retry-After looks like',
    value: 'seconds[:N], date, missing, zero, negative, fraction, garbage, huge or text',
    default: 'seconds:1',
  },
  unauthorized: {
    kind: 'request',
    about: 'a 401 with this message (`empty` for no body)',
    value: 'message',
    default: 'Unauthorized - Invalid Nonce',
  },
  maintenance: {
    kind: 'request',
    about: 'the exchange or the pair is closed for maintenance',
    value: 'SYSTEM_UNDER_MAINTENANCE, ORDER_INSERT_BLOCKED or ORDER_CANCEL_BLOCKED',
    default: 'SYSTEM_UNDER_MAINTENANCE',
  },
  reject: {
    kind: 'request',
    about: 'the submit is refused with this documented message',
    value: 'message',
    default: 'FAILED_LIMIT_ORDER',
  },
  'reset-before': { kind: 'request', about: 'the connection is reset; nothing was done', value: null },
  'accept-then-timeout': {
    kind: 'request',
    about: 'a submit or cancel is carried out, the reply never comes',
    value: null,
  },
  'accept-then-reset': {
    kind: 'request',
    about: 'a submit or cancel is carried out, then the connection is reset',
    value: null,
  },
  'accept-then-5xx': {
    kind: 'request',
    about: 'a submit or cancel is carried out, the reply is a gateway page',
    value: '500, 502, 503 or 504',
    default: '504',
  },
  'accept-then-429': {
    kind: 'request',
    about: 'a submit or cancel is carried out, the reply is a 429',
    value: 'as rate-limit',
    default: 'seconds:1',
  },
  'accept-then-garbage': {
    kind: 'request',
    about: 'a submit or cancel is carried out, the reply is half a JSON text',
    value: null,
  },
  'late-accept': {
    kind: 'request',
    about: 'a submit is looked at and answered only after a while',
    value: 'milliseconds',
    default: '30000',
  },
  // Orders.
  'insufficient-after-fill': {
    kind: 'order',
    about: 'FAILED_ORDER_WITH_OPEN_ORDERS for a while after a fill or a cancel of the account',
    value: 'milliseconds',
    default: '150',
  },
  'cancel-refused': {
    kind: 'order',
    about: 'ORDER_COULD_NOT_BE_CANCELED although it could be',
    value: null,
  },
  'cancel-late': {
    kind: 'order',
    about: 'a cancel is carried out late',
    value: 'milliseconds',
    default: '5000',
  },
  'cancel-lost': {
    kind: 'order',
    about: 'a cancel is answered with success and never carried out',
    value: null,
  },
  'cancel-overtaken': {
    kind: 'order',
    about: 'the order fills completely before its cancel is carried out',
    value: null,
  },
  'stuck-order': { kind: 'order', about: 'an accepted order never enters the book', value: null },
  // What an account's reads show.
  'stale-balances': {
    kind: 'account',
    about: 'balances are shown as they were',
    value: 'milliseconds',
    default: '5000',
  },
  'stale-open-orders': {
    kind: 'account',
    about: 'open orders are shown as they were',
    value: 'milliseconds',
    default: '5000',
  },
  'empty-trades': { kind: 'account', about: 'the list of user trades is empty', value: null },
  'late-trades': {
    kind: 'account',
    about: 'user trades are listed late',
    value: 'milliseconds',
    default: '3000',
  },
  'wrong-balance': {
    kind: 'account',
    about: 'this is added to every total and free balance shown',
    value: 'amount',
    default: '1',
  },
  // The socket.
  'handshake-refused': {
    kind: 'socket',
    about: 'the WebSocket handshake is refused',
    value: '403, 429 or 503',
    default: '503',
  },
  'reconnect-storm': {
    kind: 'socket',
    about: 'a connection is taken and closed again',
    value: 'milliseconds',
    default: '50',
  },
  'no-version': { kind: 'socket', about: 'no 991 after the connect', value: null },
  'no-ping': { kind: 'socket', about: 'the server sends no pings', value: null },
  'login-refused': {
    kind: 'socket',
    about: 'the login is refused with this message',
    value: 'message',
    default: 'Unauthorized - Invalid Nonce',
  },
  'silent-stall': {
    kind: 'socket',
    about: 'sockets stay open and say nothing more, pings aside',
    value: null,
  },
  'stalled-channel': {
    kind: 'socket',
    about: 'one channel falls silent',
    value: 'obdiff, orderbook, trade, ticker or tradeview',
    default: 'obdiff',
  },
  'cs-gap': { kind: 'socket', about: 'a 432 is lost', value: null },
  'cs-repeat': { kind: 'socket', about: 'a 432 is sent twice', value: null },
  'late-full-book': { kind: 'socket', about: 'a 431 is sent in the middle of the 432s', value: null },
  'missing-delete': { kind: 'socket', about: 'a 432 leaves out its deletions', value: null },
  'crossed-book': {
    kind: 'socket',
    about: 'a 432 shows a bid above the best ask',
    value: null,
  },
  'corrupt-frame': { kind: 'socket', about: 'a frame is half a JSON text', value: null },
  'drop-private': {
    kind: 'socket',
    about: 'private frames of these models are lost',
    value: 'models, joined with +',
    default: '201+423+441+451+452',
  },
  'mute-after-relogin': {
    kind: 'socket',
    about: 'after an account logs in again, 441, 451 and 452 stop while 201 and 423 go on',
    value: null,
  },
  'duplicate-423': { kind: 'socket', about: 'a 423 is sent twice', value: null },
  'late-423': { kind: 'socket', about: 'a 423 comes late', value: 'milliseconds', default: '3000' },
  'wrong-441-amount': {
    kind: 'socket',
    about: 'a 441 shows a wrong amount',
    value: 'factor',
    default: '1.1875',
  },
  'abrupt-drop': { kind: 'socket', about: 'every socket is cut without a close frame, once', value: null },
  // Switches.
  'comma-balances': { kind: 'switch', about: 'balances have decimal commas', value: null },
  'success-on-401': { kind: 'switch', about: '401 bodies say success:true', value: null },
  'string-code': { kind: 'switch', about: 'the order book says code:"SUCCESS"', value: null },
  'small-ids': {
    kind: 'switch',
    about: 'user trade ids below 2^53, for clients that cannot read larger ones',
    value: null,
  },
  'no-http-status-code': { kind: 'switch', about: 'submit replies have no httpStatusCode', value: null },
  'strict-klines': { kind: 'switch', about: 'klines refuse a negative `from`', value: null },
  'no-market-methods': {
    kind: 'switch',
    about: 'market orders are closed: 1134',
    value: null,
  },
  'market-remainder-rests': {
    kind: 'switch',
    about: 'the unfilled part of a market sell rests at its last permitted price',
    value: null,
  },
  'no-451-when-immediate': {
    kind: 'switch',
    about: 'no 451 for an order that trades completely at once',
    value: null,
  },
  '452-after-fill': { kind: 'switch', about: 'a 452 also after a complete fill', value: null },
  'list-oldest-first': { kind: 'switch', about: 'lists run from old to new', value: null },
  'no-self-trade': {
    kind: 'switch',
    about: 'an order that would trade with its own account is refused',
    value: null,
  },
  'separate-keys': {
    kind: 'switch',
    about: 'a key made for the socket signs no request, and no other key logs in',
    value: null,
  },
  'second-login-refused': { kind: 'switch', about: 'a second login on a socket is refused', value: null },
  'stop-trigger': {
    kind: 'switch',
    about: 'what triggers a stop',
    value: 'last or touch',
    default: 'last',
  },
  'remainder-pays-taker': {
    kind: 'switch',
    about: 'an order that took liquidity at first pays the taker rate for its resting part too',
    value: null,
  },
  'no-rate-limits': { kind: 'switch', about: 'the limits of section 8 are not enforced', value: null },
  'clock-skew': {
    kind: 'switch',
    about: 'the server clock is ahead of the real one (negative: behind)',
    value: 'milliseconds',
    default: '10000',
  },
} as const satisfies Record<string, FaultDescription>;

export type FaultName = keyof typeof FAULTS;

/** Kinds of request that `on` may name; the last ones are groups. */
export const REQUEST_KINDS = [
  'submit',
  'cancel',
  'order',
  'open-orders',
  'all-orders',
  'balances',
  'user-trades',
  'movements',
  'public',
  'graph',
] as const;
export type RequestKind = (typeof REQUEST_KINDS)[number];
const GROUPS: Readonly<Record<string, readonly RequestKind[]>> = {
  writes: ['submit', 'cancel'],
  reads: ['order', 'open-orders', 'all-orders', 'balances', 'user-trades', 'movements', 'public', 'graph'],
  private: ['submit', 'cancel', 'order', 'open-orders', 'all-orders', 'balances', 'user-trades', 'movements'],
  all: REQUEST_KINDS,
};

/** A fault as it was asked for. */
export interface FaultSpec {
  readonly name: FaultName;
  readonly value: string | null;
  /** A request kind or group; null for every request the fault can concern. */
  readonly on: string | null;
  readonly symbol: string | null;
  /** Chance that it strikes when it could, 0 to 1. */
  readonly probability: number;
  /** How often it strikes before it is over; null for always. */
  readonly count: number | null;
}

/** The faults that are on. */
export interface FaultBoard {
  readonly active: { readonly spec: FaultSpec; left: number | null; struck: number }[];
  readonly random: Random;
}

/** A fault that cannot be set; the message says what to write instead. */
export class FaultError extends Error {
  override readonly name = 'FaultError';
}

export const emptyFaultBoard = (random: Random): FaultBoard => ({ active: [], random });

/**
 * Reads `name[=value][,on=submit][,symbol=BTCTRY][,probability=0.2][,count=3]`.
 * @throws FaultError
 */
export const parseFault = (text: string): FaultSpec => {
  const [head = '', ...options] = text.split(',');
  const [name = '', ...rest] = head.split('=');
  const spec: Record<string, string> = {};
  for (const option of options) {
    const [key = '', ...value] = option.split('=');
    spec[key.trim()] = value.join('=').trim();
  }
  return faultFrom({
    name: name.trim(),
    ...(rest.length > 0 ? { value: rest.join('=').trim() } : {}),
    ...spec,
  });
};

/**
 * Checks a fault given as fields (the admin endpoint's JSON); numbers may be text.
 * @throws FaultError
 */
export const faultFrom = (fields: Readonly<Record<string, unknown>>): FaultSpec => {
  const { name, value, on, symbol, probability, count, ...unknown } = fields;
  const description = typeof name === 'string' ? describe(name) : undefined;
  if (typeof name !== 'string' || description === undefined)
    throw new FaultError(`no fault is called ${JSON.stringify(name)}${suggestion(String(name))}`);
  const extra = Object.keys(unknown)[0];
  if (extra !== undefined)
    throw new FaultError(
      `fault ${name}: unknown option ${extra}; use value, on, symbol, probability or count`,
    );
  const given = value === undefined || value === null ? null : String(value);
  if (given !== null && description.value === null) throw new FaultError(`fault ${name} takes no value`);
  const numeric = description.value === 'milliseconds' || description.value === 'factor';
  if (given !== null && numeric && !Number.isFinite(Number(given === '' ? 'nothing' : given)))
    throw new FaultError(`fault ${name}: ${given} is not a number of ${description.value}`);
  if (on !== undefined && on !== null && !isRequestGroup(String(on)))
    throw new FaultError(
      `fault ${name}: on=${on} is not one of ${[...REQUEST_KINDS, ...Object.keys(GROUPS)].join(', ')}`,
    );
  const chance = probability === undefined || probability === null ? 1 : Number(probability);
  if (!(chance > 0 && chance <= 1))
    throw new FaultError(`fault ${name}: probability is above 0 and at most 1`);
  const times = count === undefined || count === null ? null : Number(count);
  if (times !== null && !(Number.isInteger(times) && times > 0))
    throw new FaultError(`fault ${name}: count is a whole number above 0`);
  return {
    name: name as FaultName,
    value: given ?? description.default ?? null,
    on: on === undefined || on === null ? null : String(on),
    symbol: symbol === undefined || symbol === null ? null : String(symbol),
    probability: chance,
    count: times,
  };
};

/** Sets a fault; one of the same name, kind of request and symbol is replaced. */
export const setFault = (board: FaultBoard, spec: FaultSpec): void => {
  const same = board.active.findIndex(
    ({ spec: other }) => other.name === spec.name && other.on === spec.on && other.symbol === spec.symbol,
  );
  if (same !== -1) board.active.splice(same, 1);
  board.active.push({ spec, left: spec.count, struck: 0 });
};

/** Ends a fault by name, or all of them. */
export const clearFaults = (board: FaultBoard, name?: string): void => {
  for (let index = board.active.length - 1; index >= 0; index--)
    if (name === undefined || board.active[index]?.spec.name === name) board.active.splice(index, 1);
};

/** Whether a fault or switch is on, without using it up. */
export const faultOn = (board: FaultBoard, name: FaultName): FaultSpec | undefined =>
  board.active.length === 0 ? undefined : board.active.find(({ spec }) => spec.name === name)?.spec;

/** Where a fault might strike. */
export interface FaultSite {
  readonly request?: RequestKind;
  readonly symbol?: string;
}

/** Decides whether the fault strikes here and now; uses up one of its times when it does. */
export const strikes = (board: FaultBoard, name: FaultName, site: FaultSite = {}): FaultSpec | undefined => {
  if (board.active.length === 0) return undefined;
  for (const fault of board.active) {
    const { spec } = fault;
    if (spec.name !== name || fault.left === 0) continue;
    if (spec.symbol !== null && spec.symbol !== site.symbol) continue;
    if (spec.on !== null && site.request !== undefined && !concerns(spec.on, site.request)) continue;
    if (spec.probability < 1 && uniform(board.random) >= spec.probability) continue;
    if (fault.left !== null) fault.left -= 1;
    fault.struck += 1;
    return spec;
  }
  return undefined;
};

/** A fault's value as a number; faults with numeric values are checked when they are set. */
export const numberOf = (spec: FaultSpec): number => Number(spec.value ?? 0);

const describe = (name: string): FaultDescription | undefined =>
  Object.hasOwn(FAULTS, name) ? FAULTS[name as FaultName] : undefined;

const isRequestGroup = (on: string): boolean =>
  Object.hasOwn(GROUPS, on) || (REQUEST_KINDS as readonly string[]).includes(on);

const concerns = (on: string, request: RequestKind): boolean =>
  on === request || (GROUPS[on]?.includes(request) ?? false);

const suggestion = (name: string): string => {
  const nearest = Object.keys(FAULTS)
    .map(candidate => ({ candidate, edits: distance(candidate, name) }))
    .sort((left, right) => left.edits - right.edits)[0];
  return nearest !== undefined && nearest.edits <= 5
    ? `; did you mean ${nearest.candidate}?`
    : '; `btcbot exchange --list-faults` shows them';
};
