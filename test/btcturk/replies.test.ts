import { expect } from 'chai';
import type { BtcturkRead } from '#src/btcturk/market-reads.js';
import { type HttpReply, readAnswer } from '#src/btcturk/replies.js';
import { formatDecimal } from '#src/domain/money.js';

const TIMING = { tookMs: 12, receivedAtMs: 1_790_133_600_000 };

const reply = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): HttpReply => ({
  type: 'response',
  status,
  headers,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const envelope = (data: unknown, overrides: Readonly<Record<string, unknown>> = {}): HttpReply =>
  reply(200, { data, success: true, message: null, code: 0, ...overrides });
/** A body whose numbers must reach the parser as they are written here. */
const raw = (data: string): HttpReply =>
  reply(200, `{"data":${data},"success":true,"message":"SUCCESS","code":0}`);

const ask = <C extends BtcturkRead>(call: C, ...replies: readonly HttpReply[]) => {
  const result = readAnswer(call, replies, TIMING);
  if (!result.ok) throw new Error(JSON.stringify(result.failure));
  return result.value;
};
const failure = (call: BtcturkRead, ...replies: readonly HttpReply[]) => {
  const result = readAnswer(call, replies, TIMING);
  if (result.ok) throw new Error('there is an answer');
  return result.failure;
};

const ORDER = {
  id: 31840022901,
  price: '77000',
  amount: '0.00400000',
  quantity: '0.00400000',
  stopPrice: '0',
  pairSymbol: 'BTCUSDT',
  pairSymbolNormalized: 'BTC_USDT',
  type: 'buy',
  method: 'limit',
  orderClientId: 'mm-1',
  time: 0,
  updateTime: 1790133590120,
  status: 'Untouched',
  leftAmount: '0.0040000000000000',
};
const TRADE = `{"price":"4.21","numeratorSymbol":"DOT","denominatorSymbol":"USDT","orderType":"sell","orderId":31840022117,
  "orderClientId":"mm-7f3a-000184","id":1263118840021773311,"timestamp":1790133598911,"amount":"-25.50000000",
  "fee":"-0.12524750","tax":"-0.02504950","preciseAmount":-25.5}`;
const SYMBOL = {
  id: 3,
  name: 'ETHTRY',
  nameNormalized: 'ETH_TRY',
  status: 'TRADING',
  numerator: 'ETH',
  denominator: 'TRY',
  numeratorScale: 8,
  denominatorScale: 2,
  hasFraction: false,
  filters: [
    { filterType: 'SOMETHING_NEW', x: 1 },
    {
      filterType: 'PRICE_FILTER',
      minPrice: '0.0000000000001',
      maxPrice: '10000000',
      tickSize: '1',
      minExchangeValue: '99.91',
      minAmount: null,
      maxAmount: null,
    },
  ],
  orderMethods: ['MARKET', 'LIMIT', 'ICEBERG', 'STOP_LIMIT'],
  maximumOrderAmount: null,
  maximumLimitOrderPrice: 37541350,
  minimumLimitOrderPrice: 375413.5,
};

describe('read answers', () => {
  it('reads the server time, bare', () => {
    expect(
      ask({ type: 'server-time' }, reply(200, '{"serverTime":1790133600027,"serverTime2":"x"}')),
    ).to.deep.equal({
      serverMs: 1_790_133_600_027,
    });
  });

  it('reads instruments: no fraction means whole prices, whatever the scale says', () => {
    const { instruments, problems } = ask(
      { type: 'instruments' },
      envelope({ symbols: [SYMBOL], currencies: [] }),
    );
    expect(problems).to.deep.equal([]);
    const [one] = instruments;
    expect(one).to.deep.include({
      symbol: 'ETHTRY',
      pairId: 3,
      base: 'ETH',
      quote: 'TRY',
      priceScale: 0,
      quantityScale: 8,
      maxQuantity: null,
      methods: ['market', 'limit', 'stop-limit'],
      status: 'TRADING',
    });
    expect(formatDecimal(one?.minNotional ?? 0n)).to.equal('99.91');
    expect(formatDecimal(one?.minLimitPrice ?? 0n)).to.equal('375413.5');
    expect(formatDecimal(one?.minPrice ?? 0n)).to.equal('0.0000000000001');
  });

  it('reads numbers with trailing zeros and a cap on the quantity', () => {
    const text = JSON.stringify(SYMBOL)
      .replace('37541350', '5838790.0000000000000000')
      .replace('"maximumOrderAmount":null', '"maximumOrderAmount":12.5')
      .replace('"hasFraction":false', '"hasFraction":true');
    const [one] = ask({ type: 'instruments' }, raw(`{"symbols":[${text}]}`)).instruments;
    expect(one?.priceScale).to.equal(2);
    expect(formatDecimal(one?.maxLimitPrice ?? 0n)).to.equal('5838790');
    expect(formatDecimal(one?.maxQuantity ?? 0n)).to.equal('12.5');
  });

  it('names the symbols it cannot read beside the readable ones, and refuses a list of none', () => {
    const broken = { ...SYMBOL, name: 'NEWTRY', numerator: 'NEW', filters: [] };
    const odd = { ...SYMBOL, name: 'ODDTRY' };
    const { instruments, problems } = ask(
      { type: 'instruments' },
      envelope({ symbols: [broken, SYMBOL, odd, 7] }),
    );
    expect(instruments.map(({ symbol }) => symbol)).to.deep.equal(['ETHTRY']);
    expect(problems).to.have.length(3);
    expect(problems?.[0]).to.match(/^NEWTRY: .*filters/);
    expect(failure({ type: 'instruments' }, envelope({ symbols: [broken] }))).to.deep.include({
      type: 'unavailable',
      cause: 'unreadable',
    });
  });

  it('reads the wanted symbols alone, and refuses a list of which nothing can be read', () => {
    const broken = { ...SYMBOL, name: 'NEWTRY', filters: [] };
    const other = { ...SYMBOL, name: 'BTCTRY', numerator: 'BTC' };
    const listed = (symbols: readonly string[], list: readonly unknown[]) => {
      const { instruments, problems } = ask({ type: 'instruments', symbols }, envelope({ symbols: list }));
      return { names: instruments.map(({ symbol }) => symbol), problems: problems?.length };
    };
    expect(listed(['ETHTRY'], [broken, other, SYMBOL])).to.deep.equal({ names: ['ETHTRY'], problems: 0 });
    expect(listed(['NEWTRY', 'ETHTRY'], [broken, SYMBOL])).to.deep.equal({ names: ['ETHTRY'], problems: 1 });
    expect(listed(['NEWTRY'], [broken, SYMBOL])).to.deep.equal({ names: [], problems: 1 });
    expect(listed(['XRPTRY'], [broken, SYMBOL])).to.deep.equal({ names: [], problems: 0 });
    for (const list of [[], [broken], [7]])
      expect(failure({ type: 'instruments', symbols: ['XRPTRY'] }, envelope({ symbols: list }))).to.include({
        cause: 'unreadable',
      });
  });

  it('says again what the same text said, and reads another text anew', () => {
    const none = envelope({ asks: [], bids: [] });
    const call = { type: 'open-orders', symbol: 'BTCTRY' } as const;
    const order = { asks: [ORDER], bids: [] };
    expect(ask(call, none)).to.deep.equal({ orders: [] });
    expect(ask(call, none)).to.deep.equal({ orders: [] });
    expect(ask(call, envelope(order)).orders).to.have.length(1);
    expect(failure(call, reply(500, { asks: [], bids: [] }))).to.include({ cause: 'server-error' });
    expect(failure(call, envelope({ asks: [{}], bids: [] }))).to.include({ cause: 'unreadable' });
    expect(failure(call, envelope({ asks: [{}], bids: [] }))).to.include({ cause: 'unreadable' });
    expect(ask(call, none)).to.deep.equal({ orders: [] });
  });

  it('reads a ticker with floating text, and no ticker for an unknown pair', () => {
    const row = `{"pair":"BTCUSDT","timestamp":1790133599871,"last":77260,"bid":77255.0,"ask":77295,"order":2000}`;
    const ticker = ask({ type: 'ticker', symbol: 'BTCUSDT' }, raw(`[${row}]`));
    expect(formatDecimal(ticker?.bid ?? 0n)).to.equal('77255');
    expect(ask({ type: 'ticker', symbol: 'NOPEUSDT' }, raw('[]'))).to.equal(null);
  });

  it('reads the ticker of a pair whose prices are printed with an exponent', () => {
    const row = `{"pair":"SHIBUSDT","timestamp":1790133599871,"last":1.2345E-05,"bid":1.234E-05,"ask":1.235E-05,"volume":1E+9}`;
    const ticker = ask({ type: 'ticker', symbol: 'SHIBUSDT' }, raw(`[${row}]`));
    expect([ticker?.bid, ticker?.ask, ticker?.last].map(price => formatDecimal(price ?? 0n))).to.deep.equal([
      '0.00001234',
      '0.00001235',
      '0.000012345',
    ]);
    expect(ask({ type: 'day-tickers' }, raw(`[${row}]`)).tickers).to.have.length(1);
  });

  it('reads an order book whose code is text and whose time ends in .0', () => {
    const book = ask(
      { type: 'order-book', symbol: 'BTCUSDT', depth: 5 },
      reply(
        200,
        '{"data":{"timestamp":1790133600027.0,"bids":[["77255","0.01936000"]],"asks":[]},"success":true,"message":null,"code":"SUCCESS"}',
      ),
    );
    expect(book.atMs).to.equal(1_790_133_600_027);
    expect(formatDecimal(book.bids[0]?.quantity ?? 0n)).to.equal('0.01936');
  });

  it('reads an order book without a code', () => {
    const body = '{"data":{"timestamp":1,"bids":[],"asks":[]},"success":true}';
    expect(ask({ type: 'order-book', symbol: 'X', depth: 5 }, reply(200, body)).bids).to.deep.equal([]);
  });

  it('reads public trades, oldest first', () => {
    const trade = (tid: string, date: number) =>
      `{"pair":"BTCUSDT","date":${date},"tid":"${tid}","price":"77260","amount":"0.0021","side":"sell"}`;
    const { trades } = ask(
      { type: 'public-trades', symbol: 'BTCUSDT', count: 2 },
      raw(`[${trade('2', 20)},${trade('1', 10)}]`),
    );
    expect(trades.map(({ tradeId }) => tradeId)).to.deep.equal(['1', '2']);
  });

  it('reads candles, and none when the chart host has none', () => {
    const call = { type: 'candles', symbol: 'BTCTRY', resolution: '60', fromMs: 0, toMs: 1 } as const;
    const some =
      '{"s":"ok","t":[1790100000],"h":[3750010.0],"o":[3741005.5],"l":[1],"c":[2],"v":[1.20417733]}';
    const [candle] = ask(call, reply(200, some)).candles;
    expect(candle?.openedAtMs).to.equal(1_790_100_000_000);
    expect(formatDecimal(candle?.open ?? 0n)).to.equal('3741005.5');
    expect(
      ask(call, reply(200, '{"s":null,"t":[],"h":[],"o":[],"l":[],"c":[],"v":[]}')).candles,
    ).to.deep.equal([]);
    expect(failure(call, reply(200, some.replace('"v":[1.20417733]', '"v":[]')))).to.deep.include({
      cause: 'unreadable',
    });
  });

  it('reads daily candles', () => {
    const body =
      '[{"pair":"BTCTRY","time":1790035200,"open":3702115.0,"high":3790000.0,"low":3688020.0,"close":3754135.0,"volume":41.88213077,"total":1}]';
    const call = { type: 'daily-candles', symbol: 'BTCTRY', fromMs: 0, toMs: 1 } as const;
    expect(formatDecimal(ask(call, reply(200, body)).candles[0]?.volume ?? 0n)).to.equal('41.88213077');
  });

  describe('balances', () => {
    const row = (balance: string, free = balance, locked = '0') =>
      envelope([{ asset: 'TRY', balance, free, locked, precision: 2, timestamp: 1790133600027 }]);

    for (const [text, exact] of [
      ['15210.4403120000000000', '15210.440312'],
      ['27223,7283250757643288', '27223.7283250757643288'],
      ['0', '0'],
      ['-1,5', '-1.5'],
    ] as const) {
      it(`reads ${text}`, () => {
        const { balances, atMs } = ask({ type: 'balances' }, row(text));
        expect(formatDecimal(balances[0]?.total ?? -1n)).to.equal(exact);
        expect(atMs).to.equal(1_790_133_600_027);
      });
    }

    for (const text of [
      '1.000,5',
      '1,000.5',
      '1,000,5',
      '1.0.0',
      '',
      'NaN',
      '1e5',
      ',5',
      '5,',
      ' 5',
      '0x1',
    ]) {
      it(`does not guess what ${JSON.stringify(text)} means`, () => {
        expect(failure({ type: 'balances' }, row(text))).to.deep.include({
          type: 'unavailable',
          cause: 'unreadable',
        });
      });
    }

    it('stands in the time of arrival where the venue gives none', () => {
      const { atMs } = ask(
        { type: 'balances' },
        envelope([{ asset: 'BTC', balance: '1', free: '1', locked: '0' }]),
      );
      expect(atMs).to.equal(TIMING.receivedAtMs);
    });

    it('clamps nothing', () => {
      const { balances } = ask({ type: 'balances' }, row('1', '3', '-2'));
      expect(formatDecimal(balances[0]?.locked ?? 0n)).to.equal('-2');
    });
  });

  describe('orders', () => {
    it('reads open orders of both sides, sorted by id as numbers', () => {
      const bids = [
        { ...ORDER, id: 100 },
        { ...ORDER, id: 99 },
      ];
      const { orders } = ask(
        { type: 'open-orders', symbol: 'BTCUSDT' },
        envelope({ asks: [{ ...ORDER, id: 9, type: 'sell' }], bids }, { message: null }),
      );
      expect(orders.map(({ venueOrderId }) => venueOrderId)).to.deep.equal(['9', '99', '100']);
      expect(orders[1]).to.deep.include({ clientOrderId: 'mm-1', status: 'untouched', createdAtMs: 0 });
    });

    it('takes the venue’s word that a pair is gone for a list of none, and no other refusal', () => {
      const refused = (message: string): HttpReply => reply(400, { success: false, message, code: 1037 });
      const gone = refused('Pair LUNATRY does not exists.');
      expect(ask({ type: 'open-orders', symbol: 'LUNATRY' }, gone)).to.deep.equal({
        orders: [],
        pairGone: true,
      });
      for (const other of [refused('INVALID_REQUEST_ERROR'), reply(404, ''), reply(403, '<html></html>')])
        expect(failure({ type: 'open-orders', symbol: 'LUNATRY' }, other)).to.include({ type: 'refused' });
      const all = { type: 'all-orders', symbol: 'LUNATRY', fromMs: 0, toMs: null, limit: 10 } as const;
      expect(failure(all, gone), 'an order is not proven absent by it').to.include({ type: 'refused' });
    });

    it('reads one order', () => {
      const { order } = ask(
        { type: 'order', venueOrderId: '31840022901' },
        envelope({ ...ORDER, status: 'Partial', leftAmount: '0.001', type: 'SELL', method: 'stopLimit' }),
      );
      expect(order).to.deep.include({ status: 'partial', side: 'sell', method: 'stop-limit' });
      expect(formatDecimal(order?.remaining ?? 0n)).to.equal('0.001');
    });

    it('does not keep the price the venue shows on a market order', () => {
      const { order } = ask({ type: 'order', venueOrderId: '1' }, envelope({ ...ORDER, method: 'market' }));
      expect(order?.price).to.equal(null);
    });

    it('takes only the venue’s own words for an order that does not exist', () => {
      const call = { type: 'order', venueOrderId: '1' } as const;
      const words = { success: false, message: 'Order not found', code: 1152 };
      expect(ask(call, reply(400, words))).to.deep.equal({ order: null });
      expect(ask(call, reply(422, words))).to.deep.equal({ order: null });
      expect(failure(call, reply(404, '')).type).to.equal('refused');
      expect(failure(call, reply(400, { ...words, message: 'order not found?' })).type).to.equal('refused');
      expect(failure(call, reply(503, words)).type).to.equal('unavailable');
    });

    for (const [title, order] of [
      ['more left than was asked for', { ...ORDER, leftAmount: '1' }],
      ['less than nothing left', { ...ORDER, leftAmount: '-1' }],
      ['no id', { ...ORDER, id: undefined }],
      ['an unknown status', { ...ORDER, status: 'Expired' }],
      ['an unknown side', { ...ORDER, type: 'both' }],
      ['an amount that is no number', { ...ORDER, amount: 'NaN' }],
    ] as const) {
      it(`has no answer for an order with ${title}`, () => {
        expect(
          failure({ type: 'all-orders', symbol: 'X', fromMs: null, toMs: null, limit: 1 }, envelope([order])),
        ).to.deep.include({ type: 'unavailable', cause: 'unreadable' });
      });
    }

    it('says where the first problem is', () => {
      const found = failure(
        { type: 'all-orders', symbol: 'X', fromMs: null, toMs: null, limit: 1 },
        envelope([ORDER, { ...ORDER, leftAmount: '1,5' }]),
      );
      expect(found)
        .to.have.property('detail')
        .that.matches(/^data\.1\.leftAmount: /);
    });
  });

  describe('fills', () => {
    const trade = (from = '', to = '') => raw(`[${TRADE.replace(from, to)}]`);
    const call = { type: 'trades', fromMs: null, toMs: null } as const;

    it('reads a trade: the precise amount, positive costs, an id above 2^53', () => {
      const [fill] = ask(call, trade()).fills;
      expect(fill).to.deep.include({
        tradeId: '1263118840021773311',
        venueOrderId: '31840022117',
        clientOrderId: 'mm-7f3a-000184',
        symbol: 'DOTUSDT',
        side: 'sell',
        feeAsset: 'USDT',
        executedAtMs: 1_790_133_598_911,
      });
      expect(formatDecimal(fill?.quantity ?? 0n)).to.equal('25.5');
      expect(formatDecimal(fill?.fee ?? 0n)).to.equal('0.1252475');
      expect(formatDecimal(fill?.tax ?? 0n)).to.equal('0.0250495');
    });

    it('ignores the rounded amount', () => {
      const text = TRADE.replace('"-25.50000000"', '"-0.2758"')
        .replace(': -25.5', ': -0.27575055')
        .replace('"preciseAmount":-25.5', '"preciseAmount":-0.2757505500000001');
      expect(formatDecimal(ask(call, raw(`[${text}]`)).fills[0]?.quantity ?? 0n)).to.equal(
        '0.2757505500000001',
      );
    });

    for (const [printed, exact] of [
      ['-2.5e-7', '0.00000025'],
      ['-0.27575055000000000001', '0.27575055'],
      ['-0.12345678901234567', '0.1234567890123457'],
      ['-25', '25'],
    ] as const) {
      it(`reads a precise amount printed as ${printed}`, () => {
        const [fill] = ask(call, trade('"preciseAmount":-25.5', `"preciseAmount":${printed}`)).fills;
        expect(formatDecimal(fill?.quantity ?? 0n)).to.equal(exact);
      });
    }

    it('takes fees of zero and a trade without a label', () => {
      const text = TRADE.replace('-0.12524750', '0')
        .replace('-0.02504950', '0.00')
        .replace('"mm-7f3a-000184"', 'null');
      const [fill] = ask(call, raw(`[${text}]`)).fills;
      expect(fill).to.deep.include({ fee: 0n, tax: 0n, clientOrderId: null });
    });

    for (const [title, from, to] of [
      ['no precise amount', '"preciseAmount":-25.5', '"x":1'],
      ['a precise amount of zero', '"preciseAmount":-25.5', '"preciseAmount":0'],
      ['a sign that contradicts the side', '"preciseAmount":-25.5', '"preciseAmount":25.5'],
      ['a fee that is paid to us', '-0.12524750', '0.125'],
      ['no id', '"id":1263118840021773311,', ''],
      ['an id with a fraction', '1263118840021773311', '12.5'],
      ['a price of zero', '"4.21"', '"0"'],
      ['no side', '"sell"', '""'],
    ] as const) {
      it(`has no answer for a trade with ${title}`, () => {
        expect(failure(call, trade(from, to))).to.deep.include({ type: 'unavailable', cause: 'unreadable' });
      });
    }

    it('says oldest first', () => {
      const older = TRADE.replace('1790133598911', '1790133500000').replace('1263118840021773311', '1');
      expect(ask(call, raw(`[${TRADE},${older}]`)).fills.map(({ tradeId }) => tradeId)).to.deep.equal([
        '1',
        '1263118840021773311',
      ]);
    });
  });

  describe('cash movements', () => {
    const call = { type: 'cash-movements', fromMs: null, toMs: null } as const;
    const crypto = {
      id: 88120114,
      timestamp: 1790050001122,
      currencySymbol: 'USDT',
      balanceType: 'Deposit',
      amount: '500.00000000',
      funds: 500,
      fee: '0',
      tax: '0',
      isConfirmed: true,
    };
    const fiat = {
      id: 88120114,
      timestamp: 1790040000500,
      currencySymbol: 'TRY',
      balanceType: 'withdrawal',
      amount: '-1000.00',
      fee: '-3.00',
      tax: '0',
    };

    it('joins both tables, keeps their ids apart and signs by the kind', () => {
      const { movements } = ask(call, envelope([crypto]), envelope([fiat, { ...fiat, id: 2, amount: '7' }]));
      expect(
        movements.map(({ movementId, amount, fee }) => [
          movementId,
          formatDecimal(amount),
          formatDecimal(fee),
        ]),
      ).to.deep.equal([
        ['crypto:88120114', '500', '0'],
        ['fiat:88120114', '-1000', '3'],
        ['fiat:2', '-7', '3'],
      ]);
    });

    it('waits for a deposit to be confirmed', () => {
      expect(ask(call, envelope([{ ...crypto, isConfirmed: false }]), envelope([])).movements).to.deep.equal(
        [],
      );
    });

    it('has no answer when one table has none', () => {
      expect(failure(call, envelope([crypto]), reply(503, ''))).to.deep.include({ cause: 'server-error' });
    });
  });

  for (const [title, candidate, expected] of [
    [
      '401',
      reply(401, { success: false, message: 'Unauthorized - Invalid Nonce', code: 1037 }),
      { type: 'unauthorized', message: 'Unauthorized - Invalid Nonce' },
    ],
    [
      '401 that says success',
      reply(401, { success: true, message: null, data: [] }),
      { type: 'unauthorized', message: 'Unauthorized' },
    ],
    ['401 without a body', reply(401, ''), { type: 'unauthorized', message: 'Unauthorized' }],
    [
      '429',
      reply(429, '{"message":"TOO_MANY_REQUESTS","success":false,"code":429}', { 'retry-after': '7' }),
      { type: 'rate-limited', retryAfterMs: 7_000 },
    ],
    ['403 from the edge', reply(403, '<html>'), { type: 'refused', message: 'HTTP 403', code: '403' }],
    [
      '400',
      reply(400, { success: false, message: 'INVALID_REQUEST_ERROR', code: 1037 }),
      { type: 'refused', message: 'INVALID_REQUEST_ERROR', code: '1037' },
    ],
    [
      '200 without success',
      reply(200, { success: false, message: 'SYSTEM_UNDER_MAINTENANCE', code: 'SYSTEM_UNDER_MAINTENANCE' }),
      { type: 'refused', message: 'SYSTEM_UNDER_MAINTENANCE', code: 'SYSTEM_UNDER_MAINTENANCE' },
    ],
    ['503', reply(503, '<html>'), { type: 'unavailable', cause: 'server-error', detail: 'HTTP 503' }],
    ['302', reply(302, ''), { type: 'unavailable', cause: 'unrecognised', detail: 'HTTP 302' }],
    [
      'a timeout',
      { type: 'no-response', cause: 'timeout', detail: 'x' },
      { type: 'unavailable', cause: 'timeout', detail: 'x' },
    ],
    [
      'nothing sent',
      { type: 'not-sent', reason: 'x' },
      { type: 'unavailable', cause: 'disconnect', detail: 'x' },
    ],
    ['success without data', reply(200, { success: true }), { type: 'unavailable', cause: 'unreadable' }],
    ['data that is null', envelope(null), { type: 'unavailable', cause: 'unreadable' }],
  ] as readonly [string, HttpReply, Readonly<Record<string, unknown>>][]) {
    it(`has no answer on ${title}`, () => {
      expect(failure({ type: 'balances' }, candidate)).to.deep.include(expected);
    });
  }
});
