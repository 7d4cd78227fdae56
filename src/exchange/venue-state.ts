/**
 * What the exchange consists of, what goes in and what comes out. `venue.ts` steps it; the files beside it each hold
 * one rule book. Nothing here reads a clock or a random source: time comes with each step, chance from seeded streams.
 */
import type { Side } from '../domain/instrument.js';
import type { MatchingBook, RestingOrder } from '../domain/matching.js';
import type { Amount, Price, Quantity } from '../domain/money.js';
import type { Now } from '../domain/step.js';
import { type Account, type AccountEvent, type AccountOrder, applyAccountEvent } from './accounts.js';
import type { CandleStore } from './candles.js';
import type { FairValues } from './fair-values.js';
import { type FaultBoard, type FaultSpec, faultOn, numberOf } from './faults.js';
import type { Currency, Listing } from './instruments.js';
import type { Random } from './random.js';
import type { RateWindows } from './rate-limits.js';
import { type Schedule, schedule } from './schedule.js';

/** How long things take at the venue, ms. Submits and cancels are queued (protocol sections 5.8 and 5.9). */
export interface VenueLatency {
  /** From the request to its reply. */
  readonly replyMs: number;
  /** From an accepted submit to its entry into the book. */
  readonly submitMs: number;
  /** From an accepted cancel to its execution. */
  readonly cancelMs: number;
  /** From a match (441) to its trade row (423). */
  readonly userTradeMs: number;
}

export const DEFAULT_LATENCY: VenueLatency = { replyMs: 0, submitMs: 8, cancelMs: 15, userTradeMs: 10 };

/** How a market lives: from the seeded generator, from frames handed in, or hardly at all. */
export type MarketSource = 'generated' | 'recorded' | 'quiet';

export interface VenueConfig {
  readonly seed: number;
  readonly listings: readonly Listing[];
  /** Symbols whose market is busy (generated) or comes from frames (recorded); the others are quiet. */
  readonly sources: ReadonlyMap<string, MarketSource>;
  /** `skip` takes any request for the account in X-PCK, or for the first one: in-process use only. */
  readonly authentication: 'check' | 'skip';
  /** `off` sends no pings and closes nobody for missing pongs: where no real socket is behind it. */
  readonly keepalive: 'ping' | 'off';
  readonly latency: VenueLatency;
  /** Least time between two 432s of a market, ms; 0 for one per change. */
  readonly bookIntervalMs: number;
  /** Pace of the ticker and of the full book, ms; the venue's usual one when absent. */
  readonly slowIntervalMs?: number;
  /** Events of accounts that existed before, oldest first. */
  readonly accounts: readonly (readonly AccountEvent[])[];
  /** Where generated markets go on from; absent ones start at their usual price. */
  readonly prices: ReadonlyMap<string, Price>;
  /** Whether generated and quiet markets get an invented past for tickers and candles. */
  readonly history: boolean;
  readonly faults: readonly FaultSpec[];
}

/** A request as it arrives. Header names are lower case; `query` has no question mark. */
export interface HttpRequest {
  readonly type: 'http';
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
  readonly ip: string;
}

/** One price level of a recorded book: the total at the price, 0 when it is gone. */
export interface RecordedLevel {
  readonly price: Price;
  readonly total: Quantity;
}

/** What a recording or a mirrored feed says about one market. */
export type MarketActivity =
  | {
      readonly type: 'book';
      /** True for a whole book (431): whatever it does not name is gone. */
      readonly whole: boolean;
      readonly bids: readonly RecordedLevel[];
      readonly asks: readonly RecordedLevel[];
    }
  | {
      readonly type: 'trade';
      readonly tradeId: string;
      readonly price: Price;
      readonly quantity: Quantity;
      /** The aggressor's. */
      readonly side: Side;
    }
  /** The source is lost: nothing it said holds any more. */
  | { readonly type: 'lost' };

/** What an operator of the exchange may do; also behind `/admin` on loopback. */
export type AdminCommand =
  | {
      readonly type: 'open-account';
      readonly apiKey: string;
      readonly apiSecret: string;
      readonly feeLevel: number;
      readonly balances: ReadonlyMap<string, Amount>;
    }
  /** A negative amount is a withdrawal. */
  | { readonly type: 'move'; readonly apiKey: string; readonly asset: string; readonly amount: Amount }
  | { readonly type: 'set-fault'; readonly fault: FaultSpec }
  | { readonly type: 'clear-faults'; readonly name?: string }
  /** Moves the fair price of a generated market. */
  | { readonly type: 'shock'; readonly symbol: string; readonly bps: number }
  /** How fast time goes for generated markets: 1 as usual, 0.1 for a tenth of the events. */
  | { readonly type: 'market-pace'; readonly pace: number }
  /** Somebody trades against the book: as a participant, nobody's account. */
  | {
      readonly type: 'participant';
      readonly symbol: string;
      readonly side: Side;
      /** Null for a market order. */
      readonly price: Price | null;
      readonly quantity: Quantity;
    }
  /** A further key of an account, as its owner makes one to replace another. */
  | {
      readonly type: 'add-key';
      readonly apiKey: string;
      readonly newKey: string;
      /** Base64. */
      readonly newSecret: string;
      /** Absent: for requests. */
      readonly madeFor?: 'requests' | 'socket';
    }
  /** From now on nothing signed with this key is taken. */
  | { readonly type: 'revoke-key'; readonly apiKey: string; readonly key: string }
  /** A pair is listed otherwise from now on: other scales, another status, or no longer. Its market goes on. */
  | { readonly type: 'relist'; readonly listing: Listing }
  /** An operator takes an order off the book. */
  | { readonly type: 'pull-order'; readonly apiKey: string; readonly orderId: number };

export type VenueInput =
  | HttpRequest
  | { readonly type: 'socket-requested'; readonly socketId: string; readonly ip: string }
  | { readonly type: 'socket-frame'; readonly socketId: string; readonly text: string }
  | { readonly type: 'socket-pong'; readonly socketId: string }
  | { readonly type: 'socket-closed'; readonly socketId: string }
  | { readonly type: 'market'; readonly symbol: string; readonly activity: MarketActivity }
  | { readonly type: 'admin'; readonly command: AdminCommand }
  | { readonly type: 'tick' };

export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export type VenueEffect =
  | ({ readonly type: 'reply'; readonly requestId: string } & HttpReply)
  /** The connection of a request is reset without an answer. */
  | { readonly type: 'reset-request'; readonly requestId: string }
  | { readonly type: 'accept-socket'; readonly socketId: string }
  | ({ readonly type: 'refuse-socket'; readonly socketId: string } & HttpReply)
  | { readonly type: 'frame'; readonly socketId: string; readonly text: string }
  | { readonly type: 'ping'; readonly socketId: string }
  /** `abrupt` cuts the connection without a close frame. */
  | {
      readonly type: 'close-socket';
      readonly socketId: string;
      readonly code: number;
      readonly abrupt: boolean;
    }
  /** To be kept before any later effect of the same step leaves. */
  | { readonly type: 'account-event'; readonly apiKey: string; readonly event: AccountEvent }
  /** An admin command could not be carried out. */
  | { readonly type: 'refused'; readonly reason: string };

export type Channel = 'obdiff' | 'orderbook' | 'trade' | 'ticker' | 'tradeview';

/** One joined channel of one socket. */
export interface Subscription {
  readonly session: SocketSession;
  readonly channel: Channel;
  readonly event: string;
  /** Candle resolution of a tradeview, seconds. */
  readonly resolutionS: number;
  /** Change set number of the last book frame. */
  changeSet: number;
}

/** One connected socket. */
export interface SocketSession {
  readonly socketId: string;
  readonly subscriptions: Map<string, Subscription>;
  account: Account | null;
  /** After a faulty re-login: no 441, 451 or 452. */
  muted: boolean;
  /** A silent stall: nothing is sent any more. */
  stalled: boolean;
  lastPongMs: number;
}

/** A public trade, as the tape keeps it. */
export interface TapeTrade {
  readonly tradeId: string;
  readonly price: Price;
  readonly quantity: Quantity;
  readonly side: Side;
  readonly atMs: number;
}

/** The part of a book that subscribers have been told: at most 100 levels a side, best first. */
export interface PublishedSide {
  prices: Price[];
  totals: Quantity[];
}

/** One pair and everything that goes on in it. */
export interface Market {
  listing: Listing;
  readonly source: MarketSource;
  /** Orders without an account belong to the other participants. */
  readonly book: MatchingBook<AccountOrder | null>;
  /** Totals that a recording last stated, by price; empty for others. */
  readonly stated: { readonly buy: Map<Price, Quantity>; readonly sell: Map<Price, Quantity> };
  /** What recorded trades ate of a level since it was last stated: kept where accounts have orders. */
  readonly traded: { readonly buy: Map<Price, Quantity>; readonly sell: Map<Price, Quantity> };
  /** Untriggered stop orders, by id. */
  readonly stops: Map<number, AccountOrder>;
  /** The last 50 trades, oldest first. */
  readonly tape: TapeTrade[];
  candles: CandleStore | null;
  lastPrice: Price;
  readonly published: { readonly bids: PublishedSide; readonly asks: PublishedSide };
  readonly subscribers: Readonly<Record<Channel, Set<Subscription>>>;
  /** The book has changed since it was published. */
  dirty: boolean;
  publishDue: boolean;
  publishedAtMs: number;
  /** The same for the slower channels. */
  fullBookDirty: boolean;
  candleDirty: boolean;
}

/** The participants of one generated market. */
export interface Flow {
  readonly market: Market;
  /** Their orders; some may have traded away. */
  readonly orders: RestingOrder<AccountOrder | null>[];
  /** Times the calm rate. */
  activity: number;
  activityAtMs: number;
  lastSide: Side;
}

/** Things to do later. */
export type Scheduled =
  | { readonly type: 'enter-order'; readonly order: AccountOrder }
  | { readonly type: 'execute-cancel'; readonly order: AccountOrder; readonly leftAtRequest: Quantity }
  | { readonly type: 'check-stops'; readonly market: Market }
  | { readonly type: 'effect'; readonly effect: VenueEffect }
  | {
      readonly type: 'private-frame';
      readonly account: Account;
      readonly model: number;
      readonly text: string;
    }
  | { readonly type: 'late-request'; readonly request: HttpRequest }
  | { readonly type: 'publish-book'; readonly market: Market }
  | { readonly type: 'publish-slow' }
  | { readonly type: 'keepalive'; readonly session: SocketSession }
  | { readonly type: 'end-socket'; readonly session: SocketSession }
  | { readonly type: 'fair-values' }
  | { readonly type: 'flow'; readonly market: Market };

export interface VenueState {
  readonly config: VenueConfig;
  readonly currencies: readonly Currency[];
  /** By symbol, in the order of the listings. */
  readonly markets: Map<string, Market>;
  readonly accounts: Map<string, Account>;
  readonly sockets: Map<string, SocketSession>;
  readonly schedule: Schedule<Scheduled>;
  readonly rateWindows: RateWindows;
  readonly faults: FaultBoard;
  readonly random: Random;
  readonly fair: FairValues;
  /** Of generated markets, by symbol. */
  readonly flows: Map<string, Flow>;
  /** Those who joined `ticker` for all pairs. */
  readonly tickerSubscribers: Set<Subscription>;
  /** Consecutive refused signatures by address (protocol section 3.2). */
  readonly refusals: Map<string, number>;
  started: boolean;
  /** How fast time goes for generated markets. */
  marketPace: number;
  /** A `publish-slow` is scheduled. */
  slowDue: boolean;
  nextOrderId: number;
  nextUserTradeId: bigint;
  nextTradeId: bigint;
  nextMovementId: number;
  nextUserId: number;
  now: Now;
  /** Effects of the step under way. */
  effects: VenueEffect[];
}

/** The exchange's own clock, Unix ms: what it prints and what it checks stamps against. */
export const serverMs = (venue: VenueState): number => {
  const skew = faultOn(venue.faults, 'clock-skew');
  return Math.floor(venue.now.wallMs + (skew === undefined ? 0 : numberOf(skew)));
};

/**
 * Has something done after a delay of the venue's time. Due times lie on a grid of 1/64 ms, on which sums with Unix
 * times are exact: what a thing is stamped with does not depend on when the venue was last looked at.
 */
export const later = (venue: VenueState, delayMs: number, item: Scheduled): void => {
  schedule(venue.schedule, Math.ceil((venue.now.monoMs + delayMs) * 64) / 64, item);
};

/** Changes an account: the event is applied, and handed out to be kept. */
export const record = (venue: VenueState, account: Account, event: AccountEvent): void => {
  applyAccountEvent(account, event);
  venue.effects.push({ type: 'account-event', apiKey: account.apiKey, event });
};

/** @throws Error when the symbol is not listed: the caller has checked it */
export const marketOf = (venue: VenueState, symbol: string): Market => {
  const market = venue.markets.get(symbol);
  if (market === undefined) throw new Error(`${symbol} is not listed`);
  return market;
};
