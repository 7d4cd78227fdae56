import { expect } from 'chai';
import { foldFills } from '#src/domain/books-checkpoint.js';
import { dearestFees } from '#src/domain/fees.js';
import { parseDecimal } from '#src/domain/money.js';
import type { CancelOrder, PlaceOrder } from '#src/domain/order-events.js';
import { defineStrategy, type Strategy, type StrategyView } from '#src/domain/strategy.js';
import type { StrategyHostEffect, StrategyHostInput } from '#src/domain/strategy-host.js';
import { checkParameters } from '#src/domain/strategy-parameters.js';
import {
  initialPortfolio,
  type PortfolioConfig,
  type PortfolioMember,
  portfolioFacts,
  stepPortfolio,
} from '#src/domain/strategy-portfolio.js';
import { maker } from '#src/strategies/maker.js';
import {
  account,
  BTCTRY,
  BTCUSDT,
  bookEvent,
  bookOf,
  control,
  filledFor,
  listed,
  orderOf,
  places,
  working,
} from '../strategies/fixtures.js';

const NOW = { monoMs: 10_000, wallMs: 1_790_000_000_000 };
const book = bookOf(BTCTRY, [['3749000', '0.5']], [['3751000', '0.5']]);
const bid = {
  type: 'place',
  symbol: 'BTCTRY',
  side: 'buy',
  method: 'limit',
  price: parseDecimal('3749000'),
  quantity: parseDecimal('0.001'),
} as const;

const member = (name: string, strategy: Strategy, over: Partial<PortfolioMember> = {}): PortfolioMember => ({
  name,
  definition: defineStrategy({ name: 'sample', about: 'A sample.', parameters: {}, create: () => strategy }),
  parameters: {},
  symbols: ['BTCTRY'],
  universe: null,
  disabled: null,
  ...over,
});

const begin = (members: readonly PortfolioMember[], restored: Partial<PortfolioConfig['restored']> = {}) => {
  const watched: (number | null)[] = [];
  const config: PortfolioConfig = {
    members,
    incarnation: 1,
    startedAt: NOW,
    intentValidityMs: 1_000,
    maxOpenOrders: 5,
    maxOpenOrdersPerSymbol: 3,
    feesOf: dearestFees,
    restored: { openOrders: [], fills: [], strategyStates: new Map(), ...restored },
  };
  const state = initialPortfolio(config, index => watched.push(index));
  let now = NOW;
  const step = (...inputs: readonly StrategyHostInput[]): StrategyHostEffect[] =>
    inputs.flatMap(input => stepPortfolio(state, input, now, index => watched.push(index)).effects);
  const told = (...inputs: readonly StrategyHostInput[]): (PlaceOrder | CancelOrder)[] =>
    step(...inputs).flatMap(effect =>
      effect.type === 'tell' && effect.to === 'execution' ? [effect.message] : [],
    );
  return {
    state,
    step,
    told,
    watched,
    later: (ms: number) => {
      now = { monoMs: now.monoMs + ms, wallMs: now.wallMs + ms };
    },
  };
};
const START = [control(), listed(BTCTRY, BTCUSDT), account({ TRY: '100000' })] as const;
const stops = (effects: readonly StrategyHostEffect[]) =>
  effects.flatMap(effect =>
    effect.type === 'log' && effect.event === 'strategy-stopped' ? [effect.fields.strategy] : [],
  );

describe('several strategies at once', () => {
  it('have names of their own in their orders, and share one sequence of event ids', () => {
    const { told } = begin([member('one', { onBook: () => [bid] }), member('two', { onBook: () => [bid] })]);
    told(...START);
    const orders = places(told(bookEvent(book)));
    expect(orders.map(order => order.strategy)).to.deep.equal(['one', 'two']);
    expect(new Set(orders.map(order => order.id)).size).to.equal(2);
    expect(orders.map(order => order.intentId.split(':')[0])).to.deep.equal(['one', 'two']);
  });

  it('hear of their own symbols and orders alone', () => {
    const heard: string[] = [];
    const listener = (name: string): Strategy => ({
      onBook: (_, { symbol }) => {
        heard.push(`${name} ${symbol}`);
        return [];
      },
      onOrder: (_, event) => {
        heard.push(`${name} ${event.type === 'order' ? event.order.strategy : ''}`);
        return [];
      },
    });
    const { step } = begin([
      member('one', listener('one')),
      member('two', listener('two'), { symbols: ['BTCUSDT'] }),
    ]);
    step(...START, bookEvent(book), filledFor('two', 'BTCUSDT', '1'));
    expect(heard).to.deep.equal(['one BTCTRY', 'two two']);
  });

  it('do not spend what an order of another one ties up, on the same side of the same symbol either', () => {
    const quotes = (name: string): PortfolioMember => {
      const checked = checkParameters(maker, {});
      if (!checked.ok) throw new Error(checked.problems.join());
      return { ...member(name, {}), definition: maker, parameters: checked.values };
    };
    const { told } = begin([quotes('one'), quotes('two')]);
    told(control(), listed(BTCTRY), account({ TRY: '300', BTC: '0' }));
    expect(places(told(bookEvent(book))).map(({ strategy, terms }) => [strategy, terms.side])).to.deep.equal([
      ['one', 'buy'],
    ]);
  });

  /** An order that an earlier run left resting. */
  const leftBy = (strategy: string, symbol: string) =>
    working({
      type: 'place-order',
      id: 'strategy:0:1',
      cause: 'timer',
      intentId: `${strategy}:0-old:1`,
      strategy,
      terms: {
        symbol,
        side: 'sell',
        method: 'limit',
        price: parseDecimal('3760000'),
        quantity: parseDecimal('0.001'),
        quoteQuantity: null,
        stopPrice: null,
      },
      validUntilMonoMs: 0,
      bookVersion: 0,
    });

  it('count and name the orders that nobody here has, of a strategy that is run no more', () => {
    const seen: number[] = [];
    const looks: Strategy = {
      onBook: view => {
        seen.push(view.otherOrders('BTCTRY').length);
        return [];
      },
    };
    const left = leftBy('grid', 'BTCTRY');
    const { step } = begin([member('one', looks)], { openOrders: [left.order] });
    const named = (effects: readonly StrategyHostEffect[]) =>
      effects.flatMap(effect =>
        effect.type === 'log' && effect.event === 'order-left-over' ? [effect.fields] : [],
      );
    const [fields, ...more] = named(step(...START, { type: 'tick' }, { type: 'tick' }));
    expect([fields?.strategy, fields?.symbol, more.length]).to.deep.equal(['grid', 'BTCTRY', 0]);
    step(bookEvent(book), left, bookEvent(book));
    step({ ...left, order: { ...left.order, state: { status: 'canceled', venueOrderId: '1', filled: 0n } } });
    step(bookEvent(book));
    expect(seen).to.deep.equal([1, 1, 0]);
  });

  it('go on beside an order of their own on a symbol that is traded no more', () => {
    const checked = checkParameters(maker, {});
    if (!checked.ok) throw new Error(checked.problems.join());
    const quotes = { ...member('maker', {}), definition: maker, parameters: checked.values };
    const left = leftBy('maker', 'ETHTRY');
    const { told, step, state } = begin([quotes], { openOrders: [left.order] });
    step(control(), listed(BTCTRY), account({ TRY: '100000', BTC: '1' }));
    expect(places(told(bookEvent(book)))).to.have.length(2);
    step(left, filledFor('maker', 'ETHTRY', '-0.001'), bookEvent(book), { type: 'tick' });
    expect(state.hosts[0]?.counts.faults).to.equal(0);
    expect(state.hosts[0]?.host.view.position('ETHTRY').quantity).to.equal(parseDecimal('-0.001'));
  });

  it('see a position of their own, the whole account, and the orders of the others', () => {
    let views: [string, bigint, bigint, number][] = [];
    const look = (name: string): Strategy => ({
      onTrade: (view: StrategyView) => {
        views.push([
          name,
          view.position('BTCTRY').quantity,
          view.accountPosition('BTCTRY').quantity,
          view.otherOrders('BTCTRY').length,
        ]);
        return [];
      },
      onBook: () => (name === 'one' ? [bid] : []),
    });
    const { step, told } = begin([member('one', look('one')), member('two', look('two'))]);
    step(...START, account({}, { BTCTRY: '3' }));
    step(filledFor('one', 'BTCTRY', '2'), filledFor('two', 'BTCTRY', '-1'));
    for (const place of places(told(bookEvent(book)))) step(working(place));
    views = [];
    step({
      type: 'public-trade',
      id: 't',
      cause: 'frame',
      symbol: 'BTCTRY',
      tradeId: '1',
      price: bid.price,
      quantity: bid.quantity,
      side: 'buy',
      tradedAtMs: NOW.wallMs,
    });
    const whole = parseDecimal('3');
    expect(views).to.deep.equal([
      ['one', parseDecimal('2'), whole, 0],
      ['two', parseDecimal('-1'), whole, 1],
    ]);
  });

  it('find their position again after a restart, each from the fills of its own orders', () => {
    const fills = [filledFor('one', 'BTCTRY', '2'), filledFor('two', 'BTCTRY', '5')].flatMap(({ fill }) =>
      fill === null ? [] : [fill],
    );
    const seen: bigint[] = [];
    const look: Strategy = {
      onStart: view => {
        seen.push(view.position('BTCTRY').quantity);
        return [];
      },
    };
    const { step } = begin([member('one', look), member('two', look)], { fills });
    // The fill that was on its way while the ledger was read counts once.
    const again = filledFor('one', 'BTCTRY', '2');
    step({ ...again, fill: fills[0] ?? null }, ...START);
    expect(seen).to.deep.equal([parseDecimal('2'), parseDecimal('5')]);
  });

  it('go on from the checkpoint of their own books, in which a late fill is put right by the history', () => {
    const fills = [
      filledFor('one', 'BTCTRY', '2'),
      filledFor('one', 'BTCTRY', '3'),
      filledFor('two', 'BTCTRY', '5'),
      filledFor('one', 'BTCTRY', '-1'),
    ].flatMap(({ fill }, n) =>
      fill === null ? [] : [{ ...fill, price: parseDecimal(String(100 + n * n)) }],
    );
    const [late, ...known] = fills;
    if (late === undefined) throw new Error('there are four fills');
    const books = foldFills(null, known, 0);
    if (books === null) throw new Error('they are in order');
    const tradeIds = known.map(({ tradeId }) => tradeId);
    const { step, later, state } = begin([member('one', {}), member('two', {})], {
      checkpoint: { books, tradeIds, booked: new Map() },
    });
    const positions = () => state.hosts.map(({ host }) => host.view.position('BTCTRY'));
    const whole = begin([member('one', {}), member('two', {})], { fills: known }).state;
    expect(positions()).to.deep.equal(whole.hosts.map(({ host }) => host.view.position('BTCTRY')));
    // One of the checkpoint's that is told again changes nothing.
    const told = filledFor('one', 'BTCTRY', '2');
    step(...START, { ...told, fill: known[0] ?? null });
    expect(positions()[0]?.quantity).to.equal(parseDecimal('2'));

    step({ ...told, fill: late });
    expect(positions()[0]?.quantity).to.equal(parseDecimal('4'));
    later(50);
    const asked = step({ type: 'tick' }).filter(({ type }) => type === 'fills-wanted');
    expect(asked).to.deep.equal([{ type: 'fills-wanted', symbol: 'BTCTRY' }]);
    step({ type: 'fills-given', symbol: 'BTCTRY', fills: known.toReversed().concat(late) });
    const again = begin([member('one', {}), member('two', {})], { fills }).state;
    expect(positions()).to.deep.equal(again.hosts.map(({ host }) => host.view.position('BTCTRY')));
    later(6_000);
    expect(step({ type: 'tick' }).filter(({ type }) => type === 'fills-wanted')).to.deep.equal([]);
  });

  it('are stopped one by one: who throws is named and the other goes on', () => {
    const { step, told, state } = begin([
      member('bad', {
        onBook: () => {
          throw new Error('broken');
        },
      }),
      member('good', { onBook: () => [bid] }),
    ]);
    step(...START);
    const effects = [1, 2, 3, 4, 5].flatMap(() => step(bookEvent(book)));
    expect(stops(effects)).to.deep.equal(['bad']);
    expect(places(told(bookEvent(book))).map(({ strategy }) => strategy)).to.deep.equal(['good']);
    expect(portfolioFacts(state)).to.deep.include({ state: 'running', stopped: ['bad'] });
  });

  it('start without the one that cannot be created, and cancel what it left behind', () => {
    const created = begin([member('good', { onBook: () => [bid] })]);
    created.told(...START);
    const [place] = places(created.told(bookEvent(book))) as [PlaceOrder];
    const open = {
      ...orderOf(place, { status: 'working', venueOrderId: '1', filled: 0n }),
      strategy: 'bad',
    } as const;
    const { told, step } = begin(
      [
        member(
          'bad',
          {},
          {
            definition: defineStrategy({
              name: 'bad',
              about: 'Bad.',
              parameters: {},
              create: () => {
                throw new Error('no');
              },
            }),
          },
        ),
        member('good', { onBook: () => [bid] }),
      ],
      { openOrders: [open] },
    );
    expect(told(...START).map(({ type, strategy }) => `${type} ${strategy}`)).to.deep.equal([
      'cancel-order bad',
    ]);
    expect(places(told(bookEvent(book))).map(({ strategy }) => strategy)).to.deep.equal(['good']);
    expect(stops(step(bookEvent(book)))).to.deep.equal([]);
  });

  it('leave a disabled one out without calling a line of it', () => {
    let calls = 0;
    const counting: Strategy = {
      onStart: () => {
        calls += 1;
        return [];
      },
      save: () => {
        calls += 1;
        return '';
      },
    };
    const { step, state } = begin([member('off', counting, { disabled: 'it looped' }), member('on', {})]);
    const effects = step(...START, { type: 'tick' }, { type: 'stopping' });
    expect(calls).to.equal(0);
    expect(stops(effects)).to.deep.equal(['off']);
    expect(portfolioFacts(state)).to.have.nested.property('strategies.off.reason', 'it looped');
  });

  it('say before each call whose it is, and after it that nobody is running', () => {
    const { step, watched } = begin([member('one', {}), member('two', {})]);
    watched.length = 0;
    step(control());
    expect(watched).to.deep.equal([0, null, 1, null]);
  });

  it('report once a second, all of them together', () => {
    const { step, later } = begin([member('one', {}), member('two', {})]);
    const reports = (): number => step({ type: 'tick' }).filter(({ type }) => type === 'status').length;
    expect(reports()).to.equal(1);
    later(500);
    expect(reports()).to.equal(0);
    later(500);
    expect(reports()).to.equal(1);
  });

  it('save under their own names, and a state one refuses stops it alone', () => {
    const saving = (name: string): Strategy => ({
      save: () => name,
      load: text => {
        if (text !== name) throw new Error(`not mine: ${text}`);
      },
    });
    const { step } = begin([member('one', saving('one')), member('two', saving('two'))], {
      strategyStates: new Map([
        ['one', 'one'],
        ['two', 'garbage'],
      ]),
    });
    const effects = step(...START);
    expect(stops(effects)).to.deep.equal(['two']);
    const appended = step({ type: 'stopping' }).flatMap(effect =>
      effect.type === 'append' ? effect.request.records : [],
    );
    expect(appended).to.deep.equal([]);
    const fresh = begin([member('one', saving('one')), member('two', saving('two'))]);
    fresh.step(...START);
    const saved = fresh
      .step({ type: 'stopping' })
      .flatMap(effect =>
        effect.type === 'append'
          ? effect.request.records.map(record => (record.type === 'strategy-saved' ? record.strategy : ''))
          : [],
      );
    expect(saved).to.deep.equal(['one', 'two']);
  });
});
