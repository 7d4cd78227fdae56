import { expect } from 'chai';
import { loginFrame, prepareSigningKey, SigningKeyError, signedHeaders } from '#src/btcturk/sign.js';
import { CREDENTIALS } from './fixtures.js';

describe('signing', () => {
  for (const [apiKey, apiSecret, stamp, signature] of [
    [
      '11111111-2222-3333-4444-555555555555',
      'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',
      1767225600000,
      'xJizolqUfmf0vB0AqBXRvuRHq+WCU/O4sr8HVn+GWow=',
    ],
    [
      'test-public-key',
      'dGVzdC1zZWNyZXQta2V5LWZvci11bml0LXRlc3Rz',
      1735689600000,
      '7gyFGcOS+qnq46h/rl83VtpaEAsh8Th3Z3lQrF7g2I0=',
    ],
  ] as const) {
    it(`signs a request of ${apiKey} as the vector of protocol section 3`, () => {
      expect(signedHeaders(prepareSigningKey({ apiKey, apiSecret }), stamp)).to.deep.equal({
        'X-PCK': apiKey,
        'X-Stamp': String(stamp),
        'X-Signature': signature,
      });
    });
  }

  it('decodes the secret first: the text itself would give the signature that must be rejected', () => {
    const headers = signedHeaders(prepareSigningKey(CREDENTIALS), 1767225600000);
    expect(headers['X-Signature']).to.not.equal('jNGZQrK96eCBwLNgpuWNnjCaf8bReLCuT4SQA5GfCTw=');
  });

  it('signs a login over the nonce, as the vector of protocol section 9.10', () => {
    expect(JSON.parse(loginFrame(prepareSigningKey(CREDENTIALS), 1767225600000, 3_000))).to.deep.equal([
      114,
      {
        type: 114,
        publicKey: CREDENTIALS.apiKey,
        timestamp: 1767225600000,
        nonce: 3_000,
        signature: 'LQLqy4DLHVfwTujp7LNhQHe9efYXzHkWYPiVy5oIOVI=',
      },
    ]);
  });

  it('asks for a window of 15 s around the time of a login', () => {
    const [, login] = JSON.parse(loginFrame(prepareSigningKey(CREDENTIALS), 5)) as [
      number,
      { nonce: number },
    ];
    expect(login.nonce).to.equal(15_000);
  });

  for (const [title, credentials] of [
    ['an empty key', { ...CREDENTIALS, apiKey: '' }],
    ['a key that no header may carry', { ...CREDENTIALS, apiKey: 'a\r\nX-Evil: 1' }],
    ['an empty secret', { ...CREDENTIALS, apiSecret: '' }],
    ['a secret that is not base64', { ...CREDENTIALS, apiSecret: 'not base64!' }],
    ['a secret cut short', { ...CREDENTIALS, apiSecret: CREDENTIALS.apiSecret.slice(0, -3) }],
  ] as const) {
    it(`refuses ${title}, without repeating it`, () => {
      expect(() => prepareSigningKey(credentials))
        .to.throw(SigningKeyError)
        .with.property('message')
        .that.does.not.contain(credentials.apiSecret === '' ? '\0' : credentials.apiSecret);
    });
  }
});
