/** What no venue should send, and the checks that nothing is decided by it. */
import { expect } from 'chai';
import fc from 'fast-check';
import type { BtcturkRead } from '#src/btcturk/market-reads.js';
import { OUTCOME_TABLE } from '#src/btcturk/outcome.js';
import { readPrivateFrame } from '#src/btcturk/private-frames.js';
import { cancelOutcome, type HttpReply, readAnswer, submitOutcome } from '#src/btcturk/replies.js';
import { books, type MarketRun, runMarket } from '../domain/market-run.js';
import { fullFrame, layout, type Window } from '../domain/venue-feed.js';
import { SUBMITTED, submit } from './fixtures.js';

const CANCELED = '{"success":true,"message":"SUCCESS","code":0}';
const REFUSED =
  '{"httpStatusCode":400,"data":null,"success":false,"message":"FAILED_MIN_TOTAL_AMOUNT","code":1123}';
const ORDERS =
  '{"data":[{"id":31840022117,"price":"4.21","amount":"25.50","quantity":"25.50","stopPrice":"0","pairSymbol":"DOTUSDT","type":"sell","method":"limit","orderClientId":"mm-1","time":1790133580440,"updateTime":1790133598911,"status":"Closed","leftAmount":"0.0000000000000000"}],"success":true,"message":"SUCCESS","code":0}';
const TRADE =
  '{"id":1263118840021773311,"orderId":31840022117,"timestamp":1790133598911,"numeratorSymbol":"DOT","denominatorSymbol":"USDT","amount":"-25.50","fee":"-0.12524750","tax":"-0.02504950","price":"4.21","orderType":"sell","orderClientId":"mm-1","preciseAmount":-25.5}';
const BALANCES =
  '{"data":[{"asset":"TRY","assetname":"Türk Lirası","balance":"15210,44","locked":"4001.76","free":"11208.68","orderFund":"1","requestFund":"0","precision":2,"timestamp":1790133600027}],"success":true,"message":null,"code":0}';
export const BODIES = [
  SUBMITTED,
  CANCELED,
  REFUSED,
  ORDERS,
  `{"data":[${TRADE}],"success":true,"code":0}`,
  BALANCES,
] as const;

export const CALLS: readonly BtcturkRead[] = [
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

export const FRAMES = [
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
export const LARGE = [
  `${'['.repeat(60_000)}${']'.repeat(60_000)}`,
  `{"data":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)},"success":true,"code":0}`,
  `{"success":true,"message":"${'x'.repeat(1_000_000)}","code":0,"data":{"id":1}}`,
  `{"success":true,"data":{"id":${'9'.repeat(500_000)}},"code":0}`,
  `[432,{"CS":11,"event":"BTCUSDT","BO":[],"AO":[{"CP":1,"P":"${'9'.repeat(1_000_000)}","A":"1"}]}]`,
  `[423,{"preciseAmount":${'9'.repeat(300_000)}}]`,
  `[432,{"CS":11,"event":"BTCUSDT","BO":[],"AO":[${'{"CP":1,"P":"100.5","A":"1"},'.repeat(4_000)}0]}]`,
];
export const nasty = (texts: readonly string[]): fc.Arbitrary<string> =>
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
export const status = fc.oneof(
  fc.constantFrom(200, 400, 401, 403, 429, 500, 503),
  fc.integer({ min: 100, max: 999 }),
);

const REFUSALS = new Set(
  OUTCOME_TABLE.flatMap(({ messages, submit: verdict }) =>
    Array.isArray(messages) && verdict === 'rejected' ? messages : [],
  ),
);

export const checkBody = (code: number, body: string, call: BtcturkRead): void => {
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

/** The book every frame meets. */
const BASE: Window = { bids: [[9_999, 5]], asks: [[10_001, 1]] };
const BASE_CHANGE_SET = 10;

/** Price and amount of a wire text in ticks and lots, worked out with big integers; null for what is none. */
const scaledText = (value: unknown, scale: number, exact: boolean): number | null => {
  const text = typeof value === 'number' ? String(value) : value;
  const match = typeof text === 'string' ? /^([0-9]+)(?:\.([0-9]+))?$/.exec(text) : null;
  if (match === null) return null;
  const fraction = match[2] ?? '';
  if (exact && /[1-9]/.test(fraction.slice(scale))) return null;
  const scaled = BigInt(`${match[1]}${fraction.slice(0, scale).padEnd(scale, '0')}`);
  if (scaled <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(scaled);
  return exact ? null : Number.MAX_SAFE_INTEGER;
};

/**
 * The book that a frame leads to when it is a sound one for {@link BASE}, read here a second time without any of the
 * adapter's code; null when it is not, so that no trusted book may follow from it but the one before.
 */
const soundOutcome = (text: string): readonly number[] | null => {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(frame) || (frame[0] !== 431 && frame[0] !== 432)) return null;
  const fields = frame[1] as Readonly<Record<string, unknown>> | null;
  if (typeof fields !== 'object' || fields === null || fields.event !== 'BTCUSDT') return null;
  const whole = frame[0] === 431;
  if (whole ? fields.channel !== 'obdiff' : fields.CS !== BASE_CHANGE_SET + 1) return null;
  if (!Number.isSafeInteger(fields.CS)) return null;
  const sides = { bids: new Map(whole ? [] : BASE.bids), asks: new Map(whole ? [] : BASE.asks) };
  for (const [side, levels] of [
    [sides.bids, fields.BO],
    [sides.asks, fields.AO],
  ] as const) {
    if (levels === null) continue;
    if (!Array.isArray(levels)) return null;
    for (const level of levels as readonly (Readonly<Record<string, unknown>> | null)[]) {
      const ticks = scaledText(level?.P, 2, true);
      const lots = scaledText(level?.A, 4, false);
      if (ticks === null || ticks === 0 || lots === null) return null;
      const action = whole ? 1 : level?.CP;
      if (action !== 0 && action !== 1 && action !== 3) return null;
      if (action === 3) side.delete(ticks);
      else side.set(ticks, lots);
    }
  }
  const sorted = (side: ReadonlyMap<number, number>, sign: 1 | -1): [number, number][] =>
    [...side].sort(([left], [right]) => sign * (left - right)).slice(0, 100);
  const window: Window = { bids: sorted(sides.bids, -1), asks: sorted(sides.asks, 1) };
  const [bid, ask] = [window.bids[0]?.[0], window.asks[0]?.[0]];
  return bid === undefined || ask === undefined || bid >= ask ? null : layout(window);
};

/** A brain with the known book, trusted; one that has seen earlier frames serves as well as a new one. */
export const liveMarket = (): MarketRun => {
  const run = runMarket();
  run.connect();
  return run;
};

/**
 * Lets a frame meet a live book: what is shown as trusted afterwards is the book before, or what the frame soundly says.
 * The same for a private frame: a fill is one that the text names.
 */
export const checkFrame = (text: string, run: MarketRun = liveMarket()): void => {
  run.frames(fullFrame('BTCUSDT', BASE_CHANGE_SET, BASE));
  // Whatever an earlier frame began has an end, so that this one meets a live book.
  for (let turn = 0; !(books(run.effects).at(-1)?.trusted ?? false) && turn < 200; turn++) {
    run.wait(1_000);
    if (run.effects.some(({ type }) => type === 'open-socket')) {
      run.step({ type: 'opened' });
      run.frames('[991,{"type":991}]');
    }
    run.frames(fullFrame('BTCUSDT', BASE_CHANGE_SET, BASE));
  }
  expect(books(run.effects).at(-1)?.trusted, 'the book recovers').to.equal(true);
  run.forget();
  run.frames(text);
  const before = JSON.stringify(layout(BASE));
  for (const book of books(run.effects)) {
    const shown = JSON.stringify([...book.levels]);
    expect(book.levels.every(value => Number.isSafeInteger(value) && value >= 0)).to.equal(true);
    if (!book.trusted || shown === before) continue;
    expect(shown, text.slice(0, 300)).to.equal(JSON.stringify(soundOutcome(text)));
  }
  run.forget();
  const frame = readPrivateFrame(text);
  if (frame.type === 'event' && frame.event.type === 'fill') {
    expect(frame.event.fill.quantity > 0n && frame.event.fill.price > 0n).to.equal(true);
    expect(text).to.contain(frame.event.fill.tradeId);
  }
};
