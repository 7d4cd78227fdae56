/** What each frame does to the books of the market-data brain. */
import {
  initialTrust,
  noteChange,
  type Testimony,
  witnessFullBook,
  witnessTicker,
  witnessTrade,
} from './book-trust.js';
import { toTicks } from './instrument.js';
import { distrust, greet, join } from './market-data-link.js';
import { assess, markDirty, tellAll } from './market-data-report.js';
import {
  type Feed,
  log,
  type MarketDataEffect,
  type MarketDataState,
  RECOVERED_AFTER_MS,
  REFRESH_MS,
  TRADE_IDS_MAX,
} from './market-data-state.js';
import { applyDifference, applySnapshot } from './order-book.js';
import {
  type BookDifferenceFrame,
  type BookSnapshotFrame,
  type FrameTrade,
  PUBLIC_CHANNELS,
  type PublicChannel,
  type PublicFrame,
} from './public-frame.js';
import { noteUseful, PUBLIC_RECONNECT } from './reconnect.js';
import { nextEventId } from './step.js';
import { noteTicker, noteTrades } from './trade-silence.js';

export const onFrame = (
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
      if (feed === undefined || !hear(state, feed, 'ticker', monoMs)) return;
      noteTicker(feed.tradeSilence, frame, feed.channels.trade.lastMonoMs, monoMs);
      if (feed.book.state !== 'synced') return;
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
  noteTrades(feed.tradeSilence, !history);
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
