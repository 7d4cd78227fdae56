/** What no venue should send: nothing crashes on it, nothing is decided by it. */
import { expect } from 'chai';
import fc from 'fast-check';
import type { BtcturkRead } from '#src/btcturk/market-reads.js';
import { OUTCOME_TABLE } from '#src/btcturk/outcome.js';
import { readPrivateFrame } from '#src/btcturk/private-frames.js';
import { cancelOutcome, type HttpReply, readAnswer, submitOutcome } from '#src/btcturk/replies.js';
import { books, runMarket } from '../domain/market-run.js';
import { fullFrame } from '../domain/venue-feed.js';
import { runs } from '../runs.js';
import { SUBMITTED, submit } from './fixtures.js';

const RUNS = runs(1_000, 1_000_000);

const CANCELED = '{"success":true,"message":"SUCCESS","code":0}';
const REFUSED =
  '{"httpStatusCode":400,"data":null,"success":false,"message":"FAILED_MIN_TOTAL_AMOUNT","code":1123}';
const ORDERS =
  '{"data":[{"id":31840022117,"price":"4.21","amount":"25.50","quantity":"25.50","stopPrice":"0","pairSymbol":"DOTUSDT","type":"sell","method":"limit","orderClientId":"mm-1","time":1790133580440,"updateTime":1790133598911,"status":"Closed","leftAmount":"0.0000000000000000"}],"success":true,"message":"SUCCESS","code":0}';
const TRADE =
  '{"id":1263118840021773311,"orderId":31840022117,"timestamp":1790133598911,"numeratorSymbol":"DOT","denominatorSymbol":"USDT","amount":"-25.50","fee":"-0.12524750","tax":"-0.02504950","price":"4.21","orderType":"sell","orderClientId":"mm-1","preciseAmount":-25.5}';
const BALANCES =
  '{"data":[{"asset":"TRY","assetname":"Türk Lirası","balance":"15210,44","locked":"4001.76","free":"11208.68","orderFund":"1","requestFund":"0","precision":2,"timestamp":1790133600027}],"success":true,"message":null,"code":0}';
const BODIES = [
  SUBMITTED,
  CANCELED,
  REFUSED,
  ORDERS,
  `{"data":[${TRADE}],"success":true,"code":0}`,
  BALANCES,
] as const;

const CALLS: readonly BtcturkRead[] = [
  { type: 'server-time' },
  { type: 'instruments' },
  { type: 'ticker', symbol: 'BTCUSDT' },
  { type: 'order-book', symbol: 'BTCUSDT', depth: 10 },
  { type: 'public-trades', symbol: 'BTCUSDT', count: 10 },
  { type: 'candles', symbol: 'BTCUSDT', resolution: '60', fromMs: 0, toMs: 1 },
  { type: 'balances' },
  { type: 'open-orders', symbol: 'BTCUSDT' },
  { type: 'all-orders', symbol: 'BTCUSDT', fromMs: null, toMs: null, limit: 10 },
  { type: 'order', venueOrderId: '1' },
  { type: 'trades', fromMs: null, toMs: null },
  { type: 'cash-movements', fromMs: null, toMs: null },
];

const FRAMES = [
  '[432,{"CS":11,"PS":"BTCUSDT","AO":[{"CP":0,"P":"100.01","A":"0.5"}],"BO":[{"CP":1,"P":"99.5","A":"0.04"}],"channel":"obdiff","event":"BTCUSDT","type":432}]',
  '[431,{"CS":18,"PS":"BTCUSDT","AO":[{"A":"0.0075","P":"100.01"}],"BO":[{"A":"0.01","P":"99.99"}],"channel":"obdiff","event":"BTCUSDT","type":431}]',
  '[402,{"B":"99.99","A":"100.01","PS":"BTCUSDT","channel":"ticker","event":"BTCUSDT","type":402}]',
  '[422,{"D":"1790133598755","I":"1021876402817003","A":"0.0021","P":"100.00","PS":"BTCUSDT","S":0,"channel":"trade","event":"BTCUSDT","type":422}]',
  '[100,{"type":100,"ok":true,"message":"join|obdiff:BTCUSDT"}]',
  '[991,{"type":991,"current":"6.0.0","min":"2.3.0"}]',
  '[114,{"type":114,"id":700123,"ok":true,"message":null}]',
  `[423,${TRADE}]`,
  '[441,{"type":441,"id":31840022117,"amount":"25.5000000000","clientId":"mm-1","timestamp":"1790133598911"}]',
  '[451,{"type":451,"id":31840022117,"newOrderClientId":"mm-1"}]',
] as const;

/** Values that parsers trip over. */
const odd = fc.constantFrom<unknown>(
  null,
  true,
  '',
  'NaN',
  'Infinity',
  '-0',
  '1e309',
  '1e-7',
  '0x10',
  '１２',
  '1,5',
  '1.5.5',
  '9'.repeat(400),
  '__proto__',
  'constructor',
  Number.MAX_SAFE_INTEGER,
  1e308,
  -1,
  0.1,
  [],
  {},
  [[[]]],
  { toString: 1, valueOf: null },
);
/** JSON text with one value or key somewhere replaced. */
const mutatedValue = (text: string): fc.Arbitrary<string> =>
  fc.tuple(fc.nat(60), odd, fc.boolean()).map(([place, value, drop]) => {
    let at = place;
    const skip = (): [] => {
      at -= 1;
      return [];
    };
    const walk = (node: unknown): unknown => {
      if (at-- === 0) return value;
      if (Array.isArray(node)) return node.map(walk);
      if (typeof node !== 'object' || node === null) return node;
      return Object.fromEntries(
        Object.entries(node).flatMap(([key, inner]) => (drop && at === 0 ? skip() : [[key, walk(inner)]])),
      );
    };
    return JSON.stringify(walk(JSON.parse(text)));
  });
/** Text with bytes changed, cut out or put in. */
const mutatedText = (text: string): fc.Arbitrary<string> =>
  fc
    .array(
      fc.tuple(
        fc.nat(text.length),
        fc.nat(3),
        fc.constantFrom('', '"', '{', '}', '[', ',', '9', '-', 'e', '\u0000', '😀', '\\'),
      ),
      {
        minLength: 1,
        maxLength: 6,
      },
    )
    .map(edits =>
      edits.reduce((kept, [at, cut, put]) => kept.slice(0, at) + put + kept.slice(at + cut), text),
    );
const LARGE = [
  `${'['.repeat(60_000)}${']'.repeat(60_000)}`,
  `{"data":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)},"success":true,"code":0}`,
  `{"success":true,"message":"${'x'.repeat(1_000_000)}","code":0,"data":{"id":1}}`,
  `{"success":true,"data":{"id":${'9'.repeat(500_000)}},"code":0}`,
  `[432,{"CS":11,"event":"BTCUSDT","BO":[],"AO":[{"CP":1,"P":"${'9'.repeat(1_000_000)}","A":"1"}]}]`,
  `[423,{"preciseAmount":${'9'.repeat(300_000)}}]`,
  `[432,{"CS":11,"event":"BTCUSDT","BO":[],"AO":[${'{"CP":1,"P":"100.5","A":"1"},'.repeat(4_000)}0]}]`,
];
const nasty = (texts: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...texts).chain(mutatedValue) },
    { weight: 6, arbitrary: fc.constantFrom(...texts).chain(mutatedText) },
    { weight: 2, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.string({ maxLength: 200 }) },
  );

const response = (status: number, body: string): HttpReply => ({
  type: 'response',
  status,
  headers: { 'retry-after': body.slice(0, 30) },
  body,
});
const status = fc.oneof(
  fc.constantFrom(200, 400, 401, 403, 429, 500, 503),
  fc.integer({ min: 100, max: 999 }),
);

const REFUSALS = new Set(
  OUTCOME_TABLE.flatMap(({ messages, submit: verdict }) =>
    Array.isArray(messages) && verdict === 'rejected' ? messages : [],
  ),
);

const checkBody = (code: number, body: string, call: BtcturkRead): void => {
  const reply = response(code, body);
  const outcome = submitOutcome(submit(), reply);
  if (outcome.type === 'confirmed') {
    expect(code).to.equal(200);
    expect(body).to.contain(outcome.venueOrderId);
  } else if (outcome.type === 'rejected') {
    expect(code).to.be.oneOf([400, 401]);
    const known =
      REFUSALS.has(outcome.reason) || outcome.reason.startsWith('Pair ') || outcome.reason === 'Unauthorized';
    expect(known, outcome.reason).to.equal(true);
  } else expect(outcome.type).to.equal('unknown');
  const canceled = cancelOutcome(reply);
  expect(canceled.type).to.be.oneOf(code === 200 ? ['queued', 'unknown'] : ['rejected', 'unknown']);
  const answer = readAnswer(call, call.type === 'cash-movements' ? [reply, reply] : [reply], {
    tookMs: 1,
    receivedAtMs: 1,
  });
  if (answer.ok && call.type !== 'order') expect(code).to.equal(200);
};

/** A live book that must stay exact or say that it is not. */
const checkFrame = (text: string): void => {
  const run = runMarket();
  run.connect();
  run.frames(fullFrame('BTCUSDT', 10, { bids: [[9_999, 5]], asks: [[10_001, 1]] }));
  run.forget();
  run.frames(text);
  for (const book of books(run.effects)) {
    expect(book.levels.every(value => Number.isSafeInteger(value) && value >= 0)).to.equal(true);
  }
  const frame = readPrivateFrame(text);
  if (frame.type === 'event' && frame.event.type === 'fill') {
    expect(frame.event.fill.quantity > 0n && frame.event.fill.price > 0n).to.equal(true);
    expect(text).to.contain(frame.event.fill.tradeId);
  }
};

describe('fuzzed bodies and frames', () => {
  it('decide nothing that they do not say, and crash nobody (bodies)', () => {
    fc.assert(fc.property(status, nasty(BODIES), fc.constantFrom(...CALLS), checkBody), { numRuns: RUNS });
  });

  it('decide nothing that they do not say, and crash nobody (frames)', () => {
    fc.assert(fc.property(nasty(FRAMES), checkFrame), { numRuns: RUNS });
  });

  for (const [index, text] of LARGE.entries()) {
    it(`survives large text ${index + 1} of ${LARGE.length}`, () => {
      for (const call of CALLS.slice(0, 4)) checkBody(200, text, call);
      checkBody(400, text, CALLS[0] as BtcturkRead);
      checkFrame(text);
    });
  }
});
