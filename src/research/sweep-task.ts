/** One trial as a pure computation: the task of a sweep's threads. Markets are read once per thread. */

import { toNumber } from '../domain/money.js';
import type { StrategyDefinition } from '../domain/strategy.js';
import { checkParameters } from '../domain/strategy-parameters.js';
import { soleMember } from '../domain/strategy-portfolio.js';
import type { Settings } from '../runtime/settings.js';
import { importStrategy, isModulePath } from '../runtime/strategy-module.js';
import { findStrategy } from '../strategies/catalogue.js';
import { readCandles } from './candles.js';
import type { FillModel } from './fast-market.js';
import { equityCurve, profitOf, returnsOf } from './report.js';
import type { Candidate } from './search.js';
import { drawdown, sharpe } from './statistics.js';
import { marketBetween, runStudy, type StudyMarket } from './study-market.js';
import type { TrialResult } from './sweep-store.js';
import { readTapeFile } from './tape-file.js';
import { closedTrades } from './trades.js';

/** What the score of a trial is: net profit in lira, or the Sharpe ratio per period. */
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

/** Of a set of parameters that the strategy refuses. */
const REFUSED: TrialResult = {
  score: Number.NEGATIVE_INFINITY,
  profitTry: '0',
  sharpe: null,
  drawdown: 0,
  fills: 0,
  trades: 0,
};

/** Runs one trial. */
const runTrial = async (task: SweepTask): Promise<TrialResult> => {
  const definition = await definitionOf(task.strategy);
  const checked = checkParameters(definition, { ...task.config, ...task.candidate });
  if (!checked.ok) return REFUSED;
  const run = runStudy(marketBetween(marketOf(task), task.fromMs, task.toMs), {
    members: [soleMember(definition, checked.values, task.settings.symbols)],
    settings: task.settings,
    opening: task.settings.paper.balances,
    fillModel: task.fillModel,
    feeLevel: task.feeLevel,
    tryRates: task.tryRates,
  });
  const profit = profitOf(run);
  const ratio = sharpe(returnsOf(run).returns, 1);
  const curve = equityCurve(run, 0);
  const { trades } = closedTrades(
    run.fills.map(({ fill }) => fill),
    run.instruments,
    () => undefined,
  );
  return {
    score: task.score === 'profit' ? toNumber(profit) : (ratio ?? Number.NEGATIVE_INFINITY),
    profitTry: String(toNumber(profit)),
    sharpe: ratio,
    drawdown: drawdown(curve.atMs, curve.values).amount,
    fills: run.fills.length,
    trades: trades.length,
  };
};

export default runTrial;
