import { expect } from 'chai';
import { createClockTracker } from '#src/btcturk/clock-offset.js';

describe('clock offset', () => {
  it('is the server time plus half the round trip minus ours', () => {
    const clock = createClockTracker();
    expect(clock.current()).to.equal(null);
    clock.add(10_000, 100, { monoMs: 300, wallMs: 9_000 });
    expect(clock.current()).to.deep.equal({ offsetMs: 1_100, roundTripMs: 200, measuredMonoMs: 300 });
  });

  it('prefers the quickest of the recent samples, until it is old', () => {
    const clock = createClockTracker();
    clock.add(1_000, 0, { monoMs: 10, wallMs: 0 });
    clock.add(2_300, 1_000, { monoMs: 1_600, wallMs: 1_600 });
    expect(clock.current()).to.deep.include({ roundTripMs: 10 });
    clock.add(401_000, 400_000, { monoMs: 400_040, wallMs: 400_000 });
    expect(clock.current()).to.deep.include({ roundTripMs: 40 });
  });

  it('believes the newer sample when a clock was stepped', () => {
    const clock = createClockTracker();
    clock.add(1_000, 0, { monoMs: 10, wallMs: 1_000 });
    clock.add(9_000, 1_000, { monoMs: 1_050, wallMs: 2_050 });
    expect(clock.current()?.offsetMs).to.equal(6_975);
  });

  it('stamps venue time, strictly increasing', () => {
    const clock = createClockTracker();
    clock.add(1_500, 0, { monoMs: 0, wallMs: 1_000 });
    const at = (wallMs: number): number => clock.stamp({ monoMs: wallMs - 1_000, wallMs });
    expect([at(1_000), at(1_000), at(999), at(1_600)]).to.deep.equal([1_500, 1_501, 1_502, 2_100]);
  });

  it('follows a clock that was set back, rather than leave the venue’s window', () => {
    const clock = createClockTracker();
    clock.stamp({ monoMs: 0, wallMs: 100_000 });
    expect(clock.stamp({ monoMs: 0, wallMs: 50_000 })).to.equal(50_000);
  });

  it('stamps venue time on while our clock is set back between two readings, and after the next', () => {
    const clock = createClockTracker();
    clock.add(101_000, 0, { monoMs: 0, wallMs: 100_000 });
    expect(clock.stamp({ monoMs: 10_000, wallMs: 110_000 })).to.equal(111_000);
    expect(clock.stamp({ monoMs: 20_000, wallMs: 60_000 })).to.equal(121_000);
    clock.add(131_000, 30_000, { monoMs: 30_000, wallMs: 70_000 });
    expect(clock.stamp({ monoMs: 40_000, wallMs: 80_000 })).to.equal(141_000);
  });

  it('follows a clock that is set back when the venue reads the same one', () => {
    const clock = createClockTracker(true);
    clock.add(101_000, 0, { monoMs: 0, wallMs: 100_000 });
    expect(clock.stamp({ monoMs: 20_000, wallMs: 60_000 })).to.equal(61_000);
  });

  it('follows a clock that went on while the machine slept', () => {
    const clock = createClockTracker();
    clock.add(101_000, 0, { monoMs: 0, wallMs: 100_000 });
    expect(clock.stamp({ monoMs: 1_000, wallMs: 3_700_000 })).to.equal(3_701_000);
  });
});
