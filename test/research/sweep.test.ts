import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { fromInteger } from '#src/domain/money.js';
import { randomStream } from '#src/exchange/random.js';
import { runFast } from '#src/research/fast-run.js';
import { makeReport } from '#src/research/report.js';
import {
  gridOf,
  keyOf,
  neighbour,
  randomCandidate,
  readAxis,
  SearchError,
  walkForward,
} from '#src/research/search.js';
import { type Method, runSweep, segmentsOf } from '#src/research/sweep.js';
import { openSweepStore } from '#src/research/sweep-store.js';
import answerTrial from '#src/research/sweep-task.js';
import { writeTapeFile } from '#src/research/tape-file.js';
import { maker } from '#src/strategies/maker.js';
import { type GeneratedMarket, generatedMarket, studyOf } from './studies.js';

const axis = (given: string) => readAxis(given, maker.parameters);

describe('the search for parameters', () => {
  it('reads lists and ranges against the declarations, and says what does not fit', () => {
    expect(axis('refreshMs=500,1000')).to.deep.equal({
      name: 'refreshMs',
      type: 'list',
      values: [500, 1_000],
    });
    expect(axis('skewBps=0..8')).to.include({ type: 'range', min: 0, max: 8, whole: false });
    expect(() => axis('refresh=1')).to.throw(SearchError, 'there is no parameter');
    expect(() => axis('skewBps=9..1')).to.throw(SearchError, 'goes from');
    expect(() => axis('skewBps=x')).to.throw(SearchError, 'not a number');
    expect(() => axis('coverFees=1')).to.throw(SearchError, 'neither true nor false');
  });

  it('has every combination in a grid, and stays within its ranges when it draws', () => {
    const axes = [axis('refreshMs=500,1000'), axis('skewBps=0..8')];
    expect(gridOf(axes)).to.have.length(10);
    const random = randomStream(5, 1);
    let candidate = randomCandidate(axes, random);
    for (let draw = 0; draw < 200; draw++) {
      candidate = neighbour(axes, candidate, random);
      expect(candidate.skewBps).to.be.within(0, 8);
      expect([500, 1_000]).to.include(candidate.refreshMs);
    }
    expect(keyOf({ b: 1, a: 2 })).to.equal(keyOf({ a: 2, b: 1 }));
  });

  it('walks forward with what was best before, whatever it comes to', () => {
    const trials = [
      { candidate: { a: 1 }, scores: [5, -9, 1] },
      { candidate: { a: 2 }, scores: [1, 2, 3] },
    ];
    expect(walkForward(trials, 3)).to.deep.equal([
      { segment: 1, chosen: { a: 1 }, trainScore: 5, testScore: -9 },
      { segment: 2, chosen: { a: 2 }, trainScore: 1.5, testScore: 3 },
    ]);
  });

  it('chooses none where no set has a score before, and never one that was refused', () => {
    const none = Number.NEGATIVE_INFINITY;
    const trials = [
      { candidate: { a: 1 }, scores: [none, none, none] },
      { candidate: { a: 2 }, scores: [none, -7, 4] },
      { candidate: { a: 3 }, scores: [none, none, 9] },
    ];
    const nothing = { chosen: null, trainScore: null, testScore: null };
    expect(walkForward(trials, 3)).to.deep.equal([
      { segment: 1, ...nothing },
      { segment: 2, ...nothing },
    ]);
    const scored = [...trials, { candidate: { a: 4 }, scores: [-3, none, 1] }];
    expect(walkForward(scored, 3)).to.deep.equal([
      { segment: 1, chosen: { a: 4 }, trainScore: -3, testScore: none },
      { segment: 2, ...nothing },
    ]);
  });
});

const TRY_RATES = new Map([
  ['TRY', fromInteger(1)],
  ['USDT', fromInteger(48)],
]);

describe('a sweep', function () {
  this.timeout(120_000);
  let market: GeneratedMarket;
  let folder: string;
  before(async () => {
    market = await generatedMarket(20);
    folder = mkdtempSync(join(tmpdir(), 'btcbot-sweep-'));
    writeTapeFile(join(folder, 'market.tape'), market.tape);
  });
  after(() => {
    market.remove();
    rmSync(folder, { recursive: true });
  });

  const sweep = async (
    db: string,
    method: Method,
    signal: AbortSignal,
    onProgress: (done: number) => void = () => {},
    periodMs = 1_000,
  ) => {
    const store = openSweepStore(join(folder, db), 'a study', '2026-01-01T00:00:00.000Z');
    const { settings } = studyOf(maker, market.tape);
    const { atMs, length } = market.tape;
    try {
      return await runSweep({
        method,
        axes: [axis('minHalfSpreadBps=1,2,4'), axis('skewBps=2,4')],
        trials: 5,
        seed: 1,
        segments: segmentsOf(atMs[0] ?? 0, atMs[length - 1] ?? 0, 2),
        threads: 2,
        store,
        signal,
        onProgress,
        task: {
          tapePath: join(folder, 'market.tape'),
          strategy: 'maker',
          config: {},
          settings,
          tryRates: TRY_RATES,
          fillModel: 'queue',
          feeLevel: 1,
          score: 'profit',
          periodMs,
        },
      });
    } finally {
      store.close();
    }
  };

  it('breaks off, goes on where it stopped, and comes to what an unbroken one comes to', async () => {
    const abort = new AbortController();
    const broken = await sweep('broken.sqlite', 'grid', abort.signal, done => {
      if (done >= 3) abort.abort();
    });
    expect(broken.finished).to.equal(false);
    expect(broken.ran).to.be.within(3, 11);
    const resumed = await sweep('broken.sqlite', 'grid', new AbortController().signal);
    expect(resumed).to.include({ finished: true, known: broken.ran, ran: 12 - broken.ran });
    const whole = await sweep('whole.sqlite', 'grid', new AbortController().signal);
    expect(whole).to.include({ known: 0, ran: 12 });
    expect(resumed.trials).to.deep.equal(whole.trials);
    expect(resumed.walk).to.deep.equal(whole.walk);
    expect(whole.trials).to.have.length(6);
    expect(whole.walk).to.have.length(1);
  });

  it('says of a set what the report of its run says', async () => {
    const { settings } = studyOf(maker, market.tape);
    const { atMs, length } = market.tape;
    const candidate = { minHalfSpreadBps: 1, skewBps: 2 };
    const given = { tryRates: TRY_RATES, fillModel: 'queue', feeLevel: 1 } as const;
    const answer = await answerTrial({
      ...given,
      tapePath: join(folder, 'market.tape'),
      strategy: 'maker',
      config: {},
      candidate,
      settings,
      score: 'profit',
      periodMs: 1_000,
      segment: 0,
      fromMs: atMs[0] ?? 0,
      toMs: atMs[length - 1] ?? 0,
    });
    if (!('result' in answer)) throw new Error(answer.notMade);
    const { result } = answer;
    const study = { ...studyOf(maker, market.tape, candidate), settings, ...given };
    const run = runFast(study);
    const { money, trades, drawdown } = makeReport(run);
    expect(run.fills).to.not.have.length(0);
    expect(run.records).to.not.have.length(0);
    expect(result).to.deep.include({
      profitTry: money.profitTry,
      score: Number(money.profitTry),
      fills: run.fills.length,
      trades: trades.all.trades,
    });
    expect(result.drawdown).to.be.closeTo(drawdown.amountTry, 1e-6);
    expect(runFast({ ...study, withoutRecords: true })).to.deep.equal({ ...run, records: [] });
  });

  it('tells the Sharpe ratio of a part for a period of the whole, however long its own are', async () => {
    const sharpes = async (db: string, periodMs: number) =>
      (await sweep(db, 'grid', new AbortController().signal, () => {}, periodMs)).trials.map(({ results }) =>
        results.map(({ sharpe }) => sharpe),
      );
    const bySecond = await sharpes('seconds.sqlite', 1_000);
    const byMinute = await sharpes('minutes.sqlite', 60_000);
    expect(bySecond.flat().some(ratio => ratio !== null && ratio !== 0)).to.equal(true);
    for (const [trial, ratios] of bySecond.entries())
      for (const [segment, ratio] of ratios.entries()) {
        const other = byMinute[trial]?.[segment];
        if (ratio === null) expect(other).to.equal(null);
        else expect(other).to.be.closeTo(ratio * Math.sqrt(60), 1e-9);
      }
  });

  it('tries the same sets from the same seed when it searches', async () => {
    const sets = async (db: string) =>
      (await sweep(db, 'search', new AbortController().signal)).trials.map(({ candidate }) =>
        keyOf(candidate),
      );
    const first = await sets('first.sqlite');
    expect(await sets('second.sqlite')).to.deep.equal(first);
    expect(new Set(first).size).to.equal(5);
  });
});
