/** The conformance checklist of protocol section 13.1, row by row, on the exchange's step function. */
import { expect } from 'chai';
import { formatDecimal, parseDecimal } from '#src/domain/money.js';
import { CATALOGUE } from '#src/exchange/instruments.js';
import { affordable } from '#src/exchange/trading.js';
import { book, type Harness, harness, KEY, limit, quietHarness, SECRET, sign } from './harness.js';

const post = (self: Harness, fields: Readonly<Record<string, unknown>>) =>
  self.call('POST', '/api/v1/order', { pairSymbol: 'BTCUSDT', ...fields });
const LIMIT_BUY = { orderType: 'buy', orderMethod: 'limit', price: '76500', quantity: '0.01' } as const;

describe('paths (checklist row 1)', () => {
  const self = quietHarness();
  for (const path of [
    '/api/v2/server/time',
    '/api/v2/server/exchangeInfo',
    '/API/V2/OrderBook?pairSymbol=btc_usdt',
    '/v1/klines/history?symbol=BTCUSDT&resolution=60&from=0&to=1790133600',
    '/api/v1/users/balances',
    '/api/v1/openorders',
    '/api/v1/AllOrders?pairSymbol=BTCUSDT',
  ])
    it(`answers ${path}, whatever its case`, () => {
      expect(self.call('GET', path)?.status).to.equal(200);
    });

  it('answers an unknown path with an empty 404 and a wrong verb with 405', () => {
    const unknown = self.call('GET', '/api/v2/nothing');
    expect([unknown?.status, unknown?.body]).to.deep.equal([404, '']);
    expect(self.call('POST', '/api/v2/ticker')?.status).to.equal(405);
    expect(self.call('GET', '/api/v2/order')?.status).to.equal(404);
  });

  it('permits other origins on public paths alone', () => {
    expect(self.call('GET', '/api/v2/ticker')?.headers['access-control-allow-origin']).to.equal('*');
    expect(self.call('GET', '/api/v1/users/balances')?.headers).not.to.have.property(
      'access-control-allow-origin',
    );
  });
});

describe('authentication (checklist row 2)', () => {
  const balances = (self: Harness, options: Parameters<Harness['call']>[3]) =>
    self.call('GET', '/api/v1/users/balances', undefined, options);

  it('accepts the signatures of the protocol document', () => {
    expect(sign(SECRET, `${KEY}1767225600000`)).to.equal('xJizolqUfmf0vB0AqBXRvuRHq+WCU/O4sr8HVn+GWow=');
    expect(balances(quietHarness(), {})?.status).to.equal(200);
  });

  for (const [title, options, message] of [
    [
      'an undecoded secret',
      { secret: Buffer.from(SECRET).toString('base64') },
      'Unauthorized - Invalid Signature',
    ],
    ['an unknown key', { apiKey: 'nobody' }, 'Unauthorized - Invalid Public key'],
    ['a missing header', { headers: { 'x-signature': undefined } }, 'Unauthorized - Headers are missing'],
    ['a stamp in seconds', { stampMs: 1_790_133_601 }, 'Unauthorized - Invalid Nonce'],
    ['a stamp 5001 ms behind', { stampMs: 1_790_133_601_000 - 5_001 }, 'Unauthorized - Invalid Nonce'],
    ['a stamp 5001 ms ahead', { stampMs: 1_790_133_601_000 + 5_001 }, 'Unauthorized - Invalid Nonce'],
  ] as const)
    it(`refuses ${title}`, () => {
      const reply = balances(quietHarness(), options);
      expect(reply?.status).to.equal(401);
      expect(reply?.json).to.deep.equal({ success: false, message, code: 1037 });
    });

  it('accepts stamps 5000 ms off, equal stamps twice, and ignores X-Nonce', () => {
    const self = quietHarness();
    for (const stampMs of [self.nowMs() - 5_000, self.nowMs() + 5_000, self.nowMs(), self.nowMs()])
      expect(balances(self, { stampMs, headers: { 'x-nonce': '1' } })?.status).to.equal(200);
  });

  it('shuts out an address after 50 refused signatures in a row, and only that one', () => {
    const self = quietHarness();
    for (let count = 0; count < 51; count++) expect(balances(self, { secret: 'AAAA' })?.status).to.equal(401);
    const shut = balances(self, {});
    expect([shut?.status, shut?.headers['content-type']]).to.deep.equal([403, 'text/html; charset=UTF-8']);
    expect(balances(self, { ip: '127.0.0.2' })?.status).to.equal(200);
  });
});

describe('input (checklist row 3)', () => {
  for (const [title, fields] of [
    ['text', LIMIT_BUY],
    ['numbers', { ...LIMIT_BUY, price: 76500.0, quantity: 0.01 }],
    [
      'other cases of names and values',
      {
        PairSymbol: 'btc_usdt',
        OrderType: 'BUY',
        OrderMethod: 'Limit',
        Price: '76500',
        Quantity: 0.01,
        pairSymbol: undefined,
      },
    ],
    ['unknown fields', { ...LIMIT_BUY, newClientOrderId: 'ignored', nested: { a: [1] } }],
  ] as const)
    it(`reads ${title}`, () => {
      const reply = post(quietHarness(), fields);
      expect(reply?.json.data).to.include({ price: '76500', quantity: '0.01', pairSymbol: 'BTCUSDT' });
    });

  it('keeps the digits of numbers that a double cannot hold, exponents included', () => {
    const self = quietHarness();
    const reply = self.call('POST', '/api/v1/order', undefined, {
      rawBody:
        '{"pairSymbol":"BTCUSDT","orderType":"buy","orderMethod":"limit","price":76.5E+3,"quantity":1.12345678e-2}',
    });
    expect(reply?.status).to.equal(400);
    expect(reply?.json.message).to.equal('FAILED_INVALID_QUANTITY_SCALE');
    const fine = self.call('POST', '/api/v1/order', undefined, {
      rawBody:
        '{"pairSymbol":"BTCUSDT","orderType":"buy","orderMethod":"limit","price":76.5E+3,"quantity":1.1E-2}',
    });
    expect(fine?.json.data.quantity).to.equal('0.011');
  });

  for (const [title, fields, message] of [
    ['a decimal comma', { price: '76500,5' }, 'FAILED_ORDER_PARAMETER'],
    ['an exponent as text', { quantity: '1e-2' }, 'FAILED_ORDER_PARAMETER'],
    ['a sign', { quantity: '-1' }, 'FAILED_ORDER_PARAMETER'],
    ['no price', { price: undefined }, 'FAILED_ORDER_PARAMETER'],
    ['a label of 51 characters', { newOrderClientId: 'x'.repeat(51) }, 'FAILED_ORDER_PARAMETER'],
    ['no method', { orderMethod: undefined }, 'INVALID_REQUEST_ERROR'],
    ['an unknown side', { orderType: 'short' }, 'ORDER_TYPE_NOT_SUPPORTED'],
    ['an unknown method', { orderMethod: 'iceberg' }, 'ORDER_METHOD_NOT_SUPPORTED'],
    ['an unknown pair', { pairSymbol: 'NOPEUSDT' }, 'Pair NOPEUSDT does not exists.'],
  ] as const)
    it(`refuses ${title}`, () => {
      const reply = post(quietHarness(), { ...LIMIT_BUY, ...fields });
      expect([reply?.status, reply?.json.message, reply?.json.data]).to.deep.equal([400, message, null]);
    });

  it('refuses what is not JSON, and another content type', () => {
    const self = quietHarness();
    const broken = self.call('POST', '/api/v1/order', undefined, { rawBody: '{"pairSymbol":' });
    expect([broken?.status, broken?.json.message]).to.deep.equal([400, 'INVALID_REQUEST_ERROR']);
    const form = self.call('POST', '/api/v1/order', LIMIT_BUY, { headers: { 'content-type': 'text/plain' } });
    expect(form?.status).to.equal(415);
  });

  it('takes the id of a cancel from the query, never from a body', () => {
    const self = quietHarness();
    const id = limit(self, 'buy', '76500', '0.01');
    const reply = self.call('DELETE', '/api/v1/order', { id });
    expect([reply?.status, reply?.json.message]).to.deep.equal([400, 'NO_ORDER_MATCHES_YOUR_REQUEST']);
  });
});

describe('envelope (checklist row 4)', () => {
  it('has an integer code 0, and httpStatusCode on submits alone', () => {
    const self = quietHarness();
    const accepted = post(self, LIMIT_BUY)?.json;
    expect(accepted).to.include({ httpStatusCode: 200, success: true, message: 'SUCCESS', code: 0 });
    const refused = post(self, { ...LIMIT_BUY, quantity: '0.00001' })?.json;
    expect(refused).to.deep.equal({
      httpStatusCode: 400,
      data: null,
      success: false,
      message: 'FAILED_MIN_TOTAL_AMOUNT',
      code: 1123,
    });
    expect(self.call('GET', '/api/v2/ticker')?.json).to.include({ success: true, message: null, code: 0 });
  });

  it('has no data on a cancel', () => {
    const self = quietHarness();
    const id = limit(self, 'buy', '76500', '0.01');
    self.advance(20);
    expect(self.call('DELETE', `/api/v1/order?id=${id}`)?.json).to.deep.equal({
      success: true,
      message: 'SUCCESS',
      code: 0,
    });
  });

  it('is absent from server time, ping and charts', () => {
    const self = quietHarness();
    expect(self.call('GET', '/api/v2/server/time')?.json).to.have.all.keys('serverTime', 'serverTime2');
    expect(self.call('GET', '/api/v2/server/ping')?.json).to.deep.equal({ pong: true });
    expect(self.call('GET', '/v1/ohlcs?pair=BTCUSDT')?.json).to.be.an('array');
  });

  it('can say success:true on a 401, a text code on the book, and decimal commas', () => {
    const self = quietHarness({ faults: ['success-on-401', 'string-code', 'comma-balances'] });
    expect(self.call('GET', '/api/v1/users/balances', undefined, { secret: 'AAAA' })?.json).to.include({
      success: true,
      message: 'Unauthorized - Invalid Signature',
    });
    expect(self.call('GET', '/api/v2/orderbook?pairSymbol=BTCUSDT')?.json.code).to.equal('SUCCESS');
    expect(self.call('GET', '/api/v1/users/balances')?.json.data[0].balance).to.equal(
      '1000000,0000000000000000',
    );
  });
});

describe('units (checklist row 5)', () => {
  it('takes seconds for allOrders and refuses milliseconds with 1038', () => {
    const self = quietHarness();
    const id = limit(self, 'buy', '76500', '0.01');
    self.advance(5_000);
    const atS = Math.floor(self.nowMs() / 1_000);
    const rows = (query: string) => self.call('GET', `/api/v1/allOrders?pairSymbol=BTCUSDT${query}`);
    expect(rows(`&startTime=${atS - 10}&endTime=${atS}`)?.json.data[0].id).to.equal(id);
    expect(rows(`&startTime=${atS - 2}`)?.json.data).to.deep.equal([]);
    expect(rows('&startTime=0&endTime=0')?.json.data).to.have.length(1);
    const refused = rows(`&startTime=${self.nowMs()}`);
    expect([refused?.status, refused?.json]).to.deep.equal([
      400,
      { success: false, message: 'startTime cannot be bigger than current unix timestamp.', code: 1038 },
    ]);
    expect(self.call('GET', '/api/v1/allOrders')?.json.message).to.equal('INVALID_REQUEST_ERROR');
  });

  it('takes milliseconds for transactions', () => {
    const self = quietHarness();
    limit(self, 'buy', '77010', '0.01');
    self.advance(5_000);
    const rows = (query: string) =>
      self.call('GET', `/api/v1/users/transactions/trade?${query}`)?.json.data as unknown[];
    expect(rows(`startDate=${self.nowMs() - 6_000}`)).to.have.length(1);
    expect(rows(`startDate=${self.nowMs() - 1_000}`)).to.have.length(0);
    expect(rows(`endDate=${self.nowMs() - 6_000}`)).to.have.length(0);
    expect(rows('type=buy&type=sell&symbol=btc')).to.have.length(1);
    expect(rows('type=sell')).to.have.length(0);
    expect(rows('symbol=dot')).to.have.length(0);
  });

  it('takes quote for market buys, also behind a stop', () => {
    const self = quietHarness();
    const stop = post(self, {
      orderType: 'buy',
      orderMethod: 'stopmarket',
      stopPrice: '77100',
      quantity: '360',
    });
    const order = self.account().orders.get(stop?.json.data.id);
    expect(order?.quoteQuantity).to.equal(parseDecimal('360'));
    expect(order?.locked).to.equal(parseDecimal('360'));
    // 360 / (77100 × 1.0014): converted at the stop price (protocol section 6.1, and its logged example).
    expect(formatDecimal(order?.quantity ?? 0n)).to.equal('0.004662732874365');
  });
});

describe('what a budget buys', () => {
  it('is the logged amount of protocol section 6.1, to all 16 digits', () => {
    const bought = affordable(parseDecimal('360'), parseDecimal('1800.1'), 1_200, 'half-up');
    expect(formatDecimal(bought)).to.equal('0.1997491904775655');
  });
});

describe('validation (checklist row 6)', () => {
  const cases: readonly (readonly [string, Readonly<Record<string, unknown>>, string, number])[] = [
    ['price decimals where hasFraction is false', { price: '76500.5' }, 'FAILED_INVALID_PRICE_SCALE', 1126],
    [
      'price decimals before a missing balance',
      { price: '76500.5', quantity: '900' },
      'FAILED_INVALID_PRICE_SCALE',
      1126,
    ],
    ['quantity decimals', { quantity: '0.010000001' }, 'FAILED_INVALID_QUANTITY_SCALE', 1127],
    [
      'base decimals on a market buy',
      { orderMethod: 'market', quantity: '0.00236856' },
      'FAILED_INVALID_QUANTITY_SCALE',
      1127,
    ],
    [
      'price decimals even on a market order',
      { orderMethod: 'market', quantity: '100', price: '1.5' },
      'FAILED_INVALID_PRICE_SCALE',
      1126,
    ],
    [
      'stop price decimals',
      { orderMethod: 'stoplimit', stopPrice: '78000.5' },
      'FAILED_INVALID_STOP_PRICE_SCALE',
      1128,
    ],
    ['a price above the static window', { price: '10000001' }, 'PRICE_MUST_BE_LESS_THAN_MAXPRICE', 1226],
    [
      'a price below a tenth of the market',
      { price: '7000', quantity: '1' },
      'ORDER_MIN_PRICE_EXCEEDED',
      2001,
    ],
    ['a price above ten times the market', { price: '800000' }, 'ORDER_MAX_PRICE_EXCEEDED', 2002],
    ['a value below the minimum', { quantity: '0.00001' }, 'FAILED_MIN_TOTAL_AMOUNT', 1123],
    [
      'a market buy below the minimum',
      { orderMethod: 'market', quantity: '9.9' },
      'FAILED_MIN_TOTAL_AMOUNT',
      1123,
    ],
    [
      'a market sell below the minimum',
      { orderType: 'sell', orderMethod: 'market', quantity: '0.0001' },
      'FAILED_MIN_TOTAL_AMOUNT',
      1123,
    ],
    [
      'a stop buy at the market',
      { orderMethod: 'stoplimit', stopPrice: '77010', price: '77010' },
      'FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK',
      1124,
    ],
    [
      'a stop sell at the market',
      { orderType: 'sell', orderMethod: 'stoplimit', stopPrice: '77000', price: '76900' },
      'FAILED_STOP_PRICE_LESS_THAN_BEST_BID',
      1125,
    ],
    ['more than there is', { quantity: '5' }, 'BALANCE_NOT_ENOUGH', 1055],
  ];
  for (const [title, fields, message, code] of cases)
    it(`refuses ${title}: ${message}`, () => {
      const reply = post(quietHarness(), { ...LIMIT_BUY, ...fields });
      expect([reply?.status, reply?.json.message, reply?.json.code]).to.deep.equal([400, message, code]);
    });

  it('refuses more than open orders leave: FAILED_ORDER_WITH_OPEN_ORDERS', () => {
    const self = quietHarness();
    limit(self, 'buy', '76500', '0.4');
    const reply = post(self, { ...LIMIT_BUY, quantity: '0.4' });
    expect([reply?.json.message, reply?.json.code]).to.deep.equal(['FAILED_ORDER_WITH_OPEN_ORDERS', 1122]);
  });

  it('refuses a market order when nobody is there: FAILED_MARKET_ORDER', () => {
    const self = quietHarness();
    self.market('BTCUSDT', book([['77000', '1']], []));
    const reply = post(self, { orderType: 'buy', orderMethod: 'market', quantity: '100' });
    expect([reply?.json.message, reply?.json.code]).to.deep.equal(['FAILED_MARKET_ORDER', 1118]);
  });

  it('refuses a method that the pair does not offer: ORDER_METHOD_NOT_SUPPORTED', () => {
    const self = harness({ listings: CATALOGUE });
    const reply = post(self, {
      pairSymbol: 'GLMUSDT',
      orderType: 'buy',
      orderMethod: 'market',
      quantity: '100',
    });
    expect([reply?.json.message, reply?.json.code]).to.deep.equal(['ORDER_METHOD_NOT_SUPPORTED', 1134]);
  });

  it('takes any number of trailing zeros for no decimals', () => {
    expect(post(quietHarness(), { ...LIMIT_BUY, price: '76500.00' })?.status).to.equal(200);
  });

  it('checks the signature before the budget, and the budget before the order', () => {
    const self = quietHarness();
    for (let count = 0; count < 10; count++) post(self, { orderMethod: 'nonsense' });
    expect(post(self, { orderMethod: 'nonsense' })?.status).to.equal(429);
    expect(self.call('POST', '/api/v1/order', LIMIT_BUY, { secret: 'AAAA' })?.status).to.equal(401);
  });
});

describe('fees (checklist row 7)', () => {
  it('are negative, in quote, with 20 % VAT split off, on both sides', () => {
    const self = quietHarness();
    limit(self, 'sell', '77000', '0.1');
    limit(self, 'buy', '77010', '0.1');
    self.advance(100);
    const [buy, sell] = self.call('GET', '/api/v1/users/transactions/trade')?.json.data ?? [];
    expect(sell).to.include({ orderType: 'sell', amount: '-0.10000000', denominatorSymbol: 'USDT' });
    expect([sell.fee, sell.tax, sell.preciseAmount]).to.deep.equal([
      '-8.98333333333333333'.slice(0, 19),
      '-1.7966666666666667',
      -0.1,
    ]);
    expect([buy.fee, buy.tax, buy.preciseAmount]).to.deep.equal(['-8.98450000', '-1.79690000', 0.1]);
  });

  it('show the taker rate in denomLeft: added for buys, taken off for sells', () => {
    const self = quietHarness();
    const socket = self.connect();
    self.login(socket);
    limit(self, 'buy', '77000', '0.004', { newOrderClientId: 'mm-7f3a-000201' });
    limit(self, 'sell', '77020', '0.1');
    self.advance(50);
    const [bid, ask] = self.frames(socket, 451);
    expect(bid?.payload.denomLeft).to.equal('308.4312');
    expect(ask?.payload.denomLeft).to.equal('7691.2172');
  });
});

describe('asynchronous orders (checklist row 8)', () => {
  it('queue a submit, then say 451; queue a cancel, then say 452', () => {
    const self = quietHarness({
      config: { latency: { replyMs: 0, submitMs: 30, cancelMs: 40, userTradeMs: 5 } },
    });
    const socket = self.connect();
    self.login(socket);
    self.frames(socket);
    const id = limit(self, 'buy', '76500', '0.01', { newOrderClientId: 'mine' });
    self.advance(29);
    expect(self.frames(socket)).to.deep.equal([]);
    expect(self.call('GET', `/api/v1/order/${id}`)?.json.data.status).to.equal('Untouched');
    self.advance(1);
    const [inserted] = self.frames(socket);
    expect(inserted?.payload).to.deep.equal({
      type: 451,
      pairId: 19,
      symbol: 'BTCUSDT',
      id,
      method: 0,
      userId: 700123,
      orderType: 0,
      price: '76500',
      amount: '0.01',
      numLeft: '0.01',
      denomLeft: '766.071',
      newOrderClientId: 'mine',
    });
    self.call('DELETE', `/api/v1/order?id=${id}`);
    self.advance(39);
    expect(self.frames(socket)).to.deep.equal([]);
    self.advance(10);
    const [removed, hint] = self.frames(socket);
    expect(removed?.payload).to.include({
      type: 452,
      id,
      price: '76500.0000000000000000',
      amount: '0.0100000000000000',
      numLeft: '0.0100000000000000',
      newOrderClientId: 'mine',
    });
    expect(hint?.payload).to.deep.equal({ type: 201, userId: 700123, payload: '19,2,7' });
    expect(self.call('DELETE', `/api/v1/order?id=${id}`)?.json.success).to.equal(true);
  });

  it('let a fill win against a queued cancel, and then say no 452', () => {
    const self = quietHarness();
    const socket = self.connect();
    self.login(socket);
    const id = limit(self, 'buy', '77005', '0.01');
    self.advance(20);
    self.call('DELETE', `/api/v1/order?id=${id}`);
    self.admin({
      type: 'participant',
      symbol: 'BTCUSDT',
      side: 'sell',
      price: null,
      quantity: parseDecimal('0.01'),
    });
    self.advance(100);
    expect(self.frames(socket).map(frame => frame.model)).to.deep.equal([991, 114, 451, 441, 423, 201]);
    expect(self.call('GET', `/api/v1/order/${id}`)?.json.data).to.include({
      status: 'Closed',
      leftAmount: '0.0000000000000000',
    });
    const late = self.call('DELETE', `/api/v1/order?id=${id}`);
    expect([late?.status, late?.json.message, late?.json.code]).to.deep.equal([
      400,
      'ORDER_COULD_NOT_BE_CANCELED',
      1051,
    ]);
  });

  it('show in a 452 what was left when the cancel was queued', () => {
    const self = quietHarness();
    const socket = self.connect();
    self.login(socket);
    const id = limit(self, 'buy', '77005', '0.02');
    self.advance(20);
    self.call('DELETE', `/api/v1/order?id=${id}`);
    self.admin({
      type: 'participant',
      symbol: 'BTCUSDT',
      side: 'sell',
      price: null,
      quantity: parseDecimal('0.015'),
    });
    self.advance(100);
    const [removed] = self.frames(socket, 452);
    expect(removed?.payload.numLeft).to.equal('0.0200000000000000');
    expect(self.call('GET', `/api/v1/order/${id}`)?.json.data).to.include({
      status: 'Canceled',
      leftAmount: '0.0050000000000000',
    });
  });

  it('say 441 before the reply when the reply is slow', () => {
    const self = quietHarness({ faults: ['slow-replies=200,on=submit'] });
    const socket = self.connect();
    self.login(socket);
    self.frames(socket);
    const before = self.effects.length;
    const reply = self.call(
      'POST',
      '/api/v1/order',
      { ...LIMIT_BUY, pairSymbol: 'BTCUSDT', price: '77010' },
      { waitMs: 300 },
    );
    expect(reply?.status).to.equal(200);
    const order = self.effects
      .slice(before)
      .filter(effect => effect.type === 'frame' || effect.type === 'reply')
      .map(effect => (effect.type === 'frame' ? effect.text.slice(1, 4) : 'reply'));
    expect(order).to.deep.equal(['451', '441', '423', '201', 'reply']);
  });

  it('describe one fill in 441 and 423 by different keys', () => {
    const self = quietHarness();
    const socket = self.connect();
    self.login(socket);
    const id = limit(self, 'buy', '77010', '0.0275', { newOrderClientId: 'label' });
    self.advance(100);
    const [match] = self.frames(socket, 441, 423);
    expect(match?.payload).to.deep.equal({
      type: 441,
      id,
      user: 700123,
      isBid: true,
      method: 0,
      pair: 19,
      symbol: 'BTCUSDT',
      amount: '0.0275000000',
      price: '77010.0000000000',
      clientId: 'label',
      timestamp: match?.payload.timestamp,
    });
    expect(match?.payload.timestamp).to.be.a('string');
    const text = self.effects.flatMap(effect =>
      effect.type === 'frame' && effect.text.startsWith('[423') ? [effect.text] : [],
    )[0];
    expect(text).to.match(
      /^\[423,\{"price":"77010","numeratorSymbol":"BTC","denominatorSymbol":"USDT","orderType":"buy"/,
    );
    expect(text).to.match(/"id":12631188400\d{8},"timestamp":\d{13},"amount":"0.02750000"/);
    expect(text).not.to.contain('"type"');
  });
});

describe('stop orders (checklist row 9)', () => {
  it('lock funds, wait among the open orders, and are replaced when they trigger', () => {
    const self = quietHarness();
    const socket = self.connect();
    self.login(socket);
    const stop = post(self, {
      orderType: 'sell',
      orderMethod: 'stopLimit',
      stopPrice: '76500',
      price: '76400',
      quantity: '0.1',
      newOrderClientId: 'guard',
    })?.json.data;
    expect(stop).to.include({ method: 'stoplimit', stopPrice: '76500' });
    self.advance(50);
    expect(self.account().holdings.get('BTC')?.locked).to.equal(parseDecimal('0.1'));
    const [open] = self.call('GET', '/api/v1/openOrders?pairSymbol=BTCUSDT')?.json.data.asks ?? [];
    expect(open).to.include({ id: stop.id, status: 'Untouched', stopPrice: '76500', time: 0 });
    self.frames(socket);
    self.admin({
      type: 'participant',
      symbol: 'BTCUSDT',
      side: 'sell',
      price: null,
      quantity: parseDecimal('2'),
    });
    self.advance(50);
    const rows = self.call('GET', '/api/v1/allOrders?pairSymbol=BTCUSDT')?.json.data;
    const [placed, ended] = rows;
    expect(ended).to.include({ id: stop.id, status: 'Canceled', leftAmount: '0.1000000000000000' });
    expect(placed).to.include({ method: 'limit', orderClientId: 'guard', price: '76400', stopPrice: '0' });
    expect(placed.id).to.be.greaterThan(stop.id);
    expect(placed.time).to.equal(ended.updateTime);
    expect(self.frames(socket, 451, 452).map(frame => [frame.model, frame.payload.id])).to.deep.equal([
      [452, stop.id],
      [451, placed.id],
    ]);
    expect(self.account().holdings.get('BTC')?.locked).to.equal(parseDecimal('0.1'));
  });

  it('by market spend quote at the trigger and show their stop price', () => {
    const self = quietHarness();
    const stop = post(self, {
      orderType: 'buy',
      orderMethod: 'stopmarket',
      stopPrice: '77015',
      quantity: '500',
    })?.json.data;
    self.advance(20);
    self.admin({
      type: 'participant',
      symbol: 'BTCUSDT',
      side: 'buy',
      price: null,
      quantity: parseDecimal('0.6'),
    });
    self.advance(50);
    const [placed, ended] = self.call('GET', '/api/v1/allOrders?pairSymbol=BTCUSDT')?.json.data ?? [];
    expect(ended).to.include({ id: stop.id, status: 'Canceled', method: 'stopmarket' });
    expect(placed).to.include({ status: 'Closed', method: 'market', price: '77015' });
    expect(self.account().holdings.get('USDT')?.locked).to.equal(0n);
    const spent = parseDecimal('50000') - (self.account().holdings.get('USDT')?.total ?? 0n);
    expect(parseDecimal('500') - spent < parseDecimal('0.00000001')).to.equal(true);
  });

  it('can be canceled before they trigger', () => {
    const self = quietHarness();
    const stop = post(self, {
      orderType: 'buy',
      orderMethod: 'stopmarket',
      stopPrice: '78000',
      quantity: '500',
    });
    self.advance(20);
    self.call('DELETE', `/api/v1/order?id=${stop?.json.data.id}`);
    self.advance(50);
    expect(self.account().open.size).to.equal(0);
    expect(self.account().holdings.get('USDT')?.locked).to.equal(0n);
    self.market('BTCUSDT', book([], [['79000', '1']], false));
    self.admin({
      type: 'participant',
      symbol: 'BTCUSDT',
      side: 'buy',
      price: null,
      quantity: parseDecimal('9'),
    });
    self.advance(50);
    expect(self.account().orders.size).to.equal(1);
  });
});

describe('ids (checklist row 10)', () => {
  it('order ids grow from 3×10^10, trade ids lie above 2^53 and are whole JSON integers', () => {
    const self = quietHarness();
    const first = limit(self, 'buy', '77010', '0.01');
    const second = limit(self, 'buy', '77010', '0.01');
    expect(first).to.be.greaterThan(3e10);
    expect(second).to.be.greaterThan(first);
    self.advance(50);
    const body = self.call('GET', '/api/v1/users/transactions/trade')?.body ?? '';
    const ids = [...body.matchAll(/"id":(\d+)/g)].map(([, id = '']) => BigInt(id));
    expect(ids).to.have.length(2);
    for (const id of ids) expect(id > 2n ** 53n).to.equal(true);
    expect(ids[0]).not.to.equal(ids[1]);
  });

  it('can be small for clients that need it', () => {
    const self = quietHarness({ faults: ['small-ids'] });
    limit(self, 'buy', '77010', '0.01');
    self.advance(50);
    expect(self.call('GET', '/api/v1/users/transactions/trade')?.json.data[0].id).to.equal(1);
  });
});

describe('open orders (checklist row 11)', () => {
  it('show time 0, the other reads the true one', () => {
    const self = quietHarness();
    const id = limit(self, 'buy', '76500', '0.01');
    self.advance(20);
    const [row] = self.call('GET', '/api/v1/openOrders')?.json.data.bids ?? [];
    expect(row.time).to.equal(0);
    expect(row.updateTime).to.be.greaterThan(1_790_133_600_000);
    expect(self.call('GET', `/api/v1/order/${id}`)?.json.data.time).to.equal(1_790_133_601_000);
    expect(self.call('GET', '/api/v1/openOrders?pairSymbol=BTC_USDT')?.json.data.asks).to.deep.equal([]);
  });
});

describe('limits (checklist row 12)', () => {
  it('count in windows that begin with the first request, with the documented body and Retry-After', () => {
    const self = quietHarness();
    for (let count = 0; count < 10; count++) expect(post(self, { orderMethod: 'x' })?.status).to.equal(400);
    const refused = post(self, { orderMethod: 'x' });
    expect([refused?.status, refused?.headers['retry-after']]).to.deep.equal([429, '1']);
    expect(refused?.json).to.deep.equal({
      message: 'TOO_MANY_REQUESTS',
      success: false,
      code: 429,
      details: 'Quota exceeded. Maximum allowed: 10 per 1s. Please try again in 1 second(s).',
      limit: '10',
      period: '1s',
      policy: 'account',
    });
    self.advance(999);
    expect(post(self, { orderMethod: 'x' })?.status).to.equal(429);
    self.advance(2);
    expect(post(self, { orderMethod: 'x' })?.status).to.equal(400);
  });

  it('block for a minute when a minute’s budget is exceeded, and cancels have their own', () => {
    const self = quietHarness();
    for (let count = 0; count < 300; count++) {
      expect(post(self, { orderMethod: 'x' })?.status).to.equal(400);
      self.advance(150);
    }
    const refused = post(self, { orderMethod: 'x' });
    expect([refused?.status, refused?.headers['retry-after']]).to.deep.equal([429, '60']);
    expect(refused?.json.details).to.contain('300 per 1m');
    expect(self.call('DELETE', '/api/v1/order?id=1')?.status).to.equal(400);
    self.advance(30_000);
    expect(post(self, { orderMethod: 'x' })?.headers['retry-after']).to.equal('30');
    self.advance(30_000);
    expect(post(self, { orderMethod: 'x' })?.status).to.equal(400);
  });

  it('count reads by address, as documented', () => {
    const self = quietHarness();
    for (let count = 0; count < 120; count++)
      expect(self.call('GET', '/api/v1/users/balances')?.status).to.equal(200);
    const refused = self.call('GET', '/api/v1/users/balances');
    expect(refused?.json).to.deep.equal({
      message: 'TOO_MANY_REQUESTS',
      success: false,
      code: 429,
      details: 'Quota exceeded. Maximum allowed: 120 per 1m.',
      limit: '120',
      period: '1m',
      policy: 'ip',
    });
    for (const path of ['/api/v1/openOrders', '/api/v2/ticker'])
      expect(self.call('GET', path)?.status).to.equal(200);
  });

  it('hold the whole chart host to 600 requests in ten minutes', () => {
    const self = quietHarness();
    let granted = 0;
    for (let count = 0; count < 660; count++) {
      if (self.call('GET', '/v1/ohlcs?pair=BTCUSDT')?.status === 200) granted += 1;
      self.advance(600);
    }
    expect(granted).to.equal(600);
  });

  it('refuse a sixteenth connection within a minute', () => {
    const self = quietHarness();
    const refusedNow = (): boolean => {
      const socketId = self.connect();
      return self.effects.some(effect => effect.type === 'refuse-socket' && effect.socketId === socketId);
    };
    for (let count = 0; count < 15; count++) expect(refusedNow()).to.equal(false);
    expect(refusedNow()).to.equal(true);
    self.advance(59_000);
    expect(refusedNow()).to.equal(true);
    self.advance(1_000);
    expect(refusedNow()).to.equal(false);
  });
});

describe('the socket (checklist row 13)', () => {
  it('begins with 991', () => {
    const self = quietHarness();
    const [first] = self.frames(self.connect());
    expect(first?.text).to.equal('[991,{"type":991,"current":"6.0.0","min":"2.3.0"}]');
  });

  it('acknowledges, then sends data', () => {
    const self = quietHarness();
    const socket = self.connect();
    self.frames(socket);
    self.join(socket, 'obdiff', 'BTCUSDT');
    const [acknowledged, whole] = self.frames(socket);
    expect(acknowledged?.text).to.equal('[100,{"type":100,"ok":true,"message":"join|obdiff:BTCUSDT"}]');
    expect(whole?.payload).to.deep.include({
      PS: 'BTCUSDT',
      AO: [
        { A: '0.4', P: '77010' },
        { A: '1', P: '77020' },
        { A: '2', P: '78000' },
      ],
      channel: 'obdiff',
      event: 'BTCUSDT',
      type: 431,
    });
    self.join(socket, 'obdiff', 'BTCUSDT', false);
    expect(self.frames(socket)[0]?.text).to.equal(
      '[100,{"type":100,"ok":true,"message":"leave|obdiff:BTCUSDT"}]',
    );
    self.market('BTCUSDT', book([['76000', '5']], [], false));
    self.advance(500);
    expect(self.frames(socket)).to.deep.equal([]);
  });

  it('acknowledges a duplicate join with ok:false, and unknown pairs and channels with ok:true and silence', () => {
    const self = quietHarness();
    const socket = self.connect();
    self.join(socket, 'trade', 'BTCUSDT');
    self.frames(socket);
    self.join(socket, 'trade', 'BTCUSDT');
    expect(self.frames(socket).map(frame => frame.payload.ok)).to.deep.equal([false]);
    for (const [channel, event] of [
      ['obdiff', 'btcusdt'],
      ['obdiff', 'NOPEUSDT'],
      ['nothing', 'BTCUSDT'],
    ] as const)
      self.join(socket, channel, event);
    self.market('BTCUSDT', book([['76000', '5']], [], false));
    self.advance(500);
    expect(self.frames(socket).map(frame => [frame.model, frame.payload.ok])).to.deep.equal([
      [100, true],
      [100, true],
      [100, true],
    ]);
  });

  it('ignores what it cannot read and stays open, and reads names without quotes', () => {
    const self = quietHarness();
    const socket = self.connect();
    self.frames(socket);
    for (const text of [
      'nonsense',
      '{}',
      '[151]',
      '[151,[]]',
      '[999,{}]',
      '[151,{"channel":["a"],"join":true}]',
    ])
      self.step({ type: 'socket-frame', socketId: socket, text });
    expect(self.frames(socket)).to.deep.equal([]);
    self.step({
      type: 'socket-frame',
      socketId: socket,
      text: '[151,{type:151,channel:"trade",event:"BTCUSDT",join:true}]',
    });
    expect(self.frames(socket).map(frame => frame.model)).to.deep.equal([100, 421]);
    expect(self.closed(socket)).to.equal(undefined);
  });

  it('pings every 15 s and closes with 1000 at 45 s without a pong', () => {
    const self = quietHarness({ config: { keepalive: 'ping' } });
    const [silent, alive] = [self.connect(), self.connect()];
    const pings = (socketId: string): number =>
      self.effects.filter(effect => effect.type === 'ping' && effect.socketId === socketId).length;
    for (let second = 0; second < 44; second++) {
      self.advance(1_000);
      self.step({ type: 'socket-pong', socketId: alive });
    }
    expect([pings(silent), self.closed(silent)]).to.deep.equal([2, undefined]);
    self.advance(1_000);
    expect(self.closed(silent)).to.include({ code: 1000, abrupt: false });
    expect(self.closed(alive)).to.equal(undefined);
  });

  it('sends changes with CP 0, 1 and 3, the last with its last amount, and CS one higher each time', () => {
    const self = quietHarness();
    const socket = self.connect();
    self.join(socket, 'obdiff', 'BTCUSDT');
    const cs = self.frames(socket, 431)[0]?.payload.CS as number;
    self.market(
      'BTCUSDT',
      book(
        [
          ['76990', '1.5'],
          ['76995', '0.2'],
          ['76000', '0'],
        ],
        [],
        false,
      ),
    );
    self.advance(200);
    self.market(
      'BTCUSDT',
      book(
        [],
        [
          ['77010', '0'],
          ['77030', '3'],
        ],
        false,
      ),
    );
    self.advance(200);
    expect(self.frames(socket, 432).map(frame => frame.payload)).to.deep.equal([
      {
        CS: cs + 1,
        PS: 'BTCUSDT',
        AO: [],
        BO: [
          { CP: 1, P: '76995', A: '0.2' },
          { CP: 0, P: '76990', A: '1.5' },
          { CP: 3, P: '76000', A: '3' },
        ],
        channel: 'obdiff',
        event: 'BTCUSDT',
        type: 432,
      },
      {
        CS: cs + 2,
        PS: 'BTCUSDT',
        AO: [
          { CP: 3, P: '77010', A: '0.4' },
          { CP: 1, P: '77030', A: '3' },
        ],
        BO: [],
        channel: 'obdiff',
        event: 'BTCUSDT',
        type: 432,
      },
    ]);
  });

  it('shows 100 levels a side: a better one pushes the last out and lets it back in', () => {
    const self = quietHarness();
    const bids = Array.from({ length: 101 }, (_, index) => [String(76_000 - index), '1'] as const);
    self.market('BTCUSDT', book(bids, [['77010', '1']]));
    const socket = self.connect();
    self.join(socket, 'obdiff', 'BTCUSDT');
    expect(self.frames(socket, 431)[0]?.payload.BO).to.have.length(100);
    self.market('BTCUSDT', book([['76500', '2']], [], false));
    self.market('BTCUSDT', book([['76500', '0']], [], false));
    expect(self.frames(socket, 432).map(frame => frame.payload.BO)).to.deep.equal([
      [
        { CP: 1, P: '76500', A: '2' },
        { CP: 3, P: '75901', A: '1' },
      ],
      [
        { CP: 3, P: '76500', A: '2' },
        { CP: 1, P: '75901', A: '1' },
      ],
    ]);
  });

  it('gives each subscription its own change set numbers', () => {
    const self = quietHarness();
    const [early, late] = [self.connect(), self.connect()];
    self.join(early, 'obdiff', 'BTCUSDT');
    self.market('BTCUSDT', book([['76990', '1.5']], [], false));
    self.join(late, 'obdiff', 'BTCUSDT');
    self.market('BTCUSDT', book([['76990', '1.75']], [], false));
    self.advance(200);
    for (const socket of [early, late]) {
      const frames = self.frames(socket, 431, 432);
      const numbers = frames.map(frame => frame.payload.CS as number);
      expect(numbers).to.deep.equal(numbers.map((_, index) => (numbers[0] ?? 0) + index));
      expect(frames.at(-1)?.payload.BO).to.deep.equal([{ CP: 0, P: '76990', A: '1.75' }]);
    }
  });

  it('sends tickers at their pace, unchanged ones too, and full books when changed', () => {
    const self = quietHarness();
    const socket = self.connect();
    self.join(socket, 'ticker', 'BTCUSDT');
    self.join(socket, 'orderbook', 'BTCUSDT');
    self.frames(socket);
    self.advance(3_000);
    expect(self.frames(socket).map(frame => frame.model)).to.deep.equal([402, 402, 402, 402]);
    self.market('BTCUSDT', book([['76990', '9']], [], false));
    self.advance(750);
    const [ticker, full] = self.frames(socket);
    expect(ticker?.payload).to.include({
      B: '77000',
      A: '77010',
      BA: '0.5',
      PS: 'BTCUSDT',
      PId: 19,
      type: 402,
    });
    expect(full?.payload).to.include({ type: 431, channel: 'orderbook' });
  });

  it('sends the tape once, newest first, then each trade', () => {
    const self = quietHarness();
    for (const size of ['0.1', '0.2'])
      self.admin({
        type: 'participant',
        symbol: 'BTCUSDT',
        side: 'buy',
        price: null,
        quantity: parseDecimal(size),
      });
    const socket = self.connect();
    self.join(socket, 'trade', 'BTCUSDT');
    self.admin({
      type: 'participant',
      symbol: 'BTCUSDT',
      side: 'sell',
      price: null,
      quantity: parseDecimal('0.3'),
    });
    const [tape, next] = self.frames(socket, 421, 422);
    expect(tape?.payload.items.map((item: { A: string; S: number }) => [item.A, item.S])).to.deep.equal([
      ['0.2000000000', 0],
      ['0.1000000000', 0],
    ]);
    expect(next?.payload).to.include({
      A: '0.3000000000',
      P: '77000.0000000000',
      S: 1,
      PS: 'BTCUSDT',
      type: 422,
    });
    expect(next?.payload.I).to.be.a('string');
    expect(next?.payload.D).to.be.a('string');
  });

  it('sends candles under their resolution', () => {
    const self = quietHarness();
    const socket = self.connect();
    self.join(socket, 'tradeview', 'BTCUSDT_60');
    self.admin({
      type: 'participant',
      symbol: 'BTCUSDT',
      side: 'buy',
      price: null,
      quantity: parseDecimal('0.5'),
    });
    self.advance(750);
    const [candle] = self.frames(socket, 428);
    expect(candle?.payload).to.deep.equal({
      D: 1_790_132_400,
      P: 'BTCUSDT',
      R: '60',
      O: 77_010,
      H: 77_020,
      L: 77_010,
      C: 77_020,
      V: 0.5,
      channel: 'tradeview',
      event: 'BTCUSDT_60',
      type: 428,
    });
  });
});

describe('login on the socket (protocol section 9.10)', () => {
  const attempt = (payload: Readonly<Record<string, unknown>>, faults: readonly string[] = []) => {
    const self = quietHarness({ faults });
    const socket = self.connect();
    self.frames(socket);
    self.step({
      type: 'socket-frame',
      socketId: socket,
      text: JSON.stringify([114, { type: 114, ...payload }]),
    });
    return self.frames(socket, 114)[0]?.payload;
  };
  const good = {
    publicKey: KEY,
    timestamp: 1_790_133_601_000,
    nonce: 3_000,
    signature: 'LQLqy4DLHVfwTujp7LNhQHe9efYXzHkWYPiVy5oIOVI=',
  };

  it('accepts the vector of the protocol document, with numbers as text too', () => {
    expect(attempt(good)).to.deep.equal({ type: 114, id: 700123, ok: true, message: null });
    expect(attempt({ ...good, nonce: '3000', timestamp: '1790133601000' })?.ok).to.equal(true);
  });

  for (const [title, change, message] of [
    ['the current time as nonce', { nonce: 1_790_133_601_000 }, 'Unauthorized - Invalid Request'],
    ['no timestamp', { timestamp: undefined }, 'Unauthorized - Invalid Nonce'],
    [
      'a timestamp outside the window',
      { timestamp: 1_790_133_601_000 - 3_001 },
      'Unauthorized - Invalid Nonce',
    ],
    ['an unknown key', { publicKey: 'nobody' }, 'Unauthorized - Invalid Public key'],
    [
      'the signature of a timestamp',
      { signature: sign(SECRET, `${KEY}1790133601000`) },
      'Unauthorized - Invalid Signature',
    ],
  ] as const)
    it(`refuses ${title}`, () => {
      expect(attempt({ ...good, ...change })).to.deep.equal({ type: 114, ok: false, id: 0, message });
    });
});
