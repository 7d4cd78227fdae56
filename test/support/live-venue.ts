/** A venue on loopback for a bot that believes it is live: no money exists, everything else is as it would be. */
import { parseDecimal } from '#src/domain/money.js';
import { parseFault } from '#src/exchange/faults.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import { wallMs } from '#src/runtime/clock.js';

/** Obviously no real key; with characters that look different in every encoding. */
export const CANARY_KEY = 'canary/key+7f3a"9c\\15e-not-a-real-key';
export const CANARY_SECRET = Buffer.from('canary-secret-not-a-real-one-4b8e?>').toString('base64');

export const openVenue = (
  credentials = { apiKey: 'loopback-key-for-tests', apiSecret: CANARY_SECRET },
): Promise<RunningExchange> =>
  startExchange({
    market: { type: 'generated' },
    symbols: ['BTCTRY'],
    seed: 3,
    balances: new Map([
      ['TRY', parseDecimal('1000000')],
      ['BTC', parseDecimal('1')],
    ]),
    credentials,
    log: () => {},
  });

export const fault = (venue: RunningExchange, text: string): void => {
  const problem = venue.admin({ type: 'set-fault', fault: parseFault(text) });
  if (problem !== undefined) throw new Error(problem);
};
export const heal = (venue: RunningExchange): void => {
  venue.admin({ type: 'clear-faults' });
};

/** The flags of which live needs every one. */
export const LIVE_FLAGS = {
  SAFE_MODE: 'false',
  DRY_RUN: 'false',
  KILL_SWITCH: 'false',
  LIVE_TRADING: 'true',
  LIVE_TRADING_ACK: 'I_UNDERSTAND',
} as const;

/** The limits of which live needs every one. */
export const LIVE_LIMITS = {
  MAX_NOTIONAL_PER_ORDER_TRY: '100000',
  MAX_POSITION_NOTIONAL_TRY: '500000',
  MAX_GROSS_EXPOSURE_TRY: '1000000',
  MAX_DAILY_LOSS_TRY: '50000',
  MAX_DRAWDOWN_PCT: '20',
  PRICE_COLLAR_BPS: '200',
  MAX_ORDERS_PER_MINUTE: '120',
  MAX_REPEATED_EXECUTIONS: '1000',
} as const;

/** Where the venue is, and a key that may trade there. */
export const accountAt = (venue: RunningExchange): Record<string, string> => ({
  BTCTURK_BASE_URL: venue.url,
  BTCTURK_GRAPH_URL: venue.url,
  BTCTURK_WS_URL: venue.wsUrl,
  BTCTURK_API_KEY: venue.apiKey,
  BTCTURK_API_SECRET: venue.apiSecret,
  BTCTURK_API_SCOPES: 'read,trade',
  BTCTURK_SECRET_ROTATED_AT: new Date(wallMs() - 86_400_000).toISOString(),
});

/** Every setting that live asks for, pointed at the venue; the evidence is waived, as loopback allows. */
export const liveSettings = (venue: RunningExchange, database: string): Record<string, string> => ({
  VENUE: 'btcturk',
  ...accountAt(venue),
  ...LIVE_FLAGS,
  LIVE_READINESS_MIN_MINUTES: '0',
  ...LIVE_LIMITS,
  STRATEGY: 'maker',
  STATE_DB_PATH: database,
});
