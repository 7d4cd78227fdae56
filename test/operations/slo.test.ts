import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ALERT_RULES, OBJECTIVES } from '#src/operations/slo.js';
import { METRICS } from '#src/runtime/metric-catalog.js';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const RULES = join(ROOT, 'config', 'alerts', 'btcbot.rules.yml');
const SIGNALS = [
  'ws_reconnect_rate',
  'rest_429_rate',
  'rest_retry_rate',
  'stale_market_data_rate',
  'reconcile_lag_ms',
  'order_submit_latency_ms',
  'cancel_latency_ms',
  'circuit_breaker_state',
];

/** A healthy bot's figures for 50 minutes, one sample in 30 s. */
const CLEAN: Readonly<Record<string, string>> = {
  ws_reconnect_rate: '0x100',
  rest_429_rate: '0x100',
  rest_retry_rate: '0x100',
  stale_market_data_rate: '0x100',
  reconcile_lag_ms: '0 120 0 300x97',
  order_submit_latency_ms: '40x100',
  cancel_latency_ms: '60x100',
  btcbot_order_path_429_rate: '0x100',
  'circuit_breaker_state{cause="rest-429"}': '0x100',
  'circuit_breaker_state{cause="operator"}': '0x100',
  'circuit_breaker_state{cause="starting"}': '2 2 0x98',
  btcbot_live_intended: '1x100',
  btcbot_safe_mode: '0x100',
  'up{job="btcbot"}': '1x100',
  ...Object.fromEntries(
    ['order_submit', 'cancel'].flatMap(name =>
      ['100', '1200', '2500', '3000', '5000', '10000', '+Inf'].map(le => [
        `btcbot_${name}_latency_ms_bucket{le="${le}"}`,
        '0+1x100',
      ]),
    ),
  ),
};
/** Every observation falls above `aboveMs`. */
const slow = (name: string, aboveMs: number): Record<string, string> =>
  Object.fromEntries(
    ['100', '1200', '2500', '3000', '5000', '10000', '+Inf'].map(le => [
      `btcbot_${name}_latency_ms_bucket{le="${le}"}`,
      le === '+Inf' || Number(le) > aboveMs ? '0+1x100' : '0x100',
    ]),
  );

interface Story {
  readonly title: string;
  readonly figures: Readonly<Record<string, string>>;
  readonly at: string;
  /** Names of the rules that fire then; no other does. */
  readonly fires: readonly string[];
}

const STORIES: readonly Story[] = [
  { title: '40 clean minutes', figures: {}, at: '40m', fires: [] },
  { title: 'a clean start', figures: {}, at: '30s', fires: [] },
  { title: '6 reconnects in 5 minutes', figures: { ws_reconnect_rate: '1.2x100' }, at: '40m', fires: [] },
  {
    title: '7 reconnects in 5 minutes',
    figures: { ws_reconnect_rate: '1.4x100' },
    at: '40m',
    fires: ['ReconnectsHigh'],
  },
  {
    title: '15 reconnects in 5 minutes',
    figures: { ws_reconnect_rate: '3x100' },
    at: '40m',
    fires: ['ReconnectsHigh', 'ReconnectStorm'],
  },
  { title: 'a storm of 5 minutes', figures: { ws_reconnect_rate: '9x10 0x90' }, at: '10m', fires: [] },
  {
    title: 'one 429 to an order',
    figures: { btcbot_order_path_429_rate: '0x40 1x4 0x56', rest_429_rate: '0x40 1x4 0x436' },
    at: '20m30s',
    fires: ['OrderPathThrottled'],
  },
  { title: 'two 429 to reads', figures: { rest_429_rate: '2x100' }, at: '40m', fires: [] },
  {
    title: 'three 429 to reads in a minute',
    figures: { rest_429_rate: '3x100' },
    at: '40m',
    fires: ['ThrottlingStorm'],
  },
  { title: '5 % retries', figures: { rest_retry_rate: '0.05x100' }, at: '40m', fires: [] },
  { title: '6 % retries', figures: { rest_retry_rate: '0.06x100' }, at: '40m', fires: ['RetriesHigh'] },
  {
    title: '11 % retries',
    figures: { rest_retry_rate: '0.11x100' },
    at: '40m',
    fires: ['RetriesHigh', 'RetryStorm'],
  },
  { title: '0.5 % stale', figures: { stale_market_data_rate: '0.005x100' }, at: '40m', fires: [] },
  {
    title: '1 % stale',
    figures: { stale_market_data_rate: '0.01x100' },
    at: '40m',
    fires: ['MarketDataStale'],
  },
  {
    title: '3 % stale',
    figures: { stale_market_data_rate: '0.03x100' },
    at: '40m',
    fires: ['MarketDataStale', 'MarketDataStaleLong'],
  },
  { title: 'a lag of 1,500 ms', figures: { reconcile_lag_ms: '1500x100' }, at: '40m', fires: [] },
  {
    title: 'a lag of 1,600 ms',
    figures: { reconcile_lag_ms: '1600x100' },
    at: '40m',
    fires: ['ReconcileLate'],
  },
  {
    title: 'a lag of 3,100 ms',
    figures: { reconcile_lag_ms: '3100x100' },
    at: '40m',
    fires: ['ReconcileLate', 'ReconcileVeryLate'],
  },
  { title: 'submits above 1,200 ms', figures: slow('order_submit', 1_200), at: '40m', fires: ['SubmitSlow'] },
  {
    title: 'submits above 2,500 ms',
    figures: slow('order_submit', 2_500),
    at: '40m',
    fires: ['SubmitSlow', 'SubmitVerySlow'],
  },
  { title: 'cancels above 3,000 ms', figures: slow('cancel', 3_000), at: '40m', fires: ['CancelSlow'] },
  {
    title: 'a cancel of 11 s',
    figures: { cancel_latency_ms: '11000x100' },
    at: '40m',
    fires: ['CancelStuck'],
  },
  {
    title: 'a latched cause while live was intended',
    figures: { 'circuit_breaker_state{cause="operator"}': '0x40 3x60' },
    at: '20m30s',
    fires: ['BreakerOpen'],
  },
  {
    title: 'a half-open cause',
    figures: { 'circuit_breaker_state{cause="rest-429"}': '1x100' },
    at: '40m',
    fires: [],
  },
  {
    title: 'a latched cause in dry run',
    figures: { 'circuit_breaker_state{cause="operator"}': '3x100', btcbot_live_intended: '0x100' },
    at: '40m',
    fires: [],
  },
  {
    title: 'a bot that does not answer',
    figures: { 'up{job="btcbot"}': '0x100' },
    at: '40m',
    fires: ['BotAbsent'],
  },
];

/** A unit test file as promtool reads it. */
const unitTests = (stories: readonly Story[]): string =>
  JSON.stringify({
    rule_files: [RULES],
    evaluation_interval: '30s',
    tests: stories.map(({ title, figures, at, fires }) => ({
      name: title,
      interval: '30s',
      input_series: Object.entries({ ...CLEAN, ...figures }).map(([series, values]) => ({ series, values })),
      promql_expr_test: [
        {
          expr: 'count by (alertname) (ALERTS{alertstate="firing"}) * 0 + 1',
          eval_time: at,
          exp_samples: fires.map(name => ({ labels: `{alertname="${name}"}`, value: 1 })),
        },
      ],
    })),
  });

const promtool = (args: readonly string[]): { readonly status: number | null; readonly text: string } => {
  const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' });
  return { status, text: `${stdout}${stderr}` };
};
const present = spawnSync('promtool', ['--version']).error === undefined;

describe('the objectives', () => {
  it('cover the eight signals, and name only metrics that exist', () => {
    const covered = OBJECTIVES.map(({ signal }) => signal);
    for (const signal of SIGNALS) expect(covered).to.include(signal);
    for (const { name, expr } of ALERT_RULES)
      for (const metric of expr.match(
        /\b(?:btcbot|ws|rest|stale|reconcile|order|cancel|circuit)_[a-z0-9_]+/g,
      ) ?? [])
        expect(METRICS, `${name}: ${metric}`).to.have.property(metric.replace(/_bucket$/, ''));
  });

  it('send whoever is told to a section that the runbook has', () => {
    const headings = readFileSync(join(ROOT, 'RUNBOOK.md'), 'utf8').match(/^#+ .+$/gm) ?? [];
    for (const { runbook } of ALERT_RULES)
      expect(
        headings.some(heading => heading.replace(/^#+ /, '') === runbook),
        runbook,
      ).to.equal(true);
  });

  it('have a story for every rule', () => {
    const told = new Set(STORIES.flatMap(({ fires }) => fires));
    expect(ALERT_RULES.map(({ name }) => name).filter(name => !told.has(name))).to.deep.equal([]);
  });

  it('fire each in its own story and in no other, by promtool', function () {
    if (!present) {
      console.log('      skipped: promtool is absent (Debian package prometheus); .ci/run installs it');
      this.skip();
    }
    this.timeout(60_000);
    const folder = mkdtempSync(join(tmpdir(), 'btcbot-rules-'));
    try {
      const checked = promtool(['check', 'rules', RULES]);
      expect(checked.status, checked.text).to.equal(0);
      const file = join(folder, 'stories.yml');
      writeFileSync(file, unitTests(STORIES));
      const tested = promtool(['test', 'rules', file]);
      expect(tested.status, tested.text).to.equal(0);
      // A test that cannot fail shows nothing: the same story with another ending must.
      writeFileSync(file, unitTests([{ ...STORIES[0]!, fires: ['BotAbsent'] }]));
      expect(promtool(['test', 'rules', file]).status).to.equal(1);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
