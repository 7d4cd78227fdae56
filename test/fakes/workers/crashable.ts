/**
 * The real worker of whatever actor, with a flaw: when a file `fault-<actor>` appears in the working directory, its
 * thread fails in the way the file names.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import type { WorkerBoot } from '#src/runtime/settings.js';

const { actor } = (workerData as { readonly boot: WorkerBoot }).boot;
const trigger = `fault-${actor}`;

const strike = (fault: string): void => {
  switch (fault) {
    case 'exit-0':
      process.exit(0);
      return;
    case 'throw':
      throw new Error('thrown on purpose');
    case 'reject':
      void Promise.reject(new Error('rejected on purpose'));
      return;
    case 'hang':
      for (;;);
    default: {
      // A busy spell of so many milliseconds.
      const until = process.hrtime.bigint() + BigInt(fault) * 1_000_000n;
      while (process.hrtime.bigint() < until);
    }
  }
};

setInterval(() => {
  if (!existsSync(trigger)) return;
  const fault = readFileSync(trigger, 'utf8');
  rmSync(trigger);
  strike(fault);
}, 10).unref();

await import(new URL(`../../../workers/${actor}.js`, import.meta.url).href);
