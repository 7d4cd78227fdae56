import { expect } from 'chai';
import fc from 'fast-check';
import {
  divide,
  formatDecimal,
  formatFixed,
  notional,
  parseDecimal,
  tryParseDecimal,
} from '#src/domain/money.js';

describe('money', () => {
  it('reads and writes every value exactly', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), value => {
        expect(parseDecimal(formatDecimal(value))).to.equal(value);
      }),
    );
  });

  for (const text of ['', '1e-7', '1,5', '+1', '.5', '5.', 'NaN', '0x10', ' 1', '1.00000000000000001']) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      expect(tryParseDecimal(text)).to.equal(undefined);
    });
  }

  for (const [dividend, divisor, down, up, halfUp] of [
    [7n, 2n, 3n, 4n, 4n],
    [-7n, 2n, -3n, -4n, -4n],
    [7n, -3n, -2n, -3n, -2n],
    [6n, 3n, 2n, 2n, 2n],
    [1n, 3n, 0n, 1n, 0n],
    [-1n, 3n, 0n, -1n, 0n],
    [-1n, -2n, 0n, 1n, 1n],
  ] as const) {
    it(`divides ${dividend} by ${divisor} with each rounding`, () => {
      expect(divide(dividend, divisor, 'down')).to.equal(down);
      expect(divide(dividend, divisor, 'up')).to.equal(up);
      expect(divide(dividend, divisor, 'half-up')).to.equal(halfUp);
    });
  }

  it('multiplies price and quantity of eight decimals exactly', () => {
    expect(formatDecimal(notional(parseDecimal('3754135.12345678'), parseDecimal('0.00000001')))).to.equal(
      '0.0375413512345678',
    );
    expect(formatFixed(parseDecimal('1.239'), 2)).to.equal('1.23');
  });
});
