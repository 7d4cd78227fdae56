import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import { bestAskTicks, bestBidTicks, initialOrderBook } from '#src/domain/order-book.js';
import { listingForMarket } from '#src/exchange/instruments.js';
import { applyTapeBook, createTapeBuilder, TAPE_KINDS } from '#src/research/tape.js';
import { marketLines } from './market-recording.js';

const OPTIONS = { seed: 3, seconds: 60, symbol: 'BTCUSDT', midCents: 6_000_000 };

describe('The generated market', () => {
  it('is a book of one hundred levels a side, one tick wide, whose touch wanders', () => {
    const listing = listingForMarket(OPTIONS.symbol, [parseDecimal('0.01')], [parseDecimal('0.00001')]);
    const builder = createTapeBuilder(listing === undefined ? [] : [listing]);
    for (const line of marketLines(OPTIONS)) {
      const { frame, at } = JSON.parse(line) as { readonly frame: unknown; readonly at: number };
      expect(builder.frame(frame, at)).to.equal(null);
    }
    const tape = builder.finish();
    const book = initialOrderBook();
    const seen = new Set<number>();
    for (let event = 0; event < tape.length; event++) {
      if ((tape.kinds[event] ?? 0) > TAPE_KINDS.difference) continue;
      applyTapeBook(book, tape, event);
      expect([book.state, book.bids.count, book.asks.count]).to.deep.equal(['synced', 100, 100]);
      expect(bestAskTicks(book) - bestBidTicks(book)).to.equal(1);
      seen.add(bestBidTicks(book));
    }
    expect(tape.length).to.be.greaterThan(600);
    expect(seen.size).to.be.greaterThan(20);
  });

  it('is as long a line and as busy as the recorded one, and the same every time', () => {
    const lines = marketLines(OPTIONS);
    const differences = lines.filter(line => line.includes('"frame":[432')).length;
    const trades = lines.filter(line => line.includes('"frame":[422')).length;
    expect(lines.join('').length / lines.length).to.be.within(300, 520);
    expect(trades / differences).to.be.within(2, 4.5);
    expect(marketLines(OPTIONS)).to.deep.equal(lines);
  });
});
