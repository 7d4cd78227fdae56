/** Makes any text and any facts fit for one line of a log: nothing in them can start a new line or move a cursor. */
import { formatDecimal } from '../domain/money.js';

/** Longest text kept inside a log line. */
export const MAX_TEXT_CHARS = 2_000;
/** Longest log line, without its end. */
export const MAX_LINE_CHARS = 8_192;
const MAX_DEPTH = 6;
const MAX_ITEMS = 100;

/** Control characters, line and paragraph separators, and marks that turn the direction of text. */
const HOSTILE = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;
const visible = (char: string): string => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;

/** `text` with hostile characters written out, cut to `limit`. */
export const cleanText = (text: string, limit = MAX_TEXT_CHARS): string => {
  const cut = text.length > limit ? `${text.slice(0, limit)}…(${text.length} characters)` : text;
  return cut.toWellFormed().replace(HOSTILE, visible);
};

/** Plain JSON values for a log line: amounts as decimal text, errors as words, everything bounded. */
export const cleanFacts = (value: unknown, depth = 0): unknown => {
  switch (typeof value) {
    case 'string':
      return cleanText(value);
    case 'bigint':
      return formatDecimal(value);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
      return value;
    case 'undefined':
      return undefined;
    case 'object':
      break;
    default:
      return `[${typeof value}]`;
  }
  if (value === null) return null;
  if (depth >= MAX_DEPTH) return '[…]';
  if (value instanceof Error) return { name: value.name, message: cleanText(value.message) };
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Set || Array.isArray(value)) {
    const items = [...value];
    const kept = items.slice(0, MAX_ITEMS).map(item => cleanFacts(item, depth + 1) ?? null);
    return items.length > MAX_ITEMS ? [...kept, `…(${items.length} items)`] : kept;
  }
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return Object.fromEntries(
    entries
      .slice(0, MAX_ITEMS)
      .map(([key, item]) => [
        key === '__proto__' ? '_proto_' : cleanText(String(key), 100),
        cleanFacts(item, depth + 1),
      ]),
  );
};
