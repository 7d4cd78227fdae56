import { expect } from 'chai';
import type { WorkerBoot } from '#src/runtime/settings.js';
import { WorkerLink } from '#src/supervision/worker-link.js';

describe('the supervisor’s end of a worker', () => {
  /** Longer than a thread needs to start, to speak and to end. */
  const BUSY_MS = 1_500;

  it('hears what a worker said last before it hears of its end, also when it was busy meanwhile', async () => {
    const heard: string[] = [];
    await new Promise<void>(resolve => {
      const link = new WorkerLink(
        {
          actor: 'execution',
          entry: new URL('../fakes/workers/last-words.js', import.meta.url),
          resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 },
        },
        { actor: 'execution', incarnation: 1 } as WorkerBoot,
        {
          onMessage: message => heard.push(message.type === 'hold-wanted' ? message.subject : message.type),
          onExit: () => {
            heard.push('end');
            resolve();
          },
        },
      );
      link.worker.once('online', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS));
    });
    expect(heard).to.deep.equal(['first', 'second', 'end']);
  }).timeout(10_000);
});
