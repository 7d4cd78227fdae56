/** Owns stdout, the meters and their exporters. It never makes anybody wait: what cannot be written is dropped and counted. */
import { StartRefused } from '#src/messages/control.js';
import type { ToTelemetry } from '#src/messages/telemetry.js';
import { newObjectiveDay, noteMetric, sampleObjectives } from '#src/operations/objective-day.js';
import { objectivePath, readObjectives, writeObjectives } from '#src/operations/objective-file.js';
import { hostActor } from '#src/runtime/actor-host.js';
import { type AlertDelivery, channelsOf, openDelivery } from '#src/runtime/alert-delivery.js';
import { alertsOf, newAlertMemory } from '#src/runtime/alerts.js';
import { wallMs } from '#src/runtime/clock.js';
import {
  closingSummary,
  countLine,
  isAtLeast,
  isTold,
  newCounts,
  renderLine,
  summaryLine,
} from '#src/runtime/console.js';
import { jsonLog } from '#src/runtime/json-log.js';
import { type Meters, openMeters } from '#src/runtime/metrics.js';
import { openStdout } from '#src/runtime/stdout-sink.js';

const FLUSH_MS = 500;
const SUMMARY_EVERY_MS = 500;
/** The figures of the day are written this often, and at the end. */
const KEEP_OBJECTIVES_MS = 60_000;
const ERASE_LINE = '\r\u001b[2K';

hostActor('telemetry', context => {
  const { settings, terminal, incarnation } = context.boot;
  const sink = openStdout();
  const counts = newCounts(wallMs());
  const alertMemory = newAlertMemory(incarnation > 1 ? settings.mode : undefined);
  let meters: Meters | null = null;
  let alerts: AlertDelivery | null = null;
  let summaryShown = false;
  let summaryAtMs = 0;
  let droppedReported = 0;
  const objectives = objectivePath(settings.stateDbPath);
  const day = newObjectiveDay(readObjectives(objectives));
  let objectivesKeptAtMs = wallMs();
  let objectivesRefused = false;

  const writeJson = jsonLog(line => sink.write(line));

  const writeText = (text: string): void => {
    sink.write(`${summaryShown ? ERASE_LINE : ''}${text}\n`);
    summaryShown = false;
    summaryAtMs = 0;
  };

  const showSummary = (nowMs: number): void => {
    if (nowMs - summaryAtMs < SUMMARY_EVERY_MS) return;
    summaryAtMs = nowMs;
    sink.write(`${ERASE_LINE}${summaryLine(counts, nowMs, (sink.columns || 100) - 1)}`);
    summaryShown = true;
  };

  const take = (from: string, message: ToTelemetry): void => {
    if (message.type === 'metric') {
      noteMetric(day, message, from, wallMs());
      meters?.observe(message, from);
      return;
    }
    countLine(counts, message);
    if (alerts !== null) for (const alert of alertsOf(alertMemory, message)) alerts.send(alert);
    if (terminal) {
      if (isTold(message, settings.logLevel)) writeText(renderLine(message));
    } else if (isAtLeast(message.level, settings.logLevel)) writeJson(message);
  };

  const keepObjectives = (nowMs: number): void => {
    objectivesKeptAtMs = nowMs;
    try {
      writeObjectives(objectives, day.slots);
      objectivesRefused = false;
    } catch (error) {
      // Said once: a full disk has alarms of its own.
      if (!objectivesRefused)
        take('telemetry', {
          type: 'log',
          actor: 'telemetry',
          atMs: nowMs,
          level: 'warn',
          event: 'objectives-not-kept',
          fields: { reason: (error as Error).message },
        });
      objectivesRefused = true;
    }
  };

  return {
    async start() {
      try {
        const channels = channelsOf(settings.alerts);
        if (channels.length > 0)
          alerts = openDelivery(channels, (event, fields) =>
            take('telemetry', {
              type: 'log',
              actor: 'telemetry',
              atMs: wallMs(),
              level: 'error',
              event,
              fields,
            }),
          );
      } catch (error) {
        throw new StartRefused(2, `ALERT_TELEGRAM_TOKEN_FILE: ${(error as Error).message}`);
      }
      try {
        meters = await openMeters(settings.observability);
      } catch (error) {
        const { prometheusHost, prometheusPort } = settings.observability;
        throw new StartRefused(
          2,
          `/metrics cannot be served on ${prometheusHost}:${prometheusPort}: ${(error as Error).message}; ` +
            'choose another OBSERVABILITY_PROMETHEUS_PORT or OBSERVABILITY_PROMETHEUS_HOST',
        );
      }
      return {};
    },
    onMessage(from, message) {
      take(from, message as ToTelemetry);
    },
    onTick() {
      const nowMs = wallMs();
      if (terminal) showSummary(nowMs);
      sampleObjectives(day, nowMs);
      if (nowMs - objectivesKeptAtMs >= KEEP_OBJECTIVES_MS) keepObjectives(nowMs);
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
      const nowMs = wallMs();
      keepObjectives(nowMs);
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
      await Promise.all([sink.flush(FLUSH_MS), meters?.close(FLUSH_MS), alerts?.close(FLUSH_MS)]);
    },
    snapshot: () => ({
      ...counts,
      linesDropped: sink.dropped,
      observationsDropped: meters?.dropped ?? 0,
      alerts: { delivered: alerts?.delivered ?? 0, dropped: alerts?.dropped ?? 0 },
    }),
  };
});
