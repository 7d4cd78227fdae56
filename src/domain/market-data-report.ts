/** What the market-data brain tells the others: books, states, holds, and once a second its figures. */
import { TRUST_MIN, trustScore } from './book-trust.js';
import type { BookView } from './book-view.js';
import { STORM_ATTEMPTS } from './breaker.js';
import { fromTicks, type Instrument } from './instrument.js';
import {
  type Feed,
  type HoldWord,
  type Listener,
  type MarketDataEffect,
  type MarketDataState,
  REPORTED_SYMBOLS_MAX,
  SLICES,
} from './market-data-state.js';
import type { FeedState, MarketEvent } from './market-events.js';
import { formatDecimal } from './money.js';
import { bestAskTicks, bestBidTicks, levelsOf } from './order-book.js';
import { PUBLIC_CHANNELS } from './public-frame.js';
import { attemptsInWindow, PUBLIC_RECONNECT } from './reconnect.js';
import type { HoldCause } from './safety.js';
import { nextEventId } from './step.js';

const LISTENERS: readonly Listener[] = ['strategy', 'execution'];

export const tell = (to: Listener, message: MarketEvent): MarketDataEffect => ({ type: 'tell', to, message });

export const tellAll = (effects: MarketDataEffect[], message: MarketEvent): void => {
  for (const listener of LISTENERS) effects.push(tell(listener, message));
};

export const instrumentsOf = ({ config, instruments }: MarketDataState): MarketEvent => {
  const id = nextEventId(config.ids);
  return { type: 'instruments-listed', id, cause: id, instruments };
};

export const isStale = (state: MarketDataState, feed: Feed, monoMs: number): boolean =>
  monoMs - (feed.freshMonoMs ?? state.startedMonoMs) > state.config.maxAgeMs;

/** Derives a feed's state, its score and its holds from the facts. */
export const assess = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  feed: Feed,
  monoMs: number,
): void => {
  const stale = isStale(state, feed, monoMs);
  if (state.socket.phase === 'up') {
    if (feed.book.state === 'synced') {
      if (stale) enter(state, effects, feed, 'stale', 'no proof that the book is current');
      else enter(state, effects, feed, 'live', 'in sync');
    } else if (feed.book.state === 'empty' && feed.state !== 'resyncing')
      enter(state, effects, feed, 'connecting', 'waiting for the first snapshot');
  }
  const score = trustScore(feed.trust, feed.book, monoMs);
  const trusted = feed.state === 'live' && score >= TRUST_MIN;
  if (score !== feed.score || trusted !== feed.trusted) {
    feed.score = score;
    feed.trusted = trusted;
    markDirty(state, feed);
  }
  // A stale book before its first snapshot is news only once the time for it has passed.
  if (feed.told.stale !== word(stale) && (stale || feed.freshMonoMs !== null)) {
    feed.told.stale = word(stale);
    const detail = `no proof for ${state.config.maxAgeMs} ms that it is current`;
    hold(state, effects, 'stale-data', feed, stale, detail);
  }
  const isDoubted = state.socket.phase === 'up' && feed.book.state !== 'empty' && !trusted && !stale;
  if ((trusted || isDoubted) && feed.told.untrusted !== word(!trusted)) {
    feed.told.untrusted = word(!trusted);
    const detail = `${feed.state}: ${feed.reason}; score ${score} of 100`;
    hold(state, effects, 'book-untrusted', feed, !trusted, detail);
  }
};

const word = (wanted: boolean): HoldWord => (wanted ? 'wanted' : 'cleared');

export const enter = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  feed: Feed,
  next: FeedState,
  reason: string,
): void => {
  if (feed.state === next && (next === 'live' || feed.reason === reason)) return;
  feed.state = next;
  feed.reason = reason;
  if (feed.version > 0) markDirty(state, feed);
  tellAll(effects, statusOf(state, feed));
};

/** Wants or clears a hold. The first word is always said: an earlier run may have left one. */
const hold = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  holdCause: HoldCause,
  feed: Feed | null,
  wanted: boolean,
  detail: string,
): void => {
  effects.push({
    type: 'hold',
    message: {
      type: wanted ? 'hold-wanted' : 'hold-cleared',
      id: nextEventId(state.config.ids),
      cause: feed?.cause || `socket:${state.connections}:${state.frames}`,
      holdCause,
      subject: feed?.symbol ?? '',
      detail: wanted ? detail : 'the condition has passed',
    },
  });
};

export const watchStorm = (state: MarketDataState, effects: MarketDataEffect[], monoMs: number): void => {
  const attempts = attemptsInWindow(state.reconnect, PUBLIC_RECONNECT, monoMs);
  // Attempts that an earlier incarnation is only supposed to have made are no storm before one of ours was lost, too.
  const isStorm = attempts >= STORM_ATTEMPTS && state.reconnect.losses > 0 && state.connections > 1;
  const isCalm = state.reconnect.losses === 0 && attempts < STORM_ATTEMPTS;
  if ((!isStorm && !isCalm) || state.stormTold === word(isStorm)) return;
  state.stormTold = word(isStorm);
  hold(state, effects, 'ws-reconnect', null, isStorm, `${attempts} connection attempts in a minute`);
};

export const markDirty = (state: MarketDataState, feed: Feed): void => {
  if (feed.dirty) return;
  feed.dirty = true;
  state.dirty.push(feed);
};

/** Publishes the newest book of every symbol that changed since the last batch. */
export const publish = (state: MarketDataState, effects: MarketDataEffect[], monoMs: number): void => {
  if (state.dirty.length === 0) return;
  const changed = state.dirty;
  state.dirty = [];
  for (const feed of changed) {
    assess(state, effects, feed, monoMs);
    feed.dirty = false;
    if (feed.freshMonoMs === null) continue;
    feed.version += 1;
    feed.publishedFreshMonoMs = feed.freshMonoMs;
    tellAll(effects, bookOf(state, feed));
  }
};

export const bookOf = (state: MarketDataState, feed: Feed): MarketEvent => ({
  type: 'book-updated',
  id: nextEventId(state.config.ids),
  cause: feed.cause,
  book: viewOf(feed),
});

const viewOf = (feed: Feed): BookView => ({
  symbol: feed.symbol,
  version: feed.version,
  trusted: feed.trusted,
  trustScore: feed.score,
  receivedMonoMs: feed.freshMonoMs ?? 0,
  levels: levelsOf(feed.book),
});

export const statusOf = (state: MarketDataState, feed: Feed): MarketEvent => ({
  type: 'feed-status-changed',
  id: nextEventId(state.config.ids),
  cause: feed.cause || `socket:${state.connections}:${state.frames}`,
  symbol: feed.symbol,
  state: feed.state,
  reason: feed.reason,
});

export const everySecond = (state: MarketDataState, effects: MarketDataEffect[], monoMs: number): void => {
  state.nextSecondMonoMs += 1_000;
  state.seconds += 1;
  const feeds = [...state.feeds.values()];
  state.slices.push(feeds.some(feed => isStale(state, feed, monoMs)) ? 1 : 0);
  if (state.slices.length > SLICES) state.slices.shift();
  if (monoMs >= state.nextSecondMonoMs) return;
  gauge(effects, 'ws_reconnect_rate', reconnectsInMinute(state, monoMs));
  gauge(
    effects,
    'stale_market_data_rate',
    state.slices.reduce((sum, slice) => sum + slice, 0) / state.slices.length,
  );
  counter(effects, 'btcbot_public_frames_total', state.unreported.frames);
  counter(effects, 'btcbot_public_frames_malformed_total', state.unreported.malformed);
  counter(effects, 'btcbot_book_resyncs_total', state.unreported.resyncs);
  state.unreported = { frames: 0, malformed: 0, resyncs: 0 };
  for (const feed of feeds.slice(0, REPORTED_SYMBOLS_MAX))
    for (const name of PUBLIC_CHANNELS) {
      const { lastMonoMs } = feed.channels[name];
      if (lastMonoMs !== null)
        gauge(effects, 'btcbot_channel_age_ms', monoMs - lastMonoMs, { channel: name, symbol: feed.symbol });
    }
  effects.push({ type: 'status', facts: factsOf(state, monoMs) });
};

/** Attempts after the first of this run. */
const reconnectsInMinute = (state: MarketDataState, monoMs: number): number => {
  const attempts = attemptsInWindow(state.reconnect, PUBLIC_RECONNECT, monoMs);
  return state.connections <= attempts ? Math.max(0, attempts - 1) : attempts;
};

const gauge = (
  effects: MarketDataEffect[],
  name: string,
  value: number,
  labels: Readonly<Record<string, string>> = {},
): void => {
  effects.push({ type: 'metric', kind: 'gauge', name, value, labels });
};

const counter = (effects: MarketDataEffect[], name: string, value: number): void => {
  if (value > 0) effects.push({ type: 'metric', kind: 'counter', name, value });
};

/** The actor's part of `btcbot status`. */
const factsOf = (state: MarketDataState, monoMs: number): Readonly<Record<string, unknown>> => ({
  socket: state.socket.phase,
  connections: state.connections,
  frames: state.frames,
  books: [...state.feeds.values()].slice(0, REPORTED_SYMBOLS_MAX).map(feed => ({
    symbol: feed.symbol,
    state: feed.state,
    reason: feed.reason,
    bid: priceText(bestBidTicks(feed.book), feed.instrument),
    ask: priceText(bestAskTicks(feed.book), feed.instrument),
    ageMs: feed.freshMonoMs === null ? null : Math.round(monoMs - feed.freshMonoMs),
    trusted: feed.trusted,
    trustScore: feed.score,
    version: feed.version,
  })),
});

const priceText = (ticks: number, instrument: Instrument): string | null =>
  ticks === 0 ? null : formatDecimal(fromTicks(ticks, instrument));
