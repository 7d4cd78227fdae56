import { expect } from 'chai';
import { createKeySeat, type KnownAccount } from '#src/btcturk/key-seat.js';
import { parseDecimal } from '#src/domain/money.js';
import type { Balance } from '#src/domain/venue-port.js';
import type { RunningExchange } from '#src/exchange/server.js';
import type { FromWorker } from '#src/messages/control.js';
import type { ApiCredentials } from '#src/runtime/settings.js';
import { fault, heal, openVenue } from '../support/live-venue.js';

const keyOf = (name: string) => ({
  apiKey: `loopback-${name}-key`,
  apiSecret: Buffer.from(`${name}-secret-not-a-real-one`).toString('base64'),
});
const USED = keyOf('used');
const SECOND = keyOf('second');
const FOREIGN = keyOf('foreign');
/** The venue counts its users from its own first number: what the key in use was logged in as is asked of it. */
const NOBODY = '1';

describe('a key that is offered to a worker that knows the account', function () {
  this.timeout(60_000);
  let venue: RunningExchange;
  const userOf = (apiKey: string): string => String(venue.account(apiKey).userId);

  before(async () => {
    venue = await openVenue(USED);
    const problems = [
      venue.admin({
        type: 'add-key',
        apiKey: USED.apiKey,
        newKey: SECOND.apiKey,
        newSecret: SECOND.apiSecret,
      }),
      venue.admin({
        type: 'open-account',
        ...FOREIGN,
        feeLevel: 1,
        balances: new Map([['TRY', parseDecimal('7')]]),
      }),
    ];
    expect(problems).to.deep.equal([undefined, undefined]);
  });
  after(() => venue.close());

  const verdictOn = (key: ApiCredentials, account: KnownAccount, wsUrl = venue.wsUrl): Promise<FromWorker> =>
    new Promise(resolve => {
      createKeySeat({
        endpoints: { baseUrl: venue.url, graphUrl: venue.url, wsUrl },
        account,
        adopt: () => expect.fail('nothing was adopted'),
        tell: resolve,
      }).take({ type: 'key-offered', credentials: key });
    });
  const proven = (balances: readonly Balance[]): boolean =>
    balances.some(({ asset, total }) => asset === 'TRY' && total === parseDecimal('1000000'));
  /** A port on which nothing listens. */
  const NO_FEED = 'ws://127.0.0.1:1';

  const rows: readonly (readonly [
    title: string,
    key: ApiCredentials,
    user: () => string | null,
    feed: 'up' | 'down',
    refusedFor: string | null,
  ])[] = [
    ['another key of the same user', SECOND, () => userOf(USED.apiKey), 'up', null],
    ['a key of another user', FOREIGN, () => userOf(USED.apiKey), 'up', 'a key of another account'],
    ['a good key while the key in use is of somebody else', SECOND, () => NOBODY, 'up', 'another account'],
    ['the ledger’s balances, where no login has named a user', SECOND, () => null, 'up', null],
    ['other balances, where no login has named a user', FOREIGN, () => null, 'up', 'not those of the ledger'],
    ['the ledger’s balances, where the feed is down', SECOND, () => userOf(USED.apiKey), 'down', null],
    ['other balances, where the feed is down', FOREIGN, () => userOf(USED.apiKey), 'down', 'not shown to be'],
    [
      'a key beside the pair that logs in',
      { ...SECOND, socket: USED },
      () => userOf(USED.apiKey),
      'up',
      null,
    ],
    [
      'a key of another user, although the pair that logs in is ours',
      { ...FOREIGN, socket: USED },
      () => userOf(USED.apiKey),
      'up',
      'not those of the ledger',
    ],
    [
      'a pair that logs in as another user',
      { ...SECOND, socket: FOREIGN },
      () => userOf(USED.apiKey),
      'up',
      'a key of another account',
    ],
    [
      'a pair for the login whose secret is none',
      { ...SECOND, socket: { apiKey: USED.apiKey, apiSecret: 'abcde' } },
      () => userOf(USED.apiKey),
      'up',
      'not base64',
    ],
  ];
  for (const [title, key, user, feed, refusedFor] of rows)
    it(`${refusedFor === null ? 'is accepted' : 'is refused'}: ${title}`, async () => {
      const verdict = await verdictOn(
        key,
        { userId: user, isProvenBy: proven },
        feed === 'up' ? venue.wsUrl : NO_FEED,
      );
      if (refusedFor === null) expect(verdict).to.deep.equal({ type: 'key-verified' });
      else expect(verdict).to.have.property('reason').that.contains(refusedFor);
      expect(JSON.stringify(verdict)).to.not.contain(key.apiKey);
    });

  it('is refused when the private feed refuses its login, although its reads are answered', async () => {
    const account = { userId: () => null, isProvenBy: () => true };
    fault(venue, 'login-refused');
    const verdict = await verdictOn(SECOND, account);
    heal(venue);
    expect(verdict).to.have.property('reason').that.contains('may not log in to the private feed');
  });
});
