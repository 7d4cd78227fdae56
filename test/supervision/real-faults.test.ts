import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
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

  /** A bot that sends an order every quarter of a second. */
  const busyBot = (): BotProcess =>
    startBot({
      entry: FLAWED_BOT,
      env: {
        SYMBOLS: 'BTCTRY',
        STRATEGY: 'pulse',
        STRATEGY_CONFIG: '{"intervalMs":250}',
        MAX_OPEN_ORDERS: '20',
        MAX_OPEN_ORDERS_PER_SYMBOL: '20',
        LOG_LEVEL: 'debug',
      },
    });
  const writesAfter = (bot: BotProcess, ms: number): readonly string[] =>
    bot.log
      .filter(line => line.event === 'order-in-flight' || line.event === 'order-cancel-in-flight')
      .map(line => String(line.time))
      .filter(time => Date.parse(time) > ms);
  /** Makes the main thread stand still, and says when it did. */
  const freeze = async (
    bot: BotProcess,
    ms: number,
    meanwhile?: () => void,
  ): Promise<{ fromMs: number; toMs: number }> => {
    const from = bot.log.length;
    const said = join(bot.folder, 'stood-still');
    writeFileSync(join(bot.folder, 'fault-supervisor'), String(ms));
    while (existsSync(join(bot.folder, 'fault-supervisor'))) await pause(1);
    meanwhile?.();
    await bot.heard('supervisor-paused', line => bot.log.indexOf(line) >= from);
    return JSON.parse(readFileSync(said, 'utf8')) as { fromMs: number; toMs: number };
  };

  it('stops writing while its supervisor stands still, goes on after, and honours a signal that came meanwhile', async () => {
    const bot = busyBot();
    await bot.heard('order-working');
    const first = await freeze(bot, 2_500);
    await bot.heard('order-in-flight', line => Date.parse(String(line.time)) > first.toMs);
    const second = await freeze(bot, 2_500, () => bot.signal('SIGUSR2'));
    await bot.heard('trading-state-changed', line => line.to === 'observe-only');
    bot.signal('SIGTERM');
    expect((await bot.exited).code).to.equal(0);
    // The lease lives 1 s; half a second is for the log's own clock.
    const duringFirst = writesAfter(bot, first.fromMs + 1_500).filter(time => Date.parse(time) < first.toMs);
    expect(duringFirst).to.deep.equal([]);
    expect(writesAfter(bot, second.fromMs + 1_500)).to.deep.equal([]);
    expect(bot.log.filter(line => line.event === 'worker-crashed')).to.deep.equal([]);
  });
});
