/** Owns stdout, the meters and their exporters. It never makes anybody wait: what cannot be written is dropped and counted. */
import { pino } from 'pino';
import type { ToTelemetry } from '#src/messages/telemetry.js';
import { ActorStartError, hostActor } from '#src/runtime/actor-host.js';
import { cleanFacts, cleanText, MAX_LINE_CHARS } from '#src/runtime/clean-text.js';
import {
  closingSummary,
  countLine,
  isAtLeast,
  newCounts,
  renderLine,
  summaryLine,
} from '#src/runtime/console.js';
import { type Meters, openMeters } from '#src/runtime/metrics.js';
import { openStdout } from '#src/runtime/stdout-sink.js';

const FLUSH_MS = 500;
const SUMMARY_EVERY_MS = 500;
const ERASE_LINE = '\r\u001b[2K';

hostActor('telemetry', context => {
  const { settings, terminal } = context.boot;
  const sink = openStdout();
  const counts = newCounts(Date.now());
  let meters: Meters | null = null;
  let summaryShown = false;
  let summaryAtMs = 0;
  let droppedReported = 0;

  const logger = pino(
    {
      base: null,
      timestamp: false,
      level: 'trace',
      messageKey: 'event',
      formatters: { level: label => ({ level: label }) },
    },
    { write: (line: string) => sink.write(line) },
  );

  const writeJson = (line: Extract<ToTelemetry, { readonly type: 'log' }>): void => {
    const fields = cleanFacts(line.fields) as Record<string, unknown>;
    const entry = { time: new Date(line.atMs).toISOString(), actor: line.actor, ...fields };
    const tooLong = JSON.stringify(entry).length > MAX_LINE_CHARS;
    logger[line.level](
      tooLong ? { time: entry.time, actor: line.actor, tooLong: Object.keys(fields).slice(0, 20) } : entry,
      cleanText(line.event, 100),
    );
  };

  const writeText = (text: string): void => {
    sink.write(`${summaryShown ? ERASE_LINE : ''}${text}\n`);
    summaryShown = false;
    summaryAtMs = 0;
  };

  const showSummary = (nowMs: number): void => {
    if (nowMs - summaryAtMs < SUMMARY_EVERY_MS) return;
    summaryAtMs = nowMs;
    sink.write(`${ERASE_LINE}${summaryLine(counts, nowMs, (sink.columns ?? 100) - 1)}`);
    summaryShown = true;
  };

  const take = (message: ToTelemetry): void => {
    if (message.type === 'metric') {
      if (message.name === 'btcbot_open_orders') counts.openOrders = message.value;
      meters?.observe(message);
      return;
    }
    countLine(counts, message);
    if (!isAtLeast(message.level, settings.logLevel)) return;
    if (terminal) writeText(renderLine(message));
    else writeJson(message);
  };

  return {
    async start() {
      try {
        meters = await openMeters(settings.observability);
      } catch (error) {
        const { prometheusHost, prometheusPort } = settings.observability;
        throw new ActorStartError(
          `/metrics cannot be served on ${prometheusHost}:${prometheusPort}: ${(error as Error).message}; ` +
            'choose another OBSERVABILITY_PROMETHEUS_PORT or OBSERVABILITY_PROMETHEUS_HOST',
          2,
        );
      }
      return {};
    },
    onMessage(_from, message) {
      take(message as ToTelemetry);
    },
    onTick() {
      const nowMs = Date.now();
      if (terminal) showSummary(nowMs);
      if (sink.dropped === droppedReported) return;
      droppedReported = sink.dropped;
      meters?.observe({
        type: 'metric',
        kind: 'gauge',
        name: 'btcbot_log_lines_dropped',
        value: sink.dropped,
      });
    },
    async drain() {
      const nowMs = Date.now();
      if (terminal) writeText(closingSummary(counts, nowMs));
      else
        writeJson({
          type: 'log',
          actor: 'telemetry',
          atMs: nowMs,
          level: 'info',
          event: 'closing-summary',
          fields: { ...counts, durationMs: nowMs - counts.startedAtMs, linesDropped: sink.dropped },
        });
      await Promise.all([sink.flush(FLUSH_MS), meters?.close(FLUSH_MS)]);
    },
    snapshot: () => ({ ...counts, linesDropped: sink.dropped, observationsDropped: meters?.dropped ?? 0 }),
  };
});
