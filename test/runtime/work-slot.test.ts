import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import {
  createWorkGuard,
  createWorkSlot,
  inputInWork,
  mayBeMoney,
  WORK_SOURCES,
} from '#src/runtime/work-slot.js';

const none = (): void => {};

describe('what a worker is working on', () => {
  it('is written before the input is handled, and cleared after it', () => {
    const slot = createWorkSlot();
    const guard = createWorkGuard(slot, [], none);
    const seen: (string | null)[] = [];
    expect(guard.handle('execution', { type: 'a' }, () => seen.push(inputInWork(slot)))).to.equal(true);
    expect(seen[0]).to.match(/^execution:[0-9a-f]{16}$/);
    expect(inputInWork(slot)).to.equal(null);
  });

  it('stays written when the worker throws, until somebody else’s turn comes', () => {
    const slot = createWorkSlot();
    const guard = createWorkGuard(slot, [], none);
    expect(() =>
      guard.handle('read', 'x', () => {
        throw new Error('on purpose');
      }),
    ).to.throw('on purpose');
    expect(inputInWork(slot)).to.match(/^read:/);
    guard.idle();
    expect(inputInWork(slot)).to.equal(null);
    expect(guard.handle('read', 'y', none)).to.equal(true);
  });

  it('is the outer input where one leads to another', () => {
    const slot = createWorkSlot();
    const guard = createWorkGuard(slot, [], none);
    const names: (string | null)[] = [];
    guard.handle('private-frame', 'outer', () => {
      names.push(inputInWork(slot));
      guard.handle('execution', 'inner', () => names.push(inputInWork(slot)));
      names.push(inputInWork(slot));
    });
    expect(new Set(names).size).to.equal(1);
  });

  it('is not handled any more once it is quarantined, and everything else is', () => {
    const slot = createWorkSlot();
    let name = '';
    createWorkGuard(slot, [], none).handle('market-data', { bad: 1 }, () => {
      name = inputInWork(slot) ?? '';
    });
    const skipped: string[] = [];
    const handled: unknown[] = [];
    const guard = createWorkGuard(slot, [name], (_source, which) => skipped.push(which));
    for (const input of [{ bad: 1 }, { bad: 2 }, { bad: 1 }])
      guard.handle('market-data', input, () => handled.push(input));
    expect(skipped).to.deep.equal([name, name]);
    expect(handled).to.deep.equal([{ bad: 2 }]);
    expect(guard.handle('execution', { bad: 1 }, none)).to.equal(true);
  });

  it('can be read when its thread spins for ever and was ended from outside', async () => {
    const slot = createWorkSlot();
    const worker = new Worker(new URL('./children/spin.js', import.meta.url), { workerData: { slot } });
    await once(worker, 'message');
    while (inputInWork(slot) === null) await new Promise(resolve => setImmediate(resolve));
    await worker.terminate();
    expect(inputInWork(slot)).to.match(/^public-frame:/);
  });

  it('may be money unless it is of the market or of the log', () => {
    for (const receiver of ['telemetry', 'market-data', 'twin'] as const)
      expect(
        WORK_SOURCES.filter(source => mayBeMoney(receiver, source)),
        receiver,
      ).to.deep.equal([]);
    expect(WORK_SOURCES.filter(source => !mayBeMoney('execution', source))).to.have.members([
      'market-data',
      'public-frame',
      'telemetry',
    ]);
  });
});
