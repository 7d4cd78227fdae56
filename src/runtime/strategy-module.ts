/** A user's own strategy: one file outside the package, JavaScript or TypeScript (Node strips the types). */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { StrategyDefinition } from '../domain/strategy.js';
import { definitionProblems } from '../domain/strategy-definition.js';

/** Whether a value of `STRATEGY` names a file rather than a built-in strategy. */
export const isModulePath = (name: string): boolean => /[/\\]|\.[cm]?[jt]s$/.test(name);

/** What a user's file may import by name, wherever it lies: this very program, so that there is one of each. */
const OWN_PARTS: Readonly<Record<string, string>> = {
  'btcbot/strategy': new URL('../strategy.js', import.meta.url).href,
  'btcbot/testing': new URL('../testing.js', import.meta.url).href,
};
let hooked = false;

const serveOwnParts = (): void => {
  if (hooked) return;
  hooked = true;
  registerHooks({
    resolve: (specifier, context, next) => {
      const url = OWN_PARTS[specifier];
      return url === undefined ? next(specifier, context) : { url, shortCircuit: true };
    },
  });
};

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
  serveOwnParts();
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

/**
 * A digest of a user's file and of the files beside it that it imports by relative paths, and they in turn: it tells
 * whether a strategy is still the one that it was.
 * @returns hexadecimal SHA-256; a file that cannot be read counts as empty
 */
export const moduleDigest = (file: string): string => {
  const digest = createHash('sha256');
  const seen = new Set<string>();
  const take = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    let text = '';
    try {
      text = readFileSync(path, 'utf8');
    } catch {
      // Loading it says what is wrong with it.
    }
    digest.update(`${path}\0${text}\0`);
    for (const [, specifier] of text.matchAll(/\b(?:from|import)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g))
      take(resolve(dirname(path), specifier ?? ''));
  };
  take(file);
  return digest.digest('hex');
};
