import { type Amount, formatDecimal, notional, type Price } from '../domain/money.js';
import { defineStrategy, type StrategyIntent, type StrategyView } from '../domain/strategy.js';
import { acrossTouch, besideTouch, cancelOverdue, createBackoff, orderWorth } from './asking.js';
import { tooSmallNotes } from './sizing.js';

/** What is left of one purchase. Times are Unix ms: they must mean the same after a restart. */
interface Purchase {
  readonly beganAtMs: number;
  /** The position's base before it, to know what has been bought. */
  readonly from: bigint;
  /** The position's cost before it, to know what has been spent, in quote; null in what an earlier version saved. */
  readonly fromCost: Amount | null;
}

interface Plan {
  lastAtMs: number | null;
  current: Purchase | null;
}

/** Buys for a fixed amount at fixed times. See docs/strategies/dca.md. */
export const dca = defineStrategy({
  name: 'dca',
  about: 'Buys for a fixed amount at a fixed interval: patiently first, then at the market.',
  parameters: {
    notional: {
      type: 'decimal',
      default: '250',
      min: '0',
      max: '1000000000',
      unit: 'quote',
      about: 'Value of one purchase.',
    },
    everyMs: {
      type: 'integer',
      default: 86_400_000,
      min: 10_000,
      max: 2_678_400_000,
      unit: 'ms',
      about: 'Time from one purchase to the next. What was missed while the bot was down is not made up for.',
    },
    maxPosition: {
      type: 'decimal',
      default: '10000',
      min: '0',
      max: '1000000000000',
      unit: 'quote',
      about: 'No purchase that would make the position of a symbol worth more than this.',
    },
    patienceMs: {
      type: 'integer',
      default: 60_000,
      min: 0,
      max: 86_400_000,
      unit: 'ms',
      about: 'How long a purchase rests at the best bid before it takes what is offered.',
    },
    slipBps: {
      type: 'number',
      default: 10,
      min: 0,
      max: 500,
      unit: 'bps',
      about: 'How far above the best offer it may pay when its patience is over.',
    },
  },
  check: parameters =>
    parameters.patienceMs < parameters.everyMs ? [] : ['patienceMs must be shorter than everyMs'],
  timerMs: () => 1_000,
  create: parameters => {
    const plans = new Map<string, Plan>();
    const backoff = createBackoff();

    const planOf = (symbol: string): Plan => {
      const plan = plans.get(symbol) ?? { lastAtMs: null, current: null };
      plans.set(symbol, plan);
      return plan;
    };

    /** What of a purchase is not spent yet, in quote. It never sells, so that the cost only grows. */
    const leftOf = (
      view: StrategyView,
      symbol: string,
      { from, fromCost }: Purchase,
      price: Price,
    ): Amount => {
      const spent =
        fromCost === null
          ? notional(price, view.position(symbol).quantity - from)
          : costOf(view, symbol) - fromCost;
      return parameters.notional - spent;
    };

    const buy = (view: StrategyView, symbol: string, purchase: Purchase): StrategyIntent[] => {
      const patient = view.now.wallMs - purchase.beganAtMs < parameters.patienceMs;
      const overdue = cancelOverdue(view, symbol, patient ? parameters.everyMs : 1_000);
      if (overdue.length > 0 || view.openOrders(symbol).length > 0) return overdue;
      if (view.book(symbol)?.trusted !== true || !backoff.mayAsk(view, symbol)) return [];
      const price = patient
        ? besideTouch(view, symbol, 'buy', 0)
        : acrossTouch(view, symbol, 'buy', parameters.slipBps);
      if (price === undefined) return [];
      const held = view.position(symbol).quantity;
      const left = leftOf(view, symbol, purchase, price);
      const allowed = parameters.maxPosition - notional(price, held);
      if (left > allowed || left < view.instrument(symbol).minNotional) {
        planOf(symbol).current = null;
        return left > allowed
          ? [{ type: 'note', text: `${symbol}: the position is at its most, nothing is bought` }]
          : [];
      }
      return orderWorth(view, { symbol, side: 'buy', price, value: left, tag: patient ? 'dca' : 'dca-late' });
    };

    const onTimer = (view: StrategyView): StrategyIntent[] =>
      view.symbols.flatMap(symbol => {
        const plan = planOf(symbol);
        const { wallMs } = view.now;
        notLater(plan, wallMs);
        const due = plan.lastAtMs === null || wallMs - plan.lastAtMs >= parameters.everyMs;
        const notes: StrategyIntent[] = [];
        if (due && plan.current !== null && view.openOrders(symbol).length === 0) {
          // The next one's time has come: to buy what is left of this one as well would make up for what was missed.
          notes.push(...unfinished(view, symbol, plan.current));
          plan.current = null;
        }
        if (plan.current === null) {
          if (!due || !view.universe.symbols.includes(symbol) || !view.maySubmit(symbol)) return notes;
          plan.lastAtMs = wallMs;
          const from = view.position(symbol).quantity;
          plan.current = { beganAtMs: wallMs, from, fromCost: costOf(view, symbol) };
        }
        return [...notes, ...buy(view, symbol, plan.current)];
      });

    const unfinished = (view: StrategyView, symbol: string, purchase: Purchase): StrategyIntent[] => {
      const { averagePrice } = view.position(symbol);
      const left = leftOf(view, symbol, purchase, averagePrice ?? 0n);
      const began = new Date(purchase.beganAtMs).toISOString();
      return left < view.instrument(symbol).minNotional
        ? []
        : [
            {
              type: 'note',
              text: `${symbol}: the purchase of ${began} was not finished, ${formatDecimal(left)} of it was not spent`,
            },
          ];
    };

    return {
      onStart: view => tooSmallNotes(view, parameters.notional),
      onTimer,
      onOrder: (view, event) => {
        backoff.heard(view, event);
        return [];
      },
      save: () =>
        JSON.stringify(
          [...plans].map(([symbol, { lastAtMs, current }]) => ({
            symbol,
            lastAtMs,
            current:
              current === null
                ? null
                : {
                    beganAtMs: current.beganAtMs,
                    from: String(current.from),
                    ...(current.fromCost === null ? {} : { fromCost: String(current.fromCost) }),
                  },
          })),
        ),
      load: state => {
        for (const row of readPlans(state)) plans.set(row.symbol, row.plan);
      },
    };
  },
});

/** A clock that was ahead has been set back: what it says of the past may not keep the rhythm waiting. */
const notLater = (plan: Plan, wallMs: number): void => {
  if (plan.lastAtMs !== null) plan.lastAtMs = Math.min(plan.lastAtMs, wallMs);
  if (plan.current !== null && plan.current.beganAtMs > wallMs)
    plan.current = { ...plan.current, beganAtMs: wallMs };
};

/** What the position has cost, in quote. */
const costOf = (view: StrategyView, symbol: string): Amount => {
  const { quantity, averagePrice } = view.position(symbol);
  return notional(averagePrice ?? 0n, quantity);
};

/** @throws Error when the text is not what `save` wrote */
const readPlans = (state: string): { readonly symbol: string; readonly plan: Plan }[] => {
  const rows: unknown = JSON.parse(state);
  if (!Array.isArray(rows)) throw new Error('the saved plan is not a list');
  return rows.map((row: Record<string, unknown> | null) => {
    const { symbol, lastAtMs, current } = row ?? {};
    if (typeof symbol !== 'string' || !(lastAtMs === null || Number.isSafeInteger(lastAtMs)))
      throw new Error('a saved plan has no symbol or no time');
    return { symbol, plan: { lastAtMs: lastAtMs as number | null, current: readPurchase(current) } };
  });
};

const readPurchase = (given: unknown): Purchase | null => {
  if (given === null) return null;
  const { beganAtMs, from, fromCost = null } = given as Readonly<Record<string, unknown>>;
  if (!Number.isSafeInteger(beganAtMs) || !isWhole(from) || !(fromCost === null || isWhole(fromCost)))
    throw new Error('a saved purchase has no beginning');
  return {
    beganAtMs: beganAtMs as number,
    from: BigInt(from),
    fromCost: fromCost === null ? null : BigInt(fromCost),
  };
};

const isWhole = (given: unknown): given is string => typeof given === 'string' && /^-?\d+$/.test(given);
