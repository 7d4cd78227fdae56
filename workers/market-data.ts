/** The market-data actor: the public feed, its books told to strategy and execution. */
import { randomInt } from 'node:crypto';
import { readListedInstruments, rereadInstruments } from '#src/btcturk/listed-instruments.js';
import { createMarketWishes, type MarketWishes } from '#src/btcturk/market-wishes.js';
import { createPublicFeed, type PublicFeed } from '#src/btcturk/public-feed.js';
import { createRestClient } from '#src/btcturk/rest-client.js';
import type { Listener } from '#src/domain/market-data.js';
import type { MarketWish } from '#src/domain/market-events.js';
import { hostActor } from '#src/runtime/actor-host.js';
import { openAttemptLog } from '#src/runtime/attempt-log.js';
import { performCommon } from '#src/runtime/perform.js';

hostActor('market-data', context => {
  const { boot } = context;
  const attemptLog = openAttemptLog(boot.scratch);
  // An embedded exchange that was started again itself remembers no connection.
  if ((boot.earlierStarts ?? boot.incarnation - 1) === 0) attemptLog.forget();
  const listeners = new Set<Listener>();
  let feed: PublicFeed | null = null;
  let wishes: MarketWishes | null = null;
  let facts: Readonly<Record<string, unknown>> = {};

  return {
    async start() {
      const client = createRestClient({
        endpoints: boot.publicEndpoints,
        credentials: null,
        ...context.restraint,
      });
      wishes = createMarketWishes({
        client,
        symbols: boot.settings.symbols,
        ids: context.ids,
        now: context.now,
        cold: boot.incarnation > 1,
        tell: answer => void context.send('strategy', answer),
      });
      try {
        const instruments = await readListedInstruments(
          client,
          boot.settings.symbols,
          () => context.now().monoMs,
          boot.incarnation === 1 ? 'refused' : 'left-out',
        );
        const missing = boot.settings.symbols.filter(
          wanted => !instruments.some(({ symbol }) => symbol === wanted),
        );
        if (missing.length > 0) context.log('error', 'instruments-not-listed', { symbols: missing });
        feed = createPublicFeed({
          wsUrl: boot.publicEndpoints.wsUrl,
          now: context.now,
          onAttempt: () => attemptLog.note(context.now().monoMs),
          guard: (text, handle) => context.guarded('public-frame', text, handle),
          config: {
            instruments,
            maxAgeMs: boot.settings.maxMarketDataAgeMs,
            idleReconnectMs: boot.settings.wsIdleReconnectMs,
            seed: randomInt(2 ** 32),
            forgottenAttempts: 0,
            earlierAttempts: attemptLog.attempts(),
            ids: context.ids,
          },
          perform: effect => {
            if (effect.type === 'status') facts = effect.facts;
            if (effect.type === 'tell') {
              context.sendTogether(effect.to, effect.message);
              // What everybody is told, the twin hears too.
              if (effect.to === 'execution') context.sendTogether('twin', effect.message);
            } else if (effect.type === 'read-instruments')
              void rereadInstruments(client, boot.settings.symbols).then(read => feed?.instrumentsRead(read));
            else performCommon(context, effect);
          },
        });
      } catch (error) {
        await wishes.close();
        throw error;
      }
      // Those who came while the venue was being asked have heard nothing yet.
      for (const listener of listeners) feed.listenerJoined(listener);
      feed.tick();
      return {};
    },
    onMessage(from, message: MarketWish) {
      if (from === 'strategy') wishes?.wish(message);
    },
    onControl: message => {
      if (message.type !== 'peer-connected') return;
      if (message.peer !== 'strategy' && message.peer !== 'execution' && message.peer !== 'twin') return;
      if (message.peer === 'strategy') wishes?.forget();
      listeners.add(message.peer);
      feed?.listenerJoined(message.peer);
    },
    onTick() {
      feed?.tick();
      wishes?.tick();
    },
    async drain() {
      feed?.close();
      feed = null;
      await wishes?.close();
    },
    snapshot: () => facts,
  };
});
