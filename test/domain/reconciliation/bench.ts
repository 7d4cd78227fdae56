import type { AccountReport } from '#src/domain/account-events.js';
import { cutOf, foldFills } from '#src/domain/books-checkpoint.js';
import { makeClientOrderId } from '#src/domain/client-order-id.js';
import type { AppendRequest, LedgerRecord, LedgerSnapshot, Valuation } from '#src/domain/ledger-records.js';
import { parseDecimal, type Quantity } from '#src/domain/money.js';
import {
  type ClientOrderId,
  type Fill,
  isTerminal,
  type Order,
  type OrderState,
  type OrderTerms,
} from '#src/domain/order.js';
import {
  initialReconciliation,
  type ReconciliationConfig,
  type ReconciliationEffect,
  type ReconciliationInput,
  type ReconciliationState,
  stepReconciliation,
} from '#src/domain/reconciliation.js';
import type { ControlState, Hold } from '#src/domain/safety.js';
import type { Balance, CashMovement, PrivateEvent, ReadFailure, VenueRead } from '#src/domain/venue-port.js';
import { type Lags, TinyVenue } from './tiny-venue.js';

export const START_WALL_MS = 1_790_000_000_000;
export const INSTANCE = 'testdb';

export const CONFIG: ReconciliationConfig = {
  incarnation: 1,
  seed: 7,
  symbols: ['BTCTRY'],
  signed: true,
  coldBudget: false,
  reads: { baseDelayMs: 400, maxDelayMs: 4_000, maxRetries: 4 },
  reconcileIntervalMs: 15_000,
  reconcileMaxLagMs: 60_000,
  absenceWindowMs: 20_000,
  openingQuietMs: 1_000,
  graceMs: 60_000,
  balanceLagMs: 30_000,
  feedMaxDownMs: 30_000,
  markIntervalMs: 5_000,
};

export const emptySnapshot = (over: Partial<LedgerSnapshot> = {}): LedgerSnapshot => ({
  instance: INSTANCE,
  openOrders: [],
  cancelWishes: [],
  recentOrders: [],
  fills: [],
  openingBalances: [],
  openingAtMs: null,
  valuation: null,
  cashMovements: [],
  holds: [],
  strategyStates: new Map(),
  lastRecordAtMs: 0,
  ...over,
});

export const label = (sequence: number, epoch = 1): string =>
  makeClientOrderId({ instance: INSTANCE, epoch, strategy: 'pulse', sequence });

export const newOrder = (
  clientOrderId: string,
  terms: OrderTerms,
  state: OrderState,
  atMs: number,
  sentAtMs: number | null = atMs,
): Order => ({
  clientOrderId,
  intentId: `pulse:1:${clientOrderId}`,
  strategy: 'pulse',
  terms,
  configHash: 'c',
  cause: 'market-data:1:1',
  intendedAtMs: atMs,
  sentAtMs,
  settledAtMs: null,
  state,
});

export const limitOrder = (side: 'buy' | 'sell', quantity: string, price = '1000'): OrderTerms => ({
  symbol: 'BTCTRY',
  side,
  method: 'limit',
  price: parseDecimal(price),
  quantity: parseDecimal(quantity),
  quoteQuantity: null,
  stopPrice: null,
});

/** Faults of one history; every chance is per event, from 0 to 1. */
export interface Faults {
  readonly readFails: number;
  readonly frameLost: number;
  readonly frameTwice: number;
  readonly matchWrong: number;
  readonly lags: Lags;
}

export const NO_FAULTS: Faults = {
  readFails: 0,
  frameLost: 0,
  frameTwice: 0,
  matchWrong: 0,
  lags: { balancesMs: 0, ordersMs: 0, tradesMs: 0 },
};

/** A ledger that keeps what it is given, as the real one does: each fill, movement and opening once. */
export class TinyLedger {
  readonly fills = new Map<string, Fill>();
  readonly movements = new Map<string, CashMovement>();
  readonly orders = new Map<string, Order>();
  /** Newest recorded price by symbol. */
  readonly marks = new Map<string, bigint>();
  /** When the newest recorded price was read, by symbol. */
  readonly markTimes = new Map<string, number>();
  opening: {
    readonly balances: readonly Balance[];
    readonly atMs: number;
    readonly movementIds?: readonly string[] | undefined;
  } | null = null;
  balances: readonly Balance[] | null = null;
  /** The time recorded with them. */
  balancesAtMs: number | null = null;
  lastRecordAtMs = 0;
  repeatedFills = 0;
  /** With a number, a start is told all but about so many of the newest fills as a checkpoint. */
  checkpointKeeps: number | null = null;

  append(request: AppendRequest, atMs: number): void {
    for (const record of request.records) this.record(record);
    this.lastRecordAtMs = atMs;
  }

  private record(record: LedgerRecord): void {
    switch (record.type) {
      case 'fill':
        if (this.fills.has(record.fill.tradeId)) this.repeatedFills += 1;
        else this.fills.set(record.fill.tradeId, record.fill);
        return;
      case 'cash-movement':
        this.movements.set(record.movement.movementId, record.movement);
        return;
      case 'balances':
        if (!record.opening) {
          this.balances = record.balances;
          this.balancesAtMs = record.atMs;
        } else
          this.opening ??= {
            balances: record.balances,
            atMs: record.atMs,
            movementIds: record.movementIds,
          };
        return;
      case 'mark':
        this.marks.set(record.symbol, record.price);
        this.markTimes.set(record.symbol, record.atMs);
        return;
      default:
        return;
    }
  }

  private booksGiven(): Pick<LedgerSnapshot, 'fills' | 'checkpoint'> {
    const fills = [...this.fills.values()];
    const cut = this.checkpointKeeps === null ? 0 : cutOf(fills, this.checkpointKeeps);
    const books = cut === 0 ? null : foldFills(null, fills.slice(0, cut), this.opening?.atMs ?? null);
    if (books === null) return { fills };
    const booked = new Map<ClientOrderId, Quantity>();
    for (const { clientOrderId, quantity } of fills)
      if (clientOrderId !== null) booked.set(clientOrderId, (booked.get(clientOrderId) ?? 0n) + quantity);
    const tradeIds = fills.slice(0, cut).map(fill => fill.tradeId);
    return { fills: fills.slice(cut), checkpoint: { books, tradeIds, booked } };
  }

  snapshot(): LedgerSnapshot {
    return emptySnapshot({
      openOrders: [...this.orders.values()].filter(order => !isTerminal(order.state)),
      ...this.booksGiven(),
      openingBalances: this.opening?.balances ?? [],
      openingAtMs: this.opening?.atMs ?? null,
      openingMovementIds: this.opening?.movementIds ?? [],
      cashMovements: [...this.movements.values()],
      lastRecordAtMs: this.lastRecordAtMs,
    });
  }
}

/** The ledger of a database that was opened an hour ago and last written to a minute ago. */
export const openedLedger = (venue: TinyVenue): TinyLedger => {
  const ledger = new TinyLedger();
  const atMs = START_WALL_MS - 3_600_000;
  ledger.opening = { balances: venue.balancesAt(atMs), atMs };
  ledger.lastRecordAtMs = START_WALL_MS - 60_000;
  return ledger;
};

/**
 * The brain on a bench: virtual time, a tiny venue that answers its reads, a ledger, and an execution that believes
 * what it is told.
 */
export class Bench {
  readonly venue: TinyVenue;
  readonly ledger: TinyLedger;
  config: ReconciliationConfig;
  state: ReconciliationState;
  monoMs = 1_000;
  /** Venue clock less ours, before either was set. */
  clockAheadMs = 0;
  /** How far our clock was set forward. */
  wallSetMs = 0;
  faults: Faults = NO_FAULTS;
  /** Fails matching reads, when it returns a failure. */
  failWith: (call: VenueRead) => ReadFailure | null = () => null;
  /** Answers nothing at all while false. */
  answering = true;
  readonly holds = new Map<string, string>();
  readonly everHeld = new Map<string, string>();
  readonly cleared: string[] = [];
  readonly told: AccountReport[] = [];
  readonly toldStrategy: AccountReport[] = [];
  readonly logs: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> }[] = [];
  readonly reads: { readonly call: VenueRead; readonly atMonoMs: number }[] = [];
  readonly expected: string[] = [];
  readonly reconnects: string[] = [];
  readonly metrics = new Map<string, number>();
  status: Readonly<Record<string, unknown>> = {};
  drained: boolean | null = null;
  failAppends = false;
  /** The ledger dies before it has written or answered. */
  loseAppends = false;
  private readonly agenda: { readonly atMonoMs: number; readonly order: number; readonly run: () => void }[] =
    [];
  private agendaOrder = 0;
  dead = false;
  private readonly random: () => number;

  constructor(options: {
    readonly venue: TinyVenue;
    readonly ledger?: TinyLedger;
    readonly config?: Partial<ReconciliationConfig>;
    readonly random?: () => number;
    readonly monoMs?: number;
    readonly valuation?: Valuation;
  }) {
    this.venue = options.venue;
    this.ledger = options.ledger ?? new TinyLedger();
    this.config = { ...CONFIG, ...options.config };
    this.random = options.random ?? (() => 0.5);
    this.monoMs = options.monoMs ?? this.monoMs;
    const snapshot = { ...this.ledger.snapshot(), valuation: options.valuation ?? null };
    this.state = initialReconciliation(this.config, snapshot, this.now());
  }

  get wallMs(): number {
    return START_WALL_MS + this.monoMs + this.wallSetMs;
  }
  /** The venue's time, as if nobody had set its clock. */
  get venueMs(): number {
    return START_WALL_MS + this.monoMs + this.clockAheadMs;
  }
  now(): { readonly monoMs: number; readonly wallMs: number } {
    return { monoMs: this.monoMs, wallMs: this.wallMs };
  }

  /** The process dies: time goes on, and nothing it did not send before has any effect. */
  silence(): void {
    this.dead = true;
  }

  give(input: ReconciliationInput): void {
    if (this.dead) return;
    const stepped = stepReconciliation(this.state, input, this.now());
    this.state = stepped.state;
    for (const effect of stepped.effects) this.perform(effect);
  }

  /** Lets `ms` pass, with ticks every `tickMs`. */
  run(ms: number, tickMs = 50): void {
    const until = this.monoMs + ms;
    while (this.monoMs < until) {
      const tickAt = Math.min(until, this.monoMs + tickMs);
      this.runAgenda(tickAt);
      this.monoMs = tickAt;
      this.give({ type: 'tick' });
    }
  }

  /** Runs until a condition holds. @throws when it does not within `limitMs`. */
  runUntil(condition: () => boolean, limitMs: number, what: string, tickMs = 50): void {
    const until = this.monoMs + limitMs;
    while (!condition()) {
      if (this.monoMs >= until)
        throw new Error(
          `${what}: not within ${limitMs} ms; ${JSON.stringify(this.status)} ${JSON.stringify([...this.holds])}`,
        );
      this.run(tickMs, tickMs);
    }
  }

  at(delayMs: number, run: () => void): void {
    this.agenda.push({ atMonoMs: this.monoMs + delayMs, order: this.agendaOrder++, run });
  }

  /** Sends frames, as the faults let them through. */
  send(events: readonly PrivateEvent[]): void {
    for (const event of events) {
      if (this.random() < this.faults.frameLost) continue;
      const copies = this.random() < this.faults.frameTwice ? 2 : 1;
      const shown: PrivateEvent =
        event.type === 'match-hint' && this.random() < this.faults.matchWrong
          ? { ...event, quantity: (event.quantity * 5n) / 4n }
          : event;
      for (let copy = 0; copy < copies; copy++)
        this.at(Math.floor(this.random() * 300), () => this.give({ type: 'private-event', event: shown }));
    }
  }

  /** The supervisor's word, with these holds. */
  control(holds: readonly Hold[], over: Partial<ControlState> = {}): void {
    this.give({
      type: 'control',
      control: {
        type: 'control-state',
        epoch: 1,
        mode: 'paper',
        state: holds.length === 0 ? 'live' : 'observe-only',
        mayObserve: true,
        maySubmit: holds.length === 0,
        mayCancel: holds.length === 0,
        blockedSymbols: [],
        pull: 'none',
        holds,
        reasons: [],
        ...over,
      },
    });
  }

  track(order: Order): void {
    this.give({
      type: 'message',
      from: 'execution',
      message: { type: 'order-tracked', id: 'execution:1:1', cause: 'strategy:1:1', order },
    });
  }

  messages<T extends AccountReport['type']>(type: T): Extract<AccountReport, { readonly type: T }>[] {
    return this.told.filter(
      (message): message is Extract<AccountReport, { readonly type: T }> => message.type === type,
    );
  }

  private runAgenda(untilMonoMs: number): void {
    for (;;) {
      let next = -1;
      for (let index = 0; index < this.agenda.length; index++) {
        const candidate = this.agenda[index];
        if (candidate === undefined || candidate.atMonoMs > untilMonoMs) continue;
        const best = this.agenda[next];
        if (
          best === undefined ||
          candidate.atMonoMs < best.atMonoMs ||
          (candidate.atMonoMs === best.atMonoMs && candidate.order < best.order)
        )
          next = index;
      }
      const [due] = next < 0 ? [] : this.agenda.splice(next, 1);
      if (due === undefined) return;
      this.monoMs = Math.max(this.monoMs, due.atMonoMs);
      due.run();
    }
  }

  private perform(effect: ReconciliationEffect): void {
    switch (effect.type) {
      case 'read':
        this.read(effect.requestId, effect.call);
        return;
      case 'append': {
        const { batch, durable } = effect.request;
        if (this.loseAppends) return;
        if (this.failAppends) {
          if (durable)
            this.at(1, () =>
              this.give({
                type: 'ledger-replied',
                reply: { type: 'append-failed', batch, reason: 'disk full' },
              }),
            );
          return;
        }
        this.ledger.append(effect.request, this.wallMs);
        if (durable)
          this.at(1, () => this.give({ type: 'ledger-replied', reply: { type: 'appended', batch } }));
        return;
      }
      case 'hold': {
        const { message } = effect;
        const key = message.subject === '' ? message.holdCause : `${message.holdCause}:${message.subject}`;
        if (message.type === 'hold-wanted') {
          this.holds.set(key, message.detail);
          this.everHeld.set(key, message.detail);
        } else {
          this.holds.delete(key);
          this.cleared.push(key);
        }
        return;
      }
      case 'tell':
        if (effect.to === 'execution') {
          this.told.push(effect.message);
          this.onTold(effect.message);
        } else this.toldStrategy.push(effect.message);
        return;
      case 'log':
        this.logs.push({ event: effect.event, fields: effect.fields });
        return;
      case 'metric':
        this.metrics.set(effect.name, effect.value);
        return;
      case 'status':
        this.status = effect.facts;
        return;
      case 'fills-wanted': {
        const fills = [...this.ledger.fills.values()].filter(fill => fill.symbol === effect.symbol);
        this.at(1, () => this.give({ type: 'fills-given', symbol: effect.symbol, fills }));
        return;
      }
      case 'expect-inserted':
        this.expected.push(effect.clientOrderId);
        return;
      case 'reconnect-private':
        this.reconnects.push(effect.reason);
        return;
      case 'drained':
        this.drained = effect.clean;
        return;
    }
  }

  /** What execution makes of a report; replaced by tests that have one. */
  onTold: (message: AccountReport) => void = () => {};

  private read(requestId: number, call: VenueRead): void {
    this.reads.push({ call, atMonoMs: this.monoMs });
    if (!this.answering) return;
    const outMs = 1 + Math.floor(this.random() * 40);
    const backMs = 1 + Math.floor(this.random() * 40);
    const failure: ReadFailure | null =
      this.failWith(call) ??
      (this.random() < this.faults.readFails ? { type: 'unavailable', cause: 'timeout' } : null);
    this.at(outMs, () => {
      const lags: Lags = {
        balancesMs: Math.floor(this.random() * this.faults.lags.balancesMs),
        ordersMs: Math.floor(this.random() * this.faults.lags.ordersMs),
        tradesMs: Math.floor(this.random() * this.faults.lags.tradesMs),
        movementsMs: Math.floor(this.random() * (this.faults.lags.movementsMs ?? 0)),
      };
      const answer =
        failure === null
          ? this.venue.answer(call, this.venueMs, lags, outMs + backMs)
          : TinyVenue.failure(call, failure, outMs + backMs);
      this.at(backMs, () => this.give({ type: 'read-answered', requestId, ...answer }));
    });
  }
}
