/** The bot's books against the exchange's account: computed here on purpose by other means than the bot's own. */
import type { LedgerSnapshot } from '../domain/ledger-records.js';
import { type Amount, divide, formatDecimal, ONE, type Quantity } from '../domain/money.js';
import { filledQuantity, venueOrderIdOf } from '../domain/order.js';
import type { Account } from '../exchange/accounts.js';

/** Everything in which the ledger and the exchange's account differ, to the last digit; empty when they agree. */
export const bookDifferences = (ledger: LedgerSnapshot, account: Account): readonly string[] => [
  ...fillDifferences(ledger, account),
  ...balanceDifferences(ledger, account),
  ...openOrderDifferences(ledger, account),
];

const fillDifferences = (ledger: LedgerSnapshot, account: Account): string[] => {
  const differences: string[] = [];
  const booked = new Map(ledger.fills.map(fill => [fill.tradeId, fill]));
  if (booked.size !== ledger.fills.length) differences.push('a trade is booked twice');
  for (const trade of account.trades) {
    const tradeId = trade.tradeId.toString();
    const fill = booked.get(tradeId);
    booked.delete(tradeId);
    if (fill === undefined) {
      // A person's trade before the ledger was opened is in its opening balances, and the balances are compared too.
      if (trade.atMs < (ledger.openingAtMs ?? 0) && !isOurs(trade.order)) continue;
      differences.push(`trade ${tradeId} is not in the ledger`);
      continue;
    }
    const compare = (what: string, ours: bigint | string, theirs: bigint | string): void => {
      if (ours !== theirs)
        differences.push(`trade ${tradeId}: ${what} ${shown(ours)}, and ${shown(theirs)} there`);
    };
    compare('order', fill.venueOrderId, String(trade.order.orderId));
    compare('symbol', fill.symbol, trade.order.symbol);
    compare('side', fill.side, trade.order.side);
    compare('price', fill.price, trade.price);
    compare('quantity', fill.quantity, trade.quantity);
    compare('fee', fill.fee, trade.fee);
    compare('tax', fill.tax, trade.tax);
  }
  for (const tradeId of booked.keys()) differences.push(`trade ${tradeId} is in the ledger only`);
  return differences;
};

const isOurs = ({ clientOrderId }: { readonly clientOrderId: string }): boolean =>
  clientOrderId.startsWith('bb-');

/** Opening balances, plus movements, plus what each fill did, asset by asset. */
const balanceDifferences = (ledger: LedgerSnapshot, account: Account): string[] => {
  if (ledger.openingAtMs === null) return account.trades.length === 0 ? [] : ['the ledger was never opened'];
  const totals = new Map<string, bigint>();
  const add = (asset: string, amount: bigint): void => {
    totals.set(asset, (totals.get(asset) ?? 0n) + amount);
  };
  for (const { asset, total } of ledger.openingBalances) add(asset, total);
  for (const { asset, amount, fee, tax } of ledger.cashMovements) add(asset, amount - fee - tax);
  for (const fill of ledger.fills) {
    const quote = fill.feeAsset;
    const base = fill.symbol.slice(0, -quote.length);
    const value = divide(fill.price * fill.quantity, ONE, 'half-up');
    add(base, fill.side === 'buy' ? fill.quantity : -fill.quantity);
    add(quote, (fill.side === 'buy' ? -value : value) - fill.fee - fill.tax);
  }
  const assets = new Set([...totals.keys(), ...account.holdings.keys()]);
  return [...assets].flatMap(asset => {
    const ours = totals.get(asset) ?? 0n;
    const theirs = account.holdings.get(asset)?.total ?? 0n;
    return ours === theirs ? [] : [`${asset}: ${shown(ours)}, and ${shown(theirs)} there`];
  });
};

const openOrderDifferences = (ledger: LedgerSnapshot, account: Account): string[] => {
  const differences: string[] = [];
  const known = new Map(ledger.openOrders.map(order => [venueOrderIdOf(order.state), order]));
  for (const open of account.open.values()) {
    // Orders of others are seen and reported, and are not in the ledger.
    if (!isOurs(open)) continue;
    const order = known.get(String(open.orderId));
    if (order === undefined) differences.push(`open order ${open.orderId} is not open in the ledger`);
    else if (filledQuantity(order.state) !== open.filled)
      differences.push(
        `open order ${open.orderId}: ${shown(filledQuantity(order.state))} filled, and ${shown(open.filled)} there`,
      );
  }
  for (const order of ledger.openOrders) {
    const venueOrderId = venueOrderIdOf(order.state);
    if (venueOrderId === null || !account.open.has(Number(venueOrderId)))
      differences.push(
        `order ${order.clientOrderId} is ${order.state.status} in the ledger, and not open there`,
      );
  }
  return differences;
};

/** What an actor holds a symbol's position to be, traded by the bot since the ledger began. */
export interface BelievedPosition {
  readonly by: string;
  readonly symbol: string;
  readonly quantity: Quantity;
  /** Fees and taxes paid, in quote; null when that actor does not keep them. */
  readonly costs: Amount | null;
}

/** In what an actor's positions differ from the trades at the exchange. */
export const positionDifferences = (
  believed: readonly BelievedPosition[],
  trades: Account['trades'],
): readonly string[] => {
  const traded = new Map<string, { quantity: Quantity; costs: Amount }>();
  for (const { order, quantity, fee, tax } of trades) {
    if (!order.clientOrderId.startsWith('bb-')) continue;
    const sum = traded.get(order.symbol) ?? { quantity: 0n, costs: 0n };
    sum.quantity += order.side === 'buy' ? quantity : -quantity;
    sum.costs += fee + tax;
    traded.set(order.symbol, sum);
  }
  return believed.flatMap(({ by, symbol, quantity, costs }) => {
    const there = traded.get(symbol) ?? { quantity: 0n, costs: 0n };
    const differences: string[] = [];
    if (quantity !== there.quantity)
      differences.push(`${by}'s ${symbol}: ${shown(quantity)}, and ${shown(there.quantity)} there`);
    if (costs !== null && costs !== there.costs)
      differences.push(`${by}'s costs on ${symbol}: ${shown(costs)}, and ${shown(there.costs)} there`);
    return differences;
  });
};

const shown = (value: bigint | string): string => (typeof value === 'bigint' ? formatDecimal(value) : value);

/**
 * As {@link positionDifferences}, for positions that were told a while ago: they may lack any of the newest trades, but none
 * of the first `since`.
 */
export const pictureDifferences = (
  told: readonly BelievedPosition[],
  trades: Account['trades'],
  since: number,
): readonly string[] => {
  for (let count = trades.length; count >= since; count--)
    if (positionDifferences(told, trades.slice(0, count)).length === 0) return [];
  return positionDifferences(told, trades);
};
