/** Private reads: balances, orders, trades, cash movements (protocol section 5). */
import { formatDecimal, formatFixed, parseDecimal } from '../domain/money.js';
import { type Account, type AccountOrder, type Holding, viewAt } from './accounts.js';
import { faultOn, numberOf, strikes } from './faults.js';
import type { Currency } from './instruments.js';
import { findMarket, methodWord, unknownPair } from './order-entry.js';
import { shownPrice, tradeRow } from './private-feed.js';
import { json, refusal } from './refusals.js';
import { type HttpReply, type HttpRequest, marketOf, serverMs, type VenueState } from './venue-state.js';
import { atLeast, envelope, stored, type Wire } from './wire.js';

/** The venue shows at most this many trades, the newest (protocol section 5.2). */
const MOST_TRADES = 200;
const THIRTY_DAYS_MS = 30 * 86_400_000;
const NOTHING: Readonly<Holding> = { total: 0n, locked: 0n };

export const balances = (venue: VenueState, account: Account): HttpReply => {
  const stale = faultOn(venue.faults, 'stale-balances');
  const strike = stale === undefined ? undefined : strikes(venue.faults, 'stale-balances');
  const view = strike === undefined ? undefined : viewAt(account, serverMs(venue) - numberOf(strike));
  const holdings: ReadonlyMap<string, Readonly<Holding>> = view?.holdings ?? account.holdings;
  const wrong = strikes(venue.faults, 'wrong-balance');
  const extra = wrong?.value === undefined || wrong.value === null ? 0n : parseDecimal(wrong.value);
  const rows = venue.currencies.map(currency =>
    balanceRow(venue, currency, holdings.get(currency.asset) ?? NOTHING, extra, view?.atMs),
  );
  return json(200, envelope(rows, null));
};

export const openOrders = (venue: VenueState, account: Account, request: HttpRequest): HttpReply => {
  const pair = new URLSearchParams(request.query).get('pairSymbol');
  const market = pair === null || pair === '' ? undefined : findMarket(venue, pair);
  if (pair !== null && pair !== '' && market === undefined) return refusal(unknownPair(pair));
  const stale = strikes(venue.faults, 'stale-open-orders');
  const view = stale === undefined ? undefined : viewAt(account, serverMs(venue) - numberOf(stale));
  const orders = [...(view?.open ?? account.open.values())].filter(
    order => market === undefined || order.symbol === market.listing.symbol,
  );
  const side = (name: 'buy' | 'sell'): Wire =>
    inListOrder(
      venue,
      orders.filter(order => order.side === name),
    ).map(order => ({ ...orderRow(venue, order), time: 0 }));
  return json(200, envelope({ asks: side('sell'), bids: side('buy') }));
};

export const allOrders = (venue: VenueState, account: Account, request: HttpRequest): HttpReply => {
  const query = new URLSearchParams(request.query);
  const pair = query.get('pairSymbol');
  if (pair === null || pair === '') return refusal('INVALID_REQUEST_ERROR');
  const market = findMarket(venue, pair);
  if (market === undefined) return refusal(unknownPair(pair));
  const startS = wholeNumber(query.get('startTime')) ?? 0;
  const endS = wholeNumber(query.get('endTime')) ?? 0;
  const nowS = serverMs(venue) / 1_000;
  // What milliseconds in place of seconds run into (protocol section 5.6).
  if (startS > nowS) return refusal('startTime cannot be bigger than current unix timestamp.');
  const limit = Math.max(1, Math.min(wholeNumber(query.get('limit')) ?? 100, 1_000));
  const page = Math.max(1, wholeNumber(query.get('page')) ?? 1);
  const fromId = wholeNumber(query.get('orderId')) ?? 0;
  const orders = [...account.orders.values()].filter(
    order =>
      order.symbol === market.listing.symbol &&
      order.orderId >= fromId &&
      (startS === 0 || order.createdAtMs >= startS * 1_000) &&
      (endS === 0 || order.createdAtMs < (endS + 1) * 1_000),
  );
  const newestFirst = orders.reverse().slice((page - 1) * limit, page * limit);
  const rows = faultOn(venue.faults, 'list-oldest-first') === undefined ? newestFirst : newestFirst.reverse();
  return json(200, envelope(rows.map(order => orderRow(venue, order))));
};

/** `GET order/{id}`; an unknown id is a 400, not a 404 (protocol section 5.7). */
export const singleOrder = (venue: VenueState, account: Account, orderId: string): HttpReply => {
  const order = /^\d{1,16}$/.test(orderId) ? account.orders.get(Number(orderId)) : undefined;
  return order === undefined ? refusal('Order not found') : json(200, envelope(orderRow(venue, order)));
};

export const userTrades = (venue: VenueState, account: Account, request: HttpRequest): HttpReply => {
  if (strikes(venue.faults, 'empty-trades') !== undefined) return json(200, envelope([]));
  const query = new URLSearchParams(request.query);
  const orderId = query.get('orderId');
  const sides = query.getAll('type').map(type => type.toLowerCase());
  const assets = query.getAll('symbol').map(asset => asset.toUpperCase());
  const pair = query.get('pairSymbol');
  const symbol = pair === null || pair === '' ? undefined : findMarket(venue, pair)?.listing.symbol;
  if (pair !== null && pair !== '' && symbol === undefined) return refusal(unknownPair(pair));
  const { fromMs, toMs } = windowOf(venue, query);
  const late = strikes(venue.faults, 'late-trades');
  const visibleMs = late === undefined ? Number.POSITIVE_INFINITY : serverMs(venue) - numberOf(late);
  const rows: Wire[] = [];
  for (let index = account.trades.length - 1; index >= 0 && rows.length < MOST_TRADES; index--) {
    const trade = account.trades[index]!;
    const { order } = trade;
    if (trade.atMs > visibleMs || trade.atMs < fromMs || trade.atMs > toMs) continue;
    if (orderId !== null && String(order.orderId) !== orderId) continue;
    if (sides.length > 0 && !sides.includes(order.side)) continue;
    if (assets.length > 0 && !assets.includes(order.base) && !assets.includes(order.quote)) continue;
    if (symbol !== undefined && order.symbol !== symbol) continue;
    rows.push(tradeRow(venue, trade));
  }
  if (faultOn(venue.faults, 'list-oldest-first') !== undefined) rows.reverse();
  return json(200, envelope(rows));
};

/** Deposits and withdrawals of coins, or of money. */
export const movements = (
  venue: VenueState,
  account: Account,
  request: HttpRequest,
  kind: Currency['kind'],
): HttpReply => {
  const query = new URLSearchParams(request.query);
  const kinds = query.getAll('type').map(type => type.toLowerCase());
  const assets = query.getAll('symbol').map(asset => asset.toUpperCase());
  const { fromMs, toMs } = windowOf(venue, query);
  const rows: Wire[] = [];
  for (const movement of account.movements) {
    const currency = venue.currencies.find(candidate => candidate.asset === movement.asset);
    const balanceType = movement.amount < 0n ? 'withdrawal' : 'deposit';
    if ((currency?.kind ?? 'CRYPTO') !== kind) continue;
    if (movement.atMs < fromMs || movement.atMs > toMs) continue;
    if (kinds.length > 0 && !kinds.includes(balanceType)) continue;
    if (assets.length > 0 && !assets.includes(movement.asset)) continue;
    rows.push({
      id: movement.movementId,
      timestamp: movement.atMs,
      currencySymbol: movement.asset,
      balanceType,
      amount: atLeast(movement.amount, kind === 'FIAT' ? 2 : 8),
      fee: '0',
      tax: '0',
      ...(kind === 'FIAT'
        ? {}
        : { address: null, tag: null, txHash: null, confirmationCount: 20, isConfirmed: true }),
    });
  }
  if (faultOn(venue.faults, 'list-oldest-first') === undefined) rows.reverse();
  return json(200, envelope(rows));
};

/** The order model (protocol section 5.4). */
const orderRow = (venue: VenueState, order: Readonly<AccountOrder>): Record<string, Wire> => {
  const { quantityScale } = marketOf(venue, order.symbol).listing;
  const amount = atLeast(order.quantity, quantityScale);
  return {
    id: order.orderId,
    price: formatDecimal(shownPrice(order)),
    amount,
    quantity: amount,
    stopPrice: formatDecimal(order.stopPrice ?? 0n),
    pairSymbol: order.symbol,
    pairSymbolNormalized: `${order.base}_${order.quote}`,
    type: order.side,
    method: methodWord(order.method),
    orderClientId: order.clientOrderId,
    time: order.createdAtMs,
    updateTime: order.updatedAtMs,
    status: statusOf(order),
    leftAmount: formatFixed(order.remaining, 16),
  };
};

const statusOf = (order: Readonly<AccountOrder>): string => {
  if (order.status === 'canceled') return 'Canceled';
  if (order.status === 'closed') return 'Closed';
  return order.filled > 0n ? 'Partial' : 'Untouched';
};

const balanceRow = (
  venue: VenueState,
  currency: Currency,
  held: Readonly<Holding>,
  extra: bigint,
  atMs: number | undefined,
): Wire => {
  const comma = faultOn(venue.faults, 'comma-balances') !== undefined;
  const print = (value: bigint): string => (comma ? stored(value).replace('.', ',') : stored(value));
  return {
    asset: currency.asset,
    assetname: currency.name,
    balance: print(held.total + extra),
    locked: print(held.locked),
    free: print(held.total - held.locked + extra),
    orderFund: print(held.locked),
    requestFund: '0',
    precision: currency.precision,
    timestamp: atMs ?? serverMs(venue),
  };
};

/** Lists are newest first unless the switch says otherwise. */
const inListOrder = <Row>(venue: VenueState, rows: Row[]): Row[] =>
  faultOn(venue.faults, 'list-oldest-first') === undefined ? rows.reverse() : rows;

/** Transactions take milliseconds; the last 30 days without them. */
const windowOf = (
  venue: VenueState,
  query: URLSearchParams,
): { readonly fromMs: number; readonly toMs: number } => ({
  fromMs: wholeNumber(query.get('startDate')) ?? serverMs(venue) - THIRTY_DAYS_MS,
  toMs: wholeNumber(query.get('endDate')) ?? Number.POSITIVE_INFINITY,
});

const wholeNumber = (text: string | null): number | undefined =>
  text !== null && /^\d{1,16}$/.test(text) ? Number(text) : undefined;
