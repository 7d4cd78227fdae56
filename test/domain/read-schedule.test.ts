import { expect } from 'chai';
import fc from 'fast-check';
import { THROTTLED_STORM } from '#src/domain/breaker.js';
import {
  initialReadSchedule,
  isThrottled,
  type ReadSchedule,
  readRates,
  resumeSignedReads,
  sendDueReads,
  settleOverdueReads,
  settleRead,
  wantRead,
} from '#src/domain/read-schedule.js';
import { createRequestBudget } from '#src/domain/request-budget.js';
import type { ReadAnswer, ReadFailure, VenueRead } from '#src/domain/venue-port.js';
import { runs } from '../runs.js';

const at = (monoMs: number) => ({ monoMs, wallMs: 1_790_000_000_000 + monoMs });
const order = (id: number): VenueRead => ({ type: 'order', venueOrderId: String(id) });
const balances: VenueRead = { type: 'balances' };

const schedule = (maxRetries = 4): ReadSchedule<string> =>
  initialReadSchedule(
    { baseDelayMs: 400, maxDelayMs: 4_000, maxRetries },
    createRequestBudget({ writesPerSecond: 8, writeBurst: 8, cold: false }, 0),
    1,
  );

const failed = (call: VenueRead, failure: ReadFailure): ReadAnswer =>
  ({ call, result: { ok: false, failure, tookMs: 5 } }) as ReadAnswer;
const answered = (call: VenueRead): ReadAnswer =>
  ({ call, result: { ok: true, value: { balances: [], atMs: 0 }, tookMs: 5 } }) as ReadAnswer;
const TIMEOUT: ReadFailure = { type: 'unavailable', cause: 'timeout' };

describe('the read schedule', () => {
  it('repeats a read after a jittered pause that grows, and gives up after its retries', () => {
    const reads = schedule(2);
    reads.retryAllowance = 10;
    wantRead(reads, balances, 'a', 0);
    const sentAt: number[] = [];
    const verdicts: string[] = [];
    for (let monoMs = 0; monoMs < 20_000; monoMs += 10)
      for (const { requestId } of sendDueReads(reads, at(monoMs))) {
        sentAt.push(monoMs);
        verdicts.push(settleRead(reads, requestId, failed(balances, TIMEOUT), at(monoMs)).type);
      }
    expect(verdicts).to.deep.equal(['retrying', 'retrying', 'failed']);
    const [first = 0, second = 0, third = 0] = sentAt;
    expect(second - first).to.be.within(0, 410);
    expect(third - second).to.be.within(0, 810);
  });

  it('never repeats more than a tenth of its reads, but for a few at the start', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ fails: fc.boolean(), gapMs: fc.integer({ min: 0, max: 3_000 }) }), {
          minLength: 1,
          maxLength: 400,
          size: 'max',
        }),
        steps => {
          const reads = schedule();
          let monoMs = 0;
          let fresh = 0;
          let total = 0;
          for (const { fails, gapMs } of steps) {
            monoMs += gapMs;
            wantRead(reads, order(fresh++), 'x', monoMs);
            for (const { requestId, call } of sendDueReads(reads, at(monoMs))) {
              total += 1;
              settleRead(reads, requestId, fails ? failed(call, TIMEOUT) : answered(call), at(monoMs));
            }
          }
          const firsts = fresh - reads.waiting.filter(read => read.attempt === 0).length;
          expect(total - firsts).to.be.at.most(2 + firsts / 10);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('sends nothing to a bucket that the venue has closed, and goes on elsewhere', () => {
    const reads = schedule();
    wantRead(reads, balances, 'a', 0);
    const [sent] = sendDueReads(reads, at(0));
    settleRead(
      reads,
      sent?.requestId ?? 0,
      failed(balances, { type: 'rate-limited', retryAfterMs: 30_000 }),
      at(100),
    );
    wantRead(reads, balances, 'b', 0);
    wantRead(reads, order(1), 'c', 0);
    expect(sendDueReads(reads, at(200)).map(effect => effect.call.type)).to.deep.equal(['order']);
    expect(sendDueReads(reads, at(30_050))).to.deep.equal([]);
    expect(isThrottled(reads, at(30_050))).to.equal(true);
    const [again] = sendDueReads(reads, at(30_150));
    expect(again?.call.type).to.equal('balances');
    settleRead(reads, again?.requestId ?? 0, answered(balances), at(30_200));
    expect(isThrottled(reads, at(30_300))).to.equal(false);
    expect(readRates(reads, at(30_300)).throttledPerMinute).to.equal(1);
  });

  it('probes a bucket that was closed with one read at a time, each with a deadline, and opens it by a good answer', () => {
    const reads = schedule(0);
    wantRead(reads, order(1), 'a', 0);
    const [first] = sendDueReads(reads, at(0));
    settleRead(
      reads,
      first?.requestId ?? 0,
      failed(order(1), { type: 'rate-limited', retryAfterMs: 1_000 }),
      at(0),
    );
    for (let id = 2; id < 8; id++) wantRead(reads, order(id), 'b', 0);
    const probe = (monoMs: number) => sendDueReads(reads, at(monoMs));
    expect(probe(59_000)).to.deep.equal([]);
    const [second, ...others] = probe(60_001);
    expect(others).to.deep.equal([]);
    expect(probe(70_000)).to.deep.equal([]);
    // Nothing comes: its deadline ends it, and the next probe may leave.
    expect(settleOverdueReads(reads, at(80_100)).map(({ type }) => type)).to.deep.equal(['failed']);
    expect(settleRead(reads, second?.requestId ?? 0, answered(order(2)), at(80_100)).type).to.equal(
      'unexpected',
    );
    const [third, ...more] = probe(80_200);
    expect(more).to.deep.equal([]);
    settleRead(reads, third?.requestId ?? 0, answered(order(3)), at(80_300));
    expect(isThrottled(reads, at(80_300))).to.equal(false);
    expect(probe(90_000).length).to.be.greaterThan(1);
  });

  it('does not call a bucket closed that nobody reads from any more, and still probes it with one read', () => {
    const reads = schedule();
    wantRead(reads, balances, 'a', 0);
    const [sent] = sendDueReads(reads, at(0));
    settleRead(
      reads,
      sent?.requestId ?? 0,
      failed(balances, { type: 'rate-limited', retryAfterMs: 5_000 }),
      at(0),
    );
    expect(isThrottled(reads, at(4_000))).to.equal(true);
    expect(isThrottled(reads, at(5_001))).to.equal(false);
    wantRead(reads, balances, 'b', 0);
    wantRead(reads, balances, 'c', 0);
    expect(sendDueReads(reads, at(40_000))).to.have.length(1);
    expect(sendDueReads(reads, at(50_000))).to.deep.equal([]);
  });

  it('never has more under way than may still be refused before it is a storm, and one by one in a storm', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 60 }), refusals => {
        const reads = schedule(0);
        const calls: readonly VenueRead[] = [
          balances,
          { type: 'open-orders', symbol: 'BTCTRY' },
          { type: 'trades', fromMs: null, toMs: null },
          { type: 'ticker', symbol: 'BTCTRY' },
          { type: 'server-time' },
          order(1),
        ];
        const sent: number[] = [];
        const refusedAt: number[] = [];
        for (const [index, refused] of refusals.entries()) {
          const monoMs = index * 3_000;
          for (const call of calls) wantRead(reads, call, 'a', 0);
          sent.push(...sendDueReads(reads, at(monoMs)).map(({ requestId }) => requestId));
          const recent = refusedAt.filter(atMs => monoMs - atMs < 60_000).length;
          expect(sent.length).to.be.at.most(Math.max(1, THROTTLED_STORM - recent));
          const requestId = sent.shift();
          const call = reads.sent.get(requestId ?? 0)?.call;
          if (requestId === undefined || call === undefined) continue;
          if (refused) refusedAt.push(monoMs);
          const limited: ReadFailure = { type: 'rate-limited', retryAfterMs: 1_000 };
          settleRead(reads, requestId, refused ? failed(call, limited) : answered(call), at(monoMs));
        }
      }),
      { numRuns: runs(200) },
    );
  });

  it('leaves a moment between two reads in a storm', () => {
    const reads = schedule(0);
    const lists: readonly VenueRead[] = [
      balances,
      { type: 'open-orders', symbol: 'BTCTRY' },
      { type: 'trades', fromMs: null, toMs: null },
    ];
    for (const call of lists) wantRead(reads, call, 'a', 0);
    for (const { requestId, call } of sendDueReads(reads, at(0)))
      settleRead(reads, requestId, failed(call, { type: 'rate-limited', retryAfterMs: 1_000 }), at(100));
    expect(readRates(reads, at(100)).throttledPerMinute).to.equal(THROTTLED_STORM);
    wantRead(reads, { type: 'ticker', symbol: 'BTCTRY' }, 'b', 0);
    wantRead(reads, { type: 'server-time' }, 'b', 0);
    expect(sendDueReads(reads, at(300))).to.deep.equal([]);
    expect(sendDueReads(reads, at(400))).to.have.length(1);
    expect(sendDueReads(reads, at(500))).to.deep.equal([]);
  });

  it('counts no reply where a read did not leave because somebody else was told to wait', () => {
    const reads = schedule();
    wantRead(reads, balances, 'a', 0);
    const [sent] = sendDueReads(reads, at(0));
    const unsent: ReadFailure = { type: 'rate-limited', retryAfterMs: 5_000, unsent: true };
    expect(settleRead(reads, sent?.requestId ?? 0, failed(balances, unsent), at(0)).type).to.equal('failed');
    expect(readRates(reads, at(10)).throttledPerMinute).to.equal(0);
    wantRead(reads, balances, 'b', 0);
    expect(sendDueReads(reads, at(4_900))).to.deep.equal([]);
    expect(sendDueReads(reads, at(5_001))).to.have.length(1);
  });

  it('stops everything signed at the third refusal of the key in a row, until it is let go on', () => {
    const reads = schedule();
    const refuse = (monoMs: number): void => {
      wantRead(reads, balances, 'a', monoMs);
      for (const { requestId, call } of sendDueReads(reads, at(monoMs)))
        settleRead(
          reads,
          requestId,
          failed(call, { type: 'unauthorized', message: 'Invalid Signature' }),
          at(monoMs),
        );
    };
    refuse(0);
    refuse(1_000);
    wantRead(reads, balances, 'good', 2_000);
    for (const { requestId, call } of sendDueReads(reads, at(2_000)))
      settleRead(reads, requestId, answered(call), at(2_000));
    refuse(3_000);
    refuse(4_000);
    expect(reads.signedStopped).to.equal(false);
    refuse(5_000);
    expect(reads.signedStopped).to.equal(true);
    wantRead(reads, { type: 'server-time' }, 'clock', 6_000);
    wantRead(reads, balances, 'b', 6_000);
    expect(sendDueReads(reads, at(6_000)).map(effect => effect.call.type)).to.deep.equal(['server-time']);
    resumeSignedReads(reads);
    expect(sendDueReads(reads, at(6_100)).map(effect => effect.call.type)).to.deep.equal(['balances']);
  });

  it('gives up on an answer that does not come, and does not mind when it comes all the same', () => {
    const reads = schedule(0);
    wantRead(reads, balances, 'a', 0);
    const [sent] = sendDueReads(reads, at(0));
    expect(settleOverdueReads(reads, at(19_000))).to.deep.equal([]);
    expect(settleOverdueReads(reads, at(20_000)).map(settled => settled.type)).to.deep.equal(['failed']);
    expect(settleRead(reads, sent?.requestId ?? 0, answered(balances), at(21_000)).type).to.equal(
      'unexpected',
    );
  });

  it('keeps a bound on how many reads are in the air', () => {
    const reads = schedule();
    for (let index = 0; index < 50; index++) wantRead(reads, order(index), 'x', 0);
    const first = sendDueReads(reads, at(0));
    expect(first.length).to.be.within(1, 8);
    expect(sendDueReads(reads, at(10))).to.deep.equal([]);
    for (const { requestId, call } of first) settleRead(reads, requestId, answered(call), at(20));
    expect(sendDueReads(reads, at(1_100)).length).to.equal(first.length);
  });

  it('stays within the venue’s limits whatever is wanted', () => {
    const reads = schedule();
    for (let index = 0; index < 500; index++) wantRead(reads, balances, 'x', 0);
    const sentAt: number[] = [];
    for (let monoMs = 0; monoMs < 180_000; monoMs += 50)
      for (const { requestId, call } of sendDueReads(reads, at(monoMs))) {
        sentAt.push(monoMs);
        settleRead(reads, requestId, answered(call), at(monoMs));
      }
    for (const start of sentAt)
      expect(sentAt.filter(time => time >= start && time < start + 60_000).length).to.be.at.most(96);
    expect(sentAt.length).to.be.greaterThan(200);
  });
});
