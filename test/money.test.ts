import { expect } from 'chai';
import fc from 'fast-check';
import {
  abs,
  basisPoints,
  DECIMALS,
  decimalsOf,
  divide,
  formatDecimal,
  formatFixed,
  fromInteger,
  MoneyError,
  max,
  min,
  multiply,
  notional,
  ONE,
  parseDecimal,
  partsPerMillion,
  type Rounding,
  ratio,
  roundTo,
  toNumber,
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

  for (const [text, value] of [
    ['0', 0n],
    ['-0', 0n],
    ['7', 7n * ONE],
    ['-7', -7n * ONE],
    ['100', 100n * ONE],
    ['0.5', ONE / 2n],
    ['-0.5', -ONE / 2n],
    ['0.0000000000000001', 1n],
    ['-0.0000000000000001', -1n],
    ['1.50', (3n * ONE) / 2n],
    ['1.0000000000000001', ONE + 1n],
    ['1.00000000000000010000', ONE + 1n],
    ['9.0000000000000000', 9n * ONE],
    ['123456789012345678901234.5', 123456789012345678901234n * ONE + ONE / 2n],
    // On both sides of what a double holds.
    ['90071992547409', 90_071_992_547_409n * ONE],
    ['999999999999999', 999_999_999_999_999n * ONE],
    ['-9007199254740993', -9_007_199_254_740_993n * ONE],
    ['0.99999999999999', ONE - 100n],
    ['0.9999999999999999', ONE - 1n],
    ['12345678.87654321', 1_234_567_887_654_321n * 10n ** 8n],
    [`7.5${'0'.repeat(39)}`, (15n * ONE) / 2n],
  ] as const)
    it(`reads ${text} as it is, and writes it without a digit too many`, () => {
      expect(parseDecimal(text)).to.equal(value);
      const plain = text
        .replace(/^(-?\d+\.\d*?)0+$/, '$1')
        .replace(/\.$/, '')
        .replace(/^-0$/, '0');
      expect(formatDecimal(value)).to.equal(plain);
    });

  it('says which text is no number, shortened', () => {
    expect(() => parseDecimal('one')).to.throw(MoneyError, 'not a plain decimal number: "one"');
    expect(() => parseDecimal('x'.repeat(100))).to.throw(MoneyError, `"${'x'.repeat(40)}"`);
    expect(() => parseDecimal('x'.repeat(100))).not.to.throw(MoneyError, 'x'.repeat(41));
    expect(() => parseDecimal(''))
      .to.have.throw()
      .with.property('name', 'MoneyError');
  });

  for (const text of [
    '1'.repeat(25),
    `-${'1'.repeat(25)}`,
    `0.${'0'.repeat(41)}`,
    `1234567890.${'0'.repeat(16)}1`,
    ...[
      '1.',
      '-',
      '-.',
      '.',
      '-.5',
      '-1.',
      '--1',
      '1-',
      '1.2.3',
      '1..2',
      'a1',
      '1a',
      '1/',
      '1:',
      '12345678901234567.',
    ],
  ])
    it(`refuses ${text.slice(0, 30)}`, () => {
      expect(tryParseDecimal(text)).to.equal(undefined);
    });

  for (const [value, decimals, rounding, text] of [
    ['1.005', 2, 'down', '1.00'],
    ['1.005', 2, 'half-up', '1.01'],
    ['1.0049', 2, 'half-up', '1.00'],
    ['1.001', 2, 'up', '1.01'],
    ['-1.005', 2, 'down', '-1.00'],
    ['-1.005', 2, 'half-up', '-1.01'],
    ['-0.001', 2, 'up', '-0.01'],
    ['0', 2, 'up', '0.00'],
    ['12.9', 0, 'down', '12'],
    ['-12.5', 0, 'half-up', '-13'],
    ['0.25', 16, 'down', '0.2500000000000000'],
    ['0.000001', 6, 'down', '0.000001'],
  ] as const)
    it(`writes ${value} with ${decimals} decimals, ${rounding}, as ${text}`, () => {
      expect(formatFixed(parseDecimal(value), decimals, rounding)).to.equal(text);
      expect(roundTo(parseDecimal(value), decimals, rounding)).to.equal(parseDecimal(text));
    });

  it('divides as arithmetic on fractions does, with each rounding and sign', () => {
    const whole = fc.bigInt({ min: -1_000n, max: 1_000n });
    fc.assert(
      fc.property(whole, whole, (dividend, divisor) => {
        fc.pre(divisor !== 0n);
        const exact = Number(dividend) / Number(divisor);
        const sign = exact < 0 ? -1 : 1;
        const expected: Record<Rounding, number> = {
          down: Math.trunc(exact),
          up: sign * Math.ceil(Math.abs(exact)),
          'half-up': sign * Math.floor(Math.abs(exact) + 0.5),
        };
        for (const rounding of ['down', 'up', 'half-up'] as const)
          expect(Number(divide(dividend, divisor, rounding)), rounding).to.equal(expected[rounding] + 0);
      }),
    );
  });

  it('multiplies and divides values of the one scale', () => {
    const [third, two] = [ratio(ONE, 3n * ONE, 'down'), fromInteger(2)];
    expect(formatDecimal(third)).to.equal('0.3333333333333333');
    expect(formatDecimal(ratio(two, 3n * ONE, 'half-up'))).to.equal('0.6666666666666667');
    expect(formatDecimal(ratio(ONE, 3n * ONE, 'up'))).to.equal('0.3333333333333334');
    expect(multiply(1n, 1n, 'up')).to.equal(1n);
    expect(multiply(1n, 1n, 'down')).to.equal(0n);
    expect(multiply(1n, ONE / 2n, 'half-up')).to.equal(1n);
    expect(multiply(two, fromInteger(3n), 'down')).to.equal(fromInteger(6));
    // Half up, as the venue does.
    expect(notional(1n, ONE / 2n)).to.equal(1n);
    expect(notional(1n, ONE / 2n - 1n)).to.equal(0n);
  });

  it('takes shares in basis points and parts per million', () => {
    const amount = fromInteger(10_000);
    expect(basisPoints(amount, 1, 'down')).to.equal(fromInteger(1));
    expect(basisPoints(amount, -2.5, 'down')).to.equal(-fromInteger(5) / 2n);
    expect(basisPoints(amount, 0.001, 'down')).to.equal(ONE / 1_000n);
    expect(basisPoints(3n, 5_000, 'down')).to.equal(1n);
    expect(basisPoints(3n, 5_000, 'up')).to.equal(2n);
    expect(partsPerMillion(fromInteger(1_000_000), 1_800, 'down')).to.equal(fromInteger(1_800));
    expect(partsPerMillion(1n, 500_000, 'half-up')).to.equal(1n);
    expect(partsPerMillion(1n, 499_999, 'half-up')).to.equal(0n);
  });

  it('knows how many decimals a value needs', () => {
    for (const [text, decimals] of [
      ['0', 0],
      ['120', 0],
      ['0.1', 1],
      ['-1.25', 2],
      ['0.00000001', 8],
      ['0.000000001', 9],
      ['0.0000000001', 10],
      ['0.1000000010', 9],
      // More digits than a double holds.
      ['0.9999999999999999', 16],
      ['0.0000000000000001', 16],
    ] as const)
      expect(decimalsOf(parseDecimal(text)), text).to.equal(decimals);
    expect(DECIMALS).to.equal(16);
  });

  it('compares, and shows as a floating number what is only shown', () => {
    expect([abs(-3n), abs(3n), abs(0n)]).to.deep.equal([3n, 3n, 0n]);
    expect([min(1n, 2n), min(2n, 1n), max(1n, 2n), max(2n, 1n)]).to.deep.equal([1n, 1n, 2n, 2n]);
    expect(toNumber(parseDecimal('-2.5'))).to.equal(-2.5);
  });
});
