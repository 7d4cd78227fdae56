/** The section of docs/RELIABILITY.md about simulated days, made from the log of their runs. */
import { endOf, markOf } from '../operations/reliability-document.js';
import { missedPaths, RARE_PATHS } from './rare-paths.js';
import { type LoggedRun, pathsOf } from './run-log.js';

export const SECTION = 'simulated-days';

/** What is to be shown. */
export const GOAL_DAYS = 1_000;
/** In so many hours each rare path must be reached more than by chance. */
const LEAST_VISITS = 5;
/** Where the published log is kept, from the project's folder. */
export const KEPT_LOG = 'docs/simulated-days.jsonl.gz';
const DAY_HOURS = 24;

const ABOUT = `The whole bot in one thread under virtual time, with faults all day long, and everything must come right
afterwards. In runs of half an hour and longer the market between the faults is calmer than in
short ones (\`src/simulation/tempo.ts\`): about 0.005 of the live pace at the median, with busy phases at the live pace among
the faults. Written by \`npm run simulate -- --runs 1000 --hours 24 --every 60 --log FILE --publish\`, which goes on where
its log ends. The log of what follows, a line for each run, is \`${KEPT_LOG}\`; unpacked, it is a log to go on from.`;

/** As the command says it that runs one again. */
const everyOf = ({ replay }: LoggedRun): string => / --every (\S+)/.exec(replay)?.[1] ?? 'unknown';

/** How many runs have each of what `of` says: `20 (41 runs), 60 (959 runs)`. */
const counted = (runs: readonly LoggedRun[], of: (run: LoggedRun) => string): string => {
  const counts = new Map<string, number>();
  for (const run of runs) counts.set(of(run), (counts.get(of(run)) ?? 0) + 1);
  return [...counts].map(([what, count]) => `${what} (${count} runs)`).join(', ');
};

/** The text of the section, marks included. @param runs not empty */
export const daysSection = (runs: readonly LoggedRun[], machine: string): string => {
  const sum = (figure: (run: LoggedRun) => number): number =>
    runs.reduce((total, run) => total + figure(run), 0);
  const days = sum(({ hours }) => hours) / DAY_HOURS;
  const broken = runs.filter(({ violation }) => violation !== null);
  const paths = pathsOf(runs);
  const missed = missedPaths(paths, LEAST_VISITS);
  const rare = Object.keys(RARE_PATHS).map(name => paths.get(name) ?? 0);
  const ended = runs.map(({ endedAt }) => endedAt).sort();
  const faults = [...paths].reduce(
    (total, [name, count]) => total + (name.startsWith('fault: ') ? count : 0),
    0,
  );
  const rows: readonly (readonly [string, string, string])[] = [
    ['simulated days', String(GOAL_DAYS), days.toFixed(1)],
    ['runs that broke a promise', '0', String(broken.length)],
    ['runs', '', `${runs.length} of ${[...new Set(runs.map(({ hours }) => hours))].join(' and ')} h`],
    ['orders, fills', '', `${sum(({ orders }) => orders)}, ${sum(({ fills }) => fills)}`],
    ['mean seconds between faults', '', counted(runs, everyOf)],
    ['faults and their parts, counted', '', String(faults)],
    ['events', '', String(sum(({ events }) => events))],
    [
      `rare paths reached ${LEAST_VISITS} times or more`,
      String(rare.length),
      String(rare.length - missed.length),
    ],
    ['least visits of a rare path', '', String(Math.min(...rare))],
    ['processor time of a simulated day', '', `${(sum(({ cpuS }) => cpuS) / days).toFixed(0)} s`],
  ];
  return [
    markOf(SECTION),
    '## Simulated days',
    ABOUT,
    `${ended.at(0)?.slice(0, 10)} to ${ended.at(-1)?.slice(0, 10)}, ${counted(runs, ({ commit }) => `commit ${commit}`)}, ${machine}; other work shared the machine.`,
    ['| What | Goal | Result |', '| --- | --- | --- |', ...rows.map(row => `| ${row.join(' | ')} |`)].join(
      '\n',
    ),
    broken.length === 0
      ? 'No promise was broken.'
      : broken
          .map(({ violation, replay }) => `- ${(violation ?? '').split('\n', 1)[0]}: \`${replay}\``)
          .join('\n'),
    ...runs.flatMap(({ seed, brokeBefore = [] }) =>
      brokeBefore.map(
        ({ commit, violation }) =>
          `Seed ${seed} was run again; at commit ${commit} it had ended so: ${violation}`,
      ),
    ),
    ...(days >= GOAL_DAYS
      ? []
      : [`The run was stopped before ${GOAL_DAYS} days; what is shown is what it came to.`]),
    ...(missed.length === 0 ? [] : [`Too seldom to show anything: ${missed.join('; ')}.`]),
    endOf(SECTION),
  ].join('\n\n');
};
