/**
 * A backtest over candles. A candle says how far the price went, not in which order, so the run is cautious:
 * - an order placed on a candle's close stands from the next candle on, and trades at its own price or, when it crosses
 *   what is shown, at that price as a taker; what is shown is the last close with a spread around it. Where the next
 *   candle begins at a worse price, that one with its spread is the taker's, and an order that it does not reach waits;
 * - `touch`: a resting order fills when the price reached it; `queue`: when the price went beyond it, up to a share of the
 *   candle's volume; `through`: as `queue`, and where orders of both sides would have filled within one candle only the
 *   side that the close went against does (the buys when it fell, the sells when it rose);
 * - nothing fills on the candle in which it was placed, on one without a trade, nor after the last one.
 */
import { CANDLE_LENGTHS_MS, type Candle, type CandleInterval } from '../domain/candles.js';
import { lotSize, type Side, tickSize } from '../domain/instrument.js';
import { min, type Price, type Quantity } from '../domain/money.js';
import { needsOf } from '../domain/strategy-definition.js';
import { ratesOf } from '../exchange/fees.js';
import { CandleError, type CandleTape } from './candles.js';
import { Desk, type DeskVenue } from './desk.js';
import type { RunOptions } from './fast-run.js';
import { DEFAULT_RUN_LATENCY } from './latency.js';
import { type ResultFill, type RunResult, runStrategyOf } from './run-result.js';
import { instrumentOf } from './tape.js';
import { createVenueAccount, type VenueOrder } from './venue-account.js';

export interface CandleRunOptions extends RunOptions {
  readonly candles: CandleTape;
  /** Half of what is shown between bid and ask, basis points of the price; at least one tick in all. */
  readonly halfSpreadBps?: number;
  /** The most that our orders of one side take of a candle's volume, of one. */
  readonly volumeShare?: number;
}

const DEFAULT_HALF_SPREAD_BPS = 1;
const DEFAULT_VOLUME_SHARE = 0.1;
const INSTANCE = 'backtest';
/** Shown on each side: more than anybody's order. */
const SHOWN_LOTS = 2 ** 50;

/** Runs strategies over candles. @throws CandleError when they are too long; StrategyNotMade when the only one cannot be */
export const runCandles = (options: CandleRunOptions): RunResult => {
  const { candles, feeLevel, fillModel } = options;
  const instrument = instrumentOf(candles.listing);
  const { symbol } = instrument;
  const tick = tickSize(instrument);
  const lot = lotSize(instrument);
  const lengthMs = CANDLE_LENGTHS_MS[candles.interval];
  const latency = DEFAULT_RUN_LATENCY;
  const account = createVenueAccount(options.opening, [instrument], feeLevel);
  const resting = new Set<VenueOrder>();
  const fills: ResultFill[] = [];
  const firstAtMs = candles.openAtMs[0] ?? 0;
  const halfSpread = (options.halfSpreadBps ?? DEFAULT_HALF_SPREAD_BPS) / 10_000;
  const share = BigInt(Math.round((options.volumeShare ?? DEFAULT_VOLUME_SHARE) * 1_000_000));
  let bidTicks = 0;
  let askTicks = 0;
  let lastTicks = candles.open[0] ?? 0;
  let version = 0;
  let shownMs = Number.NEGATIVE_INFINITY;
  /** Index of the candle under way: an order that enters now may fill from here on. */
  let current = 0;
  const enteredAt = new Map<VenueOrder, number>();

  const trade = (order: VenueOrder, price: Price, quantity: Quantity, liquidity: 'maker' | 'taker'): void => {
    const fill = account.fill(order, price, quantity, liquidity, desk.now.wallMs);
    fills.push({ fill, liquidity });
    if (order.remaining === 0n) {
      resting.delete(order);
      enteredAt.delete(order);
    }
    desk.later(latency.fillRowMs + latency.fromVenueMs, () => desk.book(fill));
  };
  const enter = (order: VenueOrder): void => {
    if (order.status !== 'accepted') return;
    order.status = 'working';
    const opensAt = candles.open[current] ?? candles.nextOpen;
    const opening = quotesAt(opensAt ?? lastTicks);
    const isBuy = order.terms.side === 'buy';
    const touch = isBuy ? Math.max(askTicks, opening.ask) : Math.min(bidTicks, opening.bid);
    const price = BigInt(touch) * tick;
    if (opensAt !== null && (isBuy ? order.price >= price : order.price <= price))
      trade(order, price, order.remaining, 'taker');
    else {
      resting.add(order);
      enteredAt.set(order, current);
    }
  };
  const venue: DeskVenue = {
    submit: write => {
      const { order, outcome } = account.accept(write.clientOrderId, write.terms, desk.now.wallMs);
      if (order !== null) desk.later(latency.enterMs, () => enter(order));
      return outcome;
    },
    cancel: write => {
      const order = account.byVenueId(write.venueOrderId);
      if (order === undefined || order.status === 'closed')
        return { type: 'rejected', reason: 'ORDER_COULD_NOT_BE_CANCELED', code: '' };
      desk.later(latency.cancelMs, () => {
        if (order.status === 'canceled' || order.status === 'closed') return;
        resting.delete(order);
        enteredAt.delete(order);
        account.cancel(order, desk.now.wallMs);
        desk.later(latency.fromVenueMs, () => desk.prove(order.clientOrderId));
      });
      return { type: 'queued' };
    },
    report: account.report,
    locked: account.locked,
    mark: () => BigInt(lastTicks) * tick,
  };
  const desk = new Desk({
    members: options.members,
    settings: options.settings,
    instruments: [instrument],
    opening: options.opening,
    feesOf: quote => ratesOf(feeLevel, quote),
    latency,
    tryRates: options.tryRates,
    firstAtMs,
    watchFirstMs: 0,
    withoutRecords: options.withoutRecords === true,
    closesCandles: false,
    instance: INSTANCE,
    venue,
  });

  /** A price with the spread around it, in ticks. */
  const quotesAt = (ticks: number): { readonly bid: number; readonly ask: number } => {
    const half = Math.max(0.5, ticks * halfSpread);
    const bid = Math.max(1, Math.floor(ticks - half + 0.5 - 1e-9));
    return { bid, ask: Math.max(bid + 1, Math.ceil(ticks + half - 0.5 + 1e-9)) };
  };
  /** Shows the last close with its spread; nothing else is known of the book. */
  const showBook = (): void => {
    ({ bid: bidTicks, ask: askTicks } = quotesAt(lastTicks));
    shownMs = desk.nowMs;
    const levels = new Float64Array(6);
    levels[0] = 1;
    levels[1] = 1;
    levels[2] = bidTicks;
    levels[3] = SHOWN_LOTS;
    levels[4] = askTicks;
    levels[5] = SHOWN_LOTS;
    const id = desk.nextEventId();
    desk.market({
      type: 'book-updated',
      id,
      cause: id,
      book: {
        symbol,
        version: ++version,
        trusted: true,
        receivedMonoMs: desk.now.monoMs,
        levels,
      },
    });
  };
  /** Lets the desk work; whoever decides something between two candles sees the last close, not a stale book. */
  const until = (toMs: number): void => {
    while (desk.dueMs <= toMs) {
      const dueMs = desk.dueMs;
      if (dueMs - shownMs > options.settings.maxMarketDataAgeMs / 2) {
        desk.advance(Math.max(desk.nowMs, dueMs - 1e-3));
        showBook();
      }
      desk.advance(dueMs);
    }
    desk.advance(toMs);
  };

  /** What a candle does to the orders that stood before it closed. */
  const match = (index: number): void => {
    if (candles.volume[index] === 0 && candles.low[index] === candles.high[index]) return;
    const standing = [...resting].filter(order => (enteredAt.get(order) ?? index) <= index);
    const reached = (order: VenueOrder): boolean => {
      const ticks = Number(order.price / tick);
      const low = candles.low[index] ?? 0;
      const high = candles.high[index] ?? 0;
      if (order.terms.side === 'buy') return fillModel === 'touch' ? low <= ticks : low < ticks;
      return fillModel === 'touch' ? high >= ticks : high > ticks;
    };
    const hit = standing.filter(reached);
    if (hit.length === 0) return;
    const against: Side = (candles.close[index] ?? 0) < (candles.open[index] ?? 0) ? 'buy' : 'sell';
    const both =
      hit.some(({ terms }) => terms.side === 'buy') && hit.some(({ terms }) => terms.side === 'sell');
    for (const side of ['buy', 'sell'] as const) {
      if (both && fillModel === 'through' && side !== against) continue;
      let left: Quantity = (BigInt(candles.volume[index] ?? 0) * lot * share) / 1_000_000n;
      // The best price first; among equals the older order.
      const inLine = hit
        .filter(({ terms }) => terms.side === side)
        .sort((a, b) =>
          a.price === b.price ? 0 : (side === 'buy' ? a.price > b.price : a.price < b.price) ? -1 : 1,
        );
      for (const order of inLine) {
        const quantity = fillModel === 'touch' ? order.remaining : min(order.remaining, left);
        if (quantity === 0n) continue;
        left -= quantity;
        trade(order, order.price, quantity, 'maker');
      }
    }
  };

  const wanted = new Set(
    options.members.flatMap(({ definition, parameters }) =>
      needsOf(definition, parameters).candles.map(({ interval }) => interval),
    ),
  );
  const series = [...wanted].map(interval => createSeries(candles, interval, symbol, tick, lot));
  const scale = 10 ** instrument.priceScale;
  const prices = new Float64Array(candles.length);
  const atMs = new Float64Array(candles.length);
  showBook();
  for (let index = 0; index < candles.length; index++) {
    const openMs = (candles.openAtMs[index] ?? 0) - desk.originAtMs;
    until(openMs + lengthMs);
    if (resting.size > 0) match(index);
    lastTicks = candles.close[index] ?? lastTicks;
    current = index + 1;
    atMs[index] = (candles.openAtMs[index] ?? 0) + lengthMs;
    prices[index] = lastTicks / scale;
    showBook();
    for (const each of series) {
      const candle = each(index);
      if (candle === null) continue;
      const id = desk.nextEventId();
      desk.marketForStrategy({ type: 'candle-closed', id, cause: id, candle });
    }
    desk.afterCandle();
  }
  if (options.untilMs !== undefined) until(options.untilMs + 1 - desk.originAtMs);
  desk.stop();
  return {
    engine: 'candles',
    fillModel,
    strategies: options.members.map(runStrategyOf),
    instruments: [instrument],
    feeLevel,
    fromMs: firstAtMs,
    toMs: firstAtMs + (candles.length === 0 ? 0 : (atMs[candles.length - 1] ?? 0) - firstAtMs),
    events: candles.length,
    opening: options.opening,
    tryRates: options.tryRates,
    records: desk.records,
    fills,
    prices: [{ symbol, atMs, prices }],
    stops: desk.stops,
    neverWarm: desk.neverWarm,
    missingCandles: candles.filled.reduce((sum, each) => sum + each, 0),
  };
};

/** Why candles of this length cannot give those that a strategy wants, or null. */
export const tooLongFor = (
  given: CandleInterval,
  wanted: readonly { readonly interval: CandleInterval }[],
): string | null => {
  const missed = wanted.find(({ interval }) => CANDLE_LENGTHS_MS[interval] % CANDLE_LENGTHS_MS[given] !== 0);
  return missed === undefined
    ? null
    : `candles of ${missed.interval} cannot be made of candles of ${given}: give shorter ones`;
};

/** Closed candles of an interval, made of shorter ones: each candle of the tape gives one, or null. */
const createSeries = (
  tape: CandleTape,
  interval: CandleInterval,
  symbol: string,
  tick: bigint,
  lot: bigint,
): ((index: number) => Candle | null) => {
  const baseMs = CANDLE_LENGTHS_MS[tape.interval];
  const lengthMs = CANDLE_LENGTHS_MS[interval];
  const problem = tooLongFor(tape.interval, [{ interval }]);
  if (problem !== null) throw new CandleError(problem);
  let openAtMs = Number.NaN;
  let open = 0;
  let high = 0;
  let low = 0;
  let volume = 0;
  let seen = 0;
  return index => {
    const at = tape.openAtMs[index] ?? 0;
    const begin = at - (at % lengthMs);
    if (begin !== openAtMs) {
      openAtMs = begin;
      open = tape.open[index] ?? 0;
      high = tape.high[index] ?? 0;
      low = tape.low[index] ?? 0;
      volume = 0;
      seen = 0;
    }
    high = Math.max(high, tape.high[index] ?? 0);
    low = Math.min(low, tape.low[index] ?? 0);
    volume += tape.volume[index] ?? 0;
    seen += 1;
    if (at + baseMs !== begin + lengthMs) return null;
    return {
      symbol,
      interval,
      openAtMs,
      closeAtMs: begin + lengthMs,
      open: BigInt(open) * tick,
      high: BigInt(high) * tick,
      low: BigInt(low) * tick,
      close: BigInt(tape.close[index] ?? 0) * tick,
      volume: BigInt(volume) * lot,
      closed: true,
      complete: seen * baseMs === lengthMs,
    };
  };
};
