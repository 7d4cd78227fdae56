/** The order that each measured tick is to cause: one resting buy below the market, taken back once it works. */
import { bestBid } from '#src/domain/book-view.js';
import { roundPrice } from '#src/domain/instrument.js';
import { basisPoints, parseDecimal } from '#src/domain/money.js';
import { defineStrategy } from '#src/domain/strategy.js';
import { quantityFor } from '#src/strategies/sizing.js';

/** Far enough never to fill, near enough for the collar. */
const BELOW_BPS = 500;
const NOTIONAL = parseDecimal('300');

export default defineStrategy({
  name: 'tick',
  about: 'One order for each change of the best bid, taken back once it works.',
  parameters: {},
  create: () => {
    let seen = '';
    return {
      onBook(view, book) {
        const instrument = view.instrument(book.symbol);
        const bid = bestBid(book, instrument);
        if (bid === undefined || !book.trusted) return [];
        const now = `${bid.price} ${bid.quantity}`;
        if (now === seen || !view.maySubmit(book.symbol)) return [];
        const first = seen === '';
        seen = now;
        if (first) return [];
        const price = roundPrice(
          bid.price - basisPoints(bid.price, BELOW_BPS, 'half-up'),
          instrument,
          'down',
        );
        const quantity = quantityFor(NOTIONAL, price, instrument);
        return [{ type: 'place', symbol: book.symbol, side: 'buy', method: 'limit', price, quantity }];
      },
      onOrder: (_view, event) =>
        event.type === 'order' && event.order.state.status === 'working'
          ? [{ type: 'cancel', intentId: event.order.intentId }]
          : [],
    };
  },
});
