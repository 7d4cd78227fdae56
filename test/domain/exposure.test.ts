import { expect } from 'chai';
import {
  enlarging,
  grossExposure,
  reservation,
  valuationPrice,
  worstPosition,
  wouldSelfTrade,
} from '#src/domain/exposure.js';
import type { OrderTerms } from '#src/domain/order.js';
import { d, limitTerms } from './orders.js';

const terms = (side: 'buy' | 'sell', price: string | null, over: Partial<OrderTerms> = {}): OrderTerms =>
  limitTerms({
    side,
    price: price === null ? null : d(price),
    method: price === null ? 'market' : 'limit',
    ...over,
  });

describe('two own orders', () => {
  for (const [words, left, right, would] of [
    ['a buy above a sell', terms('buy', '101'), terms('sell', '100'), true],
    ['a buy at a sell', terms('buy', '100'), terms('sell', '100'), true],
    ['a buy below a sell', terms('buy', '99'), terms('sell', '100'), false],
    ['two buys', terms('buy', '101'), terms('buy', '100'), false],
    ['orders on different symbols', terms('buy', '101'), terms('sell', '100', { symbol: 'ETHTRY' }), false],
    ['a market buy and a sell', terms('buy', null), terms('sell', '1000'), true],
    ['a market sell and a buy', terms('sell', null), terms('buy', '1'), true],
    ['two market orders', terms('buy', null), terms('sell', null), true],
    ['market buys', terms('buy', null), terms('buy', '1'), false],
  ] as const)
    it(`${would ? 'may' : 'cannot'} trade with each other: ${words}`, () => {
      expect(wouldSelfTrade(left, right)).to.equal(would);
      expect(wouldSelfTrade(right, left)).to.equal(would);
    });
});

describe('what an order takes from the free balance', () => {
  it('is the base of a sell, and the quote of a buy with the dearest fee, rounded up', () => {
    expect(reservation(terms('sell', '100'), d('3'), 2_400)).to.deep.equal({ side: 'sell', amount: d('3') });
    expect(reservation(terms('sell', null), d('3'), 2_400)).to.deep.equal({ side: 'sell', amount: d('3') });
    expect(reservation(terms('buy', '100'), d('3'), 2_400)).to.deep.equal({
      side: 'buy',
      amount: d('300.72'),
    });
    expect(reservation(terms('buy', '0.1'), 1n, 2_400).amount).to.equal(2n);
  });

  it('is the quote that a market buy names', () => {
    const market = terms('buy', null, { quoteQuantity: d('50') });
    expect(reservation(market, d('3'), 2_400)).to.deep.equal({ side: 'buy', amount: d('50') });
    expect(reservation({ ...market, quoteQuantity: null }, d('3'), 2_400).amount).to.equal(0n);
  });
});

describe('exposure', () => {
  it('is valued at the middle, or at the own price where that is higher', () => {
    expect(valuationPrice(terms('buy', '90'), d('100'))).to.equal(d('100'));
    expect(valuationPrice(terms('buy', '110'), d('100'))).to.equal(d('110'));
    expect(valuationPrice(terms('buy', null), d('100'))).to.equal(d('100'));
  });

  it('counts what open orders can add to a position, not what they take off it', () => {
    const both = { buys: d('5'), sells: d('3') };
    expect(enlarging(0n, both)).to.equal(d('8'));
    expect(enlarging(d('2'), both)).to.equal(d('6'));
    expect(enlarging(d('-4'), both)).to.equal(d('4'));
    expect(enlarging(d('-4'), { buys: d('5'), sells: 0n })).to.equal(d('1'));
    expect(enlarging(d('4'), { buys: 0n, sells: d('5') })).to.equal(d('1'));
    expect(worstPosition(d('2'), both, 'buy')).to.equal(d('7'));
    expect(worstPosition(d('2'), both, 'sell')).to.equal(d('1'));
    expect(worstPosition(d('9'), both, 'sell')).to.equal(0n);
    expect(grossExposure(d('-4'), both, d('10'))).to.equal(d('80'));
  });
});
