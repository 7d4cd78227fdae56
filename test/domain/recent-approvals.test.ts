import { expect } from 'chai';
import fc from 'fast-check';
import {
  type Approval,
  forgetApprovals,
  forgetRepeats,
  noteApproval,
  recentApprovals,
  repeatsOf,
} from '#src/domain/recent-approvals.js';
import { runs } from '../runs.js';

const MINUTE_MS = 60_000;

describe('the approvals of the last minute', () => {
  it('count as if all of them were looked at each time', () => {
    const order = fc.constantFrom('a', 'b', 'c');
    const happening = fc.record({
      after: fc.integer({ min: 0, max: MINUTE_MS / 4 }),
      print: order,
      asked: order,
      // Now and then an operator re-arms the bot.
      rearmed: fc.nat({ max: 7 }).map(number => number === 0),
    });
    fc.assert(
      fc.property(
        fc.array(happening, { maxLength: 40 }),
        fc.array(order, { maxLength: 3 }),
        (all, earlier) => {
          let at = 1_000;
          let plain: Approval[] = earlier.map(fingerprint => ({ at, fingerprint }));
          const recent = recentApprovals(plain);
          for (const { after, print, asked, rearmed } of all) {
            at += after;
            if (rearmed) {
              forgetRepeats(recent);
              plain = plain.map(approval => ({ ...approval, fingerprint: '' }));
            }
            forgetApprovals(recent, at);
            plain = plain.filter(approval => approval.at > at - MINUTE_MS);
            expect(recent.approvals).to.have.length(plain.length);
            expect(repeatsOf(recent.same, asked)).to.equal(
              plain.filter(({ fingerprint }) => fingerprint === asked).length,
            );
            noteApproval(recent, { at, fingerprint: print });
            plain.push({ at, fingerprint: print });
          }
          forgetApprovals(recent, at + MINUTE_MS);
          expect(recent.approvals).to.deep.equal([]);
          // Nothing is kept of what is forgotten, however long the bot runs.
          expect(recent.same.size).to.equal(0);
        },
      ),
      { numRuns: runs(1_000) },
    );
  });
});
