/** One trial as a pure computation: the task of a sweep's threads. Markets are read once per thread. */

import { formatDecimal, toNumber } from '../domain/money.js';
import type { ParameterValues, StrategyDefinition } from '../domain/strategy.js';
import { checkParameters } from '../domain/strategy-parameters.js';
import { soleMember } from '../domain/strategy-portfolio.js';
import type { Settings } from '../runtime/settings.js';
import { importStrategy, isModulePath } from '../runtime/strategy-module.js';
import { findStrategy } from '../strategies/catalogue.js';
import { CandleError, readCandles } from './candles.js';
import type { FillModel } from './fast-market.js';
import type { RunOptions } from './fast-run.js';
import { equityCurve, profitOf, returnsOf } from './report.js';
import { type RunResult, StrategyNotMade } from './run-result.js';
import type { Candidate } from './search.js';
import { drawdown, sharpe } from './statistics.js';
import { marketBetween, runStudy, type StudyMarket } from './study-market.js';
import type { TrialResult } from './sweep-store.js';
import { readTapeFile } from './tape-file.js';
import { closedTrades } from './trades.js';

/** What the score of a trial is: net profit in lira, or the Sharpe ratio per period of the whole market's returns. */
export const SCORES = ['profit', 'sharpe'] as const;
export type Score = (typeof SCORES)[number];

/** Plain data: it crosses into a thread. */
export interface SweepTask {
  /** The market's file: a binary tape, or candles of what `candles` names. */
  readonly tapePath: string;
  readonly candles?: { readonly symbol: string; readonly interval: string };
  /** A built-in name, or the path of a file. */
  readonly strategy: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly candidate: Candidate;
  readonly settings: Settings;
  readonly tryRates: ReadonlyMap<string, bigint>;
  readonly fillModel: FillModel;
  readonly feeLevel: number;
  readonly score: Score;
  /** Length of the periods of the whole market's returns, for which the Sharpe ratios of its parts are told, ms. */
  readonly periodMs: number;
  readonly segment: number;
  readonly fromMs: number;
  readonly toMs: number;
}

const markets = new Map<string, StudyMarket>();
const definitions = new Map<string, StrategyDefinition>();

const marketOf = ({ tapePath, candles }: SweepTask): StudyMarket => {
  const known =
    markets.get(tapePath) ??
    (candles === undefined
      ? { type: 'recording', tape: readTapeFile(tapePath) }
      : { type: 'candles', candles: readCandles(tapePath, candles) });
  markets.set(tapePath, known);
  return known;
};

const definitionOf = async (strategy: string): Promise<StrategyDefinition> => {
  const known = definitions.get(strategy);
  if (known !== undefined) return known;
  const found = isModulePath(strategy)
    ? await importStrategy(strategy, process.cwd())
    : findStrategy(strategy);
  if (found === undefined) throw new Error(`there is no strategy ${strategy}`);
  definitions.set(strategy, found);
  return found;
};

/** Of a set of parameters that the strategy refuses, or for which the market is too short or too coarse. */
const REFUSED: TrialResult = {
  score: Number.NEGATIVE_INFINITY,
  profitTry: '0',
  sharpe: null,
  drawdown: 0,
  fills: 0,
  trades: 0,
};

/** What a thread answers: classes of errors do not cross it. */
export type TrialAnswer =
  | { readonly result: TrialResult }
  /** The strategy could not be made, in its own words. */
  | { readonly notMade: string };

/** Runs one trial. */
const answerTrial = async (task: SweepTask): Promise<TrialAnswer> => {
  const definition = await definitionOf(task.strategy);
  try {
    return { result: runTrial(task, definition) };
  } catch (error) {
    if (error instanceof StrategyNotMade) return { notMade: error.message };
    throw error;
  }
};

const runTrial = (task: SweepTask, definition: StrategyDefinition): TrialResult => {
  const checked = checkParameters(definition, { ...task.config, ...task.candidate });
  if (!checked.ok) return REFUSED;
  const run = runOf(task, definition, checked.values);
  // One that was still warming up did nothing, which must not look better than a loss.
  if (run === null || run.neverWarm === true) return REFUSED;
  const profit = profitOf(run);
  const { periodMs, returns } = returnsOf(run);
  const own = sharpe(returns, 1);
  // Means grow with time, deviations with its root: parts may have shorter periods than the whole.
  const ratio = own === null ? null : own * Math.sqrt(task.periodMs / periodMs);
  const curve = equityCurve(run, 0);
  const { trades } = closedTrades(
    run.fills.map(({ fill }) => fill),
    run.instruments,
    () => undefined,
  );
  return {
    score: task.score === 'profit' ? toNumber(profit) : (ratio ?? Number.NEGATIVE_INFINITY),
    profitTry: formatDecimal(profit),
    sharpe: ratio,
    drawdown: drawdown(curve.atMs, curve.values).amount,
    fills: run.fills.length,
    trades: trades.length,
  };
};

/** The run of a set, or null where the market's candles are longer than those it wants. */
const runOf = (
  task: SweepTask,
  definition: StrategyDefinition,
  values: ParameterValues,
): RunResult | null => {
  const market = marketBetween(marketOf(task), task.fromMs, task.toMs);
  try {
    return runStudy(market, optionsOf(task, definition, values));
  } catch (error) {
    if (error instanceof CandleError) return null;
    throw error;
  }
};

const optionsOf = (task: SweepTask, definition: StrategyDefinition, values: ParameterValues): RunOptions => ({
  members: [soleMember(definition, values, task.settings.symbols)],
  settings: task.settings,
  opening: task.settings.paper.balances,
  fillModel: task.fillModel,
  feeLevel: task.feeLevel,
  tryRates: task.tryRates,
  withoutRecords: true,
});

export default answerTrial;
