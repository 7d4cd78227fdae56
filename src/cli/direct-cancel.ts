/** Canceling our own orders without the bot: when it is dead and its orders are not. */
import { setTimeout as pause } from 'node:timers/promises';
import { failureText } from '../btcturk/listed-instruments.js';
import { createRestClient, type RestClient } from '../btcturk/rest-client.js';
import { CAUSES } from '../domain/breaker.js';
import { originOf } from '../domain/client-order-id.js';
import type { OrderReport } from '../domain/venue-port.js';
import { takeOwnership } from '../ledger/ledger-file.js';
import { openReader } from '../ledger/reader.js';
import { monoMs } from '../runtime/clock.js';
import { renderProblem } from '../runtime/config.js';
import type { Settings } from '../runtime/settings.js';
import { textOption } from './books.js';
import type { CancelAllReport } from './cancel-report.js';
import { latchedHolds } from './latched.js';
import { CliRefused } from './refused.js';
import { loadForCli } from './settings.js';
import type { VerbIo } from './verb.js';

/** A cancel's 200 only says that it was queued (protocol section 5.9): the list is asked again after this. */
const LOOK_AGAIN_MS = 1_000;

/**
 * Lists our orders at the venue, cancels them at the configured pace and looks again, until none is left.
 * The ledger is owned meanwhile, so that no bot starts in between; it is not written, the next start reconciles.
 * @throws CliRefused when this configuration may not write, an earlier run left a latch under which nothing is written, or
 *   the venue cannot be read.
 */
export const cancelDirectly = async (
  values: Readonly<Record<string, unknown>>,
  io: VerbIo,
  withinMs: number,
  whyNotThroughBot: string,
): Promise<CancelAllReport> => {
  // The ledger that the options name is the one whose orders are meant, whatever the environment says.
  const db = textOption(values, 'db');
  const env = db === undefined ? io.env : { ...io.env, STATE_DB_PATH: db };
  const loaded = loadForCli(values, { env });
  if (!loaded.ok) throw new CliRefused(loaded.problems.map(renderProblem).join('\n'));
  const { settings, credentials } = loaded;
  if (settings.mode !== 'live')
    throw new CliRefused(
      `${whyNotThroughBot}; and this configuration is ${settings.mode}, whose orders rest on the embedded exchange, which runs only with the bot: start it, then order this again`,
    );
  if (settings.flags.safeMode)
    throw new CliRefused(
      'SAFE_MODE is true, and nothing is written then: set SAFE_MODE=false (KILL_SWITCH=true may stay)',
    );
  if (credentials === null) throw new CliRefused('there is no API key to sign with');
  const lock = takeOwnership(settings.stateDbPath);
  try {
    // Once nobody can latch any more.
    refuseLatched(settings.stateDbPath);
    const client = createRestClient({ endpoints: settings.endpoints, credentials });
    try {
      return await sweep(client, settings, withinMs, io.signal);
    } finally {
      await client.close();
    }
  } finally {
    lock.release();
  }
};

const refuseLatched = (stateDbPath: string): void => {
  const latched = latchedHolds(stateDbPath).filter(({ cause }) => CAUSES[cause].level === 'observe-only');
  if (latched.length > 0)
    throw new CliRefused(
      `an earlier run left latched, and nothing is written then: ${latched
        .map(({ key, detail }) => `${key} (${detail})`)
        .join(
          '; ',
        )}; start the bot with KILL_SWITCH=true, release each by btcbot safe-mode off, then order it again, or cancel at the exchange`,
    );
};

/** The id that every label of this ledger carries. */
export const instanceOf = (path: string): string => {
  const books = openReader(path);
  try {
    return books.instance;
  } finally {
    books.close();
  }
};

/**
 * Where orders of this ledger may rest: the configured symbols, and those on which it knows an open order from a time
 * when they were configured.
 */
const symbolsOf = ({ stateDbPath, symbols }: Settings): ReadonlySet<string> => {
  const books = openReader(stateDbPath);
  try {
    return new Set([...symbols, ...books.orders({ open: true }).map(({ order }) => order.terms.symbol)]);
  } finally {
    books.close();
  }
};

const sweep = async (
  client: RestClient,
  settings: Settings,
  withinMs: number,
  signal: AbortSignal,
): Promise<CancelAllReport> => {
  const instance = instanceOf(settings.stateDbPath);
  const symbols = symbolsOf(settings);
  const beganMonoMs = monoMs();
  const since = (): number => Math.round(monoMs() - beganMonoMs);
  // Signed requests carry the venue's time. Where it does not say, ours may do: a refused signature is told by the lists.
  await client.read({ type: 'server-time' });
  const seen = new Set<string>();
  let lastCancelMs: number | null = null;
  for (;;) {
    const { ours, unread } = await look(client, symbols, instance);
    for (const order of ours) seen.add(order.venueOrderId);
    // What can be seen is canceled first, whatever else cannot be.
    if (ours.length === 0 && unread.length > 0) throw new CliRefused(unread.join('; '));
    if (ours.length === 0)
      return {
        by: 'direct',
        orders: seen.size,
        lastCancelMs,
        verifiedZeroMs: since(),
        left: [],
        maySubmit: false,
      };
    if (since() >= withinMs || signal.aborted)
      return {
        by: 'direct',
        orders: seen.size,
        lastCancelMs,
        verifiedZeroMs: null,
        left: ours.map(order => order.clientOrderId ?? order.venueOrderId),
        maySubmit: false,
      };
    for (const order of ours) {
      const restMs = await cancel(client, order, signal);
      lastCancelMs = since();
      await pause(Math.min(Math.max(restMs, 1_000 / settings.rest.rateLimitRps), withinMs));
    }
    await pause(LOOK_AGAIN_MS);
  }
};

/**
 * What this ledger's bot put there, also long ago; orders of people and of other bots stay as they are.
 * @throws CliRefused when a list cannot be read.
 */
export const ownOpenOrders = async (
  client: RestClient,
  symbols: Iterable<string>,
  instance: string,
): Promise<readonly OrderReport[]> => {
  const { ours, unread } = await look(client, symbols, instance);
  if (unread.length > 0) throw new CliRefused(unread.join('; '));
  return ours;
};

/** `unread`: the lists that could not be read, and why, in words. */
const look = async (
  client: RestClient,
  symbols: Iterable<string>,
  instance: string,
): Promise<{ readonly ours: readonly OrderReport[]; readonly unread: readonly string[] }> => {
  const ours: OrderReport[] = [];
  const unread: string[] = [];
  for (const symbol of symbols) {
    const result = await client.read({ type: 'open-orders', symbol });
    if (!result.ok) {
      unread.push(`the open orders of ${symbol} cannot be read: ${failureText(result.failure)}`);
      continue;
    }
    if (result.value.pairGone) {
      // Nobody here asks what became of each order: that none is left is not shown.
      unread.push(`the open orders of ${symbol} cannot be read: the exchange says that it has no such pair`);
      continue;
    }
    for (const order of result.value.orders) {
      const origin = originOf(order.clientOrderId, { instance, epoch: Number.MAX_SAFE_INTEGER });
      if (origin === 'older-epoch') ours.push(order);
    }
  }
  return { ours, unread };
};

/** @returns how long the venue wants to be left alone, ms. */
const cancel = async (client: RestClient, order: OrderReport, signal: AbortSignal): Promise<number> => {
  const { venueOrderId, clientOrderId } = order;
  // Whatever the outcome, the next look at the list decides.
  const outcome = await client.write(
    { type: 'cancel', clientOrderId: clientOrderId ?? '', venueOrderId },
    null,
    {
      beforeBytes: () => null,
      signal,
    },
  );
  return outcome.type === 'unknown' ? (outcome.retryAfterMs ?? 0) : 0;
};
