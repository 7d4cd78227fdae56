/**
 * ccxt's own btcturk class, unmodified, against the exchange over real HTTP: only its addresses are changed. Values are
 * checked against the exchange's state; where ccxt is known to read the venue wrongly (protocol section 13.2), the test
 * says so.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { formatDecimal, parseDecimal } from '#src/domain/money.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import { amounts, KEY, SECRET } from './harness.js';

/** What the tests use of the class; its values are unified text, numbers and nested objects. */
// biome-ignore lint/suspicious/noExplicitAny: the class comes without types of its own when loaded alone
type Client = any;

/** Its entry exports only the whole package; the file of one class is reached by its path. */
const PACKAGE = 'node_modules/ccxt';

/** The one class, not the hundred others that the package's entry loads. */
const loadClass = async (): Promise<new (options: object) => Client> => {
  const module = (await import(pathToFileURL(resolve(PACKAGE, 'js/src/btcturk.js')).href)) as {
    default: new (options: object) => Client;
  };
  return module.default;
};

describe("ccxt's btcturk class, unmodified, against the exchange", function () {
  this.timeout(30_000);
  let exchange: RunningExchange;
  let client: Client;

  before(async () => {
    exchange = await startExchange({
      market: { type: 'generated' },
      symbols: [],
      credentials: { apiKey: KEY, apiSecret: SECRET },
      balances: amounts({ TRY: '1000000', USDT: '50000', BTC: '2', DOT: '1000', XRP: '500' }),
    });
    const Btcturk = await loadClass();
    client = new Btcturk({ apiKey: KEY, secret: SECRET, enableRateLimit: false });
    client.urls.api = {
      public: `${exchange.url}/api/v2`,
      private: `${exchange.url}/api/v1`,
      graph: `${exchange.url}/v1`,
    };
    await client.loadMarkets();
  });
  after(() => exchange.close());

  /** Waits until the exchange has carried out what it had queued. */
  const settled = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise(resolve => setImmediate(resolve));
  };
  const touchOf = async (symbol: string): Promise<{ bid: number; ask: number }> => {
    const { bids, asks } = await client.fetchOrderBook(symbol);
    return { bid: bids[0][0], ask: asks[0][0] };
  };

  it('loads the markets', () => {
    expect(Object.keys(client.markets)).to.have.length(13);
    const { id, base, quote, active, precision, limits } = client.market('DOT/USDT');
    expect({ id, base, quote, active }).to.deep.equal({
      id: 'DOTUSDT',
      base: 'DOT',
      quote: 'USDT',
      active: true,
    });
    expect(precision.price).to.equal(0.01);
    expect(precision.amount).to.equal(0.01);
    expect(limits.cost.min).to.equal(9.91);
    expect(client.market('BTC/TRY').limits.cost.min).to.equal(99.91);
  });

  it('reads a wrong price precision where hasFraction is false (a known fault of ccxt)', () => {
    expect(client.market('ETH/TRY').info.hasFraction).to.equal(false);
    expect(client.market('ETH/TRY').precision.price).to.equal(0.01);
  });

  it('fetches one ticker and all of them', async () => {
    const ticker = await client.fetchTicker('BTC/USDT');
    const market = exchange.venue.markets.get('BTCUSDT');
    const { bid, ask } = await touchOf('BTC/USDT');
    expect(ticker.symbol).to.equal('BTC/USDT');
    expect([ticker.bid, ticker.ask]).to.deep.equal([bid, ask]);
    expect(String(ticker.last)).to.equal(formatDecimal(market?.lastPrice ?? 0n));
    expect(ticker.high >= ticker.last && ticker.low <= ticker.last).to.equal(true);
    const all = await client.fetchTickers();
    expect(Object.keys(all)).to.have.length(13);
    for (const { listing, book, lastPrice } of exchange.venue.markets.values()) {
      const row = all[`${listing.base}/${listing.quote}`];
      expect([row.bid, row.ask, row.last].map(String), listing.symbol).to.deep.equal(
        [book.bids.at(-1)?.price ?? 0n, book.asks.at(-1)?.price ?? 0n, lastPrice].map(formatDecimal),
      );
      expect([row.open, row.high, row.low].every(price => price > 0)).to.equal(true);
    }
  });

  it('fetches the order book', async () => {
    const { bids, asks, timestamp } = await client.fetchOrderBook('BTC/USDT');
    const market = exchange.venue.markets.get('BTCUSDT');
    // The generated market may hold a level less than the hundred that are shown at most.
    const shown = market?.book.bids.slice(-100).reverse() ?? [];
    const best = shown[0];
    expect(shown.length).to.be.greaterThan(50);
    expect(bids).to.have.length(shown.length);
    expect(bids[0].map(String)).to.deep.equal([
      formatDecimal(best?.price ?? 0n),
      formatDecimal(best?.total ?? 0n),
    ]);
    expect(bids[0][0]).to.be.lessThan(asks[0][0]);
    expect(bids[1][0]).to.be.lessThan(bids[0][0]);
    expect(asks[1][0]).to.be.greaterThan(asks[0][0]);
    expect(Math.abs(timestamp - Date.now())).to.be.lessThan(5_000);
  });

  it('fetches public trades, newest price and side included', async () => {
    exchange.admin({
      type: 'participant',
      symbol: 'DOTUSDT',
      side: 'sell',
      price: null,
      quantity: parseDecimal('1.5'),
    });
    const trades = await client.fetchTrades('DOT/USDT');
    const last = trades.at(-1);
    const tape = exchange.venue.markets.get('DOTUSDT')?.tape.at(-1);
    expect(trades).to.have.length.greaterThan(0);
    expect(last.side).to.equal('sell');
    expect(String(last.price)).to.equal(formatDecimal(tape?.price ?? 0n));
    expect(last.id).to.equal(tape?.tradeId);
    expect(trades.reduce((sum: number, row: Client) => sum + row.amount, 0)).to.equal(1.5);
  });

  it('fetches candles by minute and by day, without and with a start', async () => {
    for (const timeframe of ['1m', '1h', '1d']) {
      const candles = await client.fetchOHLCV('BTC/USDT', timeframe, undefined, 20);
      expect(candles, timeframe).to.have.length(20);
      for (const [at, open, high, low, close, volume] of candles) {
        expect(at % client.parseTimeframe(timeframe)).to.equal(0);
        expect(high >= Math.max(open, close) && low <= Math.min(open, close) && volume > 0).to.equal(true);
      }
    }
    const since = Math.floor(Date.now() / 3_600_000 - 6) * 3_600_000;
    const hours = await client.fetchOHLCV('BTC/USDT', '1h', since, 5);
    expect(hours).to.have.length(5);
    expect(hours[0][0]).to.equal(since);
    exchange.admin({
      type: 'participant',
      symbol: 'XRPUSDT',
      side: 'buy',
      price: null,
      quantity: parseDecimal('7.25'),
    });
    const traded = exchange.venue.markets.get('XRPUSDT')?.tape.at(-1);
    const minute = (await client.fetchOHLCV('XRP/USDT', '1m', undefined, 1)).at(-1);
    expect(String(minute[4])).to.equal(formatDecimal(traded?.price ?? 0n));
  });

  it('fetches the balance', async () => {
    const balance = await client.fetchBalance();
    expect(balance.USDT).to.deep.equal({ free: 50_000, used: 0, total: 50_000 });
    expect(balance.BTC.total).to.equal(2);
    expect(balance.ADA.total).to.equal(0);
  });

  it('reads no balance at all when the decimals have commas (a known fault of ccxt)', async () => {
    exchange.admin({
      type: 'set-fault',
      fault: { name: 'comma-balances', value: null, on: null, symbol: null, probability: 1, count: null },
    });
    try {
      const balance = await client.fetchBalance();
      expect(balance.USDT?.total).not.to.equal(50_000);
    } finally {
      exchange.admin({ type: 'clear-faults' });
    }
  });

  it('creates, finds and cancels a resting limit order on each side', async () => {
    const { bid, ask } = await touchOf('DOT/USDT');
    for (const side of ['buy', 'sell'] as const) {
      const price = side === 'buy' ? bid - 0.5 : ask + 0.5;
      const created = await client.createOrder('DOT/USDT', 'limit', side, 10.5, price, {
        newOrderClientId: `ccxt-${side}`,
      });
      expect(created.side).to.equal(side);
      expect(created.amount).to.equal(10.5);
      // A submit's reply has no status (protocol section 5.8).
      expect(created.status).to.equal(undefined);
      const order = exchange.account().orders.get(Number(created.id));
      await settled(() => order?.status === 'working');
      expect(order?.clientOrderId).to.equal(`ccxt-${side}`);
      const [found] = await client.fetchOpenOrders('DOT/USDT');
      expect(found.id).to.equal(created.id);
      expect(found.status).to.equal('open');
      expect(found.remaining).to.equal(10.5);
      expect(found.price).to.equal(client.parseNumber(client.priceToPrecision('DOT/USDT', price)));
      await client.cancelOrder(created.id);
      await settled(() => order?.status === 'canceled');
      expect(await client.fetchOpenOrders('DOT/USDT')).to.deep.equal([]);
      const row = (await client.fetchOrders('DOT/USDT')).find(
        (candidate: Client) => candidate.id === created.id,
      );
      expect(row.status).to.equal('canceled');
      expect(row.filled).to.equal(0);
    }
    expect((await client.fetchBalance()).DOT.used).to.equal(0);
  });

  it('fills marketable limit orders and market sells, and reads the trades', async () => {
    const { bid, ask } = await touchOf('DOT/USDT');
    const bought = await client.createOrder('DOT/USDT', 'limit', 'buy', 5, ask + 1);
    const sold = await client.createOrder('DOT/USDT', 'market', 'sell', 4);
    const closed = (id: string): boolean => exchange.account().orders.get(Number(id))?.status === 'closed';
    await settled(() => closed(bought.id) && closed(sold.id));
    const rows = await client.fetchMyTrades('DOT/USDT');
    for (const [id, side, quantity] of [
      [bought.id, 'buy', 5],
      [sold.id, 'sell', 4],
    ] as const) {
      const fills = rows.filter((row: Client) => row.order === id);
      const own = exchange.account().trades.filter(trade => String(trade.order.orderId) === id);
      expect(fills.map((row: Client) => row.id).sort()).to.deep.equal(
        own.map(trade => String(trade.tradeId)).sort(),
      );
      expect(fills.every((row: Client) => row.side === side)).to.equal(true);
      expect(fills.reduce((sum: number, row: Client) => sum + row.amount, 0)).to.be.closeTo(quantity, 1e-9);
      // ccxt's fee leaves the tax out (a known fault).
      expect(String(fills[0].fee.cost)).to.equal(
        String(
          client.parseNumber(
            formatDecimal(own.find(trade => String(trade.tradeId) === fills[0].id)?.fee ?? 0n),
          ),
        ),
      );
      expect(fills[0].fee.currency).to.equal('USDT');
    }
    expect(rows.some((row: Client) => row.price >= bid)).to.equal(true);
    const orders = await client.fetchOrders('DOT/USDT');
    expect(orders.find((order: Client) => order.id === bought.id).status).to.equal('closed');
    // Trade ids above 2^53 arrive whole.
    expect(rows.every((row: Client) => BigInt(row.id) > 2n ** 53n)).to.equal(true);
  });

  it('sends the base amount of a market buy, which the exchange spends as quote (a known fault of ccxt)', async () => {
    const before = exchange.account().holdings.get('DOT')?.total ?? 0n;
    const created = await client.createOrder('DOT/USDT', 'market', 'buy', 20);
    const order = exchange.account().orders.get(Number(created.id));
    await settled(() => order?.status === 'closed');
    expect(order?.quoteQuantity).to.equal(parseDecimal('20'));
    const spent = exchange
      .account()
      .trades.filter(trade => trade.order === order)
      .reduce((sum, trade) => sum + trade.price * trade.quantity, 0n);
    expect(spent / parseDecimal('1') <= parseDecimal('20')).to.equal(true);
    const gained = (exchange.account().holdings.get('DOT')?.total ?? 0n) - before;
    expect(gained > 0n && gained < parseDecimal('20')).to.equal(true);
  });

  it('sends its own name for the client id, which the exchange does not read (a known fault of ccxt)', async () => {
    const { bid } = await touchOf('DOT/USDT');
    const created = await client.createOrder('DOT/USDT', 'limit', 'buy', 10, bid - 1, {
      clientOrderId: 'ours',
    });
    expect(exchange.account().orders.get(Number(created.id))?.clientOrderId).not.to.equal('ours');
    await client.cancelOrder(created.id);
  });

  it('gets a typed error where ccxt knows the message, and a plain one elsewhere', async () => {
    const { bid } = await touchOf('DOT/USDT');
    const nameOf = async (call: Promise<unknown>): Promise<string> => {
      try {
        await call;
        return 'none';
      } catch (error) {
        return error instanceof Error ? error.constructor.name : 'unknown';
      }
    };
    const held = await client.createOrder('DOT/USDT', 'limit', 'sell', 900, bid + 1);
    expect(await nameOf(client.createOrder('DOT/USDT', 'limit', 'sell', 500, bid + 1))).to.equal(
      'InsufficientFunds',
    );
    await client.cancelOrder(held.id);
    expect(await nameOf(client.createOrder('DOT/USDT', 'limit', 'buy', 0.1, bid))).to.equal('ExchangeError');
    expect(await nameOf(client.cancelOrder('1'))).to.equal('ExchangeError');
    expect(await nameOf(client.fetchOrderBook('BTC/USDT', undefined, { pairSymbol: 'NOPEUSDT' }))).to.equal(
      'ExchangeError',
    );
    client.secret = 'd3Jvbmc=';
    expect(await nameOf(client.fetchBalance()), 'a 401 is not told apart (a known fault of ccxt)').to.equal(
      'ExchangeError',
    );
    client.secret = SECRET;
  });

  it('is version 4.5.84, the one the known faults were read from', () => {
    const { version } = JSON.parse(readFileSync(resolve(PACKAGE, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(version).to.equal('4.5.84');
  });
});
