/** One bot owns its data, and a bot that was away for a while finds its way back before it writes. */
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'chai';
import { botFolder, databaseIn, type LogEvent, removeFolder, startBot, tells } from '../support/bot.js';
import { liveSettings, openVenue } from '../support/live-venue.js';

describe('the owner of the data', function () {
  this.timeout(120_000);
  let folder = '';
  beforeEach(() => {
    folder = botFolder();
  });
  afterEach(() => removeFolder(folder));

  it('is one bot: a second one is refused with code 5, and the first trades on', async () => {
    const settings = { VENUE: 'paper', STATE_DB_PATH: databaseIn(folder), STRATEGY: 'maker' };
    const first = startBot(settings);
    await first.until(tells('all-workers-ready'));
    const second = startBot(settings);
    expect(await second.ended).to.deep.equal({ code: 5, signal: null });
    expect(second.stderr()).to.match(/owned|another/);
    expect(second.events.some(tells('order-in-flight'))).to.equal(false);
    await first.until(tells('order-working'));
    first.kill('SIGTERM');
    expect((await first.ended).code).to.equal(0);
    const labels = first.events.filter(tells('order-working')).map(line => String(line.clientOrderId));
    // The epoch stands in every label: bb-<instance>-<epoch>-<strategy>-<n>.
    for (const label of labels) expect(label).to.match(/^bb-[0-9a-f]{8}-[0-9a-z]+-maker-\d+$/);
    expect(new Set(labels.map(label => label.split('-')[2])).size).to.equal(1);
  });

  it('that was stopped for longer than its lease sends nothing it had decided before, and then trades on', async () => {
    const venue = await openVenue();
    try {
      const bot = startBot({
        ...liveSettings(venue, databaseIn(folder)),
        STRATEGY: 'pulse',
        STRATEGY_CONFIG: '{"intervalMs":100}',
        LOG_LEVEL: 'debug',
      });
      const timeOf = (line: LogEvent): number => Date.parse(String(line.time));
      await bot.until(tells('order-working'));
      bot.kill('SIGSTOP');
      // The lease lives 1 s, a decision 1 s.
      await pause(2_500);
      const wokenMs = Date.now();
      bot.kill('SIGCONT');
      const noticed = await bot.until(tells('supervisor-paused'));
      const sent = await bot.until(line => line.event === 'order-in-flight' && timeOf(line) >= wokenMs);
      bot.kill('SIGTERM');
      expect((await bot.ended).code).to.equal(0);
      expect(timeOf(sent)).to.be.at.least(timeOf(noticed));
      for (const line of bot.events.filter(tells('order-in-flight'))) {
        if (timeOf(line) < wokenMs) continue;
        const intended = bot.events.find(
          each => each.event === 'order-intended' && each.clientOrderId === line.clientOrderId,
        );
        expect(timeOf(intended as LogEvent), String(line.clientOrderId)).to.be.at.least(wokenMs);
      }
    } finally {
      await venue.close();
    }
  });
});
