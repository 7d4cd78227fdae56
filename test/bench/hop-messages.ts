/** Messages as the actors send them, for the measurement of a hop. */
import type { MarketEvent } from '#src/domain/market-events.js';
import { parseDecimal } from '#src/domain/money.js';
import type { OrderIntent } from '#src/messages/orders.js';

const LEVELS = 100;

export const intentOf = (n: number): OrderIntent => ({
  type: 'place-order',
  id: `strategy:1:${n}`,
  cause: `market-data:1:${n}`,
  intentId: `maker:1-bench:${n}`,
  strategy: 'maker',
  terms: {
    symbol: 'BTCTRY',
    side: 'buy',
    method: 'limit',
    price: parseDecimal('3792753'),
    quantity: parseDecimal('0.00006591'),
    quoteQuantity: null,
    stopPrice: null,
  },
  validUntilMonoMs: 1_000 + n,
  bookVersion: n,
});

/** A book of 100 levels a side, as one array: counts, then ticks and lots of bids and of asks. */
export const bookOf = (n: number): MarketEvent => ({
  type: 'book-updated',
  id: `market-data:1:${n}`,
  cause: `market-data:1:${n}`,
  book: {
    symbol: 'BTCTRY',
    version: n + 1,
    trusted: true,
    receivedMonoMs: n,
    levels: Float64Array.from([
      LEVELS,
      LEVELS,
      ...Array.from({ length: 2 * LEVELS }, (_, at) => [3_792_753 + at, 6_591 + at]).flat(),
    ]),
  },
});
