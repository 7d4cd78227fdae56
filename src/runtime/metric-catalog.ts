/** The metrics by name: what each says, and how a histogram is cut. The first eight are the operators' contract. */

export interface MetricSpec {
  readonly kind: 'gauge' | 'counter' | 'histogram';
  readonly about: string;
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
  /** Shown from the start with this value, before anything was measured. */
  readonly initially?: number;
  /** Several actors each report their own part; what is shown is the sum. */
  readonly addUp?: true;
}

/** From a hop between threads to a dead line, with the targets of SLO.md among the bounds. */
const LATENCY_MS = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 1_200, 2_500, 3_000, 5_000, 10_000, 30_000];

const gauge = (about: string, initially?: number): MetricSpec => ({
  kind: 'gauge',
  about,
  ...(initially === undefined ? {} : { initially }),
});
const counter = (about: string): MetricSpec => ({ kind: 'counter', about });
const histogram = (about: string, buckets: readonly number[]): MetricSpec => ({
  kind: 'histogram',
  about,
  buckets,
});

export const METRICS: Readonly<Record<string, MetricSpec>> = {
  ws_reconnect_rate: { ...gauge('WebSocket reconnects in the last minute', 0), addUp: true },
  rest_429_rate: { ...gauge('Replies 429 in the last minute', 0), addUp: true },
  rest_retry_rate: gauge('Retries per request, last 5 minutes', 0),
  stale_market_data_rate: gauge('Share of one-second slices with stale market data, last 5 minutes', 0),
  reconcile_lag_ms: gauge(
    'Age of the last clean reconciliation beyond RECONCILE_INTERVAL_MS, ms; 0 while on schedule',
    0,
  ),
  order_submit_latency_ms: gauge('Last submit, first byte to definitive answer, ms; 0 before the first', 0),
  cancel_latency_ms: gauge('Last cancel, first byte to the confirmed end, ms; 0 before the first', 0),
  circuit_breaker_state: gauge('Per cause: 0 closed, 1 half-open, 2 open, 3 latched until an operator acts'),
  btcbot_safe_mode: gauge('1 while nothing may be written'),
  btcbot_order_path_429_rate: gauge('Replies 429 to orders and cancels in the last minute', 0),
  btcbot_live_reasons: gauge(
    'Reasons why no order of real money may be sent, as the banner and status name them',
  ),
  btcbot_live_intended: gauge(
    '1 when the configuration asks for real money, also while SAFE_MODE or what is missing keeps it closed',
  ),
  btcbot_live: gauge('1 while orders of real money may be sent'),
  btcbot_unknown_orders: gauge('Orders whose outcome is not known', 0),
  btcbot_venue_closed: gauge(
    'Pairs that the exchange has closed for maintenance, all of them together counting as one more',
    0,
  ),
  btcbot_open_orders: gauge('Own orders that have not ended', 0),
  btcbot_channel_age_ms: gauge('Age of the last useful message, per channel and symbol, ms'),
  btcbot_reconcile_residual: gauge('Assets with an unexplained difference between ledger and venue', 0),
  btcbot_clock_offset_ms: gauge('Venue clock minus ours, ms'),
  btcbot_event_loop_delay_ms: gauge('Longest event-loop delay since the last beat, per actor, ms'),
  btcbot_event_loop_utilization: gauge('Share of time an actor was busy, seen from outside, per actor'),
  btcbot_mailbox_queued: gauge('Messages waiting, per actor'),
  btcbot_mailbox_dropped: gauge('Messages given up since the actor started, per actor'),
  btcbot_log_lines_dropped: gauge('Log lines dropped because nobody read them', 0),
  btcbot_ledger_wal_bytes: gauge('Size of the ledger’s write-ahead log, bytes'),
  btcbot_worker_restarts_total: counter('Restarts after a crash, per actor'),
  btcbot_worker_dropped: gauge('1 for a worker that only looked on and is gone for this run, per actor'),
  btcbot_twin_orders: gauge('Orders that live and the paper model were compared on, per symbol'),
  btcbot_twin_fill_rate: gauge(
    'Share of the ordered value that was filled, per symbol and run (live, paper)',
  ),
  btcbot_twin_fill_rate_gap: gauge('Fill rate, live minus paper, per symbol'),
  btcbot_twin_price_gap_bps: gauge(
    'Mean price of what both filled, live against paper, basis points; positive is better for us, per symbol',
  ),
  btcbot_twin_profit_gap: gauge('Profit, live minus paper, after costs, in the quote asset, per symbol'),
  btcbot_inputs_quarantined_total: counter(
    'Inputs that are left out since a worker crashed on them, per actor',
  ),
  btcbot_inputs_skipped_total: counter('Times a quarantined input came and was left out, per actor'),
  btcbot_fills_total: counter('Fills booked, per symbol and side'),
  btcbot_denials_total: counter('Intents refused by us, per code'),
  btcbot_late_facts_total: counter('Facts that came after their order had ended'),
  btcbot_impossible_facts_total: counter('Facts that cannot be; each places a hold'),
  btcbot_strategy_faults_total: counter('Errors thrown by the strategy'),
  btcbot_strategies_stopped: gauge('Strategies stopped for what they did; `btcbot status` names them', 0),
  btcbot_ledger_refused_total: counter('Batches that contradicted the ledger'),
  btcbot_ledger_given_up_total: counter('Records given up while the ledger could not write'),
  btcbot_ledger_failures_total: counter('Commits of the ledger that failed'),
  btcbot_public_frames_total: counter('Frames received from the public feed'),
  btcbot_public_frames_malformed_total: counter('Frames of the public feed that could not be read'),
  btcbot_book_resyncs_total: counter('Books that had to be fetched again'),
  btcbot_order_submit_latency_ms: histogram('Submit, first byte to definitive answer, ms', LATENCY_MS),
  btcbot_cancel_latency_ms: histogram('Cancel, first byte to the confirmed end, ms', LATENCY_MS),
  btcbot_ledger_commit_ms: histogram(
    'Durable commit of the ledger, fsync included, ms',
    [0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1_000],
  ),
  btcbot_ledger_commit_records: histogram(
    'Records in one commit of the ledger',
    [1, 2, 5, 10, 25, 50, 100, 500, 2_000],
  ),
};

/** Buckets for a histogram that has none of its own. */
export const DEFAULT_BUCKETS: readonly number[] = LATENCY_MS;
