import { createHmac } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { dropSecrets, parseIsoTime, redactFacts, redactor, redactorOf } from '#src/runtime/secrets.js';
import { runs } from '../runs.js';

const KEY = 'fake/api+key=for "tests"';
const SECRET = 'ZmFrZS1hcGktc2VjcmV0LWZvci10ZXN0cw==';
const redact = redactorOf({ apiKey: KEY, apiSecret: SECRET });

/** Every form in which a value has been seen to leak. */
const FORMS: Readonly<Record<string, (value: string) => string>> = {
  raw: value => value,
  base64: value => Buffer.from(value).toString('base64'),
  'base64 without padding': value => Buffer.from(value).toString('base64').replace(/=+$/, ''),
  base64url: value => Buffer.from(value).toString('base64url'),
  hex: value => Buffer.from(value).toString('hex'),
  'upper-case hex': value => Buffer.from(value).toString('hex').toUpperCase(),
  'URL-encoded': value => encodeURIComponent(value),
  'URL-encoded in lower case': value =>
    encodeURIComponent(value).replace(/%[0-9A-F]{2}/g, code => code.toLowerCase()),
  'JSON-escaped': value => JSON.stringify(value).slice(1, -1),
};

describe('redaction', () => {
  for (const [form, write] of Object.entries(FORMS))
    it(`takes out key and secret ${form}, wherever they stand`, () => {
      for (const value of [KEY, SECRET]) {
        const text = `{"url":"https://x/?k=${write(value)}&b=1","again":"${write(value)}"}`;
        expect(redact(text)).to.equal('{"url":"https://x/?k=[redacted]&b=1","again":"[redacted]"}');
      }
    });

  it('takes out the bytes a base64 secret stands for, in hex', () => {
    expect(redact(`dump ${Buffer.from(SECRET, 'base64').toString('hex')}`)).to.equal('dump [redacted]');
  });

  it('takes out signatures, which nobody keeps, plain, URL-encoded and JSON-escaped', () => {
    const sign = (stamp: number): string => createHmac('sha256', 'k').update(String(stamp)).digest('base64');
    const signature = Array.from({ length: 50 }, (_, stamp) => sign(stamp)).find(
      each => each.includes('/') && each.includes('+'),
    );
    if (signature === undefined) throw new Error('no signature with every kind of character');
    for (const form of [
      signature,
      encodeURIComponent(signature),
      encodeURIComponent(signature).replace(/%[0-9A-F]{2}/g, code => code.toLowerCase()),
      JSON.stringify({ s: signature }).replaceAll('/', '\\/').slice(6, -2),
    ])
      expect(redact(`X-Signature: ${form} was wrong`)).to.equal('X-Signature: [redacted] was wrong');
    expect(redact(`hash ${'ab'.repeat(32)} stays`)).to.contain('abab');
  });

  it('leaves every other text as it is', () => {
    fc.assert(
      fc.property(fc.string(), text => {
        fc.pre(!text.includes(KEY) && !text.includes(SECRET));
        expect(redact(text)).to.equal(text);
      }),
      { numRuns: runs(500) },
    );
    expect(redactor([])(SECRET)).to.equal(SECRET);
  });

  it('does not blot out words for the sake of a value too short to be a secret', () => {
    expect(redactor(['order'])('an order')).to.equal('an order');
  });

  it('reaches every text inside facts: keys, lists, maps, errors', () => {
    const facts = redactFacts(redact, {
      [`header ${KEY}`]: [SECRET, { deep: new Map([[KEY, `x${SECRET}`]]) }],
      set: new Set([SECRET]),
      error: new Error(`signed with ${SECRET}`),
      amount: 5n,
      count: 3,
      none: null,
    }) as Record<string, unknown>;
    expect(Object.keys(facts)[0]).to.equal('header [redacted]');
    expect(facts['header [redacted]']).to.deep.equal([
      '[redacted]',
      { deep: new Map([['[redacted]', 'x[redacted]']]) },
    ]);
    expect(facts.set).to.deep.equal(new Set(['[redacted]']));
    expect((facts.error as { message: string }).message).to.equal('signed with [redacted]');
    expect([facts.amount, facts.count, facts.none]).to.deep.equal([5n, 3, null]);
  });

  it('finds a secret wherever it stands among others, and makes no copy where there is none', () => {
    const items = fc.oneof(
      fc.constantFrom(KEY, SECRET),
      fc.string(),
      fc.integer(),
      fc.bigInt(),
      fc.constant(null),
    );
    const nested = fc.oneof(
      items,
      fc.array(items, { maxLength: 3 }),
      fc.dictionary(fc.string(), items, { maxKeys: 3 }),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.oneof(fc.string(), fc.constant(KEY)), nested, { maxKeys: 6 }), facts => {
        const textOf = (value: unknown): string =>
          JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? `${item}n` : item));
        const before = textOf(facts);
        const wanted = [KEY, SECRET].reduce(
          (text, secret) => text.replaceAll(JSON.stringify(secret).slice(1, -1), '[redacted]'),
          before,
        );
        const hidden = redactFacts(redact, facts);
        expect(textOf(hidden)).to.equal(wanted);
        expect(textOf(facts)).to.equal(before);
        if (wanted === before) expect(hidden).to.equal(facts);
      }),
      { numRuns: runs(500) },
    );
  });

  it('lets nothing through that is too deep to follow', () => {
    let deep: unknown = SECRET;
    for (let level = 0; level < 30; level++) deep = { deep };
    expect(JSON.stringify(redactFacts(redact, deep))).to.not.contain(SECRET);
  });
});

describe('secrets in the environment', () => {
  it('are taken out of it, and nothing else is', () => {
    const env = {
      BTCTURK_API_KEY: KEY,
      BTCTURK_API_SECRET: SECRET,
      BTCTURK_WS_API_KEY: KEY,
      BTCTURK_WS_API_SECRET: SECRET,
      BTCTURK_API_SCOPES: 'read',
      PATH: '/bin',
    };
    dropSecrets(env);
    expect(env).to.deep.equal({ BTCTURK_API_SCOPES: 'read', PATH: '/bin' });
  });
});

describe('ISO-8601 times', () => {
  for (const [text, ms] of [
    ['2026-09-01', Date.UTC(2026, 8, 1)],
    ['2026-09-01T03:00Z', Date.UTC(2026, 8, 1, 3)],
    ['2026-09-01T03:00:00+03:00', Date.UTC(2026, 8, 1)],
    ['2024-02-29T00:00:00.5Z', Date.UTC(2024, 1, 29, 0, 0, 0, 500)],
    ['2026-02-29', undefined],
    ['2026-13-01', undefined],
    ['2026-04-31', undefined],
    ['2026-09-01T03:00:00', undefined],
    ['01.09.2026', undefined],
    ['1788000000000', undefined],
    ['', undefined],
  ] as const)
    it(`${JSON.stringify(text)} is ${ms === undefined ? 'none' : new Date(ms).toISOString()}`, () => {
      expect(parseIsoTime(text)).to.equal(ms);
    });
});
