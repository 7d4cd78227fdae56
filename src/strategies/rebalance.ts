import { bestAsk, bestBid } from '../domain/book-view.js';
import type { Side } from '../domain/instrument.js';
import {
  type Amount,
  abs,
  basisPoints,
  formatDecimal,
  min,
  notional,
  ONE,
  type Price,
  ratio,
  toNumber,
  tryParseDecimal,
} from '../domain/money.js';
import { filledQuantity, isTerminal, type Order } from '../domain/order.js';
import { defineStrategy, type StrategyIntent, type StrategyView } from '../domain/strategy.js';
import { acrossTouch, besideTouch, cancelOverdue, createBackoff, orderFor } from './asking.js';
import { roomFor, tooSmallNotes, worthOf } from './sizing.js';

/** One symbol as it stands. Amounts in quote. */
interface Holding {
  readonly symbol: string;
  readonly price: Price;
  readonly value: Amount;
  readonly target: Amount;
}

/** A balance that is to show what an order has executed before anything is decided by it. */
interface Awaited {
  readonly asset: string;
  /** Null where it is not known what there was before. */
  readonly total: bigint | null;
  readonly side: Side;
  readonly untilMonoMs: number;
}

/** Balances are read after a fill and in every pass; something else may have changed them, so nothing is awaited longer. */
const AWAITED_MOST_MS = 30_000;
/** For an order of an earlier run. */
const AWAITED_UNKNOWN_MS = 3_000;

/** Share of the whole per symbol, at 10^-16; or what is wrong with the text. */
type Weights =
  | { readonly ok: true; readonly shares: ReadonlyMap<string, bigint> }
  | { readonly ok: false; readonly problem: string };

/** Holds target weights of the whole, with a band and a cash reserve. See docs/strategies/rebalance.md. */
export const rebalance = defineStrategy({
  name: 'rebalance',
  about: 'Holds its symbols at target weights of the whole account, with a band and a cash reserve.',
  parameters: {
    weights: {
      type: 'text',
      default: '',
      about:
        'Shares such as BTCTRY=0.4,ETHTRY=0.2; what is left of 1 stays in cash. Empty: equal shares of what the reserve leaves.',
    },
    cashReserve: {
      type: 'number',
      default: 0.1,
      min: 0,
      max: 1,
      unit: 'share',
      about: 'Share of the whole that is never spent.',
    },
    bandBps: {
      type: 'number',
      default: 200,
      min: 1,
      max: 5_000,
      unit: 'bps',
      about: 'A symbol is left alone until it is further from its target than this much of the whole.',
    },
    everyMs: {
      type: 'integer',
      default: 60_000,
      min: 1_000,
      max: 86_400_000,
      unit: 'ms',
      about: 'How often the weights are looked at.',
    },
    maxOrder: {
      type: 'decimal',
      default: '1000',
      min: '0',
      max: '1000000000',
      unit: 'quote',
      about: 'Greatest value of one order: a larger difference is closed in steps.',
    },
    patienceMs: {
      type: 'integer',
      default: 30_000,
      min: 1_000,
      max: 86_400_000,
      unit: 'ms',
      about: 'How long an order rests before it is canceled and the weights are looked at again.',
    },
    cross: {
      type: 'boolean',
      default: false,
      about: 'Trade at the market at once instead of resting at the best price of the own side.',
    },
    slipBps: {
      type: 'number',
      default: 10,
      min: 0,
      max: 500,
      unit: 'bps',
      about: 'With `cross`: how far beyond the best price an order may trade.',
    },
  },
  check: ({ weights, cashReserve }) => {
    const read = readWeights(weights);
    if (!read.ok) return [read.problem];
    const sum = [...read.shares.values()].reduce((total, share) => total + share, 0n);
    return toNumber(sum) > 1 - cashReserve + 1e-12
      ? ['weights and cashReserve together exceed 1: lower one of them']
      : [];
  },
  timerMs: () => 1_000,
  create: parameters => {
    const read = readWeights(parameters.weights);
    const shares = read.ok ? read.shares : new Map<string, bigint>();
    const backoff = createBackoff();
    let nextLookMonoMs = 0;
    /** Base of each symbol when its last order was asked for. */
    const heldBefore = new Map<string, bigint>();
    let awaited: Awaited | null = null;

    const isShown = (view: StrategyView, { asset, total, side, untilMonoMs }: Awaited): boolean => {
      if (view.now.monoMs >= untilMonoMs) return true;
      const shown = view.balance(asset)?.total ?? 0n;
      return total !== null && (side === 'buy' ? shown >= total : shown <= total);
    };

    /** What an order executed is told at once; the balances that the weights are made of show it later. */
    const awaitBalance = (view: StrategyView, { terms, state }: Order): void => {
      const filled = filledQuantity(state);
      if (filled === 0n) return;
      const { symbol, side } = terms;
      const before = heldBefore.get(symbol);
      awaited = {
        asset: view.instrument(symbol).base,
        total: before === undefined ? null : side === 'buy' ? before + filled : before - filled,
        side,
        untilMonoMs: view.now.monoMs + (before === undefined ? AWAITED_UNKNOWN_MS : AWAITED_MOST_MS),
      };
    };

    const shareOf = (view: StrategyView, symbol: string): bigint => {
      if (shares.size > 0) return shares.get(symbol) ?? 0n;
      return shareFromNumber((1 - parameters.cashReserve) / view.symbols.length);
    };

    /** Everything at the price at which it could be sold; null while something of it is not known. */
    const look = (view: StrategyView): { holdings: Holding[]; cash: Amount; whole: Amount } | null => {
      const quotes = new Set(view.symbols.map(symbol => view.instrument(symbol).quote));
      const [quote] = quotes;
      if (quotes.size !== 1 || quote === undefined) return null;
      const cash = view.balance(quote)?.total;
      if (cash === undefined) return null;
      const priced: { readonly symbol: string; readonly price: Price; readonly value: Amount }[] = [];
      for (const symbol of view.symbols) {
        const instrument = view.instrument(symbol);
        const book = view.book(symbol);
        const bid = book?.trusted === true ? bestBid(book, instrument) : undefined;
        const ask = book?.trusted === true ? bestAsk(book, instrument) : undefined;
        if (bid === undefined || ask === undefined) return null;
        const price = (bid.price + ask.price) / 2n;
        priced.push({
          symbol,
          price,
          value: notional(price, (view.balance(instrument.base)?.total ?? 0n) as bigint),
        });
      }
      const whole = priced.reduce((sum, { value }) => sum + value, cash);
      const holdings = priced.map(one => ({ ...one, target: ratioOf(whole, shareOf(view, one.symbol)) }));
      return { holdings, cash, whole };
    };

    const trade = (
      view: StrategyView,
      { symbol, value, target, price }: Holding,
      spare: Amount,
    ): StrategyIntent[] => {
      if (!backoff.mayAsk(view, symbol)) return [];
      const side = value > target ? 'sell' : 'buy';
      const worth = min(abs(value - target), parameters.maxOrder);
      const at = parameters.cross
        ? acrossTouch(view, symbol, side, parameters.slipBps)
        : besideTouch(view, symbol, side, 0);
      if (at === undefined || (side === 'buy' && spare <= 0n)) return [];
      const wanted = ratio(worth, price, 'down');
      // What a purchase may cost at most, with the fee, comes from what is above the reserve.
      const payable =
        side === 'buy' ? ratio(worthOf(spare, side, at, view.fees(symbol).takerPpm), at, 'down') : wanted;
      return orderFor(view, {
        symbol,
        side,
        price: at,
        quantity: min(wanted, payable),
        tag: `weight-${side}`,
      });
    };

    const onTimer = (view: StrategyView): StrategyIntent[] => {
      const overdue = view.symbols.flatMap(symbol => cancelOverdue(view, symbol, parameters.patienceMs));
      if (view.openOrders().length > 0 || view.now.monoMs < nextLookMonoMs) return overdue;
      if (awaited !== null && !isShown(view, awaited)) return overdue;
      awaited = null;
      const seen = look(view);
      if (seen === null) return overdue;
      const band = basisPoints(seen.whole, parameters.bandBps, 'up');
      const off = seen.holdings.filter(({ value, target }) => abs(value - target) > band);
      const reserve = ratioOf(seen.whole, shareFromNumber(parameters.cashReserve));
      // Sales bring the cash that purchases need, and the furthest off comes first; one order at a time keeps the sums true.
      for (const one of off.sort(byUrgency)) {
        const placed = trade(view, one, seen.cash - reserve);
        // What is too small for the venue, or may not be traded now, keeps nothing else from being traded.
        if (placed.length === 0) continue;
        heldBefore.set(one.symbol, view.balance(view.instrument(one.symbol).base)?.total ?? 0n);
        nextLookMonoMs = view.now.monoMs + parameters.everyMs;
        return [...overdue, ...placed];
      }
      // What is not permitted yet has not been seen to: it does not wait for the next interval.
      if (!off.some(({ symbol }) => mustWait(view, symbol)))
        nextLookMonoMs = view.now.monoMs + parameters.everyMs;
      return overdue;
    };

    const mustWait = (view: StrategyView, symbol: string): boolean =>
      !view.maySubmit(symbol) || roomFor(view, symbol) <= 0 || !backoff.mayAsk(view, symbol);

    return {
      onStart: view => {
        const unknown = [...shares.keys()].filter(symbol => !view.symbols.includes(symbol));
        const quotes = new Set(view.symbols.map(symbol => view.instrument(symbol).quote));
        return [
          ...unknown.map(
            symbol => ({ type: 'note', text: `${symbol} has a weight but is not traded` }) as const,
          ),
          ...(quotes.size > 1
            ? [{ type: 'note', text: 'its symbols have different quotes: nothing is done' } as const]
            : []),
          ...tooSmallNotes(view, parameters.maxOrder),
          ...view.symbols
            .filter(symbol => {
              const share = shareOf(view, symbol);
              return share > 0n && share <= basisPoints(ONE, parameters.bandBps, 'up');
            })
            .map(
              symbol =>
                ({
                  type: 'note',
                  text: `${symbol}: its share of ${formatDecimal(shareOf(view, symbol))} is not larger than the band: none of it is bought to begin with`,
                }) as const,
            ),
        ];
      },
      onTimer,
      onOrder: (view, event) => {
        backoff.heard(view, event);
        // It has traded, or it has not and is to be tried again: either way the weights are looked at anew.
        if (event.type === 'order' && isTerminal(event.order.state)) awaitBalance(view, event.order);
        if (event.type === 'denied' || isTerminal(event.order.state)) nextLookMonoMs = 0;
        return [];
      },
    };
  },
});

/** Sales before purchases, then what is furthest off. */
const byUrgency = (one: Holding, other: Holding): number => {
  const [oneOff, otherOff] = [one.value - one.target, other.value - other.target];
  if (oneOff > 0n !== otherOff > 0n) return oneOff > 0n ? -1 : 1;
  return abs(oneOff) > abs(otherOff) ? -1 : 1;
};

const ratioOf = (whole: Amount, share: bigint): Amount => (whole * share) / ONE;

const shareFromNumber = (share: number): bigint => BigInt(Math.floor(share * 1e12)) * 10n ** 4n;

const readWeights = (text: string): Weights => {
  const shares = new Map<string, bigint>();
  for (const part of text.split(',').map(each => each.trim())) {
    if (part === '') continue;
    const [symbol = '', share = ''] = part.split('=').map(each => each.trim());
    const value = tryParseDecimal(share);
    if (!/^[A-Z0-9]{4,20}$/.test(symbol) || value === undefined || value < 0n || value > ONE)
      return { ok: false, problem: `weights: ${JSON.stringify(part)} is not a symbol and a share of 0 to 1` };
    if (shares.has(symbol)) return { ok: false, problem: `weights: ${symbol} is there twice` };
    shares.set(symbol, value);
  }
  return { ok: true, shares };
};
