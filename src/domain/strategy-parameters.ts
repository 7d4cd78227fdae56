/** Turns what an operator wrote for a strategy into the values it declared. */
import { parseDecimal, tryParseDecimal } from './money.js';
import type { ParameterSpec, ParameterValues, StrategyDefinition } from './strategy.js';

export type CheckedParameters =
  | { readonly ok: true; readonly values: ParameterValues }
  | { readonly ok: false; readonly problems: readonly string[] };

type Value = number | bigint | string | boolean;
type Read = { readonly value: Value } | { readonly problem: string };

/**
 * Checks `given` against the strategy's declarations and fills in the defaults.
 * @returns every problem at once, each a sentence that names the strategy and the parameter.
 */
export const checkParameters = (
  definition: StrategyDefinition,
  given: Readonly<Record<string, unknown>>,
): CheckedParameters => {
  const problems: string[] = [];
  const values: Record<string, Value> = {};
  const names = Object.keys(definition.parameters);
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    const known = names.length === 0 ? 'it has no parameters' : `it has ${names.join(', ')}`;
    problems.push(`strategy ${definition.name} has no parameter ${JSON.stringify(name)}; ${known}`);
  }
  for (const [name, spec] of Object.entries(definition.parameters)) {
    const read = readParameter(spec, Object.hasOwn(given, name) ? given[name] : spec.default);
    if ('problem' in read) problems.push(`strategy ${definition.name}: ${name} ${read.problem}`);
    else values[name] = read.value;
  }
  if (problems.length === 0)
    for (const problem of definition.check?.(values) ?? [])
      problems.push(`strategy ${definition.name}: ${problem}`);
  return problems.length === 0 ? { ok: true, values } : { ok: false, problems };
};

const MAX_TEXT = 500;

const readParameter = (spec: ParameterSpec, given: unknown): Read => {
  switch (spec.type) {
    case 'number':
    case 'integer': {
      const kind = spec.type === 'integer' ? 'a whole number' : 'a number';
      const fits =
        typeof given === 'number' &&
        given >= spec.min &&
        given <= spec.max &&
        (spec.type === 'number' || Number.isInteger(given));
      return fits
        ? { value: given }
        : { problem: `must be ${kind} of ${spec.min} to ${spec.max} ${spec.unit}, not ${shown(given)}` };
    }
    case 'decimal': {
      const text = typeof given === 'number' ? String(given) : given;
      const value = typeof text === 'string' ? tryParseDecimal(text) : undefined;
      return value !== undefined && value >= parseDecimal(spec.min) && value <= parseDecimal(spec.max)
        ? { value }
        : {
            problem: `must be a plain decimal of ${spec.min} to ${spec.max} ${spec.unit}, not ${shown(given)}`,
          };
    }
    case 'boolean':
      return typeof given === 'boolean'
        ? { value: given }
        : { problem: `must be true or false, not ${shown(given)}` };
    case 'text':
      return typeof given === 'string' && given.length <= MAX_TEXT
        ? { value: given }
        : { problem: `must be a text of at most ${MAX_TEXT} characters, not ${shown(given)}` };
    case 'choice':
      return typeof given === 'string' && spec.choices.includes(given)
        ? { value: given }
        : { problem: `must be one of ${spec.choices.join(', ')}, not ${shown(given)}` };
  }
};

const shown = (given: unknown): string => (JSON.stringify(given) ?? String(given)).slice(0, 60);

/** A declaration in words, for lists and pages. */
export const describeParameter = (
  spec: ParameterSpec,
): { readonly fallback: string; readonly accepts: string; readonly unit: string } => {
  const fallback = String(spec.default);
  switch (spec.type) {
    case 'number':
    case 'integer':
    case 'decimal': {
      const kind = spec.type === 'integer' ? 'whole number' : spec.type === 'number' ? 'number' : 'decimal';
      return { fallback, accepts: `${kind}, ${spec.min} to ${spec.max}`, unit: spec.unit };
    }
    case 'choice':
      return { fallback, accepts: spec.choices.join(', '), unit: '' };
    case 'boolean':
      return { fallback, accepts: 'true, false', unit: '' };
    case 'text':
      return { fallback, accepts: 'text', unit: '' };
  }
};
