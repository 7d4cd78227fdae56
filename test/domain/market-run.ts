/** A market-data brain under a clock of the test's own, with what it did sorted for reading. */
import { createPublicFrameReader } from '#src/btcturk/public-frames.js';
import type { BookView } from '#src/domain/book-view.js';
import type { Instrument } from '#src/domain/instrument.js';
import {
  initialMarketData,
  type MarketDataEffect,
  type MarketDataInput,
  stepMarketData,
} from '#src/domain/market-data.js';
import type { MarketEvent } from '#src/domain/market-events.js';
import { eventIds } from '#src/domain/step.js';
import { instrument } from '../btcturk/fixtures.js';

export const BTC = instrument({ priceScale: 2, quantityScale: 4 });
export const ETH = instrument({
  symbol: 'ETHUSDT',
  pairId: 20,
  base: 'ETH',
  priceScale: 2,
  quantityScale: 4,
});

export const VERSION = '[991,{"type":991,"current":"6.0.0","min":"2.3.0"}]';

export const runMarket = (
  instruments: readonly Instrument[] = [BTC],
  options: {
    readonly seed?: number;
    readonly forgottenAttempts?: number;
    readonly earlierAttempts?: readonly number[];
  } = {},
) => {
  const reader = createPublicFrameReader(instruments);
  let monoMs = 1_000;
  let state = initialMarketData(
    {
      instruments,
      maxAgeMs: 5_000,
      idleReconnectMs: 30_000,
      seed: options.seed ?? 1,
      forgottenAttempts: options.forgottenAttempts ?? 0,
      earlierAttempts: options.earlierAttempts ?? [],
      ids: eventIds('market-data', 1),
    },
    { monoMs, wallMs: 0 },
  );
  const run = {
    /** Everything it did since the last `forget`. */
    effects: [] as MarketDataEffect[],
    get monoMs(): number {
      return monoMs;
    },
    step(input: MarketDataInput): readonly MarketDataEffect[] {
      const stepped = stepMarketData(state, input, { monoMs, wallMs: 0 });
      state = stepped.state;
      run.effects.push(...stepped.effects);
      return stepped.effects;
    },
    /** Frames that arrive together. */
    frames(...texts: readonly string[]): readonly MarketDataEffect[] {
      const effects = texts.flatMap(text => [...run.step({ type: 'frame', frame: reader.read(text) })]);
      return [...effects, ...run.step({ type: 'batch-end' })];
    },
    /** Ticks through `ms`; `each` is called after every tick. */
    wait(ms: number, each: () => void = () => {}): readonly MarketDataEffect[] {
      const effects: MarketDataEffect[] = [];
      for (const end = monoMs + ms; monoMs < end; ) {
        monoMs = Math.min(end, monoMs + 50);
        effects.push(...run.step({ type: 'tick' }));
        each();
      }
      return effects;
    },
    /** Waits until it connects, and greets it. */
    connect(): readonly MarketDataEffect[] {
      let effects: readonly MarketDataEffect[] = run.step({ type: 'tick' });
      while (!effects.some(({ type }) => type === 'open-socket')) effects = run.wait(50);
      run.step({ type: 'opened' });
      return run.frames(VERSION);
    },
    forget(): void {
      run.effects = [];
    },
  };
  return run;
};
export type MarketRun = ReturnType<typeof runMarket>;

/** What strategy was told; execution is told the same. */
export const told = (effects: readonly MarketDataEffect[]): readonly MarketEvent[] =>
  effects.flatMap(effect => (effect.type === 'tell' && effect.to === 'strategy' ? [effect.message] : []));
export const books = (effects: readonly MarketDataEffect[]): readonly BookView[] =>
  told(effects).flatMap(message => (message.type === 'book-updated' ? [message.book] : []));
export const statuses = (effects: readonly MarketDataEffect[]): readonly string[] =>
  told(effects).flatMap(message => (message.type === 'feed-status-changed' ? [message.state] : []));
/** `+obdiff:BTCUSDT` for a join, `-…` for a leave. */
export const subscriptions = (effects: readonly MarketDataEffect[]): readonly string[] =>
  effects.flatMap(effect =>
    effect.type === 'subscribe' ? [`${effect.join ? '+' : '-'}${effect.channel}:${effect.symbol}`] : [],
  );
/** `+stale-data:BTCUSDT` for a hold that is wanted, `-…` for one that is cleared. */
export const holds = (effects: readonly MarketDataEffect[]): readonly string[] =>
  effects.flatMap(effect =>
    effect.type === 'hold'
      ? [
          `${effect.message.type === 'hold-wanted' ? '+' : '-'}${effect.message.holdCause}${
            effect.message.subject === '' ? '' : `:${effect.message.subject}`
          }`,
        ]
      : [],
  );
export const socketEffects = (effects: readonly MarketDataEffect[]): readonly string[] =>
  effects.flatMap(({ type }) => (type === 'open-socket' || type === 'close-socket' ? [type] : []));
