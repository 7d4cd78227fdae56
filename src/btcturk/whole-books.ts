/**
 * Whole books (model 431) read straight from their text: hundreds of levels come every second or less, and an object with
 * two texts for each of them costs more than the reading. Only text written exactly as the venue writes it is read; what
 * differs in anything is left to the JSON parser and its guards.
 */
import type { BookSnapshotFrame } from '../domain/public-frame.js';
import { scaledExact, scaledFloor } from './scaled.js';

/** Decimals of a pair's prices and quantities. */
export interface Scales {
  readonly priceScale: number;
  readonly quantityScale: number;
}

const HEAD = '[431,{"CS":';
const PAIR = ',"PS":"';
const ASKS = '","AO":[';
const BIDS = ',"BO":[';
const AMOUNT = '{"A":"';
const PRICE = '","P":"';
const LEVEL_END = '"}';
const CHANNELS = ['orderbook', 'obdiff'] as const;

const COMMA = 44;
const ZERO = 48;
const NINE = 57;
const LIST_END = 93;
/** A change set with more digits might not be a safe integer. */
const CHANGE_SET_DIGITS = 15;

/**
 * @param scales of the wanted symbols
 * @returns the frame, or undefined when the text is any other or the symbol is not wanted
 */
export const scanWholeBook = (
  text: string,
  scales: ReadonlyMap<string, Scales>,
): BookSnapshotFrame | undefined => {
  if (!text.startsWith(HEAD)) return undefined;
  const afterChangeSet = text.indexOf(',', HEAD.length);
  const changeSet = wholeNumber(text, HEAD.length, afterChangeSet);
  if (changeSet === undefined || !text.startsWith(PAIR, afterChangeSet)) return undefined;
  const pairAt = afterChangeSet + PAIR.length;
  const pairEnd = text.indexOf('"', pairAt);
  if (pairEnd === -1 || !text.startsWith(ASKS, pairEnd)) return undefined;
  const symbol = text.slice(pairAt, pairEnd);
  const scale = scales.get(symbol);
  if (scale === undefined) return undefined;
  const asks: number[] = [];
  const asksEnd = scanLevels(text, pairEnd + ASKS.length, scale, asks);
  if (asksEnd === -1 || !text.startsWith(BIDS, asksEnd)) return undefined;
  const bids: number[] = [];
  const bidsEnd = scanLevels(text, asksEnd + BIDS.length, scale, bids);
  if (bidsEnd === -1) return undefined;
  const tail = text.slice(bidsEnd);
  for (const channel of CHANNELS)
    if (tail === `,"channel":"${channel}","event":"${symbol}","type":431}]`)
      return { type: 'book-snapshot', channel, symbol, changeSet, bids, asks };
  return undefined;
};

const wholeNumber = (text: string, start: number, end: number): number | undefined => {
  const digits = end - start;
  if (digits < 1 || digits > CHANGE_SET_DIGITS) return undefined;
  if (digits > 1 && text.charCodeAt(start) === ZERO) return undefined;
  let value = 0;
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code < ZERO || code > NINE) return undefined;
    value = value * 10 + (code - ZERO);
  }
  return value;
};

/**
 * Levels from `start` on as `ticks, lots` pairs.
 * @returns the place after the list's end, or -1 when a level is written otherwise or cannot be read
 */
const scanLevels = (text: string, start: number, scale: Scales, levels: number[]): number => {
  let at = start;
  if (text.charCodeAt(at) === LIST_END) return at + 1;
  for (;;) {
    if (!isAt(text, at, AMOUNT)) return -1;
    at += AMOUNT.length;
    const amountEnd = text.indexOf('"', at);
    const lots = scaledFloor(text, scale.quantityScale, at, amountEnd);
    if (!isAt(text, amountEnd, PRICE)) return -1;
    at = amountEnd + PRICE.length;
    const priceEnd = text.indexOf('"', at);
    const ticks = scaledExact(text, scale.priceScale, at, priceEnd);
    if (!(ticks > 0) || !(lots >= 0) || !isAt(text, priceEnd, LEVEL_END)) return -1;
    levels.push(ticks, lots);
    at = priceEnd + LEVEL_END.length;
    const code = text.charCodeAt(at);
    at += 1;
    if (code === LIST_END) return at;
    if (code !== COMMA) return -1;
  }
};

/** As `startsWith`, which is a call out of compiled code: many a time for a few characters each. */
const isAt = (text: string, at: number, words: string): boolean => {
  for (let index = 0; index < words.length; index++)
    if (text.charCodeAt(at + index) !== words.charCodeAt(index)) return false;
  return true;
};
