/** The real ledger worker on a real thread, with the ports a supervisor would give it. */
import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import * as Comlink from 'comlink';
import type { AppendRequest, LedgerRecord, LedgerReply } from '#src/domain/ledger-records.js';
import type { ActorName } from '#src/domain/step.js';
import type { FromWorker, ToWorker, WorkerControl } from '#src/messages/control.js';
import type { FromLedger, ToLedger } from '#src/messages/ledger.js';

export interface LedgerThread {
  readonly control: Comlink.Remote<WorkerControl>;
  /** Everything said to the supervisor, without beats. */
  readonly said: FromWorker[];
  /** Resolves with the first thing said that matches, from now on or before. */
  heard(matches: (message: FromWorker) => boolean): Promise<FromWorker>;
  connect(peer: ActorName): Peer;
  /** The peer's thread has ended. */
  lose(peer: ActorName): void;
  exited: Promise<number>;
}

export interface Peer {
  readonly port: MessagePort;
  readonly replies: FromLedger[];
  tell(message: ToLedger): void;
  append(records: readonly LedgerRecord[], durable?: boolean): number;
  /** Resolves with the answer to a batch. */
  answered(batch: number): Promise<LedgerReply>;
  ask<T extends FromLedger['type']>(
    message: Extract<ToLedger, { request: number }>,
    type: T,
  ): Promise<Extract<FromLedger, { type: T }>>;
}

export const startLedgerThread = (settings: { stateDbPath: string; mode: string }): LedgerThread => {
  const control = new MessageChannel();
  const surface = new MessageChannel();
  const worker = new Worker(new URL('../../workers/ledger.js', import.meta.url), {
    workerData: {
      boot: { actor: 'ledger', incarnation: 1, settings, facts: {}, terminal: false },
      ports: { control: control.port2, surface: surface.port2 },
    },
    transferList: [control.port2, surface.port2],
  });
  const said: FromWorker[] = [];
  const listeners = new Set<() => void>();
  control.port1.on('message', (message: FromWorker) => {
    if (message.type === 'beat') return;
    said.push(message);
    for (const listener of listeners) listener();
  });
  const exited = once(worker, 'exit').then(([code]) => {
    control.port1.close();
    surface.port1.close();
    return code as number;
  });
  return {
    control: Comlink.wrap<WorkerControl>(surface.port1 as unknown as Comlink.Endpoint),
    said,
    heard: matches =>
      new Promise(resolve => {
        const look = (): void => {
          const found = said.find(matches);
          if (found === undefined) return;
          listeners.delete(look);
          resolve(found);
        };
        listeners.add(look);
        look();
      }),
    connect: peer => {
      const channel = new MessageChannel();
      control.port1.postMessage(
        { type: 'peer-connected', peer, incarnation: 1, port: channel.port2 } satisfies ToWorker,
        [channel.port2],
      );
      return peerOn(channel.port1);
    },
    lose: peer => control.port1.postMessage({ type: 'peer-lost', peer } satisfies ToWorker),
    exited,
  };
};

const peerOn = (port: MessagePort): Peer => {
  const replies: FromLedger[] = [];
  const listeners = new Set<() => void>();
  let batch = 0;
  port.on('message', (message: FromLedger) => {
    replies.push(message);
    for (const listener of listeners) listener();
  });
  const waitFor = <T extends FromLedger>(matches: (message: FromLedger) => message is T): Promise<T> =>
    new Promise(resolve => {
      const look = (): void => {
        const found = replies.find(matches);
        if (found === undefined) return;
        listeners.delete(look);
        resolve(found);
      };
      listeners.add(look);
      look();
    });
  return {
    port,
    replies,
    tell: message => port.postMessage(message),
    append(records, durable = true) {
      batch += 1;
      port.postMessage({ type: 'append', batch, durable, records } satisfies AppendRequest);
      return batch;
    },
    answered: wanted =>
      waitFor((message): message is LedgerReply => 'batch' in message && message.batch === wanted),
    ask: <T extends FromLedger['type']>(message: Extract<ToLedger, { request: number }>, type: T) => {
      port.postMessage(message);
      return waitFor(
        (reply): reply is Extract<FromLedger, { type: T }> =>
          reply.type === type && 'request' in reply && reply.request === message.request,
      );
    },
  };
};
