/** docs/PERFORMANCE.md, written section by section: a run replaces what it measured and leaves the rest alone. */
import type { BenchGoal, BenchResult, BenchTable, Section } from './section.js';

/** Where and when a section was measured. */
export interface Circumstances {
  /** YYYY-MM-DD. */
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  /** Load averages of the last minute, before and after. */
  readonly load: readonly [before: string, after: string];
  readonly rounds: number;
}

const INTRODUCTION = `# Performance

Written by \`npm run bench\`, each section by its own last run. Figures are medians over the rounds unless they say
otherwise; ratios compare variants that were measured in the same run, in turns. Times on a busy machine include waiting
for a core.
`;

const beginOf = (name: string): string => `<!-- begin ${name} -->`;
const endOf = (name: string): string => `<!-- end ${name} -->`;

const tableText = ({ head, rows }: BenchTable): string =>
  [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n');

const goalText = ({ what, goal, measured, met, why }: BenchGoal): string =>
  `- ${met ? 'Met' : '**Missed**'}: ${what}, goal ${goal}, measured ${measured}.${met || why === undefined ? '' : ` ${why}`}`;

/** One section as it stands in the document, with its marks. */
export const sectionText = (
  section: Pick<Section, 'name' | 'title' | 'about'>,
  result: BenchResult,
  { date, commit, machine, load, rounds }: Circumstances,
): string =>
  [
    beginOf(section.name),
    `## ${section.title}`,
    section.about,
    `Measured on ${date}, at commit ${commit}, on ${machine}; load average ${load[0]} before and ${load[1]} after; ${rounds} rounds.`,
    ...result.tables.map(tableText),
    ...(result.goals === undefined ? [] : [result.goals.map(goalText).join('\n')]),
    ...(result.remarks === undefined ? [] : [result.remarks.map(remark => `- ${remark}`).join('\n')]),
    endOf(section.name),
  ].join('\n\n');

/**
 * Puts a section into the document, in place of its earlier self or at its place in `order`.
 * @param document the present text; empty when there is none
 */
export const withSection = (
  document: string,
  name: string,
  text: string,
  order: readonly string[],
): string => {
  const whole = document.includes('# Performance') ? document : INTRODUCTION;
  const begin = whole.indexOf(beginOf(name));
  const end = whole.indexOf(endOf(name));
  if (begin >= 0 && end > begin) return whole.slice(0, begin) + text + whole.slice(end + endOf(name).length);
  for (const later of order.slice(order.indexOf(name) + 1)) {
    const at = whole.indexOf(beginOf(later));
    if (at >= 0) return `${whole.slice(0, at)}${text}\n\n${whole.slice(at)}`;
  }
  return `${whole.trimEnd()}\n\n${text}\n`;
};
