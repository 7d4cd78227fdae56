/** The market-data actor in a thread of its own, as the supervisor starts it, with ears in the place of its peers. */
import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import * as Comlink from 'comlink';
import type { MarketEvent, MarketWish } from '#src/domain/market-events.js';
import type { FromWorker, ToWorker, WorkerControl } from '#src/messages/control.js';
import type { ToTelemetry } from '#src/messages/telemetry.js';
import { childSpecs } from '#src/supervision/child-spec.js';

export interface MarketDataThreadOptions {
  readonly baseUrl: string;
  readonly wsUrl: string;
  readonly symbols: readonly string[];
  readonly onSaid?: (message: FromWorker) => void;
  /** 1, the first start, when absent. */
  readonly incarnation?: number;
}

export interface MarketDataThread {
  /** Comlink's proxy: keep it as long as a call is under way. */
  readonly control: Comlink.Remote<WorkerControl>;
  /** Connects a peer's port: `heard` is told what the peer would be told; what is returned says what a strategy would. */
  connect(peer: 'strategy' | 'execution', heard: (event: MarketEvent) => void): (wish: MarketWish) => void;
  connect(peer: 'telemetry', heard: (event: ToTelemetry) => void): unknown;
  /** Its exit code. */
  readonly exited: Promise<number>;
  /** What its thread's heap holds, and what that has taken from the system, with array buffers and the like; bytes. */
  memory(): Promise<{ readonly used: number; readonly committed: number }>;
  terminate(): Promise<number>;
}

export const startMarketDataThread = (options: MarketDataThreadOptions): MarketDataThread => {
  const control = new MessageChannel();
  const surface = new MessageChannel();
  const spec = childSpecs({ mode: 'paper' }).find(({ actor }) => actor === 'market-data');
  if (spec === undefined) throw new Error('there is no market-data actor');
  const worker = new Worker(new URL('../../workers/market-data.js', import.meta.url), {
    workerData: {
      boot: {
        actor: 'market-data',
        incarnation: options.incarnation ?? 1,
        settings: { symbols: options.symbols, maxMarketDataAgeMs: 5_000, wsIdleReconnectMs: 30_000 },
        publicEndpoints: { baseUrl: options.baseUrl, graphUrl: options.baseUrl, wsUrl: options.wsUrl },
        credentials: null,
        facts: {},
        terminal: false,
      },
      ports: { control: control.port2, surface: surface.port2 },
    },
    transferList: [control.port2, surface.port2],
    resourceLimits: spec.resourceLimits,
  });
  const { onSaid } = options;
  if (onSaid !== undefined) control.port1.on('message', onSaid);
  const ports: MessagePort[] = [];
  return {
    control: Comlink.wrap<WorkerControl>(surface.port1 as unknown as Comlink.Endpoint),
    connect(peer, heard) {
      const channel = new MessageChannel();
      const message: ToWorker = { type: 'peer-connected', peer, incarnation: 1, port: channel.port2 };
      control.port1.postMessage(message, [channel.port2]);
      const tell = heard as (event: unknown) => void;
      // What is said in one turn of the actor's loop travels together.
      channel.port1.on('message', (arrived: unknown) => {
        if (Array.isArray(arrived)) for (const event of arrived) tell(event);
        else tell(arrived);
      });
      ports.push(channel.port1);
      return (wish: MarketWish): void => channel.port1.postMessage(wish);
    },
    exited: once(worker, 'exit').then(([code]) => {
      for (const port of [control.port1, surface.port1, ...ports]) port.close();
      return code as number;
    }),
    memory: async () => {
      const heap = await worker.getHeapStatistics();
      return {
        used: heap.used_heap_size + heap.external_memory,
        committed: heap.total_physical_size + heap.external_memory,
      };
    },
    terminate: () => worker.terminate(),
  };
};
