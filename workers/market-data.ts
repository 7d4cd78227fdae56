/** The market-data actor: the brain of src/domain/market-data.ts with the venue's public socket. */
import { randomInt } from 'node:crypto';
import { createPublicFrameReader, subscriptionFrame } from '#src/btcturk/public-frames.js';
import { createRestClient } from '#src/btcturk/rest-client.js';
import { openSocket, type VenueSocket } from '#src/btcturk/socket.js';
import { createStepLoop } from '#src/btcturk/step-loop.js';
import type { Instrument } from '#src/domain/instrument.js';
import {
  initialMarketData,
  type Listener,
  type MarketDataEffect,
  type MarketDataInput,
  type MarketDataState,
  stepMarketData,
} from '#src/domain/market-data.js';
import { hostActor } from '#src/runtime/actor-host.js';
import { performCommon } from '#src/runtime/perform.js';
import type { WorkerBoot } from '#src/runtime/settings.js';

/** Tries of the one read a start needs; each ends by itself within 9 s, most failures at once. */
const START_READS_MAX = 3;
const START_READ_PAUSE_MS = 1_000;
/** No further try after this: the last one ends before the time a worker has to start. */
const START_READS_UNTIL_MS = 6_000;
/** Connections an incarnation that crashed may just have made. */
const FORGOTTEN_ATTEMPTS = 2;

hostActor('market-data', context => {
  const { boot } = context;
  const listeners = new Set<Listener>();
  let state: MarketDataState | null = null;
  let socket: VenueSocket | null = null;
  let reader = createPublicFrameReader([]);
  let batchEnds = false;

  const onText = (text: string): void => {
    step({ type: 'frame', frame: reader.read(text) });
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
      case 'tell':
        context.send(effect.to, effect.message);
        return;
      case 'open-socket':
        socket = openSocket(boot.publicEndpoints.wsUrl, {
          onOpen: () => step({ type: 'opened' }),
          onText,
          onPing: () => {},
          onClosed: detail => step({ type: 'closed', detail }),
        });
        return;
      case 'close-socket':
        socket?.drop();
        socket = null;
        return;
      case 'subscribe':
        socket?.send(subscriptionFrame(effect.channel, effect.symbol, effect.join));
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

  return {
    async start() {
      const instruments = await readInstruments(boot, context.now);
      reader = createPublicFrameReader(instruments);
      state = initialMarketData(
        {
          instruments,
          maxAgeMs: boot.settings.maxMarketDataAgeMs,
          idleReconnectMs: boot.settings.wsIdleReconnectMs,
          seed: randomInt(2 ** 32),
          forgottenAttempts: boot.incarnation > 1 ? FORGOTTEN_ATTEMPTS : 0,
          ids: context.ids,
        },
        context.now(),
      );
      // Those who came while the venue was being asked have heard nothing yet.
      for (const listener of listeners) step({ type: 'listener-joined', listener });
      step({ type: 'tick' });
      return {};
    },
    onMessage: () => {},
    onControl: message => {
      if (message.type !== 'peer-connected') return;
      if (message.peer !== 'strategy' && message.peer !== 'execution') return;
      listeners.add(message.peer);
      step({ type: 'listener-joined', listener: message.peer });
    },
    onTick: () => step({ type: 'tick' }),
    async drain() {
      state = null;
      socket?.drop();
      socket = null;
    },
    snapshot: () =>
      state === null ? null : { socket: state.socket, connections: state.connections, frames: state.frames },
  };
});

/**
 * The instruments of the followed symbols, in their order.
 * @throws when the venue cannot be read, or does not list one of them: there is nothing to follow then.
 */
const readInstruments = async (
  boot: WorkerBoot,
  now: () => { readonly monoMs: number },
): Promise<readonly Instrument[]> => {
  const client = createRestClient({ endpoints: boot.publicEndpoints, credentials: null });
  try {
    const giveUpMonoMs = now().monoMs + START_READS_UNTIL_MS;
    for (let tries = 1; ; tries++) {
      const result = await client.read({ type: 'instruments' });
      if (result.ok)
        return pick(boot.settings.symbols, result.value.instruments, result.value.problems ?? []);
      if (tries >= START_READS_MAX || now().monoMs + START_READ_PAUSE_MS >= giveUpMonoMs)
        throw new Error(
          `cannot read the venue's instruments at ${boot.publicEndpoints.baseUrl}: ${JSON.stringify(result.failure)}`,
        );
      await new Promise(resolve => setTimeout(resolve, START_READ_PAUSE_MS));
    }
  } finally {
    await client.close();
  }
};

const pick = (
  symbols: readonly string[],
  listed: readonly Instrument[],
  problems: readonly string[],
): readonly Instrument[] => {
  const bySymbol = new Map(listed.map(instrument => [instrument.symbol, instrument]));
  const missing = symbols.filter(symbol => !bySymbol.has(symbol));
  if (missing.length === 0) return symbols.flatMap(symbol => bySymbol.get(symbol) ?? []);
  const reasons = problems.filter(problem => missing.some(symbol => problem.startsWith(`${symbol}:`)));
  throw new Error(
    `SYMBOLS names ${missing.join(', ')}, which the venue does not list${reasons.length === 0 ? '' : ` readably (${reasons.join('; ')})`}`,
  );
};
