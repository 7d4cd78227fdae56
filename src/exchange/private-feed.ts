/** Private frames: 201, 423, 441, 451, 452 (protocol section 9.11). They go to every socket the account is logged in on. */
import {
  formatDecimal,
  formatFixed,
  notional,
  type Price,
  parseDecimal,
  type Quantity,
} from '../domain/money.js';
import type { Account, AccountOrder, AccountTrade } from './accounts.js';
import { faultOn, numberOf, strikes } from './faults.js';
import { commissionOf, ratesOf } from './fees.js';
import { sendFrame } from './frames.js';
import { later, marketOf, type VenueState } from './venue-state.js';
import { atLeast, exact, toJson, type Wire } from './wire.js';

const METHOD_NUMBER = { limit: 0, market: 1, 'stop-limit': 2, 'stop-market': 3 } as const;
/** Models that stop after a faulty re-login. */
const MUTED_MODELS = [441, 451, 452];

/** 451: the order is in the book, or waits for its stop price. */
export const tellInserted = (venue: VenueState, order: AccountOrder): void => {
  tell(venue, order.account, 451, {
    ...orderFields(venue, 451, order),
    price: formatDecimal(shownPrice(order)),
    amount: formatDecimal(order.quantity),
    numLeft: formatDecimal(order.remaining),
    denomLeft: formatDecimal(denomLeft(order, order.remaining)),
    newOrderClientId: order.clientOrderId,
  });
};

/** 452: the order has left the book, by a cancel, a trigger or an operator. `numLeft` is what the cancel saw. */
export const tellRemoved = (venue: VenueState, order: AccountOrder, numLeft: Quantity): void => {
  tell(venue, order.account, 452, {
    ...orderFields(venue, 452, order),
    price: formatFixed(shownPrice(order), 16),
    amount: formatFixed(order.quantity, 16),
    numLeft: formatFixed(numLeft, 16),
    denomLeft: formatFixed(denomLeft(order, numLeft), 16),
    newOrderClientId: order.clientOrderId,
  });
};

/** 441 at once, 423 after settlement, 201 as a hint. */
export const tellFill = (venue: VenueState, order: AccountOrder, trade: AccountTrade): void => {
  const { account, symbol } = order;
  const wrong = strikes(venue.faults, 'wrong-441-amount', { symbol });
  const shown = wrong === undefined ? trade.quantity : scaled(trade.quantity, numberOf(wrong));
  const { pairId } = marketOf(venue, symbol).listing;
  tell(venue, account, 441, {
    type: 441,
    id: order.orderId,
    user: account.userId,
    isBid: order.side === 'buy',
    method: METHOD_NUMBER[order.method],
    pair: pairId,
    symbol,
    amount: formatFixed(shown, 10, 'half-up'),
    price: formatFixed(trade.price, 10),
    clientId: order.clientOrderId,
    timestamp: String(trade.atMs),
  });
  const late = strikes(venue.faults, 'late-423', { symbol });
  const waitMs = venue.config.latency.userTradeMs + (late === undefined ? 0 : numberOf(late));
  const row = `[423,${toJson(tradeRow(venue, trade))}]`;
  const copies = strikes(venue.faults, 'duplicate-423', { symbol }) === undefined ? 1 : 2;
  for (let copy = 0; copy < copies; copy++) tellLater(venue, account, 423, row, waitMs);
  tellLater(venue, account, 201, balanceHint(venue, order), waitMs);
};

/** 201 on its own, after funds were released. */
export const tellBalance = (venue: VenueState, order: AccountOrder): void => {
  tellLater(venue, order.account, 201, balanceHint(venue, order), venue.config.latency.userTradeMs);
};

/** Sends a private frame that has waited, or is due now. */
export const sendPrivate = (venue: VenueState, account: Account, model: number, text: string): void => {
  const dropped = faultOn(venue.faults, 'drop-private')?.value?.split('+').includes(String(model)) ?? false;
  if (dropped && strikes(venue.faults, 'drop-private') !== undefined) return;
  for (const session of venue.sockets.values()) {
    if (session.account !== account) continue;
    if (session.muted && MUTED_MODELS.includes(model)) continue;
    sendFrame(venue, session, text);
  }
};

/** A trade as 423 and `users/transactions/trade` show it (protocol section 5.2). */
export const tradeRow = (venue: VenueState, trade: AccountTrade): Wire => {
  const { order } = trade;
  const { quantityScale } = marketOf(venue, order.symbol).listing;
  const signed = order.side === 'buy' ? trade.quantity : -trade.quantity;
  return {
    price: formatDecimal(trade.price),
    numeratorSymbol: order.base,
    denominatorSymbol: order.quote,
    orderType: order.side,
    orderId: order.orderId,
    orderClientId: order.clientOrderId,
    id: trade.tradeId,
    timestamp: trade.atMs,
    amount: formatFixed(signed, quantityScale, 'half-up'),
    fee: cost(trade.fee),
    tax: cost(trade.tax),
    preciseAmount: exact(signed),
  };
};

/** The price an order shows: its limit, else its stop price, else the first price it traded at. */
export const shownPrice = (order: Readonly<AccountOrder>): Price =>
  order.price !== 0n ? order.price : (order.stopPrice ?? order.firstFillPrice ?? 0n);

const cost = (value: bigint): string => (value === 0n ? '0' : atLeast(-value, 8));

const orderFields = (venue: VenueState, model: number, order: AccountOrder): Record<string, Wire> => ({
  type: model,
  pairId: marketOf(venue, order.symbol).listing.pairId,
  symbol: order.symbol,
  id: order.orderId,
  method: METHOD_NUMBER[order.method],
  userId: order.account.userId,
  orderType: order.side === 'buy' ? 0 : 1,
});

/** What the remainder is worth with the taker's commission: added for buys, taken off for sells. */
const denomLeft = (order: AccountOrder, left: Quantity): bigint => {
  const value = notional(shownPrice(order), left);
  const commission = commissionOf(value, ratesOf(order.account.feeLevel, order.quote).takerPpm);
  return order.side === 'buy' ? value + commission : value - commission;
};

const balanceHint = (venue: VenueState, order: AccountOrder): string => {
  const { pairId } = marketOf(venue, order.symbol).listing;
  const idOf = (asset: string): number =>
    venue.currencies.find(currency => currency.asset === asset)?.currencyId ?? 0;
  return `[201,${toJson({
    type: 201,
    userId: order.account.userId,
    payload: `${pairId},${idOf(order.base)},${idOf(order.quote)}`,
  })}]`;
};

const tell = (venue: VenueState, account: Account, model: number, payload: Wire): void =>
  sendPrivate(venue, account, model, `[${model},${toJson(payload)}]`);

const tellLater = (
  venue: VenueState,
  account: Account,
  model: number,
  text: string,
  waitMs: number,
): void => {
  if (waitMs <= 0) sendPrivate(venue, account, model, text);
  else later(venue, waitMs, { type: 'private-frame', account, model, text });
};

const scaled = (value: bigint, factor: number): bigint =>
  (value * parseDecimal(factor.toFixed(6))) / parseDecimal('1');
