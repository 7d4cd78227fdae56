/** Our orders in a recorded market: queue positions, trades through, levels that appear across, and the book shown. */
import { expect } from 'chai';
import fc from 'fast-check';
import { levelsOf } from '#src/domain/matching.js';
import { formatDecimal } from '#src/domain/money.js';
import { runs } from '../runs.js';
import { book, type Harness, limit, quietHarness, trade } from './harness.js';

const filled = (self: Harness, id: number): string =>
  formatDecimal(self.account().orders.get(id)?.filled ?? 0n);
const resting = (self: Harness, side: 'buy' | 'sell', price: string, quantity: string): number => {
  const id = limit(self, side, price, quantity);
  self.advance(50);
  return id;
};
const shown = (self: Harness, side: 'buy' | 'sell'): Record<string, string> => {
  const market = self.venue.markets.get('BTCUSDT');
  if (market === undefined) throw new Error('no market');
  return Object.fromEntries(
    levelsOf(market.book, side)
      .map(level => [formatDecimal(level.price), formatDecimal(level.total)])
      .reverse(),
  );
};

describe('an order in a recorded queue', () => {
  it('leaves the book shown as it is stated when trades pass', () => {
    const self = quietHarness();
    resting(self, 'buy', '77000', '0.2');
    self.market('BTCUSDT', trade('sell', '77000', '0.3'));
    self.market('BTCUSDT', trade('sell', '76990', '0.3'));
    expect(shown(self, 'buy')).to.deep.equal({ '77000': '0.5', '76990': '1', '76000': '3' });
  });

  it('has the displayed quantity ahead of it, which trades at the price eat first', () => {
    const self = quietHarness();
    const id = resting(self, 'buy', '77000', '0.2');
    self.market('BTCUSDT', trade('sell', '77000', '0.5'));
    expect(filled(self, id)).to.equal('0');
    self.market('BTCUSDT', trade('sell', '77000', '0.15'));
    expect(filled(self, id)).to.equal('0.15');
    self.market('BTCUSDT', trade('sell', '77000', '9'));
    expect(filled(self, id)).to.equal('0.2');
    expect(self.account().trades.every(fill => fill.liquidity === 'maker')).to.equal(true);
  });

  it('does not count a decrease that a trade explains', () => {
    const self = quietHarness();
    const id = resting(self, 'buy', '77000', '0.2');
    self.market('BTCUSDT', trade('sell', '77000', '0.3'));
    self.market('BTCUSDT', book([['77000', '0.2']], [], false));
    self.market('BTCUSDT', trade('sell', '77000', '0.2'));
    expect(filled(self, id)).to.equal('0');
    self.market('BTCUSDT', trade('sell', '77000', '0.01'));
    expect(filled(self, id)).to.equal('0.01');
  });

  it('moves up in proportion when a decrease has no trade', () => {
    const self = quietHarness();
    const id = resting(self, 'buy', '77000', '0.2');
    // 0.5 ahead, then 1.5 behind: 2 in all. A cut to 1 takes half of each part.
    self.market('BTCUSDT', book([['77000', '2']], [], false));
    self.market('BTCUSDT', book([['77000', '1']], [], false));
    self.market('BTCUSDT', trade('sell', '77000', '0.25'));
    expect(filled(self, id)).to.equal('0');
    self.market('BTCUSDT', trade('sell', '77000', '0.1'));
    expect(filled(self, id)).to.equal('0.1');
  });

  it('keeps its place when the level grows', () => {
    const self = quietHarness();
    const id = resting(self, 'buy', '77000', '0.2');
    self.market('BTCUSDT', book([['77000', '50']], [], false));
    self.market('BTCUSDT', trade('sell', '77000', '0.7'));
    expect(filled(self, id)).to.equal('0.2');
  });

  it('is first when it opens the level, and again when the level has gone', () => {
    const self = quietHarness();
    const first = resting(self, 'buy', '77005', '0.1');
    self.market('BTCUSDT', book([['77005', '3']], [], false));
    self.market('BTCUSDT', trade('sell', '77005', '0.1'));
    expect(filled(self, first)).to.equal('0.1');
    const second = resting(self, 'buy', '77000', '0.1');
    self.market(
      'BTCUSDT',
      book(
        [
          ['77000', '0'],
          ['77005', '0'],
        ],
        [],
        false,
      ),
    );
    self.market('BTCUSDT', trade('sell', '77000', '0.05'));
    expect(filled(self, second)).to.equal('0.05');
  });

  it('fills by a trade through its price, up to what was traded', () => {
    const self = quietHarness();
    const id = resting(self, 'sell', '77010', '0.3');
    self.market('BTCUSDT', trade('buy', '77020', '0.1'));
    expect(filled(self, id)).to.equal('0.1');
    expect(formatDecimal(self.account().trades[0]?.price ?? 0n)).to.equal('77010');
    self.market('BTCUSDT', trade('buy', '77020', '5'));
    expect(filled(self, id)).to.equal('0.3');
  });

  it('does not fill by a trade on its own side', () => {
    const self = quietHarness();
    const id = resting(self, 'buy', '77000', '0.3');
    self.market('BTCUSDT', trade('buy', '77000', '5'));
    self.market('BTCUSDT', trade('buy', '76000', '5'));
    expect(filled(self, id)).to.equal('0');
  });

  it('fills by a level that appears across it, up to what appears, and never leaves the book crossed', () => {
    const self = quietHarness();
    const id = resting(self, 'buy', '77005', '0.3');
    self.market('BTCUSDT', book([['77000', '0']], [['77002', '0.2']], false));
    expect(filled(self, id)).to.equal('0.2');
    expect(formatDecimal(self.account().trades[0]?.price ?? 0n)).to.equal('77005');
    // The same level said again brings nothing new; its growth does.
    self.market('BTCUSDT', book([], [['77002', '0.2']], false));
    expect(filled(self, id)).to.equal('0.2');
    self.market('BTCUSDT', book([], [['77002', '0.25']], false));
    expect(filled(self, id)).to.equal('0.25');
    self.market('BTCUSDT', book([], [['77002', '1']], false));
    expect(filled(self, id)).to.equal('0.3');
    expect(shown(self, 'sell')).to.deep.include({ '77002': '0.7' });
  });

  it('takes displayed levels when it is marketable, and they stay taken while the level lasts', () => {
    const self = quietHarness();
    const id = resting(self, 'buy', '77010', '0.3');
    expect(filled(self, id)).to.equal('0.3');
    expect(shown(self, 'sell')['77010']).to.equal('0.1');
    self.market('BTCUSDT', book([], [['77010', '0.4']], false));
    expect(shown(self, 'sell')['77010']).to.equal('0.1');
    self.market('BTCUSDT', book([], [['77010', '0.6']], false));
    expect(shown(self, 'sell')['77010']).to.equal('0.3');
    self.market('BTCUSDT', book([], [['77010', '0']], false));
    self.market('BTCUSDT', book([], [['77010', '0.6']], false));
    expect(shown(self, 'sell')['77010']).to.equal('0.6');
  });

  it('is behind what comes into sight from beyond the window of 100 levels', () => {
    const self = quietHarness();
    const bids = Array.from({ length: 100 }, (_, index) => [String(76_999 - index), '1'] as const);
    self.market('BTCUSDT', book(bids, [['77010', '1']]));
    const far = resting(self, 'buy', '76800', '0.1');
    self.market(
      'BTCUSDT',
      book(
        [
          ['76999', '0'],
          ['76800', '2'],
        ],
        [],
        false,
      ),
    );
    self.market('BTCUSDT', trade('sell', '76800', '2'));
    expect(filled(self, far)).to.equal('0');
    self.market('BTCUSDT', trade('sell', '76800', '0.1'));
    expect(filled(self, far)).to.equal('0.1');
  });

  it('survives the loss of the feed without a fill, and is behind what comes back', () => {
    const self = quietHarness();
    const id = resting(self, 'buy', '77000', '0.1');
    self.market('BTCUSDT', { type: 'lost' });
    expect(shown(self, 'buy')).to.deep.equal({ '77000': '0.1' });
    expect(shown(self, 'sell')).to.deep.equal({});
    self.market('BTCUSDT', book([['77000', '0.5']], [['77010', '0.4']]));
    self.market('BTCUSDT', trade('sell', '77000', '0.5'));
    expect(filled(self, id)).to.equal('0');
    self.market('BTCUSDT', trade('sell', '77000', '0.02'));
    expect(filled(self, id)).to.equal('0.02');
  });

  it('shows itself in the book beside the recorded quantity', () => {
    const self = quietHarness();
    resting(self, 'buy', '77000', '0.25');
    resting(self, 'sell', '77015', '0.125');
    expect(shown(self, 'buy')['77000']).to.equal('0.75');
    expect(shown(self, 'sell')['77015']).to.equal('0.125');
  });
});

type Happening =
  | {
      readonly type: 'difference' | 'whole';
      readonly bids: [number, number][];
      readonly asks: [number, number][];
    }
  | {
      readonly type: 'trade' | 'order';
      readonly side: 'buy' | 'sell';
      readonly at: number;
      readonly size: number;
    }
  | { readonly type: 'cancel'; readonly pick: number };

describe('a recorded book', () => {
  const level = fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 5 }));
  const event: fc.Arbitrary<Happening> = fc.oneof<fc.Arbitrary<Happening>[]>(
    fc.record({
      type: fc.constant('difference' as const),
      bids: fc.array(level, { maxLength: 4 }),
      asks: fc.array(level, { maxLength: 4 }),
    }),
    fc.record({
      type: fc.constant('whole' as const),
      bids: fc.array(level, { maxLength: 8 }),
      asks: fc.array(level, { maxLength: 8 }),
    }),
    fc.record({
      type: fc.constant('trade' as const),
      side: fc.constantFrom<'buy' | 'sell'>('buy', 'sell'),
      at: fc.integer({ min: 0, max: 19 }),
      size: fc.integer({ min: 1, max: 6 }),
    }),
    fc.record({
      type: fc.constant('order' as const),
      side: fc.constantFrom<'buy' | 'sell'>('buy', 'sell'),
      at: fc.integer({ min: 0, max: 19 }),
      size: fc.integer({ min: 1, max: 6 }),
    }),
    fc.record({ type: fc.constant('cancel' as const), pick: fc.nat() }),
  );
  /** Bids at 70000 to 70009, asks at 70010 to 70019. */
  const text = (levels: readonly (readonly [number, number])[], side: 'buy' | 'sell'): [string, string][] => [
    ...new Map(
      levels.map(([offset, size]) => [
        String(side === 'buy' ? 70_000 + offset : 70_010 + offset),
        (size / 100).toFixed(2),
      ]),
    ),
  ];
  const play = (self: Harness, one: Happening): void => {
    if (one.type === 'cancel') {
      const open = [...self.account().open.keys()];
      const id = open[one.pick % Math.max(1, open.length)];
      if (id !== undefined) self.call('DELETE', `/api/v1/order?id=${id}`);
    } else if (one.type === 'difference' || one.type === 'whole')
      self.market(
        'BTCUSDT',
        book(
          text(one.bids, 'buy').filter(([, size]) => one.type === 'difference' || size !== '0.00'),
          text(one.asks, 'sell').filter(([, size]) => one.type === 'difference' || size !== '0.00'),
          one.type === 'whole',
        ),
      );
    else if (one.type === 'trade')
      self.market('BTCUSDT', trade(one.side, String(70_000 + one.at), (one.size / 100).toFixed(2)));
    else if (one.type === 'order')
      self.call('POST', '/api/v1/order', {
        pairSymbol: 'BTCUSDT',
        orderMethod: 'limit',
        orderType: one.side,
        price: String(70_000 + one.at),
        quantity: (one.size / 100).toFixed(2),
      });
    self.advance(50);
  };
  const fresh = (): Harness => {
    const self = quietHarness({ faults: ['no-rate-limits'], balances: { USDT: '100000000', BTC: '10000' } });
    self.market('BTCUSDT', book([['70005', '1']], [['70015', '1']]));
    return self;
  };

  it('is shown exactly as recorded while no account trades', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 30 }), events => {
        const self = fresh();
        const expected = { buy: new Map([['70005', '1']]), sell: new Map([['70015', '1']]) };
        for (const one of events) {
          if (one.type === 'trade') play(self, one);
          if (one.type !== 'difference' && one.type !== 'whole') continue;
          play(self, one);
          for (const side of ['buy', 'sell'] as const) {
            if (one.type === 'whole') expected[side].clear();
            for (const [price, size] of text(side === 'buy' ? one.bids : one.asks, side))
              if (size === '0.00') expected[side].delete(price);
              else expected[side].set(price, String(Number(size)));
            expect(shown(self, side)).to.deep.equal(Object.fromEntries(expected[side]));
          }
        }
      }),
      { numRuns: runs(150, 5_000) },
    );
  });

  it('is never crossed, never overfills an order and never shows more than was recorded and ours', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 30 }), events => {
        const self = fresh();
        const market = self.venue.markets.get('BTCUSDT');
        if (market === undefined) throw new Error('no market');
        for (const one of events) {
          play(self, one);
          const [bid, ask] = [market.book.bids.at(-1), market.book.asks.at(-1)];
          if (bid !== undefined && ask !== undefined) expect(bid.price < ask.price).to.equal(true);
          for (const side of ['buy', 'sell'] as const)
            for (const level of levelsOf(market.book, side)) {
              let ours = 0n;
              let nobodys = 0n;
              for (let order = level.oldest; order !== null; order = order.newer)
                if (order.ref === null) nobodys += order.remaining;
                else ours += order.remaining;
              expect(level.total).to.equal(ours + nobodys);
              expect(nobodys <= (market.stated[side].get(level.price) ?? 0n)).to.equal(true);
            }
          for (const order of self.account().orders.values())
            expect(order.filled >= 0n && order.filled + order.remaining === order.quantity).to.equal(true);
        }
      }),
      { numRuns: runs(150, 5_000) },
    );
  });
});
