/**
 * A small worker that stands in for any actor and misbehaves on request. What it does wrong is in the strategy's
 * configuration: `{ "<actor>": { "fault": "<name>", "incarnations": <how many times> } }`.
 */
import { workerData } from 'node:worker_threads';
import type { Hold } from '#src/domain/safety.js';
import { type ActorName, nextEventId } from '#src/domain/step.js';
import { StartRefused } from '#src/messages/control.js';
import type { ToLedger } from '#src/messages/ledger.js';
import { type ActorContext, hostActor } from '#src/runtime/actor-host.js';
import type { WorkerBoot } from '#src/runtime/settings.js';

export type Fault =
  | 'exit-0'
  | 'throw'
  | 'reject'
  | 'hang'
  | 'out-of-memory'
  | 'never-ready'
  | 'start-throws'
  | 'start-refused'
  | 'ends-before-ready'
  | 'never-drains'
  /** Falls over a message that is said again at each connection: of the market, or of an order. */
  | 'chokes-on-trade'
  | 'chokes-on-order'
  /** Ends when it is asked what it knows. */
  | 'ends-when-asked';

export type FaultPlan = Readonly<Record<string, { readonly fault: Fault; readonly incarnations: number }>>;

/** What a peer says again and again to a worker that chokes on it; its id is another one each time. */
const POISON: Readonly<Record<string, { readonly from: ActorName; readonly message: object }>> = {
  'chokes-on-trade': { from: 'market-data', message: { type: 'public-trade', symbol: 'POISON' } },
  'chokes-on-order': { from: 'execution', message: { type: 'order-updated', order: { intentId: 'POISON' } } },
};

/** What a ledger that ended when it was first asked knows of an earlier run. */
const LEFT_HOLD: Hold = {
  key: 'foreign-order:17',
  cause: 'foreign-order',
  subject: '17',
  detail: 'left by an earlier run',
  placedAtMs: 1,
};

const { boot } = workerData as { readonly boot: WorkerBoot };
const self = boot.actor as ActorName;
const plan = (boot.settings.strategyConfig as FaultPlan)[self];
const fault = plan !== undefined && boot.incarnation <= plan.incarnations ? plan.fault : null;

const spinForEver = (): never => {
  for (;;);
};

const fillMemory = (): never => {
  const kept: unknown[] = [];
  for (;;) kept.push(new Array(100_000).fill({ at: kept.length }));
};

/** The faults that strike a worker that has become ready. */
const strike: Partial<Record<Fault, () => void>> = {
  'exit-0': () => process.exit(0),
  throw: () => {
    throw new Error('thrown on purpose');
  },
  reject: () => void Promise.reject(new Error('rejected on purpose')),
  hang: spinForEver,
  'out-of-memory': fillMemory,
};

/** Faults strike once the whole bot has been seen running. */
const plain = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}` : value);
let running = false;
const connected = new Set<ActorName>();

/** Says to a peer what it chokes on. */
const poison = (context: ActorContext<ActorName>, peer: ActorName): void => {
  const given = POISON[(boot.settings.strategyConfig as FaultPlan)[peer]?.fault ?? ''];
  if (running && given?.from === self)
    context.send(peer, { ...given.message, id: nextEventId(context.ids) } as never);
};

hostActor(self, context => ({
  async start() {
    switch (fault) {
      case 'never-ready':
        return new Promise(() => {});
      case 'start-throws':
        throw new Error('start failed on purpose');
      case 'start-refused':
        throw new StartRefused(2, 'refused on purpose: choose another one');
      case 'ends-before-ready':
        process.exit(0);
    }
    context.log('info', 'fake-started', {
      incarnation: boot.incarnation,
      earlierStarts: boot.earlierStarts,
      signs: boot.credentials !== null,
    });
    if (self === 'reconciliation') {
      const id = nextEventId(context.ids);
      context.toSupervisor({
        type: 'hold-cleared',
        id,
        cause: id,
        holdCause: 'starting',
        subject: '',
        detail: 'nothing to compare',
      });
    }
    context.toSupervisor({ type: 'status-reported', facts: { incarnation: boot.incarnation } });
    return self === 'paper-exchange'
      ? {
          baseUrl: 'http://127.0.0.1:1',
          graphUrl: 'http://127.0.0.1:1',
          wsUrl: 'ws://127.0.0.1:1',
          apiKey: 'fake-key-of-the-embedded-exchange',
          apiSecret: 'ZmFrZS1zZWNyZXQtb2YtdGhlLWVtYmVkZGVkLWV4Y2hhbmdl',
        }
      : {};
  },
  onMessage(from, message) {
    if (JSON.stringify(message, plain).includes('POISON')) throw new Error('choked on purpose');
    const asked = message as ToLedger;
    if (self !== 'ledger') return;
    if (asked.type === 'snapshot-wanted') {
      if (fault === 'ends-when-asked') process.exit(0);
      const held = plan?.fault === 'ends-when-asked';
      context.send(from, {
        type: 'snapshot-given',
        request: asked.request,
        snapshot: { holds: held ? [LEFT_HOLD] : [] },
      } as never);
    } else if (asked.type === 'append')
      context.log('debug', 'fake-recorded', { types: asked.records.map(record => record.type) });
  },
  onControl(message) {
    if (message.type === 'control-state' && message.maySubmit && !running) {
      running = true;
      for (const peer of connected) poison(context, peer);
    }
    if (message.type === 'control-state')
      context.log('debug', 'fake-told', { state: message.state, maySubmit: message.maySubmit });
    else if (message.type === 'cancel-all-ordered')
      context.log('info', 'fake-cancel-all', { reason: message.reason });
    else if (message.type === 'peer-connected' || message.type === 'peer-lost') {
      if (message.type === 'peer-connected') {
        connected.add(message.peer);
        poison(context, message.peer);
      }
      context.log('debug', `fake-${message.type}`, { peer: message.peer });
    }
  },
  onTick() {
    if (fault !== null && running) strike[fault]?.();
  },
  async drain() {
    context.log('info', 'fake-drained', {});
    if (fault === 'never-drains') await new Promise(() => {});
  },
  snapshot: () => ({ incarnation: boot.incarnation }),
}));
