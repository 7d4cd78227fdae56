import { setTimeout as pause } from 'node:timers/promises';
import type { SupervisorStatus } from '../domain/supervisor.js';
import { BOOKS_OPTIONS, BOOKS_USAGE, noPositionals } from './books.js';
import { askBot, socketOf } from './control-client.js';
import { strategiesIn } from './health.js';
import { type Column, json, renderTable, time } from './table.js';
import type { Verb } from './verb.js';

const WATCH_EVERY_MS = 1_000;
const CLEAR_SCREEN = '\u001b[2J\u001b[H';

export const verb: Verb = {
  name: 'status',
  usage: `status [--watch] ${BOOKS_USAGE}`,
  about: `Shows what the running bot may do now and why, its workers, strategies, books, account, orders and positions.

--watch shows it again every second until stopped.
JSON: { phase, mode, state, maySubmit, mayCancel, reasons: [], holds: [{ key, cause, subject, detail, placedAtMs,
circuit, releasedBy }], symbols: [], startedAtMs, readiness, workers: { <actor>: { status, incarnation, restarts, beatAgeMs, late,
facts } } }. Exit code 2 when no bot answers.`,
  options: { ...BOOKS_OPTIONS, watch: { type: 'boolean' } },
  async run({ values, positionals }, io) {
    noPositionals(positionals);
    const path = socketOf(values, io);
    const watch = values.watch === true;
    for (;;) {
      const { status } = await askBot(path, { type: 'status' });
      if (status !== undefined) {
        if (watch && io.terminal) io.out(CLEAR_SCREEN);
        io.out(
          values.json === true ? (watch ? `${JSON.stringify(status)}\n` : json(status)) : statusText(status),
        );
      }
      if (!watch || io.signal.aborted) return 0;
      await pause(WATCH_EVERY_MS, undefined, { signal: io.signal }).catch(() => {});
      if (io.signal.aborted) return 0;
    }
  },
};

type Facts = Readonly<Record<string, unknown>>;
type WorkerRow = SupervisorStatus['workers'][string] & { readonly actor: string };

const text = (value: unknown): string =>
  value === null || value === undefined ? '-' : typeof value === 'string' ? value : JSON.stringify(value);
/** Nobody needs more of a percentage than this; `--json` has all of it. */
const percent = (value: unknown): string =>
  text(typeof value === 'number' ? Number(value.toFixed(4)) : value);
const rows = (value: unknown): readonly Facts[] => (Array.isArray(value) ? (value as readonly Facts[]) : []);
const column = (title: string, key: string, align: 'left' | 'right' = 'right'): Column<Facts> => ({
  title,
  align,
  cell: row => text(row[key]),
});

const WORKER_COLUMNS: readonly Column<WorkerRow>[] = [
  { title: 'worker', cell: row => row.actor },
  { title: 'status', cell: row => (row.late ? `${row.status}, late` : row.status) },
  { title: 'restarts', align: 'right', cell: row => String(row.restarts) },
  { title: 'last beat', align: 'right', cell: row => `${row.beatAgeMs} ms` },
];
const BOOK_COLUMNS = [
  column('symbol', 'symbol', 'left'),
  column('feed', 'state', 'left'),
  column('trusted', 'trusted', 'left'),
  column('version', 'version'),
  column('age ms', 'ageMs'),
  column('why', 'reason', 'left'),
];
const ORDER_COLUMNS = [
  column('symbol', 'symbol', 'left'),
  column('side', 'side', 'left'),
  column('price', 'price'),
  column('quantity', 'quantity'),
  column('filled', 'filled'),
  column('state', 'state', 'left'),
  column('client order id', 'clientOrderId', 'left'),
];
const CLOSED_COLUMNS: readonly Column<Facts>[] = [
  column('closed by the exchange', 'subject', 'left'),
  column('its words', 'words', 'left'),
  { title: 'since', cell: ({ sinceMs }) => (typeof sinceMs === 'number' ? time(sinceMs) : '-') },
  column('state', 'state', 'left'),
];
const STRATEGY_COLUMNS = [
  column('strategy', 'strategy', 'left'),
  column('state', 'state', 'left'),
  column('open orders', 'openOrders'),
  column('faults', 'faults'),
  {
    title: 'why',
    align: 'left',
    // One that warms up says what it waits for.
    cell: ({ reason, warmUp, history }) =>
      text(reason ?? ([warmUp, history].filter(each => each !== undefined).join('; ') || null)),
  } satisfies Column<Facts>,
];
const POSITION_COLUMNS = [
  column('symbol', 'symbol', 'left'),
  column('quantity', 'quantity'),
  column('average price', 'averagePrice'),
  column('realized', 'realized'),
  column('fees', 'fees'),
  column('taxes', 'taxes'),
];

const figure = (title: string, key: string): Column<Facts> => ({
  title,
  align: 'right',
  cell: ({ [key]: value }) => (typeof value === 'number' ? value.toFixed(4) : text(value)),
});
const TWIN_COLUMNS = [
  column('twin on', 'symbol', 'left'),
  column('orders', 'orders'),
  figure('filled live', 'fillRateLive'),
  figure('on paper', 'fillRatePaper'),
  figure('price gap bps', 'priceGapBps'),
  column('profit gap', 'profitGap'),
  column('in', 'quote', 'left'),
];

/** What reconciliation proves the books with, and what it last found. */
const accountText = (facts: Facts): string => {
  const { lagMs, lastCleanAtMs, discrepancies } = (facts.reconciliation ?? {}) as Facts;
  const proven =
    typeof lagMs !== 'number' || typeof lastCleanAtMs !== 'number'
      ? 'not proven equal to the exchange yet'
      : `proven equal to the exchange ${(lagMs / 1_000).toFixed(1)} s ago`;
  const clock = typeof facts.clockOffsetMs === 'number' ? `${Math.round(facts.clockOffsetMs)} ms` : '-';
  return [
    `account: ${text(facts.phase)} · private feed: ${text(facts.privateFeed)} · ${proven} · clock of the exchange minus ours: ${clock}`,
    ...(Array.isArray(discrepancies) ? discrepancies.map(each => `  - ${text(each)}`) : []),
    '',
  ].join('\n');
};

/** The status for people. */
export const statusText = (status: SupervisorStatus): string => {
  const facts = (actor: string): Facts => status.workers[actor]?.facts ?? {};
  const profit = (facts('reconciliation').profit ?? {}) as Facts;
  const sections = [
    [
      `${status.mode} · ${status.state} · ${status.phase}`,
      `may submit: ${status.maySubmit ? 'yes' : 'no'} · may cancel: ${status.mayCancel ? 'yes' : 'no'} · symbols: ${status.symbols.join(', ')} · since ${time(status.startedAtMs)}`,
      ...status.reasons.map(reason => `  - ${reason}`),
      '',
    ].join('\n'),
    renderTable(
      [
        { title: 'hold', cell: row => row.key },
        { title: 'circuit', cell: row => row.circuit },
        { title: 'released by', cell: row => row.releasedBy },
        { title: 'since', cell: row => time(row.placedAtMs) },
        { title: 'why', cell: row => row.detail },
      ] satisfies Column<SupervisorStatus['holds'][number]>[],
      status.holds,
      'no holds',
    ),
    ...(rows(facts('execution').closed).length === 0
      ? []
      : [renderTable(CLOSED_COLUMNS, rows(facts('execution').closed), '')]),
    renderTable(
      WORKER_COLUMNS,
      Object.entries(status.workers).map(([actor, worker]) => ({ actor, ...worker })),
      'no workers',
    ),
    renderTable(STRATEGY_COLUMNS, strategiesIn(status), 'no strategy has reported yet'),
    renderTable(BOOK_COLUMNS, rows(facts('market-data').books), 'no books'),
    accountText(facts('reconciliation')),
    renderTable(ORDER_COLUMNS, rows(facts('execution').openOrders), 'no open orders'),
    renderTable(POSITION_COLUMNS, rows(facts('reconciliation').positions), 'no positions'),
    ...(status.workers.twin === undefined
      ? []
      : [renderTable(TWIN_COLUMNS, rows(facts('twin').symbols), 'the twin has compared nothing yet')]),
    `profit, lira: ${text(profit.totalTry)} in all, ${text(profit.dayTry)} today; drawdown ${percent(profit.drawdownPct)} %\n`,
  ];
  return sections.join('\n');
};
