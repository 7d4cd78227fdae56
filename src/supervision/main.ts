/** The shell of the supervisor: it performs what the brain decides, and never waits for a disk or a network. */
import { accessSync, constants, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { isatty } from 'node:tty';
import { parseArgs } from 'node:util';
import type { MessagePort } from 'node:worker_threads';
import { continueReadiness, readinessRefusals } from '../domain/readiness.js';
import type { Hold } from '../domain/safety.js';
import type { ActorName, LogLevel } from '../domain/step.js';
import {
  type CommandAnswer,
  initialSupervisor,
  type SupervisorEffect,
  type SupervisorInput,
  stepSupervisor,
} from '../domain/supervisor.js';
import type { FromLedger, ToLedger } from '../messages/ledger.js';
import type { ToTelemetry } from '../messages/telemetry.js';
import { buildId } from '../runtime/build-id.js';
import { CANARY_WITHIN_MS, canarySettings } from '../runtime/canary-settings.js';
import { monoMs, now } from '../runtime/clock.js';
import { type LoadedConfig, loadSettings, renderProblem } from '../runtime/config.js';
import { controlSocketPath, socketPathProblem } from '../runtime/control-protocol.js';
import { makeFolder } from '../runtime/folders.js';
import { latchPath, readLatch, writeLatch } from '../runtime/latch-file.js';
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
import { quarantinePath, readQuarantine, writeQuarantine } from '../runtime/quarantine-file.js';
import {
  drillPath,
  readDrill,
  readinessPath,
  readReadiness,
  writeReadiness,
} from '../runtime/readiness-file.js';
import { dropSecrets, holdsSecrets, redactFacts, redactorOf } from '../runtime/secrets.js';
import { LIVE_ACKNOWLEDGEMENT } from '../runtime/setting-table.js';
import type { ApiCredentials, Settings } from '../runtime/settings.js';
import { WITHOUT_ADDON } from '../runtime/worker-env.js';
import { childSpecs } from './child-spec.js';
import { type ControlSocket, openControlSocket } from './control-socket.js';
import { type KeySource, readNewKey } from './key-source.js';
import { createLedgerOutbox } from './ledger-outbox.js';
import { takeSignals } from './signals.js';
import { WorkerTree } from './tree.js';

const EXIT_UNEXPECTED = 1;
const EXIT_REFUSED = 2;
/** How often the workers' loops are looked at from outside. */
const LOOK_EVERY_MS = 1_000;
/** Lines kept for telemetry while it is down; the oldest go. */
const MAX_WAITING_LINES = 1_000;

/**
 * A plain line on stderr. Not through `process.stderr` nor `process.stdout`: opening those streams would make a shared
 * pipe blocking, and telemetry writes to it without ever waiting.
 */
const complain = (line: string): void => {
  try {
    writeSync(2, `btcbot: ${line}\n`);
  } catch {
    // Nobody reads.
  }
};

/** What the entry hands on. */
export interface Invocation {
  readonly args: readonly string[];
  /** The process's own environment, which the workers inherit: secrets are taken out of it. */
  readonly env: Record<string, string | undefined>;
  /** Ends the process. */
  readonly end: (code: number) => never;
  /** Where the worker files are, unless they are the built ones. */
  readonly entryOf?: (actor: ActorName) => URL;
}

/** Runs the bot until it ends the process. */
export const main = (invocation: Invocation): void => {
  const { args, env, end } = invocation;
  const { config: configFile, canary, fill } = readArguments(args, end);
  const load = (): LoadedConfig =>
    loadSettings({
      env,
      configFile,
      cwd: process.cwd(),
      readFile: path => readFileSync(path, 'utf8'),
      nowMs: now().wallMs,
      evidenceRefusals: ({ stateDbPath, ...wanted }) =>
        readinessRefusals(readReadiness(readinessPath(stateDbPath)), readDrill(drillPath(stateDbPath)), {
          ...wanted,
          build: buildId(),
          nowMs: now().wallMs,
        }),
    });
  const loaded = load();
  const keySource: KeySource = { load, inEnvironment: holdsSecrets(env) };
  dropSecrets(env);
  Object.assign(env, WITHOUT_ADDON);
  const problems = loaded.ok ? placeProblems(loaded.settings) : loaded.problems.map(renderProblem);
  if (!loaded.ok || problems.length > 0) {
    for (const problem of problems) complain(problem);
    end(EXIT_REFUSED);
    return;
  }
  if (canary === undefined) {
    supervise(loaded.settings, loaded.credentials, keySource, invocation);
    return;
  }
  const refusals = canaryProblems(loaded.settings, canary);
  for (const refusal of refusals) complain(refusal);
  if (refusals.length > 0) end(EXIT_REFUSED);
  else
    supervise(canarySettings(loaded.settings, canary, fill), loaded.credentials, keySource, invocation, {
      withinMs: CANARY_WITHIN_MS,
    });
};

interface Arguments {
  readonly config: string | undefined;
  /** The symbol of a canary run; undefined for any other. */
  readonly canary: string | undefined;
  /** Whether one order of the canary is to fill. */
  readonly fill: boolean;
}

const readArguments = (args: readonly string[], end: Invocation['end']): Arguments => {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        config: { type: 'string' },
        canary: { type: 'string' },
        'no-fill': { type: 'boolean' },
      },
    });
    return { config: values.config, canary: values.canary, fill: values['no-fill'] !== true };
  } catch (error) {
    complain(`${(error as Error).message}; usage: node dist/supervisor.js [--config <file>]`);
    return end(EXIT_REFUSED);
  }
};

/** A canary needs everything that live needs, and has less. */
const canaryProblems = (settings: Settings, symbol: string): readonly string[] => {
  const problems =
    settings.mode === 'live' ? settings.modeReasons : [`this configuration is ${settings.mode}`];
  return [
    ...problems.map(problem => `the canary is not armed: ${problem}`),
    ...(settings.symbols.includes(symbol)
      ? []
      : [`the canary may not trade ${symbol}: it is not in SYMBOLS`]),
  ];
};

/** What is wrong with where the state is to live. */
const placeProblems = (settings: Settings): readonly string[] => {
  const problems: string[] = [];
  const folder = dirname(settings.stateDbPath);
  try {
    makeFolder(folder);
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    problems.push(
      `STATE_DB_PATH: the folder ${folder} cannot be used: ${(error as Error).message}; choose a folder this user may write to`,
    );
  }
  const { recording } = settings.paper;
  if (settings.venue === 'paper' && recording !== null)
    try {
      accessSync(recording, constants.R_OK);
    } catch (error) {
      problems.push(
        `PAPER_RECORDING: ${recording} cannot be read: ${(error as Error).message}; name a recording that exists`,
      );
    }
  const socketProblem = socketPathProblem(controlSocketPath(settings.stateDbPath));
  if (socketProblem !== null) problems.push(`STATE_DB_PATH: ${socketProblem}`);
  return problems;
};

const supervise = (
  settings: Settings,
  credentials: ApiCredentials | null,
  keySource: KeySource,
  { end, entryOf }: Invocation,
  canary?: { readonly withinMs: number },
): void => {
  const specs = childSpecs(settings, entryOf);
  const secrets = [credentials];
  let redact = redactorOf(...secrets);
  const latch = latchPath(settings.stateDbPath);
  const readiness = readinessPath(settings.stateDbPath);
  const quarantine = quarantinePath(settings.stateDbPath);
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
    restoredHolds: readLatch(latch),
    quarantined: readQuarantine(quarantine, buildId()),
    build: buildId(),
    configHash: settings.configHash,
    acknowledgement: LIVE_ACKNOWLEDGEMENT,
    ...(canary === undefined ? {} : { canary }),
    readiness:
      settings.mode === 'dry-run'
        ? continueReadiness(readReadiness(readiness), buildId(), settings.configHash, now().wallMs)
        : null,
  });
  let socket: ControlSocket | null = null;
  let telemetry: MessagePort | null = null;
  let ledger: MessagePort | null = null;
  /** Whether the ledger has said which holds earlier runs left. */
  let holdsKnown = false;
  let socketAsked = false;
  const waitingLines: ToTelemetry[] = [];
  const outbox = createLedgerOutbox();

  const toTelemetry = (message: ToTelemetry): void => {
    if (telemetry !== null) telemetry.postMessage(message);
    else if (waitingLines.push(message) > MAX_WAITING_LINES) waitingLines.shift();
  };
  const log = (level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>): void => {
    const clean = redactFacts(redact, fields) as Readonly<Record<string, unknown>>;
    toTelemetry({ type: 'log', actor: 'supervisor', atMs: now().wallMs, level, event, fields: clean });
  };
  const onLedger = (reply: FromLedger): void => {
    if (reply.type === 'snapshot-given') {
      if (holdsKnown) return;
      holdsKnown = true;
      feed({ type: 'holds-restored', holds: reply.snapshot.holds });
    } else if (reply.type === 'appended' || reply.type === 'append-failed') {
      if (reply.type === 'append-failed') log('error', 'hold-not-recorded', { reason: reply.reason });
      outbox.answered(reply, monoMs());
      outbox.flush(monoMs());
    }
  };

  const onPort = (peer: ActorName, port: MessagePort): void => {
    switch (peer) {
      case 'telemetry':
        telemetry = port;
        for (const line of waitingLines.splice(0)) port.postMessage(line);
        return;
      case 'ledger':
        ledger = port;
        outbox.connected(message => port.postMessage(message));
        port.on('message', message => onLedger(message as FromLedger));
        return;
      default:
        port.close();
    }
  };

  /** Once the ledger is up this process owns the data: the holds of earlier runs come back, the socket may open. */
  const onLedgerReady = (): void => {
    outbox.flush(monoMs());
    // After what waits was handed in, so that nothing comes back that has ended in this run; and again when a ledger has ended
    // before it answered.
    if (!holdsKnown)
      ledger?.postMessage({ type: 'snapshot-wanted', request: 1, fills: false } satisfies ToLedger);
    if (socketAsked) return;
    socketAsked = true;
    openControlSocket(controlSocketPath(settings.stateDbPath), (request, command) =>
      feed({ type: 'command', request, command }),
    ).then(
      opened => {
        if (state.phase === 'ended') opened.close();
        else socket = opened;
      },
      (error: Error) => log('error', 'control-socket-failed', { reason: error.message }),
    );
  };

  const feed = (input: SupervisorInput): void => {
    const stepped = stepSupervisor(state, input, now());
    state = stepped.state;
    for (const effect of stepped.effects) perform(effect);
    outbox.flush(monoMs());
    if (input.type === 'worker-ready' && input.actor === 'ledger') onLedgerReady();
  };

  /** A worker's last words go to the log, the ledger, the latch and the status: whatever they are, no secret is among them. */
  const cleaned = (input: SupervisorInput): SupervisorInput =>
    input.type === 'worker-exited' || input.type === 'worker-start-failed'
      ? (redactFacts(redact, input) as SupervisorInput)
      : input;

  const tree = new WorkerTree(
    { specs, settings, credentials, terminal: isatty(1) },
    {
      onInput: input => feed(cleaned(input)),
      onPort,
      onPeerLost: peer => {
        if (peer === 'telemetry') telemetry = null;
        if (peer === 'ledger') {
          ledger = null;
          outbox.lost();
        }
      },
    },
  );

  let newKey: ApiCredentials | null = null;
  const readKey = (): SupervisorInput => {
    const found = readNewKey(keySource, tree.keyInUse);
    if (!found.ok) return { type: 'key-unreadable', reason: found.reason };
    newKey = found.credentials;
    secrets.push(newKey);
    redact = redactorOf(...secrets);
    return { type: 'key-read' };
  };

  /** Holds that no disk has taken yet, and why: a restart would not know of them. */
  let unkept: { readonly holds: readonly Hold[]; readonly reason: string } | null = null;
  const keepLatch = (holds: readonly Hold[]): void => {
    const before = unkept;
    try {
      writeLatch(latch, holds);
      unkept = null;
      if (before !== null) log('warn', 'latch-written', { holds: holds.map(({ key }) => key) });
    } catch (error) {
      unkept = { holds, reason: (error as Error).message };
      if (before === null) log('error', 'latch-not-written', { reason: unkept.reason });
    }
  };
  const withLatchWarning = (answer: CommandAnswer): CommandAnswer =>
    unkept === null || !answer.ok || answer.status !== undefined
      ? answer
      : {
          ...answer,
          message: `${answer.message}; BUT the latch could not be written (${unkept.reason}): do not restart before the log says latch-written, a restart may not know of it`,
        };

  const perform = (effect: SupervisorEffect): void => {
    switch (effect.type) {
      case 'broadcast':
        tree.broadcast(effect.control);
        return;
      case 'renew-lease':
        tree.renewLease(effect.untilMonoMs);
        return;
      case 'latch':
        keepLatch(effect.holds);
        return;
      case 'save-quarantine':
        try {
          writeQuarantine(quarantine, buildId(), effect.inputs);
        } catch (error) {
          log('error', 'quarantine-not-written', { reason: (error as Error).message });
        }
        return;
      case 'save-readiness':
      case 'save-drill':
        try {
          const path = effect.type === 'save-drill' ? drillPath(settings.stateDbPath) : readiness;
          writeReadiness(path, effect.record);
        } catch (error) {
          log('error', 'evidence-not-written', { reason: (error as Error).message });
        }
        return;
      case 'start-worker':
        tree.start(effect.actor, effect.incarnation, effect.quarantined);
        return;
      case 'drain-worker':
        if (effect.actor === 'ledger') outbox.flushLast();
        tree.drain(effect.actor);
        return;
      case 'terminate-worker':
        tree.terminate(effect.actor);
        return;
      case 'record':
        outbox.add(effect.record);
        return;
      case 'cancel-all':
        tree.cancelAll(effect.reason);
        return;
      case 'read-key':
        setImmediate(() => feed(readKey()));
        return;
      case 'offer-key':
        if (newKey !== null) tree.offerKey(newKey);
        return;
      case 'adopt-key':
        newKey = null;
        tree.adoptKey();
        return;
      case 'drop-key':
        newKey = null;
        tree.dropKey();
        return;
      case 'answer':
        socket?.answer(effect.request, withLatchWarning(effect.answer));
        return;
      case 'log':
        log(effect.level, effect.event, effect.fields);
        return;
      case 'metric':
        toTelemetry(effect);
        return;
      case 'exit':
        if (unkept !== null) keepLatch(unkept.holds);
        socket?.close();
        if (effect.code !== 0) complain(redact(effect.reason));
        leave(effect.code, tree, end);
        return;
    }
  };

  // A fault of our own: the runtime would print it as it is. Nothing is known any more, so the process ends at once.
  process.on('uncaughtException', error => {
    complain(redact(error instanceof Error ? (error.stack ?? String(error)) : String(error)));
    leave(EXIT_UNEXPECTED, tree, end);
  });
  takeSignals(signal => feed({ type: 'signal', signal }));
  // Whoever watches a canary stops it at its first warning: without that eye it must not go on.
  if (canary !== undefined)
    process.once('disconnect', () => {
      // A second order to stop would mean force.
      if (state.stop === null) feed({ type: 'signal', signal: 'SIGTERM' });
    });
  setInterval(() => feed({ type: 'tick' }), TICK_MS);
  setInterval(() => {
    if (unkept !== null) keepLatch(unkept.holds);
    for (const [actor, value] of tree.utilizations())
      toTelemetry({
        type: 'metric',
        kind: 'gauge',
        name: 'btcbot_event_loop_utilization',
        value,
        labels: { actor },
      });
  }, LOOK_EVERY_MS);
  feed({ type: 'boot' });
};

/** How long a forced end waits for threads that were told to go. */
const LAST_GRACE_MS = 500;

/**
 * Ends the process. Leaving joins every thread and hangs while one is inside a native call, so the process
 * leaves only once none is left; otherwise the process kills itself, which the journal makes a normal start.
 */
const leave = (code: number, tree: WorkerTree, end: Invocation['end']): void => {
  if (tree.alive.length === 0) end(code);
  for (const actor of tree.alive) {
    if (actor === 'ledger') tree.drain(actor);
    else tree.terminate(actor);
  }
  const deadlineMonoMs = monoMs() + LAST_GRACE_MS;
  const timer = setInterval(() => {
    if (tree.alive.length === 0) end(code);
    if (monoMs() < deadlineMonoMs) return;
    clearInterval(timer);
    complain(`${tree.alive.join(', ')} did not end; the process ends itself`);
    process.kill(process.pid, 'SIGKILL');
  }, 5);
};
