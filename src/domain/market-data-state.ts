/** What the market-data brain keeps, what it takes in and what it asks for; the limits it works with. */
import { type BookTrust, initialTrust } from './book-trust.js';
import type { CommonEffect, Tell } from './effects.js';
import type { Instrument } from './instrument.js';
import type { FeedState, MarketEvent } from './market-events.js';
import { initialOrderBook, type OrderBook } from './order-book.js';
import type { PublicChannel, PublicFrame } from './public-frame.js';
import {
  attemptAfterLoss,
  attemptAfterRestart,
  initialReconnect,
  PUBLIC_RECONNECT,
  type ReconnectState,
} from './reconnect.js';
import type { EventIds, LogLevel, Now } from './step.js';
import { initialTradeSilence, type TradeSilence } from './trade-silence.js';

export interface MarketDataConfig {
  /** The symbols to follow, each with its instrument. */
  readonly instruments: readonly Instrument[];
  /** A book without proof of freshness for this long is stale. */
  readonly maxAgeMs: number;
  /** Silence of the whole socket that replaces it. */
  readonly idleReconnectMs: number;
  /** Spreads reconnects. */
  readonly seed: number;
  /** Connections an earlier incarnation may just have made, where nobody kept when; 0 at the first start. */
  readonly forgottenAttempts: number;
  /** When earlier incarnations connected, monotonic ms, oldest first, where that was kept. */
  readonly earlierAttempts?: readonly number[];
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
  /** The venue's list, asked for by `read-instruments`: what it says of the followed symbols now; null when unread. */
  | { readonly type: 'instruments-read'; readonly instruments: readonly Instrument[] | null }
  /** A listener has (re)started and knows nothing. */
  | { readonly type: 'listener-joined'; readonly listener: Listener }
  | { readonly type: 'tick' };

export type Listener = 'strategy' | 'execution' | 'twin';

export type MarketDataEffect =
  | CommonEffect
  | Tell<Listener, MarketEvent>
  | { readonly type: 'open-socket' }
  | { readonly type: 'close-socket'; readonly reason: string }
  /** Ask the venue for its list; the answer is `instruments-read`. */
  | { readonly type: 'read-instruments' }
  /** Frames are to be read by these scales from now on. */
  | { readonly type: 'instruments-changed'; readonly instruments: readonly Instrument[] }
  | {
      readonly type: 'subscribe';
      readonly channel: PublicChannel;
      readonly symbol: string;
      readonly join: boolean;
    };

/** The handshake, and then the version notice (991), must be there within this. */
export const GREETING_DEADLINE_MS = 5_000;
/** A joined channel must show its first frame within this. */
export const FIRST_FRAME_DEADLINE_MS = 5_000;
/** A channel that need not speak soon is joined again after this long without a frame, in case the join was lost. */
export const QUIET_REJOIN_MS = 60_000;
/** After a leave, its ack is waited for no longer than this. */
export const LEAVE_DEADLINE_MS = 1_000;
/** Joins sent at one step, so that hundreds of pairs do not flood the venue. */
export const JOINS_AT_ONCE = 40;
/** Failed resyncs of one symbol in a row that replace the socket. */
export const RESYNCS_MAX = 2;
/** A book that has stayed in sync for this long has recovered. */
export const RECOVERED_AFTER_MS = 30_000;
/** How long a channel rests whose trouble a new socket did not cure, so that it leaves the others alone. */
export const LONELY_REST_MS = 30_000;
/** A channel that should repeat itself, and has been silent this long, is joined again. */
export const TICKER_SILENCE_MS = 10_000;
/** An unchanged book is published again at most this often, to show that it is still fresh. */
export const REFRESH_MS = 500;
/** Trade ids remembered for each symbol: more than the 50 a join replays. */
export const TRADE_IDS_MAX = 200;
/** Slices of one second behind `stale_market_data_rate`. */
export const SLICES = 300;
/** Symbols whose ages and facts are reported one by one; beyond, labels would grow without bound. */
export const REPORTED_SYMBOLS_MAX = 25;

/** The venue's list is read this often: limits move with the price, and pairs stop trading (protocol section 4.2). */
export const INSTRUMENTS_INTERVAL_MS = 60_000;
/** A question for the list without an answer is forgotten after this long. */
export const INSTRUMENTS_DEADLINE_MS = 30_000;
/** The status of a followed symbol that the venue's list no longer has. */
export const NOT_LISTED = 'not listed';

/** Channels that show a first frame soon after a join; the others speak only when something happens. */
export const PROMPT: ReadonlySet<PublicChannel> = new Set(['obdiff', 'ticker']);

type ChannelPhase =
  | { readonly phase: 'left' }
  | { readonly phase: 'joining'; readonly deadlineMonoMs: number; readonly attempt: number }
  | { readonly phase: 'leaving'; readonly deadlineMonoMs: number; readonly attempt: number }
  | { readonly phase: 'flowing' }
  /** Left for a while: it did not recover, and a new socket did not help. */
  | { readonly phase: 'resting'; readonly untilMonoMs: number };

export interface Channel {
  state: ChannelPhase;
  /** When its last readable frame arrived; null before the first of this connection. */
  lastMonoMs: number | null;
}

export interface Feed {
  instrument: Instrument;
  readonly symbol: string;
  book: OrderBook;
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
  tradeSilence: TradeSilence;
  hasTradeHistory: boolean;
  /** The feed's holds, as last told; null before the first word. */
  readonly told: { stale: HoldWord | null; untrusted: HoldWord | null };
}

/** What the supervisor was last told of a hold. */
export type HoldWord = 'wanted' | 'cleared';

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
  /** The followed symbols as the venue last listed them. */
  instruments: readonly Instrument[];
  nextInstrumentsMonoMs: number;
  /** When the question under way was asked; null when there is none. */
  instrumentsAskedMonoMs: number | null;
  /** The hold on reconnect storms, as last told. */
  stormTold: HoldWord | null;
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
    socket: {
      phase: 'waiting',
      // Attempts that are not known may have been many: then the first one waits its turn like any other.
      retryAtMonoMs:
        config.forgottenAttempts === 0
          ? attemptAfterRestart(reconnect, PUBLIC_RECONNECT, config.earlierAttempts ?? [], now.monoMs)
          : attemptAfterLoss(reconnect, PUBLIC_RECONNECT, now.monoMs),
    },
    reconnect,
    connections: 0,
    frames: 0,
    lastFrameMonoMs: now.monoMs,
    feeds: new Map(config.instruments.map(instrument => [instrument.symbol, initialFeed(instrument)])),
    dirty: [],
    joins: [],
    instruments: config.instruments,
    nextInstrumentsMonoMs: now.monoMs + INSTRUMENTS_INTERVAL_MS,
    instrumentsAskedMonoMs: null,
    stormTold: null,
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
  tradeSilence: initialTradeSilence(),
  hasTradeHistory: false,
  told: { stale: null, untrusted: null },
});

export const log = (
  effects: MarketDataEffect[],
  level: LogLevel,
  event: string,
  fields: Readonly<Record<string, unknown>>,
): void => {
  effects.push({ type: 'log', level, event, fields });
};
