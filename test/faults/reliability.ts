/** docs/RELIABILITY.md: one marked section for each part, replaced by a run of that part and by nothing else. */
import type { FaultPart, PartResult, PartSetting, Sizes } from './part.js';

/** Where and when a part was run. */
export interface RunFacts {
  /** `2026-01-31`. */
  readonly date: string;
  /** Short hash, with a word when the tree had changes. */
  readonly commit: string;
  readonly machine: string;
  readonly loadBefore: number;
  readonly loadAfter: number;
  readonly tookMs: number;
}

const HEAD = `# Reliability

Written by \`npm run faults\`, each section by the newest run of its part: real supervisor, workers, threads and sockets, as
processes of their own against an embedded exchange that outlives them. \`npm run faults -- signals,freeze\` runs some parts.
Other work shares the machine, so times include waiting for a core; the load average says how much.
`;

const markOf = (name: string): string => `<!-- part: ${name} -->`;
const endOf = (name: string): string => `<!-- end of ${name} -->`;

const table = (result: PartResult): string =>
  [
    '| What | Goal | Result |',
    '| --- | --- | --- |',
    ...result.rows.map(row => `| ${row.join(' | ')} |`),
  ].join('\n');

/** Contradictions shown; the run's output has them all. */
const SHOWN = 20;

const bodyOf = (outcome: PartResult | Error): string => {
  if (outcome instanceof Error) return `The run broke off: ${outcome.message}`;
  const { contradictions, notes = [] } = outcome;
  const found =
    contradictions.length === 0
      ? 'No contradiction was found.'
      : [
          `${contradictions.length} contradictions:\n`,
          ...contradictions.slice(0, SHOWN).map(text => `- ${text}`),
        ].join('\n');
  return [table(outcome), ...notes, found].join('\n\n');
};

const sizeWords = (part: FaultPart, size: Sizes): string => {
  const smaller = Object.entries(size).filter(([name, value]) => value < (part.full[name] ?? 0));
  return smaller.length === 0
    ? 'Full size.'
    : `Smaller than the full size: ${smaller.map(([name, value]) => `${name} ${value} of ${part.full[name]}`).join(', ')}.`;
};

/** The text of one part's section, marks included. */
export const sectionOf = (
  part: FaultPart,
  size: Sizes,
  setting: PartSetting,
  facts: RunFacts,
  outcome: PartResult | Error,
): string =>
  [
    markOf(part.name),
    `## ${part.title}`,
    part.about,
    [
      `${facts.date}, commit ${facts.commit}, ${facts.machine}; load average ${facts.loadBefore.toFixed(1)} before, ${facts.loadAfter.toFixed(1)} after;`,
      `${Math.round(facts.tookMs / 1_000)} s, seed ${setting.seed}, lanes ${setting.lanes}. ${sizeWords(part, size)}`,
    ].join('\n'),
    bodyOf(outcome),
    endOf(part.name),
  ].join('\n\n');

/**
 * The document with one section put in place of the older one, or behind that of the nearest part before it.
 * @param order the names of all parts
 */
export const withSection = (
  document: string,
  name: string,
  section: string,
  order: readonly string[],
): string => {
  const start = document.indexOf(markOf(name));
  const end = document.indexOf(endOf(name));
  if (start >= 0 && end > start)
    return `${document.slice(0, start)}${section}${document.slice(end + endOf(name).length)}`;
  const before = order
    .slice(0, order.indexOf(name))
    .reverse()
    .find(other => document.includes(endOf(other)));
  if (before === undefined) {
    // The first of all: right behind the head.
    const firstMark = document.indexOf('<!-- part: ');
    const head = document === '' ? HEAD : document.slice(0, firstMark < 0 ? undefined : firstMark);
    const rest = firstMark < 0 ? '' : `\n\n${document.slice(firstMark)}`;
    return `${head.trimEnd()}\n\n${section}${rest === '' ? '\n' : rest}`;
  }
  const behind = document.indexOf(endOf(before)) + endOf(before).length;
  return `${document.slice(0, behind)}\n\n${section}${document.slice(behind)}`;
};
