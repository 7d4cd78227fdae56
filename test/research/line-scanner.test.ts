import { expect } from 'chai';
import fc from 'fast-check';
import { parseDecimal } from '#src/domain/money.js';
import { listingForMarket } from '#src/exchange/instruments.js';
import { createTapeBuilder, type MarketTape } from '#src/research/tape.js';
import { runs } from '../runs.js';
import { recordingLines } from '../support/generated-recording.js';

const listing = (symbol: string) => {
  const found = listingForMarket(symbol, [parseDecimal('60000.01')], [parseDecimal('0.00000001')]);
  if (found === undefined) throw new Error(`no listing ${symbol}`);
  return found;
};
const LISTINGS = [listing('BTCUSDT'), listing('ETHUSDT')];

/** What a line makes of a tape by the reader of all forms alone, or with the scanner before it. */
const taken = (
  text: string,
  scans: boolean,
): { readonly problem: string | null; readonly tape: MarketTape } => {
  const builder = createTapeBuilder(LISTINGS);
  const bytes = Buffer.from(text);
  let problem: string | null = null;
  if (!scans || !builder.line(bytes, 0, bytes.length))
    try {
      const { at, frame } = JSON.parse(bytes.toString()) as { readonly at: unknown; readonly frame: unknown };
      problem =
        typeof at === 'number' && Number.isFinite(at)
          ? builder.frame(frame, at)
          : 'the line has no arrival time';
    } catch {
      problem = 'not JSON';
    }
  return { problem, tape: builder.finish() };
};
const isScanned = (text: string): boolean => {
  const bytes = Buffer.from(text);
  return createTapeBuilder(LISTINGS).line(bytes, 0, bytes.length);
};

const plain = fc.oneof(
  fc
    .tuple(fc.nat(99_999), fc.nat(99_999_999))
    .map(([whole, part]) => `${whole}.${String(part).padStart(8, '0')}`),
  fc.tuple(fc.nat(99_999), fc.integer({ min: 1, max: 99 })).map(([whole, part]) => `${whole}.${part}`),
  fc.integer({ min: 1, max: 999_999 }).map(String),
);
const odd = fc.constantFrom(
  ...['0', '0.0', '00012.5', '1.', '.5', '', '-1', '1e5', '1.23456789012345678', '0.000000000000000001'],
  ...['9007199254740993', '123456789012345.12', '999999999999999999999999', '61838.640000000000000000'],
);
const decimal = fc.oneof({ weight: 30, arbitrary: plain }, odd);
const price = fc.oneof(
  {
    weight: 30,
    arbitrary: fc
      .tuple(fc.integer({ min: 1, max: 99_999 }), fc.nat(99))
      .map(([whole, part]) => `${whole}.${part}`),
  },
  decimal,
);
const level = (isChange: boolean) =>
  fc
    .record({ CP: fc.constantFrom(0, 1, 3, 0, 1, 3, 0, 1, 3, 2), P: price, A: decimal })
    .map(({ CP, P, A }) => (isChange ? { CP, P, A } : CP === 0 ? { P, A } : { A, P }));
const side = (isChange: boolean) =>
  fc.oneof({ weight: 9, arbitrary: fc.array(level(isChange), { maxLength: 4 }) }, fc.constant(null));
const symbol = fc.constantFrom(
  'BTCUSDT',
  'BTCUSDT',
  'BTCUSDT',
  'ETHUSDT',
  'ETHUSDT',
  'BTCUSDTX',
  'XRPUSDT',
  '"event":"ETHUSDT"',
);
const book = fc
  .record({ isChange: fc.boolean(), CS: fc.nat(), channel: fc.constantFrom('obdiff', 'obdiff', 'orderbook') })
  .chain(({ isChange, CS, channel }) =>
    fc.record({ PS: symbol, AO: side(isChange), BO: side(isChange), event: symbol }).map(fields => {
      const model = isChange ? 432 : 431;
      return [model, { CS, ...fields, channel, type: model }];
    }),
  );
const trade = fc
  .record({
    D: fc.oneof(fc.nat().map(String), fc.constantFrom('', 'x', '12345678901234567890')),
    I: fc.oneof(fc.nat().map(String), fc.constantFrom('007', 'abc', '9007199254740993')),
    A: decimal,
    P: price,
    PS: symbol,
    S: fc.constantFrom(0, 1, 0, 1, 2),
    channel: fc.constant('trade'),
    event: symbol,
    type: fc.constant(422),
  })
  .map(fields => [422, fields]);
const line = fc
  .record({ at: fc.oneof(fc.nat(), fc.constant(1.5)), frame: fc.oneof(book, trade) })
  .chain(recorded => {
    const text = JSON.stringify(recorded);
    // Mostly as they are written; else with one byte changed, left out or put in twice.
    const damaged = fc
      .tuple(
        fc.nat(text.length - 1),
        fc.constantFrom('', '"', '}', '7', '.', ' ', '\\', 'é', ','),
        fc.boolean(),
      )
      .map(([at, put, keeps]) => text.slice(0, at) + put + text.slice(keeps ? at : at + 1));
    return fc.oneof({ weight: 2, arbitrary: fc.constant(text) }, damaged);
  });

describe('the scanner of recorded lines', () => {
  it('takes every line as the reader of all forms does, or leaves it', () => {
    let scanned = 0;
    fc.assert(
      fc.property(line, text => {
        if (isScanned(text)) scanned += 1;
        expect(taken(text, true)).to.deep.equal(taken(text, false));
      }),
      { numRuns: runs(1_000) },
    );
    // About 6 in 100 are; fewer than 2 would be a generator that has lost its sound lines.
    expect(scanned).to.be.greaterThan(runs(1_000) / 50);
  });

  it('reads every line of a generated recording itself', () => {
    const lines = recordingLines({ seed: 3, seconds: 5, symbol: 'BTCUSDT', midCents: 6_000_000 });
    expect(lines.filter(text => !isScanned(text))).to.deep.equal([]);
  });

  it('leaves what is another form, another market or damaged', () => {
    for (const text of [
      '',
      '{"at":1,"frame":[402,{"event":"BTCUSDT"}]}',
      '{"at":1,"frame":[422,{"D":"1","I":"2","A":"1","P":"2","S":0,"channel":"trade","event":"XRPUSDT","type":422}]}',
      '{"at":1,"frame":[422,{"D":"1","I":"2","A":"1","P":"2","S":0,"S":1,"channel":"trade","event":"BTCUSDT"}]}',
      '{"at":1,"frame":[422,{"D":"1","I":"2","A":"1","P":"2","S":0,"channel":"trade","event":"BTCUSDT"}]',
      '{"at":1,"frame":[432,{"CS":1,"AO":[],"channel":"obdiff","event":"BTCUSDT"}]}',
      '{"at":1,"frame":[431,{"CS":1,"AO":[],"BO":[],"channel":"orderbook","event":"BTCUSDT"}]}',
    ])
      expect(isScanned(text), text).to.equal(false);
  });
});
