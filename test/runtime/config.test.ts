import { expect } from 'chai';
import { formatDecimal, parseDecimal } from '#src/domain/money.js';
import { NO_RULES } from '#src/domain/universe.js';
import { type ConfigInputs, canonicalJson, loadSettings, renderProblem } from '#src/runtime/config.js';
import { practiceLimits } from '#src/runtime/practice-limits.js';
import { SETTING_NAMES, SETTINGS, type SettingName } from '#src/runtime/setting-table.js';
import type { Settings } from '#src/runtime/settings.js';

const NOW = Date.parse('2026-09-23T12:00:00Z');
const CWD = '/home/bot';

interface Given {
  readonly env?: Readonly<Record<string, string>>;
  readonly file?: unknown;
  readonly files?: Readonly<Record<string, string>>;
  readonly evidence?: ConfigInputs['evidenceRefusals'];
}

const load = ({ env = {}, file, files = {}, evidence }: Given) =>
  loadSettings({
    env,
    configFile: file === undefined ? undefined : 'bot.json',
    cwd: CWD,
    readFile: path => {
      if (path === `${CWD}/bot.json` && file !== undefined)
        return typeof file === 'string' ? file : JSON.stringify(file);
      const text = files[path];
      if (text === undefined) throw new Error(`ENOENT: no such file, open '${path}'`);
      return text;
    },
    nowMs: NOW,
    ...(evidence === undefined ? {} : { evidenceRefusals: evidence }),
  });

const settingsOf = (given: Given): Settings => {
  const loaded = load(given);
  if (!loaded.ok) throw new Error(loaded.problems.map(renderProblem).join('\n'));
  return loaded.settings;
};
const problemsOf = (given: Given): readonly string[] => {
  const loaded = load(given);
  return loaded.ok ? [] : loaded.problems.map(renderProblem);
};

/** Per setting: a good text with what it comes to, and texts that are refused. */
const TABLE: Readonly<
  Record<
    Exclude<
      SettingName,
      | 'SAFE_MODE'
      | 'DRY_RUN'
      | 'KILL_SWITCH'
      | 'LIVE_TRADING'
      | 'LIVE_TRADING_ACK'
      | 'BTCTURK_API_KEY'
      | 'BTCTURK_API_SECRET'
      | 'BTCTURK_API_KEY_FILE'
      | 'BTCTURK_API_SECRET_FILE'
      | 'BTCTURK_WS_API_KEY'
      | 'BTCTURK_WS_API_SECRET'
      | 'BTCTURK_WS_API_KEY_FILE'
      | 'BTCTURK_WS_API_SECRET_FILE'
    >,
    {
      readonly good: readonly [text: string, value: unknown];
      readonly bad: readonly string[];
      read(settings: Settings): unknown;
      /** What the setting needs beside it. */
      readonly env?: Readonly<Record<string, string>>;
    }
  >
> = {
  LIVE_READINESS_MIN_MINUTES: {
    good: ['45', 45],
    bad: ['', '-1', 'soon', '29.9', '1e3'],
    read: s => s.liveReadinessMinMinutes,
  },
  VENUE: { good: ['paper', 'paper'], bad: ['', 'Paper', 'binance', ' paper'], read: s => s.venue },
  PAPER_TWIN: { good: ['true', true], bad: ['', 'yes', 'True', '1'], read: s => s.paperTwin },
  PAPER_RECORDING: {
    good: ['a.jsonl.gz', `${CWD}/a.jsonl.gz`],
    bad: [' a', 'a\nb'],
    env: { VENUE: 'paper' },
    read: s => s.paper.recording,
  },
  PAPER_SPEED: {
    good: ['max', Number.POSITIVE_INFINITY],
    bad: ['', '0', '-1', 'MAX', '10001', 'fast'],
    read: s => s.paper.speed,
  },
  PAPER_SEED: { good: ['7', 7], bad: ['', '-1', '1.5', '4294967296'], read: s => s.paper.seed },
  PAPER_BALANCES: {
    good: ['TRY=12.5,BTC=0', { TRY: '12.5', BTC: '0' }],
    bad: ['', 'TRY', 'TRY=', 'TRY=-1', 'TRY=1,TRY=2', 'try=1', 'TRY=1e3'],
    read: s =>
      Object.fromEntries([...s.paper.balances].map(([asset, amount]) => [asset, formatDecimal(amount)])),
  },
  SYMBOLS: {
    good: ['BTCTRY,ETHTRY', ['BTCTRY', 'ETHTRY']],
    bad: ['', 'btctry', 'BTC_TRY', 'BTCTRY,BTCTRY', 'BTCTRY,', 'X'],
    read: s => s.symbols,
  },
  STRATEGY: { good: ['./mine.js', './mine.js'], bad: ['', ' maker', 'a\tb'], read: s => s.strategy },
  STRATEGY_CONFIG: {
    good: ['{"a":[1]}', { a: [1] }],
    bad: ['', '{', '{"a":', 'missing.json'],
    read: s => s.strategyConfig,
  },
  STRATEGIES: {
    good: [
      '[{"name":"a","strategy":"maker"},{"name":"b","strategy":"./b.ts","symbols":["BTCTRY"],"config":{"x":1},"universe":{"deny":["BTCTRY"]}}]',
      [
        { name: 'a', strategy: 'maker', symbols: ['BTCTRY'], config: {}, universe: null },
        {
          name: 'b',
          strategy: './b.ts',
          symbols: ['BTCTRY'],
          config: { x: 1 },
          universe: { ...NO_RULES, deny: ['BTCTRY'] },
        },
      ],
    ],
    bad: [
      '[',
      '{}',
      '[]',
      '[{}]',
      '[{"name":"A","strategy":"maker"}]',
      '[{"name":"a","strategy":"maker","extra":1}]',
      '[{"name":"a","strategy":"maker","symbols":["ETHTRY"]}]',
      '[{"name":"a-b","strategy":"maker"},{"name":"ab","strategy":"maker"}]',
      '[{"name":"a","strategy":"maker","universe":{"minVolume":-1}}]',
      'missing.json',
    ],
    read: s => s.strategies,
  },
  UNIVERSE: {
    good: [
      '{"minVolume":"1.5","maxSpreadBps":10,"minAgeMs":5,"allow":["BTCTRY"],"cooldownMs":7,"maxSymbols":2}',
      {
        minVolume: parseDecimal('1.5'),
        maxSpreadBps: 10,
        minAgeMs: 5,
        allow: ['BTCTRY'],
        deny: [],
        cooldownMs: 7,
        maxSymbols: 2,
      },
    ],
    bad: ['[]', '{"minVolume":"x"}', '{"maxSymbols":0}', '{"volume":1}', 'missing.json'],
    read: s => s.strategies[0]?.universe,
  },
  BTCTURK_BASE_URL: {
    good: ['http://127.0.0.1:8080/', 'http://127.0.0.1:8080'],
    bad: [
      '',
      'http://api.btcturk.com',
      'https://api.btcturk.com.evil.org',
      'https://btcturk.com@evil.org',
      'https://evil-btcturk.com',
      'https://api.btcturk.com:8443',
      'https://api.btcturk.com/api',
      'ftp://127.0.0.1',
      'http://10.0.0.1',
      'https://127.0.0.1',
      'api.btcturk.com',
    ],
    read: s => s.endpoints.baseUrl,
  },
  BTCTURK_GRAPH_URL: {
    good: ['https://graph.btcturk.com', 'https://graph.btcturk.com'],
    bad: ['', 'https://graph.example.org', 'wss://graph-api.btcturk.com'],
    read: s => s.endpoints.graphUrl,
  },
  BTCTURK_WS_URL: {
    good: ['ws://[::1]:9000', 'ws://[::1]:9000'],
    bad: [
      '',
      'ws://ws-feed-pro.btcturk.com',
      'https://ws-feed-pro.btcturk.com',
      'wss://127.0.0.1',
      'ws://192.168.1.5',
    ],
    read: s => s.endpoints.wsUrl,
  },
  BTCTURK_API_SCOPES: {
    good: ['Read, trade', ['read', 'trade']],
    bad: ['1', 'read;trade'],
    read: s => s.secrets.scopes,
  },
  BTCTURK_SECRET_ROTATED_AT: {
    good: ['2026-09-01', '2026-09-01'],
    bad: [' x', 'a\nb'],
    read: s => s.secrets.rotatedAt,
  },
  BTCTURK_SECRET_MAX_AGE_DAYS: {
    good: ['30', 30],
    bad: ['', '0', '1.5', 'ninety'],
    read: s => s.secrets.maxAgeDays,
  },
  BTCTURK_RATE_LIMIT_RPS: {
    good: ['2.5', 2.5],
    bad: ['', '0', '9', '-1', 'fast'],
    read: s => s.rest.rateLimitRps,
  },
  BTCTURK_RATE_LIMIT_BURST: { good: ['4', 4], bad: ['', '0', '9', '2.5'], read: s => s.rest.rateLimitBurst },
  BTCTURK_REST_BASE_DELAY_MS: {
    good: ['800', 800],
    bad: ['', '9', '4001', '1s'],
    read: s => s.rest.baseDelayMs,
  },
  BTCTURK_REST_MAX_DELAY_MS: {
    good: ['8000', 8_000],
    bad: ['', '399', '300001'],
    read: s => s.rest.maxDelayMs,
  },
  BTCTURK_REST_MAX_RETRIES: { good: ['0', 0], bad: ['', '-1', '11'], read: s => s.rest.maxRetries },
  BTCTURK_WS_IDLE_RECONNECT_MS: {
    good: ['5000', 5_000],
    bad: ['', '999', '5s'],
    read: s => s.wsIdleReconnectMs,
  },
  MAX_MARKET_DATA_AGE_MS: { good: ['2000', 2_000], bad: ['', '99', 'old'], read: s => s.maxMarketDataAgeMs },
  RECONCILE_INTERVAL_MS: {
    good: ['1000', 1_000],
    bad: ['', '499', '60001'],
    read: s => s.reconcileIntervalMs,
  },
  RECONCILE_MAX_LAG_MS: {
    good: ['20000', 20_000],
    bad: ['', '999', '14999'],
    read: s => s.reconcileMaxLagMs,
  },
  MAX_OPEN_ORDERS: { good: ['25', 25], bad: ['', '0', '241', '2.5'], read: s => s.risk.maxOpenOrders },
  MAX_OPEN_ORDERS_PER_SYMBOL: {
    good: ['5', 5],
    bad: ['', '0', '6'],
    read: s => s.risk.maxOpenOrdersPerSymbol,
  },
  MAX_NOTIONAL_PER_ORDER_TRY: {
    good: ['2500.5', '2500.5'],
    bad: ['0', '-1', '1e5', '1,000', 'much'],
    read: s => formatDecimal(s.risk.maxNotionalPerOrderTry ?? 0n),
  },
  MAX_POSITION_NOTIONAL_TRY: {
    good: ['9000', '9000'],
    bad: ['0', 'x'],
    read: s => formatDecimal(s.risk.maxPositionNotionalTry ?? 0n),
  },
  MAX_GROSS_EXPOSURE_TRY: {
    good: ['9000', '9000'],
    bad: ['0', 'x'],
    read: s => formatDecimal(s.risk.maxGrossExposureTry ?? 0n),
  },
  MAX_DAILY_LOSS_TRY: {
    good: ['100', '100'],
    bad: ['0', 'x'],
    read: s => formatDecimal(s.risk.maxDailyLossTry ?? 0n),
  },
  MAX_DRAWDOWN_PCT: { good: ['5.5', 5.5], bad: ['0', '101', '5%'], read: s => s.risk.maxDrawdownPct },
  PRICE_DRIFT_BPS: { good: ['300', 300], bad: ['0', '5001', 'wide'], read: s => s.risk.priceDriftBps },
  PRICE_COLLAR_BPS: { good: ['50', 50], bad: ['0', '5001', '0.5'], read: s => s.risk.priceCollarBps },
  MAX_ORDERS_PER_MINUTE: {
    good: ['60', 60],
    bad: ['0', '10001', '1.5'],
    read: s => s.risk.maxOrdersPerMinute,
  },
  MAX_REPEATED_EXECUTIONS: {
    good: ['3', 3],
    bad: ['0', '10001', 'few'],
    read: s => s.risk.maxRepeatedExecutions,
  },
  SHUTDOWN_OPEN_ORDERS: {
    good: ['cancel', 'cancel'],
    bad: ['', 'Cancel', 'keep'],
    read: s => s.shutdownOpenOrders,
  },
  STATE_DB_PATH: {
    good: ['x/b.sqlite', `${CWD}/x/b.sqlite`],
    bad: ['', ' x', 'a\u0000b'],
    read: s => s.stateDbPath,
  },
  OBSERVABILITY_ENABLED: {
    good: ['true', true],
    bad: ['', 'TRUE', '1', 'yes'],
    read: s => s.observability.enabled,
  },
  OBSERVABILITY_METRICS_EXPORTER: {
    good: ['prometheus', 'prometheus'],
    bad: ['', 'Prometheus', 'statsd'],
    read: s => s.observability.exporter,
  },
  OBSERVABILITY_OTLP_ENDPOINT: {
    good: ['http://127.0.0.1:4318/v1/metrics', 'http://127.0.0.1:4318/v1/metrics'],
    bad: ['127.0.0.1:4318', 'grpc://x'],
    read: s => s.observability.otlpEndpoint,
  },
  ALERT_WEBHOOK_URL: {
    good: ['https://alerts.example.org/hook', 'https://alerts.example.org/hook'],
    bad: ['http://alerts.example.org/hook', 'alerts.example.org', 'https://user@alerts.example.org/'],
    read: s => s.alerts.webhookUrl,
  },
  ALERT_TELEGRAM_CHAT_ID: {
    good: ['-100200', '-100200'],
    bad: [' 1'],
    read: s => s.alerts.telegram?.chatId,
    env: { ALERT_TELEGRAM_TOKEN_FILE: 'token' },
  },
  ALERT_TELEGRAM_TOKEN_FILE: {
    good: ['token', `${CWD}/token`],
    bad: [' token'],
    read: s => s.alerts.telegram?.tokenFile,
    env: { ALERT_TELEGRAM_CHAT_ID: '-100200' },
  },
  ALERT_TELEGRAM_URL: {
    good: ['http://127.0.0.1:8081', 'http://127.0.0.1:8081'],
    bad: ['', 'http://telegram.example.org', 'ftp://127.0.0.1'],
    read: s => s.alerts.telegram?.url,
    env: { ALERT_TELEGRAM_CHAT_ID: '-100200', ALERT_TELEGRAM_TOKEN_FILE: 'token' },
  },
  OBSERVABILITY_PROMETHEUS_PORT: {
    good: ['9999', 9_999],
    bad: ['', '0', '65536', '80a'],
    read: s => s.observability.prometheusPort,
  },
  OBSERVABILITY_PROMETHEUS_HOST: {
    good: ['0.0.0.0', '0.0.0.0'],
    bad: ['', ' x'],
    read: s => s.observability.prometheusHost,
  },
  LOG_LEVEL: { good: ['debug', 'debug'], bad: ['', 'DEBUG', 'verbose'], read: s => s.logLevel },
};

describe('settings', () => {
  for (const [name, { good, bad, read, env = {} }] of Object.entries(TABLE)) {
    it(`${name}=${good[0]} is taken from the environment, and from a file under the same name`, () => {
      expect(read(settingsOf({ env: { ...env, [name]: good[0] } }))).to.deep.equal(good[1]);
      expect(read(settingsOf({ env, file: { [name]: good[0] } }))).to.deep.equal(good[1]);
    });
    for (const text of bad)
      it(`${name}=${JSON.stringify(text)} is refused, naming the setting`, () => {
        const problems = problemsOf({ env: { ...env, [name]: text } });
        expect(problems.length, problems.join('\n')).to.be.greaterThan(0);
        expect(problems.join('\n')).to.contain(name);
      });
  }

  it('have a row in this table, one and all', () => {
    const secretsAndFlags = SETTING_NAMES.filter(name => {
      const { role } = SETTINGS[name] as { readonly role?: string };
      return role === 'mode' || role === 'secret' || /^BTCTURK_(WS_)?API_.*_FILE$/.test(name);
    });
    expect([...Object.keys(TABLE), ...secretsAndFlags].sort()).to.deep.equal([...SETTING_NAMES].sort());
  });

  it('have the defaults of the contract', () => {
    const settings = settingsOf({});
    expect(settings.flags).to.deep.equal({
      safeMode: true,
      dryRun: true,
      killSwitch: true,
      liveTrading: false,
      liveAcknowledged: false,
    });
    expect(settings.venue).to.equal('btcturk');
    expect(settings.mode).to.equal('dry-run');
    expect(settings.symbols).to.deep.equal(['BTCTRY']);
    expect(settings.strategy).to.equal('observe');
    expect(settings.endpoints).to.deep.equal({
      baseUrl: 'https://api.btcturk.com',
      graphUrl: 'https://graph-api.btcturk.com',
      wsUrl: 'wss://ws-feed-pro.btcturk.com',
    });
    expect(settings.rest).to.deep.equal({
      rateLimitRps: 8,
      rateLimitBurst: 8,
      baseDelayMs: 400,
      maxDelayMs: 4_000,
      maxRetries: 4,
    });
    expect(settings.wsIdleReconnectMs).to.equal(30_000);
    expect(settings.maxMarketDataAgeMs).to.equal(5_000);
    expect([settings.reconcileIntervalMs, settings.reconcileMaxLagMs]).to.deep.equal([15_000, 60_000]);
    expect([settings.risk.maxOpenOrders, settings.risk.maxOpenOrdersPerSymbol]).to.deep.equal([5, 1]);
    expect(settings.shutdownOpenOrders).to.equal('leave');
    expect(settings.stateDbPath).to.equal(`${CWD}/data/btcbot.sqlite`);
    expect(settings.observability).to.deep.equal({
      enabled: false,
      exporter: 'none',
      otlpEndpoint: null,
      prometheusPort: 9_464,
      prometheusHost: '127.0.0.1',
    });
    expect(settings.secrets).to.deep.equal({ scopes: [], rotatedAt: null, maxAgeDays: 90 });
    expect(settings.liveReadinessMinMinutes).to.equal(30);
    expect(settings.logLevel).to.equal('info');
    expect([settings.paper.speed, settings.paper.seed, settings.paper.recording]).to.deep.equal([1, 1, null]);
  });

  it('in the environment win over those in the file', () => {
    expect(settingsOf({ env: { LOG_LEVEL: 'warn' }, file: { LOG_LEVEL: 'error' } }).logLevel).to.equal(
      'warn',
    );
  });

  it('in a file may be JSON numbers, truth values, lists and objects', () => {
    const settings = settingsOf({
      file: {
        MAX_OPEN_ORDERS: 7,
        OBSERVABILITY_ENABLED: true,
        SYMBOLS: ['BTCTRY', 'ETHTRY'],
        PAPER_BALANCES: { TRY: '5', BTC: 1 },
        STRATEGY_CONFIG: { width: 3 },
        MAX_DAILY_LOSS_TRY: 100,
      },
    });
    expect(settings.risk.maxOpenOrders).to.equal(7);
    expect(settings.observability.enabled).to.equal(true);
    expect(settings.symbols).to.deep.equal(['BTCTRY', 'ETHTRY']);
    expect([...settings.paper.balances.keys()]).to.deep.equal(['TRY', 'BTC']);
    expect(settings.strategyConfig).to.deep.equal({ width: 3 });
    expect(formatDecimal(settings.risk.maxDailyLossTry!)).to.equal('100');
  });

  it('read the strategy’s parameters from a path: beside the file that names it, or in the working directory', () => {
    const files = { [`${CWD}/p.json`]: '{"from":"path"}' };
    expect(settingsOf({ env: { STRATEGY_CONFIG: 'p.json' }, files }).strategyConfig).to.deep.equal({
      from: 'path',
    });
    expect(settingsOf({ file: { STRATEGY_CONFIG: './p.json' }, files }).strategyConfig).to.deep.equal({
      from: 'path',
    });
  });

  it('name their file through BTCBOT_CONFIG, too', () => {
    const files = { '/etc/bot.json': '{"LOG_LEVEL":"debug"}' };
    expect(settingsOf({ env: { BTCBOT_CONFIG: '/etc/bot.json' }, files }).logLevel).to.equal('debug');
  });

  it('count empty text as unset where nothing may be set, as compose files hand it on', () => {
    const settings = settingsOf({
      env: { MAX_DAILY_LOSS_TRY: '', BTCTURK_API_KEY: '', PAPER_RECORDING: '' },
    });
    expect(settings.risk.maxDailyLossTry).to.equal(practiceLimits.MAX_DAILY_LOSS_TRY);
    expect(settings.paper.recording).to.equal(null);
  });
});

describe('problems with settings', () => {
  it('are all told at once, each with where, what and what to do', () => {
    expect(
      problemsOf({
        env: { SYMBOLS: 'btctry', MAX_OPEN_ORDER: '3', LOG_LEVEL: 'loud' },
        file: { STRATEGI: 'maker', MAX_OPEN_ORDERS: 0 },
      }),
    ).to.deep.equal([
      'bot.json, key STRATEGI: STRATEGI is not a setting; write STRATEGY, or remove it',
      'environment: MAX_OPEN_ORDER is not a setting; write MAX_OPEN_ORDERS, or remove it',
      'environment: SYMBOLS "btctry" is not 1 to 20 different pairs such as BTCTRY, separated by commas; write SYMBOLS=BTCTRY',
      'bot.json, key MAX_OPEN_ORDERS: MAX_OPEN_ORDERS 0 is not a whole number from 1 to 240; write a whole number from 1 to 240',
      'environment: LOG_LEVEL "loud" is not one of trace, debug, info, warn, error, fatal; write one of trace, debug, info, warn, error, fatal',
    ]);
  });

  for (const [name, meant] of [
    ['SAFE_MOD', 'SAFE_MODE'],
    ['SAFEMODE', 'SAFE_MODE'],
    ['safe_mode', 'SAFE_MODE'],
    ['DRYRUN', 'DRY_RUN'],
    ['KILL_SWICH', 'KILL_SWITCH'],
    ['LIVE_TRADE', 'LIVE_TRADING'],
    ['PRICE_COLLAR_BSP', 'PRICE_COLLAR_BPS'],
    ['BTCTURK_APIKEY', 'BTCTURK_API_KEY'],
    ['SYMBOL', 'SYMBOLS'],
    ['VENUES', 'VENUE'],
    ['STATE_DB_PAHT', 'STATE_DB_PATH'],
    ['LOG_LEVELS', 'LOG_LEVEL'],
  ] as const)
    it(`suggest ${meant} for ${name}`, () => {
      expect(problemsOf({ env: { [name]: 'x' } })).to.deep.equal([
        `environment: ${name} is not a setting; write ${meant}, or remove it`,
      ]);
    });

  it('leave alone what is somebody else’s', () => {
    expect(
      problemsOf({ env: { PATH: '/bin', HOME: '/root', NODE_OPTIONS: '', LANG: 'C', TERM: 'xterm' } }),
    ).to.deep.equal([]);
  });

  it('say that a secret does not belong in a file', () => {
    const [problem] = problemsOf({ file: { BTCTURK_API_SECRET: 'c2VjcmV0LWluLWZpbGU=' } });
    expect(problem).to.contain('BTCTURK_API_SECRET is a secret');
    expect(problem).to.not.contain('c2VjcmV0');
  });

  it('say what is wrong with the file itself', () => {
    expect(problemsOf({ file: '[1]' })).to.deep.equal([
      'bot.json: is not a JSON object; write settings as {"NAME": value, …}',
    ]);
    expect(problemsOf({ env: { BTCBOT_CONFIG: 'gone.json' } })[0]).to.contain(
      'gone.json: cannot be read: ENOENT',
    );
  });

  it('name contradictions between settings', () => {
    expect(
      problemsOf({ env: { MAX_NOTIONAL_PER_ORDER_TRY: '10', MAX_POSITION_NOTIONAL_TRY: '5' } }),
    ).to.deep.equal([
      'environment: MAX_NOTIONAL_PER_ORDER_TRY is greater than MAX_POSITION_NOTIONAL_TRY; lower MAX_NOTIONAL_PER_ORDER_TRY or raise MAX_POSITION_NOTIONAL_TRY',
    ]);
    expect(
      problemsOf({ env: { OBSERVABILITY_ENABLED: 'true', OBSERVABILITY_METRICS_EXPORTER: 'otlp' } })[0],
    ).to.contain('OBSERVABILITY_OTLP_ENDPOINT is not set');
    expect(problemsOf({ env: { ALERT_TELEGRAM_CHAT_ID: '-100200' } })[0]).to.contain(
      'ALERT_TELEGRAM_CHAT_ID is given without the other',
    );
    expect(problemsOf({ env: { PAPER_RECORDING: 'recording.jsonl.gz' } })).to.deep.equal([
      'environment: PAPER_RECORDING is given, but VENUE is btcturk, where no recording is played; write VENUE=paper, or leave PAPER_RECORDING out',
    ]);
    expect(problemsOf({ env: { PAPER_RECORDING: 'recording.jsonl.gz', VENUE: 'paper' } })).to.deep.equal([]);
  });

  it('allow a shorter dry run and a higher rate only when every address is on loopback', () => {
    const loopback = {
      BTCTURK_BASE_URL: 'http://127.0.0.1:1',
      BTCTURK_GRAPH_URL: 'http://127.0.0.1:1',
      BTCTURK_WS_URL: 'ws://127.0.0.1:1',
    };
    const eager = {
      LIVE_READINESS_MIN_MINUTES: '0.1',
      BTCTURK_RATE_LIMIT_RPS: '50',
      BTCTURK_RATE_LIMIT_BURST: '50',
    };
    expect(problemsOf({ env: { ...loopback, ...eager } })).to.deep.equal([]);
    expect(problemsOf({ env: { VENUE: 'paper', ...eager } })).to.deep.equal([]);
    for (const name of Object.keys(loopback)) {
      const { [name]: _left, ...others } = loopback as Record<string, string>;
      expect(problemsOf({ env: { ...others, ...eager } }), name).to.have.length(3);
    }
  });
});

describe('secrets', () => {
  const KEY = 'fake-api-key-for-tests';
  const SECRET = 'ZmFrZS1hcGktc2VjcmV0LWZvci10ZXN0cw==';

  const credentialsOf = (given: Given) => {
    const loaded = load(given);
    if (!loaded.ok) throw new Error(loaded.problems.map(renderProblem).join('\n'));
    return loaded.credentials;
  };

  it('come from the environment first, then from mounted files, then from the dotenv file', () => {
    const files = {
      '/run/key': `${KEY}-mounted\n`,
      '/run/secret': `${SECRET}\n`,
      [`${CWD}/.env.live`]: `BTCTURK_API_KEY=${KEY}-dotenv\nBTCTURK_API_SECRET="${SECRET}"\nSAFE_MODE=false\n`,
    };
    expect(
      credentialsOf({ env: { BTCTURK_API_KEY: KEY, BTCTURK_API_SECRET: SECRET }, files })?.apiKey,
    ).to.equal(KEY);
    expect(
      credentialsOf({
        env: { BTCTURK_API_KEY_FILE: '/run/key', BTCTURK_API_SECRET_FILE: '/run/secret' },
        files: { '/run/key': files['/run/key'], '/run/secret': files['/run/secret'] },
      }),
    ).to.deep.equal({ apiKey: `${KEY}-mounted`, apiSecret: SECRET });
    expect(credentialsOf({ files })?.apiKey).to.equal(`${KEY}-dotenv`);
  });

  it('may have a pair of their own for the private feed, from wherever the other comes', () => {
    const socket = { apiKey: `${KEY}-socket`, apiSecret: 'c29ja2V0LXNlY3JldA==' };
    const own = { BTCTURK_API_KEY: KEY, BTCTURK_API_SECRET: SECRET };
    const values = { BTCTURK_WS_API_KEY: socket.apiKey, BTCTURK_WS_API_SECRET: socket.apiSecret };
    const paths = { BTCTURK_WS_API_KEY_FILE: '/run/ws-key', BTCTURK_WS_API_SECRET_FILE: '/run/ws-secret' };
    const expected = { apiKey: KEY, apiSecret: SECRET, socket };
    expect(credentialsOf({ env: { ...own, ...values } })).to.deep.equal(expected);
    expect(
      credentialsOf({
        env: { ...own, ...paths },
        files: { '/run/ws-key': `${socket.apiKey}\n`, '/run/ws-secret': socket.apiSecret },
      }),
    ).to.deep.equal(expected);
    const dotenv = Object.entries({ ...own, ...values }).map(([name, text]) => `${name}=${text}`);
    expect(credentialsOf({ files: { [`${CWD}/.env.live`]: dotenv.join('\n') } })).to.deep.equal(expected);
  });

  it('are all that the dotenv file can change', () => {
    const settings = settingsOf({ files: { [`${CWD}/.env.live`]: 'SAFE_MODE=false\nSYMBOLS=ETHTRY\n' } });
    expect(settings.flags.safeMode).to.equal(true);
    expect(settings.symbols).to.deep.equal(['BTCTRY']);
  });

  it('are not read at all on paper', () => {
    expect(
      credentialsOf({
        env: { VENUE: 'paper' },
        files: { [`${CWD}/.env.live`]: `BTCTURK_API_KEY=${KEY}\nBTCTURK_API_SECRET=${SECRET}\n` },
      }),
    ).to.equal(null);
  });

  for (const [words, given, expected] of [
    [
      'half a pair',
      { env: { BTCTURK_API_KEY: KEY } },
      'BTCTURK_API_SECRET is missing although the other half',
    ],
    [
      'half a pair of the private feed',
      { env: { BTCTURK_API_KEY: KEY, BTCTURK_API_SECRET: SECRET, BTCTURK_WS_API_KEY: KEY } },
      'BTCTURK_WS_API_SECRET is missing although the other half',
    ],
    [
      'a pair of the private feed alone',
      { env: { BTCTURK_WS_API_KEY: KEY, BTCTURK_WS_API_SECRET: SECRET } },
      'BTCTURK_API_KEY is missing although the key of the private feed is given',
    ],
    [
      'a value and a file',
      { env: { BTCTURK_API_KEY: KEY, BTCTURK_API_KEY_FILE: '/k', BTCTURK_API_SECRET: SECRET } },
      'is given together with BTCTURK_API_KEY',
    ],
    [
      'a file that is not there',
      { env: { BTCTURK_API_KEY_FILE: '/k', BTCTURK_API_SECRET: SECRET } },
      'BTCTURK_API_KEY_FILE cannot be read',
    ],
    [
      'a file with two lines',
      { env: { BTCTURK_API_KEY_FILE: '/k', BTCTURK_API_SECRET: SECRET }, files: { '/k': 'a\nb' } },
      'without a single line of text',
    ],
    [
      'a secret that is not base64',
      { env: { BTCTURK_API_KEY: KEY, BTCTURK_API_SECRET: 'not base64!' } },
      'BTCTURK_API_SECRET its value is not base64',
    ],
  ] as const)
    it(`are refused as ${words}, without being shown`, () => {
      const problems = problemsOf(given).join('\n');
      expect(problems).to.contain(expected);
      expect(problems).to.not.contain(KEY);
      expect(problems).to.not.contain('not base64!');
    });
});

describe('what may carry a secret', () => {
  const TOKEN = 'T0KEN-not-a-real-one-5d1f';

  for (const [name, value] of [
    ['ALERT_WEBHOOK_URL', `http://hooks.example.org/${TOKEN}`],
    ['ALERT_TELEGRAM_URL', `http://hooks.example.org/${TOKEN}`],
    ['OBSERVABILITY_OTLP_ENDPOINT', `collector/${TOKEN}`],
  ] as const)
    it(`is not said back by the refusal of ${name}`, () => {
      const problems = problemsOf({ env: { [name]: value } }).join('\n');
      expect(problems).to.contain(`${name} its value is not`);
      expect(problems).to.not.contain(TOKEN);
    });

  it('is not said back when it stands where the path of its file belongs', () => {
    const missing = (path: string): never => {
      throw Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), { code: 'ENOENT' });
    };
    const loaded = loadSettings({
      env: { BTCTURK_API_KEY: 'k', BTCTURK_API_SECRET_FILE: TOKEN },
      cwd: CWD,
      readFile: missing,
      nowMs: NOW,
    });
    const problems = loaded.ok ? [] : loaded.problems.map(renderProblem);
    expect(problems.join('\n'))
      .to.contain('BTCTURK_API_SECRET_FILE cannot be read: there is no such file')
      .and.to.not.contain(TOKEN);
  });

  it('is missed by name when the dotenv file is there and may not be read', () => {
    const loaded = loadSettings({
      env: {},
      cwd: CWD,
      readFile: path => {
        throw Object.assign(new Error(`EACCES: permission denied, open '${path}'`), { code: 'EACCES' });
      },
      nowMs: NOW,
    });
    if (!loaded.ok) throw new Error(loaded.problems.map(renderProblem).join('\n'));
    const key = loaded.requirements.find(({ name }) => name === 'API key');
    expect(key?.met).to.equal(false);
    expect(key?.detail).to.contain(
      `.env.live cannot be read: EACCES: permission denied, open '${CWD}/.env.live'`,
    );
  });
});

describe('the configuration’s hash', () => {
  it('is the same for the same configuration, whatever the order and the place of its parts', () => {
    const one = settingsOf({ env: { SYMBOLS: 'BTCTRY', STRATEGY_CONFIG: '{"a":1,"b":2}' } });
    const two = settingsOf({ file: { STRATEGY_CONFIG: { b: 2, a: 1 }, SYMBOLS: ['BTCTRY'] } });
    expect(one.configHash).to.equal(two.configHash);
    expect(one.configHash).to.match(/^[0-9a-f]{64}$/);
  });

  it('changes with what the bot does, and not with the mode flags, the places or the secrets', () => {
    const { configHash } = settingsOf({});
    for (const env of [
      { SYMBOLS: 'ETHTRY' },
      { STRATEGY: 'maker' },
      { MAX_OPEN_ORDERS: '6' },
      { PRICE_COLLAR_BPS: '10' },
      { STRATEGY_CONFIG: '{"a":1}' },
    ])
      expect(settingsOf({ env: env as Record<string, string> }).configHash, JSON.stringify(env)).to.not.equal(
        configHash,
      );
    for (const env of [
      { SAFE_MODE: 'false' },
      { DRY_RUN: 'false' },
      { STATE_DB_PATH: '/x/y' },
      { LOG_LEVEL: 'trace' },
      { BTCTURK_API_KEY: 'fake-api-key', BTCTURK_API_SECRET: 'ZmFrZQ==' },
    ])
      expect(settingsOf({ env: env as Record<string, string> }).configHash, JSON.stringify(env)).to.equal(
        configHash,
      );
  });

  it('is the same in dry run and live with the same limits, so that evidence carries over', () => {
    const limits = {
      MAX_NOTIONAL_PER_ORDER_TRY: '1000',
      MAX_POSITION_NOTIONAL_TRY: '2000',
      MAX_GROSS_EXPOSURE_TRY: '3000',
      MAX_DAILY_LOSS_TRY: '100',
      MAX_DRAWDOWN_PCT: '5',
      PRICE_COLLAR_BPS: '50',
      MAX_ORDERS_PER_MINUTE: '10',
      MAX_REPEATED_EXECUTIONS: '5',
    };
    const live = { DRY_RUN: 'false', LIVE_TRADING: 'true', LIVE_TRADING_ACK: 'I_UNDERSTAND' };
    expect(settingsOf({ env: { ...limits, ...live } }).configHash).to.equal(
      settingsOf({ env: limits }).configHash,
    );
  });

  it('is taken over text in which keys are sorted and amounts are exact', () => {
    expect(
      canonicalJson({
        b: 10n ** 15n,
        a: [1, null, 'x'],
        c: new Map([['k', true]]),
        d: Number.POSITIVE_INFINITY,
      }),
    ).to.equal('{"a":[1,null,"x"],"b":"0.1","c":{"k":true},"d":"max"}');
  });
});
