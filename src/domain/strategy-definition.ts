/** Whether something a user wrote is a strategy: its author's compiler may never have seen our types. */
import { CANDLE_INTERVALS } from './candles.js';
import { tryParseDecimal } from './money.js';
import {
  type CandleWish,
  type ParameterValues,
  STRATEGY_PORT_VERSION,
  STRATEGY_PORT_VERSIONS,
  type StrategyDefinition,
} from './strategy.js';

const KINDS = ['number', 'integer', 'decimal', 'boolean', 'choice', 'text'];

/** What keeps `value` from being a strategy definition, all of it; empty when it is one. */
export const definitionProblems = (value: unknown): readonly string[] => {
  if (typeof value !== 'object' || value === null) return ['it is not an object made by defineStrategy'];
  const given = value as { readonly [field: string]: unknown };
  const problems: string[] = [];
  if (!(STRATEGY_PORT_VERSIONS as readonly unknown[]).includes(given.portVersion))
    problems.push(`portVersion must be ${STRATEGY_PORT_VERSION}, not ${shown(given.portVersion)}`);
  if (typeof given.name !== 'string' || !/^[a-z][a-z0-9-]{0,19}$/.test(given.name))
    problems.push(
      `name must be 1 to 20 lower-case letters, digits and dashes, starting with a letter, not ${shown(given.name)}`,
    );
  if (typeof given.about !== 'string') problems.push('about must be a sentence');
  for (const optional of ['timerMs', 'check', 'candles', 'warmUpMs'])
    if (given[optional] !== undefined && typeof given[optional] !== 'function')
      problems.push(`${optional} must be a function`);
  if (typeof given.create !== 'function') problems.push('create must be a function');
  if (typeof given.parameters !== 'object' || given.parameters === null)
    problems.push('parameters must be an object of declarations');
  else
    for (const [name, spec] of Object.entries(given.parameters))
      problems.push(...specProblems(spec).map(problem => `parameter ${name}: ${problem}`));
  return problems;
};

/** What a strategy needs before it may trade. */
export interface StrategyNeeds {
  readonly candles: readonly CandleWish[];
  readonly warmUpMs: number;
}

const MAX_SERIES = 8;
/** The venue answers about three days of minutes at once (protocol section 4.8). */
export const MAX_WARM_UP = 4_000;
const MAX_WARM_UP_MS = 86_400_000;

/** Asks a definition what it needs. @throws Error with everything that is wrong with the answer */
export const needsOf = (definition: StrategyDefinition, parameters: ParameterValues): StrategyNeeds => {
  const candles: unknown = definition.candles?.(parameters) ?? [];
  const warmUpMs: unknown = definition.warmUpMs?.(parameters) ?? 0;
  const problems: string[] = [];
  const intervals: unknown[] = [];
  if (!Array.isArray(candles) || candles.length > MAX_SERIES)
    problems.push(`candles must be a list of at most ${MAX_SERIES} series, not ${shown(candles)}`);
  else
    for (const wish of candles as readonly Partial<CandleWish>[]) {
      const { interval, warmUp } = wish ?? {};
      if (!(CANDLE_INTERVALS as readonly unknown[]).includes(interval))
        problems.push(
          `a candle interval must be one of ${CANDLE_INTERVALS.join(', ')}, not ${shown(interval)}`,
        );
      else if (intervals.includes(interval)) problems.push(`candles of ${interval} are declared twice`);
      if (!Number.isInteger(warmUp) || (warmUp as number) < 0 || (warmUp as number) > MAX_WARM_UP)
        problems.push(`a candle warm-up must be a whole number of 0 to ${MAX_WARM_UP}, not ${shown(warmUp)}`);
      intervals.push(interval);
    }
  if (typeof warmUpMs !== 'number' || !(warmUpMs >= 0 && warmUpMs <= MAX_WARM_UP_MS))
    problems.push(`warmUpMs must be a number of 0 to ${MAX_WARM_UP_MS}, not ${shown(warmUpMs)}`);
  if (problems.length > 0) throw new Error(`strategy ${definition.name}: ${problems.join('; ')}`);
  return { candles: candles as readonly CandleWish[], warmUpMs: warmUpMs as number };
};

const specProblems = (value: unknown): readonly string[] => {
  if (typeof value !== 'object' || value === null) return ['is not a declaration'];
  const spec = value as { readonly [field: string]: unknown };
  const kind = spec.type;
  if (typeof kind !== 'string' || !KINDS.includes(kind)) return [`type must be one of ${KINDS.join(', ')}`];
  const problems: string[] = [];
  const need = (field: string, fits: boolean, words: string): void => {
    if (!fits) problems.push(`${field} must be ${words}, not ${shown(spec[field])}`);
  };
  if (kind === 'boolean') need('default', typeof spec.default === 'boolean', 'true or false');
  else if (kind === 'text') need('default', typeof spec.default === 'string', 'a text');
  else if (kind === 'choice') {
    const choices = Array.isArray(spec.choices) ? spec.choices : [];
    need(
      'choices',
      choices.length > 0 && choices.every(choice => typeof choice === 'string'),
      'a list of texts',
    );
    need('default', choices.includes(spec.default), 'one of the choices');
  } else
    for (const field of ['default', 'min', 'max'])
      if (kind === 'decimal')
        need(
          field,
          typeof spec[field] === 'string' && tryParseDecimal(spec[field]) !== undefined,
          'decimal text',
        );
      else need(field, Number.isFinite(spec[field]), 'a number');
  return problems;
};

const shown = (value: unknown): string => (JSON.stringify(value) ?? String(value)).slice(0, 60);
