/** The Grafana dashboard: one panel for each signal with its target, and the figures beside them. */
import { METRICS } from '../runtime/metric-catalog.js';
import { OBJECTIVES } from './slo.js';

interface PanelSpec {
  readonly title: string;
  readonly about: string;
  readonly queries: readonly { readonly expr: string; readonly legend: string }[];
}

const LATENCIES = new Set(['order_submit_latency_ms', 'cancel_latency_ms']);

const signalPanel = (signal: string, target: string): PanelSpec => ({
  title: signal,
  about: `${METRICS[signal]?.about ?? 'Whether the bot answers'}. Target: ${target}.`,
  queries: [
    { expr: signal, legend: signal === 'circuit_breaker_state' ? '{{cause}}' : signal },
    ...(LATENCIES.has(signal)
      ? [
          {
            expr: `histogram_quantile(0.95, sum by (le) (rate(btcbot_${signal}_bucket[15m])))`,
            legend: 'p95, 15 min',
          },
        ]
      : []),
  ],
});

const gauges = (title: string, about: string, names: readonly string[], legend: string): PanelSpec => ({
  title,
  about,
  queries: names.map(name => ({ expr: name, legend: names.length > 1 ? name : legend })),
});

const PANELS: readonly PanelSpec[] = [
  ...OBJECTIVES.map(({ signal, target }) => signalPanel(signal, target)),
  gauges(
    'What may be written',
    'Safe mode, live intended, live',
    ['btcbot_safe_mode', 'btcbot_live_intended', 'btcbot_live'],
    '',
  ),
  gauges('Orders', 'Open and unknown', ['btcbot_open_orders', 'btcbot_unknown_orders'], ''),
  gauges('Residual', 'Assets that ledger and exchange differ in', ['btcbot_reconcile_residual'], 'assets'),
  gauges('Event-loop delay, ms', 'Longest since the last beat', ['btcbot_event_loop_delay_ms'], '{{actor}}'),
  gauges(
    'Channel age, ms',
    'Since the last useful message',
    ['btcbot_channel_age_ms'],
    '{{channel}} {{symbol}}',
  ),
  gauges('Clock offset, ms', 'Exchange minus ours', ['btcbot_clock_offset_ms'], 'offset'),
];

/** The dashboard as Grafana imports it; the data source is asked for at import. */
export const renderDashboard = (): string => {
  const panels = PANELS.map((panel, index) => ({
    id: index + 1,
    type: 'timeseries',
    title: panel.title,
    description: panel.about,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana fills this in at import.
    datasource: { type: 'prometheus', uid: '${DS_PROMETHEUS}' },
    gridPos: { h: 8, w: 8, x: (index % 3) * 8, y: Math.floor(index / 3) * 8 },
    targets: panel.queries.map((query, at) => ({
      refId: String.fromCharCode(65 + at),
      expr: query.expr,
      legendFormat: query.legend,
    })),
  }));
  const dashboard = {
    __inputs: [{ name: 'DS_PROMETHEUS', label: 'Prometheus', type: 'datasource', pluginId: 'prometheus' }],
    uid: 'btcbot',
    title: 'btcbot',
    schemaVersion: 39,
    refresh: '5s',
    time: { from: 'now-1h', to: 'now' },
    panels,
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
};
