/**
 * One order of a live run and its twin on paper. The twin stands alone in a market of its own, under the backtest's queue
 * model (fast-market.ts), which is shown what the venue shows, less the live order itself: it would stand in its own way.
 */
import { type Instrument, lotSize, type Side, toTicks } from '../domain/instrument.js';
import { notional, type Price, type Quantity } from '../domain/money.js';
import { type Fill, filledQuantity, isTerminal, type Order } from '../domain/order.js';
import { commissionOf, ratesOf } from '../exchange/fees.js';
import { DEFAULT_LATENCY } from '../exchange/venue-state.js';
import { FastMarket, type FastOrder, type Liquidity } from './fast-market.js';
import { type MarketTape, TAPE_KINDS } from './tape.js';
import { nothing, type Outcome } from './twin-figures.js';

export interface TwinOrder {
  readonly instrument: Instrument;
  readonly side: Side;
  readonly price: Price;
  readonly ticks: number;
  readonly quantity: Quantity;
  readonly sentMonoMs: number;
  order: Order;
  /** `sent`: on its way to the paper book. `done`: nothing of it rests there any more. */
  phase: 'sent' | 'resting' | 'done';
  answeredMonoMs: number | null;
  /** When it reaches the paper book. */
  enterDueMonoMs: number;
  /** When a cancel that was sent takes effect on paper; infinite for none. */
  cancelDueMonoMs: number;
  liveEndedMonoMs: number | null;
  /** Why the two are not compared; null when they are. */
  excluded: string | null;
  /** Whether the book that is shown has the live order in it, and the lots shown at its price last. */
  shown: boolean;
  shownLots: number;
  readonly live: Outcome;
  readonly tradeIds: Set<string>;
  readonly paperFills: {
    readonly price: Price;
    readonly quantity: Quantity;
    readonly liquidity: Liquidity;
  }[];
  market: FastMarket<null> | null;
  resting: FastOrder<null> | null;
}

/** A live order that stays out of sight for longer is taken to be in the level it stands at. */
const SHOWN_WITHIN_MS = 2_000;

/**
 * A limit order whose first byte has just left.
 * @param levels the book as it is shown now
 * @param roundTripMs how long the venue's answers take
 */
export const beginTwin = (
  order: Order,
  price: Price,
  instrument: Instrument,
  levels: Float64Array,
  roundTripMs: number,
  monoMs: number,
): TwinOrder => {
  const { side, quantity } = order.terms;
  const ticks = Number(toTicks(price, instrument));
  return {
    instrument,
    side,
    price,
    ticks,
    quantity,
    sentMonoMs: monoMs,
    order,
    phase: 'sent',
    answeredMonoMs: null,
    enterDueMonoMs: monoMs + roundTripMs + DEFAULT_LATENCY.submitMs,
    cancelDueMonoMs: Number.POSITIVE_INFINITY,
    liveEndedMonoMs: null,
    excluded: null,
    shown: false,
    shownLots: lotsIn(levels, side, ticks),
    live: nothing(),
    tradeIds: new Set(),
    paperFills: [],
    market: null,
    resting: null,
  };
};

/** The twin reaches the book: it takes what it crosses, and joins the queue with the rest. */
const enter = (twin: TwinOrder, levels: Float64Array): void => {
  if (twin.phase !== 'sent') return;
  const market = new FastMarket<null>(twin.instrument, 'queue', (_order, price, quantity, liquidity) => {
    twin.paperFills.push({ price, quantity, liquidity });
  });
  const order = {
    side: twin.side,
    price: twin.price,
    ticks: twin.ticks,
    remaining: twin.quantity,
    ref: null,
  };
  market.event(snapshotOf(twin, levels), 0);
  market.enter(order);
  twin.market = market;
  twin.resting = order;
  twin.phase = 'resting';
  endIfFilled(twin);
};

/** What is left of the twin leaves the book. */
const withdraw = (twin: TwinOrder): void => {
  if (twin.resting !== null) twin.market?.withdraw(twin.resting);
  end(twin);
};

/** A new picture of the book. */
export const seeBook = (twin: TwinOrder, levels: Float64Array, monoMs: number): void => {
  const lots = lotsIn(levels, twin.side, twin.ticks);
  const own = liveLots(twin);
  const awaited = twin.answeredMonoMs !== null && monoMs - twin.answeredMonoMs >= SHOWN_WITHIN_MS;
  if (own === 0) twin.shown = false;
  else if (lots - twin.shownLots >= own || (awaited && lots >= own)) twin.shown = true;
  twin.shownLots = lots;
  if (twin.phase !== 'resting') return;
  twin.market?.event(snapshotOf(twin, levels), 0);
  endIfFilled(twin);
};

/** Somebody's trade. @param levels the book as it was shown before */
export const seeTrade = (
  twin: TwinOrder,
  trade: { readonly side: Side; readonly price: Price; readonly quantity: Quantity },
  levels: Float64Array,
): void => {
  const ticks = Number(toTicks(trade.price, twin.instrument));
  // It may be the live order that took: the twin must meet the book from before that.
  if (trade.side === twin.side && (twin.side === 'buy' ? ticks <= twin.ticks : ticks >= twin.ticks))
    enter(twin, levels);
  if (twin.phase !== 'resting') return;
  const lots = Number(trade.quantity / lotSize(twin.instrument));
  const kind = trade.side === 'buy' ? TAPE_KINDS['buy-trade'] : TAPE_KINDS['sell-trade'];
  twin.market?.event(eventOf(kind, Float64Array.of(ticks, lots), 0), 0);
  endIfFilled(twin);
};

/** The venue's answer to the live order is here. */
export const seeAnswer = (twin: TwinOrder, monoMs: number): void => {
  twin.answeredMonoMs = monoMs;
  twin.enterDueMonoMs = monoMs + DEFAULT_LATENCY.submitMs;
};

/** Does what is due. @param levels the book as it is shown now; undefined when nobody knows it */
export const doDue = (twin: TwinOrder, levels: Float64Array | undefined, monoMs: number): void => {
  if (twin.phase === 'sent' && monoMs >= twin.enterDueMonoMs) {
    if (levels === undefined) twin.excluded ??= 'market-gap';
    else enter(twin, levels);
  }
  if (twin.phase === 'resting' && monoMs >= twin.cancelDueMonoMs) withdraw(twin);
};

/** How the live order stands now. */
export const seeOrder = (
  twin: TwinOrder,
  order: Order,
  fill: Fill | null,
  roundTripMs: number,
  monoMs: number,
): void => {
  const { state } = order;
  twin.order = order;
  if (fill !== null) bookLive(twin, fill);
  if (state.status === 'cancel-in-flight' && twin.cancelDueMonoMs === Number.POSITIVE_INFINITY)
    twin.cancelDueMonoMs = monoMs + roundTripMs + DEFAULT_LATENCY.cancelMs;
  if (!isTerminal(state) || twin.liveEndedMonoMs !== null) return;
  twin.liveEndedMonoMs = monoMs;
  if (state.status !== 'filled') twin.cancelDueMonoMs = Math.min(twin.cancelDueMonoMs, monoMs);
};

/** What the twin came to, at an account's fee level. */
export const paperOutcome = (twin: TwinOrder, feeLevel: number): Outcome => {
  const { makerPpm, takerPpm } = ratesOf(feeLevel, twin.instrument.quote);
  const outcome = nothing();
  for (const { price, quantity, liquidity } of twin.paperFills) {
    const value = notional(price, quantity);
    outcome.quantity += quantity;
    outcome.value += value;
    outcome.costs += commissionOf(value, liquidity === 'maker' ? makerPpm : takerPpm);
  }
  return outcome;
};

/** Why a live order that has ended cannot be compared; null when it can. */
export const exclusionOf = (twin: TwinOrder): string | null => {
  const { state } = twin.order;
  if (state.status === 'denied' || state.status === 'rejected') return state.status;
  return twin.excluded ?? (twin.live.quantity === filledQuantity(state) ? null : 'fills-missing');
};

const bookLive = (twin: TwinOrder, fill: Fill): void => {
  if (twin.tradeIds.has(fill.tradeId)) return;
  twin.tradeIds.add(fill.tradeId);
  if (fill.feeAsset !== twin.instrument.quote) twin.excluded ??= 'fee-in-another-asset';
  twin.live.quantity += fill.quantity;
  twin.live.value += notional(fill.price, fill.quantity);
  twin.live.costs += fill.fee + fill.tax;
};

const end = (twin: TwinOrder): void => {
  twin.phase = 'done';
  twin.market = null;
  twin.resting = null;
};

const endIfFilled = (twin: TwinOrder): void => {
  if (twin.resting?.remaining === 0n) end(twin);
};

/** What is left of the live order, in whole lots; 0 once it has ended. */
const liveLots = (twin: TwinOrder): number =>
  twin.liveEndedMonoMs === null ? Number((twin.quantity - twin.live.quantity) / lotSize(twin.instrument)) : 0;

/** Where a price stands in the pairs of a book's levels; -1 where it does not. */
const pairAt = (levels: Float64Array, side: Side, ticks: number): number => {
  const bids = 2 * (levels[0] ?? 0);
  const from = side === 'buy' ? 2 : 2 + bids;
  const to = side === 'buy' ? 2 + bids : levels.length;
  for (let at = from; at < to; at += 2) if (levels[at] === ticks) return at;
  return -1;
};

const lotsIn = (levels: Float64Array, side: Side, ticks: number): number => {
  const at = pairAt(levels, side, ticks);
  return at === -1 ? 0 : (levels[at + 1] ?? 0);
};

/** The whole book as one event, without the live order. */
const snapshotOf = (twin: TwinOrder, levels: Float64Array): MarketTape => {
  const split = 2 * (levels[0] ?? 0);
  const at = twin.shown ? pairAt(levels, twin.side, twin.ticks) : -1;
  if (at === -1) return eventOf(TAPE_KINDS.snapshot, levels.subarray(2), split);
  const left = (levels[at + 1] ?? 0) - liveLots(twin);
  if (left > 0) {
    const reduced = levels.slice(2);
    reduced[at - 1] = left;
    return eventOf(TAPE_KINDS.snapshot, reduced, split);
  }
  const others = new Float64Array(levels.length - 4);
  others.set(levels.subarray(2, at));
  others.set(levels.subarray(at + 2), at - 2);
  return eventOf(TAPE_KINDS.snapshot, others, twin.side === 'buy' ? split - 2 : split);
};

const eventOf = (kind: number, numbers: Float64Array, split: number): MarketTape => ({
  listings: [],
  length: 1,
  atMs: new Float64Array(1),
  kinds: Uint8Array.of(kind),
  symbols: new Uint8Array(1),
  offsets: Uint32Array.of(0, numbers.length),
  splits: Uint32Array.of(split),
  numbers,
  tradeIds: Float64Array.of(Number.NaN),
});
