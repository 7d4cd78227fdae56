/**
 * Each of the eight signals under the fault that should move it, in the whole bot under virtual time: it moves within five
 * seconds of that clock, and a Prometheus that had scraped it would fire that signal's alert and no other. A clean hour
 * moves nothing and fires nothing.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { MetricEffect } from '#src/domain/step.js';
import { parseFault } from '#src/exchange/faults.js';
import { METRICS } from '#src/runtime/metric-catalog.js';
import { createWorld, type World } from '#src/simulation/world.js';
import { pulse } from '#src/strategies/pulse.js';
import { botFolder, removeFolder } from '../support/bot.js';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const RULES = join(ROOT, 'config', 'alerts', 'btcbot.rules.yml');
const SCRAPE_MS = 5_000;
const WITHIN_MS = 5_000;
/** Everything has started, recovered and placed its first orders by then. */
const SETTLED_MS = 60_000;
const QUIET = {
  marketPace: 0.02,
  slowIntervalMs: 2_000,
  markIntervalMs: 30_000,
  reconcileIntervalMs: 5_000,
  refreshMs: 1_000,
};
const LIVE = {
  VENUE: 'btcturk',
  BTCTURK_BASE_URL: 'http://127.0.0.1:1',
  BTCTURK_GRAPH_URL: 'http://127.0.0.1:1',
  BTCTURK_WS_URL: 'ws://127.0.0.1:1',
  BTCTURK_API_KEY: 'loopback-key-for-tests',
  BTCTURK_API_SECRET: Buffer.from('not-a-real-secret').toString('base64'),
  BTCTURK_API_SCOPES: 'read,trade',
  BTCTURK_SECRET_ROTATED_AT: '2026-09-20',
  LIVE_TRADING: 'true',
  LIVE_TRADING_ACK: 'I_UNDERSTAND',
  LIVE_READINESS_MIN_MINUTES: '0',
  MAX_NOTIONAL_PER_ORDER_TRY: '50000',
  MAX_POSITION_NOTIONAL_TRY: '200000',
  MAX_GROSS_EXPOSURE_TRY: '400000',
  MAX_DAILY_LOSS_TRY: '50000',
  MAX_DRAWDOWN_PCT: '50',
  PRICE_COLLAR_BPS: '500',
  MAX_ORDERS_PER_MINUTE: '1000',
  MAX_REPEATED_EXECUTIONS: '10000',
};

/** What `/metrics` would show, scraped every five seconds of virtual time. */
class Scrapes {
  readonly series = new Map<string, (number | null)[]>();
  readonly changes: { readonly name: string; readonly value: number; readonly monoMs: number }[] = [];
  private readonly gauges = new Map<string, Map<string, number>>();
  private readonly counters = new Map<string, number>();
  private scrapes = 0;

  note(actor: string, { kind, name, value, labels = {} }: MetricEffect, monoMs: number): void {
    const text = Object.entries(labels).map(([key, label]) => `${key}="${label}"`);
    if (kind === 'histogram') {
      for (const bound of [...(METRICS[name]?.buckets ?? []), Number.POSITIVE_INFINITY])
        this.count(
          `${name}_bucket{le="${bound === Number.POSITIVE_INFINITY ? '+Inf' : bound}"}`,
          value <= bound ? 1 : 0,
        );
      return;
    }
    const shown = `${name}${text.length === 0 ? '' : `{${text.join(',')}}`}`;
    if (kind === 'counter') {
      this.count(shown, value);
      return;
    }
    this.changes.push({ name, value, monoMs });
    const parts = this.gauges.get(shown) ?? new Map<string, number>();
    this.gauges.set(shown, parts.set(METRICS[name]?.addUp === true ? actor : '', value));
  }

  scrape(): void {
    const readings = new Map(this.counters);
    for (const [name, { kind, initially }] of Object.entries(METRICS))
      if (kind === 'gauge' && initially !== undefined) readings.set(name, initially);
    for (const [name, parts] of this.gauges)
      readings.set(
        name,
        [...parts.values()].reduce((sum, value) => sum + value, 0),
      );
    readings.set('up{job="btcbot"}', 1);
    for (const [name, value] of readings) {
      const values = this.series.get(name) ?? Array.from({ length: this.scrapes }, () => null);
      this.series.set(name, values);
      values.push(value);
    }
    this.scrapes += 1;
  }

  /** Virtual ms of the scrape that was the last. */
  get endMs(): number {
    return (this.scrapes - 1) * SCRAPE_MS;
  }

  private count(name: string, by: number): void {
    this.counters.set(name, (this.counters.get(name) ?? 0) + by);
  }
}

interface Story {
  readonly signal: string;
  readonly fault: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly orderEveryMs?: number;
  /** When the fault begins, ms after the start; {@link SETTLED_MS} when nothing is said. */
  readonly settledMs?: number;
  readonly begin: (world: World) => void;
  readonly again?: { readonly everyMs: number; act(world: World): void };
  readonly isMoved: (value: number) => boolean;
  readonly lastsMs: number;
  readonly fires: readonly string[];
  /** What the same fault is by its nature beside that. */
  readonly alsoFires?: readonly string[];
}

const MINUTE = 60_000;
const set =
  (text: string): ((world: World) => void) =>
  world =>
    void world.venue.admin({ type: 'set-fault', fault: parseFault(text) });

const STORIES: readonly Story[] = [
  {
    signal: 'ws_reconnect_rate',
    fault: 'every socket is cut every 40 s',
    begin: set('abrupt-drop'),
    again: { everyMs: 40_000, act: set('abrupt-drop') },
    isMoved: value => value > 0,
    orderEveryMs: 20_000,
    lastsMs: 16 * MINUTE,
    fires: ['ReconnectsHigh'],
    // Whoever waits to connect again has no fresh book.
    alsoFires: ['MarketDataStale', 'MarketDataStaleLong'],
  },
  {
    signal: 'rest_429_rate',
    fault: 'one 429 to an order',
    begin: set('rate-limit=seconds:60,on=submit,count=1'),
    isMoved: value => value === 1,
    lastsMs: 30_000,
    fires: ['OrderPathThrottled'],
  },
  {
    signal: 'rest_429_rate',
    fault: 'three reads are answered with 429',
    env: { RECONCILE_INTERVAL_MS: '3000' },
    // What is judged over a quarter of an hour needs one: the reads rest for half a minute of it.
    settledMs: 15 * MINUTE,
    orderEveryMs: 20_000,
    begin: set('rate-limit=seconds:1,on=reads,count=3'),
    isMoved: value => value >= 1,
    lastsMs: 40_000,
    fires: ['ThrottlingStorm'],
  },
  {
    signal: 'rest_retry_rate',
    fault: 'two reads fail every 5 s',
    env: { RECONCILE_INTERVAL_MS: '3000' },
    begin: set('html-5xx,on=balances,count=2'),
    again: { everyMs: 5_000, act: set('html-5xx,on=balances,count=2') },
    isMoved: value => value > 0,
    lastsMs: 3 * MINUTE,
    fires: ['RetriesHigh'],
  },
  {
    signal: 'stale_market_data_rate',
    fault: 'a feed that says nothing more for 15 s',
    env: { MAX_MARKET_DATA_AGE_MS: '2000', BTCTURK_WS_IDLE_RECONNECT_MS: '15000' },
    begin: set('silent-stall'),
    isMoved: value => value > 0,
    lastsMs: 15_000,
    fires: ['MarketDataStale'],
  },
  {
    signal: 'reconcile_lag_ms',
    fault: 'open orders cannot be read',
    env: { RECONCILE_INTERVAL_MS: '1000' },
    begin: set('hang,on=open-orders'),
    isMoved: value => value > 1_500,
    lastsMs: 50_000,
    fires: ['ReconcileLate'],
  },
  {
    signal: 'order_submit_latency_ms',
    fault: 'submits are answered after 1.4 s',
    begin: set('slow-replies=1400,on=submit'),
    isMoved: value => value >= 1_400,
    lastsMs: 90_000,
    fires: ['SubmitSlow'],
  },
  {
    signal: 'cancel_latency_ms',
    fault: 'cancels are carried out after 3.2 s',
    begin: set('cancel-late=3200'),
    isMoved: value => value >= 3_200,
    lastsMs: 90_000,
    fires: ['CancelSlow'],
  },
  {
    signal: 'circuit_breaker_state',
    fault: 'safe mode is ordered on a live bot',
    env: LIVE,
    begin: world => world.process.command({ type: 'safe-mode-on', reason: 'a test' }),
    isMoved: value => value >= 2,
    lastsMs: 30_000,
    fires: ['BreakerOpen'],
  },
];

interface Told {
  readonly scrapes: Scrapes;
  /** From the fault to the first reading that shows it; null when there was none. */
  readonly movedAfterMs: number | null;
}

const run = (story: Partial<Story>, totalMs: number): Told => {
  const scrapes = new Scrapes();
  const world = createWorld({
    seed: 3,
    symbols: ['BTCTRY'],
    strategy: pulse,
    strategyConfig: { intervalMs: story.orderEveryMs ?? 1_000 },
    tempo: QUIET,
    env: { MAX_REPEATED_EXECUTIONS: '10000', ...story.env },
    watcher: { onMetric: (actor, metric) => scrapes.note(actor, metric, world.time.now().monoMs) },
  });
  world.start();
  let faultAtMs: number | null = null;
  let nextMs = story.settledMs ?? SETTLED_MS;
  for (let ms = 0; ms <= totalMs; ms += SCRAPE_MS) {
    if (ms >= nextMs && story.begin !== undefined) {
      if (faultAtMs === null) {
        faultAtMs = world.time.now().monoMs;
        story.begin(world);
      } else story.again?.act(world);
      nextMs += story.again?.everyMs ?? totalMs;
    }
    scrapes.scrape();
    world.run(SCRAPE_MS);
  }
  const from = faultAtMs;
  const moved = scrapes.changes.find(
    ({ name, value, monoMs }) =>
      from !== null && monoMs >= from && name === story.signal && story.isMoved?.(value) === true,
  );
  return { scrapes, movedAfterMs: moved === undefined || from === null ? null : moved.monoMs - from };
};

/** Runs `promtool` over what was scraped: at the end exactly these alerts fire, and at `quietMs` none. */
const judge = (scrapes: Scrapes, fires: readonly string[], quietMs: readonly number[]): string => {
  const folder = botFolder();
  try {
    const file = join(folder, 'story.yml');
    const at = (ms: number, names: readonly string[]): unknown => ({
      expr: 'count by (alertname) (ALERTS{alertstate="firing"}) * 0 + 1',
      eval_time: `${Math.floor(ms / 1_000)}s`,
      exp_samples: names.map(name => ({ labels: `{alertname="${name}"}`, value: 1 })),
    });
    const test = {
      rule_files: [RULES],
      evaluation_interval: '5s',
      tests: [
        {
          interval: '5s',
          input_series: [...scrapes.series].map(([series, values]) => ({
            series,
            values: values.map(value => (value === null ? '_' : String(value))).join(' '),
          })),
          promql_expr_test: [...quietMs.map(ms => at(ms, [])), at(scrapes.endMs, fires)],
        },
      ],
    };
    writeFileSync(file, JSON.stringify(test));
    const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' });
    return status === 0 ? '' : `${stdout}${stderr}`;
  } finally {
    removeFolder(folder);
  }
};
const canJudge = spawnSync('promtool', ['--version']).error === undefined;

describe('the signals of the whole bot', function () {
  this.timeout(120_000);
  before(() => {
    if (!canJudge)
      console.log(
        '      no alert is judged: promtool is absent (Debian package prometheus); .ci/run installs it',
      );
  });

  it('have a story each', () => {
    const told = new Set(STORIES.map(({ signal }) => signal));
    expect([...told]).to.have.members(Object.keys(METRICS).slice(0, 8));
  });

  for (const story of STORIES)
    it(`move ${story.signal} within 5 s when ${story.fault}, and only its alert fires`, () => {
      const settledMs = story.settledMs ?? SETTLED_MS;
      const { scrapes, movedAfterMs } = run(story, settledMs + story.lastsMs);
      expect(movedAfterMs, 'the signal moved').to.be.at.most(WITHIN_MS);
      if (canJudge)
        expect(
          judge(scrapes, [...(story.alsoFires ?? []), ...story.fires], [settledMs - SCRAPE_MS]),
        ).to.equal('');
    });

  it('stay at rest for a clean hour, and no alert fires in any minute of it', () => {
    const { scrapes } = run(
      { env: { ...LIVE, RECONCILE_INTERVAL_MS: '15000' }, orderEveryMs: 20_000 },
      60 * MINUTE,
    );
    for (const name of ['ws_reconnect_rate', 'rest_429_rate', 'rest_retry_rate', 'stale_market_data_rate'])
      expect(Math.max(...(scrapes.series.get(name) ?? []).map(value => value ?? 0)), name).to.equal(0);
    const minutes = Array.from({ length: 59 }, (_, minute) => (minute + 1) * MINUTE);
    if (canJudge) expect(judge(scrapes, [], minutes)).to.equal('');
  });
});
