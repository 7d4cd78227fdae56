import { ATR, EMA } from 'trading-signals';
import { bestBid } from '../domain/book-view.js';
import { CANDLE_INTERVALS, type Candle, type CandleInterval } from '../domain/candles.js';
import { type Instrument, priceFromNumber } from '../domain/instrument.js';
import { formatDecimal, max, notional, type Price, toNumber, tryParseDecimal } from '../domain/money.js';
import { defineStrategy, type OwnOrder, type StrategyIntent, type StrategyView } from '../domain/strategy.js';
import { acrossTouch, awayFrom, createBackoff, isHolding, orderFor, orderWorth } from './asking.js';
import { tooSmallNotes } from './sizing.js';

/** What it wants of one symbol now, and why. */
interface Course {
  readonly aim: 'in' | 'out';
  readonly tag: string;
  /** Unix ms after which an entry is not chased any more; an exit is, for ever. */
  readonly untilMs: number;
}

interface Market {
  readonly fast: EMA;
  readonly slow: EMA;
  readonly atr: ATR;
  /** Closed candles, as far back as the channel needs them. */
  readonly highs: number[];
  readonly lows: number[];
  /** Whether the fast average was above the slow one; null before both are there. */
  wasAbove: boolean | null;
  course: Course | null;
  /** Highest close since the entry, and the price that ends the trade; null while out. */
  peak: Price | null;
  stop: Price | null;
  /** Since when the account has not had what it is to sell, monotonic ms; null while it has. */
  emptySinceMonoMs: number | null;
}

/** An account that has had nothing to sell for as long is said to have nothing. */
const EMPTY_MS = 60_000;

/** Long or out, by moving averages or by a breakout, with a stop that trails by volatility. See docs/strategies/trend.md. */
export const trend = defineStrategy({
  name: 'trend',
  about: 'Long or out: a cross of moving averages or a breakout, and a stop that trails by volatility.',
  parameters: {
    interval: {
      type: 'choice',
      default: '1h',
      choices: CANDLE_INTERVALS,
      about: 'Length of the candles it decides on.',
    },
    signal: {
      type: 'choice',
      default: 'cross',
      choices: ['cross', 'breakout'],
      about: 'Enter when the fast average crosses above the slow one, or when a close exceeds the channel.',
    },
    fast: {
      type: 'integer',
      default: 12,
      min: 2,
      max: 200,
      unit: 'candles',
      about: 'Period of the fast average.',
    },
    slow: {
      type: 'integer',
      default: 26,
      min: 3,
      max: 1_000,
      unit: 'candles',
      about: 'Period of the slow average.',
    },
    channel: {
      type: 'integer',
      default: 20,
      min: 2,
      max: 1_000,
      unit: 'candles',
      about:
        'A breakout exceeds the highest high of this many candles; it ends below the lowest low of half as many.',
    },
    atrPeriod: {
      type: 'integer',
      default: 14,
      min: 2,
      max: 200,
      unit: 'candles',
      about: 'Period of the average true range.',
    },
    stopAtr: {
      type: 'number',
      default: 3,
      min: 0.1,
      max: 50,
      unit: 'true ranges',
      about: 'Distance of the stop below the highest close since the entry.',
    },
    notional: {
      type: 'decimal',
      default: '1000',
      min: '0',
      max: '1000000000',
      unit: 'quote',
      about: 'Value of a whole position on one symbol.',
    },
    slipBps: {
      type: 'number',
      default: 10,
      min: 0,
      max: 500,
      unit: 'bps',
      about: 'How far beyond the best price an order may trade.',
    },
    patienceMs: {
      type: 'integer',
      default: 10_000,
      min: 1_000,
      max: 3_600_000,
      unit: 'ms',
      about: 'An order that has not traded by then is canceled and asked for again at the new price.',
    },
  },
  check: ({ fast, slow }) => (fast < slow ? [] : ['fast must be shorter than slow']),
  timerMs: () => 1_000,
  candles: ({ interval, slow, channel, atrPeriod }) => [
    // An exponential average forgets its beginning only slowly: three periods leave 5 % of it.
    { interval: interval as CandleInterval, warmUp: Math.max(3 * slow, channel + 1, 2 * atrPeriod) },
  ],
  create: parameters => {
    const markets = new Map<string, Market>();
    const backoff = createBackoff();
    const exitChannel = Math.max(1, Math.floor(parameters.channel / 2));

    const marketOf = (symbol: string): Market => {
      const known = markets.get(symbol);
      if (known !== undefined) return known;
      const made: Market = {
        fast: new EMA(parameters.fast),
        slow: new EMA(parameters.slow),
        atr: new ATR(parameters.atrPeriod),
        highs: [],
        lows: [],
        wasAbove: null,
        course: null,
        peak: null,
        stop: null,
        emptySinceMonoMs: null,
      };
      markets.set(symbol, made);
      return made;
    };

    /** The tag of a signal to enter or to leave that a closed candle gives, or null. */
    const signalsOf = (market: Market, high: number, low: number, close: number) => {
      const fast = market.fast.add(close);
      const slow = market.slow.add(close);
      market.atr.add({ high, low, close });
      let entry: string | null = null;
      let exit: string | null = null;
      if (parameters.signal === 'cross') {
        const isAbove = market.slow.isStable && fast !== null && slow !== null ? fast > slow : null;
        if (isAbove === true && market.wasAbove === false) entry = 'cross-up';
        if (isAbove === false) exit = 'cross-down';
        market.wasAbove = isAbove;
      } else {
        if (market.highs.length >= parameters.channel && close > Math.max(...market.highs))
          entry = 'breakout-up';
        if (market.lows.length >= exitChannel && close < Math.min(...market.lows)) exit = 'breakout-down';
        remember(market.highs, high, parameters.channel);
        remember(market.lows, low, exitChannel);
      }
      return { entry, exit };
    };

    const trail = (market: Market, close: Price, instrument: Instrument): void => {
      market.peak = market.peak === null ? close : max(market.peak, close);
      const range = market.atr.isStable ? market.atr.getResultOrThrow() : 0;
      const stop = priceFromNumber(toNumber(market.peak) - parameters.stopAtr * range, instrument, 'down');
      // A stop only ever rises, and a range of zero must not put it on top of the market.
      if (stop !== undefined && stop < market.peak)
        market.stop = market.stop === null ? stop : max(market.stop, stop);
    };

    const leave = (market: Market, tag: string): void => {
      market.course = { aim: 'out', tag, untilMs: Number.POSITIVE_INFINITY };
      market.peak = null;
      market.stop = null;
    };

    const onCandle = (view: StrategyView, candle: Candle): StrategyIntent[] => {
      const { symbol, close } = candle;
      const market = marketOf(symbol);
      const { entry, exit } = signalsOf(market, toNumber(candle.high), toNumber(candle.low), toNumber(close));
      if (!view.isWarm) return [];
      const holding = isHolding(view, symbol, close);
      if (holding && market.course?.aim !== 'out') {
        trail(market, close, view.instrument(symbol));
        if (exit !== null) leave(market, exit);
        else if (market.stop !== null && close <= market.stop) leave(market, 'stop');
      } else if (exit !== null && market.course?.aim === 'in') market.course = null;
      if (entry !== null && !holding && view.universe.symbols.includes(symbol)) {
        const lengthMs = candle.closeAtMs - candle.openAtMs;
        market.course = { aim: 'in', tag: entry, untilMs: candle.closeAtMs + lengthMs };
        market.peak = null;
        market.stop = null;
        // Until the next close this is the highest one: a position is not without a stop for a whole candle.
        trail(market, close, view.instrument(symbol));
      }
      return steer(view, symbol, close);
    };

    const watchStop = (view: StrategyView, symbol: string): void => {
      const market = marketOf(symbol);
      const book = view.book(symbol);
      if (market.stop === null || book?.trusted !== true) return;
      const bid = bestBid(book, view.instrument(symbol));
      if (bid !== undefined && bid.price <= market.stop) leave(market, 'stop');
    };

    /** Brings the position towards the course. @param close price to go by where there is no book at all */
    const steer = (view: StrategyView, symbol: string, close?: Price): StrategyIntent[] => {
      const { course } = marketOf(symbol);
      const side = course?.aim === 'out' ? 'sell' : 'buy';
      const open = view.openOrders(symbol);
      const isDone = (order: OwnOrder): boolean =>
        course === null ||
        order.side !== side ||
        view.now.monoMs - order.askedMonoMs >= parameters.patienceMs;
      if (course === null || open.length > 0)
        return open
          .filter(order => order.status === 'working' && isDone(order))
          .map(({ intentId }) => ({ type: 'cancel', intentId }));
      const book = view.book(symbol);
      if (book?.trusted === false || !backoff.mayAsk(view, symbol)) return [];
      const price =
        book !== undefined
          ? acrossTouch(view, symbol, side, parameters.slipBps)
          : close === undefined
            ? undefined
            : awayFrom(close, side, -parameters.slipBps, view.instrument(symbol));
      if (price === undefined) return [];
      if (course.aim === 'out') return goOut(view, symbol, price, course);
      return goIn(view, symbol, price, course);
    };

    const goOut = (view: StrategyView, symbol: string, price: Price, { tag }: Course): StrategyIntent[] => {
      if (!isHolding(view, symbol, price)) {
        marketOf(symbol).course = null;
        return view.position(symbol).quantity === 0n
          ? []
          : [
              {
                type: 'note',
                text: `${symbol}: what it still holds is worth less than the venue's least order value: it is not sold, and no stop watches it`,
              },
            ];
      }
      const { quantity } = view.position(symbol);
      const { base, minNotional } = view.instrument(symbol);
      const total = (view.balance(base)?.total ?? 0n) as bigint;
      const market = marketOf(symbol);
      if (notional(price, total) >= minNotional) {
        market.emptySinceMonoMs = null;
        return orderFor(view, { symbol, side: 'sell', price, quantity, tag });
      }
      // Balances show a fill later than its order does.
      market.emptySinceMonoMs ??= view.now.monoMs;
      return view.now.monoMs - market.emptySinceMonoMs < EMPTY_MS
        ? []
        : [
            {
              type: 'note',
              text: `${symbol}: its fills make ${formatDecimal(quantity)} ${base}, but the account has ${formatDecimal(total)}: it cannot sell, and enters nothing before it has`,
            },
          ];
    };

    const goIn = (view: StrategyView, symbol: string, price: Price, course: Course): StrategyIntent[] => {
      const { quantity, averagePrice } = view.position(symbol);
      const left = parameters.notional - notional(averagePrice ?? 0n, quantity);
      if (left < view.instrument(symbol).minNotional || view.now.wallMs >= course.untilMs) {
        marketOf(symbol).course = null;
        return [];
      }
      return orderWorth(view, { symbol, side: 'buy', price, value: left, tag: course.tag });
    };

    return {
      onStart: view => tooSmallNotes(view, parameters.notional),
      onCandle,
      onBook: (view, { symbol }) => {
        watchStop(view, symbol);
        return marketOf(symbol).course === null ? [] : steer(view, symbol);
      },
      onTimer: view => view.symbols.flatMap(symbol => steer(view, symbol)),
      onOrder: (view, event) => {
        backoff.heard(view, event);
        return [];
      },
      save: () =>
        JSON.stringify(
          [...markets].map(([symbol, { peak, stop, course }]) => ({
            symbol,
            peak: peak === null ? null : formatDecimal(peak),
            stop: stop === null ? null : formatDecimal(stop),
            leaving: course?.aim === 'out' ? course.tag : null,
          })),
        ),
      load: state => {
        for (const { symbol, peak, stop, leaving } of readMarkets(state)) {
          const market = marketOf(symbol);
          if (leaving !== null) leave(market, leaving);
          market.peak = peak;
          market.stop = stop;
        }
      },
    };
  },
});

const remember = (values: number[], value: number, most: number): void => {
  values.push(value);
  if (values.length > most) values.shift();
};

interface SavedMarket {
  readonly symbol: string;
  readonly peak: Price | null;
  readonly stop: Price | null;
  readonly leaving: string | null;
}

/** @throws Error when the text is not what `save` wrote */
const readMarkets = (state: string): SavedMarket[] => {
  const rows: unknown = JSON.parse(state);
  if (!Array.isArray(rows)) throw new Error('the saved markets are not a list');
  const price = (given: unknown): Price | null => {
    if (given === null) return null;
    const value = typeof given === 'string' ? tryParseDecimal(given) : undefined;
    if (value === undefined || value <= 0n) throw new Error('a saved price is not a price');
    return value;
  };
  return rows.map((row: Record<string, unknown> | null) => {
    const { symbol, peak, stop, leaving } = row ?? {};
    if (typeof symbol !== 'string' || !(leaving === null || typeof leaving === 'string'))
      throw new Error('a saved market has no symbol');
    return { symbol, peak: price(peak), stop: price(stop), leaving };
  });
};
