/** A new key for a bot that trades with real threads: proven before the old one is let go, and nothing lost by a bad one. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import type { RunningExchange } from '#src/exchange/server.js';
import { expectBooksToEqual } from '../support/books.js';
import type { ClosingStatement } from '../support/bot.js';
import {
  botFolder,
  databaseIn,
  type RunningBot,
  removeFolder,
  runVerb,
  startBot,
  tells,
} from '../support/bot.js';
import { liveSettings, openVenue } from '../support/live-venue.js';

const OLD = {
  apiKey: 'loopback-old-key-19f2',
  apiSecret: Buffer.from('old-secret-not-a-real-one').toString('base64'),
};
const NEW = {
  apiKey: 'loopback-new-key-7c31',
  apiSecret: Buffer.from('new-secret-not-a-real-one').toString('base64'),
};
/** A good key: of somebody else. */
const FOREIGN = {
  apiKey: 'loopback-foreign-key-55d0',
  apiSecret: Buffer.from('foreign-secret-not-a-real-one').toString('base64'),
};
const WRONG = { apiKey: NEW.apiKey, apiSecret: Buffer.from('another-secret-of-nobody').toString('base64') };

describe('a new key for a bot that trades', function () {
  this.timeout(120_000);
  let venue: RunningExchange;
  let folder: string;
  let bot: RunningBot;
  let settings: Record<string, string>;

  const keepKey = (key: typeof OLD): void => {
    writeFileSync(join(folder, 'key'), `${key.apiKey}\n`);
    writeFileSync(join(folder, 'secret'), `${key.apiSecret}\n`);
  };
  const rotate = (): ReturnType<typeof runVerb> => runVerb(['rotate-key'], settings);
  /** The first line of this event after the one at `from`. */
  const next = (event: string, from: number): Promise<unknown> =>
    bot.until(line => line.event === event && bot.events.indexOf(line) >= from);

  before(async () => {
    venue = await openVenue(OLD);
    folder = botFolder();
    keepKey(OLD);
    const {
      BTCTURK_API_KEY: _key,
      BTCTURK_API_SECRET: _secret,
      ...others
    } = liveSettings(venue, databaseIn(folder));
    settings = {
      ...others,
      BTCTURK_API_KEY_FILE: join(folder, 'key'),
      BTCTURK_API_SECRET_FILE: join(folder, 'secret'),
      RECONCILE_INTERVAL_MS: '1000',
      // The exchange lives on: an order left resting could fill after the bot's last look at the account.
      SHUTDOWN_OPEN_ORDERS: 'cancel',
      LOG_LEVEL: 'trace',
    };
    bot = startBot(settings);
    await bot.until(line => line.event === 'trading-state-changed' && line.to === 'live');
    await bot.until(tells('order-working'));
  });
  after(async () => {
    bot.kill('SIGKILL');
    await bot.ended;
    await venue.close();
    removeFolder(folder);
  });

  it('is refused while the files hold the key in use', async () => {
    const { code, stderr } = await rotate();
    expect(code).to.equal(2);
    expect(stderr).to.contain('the files still hold the key in use');
  });

  for (const [title, key, admit, words] of [
    ['that the venue does not know', WRONG, () => undefined, 'not accepted'],
    [
      'whose secret is another one',
      WRONG,
      () =>
        venue.admin({ type: 'add-key', apiKey: OLD.apiKey, newKey: NEW.apiKey, newSecret: NEW.apiSecret }),
      'not accepted',
    ],
    [
      'of another account, however good,',
      FOREIGN,
      () =>
        venue.admin({
          type: 'open-account',
          ...FOREIGN,
          feeLevel: 1,
          balances: new Map([['TRY', parseDecimal('1000000')]]),
        }),
      'a key of another account',
    ],
  ] as const)
    it(`${title} is refused: the old one stays in use, orders rest, reconciliation goes on`, async () => {
      expect(admit()).to.equal(undefined);
      const orders = venue.account(OLD.apiKey).orders.size;
      keepKey(key);
      const { code, stderr } = await rotate();
      expect(code).to.equal(2);
      expect(stderr).to.contain('refused, the old key stays in use').and.contain(words);
      const from = bot.events.length;
      await next('order-working', from);
      await next('fill-booked', from);
      expect(venue.account(OLD.apiKey).orders.size).to.be.greaterThan(orders);
      const status = JSON.parse((await runVerb(['status', '--json'], settings)).stdout) as {
        state: string;
        holds: readonly { cause: string }[];
      };
      expect(status.state).to.equal('live');
      expect(status.holds).to.deep.equal([]);
      if (key === FOREIGN) expect(venue.account(FOREIGN.apiKey).orders.size).to.equal(0);
    });

  it('that is good is taken up by every signer, and trading goes on after the old one is revoked', async () => {
    keepKey(NEW);
    const { code, stdout } = await rotate();
    expect(code).to.equal(0);
    expect(stdout).to.contain('the new key is in use, proven by a signed read of reconciliation, execution');
    expect(venue.admin({ type: 'revoke-key', apiKey: OLD.apiKey, key: OLD.apiKey })).to.equal(undefined);
    const from = bot.events.length;
    await next('order-working', from);
    await next('fill-booked', from);
    expect(bot.events.slice(from).some(line => JSON.stringify(line).includes('nauthorized'))).to.equal(false);
  });

  it('is in the audit without its value, and the books are the venue’s to the last digit', async () => {
    bot.kill('SIGTERM');
    expect(await bot.ended).to.deep.equal({ code: 0, signal: null });
    await expectBooksToEqual(JSON.parse(venue.statement()) as ClosingStatement, settings);
    const texts = readdirSync(folder)
      .filter(name => name.startsWith('btcbot.sqlite'))
      .map(name => readFileSync(join(folder, name), 'latin1'));
    expect(texts.some(text => text.includes('key-rotated'))).to.equal(true);
    expect(texts.some(text => text.includes('key-rotation-refused'))).to.equal(true);
    for (const text of [...texts, JSON.stringify(bot.events), bot.stderr()])
      for (const { apiKey, apiSecret } of [OLD, NEW, WRONG, FOREIGN])
        for (const value of [apiKey, apiSecret]) expect(text.includes(value), value).to.equal(false);
  });
});
