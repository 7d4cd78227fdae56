import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { SupervisorStatus } from '../domain/supervisor.js';
import { type LedgerReader, openReader } from '../ledger/reader.js';
import { monoMs, wallMs } from '../runtime/clock.js';
import { BOOKS_OPTIONS, BOOKS_USAGE, countOption, ledgerPath, noPositionals } from './books.js';
import { type CancelAllReport, reportText } from './cancel-report.js';
import { askBot, socketOf, Unreachable } from './control-client.js';
import { cancelDirectly } from './direct-cancel.js';
import { CliRefused } from './refused.js';
import { json } from './table.js';
import type { Verb, VerbIo } from './verb.js';

const LOOK_EVERY_MS = 100;
const WITHIN_SECONDS = 30;

export const verb: Verb = {
  name: 'cancel-all',
  usage: `cancel-all [--within SECONDS] ${BOOKS_USAGE}`,
  about: `Cancels every order of our own, and waits until the exchange shows none: through the running bot, also under
the kill switch; or directly with the configured key when no bot runs on this data. Orders of others are never touched.

In safe mode nothing is written, so it is refused: use KILL_SWITCH=true with SAFE_MODE=false and restart.
JSON: { by, orders, lastCancelMs, verifiedZeroMs, left: [], maySubmit }. Exit codes: 0 none is left, 1 some are, 2 refused.`,
  options: { ...BOOKS_OPTIONS, within: { type: 'string' } },
  async run({ values, positionals }, io) {
    noPositionals(positionals);
    const withinMs = (countOption(values, 'within') ?? WITHIN_SECONDS) * 1_000;
    const report = await cancelAll(values, io, withinMs);
    io.out(values.json === true ? json(report) : reportText(report));
    return report.verifiedZeroMs === null ? 1 : 0;
  },
};

const cancelAll = async (
  values: Readonly<Record<string, unknown>>,
  io: VerbIo,
  withinMs: number,
): Promise<CancelAllReport> => {
  const path = socketOf(values, io);
  try {
    return await throughBot(path, ledgerPath(values, io.env), withinMs);
  } catch (error) {
    // A bot that is there and cannot be heard owns its orders: nothing is said of them in its place.
    if (!(error instanceof Unreachable) || !error.absent) throw error;
    return cancelDirectly(values, io, withinMs, error.message);
  }
};

/** The client order ids that execution holds open, and how many the venue showed reconciliation. */
const openIn = (status: SupervisorStatus): { readonly own: readonly string[]; readonly atVenue: number } => {
  const own = (status.workers.execution?.facts.openOrders ?? []) as readonly {
    readonly clientOrderId: string;
  }[];
  const atVenue = status.workers.reconciliation?.facts.openOrders;
  return {
    own: own.map(({ clientOrderId }) => clientOrderId),
    atVenue: typeof atVenue === 'number' ? atVenue : Number.POSITIVE_INFINITY,
  };
};

const statusOf = async (path: string): Promise<SupervisorStatus> => {
  const { status, message } = await askBot(path, { type: 'status' });
  if (status === undefined) throw new CliRefused(message);
  return status;
};

/**
 * Workers report once a second, so that their word may be from before the order. The ledger has every order before its first
 * byte leaves: those of before the order that it has open are waited for, too.
 */
const throughBot = async (path: string, database: string, withinMs: number): Promise<CancelAllReport> => {
  const before = new Set(openIn(await statusOf(path)).own);
  const orderedAtMs = wallMs();
  const orderedMonoMs = monoMs();
  const answer = await askBot(path, { type: 'cancel-all', reason: 'btcbot cancel-all' });
  if (!answer.ok) throw new CliRefused(answer.message);
  const books = existsSync(database) ? openReader(database) : null;
  try {
    for (;;) {
      const status = await statusOf(path);
      const { own, atVenue } = openIn(status);
      const open = new Set(own);
      for (const id of openBefore(books, orderedAtMs)) {
        before.add(id);
        open.add(id);
      }
      const left = [...before].filter(id => open.has(id));
      const tookMs = monoMs() - orderedMonoMs;
      // Where the strategy may go on, new orders of its own come and go; then only the old ones are waited for.
      const done = left.length === 0 && (atVenue === 0 || status.maySubmit);
      if (done || tookMs >= withinMs)
        return {
          by: 'bot',
          orders: before.size,
          lastCancelMs: lastCancelMs(books, before, orderedAtMs),
          verifiedZeroMs: done ? Math.round(tookMs) : null,
          left,
          maySubmit: status.maySubmit,
        };
      await pause(LOOK_EVERY_MS);
    }
  } finally {
    books?.close();
  }
};

/** What the ledger has open of the time before the order. */
const openBefore = (books: LedgerReader | null, orderedAtMs: number): readonly string[] =>
  (books?.orders({ open: true }) ?? [])
    .filter(({ order }) => order.intendedAtMs <= orderedAtMs)
    .map(({ order }) => order.clientOrderId);

/** When the last cancel of these orders was sent after the order was given, from the ledger. */
const lastCancelMs = (
  books: LedgerReader | null,
  ids: ReadonlySet<string>,
  orderedAtMs: number,
): number | null => {
  const sent = [...ids]
    .flatMap(id => books?.transitions(id) ?? [])
    .filter(({ status, atMs }) => status === 'cancel-in-flight' && atMs >= orderedAtMs)
    .map(({ atMs }) => atMs - orderedAtMs);
  return sent.length === 0 ? null : Math.max(...sent);
};
