import { expect } from 'chai';
import fc from 'fast-check';
import type { LogLevel } from '#src/domain/step.js';
import type { LogLine } from '#src/messages/telemetry.js';
import { cleanFacts, cleanText, MAX_LINE_CHARS } from '#src/runtime/clean-text.js';
import {
  closingSummary,
  countLine,
  durationText,
  isTold,
  newCounts,
  renderLine,
  summaryLine,
} from '#src/runtime/console.js';
import { jsonLog } from '#src/runtime/json-log.js';
import { runs } from '../runs.js';

const line = (event: string, fields: LogLine['fields'] = {}, level: LogLevel = 'info'): LogLine => ({
  type: 'log',
  actor: 'execution',
  atMs: Date.parse('2026-09-23T12:00:00Z'),
  level,
  event,
  fields,
});
const written = (entry: LogLine): string => {
  const texts: string[] = [];
  jsonLog(text => void texts.push(text))(entry);
  expect(texts).to.have.length(1);
  return texts[0]!;
};

describe('the log for machines', () => {
  it('is one JSON object a line: level, time, actor, event and the facts', () => {
    const text = written(
      line('order-filled', { price: 12_500_000_000_000_000n, count: 2, none: null }, 'warn'),
    );
    expect(text.endsWith('\n')).to.equal(true);
    expect(JSON.parse(text)).to.deep.equal({
      level: 'warn',
      price: '1.25',
      count: 2,
      none: null,
      time: '2026-09-23T12:00:00.000Z',
      actor: 'execution',
      event: 'order-filled',
    });
  });

  it('lets no fact replace time or actor', () => {
    expect(JSON.parse(written(line('x', { actor: 'venue', time: 'never' })))).to.include({
      actor: 'execution',
      time: '2026-09-23T12:00:00.000Z',
    });
  });

  it('stays one line of at most 8 KiB that parses, whatever the facts hold', () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.constantFrom('a\nb', '\u001b[2J', '\u2028', '\u0000', '\ud800', '\u202e', 'x'.repeat(100_000)),
    );
    const facts = fc.dictionary(
      fc.oneof(hostile, fc.constant('__proto__')),
      fc.oneof(hostile, fc.array(hostile), fc.double(), fc.bigInt()),
      {
        maxKeys: 8,
      },
    );
    fc.assert(
      fc.property(facts, hostile, (fields, event) => {
        const text = written(line(event, fields));
        const body = text.slice(0, -1);
        expect(text.length).to.be.at.most(MAX_LINE_CHARS + 1);
        expect(/[\p{Cc}\u2028\u2029\u202e]/u.test(body)).to.equal(false);
        const parsed = JSON.parse(body) as Record<string, unknown>;
        expect(parsed.actor).to.equal('execution');
        expect(Object.getPrototypeOf(parsed)).to.equal(Object.prototype);
      }),
      { numRuns: runs(100) },
    );
  });

  it('names what it left out of a line that would be too long', () => {
    const fields = Object.fromEntries(
      Array.from({ length: 10 }, (_, index) => [`part${index}`, 'y'.repeat(1_900)]),
    );
    expect(JSON.parse(written(line('x', fields))).tooLong).to.deep.equal(Object.keys(fields));
  });
});

describe('clean text', () => {
  it('writes hostile characters out and cuts what is too long', () => {
    expect(cleanText('a\nb\u001b[31m\u2028\u202e')).to.equal('a\\u000ab\\u001b[31m\\u2028\\u202e');
    expect(cleanText('x'.repeat(20), 5)).to.equal('xxxxx…(20 characters)');
  });

  it('bounds lists and depth', () => {
    expect((cleanFacts(Array.from({ length: 150 }, () => 1)) as unknown[]).length).to.equal(101);
    let deep: unknown = 1;
    for (let level = 0; level < 20; level++) deep = [deep];
    expect(JSON.stringify(cleanFacts(deep))).to.contain('[…]');
  });
});

describe('the view at a terminal', () => {
  it('shows the banner with state and every reason', () => {
    expect(
      renderLine(
        line('banner', {
          mode: 'dry-run',
          state: 'observe-only',
          symbols: ['BTCTRY'],
          shutdownOpenOrders: 'leave',
          reasons: ['SAFE_MODE is true', 'DRY_RUN is true'],
        }),
      ).split('\n'),
    ).to.deep.equal([
      'btcbot · dry-run · BTCTRY · state observe-only',
      '  - SAFE_MODE is true',
      '  - DRY_RUN is true',
      '  - a stop leaves resting orders',
    ]);
  });

  it('tells a fill in a sentence', () => {
    expect(
      renderLine(
        line('fill-booked', {
          side: 'buy',
          quantity: '0.01',
          symbol: 'BTCTRY',
          price: '3750000',
          fee: '37.5',
          tax: '7.5',
          feeAsset: 'TRY',
        }),
      ),
    ).to.equal('12:00:00   fill buy 0.01 BTCTRY at 3750000, fee 37.5 + tax 7.5 TRY');
  });

  it('lets no text from outside move the cursor', () => {
    expect(renderLine(line('venue-said', { message: '\u001b[2J\nSAFE MODE OFF' }, 'warn'))).to.equal(
      '12:00:00 ! execution: venue-said message=\\u001b[2J\\u000aSAFE MODE OFF',
    );
  });

  it('counts orders quietly and tells what is loud', () => {
    expect(isTold(line('order-working'), 'info')).to.equal(false);
    expect(isTold(line('order-working'), 'debug')).to.equal(true);
    expect(isTold(line('order-unknown', {}, 'warn'), 'info')).to.equal(true);
    expect(isTold(line('fill-booked'), 'info')).to.equal(true);
    expect(isTold(line('fill-booked'), 'warn')).to.equal(false);
  });

  it('sums the run up in one line and at its end', () => {
    const counts = newCounts(0);
    expect(summaryLine(counts, 0, 200), 'nobody has counted yet').to.contain('(open -,');
    for (const event of [
      'order-intended',
      'order-intended',
      'order-filled',
      'order-canceled',
      'intent-denied',
      'hold-placed',
      'fill-booked',
    ])
      countLine(counts, line(event));
    countLine(counts, line('banner', { mode: 'paper', state: 'observe-only' }));
    countLine(counts, line('trading-state-changed', { to: 'live' }));
    countLine(counts, line('run-figures', { profitTry: '-12.3456', openOrders: 3 }, 'trace'));
    expect(summaryLine(counts, 65_000, 200)).to.equal(
      'paper live · 1m 05s · orders 2 (open 3, filled 1, canceled 1, denied 1) · fills 1 · profit -12.34 TRY',
    );
    expect(summaryLine(counts, 65_000, 10)).to.equal('paper live');
    expect(closingSummary(counts, 65_000)).to.contain('btcbot ended after 1m 05s · paper');
    expect(durationText(59_999)).to.equal('59s');
  });
});
