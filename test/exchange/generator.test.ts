/** The seeded market: deterministic, never crossed, alive, and good enough to practise on. */
import { expect } from 'chai';
import { levelsOf } from '#src/domain/matching.js';
import { formatDecimal, toNumber } from '#src/domain/money.js';
import { CATALOGUE } from '#src/exchange/instruments.js';
import { type Harness, harness, KEY } from './harness.js';

const busy = (symbol: string, seed: number): Harness =>
  harness({
    sources: { [symbol]: 'generated' },
    listings: CATALOGUE.filter(listing => listing.symbol === symbol),
    seed,
    faults: ['no-rate-limits'],
    balances: { TRY: '10000000', USDT: '1000000', BTC: '10', ETH: '100', XRP: '100000' },
  });
const touchOf = (self: Harness, symbol: string): { bid: number; ask: number } => {
  const market = self.venue.markets.get(symbol);
  const [bid, ask] = [market?.book.bids.at(-1), market?.book.asks.at(-1)];
  if (bid === undefined || ask === undefined) throw new Error('one-sided');
  return { bid: toNumber(bid.price), ask: toNumber(ask.price) };
};

describe('the generated market', () => {
  it('is the same to the byte for the same seed, whatever the rhythm of the ticks, and another for another', () => {
    const story = (seed: number, tickMs: number): string => {
      const self = busy('BTCTRY', seed);
      const socket = self.connect();
      self.join(socket, 'obdiff', 'BTCTRY');
      self.join(socket, 'trade', 'BTCTRY');
      self.login(socket);
      for (let ms = 0; ms < 10_000; ms += tickMs) {
        if (ms % 2_500 === 0)
          for (const [side, method] of [
            ['buy', 'limit'],
            ['sell', 'market'],
          ] as const)
            self.call('POST', '/api/v1/order', {
              pairSymbol: 'BTCTRY',
              orderType: side,
              orderMethod: method,
              price: '3760000',
              quantity: '0.00123',
            });
        self.leap(tickMs);
      }
      return JSON.stringify(self.effects, (_name, value: unknown) =>
        typeof value === 'bigint' ? String(value) : value,
      );
    };
    const first = story(5, 10);
    expect(first.length).to.be.greaterThan(20_000);
    expect(first).to.contain('order-filled');
    expect(story(5, 10)).to.equal(first);
    expect(story(5, 2_500)).to.equal(first);
    expect(story(6, 10)).not.to.equal(first);
  });

  for (const symbol of ['BTCTRY', 'XRPTRY', 'DOTUSDT', 'MEMEUSDT'])
    it(`keeps ${symbol} two-sided, uncrossed, on its grid and trading`, () => {
      const self = busy(symbol, 3);
      const market = self.venue.markets.get(symbol);
      if (market === undefined) throw new Error('no market');
      const spreads: number[] = [];
      for (let turn = 0; turn < 20; turn++) {
        self.advance(2_000);
        const { bid, ask } = touchOf(self, symbol);
        expect(bid < ask).to.equal(true);
        spreads.push(((ask - bid) / bid) * 10_000);
        for (const side of ['buy', 'sell'] as const)
          for (const level of levelsOf(market.book, side)) {
            const decimals = formatDecimal(level.price).split('.')[1]?.length ?? 0;
            expect(decimals).to.be.at.most(market.listing.hasFraction ? market.listing.denominatorScale : 0);
          }
      }
      spreads.sort((left, right) => left - right);
      expect(market.tape.length).to.equal(50);
      const step = market.listing.hasFraction ? 10 ** -market.listing.denominatorScale : 1;
      const oneStepBps = (step / touchOf(self, symbol).bid) * 10_000;
      expect(spreads[10], 'typical spread').to.be.below(40 + 1.01 * oneStepBps);
    });

  it('moves in bursts: quiet seconds and busy ones', () => {
    const self = busy('BTCUSDT', 11);
    const socket = self.connect();
    self.join(socket, 'trade', 'BTCUSDT');
    const counts: number[] = [];
    for (let second = 0; second < 300; second++) {
      self.advance(1_000);
      counts.push(self.frames(socket, 422).length);
    }
    const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
    const variance = counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / counts.length;
    expect(mean).to.be.within(0.5, 30);
    // Independent arrivals would have a variance equal to their mean.
    expect(variance / mean).to.be.greaterThan(1.5);
  });

  it('fills a maker that quotes near the touch within a minute, on every seed tried', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const self = busy('BTCTRY', seed);
      const quote = (side: 'buy' | 'sell', price: number): void => {
        self.call('POST', '/api/v1/order', {
          pairSymbol: 'BTCTRY',
          orderType: side,
          orderMethod: 'limit',
          price: price.toFixed(0),
          quantity: '0.0005',
        });
      };
      for (let turn = 0; turn < 20 && self.account().trades.length === 0; turn++) {
        const { bid, ask } = touchOf(self, 'BTCTRY');
        quote('buy', bid * 0.9999);
        quote('sell', ask * 1.0001);
        self.advance(2_900);
        for (const id of [...self.account(KEY).open.keys()]) self.call('DELETE', `/api/v1/order?id=${id}`);
        self.advance(100);
      }
      expect(self.account().trades.length, `seed ${seed}`).to.be.greaterThan(0);
    }
  });

  it('keeps pairs of the same assets in line with each other', () => {
    const self = harness({
      sources: { BTCTRY: 'generated', BTCUSDT: 'generated', USDTTRY: 'generated' },
      seed: 9,
      noAccount: true,
    });
    self.advance(120_000);
    const mid = (symbol: string): number => {
      const { bid, ask } = touchOf(self, symbol);
      return (bid + ask) / 2;
    };
    const implied = mid('BTCUSDT') * mid('USDTTRY');
    expect(Math.abs(mid('BTCTRY') / implied - 1)).to.be.below(0.005);
  });

  it('leaves the market as it is when a fault is switched on', () => {
    const tape = (fault: string | null): string => {
      const self = busy('BTCTRY', 5);
      if (fault !== null) self.fault(fault);
      for (let count = 0; count < 20; count++) self.call('GET', '/api/v1/users/balances');
      self.advance(5_000);
      return JSON.stringify(
        self.venue.markets.get('BTCTRY')?.tape.map(trade => [String(trade.price), String(trade.quantity)]),
      );
    };
    expect(tape('html-5xx,probability=0.5')).to.equal(tape(null));
  });

  it('has quiet books for the pairs nobody asked for', () => {
    const self = harness({ sources: { BTCTRY: 'generated' }, noAccount: true });
    const before = touchOf(self, 'ETHTRY');
    const levels = self.call('GET', '/api/v2/orderbook?pairSymbol=ETHTRY')?.json.data;
    expect([levels.bids.length, levels.asks.length]).to.deep.equal([100, 100]);
    self.advance(20_000);
    expect(touchOf(self, 'ETHTRY')).to.deep.equal(before);
  });
});
