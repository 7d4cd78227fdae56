/** A worker that says something on its control port and ends in the same turn. */
import { workerData } from 'node:worker_threads';
import type { FromWorker } from '#src/messages/control.js';
import type { WorkerPorts } from '#src/runtime/actor-host.js';

const { ports } = workerData as { readonly ports: WorkerPorts };
for (const subject of ['first', 'second'])
  ports.control.postMessage({
    type: 'hold-wanted',
    id: subject,
    cause: subject,
    holdCause: 'invariant',
    subject,
    detail: 'last words',
  } satisfies FromWorker);
process.exit(0);
