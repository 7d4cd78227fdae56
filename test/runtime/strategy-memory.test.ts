import { expect } from 'chai';
import { createSoleMemory, createStrategyMemory } from '#src/runtime/strategy-memory.js';

describe('memory that strategies keep outside the heap', () => {
  it('is blamed on the one that added most, once there is too much', () => {
    let bytes = 0;
    const memory = createStrategyMemory(() => bytes, 100);
    const call = (member: number, adds: number): void => {
      memory.watch(member);
      bytes += adds;
      memory.watch(null);
    };
    call(0, 40);
    call(1, 50);
    bytes -= 30;
    expect(memory.culprit()).to.equal(null);
    call(0, 5);
    call(1, 40);
    expect(memory.culprit()).to.equal(1);
  });

  it('blames nobody for what is kept between calls', () => {
    let bytes = 0;
    const memory = createStrategyMemory(() => bytes, 100);
    bytes = 500;
    expect(memory.culprit()).to.equal(null);
  });

  it('counts array buffers of this very thread', () => {
    const memory = createStrategyMemory(undefined, 1);
    memory.watch(3);
    const kept = new Uint8Array(50_000_000);
    memory.watch(null);
    expect([memory.culprit(), kept.length]).to.deep.equal([3, 50_000_000]);
  });

  it('is blamed on a strategy that has the thread to itself, whenever it came', () => {
    let bytes = 0;
    const memory = createSoleMemory(() => bytes, 100);
    memory.watch(0);
    bytes = 100;
    memory.watch(null);
    expect(memory.culprit()).to.equal(null);
    bytes = 101;
    expect(memory.culprit()).to.equal(0);
  });
});
