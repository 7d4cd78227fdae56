/** The section of docs/RELIABILITY.md that says how many small changes of the guarding code its tests notice. */
export const SECTION = 'mutation';

export interface Survivor {
  readonly line: string;
  readonly what: string;
}

export interface ModuleScore {
  readonly module: string;
  readonly killed: number;
  readonly survived: number;
  /** Mutants that no test reaches; they count as not killed. */
  readonly uncovered: number;
  /** Date and commit. */
  readonly when: string;
  readonly survivors: readonly Survivor[];
}

/** A row of the table: what is kept of a module's score from run to run. */
export type ScoreRow = Omit<ModuleScore, 'survivors'>;

/** The least share of mutants that must be killed. */
export const GOAL = 0.9;

const shareOf = ({
  killed,
  survived,
  uncovered,
}: Pick<ScoreRow, 'killed' | 'survived' | 'uncovered'>): number => {
  const all = killed + survived + uncovered;
  return all === 0 ? 1 : killed / all;
};

const ROW = /^\| (src\/\S+) \| [\d.]+ % \| (\d+) \| (\d+) \| (\d+) \| ([^|]+) \|$/gm;

/** The rows of a document, with those of newly measured modules in their place; a run measures some modules. */
export const withScores = (document: string, measured: readonly ModuleScore[]): readonly ScoreRow[] => {
  const rows = new Map<string, ScoreRow>();
  for (const [, module = '', killed, survived, uncovered, when = ''] of document.matchAll(ROW))
    rows.set(module, {
      module,
      killed: Number(killed),
      survived: Number(survived),
      uncovered: Number(uncovered),
      when,
    });
  for (const { module, killed, survived, uncovered, when } of measured)
    rows.set(module, { module, killed, survived, uncovered, when });
  return [...rows.values()].sort((left, right) => (left.module < right.module ? -1 : 1));
};

/** The text of the section, marks included. */
export const mutationSection = (rows: readonly ScoreRow[], machine: string): string => {
  const below = rows.filter(row => shareOf(row) < GOAL);
  const sumOf = (count: (row: ScoreRow) => number): number => rows.reduce((sum, row) => sum + count(row), 0);
  const all = {
    killed: sumOf(({ killed }) => killed),
    survived: sumOf(({ survived }) => survived),
    uncovered: sumOf(({ uncovered }) => uncovered),
  };
  return [
    `<!-- part: ${SECTION} -->`,
    '## Small changes that the tests notice',
    'Stryker changes one operator, condition, text or call at a time in the compiled code of the modules that guard money, and ' +
      "each module's own tests must notice. Written by `npm run mutation`, for the modules of that run; the last ran on " +
      `${machine}.`,
    [
      '| Module | Killed | Noticed | Survived | Not reached | Measured |',
      '| --- | --- | --- | --- | --- | --- |',
      ...rows.map(
        row =>
          `| ${row.module} | ${(100 * shareOf(row)).toFixed(1)} % | ${row.killed} | ${row.survived} | ${row.uncovered} | ${row.when} |`,
      ),
    ].join('\n'),
    `In all ${(100 * shareOf(all)).toFixed(1)} % of ${all.killed + all.survived + all.uncovered}; the goal is ${100 * GOAL} %. ` +
      (below.length === 0
        ? 'No module is below it.'
        : `Below it: ${below.map(({ module }) => module).join(', ')}.`),
    `<!-- end of ${SECTION} -->`,
  ].join('\n\n');
};
