/**
 * The brain of the supervisor: which workers run, which holds stand, what the trading state is, and how the process
 * ends. Invariants it keeps:
 * - nothing may be written before every worker is up and reconciliation has said that the account is clean;
 * - a fault is a safety event first and a restart second: the hold falls in the same step in which the fault is seen;
 * - children start in order, each after the ones before it, and stop in reverse;
 * - a child that fails before it was ever ready is not tried again; one that keeps crashing stays down, latched;
 * - an order to stop never waits for a fault, and ends in an exit whatever the workers do.
 */
import { CAUSES, circuitValue, type ReleaseRule, THROTTLED_STORM, THROTTLED_WINDOW_MS } from './breaker.js';
import { beaten, type Heartbeat, heartbeat, pulseOf, unheardFor } from './heartbeat.js';
import {
  circuitStates,
  clearHold,
  clearHoldsOf,
  emptyHolds,
  type HoldChange,
  type HoldSet,
  holdsOf,
  passTrials,
  placeHold,
  releaseHold,
  restoreHold,
} from './hold-set.js';
import {
  beginKeyRotation,
  type KeyRotation,
  type KeyRotationInput,
  stepKeyRotation,
} from './key-rotation.js';
import type { LedgerRecord } from './ledger-records.js';
import { countReadiness, type DrillRecord, type ReadinessRecord } from './readiness.js';
import { type RestartBudget, refill, restartBudget, spend } from './restart-budget.js';
import { type ControlState, type Hold, type HoldCause, holdKey, type Mode, poisonSubject } from './safety.js';
import type { LogEffect, MetricEffect, Now, Stepped } from './step.js';
import { type ActorName, type EventId, type EventIds, eventIds, type LogLevel, nextEventId } from './step.js';
import { type SafetyFacts, tradingControl } from './trading-state.js';

/** How one worker is looked after; the table of them is in start order. */
export interface ChildRule {
  readonly actor: ActorName;
  readonly readyWithinMs: number;
  readonly stopWithinMs: number;
  /** The workers after it that relied on what it knew, and start afresh with it (rest-for-one). */
  readonly restartsWith: readonly ActorName[];
  /** The hold that stands while it is down; null when trading may go on without it. */
  readonly holdWhileDown: HoldCause | null;
  /** False for the ledger: a thread inside SQLite must never be terminated. */
  readonly terminable: boolean;
  /** True when the account must be proven again after it was restarted. */
  readonly recoversAccount: boolean;
  /** True for the workers that sign requests. */
  readonly signs: boolean;
  /**
   * True for a worker that only looks on: nothing waits for it, nothing it says is acted upon, and when it does not start,
   * crashes or gives no sign of life it is dropped and named, without a hold and without a restart.
   */
  readonly expendable: boolean;
}

export interface SupervisorLimits {
  readonly beatLateMs: number;
  readonly beatLostMs: number;
  readonly leaseRenewMs: number;
  readonly leaseLifeMs: number;
  readonly stopTotalMs: number;
  readonly crashLimit: number;
  readonly crashWindowMs: number;
}

/** An input that a worker crashed on too often, `<source>:<fingerprint>`, and that it leaves out. */
export interface QuarantinedInput {
  readonly actor: ActorName;
  readonly input: string;
}

export interface SupervisorConfig {
  readonly children: readonly ChildRule[];
  readonly limits: SupervisorLimits;
  readonly mode: Mode;
  readonly flags: { readonly safeMode: boolean; readonly killSwitch: boolean; readonly dryRun: boolean };
  readonly modeReasons: readonly string[];
  readonly symbols: readonly string[];
  readonly shutdownOpenOrders: 'leave' | 'cancel';
  /** Holds of an earlier run that survive a restart. */
  readonly restoredHolds: readonly Hold[];
  /** What an earlier run has left out; absent for nothing. */
  readonly quarantined?: readonly QuarantinedInput[];
  /** Which program this is; kept with a drill. */
  readonly build?: string;
  /** Digest of the effective configuration; in the banner and the audit. */
  readonly configHash?: string;
  /** The words that release a latch. */
  readonly acknowledgement: string;
  /** A run of a few tiny live orders: it stops at its first hold, and when its time is over. Absent for any other run. */
  readonly canary?: { readonly withinMs: number };
  /** The evidence so far; absent or null when this run gathers none. */
  readonly readiness?: ReadinessRecord | null;
}

export type OperatorCommand =
  | { readonly type: 'status' }
  | { readonly type: 'safe-mode-on'; readonly reason: string }
  | {
      readonly type: 'safe-mode-off';
      readonly acknowledgement: string;
      /** Key of the latched hold to release; `operator` unless told otherwise. */
      readonly key: string;
    }
  | { readonly type: 'cancel-all'; readonly reason: string }
  /** Kill everything as in an emergency, on an exchange without real money, and report how long it took. */
  | { readonly type: 'drill-kill' }
  /** Read the account's key again from its files, prove it, and let the old one go. */
  | { readonly type: 'rotate-key' };

export type SupervisorInput =
  | { readonly type: 'boot' }
  | { readonly type: 'tick' }
  | { readonly type: 'worker-ready'; readonly actor: ActorName; readonly incarnation: number }
  /** It said no, or did not answer in time. `exitCode` is what a failed first start ends the process with. */
  | {
      readonly type: 'worker-start-failed';
      readonly actor: ActorName;
      readonly incarnation: number;
      readonly reason: string;
      readonly exitCode: number;
    }
  | {
      readonly type: 'worker-exited';
      readonly actor: ActorName;
      readonly incarnation: number;
      readonly code: number;
      readonly error: string | null;
      /** The input it was working on, `<source>:<fingerprint>`; null or absent for none. */
      readonly inWork?: string | null;
    }
  | {
      readonly type: 'beat';
      readonly actor: ActorName;
      readonly incarnation: number;
      readonly queued: number;
      readonly dropped: number;
      readonly eventLoopDelayMs: number;
    }
  | {
      readonly type: 'hold-wanted' | 'hold-cleared';
      readonly actor: ActorName;
      readonly holdCause: HoldCause;
      readonly subject: string;
      readonly detail: string;
      readonly cause: EventId;
    }
  | { readonly type: 'work-finished'; readonly actor: ActorName; readonly reason: string }
  | {
      readonly type: 'status-reported';
      readonly actor: ActorName;
      readonly facts: Readonly<Record<string, unknown>>;
    }
  /** The venue has answered a request of a worker with 429. */
  | { readonly type: 'throttled'; readonly actor: ActorName; readonly request: string }
  | { readonly type: 'holds-restored'; readonly holds: readonly Hold[] }
  | { readonly type: 'key-read' }
  | { readonly type: 'key-unreadable'; readonly reason: string }
  | { readonly type: 'key-verified'; readonly actor: ActorName; readonly incarnation: number }
  | {
      readonly type: 'key-refused';
      readonly actor: ActorName;
      readonly incarnation: number;
      readonly reason: string;
    }
  | { readonly type: 'signal'; readonly signal: string }
  | { readonly type: 'command'; readonly request: number; readonly command: OperatorCommand };

/** What an operator is told. `ok` false is a refusal, and `message` says why. */
export interface CommandAnswer {
  readonly ok: boolean;
  readonly message: string;
  readonly status?: SupervisorStatus;
  readonly drill?: DrillRecord;
}

export type SupervisorEffect =
  | LogEffect
  | MetricEffect
  | {
      readonly type: 'start-worker';
      readonly actor: ActorName;
      readonly incarnation: number;
      /** Inputs it is to leave out. */
      readonly quarantined: readonly string[];
    }
  | { readonly type: 'drain-worker'; readonly actor: ActorName }
  | { readonly type: 'terminate-worker'; readonly actor: ActorName }
  | { readonly type: 'broadcast'; readonly control: ControlState }
  | { readonly type: 'renew-lease'; readonly untilMonoMs: number }
  /** The holds that survive a restart, all of them: written beside the ledger, which may be down. */
  | { readonly type: 'latch'; readonly holds: readonly Hold[] }
  /** The inputs that are left out, all of them: written beside the ledger. */
  | { readonly type: 'save-quarantine'; readonly inputs: readonly QuarantinedInput[] }
  | { readonly type: 'record'; readonly record: LedgerRecord }
  | { readonly type: 'save-readiness'; readonly record: ReadinessRecord }
  | { readonly type: 'save-drill'; readonly record: DrillRecord }
  | { readonly type: 'cancel-all'; readonly reason: string }
  /** Look where the key came from for another one; `key-read` or `key-unreadable` follows. */
  | { readonly type: 'read-key' }
  /** Hand the key that was read to the workers that sign, to be proven by each. */
  | { readonly type: 'offer-key' }
  /** The key that was offered is the key from now on, also for workers that start later. */
  | { readonly type: 'adopt-key' }
  /** The key that was read or offered is not wanted any more. */
  | { readonly type: 'drop-key' }
  | { readonly type: 'answer'; readonly request: number; readonly answer: CommandAnswer }
  /** The end. `forced` leaves without waiting for anybody. */
  | { readonly type: 'exit'; readonly code: number; readonly forced: boolean; readonly reason: string };

export type ChildStatus =
  | 'absent'
  | 'starting'
  | 'up'
  | 'draining'
  | 'terminating'
  | 'down'
  | 'given-up'
  /** An expendable one that is gone for this run, and is not missed. */
  | 'dropped';

interface Child {
  readonly rule: ChildRule;
  status: ChildStatus;
  incarnation: number;
  /** Monotonic ms by which the present status must have ended; infinite when it may last. */
  deadlineMonoMs: number;
  beats: Heartbeat;
  late: boolean;
  /** It was ended because its time was over; its exit code need not show that. */
  overdue: boolean;
  budget: RestartBudget;
  restarts: number;
  measuredAtMonoMs: number;
  /** Crashes per input that was being worked on, oldest first; bounded. */
  readonly crashesOn: Map<string, number>;
  /** Inputs it leaves out, oldest first; bounded. */
  quarantined: readonly string[];
  facts: Readonly<Record<string, unknown>>;
}

/** Subject of the `starting` hold that stands until the first start is complete. */
const ALL_WORKERS = 'workers';

/** A kill drill that has not ended by then has failed: 25 orders are to be gone within 10 s. */
const DRILL_WITHIN_MS = 15_000;

/** Subject of the `rest-429` hold for replies that only add up over several workers. */
const VENUE = 'venue';

/** A worker that crashed this often on one input leaves it out from then on. */
const POISON_CRASHES = 3;
/** Inputs remembered per worker. */
const POISONS_WATCHED = 64;

/** Orders named in one line of the log. */
const NAMED_MOST = 10;

/** Evidence is written this often. */
const READINESS_SAVE_MS = 10_000;

/** Beats come more often than anybody looks at their figures. */
const MEASURE_EVERY_MS = 1_000;

/** A kill drill under way. */
interface Drill {
  readonly request: number;
  readonly startedMonoMs: number;
  readonly startedAtMs: number;
  readonly deadlineMonoMs: number;
  /** Epoch of the control state that forbids every submit for it: a report made under an earlier one proves nothing. */
  readonly epoch: number;
  /** Workers that have reported since they had heard of it. */
  readonly heardBy: Set<ActorName>;
  executionClear: boolean;
  /** An order was open when it began, so that a cancel was rehearsed. */
  hadOrders: boolean;
}

export interface SupervisorState {
  readonly config: SupervisorConfig;
  readonly ids: EventIds;
  readonly holds: HoldSet;
  readonly children: readonly Child[];
  phase: 'idle' | 'starting' | 'running' | 'stopping' | 'ended';
  /** `signalled`: a signal has asked for it, so that the next one means force. */
  stop: {
    reason: string;
    exitCode: number;
    deadlineMonoMs: number;
    signalled: boolean;
    /** Somebody has been told that resting orders may be left. */
    leftOrdersTold: boolean;
  } | null;
  control: ControlState;
  leaseAtMonoMs: number;
  tickAtMonoMs: number | null;
  figuresAtMonoMs: number;
  readiness: ReadinessRecord | null;
  readinessSavedAtMonoMs: number;
  drill: Drill | null;
  keyRotation: KeyRotation | null;
  /** Monotonic times of the newest replies 429, to whichever worker, oldest first; bounded. */
  throttledAt: readonly number[];
  startedAtMs: number;
  /** Monotonic ms at which a run of limited length ends; infinite for any other. */
  runUntilMonoMs: number;
}

export interface SupervisorStatus {
  readonly phase: SupervisorState['phase'];
  readonly mode: Mode;
  readonly state: ControlState['state'];
  readonly maySubmit: boolean;
  readonly mayCancel: boolean;
  readonly reasons: readonly string[];
  readonly holds: readonly (Hold & { readonly circuit: string; readonly releasedBy: string })[];
  readonly symbols: readonly string[];
  readonly startedAtMs: number;
  /** Evidence for live gathered so far; null when this run gathers none. */
  readonly readiness: ReadinessRecord | null;
  readonly workers: Readonly<
    Record<
      string,
      {
        readonly status: ChildStatus;
        readonly incarnation: number;
        readonly restarts: number;
        readonly beatAgeMs: number;
        readonly late: boolean;
        readonly facts: Readonly<Record<string, unknown>>;
      }
    >
  >;
}

export const initialSupervisor = (config: SupervisorConfig): SupervisorState => {
  const holds = emptyHolds();
  for (const hold of config.restoredHolds) restoreHold(holds, hold);
  placeHold(holds, 'starting', '', 'the account is not proven yet', 'supervisor', 0);
  placeHold(holds, 'starting', ALL_WORKERS, 'not every worker is up yet', 'supervisor', 0);
  return {
    config,
    ids: eventIds('supervisor', 1),
    holds,
    children: config.children.map(rule => ({
      rule,
      status: 'absent',
      incarnation: 0,
      deadlineMonoMs: Number.POSITIVE_INFINITY,
      beats: heartbeat(config.limits.beatLateMs, config.limits.beatLostMs, 0),
      late: false,
      overdue: false,
      budget: restartBudget(config.limits.crashLimit, config.limits.crashWindowMs),
      restarts: 0,
      measuredAtMonoMs: 0,
      crashesOn: new Map(),
      quarantined: (config.quarantined ?? []).flatMap(({ actor, input }) =>
        actor === rule.actor ? [input] : [],
      ),
      facts: {},
    })),
    phase: 'idle',
    stop: null,
    control: tradingControl(safetyFacts({ config, holds, stop: null, drill: null }), 1),
    leaseAtMonoMs: 0,
    tickAtMonoMs: null,
    figuresAtMonoMs: 0,
    readiness: config.readiness ?? null,
    readinessSavedAtMonoMs: 0,
    drill: null,
    keyRotation: null,
    throttledAt: [],
    startedAtMs: 0,
    runUntilMonoMs: Number.POSITIVE_INFINITY,
  };
};

/** Steps the supervisor's brain. */
export const stepSupervisor = (
  state: SupervisorState,
  input: SupervisorInput,
  now: Now,
): Stepped<SupervisorState, SupervisorEffect> => {
  if (state.phase === 'ended') return { state, effects: [] };
  const turn = new Turn(state, now);
  turn.take(input);
  turn.finish();
  return { state, effects: turn.effects };
};

const safetyFacts = (state: Pick<SupervisorState, 'config' | 'holds' | 'stop' | 'drill'>): SafetyFacts => ({
  mode: state.config.mode,
  safeMode: state.config.flags.safeMode,
  killSwitch: state.config.flags.killSwitch,
  dryRun: state.config.flags.dryRun,
  modeReasons: state.config.modeReasons,
  symbols: state.config.symbols,
  holds: holdsOf(state.holds),
  drilling: state.drill !== null,
  stopping:
    state.stop === null ? null : { reason: state.stop.reason, openOrders: state.config.shutdownOpenOrders },
});

/** The client order ids that execution's report says are open. */
const openOrdersIn = (facts: Readonly<Record<string, unknown>>): readonly string[] =>
  Array.isArray(facts.openOrders)
    ? facts.openOrders.map(order => String((order as { readonly clientOrderId?: unknown }).clientOrderId))
    : [];

/** Epoch of the control state that a worker had seen when it made its report; one that does not say had seen none. */
const epochIn = (facts: Readonly<Record<string, unknown>>, name: 'controlEpoch' | 'listedEpoch'): number => {
  const epoch = facts[name];
  return typeof epoch === 'number' ? epoch : Number.NEGATIVE_INFINITY;
};

/** Whose word ends a kill drill, in this order. */
const DRILL_WITNESSES: readonly ActorName[] = ['execution', 'reconciliation'];

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';

const GONE: ReadonlySet<ChildStatus> = new Set(['absent', 'down', 'given-up', 'dropped']);
const isGone = (child: Child): boolean => GONE.has(child.status);
/** Gone, and not to be started again by itself. */
const staysDown = (child: Child): boolean => child.status === 'given-up' || child.status === 'dropped';

/** What ends a hold that no operator releases. */
const ENDS_BY: Readonly<Record<Exclude<ReleaseRule, 'operator'>, string>> = {
  evidence: 'proof that it has passed',
  probe: 'a quiet trial',
  supervisor: 'the supervisor, when the worker is back',
};

/** What workers say that changes something for the others. */
const DEEDS: ReadonlySet<SupervisorInput['type']> = new Set(['hold-wanted', 'hold-cleared', 'work-finished']);

/** One step's working space: the state being stepped, the time, and the effects so far. */
class Turn {
  readonly effects: SupervisorEffect[] = [];
  private safetyChanged = false;
  private readonly state: SupervisorState;
  private readonly now: Now;

  constructor(state: SupervisorState, now: Now) {
    this.state = state;
    this.now = now;
  }

  take(input: SupervisorInput): void {
    if (DEEDS.has(input.type) && 'actor' in input && this.child(input.actor)?.rule.expendable === true)
      return;
    switch (input.type) {
      case 'boot':
        this.boot();
        return;
      case 'tick':
        this.tick();
        return;
      case 'worker-ready':
        this.onReady(input.actor, input.incarnation);
        return;
      case 'worker-start-failed':
        this.onStartFailed(input);
        return;
      case 'worker-exited':
        this.onExited(input);
        return;
      case 'beat':
        this.onBeat(input);
        return;
      case 'hold-wanted':
        this.note(
          placeHold(
            this.state.holds,
            input.holdCause,
            input.subject,
            input.detail,
            input.actor,
            this.now.wallMs,
          ),
          input.actor,
        );
        return;
      case 'hold-cleared':
        if (input.holdCause === 'starting' && !this.mayProveAccount(input.actor, input.subject)) return;
        this.note(clearHold(this.state.holds, input.holdCause, input.subject, this.now.monoMs), input.actor);
        return;
      case 'work-finished':
        this.log('info', 'work-finished', { worker: input.actor, reason: input.reason });
        this.stop(input.reason, 0);
        return;
      case 'status-reported': {
        const child = this.child(input.actor);
        if (child !== undefined) child.facts = input.facts;
        this.watchDrill(input.actor, input.facts);
        return;
      }
      case 'throttled':
        this.onThrottled(input.actor, input.request);
        return;
      case 'holds-restored':
        for (const hold of input.holds) if (CAUSES[hold.cause].survivesRestart) this.restore(hold);
        return;
      case 'key-read':
      case 'key-unreadable':
        this.rotateKey(input);
        return;
      case 'key-verified':
      case 'key-refused':
        if (this.child(input.actor)?.incarnation === input.incarnation) this.rotateKey(input);
        return;
      case 'signal':
        this.onSignal(input.signal);
        return;
      case 'command':
        this.onCommand(input.request, input.command);
        return;
    }
  }

  /** What follows from the new state: the next child, the word to everybody, the end. */
  finish(): void {
    this.advance();
    this.tellControl();
  }

  private boot(): void {
    this.state.phase = 'starting';
    this.state.startedAtMs = this.now.wallMs;
    const { canary } = this.state.config;
    if (canary !== undefined) this.state.runUntilMonoMs = this.now.monoMs + canary.withinMs;
    this.log('info', 'banner', this.bannerFields());
    this.effects.push({ type: 'record', record: this.decisionRecord() });
    for (const hold of holdsOf(this.state.holds))
      if (hold.cause !== 'starting')
        this.log('warn', 'hold-restored', {
          key: hold.key,
          detail: hold.detail,
          placedAtMs: hold.placedAtMs,
        });
    this.safetyChanged = true;
    this.renewLease();
    this.metricsOfCircuit();
  }

  /** What was decided at this start, and why, for the audit. */
  private decisionRecord(): LedgerRecord {
    const { config, control } = this.state;
    return {
      type: 'audit',
      atMs: this.now.wallMs,
      actor: 'supervisor',
      event: 'mode-decided',
      id: nextEventId(this.state.ids),
      cause: 'boot',
      facts: {
        mode: config.mode,
        state: control.state,
        build: config.build ?? '',
        configHash: config.configHash ?? '',
        ...config.flags,
        reasons: control.reasons.join('; '),
      },
    };
  }

  private bannerFields(): Readonly<Record<string, unknown>> {
    const { config, control } = this.state;
    return {
      mode: config.mode,
      state: control.state,
      symbols: config.symbols,
      ...(config.build === undefined ? {} : { build: config.build }),
      ...(config.configHash === undefined ? {} : { configHash: config.configHash }),
      shutdownOpenOrders: config.shutdownOpenOrders,
      reasons: control.reasons,
    };
  }

  private tick(): void {
    const { limits } = this.state.config;
    const before = this.state.tickAtMonoMs;
    this.state.tickAtMonoMs = this.now.monoMs;
    const pausedMs = before === null ? 0 : this.now.monoMs - before;
    const paused = pausedMs > limits.beatLateMs / 2;
    if (paused) {
      // We stood still, not the workers: their beats and our own signals are still waiting to be read. Judge nobody and
      // renew nothing before they have been.
      this.log('warn', 'supervisor-paused', { pausedMs: Math.round(pausedMs) });
      for (const child of this.state.children) child.beats = unheardFor(child.beats, pausedMs);
      return;
    }
    if (this.now.monoMs - this.state.leaseAtMonoMs >= limits.leaseRenewMs) this.renewLease();
    for (const change of passTrials(this.state.holds, this.now.monoMs)) this.note(change, 'supervisor');
    for (const child of this.state.children) this.watch(child);
    this.watchThrottling();
    this.tellFigures();
    this.countReadiness();
    if (this.state.drill !== null && this.now.monoMs >= this.state.drill.deadlineMonoMs) this.endDrill(false);
    this.rotateKey({ type: 'tick', monoMs: this.now.monoMs });
    if (this.now.monoMs >= this.state.runUntilMonoMs) this.stop('canary: its time is over', 1);
    if (this.state.stop !== null && this.now.monoMs >= this.state.stop.deadlineMonoMs)
      this.end(this.state.stop.exitCode, true);
  }

  /** The account is proven by a reconciliation that lives: the word of one that is being ended is about an earlier state. */
  private mayProveAccount(actor: ActorName, subject: string): boolean {
    const status = this.child('reconciliation')?.status;
    return actor === 'reconciliation' && subject === '' && (status === 'up' || status === 'starting');
  }

  /** No worker sees the others' replies: two here and one there are a storm, too. */
  private onThrottled(actor: ActorName, request: string): void {
    const { monoMs, wallMs } = this.now;
    this.state.throttledAt = [...this.state.throttledAt, monoMs].slice(-THROTTLED_STORM);
    if (this.throttledInWindow() < THROTTLED_STORM) return;
    const detail = `${THROTTLED_STORM} replies 429 within a minute, the last to ${request} of ${actor}`;
    this.note(placeHold(this.state.holds, 'rest-429', VENUE, detail, 'supervisor', wallMs), 'supervisor');
  }

  private throttledInWindow(): number {
    return this.state.throttledAt.filter(at => this.now.monoMs - at < THROTTLED_WINDOW_MS).length;
  }

  private watchThrottling(): void {
    if (this.state.throttledAt.length === 0 || this.throttledInWindow() >= THROTTLED_STORM) return;
    this.note(clearHold(this.state.holds, 'rest-429', VENUE, this.now.monoMs), 'supervisor');
    if (this.throttledInWindow() === 0) this.state.throttledAt = [];
  }

  /** Counts healthy time, and keeps what was counted: now and then, at once when an incident took it away. */
  private countReadiness(): void {
    const before = this.state.readiness;
    if (before === null || this.state.phase === 'stopping') return;
    const record = countReadiness(before, this.state.control, this.now.wallMs);
    this.state.readiness = record;
    const lost = before.healthyMs > 0 && record.healthyMs === 0;
    if (!lost && this.now.monoMs - this.state.readinessSavedAtMonoMs < READINESS_SAVE_MS) return;
    if (lost) this.log('warn', 'readiness-lost', { incident: record.incident });
    this.saveReadiness(record);
  }

  private saveReadiness(record: ReadinessRecord): void {
    this.state.readinessSavedAtMonoMs = this.now.monoMs;
    this.effects.push({ type: 'save-readiness', record });
  }

  /** Once a second, for the summary of the run: what the workers reported last. */
  private tellFigures(isLast = false): void {
    if (!isLast && this.now.monoMs - this.state.figuresAtMonoMs < MEASURE_EVERY_MS) return;
    this.state.figuresAtMonoMs = this.now.monoMs;
    const account = this.child('reconciliation')?.facts as
      | { readonly profit?: { readonly totalTry?: string | null }; readonly openOrders?: number }
      | undefined;
    this.log('trace', 'run-figures', {
      profitTry: account?.profit?.totalTry ?? null,
      openOrders: account?.openOrders ?? null,
    });
  }

  private renewLease(): void {
    this.state.leaseAtMonoMs = this.now.monoMs;
    this.effects.push({
      type: 'renew-lease',
      untilMonoMs: this.now.monoMs + this.state.config.limits.leaseLifeMs,
    });
  }

  /** Judges one child by its deadline and its beats. */
  private watch(child: Child): void {
    if (this.now.monoMs >= child.deadlineMonoMs) {
      child.deadlineMonoMs = Number.POSITIVE_INFINITY;
      if (child.status === 'starting') this.startFailed(child, 'it was not ready in time', 1);
      else {
        child.overdue = true;
        this.log('error', 'worker-overdue', { worker: child.rule.actor, status: child.status });
        this.terminate(child);
      }
      return;
    }
    if (child.status !== 'up') return;
    const pulse = pulseOf(child.beats, this.now.monoMs);
    const late = pulse !== 'on-time' && !child.rule.expendable;
    if (late !== child.late) {
      child.late = late;
      this.log(late ? 'warn' : 'info', late ? 'worker-late' : 'worker-on-time', { worker: child.rule.actor });
      if (!late) this.restored(child);
    }
    if (pulse !== 'lost') return;
    this.holdFor(child, `${child.rule.actor} gives no sign of life`);
    if (child.rule.terminable) this.terminate(child);
  }

  private onBeat(input: Extract<SupervisorInput, { readonly type: 'beat' }>): void {
    const child = this.child(input.actor);
    if (child?.incarnation !== input.incarnation) return;
    child.beats = beaten(child.beats, this.now.monoMs);
    if (this.now.monoMs - child.measuredAtMonoMs < MEASURE_EVERY_MS) return;
    child.measuredAtMonoMs = this.now.monoMs;
    const labels = { actor: input.actor };
    this.metric('gauge', 'btcbot_event_loop_delay_ms', input.eventLoopDelayMs, labels);
    this.metric('gauge', 'btcbot_mailbox_queued', input.queued, labels);
    this.metric('gauge', 'btcbot_mailbox_dropped', input.dropped, labels);
  }

  private onReady(actor: ActorName, incarnation: number): void {
    const child = this.child(actor);
    if (child?.incarnation !== incarnation || child.status !== 'starting') return;
    child.status = 'up';
    child.deadlineMonoMs = Number.POSITIVE_INFINITY;
    child.beats = beaten(child.beats, this.now.monoMs);
    child.late = false;
    this.log('info', 'worker-ready', { worker: actor, incarnation });
    if (incarnation > 1) {
      for (const change of clearHoldsOf(this.state.holds, actor, this.now.monoMs)) this.note(change, actor);
      this.restored(child);
      // A fresh telemetry knows no circuit yet, and nobody who is gone.
      if (actor === 'telemetry') {
        this.metricsOfCircuit();
        for (const other of this.state.children) if (other.status === 'dropped') this.showDropped(other);
      }
    }
  }

  /** The child is well again: the hold that stood for it ends. */
  private restored(child: Child): void {
    const { actor, holdWhileDown } = child.rule;
    if (holdWhileDown === null) return;
    if (CAUSES[holdWhileDown].releasedBy === 'supervisor')
      this.note(releaseHold(this.state.holds, holdKey(holdWhileDown, actor), 'supervisor'), 'supervisor');
    else this.note(clearHold(this.state.holds, holdWhileDown, actor, this.now.monoMs), 'supervisor');
  }

  private onStartFailed(input: Extract<SupervisorInput, { readonly type: 'worker-start-failed' }>): void {
    const child = this.child(input.actor);
    if (child?.incarnation === input.incarnation && child.status === 'starting')
      this.startFailed(child, input.reason, input.exitCode);
  }

  private startFailed(child: Child, reason: string, exitCode: number): void {
    const { actor } = child.rule;
    this.log('error', 'worker-start-failed', { worker: actor, incarnation: child.incarnation, reason });
    this.dismiss(child);
    if (child.rule.expendable) this.drop(child, `did not start: ${reason}`);
    else if (this.state.phase === 'starting') this.stop(`${actor} did not start: ${reason}`, exitCode);
    else if (this.state.phase === 'running') this.giveUp(child, `did not start again: ${reason}`);
  }

  private onExited(input: Extract<SupervisorInput, { readonly type: 'worker-exited' }>): void {
    const child = this.child(input.actor);
    if (child?.incarnation !== input.incarnation) return;
    const before = child.status;
    child.deadlineMonoMs = Number.POSITIVE_INFINITY;
    if (staysDown(child)) return;
    child.status = 'down';
    this.rotateKey({ type: 'signer-lost', actor: input.actor });
    this.watchLeftOrders(
      child,
      before === 'draining' && !child.overdue && input.code === 0 && input.error === null,
    );
    if (before === 'draining') {
      this.log('info', 'worker-stopped', { worker: input.actor, code: input.code });
      return;
    }
    const how = `ended with code ${input.code}${input.error === null ? '' : `: ${firstLine(input.error)}`}`;
    if (child.rule.expendable) {
      this.drop(child, how);
      return;
    }
    // Any end that was not asked for is a crash, whatever the code.
    this.log('error', 'worker-crashed', {
      worker: input.actor,
      incarnation: input.incarnation,
      code: input.code,
      error: input.error,
      inWork: input.inWork ?? null,
      while: before,
    });
    if (typeof input.inWork === 'string') this.countPoison(child, input.inWork);
    if (this.state.phase === 'stopping') return;
    this.holdFor(child, `${input.actor} ${how}`);
    if (before === 'starting') {
      if (this.state.phase === 'starting') {
        this.stop(`${input.actor} did not start: it ${how}`, 1);
        return;
      }
      // Not the start failed but an input that was already waiting: that may yet be left out.
      if (typeof input.inWork !== 'string') {
        this.giveUp(child, 'ended before it was ready again');
        return;
      }
    }
    // Also for one that stays down: an operator may let it start again.
    if (child.rule.recoversAccount)
      this.note(
        placeHold(
          this.state.holds,
          'starting',
          '',
          `${input.actor} has ended; the account must be proven again`,
          'supervisor',
          this.now.wallMs,
        ),
        'supervisor',
      );
    const spent = spend(child.budget, this.now.monoMs);
    child.budget = spent.budget;
    if (spent.exhausted) {
      this.giveUp(
        child,
        `crashed ${spent.budget.crashes.length} times in ${spent.budget.windowMs / 1_000} s`,
      );
      return;
    }
    child.restarts += 1;
    this.metric('counter', 'btcbot_worker_restarts_total', 1, { actor: input.actor });
    this.recycleDependents(child);
  }

  /** Execution has ended during a stop: one that drained in its time has itself said what is left. */
  private watchLeftOrders(child: Child, drained: boolean): void {
    if (child.rule.actor !== 'execution' || drained) return;
    const orders = openOrdersIn(child.facts);
    this.tellLeftOrders({
      ...(orders.length === 0 ? {} : { orders: orders.length, first: orders.slice(0, NAMED_MOST) }),
      why: 'execution ended before it could say what it had canceled; named is what it told of last',
      remedy: 'btcbot cancel-all with KILL_SWITCH=true and SAFE_MODE=false, or cancel at the exchange',
    });
  }

  /** A stop that was to cancel what rests may not have: somebody has to. Said once. */
  private tellLeftOrders(fields: Readonly<Record<string, unknown>>): void {
    const { stop, config } = this.state;
    if (stop === null || stop.leftOrdersTold || config.shutdownOpenOrders !== 'cancel') return;
    stop.leftOrdersTold = true;
    this.log('warn', 'resting-orders-left', fields);
  }

  /** The third crash on one input: the input is to blame, and the next incarnation leaves it out. */
  private countPoison(child: Child, input: string): void {
    const crashes = (child.crashesOn.get(input) ?? 0) + 1;
    child.crashesOn.delete(input);
    child.crashesOn.set(input, crashes);
    for (const oldest of child.crashesOn.keys()) {
      if (child.crashesOn.size <= POISONS_WATCHED) break;
      child.crashesOn.delete(oldest);
    }
    if (crashes < POISON_CRASHES || child.quarantined.includes(input)) return;
    const { actor } = child.rule;
    child.quarantined = [...child.quarantined, input].slice(-POISONS_WATCHED);
    this.log('error', 'input-quarantined', { worker: actor, input, crashes });
    this.metric('counter', 'btcbot_inputs_quarantined_total', 1, { actor });
    this.saveQuarantine();
    this.effects.push({
      type: 'record',
      record: {
        type: 'audit',
        atMs: this.now.wallMs,
        actor: 'supervisor',
        event: 'input-quarantined',
        id: nextEventId(this.state.ids),
        cause: 'supervisor',
        facts: { worker: actor, input, crashes },
      },
    });
  }

  private saveQuarantine(): void {
    const inputs = this.state.children.flatMap(({ rule: { actor }, quarantined }) =>
      quarantined.map(input => ({ actor, input })),
    );
    this.effects.push({ type: 'save-quarantine', inputs });
  }

  /** An operator has looked at what a worker left out: its next incarnation may try it again. */
  private endQuarantine(key: string): boolean {
    const child = this.state.children.find(
      ({ rule, quarantined }) =>
        quarantined.length > 0 && key === holdKey('invariant', poisonSubject(rule.actor)),
    );
    if (child === undefined) return false;
    this.log('warn', 'quarantine-ended', { worker: child.rule.actor, inputs: child.quarantined });
    child.quarantined = [];
    this.saveQuarantine();
    return true;
  }

  /** Stops what relied on a child; it starts again after the child has. */
  private recycleDependents(child: Child): void {
    for (const dependent of [...this.state.children].reverse())
      if (child.rule.restartsWith.includes(dependent.rule.actor)) this.drain(dependent);
  }

  /** The child stays down, latched, and what relied on it stays down with it. Everybody else goes on. */
  private giveUp(child: Child, why: string): void {
    const { actor } = child.rule;
    this.log('fatal', 'worker-given-up', { worker: actor, why });
    child.status = 'given-up';
    this.note(
      placeHold(this.state.holds, 'restart-storm', actor, `${actor} ${why}`, 'supervisor', this.now.wallMs),
      'supervisor',
    );
    this.recycleDependents(child);
  }

  /** The child is gone for this run, and nothing else changes. */
  private drop(child: Child, why: string): void {
    const { actor } = child.rule;
    this.log('warn', 'worker-dropped', { worker: actor, why });
    child.status = 'dropped';
    this.showDropped(child);
  }

  private showDropped({ rule: { actor } }: Child): void {
    this.metric('gauge', 'btcbot_worker_dropped', 1, { actor });
  }

  private holdFor(child: Child, detail: string): void {
    const cause = child.rule.holdWhileDown;
    if (cause !== null)
      this.note(
        placeHold(this.state.holds, cause, child.rule.actor, detail, 'supervisor', this.now.wallMs),
        'supervisor',
      );
  }

  /** Asks a child to finish; one that is not up yet has nothing to finish. */
  private drain(child: Child): void {
    if (child.status === 'starting') this.dismiss(child);
    if (child.status !== 'up') return;
    child.status = 'draining';
    child.deadlineMonoMs = this.now.monoMs + child.rule.stopWithinMs;
    this.effects.push({ type: 'drain-worker', actor: child.rule.actor });
  }

  /** Ends a child that never became ready: at once, or by asking where a thread must not be terminated. */
  private dismiss(child: Child): void {
    child.status = 'draining';
    child.deadlineMonoMs = this.now.monoMs + child.rule.stopWithinMs;
    this.effects.push({
      type: child.rule.terminable ? 'terminate-worker' : 'drain-worker',
      actor: child.rule.actor,
    });
  }

  private terminate(child: Child): void {
    if (!child.rule.terminable) {
      this.log('error', 'worker-stuck', { worker: child.rule.actor, why: 'this thread is never terminated' });
      return;
    }
    if (child.status === 'up') child.status = 'terminating';
    this.effects.push({ type: 'terminate-worker', actor: child.rule.actor });
  }

  private onSignal(signal: string): void {
    switch (signal) {
      case 'SIGTERM':
      case 'SIGINT':
        if (this.state.stop === null) this.stop(signal, 0);
        if (this.state.stop !== null && !this.state.stop.signalled) this.state.stop.signalled = true;
        else {
          this.log('warn', 'stop-forced', { signal });
          this.end(4, true);
        }
        return;
      case 'SIGUSR2':
        this.forceSafeMode('SIGUSR2');
        return;
      default:
        this.log('info', 'signal-ignored', { signal });
    }
  }

  private forceSafeMode(by: string): void {
    this.note(
      placeHold(
        this.state.holds,
        'operator',
        '',
        `safe mode was ordered: ${by}`,
        'supervisor',
        this.now.wallMs,
      ),
      'supervisor',
    );
  }

  private stop(reason: string, exitCode: number): void {
    if (this.state.stop !== null) {
      if (this.state.stop.exitCode === 0) this.state.stop.exitCode = exitCode;
      return;
    }
    this.state.stop = {
      reason,
      exitCode,
      deadlineMonoMs: this.now.monoMs + this.state.config.limits.stopTotalMs,
      signalled: false,
      leftOrdersTold: false,
    };
    this.state.phase = 'stopping';
    this.safetyChanged = true;
    if (this.state.readiness !== null) this.saveReadiness(this.state.readiness);
    // Before anything else: nobody may start something new while the others are being stopped.
    this.tellControl();
    this.log(exitCode === 0 ? 'info' : 'error', 'stopping', { reason, exitCode });
    if (this.child('execution')?.status !== 'up')
      this.tellLeftOrders({
        why: 'SHUTDOWN_OPEN_ORDERS is cancel, and execution, which cancels, is not up',
        remedy: 'start again and stop once all workers are ready, or cancel at the exchange',
      });
  }

  private end(code: number, forced: boolean): void {
    this.state.phase = 'ended';
    this.effects.push({ type: 'exit', code, forced, reason: this.state.stop?.reason ?? '' });
  }

  private onCommand(request: number, command: OperatorCommand): void {
    const answer = (ok: boolean, message: string, status?: SupervisorStatus): void => {
      this.effects.push({
        type: 'answer',
        request,
        answer: { ok, message, ...(status === undefined ? {} : { status }) },
      });
    };
    switch (command.type) {
      case 'status':
        answer(true, this.state.control.state, statusOf(this.state, this.now));
        return;
      case 'safe-mode-on':
        this.forceSafeMode(command.reason);
        answer(true, 'safe mode is on: nothing is written until btcbot safe-mode off');
        return;
      case 'safe-mode-off':
        answer(...this.releaseLatch(command.key, command.acknowledgement));
        return;
      case 'cancel-all': {
        const { state } = this.state.control;
        if (state === 'observe-only') {
          answer(
            false,
            `refused: the state is observe-only: ${this.state.control.reasons.join('; ')}; RUNBOOK.md, Emergency: release what is latched, or restart with SAFE_MODE=false KILL_SWITCH=true, then order it again`,
          );
          return;
        }
        const execution = this.child('execution');
        if (execution === undefined || isGone(execution) || execution.status === 'terminating') {
          answer(false, 'refused: execution is down and would not hear it; order it again when it is back');
          return;
        }
        this.orderCancelAll(command.reason);
        answer(true, 'cancel-all is on its way; btcbot status shows what rests');
        return;
      }
      case 'drill-kill': {
        const refusal = this.startDrill(request);
        if (refusal !== null) answer(false, `refused: ${refusal}`);
        return;
      }
      case 'rotate-key': {
        const refusal = this.startKeyRotation(request);
        if (refusal !== null) answer(false, `refused: ${refusal}`);
        return;
      }
    }
  }

  /** @returns why the key cannot be rotated now; null when the rotation has begun. */
  private startKeyRotation(request: number): string | null {
    const { config, phase, keyRotation } = this.state;
    if (config.mode !== 'live')
      return 'this bot signs with the embedded exchange’s own key: only a live bot has a key to rotate';
    if (keyRotation !== null) return 'a rotation is under way already';
    const signers = this.state.children.filter(child => child.rule.signs);
    const missing = signers.filter(child => child.status !== 'up').map(child => child.rule.actor);
    if (phase !== 'running' || missing.length > 0)
      return `every worker that signs must be up: ${missing.join(', ') || `the bot is ${phase}`}`;
    this.state.keyRotation = beginKeyRotation(
      request,
      signers.map(child => child.rule.actor),
      this.now.monoMs,
    );
    this.effects.push({ type: 'read-key' });
    return null;
  }

  private rotateKey(input: KeyRotationInput): void {
    const { keyRotation } = this.state;
    if (keyRotation === null) return;
    const verdict = stepKeyRotation(keyRotation, input);
    switch (verdict.type) {
      case 'wait':
        return;
      case 'offer':
        this.effects.push({ type: 'offer-key' });
        return;
      case 'adopt':
        this.effects.push({ type: 'adopt-key' });
        this.endKeyRotation(keyRotation, null);
        return;
      case 'give-up':
        this.effects.push({ type: 'drop-key' });
        this.endKeyRotation(keyRotation, verdict.reason);
        return;
    }
  }

  private endKeyRotation({ request, signers }: KeyRotation, refusal: string | null): void {
    this.state.keyRotation = null;
    const event = refusal === null ? 'key-rotated' : 'key-rotation-refused';
    const provenBy = signers.join(', ');
    this.log('warn', event, refusal === null ? { provenBy } : { reason: refusal });
    this.effects.push(
      {
        type: 'record',
        record: {
          type: 'audit',
          atMs: this.now.wallMs,
          actor: 'supervisor',
          event,
          id: nextEventId(this.state.ids),
          cause: 'operator',
          facts: refusal === null ? { provenBy } : { reason: refusal },
        },
      },
      {
        type: 'answer',
        request,
        answer:
          refusal === null
            ? {
                ok: true,
                message: `the new key is in use, proven by a signed read of ${provenBy}; the old one may be revoked at the exchange`,
              }
            : { ok: false, message: `refused, the old key stays in use: ${refusal}` },
      },
    );
  }

  /** Told to execution, and kept by the ledger: an execution that ends before it hears of it learns it at its start. */
  private orderCancelAll(reason: string): void {
    this.log('warn', 'cancel-all-ordered', { reason });
    this.effects.push(
      { type: 'cancel-all', reason },
      {
        type: 'record',
        record: {
          type: 'cancel-all-ordered',
          atMs: this.now.wallMs,
          reason,
          id: nextEventId(this.state.ids),
        },
      },
    );
  }

  /** @returns why no drill can be held now; null when it runs. */
  private startDrill(request: number): string | null {
    const { config, phase, control, drill } = this.state;
    if (config.mode === 'live') return 'a drill is held on paper or in dry run, never with real money';
    if (drill !== null) return 'a drill is running already';
    if (phase !== 'running' || !control.maySubmit)
      return `the bot must be trading for a drill: ${control.reasons.join('; ')}`;
    this.state.drill = {
      request,
      startedMonoMs: this.now.monoMs,
      startedAtMs: this.now.wallMs,
      deadlineMonoMs: this.now.monoMs + DRILL_WITHIN_MS,
      epoch: control.epoch + 1,
      heardBy: new Set(),
      executionClear: false,
      hadOrders: openOrdersIn(this.child('execution')?.facts ?? {}).length > 0,
    };
    this.safetyChanged = true;
    this.log('warn', 'kill-drill-started', {});
    this.orderCancelAll('kill drill');
    return null;
  }

  /**
   * Execution must hold no order any more, and after that the venue must show reconciliation none, also in the lists that
   * were asked for since the kill. Only what they say under the drill's own control state counts: before it, an order that
   * no report names yet may have been on its way.
   */
  private watchDrill(actor: ActorName, facts: Readonly<Record<string, unknown>>): void {
    const { drill } = this.state;
    if (drill === null || epochIn(facts, 'controlEpoch') < drill.epoch) return;
    drill.heardBy.add(actor);
    if (actor === 'execution') {
      drill.executionClear = openOrdersIn(facts).length === 0;
      drill.hadOrders ||= !drill.executionClear;
    } else if (actor === 'reconciliation') {
      const listed = epochIn(facts, 'listedEpoch') >= drill.epoch;
      if (drill.executionClear && listed && facts.openOrders === 0) this.endDrill(true);
    }
  }

  /** What stands against a zero: orders, or that nobody has proven one. */
  private leftOf(drill: Drill, left: readonly string[]): string {
    if (left.length > 0) return `these are left: ${left.join(', ')}`;
    const silent = DRILL_WITNESSES.filter(actor => !drill.heardBy.has(actor));
    if (silent.length > 0) return `nothing was heard of ${silent.join(' and ')}`;
    return epochIn(this.child('reconciliation')?.facts ?? {}, 'listedEpoch') < drill.epoch
      ? 'the exchange has not answered what it shows'
      : 'some are left that only the exchange shows';
  }

  private endDrill(passed: boolean): void {
    const { drill } = this.state;
    if (drill === null) return;
    const left = openOrdersIn(this.child('execution')?.facts ?? {});
    const tookMs = Math.round(this.now.monoMs - drill.startedMonoMs);
    const record: DrillRecord = {
      build: this.state.config.build ?? '',
      atMs: drill.startedAtMs,
      passed,
      verifiedZeroMs: passed ? tookMs : null,
      left,
    };
    this.state.drill = null;
    this.safetyChanged = true;
    this.log(passed ? 'info' : 'error', 'kill-drill-ended', {
      passed,
      tookMs,
      left,
      hadOrders: drill.hadOrders,
    });
    this.effects.push(
      { type: 'save-drill', record },
      {
        type: 'record',
        record: {
          type: 'audit',
          atMs: this.now.wallMs,
          actor: 'supervisor',
          event: 'kill-drill',
          id: nextEventId(this.state.ids),
          cause: 'operator',
          facts: { passed, tookMs, left: left.join(' '), hadOrders: drill.hadOrders },
        },
      },
      {
        type: 'answer',
        request: drill.request,
        answer: {
          ok: passed,
          message: passed
            ? `passed: none of our orders is left after ${tookMs} ms${drill.hadOrders ? '' : '; none was open, so no cancel was rehearsed'}`
            : `failed: after ${tookMs} ms ${this.leftOf(drill, left)}`,
          drill: record,
        },
      },
    );
  }

  private releaseLatch(key: string, acknowledgement: string): [ok: boolean, message: string] {
    const { holds, config } = this.state;
    if (acknowledgement !== config.acknowledgement)
      return [false, `refused: give the acknowledgement ${config.acknowledgement}`];
    const hold = holdsOf(holds).find(candidate => candidate.key === key);
    // Market data is left out without a hold, and what was left out stays so across restarts.
    if (hold === undefined && this.endQuarantine(key))
      return [true, `${key}: its next incarnation may try again`];
    if (hold === undefined) return [false, `there is no hold ${key}${this.whatElseHolds()}`];
    const { releasedBy } = CAUSES[hold.cause];
    if (releasedBy !== 'operator')
      return [false, `refused: ${key} is released by nobody’s hand: it ends by ${ENDS_BY[releasedBy]}`];
    const others = holdsOf(holds).filter(
      other =>
        other.key !== key && CAUSES[other.cause].releasedBy !== 'probe' && other.cause !== 'worker-down',
    );
    if (hold.cause === 'operator' && others.length > 0)
      return [
        false,
        `refused: the state is not clean: ${others.map(other => `${other.key} (${other.detail})`).join('; ')}`,
      ];
    const change = releaseHold(holds, key, 'operator');
    if (change.type === 'refused') return [false, `refused: ${change.why}`];
    this.note(change, 'operator');
    this.endQuarantine(key);
    if (hold.cause === 'restart-storm')
      for (const child of this.state.children)
        if (child.rule.actor === hold.subject && child.status === 'given-up') {
          child.status = 'down';
          child.budget = refill(child.budget);
        }
    return [true, `${key} is released`];
  }

  /** For somebody who releases what is not there: what may have been meant. */
  private whatElseHolds(): string {
    const waiting = holdsOf(this.state.holds).filter(({ cause }) => CAUSES[cause].releasedBy === 'operator');
    return [
      waiting.length === 0
        ? ''
        : `; these wait for an operator, each by --hold and its key: ${waiting.map(({ key }) => key).join(', ')}`,
      this.state.config.flags.safeMode
        ? '; SAFE_MODE is true, which no command ends: set SAFE_MODE=false and restart'
        : '',
    ].join('');
  }

  /** Puts back a hold that the ledger kept; it is written down there already. */
  private restore(hold: Hold): void {
    if (restoreHold(this.state.holds, hold).type === 'unchanged') return;
    this.safetyChanged = true;
    this.log('warn', 'hold-restored', { key: hold.key, detail: hold.detail, placedAtMs: hold.placedAtMs });
    this.latch();
  }

  private latch(): void {
    this.effects.push({
      type: 'latch',
      holds: holdsOf(this.state.holds).filter(hold => CAUSES[hold.cause].survivesRestart),
    });
  }

  /** Writes down what happened to a hold, and lets the trading state follow. */
  private note(change: HoldChange, by: string): void {
    if (change.type === 'unchanged') return;
    const { key, cause, subject, detail } = change.hold;
    if (change.type === 'refused') {
      this.log('debug', 'hold-release-refused', { key, by, why: change.why });
      return;
    }
    this.safetyChanged = true;
    const fields = { key, cause, subject, detail, by };
    switch (change.type) {
      case 'placed':
      case 'relapsed':
        this.log(cause === 'starting' ? 'info' : 'warn', `hold-${change.type}`, fields);
        break;
      case 'trial-started':
        this.log('info', 'hold-on-trial', fields);
        return;
      case 'released':
        this.log('info', 'hold-released', fields);
        break;
    }
    this.effects.push({
      type: 'record',
      record:
        change.type === 'released'
          ? { type: 'hold-released', key, atMs: this.now.wallMs, by }
          : { type: 'hold-placed', hold: change.hold, atMs: this.now.wallMs },
    });
    if (CAUSES[cause].survivesRestart) this.latch();
    // Before the first order holds come and go; once it may trade, the first one is a warning.
    if (change.type !== 'released' && this.state.config.canary !== undefined && this.state.control.maySubmit)
      this.stop(`canary: hold ${key}: ${detail}`, 1);
  }

  /** Starts or stops whoever is next. */
  private advance(): void {
    switch (this.state.phase) {
      case 'starting':
      case 'running':
        this.startNext();
        return;
      case 'stopping':
        this.stopNext();
        return;
      case 'idle':
      case 'ended':
        return;
    }
  }

  private startNext(): void {
    for (const child of this.state.children) {
      if (child.status === 'up' || staysDown(child)) continue;
      if (!isGone(child)) return;
      if (this.mustWait(child)) continue;
      // Nothing waits for it, and neither does the first start.
      if (child.rule.expendable) this.noteAllStarted();
      child.status = 'starting';
      child.incarnation += 1;
      child.deadlineMonoMs = this.now.monoMs + child.rule.readyWithinMs;
      child.beats = beaten(child.beats, this.now.monoMs);
      child.overdue = false;
      child.facts = {};
      this.effects.push({
        type: 'start-worker',
        actor: child.rule.actor,
        incarnation: child.incarnation,
        quarantined: child.quarantined,
      });
      return;
    }
    this.noteAllStarted();
  }

  private noteAllStarted(): void {
    if (
      this.state.phase === 'starting' &&
      this.state.children.every(({ status, rule }) => status === 'up' || rule.expendable)
    ) {
      this.state.phase = 'running';
      this.note(clearHold(this.state.holds, 'starting', ALL_WORKERS, this.now.monoMs), 'supervisor');
      this.log('info', 'all-workers-ready', {});
    }
  }

  /** A child waits for what relied on its predecessor to be gone, and stays down while what it relies on is. */
  private mustWait(child: Child): boolean {
    return this.state.children.some(
      other =>
        (child.rule.restartsWith.includes(other.rule.actor) && !isGone(other)) ||
        (other.rule.restartsWith.includes(child.rule.actor) && other.status !== 'up'),
    );
  }

  private stopNext(): void {
    const left = [...this.state.children].reverse().find(child => !isGone(child));
    if (left === undefined) this.end(this.state.stop?.exitCode ?? 0, false);
    else if (left.status === 'up' || left.status === 'starting') {
      // Whoever had something to count has counted it by now, and this worker is the one that says it.
      if (left.rule.actor === 'telemetry') this.tellFigures(true);
      this.drain(left);
    }
  }

  private tellControl(): void {
    if (!this.safetyChanged) return;
    this.safetyChanged = false;
    const before = this.state.control;
    this.state.control = tradingControl(safetyFacts(this.state), before.epoch + 1);
    const { control } = this.state;
    // First of all effects: a write may be at the fence in this moment, and a disk may be slow. Only the newest counts.
    const older = this.effects.findIndex(effect => effect.type === 'broadcast');
    if (older >= 0) this.effects.splice(older, 1);
    this.effects.unshift({ type: 'broadcast', control });
    if (before.state !== control.state || before.maySubmit !== control.maySubmit)
      this.log('info', 'trading-state-changed', {
        from: before.state,
        to: control.state,
        maySubmit: control.maySubmit,
        mayCancel: control.mayCancel,
        reasons: control.reasons,
      });
    this.metricsOfCircuit();
  }

  private metricsOfCircuit(): void {
    for (const [cause, circuit] of circuitStates(this.state.holds))
      this.metric('gauge', 'circuit_breaker_state', circuitValue(circuit), { cause });
    const { control } = this.state;
    this.metric('gauge', 'btcbot_safe_mode', control.state === 'observe-only' ? 1 : 0);
    this.metric('gauge', 'btcbot_live_reasons', control.reasons.length);
    this.metric('gauge', 'btcbot_live_intended', control.mode === 'live' ? 1 : 0);
    this.metric('gauge', 'btcbot_live', control.mode === 'live' && control.maySubmit ? 1 : 0);
  }

  private child(actor: ActorName): Child | undefined {
    for (const child of this.state.children) if (child.rule.actor === actor) return child;
    return undefined;
  }

  private log(level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>): void {
    this.effects.push({
      type: 'log',
      level,
      event,
      fields: { ...fields, id: nextEventId(this.state.ids) },
    });
  }

  private metric(
    kind: MetricEffect['kind'],
    name: string,
    value: number,
    labels?: Readonly<Record<string, string>>,
  ): void {
    this.effects.push(
      labels === undefined
        ? { type: 'metric', kind, name, value }
        : { type: 'metric', kind, name, value, labels },
    );
  }
}

/** What `btcbot status` shows. */
export const statusOf = (state: SupervisorState, now: Now): SupervisorStatus => {
  const circuits = circuitStates(state.holds);
  return {
    phase: state.phase,
    mode: state.config.mode,
    state: state.control.state,
    maySubmit: state.control.maySubmit,
    mayCancel: state.control.mayCancel,
    reasons: state.control.reasons,
    holds: holdsOf(state.holds).map(hold => ({
      ...hold,
      circuit: circuits.get(hold.cause) ?? 'open',
      releasedBy: CAUSES[hold.cause].releasedBy,
    })),
    symbols: state.config.symbols,
    startedAtMs: state.startedAtMs,
    readiness: state.readiness,
    workers: Object.fromEntries(
      state.children.map(child => [
        child.rule.actor,
        {
          status: child.status,
          incarnation: child.incarnation,
          restarts: child.restarts,
          beatAgeMs: Math.max(0, Math.round(now.monoMs - child.beats.lastMonoMs)),
          late: child.late,
          facts: child.facts,
        },
      ]),
    ),
  };
};
