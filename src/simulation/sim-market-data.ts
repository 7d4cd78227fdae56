/** The market-data actor in a simulated world: workers/market-data.ts over the simulated network. */
import { createPublicFrameReader, subscriptionFrame } from '../btcturk/public-frames.js';
import { createStepLoop } from '../btcturk/step-loop.js';
import {
  initialMarketData,
  type Listener,
  type MarketDataEffect,
  type MarketDataInput,
  type MarketDataState,
  stepMarketData,
} from '../domain/market-data.js';
import { performCommon } from '../runtime/perform.js';
import type { ReconciliationNetwork } from './sim-reconciliation.js';
import type { SimSocket } from './sim-socket.js';
import type { SimActor } from './worker-tree.js';

/** As the start of workers/market-data.ts. */
const START_READS_MAX = 3;
const START_READ_PAUSE_MS = 1_000;
/** Fewer than workers/market-data.ts assumes after a restart: seeds were drawn with it. */
const FORGOTTEN_ATTEMPTS = 2;

export const simMarketData =
  (network: ReconciliationNetwork): SimActor =>
  context => {
    const { settings, incarnation } = context.boot;
    const rest = network.rest(context);
    const listeners = new Set<Listener>();
    let state: MarketDataState | null = null;
    let socket: SimSocket | null = null;
    let reader = createPublicFrameReader([]);
    let batchEnds = false;

    const onText = (text: string): void => {
      step({ type: 'frame', frame: reader.read(text) });
      if (batchEnds) return;
      batchEnds = true;
      context.after(0, 'market-data batch end', () => {
        batchEnds = false;
        step({ type: 'batch-end' });
      });
    };

    const perform = (effect: MarketDataEffect): void => {
      switch (effect.type) {
        case 'tell':
          context.send(effect.to, effect.message as never);
          return;
        case 'open-socket':
          socket = network.socket(
            {
              onOpen: () => step({ type: 'opened' }),
              onText,
              onPing: () => {},
              onClosed: detail => step({ type: 'closed', detail }),
            },
            context,
          );
          return;
        case 'close-socket':
          socket?.drop();
          socket = null;
          return;
        case 'subscribe':
          socket?.send(subscriptionFrame(effect.channel, effect.symbol, effect.join));
          return;
        case 'read-instruments':
          rest.ask({ type: 'instruments', symbols: settings.symbols }, ({ result }) => {
            const read =
              result.ok && result.value !== null && 'instruments' in result.value
                ? result.value.instruments.filter(({ symbol }) => settings.symbols.includes(symbol))
                : null;
            step({ type: 'instruments-read', instruments: read });
          });
          return;
        case 'instruments-changed':
          reader = createPublicFrameReader(effect.instruments);
          return;
        default:
          performCommon(context, effect);
      }
    };

    const step = createStepLoop<MarketDataInput, MarketDataEffect>(input => {
      if (state === null) return [];
      const stepped = stepMarketData(state, input, context.now());
      state = stepped.state;
      return stepped.effects;
    }, perform);

    const readInstruments = (
      tries: number,
      ready: (facts: Readonly<Record<string, string>>) => void,
      failed: (reason: string, exitCode: number) => void,
    ): void =>
      rest.ask({ type: 'instruments', symbols: settings.symbols }, ({ result }) => {
        if (!result.ok || result.value === null || !('instruments' in result.value)) {
          if (tries >= START_READS_MAX) failed("cannot read the venue's instruments", 1);
          else
            context.after(START_READ_PAUSE_MS, 'market-data reads again', () =>
              readInstruments(tries + 1, ready, failed),
            );
          return;
        }
        const bySymbol = new Map(result.value.instruments.map(each => [each.symbol, each]));
        const instruments = settings.symbols.flatMap(symbol => bySymbol.get(symbol) ?? []);
        reader = createPublicFrameReader(instruments);
        state = initialMarketData(
          {
            instruments,
            maxAgeMs: settings.maxMarketDataAgeMs,
            idleReconnectMs: settings.wsIdleReconnectMs,
            seed: incarnation,
            forgottenAttempts: incarnation > 1 ? FORGOTTEN_ATTEMPTS : 0,
            ids: context.ids,
          },
          context.now(),
        );
        for (const listener of listeners) step({ type: 'listener-joined', listener });
        step({ type: 'tick' });
        ready({});
      });

    return {
      start: (ready, failed) => readInstruments(1, ready, failed),
      onMessage: () => {},
      onControl: message => {
        if (message.type !== 'peer-connected') return;
        if (message.peer !== 'strategy' && message.peer !== 'execution') return;
        listeners.add(message.peer);
        step({ type: 'listener-joined', listener: message.peer });
      },
      onTick: () => step({ type: 'tick' }),
      drain: done => {
        state = null;
        socket?.drop();
        done();
      },
    };
  };
