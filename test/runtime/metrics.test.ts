import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { METRICS } from '#src/runtime/metric-catalog.js';
import { type Meters, openMeters } from '#src/runtime/metrics.js';
import type { Settings } from '#src/runtime/settings.js';
import { freePort } from '../support/free-port.js';

const SETTINGS: Settings['observability'] = {
  enabled: true,
  exporter: 'prometheus',
  otlpEndpoint: null,
  prometheusPort: 0,
  prometheusHost: '127.0.0.1',
};

describe('the meters', () => {
  let meters: Meters | null = null;
  afterEach(async () => {
    await meters?.close(500);
    meters = null;
  });
  const prometheus = async (): Promise<() => Promise<string>> => {
    const port = await freePort();
    meters = await openMeters({ ...SETTINGS, prometheusPort: port });
    return async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  };
  const gauge = (name: string, value: number, labels?: Record<string, string>, from?: string): void =>
    meters?.observe(
      { type: 'metric', kind: 'gauge', name, value, ...(labels === undefined ? {} : { labels }) },
      from,
    );

  it('show the eight names of the contract literally, as gauges, without a unit or a suffix', async () => {
    const scrape = await prometheus();
    gauge('circuit_breaker_state', 3, { cause: 'operator' });
    const text = await scrape();
    for (const name of [
      'ws_reconnect_rate',
      'rest_429_rate',
      'rest_retry_rate',
      'stale_market_data_rate',
      'reconcile_lag_ms',
      'order_submit_latency_ms',
      'cancel_latency_ms',
    ]) {
      expect(text).to.match(new RegExp(`^${name} 0$`, 'm'));
      expect(text).to.match(new RegExp(`^# TYPE ${name} gauge$`, 'm'));
    }
    expect(text).to.match(/^circuit_breaker_state\{cause="operator"\} 3$/m);
    expect(text).to.not.match(/milliseconds|otel_scope|target_info/);
  });

  it('show the newest value of a gauge, the sum of a counter, the buckets of a histogram', async () => {
    const scrape = await prometheus();
    gauge('reconcile_lag_ms', 10);
    gauge('reconcile_lag_ms', 250.5);
    for (const value of [1, 2])
      meters?.observe({
        type: 'metric',
        kind: 'counter',
        name: 'btcbot_worker_restarts_total',
        value,
        labels: { actor: 'strategy' },
      });
    for (const value of [3, 30, 300])
      meters?.observe({ type: 'metric', kind: 'histogram', name: 'btcbot_order_submit_latency_ms', value });
    const text = await scrape();
    expect(text).to.match(/^reconcile_lag_ms 250\.5$/m);
    expect(text).to.match(/^btcbot_worker_restarts_total\{actor="strategy"\} 3$/m);
    expect(text).to.match(/^btcbot_order_submit_latency_ms_bucket\{le="50"\} 2$/m);
    expect(text).to.match(/^btcbot_order_submit_latency_ms_count 3$/m);
  });

  it('add up what several actors each know a part of', async () => {
    const scrape = await prometheus();
    gauge('rest_429_rate', 2, undefined, 'execution');
    gauge('rest_429_rate', 5, undefined, 'reconciliation');
    gauge('rest_429_rate', 1, undefined, 'execution');
    expect(await scrape()).to.match(/^rest_429_rate 6$/m);
  });

  it('keep at most 500 series, and no value that is no number', async () => {
    const scrape = await prometheus();
    for (let order = 0; order < 2_000; order++) gauge('btcbot_mistake', 1, { order: String(order) });
    gauge('reconcile_lag_ms', Number.NaN);
    const series = (await scrape()).split('\n').filter(line => line !== '' && !line.startsWith('#'));
    expect(series.length).to.be.at.most(500);
    expect(meters?.dropped).to.be.greaterThan(1_400);
    expect(series).to.include('reconcile_lag_ms 0');
  });

  it('refuse an address that is taken', async () => {
    const port = await freePort();
    const taken = createServer().listen(port, '127.0.0.1');
    try {
      await new Promise(resolve => taken.once('listening', resolve));
      const error = await openMeters({ ...SETTINGS, prometheusPort: port }).then(
        () => null,
        (reason: Error) => reason,
      );
      expect(error?.message).to.contain('EADDRINUSE');
    } finally {
      taken.close();
    }
  });

  it('push to a collector, and end although it hangs', async () => {
    const requests: IncomingMessage[] = [];
    const collector = createServer(request => {
      requests.push(request);
      request.resume();
    }).listen(0, '127.0.0.1');
    await new Promise(resolve => collector.once('listening', resolve));
    const { port } = collector.address() as AddressInfo;
    try {
      meters = await openMeters({
        ...SETTINGS,
        exporter: 'otlp',
        otlpEndpoint: `http://127.0.0.1:${port}/v1/metrics`,
      });
      gauge('reconcile_lag_ms', 5);
      await meters.close(300);
      meters = null;
      expect(requests.map(request => `${request.method} ${request.url}`)).to.include('POST /v1/metrics');
    } finally {
      collector.closeAllConnections();
      collector.close();
    }
  });

  it('measure nothing and listen nowhere when they are off', async () => {
    const off = await openMeters({ ...SETTINGS, enabled: false });
    off.observe({ type: 'metric', kind: 'gauge', name: 'x', value: 1 });
    await off.close(0);
    const none = await openMeters({ ...SETTINGS, exporter: 'none' });
    await none.close(0);
  });
});

describe('the catalog of metrics', () => {
  it('has every metric the program names', () => {
    const files = ['src', 'workers'].flatMap(folder =>
      (readdirSync(folder, { recursive: true }) as string[])
        .filter(path => path.endsWith('.ts') && !path.endsWith('metric-catalog.ts'))
        .map(path => readFileSync(`${folder}/${path}`, 'utf8')),
    );
    const named = new Set(files.flatMap(text => text.match(/(?<=')btcbot_[a-z_]+(?=')/g) ?? []));
    expect(named.size).to.be.greaterThan(10);
    expect([...named].filter(name => METRICS[name] === undefined)).to.deep.equal([]);
  });
});
