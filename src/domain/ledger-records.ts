import type { FoldedBooks } from './books-checkpoint.js';
import type { CancelOrigin } from './fence.js';
import type { Amount, Quantity } from './money.js';
import type { ClientOrderId, Fill, Order, OrderState, OrderTerms, TradeId } from './order.js';
import type { Hold } from './safety.js';
import type { EventId } from './step.js';
import type { Balance, CashMovement } from './venue-port.js';

/** One fact for the ledger. Appended, never changed. Times are Unix ms, UTC. */
export type LedgerRecord =
  /** Must be durable before the first byte of its POST leaves. */
  | { readonly type: 'order-intended'; readonly order: Order }
  | {
      readonly type: 'order-moved';
      readonly clientOrderId: ClientOrderId;
      readonly state: OrderState;
      readonly atMs: number;
      readonly cause: EventId;
      readonly detail: string;
    }
  /** Booked once per trade id; a repeat is ignored and counted. */
  | { readonly type: 'fill'; readonly fill: Fill; readonly bookedAtMs: number }
  /** The account as the venue showed it. `opening` marks the baseline from which the ledger's own sums start. */
  | {
      readonly type: 'balances';
      readonly atMs: number;
      readonly opening: boolean;
      readonly balances: readonly Balance[];
      /** Of an opening: the ids of the deposits and withdrawals that the venue listed with these balances. */
      readonly movementIds?: readonly string[];
    }
  | { readonly type: 'cash-movement'; readonly movement: CashMovement }
  | { readonly type: 'hold-placed'; readonly hold: Hold; readonly atMs: number }
  | { readonly type: 'hold-released'; readonly key: string; readonly atMs: number; readonly by: string }
  | {
      readonly type: 'audit';
      readonly atMs: number;
      readonly actor: string;
      readonly event: string;
      readonly id: EventId;
      readonly cause: EventId;
      readonly facts: Readonly<Record<string, string | number | boolean | null>>;
    }
  /** An operator ordered every open order canceled: it stands for those intended until then, also across a restart. */
  | {
      readonly type: 'cancel-all-ordered';
      readonly atMs: number;
      readonly reason: string;
      readonly id: EventId;
    }
  | {
      readonly type: 'strategy-saved';
      readonly strategy: string;
      readonly state: string;
      readonly atMs: number;
    }
  | { readonly type: 'mark'; readonly symbol: string; readonly price: Amount; readonly atMs: number }
  /** Only the newest counts. */
  | { readonly type: 'valuation'; readonly valuation: Valuation };

/**
 * The bot's own profit marked to market, kept so that the day's loss and the fall from the peak survive a restart.
 * Amounts are in TRY, net of fees and tax, counted from the opening of the ledger.
 */
export interface Valuation {
  readonly atMs: number;
  readonly profitTry: Amount;
  readonly peakProfitTry: Amount;
  /** Unix ms of the start of the UTC+3 trading day that `dayStartProfitTry` belongs to. */
  readonly dayStartMs: number;
  readonly dayStartProfitTry: Amount;
}

/** What limits on a period count of an order, whatever became of it. */
export interface RecentOrder {
  readonly intendedAtMs: number;
  readonly terms: OrderTerms;
}

/** Somebody wanted an open order ended, and it has not. */
export interface StandingWish {
  readonly clientOrderId: ClientOrderId;
  /** The strongest of those who wanted it. */
  readonly origin: CancelOrigin;
  readonly reason: string;
  readonly cause: EventId;
}

/** What the older fills have come to, in place of the fills themselves. */
export interface BooksCheckpoint {
  readonly books: FoldedBooks;
  /** The trades in it. */
  readonly tradeIds: readonly TradeId[];
  /** Booked base quantity, with the newer fills too, of every order that may still be spoken of. */
  readonly booked: ReadonlyMap<ClientOrderId, Quantity>;
}

/** What a restarted bot knows before it has asked the venue anything. */
export interface LedgerSnapshot {
  /** Random id of this database, made when it was created; part of every client order id. */
  readonly instance: string;
  /** Orders that have not ended, oldest first. */
  readonly openOrders: readonly Order[];
  /** Of the open orders, those that were to end. */
  readonly cancelWishes: readonly StandingWish[];
  /**
   * Orders of the last {@link RECENT_ORDERS_MS} before the newest one, oldest first; null when there are too many to be
   * told, or when nobody asked for them, which must count as every limit being used up.
   */
  readonly recentOrders: readonly RecentOrder[] | null;
  /** The booked fills that were asked for, oldest first. */
  readonly fills: readonly Fill[];
  /** What stands before `fills`; null or absent when nothing does. */
  readonly checkpoint?: BooksCheckpoint | null;
  readonly openingBalances: readonly Balance[];
  /**
   * The venue's time of the opening balances, Unix ms: what others traded before it is part of them. Null while the
   * ledger has none, which says that nothing was ever opened (an empty account has an opening too).
   */
  readonly openingAtMs: number | null;
  /** The deposits and withdrawals that are part of the opening balances, by id; absent when the ledger does not say. */
  readonly openingMovementIds?: readonly string[];
  /** The newest valuation, or null before the first one. */
  readonly valuation: Valuation | null;
  readonly cashMovements: readonly CashMovement[];
  readonly holds: readonly Hold[];
  readonly strategyStates: ReadonlyMap<string, string>;
  /** Unix ms of the newest record of an earlier run; 0 in a new database. */
  readonly lastRecordAtMs: number;
}

/** How far back orders count in any limit on a period. */
export const RECENT_ORDERS_MS = 600_000;

/**
 * The number of a worker's first batch. Those of different incarnations never meet, so that an answer meant for one that
 * is gone confirms nothing to its successor.
 */
export const firstBatch = (incarnation: number): number => incarnation * 2 ** 32 + 1;

/** A batch of facts. With `durable` the sender is told once it is on disk; without, it is written with the next commit. */
export interface AppendRequest {
  readonly type: 'append';
  readonly batch: number;
  readonly durable: boolean;
  readonly records: readonly LedgerRecord[];
}

export type LedgerReply =
  | { readonly type: 'appended'; readonly batch: number }
  | { readonly type: 'append-failed'; readonly batch: number; readonly reason: string };

/** Every fill of a symbol is wanted: one belongs before what the asker's books have folded. */
export interface FillsWanted {
  readonly type: 'fills-wanted';
  readonly symbol: string;
}

/** Own fills and those of others. */
export interface FillsGiven {
  readonly type: 'fills-given';
  readonly symbol: string;
  readonly fills: readonly Fill[];
}
