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
import {
  copyLevels,
  depthOf,
  GONE,
  initialOrderBook,
  lotsAt,
  type OrderBook,
  ticksAt,
  WINDOW_LEVELS,
} from '../domain/order-book.js';
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

interface Queue<Ref> {
  readonly side: Side;
  readonly ticks: number;
  readonly stretches: Stretch<Ref>[];
}

export interface FastMarket<Ref> {
  readonly instrument: Instrument;
  readonly book: OrderBook;
  /** Whether event `index` of the tape, a trade, may meet one of our orders; any other changes nothing here. */
  mindsTrade(tape: MarketTape, index: number): boolean;
  /** Applies event `index` of the tape. */
  event(tape: MarketTape, index: number): void;
  /** Our order reaches the book: it takes what it crosses and joins the queue with the rest. */
  enter(order: FastOrder<Ref>): void;
  /** Our order leaves; nothing happens when it has already left. */
  withdraw(order: FastOrder<Ref>): void;
  /** Our orders in the book, of both sides. */
  readonly orders: readonly FastOrder<Ref>[];
  /**
   * The book as it is shown: what the frames state, less what we took, and our own orders.
   * @param last an earlier picture, which is given back when nothing has changed since
   */
  view(last?: Float64Array): Float64Array;
}

const opposite = (side: Side): Side => (side === 'buy' ? 'sell' : 'buy');
const sideName = (side: Side): 'bids' | 'asks' => (side === 'buy' ? 'bids' : 'asks');
/** Whether `left` is a better price than `right` for somebody who trades against `side`. */
const better = (side: Side, left: number, right: number): boolean =>
  side === 'buy' ? left > right : left < right;

export const createFastMarket = <Ref>(
  instrument: Instrument,
  model: FillModel,
  onFill: OnFastFill<Ref>,
): FastMarket<Ref> => {
  const book = initialOrderBook();
  const lot = lotSize(instrument);
  const tick = tickSize(instrument);
  const orders: FastOrder<Ref>[] = [];
  const queues: Queue<Ref>[] = [];
  /** Displayed quantity that we have taken, by price, while the frames keep the level. */
  const taken = { buy: new Map<number, Quantity>(), sell: new Map<number, Quantity>() };
  /** What trades ate of a level since it was last stated, where our orders stood. */
  const traded = { buy: new Map<number, Quantity>(), sell: new Map<number, Quantity>() };
  const picture = createPictures();
  /** Nothing of ours was ever here, so that only the book has to be kept. */
  let untouched = true;

  const queueAt = (side: Side, ticks: number): Queue<Ref> | undefined => {
    for (const queue of queues) if (queue.ticks === ticks && queue.side === side) return queue;
    return undefined;
  };
  const statedAt = (side: Side, ticks: number): Quantity => BigInt(lotsAt(book, sideName(side), ticks)) * lot;
  const nobodysIn = (queue: Queue<Ref>): Quantity => {
    let sum = 0n;
    for (const { order, quantity } of queue.stretches) if (order === null) sum += quantity;
    return sum;
  };
  /** Nobody's quantity at a price, given what is stated there. */
  const presentAt = (side: Side, ticks: number, stated: Quantity): Quantity => {
    const queue = queueAt(side, ticks);
    return queue === undefined ? stated - (taken[side].get(ticks) ?? 0n) : nobodysIn(queue);
  };
  const setTaken = (side: Side, ticks: number, quantity: Quantity): void => {
    if (quantity > 0n) taken[side].set(ticks, quantity);
    else taken[side].delete(ticks);
  };
  const takeTraded = (side: Side, ticks: number): Quantity => {
    const quantity = traded[side].get(ticks) ?? 0n;
    traded[side].delete(ticks);
    return quantity;
  };
  const joinQueue = (queue: Queue<Ref>, quantity: Quantity): void => {
    const newest = queue.stretches.at(-1);
    if (newest !== undefined && newest.order === null) newest.quantity += quantity;
    else queue.stretches.push({ order: null, quantity });
  };
  const reduce = (queue: Queue<Ref>, stretch: Stretch<Ref>, by: Quantity): void => {
    stretch.quantity -= by;
    if (stretch.quantity === 0n) queue.stretches.splice(queue.stretches.indexOf(stretch), 1);
  };
  /** A queue without any of ours and of one piece is an ordinary level again. */
  const settleQueue = (queue: Queue<Ref>, stated: Quantity = statedAt(queue.side, queue.ticks)): void => {
    if (queue.stretches.length > 1 || queue.stretches.some(({ order }) => order !== null)) return;
    queues.splice(queues.indexOf(queue), 1);
    const present = nobodysIn(queue);
    setTaken(queue.side, queue.ticks, stated > present ? stated - present : 0n);
  };
  const forget = (order: FastOrder<Ref>): void => {
    const index = orders.indexOf(order);
    if (index !== -1) orders.splice(index, 1);
  };
  /** One of ours trades as a maker, wherever it stands in its queue. @returns the quantity */
  const hit = (order: FastOrder<Ref>, quantity: Quantity): Quantity => {
    const queue = queueAt(order.side, order.ticks);
    if (queue === undefined) return 0n;
    const stretch = queue.stretches.find(each => each.order === order);
    if (stretch === undefined) return 0n;
    const matched = min(stretch.quantity, quantity);
    reduce(queue, stretch, matched);
    order.remaining -= matched;
    if (order.remaining === 0n) {
      forget(order);
      settleQueue(queue);
    }
    onFill(order, order.price, matched, 'maker');
    return matched;
  };
  /** Our orders of a side in the order in which they would trade. */
  const inLine = (side: Side): FastOrder<Ref>[] => {
    const levels = queues.filter(queue => queue.side === side);
    levels.sort((left, right) => (better(side, left.ticks, right.ticks) ? -1 : 1));
    return levels.flatMap(queue => queue.stretches.flatMap(({ order }) => (order === null ? [] : [order])));
  };

  const lower = (side: Side, ticks: number, before: Quantity, total: Quantity): void => {
    const queue = queueAt(side, ticks);
    const present = presentAt(side, ticks, before);
    const kept = min(present - min(present, before - total), total);
    if (queue === undefined) {
      traded[side].delete(ticks);
      setTaken(side, ticks, total - kept);
      return;
    }
    const nobodys = queue.stretches.filter(({ order }) => order === null);
    const explained = min(present - kept, takeTraded(side, ticks));
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
    settleQueue(queue, total);
  };

  /** A level grows: what appears across one of ours trades with it, the rest joins the queue. */
  const raise = (
    side: Side,
    ticks: number,
    before: Quantity,
    total: Quantity,
    hidden: ReadonlySet<FastOrder<Ref>> | null,
  ): void => {
    takeTraded(side, ticks);
    const other = opposite(side);
    let left = total - before;
    const front = bestOf(other);
    const meets = front !== null && (side === 'buy' ? front <= ticks : front >= ticks);
    for (const order of meets ? inLine(other) : NOBODY) {
      const reaches = side === 'buy' ? order.ticks <= ticks : order.ticks >= ticks;
      if (!reaches || (model === 'through' && order.ticks === ticks)) break;
      if (left === 0n) {
        // It is spent, and more of ours stands in the way: nothing joins.
        if (queueAt(side, ticks) === undefined) setTaken(side, ticks, total - presentAt(side, ticks, before));
        return;
      }
      left -= hit(order, left);
    }
    const queue = queueAt(side, ticks);
    const present = presentAt(side, ticks, before);
    left = min(left, total - min(total, present));
    if (queue === undefined) {
      setTaken(side, ticks, total - present - left);
      return;
    }
    if (left === 0n) return;
    const wasHidden =
      hidden !== null && queue.stretches.some(({ order }) => order !== null && hidden.has(order));
    if (wasHidden && model === 'queue') queue.stretches.unshift({ order: null, quantity: left });
    else joinQueue(queue, left);
  };

  const onTrade = (side: Side, ticks: number, lots: number): void => {
    const front = bestOf(side);
    if (front === null || better(side, ticks, front)) return;
    let left = BigInt(lots) * lot;
    for (const order of inLine(side)) {
      if (left === 0n || !better(side, order.ticks, ticks)) break;
      left -= hit(order, model === 'touch' ? order.remaining : left);
      if (left < 0n) left = 0n;
    }
    const queue = queueAt(side, ticks);
    if (queue === undefined || left === 0n || model === 'through') return;
    if (model === 'touch') {
      for (const order of inLine(side)) if (order.ticks === ticks) hit(order, order.remaining);
      return;
    }
    let eaten = 0n;
    while (left > 0n && queue.stretches.some(({ order }) => order !== null)) {
      const oldest = queue.stretches[0]!;
      if (oldest.order === null) {
        const part = min(left, oldest.quantity);
        reduce(queue, oldest, part);
        eaten += part;
        left -= part;
      } else left -= hit(oldest.order, left);
    }
    if (eaten === 0n) return;
    if (queues.includes(queue)) joinQueue(queue, eaten);
    else {
      const present = presentAt(side, ticks, statedAt(side, ticks));
      setTaken(side, ticks, statedAt(side, ticks) - present - eaten);
    }
    traded[side].set(ticks, (traded[side].get(ticks) ?? 0n) + eaten);
  };

  /** Our orders beyond the worst level in sight of a full window: what comes into sight there is ahead of them. */
  const hiddenOrders = (): ReadonlySet<FastOrder<Ref>> | null => {
    let hidden: Set<FastOrder<Ref>> | null = null;
    for (const order of orders) {
      const levels = order.side === 'buy' ? book.bids : book.asks;
      if (lotsAt(book, sideName(order.side), order.ticks) > 0) continue;
      if (levels.count > 0) {
        if (levels.count < WINDOW_LEVELS) continue;
        const worst = ticksAt(book, sideName(order.side), levels.count - 1);
        if (!better(order.side, worst, order.ticks)) continue;
      }
      hidden ??= new Set();
      hidden.add(order);
    }
    return hidden;
  };

  /** Prices where a frame may concern us: those of the side under way. */
  const watched: number[] = [];
  let lowest = 0;
  let highest = 0;
  const watch = (ticks: number): void => {
    if (watched.length === 0 || ticks < lowest) lowest = ticks;
    if (watched.length === 0 || ticks > highest) highest = ticks;
    watched.push(ticks);
  };
  const watchAll = (side: Side): void => {
    watched.length = 0;
    for (const queue of queues) if (queue.side === side) watch(queue.ticks);
    if (taken[side].size > 0) for (const ticks of taken[side].keys()) watch(ticks);
    if (traded[side].size > 0) for (const ticks of traded[side].keys()) watch(ticks);
  };

  /** What a book frame does where we have, or had, something; the book itself still states what was before. */
  const aroundUs = (tape: MarketTape, index: number, whole: boolean): (() => void)[] | null => {
    let raised: (() => void)[] | null = null;
    let hidden: ReadonlySet<FastOrder<Ref>> | null | undefined;
    const { numbers } = tape;
    const split = tape.splits[index] ?? 0;
    for (const side of SIDES) {
      const begin = side === 'buy' ? (tape.offsets[index] ?? 0) : split;
      const end = side === 'buy' ? split : (tape.offsets[index + 1] ?? 0);
      watchAll(side);
      const across = bestOf(opposite(side));
      // Whatever lies outside of this neither is watched nor crosses one of ours.
      let least = watched.length === 0 ? Number.POSITIVE_INFINITY : lowest;
      let most = watched.length === 0 ? 0 : highest;
      if (across !== null && side === 'buy') {
        least = Math.min(least, across);
        most = Number.POSITIVE_INFINITY;
      } else if (across !== null) {
        least = 0;
        most = Math.max(most, across);
      }
      if (least > most) continue;
      if (whole) {
        const named = new Set<number>();
        for (let at = begin; at < end; at += 2) named.add(numbers[at] ?? 0);
        for (const ticks of new Set(watched))
          if (!named.has(ticks)) lower(side, ticks, statedAt(side, ticks), 0n);
      }
      for (let at = begin; at < end; at += 2) {
        const ticks = numbers[at] as number;
        if (ticks < least || ticks > most) continue;
        const crosses = across !== null && (side === 'buy' ? ticks >= across : ticks <= across);
        if (!crosses && !watched.includes(ticks)) continue;
        const lots = numbers[at + 1] as number;
        const total = lots === GONE ? 0n : BigInt(lots) * lot;
        const before = statedAt(side, ticks);
        if (total > before) {
          hidden ??= hiddenOrders();
          const ofThem = hidden;
          raised ??= [];
          raised.push(() => raise(side, ticks, before, total, ofThem));
        } else lower(side, ticks, before, total);
      }
    }
    return raised;
  };
  /** The price of our best order of a side, or null. */
  const bestOf = (side: Side): number | null => {
    let best: number | null = null;
    for (const order of orders)
      if (order.side === side && (best === null || better(side, order.ticks, best))) best = order.ticks;
    return best;
  };

  /** Takes what is displayed at the limit or better. */
  const take = (order: FastOrder<Ref>): void => {
    const side = opposite(order.side);
    const levels = side === 'buy' ? book.bids : book.asks;
    for (let depth = 0; depth < levels.count && order.remaining > 0n; depth++) {
      const ticks = ticksAt(book, sideName(side), depth);
      if (order.side === 'buy' ? ticks > order.ticks : ticks < order.ticks) return;
      const queue = queueAt(side, ticks);
      if (queue === undefined) {
        const present = presentAt(side, ticks, statedAt(side, ticks));
        const matched = min(present, order.remaining);
        if (matched <= 0n) continue;
        setTaken(side, ticks, (taken[side].get(ticks) ?? 0n) + matched);
        order.remaining -= matched;
        onFill(order, BigInt(ticks) * tick, matched, 'taker');
        continue;
      }
      // Our own orders there are passed over: the gate lets nothing through that would meet them.
      for (const stretch of queue.stretches.filter(each => each.order === null)) {
        const matched = min(stretch.quantity, order.remaining);
        if (matched === 0n) break;
        reduce(queue, stretch, matched);
        order.remaining -= matched;
        onFill(order, BigInt(ticks) * tick, matched, 'taker');
      }
      settleQueue(queue);
    }
  };

  return {
    instrument,
    book,
    orders,
    mindsTrade: (tape, index) => {
      if (orders.length === 0) return false;
      const side: Side = tape.kinds[index] === TAPE_KINDS['buy-trade'] ? 'sell' : 'buy';
      const front = bestOf(side);
      return front !== null && !better(side, tape.numbers[tape.offsets[index] as number] as number, front);
    },
    event: (tape, index) => {
      const kind = tape.kinds[index];
      if (kind === TAPE_KINDS['buy-trade'] || kind === TAPE_KINDS['sell-trade']) {
        if (orders.length === 0) return;
        const at = tape.offsets[index] ?? 0;
        onTrade(
          kind === TAPE_KINDS['buy-trade'] ? 'sell' : 'buy',
          tape.numbers[at] ?? 0,
          tape.numbers[at + 1] ?? 0,
        );
        return;
      }
      const whole = kind === TAPE_KINDS.snapshot;
      if (untouched) {
        applyTapeBook(book, tape, index);
        return;
      }
      const raised = aroundUs(tape, index, whole);
      applyTapeBook(book, tape, index);
      if (raised !== null) for (const each of raised) each();
      untouched =
        queues.length === 0 && taken.buy.size + taken.sell.size + traded.buy.size + traded.sell.size === 0;
    },
    enter: order => {
      untouched = false;
      take(order);
      if (order.remaining === 0n) return;
      let queue = queueAt(order.side, order.ticks);
      if (queue === undefined) {
        const present = presentAt(order.side, order.ticks, statedAt(order.side, order.ticks));
        queue = {
          side: order.side,
          ticks: order.ticks,
          stretches: present > 0n ? [{ order: null, quantity: present }] : [],
        };
        queues.push(queue);
        taken[order.side].delete(order.ticks);
      }
      queue.stretches.push({ order, quantity: order.remaining });
      orders.push(order);
    },
    withdraw: order => {
      const queue = queueAt(order.side, order.ticks);
      if (queue === undefined || !orders.includes(order)) return;
      queue.stretches.splice(
        queue.stretches.findIndex(each => each.order === order),
        1,
      );
      forget(order);
      settleQueue(queue);
    },
    view: last => picture(book, untouched ? null : { queues, taken, lot }, last),
  };
};

const SIDES = ['buy', 'sell'] as const;
const NOBODY: readonly never[] = [];

interface Overlay<Ref> {
  readonly queues: readonly Queue<Ref>[];
  readonly taken: Readonly<Record<Side, ReadonlyMap<number, Quantity>>>;
  readonly lot: Quantity;
}

/** Where a level is shown otherwise than stated: so many lots, or so many fewer than stated when negative. */
type Shown = readonly [ticks: number, lots: number];

const shownOtherwise = <Ref>({ queues, taken, lot }: Overlay<Ref>, side: Side): readonly Shown[] => {
  const shown: Shown[] = [];
  for (const queue of queues) {
    if (queue.side !== side) continue;
    let sum = 0n;
    for (const { quantity } of queue.stretches) sum += quantity;
    shown.push([queue.ticks, Number(sum / lot)]);
  }
  for (const [ticks, gone] of taken[side]) shown.push([ticks, -Number(gone / lot)]);
  return shown.length < 2
    ? shown
    : shown.sort(([left], [right]) => (left === right ? 0 : better(side, left, right) ? -1 : 1));
};

/** Numbers taken from the runtime at a time: an array of its own for each picture would cost more than filling it. */
const SLAB = 32_768;
const PICTURE_MAX = 2 + 4 * WINDOW_LEVELS;

/** Makes pictures of a book in the layout of book-view.ts, with ours put in and what we took left out. */
const createPictures = () => {
  let slab = new Float64Array(SLAB);
  let used = 0;
  return <Ref>(book: OrderBook, overlay: Overlay<Ref> | null, last?: Float64Array): Float64Array => {
    if (used + PICTURE_MAX > SLAB) {
      slab = new Float64Array(SLAB);
      used = 0;
    }
    const begin = used;
    let to = begin + 2;
    for (const side of SIDES) {
      const levels = side === 'buy' ? book.bids : book.asks;
      const from = to;
      const shown = overlay === null ? NOBODY : shownOtherwise(overlay, side);
      if (shown.length === 0) {
        const most = Math.min(levels.count, WINDOW_LEVELS);
        copyLevels(levels, 0, most, slab, to);
        to += 2 * most;
      } else to = overlaid(book, side, shown, slab, to);
      slab[side === 'buy' ? begin : begin + 1] = (to - from) / 2;
    }
    if (last !== undefined && isSame(slab, begin, to, last)) return last;
    used = to;
    return slab.subarray(begin, to);
  };
};

const isSame = (slab: Float64Array, begin: number, end: number, last: Float64Array): boolean => {
  if (end - begin !== last.length) return false;
  for (let index = 0; index < last.length; index++) if (slab[begin + index] !== last[index]) return false;
  return true;
};

/** Writes the levels of a side with what is shown otherwise in its place. @returns the end of what was written */
const overlaid = (
  book: OrderBook,
  side: Side,
  shown: readonly Shown[],
  target: Float64Array,
  begin: number,
): number => {
  const which = sideName(side);
  const count = Math.min(book[which].count, WINDOW_LEVELS);
  const most = begin + 2 * WINDOW_LEVELS;
  let to = begin;
  let depth = 0;
  /** Copies what is stated down to a depth, as far as there is room. */
  const copyTo = (until: number): void => {
    const end = Math.min(until, depth + (most - to) / 2);
    copyLevels(book[which], depth, end, target, to);
    to += 2 * (end - depth);
    depth = until;
  };
  for (const [ticks, lots] of shown) {
    const place = Math.min(depthOf(book, which, ticks), count);
    if (place > depth) copyTo(place);
    const isStated = place === depth && place < count && ticksAt(book, which, place) === ticks;
    const stated = isStated ? lotsAt(book, which, ticks) : 0;
    if (isStated) depth += 1;
    const left = lots > 0 ? lots : stated + lots;
    if (left <= 0 || to === most) continue;
    target[to++] = ticks;
    target[to++] = left;
  }
  copyTo(count);
  return to;
};
