import { expect } from 'chai';
import { formatDecimal, notional, parseDecimal } from '#src/domain/money.js';
import { askVerb, type ClosingStatement } from './bot.js';

interface Balances {
  readonly balances: readonly {
    readonly asset: string;
    readonly total: string;
    readonly free: string;
    readonly locked: string;
    readonly difference: string;
  }[];
}
interface Orders {
  readonly orders: readonly {
    readonly clientOrderId: string;
    readonly venueOrderId: string | null;
    readonly filled: string;
    readonly intendedAt: string;
    readonly state: string;
  }[];
}
interface Fills {
  readonly fills: readonly {
    readonly tradeId: string;
    readonly price: string;
    readonly quantity: string;
    readonly fee: string;
    readonly tax: string;
  }[];
}
interface Profit {
  readonly symbols: readonly {
    readonly symbol: string;
    readonly position: string;
    readonly cost: string;
    readonly realized: string;
    readonly fees: string;
    readonly taxes: string;
  }[];
}

/**
 * The bot's books, as a person reads them from the command line, against the exchange's own statement: balances, fills
 * and profit equal to the last digit, every order there intended here before, none twice.
 */
export const expectBooksToEqual = async (
  statement: ClosingStatement,
  settings: Readonly<Record<string, string>>,
): Promise<void> => {
  const { balances } = await askVerb<Balances>('balances', settings);
  const reported = new Map(balances.map(balance => [balance.asset, balance]));
  for (const balance of statement.balances) {
    const { difference, ...shown } = reported.get(balance.asset) ?? { difference: 'absent' };
    expect(difference, `${balance.asset}: ledger against the venue`).to.equal('0');
    expect(shown).to.include({ total: balance.total, free: balance.free, locked: balance.locked });
  }

  const { orders } = await askVerb<Orders>('orders', settings);
  const byVenueId = new Map(orders.map(order => [order.venueOrderId, order]));
  expect(new Set(statement.orders.map(order => order.clientOrderId)).size).to.equal(statement.orders.length);
  for (const order of statement.orders) {
    const ours = byVenueId.get(String(order.orderId));
    expect(ours?.clientOrderId, `intent of venue order ${order.orderId}`).to.equal(order.clientOrderId);
    expect(Date.parse(ours?.intendedAt ?? '')).to.be.at.most(Date.parse(order.acceptedAt));
    expect(ours?.filled).to.equal(order.filled);
  }

  const { fills } = await askVerb<Fills>('fills', settings);
  const facts = (fill: Fills['fills'][number]): string =>
    [fill.tradeId, fill.price, fill.quantity, fill.fee, fill.tax].join(' ');
  expect(fills.map(facts).sort()).to.deep.equal(statement.trades.map(facts).sort());

  const { symbols } = await askVerb<Profit>('pnl', settings);
  const profit = symbols[0];
  if (profit === undefined) {
    expect(statement.trades).to.have.length(0);
    return;
  }
  // Worked from the exchange's rows alone: what was paid and received is cost still open plus realised profit.
  let position = 0n;
  let cash = 0n;
  let costs = 0n;
  for (const trade of statement.trades) {
    const quantity = parseDecimal(trade.quantity);
    const value = notional(parseDecimal(trade.price), quantity);
    position += trade.side === 'buy' ? quantity : -quantity;
    cash += trade.side === 'buy' ? -value : value;
    costs += parseDecimal(trade.fee) + parseDecimal(trade.tax);
  }
  expect(profit.position).to.equal(formatDecimal(position));
  expect(formatDecimal(parseDecimal(profit.fees) + parseDecimal(profit.taxes))).to.equal(
    formatDecimal(costs),
  );
  expect(formatDecimal(parseDecimal(profit.realized) - parseDecimal(profit.cost))).to.equal(
    formatDecimal(cash - costs),
  );
};
