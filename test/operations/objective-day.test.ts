import { writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { objectiveChecks } from '#src/cli/checks.js';
import type { MetricEffect } from '#src/domain/step.js';
import {
  judgeObjectives,
  newObjectiveDay,
  noteMetric,
  type ObjectiveDay,
  SAMPLE_MS,
  SLOT_MS,
  sampleObjectives,
} from '#src/operations/objective-day.js';
import { objectivePath, readObjectives, writeObjectives } from '#src/operations/objective-file.js';
import { OBJECTIVES } from '#src/operations/slo.js';
import { botFolder, databaseIn, removeFolder } from '../support/bot.js';

const START = SLOT_MS * 6_000_000;
const HOUR = 3_600_000;

const gauge = (name: string, value: number, labels?: Record<string, string>): MetricEffect => ({
  type: 'metric',
  kind: 'gauge',
  name,
  value,
  ...(labels === undefined ? {} : { labels }),
});
/** Lets time pass with the gauges as they are. */
const pass = (day: ObjectiveDay, fromMs: number, ms: number): number => {
  for (let at = fromMs; at < fromMs + ms; at += SAMPLE_MS) sampleObjectives(day, at);
  return fromMs + ms;
};
const missed = (day: ObjectiveDay, nowMs: number): readonly string[] =>
  judgeObjectives(day.slots, nowMs)
    .filter(({ met }) => !met)
    .map(({ signal }) => signal);

/** What a bot that is well reports. */
const healthy = (): ObjectiveDay => {
  const day = newObjectiveDay();
  for (const name of [
    'ws_reconnect_rate',
    'rest_429_rate',
    'rest_retry_rate',
    'stale_market_data_rate',
    'reconcile_lag_ms',
  ])
    noteMetric(day, gauge(name, 0), 'market-data', START);
  noteMetric(day, gauge('btcbot_live_intended', 1), 'supervisor', START);
  noteMetric(day, gauge('circuit_breaker_state', 2, { cause: 'starting' }), 'supervisor', START);
  noteMetric(day, gauge('circuit_breaker_state', 1, { cause: 'rest-429' }), 'supervisor', START);
  return day;
};
const observed = (day: ObjectiveDay, name: string, value: number, times: number, atMs: number): void => {
  for (let count = 0; count < times; count++)
    noteMetric(day, { type: 'metric', kind: 'histogram', name, value }, 'execution', atMs);
};

describe('the last day against the objectives', () => {
  it('has a verdict for every signal that has an objective, and all are met on a good day', () => {
    const day = healthy();
    observed(day, 'btcbot_order_submit_latency_ms', 40, 100, START);
    const end = pass(day, START, HOUR);
    const signals = judgeObjectives(day.slots, end).map(({ signal }) => signal);
    expect(signals).to.have.members(OBJECTIVES.map(({ signal }) => signal).filter(signal => signal !== 'up'));
    expect(missed(day, end)).to.deep.equal([]);
  });

  const rows: readonly (readonly [title: string, signal: string, spoil: (day: ObjectiveDay) => void])[] = [
    [
      '7 reconnects in 5 minutes',
      'ws_reconnect_rate',
      day => noteMetric(day, gauge('ws_reconnect_rate', 1.4), 'market-data', START),
    ],
    [
      'reconnects of two actors added up',
      'ws_reconnect_rate',
      day => {
        for (const from of ['market-data', 'reconciliation'])
          noteMetric(day, gauge('ws_reconnect_rate', 0.7), from, START);
      },
    ],
    ['one 429', 'rest_429_rate', day => noteMetric(day, gauge('rest_429_rate', 1), 'execution', START)],
    [
      '6 % repeats',
      'rest_retry_rate',
      day => noteMetric(day, gauge('rest_retry_rate', 0.06), 'reconciliation', START),
    ],
    [
      '0.6 % stale',
      'stale_market_data_rate',
      day => noteMetric(day, gauge('stale_market_data_rate', 0.006), 'market-data', START),
    ],
    [
      'a lag of 1,600 ms',
      'reconcile_lag_ms',
      day => noteMetric(day, gauge('reconcile_lag_ms', 1_600), 'reconciliation', START),
    ],
    [
      '6 slow submits of 100',
      'order_submit_latency_ms',
      day => {
        observed(day, 'btcbot_order_submit_latency_ms', 40, 94, START);
        observed(day, 'btcbot_order_submit_latency_ms', 1_300, 6, START);
      },
    ],
    [
      '6 slow cancels of 100',
      'cancel_latency_ms',
      day => {
        observed(day, 'btcbot_cancel_latency_ms', 40, 94, START);
        observed(day, 'btcbot_cancel_latency_ms', 3_100, 6, START);
      },
    ],
    [
      'an open cause while live was intended',
      'circuit_breaker_state',
      day => noteMetric(day, gauge('circuit_breaker_state', 2, { cause: 'rest-429' }), 'supervisor', START),
    ],
  ];
  for (const [title, signal, spoil] of rows)
    it(`misses ${signal} by ${title}, and no other`, () => {
      const day = healthy();
      spoil(day);
      expect(missed(day, pass(day, START, HOUR))).to.deep.equal([signal]);
    });

  it('forgives 5 slow submits of 100, and a cause that is open in dry run', () => {
    const day = healthy();
    observed(day, 'btcbot_order_submit_latency_ms', 40, 95, START);
    observed(day, 'btcbot_order_submit_latency_ms', 1_300, 5, START);
    noteMetric(day, gauge('btcbot_live_intended', 0), 'supervisor', START);
    noteMetric(day, gauge('circuit_breaker_state', 3, { cause: 'operator' }), 'supervisor', START);
    expect(missed(day, pass(day, START, HOUR))).to.deep.equal([]);
  });

  it('forgets after 24 hours, keeps at most a day, and judges nothing when nothing was seen', () => {
    const day = healthy();
    noteMetric(day, gauge('rest_429_rate', 1), 'execution', START);
    let at = pass(day, START, SLOT_MS);
    noteMetric(day, gauge('rest_429_rate', 0), 'execution', at);
    at = pass(day, at, 23 * HOUR);
    expect(missed(day, at)).to.deep.equal(['rest_429_rate']);
    at = pass(day, at, 2 * HOUR);
    expect(missed(day, at)).to.deep.equal([]);
    expect(day.slots).to.have.length(288);
    expect(judgeObjectives(day.slots, at + 30 * HOUR)).to.deep.equal([]);
  });

  describe('beside the ledger', () => {
    let folder: string;
    beforeEach(() => {
      folder = botFolder();
    });
    afterEach(() => removeFolder(folder));
    const verdicts = (nowMs: number): readonly string[] =>
      objectiveChecks({ stateDbPath: databaseIn(folder) }, nowMs).map(
        ({ name, verdict }) => `${name}: ${verdict}`,
      );

    it('is what doctor shows, a missed objective as a warning', () => {
      const day = healthy();
      noteMetric(day, gauge('rest_429_rate', 2), 'execution', START);
      const end = pass(day, START, HOUR);
      writeObjectives(objectivePath(databaseIn(folder)), day.slots);
      expect(readObjectives(objectivePath(databaseIn(folder)))).to.deep.equal(day.slots);
      expect(verdicts(end))
        .to.include('objective rest_429_rate: warn')
        .and.include('objective ws_reconnect_rate: pass');
    });

    it('is nothing when it cannot be understood', () => {
      expect(verdicts(START)).to.deep.equal(['objectives: pass']);
      for (const text of [
        '',
        '{}',
        '{"slots":7}',
        '{"slots":[{"atMs":"x"},{"atMs":1,"tallies":{"a":{"count":"1"}}}]}',
      ]) {
        writeFileSync(objectivePath(databaseIn(folder)), text);
        expect(verdicts(START), text).to.deep.equal(['objectives: pass']);
      }
    });
  });
});
