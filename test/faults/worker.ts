/** One entry for every actor of `bot.ts`: the real worker, armed with a crash point and a seam, or the door to the outside venue. */
import { workerData } from 'node:worker_threads';
import type { ActorName } from '#src/domain/step.js';
import { hostActor } from '#src/runtime/actor-host.js';
import type { WorkerBoot } from '#src/runtime/settings.js';
import { armCrashPoint } from './crash-points.js';
import { openWorkerSeam } from './seam.js';

const { boot } = workerData as { readonly boot: WorkerBoot };
const actor = boot.actor as ActorName;

if (actor === 'paper-exchange') {
  const venue = JSON.parse(process.env.FAULTS_VENUE ?? '{}') as Record<string, string>;
  hostActor('paper-exchange', () => ({
    start: async () => venue,
    onMessage() {},
    async drain() {},
    snapshot: () => null,
  }));
} else {
  armCrashPoint(actor, process.env.FAULTS_CRASH_AT);
  openWorkerSeam(actor);
  await import(new URL(`../../workers/${actor}.js`, import.meta.url).href);
}
