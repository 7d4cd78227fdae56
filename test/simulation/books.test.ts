import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import type { Account } from '#src/exchange/accounts.js';
import { type BelievedPosition, pictureDifferences, positionDifferences } from '#src/simulation/books.js';

const tradesOf = (...quantities: readonly string[]): Account['trades'] =>
  quantities.map(quantity => ({
    order: { clientOrderId: 'bb-1', symbol: 'BTCTRY', side: 'buy' },
    quantity: parseDecimal(quantity),
    fee: parseDecimal('1'),
    tax: 0n,
  })) as unknown as Account['trades'];

const told = (quantity: string, costs: string): readonly BelievedPosition[] => [
  { by: 'reconciliation', symbol: 'BTCTRY', quantity: parseDecimal(quantity), costs: parseDecimal(costs) },
];

describe('the books that the simulator compares', () => {
  const trades = tradesOf('2', '3', '5');

  it('are equal to the last digit, or named', () => {
    expect(positionDifferences(told('10', '3'), trades)).to.deep.equal([]);
    expect(positionDifferences(told('5', '3'), trades)).to.deep.equal([
      "reconciliation's BTCTRY: 5, and 10 there",
    ]);
  });

  it('may lack what was traded since the looking began, as it was at some moment, and nothing from before', () => {
    for (const [quantity, costs, since, equal] of [
      ['10', '3', 3, true],
      ['5', '2', 2, true],
      ['5', '2', 3, false],
      ['2', '1', 2, false],
      // No moment had this much at these costs.
      ['5', '1', 0, false],
      ['7', '2', 0, false],
    ] as const)
      expect(
        pictureDifferences(told(quantity, costs), trades, since).length === 0,
        `${quantity} of ${since}`,
      ).to.equal(equal);
  });
});
