/**
 * A whole world in one thread under virtual time: the bot's real brains and adapter translation, its real ledger over
 * SQLite in memory, the embedded exchange, and a network between them. From a seed and a market everything follows:
 * two worlds made alike are alike to the last byte of their ledgers.
 */

import type { HttpRequest } from '../btcturk/requests.js';
import { prepareSigningKey, signedHeaders } from '../btcturk/sign.js';
import { type Amount, formatDecimal } from '../domain/money.js';
import type { OrderTerms } from '../domain/order.js';
import type { Hold } from '../domain/safety.js';
import type { ActorName, LogLevel, MetricEffect } from '../domain/step.js';
import type { StrategyDefinition } from '../domain/strategy.js';
import type { PortfolioMember } from '../domain/strategy-portfolio.js';
import type { SupervisorInput, SupervisorState } from '../domain/supervisor.js';
import type { Account } from '../exchange/accounts.js';
import type { FaultSpec } from '../exchange/faults.js';
import { CATALOGUE, type Listing } from '../exchange/instruments.js';
import { randomStream } from '../exchange/random.js';
import type { RecordedEntry } from '../exchange/recording.js';
import { DEFAULT_LATENCY } from '../exchange/venue-state.js';
import { loadSettings, renderProblem } from '../runtime/config.js';
import type { Endpoints, KeyPair, Settings, WorkerBoot } from '../runtime/settings.js';
import { type CommitFates, createKeptLedger, DONE, type KeptLedger } from './kept-ledger.js';
import { DEFAULT_LATENCIES, type WorldLatencies } from './latencies.js';
import { type ExecutionWitness, simExecution } from './sim-execution.js';
import { simLedger } from './sim-ledger.js';
import { simMarketData } from './sim-market-data.js';
import { simReconciliation } from './sim-reconciliation.js';
import { createSimRest, type Fate, NORMAL, type SimRest } from './sim-rest.js';
import { openSimSocket, type SimSocket, type SocketListener } from './sim-socket.js';
import { simStrategy } from './sim-strategy.js';
import { type LatchFile, type SimProcess, startSimProcess } from './sim-supervisor.js';
import { createSimVenue, type SimVenue } from './sim-venue.js';
import { LIVE_TEMPO, type Tempo } from './tempo.js';
import { createVirtualTime, type VirtualTime } from './virtual-time.js';
import type { Presence, SimActor } from './worker-tree.js';

/** A recorded market, read whole. */
export interface WorldRecording {
  readonly listings: readonly Listing[];
  /** In order; times count from the first. */
  readonly entries: readonly RecordedEntry[];
}

export interface WorldOptions {
  readonly seed: number;
  readonly symbols: readonly string[];
  readonly strategy: StrategyDefinition;
  readonly strategyConfig?: Readonly<Record<string, unknown>>;
  /** More strategies that `STRATEGIES` in `env` may name. */
  readonly moreStrategies?: readonly StrategyDefinition[];
  /** What runs, in place of what the settings name. */
  readonly members?: readonly PortfolioMember[];
  /** Absent for the generated market. */
  readonly recording?: WorldRecording;
  readonly latencies?: Partial<WorldLatencies>;
  /** How busy it is; as live unless told otherwise. */
  readonly tempo?: Tempo;
  /** Faults and switches of the exchange that are on from the start. */
  readonly venueFaults?: readonly FaultSpec[];
  /** Settings beside those of a paper run, by their environment names. */
  readonly env?: Readonly<Record<string, string>>;
  /** Settings as they are, in place of those of a paper run and `env`. */
  readonly settings?: Settings;
  /** Level of the bot's account in the venue's fee table; 1 is the dearest. */
  readonly feeLevel?: number;
  /** Unix ms at which the world begins. */
  readonly startWallMs?: number;
  readonly watcher?: Partial<Watcher>;
}

/** Looks on; told of everything, in order. */
export interface Watcher {
  onHappening(what: string, monoMs: number): void;
  onMessage(from: ActorName, to: ActorName, message: unknown): void;
  beforeSend(from: ActorName, to: ActorName): void;
  onLog(actor: ActorName, level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>): void;
  onMetric(actor: ActorName, metric: MetricEffect): void;
  onLease(untilMonoMs: number): void;
  /** A process of the bot starts, with what the latch file holds. */
  onBoot(latched: readonly Hold[], state: SupervisorState): void;
  /** The supervisor has taken a step. */
  onSupervisorStep(input: SupervisorInput, state: SupervisorState): void;
  /** Something has happened to the bot's account at the exchange. */
  onAccountEvent(): void;
  readonly execution: ExecutionWitness;
  fateOf(request: HttpRequest): Fate;
  /** What becomes of a commit of the ledger. */
  readonly commitFateOf: CommitFates;
}

export interface World {
  readonly tempo: Tempo;
  readonly time: VirtualTime;
  readonly venue: SimVenue;
  readonly settings: Settings;
  /** The bot's process, the newest one. @throws Error before the first start */
  readonly process: SimProcess;
  readonly isRunning: boolean;
  /** Starts the bot's process, on the ledger and latch file that the last one left. @throws Error when one runs */
  start(): void;
  /** The ledger as it is, or as the last process left it. */
  readonly ledger: Pick<KeptLedger, 'bytes' | 'snapshot'>;
  /** The bot's account as the exchange keeps it. */
  exchangeAccount(): Account;
  /** Somebody else trades on the bot's account, as its owner may on the website. */
  tradeByHand(terms: OrderTerms): void;
  /** Somebody pays into the bot's account; a negative amount is taken out. */
  moveFunds(asset: string, amount: Amount): void;
  /** Lets the world go on for a span of virtual time, whether a process runs or not. */
  run(forMs: number): void;
  /** Lets the world go on until the process has ended, or for `mostMs`. @returns the exit code, or null */
  runToEnd(mostMs?: number): number | null;
}

/** 2026-09-23 03:20 UTC. */
const START_WALL_MS = 1_790_133_600_000;
/** The key pair of protocol section 3's first test vector. */
const CREDENTIALS: KeyPair = {
  apiKey: '11111111-2222-3333-4444-555555555555',
  apiSecret: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',
};
/** Nothing listens there: requests travel by function calls. */
const ENDPOINTS: Endpoints = {
  baseUrl: 'http://127.0.0.1:1',
  graphUrl: 'http://127.0.0.1:1',
  wsUrl: 'ws://127.0.0.1:1',
};
/** After a recording's last frame the market stands still for this long, so that the last orders come to rest. */
const AFTER_RECORDING_MS = 2_000;

/** Independent streams of the world's seed; the exchange draws from its own. */
const STREAMS = { workers: 11, network: 12 } as const;

/** @throws Error when the settings are refused */
export const createWorld = (options: WorldOptions): World => {
  const tempo = options.tempo ?? LIVE_TEMPO;
  const latencies: WorldLatencies = {
    ...DEFAULT_LATENCIES,
    ...(tempo.idleTickGrowth === undefined ? {} : { idleTickGrowth: tempo.idleTickGrowth }),
    ...options.latencies,
  };
  const watcher: Watcher = { ...BLIND, ...options.watcher };
  const startWallMs = options.startWallMs ?? options.recording?.entries[0]?.atMs ?? START_WALL_MS;
  const time = createVirtualTime(startWallMs, (what, now) => watcher.onHappening(what, now.monoMs));
  const settings = options.settings ?? settingsOf(options, tempo, startWallMs);
  const listings = listingsOf(options);
  const venue = createSimVenue(
    time,
    {
      seed: options.seed,
      listings,
      sources: new Map(
        options.symbols.map(symbol => [symbol, options.recording === undefined ? 'generated' : 'recorded']),
      ),
      authentication: 'check',
      keepalive: 'ping',
      latency: DEFAULT_LATENCY,
      bookIntervalMs: 100,
      slowIntervalMs: tempo.slowIntervalMs,
      accounts: [],
      prices: new Map(),
      history: false,
      faults: options.venueFaults ?? [],
    },
    watcher.onAccountEvent,
  );
  venue.admin({
    type: 'open-account',
    apiKey: CREDENTIALS.apiKey,
    apiSecret: CREDENTIALS.apiSecret,
    feeLevel: options.feeLevel ?? 1,
    balances: settings.paper.balances,
  });
  venue.admin({ type: 'market-pace', pace: tempo.marketPace });
  const kept = createKeptLedger(settings.mode, instanceOf(options.seed), watcher.commitFateOf);
  const latch: LatchFile = { holds: [] };
  const networkRandom = randomStream(options.seed, STREAMS.network);
  const workerRandom = randomStream(options.seed, STREAMS.workers);
  let sockets = 0;

  const rest = (presence: Presence): SimRest =>
    createSimRest({
      time,
      random: networkRandom,
      latencies: latencies.network,
      venue,
      credentials: CREDENTIALS,
      fateOf: watcher.fateOf,
      isAlive: presence.isAlive,
      whenAwake: presence.whenAwake,
    });
  const socket = (listener: SocketListener, presence: Presence): SimSocket =>
    openSimSocket(
      {
        time,
        random: networkRandom,
        toVenue: latencies.network.toVenue,
        fromVenue: latencies.network.fromVenue,
        venue,
        socketId: `socket-${++sockets}`,
        isAlive: presence.isAlive,
        whenAwake: presence.whenAwake,
      },
      listener,
    );

  const actors = new Map<ActorName, SimActor>([
    ['paper-exchange', paperExchange(options.recording, time, venue)],
    ['ledger', simLedger(kept.open)],
    ['telemetry', () => ({ start: ready => ready({}), onMessage: () => {}, drain: done => done() })],
    ['market-data', simMarketData({ rest, socket })],
    ['reconciliation', simReconciliation({ rest, socket }, tempo.markIntervalMs)],
    ['execution', simExecution(rest, watcher.execution)],
    ['strategy', simStrategy([options.strategy, ...(options.moreStrategies ?? [])], options.members)],
  ]);
  const boot = (
    actor: ActorName,
    incarnation: number,
    facts: Readonly<Record<string, string>>,
  ): WorkerBoot => ({
    actor,
    incarnation,
    settings,
    publicEndpoints: ENDPOINTS,
    accountEndpoints: ENDPOINTS,
    credentials: actor === 'execution' || actor === 'reconciliation' ? CREDENTIALS : null,
    facts,
    terminal: false,
  });
  const startProcess = (): SimProcess =>
    startSimProcess({
      time,
      settings,
      latch,
      random: workerRandom,
      latencies,
      actors,
      boot,
      log: watcher.onLog,
      metric: watcher.onMetric,
      onMessage: watcher.onMessage,
      beforeSend: watcher.beforeSend,
      onLease: watcher.onLease,
      onBoot: watcher.onBoot,
      onSupervisorStep: watcher.onSupervisorStep,
    });
  let process: SimProcess | null = null;
  const isRunning = (): boolean => process !== null && process.exitCode === null;

  return {
    tempo,
    time,
    venue,
    settings,
    get process() {
      if (process === null) throw new Error('no process has been started in this world');
      return process;
    },
    get isRunning() {
      return isRunning();
    },
    start: () => {
      if (isRunning()) throw new Error('a process runs already');
      kept.crash();
      process = startProcess();
    },
    ledger: kept,
    exchangeAccount: () => venue.account(CREDENTIALS.apiKey),
    tradeByHand: terms => placeByHand(venue, terms, time.now().wallMs),
    moveFunds: (asset, amount) => venue.admin({ type: 'move', apiKey: CREDENTIALS.apiKey, asset, amount }),
    run: forMs => {
      const until = time.now().monoMs + forMs;
      while (time.next(until));
      time.idleUntil(until);
    },
    runToEnd: (mostMs = Number.POSITIVE_INFINITY) => {
      const until = time.now().monoMs + mostMs;
      while (isRunning() && time.next(until));
      return process?.exitCode ?? null;
    },
  };
};

/** An order through the website: signed with the same key, labeled as the venue labels such orders. */
const placeByHand = (venue: SimVenue, terms: OrderTerms, stampMs: number): void => {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  for (const [name, value] of Object.entries(signedHeaders(prepareSigningKey(CREDENTIALS), stampMs)))
    headers[name.toLowerCase()] = value;
  const body = JSON.stringify({
    quantity: formatDecimal(terms.quantity),
    price: formatDecimal(terms.price ?? 0n),
    newOrderClientId: 'advanced',
    orderMethod: 'limit',
    orderType: terms.side,
    pairSymbol: terms.symbol,
  });
  venue.http({ method: 'POST', path: '/api/v1/order', query: '', headers, body, ip: '127.0.0.2' }, () => {});
};

/** A watcher that sees nothing and lets every request pass. */
const BLIND: Watcher = {
  onHappening: () => {},
  onMessage: () => {},
  beforeSend: () => {},
  onLog: () => {},
  onMetric: () => {},
  onLease: () => {},
  onBoot: () => {},
  onSupervisorStep: () => {},
  onAccountEvent: () => {},
  execution: { onIncarnation: () => {}, onStep: () => {}, onWrite: () => {}, onOutcome: () => {} },
  fateOf: () => NORMAL,
  commitFateOf: () => DONE,
};

const settingsOf = (options: WorldOptions, tempo: Tempo, nowMs: number): Settings => {
  const loaded = loadSettings({
    env: {
      VENUE: 'paper',
      SAFE_MODE: 'false',
      KILL_SWITCH: 'false',
      DRY_RUN: 'false',
      MAX_OPEN_ORDERS_PER_SYMBOL: '2',
      SYMBOLS: options.symbols.join(','),
      ...(options.env?.STRATEGIES === undefined
        ? {
            STRATEGY: options.strategy.name,
            STRATEGY_CONFIG: JSON.stringify({
              ...('refreshMs' in options.strategy.parameters ? { refreshMs: tempo.refreshMs } : {}),
              ...options.strategyConfig,
            }),
          }
        : {}),
      RECONCILE_INTERVAL_MS: String(tempo.reconcileIntervalMs),
      PAPER_SEED: String(options.seed),
      ...options.env,
    },
    cwd: '/',
    readFile: path => {
      throw new Error(`a simulated world reads no file, and was asked for ${path}`);
    },
    nowMs,
    // A world that is told to be live has had its dry run.
    evidenceRefusals: () => [],
  });
  if (!loaded.ok) throw new Error(loaded.problems.map(renderProblem).join('\n'));
  return loaded.settings;
};

/** The catalogue, with the recording's own listings instead of those of the same name. */
const listingsOf = ({ recording }: WorldOptions): readonly Listing[] => {
  const recorded = recording?.listings ?? [];
  return [...CATALOGUE.filter(known => !recorded.some(({ symbol }) => symbol === known.symbol)), ...recorded];
};

/** Plays the recording and says when it is over; the exchange itself lives outside the process and its crashes. */
const paperExchange =
  (recording: WorldRecording | undefined, time: VirtualTime, venue: SimVenue): SimActor =>
  context => ({
    start: ready => {
      ready({ ...ENDPOINTS, ...CREDENTIALS });
      if (recording !== undefined)
        play(recording, time, venue, () =>
          context.after(AFTER_RECORDING_MS, 'recording over', () =>
            context.toSupervisor({ type: 'work-finished', reason: 'the recording is over' }),
          ),
        );
    },
    onMessage: () => {},
    drain: done => done(),
  });

const play = (recording: WorldRecording, time: VirtualTime, venue: SimVenue, over: () => void): void => {
  const { entries } = recording;
  const beginMs = time.now().monoMs - (entries[0]?.atMs ?? 0);
  const next = (index: number): void => {
    const entry = entries[index];
    if (entry === undefined) {
      over();
      return;
    }
    time.at(beginMs + entry.atMs, 'recorded frame', () => {
      venue.market(entry.symbol, entry.activity);
      next(index + 1);
    });
  };
  next(0);
};

const instanceOf = (seed: number): string => (seed >>> 0).toString(16).padStart(8, '0');
