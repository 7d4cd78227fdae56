/** Which events somebody is told of at once, and in which words. Pure: log lines in, alerts out. */
import { CAUSES } from '../domain/breaker.js';
import { HOLD_CAUSES } from '../domain/safety.js';
import type { LogLine } from '../messages/telemetry.js';
import { cleanText } from './clean-text.js';

export type AlertSeverity = 'info' | 'warn' | 'critical';

interface AlertSpec {
  readonly severity: AlertSeverity;
  /** Completes "sent when". */
  readonly when: string;
}

export const ALERTS = {
  started: { severity: 'info', when: 'the process has started, with mode, state and reasons' },
  stopping: { severity: 'info', when: 'the process was told to stop, or ends by itself' },
  armed: { severity: 'info', when: 'new orders may be sent from now on, to the venue of the mode' },
  disarmed: { severity: 'warn', when: 'new orders may not be sent any more, with the reasons' },
  'breaker-opened': {
    severity: 'critical',
    when: 'a cause has tripped or relapsed, with what the bot does about it and who ends it',
  },
  'hold-placed': { severity: 'warn', when: 'an operator, or an earlier run, holds trading' },
  'hold-released': { severity: 'info', when: 'a hold has ended, with who ended it' },
  'kill-result': {
    severity: 'warn',
    when: 'safe mode was ordered and has taken effect, with what still rests on the exchange',
  },
  'cancel-all': { severity: 'warn', when: 'an operator has ordered every own order canceled' },
  'key-rotation': { severity: 'warn', when: 'the account’s key was rotated, or a new one was refused' },
  'unknown-order': { severity: 'critical', when: 'an order’s outcome is not known' },
  'venue-closed': {
    severity: 'warn',
    when: 'the exchange refuses orders for maintenance, in its words, and once when it takes them again',
  },
  'foreign-order': { severity: 'critical', when: 'an order or a fill on the account is not ours' },
  residual: {
    severity: 'critical',
    when: 'ledger and exchange differ, for longer than a delay explains; the same again every ten minutes',
  },
  'worker-restarted': { severity: 'warn', when: 'a worker has crashed, with the error, and when it is back' },
  'worker-given-up': { severity: 'critical', when: 'a worker stays down' },
  'orders-left': {
    severity: 'warn',
    when: 'a stop was to cancel what rests and could not, with the orders and what to do',
  },
  'strategy-stopped': {
    severity: 'warn',
    when: 'a strategy is not called any more for what it did, with the reason; the others trade on',
  },
  'control-socket-failed': {
    severity: 'warn',
    when: 'no command reaches the bot, which runs: only signals do (SIGTERM, SIGUSR2)',
  },
  'lease-lost': {
    severity: 'critical',
    when: 'the supervisor stands still: nothing is written, and no command heard, until it moves again',
  },
  'ledger-trouble': { severity: 'critical', when: 'a commit failed, or a record contradicts the ledger' },
} as const satisfies Readonly<Record<string, AlertSpec>>;

export type AlertKind = keyof typeof ALERTS;

export interface Alert {
  readonly kind: AlertKind;
  readonly severity: AlertSeverity;
  readonly atMs: number;
  /** One line for people. */
  readonly text: string;
}

/** What has to be remembered between lines. */
export interface AlertMemory {
  mode: string;
  /** The trading state as it was last told; empty while it is not known. */
  state: string;
  /** Null while it is not known: a telemetry that was restarted has not heard of it. */
  maySubmit: boolean | null;
  openOrders: number | null;
  /** Safe mode was ordered; its result is told with the next change of state. */
  killOrdered: boolean;
  /** When each difference was last told, Unix ms: every pass finds it again until somebody has looked. */
  readonly residualsToldAtMs: Map<string, number>;
}

/** @param running the mode of a bot that is running already; absent at its start, which tells of itself */
export const newAlertMemory = (running?: string): AlertMemory => ({
  mode: running ?? '',
  state: '',
  maySubmit: running === undefined ? false : null,
  openOrders: null,
  killOrdered: false,
  residualsToldAtMs: new Map(),
});

const REMIND_MS = 600_000;
/** Amounts that move make differences that were not told yet; what is forgotten is told once more. */
const MAX_RESIDUALS = 100;

const MAX_ALERT_CHARS = 600;
const shown = (value: unknown, limit = 200): string =>
  cleanText(value === null || value === undefined ? '-' : String(value), limit);
const list = (value: unknown): string =>
  Array.isArray(value) && value.length > 0
    ? value
        .slice(0, 5)
        .map(item => shown(item))
        .join('; ')
    : 'none';

const resting = (memory: AlertMemory): string =>
  memory.openOrders === null
    ? 'how many own orders rest is not known yet'
    : `${memory.openOrders} own order(s) still rest on the exchange`;

/** The alerts of one log line; mostly none. `memory` is changed. */
export const alertsOf = (memory: AlertMemory, line: LogLine): readonly Alert[] => {
  const { fields } = line;
  const alerts: Alert[] = [];
  const say = (kind: AlertKind, text: string): void => {
    alerts.push({
      kind,
      severity: ALERTS[kind].severity,
      atMs: line.atMs,
      text: cleanText(text, MAX_ALERT_CHARS),
    });
  };
  const sayKilled = (): void =>
    say('kill-result', `safe mode is in force: nothing is written any more; ${resting(memory)}`);
  const order = (): string =>
    `${shown(fields.side)} ${shown(fields.quantity)} ${shown(fields.symbol)} at ${shown(fields.price)} (${shown(fields.clientOrderId)})`;
  switch (line.event) {
    case 'banner':
      memory.mode = shown(fields.mode, 20);
      memory.state = shown(fields.state, 20);
      say('started', `btcbot has started: ${memory.mode}, ${shown(fields.state)}; ${list(fields.reasons)}`);
      break;
    case 'stopping':
      say('stopping', `btcbot stops: ${shown(fields.reason)}; exit code ${shown(fields.exitCode)}`);
      break;
    case 'run-figures':
      memory.openOrders = typeof fields.openOrders === 'number' ? fields.openOrders : null;
      break;
    case 'trading-state-changed': {
      const may = fields.maySubmit === true;
      if (may !== memory.maySubmit)
        say(
          may ? 'armed' : 'disarmed',
          may
            ? `${memory.mode}: new orders may be sent`
            : `${memory.mode}: no new orders any more, state ${shown(fields.to)}: ${list(fields.reasons)}`,
        );
      memory.maySubmit = may;
      memory.state = shown(fields.to, 20);
      if (memory.killOrdered && memory.state === 'observe-only') sayKilled();
      memory.killOrdered = false;
      break;
    }
    case 'hold-restored':
      say('hold-placed', `hold ${shown(fields.key)} of an earlier run stands: ${shown(fields.detail)}`);
      break;
    case 'hold-placed':
    case 'hold-relapsed': {
      const cause = HOLD_CAUSES.find(name => name === fields.cause);
      if (cause === undefined || cause === 'starting') break;
      if (cause === 'operator') {
        say('hold-placed', `hold ${shown(fields.key)}: ${shown(fields.detail)}`);
        // Where nothing was written before, no change of state follows.
        if (memory.state === 'observe-only') sayKilled();
        else memory.killOrdered = true;
        break;
      }
      const rule = CAUSES[cause];
      say(
        'breaker-opened',
        `${shown(fields.key)}: ${shown(fields.detail)}. The bot: ${rule.action}. Ends by: ${rule.releasedBy}`,
      );
      break;
    }
    case 'hold-released':
      if (fields.cause === 'invariant') memory.residualsToldAtMs.clear();
      if (fields.cause !== 'starting')
        say('hold-released', `hold ${shown(fields.key)} is released by ${shown(fields.by)}`);
      break;
    case 'cancel-all-ordered':
      say('cancel-all', `cancel-all is ordered: ${shown(fields.reason)}; ${resting(memory)}`);
      break;
    case 'key-rotated':
      say('key-rotation', `a new key is in use, proven by ${shown(fields.provenBy)}; revoke the old one`);
      break;
    case 'key-rotation-refused':
      say('key-rotation', `a new key was refused, the old one stays in use: ${shown(fields.reason)}`);
      break;
    case 'order-unknown':
      say('unknown-order', `the outcome of ${order()} is not known: it counts at its worst case`);
      break;
    case 'venue-closed':
      say(
        'venue-closed',
        `the exchange has closed ${shown(fields.what)}: ${shown(fields.words)}. No new orders there; one is tried every ${shown(fields.againInS)} s, until it takes one`,
      );
      break;
    case 'venue-open':
      say(
        'venue-closed',
        `the exchange takes orders again on ${shown(fields.what)}, after ${shown(fields.closedForS)} s`,
      );
      break;
    case 'foreign-order-seen':
      say(
        'foreign-order',
        `order ${shown(fields.venueOrderId)} on ${shown(fields.symbol)} is not ours: it is never touched`,
      );
      break;
    case 'foreign-fill':
      say('foreign-order', `a fill on ${shown(fields.symbol)} (trade ${shown(fields.tradeId)}) is not ours`);
      break;
    case 'discrepancy': {
      const text = `ledger and exchange differ: ${shown(fields.discrepancy, 400)}`;
      const told = memory.residualsToldAtMs;
      if (line.atMs - (told.get(text) ?? Number.NEGATIVE_INFINITY) < REMIND_MS) break;
      if (told.size >= MAX_RESIDUALS) told.clear();
      told.set(text, line.atMs);
      say('residual', text);
      break;
    }
    case 'worker-crashed':
      say(
        'worker-restarted',
        `${shown(fields.worker)} has crashed (code ${shown(fields.code)}): ${shown(fields.error)}`,
      );
      break;
    case 'worker-ready':
      if (typeof fields.incarnation === 'number' && fields.incarnation > 1)
        say('worker-restarted', `${shown(fields.worker)} is back, start ${fields.incarnation}`);
      break;
    case 'worker-given-up':
      say('worker-given-up', `${shown(fields.worker)} stays down: ${shown(fields.why)}`);
      break;
    case 'resting-orders-left':
      say(
        'orders-left',
        `${shown(fields.orders ?? 'some')} own order(s) rest although SHUTDOWN_OPEN_ORDERS is cancel: ${shown(fields.why)}; ${shown(fields.remedy)}; ${list(fields.first)}`,
      );
      break;
    case 'strategy-stopped':
      say('strategy-stopped', `strategy ${shown(fields.strategy)} is stopped: ${shown(fields.reason, 400)}`);
      break;
    case 'control-socket-failed':
      say(
        'control-socket-failed',
        `no btcbot command reaches the bot: ${shown(fields.reason)}; kill -USR2 holds its writes, and a restart tries again`,
      );
      break;
    case 'lease-lost':
      say(
        'lease-lost',
        'the supervisor does not renew the write lease: nothing is written, and no btcbot command heard, until it does',
      );
      break;
    case 'ledger-commit-failed':
    case 'ledger-record-contradicted':
    case 'ledger-records-given-up':
      say('ledger-trouble', `${line.event}: ${shown(fields.reason ?? fields.error ?? '', 300)}`);
      break;
  }
  return alerts;
};
