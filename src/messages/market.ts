/** market-data → strategy, market-data → execution. */
export type { BookUpdated, FeedStatusChanged, MarketEvent, PublicTrade } from '../domain/market-events.js';
