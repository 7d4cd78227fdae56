/**
 * What a reply to a write proves, as one table. Order of evidence: HTTP status, then `success`, then the message text;
 * the integer code drifts and decides nothing (protocol sections 0.3 and 7.2). Whatever no row lists is unknown.
 */
import type { UnknownCause } from '../domain/order.js';

/** What a row proves about one kind of write. */
export type Verdict =
  /** Done as far as a reply can say: a submit exists, a cancel is queued. */
  | 'accepted'
  /** The venue refused: nothing exists, or nothing was canceled. */
  | 'rejected'
  /** Nothing left us. */
  | 'denied'
  /** It may have happened. */
  | { readonly unknown: UnknownCause };

/** How far a reply got. `response` has a status; the others ended before one, or in the middle of it. */
export type Transport = 'response' | 'not-sent' | 'timeout' | 'disconnect' | 'unreadable';

export interface OutcomeRow {
  readonly transport: Transport;
  /** Exact status, or a class of them (`5xx`); null when there was none. */
  readonly status: number | '5xx' | null;
  /** `success` of the envelope; null when it does not matter or there is no envelope. */
  readonly success: boolean | null;
  /** Exact message texts, a prefix ending in `…`, `empty-body`, or `any`. */
  readonly messages: readonly string[] | 'any' | 'empty-body';
  readonly submit: Verdict;
  readonly cancel: Verdict;
  /** Where the rule comes from. */
  readonly source: string;
}

const UNRECOGNISED: Verdict = { unknown: 'unrecognised' };
const SERVER_ERROR: Verdict = { unknown: 'server-error' };

/** Texts of success (section 2.1); null is written as an empty text. */
const SUCCESS_TEXTS = ['', 'SUCCESS', 'OK'] as const;

/** Refusals of a submit: validation and business rules, checked before anything is queued (sections 6.2, 7.2, 13.1). */
const SUBMIT_REFUSALS = [
  'FAILED_MARKET_ORDER',
  'FAILED_LIMIT_ORDER',
  'FAILED_ORDER_PARAMETER',
  'FAILED_ORDER_WITH_OPEN_ORDERS',
  'FAILED_MIN_TOTAL_AMOUNT',
  'FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK',
  'FAILED_STOP_PRICE_LESS_THAN_BEST_BID',
  'FAILED_INVALID_PRICE_SCALE',
  'FAILED_INVALID_QUANTITY_SCALE',
  'FAILED_INVALID_STOP_PRICE_SCALE',
  'ORDER_METHOD_NOT_SUPPORTED',
  'ORDER_TYPE_NOT_SUPPORTED',
  'PRICE_MUST_BE_LESS_THAN_MAXPRICE',
  'PRICE_MUST_BE_LESS_THAN_MINPRICE',
  'BALANCE_NOT_ENOUGH',
  'STOP_PRICE_GREATER_THAN_MARKET',
  'STOP_PRICE_LESS_THAN_MARKET',
  'ORDER_MIN_PRICE_EXCEEDED',
  'ORDER_MAX_PRICE_EXCEEDED',
  'MAXIMUM_ORDER_AMOUNT_EXCEEDED',
  'ORDER_INSERT_BLOCKED',
] as const;

/** Names of the same refusals in older and generated material (section 7.2). */
const OLD_SUBMIT_REFUSALS = [
  'PARAMETERS_ERROR',
  'MIN_TOTAL',
  'BALANCE_NOT_ENOUGH_WITHOUT_OPEN_ORDERS',
  'PRICE_MUST_BE_AN_INTEGER',
  'INVALID_PARAMETER',
  'PAIR_NOT_FOUND',
  'PAIR_SYMBOL_NECESSARY',
  'VALUE_BELOW_MINIMUM',
  'VALUE_ABOVE_MAXIMUM',
] as const;

const CANCEL_REFUSALS = [
  'NO_ORDER_MATCHES_YOUR_REQUEST',
  'ORDER_COULD_NOT_BE_CANCELED',
  'ORDER_CANCEL_BLOCKED',
] as const;

/** Section 3.3: refused before the order was looked at. */
const AUTH_REFUSALS = [
  'Unauthorized - Invalid Nonce',
  'Unauthorized - Invalid Signature',
  'Unauthorized - Invalid Public key',
  'Unauthorized - Invalid Private key',
  'Unauthorized - Headers are missing',
  'Unauthorized - Invalid Request',
] as const;

const row = (
  transport: Transport,
  status: OutcomeRow['status'],
  success: boolean | null,
  messages: OutcomeRow['messages'],
  submit: Verdict,
  cancel: Verdict,
  source: string,
): OutcomeRow => ({ transport, status, success, messages, submit, cancel, source });

/** The table. The first row that fits decides. */
export const OUTCOME_TABLE: readonly OutcomeRow[] = [
  row('not-sent', null, null, 'any', 'denied', 'denied', 'no byte left'),
  row('timeout', null, null, 'any', { unknown: 'timeout' }, { unknown: 'timeout' }, 'section 12 rule 2'),
  row(
    'disconnect',
    null,
    null,
    'any',
    { unknown: 'disconnect' },
    { unknown: 'disconnect' },
    'section 12 rule 2',
  ),
  row(
    'unreadable',
    null,
    null,
    'any',
    { unknown: 'unreadable' },
    { unknown: 'unreadable' },
    'section 12 rule 2',
  ),
  row('response', 200, true, SUCCESS_TEXTS, 'accepted', 'accepted', 'sections 5.8, 5.9'),
  row('response', 400, false, SUBMIT_REFUSALS, 'rejected', UNRECOGNISED, 'sections 6.2, 7.2'),
  row('response', 400, false, OLD_SUBMIT_REFUSALS, 'rejected', UNRECOGNISED, 'section 7.2, older names'),
  row('response', 400, false, CANCEL_REFUSALS, UNRECOGNISED, 'rejected', 'section 5.9'),
  row('response', 400, false, ['INVALID_REQUEST_ERROR'], 'rejected', 'rejected', 'section 7.2'),
  row('response', 400, false, ['Pair …'], 'rejected', UNRECOGNISED, 'section 4.4'),
  row('response', 400, false, ['SYSTEM_UNDER_MAINTENANCE'], 'rejected', 'rejected', 'section 7.2'),
  row('response', 400, false, ['INTERNAL_ERROR', 'TIMEOUT'], SERVER_ERROR, SERVER_ERROR, 'section 7.2'),
  row('response', 401, null, AUTH_REFUSALS, 'rejected', 'rejected', 'section 3.3'),
  row('response', 401, null, 'empty-body', 'rejected', 'rejected', 'section 3.3'),
  row(
    'response',
    429,
    null,
    'any',
    { unknown: 'rate-limited' },
    { unknown: 'rate-limited' },
    'section 12 rule 2',
  ),
  row('response', '5xx', null, 'any', SERVER_ERROR, SERVER_ERROR, 'section 7.1'),
];

/** What a reply looks like to the table. */
export interface OutcomeEvidence {
  readonly transport: Transport;
  readonly status: number | null;
  readonly success: boolean | null;
  /** The message; an empty text for null; null when there is no readable envelope. */
  readonly message: string | null;
  readonly bodyIsEmpty: boolean;
}

/** The verdict on one kind of write, and the row it comes from (null: nothing fits, so it is unknown). */
export const verdictOn = (
  kind: 'submit' | 'cancel',
  evidence: OutcomeEvidence,
): { readonly verdict: Verdict; readonly row: OutcomeRow | null } => {
  const fitting = OUTCOME_TABLE.find(candidate => fits(candidate, evidence)) ?? null;
  if (fitting !== null) return { verdict: fitting[kind], row: fitting };
  const readable = evidence.message !== null;
  return { verdict: { unknown: readable ? 'unrecognised' : 'unreadable' }, row: null };
};

const fits = (candidate: OutcomeRow, evidence: OutcomeEvidence): boolean =>
  candidate.transport === evidence.transport &&
  statusFits(candidate.status, evidence.status) &&
  (candidate.success === null || candidate.success === evidence.success) &&
  messageFits(candidate.messages, evidence);

const statusFits = (expected: OutcomeRow['status'], actual: number | null): boolean =>
  expected === '5xx' ? actual !== null && actual >= 500 && actual <= 599 : expected === actual;

const messageFits = (expected: OutcomeRow['messages'], evidence: OutcomeEvidence): boolean => {
  if (expected === 'any') return true;
  if (expected === 'empty-body') return evidence.bodyIsEmpty;
  const { message } = evidence;
  if (message === null) return false;
  return expected.some(text =>
    text.endsWith('…') ? message.startsWith(text.slice(0, -1)) : message === text,
  );
};
