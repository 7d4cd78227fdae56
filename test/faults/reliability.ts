/** docs/RELIABILITY.md: one marked section for each part, replaced by a run of that part and by nothing else. */
import { endOf, markOf } from '#src/operations/reliability-document.js';
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
