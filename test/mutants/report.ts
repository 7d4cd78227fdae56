/** The section of docs/RELIABILITY.md that shows which planted bugs were found. */
import type { Prey } from './hunt.js';
import type { Mutant } from './mutants.js';

export const SECTION = 'mutants';

export interface HuntFacts {
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  readonly loadBefore: number;
  readonly loadAfter: number;
  readonly tookMs: number;
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

/** The text of the section, marks included. `control` is what was found without any bug. */
export const mutantSection = (
  trophies: readonly Trophy[],
  control: Prey | null,
  facts: HuntFacts,
): string => {
  const missed = trophies.filter(({ prey }) => prey === null);
  const rows = trophies.map(({ mutant, prey }) =>
    prey === null
      ? `| ${mutant.name}: ${mutant.about} | not found | | |`
      : `| ${mutant.name}: ${mutant.about} | ${prey.seed} | ${(prey.tookMs / 1_000).toFixed(1)} s | ${wordsOf(prey.violation)} |`,
  );
  return [
    `<!-- part: ${SECTION} -->`,
    '## Planted bugs',
    'Deliberate bugs, each planted alone into a copy of the program (`test/mutants/mutants.ts`; never in what is built), and the ' +
      'simulator run on it, seed after seed, until a promise breaks. Written by `npm run mutants`; ' +
      '`npm run mutants -- NAME` hunts for one.',
    `${facts.date}, commit ${facts.commit}, ${facts.machine}; load average ${facts.loadBefore.toFixed(1)} before, ${facts.loadAfter.toFixed(1)} after;
${Math.round(facts.tookMs / 1_000)} s in all, at most ${facts.minutes} minutes for each bug. Times are of the wall, and include waiting for a core.`,
    control === null
      ? `Without a bug ${facts.controlRuns} seeds broke nothing.`
      : `Without a bug seed ${control.seed} breaks too, so the table proves little: ${wordsOf(control.violation)}`,
    ['| Bug | Seed | Found after | What broke |', '| --- | --- | --- | --- |', ...rows].join('\n'),
    missed.length === 0
      ? `All ${trophies.length} were found.`
      : `${trophies.length - missed.length} of ${trophies.length} were found; not found: ${missed.map(({ mutant }) => mutant.name).join(', ')}.`,
    `<!-- end of ${SECTION} -->`,
  ].join('\n\n');
};
