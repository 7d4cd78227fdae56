import { expect } from 'chai';
import { retryAfterMs } from '#src/btcturk/retry-after.js';

const DATE = 'Wed, 23 Sep 2026 03:20:00 GMT';

describe('Retry-After', () => {
  for (const [title, headers, read, order] of [
    ['absent', {}, 60_000, 60_000],
    ['seconds', { 'retry-after': '49' }, 49_000, 60_000],
    ['seconds, longer', { 'retry-after': '300' }, 300_000, 300_000],
    ['one second', { 'retry-after': '1' }, 1_000, 60_000],
    ['zero', { 'retry-after': '0' }, 1_000, 60_000],
    ['with spaces', { 'retry-after': ' 49 ' }, 49_000, 60_000],
    ['negative', { 'retry-after': '-5' }, 60_000, 60_000],
    ['fractional', { 'retry-after': '1.5' }, 60_000, 60_000],
    ['a word', { 'retry-after': 'soon' }, 60_000, 60_000],
    ['empty', { 'retry-after': '' }, 60_000, 60_000],
    ['two values', { 'retry-after': '5, 49' }, 60_000, 60_000],
    ['more than an hour', { 'retry-after': '999999' }, 3_600_000, 3_600_000],
    ['endless digits', { 'retry-after': '9'.repeat(400) }, 60_000, 60_000],
    ['a date ahead', { 'retry-after': 'Wed, 23 Sep 2026 03:21:30 GMT', date: DATE }, 90_000, 90_000],
    ['a date close ahead', { 'retry-after': 'Wed, 23 Sep 2026 03:20:02 GMT', date: DATE }, 2_000, 60_000],
    ['a date past', { 'retry-after': 'Wed, 23 Sep 2026 03:19:00 GMT', date: DATE }, 60_000, 60_000],
    ['a date without Date', { 'retry-after': 'Wed, 23 Sep 2126 03:19:00 GMT' }, 60_000, 60_000],
    [
      'a date far ahead',
      { 'retry-after': 'Wed, 23 Sep 2126 03:19:00 GMT', date: DATE },
      3_600_000,
      3_600_000,
    ],
    [
      'a date with a broken Date',
      { 'retry-after': 'Wed, 23 Sep 2026 03:21:30 GMT', date: 'x' },
      60_000,
      60_000,
    ],
    ['a year alone', { 'retry-after': '2027-01-01', date: DATE }, 60_000, 60_000],
  ] as const) {
    it(`${title}: ${read} ms for a read, ${order} ms for an order`, () => {
      expect(retryAfterMs(headers, false)).to.equal(read);
      expect(retryAfterMs(headers, true)).to.equal(order);
    });
  }
});
