/** Every fault and switch of the table, each shown to do what it says. */
import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import { FAULTS, FaultError, type FaultName, parseFault } from '#src/exchange/faults.js';
import { book, type Harness, KEY, limit, quietHarness, type Reply } from './harness.js';

const ORDER = {
  pairSymbol: 'BTCUSDT',
  orderType: 'buy',
  orderMethod: 'limit',
  price: '76500',
  quantity: '0.01',
} as const;
const submit = (
  self: Harness,
  fields: Readonly<Record<string, unknown>> = {},
  waitMs = 0,
): Reply | undefined => self.call('POST', '/api/v1/order', { ...ORDER, ...fields }, { waitMs });
const orders = (self: Harness): number => self.account().orders.size;
const participant = (self: Harness, side: 'buy' | 'sell', quantity: string): void => {
  self.admin({ type: 'participant', symbol: 'BTCUSDT', side, price: null, quantity: parseDecimal(quantity) });
};
const loggedIn = (self: Harness): string => {
  const socket = self.connect();
  self.login(socket);
  self.frames(socket);
  return socket;
};
const following = (self: Harness): string => {
  const socket = self.connect();
  self.join(socket, 'obdiff', 'BTCUSDT');
  self.frames(socket);
  return socket;
};
const changeBook = (self: Harness, total: string): void => {
  self.market('BTCUSDT', book([['76000', total]], [], false));
};

/** One proof per fault: a fresh quiet exchange with nothing wrong, until the proof says so. */
const PROOFS: Readonly<Record<FaultName, (self: Harness) => void>> = {
  hang: self => {
    self.fault('hang,on=submit');
    expect(submit(self, {}, 60_000)).to.equal(undefined);
    expect(orders(self)).to.equal(0);
    expect(self.call('GET', '/api/v2/server/time')?.status).to.equal(200);
  },
  'slow-replies': self => {
    self.fault('slow-replies=500,on=balances');
    expect(self.call('GET', '/api/v1/users/balances')).to.equal(undefined);
    expect(self.call('GET', '/api/v1/users/balances', undefined, { waitMs: 600 })?.status).to.equal(200);
  },
  'html-5xx': self => {
    for (const status of [500, 502, 503, 504]) {
      self.fault(`html-5xx=${status}`);
      const reply = submit(self);
      expect([reply?.status, reply?.headers['content-type'], reply?.json]).to.deep.equal([
        status,
        'text/html; charset=UTF-8',
        undefined,
      ]);
    }
    expect(orders(self)).to.equal(0);
  },
  forbidden: self => {
    self.fault('forbidden,on=private');
    expect(submit(self)?.status).to.equal(403);
    expect(self.call('GET', '/api/v2/ticker')?.status).to.equal(200);
  },
  'rate-limit': self => {
    for (const [form, header] of [
      ['seconds:7', '7'],
      ['date', 'Wed, 23 Sep 2026 03:20:06 GMT'],
      ['missing', undefined],
      ['zero', '0'],
      ['negative', '-5'],
      ['fraction', '1.5'],
      ['garbage', 'soon'],
      ['huge', '99999999999'],
      ['text', ''],
    ] as const) {
      self.fault(`rate-limit=${form},on=all`);
      const reply = submit(self);
      expect([reply?.status, reply?.headers['retry-after'], reply?.json.message], form).to.deep.equal([
        429,
        header,
        'TOO_MANY_REQUESTS',
      ]);
    }
    expect(orders(self)).to.equal(0);
  },
  unauthorized: self => {
    self.fault('unauthorized=Unauthorized - Invalid Private key,on=private');
    expect(submit(self)?.json).to.deep.equal({
      success: false,
      message: 'Unauthorized - Invalid Private key',
      code: 1037,
    });
    self.fault('unauthorized=empty,on=private');
    expect([submit(self)?.status, submit(self)?.body]).to.deep.equal([401, '']);
  },
  maintenance: self => {
    self.fault('maintenance');
    const closed = submit(self);
    expect([closed?.status, closed?.json.code]).to.deep.equal([503, 'SYSTEM_UNDER_MAINTENANCE']);
    self.fault('maintenance=ORDER_INSERT_BLOCKED');
    expect(submit(self)?.json.message).to.equal('ORDER_INSERT_BLOCKED');
    self.calm();
    const id = limit(self, 'buy', '76500', '0.01');
    self.fault('maintenance=ORDER_CANCEL_BLOCKED');
    expect(self.call('DELETE', `/api/v1/order?id=${id}`)?.json.message).to.equal('ORDER_CANCEL_BLOCKED');
    expect(self.call('GET', '/api/v2/server/exchangeinfo')?.json.data.symbols[0].status).to.equal('TRADING');
  },
  reject: self => {
    self.fault('reject=FAILED_MARKET_ORDER,count=1');
    expect(submit(self)?.json).to.include({ message: 'FAILED_MARKET_ORDER', code: 1118 });
    expect(submit(self)?.status).to.equal(200);
  },
  'reset-before': self => {
    self.fault('reset-before,on=submit');
    expect(submit(self)).to.equal(undefined);
    expect(self.effects.some(effect => effect.type === 'reset-request')).to.equal(true);
    expect(orders(self)).to.equal(0);
  },
  'accept-then-timeout': self => {
    self.fault('accept-then-timeout,on=submit,count=1');
    expect(submit(self, {}, 60_000)).to.equal(undefined);
    expect(orders(self)).to.equal(1);
    expect(submit(self)?.status).to.equal(200);
  },
  'accept-then-reset': self => {
    self.fault('accept-then-reset,on=writes');
    expect(submit(self)).to.equal(undefined);
    expect(self.effects.some(effect => effect.type === 'reset-request')).to.equal(true);
    expect(orders(self)).to.equal(1);
  },
  'accept-then-5xx': self => {
    self.fault('accept-then-5xx');
    expect(submit(self)?.status).to.equal(504);
    const [id] = self.account().open.keys();
    self.fault('accept-then-5xx=502');
    expect(self.call('DELETE', `/api/v1/order?id=${id}`)?.status).to.equal(502);
    self.advance(100);
    expect(self.account().open.size).to.equal(0);
  },
  'accept-then-429': self => {
    self.fault('accept-then-429=seconds:30');
    const reply = submit(self);
    expect([reply?.status, reply?.headers['retry-after'], orders(self)]).to.deep.equal([429, '30', 1]);
  },
  'accept-then-garbage': self => {
    self.fault('accept-then-garbage');
    const reply = submit(self);
    expect([reply?.status, reply?.json, orders(self)]).to.deep.equal([200, undefined, 1]);
  },
  'late-accept': self => {
    self.fault('late-accept=90000,count=1');
    expect(submit(self, {}, 60_000)).to.equal(undefined);
    expect(orders(self)).to.equal(0);
    self.advance(31_000);
    expect(orders(self)).to.equal(1);
    expect(self.effects.filter(effect => effect.type === 'reply')).to.have.length(1);
  },
  'insufficient-after-fill': self => {
    self.fault('insufficient-after-fill');
    limit(self, 'buy', '77010', '0.01');
    self.advance(100);
    expect(submit(self)?.json.code).to.equal(1122);
    self.advance(200);
    expect(submit(self)?.status).to.equal(200);
  },
  'cancel-refused': self => {
    self.fault('cancel-refused,count=1');
    const id = limit(self, 'buy', '76500', '0.01');
    self.advance(50);
    expect(self.call('DELETE', `/api/v1/order?id=${id}`)?.json.message).to.equal(
      'ORDER_COULD_NOT_BE_CANCELED',
    );
    expect(self.account().open.size).to.equal(1);
  },
  'cancel-late': self => {
    self.fault('cancel-late=8000');
    const id = limit(self, 'buy', '76500', '0.01');
    self.call('DELETE', `/api/v1/order?id=${id}`);
    self.advance(7_500);
    expect(self.account().open.size).to.equal(1);
    self.advance(1_000);
    expect(self.account().open.size).to.equal(0);
  },
  'cancel-lost': self => {
    self.fault('cancel-lost,count=1');
    const id = limit(self, 'buy', '76500', '0.01');
    self.advance(50);
    expect(self.call('DELETE', `/api/v1/order?id=${id}`)?.status).to.equal(200);
    self.advance(60_000);
    expect(self.account().open.size).to.equal(1);
  },
  'cancel-overtaken': self => {
    self.fault('cancel-overtaken');
    const socket = loggedIn(self);
    const id = limit(self, 'buy', '76500', '0.01');
    self.advance(50);
    expect(self.call('DELETE', `/api/v1/order?id=${id}`)?.status).to.equal(200);
    self.advance(100);
    expect(self.account().orders.get(id)?.status).to.equal('closed');
    expect(self.frames(socket).map(frame => frame.model)).to.deep.equal([451, 441, 423, 201]);
  },
  'stuck-order': self => {
    self.fault('stuck-order');
    const socket = loggedIn(self);
    const id = limit(self, 'buy', '77010', '0.01');
    self.advance(60_000);
    expect(self.frames(socket)).to.deep.equal([]);
    expect(self.call('GET', `/api/v1/order/${id}`)?.json.data.status).to.equal('Untouched');
  },
  'stale-balances': self => {
    self.fault('stale-balances=4000');
    limit(self, 'buy', '77010', '0.01');
    self.advance(1_000);
    const btc = (): string => self.call('GET', '/api/v1/users/balances')?.json.data[1].balance;
    expect(btc()).to.equal('2.0000000000000000');
    self.advance(4_000);
    expect(btc()).to.equal('2.0100000000000000');
  },
  'stale-open-orders': self => {
    self.fault('stale-open-orders=4000');
    limit(self, 'buy', '76500', '0.01');
    self.advance(1_000);
    const bids = (): unknown[] => self.call('GET', '/api/v1/openOrders')?.json.data.bids;
    expect(bids()).to.have.length(0);
    self.advance(4_000);
    expect(bids()).to.have.length(1);
  },
  'empty-trades': self => {
    self.fault('empty-trades,count=2');
    limit(self, 'buy', '77010', '0.01');
    self.advance(100);
    const rows = (): unknown[] => self.call('GET', '/api/v1/users/transactions/trade')?.json.data;
    expect([rows().length, rows().length, rows().length]).to.deep.equal([0, 0, 1]);
  },
  'late-trades': self => {
    self.fault('late-trades=2000');
    limit(self, 'buy', '77010', '0.01');
    self.advance(1_000);
    const rows = (): unknown[] => self.call('GET', '/api/v1/users/transactions/trade')?.json.data;
    expect(rows()).to.have.length(0);
    self.advance(2_000);
    expect(rows()).to.have.length(1);
  },
  'wrong-balance': self => {
    self.fault('wrong-balance=0.5');
    expect(self.call('GET', '/api/v1/users/balances')?.json.data[1].balance).to.equal('2.5000000000000000');
    expect(self.account().holdings.get('BTC')?.total).to.equal(parseDecimal('2'));
  },
  'handshake-refused': self => {
    for (const status of [403, 429, 503]) {
      self.fault(`handshake-refused=${status},count=1`);
      const socketId = self.connect();
      const refused = self.effects.find(
        effect => effect.type === 'refuse-socket' && effect.socketId === socketId,
      );
      expect(refused).to.include({ status });
    }
    expect(self.frames(self.connect())).to.have.length(1);
  },
  'reconnect-storm': self => {
    self.fault('reconnect-storm=50');
    const socket = self.connect();
    expect(self.frames(socket).map(frame => frame.model)).to.deep.equal([991]);
    self.advance(60);
    expect(self.closed(socket)).to.include({ abrupt: false });
  },
  'no-version': self => {
    self.fault('no-version');
    expect(self.frames(self.connect())).to.deep.equal([]);
  },
  'no-ping': self => {
    self.fault('no-ping');
    const socket = self.connect();
    self.advance(120_000);
    expect(self.effects.some(effect => effect.type === 'ping')).to.equal(false);
    expect(self.closed(socket)).to.equal(undefined);
  },
  'login-refused': self => {
    self.fault('login-refused,count=1');
    const socket = self.connect();
    self.login(socket);
    self.login(socket);
    expect(self.frames(socket, 114).map(frame => [frame.payload.ok, frame.payload.message])).to.deep.equal([
      [false, 'Unauthorized - Invalid Nonce'],
      [true, null],
    ]);
  },
  'silent-stall': self => {
    const socket = following(self);
    self.fault('silent-stall,count=1');
    changeBook(self, '4');
    changeBook(self, '5');
    expect(self.frames(socket)).to.deep.equal([]);
    expect(self.closed(socket)).to.equal(undefined);
    const fresh = following(self);
    changeBook(self, '6');
    expect(self.frames(fresh)).to.have.length(1);
  },
  'stalled-channel': self => {
    const socket = following(self);
    self.join(socket, 'trade', 'BTCUSDT');
    self.frames(socket);
    self.fault('stalled-channel=obdiff');
    changeBook(self, '4');
    participant(self, 'buy', '0.1');
    self.advance(500);
    expect(self.frames(socket).map(frame => frame.model)).to.deep.equal([422]);
  },
  'cs-gap': self => {
    const socket = following(self);
    self.fault('cs-gap,count=1');
    changeBook(self, '4');
    changeBook(self, '5');
    changeBook(self, '6');
    const numbers = self.frames(socket).map(frame => frame.payload.CS as number);
    expect(numbers).to.have.length(2);
    const again = self.connect();
    self.join(again, 'obdiff', 'BTCUSDT');
    expect(self.frames(again, 431)[0]?.payload.BO[2].A).to.equal('6');
  },
  'cs-repeat': self => {
    const socket = following(self);
    self.fault('cs-repeat');
    changeBook(self, '4');
    const [first, second] = self.frames(socket);
    expect(first?.text).to.equal(second?.text);
  },
  'late-full-book': self => {
    const socket = following(self);
    self.fault('late-full-book,count=1');
    changeBook(self, '4');
    changeBook(self, '5');
    const frames = self.frames(socket);
    expect(frames.map(frame => frame.model)).to.deep.equal([432, 431, 432]);
    expect(frames.map(frame => frame.payload.CS - frames[0]?.payload.CS)).to.deep.equal([0, 1, 2]);
  },
  'missing-delete': self => {
    const socket = following(self);
    self.fault('missing-delete,count=1');
    self.market(
      'BTCUSDT',
      book(
        [
          ['77000', '0'],
          ['76990', '2'],
        ],
        [],
        false,
      ),
    );
    expect(self.frames(socket)[0]?.payload.BO).to.deep.equal([{ CP: 0, P: '76990', A: '2' }]);
  },
  'crossed-book': self => {
    const socket = following(self);
    self.fault('crossed-book,count=1');
    changeBook(self, '4');
    const prices = self.frames(socket)[0]?.payload.BO.map((level: { P: string }) => Number(level.P));
    expect(Math.max(...prices)).to.be.greaterThan(77_010);
  },
  'corrupt-frame': self => {
    const socket = following(self);
    self.fault('corrupt-frame,count=1');
    changeBook(self, '4');
    expect(self.frames(socket)[0]?.model).to.equal(0);
  },
  'drop-private': self => {
    const socket = loggedIn(self);
    self.fault('drop-private=423+451');
    limit(self, 'buy', '77010', '0.01');
    self.advance(100);
    expect(self.frames(socket).map(frame => frame.model)).to.deep.equal([441, 201]);
  },
  'mute-after-relogin': self => {
    self.fault('mute-after-relogin');
    const first = loggedIn(self);
    const second = loggedIn(self);
    limit(self, 'buy', '77010', '0.01');
    self.advance(100);
    expect(self.frames(first).map(frame => frame.model)).to.deep.equal([451, 441, 423, 201]);
    expect(self.frames(second).map(frame => frame.model)).to.deep.equal([423, 201]);
  },
  'duplicate-423': self => {
    const socket = loggedIn(self);
    self.fault('duplicate-423');
    limit(self, 'buy', '77010', '0.01');
    self.advance(100);
    const [first, second] = self.frames(socket, 423);
    expect(first?.text).to.equal(second?.text);
    expect(self.account().trades).to.have.length(1);
  },
  'late-423': self => {
    const socket = loggedIn(self);
    self.fault('late-423=2000');
    limit(self, 'buy', '77010', '0.01');
    self.advance(1_900);
    expect(self.frames(socket).map(frame => frame.model)).to.deep.equal([451, 441]);
    self.advance(200);
    expect(self.frames(socket).map(frame => frame.model)).to.deep.equal([423, 201]);
  },
  'wrong-441-amount': self => {
    const socket = loggedIn(self);
    self.fault('wrong-441-amount=1.5');
    limit(self, 'buy', '77010', '0.01');
    self.advance(100);
    const [match, fill] = self.frames(socket, 441, 423);
    expect([match?.payload.amount, fill?.payload.amount]).to.deep.equal(['0.0150000000', '0.01000000']);
  },
  'abrupt-drop': self => {
    const socket = self.connect();
    self.fault('abrupt-drop');
    expect(self.closed(socket)).to.include({ abrupt: true });
    expect(self.closed(self.connect())).to.equal(undefined);
  },
  'comma-balances': self => {
    self.fault('comma-balances');
    expect(self.call('GET', '/api/v1/users/balances')?.json.data[1].free).to.equal('2,0000000000000000');
  },
  'success-on-401': self => {
    self.fault('success-on-401');
    expect(self.call('GET', '/api/v1/users/balances', undefined, { secret: 'AAAA' })?.json.success).to.equal(
      true,
    );
  },
  'string-code': self => {
    self.fault('string-code');
    expect(self.call('GET', '/api/v2/orderbook?pairSymbol=BTCUSDT')?.json.code).to.equal('SUCCESS');
  },
  'small-ids': () => {
    const self = quietHarness({ faults: ['small-ids'] });
    for (let count = 0; count < 2; count++) limit(self, 'buy', '77010', '0.001');
    self.advance(100);
    expect(self.account().trades.map(fill => fill.tradeId)).to.deep.equal([1n, 2n]);
  },
  'no-http-status-code': self => {
    self.fault('no-http-status-code');
    expect(submit(self)?.json).not.to.have.property('httpStatusCode');
  },
  'strict-klines': self => {
    const klines = (): number | undefined =>
      self.call('GET', '/v1/klines/history?symbol=BTCUSDT&resolution=1%20d&from=-86400&to=1790133600')
        ?.status;
    expect(klines()).to.equal(200);
    self.fault('strict-klines');
    expect(klines()).to.equal(400);
  },
  'no-market-methods': self => {
    self.fault('no-market-methods');
    expect(submit(self, { orderMethod: 'market', quantity: '100' })?.json.code).to.equal(1134);
    expect(submit(self)?.status).to.equal(200);
  },
  'market-remainder-rests': self => {
    self.fault('market-remainder-rests');
    const id = submit(self, { orderType: 'sell', orderMethod: 'market', quantity: '2' })?.json.data.id;
    self.market('BTCUSDT', book([['77000', '1']], [['77010', '1']]));
    self.advance(50);
    expect(self.account().orders.get(id)).to.include({ status: 'working', remaining: parseDecimal('1') });
    participant(self, 'buy', '1');
    expect(self.account().orders.get(id)?.status).to.equal('closed');
  },
  'no-451-when-immediate': self => {
    const socket = loggedIn(self);
    self.fault('no-451-when-immediate');
    limit(self, 'buy', '77010', '0.01');
    limit(self, 'buy', '77010', '0.5');
    self.advance(100);
    expect(self.frames(socket, 451)).to.have.length(1);
  },
  '452-after-fill': self => {
    const socket = loggedIn(self);
    self.fault('452-after-fill');
    limit(self, 'buy', '77010', '0.01');
    submit(self, { orderMethod: 'market', quantity: '100' });
    self.advance(100);
    expect(self.frames(socket, 452).map(frame => frame.payload.numLeft)).to.deep.equal([
      '0.0000000000000000',
      '0.0000000000000000',
    ]);
  },
  'list-oldest-first': self => {
    const [first, second] = [limit(self, 'buy', '76500', '0.01'), limit(self, 'buy', '76400', '0.01')];
    const ids = (): number[] =>
      self
        .call('GET', '/api/v1/allOrders?pairSymbol=BTCUSDT')
        ?.json.data.map((row: { id: number }) => row.id);
    expect(ids()).to.deep.equal([second, first]);
    self.fault('list-oldest-first');
    expect(ids()).to.deep.equal([first, second]);
  },
  'no-self-trade': self => {
    limit(self, 'sell', '77005', '0.01');
    self.advance(50);
    self.fault('no-self-trade');
    expect(submit(self, { price: '77005' })?.json.message).to.equal('FAILED_LIMIT_ORDER');
    expect(submit(self, { price: '77004' })?.status).to.equal(200);
  },
  'separate-keys': self => {
    const made = {
      newKey: 'made-for-the-socket',
      newSecret: Buffer.from('another secret').toString('base64'),
    };
    self.admin({ type: 'add-key', apiKey: self.account().apiKey, ...made, madeFor: 'socket' });
    const loginOf = (...key: readonly string[]): unknown => {
      const socket = self.connect();
      self.login(socket, ...key);
      return self.frames(socket, 114)[0]?.payload.ok;
    };
    const answers = (): readonly unknown[] => [
      self.call('GET', '/api/v1/users/balances')?.status,
      self.call('GET', '/api/v1/users/balances', undefined, { apiKey: made.newKey, secret: made.newSecret })
        ?.status,
      loginOf(),
      loginOf(made.newKey, made.newSecret),
    ];
    expect(answers()).to.deep.equal([200, 200, true, true]);
    self.fault('separate-keys');
    expect(answers()).to.deep.equal([200, 401, false, true]);
  },
  'second-login-refused': self => {
    self.fault('second-login-refused');
    const socket = loggedIn(self);
    self.login(socket);
    expect(self.frames(socket)[0]?.payload.ok).to.equal(false);
  },
  'stop-trigger': self => {
    self.fault('stop-trigger=touch');
    submit(self, { orderMethod: 'stoplimit', stopPrice: '77500', price: '77500' });
    self.advance(50);
    self.market(
      'BTCUSDT',
      book(
        [],
        [
          ['77010', '0'],
          ['77020', '0'],
        ],
        false,
      ),
    );
    participant(self, 'sell', '0.001');
    self.advance(50);
    expect([...self.account().orders.values()].map(order => order.status)).to.deep.equal([
      'canceled',
      'working',
    ]);
  },
  'remainder-pays-taker': self => {
    self.fault('remainder-pays-taker');
    limit(self, 'buy', '77010', '0.5');
    self.advance(50);
    participant(self, 'sell', '0.1');
    const [taken, made] = self.account().trades;
    expect([taken?.liquidity, made?.liquidity]).to.deep.equal(['taker', 'maker']);
    expect((made?.fee ?? 0n) + (made?.tax ?? 0n)).to.equal(parseDecimal('10.7814'));
  },
  'no-rate-limits': self => {
    self.fault('no-rate-limits');
    for (let count = 0; count < 400; count++)
      expect(self.call('DELETE', '/api/v1/order?id=1')?.status).to.equal(400);
  },
  'clock-skew': self => {
    self.fault('clock-skew=-60000');
    expect(self.call('GET', '/api/v2/server/time')?.json.serverTime).to.equal(self.nowMs() - 60_000);
    expect(submit(self)?.json.message).to.equal('Unauthorized - Invalid Nonce');
  },
};

describe('faults of the exchange', () => {
  for (const [name, proof] of Object.entries(PROOFS))
    it(`${name}: ${FAULTS[name as FaultName].about}`, () => {
      const self = quietHarness();
      proof(self);
    });

  it('are all proven', () => {
    expect(Object.keys(PROOFS).sort()).to.deep.equal(Object.keys(FAULTS).sort());
  });

  it('strike with their probability, drawn from the seed, and as often as they may', () => {
    const struck = (seed: number): string => {
      const self = quietHarness({ seed, faults: ['no-rate-limits', 'html-5xx,probability=0.3,on=balances'] });
      return Array.from({ length: 200 }, () =>
        self.call('GET', '/api/v1/users/balances')?.status === 502 ? 'x' : '.',
      ).join('');
    };
    const pattern = struck(7);
    expect(pattern).to.equal(struck(7));
    expect(pattern).not.to.equal(struck(8));
    const hits = pattern.split('x').length - 1;
    expect(hits > 40 && hits < 80, `${hits} of 200`).to.equal(true);
  });

  it('concern one pair when told so', () => {
    const self = quietHarness();
    self.fault('reject,symbol=ETHTRY');
    expect(submit(self)?.status).to.equal(200);
    self.fault('reject,symbol=BTCUSDT');
    expect(submit(self)?.status).to.equal(400);
  });

  it('are set, listed and cleared on the admin paths', () => {
    const self = quietHarness();
    const set = (body: unknown): Reply | undefined => self.call('POST', '/admin/faults', body);
    expect(set({ name: 'hang', on: 'submit', count: 2 })?.json.ok).to.equal(true);
    expect(set('html-5xx=503,on=reads')?.json.fault).to.include({ name: 'html-5xx', value: '503' });
    const listed = self.call('GET', '/admin/faults')?.json;
    expect(listed.active.map((fault: { name: string }) => fault.name)).to.deep.equal(['hang', 'html-5xx']);
    expect(listed.known).to.have.length(Object.keys(FAULTS).length);
    expect(self.call('DELETE', '/admin/faults?name=hang')?.json.ok).to.equal(true);
    expect(self.call('GET', '/admin/faults')?.json.active).to.have.length(1);
    expect(set({ name: 'hag' })?.json.problem).to.contain('did you mean hang?');
    expect(self.call('POST', '/admin/faults', undefined, { rawBody: '{' })?.status).to.equal(400);
  });

  for (const [text, words] of [
    ['accept-then-timout', 'did you mean accept-then-timeout?'],
    ['', 'no fault is called ""'],
    ['hang=5', 'hang takes no value'],
    ['cancel-late=soon', 'soon is not a number of milliseconds'],
    ['hang,on=everything', 'on=everything is not one of'],
    ['hang,probability=2', 'probability is above 0 and at most 1'],
    ['hang,count=0', 'count is a whole number above 0'],
    ['hang,often=1', 'unknown option often'],
  ] as const)
    it(`refuse ${JSON.stringify(text)} with a reason`, () => {
      expect(() => parseFault(text)).to.throw(FaultError, words);
    });

  it('leave everything alone when none is set', () => {
    const self = quietHarness();
    const socket = loggedIn(self);
    limit(self, 'buy', '77010', '0.01');
    self.advance(100);
    expect(self.frames(socket).map(frame => frame.model)).to.deep.equal([451, 441, 423, 201]);
    expect(self.account(KEY).trades).to.have.length(1);
  });
});
