/**
 * One simulated run with faults: a while in which things go wrong and the promises must hold, then a while in which
 * nothing does and everything must come right again.
 */

import { CAUSES } from '../domain/breaker.js';
import { touch } from '../domain/matching.js';
import type { Hold, HoldCause } from '../domain/safety.js';
import type { ActorName, LogLevel } from '../domain/step.js';
import type { StrategyDefinition } from '../domain/strategy.js';
import { randomStream } from '../exchange/random.js';
import { bookDifferences, pictureDifferences, positionDifferences } from './books.js';
import { createFaultPlan, drawSwitches, type FaultRates, releaseLatched } from './fault-plan.js';
import { createInvariants, InvariantViolation } from './invariants.js';
import type { NetworkLatencies } from './sim-rest.js';
import { LIVE_TEMPO, type Tempo } from './tempo.js';
import { START_MONO_MS } from './virtual-time.js';
import { createWorld, type World } from './world.js';

export interface SimulationOptions {
  readonly seed: number;
  readonly strategy: StrategyDefinition;
  readonly strategyConfig?: Readonly<Record<string, unknown>>;
  readonly symbols: readonly string[];
  /** Virtual time before everything must come right, ms. */
  readonly durationMs: number;
  /** How often things go wrong meanwhile; null for never. */
  readonly faults: FaultRates | null;
  readonly env?: Readonly<Record<string, string>>;
  /** How busy it is; as live unless told otherwise. */
  readonly tempo?: Tempo;
  /** How far and how unsteady the venue is; near and steady unless told otherwise. */
  readonly network?: NetworkLatencies;
  /** Least severity of log lines in the trace. */
  readonly traceLevel?: LogLevel;
  /** Told of each line of the trace as it is made. */
  onTrace?(line: string): void;
}

export interface SimulationReport {
  readonly seed: number;
  readonly virtualMs: number;
  readonly events: number;
  readonly orders: number;
  readonly fills: number;
  /** What went wrong, and what the bot did about it, each with how often. */
  readonly coverage: ReadonlyMap<string, number>;
  /** Holds that only an operator may release and that stand at the end, with their reasons. */
  readonly latched: readonly string[];
  /** The ledger's bytes after the stop. */
  readonly ledger: Buffer;
}

/** A promise was broken. The trace ends with what led to it. */
export class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure';
  readonly seed: number;
  readonly trace: readonly string[];
  constructor(seed: number, words: string, trace: readonly string[]) {
    super(`seed ${seed}: ${words}`);
    this.seed = seed;
    this.trace = trace;
  }
}

/** Everything must have come right within this after the last fault. */
export const LIVENESS_MS = 60_000;
/** The stop at the end of a run. */
const STOP_MS = 20_000;
/** Releasing one hold may uncover another; a restart after it may take a while. */
const RELEASE_ROUNDS = 4;
/** Causes whose release waits for windows and trials of a minute each. */
const SLOW_CAUSES: ReadonlySet<HoldCause> = new Set(['rest-429', 'ws-reconnect', 'reconcile-lag']);
const SLOW_RELEASE_MS = 180_000;
const LOOKS = 20;
const BETWEEN_LOOKS_MS = 150;
/** Lines kept for a failure. */
const TRACE_LINES = 400;
/** Stream of the world's seed from which faults are drawn. */
const FAULT_STREAM = 21;
const SWITCH_STREAM = 23;
const NEVER: FaultRates = { meanIntervalMs: Number.POSITIVE_INFINITY, meanDurationMs: 0 };
const LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

/** @throws SimulationFailure when a promise is broken */
export const simulate = (options: SimulationOptions): SimulationReport => {
  /** Written out when somebody reads them: a run that keeps every promise never needs their text. */
  const trace: (() => string)[] = [];
  const coverage = new Map<string, number>();
  const least = LEVELS.indexOf(options.traceLevel ?? 'info');

  const note = (line: () => string): void => {
    const { monoMs } = world.time.now();
    const text = (): string => `${((monoMs - START_MONO_MS) / 1_000).toFixed(3).padStart(10)} ${line()}`;
    trace.push(text);
    if (trace.length > 2 * TRACE_LINES) trace.splice(0, TRACE_LINES);
    options.onTrace?.(text());
  };
  const count = (name: string): void => {
    coverage.set(name, (coverage.get(name) ?? 0) + 1);
  };
  /** A name is put together once: most lines are said many times. */
  const names = new Map<ActorName, Map<string, string>>();
  const nameOf = (actor: ActorName, event: string): string => {
    const own = names.get(actor) ?? new Map<string, string>();
    const name = own.get(event) ?? `${actor}: ${event}`;
    names.set(actor, own.set(event, name));
    return name;
  };
  const fail = (words: string): never => {
    throw new SimulationFailure(
      options.seed,
      words,
      trace.slice(-TRACE_LINES).map(text => text()),
    );
  };

  const plan = createFaultPlan(
    () => world,
    randomStream(options.seed, FAULT_STREAM),
    options.faults ?? NEVER,
    name => {
      count(`fault: ${name}`);
      note(() => `FAULT ${name}`);
    },
  );
  const invariants = createInvariants({
    monoMs: () => world.time.now().monoMs,
    control: () => (world.process.isFrozen ? null : world.process.state.control),
    account: () => world.exchangeAccount(),
    settings: () => world.settings,
  });
  const world: World = createWorld({
    seed: options.seed,
    symbols: options.symbols,
    strategy: options.strategy,
    strategyConfig: options.strategyConfig ?? {},
    env: options.env ?? {},
    tempo: options.tempo ?? LIVE_TEMPO,
    latencies: options.network === undefined ? {} : { network: options.network },
    venueFaults: options.faults === null ? [] : drawSwitches(randomStream(options.seed, SWITCH_STREAM)),
    watcher: {
      onHappening: invariants.check,
      onMessage: invariants.onMessage,
      beforeSend: plan.beforeSend,
      onLease: invariants.onLease,
      onAccountEvent: invariants.touch,
      onBoot: invariants.holds.onBoot,
      onSupervisorStep: (input, state) => invariants.holds.onStep(input, state, world.time.now().monoMs),
      onLog: (actor, level, event, fields) => {
        const name = nameOf(actor, event);
        if (event === 'ledger-opened') plan.noteOpening();
        count(typeof fields.key === 'string' ? `${name} ${fields.key.split(':')[0]}` : name);
        if (LEVELS.indexOf(level) >= least) note(() => `${actor} ${level} ${event} ${textOf(fields)}`);
      },
      execution: {
        onIncarnation: invariants.execution.onIncarnation,
        onStep: invariants.execution.onStep,
        onWrite: (write, approval) => {
          note(() => `WRITE ${write.type} ${write.clientOrderId}`);
          invariants.execution.onWrite(write, approval);
        },
        onOutcome: invariants.execution.onOutcome,
      },
      fateOf: plan.fateOf,
      commitFateOf: plan.commitFateOf,
    },
  });

  /**
   * A quiet market tells of a lost difference only with its next one: a book that has shown its gap since the last fault
   * has as long from there, once.
   */
  const awaitLateGaps = (endedAtMs: number): void => {
    const { holds } = world.process.state.control;
    if (holds.some(({ cause, placedAtMs }) => cause === 'book-untrusted' && placedAtMs >= endedAtMs))
      world.run(LIVENESS_MS);
  };

  /** Whether a hold is right although nothing is wrong: the market itself has lost one of its sides. */
  const isOfTheMarket = ({ cause, subject }: Hold): boolean => {
    const book = world.venue.state.markets.get(subject)?.book;
    if (cause !== 'book-untrusted' || book === undefined) return false;
    return touch(book, 'buy') === undefined || touch(book, 'sell') === undefined;
  };

  /** What must be true again when nothing has gone wrong for a while. */
  const mustHaveConverged = (): void => {
    const { control, phase } = world.process.state;
    if (!world.isRunning || phase !== 'running') fail(`the process is not running: ${phase}`);
    // Lost money does not come back by a release, and the operator's own latch is given up last.
    const hasLost = control.holds.some(({ cause }) => cause === 'loss-limit');
    for (const { key, cause, detail } of control.holds.filter(hold => !isOfTheMarket(hold)))
      if (!hasLost || (cause !== 'loss-limit' && cause !== 'operator'))
        fail(`hold ${key} still stands: ${detail}`);
    const ledger = world.ledger.snapshot();
    for (const { clientOrderId, state } of ledger.openOrders)
      if (state.status === 'unknown') fail(`order ${clientOrderId} is still unknown`);
    mustAgree();
  };

  /**
   * A fill takes some milliseconds from the exchange to the ledger: the books must agree at one of some moments. What
   * reconciliation tells of the account comes later still, when a busy strategy may have its next fill: it must have all that
   * had been traded when the looking began.
   */
  const mustAgree = (): void => {
    let differences: readonly string[] = [];
    const since = world.exchangeAccount().trades.length;
    for (let look = 0; look < LOOKS; look++) {
      const account = world.exchangeAccount();
      differences = [
        ...bookDifferences(world.ledger.snapshot(), account),
        ...positionDifferences(invariants.heldByExecution(), account.trades),
        ...pictureDifferences(invariants.toldByReconciliation(), account.trades, since),
      ];
      if (differences.length === 0) return;
      world.run(BETWEEN_LOOKS_MS);
    }
    fail(`the books differ: ${differences.join('; ')}`);
  };

  try {
    world.start();
    if (options.faults !== null) plan.begin();
    world.run(options.durationMs);
    plan.end();
    const endedAtMs = world.time.now().wallMs;
    world.run(LIVENESS_MS);
    // The venue's own ban lasts a minute (protocol section 8), after which a socket may still wait for most of one, a
    // restarted worker reads sparingly for one, so that nothing is proven meanwhile, reconnects are counted over one, and
    // after a relapse a trial lasts up to another: these may take longer, and no more than that.
    if (
      world.process.state.control.holds.some(({ cause }) => SLOW_CAUSES.has(cause)) ||
      // An account is opened when it has been quiet for half a minute, and people may trade on it meanwhile.
      world.ledger.snapshot().openingAtMs === null
    )
      world.run(SLOW_RELEASE_MS);
    awaitLateGaps(endedAtMs);
    const standing = world.process.state.control.holds.filter(hold => !isOfTheMarket(hold));
    // What relied on a worker that stays down waits for the operator, too: it is judged after the releases.
    const waitsForOperator = standing.some(({ cause }) => cause === 'restart-storm');
    for (const { key, cause, detail } of standing)
      if (CAUSES[cause].releasedBy !== 'operator' && !waitsForOperator)
        fail(`hold ${key} still stands ${LIVENESS_MS / 1_000} s after the last fault: ${detail}`);
    for (let round = 0; round < RELEASE_ROUNDS; round++) {
      for (const key of releaseLatched(world)) note(() => `OPERATOR releases ${key}`);
      world.run(LIVENESS_MS / RELEASE_ROUNDS);
    }
    awaitLateGaps(endedAtMs);
    mustHaveConverged();
    world.process.signal('SIGTERM');
    const exitCode = world.runToEnd(STOP_MS);
    if (exitCode !== 0) fail(`the stop ended with ${exitCode}`);
    return {
      seed: options.seed,
      virtualMs: world.time.now().monoMs - START_MONO_MS,
      events: world.time.count,
      orders: world.exchangeAccount().orders.size,
      fills: world.exchangeAccount().trades.length,
      coverage,
      latched: standing.map(({ key, detail }) => `${key}: ${detail}`),
      ledger: world.ledger.bytes(),
    };
  } catch (error) {
    if (error instanceof SimulationFailure) throw error;
    const words = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return fail(error instanceof InvariantViolation ? error.message : words);
  }
};

/** Fields of a log line, shortened; amounts as their integers. */
const textOf = (fields: Readonly<Record<string, unknown>>): string =>
  JSON.stringify(fields, (_key, value) =>
    typeof value === 'bigint' ? String(value) : (value as unknown),
  ).slice(0, 300);
