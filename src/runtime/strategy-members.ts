/** From what the settings name to strategies that can run: built-in ones and users' files, with checked parameters. */
import type { StrategyDefinition } from '../domain/strategy.js';
import { needsOf } from '../domain/strategy-definition.js';
import { checkParameters } from '../domain/strategy-parameters.js';
import type { PortfolioMember } from '../domain/strategy-portfolio.js';
import type { StrategySetting } from './settings.js';
import { importStrategy, isModulePath, StrategyModuleError } from './strategy-module.js';
import type { StrategyRecord } from './strategy-record.js';

/** Something in `STRATEGY` or `STRATEGIES` cannot run as it is written; the message has every problem. */
export class MembersRefused extends Error {
  override readonly name = 'MembersRefused';
}

export interface MemberPlaces {
  /** The built-in strategy of a name. */
  readonly find: (name: string) => StrategyDefinition | undefined;
  /** The built-in names an operator may choose from. */
  readonly names: readonly string[];
  /** Told which file is loaded next: should it never come back from that, its name is known. */
  readonly loading?: (file: string) => void;
  /** Paths of files are relative to it. */
  readonly cwd: string;
  readonly record: StrategyRecord;
}

/** @throws MembersRefused with everything that is wrong, of all of them */
export const findMembers = async (
  settings: readonly StrategySetting[],
  places: MemberPlaces,
): Promise<readonly PortfolioMember[]> => {
  const members: PortfolioMember[] = [];
  const problems: string[] = [];
  for (const [index, setting] of settings.entries()) {
    const verdict = places.record.verdictOn(index);
    try {
      members.push(verdict === null ? await memberOf(setting, index, places) : leftOut(setting, verdict));
    } catch (error) {
      if (!(error instanceof MembersRefused) && !(error instanceof StrategyModuleError)) throw error;
      problems.push(error.message);
    }
  }
  if (problems.length > 0) throw new MembersRefused(problems.join('; '));
  return members;
};

const memberOf = async (
  setting: StrategySetting,
  index: number,
  places: MemberPlaces,
): Promise<PortfolioMember> => {
  const { record, loading } = places;
  record.watch(index);
  if (isModulePath(setting.strategy)) loading?.(setting.strategy);
  const definition = await findDefinition(setting.strategy, places);
  const checked = checkParameters(definition, setting.config);
  if (!checked.ok) throw new MembersRefused(checked.problems.join('; '));
  try {
    needsOf(definition, checked.values);
  } catch (error) {
    throw new MembersRefused(error instanceof Error ? error.message : String(error));
  }
  record.watch(null);
  return {
    name: setting.name ?? definition.name,
    definition,
    parameters: checked.values,
    symbols: setting.symbols,
    universe: setting.universe,
    disabled: null,
  };
};

/** Not a line of its code is loaded: loading may be what it never comes back from. */
const leftOut = (setting: StrategySetting, verdict: string): PortfolioMember => ({
  name: setting.name ?? baseName(setting.strategy),
  definition: {
    portVersion: 2,
    name: 'left-out',
    about: verdict,
    parameters: {},
    create: () => ({}),
  },
  parameters: {},
  symbols: setting.symbols,
  universe: null,
  disabled: verdict,
});

const baseName = (path: string): string => path.replace(/^.*[/\\]/, '').replace(/\.[cm]?[jt]s$/, '');

const findDefinition = async (
  named: string,
  { find, names, cwd }: MemberPlaces,
): Promise<StrategyDefinition> => {
  if (isModulePath(named)) return importStrategy(named, cwd);
  const found = find(named);
  if (found !== undefined) return found;
  throw new MembersRefused(
    `STRATEGY=${named} is not a strategy; there are ${names.join(', ')}, or give the path of a file of your own`,
  );
};
