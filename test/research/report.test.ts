import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { chromium } from 'playwright-core';
import { bookFill, initialAccounting, realizedFifo } from '#src/domain/accounting.js';
import type { Instrument } from '#src/domain/instrument.js';
import { fromInteger, parseDecimal } from '#src/domain/money.js';
import type { Fill } from '#src/domain/order.js';
import { CATALOGUE } from '#src/exchange/instruments.js';
import { FILL_MODELS } from '#src/research/fast-market.js';
import { runFast } from '#src/research/fast-run.js';
import { makeReport, type Report } from '#src/research/report.js';
import { reportHtml } from '#src/research/report-html.js';
import { reportText } from '#src/research/report-text.js';
import type { RunResult } from '#src/research/run-result.js';
import { instrumentOf } from '#src/research/tape.js';
import { closedTrades } from '#src/research/trades.js';
import { maker } from '#src/strategies/maker.js';
import { type GeneratedMarket, generatedMarket, studyOf } from './studies.js';

const listing = CATALOGUE.find(({ symbol }) => symbol === 'BTCTRY');
const INSTRUMENT: Instrument = instrumentOf(listing!);
const START = Date.parse('2026-03-01T00:00:00Z');
const HOUR = 3_600_000;
const CLOSE = 1e-9;

let trade = 0;
const fill = (
  side: 'buy' | 'sell',
  price: string,
  quantity: string,
  fee: string,
  tax: string,
  hour: number,
  order: string,
): Fill => ({
  tradeId: String(++trade),
  venueOrderId: order,
  clientOrderId: order,
  symbol: 'BTCTRY',
  side,
  price: parseDecimal(price),
  quantity: parseDecimal(quantity),
  fee: parseDecimal(fee),
  tax: parseDecimal(tax),
  feeAsset: 'TRY',
  executedAtMs: START + hour * HOUR,
});

/**
 * A day worked by hand. Bought 2 at 1000 (costs 2.4 + 0.6) and 1 at 1100 (1.2 + 0.3); sold 2 at 1200 with one order in two
 * fills (each 1.5 + 0.3) and the last one at 1050 (1 + 0.2). First in, first out: 400 − 3 − 3.6 = 393.4, then
 * −50 − 1.5 − 1.2 = −52.7; together 340.7.
 */
const FILLS: readonly Fill[] = [
  fill('buy', '1000', '2', '2.4', '0.6', 1, 'a'),
  fill('buy', '1100', '1', '1.2', '0.3', 2, 'b'),
  fill('sell', '1200', '1', '1.5', '0.3', 5, 'c'),
  fill('sell', '1200', '1', '1.5', '0.3', 6, 'c'),
  fill('sell', '1050', '1', '1', '0.2', 20, 'd'),
];
const PRICES = [
  1000, 1010, 1050, 1100, 1150, 1200, 1190, 1180, 1170, 1160, 1150, 1140, 1130, 1120, 1110, 1100, 1090, 1080,
  1070, 1060, 1050, 1055, 1060, 1040, 1100,
];

const RUN: RunResult = {
  engine: 'fast',
  fillModel: 'queue',
  strategies: [
    {
      name: 'by-hand',
      kind: 'by-hand',
      symbols: ['BTCTRY'],
      parameters: { size: parseDecimal('1.5') },
    },
  ],
  instruments: [INSTRUMENT],
  feeLevel: 1,
  fromMs: START,
  toMs: START + 24 * HOUR,
  events: 100,
  opening: new Map([
    ['TRY', fromInteger(9_000)],
    ['BTC', fromInteger(1)],
  ]),
  tryRates: new Map([['TRY', fromInteger(1)]]),
  records: [],
  fills: FILLS.map((each, index) => ({ fill: each, liquidity: index === 4 ? 'taker' : 'maker' })),
  prices: [
    {
      symbol: 'BTCTRY',
      atMs: Float64Array.from(PRICES, (_, hour) => START + hour * HOUR),
      prices: Float64Array.from(PRICES),
    },
  ],
  stops: [],
};

describe('the report of a backtest', function () {
  this.timeout(120_000);

  it('has the money of a day worked by hand, to the last digit', () => {
    const { trades, open } = closedTrades(
      FILLS,
      [INSTRUMENT],
      id => ({ a: 'dip', b: 'dip', c: 'target', d: 'stop' })[id],
    );
    expect(trades.map(({ profit, costs }) => [profit, costs])).to.deep.equal([
      [parseDecimal('393.4'), parseDecimal('6.6')],
      [parseDecimal('-52.7'), parseDecimal('2.7')],
    ]);
    expect(trades.map(each => [each.entryReason, each.exitReason])).to.deep.equal([
      ['dip', 'target'],
      ['dip', 'stop'],
    ]);
    expect(open).to.deep.equal([]);
    const report = makeReport(RUN);
    expect(report.money).to.include({
      startTry: '10000',
      endTry: '10340.7',
      profitTry: '340.7',
      realizedTry: '340.7',
      unrealizedTry: '0',
      // 2000 + 1100 + 2400 + 1050.
      volumeTry: '6550',
    });
    expect(report.costs).to.include({ feesTry: '7.6', taxesTry: '1.7' });
    expect(report.trades.all).to.include({ trades: 2, wins: 1, losses: 1, draws: 0, profitTry: '340.7' });
    expect(report.trades).to.include({
      bestTry: '393.4',
      worstTry: '-52.7',
      winStreak: 1,
      lossStreak: 1,
      openLots: 0,
    });
    expect(report.trades.all.meanDurationMs).to.equal(((5 + 18) / 2) * HOUR);
    expect(report.liquidity.taker).to.include({ fills: 1, volumeTry: '1050', feesTry: '1', taxesTry: '0.2' });
    expect(report.liquidity.maker).to.include({
      fills: 4,
      volumeTry: '5500',
      feesTry: '6.6',
      taxesTry: '1.5',
    });
  });

  it('ends the curve on the final balance, though the last fill is later than the last price', () => {
    const late = { ...fill('sell', '1090', '1', '6', '1', 24, 'late') };
    const last = { fill: { ...late, executedAtMs: START + 24 * HOUR + 900 }, liquidity: 'taker' } as const;
    const { money, series } = makeReport({ ...RUN, fills: [...RUN.fills, last] });
    expect(series.equityTry.at(-1)).to.be.closeTo(Number(money.endTry), 1e-8);
    expect(Number(money.endTry)).to.equal(10_340.7 - 10 - 7);
  });

  it('counts what one order closed as one trade, whatever else trades in between', () => {
    const other = (each: Fill): Fill => ({ ...each, symbol: 'ETHTRY' });
    const fills = [
      fill('buy', '1000', '2', '0', '0', 1, 'in'),
      other(fill('buy', '50', '2', '0', '0', 1, 'other in')),
      fill('sell', '1010', '1', '0', '0', 2, 'out'),
      other(fill('sell', '51', '1', '0', '0', 3, 'other out')),
      fill('sell', '1010', '1', '0', '0', 4, 'out'),
    ];
    const ether = instrumentOf(CATALOGUE.find(({ symbol }) => symbol === 'ETHTRY')!);
    const { trades } = closedTrades(fills, [INSTRUMENT, ether], () => undefined);
    expect(
      trades.map(({ symbol, profit, closedAtMs }) => [symbol, profit, (closedAtMs - START) / HOUR]),
    ).to.deep.equal([
      ['ETHTRY', parseDecimal('1'), 3],
      ['BTCTRY', parseDecimal('20'), 4],
    ]);
  });

  it('has the ratios of that day, against a computation of its own', () => {
    const report = makeReport(RUN);
    // Equity hour by hour: cash and quantity after each fill, at that hour's price.
    const cashAt = [0, -2003, -3104.5, -3104.5, -3104.5, -1906.3, -708.1];
    const heldAt = [0, 2, 3, 3, 3, 2, 1];
    const equity = PRICES.map((price, hour) => {
      const index = Math.min(hour, 6);
      const sold = hour >= 20;
      return (
        10_000 + (cashAt[index] ?? 0) + (sold ? 1_048.8 : 0) + ((heldAt[index] ?? 0) - (sold ? 1 : 0)) * price
      );
    });
    expect(report.series.equityTry).to.have.length(25);
    for (const [hour, value] of equity.entries())
      expect(report.series.equityTry[hour]).to.be.closeTo(value, 1e-8);
    const returns = equity.slice(1).map((value, index) => value / (equity[index] ?? 1) - 1);
    const mean = returns.reduce((sum, each) => sum + each, 0) / returns.length;
    const squares = returns.reduce((sum, each) => sum + (each - mean) ** 2, 0);
    const year = Math.sqrt(365 * 24);
    expect(report.ratios.periods).to.equal(24);
    expect(report.ratios.periodMs).to.equal(HOUR);
    expect(report.ratios.sharpe).to.be.closeTo((mean / Math.sqrt(squares / 23)) * year, 1e-8);
    const down = Math.sqrt(returns.reduce((sum, each) => sum + Math.min(each, 0) ** 2, 0) / 24);
    expect(report.ratios.sortino).to.be.closeTo((mean / down) * year, 1e-8);
    expect(report.ratios.profitFactor).to.be.closeTo(393.4 / 52.7, CLOSE);
    expect(report.ratios.sqn).to.be.closeTo((Math.SQRT2 * 170.35) / Math.sqrt(2 * 223.05 ** 2), CLOSE);
    expect(report.ratios.expectancyTry).to.be.closeTo(170.35, CLOSE);
    expect(report.ratios.cagr).to.be.closeTo(1.03407 ** 365 - 1, 1e-3);
    expect(report.marketChange.mean).to.be.closeTo(0.1, CLOSE);
    const peak = Math.max(...equity.slice(0, 6));
    expect(report.drawdown.peakTry).to.be.closeTo(peak, 1e-8);
  });

  it('agrees with the bot own books on what was realised', () => {
    const books = initialAccounting(null);
    for (const each of FILLS) bookFill(books, each, INSTRUMENT);
    const position = books.positions.get('BTCTRY');
    expect(position).to.not.equal(undefined);
    expect(realizedFifo(position!)).to.equal(parseDecimal('340.7'));
    const { trades, open } = closedTrades(FILLS.slice(0, 3), [INSTRUMENT], () => undefined);
    const half = initialAccounting(null);
    for (const each of FILLS.slice(0, 3)) bookFill(half, each, INSTRUMENT);
    const closed = trades.reduce((sum, { profit }) => sum + profit, 0n as bigint);
    const paid = open.reduce((sum, { costs }) => sum + costs, 0n as bigint);
    expect(closed - paid).to.equal(realizedFifo(half.positions.get('BTCTRY')!));
  });

  describe('as a page', () => {
    let market: GeneratedMarket;
    let report: Report;
    before(async () => {
      market = await generatedMarket(30);
      const study = {
        ...studyOf(maker, market.tape, { minHalfSpreadBps: 1 }),
        tryRates: new Map([
          ['TRY', fromInteger(1)],
          ['USDT', fromInteger(48)],
        ]),
      };
      const runs = FILL_MODELS.map(fillModel => runFast({ ...study, fillModel }));
      report = makeReport(runs[1]!, { band: runs });
    });
    after(() => market.remove());

    it('holds its own JSON, which no text in it can break out of', () => {
      const page = reportHtml({ ...report, run: { ...report.run, strategy: '</script><b>' } });
      expect(page).to.not.contain('</script><b>');
      const held = /<script type="application\/json" id="report">(.*?)<\/script>/s.exec(
        reportHtml(report),
      )?.[1];
      expect(JSON.parse(held ?? '')).to.deep.equal(JSON.parse(JSON.stringify(report)));
      expect(reportText(report)).to.contain('Sharpe');
    });

    it('draws its plots in a browser, and shows the numbers of its JSON', async function () {
      const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
      if (executablePath === undefined) {
        // `.ci/run` installs it.
        this.skip();
      }
      const folder = mkdtempSync(join(tmpdir(), 'btcbot-page-'));
      const path = join(folder, 'report.html');
      writeFileSync(path, reportHtml(report));
      const context = await chromium.launchPersistentContext(join(folder, 'profile'), {
        executablePath,
        headless: true,
        args: [
          '--no-sandbox',
          '--disable-gpu',
          '--disable-quic',
          '--no-first-run',
          '--disable-background-networking',
          '--disable-component-update',
          '--disable-sync',
        ],
      });
      try {
        const page = await context.newPage();
        const problems: string[] = [];
        page.on('pageerror', error => problems.push(error.message));
        page.on('request', request => {
          if (!request.url().startsWith('file:')) problems.push(`asks for ${request.url()}`);
        });
        await page.goto(pathToFileURL(path).href);
        const seen = await page.evaluate(PAGE_FACTS);
        expect(problems).to.deep.equal([]);
        expect(seen.plots).to.deep.equal(['band', 'drawdown', 'equity', 'inventory-0', 'price-0']);
        for (const [name, ink] of Object.entries(seen.ink)) expect(ink, name).to.be.greaterThan(200);
        expect(seen.figures).to.include({
          profitTry: report.money.profitTry,
          endTry: report.money.endTry,
          sharpe: String(report.ratios.sharpe),
          trades: String(report.trades.all.trades),
          feesTry: report.costs.feesTry,
        });
        expect(seen.equity).to.deep.equal(report.series.equityTry);
      } finally {
        await context.close();
        rmSync(folder, { recursive: true, force: true });
      }
    });
  });
});

interface PageFacts {
  readonly plots: readonly string[];
  readonly ink: Readonly<Record<string, number>>;
  readonly figures: Readonly<Record<string, string>>;
  readonly equity: readonly number[];
}

/** What the page holds, asked inside it: plots, painted pixels, figures, and the equity that was drawn. */
const PAGE_FACTS = `(() => {
  const ink = {};
  for (const [name, plot] of Object.entries(window.plots)) {
    const canvas = plot.root.querySelector('canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let painted = 0;
    for (let at = 3; at < data.length; at += 4) if (data[at] > 0) painted += 1;
    ink[name] = painted;
  }
  const figures = {};
  for (const each of document.querySelectorAll('#figures b')) figures[each.dataset.name] = each.dataset.value;
  return { plots: Object.keys(window.plots).sort(), ink, figures, equity: window.plots.equity.data[1] };
})()` as unknown as () => PageFacts;
