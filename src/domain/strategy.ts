/**
 * The strategy port, version 1. A strategy sees events and read-only views and returns intents; it performs no I/O.
 * The same class runs in backtest, on the paper exchange, in dry run and live.
 */
import type { BookView } from './book-view.js';
import type { Instrument, Side } from './instrument.js';
import type { PublicTrade } from './market-events.js';
import type { Amount, Price, Quantity } from './money.js';
import type { Fill, Order } from './order.js';
import type { Denial } from './order-events.js';
import type { Now } from './step.js';
import type { Balance } from './venue-port.js';

export const STRATEGY_PORT_VERSION = 1;

/** A position and its accounts, in quote of the symbol. */
export interface PositionView {
  readonly symbol: string;
  /** Signed base quantity traded by the bot since the ledger began. */
  readonly quantity: Quantity;
  /** Average entry price; null when flat. */
  readonly averagePrice: Price | null;
  /** Net of fees and tax. */
  readonly realized: Amount;
  readonly fees: Amount;
  readonly taxes: Amount;
}

/** A declared parameter: its type, range and default; `btcbot strategies` lists them. */
export type ParameterSpec =
  | {
      readonly type: 'number';
      readonly default: number;
      readonly min: number;
      readonly max: number;
      readonly unit: string;
      readonly about: string;
    }
  | {
      readonly type: 'integer';
      readonly default: number;
      readonly min: number;
      readonly max: number;
      readonly unit: string;
      readonly about: string;
    }
  /** An exact decimal, given as text or number. */
  | {
      readonly type: 'decimal';
      readonly default: string;
      readonly min: string;
      readonly max: string;
      readonly unit: string;
      readonly about: string;
    }
  | { readonly type: 'boolean'; readonly default: boolean; readonly about: string }
  | {
      readonly type: 'choice';
      readonly default: string;
      readonly choices: readonly string[];
      readonly about: string;
    };

export type ParameterValues = Readonly<Record<string, number | string | boolean>>;

/** What a strategy may look at during a call; views are valid for that call only. */
export interface StrategyView {
  readonly now: Now;
  readonly symbols: readonly string[];
  instrument(symbol: string): Instrument;
  /** The newest book, or undefined before the first one. */
  book(symbol: string): BookView | undefined;
  position(symbol: string): PositionView;
  balance(asset: string): Balance | undefined;
  /** Own orders that have not ended, including those still on their way, oldest first. */
  openOrders(symbol?: string): readonly Order[];
  /** Intents given whose fate is not known yet. */
  readonly pendingIntents: number;
  /** Fee plus tax rates of the account, parts per million of the notional value. */
  readonly makerPpm: number;
  readonly takerPpm: number;
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
      /** Short name for reports ("entry", "bid"). */
      readonly tag?: string;
    }
  | { readonly type: 'cancel'; readonly intentId: string };

/** What happened to the strategy's own orders. */
export type StrategyOrderEvent =
  | { readonly type: 'order'; readonly order: Order; readonly fill: Fill | null }
  | { readonly type: 'denied'; readonly intentId: string; readonly denial: Denial };

/** A running strategy. Every callback may be absent; each returns the intents it gives rise to. */
export interface Strategy {
  onStart?(view: StrategyView): readonly StrategyIntent[];
  onBook?(view: StrategyView, book: BookView): readonly StrategyIntent[];
  onTrade?(view: StrategyView, trade: PublicTrade): readonly StrategyIntent[];
  onOrder?(view: StrategyView, event: StrategyOrderEvent): readonly StrategyIntent[];
  /** Called every `timerMs` of the definition. */
  onTimer?(view: StrategyView): readonly StrategyIntent[];
  onStop?(view: StrategyView): readonly StrategyIntent[];
  /** State to keep across restarts, as JSON text. */
  save?(): string;
  load?(state: string): void;
}

/** A strategy as it is found, listed and started. */
export interface StrategyDefinition {
  readonly portVersion: 1;
  readonly name: string;
  readonly about: string;
  readonly parameters: Readonly<Record<string, ParameterSpec>>;
  /** Interval of `onTimer`, ms; absent for no timer. */
  timerMs?(parameters: ParameterValues): number;
  create(parameters: ParameterValues): Strategy;
}
