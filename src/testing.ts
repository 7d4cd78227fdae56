/**
 * A stage to rehearse a strategy on: `btcbot/testing`. It runs in the host that runs it live, with a clock that moves
 * only when told to, and shows what leaves the host as plain text.
 *
 * ```ts
 * const play = rehearse(myStrategy, { parameters: { notional: '500' } });
 * play.book('99', '101');
 * assert.deepEqual(play.after(1_000), [{ type: 'place', symbol: 'BTCTRY', side: 'buy', price: '99', quantity: '5' }]);
 * ```
 */
import { CANDLE_LENGTHS_MS, type Candle, type CandleInterval } from './domain/candles.js';
import { dearestFees } from './domain/fees.js';
import { type Instrument, lotSize, type Side, toTicks } from './domain/instrument.js';
import type { FeedState, MarketTicker } from './domain/market-events.js';
import { formatDecimal, notional, parseDecimal, partsPerMillion } from './domain/money.js';
import { type Fill, filledQuantity, isTerminal, type Order, type OrderState } from './domain/order.js';
import type { DenialCode, OrderIntent, PlaceOrder } from './domain/order-events.js';
import type { OwnOrder, ParameterValues, StrategyDefinition } from './domain/strategy.js';
import { needsOf } from './domain/strategy-definition.js';
import {
  initialStrategyHost,
  type StrategyHostInput,
  type StrategyHostState,
  statusFacts,
  stepStrategyHost,
} from './domain/strategy-host.js';
import { checkParameters } from './domain/strategy-parameters.js';
import type { UniverseRules } from './domain/universe.js';

/** What a strategy asked for and its host let through. Decimal text. */
export type Shown =
  | {
      readonly type: 'place';
      readonly symbol: string;
      readonly side: Side;
      readonly price: string;
      readonly quantity: string;
      readonly tag?: string;
    }
  | { readonly type: 'cancel'; readonly symbol: string; readonly side: Side; readonly price: string };

export interface PairOptions {
  readonly symbol: string;
  readonly base: string;
  readonly quote: string;
  /** Decimals of prices and of quantities. */
  readonly priceScale?: number;
  readonly quantityScale?: number;
  /** Least order value. */
  readonly minNotional?: string;
}

export interface RehearsalOptions {
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly pairs?: readonly PairOptions[];
  /** Total by asset; 1,000,000 of each quote and nothing else when absent. */
  readonly balances?: Readonly<Record<string, string>>;
  readonly maxOpenOrders?: number;
  readonly maxOpenOrdersPerSymbol?: number;
  readonly universe?: UniverseRules;
  /** Unix ms. */
  readonly startAtMs?: number;
}

export interface Rehearsal {
  /** A book with one level a side, of `quantity` each. */
  book(bid: string, ask: string, over?: { symbol?: string; quantity?: string; trusted?: boolean }): Shown[];
  /** Somebody's trade, now. */
  trade(price: string, quantity?: string, over?: { symbol?: string; side?: Side }): Shown[];
  /** A closed candle. The clock moves to its end; the first one begins where the clock stands. */
  candle(
    close: string,
    over?: {
      symbol?: string;
      interval?: CandleInterval;
      open?: string;
      high?: string;
      low?: string;
      volume?: string;
    },
  ): Shown[];
  tickers(
    tickers: readonly { symbol: string; bid: string; ask: string; last: string; volume: string }[],
  ): Shown[];
  feed(state: FeedState, symbol?: string): Shown[];
  /** Moves the clock; the host ticks once a second on the way, and at the end. */
  after(ms: number): Shown[];
  /** The venue takes in every order that is on its way. */
  confirm(): Shown[];
  /** An open order trades: all of it, or `quantity`. The balances follow. Fees as the venue's first level. */
  fill(order: OwnOrder, quantity?: string): Shown[];
  /** Every cancel that was asked for has happened. */
  endCancels(): Shown[];
  /** Execution refuses every order that is on its way. */
  deny(code?: DenialCode): Shown[];
  /** Whether orders may be sent now. */
  allow(maySubmit: boolean): Shown[];
  balances(balances: Readonly<Record<string, string>>): Shown[];
  stop(): Shown[];
  /**
   * Stops it, and starts it afresh with what it saved and the orders that are open; with other parameters if they are
   * given.
   */
  restart(over?: { parameters?: Readonly<Record<string, unknown>> }): Shown[];
  readonly orders: readonly OwnOrder[];
  /** Signed base, as decimal text. */
  position(symbol?: string): string;
  readonly notes: readonly string[];
  readonly faults: readonly string[];
  /** As `btcbot status` has it. */
  readonly status: Readonly<Record<string, unknown>>;
  /** What it saved last. */
  readonly saved: string | null;
}

const DEFAULT_PAIR: PairOptions = { symbol: 'BTCTRY', base: 'BTC', quote: 'TRY' };
/** 2026-09-23 00:00 UTC: the beginning of a day, and so of a candle of every length. */
const START_MS = 1_790_121_600_000;

/** @throws Error when the definition or its parameters are refused */
export const rehearse = (definition: StrategyDefinition, options: RehearsalOptions = {}): Rehearsal => {
  const valuesOf = (given: Readonly<Record<string, unknown>>): ParameterValues => {
    const checked = checkParameters(definition, given);
    if (!checked.ok) throw new Error(checked.problems.join('; '));
    return checked.values;
  };
  let parameters = valuesOf(options.parameters ?? {});
  const instruments = (options.pairs ?? [DEFAULT_PAIR]).map(instrumentFrom);
  const [main] = instruments;
  if (main === undefined) throw new Error('a rehearsal needs a pair');
  const totals = new Map<string, bigint>(
    Object.entries(
      options.balances ?? Object.fromEntries(instruments.map(({ quote }) => [quote, '1000000'])),
    ).map(([asset, text]) => [asset, parseDecimal(text)]),
  );
  const [firstWish] = needsOf(definition, parameters).candles;
  const orders = new Map<string, Order>();
  const asked = new Map<string, PlaceOrder>();
  const canceling = new Set<string>();
  const fills: Fill[] = [];
  const notes: string[] = [];
  const faults: string[] = [];
  const candleEnds = new Map<string, number>();
  const startAtMs = options.startAtMs ?? START_MS;
  let now = { monoMs: 1_000_000, wallMs: startAtMs };
  let saved: string | null = null;
  let incarnation = 0;
  let sequence = 0;
  let bookVersion = 0;

  const id = (): string => `rehearsal:0:${++sequence}`;
  const instrumentOf = (symbol = main.symbol): Instrument => {
    const found = instruments.find(each => each.symbol === symbol);
    if (found === undefined) throw new Error(`${symbol} is not a pair of this rehearsal`);
    return found;
  };
  const create = (): StrategyHostState =>
    initialStrategyHost({
      definition,
      parameters,
      symbols: instruments.map(({ symbol }) => symbol),
      incarnation: ++incarnation,
      startedAt: now,
      intentValidityMs: 1_000,
      maxOpenOrders: options.maxOpenOrders ?? 20,
      maxOpenOrdersPerSymbol: options.maxOpenOrdersPerSymbol ?? 10,
      feesOf: dearestFees,
      universe: options.universe ?? null,
      restored: { saved, openOrders: [...orders.values()], fills },
    });
  let state = create();

  const show = (intent: OrderIntent): Shown[] => {
    if (intent.type === 'cancel-order') {
      const terms = (orders.get(intent.intentId) ?? asked.get(intent.intentId))?.terms;
      canceling.add(intent.intentId);
      return terms === undefined
        ? []
        : [
            {
              type: 'cancel',
              symbol: terms.symbol,
              side: terms.side,
              price: formatDecimal(terms.price ?? 0n),
            },
          ];
    }
    const { symbol, side, price, quantity } = intent.terms;
    asked.set(intent.intentId, intent);
    return [
      {
        type: 'place',
        symbol,
        side,
        price: formatDecimal(price ?? 0n),
        quantity: formatDecimal(quantity),
        ...(intent.tag === undefined ? {} : { tag: intent.tag }),
      },
    ];
  };
  const step = (input: StrategyHostInput): Shown[] => {
    const stepped = stepStrategyHost(state, input, now);
    state = stepped.state;
    // What nobody answered for too long never became an order.
    for (const intentId of asked.keys()) if (!state.orders.has(intentId)) asked.delete(intentId);
    return stepped.effects.flatMap(effect => {
      if (effect.type === 'tell') return effect.to === 'execution' ? show(effect.message) : [];
      if (effect.type === 'log' && effect.event === 'strategy-note') notes.push(String(effect.fields.text));
      if (effect.type === 'log' && effect.event === 'strategy-fault')
        faults.push(String(effect.fields.problem));
      if (effect.type === 'append')
        for (const record of effect.request.records)
          if (record.type === 'strategy-saved') saved = record.state;
      return [];
    });
  };
  const tellBalances = (): Shown[] =>
    step({
      type: 'account-updated',
      id: id(),
      cause: 'read',
      balances: [...totals].map(([asset, total]) => ({ asset, total, free: total, locked: 0n })),
      balancesAsOfMonoMs: now.monoMs,
      owned: new Map(totals),
      positions: [],
      tryRates: new Map(),
      dayProfitTry: null,
      drawdownPct: null,
    });
  const move = (intentId: string, next: OrderState, fill: Fill | null = null): Shown[] => {
    const known = orders.get(intentId) ?? orderFrom(asked.get(intentId), now.wallMs);
    const order: Order = { ...known, state: next };
    asked.delete(intentId);
    if (isTerminal(next)) {
      orders.delete(intentId);
      canceling.delete(intentId);
    } else orders.set(intentId, order);
    return step({ type: 'order-updated', id: id(), cause: order.cause, order, fill });
  };
  const onTheirWay = (): string[] =>
    [...orders.values()].flatMap(({ intentId, state: { status } }) =>
      status === 'in-flight' ? [intentId] : [],
    );
  const control = (maySubmit: boolean): Shown[] =>
    step({
      type: 'control',
      control: {
        type: 'control-state',
        epoch: 1,
        mode: 'paper',
        state: maySubmit ? 'live' : 'cancel-only',
        mayObserve: true,
        maySubmit,
        mayCancel: true,
        blockedSymbols: [],
        pull: 'none',
        holds: [],
        reasons: [],
      },
    });
  const begin = (): Shown[] => [
    ...control(true),
    ...tellBalances(),
    ...step({ type: 'instruments-listed', id: id(), cause: 'start', instruments }),
  ];
  const wait = (ms: number): Shown[] => {
    const shown: Shown[] = [];
    let left = ms;
    do {
      const part = Math.min(left, 1_000);
      left -= part;
      now = { monoMs: now.monoMs + part, wallMs: now.wallMs + part };
      shown.push(...step({ type: 'tick' }));
    } while (left > 0);
    return shown;
  };
  begin();

  return {
    book: (bid, ask, { symbol, quantity = '1', trusted = true } = {}) => {
      const instrument = instrumentOf(symbol);
      const lots = Number(parseDecimal(quantity) / lotSize(instrument));
      const ticks = (text: string): number => Number(toTicks(parseDecimal(text), instrument));
      return step({
        type: 'book-updated',
        id: id(),
        cause: 'frame',
        book: {
          symbol: instrument.symbol,
          version: ++bookVersion,
          trusted,
          receivedMonoMs: now.monoMs,
          levels: Float64Array.from([1, 1, ticks(bid), lots, ticks(ask), lots]),
        },
      });
    },
    trade: (price, quantity = '1', { symbol, side = 'buy' } = {}) =>
      step({
        type: 'public-trade',
        id: id(),
        cause: 'frame',
        symbol: instrumentOf(symbol).symbol,
        tradeId: String(++sequence),
        price: parseDecimal(price),
        quantity: parseDecimal(quantity),
        side,
        tradedAtMs: now.wallMs,
      }),
    candle: (
      close,
      { symbol, interval = firstWish?.interval ?? '1m', open, high, low, volume = '1' } = {},
    ) => {
      const { symbol: name } = instrumentOf(symbol);
      const lengthMs = CANDLE_LENGTHS_MS[interval];
      const key = `${name} ${interval}`;
      const openAtMs = candleEnds.get(key) ?? now.wallMs - (now.wallMs % lengthMs);
      const closeAtMs = openAtMs + lengthMs;
      candleEnds.set(key, closeAtMs);
      const prices = [open ?? close, high ?? close, low ?? close, close].map(parseDecimal) as [
        bigint,
        bigint,
        bigint,
        bigint,
      ];
      const candle: Candle = {
        symbol: name,
        interval,
        openAtMs,
        closeAtMs,
        open: prices[0],
        high: prices.reduce((most, price) => (price > most ? price : most)),
        low: prices.reduce((least, price) => (price < least ? price : least)),
        close: prices[3],
        volume: parseDecimal(volume),
        closed: true,
        complete: true,
      };
      const waitMs = Math.max(0, closeAtMs - now.wallMs);
      now = { monoMs: now.monoMs + waitMs, wallMs: now.wallMs + waitMs };
      return [
        ...step({ type: 'candle-closed', id: id(), cause: 'chart', candle }),
        ...step({ type: 'tick' }),
      ];
    },
    tickers: rows => {
      const tickers: MarketTicker[] = rows.map(({ symbol, bid, ask, last, volume }) => ({
        symbol,
        bid: parseDecimal(bid),
        ask: parseDecimal(ask),
        last: parseDecimal(last),
        volume: parseDecimal(volume),
        atMs: now.wallMs,
      }));
      return step({ type: 'tickers-read', id: id(), cause: 'read', tickers });
    },
    feed: (feed, symbol) =>
      step({
        type: 'feed-status-changed',
        id: id(),
        cause: 'frame',
        symbol: instrumentOf(symbol).symbol,
        state: feed,
        reason: 'rehearsed',
      }),
    after: wait,
    confirm: () =>
      [...asked.keys(), ...onTheirWay()].flatMap(intentId =>
        move(intentId, { status: 'working', venueOrderId: String(++sequence), filled: 0n }),
      ),
    fill: (own, quantity) => {
      const { intentId } = own;
      if (!orders.has(intentId))
        move(intentId, { status: 'working', venueOrderId: String(++sequence), filled: 0n });
      const order = orders.get(intentId);
      if (order === undefined) throw new Error(`order ${intentId} is not open`);
      const before = filledQuantity(order.state);
      const part = quantity === undefined ? order.terms.quantity - before : parseDecimal(quantity);
      const filled = before + part;
      if (part <= 0n || filled > order.terms.quantity)
        throw new Error(`${formatDecimal(part)} cannot trade of order ${intentId}`);
      const instrument = instrumentOf(order.terms.symbol);
      const price = order.terms.price ?? 0n;
      const value = notional(price, part);
      const fee = partsPerMillion(value, dearestFees(instrument.quote).makerPpm, 'up');
      const add = (asset: string, amount: bigint): void => {
        totals.set(asset, (totals.get(asset) ?? 0n) + amount);
      };
      const sign = order.terms.side === 'buy' ? 1n : -1n;
      add(instrument.base, sign * part);
      add(instrument.quote, -sign * value - fee);
      const venueOrderId = 'venueOrderId' in order.state ? order.state.venueOrderId : '0';
      const fill: Fill = {
        tradeId: `t${++sequence}`,
        venueOrderId,
        clientOrderId: order.clientOrderId,
        symbol: instrument.symbol,
        side: order.terms.side,
        price,
        quantity: part,
        fee,
        tax: 0n,
        feeAsset: instrument.quote,
        executedAtMs: now.wallMs,
      };
      fills.push(fill);
      const status = filled === order.terms.quantity ? 'filled' : 'working';
      return [...tellBalances(), ...move(intentId, { status, venueOrderId, filled }, fill)];
    },
    endCancels: () =>
      [...canceling].flatMap(intentId => {
        const order = orders.get(intentId);
        canceling.delete(intentId);
        if (order === undefined) return [];
        const venueOrderId = 'venueOrderId' in order.state ? order.state.venueOrderId : '0';
        return move(intentId, { status: 'canceled', venueOrderId, filled: filledQuantity(order.state) });
      }),
    deny: (code = 'book-stale') =>
      [...asked.values()].flatMap(({ intentId, strategy, id: cause }) => {
        asked.delete(intentId);
        return step({
          type: 'intent-denied',
          id: id(),
          cause,
          intentId,
          strategy,
          denial: { code, context: {} },
        });
      }),
    allow: control,
    balances: given => {
      for (const [asset, text] of Object.entries(given)) totals.set(asset, parseDecimal(text));
      return tellBalances();
    },
    stop: () => step({ type: 'stopping' }),
    restart: over => {
      step({ type: 'stopping' });
      if (over?.parameters !== undefined) parameters = valuesOf(over.parameters);
      // What was on its way is in the ledger, durably, before it leaves.
      for (const [intentId, place] of asked) orders.set(intentId, orderFrom(place, now.wallMs));
      asked.clear();
      state = create();
      return begin();
    },
    get orders() {
      return state.host.view.openOrders();
    },
    position: symbol => formatDecimal(state.host.view.position(instrumentOf(symbol).symbol).quantity),
    notes,
    faults,
    get status() {
      return statusFacts(state);
    },
    get saved() {
      return saved;
    },
  };
};

const instrumentFrom = (pair: PairOptions, index: number): Instrument => ({
  symbol: pair.symbol,
  pairId: index + 1,
  base: pair.base,
  quote: pair.quote,
  priceScale: pair.priceScale ?? 2,
  quantityScale: pair.quantityScale ?? 8,
  minNotional: parseDecimal(pair.minNotional ?? '10'),
  minPrice: 1n,
  maxPrice: parseDecimal('100000000'),
  minLimitPrice: null,
  maxLimitPrice: null,
  maxQuantity: null,
  methods: ['limit', 'market'],
  status: 'TRADING',
});

const orderFrom = (place: PlaceOrder | undefined, atMs: number): Order => {
  if (place === undefined) throw new Error('there is no such order');
  const number = place.intentId.split(':').at(-1) ?? '1';
  return {
    clientOrderId: `bb-rehearsal-1-${place.strategy.replaceAll('-', '').slice(0, 12)}-${number}`,
    intentId: place.intentId,
    strategy: place.strategy,
    ...(place.tag === undefined ? {} : { tag: place.tag }),
    terms: place.terms,
    configHash: 'rehearsal',
    cause: place.cause,
    intendedAtMs: atMs,
    sentAtMs: atMs,
    settledAtMs: null,
    state: { status: 'in-flight', sentAtMs: atMs },
  };
};
