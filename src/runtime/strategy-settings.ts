/** The forms of `STRATEGIES` and `UNIVERSE`: several strategies under one risk budget, and rules that choose symbols. */
import { z } from 'zod';
import { strategyTag } from '../domain/client-order-id.js';
import { tryParseDecimal } from '../domain/money.js';
import { NO_RULES, type UniverseRules } from '../domain/universe.js';
import type { StrategySetting } from './settings.js';

/** Most strategies at once: they share one thread. */
export const MAX_STRATEGIES = 16;
const DAY_MS = 86_400_000;

const amount = z.union([z.string(), z.number()]).transform((given, context) => {
  const value = tryParseDecimal(String(given));
  if (value !== undefined && value >= 0n) return value;
  context.addIssue({ code: 'custom', message: `must be a plain decimal, not ${JSON.stringify(given)}` });
  return z.NEVER;
});
const symbols = z.array(z.string()).min(1);

const UniverseForm = z.strictObject({
  minVolume: amount.optional(),
  maxSpreadBps: z.number().min(0).max(10_000).optional(),
  minAgeMs: z
    .number()
    .int()
    .min(0)
    .max(365 * DAY_MS)
    .optional(),
  allow: symbols.optional(),
  deny: z.array(z.string()).optional(),
  cooldownMs: z
    .number()
    .int()
    .min(0)
    .max(30 * DAY_MS)
    .optional(),
  maxSymbols: z.number().int().min(1).optional(),
});

const EntryForm = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,19}$/, '1 to 20 lower-case letters, digits and dashes, starting with a letter'),
  strategy: z.string().min(1),
  symbols: symbols.optional(),
  config: z.record(z.string(), z.unknown()).optional(),
  universe: UniverseForm.nullable().optional(),
});

const rulesOf = (form: z.infer<typeof UniverseForm>): UniverseRules => ({
  ...NO_RULES,
  minVolume: form.minVolume ?? null,
  maxSpreadBps: form.maxSpreadBps ?? null,
  minAgeMs: form.minAgeMs ?? 0,
  allow: form.allow ?? null,
  deny: form.deny ?? [],
  cooldownMs: form.cooldownMs ?? 0,
  maxSymbols: form.maxSymbols ?? null,
});

const wordsOf = (error: z.ZodError, where: string): string[] =>
  error.issues.map(issue => {
    const path = [where, ...issue.path].filter(part => part !== '').join('.');
    return path === '' ? `is wrong: ${issue.message}` : `${path} is wrong: ${issue.message}`;
  });

/** The rules an operator wrote, or every problem with them. */
export const readUniverse = (
  given: unknown,
): { readonly rules: UniverseRules | null; readonly problems: readonly string[] } => {
  const parsed = UniverseForm.safeParse(given);
  return parsed.success
    ? { rules: rulesOf(parsed.data), problems: [] }
    : { rules: null, problems: wordsOf(parsed.error, '') };
};

/**
 * The strategies of a list, or every problem with it.
 * @param allowed the pairs of `SYMBOLS`: an entry may have some of them, and has all when it names none
 * @param universe rules for the entries that have none of their own; an entry's `null` is without
 */
export const readPortfolio = (
  list: readonly unknown[],
  allowed: readonly string[],
  universe: UniverseRules | null,
): { readonly strategies: readonly StrategySetting[]; readonly problems: readonly string[] } => {
  const problems: string[] = [];
  const strategies: StrategySetting[] = [];
  if (list.length === 0 || list.length > MAX_STRATEGIES)
    problems.push(`has ${list.length} entries; 1 to ${MAX_STRATEGIES} can run`);
  for (const [index, each] of list.entries()) {
    const parsed = EntryForm.safeParse(each);
    if (!parsed.success) {
      problems.push(...wordsOf(parsed.error, `entry ${index + 1}`));
      continue;
    }
    const { name, strategy, config = {} } = parsed.data;
    const foreign = (parsed.data.symbols ?? []).filter(symbol => !allowed.includes(symbol));
    if (foreign.length > 0)
      problems.push(`${name} trades ${foreign.join(', ')}, which SYMBOLS does not allow`);
    const twin = strategies.find(other => strategyTag(other.name ?? '') === strategyTag(name));
    if (twin !== undefined)
      problems.push(
        `${twin.name} and ${name} have names that cannot be told apart in an order's label: its first 12 letters and digits count`,
      );
    const own = parsed.data.universe;
    strategies.push({
      name,
      strategy,
      symbols: parsed.data.symbols ?? allowed,
      config,
      universe: own === undefined ? universe : own === null ? null : rulesOf(own),
    });
  }
  return { strategies, problems };
};
