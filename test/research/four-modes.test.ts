import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import { startExchange } from '#src/exchange/server.js';
import type { Report } from '#src/research/report.js';
import { cleanUp, newFolder, REAL_BOT, startBot } from '../supervision/bot-process.js';
import { runVerb } from '../support/bot.js';
import { writeRecording } from '../support/generated-recording.js';
import { accountAt, LIVE_FLAGS, LIVE_LIMITS } from '../support/live-venue.js';

/** A user's own file: it imports nothing, rests one order one per cent below the market, and replaces it now and then. */
const STRATEGY = `
export default {
  portVersion: 1,
  name: 'own-file',
  about: 'Rests one small buy below the market.',
  parameters: {},
  timerMs: () => 250,
  create: () => {
    let beat = 0n;
    return {
      onTimer: view => {
        const symbol = view.symbols[0];
        const book = view.book(symbol);
        const open = view.openOrders(symbol);
        beat += 1n;
        if (open.length > 0)
          return beat % 8n === 0n && open[0].status === 'working' ? [{ type: 'cancel', intentId: open[0].intentId }] : [];
        if (book === undefined || !book.trusted || !view.maySubmit(symbol)) return [];
        const { priceScale, quantityScale } = view.instrument(symbol);
        const tick = 10n ** BigInt(16 - priceScale);
        const lot = 10n ** BigInt(16 - quantityScale);
        const price = ((BigInt(book.levels[2]) * 99n) / 100n - (beat % 7n)) * tick;
        const quantity = ((250n * 10n ** 32n) / price / lot + 1n) * lot;
        return [{ type: 'place', symbol, side: 'buy', method: 'limit', price, quantity }];
      },
    };
  },
};
`;

const OPEN = { SAFE_MODE: 'false', KILL_SWITCH: 'false' };

describe('one strategy file, untouched', function () {
  this.timeout(180_000);
  afterEach(() => cleanUp());

  it('trades in a backtest, on paper, in dry run and live', async () => {
    const folder = newFolder();
    const file = join(folder, 'own-file.js');
    const recording = join(folder, 'market.jsonl.gz');
    writeFileSync(file, STRATEGY);
    writeRecording(recording, { seed: 2, seconds: 10, symbol: 'BTCUSDT', midCents: 6_000_000 });

    const backtest = await runVerb(
      ['backtest', '--recording', recording, '--strategy', file, '--check-lookahead', '--json'],
      {},
    );
    expect(backtest.stderr).to.equal('');
    expect(backtest.code).to.equal(0);
    const report = JSON.parse(backtest.stdout) as Report;
    expect(report.run.strategy).to.equal('own-file');
    expect(report.orders.placed).to.be.greaterThan(1);

    const paper = startBot({
      folder,
      entry: REAL_BOT,
      env: {
        ...OPEN,
        DRY_RUN: 'false',
        VENUE: 'paper',
        STRATEGY: file,
        STATE_DB_PATH: join(folder, 'paper.sqlite'),
      },
    });
    await paper.heard('order-working');
    paper.signal('SIGTERM');
    expect((await paper.exited).code).to.equal(0);

    const exchange = await startExchange({
      host: '127.0.0.1',
      port: 0,
      market: { type: 'generated' },
      symbols: ['BTCTRY'],
      seed: 3,
      feeLevel: 1,
      balances: new Map([['TRY', parseDecimal('1000000')]]),
      faults: [],
      playAtOnce: true,
      log: () => {},
    });
    try {
      const bot = (flags: Readonly<Record<string, string>>, db: string) =>
        startBot({
          folder,
          entry: REAL_BOT,
          env: {
            ...OPEN,
            ...LIVE_LIMITS,
            ...flags,
            VENUE: 'btcturk',
            STRATEGY: file,
            ...accountAt(exchange),
            LIVE_READINESS_MIN_MINUTES: '0.02',
            STATE_DB_PATH: join(folder, `${db}.sqlite`),
          },
        });
      const dry = bot({ DRY_RUN: 'true' }, 'dry');
      await dry.heard('order-working');
      for (let healthyMs = 0; healthyMs < 1_500; ) healthyMs = (await dry.status()).readiness?.healthyMs ?? 0;
      dry.signal('SIGTERM');
      expect((await dry.exited).code).to.equal(0);
      expect(exchange.account().orders.size).to.equal(0);

      // The twin only looks on: the evidence of a dry run without it stands.
      const live = bot({ ...LIVE_FLAGS, PAPER_TWIN: 'true' }, 'live');
      expect((await live.heard('banner')).mode).to.equal('live');
      await live.heard('order-working');
      await live.heard('worker-ready', line => line.worker === 'twin');
      for (let twins = 0; twins === 0; )
        twins = Number((await live.status()).workers.twin?.facts.openOrders ?? 0);
      live.signal('SIGTERM');
      expect((await live.exited).code).to.equal(0);
      expect(exchange.account().orders.size).to.be.greaterThan(0);
    } finally {
      await exchange.close();
    }
  });
});
