/** The last resort, tried: a backup put back in the place of a ledger that went on for a while, as the runbook says. */
import { copyFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  askVerb,
  botFolder,
  closingStatement,
  databaseIn,
  removeFolder,
  runVerb,
  startBot,
  tells,
} from '../support/bot.js';

describe('a backup that was put back', function () {
  this.timeout(120_000);
  let folder: string;
  beforeEach(() => {
    folder = botFolder();
  });
  afterEach(() => removeFolder(folder));

  it('catches up with what was traded since, to the last digit', async () => {
    const database = databaseIn(folder);
    const settings = {
      VENUE: 'paper',
      SYMBOLS: 'BTCTRY',
      STRATEGY: 'maker',
      STATE_DB_PATH: database,
      SHUTDOWN_OPEN_ORDERS: 'cancel',
    };
    const backup = join(folder, 'backup.sqlite');
    const first = startBot(settings);
    await first.until(tells('fill-booked'));
    expect((await runVerb(['export', '--backup', backup], settings)).code).to.equal(0);
    const from = first.events.length;
    await first.until(line => line.event === 'fill-booked' && first.events.indexOf(line) >= from);
    first.kill('SIGTERM');
    expect((await first.ended).code).to.equal(0);
    for (const name of ['', '-wal', '-shm'])
      try {
        renameSync(`${database}${name}`, `${database}${name}.aside`);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    copyFileSync(backup, database);
    const again = startBot({ ...settings, SAFE_MODE: 'true' });
    try {
      await again.until(tells('recovered'));
    } finally {
      again.kill('SIGTERM');
      await again.ended;
    }
    const statement = closingStatement(folder);
    const { balances } = await askVerb<{
      balances: { asset: string; total: string; difference: string }[];
    }>('balances', settings);
    for (const { asset, total } of statement.balances)
      expect(
        balances.find(balance => balance.asset === asset),
        asset,
      ).to.include({ total, difference: '0' });
    // Orders that were placed after the backup are in no journal any more; what they traded is.
    const { fills } = await askVerb<{ fills: { tradeId: string; quantity: string }[] }>('fills', settings);
    const facts = (fill: { tradeId: string; quantity: string }): string => `${fill.tradeId} ${fill.quantity}`;
    expect(fills.map(facts).sort()).to.deep.equal(statement.trades.map(facts).sort());
    expect(statement.trades.length).to.be.greaterThan(1);
  });
});
