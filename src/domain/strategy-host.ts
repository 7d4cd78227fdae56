/**
 * The brain of the strategy actor: it keeps the read-only views a strategy looks at, calls the strategy, checks what it
 * returns and passes it on to execution.
 *
 * Invariants:
 * - nothing a strategy returns is forwarded unless the whole return value of that call is sound;
 * - every intent id is used once, also across restarts of the process;
 * - while submitting is forbidden, or the declared warm-up is not over, no place intent leaves; cancels always do;
 * - a strategy that keeps failing is named, its resting orders are canceled, and nothing else is sent.
 */
import type { AccountReport, AccountUpdated } from './account-events.js';
import {
  type Accounting,
  accountingFrom,
  type BooksFold,
  bookFill,
  initialAccounting,
  pairFromSymbol,
  positionView,
} from './accounting.js';
import { type BookView, wholeView } from './book-view.js';
import type { Candle } from './candles.js';
import { strategyTag, strategyTagIn } from './client-order-id.js';
import type { CommonEffect, Tell } from './effects.js';
import type { FeeRates } from './fees.js';
import { type HistoryWish, takeHistory, wantHistories } from './fill-history.js';
import { type Instrument, lotSize, tickSize } from './instrument.js';
import type { FillsGiven, FillsWanted, LedgerReply } from './ledger-records.js';
import type {
  CandlesRead,
  FeedState,
  InstrumentsListed,
  MarketEvent,
  MarketWish,
  TickersRead,
} from './market-events.js';
import { formatDecimal } from './money.js';
import { type Fill, filledQuantity, isTerminal, type Order } from './order.js';
import type { Denial, OrderEvent, OrderIntent } from './order-events.js';
import type { ControlState } from './safety.js';
import {
  type EventId,
  type EventIds,
  eventIds,
  type LogLevel,
  type Now,
  nextEventId,
  type Stepped,
} from './step.js';
import type {
  OwnOrder,
  OwnOrderStatus,
  ParameterValues,
  PositionView,
  Strategy,
  StrategyDefinition,
  StrategyIntent,
  StrategyIntents,
  StrategyOrderEvent,
  StrategyView,
} from './strategy.js';
import {
  type CandleDesk,
  candleDesk,
  forming,
  historyDue,
  historyLeft,
  noteShown,
  onClosedCandle,
  onFeed,
  onHistory,
  onTime,
  onTrade,
  onWaiting,
  seriesOf,
  warmUpLeft,
} from './strategy-candles.js';
import { needsOf } from './strategy-definition.js';
import { type KnownTrades, TradeIds } from './trade-ids.js';
import {
  chooseUniverse,
  initialUniverseMemory,
  type Universe,
  type UniverseMemory,
  type UniverseRules,
  wholeUniverse,
} from './universe.js';
import type { Balance } from './venue-port.js';

/** How long execution may act on an intent when the configuration does not say, ms. */
export const DEFAULT_INTENT_VALIDITY_MS = 1_000;
/** Most intents one call may return, and one second may bring; beyond it the strategy floods. */
export const MAX_INTENTS_PER_CALL = 50;
export const MAX_INTENTS_PER_SECOND = 200;
/** This many faults within the window stop a strategy. */
export const MAX_FAULTS = 5;
export const FAULT_WINDOW_MS = 60_000;
/** An intent without an answer this long after its validity is given up as never received. */
export const UNANSWERED_MS = 5_000;
/** A cancel without an effect may be asked for again after this long. */
export const CANCEL_AGAIN_MS = 3_000;
/** State is saved this often when it changed, and is at most this long. */
export const SAVE_INTERVAL_MS = 30_000;
export const MAX_SAVED_LENGTH = 262_144;
/** Tickers for the universe are wanted this often. */
export const UNIVERSE_INTERVAL_MS = 60_000;
/** What `stopped` says of a strategy whose actor is stopping: nothing is wrong with it. */
export const STOPPING = 'stopping';
/** How often a host says how it stands, on a tick. */
export const STATUS_INTERVAL_MS = 1_000;
const MAX_NOTES = 200;

export interface StrategyHostConfig {
  readonly definition: StrategyDefinition;
  /** What it is called in ids and in the ledger; the definition's name unless several strategies run. */
  readonly name?: string;
  readonly parameters: ParameterValues;
  readonly symbols: readonly string[];
  readonly incarnation: number;
  readonly startedAt: Now;
  /** How long execution may act on an intent, ms. */
  readonly intentValidityMs: number;
  readonly maxOpenOrders: number;
  readonly maxOpenOrdersPerSymbol: number;
  /** By quote asset. */
  readonly feesOf: (quote: string) => FeeRates;
  /** Whether somebody answers `candles-wanted`; false, or absent, and the warm-up is fed by the market alone. */
  readonly candleHistory?: boolean;
  /** Rules of the universe; null or absent for every symbol. */
  readonly universe?: UniverseRules | null;
  /** Why it must not run at all: it is named, its open orders are canceled, and not a line of it is called. */
  readonly disabled?: string | null;
  /** Where its event ids come from; strategies that run side by side share one sequence. */
  readonly ids?: EventIds;
  /** First number of its batches for the ledger: those of several strategies must differ. */
  readonly firstBatch?: number;
  /** Open orders of the other strategies of the bot. */
  readonly others?: () => readonly OwnOrder[];
  /** What an earlier run left behind, from the ledger. Fills of other strategies are left out here. */
  readonly restored: {
    readonly saved: string | null;
    readonly openOrders: readonly Order[];
    readonly fills?: readonly Fill[];
    /** What its fills before these have come to, and every trade that is in any such books. */
    readonly books?: { readonly fold: BooksFold | null; readonly earlier: KnownTrades };
  };
}

export type StrategyHostInput =
  | MarketEvent
  | OrderEvent
  | AccountReport
  | LedgerReply
  | FillsGiven
  | { readonly type: 'control'; readonly control: ControlState }
  | { readonly type: 'tick' }
  /** The actor is stopping: the last call, the last save. */
  | { readonly type: 'stopping' };

export type StrategyHostEffect =
  | CommonEffect
  | Tell<'execution', OrderIntent>
  | Tell<'market-data', MarketWish>
  | FillsWanted;

/** One of our orders with what the host keeps beside the view of it. */
interface Tracked {
  view: OwnOrder;
  /** Monotonic end of validity while pending; 0 afterwards. */
  validUntilMonoMs: number;
  /** Monotonic time of the last cancel asked for; null for none. */
  cancelAskedMonoMs: number | null;
}

export interface StrategyHostState extends HistoryWish {
  readonly config: StrategyHostConfig;
  readonly name: string;
  readonly ids: EventIds;
  readonly host: HostView;
  readonly strategy: Strategy;
  readonly candles: CandleDesk;
  /** The fills of its own orders. */
  readonly own: Accounting;
  universe: Universe;
  universeMemory: UniverseMemory;
  nextTickersMonoMs: number;
  /** Until then no order is let through, whatever the candles; Infinity before the start. */
  warmFromMonoMs: number;
  readonly warmUpMs: number;
  warm: boolean;
  /** Why the strategy is not running; null while it may. */
  stopped: string | null;
  started: boolean;
  readonly instruments: Map<string, Instrument>;
  readonly books: Map<string, BookView>;
  readonly feeds: Map<string, FeedState>;
  /** The newest market event per symbol: the cause of what a timer decides. */
  readonly marketCauses: Map<string, EventId>;
  readonly positions: Map<string, PositionView>;
  readonly balances: Map<string, Balance>;
  readonly orders: Map<string, Tracked>;
  nextIntent: number;
  readonly intentPrefix: string;
  /** The parameters for people: the status says them every second, and they stay as they are. */
  readonly shownParameters: Readonly<Record<string, unknown>>;
  /** Interval of the strategy's timer; Infinity for none. */
  readonly timerMs: number;
  nextTimerMonoMs: number;
  faultTimes: number[];
  intentTimes: { sinceMonoMs: number; count: number };
  nextBatch: number;
  savedText: string | null;
  nextSaveMonoMs: number;
  nextStatusMonoMs: number;
  readonly notes: Set<string>;
  readonly counts: {
    placed: number;
    canceled: number;
    suppressed: number;
    denied: number;
    faults: number;
    unanswered: number;
  };
}

const NO_INTENTS: StrategyIntents = [];
const NO_NEEDS = { candles: [], warmUpMs: 0 };

/** @throws Error when the strategy cannot even be created. */
export const initialStrategyHost = (config: StrategyHostConfig): StrategyHostState => {
  const { definition, incarnation, startedAt } = config;
  const name = config.name ?? definition.name;
  const disabled = config.disabled ?? null;
  const needs = disabled === null ? needsOf(definition, config.parameters) : NO_NEEDS;
  const tables: ViewTables = {
    config,
    candles: candleDesk(config.symbols, needs.candles, config.candleHistory === true),
    own: ownFrom(config.restored.books),
    instruments: new Map(),
    books: new Map(),
    positions: new Map(),
    balances: new Map(),
    orders: new Map(),
  };
  const timerMs =
    (disabled === null ? definition.timerMs?.(config.parameters) : undefined) ?? Number.POSITIVE_INFINITY;
  const state: StrategyHostState = {
    ...tables,
    name,
    ids: config.ids ?? eventIds('strategy', incarnation),
    host: createHostView(tables, startedAt),
    strategy: disabled === null ? definition.create(config.parameters) : {},
    universe: wholeUniverse((config.universe ?? null) === null ? config.symbols : []),
    universeMemory: initialUniverseMemory,
    nextTickersMonoMs: startedAt.monoMs,
    warmFromMonoMs: Number.POSITIVE_INFINITY,
    warmUpMs: needs.warmUpMs,
    warm: false,
    stopped: disabled,
    started: false,
    feeds: new Map(),
    marketCauses: new Map(),
    nextIntent: 1,
    // The start time keeps ids of different runs apart: an order of an earlier run may still be open.
    intentPrefix: `${name}:${incarnation}-${startedAt.wallMs.toString(36)}:`,
    shownParameters: Object.fromEntries(
      Object.entries(config.parameters).map(([parameter, value]) => [
        parameter,
        typeof value === 'bigint' ? formatDecimal(value) : value,
      ]),
    ),
    timerMs,
    nextTimerMonoMs: startedAt.monoMs + timerMs,
    faultTimes: [],
    intentTimes: { sinceMonoMs: startedAt.monoMs, count: 0 },
    nextBatch: config.firstBatch ?? 1,
    savedText: config.restored.saved,
    nextSaveMonoMs: startedAt.monoMs + SAVE_INTERVAL_MS,
    nextStatusMonoMs: startedAt.monoMs,
    historyWantedMonoMs: startedAt.monoMs,
    notes: new Set(),
    counts: { placed: 0, canceled: 0, suppressed: 0, denied: 0, faults: 0, unanswered: 0 },
  };
  for (const order of config.restored.openOrders)
    if (isOrderOf(state, order) && !isTerminal(order.state)) track(state, order, startedAt);
  for (const fill of (config.restored.fills ?? []).filter(tradedBy(name))) bookOwn(state, fill);
  return state;
};

export const stepStrategyHost = (
  state: StrategyHostState,
  input: StrategyHostInput,
  now: Now,
): Stepped<StrategyHostState, StrategyHostEffect> => {
  const effects: StrategyHostEffect[] = [];
  state.host.setNow(now);
  const turn: Turn = { state, now, effects };
  switch (input.type) {
    case 'instruments-listed':
      onInstruments(turn, input);
      break;
    case 'book-updated':
      onBook(turn, input.book, input.id);
      break;
    case 'public-trade':
      if (!isTraded(state, input.symbol)) break;
      state.marketCauses.set(input.symbol, input.id);
      showCandles(turn, onTrade(state.candles, input, now.wallMs), input.id);
      call(turn, 'onTrade', input.id, (strategy, view) => strategy.onTrade?.(view, input));
      break;
    case 'candle-closed':
      if (!isTraded(state, input.candle.symbol)) break;
      state.marketCauses.set(input.candle.symbol, input.id);
      showCandles(turn, onClosedCandle(state.candles, input.candle), input.id);
      break;
    case 'candles-read':
      onCandlesRead(turn, input);
      break;
    case 'candles-waiting':
      onWaiting(state.candles, input, now.monoMs);
      break;
    case 'tickers-read':
      onTickers(turn, input);
      break;
    case 'feed-status-changed':
      onFeedStatus(turn, input.symbol, input.state, input.id);
      break;
    case 'order-updated':
      onOrder(turn, input.order, { type: 'order', order: input.order, fill: input.fill }, input.id);
      break;
    case 'intent-denied':
      onDenied(turn, input.intentId, input.denial, input.id);
      break;
    case 'account-updated':
      onAccount(state, input);
      break;
    case 'control':
      state.host.setControl(input.control);
      break;
    case 'tick':
      onTick(turn);
      break;
    case 'stopping':
      onStopping(turn);
      break;
    case 'append-failed':
      log(turn, 'error', 'strategy-state-not-saved', { reason: input.reason });
      state.savedText = null;
      break;
    case 'fills-given':
      takeHistory(state.own, input, tradedBy(state.name));
      state.host.fillsChanged();
      break;
    case 'appended':
    case 'order-reported':
    case 'order-hinted':
    case 'fill-booked':
    case 'absence-proven':
    case 'reconciled':
      break;
  }
  return { state, effects };
};

interface Turn {
  readonly state: StrategyHostState;
  readonly now: Now;
  readonly effects: StrategyHostEffect[];
}

type Callback =
  | 'onStart'
  | 'onBook'
  | 'onTrade'
  | 'onCandle'
  | 'onUniverse'
  | 'onOrder'
  | 'onTimer'
  | 'onStop';

const isTraded = (state: StrategyHostState, symbol: string): boolean =>
  state.started && state.config.symbols.includes(symbol);

const onInstruments = (turn: Turn, listed: InstrumentsListed): void => {
  const { state } = turn;
  for (const instrument of listed.instruments) state.instruments.set(instrument.symbol, instrument);
  if (state.started || !state.config.symbols.every(symbol => state.instruments.has(symbol))) return;
  state.started = true;
  if (state.stopped !== null) {
    log(turn, 'error', 'strategy-stopped', { strategy: state.name, reason: state.stopped });
    for (const intentId of state.orders.keys()) cancel(turn, intentId, listed.id);
    return;
  }
  state.warmFromMonoMs = turn.now.monoMs + state.warmUpMs;
  const { saved } = state.config.restored;
  if (saved !== null) {
    try {
      state.strategy.load?.(saved);
    } catch (error) {
      // Going on without what it knew could mean to buy again what it has: a person has to look.
      state.counts.faults += 1;
      stop(
        turn,
        `it refused the state that it saved earlier: ${problemOf(error)}. Run it under another name, or correct it`,
      );
      return;
    }
  }
  watchWarmUp(turn);
  call(turn, 'onStart', listed.id, (strategy, view) => strategy.onStart?.(view));
  askForHistory(turn);
};

/**
 * Shows closed candles to the strategy, each once and in order. What is history ends the warm-up with its last candle and
 * not before: nothing may be decided by a past that is only being told.
 */
const showCandles = (
  turn: Turn,
  candles: readonly Candle[],
  cause: EventId | null,
  isHistory = false,
): void => {
  // What a close has changed, a stop for one, must outlive a crash: the next candle may be a day away. A run over nothing
  // but candles saves at none of them.
  if (candles.length > 0 && Number.isFinite(turn.state.nextSaveMonoMs))
    turn.state.nextSaveMonoMs = turn.now.monoMs;
  for (const candle of candles) {
    noteShown(turn.state.candles, candle);
    call(turn, 'onCandle', cause, (strategy, view) => strategy.onCandle?.(view, candle));
    if (!turn.state.warm && !isHistory) watchWarmUp(turn);
  }
  if (!turn.state.warm && isHistory) watchWarmUp(turn);
};

const onCandlesRead = (turn: Turn, answer: CandlesRead): void => {
  if (!isTraded(turn.state, answer.symbol)) return;
  const { candles, problem } = onHistory(turn.state.candles, answer);
  const { symbol, interval } = answer;
  if (problem !== null) log(turn, 'warn', 'candle-history-problem', { symbol, interval, problem });
  showCandles(turn, candles, answer.id, true);
};

const askForHistory = (turn: Turn): void => {
  const { state, now } = turn;
  const { asks, candles } = historyDue(state.candles, now.monoMs);
  for (const series of asks) {
    const id = series.openWish ?? nextEventId(state.ids);
    const { symbol, interval } = series.builder;
    series.openWish = id;
    series.wishIds.add(id);
    turn.effects.push({
      type: 'tell',
      to: 'market-data',
      message: { type: 'candles-wanted', id, cause: 'start', symbol, interval, count: series.warmUp },
    });
  }
  showCandles(turn, candles, null, true);
};

const watchWarmUp = (turn: Turn): void => {
  const { state, now } = turn;
  if (state.warm || !state.started || now.monoMs < state.warmFromMonoMs) return;
  if (warmUpLeft(state.candles) !== null) return;
  state.warm = true;
  state.host.setWarm();
  const waited = state.warmUpMs > 0 || [...state.candles.values()].some(all => all.length > 0);
  if (waited) log(turn, 'info', 'strategy-warm', { strategy: state.name });
};

const onTickers = (turn: Turn, { tickers, id }: TickersRead): void => {
  const { state, now } = turn;
  const rules = state.config.universe ?? null;
  if (rules === null || !state.started) return;
  const chosen = chooseUniverse(state.config.symbols, rules, tickers, state.universeMemory, now.wallMs);
  state.universeMemory = chosen.memory;
  state.universe = chosen.universe;
  state.host.setUniverse(chosen.universe);
  const { symbols, entered, left } = chosen.universe;
  if (entered.length === 0 && left.length === 0) return;
  log(turn, 'info', 'universe-changed', { strategy: state.name, symbols, entered, left });
  call(turn, 'onUniverse', id, (strategy, view) => strategy.onUniverse?.(view, chosen.universe));
};

/** Rules without tickers leave nothing to trade: what is not known is not traded. */
const wantTickers = (turn: Turn): void => {
  const { state, now } = turn;
  if ((state.config.universe ?? null) === null || !state.started || now.monoMs < state.nextTickersMonoMs)
    return;
  state.nextTickersMonoMs = now.monoMs + UNIVERSE_INTERVAL_MS;
  const id = nextEventId(state.ids);
  turn.effects.push({
    type: 'tell',
    to: 'market-data',
    message: { type: 'tickers-wanted', id, cause: 'universe', everyMs: UNIVERSE_INTERVAL_MS },
  });
};

/** Whether a fill is one of a strategy's own orders. */
const tradedBy = (name: string): ((fill: Fill) => boolean) => {
  const tag = strategyTag(name);
  return ({ clientOrderId }) => clientOrderId !== null && strategyTagIn(clientOrderId) === tag;
};

const bookOwn = (state: Pick<StrategyHostState, 'own' | 'instruments'>, fill: Fill): void => {
  bookFill(state.own, fill, state.instruments.get(fill.symbol) ?? pairFromSymbol(fill.symbol, fill.feeAsset));
};

const ownFrom = (books: StrategyHostConfig['restored']['books']): Accounting =>
  books === undefined || books.fold === null
    ? { ...initialAccounting(null), earlier: books?.earlier ?? new TradeIds() }
    : accountingFrom(null, books.fold, books.earlier);

const onBook = (turn: Turn, received: BookView, id: EventId): void => {
  const { state } = turn;
  if (!isTraded(state, received.symbol)) return;
  const feed = state.feeds.get(received.symbol);
  const believed =
    feed === undefined || feed === 'live' ? received : { ...wholeView(received), trusted: false };
  state.marketCauses.set(received.symbol, id);
  if (state.strategy.onBook === undefined) {
    state.books.set(received.symbol, believed);
    return;
  }
  const book = wholeView(believed);
  state.books.set(received.symbol, book);
  call(turn, 'onBook', id, (strategy, view) => strategy.onBook?.(view, book));
};

const onFeedStatus = (turn: Turn, symbol: string, feed: FeedState, id: EventId): void => {
  const { state } = turn;
  state.feeds.set(symbol, feed);
  onFeed(state.candles, symbol, feed !== 'disconnected' && feed !== 'connecting');
  const book = state.books.get(symbol);
  if (feed === 'live' || book === undefined || !book.trusted) return;
  onBook(turn, book, id);
};

const onOrder = (turn: Turn, order: Order, event: StrategyOrderEvent, id: EventId): void => {
  const { state } = turn;
  if (order.strategy !== state.name) return;
  if (event.type === 'order' && event.fill !== null) {
    bookOwn(state, event.fill);
    state.host.fillsChanged();
    // What a strategy remembers of its fills must not be older than they are.
    state.nextSaveMonoMs = turn.now.monoMs;
  }
  if (!isOrderOf(state, order)) return;
  if (isTerminal(order.state)) {
    if (order.state.status === 'denied') state.counts.denied += 1;
    state.orders.delete(order.intentId);
  } else track(state, order, turn.now);
  state.host.ordersChanged();
  if (state.started) call(turn, 'onOrder', id, (strategy, view) => strategy.onOrder?.(view, event));
};

const onDenied = (turn: Turn, intentId: string, denial: Denial, id: EventId): void => {
  const { state } = turn;
  const tracked = state.orders.get(intentId);
  // A denied cancel leaves its order where it was.
  if (tracked === undefined) return;
  if (tracked.view.status !== 'pending') {
    tracked.cancelAskedMonoMs = null;
    return;
  }
  state.orders.delete(intentId);
  state.counts.denied += 1;
  state.host.ordersChanged();
  call(turn, 'onOrder', id, (strategy, view) =>
    strategy.onOrder?.(view, { type: 'denied', order: tracked.view, denial }),
  );
};

const onAccount = (state: StrategyHostState, account: AccountUpdated): void => {
  state.balances.clear();
  for (const balance of account.balances) state.balances.set(balance.asset, balance);
  for (const position of account.positions) state.positions.set(position.symbol, position);
};

const onTick = (turn: Turn): void => {
  const { state, now } = turn;
  for (const [intentId, tracked] of state.orders) {
    if (
      tracked.cancelAskedMonoMs !== null &&
      tracked.view.status !== 'canceling' &&
      now.monoMs - tracked.cancelAskedMonoMs > CANCEL_AGAIN_MS
    ) {
      tracked.cancelAskedMonoMs = null;
      state.host.ordersChanged();
    }
    if (tracked.view.status !== 'pending' || now.monoMs <= tracked.validUntilMonoMs + UNANSWERED_MS) continue;
    state.counts.unanswered += 1;
    log(turn, 'warn', 'intent-unanswered', { intentId });
    onDenied(turn, intentId, { code: 'intent-expired', context: { waitedMs: UNANSWERED_MS } }, 'tick');
  }
  if (state.started && state.stopped === null) {
    showCandles(turn, onTime(state.candles, now.wallMs), null);
    if (!state.warm) {
      askForHistory(turn);
      watchWarmUp(turn);
    }
    wantTickers(turn);
  }
  if (state.started && now.monoMs >= state.nextTimerMonoMs) {
    state.nextTimerMonoMs += state.timerMs;
    if (state.nextTimerMonoMs <= now.monoMs) state.nextTimerMonoMs = now.monoMs + state.timerMs;
    call(turn, 'onTimer', null, (strategy, view) => strategy.onTimer?.(view));
  }
  if (now.monoMs >= state.nextSaveMonoMs) {
    state.nextSaveMonoMs = now.monoMs + SAVE_INTERVAL_MS;
    save(turn, false);
  }
  turn.effects.push(...wantHistories(state, [state.own], now));
  if (now.monoMs >= state.nextStatusMonoMs) {
    state.nextStatusMonoMs = now.monoMs + STATUS_INTERVAL_MS;
    turn.effects.push({ type: 'status', facts: statusFacts(state) });
  }
};

const onStopping = (turn: Turn): void => {
  const { state } = turn;
  if (state.stopped !== null || !state.started) return;
  call(turn, 'onStop', null, (strategy, view) =>
    strategy.onStop?.(view)?.filter(intent => intent.type !== 'place'),
  );
  save(turn, true);
  state.stopped ??= STOPPING;
};

/** The actor's part of `btcbot status`; plain JSON. */
export const statusFacts = (state: StrategyHostState): Readonly<Record<string, unknown>> => ({
  strategy: state.name,
  ...(state.name === state.config.definition.name ? {} : { kind: state.config.definition.name }),
  state:
    state.stopped !== null
      ? 'stopped'
      : !state.started
        ? 'waiting for instruments'
        : state.warm
          ? 'running'
          : 'warming up',
  reason: state.stopped,
  ...warmUpFacts(state),
  ...((state.config.universe ?? null) === null ? {} : { universe: state.universe.symbols }),
  parameters: state.shownParameters,
  openOrders: state.orders.size,
  ...state.counts,
});

/** How far the warm-up is, while it lasts. */
const warmUpFacts = (state: StrategyHostState): Readonly<Record<string, unknown>> => {
  if (state.warm || state.stopped !== null || !state.started) return {};
  const left = warmUpLeft(state.candles);
  return left === null
    ? { warmUp: 'waiting for time to pass' }
    : {
        warmUp: `${left.symbol} ${left.interval}: ${left.seen} of ${left.needed} candles`,
        ...historyFacts(state),
      };
};

/** How long the past will be in coming, as far as is known. */
const historyFacts = ({ candles, host }: StrategyHostState): Readonly<Record<string, unknown>> => {
  const left = historyLeft(candles, host.view.now.monoMs);
  if (left === null) return {};
  const when =
    left.lastInMs === null
      ? 'nothing heard of them yet'
      : `the turn of the last comes in about ${Math.ceil(left.lastInMs / 1_000)} s`;
  return { history: `${left.series} series wait for the venue's charts: ${when}` };
};

/**
 * Whether a strategy has an order: under its name, on a symbol that it trades. On any other it knows no instrument; what
 * such an order of an earlier run executes is in its position all the same.
 */
export const isOrderOf = (
  { name, config }: Pick<StrategyHostState, 'name' | 'config'>,
  { strategy, terms }: Order,
): boolean => strategy === name && config.symbols.includes(terms.symbol);

/** An order as strategies see it; null for a market order, which has no price. */
export const viewOf = (order: Order, askedMonoMs: number): OwnOrder | null => {
  const { symbol, side, price, quantity } = order.terms;
  if (price === null) return null;
  return {
    intentId: order.intentId,
    symbol,
    side,
    price,
    quantity,
    filled: filledQuantity(order.state),
    status: statusOf(order),
    askedMonoMs,
  };
};

/** Takes an order's newest word into the view of it. */
const track = (state: StrategyHostState, order: Order, now: Now): void => {
  const before = state.orders.get(order.intentId);
  const view = viewOf(order, before?.view.askedMonoMs ?? now.monoMs);
  // No strategy can ask for a market order; a stored one from a newer version is left alone.
  if (view === null) return;
  // Back from canceling, or with a refused cancel: the strategy may ask again.
  const settled = before?.view.status === 'canceling' && view.status === 'working';
  state.orders.set(order.intentId, {
    view,
    validUntilMonoMs: 0,
    cancelAskedMonoMs: settled ? null : (before?.cancelAskedMonoMs ?? null),
  });
};

const statusOf = (order: Order): OwnOrderStatus => {
  switch (order.state.status) {
    case 'working':
    case 'unknown':
      return order.state.status;
    case 'cancel-in-flight':
      return 'canceling';
    default:
      return 'in-flight';
  }
};

/** Calls the strategy. What it throws, or a return value that is not sound as a whole, is a fault and sends nothing. */
const call = (
  turn: Turn,
  callback: Callback,
  cause: EventId | null,
  run: (strategy: Strategy, view: StrategyView) => StrategyIntents | undefined,
): void => {
  const { state } = turn;
  const { strategy } = state;
  if (state.stopped !== null) return;
  let returned: unknown;
  try {
    returned = run(strategy, state.host.view) ?? NO_INTENTS;
  } catch (error) {
    fault(turn, callback, problemOf(error));
    return;
  }
  if (Array.isArray(returned) && returned.length === 0) return;
  const problem = problemWith(state, turn.now, returned);
  if (problem !== null) {
    fault(turn, callback, problem);
    return;
  }
  for (const intent of returned as StrategyIntents) forward(turn, intent, cause);
};

/** What is wrong with a return value, or null. */
const problemWith = (state: StrategyHostState, now: Now, returned: unknown): string | null => {
  if (!Array.isArray(returned)) return `returned ${typeof returned} instead of a list of intents`;
  if (returned.length > MAX_INTENTS_PER_CALL) return `returned ${returned.length} intents from one call`;
  const rate = state.intentTimes;
  if (now.monoMs - rate.sinceMonoMs >= 1_000) {
    rate.sinceMonoMs = now.monoMs;
    rate.count = 0;
  }
  rate.count += returned.length;
  if (rate.count > MAX_INTENTS_PER_SECOND) return `returned ${rate.count} intents within a second`;
  for (const intent of returned as unknown[]) {
    const problem = problemWithIntent(state, intent);
    if (problem !== null) return problem;
  }
  return null;
};

const TAG = /^[a-z0-9][a-z0-9-]{0,31}$/;

const problemWithIntent = (state: StrategyHostState, given: unknown): string | null => {
  if (typeof given !== 'object' || given === null) return `returned ${typeof given} as an intent`;
  // Typed by its author, who may have written JavaScript: every field is looked at.
  const intent = given as { readonly [field: string]: unknown };
  switch (intent.type) {
    case 'note':
      return typeof intent.text === 'string' && intent.text.length <= 500
        ? null
        : 'a note needs a text of at most 500 characters';
    case 'cancel':
      return typeof intent.intentId === 'string' ? null : 'a cancel needs the intent id of an order';
    case 'place': {
      const { symbol, side, method, price, quantity } = intent;
      const instrument =
        typeof symbol === 'string' && state.config.symbols.includes(symbol)
          ? state.instruments.get(symbol)
          : undefined;
      if (instrument === undefined)
        return `an order on ${String(symbol)}, which this strategy does not trade`;
      if (side !== 'buy' && side !== 'sell') return `an order with the side ${String(side)}`;
      if (method !== 'limit') return `an order with the method ${String(method)}`;
      if (typeof price !== 'bigint' || price <= 0n || price % tickSize(instrument) !== 0n)
        return `an order with the price ${shown(price)}, which is not a positive multiple of ${formatDecimal(tickSize(instrument))}`;
      if (typeof quantity !== 'bigint' || quantity <= 0n || quantity % lotSize(instrument) !== 0n)
        return `an order with the quantity ${shown(quantity)}, which is not a positive multiple of ${formatDecimal(lotSize(instrument))}`;
      if (intent.tag !== undefined && (typeof intent.tag !== 'string' || !TAG.test(intent.tag)))
        return `an order with the tag ${String(intent.tag)}, which is not 1 to 32 lower-case letters, digits and dashes`;
      return null;
    }
    default:
      return `returned an intent of the type ${String(intent.type)}`;
  }
};

const shown = (value: unknown): string => (typeof value === 'bigint' ? formatDecimal(value) : String(value));

const forward = (turn: Turn, intent: StrategyIntent, cause: EventId | null): void => {
  const { state, now, effects } = turn;
  const strategy = state.name;
  switch (intent.type) {
    case 'note':
      if (state.notes.has(intent.text) || state.notes.size >= MAX_NOTES) return;
      state.notes.add(intent.text);
      log(turn, 'info', 'strategy-note', { text: intent.text });
      return;
    case 'cancel':
      cancel(turn, intent.intentId, cause);
      return;
    case 'place': {
      const { symbol, side, method, price, quantity } = intent;
      if (!state.host.view.maySubmit(symbol)) {
        state.counts.suppressed += 1;
        return;
      }
      const intentId = `${state.intentPrefix}${state.nextIntent++}`;
      const validUntilMonoMs = now.monoMs + state.config.intentValidityMs;
      state.orders.set(intentId, {
        view: {
          intentId,
          symbol,
          side,
          price,
          quantity,
          filled: 0n,
          status: 'pending',
          askedMonoMs: now.monoMs,
        },
        validUntilMonoMs,
        cancelAskedMonoMs: null,
      });
      state.host.ordersChanged();
      state.counts.placed += 1;
      // What a strategy remembers of having asked must outlive a crash as well.
      state.nextSaveMonoMs = now.monoMs;
      effects.push({
        type: 'tell',
        to: 'execution',
        message: {
          type: 'place-order',
          id: nextEventId(state.ids),
          cause: cause ?? state.marketCauses.get(symbol) ?? 'timer',
          intentId,
          strategy,
          terms: { symbol, side, method, price, quantity, quoteQuantity: null, stopPrice: null },
          validUntilMonoMs,
          bookVersion: state.books.get(symbol)?.version ?? 0,
          ...(intent.tag === undefined ? {} : { tag: intent.tag }),
        },
      });
      return;
    }
  }
};

/** A cancel of an order that has ended meanwhile, or was already asked for, is nothing. */
const cancel = (turn: Turn, intentId: string, cause: EventId | null): void => {
  const { state, now, effects } = turn;
  const tracked = state.orders.get(intentId);
  if (tracked === undefined || tracked.cancelAskedMonoMs !== null) return;
  tracked.cancelAskedMonoMs = now.monoMs;
  state.host.ordersChanged();
  state.counts.canceled += 1;
  effects.push({
    type: 'tell',
    to: 'execution',
    message: {
      type: 'cancel-order',
      id: nextEventId(state.ids),
      cause: cause ?? state.marketCauses.get(tracked.view.symbol) ?? 'timer',
      strategy: state.name,
      intentId,
    },
  });
};

const fault = (turn: Turn, callback: Callback | 'load' | 'save', problem: string): void => {
  const { state, now } = turn;
  state.counts.faults += 1;
  state.faultTimes = [...state.faultTimes.filter(at => now.monoMs - at < FAULT_WINDOW_MS), now.monoMs];
  const strategy = state.name;
  log(turn, 'error', 'strategy-fault', { strategy, callback, problem, faults: state.faultTimes.length });
  turn.effects.push({ type: 'metric', kind: 'counter', name: 'btcbot_strategy_faults_total', value: 1 });
  if (state.faultTimes.length < MAX_FAULTS || state.stopped !== null) return;
  stop(turn, `${MAX_FAULTS} faults within ${FAULT_WINDOW_MS / 1_000} s, the last in ${callback}: ${problem}`);
};

/** The strategy is not called any more; what it has in the market is taken out. */
const stop = (turn: Turn, reason: string): void => {
  const { state } = turn;
  state.stopped = reason;
  log(turn, 'error', 'strategy-stopped', { strategy: state.name, reason });
  for (const intentId of state.orders.keys()) cancel(turn, intentId, null);
};

const save = (turn: Turn, durable: boolean): void => {
  const { state, now } = turn;
  if (state.strategy.save === undefined || !state.started || state.stopped !== null) return;
  let text: unknown;
  try {
    text = state.strategy.save();
  } catch (error) {
    fault(turn, 'save', problemOf(error));
    return;
  }
  if (typeof text !== 'string' || text.length > MAX_SAVED_LENGTH) {
    fault(turn, 'save', `returned no text of at most ${MAX_SAVED_LENGTH} characters`);
    return;
  }
  if (text === state.savedText) return;
  state.savedText = text;
  turn.effects.push({
    type: 'append',
    request: {
      type: 'append',
      batch: state.nextBatch++,
      durable,
      records: [
        {
          type: 'strategy-saved',
          strategy: state.name,
          state: text,
          atMs: now.wallMs,
        },
      ],
    },
  });
};

const log = (turn: Turn, level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>): void => {
  turn.effects.push({ type: 'log', level, event, fields });
};

const problemOf = (error: unknown): string =>
  (error instanceof Error ? `${error.name}: ${error.message}` : String(error)).slice(0, 300);

/** The tables a view reads; the host writes them. */
type ViewTables = Pick<
  StrategyHostState,
  'config' | 'instruments' | 'books' | 'positions' | 'balances' | 'orders' | 'candles' | 'own'
>;

/** The one view object of a host, and what only the host may do to it. */
interface HostView {
  readonly view: StrategyView;
  setNow(now: Now): void;
  setControl(control: ControlState): void;
  setWarm(): void;
  setUniverse(universe: Universe): void;
  /** Forgets the list made of the orders. */
  ordersChanged(): void;
  /** Forgets the positions made of the fills. */
  fillsChanged(): void;
}

const createHostView = (tables: ViewTables, startedAt: Now): HostView => {
  const { config, instruments, books, positions, balances } = tables;
  let now = startedAt;
  let control: ControlState | null = null;
  let orders: readonly OwnOrder[] | null = null;
  const ownPositions = new Map<string, PositionView>();
  let warm = false;
  // With rules, nothing is chosen before the first tickers.
  let universe = wholeUniverse((config.universe ?? null) === null ? config.symbols : []);

  const instrumentOf = (symbol: string): Instrument => {
    const instrument = instruments.get(symbol);
    if (instrument === undefined) throw new Error(`${symbol} is not a symbol of this strategy`);
    return instrument;
  };
  const allOrders = (): readonly OwnOrder[] =>
    [...tables.orders.values()].map(({ view, cancelAskedMonoMs }) =>
      cancelAskedMonoMs === null || view.status === 'canceling' ? view : { ...view, status: 'canceling' },
    );
  const view: StrategyView = {
    get now() {
      return now;
    },
    symbols: config.symbols,
    instrument: instrumentOf,
    book: symbol => {
      const book = books.get(symbol);
      if (book === undefined) return undefined;
      const whole = wholeView(book);
      if (whole !== book) books.set(symbol, whole);
      return whole;
    },
    candles: (symbol, interval) => seriesOf(tables.candles, symbol, interval)?.closed ?? [],
    formingCandle: (symbol, interval) => forming(tables.candles, symbol, interval),
    get isWarm() {
      return warm;
    },
    get universe() {
      return universe;
    },
    position: symbol => {
      const known = ownPositions.get(symbol);
      if (known !== undefined) return known;
      const made = Object.freeze(positionView(tables.own, symbol));
      ownPositions.set(symbol, made);
      return made;
    },
    accountPosition: symbol => positions.get(symbol) ?? flatPosition(symbol),
    balance: asset => balances.get(asset),
    openOrders: symbol => {
      orders ??= allOrders();
      return symbol === undefined ? orders : orders.filter(order => order.symbol === symbol);
    },
    otherOrders: symbol => {
      const others = config.others?.() ?? NO_ORDERS;
      return symbol === undefined || others.length === 0
        ? others
        : others.filter(order => order.symbol === symbol);
    },
    fees: symbol => config.feesOf(instrumentOf(symbol).quote),
    maySubmit: symbol => warm && control?.maySubmit === true && !control.blockedSymbols.includes(symbol),
    maxOpenOrders: config.maxOpenOrders,
    maxOpenOrdersPerSymbol: config.maxOpenOrdersPerSymbol,
  };
  return {
    view,
    setNow: at => {
      now = at;
    },
    setControl: state => {
      control = state;
    },
    setWarm: () => {
      warm = true;
    },
    setUniverse: chosen => {
      universe = chosen;
    },
    ordersChanged: () => {
      orders = null;
    },
    fillsChanged: () => ownPositions.clear(),
  };
};

/** Orders of a strategy that have not ended, as the others see them. */
export const openOrdersOf = (state: StrategyHostState): readonly OwnOrder[] => state.host.view.openOrders();

const NO_ORDERS: readonly OwnOrder[] = Object.freeze([]);

const flatPosition = (symbol: string): PositionView => ({
  symbol,
  quantity: 0n,
  averagePrice: null,
  realized: 0n,
  fees: 0n,
  taxes: 0n,
});
