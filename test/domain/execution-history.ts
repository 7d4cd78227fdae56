/**
 * Histories for the execution brain: a small venue that is the truth, a network that loses and reorders, a journal that
 * may lag, a reconciliation that reads the truth, and crashes. A tape of choices decides what happens next; after every
 * step the brain is compared with the truth.
 */
import type { AccountReport } from '#src/domain/account-events.js';
import { fillEffects, pairFromSymbol } from '#src/domain/accounting.js';
import {
  type ExecutionEffect,
  type ExecutionInput,
  type ExecutionState,
  initialExecution,
  stepExecution,
  vetoOf,
} from '#src/domain/execution.js';
import type { TrackedOrder, WriteEffect } from '#src/domain/execution-state.js';
import { reservation } from '#src/domain/exposure.js';
import { checkFence } from '#src/domain/fence.js';

import type { AppendRequest, LedgerRecord } from '#src/domain/ledger-records.js';
import { notional, partsPerMillion } from '#src/domain/money.js';
import {
  type ClientOrderId,
  type Fill,
  isTerminal,
  type Order,
  type OrderTerms,
  type VenueOrderId,
} from '#src/domain/order.js';
import { worstRemaining } from '#src/domain/order-machine.js';
import type { ControlState } from '#src/domain/safety.js';
import type { OrderReport } from '#src/domain/venue-port.js';
import { accountOf, benchConfig, bookOf, controlState, instrumentOf, SYMBOLS } from './execution-bench.js';
import { d, limitTerms } from './orders.js';

/** Decides what happens; an exhausted tape ends the history. */
export interface Tape {
  readonly ended: boolean;
  /** A number from 0 to `below` - 1. */
  pick(below: number): number;
}

/** A tape of bytes. */
export const tapeOf = (bytes: ArrayLike<number>): Tape => {
  let position = 0;
  return {
    get ended() {
      return position >= bytes.length;
    },
    pick: below => (below <= 1 ? 0 : (bytes[position++] ?? 0) % below),
  };
};

/** The venue's own order: the truth. */
interface VenueOrder {
  readonly id: VenueOrderId;
  readonly label: ClientOrderId;
  readonly terms: OrderTerms;
  remaining: bigint;
  live: boolean;
  canceled: boolean;
  /** What is locked for it: quote of a buy, base of a sell. */
  locked: bigint;
  /** What a read showed before the last change, and when that was: reads may lag this far. */
  before: { readonly report: OrderReport; readonly until: number } | null;
}

interface Request {
  readonly effect: WriteEffect;
  /** Handed to the shell, its bytes not yet gone. */
  sent: boolean;
  /** The venue has done what it does. */
  processed: boolean;
  answered: boolean;
  /** What the venue answers once it has processed the request. */
  answer: 'confirmed' | 'rejected' | 'queued';
  venueOrderId: VenueOrderId;
  readonly run: number;
}

interface Frame {
  readonly label: ClientOrderId;
  readonly venueOrderId: VenueOrderId;
  readonly hint: 'inserted' | 'removed' | 'matched';
}

/** How often rare paths were taken: a history that never meets them proves nothing. */
export interface Coverage {
  posts: number;
  unknowns: number;
  lateAccepts: number;
  absences: number;
  /** Fills booked after the venue had said that the order ended. */
  fillsAwaited: number;
  crashes: number;
  cancelRaces: number;
  fenced: number;
  journalFailures: number;
}
export const noCoverage = (): Coverage => ({
  posts: 0,
  unknowns: 0,
  lateAccepts: 0,
  absences: 0,
  fillsAwaited: 0,
  crashes: 0,
  cancelRaces: 0,
  fenced: 0,
  journalFailures: 0,
});

/** What went wrong, with what led there. */
export class HistoryError extends Error {
  override readonly name = 'HistoryError';
}

const INSTRUMENTS = SYMBOLS.map(instrumentOf);
const PRICES = ['98', '99', '99.5', '100', '100.5', '101', '102'].map(d);
const LOTS = d('0.5');
const HUNDRED = d('100');
/** How far a read may lag behind the truth; below the machine's grace for it. */
const READ_LAG_MS = 2_000;
/** Taker rate of the venue, worst tier: what a buy has to have free on top of its value. */
const TAKER_PPM = 2_400;

/** What the account holds when a history begins. */
const OPENING: ReadonlyMap<string, bigint> = new Map([
  ['TRY', d('700')],
  ['BTC', d('4')],
  ['ETH', d('4')],
]);
/** How many changes a read of the balances may be behind. */
const READS_BEHIND = 6;

class History {
  private monoMs = 1_000_000;
  private run = 1;
  private state: ExecutionState;
  private control: ControlState = controlState();
  private bookVersion = 0;
  private nextIntent = 1;
  private nextVenueId = 1;
  private nextTrade = 1;
  private nextEvent = 1;
  // The venue.
  private readonly venue = new Map<VenueOrderId, VenueOrder>();
  /** By label; two under one label would be a duplicate. */
  private readonly byLabel = new Map<ClientOrderId, VenueOrder>();
  /** Labels of submits that are on their way to the venue. */
  private readonly onTheWay = new Set<ClientOrderId>();
  private readonly posted = new Map<ClientOrderId, number>();
  private requests: Request[] = [];
  private pendingCancels: VenueOrder[] = [];
  private frames: Frame[] = [];
  /** Free amounts by asset, and what they were before the last changes: under load a read shows any of them. */
  private free: ReadonlyMap<string, bigint> = OPENING;
  private readonly freeBefore: ReadonlyMap<string, bigint>[] = [];
  // Reconciliation's side.
  private unbooked: Fill[] = [];
  private readonly booked = new Map<ClientOrderId, bigint>();
  private readonly bookedFills: Fill[] = [];
  private reads: (() => AccountReport)[] = [];
  // The journal.
  private uncommitted: AppendRequest[] = [];
  private readonly journal: LedgerRecord[] = [];
  private readonly durableIntents = new Set<ClientOrderId>();
  private readonly cancelTimes = new Map<ClientOrderId, number>();
  private readonly trail: string[] = [];

  constructor(
    private readonly tape: Tape,
    private readonly coverage: Coverage,
    private readonly verbose: boolean,
  ) {
    this.state = this.boot();
  }

  /** Runs the tape to its end, then lets the venue answer everything and checks what is left. */
  play(): void {
    try {
      while (!this.tape.ended) {
        this.act();
        this.check();
      }
      this.converge();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new HistoryError(`${reason}${this.verbose ? `\n  ${this.trail.join('\n  ')}` : ''}`, {
        cause: error,
      });
    }
  }

  // What can happen.

  /** Everything that can happen, each as often as it is listed. */
  private readonly acts: readonly (() => void)[] = (
    [
      [3, () => this.place()],
      [2, () => this.cancel()],
      [4, () => this.commit()],
      [4, () => this.send()],
      [4, () => this.process()],
      [4, () => this.answer()],
      [1, () => this.lose()],
      [3, () => this.match()],
      [2, () => this.executeCancel()],
      [2, () => this.deliverFrame()],
      [3, () => this.bookFill()],
      [2, () => this.read()],
      [2, () => this.deliverRead()],
      [1, () => this.proveAbsence()],
      [2, () => this.tellAccount()],
      [2, () => this.pass([50, 200, 1_000, 4_000][this.tape.pick(4)] ?? 50)],
      [1, () => this.rareActs[this.tape.pick(this.rareActs.length)]?.()],
    ] as const
  ).flatMap(([times, act]) => Array<() => void>(times).fill(act));

  private readonly rareActs: readonly (() => void)[] = [
    () => this.crash(),
    () => this.failJournal(),
    () => this.pass(13_000),
    () => this.repeat(),
    () => this.changeControl(),
  ];

  private act(): void {
    this.acts[this.tape.pick(this.acts.length)]?.();
  }

  private place(): void {
    const side = this.tape.pick(2) === 0 ? 'buy' : 'sell';
    const terms = limitTerms({
      symbol: SYMBOLS[this.tape.pick(2)] ?? 'BTCTRY',
      side,
      price: PRICES[this.tape.pick(PRICES.length)] ?? HUNDRED,
      quantity: LOTS * BigInt(1 + this.tape.pick(4)),
    });
    const n = this.nextIntent++;
    this.note(`place ${terms.side} ${terms.symbol}`);
    this.step({
      type: 'message',
      from: 'strategy',
      message: {
        type: 'place-order',
        id: `strategy:1:${n}`,
        cause: `market-data:1:${this.bookVersion}`,
        intentId: `test:1:${n}`,
        strategy: 'test',
        terms,
        validUntilMonoMs: this.monoMs + 2_000,
        bookVersion: this.bookVersion,
      },
    });
  }

  private cancel(): void {
    const tracked = this.oneOf([...this.state.open.values()]);
    if (tracked === undefined) return;
    this.note(`cancel ${tracked.record.order.clientOrderId}`);
    this.step({
      type: 'message',
      from: 'strategy',
      message: {
        type: 'cancel-order',
        id: `strategy:1:c${this.nextEvent++}`,
        cause: 'strategy:1:0',
        strategy: 'test',
        intentId: tracked.record.order.intentId,
      },
    });
  }

  /** The ledger commits everything it was given so far, and answers. */
  private commit(): void {
    const batches = this.uncommitted;
    this.uncommitted = [];
    for (const request of batches) {
      this.note(`commit ${request.batch}`);
      this.write(request);
    }
    for (const { batch, durable } of batches)
      if (durable) this.step({ type: 'message', from: 'ledger', message: { type: 'appended', batch } });
  }

  private write(request: AppendRequest): void {
    for (const record of request.records) {
      this.journal.push(record);
      if (record.type === 'order-intended') this.durableIntents.add(record.order.clientOrderId);
    }
  }

  /** One batch is refused; the ledger says so. */
  private failJournal(): void {
    const request = this.uncommitted.shift();
    if (request === undefined) return;
    this.coverage.journalFailures += 1;
    this.note(`refuse ${request.batch}`);
    this.step({
      type: 'message',
      from: 'ledger',
      message: { type: 'append-failed', batch: request.batch, reason: 'disk full' },
    });
  }

  /** A write that was handed over reaches the socket, through the fence. */
  private send(request = this.oneOf(this.requests.filter(each => !each.sent && !each.answered))): void {
    if (request === undefined) return;
    const { write, approval } = request.effect;
    const refusal =
      checkFence({
        now: this.now(),
        control: this.control,
        leaseUntilMonoMs: this.monoMs + 1_000,
        approval,
        write,
      }) ?? vetoOf(this.state, write, this.now());
    if (refusal !== null) {
      this.coverage.fenced += 1;
      this.note(`fence ${write.type} ${write.clientOrderId}: ${refusal}`);
      request.answered = true;
      this.outcome(request, { type: 'denied', reason: refusal });
      return;
    }
    this.note(`send ${write.type} ${write.clientOrderId}`);
    request.sent = true;
    this.step({ type: 'write-sent', kind: write.type, clientOrderId: write.clientOrderId });
    if (write.type === 'submit') {
      this.onTheWay.add(write.clientOrderId);
      this.coverage.posts += 1;
      const times = (this.posted.get(write.clientOrderId) ?? 0) + 1;
      this.posted.set(write.clientOrderId, times);
      this.expect(times === 1, `${write.clientOrderId} was posted ${times} times`);
      this.expect(
        this.durableIntents.has(write.clientOrderId),
        `${write.clientOrderId} left before it was durable`,
      );
      return;
    }
    const last = this.cancelTimes.get(write.clientOrderId);
    this.expect(
      last === undefined || this.monoMs - last >= 1_000,
      `${write.clientOrderId} was canceled twice within a second`,
    );
    this.cancelTimes.set(write.clientOrderId, this.monoMs);
    this.expect(
      this.venue.get(write.venueOrderId)?.label === write.clientOrderId,
      `a cancel for ${write.venueOrderId}, which is not ${write.clientOrderId}`,
    );
  }

  /** The venue acts on a request, answered or not. */
  private process(request = this.oneOf(this.requests.filter(each => each.sent && !each.processed))): void {
    if (request === undefined) return;
    request.processed = true;
    const { write } = request.effect;
    if (write.type === 'cancel') {
      const order = this.venue.get(write.venueOrderId);
      if (order?.live) {
        request.answer = 'queued';
        this.pendingCancels.push(order);
      } else request.answer = order?.canceled ? 'queued' : 'rejected';
      this.note(`venue: cancel ${write.venueOrderId} ${request.answer}`);
      return;
    }
    this.onTheWay.delete(write.clientOrderId);
    if (this.tape.pick(8) === 0) {
      request.answer = 'rejected';
      this.note(`venue: rejects ${write.clientOrderId}`);
      return;
    }
    const id = `V${this.nextVenueId++}`;
    if (request.answered) this.coverage.lateAccepts += 1;
    this.note(`venue: takes ${write.clientOrderId} as ${id}`);
    request.answer = 'confirmed';
    request.venueOrderId = id;
    const order: VenueOrder = {
      id,
      label: write.clientOrderId,
      terms: write.terms,
      remaining: write.terms.quantity,
      live: true,
      canceled: false,
      locked: 0n,
      before: null,
    };
    this.lock(order);
    this.expect(!this.byLabel.has(order.label), `${order.label} exists twice at the venue`);
    this.venue.set(id, order);
    this.byLabel.set(order.label, order);
    this.frames.push({ label: write.clientOrderId, venueOrderId: id, hint: 'inserted' });
  }

  /** A processed request's answer arrives. */
  private answer(request = this.oneOf(this.requests.filter(each => each.processed && !each.answered))): void {
    if (request === undefined) return;
    request.answered = true;
    if (request.answer === 'rejected')
      this.outcome(request, { type: 'rejected', reason: 'FAILED', code: '1' });
    else if (request.answer === 'queued') this.outcome(request, { type: 'queued' });
    else this.outcome(request, { type: 'confirmed', venueOrderId: request.venueOrderId });
  }

  /** An answer is lost, whether or not the venue has acted, or will. */
  private lose(): void {
    const request = this.oneOf(this.requests.filter(each => each.sent && !each.answered));
    if (request === undefined) return;
    request.answered = true;
    this.coverage.unknowns += 1;
    const cause = (['timeout', 'disconnect', 'server-error', 'unreadable'] as const)[this.tape.pick(4)];
    this.outcome(request, { type: 'unknown', cause: cause ?? 'timeout' });
  }

  private outcome(
    request: Request,
    outcome: Extract<ExecutionInput, { readonly type: 'write-outcome' }>['outcome'],
  ): void {
    // Whoever asked for it may be gone.
    if (request.run !== this.run) return;
    const { type: kind, clientOrderId } = request.effect.write;
    this.note(`answer ${kind} ${clientOrderId}: ${outcome.type}`);
    this.step({ type: 'write-outcome', kind, clientOrderId, outcome } as ExecutionInput);
  }

  /** Somebody trades with one of our orders. */
  private match(): void {
    const order = this.oneOf([...this.venue.values()].filter(each => each.live));
    if (order === undefined) return;
    this.change(order);
    const whole = this.tape.pick(2) === 0 || order.remaining <= LOTS;
    const quantity = whole ? order.remaining : LOTS;
    order.remaining -= quantity;
    if (order.remaining === 0n) order.live = false;
    const fee = this.settle(order, quantity);
    if (this.pendingCancels.includes(order)) this.coverage.cancelRaces += 1;
    const trade = `${this.nextTrade++}`;
    this.note(`venue: fills ${order.id}${whole ? ' to the end' : ''}, trade ${trade}`);
    this.unbooked.push({
      tradeId: trade,
      venueOrderId: order.id,
      clientOrderId: order.label,
      symbol: order.terms.symbol,
      side: order.terms.side,
      price: order.terms.price ?? 0n,
      quantity,
      fee,
      tax: 0n,
      feeAsset: 'TRY',
      executedAtMs: this.now().wallMs,
    });
    this.frames.push({ label: order.label, venueOrderId: order.id, hint: 'matched' });
  }

  private move(asset: string, amount: bigint): void {
    this.freeBefore.push(this.free);
    if (this.freeBefore.length > READS_BEHIND) this.freeBefore.shift();
    this.free = new Map(this.free).set(asset, (this.free.get(asset) ?? 0n) + amount);
  }

  /** The venue takes an order only with the money for it: our gate must have seen to that. */
  private lock(order: VenueOrder): void {
    const asset = payingAsset(order.terms);
    order.locked = reservation(order.terms, order.terms.quantity, TAKER_PPM).amount;
    const free = this.free.get(asset) ?? 0n;
    this.expect(order.locked <= free, `${order.label} needs ${order.locked} ${asset}, and ${free} is free`);
    this.move(asset, -order.locked);
  }

  /** @returns the fee, in lira */
  private settle(order: VenueOrder, quantity: bigint): bigint {
    const { terms } = order;
    const value = notional(terms.price ?? 0n, quantity);
    const fee = partsPerMillion(value, this.tape.pick(2) === 0 ? TAKER_PPM : TAKER_PPM / 2, 'up');
    if (terms.side === 'buy') {
      order.locked -= value + fee;
      this.move(terms.symbol.slice(0, 3), quantity);
    } else {
      order.locked -= quantity;
      this.move('TRY', value - fee);
    }
    if (!order.live) this.unlock(order);
    return fee;
  }

  private unlock(order: VenueOrder): void {
    this.move(payingAsset(order.terms), order.locked);
    order.locked = 0n;
  }

  private executeCancel(order = this.oneOf(this.pendingCancels)): void {
    if (order === undefined) return;
    this.pendingCancels = this.pendingCancels.filter(each => each !== order);
    if (!order.live) return;
    this.change(order);
    order.live = false;
    order.canceled = true;
    this.unlock(order);
    this.note(`venue: cancels ${order.id}`);
    this.frames.push({ label: order.label, venueOrderId: order.id, hint: 'removed' });
  }

  /** A frame of the private feed arrives, in any order; some are lost, some come twice. */
  private deliverFrame(): void {
    const frame = this.oneOf(this.frames);
    if (frame === undefined) return;
    const fate = this.tape.pick(4);
    if (fate !== 3) this.frames = this.frames.filter(each => each !== frame);
    if (fate === 0) return;
    this.note(`frame ${frame.hint} ${frame.venueOrderId}`);
    this.tell({
      type: 'order-hinted',
      ...this.traced(),
      clientOrderId: frame.label,
      venueOrderId: frame.venueOrderId,
      hint: frame.hint,
    });
  }

  private bookFill(fill = this.oneOf(this.unbooked)): void {
    if (fill === undefined) return;
    this.unbooked = this.unbooked.filter(each => each !== fill);
    const label = fill.clientOrderId ?? '';
    const total = (this.booked.get(label) ?? 0n) + fill.quantity;
    this.booked.set(label, total);
    this.bookedFills.push(fill);
    if ((this.state.open.get(label)?.record.ended ?? null) !== null) this.coverage.fillsAwaited += 1;
    this.note(`book trade ${fill.tradeId}`);
    this.tell({ type: 'fill-booked', ...this.traced(), fill, orderFilled: total });
  }

  /** A booked fill is told a second time, as after a restart of reconciliation. */
  private repeat(): void {
    const fill = this.oneOf(this.bookedFills);
    if (fill === undefined) return;
    this.tell({
      type: 'fill-booked',
      ...this.traced(),
      fill,
      orderFilled: this.booked.get(fill.clientOrderId ?? '') ?? 0n,
    });
  }

  /** A read of one order is sent now; what it says may lag, and it may arrive late. */
  private read(order = this.oneOf([...this.venue.values()])): void {
    if (order === undefined) return;
    const lagging = order.before !== null && order.before.until > this.monoMs && this.tape.pick(3) === 0;
    const report = lagging && order.before !== null ? order.before.report : reportOf(order);
    const asOfMonoMs = this.monoMs;
    this.reads.push(() => ({
      type: 'order-reported',
      ...this.traced(),
      clientOrderId: order.label,
      report,
      asOfMonoMs,
    }));
  }

  private deliverRead(): void {
    const read = this.oneOf(this.reads);
    if (read === undefined) return;
    this.reads = this.reads.filter(each => each !== read);
    const message = read();
    this.note(
      `report ${message.type === 'order-reported' ? `${message.clientOrderId} ${message.report.status}` : ''}`,
    );
    this.tell(message);
  }

  /** Reconciliation proves that an unknown submit never became an order: only when that is so. */
  private proveAbsence(
    tracked = this.oneOf(
      [...this.state.open.values()].filter(each => each.record.order.state.status === 'unknown'),
    ),
  ): void {
    if (tracked === undefined) return;
    const label = tracked.record.order.clientOrderId;
    if (this.onTheWay.has(label) || this.byLabel.has(label)) return;
    // The bytes may leave until our own client has given up; reconciliation's window is far longer.
    if (this.requests.some(each => !each.sent && !each.answered && each.effect.write.clientOrderId === label))
      return;
    this.coverage.absences += 1;
    this.note(`absent ${label}`);
    this.tell({
      type: 'absence-proven',
      ...this.traced(),
      clientOrderId: label,
      evidence: 'in no list',
    });
  }

  private tellAccount(): void {
    const positions = new Map<string, bigint>();
    for (const fill of this.bookedFills)
      positions.set(
        fill.symbol,
        (positions.get(fill.symbol) ?? 0n) + (fill.side === 'buy' ? fill.quantity : -fill.quantity),
      );
    const shown = (this.tape.pick(2) === 0 ? this.oneOf(this.freeBefore) : undefined) ?? this.free;
    const owned = new Map(OPENING);
    for (const fill of this.bookedFills)
      for (const [asset, change] of fillEffects(fill, pairFromSymbol(fill.symbol, fill.feeAsset)))
        owned.set(asset, (owned.get(asset) ?? 0n) + change);
    this.tell(
      accountOf({
        balances: [...shown].map(([asset, free]) => ({ asset, total: free, free, locked: 0n })),
        balancesAsOfMonoMs: this.monoMs,
        owned,
        positions: [...positions].map(([symbol, quantity]) => ({
          symbol,
          quantity,
          averagePrice: HUNDRED,
          realized: 0n,
          fees: 0n,
          taxes: 0n,
        })),
      }),
    );
  }

  private changeControl(): void {
    const epoch = this.control.epoch + 1;
    const kind = this.tape.pick(5);
    this.control = controlState(
      kind === 0
        ? { epoch, state: 'cancel-only', maySubmit: false, pull: 'all' }
        : kind === 1
          ? { epoch, state: 'observe-only', maySubmit: false, mayCancel: false }
          : kind === 2
            ? { epoch, blockedSymbols: ['BTCTRY'], pull: ['BTCTRY'] }
            : { epoch },
    );
    this.note(`control ${this.control.state} pull ${this.control.pull}`);
    this.step({ type: 'control', control: this.control });
  }

  private pass(ms: number): void {
    this.note(`${ms} ms pass`);
    this.monoMs += ms;
    this.books();
    this.step({ type: 'tick' });
  }

  /** The process dies: what is durable stays, a part of what was on its way to the disk gets there. */
  private crash(): void {
    this.coverage.crashes += 1;
    const kept = this.tape.pick(this.uncommitted.length + 1);
    for (const request of this.uncommitted.slice(0, kept)) this.write(request);
    this.uncommitted = [];
    this.reads = [];
    // What never reached the socket never will; what did, the venue acts on.
    this.requests = this.requests.filter(request => request.sent);
    this.note(`crash, ${kept} batches kept`);
    this.run += 1;
    this.state = this.boot();
  }

  // The machinery.

  private boot(): ExecutionState {
    this.state = initialExecution(
      benchConfig({ epoch: this.run, incarnation: this.run }),
      {
        openOrders: this.openInJournal(),
        fills: this.bookedFills,
        cancelWishes: [],
        recentOrders: [],
      },
      this.now(),
    );
    this.step({ type: 'started' });
    this.step({
      type: 'message',
      from: 'market-data',
      message: { type: 'instruments-listed', ...this.traced(), instruments: INSTRUMENTS },
    });
    this.books();
    this.step({ type: 'control', control: this.control });
    this.tellAccount();
    this.tell({
      type: 'reconciled',
      ...this.traced(),
      clean: true,
      discrepancies: [],
      completedMonoMs: this.monoMs,
    });
    return this.state;
  }

  private openInJournal(): Order[] {
    const orders = new Map<ClientOrderId, Order>();
    for (const record of this.journal) {
      if (record.type === 'order-intended') orders.set(record.order.clientOrderId, record.order);
      if (record.type !== 'order-moved') continue;
      const order = orders.get(record.clientOrderId);
      if (order !== undefined) orders.set(record.clientOrderId, { ...order, state: record.state });
    }
    return [...orders.values()].filter(order => !isTerminal(order.state));
  }

  private step(input: ExecutionInput): void {
    const stepped = stepExecution(this.state, input, this.now());
    this.state = stepped.state;
    for (const effect of stepped.effects) this.perform(effect);
  }

  private perform(effect: ExecutionEffect): void {
    if (effect.type === 'append') this.uncommitted.push(effect.request);
    else if (effect.type === 'write')
      this.requests.push({
        effect,
        sent: false,
        processed: false,
        answered: false,
        answer: 'rejected',
        venueOrderId: '',
        run: this.run,
      });
    else if (effect.type === 'hold' && effect.message.type === 'hold-wanted')
      this.expect(
        effect.message.holdCause !== 'invariant',
        `nothing impossible happened, but: ${effect.message.detail}`,
      );
  }

  private tell(message: AccountReport): void {
    this.step({ type: 'message', from: 'reconciliation', message });
  }

  private books(): void {
    this.bookVersion += 1;
    for (const symbol of SYMBOLS)
      this.step({
        type: 'message',
        from: 'market-data',
        message: {
          type: 'book-updated',
          ...this.traced(),
          book: bookOf(symbol, this.bookVersion, this.monoMs),
        },
      });
  }

  private change(order: VenueOrder): void {
    order.before = { report: reportOf(order), until: this.monoMs + READ_LAG_MS };
  }

  private now(): { monoMs: number; wallMs: number } {
    return { monoMs: this.monoMs, wallMs: 1_700_000_000_000 + this.monoMs };
  }

  private traced(): { id: string; cause: string } {
    return { id: `model:1:${this.nextEvent++}`, cause: 'model:1:0' };
  }

  private oneOf<T>(choices: readonly T[]): T | undefined {
    return choices[this.tape.pick(choices.length)];
  }

  private note(words: string): void {
    if (this.verbose) this.trail.push(`${this.monoMs - 1_000_000} ${words}`);
  }

  private expect(holds: boolean, words: string): void {
    if (!holds) throw new Error(words);
  }

  // What must hold.

  /** After every step: the brain never knows of less than there is, and never counts twice. */
  private check(): void {
    for (const tracked of this.state.open.values()) this.checkOrder(tracked);
    for (const tracked of this.state.ended.values()) this.checkOrder(tracked);
    for (const order of this.venue.values())
      if (order.live && !this.isKnown(order.label)) throw new Error(`${order.label} lives, and is not known`);
    for (const label of this.onTheWay)
      if (!this.isKnown(label)) throw new Error(`${label} is on its way, and is not known`);
  }

  private isKnown(label: ClientOrderId): boolean {
    return this.state.open.has(label) || this.state.ended.has(label);
  }

  private checkOrder(tracked: TrackedOrder): void {
    const { record } = tracked;
    const { order } = record;
    const label = order.clientOrderId;
    const booked = this.booked.get(label) ?? 0n;
    if (record.booked !== booked)
      throw new Error(`${label} has ${record.booked} booked instead of ${booked}`);
    if ('filled' in order.state && order.state.filled !== booked)
      throw new Error(`${label} says ${order.state.filled} of ${booked}`);
    const real = this.byLabel.get(label);
    const executed = real === undefined ? 0n : real.terms.quantity - real.remaining;
    const canExecute =
      (real?.live === true ? real.remaining : 0n) + (this.onTheWay.has(label) ? order.terms.quantity : 0n);
    const truth = executed + canExecute;
    const counted = record.booked + worstRemaining(record);
    if (counted < truth) throw new Error(`${label} (${order.state.status}) counts ${counted} of ${truth}`);
    if (!isTerminal(order.state)) return;
    if (canExecute > 0n) throw new Error(`${label} is ${order.state.status} but may execute ${canExecute}`);
    if (executed !== booked)
      throw new Error(`${label} is ${order.state.status} with ${booked} of ${executed}`);
  }

  /** The venue answers again: everything becomes known, and nothing stays unknown. */
  private converge(): void {
    this.note('converge');
    this.control = controlState({ epoch: this.control.epoch + 1 });
    this.step({ type: 'control', control: this.control });
    for (let round = 0; round < 40; round++) {
      this.commit();
      for (const request of this.requests) if (!request.sent && !request.answered) this.send(request);
      for (const request of this.requests) if (request.sent && !request.processed) this.process(request);
      for (const request of this.requests) if (request.processed && !request.answered) this.answer(request);
      while (this.pendingCancels.length > 0) this.executeCancel(this.pendingCancels[0]);
      this.frames = [];
      while (this.unbooked.length > 0) this.bookFill(this.unbooked[0]);
      this.reads = [];
      this.pass(READ_LAG_MS);
      for (const order of this.venue.values()) this.read(order);
      while (this.reads.length > 0) this.deliverRead();
      for (const tracked of [...this.state.open.values()])
        if (tracked.record.order.state.status === 'unknown') this.proveAbsence(tracked);
      this.check();
      if (this.isSettled()) return;
    }
    const left = [...this.state.open.values()].map(
      ({ record }) => `${record.order.clientOrderId} ${record.order.state.status}`,
    );
    throw new Error(`never settled: ${left.join(', ')}`);
  }

  private isSettled(): boolean {
    for (const tracked of this.state.open.values()) {
      const { order, venueOrderId } = tracked.record;
      if (order.state.status !== 'working') return false;
      if (!(this.venue.get(venueOrderId ?? '')?.live ?? false)) return false;
    }
    for (const held of this.state.holdsAsked.keys()) if (held.startsWith('unknown-outcome')) return false;
    return this.requests.every(request => request.answered);
  }
}

const payingAsset = (terms: OrderTerms): string => (terms.side === 'buy' ? 'TRY' : terms.symbol.slice(0, 3));

const reportOf = (order: VenueOrder): OrderReport => ({
  venueOrderId: order.id,
  clientOrderId: order.label,
  symbol: order.terms.symbol,
  side: order.terms.side,
  method: order.terms.method,
  price: order.terms.price,
  quantity: order.terms.quantity,
  remaining: order.remaining,
  status: order.live
    ? order.remaining === order.terms.quantity
      ? 'untouched'
      : 'partial'
    : order.canceled
      ? 'canceled'
      : 'closed',
  createdAtMs: 0,
  updatedAtMs: 0,
});

/**
 * Plays one history.
 * @throws HistoryError with everything that happened when `verbose`, as soon as the brain disagrees with the truth.
 */
export const playHistory = (tape: Tape, coverage: Coverage, verbose = false): void =>
  new History(tape, coverage, verbose).play();
