/**
 * The venue's list of the followed symbols, kept current: limit prices move with the market, scales and methods may
 * change, and a pair may stop trading or disappear (protocol section 4.2). Everybody downstream is told of each change.
 */
import type { Instrument } from './instrument.js';
import { distrust } from './market-data-link.js';
import { instrumentsOf, tellAll } from './market-data-report.js';
import {
  INSTRUMENTS_DEADLINE_MS,
  INSTRUMENTS_INTERVAL_MS,
  log,
  type MarketDataEffect,
  type MarketDataState,
  NOT_LISTED,
} from './market-data-state.js';
import { initialOrderBook } from './order-book.js';

/** Asks for the list when its time has come. */
export const watchInstruments = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  monoMs: number,
): void => {
  const asked = state.instrumentsAskedMonoMs;
  if (asked !== null && monoMs - asked < INSTRUMENTS_DEADLINE_MS) return;
  if (monoMs < state.nextInstrumentsMonoMs) return;
  state.instrumentsAskedMonoMs = monoMs;
  state.nextInstrumentsMonoMs = monoMs + INSTRUMENTS_INTERVAL_MS;
  effects.push({ type: 'read-instruments' });
};

/** @param listed what the venue says of the followed symbols; null when it could not be read: the old list stands then */
export const onInstrumentsRead = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  listed: readonly Instrument[] | null,
  monoMs: number,
): void => {
  state.instrumentsAskedMonoMs = null;
  if (listed === null) {
    log(effects, 'warn', 'instruments-unread', { nextInMs: INSTRUMENTS_INTERVAL_MS });
    return;
  }
  const bySymbol = new Map(listed.map(instrument => [instrument.symbol, instrument]));
  const before = state.instruments;
  // A symbol that has gone is kept, so that its orders can still be priced and ended; it may not be traded.
  const after = before.map(known => bySymbol.get(known.symbol) ?? { ...known, status: NOT_LISTED });
  const changed = after.filter((instrument, index) => !isSame(instrument, before[index]));
  if (changed.length === 0) return;
  state.instruments = after;
  for (const instrument of changed) {
    const feed = state.feeds.get(instrument.symbol);
    if (feed === undefined) continue;
    const was = feed.instrument;
    feed.instrument = instrument;
    if (was.status !== instrument.status)
      log(effects, 'warn', 'instrument-status-changed', {
        symbol: instrument.symbol,
        was: was.status,
        now: instrument.status,
      });
    if (was.priceScale === instrument.priceScale && was.quantityScale === instrument.quantityScale) continue;
    log(effects, 'warn', 'instrument-scale-changed', {
      symbol: instrument.symbol,
      priceScale: instrument.priceScale,
      quantityScale: instrument.quantityScale,
    });
    // Its ticks and lots have another size from now on: nothing that is known in the old ones may be shown.
    feed.book = initialOrderBook();
    const { phase } = feed.channels.obdiff.state;
    if (phase === 'joining' || phase === 'flowing')
      distrust(state, effects, feed, 'the scale of the pair has changed', monoMs);
  }
  effects.push({ type: 'instruments-changed', instruments: after });
  tellAll(effects, instrumentsOf(state));
};

const isSame = (left: Instrument, right: Instrument | undefined): boolean =>
  right !== undefined &&
  left.symbol === right.symbol &&
  left.pairId === right.pairId &&
  left.priceScale === right.priceScale &&
  left.quantityScale === right.quantityScale &&
  left.minNotional === right.minNotional &&
  left.minPrice === right.minPrice &&
  left.maxPrice === right.maxPrice &&
  left.minLimitPrice === right.minLimitPrice &&
  left.maxLimitPrice === right.maxLimitPrice &&
  left.maxQuantity === right.maxQuantity &&
  left.status === right.status &&
  left.methods.length === right.methods.length &&
  left.methods.every(method => right.methods.includes(method));
