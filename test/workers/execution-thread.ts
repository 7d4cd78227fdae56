/** The real execution worker on a real thread, between peers and a venue that the test plays. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import * as Comlink from 'comlink';
import type { AppendRequest, LedgerRecord, LedgerSnapshot } from '#src/domain/ledger-records.js';
import type { OrderTerms } from '#src/domain/order.js';
import type { ControlState } from '#src/domain/safety.js';
import type { ActorName } from '#src/domain/step.js';
import type { FromWorker, ToWorker, WorkerControl } from '#src/messages/control.js';
import type { ToLedger } from '#src/messages/ledger.js';
import { monoMs } from '#src/runtime/clock.js';
import type { Settings, WorkerBoot } from '#src/runtime/settings.js';
import {
  accountOf,
  benchConfig,
  bookOf,
  controlState,
  instrumentOf,
  SYMBOLS,
} from '../domain/execution-bench.js';
import { d, limitTerms } from '../domain/orders.js';

/** Messages of one direction, and who waits for one. */
class Heard<M> {
  readonly all: M[] = [];
  private readonly waiting = new Set<() => void>();

  add(message: M): void {
    this.all.push(message);
    for (const look of this.waiting) look();
  }

  /** Calls `listener` with every message from now on. */
  each(listener: (message: M) => void): void {
    this.waiting.add(() => listener(this.all.at(-1) as M));
  }

  /** Resolves with the first message that matches, heard before or from now on. */
  first<T extends M>(matches: (message: M) => message is T): Promise<T>;
  first(matches: (message: M) => boolean): Promise<M>;
  first(matches: (message: M) => boolean): Promise<M> {
    return new Promise(resolve => {
      const look = (): void => {
        const found = this.all.find(matches);
        if (found === undefined) return;
        this.waiting.delete(look);
        resolve(found);
      };
      this.waiting.add(look);
      look();
    });
  }
}

interface Message {
  readonly type: string;
}

/** A request as the venue saw it. */
interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly body: Readonly<Record<string, string>>;
}

/** What the venue does with a write: answers it, or not. */
type WriteReply = (seen: SeenRequest, response: ServerResponse) => void;

const json = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
};

/** Takes every submit and queues every cancel. */
const obliging: WriteReply = (seen, response) => {
  if (seen.method === 'DELETE') {
    json(response, 200, { success: true, message: 'SUCCESS', code: 0 });
    return;
  }
  json(response, 200, {
    httpStatusCode: 200,
    data: {
      id: 31840022901,
      quantity: seen.body.quantity,
      price: seen.body.price,
      stopPrice: null,
      newOrderClientId: seen.body.newOrderClientId,
      type: seen.body.orderType,
      method: 'limit',
      pairSymbol: seen.body.pairSymbol,
      pairSymbolNormalized: 'BTC_TRY',
      datetime: Date.now(),
    },
    success: true,
    message: 'SUCCESS',
    code: 0,
  });
};

const readBody = async (request: IncomingMessage): Promise<Record<string, string>> => {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text === '' ? {} : (JSON.parse(text) as Record<string, string>);
};

export interface ExecutionThread {
  readonly strategy: Heard<Message>;
  readonly reconciliation: Heard<Message>;
  readonly supervisor: Heard<FromWorker>;
  readonly appends: Heard<AppendRequest>;
  /** POSTs and DELETEs, in order of arrival. */
  readonly writes: Heard<SeenRequest>;
  /** What the venue does with writes; may be changed at any time. */
  reply: WriteReply;
  /** Whether the ledger confirms durable batches. */
  commits: boolean;
  /** The supervisor renews the lease no more, and the last one has run out. */
  endLease(): void;
  control(over?: Partial<ControlState>): void;
  tell(from: ActorName, message: Message): void;
  cancelAll(reason: string): void;
  /** A new book of each symbol. */
  book(): void;
  /** An intent on the newest book. */
  place(terms?: Partial<OrderTerms>, validMs?: number): string;
  /** The strategy wants an intent's order ended. */
  cancel(intentId: string): void;
  /** Resolves with the state of an intent's order once it has this status. */
  order(intentId: string, status: string): Promise<Record<string, unknown>>;
  records<T extends LedgerRecord['type']>(type: T): readonly Extract<LedgerRecord, { readonly type: T }>[];
  /** Stops the worker, once. @returns its exit code. */
  drain(): Promise<number>;
}

const SNAPSHOT: LedgerSnapshot = {
  instance: 'feed',
  openOrders: [],
  cancelWishes: [],
  recentOrders: [],
  fills: [],
  openingBalances: [],
  openingAtMs: null,
  valuation: null,
  cashMovements: [],
  holds: [],
  strategyStates: new Map(),
  lastRecordAtMs: 0,
};

/** Starts the worker and everything around it; resolves when it would submit. */
export const startExecutionThread = async (
  options: {
    readonly settings?: Partial<Settings>;
    readonly snapshot?: Partial<LedgerSnapshot>;
    /** Where the account lives instead of the test's venue. */
    readonly accountUrl?: string;
    /** The execution's end of a real ledger's port, instead of a ledger that the test plays. */
    readonly ledgerPort?: MessagePort;
  } = {},
): Promise<ExecutionThread> => {
  const writes = new Heard<SeenRequest>();
  const strategy = new Heard<Message>();
  const reconciliation = new Heard<Message>();
  const supervisor = new Heard<FromWorker>();
  const appends = new Heard<AppendRequest>();

  const server = createServer((request, response) => {
    void readBody(request).then(body => {
      if (request.method === 'GET') {
        json(response, 200, { serverTime: Date.now(), serverTime2: new Date().toISOString() });
        return;
      }
      const seen = { method: request.method ?? '', path: request.url ?? '', body };
      writes.add(seen);
      thread.reply(seen, response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const endpoints = { baseUrl, graphUrl: baseUrl, wsUrl: baseUrl.replace('http', 'ws') };

  const { limits } = benchConfig();
  const settings = {
    mode: 'paper',
    symbols: SYMBOLS,
    risk: { ...limits, maxOpenOrders: 20, maxOpenOrdersPerSymbol: 20 },
    maxMarketDataAgeMs: 60_000,
    configHash: 'hash',
    rest: { rateLimitRps: 8, rateLimitBurst: 8 },
    shutdownOpenOrders: 'leave',
    ...options.settings,
  } as Settings;
  const control = new MessageChannel();
  const surface = new MessageChannel();
  const boot: WorkerBoot = {
    actor: 'execution',
    incarnation: 1,
    settings,
    publicEndpoints: endpoints,
    accountEndpoints: { ...endpoints, baseUrl: options.accountUrl ?? baseUrl },
    // The protocol document's second test vector (section 3).
    credentials: { apiKey: 'test-public-key', apiSecret: 'dGVzdC1zZWNyZXQta2V5LWZvci11bml0LXRlc3Rz' },
    facts: {},
    terminal: false,
  };
  const worker = new Worker(new URL('../../workers/execution.js', import.meta.url), {
    workerData: { boot, ports: { control: control.port2, surface: surface.port2 } },
    transferList: [control.port2, surface.port2],
  });
  const calls = Comlink.wrap<WorkerControl>(surface.port1 as unknown as Comlink.Endpoint);
  control.port1.on('message', (message: FromWorker) => {
    if (message.type !== 'beat') supervisor.add(message);
  });

  const ports = new Map<ActorName, MessagePort>();
  const connect = <M>(peer: ActorName, onMessage: (message: M) => void): void => {
    const channel = new MessageChannel();
    ports.set(peer, channel.port1);
    channel.port1.on('message', onMessage);
    control.port1.postMessage(
      { type: 'peer-connected', peer, incarnation: 1, port: channel.port2 } satisfies ToWorker,
      [channel.port2],
    );
  };

  let epoch = 1;
  let bookVersion = 0;
  let intents = 0;
  let drained: Promise<number> | null = null;
  const renew = (untilMonoMs: number): void =>
    control.port1.postMessage({ type: 'lease-renewed', untilMonoMs } satisfies ToWorker);
  const lease = setInterval(() => renew(monoMs() + 1_000), 20);

  const answerLedger = (message: ToLedger): void => {
    const port = ports.get('ledger');
    if (message.type === 'snapshot-wanted')
      port?.postMessage({
        type: 'snapshot-given',
        request: message.request,
        snapshot: { ...SNAPSHOT, ...options.snapshot },
      });
    else if (message.type === 'epoch-wanted')
      port?.postMessage({ type: 'epoch-given', request: message.request, epoch: 7 });
    else if (message.type === 'append') {
      appends.add(message);
      if (message.durable && thread.commits) port?.postMessage({ type: 'appended', batch: message.batch });
    }
  };

  const thread: ExecutionThread = {
    strategy,
    reconciliation,
    supervisor,
    appends,
    writes,
    reply: obliging,
    commits: true,
    endLease: () => {
      clearInterval(lease);
      renew(monoMs());
    },
    control: (over = {}) => {
      epoch += 1;
      control.port1.postMessage(controlState({ epoch, ...over }));
    },
    tell: (from, message) => ports.get(from)?.postMessage(message),
    cancelAll: reason => control.port1.postMessage({ type: 'cancel-all-ordered', reason } satisfies ToWorker),
    book() {
      bookVersion += 1;
      for (const symbol of SYMBOLS)
        thread.tell('market-data', {
          type: 'book-updated',
          id: `market-data:1:${bookVersion}`,
          cause: 'test',
          book: bookOf(symbol, bookVersion, monoMs()),
        } as Message);
    },
    place(terms = {}, validMs = 5_000) {
      intents += 1;
      const intentId = `test:1:${intents}`;
      thread.tell('strategy', {
        type: 'place-order',
        id: `strategy:1:${intents}`,
        cause: `market-data:1:${bookVersion}`,
        intentId,
        strategy: 'test',
        terms: limitTerms({ quantity: d('1'), ...terms }),
        validUntilMonoMs: monoMs() + validMs,
        bookVersion,
      } as Message);
      return intentId;
    },
    cancel: intentId =>
      thread.tell('strategy', {
        type: 'cancel-order',
        id: `strategy:1:c${intentId}`,
        cause: 'strategy:1:0',
        strategy: 'test',
        intentId,
      } as Message),
    async order(intentId, status) {
      const updated = (await strategy.first(message => {
        const { order } = message as { order?: { intentId: string; state: { status: string } } };
        return order?.intentId === intentId && order.state.status === status;
      })) as unknown as { order: { state: Record<string, unknown> } };
      return updated.order.state;
    },
    records: <T extends LedgerRecord['type']>(type: T) =>
      appends.all
        .flatMap(request => request.records)
        .filter((record): record is Extract<LedgerRecord, { readonly type: T }> => record.type === type),
    drain() {
      drained ??= (async () => {
        const exited = once(worker, 'exit');
        await calls.drain();
        const [code] = (await exited) as [number];
        clearInterval(lease);
        for (const port of [...ports.values(), control.port1, surface.port1]) port.close();
        server.closeAllConnections();
        server.close();
        return code;
      })();
      return drained;
    },
  };

  if (options.ledgerPort === undefined) connect('ledger', answerLedger);
  else
    control.port1.postMessage(
      { type: 'peer-connected', peer: 'ledger', incarnation: 1, port: options.ledgerPort } satisfies ToWorker,
      [options.ledgerPort],
    );
  connect('strategy', (message: Message) => strategy.add(message));
  connect('reconciliation', (message: Message) => reconciliation.add(message));
  connect('market-data', () => {});
  thread.control();
  await calls.start();
  thread.tell('market-data', {
    type: 'instruments-listed',
    id: 'market-data:1:0',
    cause: 'test',
    instruments: SYMBOLS.map(instrumentOf),
  } as Message);
  thread.book();
  thread.tell('reconciliation', accountOf({ balancesAsOfMonoMs: monoMs() }));
  thread.tell('reconciliation', {
    type: 'reconciled',
    id: 'reconciliation:1:2',
    cause: 'test',
    clean: true,
    discrepancies: [],
    completedMonoMs: monoMs(),
  } as Message);
  // Until the ledger has answered and everything above is in, the status says so.
  await supervisor.first(message => message.type === 'status-reported' && message.facts.recovered === true);
  return thread;
};
