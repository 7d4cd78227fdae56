/**
 * The last day against the objectives, kept by the bot itself: `btcbot doctor` knows it without a Prometheus server. Every
 * few seconds the gauges are sampled into slots of five minutes; submits and cancels are counted one by one. A percentile
 * is not computed: 95 % within a bound is the same as at most 5 % beyond it, and that can be counted.
 */
import type { MetricEffect } from '../domain/step.js';
import { METRICS } from '../runtime/metric-catalog.js';

export const SLOT_MS = 300_000;
const SLOTS_KEPT = 288;
/** As often as SLO.md asks a Prometheus server to scrape. */
export const SAMPLE_MS = 5_000;

/** What one slot holds of one signal. */
export interface Tally {
  readonly count: number;
  readonly sum: number;
  readonly max: number;
  /** Samples beyond the objective's bound. */
  readonly beyond: number;
}

export interface Slot {
  /** Start, Unix ms; a multiple of {@link SLOT_MS}. */
  readonly atMs: number;
  readonly tallies: Readonly<Record<string, Tally>>;
}

export interface ObjectiveDay {
  /** Oldest first. */
  readonly slots: Slot[];
  /** Newest value of each gauge, by its labels and reporter. */
  readonly latest: Map<string, Map<string, number>>;
  sampledAtMs: number;
}

interface DayRule {
  readonly signal: string;
  /** Metric whose single observations count, instead of samples of the gauge. */
  readonly observed?: string;
  /** Samples above this are beyond the bound. */
  readonly bound: number;
  /** Slots that are judged together. */
  readonly slots: number;
  /** What is judged of them. */
  valueOf(tally: Tally): number;
  readonly atMost: number;
  words(value: number): string;
}

const mean = ({ sum, count }: Tally): number => (count === 0 ? 0 : sum / count);
const share = ({ beyond, count }: Tally): number => (count === 0 ? 0 : beyond / count);
const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
const late = (signal: string, bound: number, what: string, observed?: string): DayRule => ({
  signal,
  bound,
  slots: 3,
  valueOf: share,
  atMost: 0.05,
  words: value => `${percent(value)} ${what} in the worst 15 minutes`,
  ...(observed === undefined ? {} : { observed }),
});

/** One row for each signal that SLO.md has a target for. */
const RULES: readonly DayRule[] = [
  {
    signal: 'ws_reconnect_rate',
    bound: 0,
    slots: 1,
    valueOf: tally => 5 * mean(tally),
    atMost: 6,
    words: value => `${value.toFixed(1)} reconnects in the worst 5 minutes`,
  },
  {
    signal: 'rest_429_rate',
    bound: 0,
    slots: 1,
    valueOf: tally => tally.max,
    atMost: 0,
    words: value => `${value} replies 429 in the worst minute`,
  },
  {
    signal: 'rest_retry_rate',
    bound: 0.05,
    slots: 1,
    valueOf: tally => tally.max,
    atMost: 0.05,
    words: value => `${percent(value)} of the requests were repeats in the worst 5 minutes`,
  },
  {
    signal: 'stale_market_data_rate',
    bound: 0,
    slots: 3,
    valueOf: mean,
    atMost: 0.005,
    words: value => `${percent(value)} of the seconds had stale data in the worst 15 minutes`,
  },
  late('reconcile_lag_ms', 1_500, 'of the time more than 1,500 ms late'),
  late(
    'order_submit_latency_ms',
    1_200,
    'of the submits took more than 1,200 ms',
    'btcbot_order_submit_latency_ms',
  ),
  late('cancel_latency_ms', 3_000, 'of the cancels took more than 3,000 ms', 'btcbot_cancel_latency_ms'),
  {
    signal: 'circuit_breaker_state',
    bound: 1,
    slots: SLOTS_KEPT,
    valueOf: tally => tally.beyond,
    atMost: 0,
    words: value =>
      `a cause was open for ${Math.round((value * SAMPLE_MS) / 60_000)} minutes while live was intended`,
  },
];

const NOTHING: Tally = { count: 0, sum: 0, max: 0, beyond: 0 };
const plus = (left: Tally, right: Tally): Tally => ({
  count: left.count + right.count,
  sum: left.sum + right.sum,
  max: Math.max(left.max, right.max),
  beyond: left.beyond + right.beyond,
});

export const newObjectiveDay = (slots: readonly Slot[] = []): ObjectiveDay => ({
  slots: [...slots],
  latest: new Map(),
  sampledAtMs: Number.NEGATIVE_INFINITY,
});

const count = (day: ObjectiveDay, rule: DayRule, value: number, nowMs: number): void => {
  const atMs = Math.floor(nowMs / SLOT_MS) * SLOT_MS;
  const last = day.slots.at(-1);
  // A clock that was set back adds to the newest slot: slots stay in order.
  if (last === undefined || last.atMs < atMs) {
    day.slots.push({ atMs, tallies: {} });
    if (day.slots.length > SLOTS_KEPT) day.slots.shift();
  }
  const slot = day.slots.at(-1) as { readonly tallies: Record<string, Tally> };
  const one: Tally = { count: 1, sum: value, max: value, beyond: value > rule.bound ? 1 : 0 };
  slot.tallies[rule.signal] = plus(slot.tallies[rule.signal] ?? NOTHING, one);
};

/** Takes in one observation of any actor. */
export const noteMetric = (day: ObjectiveDay, metric: MetricEffect, from: string, nowMs: number): void => {
  for (const rule of RULES) if (rule.observed === metric.name) count(day, rule, metric.value, nowMs);
  if (metric.kind !== 'gauge') return;
  const values = day.latest.get(metric.name) ?? new Map<string, number>();
  day.latest.set(metric.name, values);
  // What several actors report is told apart by them, a cause by its label.
  values.set(METRICS[metric.name]?.addUp === true ? from : (metric.labels?.cause ?? ''), metric.value);
};

/** The gauge as Prometheus would show it; undefined before it was ever set. */
const readingOf = (day: ObjectiveDay, signal: string): number | undefined => {
  const values = day.latest.get(signal);
  if (values === undefined) return undefined;
  if (signal !== 'circuit_breaker_state') return [...values.values()].reduce((sum, value) => sum + value, 0);
  if (day.latest.get('btcbot_live_intended')?.get('') !== 1) return 0;
  return Math.max(...[...values].map(([cause, value]) => (cause === 'starting' ? 0 : value)));
};

/** Samples every gauge, if it is time to. Call it often. */
export const sampleObjectives = (day: ObjectiveDay, nowMs: number): void => {
  if (Math.abs(nowMs - day.sampledAtMs) < SAMPLE_MS) return;
  day.sampledAtMs = nowMs;
  for (const rule of RULES) {
    const value = rule.observed === undefined ? readingOf(day, rule.signal) : undefined;
    if (value !== undefined) count(day, rule, value, nowMs);
  }
};

export interface ObjectiveVerdict {
  readonly signal: string;
  readonly met: boolean;
  readonly words: string;
}

/** How each objective was met in the 24 hours before `nowMs`; empty when nothing was seen in them. */
export const judgeObjectives = (slots: readonly Slot[], nowMs: number): readonly ObjectiveVerdict[] => {
  const recent = slots.filter(({ atMs }) => atMs > nowMs - SLOTS_KEPT * SLOT_MS && atMs <= nowMs);
  if (recent.length === 0) return [];
  return RULES.map(rule => {
    const windows = recent.map(({ atMs }) =>
      recent
        .filter(slot => slot.atMs <= atMs && slot.atMs > atMs - rule.slots * SLOT_MS)
        .reduce((sum, slot) => plus(sum, slot.tallies[rule.signal] ?? NOTHING), NOTHING),
    );
    const worst = Math.max(...windows.map(rule.valueOf));
    return { signal: rule.signal, met: worst <= rule.atMost, words: rule.words(worst) };
  });
};
