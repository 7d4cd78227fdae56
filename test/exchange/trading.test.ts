/** What happens to orders and money: life cycle, units, fees, and that nothing is ever created or lost. */
import { expect } from 'chai';
import fc from 'fast-check';
import { formatDecimal, notional, parseDecimal } from '#src/domain/money.js';
import { runs } from '../runs.js';
import { amounts, type Harness, KEY, limit, OTHER_KEY, OTHER_SECRET, quietHarness } from './harness.js';

const order = (self: Harness, id: number, apiKey = KEY) => {
  const found = self.account(apiKey).orders.get(id);
  if (found === undefined) throw new Error(`no order ${id}`);
  return found;
};
const holding = (self: Harness, asset: string, apiKey = KEY) => {
  const held = self.account(apiKey).holdings.get(asset);
  return { total: formatDecimal(held?.total ?? 0n), locked: formatDecimal(held?.locked ?? 0n) };
};
const post = (self: Harness, fields: Readonly<Record<string, unknown>>) =>
  self.call('POST', '/api/v1/order', { pairSymbol: 'BTCUSDT', ...fields });

describe('orders at the exchange', () => {
  it('lock their value and the taker commission, and give it back when canceled', () => {
    const self = quietHarness();
    const id = limit(self, 'buy', '76500', '0.1');
    expect(holding(self, 'USDT')).to.deep.equal({ total: '50000', locked: '7660.71' });
    self.advance(50);
    expect(order(self, id).status).to.equal('working');
    expect(self.call('DELETE', `/api/v1/order?id=${id}`)?.body).to.equal(
      '{"success":true,"message":"SUCCESS","code":0}',
    );
    expect(order(self, id).status).to.equal('working');
    self.advance(50);
    expect(order(self, id).status).to.equal('canceled');
    expect(holding(self, 'USDT')).to.deep.equal({ total: '50000', locked: '0' });
  });

  it('are matched by price and time with fees and tax in quote', () => {
    const self = quietHarness();
    const id = limit(self, 'buy', '77020', '0.5');
    self.advance(50);
    // 0.4 at 77010 and 0.1 at 77020, taker 0.14 %.
    expect(order(self, id).status).to.equal('closed');
    const [first, second] = self.account().trades;
    expect(
      [first, second].map(fill => [fill?.price, fill?.quantity].map(value => formatDecimal(value ?? 0n))),
    ).to.deep.equal([
      ['77010', '0.4'],
      ['77020', '0.1'],
    ]);
    expect([first?.fee, first?.tax].map(value => formatDecimal(value ?? 0n))).to.deep.equal([
      '35.938',
      '7.1876',
    ]);
    const cost =
      parseDecimal('30804') + parseDecimal('7702') + parseDecimal('43.1256') + parseDecimal('10.7828');
    expect(holding(self, 'USDT').total).to.equal(formatDecimal(parseDecimal('50000') - cost));
    expect(holding(self, 'USDT').locked).to.equal('0');
    expect(holding(self, 'BTC').total).to.equal('2.5');
  });

  it('spend quote on a market buy, commission included (protocol section 6.1)', () => {
    const self = quietHarness();
    const reply = post(self, { orderType: 'buy', orderMethod: 'market', quantity: '1000' });
    expect(reply?.json.data).to.include({ quantity: '1000', price: '0', method: 'market' });
    self.advance(50);
    const [fill] = self.account().trades;
    const value = notional(fill?.price ?? 0n, fill?.quantity ?? 0n);
    const spent = value + (fill?.fee ?? 0n) + (fill?.tax ?? 0n);
    expect(
      parseDecimal('1000') - spent >= 0n && parseDecimal('1000') - spent < parseDecimal('0.00000001'),
    ).to.equal(true);
    // 1000 / (77010 × 1.0014), cut at 16 decimals.
    expect(formatDecimal(fill?.quantity ?? 0n)).to.equal('0.0129671725394083');
    expect(holding(self, 'USDT')).to.deep.equal({
      total: formatDecimal(parseDecimal('50000') - spent),
      locked: '0',
    });
  });

  it('end a market order at 5 % from the best price, with the rest canceled', () => {
    const self = quietHarness({ balances: { USDT: '500000', BTC: '9' } });
    const sold = post(self, { orderType: 'sell', orderMethod: 'market', quantity: '8' })?.json.data.id;
    self.advance(50);
    expect(order(self, sold).status).to.equal('canceled');
    expect(formatDecimal(order(self, sold).filled)).to.equal('4.5');
    expect(formatDecimal(order(self, sold).remaining)).to.equal('3.5');
    expect(holding(self, 'BTC')).to.deep.equal({ total: '4.5', locked: '0' });
    const bought = post(self, { orderType: 'buy', orderMethod: 'market', quantity: '400000' })?.json.data.id;
    self.advance(50);
    expect(order(self, bought).status).to.equal('canceled');
    expect(formatDecimal(order(self, bought).filled)).to.equal('3.4');
    expect(holding(self, 'USDT').locked).to.equal('0');
  });

  it('pay the maker rate when they rest, and refund the difference', () => {
    const self = quietHarness();
    limit(self, 'buy', '77005', '0.2');
    self.advance(50);
    self.admin({
      type: 'participant',
      symbol: 'BTCUSDT',
      side: 'sell',
      price: null,
      quantity: parseDecimal('0.15'),
    });
    const [fill] = self.account().trades;
    expect(fill?.liquidity).to.equal('maker');
    expect(formatDecimal((fill?.fee ?? 0n) + (fill?.tax ?? 0n))).to.equal('11.55075');
    expect(holding(self, 'USDT').locked).to.equal(formatDecimal(parseDecimal('3855.64035')));
  });

  it('can trade with each other within one account', () => {
    const self = quietHarness();
    const bid = limit(self, 'buy', '77005', '0.1');
    const ask = limit(self, 'sell', '77005', '0.1');
    self.advance(50);
    expect([order(self, bid).status, order(self, ask).status]).to.deep.equal(['closed', 'closed']);
    expect(new Set(self.account().trades.map(fill => fill.tradeId)).size).to.equal(2);
    expect(holding(self, 'BTC').total).to.equal('2');
  });

  it('between two accounts create and lose nothing, in any history', () => {
    const step = fc.record({
      key: fc.constantFrom(0, 1),
      action: fc.constantFrom('limit', 'limit', 'limit', 'market', 'cancel'),
      side: fc.constantFrom('buy', 'sell'),
      price: fc.integer({ min: 90, max: 110 }),
      size: fc.integer({ min: 1, max: 300_000_000 }),
      wait: fc.integer({ min: 0, max: 40 }),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 30 }), steps => {
        const self = quietHarness({ balances: { USDT: '1000', BTC: '10' }, faults: ['no-rate-limits'] });
        self.market('BTCUSDT', { type: 'lost' });
        self.venue.markets.get('BTCUSDT')!.lastPrice = parseDecimal('100');
        self.admin({
          type: 'open-account',
          apiKey: OTHER_KEY,
          apiSecret: OTHER_SECRET,
          feeLevel: 3,
          balances: amounts({ USDT: '2000', BTC: '20' }),
        });
        const keys = [{ apiKey: KEY }, { apiKey: OTHER_KEY, secret: OTHER_SECRET }] as const;
        for (const { key, action, side, price, size, wait } of steps) {
          const who = keys[key] ?? keys[0];
          const account = self.account(who.apiKey);
          const quantity = formatDecimal(BigInt(size) * 10n ** 8n);
          if (action === 'cancel') {
            const open = [...account.open.keys()][size % Math.max(1, account.open.size)];
            if (open !== undefined) self.call('DELETE', `/api/v1/order?id=${open}`, undefined, who);
          } else
            self.call(
              'POST',
              '/api/v1/order',
              {
                pairSymbol: 'BTCUSDT',
                orderType: side,
                orderMethod: action,
                price: action === 'limit' ? String(price) : undefined,
                quantity: action === 'market' && side === 'buy' ? String(10 + (size % 500)) : quantity,
              },
              who,
            );
          self.advance(wait);
          let costs = 0n;
          const totals = new Map<string, bigint>();
          for (const holder of self.venue.accounts.values()) {
            for (const [asset, held] of holder.holdings) {
              totals.set(asset, (totals.get(asset) ?? 0n) + held.total);
              expect(held.locked >= 0n && held.locked <= held.total, `${asset} locked`).to.equal(true);
              let locked = 0n;
              for (const open of holder.open.values())
                if ((open.side === 'buy' ? 'USDT' : 'BTC') === asset) locked += open.locked;
              expect(held.locked).to.equal(locked);
            }
            for (const fill of holder.trades) costs += fill.fee + fill.tax;
          }
          expect(totals.get('BTC')).to.equal(parseDecimal('30'));
          expect((totals.get('USDT') ?? 0n) + costs).to.equal(parseDecimal('3000'));
        }
      }),
      { numRuns: runs(300, 20_000) },
    );
  });

  it('leave balances that follow from the trade rows alone, to the last digit', () => {
    const self = quietHarness({ balances: { USDT: '90000', BTC: '3' }, faults: ['no-rate-limits'] });
    for (let turn = 0; turn < 12; turn++) {
      post(self, { orderType: 'buy', orderMethod: 'market', quantity: `${100 + turn}.37` });
      limit(self, turn % 2 === 0 ? 'buy' : 'sell', '77005', `0.0${turn}1234567`.slice(0, 10));
      self.advance(40);
      self.admin({
        type: 'participant',
        symbol: 'BTCUSDT',
        side: turn % 2 === 0 ? 'sell' : 'buy',
        price: parseDecimal('77005'),
        quantity: parseDecimal('0.0123456789012345'),
      });
    }
    self.advance(100);
    const rows = self.call('GET', '/api/v1/users/transactions/trade')?.body ?? '';
    let usdt = parseDecimal('90000');
    let btc = parseDecimal('3');
    // Read as text: the exact quantities are longer than a double.
    const row = /"price":"([\d.]+)".*?"fee":"(-?[\d.]+)","tax":"(-?[\d.]+)","preciseAmount":(-?[\d.]+)/g;
    let count = 0;
    for (const [, price = '', fee = '', tax = '', amount = ''] of rows.matchAll(row)) {
      const signed = parseDecimal(amount);
      const value = notional(parseDecimal(price), signed < 0n ? -signed : signed);
      usdt += (signed < 0n ? value : -value) + parseDecimal(fee) + parseDecimal(tax);
      btc += signed;
      count += 1;
    }
    expect(count).to.equal(self.account().trades.length);
    expect(count).to.be.greaterThan(15);
    expect(holding(self, 'USDT').total).to.equal(formatDecimal(usdt));
    expect(holding(self, 'BTC').total).to.equal(formatDecimal(btc));
  });
});
