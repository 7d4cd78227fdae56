import { expect } from 'chai';
import fc from 'fast-check';
import { runs } from '../runs.js';
import { type Coverage, HistoryError, noCoverage, playHistory, tapeOf } from './execution-history.js';

describe('execution against the truth', function () {
  const numRuns = runs(2_000, 10_000_000);
  this.timeout(Math.max(20_000, numRuns * 5));

  it('posts no order twice, loses and doubles no fill, counts no less than there is, and resolves every unknown', () => {
    const coverage: Coverage = noCoverage();
    const tape = fc.uint8Array({ minLength: 40, maxLength: 240, size: 'max' });
    const started = process.hrtime.bigint();
    fc.assert(
      fc.property(tape, bytes => {
        playHistory(tapeOf(bytes), coverage);
      }),
      {
        numRuns,
        endOnFailure: numRuns > 100_000,
        reporter: details => {
          if (!details.failed) return;
          const counterexample = details.counterexample?.[0] ?? new Uint8Array();
          let story = '';
          try {
            playHistory(tapeOf(counterexample), noCoverage(), true);
          } catch (error) {
            story = error instanceof HistoryError ? error.message : String(error);
          }
          throw new Error(`seed ${details.seed}, path ${details.counterexamplePath}: ${story}`);
        },
      },
    );
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    if (numRuns > 10_000)
      console.log(
        `${numRuns} histories, ${Math.round(numRuns / seconds)} a second: ${JSON.stringify(coverage)}`,
      );
    // A run that never met the rare paths proves nothing about them.
    for (const [path, times] of Object.entries(coverage))
      expect(times, `the path ${path}`).to.be.at.least(numRuns / 100);
  });
});
