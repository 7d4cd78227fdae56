/**
 * Several strategies in one actor, each with its own host, name, position and state, under the one risk gate. What one
 * of them does wrong is its own: it is stopped by name and the others go on.
 */
import { strategyTag } from './client-order-id.js';
import { type BooksCheckpoint, firstBatch } from './ledger-records.js';
import { formatDecimal } from './money.js';
import { isTerminal, type Order } from './order.js';
import type { EventIds, Now, Stepped } from './step.js';
import { eventIds } from './step.js';
import type { OwnOrder, ParameterValues, StrategyDefinition } from './strategy.js';
import {
  initialStrategyHost,
  isOrderOf,
  openOrdersOf,
  STATUS_INTERVAL_MS,
  STOPPING,
  type StrategyHostConfig,
  type StrategyHostEffect,
  type StrategyHostInput,
  type StrategyHostState,
  statusFacts,
  stepStrategyHost,
  viewOf,
} from './strategy-host.js';
import { TradeIds } from './trade-ids.js';
import type { UniverseRules } from './universe.js';

/** One strategy of the portfolio. */
export interface PortfolioMember {
  readonly name: string;
  readonly definition: StrategyDefinition;
  readonly parameters: ParameterValues;
  readonly symbols: readonly string[];
  readonly universe: UniverseRules | null;
  /** Why it must not run; null when it may. */
  readonly disabled: string | null;
}

/** A strategy that runs alone, under its own name. A recording has no tickers for the rules of a universe. */
export const soleMember = (
  definition: StrategyDefinition,
  parameters: ParameterValues,
  symbols: readonly string[],
): PortfolioMember => ({
  name: definition.name,
  definition,
  parameters,
  symbols,
  universe: null,
  disabled: null,
});

/** What the members share. */
export interface PortfolioConfig
  extends Pick<
    StrategyHostConfig,
    | 'incarnation'
    | 'startedAt'
    | 'intentValidityMs'
    | 'maxOpenOrders'
    | 'maxOpenOrdersPerSymbol'
    | 'feesOf'
    | 'candleHistory'
  > {
  readonly members: readonly PortfolioMember[];
  /** From the ledger; each member finds what is its own. */
  readonly restored: Required<Pick<StrategyHostConfig['restored'], 'openOrders' | 'fills'>> & {
    readonly strategyStates: ReadonlyMap<string, string>;
    readonly checkpoint?: BooksCheckpoint | null;
  };
}

export interface PortfolioState {
  readonly hosts: StrategyHostState[];
  /**
   * Open orders of earlier runs that no member has, by intent id: of a strategy that is run no more, or on a symbol that
   * it trades no more. Nobody here manages them, but they take up room and money.
   */
  readonly leftOver: Map<string, OwnOrder>;
  /** Those among them that an operator has yet to be told of. */
  untold: readonly Order[];
}

/** Told which member is about to run, and null when it is done: who runs for ever can be named afterwards. */
export type PortfolioWatch = (member: number | null) => void;

/** Batches of one member, so that the ledger's answers tell them apart. */
const BATCHES_EACH = 1_000_000_000;

const unwatched: PortfolioWatch = () => {};

/** A member that cannot even be created is stopped with its reason; it stops nobody else. */
export const initialPortfolio = (
  config: PortfolioConfig,
  watch: PortfolioWatch = unwatched,
): PortfolioState => {
  const state: PortfolioState = { hosts: [], leftOver: new Map(), untold: [] };
  const ids: EventIds = eventIds('strategy', config.incarnation);
  const { members, restored, ...shared } = config;
  const checkpoint = restored.checkpoint ?? null;
  const earlier = new TradeIds(checkpoint?.tradeIds);
  for (const [index, member] of members.entries()) {
    const host: StrategyHostConfig = {
      ...shared,
      ...member,
      ids,
      firstBatch: firstBatch(config.incarnation) + index * BATCHES_EACH,
      others: () => ordersBeside(state, index),
      restored: {
        saved: restored.strategyStates.get(member.name) ?? null,
        openOrders: restored.openOrders,
        fills: restored.fills,
        books: { fold: checkpoint?.books.strategies.get(strategyTag(member.name)) ?? null, earlier },
      },
    };
    watch(index);
    try {
      state.hosts.push(initialStrategyHost(host));
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      state.hosts.push(initialStrategyHost({ ...host, disabled: `it cannot be created: ${words}` }));
    }
    watch(null);
  }
  state.untold = restored.openOrders.filter(order => noteLeftOver(state, order, config.startedAt));
  return state;
};

/** @returns whether it is an open order that no member has */
const noteLeftOver = ({ hosts, leftOver }: PortfolioState, order: Order, now: Now): boolean => {
  if (hosts.some(host => isOrderOf(host, order))) return false;
  const view = isTerminal(order.state) ? null : viewOf(order, now.monoMs);
  if (view === null) leftOver.delete(order.intentId);
  else leftOver.set(order.intentId, view);
  return view !== null;
};

/** Told once, when the logs are read: on a tick. */
const nameLeftOver = (state: PortfolioState): StrategyHostEffect[] => {
  const { untold } = state;
  state.untold = [];
  return untold.map(({ clientOrderId, strategy, terms }) => ({
    type: 'log',
    level: 'warn',
    event: 'order-left-over',
    fields: {
      clientOrderId,
      strategy,
      symbol: terms.symbol,
      side: terms.side,
      price: terms.price === null ? 'market' : formatDecimal(terms.price),
      text: 'it rests, and no strategy of this run manages it: btcbot cancel-all takes it out',
    },
  }));
};

export const stepPortfolio = (
  state: PortfolioState,
  input: StrategyHostInput,
  now: Now,
  watch: PortfolioWatch = unwatched,
): Stepped<PortfolioState, StrategyHostEffect> => {
  const { hosts } = state;
  if (input.type === 'order-updated') noteLeftOver(state, input.order, now);
  if (hosts.length === 1) {
    const only = hosts[0] as StrategyHostState;
    watch(0);
    const { effects } = stepStrategyHost(only, input, now);
    watch(null);
    if (input.type === 'tick' && state.untold.length > 0) effects.push(...nameLeftOver(state));
    if (input.type === 'tick' && hasJustReported(only, now)) effects.push(stoppedGauge(state));
    return { state, effects };
  }
  const effects: StrategyHostEffect[] = [];
  if (input.type === 'tick' && state.untold.length > 0) effects.push(...nameLeftOver(state));
  for (const [index, host] of hosts.entries()) {
    if (!concerns(host, input)) continue;
    watch(index);
    for (const effect of stepStrategyHost(host, input, now).effects)
      if (effect.type !== 'status') effects.push(effect);
    watch(null);
  }
  if (input.type === 'tick') addStatus(state, effects, now);
  return { state, effects };
};

/** Whether an input is any of this member's business. What is not costs nothing. */
const concerns = ({ name, config }: StrategyHostState, input: StrategyHostInput): boolean => {
  switch (input.type) {
    case 'book-updated':
      return config.symbols.includes(input.book.symbol);
    case 'candle-closed':
      return config.symbols.includes(input.candle.symbol);
    case 'public-trade':
    case 'feed-status-changed':
    case 'candles-read':
      return config.symbols.includes(input.symbol);
    case 'order-updated':
      return input.order.strategy === name;
    case 'intent-denied':
      return input.strategy === name;
    default:
      return true;
  }
};

const ordersBeside = ({ hosts, leftOver }: PortfolioState, index: number): readonly OwnOrder[] => {
  if (hosts.length === 1 && leftOver.size === 0) return NOBODYS;
  const orders = hosts.flatMap((host, other) => (other === index ? [] : openOrdersOf(host)));
  // A view knows the instruments of the symbols that are traded, and no others.
  for (const order of leftOver.values())
    if (hosts.some(({ config }) => config.symbols.includes(order.symbol))) orders.push(order);
  return orders;
};
const NOBODYS: readonly OwnOrder[] = [];

const addStatus = (state: PortfolioState, effects: StrategyHostEffect[], now: Now): void => {
  const first = state.hosts[0];
  // The first member's clock speaks for all.
  if (first === undefined || !hasJustReported(first, now)) return;
  effects.push({ type: 'status', facts: portfolioFacts(state) }, stoppedGauge(state));
};

/** Its clock has just moved on when its next report is a whole interval away. */
const hasJustReported = (host: StrategyHostState, now: Now): boolean =>
  host.nextStatusMonoMs === now.monoMs + STATUS_INTERVAL_MS;

const stoppedGauge = ({ hosts }: PortfolioState): StrategyHostEffect => ({
  type: 'metric',
  kind: 'gauge',
  name: 'btcbot_strategies_stopped',
  value: hosts.filter(({ stopped }) => stopped !== null && stopped !== STOPPING).length,
});

/** The actor's part of `btcbot status`: of one strategy its facts, of several theirs by name. */
export const portfolioFacts = (state: PortfolioState): Readonly<Record<string, unknown>> => {
  const [only, ...more] = state.hosts;
  if (only === undefined) return {};
  if (more.length === 0) return statusFacts(only);
  return {
    state: state.hosts.every(host => host.stopped !== null) ? 'stopped' : 'running',
    stopped: state.hosts.filter(host => host.stopped !== null).map(host => host.name),
    strategies: Object.fromEntries(state.hosts.map(host => [host.name, statusFacts(host)])),
  };
};
