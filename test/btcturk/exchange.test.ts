/** The adapter against the embedded exchange, over real sockets: what each side believes, the other must do. */
import { expect } from 'chai';
import { openPrivateFeed, type PrivateFeed } from '#src/btcturk/private-feed.js';
import { createPublicFeed, type PublicFeed, type PublicFeedEffect } from '#src/btcturk/public-feed.js';
import { createRestClient, type RestClient, type RestClientOptions } from '#src/btcturk/rest-client.js';
import type { BookView } from '#src/domain/book-view.js';
import { bestAsk, bestBid } from '#src/domain/book-view.js';
import type { Instrument } from '#src/domain/instrument.js';
import { lotSize, roundPrice } from '#src/domain/instrument.js';
import type { MarketEvent } from '#src/domain/market-events.js';
import { type Amount, formatDecimal, parseDecimal } from '#src/domain/money.js';
import type { OrderTerms } from '#src/domain/order.js';
import { eventIds } from '#src/domain/step.js';
import type { PrivateEvent, SubmitOutcome, VenueRead } from '#src/domain/venue-port.js';
import { parseFault } from '#src/exchange/faults.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import { now } from '#src/runtime/clock.js';
import { eventsOf } from './collected.js';
import { CREDENTIALS } from './fixtures.js';

const SYMBOL = 'BTCUSDT';
const GO = { beforeBytes: () => null, signal: new AbortController().signal };
const BALANCES: ReadonlyMap<string, Amount> = new Map([
  ['USDT', parseDecimal('50000')],
  ['BTC', parseDecimal('1')],
  ['TRY', parseDecimal('100000')],
]);

describe('adapter against the embedded exchange', function () {
  this.timeout(120_000);
  let exchange: RunningExchange;
  let client: RestClient;
  let btc: Instrument;
  let label = 0;

  const clientFor = (options: Partial<RestClientOptions> = {}): RestClient =>
    createRestClient({
      endpoints: { baseUrl: exchange.url, graphUrl: exchange.url, wsUrl: exchange.wsUrl },
      credentials: CREDENTIALS,
      ...options,
    });
  const fault = (text: string): void => {
    exchange.admin({ type: 'set-fault', fault: parseFault(text) });
  };
  const value = async <C extends VenueRead>(call: C, from = client) => {
    const result = await from.read(call);
    if (!result.ok) throw new Error(`${call.type}: ${JSON.stringify(result.failure)}`);
    return result.value;
  };
  const terms = (overrides: Partial<OrderTerms> = {}): OrderTerms => ({
    symbol: SYMBOL,
    side: 'buy',
    method: 'limit',
    price: null,
    quantity: parseDecimal('0.01'),
    quoteQuantity: null,
    stopPrice: null,
    ...overrides,
  });
  const place = (overrides: Partial<OrderTerms>, from = client): Promise<SubmitOutcome> =>
    from.write({ type: 'submit', clientOrderId: `t-${++label}`, terms: terms(overrides) }, btc, GO);
  const lastLabel = (): string => `t-${label}`;
  const mid = async (): Promise<bigint> => {
    const ticker = await value({ type: 'ticker', symbol: SYMBOL });
    return ticker?.last ?? 0n;
  };
  /** Waits inside the exchange, so that no read is spent on asking again: its limits are the venue's. */
  const happened = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise(resolve => setImmediate(resolve));
  };
  const hasTraded = (venueOrderId: string): boolean =>
    exchange.account().trades.some(({ order }) => String(order.orderId) === venueOrderId);
  /** A price far enough from the market to rest. */
  const away = async (share: bigint): Promise<bigint> =>
    roundPrice(((await mid()) * share) / 100n, btc, 'down');

  // A fresh exchange for each test: its request windows are the venue's.
  beforeEach(async () => {
    exchange = await startExchange({
      market: { type: 'generated' },
      symbols: [SYMBOL],
      seed: 5,
      balances: BALANCES,
      credentials: CREDENTIALS,
      latency: { submitMs: 20, cancelMs: 20 },
    });
    client = clientFor();
    const { instruments } = await value({ type: 'instruments' });
    btc = instruments.find(({ symbol }) => symbol === SYMBOL) as Instrument;
  });
  afterEach(async () => {
    await client.close();
    await exchange.close();
  });

  it('reads every endpoint', async () => {
    const { instruments, problems } = await value({ type: 'instruments' });
    expect(problems).to.deep.equal([]);
    expect(instruments.map(({ symbol }) => symbol)).to.include.members(['BTCTRY', 'ETHTRY', SYMBOL]);
    expect(btc).to.deep.include({ priceScale: 0, quantityScale: 8, quote: 'USDT' });
    await value({ type: 'server-time' });
    expect(Math.abs(client.clock()?.offsetMs ?? 1e9)).to.be.lessThan(1_000);
    const ticker = await value({ type: 'ticker', symbol: SYMBOL });
    expect(ticker !== null && ticker.bid < ticker.ask).to.equal(true);
    expect(await value({ type: 'ticker', symbol: 'NOPEUSDT' })).to.equal(null);
    const { balances } = await value({ type: 'balances' });
    expect(formatDecimal(balances.find(({ asset }) => asset === 'USDT')?.total ?? 0n)).to.equal('50000');
    expect(await value({ type: 'open-orders', symbol: SYMBOL })).to.deep.equal({ orders: [] });
    expect(
      await value({
        type: 'all-orders',
        symbol: SYMBOL,
        fromMs: now().wallMs - 60_000,
        toMs: now().wallMs,
        limit: 100,
      }),
    ).to.deep.equal({ orders: [] });
    expect(await value({ type: 'order', venueOrderId: '12345' })).to.deep.equal({ order: null });
    expect(await value({ type: 'trades', fromMs: null, toMs: null })).to.deep.equal({ fills: [] });
    expect(await value({ type: 'cash-movements', fromMs: null, toMs: null })).to.have.property('movements');
    const book = await client.read({ type: 'order-book', symbol: SYMBOL, depth: 20 });
    if (!book.ok) throw new Error('there is a book');
    expect((book.value.bids[0]?.price ?? 0n) < (book.value.asks[0]?.price ?? 0n)).to.equal(true);
    const trades = await client.read({ type: 'public-trades', symbol: SYMBOL, count: 5 });
    expect(trades.ok).to.equal(true);
    const candles = await client.read({
      type: 'candles',
      symbol: SYMBOL,
      resolution: '60',
      fromMs: now().wallMs - 36_000_000,
      toMs: now().wallMs,
    });
    if (!candles.ok) throw new Error('there are candles');
    for (const { high, low, open, close } of candles.value.candles)
      expect(high >= open && high >= close && low <= open && low <= close).to.equal(true);
    const days = await client.read({
      type: 'daily-candles',
      symbol: SYMBOL,
      fromMs: now().wallMs - 5 * 86_400_000,
      toMs: now().wallMs,
    });
    expect(days.ok).to.equal(true);
  });

  it('places, sees, cancels and sees the end of a limit order', async () => {
    const price = await away(80n);
    const placed = await place({ price });
    if (placed.type !== 'confirmed') throw new Error(JSON.stringify(placed));
    const { venueOrderId } = placed;
    const report = async () => (await value({ type: 'order', venueOrderId })).order;
    for (let status = (await report())?.status; status === undefined; status = (await report())?.status);
    expect(await report()).to.deep.include({
      clientOrderId: lastLabel(),
      status: 'untouched',
      side: 'buy',
      method: 'limit',
      price,
      quantity: parseDecimal('0.01'),
      remaining: parseDecimal('0.01'),
    });
    const { orders } = await value({ type: 'open-orders', symbol: SYMBOL });
    expect(orders.map(order => order.venueOrderId)).to.deep.equal([venueOrderId]);
    expect(orders[0]?.createdAtMs).to.equal(0);
    expect(
      await client.write({ type: 'cancel', clientOrderId: lastLabel(), venueOrderId }, btc, GO),
    ).to.deep.equal({
      type: 'queued',
    });
    await happened(() => exchange.account().orders.get(Number(venueOrderId))?.status === 'canceled');
    expect((await report())?.status).to.equal('canceled');
    const all = await value({ type: 'all-orders', symbol: SYMBOL, fromMs: null, toMs: null, limit: 100 });
    expect(all.orders.map(order => order.venueOrderId)).to.include(venueOrderId);
  });

  it('buys at market for quote and finds its fills, exact to the last digit', async () => {
    const placed = await place({ method: 'market', quantity: 0n, quoteQuantity: parseDecimal('1000') });
    if (placed.type !== 'confirmed') throw new Error(JSON.stringify(placed));
    const { venueOrderId } = placed;
    const fillsOf = async () => (await value({ type: 'trades-of-order', venueOrderId })).fills;
    await happened(() => hasTraded(venueOrderId));
    const fills = await fillsOf();
    const spent = fills.reduce(
      (sum, fill) => sum + (fill.price * fill.quantity) / 10n ** 16n + fill.fee + fill.tax,
      0n,
    );
    expect(spent <= parseDecimal('1000') && spent > parseDecimal('999.9')).to.equal(true);
    for (const fill of fills) {
      expect(fill).to.deep.include({
        symbol: SYMBOL,
        side: 'buy',
        feeAsset: 'USDT',
        clientOrderId: lastLabel(),
      });
      expect(BigInt(fill.tradeId) > 2n ** 53n).to.equal(true);
      expect(fill.fee > 0n && fill.tax > 0n).to.equal(true);
    }
    const total = fills.reduce((sum, fill) => sum + fill.quantity, 0n);
    const { balances } = await value({ type: 'balances' });
    const held = balances.find(({ asset }) => asset === 'BTC')?.total ?? 0n;
    expect(held).to.equal(parseDecimal('1') + total);
    expect(total % lotSize(btc) === 0n, 'a market buy leaves dust').to.equal(false);
  });

  for (const [title, overrides, reason] of [
    ['below the minimum value', { quantity: parseDecimal('0.00001') }, 'FAILED_MIN_TOTAL_AMOUNT'],
    ['beyond the balance', { quantity: parseDecimal('5') }, 'BALANCE_NOT_ENOUGH'],
    [
      'a stop buy below the market',
      { method: 'stop-limit', stop: 50n },
      'FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK',
    ],
    ['a price far from the market', { share: 5n, quantity: parseDecimal('0.1') }, 'ORDER_MIN_PRICE_EXCEEDED'],
  ] as const) {
    it(`is refused ${title}, in the venue's words`, async () => {
      const { stop, share, ...rest } = { stop: null, share: 90n, ...overrides };
      const price = await away(share);
      const outcome = await place({ price, ...rest, stopPrice: stop === null ? null : await away(stop) });
      expect(outcome).to.deep.include({ type: 'rejected', reason });
    });
  }

  for (const [text, expected] of [
    ['hang,on=submit', { type: 'unknown', cause: 'timeout' }],
    ['accept-then-timeout,on=submit', { type: 'unknown', cause: 'timeout' }],
    ['reset-before,on=submit', { type: 'unknown', cause: 'disconnect' }],
    ['accept-then-reset,on=submit', { type: 'unknown', cause: 'disconnect' }],
    ['accept-then-5xx=504,on=submit', { type: 'unknown', cause: 'server-error' }],
    ['accept-then-429,on=submit', { type: 'unknown', cause: 'rate-limited', retryAfterMs: 60_000 }],
    ['accept-then-garbage,on=submit', { type: 'unknown', cause: 'unreadable' }],
    ['html-5xx=502,on=submit', { type: 'unknown', cause: 'server-error' }],
    ['forbidden,on=submit', { type: 'unknown', cause: 'unreadable' }],
    ['maintenance,on=submit', { type: 'unknown', cause: 'server-error', closed: 'SYSTEM_UNDER_MAINTENANCE' }],
    ['maintenance=ORDER_INSERT_BLOCKED,on=submit', { type: 'rejected', reason: 'ORDER_INSERT_BLOCKED' }],
    ['reject=FAILED_LIMIT_ORDER', { type: 'rejected', reason: 'FAILED_LIMIT_ORDER' }],
    ['unauthorized=empty,on=submit', { type: 'rejected', reason: 'Unauthorized' }],
    ['unauthorized,on=submit', { type: 'rejected', reason: 'Unauthorized - Invalid Nonce' }],
    ['no-http-status-code', { type: 'confirmed' }],
  ] as const) {
    it(`calls a submit ${expected.type} under the fault ${text}, with one attempt`, async () => {
      const hasty = clientFor({ limits: { replyMs: 250 } });
      try {
        const price = await away(70n);
        fault(text);
        expect(await place({ price, quantity: parseDecimal('0.001') }, hasty)).to.deep.include(expected);
        exchange.admin({ type: 'clear-faults' });
        const { orders } = await value({
          type: 'all-orders',
          symbol: SYMBOL,
          fromMs: null,
          toMs: null,
          limit: 500,
        });
        const ours = orders.filter(({ clientOrderId }) => clientOrderId === lastLabel());
        const exists = text.startsWith('accept') || text === 'no-http-status-code';
        if (exists) expect(ours).to.have.length(1);
        else expect(ours).to.have.length(0);
      } finally {
        await hasty.close();
      }
    });
  }

  for (const text of [
    'comma-balances',
    'success-on-401',
    'string-code',
    'small-ids',
    'list-oldest-first',
  ] as const) {
    it(`reads the venue with the switch ${text} on`, async () => {
      fault(text);
      const { balances } = await value({ type: 'balances' });
      expect(balances.find(({ asset }) => asset === 'TRY')?.total).to.equal(parseDecimal('100000'));
      expect((await client.read({ type: 'order-book', symbol: SYMBOL, depth: 5 })).ok).to.equal(true);
      await value({ type: 'trades', fromMs: null, toMs: null });
      const { orders } = await value({
        type: 'all-orders',
        symbol: SYMBOL,
        fromMs: null,
        toMs: null,
        limit: 500,
      });
      const ids = orders.map(({ venueOrderId }) => BigInt(venueOrderId));
      expect(ids.every((id, index) => index === 0 || id > (ids[index - 1] ?? 0n))).to.equal(true);
      const stranger = clientFor({ credentials: { ...CREDENTIALS, apiSecret: 'AAAA' } });
      const refused = await stranger.read({ type: 'balances' });
      await stranger.close();
      expect(refused.ok ? null : refused.failure).to.deep.equal({
        type: 'unauthorized',
        message: 'Unauthorized - Invalid Signature',
      });
    });
  }

  describe('the checklist of protocol section 13.1', () => {
    const ends: (() => void)[] = [];
    afterEach(() => {
      for (const end of ends.splice(0)) end();
    });
    const confirmed = async (overrides: Partial<OrderTerms>): Promise<string> => {
      const placed = await place(overrides);
      if (placed.type !== 'confirmed') throw new Error(JSON.stringify(placed));
      return placed.venueOrderId;
    };
    const report = async (venueOrderId: string) => (await value({ type: 'order', venueOrderId })).order;
    const fillsOf = async (venueOrderId: string) => {
      await happened(() => hasTraded(venueOrderId));
      return (await value({ type: 'trades-of-order', venueOrderId })).fills;
    };
    /** The exchange's own rows of an order, which the adapter's must equal. */
    const tradesOf = (venueOrderId: string) =>
      exchange.account().trades.filter(({ order }) => String(order.orderId) === venueOrderId);
    const listen = () => {
      const events = eventsOf<PrivateEvent>();
      const states = eventsOf<string>();
      const feed = openPrivateFeed({
        wsUrl: exchange.wsUrl,
        credentials: CREDENTIALS,
        seed: 3,
        onEvent: events.add,
        onState: states.add,
        clockOffsetMs: () => client.clock()?.offsetMs ?? 0,
      });
      ends.push(() => feed.close());
      return { events, live: () => states.find((state): state is string => state === 'live') };
    };
    const follow = () => {
      const seen = eventsOf<MarketEvent>();
      const feed = createPublicFeed({
        wsUrl: exchange.wsUrl,
        now,
        config: {
          instruments: [btc],
          maxAgeMs: 5_000,
          idleReconnectMs: 30_000,
          seed: 12,
          forgottenAttempts: 0,
          ids: eventIds('market-data', 1),
        },
        perform: effect => {
          if (effect.type === 'tell' && effect.to === 'strategy') seen.add(effect.message);
        },
      });
      feed.tick();
      const ticks = setInterval(() => feed.tick(), 50);
      ends.push(() => {
        clearInterval(ticks);
        feed.close();
      });
      const isTrusted = (event: MarketEvent): event is Extract<MarketEvent, { type: 'book-updated' }> =>
        event.type === 'book-updated' && event.book.trusted;
      return { seen, isTrusted };
    };

    it('row 1, paths: public, private, chart and socket addresses all answer', async () => {
      await value({ type: 'ticker', symbol: SYMBOL });
      await value({ type: 'balances' });
      const toMs = now().wallMs;
      const fromMs = toMs - 3_600_000;
      const candles = await client.read({ type: 'candles', symbol: SYMBOL, resolution: '1', fromMs, toMs });
      expect(candles.ok && candles.value.candles.length > 0).to.equal(true);
      const { seen, isTrusted } = follow();
      await seen.find(isTrusted);
    });

    it('row 2, authentication: a decoded secret and a measured clock are taken, others are not', async () => {
      fault('clock-skew=10000');
      const late = await client.read({ type: 'balances' });
      expect(late.ok ? null : late.failure.type).to.equal('unauthorized');
      await value({ type: 'server-time' });
      await value({ type: 'balances' });
      exchange.admin({ type: 'clear-faults' });
      const stranger = clientFor({ credentials: { ...CREDENTIALS, apiSecret: 'AAAA' } });
      const refused = await stranger.read({ type: 'balances' });
      await stranger.close();
      expect(refused.ok ? null : refused.failure).to.deep.equal({
        type: 'unauthorized',
        message: 'Unauthorized - Invalid Signature',
      });
    });

    it('row 3, input: every digit of an order arrives, and a cancel is found by its id', async () => {
      const price = await away(80n);
      const quantity = parseDecimal('0.01234567');
      const venueOrderId = await confirmed({ price, quantity });
      expect(exchange.account().orders.get(Number(venueOrderId))).to.deep.include({
        price,
        quantity,
        clientOrderId: lastLabel(),
      });
      const cancel = { type: 'cancel', clientOrderId: lastLabel(), venueOrderId } as const;
      expect(await client.write(cancel, btc, GO)).to.deep.equal({ type: 'queued' });
    });

    it('row 4, envelope: each known variation is read, and success:true on a 401 is no success', async () => {
      for (const text of ['success-on-401', 'string-code', 'comma-balances', 'no-http-status-code'])
        fault(text);
      const { balances } = await value({ type: 'balances' });
      expect(balances.find(({ asset }) => asset === 'USDT')?.free).to.equal(parseDecimal('50000'));
      expect((await client.read({ type: 'order-book', symbol: SYMBOL, depth: 5 })).ok).to.equal(true);
      await confirmed({ price: await away(80n) });
      fault('unauthorized,on=balances');
      const refused = await client.read({ type: 'balances' });
      expect(refused.ok ? null : refused.failure.type).to.equal('unauthorized');
    });

    it('row 5, units: a market buy spends quote, allOrders takes seconds, transactions milliseconds', async () => {
      const fromMs = now().wallMs - 5_000;
      const venueOrderId = await confirmed({
        method: 'market',
        quantity: 0n,
        quoteQuantity: parseDecimal('500'),
      });
      const fills = await fillsOf(venueOrderId);
      const spent = fills.reduce(
        (sum, fill) => sum + (fill.price * fill.quantity) / 10n ** 16n + fill.fee + fill.tax,
        0n,
      );
      expect(spent > parseDecimal('499.9') && spent <= parseDecimal('500')).to.equal(true);
      const toMs = now().wallMs;
      const orders = await value({ type: 'all-orders', symbol: SYMBOL, fromMs, toMs, limit: 10 });
      expect(orders.orders.map(order => order.venueOrderId)).to.deep.equal([venueOrderId]);
      const since = await value({ type: 'trades', fromMs, toMs });
      expect(since.fills.map(({ tradeId }) => tradeId)).to.have.members(fills.map(({ tradeId }) => tradeId));
      expect(await value({ type: 'trades', fromMs: fromMs - 60_000, toMs: fromMs })).to.deep.equal({
        fills: [],
      });
    });

    it('row 6, validation: a refusal comes in the documented words, and nothing exists', async () => {
      const outcome = await place({ price: await away(90n), quantity: parseDecimal('0.00001') });
      expect(outcome).to.deep.include({ type: 'rejected', reason: 'FAILED_MIN_TOTAL_AMOUNT' });
      expect(exchange.account().orders.size).to.equal(0);
    });

    it('row 7, fees: fee and tax of every fill are those of the exchange, to the last digit', async () => {
      const venueOrderId = await confirmed({
        side: 'sell',
        method: 'market',
        quantity: parseDecimal('0.02'),
      });
      const fills = await fillsOf(venueOrderId);
      const costs = (rows: readonly { fee: bigint; tax: bigint }[]) => rows.map(({ fee, tax }) => [fee, tax]);
      expect(costs(fills)).to.have.deep.members(costs(tradesOf(venueOrderId)));
      for (const { fee, tax } of fills)
        expect(tax * 5n - fee).to.be.oneOf([-4n, -3n, -2n, -1n, 0n, 1n, 2n, 3n, 4n]);
    });

    it('row 8, asynchrony: a submit is inserted and a cancel carried out after their replies', async () => {
      const { events, live } = listen();
      await live();
      const venueOrderId = await confirmed({ price: await away(75n) });
      await events.find(event => event.type === 'order-inserted' && event.venueOrderId === venueOrderId);
      const cancel = { type: 'cancel', clientOrderId: lastLabel(), venueOrderId } as const;
      expect(await client.write(cancel, btc, GO)).to.deep.equal({ type: 'queued' });
      await events.find(event => event.type === 'order-removed' && event.venueOrderId === venueOrderId);
      expect((await report(venueOrderId))?.status).to.equal('canceled');
    });

    it('row 9, stop trigger: the stop ends canceled and another order carries its label', async () => {
      const stopPrice = await away(99n);
      const price = await away(90n);
      const quantity = parseDecimal('0.01');
      const stop = await confirmed({ side: 'sell', method: 'stop-limit', price, stopPrice, quantity });
      const label = lastLabel();
      exchange.admin({
        type: 'participant',
        symbol: SYMBOL,
        side: 'sell',
        price: stopPrice,
        quantity: parseDecimal('900'),
      });
      const read = { type: 'all-orders', symbol: SYMBOL, fromMs: null, toMs: null, limit: 100 } as const;
      await happened(
        () =>
          [...exchange.account().orders.values()].filter(({ clientOrderId }) => clientOrderId === label)
            .length === 2,
      );
      const named = (await value(read)).orders.filter(({ clientOrderId }) => clientOrderId === label);
      expect(named.map(({ venueOrderId, method }) => [venueOrderId === stop, method])).to.deep.equal([
        [true, 'stop-limit'],
        [false, 'limit'],
      ]);
      expect(named[0]).to.deep.include({ status: 'canceled', remaining: quantity });
    });

    it('row 10, ids: trade ids beyond 2^53 arrive whole', async () => {
      const venueOrderId = await confirmed({
        side: 'sell',
        method: 'market',
        quantity: parseDecimal('0.01'),
      });
      const ids = (await fillsOf(venueOrderId)).map(({ tradeId }) => tradeId);
      expect(ids).to.have.members(tradesOf(venueOrderId).map(({ tradeId }) => String(tradeId)));
      expect(ids.every(id => BigInt(id) > 2n ** 53n)).to.equal(true);
    });

    it('row 11, open orders: their time is not told, and the single order has it', async () => {
      const venueOrderId = await confirmed({ price: await away(80n) });
      await happened(() => exchange.account().orders.get(Number(venueOrderId))?.status === 'working');
      const { orders } = await value({ type: 'open-orders', symbol: SYMBOL });
      expect(orders.map(({ createdAtMs }) => createdAtMs)).to.deep.equal([0]);
      const { createdAtMs } = (await report(venueOrderId)) ?? { createdAtMs: 0 };
      expect(Math.abs(createdAtMs - now().wallMs)).to.be.lessThan(60_000);
    });

    it('row 12, limits: a budget that is used up says how long to wait', async () => {
      let result = await client.read({ type: 'instruments' });
      for (let count = 0; result.ok && count < 60; count++)
        result = await client.read({ type: 'instruments' });
      if (result.ok || result.failure.type !== 'rate-limited') throw new Error(JSON.stringify(result.ok));
      expect(result.failure.retryAfterMs > 0 && result.failure.retryAfterMs <= 60_000).to.equal(true);
    });

    it('row 13, socket: the feed follows the book, change by change', async () => {
      const { seen, isTrusted } = follow();
      const { book } = await seen.find(isTrusted);
      await confirmed({ price: await away(99n), quantity: parseDecimal('0.001') });
      await seen.find(event => isTrusted(event) && event.book.version > book.version + 3);
      expect(
        seen.items.some(event => event.type === 'feed-status-changed' && event.state === 'resyncing'),
      ).to.equal(false);
    });

    it('row 14, faults: a frame that is lost is noticed, and the book comes back', async () => {
      const { seen, isTrusted } = follow();
      await seen.find(isTrusted);
      fault('cs-gap,count=1');
      await confirmed({ price: await away(99n), quantity: parseDecimal('0.001') });
      const lost = await seen.find(
        event => event.type === 'feed-status-changed' && event.state === 'resyncing',
      );
      await seen.find(event => isTrusted(event) && seen.items.indexOf(event) > seen.items.indexOf(lost));
    });
  });

  describe('private feed', () => {
    let feed: PrivateFeed | null = null;
    const listen = () => {
      const events = eventsOf<PrivateEvent>();
      const states = eventsOf<string>();
      feed = openPrivateFeed({
        wsUrl: exchange.wsUrl,
        credentials: CREDENTIALS,
        seed: 2,
        onEvent: events.add,
        onState: states.add,
        clockOffsetMs: () => client.clock()?.offsetMs ?? 0,
      });
      return { events, states, live: () => states.find((state): state is string => state === 'live') };
    };
    afterEach(() => {
      feed?.close();
      feed = null;
    });

    it('tells of an order that enters, trades and leaves', async () => {
      const { events, live } = listen();
      await live();
      const resting = await place({ price: await away(75n) });
      if (resting.type !== 'confirmed') throw new Error(JSON.stringify(resting));
      const isOf =
        (venueOrderId: string) =>
        (event: PrivateEvent): event is PrivateEvent & { venueOrderId: string } =>
          'venueOrderId' in event && event.venueOrderId === venueOrderId;
      const inserted = await events.find(isOf(resting.venueOrderId));
      expect(inserted).to.deep.equal({
        type: 'order-inserted',
        venueOrderId: resting.venueOrderId,
        clientOrderId: lastLabel(),
      });
      await client.write(
        { type: 'cancel', clientOrderId: lastLabel(), venueOrderId: resting.venueOrderId },
        btc,
        GO,
      );
      await events.find(
        (event): event is PrivateEvent => event.type === 'order-removed' && isOf(resting.venueOrderId)(event),
      );
      const sold = await place({ side: 'sell', method: 'market', quantity: parseDecimal('0.01') });
      if (sold.type !== 'confirmed') throw new Error(JSON.stringify(sold));
      const fill = await events.find(
        (event): event is Extract<PrivateEvent, { type: 'fill' }> =>
          event.type === 'fill' && event.fill.venueOrderId === sold.venueOrderId,
      );
      const { fills } = await value({ type: 'trades-of-order', venueOrderId: sold.venueOrderId });
      expect(fills.find(({ tradeId }) => tradeId === fill.fill.tradeId)).to.deep.equal(fill.fill);
    });

    it('is refused with a wrong key, and does not try again at once', async () => {
      const states = eventsOf<string>();
      feed = openPrivateFeed({
        wsUrl: exchange.wsUrl,
        credentials: { ...CREDENTIALS, apiKey: 'nobody' },
        seed: 2,
        onEvent: () => {},
        onState: states.add,
      });
      await states.find((state): state is string => state === 'refused');
      expect(states.items.filter(state => state === 'connecting')).to.have.length(1);
    });

    it('comes back after every socket was cut', async () => {
      const { states, live } = listen();
      await live();
      fault('abrupt-drop');
      const isBack = (): boolean => {
        const lost = states.items.indexOf('disconnected', states.items.indexOf('live'));
        return lost !== -1 && states.items.indexOf('live', lost) !== -1;
      };
      await states.find((_state): _state is string => isBack());
    });
  });

  describe('public feed', () => {
    let feed: PublicFeed | null = null;
    let ticks: NodeJS.Timeout | undefined;
    const follow = () => {
      const books = eventsOf<BookView>();
      const statuses = eventsOf<string>();
      const events = eventsOf<MarketEvent>();
      const effects = eventsOf<PublicFeedEffect>();
      feed = createPublicFeed({
        wsUrl: exchange.wsUrl,
        now,
        config: {
          instruments: [btc],
          maxAgeMs: 5_000,
          idleReconnectMs: 30_000,
          seed: 11,
          forgottenAttempts: 0,
          ids: eventIds('market-data', 1),
        },
        perform: effect => {
          effects.add(effect);
          if (effect.type !== 'tell' || effect.to !== 'strategy') return;
          events.add(effect.message);
          if (effect.message.type === 'book-updated') books.add(effect.message.book);
          if (effect.message.type === 'feed-status-changed') statuses.add(effect.message.state);
        },
      });
      feed.tick();
      ticks = setInterval(() => feed?.tick(), 50);
      const trusted = () => books.find((book): book is BookView => book.trusted);
      return { books, statuses, events, effects, trusted };
    };
    afterEach(() => {
      clearInterval(ticks);
      feed?.close();
      feed = null;
    });

    it('shows the book that REST shows', async () => {
      const { trusted, books } = follow();
      await trusted();
      for (;;) {
        const rest = await client.read({ type: 'order-book', symbol: SYMBOL, depth: 1 });
        if (!rest.ok) throw new Error('there is a book');
        const [bid, ask] = [rest.value.bids[0]?.price, rest.value.asks[0]?.price];
        const same = (book: BookView): book is BookView =>
          bestBid(book, btc)?.price === bid && bestAsk(book, btc)?.price === ask;
        if (books.items.some(same)) return;
      }
    });

    it('tells of trades once each', async () => {
      const { trusted, events } = follow();
      await trusted();
      await place({ side: 'sell', method: 'market', quantity: parseDecimal('0.01') });
      await events.find((event): event is MarketEvent => event.type === 'public-trade');
      const ids = events.items.flatMap(event => (event.type === 'public-trade' ? [event.tradeId] : []));
      expect(new Set(ids).size).to.equal(ids.length);
    });

    for (const text of ['cs-gap,count=1', 'crossed-book,count=1', 'corrupt-frame,count=1'] as const) {
      it(`distrusts and recovers under the fault ${text}`, async () => {
        const { trusted, books, statuses } = follow();
        await trusted();
        fault(text);
        // A change on our side of the book makes sure that there is a difference to disturb.
        await place({ price: await away(99n), quantity: parseDecimal('0.001') });
        await statuses.find((state): state is string => state === 'resyncing');
        books.clear();
        await trusted();
      });
    }

    for (const text of ['cs-repeat,count=3', 'late-full-book,count=3'] as const) {
      it(`is undisturbed by the fault ${text}`, async () => {
        const { trusted, books, statuses } = follow();
        await trusted();
        fault(text);
        const from = books.items.length;
        for (let count = 0; count < 4; count++)
          await place({ price: await away(99n), quantity: parseDecimal('0.0005') });
        while (books.items.length < from + 4)
          await books.find((book): book is BookView => book.version > from + 4);
        expect(statuses.items).to.not.include('resyncing');
      });
    }
  });
});
