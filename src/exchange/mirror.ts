/**
 * Follows another public feed so that the embedded exchange shows its market: for dry runs on the live feed. Only
 * public data is read, nothing is ever sent but subscriptions.
 */
import { randomInt } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { WebSocket } from 'ws';
import { z } from 'zod';
import type { OrderMethod } from '../domain/instrument.js';
import { parseDecimal } from '../domain/money.js';
import { isNext } from '../domain/order-book.js';
import {
  attemptAfterLoss,
  initialReconnect,
  MIRROR_RECONNECT,
  noteAttempt,
  noteUseful,
} from '../domain/reconnect.js';
import type { LogLevel } from '../domain/step.js';
import { monoMs } from '../runtime/clock.js';
import { type Listing, statusOf } from './instruments.js';
import { FrameError, readFrameActivity } from './recorded-frames.js';
import type { MarketActivity } from './venue-state.js';

export type MirrorLog = (level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>) => void;

/** A mirrored feed, ready to be followed. */
export interface MirrorSource {
  readonly listings: readonly Listing[];
  /** Follows the market, and the listings: `relist` is called for each that has changed. */
  follow(feed: (symbol: string, activity: MarketActivity) => void, relist: (listing: Listing) => void): void;
  stop(): void;
}

/** What cannot be mirrored; the message says why. */
export class MirrorError extends Error {
  override readonly name = 'MirrorError';
}

const REQUEST_MS = 5_000;
const MOST_REPLY_BYTES = 4 * 1_024 * 1_024;
const MOST_FRAME_BYTES = 1_024 * 1_024;
/** How often the listings are read again: pairs stop trading, scales and limits change (protocol section 4.2). */
const LISTINGS_MS = 60_000;
/** The first questions are asked this often before the catalogue has to do. */
const LISTING_ATTEMPTS = 2;
/** A connection without any frame for this long is dead. */
const SILENCE_MS = 20_000;

const METHODS: Readonly<Record<string, OrderMethod>> = {
  MARKET: 'market',
  LIMIT: 'limit',
  STOP_MARKET: 'stop-market',
  STOP_LIMIT: 'stop-limit',
};

const symbolSchema = z.object({
  id: z.number().int(),
  name: z.string(),
  numerator: z.string(),
  denominator: z.string(),
  status: z.string().optional(),
  numeratorScale: z.number().int().min(0).max(16),
  denominatorScale: z.number().int().min(0).max(16),
  hasFraction: z.boolean(),
  filters: z.array(
    z.object({
      minPrice: z.string(),
      maxPrice: z.string(),
      tickSize: z.string(),
      minExchangeValue: z.string(),
    }),
  ),
  orderMethods: z.array(z.string()),
  order: z.number(),
});
const exchangeInfoSchema = z.object({ data: z.object({ symbols: z.array(z.unknown()) }) });

/**
 * Learns how the mirrored pairs are listed. A source that does not answer is no reason not to start: its pairs are
 * listed as in our own catalogue, and its feed is tried on and on.
 * @throws MirrorError when the source does not list a symbol
 */
export const startMirror = async (
  source: { readonly wsUrl: string; readonly baseUrl: string },
  symbols: readonly string[],
  log: MirrorLog,
): Promise<MirrorSource> => {
  let listings: readonly Listing[] = [];
  for (let attempt = 1; attempt <= LISTING_ATTEMPTS && listings.length === 0; attempt++)
    try {
      listings = await readListings(source.baseUrl, symbols);
    } catch (error) {
      if (error instanceof MirrorError) throw error;
      log('warn', 'mirror-unanswered', { attempt, reason: messageOf(error) });
    }
  const stopping = new AbortController();
  return {
    listings,
    follow: (feed, relist) => {
      followFeed(source.wsUrl, symbols, feed, log, stopping.signal);
      followListings(source.baseUrl, symbols, listings, relist, log, stopping.signal);
    },
    stop: () => stopping.abort(),
  };
};

/** Reads the listings again and again, and tells of those that have changed. One that is gone is listed no longer. */
const followListings = (
  baseUrl: string,
  symbols: readonly string[],
  first: readonly Listing[],
  relist: (listing: Listing) => void,
  log: MirrorLog,
  signal: AbortSignal,
): void => {
  const known = new Map(first.map(listing => [listing.symbol, listing]));
  const look = async (): Promise<void> => {
    const found = await listingsAt(baseUrl, symbols);
    if (signal.aborted) return;
    for (const listing of relisted(symbols, known, found)) {
      known.set(listing.symbol, listing);
      log('info', 'mirror-relisted', { symbol: listing.symbol, status: statusOf(listing) ?? 'not listed' });
      relist(listing);
    }
  };
  const timer = setInterval(() => {
    look().catch((error: unknown) => log('warn', 'mirror-unanswered', { reason: messageOf(error) }));
  }, LISTINGS_MS);
  signal.addEventListener('abort', () => clearInterval(timer));
};

/** The listings that are not as they were, with a status of null for those that are gone. */
export const relisted = (
  symbols: readonly string[],
  known: ReadonlyMap<string, Listing>,
  found: readonly Listing[],
): readonly Listing[] =>
  symbols.flatMap(symbol => {
    const before = known.get(symbol);
    const now =
      found.find(listing => listing.symbol === symbol) ??
      (before === undefined ? undefined : { ...before, status: null });
    return now === undefined || isDeepStrictEqual(now, before) ? [] : [now];
  });

const readListings = async (baseUrl: string, symbols: readonly string[]): Promise<readonly Listing[]> => {
  const listings = await listingsAt(baseUrl, symbols);
  const missing = symbols.filter(symbol => !listings.some(listing => listing.symbol === symbol));
  if (missing.length > 0) throw new MirrorError(`the mirrored market does not list ${missing.join(', ')}`);
  return listings;
};

const listingsAt = async (baseUrl: string, symbols: readonly string[]): Promise<readonly Listing[]> => {
  const url = `${baseUrl}/api/v2/server/exchangeinfo`;
  const reply = await fetch(url, { signal: AbortSignal.timeout(REQUEST_MS), redirect: 'error' });
  const bytes = await reply.arrayBuffer();
  if (reply.status !== 200 || bytes.byteLength > MOST_REPLY_BYTES)
    throw new Error(`${url} answers with status ${reply.status} and ${bytes.byteLength} bytes`);
  return listingsIn(JSON.parse(Buffer.from(bytes).toString('utf8')), symbols);
};

/**
 * The listings of symbols in an exchangeinfo reply; those it does not have are left out.
 * @throws Error when it is no exchangeinfo
 */
export const listingsIn = (exchangeInfo: unknown, symbols: readonly string[]): readonly Listing[] => {
  const info = exchangeInfoSchema.safeParse(exchangeInfo);
  if (!info.success) throw new Error('it holds no exchange info');
  return info.data.data.symbols.flatMap(row => {
    const parsed = symbolSchema.safeParse(row);
    return parsed.success && symbols.includes(parsed.data.name) ? [toListing(parsed.data)] : [];
  });
};

const toListing = (row: z.infer<typeof symbolSchema>): Listing => {
  const filter = row.filters[0];
  return {
    pairId: row.id,
    symbol: row.name,
    base: row.numerator,
    quote: row.denominator,
    quantityScale: row.numeratorScale,
    denominatorScale: row.denominatorScale,
    hasFraction: row.hasFraction,
    tickSize: filter?.tickSize ?? '1',
    minNotional: parseDecimal(filter?.minExchangeValue ?? '0'),
    minPrice: parseDecimal(filter?.minPrice ?? '0.0000000000001'),
    maxPrice: parseDecimal(filter?.maxPrice ?? '10000000'),
    maxQuantity: null,
    methods: row.orderMethods.flatMap(method => METHODS[method] ?? []),
    displayOrder: row.order,
    ...(row.status === undefined ? {} : { status: row.status }),
  };
};

/** Keeps one connection; a lost one, or a gap, empties the mirrored books until they are whole again. */
const followFeed = (
  wsUrl: string,
  symbols: readonly string[],
  feed: (symbol: string, activity: MarketActivity) => void,
  log: MirrorLog,
  signal: AbortSignal,
): void => {
  const attempts = initialReconnect(randomInt(2 ** 32));
  const connect = (): void => {
    if (signal.aborted) return;
    const changeSets = new Map<string, number>();
    const socket = new WebSocket(wsUrl, {
      handshakeTimeout: REQUEST_MS,
      maxPayload: MOST_FRAME_BYTES,
      perMessageDeflate: false,
    });
    noteAttempt(attempts, MIRROR_RECONNECT, monoMs());
    let lastFrameMs = monoMs();
    const silence = setInterval(() => {
      if (monoMs() - lastFrameMs > SILENCE_MS) socket.terminate();
    }, 1_000);
    const join = (symbol: string, channel: string, joining: boolean): void =>
      socket.send(JSON.stringify([151, { type: 151, channel, event: symbol, join: joining }]));
    const stop = (): void => socket.terminate();
    signal.addEventListener('abort', stop);
    socket.on('open', () => {
      for (const symbol of symbols) {
        join(symbol, 'obdiff', true);
        join(symbol, 'trade', true);
        // It repeats itself (protocol section 9.3), so that a market in which nothing happens is not taken for silence.
        join(symbol, 'ticker', true);
      }
    });
    socket.on('message', message => {
      lastFrameMs = monoMs();
      const frame = parseFrame(message.toString());
      if (frame === undefined || !symbols.includes(frame.symbol)) return;
      const { symbol, activity, changeSet } = frame;
      if (activity.type === 'book' && changeSet !== null) {
        const last = changeSets.get(symbol);
        if (!activity.whole && last === undefined) return;
        if (!activity.whole && last !== undefined && !isNext(changeSet, last)) {
          if (changeSet <= last) return;
          changeSets.delete(symbol);
          log('warn', 'mirror-gap', { symbol, last, changeSet });
          feed(symbol, { type: 'lost' });
          join(symbol, 'obdiff', false);
          join(symbol, 'obdiff', true);
          return;
        }
        changeSets.set(symbol, changeSet);
        noteUseful(attempts, MIRROR_RECONNECT, lastFrameMs);
      }
      feed(symbol, activity);
    });
    socket.on('error', error => log('warn', 'mirror-error', { reason: error.message }));
    socket.on('close', () => {
      clearInterval(silence);
      signal.removeEventListener('abort', stop);
      for (const symbol of symbols) feed(symbol, { type: 'lost' });
      if (signal.aborted) return;
      const againInMs = Math.round(attemptAfterLoss(attempts, MIRROR_RECONNECT, monoMs()) - monoMs());
      log('warn', 'mirror-lost', { againInMs });
      const again = setTimeout(connect, againInMs);
      signal.addEventListener('abort', () => clearTimeout(again), { once: true });
    });
  };
  connect();
};

const parseFrame = (text: string): ReturnType<typeof readFrameActivity> => {
  try {
    return readFrameActivity(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof FrameError) return undefined;
    throw error;
  }
};

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
