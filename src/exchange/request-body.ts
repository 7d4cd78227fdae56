/** Request bodies as the venue reads them: any case of field names, decimals as text or as numbers (section 13.1). */
import { DECIMALS, tryParseDecimal } from '../domain/money.js';

/** A body's fields by lower-case name; numbers as their source text. */
export type RequestFields = ReadonlyMap<string, string | boolean | null>;

/** @returns `undefined` when the text is not a JSON object; nested fields are ignored */
export const readFields = (body: string): RequestFields | undefined => {
  let parsed: unknown;
  try {
    parsed = parseKeepingDigits(body);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined;
  const fields = new Map<string, string | boolean | null>();
  for (const [name, value] of Object.entries(parsed))
    if (typeof value === 'string' || typeof value === 'boolean' || value === null)
      fields.set(name.toLowerCase(), value);
  return fields;
};

/** A text field, or `undefined` when it is absent, null or empty. */
export const textField = (fields: RequestFields, name: string): string | undefined => {
  const value = fields.get(name.toLowerCase());
  return typeof value === 'string' && value !== '' ? value : undefined;
};

/** What a decimal field holds. */
export type DecimalField =
  | { readonly type: 'absent' }
  | { readonly type: 'malformed' }
  | { readonly type: 'value'; readonly value: bigint };

const PLAIN = /^\d{0,12}(\.\d{1,16})?$/;
const WITH_EXPONENT = /^(\d{1,12})(?:\.(\d{1,16}))?[eE]([+-]?\d{1,2})$/;

/** A decimal: plain text as the venue's model has it, or a JSON number, which may have an exponent. */
export const decimalField = (fields: RequestFields, name: string): DecimalField => {
  const text = textField(fields, name);
  if (text === undefined) return { type: 'absent' };
  if (PLAIN.test(text)) {
    const value = tryParseDecimal(text.startsWith('.') ? `0${text}` : text);
    return value === undefined ? { type: 'malformed' } : { type: 'value', value };
  }
  const number = text.startsWith(NUMBER_MARK) ? text.slice(NUMBER_MARK.length) : undefined;
  const value = number === undefined ? undefined : readNumber(number);
  return value === undefined ? { type: 'malformed' } : { type: 'value', value };
};

/** Set before the source text of JSON numbers with an exponent, which are permitted where such text is not. */
const NUMBER_MARK = '#';

/** A reviver is given the source text of each primitive: standard, but not yet in the compiler's library. */
type SourceReviver = (
  this: unknown,
  key: string,
  value: unknown,
  context: { readonly source?: string },
) => unknown;

const parseKeepingDigits = (text: string): unknown => {
  const reviver: SourceReviver = (_key, value, context) => {
    if (typeof value !== 'number') return value;
    const source = context.source ?? String(value);
    return /[eE]/.test(source) ? `${NUMBER_MARK}${source}` : source;
  };
  return JSON.parse(text, reviver as (this: unknown, key: string, value: unknown) => unknown);
};

const readNumber = (text: string): bigint | undefined => {
  const match = WITH_EXPONENT.exec(text);
  if (match === null) return undefined;
  const fraction = match[2] ?? '';
  const shift = DECIMALS - fraction.length + Number(match[3]);
  const digits = BigInt(`${match[1]}${fraction}`);
  if (shift >= 0) return digits * 10n ** BigInt(shift);
  const divisor = 10n ** BigInt(-shift);
  return digits % divisor === 0n ? digits / divisor : undefined;
};
