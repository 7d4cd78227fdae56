import { expect } from 'chai';
import fc from 'fast-check';
import { createPublicFrameReader, subscriptionFrame } from '#src/btcturk/public-frames.js';
import { scaledExact, scaledFloor } from '#src/btcturk/scaled.js';
import { formatDecimal } from '#src/domain/money.js';
import { instrument } from './fixtures.js';

const { read } = createPublicFrameReader([instrument({ priceScale: 2, quantityScale: 4 })]);
const book = (model: number, fields: Readonly<Record<string, unknown>>): string =>
  JSON.stringify([
    model,
    { CS: 5, PS: null, AO: [], BO: [], channel: 'obdiff', event: 'BTCUSDT', ...fields },
  ]);

describe('whole books as the venue writes them', () => {
  const reader = createPublicFrameReader([instrument({ priceScale: 2, quantityScale: 4 })]);
  const fields = (bids: string, asks: string, changeSet = '26'): string =>
    `"CS":${changeSet},"PS":"BTCUSDT","AO":[${asks}],"BO":[${bids}]`;
  const whole = (content: string, channel = 'orderbook', event = 'BTCUSDT'): string =>
    `[431,{${content},"channel":"${channel}","event":"${event}","type":431}]`;
  const level = (amount: string, price: string): string => `{"A":"${amount}","P":"${price}"}`;

  it('are read as their parsed JSON is', () => {
    const decimal = fc.stringMatching(/^(?:0|[1-9]\d{0,17})(?:\.\d{1,6})?$/);
    const odd = fc.constantFrom(
      '',
      '-1',
      '1e5',
      '.5',
      '5.',
      '1,5',
      ' 1',
      '01',
      '\\u0031',
      '"',
      '9'.repeat(40),
    );
    const amount = fc.oneof({ weight: 30, arbitrary: decimal }, { weight: 1, arbitrary: odd });
    const price = fc.oneof({ weight: 30, arbitrary: decimal }, { weight: 1, arbitrary: odd });
    const side = fc.array(fc.tuple(amount, price), { maxLength: 4 });
    const changeSet = fc.constantFrom('0', '26', '-7', '07', '1.5', '9007199254740991', '9007199254740993');
    const channel = fc.constantFrom('orderbook', 'obdiff', 'trade');
    const event = fc.constantFrom('BTCUSDT', 'BTCUSDT', 'ETHTRY');
    const text = fc
      .tuple(side, side, changeSet, channel, event)
      .map(([bids, asks, change, on, symbol]) =>
        whole(
          fields(
            bids.map(each => level(...each)).join(','),
            asks.map(each => level(...each)).join(','),
            change,
          ),
          on,
          symbol,
        ),
      );
    const damage = fc.option(fc.tuple(fc.nat(), fc.constantFrom('', ',', '"', ']', '}', '0', ' ', '\\')), {
      freq: 2,
    });
    fc.assert(
      fc.property(text, damage, (sound, change) => {
        const at = change === null ? 0 : change[0] % sound.length;
        const sent = change === null ? sound : sound.slice(0, at) + change[1] + sound.slice(at + 1);
        let parsed: unknown;
        try {
          parsed = JSON.parse(sent);
        } catch {
          expect(reader.read(sent)).to.deep.include({ type: 'malformed', problem: 'not JSON' });
          return;
        }
        expect(reader.read(sent)).to.deep.equal(reader.readValue(parsed));
      }),
    );
  });

  it('are read without being parsed', () => {
    const book = whole(fields(level('0.5', '10.25'), `${level('1', '11')},${level('2.00005', '12.50')}`));
    const parse = JSON.parse;
    JSON.parse = () => {
      throw new Error('it was parsed');
    };
    try {
      expect(reader.read(book)).to.deep.equal({
        type: 'book-snapshot',
        channel: 'orderbook',
        symbol: 'BTCUSDT',
        changeSet: 26,
        bids: [1_025, 5_000],
        asks: [1_100, 10_000, 1_250, 20_000],
      });
    } finally {
      JSON.parse = parse;
    }
  });
});

describe('decimal text to ticks and lots', () => {
  for (const [text, scale, exact, floor] of [
    ['77295', 0, 77295, 77295],
    ['61837.64', 2, 6183764, 6183764],
    ['61837.6', 2, 6183760, 6183760],
    ['77250.0000000000', 2, 7725000, 7725000],
    ['0.0075', 4, 75, 75],
    ['0.00751', 4, Number.NaN, 75],
    ['0', 4, 0, 0],
    ['9007199254740991', 0, 9007199254740991, 9007199254740991],
    ['9007199254740993', 0, Number.NaN, Number.MAX_SAFE_INTEGER],
    ['12345678901234567890', 4, Number.NaN, Number.MAX_SAFE_INTEGER],
    ['', 2, Number.NaN, Number.NaN],
    ['.', 2, Number.NaN, Number.NaN],
    ['.5', 2, Number.NaN, Number.NaN],
    ['5.', 2, Number.NaN, Number.NaN],
    ['1.2.3', 2, Number.NaN, Number.NaN],
    ['-1', 2, Number.NaN, Number.NaN],
    ['+1', 2, Number.NaN, Number.NaN],
    ['1e5', 2, Number.NaN, Number.NaN],
    ['1,5', 2, Number.NaN, Number.NaN],
    [' 1', 2, Number.NaN, Number.NaN],
    ['NaN', 2, Number.NaN, Number.NaN],
    ['٣', 2, Number.NaN, Number.NaN],
  ] as const) {
    it(`reads ${JSON.stringify(text)} at scale ${scale}`, () => {
      expect(scaledExact(text, scale)).to.deep.equal(exact);
      expect(scaledFloor(text, scale)).to.deep.equal(floor);
    });
  }

  it('agrees with exact arithmetic on every decimal', () => {
    fc.assert(
      fc.property(
        fc.nat(2 ** 31),
        fc.nat(99_999_999),
        fc.integer({ min: 0, max: 8 }),
        (whole, part, scale) => {
          const fraction = String(part).padStart(8, '0');
          const floor = BigInt(whole + fraction.slice(0, scale));
          const text = `${whole}.${fraction}`;
          const clean = /^0*$/.test(fraction.slice(scale));
          const fits = floor <= BigInt(Number.MAX_SAFE_INTEGER);
          expect(scaledFloor(text, scale)).to.equal(fits ? Number(floor) : Number.MAX_SAFE_INTEGER);
          expect(scaledExact(text, scale)).to.deep.equal(clean && fits ? Number(floor) : Number.NaN);
        },
      ),
    );
  });
});

describe('public frames', () => {
  it('reads a full book by its event, whatever PS says', () => {
    expect(
      read(book(431, { CS: -7, AO: [{ A: '0.0075', P: '772.95' }], BO: [{ A: '0.01936', P: '772.5' }] })),
    ).to.deep.equal({
      type: 'book-snapshot',
      channel: 'obdiff',
      symbol: 'BTCUSDT',
      changeSet: -7,
      asks: [77295, 75],
      bids: [77250, 193],
    });
  });

  it('reads a difference', () => {
    const fields = {
      AO: [
        { CP: 3, P: '1', A: '2' },
        { CP: 0, P: '2', A: '3' },
      ],
      BO: [{ CP: 1, P: '0.5', A: '4' }],
    };
    expect(read(book(432, fields))).to.deep.equal({
      type: 'book-difference',
      symbol: 'BTCUSDT',
      changeSet: 5,
      asks: [3, 100, 20_000, 0, 200, 30_000],
      bids: [1, 50, 40_000],
    });
  });

  it('reads a null side as an empty one', () => {
    expect(read(book(432, { AO: null }))).to.deep.include({ type: 'book-difference', asks: [] });
  });

  it('reads a ticker, with a missing side as zero', () => {
    expect(read('[402,{"B":"772.55","A":"0","PS":"BTCUSDT","event":"BTCUSDT"}]')).to.deep.equal({
      type: 'ticker',
      symbol: 'BTCUSDT',
      bidTicks: 77255,
      askTicks: 0,
      last: null,
      dayVolume: null,
    });
    const traded = read('[402,{"B":"772.55","A":"0","LA":"772.60","V":"11.32065888","event":"BTCUSDT"}]');
    expect(traded).to.deep.include({ last: '772.60', dayVolume: 11.32065888 });
  });

  it('calls a trade malformed whose time is no text and no number, whatever it holds', () => {
    for (const at of ['{"toString":1,"valueOf":null}', '[]', 'null', 'true', '{}'])
      expect(
        read(`[422,{"D":${at},"I":"7","A":"1","P":"2","S":0,"channel":"trade","event":"BTCUSDT"}]`).type,
        at,
      ).to.equal('malformed');
  });

  it('reads trades, one and many, oldest first', () => {
    const one = '{"D":"1790133598755","I":"1021876402817003","A":"0.0021000000","P":"77260.0000000000","S":1';
    const single = read(`[422,${one},"event":"BTCUSDT","channel":"trade"}]`);
    if (single.type !== 'trades') throw new Error('these are trades');
    expect(single.history).to.equal(false);
    expect(single.trades[0]).to.deep.include({
      tradeId: '1021876402817003',
      side: 'sell',
      tradedAtMs: 1790133598755,
    });
    expect(formatDecimal(single.trades[0]?.quantity ?? 0n)).to.equal('0.0021');
    const many = read(
      `[421,{"symbol":"BTCUSDT","items":[${one}},${one.replace('1021876402817003', '7')}}],"event":"BTCUSDT"}]`,
    );
    if (many.type !== 'trades') throw new Error('these are trades');
    expect(many.trades.map(({ tradeId }) => tradeId)).to.deep.equal(['7', '1021876402817003']);
  });

  it('reads the version notice and the answers to joins and leaves', () => {
    expect(read('[991,{"type":991}]')).to.deep.equal({ type: 'version' });
    expect(read('[100,{"type":100,"ok":false,"message":"leave|obdiff:BTCUSDT"}]')).to.deep.equal({
      type: 'subscription-result',
      join: false,
      channel: 'obdiff',
      symbol: 'BTCUSDT',
    });
  });

  for (const text of [
    '[777,{"type":777}]',
    '[401,{"items":[]}]',
    '[428,{"D":1,"P":"BTCTRY"}]',
    '[402,{"B":"1","A":"2","event":"ETHTRY"}]',
    '[432,{"CS":1,"AO":[],"BO":[],"event":"ETHTRY"}]',
    '[100,{"message":"hello"}]',
    '[100,{}]',
    '[801,{"message":"maintenance"}]',
  ]) {
    it(`has no use for ${text}`, () => {
      expect(read(text)).to.deep.equal({ type: 'ignored' });
    });
  }

  const level = (fields: Readonly<Record<string, unknown>>) =>
    book(432, { BO: [{ CP: 1, P: '1', A: '1', ...fields }] });
  for (const [title, text] of [
    ['a price off the grid', level({ P: '1.001' })],
    ['a price of zero', level({ P: '0' })],
    ['a negative quantity', level({ A: '-1' })],
    ['a quantity that is no number', level({ A: 'NaN' })],
    ['no price', level({ P: undefined })],
    ['an action of 2', level({ CP: 2 })],
    ['an action of text', level({ CP: '1' })],
    ['no action', level({ CP: undefined })],
    ['a level of null', book(432, { BO: [null] })],
    ['a level of an array', book(432, { BO: [[1, 2]] })],
    ['no side', book(432, { BO: undefined })],
    ['a side of text', book(432, { BO: 'x' })],
    ['no change set', book(432, { CS: undefined })],
    ['a fractional change set', book(432, { CS: 1.5 })],
    ['a change set above 2^53', book(432, {}).replace('"CS":5', '"CS":9007199254740993')],
    ['a change set of text', book(432, { CS: '5' })],
  ] as const) {
    it(`does not believe a difference with ${title}`, () => {
      expect(read(text)).to.deep.include({ type: 'malformed', channel: 'obdiff', symbol: 'BTCUSDT' });
    });
  }

  for (const text of [
    '',
    'null',
    '[]',
    '{}',
    '[432]',
    '[432,null]',
    '["432",{}]',
    '[431,{"event":7}]',
    '[431,{"event":"BTCUSDT","channel":"other"}]',
    '<html>',
    '[402,{"B":"x","A":"1","event":"BTCUSDT"}]',
    '[422,{"event":"BTCUSDT","D":"1","I":"1","A":"1","P":"1","S":2}]',
    '[422,{"event":"BTCUSDT","D":"1","I":1e19,"A":"1","P":"1","S":0}]',
    '[422,{"event":"BTCUSDT","D":"x","I":"1","A":"1","P":"1","S":0}]',
    '[422,{"event":"BTCUSDT","D":"1","I":"1","A":"0","P":"1","S":0}]',
    '[421,{"event":"BTCUSDT","items":{}}]',
  ]) {
    it(`says that ${JSON.stringify(text.slice(0, 50))} is malformed`, () => {
      expect(read(text).type).to.equal('malformed');
    });
  }

  it('writes strict subscription frames', () => {
    expect(subscriptionFrame('obdiff', 'BTCUSDT', false)).to.equal(
      '[151,{"type":151,"channel":"obdiff","event":"BTCUSDT","join":false}]',
    );
  });
});
