/**
 * How far a book can be believed, from everything that should agree with it: its own chain of differences, the full
 * books of the `orderbook` channel, the ticker, and the trades (protocol section 9.9). Pure bookkeeping over one
 * symbol; market-data.ts acts on it.
 */
import { bestAskTicks, bestBidTicks, isTwoSided, lotsAt, type OrderBook, ticksAt } from './order-book.js';

/** Levels of a full book that are compared. */
const COMPARED_LEVELS = 5;
/** A difference that lasts this long is not skew between channels: about one second is allowed. */
export const SKEW_MS = 1_000;
/** A ticker that contradicts the book for this long, while no difference arrives, shows that the book stands still. */
export const TICKER_SKEW_MS = 3_000;
/** A trade this far outside the book, as a share of its price, is counted against the book. */
const OUTLIER_SHARE = 0.01;
/** How long such a trade counts. */
const OUTLIER_LIFE_MS = 10_000;
/** So many of them break the trust altogether. */
const OUTLIERS_MAX = 3;

/** A level on which a full book and ours differ. */
interface Discrepancy {
  readonly side: 'bids' | 'asks';
  readonly ticks: number;
  readonly ours: number;
  readonly theirs: number;
  readonly sinceMonoMs: number;
}

export interface BookTrust {
  discrepancies: readonly Discrepancy[];
  /** When a ticker first contradicted the book that has not changed since; null while they agree. */
  tickerAgainstSinceMonoMs: number | null;
  /** Monotonic times of trades outside the book. */
  outliers: number[];
}

export const initialTrust = (): BookTrust => ({
  discrepancies: [],
  tickerAgainstSinceMonoMs: null,
  outliers: [],
});

/** What a witness says: it agrees, it differs within what skew explains, or the book is wrong. */
export type Testimony = 'agrees' | 'differs' | 'contradicts';

/**
 * Compares the top of a full book with ours. Conflated channels rarely show the same instant, so one difference says
 * little; the same difference in two full books at least {@link SKEW_MS} apart means a stuck or missing level.
 */
export const witnessFullBook = (
  trust: BookTrust,
  book: OrderBook,
  bids: readonly number[],
  asks: readonly number[],
  monoMs: number,
): Testimony => {
  const found: Discrepancy[] = [];
  compare(found, trust, book, 'bids', bids, monoMs);
  compare(found, trust, book, 'asks', asks, monoMs);
  trust.discrepancies = found;
  if (found.length === 0) return 'agrees';
  return found.some(({ sinceMonoMs }) => monoMs - sinceMonoMs >= SKEW_MS) ? 'contradicts' : 'differs';
};

const compare = (
  found: Discrepancy[],
  trust: BookTrust,
  book: OrderBook,
  side: 'bids' | 'asks',
  levels: readonly number[],
  monoMs: number,
): void => {
  const compared = Math.min(COMPARED_LEVELS, levels.length / 2);
  const add = (ticks: number, ours: number, theirs: number): void => {
    const earlier = trust.discrepancies.find(
      known => known.side === side && known.ticks === ticks && known.ours === ours && known.theirs === theirs,
    );
    found.push({ side, ticks, ours, theirs, sinceMonoMs: earlier?.sinceMonoMs ?? monoMs });
  };
  const theirTicks: number[] = [];
  for (let index = 0; index < compared; index++) {
    const ticks = levels[2 * index] as number;
    const theirs = levels[2 * index + 1] as number;
    theirTicks.push(ticks);
    const ours = lotsAt(book, side, ticks);
    if (ours !== theirs) add(ticks, ours, theirs);
  }
  const last = theirTicks.at(-1);
  const isWithin = (ticks: number): boolean =>
    last === undefined || (side === 'bids' ? ticks >= last : ticks <= last);
  for (let depth = 0; depth < COMPARED_LEVELS; depth++) {
    const ticks = ticksAt(book, side, depth);
    if (ticks === 0 || !isWithin(ticks)) return;
    if (!theirTicks.includes(ticks)) add(ticks, lotsAt(book, side, ticks), 0);
  }
};

/**
 * Compares the best prices of a ticker with ours. What a ticker shows for a side that the book does not have is not
 * documented, so that side is not compared.
 */
export const witnessTicker = (
  trust: BookTrust,
  book: OrderBook,
  bidTicks: number,
  askTicks: number,
  monoMs: number,
): Testimony => {
  const bid = bestBidTicks(book);
  const ask = bestAskTicks(book);
  if ((bid === 0 || bid === bidTicks) && (ask === 0 || ask === askTicks)) {
    trust.tickerAgainstSinceMonoMs = null;
    return 'agrees';
  }
  trust.tickerAgainstSinceMonoMs ??= monoMs;
  return monoMs - trust.tickerAgainstSinceMonoMs >= TICKER_SKEW_MS ? 'contradicts' : 'differs';
};

/** The book has changed: the ticker's contradiction, if any, was about the book before. */
export const noteChange = (trust: BookTrust): void => {
  trust.tickerAgainstSinceMonoMs = null;
};

/** Notes a trade at a price in ticks. Trades are not synchronised with the book, so only far ones count. */
export const witnessTrade = (trust: BookTrust, book: OrderBook, ticks: number, monoMs: number): Testimony => {
  if (!isTwoSided(book)) return 'agrees';
  const slack = Math.max(2, ticks * OUTLIER_SHARE);
  if (ticks >= bestBidTicks(book) - slack && ticks <= bestAskTicks(book) + slack) return 'agrees';
  trust.outliers = [...recentOutliers(trust, monoMs), monoMs];
  return trust.outliers.length >= OUTLIERS_MAX ? 'contradicts' : 'differs';
};

const recentOutliers = (trust: BookTrust, monoMs: number): number[] =>
  trust.outliers.filter(at => monoMs - at < OUTLIER_LIFE_MS);

/** Below this score no order may lean on the book. */
export const TRUST_MIN = 60;

/** What each doubt takes from 100. */
const DOUBT = { discrepancy: 25, ticker: 25, outlier: 20 } as const;

/** 0 to 100. A book that is broken, one-sided or not there has none. */
export const trustScore = (trust: BookTrust, book: OrderBook, monoMs: number): number => {
  if (book.state !== 'synced' || !isTwoSided(book)) return 0;
  const against = trust.tickerAgainstSinceMonoMs;
  const doubts =
    (trust.discrepancies.length > 0 ? DOUBT.discrepancy : 0) +
    (against !== null && monoMs - against >= SKEW_MS ? DOUBT.ticker : 0) +
    DOUBT.outlier * (trust.outliers.length === 0 ? 0 : recentOutliers(trust, monoMs).length);
  return Math.max(0, 100 - doubts);
};
