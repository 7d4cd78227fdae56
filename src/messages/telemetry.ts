/** everyone → telemetry: log lines and observations. In a full mailbox the oldest are dropped and counted. */
import type { ActorName, LogLevel, MetricEffect } from '../domain/step.js';

export interface LogLine {
  readonly type: 'log';
  readonly actor: ActorName;
  readonly atMs: number;
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export type ToTelemetry = LogLine | MetricEffect;
