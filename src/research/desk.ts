/**
 * The bot's trading brains around its strategies, driven by function calls under a time that its caller sets: the hosts of
 * the strategies, execution with its risk gate, order machine and request budget, and accounting are the ones of the live
 * bot.
 * What stands in for the rest of the process: the ledger is a list of records, the account is what the fills make of
 * it, and the supervisor is a set of holds. Nothing fails here; the simulator is there for that.
 */
import type { AccountReport } from '../domain/account-events.js';
import {
  type Accounting,
  bookFill,
  expectedBalances,
  initialAccounting,
  positionViews,
  realized,
  unrealized,
} from '../domain/accounting.js';
import { THROTTLED_STORM } from '../domain/breaker.js';
import {
  type ExecutionEffect,
  type ExecutionInput,
  type ExecutionState,
  initialExecution,
  stepExecution,
  vetoOf,
  writeOutcome,
} from '../domain/execution.js';
import type { FeeRates } from '../domain/fees.js';
import { checkFence, type WriteApproval } from '../domain/fence.js';
import { clearHold, emptyHolds, holdsOf, placeHold } from '../domain/hold-set.js';
import type { Instrument } from '../domain/instrument.js';
import type { AppendRequest, LedgerRecord } from '../domain/ledger-records.js';
import type { MarketEvent } from '../domain/market-events.js';
import { type Amount, max, multiply, type Price, ratio, toNumber } from '../domain/money.js';
import type { ClientOrderId, Fill } from '../domain/order.js';
import type { Now } from '../domain/step.js';
import { needsOf } from '../domain/strategy-definition.js';
import {
  DEFAULT_INTENT_VALIDITY_MS,
  type StrategyHostEffect,
  type StrategyHostInput,
} from '../domain/strategy-host.js';
import { initialPortfolio, type PortfolioMember, stepPortfolio } from '../domain/strategy-portfolio.js';
import { tradingControl } from '../domain/trading-state.js';
import { tradingDayStart } from '../domain/valuation.js';
import type { Balance, CancelOutcome, OrderReport, SubmitOutcome, VenueWrite } from '../domain/venue-port.js';
import { emptySchedule, nextDueMs, schedule, takeDue } from '../exchange/schedule.js';
import { TICK_MS } from '../runtime/limits.js';
import type { Settings } from '../runtime/settings.js';
import type { RunLatency } from './latency.js';
import { strategyStop } from './run-result.js';

/** What stands behind the desk: a market with our orders in it. Called when a write has arrived there. */
export interface DeskVenue {
  submit(write: Extract<VenueWrite, { readonly type: 'submit' }>): SubmitOutcome;
  cancel(write: Extract<VenueWrite, { readonly type: 'cancel' }>): CancelOutcome;
  /** The venue's word on an order as it stands now, or null when it never came there. */
  report(clientOrderId: ClientOrderId): OrderReport | null;
  /** What open orders tie up of an asset. */
  locked(asset: string): Amount;
  /** The newest price of a market, in quote; undefined before the first. */
  mark(symbol: string): Price | undefined;
}

export interface DeskOptions {
  /** In the order in which each event reaches them. */
  readonly members: readonly PortfolioMember[];
  readonly settings: Settings;
  readonly instruments: readonly Instrument[];
  readonly opening: ReadonlyMap<string, Amount>;
  readonly feesOf: (quote: string) => FeeRates;
  readonly latency: RunLatency;
  /** Lira for one unit of each quote asset. */
  readonly tryRates: ReadonlyMap<string, Amount>;
  /** Unix ms of the market's first moment. */
  readonly firstAtMs: number;
  /** From the market's first moment to the first order that may be sent, ms. */
  readonly watchFirstMs: number;
  readonly instance: string;
  /** Candles are built from trades; else they come closed. */
  readonly closesCandles: boolean;
  readonly venue: DeskVenue;
}

export interface Desk {
  /** The time of the last thing that happened, monotonic ms. */
  readonly nowMs: number;
  /** What turns a Unix time into a monotonic one. Small numbers: at the size of Unix times a double is too coarse. */
  readonly originAtMs: number;
  /** When the next thing of the desk's own is due; Infinity for never. */
  readonly dueMs: number;
  /** Lets everything happen that is due by then, and moves the time there. */
  advance(toMs: number): void;
  /** Moves the time to where nothing is due before. */
  moveTo(toMs: number): void;
  /** Has something happen after a delay. */
  later(delayMs: number, run: () => void): void;
  /** A market event reaches strategy and execution now. */
  market(event: MarketEvent): void;
  /** A market event that concerns the strategy alone. */
  marketForStrategy(event: MarketEvent): void;
  /** One of our orders traded a while ago; its row is here now. */
  book(fill: Fill): void;
  /** The private feed's word that an order has left the book is here: what became of it is asked. */
  prove(clientOrderId: ClientOrderId): void;
  /** A candle has closed: one tick now, and timers for a while. */
  afterCandle(): void;
  /** The last call of the strategy, and time for what it asks for. */
  stop(): void;
  nextEventId(): string;
  /** Whether anybody here looks at public trades. */
  readonly wantsTrades: boolean;
  readonly now: Now;
  readonly records: readonly LedgerRecord[];
  readonly accounting: Accounting;
  readonly stops: readonly string[];
}

/** A monotonic clock does not start at zero in a real process either. */
const START_MONO_MS = 10_000;
/** Account pictures: soon after a change, and every few seconds while something is at stake (account-report.ts). */
const ACCOUNT_SOON_MS = 100;
const ACCOUNT_EVERY_MS = 3_000;
const ACCOUNT_EVERY_CANDLES_MS = 900_000;
/** Where only reminders are waited for, ticks come this often instead of every 50 ms. */
const SLOW_TICK_MS = 1_000;
/** How long after a candle's close timers go off. */
const AFTER_CANDLE_MS = 15_000;
/** What the last orders may take to come to rest. */
const STOP_MS = 2_000;

export const createDesk = (options: DeskOptions): Desk => {
  const { settings, latency, venue, instruments } = options;
  /** The market's first moment. */
  const firstMs = START_MONO_MS + latency.leadMs;
  const originAtMs = options.firstAtMs - firstMs;
  const startAtMs = originAtMs + START_MONO_MS;
  const agenda = emptySchedule<() => void>();
  const records: LedgerRecord[] = [];
  const stops: string[] = [];
  const accounting = initialAccounting({
    balances: [...options.opening].map(([asset, total]) => ({ asset, total, free: total, locked: 0n })),
    atMs: startAtMs,
  });
  const bySymbol = new Map(instruments.map(instrument => [instrument.symbol, instrument]));
  const holds = emptyHolds();
  let nowMs = START_MONO_MS;
  let now: Now = { monoMs: START_MONO_MS, wallMs: Math.floor(startAtMs) };
  let epoch = 1;
  let ids = 0;
  let tickMs = Number.POSITIVE_INFINITY;
  /** Of execution alone, where it does not tick in the same moment. */
  let executionTickMs = Number.POSITIVE_INFINITY;
  const ticksApart = latency.executionTickMs !== latency.strategyTickMs;
  let accountToldMs = Number.NEGATIVE_INFINITY;
  let accountDueMs = Number.POSITIVE_INFINITY;
  let dayStartMs = tradingDayStart(startAtMs);
  let dayStartProfit: Amount = 0n;
  let lastProfit: Amount = 0n;
  let peakProfit: Amount = 0n;
  let stopping = false;
  /** From then on timers rest until the next candle. */
  let restFromMs = Number.POSITIVE_INFINITY;
  /** Booked so far, by client order id. */
  const filled = new Map<string, bigint>();

  const nextEventId = (): string => `desk:1:${++ids}`;
  const setNow = (toMs: number): void => {
    nowMs = toMs;
    now = { monoMs: toMs, wallMs: Math.floor(toMs + originAtMs) };
  };
  const later = (delayMs: number, run: () => void): void => schedule(agenda, nowMs + delayMs, run);

  const control = () =>
    tradingControl(
      {
        mode: settings.mode,
        safeMode: false,
        killSwitch: false,
        dryRun: false,
        modeReasons: [],
        symbols: settings.symbols,
        holds: holdsOf(holds),
        stopping: null,
      },
      epoch,
    );
  let execution: ExecutionState = initialExecution(
    {
      symbols: settings.symbols,
      limits: settings.risk,
      maxMarketDataAgeMs: settings.maxMarketDataAgeMs,
      feesOf: options.feesOf,
      configHash: settings.configHash,
      instance: options.instance,
      epoch: 1,
      incarnation: 1,
      budget: {
        writesPerSecond: settings.rest.rateLimitRps,
        writeBurst: settings.rest.rateLimitBurst,
        cold: false,
      },
      shutdownOpenOrders: 'leave',
    },
    { openOrders: [], fills: [], cancelWishes: [], recentOrders: [] },
    now,
  );
  const portfolio = initialPortfolio({
    members: options.members,
    incarnation: 1,
    startedAt: {
      monoMs: firstMs + latency.strategyStartMs,
      wallMs: Math.floor(options.firstAtMs + latency.strategyStartMs),
    },
    intentValidityMs: DEFAULT_INTENT_VALIDITY_MS,
    maxOpenOrders: settings.risk.maxOpenOrders,
    maxOpenOrdersPerSymbol: settings.risk.maxOpenOrdersPerSymbol,
    feesOf: options.feesOf,
    restored: { strategyStates: new Map(), openOrders: [], fills: [] },
  });
  const { hosts } = portfolio;
  const [first] = hosts;
  // Where it is the only one, there is nothing to run.
  if (hosts.length === 1 && first !== undefined && first.stopped !== null) throw new Error(first.stopped);

  // Nobody asks a run for its status; over candles state is saved after fills and at the end.
  execution.statusAt = Number.POSITIVE_INFINITY;
  for (const host of hosts) {
    host.nextStatusMonoMs = Number.POSITIVE_INFINITY;
    if (!options.closesCandles) host.nextSaveMonoMs = Number.POSITIVE_INFINITY;
  }
  const wantsCandles = hosts.some(
    ({ stopped, config }) =>
      stopped === null && needsOf(config.definition, config.parameters).candles.length > 0,
  );
  const ticksAlways = options.closesCandles && wantsCandles;
  const wantsTrades =
    options.closesCandles && (wantsCandles || hosts.some(({ strategy }) => strategy.onTrade !== undefined));

  const append = (request: AppendRequest, answer: boolean): void => {
    for (const record of request.records) records.push(record);
    if (answer && request.durable)
      later(latency.journalMs, () =>
        toExecution({ type: 'message', from: 'ledger', message: { type: 'appended', batch: request.batch } }),
      );
  };

  const applyHold = (wanted: boolean, effect: Extract<ExecutionEffect, { type: 'hold' }>): void => {
    const { holdCause, subject, detail } = effect.message;
    const change = wanted
      ? placeHold(holds, holdCause, subject, detail, 'execution', now.wallMs)
      : clearHold(holds, holdCause, subject, now.monoMs);
    if (change.type !== 'placed' && change.type !== 'released') return;
    if (change.type === 'placed') stops.push(`hold ${change.hold.key}: ${detail}`);
    tellControl();
  };

  const tellControl = (): void => {
    epoch += 1;
    const state = control();
    toHosts({ type: 'control', control: state });
    toExecution({ type: 'control', control: state });
  };

  const toHosts = (input: StrategyHostInput): void => {
    for (const effect of stepPortfolio(portfolio, input, now).effects) performOfHosts(effect);
    planTick();
  };
  const performOfHosts = (effect: StrategyHostEffect): void => {
    if (effect.type === 'tell') {
      if (effect.to !== 'execution') return;
      const { message } = effect;
      later(latency.hopMs, () => {
        if (nowMs - accountToldMs >= ACCOUNT_EVERY_MS) tellAccount();
        toExecution({ type: 'message', from: 'strategy', message });
      });
    } else if (effect.type === 'append') append(effect.request, false);
    else if (effect.type === 'log' && effect.event === 'strategy-stopped')
      stops.push(strategyStop(effect.fields, hosts.length));
  };

  const pending: ExecutionEffect[] = [];
  let performing = false;
  const toExecution = (input: ExecutionInput): void => {
    runExecution(input);
    planTick();
  };
  const runExecution = (input: ExecutionInput): void => {
    const stepped = stepExecution(execution, input, now);
    execution = stepped.state;
    if (stepped.effects.length === 0) return;
    for (const effect of stepped.effects) pending.push(effect);
    if (performing) return;
    performing = true;
    try {
      for (let effect = pending.shift(); effect !== undefined; effect = pending.shift())
        performExecution(effect);
    } finally {
      performing = false;
    }
  };
  const performExecution = (effect: ExecutionEffect): void => {
    switch (effect.type) {
      case 'tell':
        if (effect.to === 'strategy') {
          const { message } = effect;
          later(latency.hopMs, () => toHosts(message));
        } else if (effect.message.type === 'evidence-wanted') {
          const { clientOrderId } = effect.message;
          later(latency.hopMs, () => prove(clientOrderId));
        }
        return;
      case 'append':
        append(effect.request, true);
        return;
      case 'write':
        depart(effect.write, effect.approval);
        return;
      case 'hold':
        applyHold(effect.message.type === 'hold-wanted', effect);
        return;
      default:
        // Logs, metrics, status and clock reads concern nobody here.
        return;
    }
  };

  const depart = (write: VenueWrite, approval: WriteApproval): void =>
    later(latency.departMs, () => {
      const reason =
        checkFence({
          now,
          control: execution.control,
          leaseUntilMonoMs: Number.POSITIVE_INFINITY,
          approval,
          write,
        }) ?? vetoOf(execution, write);
      if (reason !== null) {
        settle(write, { type: 'denied', reason });
        return;
      }
      toExecution({ type: 'write-sent', kind: write.type, clientOrderId: write.clientOrderId });
      later(latency.toVenueMs, () => {
        const outcome = write.type === 'submit' ? venue.submit(write) : venue.cancel(write);
        later(latency.fromVenueMs, () => settle(write, outcome));
      });
    });
  const settle = (write: VenueWrite, outcome: SubmitOutcome | CancelOutcome): void =>
    toExecution(writeOutcome(write, outcome));

  const fromReconciliation = (message: AccountReport): void =>
    toExecution({ type: 'message', from: 'reconciliation', message });
  /** From when on each of the reads that may be under way at once may leave. */
  const readsFreeMs = new Array<number>(THROTTLED_STORM).fill(0);
  /** Asks the venue about an order: on reconciliation's next tick, or when one of its reads has ended, with the time of a read. */
  const prove = (clientOrderId: ClientOrderId): void => {
    const line = readsFreeMs.indexOf(Math.min(...readsFreeMs));
    const fromMs = nextOnGrid(nowMs, firstMs + latency.reconciliationTickMs);
    const waitMs = Math.max(fromMs, readsFreeMs[line] ?? 0) - nowMs;
    readsFreeMs[line] = nowMs + waitMs + latency.departMs + latency.toVenueMs + latency.fromVenueMs;
    const asOfMonoMs = now.monoMs + waitMs;
    later(waitMs + latency.departMs + latency.toVenueMs, () => {
      const report = venue.report(clientOrderId);
      if (report === null) return;
      later(latency.fromVenueMs + latency.hopMs, () => {
        const id = nextEventId();
        fromReconciliation({ type: 'order-reported', id, cause: id, clientOrderId, report, asOfMonoMs });
        markAccount();
      });
    });
  };

  const rateOf = (asset: string): Amount | undefined => options.tryRates.get(asset);
  /** Net profit in lira at the newest prices. */
  const profitTry = (): Amount => {
    let total: Amount = 0n;
    for (const position of accounting.positions.values()) {
      const mark = position.quantity === 0n ? undefined : venue.mark(position.pair.symbol);
      const open = mark === undefined ? 0n : unrealized(position, mark);
      total += multiply(realized(position) + open, rateOf(position.pair.quote) ?? 0n, 'half-up');
    }
    return total;
  };
  /** What the account was opened with, in lira at today's prices. */
  const capitalTry = (): Amount => {
    let total: Amount = 0n;
    for (const [asset, amount] of options.opening) {
      const direct = rateOf(asset);
      if (direct !== undefined) {
        total += multiply(amount, direct, 'down');
        continue;
      }
      const market = instruments.find(({ base }) => base === asset);
      const mark = market === undefined ? undefined : venue.mark(market.symbol);
      if (market !== undefined && mark !== undefined)
        total += multiply(multiply(amount, mark, 'down'), rateOf(market.quote) ?? 0n, 'down');
    }
    return total;
  };
  const markAccount = (): void => {
    accountDueMs = Math.min(accountDueMs, Math.max(nowMs, accountToldMs + ACCOUNT_SOON_MS));
  };
  const tellAccount = (): void => {
    accountToldMs = nowMs;
    accountDueMs = Number.POSITIVE_INFINITY;
    const profit = profitTry();
    const day = tradingDayStart(now.wallMs);
    if (day !== dayStartMs) {
      dayStartMs = day;
      dayStartProfit = lastProfit;
    }
    lastProfit = profit;
    peakProfit = max(peakProfit, profit);
    const base = capitalTry() + peakProfit;
    const totals = expectedBalances(accounting);
    const balances: Balance[] = [...totals].map(([asset, total]) => {
      const locked = venue.locked(asset);
      return { asset, total, free: total - locked, locked };
    });
    const id = nextEventId();
    const message: AccountReport = {
      type: 'account-updated',
      id,
      cause: id,
      balances,
      balancesAsOfMonoMs: now.monoMs,
      positions: positionViews(accounting),
      tryRates: options.tryRates,
      dayProfitTry: profit - dayStartProfit,
      drawdownPct: base <= 0n ? null : toNumber(ratio((peakProfit - profit) * 100n, base, 'up')),
    };
    fromReconciliation(message);
    toHosts(message);
  };

  /** When the brains want a tick: on the grid of 50 ms, and only where something depends on it. */
  const planTick = (): void => {
    const wanted = tickWanted();
    if (wanted === Number.POSITIVE_INFINITY) return;
    const fromMs = Math.max(wanted, nowMs);
    tickMs = Math.min(tickMs, nextOnGrid(fromMs, firstMs + latency.strategyTickMs));
    if (ticksApart)
      executionTickMs = Math.min(executionTickMs, nextOnGrid(fromMs, firstMs + latency.executionTickMs));
  };
  const tickWanted = (): number => {
    // What waits for the request budget is looked at every tick.
    if (execution.queue.length > 0) return nowMs;
    for (const { cancelWish, cancel, record } of execution.open.values())
      if (cancelWish !== null && cancel === 'idle' && record.ended === null) return nowMs;
    let hostsWanted = Number.POSITIVE_INFINITY;
    let isIdle = execution.open.size === 0;
    for (const host of hosts) {
      if (host.orders.size > 0) isIdle = false;
      hostsWanted = Math.min(hostsWanted, host.nextTimerMonoMs);
      if (host.strategy.save !== undefined) hostsWanted = Math.min(hostsWanted, host.nextSaveMonoMs);
    }
    // Between two candles nothing changes: timers go off for a while after a close, and only while orders are open.
    if (!options.closesCandles && (isIdle || nowMs >= restFromMs)) return Number.POSITIVE_INFINITY;
    // Candles are closed by the clock as well as by trades.
    if (ticksAlways) return nowMs;
    return isIdle ? hostsWanted : Math.min(hostsWanted, nowMs + SLOW_TICK_MS);
  };
  const tick = (): void => {
    tickMs = Number.POSITIVE_INFINITY;
    toHosts({ type: 'tick' });
    if (!ticksApart) tickExecution();
    planTick();
  };
  const tickExecution = (): void => {
    executionTickMs = Number.POSITIVE_INFINITY;
    if (execution.open.size > 0 || execution.queue.length > 0) toExecution({ type: 'tick' });
  };

  /** The first tick after now that is not before a time. */
  const nextOnGrid = (fromMs: number, phaseMs: number): number => {
    const at = phaseMs + Math.ceil((fromMs - phaseMs) / TICK_MS - 1e-6) * TICK_MS;
    return at > nowMs + 1e-6 ? at : at + TICK_MS;
  };

  const dueMs = (): number =>
    Math.min(nextDueMs(agenda) ?? Number.POSITIVE_INFINITY, tickMs, executionTickMs, accountDueMs);
  const advance = (toMs: number): void => {
    for (let due = dueMs(); due <= toMs; due = dueMs()) happenDue(due);
    moveTo(toMs);
  };
  const moveTo = (toMs: number): void => {
    if (toMs > nowMs) setNow(toMs);
  };
  const happenDue = (due: number): void => {
    setNow(Math.max(due, nowMs));
    const item = takeDue(agenda, due);
    if (item !== undefined) item.item();
    else if (accountDueMs <= due) tellAccount();
    else if (tickMs <= due) tick();
    else tickExecution();
  };

  const accountEveryMs = options.closesCandles ? ACCOUNT_EVERY_MS : ACCOUNT_EVERY_CANDLES_MS;
  const keepAccountFresh = (): void => {
    if (nowMs - accountToldMs < accountEveryMs) return;
    if (execution.open.size > 0) tellAccount();
    else
      for (const { quantity } of accounting.positions.values())
        if (quantity !== 0n) {
          tellAccount();
          return;
        }
  };

  records.push({
    type: 'balances',
    atMs: now.wallMs,
    opening: true,
    balances: [...options.opening].map(([asset, total]) => ({ asset, total, free: total, locked: 0n })),
  });
  toExecution({ type: 'started' });
  if (options.watchFirstMs > 0) {
    placeHold(holds, 'starting', '', 'the market is being watched first', 'supervisor', now.wallMs);
    schedule(agenda, firstMs + options.watchFirstMs, () => {
      holds.open.clear();
      tellControl();
    });
  }
  const begin = (): void => {
    const id = nextEventId();
    const listed: MarketEvent = { type: 'instruments-listed', id, cause: id, instruments };
    const state = control();
    toExecution({ type: 'control', control: state });
    toHosts({ type: 'control', control: state });
    toExecution({ type: 'message', from: 'market-data', message: listed });
    const proof = nextEventId();
    fromReconciliation({
      type: 'reconciled',
      id: proof,
      cause: proof,
      clean: true,
      discrepancies: [],
      completedMonoMs: now.monoMs,
    });
    tellAccount();
    toHosts(listed);
  };
  begin();

  return {
    get nowMs() {
      return nowMs;
    },
    originAtMs,
    get dueMs() {
      return dueMs();
    },
    get now() {
      return now;
    },
    advance,
    moveTo,
    later,
    market: event => {
      runExecution({ type: 'message', from: 'market-data', message: event });
      toHosts(event as StrategyHostInput);
      keepAccountFresh();
    },
    marketForStrategy: event => toHosts(event as StrategyHostInput),
    book: fill => {
      const pair = bySymbol.get(fill.symbol);
      if (pair === undefined || bookFill(accounting, fill, pair) !== 'booked') return;
      records.push({ type: 'fill', fill, bookedAtMs: now.wallMs });
      markAccount();
      const id = nextEventId();
      const orderFilled = (filled.get(fill.clientOrderId ?? '') ?? 0n) + fill.quantity;
      filled.set(fill.clientOrderId ?? '', orderFilled);
      later(latency.hopMs, () => {
        fromReconciliation({ type: 'fill-booked', id, cause: id, fill, orderFilled });
      });
    },
    prove,
    afterCandle: () => {
      restFromMs = nowMs + AFTER_CANDLE_MS;
      if (hosts.some(({ strategy, orders }) => strategy.onTimer !== undefined || orders.size > 0))
        toHosts({ type: 'tick' });
      for (const host of hosts) host.nextSaveMonoMs = Number.POSITIVE_INFINITY;
    },
    stop: () => {
      if (stopping) return;
      stopping = true;
      toHosts({ type: 'stopping' });
      advance(nowMs + STOP_MS);
      toExecution({ type: 'drain' });
      advance(nowMs + STOP_MS);
    },
    nextEventId,
    wantsTrades,
    records,
    accounting,
    stops,
  };
};
