/** A copy of what is built, in a folder of its own, into which bugs are put and taken out again. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Mutant } from './mutants.js';

export interface Scratch {
  /** The copy's `dist`. */
  readonly dist: string;
  /** Has the copy carry this bug and no other. @throws Error when an edit does not fit the sources exactly once */
  plant(mutant: Mutant | null): void;
  remove(): void;
}

/** Parts of `dist` that a simulation needs. */
const NEEDED = ['btcturk', 'domain', 'exchange', 'ledger', 'messages', 'runtime', 'simulation', 'strategies'];
/** What the simulator reads of the supervision: its child specs. */
const MORE = ['supervision'];

/** The sources with a mutant's edits, by file below `src`. @throws Error when an edit does not fit exactly once */
export const editedSources = (mutant: Mutant): ReadonlyMap<string, string> => {
  const edited = new Map<string, string>();
  for (const { file, from, to } of mutant.edits) {
    const source = edited.get(file) ?? readFileSync(resolve('src', file), 'utf8');
    const parts = source.split(from);
    if (parts.length !== 2)
      throw new Error(
        `mutant ${mutant.name}: its text occurs ${parts.length - 1} times in src/${file}, not once: ${from}`,
      );
    edited.set(file, parts.join(to));
  }
  return edited;
};

export const createScratch = (): Scratch => {
  const root = mkdtempSync(join(tmpdir(), 'btcbot-mutants-'));
  const dist = join(root, 'dist');
  mkdirSync(dist);
  symlinkSync(resolve('node_modules'), join(root, 'node_modules'));
  cpSync(resolve('package.json'), join(root, 'package.json'));
  for (const folder of [...NEEDED, ...MORE])
    cpSync(resolve('dist', folder), join(dist, folder), {
      recursive: true,
      filter: path => !path.endsWith('.map') && !path.endsWith('.d.ts'),
    });
  const changed = new Set<string>();
  const built = (file: string): string => file.replace(/\.ts$/, '.js');
  return {
    dist,
    plant: mutant => {
      for (const file of changed) cpSync(resolve('dist', built(file)), join(dist, built(file)));
      changed.clear();
      if (mutant === null) return;
      for (const [file, source] of editedSources(mutant)) {
        writeFileSync(join(dist, built(file)), stripTypeScriptTypes(source));
        changed.add(file);
      }
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
};
