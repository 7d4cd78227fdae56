/**
 * A worker that shows how messages travel: as market-data it talks to its strategy at once, as strategy or execution it
 * says what it heard, and execution reads nothing of a new peer before its gate is open, and logs what it is told.
 */
import { workerData } from 'node:worker_threads';
import type { MarketEvent } from '#src/domain/market-events.js';
import type { LogLine } from '#src/messages/telemetry.js';
import { hostActor } from '#src/runtime/actor-host.js';
import type { WorkerBoot } from '#src/runtime/settings.js';

const { boot, gate } = workerData as { readonly boot: WorkerBoot; readonly gate?: SharedArrayBuffer };

const named = (id: string): MarketEvent => ({ type: 'instruments-listed', id, cause: id, instruments: [] });

const nothing = { start: async () => ({}), onMessage: () => {}, drain: async () => {}, snapshot: () => null };

if (boot.actor === 'market-data')
  hostActor('market-data', context => ({
    ...nothing,
    onControl(message) {
      if (message.type !== 'peer-connected') return;
      context.sendTogether('strategy', named('first'));
      context.sendTogether('strategy', named('second'));
      context.send('strategy', named('third'));
      context.sendTogether('strategy', named('fourth'));
    },
  }));
else if (boot.actor === 'execution')
  hostActor('execution', context => ({
    ...nothing,
    onMessage(from, message: MarketEvent) {
      context.toSupervisor({ type: 'status-reported', facts: { from, id: message.id } });
    },
    onControl(message) {
      if (message.type === 'control-state') {
        context.metric({ type: 'metric', kind: 'gauge', name: 'btcbot_safe_mode', value: message.epoch });
        context.log('warn', 'told', { epoch: message.epoch });
        context.toSupervisor({ type: 'status-reported', facts: { epoch: message.epoch } });
      }
      if (message.type === 'peer-connected' && gate !== undefined) Atomics.wait(new Int32Array(gate), 0, 0);
    },
  }));
else if (boot.actor === 'telemetry')
  hostActor('telemetry', context => ({
    ...nothing,
    onMessage(_from, message: LogLine) {
      context.toSupervisor({ type: 'status-reported', facts: { event: message.event } });
    },
  }));
else
  hostActor('strategy', context => ({
    ...nothing,
    onMessage(from, message: MarketEvent) {
      context.toSupervisor({ type: 'status-reported', facts: { from, id: message.id } });
    },
  }));
