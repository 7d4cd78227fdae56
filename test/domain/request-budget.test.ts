import { expect } from 'chai';
import fc from 'fast-check';
import {
  BUCKETS,
  type Bucket,
  type BudgetSettings,
  bucketOfRead,
  CANCEL_RAMP_STEP_MS,
  capacityWithin,
  createRequestBudget,
  followsEarlierRun,
  giveBack,
  ORDER_PATH_PAUSE_MIN_MS,
  pause,
  pausedUntil,
  RAMP_STEP_MS,
  type RequestBudget,
  reserve,
  spend,
  take,
  usage,
  VENUE_LIMITS,
} from '#src/domain/request-budget.js';
import { runs } from '../runs.js';

const SETTINGS: BudgetSettings = { writesPerSecond: 8, writeBurst: 8, cold: false };
const budgetAt = (now = 0, over: Partial<BudgetSettings> = {}): RequestBudget =>
  createRequestBudget({ ...SETTINGS, ...over }, now);

/** The most events in any half-open window of `windowMs`, wherever it starts. */
const densest = (times: readonly number[], windowMs: number): number => {
  let most = 0;
  let first = 0;
  for (let last = 0; last < times.length; last++) {
    while ((times[last] ?? 0) - (times[first] ?? 0) >= windowMs) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return most;
};

/**
 * The venue's counter (protocol section 8): a fixed window that starts with the first request after the last one ended.
 * The window that is open at the beginning of time ends at `phaseMs`.
 */
const venueCount = (times: readonly number[], windowMs: number, phaseMs: number): number => {
  let most = 0;
  let windowEnd = phaseMs;
  let count = 0;
  for (const time of times) {
    if (time >= windowEnd) {
      windowEnd = time + windowMs;
      count = 0;
    }
    count += 1;
    most = Math.max(most, count);
  }
  return most;
};

/** Takes whenever granted, at the given distances. @returns the times of the grants. */
const schedule = (budget: RequestBudget, bucket: Bucket, gaps: readonly number[], start = 0): number[] => {
  const granted: number[] = [];
  let now = start;
  for (const gap of gaps) {
    now += gap;
    if (take(budget, bucket, now).granted) granted.push(now);
  }
  return granted;
};

describe('request budget', () => {
  const gaps = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.double({ min: 0, max: 40, noNaN: true }) },
      { weight: 3, arbitrary: fc.double({ min: 0, max: 400, noNaN: true }) },
      { weight: 1, arbitrary: fc.double({ min: 0, max: 20_000, noNaN: true }) },
    ),
    { maxLength: 900, size: 'max' },
  );

  it('keeps every window of every bucket within 80 %, for any schedule of requests', () => {
    fc.assert(
      fc.property(fc.constantFrom(...BUCKETS), gaps, (bucket, schedules) => {
        const granted = schedule(budgetAt(), bucket, schedules);
        for (const { requests, windowMs } of VENUE_LIMITS[bucket])
          expect(densest(granted, windowMs)).to.be.at.most(requests * 0.8);
      }),
      { numRuns: runs(300) },
    );
  });

  it('never reaches the limit of the venue’s own fixed windows, whatever their phase', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...BUCKETS),
        gaps,
        fc.double({ min: 0, max: 60_000, noNaN: true }),
        (bucket, schedules, phase) => {
          const granted = schedule(budgetAt(), bucket, schedules);
          for (const { requests, windowMs } of VENUE_LIMITS[bucket])
            expect(venueCount(granted, windowMs, phase % windowMs)).to.be.at.most(requests * 0.8);
        },
      ),
      { numRuns: runs(200) },
    );
  });

  it('counts a request from its grant until its window has passed after its bytes left', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            gap: fc.double({ min: 0, max: 300, noNaN: true }),
            delay: fc.double({ min: 0, max: 3_000, noNaN: true }),
            leaves: fc.boolean(),
          }),
          { maxLength: 300, size: 'max' },
        ),
        requests => {
          const budget = budgetAt();
          const left: number[] = [];
          const waiting: { at: number; leaves: boolean }[] = [];
          let now = 0;
          const settleUntil = (time: number): void => {
            waiting.sort((a, b) => a.at - b.at);
            while (waiting.length > 0 && (waiting[0]?.at ?? 0) <= time) {
              const next = waiting.shift();
              if (next?.leaves) {
                spend(budget, 'submit', next.at);
                left.push(next.at);
              } else giveBack(budget, 'submit');
            }
          };
          for (const { gap, delay, leaves } of requests) {
            now += gap;
            settleUntil(now);
            if (reserve(budget, 'submit', now).granted) waiting.push({ at: now + delay, leaves });
          }
          settleUntil(Number.POSITIVE_INFINITY);
          expect(densest(left, 1_000)).to.be.at.most(8);
          expect(densest(left, 60_000)).to.be.at.most(240);
        },
      ),
      { numRuns: runs(300) },
    );
  });

  it('causes no 429 in a whole day of asking without pause', () => {
    const day = 24 * 3_600_000;
    for (const [bucket, phase] of [
      ['submit', 137],
      ['cancel', 31_990],
    ] as const) {
      const budget = budgetAt();
      const granted: number[] = [];
      for (let now = 0; now < day; ) {
        const grant = take(budget, bucket, now);
        if (grant.granted) granted.push(now);
        else now = grant.notBeforeMonoMs;
      }
      for (const { requests, windowMs } of VENUE_LIMITS[bucket]) {
        expect(venueCount(granted, windowMs, phase % windowMs)).to.be.at.most(requests * 0.8);
        expect(densest(granted, windowMs)).to.be.at.most(requests * 0.8);
      }
      expect(granted.length).to.be.within(240 * 1_400, 240 * 1_440);
    }
  });

  it('is not stingy: a full second and a full minute are granted, and the next one on time', () => {
    const budget = budgetAt();
    const granted = schedule(budget, 'submit', Array(20_000).fill(5));
    // 100 s at the pace the minute allows: 240 in the first minute, and again from its start on.
    expect(granted.length).to.be.at.least(240 + 150);
    expect(densest(granted, 1_000)).to.equal(8);
    expect(densest(granted, 60_000)).to.equal(240);
  });

  it('says when to ask again, and grants then', () => {
    fc.assert(
      fc.property(fc.constantFrom(...BUCKETS), gaps, (bucket, schedules) => {
        const budget = budgetAt();
        let now = 0;
        for (const gap of schedules.slice(0, 100)) {
          now += gap / 100;
          const grant = take(budget, bucket, now);
          if (grant.granted) continue;
          expect(grant.notBeforeMonoMs).to.be.greaterThan(now);
          now = grant.notBeforeMonoMs;
          expect(take(budget, bucket, now).granted).to.equal(true);
        }
      }),
      { numRuns: runs(100) },
    );
  });

  it('keeps the pace and the burst that the operator chose, when they are lower', () => {
    const budget = budgetAt(0, { writesPerSecond: 2, writeBurst: 3 });
    const granted = schedule(budget, 'submit', Array(1_000).fill(10), 0);
    expect(granted.filter(at => at <= 40)).to.have.length(3);
    expect(densest(granted, 1_000)).to.be.at.most(4);
    expect(granted.length).to.be.within(21, 23);
  });

  it('goes as fast as it is told on an exchange of our own, where it may be told more than the venue allows', () => {
    const budget = budgetAt(0, { writesPerSecond: 200, writeBurst: 200 });
    const granted = schedule(budget, 'submit', Array(120_000).fill(1));
    expect(densest(granted, 1_000)).to.equal(200);
    expect(granted.length).to.be.at.least(200 * 119);
  });

  it('never lets one bucket take from another', () => {
    const budget = budgetAt();
    for (const bucket of BUCKETS)
      if (bucket !== 'cancel') for (let count = 0; count < 1_000; count++) take(budget, bucket, 0);
    pause(budget, 'submit', 0, 5_000);
    expect(schedule(budget, 'cancel', Array(8).fill(0))).to.have.length(8);
  });

  it('gives a new run what the earlier one cannot have used', () => {
    const before = schedule(budgetAt(), 'submit', Array(2_000).fill(7));
    const end = before.at(-1) ?? 0;
    const after = schedule(budgetAt(end, { cold: true }), 'submit', Array(20_000).fill(7), end);
    for (const { requests, windowMs } of VENUE_LIMITS.submit)
      expect(densest([...before, ...after], windowMs)).to.be.at.most(requests);
    expect(after.length).to.be.greaterThan(60);
  });

  it('takes every worker that replaces another for one that follows it, and a first one by the clock', () => {
    const now = 1_790_000_000_000;
    const rows: readonly (readonly [incarnation: number, lastRecordAtMs: number, follows: boolean])[] = [
      [1, 0, false],
      [1, now - 59_999, true],
      [1, now - 60_000, false],
      [1, now + 3_600_000, true],
      [2, 0, true],
      [2, now - 7_200_000, true],
    ];
    for (const [incarnation, lastRecordAtMs, follows] of rows)
      expect(followsEarlierRun(incarnation, lastRecordAtMs, now)).to.equal(follows);
  });

  describe('after a 429', () => {
    const forms: readonly (readonly [string, Bucket, number | null | undefined, number])[] = [
      ['on an order path waits at least a minute', 'submit', 1_000, 60_000],
      ['on an order path waits as long as it is told', 'cancel', 75_000, 75_000],
      ['waits a minute when it is told nothing', 'submit', null, 60_000],
      ['waits a minute when it is told nothing at all', 'balances', undefined, 60_000],
      ['waits a minute when it is told nonsense', 'submit', Number.NaN, 60_000],
      ['waits a minute when it is told a time in the past', 'order-query', -5, 60_000],
      ['waits a minute when it is told no time', 'trades', 0, 60_000],
      ['waits a minute when it is told forever', 'submit', Number.POSITIVE_INFINITY, 60_000],
      ['believes nothing beyond an hour', 'submit', 86_400_000, 3_600_000],
      ['lets a read come back as soon as it is told', 'balances', 2_000, 2_000],
      ['lets no read come back within a second', 'balances', 10, 1_000],
    ];
    for (const [title, bucket, retryAfter, waits] of forms)
      it(title, () => {
        const budget = budgetAt();
        expect(pause(budget, bucket, 10_000, retryAfter)).to.equal(10_000 + waits);
        expect(take(budget, bucket, 10_000 + waits - 0.001).granted).to.equal(false);
        expect(take(budget, bucket, 10_000 + waits).granted).to.equal(true);
      });

    it('never shortens a pause by a later one', () => {
      const budget = budgetAt();
      pause(budget, 'submit', 0, 600_000);
      pause(budget, 'submit', 1_000, 60_000);
      expect(pausedUntil(budget, 'submit')).to.equal(600_000);
    });

    it('comes back in steps of 10, 25, 50 and 100 %, without a burst', () => {
      const budget = budgetAt();
      const end = pause(budget, 'submit', 0, null);
      const granted = schedule(budget, 'submit', Array(40_000).fill(10), end);
      const within = (from: number, to: number): number[] =>
        granted.filter(at => at >= end + from && at < end + to);
      const shares = [0.1, 0.25, 0.5, 1];
      for (const [step, share] of shares.entries()) {
        const phase = within(step * RAMP_STEP_MS, (step + 1) * RAMP_STEP_MS);
        expect(densest(phase, 1_000), `step ${step}`).to.be.at.most(Math.max(1, 8 * share));
        expect(densest(phase, 60_000), `step ${step}`).to.be.at.most(240 * share);
      }
      expect(usage(budget, 'submit', end).share).to.equal(0.1);
      expect(usage(budget, 'submit', end + 3 * RAMP_STEP_MS).share).to.equal(1);
    });

    it('lets cancels back to their full rate within seconds', () => {
      const budget = budgetAt();
      const end = pause(budget, 'cancel', 0, null);
      expect(usage(budget, 'cancel', end + 3 * CANCEL_RAMP_STEP_MS).share).to.equal(1);
      expect(3 * CANCEL_RAMP_STEP_MS).to.be.at.most(20_000);
    });

    it('keeps at most one request per bucket before the pause is over', () => {
      const budget = budgetAt();
      expect(take(budget, 'submit', 0).granted).to.equal(true);
      pause(budget, 'submit', 5, 60_000);
      const tries = schedule(budget, 'submit', Array(5_990).fill(10), 5);
      expect(tries).to.deep.equal([]);
    });
  });

  describe('the capacity to cancel', () => {
    it('is 8 at once, and 10 s of the minute’s pace', () => {
      expect(capacityWithin(budgetAt(), 'cancel', 0, 0, 100)).to.equal(8);
      expect(capacityWithin(budgetAt(), 'cancel', 0, 10_000, 100)).to.be.within(70, 80);
    });

    it('is nothing during a pause', () => {
      const budget = budgetAt();
      pause(budget, 'cancel', 0, null);
      expect(capacityWithin(budget, 'cancel', 0, 10_000, 5)).to.equal(0);
    });

    it('near the end of a pause is no more than the ramp after it lets out', () => {
      const budget = budgetAt();
      const endsAt = pause(budget, 'cancel', 0, null);
      for (const before of [9_000, 5_000, 1]) {
        const promised = capacityWithin(budget, 'cancel', endsAt - before, 10_000, 100);
        const trial = budgetAt();
        pause(trial, 'cancel', 0, null);
        let canceled = 0;
        for (let now = endsAt - before; now <= endsAt - before + 10_000; ) {
          const grant = take(trial, 'cancel', now);
          if (grant.granted) canceled += 1;
          else now = grant.notBeforeMonoMs;
        }
        expect(promised, `${before} ms before`).to.be.within(1, canceled);
      }
    });

    it('is what really can be canceled', () => {
      fc.assert(
        fc.property(gaps, fc.integer({ min: 1, max: 30 }), (schedules, wanted) => {
          const budget = budgetAt();
          const start = schedules.reduce((sum, gap) => sum + gap, 0);
          schedule(budget, 'cancel', schedules);
          const promised = capacityWithin(budget, 'cancel', start, 10_000, wanted);
          let now = start;
          let canceled = 0;
          while (now <= start + 10_000 && canceled < wanted) {
            const grant = take(budget, 'cancel', now);
            if (grant.granted) canceled += 1;
            else now = grant.notBeforeMonoMs;
          }
          expect(canceled).to.equal(promised);
        }),
        { numRuns: runs(200) },
      );
    });
  });

  it('refuses to count what was never granted', () => {
    expect(() => spend(budgetAt(), 'submit', 0)).to.throw('never granted');
    expect(() => giveBack(budgetAt(), 'cancel')).to.throw('never granted');
  });

  it('knows the bucket of every read', () => {
    expect(bucketOfRead({ type: 'order', venueOrderId: '1' })).to.equal('order-query');
    expect(bucketOfRead({ type: 'trades-of-order', venueOrderId: '1' })).to.equal('trades');
    expect(bucketOfRead({ type: 'balances' })).to.equal('balances');
    expect(ORDER_PATH_PAUSE_MIN_MS).to.equal(60_000);
  });
});
