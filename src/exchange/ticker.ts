/** 24-hour figures of a market, for REST and socket (protocol sections 4.3 and 9.5). */
import { touch } from '../domain/matching.js';
import { type Amount, divide, formatDecimal, ONE, type Price, ratio, roundTo } from '../domain/money.js';
import { lastDay } from './candles.js';
import type { Listing } from './instruments.js';
import { candlesOf } from './market-history.js';
import { type Market, serverMs, type VenueState } from './venue-state.js';
import { exact, toJson, type Wire } from './wire.js';

interface TickerFigures {
  readonly last: Price;
  readonly high: Price;
  readonly low: Price;
  readonly open: Price;
  readonly bid: Price;
  readonly ask: Price;
  readonly bidTotal: bigint;
  readonly askTotal: bigint;
  readonly volume: bigint;
  readonly average: Price;
  /** `ask - open`, and the change of the last price in percent with two decimals: they disagree, as they do there. */
  readonly daily: Amount;
  readonly dailyPercent: bigint;
}

/** The REST row. */
export const tickerRow = (venue: VenueState, market: Market): Wire => {
  const { listing } = market;
  const figures = figuresOf(venue, market);
  return {
    pair: listing.symbol,
    pairNormalized: `${listing.base}_${listing.quote}`,
    timestamp: serverMs(venue),
    last: exact(figures.last),
    high: exact(figures.high),
    low: exact(figures.low),
    bid: exact(figures.bid),
    ask: exact(figures.ask),
    open: exact(figures.open),
    volume: exact(figures.volume),
    average: exact(roundTo(figures.average, listing.denominatorScale, 'half-up')),
    daily: exact(figures.daily),
    dailyPercent: exact(figures.dailyPercent),
    denominatorSymbol: listing.quote,
    numeratorSymbol: listing.base,
    order: listing.displayOrder,
  };
};

/** A frame as it was sent last, and what it was made of. */
interface SentTicker {
  readonly listing: Listing;
  readonly figures: TickerFigures;
  readonly text: string;
}

const sentTickers = new WeakMap<Market, SentTicker>();

/** A 402; a quiet market's says again what the last one said. */
export const tickerFrame = (venue: VenueState, market: Market): string => {
  const { listing } = market;
  const figures = figuresOf(venue, market);
  const sent = sentTickers.get(market);
  if (sent?.listing === listing && areSame(sent.figures, figures)) return sent.text;
  const text = `[402,${toJson({ ...itemOf(listing, figures), channel: 'ticker', event: listing.symbol, type: 402 })}]`;
  sentTickers.set(market, { listing, figures, text });
  return text;
};

const areSame = (left: TickerFigures, right: TickerFigures): boolean =>
  (Object.keys(left) as (keyof TickerFigures)[]).every(figure => left[figure] === right[figure]);

export const tickerItem = (venue: VenueState, market: Market): Record<string, Wire> =>
  itemOf(market.listing, figuresOf(venue, market));

/** The fields of a 402, and of each item of a 401. */
const itemOf = (listing: Listing, figures: TickerFigures): Record<string, Wire> => ({
  B: formatDecimal(figures.bid),
  A: formatDecimal(figures.ask),
  BA: formatDecimal(figures.bidTotal),
  AA: formatDecimal(figures.askTotal),
  PS: listing.symbol,
  H: formatDecimal(figures.high),
  L: formatDecimal(figures.low),
  LA: formatDecimal(figures.last),
  O: formatDecimal(figures.open),
  V: formatDecimal(figures.volume),
  AV: formatDecimal(figures.average),
  D: formatDecimal(figures.daily),
  DP: formatDecimal(figures.dailyPercent),
  DS: listing.quote,
  NS: listing.base,
  PId: listing.pairId,
});

const figuresOf = (venue: VenueState, market: Market): TickerFigures => {
  const day = lastDay(candlesOf(venue, market), venue.now.wallMs, market.lastPrice);
  const bid = touch(market.book, 'buy');
  const ask = touch(market.book, 'sell');
  const askPrice = ask?.price ?? market.lastPrice;
  return {
    last: market.lastPrice,
    high: day.high,
    low: day.low,
    open: day.open,
    bid: bid?.price ?? market.lastPrice,
    ask: askPrice,
    bidTotal: bid?.total ?? 0n,
    askTotal: ask?.total ?? 0n,
    volume: day.volume,
    average: day.volume === 0n ? market.lastPrice : ratio(day.turnover, day.volume, 'half-up'),
    daily: askPrice - day.open,
    dailyPercent: roundTo(
      divide((market.lastPrice - day.open) * 100n * ONE, day.open, 'half-up'),
      2,
      'half-up',
    ),
  };
};
