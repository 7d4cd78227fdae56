import { fromTicks, type Instrument, type Side, tickSize } from '../domain/instrument.js';
import { abs, basisPoints, min, type Price, type Quantity, toNumber } from '../domain/money.js';
import { defineStrategy, type OwnOrder, type StrategyIntent, type StrategyView } from '../domain/strategy.js';
import { crossesOwn } from './asking.js';
import { fundsFor, meetsMinimum, quantityFor, roomFor, tooSmallNotes, worthOf } from './sizing.js';
import { type Touch, touchOfOthers } from './touch.js';
import { createVolatility, type Volatility } from './volatility.js';

const SIDES = ['buy', 'sell'] as const;
/** Share of a tick below which a difference is rounding noise of the floating numbers. */
const NOISE = 1e-4;
const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 30_000;

/** What the maker remembers of one side of one symbol. */
interface Lane {
  lastPlacedMonoMs: number;
  /** After a refusal nothing is placed before this time; the wait doubles with each further refusal. */
  notBeforeMonoMs: number;
  retryMs: number;
  /** The last quote that was sized, and what decided it: most books change neither. */
  sized: Sized | null;
}

interface Sized {
  readonly instrument: Instrument;
  readonly ticks: number;
  readonly price: Price;
  readonly funds: bigint;
  readonly takerPpm: number;
  readonly wanted: Wanted | null;
}

interface Market {
  readonly volatility: Volatility;
  readonly lanes: Readonly<Record<Side, Lane>>;
}

/** A quote as it should rest now; null for none. */
interface Wanted {
  readonly price: Price;
  readonly quantity: Quantity;
}

/** Quotes both sides of the market around a fair price. See docs/strategies/maker.md. */
export const maker = defineStrategy({
  name: 'maker',
  about: 'Quotes both sides around a fair price: wider when the market moves, skewed by inventory.',
  parameters: {
    notional: {
      type: 'decimal',
      default: '250',
      min: '0',
      max: '1000000000',
      unit: 'quote',
      about: 'Value of one quote.',
    },
    minHalfSpreadBps: {
      type: 'number',
      default: 2,
      min: 0,
      max: 1_000,
      unit: 'bps',
      about:
        'Least distance of a quote from the fair price. The default trades often and does not earn its fees.',
    },
    maxHalfSpreadBps: {
      type: 'number',
      default: 50,
      min: 0,
      max: 5_000,
      unit: 'bps',
      about: 'Greatest distance that volatility may ask for.',
    },
    coverFees: {
      type: 'boolean',
      default: false,
      about:
        "Keep each quote at least the maker's fee and tax away from the fair price, whatever the other widths.",
    },
    volatilityMultiple: {
      type: 'number',
      default: 1,
      min: 0,
      max: 20,
      unit: 'deviations',
      about: 'Distance in standard deviations of the one-second move of the fair price.',
    },
    volatilityHalfLifeMs: {
      type: 'integer',
      default: 30_000,
      min: 1_000,
      max: 3_600_000,
      unit: 'ms',
      about: 'Age at which a past move counts half.',
    },
    targetPosition: {
      type: 'decimal',
      default: '0',
      min: '-1000000000',
      max: '1000000000',
      unit: 'base',
      about: 'Position the maker leans towards, counted from the start of the ledger.',
    },
    maxPosition: {
      type: 'decimal',
      default: '2500',
      min: '0.01',
      max: '1000000000000',
      unit: 'quote',
      about: 'Deviation from the target at which only the reducing side is quoted.',
    },
    skewBps: {
      type: 'number',
      default: 4,
      min: 0,
      max: 1_000,
      unit: 'bps',
      about: 'How far the fair price is shifted against the position at the greatest deviation.',
    },
    toleranceBps: {
      type: 'number',
      default: 1,
      min: 0,
      max: 1_000,
      unit: 'bps',
      about: 'A resting quote is left alone until the wanted price is further away than this.',
    },
    refreshMs: {
      type: 'integer',
      default: 1_000,
      min: 50,
      max: 3_600_000,
      unit: 'ms',
      about: 'Least time between two placements on one side of one symbol.',
    },
  },
  check: parameters =>
    parameters.minHalfSpreadBps <= parameters.maxHalfSpreadBps
      ? []
      : ['minHalfSpreadBps must not exceed maxHalfSpreadBps'],
  timerMs: () => 250,
  create: parameters => {
    const markets = new Map<string, Market>();

    const marketOf = (symbol: string): Market => {
      const known = markets.get(symbol);
      if (known !== undefined) return known;
      const made: Market = {
        volatility: createVolatility(parameters.volatilityHalfLifeMs),
        lanes: { buy: newLane(), sell: newLane() },
      };
      markets.set(symbol, made);
      return made;
    };

    /** Least distance from the fair price itself, whatever the position shifts. */
    const feesBps = (view: StrategyView, symbol: string): number =>
      parameters.coverFees ? view.fees(symbol).makerPpm / 100 : 0;

    const halfSpreadBps = (symbol: string, fees: number): number => {
      const moving = marketOf(symbol).volatility.bps * parameters.volatilityMultiple;
      return Math.max(parameters.minHalfSpreadBps, fees, Math.min(moving, parameters.maxHalfSpreadBps));
    };

    /** Distance from the target position, -1 to 1 within the allowed range. */
    const deviation = (view: StrategyView, symbol: string, fair: number): number => {
      const excess = view.position(symbol).quantity - parameters.targetPosition;
      return (toNumber(excess) * fair) / toNumber(parameters.maxPosition);
    };

    /** A quote of the size that is wanted and can be paid for; null for none. */
    const quoteAt = (view: StrategyView, symbol: string, side: Side, ticks: number): Wanted | null => {
      if (ticks <= 0) return null;
      const instrument = view.instrument(symbol);
      const lane = marketOf(symbol).lanes[side];
      const known = lane.sized?.instrument === instrument && lane.sized.ticks === ticks ? lane.sized : null;
      const price = known?.price ?? fromTicks(ticks, instrument);
      const funds = fundsFor(view, symbol, side);
      const { takerPpm } = view.fees(symbol);
      if (known?.funds === funds && known.takerPpm === takerPpm) return known.wanted;
      const value = min(parameters.notional, worthOf(funds, side, price, takerPpm));
      const quantity = quantityFor(value, price, instrument);
      const wanted = meetsMinimum(price, quantity, instrument) ? { price, quantity } : null;
      lane.sized = { instrument, ticks, price, funds, takerPpm, wanted };
      return wanted;
    };

    const wantedQuotes = (view: StrategyView, symbol: string, touch: Touch): Record<Side, Wanted | null> => {
      const instrument = view.instrument(symbol);
      const fair = fairTicks(touch);
      const leaning = deviation(view, symbol, fair * toNumber(tickSize(instrument)));
      const lean = Math.max(-1, Math.min(1, leaning));
      const centre = fair * (1 - (lean * parameters.skewBps) / 10_000);
      const fees = feesBps(view, symbol);
      const half = halfSpreadBps(symbol, fees) / 10_000;
      const [lowest, highest] = [fair * (1 + fees / 10_000), fair * (1 - fees / 10_000)];
      const below = fees > 0 ? Math.min(centre * (1 - half), highest) : centre * (1 - half);
      const above = fees > 0 ? Math.max(centre * (1 + half), lowest) : centre * (1 + half);
      // A quote that would cross takes instead of makes: it stays a tick away from the other side's best, and from ours.
      const buyTicks = Math.min(Math.floor(below + NOISE), touch.askTicks - 1);
      const sellTicks = Math.max(Math.ceil(above - NOISE), touch.bidTicks + 1, buyTicks + 1);
      const quotes = {
        buy: leaning >= 1 ? null : quoteAt(view, symbol, 'buy', buyTicks),
        sell: leaning <= -1 ? null : quoteAt(view, symbol, 'sell', sellTicks),
      };
      if (quotes.buy === null || quotes.sell === null || view.maxOpenOrdersPerSymbol >= 2) return quotes;
      // Room for one order only: the side that leads back to the target.
      return leaning > 0 ? { ...quotes, buy: null } : { ...quotes, sell: null };
    };

    const requote = (view: StrategyView, symbol: string): StrategyIntent[] => {
      const own = view.openOrders(symbol);
      const book = view.book(symbol);
      const others = view.otherOrders(symbol);
      const ours = others.length === 0 ? own : [...own, ...others];
      const touch = book?.trusted === true ? touchOfOthers(book, view.instrument(symbol), ours) : undefined;
      // Nothing rests on a market that cannot be believed.
      if (touch === undefined) return own.flatMap(withdraw);
      const market = marketOf(symbol);
      market.volatility.observe(fairTicks(touch), view.now.monoMs);
      const wanted = wantedQuotes(view, symbol, touch);
      const intents: StrategyIntent[] = [];
      let room: number | null = null;
      for (const side of SIDES) {
        let resting: OwnOrder | undefined;
        for (const order of own) {
          if (order.side !== side) continue;
          if (resting === undefined) resting = order;
          else intents.push(...withdraw(order));
        }
        const lane = market.lanes[side];
        const target = wanted[side];
        const due = view.now.monoMs - lane.lastPlacedMonoMs >= parameters.refreshMs;
        if (resting !== undefined) {
          if (target === null || (due && !isGood(resting, target, parameters.toleranceBps)))
            intents.push(...withdraw(resting));
          continue;
        }
        if (target === null || !due || view.now.monoMs < lane.notBeforeMonoMs) continue;
        room ??= roomFor(view, symbol);
        if (room <= 0) continue;
        if (!view.maySubmit(symbol) || crossesOwn(view, { symbol, side, price: target.price })) continue;
        intents.push({ type: 'place', symbol, side, method: 'limit', ...target, tag: 'quote' });
        lane.lastPlacedMonoMs = view.now.monoMs;
        room -= 1;
      }
      return intents;
    };

    return {
      onStart: view => tooSmallNotes(view, parameters.notional),
      onBook: (view, book) => requote(view, book.symbol),
      onTimer: view => view.symbols.flatMap(symbol => requote(view, symbol)),
      onOrder: (view, event) => {
        const { symbol, side } = event.type === 'denied' ? event.order : event.order.terms;
        const status = event.type === 'denied' ? 'denied' : event.order.state.status;
        const lane = marketOf(symbol).lanes[side];
        if (status === 'denied' || status === 'rejected') {
          lane.notBeforeMonoMs = view.now.monoMs + lane.retryMs;
          lane.retryMs = Math.min(2 * lane.retryMs, RETRY_MOST_MS);
        } else if (status === 'working') lane.retryMs = RETRY_FIRST_MS;
        return requote(view, symbol);
      },
    };
  },
});

const newLane = (): Lane => ({
  lastPlacedMonoMs: Number.NEGATIVE_INFINITY,
  notBeforeMonoMs: 0,
  retryMs: RETRY_FIRST_MS,
  sized: null,
});

/** The middle, drawn towards the side with less on offer, in ticks. */
const fairTicks = (touch: Touch): number =>
  (touch.bidTicks * touch.askLots + touch.askTicks * touch.bidLots) / (touch.bidLots + touch.askLots);

/** A cancel for an order that rests; one that is still on its way, or of unknown fate, is waited for. */
const withdraw = (order: OwnOrder): StrategyIntent[] =>
  order.status === 'working' ? [{ type: 'cancel', intentId: order.intentId }] : [];

/** Whether a resting quote is close enough to the wanted one, in price and in what is left of it. */
const isGood = (resting: OwnOrder, target: Wanted, toleranceBps: number): boolean => {
  const { price, quantity, filled } = resting;
  const isNear =
    price === target.price || abs(price - target.price) <= basisPoints(target.price, toleranceBps, 'up');
  if (!isNear || (filled === 0n && quantity === target.quantity)) return isNear;
  const left = quantity - filled;
  return 2n * left >= target.quantity && 4n * left <= 5n * target.quantity;
};
