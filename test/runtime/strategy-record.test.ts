import { expect } from 'chai';
import { openStrategyRecord, STRATEGY_SCRATCH_BYTES } from '#src/runtime/strategy-record.js';

describe('the record of who is running', () => {
  const verdicts = (scratch: SharedArrayBuffer): (string | null)[] => {
    const record = openStrategyRecord(scratch);
    return [0, 1, 2].map(record.verdictOn);
  };

  it('names the member in whose call the thread before ended, for good', () => {
    const scratch = new SharedArrayBuffer(STRATEGY_SCRATCH_BYTES);
    const { watch } = openStrategyRecord(scratch);
    watch(0);
    watch(null);
    watch(1);
    for (let threads = 0; threads < 3; threads++) {
      const [first, second, third] = verdicts(scratch);
      expect([first, third]).to.deep.equal([null, null]);
      expect(second).to.contain('in the middle of one of its calls');
    }
  });

  it('has nobody to name when the thread ended between two calls', () => {
    const scratch = new SharedArrayBuffer(STRATEGY_SCRATCH_BYTES);
    const { watch } = openStrategyRecord(scratch);
    watch(2);
    watch(null);
    expect(verdicts(scratch)).to.deep.equal([null, null, null]);
  });

  it('keeps out who was stopped for its faults, and remembers the graver verdict', () => {
    const scratch = new SharedArrayBuffer(STRATEGY_SCRATCH_BYTES);
    const { watch, condemn } = openStrategyRecord(scratch);
    condemn(0);
    watch(1);
    openStrategyRecord(scratch).condemn(1);
    const [first, second, third] = verdicts(scratch);
    expect(first).to.contain('stopped earlier');
    expect(second).to.contain('in the middle of one of its calls');
    expect(third).to.equal(null);
  });

  it('has no memory where threads are not restarted', () => {
    openStrategyRecord(undefined).condemn(0);
    expect(openStrategyRecord(undefined).verdictOn(0)).to.equal(null);
  });
});
