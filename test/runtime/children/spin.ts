/** A thread that never comes back from its first input. */
import { parentPort, workerData } from 'node:worker_threads';
import { createWorkGuard } from '#src/runtime/work-slot.js';

const { slot } = workerData as { readonly slot: SharedArrayBuffer };
parentPort?.postMessage('spinning');
createWorkGuard(slot, [], () => {}).handle('public-frame', 'poison', () => {
  for (;;);
});
