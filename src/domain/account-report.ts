/** What reconciliation tells others of the account: peers, metrics, status, and people. */
import { fillCount, positionViews } from './accounting.js';
import { THROTTLED_STORM } from './breaker.js';
import { openSearches } from './evidence.js';
import { formatDecimal, formatFixed } from './money.js';
import { reconnectsOf } from './private-feed-watch.js';
import { isThrottled, readRates } from './read-schedule.js';
import {
  clearHold,
  log,
  placeHold,
  type ReconciliationEffect,
  type ReconciliationState,
  tell,
  traced,
  type VenueBalances,
} from './reconciliation-state.js';
import type { Now } from './step.js';
import { expectedTotals } from './three-way-proof.js';
import { dayProfitTry, isValued, revalue, tryRates } from './valuation.js';

/** An account picture reaches its readers at least, and at most, this often. */
const TELL_LEAST_MS = 3_000;
const TELL_MOST_MS = 100;
const METRICS_MS = 1_000;
const SUMMARY_MS = 10_000;
const STATUS_MS = 1_000;

/** Tells the account to execution and strategy: soon after a change, and every few seconds. */
export const tellAccount = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  if (state.balances === null || state.phase === 'opening' || state.phase === 'observing') return;
  const since = now.monoMs - state.accountToldMonoMs;
  if (!(state.accountDirty && since >= TELL_MOST_MS) && since < TELL_LEAST_MS) return;
  state.accountDirty = false;
  state.accountToldMonoMs = now.monoMs;
  revalue(state, now, effects);
  const account = {
    type: 'account-updated' as const,
    balances: state.balances.list,
    balancesAsOfMonoMs: state.balances.asOfMonoMs,
    owned: expectedTotals(state),
    positions: positionViews(state.accounting),
    tryRates: tryRates(state, now),
    dayProfitTry: dayProfitTry(state, now),
    drawdownPct: isValued(state, now) ? state.drawdownPct : null,
  };
  tell(effects, 'execution', { ...account, ...traced(state) });
  tell(effects, 'strategy', { ...account, ...traced(state) });
};

/** One line for people, when the profit has changed, and as the last word. */
export const summarise = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  const profit = state.valuation?.profitTry ?? null;
  if (profit === null || profit === state.summary.profitTry) return;
  state.summary = { profitTry: profit, atMonoMs: now.monoMs };
  log(effects, 'info', 'run-summary', {
    profit: `${formatFixed(profit, 2)} TRY`,
    fills: fillCount(state.accounting),
    drawdownPct: state.drawdownPct === null ? null : Math.round(state.drawdownPct * 100) / 100,
    lagMs: Math.round(now.monoMs - state.lastCleanMonoMs),
  });
};

/** Metrics and status, once a second. */
export const report = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  if (now.monoMs - state.summary.atMonoMs >= SUMMARY_MS) summarise(state, now, effects);
  if (now.monoMs - state.metricsMonoMs >= METRICS_MS) {
    state.metricsMonoMs = now.monoMs;
    reportMetrics(state, now, effects);
  }
  if (now.monoMs - state.statusMonoMs >= STATUS_MS) {
    state.statusMonoMs = now.monoMs;
    effects.push({ type: 'status', facts: statusFacts(state, now) });
  }
};

const reportMetrics = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  const gauge = (name: string, value: number): void => {
    effects.push({ type: 'metric', kind: 'gauge', name, value });
  };
  const rates = readRates(state.schedule, now);
  gauge('rest_retry_rate', rates.retryRate);
  gauge('rest_429_rate', rates.throttledPerMinute);
  gauge('ws_reconnect_rate', reconnectsOf(state, now));
  gauge('btcbot_reconcile_residual', state.residuals.size);
  if (!isThrottled(state.schedule, now) && rates.throttledPerMinute < THROTTLED_STORM)
    clearHold(state, effects, 'rest-429', 'reads', 'the venue answers our reads again');
  if (state.phase === 'observing') return;
  const lagMs = now.monoMs - state.lastCleanMonoMs;
  // A pass every interval is the plan; the lag is what comes on top.
  gauge('reconcile_lag_ms', Math.max(0, Math.round(lagMs - state.config.reconcileIntervalMs)));
  if (lagMs > state.config.reconcileMaxLagMs)
    placeHold(
      state,
      effects,
      'reconcile-lag',
      '',
      `ledger and venue were last proven equal ${Math.round(lagMs / 1_000)} s ago${state.discrepancies.length > 0 ? `: ${state.discrepancies.slice(0, 3).join('; ')}` : ''}`,
    );
};

const shownBalances = (balances: VenueBalances): readonly Readonly<Record<string, string>>[] => {
  balances.shown ??= balances.list.map(({ asset, total, free, locked }) => ({
    asset,
    total: formatDecimal(total),
    free: formatDecimal(free),
    locked: formatDecimal(locked),
  }));
  return balances.shown;
};

/** The actor's part of `btcbot status`. */
export const statusFacts = (state: ReconciliationState, now: Now): Readonly<Record<string, unknown>> => {
  const money = (amount: bigint | null): string | null => (amount === null ? null : formatDecimal(amount));
  return {
    phase: state.phase,
    controlEpoch: state.control?.epoch ?? null,
    listedEpoch: state.listedEpoch,
    openingObjection: state.openingObjection,
    privateFeed: state.feed,
    clockOffsetMs: state.clockOffsetMs,
    balances: state.balances === null ? [] : shownBalances(state.balances),
    positions: positionViews(state.accounting).map(position => ({
      symbol: position.symbol,
      quantity: formatDecimal(position.quantity),
      averagePrice: money(position.averagePrice),
      realized: formatDecimal(position.realized),
      fees: formatDecimal(position.fees),
      taxes: formatDecimal(position.taxes),
    })),
    profit: {
      totalTry: money(state.valuation?.profitTry ?? null),
      dayTry: money(dayProfitTry(state, now)),
      drawdownPct: isValued(state, now) ? state.drawdownPct : null,
    },
    reconciliation: {
      lagMs: Math.round(now.monoMs - state.lastCleanMonoMs),
      lastCleanAtMs: state.lastCleanWallMs,
      discrepancies: state.discrepancies,
      residuals: Object.fromEntries(
        [...state.residuals].map(([asset, amount]) => [asset, formatDecimal(amount)]),
      ),
    },
    fills: fillCount(state.accounting),
    openOrders: state.live.size,
    searches: openSearches(state, now),
    foreignOrders: [...state.foreign.values()].map(({ venueOrderId, clientOrderId, symbol }) => ({
      venueOrderId,
      clientOrderId,
      symbol,
    })),
    reads: {
      ...readRates(state.schedule, now),
      waiting: state.schedule.waiting.length,
      stopped: state.schedule.signedStopped,
    },
  };
};
