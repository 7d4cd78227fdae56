/**
 * What the embedded exchange lists: thirteen pairs with the scales, traps and oddities of protocol section 4.2, in our
 * own table. A recording or a mirrored market may list others or correct a scale.
 */
import type { OrderMethod } from '../domain/instrument.js';
import { type Amount, decimalsOf, type Price, parseDecimal, type Quantity } from '../domain/money.js';

/** A pair as the venue describes it (protocol section 4.2). */
export interface Listing {
  readonly pairId: number;
  readonly symbol: string;
  readonly base: string;
  readonly quote: string;
  /** `numeratorScale`: decimals of a base quantity. */
  readonly quantityScale: number;
  /** `denominatorScale`: decimals of a price, if `hasFraction`. */
  readonly denominatorScale: number;
  /** False means whole prices whatever `denominatorScale` says. */
  readonly hasFraction: boolean;
  /** As printed; not a step that is enforced. */
  readonly tickSize: string;
  readonly minNotional: Amount;
  readonly minPrice: Price;
  readonly maxPrice: Price;
  readonly maxQuantity: Quantity | null;
  readonly methods: readonly OrderMethod[];
  readonly displayOrder: number;
  /** As exchangeinfo says it; absent means `TRADING`. Null: the pair is listed no longer. */
  readonly status?: string | null;
}

/** A currency as the venue describes it, reduced to what differs between currencies. */
export interface Currency {
  readonly currencyId: number;
  readonly asset: string;
  readonly name: string;
  readonly kind: 'FIAT' | 'CRYPTO';
  /** Digits for display; stored amounts have 16. */
  readonly precision: number;
}

const ALL_METHODS: readonly OrderMethod[] = ['market', 'limit', 'stop-market', 'stop-limit'];
const LIMIT_METHODS: readonly OrderMethod[] = ['limit', 'stop-limit'];
const MIN_PRICE = parseDecimal('0.0000000000001');
const MAX_PRICE = parseDecimal('10000000');
/** Least order value by quote currency (protocol section 4.2). */
const MIN_NOTIONAL: Readonly<Record<string, Amount>> = {
  TRY: parseDecimal('99.91'),
  USDT: parseDecimal('9.91'),
};

const listing = (
  pairId: number,
  base: string,
  quote: string,
  quantityScale: number,
  denominatorScale: number,
  displayOrder: number,
  oddities: Partial<Pick<Listing, 'hasFraction' | 'tickSize' | 'methods'>> = {},
): Listing => ({
  pairId,
  symbol: base + quote,
  base,
  quote,
  quantityScale,
  denominatorScale,
  hasFraction: true,
  tickSize: denominatorScale === 0 ? '1' : `0.${'0'.repeat(denominatorScale - 1)}1`,
  minNotional: MIN_NOTIONAL[quote] ?? parseDecimal('9.91'),
  minPrice: MIN_PRICE,
  maxPrice: MAX_PRICE,
  maxQuantity: null,
  methods: ALL_METHODS,
  displayOrder,
  ...oddities,
});

/** The pairs, in the order in which the venue shows them. */
export const CATALOGUE: readonly Listing[] = [
  listing(1, 'BTC', 'TRY', 8, 0, 1000, { hasFraction: false, tickSize: '10' }),
  listing(3, 'ETH', 'TRY', 8, 2, 1034, { hasFraction: false, tickSize: '1' }),
  listing(18, 'USDT', 'TRY', 2, 3, 1001),
  listing(16, 'XRP', 'TRY', 4, 3, 1003),
  listing(57, 'ADA', 'TRY', 4, 3, 1004),
  listing(131, 'AAVE', 'TRY', 4, 2, 1002),
  listing(19, 'BTC', 'USDT', 8, 0, 2000, { hasFraction: false }),
  listing(20, 'ETH', 'USDT', 8, 1, 2001),
  listing(21, 'XRP', 'USDT', 4, 4, 2002),
  listing(62, 'DOT', 'USDT', 2, 2, 2003),
  listing(160, 'GLM', 'USDT', 4, 4, 2004, { methods: LIMIT_METHODS }),
  listing(317, 'HNT', 'USDT', 2, 4, 2005),
  listing(339, 'MEME', 'USDT', 0, 6, 2006),
];

const CURRENCIES: readonly Currency[] = [
  { currencyId: 1, asset: 'TRY', name: 'Türk Lirası', kind: 'FIAT', precision: 2 },
  { currencyId: 2, asset: 'BTC', name: 'Bitcoin', kind: 'CRYPTO', precision: 8 },
  { currencyId: 3, asset: 'ETH', name: 'Ethereum', kind: 'CRYPTO', precision: 8 },
  { currencyId: 5, asset: 'XRP', name: 'Ripple', kind: 'CRYPTO', precision: 4 },
  { currencyId: 7, asset: 'USDT', name: 'Tether', kind: 'CRYPTO', precision: 2 },
  { currencyId: 18, asset: 'ADA', name: 'Cardano', kind: 'CRYPTO', precision: 4 },
  { currencyId: 19, asset: 'DOT', name: 'Polkadot', kind: 'CRYPTO', precision: 2 },
  { currencyId: 48, asset: 'AAVE', name: 'Aave', kind: 'CRYPTO', precision: 4 },
  { currencyId: 60, asset: 'GLM', name: 'Golem', kind: 'CRYPTO', precision: 4 },
  { currencyId: 114, asset: 'HNT', name: 'Helium', kind: 'CRYPTO', precision: 2 },
  { currencyId: 123, asset: 'MEME', name: 'Memecoin', kind: 'CRYPTO', precision: 0 },
];

/** The currencies of these pairs: the known ones, and plain entries for any other. */
export const currenciesOf = (listings: readonly Listing[]): readonly Currency[] => {
  const known = new Map(CURRENCIES.map(currency => [currency.asset, currency]));
  let nextId = 900;
  for (const { base, quote, quantityScale } of listings)
    for (const [asset, precision] of [
      [base, quantityScale],
      [quote, 2],
    ] as const)
      if (!known.has(asset))
        known.set(asset, { currencyId: nextId++, asset, name: asset, kind: 'CRYPTO', precision });
  return [...known.values()];
};

/** Orders are taken only while it says this. */
export const TRADING = 'TRADING';
export const statusOf = (listed: Listing): string | null =>
  listed.status === undefined ? TRADING : listed.status;

/** Decimals a price may really have. */
export const priceDecimals = (listed: Listing): number => (listed.hasFraction ? listed.denominatorScale : 0);

/** Decimals the quote amount of a market buy may have (protocol section 14, row 17: at least two are taken). */
export const quoteDecimals = (listed: Listing): number => Math.max(2, listed.denominatorScale);

/** `BTC_TRY`. */
export const normalizedName = (listed: Listing): string => `${listed.base}_${listed.quote}`;

/** Quotes by which a symbol that is not in the catalogue can be taken apart, longest first. */
const KNOWN_QUOTES = ['USDT', 'USDC', 'TRY', 'BTC', 'ETH', 'EUR', 'USD'];

/**
 * The listing under which a recorded or mirrored market trades: the catalogue's, with the price decimals the market
 * really uses; a plain one when the catalogue does not have the pair.
 * @returns `undefined` when the symbol cannot be taken apart
 */
export const listingForMarket = (
  symbol: string,
  prices: Iterable<Price>,
  quantities: Iterable<Quantity>,
): Listing | undefined => {
  let priceScale = 0;
  for (const price of prices) priceScale = Math.max(priceScale, decimalsOf(price));
  let quantityScale = 0;
  for (const quantity of quantities) quantityScale = Math.max(quantityScale, decimalsOf(quantity));
  const known = CATALOGUE.find(candidate => candidate.symbol === symbol);
  if (known !== undefined) {
    if (priceScale <= priceDecimals(known) && quantityScale <= known.quantityScale) return known;
    return {
      ...known,
      hasFraction: priceScale > 0 || known.hasFraction,
      denominatorScale: Math.max(priceScale, priceDecimals(known)),
      quantityScale: Math.max(quantityScale, known.quantityScale),
    };
  }
  const quote = KNOWN_QUOTES.find(suffix => symbol.endsWith(suffix) && symbol.length > suffix.length);
  if (quote === undefined) return undefined;
  const pairId = 5_000 + [...symbol].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 4_000, 7);
  return listing(
    pairId,
    symbol.slice(0, -quote.length),
    quote,
    Math.max(quantityScale, 4),
    priceScale,
    3_000,
  );
};
