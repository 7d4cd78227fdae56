/** JSON text as the venue prints it: integers of 64 bits and exact decimals as plain numbers (protocol section 2.2). */
import { decimalsOf, formatDecimal, formatFixed } from '../domain/money.js';

/** A value that has been printed already: a number past what a double can hold, or what stays as it was. */
export class Printed {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** A value that can be printed; a bigint is an integer, an absent field is left out. */
export type Wire =
  | string
  | number
  | bigint
  | boolean
  | null
  | Printed
  | readonly Wire[]
  | { readonly [field: string]: Wire | undefined };

/** An exact amount as a JSON number. */
export const exact = (value: bigint): Printed => new Printed(formatDecimal(value));

export const toJson = (value: Wire): string => {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return String(value);
  if (value === null) return 'null';
  if (value instanceof Printed) return value.text;
  let text = '';
  if (isArray(value)) {
    for (const item of value) text += text === '' ? toJson(item) : `,${toJson(item)}`;
    return `[${text}]`;
  }
  for (const name of Object.keys(value)) {
    const field = value[name];
    if (field !== undefined) text += `${text === '' ? '' : ','}${quotedName(name)}:${toJson(field)}`;
  }
  return `{${text}}`;
};

const quotedNames = new Map<string, string>();
/** Names of fields are few and come again and again. */
const quotedName = (name: string): string => {
  let quoted = quotedNames.get(name);
  if (quoted === undefined) {
    quoted = JSON.stringify(name);
    if (quotedNames.size < QUOTED_NAMES_MAX) quotedNames.set(name, quoted);
  }
  return quoted;
};
const QUOTED_NAMES_MAX = 1_000;

/** At least this many decimals, more when the value needs them: `0.50000000`, `0.1997491904775655`. */
export const atLeast = (value: bigint, decimals: number): string =>
  formatFixed(value, Math.max(decimals, decimalsOf(value)));

/** `0` for nothing, else all 16 decimals: how balances are printed. */
export const stored = (value: bigint): string => (value === 0n ? '0' : formatFixed(value, 16));

/** The documented envelope of a success. `message` differs from endpoint to endpoint. */
export const envelope = (data: Wire, message: string | null = 'SUCCESS'): Wire => ({
  data,
  success: true,
  message,
  code: 0,
});

const isArray = (value: Wire): value is readonly Wire[] => Array.isArray(value);
