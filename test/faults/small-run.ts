/** A part at its small size as a test: what is safe must be so on any machine, how fast it is is for the document. */
import { expect } from 'chai';
import type { FaultPart } from './part.js';

/** Ten times what a busy machine has needed. */
const PATIENCE_MS = 600_000;

export const testSmall = (part: FaultPart): void => {
  it(`shows no contradiction: ${part.name}`, async function () {
    this.timeout(PATIENCE_MS);
    const missing = part.missing?.() ?? null;
    if (missing !== null) {
      console.log(`      skipped: ${missing}`);
      this.skip();
    }
    const { rows, contradictions } = await part.run(part.small, { seed: 11, lanes: 1 });
    expect(contradictions).to.deep.equal([]);
    expect(rows).not.to.be.empty;
  });
};
