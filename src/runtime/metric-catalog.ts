/** The metrics by name: what each says, and how a histogram is cut. The first eight are the operators' contract. */

export interface MetricSpec {
  readonly kind: 'gauge' | 'counter' | 'histogram';
  readonly about: string;
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
  /** Shown from the start with this value, before anything was measured. */
  readonly initially?: number;
}

const LATENCY_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export const METRICS: Readonly<Record<string, MetricSpec>> = {
  ws_reconnect_rate: { kind: 'gauge', about: 'WebSocket reconnects in the last minute', initially: 0 },
  rest_429_rate: { kind: 'gauge', about: 'Replies 429 in the last minute', initially: 0 },
  rest_retry_rate: { kind: 'gauge', about: 'Retries per request, last 5 minutes', initially: 0 },
  stale_market_data_rate: {
    kind: 'gauge',
    about: 'Share of one-second slices with stale market data, last 5 minutes',
    initially: 0,
  },
  reconcile_lag_ms: {
    kind: 'gauge',
    about: 'Age of the last completed reconciliation pass, ms',
    initially: 0,
  },
  order_submit_latency_ms: {
    kind: 'gauge',
    about: 'Last submit, from first byte to definitive answer, ms; 0 before the first',
    initially: 0,
  },
  cancel_latency_ms: {
    kind: 'gauge',
    about: 'Last cancel, from first byte to the confirmed end of the order, ms; 0 before the first',
    initially: 0,
  },
  circuit_breaker_state: {
    kind: 'gauge',
    about: 'State per cause: 0 closed, 1 half-open, 2 open, 3 latched until an operator acts',
  },
  btcbot_safe_mode: { kind: 'gauge', about: '1 while nothing may be written' },
  btcbot_live: { kind: 'gauge', about: '1 while orders of real money may be sent' },
  btcbot_unknown_orders: { kind: 'gauge', about: 'Orders whose outcome is not known', initially: 0 },
  btcbot_open_orders: { kind: 'gauge', about: 'Own orders resting at the venue', initially: 0 },
  btcbot_channel_age_ms: { kind: 'gauge', about: 'Age of the last useful message per channel, ms' },
  btcbot_reconcile_residual: {
    kind: 'gauge',
    about: 'Unexplained difference between ledger and venue, per asset',
  },
  btcbot_event_loop_delay_ms: {
    kind: 'gauge',
    about: 'Longest event-loop delay since the last beat, per actor, ms',
  },
  btcbot_mailbox_queued: { kind: 'gauge', about: 'Messages waiting, per actor' },
  btcbot_mailbox_dropped: { kind: 'gauge', about: 'Messages given up since the actor started' },
  btcbot_log_lines_dropped: {
    kind: 'gauge',
    about: 'Log lines dropped because nobody read them',
    initially: 0,
  },
  btcbot_worker_restarts_total: { kind: 'counter', about: 'Restarts after a crash, per actor' },
  btcbot_order_submit_seconds: {
    kind: 'histogram',
    about: 'Submit, from first byte to definitive answer',
    buckets: LATENCY_SECONDS,
  },
  btcbot_cancel_seconds: {
    kind: 'histogram',
    about: 'Cancel, from first byte to the confirmed end',
    buckets: LATENCY_SECONDS,
  },
  btcbot_ledger_commit_ms: {
    kind: 'histogram',
    about: 'Durable commit of the ledger, fsync included, ms',
    buckets: [0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1_000],
  },
  btcbot_ledger_commit_records: {
    kind: 'histogram',
    about: 'Records in one commit of the ledger',
    buckets: [1, 2, 5, 10, 25, 50, 100, 500, 2_000],
  },
  btcbot_ledger_wal_bytes: { kind: 'gauge', about: 'Size of the ledger’s write-ahead log, bytes' },
  btcbot_ledger_failures_total: { kind: 'counter', about: 'Commits of the ledger that failed' },
  btcbot_ledger_refused_total: { kind: 'counter', about: 'Batches that contradicted the ledger' },
  btcbot_ledger_given_up_total: {
    kind: 'counter',
    about: 'Records given up while the ledger could not write',
  },
};

/** Buckets for a histogram that has none of its own. */
export const DEFAULT_BUCKETS: readonly number[] = LATENCY_SECONDS;
