/** What a backtest or a sweep is made over: the market, the settings of a paper run, the account, the rates. */
import { type Amount, ONE } from '../domain/money.js';
import type { ParameterValues, StrategyDefinition } from '../domain/strategy.js';
import { checkParameters } from '../domain/strategy-parameters.js';
import type { PortfolioMember } from '../domain/strategy-portfolio.js';
import { fairPrice, newFairValues } from '../exchange/fair-values.js';
import { CATALOGUE } from '../exchange/instruments.js';
import { openLedger } from '../ledger/store.js';
import { type ConfigInputs, loadSettings, renderProblem } from '../runtime/config.js';
import type { Settings } from '../runtime/settings.js';
import { findMembers } from '../runtime/strategy-members.js';
import { openStrategyRecord } from '../runtime/strategy-record.js';
import { findStrategy, STRATEGIES } from '../strategies/catalogue.js';
import { exactPrice, type RunResult } from './run-result.js';

/** A study that cannot be made as it was asked for; the message says all that is wrong. */
export class StudyRefused extends Error {
  override readonly name = 'StudyRefused';
}

export interface PortfolioInputs {
  readonly symbols: readonly string[];
  /** The operator's environment and configuration file: limits, balances and rates of a paper run come from them. */
  readonly inputs: ConfigInputs;
}

export interface StudyInputs extends PortfolioInputs {
  readonly definition: StrategyDefinition;
  readonly config: Readonly<Record<string, unknown>>;
}

/** Settings of a paper run of this strategy, whatever the operator's mode. @throws StudyRefused */
export const studySettings = ({ definition, config, symbols, inputs }: StudyInputs): Settings => {
  const loaded = loadSettings({
    ...inputs,
    leftOut: ['STRATEGIES'],
    env: {
      ...paperEnv(inputs, symbols),
      STRATEGY: definition.name,
      STRATEGY_CONFIG: JSON.stringify(config),
    },
  });
  if (!loaded.ok) throw new StudyRefused(loaded.problems.map(renderProblem).join('\n'));
  return loaded.settings;
};

/** Settings of a paper run of the strategies that the operator's `STRATEGIES` names. @throws StudyRefused */
export const portfolioSettings = ({ symbols, inputs }: PortfolioInputs): Settings => {
  const loaded = loadSettings({ ...inputs, env: paperEnv(inputs, symbols) });
  if (loaded.ok) return loaded.settings;
  const lines = loaded.problems.map(renderProblem);
  if (loaded.problems.some(({ name }) => name === 'STRATEGIES'))
    lines.push(`SYMBOLS of a study are those of its market: ${symbols.join(', ')}`);
  throw new StudyRefused(lines.join('\n'));
};

/** STRATEGY and STRATEGY_CONFIG as the operator has them, wherever they stand. @throws StudyRefused */
export const strategySetting = (
  inputs: ConfigInputs,
): { readonly strategy: string; readonly config: Readonly<Record<string, unknown>> } => {
  const loaded = loadSettings({
    ...inputs,
    leftOut: ['STRATEGIES'],
    env: paperEnv(inputs, ['BTCTRY']),
  });
  if (!loaded.ok) throw new StudyRefused(loaded.problems.map(renderProblem).join('\n'));
  const [only] = loaded.settings.strategies;
  return { strategy: only?.strategy ?? '', config: only?.config ?? {} };
};

const paperEnv = (inputs: ConfigInputs, symbols: readonly string[]): ConfigInputs['env'] => ({
  MAX_OPEN_ORDERS_PER_SYMBOL: '2',
  ...inputs.env,
  VENUE: 'paper',
  SAFE_MODE: 'false',
  KILL_SWITCH: 'false',
  DRY_RUN: 'false',
  LIVE_TRADING: 'false',
  SYMBOLS: symbols.join(','),
});

/** Checked parameters. @throws StudyRefused with every problem */
export const studyParameters = (
  definition: StrategyDefinition,
  config: Readonly<Record<string, unknown>>,
): ParameterValues => {
  const checked = checkParameters(definition, config);
  if (!checked.ok) throw new StudyRefused(checked.problems.join('\n'));
  return checked.values;
};

/** The strategies of {@link portfolioSettings}, with checked parameters. @throws MembersRefused with every problem */
export const portfolioMembers = async (
  { strategies }: Settings,
  cwd: string,
): Promise<readonly PortfolioMember[]> => {
  const members = await findMembers(strategies, {
    find: findStrategy,
    names: STRATEGIES.map(({ name }) => name),
    cwd,
    record: openStrategyRecord(undefined),
  });
  return members.map(member => ({ ...member, universe: null }));
};

/** Lira for one unit of each quote asset: those given, else what the embedded exchange begins with. */
export const tryRatesFor = (
  quotes: Iterable<string>,
  given: ReadonlyMap<string, Amount>,
): ReadonlyMap<string, Amount> => {
  const rates = new Map<string, Amount>([['TRY', ONE]]);
  for (const quote of quotes) {
    const listing = CATALOGUE.find(({ symbol }) => symbol === `${quote}TRY`);
    const rate: bigint | undefined =
      given.get(quote) ??
      rates.get(quote) ??
      (listing === undefined ? undefined : exactPrice(fairPrice(newFairValues(1, CATALOGUE), listing)));
    if (rate === undefined)
      throw new StudyRefused(`give the price of ${quote} in lira: --try-rate ${quote}=…`);
    rates.set(quote, rate);
  }
  return rates;
};

/** Records written in one commit. */
const GROUP = 2_000;

/** Writes a run's records into a ledger file of the usual form. @throws LedgerRefused */
export const writeLedger = (path: string, run: RunResult): void => {
  const ledger = openLedger({ path, mode: 'paper', instance: 'backtest' });
  try {
    for (let from = 0; from < run.records.length; from += GROUP) {
      const [outcome] = ledger.appendGroup([run.records.slice(from, from + GROUP)]);
      if (outcome?.ok === false) throw new Error(`the ledger refuses the run's records: ${outcome.reason}`);
    }
  } finally {
    ledger.close();
  }
};
