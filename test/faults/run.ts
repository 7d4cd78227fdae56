/**
 * `npm run faults [-- part,part…] [size=number…] [--small] [--print]`: the bot under faults, and docs/RELIABILITY.md from
 * what came of it. Without a name every part runs. A size is one of a part's own (`runs=50`), `seed` or `lanes`. `--print`
 * leaves the document alone.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { withSection } from '#src/operations/reliability-document.js';
import { DEFAULT_LANES, type FaultPart, type PartResult, type Sizes, sizesFor } from './part.js';
import { PARTS, partsNamed } from './parts.js';
import { type RunFacts, sectionOf } from './reliability.js';

const DOCUMENT = join(process.cwd(), 'docs', 'RELIABILITY.md');

const sizesIn = (words: readonly string[], parts: readonly FaultPart[]): Sizes =>
  Object.fromEntries(
    words.map(word => {
      const [name = '', value = ''] = word.split('=');
      if (!/^\d+$/.test(value)) throw new Error(`${word}: a whole number is needed`);
      if (!['seed', 'lanes'].includes(name) && parts.every(part => !Object.hasOwn(part.full, name)))
        throw new Error(
          `${word}: no such size; there are seed, lanes, ${parts.flatMap(part => Object.keys(part.full)).join(', ')}`,
        );
      return [name, Number(value)];
    }),
  );

const git = (...args: readonly string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
const machine = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GB of memory, Node ${process.version}`;
const load = (): number => loadavg()[0] ?? 0;

const { values, positionals } = parseArgs({
  options: { small: { type: 'boolean' }, print: { type: 'boolean' } },
  allowPositionals: true,
});
const parts = partsNamed(positionals.filter(word => !word.includes('=')));
const asked = sizesIn(
  positionals.filter(word => word.includes('=')),
  parts,
);
const setting = { seed: asked.seed ?? 1, lanes: asked.lanes ?? DEFAULT_LANES };

let failed = false;
for (const part of parts) {
  const missing = part.missing?.() ?? null;
  if (missing !== null) {
    console.log(`${part.name}: not run: ${missing}`);
    continue;
  }
  const size = sizesFor(part, values.small === true ? 'small' : 'full', asked);
  // At the start: what is tested is what is there now.
  const changed = git('status', '--porcelain', '--', 'src', 'workers') !== '';
  const commit = `${git('rev-parse', '--short', 'HEAD')}${changed ? ' with changes not yet committed' : ''}`;
  const loadBefore = load();
  console.log(`${part.name} …`);
  const startedMs = performance.now();
  const outcome: PartResult | Error = await part
    .run(size, setting)
    .catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
  const facts: RunFacts = {
    date: new Date().toISOString().slice(0, 10),
    commit,
    machine,
    loadBefore,
    loadAfter: load(),
    tookMs: performance.now() - startedMs,
  };
  const section = sectionOf(part, size, setting, facts, outcome);
  console.log(section);
  if (outcome instanceof Error) console.error(outcome.stack);
  else for (const text of outcome.contradictions) console.error(`contradiction: ${text}`);
  failed ||= outcome instanceof Error || outcome.contradictions.length > 0;
  if (values.print === true) continue;
  const document = existsSync(DOCUMENT) ? readFileSync(DOCUMENT, 'utf8') : '';
  writeFileSync(
    DOCUMENT,
    withSection(
      document,
      part.name,
      section,
      PARTS.map(({ name }) => name),
    ),
  );
}
process.exit(failed ? 1 : 0);
