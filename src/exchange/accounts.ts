/**
 * Accounts as a fold of their events: what an account owns, its orders, its trades and its cash movements follow from
 * the events alone, so that one replayed from its file is the one that was killed.
 *
 * Invariants: `0 <= locked <= total` for every asset; the locked sum of an asset is the sum over its open orders; an
 * order never costs more than was locked for it.
 */
import type { KeyObject } from 'node:crypto';
import type { OrderMethod, Side } from '../domain/instrument.js';
import type { RestingOrder } from '../domain/matching.js';
import { type Amount, notional, type Price, type Quantity } from '../domain/money.js';
import { signingKey } from './auth.js';

/** What is known of an order from its acceptance on. */
export interface OrderRecord {
  /** About 3×10^10: below 2^53. */
  readonly orderId: number;
  readonly clientOrderId: string;
  readonly symbol: string;
  readonly base: string;
  readonly quote: string;
  readonly side: Side;
  readonly method: OrderMethod;
  /** Limit price; 0 for market orders. */
  readonly price: Price;
  readonly stopPrice: Price | null;
  /** Original base quantity; for a market buy what its budget bought or would have bought. */
  readonly quantity: Quantity;
  /** Quote to spend, commission included: market and stop-market buys only (protocol section 6.1). */
  readonly quoteQuantity: Amount | null;
  /** Worst price a market order may reach, fixed at submission; null for others. */
  readonly bound: Price | null;
  /** Locked at acceptance, in quote for buys and base for sells. */
  readonly locked: Amount;
}

/** An order as the account keeps it. */
export interface AccountOrder extends Omit<OrderRecord, 'quantity' | 'locked'> {
  readonly account: Account;
  quantity: Quantity;
  remaining: Quantity;
  filled: Quantity;
  locked: Amount;
  /** `accepted` until it enters the book; a stop order stays `accepted` until it triggers. */
  status: 'accepted' | 'working' | 'canceled' | 'closed';
  createdAtMs: number;
  updatedAtMs: number;
  /** Price of its first fill; null before. */
  firstFillPrice: Price | null;
  /** Its place in the book while it rests there. */
  resting: RestingOrder<AccountOrder | null> | null;
}

/** One execution of one of the account's orders. */
export interface AccountTrade {
  readonly tradeId: bigint;
  readonly order: AccountOrder;
  readonly price: Price;
  readonly quantity: Quantity;
  /** In quote, 0 or more. */
  readonly fee: Amount;
  readonly tax: Amount;
  readonly liquidity: 'maker' | 'taker';
  readonly atMs: number;
}

/** A deposit or a withdrawal; withdrawals have a negative amount. */
export interface Movement {
  readonly movementId: number;
  readonly asset: string;
  readonly amount: Amount;
  readonly atMs: number;
}

export interface Holding {
  total: Amount;
  locked: Amount;
}

/** What happens to an account; the only way it changes. Times are Unix ms. */
export type AccountEvent =
  | {
      readonly type: 'account-opened';
      readonly apiKey: string;
      /** Base64. */
      readonly apiSecret: string;
      readonly userId: number;
      readonly feeLevel: number;
      readonly atMs: number;
    }
  | ({ readonly type: 'moved' } & Movement)
  | { readonly type: 'order-accepted'; readonly order: OrderRecord; readonly atMs: number }
  | { readonly type: 'order-entered'; readonly orderId: number; readonly atMs: number }
  | {
      readonly type: 'order-filled';
      readonly orderId: number;
      readonly tradeId: bigint;
      readonly price: Price;
      readonly quantity: Quantity;
      readonly fee: Amount;
      readonly tax: Amount;
      readonly liquidity: 'maker' | 'taker';
      /** What stays locked for the order's remainder. */
      readonly lockedAfter: Amount;
      readonly atMs: number;
    }
  | {
      readonly type: 'order-ended';
      readonly orderId: number;
      readonly status: 'canceled' | 'closed';
      readonly reason: string;
      /** The order's base quantity as it is shown from now on. */
      readonly quantity: Quantity;
      readonly remaining: Quantity;
      readonly atMs: number;
    }
  | CarriedOver;

/** An order as it stands, without what only a running exchange knows of it. */
export type CarriedOrder = Omit<AccountOrder, 'account' | 'resting'>;

/** All that the events before it have come to, in their place; right behind the opening. */
export interface CarriedOver {
  readonly type: 'carried-over';
  readonly holdings: readonly ({ readonly asset: string } & Readonly<Holding>)[];
  /** In order of acceptance: those that are open, and those of late. */
  readonly orders: readonly CarriedOrder[];
  /** Of these orders, oldest first. */
  readonly trades: readonly (Omit<AccountTrade, 'order'> & { readonly orderId: number })[];
  readonly movements: readonly Movement[];
  readonly lastSettlementMs: number;
  readonly atMs: number;
}

/** What reads show while they are made stale: kept only while such a fault is on. */
export interface StaleView {
  readonly atMs: number;
  readonly holdings: ReadonlyMap<string, Readonly<Holding>>;
  readonly open: readonly Readonly<AccountOrder>[];
}

export interface Account {
  readonly apiKey: string;
  readonly apiSecret: string;
  /** Every public key that is accepted, with what it signs with: the first is its own, more may be added and revoked. */
  readonly keys: Map<string, KeyObject>;
  /** Those of `keys` that were made for the socket, where the two kinds are told apart. */
  readonly socketKeys: Set<string>;
  readonly userId: number;
  readonly feeLevel: number;
  readonly holdings: Map<string, Holding>;
  readonly orders: Map<number, AccountOrder>;
  /** Those of `orders` that have not ended, in order of acceptance. */
  readonly open: Map<number, AccountOrder>;
  /** Oldest first. */
  readonly trades: AccountTrade[];
  readonly movements: Movement[];
  /** Unix ms of the last fill or cancel. */
  lastSettlementMs: number;
  /** Socket logins so far. */
  logins: number;
  /** Former pictures, oldest first; null while nobody wants them. */
  staleViews: StaleView[] | null;
}

/** An event that does not fit the account it is applied to. */
export class AccountError extends Error {
  override readonly name = 'AccountError';
}

/** The account that an `account-opened` event describes. */
export const openAccount = (event: Extract<AccountEvent, { type: 'account-opened' }>): Account => ({
  apiKey: event.apiKey,
  apiSecret: event.apiSecret,
  keys: new Map([[event.apiKey, signingKey(event.apiSecret)]]),
  socketKeys: new Set(),
  userId: event.userId,
  feeLevel: event.feeLevel,
  holdings: new Map(),
  orders: new Map(),
  open: new Map(),
  trades: [],
  movements: [],
  lastSettlementMs: 0,
  logins: 0,
  staleViews: null,
});

/**
 * Applies one event after the opening one.
 * @throws AccountError when it contradicts what the account holds
 */
export const applyAccountEvent = (account: Account, event: AccountEvent): void => {
  switch (event.type) {
    case 'account-opened':
      throw new AccountError(`account ${account.apiKey} is opened twice`);
    case 'moved': {
      const held = holdingOf(account, event.asset);
      if (held.total - held.locked + event.amount < 0n)
        throw new AccountError(`a withdrawal of ${event.asset} exceeds what is free`);
      held.total += event.amount;
      account.movements.push({
        movementId: event.movementId,
        asset: event.asset,
        amount: event.amount,
        atMs: event.atMs,
      });
      break;
    }
    case 'order-accepted': {
      const { order } = event;
      const held = holdingOf(account, lockedAssetOf(order));
      if (order.locked > held.total - held.locked)
        throw new AccountError(`order ${order.orderId} locks more than is free`);
      held.locked += order.locked;
      const kept: AccountOrder = {
        ...order,
        account,
        remaining: order.quantity,
        filled: 0n,
        status: 'accepted',
        createdAtMs: event.atMs,
        updatedAtMs: event.atMs,
        firstFillPrice: null,
        resting: null,
      };
      account.orders.set(order.orderId, kept);
      account.open.set(order.orderId, kept);
      break;
    }
    case 'order-entered': {
      const order = openOrder(account, event.orderId);
      order.status = 'working';
      order.updatedAtMs = event.atMs;
      break;
    }
    case 'order-filled': {
      const order = openOrder(account, event.orderId);
      const value = notional(event.price, event.quantity);
      const base = holdingOf(account, order.base);
      const quote = holdingOf(account, order.quote);
      if (order.side === 'buy') {
        quote.total -= value + event.fee + event.tax;
        quote.locked -= order.locked - event.lockedAfter;
        base.total += event.quantity;
      } else {
        base.total -= event.quantity;
        base.locked -= order.locked - event.lockedAfter;
        quote.total += value - event.fee - event.tax;
      }
      order.locked = event.lockedAfter;
      order.filled += event.quantity;
      if (order.quoteQuantity === null) order.remaining -= event.quantity;
      order.firstFillPrice ??= event.price;
      order.updatedAtMs = event.atMs;
      account.lastSettlementMs = event.atMs;
      account.trades.push({
        tradeId: event.tradeId,
        order,
        price: event.price,
        quantity: event.quantity,
        fee: event.fee,
        tax: event.tax,
        liquidity: event.liquidity,
        atMs: event.atMs,
      });
      break;
    }
    case 'order-ended': {
      const order = openOrder(account, event.orderId);
      holdingOf(account, lockedAssetOf(order)).locked -= order.locked;
      order.locked = 0n;
      order.status = event.status;
      order.quantity = event.quantity;
      order.remaining = event.remaining;
      order.updatedAtMs = event.atMs;
      account.lastSettlementMs = event.atMs;
      account.open.delete(order.orderId);
      break;
    }
    case 'carried-over':
      carryOver(account, event);
      break;
  }
  if (account.staleViews !== null) rememberView(account, event.atMs);
};

const carryOver = (account: Account, event: CarriedOver): void => {
  if (account.orders.size > 0 || account.movements.length > 0)
    throw new AccountError(`account ${account.apiKey} is carried over behind other events`);
  for (const { asset, total, locked } of event.holdings) account.holdings.set(asset, { total, locked });
  for (const carried of event.orders) {
    const order: AccountOrder = { ...carried, account, resting: null };
    account.orders.set(order.orderId, order);
    if (order.status === 'accepted' || order.status === 'working') account.open.set(order.orderId, order);
  }
  for (const { orderId, ...trade } of event.trades) {
    const order = account.orders.get(orderId);
    if (order === undefined)
      throw new AccountError(`trade ${trade.tradeId} is of no order that is carried over`);
    account.trades.push({ ...trade, order });
  }
  account.movements.push(...event.movements);
  account.lastSettlementMs = event.lastSettlementMs;
};

/** What the trades endpoint looks back by itself (protocol section 5.2). */
const HISTORY_MS = 30 * 86_400_000;

/**
 * The same account in two events. What is open stays, and so does what has ended in the last thirty days of it, up to a
 * number; of the rest only what it has come to.
 * @param endedMax how many ended orders stay
 * @throws AccountError when the events contradict each other
 */
export const shorten = (events: readonly AccountEvent[], endedMax = 100_000): readonly AccountEvent[] => {
  const [opening, ...rest] = events;
  if (opening?.type !== 'account-opened')
    throw new AccountError('the first event of an account must be its opening');
  const account = openAccount(opening);
  let atMs = opening.atMs;
  for (const event of rest) {
    applyAccountEvent(account, event);
    atMs = Math.max(atMs, event.atMs);
  }
  const orders = [...account.orders.values()];
  const ended = orders.filter(({ orderId }) => !account.open.has(orderId));
  const late = ended.filter(({ updatedAtMs }) => updatedAtMs >= atMs - HISTORY_MS).slice(-endedMax);
  // No id is ever given out twice: the newest of each kind stays however old it is.
  const newest = [orders.at(-1), account.trades.at(-1)?.order].filter(order => order !== undefined);
  const kept = new Set([...account.open.values(), ...late, ...newest]);
  const carried: CarriedOver = {
    type: 'carried-over',
    holdings: [...account.holdings].map(([asset, held]) => ({ asset, ...held })),
    orders: orders
      .filter(order => kept.has(order))
      .map(({ account: _account, resting: _resting, ...order }) => order),
    trades: account.trades
      .filter(({ order }) => kept.has(order))
      .map(({ order, ...trade }) => ({ ...trade, orderId: order.orderId })),
    movements: account.movements,
    lastSettlementMs: account.lastSettlementMs,
    atMs,
  };
  return [opening, carried];
};

/** What the account holds of an asset; nothing is a holding of 0. */
export const holdingOf = (account: Account, asset: string): Holding => {
  let held = account.holdings.get(asset);
  if (held === undefined) {
    held = { total: 0n, locked: 0n };
    account.holdings.set(asset, held);
  }
  return held;
};

export const freeOf = (account: Account, asset: string): Amount => {
  const held = account.holdings.get(asset);
  return held === undefined ? 0n : held.total - held.locked;
};

/** The asset an order's funds are locked in. */
export const lockedAssetOf = (order: Pick<OrderRecord, 'side' | 'base' | 'quote'>): string =>
  order.side === 'buy' ? order.quote : order.base;

/** Keeps the account's present picture for reads that are made stale. */
export const rememberView = (account: Account, atMs: number): void => {
  account.staleViews ??= [];
  account.staleViews.push({
    atMs,
    holdings: new Map([...account.holdings].map(([asset, held]) => [asset, { ...held }])),
    open: [...account.open.values()].map(order => ({ ...order })),
  });
  if (account.staleViews.length > MAX_STALE_VIEWS) account.staleViews.shift();
};

/** The newest picture that is at least as old as this, or the oldest there is. */
export const viewAt = (account: Account, atMs: number): StaleView | undefined =>
  account.staleViews?.findLast(view => view.atMs <= atMs) ?? account.staleViews?.[0];

const MAX_STALE_VIEWS = 2_000;

const openOrder = (account: Account, orderId: number): AccountOrder => {
  const order = account.open.get(orderId);
  if (order === undefined) throw new AccountError(`order ${orderId} is not open`);
  return order;
};
