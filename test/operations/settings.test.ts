/**
 * No setting that nothing reads: each one names the test that shows what it changes, and those that no other test shows are
 * shown here, in the whole bot under virtual time and in one bot of threads and sockets.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { createRestClient } from '#src/btcturk/rest-client.js';
import type { StrategyDefinition } from '#src/domain/strategy.js';
import { parseFault } from '#src/exchange/faults.js';
import { SETTING_NAMES, type SettingName } from '#src/runtime/setting-table.js';
import { NORMAL } from '#src/simulation/sim-rest.js';
import { createWorld } from '#src/simulation/world.js';
import { maker } from '#src/strategies/maker.js';
import { pulse } from '#src/strategies/pulse.js';
import {
  askVerb,
  botFolder,
  databaseIn,
  type RunningBot,
  removeFolder,
  startBot,
  tells,
} from '../support/bot.js';
import { freePort } from '../support/free-port.js';
import { openReceiver, type Receiver } from '../support/receiver.js';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const MODE = 'test/runtime/mode.test.ts';
const CONFIG = 'test/runtime/config.test.ts';
const STORY = 'test/operations/story.test.ts';
const METERS = 'test/runtime/metrics.test.ts';
const END_TO_END = 'test/scenarios/trades-end-to-end.test.ts';
const RIGHT_COMBINATION = 'arm the bot in the one right combination';
const TRADES_RECORDING =
  'trades a recording to its end, stops by itself, and its books equal the exchange to the last digit';
const DRY_THEN_LIVE = 'needs a healthy dry run first, which sends nothing there; then orders arrive';
const ARMING = 'test/supervision/live-arming.test.ts';
const SAFE_START = 'observes, and says why, when SAFE_MODE=true meets every live flag';
const SCRAPED =
  'is scraped by a real Prometheus server, whose rules fire for what happened and for nothing else';
const KEY_FILES =
  'that is good is taken up by every signer, and trading goes on after the old one is revoked';

const SOCKET_PAIR = 'may have a pair of their own for the private feed, from wherever the other comes';

/** What the whole bot did in a stretch of virtual time. */
interface Seen {
  /** Orders that left, ms from the start. */
  readonly submits: readonly number[];
  /** Reads of balances, and of open orders, as the exchange got them. */
  readonly balanceReads: readonly number[];
  readonly passes: number;
  /** Greatest reading of `ws_reconnect_rate`. */
  readonly reconnects: number;
  /** First placement of each hold, ms from the start of trouble. */
  readonly holds: ReadonlyMap<string, number>;
  readonly denials: ReadonlySet<string>;
  readonly restingAtEnd: number;
}

interface Scene {
  readonly strategy?: StrategyDefinition;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly symbols?: readonly string[];
  /** Set after ten seconds. */
  readonly fault?: string;
  readonly forMs?: number;
}

const QUIET = {
  marketPace: 0.05,
  slowIntervalMs: 750,
  markIntervalMs: 2_000,
  reconcileIntervalMs: 5_000,
  refreshMs: 1_000,
};
const CALM_MS = 10_000;

const watch = (scene: Scene, name: SettingName, value: string): Seen => {
  const submits: number[] = [];
  const balanceReads: number[] = [];
  const holds = new Map<string, number>();
  const denials = new Set<string>();
  let passes = 0;
  let reconnects = 0;
  let troubleMs = Number.POSITIVE_INFINITY;
  const world = createWorld({
    seed: 3,
    symbols: scene.symbols ?? ['BTCTRY'],
    strategy: scene.strategy ?? pulse,
    strategyConfig: scene.config ?? (scene.strategy === undefined ? { intervalMs: 100 } : {}),
    tempo: QUIET,
    env: { MAX_REPEATED_EXECUTIONS: '10000', MAX_ORDERS_PER_MINUTE: '10000', ...scene.env, [name]: value },
    watcher: {
      fateOf: ({ method, path }) => {
        const now = world.time.now().monoMs;
        if (method === 'POST') submits.push(now);
        if (path.startsWith('/api/v1/users/balances')) balanceReads.push(now);
        if (path.startsWith('/api/v1/openOrders')) passes += 1;
        return NORMAL;
      },
      onMetric: (_actor, { name: metric, value: reading }) => {
        if (metric === 'ws_reconnect_rate') reconnects = Math.max(reconnects, reading);
      },
      onLog: (_actor, _level, event, fields) => {
        if (event === 'intent-denied') denials.add(String(fields.code));
        if (event === 'hold-placed' && !holds.has(String(fields.cause)))
          holds.set(String(fields.cause), world.time.now().monoMs - troubleMs);
      },
    },
  });
  world.start();
  world.run(CALM_MS);
  if (scene.fault !== undefined) {
    troubleMs = world.time.now().monoMs;
    world.venue.admin({ type: 'set-fault', fault: parseFault(scene.fault) });
  }
  world.run(scene.forMs ?? 10_000);
  world.process.signal('SIGTERM');
  world.runToEnd(20_000);
  return {
    submits,
    balanceReads,
    passes,
    reconnects,
    holds,
    denials,
    restingAtEnd: world.exchangeAccount().open.size,
  };
};

/** Most of these times in any stretch of so many ms. */
const most = (times: readonly number[], withinMs: number): number =>
  Math.max(0, ...times.map(from => times.filter(at => at >= from && at < from + withinMs).length));

interface Row {
  readonly scene: Scene;
  readonly values: readonly [string, string];
  /** What is expected of what was seen with the first value and with the second. */
  readonly expected: (first: Seen, second: Seen) => void;
  readonly words: string;
}

/** With the first value the denial comes, with the second it does not. */
const denies = (code: string, tight: string, wide: string, scene: Scene = {}): Row => ({
  scene: { strategy: maker, ...scene },
  values: [tight, wide],
  words: `denies as ${code} at ${tight}, and not at ${wide}`,
  expected: (first, second) => {
    expect([...first.denials]).to.include(code);
    expect([...second.denials]).to.not.include(code);
  },
});

/** Several orders of 250 lira at once. */
const MANY_SMALL = {
  strategy: pulse,
  config: { intervalMs: 300, maxOpen: 4 },
  env: { MAX_OPEN_ORDERS: '20', MAX_OPEN_ORDERS_PER_SYMBOL: '10', MAX_NOTIONAL_PER_ORDER_TRY: '300' },
};

const SHOWN_HERE: Partial<Record<SettingName, Row>> = {
  BTCTURK_RATE_LIMIT_RPS: {
    scene: {},
    values: ['0.2', '8'],
    words: 'sends at its pace',
    expected: (first, second) => {
      expect(first.submits.length).to.be.at.most(30);
      expect(second.submits.length).to.be.greaterThan(2 * first.submits.length);
    },
  },
  BTCTURK_RATE_LIMIT_BURST: {
    scene: {
      symbols: ['BTCTRY', 'ETHTRY', 'USDTTRY'],
      env: { MAX_OPEN_ORDERS: '60', MAX_OPEN_ORDERS_PER_SYMBOL: '20' },
      config: { intervalMs: 50, maxOpen: 20 },
    },
    values: ['1', '8'],
    words: 'sends so many at once',
    expected: (first, second) => {
      expect(most(first.submits, 100)).to.equal(1);
      expect(most(second.submits, 100)).to.be.greaterThan(1);
    },
  },
  BTCTURK_REST_MAX_RETRIES: {
    scene: { fault: 'html-5xx,on=balances', forMs: 20_000 },
    values: ['0', '4'],
    words: 'repeats a failed read so often',
    expected: (first, second) =>
      expect(second.balanceReads.length).to.be.greaterThan(first.balanceReads.length),
  },
  BTCTURK_REST_BASE_DELAY_MS: {
    scene: { fault: 'html-5xx,on=balances', forMs: 20_000, env: { BTCTURK_REST_MAX_DELAY_MS: '4000' } },
    values: ['10', '4000'],
    words: 'waits so long before the first repeat',
    // The waits are drawn from nothing up to the bound, so only many of them show it.
    expected: (first, second) =>
      expect(first.balanceReads.length).to.be.greaterThan(1.2 * second.balanceReads.length),
  },
  BTCTURK_WS_IDLE_RECONNECT_MS: {
    scene: { fault: 'silent-stall', forMs: 12_000 },
    values: ['2000', '600000'],
    words: 'replaces a silent socket after it',
    expected: (first, second) => expect(first.reconnects).to.be.greaterThan(second.reconnects),
  },
  MAX_MARKET_DATA_AGE_MS: {
    scene: { fault: 'silent-stall', forMs: 20_000, env: { BTCTURK_WS_IDLE_RECONNECT_MS: '600000' } },
    values: ['2000', '10000'],
    words: 'holds when data is older',
    expected: (first, second) => {
      expect(first.holds.get('stale-data')).to.be.within(1_000, 4_000);
      expect(second.holds.get('stale-data')).to.be.within(8_000, 12_000);
    },
  },
  RECONCILE_INTERVAL_MS: {
    scene: { strategy: maker, forMs: 30_000 },
    values: ['2000', '20000'],
    words: 'looks at the account that often',
    expected: (first, second) => expect(first.passes).to.be.greaterThan(2 * second.passes),
  },
  RECONCILE_MAX_LAG_MS: {
    scene: { fault: 'html-5xx,on=open-orders', forMs: 40_000 },
    values: ['10000', '300000'],
    words: 'holds when no pass came for so long',
    expected: (first, second) => {
      expect(first.holds.get('reconcile-lag')).to.be.within(5_000, 15_000);
      expect(second.holds.has('reconcile-lag')).to.equal(false);
    },
  },
  MAX_OPEN_ORDERS: {
    scene: { strategy: maker, symbols: ['BTCTRY', 'ETHTRY'], env: { MAX_OPEN_ORDERS_PER_SYMBOL: '1' } },
    values: ['1', '2'],
    words: 'lets so many rest on all pairs',
    expected: (first, second) => {
      expect(first.restingAtEnd).to.equal(1);
      expect(second.restingAtEnd).to.equal(2);
    },
  },
  MAX_OPEN_ORDERS_PER_SYMBOL: {
    scene: { strategy: maker },
    values: ['1', '2'],
    words: 'lets so many rest on one pair',
    expected: (first, second) => {
      expect(first.restingAtEnd).to.equal(1);
      expect(second.restingAtEnd).to.equal(2);
    },
  },
  MAX_NOTIONAL_PER_ORDER_TRY: denies('notional-exceeds-limit', '1', '100000'),
  MAX_POSITION_NOTIONAL_TRY: denies('position-exceeds-limit', '300', '100000000', MANY_SMALL),
  MAX_GROSS_EXPOSURE_TRY: denies('exposure-exceeds-limit', '300', '100000000', {
    ...MANY_SMALL,
    symbols: ['BTCTRY', 'ETHTRY'],
    env: { ...MANY_SMALL.env, MAX_POSITION_NOTIONAL_TRY: '300' },
  }),
  MAX_DAILY_LOSS_TRY: {
    scene: { strategy: pulse, config: { intervalMs: 1_000, offsetBps: -50 }, forMs: 20_000 },
    values: ['0.01', '1000000'],
    words: 'stops at so great a loss',
    expected: (first, second) => {
      expect(first.holds.has('loss-limit')).to.equal(true);
      expect(second.holds.has('loss-limit')).to.equal(false);
    },
  },
  PRICE_COLLAR_BPS: denies('price-outside-collar', '1', '5000', {
    strategy: pulse,
    config: { intervalMs: 1_000, offsetBps: 100 },
  }),
  MAX_ORDERS_PER_MINUTE: denies('orders-per-minute-exceed-limit', '3', '10000'),
  MAX_REPEATED_EXECUTIONS: {
    scene: { config: { intervalMs: 200 }, forMs: 20_000 },
    values: ['2', '10000'],
    words: 'disables the strategy after so many',
    expected: (first, second) => {
      expect(first.holds.has('repeat-execution')).to.equal(true);
      expect(second.holds.has('repeat-execution')).to.equal(false);
    },
  },
  SHUTDOWN_OPEN_ORDERS: {
    scene: { strategy: maker },
    values: ['leave', 'cancel'],
    words: 'leaves or cancels what rests at the stop',
    expected: (first, second) => {
      expect(first.restingAtEnd).to.be.greaterThan(0);
      expect(second.restingAtEnd).to.equal(0);
    },
  },
};

/** Shown below by the bot of threads and sockets, or by a test of its own in this file. */
const OWN_TITLES: Partial<Record<SettingName, string>> = {
  PAPER_BALANCES: 'opens the account it was told to, on the pairs it was told',
  SYMBOLS: 'opens the account it was told to, on the pairs it was told',
  STRATEGY_CONFIG: 'trades by the parameters it was given',
  LOG_LEVEL: 'says no more than it was told to',
  OBSERVABILITY_PROMETHEUS_HOST: 'shows its metrics at the address it was told, and at no other',
  ALERT_TELEGRAM_CHAT_ID: 'tells the chat it was given, with the token of the file',
  ALERT_TELEGRAM_TOKEN_FILE: 'tells the chat it was given, with the token of the file',
  ALERT_TELEGRAM_URL: 'tells the chat it was given, with the token of the file',
  BTCTURK_GRAPH_URL: 'asks the chart host for candles, and the REST host for the rest',
};

/** The test that shows each other setting: its file, and its title as it stands there. */
const SHOWN_ELSEWHERE: Partial<Record<SettingName, readonly [file: string, title: string]>> = {
  SAFE_MODE: [STORY, SAFE_START],
  DRY_RUN: [ARMING, DRY_THEN_LIVE],
  KILL_SWITCH: ['test/workers/execution.test.ts', 'cancels by the operator’s hand under the kill switch'],
  LIVE_TRADING: [MODE, RIGHT_COMBINATION],
  LIVE_TRADING_ACK: [MODE, RIGHT_COMBINATION],
  LIVE_READINESS_MIN_MINUTES: [ARMING, DRY_THEN_LIVE],
  VENUE: [MODE, 'let the bot trade on the embedded exchange when they are unset, and win when they are set'],
  PAPER_RECORDING: [END_TO_END, TRADES_RECORDING],
  PAPER_SPEED: [END_TO_END, 'does the same on the shared recording at twenty times its speed'],
  PAPER_SEED: [
    'test/exchange/generator.test.ts',
    'is the same to the byte for the same seed, whatever the rhythm of the ticks, and another for another',
  ],
  PAPER_TWIN: [
    'test/research/twin.test.ts',
    'makes the orders of a paper run again beside it, and finds next to no gap',
  ],
  STRATEGY: [
    'test/runtime/strategy-module.test.ts',
    'is loaded as JavaScript and as TypeScript, relative to the working directory',
  ],
  STRATEGIES: [
    'test/strategies/stories.test.ts',
    'several of them trade side by side, each in its own name, and find their positions after a kill',
  ],
  UNIVERSE: [
    'test/domain/universe.test.ts',
    'never holds a symbol that is not allowed, and accounts for every one',
  ],
  BTCTURK_BASE_URL: [ARMING, DRY_THEN_LIVE],
  BTCTURK_WS_URL: [ARMING, DRY_THEN_LIVE],
  BTCTURK_REST_MAX_DELAY_MS: [
    'test/domain/read-schedule.test.ts',
    'repeats a read after a jittered pause that grows, and gives up after its retries',
  ],
  BTCTURK_API_KEY: [
    CONFIG,
    'come from the environment first, then from mounted files, then from the dotenv file',
  ],
  BTCTURK_API_SECRET: [
    CONFIG,
    'come from the environment first, then from mounted files, then from the dotenv file',
  ],
  BTCTURK_API_KEY_FILE: ['test/operations/key-rotation.test.ts', KEY_FILES],
  BTCTURK_API_SECRET_FILE: ['test/operations/key-rotation.test.ts', KEY_FILES],
  BTCTURK_WS_API_KEY: [CONFIG, SOCKET_PAIR],
  BTCTURK_WS_API_SECRET: [CONFIG, SOCKET_PAIR],
  BTCTURK_WS_API_KEY_FILE: [CONFIG, SOCKET_PAIR],
  BTCTURK_WS_API_SECRET_FILE: [CONFIG, SOCKET_PAIR],
  BTCTURK_API_SCOPES: [MODE, 'with a key that may withdraw'],
  BTCTURK_SECRET_ROTATED_AT: [MODE, 'accept a key on its last day'],
  BTCTURK_SECRET_MAX_AGE_DAYS: [MODE, 'follow the greatest age that was set for the key'],
  PRICE_DRIFT_BPS: ['test/domain/risk.test.ts', 'as far as the operator says'],
  MAX_DRAWDOWN_PCT: ['test/domain/risk.test.ts', 'when the drawdown is reached'],
  STATE_DB_PATH: ['test/ledger/store.test.ts', 'have one owner at a time, in this process too'],
  OBSERVABILITY_ENABLED: [METERS, 'measure nothing and listen nowhere when they are off'],
  OBSERVABILITY_METRICS_EXPORTER: [
    STORY,
    'pushes the eight signals over OTLP, and goes on trading when the collector hangs',
  ],
  OBSERVABILITY_OTLP_ENDPOINT: [
    STORY,
    'pushes the eight signals over OTLP, and goes on trading when the collector hangs',
  ],
  OBSERVABILITY_PROMETHEUS_PORT: [STORY, SCRAPED],
  ALERT_WEBHOOK_URL: [STORY, 'tells that it has started and is armed'],
};

describe('every setting', () => {
  it('names a test that shows what it changes', () => {
    const shown = new Set([SHOWN_HERE, OWN_TITLES, SHOWN_ELSEWHERE].flatMap(rows => Object.keys(rows)));
    expect(SETTING_NAMES.filter(name => !shown.has(name))).to.deep.equal([]);
    expect([...shown].filter(name => !SETTING_NAMES.includes(name as SettingName))).to.deep.equal([]);
  });

  for (const [name, [file, title]] of Object.entries(SHOWN_ELSEWHERE))
    it(`${name} is shown by a test that exists`, () => {
      expect(
        readFileSync(join(ROOT, file), 'utf8').includes(title),
        `${file} has the title ${title}`,
      ).to.equal(true);
    });

  it('that the simulated workers read is read by the real ones', () => {
    const readBy = (path: string): ReadonlySet<string> =>
      new Set(
        [...readFileSync(join(ROOT, path), 'utf8').matchAll(/settings\.((?:[a-z]\w*\.)*[a-z]\w*)/gi)].map(
          match => match[1] ?? '',
        ),
      );
    for (const actor of ['execution', 'reconciliation', 'market-data', 'strategy']) {
      const real = readBy(`workers/${actor}.ts`);
      for (const path of readBy(`src/simulation/sim-${actor}.ts`))
        if (path !== 'js')
          expect(
            [...real].some(
              other =>
                other === path || path.startsWith(`${other}.`) || other.startsWith(`${path.split('.')[0]}`),
            ),
            `workers/${actor}.ts reads settings.${path}`,
          ).to.equal(true);
    }
  });
});

describe('a setting, in the whole bot under virtual time', function () {
  this.timeout(60_000);
  for (const [name, row] of Object.entries(SHOWN_HERE) as [SettingName, Row][])
    it(`${name} ${row.words}`, () => {
      const [first, second] = row.values;
      row.expected(watch(row.scene, name, first), watch(row.scene, name, second));
    });
});

describe('a bot of threads and sockets with its settings', function () {
  this.timeout(60_000);
  let folder: string;
  let bot: RunningBot;
  let chat: Receiver<{ readonly chat_id: string; readonly text: string }>;
  let settings: Record<string, string>;
  let port: number;
  before(async () => {
    folder = botFolder();
    chat = await openReceiver(body => JSON.parse(body.toString()) as { chat_id: string; text: string });
    port = await freePort();
    writeFileSync(join(folder, 'token'), '12345:not-a-real-token');
    settings = {
      VENUE: 'paper',
      SYMBOLS: 'ETHTRY',
      PAPER_BALANCES: 'TRY=54321.5,ETH=3.25',
      STRATEGY: 'pulse',
      STRATEGY_CONFIG: '{"intervalMs":200,"notional":"1234"}',
      STATE_DB_PATH: databaseIn(folder),
      LOG_LEVEL: 'warn',
      OBSERVABILITY_ENABLED: 'true',
      OBSERVABILITY_METRICS_EXPORTER: 'prometheus',
      OBSERVABILITY_PROMETHEUS_HOST: '127.0.0.2',
      OBSERVABILITY_PROMETHEUS_PORT: String(port),
      ALERT_TELEGRAM_CHAT_ID: '-100777',
      ALERT_TELEGRAM_TOKEN_FILE: join(folder, 'token'),
      ALERT_TELEGRAM_URL: chat.url,
    };
    bot = startBot(settings);
    await chat.until(({ text }) => text.includes('new orders may be sent'));
  });
  after(async () => {
    bot.kill('SIGKILL');
    await bot.ended;
    chat.close();
    removeFolder(folder);
  });

  it('tells the chat it was given, with the token of the file', () => {
    expect(chat.received.every(body => body.chat_id === '-100777')).to.equal(true);
  });

  it('shows its metrics at the address it was told, and at no other', async () => {
    expect(await (await fetch(`http://127.0.0.2:${port}/metrics`)).text()).to.contain('ws_reconnect_rate');
    const elsewhere = await fetch(`http://127.0.0.1:${port}/metrics`).then(
      () => 'answered',
      () => 'refused',
    );
    expect(elsewhere).to.equal('refused');
  });

  it('trades by the parameters it was given', async () => {
    for (;;) {
      const { orders } = await askVerb<{ orders: { symbol: string; price: string; quantity: string }[] }>(
        'orders',
        settings,
      );
      const [order] = orders;
      if (order === undefined) continue;
      expect(order.symbol).to.equal('ETHTRY');
      expect(Number(order.price) * Number(order.quantity)).to.be.within(1_000, 1_400);
      return;
    }
  });

  it('opens the account it was told to, on the pairs it was told', async () => {
    bot.kill('SIGTERM');
    expect((await bot.ended).code).to.equal(0);
    const { balances } = await askVerb<{ balances: { asset: string; total: string }[] }>(
      'balances',
      settings,
    );
    const total = (asset: string): number => Number(balances.find(each => each.asset === asset)?.total);
    // What was traded since is a small part of it.
    expect(total('TRY')).to.be.within(20_000, 90_000);
    expect(total('ETH')).to.be.within(2.5, 4);
    expect(balances.find(each => each.asset === 'BTC')?.total ?? '0').to.equal('0');
  });

  it('says no more than it was told to', () => {
    expect(
      bot.events.filter(({ level }) => level === 'info' || level === 'debug').map(({ event }) => event),
    ).to.deep.equal(bot.events.filter(tells('closing-summary')).map(({ event }) => event));
  });
});

describe('a client with two hosts', () => {
  it('asks the chart host for candles, and the REST host for the rest', async () => {
    const paths: Record<'rest' | 'graph', number> = { rest: 0, graph: 0 };
    const open = (host: 'rest' | 'graph'): Promise<ReturnType<typeof createServer>> =>
      new Promise(resolve => {
        const server = createServer(socket => {
          paths[host] += 1;
          socket.end('HTTP/1.1 503 Closed\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
        }).listen(0, '127.0.0.1', () => resolve(server));
      });
    const [rest, graph] = [await open('rest'), await open('graph')];
    const urlOf = (server: ReturnType<typeof createServer>): string =>
      `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const client = createRestClient({
      endpoints: { baseUrl: urlOf(rest), graphUrl: urlOf(graph), wsUrl: 'ws://127.0.0.1:1' },
      credentials: null,
    });
    try {
      await client.read({ type: 'candles', symbol: 'BTCTRY', resolution: '60', fromMs: 0, toMs: 1 });
      expect(paths).to.deep.equal({ rest: 0, graph: 1 });
      await client.read({ type: 'server-time' });
      expect(paths).to.deep.equal({ rest: 1, graph: 1 });
    } finally {
      await client.close();
      rest.close();
      graph.close();
    }
  });
});
