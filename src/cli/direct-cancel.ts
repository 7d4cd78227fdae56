/** Canceling our own orders without the bot: when it is dead and its orders are not. */
import { setTimeout as pause } from 'node:timers/promises';
import { failureText } from '../btcturk/listed-instruments.js';
import { createRestClient, type RestClient } from '../btcturk/rest-client.js';
import { CAUSES } from '../domain/breaker.js';
import { originOf } from '../domain/client-order-id.js';
import type { Instrument } from '../domain/instrument.js';
import type { OrderReport, ReadResult } from '../domain/venue-port.js';
import { takeOwnership } from '../ledger/ledger-file.js';
import { openReader } from '../ledger/reader.js';
import { monoMs } from '../runtime/clock.js';
import { renderProblem } from '../runtime/config.js';
import { latchPath, readLatch } from '../runtime/latch-file.js';
import type { Settings } from '../runtime/settings.js';
import { textOption } from './books.js';
import type { CancelAllReport } from './cancel-report.js';
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
  const latched = readLatch(latchPath(settings.stateDbPath)).filter(
    ({ cause }) => CAUSES[cause].level === 'observe-only',
  );
  if (latched.length > 0)
    throw new CliRefused(
      `an earlier run left latched, and nothing is written then: ${latched
        .map(({ key, detail }) => `${key} (${detail})`)
        .join(
          '; ',
        )}; start the bot with KILL_SWITCH=true, release each by btcbot safe-mode off, then order it again, or cancel at the exchange`,
    );
  const lock = takeOwnership(settings.stateDbPath);
  const client = createRestClient({ endpoints: settings.endpoints, credentials });
  try {
    return await sweep(client, settings, instanceOf(settings.stateDbPath), withinMs, io.signal);
  } finally {
    await client.close();
    lock.release();
  }
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

const readOrRefuse = <T>(result: ReadResult<T>, what: string): T => {
  if (result.ok) return result.value;
  throw new CliRefused(`${what} cannot be read: ${failureText(result.failure)}`);
};

const sweep = async (
  client: RestClient,
  settings: Settings,
  instance: string,
  withinMs: number,
  signal: AbortSignal,
): Promise<CancelAllReport> => {
  const beganMonoMs = monoMs();
  const since = (): number => Math.round(monoMs() - beganMonoMs);
  // Signed requests carry the venue's time.
  readOrRefuse(await client.read({ type: 'server-time' }), 'the venue’s time');
  const { instruments } = readOrRefuse(await client.read({ type: 'instruments' }), 'the venue’s pairs');
  const seen = new Set<string>();
  let lastCancelMs: number | null = null;
  for (;;) {
    const ours = await ownOpenOrders(client, settings.symbols, instance);
    for (const order of ours) seen.add(order.venueOrderId);
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
      const instrument = instruments.find(({ symbol }) => symbol === order.symbol);
      if (instrument === undefined) continue;
      const restMs = await cancel(client, order, instrument, signal);
      lastCancelMs = since();
      await pause(Math.min(Math.max(restMs, 1_000 / settings.rest.rateLimitRps), withinMs));
    }
    await pause(LOOK_AGAIN_MS);
  }
};

/** What this ledger's bot put there, also long ago; orders of people and of other bots stay as they are. */
export const ownOpenOrders = async (
  client: RestClient,
  symbols: readonly string[],
  instance: string,
): Promise<readonly OrderReport[]> => {
  const found: OrderReport[] = [];
  for (const symbol of symbols) {
    const { orders } = readOrRefuse(
      await client.read({ type: 'open-orders', symbol }),
      `the open orders of ${symbol}`,
    );
    for (const order of orders) {
      const origin = originOf(order.clientOrderId, { instance, epoch: Number.MAX_SAFE_INTEGER });
      if (origin === 'older-epoch') found.push(order);
    }
  }
  return found;
};

/** @returns how long the venue wants to be left alone, ms. */
const cancel = async (
  client: RestClient,
  order: OrderReport,
  instrument: Instrument,
  signal: AbortSignal,
): Promise<number> => {
  const { venueOrderId, clientOrderId } = order;
  // Whatever the outcome, the next look at the list decides.
  const outcome = await client.write(
    { type: 'cancel', clientOrderId: clientOrderId ?? '', venueOrderId },
    instrument,
    {
      beforeBytes: () => null,
      signal,
    },
  );
  return outcome.type === 'unknown' ? (outcome.retryAfterMs ?? 0) : 0;
};
