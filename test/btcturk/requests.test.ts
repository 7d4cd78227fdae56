import { expect } from 'chai';
import type { BtcturkRead } from '#src/btcturk/market-reads.js';
import { buildRead, buildWrite, RequestError } from '#src/btcturk/requests.js';
import { parseDecimal } from '#src/domain/money.js';
import type { OrderTerms } from '#src/domain/order.js';
import { cancel, instrument, submit } from './fixtures.js';

const AT = 1_790_133_600_500;

describe('read requests', () => {
  for (const [call, ...paths] of [
    [{ type: 'server-time' }, '/api/v2/server/time'],
    [{ type: 'instruments' }, '/api/v2/server/exchangeinfo'],
    [{ type: 'ticker', symbol: 'BTCUSDT' }, '/api/v2/ticker?pairSymbol=BTCUSDT'],
    [{ type: 'order-book', symbol: 'BTCUSDT', depth: 500 }, '/api/v2/orderbook?pairSymbol=BTCUSDT&limit=100'],
    [{ type: 'public-trades', symbol: 'BTCUSDT', count: 500 }, '/api/v2/trades?pairSymbol=BTCUSDT&last=50'],
    [
      { type: 'candles', symbol: 'BTCTRY', resolution: '60', fromMs: AT - 3_600_000, toMs: AT },
      '/v1/klines/history?symbol=BTCTRY&resolution=60&from=1790130000&to=1790133600',
    ],
    [
      { type: 'daily-candles', symbol: 'BTCTRY', fromMs: AT - 86_400_000, toMs: AT },
      '/v1/ohlcs?pair=BTCTRY&from=1790047200&to=1790133600',
    ],
    [{ type: 'balances' }, '/api/v1/users/balances'],
    [{ type: 'open-orders', symbol: 'BTCUSDT' }, '/api/v1/openOrders?pairSymbol=BTCUSDT'],
    [
      { type: 'all-orders', symbol: 'BTCUSDT', fromMs: AT, toMs: AT + 1, limit: 100 },
      '/api/v1/allOrders?pairSymbol=BTCUSDT&startTime=1790133600&endTime=1790133601&limit=100',
    ],
    [
      { type: 'all-orders', symbol: 'BTCUSDT', fromMs: null, toMs: null, limit: 9_999 },
      '/api/v1/allOrders?pairSymbol=BTCUSDT&limit=1000',
    ],
    [{ type: 'order', venueOrderId: '31840022901' }, '/api/v1/order/31840022901'],
    [
      { type: 'trades', fromMs: AT, toMs: null },
      `/api/v1/users/transactions/trade?type=buy&type=sell&startDate=${AT}`,
    ],
    [
      { type: 'trades-of-order', venueOrderId: '31840022901' },
      '/api/v1/users/transactions/trade?orderId=31840022901',
    ],
    [
      { type: 'cash-movements', fromMs: AT, toMs: AT + 5 },
      `/api/v1/users/transactions/crypto?type=deposit&type=withdrawal&startDate=${AT}&endDate=${AT + 5}`,
      `/api/v1/users/transactions/fiat?type=deposit&type=withdrawal&startDate=${AT}&endDate=${AT + 5}`,
    ],
  ] as readonly [BtcturkRead, ...string[]][]) {
    it(`asks ${call.type} at ${paths[0]}`, () => {
      const requests = buildRead(call);
      expect(requests.map(({ path }) => path)).to.deep.equal(paths);
      for (const request of requests) {
        expect(request.method).to.equal('GET');
        expect(request.body).to.equal(null);
        expect(request.signed).to.equal(request.path.startsWith('/api/v1/'));
        expect(request.host).to.equal(request.path.startsWith('/v1/') ? 'graph' : 'api');
      }
    });
  }

  it('puts no foreign text into a path', () => {
    expect(buildRead({ type: 'ticker', symbol: 'A&b=c/../d' })[0]?.path).to.equal(
      '/api/v2/ticker?pairSymbol=A%26b%3Dc%2F..%2Fd',
    );
    expect(() => buildRead({ type: 'order', venueOrderId: '1/../2' })).to.throw(RequestError);
  });
});

describe('write requests', () => {
  const body = (overrides: Partial<OrderTerms>, of = instrument()): unknown =>
    JSON.parse(buildWrite(submit(overrides), of).body ?? '');
  const common = { newOrderClientId: 'b-1-1', pairSymbol: 'BTCUSDT' };
  const noBase = { price: null, quantity: 0n };

  it('sends a limit order as plain strings without trailing zeros', () => {
    expect(body({ quantity: parseDecimal('0.00400000'), price: parseDecimal('77000.00') })).to.deep.equal({
      ...common,
      quantity: '0.004',
      price: '77000',
      orderMethod: 'limit',
      orderType: 'buy',
    });
    expect(body({ quantity: parseDecimal('0.00000001') })).to.have.property('quantity', '0.00000001');
  });

  it('sends a market sell in base', () => {
    expect(
      body({ side: 'sell', method: 'market', price: null, quantity: parseDecimal('1.5') }),
    ).to.deep.equal({
      ...common,
      quantity: '1.5',
      orderMethod: 'market',
      orderType: 'sell',
    });
  });

  it('sends a market buy in quote', () => {
    expect(body({ method: 'market', ...noBase, quoteQuantity: parseDecimal('1000') })).to.deep.equal({
      ...common,
      quantity: '1000',
      orderMethod: 'market',
      orderType: 'buy',
    });
  });

  it('sends a stop-market buy in quote and a stop-limit in base', () => {
    const stopPrice = parseDecimal('78000');
    expect(
      body({ method: 'stop-market', ...noBase, quoteQuantity: parseDecimal('360'), stopPrice }),
    ).to.deep.include({ quantity: '360', stopPrice: '78000', orderMethod: 'stopmarket' });
    expect(body({ method: 'stop-limit', stopPrice })).to.deep.include({
      quantity: '0.004',
      price: '77000',
      stopPrice: '78000',
      orderMethod: 'stoplimit',
    });
  });

  for (const [title, overrides] of [
    ['a price finer than the grid', { price: parseDecimal('77000.5') }],
    ['a quantity finer than a lot', { quantity: parseDecimal('0.000000001') }],
    ['no price', { price: null }],
    ['a price of zero', { price: 0n }],
    ['a negative quantity', { quantity: -1n }],
    ['a quantity of zero', { quantity: 0n }],
    ['a market buy without its quote amount', { method: 'market', price: null }],
    [
      'a quote amount with decimals the pair has not',
      { method: 'market', ...noBase, quoteQuantity: parseDecimal('10.5') },
    ],
    ['a quote amount where base is meant', { quoteQuantity: parseDecimal('10') }],
    ['a stop order without its stop price', { method: 'stop-limit' }],
    ['another symbol', { symbol: 'BTCTRY' }],
    ['a quantity too large to write', { quantity: 10n ** 40n }],
  ] as readonly [string, Partial<OrderTerms>][]) {
    it(`refuses ${title}`, () => {
      expect(() => body(overrides)).to.throw(RequestError);
    });
  }

  for (const clientOrderId of ['', 'x'.repeat(51), 'with space', 'ş', 'a\n']) {
    it(`refuses the client order id ${JSON.stringify(clientOrderId)}`, () => {
      expect(() => buildWrite({ ...submit(), clientOrderId }, instrument())).to.throw(RequestError);
    });
  }

  it('allows at most two decimals in a quote amount', () => {
    const fine = instrument({ priceScale: 5 });
    expect(
      body({ method: 'market', ...noBase, quoteQuantity: parseDecimal('10.25') }, fine),
    ).to.have.property('quantity', '10.25');
    expect(() => body({ method: 'market', ...noBase, quoteQuantity: parseDecimal('10.255') }, fine)).to.throw(
      RequestError,
    );
  });

  it('cancels by id in the query, with no body', () => {
    expect(buildWrite(cancel(), instrument())).to.deep.equal({
      method: 'DELETE',
      host: 'api',
      path: '/api/v1/order?id=31840022901',
      body: null,
      signed: true,
    });
    expect(() => buildWrite(cancel('1&id=2'), instrument())).to.throw(RequestError);
  });

  it('needs the instrument for a submit, and none for a cancel', () => {
    expect(buildWrite(cancel(), null)).to.deep.equal(buildWrite(cancel(), instrument()));
    expect(() => buildWrite(submit(), null)).to.throw(RequestError, 'is not known');
  });
});
