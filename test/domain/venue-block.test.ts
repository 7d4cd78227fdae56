import { expect } from 'chai';
import { vetoOf } from '#src/domain/execution.js';
import type { ClientOrderId } from '#src/domain/order.js';
import type { SubmitOutcome } from '#src/domain/venue-port.js';
import { Bench } from './execution-bench.js';
import { d } from './orders.js';

/** Long enough for the venue to be tried again. */
const MINUTES_MS = 121_000;

const rejected = (reason: string): SubmitOutcome => ({ type: 'rejected', reason, code: '2010' });
const PAIR = rejected('ORDER_INSERT_BLOCKED');
const WHOLE = rejected('SYSTEM_UNDER_MAINTENANCE');
const OTHER = rejected('FAILED_LIMIT_ORDER');

const ready = (): Bench => new Bench().ready();

/** Sends an order on its way. @returns its id, or null when it is denied. */
const send = (bench: Bench, symbol = 'BTCTRY'): ClientOrderId | null => {
  const id = bench.place({ symbol });
  if (id === null) return null;
  bench.journal();
  bench.sent(id);
  return id;
};

/** Sends an order and has the venue answer it. @returns whether it was sent. */
const answered = (bench: Bench, outcome: SubmitOutcome, symbol = 'BTCTRY'): boolean => {
  const id = send(bench, symbol);
  if (id !== null) bench.submitted(id, outcome);
  return id !== null;
};

/** Ten rejections a minute are a storm as well: so apart they are none. */
const APART_MS = 7_000;

const logs = (bench: Bench, event: string): number =>
  bench.effects.filter(effect => effect.type === 'log' && effect.event === event).length;

const deniedBy = (bench: Bench): readonly unknown[] =>
  bench
    .orderEvents()
    .flatMap(event =>
      event.type === 'intent-denied' ? [`${event.denial.code} ${event.denial.context.by}`] : [],
    );

describe('a venue in maintenance', () => {
  for (const [words, outcome, elsewhere] of [
    ['ORDER_INSERT_BLOCKED', PAIR, true],
    ['SYSTEM_UNDER_MAINTENANCE', WHOLE, false],
    [
      '503 with SYSTEM_UNDER_MAINTENANCE',
      { type: 'unknown', cause: 'server-error', closed: 'SYSTEM_UNDER_MAINTENANCE' },
      false,
    ],
  ] as const satisfies readonly (readonly [string, SubmitOutcome, boolean])[])
    it(`stops new orders ${elsewhere ? 'on the pair' : 'everywhere'} at the first ${words}`, () => {
      const bench = ready();
      expect(answered(bench, outcome)).to.equal(true);
      expect(answered(bench, PAIR), 'another on the pair').to.equal(false);
      expect(answered(bench, { type: 'confirmed', venueOrderId: 'V1' }, 'ETHTRY'), 'another pair').to.equal(
        elsewhere,
      );
    });

  it('is not a storm of rejections, however long it lasts', () => {
    const bench = ready();
    for (let tries = 0; tries < 12; tries++) {
      expect(answered(bench, PAIR), `try ${tries}`).to.equal(true);
      for (let more = 0; more < 3; more++) expect(answered(bench, PAIR)).to.equal(false);
      bench.pass(MINUTES_MS);
    }
    expect(bench.holdNames()).to.deep.equal([]);
    expect(logs(bench, 'venue-closed')).to.equal(1);
    expect(new Set(deniedBy(bench))).to.deep.equal(new Set(['symbol-blocked venue']));
  });

  it('neither adds to other rejections nor makes them forgotten', () => {
    const bench = ready();
    for (let count = 0; count < 4; count++) {
      expect(answered(bench, OTHER, 'ETHTRY')).to.equal(true);
      bench.pass(APART_MS);
    }
    expect(answered(bench, PAIR)).to.equal(true);
    expect(bench.holdNames()).to.deep.equal([]);
    expect(answered(bench, OTHER, 'ETHTRY')).to.equal(true);
    expect(bench.holdNames()).to.deep.equal(['+reject-storm']);
  });

  it('is tried again after minutes by one order alone, and is over when the venue takes it', () => {
    const bench = ready();
    answered(bench, PAIR);
    bench.pass(119_000);
    expect(send(bench), 'too early').to.equal(null);
    bench.pass(2_000);
    const trial = send(bench) ?? '';
    expect(trial).to.not.equal('');
    expect(send(bench), 'a second beside the trial').to.equal(null);
    expect(logs(bench, 'venue-open')).to.equal(0);
    bench.submitted(trial, { type: 'confirmed', venueOrderId: 'V1' });
    expect(logs(bench, 'venue-open')).to.equal(1);
    expect(send(bench)).to.not.equal(null);
    expect(send(bench)).to.not.equal(null);
  });

  it('is tried for everything by one order, on whichever pair', () => {
    const bench = ready();
    answered(bench, WHOLE);
    bench.pass(MINUTES_MS);
    const trial = send(bench, 'ETHTRY') ?? '';
    expect(send(bench, 'BTCTRY')).to.equal(null);
    bench.submitted(trial, WHOLE);
    expect(send(bench, 'BTCTRY')).to.equal(null);
    bench.pass(MINUTES_MS);
    expect(send(bench, 'BTCTRY')).to.not.equal(null);
  });

  it('lets another order be tried when the first ended without a word on it', () => {
    for (const end of [
      (bench: Bench, id: ClientOrderId): void => bench.submitted(id, OTHER),
      (bench: Bench, id: ClientOrderId): void => {
        bench.submitted(id, { type: 'unknown', cause: 'timeout' });
        expect(send(bench), 'while it is unknown').to.equal(null);
        bench.account({
          type: 'absence-proven',
          id: 'reconciliation:1:9',
          cause: 'read',
          clientOrderId: id,
          evidence: 'not there',
        });
      },
    ]) {
      const bench = ready();
      answered(bench, PAIR);
      bench.pass(MINUTES_MS);
      end(bench, send(bench) ?? '');
      const second = send(bench) ?? '';
      expect(second).to.not.equal('');
      expect(send(bench), 'a second beside the trial').to.equal(null);
      bench.submitted(second, { type: 'confirmed', venueOrderId: 'V1' });
      expect(send(bench)).to.not.equal(null);
    }
  });

  it('keeps back what was approved before it was known', () => {
    const bench = ready();
    const first = send(bench) ?? '';
    const queued = bench.place() ?? '';
    bench.journal();
    const write = bench.writes().find(each => each.write.clientOrderId === queued)?.write;
    if (write === undefined) throw new Error('no write');
    expect(vetoOf(bench.state, write, bench.now())).to.equal(null);
    const journaling = bench.place() ?? '';
    bench.submitted(first, PAIR);
    expect(vetoOf(bench.state, write, bench.now())).to.equal('venue-closed');
    bench.journal();
    expect(bench.status(journaling)).to.equal('denied');
    expect(bench.submits()).to.deep.equal([first, queued]);
  });

  it('is not over by an order that was sent before', () => {
    const bench = ready();
    const first = send(bench) ?? '';
    const second = send(bench) ?? '';
    bench.submitted(first, PAIR);
    bench.submitted(second, { type: 'confirmed', venueOrderId: 'V1' });
    expect(send(bench)).to.equal(null);
  });

  it('leaves cancels alone, and stops new orders where the venue refuses cancels for it', () => {
    const bench = ready();
    const resting = bench.working('V1', { symbol: 'ETHTRY', price: d('90') });
    answered(bench, WHOLE);
    bench.cancel(resting);
    expect(bench.cancels()).to.deep.equal([resting]);

    const other = ready();
    const order = other.working('V1');
    other.cancel(order);
    other.sent(order, 'cancel');
    other.canceled(order, { type: 'rejected', reason: 'ORDER_CANCEL_BLOCKED', code: '2011' });
    expect(send(other)).to.equal(null);
    expect(send(other, 'ETHTRY')).to.not.equal(null);
  });

  it('is shown: in the status, as a figure, and again to a telemetry that was replaced', () => {
    const bench = ready();
    answered(bench, PAIR);
    bench.pass(1_500);
    const status = bench.effects.findLast(effect => effect.type === 'status');
    expect(status?.facts.closed).to.deep.equal([
      {
        subject: 'BTCTRY',
        words: 'ORDER_INSERT_BLOCKED (2010)',
        sinceMs: 1_700_001_000_000,
        state: 'waiting',
      },
    ]);
    expect(bench.metrics('btcbot_venue_closed')).to.deep.equal([1]);
    bench.forget();
    bench.step({ type: 'peer-connected', peer: 'telemetry' });
    expect(bench.metrics('btcbot_venue_closed')).to.deep.equal([1]);
    bench.pass(MINUTES_MS);
    bench.submitted(send(bench) ?? '', { type: 'confirmed', venueOrderId: 'V1' });
    expect(bench.metrics('btcbot_venue_closed')).to.deep.equal([1, 0]);
  });
});
