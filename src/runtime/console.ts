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

/** What has happened in this run so far. */
export interface RunCounts {
  startedAtMs: number;
  mode: string;
  state: string;
  orders: number;
  filled: number;
  canceled: number;
  denied: number;
  fills: number;
  holds: number;
  /** As reconciliation last counted them; null before. */
  openOrders: number | null;
  /** Net profit as last valued, for people, with its currency; null before. */
  profit: string | null;
}

export const newCounts = (nowMs: number): RunCounts => ({
  startedAtMs: nowMs,
  mode: '',
  state: 'starting',
  orders: 0,
  filled: 0,
  canceled: 0,
  denied: 0,
  fills: 0,
  holds: 0,
  openOrders: null,
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
    case 'order-intended':
      counts.orders += 1;
      return;
    case 'order-filled':
      counts.filled += 1;
      return;
    case 'order-canceled':
      counts.canceled += 1;
      return;
    case 'intent-denied':
      counts.denied += 1;
      return;
    case 'run-summary':
      if (typeof fields.profit === 'string') counts.profit = cleanText(fields.profit, 60);
      return;
    case 'run-figures':
      if (typeof fields.profitTry === 'string') counts.profit = `${roundedText(fields.profitTry)} TRY`;
      if (typeof fields.openOrders === 'number') counts.openOrders = fields.openOrders;
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

/** What is worth a line of its own at a terminal; the rest is counted, or told by a louder level. */
const TOLD: ReadonlySet<string> = new Set([
  'banner',
  'trading-state-changed',
  'fill-booked',
  'hold-placed',
  'hold-relapsed',
  'hold-on-trial',
  'hold-released',
  'hold-restored',
  'recovered',
  'worker-crashed',
  'work-finished',
  'stopping',
  'cancel-all-ordered',
  'foreign-order-ended',
  'cash-movement-booked',
]);

/** Whether a line is shown at a terminal: with LOG_LEVEL below info everything is. */
export const isTold = (line: LogLine, least: LogLevel): boolean =>
  isAtLeast(line.level, least) &&
  (line.level !== 'info' || TOLD.has(line.event) || !isAtLeast(least, 'info'));

const words = (fields: Readonly<Record<string, unknown>>): string =>
  Object.entries(cleanFacts(fields) as Readonly<Record<string, unknown>>)
    .filter(([key]) => key !== 'id')
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');

const list = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.map(item => cleanText(String(item))) : [];

const shown = (value: unknown): string => cleanText(String(cleanFacts(value ?? '-')), 300);

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
    case 'fill-booked':
      return `${head} fill ${shown(fields.side)} ${shown(fields.quantity)} ${shown(fields.symbol)} at ${shown(fields.price)}, fee ${shown(fields.fee)} + tax ${shown(fields.tax)} ${shown(fields.feeAsset)}`;
    case 'hold-placed':
    case 'hold-relapsed':
    case 'hold-on-trial':
    case 'hold-released':
    case 'hold-restored':
      return `${head} ${line.event.replace('-', ' ')}: ${shown(fields.key)} (${shown(fields.detail)})`;
    default:
      return `${head} ${line.actor}: ${cleanText(line.event)} ${words(fields)}`.trimEnd();
  }
};

const countWords = (counts: RunCounts): readonly string[] => [
  `orders ${counts.orders} (open ${counts.openOrders ?? '-'}, filled ${counts.filled}, canceled ${counts.canceled}, denied ${counts.denied})`,
  `fills ${counts.fills}`,
  `profit ${counts.profit ?? '-'}`,
];

/** Decimal text cut to two decimals; the exact figure is in `btcbot pnl`. */
const roundedText = (text: string): string => /^-?\d+(\.\d{1,2})?/.exec(text)?.[0] ?? text;

/** The line that is rewritten at the bottom. */
export const summaryLine = (counts: RunCounts, nowMs: number, width: number): string => {
  const text = [
    `${counts.mode} ${counts.state}`,
    durationText(nowMs - counts.startedAtMs),
    ...countWords(counts),
  ].join(' · ');
  return text.length > width ? text.slice(0, width) : text;
};

/** The last words of a run. */
export const closingSummary = (counts: RunCounts, nowMs: number): string =>
  [
    `btcbot ended after ${durationText(nowMs - counts.startedAtMs)} · ${counts.mode}`,
    `  ${countWords(counts).join(' · ')} · holds placed ${counts.holds}`,
  ].join('\n');
