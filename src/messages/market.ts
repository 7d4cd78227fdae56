/** market-data → strategy, market-data → execution. */
export type {
  BookUpdated,
  FeedStatusChanged,
  InstrumentsListed,
  MarketEvent,
  PublicTrade,
} from '../domain/market-events.js';
