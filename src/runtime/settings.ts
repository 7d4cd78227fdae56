/**
 * The effective configuration: what every setting means once parsed, defaulted and checked against the others.
 * Parsing, defaults, refusals and suggestions are in config.ts. Plain data: it crosses into the workers as it is.
 */
import type { Amount } from '../domain/money.js';
import type { Mode } from '../domain/safety.js';
import type { LogLevel } from '../domain/step.js';
import type { UniverseRules } from '../domain/universe.js';

export interface ModeFlags {
  readonly safeMode: boolean;
  readonly dryRun: boolean;
  readonly killSwitch: boolean;
  readonly liveTrading: boolean;
  readonly liveAcknowledged: boolean;
}

/** Limits of the risk gate; null is unset: live refuses, paper and dry run use the practice limits. */
export interface RiskSettings {
  readonly maxOpenOrders: number;
  readonly maxOpenOrdersPerSymbol: number;
  readonly maxNotionalPerOrderTry: Amount | null;
  readonly maxPositionNotionalTry: Amount | null;
  readonly maxGrossExposureTry: Amount | null;
  readonly maxDailyLossTry: Amount | null;
  readonly maxDrawdownPct: number | null;
  readonly priceCollarBps: number | null;
  readonly priceDriftBps?: number;
  readonly maxOrdersPerMinute: number | null;
  readonly maxRepeatedExecutions: number | null;
}

/** Base addresses without a path: `https://host` for REST and charts, `wss://host` for the socket. */
export interface Endpoints {
  readonly baseUrl: string;
  readonly graphUrl: string;
  readonly wsUrl: string;
}

/** One strategy that runs. */
export interface StrategySetting {
  /** Its name in ids and in the ledger; null is the definition's own. */
  readonly name: string | null;
  /** Built-in name or module path. */
  readonly strategy: string;
  readonly symbols: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
  readonly universe: UniverseRules | null;
}

export interface Settings {
  readonly flags: ModeFlags;
  /**
   * Where writes would go and whose account is watched: `paper` when VENUE=paper; else `live` when DRY_RUN=false,
   * LIVE_TRADING=true and the acknowledgement are given; else `dry-run`. It permits nothing by itself: SAFE_MODE,
   * KILL_SWITCH, what is in `modeReasons` and the holds decide (domain/trading-state.ts), and a bot that is started
   * again with one of them set keeps its live ledger and account in sight.
   */
  readonly mode: Mode;
  /** Every reason why no order of real money may be sent; empty only when the bot is armed. */
  readonly modeReasons: readonly string[];
  readonly venue: 'btcturk' | 'paper';
  readonly paper: {
    readonly recording: string | null;
    /** Times real speed; Infinity for `max`. */
    readonly speed: number;
    readonly seed: number;
    /** Opening balances of a new paper account: asset to amount. */
    readonly balances: ReadonlyMap<string, Amount>;
  };
  /** Whether a twin makes the same orders on the paper model beside this run. */
  readonly paperTwin: boolean;
  readonly symbols: readonly string[];
  readonly strategy: string;
  readonly strategyConfig: Readonly<Record<string, unknown>>;
  /** What runs: the entries of STRATEGIES, or the one of STRATEGY. */
  readonly strategies: readonly StrategySetting[];
  readonly endpoints: Endpoints;
  readonly rest: {
    readonly rateLimitRps: number;
    readonly rateLimitBurst: number;
    readonly baseDelayMs: number;
    readonly maxDelayMs: number;
    readonly maxRetries: number;
  };
  readonly wsIdleReconnectMs: number;
  readonly maxMarketDataAgeMs: number;
  readonly reconcileIntervalMs: number;
  readonly reconcileMaxLagMs: number;
  readonly risk: RiskSettings;
  readonly shutdownOpenOrders: 'leave' | 'cancel';
  readonly stateDbPath: string;
  readonly liveReadinessMinMinutes: number;
  readonly observability: {
    readonly enabled: boolean;
    readonly exporter: 'none' | 'otlp' | 'prometheus';
    readonly otlpEndpoint: string | null;
    readonly prometheusPort: number;
    readonly prometheusHost: string;
  };
  /** Where alerts go; null is nowhere. The token stays in its file until telemetry reads it. */
  readonly alerts: {
    readonly webhookUrl: string | null;
    readonly telegram: { readonly chatId: string; readonly tokenFile: string; readonly url: string } | null;
  };
  readonly secrets: {
    readonly scopes: readonly string[];
    readonly rotatedAt: string | null;
    readonly maxAgeDays: number;
  };
  readonly logLevel: LogLevel;
  /** SHA-256 over the canonical effective configuration without secrets; stamped on every order. */
  readonly configHash: string;
}

/** A public and a private key that belong together. */
export interface KeyPair {
  readonly apiKey: string;
  /** Base64, as the venue gives it. */
  readonly apiSecret: string;
}

/** What requests are signed with, handed only to the workers that sign. */
export interface ApiCredentials extends KeyPair {
  /** What logs in to the private socket, where the venue made a pair of its own for it (protocol section 3.2). */
  readonly socket?: KeyPair;
}

/** The pair that logs in to the private socket. */
export const socketPairOf = (credentials: ApiCredentials): KeyPair => credentials.socket ?? credentials;

/** What a worker is born with (`workerData`). */
export interface WorkerBoot {
  readonly actor: string;
  readonly incarnation: number;
  /**
   * How often this actor was started before on the venue it talks to: its connections of then still count there. An
   * embedded exchange that was restarted itself remembers none. Absent: every earlier incarnation.
   */
  readonly earlierStarts?: number;
  /** Inputs that took earlier incarnations with them too often, and are left out (runtime/work-slot.ts). */
  readonly quarantined?: readonly string[];
  readonly settings: Settings;
  /** Where market data comes from. */
  readonly publicEndpoints: Endpoints;
  /**
   * Where the account lives: the venue when live; the embedded exchange on paper, and in dry run, where the embedded
   * exchange mirrors the public feed so that no write request ever reaches the venue.
   */
  readonly accountEndpoints: Endpoints;
  /** Null for the workers that do not sign, and when there is no key. */
  readonly credentials: ApiCredentials | null;
  /** Facts gathered from the workers started before (see WorkerControl.start). */
  readonly facts: Readonly<Record<string, string>>;
  /** True when stdout is a terminal. */
  readonly terminal: boolean;
  /** The pauses of the venue this worker talks to (runtime/pause-board.ts), shared with the others who do. */
  readonly pauses?: SharedArrayBuffer;
  /** Memory that outlives an incarnation of this worker: what it was doing when it ended. Zeros at first. */
  readonly scratch?: SharedArrayBuffer;
}
