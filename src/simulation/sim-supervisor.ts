/**
 * The supervisor of a simulated process: its real brain over the simulated tree. What supervision/main.ts does with
 * ports, a latch file and signals is done here with links, a value that outlives the process, and method calls.
 */
import type { LedgerRecord } from '../domain/ledger-records.js';
import type { Hold } from '../domain/safety.js';
import {
  type CommandAnswer,
  initialSupervisor,
  type OperatorCommand,
  type SupervisorEffect,
  type SupervisorInput,
  type SupervisorState,
  stepSupervisor,
} from '../domain/supervisor.js';
import type { FromLedger, ToLedger } from '../messages/ledger.js';
import {
  BEAT_LATE_MS,
  BEAT_LOST_MS,
  CRASH_LIMIT,
  CRASH_WINDOW_MS,
  LEASE_LIFE_MS,
  LEASE_RENEW_MS,
  STOP_TOTAL_MS,
  TICK_MS,
} from '../runtime/limits.js';
import { LIVE_ACKNOWLEDGEMENT } from '../runtime/setting-table.js';
import type { Settings } from '../runtime/settings.js';
import { childSpecs } from '../supervision/child-spec.js';
import type { VirtualTime } from './virtual-time.js';
import { createSimTree, nextTickMs, type SimTree, type TreeOptions } from './worker-tree.js';

/** An idle supervisor's ticks thin out to this; its lease is renewed twice in its life all the same. */
const IDLE_TICK_MS = 2 * LEASE_RENEW_MS;

/** What survives the end of a process beside its ledger: the latch file. */
export interface LatchFile {
  holds: readonly Hold[];
}

export interface SimProcessOptions extends Omit<TreeOptions, 'onInput' | 'leased'> {
  readonly time: VirtualTime;
  readonly settings: Settings;
  readonly latch: LatchFile;
  onLease(untilMonoMs: number): void;
  onBoot(latched: readonly Hold[], state: SupervisorState): void;
  onSupervisorStep(input: SupervisorInput, state: SupervisorState): void;
}

/** One run of the bot's process, from its boot to its end. */
export interface SimProcess {
  readonly state: SupervisorState;
  /** Its loop does not turn. */
  readonly isFrozen: boolean;
  readonly tree: SimTree;
  /** The exit code, once the process has ended; null before. A killed process has none and shows -1. */
  readonly exitCode: number | null;
  signal(signal: string): void;
  command(command: OperatorCommand): void;
  readonly answers: readonly CommandAnswer[];
  /** The supervisor's loop does not turn for a while: nothing is heard, renewed or judged. */
  freeze(ms: number): void;
  /** The whole process is gone at once, as by SIGKILL or a power cut. */
  kill(): void;
}

export const startSimProcess = (options: SimProcessOptions): SimProcess => {
  const { time, settings, latch } = options;
  const specs = childSpecs(settings);
  const answers: CommandAnswer[] = [];
  const waitingRecords: LedgerRecord[] = [];
  /** Inputs that came while the loop stood still. */
  let frozen: SupervisorInput[] | null = null;
  let exitCode: number | null = null;
  let busy = true;
  let tickMs = TICK_MS;
  let batch = 0;
  let request = 0;
  /** Whether the ledger has said which holds earlier runs left. */
  let holdsKnown = false;
  let state = initialSupervisor({
    children: specs,
    limits: {
      beatLateMs: BEAT_LATE_MS,
      beatLostMs: BEAT_LOST_MS,
      leaseRenewMs: LEASE_RENEW_MS,
      leaseLifeMs: LEASE_LIFE_MS,
      stopTotalMs: STOP_TOTAL_MS,
      crashLimit: CRASH_LIMIT,
      crashWindowMs: CRASH_WINDOW_MS,
    },
    mode: settings.mode,
    flags: settings.flags,
    modeReasons: settings.modeReasons,
    symbols: settings.symbols,
    shutdownOpenOrders: settings.shutdownOpenOrders,
    restoredHolds: latch.holds,
    acknowledgement: LIVE_ACKNOWLEDGEMENT,
  });

  const toLedger = (message: ToLedger): void => tree.toLedger(message);
  const flushRecords = (): void => {
    if (!tree.isUp('ledger') || waitingRecords.length === 0) return;
    batch += 1;
    toLedger({ type: 'append', batch, durable: true, records: waitingRecords.splice(0) });
  };

  const onLedger = (reply: FromLedger): void => {
    if (reply.type !== 'snapshot-given' || holdsKnown) return;
    holdsKnown = true;
    feed({ type: 'holds-restored', holds: reply.snapshot.holds });
  };

  const feed = (input: SupervisorInput): void => {
    if (exitCode !== null) return;
    if (input.type !== 'tick' && input.type !== 'beat' && input.type !== 'status-reported') busy = true;
    if (frozen !== null) {
      frozen.push(input);
      return;
    }
    const stepped = stepSupervisor(state, input, time.now());
    state = stepped.state;
    options.onSupervisorStep(input, state);
    for (const effect of stepped.effects) perform(effect);
    flushRecords();
    if (input.type === 'worker-ready' && input.actor === 'ledger' && !holdsKnown)
      toLedger({ type: 'snapshot-wanted', request: 1, fills: false });
  };

  const tree = createSimTree(
    {
      ...options,
      leased: new Set(specs.filter(spec => spec.leased).map(spec => spec.actor)),
      onInput: feed,
    },
    message => onLedger(message as FromLedger),
  );

  const perform = (effect: SupervisorEffect): void => {
    switch (effect.type) {
      case 'broadcast':
        tree.broadcast(effect.control);
        return;
      case 'renew-lease':
        tree.renewLease(effect.untilMonoMs);
        options.onLease(effect.untilMonoMs);
        return;
      case 'latch':
        latch.holds = effect.holds;
        return;
      case 'start-worker':
        tree.start(effect.actor, effect.incarnation);
        return;
      case 'drain-worker':
        tree.drain(effect.actor);
        return;
      case 'terminate-worker':
        tree.kill(effect.actor, null);
        return;
      case 'record':
        waitingRecords.push(effect.record);
        return;
      case 'cancel-all':
        tree.cancelAll(effect.reason);
        return;
      case 'answer':
        answers.push(effect.answer);
        return;
      case 'log':
        options.log('supervisor', effect.level, effect.event, effect.fields);
        return;
      case 'metric':
        options.metric('supervisor', effect);
        return;
      case 'exit':
        exitCode = effect.code;
        tree.killAll();
        return;
    }
  };

  const tick = (): void => {
    if (exitCode !== null) return;
    if (frozen === null) feed({ type: 'tick' });
    tickMs = nextTickMs(tickMs, busy, IDLE_TICK_MS);
    busy = false;
    time.after(tickMs, 'supervisor tick', tick);
  };
  time.after(tickMs, 'supervisor tick', tick);
  options.onBoot(latch.holds, state);
  feed({ type: 'boot' });

  return {
    get state() {
      return state;
    },
    get isFrozen() {
      return frozen !== null;
    },
    tree,
    get exitCode() {
      return exitCode;
    },
    answers,
    signal: signal => feed({ type: 'signal', signal }),
    command: command => feed({ type: 'command', request: ++request, command }),
    freeze: ms => {
      if (frozen !== null) return;
      frozen = [];
      time.after(ms, 'supervisor thaws', () => {
        const waited = frozen ?? [];
        frozen = null;
        // Timers are late by the whole pause: the tick comes before what waited in the ports, as a loop turns.
        feed({ type: 'tick' });
        for (const input of waited) feed(input);
      });
    },
    kill: () => {
      exitCode = -1;
      tree.killAll();
    },
  };
};
