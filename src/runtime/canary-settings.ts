/**
 * What a live configuration becomes for the first orders of real money: the same account, limits and evidence, and never
 * more rights than it has. Every figure here is a cap on top of the operator's own limits.
 */
import { type Amount, formatDecimal, fromInteger, min } from '../domain/money.js';
import { STOP_TOTAL_MS } from './limits.js';
import type { RiskSettings, Settings } from './settings.js';

/** Most that one order may be worth, TRY. */
export const CANARY_NOTIONAL_MAX_TRY: Amount = fromInteger(1_000);
/** Most orders within a minute. */
export const CANARY_ORDERS_PER_MINUTE = 12;
/** The whole run: whatever happens, the bot stops then. */
export const CANARY_WITHIN_MS = 240_000;
/** Where a resting order rests, unless the collar is nearer. */
const REST_BPS = 100;
const PAUSE_MS = 500;
/**
 * The settings of a canary run on `symbol`: one order at a time, tiny, canceled at the stop.
 * @param settings of a configuration that is armed
 */
export const canarySettings = (settings: Settings, symbol: string, fill: boolean): Settings => {
  const risk = cappedRisk(settings.risk);
  const collarBps = risk.priceCollarBps ?? REST_BPS;
  const perMinute = risk.maxOrdersPerMinute ?? 1;
  // The first symbol is the one it trades; the others stay in sight, for they may hold positions.
  const symbols = [symbol, ...settings.symbols.filter(other => other !== symbol)];
  const config = {
    fill,
    restBps: Math.max(1, Math.min(REST_BPS, Math.floor(collarBps / 2))),
    // Where the limit has room for the whole plan, nothing has to be spread out.
    pauseMs: perMinute < CANARY_ORDERS_PER_MINUTE ? Math.ceil(60_000 / perMinute) : PAUSE_MS,
  };
  return {
    ...settings,
    paperTwin: false,
    symbols,
    strategy: 'canary',
    strategyConfig: config,
    // The one that runs, and nothing beside it.
    strategies: [{ name: null, strategy: 'canary', symbols, config, universe: null }],
    risk,
    shutdownOpenOrders: 'cancel',
    logLevel: 'debug',
  };
};

const cappedRisk = (risk: RiskSettings): RiskSettings => ({
  ...risk,
  maxOpenOrders: 1,
  maxOpenOrdersPerSymbol: 1,
  maxNotionalPerOrderTry:
    risk.maxNotionalPerOrderTry === null ? null : min(risk.maxNotionalPerOrderTry, CANARY_NOTIONAL_MAX_TRY),
  maxOrdersPerMinute:
    risk.maxOrdersPerMinute === null ? null : Math.min(risk.maxOrdersPerMinute, CANARY_ORDERS_PER_MINUTE),
});

/** The caps, for the evidence of a run. */
export const canaryCaps = (settings: Settings): Readonly<Record<string, string | number>> => {
  const risk = cappedRisk(settings.risk);
  return {
    ordersAtATime: risk.maxOpenOrders,
    notionalPerOrderTry:
      risk.maxNotionalPerOrderTry === null ? 'unset' : formatDecimal(risk.maxNotionalPerOrderTry),
    ordersPerMinute: risk.maxOrdersPerMinute ?? 'unset',
    withinMs: CANARY_WITHIN_MS,
  };
};

/** Time after which whoever watches a canary bot gives it up. */
export const CANARY_GIVE_UP_MS = CANARY_WITHIN_MS + 2 * STOP_TOTAL_MS;
