/**
 * The paper twin: beside a run, the orders it really sent are made on the paper model too, at the times at which they left,
 * and what came of them is compared. It looks on: it says nothing to those who trade, and what it cannot compare honestly
 * it leaves out and counts.
 *
 * - A twin reaches the paper book when the venue's answer to its live order is here (while there is none, after the round
 *   trip that was measured last) and the venue's own queue is passed; so does a cancel.
 * - An order is compared a while after its live side ended, when late fills are in. What is still open on paper then has
 *   missed: the strategy would have gone on without it.
 * - An order that lived through a gap in what was heard of market or orders is left out.
 */
import { type Instrument, tickSize } from '../domain/instrument.js';
import type { MarketEvent } from '../domain/market-events.js';
import { divide, formatDecimal, type Price, ratio, toNumber } from '../domain/money.js';
import type { OrderUpdated } from '../domain/order-events.js';
import type { ActorName, LogEffect, MetricEffect, Now, Stepped } from '../domain/step.js';
import { FEE_LEVELS, ratesOf } from '../exchange/fees.js';
import { compare, gapsOf, noFigures, type Outcome, type TwinFigures, type TwinGaps } from './twin-figures.js';
import {
  beginTwin,
  doDue,
  exclusionOf,
  paperOutcome,
  seeAnswer,
  seeBook,
  seeOrder,
  seeTrade,
  type TwinOrder,
} from './twin-order.js';

export type TwinInput =
  | { readonly type: 'message'; readonly from: 'market-data'; readonly message: MarketEvent }
  | { readonly type: 'message'; readonly from: 'execution'; readonly message: OrderUpdated }
  /** What a peer said last may not have arrived. */
  | { readonly type: 'peer-lost'; readonly peer: ActorName }
  | { readonly type: 'tick' };

export type TwinEffect =
  | LogEffect
  | MetricEffect
  | { readonly type: 'status'; readonly facts: Readonly<Record<string, unknown>> };

export interface TwinState {
  readonly instruments: Map<string, Instrument>;
  /** The newest whole picture of each market that is live now. */
  readonly books: Map<string, Float64Array>;
  /** By client order id. */
  readonly twins: Map<string, TwinOrder>;
  readonly figures: Map<string, TwinFigures>;
  /** Orders left out, by reason. */
  readonly leftOut: Map<string, number>;
  /** From an order's first byte to the venue's answer, as measured last. */
  roundTripMs: number;
  /** What the account's fills show its level to be. */
  feeLevel: number;
  reportedMonoMs: number;
}

/** Of the first order, before an answer was timed. */
const FIRST_ROUND_TRIP_MS = 50;
/** After the live side's end, for fills that are told late. */
const SETTLE_AFTER_MS = 3_000;
/** Twins at once; each is a market of its own. */
const TWINS_MAX = 64;
const REPORT_EVERY_MS = 1_000;
/** Symbols with metrics of their own. */
const REPORTED_SYMBOLS_MAX = 10;

export const initialTwin = (): TwinState => ({
  instruments: new Map(),
  books: new Map(),
  twins: new Map(),
  figures: new Map(),
  leftOut: new Map(),
  roundTripMs: FIRST_ROUND_TRIP_MS,
  feeLevel: 1,
  reportedMonoMs: Number.NEGATIVE_INFINITY,
});

export const stepTwin = (state: TwinState, input: TwinInput, now: Now): Stepped<TwinState, TwinEffect> => {
  const effects: TwinEffect[] = [];
  switch (input.type) {
    case 'message':
      if (input.from === 'market-data') onMarket(state, input.message, now);
      else onOrder(state, input.message, now);
      break;
    case 'peer-lost':
      onLost(state, input.peer);
      break;
    case 'tick':
      onTick(state, effects, now);
      break;
  }
  return { state, effects };
};

const onMarket = (state: TwinState, event: MarketEvent, { monoMs }: Now): void => {
  switch (event.type) {
    case 'instruments-listed':
      for (const instrument of event.instruments) state.instruments.set(instrument.symbol, instrument);
      return;
    case 'feed-status-changed':
      if (event.state !== 'live') loseMarket(state, event.symbol);
      return;
    case 'book-updated': {
      const { symbol, levels } = event.book;
      const before = state.books.get(symbol);
      for (const twin of twinsOn(state, symbol)) {
        doDue(twin, before, monoMs);
        seeBook(twin, levels, monoMs);
      }
      state.books.set(symbol, levels);
      return;
    }
    case 'public-trade': {
      const levels = state.books.get(event.symbol);
      if (levels !== undefined)
        for (const twin of twinsOn(state, event.symbol)) seeTrade(twin, event, levels);
      return;
    }
    default:
  }
};

const onOrder = (state: TwinState, { order, fill }: OrderUpdated, { monoMs }: Now): void => {
  const { clientOrderId, terms } = order;
  const known = state.twins.get(clientOrderId);
  if (known === undefined) {
    if (order.state.status !== 'in-flight') return;
    const instrument = state.instruments.get(terms.symbol);
    const levels = state.books.get(terms.symbol);
    if (terms.method !== 'limit' || terms.price === null) leaveOut(state, 'no-limit-order');
    else if (instrument === undefined || levels === undefined) leaveOut(state, 'no-market');
    else if (state.twins.size >= TWINS_MAX) leaveOut(state, 'too-many');
    else
      state.twins.set(
        clientOrderId,
        beginTwin(order, terms.price, instrument, levels, state.roundTripMs, monoMs),
      );
    return;
  }
  const { status } = order.state;
  if (known.answeredMonoMs === null && status !== 'in-flight' && status !== 'unknown') {
    if (known.order.state.status === 'in-flight') state.roundTripMs = monoMs - known.sentMonoMs;
    seeAnswer(known, monoMs);
  }
  seeOrder(known, order, fill, state.roundTripMs, monoMs);
  doDue(known, state.books.get(terms.symbol), monoMs);
};

const onLost = (state: TwinState, peer: ActorName): void => {
  if (peer === 'market-data') for (const symbol of [...state.books.keys()]) loseMarket(state, symbol);
  if (peer !== 'execution') return;
  for (const _twin of state.twins.values()) leaveOut(state, 'orders-gap');
  state.twins.clear();
};

const loseMarket = (state: TwinState, symbol: string): void => {
  state.books.delete(symbol);
  for (const twin of twinsOn(state, symbol)) twin.excluded ??= 'market-gap';
};

const onTick = (state: TwinState, effects: TwinEffect[], { monoMs }: Now): void => {
  for (const [clientOrderId, twin] of state.twins) {
    doDue(twin, state.books.get(twin.instrument.symbol), monoMs);
    if (twin.liveEndedMonoMs === null || monoMs - twin.liveEndedMonoMs < SETTLE_AFTER_MS) continue;
    state.twins.delete(clientOrderId);
    settle(state, effects, twin);
  }
  if (monoMs - state.reportedMonoMs < REPORT_EVERY_MS) return;
  state.reportedMonoMs = monoMs;
  report(state, effects);
};

const settle = (state: TwinState, effects: TwinEffect[], twin: TwinOrder): void => {
  const reason = exclusionOf(twin);
  if (reason !== null) {
    leaveOut(state, reason);
    return;
  }
  learnFeeLevel(state, twin);
  const { instrument, side, price, quantity, live } = twin;
  const paper = paperOutcome(twin, state.feeLevel);
  const figures = state.figures.get(instrument.symbol) ?? noFigures();
  state.figures.set(instrument.symbol, figures);
  compare(figures, { side, price, quantity, live, paper });
  const mean = ({ value, quantity: filled }: Outcome): string | null =>
    filled === 0n ? null : formatDecimal(ratio(value, filled, 'half-up'));
  effects.push({
    type: 'log',
    level: 'debug',
    event: 'twin-compared',
    fields: {
      clientOrderId: twin.order.clientOrderId,
      symbol: instrument.symbol,
      side,
      quantity: formatDecimal(quantity),
      filledLive: formatDecimal(live.quantity),
      filledPaper: formatDecimal(paper.quantity),
      priceLive: mean(live),
      pricePaper: mean(paper),
      costsLive: formatDecimal(live.costs),
      costsPaper: formatDecimal(paper.costs),
    },
  });
};

/** No request tells an account's fee level, but its fills do: where the twin says of what kind they were. */
const learnFeeLevel = (state: TwinState, { live, paperFills, instrument }: TwinOrder): void => {
  const kinds = new Set(paperFills.map(({ liquidity }) => liquidity));
  if (live.value === 0n || kinds.size !== 1) return;
  const paid = Number(divide(live.costs * 1_000_000n, live.value, 'half-up'));
  for (let level = 1; level <= FEE_LEVELS; level++) {
    const { makerPpm, takerPpm } = ratesOf(level, instrument.quote);
    if (paid === (kinds.has('maker') ? makerPpm : takerPpm)) state.feeLevel = level;
  }
};

const leaveOut = (state: TwinState, reason: string): void => {
  state.leftOut.set(reason, (state.leftOut.get(reason) ?? 0) + 1);
};

function* twinsOn(state: TwinState, symbol: string): Generator<TwinOrder> {
  for (const twin of state.twins.values()) if (twin.instrument.symbol === symbol) yield twin;
}

const middleOf = (state: TwinState, symbol: string): Price | null => {
  const levels = state.books.get(symbol);
  const instrument = state.instruments.get(symbol);
  const bids = levels?.[0] ?? 0;
  if (levels === undefined || instrument === undefined || bids === 0 || (levels[1] ?? 0) === 0) return null;
  return (BigInt((levels[2] ?? 0) + (levels[2 + 2 * bids] ?? 0)) * tickSize(instrument)) / 2n;
};

const report = (state: TwinState, effects: TwinEffect[]): void => {
  const symbols = [...state.figures].map(([symbol, figures]) => ({
    symbol,
    figures,
    gaps: gapsOf(figures, middleOf(state, symbol)),
  }));
  for (const { symbol, figures, gaps } of symbols.slice(0, REPORTED_SYMBOLS_MAX))
    gauges(effects, symbol, figures, gaps);
  effects.push({
    type: 'status',
    facts: {
      openOrders: state.twins.size,
      leftOut: Object.fromEntries(state.leftOut),
      roundTripMs: Math.round(state.roundTripMs * 10) / 10,
      feeLevel: state.feeLevel,
      symbols: symbols.map(({ symbol, figures, gaps }) => ({
        symbol,
        quote: state.instruments.get(symbol)?.quote ?? null,
        orders: figures.orders,
        ...gaps,
        profitLive: text(gaps.profitLive),
        profitPaper: text(gaps.profitPaper),
        profitGap: text(gaps.profitGap),
      })),
    },
  });
};

const text = (amount: bigint | null): string | null => (amount === null ? null : formatDecimal(amount));

const gauges = (effects: TwinEffect[], symbol: string, { orders }: TwinFigures, gaps: TwinGaps): void => {
  const gauge = (name: string, value: number | null, labels: Readonly<Record<string, string>> = {}): void => {
    if (value !== null)
      effects.push({ type: 'metric', kind: 'gauge', name, value, labels: { symbol, ...labels } });
  };
  gauge('btcbot_twin_orders', orders);
  gauge('btcbot_twin_fill_rate', gaps.fillRateLive, { run: 'live' });
  gauge('btcbot_twin_fill_rate', gaps.fillRatePaper, { run: 'paper' });
  gauge('btcbot_twin_fill_rate_gap', gaps.fillRateGap);
  gauge('btcbot_twin_price_gap_bps', gaps.priceGapBps);
  gauge('btcbot_twin_profit_gap', gaps.profitGap === null ? null : toNumber(gaps.profitGap));
};
