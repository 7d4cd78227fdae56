import { expect } from 'chai';
import {
  initialPrivateSession,
  type PrivateSessionInput,
  stepPrivateSession,
} from '#src/btcturk/private-session.js';
import type { Valuation } from '#src/domain/ledger-records.js';
import { ONE, parseDecimal } from '#src/domain/money.js';
import type { OrderTerms } from '#src/domain/order.js';
import { isOurAccount, proveBalances } from '#src/domain/three-way-proof.js';
import { tradingDayStart } from '#src/domain/valuation.js';
import { Bench, label, limitOrder, newOrder, openedLedger, START_WALL_MS } from './bench.js';
import { TinyVenue } from './tiny-venue.js';

const OPENING = { TRY: '100000', BTC: '2' };

const running = (venue = new TinyVenue(OPENING)): Bench => {
  const bench = new Bench({ venue, ledger: openedLedger(venue) });
  bench.give({ type: 'private-state', feed: 'live', reason: 'logged in' });
  bench.runUntil(() => bench.state.phase === 'running', 20_000, 'recovery');
  return bench;
};

/** A new run a second later, with what the ledger kept of the profit. */
const startAgain = (bench: Bench, change = (kept: Valuation): Valuation => kept): Bench => {
  const { valuation } = bench.state;
  if (valuation === null) throw new Error('no valuation');
  bench.silence();
  const { venue, ledger } = bench;
  return new Bench({ venue, ledger, monoMs: bench.monoMs + 1_000, valuation: change(valuation) });
};

/** Buys or sells at once, as far as the account is concerned. */
const trade = (bench: Bench, sequence: number, terms: OrderTerms): void => {
  const venueOrderId = bench.venue.submit(label(sequence), terms, bench.venueMs);
  const fill = bench.venue.fill(venueOrderId, terms.quantity, bench.venueMs);
  const order = newOrder(
    label(sequence),
    terms,
    { status: 'filled', venueOrderId, filled: terms.quantity },
    bench.wallMs,
  );
  bench.ledger.orders.set(label(sequence), order);
  bench.track({ ...order, state: { status: 'working', venueOrderId, filled: 0n } });
  bench.give({ type: 'private-event', event: { type: 'fill', fill } });
  bench.track(order);
};

const account = (bench: Bench) => {
  const told = bench.messages('account-updated').at(-1);
  if (told === undefined) throw new Error('no account was told');
  return told;
};

describe('a kill', () => {
  it('has the venue asked at once, and the status says what was seen and asked since', () => {
    const bench = running();
    bench.run(2_000);
    bench.control([], { epoch: 4 });
    bench.run(2_000);
    expect(bench.status).to.include({ controlEpoch: 4, listedEpoch: null });
    const lists = (): number => bench.reads.filter(read => read.call.type === 'open-orders').length;
    const before = lists();
    bench.control([], { epoch: 5, state: 'killed', maySubmit: false, mayCancel: false });
    bench.run(2_000);
    expect(lists()).to.equal(before + 1);
    expect(bench.status).to.include({ controlEpoch: 5, listedEpoch: 5 });
    // Told again, it is no new kill.
    bench.control([], { epoch: 6, state: 'killed', maySubmit: false, mayCancel: false });
    bench.run(2_000);
    expect(lists()).to.equal(before + 1);
    expect(bench.status).to.include({ controlEpoch: 6, listedEpoch: 5 });
  });

  it('is not answered by lists that were on their way before it', () => {
    const bench = running();
    bench.control([], { epoch: 4 });
    bench.runUntil(() => bench.state.pass !== null, 60_000, 'a pass');
    bench.control([], { epoch: 5, state: 'killed', maySubmit: false, mayCancel: false });
    bench.runUntil(() => bench.state.listedEpoch === 4, 5_000, 'the answers');
    bench.runUntil(() => bench.state.listedEpoch === 5, 10_000, 'a pass of its own');
  });
});

describe('what reconciliation tells of the account', () => {
  it('reaches execution and strategy soon after a fill, with fresh balances soon after that', () => {
    const bench = running();
    trade(bench, 1, limitOrder('buy', '0.5', '100'));
    bench.run(200);
    expect(account(bench).positions.map(position => position.quantity)).to.deep.equal([parseDecimal('0.5')]);
    bench.run(2_000);
    const balances = new Map(account(bench).balances.map(balance => [balance.asset, balance.total]));
    expect(balances.get('BTC')).to.equal(parseDecimal('2.5'));
    expect(balances.get('TRY')).to.equal(bench.venue.totals.get('TRY'));
    expect(bench.toldStrategy.length).to.equal(bench.messages('account-updated').length);
  });

  it('is kept under the time of the read that showed it, not of the end of the pass', () => {
    const bench = running();
    bench.venue.deposit('TRY', parseDecimal('500'), bench.venueMs);
    bench.run(30_000);
    const asked = bench.reads.filter(({ call }) => call.type === 'balances');
    expect(bench.ledger.balances?.find(({ asset }) => asset === 'TRY')?.total).to.equal(
      parseDecimal('100500'),
    );
    expect(asked.map(({ atMonoMs }) => START_WALL_MS + atMonoMs)).to.include(bench.ledger.balancesAtMs);
  });

  it('is said again every few seconds, and at once to a peer that connects', () => {
    const bench = running();
    const before = bench.messages('account-updated').length;
    bench.run(31_000);
    expect(bench.messages('account-updated').length - before).to.be.within(8, 20);
    const then = bench.messages('account-updated').length;
    bench.give({ type: 'peer-connected', peer: 'strategy' });
    bench.run(150);
    expect(bench.messages('account-updated').length).to.be.greaterThan(then);
  });

  it('has the lira rate of each quote asset, and none that is old', () => {
    const bench = running();
    expect([...account(bench).tryRates]).to.deep.equal([['TRY', ONE]]);
    const dollars = new Bench({ venue: new TinyVenue(OPENING), config: { symbols: ['BTCUSDT'] } });
    dollars.runUntil(() => dollars.state.phase === 'running', 20_000, 'recovery');
    dollars.run(10_000);
    expect([...account(dollars).tryRates]).to.deep.equal([
      ['TRY', ONE],
      ['USDT', 100n * ONE],
    ]);
    dollars.failWith = call => (call.type === 'ticker' ? { type: 'unavailable', cause: 'timeout' } : null);
    dollars.run(70_000);
    expect([...account(dollars).tryRates]).to.deep.equal([['TRY', ONE]]);
  });
});

describe('profit marked to market', () => {
  it('is net of fees and tax, open and closed, of the day', () => {
    const bench = running();
    trade(bench, 1, limitOrder('buy', '1', '90'));
    bench.run(6_000);
    // Bought at 90, marked at 100, less a fee of 0.09 and its tax of 0.018.
    expect(account(bench).dayProfitTry).to.equal(parseDecimal('9.892'));
    trade(bench, 2, limitOrder('sell', '1', '110'));
    bench.run(6_000);
    expect(account(bench).dayProfitTry).to.equal(parseDecimal('19.76'));
    expect(account(bench).drawdownPct).to.equal(0);
  });

  it('falls from its peak, measured against what was paid in', () => {
    const bench = running();
    trade(bench, 1, limitOrder('buy', '1', '90'));
    bench.run(6_000);
    trade(bench, 2, limitOrder('buy', '10', '200'));
    bench.run(6_000);
    const capital = 100_000 + 2 * 100;
    const peak = 9.892;
    const now = 9.892 - 10 * 100 - 2.4;
    expect(account(bench).drawdownPct).to.be.closeTo((100 * (peak - now)) / (capital + peak), 1e-6);
  });

  it('is not known while a price is missing', () => {
    const bench = running();
    bench.failWith = call => (call.type === 'ticker' ? { type: 'unavailable', cause: 'timeout' } : null);
    bench.run(70_000);
    trade(bench, 1, limitOrder('buy', '1', '90'));
    bench.run(60_000);
    expect(account(bench).dayProfitTry).to.equal(null);
    expect(account(bench).drawdownPct).to.equal(null);
  });

  it('counts what happened overnight for the new day, and keeps day and peak across a restart', () => {
    const bench = running();
    trade(bench, 1, limitOrder('buy', '1', '90'));
    bench.run(12_000);
    const again = startAgain(bench, valuation => ({
      ...valuation,
      dayStartMs: valuation.dayStartMs - 86_400_000,
      profitTry: parseDecimal('5'),
      dayStartProfitTry: parseDecimal('-3'),
      peakProfitTry: parseDecimal('50'),
    }));
    again.runUntil(() => again.state.everClean, 20_000, 'recovery');
    again.run(10_000);
    expect(account(again).dayProfitTry).to.equal(parseDecimal('4.892'));
    expect(again.state.valuation?.peakProfitTry).to.equal(parseDecimal('50'));
  });

  it('is of the day that the venue has, whatever our clock is set to', () => {
    const bench = running();
    trade(bench, 1, limitOrder('buy', '5', '200'));
    bench.run(6_000);
    const lost = parseDecimal('-501.2');
    expect(account(bench).dayProfitTry).to.equal(lost);
    for (const setMs of [86_400_000, 0, -86_400_000, 0]) {
      bench.wallSetMs = setMs;
      bench.run(70_000, 250);
      expect(account(bench).dayProfitTry, String(setMs)).to.equal(lost);
    }
    bench.clockAheadMs = 86_400_000;
    bench.wallSetMs = 86_400_000;
    bench.run(70_000, 250);
    expect(account(bench).dayProfitTry, 'a new day').to.equal(0n);
  });

  it('is not known, and forgets no day, before the venue has told its time', () => {
    const bench = running();
    trade(bench, 1, limitOrder('buy', '5', '200'));
    bench.run(12_000);
    const again = startAgain(bench);
    again.wallSetMs = 86_400_000;
    again.failWith = call =>
      call.type === 'server-time' ? { type: 'unavailable', cause: 'server-error' } : null;
    again.run(10_000);
    expect(account(again).dayProfitTry).to.equal(null);
    again.failWith = () => null;
    again.run(10_000);
    expect(account(again).dayProfitTry).to.equal(parseDecimal('-501.2'));
  });

  it('keeps each price under the time at which it was read, however often it is kept', () => {
    const bench = running();
    bench.runUntil(() => bench.ledger.marks.size > 0, 10_000, 'the first prices');
    bench.failWith = call => (call.type === 'ticker' ? { type: 'unavailable', cause: 'timeout' } : null);
    bench.run(1_000);
    const readAtMs = START_WALL_MS + (bench.state.marks.get('BTCTRY')?.atMonoMs ?? 0);
    bench.run(300_000, 250);
    expect(bench.ledger.markTimes.get('BTCTRY')).to.equal(readAtMs);
  });

  it('knows days that begin at midnight in Turkey', () => {
    const midnight = Date.UTC(2026, 0, 14, 21, 0, 0);
    expect(tradingDayStart(midnight)).to.equal(midnight);
    expect(tradingDayStart(midnight - 1)).to.equal(midnight - 86_400_000);
    expect(tradingDayStart(midnight + 86_399_999)).to.equal(midnight);
  });
});

describe('the clock', () => {
  for (const [aheadMs, held] of [
    [0, false],
    [1_500, false],
    [-1_900, false],
    [2_500, true],
    [-2_500, true],
  ] as const)
    it(`${held ? 'holds' : 'does not hold'} when the venue's is ${aheadMs} ms ahead`, () => {
      const venue = new TinyVenue(OPENING);
      const bench = new Bench({ venue, ledger: openedLedger(venue) });
      bench.clockAheadMs = aheadMs;
      bench.run(5_000);
      expect(bench.holds.has('clock-skew')).to.equal(held);
      bench.clockAheadMs = 0;
      bench.run(11_000);
      expect(bench.holds.has('clock-skew')).to.equal(false);
    });

  it('is read again every ten seconds while it holds orders, and every minute otherwise', () => {
    const readsIn = (aheadMs: number): number => {
      const venue = new TinyVenue(OPENING);
      const bench = new Bench({ venue, ledger: openedLedger(venue) });
      bench.clockAheadMs = aheadMs;
      bench.run(119_000);
      return bench.reads.filter(read => read.call.type === 'server-time').length;
    };
    expect(readsIn(0)).to.equal(2);
    expect(readsIn(1_500)).to.equal(2);
    expect(readsIn(2_500)).to.equal(12);
  });

  it('is measured again at once when the key is refused', () => {
    const bench = running();
    const before = bench.reads.filter(read => read.call.type === 'server-time').length;
    bench.failWith = call =>
      call.type === 'balances' ? { type: 'unauthorized', message: 'Invalid Nonce' } : null;
    bench.run(16_000);
    expect(bench.reads.filter(read => read.call.type === 'server-time').length).to.be.greaterThan(before);
  });
});

describe('refusals', () => {
  it('of the key three times in a row stop every signed read until the operator releases the hold', () => {
    const bench = running();
    bench.failWith = call =>
      call.type === 'server-time' || call.type === 'ticker'
        ? null
        : { type: 'unauthorized', message: 'Invalid Signature' };
    bench.runUntil(() => bench.holds.has('auth:reads'), 40_000, 'the hold');
    const before = bench.reads.filter(
      read => read.call.type !== 'server-time' && read.call.type !== 'ticker',
    ).length;
    bench.control([{ key: 'auth:reads', cause: 'auth', subject: 'reads', detail: '', placedAtMs: 0 }]);
    bench.run(300_000, 250);
    expect(
      bench.reads.filter(read => read.call.type !== 'server-time' && read.call.type !== 'ticker').length,
    ).to.equal(before);
    expect([...bench.holds.keys()]).to.include('reconcile-lag');
    bench.failWith = () => null;
    bench.control([]);
    bench.run(20_000);
    expect(bench.state.discrepancies).to.deep.equal([]);
    expect([...bench.holds.keys()]).to.deep.equal(['auth:reads']);
  });

  it('for our rate are waited out and, as a storm, held on until reads are answered again', () => {
    const bench = running();
    bench.failWith = () => ({ type: 'rate-limited', retryAfterMs: 10_000 });
    bench.run(40_000);
    expect(bench.holds.has('rest-429:reads')).to.equal(true);
    expect(bench.metrics.get('rest_429_rate')).to.be.greaterThan(2);
    bench.failWith = () => null;
    bench.run(200_000, 250);
    expect(bench.holds.has('rest-429:reads')).to.equal(false);
    expect(bench.metrics.get('rest_429_rate')).to.equal(0);
  });

  it('keep the retries under a tenth of the requests in a long outage', () => {
    const bench = running();
    bench.failWith = () => ({ type: 'unavailable', cause: 'server-error' });
    bench.run(600_000, 250);
    expect(bench.metrics.get('rest_retry_rate')).to.be.within(0.01, 0.11);
    expect([...bench.holds.keys()]).to.include('reconcile-lag');
  });
});

describe('the private feed', () => {
  it('is expected to show each confirmed submit, once', () => {
    const bench = running();
    const terms = limitOrder('buy', '0.5');
    const order = newOrder(label(1), terms, { status: 'in-flight', sentAtMs: bench.wallMs }, bench.wallMs);
    bench.track(order);
    expect(bench.expected).to.deep.equal([]);
    const venueOrderId = bench.venue.submit(label(1), terms, bench.venueMs);
    bench.track({ ...order, state: { status: 'working', venueOrderId, filled: 0n } });
    bench.track({ ...order, state: { status: 'working', venueOrderId, filled: 0n } });
    expect(bench.expected).to.deep.equal([label(1)]);
  });

  it('is replaced when fills appear among the trades that it does not show, at most once in five minutes', () => {
    const bench = running();
    bench.run(5_000);
    for (let sequence = 1; sequence <= 10; sequence++) {
      const terms = limitOrder('buy', '0.01');
      const venueOrderId = bench.venue.submit(label(sequence), terms, bench.venueMs);
      bench.venue.fill(venueOrderId, terms.quantity, bench.venueMs);
      bench.run(20_000, 250);
    }
    expect(bench.reconnects).to.have.length(1);
  });

  it('is not replaced for fills from before it was live', () => {
    const bench = running();
    bench.give({ type: 'private-state', feed: 'disconnected', reason: 'closed' });
    const venueOrderId = bench.venue.submit(label(1), limitOrder('buy', '0.01'), bench.venueMs);
    bench.venue.fill(venueOrderId, parseDecimal('0.01'), bench.venueMs);
    bench.run(3_000);
    bench.give({ type: 'private-state', feed: 'live', reason: 'logged in' });
    bench.run(60_000, 250);
    expect(bench.ledger.fills.size).to.equal(1);
    expect(bench.reconnects).to.deep.equal([]);
  });

  it('is behind only when a clean pass is later than its interval', () => {
    const bench = running();
    bench.run(14_000);
    expect(bench.metrics.get('reconcile_lag_ms')).to.be.lessThan(1_500);
    bench.failWith = () => ({ type: 'unavailable', cause: 'server-error' });
    bench.run(60_000, 250);
    expect(bench.metrics.get('reconcile_lag_ms')).to.be.greaterThan(20_000);
  });

  it('causes a pass when it comes back, and a hold when it stays away', () => {
    const bench = running();
    bench.run(3_000);
    const before = bench.messages('reconciled').length;
    bench.give({ type: 'private-state', feed: 'disconnected', reason: 'closed' });
    bench.give({ type: 'private-state', feed: 'live', reason: 'logged in' });
    bench.run(1_000);
    expect(bench.messages('reconciled').length).to.equal(before + 1);
    bench.give({ type: 'private-state', feed: 'disconnected', reason: 'closed' });
    bench.run(31_000);
    expect([...bench.holds.keys()]).to.deep.equal(['ws-reconnect:private-feed']);
    bench.give({ type: 'private-state', feed: 'live', reason: 'logged in' });
    bench.run(100);
    expect([...bench.holds.keys()]).to.deep.equal([]);
  });

  it('that reconnects again and again is held on until it stays', () => {
    const bench = running();
    for (let attempt = 0; attempt < 9; attempt++) {
      for (const feed of ['disconnected', 'connecting', 'logging-in', 'live'] as const)
        bench.give({ type: 'private-state', feed, reason: '' });
      bench.run(2_000);
    }
    expect(bench.metrics.get('ws_reconnect_rate')).to.equal(8);
    expect(bench.holds.get('ws-reconnect:private-feed')).to.contain('reconnected 4 times in a minute');
    bench.run(61_000);
    expect([...bench.holds.keys()]).to.deep.equal([]);
    expect(bench.metrics.get('ws_reconnect_rate')).to.equal(0);
  });

  it('that refuses the login three times in a row is a matter of the key', () => {
    const bench = running();
    for (let refusal = 0; refusal < 3; refusal++) {
      expect(bench.holds.has('auth:private-feed')).to.equal(false);
      bench.give({ type: 'private-state', feed: 'connecting', reason: '' });
      bench.give({ type: 'private-state', feed: 'refused', reason: 'Unauthorized - Invalid Public key' });
    }
    expect(bench.holds.get('auth:private-feed')).to.contain('Invalid Public key');
  });

  describe('whose login is refused', () => {
    const HELD = {
      key: 'auth:private-feed',
      cause: 'auth',
      subject: 'private-feed',
      detail: '',
      placedAtMs: 0,
    } as const;
    const beRefused = (bench: Bench): void => {
      for (let refusal = 0; refusal < 3; refusal++) {
        bench.give({ type: 'private-state', feed: 'connecting', reason: '' });
        bench.give({ type: 'private-state', feed: 'refused', reason: 'Unauthorized - Invalid Public key' });
      }
    };

    it('tries again when the operator releases the hold, and holds again when it is refused again', () => {
      const bench = running();
      beRefused(bench);
      bench.control([HELD]);
      expect(bench.reconnects).to.deep.equal([]);
      bench.holds.delete('auth:private-feed');
      bench.control([]);
      expect(bench.reconnects).to.have.length(1);
      beRefused(bench);
      expect(bench.holds.has('auth:private-feed')).to.equal(true);
    });

    it('is left alone by the release when it has been let in meanwhile', () => {
      const bench = running();
      beRefused(bench);
      bench.control([HELD]);
      bench.give({ type: 'private-state', feed: 'live', reason: 'logged in' });
      bench.control([]);
      expect(bench.reconnects).to.deep.equal([]);
    });
  });

  it('logs in anew once the operator has released what its refusals held, and is held on again if it still may not', () => {
    const bench = running();
    const refuse = (): void => {
      bench.give({ type: 'private-state', feed: 'connecting', reason: '' });
      bench.give({ type: 'private-state', feed: 'refused', reason: 'Unauthorized - Invalid Public key' });
    };
    for (let refusal = 0; refusal < 3; refusal++) refuse();
    const key = 'auth:private-feed';
    bench.control([{ key, cause: 'auth', subject: 'private-feed', detail: '', placedAtMs: 0 }]);
    expect(bench.reconnects).to.deep.equal([]);
    bench.holds.delete(key);
    bench.control([]);
    expect(bench.reconnects).to.have.length(1);
    refuse();
    refuse();
    expect(bench.holds.has(key)).to.equal(false);
    refuse();
    expect(bench.holds.has(key)).to.equal(true);
  });

  it('is in a storm when it is lost as often as its session may connect', () => {
    const stormsOf = (seed: number): boolean => {
      const bench = running();
      let session = initialPrivateSession({ seed }, bench.monoMs);
      let hangsUp = false;
      const feed = (input: PrivateSessionInput): void => {
        const stepped = stepPrivateSession(session, input, bench.now());
        session = stepped.state;
        for (const effect of stepped.effects) {
          if (effect.type === 'state')
            bench.give({ type: 'private-state', feed: effect.state, reason: effect.detail });
          if (effect.type !== 'connect') continue;
          feed({ type: 'opened' });
          feed({ type: 'frame', frame: { type: 'version' } });
          feed({ type: 'frame', frame: { type: 'login-result', ok: true, message: '', userId: '7' } });
          if (hangsUp) feed({ type: 'closed', detail: 'closed with code 1006' });
        }
      };
      const pass = (ms: number): void => {
        for (let passed = 0; passed < ms; passed += 50) {
          bench.run(50);
          feed({ type: 'tick' });
        }
      };
      pass(50);
      // Useful for long enough that what was before is forgiven.
      for (let half = 0; half < 3; half++) {
        feed({ type: 'frame', frame: { type: 'event', event: { type: 'balance-hint' } } });
        pass(31_000);
      }
      hangsUp = true;
      feed({ type: 'closed', detail: 'closed with code 1006' });
      pass(60_000);
      return bench.everHeld.get('ws-reconnect:private-feed')?.includes('times in a minute') ?? false;
    };
    expect(Array.from({ length: 8 }, (_, seed) => stormsOf(seed)).some(Boolean)).to.equal(true);
  });
});

describe('the last look', () => {
  it('ends at once when ledger and venue are equal, with everything on disk', () => {
    const bench = running();
    bench.give({ type: 'drain', deadlineMonoMs: bench.monoMs + 1_500 });
    const since = bench.monoMs;
    bench.runUntil(() => bench.drained !== null, 1_000, 'the end', 20);
    expect(bench.drained).to.equal(true);
    expect(bench.monoMs - since).to.be.lessThan(500);
  });

  it('keeps the newest prices, however short ago they were last kept', () => {
    const bench = running();
    bench.runUntil(() => bench.ledger.marks.size > 0, 10_000, 'the first prices');
    bench.ledger.marks.clear();
    bench.give({ type: 'drain', deadlineMonoMs: bench.monoMs + 1_500 });
    bench.runUntil(() => bench.drained !== null, 1_600, 'the end', 20);
    expect(bench.ledger.marks.size).to.be.greaterThan(0);
  });

  it('books what happened at the last moment, and shows the balances after it', () => {
    const bench = running();
    const venueOrderId = bench.venue.submit(label(1), limitOrder('buy', '0.5'), bench.venueMs);
    bench.venue.fill(venueOrderId, parseDecimal('0.5'), bench.venueMs);
    bench.give({ type: 'drain', deadlineMonoMs: bench.monoMs + 1_500 });
    bench.runUntil(() => bench.drained !== null, 2_000, 'the end', 20);
    expect(bench.drained).to.equal(true);
    expect(bench.ledger.fills.size).to.equal(1);
    expect(bench.ledger.balances?.find(balance => balance.asset === 'TRY')?.total).to.equal(
      bench.venue.totals.get('TRY'),
    );
  });

  it('takes no longer than it may when the venue hangs, and asks nothing afterwards', () => {
    const bench = running();
    bench.answering = false;
    bench.give({ type: 'drain', deadlineMonoMs: bench.monoMs + 1_500 });
    bench.runUntil(() => bench.drained !== null, 1_600, 'the end', 20);
    expect(bench.drained).to.equal(false);
    const before = bench.reads.length;
    bench.run(60_000);
    expect(bench.reads.length).to.equal(before);
  });

  it('ends with the first answer that there is nobody to ask', () => {
    const bench = running();
    bench.failWith = () => ({ type: 'unavailable', cause: 'disconnect' });
    bench.give({ type: 'drain', deadlineMonoMs: bench.monoMs + 60_000 });
    const since = bench.monoMs;
    bench.runUntil(() => bench.drained !== null, 10_000, 'the end', 20);
    expect(bench.drained).to.equal(false);
    expect(bench.monoMs - since).to.be.lessThan(5_000);
  });

  it('is not taken where nothing can be proven', () => {
    const bench = new Bench({ venue: new TinyVenue(OPENING), config: { signed: false } });
    bench.run(1_000);
    bench.give({ type: 'drain', deadlineMonoMs: bench.monoMs + 1_500 });
    expect(bench.drained).to.equal(false);
  });
});

describe('the proof of balances', () => {
  const fill = (sequence: number, side: 'buy' | 'sell') => ({
    tradeId: String(sequence),
    venueOrderId: '1',
    clientOrderId: label(1),
    symbol: 'BTCTRY',
    side,
    price: parseDecimal('100'),
    quantity: parseDecimal('1'),
    fee: parseDecimal('0.1'),
    tax: parseDecimal('0.02'),
    feeAsset: 'TRY',
    executedAtMs: START_WALL_MS + sequence,
  });
  const totals = (lira: string, coins: string) =>
    new Map([
      ['TRY', parseDecimal(lira)],
      ['BTC', parseDecimal(coins)],
    ]);

  it('accepts balances that are some recent fills behind, and no others', () => {
    const recent = [fill(1, 'buy'), fill(2, 'sell'), fill(3, 'buy')];
    const expected = totals('899.64', '3');
    expect(proveBalances(expected, recent, totals('899.64', '3'))).to.include({ proven: true, behind: 0 });
    expect(proveBalances(expected, recent, totals('999.76', '2'))).to.include({ proven: true, behind: 1 });
    expect(proveBalances(expected, recent, totals('899.88', '3'))).to.include({ proven: true, behind: 2 });
    expect(proveBalances(expected, recent, totals('1000', '2'))).to.include({ proven: true, behind: 3 });
    expect(proveBalances(expected, [], totals('999.76', '2')).proven).to.equal(false);
    expect([...proveBalances(expected, recent, totals('999.76', '3')).residuals]).to.deep.equal([
      ['TRY', parseDecimal('100.12')],
    ]);
  });

  it('knows the account by its balances while it trades, and takes none that are not its own, nor nothing', () => {
    const bench = running();
    trade(bench, 1, limitOrder('buy', '0.5'));
    bench.run(1_000);
    const own = bench.venue.balancesAt(bench.venueMs);
    expect(isOurAccount(bench.state, own)).to.equal(true);
    expect(isOurAccount(bench.state, bench.venue.balancesAt(bench.venueMs - 5_000)), 'late').to.equal(true);
    const [first, ...others] = own;
    if (first === undefined) throw new Error('the account is empty');
    expect(isOurAccount(bench.state, [{ ...first, total: first.total + 1n }, ...others])).to.equal(false);
    expect(isOurAccount(bench.state, others)).to.equal(false);
    expect(isOurAccount(bench.state, [])).to.equal(false);
    const unopened = new Bench({ venue: new TinyVenue({}) });
    expect(isOurAccount(unopened.state, []), 'nothing, of a ledger without a beginning').to.equal(false);
  });

  it('counts an asset that one side does not name as zero', () => {
    const { residuals } = proveBalances(new Map([['TRY', 5n]]), [], new Map([['XRP', 7n]]));
    expect([...residuals].sort()).to.deep.equal([
      ['TRY', -5n],
      ['XRP', 7n],
    ]);
  });
});
