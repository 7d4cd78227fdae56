/** Many seeds on several threads, told of in the order of the seeds whoever is ready first. */
import { Piscina } from 'piscina';
import type { SeedPlan, SeedResult } from './seed-run.js';

export interface BatchListener {
  /** As soon as a run has ended, in whatever order; for logs and progress. */
  onEnded(plan: SeedPlan, result: SeedResult): void;
  /** In the order of the plans, each as soon as those before it were told. */
  onNext(plan: SeedPlan, result: SeedResult): void;
  /** Asked before each run: no more are begun when it says so. */
  isOver(): boolean;
}

/** Runs the plans; each thread takes the next one, so that nothing waits in the pool's queue. */
export const runBatch = async (
  plans: readonly SeedPlan[],
  threads: number,
  listener: BatchListener,
): Promise<void> => {
  const size = Math.max(1, Math.min(plans.length, threads));
  const pool = new Piscina<SeedPlan, SeedResult>({
    filename: new URL('./seed-run.js', import.meta.url).href,
    minThreads: size,
    maxThreads: size,
    maxQueue: size,
    atomics: 'disabled',
  });
  const ended = new Map<number, SeedResult>();
  let begun = 0;
  let told = 0;
  const tell = (): void => {
    for (let result = ended.get(told); result !== undefined; result = ended.get(told)) {
      ended.delete(told);
      listener.onNext(plans[told] as SeedPlan, result);
      told += 1;
    }
  };
  const lane = async (): Promise<void> => {
    while (begun < plans.length && !listener.isOver()) {
      const index = begun++;
      const plan = plans[index] as SeedPlan;
      const result = await pool.run(plan);
      ended.set(index, result);
      listener.onEnded(plan, result);
      tell();
    }
  };
  try {
    await Promise.all(Array.from({ length: size }, lane));
  } finally {
    await pool.destroy();
  }
};
