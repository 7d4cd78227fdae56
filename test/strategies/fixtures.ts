/** A small market to run strategies in: one instrument, books made from decimal text, and the host's inputs. */
import type { AccountUpdated } from '#src/domain/account-events.js';
import type { BookView } from '#src/domain/book-view.js';
import { dearestFees } from '#src/domain/fees.js';
import { type Instrument, lotSize, toTicks } from '#src/domain/instrument.js';
import type { BookUpdated, InstrumentsListed } from '#src/domain/market-events.js';
import { formatDecimal, parseDecimal } from '#src/domain/money.js';
import type { Order, OrderState } from '#src/domain/order.js';
import type { CancelOrder, IntentDenied, OrderUpdated, PlaceOrder } from '#src/domain/order-events.js';
import type { ControlState } from '#src/domain/safety.js';
import type { Now } from '#src/domain/step.js';
import type { OwnOrder, StrategyDefinition } from '#src/domain/strategy.js';
import {
  initialStrategyHost,
  type StrategyHostEffect,
  type StrategyHostInput,
  type StrategyHostState,
  stepStrategyHost,
} from '#src/domain/strategy-host.js';
import { checkParameters } from '#src/domain/strategy-parameters.js';
import type { Rehearsal } from '#src/testing.js';

export const BTCTRY: Instrument = {
  symbol: 'BTCTRY',
  pairId: 1,
  base: 'BTC',
  quote: 'TRY',
  priceScale: 0,
  quantityScale: 8,
  minNotional: parseDecimal('99.91'),
  minPrice: parseDecimal('0.0000000000001'),
  maxPrice: parseDecimal('10000000'),
  minLimitPrice: null,
  maxLimitPrice: null,
  maxQuantity: null,
  methods: ['limit', 'market'],
  status: 'TRADING',
};
export const BTCUSDT: Instrument = {
  ...BTCTRY,
  symbol: 'BTCUSDT',
  pairId: 19,
  quote: 'USDT',
  priceScale: 2,
  quantityScale: 5,
  minNotional: parseDecimal('9.91'),
};

type TextLevels = readonly (readonly [price: string, quantity: string])[];

export const bookOf = (
  instrument: Instrument,
  bids: TextLevels,
  asks: TextLevels,
  over: Partial<BookView> = {},
): BookView => {
  const flat = (levels: TextLevels): number[] =>
    levels.flatMap(([price, quantity]) => [
      Number(toTicks(parseDecimal(price), instrument)),
      Number(parseDecimal(quantity) / lotSize(instrument)),
    ]);
  return {
    symbol: instrument.symbol,
    version: 1,
    trusted: true,
    receivedMonoMs: 0,
    levels: Float64Array.from([bids.length, asks.length, ...flat(bids), ...flat(asks)]),
    ...over,
  };
};

export const bookEvent = (book: BookView, id = 'market-data:0:1'): BookUpdated => ({
  type: 'book-updated',
  id,
  cause: 'frame',
  book,
});

export const listed = (...instruments: readonly Instrument[]): InstrumentsListed => ({
  type: 'instruments-listed',
  id: 'market-data:0:0',
  cause: 'read',
  instruments,
});

export const control = (over: Partial<ControlState> = {}): StrategyHostInput => ({
  type: 'control',
  control: {
    type: 'control-state',
    epoch: 1,
    mode: 'paper',
    state: 'live',
    mayObserve: true,
    maySubmit: true,
    mayCancel: true,
    blockedSymbols: [],
    pull: 'none',
    holds: [],
    reasons: [],
    ...over,
  },
});

/** Free balances by asset, and the position on one symbol, as decimal text. */
export const account = (
  balances: Readonly<Record<string, string>>,
  positions: Readonly<Record<string, string>> = {},
): AccountUpdated => ({
  type: 'account-updated',
  id: 'reconciliation:0:1',
  cause: 'read',
  balances: Object.entries(balances).map(([asset, text]) => ({
    asset,
    total: parseDecimal(text),
    free: parseDecimal(text),
    locked: 0n,
  })),
  balancesAsOfMonoMs: 0,
  owned: new Map(Object.entries(balances).map(([asset, text]) => [asset, parseDecimal(text)])),
  positions: Object.entries(positions).map(([symbol, text]) => ({
    symbol,
    quantity: parseDecimal(text),
    averagePrice: null,
    realized: 0n,
    fees: 0n,
    taxes: 0n,
  })),
  tryRates: new Map(),
  dayProfitTry: null,
  drawdownPct: null,
});

export const orderOf = (place: PlaceOrder, state: OrderState): Order => ({
  clientOrderId: `id-${place.intentId}`,
  intentId: place.intentId,
  strategy: place.strategy,
  terms: place.terms,
  configHash: 'hash',
  cause: place.cause,
  intendedAtMs: 0,
  sentAtMs: null,
  settledAtMs: null,
  state,
});

export const updated = (place: PlaceOrder, state: OrderState): OrderUpdated => ({
  type: 'order-updated',
  id: 'execution:0:1',
  cause: place.id,
  order: orderOf(place, state),
  fill: null,
});

export const working = (place: PlaceOrder, filled = 0n): OrderUpdated =>
  updated(place, { status: 'working', venueOrderId: '1', filled });

export const canceled = (place: PlaceOrder, filled = 0n): OrderUpdated =>
  updated(place, { status: 'canceled', venueOrderId: '1', filled });

/** A fill of an order under a strategy's name, at 1 quote a unit and without costs: it makes a position. */
export const filledFor = (strategy: string, symbol: string, signed: string): OrderUpdated => {
  const quantity = parseDecimal(signed.replace('-', ''));
  const side = signed.startsWith('-') ? 'sell' : 'buy';
  const terms = {
    symbol,
    side,
    method: 'limit',
    price: parseDecimal('1'),
    quantity,
    quoteQuantity: null,
    stopPrice: null,
  } as const;
  const tradeId = `${strategy} ${symbol} ${signed} ${fills++}`;
  return {
    type: 'order-updated',
    id: 'execution:0:3',
    cause: tradeId,
    order: {
      clientOrderId: `bb-test-1-${strategy}-${fills}`,
      intentId: tradeId,
      strategy,
      terms,
      configHash: 'hash',
      cause: tradeId,
      intendedAtMs: 0,
      sentAtMs: 0,
      settledAtMs: 0,
      state: { status: 'filled', venueOrderId: '1', filled: quantity },
    },
    fill: {
      tradeId,
      venueOrderId: '1',
      clientOrderId: `bb-test-1-${strategy}-${fills}`,
      symbol,
      side,
      price: terms.price,
      quantity,
      fee: 0n,
      tax: 0n,
      feeAsset: symbol === 'BTCTRY' ? 'TRY' : 'USDT',
      executedAtMs: fills,
    },
  };
};
let fills = 0;

export const denied = (
  place: PlaceOrder,
  code: IntentDenied['denial']['code'] = 'book-stale',
): IntentDenied => ({
  type: 'intent-denied',
  id: 'execution:0:2',
  cause: place.id,
  intentId: place.intentId,
  strategy: place.strategy,
  denial: { code, context: {} },
});

/** A host that is stepped by hand at a time that only moves when told to. */
export interface TestHost {
  readonly state: StrategyHostState;
  now: Now;
  /** Steps and returns every effect. */
  step(...inputs: readonly StrategyHostInput[]): StrategyHostEffect[];
  /** Steps and returns only what was told to execution. */
  told(...inputs: readonly StrategyHostInput[]): (PlaceOrder | CancelOrder)[];
  /** Moves time and ticks. */
  after(ms: number): (PlaceOrder | CancelOrder)[];
}

export interface HostOptions {
  readonly given?: Readonly<Record<string, unknown>>;
  readonly symbols?: readonly string[];
  readonly maxOpenOrders?: number;
  readonly maxOpenOrdersPerSymbol?: number;
  readonly startedAtMs?: number;
  readonly saved?: string | null;
  readonly openOrders?: readonly Order[];
}

export const hostOf = (definition: StrategyDefinition, options: HostOptions = {}): TestHost => {
  const checked = checkParameters(definition, options.given ?? {});
  if (!checked.ok) throw new Error(checked.problems.join('; '));
  const startedAt = { monoMs: 10_000, wallMs: options.startedAtMs ?? 1_790_000_000_000 };
  let state = initialStrategyHost({
    definition,
    parameters: checked.values,
    symbols: options.symbols ?? ['BTCTRY'],
    incarnation: 0,
    startedAt,
    intentValidityMs: 1_000,
    maxOpenOrders: options.maxOpenOrders ?? 5,
    maxOpenOrdersPerSymbol: options.maxOpenOrdersPerSymbol ?? 2,
    feesOf: dearestFees,
    restored: { saved: options.saved ?? null, openOrders: options.openOrders ?? [] },
  });
  const host: TestHost = {
    get state() {
      return state;
    },
    now: startedAt,
    step: (...inputs) =>
      inputs.flatMap(input => {
        const stepped = stepStrategyHost(state, input, host.now);
        state = stepped.state;
        return stepped.effects;
      }),
    told: (...inputs) =>
      host
        .step(...inputs)
        .flatMap(effect => (effect.type === 'tell' && effect.to === 'execution' ? [effect.message] : [])),
    after: ms => {
      host.now = { monoMs: host.now.monoMs + ms, wallMs: host.now.wallMs + ms };
      return host.told({ type: 'tick' });
    },
  };
  return host;
};

export const places = (messages: readonly (PlaceOrder | CancelOrder)[]): PlaceOrder[] =>
  messages.filter(message => message.type === 'place-order');

export const cancels = (messages: readonly (PlaceOrder | CancelOrder)[]): CancelOrder[] =>
  messages.filter(message => message.type === 'cancel-order');

/** Has a share of what is left of an order trade, `share` in `of` parts, in whole lots of a rehearsal; nothing below one. */
export const fillPart = (play: Rehearsal, order: OwnOrder, share: number, of: number): void => {
  const part = ((order.quantity - order.filled) * BigInt(share)) / BigInt(of);
  const lots = part - (part % 10n ** 8n);
  if (lots > 0n) play.fill(order, formatDecimal(lots));
};
