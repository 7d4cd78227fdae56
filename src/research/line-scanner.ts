/**
 * Reads the lines of recordings as they are nearly always written, from bytes to whole ticks and lots, without making a
 * string or an object of anything. It knows one plain form of each frame and judges nothing: what is written otherwise
 * in any way, damaged lines included, it leaves to the reader of all forms (btcturk/public-frames.ts). A property test
 * holds the two together.
 */
import { GONE } from '../domain/order-book.js';
import { LEVEL_DELETE, LEVEL_INSERT, LEVEL_REPLACE } from '../domain/public-frame.js';

/** A market whose frames are understood. */
export interface ScannedMarket {
  readonly symbol: string;
  readonly priceScale: number;
  readonly quantityScale: number;
}

export const SCANNED = { none: 0, snapshot: 1, difference: 2, 'buy-trade': 3, 'sell-trade': 4 } as const;

/** What the newest line said. Changed in place by each scan. */
export interface ScannedLine {
  atMs: number;
  /** Index into the markets. */
  market: number;
  /** `ticks, lots` pairs as a tape has them: bids before asks, or the one pair of a trade. */
  bids: Float64Array;
  bidNumbers: number;
  asks: Float64Array;
  askNumbers: number;
  tradeId: number;
}

export interface LineScanner {
  readonly line: ScannedLine;
  /** Reads the line in `bytes[from .. to)`, without its line feed. @returns what it is; `SCANNED.none`: ask the other reader */
  scan(bytes: Uint8Array, from: number, to: number): number;
}

const code = (text: string): number => text.charCodeAt(0);
const codes = (text: string): Uint8Array => Uint8Array.from(text, code);
const QUOTE = code('"');
const COMMA = code(',');
const COLON = code(':');
const DOT = code('.');
const ZERO = code('0');
const NINE = code('9');
const OPEN_LIST = code('[');
const CLOSE_LIST = code(']');
const OPEN = code('{');
const CLOSE = code('}');
const LETTER_A = code('A');
const LETTER_B = code('B');
const LETTER_C = code('C');
const LETTER_D = code('D');
const LETTER_I = code('I');
const LETTER_O = code('O');
const LETTER_P = code('P');
const LETTER_S = code('S');
const AT = codes('{"at":');
const FRAME = codes(',"frame":[');
const CHANNEL = codes('"channel":"');
const EVENT = codes('"event":"');
const TYPE = codes('"type":');
const PAIR = codes('"PS":"');
const CHANGE = codes('{"CP":');
const CHANGE_PRICE = codes(',"P":"');
const AMOUNT = codes('","A":"');
const AMOUNT_FIRST = codes('{"A":"');
const PRICE_FIRST = codes('{"P":"');
const THEN_PRICE = codes('","P":"');
const LEVEL_END = codes('"}');
const OBDIFF = codes('obdiff');

/** So many digits a double holds exactly, whatever they are. */
const DIGITS_MAX = 15;
/** So many, a 32-bit integer. */
const SMALL_DIGITS = 9;
const DECIMALS_MAX = 16;
const LEVELS_MAX = 1_024;

/** What of a frame was seen, so that nothing is taken twice or missed. */
const SEEN = { asks: 1, bids: 2, changeSet: 4, event: 8, amount: 16, price: 32, side: 64, id: 128, at: 256 };
const BOOK_SEEN = SEEN.asks | SEEN.bids | SEEN.changeSet | SEEN.event;
const TRADE_SEEN = SEEN.event | SEEN.amount | SEEN.price | SEEN.side | SEEN.id | SEEN.at;

/** @param markets their frames are read; those of others are left to the other reader */
export const createLineScanner = (markets: readonly ScannedMarket[]): LineScanner => {
  const names = markets.map(({ symbol }) => codes(symbol));
  const line: ScannedLine = {
    atMs: 0,
    market: 0,
    bids: new Float64Array(2 * LEVELS_MAX),
    bidNumbers: 0,
    asks: new Float64Array(2 * LEVELS_MAX),
    askNumbers: 0,
    tradeId: Number.NaN,
  };
  let bytes: Uint8Array = new Uint8Array(0);
  let at = 0;
  let end = 0;

  /** Goes past the expected bytes, or stays. */
  const skip = (expected: Uint8Array): boolean => {
    if (at + expected.length > end) return false;
    for (let index = 0; index < expected.length; index++)
      if (bytes[at + index] !== expected[index]) return false;
    at += expected.length;
    return true;
  };
  const skipOne = (expected: number): boolean => {
    if (at >= end || bytes[at] !== expected) return false;
    at += 1;
    return true;
  };
  /** A whole number of at most 15 digits without a leading zero; -1 for anything else. */
  const whole = (): number => {
    const begin = at;
    let value = 0;
    while (at < end) {
      const digit = bytes[at] as number;
      if (digit < ZERO || digit > NINE) break;
      value = value * 10 + (digit - ZERO);
      at += 1;
    }
    const digits = at - begin;
    return digits === 0 || digits > DIGITS_MAX || (digits > 1 && bytes[begin] === ZERO) ? -1 : value;
  };
  /**
   * A plain decimal times 10^`scale`, digits past the scale cut off.
   * @returns -1 for anything else, for what a double does not hold, and where `exact` for digits that would be cut off
   */
  const decimal = (scale: number, exact: boolean): number => {
    // Nearly all have so few digits that integers do; anything else is read again with more care.
    const text = bytes;
    const begin = at;
    let next = begin;
    let value = 0;
    let digit = (text[next] as number) - ZERO;
    while (digit >= 0 && digit <= 9) {
      value = (Math.imul(value, 10) + digit) | 0;
      digit = (text[++next] as number) - ZERO;
    }
    const wholes = next - begin;
    let decimals = 0;
    if (digit === DOT - ZERO) {
      const from = next + 1;
      next = from;
      digit = (text[next] as number) - ZERO;
      while (digit >= 0 && digit <= 9) {
        value = (Math.imul(value, 10) + digit) | 0;
        digit = (text[++next] as number) - ZERO;
      }
      decimals = next - from;
      if (decimals === 0) return -1;
    }
    if (wholes === 0 || decimals > scale || wholes + scale > SMALL_DIGITS || next > end)
      return longDecimal(scale, exact);
    for (let missing = scale - decimals; missing > 0; missing--) value = Math.imul(value, 10);
    at = next;
    return value;
  };
  const longDecimal = (scale: number, exact: boolean): number => {
    const begin = at;
    let value = 0;
    let dot = -1;
    let kept = 0;
    while (at < end) {
      const digit = bytes[at] as number;
      if (digit >= ZERO && digit <= NINE) {
        if (dot === -1 || at - dot <= scale) {
          value = value * 10 + (digit - ZERO);
          kept += 1;
        } else if (exact && digit !== ZERO) return -1;
      } else if (digit === DOT && dot === -1 && at > begin) dot = at;
      else break;
      at += 1;
    }
    const decimals = dot === -1 ? 0 : at - dot - 1;
    if (at === begin || (dot !== -1 && decimals === 0) || decimals > DECIMALS_MAX) return -1;
    let missing = scale - decimals;
    if (kept + Math.max(0, missing) > DIGITS_MAX) return -1;
    for (; missing > 0; missing--) value *= 10;
    return value;
  };

  /** A list of changes into `target`. @returns how many numbers there are now; -1 when it is not understood */
  const changes = (target: Float64Array, { priceScale, quantityScale }: ScannedMarket): number => {
    const text = bytes;
    if (!skipOne(OPEN_LIST)) return -1;
    if (skipOne(CLOSE_LIST)) return 0;
    // No further than the line: the longest fixed part is looked at without a check.
    const last = end - CHANGE.length - CHANGE_PRICE.length;
    for (let count = 0; count < target.length; ) {
      let next = at;
      if (
        next > last ||
        text[next] !== OPEN ||
        text[next + 1] !== QUOTE ||
        text[next + 2] !== LETTER_C ||
        text[next + 3] !== LETTER_P ||
        text[next + 4] !== QUOTE ||
        text[next + 5] !== COLON
      )
        return -1;
      const action = (text[next + 6] as number) - ZERO;
      if (action !== LEVEL_REPLACE && action !== LEVEL_INSERT && action !== LEVEL_DELETE) return -1;
      at = next + 7;
      if (!skip(CHANGE_PRICE)) return -1;
      const ticks = decimal(priceScale, true);
      if (ticks <= 0 || !skip(AMOUNT)) return -1;
      const lots = decimal(quantityScale, false);
      next = at;
      if (lots < 0 || next + 2 >= end || text[next] !== QUOTE || text[next + 1] !== CLOSE) return -1;
      target[count++] = ticks;
      target[count++] = action === LEVEL_DELETE ? GONE : lots;
      at = next + 3;
      if (text[next + 2] === CLOSE_LIST) return count;
      if (text[next + 2] !== COMMA) return -1;
    }
    return -1;
  };

  /** As `changes`, for the levels of a whole book. */
  const levels = (target: Float64Array, { priceScale, quantityScale }: ScannedMarket): number => {
    if (!skipOne(OPEN_LIST)) return -1;
    if (skipOne(CLOSE_LIST)) return 0;
    for (let count = 0; count < target.length; ) {
      let ticks: number;
      let lots: number;
      if (skip(AMOUNT_FIRST)) {
        lots = decimal(quantityScale, false);
        if (lots < 0 || !skip(THEN_PRICE)) return -1;
        ticks = decimal(priceScale, true);
      } else {
        if (!skip(PRICE_FIRST)) return -1;
        ticks = decimal(priceScale, true);
        if (ticks <= 0 || !skip(AMOUNT)) return -1;
        lots = decimal(quantityScale, false);
      }
      if (ticks <= 0 || lots < 0 || !skip(LEVEL_END)) return -1;
      target[count++] = ticks;
      target[count++] = lots;
      if (skipOne(CLOSE_LIST)) return count;
      if (!skipOne(COMMA)) return -1;
    }
    return -1;
  };

  /** Goes past a string of plain letters; its opening quote is behind. */
  const plain = (): boolean => {
    for (; at < end; at++) {
      const letter = bytes[at] as number;
      if (letter === QUOTE) {
        at += 1;
        return true;
      }
      if (letter < 0x20 || letter > 0x7e || letter === 0x5c) return false;
    }
    return false;
  };

  /** Which market a frame is of, before it is read: its levels mean nothing without. */
  const marketOf = (from: number): number => {
    // The last key but one as a rule; a text that only looks like it would not survive the reading itself.
    for (let index = end - EVENT.length; index > from; index--) {
      if (bytes[index] !== QUOTE || bytes[index + 1] !== EVENT[1] || bytes[index + 2] !== EVENT[2]) continue;
      at = index;
      if (!skip(EVENT)) continue;
      const begin = at;
      for (let market = 0; market < names.length; market++) {
        at = begin;
        if (skip(names[market] as Uint8Array) && skipOne(QUOTE)) return market;
      }
      return -1;
    }
    return -1;
  };

  const frame = (model: number): number => {
    const begin = at;
    const index = marketOf(at);
    const market = markets[index];
    const name = names[index];
    if (market === undefined || name === undefined) return SCANNED.none;
    at = begin;
    line.market = index;
    const isTrade = model === 422;
    let seen = 0;
    let isObdiff = false;
    let side = -1;
    for (;;) {
      const key = bytes[at + 1];
      const second = bytes[at + 2];
      let part = 0;
      if (!isTrade && (key === LETTER_A || key === LETTER_B) && second === LETTER_O) {
        if (bytes[at] !== QUOTE || bytes[at + 3] !== QUOTE || bytes[at + 4] !== COLON) return SCANNED.none;
        at += 5;
        part = key === LETTER_A ? SEEN.asks : SEEN.bids;
        const read = model === 432 ? changes : levels;
        const count = read(key === LETTER_A ? line.asks : line.bids, market);
        if (count < 0) return SCANNED.none;
        if (key === LETTER_A) line.askNumbers = count;
        else line.bidNumbers = count;
      } else if (!isTrade && key === LETTER_C && second === LETTER_S) {
        if (bytes[at] !== QUOTE || bytes[at + 3] !== QUOTE || bytes[at + 4] !== COLON) return SCANNED.none;
        at += 5;
        part = SEEN.changeSet;
        if (whole() < 0) return SCANNED.none;
      } else if (isTrade && second === QUOTE && bytes[at] === QUOTE && bytes[at + 3] === COLON) {
        at += 4;
        if (key === LETTER_S) {
          part = SEEN.side;
          side = whole();
          if (side !== 0 && side !== 1) return SCANNED.none;
        } else {
          if (!skipOne(QUOTE)) return SCANNED.none;
          let value: number;
          if (key === LETTER_P) {
            part = SEEN.price;
            value = decimal(market.priceScale, false);
            line.bids[0] = value;
          } else if (key === LETTER_A) {
            part = SEEN.amount;
            value = decimal(market.quantityScale, false);
            line.bids[1] = value;
          } else if (key === LETTER_I) {
            part = SEEN.id;
            value = whole();
            line.tradeId = value;
          } else if (key === LETTER_D) {
            part = SEEN.at;
            value = whole();
          } else return SCANNED.none;
          // What is cut off to nothing is still something: the other reader knows.
          if (value < 0 || ((key === LETTER_P || key === LETTER_A) && value === 0)) return SCANNED.none;
          if (!skipOne(QUOTE)) return SCANNED.none;
        }
      } else if (skip(EVENT)) {
        part = SEEN.event;
        if (!skip(name) || !skipOne(QUOTE)) return SCANNED.none;
      } else if (skip(CHANNEL)) {
        const from = at;
        isObdiff = skip(OBDIFF) && bytes[at] === QUOTE;
        at = from;
        if (!plain()) return SCANNED.none;
      } else if (skip(PAIR)) {
        if (!plain()) return SCANNED.none;
      } else if (skip(TYPE)) {
        if (whole() < 0) return SCANNED.none;
      } else return SCANNED.none;
      if ((seen & part) !== 0) return SCANNED.none;
      seen |= part;
      if (skipOne(CLOSE)) break;
      if (!skipOne(COMMA)) return SCANNED.none;
    }
    if (isTrade) {
      if (seen !== TRADE_SEEN) return SCANNED.none;
      line.bidNumbers = 2;
      line.askNumbers = 0;
      return side === 0 ? SCANNED['buy-trade'] : SCANNED['sell-trade'];
    }
    if (seen !== BOOK_SEEN || !isObdiff) return SCANNED.none;
    return model === 431 ? SCANNED.snapshot : SCANNED.difference;
  };

  return {
    line,
    scan: (text, from, to) => {
      bytes = text;
      at = from;
      end = to;
      if (!skip(AT)) return SCANNED.none;
      line.atMs = whole();
      if (line.atMs < 0 || !skip(FRAME)) return SCANNED.none;
      const model = whole();
      if ((model !== 432 && model !== 422 && model !== 431) || !skipOne(COMMA) || !skipOne(OPEN))
        return SCANNED.none;
      const kind = frame(model);
      if (kind === SCANNED.none) return kind;
      return skipOne(CLOSE_LIST) && skipOne(CLOSE) && at === end ? kind : SCANNED.none;
    },
  };
};
