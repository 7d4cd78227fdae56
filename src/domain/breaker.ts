/**
 * The causes that stop trading, as data: what notices them, what they do, and who may end them. The supervisor acts on
 * this table, the runbook shows it, and a test holds the two together.
 */
import type { HoldCause } from './safety.js';

/** So many replies 429 within this time are a storm, whoever got them. */
export const THROTTLED_STORM = 3;
export const THROTTLED_WINDOW_MS = 60_000;

/** So many attempts to connect one socket again within a minute are a storm; the venue blocks an address at 15. */
export const STORM_ATTEMPTS = 4;

/** How much one hold forbids, from strictest to freest. */
export const HOLD_LEVELS = ['observe-only', 'cancel-only', 'paused'] as const;
export type HoldLevel = (typeof HOLD_LEVELS)[number];

/** Who ends a hold. */
export type ReleaseRule =
  /** Only an operator, with the acknowledgement. */
  | 'operator'
  /** The detector's word counts at once: it rests on proof, not on time having passed. */
  | 'evidence'
  /** The detector's word starts a half-open trial; the hold ends when the trial passes without a relapse. */
  | 'probe'
  /** The supervisor itself. */
  | 'supervisor';

export interface CauseRule {
  /** Who notices. */
  readonly detector: string;
  /** When it trips. */
  readonly threshold: string;
  readonly level: HoldLevel;
  /** True when a subject is a symbol, and only that symbol is blocked. */
  readonly perSymbol: boolean;
  /** What becomes of resting orders where cancelling is allowed. */
  readonly restingOrders: 'pulled' | 'left';
  /** What the bot does by itself. */
  readonly action: string;
  readonly releasedBy: ReleaseRule;
  /** Length of the first half-open trial, ms; each relapse doubles it up to {@link MAX_TRIAL_MS}. 0 where there is none. */
  readonly trialMs: number;
  readonly survivesRestart: boolean;
}

/** Longest half-open trial. */
export const MAX_TRIAL_MS = 60_000;

export const CAUSES: Readonly<Record<HoldCause, CauseRule>> = {
  starting: {
    detector: 'supervisor',
    threshold: 'every start, and every restart of reconciliation',
    level: 'observe-only',
    perSymbol: false,
    restingOrders: 'left',
    action: 'ledger and exchange are compared before anything is written',
    releasedBy: 'evidence',
    trialMs: 0,
    survivesRestart: false,
  },
  operator: {
    detector: 'the operator: SIGUSR2 or btcbot safe-mode on',
    threshold: 'at once',
    level: 'observe-only',
    perSymbol: false,
    restingOrders: 'left',
    action: 'no write leaves; resting orders are counted and shown',
    releasedBy: 'operator',
    trialMs: 0,
    survivesRestart: true,
  },
  'rest-429': {
    detector: 'execution, reconciliation, supervisor',
    threshold: `${THROTTLED_STORM} replies 429 in 60 s to whichever worker, or one on an order path`,
    level: 'paused',
    perSymbol: false,
    restingOrders: 'left',
    action:
      'nothing goes to that bucket before Retry-After; then one read at a time, and the budget ramps up',
    releasedBy: 'probe',
    trialMs: 5_000,
    survivesRestart: false,
  },
  'ws-reconnect': {
    detector: 'market-data, reconciliation',
    threshold: `${STORM_ATTEMPTS} connection attempts in 60 s after a loss (the venue blocks at 15), or no private feed for BTCTURK_WS_IDLE_RECONNECT_MS`,
    level: 'cancel-only',
    perSymbol: false,
    restingOrders: 'pulled',
    action: 'reconnects are spaced out; own resting orders are pulled',
    releasedBy: 'probe',
    trialMs: 10_000,
    survivesRestart: false,
  },
  'stale-data': {
    detector: 'market-data',
    threshold: 'no valid update of the symbol for MAX_MARKET_DATA_AGE_MS',
    level: 'cancel-only',
    perSymbol: true,
    restingOrders: 'pulled',
    action: 'own resting orders of the symbol are pulled; the socket is replaced when it stays silent',
    releasedBy: 'probe',
    trialMs: 2_000,
    survivesRestart: false,
  },
  'book-untrusted': {
    detector: 'market-data',
    threshold: 'a gap in the differences, a crossed or one-sided book, or a failed cross-check',
    level: 'cancel-only',
    perSymbol: true,
    restingOrders: 'pulled',
    action: 'own resting orders of the symbol are pulled; a new snapshot is fetched',
    releasedBy: 'probe',
    trialMs: 1_000,
    survivesRestart: false,
  },
  'reconcile-lag': {
    detector: 'reconciliation',
    threshold: 'no completed pass for RECONCILE_MAX_LAG_MS',
    level: 'cancel-only',
    perSymbol: false,
    restingOrders: 'pulled',
    action: 'own resting orders are pulled; passes go on',
    releasedBy: 'probe',
    trialMs: 2_000,
    survivesRestart: false,
  },
  'unknown-outcome': {
    detector: 'execution',
    threshold: 'a write was sent and its outcome is not known',
    level: 'cancel-only',
    perSymbol: true,
    restingOrders: 'pulled',
    action: 'the order counts at its worst case until the exchange proves what became of it',
    releasedBy: 'evidence',
    trialMs: 0,
    survivesRestart: false,
  },
  'foreign-order': {
    detector: 'reconciliation',
    threshold: 'an order or a fill on the account that this ledger never intended',
    level: 'cancel-only',
    perSymbol: false,
    restingOrders: 'left',
    action: 'the foreign order is never touched; it is shown to the operator',
    releasedBy: 'operator',
    trialMs: 0,
    survivesRestart: true,
  },
  invariant: {
    detector: 'every actor',
    threshold: 'one violated invariant: a residual, a negative balance, a lost message',
    level: 'observe-only',
    perSymbol: false,
    restingOrders: 'left',
    action: 'no write leaves',
    releasedBy: 'operator',
    trialMs: 0,
    survivesRestart: true,
  },
  auth: {
    detector: 'execution, reconciliation',
    threshold:
      '3 consecutive refusals of the key on reads or the login, or 2 on writes (the venue blocks an address at 50)',
    level: 'observe-only',
    perSymbol: false,
    restingOrders: 'left',
    action:
      'no write leaves; reads that are refused stop, and a refused login is tried again ever further apart',
    releasedBy: 'operator',
    trialMs: 0,
    survivesRestart: true,
  },
  'reject-storm': {
    detector: 'execution',
    threshold: '5 rejections in a row, or 10 in 60 s',
    level: 'cancel-only',
    perSymbol: false,
    restingOrders: 'pulled',
    action: 'own resting orders are pulled',
    releasedBy: 'operator',
    trialMs: 0,
    survivesRestart: true,
  },
  'repeat-execution': {
    detector: 'execution',
    threshold: 'MAX_REPEATED_EXECUTIONS executions of one strategy on one symbol',
    level: 'cancel-only',
    perSymbol: true,
    restingOrders: 'pulled',
    action: 'own resting orders of the symbol are pulled',
    releasedBy: 'operator',
    trialMs: 0,
    survivesRestart: true,
  },
  'loss-limit': {
    detector: 'execution',
    threshold: 'MAX_DAILY_LOSS_TRY or MAX_DRAWDOWN_PCT reached',
    level: 'cancel-only',
    perSymbol: false,
    restingOrders: 'pulled',
    action: 'own resting orders are pulled; positions stay as they are',
    releasedBy: 'operator',
    trialMs: 0,
    survivesRestart: true,
  },
  'clock-skew': {
    detector: 'reconciliation',
    threshold: '2 s between our clock and the venue’s (it refuses signatures at 5 s)',
    level: 'cancel-only',
    perSymbol: false,
    restingOrders: 'left',
    action: 'the skew is measured again every 10 s',
    releasedBy: 'probe',
    trialMs: 5_000,
    survivesRestart: false,
  },
  ledger: {
    detector: 'ledger, execution, reconciliation, supervisor',
    threshold: 'a commit that failed, or a ledger that does not answer',
    level: 'observe-only',
    perSymbol: false,
    restingOrders: 'left',
    action: 'no write leaves without a durable intent',
    releasedBy: 'evidence',
    trialMs: 0,
    survivesRestart: false,
  },
  'restart-storm': {
    detector: 'supervisor',
    threshold: '5 crashes of one worker in 30 s, or a restart that does not become ready',
    level: 'observe-only',
    perSymbol: false,
    restingOrders: 'left',
    action: 'the worker stays down; metrics and the control socket stay up',
    releasedBy: 'operator',
    trialMs: 0,
    survivesRestart: true,
  },
  lease: {
    detector: 'execution',
    threshold: 'the supervisor did not renew the write lease for 1 s',
    level: 'observe-only',
    perSymbol: false,
    restingOrders: 'left',
    action: 'no write leaves until the lease is back',
    releasedBy: 'evidence',
    trialMs: 0,
    survivesRestart: false,
  },
  'worker-down': {
    detector: 'supervisor',
    threshold: 'a worker ended, or gave no beat for 3 s',
    level: 'cancel-only',
    perSymbol: false,
    restingOrders: 'left',
    action: 'the worker is restarted within its budget',
    releasedBy: 'supervisor',
    trialMs: 0,
    survivesRestart: false,
  },
};

/** Values of `circuit_breaker_state`. */
export const CIRCUIT_STATES = ['closed', 'half-open', 'open', 'latched'] as const;
export type CircuitState = (typeof CIRCUIT_STATES)[number];
export const circuitValue = (state: CircuitState): number => CIRCUIT_STATES.indexOf(state);
