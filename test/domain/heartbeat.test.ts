import { expect } from 'chai';
import { beaten, heartbeat, type Pulse, pulseOf } from '#src/domain/heartbeat.js';

describe('heartbeat', () => {
  const beats = heartbeat(1_500, 3_000, 10_000);
  const table: readonly [ageMs: number, pulse: Pulse][] = [
    [0, 'on-time'],
    [200, 'on-time'],
    [1_500, 'on-time'],
    [1_501, 'late'],
    [3_000, 'late'],
    [3_001, 'lost'],
    [60_000, 'lost'],
  ];
  for (const [ageMs, pulse] of table)
    it(`is ${pulse} ${ageMs} ms after the last beat`, () => {
      expect(pulseOf(beats, 10_000 + ageMs)).to.equal(pulse);
    });

  it('is on time again with the next beat', () => {
    expect(pulseOf(beaten(beats, 14_000), 14_100)).to.equal('on-time');
  });

  it('takes no beat back into the past', () => {
    expect(beaten(beats, 9_000)).to.equal(beats);
  });
});
