/** An exchange of its own for one bot under test, in this process: it outlives the bot and can be asked at any time. */
import { fileURLToPath } from 'node:url';
import { parseDecimal } from '#src/domain/money.js';
import { parseFault } from '#src/exchange/faults.js';
import { CATALOGUE, type Listing, listingForMarket } from '#src/exchange/instruments.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import { type RunningBot, startBot } from '../support/bot.js';

export const SYMBOLS = ['BTCTRY', 'ETHTRY', 'USDTTRY', 'XRPTRY', 'AAVETRY', 'ADATRY'] as const;

const BALANCES = {
  TRY: '1000000000',
  BTC: '100',
  ETH: '2000',
  USDT: '5000000',
  XRP: '900000',
  AAVE: '9000',
  ADA: '900000',
};

/** Limits so wide that only the venue's own rates bound the orders. */
const WIDE = {
  MAX_OPEN_ORDERS: '60',
  MAX_OPEN_ORDERS_PER_SYMBOL: '12',
  MAX_NOTIONAL_PER_ORDER_TRY: '1000000',
  MAX_POSITION_NOTIONAL_TRY: '1000000000',
  MAX_GROSS_EXPOSURE_TRY: '10000000000',
  MAX_DAILY_LOSS_TRY: '1000000000',
  MAX_DRAWDOWN_PCT: '100',
  PRICE_COLLAR_BPS: '1000',
  MAX_ORDERS_PER_MINUTE: '10000',
  MAX_REPEATED_EXECUTIONS: '10000',
  // So that nothing happens at the exchange any more once the bot has had its last look.
  SHUTDOWN_OPEN_ORDERS: 'cancel',
};

export interface OutsideVenue {
  readonly exchange: RunningExchange;
  /** Sets a fault as `btcbot exchange --fault` takes it. */
  fault(text: string): void;
  clearFaults(): void;
  /** A bot that trades here. `crashAt` as `point:count` (see crash-points.ts). */
  startBot(databasePath: string, strategy: BotStrategy, crashAt?: string): RunningBot;
  /** The same with settings of its own and with a seam (seam.ts) through its channel. */
  startSeamed(databasePath: string, settings: Readonly<Record<string, string>>): RunningBot;
}

export interface BotStrategy {
  readonly STRATEGY: string;
  readonly STRATEGY_CONFIG?: string;
  readonly SYMBOLS?: string;
}

/** Orders as fast as the limits let them, some resting, some crossing. */
export const FAST_PULSE: BotStrategy = {
  STRATEGY: 'pulse',
  STRATEGY_CONFIG: JSON.stringify({ intervalMs: 260, notional: '300', offsetBps: 3, maxOpen: 3 }),
  SYMBOLS: SYMBOLS.join(','),
};

/** Ten orders a second on one pair, each resting until the next one is there. */
export const STEADY_PULSE: BotStrategy & Readonly<Record<string, string>> = {
  STRATEGY: 'pulse',
  STRATEGY_CONFIG: JSON.stringify({ intervalMs: 100, notional: '300', offsetBps: 3, maxOpen: 1 }),
  SYMBOLS: 'BTCTRY',
  MAX_OPEN_ORDERS: '240',
  MAX_OPEN_ORDERS_PER_SYMBOL: '240',
  BTCTURK_RATE_LIMIT_RPS: '10',
  BTCTURK_RATE_LIMIT_BURST: '10',
};

export const botSettings = (databasePath: string, strategy: BotStrategy): Record<string, string> => ({
  VENUE: 'paper',
  ...WIDE,
  SYMBOLS: 'BTCTRY',
  ...strategy,
  STATE_DB_PATH: databasePath,
});

const BOT = fileURLToPath(new URL('./bot.js', import.meta.url));

/** What the catalogue does not list trades at two decimals. */
const CENT = parseDecimal('0.01');
const listingOf = (symbol: string): readonly Listing[] => {
  const listing = listingForMarket(symbol, [CENT], []);
  return listing === undefined || CATALOGUE.some(known => known.symbol === symbol) ? [] : [listing];
};

/** @param symbols the pairs with a busy market; those that the catalogue does not have are listed beside it */
export const openVenue = async (
  seed: number,
  symbols: readonly string[] = SYMBOLS,
): Promise<OutsideVenue> => {
  const exchange = await startExchange({
    market: { type: 'generated' },
    symbols,
    listings: symbols.flatMap(listingOf),
    seed,
    balances: new Map(Object.entries(BALANCES).map(([asset, amount]) => [asset, parseDecimal(amount)])),
  });
  const { url, wsUrl, apiKey, apiSecret } = exchange;
  return {
    exchange,
    fault(text) {
      const problem = exchange.admin({ type: 'set-fault', fault: parseFault(text) });
      if (problem !== undefined) throw new Error(problem);
    },
    clearFaults() {
      exchange.admin({ type: 'clear-faults' });
    },
    startBot: (databasePath, strategy, crashAt) =>
      startBot(
        {
          ...botSettings(databasePath, strategy),
          FAULTS_VENUE: JSON.stringify({ baseUrl: url, graphUrl: url, wsUrl, apiKey, apiSecret }),
          ...(crashAt === undefined ? {} : { FAULTS_CRASH_AT: crashAt }),
        },
        [],
        BOT,
      ),
    startSeamed: (databasePath, settings) =>
      startBot(
        {
          ...botSettings(databasePath, STEADY_PULSE),
          ...settings,
          FAULTS_VENUE: JSON.stringify({ baseUrl: url, graphUrl: url, wsUrl, apiKey, apiSecret }),
          FAULTS_SEAM: 'open',
        },
        [],
        BOT,
        true,
      ),
  };
};
