/**
 * The test's hand inside a bot: over Node's channel to the process, any of its threads can be made to stand still, spin,
 * flood or die, and every thread's messages can be timed. The bot's own code knows nothing of it.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  isMainThread,
  MessageChannel,
  MessagePort,
  postMessageToThread,
  threadId,
  Worker,
} from 'node:worker_threads';
import type { ActorName } from '#src/domain/step.js';

export type SeamActor = ActorName;

/** How a thread is made to fail. */
export const CRASHES = ['exit-0', 'exit-1', 'reject', 'out-of-memory', 'endless-loop'] as const;
export type Crash = (typeof CRASHES)[number];

export type SeamCommand =
  /** `text` is what a rejection says. */
  | { readonly to: SeamActor; readonly act: Crash; readonly text?: string }
  /** Spins for so long: the thread takes part in nothing. */
  | { readonly to: SeamActor; readonly act: 'busy'; readonly ms: number }
  /** Makes garbage for so long, as fast as it can: its thread does little but collect it. */
  | { readonly to: SeamActor; readonly act: 'garbage'; readonly ms: number }
  /** Says how much memory the thread has, `collected`: after all of its garbage has been collected. */
  | { readonly to: SeamActor; readonly act: 'heap'; readonly collected?: boolean }
  /** Sleeps for so long, without using a core. */
  | { readonly to: SeamActor; readonly act: 'freeze'; readonly ms: number }
  /** The strategy's last order, so many times over with other ids and prices that trade at once; then it spins. */
  | { readonly to: 'strategy'; readonly act: 'flood'; readonly count: number; readonly ms: number }
  /** Starts to time messages to every thread, or says what was seen since the last time. */
  | { readonly to: 'supervisor'; readonly act: 'ping' | 'ping-report' };

/** How long a message took to a thread and back. */
export interface PingSample {
  readonly actor: SeamActor;
  readonly sentAtMs: number;
  /** Null for one that has waited for more than a second. */
  readonly tookMs: number | null;
}

export type SeamEvent =
  | {
      readonly type: 'begun' | 'done';
      readonly actor: SeamActor;
      readonly act: string;
      readonly atMs: number;
    }
  | { readonly type: 'heap'; readonly actor: SeamActor; readonly heap: ThreadHeap }
  | { readonly type: 'pings'; readonly samples: readonly PingSample[] };

/** Memory of one thread, bytes. */
export interface ThreadHeap {
  readonly used: number;
  /** What its heap has taken from the system. */
  readonly committed: number;
  /** Array buffers and the like. */
  readonly external: number;
}

/** Wall-clock ms, finer than a millisecond; the same clock in every process. */
export const preciseMs = (): number => performance.timeOrigin + performance.now();

interface Hello {
  readonly hello: SeamActor;
  readonly threadId: number;
}

const spin = (ms: number): void => {
  const until = performance.now() + ms;
  while (performance.now() < until);
};
const makeGarbage = (ms: number): void => {
  const kept: unknown[] = [];
  const until = performance.now() + ms;
  // Some of it lives for a while, so that both collectors have work.
  for (let n = 0; performance.now() < until; n++) kept[n % 500] = Array.from({ length: 200 }, () => ({ n }));
};

/** The whole of it, now: what is still in use afterwards is kept by somebody. */
const collectGarbage = (): void => {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
};

const heapOfThread = (): ThreadHeap => {
  const heap = getHeapStatistics();
  return {
    used: heap.used_heap_size,
    committed: heap.total_physical_size,
    external: heap.external_memory,
  };
};

const sleep = (ms: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
};

const crash = (how: Crash, text = 'rejected on purpose'): void => {
  switch (how) {
    case 'exit-0':
      process.exit(0);
      return;
    case 'exit-1':
      process.exit(1);
      return;
    case 'reject':
      void Promise.reject(new Error(text));
      return;
    case 'out-of-memory': {
      const kept: unknown[] = [];
      for (;;) kept.push(new Array(100_000).fill({ at: kept.length }));
    }
    case 'endless-loop':
      for (;;);
  }
};

/** The last order that this thread's strategy sent to execution, and the port it went through. */
let lastOrder: { readonly port: MessagePort; readonly message: PlacedOrder } | null = null;
let flooded = 0;

interface PlacedOrder {
  readonly type: string;
  readonly intentId: string;
  readonly validUntilMonoMs: number;
  readonly terms: { readonly side: 'buy' | 'sell'; readonly price: bigint | null };
}

const watchOrders = (): void => {
  const { postMessage } = MessagePort.prototype;
  MessagePort.prototype.postMessage = function (this: MessagePort, message: unknown, ...rest: [never]) {
    if ((message as PlacedOrder | null)?.type === 'place-order')
      lastOrder = { port: this, message: message as PlacedOrder };
    postMessage.call(this, message, ...rest);
  };
};

/** Ten lira at 10^-16: on every grid of the pairs used here. */
const PRICE_STEP = 10n ** 17n;

const flood = (count: number): void => {
  const last = lastOrder;
  if (last === null || last.message.terms.price === null) throw new Error('no order to repeat yet');
  const { price, side } = last.message.terms;
  for (let index = 0; index < count; index++) {
    flooded += 1;
    const away = price / 200n + BigInt(index % 50) * PRICE_STEP;
    const crossing = side === 'buy' ? price + away : price - away;
    last.port.postMessage({
      ...last.message,
      intentId: `${last.message.intentId}-flood-${flooded}`,
      terms: { ...last.message.terms, price: (crossing / PRICE_STEP) * PRICE_STEP },
    });
  }
};

type CrashCommand = Extract<SeamCommand, { readonly act: Crash }>;
const isCrash = (command: SeamCommand): command is CrashCommand =>
  (CRASHES as readonly string[]).includes(command.act);

/** Carries out a command on the thread it is for. `tell` must leave at once, also when the thread never turns again. */
const carryOut = (command: SeamCommand, actor: SeamActor, tell: (event: SeamEvent) => void): void => {
  if (isCrash(command)) {
    crash(command.act, command.text);
    return;
  }
  const say = (type: 'begun' | 'done'): void => tell({ type, actor, act: command.act, atMs: preciseMs() });
  say('begun');
  switch (command.act) {
    case 'busy':
      spin(command.ms);
      break;
    case 'freeze':
      sleep(command.ms);
      break;
    case 'garbage':
      makeGarbage(command.ms);
      break;
    case 'heap':
      if (command.collected === true) collectGarbage();
      tell({ type: 'heap', actor, heap: heapOfThread() });
      break;
    case 'flood':
      flood(command.count);
      spin(command.ms);
      break;
    case 'ping':
    case 'ping-report':
      return;
  }
  say('done');
};

/** A thread that sends a message to every other thread each so often and notes when the answer came. */
const PINGER = `
const { parentPort } = require('node:worker_threads');
const now = () => performance.timeOrigin + performance.now();
let samples = [];
const peers = new Map();
parentPort.on('message', ({ actor, port, report }) => {
  if (report) {
    for (const [actor, peer] of peers)
      for (const sentAtMs of peer.waiting.values())
        if (now() - sentAtMs > 1000) samples.push({ actor, sentAtMs, tookMs: null });
    parentPort.postMessage(samples);
    samples = [];
    return;
  }
  const peer = { port, next: 0, waiting: new Map() };
  peers.get(actor)?.port.close();
  peers.set(actor, peer);
  port.on('message', id => {
    const sentAtMs = peer.waiting.get(id);
    peer.waiting.delete(id);
    samples.push({ actor, sentAtMs, tookMs: now() - sentAtMs });
  });
  port.on('close', () => { if (peers.get(actor) === peer) peers.delete(actor); });
});
setInterval(() => {
  for (const peer of peers.values()) {
    const id = peer.next++;
    peer.waiting.set(id, now());
    peer.port.postMessage(id);
  }
}, 20);
`;

const answerPings = (port: MessagePort): void => {
  port.on('message', id => port.postMessage(id));
  port.unref();
};

/** Opens the seam of the main thread, and of the workers through it. Without a channel there is none. */
export const openSeam = (): void => {
  if (process.send === undefined) return;
  const threads = new Map<SeamActor, number>();
  let pinger: Worker | null = null;
  const report = (event: SeamEvent): void => {
    process.send?.(event);
  };
  const timeThread = (actor: SeamActor): void => {
    const thread = threads.get(actor);
    const { port1, port2 } = new MessageChannel();
    if (actor === 'supervisor') answerPings(port1);
    else if (thread !== undefined)
      postMessageToThread(thread, { pingPort: port1 }, [port1]).catch(() => undefined);
    pinger?.postMessage({ actor, port: port2 }, [port2]);
  };
  process.on('workerMessage', (value: unknown) => {
    const message = value as Hello | SeamEvent;
    if (!('hello' in message)) {
      report(message);
      return;
    }
    threads.set(message.hello, message.threadId);
    if (pinger !== null) timeThread(message.hello);
  });
  process.on('message', (message: unknown) => {
    const command = message as SeamCommand;
    if (command.act === 'ping') {
      pinger = new Worker(PINGER, { eval: true, execArgv: [] });
      pinger.on('message', (samples: readonly PingSample[]) => report({ type: 'pings', samples }));
      pinger.unref();
      for (const actor of ['supervisor', ...threads.keys()] as const) timeThread(actor);
    } else if (command.act === 'ping-report') pinger?.postMessage({ report: true });
    else if (command.to === 'supervisor') carryOut(command, 'supervisor', report);
    else {
      const thread = threads.get(command.to);
      // A thread that is about to end may not get its last words out.
      if (isCrash(command)) report({ type: 'begun', actor: command.to, act: command.act, atMs: preciseMs() });
      if (thread !== undefined) postMessageToThread(thread, command).catch(() => undefined);
    }
  });
  process.channel?.unref();
};

/** Opens the seam of a worker, if its process has one. */
export const openWorkerSeam = (actor: SeamActor): void => {
  if (isMainThread || process.env.FAULTS_SEAM === undefined) return;
  if (actor === 'strategy') watchOrders();
  const toMain = (message: Hello | SeamEvent): void => {
    postMessageToThread(0, message).catch(() => undefined);
  };
  process.on('workerMessage', (value: unknown) => {
    const message = value as SeamCommand | { readonly pingPort: MessagePort };
    if ('pingPort' in message) answerPings(message.pingPort);
    else carryOut(message, actor, toMain);
  });
  toMain({ hello: actor, threadId });
};
