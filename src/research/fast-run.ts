/**
 * A backtest over a tape at full speed: the market in flat arrays (fast-market.ts), the bot's brains at the desk
 * (desk.ts), and our account by the venue's arithmetic between them. No thread, no socket, no text.
 */
import type { BookView } from '../domain/book-view.js';
import { type Instrument, lotSize, tickSize, toTicks } from '../domain/instrument.js';
import type { Amount, Price } from '../domain/money.js';
import type { ClientOrderId } from '../domain/order.js';
import { bestAskTicks, bestBidTicks, isTwoSided } from '../domain/order-book.js';
import type { PortfolioMember } from '../domain/strategy-portfolio.js';
import { ratesOf } from '../exchange/fees.js';
import type { Settings } from '../runtime/settings.js';
import { Desk, type DeskVenue } from './desk.js';
import { FastMarket, type FastOrder, type FillModel } from './fast-market.js';
import { DEFAULT_RUN_LATENCY, type RunLatency } from './latency.js';
import type { Picture } from './pictures.js';
import { createPriceSampler, type ResultFill, type RunResult, runStrategyOf } from './run-result.js';
import { instrumentOf, type MarketTape, TAPE_KINDS } from './tape.js';
import { createVenueAccount, type VenueOrder } from './venue-account.js';

/** What every kind of run is told. */
export interface RunOptions {
  /** The strategies, in the order of the bot's; see `soleMember` (strategy-portfolio.ts) for one. */
  readonly members: readonly PortfolioMember[];
  readonly settings: Settings;
  readonly opening: ReadonlyMap<string, Amount>;
  readonly fillModel: FillModel;
  /** 1 (the dearest) to 8. */
  readonly feeLevel: number;
  /** Lira for one unit of each quote asset. */
  readonly tryRates: ReadonlyMap<string, Amount>;
}

export interface FastRunOptions extends RunOptions {
  readonly tape: MarketTape;
  readonly latency?: RunLatency;
  /** From the market's first moment to the first order that may be sent, ms. */
  readonly watchFirstMs?: number;
  /** Least time between two prices kept for the report, ms. */
  readonly sampleMs?: number;
}

/** After the last frame the market stands still for this long, so that the last orders come to rest. */
const AFTER_TAPE_MS = 2_000;
const DEFAULT_WATCH_MS = 1_000;
const DEFAULT_SAMPLE_MS = 1_000;
/** Least time between two pictures of a book that only our own orders have changed, as at the embedded exchange. */
const BOOK_INTERVAL_MS = 100;
/** Pace of the whole book on the socket. */
const FULL_BOOK_MS = 750;
const LOOKS_KEPT = 5;
const INSTANCE = 'backtest';

/** What is on its way from the venue to strategy and execution: the events `from` to `to` of the tape. */
interface Delivery {
  readonly dueMs: number;
  from: number;
  to: number;
  /** The books that changed, as they were shown. */
  books: readonly ShownBook[];
}

/** A book as it was shown. */
interface ShownBook {
  readonly market: TapeMarket;
  readonly picture: Picture;
  readonly trusted: boolean;
}

/** A book as strategy and execution have it, who seldom look further than at its version and its age. */
class PicturedBook implements BookView {
  readonly symbol: string;
  readonly version: number;
  readonly trusted: boolean;
  readonly receivedMonoMs: number;
  readonly #picture: Picture;

  constructor({ market, picture, trusted }: ShownBook, version: number, receivedMonoMs: number) {
    this.symbol = market.instrument.symbol;
    this.version = version;
    this.trusted = trusted;
    this.receivedMonoMs = receivedMonoMs;
    this.#picture = picture;
  }

  get levels(): Float64Array {
    return this.#picture.levels;
  }
}

interface TapeMarket {
  readonly instrument: Instrument;
  readonly market: FastMarket<VenueOrder>;
  readonly symbolIndex: number;
  version: number;
  /** A book frame of the moment under way concerns it. */
  changed: boolean;
  /** When the book was last shown; whether it has changed since; whether it is to be shown again soon. */
  shownMs: number;
  dirty: boolean;
  showDue: boolean;
  shown: Picture | undefined;
  trusted: boolean;
  /** The newest that strategy and execution have. */
  delivered: Picture | undefined;
  /** When the newest frames have the exchange look again whether there is something to show: a ring, and how many. */
  readonly looks: Float64Array;
  looked: number;
}

const NO_BOOKS: readonly ShownBook[] = [];

/** Runs strategies over a tape. @throws Error when the only one cannot be created */
export const runFast = (options: FastRunOptions): RunResult => {
  const { tape, fillModel, feeLevel } = options;
  const latency = options.latency ?? DEFAULT_RUN_LATENCY;
  const instruments = tape.listings.map(instrumentOf);
  const account = createVenueAccount(options.opening, instruments, feeLevel);
  const fills: ResultFill[] = [];
  const startMs = tape.atMs[0] ?? 0;
  const inBook = new Map<VenueOrder, FastOrder<VenueOrder>>();
  const samplers = instruments.map(each => createPriceSampler(each, options.sampleMs ?? DEFAULT_SAMPLE_MS));

  const markets = instruments.map(
    (instrument, symbolIndex): TapeMarket => ({
      instrument,
      symbolIndex,
      version: 0,
      changed: false,
      shownMs: Number.NEGATIVE_INFINITY,
      dirty: false,
      showDue: false,
      looks: new Float64Array(LOOKS_KEPT),
      looked: 0,
      shown: undefined,
      trusted: false,
      delivered: undefined,
      market: new FastMarket<VenueOrder>(instrument, fillModel, (order, price, quantity, liquidity) => {
        const fill = account.fill(order.ref, price, quantity, liquidity, desk.now.wallMs);
        fills.push({ fill, liquidity });
        if (order.remaining === 0n) inBook.delete(order.ref);
        changedByUs(order.ref.terms.symbol);
        atVenue(latency.fillRowMs, () => desk.later(latency.fromVenueMs, () => desk.book(fill)));
      }),
    }),
  );
  // A book that stays empty is nothing new.
  for (const market of markets) market.shown = market.market.show();
  const bySymbol = new Map(markets.map(each => [each.instrument.symbol, each]));

  /** What our orders change of a book is shown soon (exchange/book-feed.ts), unless a frame comes first. */
  const changedByUs = (symbol: string): void => {
    const market = bySymbol.get(symbol);
    if (market === undefined) return;
    market.dirty = true;
    for (let look = Math.max(0, market.looked - LOOKS_KEPT); look < market.looked; look++) {
      const dueMs = market.looks[look % LOOKS_KEPT] ?? 0;
      if (dueMs >= desk.nowMs) desk.later(dueMs - desk.nowMs, () => showIfChanged(market));
    }
    market.looked = 0;
    const slowMs = startMs - desk.originAtMs + latency.fullBookMs;
    const slowDueMs = slowMs + Math.ceil((desk.nowMs - slowMs) / FULL_BOOK_MS) * FULL_BOOK_MS;
    desk.later(slowDueMs - desk.nowMs, () => showIfChanged(market));
    if (market.showDue) return;
    market.showDue = true;
    atVenue(Math.max(0, market.shownMs + BOOK_INTERVAL_MS - desk.nowMs), () => showIfChanged(market));
  };
  const showIfChanged = (market: TapeMarket): void => {
    market.showDue = false;
    if (market.dirty) show([market], 0, 0);
  };
  /** Sends what the frames of a moment say on its way to strategy and execution. */
  const show = (shown: readonly TapeMarket[], from: number, to: number): void => {
    const dueMs = desk.nowMs + latency.marketMs;
    let books: readonly ShownBook[] = NO_BOOKS;
    for (const market of shown) {
      const { book } = market.market;
      market.shownMs = desk.nowMs;
      market.dirty = false;
      const picture = market.market.show(market.shown);
      const trusted = book.state === 'synced' && isTwoSided(book);
      // A picture like the last one is not sent.
      if (trusted === market.trusted && picture === market.shown) continue;
      market.shown = picture;
      market.trusted = trusted;
      const one = { market, picture, trusted };
      books = books.length === 0 ? [one] : [...books, one];
    }
    if (books.length === 0 && !(to > from && desk.wantsTrades)) return;
    // What arrives in one moment is one picture.
    const last = onTheWay.length > delivered ? onTheWay.at(-1) : undefined;
    if (last === undefined || last.dueMs !== dueMs || (to > 0 && last.to > 0)) {
      onTheWay.push({ dueMs, from, to, books });
      return;
    }
    const isReplaced = ({ market }: ShownBook): boolean => books.some(newer => newer.market === market);
    last.books = [...last.books.filter(earlier => !isReplaced(earlier)), ...books];
    if (to > 0) {
      last.from = from;
      last.to = to;
    }
  };
  /** Has something done at the venue, whose times lie on a grid of 1/64 ms. */
  const atVenue = (delayMs: number, run: () => void): void =>
    desk.later(Math.ceil((desk.nowMs + delayMs) * 64) / 64 - desk.nowMs, run);

  const enter = (order: VenueOrder): void => {
    if (order.status !== 'accepted') return;
    order.status = 'working';
    const placed: FastOrder<VenueOrder> = {
      side: order.terms.side,
      price: order.price,
      ticks: Number(toTicks(order.price, order.instrument)),
      remaining: order.remaining,
      ref: order,
    };
    inBook.set(order, placed);
    bySymbol.get(order.terms.symbol)?.market.enter(placed);
    changedByUs(order.terms.symbol);
  };
  const executeCancel = (order: VenueOrder): void => {
    if (order.status === 'canceled' || order.status === 'closed') return;
    const placed = inBook.get(order);
    if (placed !== undefined) {
      bySymbol.get(order.terms.symbol)?.market.withdraw(placed);
      inBook.delete(order);
      changedByUs(order.terms.symbol);
    }
    account.cancel(order, desk.now.wallMs);
    desk.later(latency.fromVenueMs, () => desk.prove(order.clientOrderId));
  };
  const venue: DeskVenue = {
    submit: write => {
      const { order, outcome } = account.accept(write.clientOrderId, write.terms, desk.now.wallMs);
      if (order !== null) atVenue(latency.enterMs, () => enter(order));
      return outcome;
    },
    cancel: write => {
      const order = account.byVenueId(write.venueOrderId);
      const refused = (reason: string) => ({ type: 'rejected', reason, code: reason }) as const;
      if (order === undefined) return refused('NO_ORDER_MATCHES_YOUR_REQUEST');
      if (order.status === 'closed') return refused('ORDER_COULD_NOT_BE_CANCELED');
      atVenue(latency.cancelMs, () => executeCancel(order));
      return { type: 'queued' };
    },
    report: (clientOrderId: ClientOrderId) => account.report(clientOrderId),
    locked: account.locked,
    mark: symbol => {
      const market = bySymbol.get(symbol);
      if (market === undefined || !isTwoSided(market.market.book)) return undefined;
      return middleOf(market);
    },
  };
  const middleOf = ({ market, instrument }: TapeMarket): Price =>
    (BigInt(bestBidTicks(market.book) + bestAskTicks(market.book)) * tickSize(instrument)) / 2n;

  const desk = new Desk({
    members: options.members,
    settings: options.settings,
    instruments,
    opening: options.opening,
    feesOf: quote => ratesOf(feeLevel, quote),
    latency,
    tryRates: options.tryRates,
    firstAtMs: startMs,
    closesCandles: true,
    watchFirstMs: options.watchFirstMs ?? DEFAULT_WATCH_MS,
    instance: INSTANCE,
    venue,
  });

  const deliver = ({ from, to, books }: Delivery): void => {
    if (desk.wantsTrades)
      for (let event = from; event < to; event++) {
        const kind = tape.kinds[event] ?? 0;
        if (kind !== TAPE_KINDS['buy-trade'] && kind !== TAPE_KINDS['sell-trade']) continue;
        const at = tape.offsets[event] ?? 0;
        const instrument = instruments[tape.symbols[event] ?? 0];
        if (instrument === undefined) continue;
        const id = desk.nextEventId();
        const number = tape.tradeIds[event] ?? Number.NaN;
        desk.marketForStrategy({
          type: 'public-trade',
          id,
          cause: id,
          symbol: instrument.symbol,
          tradeId: Number.isNaN(number) ? `tape-${event}` : String(number),
          price: BigInt(tape.numbers[at] ?? 0) * tickSize(instrument),
          quantity: BigInt(tape.numbers[at + 1] ?? 0) * lotSize(instrument),
          side: kind === TAPE_KINDS['buy-trade'] ? 'buy' : 'sell',
          tradedAtMs: tape.atMs[event] ?? 0,
        });
      }
    for (const shown of books) {
      const { market, picture } = shown;
      const id = desk.nextEventId();
      const book = new PicturedBook(shown, ++market.version, desk.now.monoMs);
      desk.market({ type: 'book-updated', id, cause: id, book });
      if (market.delivered !== undefined && market.delivered !== picture)
        market.market.giveBack(market.delivered);
      market.delivered = picture;
    }
  };

  const onTheWay: Delivery[] = [];
  let delivered = 0;
  /** When the next thing happens at the desk or arrives there. */
  const nextMs = (): number => Math.min(onTheWay[delivered]?.dueMs ?? Number.POSITIVE_INFINITY, desk.dueMs);
  const changed: TapeMarket[] = [];
  /** Lets everything happen that comes before a time: what is due at the desk, and what arrives there. */
  const until = (toMs: number): void => {
    for (;;) {
      const next = onTheWay[delivered];
      const dueMs = desk.dueMs;
      if (next === undefined || dueMs <= next.dueMs) {
        if (dueMs > toMs) break;
        desk.advance(dueMs);
        continue;
      }
      if (next.dueMs > toMs) break;
      desk.moveTo(next.dueMs);
      deliver(next);
      delivered += 1;
    }
    if (delivered > 256) {
      onTheWay.splice(0, delivered);
      delivered = 0;
    }
    desk.moveTo(toMs);
  };

  /** Nothing is due at the desk, and nothing arrives there, before this. */
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  /** Most trades concern nobody: where nothing happens before them either, not even the clock has to be set. */
  const passOver = (from: number): number => {
    if (desk.wantsTrades) return from;
    const { atMs, kinds, symbols, length } = tape;
    const untilMs = quietUntilMs + desk.originAtMs;
    let event = from;
    while (
      event < length &&
      (kinds[event] as number) > TAPE_KINDS.difference &&
      (atMs[event] as number) < untilMs &&
      markets[symbols[event] as number]?.market.mindsTrade(tape, event) !== true
    )
      event += 1;
    return event;
  };
  /** Has everything of one moment happen in the market. @returns the first event of the next one */
  const happen = (from: number): number => {
    const atMs = tape.atMs[from] ?? 0;
    let event = from;
    do {
      const market = markets[tape.symbols[event] ?? 0];
      if (market !== undefined) {
        market.market.event(tape, event);
        if ((tape.kinds[event] ?? 0) <= TAPE_KINDS.difference && !market.changed) {
          market.changed = true;
          changed.push(market);
        }
      }
      event += 1;
    } while (event < tape.length && tape.atMs[event] === atMs);
    return event;
  };
  const showChanged = (atMs: number, from: number, to: number): void => {
    for (const market of changed) {
      const { book } = market.market;
      market.changed = false;
      if (!market.showDue)
        market.looks[market.looked++ % LOOKS_KEPT] = Math.max(desk.nowMs, market.shownMs + BOOK_INTERVAL_MS);
      market.showDue = false;
      if (isTwoSided(book))
        samplers[market.symbolIndex]?.sample(atMs, (bestBidTicks(book) + bestAskTicks(book)) / 2);
    }
    show(changed, from, to);
    while (changed.length > 0) changed.pop();
  };
  // One call for each moment: a function that runs as long as the tape is compiled anew in every run.
  const moment = (from: number): number => {
    const atMs = tape.atMs[from] ?? 0;
    until(atMs - desk.originAtMs);
    const to = happen(from);
    if (changed.length > 0 || desk.wantsTrades) showChanged(atMs, from, to);
    quietUntilMs = nextMs();
    return passOver(to);
  };
  for (let event = 0; event < tape.length; ) event = moment(event);
  const endMs = tape.length === 0 ? startMs : (tape.atMs[tape.length - 1] ?? startMs);
  until(endMs - desk.originAtMs + AFTER_TAPE_MS);
  desk.stop();

  return {
    engine: 'fast',
    fillModel,
    strategies: options.members.map(runStrategyOf),
    instruments,
    feeLevel,
    fromMs: startMs,
    toMs: endMs,
    events: tape.length,
    opening: options.opening,
    tryRates: options.tryRates,
    records: desk.records,
    fills,
    prices: samplers.map(sampler => sampler.finish()),
    stops: desk.stops,
  };
};
