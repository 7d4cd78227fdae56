/** market-data → strategy, market-data → execution; strategy → market-data. */
export type {
  BookUpdated,
  CandlesRead,
  CandlesWaiting,
  CandlesWanted,
  FeedStatusChanged,
  InstrumentsListed,
  MarketEvent,
  MarketWish,
  PublicTrade,
  TickersRead,
  TickersWanted,
} from '../domain/market-events.js';
