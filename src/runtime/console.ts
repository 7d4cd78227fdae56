/**
 * What a person at a terminal sees: the banner, what happens to orders, holds and fills, and one summary line at the
 * bottom that is rewritten. Pure: it turns log lines into text.
 */
import type { LogLevel } from '../domain/step.js';
import type { LogLine } from '../messages/telemetry.js';
import { cleanFacts, cleanText } from './clean-text.js';

const LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];
export const isAtLeast = (level: LogLevel, least: LogLevel): boolean =>
  LEVELS.indexOf(level) >= LEVELS.indexOf(least);

export interface RunCounts {
  startedAtMs: number;
  mode: string;
  state: string;
  fills: number;
  holds: number;
  openOrders: number;
  /** Net profit as the account last reported it, with its asset; null before. */
  profit: string | null;
}

export const newCounts = (nowMs: number): RunCounts => ({
  startedAtMs: nowMs,
  mode: '',
  state: 'starting',
  fills: 0,
  holds: 0,
  openOrders: 0,
  profit: null,
});

/** Takes in what a log line says about the run. */
export const countLine = (counts: RunCounts, line: LogLine): void => {
  const { fields } = line;
  switch (line.event) {
    case 'banner':
      counts.mode = String(fields.mode ?? '');
      counts.state = String(fields.state ?? '');
      return;
    case 'trading-state-changed':
      counts.state = String(fields.to ?? '');
      return;
    case 'fill-booked':
      counts.fills += 1;
      return;
    case 'hold-placed':
      counts.holds += 1;
      return;
    case 'run-summary':
      if (fields.profit !== undefined) counts.profit = String(cleanFacts(fields.profit));
      return;
  }
};

const clockOf = (ms: number): string => new Date(ms).toISOString().slice(11, 19);

/** `12m 05s` */
export const durationText = (ms: number): string => {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const minutes = Math.floor(seconds / 60);
  return minutes === 0 ? `${seconds}s` : `${minutes}m ${String(seconds % 60).padStart(2, '0')}s`;
};

const MARKS: Readonly<Record<LogLevel, string>> = {
  trace: ' ',
  debug: ' ',
  info: ' ',
  warn: '!',
  error: '✗',
  fatal: '✗',
};

const words = (fields: Readonly<Record<string, unknown>>): string =>
  Object.entries(cleanFacts(fields) as Readonly<Record<string, unknown>>)
    .filter(([key]) => key !== 'id')
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');

const list = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.map(item => cleanText(String(item))) : [];

/** The text of one event, without a line end; it may have several lines. */
export const renderLine = (line: LogLine): string => {
  const { fields } = line;
  const head = `${clockOf(line.atMs)} ${MARKS[line.level]}`;
  switch (line.event) {
    case 'banner':
      return [
        `btcbot · ${cleanText(String(fields.mode))} · ${list(fields.symbols).join(', ')} · state ${cleanText(String(fields.state))}`,
        ...list(fields.reasons).map(reason => `  - ${reason}`),
        `  - a stop ${fields.shutdownOpenOrders === 'cancel' ? 'cancels' : 'leaves'} resting orders`,
      ].join('\n');
    case 'trading-state-changed':
      return [
        `${head} state ${cleanText(String(fields.from))} → ${cleanText(String(fields.to))}`,
        ...list(fields.reasons).map(reason => `  - ${reason}`),
      ].join('\n');
    default:
      return `${head} ${line.actor}: ${cleanText(line.event)} ${words(fields)}`.trimEnd();
  }
};

/** The line that is rewritten at the bottom. */
export const summaryLine = (counts: RunCounts, nowMs: number, width: number): string => {
  const text = [
    `${counts.mode} ${counts.state}`,
    `up ${durationText(nowMs - counts.startedAtMs)}`,
    `fills ${counts.fills}`,
    `open orders ${counts.openOrders}`,
    ...(counts.profit === null ? [] : [`profit ${counts.profit}`]),
  ].join(' · ');
  return text.length > width ? text.slice(0, width) : text;
};

/** The last words of a run. */
export const closingSummary = (counts: RunCounts, nowMs: number): string =>
  [
    `btcbot ended after ${durationText(nowMs - counts.startedAtMs)}, last state ${counts.state}`,
    `  fills ${counts.fills}, holds placed ${counts.holds}${counts.profit === null ? '' : `, profit ${counts.profit}`}`,
  ].join('\n');
