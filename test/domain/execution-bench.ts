/** A bench for the execution brain: time, a healthy world around it, and what it asked for. */
import type { AccountReport, AccountUpdated } from '#src/domain/account-events.js';
import type { BookView } from '#src/domain/book-view.js';
import {
  type ExecutionConfig,
  type ExecutionEffect,
  type ExecutionInput,
  type ExecutionState,
  initialExecution,
  stepExecution,
} from '#src/domain/execution.js';
import type { WriteEffect } from '#src/domain/execution-state.js';
import { dearestFees } from '#src/domain/fees.js';
import type { Instrument } from '#src/domain/instrument.js';
import type { AppendRequest, LedgerRecord, LedgerSnapshot } from '#src/domain/ledger-records.js';
import type { ClientOrderId, OrderState, OrderTerms } from '#src/domain/order.js';
import type { OrderEvent, PlaceOrder } from '#src/domain/order-events.js';
import type { ControlState, HoldCleared, HoldWanted } from '#src/domain/safety.js';
import type { CancelOutcome, SubmitOutcome } from '#src/domain/venue-port.js';
import { d, limitTerms } from './orders.js';

export const instrumentOf = (symbol: string): Instrument => ({
  symbol,
  pairId: 1,
  base: symbol.slice(0, 3),
  quote: 'TRY',
  priceScale: 2,
  quantityScale: 4,
  minNotional: d('1'),
  minPrice: d('0.01'),
  maxPrice: d('100000'),
  minLimitPrice: null,
  maxLimitPrice: null,
  maxQuantity: null,
  methods: ['limit', 'market'],
  status: 'TRADING',
});

export const SYMBOLS = ['BTCTRY', 'ETHTRY'] as const;

export const BENCH_LIMITS: ExecutionConfig['limits'] = {
  maxOpenOrders: 8,
  maxOpenOrdersPerSymbol: 8,
  maxNotionalPerOrderTry: d('100000'),
  maxPositionNotionalTry: d('100000000'),
  maxGrossExposureTry: d('100000000'),
  maxDailyLossTry: d('1000'),
  maxDrawdownPct: 10,
  priceCollarBps: 5_000,
  maxOrdersPerMinute: 1_000,
  maxRepeatedExecutions: 1_000,
};

export const benchConfig = (over: Partial<ExecutionConfig> = {}): ExecutionConfig => ({
  symbols: SYMBOLS,
  limits: BENCH_LIMITS,
  maxMarketDataAgeMs: 5_000,
  feesOf: dearestFees,
  configHash: 'hash',
  instance: 'db',
  epoch: 1,
  incarnation: 1,
  budget: { writesPerSecond: 8, writeBurst: 8, cold: false },
  shutdownOpenOrders: 'leave',
  ...over,
});

export const controlState = (over: Partial<ControlState> = {}): ControlState => ({
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
});

export const bookOf = (
  symbol: string,
  version: number,
  receivedMonoMs: number,
  midTicks = 10_000,
): BookView => ({
  symbol,
  version,
  trusted: true,
  receivedMonoMs,
  levels: Float64Array.from([1, 1, midTicks - 10, 10_000, midTicks + 10, 10_000]),
});

const MILLIONS: AccountUpdated['balances'] = ['TRY', 'BTC', 'ETH'].map(asset => ({
  asset,
  total: d('1000000'),
  free: d('1000000'),
  locked: 0n,
}));

/** The books own what the balances show, unless told otherwise. */
export const accountOf = (over: Partial<AccountUpdated> = {}): AccountUpdated => ({
  type: 'account-updated',
  id: 'reconciliation:1:2',
  cause: 'reconciliation:1:1',
  balances: MILLIONS,
  balancesAsOfMonoMs: 0,
  owned: new Map((over.balances ?? MILLIONS).map(({ asset, total }) => [asset, total])),
  positions: [],
  tryRates: new Map(),
  dayProfitTry: 0n,
  drawdownPct: 0,
  ...over,
});

export type BenchSnapshot = Pick<LedgerSnapshot, 'openOrders' | 'fills' | 'cancelWishes' | 'recentOrders'>;
const EMPTY: BenchSnapshot = { openOrders: [], fills: [], cancelWishes: [], recentOrders: [] };

type Told = { readonly to: string; readonly message: { readonly type: string } };

export class Bench {
  monoMs = 1_000_000;
  /** The wall clock beyond the monotonic one. */
  wallOffset = 1_700_000_000_000;
  state: ExecutionState;
  /** Everything asked for since the last {@link forget}. */
  effects: ExecutionEffect[] = [];
  private nextIntent = 1;
  private bookVersion = 0;

  /** Between bid and ask, in hundredths. */
  midTicks = 10_000;

  constructor(
    over: Partial<ExecutionConfig> = {},
    snapshot: Partial<BenchSnapshot> = EMPTY,
    monoMs = 1_000_000,
  ) {
    this.monoMs = monoMs;
    this.state = initialExecution(benchConfig(over), { ...EMPTY, ...snapshot }, this.now());
    this.step({ type: 'started' });
  }

  now(): { monoMs: number; wallMs: number } {
    return { monoMs: this.monoMs, wallMs: this.wallOffset + this.monoMs };
  }

  step(input: ExecutionInput): readonly ExecutionEffect[] {
    const stepped = stepExecution(this.state, input, this.now());
    this.state = stepped.state;
    this.effects.push(...stepped.effects);
    return stepped.effects;
  }

  forget(): void {
    this.effects = [];
  }

  /** Lets time pass in ticks, with a fresh book at each. */
  pass(ms: number, books = true): void {
    const until = this.monoMs + ms;
    while (this.monoMs < until) {
      this.monoMs = Math.min(until, this.monoMs + 50);
      if (books) this.books();
      this.step({ type: 'tick' });
    }
  }

  books(): void {
    this.bookVersion += 1;
    for (const symbol of SYMBOLS)
      this.step({
        type: 'message',
        from: 'market-data',
        message: {
          type: 'book-updated',
          id: `market-data:1:${this.bookVersion}`,
          cause: 'socket',
          book: bookOf(symbol, this.bookVersion, this.monoMs, this.midTicks),
        },
      });
  }

  account(message: AccountReport): readonly ExecutionEffect[] {
    return this.step({ type: 'message', from: 'reconciliation', message });
  }

  /** Everything that has to be right before an order may leave. */
  ready(control: Partial<ControlState> = {}): this {
    this.step({
      type: 'message',
      from: 'market-data',
      message: {
        type: 'instruments-listed',
        id: 'market-data:1:0',
        cause: 'venue',
        instruments: SYMBOLS.map(instrumentOf),
      },
    });
    this.books();
    this.step({ type: 'control', control: controlState(control) });
    this.account(accountOf({ balancesAsOfMonoMs: this.monoMs }));
    this.reconciled(true);
    this.forget();
    return this;
  }

  reconciled(clean: boolean): void {
    this.account({
      type: 'reconciled',
      id: 'reconciliation:1:3',
      cause: 'timer',
      clean,
      discrepancies: clean ? [] : ['balance of TRY'],
      completedMonoMs: this.monoMs,
    });
  }

  intent(terms: Partial<OrderTerms> = {}, over: Partial<PlaceOrder> = {}): PlaceOrder {
    const n = this.nextIntent++;
    return {
      type: 'place-order',
      id: `strategy:1:${n}`,
      cause: `market-data:1:${this.bookVersion}`,
      intentId: `test:1:${n}`,
      strategy: 'test',
      terms: limitTerms({ quantity: d('1'), ...terms }),
      validUntilMonoMs: this.monoMs + 1_000,
      bookVersion: this.bookVersion,
      ...over,
    };
  }

  /** Gives an intent. @returns its client order id, or null when it was denied. */
  place(terms: Partial<OrderTerms> = {}, over: Partial<PlaceOrder> = {}): ClientOrderId | null {
    const message = this.intent(terms, over);
    this.step({ type: 'message', from: 'strategy', message });
    return this.state.byIntent.get(message.intentId) ?? null;
  }

  cancel(id: ClientOrderId): void {
    const order = (this.state.open.get(id) ?? this.state.ended.get(id))?.record.order;
    this.step({
      type: 'message',
      from: 'strategy',
      message: {
        type: 'cancel-order',
        id: `strategy:1:c${id}`,
        cause: 'strategy:1:0',
        strategy: 'test',
        intentId: order?.intentId ?? id,
      },
    });
  }

  /** The ledger confirms every durable batch asked for so far. */
  journal(): void {
    for (const { batch, durable } of this.appends())
      if (durable) this.step({ type: 'message', from: 'ledger', message: { type: 'appended', batch } });
  }

  sent(id: ClientOrderId, kind: 'submit' | 'cancel' = 'submit'): void {
    this.step({ type: 'write-sent', kind, clientOrderId: id });
  }

  submitted(id: ClientOrderId, outcome: SubmitOutcome): void {
    this.step({ type: 'write-outcome', kind: 'submit', clientOrderId: id, outcome });
  }

  canceled(id: ClientOrderId, outcome: CancelOutcome): void {
    this.step({ type: 'write-outcome', kind: 'cancel', clientOrderId: id, outcome });
  }

  /** An order that works at the venue under `venueOrderId`. */
  working(venueOrderId: string, terms: Partial<OrderTerms> = {}): ClientOrderId {
    const id = this.place(terms);
    if (id === null) throw new Error(`denied: ${JSON.stringify(this.denials())}`);
    this.journal();
    this.sent(id);
    this.submitted(id, { type: 'confirmed', venueOrderId });
    return id;
  }

  orderState(id: ClientOrderId): OrderState {
    const tracked = this.state.open.get(id) ?? this.state.ended.get(id);
    if (tracked === undefined) throw new Error(`no order ${id}`);
    return tracked.record.order.state;
  }

  status(id: ClientOrderId): string {
    return this.orderState(id).status;
  }

  writes(): readonly WriteEffect[] {
    return this.effects.filter(effect => effect.type === 'write');
  }

  submits(): readonly ClientOrderId[] {
    return this.writes()
      .filter(effect => effect.write.type === 'submit')
      .map(effect => effect.write.clientOrderId);
  }

  cancels(): readonly ClientOrderId[] {
    return this.writes()
      .filter(effect => effect.write.type === 'cancel')
      .map(effect => effect.write.clientOrderId);
  }

  appends(): readonly AppendRequest[] {
    return this.effects.filter(effect => effect.type === 'append').map(effect => effect.request);
  }

  records<T extends LedgerRecord['type']>(type: T): readonly Extract<LedgerRecord, { readonly type: T }>[] {
    return this.appends()
      .flatMap(request => request.records)
      .filter((record): record is Extract<LedgerRecord, { readonly type: T }> => record.type === type);
  }

  told(to: 'strategy' | 'reconciliation'): readonly Told['message'][] {
    return this.effects.flatMap(effect =>
      effect.type === 'tell' && effect.to === to ? [effect.message] : [],
    );
  }

  orderEvents(): readonly OrderEvent[] {
    return this.told('strategy') as readonly OrderEvent[];
  }

  denials(): readonly string[] {
    return this.orderEvents().flatMap(event => (event.type === 'intent-denied' ? [event.denial.code] : []));
  }

  holds(): readonly (HoldWanted | HoldCleared)[] {
    return this.effects.filter(effect => effect.type === 'hold').map(effect => effect.message);
  }

  /** `+cause:subject` for each hold asked for, `-cause:subject` for each cleared. */
  holdNames(): readonly string[] {
    return this.holds().map(
      hold =>
        `${hold.type === 'hold-wanted' ? '+' : '-'}${hold.holdCause}${hold.subject === '' ? '' : `:${hold.subject}`}`,
    );
  }

  metrics(name: string): readonly number[] {
    return this.effects.flatMap(effect =>
      effect.type === 'metric' && effect.name === name ? [effect.value] : [],
    );
  }
}
