import { expect } from 'chai';
import { OUTCOME_TABLE, type OutcomeRow, type Verdict } from '#src/btcturk/outcome.js';
import { cancelOutcome, type HttpReply, submitOutcome } from '#src/btcturk/replies.js';
import { SUBMITTED, submit } from './fixtures.js';

const CANCELED = '{"success":true,"message":"SUCCESS","code":0}';

const reply = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): HttpReply => ({
  type: 'response',
  status,
  headers,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const refusal = (status: number, message: string | null, code: unknown = 1, success = false): HttpReply =>
  reply(status, { httpStatusCode: status, data: null, success, message, code });

/** Replies that a row is meant for, written from the row's own words. */
const repliesOf = (row: OutcomeRow): readonly HttpReply[] => {
  if (row.transport === 'not-sent') return [{ type: 'not-sent', reason: 'lease expired' }];
  if (row.transport !== 'response') return [{ type: 'no-response', cause: row.transport, detail: '' }];
  const statuses = row.status === '5xx' ? [500, 502, 503, 504, 520, 599] : [row.status ?? 0];
  return statuses.flatMap(status => {
    if (row.messages === 'empty-body') return [reply(status, ''), reply(status, ' \r\n')];
    if (row.messages === 'any')
      return [
        reply(status, '<html>x</html>'),
        reply(status, ''),
        refusal(status, 'anything'),
        refusal(status, 'SUCCESS', 0, true),
        refusal(status, 'FAILED_MIN_TOTAL_AMOUNT'),
        reply(status, SUBMITTED),
      ];
    return row.messages.flatMap(text => {
      const message = text.endsWith('…') ? `${text.slice(0, -1)}NOPEUSDT does not exists.` : text;
      if (row.success === true) return [reply(status, { ...JSON.parse(SUBMITTED), message })];
      return row.success === null
        ? [refusal(status, message), refusal(status, message, 1037, true)]
        : [
            refusal(status, message),
            refusal(status, message, 'TEXT'),
            reply(status, { success: false, message }),
          ];
    });
  });
};

const expectVerdict = (outcome: { readonly type: string }, verdict: Verdict): void => {
  if (verdict === 'accepted') expect(outcome.type).to.be.oneOf(['confirmed', 'queued']);
  else if (typeof verdict === 'object')
    expect(outcome).to.deep.include({ type: 'unknown', cause: verdict.unknown });
  else expect(outcome.type).to.equal(verdict);
};

describe('outcome table', () => {
  for (const row of OUTCOME_TABLE) {
    const words = Array.isArray(row.messages) ? row.messages.join(', ') : row.messages;
    it(`decides ${row.transport} ${row.status ?? ''} (${words || 'no message'}) by its row`, () => {
      for (const candidate of repliesOf(row)) {
        expectVerdict(submitOutcome(submit(), candidate), row.submit);
        expectVerdict(cancelOutcome(candidate), row.cancel);
      }
    });
  }

  it('has a source for every row, and no message twice for one status', () => {
    const seen = new Set<string>();
    for (const row of OUTCOME_TABLE) {
      expect(row.source).to.not.equal('');
      for (const message of Array.isArray(row.messages) ? row.messages : [row.messages]) {
        const key = `${row.transport} ${row.status} ${message}`;
        expect(seen.has(key), key).to.equal(false);
        seen.add(key);
      }
    }
  });

  for (const [title, body] of [
    ['the documented reply', JSON.parse(SUBMITTED)],
    ['no httpStatusCode and OK', { ...JSON.parse(SUBMITTED), httpStatusCode: undefined, message: 'OK' }],
    ['no message', { ...JSON.parse(SUBMITTED), message: null }],
    ['an empty message', { ...JSON.parse(SUBMITTED), message: '' }],
    ['a code of text', { ...JSON.parse(SUBMITTED), code: 'SUCCESS' }],
    ['no code', { ...JSON.parse(SUBMITTED), code: undefined }],
    ['fields nobody has heard of', { ...JSON.parse(SUBMITTED), traceId: { deep: [1] } }],
    [
      'PascalCase',
      {
        Data: { Id: 31840022901, NewOrderClientId: 'b-1-1', PairSymbol: 'BTCUSDT', Type: 'buy' },
        Success: true,
        Message: 'SUCCESS',
        Code: 0,
      },
    ],
  ] as const) {
    it(`confirms a submit with ${title}`, () => {
      expect(submitOutcome(submit(), reply(200, body))).to.deep.equal({
        type: 'confirmed',
        venueOrderId: '31840022901',
      });
    });
  }

  it('keeps an order id above 2^53', () => {
    const body = SUBMITTED.replace('31840022901', '9223372036854775807');
    expect(submitOutcome(submit(), reply(200, body))).to.deep.equal({
      type: 'confirmed',
      venueOrderId: '9223372036854775807',
    });
  });

  const submitted = (data: unknown) => reply(200, { ...JSON.parse(SUBMITTED), data });
  for (const [title, candidate, cause] of [
    ['success without data', submitted(undefined), 'unreadable'],
    ['success without an id', submitted({ newOrderClientId: 'b-1-1' }), 'unreadable'],
    ['an id of zero', submitted({ id: 0 }), 'unreadable'],
    ['an id that is no id', submitted({ id: 'abc' }), 'unreadable'],
    ['a negative id', submitted({ id: -5 }), 'unreadable'],
    ['a fractional id', submitted({ id: 1.5 }), 'unreadable'],
    ['the label of another order', submitted({ id: 5, newOrderClientId: 'other' }), 'unrecognised'],
    ['the pair of another order', submitted({ id: 5, pairSymbol: 'BTCTRY' }), 'unrecognised'],
    ['the other side', submitted({ id: 5, type: 'sell' }), 'unrecognised'],
    ['success and a message nobody knows', refusal(200, 'MAYBE', 0, true), 'unrecognised'],
    ['200 and a refusal', refusal(200, 'FAILED_MIN_TOTAL_AMOUNT'), 'unrecognised'],
    ['400 and success', refusal(400, 'SUCCESS', 0, true), 'unrecognised'],
    ['400 and a message nobody knows', refusal(400, 'NEW_RULE_2027'), 'unrecognised'],
    ['400 and a message in another case', refusal(400, 'failed_min_total_amount'), 'unrecognised'],
    ['400 and no message', refusal(400, null), 'unrecognised'],
    ['400 and HTML', reply(400, '<html>'), 'unreadable'],
    ['400 and nothing', reply(400, ''), 'unreadable'],
    ['a refusal to cancel', refusal(400, 'NO_ORDER_MATCHES_YOUR_REQUEST'), 'unrecognised'],
    ['401 and a message nobody knows', refusal(401, 'Unauthorized - New'), 'unrecognised'],
    ['401 and HTML', reply(401, '<html>'), 'unreadable'],
    ['403 from the edge', reply(403, '<html>denied</html>'), 'unreadable'],
    ['404', reply(404, ''), 'unreadable'],
    ['201', refusal(201, 'SUCCESS', 0, true), 'unrecognised'],
    ['a redirect', reply(302, ''), 'unreadable'],
    ['an array', reply(200, '[]'), 'unreadable'],
    ['a number', reply(200, '1'), 'unreadable'],
    ['success as text', reply(200, '{"success":"true","data":{"id":5}}'), 'unreadable'],
  ] as const) {
    it(`calls a submit unknown on ${title}`, () => {
      expect(submitOutcome(submit(), candidate)).to.deep.equal({ type: 'unknown', cause });
    });
  }

  it('says the venue’s own reason and code with a refusal', () => {
    expect(submitOutcome(submit(), refusal(400, 'FAILED_ORDER_WITH_OPEN_ORDERS', 1122))).to.deep.equal({
      type: 'rejected',
      reason: 'FAILED_ORDER_WITH_OPEN_ORDERS',
      code: '1122',
    });
    expect(submitOutcome(submit(), reply(401, ''))).to.deep.equal({
      type: 'rejected',
      reason: 'Unauthorized',
      code: '401',
    });
  });

  it('goes by the text when the code has drifted', () => {
    expect(submitOutcome(submit(), refusal(400, 'FAILED_ORDER_WITH_OPEN_ORDERS', 1123))).to.deep.include({
      type: 'rejected',
      reason: 'FAILED_ORDER_WITH_OPEN_ORDERS',
    });
  });

  it('takes the success of a cancel for queued', () => {
    expect(cancelOutcome(reply(200, CANCELED))).to.deep.equal({ type: 'queued' });
    expect(cancelOutcome(refusal(200, null, 0, true))).to.deep.equal({ type: 'queued' });
  });

  it('waits at least a minute after a 429 on an order path', () => {
    const limited = (headers: Readonly<Record<string, string>>) =>
      reply(429, { message: 'TOO_MANY_REQUESTS', success: false, code: 429 }, headers);
    expect(submitOutcome(submit(), limited({ 'retry-after': '1' }))).to.deep.equal({
      type: 'unknown',
      cause: 'rate-limited',
      retryAfterMs: 60_000,
    });
    expect(cancelOutcome(limited({ 'retry-after': '90' }))).to.deep.equal({
      type: 'unknown',
      cause: 'rate-limited',
      retryAfterMs: 90_000,
    });
  });
});
