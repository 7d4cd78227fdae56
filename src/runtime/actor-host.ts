/**
 * What every worker thread shares: its ports, its mailboxes, its beats, its ticks and its control surface. A worker
 * file supplies the handlers; they feed a brain and perform its effects.
 *
 * Order of attention: the control port is drained synchronously before every message, because a message queued behind
 * 50,000 others took 1.1 s (design section 6) and an empty poll costs 0.1 µs.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import * as Comlink from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { type ControlState, holdKey, poisonSubject } from '../domain/safety.js';
import {
  type ActorName,
  type EventIds,
  eventIds,
  type LogLevel,
  type MetricEffect,
  type Now,
  nextEventId,
} from '../domain/step.js';
import type { FromWorker, StartRefused, ToWorker, WorkerControl } from '../messages/control.js';
import type { ToLedger } from '../messages/ledger.js';
import { type Conversations, type MailboxRule, ROUTES } from '../messages/routes.js';
import type { ToTelemetry } from '../messages/telemetry.js';
import { now } from './clock.js';
import { BEAT_INTERVAL_MS, MAILBOX_TURN, TICK_MS } from './limits.js';
import { createMailbox, type Mailbox, outlivesSender } from './mailbox.js';
import { openPauseBoard, type PauseBoard } from './pause-board.js';
import { redactFacts, redactorOf } from './secrets.js';
import type { WorkerBoot } from './settings.js';
import { createWorkGuard, mayBeMoney, type WorkSource } from './work-slot.js';

/** So many lines and observations are handed on without waiting for the tick. */
const OBSERVED_MAX = 256;
/** So many lines are kept while there is no telemetry; the oldest go. */
const UNHEARD_MAX = 1_000;
/** The supervisor is told of inputs that are left out this often. */
export const LEFT_OUT_AGAIN_MS = 2_000;
const URGENT: ReadonlySet<LogLevel> = new Set(['error', 'fatal']);

/** What actor `From` may say to actor `To`. */
export type Outgoing<
  From extends ActorName,
  To extends ActorName,
> = `${From}>${To}` extends keyof Conversations
  ? Conversations[`${From}>${To}`]
  : To extends 'ledger'
    ? ToLedger
    : To extends 'telemetry'
      ? ToTelemetry
      : never;

/** The newest word of the supervisor. Nothing is allowed before the first one. */
export interface ControlView {
  readonly state: ControlState | null;
  /** Monotonic ms; 0 before the first lease. */
  readonly leaseUntilMonoMs: number;
}

/** What the host offers to a worker's handlers. */
export interface ActorContext<Self extends ActorName> {
  readonly boot: WorkerBoot;
  readonly ids: EventIds;
  now(): Now;
  /** Sends to a peer. Returns false, and sends nothing, while there is no channel to it. */
  send<To extends ActorName>(to: To, message: Outgoing<Self, To>): boolean;
  /**
   * As {@link send}, for what comes in numbers: everything said to a peer in one turn of the loop travels as one message
   * when the turn ends, since most of a message's cost is waking the other thread.
   */
  sendTogether<To extends ActorName>(to: To, message: Outgoing<Self, To>): boolean;
  toSupervisor(message: FromWorker): void;
  /**
   * Handles an input that came from outside, as messages of peers are handled: if it takes the worker with it again and
   * again it is left out, and `otherwise` happens instead.
   */
  guarded(source: WorkSource, input: unknown, handle: () => void, otherwise?: () => void): void;
  /** For the clients of the venue: its pauses, which all workers keep, and whom to tell of a reply 429. */
  readonly restraint: { readonly pauses: PauseBoard; readonly onThrottled: (request: string) => void };
  log(level: LogLevel, event: string, fields?: Readonly<Record<string, unknown>>): void;
  metric(metric: MetricEffect): void;
  /** Drains the control port now, then says what holds. Call it as the last thing before a write leaves. */
  control(): ControlView;
}

/** A worker's own part. All are called on the worker's thread, one at a time. */
export interface ActorHandlers {
  /**
   * See {@link WorkerControl.start}. Peers that start later are not connected yet. Reject with a {@link StartRefused} to
   * choose the exit code of a first start that fails; any other error ends it with 1.
   */
  start(): Promise<Readonly<Record<string, string>>>;
  onMessage(from: ActorName, message: never): void;
  /** A message its mailbox refused (`refuse` rule): the sender must be told. */
  onRefused?(from: ActorName, message: never): void;
  /** A mailbox was full and gave up its oldest message (`drop-oldest` rule). */
  onDropped?(from: ActorName): void;
  onControl?(message: ToWorker): void;
  /** Called every `TICK_MS` once started. */
  onTick?(): void;
  drain(): Promise<void>;
  snapshot(): unknown;
}

interface Peer {
  readonly name: ActorName;
  readonly port: MessagePort;
  readonly inbox: Mailbox<unknown>;
  readonly rule: MailboxRule;
  /** What was said in this turn and has not been posted. */
  together: unknown[];
}

/** The ports a worker is born with, beside its boot data. */
export interface WorkerPorts {
  readonly control: MessagePort;
  readonly surface: MessagePort;
}

/** Of a skipped input, as much as people need to see. */
const SHOWN_MOST = 500;

/** Runs `create`'s handlers as this thread's actor. Call it once, at the top level of a worker file. */
export const hostActor = <Self extends ActorName>(
  self: Self,
  create: (context: ActorContext<Self>) => ActorHandlers,
): void => {
  if (parentPort === null) throw new Error(`${self} runs as a worker thread of the supervisor`);
  const { boot, ports, work } = workerData as {
    readonly boot: WorkerBoot;
    readonly ports: WorkerPorts;
    /** See work-slot.ts; absent where no supervisor looks. */
    readonly work?: SharedArrayBuffer;
  };
  const peers = new Map<ActorName, Peer>();
  /** What lost peers had still said, until it is handled or their successors take it over. */
  const leftBehind = new Map<ActorName, Mailbox<unknown>>();
  /**
   * Both of them as lists, made again when one comes or goes: a turn walks them for every message, and iterators of maps
   * were half of the garbage that an order made.
   */
  let speakers: readonly Peer[] = [];
  let inboxes: readonly Pick<Peer, 'name' | 'inbox'>[] = [];
  const listPeers = (): void => {
    speakers = [...peers.values()];
    inboxes = [...[...leftBehind].map(([name, inbox]) => ({ name, inbox })), ...speakers];
  };
  const ids = eventIds(self, boot.incarnation);
  const loopDelay = monitorEventLoopDelay({ resolution: 20 });
  loopDelay.enable();
  let controlState: ControlState | null = null;
  let leaseUntilMonoMs = 0;
  let started = false;
  let turnScheduled = false;
  /** In this round of the event loop a message was handled without waiting for its end. */
  let tookTurn = false;

  const routeOf = (peer: ActorName): { rule: MailboxRule; limit: number } => {
    for (const route of ROUTES) {
      if (route.pair[0] === peer && route.pair[1] === self)
        return { rule: route.rules[0], limit: route.limit };
      if (route.pair[0] === self && route.pair[1] === peer)
        return { rule: route.rules[1], limit: route.limit };
    }
    throw new Error(`no route between ${self} and ${peer}`);
  };

  // Only the workers that sign hold secrets, and nothing they write for people may show them.
  const secrets = [boot.credentials ?? null].filter(key => key !== null);
  let redact = redactorOf(...secrets);
  const shown = <T>(value: T): T => (secrets.length === 0 ? value : (redactFacts(redact, value) as T));

  const toSupervisor = (message: FromWorker): void => {
    ports.control.postMessage(message.type === 'beat' ? message : shown(message));
  };

  /** Lines and observations wait for the next tick: nobody's order waits for them, and telemetry wakes up once. */
  let observed: ToTelemetry[] = [];
  const observe = (message: ToTelemetry): void => {
    const { length } = observed;
    observed.push(message);
    if (length + 1 >= OBSERVED_MAX || (message.type === 'log' && URGENT.has(message.level))) flushObserved();
  };
  const flushObserved = (): void => {
    if (observed.length === 0) return;
    const port = peers.get('telemetry')?.port;
    if (port === undefined) {
      keepLines();
      return;
    }
    const messages = observed;
    observed = [];
    for (const message of messages)
      port.postMessage(message.type === 'log' ? { ...message, fields: shown(message.fields) } : message);
  };
  /** Telemetry is being replaced. Its successor makes alerts of lines, whenever they come; figures only grow old. */
  const keepLines = (): void => {
    if (observed.length >= 2 * UNHEARD_MAX)
      observed = observed.filter(({ type }) => type === 'log').slice(-UNHEARD_MAX);
  };

  const log: ActorContext<Self>['log'] = (level, event, fields = {}) =>
    observe({ type: 'log', actor: self, atMs: now().wallMs, level, event, fields });

  const told = new Set<string>();
  const poison = poisonSubject(self);
  const poisonHold = holdKey('invariant', poison);
  /** The input that was left out last and not told of yet; when one was, and under which control state. */
  let leftOut: string | null = null;
  let leftOutTold: { readonly monoMs: number; readonly under: ControlState | null } | null = null;
  const tellLeftOut = (): void => {
    if (leftOut === null) return;
    toSupervisor({
      type: 'hold-wanted',
      id: nextEventId(ids),
      cause: leftOut,
      holdCause: 'invariant',
      subject: poison,
      detail: `${self} crashed on ${leftOut} again and again, and now leaves it out: it may have been money`,
    });
    leftOut = null;
    leftOutTold = { monoMs: now().monoMs, under: controlState };
  };
  /** A hold that is shown may have been released a moment ago, so that it is asked for all the same, now and then. */
  const remindOfLeftOut = (): void => {
    const shown = controlState?.holds.some(({ key }) => key === poisonHold) ?? false;
    const isNews = leftOutTold === null || (!shown && leftOutTold.under !== controlState);
    if (isNews || now().monoMs - (leftOutTold?.monoMs ?? 0) >= LEFT_OUT_AGAIN_MS) tellLeftOut();
  };
  const guard = createWorkGuard(work ?? null, boot.quarantined ?? [], (source, name, input) => {
    observe({
      type: 'metric',
      kind: 'counter',
      name: 'btcbot_inputs_skipped_total',
      value: 1,
      labels: { actor: self },
    });
    if (!told.has(name)) {
      told.add(name);
      const text = JSON.stringify(input, (_key, value: unknown) =>
        typeof value === 'bigint' ? value.toString() : value,
      );
      log('error', 'input-skipped', { input: name, text: text.slice(0, SHOWN_MOST) });
    }
    // Also after an operator's release: nothing that may be money is left out without a hold.
    if (!mayBeMoney(self, source)) return;
    leftOut = name;
    remindOfLeftOut();
  });
  const guarded: ActorContext<Self>['guarded'] = (source, input, handle, otherwise) => {
    if (!guard.handle(source, input, handle)) otherwise?.();
  };

  const handleControl = (message: ToWorker): void => {
    switch (message.type) {
      case 'control-state':
        controlState = message;
        break;
      case 'lease-renewed':
        leaseUntilMonoMs = message.untilMonoMs;
        return;
      case 'peer-connected':
        connect(message.peer, message.port);
        break;
      case 'peer-lost':
        disconnect(message.peer);
        break;
      case 'key-offered':
        // Before anything is done with it. An old or refused key stays a secret.
        secrets.push(message.credentials);
        redact = redactorOf(...secrets);
        break;
      case 'key-adopted':
      case 'key-dropped':
      case 'cancel-all-ordered':
        break;
    }
    handlers.onControl?.(message);
  };

  const drainControl = (): void => {
    for (;;) {
      const received = receiveMessageOnPort(ports.control);
      if (received === undefined) return;
      handleControl(received.message as ToWorker);
    }
  };

  /** Takes in what came on a port: a message, or several that travelled together. */
  const receive = (peer: Peer, arrived: unknown): void => {
    if (Array.isArray(arrived)) for (const message of arrived) accept(peer, message);
    else accept(peer, arrived);
  };

  const accept = ({ name: from, inbox }: Peer, message: unknown): void => {
    const verdict = inbox.put(message);
    if (verdict === 'refused') handlers.onRefused?.(from, message as never);
    else if (verdict === 'dropped-oldest') handlers.onDropped?.(from);
    else if (verdict === 'over-limit')
      toSupervisor({
        type: 'hold-wanted',
        id: nextEventId(ids),
        cause: from,
        holdCause: 'invariant',
        subject: `${from}>${self}`,
        detail: `more than its limit of messages wait in the mailbox ${from}>${self}`,
      });
  };

  /** Lets go of a peer. What outlives it of what it had still said is heard, before its successor is. */
  const disconnect = (name: ActorName): void => {
    const peer = peers.get(name);
    if (peer === undefined) return;
    peers.delete(name);
    listPeers();
    const left = createMailbox(peer.rule, routeOf(name).limit);
    for (let message = peer.inbox.take(); message !== undefined; message = peer.inbox.take())
      if (outlivesSender(peer.rule, message)) left.put(message);
    const unread = { ...peer, inbox: left };
    for (;;) {
      const received = receiveMessageOnPort(peer.port);
      if (received === undefined) break;
      const messages: readonly unknown[] = Array.isArray(received.message)
        ? received.message
        : [received.message];
      receive(
        unread,
        messages.filter(message => outlivesSender(peer.rule, message)),
      );
    }
    peer.port.close();
    if (left.size === 0) return;
    leftBehind.set(name, left);
    listPeers();
    scheduleTurn();
  };

  const connect = (name: ActorName, port: MessagePort): void => {
    disconnect(name);
    const { rule, limit } = routeOf(name);
    const inbox = leftBehind.get(name) ?? createMailbox(rule, limit);
    leftBehind.delete(name);
    const peer: Peer = { name, port, rule, inbox, together: [] };
    peers.set(name, peer);
    listPeers();
    if (inbox.size > 0) scheduleTurn();
    port.on('message', message => {
      receive(peer, message);
      takeTurn();
    });
  };

  const scheduleTurn = (): void => {
    if (turnScheduled) return;
    turnScheduled = true;
    setImmediate(turn);
  };

  /** The first message that wakes the thread is handled at once; what comes after it in the same round waits its turn. */
  const takeTurn = (): void => {
    if (tookTurn || turnScheduled) scheduleTurn();
    else {
      tookTurn = true;
      setImmediate(() => {
        tookTurn = false;
      });
      turn();
    }
  };

  /** Takes in what waits in the ports. @returns whether anything did. */
  const readPorts = (): boolean => {
    let found = false;
    for (const peer of speakers) {
      for (let count = 0; count < MAILBOX_TURN; count++) {
        const received = receiveMessageOnPort(peer.port);
        if (received === undefined) break;
        found = true;
        receive(peer, received.message);
      }
    }
    return found;
  };

  const turn = (): void => {
    turnScheduled = false;
    readPorts();
    // One message of each peer in turn, so that a flood from one of them holds nobody else up.
    let handled = 0;
    let progressed = true;
    let lookedAgain = false;
    while (progressed && handled < MAILBOX_TURN) {
      progressed = false;
      for (const { name, inbox } of inboxes) {
        drainControl();
        const message = inbox.take();
        if (message === undefined) continue;
        progressed = true;
        handled += 1;
        guarded(name, message, () => handlers.onMessage(name, message as never));
      }
      // What came meanwhile is not slept on: an intent is a hop behind the book it was decided on. Once a turn, so that
      // ticks and sockets are not held up by a flow that never ends.
      if (!progressed && !lookedAgain) {
        lookedAgain = true;
        progressed = readPorts();
      }
    }
    if (leftBehind.size > 0) {
      for (const [name, inbox] of leftBehind) if (inbox.size === 0) leftBehind.delete(name);
      listPeers();
    }
    if (progressed) scheduleTurn();
  };

  const postTogether = (peer: Peer): void => {
    if (peer.together.length === 0) return;
    const messages = peer.together;
    peer.together = [];
    peer.port.postMessage(messages.length === 1 ? messages[0] : messages);
  };

  const context: ActorContext<Self> = {
    boot,
    ids,
    now,
    send: (to, message) => {
      const peer = peers.get(to);
      if (peer === undefined) return false;
      postTogether(peer);
      // The books are read by people too, and a venue's words are kept in them.
      peer.port.postMessage(to === 'ledger' ? shown(message) : message);
      return true;
    },
    sendTogether: (to, message) => {
      const peer = peers.get(to);
      if (peer === undefined) return false;
      peer.together.push(to === 'ledger' ? shown(message) : message);
      if (peer.together.length === 1) queueMicrotask(() => postTogether(peer));
      return true;
    },
    toSupervisor,
    guarded,
    restraint: {
      pauses: openPauseBoard(boot.pauses),
      onThrottled: request => toSupervisor({ type: 'throttled', request }),
    },
    log,
    metric: observe,
    control: () => {
      drainControl();
      return { state: controlState, leaseUntilMonoMs };
    },
  };
  const handlers = create(context);

  ports.control.on('message', handleControl);
  const beat = setInterval(() => {
    let queued = 0;
    let dropped = 0;
    for (const peer of peers.values()) {
      queued += peer.inbox.size;
      dropped += peer.inbox.dropped;
    }
    const eventLoopDelayMs = loopDelay.max / 1e6;
    loopDelay.reset();
    toSupervisor({ type: 'beat', monoMs: now().monoMs, queued, dropped, eventLoopDelayMs });
  }, BEAT_INTERVAL_MS);
  const tick = setInterval(() => {
    guard.idle();
    drainControl();
    if (leftOut !== null) remindOfLeftOut();
    if (started) handlers.onTick?.();
    flushObserved();
  }, TICK_MS);
  // What a thread saw last matters most when it ends of itself.
  process.once('exit', flushObserved);

  const surface: WorkerControl = {
    async start() {
      const facts = await handlers.start();
      started = true;
      return facts;
    },
    async drain() {
      // Ticks and beats go on: deadlines of what is in flight are judged on ticks, and a draining worker is alive.
      await handlers.drain();
      started = false;
      tellLeftOut();
      clearInterval(tick);
      clearInterval(beat);
      flushObserved();
      loopDelay.disable();
      // Let go of every handle after the reply has left, so that the thread ends by itself.
      setImmediate(() => {
        for (const peer of peers.values()) peer.port.close();
        ports.control.close();
        setTimeout(() => ports.surface.close(), 20);
      });
    },
    async snapshot() {
      return handlers.snapshot();
    },
    async health() {
      return { ok: started, detail: started ? 'started' : 'not started' };
    },
  };
  Comlink.expose(surface, nodeEndpoint(ports.surface));
};
