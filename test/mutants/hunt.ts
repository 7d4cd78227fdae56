/** Simulates seed after seed on what stands in a folder, until a promise is broken; a process of its own. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as SeedRun from '#src/simulation/seed-run.js';

/** What a hunt found, as its last line of output. */
export interface Prey {
  readonly seed: number;
  readonly violation: string;
  readonly runs: number;
  readonly tookMs: number;
}

/** Five simulated minutes with faults, often or seldom: short runs, so that a seed is quickly run again. */
const HOURS = 0.08;
const EVERY_S = [10, 4, 20] as const;
const SYMBOLS = [['BTCTRY'], ['BTCTRY', 'ETHTRY', 'XRPTRY']] as const;

/** The plan of one seed of a hunt. */
export const huntPlan = (seed: number): SeedRun.SeedPlan => ({
  seed,
  strategy: 'mixed',
  symbols: SYMBOLS[seed % 2 === 0 ? 1 : 0],
  hours: HOURS,
  everyS: EVERY_S[seed % EVERY_S.length] ?? EVERY_S[0],
});

const main = async (dist: string, firstSeed: number, mostRuns: number): Promise<Prey | null> => {
  const { runSeed } = (await import(
    pathToFileURL(join(dist, 'simulation/seed-run.js')).href
  )) as typeof SeedRun;
  const startedMs = performance.now();
  for (let runs = 1; runs <= mostRuns; runs++) {
    const seed = firstSeed + runs - 1;
    let violation: string | null = null;
    try {
      const result = runSeed(huntPlan(seed));
      if (result.figures === null) violation = result.lines.at(-1) ?? 'a promise was broken';
    } catch (error) {
      violation = error instanceof Error ? error.message : String(error);
    }
    if (violation !== null) return { seed, violation, runs, tookMs: performance.now() - startedMs };
  }
  return null;
};

if (process.argv[1] === import.meta.filename) {
  const [, , dist = '', firstSeed = '1', mostRuns = '1'] = process.argv;
  process.stdout.write(`${JSON.stringify(await main(dist, Number(firstSeed), Number(mostRuns)))}\n`);
}
