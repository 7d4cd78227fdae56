/** Public REST and the chart host (protocol section 4). */
import { formatDecimal, max, min, type Price, ratio, roundTo } from '../domain/money.js';
import { bestLevels, WINDOW_LEVELS } from './book-feed.js';
import { type Candle, candlesBetween, DAY_S, resolutionSeconds } from './candles.js';
import { faultOn } from './faults.js';
import { type Currency, type Listing, normalizedName, priceDecimals, statusOf } from './instruments.js';
import { candlesOf } from './market-history.js';
import { findMarket, unknownPair } from './order-entry.js';
import { json, refusal } from './refusals.js';
import { tickerRow } from './ticker.js';
import { type HttpReply, type HttpRequest, type Market, serverMs, type VenueState } from './venue-state.js';
import { envelope, exact, Printed, toJson, type Wire } from './wire.js';

const METHOD_NAMES = {
  market: 'MARKET',
  limit: 'LIMIT',
  'stop-market': 'STOP_MARKET',
  'stop-limit': 'STOP_LIMIT',
} as const;

export const serverTime = (venue: VenueState): HttpReply => {
  const at = serverMs(venue);
  return json(200, {
    serverTime: at,
    serverTime2: new Date(at).toISOString().replace('Z', '0000+00:00'),
  });
};

export const serverPing = (): HttpReply => json(200, { pong: true });

export const exchangeInfo = (venue: VenueState): HttpReply =>
  json(
    200,
    envelope(
      {
        timeZone: 'UTC',
        serverTime: serverMs(venue),
        symbols: [...venue.markets.values()]
          .filter(({ listing }) => statusOf(listing) !== null)
          .map(symbolText),
        currencies: currenciesText(venue.currencies),
        currencyOperationBlocks: [],
      },
      null,
    ),
    { 'cache-control': 'public, max-age=30' },
  );

export const tickers = (venue: VenueState, request: HttpRequest): HttpReply => {
  const pair = new URLSearchParams(request.query).get('pairSymbol');
  if (pair === null)
    return json(
      200,
      envelope(
        [...venue.markets.values()].map(market => tickerRow(venue, market)),
        null,
      ),
    );
  const market = findMarket(venue, pair);
  return json(200, envelope(market === undefined ? [] : [tickerRow(venue, market)], null));
};

/** All pairs against one quote currency. */
export const tickersOfQuote = (venue: VenueState, request: HttpRequest): HttpReply => {
  const quote = new URLSearchParams(request.query).get('symbol')?.toUpperCase();
  const markets = [...venue.markets.values()].filter(market => market.listing.quote === quote);
  return json(
    200,
    envelope(
      markets.map(market => tickerRow(venue, market)),
      null,
    ),
  );
};

export const orderBook = (venue: VenueState, request: HttpRequest): HttpReply =>
  withMarket(venue, request, 'pairSymbol', (market, query) => {
    const asked = Number(query.get('limit') ?? WINDOW_LEVELS);
    const limit = Number.isInteger(asked) && asked > 0 ? Math.min(asked, WINDOW_LEVELS) : WINDOW_LEVELS;
    const side = (name: 'buy' | 'sell'): Wire =>
      bestLevels(market, name, limit).map(level => [formatDecimal(level.price), formatDecimal(level.total)]);
    const body = {
      data: { timestamp: serverMs(venue), bids: side('buy'), asks: side('sell') },
      success: true,
      message: null,
      code: faultOn(venue.faults, 'string-code') === undefined ? 0 : 'SUCCESS',
    };
    return json(200, body);
  });

export const publicTrades = (venue: VenueState, request: HttpRequest): HttpReply =>
  withMarket(venue, request, 'pairSymbol', (market, query) => {
    const asked = Number(query.get('last') ?? 50);
    const last = Number.isInteger(asked) && asked > 0 ? Math.min(asked, 50) : 50;
    const { listing } = market;
    const rows = market.tape.slice(-last).map(trade => ({
      pair: listing.symbol,
      pairNormalized: normalizedName(listing),
      numerator: listing.base,
      denominator: listing.quote,
      date: trade.atMs,
      tid: trade.tradeId,
      price: formatDecimal(trade.price),
      amount: formatDecimal(trade.quantity),
      side: trade.side,
    }));
    if (faultOn(venue.faults, 'list-oldest-first') === undefined) rows.reverse();
    return json(200, envelope(rows, null));
  });

/** The old daily candles: enveloped, every value text (protocol section 4.6). */
export const legacyOhlc = (venue: VenueState, request: HttpRequest): HttpReply =>
  withMarket(venue, request, 'pairSymbol', (market, query) => {
    const last = Math.max(1, Math.min(Number(query.get('last') ?? 10) || 10, 1_000));
    const nowS = Math.floor(venue.now.wallMs / 1_000);
    const rows = candlesBetween(candlesOf(venue, market), DAY_S, 0, nowS)
      .slice(-last)
      .map(candle => ({
        pairSymbol: market.listing.symbol,
        pairNormalized: normalizedName(market.listing),
        time: String(candle.startS),
        open: formatDecimal(candle.open),
        high: formatDecimal(candle.high),
        low: formatDecimal(candle.low),
        close: formatDecimal(candle.close),
        volume: formatDecimal(candle.volume),
        average: formatDecimal(averageOf(candle, market.listing)),
        dailyChangeAmount: formatDecimal(candle.close - candle.open),
        dailyChangePercentage: formatDecimal(percentChange(candle)),
      }));
    return json(200, envelope(rows, null));
  });

/** Daily candles of the chart host: a bare array. */
export const graphOhlcs = (venue: VenueState, request: HttpRequest): HttpReply =>
  withMarket(venue, request, 'pair', (market, query) => {
    const { fromS, toS } = rangeOf(venue, query);
    const rows = candlesBetween(candlesOf(venue, market), DAY_S, fromS, toS).map(candle => ({
      pair: market.listing.symbol,
      time: candle.startS,
      open: exact(candle.open),
      high: exact(candle.high),
      low: exact(candle.low),
      close: exact(candle.close),
      volume: exact(candle.volume),
      total: exact(candle.turnover),
      average: exact(averageOf(candle, market.listing)),
      dailyChangeAmount: exact(candle.close - candle.open),
      dailyChangePercentage: exact(percentChange(candle)),
    }));
    return json(200, rows);
  });

/** Candles of the chart host: parallel arrays, bare (protocol section 4.8). */
export const graphKlines = (venue: VenueState, request: HttpRequest): HttpReply =>
  withMarket(venue, request, 'symbol', (market, query) => {
    const resolutionS = resolutionSeconds(query.get('resolution') ?? '');
    const { fromS, toS } = rangeOf(venue, query);
    const refusesNegative = faultOn(venue.faults, 'strict-klines') !== undefined && fromS < 0;
    if (resolutionS === undefined || refusesNegative) return refusal('INVALID_REQUEST_ERROR');
    const candles = candlesBetween(candlesOf(venue, market), resolutionS, fromS, toS);
    const column = (pick: (candle: Candle) => bigint): Wire => candles.map(candle => exact(pick(candle)));
    return json(200, {
      s: candles.length === 0 ? 'no_data' : 'ok',
      t: candles.map(candle => candle.startS),
      h: column(candle => candle.high),
      o: column(candle => candle.open),
      l: column(candle => candle.low),
      c: column(candle => candle.close),
      v: column(candle => candle.volume),
    });
  });

const withMarket = (
  venue: VenueState,
  request: HttpRequest,
  parameter: string,
  answer: (market: Market, query: URLSearchParams) => HttpReply,
): HttpReply => {
  const query = new URLSearchParams(request.query);
  const pair = query.get(parameter);
  if (pair === null || pair === '') return refusal('INVALID_REQUEST_ERROR');
  const market = findMarket(venue, pair);
  return market === undefined ? refusal(unknownPair(pair)) : answer(market, query);
};

/** Unix seconds; a negative `from` reaches back as far as there is anything. */
const rangeOf = (
  venue: VenueState,
  query: URLSearchParams,
): { readonly fromS: number; readonly toS: number } => {
  const nowS = Math.floor(venue.now.wallMs / 1_000);
  const from = Number(query.get('from') ?? 0);
  const to = Number(query.get('to') ?? nowS);
  return { fromS: Number.isFinite(from) ? from : 0, toS: Number.isFinite(to) ? to : nowS };
};

const averageOf = (candle: Candle, listing: Listing): Price =>
  candle.volume === 0n
    ? candle.close
    : roundTo(ratio(candle.turnover, candle.volume, 'half-up'), listing.denominatorScale, 'half-up');

const percentChange = (candle: Candle): bigint =>
  roundTo(ratio((candle.close - candle.open) * 100n, candle.open, 'half-up'), 2, 'half-up');

/** A row's text as it was printed last, and what it was printed from. */
interface PrintedRow {
  readonly listing: Listing;
  readonly lastPrice: Price;
  readonly text: Printed;
}

const printedRows = new WeakMap<Market, PrintedRow>();

/** The list is long, asked for every minute, and most of it stays as it is. */
const symbolText = (market: Market): Wire => {
  const { listing, lastPrice } = market;
  const printed = printedRows.get(market);
  if (printed?.listing === listing && printed.lastPrice === lastPrice) return printed.text;
  const text = new Printed(toJson(symbolRow(market)));
  printedRows.set(market, { listing, lastPrice, text });
  return text;
};

const printedCurrencies = new WeakMap<readonly Currency[], Printed>();
const currenciesText = (currencies: readonly Currency[]): Wire => {
  let printed = printedCurrencies.get(currencies);
  if (printed === undefined) {
    printed = new Printed(toJson(currencies.map(currencyRow)));
    printedCurrencies.set(currencies, printed);
  }
  return printed;
};

/** Limit prices may be a tenth to ten times the current price (protocol section 4.2). */
const symbolRow = (market: Market): Wire => {
  const { listing } = market;
  const scale = '0'.repeat(priceDecimals(listing));
  return {
    id: listing.pairId,
    name: listing.symbol,
    nameNormalized: normalizedName(listing),
    status: statusOf(listing) ?? '',
    numerator: listing.base,
    denominator: listing.quote,
    numeratorScale: listing.quantityScale,
    denominatorScale: listing.denominatorScale,
    hasFraction: listing.hasFraction,
    filters: [
      {
        filterType: 'PRICE_FILTER',
        minPrice: formatDecimal(listing.minPrice),
        maxPrice: formatDecimal(listing.maxPrice),
        tickSize: listing.tickSize,
        minExchangeValue: formatDecimal(listing.minNotional),
        minAmount: null,
        maxAmount: null,
      },
    ],
    orderMethods: listing.methods.map(method => METHOD_NAMES[method]),
    displayFormat: scale === '' ? '#,###' : `#,##0.${scale}`,
    commissionFromNumerator: false,
    order: listing.displayOrder,
    priceRounding: false,
    isNew: false,
    marketPriceWarningThresholdPercentage: 0.25,
    maximumOrderAmount: listing.maxQuantity === null ? null : exact(listing.maxQuantity),
    maximumLimitOrderPrice: exact(min(market.lastPrice * 10n, listing.maxPrice)),
    minimumLimitOrderPrice: exact(max(market.lastPrice / 10n, listing.minPrice)),
  };
};

const currencyRow = (currency: Currency): Wire => ({
  id: currency.currencyId,
  symbol: currency.asset,
  minWithdrawal: new Printed('10.0'),
  minDeposit: new Printed('0.0'),
  precision: currency.precision,
  address: currency.kind === 'FIAT' ? { minLen: null, maxLen: null } : { minLen: 25, maxLen: 130 },
  currencyType: currency.kind,
  tag: {
    enable: currency.asset === 'XRP',
    name: currency.asset === 'XRP' ? 'Tag' : null,
    minLen: null,
    maxLen: null,
  },
  color: `#${(currency.currencyId * 2_654_435 + 4_194_304).toString(16).slice(-6)}`,
  name: currency.name,
  isAddressRenewable: false,
  getAutoAddressDisabled: currency.kind === 'FIAT',
  isPartialWithdrawalEnabled: true,
  isNew: false,
});
