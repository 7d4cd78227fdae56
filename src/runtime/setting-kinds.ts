/** The kinds of value a setting can have: how each is read, from text or from JSON, and how it is described. */
import { type Amount, tryParseDecimal } from '../domain/money.js';

/** A value as it was found: the text of a variable, or what a key of a JSON file holds. */
export type RawValue =
  | string
  | number
  | boolean
  | null
  | readonly unknown[]
  | { readonly [key: string]: unknown };

export type ParsedValue<T> =
  | { readonly ok: true; readonly value: T }
  /** `expected` completes "expected …". `hint` is what was probably meant, ready to be written. */
  | { readonly ok: false; readonly expected: string; readonly hint?: string };

/** How one kind of value is read. */
export interface Kind<T> {
  /** For people: `whole number from 1 to 60`. */
  readonly words: string;
  /** A value of this kind may carry a token: no message repeats it. */
  readonly confidential?: true;
  parse(raw: RawValue): ParsedValue<T>;
}

const ok = <T>(value: T): ParsedValue<T> => ({ ok: true, value });

/** Text of a scalar; undefined for anything else. Numbers and truth values of a JSON file mean their text. */
const textOf = (raw: RawValue): string | undefined =>
  typeof raw === 'string'
    ? raw
    : typeof raw === 'number' || typeof raw === 'boolean'
      ? String(raw)
      : undefined;

const kind = <T>(
  words: string,
  read: (text: string) => T | undefined,
  hint?: (text: string) => string | undefined,
): Kind<T> => ({
  words,
  parse: raw => {
    const text = textOf(raw);
    const value = text === undefined ? undefined : read(text);
    if (value !== undefined) return ok(value);
    const guess = text === undefined ? undefined : hint?.(text);
    return { ok: false, expected: words, ...(guess === undefined ? {} : { hint: guess }) };
  },
});

/** Exactly `true` or `false`. */
export const truth: Kind<boolean> = kind(
  '`true` or `false`',
  text => (text === 'true' ? true : text === 'false' ? false : undefined),
  text => {
    const plain = text.trim().toLowerCase();
    return ['true', '1', 'yes', 'on'].includes(plain)
      ? 'true'
      : ['false', '0', 'no', 'off'].includes(plain)
        ? 'false'
        : undefined;
  },
);

const PLAIN_NUMBER = /^-?\d{1,15}(\.\d{1,15})?$/;
const inRange = (value: number, min: number, max: number): number | undefined =>
  value >= min && value <= max ? value : undefined;

export const wholeNumber = (min: number, max: number): Kind<number> =>
  kind(`a whole number from ${min} to ${max}`, text =>
    /^-?\d{1,15}$/.test(text) ? inRange(Number(text), min, max) : undefined,
  );

export const decimalNumber = (min: number, max: number): Kind<number> =>
  kind(`a number from ${min} to ${max}`, text =>
    PLAIN_NUMBER.test(text) ? inRange(Number(text), min, max) : undefined,
  );

/** An exact amount above zero. */
export const positiveAmount: Kind<Amount> = kind('an amount above 0, as a plain decimal number', text => {
  const value = tryParseDecimal(text);
  return value !== undefined && value > 0n ? value : undefined;
});

export const oneOf = <const C extends readonly string[]>(choices: C): Kind<C[number]> =>
  kind(
    `one of ${choices.join(', ')}`,
    text => choices.find(choice => choice === text),
    text => choices.find(choice => choice === text.trim().toLowerCase()),
  );

const isPrintable = (text: string): boolean => text !== '' && text.trim() === text && !/\p{Cc}/u.test(text);
export const plainText = (words: string): Kind<string> =>
  kind(words, text => (isPrintable(text) ? text : undefined));

/** `max` is Infinity: as fast as possible. */
export const playbackSpeed: Kind<number> = kind('`max` or a number above 0, up to 10000', text =>
  text === 'max'
    ? Number.POSITIVE_INFINITY
    : PLAIN_NUMBER.test(text) && Number(text) > 0
      ? inRange(Number(text), 0, 10_000)
      : undefined,
);

const SYMBOL = /^[A-Z0-9]{5,20}$/;
const MAX_SYMBOLS = 20;
/** Joined upper-case pair names, each once. */
export const symbolList: Kind<readonly string[]> = {
  words: `1 to ${MAX_SYMBOLS} different pairs such as BTCTRY, separated by commas`,
  parse: raw => {
    const names = Array.isArray(raw) ? raw : (textOf(raw) ?? '').split(',');
    const good =
      names.length >= 1 &&
      names.length <= MAX_SYMBOLS &&
      new Set(names).size === names.length &&
      names.every(name => typeof name === 'string' && SYMBOL.test(name));
    if (good) return ok(names as readonly string[]);
    const tidied = names
      .map(name =>
        String(name)
          .toUpperCase()
          .replace(/[^A-Z0-9]/g, ''),
      )
      .filter(name => SYMBOL.test(name));
    return {
      ok: false,
      expected: symbolList.words,
      ...(tidied.length > 0 ? { hint: [...new Set(tidied)].join(',') } : {}),
    };
  },
};

/** Words separated by commas or blanks, lower-cased. */
export const wordList: Kind<readonly string[]> = {
  words: 'words separated by commas',
  parse: raw => {
    const words = Array.isArray(raw) ? raw.map(String) : (textOf(raw) ?? '').split(/[\s,]+/);
    const named = words.map(word => word.trim().toLowerCase()).filter(word => word !== '');
    return named.length > 0 && named.every(word => /^[a-z][a-z_-]*$/.test(word))
      ? ok(named)
      : { ok: false, expected: wordList.words };
  },
};

/** `TRY=1000000,BTC=1`, or a JSON object of the same. */
export const balanceList: Kind<ReadonlyMap<string, Amount>> = {
  words: 'balances such as TRY=1000000,BTC=1',
  parse: raw => {
    const pairs: readonly (readonly [string, unknown])[] =
      typeof raw === 'object' && raw !== null && !Array.isArray(raw)
        ? Object.entries(raw)
        : (textOf(raw as RawValue) ?? '').split(',').map(part => {
            const [asset = '', ...rest] = part.split('=');
            return [asset, rest.join('=')] as const;
          });
    const balances = new Map<string, Amount>();
    for (const [asset, amountRaw] of pairs) {
      const amount = tryParseDecimal(String(amountRaw));
      if (!/^[A-Z0-9]{2,10}$/.test(asset) || amount === undefined || amount < 0n || balances.has(asset))
        return { ok: false, expected: balanceList.words };
      balances.set(asset, amount);
    }
    return balances.size > 0 ? ok(balances) : { ok: false, expected: balanceList.words };
  },
};

const VENUE_DOMAIN = 'btcturk.com';
export const isLoopbackHost = (host: string): boolean =>
  host === 'localhost' || host === '[::1]' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);

/**
 * An address of the venue: encrypted on its own domain, or plain on loopback; scheme, host and port only.
 * Anything else is refused, so that no setting can send orders or keys to another host.
 */
export const venueAddress = (secure: 'https' | 'wss', plain: 'http' | 'ws'): Kind<string> => {
  const words = `${secure}:// on ${VENUE_DOMAIN}, or ${plain}:// on loopback, without a path`;
  return kind(words, text => {
    if (!isPrintable(text) || !URL.canParse(text)) return undefined;
    const url = new URL(text);
    const bare =
      url.username === '' &&
      url.password === '' &&
      url.search === '' &&
      url.hash === '' &&
      /^\/?$/.test(url.pathname);
    const onVenue =
      url.protocol === `${secure}:` &&
      url.port === '' &&
      (url.hostname === VENUE_DOMAIN || url.hostname.endsWith(`.${VENUE_DOMAIN}`));
    const onLoopback = url.protocol === `${plain}:` && isLoopbackHost(url.hostname);
    return bare && (onVenue || onLoopback) ? `${url.protocol}//${url.host}` : undefined;
  });
};

export const webAddress: Kind<string> = {
  ...kind('an http:// or https:// address', text => {
    if (!isPrintable(text) || !URL.canParse(text)) return undefined;
    const url = new URL(text);
    return url.protocol === 'http:' || url.protocol === 'https:' ? text : undefined;
  }),
  confidential: true,
};

/** Where alerts go: encrypted, or plain to this machine alone. */
export const alertAddress: Kind<string> = {
  ...kind('an https:// address, or http:// on loopback, without a user or a fragment', text => {
    if (!isPrintable(text) || !URL.canParse(text)) return undefined;
    const url = new URL(text);
    if (url.username !== '' || url.password !== '' || url.hash !== '') return undefined;
    const allowed = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname));
    return allowed ? text.replace(/\/$/, '') : undefined;
  }),
  confidential: true,
};

export type ObjectSource =
  | { readonly from: 'text'; readonly object: Readonly<Record<string, unknown>> }
  | { readonly from: 'file'; readonly path: string };

/** A JSON object, its text, or the path of a file that holds one (which the loader reads). */
export const objectOrPath: Kind<ObjectSource> = {
  words: 'a JSON object, or the path of a file that holds one',
  parse: raw => {
    if (typeof raw === 'object' && raw !== null && !Array.isArray(raw))
      return ok({ from: 'text', object: { ...(raw as Readonly<Record<string, unknown>>) } });
    const text = textOf(raw)?.trim() ?? '';
    const object = text.startsWith('{') ? parseJsonObject(text) : undefined;
    if (object !== undefined) return ok({ from: 'text', object });
    return isPrintable(text) && !text.startsWith('{')
      ? ok({ from: 'file', path: text })
      : { ok: false, expected: objectOrPath.words };
  },
};

export type ListSource =
  | { readonly from: 'text'; readonly list: readonly unknown[] }
  | { readonly from: 'file'; readonly path: string };

/** A JSON list, its text, or the path of a file that holds one (which the loader reads). */
export const listOrPath: Kind<ListSource> = {
  words: 'a JSON list, or the path of a file that holds one',
  parse: raw => {
    if (Array.isArray(raw)) return ok({ from: 'text', list: raw });
    const text = textOf(raw)?.trim() ?? '';
    const list = text.startsWith('[') ? parseJsonList(text) : undefined;
    if (list !== undefined) return ok({ from: 'text', list });
    return isPrintable(text) && !/^[[{]/.test(text)
      ? ok({ from: 'file', path: text })
      : { ok: false, expected: listOrPath.words };
  },
};

/** The list a JSON text holds; undefined when it holds anything else. */
export const parseJsonList = (text: string): readonly unknown[] | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

/** The object a JSON text holds; undefined when it holds anything else. */
export const parseJsonObject = (text: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
};
