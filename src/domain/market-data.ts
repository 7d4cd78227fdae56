/**
 * The market-data brain: one public socket, four channels for each symbol, one book for each symbol. It keeps these
 * promises (protocol sections 9.3, 9.4 and 9.9):
 *
 * - An ack proves nothing: a channel lives from its first frame on. Without one in time it is left and joined again;
 *   the second failure replaces the socket.
 * - A broken chain, a crossed book, an unreadable difference or a lasting contradiction by another channel breaks the
 *   book: it is published as untrusted at once, and trusted again only after a fresh snapshot.
 * - Ages are kept for each channel. A quiet book is fresh as long as its ticker, which repeats itself, or a full book
 *   agrees with it.
 * - Never more than ten connection attempts in any minute, whatever the venue does.
 * - Whoever listens hears of every change of a feed's state, and of the newest book of each batch of frames.
 */

import {
  type BookTrust,
  initialTrust,
  noteChange,
  type Testimony,
  TRUST_MIN,
  trustScore,
  witnessFullBook,
  witnessTicker,
  witnessTrade,
} from './book-trust.js';
import type { BookView } from './book-view.js';
import type { CommonEffect, Tell } from './effects.js';
import { fromTicks, type Instrument, toTicks } from './instrument.js';
import type { FeedState, MarketEvent } from './market-events.js';
import { formatDecimal } from './money.js';
import {
  applyDifference,
  applySnapshot,
  bestAskTicks,
  bestBidTicks,
  breakBook,
  initialOrderBook,
  levelsOf,
  type OrderBook,
} from './order-book.js';
import {
  type BookDifferenceFrame,
  type BookSnapshotFrame,
  type FrameTrade,
  PUBLIC_CHANNELS,
  type PublicChannel,
  type PublicFrame,
} from './public-frame.js';
import {
  attemptAfterLoss,
  attemptsInWindow,
  initialReconnect,
  noteAttempt,
  noteUseful,
  PUBLIC_RECONNECT,
  type ReconnectState,
} from './reconnect.js';
import { type HoldCause, holdKey } from './safety.js';
import { type EventIds, type LogLevel, type Now, nextEventId, type Stepped } from './step.js';

export interface MarketDataConfig {
  /** The symbols to follow, each with its instrument. */
  readonly instruments: readonly Instrument[];
  /** A book without proof of freshness for this long is stale. */
  readonly maxAgeMs: number;
  /** Silence of the whole socket that replaces it. */
  readonly idleReconnectMs: number;
  /** Spreads reconnects. */
  readonly seed: number;
  /** Connections an earlier incarnation may just have made; 0 at the first start. */
  readonly forgottenAttempts: number;
  readonly ids: EventIds;
}

export type MarketDataInput =
  /** The socket's handshake is done. */
  | { readonly type: 'opened' }
  /** The socket is gone, was refused, or could not be made. */
  | { readonly type: 'closed'; readonly detail: string }
  | { readonly type: 'frame'; readonly frame: PublicFrame }
  /** No further frame is at hand: books that changed are published. */
  | { readonly type: 'batch-end' }
  /** A listener has (re)started and knows nothing. */
  | { readonly type: 'listener-joined'; readonly listener: Listener }
  | { readonly type: 'tick' };

export type Listener = 'strategy' | 'execution';

export type MarketDataEffect =
  | CommonEffect
  | Tell<Listener, MarketEvent>
  | { readonly type: 'open-socket' }
  | { readonly type: 'close-socket'; readonly reason: string }
  | {
      readonly type: 'subscribe';
      readonly channel: PublicChannel;
      readonly symbol: string;
      readonly join: boolean;
    };

const LISTENERS: readonly Listener[] = ['strategy', 'execution'];

/** The handshake, and then the version notice (991), must be there within this. */
export const GREETING_DEADLINE_MS = 5_000;
/** A joined channel must show its first frame within this. */
export const FIRST_FRAME_DEADLINE_MS = 5_000;
/** After a leave, its ack is waited for no longer than this. */
export const LEAVE_DEADLINE_MS = 1_000;
/** Joins sent at one step, so that hundreds of pairs do not flood the venue. */
const JOINS_AT_ONCE = 40;
/** Failed resyncs of one symbol in a row that replace the socket. */
export const RESYNCS_MAX = 2;
/** A book that has stayed in sync for this long has recovered. */
export const RECOVERED_AFTER_MS = 30_000;
/** How long a channel rests whose trouble a new socket did not cure, so that it leaves the others alone. */
export const LONELY_REST_MS = 30_000;
/** A channel that should repeat itself, and has been silent this long, is joined again. */
const TICKER_SILENCE_MS = 10_000;
/** Attempts within a minute that are a storm. */
export const STORM_ATTEMPTS = 4;
/** An unchanged book is published again at most this often, to show that it is still fresh. */
const REFRESH_MS = 500;
/** Trade ids remembered for each symbol: more than the 50 a join replays. */
const TRADE_IDS_MAX = 200;
/** Slices of one second behind `stale_market_data_rate`. */
const SLICES = 300;
/** Symbols whose ages and facts are reported one by one; beyond, labels would grow without bound. */
const REPORTED_SYMBOLS_MAX = 25;

/** Channels that show a first frame soon after a join; the others speak only when something happens. */
const PROMPT: ReadonlySet<PublicChannel> = new Set(['obdiff', 'ticker']);

type ChannelPhase =
  | { readonly phase: 'left' }
  | { readonly phase: 'joining'; readonly deadlineMonoMs: number; readonly attempt: number }
  | { readonly phase: 'leaving'; readonly deadlineMonoMs: number; readonly attempt: number }
  | { readonly phase: 'flowing' }
  /** Left for a while: it did not recover, and a new socket did not help. */
  | { readonly phase: 'resting'; readonly untilMonoMs: number };

interface Channel {
  state: ChannelPhase;
  /** When its last readable frame arrived; null before the first of this connection. */
  lastMonoMs: number | null;
}

interface Feed {
  readonly instrument: Instrument;
  readonly symbol: string;
  readonly book: OrderBook;
  trust: BookTrust;
  readonly channels: Readonly<Record<PublicChannel, Channel>>;
  state: FeedState;
  reason: string;
  version: number;
  /** As last published. */
  trusted: boolean;
  score: number;
  /** When the book was last shown to be current; null before the first snapshot. */
  freshMonoMs: number | null;
  publishedFreshMonoMs: number;
  dirty: boolean;
  /** The frame behind the next publication. */
  cause: string;
  syncedSinceMonoMs: number | null;
  resyncs: number;
  /** Replaced the socket since it was last in sync: it may not do so again while others are fine. */
  hasReconnected: boolean;
  nextResyncMonoMs: number;
  readonly tradeIds: Set<string>;
  hasTradeHistory: boolean;
}

type SocketPhase =
  | { readonly phase: 'waiting'; readonly retryAtMonoMs: number }
  | { readonly phase: 'greeting'; readonly deadlineMonoMs: number }
  | { readonly phase: 'up' };

export interface MarketDataState {
  readonly config: MarketDataConfig;
  readonly startedMonoMs: number;
  socket: SocketPhase;
  readonly reconnect: ReconnectState;
  connections: number;
  frames: number;
  lastFrameMonoMs: number;
  readonly feeds: ReadonlyMap<string, Feed>;
  dirty: Feed[];
  joins: { readonly feed: Feed; readonly channel: PublicChannel }[];
  /** Holds as last told; a key that is absent has not been told anything yet. */
  readonly holds: Map<string, 'wanted' | 'cleared'>;
  /** One entry a second: 1 when some followed book was stale. */
  readonly slices: number[];
  nextSecondMonoMs: number;
  seconds: number;
  unreported: { frames: number; malformed: number; resyncs: number };
}

export const initialMarketData = (config: MarketDataConfig, now: Now): MarketDataState => {
  const reconnect = initialReconnect(config.seed, config.forgottenAttempts, now.monoMs);
  return {
    config,
    startedMonoMs: now.monoMs,
    // After a restart the attempts just before it are not known: the first one waits its turn like any other.
    socket: {
      phase: 'waiting',
      retryAtMonoMs:
        config.forgottenAttempts === 0
          ? now.monoMs
          : attemptAfterLoss(reconnect, PUBLIC_RECONNECT, now.monoMs),
    },
    reconnect,
    connections: 0,
    frames: 0,
    lastFrameMonoMs: now.monoMs,
    feeds: new Map(config.instruments.map(instrument => [instrument.symbol, initialFeed(instrument)])),
    dirty: [],
    joins: [],
    holds: new Map(),
    slices: [],
    nextSecondMonoMs: now.monoMs + 1_000,
    seconds: 0,
    unreported: { frames: 0, malformed: 0, resyncs: 0 },
  };
};

const channel = (): Channel => ({ state: { phase: 'left' }, lastMonoMs: null });

const initialFeed = (instrument: Instrument): Feed => ({
  instrument,
  symbol: instrument.symbol,
  book: initialOrderBook(),
  trust: initialTrust(),
  channels: { obdiff: channel(), orderbook: channel(), ticker: channel(), trade: channel() },
  state: 'disconnected',
  reason: 'not connected yet',
  version: 0,
  trusted: false,
  score: 0,
  freshMonoMs: null,
  publishedFreshMonoMs: 0,
  dirty: false,
  cause: '',
  syncedSinceMonoMs: null,
  resyncs: 0,
  hasReconnected: false,
  nextResyncMonoMs: 0,
  tradeIds: new Set(),
  hasTradeHistory: false,
});

export const stepMarketData = (
  state: MarketDataState,
  input: MarketDataInput,
  now: Now,
): Stepped<MarketDataState, MarketDataEffect> => {
  const effects: MarketDataEffect[] = [];
  switch (input.type) {
    case 'frame':
      onFrame(state, effects, input.frame, now.monoMs);
      break;
    case 'batch-end':
      publish(state, effects, now.monoMs);
      break;
    case 'tick':
      onTick(state, effects, now.monoMs);
      break;
    case 'opened':
      if (state.socket.phase === 'greeting')
        state.socket = { phase: 'greeting', deadlineMonoMs: now.monoMs + GREETING_DEADLINE_MS };
      break;
    case 'closed':
      if (state.socket.phase !== 'waiting') lose(state, effects, input.detail, now.monoMs);
      publish(state, effects, now.monoMs);
      break;
    case 'listener-joined':
      effects.push(tell(input.listener, instrumentsOf(state)));
      for (const feed of state.feeds.values()) {
        effects.push(tell(input.listener, statusOf(state, feed)));
        if (feed.version > 0) effects.push(tell(input.listener, bookOf(state, feed)));
      }
      break;
  }
  return { state, effects };
};

const instrumentsOf = ({ config }: MarketDataState): MarketEvent => {
  const id = nextEventId(config.ids);
  return { type: 'instruments-listed', id, cause: id, instruments: config.instruments };
};

const tell = (to: Listener, message: MarketEvent): MarketDataEffect => ({ type: 'tell', to, message });

const tellAll = (effects: MarketDataEffect[], message: MarketEvent): void => {
  for (const listener of LISTENERS) effects.push(tell(listener, message));
};

const log = (
  effects: MarketDataEffect[],
  level: LogLevel,
  event: string,
  fields: Readonly<Record<string, unknown>>,
): void => {
  effects.push({ type: 'log', level, event, fields });
};

/* The socket. */

const onTick = (state: MarketDataState, effects: MarketDataEffect[], monoMs: number): void => {
  const { socket } = state;
  if (socket.phase === 'waiting' && monoMs >= socket.retryAtMonoMs) connect(state, effects, monoMs);
  else if (socket.phase === 'greeting' && monoMs >= socket.deadlineMonoMs)
    replaceSocket(state, effects, 'no version notice in time', monoMs);
  else if (socket.phase === 'up' && monoMs - state.lastFrameMonoMs >= state.config.idleReconnectMs)
    replaceSocket(state, effects, `no frame for ${state.config.idleReconnectMs} ms`, monoMs);
  for (const feed of state.feeds.values()) {
    if (state.socket.phase === 'up') watchChannels(state, effects, feed, monoMs);
    assess(state, effects, feed, monoMs);
  }
  sendJoins(state, effects, monoMs);
  publish(state, effects, monoMs);
  watchStorm(state, effects, monoMs);
  while (monoMs >= state.nextSecondMonoMs) everySecond(state, effects, monoMs);
};

const connect = (state: MarketDataState, effects: MarketDataEffect[], monoMs: number): void => {
  noteAttempt(state.reconnect, PUBLIC_RECONNECT, monoMs);
  state.socket = { phase: 'greeting', deadlineMonoMs: monoMs + GREETING_DEADLINE_MS };
  state.connections += 1;
  state.lastFrameMonoMs = monoMs;
  effects.push({ type: 'open-socket' });
  for (const feed of state.feeds.values()) enter(state, effects, feed, 'connecting', 'connecting');
};

const replaceSocket = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  reason: string,
  monoMs: number,
): void => {
  effects.push({ type: 'close-socket', reason });
  lose(state, effects, reason, monoMs);
};

const lose = (state: MarketDataState, effects: MarketDataEffect[], reason: string, monoMs: number): void => {
  const retryAtMonoMs = attemptAfterLoss(state.reconnect, PUBLIC_RECONNECT, monoMs);
  state.socket = { phase: 'waiting', retryAtMonoMs };
  state.joins = [];
  log(effects, 'warn', 'market-data-disconnected', {
    reason,
    losses: state.reconnect.losses,
    retryInMs: Math.round(retryAtMonoMs - monoMs),
  });
  for (const feed of state.feeds.values()) {
    for (const name of PUBLIC_CHANNELS) {
      feed.channels[name].state = { phase: 'left' };
      feed.channels[name].lastMonoMs = null;
    }
    feed.book.state = 'empty';
    feed.trust = initialTrust();
    feed.syncedSinceMonoMs = null;
    enter(state, effects, feed, 'disconnected', reason);
    assess(state, effects, feed, monoMs);
  }
};

const greet = (state: MarketDataState, effects: MarketDataEffect[], monoMs: number): void => {
  if (state.socket.phase !== 'greeting') return;
  state.socket = { phase: 'up' };
  log(effects, 'info', 'market-data-connected', { connection: state.connections });
  // Books first for all symbols: they are what everybody waits for.
  for (const name of PUBLIC_CHANNELS)
    for (const feed of state.feeds.values()) state.joins.push({ feed, channel: name });
  sendJoins(state, effects, monoMs);
};

const sendJoins = (state: MarketDataState, effects: MarketDataEffect[], monoMs: number): void => {
  if (state.joins.length === 0) return;
  for (const { feed, channel: name } of state.joins.splice(0, JOINS_AT_ONCE))
    join(effects, feed, name, 1, monoMs);
};

/* Channels. */

const join = (
  effects: MarketDataEffect[],
  feed: Feed,
  name: PublicChannel,
  attempt: number,
  monoMs: number,
): void => {
  feed.channels[name].state = { phase: 'joining', attempt, deadlineMonoMs: monoMs + FIRST_FRAME_DEADLINE_MS };
  effects.push({ type: 'subscribe', channel: name, symbol: feed.symbol, join: true });
};

const leave = (
  effects: MarketDataEffect[],
  feed: Feed,
  name: PublicChannel,
  attempt: number,
  monoMs: number,
): void => {
  feed.channels[name].state = { phase: 'leaving', attempt, deadlineMonoMs: monoMs + LEAVE_DEADLINE_MS };
  effects.push({ type: 'subscribe', channel: name, symbol: feed.symbol, join: false });
};

const watchChannels = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  feed: Feed,
  monoMs: number,
): void => {
  for (const name of PUBLIC_CHANNELS) {
    const current = feed.channels[name].state;
    if (current.phase === 'leaving' && monoMs >= current.deadlineMonoMs)
      join(effects, feed, name, current.attempt + 1, monoMs);
    else if (current.phase === 'joining' && monoMs >= current.deadlineMonoMs && PROMPT.has(name))
      onNoFirstFrame(state, effects, feed, name, current.attempt, monoMs);
    else if (current.phase === 'resting' && monoMs >= current.untilMonoMs)
      join(effects, feed, name, 1, monoMs);
    if (state.socket.phase !== 'up') return;
  }
  const { ticker } = feed.channels;
  if (
    ticker.state.phase === 'flowing' &&
    ticker.lastMonoMs !== null &&
    monoMs - ticker.lastMonoMs >= TICKER_SILENCE_MS
  )
    leave(effects, feed, 'ticker', 0, monoMs);
  if (feed.book.state === 'synced' && isStale(state, feed, monoMs) && monoMs >= feed.nextResyncMonoMs) {
    feed.nextResyncMonoMs = monoMs + TICKER_SILENCE_MS;
    distrust(state, effects, feed, 'no proof that the book is current', monoMs);
  }
};

/** Joined and nothing came: try once more, then replace the socket. */
const onNoFirstFrame = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  feed: Feed,
  name: PublicChannel,
  attempt: number,
  monoMs: number,
): void => {
  log(effects, 'warn', 'channel-silent-after-join', { symbol: feed.symbol, channel: name, attempt });
  if (attempt < RESYNCS_MAX) leave(effects, feed, name, attempt, monoMs);
  else giveUp(state, effects, feed, name, `nothing after ${attempt} joins`, monoMs);
};

/**
 * A channel that does not recover replaces the socket, once: if a new one did not help while others are fine, the
 * trouble is the symbol's own, and it is tried again later without disturbing them.
 */
const giveUp = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  feed: Feed,
  name: PublicChannel,
  reason: string,
  monoMs: number,
): void => {
  const othersAreFine = [...state.feeds.values()].some(other => other !== feed && other.state === 'live');
  if (feed.hasReconnected && othersAreFine) {
    effects.push({ type: 'subscribe', channel: name, symbol: feed.symbol, join: false });
    feed.channels[name].state = { phase: 'resting', untilMonoMs: monoMs + LONELY_REST_MS };
    return;
  }
  feed.hasReconnected = true;
  feed.resyncs = 0;
  replaceSocket(state, effects, `${name} of ${feed.symbol} does not recover: ${reason}`, monoMs);
};

/** The book is not to be believed: say so, leave its channel and join it again. */
const distrust = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  feed: Feed,
  reason: string,
  monoMs: number,
): void => {
  if (feed.book.state === 'synced') breakBook(feed.book, 'stuck');
  feed.trust = initialTrust();
  feed.syncedSinceMonoMs = null;
  feed.resyncs += 1;
  state.unreported.resyncs += 1;
  enter(state, effects, feed, 'resyncing', reason);
  log(effects, 'warn', 'book-resync', { symbol: feed.symbol, reason, inARow: feed.resyncs });
  if (feed.resyncs > RESYNCS_MAX) giveUp(state, effects, feed, 'obdiff', reason, monoMs);
  else leave(effects, feed, 'obdiff', 0, monoMs);
  assess(state, effects, feed, monoMs);
};

/* Frames. */

const onFrame = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  frame: PublicFrame,
  monoMs: number,
): void => {
  if (state.socket.phase === 'waiting') return;
  state.lastFrameMonoMs = monoMs;
  state.frames += 1;
  state.unreported.frames += 1;
  switch (frame.type) {
    case 'book-difference':
      onDifference(state, effects, frame, monoMs);
      return;
    case 'book-snapshot':
      if (frame.channel === 'obdiff') onSnapshot(state, effects, frame, monoMs);
      else onFullBook(state, effects, frame, monoMs);
      return;
    case 'ticker': {
      const feed = state.feeds.get(frame.symbol);
      if (feed === undefined || !hear(state, feed, 'ticker', monoMs) || feed.book.state !== 'synced') return;
      const testimony = witnessTicker(feed.trust, feed.book, frame.bidTicks, frame.askTicks, monoMs);
      onTestimony(state, effects, feed, testimony, 'the ticker contradicts a book that stands still', monoMs);
      return;
    }
    case 'trades':
      onTrades(state, effects, frame.symbol, frame.history, frame.trades, monoMs);
      return;
    case 'subscription-result': {
      const feed = state.feeds.get(frame.symbol);
      const name = PUBLIC_CHANNELS.find(known => known === frame.channel);
      if (feed === undefined || name === undefined) return;
      const current = feed.channels[name].state;
      // The only ack that is used: one that ends a leave early.
      if (!frame.join && current.phase === 'leaving') join(effects, feed, name, current.attempt + 1, monoMs);
      return;
    }
    case 'malformed':
      onMalformed(state, effects, frame, monoMs);
      return;
    case 'version':
      greet(state, effects, monoMs);
      return;
    case 'ignored':
      return;
  }
};

/** Marks a channel as heard. @returns false when it is being left, so that the frame belongs to the past. */
const hear = (state: MarketDataState, feed: Feed, name: PublicChannel, monoMs: number): boolean => {
  const heard = feed.channels[name];
  if (heard.state.phase !== 'joining' && heard.state.phase !== 'flowing') return false;
  if (heard.state.phase === 'joining') heard.state = { phase: 'flowing' };
  heard.lastMonoMs = monoMs;
  feed.cause = `socket:${state.connections}:${state.frames}`;
  return true;
};

const onDifference = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  frame: BookDifferenceFrame,
  monoMs: number,
): void => {
  const feed = state.feeds.get(frame.symbol);
  // A difference does not end the wait for a snapshot, so it never marks the channel as joined.
  if (feed === undefined || feed.channels.obdiff.state.phase !== 'flowing') return;
  const verdict = applyDifference(feed.book, frame.changeSet, frame.bids, frame.asks);
  if (verdict === 'applied') onBookChanged(state, effects, feed, monoMs);
  else if (verdict !== 'ignored') distrust(state, effects, feed, verdict, monoMs);
};

const onSnapshot = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  frame: BookSnapshotFrame,
  monoMs: number,
): void => {
  const feed = state.feeds.get(frame.symbol);
  if (feed === undefined || !hear(state, feed, 'obdiff', monoMs)) return;
  const verdict = applySnapshot(feed.book, frame.changeSet, frame.bids, frame.asks);
  if (verdict === 'applied') {
    feed.syncedSinceMonoMs ??= monoMs;
    feed.trust = initialTrust();
    onBookChanged(state, effects, feed, monoMs);
  } else distrust(state, effects, feed, verdict, monoMs);
};

const onBookChanged = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  feed: Feed,
  monoMs: number,
): void => {
  feed.channels.obdiff.lastMonoMs = monoMs;
  feed.cause = `socket:${state.connections}:${state.frames}`;
  noteChange(feed.trust);
  confirm(state, feed, monoMs);
  markDirty(state, feed);
  if (feed.state !== 'live') assess(state, effects, feed, monoMs);
};

/** Something shows that the book is current. */
const confirm = (state: MarketDataState, feed: Feed, monoMs: number): void => {
  feed.freshMonoMs = monoMs;
  noteUseful(state.reconnect, PUBLIC_RECONNECT, monoMs);
  if (feed.syncedSinceMonoMs !== null && monoMs - feed.syncedSinceMonoMs >= RECOVERED_AFTER_MS) {
    feed.resyncs = 0;
    feed.hasReconnected = false;
  }
};

const onFullBook = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  frame: BookSnapshotFrame,
  monoMs: number,
): void => {
  const feed = state.feeds.get(frame.symbol);
  if (feed === undefined || !hear(state, feed, 'orderbook', monoMs) || feed.book.state !== 'synced') return;
  const testimony = witnessFullBook(feed.trust, feed.book, frame.bids, frame.asks, monoMs);
  onTestimony(state, effects, feed, testimony, 'the full book contradicts the differences', monoMs);
};

const onTestimony = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  feed: Feed,
  testimony: Testimony,
  words: string,
  monoMs: number,
): void => {
  if (testimony === 'contradicts') {
    distrust(state, effects, feed, words, monoMs);
    return;
  }
  if (testimony === 'agrees') {
    confirm(state, feed, monoMs);
    if (monoMs - feed.publishedFreshMonoMs >= REFRESH_MS) markDirty(state, feed);
  }
  assess(state, effects, feed, monoMs);
};

const onTrades = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  symbol: string,
  history: boolean,
  trades: readonly FrameTrade[],
  monoMs: number,
): void => {
  const feed = state.feeds.get(symbol);
  if (feed === undefined || !hear(state, feed, 'trade', monoMs)) return;
  // What a first join replays happened before we were there; a later replay fills the time without a connection.
  const isOld = history && !feed.hasTradeHistory;
  if (history) feed.hasTradeHistory = true;
  for (const trade of trades) {
    if (feed.tradeIds.has(trade.tradeId)) continue;
    rememberTrade(feed, trade.tradeId);
    if (isOld) continue;
    tellAll(effects, {
      type: 'public-trade',
      id: nextEventId(state.config.ids),
      cause: feed.cause,
      symbol,
      ...trade,
    });
    if (history || feed.book.state !== 'synced') continue;
    const ticks = Number(toTicks(trade.price, feed.instrument));
    const testimony = witnessTrade(feed.trust, feed.book, ticks, monoMs);
    if (testimony === 'contradicts')
      distrust(state, effects, feed, 'trades happen far outside the book', monoMs);
    else if (testimony === 'differs') assess(state, effects, feed, monoMs);
  }
};

const rememberTrade = (feed: Feed, tradeId: string): void => {
  feed.tradeIds.add(tradeId);
  if (feed.tradeIds.size <= TRADE_IDS_MAX) return;
  for (const oldest of feed.tradeIds) {
    feed.tradeIds.delete(oldest);
    return;
  }
};

/** A lost difference breaks the chain at once; other channels only lose one observation. */
const onMalformed = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  frame: Extract<PublicFrame, { readonly type: 'malformed' }>,
  monoMs: number,
): void => {
  state.unreported.malformed += 1;
  const feed = frame.symbol === null ? undefined : state.feeds.get(frame.symbol);
  // One line a second at most: a flood of bad frames must not become a flood of lines.
  if (state.unreported.malformed === 1)
    log(effects, 'warn', 'frame-malformed', {
      symbol: feed?.symbol ?? '',
      channel: frame.channel ?? '',
      problem: frame.problem,
    });
  if (feed === undefined || frame.channel !== 'obdiff') return;
  const { phase } = feed.channels.obdiff.state;
  if (phase === 'joining' || phase === 'flowing') distrust(state, effects, feed, frame.problem, monoMs);
};

/* What is said. */

const isStale = (state: MarketDataState, feed: Feed, monoMs: number): boolean =>
  monoMs - (feed.freshMonoMs ?? state.startedMonoMs) > state.config.maxAgeMs;

/** Derives a feed's state, its score and its holds from the facts. */
const assess = (state: MarketDataState, effects: MarketDataEffect[], feed: Feed, monoMs: number): void => {
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
  hold(
    state,
    effects,
    'stale-data',
    feed,
    stale,
    `no proof for ${state.config.maxAgeMs} ms that it is current`,
  );
  const isDoubted = state.socket.phase === 'up' && feed.book.state !== 'empty' && !trusted && !stale;
  if (trusted || isDoubted)
    hold(
      state,
      effects,
      'book-untrusted',
      feed,
      !trusted,
      `${feed.state}: ${feed.reason}; score ${score} of 100`,
    );
};

const enter = (
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

/** Wants or clears a hold when its condition changes. The first word is always said: an earlier run may have left one. */
const hold = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  holdCause: HoldCause,
  feed: Feed | null,
  wanted: boolean,
  detail: string,
): void => {
  const subject = feed?.symbol ?? '';
  const key = holdKey(holdCause, subject);
  const next = wanted ? 'wanted' : 'cleared';
  if (state.holds.get(key) === next) return;
  // A stale book before its first snapshot is news only once the time for it has passed.
  if (!wanted && holdCause === 'stale-data' && feed?.freshMonoMs === null) return;
  state.holds.set(key, next);
  effects.push({
    type: 'hold',
    message: {
      type: wanted ? 'hold-wanted' : 'hold-cleared',
      id: nextEventId(state.config.ids),
      cause: feed?.cause || `socket:${state.connections}:${state.frames}`,
      holdCause,
      subject,
      detail: wanted ? detail : 'the condition has passed',
    },
  });
};

const watchStorm = (state: MarketDataState, effects: MarketDataEffect[], monoMs: number): void => {
  const attempts = attemptsInWindow(state.reconnect, PUBLIC_RECONNECT, monoMs);
  const isStorm = attempts >= STORM_ATTEMPTS && state.reconnect.losses > 0;
  const isCalm = state.reconnect.losses === 0 && attempts < STORM_ATTEMPTS;
  if (isStorm || isCalm)
    hold(state, effects, 'ws-reconnect', null, isStorm, `${attempts} connection attempts in a minute`);
};

const markDirty = (state: MarketDataState, feed: Feed): void => {
  if (feed.dirty) return;
  feed.dirty = true;
  state.dirty.push(feed);
};

/** Publishes the newest book of every symbol that changed since the last batch. */
const publish = (state: MarketDataState, effects: MarketDataEffect[], monoMs: number): void => {
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

const bookOf = (state: MarketDataState, feed: Feed): MarketEvent => ({
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

const statusOf = (state: MarketDataState, feed: Feed): MarketEvent => ({
  type: 'feed-status-changed',
  id: nextEventId(state.config.ids),
  cause: feed.cause || `socket:${state.connections}:${state.frames}`,
  symbol: feed.symbol,
  state: feed.state,
  reason: feed.reason,
});

/* Once a second. */

const everySecond = (state: MarketDataState, effects: MarketDataEffect[], monoMs: number): void => {
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
