/** What strategies that act now and then share: patience with an order, and with refusals. */
import { bestAsk, bestBid } from '../domain/book-view.js';
import { type Instrument, roundPrice, roundQuantity, type Side } from '../domain/instrument.js';
import { basisPoints, min, notional, type Price, type Quantity, ratio } from '../domain/money.js';
import type { StrategyIntent, StrategyOrderEvent, StrategyView } from '../domain/strategy.js';
import { affordableBeside, meetsMinimum, quantityFor, roomFor } from './sizing.js';

const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 60_000;

/** Waits longer after each refusal in a row, so that a strategy that is refused does not ask for ever. */
export interface Backoff {
  mayAsk(view: StrategyView, symbol: string): boolean;
  heard(view: StrategyView, event: StrategyOrderEvent): void;
}

export const createBackoff = (): Backoff => {
  const waits = new Map<string, { notBeforeMonoMs: number; nextMs: number }>();
  return {
    mayAsk: (view, symbol) => view.now.monoMs >= (waits.get(symbol)?.notBeforeMonoMs ?? 0),
    heard: (view, event) => {
      const { symbol } = event.type === 'denied' ? event.order : event.order.terms;
      const status = event.type === 'denied' ? 'denied' : event.order.state.status;
      if (status === 'denied' || status === 'rejected') {
        const waitMs = waits.get(symbol)?.nextMs ?? RETRY_FIRST_MS;
        waits.set(symbol, {
          notBeforeMonoMs: view.now.monoMs + waitMs,
          nextMs: Math.min(2 * waitMs, RETRY_MOST_MS),
        });
      } else if (status === 'working' || status === 'filled') waits.delete(symbol);
    },
  };
};

/** Cancels for own orders that have rested for longer than `patienceMs`. */
export const cancelOverdue = (view: StrategyView, symbol: string, patienceMs: number): StrategyIntent[] =>
  view
    .openOrders(symbol)
    .filter(order => order.status === 'working' && view.now.monoMs - order.askedMonoMs >= patienceMs)
    .map(({ intentId }) => ({ type: 'cancel', intentId }));

const fromTouch = (
  view: StrategyView,
  symbol: string,
  touched: Side,
  side: Side,
  bps: number,
): Price | undefined => {
  const book = view.book(symbol);
  if (book === undefined) return undefined;
  const instrument = view.instrument(symbol);
  const touch = (touched === 'buy' ? bestBid : bestAsk)(book, instrument);
  return touch === undefined ? undefined : awayFrom(touch.price, side, bps, instrument);
};

/**
 * The price `bps` away from the touch of an order's own side: away from the market when positive, towards it and across
 * when negative. `undefined` without that side of a book, or where no positive price is left.
 */
export const besideTouch = (view: StrategyView, symbol: string, side: Side, bps: number): Price | undefined =>
  fromTouch(view, symbol, side, side, bps);

/** The price at which an order trades at once, paying at most `slipBps` more than the other side's touch. */
export const acrossTouch = (
  view: StrategyView,
  symbol: string,
  side: Side,
  slipBps: number,
): Price | undefined => fromTouch(view, symbol, side === 'buy' ? 'sell' : 'buy', side, -slipBps);

/** `bps` below `price` for a buy, above it for a sell, on the grid and rounded away from the market. */
export const awayFrom = (
  price: Price,
  side: Side,
  bps: number,
  instrument: Instrument,
): Price | undefined => {
  const offset = basisPoints(price, bps, 'half-up');
  const wanted =
    side === 'buy'
      ? roundPrice(price - offset, instrument, 'down')
      : roundPrice(price + offset, instrument, 'up');
  return wanted > 0n ? wanted : undefined;
};

export interface Wish {
  readonly symbol: string;
  readonly side: Side;
  readonly price: Price;
  /** Most base it may be. */
  readonly quantity: Quantity;
  readonly tag: string;
}

/**
 * The order for a wish as far as funds, limits and the venue's rules allow, or none: no room, not permitted now, too
 * small for the venue, or it would trade with an order of our own.
 */
export const orderFor = (view: StrategyView, wish: Wish): StrategyIntent[] => {
  const { symbol, side, price, tag } = wish;
  if (!view.maySubmit(symbol) || roomFor(view, symbol) <= 0 || crossesOwn(view, wish)) return [];
  const instrument = view.instrument(symbol);
  const payable = ratio(affordableBeside(view, symbol, side, price), price, 'down');
  const most = instrument.maxQuantity ?? wish.quantity;
  const quantity = roundQuantity(min(min(wish.quantity, payable), most), instrument, 'down');
  return meetsMinimum(price, quantity, instrument)
    ? [{ type: 'place', symbol, side, method: 'limit', price, quantity, tag }]
    : [];
};

/** As {@link orderFor}, for a value in quote instead of a quantity. */
export const orderWorth = (
  view: StrategyView,
  wish: Omit<Wish, 'quantity'> & { readonly value: bigint },
): StrategyIntent[] =>
  orderFor(view, { ...wish, quantity: quantityFor(wish.value, wish.price, view.instrument(wish.symbol)) });

/** Whether an order would trade with one of the bot's own on the other side, which the venue does not prevent. */
export const crossesOwn = (
  view: StrategyView,
  { symbol, side, price }: Pick<Wish, 'symbol' | 'side' | 'price'>,
): boolean =>
  [...view.openOrders(symbol), ...view.otherOrders(symbol)].some(
    order => order.side !== side && (side === 'buy' ? price >= order.price : price <= order.price),
  );

/** Whether what is held is worth an order; less is dust that the venue does not take. */
export const isHolding = (view: StrategyView, symbol: string, price: Price): boolean =>
  notional(price, view.position(symbol).quantity) >= view.instrument(symbol).minNotional;
