/** The real reconciliation worker on a real thread, against the embedded exchange, with the test as its peers. */
import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import * as Comlink from 'comlink';
import { createRestClient, type RestClient } from '#src/btcturk/rest-client.js';
import type { AccountReport } from '#src/domain/account-events.js';
import type { Instrument } from '#src/domain/instrument.js';
import { parseDecimal } from '#src/domain/money.js';
import type { Order } from '#src/domain/order.js';
import { type ActorName, eventIds, nextEventId } from '#src/domain/step.js';
import type { FaultSpec } from '#src/exchange/faults.js';
import { parseFault } from '#src/exchange/faults.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import type { FromWorker, ToWorker, WorkerControl } from '#src/messages/control.js';
import type { ToLedger } from '#src/messages/ledger.js';
import type { ToTelemetry } from '#src/messages/telemetry.js';
import type { ApiCredentials, Endpoints, Settings } from '#src/runtime/settings.js';
import { TinyLedger } from '../domain/reconciliation/bench.js';

/** The protocol document's first key pair. */
export const KEY: ApiCredentials = {
  apiKey: '11111111-2222-3333-4444-555555555555',
  apiSecret: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',
};
/** The same key with a secret that signs wrongly. */
export const WRONG_KEY: ApiCredentials = { ...KEY, apiSecret: 'dGVzdC1zZWNyZXQta2V5LWZvci11bml0LXRlc3Rz' };

export interface Stage {
  readonly exchange: RunningExchange;
  readonly ledger: TinyLedger;
  /** A client of the same account, for what execution would send. */
  readonly rest: RestClient;
  readonly instrument: Instrument;
  readonly told: AccountReport[];
  readonly said: FromWorker[];
  readonly logs: string[];
  readonly control: Comlink.Remote<WorkerControl>;
  readonly exited: Promise<number>;
  /** Tells the worker of an order, as execution does. */
  track(order: Order): void;
  ask(clientOrderId: string): void;
  fault(text: string): FaultSpec;
  calm(): void;
  /** Resolves once the condition holds; looked at whenever the worker says something. */
  until(what: string, condition: () => boolean): Promise<void>;
  holds(): string[];
  /** Ends everything; gives the worker's exit code. */
  close(): Promise<number>;
}

const endpointsOf = (exchange: RunningExchange): Endpoints => ({
  baseUrl: exchange.url,
  graphUrl: exchange.url,
  wsUrl: exchange.wsUrl,
});

const settingsOf = (endpoints: Endpoints): Partial<Settings> => ({
  mode: 'paper',
  symbols: ['BTCTRY'],
  endpoints,
  rest: { rateLimitRps: 8, rateLimitBurst: 8, baseDelayMs: 50, maxDelayMs: 200, maxRetries: 4 },
  wsIdleReconnectMs: 30_000,
  reconcileIntervalMs: 1_000,
  reconcileMaxLagMs: 2_500,
});

/** Starts an exchange and the worker on it. */
export const setStage = async (credentials: ApiCredentials | null = KEY): Promise<Stage> => {
  const exchange = await startExchange({
    market: { type: 'generated' },
    symbols: ['BTCTRY'],
    seed: 5,
    credentials: KEY,
    balances: new Map([
      ['TRY', parseDecimal('1000000')],
      ['BTC', parseDecimal('1')],
    ]),
  });
  return setStageOn(exchange, new TinyLedger(), credentials);
};

/** Starts the worker on an exchange that runs, with what an earlier run has left in the ledger. */
export const setStageOn = async (
  exchange: RunningExchange,
  ledger: TinyLedger,
  credentials: ApiCredentials | null = KEY,
): Promise<Stage> => {
  const endpoints = endpointsOf(exchange);
  const rest = createRestClient({ endpoints, credentials: KEY });
  const listed = await rest.read({ type: 'instruments' });
  const instrument = listed.ok ? listed.value.instruments.find(each => each.symbol === 'BTCTRY') : undefined;
  if (instrument === undefined) throw new Error('the exchange does not list BTCTRY');

  const control = new MessageChannel();
  const surface = new MessageChannel();
  const worker = new Worker(new URL('../../workers/reconciliation.js', import.meta.url), {
    workerData: {
      boot: {
        actor: 'reconciliation',
        incarnation: 1,
        settings: settingsOf(endpoints),
        publicEndpoints: endpoints,
        accountEndpoints: endpoints,
        credentials,
        facts: {},
        terminal: false,
      },
      ports: { control: control.port2, surface: surface.port2 },
    },
    transferList: [control.port2, surface.port2],
  });
  const told: AccountReport[] = [];
  const said: FromWorker[] = [];
  const logs: string[] = [];
  const listeners = new Set<() => void>();
  const changed = (): void => {
    for (const listener of [...listeners]) listener();
  };
  control.port1.on('message', (message: FromWorker) => {
    if (message.type === 'beat') return;
    said.push(message);
    changed();
  });

  const ports: MessagePort[] = [];
  const connect = <M>(peer: ActorName, listen: (message: M) => void): MessagePort => {
    const { port1, port2 } = new MessageChannel();
    control.port1.postMessage(
      { type: 'peer-connected', peer, incarnation: 1, port: port2 } satisfies ToWorker,
      [port2],
    );
    port1.on('message', (message: M) => {
      listen(message);
      changed();
    });
    ports.push(port1);
    return port1;
  };

  const ledgerPort = connect<ToLedger>('ledger', message => {
    if (message.type === 'snapshot-wanted')
      ledgerPort.postMessage({
        type: 'snapshot-given',
        request: message.request,
        snapshot: ledger.snapshot(),
      });
    else if (message.type === 'append') {
      ledger.append(message, Date.now());
      if (message.durable) ledgerPort.postMessage({ type: 'appended', batch: message.batch });
    }
  });
  const executionPort = connect<AccountReport>('execution', message => told.push(message));
  connect<ToTelemetry>('telemetry', message => {
    if (message.type === 'log') logs.push(message.event);
  });
  const ids = eventIds('execution', 1);
  const remote = Comlink.wrap<WorkerControl>(surface.port1 as unknown as Comlink.Endpoint);
  await remote.start();
  const exited = once(worker, 'exit').then(([code]) => code as number);

  return {
    exchange,
    ledger,
    rest,
    instrument,
    told,
    said,
    logs,
    control: remote,
    exited,
    track(order) {
      const id = nextEventId(ids);
      executionPort.postMessage({ type: 'order-tracked', id, cause: id, order });
    },
    ask(clientOrderId) {
      const id = nextEventId(ids);
      executionPort.postMessage({ type: 'evidence-wanted', id, cause: id, clientOrderId });
    },
    fault(text) {
      const fault = parseFault(text);
      const refusal = exchange.admin({ type: 'set-fault', fault });
      if (refusal !== undefined) throw new Error(refusal);
      return fault;
    },
    calm: () => void exchange.admin({ type: 'clear-faults' }),
    until: (what, condition) =>
      new Promise((resolve, reject) => {
        const deadline = setTimeout(() => {
          listeners.delete(look);
          reject(new Error(`${what}: not in time; the worker said ${JSON.stringify(said.at(-1))}`));
        }, 15_000);
        const look = (): void => {
          if (!condition()) return;
          clearTimeout(deadline);
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        look();
      }),
    holds() {
      const held = new Set<string>();
      for (const message of said) {
        if (message.type === 'hold-wanted') held.add(`${message.holdCause}:${message.subject}`);
        if (message.type === 'hold-cleared') held.delete(`${message.holdCause}:${message.subject}`);
      }
      return [...held];
    },
    async close() {
      await remote.drain();
      const code = await exited;
      for (const port of [control.port1, surface.port1, ...ports]) port.close();
      await rest.close();
      return code;
    },
  };
};
