/**
 * One market of a tape with orders of ours in it, for runs at full speed. It keeps the book as the frames state it in
 * flat arrays, and looks closer only at the few prices where our orders stand: there the rules are those of the embedded
 * exchange's recorded market (exchange/recorded-market.ts), to the last digit. A property test compares the two.
 *
 * Fill models, from the most hopeful to the most cautious:
 * - `touch`: an order fills as a whole as soon as a trade prints at its price, whoever stood there before.
 * - `queue`: what was displayed at the price when the order joined must trade first; a decrease that no trade explains
 *   takes from every part of the queue in proportion. The exchange's own rule.
 * - `through`: only a trade, or a quote, beyond the order's price fills it.
 * Under all of them a trade beyond the price fills, and an order that crosses takes what is displayed.
 */
import { type Instrument, lotSize, type Side, tickSize } from '../domain/instrument.js';
import { divide, min, type Price, type Quantity } from '../domain/money.js';
import { GONE, initialOrderBook, lotsAt, ticksAt, WINDOW_LEVELS } from '../domain/order-book.js';
import {
  NO_OVERLAY,
  type Overlay,
  ofSide,
  type Picture,
  Pictures,
  type Shown,
  SIDES,
  sideName,
} from './pictures.js';
import { applyTapeBook, type MarketTape, TAPE_KINDS } from './tape.js';

export const FILL_MODELS = ['touch', 'queue', 'through'] as const;
export type FillModel = (typeof FILL_MODELS)[number];

/** One of our orders in the market. Updated in place. */
export interface FastOrder<Ref> {
  readonly side: Side;
  readonly price: Price;
  readonly ticks: number;
  remaining: Quantity;
  readonly ref: Ref;
}

export type Liquidity = 'maker' | 'taker';
/** Told of each match, after the order was reduced. It must not touch the market. */
export type OnFastFill<Ref> = (
  order: FastOrder<Ref>,
  price: Price,
  quantity: Quantity,
  liquidity: Liquidity,
) => void;

/** A stretch of the queue at a price: nobody's (`order` null) or one of ours. Oldest first. */
interface Stretch<Ref> {
  readonly order: FastOrder<Ref> | null;
  quantity: Quantity;
}

/** Prices of a side where we have, or had, something, and what bounds those that a frame may name to concern us. */
interface Watch {
  readonly prices: readonly number[];
  /** What is bid this high, or offered this low, meets one of ours. */
  readonly across: number;
  readonly least: number;
  readonly most: number;
  /** Our best order of the side itself; null for none. */
  readonly front: number | null;
}

/** A level that grows, as the frame found it. */
interface Raise<Ref> {
  readonly side: Side;
  readonly ticks: number;
  readonly before: Quantity;
  readonly total: Quantity;
  /** Our orders that were out of sight before the frame; null for none. */
  readonly hidden: ReadonlySet<FastOrder<Ref>> | null;
}

interface Queue<Ref> {
  readonly side: Side;
  readonly ticks: number;
  readonly stretches: Stretch<Ref>[];
}

const opposite = (side: Side): Side => (side === 'buy' ? 'sell' : 'buy');
/** Whether `left` is a better price than `right` for somebody who trades against `side`. */
const better = (side: Side, left: number, right: number): boolean =>
  side === 'buy' ? left > right : left < right;

// Once for all runs: V8 drops what it compiled of a function as soon as nobody holds it, so that one made for each call is
// compiled again and again.
const BEST_QUEUE_FIRST = {
  buy: (left: { readonly ticks: number }, right: { readonly ticks: number }) => right.ticks - left.ticks,
  sell: (left: { readonly ticks: number }, right: { readonly ticks: number }) => left.ticks - right.ticks,
};
const BEST_SHOWN_FIRST = {
  buy: ([left]: Shown, [right]: Shown) => right - left,
  sell: ([left]: Shown, [right]: Shown) => left - right,
};

/** One market of a tape, and our orders in it. Methods, not closures: what is compiled for one run serves the next one too. */
export class FastMarket<Ref> {
  readonly instrument: Instrument;
  /** As the frames state it. */
  readonly book = initialOrderBook();
  readonly #orders: FastOrder<Ref>[] = [];
  readonly #model: FillModel;
  readonly #onFill: OnFastFill<Ref>;
  readonly #lot: bigint;
  readonly #tick: bigint;
  readonly #queues: Queue<Ref>[] = [];
  /** Displayed quantity that we have taken, by price, while the frames keep the level. */
  readonly #taken = { buy: new Map<number, Quantity>(), sell: new Map<number, Quantity>() };
  /** What trades ate of a level since it was last stated, where our orders stood. */
  readonly #traded = { buy: new Map<number, Quantity>(), sell: new Map<number, Quantity>() };
  readonly #pictures = new Pictures(this.book);
  /** What of ours the next picture shows; null where something of it may have changed. */
  #overlay: Overlay | null = NO_OVERLAY;
  /** The newest that was not null. */
  #lastOverlay = NO_OVERLAY;
  /** Nothing of ours is here, nor anything left of what it did, so that only the book has to be kept. */
  #untouched = true;

  /** @param onFill told of each match, see {@link OnFastFill} */
  constructor(instrument: Instrument, model: FillModel, onFill: OnFastFill<Ref>) {
    this.instrument = instrument;
    this.#model = model;
    this.#onFill = onFill;
    this.#lot = lotSize(instrument);
    this.#tick = tickSize(instrument);
  }

  #queueAt(side: Side, ticks: number): Queue<Ref> | undefined {
    for (const queue of this.#queues) if (queue.ticks === ticks && queue.side === side) return queue;
    return undefined;
  }
  #statedAt(side: Side, ticks: number): Quantity {
    return BigInt(lotsAt(this.book, sideName(side), ticks)) * this.#lot;
  }
  #nobodysIn(queue: Queue<Ref>): Quantity {
    let sum = 0n;
    for (const { order, quantity } of queue.stretches) if (order === null) sum += quantity;
    return sum;
  }
  /** Nobody's quantity at a price, given what is stated there. */
  #presentAt(side: Side, ticks: number, stated: Quantity): Quantity {
    const queue = this.#queueAt(side, ticks);
    return queue === undefined
      ? stated - (ofSide(this.#taken, side).get(ticks) ?? 0n)
      : this.#nobodysIn(queue);
  }
  #setTaken(side: Side, ticks: number, quantity: Quantity): void {
    if (quantity > 0n) ofSide(this.#taken, side).set(ticks, quantity);
    else ofSide(this.#taken, side).delete(ticks);
  }
  #takeTraded(side: Side, ticks: number): Quantity {
    const quantity = ofSide(this.#traded, side).get(ticks) ?? 0n;
    ofSide(this.#traded, side).delete(ticks);
    return quantity;
  }
  #joinQueue(queue: Queue<Ref>, quantity: Quantity): void {
    const newest = queue.stretches.at(-1);
    if (newest !== undefined && newest.order === null) newest.quantity += quantity;
    else queue.stretches.push({ order: null, quantity });
  }
  #reduce(queue: Queue<Ref>, stretch: Stretch<Ref>, by: Quantity): void {
    stretch.quantity -= by;
    if (stretch.quantity === 0n) queue.stretches.splice(queue.stretches.indexOf(stretch), 1);
  }
  /** A queue without any of ours and of one piece is an ordinary level again. */
  #settleQueue(queue: Queue<Ref>, stated: Quantity = this.#statedAt(queue.side, queue.ticks)): void {
    if (queue.stretches.length > 1 || hasOurs(queue)) return;
    this.#queues.splice(this.#queues.indexOf(queue), 1);
    const present = this.#nobodysIn(queue);
    this.#setTaken(queue.side, queue.ticks, stated > present ? stated - present : 0n);
  }
  #forget(order: FastOrder<Ref>): void {
    const index = this.#orders.indexOf(order);
    if (index !== -1) this.#orders.splice(index, 1);
  }
  /** One of ours trades as a maker, wherever it stands in its queue. @returns the quantity */
  #hit(order: FastOrder<Ref>, quantity: Quantity): Quantity {
    const queue = this.#queueAt(order.side, order.ticks);
    if (queue === undefined) return 0n;
    const stretch = queue.stretches.find(each => each.order === order);
    if (stretch === undefined) return 0n;
    const matched = min(stretch.quantity, quantity);
    this.#reduce(queue, stretch, matched);
    order.remaining -= matched;
    if (order.remaining === 0n) {
      this.#forget(order);
      this.#settleQueue(queue);
    }
    this.#onFill(order, order.price, matched, 'maker');
    return matched;
  }
  /** Our orders of a side in the order in which they would trade. */
  #inLine(side: Side): FastOrder<Ref>[] {
    const levels: Queue<Ref>[] = [];
    for (const queue of this.#queues) if (queue.side === side) levels.push(queue);
    levels.sort(ofSide(BEST_QUEUE_FIRST, side));
    const orders: FastOrder<Ref>[] = [];
    for (const { stretches } of levels)
      for (const { order } of stretches) if (order !== null) orders.push(order);
    return orders;
  }

  #lower(side: Side, ticks: number, before: Quantity, total: Quantity): void {
    this.#movedByUs();
    const queue = this.#queueAt(side, ticks);
    const present = this.#presentAt(side, ticks, before);
    const kept = min(present - min(present, before - total), total);
    if (queue === undefined) {
      ofSide(this.#traded, side).delete(ticks);
      this.#setTaken(side, ticks, total - kept);
      return;
    }
    const nobodys = queue.stretches.filter(({ order }) => order === null);
    const explained = min(present - kept, this.#takeTraded(side, ticks));
    const cut = present - kept - explained;
    let owed = cut + explained;
    for (const stretch of nobodys) {
      const share = cut === 0n ? 0n : divide(cut * stretch.quantity, present, 'down');
      stretch.quantity -= share;
      owed -= share;
    }
    for (const stretch of nobodys.reverse()) {
      const share = min(owed, stretch.quantity);
      stretch.quantity -= share;
      owed -= share;
      if (stretch.quantity === 0n) queue.stretches.splice(queue.stretches.indexOf(stretch), 1);
    }
    this.#settleQueue(queue, total);
  }

  /** A level grows: what appears across one of ours trades with it, the rest joins the queue. */
  #raise({ side, ticks, before, total, hidden }: Raise<Ref>): void {
    this.#movedByUs();
    this.#takeTraded(side, ticks);
    const other = opposite(side);
    let left = total - before;
    const front = this.#bestOf(other);
    const meets = front !== null && (side === 'buy' ? front <= ticks : front >= ticks);
    for (const order of meets ? this.#inLine(other) : NOBODY) {
      const reaches = side === 'buy' ? order.ticks <= ticks : order.ticks >= ticks;
      if (!reaches || (this.#model === 'through' && order.ticks === ticks)) break;
      if (left === 0n) {
        // It is spent, and more of ours stands in the way: nothing joins.
        if (this.#queueAt(side, ticks) === undefined)
          this.#setTaken(side, ticks, total - this.#presentAt(side, ticks, before));
        return;
      }
      left -= this.#hit(order, left);
    }
    const queue = this.#queueAt(side, ticks);
    const present = this.#presentAt(side, ticks, before);
    left = min(left, total - min(total, present));
    if (queue === undefined) {
      this.#setTaken(side, ticks, total - present - left);
      return;
    }
    if (left === 0n) return;
    const wasHidden =
      hidden !== null && queue.stretches.some(({ order }) => order !== null && hidden.has(order));
    if (wasHidden && this.#model === 'queue') queue.stretches.unshift({ order: null, quantity: left });
    else this.#joinQueue(queue, left);
  }

  #onTrade(side: Side, ticks: number, lots: number): void {
    const { front } = this.#watchOf(side);
    if (front === null || better(side, ticks, front)) return;
    this.#movedByUs();
    let left = BigInt(lots) * this.#lot;
    for (const order of this.#inLine(side)) {
      if (left === 0n || !better(side, order.ticks, ticks)) break;
      left -= this.#hit(order, this.#model === 'touch' ? order.remaining : left);
      if (left < 0n) left = 0n;
    }
    const queue = this.#queueAt(side, ticks);
    if (queue === undefined || left === 0n || this.#model === 'through') return;
    if (this.#model === 'touch') {
      for (const order of this.#inLine(side)) if (order.ticks === ticks) this.#hit(order, order.remaining);
      return;
    }
    let eaten = 0n;
    while (left > 0n && hasOurs(queue)) {
      const oldest = queue.stretches[0]!;
      if (oldest.order === null) {
        const part = min(left, oldest.quantity);
        this.#reduce(queue, oldest, part);
        eaten += part;
        left -= part;
      } else left -= this.#hit(oldest.order, left);
    }
    if (eaten === 0n) return;
    if (this.#queues.includes(queue)) this.#joinQueue(queue, eaten);
    else {
      const present = this.#presentAt(side, ticks, this.#statedAt(side, ticks));
      this.#setTaken(side, ticks, this.#statedAt(side, ticks) - present - eaten);
    }
    ofSide(this.#traded, side).set(ticks, (ofSide(this.#traded, side).get(ticks) ?? 0n) + eaten);
  }

  /** Our orders beyond the worst level in sight of a full window: what comes into sight there is ahead of them. */
  #hiddenOrders(): ReadonlySet<FastOrder<Ref>> | null {
    let hidden: Set<FastOrder<Ref>> | null = null;
    for (const order of this.#orders) {
      const levels = order.side === 'buy' ? this.book.bids : this.book.asks;
      if (lotsAt(this.book, sideName(order.side), order.ticks) > 0) continue;
      if (levels.count > 0) {
        if (levels.count < WINDOW_LEVELS) continue;
        const worst = ticksAt(this.book, sideName(order.side), levels.count - 1);
        if (!better(order.side, worst, order.ticks)) continue;
      }
      hidden ??= new Set();
      hidden.add(order);
    }
    return hidden;
  }

  /** Where a frame may concern us on a side; null where something of it may have changed. */
  readonly #watches: Record<Side, Watch | null> = { buy: null, sell: null };
  #watchOf(side: Side): Watch {
    const known = ofSide(this.#watches, side);
    if (known !== null) return known;
    const prices: number[] = [];
    for (const queue of this.#queues) if (queue.side === side) prices.push(queue.ticks);
    prices.push(...ofSide(this.#taken, side).keys(), ...ofSide(this.#traded, side).keys());
    const best = side === 'buy' ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
    const across = this.#bestOf(opposite(side));
    const bounds = across === null ? prices : [...prices, across, best];
    const watch = {
      prices,
      across: across ?? best,
      least: Math.min(...bounds),
      most: Math.max(...bounds),
      front: this.#bestOf(side),
    };
    if (side === 'buy') this.#watches.buy = watch;
    else this.#watches.sell = watch;
    return watch;
  }
  /** Something of ours in the market, or what we took of it, has changed or is about to. */
  #movedByUs(): void {
    this.#overlay = null;
    this.#watches.buy = null;
    this.#watches.sell = null;
  }

  /** What a book frame does where we have, or had, something; the book itself still states what was before. */
  #aroundUs(tape: MarketTape, index: number, whole: boolean): readonly Raise<Ref>[] | null {
    let raised: Raise<Ref>[] | null = null;
    let hidden: ReadonlySet<FastOrder<Ref>> | null | undefined;
    const { numbers } = tape;
    const split = tape.splits[index] ?? 0;
    for (const side of SIDES) {
      const begin = side === 'buy' ? (tape.offsets[index] ?? 0) : split;
      const end = side === 'buy' ? split : (tape.offsets[index + 1] ?? 0);
      const { prices, across, least, most } = this.#watchOf(side);
      // Whatever lies outside of this neither is watched nor crosses one of ours.
      if (least > most) continue;
      if (whole)
        for (const ticks of new Set(prices))
          if (!isNamed(numbers, begin, end, ticks)) this.#lower(side, ticks, this.#statedAt(side, ticks), 0n);
      for (let at = begin; at < end; at += 2) {
        const ticks = numbers[at] as number;
        if (ticks < least || ticks > most) continue;
        const crosses = side === 'buy' ? ticks >= across : ticks <= across;
        if (!crosses && !prices.includes(ticks)) continue;
        const lots = numbers[at + 1] as number;
        const total = lots === GONE ? 0n : BigInt(lots) * this.#lot;
        const before = this.#statedAt(side, ticks);
        if (total > before) {
          hidden ??= this.#hiddenOrders();
          raised ??= [];
          raised.push({ side, ticks, before, total, hidden });
        } else this.#lower(side, ticks, before, total);
      }
    }
    return raised;
  }
  /** The price of our best order of a side, or null. */
  #bestOf(side: Side): number | null {
    let best: number | null = null;
    for (const order of this.#orders)
      if (order.side === side && (best === null || better(side, order.ticks, best))) best = order.ticks;
    return best;
  }

  /** What of a side is shown otherwise than the frames state it. */
  #shownOtherwise(side: Side): readonly Shown[] {
    const shown: Shown[] = [];
    for (const queue of this.#queues) {
      if (queue.side !== side) continue;
      let sum = 0n;
      for (const { quantity } of queue.stretches) sum += quantity;
      shown.push([queue.ticks, Number(sum / this.#lot)]);
    }
    for (const [ticks, gone] of ofSide(this.#taken, side)) shown.push([ticks, -Number(gone / this.#lot)]);
    return shown.sort(ofSide(BEST_SHOWN_FIRST, side));
  }

  /** The list of before where it says the same: pictures are told apart by it. */
  #overlayNow(): Overlay {
    const made = { buy: this.#shownOtherwise('buy'), sell: this.#shownOtherwise('sell') };
    if (!isSameShown(made.buy, this.#lastOverlay.buy) || !isSameShown(made.sell, this.#lastOverlay.sell))
      this.#lastOverlay = made;
    return this.#lastOverlay;
  }

  /** Takes what is displayed at the limit or better. */
  #take(order: FastOrder<Ref>): void {
    const side = opposite(order.side);
    const levels = side === 'buy' ? this.book.bids : this.book.asks;
    for (let depth = 0; depth < levels.count && order.remaining > 0n; depth++) {
      const ticks = ticksAt(this.book, sideName(side), depth);
      if (order.side === 'buy' ? ticks > order.ticks : ticks < order.ticks) return;
      const queue = this.#queueAt(side, ticks);
      if (queue === undefined) {
        const present = this.#presentAt(side, ticks, this.#statedAt(side, ticks));
        const matched = min(present, order.remaining);
        if (matched <= 0n) continue;
        this.#setTaken(side, ticks, (ofSide(this.#taken, side).get(ticks) ?? 0n) + matched);
        order.remaining -= matched;
        this.#onFill(order, BigInt(ticks) * this.#tick, matched, 'taker');
        continue;
      }
      // Our own orders there are passed over: the gate lets nothing through that would meet them.
      for (const stretch of queue.stretches.filter(each => each.order === null)) {
        const matched = min(stretch.quantity, order.remaining);
        if (matched === 0n) break;
        this.#reduce(queue, stretch, matched);
        order.remaining -= matched;
        this.#onFill(order, BigInt(ticks) * this.#tick, matched, 'taker');
      }
      this.#settleQueue(queue);
    }
  }

  /** Our orders in the book, of both sides. */
  get orders(): readonly FastOrder<Ref>[] {
    return this.#orders;
  }

  /** Whether event `index` of the tape, a trade, may meet one of our orders; any other changes nothing here. */
  mindsTrade(tape: MarketTape, index: number): boolean {
    if (this.#orders.length === 0) return false;
    const side: Side = tape.kinds[index] === TAPE_KINDS['buy-trade'] ? 'sell' : 'buy';
    const { front } = this.#watchOf(side);
    return front !== null && !better(side, tape.numbers[tape.offsets[index] as number] as number, front);
  }

  /** Applies event `index` of the tape. */
  event(tape: MarketTape, index: number): void {
    const kind = tape.kinds[index];
    if (kind === TAPE_KINDS['buy-trade'] || kind === TAPE_KINDS['sell-trade']) {
      if (this.#orders.length === 0) return;
      const at = tape.offsets[index] ?? 0;
      this.#onTrade(
        kind === TAPE_KINDS['buy-trade'] ? 'sell' : 'buy',
        tape.numbers[at] ?? 0,
        tape.numbers[at + 1] ?? 0,
      );
      return;
    }
    const whole = kind === TAPE_KINDS.snapshot;
    if (this.#untouched) {
      applyTapeBook(this.book, tape, index);
      return;
    }
    const raised = this.#aroundUs(tape, index, whole);
    applyTapeBook(this.book, tape, index);
    if (raised !== null) for (const each of raised) this.#raise(each);
    this.#untouched =
      this.#queues.length === 0 &&
      this.#taken.buy.size + this.#taken.sell.size + this.#traded.buy.size + this.#traded.sell.size === 0;
  }

  /** Our order reaches the book: it takes what it crosses and joins the queue with the rest. */
  enter(order: FastOrder<Ref>): void {
    this.#untouched = false;
    this.#movedByUs();
    this.#take(order);
    if (order.remaining === 0n) return;
    let queue = this.#queueAt(order.side, order.ticks);
    if (queue === undefined) {
      const present = this.#presentAt(order.side, order.ticks, this.#statedAt(order.side, order.ticks));
      queue = {
        side: order.side,
        ticks: order.ticks,
        stretches: present > 0n ? [{ order: null, quantity: present }] : [],
      };
      this.#queues.push(queue);
      ofSide(this.#taken, order.side).delete(order.ticks);
    }
    queue.stretches.push({ order, quantity: order.remaining });
    this.#orders.push(order);
  }

  /** Our order leaves; nothing happens when it has already left. */
  withdraw(order: FastOrder<Ref>): void {
    const queue = this.#queueAt(order.side, order.ticks);
    if (queue === undefined || !this.#orders.includes(order)) return;
    this.#movedByUs();
    queue.stretches.splice(
      queue.stretches.findIndex(each => each.order === order),
      1,
    );
    this.#forget(order);
    this.#settleQueue(queue);
  }

  /**
   * The book as it is shown: what the frames state, less what we took, and our own orders.
   * @param last the newest picture, which comes back when nothing has changed since
   */
  show(last?: Picture): Picture {
    this.#overlay ??= this.#overlayNow();
    return this.#pictures.take(this.#overlay, last);
  }

  /** A picture that is out of date: nobody will look at it for the first time any more. */
  giveBack(picture: Picture): void {
    this.#pictures.giveBack(picture);
  }
}

const NOBODY: readonly never[] = [];

const isNamed = (numbers: MarketTape['numbers'], begin: number, end: number, ticks: number): boolean => {
  for (let at = begin; at < end; at += 2) if (numbers[at] === ticks) return true;
  return false;
};

const isSameShown = (left: readonly Shown[], right: readonly Shown[]): boolean => {
  if (left.length !== right.length) return false;
  for (const [index, [ticks, lots]] of left.entries())
    if (ticks !== right[index]?.[0] || lots !== right[index]?.[1]) return false;
  return true;
};

const hasOurs = (queue: Queue<unknown>): boolean => {
  for (const { order } of queue.stretches) if (order !== null) return true;
  return false;
};
