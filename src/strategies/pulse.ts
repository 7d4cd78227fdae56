import { type Side, tickSize } from '../domain/instrument.js';
import type { Price } from '../domain/money.js';
import { defineStrategy, type StrategyIntent, type StrategyView } from '../domain/strategy.js';
import { besideTouch, crossesOwn } from './asking.js';
import { affordableBeside, meetsMinimum, quantityFor, roomFor, tooSmallNotes } from './sizing.js';

/**
 * In a market that stands still every beat would bring the same order, which the risk gate takes for a loop gone wrong:
 * prices take turns over this many ticks. Odd, so that each side sees all of them.
 */
const VARIETY = 3;
const OPPOSITE = { buy: 'sell', sell: 'buy' } as const;

/** The drill: a steady beat of small orders, so that a person sees every part of the path at work. */
export const pulse = defineStrategy({
  name: 'pulse',
  about:
    'The drill: submits one small limit order at a steady beat, alternating sides, and cancels its oldest.',
  parameters: {
    intervalMs: {
      type: 'integer',
      default: 1_000,
      min: 50,
      max: 3_600_000,
      unit: 'ms',
      about: 'Time between two orders.',
    },
    notional: {
      type: 'decimal',
      default: '250',
      min: '0',
      max: '1000000000',
      unit: 'quote',
      about: 'Value of one order.',
    },
    offsetBps: {
      type: 'number',
      default: 10,
      min: -500,
      max: 5_000,
      unit: 'bps',
      about:
        'Distance from the touch of its own side, away from the market; negative goes towards it and across.',
    },
    maxOpen: {
      type: 'integer',
      default: 1,
      min: 1,
      max: 100,
      unit: 'orders',
      about: 'When more than this many rest on a symbol, the oldest is canceled.',
    },
  },
  timerMs: parameters => parameters.intervalMs,
  create: parameters => {
    let beat = 0;
    let placed = 0;
    const sides = new Map<string, Side>();

    const place = (view: StrategyView, symbol: string): StrategyIntent[] => {
      const wanted: Side = sides.get(symbol) ?? 'buy';
      for (const side of [wanted, OPPOSITE[wanted]]) {
        const price = priceOf(view, symbol, side, parameters.offsetBps, placed % VARIETY);
        if (price === undefined || crossesOwn(view, { symbol, side, price })) continue;
        if (affordableBeside(view, symbol, side, price) < parameters.notional) continue;
        const instrument = view.instrument(symbol);
        const quantity = quantityFor(parameters.notional, price, instrument);
        if (!meetsMinimum(price, quantity, instrument)) continue;
        sides.set(symbol, OPPOSITE[side]);
        placed += 1;
        return [{ type: 'place', symbol, side, method: 'limit', price, quantity, tag: 'beat' }];
      }
      return [];
    };

    return {
      onStart: view => tooSmallNotes(view, parameters.notional),
      onTimer: view => {
        const symbol = view.symbols[beat++ % view.symbols.length];
        if (symbol === undefined || view.book(symbol)?.trusted !== true) return [];
        const open = view.openOrders(symbol);
        const resting = open.filter(order => order.status !== 'canceling');
        const oldest = resting[0];
        const room = roomFor(view, symbol) > 0;
        const intents = room && view.maySubmit(symbol) ? place(view, symbol) : [];
        // Where the limits leave no room for one more, or those that rest tie up all the money, the oldest has to go first.
        const crowded =
          resting.length + intents.length > parameters.maxOpen ||
          (intents.length === 0 && view.maySubmit(symbol));
        if (crowded && oldest !== undefined && resting.length === open.length)
          intents.push({ type: 'cancel', intentId: oldest.intentId });
        return intents;
      },
      save: () => JSON.stringify([...sides]),
      load: state => {
        for (const [symbol, side] of JSON.parse(state) as [string, Side][]) sides.set(symbol, side);
      },
    };
  },
});

const priceOf = (
  view: StrategyView,
  symbol: string,
  side: Side,
  offsetBps: number,
  furtherTicks: number,
): Price | undefined => {
  const price = besideTouch(view, symbol, side, offsetBps);
  if (price === undefined) return undefined;
  const further = BigInt(furtherTicks) * tickSize(view.instrument(symbol));
  const wanted = side === 'buy' ? price - further : price + further;
  return wanted > 0n ? wanted : undefined;
};
