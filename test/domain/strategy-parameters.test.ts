import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import { defineStrategy } from '#src/domain/strategy.js';
import { checkParameters } from '#src/domain/strategy-parameters.js';

const definition = defineStrategy({
  name: 'sample',
  about: '',
  parameters: {
    width: { type: 'number', default: 2, min: 0, max: 10, unit: 'bps', about: '' },
    count: { type: 'integer', default: 1, min: 1, max: 5, unit: 'orders', about: '' },
    value: { type: 'decimal', default: '100', min: '0', max: '1000', unit: 'quote', about: '' },
    fast: { type: 'boolean', default: false, about: '' },
    mode: { type: 'choice', default: 'join', choices: ['join', 'top'], about: '' },
  },
  check: ({ width, count }) => (width >= count ? [] : ['width must not be below count']),
  create: () => ({}),
});

describe('strategy parameters', () => {
  it('are the defaults where nothing is given, decimals exact', () => {
    expect(checkParameters(definition, {})).to.deep.equal({
      ok: true,
      values: { width: 2, count: 1, value: parseDecimal('100'), fast: false, mode: 'join' },
    });
  });

  it('take decimals as text or number', () => {
    for (const value of ['0.00000001', 0.5]) {
      const checked = checkParameters(definition, { value });
      expect(checked.ok && checked.values.value).to.equal(parseDecimal(String(value)));
    }
  });

  it('report every problem at once, each with its name and what would do', () => {
    const checked = checkParameters(definition, {
      widht: 1,
      width: 11,
      count: 1.5,
      value: '1e3',
      fast: 'yes',
      mode: 'wild',
    });
    expect(checked.ok).to.equal(false);
    expect(checked.ok ? [] : checked.problems).to.deep.equal([
      'strategy sample has no parameter "widht"; it has width, count, value, fast, mode',
      'strategy sample: width must be a number of 0 to 10 bps, not 11',
      'strategy sample: count must be a whole number of 1 to 5 orders, not 1.5',
      'strategy sample: value must be a plain decimal of 0 to 1000 quote, not "1e3"',
      'strategy sample: fast must be true or false, not "yes"',
      'strategy sample: mode must be one of join, top, not "wild"',
    ]);
  });

  it('refuse numbers that are none', () => {
    for (const width of [Number.NaN, Number.POSITIVE_INFINITY, '2', null, -0.1])
      expect(checkParameters(definition, { width }).ok, String(width)).to.equal(false);
    for (const value of [Number.NaN, 1e21, '1,5', '', null, {}])
      expect(checkParameters(definition, { value }).ok, String(value)).to.equal(false);
  });

  it('are checked against each other once each is right', () => {
    const checked = checkParameters(definition, { width: 1, count: 3 });
    expect(checked.ok ? [] : checked.problems).to.deep.equal([
      'strategy sample: width must not be below count',
    ]);
  });
});
