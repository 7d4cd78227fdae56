import { expect } from 'chai';
import fc from 'fast-check';
import { formatDecimal, notional, parseDecimal } from '#src/domain/money.js';
import type { PlaceOrder } from '#src/domain/order-events.js';
import { rebalance } from '#src/strategies/rebalance.js';
import { type Rehearsal, type RehearsalOptions, rehearse, type Shown } from '#src/testing.js';
import { runs } from '../runs.js';
import {
  account,
  BTCTRY,
  bookEvent,
  bookOf,
  control,
  hostOf,
  listed,
  places,
  updated,
  working,
} from './fixtures.js';

const PAIRS = [
  { symbol: 'BTCTRY', base: 'BTC', quote: 'TRY' },
  { symbol: 'ETHTRY', base: 'ETH', quote: 'TRY' },
];

const begin = (parameters: Record<string, unknown> = {}, options: RehearsalOptions = {}): Rehearsal => {
  const play = rehearse(rebalance, {
    pairs: PAIRS,
    balances: { TRY: '10000', BTC: '0', ETH: '0' },
    parameters: { cashReserve: 0.2, maxOrder: '100000', ...parameters },
    ...options,
  });
  play.book('99', '101', { symbol: 'BTCTRY' });
  play.book('9.9', '10.1', { symbol: 'ETHTRY' });
  return play;
};

const shape = (shown: readonly Shown[]): string[] =>
  shown.map(one =>
    one.type === 'place'
      ? `${one.side} ${one.quantity} ${one.symbol} at ${one.price} ${one.tag}`
      : `cancel ${one.symbol}`,
  );
const settle = (play: Rehearsal): void => {
  play.confirm();
  for (const order of play.orders) play.fill(order);
};

describe('rebalance', () => {
  it('buys equal shares of what the reserve leaves, one order at a time, and then rests', () => {
    const play = begin();
    expect(shape(play.after(1_000))).to.deep.equal(['buy 40 BTCTRY at 99 weight-buy']);
    settle(play);
    expect(shape(play.after(1_000))[0]).to.match(/^buy 40\d\.\d+ ETHTRY at 9.9 weight-buy$/);
    settle(play);
    expect(play.after(120_000)).to.deep.equal([]);
  });

  it('sells before it buys, and closes a large difference in steps', () => {
    const play = begin(
      { weights: 'BTCTRY=0.5,ETHTRY=0.3', maxOrder: '500' },
      { balances: { TRY: '0', BTC: '100', ETH: '0' } },
    );
    expect(shape(play.after(1_000))).to.deep.equal(['sell 5 BTCTRY at 101 weight-sell']);
  });

  it('leaves alone what is within its band', () => {
    const play = begin(
      { weights: 'BTCTRY=0.5,ETHTRY=0.3', bandBps: 200 },
      { balances: { TRY: '2100', BTC: '49', ETH: '300' } },
    );
    expect(play.after(120_000)).to.deep.equal([]);
  });

  it('never spends the reserve, even when a symbol is below its target', () => {
    const play = begin(
      { weights: 'BTCTRY=0.8', cashReserve: 0.2 },
      { balances: { TRY: '1900', BTC: '81', ETH: '0' } },
    );
    expect(play.after(120_000)).to.deep.equal([]);
  });

  it('crosses when told to', () => {
    expect(shape(begin({ cross: true, slipBps: 0 }).after(1_000))).to.deep.equal([
      'buy 40 BTCTRY at 101 weight-buy',
    ]);
  });

  it('cancels what has rested too long and looks again', () => {
    const play = begin();
    play.after(1_000);
    play.confirm();
    expect(shape(play.after(30_000))).to.deep.equal(['cancel BTCTRY']);
    play.endCancels();
    play.book('100', '102', { symbol: 'BTCTRY' });
    expect(shape(play.after(60_000))[0]).to.match(/^buy .* at 100 /);
  });

  it('looks again as soon as it may trade, not a whole interval later', () => {
    const play = begin({ everyMs: 86_400_000 });
    play.allow(false);
    expect(play.after(5_000)).to.deep.equal([]);
    play.allow(true);
    expect(shape(play.after(1_000))).to.deep.equal(['buy 40 BTCTRY at 99 weight-buy']);
    play.deny();
    expect(shape(play.after(2_000))).to.deep.equal(['buy 40 BTCTRY at 99 weight-buy']);
    play.confirm();
    play.after(30_000);
    play.endCancels();
    expect(shape(play.after(1_000))).to.deep.equal(['buy 40 BTCTRY at 99 weight-buy']);
  });

  it('does not let one that cannot be traded keep the others from it', () => {
    // What there is too much of BTC is worth 6, less than the venue takes; ETH is far below its share.
    const play = begin(
      { weights: 'BTCTRY=0.4,ETHTRY=0.4', bandBps: 100 },
      { balances: { TRY: '300', BTC: '2.1', ETH: '0' } },
    );
    expect(shape(play.after(1_000))[0]).to.match(/^buy .* ETHTRY/);
  });

  it('pays slip and fee of a purchase from what is above the reserve', () => {
    const play = begin(
      { weights: 'BTCTRY=0.8', cashReserve: 0.2, cross: true, slipBps: 500 },
      { balances: { TRY: '10000', BTC: '0', ETH: '0' } },
    );
    const [bought] = play.after(1_000);
    if (bought?.type !== 'place') throw new Error('nothing was bought');
    const worth = notional(parseDecimal(bought.price), parseDecimal(bought.quantity));
    expect(Number(formatDecimal(worth)) * 1.0024).to.be.at.most(8_000);
  });

  it('says when its orders are too small for the venue', () => {
    expect(begin({ maxOrder: '5' }).notes.join()).to.contain('below the least order value');
  });

  it('does not trade once more what the balances do not show yet', () => {
    const host = hostOf(rebalance, { given: { weights: 'BTCTRY=0.4', maxOrder: '10000000' } });
    const market = bookOf(BTCTRY, [['999', '5']], [['1001', '5']]);
    host.step(control(), listed(BTCTRY), account({ TRY: '100000', BTC: '0' }), bookEvent(market));
    const [bought] = places(host.after(1_000)) as [PlaceOrder];
    const { quantity } = bought.terms;
    host.step(working(bought));
    // The venue's balances are read after a fill, and later than execution tells of it.
    host.step(updated(bought, { status: 'filled', venueOrderId: '1', filled: quantity }));
    for (let tick = 0; tick < 10; tick++) expect(places(host.after(250))).to.deep.equal([]);
    host.step(account({ TRY: '60000', BTC: formatDecimal(quantity - 1n) }));
    expect(places(host.after(1_000)), 'a part of it').to.deep.equal([]);
    host.step(account({ TRY: '50000', BTC: formatDecimal(quantity) }));
    expect(places(host.after(1_000)).map(({ terms }) => terms.side)).to.deep.equal(['sell']);
  });

  it('waits for no balance for ever', () => {
    const host = hostOf(rebalance, { given: { weights: 'BTCTRY=0.4', maxOrder: '10000000' } });
    const market = bookOf(BTCTRY, [['999', '5']], [['1001', '5']]);
    host.step(control(), listed(BTCTRY), account({ TRY: '100000', BTC: '0' }), bookEvent(market));
    const [bought] = places(host.after(1_000)) as [PlaceOrder];
    host.step(updated(bought, { status: 'filled', venueOrderId: '1', filled: bought.terms.quantity }));
    let asked = 0;
    for (let second = 0; second < 33; second++) asked += places(host.after(1_000)).length;
    expect(asked).to.equal(1);
  });

  it('says so when a share is not larger than the band: it is never bought', () => {
    const notes = begin({ weights: 'BTCTRY=0.4,ETHTRY=0.02', bandBps: 200 }).notes.join();
    expect(notes).to.contain('ETHTRY').and.contain('band').and.not.contain('BTCTRY');
    expect(begin({ bandBps: 200 }).notes).to.deep.equal([]);
  });

  it('does nothing while a price is not to be believed', () => {
    const play = begin();
    play.book('9.9', '10.1', { symbol: 'ETHTRY', trusted: false });
    expect(play.after(120_000)).to.deep.equal([]);
  });

  it('does nothing with different quotes, and says so', () => {
    const play = rehearse(rebalance, {
      pairs: [PAIRS[0]!, { symbol: 'ETHUSDT', base: 'ETH', quote: 'USDT' }],
    });
    expect(play.notes.join()).to.contain('different quotes');
  });

  for (const [weights, cashReserve, words] of [
    ['BTCTRY=0.9', 0.2, 'exceed 1'],
    ['BTCTRY', 0.1, 'is not a symbol and a share'],
    ['BTCTRY=2', 0.1, 'is not a symbol and a share'],
    ['btc=0.1', 0.1, 'is not a symbol and a share'],
    ['BTCTRY=0.1,BTCTRY=0.2', 0.1, 'twice'],
  ] as const)
    it(`refuses the weights ${weights} with a reserve of ${cashReserve}`, () => {
      expect(() => begin({ weights, cashReserve })).to.throw(words);
    });

  it('keeps its orders within maxOrder and its purchases within the reserve, whatever the market does', () => {
    const acts = fc.array(
      fc.record({
        btc: fc.integer({ min: 50, max: 150 }),
        eth: fc.integer({ min: 5, max: 15 }),
        act: fc.constantFrom('fill', 'cancels', 'confirm', 'deny', 'restart', 'none'),
      }),
      { maxLength: 25 },
    );
    fc.assert(
      fc.property(acts, history => {
        const play = begin({ maxOrder: '700', everyMs: 1_000 });
        for (const { btc, eth, act } of history) {
          play.book(String(btc - 1), String(btc + 1), { symbol: 'BTCTRY' });
          play.book(String(eth - 0.1), String(eth + 0.1), { symbol: 'ETHTRY' });
          for (const intent of play.after(2_000))
            if (intent.type === 'place') {
              const worth = notional(parseDecimal(intent.price), parseDecimal(intent.quantity));
              // The middle decides the size, the touch the price: 2 % apart here.
              expect(worth <= parseDecimal('720'), `${intent.quantity} at ${intent.price}`).to.equal(true);
            }
          expect(play.orders.length).to.be.at.most(1);
          if (act === 'confirm') play.confirm();
          if (act === 'fill') settle(play);
          if (act === 'cancels') play.endCancels();
          if (act === 'deny') play.deny();
          if (act === 'restart') play.restart();
          expect(play.faults).to.deep.equal([]);
        }
      }),
      { numRuns: runs(100) },
    );
  });
});
