/**
 * Every setting, as data: the loader, the runbook's table and the tests read the same rows. A setting has one name: the
 * environment variable and the key in a configuration file are spelt alike.
 */
import { DRIFT_BPS } from '../domain/price-drift.js';
import {
  alertAddress,
  balanceList,
  decimalNumber,
  type Kind,
  listOrPath,
  objectOrPath,
  oneOf,
  plainText,
  playbackSpeed,
  positiveAmount,
  symbolList,
  truth,
  venueAddress,
  webAddress,
  wholeNumber,
  wordList,
} from './setting-kinds.js';

export interface SettingSpec<T = unknown> {
  readonly kind: Kind<T>;
  /** As an operator would write it; null is unset. */
  readonly fallback: string | null;
  readonly meaning: string;
  /**
   * `mode`: a malformed value counts as the fallback, which is the safest, and never stops the start.
   * `limit`: unset means the practice limit on paper and in dry run; live needs it.
   * `secret`: never written anywhere; only from the environment, a mounted file or the dotenv file.
   * `place`: where things are, not what the bot does; no part of the configuration hash.
   */
  readonly role?: 'mode' | 'limit' | 'secret' | 'place';
}

const setting = <T>(
  kind: Kind<T>,
  fallback: string | null,
  meaning: string,
  role?: NonNullable<SettingSpec['role']>,
): SettingSpec<T> => ({ kind, fallback, meaning, ...(role === undefined ? {} : { role }) });

/** The words that arm live trading. */
export const LIVE_ACKNOWLEDGEMENT = 'I_UNDERSTAND';

export const SETTINGS = {
  SAFE_MODE: setting(truth, 'true', 'Observe only; wins over every other flag and every command', 'mode'),
  DRY_RUN: setting(truth, 'true', 'Orders go to the embedded exchange, never to the venue', 'mode'),
  KILL_SWITCH: setting(truth, 'true', 'No order and no cancel but the operator’s cancel-all', 'mode'),
  LIVE_TRADING: setting(truth, 'false', 'Asks for real orders; one of five conditions', 'mode'),
  LIVE_TRADING_ACK: setting(
    oneOf([LIVE_ACKNOWLEDGEMENT]),
    null,
    `The words ${LIVE_ACKNOWLEDGEMENT}; one of five conditions for real orders`,
    'mode',
  ),
  LIVE_READINESS_MIN_MINUTES: setting(
    decimalNumber(0, 100_000),
    '30',
    'Minutes of healthy dry run that live needs; below 30 only when the venue is on loopback',
  ),
  VENUE: setting(
    oneOf(['btcturk', 'paper']),
    'btcturk',
    '`paper` starts the embedded exchange and trades on it',
  ),
  PAPER_RECORDING: setting(
    plainText('the path of a recording'),
    null,
    'The embedded exchange plays this recording instead of its generated market',
  ),
  PAPER_SPEED: setting(playbackSpeed, '1', 'Speed of the recording; `max` is as fast as possible'),
  PAPER_SEED: setting(wholeNumber(0, 4_294_967_295), '1', 'Seed of the generated market'),
  PAPER_BALANCES: setting(
    balanceList,
    'TRY=1000000,USDT=50000,BTC=1',
    'Opening balances of a new account on the embedded exchange',
  ),
  PAPER_TWIN: setting(
    truth,
    'false',
    'A twin makes the same orders on the paper model beside this run, and measures the gap; nothing else changes',
    'place',
  ),
  SYMBOLS: setting(symbolList, 'BTCTRY', 'The pairs the bot may trade; everything else is refused'),
  STRATEGY: setting(plainText('a strategy name or a module path'), 'observe', 'Built-in name or module path'),
  STRATEGY_CONFIG: setting(objectOrPath, '{}', 'The strategy’s parameters: JSON, or a path to it'),
  STRATEGIES: setting(
    listOrPath,
    null,
    'Several strategies at once, instead of STRATEGY: a list of `{name, strategy, symbols, config, universe}`, or a path to it',
  ),
  UNIVERSE: setting(
    objectOrPath,
    null,
    'Rules that choose among SYMBOLS, told to strategies: `{minVolume, maxSpreadBps, minAgeMs, allow, deny, cooldownMs, maxSymbols}`, or a path to them',
  ),
  BTCTURK_BASE_URL: setting(venueAddress('https', 'http'), 'https://api.btcturk.com', 'REST host'),
  BTCTURK_GRAPH_URL: setting(venueAddress('https', 'http'), 'https://graph-api.btcturk.com', 'Chart host'),
  BTCTURK_WS_URL: setting(venueAddress('wss', 'ws'), 'wss://ws-feed-pro.btcturk.com', 'WebSocket host'),
  BTCTURK_API_KEY: setting(plainText('the API key'), null, 'Public key; also BTCTURK_API_KEY_FILE', 'secret'),
  BTCTURK_API_SECRET: setting(
    plainText('the API secret in base64'),
    null,
    'Private key; also BTCTURK_API_SECRET_FILE',
    'secret',
  ),
  BTCTURK_API_KEY_FILE: setting(plainText('a path'), null, 'File that holds the key', 'place'),
  BTCTURK_API_SECRET_FILE: setting(plainText('a path'), null, 'File that holds the secret', 'place'),
  BTCTURK_WS_API_KEY: setting(
    plainText('the API key'),
    null,
    'Public key that logs in to the private feed, where the venue made one of its own for it; unset: BTCTURK_API_KEY; also BTCTURK_WS_API_KEY_FILE',
    'secret',
  ),
  BTCTURK_WS_API_SECRET: setting(
    plainText('the API secret in base64'),
    null,
    'Private key that belongs to it; also BTCTURK_WS_API_SECRET_FILE',
    'secret',
  ),
  BTCTURK_WS_API_KEY_FILE: setting(
    plainText('a path'),
    null,
    'File that holds the key of the private feed',
    'place',
  ),
  BTCTURK_WS_API_SECRET_FILE: setting(
    plainText('a path'),
    null,
    'File that holds the secret of the private feed',
    'place',
  ),
  BTCTURK_API_SCOPES: setting(
    wordList,
    null,
    'What the key may do: live needs `read` and `trade`, and refuses `withdraw`',
    'place',
  ),
  BTCTURK_SECRET_ROTATED_AT: setting(
    plainText('an ISO-8601 time'),
    null,
    'When the key was made; live refuses a date that is too old, in the future or unreadable',
    'place',
  ),
  BTCTURK_SECRET_MAX_AGE_DAYS: setting(
    wholeNumber(1, 3_650),
    '90',
    'Greatest age of the key for live',
    'place',
  ),
  BTCTURK_RATE_LIMIT_RPS: setting(
    decimalNumber(0.1, 1_000),
    '8',
    'Requests a second per write bucket; above 8 only when the venue is on loopback',
  ),
  BTCTURK_RATE_LIMIT_BURST: setting(
    wholeNumber(1, 1_000),
    '8',
    'Requests at once per write bucket; above 8 only when the venue is on loopback',
  ),
  BTCTURK_REST_BASE_DELAY_MS: setting(wholeNumber(10, 60_000), '400', 'First back-off of a repeated read'),
  BTCTURK_REST_MAX_DELAY_MS: setting(
    wholeNumber(10, 300_000),
    '4000',
    'Greatest back-off of a repeated read',
  ),
  BTCTURK_REST_MAX_RETRIES: setting(
    wholeNumber(0, 10),
    '4',
    'Repeats of a failed read; writes are never repeated',
  ),
  BTCTURK_WS_IDLE_RECONNECT_MS: setting(
    wholeNumber(1_000, 600_000),
    '30000',
    'Silence on a socket that forces a reconnect',
  ),
  MAX_MARKET_DATA_AGE_MS: setting(wholeNumber(100, 600_000), '5000', 'Older market data: hold `stale-data`'),
  RECONCILE_INTERVAL_MS: setting(
    wholeNumber(500, 600_000),
    '15000',
    'Time between two passes over the account',
  ),
  RECONCILE_MAX_LAG_MS: setting(
    wholeNumber(1_000, 3_600_000),
    '60000',
    'Without a pass for longer: hold `reconcile-lag`',
  ),
  MAX_OPEN_ORDERS: setting(
    wholeNumber(1, 240),
    '5',
    'Resting orders at once; 240 is what one minute can cancel',
  ),
  MAX_OPEN_ORDERS_PER_SYMBOL: setting(wholeNumber(1, 240), '1', 'Resting orders at once on one pair'),
  MAX_NOTIONAL_PER_ORDER_TRY: setting(positiveAmount, null, 'Greatest value of one order, in lira', 'limit'),
  MAX_POSITION_NOTIONAL_TRY: setting(
    positiveAmount,
    null,
    'Greatest value of one position, in lira',
    'limit',
  ),
  MAX_GROSS_EXPOSURE_TRY: setting(
    positiveAmount,
    null,
    'Greatest value of all positions and orders, in lira',
    'limit',
  ),
  MAX_DAILY_LOSS_TRY: setting(
    positiveAmount,
    null,
    'Loss of one UTC+3 day that stops trading, in lira',
    'limit',
  ),
  MAX_DRAWDOWN_PCT: setting(
    decimalNumber(0.1, 100),
    null,
    'Fall from the peak that stops trading, in per cent',
    'limit',
  ),
  PRICE_COLLAR_BPS: setting(
    wholeNumber(1, 5_000),
    null,
    'Greatest distance of a limit price from the market, in basis points',
    'limit',
  ),
  PRICE_DRIFT_BPS: setting(
    wholeNumber(1, 5_000),
    String(DRIFT_BPS),
    'Greatest move of the market within ten minutes while orders go on being sent, in basis points',
  ),
  MAX_ORDERS_PER_MINUTE: setting(wholeNumber(1, 10_000), null, 'Orders in any 60 s', 'limit'),
  MAX_REPEATED_EXECUTIONS: setting(
    wholeNumber(1, 10_000),
    null,
    'Repeated executions before the bot disables itself',
    'limit',
  ),
  SHUTDOWN_OPEN_ORDERS: setting(oneOf(['leave', 'cancel']), 'leave', 'What a stop does to resting orders'),
  STATE_DB_PATH: setting(plainText('a path'), './data/btcbot.sqlite', 'The ledger', 'place'),
  OBSERVABILITY_ENABLED: setting(truth, 'false', 'Whether metrics leave the process', 'place'),
  OBSERVABILITY_METRICS_EXPORTER: setting(
    oneOf(['none', 'otlp', 'prometheus']),
    'none',
    'How metrics leave the process',
    'place',
  ),
  OBSERVABILITY_OTLP_ENDPOINT: setting(webAddress, null, 'Where OTLP metrics are pushed to', 'place'),
  OBSERVABILITY_PROMETHEUS_PORT: setting(wholeNumber(1, 65_535), '9464', 'Port of /metrics', 'place'),
  OBSERVABILITY_PROMETHEUS_HOST: setting(
    plainText('a host name or address'),
    '127.0.0.1',
    'Address /metrics binds to; loopback unless told otherwise',
    'place',
  ),
  ALERT_WEBHOOK_URL: setting(
    alertAddress,
    null,
    'Every alert is posted there as JSON with `text` and `alerts`',
    'place',
  ),
  ALERT_TELEGRAM_CHAT_ID: setting(
    plainText('a chat id'),
    null,
    'Every alert is sent to this Telegram chat; needs ALERT_TELEGRAM_TOKEN_FILE',
    'place',
  ),
  ALERT_TELEGRAM_TOKEN_FILE: setting(
    plainText('a path'),
    null,
    'File that holds the token of the Telegram bot',
    'place',
  ),
  ALERT_TELEGRAM_URL: setting(
    alertAddress,
    'https://api.telegram.org',
    'Where the Telegram bot API is',
    'place',
  ),
  LOG_LEVEL: setting(
    oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal']),
    'info',
    'Least severity of the lines on stdout',
    'place',
  ),
} as const satisfies Readonly<Record<string, SettingSpec>>;

export type SettingName = keyof typeof SETTINGS;
export const SETTING_NAMES = Object.keys(SETTINGS) as readonly SettingName[];
/** The value a setting's text means. */
export type ValueOf<Name extends SettingName> =
  (typeof SETTINGS)[Name] extends SettingSpec<infer T> ? T : never;
/** Every setting's value; null where it is unset and has no fallback. */
export type SettingValues = { readonly [Name in SettingName]: ValueOf<Name> | null };

/** Read beside the settings, from the environment only: the configuration file, unless `--config` names it. */
export const CONFIG_FILE_VARIABLE = 'BTCBOT_CONFIG';

/** A name that starts like one of ours and is none of ours is a mistake, not somebody else's. */
export const OUR_PREFIXES = [
  'ALERT_',
  'SAFE_',
  'DRY_',
  'KILL_',
  'LIVE_',
  'PAPER_',
  'BTCTURK_',
  'MAX_',
  'RECONCILE_',
  'OBSERVABILITY_',
  'STATE_',
  'STRATEGY',
  'STRATEGIES',
  'UNIVERSE',
  'SHUTDOWN_',
  'LOG_',
  'PRICE_',
  'SYMBOLS',
  'VENUE',
] as const;
