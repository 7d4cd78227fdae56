/** A user's own strategy: one file outside the package, JavaScript or TypeScript (Node strips the types). */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { StrategyDefinition } from '../domain/strategy.js';
import { definitionProblems } from '../domain/strategy-definition.js';

/** Whether a value of `STRATEGY` names a file rather than a built-in strategy. */
export const isModulePath = (name: string): boolean => /[/\\]|\.[cm]?[jt]s$/.test(name);

/** The file is not there, does not load, or does not hold a strategy. */
export class StrategyModuleError extends Error {
  override readonly name = 'StrategyModuleError';
}

/**
 * Loads the strategy that a file exports as its default.
 * @param path relative to `cwd`, or absolute
 * @throws StrategyModuleError with every problem in its message
 */
export const importStrategy = async (path: string, cwd: string): Promise<StrategyDefinition> => {
  const file = resolve(cwd, path);
  let loaded: { readonly default?: unknown };
  try {
    loaded = (await import(pathToFileURL(file).href)) as { readonly default?: unknown };
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new StrategyModuleError(`STRATEGY=${path} cannot be loaded: ${words.split('\n')[0]}`);
  }
  if (loaded.default === undefined)
    throw new StrategyModuleError(
      `STRATEGY=${path} exports no strategy: write \`export default\` before its definition`,
    );
  const problems = definitionProblems(loaded.default);
  if (problems.length > 0)
    throw new StrategyModuleError(`STRATEGY=${path} is not a strategy: ${problems.join('; ')}`);
  return loaded.default as StrategyDefinition;
};
