/**
 * The service level objectives as data: SLO.md, the Prometheus rules and their unit tests are made from these rows.
 * Severity `warn` asks for a look within the day, `critical` wakes somebody up.
 */

export type Severity = 'warn' | 'critical';

export interface AlertRule {
  /** CamelCase, as Prometheus alerts are named. */
  readonly name: string;
  readonly severity: Severity;
  /** PromQL that is non-empty while the condition holds. */
  readonly expr: string;
  /** How long the condition must hold, as Prometheus writes durations; `0s` is at once. */
  readonly lasting: string;
  /** For people: what the rule says in words. */
  readonly words: string;
  /** Heading of the runbook's section to go to. */
  readonly runbook: string;
}

export interface Objective {
  readonly signal: string;
  readonly target: string;
  readonly rules: readonly AlertRule[];
}

/** Reconnects of five minutes, from the gauge that counts those of one. */
const RECONNECTS_5M = '5 * avg_over_time(ws_reconnect_rate[5m])';
const STALE_15M = 'avg_over_time(stale_market_data_rate[15m])';
const LAG_P95 = 'quantile_over_time(0.95, reconcile_lag_ms[15m])';
const p95 = (histogram: string): string =>
  `histogram_quantile(0.95, sum by (le) (rate(${histogram}_bucket[15m])))`;
const SUBMIT_P95 = p95('btcbot_order_submit_latency_ms');
const CANCEL_P95 = p95('btcbot_cancel_latency_ms');

export const OBJECTIVES: readonly Objective[] = [
  {
    signal: 'ws_reconnect_rate',
    target: 'at most 6 reconnects in 5 minutes',
    rules: [
      {
        name: 'ReconnectsHigh',
        severity: 'warn',
        expr: `${RECONNECTS_5M} > 6`,
        lasting: '10m',
        words: 'more than 6 reconnects in 5 minutes, for 10 minutes',
        runbook: 'Reconnect storm',
      },
      {
        name: 'ReconnectStorm',
        severity: 'critical',
        expr: `${RECONNECTS_5M} > 12`,
        lasting: '10m',
        words: 'more than 12 reconnects in 5 minutes, for 10 minutes',
        runbook: 'Reconnect storm',
      },
    ],
  },
  {
    signal: 'rest_429_rate',
    target: 'no reply 429',
    rules: [
      {
        name: 'OrderPathThrottled',
        severity: 'warn',
        expr: 'btcbot_order_path_429_rate > 0',
        lasting: '0s',
        words: 'any reply 429 to an order or a cancel',
        runbook: '429 storm',
      },
      {
        name: 'ThrottlingStorm',
        severity: 'critical',
        expr: 'rest_429_rate >= 3',
        lasting: '0s',
        words: '3 or more replies 429 in 60 seconds',
        runbook: '429 storm',
      },
    ],
  },
  {
    signal: 'rest_retry_rate',
    target: 'at most 5 % of the requests are repeats',
    rules: [
      {
        name: 'RetriesHigh',
        severity: 'warn',
        expr: 'rest_retry_rate > 0.05',
        lasting: '1m',
        words: 'more than 5 % of the requests of 5 minutes are repeats, for a minute',
        runbook: '429 storm',
      },
      {
        name: 'RetryStorm',
        severity: 'critical',
        expr: 'rest_retry_rate > 0.1',
        lasting: '1m',
        words: 'more than 10 % of the requests of 5 minutes are repeats, for a minute',
        runbook: '429 storm',
      },
    ],
  },
  {
    signal: 'stale_market_data_rate',
    target: 'at most 0.5 % of the seconds of 15 minutes with stale data',
    rules: [
      {
        name: 'MarketDataStale',
        severity: 'warn',
        expr: `${STALE_15M} > 0.005`,
        lasting: '0s',
        words: 'more than 0.5 % over 15 minutes',
        runbook: 'Stale market data',
      },
      {
        name: 'MarketDataStaleLong',
        severity: 'critical',
        expr: `${STALE_15M} > 0.02`,
        lasting: '10m',
        words: 'more than 2 % over 15 minutes, for 10 minutes',
        runbook: 'Stale market data',
      },
    ],
  },
  {
    signal: 'reconcile_lag_ms',
    target: '95 % of 15 minutes at most 1,500 ms behind the planned pass',
    rules: [
      {
        name: 'ReconcileLate',
        severity: 'warn',
        expr: `${LAG_P95} > 1500`,
        lasting: '0s',
        words: 'the 95th percentile over 15 minutes is above 1,500 ms',
        runbook: 'Reconciliation late',
      },
      {
        name: 'ReconcileVeryLate',
        severity: 'critical',
        expr: `${LAG_P95} > 3000`,
        lasting: '10m',
        words: 'the 95th percentile over 15 minutes is above 3,000 ms, for 10 minutes',
        runbook: 'Reconciliation late',
      },
    ],
  },
  {
    signal: 'order_submit_latency_ms',
    target: '95 % of the submits of 15 minutes answered within 1,200 ms',
    rules: [
      {
        name: 'SubmitSlow',
        severity: 'warn',
        expr: `${SUBMIT_P95} > 1200`,
        lasting: '0s',
        words: 'the 95th percentile over 15 minutes is above 1,200 ms',
        runbook: 'Slow orders',
      },
      {
        name: 'SubmitVerySlow',
        severity: 'critical',
        expr: `${SUBMIT_P95} > 2500`,
        lasting: '10m',
        words: 'the 95th percentile over 15 minutes is above 2,500 ms, for 10 minutes',
        runbook: 'Slow orders',
      },
    ],
  },
  {
    signal: 'cancel_latency_ms',
    target: '95 % of the cancels of 15 minutes confirmed within 3,000 ms',
    rules: [
      {
        name: 'CancelSlow',
        severity: 'warn',
        expr: `${CANCEL_P95} > 3000`,
        lasting: '0s',
        words: 'the 95th percentile over 15 minutes is above 3,000 ms',
        runbook: 'Slow orders',
      },
      {
        name: 'CancelStuck',
        severity: 'critical',
        expr: 'cancel_latency_ms > 10000',
        lasting: '0s',
        words: 'the last cancel took more than 10 s to be confirmed',
        runbook: 'Slow orders',
      },
    ],
  },
  {
    signal: 'circuit_breaker_state',
    target: 'every cause closed while live is intended',
    rules: [
      {
        name: 'BreakerOpen',
        severity: 'critical',
        // Every start holds until the account is proven: no fault.
        expr: 'max by (cause) (circuit_breaker_state{cause!="starting"}) >= 2 and on () (max(btcbot_live_intended) == 1)',
        lasting: '0s',
        words: 'a cause is open or latched while live was intended',
        runbook: 'Causes that hold trading',
      },
    ],
  },
  {
    signal: 'up',
    target: 'the bot answers every scrape',
    rules: [
      {
        name: 'BotAbsent',
        severity: 'critical',
        expr: 'absent(btcbot_safe_mode) or up{job="btcbot"} == 0',
        lasting: '30s',
        words: 'no figures for 30 seconds',
        runbook: 'The bot is gone',
      },
    ],
  },
];

export const ALERT_RULES: readonly AlertRule[] = OBJECTIVES.flatMap(({ rules }) => rules);

const quoted = (text: string): string => JSON.stringify(text);

/** The rule file for Prometheus. Evaluated every second or as the server is set. */
export const renderRules = (): string =>
  [
    '# Made by `npm run docs` from src/operations/slo.ts: change it there.',
    'groups:',
    '  - name: btcbot',
    '    rules:',
    ...ALERT_RULES.flatMap(rule => [
      `      - alert: ${rule.name}`,
      `        expr: ${quoted(rule.expr)}`,
      `        for: ${rule.lasting}`,
      '        labels:',
      `          severity: ${rule.severity}`,
      '        annotations:',
      `          summary: ${quoted(rule.words)}`,
      `          runbook: ${quoted(`RUNBOOK.md, ${rule.runbook}`)}`,
    ]),
    '',
  ].join('\n');
