/**
 * `npm run mutants [-- name…] [--minutes M] [--lanes N] [--seed S] [--print]`: plants each deliberate bug into a copy of the
 * program and simulates until a promise breaks, and writes the rows of docs/RELIABILITY.md's section. `--print` leaves the
 * document alone.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { withSection } from '#src/operations/reliability-document.js';
import { PARTS } from '../faults/parts.js';
import { huntAll } from './hunts.js';
import { MUTANTS } from './mutants.js';
import { mutantSection, SECTION, type Trophy, wordsOf } from './report.js';

const DOCUMENT = join(process.cwd(), 'docs', 'RELIABILITY.md');
/** Seeds without any bug, to know that what breaks is the bug. */
const CONTROL_RUNS = 40;

const { values, positionals } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    lanes: { type: 'string', default: String(Math.min(2, availableParallelism())) },
    seed: { type: 'string', default: '1' },
    print: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
for (const name of positionals)
  if (!MUTANTS.some(mutant => mutant.name === name))
    throw new Error(`there is no mutant ${name}; there are ${MUTANTS.map(mutant => mutant.name).join(', ')}`);
const wanted =
  positionals.length === 0 ? MUTANTS : MUTANTS.filter(mutant => positionals.includes(mutant.name));
const minutes = Number(values.minutes);
const firstSeed = Number(values.seed);

const git = (...args: readonly string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
const changed = git('status', '--porcelain', '--', 'src') !== '';
const commit = `${git('rev-parse', '--short', 'HEAD')}${changed ? ' with changes not yet committed' : ''}`;
const trophies = new Map<string, Trophy>();

await huntAll(
  wanted,
  { firstSeed, mostRuns: Number.MAX_SAFE_INTEGER, mostMs: minutes * 60_000 },
  Number(values.lanes),
  (mutant, prey) => {
    if (mutant === null) return;
    trophies.set(mutant.name, { mutant, prey });
    console.log(
      prey === null
        ? `${mutant.name}: NOT FOUND`
        : `${mutant.name}: seed ${prey.seed} after ${(prey.tookMs / 1_000).toFixed(1)} s: ${wordsOf(prey.violation)}`,
    );
  },
);
let control = null as Trophy['prey'];
await huntAll([null], { firstSeed, mostRuns: CONTROL_RUNS, mostMs: 60 * 60_000 }, 1, (_mutant, prey) => {
  control = prey;
});
const document = existsSync(DOCUMENT) ? readFileSync(DOCUMENT, 'utf8') : '';
const section = mutantSection(
  wanted.flatMap(mutant => trophies.get(mutant.name) ?? []),
  control,
  {
    date: new Date().toISOString().slice(0, 10),
    commit,
    machine: `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GB of memory, Node ${process.version}`,
    minutes,
    controlRuns: CONTROL_RUNS,
  },
  document,
  MUTANTS.map(({ name }) => name),
);
console.log(section);
const order = [...PARTS.map(({ name }) => name), SECTION];
if (!values.print) writeFileSync(DOCUMENT, withSection(document, SECTION, section, order));
process.exit(control === null && [...trophies.values()].every(({ prey }) => prey !== null) ? 0 : 1);
