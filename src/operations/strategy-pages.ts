/** The parameter tables of the strategies' pages, from their declarations. */
import { describeParameter } from '../domain/strategy-parameters.js';
import { STRATEGIES } from '../strategies/catalogue.js';
import { code, renderDocument, table } from './tables.js';

export interface GeneratedFile {
  /** Relative to the repository. */
  readonly path: string;
  /** What it must hold, given what it holds. */
  render(before: string): string;
}

/** `docs/strategies/<name>.md`; only what stands between the markers is made from the code. */
export const STRATEGY_PAGES: readonly GeneratedFile[] = STRATEGIES.map(({ name, parameters }) => ({
  path: `docs/strategies/${name}.md`,
  render: before =>
    renderDocument(before, {
      parameters: () =>
        table(
          ['Name', 'Default', 'Accepts', 'Unit', 'Meaning'],
          Object.entries(parameters).map(([parameter, spec]) => {
            const { fallback, accepts, unit } = describeParameter(spec);
            return [code(parameter), fallback === '' ? 'empty' : code(fallback), accepts, unit, spec.about];
          }),
        ),
    }),
}));
