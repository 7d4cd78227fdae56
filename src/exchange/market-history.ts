import { type CandleStore, emptyCandles, inventHistory } from './candles.js';
import { annualVolatility, gridPrice, gridQuantity, usualQuantity } from './fair-values.js';
import { randomStream } from './random.js';
import type { Market, VenueState } from './venue-state.js';

/** A minute's volume, in orders of the usual size. */
const MINUTE_ORDERS = 20;

/**
 * A market's candles. A generated or quiet market has a past, invented from the seed when it is first looked at; a
 * recorded one begins with its first frame.
 */
export const candlesOf = (venue: VenueState, market: Market): CandleStore => {
  if (market.candles !== null) return market.candles;
  const { listing, lastPrice } = market;
  if (market.source === 'recorded' || !venue.config.history) market.candles = emptyCandles();
  else {
    market.candles = inventHistory(
      randomStream(venue.config.seed + listing.pairId, 2),
      lastPrice,
      venue.now.wallMs,
      annualVolatility(venue.fair, listing),
      value => gridPrice(listing, value),
      MINUTE_ORDERS * usualQuantity(venue.fair, listing),
      value => gridQuantity(listing, value),
    );
  }
  return market.candles;
};
