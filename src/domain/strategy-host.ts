/**
 * The brain of the strategy actor: it keeps the read-only views a strategy looks at, calls the strategy, checks what it
 * returns and passes it on to execution.
 *
 * Invariants:
 * - nothing a strategy returns is forwarded unless the whole return value of that call is sound;
 * - every intent id is used once, also across restarts of the process;
 * - while submitting is forbidden no place intent leaves, cancels always do;
 * - a strategy that keeps failing is named, its resting orders are canceled, and nothing else is sent.
 */
import type { AccountReport, AccountUpdated } from './account-events.js';
import type { BookView } from './book-view.js';
import type { CommonEffect, Tell } from './effects.js';
import type { FeeRates } from './fees.js';
import { type Instrument, lotSize, tickSize } from './instrument.js';
import type { LedgerReply } from './ledger-records.js';
import type { FeedState, InstrumentsListed, MarketEvent } from './market-events.js';
import { formatDecimal } from './money.js';
import { filledQuantity, isTerminal, type Order } from './order.js';
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
const STATUS_INTERVAL_MS = 1_000;
const MAX_NOTES = 200;

export interface StrategyHostConfig {
  readonly definition: StrategyDefinition;
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
  /** What an earlier run left behind, from the ledger. */
  readonly restored: { readonly saved: string | null; readonly openOrders: readonly Order[] };
}

export type StrategyHostInput =
  | MarketEvent
  | OrderEvent
  | AccountReport
  | LedgerReply
  | { readonly type: 'control'; readonly control: ControlState }
  | { readonly type: 'tick' }
  /** The actor is stopping: the last call, the last save. */
  | { readonly type: 'stopping' };

export type StrategyHostEffect = CommonEffect | Tell<'execution', OrderIntent>;

/** One of our orders with what the host keeps beside the view of it. */
interface Tracked {
  view: OwnOrder;
  /** Monotonic end of validity while pending; 0 afterwards. */
  validUntilMonoMs: number;
  /** Monotonic time of the last cancel asked for; null for none. */
  cancelAskedMonoMs: number | null;
}

export interface StrategyHostState {
  readonly config: StrategyHostConfig;
  readonly ids: EventIds;
  readonly host: HostView;
  readonly strategy: Strategy;
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

/** @throws Error when the strategy cannot even be created. */
export const initialStrategyHost = (config: StrategyHostConfig): StrategyHostState => {
  const { definition, incarnation, startedAt } = config;
  const tables: ViewTables = {
    config,
    instruments: new Map(),
    books: new Map(),
    positions: new Map(),
    balances: new Map(),
    orders: new Map(),
  };
  const timerMs = definition.timerMs?.(config.parameters) ?? Number.POSITIVE_INFINITY;
  const state: StrategyHostState = {
    ...tables,
    ids: eventIds('strategy', incarnation),
    host: createHostView(tables, startedAt),
    strategy: definition.create(config.parameters),
    stopped: null,
    started: false,
    feeds: new Map(),
    marketCauses: new Map(),
    nextIntent: 1,
    // The start time keeps ids of different runs apart: an order of an earlier run may still be open.
    intentPrefix: `${definition.name}:${incarnation}-${startedAt.wallMs.toString(36)}:`,
    timerMs,
    nextTimerMonoMs: startedAt.monoMs + timerMs,
    faultTimes: [],
    intentTimes: { sinceMonoMs: startedAt.monoMs, count: 0 },
    nextBatch: 1,
    savedText: config.restored.saved,
    nextSaveMonoMs: startedAt.monoMs + SAVE_INTERVAL_MS,
    nextStatusMonoMs: startedAt.monoMs,
    notes: new Set(),
    counts: { placed: 0, canceled: 0, suppressed: 0, denied: 0, faults: 0, unanswered: 0 },
  };
  for (const order of config.restored.openOrders)
    if (order.strategy === definition.name && !isTerminal(order.state)) track(state, order, startedAt);
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
      call(turn, 'onTrade', input.id, (strategy, view) => strategy.onTrade?.(view, input));
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

type Callback = 'onStart' | 'onBook' | 'onTrade' | 'onOrder' | 'onTimer' | 'onStop';

const isTraded = (state: StrategyHostState, symbol: string): boolean =>
  state.started && state.config.symbols.includes(symbol);

const onInstruments = (turn: Turn, listed: InstrumentsListed): void => {
  const { state } = turn;
  for (const instrument of listed.instruments) state.instruments.set(instrument.symbol, instrument);
  if (state.started || !state.config.symbols.every(symbol => state.instruments.has(symbol))) return;
  state.started = true;
  const { saved } = state.config.restored;
  if (saved !== null) {
    try {
      state.strategy.load?.(saved);
    } catch (error) {
      fault(turn, 'load', problemOf(error));
    }
  }
  call(turn, 'onStart', listed.id, (strategy, view) => strategy.onStart?.(view));
};

const onBook = (turn: Turn, received: BookView, id: EventId): void => {
  const { state } = turn;
  if (!isTraded(state, received.symbol)) return;
  const feed = state.feeds.get(received.symbol);
  const book = feed === undefined || feed === 'live' ? received : { ...received, trusted: false };
  state.books.set(received.symbol, book);
  state.marketCauses.set(received.symbol, id);
  call(turn, 'onBook', id, (strategy, view) => strategy.onBook?.(view, book));
};

const onFeedStatus = (turn: Turn, symbol: string, feed: FeedState, id: EventId): void => {
  const { state } = turn;
  state.feeds.set(symbol, feed);
  const book = state.books.get(symbol);
  if (feed === 'live' || book === undefined || !book.trusted) return;
  onBook(turn, book, id);
};

const onOrder = (turn: Turn, order: Order, event: StrategyOrderEvent, id: EventId): void => {
  const { state } = turn;
  if (order.strategy !== state.config.definition.name) return;
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
  if (state.started && now.monoMs >= state.nextTimerMonoMs) {
    state.nextTimerMonoMs += state.timerMs;
    if (state.nextTimerMonoMs <= now.monoMs) state.nextTimerMonoMs = now.monoMs + state.timerMs;
    call(turn, 'onTimer', null, (strategy, view) => strategy.onTimer?.(view));
  }
  if (now.monoMs >= state.nextSaveMonoMs) {
    state.nextSaveMonoMs = now.monoMs + SAVE_INTERVAL_MS;
    save(turn, false);
  }
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
  state.stopped ??= 'stopping';
};

/** The actor's part of `btcbot status`; plain JSON. */
export const statusFacts = (state: StrategyHostState): Readonly<Record<string, unknown>> => ({
  strategy: state.config.definition.name,
  state: state.stopped === null ? (state.started ? 'running' : 'waiting for instruments') : 'stopped',
  reason: state.stopped,
  parameters: Object.fromEntries(
    Object.entries(state.config.parameters).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? formatDecimal(value) : value,
    ]),
  ),
  openOrders: state.orders.size,
  ...state.counts,
});

/** Takes an order's newest word into the view of it. */
const track = (state: StrategyHostState, order: Order, now: Now): void => {
  const before = state.orders.get(order.intentId);
  // A market order has no price and no strategy can ask for one; a stored one from a newer version is left alone.
  if (order.terms.price === null) return;
  const status = statusOf(order);
  // Back from canceling, or with a refused cancel: the strategy may ask again.
  const settled = before?.view.status === 'canceling' && status === 'working';
  state.orders.set(order.intentId, {
    view: {
      intentId: order.intentId,
      symbol: order.terms.symbol,
      side: order.terms.side,
      price: order.terms.price,
      quantity: order.terms.quantity,
      filled: filledQuantity(order.state),
      status,
      askedMonoMs: before?.view.askedMonoMs ?? now.monoMs,
    },
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
      return null;
    }
    default:
      return `returned an intent of the type ${String(intent.type)}`;
  }
};

const shown = (value: unknown): string => (typeof value === 'bigint' ? formatDecimal(value) : String(value));

const forward = (turn: Turn, intent: StrategyIntent, cause: EventId | null): void => {
  const { state, now, effects } = turn;
  const strategy = state.config.definition.name;
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
      strategy: state.config.definition.name,
      intentId,
    },
  });
};

const fault = (turn: Turn, callback: Callback | 'load' | 'save', problem: string): void => {
  const { state, now } = turn;
  state.counts.faults += 1;
  state.faultTimes = [...state.faultTimes.filter(at => now.monoMs - at < FAULT_WINDOW_MS), now.monoMs];
  const strategy = state.config.definition.name;
  log(turn, 'error', 'strategy-fault', { strategy, callback, problem, faults: state.faultTimes.length });
  turn.effects.push({ type: 'metric', kind: 'counter', name: 'btcbot_strategy_faults_total', value: 1 });
  if (state.faultTimes.length < MAX_FAULTS || state.stopped !== null) return;
  state.stopped = `${MAX_FAULTS} faults within ${FAULT_WINDOW_MS / 1_000} s, the last in ${callback}: ${problem}`;
  log(turn, 'error', 'strategy-stopped', { strategy, reason: state.stopped });
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
          strategy: state.config.definition.name,
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
  'config' | 'instruments' | 'books' | 'positions' | 'balances' | 'orders'
>;

/** The one view object of a host, and what only the host may do to it. */
interface HostView {
  readonly view: StrategyView;
  setNow(now: Now): void;
  setControl(control: ControlState): void;
  /** Forgets the list made of the orders. */
  ordersChanged(): void;
}

const createHostView = (tables: ViewTables, startedAt: Now): HostView => {
  const { config, instruments, books, positions, balances } = tables;
  let now = startedAt;
  let control: ControlState | null = null;
  let orders: readonly OwnOrder[] | null = null;

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
    book: symbol => books.get(symbol),
    position: symbol => positions.get(symbol) ?? flatPosition(symbol),
    balance: asset => balances.get(asset),
    openOrders: symbol => {
      orders ??= allOrders();
      return symbol === undefined ? orders : orders.filter(order => order.symbol === symbol);
    },
    fees: symbol => config.feesOf(instrumentOf(symbol).quote),
    maySubmit: symbol => control?.maySubmit === true && !control.blockedSymbols.includes(symbol),
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
    ordersChanged: () => {
      orders = null;
    },
  };
};

const flatPosition = (symbol: string): PositionView => ({
  symbol,
  quantity: 0n,
  averagePrice: null,
  realized: 0n,
  fees: 0n,
  taxes: 0n,
});
