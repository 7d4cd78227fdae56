/**
 * The gate at execution's door, asked before every submit. One fixed order of questions ({@link DENIAL_CODES}): the first
 * that applies is the answer, so the same bad intent always gets the same one. Missing input means fewer rights: an
 * unset limit, an unknown profit or a missing rate denies.
 *
 * Orders that make a position smaller are never refused by the limits on position and exposure.
 */
import type { AccountUpdated } from './account-events.js';
import { type BookMemory, receivedAtOfVersion } from './book-memory.js';
import { bestAsk, bestBid } from './book-view.js';
import {
  type ExposedOrder,
  enlarging,
  grossExposure,
  openInterest,
  reservation,
  valuationPrice,
  worstPosition,
  wouldSelfTrade,
} from './exposure.js';
import { maySubmitUnder } from './fence.js';
import type { Instrument } from './instrument.js';
import {
  type Amount,
  abs,
  basisPoints,
  decimalsOf,
  divide,
  formatDecimal,
  max,
  min,
  multiply,
  notional,
  ONE,
  type Price,
  type Quantity,
} from './money.js';
import type { OrderTerms } from './order.js';
import type { Denial, DenialCode, PlaceOrder } from './order-events.js';
import { DRIFT_BPS, driftOf, type PricePoint } from './price-drift.js';
import type { ControlState } from './safety.js';
import type { Now } from './step.js';
import type { VenueBlock } from './venue-block.js';

/** The operator's limits. Null is unset and denies; practice limits are filled in before they come here. */
export interface RiskLimits {
  readonly maxOpenOrders: number;
  readonly maxOpenOrdersPerSymbol: number;
  readonly maxNotionalPerOrderTry: Amount | null;
  readonly maxPositionNotionalTry: Amount | null;
  readonly maxGrossExposureTry: Amount | null;
  readonly maxDailyLossTry: Amount | null;
  readonly maxDrawdownPct: number | null;
  readonly priceCollarBps: number | null;
  /** Absent is {@link DRIFT_BPS}. */
  readonly priceDriftBps?: number;
  readonly maxOrdersPerMinute: number | null;
  readonly maxRepeatedExecutions: number | null;
}

/** Everything the gate looks at. */
export interface RiskInput {
  readonly intent: PlaceOrder;
  readonly now: Now;
  readonly control: ControlState | null;
  /** True once the actor drains: nothing new may leave. */
  readonly stopping: boolean;
  /** Ledger and venue were proven equal since this actor or reconciliation started. */
  readonly recovered: boolean;
  readonly symbols: ReadonlySet<string>;
  readonly instruments: ReadonlyMap<string, Instrument>;
  readonly books: ReadonlyMap<string, BookMemory>;
  readonly maxMarketDataAgeMs: number;
  readonly limits: RiskLimits;
  /** Orders that have not ended, at their worst case. */
  readonly openOrders: readonly ExposedOrder[];
  /** Symbols with an order whose outcome is unknown. */
  readonly unknownSymbols: ReadonlySet<string>;
  /** What the venue has closed, and this intent would go there; null for nothing. */
  readonly venueBlock: VenueBlock | null;
  readonly account: AccountUpdated | null;
  /** Base position per symbol, with every booked fill. */
  readonly positions: ReadonlyMap<string, Quantity>;
  /** What our own orders take from each asset's free balance that the venue's balances do not show yet. */
  readonly reserved: ReadonlyMap<string, Amount>;
  /** What each asset's total is by our own books, with every booked fill. */
  readonly owned: ReadonlyMap<string, Amount>;
  /** What our own orders that have not ended take from each asset at their worst. */
  readonly committed: ReadonlyMap<string, Amount>;
  readonly takerPpm: number;
  /** How many open orders the cancel budget can clear in ten seconds from now; counted no further than one more than are open. */
  readonly cancelable: number;
  /** Where the market of this symbol was when orders were approved within the last minutes. */
  readonly trail: readonly PricePoint[];
  readonly ordersLastMinute: number;
  /** Orders of the same symbol, side, price and quantity within the last minute. */
  readonly repeats: number;
}

/** What the gate found when it let the intent pass: the numbers, for the audit. */
export interface Approval {
  readonly epoch: number;
  readonly validUntilMonoMs: number;
  /** Between the best bid and the best ask. */
  readonly mid: Price;
  readonly facts: Readonly<Record<string, string | number>>;
}

export type Verdict =
  | { readonly approved: true; readonly approval: Approval }
  | { readonly approved: false; readonly denial: Denial };

/** Market orders trade up to this far from the best opposite price (protocol section 6.3). */
const MARKET_SWEEP_BPS = 500;
/** Quote decimals that a market buy may have (protocol section 6.1). */
const MARKET_BUY_DECIMALS = 2;

/** Judges one intent. Pure: the caller counts, journals and tells. */
export const judge = (input: RiskInput): Verdict => {
  const { intent, now, control, limits, account } = input;
  const { terms } = intent;
  const text = formatDecimal;

  // May anything be submitted at all?
  if (control === null) return deny('writes-forbidden', { state: 'none', reason: 'no control state yet' });
  if (input.stopping) return deny('writes-forbidden', { state: control.state, reason: 'stopping' });
  if (!maySubmitUnder(control))
    return deny('writes-forbidden', { state: control.state, reason: control.reasons[0] ?? '' });
  if (!input.recovered || account === null) return deny('not-recovered', { state: control.state });

  // Is it something we trade?
  if (!input.symbols.has(terms.symbol)) return deny('symbol-not-allowed', { symbol: terms.symbol });
  const instrument = input.instruments.get(terms.symbol);
  if (instrument === undefined) return deny('instrument-unknown', { symbol: terms.symbol });
  // The venue's own word for its normal state; any other, known or not, is fewer rights.
  if (instrument.status !== 'TRADING')
    return deny('not-trading', { symbol: terms.symbol, status: instrument.status });
  if (!supports(instrument, terms)) return deny('method-not-supported', { method: terms.method });
  if (!(now.monoMs <= intent.validUntilMonoMs))
    return deny('intent-expired', { lateMs: round(now.monoMs - intent.validUntilMonoMs) });
  if (control.blockedSymbols.includes(terms.symbol))
    return deny('symbol-blocked', { symbol: terms.symbol, by: 'hold' });
  if (input.unknownSymbols.has(terms.symbol))
    return deny('symbol-blocked', { symbol: terms.symbol, by: 'unknown-outcome' });
  if (input.venueBlock !== null)
    return deny('symbol-blocked', {
      symbol: terms.symbol,
      by: 'venue',
      words: input.venueBlock.words,
      againInMs: Math.max(0, round(input.venueBlock.retryAtMonoMs - now.monoMs)),
    });

  // Is there a book to lean on?
  const memory = input.books.get(terms.symbol);
  if (memory === undefined) return deny('book-missing', { symbol: terms.symbol });
  const { book } = memory;
  const bid = bestBid(book, instrument)?.price;
  const ask = bestAsk(book, instrument)?.price;
  if (!book.trusted || bid === undefined || ask === undefined || bid >= ask)
    return deny('book-untrusted', {
      bookVersion: book.version,
      bid: bid === undefined ? 'none' : text(bid),
      ask: ask === undefined ? 'none' : text(ask),
    });
  const bookAgeMs = now.monoMs - book.receivedMonoMs;
  if (!(bookAgeMs <= input.maxMarketDataAgeMs))
    return deny('book-stale', { ageMs: round(bookAgeMs), limitMs: input.maxMarketDataAgeMs });
  const decidedOn = receivedAtOfVersion(memory, intent.bookVersion) ?? Number.NEGATIVE_INFINITY;
  if (!(now.monoMs - decidedOn <= input.maxMarketDataAgeMs))
    return deny('book-stale', {
      decidedOnVersion: intent.bookVersion,
      bookVersion: book.version,
      limitMs: input.maxMarketDataAgeMs,
    });
  const mid = (bid + ask) / 2n;

  // Does it fit the venue's grid and windows?
  const misfit = misfitOf(terms, instrument);
  if (misfit !== null) return deny('precision', misfit);
  // A market buy names quote; its base quantity is the estimate that every limit counts, so it may not be too low.
  if (terms.quoteQuantity !== null && notional(bid, terms.quantity) < terms.quoteQuantity)
    return deny('precision', { field: 'quantity', value: text(terms.quantity), bid: text(bid) });
  const worstPrice = worstPriceOf(terms, bid, ask);
  if (terms.price !== null) {
    const floor = max(instrument.minPrice, instrument.minLimitPrice ?? instrument.minPrice);
    const ceiling = min(instrument.maxPrice, instrument.maxLimitPrice ?? instrument.maxPrice);
    if (terms.price < floor || terms.price > ceiling)
      return deny('price-outside-window', {
        price: text(terms.price),
        least: text(floor),
        greatest: text(ceiling),
      });
  }
  if (limits.priceCollarBps === null) return deny('price-outside-collar', { limitBps: 'unset' });
  if (abs(worstPrice - mid) > basisPoints(mid, limits.priceCollarBps, 'down'))
    return deny('price-outside-collar', {
      price: text(worstPrice),
      mid: text(mid),
      distanceBps: bpsBetween(worstPrice, mid),
      limitBps: limits.priceCollarBps,
    });
  const driftBps = limits.priceDriftBps ?? DRIFT_BPS;
  const drift = driftOf(input.trail, mid, driftBps);
  if (drift !== null)
    return deny('price-drifted', {
      mid: text(mid),
      least: text(drift.least),
      greatest: text(drift.greatest),
      limitBps: driftBps,
    });
  const value = terms.quoteQuantity ?? notional(terms.price ?? bid, terms.quantity);
  if (value < instrument.minNotional)
    return deny('below-min-notional', { notional: text(value), limit: text(instrument.minNotional) });

  // Is it too large, alone?
  if (instrument.maxQuantity !== null && terms.quantity > instrument.maxQuantity)
    return deny('quantity-exceeds-limit', {
      quantity: text(terms.quantity),
      limit: text(instrument.maxQuantity),
    });
  if (limits.maxNotionalPerOrderTry === null)
    return deny('notional-exceeds-limit', { notionalTry: 'any', limitTry: 'unset' });
  const rate = rateOf(account, instrument.quote);
  if (rate === undefined) return deny('conversion-rate-missing', { asset: instrument.quote });
  const valuation = valuationPrice(terms, mid);
  const orderValue = terms.quoteQuantity ?? multiply(valuation, terms.quantity, 'up');
  const notionalTry = multiply(orderValue, rate, 'up');
  if (notionalTry > limits.maxNotionalPerOrderTry)
    return deny('notional-exceeds-limit', {
      notionalTry: text(notionalTry),
      limitTry: text(limits.maxNotionalPerOrderTry),
    });

  // Is it too large, together with everything else?
  const others = exposureOfOthers(input, account, terms.symbol);
  const position = input.positions.get(terms.symbol) ?? 0n;
  const before = openInterest(input.openOrders, terms.symbol);
  const after =
    terms.side === 'buy'
      ? { buys: before.buys + terms.quantity, sells: before.sells }
      : { buys: before.buys, sells: before.sells + terms.quantity };
  const enlarges = enlarging(position, after) > enlarging(position, before);
  if (enlarges && typeof others === 'string') return deny('conversion-rate-missing', { asset: others });
  const positionAfter = worstPosition(position, after, terms.side);
  const positionTry = multiply(multiply(positionAfter, valuation, 'up'), rate, 'up');
  if (enlarges && (limits.maxPositionNotionalTry === null || positionTry > limits.maxPositionNotionalTry))
    return deny('position-exceeds-limit', {
      positionTry: text(positionTry),
      limitTry: limitText(limits.maxPositionNotionalTry),
      position: text(position),
      openBuys: text(before.buys),
      openSells: text(before.sells),
    });
  const ownTry = multiply(
    grossExposure(position, after, highestPrice(input, terms.symbol, valuation)),
    rate,
    'up',
  );
  const exposureTry = (typeof others === 'string' ? 0n : others) + ownTry;
  if (enlarges && (limits.maxGrossExposureTry === null || exposureTry > limits.maxGrossExposureTry))
    return deny('exposure-exceeds-limit', {
      exposureTry: text(exposureTry),
      limitTry: limitText(limits.maxGrossExposureTry),
    });

  // Are there too many, or too many of the same?
  const open = input.openOrders.length;
  const mostOpen = Math.min(limits.maxOpenOrders, input.cancelable);
  if (open + 1 > mostOpen)
    return deny('open-orders-exceed-limit', {
      open,
      limit: limits.maxOpenOrders,
      cancelable: input.cancelable,
    });
  let openOnSymbol = 0;
  for (const order of input.openOrders) if (order.terms.symbol === terms.symbol) openOnSymbol += 1;
  if (openOnSymbol + 1 > limits.maxOpenOrdersPerSymbol)
    return deny('open-orders-per-symbol-exceed-limit', {
      open: openOnSymbol,
      limit: limits.maxOpenOrdersPerSymbol,
    });
  if (limits.maxOrdersPerMinute === null || input.ordersLastMinute + 1 > limits.maxOrdersPerMinute)
    return deny('orders-per-minute-exceed-limit', {
      lastMinute: input.ordersLastMinute,
      limit: limits.maxOrdersPerMinute ?? 'unset',
    });
  if (limits.maxRepeatedExecutions === null || input.repeats + 1 > limits.maxRepeatedExecutions)
    return deny('repeated-execution', {
      repeats: input.repeats,
      limit: limits.maxRepeatedExecutions ?? 'unset',
    });

  // Have we lost too much, or would we trade with ourselves, or without the money?
  const loss = lossBeyondLimit(account, limits);
  if (loss !== null) return deny('loss-limit', loss);
  for (const order of input.openOrders)
    if (wouldSelfTrade(terms, order.terms))
      return deny('self-trade', {
        price: terms.price === null ? 'market' : text(terms.price),
        against: order.terms.price === null ? 'market' : text(order.terms.price),
      });
  const asset = terms.side === 'buy' ? instrument.quote : instrument.base;
  const needed = reservation(terms, terms.quantity, input.takerPpm).amount;
  const balance = account.balances.find(entry => entry.asset === asset);
  const free = balance?.free ?? 0n;
  const reserved = input.reserved.get(asset) ?? 0n;
  const owned = input.owned.get(asset) ?? 0n;
  const committed = input.committed.get(asset) ?? 0n;
  // The venue's balances can lag by seconds under load (protocol section 5.1); what our own books leave never does.
  const available = min(free - reserved, owned - committed);
  if (needed > available)
    return deny('insufficient-balance', {
      asset,
      needed: text(needed),
      free: text(free),
      reserved: text(reserved),
      owned: text(owned),
      committed: text(committed),
    });

  return {
    approved: true,
    approval: {
      epoch: control.epoch,
      // A decision must not outlive the book it leans on.
      validUntilMonoMs: Math.min(intent.validUntilMonoMs, book.receivedMonoMs + input.maxMarketDataAgeMs),
      mid,
      facts: {
        bookVersion: book.version,
        decidedOnVersion: intent.bookVersion,
        bookAgeMs: round(bookAgeMs),
        bid: text(bid),
        ask: text(ask),
        distanceBps: bpsBetween(worstPrice, mid),
        limitBps: limits.priceCollarBps,
        notionalTry: text(notionalTry),
        positionTry: text(positionTry),
        exposureTry: text(exposureTry),
        open,
        cancelable: input.cancelable,
        ordersLastMinute: input.ordersLastMinute,
        repeats: input.repeats,
        needed: text(needed),
        available: text(available),
      },
    },
  };
};

/** The daily loss or drawdown that is beyond its limit, or not known; null when both are within. */
export const lossBeyondLimit = (
  account: AccountUpdated,
  limits: Pick<RiskLimits, 'maxDailyLossTry' | 'maxDrawdownPct'>,
): Readonly<Record<string, string | number>> | null => {
  const { dayProfitTry, drawdownPct } = account;
  if (limits.maxDailyLossTry === null || dayProfitTry === null || -dayProfitTry >= limits.maxDailyLossTry)
    return {
      dayProfitTry: dayProfitTry === null ? 'unknown' : formatDecimal(dayProfitTry),
      limitTry: limitText(limits.maxDailyLossTry),
    };
  if (limits.maxDrawdownPct === null || drawdownPct === null || !(drawdownPct < limits.maxDrawdownPct))
    return { drawdownPct: drawdownPct ?? 'unknown', limitPct: limits.maxDrawdownPct ?? 'unset' };
  return null;
};

/** Lira for one unit of a quote asset; undefined without a fresh rate. */
export const rateOf = (account: AccountUpdated, asset: string): Amount | undefined =>
  asset === 'TRY' ? ONE : account.tryRates.get(asset);

const deny = (code: DenialCode, context: Denial['context']): Verdict => ({
  approved: false,
  denial: { code, context },
});

const round = (milliseconds: number): number => Math.round(milliseconds * 10) / 10;
const limitText = (limit: Amount | null): string => (limit === null ? 'unset' : formatDecimal(limit));

const bpsBetween = (price: Price, mid: Price): number =>
  Number(divide((price - mid) * 1_000_000n, mid, 'half-up')) / 100;

/**
 * Stop orders are refused although the venue offers them: when triggered they become a second venue order under the
 * same label (protocol section 6.4), which the rule of one order per intent must not allow.
 */
const supports = (instrument: Instrument, terms: OrderTerms): boolean =>
  (terms.method === 'limit' || terms.method === 'market') && instrument.methods.includes(terms.method);

const misfitOf = (
  terms: OrderTerms,
  instrument: Instrument,
): Readonly<Record<string, string | number>> | null => {
  if (terms.stopPrice !== null) return { field: 'stopPrice', value: formatDecimal(terms.stopPrice) };
  if (terms.method === 'limit') {
    if (terms.price === null || terms.price <= 0n)
      return { field: 'price', value: terms.price === null ? 'none' : formatDecimal(terms.price) };
    if (decimalsOf(terms.price) > instrument.priceScale)
      return { field: 'price', value: formatDecimal(terms.price), decimals: instrument.priceScale };
  } else if (terms.price !== null) return { field: 'price', value: formatDecimal(terms.price) };
  if (terms.quantity <= 0n) return { field: 'quantity', value: formatDecimal(terms.quantity) };
  if (terms.method === 'market' && terms.side === 'buy') {
    const decimals = Math.min(MARKET_BUY_DECIMALS, instrument.priceScale);
    if (terms.quoteQuantity === null || terms.quoteQuantity <= 0n)
      return { field: 'quoteQuantity', value: 'none' };
    if (decimalsOf(terms.quoteQuantity) > decimals)
      return { field: 'quoteQuantity', value: formatDecimal(terms.quoteQuantity), decimals };
    return null;
  }
  if (terms.quoteQuantity !== null)
    return { field: 'quoteQuantity', value: formatDecimal(terms.quoteQuantity) };
  if (decimalsOf(terms.quantity) > instrument.quantityScale)
    return { field: 'quantity', value: formatDecimal(terms.quantity), decimals: instrument.quantityScale };
  return null;
};

/** The limit price; for a market order the farthest price the venue lets it reach. */
const worstPriceOf = (terms: OrderTerms, bid: Price, ask: Price): Price => {
  if (terms.price !== null) return terms.price;
  return terms.side === 'buy'
    ? ask + basisPoints(ask, MARKET_SWEEP_BPS, 'up')
    : bid - basisPoints(bid, MARKET_SWEEP_BPS, 'up');
};

/** The highest of the valuation price and the open orders' own prices of a symbol. */
const highestPrice = (input: RiskInput, symbol: string, valuation: Price): Price => {
  let highest = valuation;
  for (const { terms } of input.openOrders)
    if (terms.symbol === symbol) highest = max(highest, terms.price ?? 0n);
  return highest;
};

/** Gross exposure in TRY of every symbol but one, or the name of the asset whose rate is missing. */
const exposureOfOthers = (input: RiskInput, account: AccountUpdated, except: string): Amount | string => {
  const symbols = new Set<string>();
  for (const [symbol, quantity] of input.positions) if (quantity !== 0n) symbols.add(symbol);
  for (const { terms } of input.openOrders) symbols.add(terms.symbol);
  symbols.delete(except);
  let total = 0n;
  for (const symbol of symbols) {
    const instrument = input.instruments.get(symbol);
    if (instrument === undefined) return symbol;
    const rate = rateOf(account, instrument.quote);
    if (rate === undefined) return instrument.quote;
    const position = input.positions.get(symbol) ?? 0n;
    const price = highestPrice(input, symbol, lastPrice(input, account, instrument));
    // What nothing prices cannot be counted.
    if (price === 0n) return symbol;
    total += multiply(grossExposure(position, openInterest(input.openOrders, symbol), price), rate, 'up');
  }
  return total;
};

const lastPrice = ({ books }: RiskInput, account: AccountUpdated, instrument: Instrument): Price => {
  const { symbol } = instrument;
  const book = books.get(symbol)?.book;
  const touch = book && (bestAsk(book, instrument) ?? bestBid(book, instrument));
  return touch?.price ?? account.positions.find(view => view.symbol === symbol)?.averagePrice ?? 0n;
};
