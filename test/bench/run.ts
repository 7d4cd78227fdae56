/**
 * `npm run bench [-- <section>…]`: measures all sections, or those named, and writes what came of each into its part of
 * docs/PERFORMANCE.md as soon as it is known. `--rounds N` changes the number of rounds, `--minutes N`
 * how long the soak lasts; `--tiny` runs the suite's size and writes nothing.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sectionText, withSection } from './document.js';
import { SECTIONS } from './sections.js';

const ROUNDS = 7;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    minutes: { type: 'string' },
    tiny: { type: 'boolean', default: false },
  },
});
const unknown = positionals.filter(name => !SECTIONS.some(section => section.name === name));
const rounds = Number(values.rounds ?? (values.tiny ? 1 : ROUNDS));
const minutes = Number(values.minutes ?? Number.NaN);
if (
  unknown.length > 0 ||
  !Number.isSafeInteger(rounds) ||
  rounds < 1 ||
  (values.minutes !== undefined && !(minutes > 0))
) {
  const names = SECTIONS.map(section => section.name).join(', ');
  if (unknown.length > 0) console.error(`no section is called ${unknown.join(', ')}; there are ${names}`);
  else
    console.error(
      `--rounds ${rounds} --minutes ${values.minutes ?? ''}: a whole number from 1 on and a number above 0 are needed`,
    );
  process.exit(2);
}

const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
const load = (): string => (loadavg()[0] ?? 0).toFixed(1);

const path = join(process.cwd(), 'docs', 'PERFORMANCE.md');
const changed = git('status', '--porcelain', '--', 'src', 'workers', 'test/bench') !== '';
// At the start: what is measured is what is there now.
const commit = `${git('rev-parse', '--short', 'HEAD')}${changed ? ' with changes not yet committed' : ''}`;
const machine = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GB of memory, Node ${process.version}`;

let failed = false;
for (const section of SECTIONS) {
  if (positionals.length > 0 && !positionals.includes(section.name)) continue;
  console.log(`${section.name} …`);
  const before = load();
  try {
    const result = await section.run({
      rounds,
      tiny: values.tiny,
      ...(values.minutes === undefined ? {} : { minutes }),
    });
    const text = sectionText(section, result, {
      date: new Date().toISOString().slice(0, 10),
      commit,
      machine,
      load: [before, load()],
      rounds,
    });
    console.log(text);
    if (values.tiny) continue;
    const document = existsSync(path) ? readFileSync(path, 'utf8') : '';
    writeFileSync(
      path,
      withSection(
        document,
        section.name,
        text,
        SECTIONS.map(({ name }) => name),
      ),
    );
  } catch (error) {
    failed = true;
    console.error(`${section.name} broke off:`, error);
  }
}
process.exit(failed ? 1 : 0);
