/** Nobody reads the log of the whole bot: it trades on, and what it cannot write waits within a bound. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'chai';
import { botFolder, databaseIn, removeFolder } from '../support/bot.js';
import { freePort } from '../support/free-port.js';
import { residentMbOf } from '../support/process-facts.js';

const ROOT = join(import.meta.dirname, '..', '..', '..');

describe('a bot whose log nobody reads', function () {
  this.timeout(180_000);
  let folder: string;
  let bot: ChildProcess;
  afterEach(async () => {
    bot.kill('SIGKILL');
    if (bot.exitCode === null && bot.signalCode === null) await once(bot, 'exit');
    removeFolder(folder);
  });

  it('trades on, does not grow, and ends cleanly', async () => {
    folder = botFolder();
    const port = await freePort();
    // A pipe that nobody ever reads: it is full after 64 KiB.
    spawnSync('mkfifo', [join(folder, 'log')]);
    const fifo = openSync(join(folder, 'log'), 'r+');
    bot = spawn(process.execPath, [join(ROOT, 'dist', 'supervisor.js')], {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        VENUE: 'paper',
        SYMBOLS: 'BTCTRY',
        STRATEGY: 'pulse',
        STRATEGY_CONFIG: '{"intervalMs":100,"offsetBps":-20}',
        MAX_REPEATED_EXECUTIONS: '10000',
        MAX_ORDERS_PER_MINUTE: '10000',
        STATE_DB_PATH: databaseIn(folder),
        LOG_LEVEL: 'trace',
        OBSERVABILITY_ENABLED: 'true',
        OBSERVABILITY_METRICS_EXPORTER: 'prometheus',
        OBSERVABILITY_PROMETHEUS_PORT: String(port),
      },
      stdio: ['ignore', fifo, 'ignore'],
    });
    closeSync(fifo);
    const reading = async (name: string): Promise<number> => {
      const text = await fetch(`http://127.0.0.1:${port}/metrics`).then(
        reply => reply.text(),
        () => '',
      );
      return text
        .split('\n')
        .filter(line => line.startsWith(name) && !line.startsWith('#'))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
    };
    const until = async (name: string, atLeast: number): Promise<void> => {
      while ((await reading(name)) < atLeast) {
        expect(bot.exitCode, 'the bot runs').to.equal(null);
        await pause(100);
      }
    };
    const memoryMb = (): number => residentMbOf(bot.pid ?? -1) ?? Number.NaN;

    // Each fill comes with more than a kilobyte of lines: the pipe is full long before so many.
    await until('btcbot_fills_total', 40);
    const before = memoryMb();
    await until('btcbot_fills_total', 80);
    expect(memoryMb() - before).to.be.lessThan(200);
    bot.kill('SIGTERM');
    const [code] = (await once(bot, 'exit')) as [number | null];
    expect(code).to.equal(0);
  });
});
