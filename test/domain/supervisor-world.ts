/** A supervisor's brain among worker threads that exist only as numbers: what it orders happens here, under a given clock. */
import type { ControlState, Hold, Mode } from '#src/domain/safety.js';
import type { ActorName, Now } from '#src/domain/step.js';
import {
  type ChildRule,
  type CommandAnswer,
  initialSupervisor,
  type OperatorCommand,
  type SupervisorConfig,
  type SupervisorEffect,
  type SupervisorInput,
  type SupervisorState,
  type SupervisorStatus,
  statusOf,
  stepSupervisor,
} from '#src/domain/supervisor.js';
import { childSpecs } from '#src/supervision/child-spec.js';

export type Manner = 'good' | 'never-ready' | 'never-drains' | 'mute';

interface Thread {
  incarnation: number;
  ready: boolean;
  draining: boolean;
  manner: Manner;
}

const TICK_MS = 50;

export const RULES: readonly ChildRule[] = childSpecs({ mode: 'paper' });
export const ACTORS: readonly ActorName[] = RULES.map(rule => rule.actor);

export const configOf = (over: Partial<SupervisorConfig> = {}): SupervisorConfig => ({
  children: RULES,
  limits: {
    beatLateMs: 1_500,
    beatLostMs: 3_000,
    leaseRenewMs: 200,
    leaseLifeMs: 1_000,
    stopTotalMs: 8_000,
    crashLimit: 5,
    crashWindowMs: 30_000,
  },
  mode: 'paper' as Mode,
  flags: { safeMode: false, killSwitch: false, dryRun: false },
  modeReasons: ['VENUE is paper'],
  symbols: ['BTCTRY'],
  shutdownOpenOrders: 'leave',
  restoredHolds: [],
  acknowledgement: 'I_UNDERSTAND',
  readiness: null,
  ...over,
});

export class World {
  readonly threads = new Map<ActorName, Thread>();
  readonly effects: SupervisorEffect[] = [];
  /** Words of the run in order: `start strategy`, `drain ledger`, `exit 0`. */
  readonly deeds: string[] = [];
  readonly answers = new Map<number, CommandAnswer>();
  /** How the next thread of an actor behaves. */
  readonly manners = new Map<ActorName, Manner>();
  state: SupervisorState;
  control: ControlState | null = null;
  latched: readonly Hold[] = [];
  leaseUntilMonoMs = 0;
  exit: { readonly code: number; readonly forced: boolean } | null = null;
  monoMs = 1_000;
  private request = 0;

  constructor(config: SupervisorConfig = configOf()) {
    this.state = initialSupervisor(config);
    this.feed({ type: 'boot' });
  }

  get now(): Now {
    return { monoMs: this.monoMs, wallMs: 1_700_000_000_000 + this.monoMs };
  }

  get status(): SupervisorStatus {
    return statusOf(this.state, this.now);
  }

  feed(input: SupervisorInput): void {
    const stepped = stepSupervisor(this.state, input, this.now);
    this.state = stepped.state;
    for (const effect of stepped.effects) this.perform(effect);
  }

  /** Everything that is waiting to happen happens: threads become ready, or end. */
  settle(): void {
    for (let again = true; again; ) {
      again = false;
      for (const [actor, thread] of [...this.threads]) {
        if (this.threads.get(actor) !== thread) continue;
        if (thread.draining && thread.manner !== 'never-drains') {
          this.end(actor, 0);
          again = true;
        } else if (!thread.ready && !thread.draining && thread.manner !== 'never-ready') {
          thread.ready = true;
          this.feed({ type: 'worker-ready', actor, incarnation: thread.incarnation });
          again = true;
        }
      }
    }
  }

  /** Time passes in ticks; threads that are well beat. */
  pass(ms: number, andSettle = true): void {
    for (let passed = 0; passed < ms && this.exit === null; passed += TICK_MS) {
      this.monoMs += TICK_MS;
      for (const [actor, { incarnation, manner }] of this.threads)
        if (manner !== 'mute')
          this.feed({ type: 'beat', actor, incarnation, queued: 0, dropped: 0, eventLoopDelayMs: 1 });
      this.feed({ type: 'tick' });
      if (andSettle) this.settle();
    }
  }

  /** A thread ends by itself. */
  crash(actor: ActorName, code = 1): void {
    if (this.threads.has(actor)) this.end(actor, code);
  }

  want(actor: ActorName, holdCause: Hold['cause'], subject = ''): void {
    this.feed({ type: 'hold-wanted', actor, holdCause, subject, detail: 'why', cause: 'x' });
  }

  clear(actor: ActorName, holdCause: Hold['cause'], subject = ''): void {
    this.feed({ type: 'hold-cleared', actor, holdCause, subject, detail: 'passed', cause: 'x' });
  }

  ask(command: OperatorCommand): CommandAnswer {
    this.request += 1;
    this.feed({ type: 'command', request: this.request, command });
    const answer = this.answers.get(this.request);
    if (answer === undefined) throw new Error(`${command.type} was not answered`);
    return answer;
  }

  /** Started, recovered, trading. */
  run(): this {
    this.settle();
    this.clear('reconciliation', 'starting');
    return this;
  }

  /** The exit, when it has come. */
  ended(): World['exit'] {
    return this.exit;
  }

  logged(event: string): readonly Readonly<Record<string, unknown>>[] {
    return this.effects.flatMap(effect =>
      effect.type === 'log' && effect.event === event ? [effect.fields] : [],
    );
  }

  private end(actor: ActorName, code: number): void {
    const thread = this.threads.get(actor);
    if (thread === undefined) return;
    this.threads.delete(actor);
    this.feed({ type: 'worker-exited', actor, incarnation: thread.incarnation, code, error: null });
  }

  private perform(effect: SupervisorEffect): void {
    this.effects.push(effect);
    switch (effect.type) {
      case 'start-worker': {
        const { actor, incarnation } = effect;
        if (this.threads.has(actor)) throw new Error(`${actor} was started twice`);
        this.deeds.push(`start ${actor}`);
        const manner = this.manners.get(actor) ?? 'good';
        this.threads.set(actor, { incarnation, ready: false, draining: false, manner });
        return;
      }
      case 'drain-worker': {
        this.deeds.push(`drain ${effect.actor}`);
        const thread = this.threads.get(effect.actor);
        if (thread !== undefined) thread.draining = true;
        return;
      }
      case 'terminate-worker': {
        this.deeds.push(`terminate ${effect.actor}`);
        if (effect.actor === 'ledger') throw new Error('the ledger was terminated');
        const thread = this.threads.get(effect.actor);
        if (thread === undefined) return;
        thread.draining = true;
        thread.manner = 'good';
        return;
      }
      case 'broadcast':
        this.control = effect.control;
        return;
      case 'renew-lease':
        this.leaseUntilMonoMs = effect.untilMonoMs;
        return;
      case 'latch':
        this.latched = effect.holds;
        return;
      case 'answer':
        this.answers.set(effect.request, effect.answer);
        return;
      case 'exit':
        this.exit = effect;
        this.deeds.push(`exit ${effect.code}`);
        return;
      case 'log':
      case 'metric':
      case 'record':
      case 'save-readiness':
      case 'save-drill':
      case 'cancel-all':
      case 'read-key':
      case 'offer-key':
      case 'adopt-key':
      case 'drop-key':
        return;
    }
  }
}
