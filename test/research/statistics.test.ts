import { expect } from 'chai';
import { randomStream } from '#src/exchange/random.js';
import {
  blockBootstrap,
  cagr,
  calmar,
  deflatedSharpe,
  drawdown,
  expectancy,
  normalCdf,
  normalQuantile,
  profitFactor,
  sharpe,
  sortino,
  sqn,
  streaks,
  YEAR_MS,
} from '#src/research/statistics.js';

const DAY = 86_400_000;
const CLOSE = 1e-9;

/** Four returns whose moments are worked by hand: mean 0.01, squared deviations 0.0004 + 0.0009 + 0.0001 + 0.0004. */
const RETURNS = [0.03, -0.02, 0.02, 0.01 - 0.01];

describe('the statistics of a report', () => {
  it('grow an account as compound interest does', () => {
    expect(cagr(100, 121, 2 * YEAR_MS)).to.be.closeTo(0.1, CLOSE);
    expect(cagr(100, 200, YEAR_MS / 2)).to.be.closeTo(3, CLOSE);
    expect(cagr(100, 101, DAY / 2)).to.equal(null);
  });

  it('divide mean by deviation, and by downside deviation', () => {
    // Mean 0.0075; squared deviations 0.00050625, 0.00075625, 0.00015625, 0.00005625: their sum over 3 is 0.000491666….
    const deviation = Math.sqrt(0.001475 / 3);
    expect(sharpe(RETURNS, 365)).to.be.closeTo((0.0075 / deviation) * Math.sqrt(365), CLOSE);
    // One loss of 0.02 among four: √(0.0004 / 4) is 0.01.
    expect(sortino(RETURNS, 1)).to.be.closeTo(0.75, CLOSE);
    expect(sharpe([0.01, 0.01], 365)).to.equal(null);
    expect(sortino([0.01, 0.02], 365)).to.equal(null);
  });

  it('know the quality of a system, its profit factor, expectancy and streaks', () => {
    const profits = [10, -5, 10, 10, -5, 0, -5, -5];
    // Sum 10, mean 1.25; squares 400, less 8 × 1.5625, over 7.
    expect(sqn(profits)).to.be.closeTo((Math.sqrt(8) * 1.25) / Math.sqrt(387.5 / 7), CLOSE);
    expect(profitFactor(profits)).to.equal(1.5);
    const { value, ratio } = expectancy(profits);
    expect(value).to.be.closeTo((3 / 8) * 10 - (4 / 8) * 5, CLOSE);
    expect(ratio).to.be.closeTo((1 + 10 / 5) * (3 / 8) - 1, CLOSE);
    expect(streaks(profits)).to.deep.equal({ wins: 2, losses: 2 });
    expect(profitFactor([1, 2])).to.equal(null);
  });

  it('find the greatest fall, its times, and the time spent below a peak', () => {
    const at = [0, 1, 2, 3, 4, 5, 6, 7].map(day => day * DAY);
    const fall = drawdown(at, [100, 120, 90, 110, 120, 125, 100, 124]);
    expect(fall).to.include({
      amount: 30,
      fraction: 0.25,
      peak: 120,
      bottom: 90,
      peakAtMs: DAY,
      bottomAtMs: 2 * DAY,
      recoveredAtMs: 4 * DAY,
      longestMs: 3 * DAY,
    });
    // Below 120 from day 1 to 4, below 125 from day 5 to 7: five days of seven.
    expect(fall.underwater).to.be.closeTo(5 / 7, CLOSE);
    expect(calmar(0.5, fall.fraction)).to.equal(2);
    expect(drawdown(at, [1, 2, 3, 4, 5, 6, 7, 8]).amount).to.equal(0);
  });

  it('know the normal distribution', () => {
    // Abramowitz and Stegun, table 26.1.
    expect(normalCdf(0)).to.equal(0.5);
    expect(normalCdf(1)).to.be.closeTo(0.841_344_746_068_542_9, 1e-12);
    expect(normalCdf(1.96)).to.be.closeTo(0.975_002_104_851_779_5, 1e-12);
    expect(normalCdf(-3)).to.be.closeTo(0.001_349_898_031_630_095, 1e-12);
    for (const p of [0.001, 0.2, 0.5, 0.975, 0.9999])
      expect(normalCdf(normalQuantile(p))).to.be.closeTo(p, 1e-12);
  });

  it('deflate the ratio of the best of many trials', () => {
    const returns = [0.01, -0.005, 0.012, 0.004, -0.008, 0.011, 0.003, -0.002, 0.009, 0.001, -0.004, 0.007];
    // Worked from the paper's formula with moments taken anew.
    const n = returns.length;
    const mean = returns.reduce((sum, value) => sum + value, 0) / n;
    const moment = (power: number): number =>
      returns.reduce((sum, value) => sum + (value - mean) ** power, 0);
    const deviation = Math.sqrt(moment(2) / (n - 1));
    const ratio = mean / deviation;
    const g1 = moment(3) / n / (moment(2) / n) ** 1.5;
    const skewness = (g1 * Math.sqrt(n * (n - 1))) / (n - 2);
    const g2 = moment(4) / n / (moment(2) / n) ** 2 - 3;
    const kurtosis = ((n - 1) / ((n - 2) * (n - 3))) * ((n + 1) * g2 + 6) + 3;
    const spread = Math.sqrt(1 - skewness * ratio + ((kurtosis - 1) / 4) * ratio ** 2);
    expect(deflatedSharpe(returns, 1, null)).to.be.closeTo(
      normalCdf((ratio * Math.sqrt(n - 1)) / spread),
      CLOSE,
    );
    const euler = 0.5772156649015329;
    const expected =
      0.2 * ((1 - euler) * normalQuantile(1 - 1 / 20) + euler * normalQuantile(1 - 1 / (20 * Math.E)));
    const deflated = deflatedSharpe(returns, 20, 0.04);
    expect(deflated).to.be.closeTo(normalCdf(((ratio - expected) * Math.sqrt(n - 1)) / spread), CLOSE);
    expect(deflated ?? 1).to.be.lessThan(deflatedSharpe(returns, 1, null) ?? 0);
    expect(deflatedSharpe(returns, 20, null)).to.equal(null);
  });

  it('draw the same interval from the same seed, around the statistic', () => {
    const returns = Array.from({ length: 100 }, (_, index) => ((index * 37) % 11) / 100 - 0.05);
    const average = (sample: readonly number[]): number =>
      sample.reduce((sum, each) => sum + each, 0) / sample.length;
    const draw = () => blockBootstrap(returns, average, randomStream(1, 1), { samples: 500, level: 0.95 });
    const interval = draw();
    expect(draw()).to.deep.equal(interval);
    expect(interval?.low).to.be.lessThan(average(returns));
    expect(interval?.high).to.be.greaterThan(average(returns));
    expect(blockBootstrap([1, 2], average, randomStream(1, 1), { samples: 10, level: 0.9 })).to.equal(null);
  });
});
