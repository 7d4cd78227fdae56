/** Options that backtests and sweeps share, and what they stand for. */
import { readFileSync } from 'node:fs';
import { type Amount, tryParseDecimal } from '../domain/money.js';
import type { StrategyDefinition } from '../domain/strategy.js';
import { RecordingError } from '../exchange/recording.js';
import { LedgerRefused } from '../messages/ledger-refusal.js';
import { CandleError, readCandles } from '../research/candles.js';
import { StrategyNotMade } from '../research/run-result.js';
import { SearchError } from '../research/search.js';
import {
  portfolioSettings,
  StudyRefused,
  strategySetting,
  studySettings,
  tryRatesFor,
} from '../research/study.js';
import { listingsIn, type StudyMarket } from '../research/study-market.js';
import { SweepStoreRefused } from '../research/sweep-store.js';
import { readTape } from '../research/tape-file.js';
import { wallMs } from '../runtime/clock.js';
import { type ConfigInputs, givesSetting } from '../runtime/config.js';
import type { Settings } from '../runtime/settings.js';
import { MembersRefused } from '../runtime/strategy-members.js';
import { importStrategy, isModulePath, StrategyModuleError } from '../runtime/strategy-module.js';
import { findStrategy, STRATEGIES } from '../strategies/catalogue.js';
import { countOption, symbolOption, textOption } from './books.js';
import { CliRefused } from './refused.js';
import type { VerbIo } from './verb.js';

export type Values = Readonly<Record<string, unknown>>;

/** What a user can have got wrong, in words that say so. */
const REFUSALS = [
  RecordingError,
  CandleError,
  StudyRefused,
  SearchError,
  LedgerRefused,
  StrategyModuleError,
  MembersRefused,
  StrategyNotMade,
  SweepStoreRefused,
] as const;

/** Runs a study; what it refuses is said as a refusal of the command line. */
export const refusing = async <T>(study: () => Promise<T>): Promise<T> => {
  try {
    return await study();
  } catch (error) {
    if (error instanceof Error && REFUSALS.some(each => error instanceof each))
      throw new CliRefused(error.message);
    throw error;
  }
};

/** The study's own configuration: what `--strategies` gives stands in place of what the operator has. */
export const configInputs = (values: Values, io: VerbIo): ConfigInputs => {
  const given = textOption(values, 'strategies');
  return {
    env: given === undefined ? io.env : { ...io.env, STRATEGIES: given },
    ...(given === undefined ? {} : { leftOut: ['STRATEGY', 'STRATEGY_CONFIG'] }),
    configFile: textOption(values, 'config'),
    cwd: process.cwd(),
    readFile: file => readFileSync(file, 'utf8'),
    nowMs: wallMs(),
  };
};

/** Whether several strategies are asked for: by `--strategies`, or by the operator's `STRATEGIES` where no other is named. */
export const asksForSeveral = (values: Values, inputs: ConfigInputs): boolean =>
  textOption(values, 'strategy') === undefined && givesSetting(inputs, 'STRATEGIES');

/** The options that name a market. */
export const MARKET_OPTIONS = {
  recording: { type: 'string' },
  candles: { type: 'string' },
  symbol: { type: 'string' },
  interval: { type: 'string' },
} as const;

/** Their words in a usage, and what they are. */
export const MARKET_USAGE = '(--recording PATH | --candles FILE [--symbol S] [--interval 1m])';
export const MARKET_ABOUT = `--recording PATH   a directory of btcbot record, one of its parts, a file of {"at", "frame"} lines, or a binary tape
--candles FILE     CSV or JSON; freqtrade's JSON as it is (BTC_USDT-1m.json names its market and interval)`;

/** Reads the market that `--recording` or `--candles` names. @throws CliRefused when it is not exactly one of them */
export const marketFrom = async (
  values: Values,
  usage: string,
): Promise<{ readonly path: string; readonly market: StudyMarket }> => {
  const recording = textOption(values, 'recording');
  const candles = textOption(values, 'candles');
  if (recording !== undefined && candles === undefined)
    return { path: recording, market: { type: 'recording', tape: await readTape(recording) } };
  if (recording !== undefined || candles === undefined)
    throw new CliRefused(`either --recording or --candles is needed\nusage: btcbot ${usage}`);
  const named = {
    symbol: symbolOption(values),
    interval: textOption(values, 'interval'),
  };
  return { path: candles, market: { type: 'candles', candles: readCandles(candles, named) } };
};

/** Settings of a paper run of a strategy on all of a market. @throws StudyRefused */
export const settingsFor = (
  definition: StrategyDefinition,
  config: Readonly<Record<string, unknown>>,
  market: StudyMarket,
  inputs: ConfigInputs,
): Settings => studySettings({ definition, config, symbols: symbolsIn(market), inputs });

/** As {@link settingsFor}, of the several strategies that the operator's `STRATEGIES` names. @throws StudyRefused */
export const settingsOfSeveral = (market: StudyMarket, inputs: ConfigInputs): Settings =>
  portfolioSettings({ symbols: symbolsIn(market), inputs });

const symbolsIn = (market: StudyMarket): readonly string[] => listingsIn(market).map(({ symbol }) => symbol);

/** Lira for the quote assets of a market. @throws StudyRefused */
export const marketRates = (market: StudyMarket, values: Values): ReadonlyMap<string, Amount> =>
  tryRatesFor(
    listingsIn(market).map(({ quote }) => quote),
    ratesFrom(values),
  );

/** One of a few words. */
export const oneOf = <T extends string>(
  values: Values,
  name: string,
  allowed: readonly T[],
  otherwise: T,
): T => {
  const given = textOption(values, name);
  if (given === undefined) return otherwise;
  const found = allowed.find(each => each === given);
  if (found === undefined)
    throw new CliRefused(`--${name} must be ${allowed.join(', ')}, not ${JSON.stringify(given)}`);
  return found;
};

/** A strategy as it is asked for, and how it is set. */
export interface AskedStrategy {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * The one strategy of a study: `--strategy` and `--strategy-config`, where they are not given STRATEGY and STRATEGY_CONFIG
 * of the environment or the configuration file. The operator's STRATEGY_CONFIG is not that of another strategy.
 * @throws StudyRefused
 */
export const askedStrategy = (values: Values, inputs: ConfigInputs): AskedStrategy => {
  const [named, config] = [textOption(values, 'strategy'), textOption(values, 'strategy-config')];
  const own = strategySetting(inputs);
  const name = named ?? own.strategy;
  const isOwn = name === own.strategy || !givesSetting(inputs, 'STRATEGY');
  return { name, config: config !== undefined ? configFrom(config) : isOwn ? own.config : {} };
};

/** A built-in strategy by its name, or a user's file. */
export const strategyFrom = async (name: string): Promise<StrategyDefinition> => {
  if (isModulePath(name)) return importStrategy(name, process.cwd());
  const found = findStrategy(name);
  if (found !== undefined) return found;
  throw new CliRefused(
    `--strategy ${name} is not a strategy; there are ${STRATEGIES.map(each => each.name).join(', ')}, or give the path of a file`,
  );
};

/** `--strategy-config`: JSON, or the path of a file with it. */
const configFrom = (given: string): Readonly<Record<string, unknown>> => {
  if (given === '') return {};
  let text = given;
  if (!given.trimStart().startsWith('{'))
    try {
      text = readFileSync(given, 'utf8');
    } catch (error) {
      throw new CliRefused(`cannot read --strategy-config ${given}: ${(error as Error).message}`);
    }
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed))
      return parsed as Readonly<Record<string, unknown>>;
  } catch {
    // The refusal below says it.
  }
  throw new CliRefused('--strategy-config must be a JSON object, or the path of a file with one');
};

export const feeLevelFrom = (values: Values): number => {
  const level = countOption(values, 'fee-level') ?? 1;
  if (level > 8) throw new CliRefused(`--fee-level must be 1 to 8, not ${level}`);
  return level;
};

/** `--try-rate USDT=48.57`, once or more. */
const ratesFrom = (values: Values): ReadonlyMap<string, Amount> => {
  const given = values['try-rate'];
  const rates = new Map<string, Amount>();
  for (const each of Array.isArray(given) ? (given as readonly string[]) : []) {
    const [asset = '', rate = ''] = each.split('=');
    const value = tryParseDecimal(rate);
    if (!/^[A-Z0-9]{2,10}$/.test(asset) || value === undefined || value <= 0n)
      throw new CliRefused(`--try-rate must be ASSET=LIRA, as in USDT=48.57, not ${JSON.stringify(each)}`);
    rates.set(asset, value);
  }
  return rates;
};
