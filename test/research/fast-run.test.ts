import { expect } from 'chai';
import { askTicks, bidTicks } from '#src/domain/book-view.js';
import { fromTicks } from '#src/domain/instrument.js';
import { fromInteger, parseDecimal } from '#src/domain/money.js';
import type { StrategyDefinition, StrategyIntents, StrategyView } from '#src/domain/strategy.js';
import { listingForMarket } from '#src/exchange/instruments.js';
import { runFast } from '#src/research/fast-run.js';
import { DEFAULT_RUN_LATENCY, type RunLatency } from '#src/research/latency.js';
import { createTapeBuilder, type MarketTape } from '#src/research/tape.js';
import { generatedMarket, studyOf } from './studies.js';

/** The exchange shows the whole book this often; the first time is the market's first moment. */
const FULL_BOOK_MS = 750;
const START = Date.UTC(2026, 0, 1);

/** A book that changes once, soon before it is shown whole; then it is stated again as it was, beside a trade. */
const tape = (): MarketTape => {
  const listing = listingForMarket('BTCUSDT', [parseDecimal('0.01')], [parseDecimal('0.00000001')]);
  if (listing === undefined) throw new Error('no listing');
  const builder = createTapeBuilder([listing]);
  const book = (CS: number, bid: string, atMs: number) =>
    builder.frame(
      [
        431,
        {
          CS,
          BO: [{ P: '60000', A: bid }],
          AO: [{ P: '60001', A: '5' }],
          channel: 'obdiff',
          event: 'BTCUSDT',
        },
      ],
      START + atMs,
    );
  book(1, '5', 0);
  book(2, '6', FULL_BOOK_MS - 50);
  book(3, '6', FULL_BOOK_MS);
  builder.frame(
    [422, { D: String(START), I: '77', A: '1', P: '60001', S: 0, channel: 'trade', event: 'BTCUSDT' }],
    START + FULL_BOOK_MS,
  );
  return builder.finish();
};

describe('a run at full speed', () => {
  it('shows our order although a frame states the same book in the moment in which it is first seen', () => {
    const seen: (number | undefined)[] = [];
    const looking: StrategyDefinition = {
      portVersion: 2,
      name: 'looking',
      about: 'Bids above everybody once the book has changed.',
      parameters: {},
      create: () => ({
        onTrade: () => [],
        onBook: (view, book) => {
          seen.push(bidTicks(book));
          if (seen.length !== 2) return [];
          const { symbol } = book;
          const price = fromTicks(6_000_050, view.instrument(symbol));
          return [
            { type: 'place', symbol, side: 'buy', method: 'limit', price, quantity: parseDecimal('0.005') },
          ];
        },
      }),
    };
    const market = tape();
    const run = runFast({
      ...studyOf(looking, market),
      fillModel: 'queue',
      tryRates: new Map([['USDT', fromInteger(48)]]),
      watchFirstMs: 0,
      latency: {
        ...DEFAULT_RUN_LATENCY,
        ...{ marketMs: 1, hopMs: 1, journalMs: 1, departMs: 1, toVenueMs: 1, enterMs: 1 },
      },
    });
    expect(run.stops).to.deep.equal([]);
    expect(seen).to.deep.equal([6_000_000, 6_000_000, 6_000_050]);
  });

  it('gives books that nobody is called for late, and yet each is there when it is looked at', async () => {
    const market = await generatedMarket(20, 11, ['BTCUSDT', 'ETHUSDT']);
    /** What a strategy on a timer sees and leaves behind, which is called for books, too, or is not. */
    const runOf = (calledForBooks: boolean, latency: RunLatency) => {
      const seen: (number | undefined)[][] = [];
      let beat = 0;
      const onTimer = (view: StrategyView): StrategyIntents => {
        const symbol = view.symbols[beat++ % 2] ?? '';
        const book = view.book(symbol);
        if (book === undefined) return [];
        seen.push([book.version, book.receivedMonoMs, bidTicks(book), askTicks(book, 3), view.now.wallMs]);
        const [oldest] = view.openOrders(symbol);
        if (beat % 5 === 0 && oldest !== undefined) return [{ type: 'cancel', intentId: oldest.intentId }];
        if (beat % 3 !== 0) return [];
        const price = fromTicks(bidTicks(book) ?? 0, view.instrument(symbol));
        return [
          { type: 'place', symbol, side: 'buy', method: 'limit', price, quantity: parseDecimal('0.001') },
        ];
      };
      const { records } = runFast({
        ...studyOf(
          {
            portVersion: 2,
            name: 'timed',
            about: 'Bids with the best and cancels on a timer.',
            parameters: {},
            timerMs: () => 130,
            create: () => (calledForBooks ? { onTimer, onBook: () => [] } : { onTimer }),
          },
          market.tape,
        ),
        fillModel: 'queue',
        tryRates: new Map([['USDT', fromInteger(48)]]),
        latency,
      });
      return { seen, records };
    };
    try {
      for (const executionTickMs of [0, 23]) {
        const latency = { ...DEFAULT_RUN_LATENCY, executionTickMs };
        const late = runOf(false, latency);
        expect(late).to.deep.equal(runOf(true, latency));
        expect(late.seen.length).to.be.greaterThan(100);
        expect(late.records.filter(({ type }) => type === 'fill').length).to.be.greaterThan(0);
      }
    } finally {
      market.remove();
    }
  });
});
