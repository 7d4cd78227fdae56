/** What no venue should send: nothing crashes on it, nothing is decided by it. `npm run faults -- nonsense` takes a million. */
import fc from 'fast-check';
import type { BtcturkRead } from '#src/btcturk/market-reads.js';
import { runs } from '../runs.js';
import {
  BODIES,
  CALLS,
  checkBody,
  checkFrame,
  FRAMES,
  LARGE,
  liveMarket,
  nasty,
  status,
} from './nonsense.js';

const RUNS = runs(1_000, 1_000_000);

describe('fuzzed bodies and frames', () => {
  it('decide nothing that they do not say, and crash nobody (bodies)', () => {
    fc.assert(fc.property(status, nasty(BODIES), fc.constantFrom(...CALLS), checkBody), { numRuns: RUNS });
  });

  it('decide nothing that they do not say, and crash nobody (frames)', () => {
    const run = liveMarket();
    fc.assert(
      fc.property(nasty(FRAMES), text => checkFrame(text, run)),
      { numRuns: RUNS },
    );
  });

  for (const [index, text] of LARGE.entries()) {
    it(`survives large text ${index + 1} of ${LARGE.length}`, () => {
      for (const call of CALLS.slice(0, 4)) checkBody(200, text, call);
      checkBody(400, text, CALLS[0] as BtcturkRead);
      checkFrame(text);
    });
  }
});
