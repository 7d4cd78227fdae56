/** What a run leaves behind, whichever engine made it: the ledger's records and the facts a report is made of. */
import type { Instrument } from '../domain/instrument.js';
import type { LedgerRecord } from '../domain/ledger-records.js';
import type { Amount, Price } from '../domain/money.js';
import type { Fill, Order } from '../domain/order.js';
import type { ParameterValues } from '../domain/strategy.js';
import type { PortfolioMember } from '../domain/strategy-portfolio.js';
import type { FillModel, Liquidity } from './fast-market.js';

/** Prices of one market at ascending times; the middle where there are two sides. */
export interface PriceSeries {
  readonly symbol: string;
  readonly atMs: Float64Array;
  /** In quote. */
  readonly prices: Float64Array;
}

/** One fill with what only the venue knows of it. */
export interface ResultFill {
  readonly fill: Fill;
  readonly liquidity: Liquidity;
}

/** A strategy that ran. */
export interface RunStrategy {
  /** In ids and in the ledger. */
  readonly name: string;
  /** The definition's own name. */
  readonly kind: string;
  readonly symbols: readonly string[];
  readonly parameters: ParameterValues;
}

export interface RunResult {
  readonly engine: 'exact' | 'fast' | 'candles';
  readonly fillModel: FillModel;
  /** At least one. */
  readonly strategies: readonly RunStrategy[];
  readonly instruments: readonly Instrument[];
  readonly feeLevel: number;
  /** First and last moment of the market, Unix ms. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Events of the market: frames or candles. */
  readonly events: number;
  readonly opening: ReadonlyMap<string, Amount>;
  /** Lira for one unit of each quote asset. */
  readonly tryRates: ReadonlyMap<string, Amount>;
  /** Everything that went to the ledger, in order; empty where the run was told that nobody wants it. */
  readonly records: readonly LedgerRecord[];
  /** In the order of execution. */
  readonly fills: readonly ResultFill[];
  readonly prices: readonly PriceSeries[];
  /** Reasons why the run stopped trading before its end, or never began: holds, faults of the strategy, its warm-up. */
  readonly stops: readonly string[];
  /** Whether the warm-up of a strategy was not over at the end: what it did not do says nothing of it. */
  readonly neverWarm?: boolean;
  /** Candles that the file did not have and that count as empty. */
  readonly missingCandles?: number;
}

/** The only strategy of a run cannot be made: its own words. */
export class StrategyNotMade extends Error {
  override readonly name = 'StrategyNotMade';
}

export const runStrategyOf = ({ name, definition, symbols, parameters }: PortfolioMember): RunStrategy => ({
  name,
  kind: definition.name,
  symbols,
  parameters,
});

/** Why a strategy was stopped, by the fields of its log line: of several, one must be named. */
export const strategyStop = (fields: Readonly<Record<string, unknown>>, strategies: number): string =>
  `strategy ${strategies > 1 ? `${String(fields.strategy)} ` : ''}stopped: ${String(fields.reason)}`;

/** An order as its records tell it. */
export interface ResultOrder {
  readonly order: Order;
  readonly state: Order['state'];
  readonly settledAtMs: number | null;
}

/** Orders of a run, in the order in which they were intended, each with its last state. */
export const ordersOf = (records: readonly LedgerRecord[]): readonly ResultOrder[] => {
  const orders = new Map<string, { order: Order; state: Order['state']; settledAtMs: number | null }>();
  for (const record of records) {
    if (record.type === 'order-intended')
      orders.set(record.order.clientOrderId, {
        order: record.order,
        state: record.order.state,
        settledAtMs: null,
      });
    else if (record.type === 'order-moved') {
      const known = orders.get(record.clientOrderId);
      if (known === undefined) continue;
      known.state = record.state;
      known.settledAtMs = record.atMs;
    }
  }
  return [...orders.values()];
};

/**
 * The run as each of its strategies had it, in their order: the fills of its own orders. A fill of an order that no record
 * knows is the first one's.
 */
export const runsByStrategy = (
  run: RunResult,
): readonly { readonly strategy: RunStrategy; readonly run: RunResult }[] => {
  const [first] = run.strategies;
  if (run.strategies.length === 1 && first !== undefined) return [{ strategy: first, run }];
  const owners = new Map(ordersOf(run.records).map(({ order }) => [order.clientOrderId, order.strategy]));
  return run.strategies.map(strategy => ({
    strategy,
    run: {
      ...run,
      strategies: [strategy],
      fills: run.fills.filter(
        ({ fill }) => (owners.get(fill.clientOrderId ?? '') ?? first?.name) === strategy.name,
      ),
    },
  }));
};

/** Whose intent a denial refused: intent ids begin with it (domain/strategy-host.ts). */
export const askedBy = (intentId: unknown): string => String(intentId).split(':')[0] ?? '';

/** How often intents of each strategy were refused. */
export const denialsByStrategy = (records: readonly LedgerRecord[]): ReadonlyMap<string, number> =>
  denialsBy(records, ({ intentId }) => askedBy(intentId));

/** How often each reason refused an intent. */
export const denialsOf = (records: readonly LedgerRecord[]): ReadonlyMap<string, number> =>
  denialsBy(records, ({ code }) => String(code));

const denialsBy = (
  records: readonly LedgerRecord[],
  keyOf: (facts: Extract<LedgerRecord, { readonly type: 'audit' }>['facts']) => string,
): ReadonlyMap<string, number> => {
  const denials = new Map<string, number>();
  for (const record of records)
    if (record.type === 'audit' && record.event === 'intent-denied') {
      const key = keyOf(record.facts);
      denials.set(key, (denials.get(key) ?? 0) + 1);
    }
  return denials;
};

/** Samples the middles of a market while a run goes over it: at most one every `everyMs`, and the last one. */
export interface PriceSampler {
  /** `middle` in ticks; NaN for a book without two sides. */
  sample(atMs: number, middleTicks: number): void;
  finish(): PriceSeries;
}

export const createPriceSampler = (instrument: Instrument, everyMs: number): PriceSampler => {
  const scale = 10 ** instrument.priceScale;
  const times: number[] = [];
  const prices: number[] = [];
  let dueMs = Number.NEGATIVE_INFINITY;
  let last: { readonly atMs: number; readonly price: number } | null = null;
  return {
    sample: (atMs, middleTicks) => {
      if (Number.isNaN(middleTicks)) return;
      last = { atMs, price: middleTicks / scale };
      if (atMs < dueMs) return;
      dueMs = atMs + everyMs;
      times.push(atMs);
      prices.push(last.price);
    },
    finish: () => {
      if (last !== null && times.at(-1) !== last.atMs) {
        times.push(last.atMs);
        prices.push(last.price);
      }
      return {
        symbol: instrument.symbol,
        atMs: Float64Array.from(times),
        prices: Float64Array.from(prices),
      };
    },
  };
};

/** The newest price at or before a time, or undefined before the first one. */
export const priceAt = (series: PriceSeries, atMs: number): number | undefined => {
  let low = 0;
  let high = series.atMs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((series.atMs[middle] ?? 0) <= atMs) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? undefined : series.prices[low - 1];
};

/** A floating price of statistics as an exact one: what the digits of the number say, at most 8 decimals. */
export const exactPrice = (value: number): Price => BigInt(Math.round(value * 1e8)) * 100_000_000n;
