/**
 * A market as flat arrays of numbers: what a recording says, read once, in the order in which it was heard. Prices are
 * whole ticks and quantities whole lots, so that a run over it parses nothing and allocates little.
 */
import { createPublicFrameReader, type PublicFrameReader } from '../btcturk/public-frames.js';
import { type Instrument, lotSize, tickSize } from '../domain/instrument.js';
import {
  applyNextPairs,
  applySnapshot,
  GONE,
  initialOrderBook,
  lotsAt,
  type OrderBook,
  ticksAt,
} from '../domain/order-book.js';
import { type FrameTrade, LEVEL_DELETE } from '../domain/public-frame.js';
import { type Listing, priceDecimals } from '../exchange/instruments.js';
import { createLineScanner, SCANNED } from './line-scanner.js';

/** What an event is. Trades are named by their aggressor. */
export const TAPE_KINDS = { snapshot: 0, difference: 1, 'buy-trade': 2, 'sell-trade': 3 } as const;
const { snapshot: SNAPSHOT, difference: DIFFERENCE } = TAPE_KINDS;

/** Whole numbers: 32 bits wide where all of a tape's fit, else as doubles. */
export type TapeNumbers = Int32Array | Float64Array;

/**
 * Events in order of arrival. Event `n` has `ticks, lots` pairs at `numbers[offsets[n] .. offsets[n + 1]]`: the levels
 * of a snapshot or the changes of a difference ({@link GONE} lots for a deleted level), bids first, asks from
 * `splits[n]` on; of a trade its one pair.
 */
export interface MarketTape {
  readonly listings: readonly Listing[];
  readonly length: number;
  /** Arrival, Unix ms, ascending. */
  readonly atMs: Float64Array;
  readonly kinds: Uint8Array;
  /** Index into `listings`. */
  readonly symbols: Uint8Array;
  readonly offsets: Uint32Array;
  readonly splits: Uint32Array;
  readonly numbers: TapeNumbers;
  /** By event: a trade's id, NaN when it is not a whole number and for books. */
  readonly tradeIds: Float64Array;
}

/** The instrument that the embedded exchange makes of a listing. */
export const instrumentOf = (listing: Listing): Instrument => ({
  symbol: listing.symbol,
  pairId: listing.pairId,
  base: listing.base,
  quote: listing.quote,
  priceScale: priceDecimals(listing),
  quantityScale: listing.quantityScale,
  minNotional: listing.minNotional,
  minPrice: listing.minPrice,
  maxPrice: listing.maxPrice,
  minLimitPrice: null,
  maxLimitPrice: null,
  maxQuantity: listing.maxQuantity,
  methods: listing.methods,
  status: 'TRADING',
});

/** Makes a tape event by event. */
export interface TapeBuilder {
  /**
   * Takes one frame as parsed from JSON; frames of other models, channels and symbols are passed over.
   * @returns what is wrong with it, or null
   */
  frame(value: unknown, atMs: number): string | null;
  /**
   * Takes the line of a recording in `bytes[from .. to)`, if it is written as they mostly are (line-scanner.ts).
   * @returns false when it is not: nothing was taken, and its frame has to be parsed
   */
  line(bytes: Uint8Array, from: number, to: number): boolean;
  finish(): MarketTape;
}

/** @param listings the markets to keep; at most 255 */
export const createTapeBuilder = (listings: readonly Listing[]): TapeBuilder => {
  const instruments = listings.map(instrumentOf);
  const reader: PublicFrameReader = createPublicFrameReader(instruments);
  const scanner = createLineScanner(instruments);
  const indexOf = new Map(listings.map(({ symbol }, index) => [symbol, index]));
  const ticksOf = instruments.map(tickSize);
  const lotsOf = instruments.map(lotSize);
  let capacity = 4_096;
  let length = 0;
  let atMs = new Float64Array(capacity);
  let kinds = new Uint8Array(capacity);
  let symbols = new Uint8Array(capacity);
  let offsets = new Uint32Array(capacity + 1);
  let splits = new Uint32Array(capacity);
  let tradeIds = new Float64Array(capacity);
  let numbers: TapeNumbers = new Int32Array(capacity * 16);
  let used = 0;
  let lastAtMs = Number.NEGATIVE_INFINITY;

  const begin = (at: number, kind: number, market: number, room: number): void => {
    if (length === capacity) {
      capacity *= 2;
      atMs = grown(atMs, new Float64Array(capacity));
      kinds = grown(kinds, new Uint8Array(capacity));
      symbols = grown(symbols, new Uint8Array(capacity));
      offsets = grown(offsets, new Uint32Array(capacity + 1));
      splits = grown(splits, new Uint32Array(capacity));
      tradeIds = grown(tradeIds, new Float64Array(capacity));
    }
    if (used + room > numbers.length) {
      const size = Math.max(numbers.length * 2, used + room);
      numbers = grown(numbers, isNarrow(numbers) ? new Int32Array(size) : new Float64Array(size));
    }
    // Arrival times may step back by a moment where a recorder's clock was set; what was heard later happened later.
    lastAtMs = Math.max(lastAtMs, at);
    atMs[length] = lastAtMs;
    kinds[length] = kind;
    symbols[length] = market;
    splits[length] = used;
    tradeIds[length] = Number.NaN;
  };
  const pair = (ticks: number, lots: number): void => {
    if (isNarrow(numbers) && (ticks > INT32_MAX || lots > INT32_MAX))
      numbers = grown(numbers, new Float64Array(numbers.length));
    numbers[used++] = ticks;
    numbers[used++] = lots;
  };
  const end = (): void => {
    length += 1;
    offsets[length] = used;
  };
  const book = (
    at: number,
    kind: number,
    frame: { readonly symbol: string; readonly bids: readonly number[]; readonly asks: readonly number[] },
  ): void => {
    begin(at, kind, indexOf.get(frame.symbol) ?? 0, frame.bids.length + frame.asks.length);
    levels(kind, frame.bids);
    splits[length] = used;
    levels(kind, frame.asks);
    end();
  };
  const levels = (kind: number, read: readonly number[]): void => {
    if (kind === SNAPSHOT)
      for (let index = 0; index < read.length; index += 2) pair(read[index] ?? 0, read[index + 1] ?? 0);
    else
      for (let index = 0; index < read.length; index += 3)
        pair(read[index + 1] ?? 0, read[index] === LEVEL_DELETE ? GONE : (read[index + 2] ?? 0));
  };
  const trade = (at: number, symbol: string, made: FrameTrade): void => {
    const index = indexOf.get(symbol) ?? 0;
    begin(at, made.side === 'buy' ? TAPE_KINDS['buy-trade'] : TAPE_KINDS['sell-trade'], index, 2);
    const id = Number(made.tradeId);
    if (Number.isSafeInteger(id) && String(id) === made.tradeId) tradeIds[length] = id;
    pair(Number(made.price / (ticksOf[index] ?? 1n)), Number(made.quantity / (lotsOf[index] ?? 1n)));
    end();
  };

  const scannedPairs = (read: Float64Array, count: number): void => {
    for (let index = 0; index < count; index += 2) pair(read[index] as number, read[index + 1] as number);
  };
  const scanned = (kind: number): void => {
    const { line } = scanner;
    begin(line.atMs, kind, line.market, line.bidNumbers + line.askNumbers);
    if (kind > DIFFERENCE) tradeIds[length] = line.tradeId;
    scannedPairs(line.bids, line.bidNumbers);
    if (kind <= DIFFERENCE) splits[length] = used;
    scannedPairs(line.asks, line.askNumbers);
    end();
  };

  return {
    line: (bytes, from, to) => {
      switch (scanner.scan(bytes, from, to)) {
        case SCANNED.snapshot:
          scanned(SNAPSHOT);
          return true;
        case SCANNED.difference:
          scanned(DIFFERENCE);
          return true;
        case SCANNED['buy-trade']:
          scanned(TAPE_KINDS['buy-trade']);
          return true;
        case SCANNED['sell-trade']:
          scanned(TAPE_KINDS['sell-trade']);
          return true;
        default:
          return false;
      }
    },
    frame: (value, at) => {
      const frame = reader.readValue(value);
      switch (frame.type) {
        case 'book-snapshot':
          if (frame.channel === 'obdiff') book(at, SNAPSHOT, frame);
          return null;
        case 'book-difference':
          book(at, DIFFERENCE, frame);
          return null;
        case 'trades':
          if (!frame.history) for (const made of frame.trades) trade(at, frame.symbol, made);
          return null;
        case 'malformed':
          return frame.problem;
        default:
          return null;
      }
    },
    finish: () => ({
      listings,
      length,
      atMs: atMs.slice(0, length),
      kinds: kinds.slice(0, length),
      symbols: symbols.slice(0, length),
      offsets: offsets.slice(0, length + 1),
      splits: splits.slice(0, length),
      numbers: numbers.slice(0, used),
      tradeIds: tradeIds.slice(0, length),
    }),
  };
};

const INT32_MAX = 2 ** 31 - 1;
const isNarrow = (numbers: TapeNumbers): boolean => numbers instanceof Int32Array;

const grown = <T extends TapeNumbers | Uint8Array | Uint32Array>(from: ArrayLike<number>, to: T): T => {
  to.set(from);
  return to;
};

/** Applies a snapshot or difference of a tape to the book that its earlier events made. */
export const applyTapeBook = (book: OrderBook, tape: MarketTape, event: number): void => {
  const from = tape.offsets[event] ?? 0;
  const split = tape.splits[event] ?? 0;
  const to = tape.offsets[event + 1] ?? 0;
  if (tape.kinds[event] === SNAPSHOT)
    applySnapshot(
      book,
      book.changeSet + 1,
      tape.numbers.subarray(from, split),
      tape.numbers.subarray(split, to),
    );
  else applyNextPairs(book, tape.numbers, from, split, to);
};

/** The part of a tape from its beginning to `untilMs` (inclusive), sharing its memory. */
export const tapeUntil = (tape: MarketTape, untilMs: number): MarketTape => {
  let low = 0;
  let high = tape.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((tape.atMs[middle] ?? 0) <= untilMs) low = middle + 1;
    else high = middle;
  }
  return { ...tape, length: low };
};

/**
 * The part of a tape from one time up to another, sharing its numbers. It begins with each market's book as it stands
 * there, so that a part is a market of its own.
 */
export const tapeBetween = (tape: MarketTape, fromMs: number, toMs: number): MarketTape => {
  const end = tapeUntil(tape, toMs).length;
  const begin = tapeUntil(tape, fromMs - 0.001).length;
  if (begin === 0) return { ...tape, length: end };
  const books = tape.listings.map(() => initialOrderBook());
  for (let event = 0; event < begin; event++) {
    const book = books[tape.symbols[event] ?? 0];
    if ((tape.kinds[event] ?? 0) <= DIFFERENCE && book !== undefined) applyTapeBook(book, tape, event);
  }
  const numbers: number[] = [];
  const heads = books.flatMap((book, symbol) => {
    if (book.bids.count + book.asks.count === 0) return [];
    const from = numbers.length;
    for (const which of ['bids', 'asks'] as const)
      for (let depth = 0; depth < book[which].count; depth++) {
        const ticks = ticksAt(book, which, depth);
        numbers.push(ticks, lotsAt(book, which, ticks));
      }
    return [{ symbol, from, split: from + 2 * book.bids.count }];
  });
  const base = tape.offsets[begin] ?? 0;
  const shift = numbers.length - base;
  const kept = end - begin;
  const length = heads.length + kept;
  const part = {
    listings: tape.listings,
    length,
    atMs: new Float64Array(length),
    kinds: new Uint8Array(length),
    symbols: new Uint8Array(length),
    offsets: new Uint32Array(length + 1),
    splits: new Uint32Array(length),
    numbers: new (isNarrow(tape.numbers) ? Int32Array : Float64Array)(
      numbers.length + (tape.offsets[end] ?? 0) - base,
    ),
    tradeIds: new Float64Array(length).fill(Number.NaN, 0, heads.length),
  };
  part.numbers.set(numbers);
  part.numbers.set(tape.numbers.subarray(base, tape.offsets[end]), numbers.length);
  for (const [index, head] of heads.entries()) {
    part.atMs[index] = fromMs;
    part.kinds[index] = SNAPSHOT;
    part.symbols[index] = head.symbol;
    part.offsets[index] = head.from;
    part.splits[index] = head.split;
  }
  part.atMs.set(tape.atMs.subarray(begin, end), heads.length);
  part.tradeIds.set(tape.tradeIds.subarray(begin, end), heads.length);
  part.kinds.set(tape.kinds.subarray(begin, end), heads.length);
  part.symbols.set(tape.symbols.subarray(begin, end), heads.length);
  for (let event = 0; event <= kept; event++)
    part.offsets[heads.length + event] = (tape.offsets[begin + event] ?? 0) + shift;
  for (let event = 0; event < kept; event++)
    part.splits[heads.length + event] = (tape.splits[begin + event] ?? 0) + shift;
  return part;
};
