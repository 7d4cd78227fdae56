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
  const ours = { buy: new Map<number, number>(), sell: new Map<number, number>() };
  for (const order of own) {
    const ticks = Number(toTicks(order.price, instrument));
    const lots = Number((order.quantity - order.filled) / lotSize(instrument));
    ours[order.side].set(ticks, (ours[order.side].get(ticks) ?? 0) + lots);
  }
  const best = (side: Side): readonly [number, number] | undefined => {
    const count = side === 'buy' ? bidCount(book) : askCount(book);
    for (let depth = 0; depth < count; depth++) {
      const ticks = (side === 'buy' ? bidTicks(book, depth) : askTicks(book, depth)) ?? 0;
      const lots = (side === 'buy' ? bidLots(book, depth) : askLots(book, depth)) ?? 0;
      const others = lots - (ours[side].get(ticks) ?? 0);
      if (others > 0) return [ticks, others];
    }
    return undefined;
  };
  const bid = best('buy');
  const ask = best('sell');
  return bid === undefined || ask === undefined
    ? undefined
    : { bidTicks: bid[0], bidLots: bid[1], askTicks: ask[0], askLots: ask[1] };
};
