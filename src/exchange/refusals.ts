/**
 * Refusals by message, with their published integers (protocol section 7.2). Clients dispatch on the message; messages
 * without a published integer get one from 2001 on, outside the range the venue uses.
 */
import type { HttpReply } from './venue-state.js';
import { toJson, type Wire } from './wire.js';

export const REFUSAL_CODES = {
  FAILED_MARKET_ORDER: 1118,
  FAILED_LIMIT_ORDER: 1120,
  FAILED_ORDER_PARAMETER: 1121,
  FAILED_ORDER_WITH_OPEN_ORDERS: 1122,
  FAILED_MIN_TOTAL_AMOUNT: 1123,
  FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK: 1124,
  FAILED_STOP_PRICE_LESS_THAN_BEST_BID: 1125,
  FAILED_INVALID_PRICE_SCALE: 1126,
  FAILED_INVALID_QUANTITY_SCALE: 1127,
  FAILED_INVALID_STOP_PRICE_SCALE: 1128,
  ORDER_METHOD_NOT_SUPPORTED: 1134,
  ORDER_TYPE_NOT_SUPPORTED: 1193,
  PRICE_MUST_BE_LESS_THAN_MAXPRICE: 1226,
  PRICE_MUST_BE_LESS_THAN_MINPRICE: 1227,
  BALANCE_NOT_ENOUGH: 1055,
  'Order not found': 1152,
  NO_ORDER_MATCHES_YOUR_REQUEST: 1052,
  ORDER_COULD_NOT_BE_CANCELED: 1051,
  INVALID_REQUEST_ERROR: 1037,
  'startTime cannot be bigger than current unix timestamp.': 1038,
  ORDER_MIN_PRICE_EXCEEDED: 2001,
  ORDER_MAX_PRICE_EXCEEDED: 2002,
  MAXIMUM_ORDER_AMOUNT_EXCEEDED: 2003,
  ORDER_INSERT_BLOCKED: 2010,
  ORDER_CANCEL_BLOCKED: 2011,
} as const;

export type RefusalMessage = keyof typeof REFUSAL_CODES;

/** The integer of a message; 1037, the venue's catch-all, for one that is not in the table. */
export const codeOf = (message: string): number =>
  Object.hasOwn(REFUSAL_CODES, message) ? REFUSAL_CODES[message as RefusalMessage] : 1037;

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8' };

export const json = (
  status: number,
  body: Wire,
  headers: Readonly<Record<string, string>> = {},
): HttpReply => ({
  status,
  headers: { ...JSON_HEADERS, ...headers },
  body: toJson(body),
});

/** A refusal outside order submission: no `data`. */
export const refusal = (message: string, status = 400): HttpReply =>
  json(status, { success: false, message, code: codeOf(message) });

/** A refused submit carries `httpStatusCode` and a null `data` (protocol section 5.8). */
export const submitRefusal = (message: string): HttpReply =>
  json(400, { httpStatusCode: 400, data: null, success: false, message, code: codeOf(message) });

/** A 401 (protocol section 3.3). */
export const unauthorized = (message: string, success: boolean): HttpReply =>
  message === 'empty' ? { status: 401, headers: {}, body: '' } : json(401, { success, message, code: 1037 });

const GATEWAY_TITLES: Readonly<Record<number, string>> = {
  403: 'Access denied',
  429: 'Too many requests',
  500: 'Internal server error',
  502: 'Bad gateway',
  503: 'Service temporarily unavailable',
  504: 'Gateway time-out',
};

/** A page of the network in front of the venue. */
export const gatewayPage = (status: number): HttpReply => {
  const title = GATEWAY_TITLES[status] ?? 'Error';
  return {
    status,
    headers: { 'content-type': 'text/html; charset=UTF-8', server: 'cloudflare' },
    body: `<!DOCTYPE html>\n<html><head><title>${status}: ${title}</title></head><body><h1>${title}</h1></body></html>\n`,
  };
};
