import { expect } from 'chai';
import type { OrderState, OrderStatus } from '#src/domain/order.js';
import {
  applyOrderFact,
  ENDED_LIVE_GRACE_MS,
  ORDER_TABLE,
  type OrderFact,
  type OrderFactType,
  type OrderRecord,
  orderRecord,
  worstRemaining,
} from '#src/domain/order-machine.js';
import { d, fillOf, limitTerms, orderIn, recordIn, reportOf } from './orders.js';

const now = { monoMs: 50_000, wallMs: 9_000 };

/** One example of each fact, as it would be for the order of these tests. */
const FACTS: { readonly [T in OrderFactType]: Extract<OrderFact, { readonly type: T }> } = {
  journaled: { type: 'journaled' },
  sent: { type: 'sent' },
  'submit-confirmed': { type: 'submit-confirmed', venueOrderId: 'V1' },
  'submit-rejected': { type: 'submit-rejected', reason: 'FAILED_LIMIT_ORDER' },
  'submit-denied': { type: 'submit-denied', reason: 'fenced' },
  'submit-unknown': { type: 'submit-unknown', cause: 'timeout' },
  'cancel-sent': { type: 'cancel-sent' },
  'cancel-queued': { type: 'cancel-queued' },
  'cancel-rejected': { type: 'cancel-rejected' },
  'cancel-denied': { type: 'cancel-denied' },
  'cancel-unknown': { type: 'cancel-unknown' },
  'hint-inserted': { type: 'hint-inserted', venueOrderId: 'V1' },
  'hint-removed': { type: 'hint-removed', venueOrderId: 'V1' },
  'hint-matched': { type: 'hint-matched', venueOrderId: 'V1' },
  reported: { type: 'reported', report: reportOf('untouched', '0'), asOfMonoMs: 40_000 },
  'fill-booked': { type: 'fill-booked', fill: fillOf('4'), orderFilled: d('4') },
  'absence-proven': { type: 'absence-proven', evidence: 'nowhere for six minutes' },
  'process-ended': { type: 'process-ended' },
};

/** Next status, then what is odd (`~` late, `!` impossible), then `?` when the venue should be asked. */
const EXPECTED: { readonly [S in OrderStatus]: { readonly [T in OrderFactType]: string } } = {
  intended: {
    journaled: 'intended',
    sent: 'in-flight',
    'submit-confirmed': 'working !answer-before-sent',
    'submit-rejected': 'rejected',
    'submit-denied': 'denied',
    'submit-unknown': 'unknown ?',
    'cancel-sent': 'intended !cancel-without-order',
    'cancel-queued': 'intended !cancel-without-order',
    'cancel-rejected': 'intended !cancel-without-order',
    'cancel-denied': 'intended',
    'cancel-unknown': 'intended !cancel-without-order',
    'hint-inserted': 'working !answer-before-sent',
    'hint-removed': 'cancel-in-flight !answer-before-sent ?',
    'hint-matched': 'working !answer-before-sent ?',
    reported: 'working !answer-before-sent',
    'fill-booked': 'working !answer-before-sent',
    'absence-proven': 'intended ~absence-while-in-flight',
    'process-ended': 'unknown ?',
  },
  'in-flight': {
    journaled: 'in-flight',
    sent: 'in-flight !sent-twice',
    'submit-confirmed': 'working',
    'submit-rejected': 'rejected',
    'submit-denied': 'unknown ~denied-after-sent ?',
    'submit-unknown': 'unknown ?',
    'cancel-sent': 'in-flight !cancel-without-order',
    'cancel-queued': 'in-flight !cancel-without-order',
    'cancel-rejected': 'in-flight !cancel-without-order',
    'cancel-denied': 'in-flight',
    'cancel-unknown': 'in-flight !cancel-without-order',
    'hint-inserted': 'working',
    'hint-removed': 'cancel-in-flight ?',
    'hint-matched': 'working ?',
    reported: 'working',
    'fill-booked': 'working',
    'absence-proven': 'in-flight ~absence-while-in-flight',
    'process-ended': 'unknown ?',
  },
  unknown: {
    journaled: 'unknown',
    sent: 'unknown',
    'submit-confirmed': 'working ~answer-after-evidence',
    'submit-rejected': 'rejected',
    'submit-denied': 'denied',
    'submit-unknown': 'unknown ?',
    'cancel-sent': 'unknown !cancel-without-order',
    'cancel-queued': 'unknown !cancel-without-order',
    'cancel-rejected': 'unknown !cancel-without-order',
    'cancel-denied': 'unknown',
    'cancel-unknown': 'unknown !cancel-without-order',
    'hint-inserted': 'working',
    'hint-removed': 'cancel-in-flight ?',
    'hint-matched': 'working ?',
    reported: 'working',
    'fill-booked': 'working',
    'absence-proven': 'rejected',
    'process-ended': 'unknown ?',
  },
  working: {
    journaled: 'working',
    sent: 'working !sent-twice',
    'submit-confirmed': 'working ~answer-after-evidence',
    'submit-rejected': 'working !rejected-order-exists',
    'submit-denied': 'working !denied-order-exists',
    'submit-unknown': 'working ~answer-after-evidence',
    'cancel-sent': 'cancel-in-flight',
    'cancel-queued': 'working ~answer-after-evidence ?',
    'cancel-rejected': 'working ?',
    'cancel-denied': 'working',
    'cancel-unknown': 'working ~answer-after-evidence ?',
    'hint-inserted': 'working',
    'hint-removed': 'cancel-in-flight ?',
    'hint-matched': 'working ?',
    reported: 'working',
    'fill-booked': 'working',
    'absence-proven': 'working !absence-of-existing-order',
    'process-ended': 'working',
  },
  'cancel-in-flight': {
    journaled: 'cancel-in-flight',
    sent: 'cancel-in-flight !sent-twice',
    'submit-confirmed': 'cancel-in-flight ~answer-after-evidence',
    'submit-rejected': 'cancel-in-flight !rejected-order-exists',
    'submit-denied': 'cancel-in-flight !denied-order-exists',
    'submit-unknown': 'cancel-in-flight ~answer-after-evidence',
    'cancel-sent': 'cancel-in-flight',
    'cancel-queued': 'cancel-in-flight',
    'cancel-rejected': 'cancel-in-flight ?',
    'cancel-denied': 'cancel-in-flight',
    'cancel-unknown': 'cancel-in-flight ?',
    'hint-inserted': 'cancel-in-flight',
    'hint-removed': 'cancel-in-flight ?',
    'hint-matched': 'cancel-in-flight ?',
    reported: 'cancel-in-flight',
    'fill-booked': 'cancel-in-flight',
    'absence-proven': 'cancel-in-flight !absence-of-existing-order',
    'process-ended': 'cancel-in-flight',
  },
  filled: {
    journaled: 'filled',
    sent: 'filled !sent-twice',
    'submit-confirmed': 'filled ~answer-after-end',
    'submit-rejected': 'filled !rejected-order-exists',
    'submit-denied': 'filled !denied-order-exists',
    'submit-unknown': 'filled ~answer-after-end',
    'cancel-sent': 'filled ~answer-after-end',
    'cancel-queued': 'filled',
    'cancel-rejected': 'filled',
    'cancel-denied': 'filled',
    'cancel-unknown': 'filled',
    'hint-inserted': 'filled',
    'hint-removed': 'filled',
    'hint-matched': 'filled',
    reported: 'filled ~report-stale ?',
    'fill-booked': 'filled !fill-total-differs ~fill-after-end !fill-beyond-quantity',
    'absence-proven': 'filled !absence-of-existing-order',
    'process-ended': 'filled',
  },
  canceled: {
    journaled: 'canceled',
    sent: 'canceled !sent-twice',
    'submit-confirmed': 'canceled ~answer-after-end',
    'submit-rejected': 'canceled !rejected-order-exists',
    'submit-denied': 'canceled !denied-order-exists',
    'submit-unknown': 'canceled ~answer-after-end',
    'cancel-sent': 'canceled ~answer-after-end',
    'cancel-queued': 'canceled',
    'cancel-rejected': 'canceled',
    'cancel-denied': 'canceled',
    'cancel-unknown': 'canceled',
    'hint-inserted': 'canceled',
    'hint-removed': 'canceled',
    'hint-matched': 'canceled',
    reported: 'canceled ~report-stale ?',
    'fill-booked': 'canceled ~fill-after-end',
    'absence-proven': 'canceled !absence-of-existing-order',
    'process-ended': 'canceled',
  },
  expired: {
    journaled: 'expired',
    sent: 'expired !sent-twice',
    'submit-confirmed': 'expired ~answer-after-end',
    'submit-rejected': 'expired !rejected-order-exists',
    'submit-denied': 'expired !denied-order-exists',
    'submit-unknown': 'expired ~answer-after-end',
    'cancel-sent': 'expired ~answer-after-end',
    'cancel-queued': 'expired',
    'cancel-rejected': 'expired',
    'cancel-denied': 'expired',
    'cancel-unknown': 'expired',
    'hint-inserted': 'expired',
    'hint-removed': 'expired',
    'hint-matched': 'expired',
    reported: 'expired ~report-stale ?',
    'fill-booked': 'expired ~fill-after-end',
    'absence-proven': 'expired !absence-of-existing-order',
    'process-ended': 'expired',
  },
  rejected: {
    journaled: 'rejected',
    sent: 'rejected !sent-twice',
    'submit-confirmed': 'working !rejected-order-exists ?',
    'submit-rejected': 'rejected ~answer-after-end',
    'submit-denied': 'rejected ~answer-after-end',
    'submit-unknown': 'rejected ~answer-after-end',
    'cancel-sent': 'rejected !cancel-without-order',
    'cancel-queued': 'rejected !cancel-without-order',
    'cancel-rejected': 'rejected !cancel-without-order',
    'cancel-denied': 'rejected',
    'cancel-unknown': 'rejected !cancel-without-order',
    'hint-inserted': 'working !rejected-order-exists ?',
    'hint-removed': 'working !rejected-order-exists ?',
    'hint-matched': 'working !rejected-order-exists ?',
    reported: 'working !rejected-order-exists',
    'fill-booked': 'working !rejected-order-exists ?',
    'absence-proven': 'rejected',
    'process-ended': 'rejected',
  },
  denied: {
    journaled: 'denied',
    sent: 'denied !sent-twice',
    'submit-confirmed': 'working !denied-order-exists ?',
    'submit-rejected': 'denied ~answer-after-end',
    'submit-denied': 'denied ~answer-after-end',
    'submit-unknown': 'denied ~answer-after-end',
    'cancel-sent': 'denied !cancel-without-order',
    'cancel-queued': 'denied !cancel-without-order',
    'cancel-rejected': 'denied !cancel-without-order',
    'cancel-denied': 'denied',
    'cancel-unknown': 'denied !cancel-without-order',
    'hint-inserted': 'working !denied-order-exists ?',
    'hint-removed': 'working !denied-order-exists ?',
    'hint-matched': 'working !denied-order-exists ?',
    reported: 'working !denied-order-exists',
    'fill-booked': 'working !denied-order-exists ?',
    'absence-proven': 'denied',
    'process-ended': 'denied',
  },
};

const apply = (record: OrderRecord, fact: OrderFact, at = now): string => {
  const applied = applyOrderFact(record, fact, at);
  return [
    record.order.state.status,
    ...applied.findings.map(finding => `${finding.kind === 'late' ? '~' : '!'}${finding.what}`),
    ...(applied.evidenceWanted ? ['?'] : []),
  ].join(' ');
};

const filledOf = (state: OrderState): bigint => ('filled' in state ? state.filled : 0n);

describe('order machine', () => {
  describe('for every status and every fact', () => {
    for (const status of Object.keys(EXPECTED) as OrderStatus[])
      for (const type of Object.keys(EXPECTED[status]) as OrderFactType[])
        it(`${status} + ${type} is ${EXPECTED[status][type]}`, () => {
          expect(apply(recordIn(status), FACTS[type])).to.equal(EXPECTED[status][type]);
        });

    it('has a rule and an expectation for each pair', () => {
      const statuses = Object.keys(ORDER_TABLE);
      expect(statuses).to.have.length(10);
      for (const row of Object.values(ORDER_TABLE))
        expect(Object.keys(row).sort()).to.deep.equal(Object.keys(FACTS).sort());
    });

    it('leads to expired from nowhere: no order at the venue ends by a time limit of its own', () => {
      for (const [status, row] of Object.entries(EXPECTED))
        for (const [type, expected] of Object.entries(row))
          expect(expected.startsWith('expired'), `${status} + ${type}`).to.equal(
            status === 'expired' && !/^(working|filled|canceled)/.test(expected),
          );
    });

    it('never lowers what an order may still execute, unless the fact proves that it may', () => {
      const proofs: ReadonlySet<OrderFactType> = new Set([
        'submit-rejected',
        'submit-denied',
        'fill-booked',
        'absence-proven',
      ]);
      for (const status of Object.keys(EXPECTED) as OrderStatus[])
        for (const type of Object.keys(FACTS) as OrderFactType[]) {
          const record = recordIn(status);
          const before = worstRemaining(record);
          applyOrderFact(record, FACTS[type], now);
          if (!proofs.has(type))
            expect(worstRemaining(record) >= before, `${status} + ${type}`).to.equal(true);
        }
    });
  });

  it('tells a sent order that was not journaled', () => {
    const record = orderRecord(orderIn({ status: 'intended' }));
    expect(apply(record, { type: 'sent' })).to.equal('in-flight !sent-before-journal');
  });

  it('follows an order through its life', () => {
    const record = orderRecord(orderIn({ status: 'intended' }));
    expect(apply(record, { type: 'journaled' })).to.equal('intended');
    expect(apply(record, { type: 'sent' })).to.equal('in-flight');
    expect(record.order.sentAtMs).to.equal(now.wallMs);
    expect(apply(record, FACTS['submit-confirmed'])).to.equal('working');
    expect(apply(record, FACTS['fill-booked'])).to.equal('working');
    expect(filledOf(record.order.state)).to.equal(d('4'));
    expect(worstRemaining(record)).to.equal(d('6'));
    const rest = fillOf('6', { tradeId: '2' });
    expect(apply(record, { type: 'fill-booked', fill: rest, orderFilled: d('10') })).to.equal('filled');
    expect(record.order.settledAtMs).to.equal(now.wallMs);
    expect(worstRemaining(record)).to.equal(0n);
  });

  describe('fills', () => {
    it('are booked once per trade id', () => {
      const record = recordIn('working');
      expect(apply(record, FACTS['fill-booked'])).to.equal('working');
      expect(apply(record, FACTS['fill-booked'])).to.equal('working ~fill-repeated');
      expect(record.booked).to.equal(d('4'));
    });

    it('that were booked while nobody listened are taken from the total', () => {
      const record = recordIn('working');
      expect(apply(record, { type: 'fill-booked', fill: fillOf('4'), orderFilled: d('7') })).to.equal(
        'working',
      );
      expect(record.booked).to.equal(d('7'));
    });

    it('beyond the quantity are loud, and counted', () => {
      const record = recordIn('working');
      const fill = fillOf('11');
      expect(apply(record, { type: 'fill-booked', fill, orderFilled: d('11') })).to.equal(
        'filled !fill-beyond-quantity',
      );
      expect(filledOf(record.order.state)).to.equal(d('11'));
    });

    it('of another symbol or side are loud, and counted', () => {
      for (const over of [{ symbol: 'ETHTRY' }, { side: 'sell' } as const]) {
        const record = recordIn('working');
        const fill = fillOf('4', over);
        expect(apply(record, { type: 'fill-booked', fill, orderFilled: d('4') })).to.equal(
          'working !fill-of-another-order',
        );
        expect(record.booked).to.equal(d('4'));
      }
    });

    it('after a cancel are applied; the last one makes the order filled', () => {
      const record = recordIn('canceled');
      expect(apply(record, FACTS['fill-booked'])).to.equal('canceled ~fill-after-end');
      expect(filledOf(record.order.state)).to.equal(d('4'));
      const rest = fillOf('6', { tradeId: '2' });
      expect(apply(record, { type: 'fill-booked', fill: rest, orderFilled: d('10') })).to.equal(
        'filled ~fill-after-end',
      );
    });

    it('under another venue order id tell of a second order, whose quantity counts in full', () => {
      const record = recordIn('working');
      const fill = fillOf('4', { venueOrderId: 'V2' });
      expect(apply(record, { type: 'fill-booked', fill, orderFilled: d('4') })).to.equal(
        'working !second-venue-order ?',
      );
      expect(record.strays).to.deep.equal(['V2']);
      expect(worstRemaining(record)).to.equal(d('16'));
    });
  });

  describe('the end of a canceled order', () => {
    const canceled = (filled: string): OrderFact => ({
      type: 'reported',
      report: reportOf('canceled', filled),
      asOfMonoMs: 41_000,
    });

    it('is final when a report shows it and every fill it speaks of is booked', () => {
      const record = recordIn('cancel-in-flight');
      expect(apply(record, canceled('0'))).to.equal('canceled');
    });

    it('waits for the fills that the report speaks of', () => {
      const record = recordIn('cancel-in-flight');
      expect(apply(record, canceled('4'))).to.equal('cancel-in-flight ?');
      expect(worstRemaining(record)).to.equal(d('10'));
      expect(apply(record, FACTS['fill-booked'])).to.equal('canceled');
      expect(filledOf(record.order.state)).to.equal(d('4'));
    });

    it('is not shortened by a removal hint alone', () => {
      const record = recordIn('cancel-in-flight');
      expect(apply(record, FACTS['hint-removed'])).to.equal('cancel-in-flight ?');
    });

    it('is final in a slow answer, too, that was asked for before a list which still shows the order', () => {
      const record = recordIn('cancel-in-flight');
      apply(record, { type: 'reported', report: reportOf('untouched', '0'), asOfMonoMs: 42_000 });
      expect(apply(record, canceled('0'))).to.equal('canceled');
    });

    it('is told by the newest answer that shows it: an older one may know of fewer fills', () => {
      const record = recordIn('cancel-in-flight');
      const asked = (filled: string, asOfMonoMs: number) =>
        ({ ...canceled(filled), asOfMonoMs }) as OrderFact;
      expect(apply(record, asked('4', 42_000))).to.equal('cancel-in-flight ?');
      expect(apply(record, canceled('0'))).to.equal('cancel-in-flight ~report-stale');
      expect(worstRemaining(record)).to.equal(d('10'));
      apply(record, { type: 'reported', report: reportOf('untouched', '0'), asOfMonoMs: 44_000 });
      expect(apply(record, asked('5', 43_000)), 'newer than the end, older than a list').to.equal(
        'cancel-in-flight ?',
      );
      expect(apply(record, FACTS['fill-booked'])).to.equal('cancel-in-flight ?');
    });

    it('is noticed without a cancel of ours', () => {
      const record = recordIn('working');
      expect(apply(record, canceled('4'))).to.equal('cancel-in-flight ?');
      expect(apply(record, FACTS['fill-booked'])).to.equal('canceled');
    });

    it('is loud when the report speaks of less than what is booked, and stays open', () => {
      const record = recordIn('cancel-in-flight');
      apply(record, FACTS['fill-booked']);
      expect(apply(record, canceled('3'))).to.equal('cancel-in-flight !report-below-booked ?');
      expect(apply(record, { ...canceled('4'), asOfMonoMs: 42_000 } as OrderFact)).to.equal('canceled');
    });

    it('is undone by a later report of more than what is booked', () => {
      const record = recordIn('canceled');
      expect(apply(record, canceled('4'))).to.equal('cancel-in-flight ?');
      expect(record.order.settledAtMs).to.equal(null);
    });

    it('is not undone by a read that lags, but by one sent long after it, loudly', () => {
      const record = recordIn('cancel-in-flight');
      apply(record, canceled('0'));
      const live = (asOfMonoMs: number): OrderFact => ({
        type: 'reported',
        report: reportOf('untouched', '0'),
        asOfMonoMs,
      });
      expect(apply(record, live(40_000))).to.equal('canceled ~report-stale');
      expect(apply(record, live(now.monoMs + ENDED_LIVE_GRACE_MS - 1))).to.equal('canceled ~report-stale ?');
      expect(apply(record, live(now.monoMs + ENDED_LIVE_GRACE_MS))).to.equal('working !ended-order-live ?');
      expect(worstRemaining(record)).to.equal(d('10'));
    });
  });

  describe('a cancel', () => {
    const live: OrderFact = { type: 'reported', report: reportOf('untouched', '0'), asOfMonoMs: 45_000 };

    it('that was queued stays in flight while reports still show the order', () => {
      const record = recordIn('working');
      apply(record, FACTS['cancel-sent']);
      apply(record, FACTS['cancel-queued']);
      expect(apply(record, live)).to.equal('cancel-in-flight');
      expect(record.liveAsOf).to.equal(45_000);
    });

    it('that was refused is over when a report shows the order live', () => {
      const record = recordIn('working');
      apply(record, FACTS['cancel-sent']);
      expect(apply(record, FACTS['cancel-rejected'])).to.equal('cancel-in-flight ?');
      expect(apply(record, live)).to.equal('working');
    });

    it('that lost the race ends as filled', () => {
      const record = recordIn('working');
      apply(record, FACTS['cancel-sent']);
      apply(record, FACTS['cancel-queued']);
      const fill = fillOf('10');
      expect(apply(record, { type: 'fill-booked', fill, orderFilled: d('10') })).to.equal('filled');
    });
  });

  describe('a closed order', () => {
    const closed: OrderFact = { type: 'reported', report: reportOf('closed', '10'), asOfMonoMs: 41_000 };

    it('is filled when its fills are booked', () => {
      const record = recordIn('working');
      expect(apply(record, closed)).to.equal('working ?');
      expect(worstRemaining(record)).to.equal(d('10'));
      const fill = fillOf('10');
      expect(apply(record, { type: 'fill-booked', fill, orderFilled: d('10') })).to.equal('filled');
    });

    it('ends an unknown one, too', () => {
      const record = recordIn('unknown');
      expect(apply(record, closed)).to.equal('working ?');
      const fill = fillOf('10');
      expect(apply(record, { type: 'fill-booked', fill, orderFilled: d('10') })).to.equal('filled');
    });
  });

  describe('a market buy', () => {
    const terms = limitTerms({ method: 'market', price: null, quoteQuantity: d('1000') });
    const over = { method: 'market', price: null, quantity: d('10.2') } as const;

    it('is filled by what the venue reports at its end, not by the estimate', () => {
      const record = recordIn('working', terms);
      const fill = fillOf('10.1');
      expect(apply(record, { type: 'fill-booked', fill, orderFilled: d('10.1') })).to.equal('working');
      const report = reportOf('closed', '0', { ...over, remaining: d('0.1') });
      expect(apply(record, { type: 'reported', report, asOfMonoMs: 41_000 })).to.equal('filled');
      expect(filledOf(record.order.state)).to.equal(d('10.1'));
    });

    it('whose remainder was canceled ends as canceled', () => {
      const record = recordIn('working', terms);
      apply(record, FACTS['fill-booked']);
      const report = reportOf('canceled', '0', { ...over, remaining: d('6.2') });
      expect(apply(record, { type: 'reported', report, asOfMonoMs: 41_000 })).to.equal('canceled');
    });
  });

  describe('a report', () => {
    const reported = (report: ReturnType<typeof reportOf>): OrderFact => ({
      type: 'reported',
      report,
      asOfMonoMs: 41_000,
    });

    it('of an order with other terms is not this order, whatever its label says', () => {
      for (const over of [
        { symbol: 'ETHTRY' },
        { side: 'sell' },
        { method: 'market' },
        { price: d('101') },
        { quantity: d('11') },
      ] as const) {
        const record = recordIn('unknown');
        expect(apply(record, reported(reportOf('untouched', '0', over)))).to.equal(
          'unknown !report-of-another-order',
        );
      }
    });

    it('that contradicts itself says nothing', () => {
      for (const remaining of ['-1', '11']) {
        const record = recordIn('unknown');
        expect(apply(record, reported(reportOf('partial', '0', { remaining: d(remaining) })))).to.equal(
          'unknown !report-contradicts-itself',
        );
      }
    });

    it('under a second venue order id is loud, and both count', () => {
      const record = recordIn('working');
      expect(apply(record, reported(reportOf('untouched', '0', { venueOrderId: 'V2' })))).to.equal(
        'working !second-venue-order ?',
      );
      expect(worstRemaining(record)).to.equal(d('20'));
    });
  });

  describe('an order from the journal', () => {
    it('that has fills has a venue order id, and is not unknown', () => {
      const record = orderRecord(orderIn({ status: 'in-flight', sentAtMs: 1 }), [fillOf('4')]);
      expect(apply(record, { type: 'process-ended' })).to.equal('working');
      expect(filledOf(record.order.state)).to.equal(d('4'));
    });

    it('counts a fill once whose effect was journaled before the ledger had it', () => {
      const record = orderRecord(orderIn({ status: 'working', venueOrderId: 'V1', filled: d('6') }), [
        fillOf('2', { tradeId: '1' }),
      ]);
      expect(filledOf(record.order.state)).to.equal(d('6'));
      expect(worstRemaining(record)).to.equal(d('4'));
      // A later one may be told first: the journal's word stands until the accounting has overtaken it.
      for (const [tradeId, quantity, booked, filled] of [
        ['3', '3', '5', '6'],
        ['2', '4', '9', '9'],
      ] as const) {
        const fill = fillOf(quantity, { tradeId });
        expect(apply(record, { type: 'fill-booked', fill, orderFilled: d(booked) })).to.equal('working');
        expect(filledOf(record.order.state), tradeId).to.equal(d(filled));
        expect(worstRemaining(record), tradeId).to.equal(d('10') - d(filled));
      }
      const more = { type: 'fill-booked', fill: fillOf('1', { tradeId: '4' }), orderFilled: d('9') } as const;
      expect(apply(record, more)).to.equal('filled !fill-total-differs');
    });

    it('whose fills are complete is filled', () => {
      const record = orderRecord(
        orderIn({ status: 'cancel-in-flight', venueOrderId: 'V1', filled: d('4'), requestedAtMs: 1 }),
        [fillOf('4'), fillOf('6', { tradeId: '2' })],
      );
      expect(apply(record, { type: 'process-ended' })).to.equal('filled');
    });
  });

  it('keeps a denial of bytes that left for what it is: unknown', () => {
    const record = recordIn('in-flight');
    expect(apply(record, FACTS['submit-denied'])).to.equal('unknown ~denied-after-sent ?');
    expect(apply(record, FACTS['submit-denied'])).to.equal('unknown ~denied-after-sent');
  });

  it('says why an order is unknown', () => {
    for (const [type, cause] of [
      ['submit-unknown', 'timeout'],
      ['submit-denied', 'unrecognised'],
      ['process-ended', 'process-ended'],
    ] as const) {
      const record = recordIn('in-flight');
      apply(record, FACTS[type]);
      expect(record.order.state, type).to.include({ status: 'unknown', cause, sinceMs: now.wallMs });
    }
  });

  it('takes bytes that leave after the deadline for the first, and is loud about the second', () => {
    const record = recordIn('unknown');
    expect(apply(record, FACTS.sent)).to.equal('unknown');
    expect(record.order.sentAtMs).to.equal(now.wallMs);
    expect(apply(record, FACTS.sent)).to.equal('unknown !sent-twice');
  });

  it('does not believe that an order with fills never was', () => {
    const record = orderRecord(orderIn({ status: 'unknown', sinceMs: 1, cause: 'timeout', filled: d('4') }), [
      fillOf('4'),
    ]);
    expect(apply(record, FACTS['absence-proven'])).to.equal('unknown !absence-of-existing-order');
  });

  describe('a finding', () => {
    const detailsOf = (record: OrderRecord, fact: OrderFact): readonly string[] =>
      applyOrderFact(record, fact, now).findings.map(({ detail }) => detail);

    it('says what the fact said', () => {
      expect(detailsOf(recordIn('working'), FACTS['submit-rejected'])).to.deep.equal(['FAILED_LIMIT_ORDER']);
      expect(detailsOf(recordIn('working'), FACTS['submit-denied'])).to.deep.equal(['fenced']);
      expect(detailsOf(recordIn('working'), FACTS['absence-proven'])).to.deep.equal([
        'nowhere for six minutes',
      ]);
      expect(detailsOf(recordIn('rejected'), FACTS['hint-inserted'])).to.deep.equal(['V1']);
      expect(detailsOf(recordIn('working'), { type: 'hint-inserted', venueOrderId: 'V2' })).to.deep.equal([
        'V1 and V2',
      ]);
    });

    it('is of one second order however often that shows', () => {
      const record = recordIn('working');
      for (let times = 0; times < 2; times++) apply(record, { type: 'hint-inserted', venueOrderId: 'V2' });
      expect(record.strays).to.deep.equal(['V2']);
    });
  });
});
