/** What `btcbot new-strategy` writes. */

export interface TemplateOptions {
  readonly name: string;
  readonly typed: boolean;
}

const quoted = (specifier: string): string => `'${specifier}'`;

/** A strategy with everything most strategies need: parameters, candles, a warm-up, tags, and state that survives. */
export const strategyTemplate = ({
  name,
  typed,
  port,
}: TemplateOptions & { readonly port: string }): string => {
  const t = (text: string): string => (typed ? text : '');
  return `/**
 * ${name}: buys a dip below the average of recent closes, sells when the price is back at it.
 *
 * A strategy is pure: it is shown the market and returns what it wants. No clock (view.now is the time), no randomness, no
 * files, no network. Then the same file runs in a backtest, on paper, in dry run and live, and does the same.
 */
import {
  besideTouch,
  cancelOverdue,
  createBackoff,
  defineStrategy,
  isHolding,
  orderFor,
  orderWorth,${t('\n  type StrategyIntent,\n  type StrategyView,')}
  toNumber,
} from ${quoted(port)};

export default defineStrategy({
  name: '${name}',
  about: 'Buys a dip below the average of recent closes, sells when the price is back at it.',
  // Every parameter has a type, a range and a default. Set them with STRATEGY_CONFIG='{"dipBps":80}'.
  parameters: {
    notional: {
      type: 'decimal', // exact money: arrives as a bigint at 10^-16
      default: '250',
      min: '0',
      max: '1000000',
      unit: 'quote',
      about: 'Value of one purchase.',
    },
    period: { type: 'integer', default: 20, min: 2, max: 500, unit: 'candles', about: 'Closes that are averaged.' },
    dipBps: { type: 'number', default: 50, min: 1, max: 5_000, unit: 'bps', about: 'How far below it buys.' },
  },
  timerMs: () => 1_000,
  // No order is let through before this many candles were seen. At a start they come from the venue's charts.
  candles: ({ period }) => [{ interval: '5m', warmUp: period }],
  create: ({ notional, period, dipBps }) => {
    const backoff = createBackoff(); // waits longer after each refusal
    /** What it is after, by symbol: kept across restarts by save and load. */
    const aims = new Map${t("<string, 'buy' | 'sell'>")}();

    const pursue = (view${t(': StrategyView')}, symbol${t(': string')})${t(': StrategyIntent[]')} => {
      // An order that has rested for 30 s at an old price is canceled, and asked for again when it is gone.
      const overdue = cancelOverdue(view, symbol, 30_000);
      const aim = aims.get(symbol);
      if (overdue.length > 0 || aim === undefined || view.openOrders(symbol).length > 0) return overdue;
      if (view.book(symbol)?.trusted !== true || !backoff.mayAsk(view, symbol)) return [];
      const price = besideTouch(view, symbol, aim, 0); // the best price of the own side: it rests, and pays the maker's fee
      if (price === undefined) return [];
      const holding = isHolding(view, symbol, price);
      if (holding === (aim === 'buy')) {
        aims.delete(symbol); // done
        return [];
      }
      // Both give no order at all when funds, limits or the venue's least value do not allow one.
      return aim === 'buy'
        ? orderWorth(view, { symbol, side: 'buy', price, value: notional, tag: 'dip' })
        : orderFor(view, { symbol, side: 'sell', price, quantity: view.position(symbol).quantity, tag: 'back' });
    };

    return {
      onCandle: (view, { symbol, close }) => {
        if (!view.isWarm) return [];
        // Indicators may use floating numbers; an order's price never comes from one without rounding to the grid.
        const closes = view.candles(symbol, '5m').slice(-period).map(candle => toNumber(candle.close));
        const average = closes.reduce((sum, each) => sum + each, 0) / closes.length;
        const holding = isHolding(view, symbol, close);
        if (!holding && toNumber(close) < average * (1 - dipBps / 10_000)) aims.set(symbol, 'buy');
        else if (holding && toNumber(close) >= average) aims.set(symbol, 'sell');
        return pursue(view, symbol);
      },
      onTimer: view => view.symbols.flatMap(symbol => pursue(view, symbol)),
      onOrder: (view, event) => {
        backoff.heard(view, event);
        return [];
      },
      save: () => JSON.stringify([...aims]),
      load: state => {
        for (const [symbol, aim] of JSON.parse(state)${t(" as [string, 'buy' | 'sell'][]")}) {
          // What cannot be understood is thrown back: the bot stops this strategy and says so, rather than guess.
          if (aim !== 'buy' && aim !== 'sell') throw new Error(\`the saved aim of \${symbol} is \${String(aim)}\`);
          aims.set(symbol, aim);
        }
      },
    };
  },
});
`;
};

/** A test of the template that passes as it is. */
export const testTemplate = ({
  name,
  stage,
  ending,
}: TemplateOptions & {
  readonly stage: string;
  readonly ending: string;
}): string => `/** Run it with: node --test ${name}.test.${ending} */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rehearse } from ${quoted(stage)};
import strategy from ${quoted(`./${name}.${ending}`)};

/** A stage on which the warm-up is over: the market has stood at 100. */
const begin = () => {
  const play = rehearse(strategy, { parameters: { notional: '500', period: 5 }, balances: { TRY: '10000' } });
  play.book('99.9', '100.1');
  for (let count = 0; count < 5; count++) assert.deepEqual(play.candle('100'), []);
  return play;
};

test('buys a dip at the best bid, once', () => {
  const play = begin();
  play.book('97.9', '98.1');
  assert.deepEqual(play.candle('98'), [
    { type: 'place', symbol: 'BTCTRY', side: 'buy', price: '97.9', quantity: '5.10725229', tag: 'dip' },
  ]);
  play.confirm();
  for (const order of play.orders) play.fill(order);
  assert.deepEqual(play.after(60_000), []);
  assert.equal(play.position(), '5.10725229');
});

test('sells everything when the price is back at the average', () => {
  const play = begin();
  play.book('97.9', '98.1');
  play.candle('98');
  play.confirm();
  for (const order of play.orders) play.fill(order);
  play.book('99.9', '100.1');
  const [sale] = play.candle('100');
  assert.equal(sale?.type === 'place' && sale.tag, 'back');
});

test('goes on after a restart with what it was after', () => {
  const play = begin();
  play.book('97.9', '98.1');
  play.candle('98');
  play.deny();
  play.restart();
  play.book('97.9', '98.1');
  for (let count = 0; count < 5; count++) play.candle('98');
  assert.equal(play.saved, '[["BTCTRY","buy"]]');
});

test('asks for nothing before its warm-up is over', () => {
  const play = rehearse(strategy);
  play.book('49.9', '50.1');
  assert.deepEqual(play.candle('50'), []);
  assert.deepEqual(play.faults, []);
});
`;
