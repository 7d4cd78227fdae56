import { expect } from 'chai';
import fc from 'fast-check';
import {
  type Accounting,
  averagePrice,
  bookFill,
  bookMovement,
  expectedBalances,
  initialAccounting,
  openCostFifo,
  pairFromSymbol,
  positionView,
  positionViews,
  realized,
  realizedFifo,
  unrealized,
  unrealizedFifo,
} from '#src/domain/accounting.js';
import { formatDecimal, notional, parseDecimal } from '#src/domain/money.js';
import type { Fill } from '#src/domain/order.js';
import type { CashMovement } from '#src/domain/venue-port.js';

const BTCTRY = { symbol: 'BTCTRY', base: 'BTC', quote: 'TRY' };
const runs = Number(process.env.BTCBOT_RUNS ?? 1_000);

let lastTrade = 0;
const fill = (
  side: 'buy' | 'sell',
  quantity: string,
  price: string,
  costs: { fee?: string; tax?: string; feeAsset?: string; tradeId?: string; at?: number } = {},
): Fill => {
  lastTrade += 1;
  return {
    tradeId: costs.tradeId ?? String(1_000_000 + lastTrade),
    venueOrderId: '1',
    clientOrderId: 'c1',
    symbol: 'BTCTRY',
    side,
    price: parseDecimal(price),
    quantity: parseDecimal(quantity),
    fee: parseDecimal(costs.fee ?? '0'),
    tax: parseDecimal(costs.tax ?? '0'),
    feeAsset: costs.feeAsset ?? 'TRY',
    executedAtMs: costs.at ?? 1_790_000_000_000 + lastTrade,
  };
};

const booksOf = (...fills: Fill[]): Accounting => {
  const accounting = initialAccounting(null);
  for (const each of fills) bookFill(accounting, each, BTCTRY);
  return accounting;
};

const positionIn = (accounting: Accounting) => {
  const position = accounting.positions.get('BTCTRY');
  if (position === undefined) throw new Error('nothing was traded');
  return position;
};

/** Everything that could differ, as text. */
const picture = (accounting: Accounting): unknown => ({
  balances: [...expectedBalances(accounting)].map(([asset, amount]) => `${asset} ${amount}`).sort(),
  positions: positionViews(accounting).map(view => ({
    ...view,
    quantity: String(view.quantity),
    averagePrice: String(view.averagePrice),
    realized: String(view.realized),
    fees: String(view.fees),
    taxes: String(view.taxes),
    fifo: String(realizedFifo(positionIn(accounting))),
    lots: positionIn(accounting).lots.map(lot => `${lot.quantity}@${lot.cost}`),
  })),
});

describe('accounting', () => {
  describe('known answers', () => {
    it('two buys and a sale: average cost and FIFO differ, their sums with the open part do not', () => {
      const position = positionIn(
        booksOf(
          fill('buy', '2', '100', { fee: '0.2', tax: '0.04' }),
          fill('buy', '1', '130', { fee: '0.13', tax: '0.026' }),
          fill('sell', '2', '150', { fee: '0.3', tax: '0.06' }),
        ),
      );
      const mark = parseDecimal('140');
      expect(formatDecimal(position.quantity)).to.equal('1');
      expect(formatDecimal(averagePrice(position) ?? 0n)).to.equal('110');
      expect(formatDecimal(realized(position))).to.equal('79.244');
      expect(formatDecimal(unrealized(position, mark))).to.equal('30');
      expect(formatDecimal(realizedFifo(position))).to.equal('99.244');
      expect(formatDecimal(unrealizedFifo(position, mark))).to.equal('10');
      expect(formatDecimal(position.fees)).to.equal('0.63');
      expect(formatDecimal(position.taxes)).to.equal('0.126');
      expect(formatDecimal(position.turnover)).to.equal('630');
    });

    it('a sale beyond the position turns it short and a buy closes it at a loss', () => {
      const accounting = booksOf(fill('buy', '1', '100'), fill('sell', '3', '110'));
      const short = positionIn(accounting);
      expect(formatDecimal(short.quantity)).to.equal('-2');
      expect(formatDecimal(short.cost)).to.equal('-220');
      expect(formatDecimal(averagePrice(short) ?? 0n)).to.equal('110');
      expect(formatDecimal(realized(short))).to.equal('10');
      expect(formatDecimal(unrealized(short, parseDecimal('105')))).to.equal('10');

      bookFill(accounting, fill('buy', '2', '120'), BTCTRY);
      const flat = positionIn(accounting);
      expect(flat.quantity).to.equal(0n);
      expect(flat.cost).to.equal(0n);
      expect(flat.lots).to.deep.equal([]);
      expect(averagePrice(flat)).to.equal(null);
      expect(formatDecimal(realized(flat))).to.equal('-10');
      expect(formatDecimal(realizedFifo(flat))).to.equal('-10');
    });

    it('an average that does not end leaves no rounding behind once everything is sold', () => {
      const accounting = booksOf(fill('buy', '1', '10'), fill('buy', '2', '11'), fill('sell', '1', '12'));
      const open = positionIn(accounting);
      expect(formatDecimal(realized(open))).to.equal('1.3333333333333333');
      expect(formatDecimal(open.cost)).to.equal('21.3333333333333333');
      expect(formatDecimal(averagePrice(open) ?? 0n)).to.equal('10.6666666666666667');
      bookFill(accounting, fill('sell', '2', '12'), BTCTRY);
      expect(formatDecimal(realized(positionIn(accounting)))).to.equal('4');
    });

    it('balances change by price times quantity, less fee and tax, to the sixteenth decimal', () => {
      const accounting = initialAccounting({
        atMs: 0,
        balances: [
          { asset: 'TRY', total: parseDecimal('1000000'), free: 0n, locked: 0n },
          { asset: 'ETH', total: parseDecimal('7'), free: 0n, locked: 0n },
        ],
      });
      bookFill(
        accounting,
        fill('buy', '0.00000001', '3754135.12345678', {
          fee: '0.0000750827024691',
          tax: '0.0000150165404938',
        }),
        BTCTRY,
      );
      const expected = expectedBalances(accounting);
      expect(formatDecimal(expected.get('BTC') ?? 0n)).to.equal('0.00000001');
      expect(formatDecimal(expected.get('TRY') ?? 0n)).to.equal('999999.9623685495224693');
      expect(formatDecimal(expected.get('ETH') ?? 0n)).to.equal('7');
    });

    it('a fee in the base asset is a sale of it at the price of the fill', () => {
      const accounting = booksOf(fill('buy', '1', '100', { fee: '0.001', feeAsset: 'BTC' }));
      const position = positionIn(accounting);
      expect(formatDecimal(position.quantity)).to.equal('0.999');
      expect(formatDecimal(position.fees)).to.equal('0.1');
      expect(formatDecimal(realized(position))).to.equal('-0.1');
      expect(formatDecimal(expectedBalances(accounting).get('BTC') ?? 0n)).to.equal('0.999');
    });

    it('a fee in a third asset is taken from its balance and shown apart', () => {
      const accounting = booksOf(fill('buy', '1', '100', { fee: '2', tax: '0.4', feeAsset: 'BNB' }));
      expect(realized(positionIn(accounting))).to.equal(0n);
      expect(formatDecimal(accounting.otherCosts.get('BNB') ?? 0n)).to.equal('2.4');
      expect(formatDecimal(expectedBalances(accounting).get('BNB') ?? 0n)).to.equal('-2.4');
    });

    it('deposits and withdrawals move the balance by amount, fee and tax, once per id', () => {
      const accounting = initialAccounting(null);
      const withdrawal: CashMovement = {
        movementId: 'w1',
        kind: 'withdrawal',
        asset: 'TRY',
        amount: parseDecimal('-1000'),
        fee: parseDecimal('3'),
        tax: parseDecimal('0.5'),
        atMs: 5,
      };
      expect(bookMovement(accounting, withdrawal)).to.equal('booked');
      expect(bookMovement(accounting, { ...withdrawal })).to.equal('repeated');
      expect(bookMovement(accounting, { ...withdrawal, fee: 0n })).to.equal('contradicted');
      expect(formatDecimal(expectedBalances(accounting).get('TRY') ?? 0n)).to.equal('-1003.5');
    });
  });

  describe('what counts', () => {
    it('a repeated trade changes nothing and a contradicting one is reported', () => {
      const first = fill('buy', '1', '100');
      const accounting = booksOf(first);
      const before = picture(accounting);
      expect(bookFill(accounting, { ...first, executedAtMs: first.executedAtMs + 1 }, BTCTRY)).to.equal(
        'repeated',
      );
      expect(bookFill(accounting, { ...first, price: first.price + 1n }, BTCTRY)).to.equal('contradicted');
      expect(picture(accounting)).to.deep.equal(before);
    });

    it("others' trades from before the opening are part of its balances, and our own never are", () => {
      const accounting = initialAccounting({ atMs: 1_000, balances: [] });
      const foreign = (at: number): Fill => ({ ...fill('buy', '1', '100', { at }), clientOrderId: null });
      expect(bookFill(accounting, foreign(999), BTCTRY)).to.equal('before-opening');
      expect(bookFill(accounting, foreign(1_000), BTCTRY)).to.equal('booked');
      expect(bookFill(accounting, fill('buy', '1', '100', { at: 999 }), BTCTRY)).to.equal('booked');
    });

    it('a symbol that was never traded is flat', () => {
      expect(positionView(initialAccounting(null), 'BTCTRY')).to.deep.equal({
        symbol: 'BTCTRY',
        quantity: 0n,
        averagePrice: null,
        realized: 0n,
        fees: 0n,
        taxes: 0n,
      });
    });

    it('trades of one millisecond are taken in the order of their ids as numbers', () => {
      const early = fill('buy', '1', '100', { tradeId: '99', at: 7 });
      const late = fill('sell', '1', '90', { tradeId: '100', at: 7 });
      expect(picture(booksOf(late, early))).to.deep.equal(picture(booksOf(early, late)));
      expect(positionIn(booksOf(late, early)).fills.map(each => each.tradeId)).to.deep.equal(['99', '100']);
    });
  });

  for (const [symbol, feeAsset, base, quote] of [
    ['BTCTRY', 'TRY', 'BTC', 'TRY'],
    ['BTCUSDT', undefined, 'BTC', 'USDT'],
    ['USDTTRY', undefined, 'USDT', 'TRY'],
    ['TRYUSDT', 'TRY', 'TRY', 'USDT'],
    ['ETHEUR', 'EUR', 'ETH', 'EUR'],
    ['TRY', undefined, 'TRY', ''],
    ['BTCTRY', '', 'BTC', 'TRY'],
  ] as const)
    it(`splits ${symbol} with fees in ${feeAsset ?? 'an unknown asset'} into ${base} and ${quote || 'nothing'}`, () => {
      expect(pairFromSymbol(symbol, feeAsset)).to.deep.equal({ symbol, base, quote });
    });

  describe('for every history', () => {
    const anyFill = fc.record({
      side: fc.constantFrom('buy' as const, 'sell' as const),
      quantity: fc.bigInt({ min: 1n, max: 10n ** 20n }),
      price: fc.bigInt({ min: 1n, max: 10n ** 24n }),
      fee: fc.bigInt({ min: 0n, max: 10n ** 18n }),
      tax: fc.bigInt({ min: 0n, max: 10n ** 17n }),
      feeAsset: fc.constantFrom('TRY', 'TRY', 'TRY', 'BTC'),
      executedAtMs: fc.integer({ min: 1, max: 20 }),
    });
    const history = fc.array(anyFill, { minLength: 1, maxLength: 25 }).map(list =>
      list.map(
        (each, index): Fill => ({
          ...each,
          tradeId: String(index + 1),
          venueOrderId: '1',
          clientOrderId: null,
          symbol: 'BTCTRY',
        }),
      ),
    );

    it('realised plus unrealised profit is the change of equity, under both methods, to the last digit', () => {
      fc.assert(
        fc.property(history, fc.bigInt({ min: 1n, max: 10n ** 24n }), (fills, mark) => {
          const accounting = booksOf(...fills);
          const position = positionIn(accounting);
          const equity = (accounting.changes.get('TRY') ?? 0n) + notional(mark, position.quantity);
          expect(realized(position) + unrealized(position, mark)).to.equal(equity);
          expect(realizedFifo(position) + unrealizedFifo(position, mark)).to.equal(equity);
          expect(position.quantity).to.equal(accounting.changes.get('BTC') ?? 0n);
          expect(position.lots.reduce((sum, lot) => sum + lot.quantity, 0n)).to.equal(position.quantity);
          if (position.quantity === 0n)
            expect([position.cost, openCostFifo(position)]).to.deep.equal([0n, 0n]);
        }),
        { numRuns: runs },
      );
    });

    it('order of arrival and repetition change nothing', () => {
      fc.assert(
        fc.property(
          history.chain(fills =>
            fc.tuple(
              fc.constant(fills),
              fc.shuffledSubarray([...fills, ...fills], {
                minLength: fills.length,
                maxLength: 2 * fills.length,
              }),
            ),
          ),
          ([fills, arrivals]) => {
            const arrived = booksOf(...arrivals, ...fills);
            const inOrder = booksOf(...fills);
            expect(picture(arrived)).to.deep.equal(picture(inOrder));
          },
        ),
        { numRuns: runs },
      );
    });
  });
});
