import { bestAsk, bestBid } from '../domain/book-view.js';
import { roundPrice, type Side } from '../domain/instrument.js';
import {
  abs,
  basisPoints,
  divide,
  formatDecimal,
  notional,
  type Price,
  type Quantity,
} from '../domain/money.js';
import { filledQuantity, isTerminal, type Order } from '../domain/order.js';
import {
  defineStrategy,
  type StrategyIntent,
  type StrategyIntents,
  type StrategyView,
} from '../domain/strategy.js';
import { affordable, meetsMinimum, quantityFor } from './sizing.js';

/** What its notes begin with; `btcbot canary` waits for them. */
export const CANARY_DONE = 'canary: done';
export const CANARY_STOPPED = 'canary: stopped';

const TIMER_MS = 100;
/** A crossing order that has not filled by then is canceled. */
const CROSS_MS = 3_000;
/** An order that has not ended by then ends the run. */
const ORDER_MS = 20_000;
/** Crossing orders sent to get rid of a remainder. */
const FLATTEN_MOST = 3;
/** How far a crossing order reaches beyond the touch. */
const CROSS_BPS = 20;

/** One order of the plan: one that rests and is canceled, or one that is to fill. */
interface Step {
  readonly type: 'rest' | 'cross';
  readonly side: Side;
}

type Phase =
  | { readonly phase: 'resting-between'; readonly notBeforeMonoMs: number }
  | {
      readonly phase: 'placed';
      readonly step: Step;
      readonly sinceMonoMs: number;
      /** Null until the host has shown it. */
      readonly intentId: string | null;
    }
  | { readonly phase: 'over' };

/**
 * The first orders of real money: one tiny order at a time. A buy and a sell that rest and are canceled, then a buy
 * that fills and the sale of what it bought, to the last lot, all on the first symbol. Anything unexpected ends it; nothing is tried twice but
 * the sale of a remainder.
 */
export const canary = defineStrategy({
  name: 'canary',
  about: 'One tiny order at a time: rests and cancels on both sides, buys and sells once, ends flat.',
  parameters: {
    notionalPct: {
      type: 'integer',
      default: 150,
      min: 100,
      max: 300,
      unit: '%',
      about: 'Value of one order, of the least that the venue takes.',
    },
    restBps: {
      type: 'number',
      default: 100,
      min: 1,
      max: 5_000,
      unit: 'bps',
      about: 'Distance of a resting order from the touch of its own side.',
    },
    pauseMs: {
      type: 'integer',
      default: 500,
      min: 100,
      max: 600_000,
      unit: 'ms',
      about: 'Time between two orders.',
    },
    fill: {
      type: 'boolean',
      default: true,
      about: 'Whether one order is to fill and be sold again; else orders only rest.',
    },
  },
  timerMs: () => TIMER_MS,
  create: parameters => {
    const plan: Step[] = [
      { type: 'rest', side: 'buy' },
      { type: 'rest', side: 'sell' },
      ...(parameters.fill ? [{ type: 'cross', side: 'buy' } as const] : []),
    ];
    /** What the account holds more than before: what has to be sold again. */
    let held: Quantity = 0n;
    /** What each order of this run has executed so far: a trade may be shown after its order has ended. */
    const executed = new Map<string, Quantity>();
    let flattened = 0;
    let now: Phase = { phase: 'resting-between', notBeforeMonoMs: 0 };

    const over = (text: string): StrategyIntents => {
      now = { phase: 'over' };
      return [{ type: 'note', text }];
    };
    const stopped = (why: string): StrategyIntents =>
      over(
        `${CANARY_STOPPED}: ${why}${held === 0n ? '' : `; ${formatDecimal(held)} is held more than before`}`,
      );

    const nextStep = (): Step | null => {
      if (plan[0]?.type === 'rest') return plan[0];
      if (held !== 0n) {
        // A fill has been seen: there is no need for another.
        plan.length = 0;
        return { type: 'cross', side: held > 0n ? 'sell' : 'buy' };
      }
      return plan[0] ?? null;
    };

    const advance = (view: StrategyView): StrategyIntents => {
      const step = nextStep();
      if (step === null) return over(CANARY_DONE);
      const [symbol] = view.symbols;
      if (symbol === undefined || !view.maySubmit(symbol) || view.openOrders().length > 0) return [];
      const price = priceOf(view, symbol, step, parameters.restBps);
      if (price === undefined) return [];
      const flattens = step.type === 'cross' && held !== 0n;
      const instrument = view.instrument(symbol);
      const quantity = flattens
        ? abs(held)
        : quantityFor(
            divide(instrument.minNotional * BigInt(parameters.notionalPct), 100n, 'up'),
            price,
            instrument,
          );
      if (flattens && (flattened >= FLATTEN_MOST || !meetsMinimum(price, quantity, instrument)))
        return stopped('what is left cannot be traded away');
      if (!flattens && affordable(view, symbol, step.side, price) < notional(price, quantity)) {
        if (step.side === 'buy') return stopped(`there is not enough ${instrument.quote} for one order`);
        plan.shift();
        return [{ type: 'note', text: `canary: no ${instrument.base} to rest a sell order with: left out` }];
      }
      if (flattens) flattened += 1;
      else plan.shift();
      now = { phase: 'placed', step, sinceMonoMs: view.now.monoMs, intentId: null };
      return [{ type: 'place', symbol, side: step.side, method: 'limit', price, quantity }];
    };

    const cancelAll = (view: StrategyView): StrategyIntent[] =>
      view.openOrders().map(({ intentId }) => ({ type: 'cancel', intentId }));

    /** Whether an event is about the order under way: none else is open, so the open one is it, or the one that just ended. */
    const isPresent = (view: StrategyView, intentId: string): boolean => {
      if (now.phase !== 'placed') return false;
      if (now.intentId === null) {
        const present = view.openOrders()[0]?.intentId ?? intentId;
        now = { ...now, intentId: present };
        executed.set(present, 0n);
      }
      return now.intentId === intentId;
    };

    /** Counts what an order of this run has executed beyond what was counted before. */
    const count = ({ intentId, terms, state }: Order): void => {
      const before = executed.get(intentId);
      const filled = filledQuantity(state);
      if (before === undefined || filled <= before) return;
      executed.set(intentId, filled);
      held += terms.side === 'buy' ? filled - before : before - filled;
    };

    return {
      onTimer: view => {
        if (now.phase === 'resting-between')
          return view.now.monoMs >= now.notBeforeMonoMs ? advance(view) : [];
        if (now.phase !== 'placed') return [];
        if (view.now.monoMs - now.sinceMonoMs >= ORDER_MS)
          return [...stopped('an order does not end'), ...cancelAll(view)];
        if (now.step.type === 'rest') return [];
        return view.now.monoMs - now.sinceMonoMs >= CROSS_MS ? cancelAll(view) : [];
      },
      onOrder: (view, event) => {
        const present = isPresent(view, event.order.intentId);
        if (event.type === 'denied')
          return present ? stopped(`an order was refused before it was sent: ${event.denial.code}`) : [];
        const before = held;
        count(event.order);
        if (now.phase === 'over' && held !== before) return stopped('an order filled after the end');
        if (!present || now.phase !== 'placed') return [];
        const { state } = event.order;
        if (state.status === 'rejected' || state.status === 'denied' || state.status === 'expired')
          return stopped(`an order was ${state.status}`);
        if (state.status === 'working' && now.step.type === 'rest') return cancelAll(view);
        if (!isTerminal(state)) return [];
        now = { phase: 'resting-between', notBeforeMonoMs: view.now.monoMs + parameters.pauseMs };
        return [];
      },
    };
  },
});

const priceOf = (view: StrategyView, symbol: string, step: Step, restBps: number): Price | undefined => {
  const book = view.book(symbol);
  if (book?.trusted !== true) return undefined;
  const instrument = view.instrument(symbol);
  const bid = bestBid(book, instrument)?.price;
  const ask = bestAsk(book, instrument)?.price;
  if (bid === undefined || ask === undefined) return undefined;
  const crosses = step.type === 'cross';
  if (step.side === 'buy')
    return roundPrice(
      crosses ? ask + basisPoints(ask, CROSS_BPS, 'up') : bid - basisPoints(bid, restBps, 'up'),
      instrument,
      crosses ? 'up' : 'down',
    );
  return roundPrice(
    crosses ? bid - basisPoints(bid, CROSS_BPS, 'up') : ask + basisPoints(ask, restBps, 'up'),
    instrument,
    crosses ? 'down' : 'up',
  );
};
