/** The public market with a real socket and a clock: the brain of domain/market-data.ts and the frames it lives on. */
import type { Instrument } from '../domain/instrument.js';
import {
  initialMarketData,
  type Listener,
  type MarketDataConfig,
  type MarketDataEffect,
  type MarketDataInput,
  stepMarketData,
} from '../domain/market-data.js';
import type { Now } from '../domain/step.js';
import { createPublicFrameReader, subscriptionFrame } from './public-frames.js';
import { openSocket, type VenueSocket } from './socket.js';
import { createStepLoop } from './step-loop.js';

/** What is left for the feed's owner to do. */
export type PublicFeedEffect = Exclude<
  MarketDataEffect,
  { readonly type: 'open-socket' | 'close-socket' | 'subscribe' | 'instruments-changed' }
>;

export interface PublicFeedOptions {
  readonly wsUrl: string;
  readonly config: MarketDataConfig;
  readonly now: () => Now;
  readonly perform: (effect: PublicFeedEffect) => void;
  /** Every text frame as it arrives, before it is read. */
  readonly onText?: (text: string) => void;
  /** Handles a frame; absent, it is simply handled. */
  readonly guard?: (text: string, handle: () => void) => void;
  /** A connection is about to be asked for. */
  readonly onAttempt?: () => void;
  /** The socket was opened, or ended. */
  readonly onSocket?: (event: 'opened' | 'closed', detail: string) => void;
}

export interface PublicFeed {
  /** To be called every `TICK_MS`; the first call connects. */
  tick(): void;
  /** A listener has (re)started and is to be told where everything stands. */
  listenerJoined(listener: Listener): void;
  /** The answer to the effect `read-instruments`; null when there is none. */
  instrumentsRead(instruments: readonly Instrument[] | null): void;
  /** Drops the socket; nothing is performed any more. */
  close(): void;
}

export const createPublicFeed = (options: PublicFeedOptions): PublicFeed => {
  let reader = createPublicFrameReader(options.config.instruments);
  let state = initialMarketData(options.config, options.now());
  let socket: VenueSocket | null = null;
  let batchEnds = false;
  let closed = false;

  const onText = (text: string): void => {
    options.onText?.(text);
    const handle = (): void => step({ type: 'frame', frame: reader.read(text) });
    if (options.guard === undefined) handle();
    else options.guard(text, handle);
    if (batchEnds) return;
    batchEnds = true;
    // Every frame that is already here is read before the books are published, so a flood ends in the newest picture.
    setImmediate(() => {
      batchEnds = false;
      step({ type: 'batch-end' });
    });
  };

  const perform = (effect: MarketDataEffect): void => {
    switch (effect.type) {
      case 'open-socket':
        options.onAttempt?.();
        socket = openSocket(options.wsUrl, {
          onOpen: () => {
            options.onSocket?.('opened', '');
            step({ type: 'opened' });
          },
          onText,
          onPing: () => {},
          onClosed: detail => {
            options.onSocket?.('closed', detail);
            step({ type: 'closed', detail });
          },
        });
        return;
      case 'close-socket':
        options.onSocket?.('closed', effect.reason);
        socket?.drop();
        socket = null;
        return;
      case 'instruments-changed':
        reader = createPublicFrameReader(effect.instruments);
        return;
      case 'subscribe':
        socket?.send(subscriptionFrame(effect.channel, effect.symbol, effect.join));
        return;
      default:
        options.perform(effect);
    }
  };

  const step = createStepLoop<MarketDataInput, MarketDataEffect>(input => {
    if (closed) return [];
    const stepped = stepMarketData(state, input, options.now());
    state = stepped.state;
    return stepped.effects;
  }, perform);

  return {
    tick: () => step({ type: 'tick' }),
    listenerJoined: listener => step({ type: 'listener-joined', listener }),
    instrumentsRead: instruments => step({ type: 'instruments-read', instruments }),
    close: () => {
      closed = true;
      socket?.drop();
      socket = null;
    },
  };
};
