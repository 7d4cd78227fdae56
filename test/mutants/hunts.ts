/** Hunts for planted bugs: one process per hunt, with an end to its time. */
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Prey } from './hunt.js';
import type { Mutant } from './mutants.js';
import { createScratch, type Scratch } from './scratch.js';

export interface HuntLimits {
  readonly firstSeed: number;
  readonly mostRuns: number;
  readonly mostMs: number;
}

const run = promisify(execFile);

/** @returns what was found; null when nothing was, within these limits */
export const hunt = async (scratch: Scratch, limits: HuntLimits): Promise<Prey | null> => {
  try {
    const { stdout } = await run(
      process.execPath,
      [resolve('dist/test/mutants/hunt.js'), scratch.dist, String(limits.firstSeed), String(limits.mostRuns)],
      { timeout: limits.mostMs, killSignal: 'SIGKILL' },
    );
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? 'null') as Prey | null;
  } catch (error) {
    if ((error as { readonly killed?: boolean }).killed === true) return null;
    throw error;
  }
};

/** Plants each mutant and hunts for it, in as many lanes as there are scratches to have. */
export const huntAll = async (
  mutants: readonly (Mutant | null)[],
  limits: HuntLimits,
  lanes: number,
  found: (mutant: Mutant | null, prey: Prey | null) => void,
): Promise<void> => {
  let next = 0;
  const lane = async (): Promise<void> => {
    const scratch = createScratch();
    try {
      for (let index = next++; index < mutants.length; index = next++) {
        const mutant = mutants[index] ?? null;
        scratch.plant(mutant);
        found(mutant, await hunt(scratch, limits));
      }
    } finally {
      scratch.remove();
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, mutants.length) }, lane));
};
