import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import { cleanUp, newFolder, REAL_BOT, startBot } from './bot-process.js';

const LIMITS = {
  MAX_NOTIONAL_PER_ORDER_TRY: '50000',
  MAX_POSITION_NOTIONAL_TRY: '200000',
  MAX_GROSS_EXPOSURE_TRY: '400000',
  MAX_DAILY_LOSS_TRY: '10000',
  MAX_DRAWDOWN_PCT: '50',
  PRICE_COLLAR_BPS: '500',
  MAX_ORDERS_PER_MINUTE: '100',
  MAX_REPEATED_EXECUTIONS: '1000',
};

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
    BTCTURK_BASE_URL: exchange.url,
    BTCTURK_GRAPH_URL: exchange.url,
    BTCTURK_WS_URL: exchange.wsUrl,
    BTCTURK_API_KEY: exchange.apiKey,
    BTCTURK_API_SECRET: exchange.apiSecret,
    BTCTURK_API_SCOPES: 'read,trade',
    BTCTURK_SECRET_ROTATED_AT: new Date().toISOString(),
    LIVE_READINESS_MIN_MINUTES: '0.02',
    LOG_LEVEL: 'info',
    ...LIMITS,
  });
  const DRY = { SAFE_MODE: 'false', DRY_RUN: 'true', KILL_SWITCH: 'false' };
  const LIVE = {
    SAFE_MODE: 'false',
    DRY_RUN: 'false',
    KILL_SWITCH: 'false',
    LIVE_TRADING: 'true',
    LIVE_TRADING_ACK: 'I_UNDERSTAND',
  };
  const ordersAtExchange = (): number => exchange.account().orders.size;

  it('needs a healthy dry run first, which sends nothing there; then orders arrive', async () => {
    const folder = newFolder();
    const bot = (flags: Readonly<Record<string, string>>, db: string) =>
      startBot({
        folder,
        entry: REAL_BOT,
        env: { ...venue(), ...flags, STATE_DB_PATH: `${folder}/${db}.sqlite` },
      });

    const early = bot(LIVE, 'live');
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

    const armed = bot(LIVE, 'live');
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
    const changed = bot({ ...LIVE, PRICE_COLLAR_BPS: '501' }, 'live');
    expect((await changed.heard('banner')).reasons).to.include(
      'the evidence was gathered under another configuration',
    );
    changed.signal('SIGTERM');
    await changed.exited;
  });
});
