/**
 * The ratios of a report, each with its formula and source. Returns are per period and fractions of one (0.01 is 1 %);
 * a ratio that its data cannot support is null, never 0 or infinite.
 */
import { below, type Random } from '../exchange/random.js';
import { mean, sampleKurtosis, sampleSkewness, sampleStandardDeviation } from './moments.js';

export const YEAR_MS = 365 * 86_400_000;

/** Compound annual growth: (end / start)^(year / span) − 1. Null for spans under a day, where it says nothing. */
export const cagr = (start: number, end: number, spanMs: number): number | null =>
  spanMs < 86_400_000 || start <= 0 || end <= 0 ? null : (end / start) ** (YEAR_MS / spanMs) - 1;

/** Sharpe (1994), risk-free rate 0: mean / sample deviation, times √(periods a year). */
export const sharpe = (returns: readonly number[], periodsPerYear: number): number | null => {
  if (returns.length < 2) return null;
  const deviation = sampleStandardDeviation(returns);
  return deviation === 0 ? null : (mean(returns) / deviation) * Math.sqrt(periodsPerYear);
};

/** Sortino and Price (1994), target 0: mean / √(mean of squared losses), times √(periods a year). */
export const sortino = (returns: readonly number[], periodsPerYear: number): number | null => {
  if (returns.length < 2) return null;
  let squares = 0;
  for (const value of returns) squares += Math.min(value, 0) ** 2;
  return squares === 0
    ? null
    : (mean(returns) / Math.sqrt(squares / returns.length)) * Math.sqrt(periodsPerYear);
};

/** Young (1991): annual growth / greatest drawdown, both as fractions. */
export const calmar = (annualGrowth: number | null, maxDrawdown: number): number | null =>
  annualGrowth === null || maxDrawdown === 0 ? null : annualGrowth / maxDrawdown;

/** System quality number (Tharp 2008): √n times mean / sample deviation of the trades' profits. */
export const sqn = (profits: readonly number[]): number | null => {
  if (profits.length < 2) return null;
  const deviation = sampleStandardDeviation(profits);
  return deviation === 0 ? null : (Math.sqrt(profits.length) * mean(profits)) / deviation;
};

/** Sum of the winners / sum of the losers without its sign. */
export const profitFactor = (profits: readonly number[]): number | null => {
  let won = 0;
  let lost = 0;
  for (const profit of profits)
    if (profit > 0) won += profit;
    else lost -= profit;
  return lost === 0 ? null : won / lost;
};

/**
 * As freqtrade reports it: `value` = win rate × mean win − loss rate × mean loss; `ratio` = (1 + mean win / mean loss) ×
 * win rate − 1. A trade that earned nothing is neither won nor lost, and counts in the rates.
 */
export const expectancy = (
  profits: readonly number[],
): { readonly value: number | null; readonly ratio: number | null } => {
  if (profits.length === 0) return { value: null, ratio: null };
  const wins = profits.filter(profit => profit > 0);
  const losses = profits.filter(profit => profit < 0);
  const meanWin = wins.length === 0 ? 0 : mean(wins);
  const meanLoss = losses.length === 0 ? 0 : -mean(losses);
  const winRate = wins.length / profits.length;
  const lossRate = losses.length / profits.length;
  return {
    value: winRate * meanWin - lossRate * meanLoss,
    ratio: meanLoss === 0 ? null : (1 + meanWin / meanLoss) * winRate - 1,
  };
};

/** Longest runs of winners and of losers. */
export const streaks = (profits: readonly number[]): { readonly wins: number; readonly losses: number } => {
  let wins = 0;
  let losses = 0;
  let run = 0;
  let last = 0;
  for (const profit of profits) {
    const sign = Math.sign(profit);
    run = sign === last ? run + 1 : 1;
    last = sign;
    if (sign > 0) wins = Math.max(wins, run);
    else if (sign < 0) losses = Math.max(losses, run);
  }
  return { wins, losses };
};

export interface Drawdown {
  /** Greatest fall from a peak, in the curve's unit. */
  readonly amount: number;
  /** The greatest relative fall: fall / peak. It may be another one than that of `amount`. */
  readonly fraction: number;
  /** Of the fall of `amount`: the peak before it, its bottom, and when the peak was reached again (null: never). */
  readonly peakAtMs: number | null;
  readonly bottomAtMs: number | null;
  readonly recoveredAtMs: number | null;
  readonly peak: number;
  readonly bottom: number;
  /** Longest time below a peak, and the share of the whole time spent there. */
  readonly longestMs: number;
  readonly underwater: number;
}

/** The drawdowns of a curve of values at ascending times. */
export const drawdown = (atMs: ArrayLike<number>, values: ArrayLike<number>): Drawdown => {
  let peak = values[0] ?? 0;
  let peakAtMs = atMs[0] ?? 0;
  let worst = {
    amount: 0,
    peak,
    bottom: peak,
    peakAtMs: null as number | null,
    bottomAtMs: null as number | null,
  };
  let fraction = 0;
  let longestMs = 0;
  let underwaterMs = 0;
  for (let index = 1; index < values.length; index++) {
    const value = values[index] ?? 0;
    const at = atMs[index] ?? 0;
    if (peak > value || (values[index - 1] ?? 0) < peak) {
      underwaterMs += at - (atMs[index - 1] ?? 0);
      longestMs = Math.max(longestMs, at - peakAtMs);
    }
    if (value >= peak) {
      peak = value;
      peakAtMs = at;
      continue;
    }
    fraction = Math.max(fraction, peak <= 0 ? 0 : (peak - value) / peak);
    if (peak - value > worst.amount)
      worst = { amount: peak - value, peak, bottom: value, peakAtMs, bottomAtMs: at };
  }
  let recoveredAtMs: number | null = null;
  if (worst.bottomAtMs !== null)
    for (let index = 0; index < values.length && recoveredAtMs === null; index++)
      if ((atMs[index] ?? 0) > worst.bottomAtMs && (values[index] ?? 0) >= worst.peak)
        recoveredAtMs = atMs[index] ?? 0;
  const spanMs = (atMs[values.length - 1] ?? 0) - (atMs[0] ?? 0);
  return {
    ...worst,
    fraction,
    recoveredAtMs,
    longestMs,
    underwater: spanMs === 0 ? 0 : underwaterMs / spanMs,
  };
};

/** The distribution function of the standard normal, by its power series (Abramowitz and Stegun 26.2.11). */
export const normalCdf = (x: number): number => {
  if (x > 8) return 1;
  if (x < -8) return 0;
  let term = x;
  let sum = x;
  for (let k = 1; k < 400 && Math.abs(term) > 1e-18 * Math.abs(sum); k++) {
    term *= (x * x) / (2 * k + 1);
    sum += term;
  }
  return 0.5 + (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
};

/** The inverse of {@link normalCdf}, by halving. `p` in (0, 1). */
export const normalQuantile = (p: number): number => {
  let low = -8;
  let high = 8;
  for (let step = 0; step < 80; step++) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
};

const EULER = 0.577_215_664_901_532_9;

/**
 * Deflated Sharpe ratio (Bailey and López de Prado 2014): the probability that the true ratio is above what the best of
 * `trials` worthless strategies would have shown. With one trial it is the probabilistic Sharpe ratio against 0.
 * @param returns of the chosen strategy, per period
 * @param trials how many were tried
 * @param trialVariance variance of the trials' ratios, per period; needed with more than one trial
 */
export const deflatedSharpe = (
  returns: readonly number[],
  trials: number,
  trialVariance: number | null,
): number | null => {
  const ratio = sharpe(returns, 1);
  if (ratio === null || returns.length < 4) return null;
  if (trials > 1 && trialVariance === null) return null;
  const expected =
    trials <= 1
      ? 0
      : Math.sqrt(trialVariance ?? 0) *
        ((1 - EULER) * normalQuantile(1 - 1 / trials) + EULER * normalQuantile(1 - 1 / (trials * Math.E)));
  // The formula has the plain kurtosis (3 for a normal).
  const skewness = sampleSkewness(returns);
  const kurtosis = sampleKurtosis(returns) + 3;
  const spread = 1 - skewness * ratio + ((kurtosis - 1) / 4) * ratio * ratio;
  return spread <= 0
    ? null
    : normalCdf(((ratio - expected) * Math.sqrt(returns.length - 1)) / Math.sqrt(spread));
};

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * Interval of a statistic by the circular block bootstrap (Politis and Romano 1992): blocks of neighbouring returns are
 * drawn, so that what depends on its neighbours stays together. Blocks have n^(1/3) returns.
 * @param level 0.95 for the middle 95 %
 */
export const blockBootstrap = (
  returns: readonly number[],
  statistic: (sample: readonly number[]) => number | null,
  random: Random,
  options: { readonly samples: number; readonly level: number },
): Interval | null => {
  const { length } = returns;
  if (length < 8) return null;
  const block = Math.max(1, Math.round(length ** (1 / 3)));
  const values: number[] = [];
  for (let draw = 0; draw < options.samples; draw++) {
    const sample: number[] = [];
    while (sample.length < length) {
      const from = below(random, length);
      for (let index = 0; index < block && sample.length < length; index++)
        sample.push(returns[(from + index) % length] ?? 0);
    }
    const value = statistic(sample);
    if (value !== null) values.push(value);
  }
  if (values.length < options.samples / 2) return null;
  values.sort((left, right) => left - right);
  const at = (share: number): number => values[Math.round(share * (values.length - 1))] ?? 0;
  return { low: at((1 - options.level) / 2), high: at((1 + options.level) / 2) };
};
