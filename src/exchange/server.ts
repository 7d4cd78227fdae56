/**
 * The embedded exchange as a server: real HTTP and WebSocket on loopback around the step function of `venue.ts`. One
 * event loop, one clock; account events reach the disk before the reply that follows from them leaves.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import type { Amount, Price } from '../domain/money.js';
import { monoMs, now } from '../runtime/clock.js';
import { replaceFile } from '../runtime/replace-file.js';
import { type AccountFile, openAccountFile } from './account-file.js';
import type { Account, AccountEvent } from './accounts.js';
import { statementOf } from './admin.js';
import { type MirrorSource, startMirror } from './mirror.js';
import { playInto } from './playback.js';
import { openRecording, type Recording } from './recording.js';
import { gatewayPage } from './refusals.js';
import { ExchangeError, type ExchangeOptions, listingsFor, sourcesFor } from './setup.js';
import { initialVenue, nextWakeMs, stepVenue } from './venue.js';
import { type AdminCommand, DEFAULT_LATENCY, type VenueInput, type VenueState } from './venue-state.js';
import { LOOPBACK, openWebFace } from './web-face.js';
import { toJson } from './wire.js';

export interface RunningExchange {
  /** `http://127.0.0.1:port`: REST and charts. */
  readonly url: string;
  readonly wsUrl: string;
  readonly apiKey: string;
  readonly apiSecret: string;
  /** Settles when a recording has been played and what it caused is done; never for other markets. */
  readonly finished: Promise<string>;
  /** The venue's state, to look at. */
  readonly venue: VenueState;
  /** The account of a key, or of the exchange's own key. */
  account(apiKey?: string): Account;
  /** @returns why a command was refused, or `undefined` */
  admin(command: AdminCommand): string | undefined;
  /** The account as a statement of exact decimals (JSON text). */
  statement(): string;
  /** Writes the statement to its file, if it has one. */
  writeStatement(): void;
  /** Writes the statement and lets go of every handle. */
  close(): Promise<void>;
}

/** How often the place of generated markets is kept. */
const MARK_MS = 10_000;

/**
 * Starts the exchange.
 * @throws ExchangeError, RecordingError, AccountFileError
 */
export const startExchange = async (options: ExchangeOptions): Promise<RunningExchange> => {
  const host = options.host ?? '127.0.0.1';
  if (!LOOPBACK.includes(host))
    throw new ExchangeError(`the exchange serves loopback only (${LOOPBACK.join(', ')}), not ${host}`);
  const recording = options.market.type === 'recording' ? await openRecording(options.market.path) : null;
  const mirror: MirrorSource | null =
    options.market.type === 'mirror'
      ? await startMirror(options.market, options.symbols, options.log ?? ignore)
      : null;
  let file: AccountFile | null = null;
  try {
    file =
      options.accountPath === undefined
        ? null
        : openAccountFile(options.accountPath, options.mode ?? 'paper');
    return await serve(options, host, recording, mirror, file);
  } catch (error) {
    mirror?.stop();
    file?.close();
    await recording?.items.return(undefined);
    throw error;
  }
};

const ignore = (): void => undefined;

const serve = async (
  options: ExchangeOptions,
  host: string,
  recording: Recording | null,
  mirror: MirrorSource | null,
  file: AccountFile | null,
): Promise<RunningExchange> => {
  const log = options.log ?? ignore;
  const restored = file?.accounts ?? new Map<string, readonly AccountEvent[]>();
  const listings = listingsFor(options, recording, mirror, restored);
  let venue = initialVenue({
    seed: options.seed ?? 1,
    listings,
    sources: sourcesFor(options, recording, listings),
    authentication: 'check',
    keepalive: 'ping',
    latency: { ...DEFAULT_LATENCY, ...options.latency },
    bookIntervalMs: 100,
    history: true,
    accounts: [...restored.values()],
    prices: file?.prices ?? new Map<string, Price>(),
    faults: options.faults ?? [],
  });

  const ending = new AbortController();
  let refused: string | undefined;
  /** Somebody has spoken to this exchange: only then does it touch its files. */
  let contacted = false;
  let wake: NodeJS.Timeout | undefined;
  let wakeAtMs = Number.POSITIVE_INFINITY;

  const step = (input: VenueInput): void => {
    if (ending.signal.aborted) return;
    if (input.type === 'http' || input.type === 'socket-requested') {
      contacted = true;
      file?.begin();
    }
    if (input.type === 'http' && file?.problem() != null) {
      // What cannot be kept is not accepted.
      web.perform({ type: 'reply', requestId: input.requestId, ...gatewayPage(503) });
      return;
    }
    const stepped = stepVenue(venue, input, now());
    venue = stepped.state;
    for (const effect of stepped.effects) {
      if (effect.type === 'account-event') file?.append(effect.apiKey, effect.event);
      else if (effect.type === 'refused') refused = effect.reason;
      else web.perform(effect);
    }
    armWake();
  };
  const web = openWebFace(step);

  const armWake = (): void => {
    const dueMs = nextWakeMs(venue) ?? Number.POSITIVE_INFINITY;
    if (dueMs >= wakeAtMs) return;
    clearTimeout(wake);
    wakeAtMs = dueMs;
    wake = setTimeout(
      () => {
        wakeAtMs = Number.POSITIVE_INFINITY;
        step({ type: 'tick' });
      },
      Math.max(0, dueMs - monoMs()),
    );
  };

  const admin = (command: AdminCommand): string | undefined => {
    refused = undefined;
    step({ type: 'admin', command });
    return refused;
  };
  const port = await web.listen(host, options.port ?? 0);
  const credentials = openOwnAccount(options, restored, admin);
  const address = host === '::1' ? '[::1]' : host;
  const account = (apiKey = credentials.apiKey): Account => {
    const found = venue.accounts.get(apiKey);
    if (found === undefined) throw new ExchangeError(`no account has the key ${apiKey}`);
    return found;
  };
  const statement = (): string => `${toJson(statementOf(account()))}\n`;

  const writeStatement = (): void => {
    if (options.statementPath !== undefined && contacted) replaceFile(options.statementPath, statement());
  };

  const finished =
    recording === null
      ? new Promise<string>(() => undefined)
      : playInto(recording, {
          speed: options.market.type === 'recording' ? options.market.speed : 1,
          atOnce: options.playAtOnce ?? false,
          signal: ending.signal,
          venue: () => venue,
          feed: ({ symbol, activity }) => step({ type: 'market', symbol, activity }),
          caughtUp: web.caughtUp,
          log,
        });

  const markPrices = (): void => {
    for (const { market } of venue.flows.values()) file?.mark(market.listing.symbol, market.lastPrice);
  };
  const mark = setInterval(markPrices, MARK_MS);
  mirror?.follow(
    (symbol, activity) => step({ type: 'market', symbol, activity }),
    listing => step({ type: 'admin', command: { type: 'relist', listing } }),
  );
  step({ type: 'tick' });
  log('info', 'exchange-started', { url: `http://${address}:${port}`, symbols: options.symbols.join(',') });

  return {
    url: `http://${address}:${port}`,
    wsUrl: `ws://${address}:${port}`,
    ...credentials,
    finished,
    get venue() {
      return venue;
    },
    account,
    admin,
    statement,
    writeStatement,
    async close() {
      if (ending.signal.aborted) return;
      writeStatement();
      markPrices();
      ending.abort();
      clearTimeout(wake);
      clearInterval(mark);
      mirror?.stop();
      await web.close();
      file?.close();
    },
  };
};

/** The account of this exchange: the one that was there, or a new one with a fresh key pair. */
const openOwnAccount = (
  options: ExchangeOptions,
  restored: ReadonlyMap<string, readonly AccountEvent[]>,
  admin: (command: AdminCommand) => string | undefined,
): { readonly apiKey: string; readonly apiSecret: string } => {
  for (const [opening] of restored.values())
    if (opening?.type === 'account-opened') return { apiKey: opening.apiKey, apiSecret: opening.apiSecret };
  const credentials = options.credentials ?? {
    apiKey: randomUUID(),
    apiSecret: randomBytes(32).toString('base64'),
  };
  const problem = admin({
    type: 'open-account',
    ...credentials,
    feeLevel: options.feeLevel ?? 1,
    balances: options.balances ?? new Map<string, Amount>(),
  });
  if (problem !== undefined) throw new ExchangeError(`the paper account cannot be opened: ${problem}`);
  return credentials;
};
