/** The connection of the market-data brain and its channels: made, watched, left and made again. */
import { initialTrust } from './book-trust.js';
import { assess, enter, isStale } from './market-data-report.js';
import {
  type Feed,
  FIRST_FRAME_DEADLINE_MS,
  GREETING_DEADLINE_MS,
  JOINS_AT_ONCE,
  LEAVE_DEADLINE_MS,
  LONELY_REST_MS,
  log,
  type MarketDataEffect,
  type MarketDataState,
  PROMPT,
  QUIET_REJOIN_MS,
  RESYNCS_MAX,
  TICKER_SILENCE_MS,
} from './market-data-state.js';
import { breakBook } from './order-book.js';
import { PUBLIC_CHANNELS, type PublicChannel } from './public-frame.js';
import { attemptAfterLoss, noteAttempt, PUBLIC_RECONNECT } from './reconnect.js';
import { initialTradeSilence, isMute } from './trade-silence.js';

export const connect = (state: MarketDataState, effects: MarketDataEffect[], monoMs: number): void => {
  noteAttempt(state.reconnect, PUBLIC_RECONNECT, monoMs);
  state.socket = { phase: 'greeting', deadlineMonoMs: monoMs + GREETING_DEADLINE_MS };
  state.connections += 1;
  state.lastFrameMonoMs = monoMs;
  effects.push({ type: 'open-socket' });
  for (const feed of state.feeds.values()) enter(state, effects, feed, 'connecting', 'connecting');
};

export const replaceSocket = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  reason: string,
  monoMs: number,
): void => {
  effects.push({ type: 'close-socket', reason });
  lose(state, effects, reason, monoMs);
};

export const lose = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  reason: string,
  monoMs: number,
): void => {
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
    feed.tradeSilence = { ...initialTradeSilence(), rejoins: feed.tradeSilence.rejoins };
    enter(state, effects, feed, 'disconnected', reason);
    assess(state, effects, feed, monoMs);
  }
};

export const greet = (state: MarketDataState, effects: MarketDataEffect[], monoMs: number): void => {
  if (state.socket.phase !== 'greeting') return;
  state.socket = { phase: 'up' };
  log(effects, 'info', 'market-data-connected', { connection: state.connections });
  // Books first for all symbols: they are what everybody waits for.
  for (const name of PUBLIC_CHANNELS)
    for (const feed of state.feeds.values()) state.joins.push({ feed, channel: name });
  sendJoins(state, effects, monoMs);
};

export const sendJoins = (state: MarketDataState, effects: MarketDataEffect[], monoMs: number): void => {
  if (state.joins.length === 0) return;
  for (const { feed, channel: name } of state.joins.splice(0, JOINS_AT_ONCE))
    join(effects, feed, name, 1, monoMs);
};

export const join = (
  effects: MarketDataEffect[],
  feed: Feed,
  name: PublicChannel,
  attempt: number,
  monoMs: number,
): void => {
  // A quiet channel may have nothing to show: its join is only repeated, which is harmless (protocol section 9.3).
  const patienceMs = PROMPT.has(name) ? FIRST_FRAME_DEADLINE_MS : QUIET_REJOIN_MS;
  feed.channels[name].state = { phase: 'joining', attempt, deadlineMonoMs: monoMs + patienceMs };
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

export const watchChannels = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  feed: Feed,
  monoMs: number,
): void => {
  for (const name of PUBLIC_CHANNELS) {
    const current = feed.channels[name].state;
    if (current.phase === 'leaving' && monoMs >= current.deadlineMonoMs)
      join(effects, feed, name, current.attempt + 1, monoMs);
    else if (current.phase === 'joining' && monoMs >= current.deadlineMonoMs) {
      if (PROMPT.has(name)) onNoFirstFrame(state, effects, feed, name, current.attempt, monoMs);
      else join(effects, feed, name, current.attempt + 1, monoMs);
    } else if (current.phase === 'resting' && monoMs >= current.untilMonoMs)
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
  if (isMute(feed.tradeSilence, monoMs)) onMuteTrades(state, effects, feed, monoMs);
  if (state.socket.phase !== 'up') return;
  if (feed.book.state === 'synced' && isStale(state, feed, monoMs) && monoMs >= feed.nextResyncMonoMs) {
    feed.nextResyncMonoMs = monoMs + TICKER_SILENCE_MS;
    distrust(state, effects, feed, 'no proof that the book is current', monoMs);
  }
};

/** The ticker shows trades that the trade channel does not: join it again, and replace the socket when that does not help. */
const onMuteTrades = (
  state: MarketDataState,
  effects: MarketDataEffect[],
  feed: Feed,
  monoMs: number,
): void => {
  const { tradeSilence: silence } = feed;
  silence.unheardSinceMonoMs = null;
  const { phase } = feed.channels.trade.state;
  if (phase !== 'joining' && phase !== 'flowing') return;
  silence.rejoins += 1;
  const { rejoins } = silence;
  log(effects, 'warn', 'trades-unheard', { symbol: feed.symbol, rejoins });
  if (rejoins <= RESYNCS_MAX) leave(effects, feed, 'trade', 0, monoMs);
  else {
    silence.rejoins = 0;
    giveUp(state, effects, feed, 'trade', 'the ticker shows trades that it does not', monoMs);
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
export const distrust = (
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
