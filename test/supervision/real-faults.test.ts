import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type BotProcess, cleanUp, startBot } from './bot-process.js';

const FLAWED_BOT = fileURLToPath(new URL('../fakes/flawed-bot.js', import.meta.url));

describe('the whole bot, when a worker fails while it trades', function () {
  this.timeout(90_000);
  afterEach(cleanUp);

  /** Makes a worker fail, and waits until the bot is trading again. */
  const fail = async (bot: BotProcess, actor: string, fault: string): Promise<void> => {
    const from = bot.log.length;
    const after = (event: string, matches: (line: BotProcess['log'][number]) => boolean) =>
      bot.heard(event, line => bot.log.indexOf(line) >= from && matches(line));
    writeFileSync(join(bot.folder, `fault-${actor}`), fault);
    await after('worker-crashed', line => line.worker === actor);
    await after('trading-state-changed', line => line.to === 'live');
    await after('order-working', () => true);
  };

  it('is back through reconciliation, with no order sent twice and nobody else hurt', async () => {
    const bot = startBot({
      entry: FLAWED_BOT,
      env: { SYMBOLS: 'BTCTRY', STRATEGY: 'maker', STRATEGY_CONFIG: '{}', LOG_LEVEL: 'debug' },
    });
    await bot.heard('order-working');
    await fail(bot, 'execution', 'exit-0');
    await fail(bot, 'reconciliation', 'reject');
    await fail(bot, 'market-data', 'throw');
    bot.signal('SIGTERM');
    expect((await bot.exited).code).to.equal(0);

    const crashed = bot.log.filter(line => line.event === 'worker-crashed').map(line => line.worker);
    expect(crashed).to.deep.equal(['execution', 'reconciliation', 'market-data']);
    const sent = bot.log.filter(line => line.event === 'order-in-flight').map(line => line.clientOrderId);
    expect(sent.length).to.be.greaterThan(0);
    expect(new Set(sent).size).to.equal(sent.length);
  });
});
