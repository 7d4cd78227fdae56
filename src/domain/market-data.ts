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
 * - Never more connection attempts in any minute than its share of the ten that an address may make.
 * - The venue's list of the symbols is read again and again: whoever listens knows when a pair stops trading.
 * - Whoever listens hears of every change of a feed's state, and of the newest book of each batch of frames.
 */
import { onFrame } from './market-data-frames.js';
import { onInstrumentsRead, watchInstruments } from './market-data-instruments.js';
import { connect, lose, replaceSocket, sendJoins, watchChannels } from './market-data-link.js';
import {
  assess,
  bookOf,
  everySecond,
  instrumentsOf,
  publish,
  statusOf,
  tell,
  watchStorm,
} from './market-data-report.js';
import {
  GREETING_DEADLINE_MS,
  type MarketDataEffect,
  type MarketDataInput,
  type MarketDataState,
} from './market-data-state.js';
import type { Now, Stepped } from './step.js';

export {
  initialMarketData,
  type Listener,
  type MarketDataConfig,
  type MarketDataEffect,
  type MarketDataInput,
  type MarketDataState,
} from './market-data-state.js';

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
    case 'instruments-read':
      onInstrumentsRead(state, effects, input.instruments, now.monoMs);
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
  watchInstruments(state, effects, monoMs);
  while (monoMs >= state.nextSecondMonoMs) everySecond(state, effects, monoMs);
};
