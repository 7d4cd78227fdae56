/**
 * What replies mean: a read's answer, a write's outcome. Pure, so that the simulator and the tests use the same code
 * as the sockets. Reading order: HTTP status, is the body JSON, `success`, `message`, `code` (protocol section 2.1).
 */
import type { z } from 'zod';
import type { Instrument } from '../domain/instrument.js';
import { MoneyError, parseDecimal } from '../domain/money.js';
import type { Fill, UnknownCause } from '../domain/order.js';
import type {
  CancelOutcome,
  OrderReport,
  ReadFailure,
  ReadResult,
  SubmitOutcome,
  VenueWrite,
} from '../domain/venue-port.js';
import { isRecord, lowerPascalCase, parseJson } from './json.js';
import type { BtcturkAnswers, BtcturkRead } from './market-reads.js';
import { type OutcomeEvidence, type Verdict, verdictOn } from './outcome.js';
import { retryAfterMs } from './retry-after.js';
import {
  TranslationError,
  toBalance,
  toBook,
  toCandles,
  toCashMovement,
  toDailyCandles,
  toDayTicker,
  toFill,
  toInstrument,
  toOrderReport,
  toPublicTrades,
} from './translate.js';
import {
  VenueBalances,
  VenueCandles,
  VenueCashRows,
  VenueDailyRows,
  VenueDayTicker,
  VenueDayTickers,
  VenueEnvelope,
  VenueExchangeInfo,
  VenueOpenOrders,
  VenueOrder,
  VenueOrderBook,
  VenueOrders,
  VenuePublicTrades,
  VenueServerTime,
  VenueSubmitted,
  VenueSymbol,
  VenueTickers,
  VenueUserTrades,
} from './wire.js';

/** What came back for one request. */
export type HttpReply =
  | {
      readonly type: 'response';
      readonly status: number;
      /** Names in lower case. */
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
    }
  /** The bytes left and no usable response came. */
  | {
      readonly type: 'no-response';
      readonly cause: 'timeout' | 'disconnect' | 'unreadable';
      readonly detail: string;
    }
  /** Nothing left. */
  | { readonly type: 'not-sent'; readonly reason: string };

/** The venue's word taken apart; null where the body was no envelope. */
interface Opened {
  readonly evidence: OutcomeEvidence;
  readonly code: string;
  readonly payload: unknown;
}

/**
 * The outcome of a submit. Confirmed needs an order id and an acknowledgement that names our label, pair and side
 * where it names any: ids of other orders have been seen in replies (protocol section 5.8).
 */
export const submitOutcome = (
  write: Extract<VenueWrite, { readonly type: 'submit' }>,
  reply: HttpReply,
): SubmitOutcome => {
  const opened = openReply(reply);
  const { verdict } = verdictOn('submit', opened.evidence);
  if (verdict !== 'accepted') return refusedOutcome(verdict, opened, reply);
  const submitted = VenueSubmitted.safeParse(opened.payload);
  if (!submitted.success || /^0*$/.test(submitted.data.id)) return { type: 'unknown', cause: 'unreadable' };
  const { id, newOrderClientId, pairSymbol, type } = submitted.data;
  const isOurs =
    (newOrderClientId === null || newOrderClientId === write.clientOrderId) &&
    (pairSymbol === undefined || pairSymbol === write.terms.symbol) &&
    (type === undefined || type === write.terms.side);
  return isOurs ? { type: 'confirmed', venueOrderId: id } : { type: 'unknown', cause: 'unrecognised' };
};

/** The outcome of a cancel; the venue's 200 only means that it is queued (protocol section 5.9). */
export const cancelOutcome = (reply: HttpReply): CancelOutcome => {
  const opened = openReply(reply);
  const { verdict } = verdictOn('cancel', opened.evidence);
  return verdict === 'accepted' ? { type: 'queued' } : refusedOutcome(verdict, opened, reply);
};

type NotAccepted = Extract<SubmitOutcome, { readonly type: 'rejected' | 'denied' | 'unknown' }>;

const refusedOutcome = (
  verdict: Exclude<Verdict, 'accepted'>,
  opened: Opened,
  reply: HttpReply,
): NotAccepted => {
  if (verdict === 'rejected')
    return { type: 'rejected', reason: opened.evidence.message || 'Unauthorized', code: opened.code };
  if (verdict === 'denied')
    return { type: 'denied', reason: reply.type === 'not-sent' ? reply.reason : 'not sent' };
  return verdict.unknown === 'rate-limited' && reply.type === 'response'
    ? { type: 'unknown', cause: 'rate-limited', retryAfterMs: retryAfterMs(reply.headers, true) }
    : {
        type: 'unknown',
        cause: verdict.unknown,
        ...(opened.evidence.message === 'SYSTEM_UNDER_MAINTENANCE'
          ? { closed: opened.evidence.message }
          : {}),
      };
};

/** Takes a reply apart for the outcome table. Never throws. */
const openReply = (reply: HttpReply): Opened => {
  const none = { status: null, success: null, message: null, bodyIsEmpty: false };
  if (reply.type === 'not-sent')
    return { evidence: { transport: 'not-sent', ...none }, code: '', payload: undefined };
  if (reply.type === 'no-response')
    return { evidence: { transport: reply.cause, ...none }, code: '', payload: undefined };
  const response = { transport: 'response', status: reply.status } as const;
  const bodyIsEmpty = reply.body.trim() === '';
  const envelope = readEnvelope(reply.body);
  if (envelope === undefined)
    return {
      evidence: { ...response, success: null, message: null, bodyIsEmpty },
      code: String(reply.status),
      payload: undefined,
    };
  return {
    evidence: {
      ...response,
      success: envelope.success,
      message: envelope.message ?? '',
      bodyIsEmpty,
    },
    code: String(envelope.code ?? reply.status),
    payload: envelope.data,
  };
};

const readEnvelope = (body: string): VenueEnvelope | undefined => {
  const parsed = parseJson(body);
  if (!parsed.ok) return undefined;
  const envelope = VenueEnvelope.safeParse(lowerPascalCase(parsed.value));
  return envelope.success ? envelope.data : undefined;
};

/** When and how long a read was: its answer carries both. */
export interface ReadTiming {
  readonly tookMs: number;
  /** Unix ms at which the reply arrived; stands in where the venue gives no time. */
  readonly receivedAtMs: number;
}

type AnswerOf<C extends BtcturkRead> = BtcturkAnswers[C['type']];

/**
 * The answer to a read, from the replies to the requests of `buildRead`, in their order. A reply that cannot be read
 * in full has no answer: half a list would be a wrong list. Never throws.
 */
export const readAnswer = <C extends BtcturkRead>(
  call: C,
  replies: readonly HttpReply[],
  timing: ReadTiming,
): ReadResult<AnswerOf<C>> => {
  const { tookMs } = timing;
  const repeated = REPEATED.has(call.type) ? lastAnswer(call, replies) : null;
  if (repeated !== null && repeated.value !== null)
    return { ok: true, value: repeated.value as AnswerOf<C>, tookMs };
  const payloads: unknown[] = [];
  for (const reply of replies) {
    const read = readPayload(reply, BARE.has(call.type));
    if (!read.ok && call.type === 'order' && isOrderNotFound(read.failure))
      return { ok: true, value: { order: null } as AnswerOf<C>, tookMs };
    if (!read.ok && call.type === 'open-orders' && isPairGone(read.failure))
      return { ok: true, value: { orders: [], pairGone: true } as unknown as AnswerOf<C>, tookMs };
    if (!read.ok) return { ok: false, failure: read.failure, tookMs };
    payloads.push(read.payload);
  }
  try {
    const value = answerFrom(call, payloads, timing);
    if (repeated !== null) repeated.value = value;
    return { ok: true, value: value as AnswerOf<C>, tookMs };
  } catch (error) {
    if (error instanceof UnreadableError || error instanceof TranslationError || error instanceof MoneyError)
      return { ok: false, failure: unreadable(error.message), tookMs };
    throw error;
  }
};

/**
 * Lists that follow from their text alone and mostly say again what they said before: the last text of each is not read
 * a second time. The answer is the same object then; nobody changes an answer.
 */
const REPEATED: ReadonlySet<BtcturkRead['type']> = new Set([
  'open-orders',
  'all-orders',
  'trades',
  'cash-movements',
]);

interface LastAnswer {
  readonly bodies: readonly string[];
  /** Null until it has been read. */
  value: BtcturkAnswers[BtcturkRead['type']] | null;
}

const lastAnswers = new Map<string, LastAnswer>();

/** What is remembered of these texts; null unless each is the body of a 200. */
const lastAnswer = (call: BtcturkRead, replies: readonly HttpReply[]): LastAnswer | null => {
  const bodies: string[] = [];
  for (const reply of replies) {
    if (reply.type !== 'response' || reply.status !== 200) return null;
    bodies.push(reply.body);
  }
  const key = 'symbol' in call ? `${call.type} ${call.symbol}` : call.type;
  const last = lastAnswers.get(key);
  if (last?.bodies.length === bodies.length && last.bodies.every((body, index) => body === bodies[index]))
    return last;
  const next: LastAnswer = { bodies, value: null };
  lastAnswers.set(key, next);
  return next;
};

/** Replies without an envelope (protocol section 2.1). */
const BARE: ReadonlySet<BtcturkRead['type']> = new Set(['server-time', 'candles', 'daily-candles']);

type Payload =
  | { readonly ok: true; readonly payload: unknown }
  | { readonly ok: false; readonly failure: ReadFailure };

const readPayload = (reply: HttpReply, bare: boolean): Payload => {
  if (reply.type === 'not-sent')
    return failed({ type: 'unavailable', cause: 'disconnect', detail: reply.reason });
  if (reply.type === 'no-response')
    return failed({ type: 'unavailable', cause: reply.cause, detail: reply.detail });
  const { status } = reply;
  if (bare && status === 200) return readBare(reply.body);
  const envelope = readEnvelope(reply.body);
  const message = envelope?.message ?? '';
  if (status === 200) {
    if (envelope === undefined) return failed(unreadable('the body is not the JSON of an envelope'));
    if (!envelope.success)
      return failed({
        type: 'refused',
        message: message || 'no reason given',
        code: String(envelope.code ?? ''),
      });
    return { ok: true, payload: envelope.data };
  }
  if (status === 401) return failed({ type: 'unauthorized', message: message || 'Unauthorized' });
  if (status === 429)
    return failed({ type: 'rate-limited', retryAfterMs: retryAfterMs(reply.headers, false) });
  if (status >= 400 && status <= 499)
    return failed({
      type: 'refused',
      message: message || `HTTP ${status}`,
      code: String(envelope?.code ?? status),
    });
  const cause: UnknownCause = status >= 500 && status <= 599 ? 'server-error' : 'unrecognised';
  return failed({
    type: 'unavailable',
    cause,
    detail: `HTTP ${status}${message === '' ? '' : `: ${message}`}`,
  });
};

const readBare = (body: string): Payload => {
  const parsed = parseJson(body);
  return parsed.ok ? { ok: true, payload: parsed.value } : failed(unreadable(parsed.problem));
};

const failed = (failure: ReadFailure): Payload => ({ ok: false, failure });
const unreadable = (detail: string): ReadFailure => ({ type: 'unavailable', cause: 'unreadable', detail });

/** The venue's word that an id does not exist: the text alone counts, under any 4xx (sections 5.7 and 14 row 18). */
const isOrderNotFound = (failure: ReadFailure): boolean =>
  failure.type === 'refused' && failure.message === 'Order not found';

/**
 * The venue's word that it has no such pair (section 4.4), as for one that was delisted: nothing rests there, and the other
 * pairs must not wait for its list. What became of an order of ours, a read of the order says.
 */
const isPairGone = (failure: ReadFailure): boolean =>
  failure.type === 'refused' && /^Pair \S+ does not exists\.$/.test(failure.message);

/** A payload that is not what its endpoint answers. */
class UnreadableError extends Error {
  override readonly name = 'UnreadableError';
}

const as = <S extends z.ZodType>(schema: S, payload: unknown): z.output<S> => {
  const parsed = schema.safeParse(payload);
  if (parsed.success) return parsed.data;
  throw new UnreadableError(problemsOf(parsed.error));
};

/** The first problems of a schema, with where they are: `data.3.leftAmount: Invalid input`. */
const problemsOf = (error: z.ZodError): string =>
  error.issues
    .slice(0, 3)
    .map(issue => `data.${issue.path.join('.')}: ${issue.message}`.slice(0, 120))
    .join('; ');

const answerFrom = (
  call: BtcturkRead,
  payloads: readonly unknown[],
  timing: ReadTiming,
): BtcturkAnswers[BtcturkRead['type']] => {
  const [payload] = payloads;
  switch (call.type) {
    case 'server-time':
      return { serverMs: as(VenueServerTime, payload).serverTime };
    case 'instruments':
      return instrumentsFrom(payload, call.symbols);
    case 'ticker': {
      const row = as(VenueTickers, payload).find(ticker => ticker.pair === call.symbol);
      if (row === undefined) return null;
      return {
        symbol: row.pair,
        bid: parseDecimal(row.bid),
        ask: parseDecimal(row.ask),
        last: parseDecimal(row.last),
      };
    }
    case 'day-tickers':
      return {
        tickers: as(VenueDayTickers, payload).flatMap(row => {
          const ticker = VenueDayTicker.safeParse(row);
          return ticker.success ? [toDayTicker(ticker.data)] : [];
        }),
      };
    case 'order-book':
      return toBook(as(VenueOrderBook, payload));
    case 'public-trades':
      return toPublicTrades(as(VenuePublicTrades, payload));
    case 'candles': {
      const candles = as(VenueCandles, payload);
      return { candles: candles.s === 'ok' ? toCandles(candles) : [] };
    }
    case 'daily-candles':
      return { candles: toDailyCandles(as(VenueDailyRows, payload)) };
    case 'balances': {
      const rows = as(VenueBalances, payload);
      const atMs = Math.max(0, ...rows.map(row => row.timestamp ?? 0));
      return { balances: rows.map(toBalance), atMs: atMs === 0 ? timing.receivedAtMs : atMs };
    }
    case 'open-orders': {
      const { asks, bids } = as(VenueOpenOrders, payload);
      return { orders: sortedReports([...asks, ...bids]) };
    }
    case 'all-orders':
      return { orders: sortedReports(as(VenueOrders, payload)) };
    case 'order':
      return { order: toOrderReport(as(VenueOrder, payload)) };
    case 'trades':
    case 'trades-of-order':
      return { fills: as(VenueUserTrades, payload).map(toFill).sort(byTime) };
    case 'cash-movements': {
      const [crypto, fiat] = payloads;
      const movements = [
        ...as(VenueCashRows, crypto).map(row => toCashMovement(row, 'crypto')),
        ...as(VenueCashRows, fiat).map(row => toCashMovement(row, 'fiat')),
      ];
      return { movements: movements.filter(movement => movement !== undefined) };
    }
  }
};

/**
 * Symbols that cannot be read are named beside the readable ones; if none can be, the whole reply is refused. Of those
 * that are not wanted, one is read when nothing else says whether the list can be.
 */
const instrumentsFrom = (
  payload: unknown,
  wanted: readonly string[] | undefined,
): BtcturkAnswers['instruments'] => {
  const instruments: Instrument[] = [];
  const problems: string[] = [];
  const others: unknown[] = [];
  for (const symbol of as(VenueExchangeInfo, payload).symbols) {
    if (wanted !== undefined && isRecord(symbol) && !wanted.includes(symbol.name as string)) {
      others.push(symbol);
      continue;
    }
    const instrument = instrumentFrom(symbol);
    if (typeof instrument === 'string') problems.push(instrument);
    else instruments.push(instrument);
  }
  if (instruments.length === 0 && !others.some(symbol => typeof instrumentFrom(symbol) !== 'string'))
    throw new UnreadableError(`no readable symbol; ${problems.slice(0, 3).join('; ')}`);
  return { instruments, problems };
};

/** @returns what is wrong with it when it cannot be read */
const instrumentFrom = (symbol: unknown): Instrument | string => {
  const name = isRecord(symbol) && typeof symbol.name === 'string' ? symbol.name.slice(0, 20) : 'a symbol';
  const parsed = VenueSymbol.safeParse(symbol);
  if (!parsed.success) return `${name}: ${problemsOf(parsed.error)}`;
  try {
    return toInstrument(parsed.data);
  } catch (error) {
    if (!(error instanceof TranslationError || error instanceof MoneyError)) throw error;
    return `${name}: ${error.message}`;
  }
};

/** The order of lists is not documented (protocol section 14 row 19): ours is by id, oldest first. */
const sortedReports = (orders: readonly VenueOrder[]): readonly OrderReport[] =>
  orders
    .map(toOrderReport)
    .sort((left, right) => (BigInt(left.venueOrderId) < BigInt(right.venueOrderId) ? -1 : 1));

const byTime = (left: Fill, right: Fill): number => left.executedAtMs - right.executedAtMs;
