/**
 * The strategy port, version 2. A strategy sees events and read-only views and returns intents; it performs no I/O and
 * reads no clock and no randomness (a seed is a parameter). The same definition runs in backtest, on the paper
 * exchange, in dry run and live.
 *
 * Signals may use floating numbers; an order's price and quantity are exact: `priceFromNumber` and
 * `quantityFromNumber` of instrument.ts put a number on the instrument's grid.
 */
import type { BookView } from './book-view.js';
import type { Candle, CandleInterval } from './candles.js';
import type { FeeRates } from './fees.js';
import type { Instrument, Side } from './instrument.js';
import type { PublicTrade } from './market-events.js';
import type { Amount, Price, Quantity } from './money.js';
import type { Fill, Order } from './order.js';
import type { Denial } from './order-events.js';
import type { Now } from './step.js';
import type { Universe } from './universe.js';
import type { Balance } from './venue-port.js';

/** What this program offers. Version 2 added candles, warm-up, tags, the universe and the orders of others. */
export const STRATEGY_PORT_VERSION = 2;
/** Every version whose strategies still run, unchanged. */
export const STRATEGY_PORT_VERSIONS = [1, 2] as const;

/** A position and its accounts, in quote of the symbol. */
export interface PositionView {
  readonly symbol: string;
  /** Signed base quantity traded since the ledger began. */
  readonly quantity: Quantity;
  /** Average entry price; null when flat. */
  readonly averagePrice: Price | null;
  /** Net of fees and tax. */
  readonly realized: Amount;
  readonly fees: Amount;
  readonly taxes: Amount;
}

interface ParameterText {
  /** `bps`, `ms`, `quote`, `base`, … */
  readonly unit: string;
  readonly about: string;
}

/** A declared parameter: its type, range and default; `btcbot strategies` lists them. */
export type ParameterSpec =
  | (ParameterText & {
      readonly type: 'number' | 'integer';
      readonly default: number;
      readonly min: number;
      readonly max: number;
    })
  /** An exact decimal, given as text or number; the strategy receives it at 10^-16. */
  | (ParameterText & {
      readonly type: 'decimal';
      readonly default: string;
      readonly min: string;
      readonly max: string;
    })
  | { readonly type: 'boolean'; readonly default: boolean; readonly about: string }
  /** At most 500 characters; the strategy's `check` says what may stand in it. */
  | { readonly type: 'text'; readonly default: string; readonly about: string }
  | {
      readonly type: 'choice';
      readonly default: string;
      readonly choices: readonly string[];
      readonly about: string;
    };

export type ParameterSpecs = Readonly<Record<string, ParameterSpec>>;

/** Checked values as a strategy receives them, one for each declared parameter. */
export type ParameterValues = Readonly<Record<string, number | bigint | string | boolean>>;

/** The values that belong to given declarations. */
export type ParametersOf<Specs extends ParameterSpecs> = {
  readonly [Name in keyof Specs]: Specs[Name]['type'] extends 'number' | 'integer'
    ? number
    : Specs[Name]['type'] extends 'decimal'
      ? bigint
      : Specs[Name]['type'] extends 'boolean'
        ? boolean
        : string;
};

/** Where one of the strategy's own orders stands, as far as a strategy needs to know. */
export type OwnOrderStatus =
  /** Asked for; execution has not answered yet. */
  | 'pending'
  /** Recorded or sent; the venue has not answered yet. */
  | 'in-flight'
  | 'working'
  /** A cancel was asked for; it may still fill. */
  | 'canceling'
  /** Sent with an unknown outcome: it may or may not exist. */
  | 'unknown';

/** One of the strategy's own orders that has not ended. */
export interface OwnOrder {
  readonly intentId: string;
  readonly symbol: string;
  readonly side: Side;
  readonly price: Price;
  readonly quantity: Quantity;
  /** Executed so far, as far as booked. */
  readonly filled: Quantity;
  readonly status: OwnOrderStatus;
  /** Monotonic time at which the strategy asked for it; for orders of an earlier run, of the start of this one. */
  readonly askedMonoMs: number;
}

/** What a strategy may look at during a call; valid for that call only. */
export interface StrategyView {
  readonly now: Now;
  readonly symbols: readonly string[];
  instrument(symbol: string): Instrument;
  /**
   * The newest book, or undefined before the first one. Its `trusted` is false as well while the feed of that symbol
   * is anything but live: do not quote on it.
   */
  book(symbol: string): BookView | undefined;
  /** Closed candles of a declared series, oldest first: at least the newest 500, or as many as its warm-up needs. */
  candles(symbol: string, interval: CandleInterval): readonly Candle[];
  /** The candle under construction, `closed: false`: it still changes, so decide on closed ones. */
  formingCandle(symbol: string, interval: CandleInterval): Candle | undefined;
  /** False until the declared warm-up is over: no order is let through before. */
  readonly isWarm: boolean;
  /** The strategy's own position: of the fills of its own orders, in this run and earlier ones, under its name. */
  position(symbol: string): PositionView;
  /** The whole bot's position, as last proven; flat before the first account update. */
  accountPosition(symbol: string): PositionView;
  /** The account's balance as last proven; undefined before the first account update or for an unknown asset. */
  balance(asset: string): Balance | undefined;
  /** Own orders that have not ended, including those still on their way, oldest first. */
  openOrders(symbol?: string): readonly OwnOrder[];
  /** Open orders of the other strategies of this bot: they share the limits and the balances. */
  otherOrders(symbol?: string): readonly OwnOrder[];
  /** The symbols worth trading now, by the universe's rules; all of them without rules. */
  readonly universe: Universe;
  fees(symbol: string): FeeRates;
  /** Whether a new order on this symbol would be forwarded now; cancels always are. */
  maySubmit(symbol: string): boolean;
  /** Most orders that may be open at once, those of other strategies included. */
  readonly maxOpenOrders: number;
  readonly maxOpenOrdersPerSymbol: number;
}

/** What a strategy asks for. */
export type StrategyIntent =
  | {
      readonly type: 'place';
      readonly symbol: string;
      readonly side: Side;
      readonly method: 'limit';
      readonly price: Price;
      readonly quantity: Quantity;
      /**
       * Why, for reports and the ledger: 1 to 32 lower-case letters, digits and dashes. The tag of an order that opens a
       * position is its entry reason, of one that closes it its exit reason.
       */
      readonly tag?: string;
    }
  | { readonly type: 'cancel'; readonly intentId: string }
  /** A sentence for the log; the same sentence is written once. */
  | { readonly type: 'note'; readonly text: string };

export type StrategyIntents = readonly StrategyIntent[];

/** What happened to the strategy's own orders. */
export type StrategyOrderEvent =
  | { readonly type: 'order'; readonly order: Order; readonly fill: Fill | null }
  /** Refused before anything was sent; `order` is what had been asked for. */
  | { readonly type: 'denied'; readonly order: OwnOrder; readonly denial: Denial };

/** A running strategy. Every callback may be absent; each returns the intents it gives rise to. */
export interface Strategy {
  /** Called once, when every symbol's instrument is known. */
  onStart?(view: StrategyView): StrategyIntents;
  /** A new picture of a book, or the same book no longer to be trusted. */
  onBook?(view: StrategyView, book: BookView): StrategyIntents;
  onTrade?(view: StrategyView, trade: PublicTrade): StrategyIntents;
  /**
   * A closed candle of a declared series, each once and in order; those of the warm-up too, while `view.isWarm` is
   * false. An interval without trades comes as an empty candle.
   */
  onCandle?(view: StrategyView, candle: Candle): StrategyIntents;
  /** The universe has changed: what came in and what went out. */
  onUniverse?(view: StrategyView, universe: Universe): StrategyIntents;
  onOrder?(view: StrategyView, event: StrategyOrderEvent): StrategyIntents;
  /** Called every `timerMs` of the definition. */
  onTimer?(view: StrategyView): StrategyIntents;
  /** Called once at a stop; only cancels are forwarded. */
  onStop?(view: StrategyView): StrategyIntents;
  /** State to keep across restarts, as text. Called every 30 s, after an order, a fill and a candle, and at a stop. */
  save?(): string;
  /** What `save` last returned. Called before `onStart`. Throws when it cannot go on from it: the strategy stops then. */
  load?(state: string): void;
}

/** A series of candles a strategy wants, on each of its symbols. */
export interface CandleWish {
  readonly interval: CandleInterval;
  /** Closed candles it must have seen before an order is let through; read from the venue's charts at a start. */
  readonly warmUp: number;
}

/** A strategy as it is found, listed and started. Make one with {@link defineStrategy}. */
export interface StrategyDefinition {
  readonly portVersion: (typeof STRATEGY_PORT_VERSIONS)[number];
  /** Kebab-case, at most 20 characters: part of every intent id. */
  readonly name: string;
  readonly about: string;
  readonly parameters: ParameterSpecs;
  /** Relations between parameters that a range cannot say; one sentence per problem. */
  check?(parameters: ParameterValues): readonly string[];
  /** Interval of `onTimer`, ms, at least 50; absent for no timer. */
  timerMs?(parameters: ParameterValues): number;
  /** The candles it wants; at most 8 series. */
  candles?(parameters: ParameterValues): readonly CandleWish[];
  /** Time after the start before an order is let through, ms, beside the candles it waits for. */
  warmUpMs?(parameters: ParameterValues): number;
  create(parameters: ParameterValues): Strategy;
}

/** A definition whose functions receive its parameters with their types. */
export interface TypedStrategyDefinition<Specs extends ParameterSpecs> {
  readonly name: string;
  readonly about: string;
  readonly parameters: Specs;
  check?(parameters: ParametersOf<Specs>): readonly string[];
  timerMs?(parameters: ParametersOf<Specs>): number;
  /** The candles it wants; at most 8 series. */
  candles?(parameters: ParametersOf<Specs>): readonly CandleWish[];
  /** Time after the start before an order is let through, ms, beside the candles it waits for. */
  warmUpMs?(parameters: ParametersOf<Specs>): number;
  create(parameters: ParametersOf<Specs>): Strategy;
}

/** Declares a strategy; the values its functions receive have the types its parameters declare. */
export const defineStrategy = <const Specs extends ParameterSpecs>(
  definition: TypedStrategyDefinition<Specs>,
): StrategyDefinition => ({
  ...(definition as unknown as StrategyDefinition),
  portVersion: STRATEGY_PORT_VERSION,
});
