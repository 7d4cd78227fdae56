/**
 * Bad strategies beside a good one, in one bot on real threads: each is contained and named, and the good one goes on.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  askVerb,
  botFolder,
  databaseIn,
  type LogEvent,
  type RunningBot,
  removeFolder,
  startBot,
  tells,
} from '../support/bot.js';

/** Each behaves for a while, so that the others are under way when it stops behaving. */
const BAD = {
  throws:
    "const bad = () => { throw new Error('broken'); }; return { onBook: bad, onTrade: bad, onTimer: bad, onOrder: bad };",
  nonsense:
    "return { onBook: () => [{ type: 'place', symbol: 'BTCTRY', side: 'buy', method: 'limit', price: 1.5, quantity: NaN }] };",
  floods: 'return { onBook: view => Array.from({ length: 10_000 }, () => ({ type: "note", text: "x" })) };',
  loops: 'let books = 0; return { onBook: () => { if (++books > 20) for (;;); return []; } };',
  eats: 'let books = 0; const kept = []; return { onBook: () => { if (++books > 60) for (;;) kept.push(new Array(1e6).fill(0.5)); return []; } };',
  hoards:
    'let books = 0; const kept = []; return { onBook: () => { if (++books > 40) kept.push(new Uint8Array(6e7).fill(1)); return []; } };',
} as const;

const stopped =
  (name: string) =>
  (line: LogEvent): boolean =>
    line.event === 'strategy-stopped' && line.strategy === name;

describe('bad strategies beside a good one', function () {
  this.timeout(300_000);
  let folder: string;
  let bot: RunningBot | null = null;
  before(() => {
    folder = botFolder();
  });
  after(async () => {
    bot?.kill('SIGKILL');
    await bot?.ended;
    removeFolder(folder);
  });

  it('are stopped by name, one by one, while the good one trades on; nothing of theirs is ever sent', async () => {
    const bad = Object.entries(BAD).map(([name, body]) => {
      const file = join(folder, `${name}.mjs`);
      writeFileSync(
        file,
        `export default { portVersion: 2, name: 'bad', about: 'Bad.', parameters: {}, timerMs: () => 50, create: () => { ${body} } };`,
      );
      return { name, strategy: file };
    });
    const settings = {
      VENUE: 'paper',
      SYMBOLS: 'BTCTRY',
      STRATEGIES: JSON.stringify([...bad, { name: 'good', strategy: 'maker' }]),
      MAX_OPEN_ORDERS_PER_SYMBOL: '2',
      STATE_DB_PATH: databaseIn(folder),
    };
    bot = startBot(settings);
    const { events } = bot;
    for (const name of Object.keys(BAD)) {
      const line = await bot.until(stopped(name));
      expect(line.reason, name).to.be.a('string');
    }
    expect((await bot.until(stopped('throws'))).reason).to.contain('Error: broken');
    expect((await bot.until(stopped('nonsense'))).reason).to.contain('price 1.5');
    expect((await bot.until(stopped('floods'))).reason).to.contain('10000 intents');
    for (const name of ['loops', 'eats', 'hoards'])
      expect((await bot.until(stopped(name))).reason).to.contain('in the middle of one of its calls');

    // The last thread that was lost is behind us: the good one works again, and it alone has ever worked.
    const seen = events.length;
    await bot.until(line => line.event === 'order-working' && events.indexOf(line) >= seen);
    const status = await askVerb<{ workers: { strategy: { facts: { stopped: string[] } } } }>(
      'status',
      settings,
    );
    expect(JSON.stringify(status)).to.contain(
      '"stopped":["throws","nonsense","floods","loops","eats","hoards"]',
    );
    const orders = await askVerb<{ orders: { strategy: string }[] }>('orders', settings);
    expect([...new Set(orders.orders.map(({ strategy }) => strategy))]).to.deep.equal(['good']);
    bot.kill('SIGTERM');
    expect(await bot.ended).to.deep.equal({ code: 0, signal: null });
    expect(events.filter(tells('restart-storm'))).to.deep.equal([]);
  });
});
