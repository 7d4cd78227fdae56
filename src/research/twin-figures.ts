/** What a live run and its paper twin came to on the same orders, and the gaps between them. Money is exact. */
import type { Side } from '../domain/instrument.js';
import {
  type Amount,
  divide,
  min,
  multiply,
  notional,
  type Price,
  type Quantity,
  ratio,
  toNumber,
} from '../domain/money.js';

/** What came of one order in one run. Value and costs (fee and tax) in quote. */
export interface Outcome {
  quantity: Quantity;
  value: Amount;
  costs: Amount;
}

export const nothing = (): Outcome => ({ quantity: 0n, value: 0n, costs: 0n });

/** One limit order that has ended in both runs. */
export interface OrderPair {
  readonly side: Side;
  readonly price: Price;
  readonly quantity: Quantity;
  readonly live: Readonly<Outcome>;
  readonly paper: Readonly<Outcome>;
}

/** One run's sums. `filled` counts at the orders' own prices, so that it compares with what was wanted. */
interface RunSums {
  filled: Amount;
  cash: Amount;
  inventory: Amount;
}

/** Sums over the compared orders of one symbol. Updated in place. */
export interface TwinFigures {
  orders: number;
  wanted: Amount;
  readonly live: RunSums;
  readonly paper: RunSums;
  /** Of what both filled: its value on paper, and what live got it for better. */
  bothValue: Amount;
  bothGain: Amount;
}

/** Null where there is nothing to compare yet. */
export interface TwinGaps {
  /** Shares of the ordered value, and live minus paper. */
  readonly fillRateLive: number | null;
  readonly fillRatePaper: number | null;
  readonly fillRateGap: number | null;
  /** Mean over what both filled, weighted by value; positive is better for us. */
  readonly priceGapBps: number | null;
  /** In quote after costs, inventory at the given middle; live minus paper. */
  readonly profitLive: Amount | null;
  readonly profitPaper: Amount | null;
  readonly profitGap: Amount | null;
}

const noSums = (): RunSums => ({ filled: 0n, cash: 0n, inventory: 0n });

export const noFigures = (): TwinFigures => ({
  orders: 0,
  wanted: 0n,
  live: noSums(),
  paper: noSums(),
  bothValue: 0n,
  bothGain: 0n,
});

/** Adds one order. */
export const compare = (figures: TwinFigures, order: OrderPair): void => {
  figures.orders += 1;
  figures.wanted += notional(order.price, order.quantity);
  add(figures.live, order, order.live);
  add(figures.paper, order, order.paper);
  const both = min(order.live.quantity, order.paper.quantity);
  if (both === 0n) return;
  const live = partOf(order.live, both);
  const paper = partOf(order.paper, both);
  figures.bothValue += paper;
  figures.bothGain += order.side === 'buy' ? paper - live : live - paper;
};

const partOf = ({ value, quantity }: Readonly<Outcome>, part: Quantity): Amount =>
  divide(value * part, quantity, 'half-up');

const add = (sums: RunSums, { side, price }: OrderPair, outcome: Readonly<Outcome>): void => {
  const { quantity, value, costs } = outcome;
  sums.filled += notional(price, quantity);
  sums.cash += (side === 'buy' ? -value : value) - costs;
  sums.inventory += side === 'buy' ? quantity : -quantity;
};

/** The gaps so far. @param middle what one unit of base is worth now, in quote; null when nobody knows */
export const gapsOf = (figures: TwinFigures, middle: Price | null): TwinGaps => {
  const { wanted, live, paper, bothValue, bothGain } = figures;
  const rate = ({ filled }: RunSums): number | null =>
    wanted === 0n ? null : toNumber(ratio(filled, wanted, 'half-up'));
  const profit = ({ cash, inventory }: RunSums): Amount | null => {
    if (inventory === 0n) return cash;
    return middle === null ? null : cash + multiply(inventory, middle, 'half-up');
  };
  const profitLive = profit(live);
  const profitPaper = profit(paper);
  return {
    fillRateLive: rate(live),
    fillRatePaper: rate(paper),
    fillRateGap: wanted === 0n ? null : toNumber(ratio(live.filled - paper.filled, wanted, 'half-up')),
    priceGapBps: bothValue === 0n ? null : toNumber(ratio(bothGain * 10_000n, bothValue, 'half-up')),
    profitLive,
    profitPaper,
    profitGap: profitLive === null || profitPaper === null ? null : profitLive - profitPaper,
  };
};
