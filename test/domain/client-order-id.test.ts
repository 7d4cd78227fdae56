import { expect } from 'chai';
import fc from 'fast-check';
import {
  CLIENT_ORDER_ID_MAX_LENGTH,
  makeClientOrderId,
  originOf,
  parseClientOrderId,
} from '#src/domain/client-order-id.js';

describe('client order id', () => {
  const parts = fc.record({
    instance: fc.string({ maxLength: 60 }),
    epoch: fc.nat({ max: 1_000_000_000 }),
    strategy: fc.string({ maxLength: 60 }),
    sequence: fc.nat({ max: 2_000_000_000 }),
  });

  it('fits the venue and leads back to epoch and sequence, whatever the names', () => {
    fc.assert(
      fc.property(parts, given => {
        const id = makeClientOrderId(given);
        expect(id).to.match(/^[a-z0-9-]+$/);
        expect(id.length).to.be.at.most(CLIENT_ORDER_ID_MAX_LENGTH);
        const parsed = parseClientOrderId(id);
        expect(parsed?.epoch).to.equal(given.epoch);
        expect(parsed?.sequence).to.equal(given.sequence);
        expect(originOf(id, given)).to.equal('this-epoch');
      }),
    );
  });

  it('never makes one label for two orders of one database', () => {
    fc.assert(
      fc.property(parts, parts, (left, right) => {
        fc.pre(left.epoch !== right.epoch || left.sequence !== right.sequence);
        expect(makeClientOrderId({ ...left, instance: 'same' })).to.not.equal(
          makeClientOrderId({ ...right, instance: 'same' }),
        );
      }),
    );
  });

  const self = { instance: '8f1c2d3e', epoch: 41 };
  for (const [label, origin] of [
    [makeClientOrderId({ ...self, strategy: 'maker', sequence: 5 }), 'this-epoch'],
    [makeClientOrderId({ ...self, epoch: 40, strategy: 'maker', sequence: 5 }), 'older-epoch'],
    [makeClientOrderId({ ...self, epoch: 42, strategy: 'maker', sequence: 5 }), 'newer-epoch'],
    [makeClientOrderId({ ...self, instance: '00aa', strategy: 'maker', sequence: 5 }), 'other-instance'],
    ['advanced-android', 'foreign'],
    ['bb-8f1c2d3e-15-maker', 'foreign'],
    ['bb-8f1c2d3e-15-maker-5-6', 'foreign'],
    ['', 'foreign'],
    [null, 'foreign'],
  ] as const)
    it(`tells that ${JSON.stringify(label)} is ${origin}`, () => {
      expect(originOf(label, self)).to.equal(origin);
    });

  it('refuses an epoch or sequence that cannot be written', () => {
    for (const epoch of [-1, 1.5, Number.NaN])
      expect(() => makeClientOrderId({ instance: 'a', epoch, strategy: 's', sequence: 1 })).to.throw(
        'do not make a client order id',
      );
  });
});
