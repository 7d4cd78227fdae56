import { bestAsk, bestBid, midTicks } from '../domain/book-view.js';
import { fromTicks, type Instrument, roundPrice, roundQuantity, type Side } from '../domain/instrument.js';
import {
  basisPoints,
  formatDecimal,
  max,
  min,
  notional,
  type Price,
  type Quantity,
  ratio,
  tryParseDecimal,
} from '../domain/money.js';
import { defineStrategy, type OwnOrder, type StrategyIntent, type StrategyView } from '../domain/strategy.js';
import { MAX_INTENTS_PER_CALL } from '../domain/strategy-host.js';
import { createBackoff, orderFor } from './asking.js';
import { meetsMinimum, roomFor, tooSmallNotes } from './sizing.js';

/** Cancels asked for in one call: a whole ladder that has to go goes a few rungs at a time, as the venue takes them. */
const CANCELS_AT_ONCE = 10;

/** One order the grid wants to have. */
interface Rung {
  readonly side: Side;
  /** Where it belongs on the ladder, and where it is ordered now: at the market where that has left it behind. */
  readonly price: Price;
  readonly orderAt: Price;
  readonly quantity: Quantity;
}

/**
 * A ladder of buys below a centre; what a rung bought is sold one step higher. Which rungs are filled follows from the
 * position alone, so nothing but the centre has to be remembered. See docs/strategies/grid.md.
 */
export const grid = defineStrategy({
  name: 'grid',
  about: 'A ladder of buys below a centre price; what each rung bought is sold one step higher.',
  parameters: {
    notional: {
      type: 'decimal',
      default: '250',
      min: '0',
      max: '1000000000',
      unit: 'quote',
      about: 'Value of one rung, at the centre price.',
    },
    levels: {
      type: 'integer',
      default: 10,
      min: 1,
      max: 100,
      unit: 'rungs',
      about: 'Rungs below the centre: at most this many times `notional` is held.',
    },
    spacingBps: {
      type: 'number',
      default: 60,
      min: 1,
      max: 2_000,
      unit: 'bps',
      about: 'Distance of two rungs, of the centre. Below twice the fee each round trip loses.',
    },
    center: {
      type: 'decimal',
      default: '0',
      min: '0',
      max: '1000000000000',
      unit: 'quote',
      about: 'Price the ladder hangs from; 0 takes the market at the first start, and keeps it.',
    },
  },
  check: ({ levels, spacingBps }) =>
    levels * spacingBps < 10_000 ? [] : ['levels times spacingBps must stay below 10000: prices end at zero'],
  timerMs: () => 1_000,
  create: parameters => {
    const centers = new Map<string, Price>();
    const backoff = createBackoff();

    const centerOf = (view: StrategyView, symbol: string): Price | undefined => {
      const known = parameters.center > 0n ? parameters.center : centers.get(symbol);
      if (known !== undefined) return known;
      const book = view.book(symbol);
      const ticks = book?.trusted === true ? midTicks(book) : undefined;
      if (ticks === undefined) return undefined;
      const center = fromTicks(Math.floor(ticks), view.instrument(symbol));
      centers.set(symbol, center);
      return center;
    };

    const work = (view: StrategyView, symbol: string): StrategyIntent[] => {
      const instrument = view.instrument(symbol);
      const center = centerOf(view, symbol);
      if (center === undefined || view.book(symbol)?.trusted !== true) return [];
      const size = roundQuantity(ratio(parameters.notional, center, 'up'), instrument, 'up');
      const lowest = rungPrice(center, parameters.levels - 1, parameters.spacingBps, instrument);
      // The lowest rung is worth the least.
      if (!meetsMinimum(lowest, size, instrument))
        return [
          {
            type: 'note',
            text: `${symbol}: the lowest rung, at ${formatDecimal(lowest)}, is worth ${formatDecimal(notional(lowest, size))}, below the least order value of ${formatDecimal(instrument.minNotional)}: nothing is done there`,
          },
        ];
      const own = view.openOrders(symbol);
      const wanted = wantedRungs(view, symbol, center, size, own.length + roomFor(view, symbol));
      const strays = own.filter(order => !wanted.some(rung => fits(order, rung)));
      const intents: StrategyIntent[] = strays
        .filter(order => order.status === 'working')
        .slice(0, CANCELS_AT_ONCE)
        .map(({ intentId }) => ({ type: 'cancel', intentId }));
      if (!backoff.mayAsk(view, symbol)) return intents;
      for (const rung of wanted) {
        if (own.some(order => fits(order, rung))) continue;
        // One that is on its way out may still trade: beside it the rung would be bought, or sold, twice.
        if (strays.some(({ side }) => side === rung.side)) continue;
        const { side, orderAt, quantity } = rung;
        const placed = orderFor(view, { symbol, side, price: orderAt, quantity, tag: `grid-${side}` });
        intents.push(...placed);
        // Funds for a second order are known once the first is counted.
        if (placed.length > 0) break;
      }
      return intents;
    };

    const wantedRungs = (
      view: StrategyView,
      symbol: string,
      center: Price,
      size: Quantity,
      most: number,
    ): readonly Rung[] => {
      const instrument = view.instrument(symbol);
      const { levels, spacingBps } = parameters;
      const held = view.position(symbol).quantity;
      const whole = held > 0n ? held / size : 0n;
      const part = held > 0n ? held - whole * size : 0n;
      // A rung that is filled in part wants both: the rest of it bought, and what there is of it sold.
      const filled = Number(min(whole, BigInt(levels)));
      const own = view.openOrders(symbol);
      const buys: Rung[] = [];
      const sells: Rung[] = [];
      const want = (rungs: Rung[], side: Side, at: number, quantity: Quantity): void => {
        const rung = rungAt(view, symbol, side, rungPrice(center, at, spacingBps, instrument), quantity);
        // A part that the venue does not take stands in nobody's way.
        if (meetsMinimum(rung.orderAt, quantity, instrument) || own.some(order => fits(order, rung)))
          rungs.push(rung);
      };
      for (let rung = filled; rung < levels && buys.length < most; rung++)
        want(buys, 'buy', rung, rung === filled ? size - part : size);
      if (part > 0n && filled < levels) want(sells, 'sell', filled - 1, part);
      for (let rung = filled - 1; rung >= 0 && sells.length < most; rung--)
        want(sells, 'sell', rung - 1, size);
      // Nearest to the market first, sides in turn, the way out before the way in.
      const turns: Rung[] = [];
      for (let index = 0; turns.length < most && (index < buys.length || index < sells.length); index++)
        for (const rung of [sells[index], buys[index]])
          if (rung !== undefined && turns.length < most) turns.push(rung);
      return most === 1 ? nearest(view, symbol, buys, sells) : turns;
    };

    return {
      onStart: view => tooSmallNotes(view, parameters.notional),
      onBook: (view, book) => work(view, book.symbol),
      onTimer: view => view.symbols.flatMap(symbol => work(view, symbol)).slice(0, MAX_INTENTS_PER_CALL),
      onOrder: (view, event) => {
        backoff.heard(view, event);
        return work(view, event.type === 'denied' ? event.order.symbol : event.order.terms.symbol);
      },
      save: () =>
        JSON.stringify(
          Object.fromEntries([...centers].map(([symbol, price]) => [symbol, formatDecimal(price)])),
        ),
      load: state => {
        for (const [symbol, text] of Object.entries(JSON.parse(state) as Record<string, unknown>)) {
          const center = typeof text === 'string' ? tryParseDecimal(text) : undefined;
          if (center === undefined || center <= 0n)
            throw new Error(`the saved centre of ${symbol} is not a price`);
          centers.set(symbol, center);
        }
      },
    };
  },
});

/** Rung 0 is one step below the centre; rung -1 is the centre itself. */
const rungPrice = (center: Price, rung: number, spacingBps: number, instrument: Instrument): Price =>
  roundPrice(center - basisPoints(center, (rung + 1) * spacingBps, 'half-up'), instrument, 'down');

/**
 * A price that the market has passed is worth no more than the market's own, and a collar refuses what is far from it:
 * such a rung is ordered at the best price of the other side, unless it is worth too little there.
 */
const rungAt = (view: StrategyView, symbol: string, side: Side, price: Price, quantity: Quantity): Rung => {
  const instrument = view.instrument(symbol);
  const book = view.book(symbol);
  const other = book && (side === 'buy' ? bestAsk : bestBid)(book, instrument)?.price;
  const rung = { side, price, orderAt: price, quantity };
  if (other === undefined || !meetsMinimum(other, quantity, instrument)) return rung;
  return { ...rung, orderAt: side === 'buy' ? min(price, other) : max(price, other) };
};

const fits = (order: OwnOrder, rung: Rung): boolean =>
  order.side === rung.side &&
  (order.price === rung.price || order.price === rung.orderAt) &&
  order.quantity - order.filled <= rung.quantity;

/** With room for one order: the rung next to the market. The one that rests stays until the other is twice as near. */
const nearest = (
  view: StrategyView,
  symbol: string,
  buys: readonly Rung[],
  sells: readonly Rung[],
): readonly Rung[] => {
  const book = view.book(symbol);
  const ticks = book === undefined ? undefined : midTicks(book);
  const [buy, sell] = [buys[0], sells[0]];
  if (ticks === undefined || buy === undefined || sell === undefined) {
    const only = sell ?? buy;
    return only === undefined ? [] : [only];
  }
  const mid = fromTicks(Math.floor(ticks), view.instrument(symbol));
  const [below, above] = [mid - buy.price, sell.price - mid];
  const own = view.openOrders(symbol);
  if (own.some(order => fits(order, buy))) return [2n * above < below ? sell : buy];
  if (own.some(order => fits(order, sell))) return [2n * below < above ? buy : sell];
  return [below < above ? buy : sell];
};
