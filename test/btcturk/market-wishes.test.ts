/** What strategies ask of the market, over a client that counts as the venue does, on a clock of the test's own. */
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import type { BtcturkRead } from '#src/btcturk/market-reads.js';
import { createMarketWishes } from '#src/btcturk/market-wishes.js';
import type { RestClient } from '#src/btcturk/rest-client.js';
import { CANDLE_LENGTHS_MS, type CandleInterval } from '#src/domain/candles.js';
import type { CandlesRead, CandlesWaiting, CandlesWanted, TickersRead } from '#src/domain/market-events.js';
import { CHART_BURST, CHART_INTERVAL_MS, CHART_REFUSALS_MAX } from '#src/domain/market-wishes.js';
import { eventIds } from '#src/domain/step.js';
import type { ReadFailure } from '#src/domain/venue-port.js';

const T0 = 20_718 * 86_400_000;
const HOUR = CANDLE_LENGTHS_MS['1h'];

/** @param failing what the venue says to the read of that number, the first being 0; null for an answer */
const desk = (failing: (read: number, monoMs: number) => ReadFailure | null = () => null, cold = false) => {
  let monoMs = 5_000;
  const asked: { readonly call: BtcturkRead; readonly atMs: number }[] = [];
  const told: (CandlesRead | CandlesWaiting | TickersRead)[] = [];
  const read = async (call: BtcturkRead) => {
    if (call.type === 'candles') {
      const failure = failing(asked.filter(each => each.call.type === 'candles').length, monoMs);
      asked.push({ call, atMs: monoMs });
      if (failure !== null) return { ok: false, failure, tookMs: 1 };
      const { fromMs, toMs } = call;
      const candles = Array.from({ length: (toMs - fromMs) / HOUR }, (_, index) => ({
        openedAtMs: fromMs + index * HOUR,
        open: 1n,
        high: 1n,
        low: 1n,
        close: 1n,
        volume: 1n,
      }));
      return { ok: true, value: { candles }, tookMs: 1 };
    }
    asked.push({ call, atMs: monoMs });
    return { ok: true, value: { tickers: [] }, tookMs: 1 };
  };
  const wishes = createMarketWishes({
    client: { read: read as unknown as RestClient['read'], close: async () => {} },
    symbols: [],
    ids: eventIds('market-data', 1),
    now: () => ({ monoMs, wallMs: T0 + monoMs }),
    cold,
    tell: message => told.push(message),
  });
  const charts = () => asked.filter(({ call }) => call.type === 'candles').map(({ atMs }) => atMs - 5_000);
  return {
    wishes,
    asked,
    told,
    charts,
    want: (symbol: string, id = `strategy:1:${symbol}`, count = 3, interval: CandleInterval = '1h') =>
      wishes.wish({ type: 'candles-wanted', id, cause: 'start', symbol, interval, count } as CandlesWanted),
    answers: () => told.filter(each => each.type === 'candles-read'),
    waiting: () => told.filter(each => each.type === 'candles-waiting').at(-1)?.waiting ?? [],
    /** Lets time pass, a tick every `stepMs`. */
    pass: async (ms: number, stepMs = 100) => {
      await turn();
      for (const end = monoMs + ms; monoMs < end; ) {
        monoMs += stepMs;
        wishes.tick();
        await turn();
      }
    },
  };
};

const throttled = (retryAfterMs: number): ReadFailure => ({ type: 'rate-limited', retryAfterMs });
const densest = (times: readonly number[], windowMs: number): number =>
  Math.max(...times.map((from, index) => times.slice(index).filter(at => at < from + windowMs).length));

describe('the wishes of strategies', () => {
  it('are read at a pace that stays within 80 % of 60 a minute, and all of them are', async () => {
    const { want, pass, charts, answers } = desk();
    for (let symbol = 0; symbol < 190; symbol++) want(`S${symbol}`);
    await pass((190 - CHART_BURST) * CHART_INTERVAL_MS + 30_000);
    expect(charts()).to.have.length(190);
    expect(charts().filter(at => at === 0)).to.have.length(CHART_BURST);
    expect(densest(charts(), 60_000)).to.be.within(40, 48);
    expect(answers().map(({ cause }) => cause)).to.deep.equal(
      Array.from({ length: 190 }, (_, symbol) => `strategy:1:S${symbol}`),
    );
  });

  it('begin without a burst where an earlier worker may have had one', async () => {
    const { want, pass, charts } = desk(undefined, true);
    for (let symbol = 0; symbol < 50; symbol++) want(`S${symbol}`);
    await pass(60_000);
    expect(charts()).to.have.length.within(30, 37);
    expect(densest(charts(), 1_000)).to.equal(1);
  });

  it('wait once, however often they are repeated, and keep their place', async () => {
    const { want, pass, charts, answers } = desk();
    for (let again = 0; again < 6; again++) for (let symbol = 0; symbol < 300; symbol++) want(`S${symbol}`);
    await pass(300 * CHART_INTERVAL_MS + 10_000, 500);
    expect(charts()).to.have.length(300);
    expect(answers().map(({ symbol }) => symbol)).to.deep.equal(
      Array.from({ length: 300 }, (_, symbol) => `S${symbol}`),
    );
  });

  it('of several strategies for one series are one read, and each is given what it asked for', async () => {
    const { want, pass, charts, answers } = desk();
    for (let symbol = 0; symbol < CHART_BURST; symbol++) want(`S${symbol}`);
    want('BTCTRY', 'strategy:1:a', 3);
    want('BTCTRY', 'strategy:1:b', 8);
    await pass(30_000);
    expect(charts()).to.have.length(CHART_BURST + 1);
    const given = answers().filter(({ symbol }) => symbol === 'BTCTRY');
    expect(given.map(({ cause, candles }) => [cause, candles.length])).to.deep.equal([
      ['strategy:1:a', 3],
      ['strategy:1:b', 8],
    ]);
    expect(given[0]?.candles.at(-1)).to.deep.equal(given[1]?.candles.at(-1));
  });

  it('have the tickers go first: the choice of symbols does not wait behind the charts', async () => {
    const { wishes, want, pass, asked, charts } = desk();
    for (let symbol = 0; symbol < 40; symbol++) want(`S${symbol}`);
    await pass(100);
    wishes.wish({ type: 'tickers-wanted', id: 'strategy:1:1', cause: 'universe', everyMs: 60_000 });
    await pass(100);
    expect(asked.map(({ call }) => call.type)).to.include('day-tickers');
    expect(charts()).to.have.length(CHART_BURST);
  });

  it('are told every few seconds how long they wait, which is how long they wait', async () => {
    const { want, pass, charts, waiting } = desk();
    for (let symbol = 0; symbol < 100; symbol++) want(`S${symbol}`);
    await pass(10_000);
    const last = waiting().at(-1);
    expect(last?.wish).to.equal('strategy:1:S99');
    await pass(2_000);
    expect((last?.dueInMs ?? 0) - (waiting().at(-1)?.dueInMs ?? 0)).to.be.within(1_500, 2_500);
    const toldAt = 10_000 - 2_000;
    await pass(200_000);
    expect(charts()[99]).to.be.within(toldAt + (last?.dueInMs ?? 0), toldAt + (last?.dueInMs ?? 0) + 4_500);
  });

  it('keep waiting after a 429: one read when the pause is over, and never a burst', async () => {
    const { want, pass, charts, answers, waiting } = desk(read => (read === 5 ? throttled(60_000) : null));
    for (let symbol = 0; symbol < 60; symbol++) want(`S${symbol}`);
    await pass(59_900);
    expect(charts()).to.have.length(6);
    expect(waiting().length).to.equal(55);
    expect(waiting()[0]?.dueInMs).to.be.within(1, 2_100);
    await pass(60_000);
    expect(densest(charts().slice(6), 60_000), 'half the pace').to.be.within(15, 19);
    expect(answers().every(({ problem }) => problem === null)).to.equal(true);
    await pass(240_000);
    expect(answers()).to.have.length(60);
  });

  it('leave the venue alone for as long as an earlier reply asked, without counting that as a refusal', async () => {
    const { want, pass, charts, answers } = desk((_, monoMs) =>
      monoMs < 65_000 ? { type: 'rate-limited', retryAfterMs: 65_000 - monoMs, unsent: true } : null,
    );
    want('BTCTRY');
    await pass(59_000);
    expect(charts()).to.have.length(1);
    await pass(2_000);
    expect(answers().map(({ problem }) => problem)).to.deep.equal([null]);
  });

  it('end for good, all at once, when the venue goes on refusing', async () => {
    const { want, pass, charts, answers, waiting } = desk(() => throttled(60_000));
    for (let symbol = 0; symbol < 190; symbol++) want(`S${symbol}`);
    await pass((CHART_REFUSALS_MAX - 1) * 60_000 - 1_000, 500);
    expect(answers()).to.deep.equal([]);
    expect(waiting()).to.have.length(190);
    await pass(10_000);
    expect(charts()).to.have.length(CHART_REFUSALS_MAX);
    expect(answers()).to.have.length(190);
    expect(answers().every(({ problem, final }) => problem !== null && final === true)).to.equal(true);
  });

  it('are answered with the problem, which may pass, when the read fails otherwise', async () => {
    const { want, pass, answers } = desk(read =>
      read === 0 ? { type: 'unavailable', cause: 'timeout' } : null,
    );
    want('BTCTRY');
    want('ETHTRY');
    await pass(100);
    expect(answers().map(({ problem, final }) => [problem, final])).to.deep.equal([
      ['timeout', undefined],
      [null, undefined],
    ]);
  });

  it('end after a minute, all at once, when the charts are not reached at all', async () => {
    const down = { type: 'unavailable', cause: 'timeout' } as const;
    const { want, pass, charts, answers } = desk((_, monoMs) => (monoMs < 125_000 ? down : null));
    for (let symbol = 0; symbol < 190; symbol++) want(`S${symbol}`);
    await pass(59_000);
    expect(answers().some(({ final }) => final === true)).to.equal(false);
    const before = charts().length;
    expect(before).to.be.below(50);
    await pass(4_000);
    expect(answers()).to.have.length(190);
    expect(answers().filter(({ final }) => final === true)).to.have.length.above(190 - before - 3);
    await pass(60_000);
    want('BTCTRY');
    await pass(1_000);
    expect(answers().at(-1)?.problem).to.equal(null);
    want('ETHTRY');
    await pass(1_000);
    expect(answers().at(-1)?.problem).to.equal(null);
  });

  it('of a series the venue does not have take the others no hope', async () => {
    const { want, pass, answers } = desk(() => ({ type: 'refused', message: 'no such pair', code: '400' }));
    for (let symbol = 0; symbol < 60; symbol++) want(`S${symbol}`);
    await pass(120_000);
    expect(answers().map(({ final }) => final)).to.deep.equal(Array(60).fill(undefined));
  });

  it('are forgotten with the strategy actor that had them', async () => {
    const { wishes, want, pass, charts } = desk();
    for (let symbol = 0; symbol < 60; symbol++) want(`S${symbol}`);
    await pass(100);
    wishes.forget();
    await pass(60_000);
    expect(charts()).to.have.length(CHART_BURST);
  });
});
