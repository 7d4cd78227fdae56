import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { expectBooksToEqual } from '../support/books.js';
import { botFolder, closingStatement, databaseIn, removeFolder, startBot, tells } from '../support/bot.js';
import { writeRecording } from '../support/generated-recording.js';
import { addonsOf } from '../support/process-facts.js';

const SHARED = join(
  process.env.BTCBOT_SHARED ?? join(process.cwd(), '..', 'shared'),
  'data',
  'btcusdt-2024-08-08.jsonl.gz',
);

describe('the whole bot', function () {
  this.timeout(120_000);
  let folder: string;
  beforeEach(() => {
    folder = botFolder();
  });
  afterEach(() => removeFolder(folder));

  const playing = (recording: string, speed: string): Record<string, string> => ({
    VENUE: 'paper',
    PAPER_RECORDING: recording,
    PAPER_SPEED: speed,
    SYMBOLS: 'BTCUSDT',
    STRATEGY: 'maker',
    STATE_DB_PATH: databaseIn(folder),
  });

  it('trades a recording to its end, stops by itself, and its books equal the exchange to the last digit', async () => {
    const recording = join(folder, 'recording.jsonl.gz');
    writeRecording(recording, { seed: 7, seconds: 120, symbol: 'BTCUSDT', midCents: 6_185_000 });
    const settings = playing(recording, '15');
    const bot = startBot(settings);
    expect(await bot.ended).to.deep.equal({ code: 0, signal: null });
    expect(bot.stderr()).to.equal('');
    const statement = closingStatement(folder);
    expect(statement.trades.length, 'trades at the exchange').to.be.greaterThan(0);
    await expectBooksToEqual(statement, settings);
  });

  it('does the same on the shared recording at twenty times its speed', async function () {
    if (!existsSync(SHARED)) {
      console.log(`      skipped: ${SHARED} is absent; the generated recording above proves the same rule`);
      this.skip();
    }
    const settings = playing(SHARED, '20');
    const bot = startBot(settings);
    expect(await bot.ended).to.deep.equal({ code: 0, signal: null });
    expect(bot.stderr()).to.equal('');
    const statement = closingStatement(folder);
    expect(statement.trades.length, 'trades at the exchange').to.be.greaterThan(10);
    await expectBooksToEqual(statement, settings);
  });

  it('keeps its books through a kill in mid-trade and ends cleanly at the first Ctrl-C', async () => {
    const settings = {
      VENUE: 'paper',
      SYMBOLS: 'BTCTRY',
      STRATEGY: 'maker',
      STATE_DB_PATH: databaseIn(folder),
      // One that rests may be filled after the last look, while the exchange itself is being stopped.
      SHUTDOWN_OPEN_ORDERS: 'cancel',
    };
    const first = startBot(settings);
    await first.until(tells('fill-booked'));
    first.kill('SIGKILL');
    expect((await first.ended).signal).to.equal('SIGKILL');

    const second = startBot(settings);
    await second.until(tells('recovered'));
    await second.until(tells('fill-booked'));
    // A thread that is terminated while it loads an addon takes the process with it: the ledger's alone never is.
    const addons = addonsOf(second.pid);
    if (addons !== null) expect(addons).to.deep.equal(['better-sqlite3']);
    second.kill('SIGINT');
    expect(await second.ended).to.deep.equal({ code: 0, signal: null });
    expect(second.events.some(tells('closing-summary'))).to.equal(true);
    await expectBooksToEqual(closingStatement(folder), settings);
  });
});
