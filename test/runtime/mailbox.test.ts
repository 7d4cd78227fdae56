import { expect } from 'chai';
import fc from 'fast-check';
import type { MailboxRule } from '#src/messages/routes.js';
import { createMailbox, type Mailbox, outlivesSender } from '#src/runtime/mailbox.js';
import { runs } from '../runs.js';

interface Message {
  readonly type: string;
  readonly symbol?: string;
  readonly n: number;
}
const message = (n: number, type = 'public-trade', symbol?: string): Message => ({
  type,
  n,
  ...(symbol === undefined ? {} : { symbol }),
});
const drain = (mailbox: Mailbox<Message>): readonly number[] => {
  const taken: number[] = [];
  for (let next = mailbox.take(); next !== undefined; next = mailbox.take()) taken.push(next.n);
  return taken;
};

describe('a mailbox', () => {
  it('keeps the order of arrival', () => {
    const mailbox = createMailbox<Message>('hold', 10);
    for (let n = 0; n < 5; n++) expect(mailbox.put(message(n))).to.equal('kept');
    expect(mailbox.size).to.equal(5);
    expect(drain(mailbox)).to.deep.equal([0, 1, 2, 3, 4]);
    expect(mailbox.size).to.equal(0);
  });

  it('of rule newest keeps only the newest book of each symbol', () => {
    const mailbox = createMailbox<Message>('newest', 10);
    expect(mailbox.put(message(1, 'book-updated', 'A'))).to.equal('kept');
    expect(mailbox.put(message(2, 'book-updated', 'B'))).to.equal('kept');
    expect(mailbox.put(message(3))).to.equal('kept');
    expect(mailbox.put(message(4, 'book-updated', 'A'))).to.equal('superseded');
    expect(mailbox.size).to.equal(3);
    expect(drain(mailbox)).to.deep.equal([2, 3, 4]);
    expect(mailbox.dropped).to.equal(0);
  });

  it('of rule newest gives up the oldest when other messages fill it', () => {
    const mailbox = createMailbox<Message>('newest', 3);
    for (let n = 0; n < 3; n++) mailbox.put(message(n));
    expect(mailbox.put(message(3))).to.equal('dropped-oldest');
    expect(mailbox.dropped).to.equal(1);
    expect(drain(mailbox)).to.deep.equal([1, 2, 3]);
  });

  it('of rule refuse refuses new orders and takes cancels', () => {
    const mailbox = createMailbox<Message>('refuse', 2);
    mailbox.put(message(1, 'place-order'));
    mailbox.put(message(2, 'place-order'));
    expect(mailbox.put(message(3, 'place-order'))).to.equal('refused');
    expect(mailbox.put(message(4, 'cancel-order'))).to.equal('kept');
    expect(drain(mailbox)).to.deep.equal([1, 2, 4]);
    expect(mailbox.dropped).to.equal(1);
  });

  it('of rule hold loses nothing and says that it is over its limit', () => {
    const mailbox = createMailbox<Message>('hold', 2);
    mailbox.put(message(1));
    mailbox.put(message(2));
    expect(mailbox.put(message(3))).to.equal('over-limit');
    expect(drain(mailbox)).to.deep.equal([1, 2, 3]);
  });

  it('of rule drop-oldest drops the oldest and counts it', () => {
    const mailbox = createMailbox<Message>('drop-oldest', 2);
    for (let n = 0; n < 5; n++) mailbox.put(message(n));
    expect(drain(mailbox)).to.deep.equal([3, 4]);
    expect(mailbox.dropped).to.equal(3);
  });

  it('takes many superseded books without growing', () => {
    const mailbox = createMailbox<Message>('newest', 10);
    mailbox.put(message(-1, 'feed-status-changed'));
    const before = process.memoryUsage().heapUsed;
    for (let n = 0; n < 200_000; n++) mailbox.put(message(n, 'book-updated', 'A'));
    expect(mailbox.size).to.equal(2);
    expect(process.memoryUsage().heapUsed - before).to.be.lessThan(16 * 1024 * 1024);
    expect(drain(mailbox)).to.deep.equal([-1, 199_999]);
  });

  it('agrees with the plain list it stands for, whatever is put and taken', () => {
    const act = fc.oneof(
      fc.record({ type: fc.constantFrom('book-updated', 'public-trade'), symbol: fc.constantFrom('A', 'B') }),
      fc.constant(null),
    );
    fc.assert(
      fc.property(fc.array(act, { maxLength: 300 }), fc.integer({ min: 1, max: 10 }), (acts, limit) => {
        const mailbox = createMailbox<Message>('newest', limit);
        const model: Message[] = [];
        for (const [n, each] of acts.entries()) {
          if (each === null) {
            expect(mailbox.take()?.n).to.equal(model.shift()?.n);
            continue;
          }
          const put = message(n, each.type, each.symbol);
          mailbox.put(put);
          const older = model.findIndex(
            other => other.type === 'book-updated' && other.symbol === each.symbol,
          );
          const isBook = each.type === 'book-updated';
          if (isBook && older >= 0) model.splice(older, 1);
          else if (!isBook && model.length >= limit) model.shift();
          model.push(put);
          expect(mailbox.size).to.equal(model.length);
        }
        expect(drain(mailbox)).to.deep.equal(model.map(({ n }) => n));
      }),
      { numRuns: runs(1_000) },
    );
  });

  const left: readonly [type: string, rule: MailboxRule, heard: boolean][] = [
    ['order-tracked', 'hold', true],
    ['place-order', 'refuse', false],
    ['cancel-order', 'refuse', true],
    ['book-updated', 'newest', false],
    ['candles-wanted', 'drop-oldest', false],
    ['log', 'drop-oldest', true],
    ['metric', 'drop-oldest', true],
  ];
  for (const [type, rule, heard] of left)
    it(`${heard ? 'keeps' : 'forgets'} a message ${type} whose sender has ended`, () => {
      expect(outlivesSender(rule, message(1, type))).to.equal(heard);
    });
});
