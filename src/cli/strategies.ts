import type { StrategyDefinition } from '../domain/strategy.js';
import { needsOf } from '../domain/strategy-definition.js';
import { checkParameters, describeParameter } from '../domain/strategy-parameters.js';
import { importStrategy, isModulePath, StrategyModuleError } from '../runtime/strategy-module.js';
import { findStrategy, STRATEGIES } from '../strategies/catalogue.js';
import { CliRefused } from './refused.js';
import { json, renderTable } from './table.js';
import type { Verb } from './verb.js';

export const verb: Verb = {
  name: 'strategies',
  usage: 'strategies [NAME|FILE] [--json]',
  about: `Lists the built-in strategies; of one of them, or of a file of your own, everything it declares.

A file that is no sound strategy is refused with everything that is wrong with it (exit code 2).
JSON: { strategies: [{ name, about, parameters: [{ name, type, default, min, max, choices, unit, about }],
candles: [{ interval, warmUp }], warmUpMs, timerMs }] }; candles, warmUpMs and timerMs are those of the defaults.`,
  options: {},
  async run({ values, positionals }, io) {
    const [named, ...more] = positionals;
    if (more.length > 0) throw new CliRefused('strategies takes one name or file');
    const found = named === undefined ? STRATEGIES : [await find(named)];
    if (values.json === true) io.out(json({ strategies: found.map(described) }));
    else if (named === undefined)
      io.out(
        renderTable(
          [
            { title: 'STRATEGY', cell: ({ name }) => name },
            { title: 'ABOUT', cell: ({ about }) => about },
          ],
          found,
          'there are no strategies',
        ),
      );
    else for (const definition of found) io.out(pageOf(definition));
    return 0;
  },
};

const find = async (named: string): Promise<StrategyDefinition> => {
  const builtIn = findStrategy(named);
  if (builtIn !== undefined) return builtIn;
  if (!isModulePath(named))
    throw new CliRefused(
      `there is no strategy ${named}; there are ${STRATEGIES.map(({ name }) => name).join(', ')}, or give the path of a file`,
    );
  try {
    return await importStrategy(named, process.cwd());
  } catch (error) {
    throw error instanceof StrategyModuleError ? new CliRefused(error.message) : error;
  }
};

/** What it wants with its defaults. A definition whose functions throw is refused like any other mistake. */
const needs = (definition: StrategyDefinition) => {
  const checked = checkParameters(definition, {});
  if (!checked.ok) throw new CliRefused(checked.problems.join('; '));
  try {
    return { ...needsOf(definition, checked.values), timerMs: definition.timerMs?.(checked.values) ?? null };
  } catch (error) {
    throw new CliRefused(error instanceof Error ? error.message : String(error));
  }
};

const described = (definition: StrategyDefinition) => ({
  name: definition.name,
  about: definition.about,
  parameters: Object.entries(definition.parameters).map(([name, spec]) => ({ name, ...spec })),
  ...needs(definition),
});

const pageOf = (definition: StrategyDefinition): string => {
  const { candles, warmUpMs, timerMs } = needs(definition);
  const facts = [
    ...candles.map(
      ({ interval, warmUp }) => `candles of ${interval}, ${warmUp} of them before the first order`,
    ),
    ...(warmUpMs > 0 ? [`no order in the first ${warmUpMs / 1_000} s`] : []),
    ...(timerMs === null ? [] : [`a timer every ${timerMs} ms`]),
  ];
  const rows = Object.entries(definition.parameters).map(([name, spec]) => ({
    name,
    about: spec.about,
    ...describeParameter(spec),
  }));
  const table = renderTable(
    [
      { title: 'PARAMETER', cell: row => row.name },
      { title: 'DEFAULT', align: 'right', cell: row => row.fallback },
      { title: 'UNIT', cell: row => row.unit },
      { title: 'ACCEPTS', cell: row => row.accepts },
      { title: 'ABOUT', cell: row => row.about },
    ],
    rows,
    'it has no parameters',
  );
  const wants = facts.length === 0 ? '' : `With its defaults it wants ${facts.join('; ')}.\n`;
  return `${definition.name}: ${definition.about}\n${wants}\n${table}`;
};
