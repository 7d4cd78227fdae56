/** What an exchange is started with, and which markets that gives. */
import type { Amount } from '../domain/money.js';
import type { LogLevel } from '../domain/step.js';
import type { AccountEvent, CarriedOrder } from './accounts.js';
import type { FaultSpec } from './faults.js';
import { CATALOGUE, type Listing, listingForMarket } from './instruments.js';
import type { MarketSource, VenueLatency } from './venue-state.js';

/** Where the exchange's prices come from. */
export type ExchangeMarket =
  | { readonly type: 'generated' }
  /** `speed` in times real; Infinity for as fast as the clients keep up. */
  | { readonly type: 'recording'; readonly path: string; readonly speed: number }
  /** Another public feed, followed live. */
  | { readonly type: 'mirror'; readonly wsUrl: string; readonly baseUrl: string };

export interface ExchangeOptions {
  /** A loopback address; nothing else is accepted. */
  readonly host?: string;
  /** 0 for any free port. */
  readonly port?: number;
  readonly market: ExchangeMarket;
  /** Busy (generated) or followed (mirror) symbols; a recording brings its own. */
  readonly symbols: readonly string[];
  /** Pairs beside those of the catalogue. */
  readonly listings?: readonly Listing[];
  readonly seed?: number;
  /** Part of the account file's identity. */
  readonly mode?: string;
  /** Where the account is kept; without it the account lives as long as the process. */
  readonly accountPath?: string;
  /** Where the closing statement goes. */
  readonly statementPath?: string;
  /** A key to open the account with instead of a random one; ignored once the account exists. */
  readonly credentials?: { readonly apiKey: string; readonly apiSecret: string };
  /** Opening balances of a new account. */
  readonly balances?: ReadonlyMap<string, Amount>;
  /** 1 (dearest) to 8. */
  readonly feeLevel?: number;
  readonly latency?: Partial<VenueLatency>;
  readonly faults?: readonly FaultSpec[];
  /** Play a recording at once instead of when a client follows its book and an account is logged in. */
  readonly playAtOnce?: boolean;
  readonly log?: (level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** An exchange that cannot start; the message says why and what to do. */
export class ExchangeError extends Error {
  override readonly name = 'ExchangeError';
}

/** A market that is followed: a recording, or a mirrored feed. */
export interface Followed {
  readonly path?: string;
  readonly listings: readonly Listing[];
}

/** The orders that an event brings into an account. */
const ordersIn = (event: AccountEvent): readonly Pick<CarriedOrder, 'symbol' | 'price' | 'quantity'>[] => {
  if (event.type === 'order-accepted') return [event.order];
  return event.type === 'carried-over' ? event.orders : [];
};

/** The catalogue, corrected and extended by the market that is followed and by symbols an old account still holds. */
export const listingsFor = (
  options: ExchangeOptions,
  recording: Followed | null,
  mirror: Followed | null,
  restored: ReadonlyMap<string, readonly AccountEvent[]>,
): readonly Listing[] => {
  const listings = new Map(
    [...CATALOGUE, ...(options.listings ?? [])].map(listing => [listing.symbol, listing]),
  );
  for (const listing of recording?.listings ?? mirror?.listings ?? []) listings.set(listing.symbol, listing);
  for (const events of restored.values())
    for (const { symbol, price, quantity } of events.flatMap(ordersIn)) {
      if (listings.has(symbol)) continue;
      const listing = listingForMarket(symbol, [price], [quantity]);
      if (listing !== undefined) listings.set(symbol, listing);
    }
  const unknown = options.symbols.filter(symbol => !listings.has(symbol));
  if (unknown.length > 0)
    throw new ExchangeError(
      `the exchange does not list ${unknown.join(', ')}; it lists ${[...listings.keys()].join(', ')}`,
    );
  const absent =
    recording === null
      ? []
      : options.symbols.filter(symbol => !recording.listings.some(listing => listing.symbol === symbol));
  if (recording !== null && options.symbols.length > 0 && absent.length === options.symbols.length)
    throw new ExchangeError(
      `recording ${recording.path} has ${recording.listings.map(listing => listing.symbol).join(', ')}, not ${absent.join(', ')}: set SYMBOLS to match`,
    );
  return [...listings.values()];
};

export const sourcesFor = (
  options: ExchangeOptions,
  recording: Followed | null,
  listings: readonly Listing[],
): ReadonlyMap<string, MarketSource> => {
  const sources = new Map<string, MarketSource>(listings.map(listing => [listing.symbol, 'quiet']));
  for (const symbol of options.symbols)
    sources.set(symbol, options.market.type === 'mirror' ? 'recorded' : 'generated');
  for (const { symbol } of recording?.listings ?? []) sources.set(symbol, 'recorded');
  return sources;
};
