/** Whatever arrives, the exchange answers each request once, keeps its books in order and does not fall over. */
import { expect } from 'chai';
import fc from 'fast-check';
import { runs } from '../runs.js';
import { quietHarness } from './harness.js';

const PATHS = [
  '/api/v1/order',
  '/api/v1/order/31840000001',
  '/api/v1/order/%00',
  '/api/v1/openOrders',
  '/api/v1/allOrders',
  '/api/v1/users/balances',
  '/api/v1/users/transactions/trade',
  '/api/v1/users/transactions/crypto',
  '/api/v2/orderbook',
  '/api/v2/trades',
  '/api/v2/ticker',
  '/api/v2/ohlc',
  '/v1/ohlcs',
  '/v1/klines/history',
  '/admin/faults',
  '/admin/deposit',
  '/admin/participant',
  '/admin/shock',
  '/__proto__',
  '/constructor',
];
const KEYS = [
  'pairSymbol',
  'symbol',
  'pair',
  'id',
  'limit',
  'last',
  'from',
  'to',
  'resolution',
  'startTime',
  'orderId',
  'startDate',
  'page',
];

const odd = fc.oneof(
  fc.string(),
  fc.constantFrom(
    'BTCUSDT',
    '',
    '0',
    '-1',
    '1e309',
    'NaN',
    '9'.repeat(400),
    '__proto__',
    '1,5',
    '0.00000000000000001',
    '\u2028',
    'x'.repeat(5_000),
  ),
  fc.integer().map(String),
  fc.double().map(String),
);
const body = fc.oneof(
  odd,
  fc.json(),
  fc
    .dictionary(
      fc.constantFrom(
        'pairSymbol',
        'orderType',
        'orderMethod',
        'quantity',
        'price',
        'stopPrice',
        'newOrderClientId',
        'amount',
        'asset',
        'name',
        '__proto__',
      ),
      fc.oneof(
        odd,
        fc.integer(),
        fc.double(),
        fc.constant(null),
        fc.constantFrom('buy', 'sell', 'limit', 'market', 'stoplimit', '77000', '0.01'),
      ),
    )
    .map(fields => JSON.stringify(fields)),
);

describe('the exchange under nonsense', () => {
  it('answers every request exactly once and keeps its account in order', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            method: fc.constantFrom('GET', 'POST', 'DELETE', 'PUT', 'PATCH'),
            path: fc.constantFrom(...PATHS),
            query: fc.dictionary(fc.constantFrom(...KEYS), odd),
            body,
            raw: odd,
          }),
          { maxLength: 12 },
        ),
        requests => {
          const self = quietHarness({ faults: ['no-rate-limits'] });
          for (const { method, path, query, body: text, raw } of requests) {
            // Faults set by chance would swallow replies on purpose.
            if (path === '/admin/faults' && method === 'POST') continue;
            const search = raw.length % 3 === 0 ? raw : String(new URLSearchParams(query));
            const reply = self.call(method, `${path}?${search}`, undefined, { rawBody: text });
            expect(reply?.status, `${method} ${path}`).to.be.within(200, 503);
            self.advance(20);
          }
          const answered = self.effects.flatMap(effect =>
            effect.type === 'reply' ? [effect.requestId] : [],
          );
          expect(new Set(answered).size).to.equal(answered.length);
          for (const held of self.account().holdings.values())
            expect(held.locked >= 0n && held.locked <= held.total).to.equal(true);
        },
      ),
      { numRuns: runs(150) },
    );
  });

  it('ignores socket frames that make no sense, and keeps serving those that do', () => {
    const self = quietHarness({ faults: ['no-rate-limits'] });
    const socket = self.connect();
    fc.assert(
      fc.property(
        fc.oneof(
          odd,
          fc.json(),
          fc
            .tuple(
              fc.constantFrom(151, 114, 100, -1, 1e300),
              fc.dictionary(
                fc.constantFrom(
                  'type',
                  'channel',
                  'event',
                  'join',
                  'publicKey',
                  'nonce',
                  'timestamp',
                  'signature',
                ),
                fc.oneof(odd, fc.boolean(), fc.integer(), fc.constant(null)),
              ),
            )
            .map(frame => JSON.stringify(frame)),
        ),
        text => {
          self.step({ type: 'socket-frame', socketId: socket, text });
          self.step({ type: 'socket-frame', socketId: 'nobody', text });
        },
      ),
      { numRuns: runs(2_000) },
    );
    self.frames(socket);
    self.join(socket, 'orderbook', 'BTCUSDT', false);
    self.join(socket, 'orderbook', 'BTCUSDT');
    expect(self.frames(socket, 431)).to.have.length(1);
    expect(self.closed(socket)).to.equal(undefined);
  });
});
