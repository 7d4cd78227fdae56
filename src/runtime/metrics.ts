/**
 * The meters: observations from every actor are folded into OpenTelemetry instruments and leave through the exporter
 * the settings name. A dead or hanging collector changes nothing else. The packages take half a second to load, so
 * they are loaded only when something is to be exported.
 */
import type { Attributes, Counter, Gauge, Histogram, Meter } from '@opentelemetry/api';
import type { IMetricReader } from '@opentelemetry/sdk-metrics';
import type { MetricEffect } from '../domain/step.js';
import { DEFAULT_BUCKETS, METRICS } from './metric-catalog.js';
import type { Settings } from './settings.js';

/** Different name and label sets kept; more are a mistake in somebody's labels, and are dropped. */
const MAX_SERIES = 500;
const OTLP_INTERVAL_MS = 2_000;
const OTLP_TIMEOUT_MS = 1_500;

export interface Meters {
  /** Folds an observation in; `from` is who made it. */
  observe(metric: MetricEffect, from?: string): void;
  /** Observations that were dropped for being one series too many or of the wrong kind. */
  readonly dropped: number;
  /** Last push, then the end. Never longer than `withinMs`. */
  close(withinMs: number): Promise<void>;
}

type Instrument =
  | { readonly kind: 'gauge'; readonly gauge: Gauge }
  | { readonly kind: 'counter'; readonly counter: Counter }
  | { readonly kind: 'histogram'; readonly histogram: Histogram };

const silent: Meters = { observe: () => {}, dropped: 0, close: () => Promise.resolve() };

/** The reader the settings ask for. @throws when /metrics cannot be bound. */
const openReader = async (settings: Settings['observability']): Promise<IMetricReader | null> => {
  switch (settings.exporter) {
    case 'none':
      return null;
    case 'otlp': {
      const { PeriodicExportingMetricReader } = await import('@opentelemetry/sdk-metrics');
      const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-http');
      return new PeriodicExportingMetricReader({
        exporter: new OTLPMetricExporter({
          ...(settings.otlpEndpoint === null ? {} : { url: settings.otlpEndpoint }),
          timeoutMillis: OTLP_TIMEOUT_MS,
          concurrencyLimit: 1,
        }),
        exportIntervalMillis: OTLP_INTERVAL_MS,
        exportTimeoutMillis: OTLP_TIMEOUT_MS,
      });
    }
    case 'prometheus': {
      const { PrometheusExporter } = await import('@opentelemetry/exporter-prometheus');
      const exporter = new PrometheusExporter({
        host: settings.prometheusHost,
        port: settings.prometheusPort,
        preventServerStart: true,
        withoutScopeInfo: true,
        withoutTargetInfo: true,
      });
      await exporter.startServer();
      return exporter;
    }
  }
};

const createInstrument = (meter: Meter, metric: MetricEffect): Instrument => {
  const spec = METRICS[metric.name];
  // No unit: an exporter may append it to the name, and the names are a contract.
  const options = spec === undefined ? {} : { description: spec.about };
  switch (metric.kind) {
    case 'gauge':
      return { kind: 'gauge', gauge: meter.createGauge(metric.name, options) };
    case 'counter':
      return { kind: 'counter', counter: meter.createCounter(metric.name, options) };
    case 'histogram':
      return {
        kind: 'histogram',
        histogram: meter.createHistogram(metric.name, {
          ...options,
          advice: { explicitBucketBoundaries: [...(spec?.buckets ?? DEFAULT_BUCKETS)] },
        }),
      };
  }
};

const record = (instrument: Instrument, value: number, labels: Attributes): void => {
  switch (instrument.kind) {
    case 'gauge':
      instrument.gauge.record(value, labels);
      return;
    case 'counter':
      instrument.counter.add(value, labels);
      return;
    case 'histogram':
      instrument.histogram.record(value, labels);
      return;
  }
};

/**
 * Opens the meters. With observability off nothing is measured and nothing listens.
 * @throws when the settings ask for an address that cannot be bound.
 */
export const openMeters = async (settings: Settings['observability']): Promise<Meters> => {
  const reader = settings.enabled ? await openReader(settings) : null;
  if (reader === null) return silent;
  const { AggregationType, MeterProvider } = await import('@opentelemetry/sdk-metrics');
  const { resourceFromAttributes } = await import('@opentelemetry/resources');
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ 'service.name': 'btcbot' }),
    readers: [reader],
    views: [
      {
        instrumentName: '*',
        aggregation: { type: AggregationType.DEFAULT },
        aggregationCardinalityLimit: MAX_SERIES,
      },
    ],
  });
  const meter = provider.getMeter('btcbot');
  const instruments = new Map<string, Instrument>();
  const series = new Set<string>();
  /** Per metric that adds up, the newest value of each actor. */
  const parts = new Map<string, Map<string, number>>();
  let dropped = 0;

  const wholeOf = (metric: MetricEffect, from: string): number => {
    if (METRICS[metric.name]?.addUp !== true) return metric.value;
    const part = parts.get(metric.name) ?? new Map<string, number>();
    parts.set(metric.name, part.set(from, metric.value));
    return [...part.values()].reduce((sum, value) => sum + value, 0);
  };

  const meters: Meters = {
    observe(metric, from = '') {
      const labels = metric.labels ?? {};
      const key = `${metric.name}${JSON.stringify(labels)}`;
      const instrument = instruments.get(metric.name) ?? createInstrument(meter, metric);
      if (
        !Number.isFinite(metric.value) ||
        instrument.kind !== metric.kind ||
        (!series.has(key) && series.size >= MAX_SERIES)
      ) {
        dropped += 1;
        return;
      }
      instruments.set(metric.name, instrument);
      series.add(key);
      record(instrument, wholeOf(metric, from), labels);
    },
    get dropped() {
      return dropped;
    },
    async close(withinMs) {
      let timer: NodeJS.Timeout | undefined;
      const deadline = new Promise<void>(resolve => {
        timer = setTimeout(resolve, withinMs);
      });
      await Promise.race([provider.shutdown({ timeoutMillis: withinMs }).catch(() => {}), deadline]);
      clearTimeout(timer);
    },
  };
  for (const [name, spec] of Object.entries(METRICS))
    if (spec.initially !== undefined && spec.kind !== 'histogram')
      meters.observe({ type: 'metric', kind: spec.kind, name, value: spec.initially });
  return meters;
};
