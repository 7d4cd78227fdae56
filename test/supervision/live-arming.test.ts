import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import { accountAt, LIVE_FLAGS, LIVE_LIMITS } from '../support/live-venue.js';
import { cleanUp, newFolder, REAL_BOT, startBot } from './bot-process.js';

describe('arming live, on an exchange of one’s own', function () {
  this.timeout(60_000);
  let exchange: RunningExchange;
  beforeEach(async () => {
    exchange = await startExchange({
      host: '127.0.0.1',
      port: 0,
      market: { type: 'generated' },
      symbols: ['BTCTRY'],
      seed: 3,
      feeLevel: 1,
      balances: new Map([
        ['TRY', parseDecimal('1000000')],
        ['BTC', parseDecimal('1')],
      ]),
      faults: [],
      playAtOnce: true,
      log: () => {},
    });
  });
  afterEach(async () => {
    cleanUp();
    await exchange.close();
  });

  const venue = (): Record<string, string> => ({
    VENUE: 'btcturk',
    SYMBOLS: 'BTCTRY',
    STRATEGY: 'pulse',
    STRATEGY_CONFIG: '{"intervalMs":250}',
    ...accountAt(exchange),
    LIVE_READINESS_MIN_MINUTES: '0.02',
    LOG_LEVEL: 'info',
    ...LIVE_LIMITS,
  });
  const DRY = { SAFE_MODE: 'false', DRY_RUN: 'true', KILL_SWITCH: 'false' };
  const ordersAtExchange = (): number => exchange.account().orders.size;

  it('needs a healthy dry run first, which sends nothing there; then orders arrive', async () => {
    const folder = newFolder();
    const bot = (flags: Readonly<Record<string, string>>, db: string) =>
      startBot({
        folder,
        entry: REAL_BOT,
        env: { ...venue(), ...flags, STATE_DB_PATH: `${folder}/${db}.sqlite` },
      });

    const early = bot(LIVE_FLAGS, 'live');
    expect((await early.heard('banner')).reasons).to.include('no evidence of a healthy dry run is recorded');
    await early.heard('recovered');
    early.signal('SIGTERM');
    expect((await early.exited).code).to.equal(0);
    expect(ordersAtExchange()).to.equal(0);

    const dry = bot(DRY, 'dry');
    await dry.heard('trading-state-changed', line => line.to === 'dry-run');
    // Orders of the dry run live and die on the mirror.
    await dry.heard('order-working');
    for (let healthyMs = 0; healthyMs < 1_500; ) {
      const status = await dry.status();
      healthyMs = status.readiness?.healthyMs ?? 0;
    }
    dry.signal('SIGTERM');
    expect((await dry.exited).code).to.equal(0);
    expect(ordersAtExchange()).to.equal(0);

    const armed = bot(LIVE_FLAGS, 'live');
    expect((await armed.heard('banner')).mode).to.equal('live');
    await armed.heard('trading-state-changed', line => line.to === 'live');
    await armed.heard('order-working');
    armed.signal('SIGTERM');
    expect((await armed.exited).code).to.equal(0);
    expect(ordersAtExchange()).to.be.greaterThan(0);
    expect(armed.log.find(line => line.event === 'banner')?.reasons).to.satisfy((reasons: string[]) =>
      reasons.every(reason => reason.startsWith('hold starting')),
    );

    // Another configuration needs evidence of its own.
    const changed = bot({ ...LIVE_FLAGS, PRICE_COLLAR_BPS: '501' }, 'live');
    expect((await changed.heard('banner')).reasons).to.include(
      'the evidence was gathered under another configuration',
    );
    changed.signal('SIGTERM');
    await changed.exited;
  });
});
