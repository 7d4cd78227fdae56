import {
  askCount,
  askLots,
  askTicks,
  type BookView,
  bidCount,
  bidLots,
  bidTicks,
} from '../domain/book-view.js';
import { type Instrument, lotSize, type Side, toTicks } from '../domain/instrument.js';
import type { OwnOrder } from '../domain/strategy.js';

/** The best prices and what is offered there, in whole ticks and lots. */
export interface Touch {
  readonly bidTicks: number;
  readonly bidLots: number;
  readonly askTicks: number;
  readonly askLots: number;
}

/**
 * The touch without one's own orders: a fair price drawn from them would follow itself.
 * @returns `undefined` when nobody else is on one of the sides.
 */
export const touchOfOthers = (
  book: BookView,
  instrument: Instrument,
  own: readonly OwnOrder[],
): Touch | undefined => {
  const bids = bidCount(book);
  for (let bid = 0; bid < bids; bid++) {
    const bestBid = bidTicks(book, bid) ?? 0;
    const bidOthers = (bidLots(book, bid) ?? 0) - lotsAt(bestBid, 'buy', instrument, own);
    if (bidOthers <= 0) continue;
    const asks = askCount(book);
    for (let ask = 0; ask < asks; ask++) {
      const bestAsk = askTicks(book, ask) ?? 0;
      const askOthers = (askLots(book, ask) ?? 0) - lotsAt(bestAsk, 'sell', instrument, own);
      if (askOthers > 0)
        return { bidTicks: bestBid, bidLots: bidOthers, askTicks: bestAsk, askLots: askOthers };
    }
    return undefined;
  }
  return undefined;
};

/** What is left of own orders at a price, in lots. */
const lotsAt = (ticks: number, side: Side, instrument: Instrument, own: readonly OwnOrder[]): number => {
  let lots = 0;
  for (const order of own) {
    if (order.side !== side || Number(toTicks(order.price, instrument)) !== ticks) continue;
    lots += Number((order.quantity - order.filled) / lotSize(instrument));
  }
  return lots;
};
