/** The section of docs/RELIABILITY.md that shows which planted bugs were found. */
import type { Prey } from './hunt.js';
import type { Mutant } from './mutants.js';

export const SECTION = 'mutants';

export interface HuntFacts {
  /** `2026-01-31`. */
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  readonly minutes: number;
  readonly controlRuns: number;
}

export interface Trophy {
  readonly mutant: Mutant;
  readonly prey: Prey | null;
}

const WORDS_SHOWN = 120;

/** The violation without its seed, on one line of a table. */
export const wordsOf = (violation: string): string => {
  const words = violation
    .replace(/^seed \d+ BROKEN: (?:seed \d+: )?/, '')
    .split('\n', 1)[0]
    ?.replaceAll('|', '/');
  return (words ?? '').slice(0, WORDS_SHOWN);
};

const rowOf = ({ mutant, prey }: Trophy, { date, commit }: HuntFacts): string =>
  `| ${mutant.name}: ${mutant.about} | ${
    prey === null
      ? 'not found | | '
      : `${prey.seed} | ${Math.ceil(prey.tookMs / 1_000)} s | ${wordsOf(prey.violation)}`
  } | ${date}, ${commit} |`;

const ROW = /^\| ([a-z-]+): .* \|$/gm;

/** The rows of a document's section by mutant: a run may hunt for some only. */
const rowsIn = (document: string): Map<string, string> => {
  const section =
    document.split(`<!-- part: ${SECTION} -->`)[1]?.split(`<!-- end of ${SECTION} -->`)[0] ?? '';
  return new Map([...section.matchAll(ROW)].map(([row, name = '']) => [name, row]));
};

/**
 * The text of the section, marks included.
 * @param control what was found without any bug
 * @param document the document so far: its rows of mutants that were not hunted now stay
 * @param known the names of all mutants, in the order of the table
 */
export const mutantSection = (
  trophies: readonly Trophy[],
  control: Prey | null,
  facts: HuntFacts,
  document: string,
  known: readonly string[],
): string => {
  const rows = rowsIn(document);
  for (const trophy of trophies) rows.set(trophy.mutant.name, rowOf(trophy, facts));
  const shown = known.flatMap(name => rows.get(name) ?? []);
  const missed = known.filter(name => rows.get(name)?.includes('| not found |') ?? true);
  return [
    `<!-- part: ${SECTION} -->`,
    '## Planted bugs',
    'Deliberate bugs, each planted alone into a copy of the program (`test/mutants/mutants.ts`; never in what is built), and the ' +
      'simulator run on it, seed after seed, until a promise breaks. Written by `npm run mutants`; ' +
      '`npm run mutants -- NAME` hunts for one.',
    `${facts.machine}. At most ${facts.minutes} minutes for each bug; times are of the wall, with other work on the machine.`,
    control === null
      ? `Without a bug ${facts.controlRuns} seeds of the same kind broke nothing.`
      : `Without a bug seed ${control.seed} breaks too, so the table proves little: ${wordsOf(control.violation)}`,
    ['| Bug | Seed | Found after | What broke | Hunted |', '| --- | --- | --- | --- | --- |', ...shown].join(
      '\n',
    ),
    missed.length === 0
      ? `All ${known.length} were found.`
      : `${known.length - missed.length} of ${known.length} were found; not found: ${missed.join(', ')}.`,
    `<!-- end of ${SECTION} -->`,
  ].join('\n\n');
};
