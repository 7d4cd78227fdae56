/** The market-data worker on a real thread, against the embedded exchange. */
import { expect } from 'chai';
import { CANDLE_LENGTHS_MS, type CandleInterval, candleProblem, fillGaps } from '#src/domain/candles.js';
import type { MarketEvent } from '#src/domain/market-events.js';
import { parseFault } from '#src/exchange/faults.js';
import { CATALOGUE, type Listing } from '#src/exchange/instruments.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import type { FromWorker } from '#src/messages/control.js';
import { eventsOf } from '../btcturk/collected.js';
import { startMarketDataThread } from './market-data-thread.js';

const SYMBOL = 'BTCTRY';

const startThread = (
  exchange: { readonly url: string; readonly wsUrl: string },
  symbols: readonly string[],
  incarnation = 1,
) => {
  const said = eventsOf<FromWorker>();
  const thread = startMarketDataThread({
    baseUrl: exchange.url,
    wsUrl: exchange.wsUrl,
    symbols,
    onSaid: said.add,
    incarnation,
  });
  const connect = (peer: 'strategy' | 'execution') => {
    const heard = eventsOf<MarketEvent>();
    return Object.assign(heard, { say: thread.connect(peer, heard.add) });
  };
  return { thread, said, connect };
};

const isBook = (event: MarketEvent): event is Extract<MarketEvent, { type: 'book-updated' }> =>
  event.type === 'book-updated' && event.book.trusted;

describe('market-data worker', function () {
  // A cut costs up to 5 s of jitter, and twice that after each handshake that a starved machine has not finished in time.
  this.timeout(120_000);
  let exchange: RunningExchange;
  beforeEach(async () => {
    exchange = await startExchange({ market: { type: 'generated' }, symbols: [SYMBOL], seed: 9 });
  });
  afterEach(() => exchange.close());

  it('tells its listeners instruments, states and books, comes back after a cut, and ends when drained', async () => {
    const { thread, said, connect } = startThread(exchange, [SYMBOL]);
    const early = connect('strategy');
    await thread.control.start();
    const late = connect('execution');
    for (const heard of [early, late]) {
      const listed = await heard.find(event => event.type === 'instruments-listed');
      expect(listed).to.have.nested.property('instruments[0].symbol', SYMBOL);
      const { book } = await heard.find(isBook);
      expect(book.symbol).to.equal(SYMBOL);
      expect(book.levels).to.be.instanceOf(Float64Array);
    }
    const cleared = await said.find(
      message => message.type === 'hold-cleared' && message.holdCause === 'book-untrusted',
    );
    expect(cleared).to.have.property('subject', SYMBOL);
    // If the connection is just being made anew, the cut meets nothing: then that loss is the one that is looked for.
    exchange.admin({ type: 'set-fault', fault: parseFault('abrupt-drop') });
    const lost = await early.find(
      event => event.type === 'feed-status-changed' && event.state === 'disconnected',
    );
    await early.find(event => isBook(event) && early.items.indexOf(event) > early.items.indexOf(lost));
    const status = await said.find(message => message.type === 'status-reported');
    expect(status).to.have.nested.property('facts.books[0].symbol', SYMBOL);
    await thread.control.drain();
    expect(await thread.exited).to.equal(0);
  });

  it('reads candles and tickers for a strategy, one after the other', async () => {
    const { thread, connect } = startThread(exchange, [SYMBOL]);
    await thread.control.start();
    const strategy = connect('strategy');
    const wish = { symbol: SYMBOL, interval: '5m', count: 20 } as const;
    strategy.say({ type: 'candles-wanted', id: 'strategy:1:1', cause: 'start', ...wish });
    strategy.say({ type: 'tickers-wanted', id: 'strategy:1:2', cause: 'universe', everyMs: 60_000 });
    const read = await strategy.find(event => event.type === 'candles-read');
    if (read.type !== 'candles-read') throw new Error('impossible');
    expect(read).to.include({ cause: 'strategy:1:1', symbol: SYMBOL, interval: '5m', problem: null });
    expect(read.candles).to.have.length(20);
    expect(read.candles.map(candleProblem).filter(problem => problem !== null)).to.deep.equal([]);
    expect(fillGaps(read.candles)).to.deep.equal(read.candles);
    const tickers = await strategy.find(event => event.type === 'tickers-read');
    expect(tickers).to.have.nested.property('tickers[0].symbol', SYMBOL);
    await thread.control.drain();
    expect(await thread.exited).to.equal(0);
  });

  it('reads many series at a pace, says what still waits, and forgets it with the strategy that asked', async () => {
    const { thread, connect } = startThread(exchange, [SYMBOL]);
    await thread.control.start();
    const strategy = connect('strategy');
    const ask = (say: typeof strategy.say, symbol: string, incarnation: number) => {
      for (const interval of Object.keys(CANDLE_LENGTHS_MS) as CandleInterval[]) {
        const id = `strategy:${incarnation}:${symbol}-${interval}`;
        say({ type: 'candles-wanted', id, cause: 'start', symbol, interval, count: 5 });
      }
    };
    ask(strategy.say, SYMBOL, 1);
    ask(strategy.say, 'DOTUSDT', 1);
    const told = await strategy.find(event => event.type === 'candles-waiting');
    if (told.type !== 'candles-waiting') throw new Error('impossible');
    const last = 'strategy:1:DOTUSDT-1d';
    expect(told.waiting.find(({ wish }) => wish === last)?.dueInMs).to.be.within(1, 4_000);
    const read = await strategy.find(event => event.type === 'candles-read' && event.cause === last);
    expect(read).to.include({ symbol: 'DOTUSDT', interval: '1d', problem: null });
    for (const { symbol } of CATALOGUE) ask(strategy.say, symbol, 1);
    await strategy.find(
      event => event.type === 'candles-waiting' && event.waiting.some(({ dueInMs }) => dueInMs > 30_000),
    );
    const next = connect('strategy');
    next.say({
      type: 'candles-wanted',
      id: 'strategy:2:1',
      cause: 'start',
      symbol: SYMBOL,
      interval: '1m',
      count: 5,
    });
    await next.find(event => event.type === 'candles-read' && event.cause === 'strategy:2:1');
    const ofTheDead = next.items.filter(
      event => event.type === 'candles-read' && /^strategy:1:/.test(event.cause),
    );
    expect(ofTheDead.length, 'at most the one that was under way').to.be.at.most(1);
    await thread.control.drain();
    expect(await thread.exited).to.equal(0);
  });

  for (const [title, symbols, incarnation] of [
    ['start for a symbol the venue does not list, and says which', [SYMBOL, 'NOPETRY'], 1],
    ['come back for pairs of which the venue lists none', ['NOPETRY'], 2],
  ] as const)
    it(`does not ${title}`, async () => {
      const { thread } = startThread(exchange, symbols, incarnation);
      let message = '';
      await thread.control.start().catch((error: Error) => {
        message = error.message;
      });
      expect(message).to.match(/NOPETRY, which the venue does not list/);
      await thread.terminate();
      await thread.exited;
    });

  it('comes back without a pair that was delisted while the bot runs, and follows the others', async () => {
    const gone = CATALOGUE.find(({ symbol }) => symbol === 'DOTUSDT') as Listing;
    expect(exchange.admin({ type: 'relist', listing: { ...gone, status: null } })).to.equal(undefined);
    const { thread, connect } = startThread(exchange, [gone.symbol, SYMBOL], 2);
    const heard = connect('execution');
    await thread.control.start();
    const listed = await heard.find(event => event.type === 'instruments-listed');
    expect(listed).to.have.nested.property('instruments.length', 1);
    await heard.find(event => isBook(event) && event.book.symbol === SYMBOL);
    await thread.control.drain();
    expect(await thread.exited).to.equal(0);
  });
});
