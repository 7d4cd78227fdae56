import { expect } from 'chai';
import fc from 'fast-check';
import { lowerPascalCase, parseJson } from '#src/btcturk/json.js';
import { submitOutcome } from '#src/btcturk/replies.js';
import { SUBMITTED, submit } from './fixtures.js';

const DAMAGED = SUBMITTED.replace('31840022901', '3184002e01');

const value = (text: string): unknown => {
  const parsed = parseJson(text);
  return parsed.ok ? parsed.value : new Error(parsed.problem);
};

describe('lossless JSON', () => {
  for (const [text, expected] of [
    ['9007199254740991', 9007199254740991],
    ['9007199254740993', '9007199254740993'],
    ['1263118840021773311', '1263118840021773311'],
    ['-25.5', '-25.5'],
    ['0.1000000000000000055511151231257827', '0.1000000000000000055511151231257827'],
    ['1790133600027.0', '1790133600027.0'],
    ['1e3', '1000'],
    ['1.5E-7', '0.00000015'],
    ['-12.34e1', '-123.4'],
    ['12e-2', '0.12'],
    ['-0', '-0'],
    ['1e400', '1e400'],
    ['5', 5],
    ['"5.0"', '5.0'],
    ['null', null],
  ] as const) {
    it(`reads ${text} as ${JSON.stringify(expected)}`, () => {
      expect(value(text)).to.deep.equal(expected);
    });
  }

  it('writes out no exponent of an id, so that a damaged one is not taken for another', () => {
    expect(value('{"id":3184002e01,"orderId":31e9,"tid":1e3,"preciseAmount":15e1}')).to.deep.equal({
      id: '3184002e01',
      orderId: '31e9',
      tid: '1e3',
      preciseAmount: '150',
    });
    expect(
      submitOutcome(submit(), { type: 'response', status: 200, headers: {}, body: DAMAGED }),
    ).to.deep.equal({
      type: 'unknown',
      cause: 'unreadable',
    });
  });

  it('keeps every digit of every integer', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), integer => {
        expect(String(value(`[{"id":${integer}}]`) && (value(`[${integer}]`) as unknown[])[0])).to.equal(
          String(integer),
        );
      }),
    );
  });

  it('leaves strings alone, whatever numbers stand in them, beside numbers that need their text', () => {
    const digits = fc.stringMatching(/^-?(?:0|[1-9]\d{0,20})(?:\.\d{1,20})?$/);
    const looksLike = fc.stringMatching(/^[\s:,[\]{}"\\.\dex-]{0,12}$/);
    fc.assert(
      fc.property(fc.array(fc.oneof(digits, looksLike.map(JSON.stringify))), tokens => {
        const read = value(
          `{"a":[${tokens.join(' , ')}],"b" :${tokens.find(token => !token.startsWith('"')) ?? 1}}`,
        );
        const one = (token: string): unknown =>
          token.startsWith('"')
            ? JSON.parse(token)
            : Number.isSafeInteger(Number(token)) && String(Number(token)) === token
              ? Number(token)
              : token;
        expect((read as { a: unknown }).a).to.deep.equal(tokens.map(one));
      }),
    );
  });

  for (const text of [
    '{1.5:2}',
    '{"a":1.5,2.5}',
    '[01.5]',
    '[1.]',
    '[.5,1.5]',
    '"1.5" 1.5',
    '[-]',
    '[1.5 2.5]',
  ])
    it(`refuses ${text}, as plain JSON does`, () => {
      expect(() => JSON.parse(text) as unknown).to.throw();
      expect(parseJson(text).ok).to.equal(false);
    });

  it('writes out the exponent of a price whose name ends like that of an id', () => {
    for (const name of ['bid', 'Bid', 'paid'])
      expect(value(`{"${name}":1.234E-05}`), name).to.deep.equal({ [name]: '0.00001234' });
    for (const name of ['id', 'Id', 'ID', 'tid', 'orderId', 'OrderId', 'userID', 'PId'])
      expect(value(`{"${name}":1.234E+05}`), name).to.deep.equal({ [name]: '1.234E+05' });
  });

  it('writes out exponents exactly', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), number => {
        const read = value(JSON.stringify(number));
        expect(Number(read)).to.equal(JSON.parse(JSON.stringify(number)));
        if (Math.abs(number) > 1e-20 && Math.abs(number) < 1e20) expect(String(read)).to.not.match(/e/i);
      }),
    );
  });

  for (const text of [
    '',
    '{',
    'NaN',
    '[Infinity]',
    '{"a":01}',
    '<html>',
    '\u0000',
    `${'['.repeat(200_000)}`,
  ]) {
    it(`tells what is wrong with ${JSON.stringify(text.slice(0, 20))}`, () => {
      expect(parseJson(text).ok).to.equal(false);
    });
  }

  it('survives nesting too deep to walk', () => {
    const deep = `${'['.repeat(100_000)}1${']'.repeat(100_000)}`;
    expect(parseJson(deep)).to.have.property('ok');
  });

  it('lowers PascalCase of whole envelopes, and only of those', () => {
    expect(lowerPascalCase({ Success: true, Data: [{ OrderClientId: 'A' }] })).to.deep.equal({
      success: true,
      data: [{ orderClientId: 'A' }],
    });
    const camel = { success: true, data: { Weird: 1 } };
    expect(lowerPascalCase(camel)).to.equal(camel);
  });
});
