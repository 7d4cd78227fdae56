/**
 * JSON without loss. Trade ids exceed 2^53 (protocol section 2.2) and `preciseAmount` is a JSON number, so a plain
 * `JSON.parse` would change both. Here a number stays a JavaScript number only when it is a safe integer written
 * plainly; every other number becomes its own text, with an exponent written out unless it is an id.
 */

/** The reviver's third argument (ECMAScript source text access), not yet in the compiler's library. */
interface ReviverContext {
  readonly source?: string;
}

export type JsonResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly problem: string };

/**
 * Parses without losing digits. Never throws: text that is not JSON, or nested too deeply to walk, is a problem told
 * in words.
 */
export const parseJson = (text: string): JsonResult => {
  try {
    return { ok: true, value: LOSSY_NUMBER.test(text) ? parseKeeping(text) : (JSON.parse(text) as unknown) };
  } catch (error) {
    return { ok: false, problem: error instanceof Error ? error.message.slice(0, 120) : 'not JSON' };
  }
};

/**
 * A number that a double may change or print otherwise: a fraction, an exponent, sixteen digits, minus zero. What stands
 * in front of it in JSON may stand in a string as well: then the slower way is taken for nothing, and nothing is lost.
 */
const LOSSY_NUMBER = /(?:^|[:[,])\s*-?(?:\d{16}|\d+[.eE]|(?<=-)0)/;

/** With every number as its text: quoted beforehand, since a reviver costs several times the parsing. */
const parseKeeping = (text: string): unknown => {
  const quoted = quoteLossy(text);
  if (quoted === null) return JSON.parse(text, keepNumberText) as unknown;
  try {
    return JSON.parse(quoted) as unknown;
  } catch {
    // Said of the text as it came.
    return JSON.parse(text, keepNumberText) as unknown;
  }
};

const QUOTE = 34;
const PLUS = 43;
const MINUS = 45;
const DOT = 46;
const ZERO = 48;
const NINE = 57;
const BACKSLASH = 92;
/** Written with so few digits, a whole number is a safe integer. */
const SAFE_DIGITS = 15;
const PLAIN = /^(?:0|[1-9]\d*)$/;
const DECIMAL = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/;
/** What follows a number that stands for a value: not a name's colon, nor anything that belongs to no number. */
const AFTER_VALUE = /\s*(?:[,\]}]|$)/y;

/** Quotes the numbers outside strings that would lose something; null when one of them has an exponent. */
const quoteLossy = (text: string): string | null => {
  const { length } = text;
  let quoted = '';
  let copied = 0;
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at);
      continue;
    }
    if (code !== MINUS && (code < ZERO || code > NINE)) continue;
    const start = at;
    while (at < length && isOfNumber(text.charCodeAt(at))) at += 1;
    const number = text.slice(start, at);
    if ((number.length > SAFE_DIGITS || !PLAIN.test(number)) && !isKept(number)) {
      if (/[eE]/.test(number)) return null;
      AFTER_VALUE.lastIndex = at;
      if (DECIMAL.test(number) && AFTER_VALUE.test(text)) {
        quoted += `${text.slice(copied, start)}"${number}"`;
        copied = at;
      }
    }
    at -= 1;
  }
  return copied === 0 ? text : quoted + text.slice(copied);
};

/** Where the string that begins at `start` ends, or the text when it never does. */
const endOfString = (text: string, start: number): number => {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes += 1;
    if (escapes % 2 === 0) return end;
  }
  return text.length;
};

const isOfNumber = (code: number): boolean =>
  (code >= ZERO && code <= NINE) ||
  code === DOT ||
  code === MINUS ||
  code === PLUS ||
  code === LOWER_E ||
  code === UPPER_E;
const LOWER_E = 101;
const UPPER_E = 69;

/** Whether a double holds the number and prints it as it came. */
const isKept = (number: string): boolean => {
  const value = Number(number);
  return Number.isSafeInteger(value) && String(value) === number;
};

/** Names under which the venue gives ids. Case counts: `bid` is a price, and a low one may be printed with an exponent. */
const ID_NAME = /^(?:t?id|(?:[A-Za-z]*I|TI?)[dD])$/;

const keepNumberText = (key: string, value: unknown, context?: ReviverContext): unknown => {
  if (typeof value !== 'number') return value;
  const source = context?.source;
  if (source === undefined) throw new Error('this runtime does not give the source text of JSON numbers');
  if (Number.isSafeInteger(value) && String(value) === source) return value;
  // An id is never written with an exponent: what is, is a damaged one, and its text is left for the schema to refuse.
  return ID_NAME.test(key) ? source : writeOutExponent(source);
};

/** More digits than any amount has; beyond it the text is left as it is, and no schema takes it for a decimal. */
const EXPONENT_MAX = 40;

/** `1.5e-7` as `0.00000015`: exact, since only the dot moves. Text without an exponent comes back unchanged. */
const writeOutExponent = (source: string): string => {
  const match = /^(-?)(\d+)(?:\.(\d+))?[eE]([+-]?\d+)$/.exec(source);
  if (match === null) return source;
  const [, sign = '', whole = '', fraction = '', exponentText = ''] = match;
  const exponent = Number(exponentText);
  if (Math.abs(exponent) > EXPONENT_MAX || whole.length + fraction.length > EXPONENT_MAX) return source;
  const digits = whole + fraction;
  const dot = whole.length + exponent;
  const padded = dot <= 0 ? '0'.repeat(1 - dot) + digits : digits.padEnd(dot, '0');
  const at = Math.max(dot, 1);
  const integer = padded.slice(0, at).replace(/^0+(?=\d)/, '');
  const rest = padded.slice(at);
  return `${sign}${integer}${rest === '' ? '' : `.${rest}`}`;
};

/**
 * An envelope in PascalCase (`Data`, `Success`), as old .NET replies had it, with every key's first letter lowered;
 * anything else unchanged.
 */
export const lowerPascalCase = (value: unknown): unknown =>
  isRecord(value) && 'Success' in value && !('success' in value) ? lowerKeys(value, 0) : value;

const DEPTH_MAX = 32;

const lowerKeys = (value: unknown, depth: number): unknown => {
  if (depth > DEPTH_MAX) return value;
  if (Array.isArray(value)) return value.map(item => lowerKeys(item, depth + 1));
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key.charAt(0).toLowerCase() + key.slice(1),
      lowerKeys(inner, depth + 1),
    ]),
  );
};

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
