/** What one part of the fault suite is: a thing to show, at a full size for the document and a small one for the tests. */
import { cpus } from 'node:os';

/** How much of it, by name: runs, kills, submits. */
export type Sizes = Readonly<Record<string, number>>;

/** One line of a part's table. */
export type Row = readonly [what: string, goal: string, result: string];

export interface PartResult {
  readonly rows: readonly Row[];
  /** What must never be and was: each one fails the run. A part that reached too little to show anything says so here. */
  readonly contradictions: readonly string[];
  /** What fell short of its goal or needs an explanation, as sentences for the document; fails nothing. */
  readonly notes?: readonly string[];
}

/** What every part is told beside its size. */
export interface PartSetting {
  readonly seed: number;
  /** Bots side by side, where a part can use more than one. */
  readonly lanes: number;
}

export interface FaultPart<Size extends Sizes = Sizes> {
  /** As on the command line and in the marks of the document. */
  readonly name: string;
  readonly title: string;
  /** Markdown under the title: what is done to the bot. */
  readonly about: string;
  readonly full: Size;
  /** A few seconds, for the suite. */
  readonly small: Size;
  /** Why this machine cannot run the part; null when it can. */
  readonly missing?: () => string | null;
  run(size: Size, setting: PartSetting): Promise<PartResult>;
}

/** Forgets a part's own names of sizes, so that parts fit into one list; {@link sizesFor} keeps them. */
export const definePart = <Size extends Sizes>(part: FaultPart<Size>): FaultPart => ({
  ...part,
  run: (size, setting) => part.run(size as Size, setting),
});

/** A part's sizes, with those replaced that were asked for; names that belong to other parts are passed over. */
export const sizesFor = (part: FaultPart, from: 'full' | 'small', asked: Sizes): Sizes => ({
  ...part[from],
  ...Object.fromEntries(Object.entries(asked).filter(([name]) => Object.hasOwn(part[from], name))),
});

export const DEFAULT_LANES = cpus().length;

/** The value below which a share of the ascending list lies. */
export const at = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
export const ascending = (values: readonly number[]): number[] =>
  [...values].sort((left, right) => left - right);
export const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`;
export const millis = (ms: number): string => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
export const per = (count: number, total: number): string =>
  total === 0 ? 'none to judge' : `${((100 * count) / total).toFixed(1)} %`;
/** Median, 99th percentile and longest of a list of milliseconds, in any order. */
export const spread = (values: readonly number[]): string => {
  const sorted = ascending(values);
  return sorted.length === 0
    ? 'none'
    : `median ${millis(at(sorted, 0.5))}, p99 ${millis(at(sorted, 0.99))}, longest ${millis(sorted.at(-1) ?? 0)} (${sorted.length})`;
};
