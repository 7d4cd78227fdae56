/** A pair whose listing changes while the exchange runs. */
import { expect } from 'chai';
import { CATALOGUE, type Listing } from '#src/exchange/instruments.js';
import { listingsIn, relisted } from '#src/exchange/mirror.js';
import { harness } from './harness.js';

const SYMBOL = 'DOTUSDT';
const LISTED = CATALOGUE.find(({ symbol }) => symbol === SYMBOL) as Listing;
const submit = { pairSymbol: SYMBOL, orderType: 'buy', orderMethod: 'limit', quantity: '10', price: '4.2' };

describe('a listing that changes', () => {
  const rowOf = (self: ReturnType<typeof harness>) =>
    self
      .call('GET', '/api/v2/server/exchangeinfo')
      ?.json.data.symbols.find(({ name }: { name: string }) => name === SYMBOL);

  it('shows another status and takes no orders, until it trades again', () => {
    const self = harness({ balances: { USDT: '1000' } });
    expect(rowOf(self).status).to.equal('TRADING');
    expect(self.call('POST', '/admin/listing', { symbol: SYMBOL, status: 'HALTED' })?.json.ok).to.equal(true);
    expect(rowOf(self).status).to.equal('HALTED');
    expect(self.call('POST', '/api/v1/order', submit)?.json.message).to.equal('ORDER_INSERT_BLOCKED');
    self.call('POST', '/admin/listing', { symbol: SYMBOL, status: 'TRADING' });
    expect(self.call('POST', '/api/v1/order', submit)?.status).to.equal(200);
  });

  it('is gone from the list when it is listed no longer, and an open order can still be canceled', () => {
    const self = harness({ balances: { USDT: '1000' } });
    const id = self.call('POST', '/api/v1/order', submit)?.json.data.id;
    self.call('POST', '/admin/listing', { symbol: SYMBOL, status: 'NONE' });
    expect(rowOf(self)).to.equal(undefined);
    expect(self.call('POST', '/api/v1/order', submit)?.json.message).to.equal('ORDER_INSERT_BLOCKED');
    expect(self.call('DELETE', `/api/v1/order?id=${id}`)?.status).to.equal(200);
  });

  it('checks orders by new scales at once', () => {
    const self = harness({ balances: { USDT: '1000' } });
    self.admin({ type: 'relist', listing: { ...LISTED, denominatorScale: 1 } });
    expect(rowOf(self).denominatorScale).to.equal(1);
    expect(self.call('POST', '/api/v1/order', { ...submit, price: '4.21' })?.json.message).to.equal(
      'FAILED_INVALID_PRICE_SCALE',
    );
  });

  it('is refused for a pair that is not there, and without a status', () => {
    const self = harness();
    expect(self.admin({ type: 'relist', listing: { ...LISTED, symbol: 'NOPETRY' } })).to.contain('NOPETRY');
    expect(self.call('POST', '/admin/listing', { symbol: SYMBOL })?.json.problem).to.contain(
      'a listing needs',
    );
  });

  it('is followed by a mirror: what changed, what went and what came back', () => {
    const info = (rows: readonly object[]): readonly Listing[] =>
      listingsIn({ data: { symbols: rows } }, [SYMBOL, 'BTCTRY']);
    const row = rowOf(harness());
    const first = info([row]);
    const known = new Map(first.map(listing => [listing.symbol, listing]));
    expect(relisted([SYMBOL, 'BTCTRY'], known, info([row]))).to.deep.equal([]);
    const [halted] = relisted([SYMBOL], known, info([{ ...row, status: 'HALTED', numeratorScale: 3 }]));
    expect(halted).to.include({ symbol: SYMBOL, status: 'HALTED', quantityScale: 3 });
    const [gone] = relisted([SYMBOL], known, []);
    expect(gone).to.deep.equal({ ...first[0], status: null });
    expect(relisted([SYMBOL], new Map([[SYMBOL, gone as Listing]]), first)).to.deep.equal(first);
  });
});
