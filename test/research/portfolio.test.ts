import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { bidTicks } from '#src/domain/book-view.js';
import { parseClientOrderId } from '#src/domain/client-order-id.js';
import { fromTicks } from '#src/domain/instrument.js';
import { fromInteger, parseDecimal } from '#src/domain/money.js';
import type { StrategyDefinition } from '#src/domain/strategy.js';
import type { PortfolioMember } from '#src/domain/strategy-portfolio.js';
import { soleMember } from '#src/domain/strategy-portfolio.js';
import { runCandles } from '#src/research/candle-run.js';
import { type CandleTape, readCandles } from '#src/research/candles.js';
import { runExact } from '#src/research/exact-run.js';
import { runFast } from '#src/research/fast-run.js';
import { checkLookahead } from '#src/research/lookahead.js';
import { makeReport, type Report, type StrategyRow } from '#src/research/report.js';
import { reportHtml } from '#src/research/report-html.js';
import { reportText } from '#src/research/report-text.js';
import { askedBy, ordersOf, type RunResult } from '#src/research/run-result.js';
import { portfolioMembers, portfolioSettings } from '#src/research/study.js';
import { tapeUntil } from '#src/research/tape.js';
import { type GeneratedMarket, generatedMarket, portfolioOf } from './studies.js';

const RATES = new Map([
  ['TRY', fromInteger(1)],
  ['USDT', fromInteger(48)],
]);
const MODEL = { fillModel: 'queue', tryRates: RATES } as const;
const QUOTES = { name: 'quotes', strategy: 'maker', config: { minHalfSpreadBps: 1 } };
const BEAT = {
  name: 'beat',
  strategy: 'pulse',
  config: { intervalMs: 1_100, offsetBps: -2, notional: '300' },
};
const FAR = { strategy: 'pulse', config: { intervalMs: 2_000, offsetBps: 100, notional: '300' } };
const MINUTE_MS = 60_000;

/** Whatever it is called for, it fails. */
const throwing: StrategyDefinition = {
  portVersion: 2,
  name: 'throwing',
  about: 'Throws at every book.',
  parameters: {},
  create: () => ({
    onBook: () => {
      throw new Error('no idea');
    },
  }),
};
const unborn: StrategyDefinition = {
  ...throwing,
  name: 'unborn',
  create: () => {
    throw new Error('not today');
  },
};

/** Asks once, for an order that rests, whatever the limits are. */
const patient: StrategyDefinition = {
  ...throwing,
  name: 'patient',
  create: () => {
    let asked = false;
    return {
      onBook: (view, book) => {
        const { symbol } = book;
        const best = bidTicks(book);
        if (asked || best === undefined || !view.maySubmit(symbol)) return [];
        asked = true;
        const price = fromTicks(best - 10_000, view.instrument(symbol));
        return [
          { type: 'place', symbol, side: 'buy', method: 'limit', price, quantity: parseDecimal('0.005') },
        ];
      },
    };
  },
};

/** What a strategy's orders asked for, and what became of them. */
const ordersBy = (run: RunResult, name: string) =>
  ordersOf(run.records)
    .filter(({ order }) => order.strategy === name)
    .map(({ order, state }) => ({
      side: order.terms.side,
      price: order.terms.price,
      quantity: order.terms.quantity,
      intendedAtMs: order.intendedAtMs,
      status: state.status,
    }));

const denials = (run: RunResult): readonly string[] => [
  ...new Set(
    run.records.flatMap(record =>
      record.type === 'audit' && record.event === 'intent-denied'
        ? [`${askedBy(record.facts.intentId)} ${record.facts.code}`]
        : [],
    ),
  ),
];

describe('a backtest of several strategies', function () {
  this.timeout(120_000);
  let market: GeneratedMarket;
  let candles: CandleTape;
  let folder: string;
  before(async () => {
    market = await generatedMarket(16, 5);
    folder = mkdtempSync(join(tmpdir(), 'btcbot-several-'));
    const path = join(folder, 'BTC_USDT-1m.json');
    const rows = Array.from({ length: 400 }, (_, index) => {
      const middle = 60_000 + 900 * Math.sin(index / 25);
      const [high, low] = [middle + 60, middle - 60];
      const open = Date.UTC(2026, 0, 1) + index * MINUTE_MS;
      return [open, middle, high, low, middle + 20 * Math.sin(index), 50].map(String);
    });
    writeFileSync(path, JSON.stringify(rows.map(([at, ...prices]) => [Number(at), ...prices])));
    candles = readCandles(path, {});
  });
  after(() => {
    market.remove();
    rmSync(folder, { recursive: true });
  });

  const fast = async (strategies: readonly object[], env: Readonly<Record<string, string>> = {}) =>
    runFast({ ...(await portfolioOf(market.tape, strategies, env)), ...MODEL });

  it('labels each order with its strategy, and reaches the strategies in the order of the list', async () => {
    const run = await fast([{ ...FAR, name: 'one' }, BEAT, { ...FAR, name: 'two' }], {
      MAX_OPEN_ORDERS_PER_SYMBOL: '3',
    });
    for (const { order } of ordersOf(run.records))
      expect(parseClientOrderId(order.clientOrderId)?.strategy).to.equal(order.strategy);
    expect(run.strategies.map(({ name, kind }) => `${name} ${kind}`)).to.deep.equal([
      'one pulse',
      'beat pulse',
      'two pulse',
    ]);
    // Both beat at the same time.
    const beats = ordersOf(run.records)
      .map(({ order }) => order)
      .filter(({ strategy }) => strategy !== 'beat');
    expect(ordersBy(run, 'beat').length).to.be.greaterThan(5);
    expect(beats.slice(0, 2).map(({ strategy }) => strategy)).to.deep.equal(['one', 'two']);
    expect(beats[0]?.intendedAtMs).to.equal(beats[1]?.intendedAtMs);
  });

  it('counts the limits over all of them: what one has used up is refused to the next', async () => {
    const study = await portfolioOf(market.tape, [QUOTES], {
      MAX_OPEN_ORDERS: '1',
      MAX_OPEN_ORDERS_PER_SYMBOL: '1',
    });
    const called = (name: string): PortfolioMember => ({
      ...soleMember(patient, {}, study.settings.symbols),
      name,
    });
    const runOf = (members: readonly PortfolioMember[]): RunResult =>
      runFast({ ...study, ...MODEL, members });
    for (const name of ['first', 'second']) {
      const alone = runOf([called(name)]);
      expect(denials(alone), name).to.deep.equal([]);
      expect(ordersBy(alone, name), name).to.have.length(1);
    }
    const both = runOf([called('first'), called('second')]);
    expect(ordersBy(both, 'first')).to.have.length(1);
    expect(ordersBy(both, 'second')).to.have.length(0);
    expect(denials(both)).to.deep.equal(['second open-orders-exceed-limit']);
    expect(makeReport(both).strategies?.map(({ denied }) => denied)).to.deep.equal([0, 1]);
  });

  for (const engine of ['fast', 'exact'] as const)
    it(`stops one that throws, by its name, and lets the others go on as they were: ${engine}`, async () => {
      const study = await portfolioOf(market.tape, [QUOTES]);
      const runOf = (members: readonly PortfolioMember[]): RunResult =>
        engine === 'fast'
          ? runFast({ ...study, ...MODEL, members })
          : runExact({ ...study, members, seed: 2, recording: market.recording }).result;
      const bad = [throwing, unborn].map(each => soleMember(each, {}, study.settings.symbols));
      const alone = runOf(study.members);
      const beside = runOf([...bad, ...study.members]);
      expect(ordersBy(beside, 'quotes')).to.deep.equal(ordersBy(alone, 'quotes'));
      expect(ordersBy(beside, 'quotes').length).to.be.greaterThan(10);
      expect(beside.fills).to.deep.equal(alone.fills);
      expect(beside.stops.toSorted()).to.deep.equal([
        'strategy throwing stopped: 5 faults within 60 s, the last in onBook: Error: no idea',
        'strategy unborn stopped: it cannot be created: not today',
      ]);
      expect(alone.stops).to.deep.equal([]);
    });

  it('is refused where the only strategy cannot be created', async () => {
    const study = await portfolioOf(market.tape, [QUOTES]);
    const members = [soleMember(unborn, {}, study.settings.symbols)];
    expect(() => runFast({ ...study, ...MODEL, members })).to.throw('not today');
  });

  it('has no look-ahead in strategies that only see what has happened', async () => {
    const study = await portfolioOf(market.tape, [QUOTES, BEAT], { MAX_OPEN_ORDERS_PER_SYMBOL: '5' });
    const runOn = (tape: typeof market.tape): RunResult => runFast({ ...study, ...MODEL, tape });
    const { findings, compared } = checkLookahead(
      runOn(market.tape),
      untilMs => runOn(tapeUntil(market.tape, untilMs)),
      3,
    );
    expect(findings).to.deep.equal([]);
    expect(compared).to.be.greaterThan(30);
  });

  it('names the one that knows the future', async () => {
    const study = await portfolioOf(market.tape, [QUOTES, BEAT], { MAX_OPEN_ORDERS_PER_SYMBOL: '5' });
    const runOn = (tape: typeof market.tape): RunResult => {
      const members = study.members.map(member =>
        member.name === 'beat'
          ? {
              ...member,
              parameters: { ...member.parameters, notional: fromInteger(250 + (tape.length % 89)) },
            }
          : member,
      );
      return runFast({ ...study, ...MODEL, members, tape });
    };
    const { findings } = checkLookahead(
      runOn(market.tape),
      untilMs => runOn(tapeUntil(market.tape, untilMs)),
      1,
    );
    expect(findings[0]?.whole).to.match(/ beat: (buy|sell) [\d.]+ BTCUSDT at/);
  });

  describe('in its report', () => {
    let report: Report;
    let rows: readonly StrategyRow[];
    before(async () => {
      report = makeReport(await fast([QUOTES, BEAT], { MAX_OPEN_ORDERS_PER_SYMBOL: '5' }));
      rows = report.strategies ?? [];
    });

    it('has a row for each, and what they add up to is the whole', () => {
      expect(rows.map(({ name, kind }) => [name, kind])).to.deep.equal([
        ['quotes', 'maker'],
        ['beat', 'pulse'],
      ]);
      const sum = (pick: (row: StrategyRow) => string): bigint =>
        rows.reduce((total, row) => total + parseDecimal(pick(row)), 0n as bigint);
      const { money, costs, orders, trades } = report;
      expect(sum(row => row.profitTry)).to.equal(parseDecimal(money.profitTry));
      expect(sum(row => row.realizedTry)).to.equal(parseDecimal(money.realizedTry));
      expect(sum(row => row.volumeTry)).to.equal(parseDecimal(money.volumeTry));
      expect(sum(row => row.feesTry)).to.equal(parseDecimal(costs.feesTry));
      expect(sum(row => row.taxesTry)).to.equal(parseDecimal(costs.taxesTry));
      expect(sum(row => row.trades.profitTry)).to.equal(parseDecimal(trades.all.profitTry));
      const count = (pick: (row: StrategyRow) => number): number =>
        rows.reduce((total, row) => total + pick(row), 0);
      expect(count(row => row.fills)).to.equal(orders.fills);
      expect(count(row => row.orders)).to.equal(orders.placed);
      expect(count(row => row.denied)).to.equal(orders.denied);
      expect(count(row => row.trades.trades)).to.equal(trades.all.trades);
      for (const row of rows) {
        expect(row.fills, row.name).to.be.greaterThan(2);
        expect(row.drawdownTry, row.name).to.be.greaterThan(0);
      }
    });

    it('shows the rows as text and on the page', () => {
      const text = reportText(report);
      expect(text).to.contain('Backtest of quotes, beat on BTCUSDT');
      expect(text).to.match(
        /By strategy\n {2}Strategy {2}of {5}on .*\n {2}quotes {4}maker {2}BTCUSDT .*\n {2}beat /,
      );
      expect(text).to.contain('Parameters beat');
      const page = reportHtml(report);
      expect(page).to.contain('<table id="strategies"><tr><th>Strategy</th>');
      expect(page).to.contain('<td>beat</td><td>pulse</td><td>BTCUSDT</td>');
    });

    it('says nothing of strategies with one', async () => {
      const alone = makeReport(await fast([QUOTES]));
      expect(alone).to.not.have.property('strategies');
      expect(reportHtml(alone)).to.not.contain('id="strategies"');
      expect(reportText(alone)).to.not.contain('By strategy');
    });
  });

  describe('over candles', () => {
    const onCandles = async (
      strategies: readonly object[],
      env: Readonly<Record<string, string>> = {},
    ): Promise<RunResult> => {
      const settings = portfolioSettings({
        symbols: ['BTCUSDT'],
        inputs: {
          env: { ...env, STRATEGIES: JSON.stringify(strategies) },
          cwd: '/',
          readFile: () => '',
          nowMs: candles.openAtMs[0] ?? 0,
        },
      });
      return runCandles({
        ...MODEL,
        candles,
        settings,
        members: await portfolioMembers(settings, '/'),
        opening: settings.paper.balances,
        feeLevel: 1,
      });
    };
    const TREND = { name: 'follow', strategy: 'trend', config: { interval: '5m', fast: 3, slow: 8 } };
    const QUICK = { name: 'quick', strategy: 'trend', config: { interval: '1m', fast: 5, slow: 12 } };

    it('gives each its own candles, and its own position', async () => {
      const both = await onCandles([TREND, QUICK], { MAX_OPEN_ORDERS_PER_SYMBOL: '4' });
      for (const each of [TREND, QUICK]) {
        const alone = await onCandles([each], { MAX_OPEN_ORDERS_PER_SYMBOL: '4' });
        expect(ordersBy(alone, each.name).length, each.name).to.be.greaterThan(2);
        // The first order of each comes before any can be in the other's way.
        expect(ordersBy(both, each.name)[0]).to.deep.equal(ordersBy(alone, each.name)[0]);
      }
      expect(makeReport(both).strategies?.map(({ fills }) => fills > 0)).to.deep.equal([true, true]);
    });

    it('counts the limits over all of them', async () => {
      const limits = { MAX_POSITION_NOTIONAL_TRY: '60000', MAX_NOTIONAL_PER_ORDER_TRY: '60000' };
      const two = [QUICK, { ...QUICK, name: 'again' }];
      expect(denials(await onCandles([QUICK], limits))).to.deep.equal([]);
      expect(denials(await onCandles(two, limits))).to.include('again position-exceeds-limit');
    });
  });
});
