/**
 * What a benchmark is. A section is one file in this folder that exports a {@link Section}, and one line in
 * sections.ts; `npm run bench -- <name>` runs it and writes its part of docs/PERFORMANCE.md.
 */

/** How much to measure. */
export interface BenchSize {
  /** Rounds of each comparison; the order of the variants changes from one to the next. */
  readonly rounds: number;
  /** The suite's size: everything once, as little of it as proves that it works. Figures mean nothing then. */
  readonly tiny: boolean;
  /** How long a section lasts that has no other measure; its own choice when absent. */
  readonly minutes?: number;
}

export interface BenchTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Something that was to be reached. */
export interface BenchGoal {
  readonly what: string;
  readonly goal: string;
  readonly measured: string;
  readonly met: boolean;
  /** What stands in the way, when it is not met. */
  readonly why?: string;
}

export interface BenchResult {
  readonly tables: readonly BenchTable[];
  readonly goals?: readonly BenchGoal[];
  /** Sentences a reader needs to judge the figures. */
  readonly remarks?: readonly string[];
}

export interface Section {
  /** Kebab-case; chooses it on the command line and marks its place in the document. */
  readonly name: string;
  readonly title: string;
  /** What is measured and how, in a few sentences. */
  readonly about: string;
  /** False where the suite runs what it is made of anyway, or where its smallest size is too long for it. */
  readonly inSuite?: false;
  run(size: BenchSize): Promise<BenchResult>;
}
