/**
 * `npm run faults`: the money path under faults at full size, and docs/RELIABILITY.md from what came of it. Sizes from
 * the environment: FAULTS_SUBMITS, FAULTS_KILLS, FAULTS_PER_POINT, FAULTS_SYNCS, FAULTS_LANES, FAULTS_SEED.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { CRASH_POINTS } from './crash-points.js';
import { hasStrace, type SyncResult, syncsBeforePosts } from './fsync.js';
import { ALL_POINTS, type KillsResult, sudden } from './kills.js';
import { faultySubmits, SUBMIT_FAULTS, type SubmitsResult } from './submits.js';

const FULL = { submits: 10_000, kills: 500, perPoint: 10, syncs: 1_000, lanes: cpus().length, seed: 1 };

const size = (name: string, otherwise: number): number => {
  const given = process.env[name];
  if (given === undefined) return otherwise;
  if (!/^\d+$/.test(given)) throw new Error(`${name}=${given}: a whole number is needed`);
  return Number(given);
};

const plan = {
  submits: size('FAULTS_SUBMITS', FULL.submits),
  kills: size('FAULTS_KILLS', FULL.kills),
  perPoint: size('FAULTS_PER_POINT', FULL.perPoint),
  syncs: size('FAULTS_SYNCS', FULL.syncs),
  lanes: size('FAULTS_LANES', FULL.lanes),
  seed: size('FAULTS_SEED', FULL.seed),
};

/** Runs one part; what goes wrong in it is a result, too. */
const part = async <T>(name: string, work: () => Promise<T>): Promise<T | Error> => {
  console.log(`${name} …`);
  const startedMs = performance.now();
  const outcome = await work().catch((error: unknown) =>
    error instanceof Error ? error : new Error(String(error)),
  );
  console.log(`${name}: ${Math.round((performance.now() - startedMs) / 1_000)} s`);
  return outcome;
};

const at = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`;
const per = (count: number, total: number): string =>
  total === 0 ? 'none to judge' : `${((100 * count) / total).toFixed(1)} %`;

type Row = readonly [what: string, goal: string, result: string];
const violationsRow = (violations: readonly string[]): Row => [
  'contradictions between ledger and exchange, to the last digit',
  '0',
  String(violations.length),
];

const submitRows = (result: SubmitsResult): Row[] => {
  const inTime = result.resolvedMs.filter(ms => ms <= 15_000).length;
  const struck = SUBMIT_FAULTS.map(name => `${name} ${result.struck[name] ?? 0}`).join(', ');
  return [
    ['submits that reached the exchange', String(FULL.submits), String(result.submits)],
    ['of them with a swallowed answer', '5 % of each kind', struck],
    [
      'outcomes that became unknown',
      '',
      `${result.unknowns} (the private feed answers most questions before they are asked)`,
    ],
    [
      'unknowns resolved within 15 s',
      '99 %',
      `${per(inTime, result.unknowns)} (median ${seconds(at(result.resolvedMs, 0.5))}, longest ${seconds(result.resolvedMs.at(-1) ?? 0)}, never: ${result.unresolved})`,
    ],
    [
      'intents sent twice',
      '0',
      String(result.violations.filter(text => text.startsWith('two orders')).length),
    ],
    [
      'orders that the bot does not know',
      '0',
      String(
        result.violations.filter(text => /never intended|not in the ledger|no venue id/.test(text)).length,
      ),
    ],
    violationsRow(result.violations),
    ['orders whose end the stop left to the next start to record', '', String(result.lateEnds.length)],
  ];
};

const killRows = (result: KillsResult): Row[] => {
  const proven = result.deaths.filter(death => death.equalMs !== null);
  const sorted = (pick: (death: KillsResult['deaths'][number]) => number | null): number[] =>
    proven.map(death => pick(death) ?? 0).sort((left, right) => left - right);
  const equal = sorted(death => death.equalMs);
  const reading = sorted(death => death.readingMs);
  const named = result.deaths.filter(death => death.at.includes(':'));
  const times = ALL_POINTS.map(
    point => `${point} ${named.filter(death => death.at.startsWith(`${point}:`)).length}`,
  ).join(', ');
  return [
    ['kills at random moments', String(FULL.kills), String(result.deaths.length - named.length)],
    ['deaths at named points', `${FULL.perPoint} each`, times],
    ['orders and trades at the exchange', '', `${result.orders} and ${result.trades}`],
    ['starts that lived long enough to be judged', '', String(proven.length)],
    [
      'ledger equal to the exchange, from the start of the process',
      'within 10 s plus the reads',
      `${per(equal.filter(ms => ms <= 10_000).length, equal.length)} (median ${seconds(at(equal, 0.5))}, longest ${seconds(equal.at(-1) ?? 0)})`,
    ],
    [
      'of that, reading and comparing the account',
      '',
      `median ${seconds(at(reading, 0.5))}, longest ${seconds(reading.at(-1) ?? 0)}`,
    ],
    ['intents sent twice', '0', String(result.violations.filter(text => text.includes('two orders')).length)],
    violationsRow(result.violations),
  ];
};

const syncRows = (fresh: SyncResult, reopened: SyncResult): Row[] => [
  ['fresh ledger: POSTs behind a sync of their intent', 'all', `${fresh.synced} of ${fresh.posts}`],
  ['reopened ledger: POSTs behind a sync of their intent', 'all', `${reopened.synced} of ${reopened.posts}`],
];

const table = (rows: readonly Row[]): string =>
  ['| What | Goal | Result |', '| --- | --- | --- |', ...rows.map(row => `| ${row.join(' | ')} |`)].join(
    '\n',
  );

const section = <T>(
  title: string,
  text: string,
  outcome: T | Error | null,
  rows: (result: T) => Row[],
): string => {
  const body =
    outcome === null
      ? 'Not run: strace is absent.'
      : outcome instanceof Error
        ? `The run broke off: ${outcome.message}`
        : table(rows(outcome as T));
  return `## ${title}\n\n${text}\n\n${body}\n`;
};

const loadBefore = loadavg()[0]?.toFixed(1);
// At the start: what is tested is what is there now.
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
const changed =
  execFileSync('git', ['status', '--porcelain', '--', 'src', 'workers'], { encoding: 'utf8' }) !== '';

const submits = await part('faulty submits', () =>
  faultySubmits({ submits: plan.submits, bots: plan.lanes, seed: plan.seed, probability: 0.05 }),
);
const kills = await part('kills', () =>
  sudden({
    kills: plan.kills,
    perPoint: plan.perPoint,
    points: ALL_POINTS,
    lanes: plan.lanes,
    seed: plan.seed + 1_000,
  }),
);
const syncs = hasStrace()
  ? await part('system calls', () => syncsBeforePosts(plan.syncs, plan.seed + 2_000))
  : null;

const violations = [submits, kills].flatMap(outcome => (outcome instanceof Error ? [] : outcome.violations));
const isFull = Object.entries(FULL).every(
  ([name, full]) => name === 'lanes' || name === 'seed' || plan[name as keyof typeof plan] >= full,
);

const document = `# Reliability

Written by \`npm run faults\` on ${new Date().toISOString().slice(0, 10)}, at commit ${commit}${changed ? ' with changes not yet committed' : ''}, on
${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GB of memory, Node ${process.version}; load average ${loadBefore}
before and ${loadavg()[0]?.toFixed(1)} after (other work shares the machine), so times include waiting for a core. Seed ${plan.seed}, ${plan.lanes} bots side by side, each a
process of its own with the real supervisor, workers and sockets, against an embedded exchange that outlives it.
${isFull ? '' : '\nThis run was smaller than the full size: the column of goals says what the full run takes.\n'}
${section(
  'Swallowed answers',
  'The exchange carries a submit out and then stays silent, resets the connection, or answers with a gateway page.',
  submits,
  submitRows,
)}
${section(
  'Sudden deaths',
  `\`kill -9\` at random moments of starts and of trading, and at named points, each followed by a start on the same ledger
and account. The exchange's limits on requests are off here: nobody starts a bot ten times a minute.

${Object.entries(CRASH_POINTS)
  .map(([name, { about }]) => `- \`${name}\`: ${about}.`)
  .join('\n')}`,
  kills,
  killRows,
)}
${section(
  'The journal before the bytes',
  'strace over the whole process: an fsync or fdatasync of the write-ahead log that holds the intent has returned before\nthe first byte of its POST is written.',
  syncs,
  ({ fresh, reopened }) => syncRows(fresh, reopened),
)}
## What fell short

${
  violations.length === 0
    ? 'No contradiction was found.'
    : violations
        .slice(0, 40)
        .map(text => `- ${text}`)
        .join('\n')
}
`;
writeFileSync(join(process.cwd(), 'docs', 'RELIABILITY.md'), document);
console.log(document);
const early =
  syncs === null || syncs instanceof Error ? 0 : syncs.fresh.early.length + syncs.reopened.early.length;
const failed =
  violations.length + early > 0 || [submits, kills, syncs].some(outcome => outcome instanceof Error);
process.exit(failed ? 1 : 0);
