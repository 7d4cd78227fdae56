/**
 * The report of a run: one plain JSON value from which the text and the page are made. Money is exact decimal text;
 * ratios are numbers, or null where the run cannot support them. Formulas: statistics.ts and trades.ts.
 *
 * Equity is the account's opening balances of the traded assets at the first prices, plus what the bot's own trading
 * earned since at the newest prices, net of fees and tax; what prices did to the opening balances is not the strategy's.
 * It is counted in lira, at the one rate given for each quote asset.
 *
 * Of several strategies each has its own lots: what one sells closes nothing of what another bought. So their trades and
 * their realised profits add up to those of the run.
 */
import { bookFill, initialAccounting, realizedFifo, unrealizedFifo } from '../domain/accounting.js';
import { type Amount, formatDecimal, multiply, notional, toNumber } from '../domain/money.js';
import { type Fill, filledQuantity } from '../domain/order.js';
import { randomStream } from '../exchange/random.js';
import type { Liquidity } from './fast-market.js';
import { mean, sampleVariance } from './moments.js';
import {
  denialsByStrategy,
  denialsOf,
  exactPrice,
  ordersOf,
  type PriceSeries,
  priceAt,
  type RunResult,
  type RunStrategy,
  runsByStrategy,
} from './run-result.js';
import {
  blockBootstrap,
  cagr,
  calmar,
  deflatedSharpe,
  drawdown,
  expectancy,
  type Interval,
  profitFactor,
  sharpe,
  sortino,
  sqn,
  streaks,
  YEAR_MS,
} from './statistics.js';
import { type ClosedTrade, closedTrades } from './trades.js';

export const REPORT_VERSION = 1;

/** Trades of a kind together: a pair, a reason. Money in lira. */
export interface TradeGroup {
  readonly name: string;
  readonly trades: number;
  readonly wins: number;
  readonly draws: number;
  readonly losses: number;
  readonly winRate: number | null;
  /** Mean of the trades' profits as fractions of their entry values. */
  readonly meanProfitFraction: number | null;
  readonly profitTry: string;
  readonly meanDurationMs: number | null;
}

/** One side of the maker/taker split. Money in lira. */
export interface LiquidityGroup {
  readonly fills: number;
  readonly volumeTry: string;
  readonly feesTry: string;
  readonly taxesTry: string;
  /**
   * What the middle did after the fills, in basis points of the price, for us: positive is good. Weighted by value; null
   * without fills that have a price so much later, and over candles.
   */
  readonly markoutBps: Readonly<Record<'1s' | '10s' | '60s', number | null>>;
}

/** What one of several strategies came to, by the fills of its own orders. Money in lira. */
export interface StrategyRow {
  /** Its name in the run, and in the label of its orders. */
  readonly name: string;
  /** The definition's own name. */
  readonly kind: string;
  readonly symbols: readonly string[];
  readonly parameters: Report['run']['parameters'];
  /** Net profit: of what was closed, and of the rest at the last prices. */
  readonly profitTry: string;
  readonly realizedTry: string;
  readonly unrealizedTry: string;
  readonly volumeTry: string;
  readonly feesTry: string;
  readonly taxesTry: string;
  /** Greatest fall of its own profit from its highest. No fraction: the account is everybody's. */
  readonly drawdownTry: number;
  readonly orders: number;
  readonly fills: number;
  /** Its intents that the gate refused, for limits that count all strategies among other reasons. */
  readonly denied: number;
  readonly trades: TradeGroup;
}

export interface DayRow {
  /** `2024-08-09`, or `2024-08` for months; the trading day is UTC+3's. */
  readonly period: string;
  readonly profitTry: number;
  readonly profitFraction: number;
}

export interface Report {
  readonly version: typeof REPORT_VERSION;
  readonly run: {
    readonly engine: RunResult['engine'];
    readonly fillModel: RunResult['fillModel'];
    readonly strategy: string;
    readonly parameters: Readonly<Record<string, string | number | boolean>>;
    readonly symbols: readonly string[];
    readonly feeLevel: number;
    readonly from: string;
    readonly to: string;
    readonly spanMs: number;
    readonly events: number;
    /** Candles that the file did not have and that count as empty; absent where there are no candles. */
    readonly missingCandles?: number;
    readonly tryRates: Readonly<Record<string, string>>;
    readonly stops: readonly string[];
  };
  readonly money: {
    readonly startTry: string;
    readonly endTry: string;
    readonly profitTry: string;
    readonly realizedTry: string;
    readonly unrealizedTry: string;
    readonly profitFraction: number;
    readonly volumeTry: string;
    readonly minTry: number;
    readonly maxTry: number;
  };
  /**
   * What trading cost and brought, in lira. Spread and selection are estimates from the middle, and null over candles, which
   * do not show it; the rest is exact.
   */
  readonly costs: {
    readonly feesTry: string;
    readonly taxesTry: string;
    /** Distance from the middle that takers paid and makers captured at the moment of the fill. */
    readonly spreadPaidTry: number | null;
    readonly spreadCapturedTry: number | null;
    /** What the middle moved against our maker fills within ten seconds: adverse selection. */
    readonly adverseSelectionTry: number | null;
  };
  readonly ratios: {
    /** Length of the period whose returns the ratios are made of, and how many there are. */
    readonly periodMs: number;
    readonly periods: number;
    readonly cagr: number | null;
    readonly sharpe: number | null;
    readonly sortino: number | null;
    readonly calmar: number | null;
    readonly sqn: number | null;
    readonly profitFactor: number | null;
    readonly expectancyTry: number | null;
    readonly expectancyRatio: number | null;
    /** Probability that the ratio is not the luck of the best of so many trials. */
    readonly deflatedSharpe: number | null;
    readonly trials: number;
  };
  /** Middle 95 % by the circular block bootstrap; null where there are too few periods. */
  readonly intervals: {
    readonly level: number;
    readonly samples: number;
    readonly profitFraction: Interval | null;
    readonly sharpe: Interval | null;
    readonly meanReturn: Interval | null;
  };
  readonly drawdown: {
    readonly amountTry: number;
    readonly fraction: number;
    readonly peakTry: number;
    readonly bottomTry: number;
    readonly peakAt: string | null;
    readonly bottomAt: string | null;
    readonly recoveredAt: string | null;
    readonly longestMs: number;
    readonly underwater: number;
  };
  readonly trades: {
    readonly all: TradeGroup;
    readonly long: TradeGroup;
    readonly short: TradeGroup;
    readonly perDay: number;
    readonly bestTry: string | null;
    readonly worstTry: string | null;
    readonly meanStakeTry: number | null;
    readonly meanWinnerDurationMs: number | null;
    readonly meanLoserDurationMs: number | null;
    readonly winStreak: number;
    readonly lossStreak: number;
    readonly openLots: number;
    readonly byPair: readonly TradeGroup[];
    readonly byEntryReason: readonly TradeGroup[];
    readonly byExitReason: readonly TradeGroup[];
    readonly bestPair: string | null;
    readonly worstPair: string | null;
  };
  readonly days: {
    readonly wins: number;
    readonly draws: number;
    readonly losses: number;
    readonly best: DayRow | null;
    readonly worst: DayRow | null;
    readonly meanTry: number | null;
    readonly rows: readonly DayRow[];
    readonly months: readonly DayRow[];
  };
  readonly orders: {
    readonly placed: number;
    readonly filled: number;
    readonly partlyFilled: number;
    readonly canceled: number;
    readonly rejected: number;
    readonly denied: number;
    readonly denials: Readonly<Record<string, number>>;
    readonly fills: number;
    /** Filled quantity / asked quantity, over all orders, by value. */
    readonly fillRate: number | null;
  };
  readonly liquidity: Readonly<Record<Liquidity, LiquidityGroup>>;
  /** What the markets themselves did: last price / first price − 1, and its mean over the symbols. */
  readonly marketChange: {
    readonly bySymbol: Readonly<Record<string, number>>;
    readonly mean: number | null;
  };
  /** Of several strategies, in their order; absent with one. */
  readonly strategies?: readonly StrategyRow[];
  /** What the plots are drawn from. Times are Unix ms. */
  readonly series: {
    readonly atMs: readonly number[];
    readonly equityTry: readonly number[];
    readonly drawdownFraction: readonly number[];
    readonly markets: readonly {
      readonly symbol: string;
      readonly atMs: readonly number[];
      readonly prices: readonly number[];
      readonly inventory: readonly number[];
      readonly fills: readonly {
        readonly atMs: number;
        readonly price: number;
        readonly side: 'buy' | 'sell';
        readonly liquidity: Liquidity;
      }[];
    }[];
  };
  /** The same run under every fill model, when it was asked for. */
  readonly fillModels: readonly FillModelRow[];
}

/** One fill model of the band. */
export interface FillModelRow {
  readonly fillModel: RunResult['fillModel'];
  readonly fills: number;
  readonly profitTry: string;
  readonly sharpe: number | null;
  readonly atMs: readonly number[];
  readonly equityTry: readonly number[];
}

export interface ReportOptions {
  /** How many strategies or parameter sets were tried before this one was shown, this one included. */
  readonly trials?: number;
  /** Variance of the trials' Sharpe ratios per period; needed with more than one. */
  readonly trialVariance?: number | null;
  readonly seed?: number;
  /** The same run under other fill models. */
  readonly band?: readonly RunResult[];
}

const LEVEL = 0.95;
const SAMPLES = 1_000;
const DAY_MS = 86_400_000;
const TURKEY_MS = 3 * 3_600_000;
const HORIZONS = { '1s': 1_000, '10s': 10_000, '60s': 60_000 } as const;
/** Most points of a series in the report: what a plot can show. */
const MOST_POINTS = 4_000;

/** Makes the report of a run. Deterministic: the bootstrap draws from a seed. */
export const makeReport = (run: RunResult, options: ReportOptions = {}): Report => {
  const rateOf = new Map(run.instruments.map(({ symbol, quote }) => [symbol, run.tryRates.get(quote) ?? 0n]));
  const inTry = (symbol: string, amount: bigint): Amount =>
    multiply(amount, rateOf.get(symbol) ?? 0n, 'half-up');
  const orders = ordersOf(run.records);
  const tags = new Map(orders.map(({ order }) => [order.clientOrderId, order.tag]));
  const fills = run.fills.map(({ fill }) => fill);
  const parts = runsByStrategy(run).map(part => ({
    ...part,
    ...closedTrades(
      part.run.fills.map(({ fill }) => fill),
      run.instruments,
      id => tags.get(id),
    ),
    ...resultOf(part.run),
  }));
  const trades = parts.flatMap(part => part.trades);
  if (parts.length > 1) trades.sort((left, right) => left.closedAtMs - right.closedAtMs);
  const openLots = parts.reduce((sum, { open }) => sum + open.length, 0);
  const start = startTry(run);
  const realizedTry = parts.reduce((sum, part) => sum + part.realizedTry, 0n as bigint);
  const unrealizedTry = parts.reduce((sum, part) => sum + part.unrealizedTry, 0n as bigint);
  const profit = realizedTry + unrealizedTry;
  const curve = equityCurve(run, toNumber(start));
  const profits = trades.map(trade => toNumber(inTry(trade.symbol, trade.profit)));
  const spanMs = run.toMs - run.fromMs;
  const { periodMs, returns } = periodReturns(curve, spanMs);
  const periodsPerYear = YEAR_MS / periodMs;
  const fall = drawdown(curve.atMs, curve.values);
  const growth = cagr(toNumber(start), toNumber(start + profit), spanMs);
  const expected = expectancy(profits);
  const runs = streaks(profits);
  const trials = options.trials ?? 1;
  const days = periodRows(curve, at => dayOf(at));
  const months = periodRows(curve, at => dayOf(at).slice(0, 7));
  const group = (name: string, some: readonly ClosedTrade[]): TradeGroup => groupOf(name, some, inTry);
  const groupedBy = (key: (trade: ClosedTrade) => string): readonly TradeGroup[] =>
    [...Map.groupBy(trades, key)]
      .map(([name, some]) => group(name, some))
      .sort((left, right) => (left.name < right.name ? -1 : 1));
  const byPair = groupedBy(trade => trade.symbol);
  const sortedPairs = byPair.toSorted((left, right) => Number(left.profitTry) - Number(right.profitTry));
  const interval = (statistic: (sample: readonly number[]) => number | null): Interval | null =>
    blockBootstrap(returns, statistic, randomStream(options.seed ?? 1, 31), {
      samples: SAMPLES,
      level: LEVEL,
    });
  const changes = run.prices.flatMap(({ symbol, prices }) => {
    const first = prices[0];
    const last = prices.at(-1);
    return first === undefined || last === undefined ? [] : [[symbol, last / first - 1] as const];
  });
  const totalOf = (pick: (fill: Fill) => bigint, some: readonly Fill[] = fills): Amount =>
    some.reduce((sum, fill) => sum + inTry(fill.symbol, pick(fill)), 0n as bigint);
  const volume = totalOf(worthOf);
  const statuses = (wanted: readonly string[]): number =>
    orders.filter(({ state }) => wanted.includes(state.status)).length;
  const denials = denialsOf(run.records);
  const denied = denialsByStrategy(run.records);
  const rowOf = (part: (typeof parts)[number]): StrategyRow => {
    const { name, kind, symbols } = part.strategy;
    const own = part.run.fills.map(({ fill }) => fill);
    const gained = equityCurve(part.run, 0);
    return {
      name,
      kind,
      symbols,
      parameters: parametersOf(part.strategy),
      profitTry: formatDecimal(part.realizedTry + part.unrealizedTry),
      realizedTry: formatDecimal(part.realizedTry),
      unrealizedTry: formatDecimal(part.unrealizedTry),
      volumeTry: formatDecimal(totalOf(worthOf, own)),
      feesTry: formatDecimal(totalOf(({ fee }) => fee, own)),
      taxesTry: formatDecimal(totalOf(({ tax }) => tax, own)),
      drawdownTry: drawdown(gained.atMs, gained.values).amount,
      orders: orders.filter(({ order }) => order.strategy === name).length,
      fills: own.length,
      denied: denied.get(name) ?? 0,
      trades: group(name, part.trades),
    };
  };
  const liquidity = { maker: liquidityOf(run, 'maker', inTry), taker: liquidityOf(run, 'taker', inTry) };
  const asked = orders.reduce(
    (sum, { order }) => sum + toNumber(order.terms.quantity) * toNumber(order.terms.price ?? 0n),
    0,
  );
  const got = orders.reduce(
    (sum, { order, state }) => sum + toNumber(filledQuantity(state)) * toNumber(order.terms.price ?? 0n),
    0,
  );

  return {
    version: REPORT_VERSION,
    run: {
      engine: run.engine,
      fillModel: run.fillModel,
      strategy: run.strategies.map(({ name }) => name).join(', '),
      parameters: run.strategies.length === 1 ? parametersOf(run.strategies[0]) : {},
      symbols: run.instruments.map(({ symbol }) => symbol),
      feeLevel: run.feeLevel,
      from: iso(run.fromMs),
      to: iso(run.toMs),
      spanMs,
      events: run.events,
      ...(run.missingCandles === undefined ? {} : { missingCandles: run.missingCandles }),
      tryRates: Object.fromEntries([...run.tryRates].map(([asset, rate]) => [asset, formatDecimal(rate)])),
      stops: run.stops,
    },
    money: {
      startTry: formatDecimal(start),
      endTry: formatDecimal(start + profit),
      profitTry: formatDecimal(profit),
      realizedTry: formatDecimal(realizedTry),
      unrealizedTry: formatDecimal(unrealizedTry),
      profitFraction: start === 0n ? 0 : toNumber(profit) / toNumber(start),
      volumeTry: formatDecimal(volume),
      minTry: curve.values.reduce((least, value) => Math.min(least, value), toNumber(start)),
      maxTry: curve.values.reduce((most, value) => Math.max(most, value), toNumber(start)),
    },
    costs: {
      feesTry: formatDecimal(totalOf(({ fee }) => fee)),
      taxesTry: formatDecimal(totalOf(({ tax }) => tax)),
      ...spreads(run),
    },
    ratios: {
      periodMs,
      periods: returns.length,
      cagr: growth,
      sharpe: sharpe(returns, periodsPerYear),
      sortino: sortino(returns, periodsPerYear),
      calmar: calmar(growth, fall.fraction),
      sqn: sqn(profits),
      profitFactor: profitFactor(profits),
      expectancyTry: expected.value,
      expectancyRatio: expected.ratio,
      deflatedSharpe: deflatedSharpe(returns, trials, options.trialVariance ?? null),
      trials,
    },
    intervals: {
      level: LEVEL,
      samples: SAMPLES,
      profitFraction: interval(sample => sample.reduce((product, value) => product * (1 + value), 1) - 1),
      sharpe: interval(sample => sharpe(sample, periodsPerYear)),
      meanReturn: interval(mean),
    },
    drawdown: {
      amountTry: fall.amount,
      fraction: fall.fraction,
      peakTry: fall.peak,
      bottomTry: fall.bottom,
      peakAt: isoOrNull(fall.peakAtMs),
      bottomAt: isoOrNull(fall.bottomAtMs),
      recoveredAt: isoOrNull(fall.recoveredAtMs),
      longestMs: fall.longestMs,
      underwater: fall.underwater,
    },
    trades: {
      all: group('all', trades),
      long: group(
        'long',
        trades.filter(({ direction }) => direction === 'long'),
      ),
      short: group(
        'short',
        trades.filter(({ direction }) => direction === 'short'),
      ),
      perDay: spanMs === 0 ? 0 : trades.length / (spanMs / DAY_MS),
      bestTry: extreme(trades, inTry, 1),
      worstTry: extreme(trades, inTry, -1),
      meanStakeTry: meanOf(trades.map(trade => toNumber(inTry(trade.symbol, trade.entryValue)))),
      meanWinnerDurationMs: meanOf(
        trades.filter(trade => trade.profit > 0n).map(trade => trade.closedAtMs - trade.openedAtMs),
      ),
      meanLoserDurationMs: meanOf(
        trades.filter(trade => trade.profit < 0n).map(trade => trade.closedAtMs - trade.openedAtMs),
      ),
      winStreak: runs.wins,
      lossStreak: runs.losses,
      openLots,
      byPair,
      byEntryReason: groupedBy(trade => trade.entryReason),
      byExitReason: groupedBy(trade => trade.exitReason),
      bestPair: sortedPairs.at(-1)?.name ?? null,
      worstPair: sortedPairs[0]?.name ?? null,
    },
    days: {
      wins: days.filter(({ profitTry }) => profitTry > 0).length,
      draws: days.filter(({ profitTry }) => profitTry === 0).length,
      losses: days.filter(({ profitTry }) => profitTry < 0).length,
      best: days.toSorted((left, right) => right.profitTry - left.profitTry)[0] ?? null,
      worst: days.toSorted((left, right) => left.profitTry - right.profitTry)[0] ?? null,
      meanTry: meanOf(days.map(({ profitTry }) => profitTry)),
      rows: days,
      months,
    },
    orders: {
      placed: orders.length,
      filled: statuses(['filled']),
      partlyFilled: orders.filter(({ state }) => state.status !== 'filled' && filledQuantity(state) > 0n)
        .length,
      canceled: statuses(['canceled', 'expired']),
      rejected: statuses(['rejected']),
      denied: [...denials.values()].reduce((sum, count) => sum + count, 0),
      denials: Object.fromEntries(denials),
      fills: fills.length,
      fillRate: asked === 0 ? null : got / asked,
    },
    liquidity,
    marketChange: {
      bySymbol: Object.fromEntries(changes),
      mean: meanOf(changes.map(([, change]) => change)),
    },
    ...(parts.length > 1 ? { strategies: parts.map(rowOf) } : {}),
    series: {
      ...thinned(curve.atMs, { equityTry: curve.values, drawdownFraction: fallOf(curve.values) }),
      markets: run.prices.map(series => marketSeries(run, series)),
    },
    fillModels: [...(options.band ?? [])].map(each => {
      const other = equityCurve(each, toNumber(startTry(each)));
      const thin = thinned(other.atMs, { equityTry: other.values });
      return {
        fillModel: each.fillModel,
        fills: each.fills.length,
        profitTry: formatDecimal(profitOf(each)),
        sharpe: sharpe(periodReturns(other, spanMs).returns, periodsPerYear),
        ...thin,
      };
    }),
  };
};

/** Net profit of a run in lira, exact: realised and at the last prices. */
export const profitOf = (run: RunResult): Amount => {
  const { realizedTry, unrealizedTry } = resultOf(run);
  return realizedTry + unrealizedTry;
};

/** What a run's fills brought in lira, exact: of what was closed, and of the rest at the last prices. */
const resultOf = (run: RunResult): { readonly realizedTry: bigint; readonly unrealizedTry: bigint } => {
  let realizedTry: bigint = 0n;
  let unrealizedTry: bigint = 0n;
  for (const position of booksOf(run).positions.values()) {
    const rate = run.tryRates.get(position.pair.quote) ?? 0n;
    const last = run.prices.find(({ symbol }) => symbol === position.pair.symbol)?.prices.at(-1);
    realizedTry += multiply(realizedFifo(position), rate, 'half-up');
    if (last !== undefined)
      unrealizedTry += multiply(unrealizedFifo(position, exactPrice(last)), rate, 'half-up');
  }
  return { realizedTry, unrealizedTry };
};

const worthOf = ({ price, quantity }: Fill): bigint => notional(price, quantity);

/** Returns of a run by period, with the period's length: the material of its ratios. */
export const returnsOf = (
  run: RunResult,
): { readonly periodMs: number; readonly returns: readonly number[] } =>
  periodReturns(equityCurve(run, toNumber(startTry(run))), run.toMs - run.fromMs);

/** Variance of the trials' Sharpe ratios per period, for {@link deflatedSharpe}. */
export const varianceOf = (ratios: readonly number[]): number | null =>
  ratios.length < 2 ? null : sampleVariance(ratios);

const booksOf = (run: RunResult) => {
  const books = initialAccounting(null);
  const pairs = new Map(run.instruments.map(instrument => [instrument.symbol, instrument]));
  for (const { fill } of run.fills) {
    const pair = pairs.get(fill.symbol);
    if (pair !== undefined) bookFill(books, fill, pair);
  }
  return books;
};

/** Opening balances of the traded assets at the first prices, in lira. */
const startTry = (run: RunResult): Amount => {
  let total: bigint = 0n;
  const counted = new Set<string>();
  const add = (asset: string, rate: bigint): void => {
    if (counted.has(asset)) return;
    counted.add(asset);
    total += multiply(run.opening.get(asset) ?? 0n, rate, 'half-up');
  };
  for (const { quote } of run.instruments) add(quote, run.tryRates.get(quote) ?? 0n);
  for (const { symbol, base, quote } of run.instruments) {
    const first = run.prices.find(series => series.symbol === symbol)?.prices[0];
    if (first !== undefined) add(base, multiply(exactPrice(first), run.tryRates.get(quote) ?? 0n, 'half-up'));
  }
  return total;
};

export interface Curve {
  readonly atMs: readonly number[];
  readonly values: readonly number[];
}

/** Equity at every sampled moment of the market, in lira; what fills after the last one belongs to it. */
export const equityCurve = (run: RunResult, start: number): Curve => {
  const times = momentsOf(run.prices);
  const values = new Float64Array(times.length).fill(start);
  for (const series of run.prices) {
    const instrument = run.instruments.find(({ symbol }) => symbol === series.symbol);
    if (instrument === undefined) continue;
    const rate = toNumber(run.tryRates.get(instrument.quote) ?? 0n);
    const fills = run.fills.filter(({ fill }) => fill.symbol === series.symbol);
    const holding = new Holding(fills, series);
    const last = times.length - 1;
    for (let index = 0; index <= last; index++) {
      const at = times[index] ?? 0;
      holding.fillUntil(index === last ? Number.POSITIVE_INFINITY : at);
      holding.priceAt(at);
      values[index] = (values[index] ?? 0) + holding.worth * rate;
    }
  }
  return { atMs: times, values: Array.from(values) };
};

/** Every moment of which some series has a price, once, in order; a series' own are in order. */
const momentsOf = (prices: RunResult['prices']): number[] => {
  const [only, ...others] = prices;
  if (only === undefined) return [];
  const moments = Array.from(only.atMs);
  for (const { atMs } of others) for (const at of atMs) moments.push(at);
  if (others.length > 0) moments.sort((left, right) => left - right);
  let kept = 0;
  for (let index = 0; index < moments.length; index++)
    if (kept === 0 || moments[index] !== moments[kept - 1]) moments[kept++] = moments[index] ?? 0;
  moments.length = kept;
  return moments;
};

/**
 * What is held of one symbol while its fills and prices go by. A sweep asks at many moments once a set: what is called at
 * each of them stays compiled, where one long loop would be compiled again for every set.
 */
class Holding {
  readonly #fills: RunResult['fills'];
  readonly #series: RunResult['prices'][number];
  #next = 0;
  #priced = 0;
  #price = 0;
  #quantity = 0;
  #cash = 0;

  constructor(fills: RunResult['fills'], series: RunResult['prices'][number]) {
    this.#fills = fills;
    this.#series = series;
  }

  /** In the quote, at the last price. */
  get worth(): number {
    return this.#cash + this.#quantity * this.#price;
  }

  fillUntil(untilMs: number): void {
    for (
      let each = this.#fills[this.#next];
      each !== undefined && each.fill.executedAtMs <= untilMs;
      each = this.#fills[this.#next]
    ) {
      this.#take(each.fill);
      this.#next += 1;
    }
  }

  priceAt(atMs: number): void {
    const { atMs: times, prices } = this.#series;
    while (this.#priced < times.length && (times[this.#priced] ?? 0) <= atMs) {
      this.#price = prices[this.#priced] ?? 0;
      this.#priced += 1;
    }
  }

  #take({ side, price, quantity, fee, tax }: Fill): void {
    const sign = side === 'buy' ? 1 : -1;
    this.#quantity += sign * toNumber(quantity);
    this.#cash -= sign * toNumber(notional(price, quantity)) + toNumber(fee) + toNumber(tax);
  }
}

/** Days where there are at least ten of them, else hours, else minutes, else seconds. */
const PERIODS_MS = [DAY_MS, 3_600_000, 60_000, 1_000] as const;
const LEAST_PERIODS = 10;

/** Length of the periods whose returns the ratios of a run of this length are made of, ms. */
export const periodOf = (spanMs: number): number =>
  PERIODS_MS.find(length => spanMs / length >= LEAST_PERIODS) ?? 1_000;

const periodReturns = (
  curve: Curve,
  spanMs: number,
): { readonly periodMs: number; readonly returns: readonly number[] } => {
  const periodMs = periodOf(spanMs);
  const returns: number[] = [];
  const begin = curve.atMs[0] ?? 0;
  let last = curve.values[0] ?? 0;
  let newest = last;
  let end = begin + periodMs;
  for (const [index, at] of curve.atMs.entries()) {
    while (at > end) {
      returns.push(last === 0 ? 0 : newest / last - 1);
      last = newest;
      end += periodMs;
    }
    newest = curve.values[index] ?? newest;
  }
  // What is left of a period counts as one when it is at least half of it.
  if (curve.atMs.length > 0 && (curve.atMs.at(-1) ?? 0) - (end - periodMs) >= periodMs / 2)
    returns.push(last === 0 ? 0 : newest / last - 1);
  return { periodMs, returns };
};

const parametersOf = (strategy: RunStrategy | undefined): Report['run']['parameters'] =>
  Object.fromEntries(
    Object.entries(strategy?.parameters ?? {}).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? formatDecimal(value) : value,
    ]),
  );

const dayOf = (atMs: number): string => new Date(atMs + TURKEY_MS).toISOString().slice(0, 10);

const periodRows = (curve: Curve, nameOf: (atMs: number) => string): readonly DayRow[] => {
  const rows: DayRow[] = [];
  let begun = curve.values[0] ?? 0;
  let period = curve.atMs.length === 0 ? '' : nameOf(curve.atMs[0] ?? 0);
  let newest = begun;
  const close = (): void => {
    rows.push({
      period,
      profitTry: newest - begun,
      profitFraction: begun === 0 ? 0 : newest / begun - 1,
    });
  };
  for (const [index, at] of curve.atMs.entries()) {
    const name = nameOf(at);
    if (name !== period) {
      close();
      begun = newest;
      period = name;
    }
    newest = curve.values[index] ?? newest;
  }
  if (curve.atMs.length > 0) close();
  return rows;
};

const groupOf = (
  name: string,
  trades: readonly ClosedTrade[],
  inTry: (symbol: string, amount: bigint) => Amount,
): TradeGroup => {
  const wins = trades.filter(({ profit }) => profit > 0n).length;
  const losses = trades.filter(({ profit }) => profit < 0n).length;
  return {
    name,
    trades: trades.length,
    wins,
    draws: trades.length - wins - losses,
    losses,
    winRate: trades.length === 0 ? null : wins / trades.length,
    meanProfitFraction: meanOf(
      trades.flatMap(({ profit, entryValue }) =>
        entryValue === 0n ? [] : [toNumber(profit) / toNumber(entryValue)],
      ),
    ),
    profitTry: formatDecimal(
      trades.reduce((sum, { symbol, profit }) => sum + inTry(symbol, profit), 0n as bigint),
    ),
    meanDurationMs: meanOf(trades.map(({ openedAtMs, closedAtMs }) => closedAtMs - openedAtMs)),
  };
};

const extreme = (
  trades: readonly ClosedTrade[],
  inTry: (symbol: string, amount: bigint) => Amount,
  sign: 1 | -1,
): string | null => {
  let found: bigint | null = null;
  for (const { symbol, profit } of trades) {
    const value = inTry(symbol, profit);
    if (found === null || (sign === 1 ? value > found : value < found)) found = value;
  }
  return found === null ? null : formatDecimal(found);
};

const meanOf = (values: readonly number[]): number | null => (values.length === 0 ? null : mean(values));

const liquidityOf = (
  run: RunResult,
  wanted: Liquidity,
  inTry: (symbol: string, amount: bigint) => Amount,
): LiquidityGroup => {
  const fills = run.fills.filter(({ liquidity }) => liquidity === wanted).map(({ fill }) => fill);
  const sum = (pick: (fill: (typeof fills)[number]) => bigint): string =>
    formatDecimal(fills.reduce((total, fill) => total + inTry(fill.symbol, pick(fill)), 0n as bigint));
  const markout = (horizonMs: number): number | null => {
    if (run.engine === 'candles') return null;
    let weighted = 0;
    let weights = 0;
    for (const fill of fills) {
      const series = run.prices.find(({ symbol }) => symbol === fill.symbol);
      const at = fill.executedAtMs + horizonMs;
      if (series === undefined || at > (series.atMs.at(-1) ?? 0)) continue;
      const later = priceAt(series, at);
      if (later === undefined) continue;
      const price = toNumber(fill.price);
      const weight = toNumber(notional(fill.price, fill.quantity)) * toNumber(rateFor(run, fill.symbol));
      weighted += weight * ((fill.side === 'buy' ? later - price : price - later) / price) * 10_000;
      weights += weight;
    }
    return weights === 0 ? null : weighted / weights;
  };
  return {
    fills: fills.length,
    volumeTry: sum(fill => notional(fill.price, fill.quantity) as bigint),
    feesTry: sum(fill => fill.fee as bigint),
    taxesTry: sum(fill => fill.tax as bigint),
    markoutBps: {
      '1s': markout(HORIZONS['1s']),
      '10s': markout(HORIZONS['10s']),
      '60s': markout(HORIZONS['60s']),
    },
  };
};

const rateFor = (run: RunResult, symbol: string): Amount =>
  run.tryRates.get(run.instruments.find(each => each.symbol === symbol)?.quote ?? '') ?? 0n;

const spreads = (
  run: RunResult,
): Pick<Report['costs'], 'spreadPaidTry' | 'spreadCapturedTry' | 'adverseSelectionTry'> => {
  let paid = 0;
  let captured = 0;
  let adverse = 0;
  // A fill within a candle has no time of its own, and nothing is known of the middle but the candle's close.
  if (run.engine === 'candles')
    return { spreadPaidTry: null, spreadCapturedTry: null, adverseSelectionTry: null };
  for (const { fill, liquidity } of run.fills) {
    const series = run.prices.find(({ symbol }) => symbol === fill.symbol);
    const middle = series === undefined ? undefined : priceAt(series, fill.executedAtMs);
    if (series === undefined || middle === undefined) continue;
    const sign = fill.side === 'buy' ? 1 : -1;
    const value = toNumber(fill.quantity) * toNumber(rateFor(run, fill.symbol));
    const edge = sign * (middle - toNumber(fill.price)) * value;
    if (liquidity === 'taker') paid -= edge;
    else {
      captured += edge;
      const later = priceAt(series, fill.executedAtMs + HORIZONS['10s']);
      if (later !== undefined) adverse += sign * (middle - later) * value;
    }
  }
  return { spreadPaidTry: paid, spreadCapturedTry: captured, adverseSelectionTry: adverse };
};

const fallOf = (values: readonly number[]): readonly number[] => {
  let peak = values[0] ?? 0;
  return values.map(value => {
    peak = Math.max(peak, value);
    return peak <= 0 ? 0 : value / peak - 1;
  });
};

/** At most so many points, evenly chosen, the last one included. */
const thinned = <Names extends string>(
  atMs: readonly number[],
  columns: Readonly<Record<Names, readonly number[]>>,
): { readonly atMs: readonly number[] } & Readonly<Record<Names, readonly number[]>> => {
  const step = Math.max(1, Math.ceil(atMs.length / MOST_POINTS));
  const chosen = atMs
    .map((_, index) => index)
    .filter(index => index % step === 0 || index === atMs.length - 1);
  const pick = (values: readonly number[]): readonly number[] => chosen.map(index => values[index] ?? 0);
  return {
    atMs: pick(atMs),
    ...(Object.fromEntries(
      Object.entries<readonly number[]>(columns).map(([name, values]) => [name, pick(values)]),
    ) as Record<Names, readonly number[]>),
  };
};

const marketSeries = (run: RunResult, series: PriceSeries): Report['series']['markets'][number] => {
  const fills = run.fills.filter(({ fill }) => fill.symbol === series.symbol);
  const atMs = [...series.atMs];
  let next = 0;
  let held = 0;
  const inventory = atMs.map(at => {
    for (let each = fills[next]; each !== undefined && each.fill.executedAtMs <= at; each = fills[++next])
      held += toNumber(each.fill.quantity) * (each.fill.side === 'buy' ? 1 : -1);
    return held;
  });
  return {
    symbol: series.symbol,
    ...thinned(atMs, { prices: [...series.prices], inventory }),
    fills: fills.slice(-MOST_POINTS).map(({ fill, liquidity }) => ({
      atMs: fill.executedAtMs,
      price: toNumber(fill.price),
      side: fill.side,
      liquidity,
    })),
  };
};

const iso = (ms: number): string => new Date(ms).toISOString();
const isoOrNull = (ms: number | null): string | null => (ms === null ? null : iso(ms));
