/**
 * A strategy that asks for what it should not: orders too large, too many, through the market, against its own, without
 * the money. Whatever the gate lets through of it must be within every limit.
 */
import { bestAsk, bestBid } from '../domain/book-view.js';
import { roundPrice } from '../domain/instrument.js';
import { basisPoints, fromInteger } from '../domain/money.js';
import { defineStrategy, type StrategyIntent, type StrategyView } from '../domain/strategy.js';
import { randomStream, uniform } from '../exchange/random.js';
import { quantityFor } from '../strategies/sizing.js';

/** Limits and money under which such a strategy meets every limit within minutes. */
export const RECKLESS_ENV: Readonly<Record<string, string>> = {
  PAPER_BALANCES: 'TRY=40000,BTC=0.01,ETH=0.2,USDT=500',
  MAX_OPEN_ORDERS: '4',
  MAX_OPEN_ORDERS_PER_SYMBOL: '3',
  MAX_NOTIONAL_PER_ORDER_TRY: '12000',
  MAX_POSITION_NOTIONAL_TRY: '30000',
  MAX_GROSS_EXPOSURE_TRY: '50000',
  MAX_ORDERS_PER_MINUTE: '20',
};

/** Money that two of its orders use up: an order that is forgotten is one too many. */
export const POOR_ENV: Readonly<Record<string, string>> = {
  ...RECKLESS_ENV,
  PAPER_BALANCES: 'TRY=6000,BTC=0.0016,ETH=0.03,USDT=80',
};

const WISH_SHARE = 0.5;
const CANCEL_SHARE = 0.35;
/** Values of its orders, TRY, log-uniform between these. */
const LEAST_VALUE = 110;
const MOST_VALUE = 40_000;
const REACH_BPS = 60;

export const reckless = defineStrategy({
  name: 'reckless',
  about: 'Asks for orders at random, most of which must not be sent. For simulations.',
  parameters: {
    seed: { type: 'integer', default: 1, min: 0, max: 4_294_967_295, unit: 'seed', about: 'Of its chances.' },
  },
  timerMs: () => 500,
  create: parameters => {
    const random = randomStream(parameters.seed, 31);

    const wish = (view: StrategyView, symbol: string): StrategyIntent[] => {
      const book = view.book(symbol);
      if (book === undefined) return [];
      const instrument = view.instrument(symbol);
      const side = uniform(random) < 0.5 ? 'buy' : 'sell';
      const touch = side === 'buy' ? bestBid(book, instrument) : bestAsk(book, instrument);
      if (touch === undefined) return [];
      const bps = (uniform(random) - 0.5) * 2 * REACH_BPS;
      const price = roundPrice(touch.price + basisPoints(touch.price, bps, 'half-up'), instrument, 'down');
      const value = LEAST_VALUE * (MOST_VALUE / LEAST_VALUE) ** uniform(random);
      const quantity = quantityFor(fromInteger(Math.round(value)), price, instrument);
      return quantity > 0n && price > 0n
        ? [{ type: 'place', symbol, side, method: 'limit', price, quantity }]
        : [];
    };

    return {
      onTimer: view => {
        const symbol = view.symbols[Math.floor(uniform(random) * view.symbols.length)];
        if (symbol === undefined) return [];
        if (uniform(random) < WISH_SHARE) return wish(view, symbol);
        const open = view.openOrders(symbol);
        const order = open[Math.floor(uniform(random) * open.length)];
        return order !== undefined && uniform(random) < CANCEL_SHARE
          ? [{ type: 'cancel', intentId: order.intentId }]
          : [];
      },
    };
  },
});
