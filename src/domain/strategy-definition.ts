/** Whether something a user wrote is a strategy: its author's compiler may never have seen our types. */
import { tryParseDecimal } from './money.js';
import { STRATEGY_PORT_VERSION } from './strategy.js';

const KINDS = ['number', 'integer', 'decimal', 'boolean', 'choice'];

/** What keeps `value` from being a strategy definition, all of it; empty when it is one. */
export const definitionProblems = (value: unknown): readonly string[] => {
  if (typeof value !== 'object' || value === null) return ['it is not an object made by defineStrategy'];
  const given = value as { readonly [field: string]: unknown };
  const problems: string[] = [];
  if (given.portVersion !== STRATEGY_PORT_VERSION)
    problems.push(`portVersion must be ${STRATEGY_PORT_VERSION}, not ${shown(given.portVersion)}`);
  if (typeof given.name !== 'string' || !/^[a-z][a-z0-9-]{0,19}$/.test(given.name))
    problems.push(
      `name must be 1 to 20 lower-case letters, digits and dashes, starting with a letter, not ${shown(given.name)}`,
    );
  if (typeof given.about !== 'string') problems.push('about must be a sentence');
  for (const optional of ['timerMs', 'check'])
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
