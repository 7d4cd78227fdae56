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
  statusFacts,
} from '../domain/strategy-host.js';
import {
  initialPortfolio,
  type PortfolioMember,
  type PortfolioState,
  stepPortfolio,
} from '../domain/strategy-portfolio.js';
import { tradingControl } from '../domain/trading-state.js';
import { tradingDayStart } from '../domain/valuation.js';
import type { Balance, CancelOutcome, OrderReport, SubmitOutcome, VenueWrite } from '../domain/venue-port.js';
import { emptySchedule, nextDueMs, schedule, takeDue } from '../exchange/schedule.js';
import { TICK_MS } from '../runtime/limits.js';
import type { Settings } from '../runtime/settings.js';
import type { RunLatency } from './latency.js';
import { StrategyNotMade, strategyStop } from './run-result.js';

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

/** The newest book of a market that has arrived, made into an event when the brains get it. */
export interface ArrivedBook {
  event(): MarketEvent;
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
  /** What goes to the ledger is not kept: it is most of what a run leaves in memory. */
  readonly withoutRecords: boolean;
  readonly instance: string;
  /** Candles are built from trades; else they come closed. */
  readonly closesCandles: boolean;
  readonly venue: DeskVenue;
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

/**
 * The newest desk of the thread, with its market and its strategies. V8 drops what it compiled for functions, and what it
 * knows of the shapes of objects, with the last one of them: without this a sweep compiled a good part of a run anew after
 * each collection (about 5 % of its processor time).
 */
const newest: { desk?: Desk } = {};

/**
 * See the top of this file. Methods, not closures: what is compiled for one run serves the next one, too, and a sweep has
 * many runs.
 */
export class Desk {
  /** What turns a Unix time into a monotonic one. Small numbers: at the size of Unix times a double is too coarse. */
  readonly originAtMs: number;
  readonly accounting: Accounting;
  /** Whether anybody here looks at public trades. */
  readonly wantsTrades: boolean;
  readonly #options: DeskOptions;
  readonly #latency: RunLatency;
  readonly #venue: DeskVenue;
  /** The market's first moment. */
  readonly #firstMs: number;
  readonly #accountEveryMs: number;
  /** Execution and strategy do not tick in the same moment. */
  readonly #ticksApart: boolean;
  readonly #ticksAlways: boolean;
  readonly #portfolio: PortfolioState;
  readonly #hosts: PortfolioState['hosts'];
  readonly #bySymbol: ReadonlyMap<string, Instrument>;
  readonly #agenda = emptySchedule<() => void>();
  readonly #withoutRecords: boolean;
  readonly #records: LedgerRecord[] = [];
  readonly #stops: string[] = [];
  readonly #holds = emptyHolds();
  /** Booked so far, by client order id. */
  readonly #filled = new Map<string, bigint>();
  readonly #pending: ExecutionEffect[] = [];
  /** Books that have arrived and that the brains do not have yet; see {@link arrive}. */
  readonly #unread: ArrivedBook[] = [];
  /** From when on each of the reads that may be under way at once may leave. */
  readonly #readsFreeMs = new Array<number>(THROTTLED_STORM).fill(0);
  #execution: ExecutionState;
  #performing = false;
  #nowMs = START_MONO_MS;
  /** The time as the brains are told it; null until somebody asks. */
  #now: Now | null;
  #epoch = 1;
  #ids = 0;
  #tickMs = Number.POSITIVE_INFINITY;
  /** Of execution alone, where it does not tick in the same moment. */
  #executionTickMs = Number.POSITIVE_INFINITY;
  #accountToldMs = Number.NEGATIVE_INFINITY;
  #accountDueMs = Number.POSITIVE_INFINITY;
  #dayStartMs: number;
  #dayStartProfit: Amount = 0n;
  #lastProfit: Amount = 0n;
  #peakProfit: Amount = 0n;
  #stopping = false;
  #neverWarm = false;
  /** From then on timers rest until the next candle. */
  #restFromMs = Number.POSITIVE_INFINITY;

  /** @throws StrategyNotMade when the only strategy cannot be created */
  constructor(options: DeskOptions) {
    const { settings, latency, instruments } = options;
    this.#options = options;
    this.#latency = latency;
    this.#venue = options.venue;
    this.#firstMs = START_MONO_MS + latency.leadMs;
    this.#accountEveryMs = options.closesCandles ? ACCOUNT_EVERY_MS : ACCOUNT_EVERY_CANDLES_MS;
    this.#ticksApart = latency.executionTickMs !== latency.strategyTickMs;
    this.originAtMs = options.firstAtMs - this.#firstMs;
    const startAtMs = this.originAtMs + START_MONO_MS;
    this.#now = { monoMs: START_MONO_MS, wallMs: Math.floor(startAtMs) };
    this.#dayStartMs = tradingDayStart(startAtMs);
    this.#bySymbol = new Map(instruments.map(instrument => [instrument.symbol, instrument]));
    const balances = [...options.opening].map(([asset, total]) => ({
      asset,
      total,
      free: total,
      locked: 0n,
    }));
    this.#withoutRecords = options.withoutRecords;
    this.accounting = initialAccounting({ balances, atMs: startAtMs });
    this.#execution = initialExecution(
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
      this.now,
    );
    this.#portfolio = initialPortfolio({
      members: options.members,
      incarnation: 1,
      startedAt: {
        monoMs: this.#firstMs + latency.strategyStartMs,
        wallMs: Math.floor(options.firstAtMs + latency.strategyStartMs),
      },
      intentValidityMs: DEFAULT_INTENT_VALIDITY_MS,
      maxOpenOrders: settings.risk.maxOpenOrders,
      maxOpenOrdersPerSymbol: settings.risk.maxOpenOrdersPerSymbol,
      feesOf: options.feesOf,
      restored: { strategyStates: new Map(), openOrders: [], fills: [] },
    });
    const { hosts } = this.#portfolio;
    this.#hosts = hosts;
    const [first] = hosts;
    // Where it is the only one, there is nothing to run.
    if (hosts.length === 1 && first !== undefined && first.stopped !== null)
      throw new StrategyNotMade(`strategy ${first.name}: ${first.stopped}`);

    // Nobody asks a run for its status; over candles state is saved after fills and at the end.
    this.#execution.statusAt = Number.POSITIVE_INFINITY;
    for (const host of hosts) {
      host.nextStatusMonoMs = Number.POSITIVE_INFINITY;
      if (!options.closesCandles) host.nextSaveMonoMs = Number.POSITIVE_INFINITY;
    }
    const wantsCandles = hosts.some(
      ({ stopped, config }) =>
        stopped === null && needsOf(config.definition, config.parameters).candles.length > 0,
    );
    this.#ticksAlways = options.closesCandles && wantsCandles;
    this.wantsTrades =
      options.closesCandles && (wantsCandles || hosts.some(({ strategy }) => strategy.onTrade !== undefined));

    this.#keep({ type: 'balances', atMs: this.now.wallMs, opening: true, balances });
    this.#toExecution({ type: 'started' });
    if (options.watchFirstMs > 0) {
      placeHold(
        this.#holds,
        'starting',
        '',
        'the market is being watched first',
        'supervisor',
        this.now.wallMs,
      );
      schedule(this.#agenda, this.#firstMs + options.watchFirstMs, () => {
        this.#holds.open.clear();
        this.#tellControl();
      });
    }
    this.#begin();
  }

  #begin(): void {
    const id = this.nextEventId();
    const listed: MarketEvent = {
      type: 'instruments-listed',
      id,
      cause: id,
      instruments: this.#options.instruments,
    };
    const state = this.#control();
    this.#toExecution({ type: 'control', control: state });
    this.#toHosts({ type: 'control', control: state });
    this.#toExecution({ type: 'message', from: 'market-data', message: listed });
    const proof = this.nextEventId();
    this.#fromReconciliation({
      type: 'reconciled',
      id: proof,
      cause: proof,
      clean: true,
      discrepancies: [],
      completedMonoMs: this.now.monoMs,
    });
    this.#tellAccount();
    this.#toHosts(listed);
  }

  /** The time of the last thing that happened, monotonic ms. */
  get nowMs(): number {
    return this.#nowMs;
  }
  get now(): Now {
    this.#now ??= { monoMs: this.#nowMs, wallMs: Math.floor(this.#nowMs + this.originAtMs) };
    return this.#now;
  }
  /** When the next thing of the desk's own is due; Infinity for never. */
  get dueMs(): number {
    return Math.min(
      nextDueMs(this.#agenda) ?? Number.POSITIVE_INFINITY,
      this.#tickMs,
      this.#executionTickMs,
      this.#accountDueMs,
    );
  }
  /** In the order in which they went to the ledger. */
  get records(): readonly LedgerRecord[] {
    return this.#records;
  }
  /** Reasons why trading stopped before the end. */
  get stops(): readonly string[] {
    return this.#stops;
  }

  /** Whether a strategy was still warming up at the end. */
  get neverWarm(): boolean {
    return this.#neverWarm;
  }

  nextEventId(): string {
    return eventIdOf(this.nextEventNumber());
  }
  /** What {@link eventIdOf} makes the next id of. */
  nextEventNumber(): number {
    this.#ids += 1;
    return this.#ids;
  }
  #setNow(toMs: number): void {
    this.#nowMs = toMs;
    this.#now = null;
  }
  /** Has something happen after a delay. */
  later(delayMs: number, run: () => void): void {
    schedule(this.#agenda, this.#nowMs + delayMs, run);
  }

  #control() {
    return tradingControl(
      {
        mode: this.#options.settings.mode,
        safeMode: false,
        killSwitch: false,
        dryRun: false,
        modeReasons: [],
        symbols: this.#options.settings.symbols,
        holds: holdsOf(this.#holds),
        stopping: null,
      },
      this.#epoch,
    );
  }

  #keep(record: LedgerRecord): void {
    if (!this.#withoutRecords) this.#records.push(record);
  }
  #append(request: AppendRequest, answer: boolean): void {
    for (const record of request.records) this.#keep(record);
    if (answer && request.durable)
      this.later(this.#latency.journalMs, () =>
        this.#toExecution({
          type: 'message',
          from: 'ledger',
          message: { type: 'appended', batch: request.batch },
        }),
      );
  }

  #applyHold(wanted: boolean, effect: Extract<ExecutionEffect, { type: 'hold' }>): void {
    const { holdCause, subject, detail } = effect.message;
    const change = wanted
      ? placeHold(this.#holds, holdCause, subject, detail, 'execution', this.now.wallMs)
      : clearHold(this.#holds, holdCause, subject, this.now.monoMs);
    if (change.type !== 'placed' && change.type !== 'released') return;
    if (change.type === 'placed')
      this.#stops.push(
        `hold ${change.hold.key}: ${detail} (since ${new Date(this.now.wallMs).toISOString()})`,
      );
    this.#tellControl();
  }

  #tellControl(): void {
    this.#epoch += 1;
    const state = this.#control();
    this.#toHosts({ type: 'control', control: state });
    this.#toExecution({ type: 'control', control: state });
  }

  #toHosts(input: StrategyHostInput): void {
    this.#readBooks();
    this.#runHosts(input);
    this.#planTick();
  }
  #runHosts(input: StrategyHostInput): void {
    for (const effect of stepPortfolio(this.#portfolio, input, this.now).effects)
      this.#performOfHosts(effect);
  }
  #performOfHosts(effect: StrategyHostEffect): void {
    if (effect.type === 'tell') {
      if (effect.to !== 'execution') return;
      const { message } = effect;
      this.later(this.#latency.hopMs, () => {
        if (this.#nowMs - this.#accountToldMs >= ACCOUNT_EVERY_MS) this.#tellAccount();
        this.#toExecution({ type: 'message', from: 'strategy', message });
      });
    } else if (effect.type === 'append') this.#append(effect.request, false);
    else if (effect.type === 'log' && effect.event === 'strategy-stopped')
      this.#stops.push(strategyStop(effect.fields, this.#hosts.length));
  }

  #toExecution(input: ExecutionInput): void {
    this.#readBooks();
    this.#runExecution(input);
    this.#planTick();
  }
  #runExecution(input: ExecutionInput): void {
    const stepped = stepExecution(this.#execution, input, this.now);
    this.#execution = stepped.state;
    if (stepped.effects.length === 0) return;
    for (const effect of stepped.effects) this.#pending.push(effect);
    if (this.#performing) return;
    this.#performing = true;
    try {
      for (let effect = this.#pending.shift(); effect !== undefined; effect = this.#pending.shift())
        this.#performExecution(effect);
    } finally {
      this.#performing = false;
    }
  }
  #performExecution(effect: ExecutionEffect): void {
    switch (effect.type) {
      case 'tell':
        if (effect.to === 'strategy') {
          const { message } = effect;
          this.later(this.#latency.hopMs, () => this.#toHosts(message));
        } else if (effect.message.type === 'evidence-wanted') {
          const { clientOrderId } = effect.message;
          this.later(this.#latency.hopMs, () => this.prove(clientOrderId));
        }
        return;
      case 'append':
        this.#append(effect.request, true);
        return;
      case 'write':
        this.#depart(effect.write, effect.approval);
        return;
      case 'hold':
        this.#applyHold(effect.message.type === 'hold-wanted', effect);
        return;
      default:
        // Logs, metrics, status and clock reads concern nobody here.
        return;
    }
  }

  #depart(write: VenueWrite, approval: WriteApproval): void {
    this.later(this.#latency.departMs, () => {
      const reason =
        checkFence({
          now: this.now,
          control: this.#execution.control,
          leaseUntilMonoMs: Number.POSITIVE_INFINITY,
          approval,
          write,
        }) ?? vetoOf(this.#execution, write, this.now);
      if (reason !== null) {
        this.#settle(write, { type: 'denied', reason });
        return;
      }
      this.#toExecution({ type: 'write-sent', kind: write.type, clientOrderId: write.clientOrderId });
      this.later(this.#latency.toVenueMs, () => {
        const outcome = write.type === 'submit' ? this.#venue.submit(write) : this.#venue.cancel(write);
        this.later(this.#latency.fromVenueMs, () => this.#settle(write, outcome));
      });
    });
  }
  #settle(write: VenueWrite, outcome: SubmitOutcome | CancelOutcome): void {
    this.#toExecution(writeOutcome(write, outcome));
  }

  #fromReconciliation(message: AccountReport): void {
    this.#toExecution({ type: 'message', from: 'reconciliation', message });
  }
  /**
   * The private feed's word that an order has left the book is here: what became of it is asked, on reconciliation's next
   * tick, or when one of its reads has ended, with the time of a read.
   */
  prove(clientOrderId: ClientOrderId): void {
    const line = this.#readsFreeMs.indexOf(Math.min(...this.#readsFreeMs));
    const fromMs = this.#nextOnGrid(this.#nowMs, this.#firstMs + this.#latency.reconciliationTickMs);
    const waitMs = Math.max(fromMs, this.#readsFreeMs[line] ?? 0) - this.#nowMs;
    this.#readsFreeMs[line] =
      this.#nowMs + waitMs + this.#latency.departMs + this.#latency.toVenueMs + this.#latency.fromVenueMs;
    const asOfMonoMs = this.now.monoMs + waitMs;
    this.later(waitMs + this.#latency.departMs + this.#latency.toVenueMs, () => {
      const report = this.#venue.report(clientOrderId);
      if (report === null) return;
      this.later(this.#latency.fromVenueMs + this.#latency.hopMs, () => {
        const id = this.nextEventId();
        this.#fromReconciliation({
          type: 'order-reported',
          id,
          cause: id,
          clientOrderId,
          report,
          asOfMonoMs,
        });
        this.#markAccount();
      });
    });
  }

  #rateOf(asset: string): Amount | undefined {
    return this.#options.tryRates.get(asset);
  }
  /** Net profit in lira at the newest prices. */
  #profitTry(): Amount {
    let total: Amount = 0n;
    for (const position of this.accounting.positions.values()) {
      const mark = position.quantity === 0n ? undefined : this.#venue.mark(position.pair.symbol);
      const open = mark === undefined ? 0n : unrealized(position, mark);
      total += multiply(realized(position) + open, this.#rateOf(position.pair.quote) ?? 0n, 'half-up');
    }
    return total;
  }
  /** What the account was opened with, in lira at today's prices. */
  #capitalTry(): Amount {
    let total: Amount = 0n;
    for (const [asset, amount] of this.#options.opening) {
      const direct = this.#rateOf(asset);
      if (direct !== undefined) {
        total += multiply(amount, direct, 'down');
        continue;
      }
      const market = this.#options.instruments.find(({ base }) => base === asset);
      const mark = market === undefined ? undefined : this.#venue.mark(market.symbol);
      if (market !== undefined && mark !== undefined)
        total += multiply(multiply(amount, mark, 'down'), this.#rateOf(market.quote) ?? 0n, 'down');
    }
    return total;
  }
  #markAccount(): void {
    this.#accountDueMs = Math.min(
      this.#accountDueMs,
      Math.max(this.#nowMs, this.#accountToldMs + ACCOUNT_SOON_MS),
    );
  }
  #tellAccount(): void {
    this.#accountToldMs = this.#nowMs;
    this.#accountDueMs = Number.POSITIVE_INFINITY;
    const profit = this.#profitTry();
    const day = tradingDayStart(this.now.wallMs);
    if (day !== this.#dayStartMs) {
      this.#dayStartMs = day;
      this.#dayStartProfit = this.#lastProfit;
    }
    this.#lastProfit = profit;
    this.#peakProfit = max(this.#peakProfit, profit);
    const base = this.#capitalTry() + this.#peakProfit;
    const totals = expectedBalances(this.accounting);
    const balances: Balance[] = [...totals].map(([asset, total]) => {
      const locked = this.#venue.locked(asset);
      return { asset, total, free: total - locked, locked };
    });
    const id = this.nextEventId();
    const message: AccountReport = {
      type: 'account-updated',
      id,
      cause: id,
      balances,
      balancesAsOfMonoMs: this.now.monoMs,
      owned: totals,
      positions: positionViews(this.accounting),
      tryRates: this.#options.tryRates,
      dayProfitTry: profit - this.#dayStartProfit,
      drawdownPct: base <= 0n ? null : toNumber(ratio((this.#peakProfit - profit) * 100n, base, 'up')),
    };
    this.#fromReconciliation(message);
    this.#toHosts(message);
  }

  /** When the brains want a tick: on the grid of 50 ms, and only where something depends on it. */
  #planTick(): void {
    const wanted = this.#tickWanted();
    if (wanted === Number.POSITIVE_INFINITY) return;
    const fromMs = Math.max(wanted, this.#nowMs);
    this.#tickMs = Math.min(
      this.#tickMs,
      this.#nextOnGrid(fromMs, this.#firstMs + this.#latency.strategyTickMs),
    );
    if (this.#ticksApart)
      this.#executionTickMs = Math.min(
        this.#executionTickMs,
        this.#nextOnGrid(fromMs, this.#firstMs + this.#latency.executionTickMs),
      );
  }
  #tickWanted(): number {
    // What waits for the request budget is looked at every tick.
    if (this.#execution.queue.length > 0) return this.#nowMs;
    if (this.#hasCancelsDue()) return this.#nowMs;
    let hostsWanted = Number.POSITIVE_INFINITY;
    let isIdle = this.#execution.open.size === 0;
    for (const host of this.#hosts) {
      if (host.orders.size > 0) isIdle = false;
      hostsWanted = Math.min(hostsWanted, host.nextTimerMonoMs);
      if (host.strategy.save !== undefined) hostsWanted = Math.min(hostsWanted, host.nextSaveMonoMs);
    }
    // Between two candles nothing changes: timers go off for a while after a close, and only while orders are open.
    if (!this.#options.closesCandles && (isIdle || this.#nowMs >= this.#restFromMs))
      return Number.POSITIVE_INFINITY;
    // Candles are closed by the clock as well as by trades.
    if (this.#ticksAlways) return this.#nowMs;
    return isIdle ? hostsWanted : Math.min(hostsWanted, this.#nowMs + SLOW_TICK_MS);
  }
  #hasCancelsDue(): boolean {
    if (this.#execution.open.size === 0) return false;
    for (const { cancelWish, cancel, record } of this.#execution.open.values())
      if (cancelWish !== null && cancel === 'idle' && record.ended === null) return true;
    return false;
  }
  #tick(): void {
    this.#tickMs = Number.POSITIVE_INFINITY;
    this.#toHosts({ type: 'tick' });
    if (!this.#ticksApart) this.#tickExecution();
    this.#planTick();
  }
  #tickExecution(): void {
    this.#executionTickMs = Number.POSITIVE_INFINITY;
    if (this.#execution.open.size > 0 || this.#execution.queue.length > 0)
      this.#toExecution({ type: 'tick' });
  }

  /** The first tick after now that is not before a time. */
  #nextOnGrid(fromMs: number, phaseMs: number): number {
    const at = phaseMs + Math.ceil((fromMs - phaseMs) / TICK_MS - 1e-6) * TICK_MS;
    return at > this.#nowMs + 1e-6 ? at : at + TICK_MS;
  }

  /** Lets everything happen that is due by then, and moves the time there. */
  advance(toMs: number): void {
    for (let due = this.dueMs; due <= toMs; due = this.dueMs) this.#happenDue(due);
    this.moveTo(toMs);
  }
  /** Moves the time to where nothing is due before. */
  moveTo(toMs: number): void {
    if (toMs > this.#nowMs) this.#setNow(toMs);
  }
  #happenDue(due: number): void {
    this.#setNow(Math.max(due, this.#nowMs));
    const item = takeDue(this.#agenda, due);
    if (item !== undefined) item.item();
    else if (this.#accountDueMs <= due) this.#tellAccount();
    else if (this.#tickMs <= due) this.#tick();
    else this.#tickExecution();
  }

  #keepAccountFresh(): void {
    if (this.#nowMs - this.#accountToldMs < this.#accountEveryMs) return;
    if (this.#execution.open.size > 0) this.#tellAccount();
    else
      for (const { quantity } of this.accounting.positions.values())
        if (quantity !== 0n) {
          this.#tellAccount();
          return;
        }
  }

  /** A market event reaches strategy and execution now. */
  market(event: MarketEvent): void {
    this.#readBooks();
    this.#runBoth(event);
    this.#planTick();
    this.#keepAccountFresh();
  }
  #runBoth(event: MarketEvent): void {
    this.#runExecution({ type: 'message', from: 'market-data', message: event });
    this.#runHosts(event as StrategyHostInput);
  }

  /**
   * A newer book of a market reaches strategy and execution now. Where it would move nothing, they get it before whatever
   * they hear next; by then a still newer one may have taken its place.
   */
  arrive(book: ArrivedBook): void {
    if (!this.#unread.includes(book)) this.#unread.push(book);
    const moves = this.#booksMove();
    if (moves) this.#readBooks();
    // Else what ticks depend on is as it was, but for a tick of execution that has just found nothing to do.
    if (moves || (this.#ticksApart && this.#executionTickMs === Number.POSITIVE_INFINITY)) this.#planTick();
    this.#keepAccountFresh();
  }
  /** Whether a book would have a strategy called, or execution go on with something that waits. */
  #booksMove(): boolean {
    for (const { strategy } of this.#hosts) if (strategy.onBook !== undefined) return true;
    return this.#execution.queue.length > 0 || this.#hasCancelsDue();
  }
  #readBooks(): void {
    for (let book = this.#unread.shift(); book !== undefined; book = this.#unread.shift())
      this.#runBoth(book.event());
  }

  /** A market event that concerns the strategy alone. */
  marketForStrategy(event: MarketEvent): void {
    this.#toHosts(event as StrategyHostInput);
  }

  /** One of our orders traded a while ago; its row is here now. */
  book(fill: Fill): void {
    const pair = this.#bySymbol.get(fill.symbol);
    if (pair === undefined || bookFill(this.accounting, fill, pair) !== 'booked') return;
    this.#keep({ type: 'fill', fill, bookedAtMs: this.now.wallMs });
    this.#markAccount();
    const id = this.nextEventId();
    const orderFilled = (this.#filled.get(fill.clientOrderId ?? '') ?? 0n) + fill.quantity;
    this.#filled.set(fill.clientOrderId ?? '', orderFilled);
    this.later(this.#latency.hopMs, () => {
      this.#fromReconciliation({ type: 'fill-booked', id, cause: id, fill, orderFilled });
    });
  }

  /** A candle has closed: one tick now, and timers for a while. */
  afterCandle(): void {
    this.#restFromMs = this.#nowMs + AFTER_CANDLE_MS;
    if (this.#hosts.some(({ strategy, orders }) => strategy.onTimer !== undefined || orders.size > 0))
      this.#toHosts({ type: 'tick' });
    for (const host of this.#hosts) host.nextSaveMonoMs = Number.POSITIVE_INFINITY;
  }

  /** The last call of the strategy, and time for what it asks for. */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    newest.desk = this;
    for (const host of this.#hosts) {
      if (host.warm || host.stopped !== null) continue;
      this.#neverWarm = true;
      this.#stops.push(
        `strategy ${host.name}: its warm-up was not over at the end (${String(statusFacts(host).warmUp)})`,
      );
    }
    this.#toHosts({ type: 'stopping' });
    this.advance(this.#nowMs + STOP_MS);
    this.#toExecution({ type: 'drain' });
    this.advance(this.#nowMs + STOP_MS);
  }
}

/** The id of an event of a run by its number. */
export const eventIdOf = (number: number): string => `desk:1:${number}`;
