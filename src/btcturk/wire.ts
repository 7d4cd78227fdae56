/**
 * The venue's shapes, as they are on the wire (protocol sections 2, 4, 5 and 9.11). Unknown extra fields are tolerated;
 * a missing or malformed one fails the schema. Decimals leave a schema as plain text, ids as text, times as
 * milliseconds; translate.ts turns them into domain values.
 */
import { z } from 'zod';

const DECIMAL = /^-?\d{1,24}(?:\.\d{1,40})?$/;

/**
 * Text of a pattern, or a whole number, made something of. One step: a union collects the complaints of its first member
 * in vain, and a check with a transformation behind it is three schemas for each of the many amounts of a list.
 */
const textOrInteger = <T>(
  pattern: RegExp,
  make: (value: string | number) => T,
  least = Number.NEGATIVE_INFINITY,
) =>
  z.transform((value: unknown, context): T => {
    if (typeof value === 'string' && pattern.test(value)) return make(value);
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return make(value);
    context.issues.push({ code: 'custom', input: value });
    return z.NEVER;
  });

/** A decimal, as text or number (parseJson has kept the digits of both). */
const decimal = textOrInteger(DECIMAL, String);

/**
 * A decimal in a balance: a single comma without a dot is a decimal comma; both, or several, is an error and not a
 * guess (protocol section 2.3).
 */
const balanceDecimal = textOrInteger(/^-?\d{1,24}(?:[.,]\d{1,40})?$/, value =>
  String(value).replace(',', '.'),
);

/** An id, as text: integers above 2^53 arrive as text from parseJson. */
const id = textOrInteger(/^\d{1,20}$/, String, 0);

/** Unix ms, as number, `1790133600027.0` or text. */
const milliseconds = textOrInteger(/^\d{1,15}(?:\.0+)?$/, Number, 0);

/** One of a closed set of words, in any case. */
const word = <const W extends string>(...words: readonly [W, ...W[]]) =>
  z
    .string()
    .transform(text => text.toLowerCase())
    .pipe(z.enum(words));

const label = z
  .string()
  .nullish()
  .transform(value => value ?? null);

/** Section 2.1. `success` alone proves nothing; `code` may be a number, text or absent. */
export const VenueEnvelope = z.object({
  success: z.boolean(),
  message: z.string().nullish(),
  code: z.union([z.number(), z.string()]).nullish(),
  data: z.unknown().optional(),
});
export type VenueEnvelope = z.infer<typeof VenueEnvelope>;

/** Section 4.1; bare, without an envelope. */
export const VenueServerTime = z.object({ serverTime: milliseconds });

const VenuePriceFilter = z.object({
  filterType: z.literal('PRICE_FILTER'),
  minPrice: decimal,
  maxPrice: decimal,
  minExchangeValue: decimal,
});

const scale = z.int().min(0).max(16);

/** Section 4.2. */
export const VenueSymbol = z.object({
  id: z.int().nonnegative(),
  name: z.string().regex(/^[A-Z0-9]{2,20}$/),
  status: z.string(),
  numerator: z.string().min(1),
  denominator: z.string().min(1),
  numeratorScale: scale,
  denominatorScale: scale,
  hasFraction: z.boolean(),
  filters: z
    .array(z.unknown())
    .transform(filters => filters.find(filter => VenuePriceFilterKind.safeParse(filter).success))
    .pipe(VenuePriceFilter),
  orderMethods: z.array(z.string()),
  maximumOrderAmount: decimal.nullish(),
  maximumLimitOrderPrice: decimal.nullish(),
  minimumLimitOrderPrice: decimal.nullish(),
});
export type VenueSymbol = z.infer<typeof VenueSymbol>;
const VenuePriceFilterKind = z.object({ filterType: z.literal('PRICE_FILTER') });

/** Section 4.2; each symbol is checked on its own, so that one odd listing does not hide the others. */
export const VenueExchangeInfo = z.object({ symbols: z.array(z.unknown()) });

/** Section 4.3. */
export const VenueTicker = z.object({
  pair: z.string(),
  timestamp: milliseconds,
  last: decimal,
  bid: decimal,
  ask: decimal,
});
export const VenueTickers = z.array(VenueTicker);
/** All of them, each checked by itself: one odd row must not hide the others. */
export const VenueDayTicker = VenueTicker.extend({ volume: decimal });
export type VenueDayTicker = z.infer<typeof VenueDayTicker>;
export const VenueDayTickers = z.array(z.unknown());

const VenueBookLevel = z.tuple([decimal, decimal]);

/** Section 4.4. */
export const VenueOrderBook = z.object({
  timestamp: milliseconds,
  bids: z.array(VenueBookLevel),
  asks: z.array(VenueBookLevel),
});
export type VenueOrderBook = z.infer<typeof VenueOrderBook>;

/** Section 4.5. `side` is the aggressor's. */
export const VenuePublicTrade = z.object({
  pair: z.string(),
  date: milliseconds,
  tid: id,
  price: decimal,
  amount: decimal,
  side: word('buy', 'sell'),
});
export type VenuePublicTrade = z.infer<typeof VenuePublicTrade>;
export const VenuePublicTrades = z.array(VenuePublicTrade);

/** Section 4.8: parallel arrays, times in Unix seconds. `s` is null or not `ok` when there is nothing. */
export const VenueCandles = z.object({
  s: z.string().nullish(),
  t: z.array(z.int().nonnegative()),
  o: z.array(decimal),
  h: z.array(decimal),
  l: z.array(decimal),
  c: z.array(decimal),
  v: z.array(decimal),
});
export type VenueCandles = z.infer<typeof VenueCandles>;

/** Section 4.7: one row a day, bare array, time in Unix seconds. */
export const VenueDailyRows = z.array(
  z.object({
    pair: z.string(),
    time: z.int().nonnegative(),
    open: decimal,
    high: decimal,
    low: decimal,
    close: decimal,
    volume: decimal,
  }),
);
export type VenueDailyRows = z.infer<typeof VenueDailyRows>;

/** Section 5.1. */
export const VenueBalance = z.object({
  asset: z.string().min(1),
  balance: balanceDecimal,
  locked: balanceDecimal,
  free: balanceDecimal,
  timestamp: milliseconds.optional(),
});
export type VenueBalance = z.infer<typeof VenueBalance>;
export const VenueBalances = z.array(VenueBalance);

/** Section 5.2, and the payload of a 423 frame (section 9.11). */
export const VenueUserTrade = z.object({
  id,
  orderId: id,
  timestamp: milliseconds,
  numeratorSymbol: z.string().min(1),
  denominatorSymbol: z.string().min(1),
  orderType: word('buy', 'sell'),
  price: decimal,
  fee: decimal,
  tax: decimal,
  preciseAmount: decimal,
  orderClientId: label,
});
export type VenueUserTrade = z.infer<typeof VenueUserTrade>;
export const VenueUserTrades = z.array(VenueUserTrade);

/** Section 5.3. Crypto rows say whether they are confirmed; fiat rows exist only once they are. */
export const VenueCashRow = z.object({
  id,
  timestamp: milliseconds,
  currencySymbol: z.string().min(1),
  balanceType: word('deposit', 'withdrawal'),
  amount: decimal,
  fee: decimal,
  tax: decimal,
  isConfirmed: z.boolean().optional(),
});
export type VenueCashRow = z.infer<typeof VenueCashRow>;
export const VenueCashRows = z.array(VenueCashRow);

/** Section 5.4. `time` is 0 in open orders. */
export const VenueOrder = z.object({
  id,
  price: decimal,
  amount: decimal,
  leftAmount: decimal,
  stopPrice: decimal.nullish(),
  pairSymbol: z.string().min(1),
  type: word('buy', 'sell'),
  method: word('limit', 'market', 'stoplimit', 'stopmarket'),
  orderClientId: label,
  time: milliseconds,
  updateTime: milliseconds,
  status: word('untouched', 'partial', 'canceled', 'closed'),
});
export type VenueOrder = z.infer<typeof VenueOrder>;
export const VenueOrders = z.array(VenueOrder);

/** Section 5.5. */
export const VenueOpenOrders = z.object({ asks: VenueOrders, bids: VenueOrders });

/** Section 5.8: an acknowledgement, never a fill report. */
export const VenueSubmitted = z.object({
  id,
  pairSymbol: z.string().optional(),
  type: word('buy', 'sell').optional(),
  newOrderClientId: label,
});

/** Section 8: the body of a 429 has its own shape, and nothing in it is needed. */

/** 114, reply to a login (section 9.10). */
export const VenueLoginResult = z.object({
  ok: z.boolean(),
  message: z.string().nullish(),
  /** The user (section 9.10); nothing else hangs on it. */
  id: id.optional().catch(undefined),
});

/** 451 and 452, order entered and removed (section 9.11). */
export const VenueOrderEvent = z.object({ id, newOrderClientId: label });

/** 441, match: a hint without a trade id (section 9.11). */
export const VenueMatchEvent = z.object({ id, amount: decimal, clientId: label });
