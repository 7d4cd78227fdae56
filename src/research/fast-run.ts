/**
 * A backtest over a tape at full speed: the market in flat arrays (fast-market.ts), the bot's brains at the desk
 * (desk.ts), and our account by the venue's arithmetic between them. No thread, no socket, no text.
 */
import type { BookView } from '../domain/book-view.js';
import { type Instrument, lotSize, tickSize, toTicks } from '../domain/instrument.js';
import type { MarketEvent } from '../domain/market-events.js';
import type { Amount, Price, Quantity } from '../domain/money.js';
import type { ClientOrderId } from '../domain/order.js';
import { bestAskTicks, bestBidTicks, isTwoSided } from '../domain/order-book.js';
import type { PortfolioMember } from '../domain/strategy-portfolio.js';
import type { CancelOutcome, OrderReport, SubmitOutcome, VenueWrite } from '../domain/venue-port.js';
import { ratesOf } from '../exchange/fees.js';
import type { Settings } from '../runtime/settings.js';
import { type ArrivedBook, Desk, type DeskVenue, eventIdOf } from './desk.js';
import { FastMarket, type FastOrder, type FillModel, type Liquidity } from './fast-market.js';
import { DEFAULT_RUN_LATENCY, type RunLatency } from './latency.js';
import type { Picture } from './pictures.js';
import {
  createPriceSampler,
  type PriceSampler,
  type ResultFill,
  type RunResult,
  runStrategyOf,
} from './run-result.js';
import { instrumentOf, type MarketTape, TAPE_KINDS } from './tape.js';
import { createVenueAccount, type VenueAccount, type VenueOrder } from './venue-account.js';

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
  /** Goes on until after this time (Unix ms), though the market has ended before; absent for its end. */
  readonly untilMs?: number;
  /** The result has no records: a sweep asks of thousands of runs what their fills brought. */
  readonly withoutRecords?: boolean;
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

/** The newest book of a market that strategy and execution have, or are to have as soon as they do something. */
class NewestBook implements ArrivedBook {
  #shown: ShownBook | null = null;
  #version = 0;
  #receivedMonoMs = 0;
  #eventNumber = 0;

  /** @returns the picture that nobody needs any more, if there is one */
  set(shown: ShownBook, receivedMonoMs: number, eventNumber: number): Picture | null {
    const before = this.#shown?.picture ?? null;
    this.#shown = shown;
    this.#version += 1;
    this.#receivedMonoMs = receivedMonoMs;
    this.#eventNumber = eventNumber;
    return before === shown.picture ? null : before;
  }

  event(): MarketEvent {
    if (this.#shown === null) throw new Error('no book has arrived');
    const id = eventIdOf(this.#eventNumber);
    const book = new PicturedBook(this.#shown, this.#version, this.#receivedMonoMs);
    return { type: 'book-updated', id, cause: id, book };
  }
}

interface TapeMarket {
  readonly instrument: Instrument;
  readonly market: FastMarket<VenueOrder>;
  readonly symbolIndex: number;
  /** A book frame of the moment under way concerns it. */
  changed: boolean;
  /** When the book was last shown; whether it has changed since; whether it is to be shown again soon. */
  shownMs: number;
  dirty: boolean;
  showDue: boolean;
  shown: Picture | undefined;
  trusted: boolean;
  readonly newest: NewestBook;
  /** When the newest frames have the exchange look again whether there is something to show: a ring, and how many. */
  readonly looks: Float64Array;
  looked: number;
}

const NO_BOOKS: readonly ShownBook[] = [];

const isShownIn = (books: readonly ShownBook[], market: TapeMarket): boolean => {
  for (const shown of books) if (shown.market === market) return true;
  return false;
};

/** Runs strategies over a tape. @throws StrategyNotMade when the only one cannot be */
export const runFast = (options: FastRunOptions): RunResult => new FastRun(options).run();

/** One run; a class for the reason that the desk is one. To the desk it is the venue. */
class FastRun implements DeskVenue {
  readonly #options: FastRunOptions;
  readonly #tape: MarketTape;
  readonly #latency: RunLatency;
  readonly #instruments: readonly Instrument[];
  readonly #account: VenueAccount;
  readonly #startMs: number;
  readonly #samplers: readonly PriceSampler[];
  readonly #markets: readonly TapeMarket[];
  readonly #bySymbol: ReadonlyMap<string, TapeMarket>;
  readonly #desk: Desk;
  readonly #fills: ResultFill[] = [];
  readonly #inBook = new Map<VenueOrder, FastOrder<VenueOrder>>();
  readonly #onTheWay: Delivery[] = [];
  #delivered = 0;
  /** Markets with a book frame of the moment under way. */
  readonly #changed: TapeMarket[] = [];
  /** Nothing is due at the desk, and nothing arrives there, before this. */
  #quietUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: FastRunOptions) {
    const { tape, feeLevel } = options;
    const instruments = tape.listings.map(instrumentOf);
    this.#options = options;
    this.#tape = tape;
    this.#latency = options.latency ?? DEFAULT_RUN_LATENCY;
    this.#instruments = instruments;
    this.#account = createVenueAccount(options.opening, instruments, feeLevel);
    this.#startMs = tape.atMs[0] ?? 0;
    this.#samplers = instruments.map(each => createPriceSampler(each, options.sampleMs ?? DEFAULT_SAMPLE_MS));
    this.#markets = instruments.map((instrument, symbolIndex) => this.#marketOf(instrument, symbolIndex));
    // A book that stays empty is nothing new.
    for (const market of this.#markets) market.shown = market.market.show();
    this.#bySymbol = new Map(this.#markets.map(each => [each.instrument.symbol, each]));
    this.#desk = new Desk({
      members: options.members,
      settings: options.settings,
      instruments,
      opening: options.opening,
      feesOf: quote => ratesOf(feeLevel, quote),
      latency: this.#latency,
      tryRates: options.tryRates,
      firstAtMs: this.#startMs,
      closesCandles: true,
      watchFirstMs: options.watchFirstMs ?? DEFAULT_WATCH_MS,
      withoutRecords: options.withoutRecords === true,
      instance: INSTANCE,
      venue: this,
    });
  }

  run(): RunResult {
    const { fillModel, feeLevel, members, opening, tryRates } = this.#options;
    const { length, atMs } = this.#tape;
    // One call for each moment: a function that runs as long as the tape is compiled anew in every run.
    for (let event = 0; event < length; ) event = this.#moment(event);
    const endMs = length === 0 ? this.#startMs : (atMs[length - 1] ?? this.#startMs);
    const untilMs = Math.max(endMs + AFTER_TAPE_MS, (this.#options.untilMs ?? endMs) + 1);
    this.#until(untilMs - this.#desk.originAtMs);
    this.#desk.stop();
    return {
      engine: 'fast',
      fillModel,
      strategies: members.map(runStrategyOf),
      instruments: this.#instruments,
      feeLevel,
      fromMs: this.#startMs,
      toMs: endMs,
      events: length,
      opening,
      tryRates,
      records: this.#desk.records,
      fills: this.#fills,
      prices: this.#samplers.map(sampler => sampler.finish()),
      stops: this.#desk.stops,
      neverWarm: this.#desk.neverWarm,
    };
  }

  submit(write: Extract<VenueWrite, { readonly type: 'submit' }>): SubmitOutcome {
    const { order, outcome } = this.#account.accept(write.clientOrderId, write.terms, this.#desk.now.wallMs);
    if (order !== null) this.#atVenue(this.#latency.enterMs, () => this.#enter(order));
    return outcome;
  }

  cancel(write: Extract<VenueWrite, { readonly type: 'cancel' }>): CancelOutcome {
    const order = this.#account.byVenueId(write.venueOrderId);
    if (order === undefined) return refused('NO_ORDER_MATCHES_YOUR_REQUEST');
    if (order.status === 'closed') return refused('ORDER_COULD_NOT_BE_CANCELED');
    this.#atVenue(this.#latency.cancelMs, () => this.#executeCancel(order));
    return { type: 'queued' };
  }

  report(clientOrderId: ClientOrderId): OrderReport | null {
    return this.#account.report(clientOrderId);
  }

  locked(asset: string): Amount {
    return this.#account.locked(asset);
  }

  /** The middle; undefined while a side is empty. */
  mark(symbol: string): Price | undefined {
    const each = this.#bySymbol.get(symbol);
    if (each === undefined || !isTwoSided(each.market.book)) return undefined;
    const { book } = each.market;
    return (BigInt(bestBidTicks(book) + bestAskTicks(book)) * tickSize(each.instrument)) / 2n;
  }

  #marketOf(instrument: Instrument, symbolIndex: number): TapeMarket {
    return {
      instrument,
      symbolIndex,
      changed: false,
      shownMs: Number.NEGATIVE_INFINITY,
      dirty: false,
      showDue: false,
      looks: new Float64Array(LOOKS_KEPT),
      looked: 0,
      shown: undefined,
      trusted: false,
      newest: new NewestBook(),
      market: new FastMarket<VenueOrder>(
        instrument,
        this.#options.fillModel,
        (order, price, quantity, liquidity) => this.#onFill(order, price, quantity, liquidity),
      ),
    };
  }
  #onFill(order: FastOrder<VenueOrder>, price: Price, quantity: Quantity, liquidity: Liquidity): void {
    const fill = this.#account.fill(order.ref, price, quantity, liquidity, this.#desk.now.wallMs);
    this.#fills.push({ fill, liquidity });
    if (order.remaining === 0n) this.#inBook.delete(order.ref);
    this.#changedByUs(order.ref.terms.symbol);
    this.#atVenue(this.#latency.fillRowMs, () =>
      this.#desk.later(this.#latency.fromVenueMs, () => this.#desk.book(fill)),
    );
  }

  /** What our orders change of a book is shown soon (exchange/book-feed.ts), unless a frame comes first. */
  #changedByUs(symbol: string): void {
    const market = this.#bySymbol.get(symbol);
    if (market === undefined) return;
    market.dirty = true;
    for (let look = Math.max(0, market.looked - LOOKS_KEPT); look < market.looked; look++) {
      const dueMs = market.looks[look % LOOKS_KEPT] ?? 0;
      if (dueMs >= this.#desk.nowMs)
        this.#desk.later(dueMs - this.#desk.nowMs, () => this.#showIfChanged(market));
    }
    market.looked = 0;
    const slowMs = this.#startMs - this.#desk.originAtMs + this.#latency.fullBookMs;
    const slowDueMs = slowMs + Math.ceil((this.#desk.nowMs - slowMs) / FULL_BOOK_MS) * FULL_BOOK_MS;
    this.#desk.later(slowDueMs - this.#desk.nowMs, () => this.#showIfChanged(market));
    if (market.showDue) return;
    market.showDue = true;
    this.#atVenue(Math.max(0, market.shownMs + BOOK_INTERVAL_MS - this.#desk.nowMs), () =>
      this.#showIfChanged(market),
    );
  }
  #showIfChanged(market: TapeMarket): void {
    market.showDue = false;
    if (market.dirty) this.#show([market], 0, 0);
  }
  /** Sends what the frames of a moment say on its way to strategy and execution. */
  #show(shown: readonly TapeMarket[], from: number, to: number): void {
    const dueMs = this.#desk.nowMs + this.#latency.marketMs;
    let books: readonly ShownBook[] = NO_BOOKS;
    for (const market of shown) {
      const { book } = market.market;
      market.shownMs = this.#desk.nowMs;
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
    if (books.length === 0 && !(to > from && this.#desk.wantsTrades)) return;
    // What arrives in one moment is one picture.
    const last = this.#onTheWay.length > this.#delivered ? this.#onTheWay.at(-1) : undefined;
    if (last === undefined || last.dueMs !== dueMs || (to > 0 && last.to > 0)) {
      this.#onTheWay.push({ dueMs, from, to, books });
      return;
    }
    const both: ShownBook[] = [];
    for (const earlier of last.books) if (!isShownIn(books, earlier.market)) both.push(earlier);
    for (const newer of books) both.push(newer);
    last.books = both;
    if (to > 0) {
      last.from = from;
      last.to = to;
    }
  }
  /** Has something done at the venue, whose times lie on a grid of 1/64 ms. */
  #atVenue(delayMs: number, run: () => void): void {
    this.#desk.later(Math.ceil((this.#desk.nowMs + delayMs) * 64) / 64 - this.#desk.nowMs, run);
  }

  #enter(order: VenueOrder): void {
    if (order.status !== 'accepted') return;
    order.status = 'working';
    const placed: FastOrder<VenueOrder> = {
      side: order.terms.side,
      price: order.price,
      ticks: Number(toTicks(order.price, order.instrument)),
      remaining: order.remaining,
      ref: order,
    };
    this.#inBook.set(order, placed);
    this.#bySymbol.get(order.terms.symbol)?.market.enter(placed);
    this.#changedByUs(order.terms.symbol);
  }
  #executeCancel(order: VenueOrder): void {
    if (order.status === 'canceled' || order.status === 'closed') return;
    const placed = this.#inBook.get(order);
    if (placed !== undefined) {
      this.#bySymbol.get(order.terms.symbol)?.market.withdraw(placed);
      this.#inBook.delete(order);
      this.#changedByUs(order.terms.symbol);
    }
    this.#account.cancel(order, this.#desk.now.wallMs);
    this.#desk.later(this.#latency.fromVenueMs, () => this.#desk.prove(order.clientOrderId));
  }

  #deliver({ from, to, books }: Delivery): void {
    if (this.#desk.wantsTrades)
      for (let event = from; event < to; event++) {
        const kind = this.#tape.kinds[event] ?? 0;
        if (kind !== TAPE_KINDS['buy-trade'] && kind !== TAPE_KINDS['sell-trade']) continue;
        const at = this.#tape.offsets[event] ?? 0;
        const instrument = this.#instruments[this.#tape.symbols[event] ?? 0];
        if (instrument === undefined) continue;
        const id = this.#desk.nextEventId();
        const number = this.#tape.tradeIds[event] ?? Number.NaN;
        this.#desk.marketForStrategy({
          type: 'public-trade',
          id,
          cause: id,
          symbol: instrument.symbol,
          tradeId: Number.isNaN(number) ? `tape-${event}` : String(number),
          price: BigInt(this.#tape.numbers[at] ?? 0) * tickSize(instrument),
          quantity: BigInt(this.#tape.numbers[at + 1] ?? 0) * lotSize(instrument),
          side: kind === TAPE_KINDS['buy-trade'] ? 'buy' : 'sell',
          tradedAtMs: this.#tape.atMs[event] ?? 0,
        });
      }
    for (const shown of books) {
      const { newest, market } = shown.market;
      const before = newest.set(shown, this.#desk.nowMs, this.#desk.nextEventNumber());
      this.#desk.arrive(newest);
      if (before !== null) market.giveBack(before);
    }
  }

  /** Lets everything happen that comes before a time: what is due at the desk, and what arrives there. */
  #until(toMs: number): void {
    for (;;) {
      const next = this.#onTheWay[this.#delivered];
      const dueMs = this.#desk.dueMs;
      if (next === undefined || dueMs <= next.dueMs) {
        if (dueMs > toMs) break;
        this.#desk.advance(dueMs);
        continue;
      }
      if (next.dueMs > toMs) break;
      this.#desk.moveTo(next.dueMs);
      this.#deliver(next);
      this.#delivered += 1;
    }
    if (this.#delivered > 256) {
      this.#onTheWay.splice(0, this.#delivered);
      this.#delivered = 0;
    }
    this.#desk.moveTo(toMs);
  }

  /** Most trades concern nobody: where nothing happens before them either, not even the clock has to be set. */
  #passOver(from: number): number {
    if (this.#desk.wantsTrades) return from;
    const { atMs, kinds, symbols, length } = this.#tape;
    const untilMs = this.#quietUntilMs + this.#desk.originAtMs;
    let event = from;
    while (
      event < length &&
      (kinds[event] as number) > TAPE_KINDS.difference &&
      (atMs[event] as number) < untilMs &&
      this.#markets[symbols[event] as number]?.market.mindsTrade(this.#tape, event) !== true
    )
      event += 1;
    return event;
  }
  /** Has everything of one moment happen in the market. @returns the first event of the next one */
  #happen(from: number): number {
    const atMs = this.#tape.atMs[from] ?? 0;
    let event = from;
    do {
      const market = this.#markets[this.#tape.symbols[event] ?? 0];
      if (market !== undefined) {
        market.market.event(this.#tape, event);
        if ((this.#tape.kinds[event] ?? 0) <= TAPE_KINDS.difference && !market.changed) {
          market.changed = true;
          this.#changed.push(market);
        }
      }
      event += 1;
    } while (event < this.#tape.length && this.#tape.atMs[event] === atMs);
    return event;
  }
  #showChanged(atMs: number, from: number, to: number): void {
    for (const market of this.#changed) {
      const { book } = market.market;
      market.changed = false;
      if (!market.showDue)
        market.looks[market.looked++ % LOOKS_KEPT] = Math.max(
          this.#desk.nowMs,
          market.shownMs + BOOK_INTERVAL_MS,
        );
      market.showDue = false;
      if (isTwoSided(book))
        this.#samplers[market.symbolIndex]?.sample(atMs, (bestBidTicks(book) + bestAskTicks(book)) / 2);
    }
    this.#show(this.#changed, from, to);
    while (this.#changed.length > 0) this.#changed.pop();
  }
  #moment(from: number): number {
    const atMs = this.#tape.atMs[from] ?? 0;
    this.#until(atMs - this.#desk.originAtMs);
    const to = this.#happen(from);
    if (this.#changed.length > 0 || this.#desk.wantsTrades) this.#showChanged(atMs, from, to);
    this.#quietUntilMs = Math.min(
      this.#onTheWay[this.#delivered]?.dueMs ?? Number.POSITIVE_INFINITY,
      this.#desk.dueMs,
    );
    return this.#passOver(to);
  }
}

const refused = (reason: string): CancelOutcome => ({ type: 'rejected', reason, code: reason });
