import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import type { OrderTerms } from '#src/domain/order.js';
import { expectedTotals } from '#src/domain/three-way-proof.js';
import { Bench, label, newOrder, START_WALL_MS, TinyLedger } from './bench.js';
import { TinyVenue } from './tiny-venue.js';

const OPENING = { TRY: '100000', BTC: '2' };
const limit = (side: 'buy' | 'sell', quantity: string, price = '1000'): OrderTerms => ({
  symbol: 'BTCTRY',
  side,
  method: 'limit',
  price: parseDecimal(price),
  quantity: parseDecimal(quantity),
  quoteQuantity: null,
  stopPrice: null,
});

const opened = (venue: TinyVenue): TinyLedger => {
  const ledger = new TinyLedger();
  ledger.opening = { balances: venue.balancesAt(START_WALL_MS - 3_600_000), atMs: START_WALL_MS - 3_600_000 };
  ledger.lastRecordAtMs = START_WALL_MS - 60_000;
  return ledger;
};

describe('reconciliation at start', () => {
  it('opens a new ledger from two equal pictures of the account and recovers at once', () => {
    const bench = new Bench({ venue: new TinyVenue(OPENING) });
    bench.runUntil(() => bench.state.phase === 'running', 5_000, 'recovery');
    expect(bench.ledger.opening?.balances.map(({ asset, total }) => [asset, total])).to.deep.equal([
      ['TRY', parseDecimal('100000')],
      ['BTC', parseDecimal('2')],
    ]);
    expect(bench.cleared).to.include('starting');
    expect(bench.messages('reconciled').map(message => message.clean)).to.deep.equal([true]);
    expect([...bench.holds]).to.deep.equal([]);
  });

  it('finds the fills that happened while nobody was there and the end of their order', () => {
    const venue = new TinyVenue(OPENING);
    const ledger = opened(venue);
    const atMs = START_WALL_MS - 120_000;
    const venueOrderId = venue.submit(label(1), limit('buy', '0.5'), atMs);
    ledger.orders.set(
      label(1),
      newOrder(label(1), limit('buy', '0.5'), { status: 'working', venueOrderId, filled: 0n }, atMs),
    );
    venue.fill(venueOrderId, parseDecimal('0.2'), START_WALL_MS - 50_000);
    venue.fill(venueOrderId, parseDecimal('0.3'), START_WALL_MS - 40_000);
    const bench = new Bench({ venue, ledger });
    bench.runUntil(() => bench.state.everClean, 5_000, 'recovery');
    expect([...ledger.fills.keys()]).to.deep.equal(venue.trades.map(trade => trade.tradeId));
    expect(bench.messages('fill-booked').at(-1)?.orderFilled).to.equal(parseDecimal('0.5'));
    expect(bench.messages('order-reported').at(-1)?.report.status).to.equal('closed');
    expect([...expectedTotals(bench.state)].sort()).to.deep.equal([...venue.totals].sort());
  });
});
