/** A venue that makes one key for requests and another for the socket (protocol section 3.2), and a bot that trades there. */
import { expect } from 'chai';
import type { RunningExchange } from '#src/exchange/server.js';
import { botFolder, databaseIn, type RunningBot, removeFolder, startBot, tells } from '../support/bot.js';
import { fault, liveSettings, openVenue } from '../support/live-venue.js';

const SOCKET = {
  newKey: 'loopback-socket-key-30ab',
  newSecret: Buffer.from('socket-secret-not-a-real-one').toString('base64'),
};

describe('a venue with a key of its own for the socket', function () {
  this.timeout(60_000);
  let venue: RunningExchange;
  let folder: string;
  let bot: RunningBot;

  beforeEach(async () => {
    venue = await openVenue();
    expect(venue.admin({ type: 'add-key', apiKey: venue.apiKey, ...SOCKET, madeFor: 'socket' })).to.equal(
      undefined,
    );
    fault(venue, 'separate-keys');
    folder = botFolder();
  });
  afterEach(async () => {
    bot.kill('SIGKILL');
    await bot.ended;
    await venue.close();
    removeFolder(folder);
  });

  it('is traded on with both keys, and what the private feed shows is heard', async () => {
    bot = startBot({
      ...liveSettings(venue, databaseIn(folder)),
      BTCTURK_WS_API_KEY: SOCKET.newKey,
      BTCTURK_WS_API_SECRET: SOCKET.newSecret,
    });
    await bot.until(line => line.event === 'private-feed' && line.feed === 'live');
    await bot.until(tells('order-working'));
    await bot.until(tells('fill-booked'));
    for (const value of Object.values(SOCKET))
      expect(JSON.stringify(bot.events).includes(value), value).to.equal(false);
  });

  it('is observed only where the pair for the socket cannot sign', async () => {
    bot = startBot({
      ...liveSettings(venue, databaseIn(folder)),
      BTCTURK_WS_API_KEY: SOCKET.newKey,
      BTCTURK_WS_API_SECRET: 'abcde',
    });
    await bot.until(tells('key-unusable'));
    await bot.until(tells('observing-only'));
  });

  it('refuses the login of the key for requests', async () => {
    bot = startBot(liveSettings(venue, databaseIn(folder)));
    const told = await bot.until(line => line.event === 'private-feed' && line.feed === 'refused');
    expect(told).to.have.property('reason', 'Unauthorized - Invalid Public key');
  });
});
