/**
 * The tree of workers without threads: what supervision/tree.ts and runtime/actor-host.ts do with ports and loops, done
 * with links and virtual time. It decides nothing: the supervisor's brain says who starts and stops.
 */
import type { ControlState, LeaseRenewed } from '../domain/safety.js';
import { type ActorName, eventIds, type LogLevel, type MetricEffect } from '../domain/step.js';
import type { SupervisorInput } from '../domain/supervisor.js';
import { exponential, type Random } from '../exchange/random.js';
import type { CancelAllOrdered, FromWorker, PeerLost } from '../messages/control.js';
import { ROUTES } from '../messages/routes.js';
import type { ActorContext } from '../runtime/actor-host.js';
import { BEAT_INTERVAL_MS, TICK_MS } from '../runtime/limits.js';
import type { WorkerBoot } from '../runtime/settings.js';
import { createLink, type Latency, type Link } from './link.js';
import type { VirtualTime } from './virtual-time.js';

/** What the supervisor says to a worker here; a channel is not a port but is simply there. */
export type SimToWorker =
  | ControlState
  | LeaseRenewed
  | PeerLost
  | CancelAllOrdered
  | { readonly type: 'peer-connected'; readonly peer: ActorName; readonly incarnation: number };

/** Whether somebody is there to hear. */
export interface Presence {
  /** False once this worker is gone: it sends nothing more and hears nothing. */
  isAlive(): boolean;
  /** Has `run` happen now, or when the worker's loop turns again; never when it is gone by then. */
  whenAwake(run: () => void): void;
}

/** What a worker's part is given: the real host's context, and virtual time that ends with the worker. */
export interface SimContext<Self extends ActorName> extends Omit<ActorContext<Self>, 'restraint'>, Presence {
  /** Has `run` happen later, unless the worker is gone by then. */
  after(delayMs: number, what: string, run: () => void): void;
}

/** A worker's own part, as the files in `workers/` have it, without promises. */
export interface SimHandlers {
  start(
    ready: (facts: Readonly<Record<string, string>>) => void,
    failed: (reason: string, exitCode: number) => void,
  ): void;
  onMessage(from: ActorName, message: never): void;
  onControl?(message: SimToWorker): void;
  onTick?(): void;
  drain(done: () => void): void;
}

/** Makes an actor's part for one incarnation. */
export type SimActor = (context: SimContext<ActorName>) => SimHandlers;

export interface TreeLatencies {
  /** The longest that an idle worker's tick may take to come, ms; thinned out to 32 ticks when absent. */
  readonly idleTickMs?: number;
  /** By how much an idle worker's next tick is farther away than the last was; 4 when absent. */
  readonly idleTickGrowth?: number;
  /** From a worker's spawn to its start. */
  readonly spawn: Latency;
  /** One hop between workers. */
  readonly hop: Latency;
}

export interface TreeOptions {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly latencies: TreeLatencies;
  readonly actors: ReadonlyMap<ActorName, SimActor>;
  readonly leased: ReadonlySet<ActorName>;
  boot(actor: ActorName, incarnation: number, facts: Readonly<Record<string, string>>): WorkerBoot;
  onInput(input: SupervisorInput): void;
  log(actor: ActorName, level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>): void;
  metric(actor: ActorName, metric: MetricEffect): void;
  /** Told of every message between workers when it arrives. */
  onMessage(from: ActorName, to: ActorName, message: unknown): void;
  /** Asked before a message leaves; whoever kills the sender here has it die between two effects of one step. */
  beforeSend(from: ActorName, to: ActorName): void;
}

/** What waits for a loop that stands still: the control port is read first when it turns again. */
interface Stalled {
  readonly control: (() => void)[];
  readonly rest: (() => void)[];
}

interface Worker {
  readonly actor: ActorName;
  readonly incarnation: number;
  readonly handlers: SimHandlers;
  readonly control: Link<SimToWorker>;
  readonly toSupervisor: Link<Exclude<FromWorker, { readonly type: 'beat' }>>;
  /** Ways to the peers it has a channel with. */
  readonly channels: Map<ActorName, Link<unknown>>;
  started: boolean;
  alive: boolean;
  /** Something came to it or left it since its last tick. */
  busy: boolean;
  /** Its loop stands still; what should have happened meanwhile. Null while it turns. */
  stalled: Stalled | null;
}

/** Beats here come less often than the real ones, and often enough that one more lost is not missed. */
const SIM_BEAT_MS = 2 * BEAT_INTERVAL_MS;
/**
 * An idle worker's ticks thin out to this: a loop that turns late is a loop the bot must live with, and most ticks of
 * an idle worker change nothing.
 */
const IDLE_TICK_MS = 32 * TICK_MS;
const IDLE_TICK_GROWTH = 4;

/** When the next tick comes, given how long the last one took to come. */
export const nextTickMs = (
  lastMs: number,
  busy: boolean,
  mostMs: number,
  growth = IDLE_TICK_GROWTH,
): number => (busy ? TICK_MS : Math.min(growth * lastMs, mostMs));

export interface SimTree {
  start(actor: ActorName, incarnation: number): void;
  drain(actor: ActorName): void;
  /** Ends a worker at once, as a crash or a termination does. */
  kill(actor: ActorName, error: string | null): void;
  /** Its loop stands still for a while: it hears, says and beats nothing, and finds everything waiting afterwards. */
  stall(actor: ActorName, ms: number): void;
  /** Every hop between workers takes this much longer from now on. */
  slowHops(extraMs: number): void;
  broadcast(control: ControlState): void;
  renewLease(untilMonoMs: number): void;
  cancelAll(reason: string): void;
  /** A message of the supervisor's own to the ledger; its answers come to `onMessage` of the caller. */
  toLedger(message: unknown): void;
  isUp(actor: ActorName): boolean;
  /** Ends everything at once: nothing that is on its way arrives. */
  killAll(): void;
}

export const createSimTree = (options: TreeOptions, onLedgerReply: (message: unknown) => void): SimTree => {
  const { time, random, latencies } = options;
  const workers = new Map<ActorName, Worker>();
  const facts = new Map<ActorName, Readonly<Record<string, string>>>();
  let control: ControlState | null = null;
  let over = false;
  let hopExtraMs = 0;
  const hop: Latency = {
    get leastMs() {
      return latencies.hop.leastMs + hopExtraMs;
    },
    meanExtraMs: latencies.hop.meanExtraMs,
  };

  const link = <Message>(what: string, deliver: (message: Message) => void): Link<Message> =>
    createLink(time, what, hop, random, deliver);

  const contextOf = (worker: () => Worker, boot: WorkerBoot): SimContext<ActorName> => {
    let newest: ControlState | null = null;
    let leaseUntilMonoMs = 0;
    const actor = boot.actor as ActorName;
    const context: SimContext<ActorName> & { hear(message: SimToWorker): void } = {
      boot,
      ids: eventIds(actor, boot.incarnation),
      now: time.now,
      guarded: (_source, _input, handle) => handle(),
      send: (to, message) => {
        if (to === 'telemetry') return true;
        if (!worker().alive) return false;
        options.beforeSend(actor, to);
        if (!worker().alive) return false;
        worker().busy = true;
        const channel = worker().channels.get(to);
        if (channel === undefined) return false;
        channel.send(message);
        return true;
      },
      sendTogether: (to, message) => context.send(to, message),
      toSupervisor: message => {
        // The tree beats for everybody.
        if (message.type !== 'beat') worker().toSupervisor.send(message);
      },
      log: (level, event, fields = {}) => options.log(actor, level, event, fields),
      metric: metric => options.metric(actor, metric),
      control: () => {
        worker().control.drain();
        return { state: newest, leaseUntilMonoMs };
      },
      isAlive: () => worker().alive,
      after: (delayMs, what, run) => time.after(delayMs, what, () => context.whenAwake(run)),
      whenAwake: run => {
        const { alive, stalled } = worker();
        if (!alive) return;
        if (stalled === null) run();
        else stalled.rest.push(run);
      },
      hear: message => {
        if (message.type === 'control-state') newest = message;
        if (message.type === 'lease-renewed') {
          leaseUntilMonoMs = message.untilMonoMs;
          return;
        }
        worker().busy = true;
        worker().handlers.onControl?.(message);
      },
    };
    return context;
  };

  const hear = (from: Worker, to: Worker, message: unknown): void => {
    to.busy = true;
    options.onMessage(from.actor, to.actor, message);
    to.control.drain();
    to.handlers.onMessage(from.actor, message as never);
  };

  const connect = (one: Worker, other: Worker): void => {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      from.channels.get(to.actor)?.cut();
      from.channels.set(
        to.actor,
        link(`${from.actor}>${to.actor}`, message => {
          if (!to.alive) return;
          if (to.stalled === null) hear(from, to, message);
          else to.stalled.rest.push(() => hear(from, to, message));
        }),
      );
      to.control.send({ type: 'peer-connected', peer: from.actor, incarnation: from.incarnation });
    }
  };

  const peersOf = (actor: ActorName): ActorName[] =>
    ROUTES.flatMap(({ pair }) => (pair.includes(actor) ? [pair[0] === actor ? pair[1] : pair[0]] : []));

  const end = (worker: Worker, code: number, error: string | null): void => {
    if (!worker.alive) return;
    worker.alive = false;
    worker.control.cut();
    worker.toSupervisor.cut();
    if (workers.get(worker.actor) === worker) workers.delete(worker.actor);
    for (const peer of peersOf(worker.actor)) {
      const other = workers.get(peer);
      // What the dead one had posted to its peers is still delivered; what was posted to it is lost.
      other?.channels.delete(worker.actor);
      other?.control.send({ type: 'peer-lost', peer: worker.actor });
    }
    options.onInput({
      type: 'worker-exited',
      actor: worker.actor,
      incarnation: worker.incarnation,
      code,
      error,
    });
  };

  /** All workers beat in one event: what each of them would say is the same. */
  const keepBeating = (): void => {
    time.after(SIM_BEAT_MS, 'beats', () => {
      if (over) return;
      for (const { actor, incarnation, stalled } of [...workers.values()])
        if (stalled === null)
          options.onInput({ type: 'beat', actor, incarnation, queued: 0, dropped: 0, eventLoopDelayMs: 0 });
      keepBeating();
    });
  };
  keepBeating();

  const keepTicking = (worker: Worker, delayMs: number): void => {
    if (worker.handlers.onTick === undefined) return;
    const what = `${worker.actor} tick`;
    const tick = (): void => {
      if (!worker.alive) return;
      if (worker.stalled !== null) {
        worker.stalled.rest.push(tick);
        return;
      }
      worker.control.drain();
      if (worker.started) worker.handlers.onTick?.();
      afterMs = nextTickMs(
        afterMs,
        worker.busy,
        latencies.idleTickMs ?? IDLE_TICK_MS,
        latencies.idleTickGrowth,
      );
      worker.busy = false;
      time.after(afterMs, what, tick);
    };
    let afterMs = delayMs;
    time.after(delayMs, what, tick);
  };

  const fromWorker = (worker: Worker, message: Exclude<FromWorker, { readonly type: 'beat' }>): void => {
    const { actor } = worker;
    switch (message.type) {
      case 'hold-wanted':
      case 'hold-cleared':
        options.onInput({ ...message, actor });
        return;
      case 'status-reported':
      case 'work-finished':
        options.onInput({ ...message, actor });
        return;
    }
  };

  const start = (actor: ActorName, incarnation: number): void => {
    const make = options.actors.get(actor);
    if (make === undefined) throw new Error(`the simulated world has no ${actor}`);
    const boot = options.boot(actor, incarnation, Object.assign({}, ...facts.values()));
    const context = contextOf(() => worker, boot) as SimContext<ActorName> & {
      hear(message: SimToWorker): void;
    };
    const worker: Worker = {
      actor,
      incarnation,
      handlers: make(context),
      control: link(`supervisor>${actor}`, message => {
        if (worker.stalled === null) context.hear(message);
        else worker.stalled.control.push(() => context.hear(message));
      }),
      toSupervisor: link(`${actor}>supervisor`, message => fromWorker(worker, message)),
      channels: new Map(),
      started: false,
      alive: true,
      busy: true,
      stalled: null,
    };
    workers.set(actor, worker);
    if (control !== null) worker.control.send(control);
    for (const peer of peersOf(actor)) {
      const other = workers.get(peer);
      if (other !== undefined) connect(worker, other);
    }
    if (actor === 'ledger') {
      worker.channels.set('supervisor', link('ledger>supervisor', onLedgerReply));
    }
    context.after(latencies.spawn.leastMs + exponential(random, latencies.spawn.meanExtraMs), 'spawn', () =>
      worker.handlers.start(
        given => {
          if (!worker.alive) return;
          worker.started = true;
          facts.set(actor, given);
          options.onInput({ type: 'worker-ready', actor, incarnation });
        },
        (reason, exitCode) => {
          if (!worker.alive) return;
          options.onInput({ type: 'worker-start-failed', actor, incarnation, reason, exitCode });
        },
      ),
    );
    keepTicking(worker, TICK_MS);
  };

  return {
    start,
    drain: actor => {
      const worker = workers.get(actor);
      if (worker === undefined) return;
      time.after(0, `${actor} drain`, () => {
        const drain = (): void => {
          if (worker.alive)
            worker.handlers.drain(() => time.after(0, `${actor} exit`, () => end(worker, 0, null)));
        };
        if (worker.stalled === null) drain();
        else worker.stalled.rest.push(drain);
      });
    },
    kill: (actor, error) => {
      const worker = workers.get(actor);
      if (worker !== undefined) end(worker, 1, error);
    },
    stall: (actor, ms) => {
      const worker = workers.get(actor);
      if (worker === undefined || worker.stalled !== null) return;
      const waiting: Stalled = { control: [], rest: [] };
      worker.stalled = waiting;
      time.after(ms, `${actor} wakes`, () => {
        worker.stalled = null;
        for (const run of [...waiting.control, ...waiting.rest]) if (worker.alive) run();
      });
    },
    slowHops: extraMs => {
      hopExtraMs = extraMs;
    },
    broadcast: state => {
      control = state;
      for (const worker of workers.values()) worker.control.send(state);
    },
    renewLease: untilMonoMs => {
      for (const worker of workers.values())
        if (options.leased.has(worker.actor)) worker.control.send({ type: 'lease-renewed', untilMonoMs });
    },
    cancelAll: reason => {
      for (const worker of workers.values())
        if (options.leased.has(worker.actor)) worker.control.send({ type: 'cancel-all-ordered', reason });
    },
    toLedger: message => {
      const ledger = workers.get('ledger');
      if (ledger === undefined) return;
      time.after(latencies.hop.leastMs, 'supervisor>ledger', () => {
        if (ledger.alive) ledger.handlers.onMessage('supervisor', message as never);
      });
    },
    isUp: actor => workers.get(actor)?.started === true,
    killAll: () => {
      over = true;
      for (const worker of workers.values()) {
        worker.alive = false;
        worker.control.cut();
        worker.toSupervisor.cut();
        for (const channel of worker.channels.values()) channel.cut();
      }
      workers.clear();
    },
  };
};
