/**
 * The one provider of secrets: the environment first, then mounted files, then an optional dotenv file. Values are
 * taken out of the environment before any worker starts, and everything written passes through {@link redactor}.
 */
import { type ApiCredentials, socketPairOf } from './settings.js';

/** The names that must not stay in the environment of the process. */
export const SECRET_VARIABLES = [
  'BTCTURK_API_KEY',
  'BTCTURK_API_SECRET',
  'BTCTURK_WS_API_KEY',
  'BTCTURK_WS_API_SECRET',
] as const;

/** The dotenv file looked for in the working directory; only the account's own names are taken from it. */
export const DOTENV_FILE = '.env.live';

/** Whether a secret was given in this environment. */
export const holdsSecrets = (env: Readonly<Record<string, string | undefined>>): boolean =>
  SECRET_VARIABLES.some(name => (env[name] ?? '') !== '');

/** Removes the secrets from an environment in place. */
export const dropSecrets = (env: Record<string, string | undefined>): void => {
  for (const name of SECRET_VARIABLES) delete env[name];
};

/** System errors of a path that leads nowhere. */
const NO_SUCH_FILE: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG']);

/**
 * Why the file of a secret cannot be read. A secret that was given where its path belongs names no file, and the system's
 * own words would repeat it: a path that leads nowhere is not shown.
 */
export const wordsOfUnreadable = (error: unknown): string => {
  const { code, message } = error as NodeJS.ErrnoException;
  return NO_SUCH_FILE.has(code) ? `there is no such file (${code})` : message;
};

const DAY_MS = 86_400_000;
const ISO_8601 = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2}))?$/;

/** Unix ms of an ISO-8601 date or time with an offset; undefined for anything else. A bare date is midnight UTC. */
export const parseIsoTime = (text: string): number | undefined => {
  if (!ISO_8601.test(text)) return undefined;
  const [, month, day] = text.slice(0, 10).split('-').map(Number);
  const ms = Date.parse(text);
  if (Number.isNaN(ms) || month === undefined || day === undefined) return undefined;
  // Date.parse rolls 31 February over into March.
  const midnight = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  return midnight.getUTCMonth() + 1 === month && midnight.getUTCDate() === day ? ms : undefined;
};

/** What live asks of the key besides its being there. */
export interface SecretPolicy {
  readonly scopes: readonly string[];
  readonly rotatedAt: string | null;
  readonly maxAgeDays: number;
}

/** Every reason why live refuses this key; empty when it may be used. */
export const secretRefusals = (
  credentials: ApiCredentials | null,
  policy: SecretPolicy,
  nowMs: number,
): readonly string[] => {
  const reasons: string[] = [];
  if (credentials === null) reasons.push('BTCTURK_API_KEY and BTCTURK_API_SECRET are not set');
  for (const scope of ['read', 'trade'])
    if (!policy.scopes.includes(scope)) reasons.push(`BTCTURK_API_SCOPES does not contain ${scope}`);
  if (policy.scopes.includes('withdraw'))
    reasons.push('BTCTURK_API_SCOPES contains withdraw: use a key that cannot move money out');
  if (policy.rotatedAt === null) reasons.push('BTCTURK_SECRET_ROTATED_AT is not set');
  else {
    const rotatedMs = parseIsoTime(policy.rotatedAt);
    if (rotatedMs === undefined) reasons.push('BTCTURK_SECRET_ROTATED_AT is not an ISO-8601 time');
    else if (rotatedMs > nowMs) reasons.push('BTCTURK_SECRET_ROTATED_AT is in the future');
    else if (nowMs - rotatedMs > policy.maxAgeDays * DAY_MS)
      reasons.push(
        `the key is ${Math.floor((nowMs - rotatedMs) / DAY_MS)} days old, more than BTCTURK_SECRET_MAX_AGE_DAYS (${policy.maxAgeDays})`,
      );
  }
  return reasons;
};

const REDACTED = '[redacted]';
const SIGNATURE_LENGTH = 44;
/** Shorter values would blot out ordinary words. */
const LEAST_SECRET_LENGTH = 8;

/** Every form in which a secret may turn up in text. */
const formsOf = (secret: string): readonly string[] => {
  const bytes = Buffer.from(secret, 'utf8');
  const decoded = Buffer.from(secret, 'base64');
  const forms = [
    secret,
    bytes.toString('base64'),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    encodeURIComponent(secret),
    encodeURIComponent(secret).replace(/%[0-9A-F]{2}/g, code => code.toLowerCase()),
    JSON.stringify(secret).slice(1, -1),
    JSON.stringify(secret).slice(1, -1).replaceAll('/', '\\/'),
    // The bytes that a base64 secret stands for, as they would look in a dump.
    ...(decoded.length >= LEAST_SECRET_LENGTH ? [decoded.toString('hex'), decoded.toString('latin1')] : []),
  ];
  return forms.filter(form => form.length >= LEAST_SECRET_LENGTH);
};

export type Redactor = (text: string) => string;

/**
 * A signature as the venue wants it: 32 bytes in base64. Nobody keeps the signatures that were made, but a venue or a proxy
 * may say one back, also URL-encoded or JSON-escaped.
 */
const SIGNATURE = /(?:[A-Za-z0-9+/]|\\\/|%2[BFbf]){43}(?:=|%3[Dd])/g;

/**
 * Replaces the secrets in a text, in whatever form they turn up: raw, base64, hex, URL-encoded or JSON-escaped; and what
 * looks like a signature.
 */
export const redactor = (secrets: readonly string[]): Redactor => {
  const forms = [...new Set(secrets.flatMap(formsOf))].sort((left, right) => right.length - left.length);
  if (forms.length === 0) return text => text;
  // The longest form comes first. Most texts are shorter than any form: each order passes dozens of them.
  const shortest = forms.at(-1)?.length ?? 0;
  return text => {
    if (text.length < shortest) return text;
    let clean = text;
    for (const form of forms) if (clean.includes(form)) clean = clean.replaceAll(form, REDACTED);
    return clean.length >= SIGNATURE_LENGTH && (clean.includes('=') || clean.includes('%3'))
      ? clean.replace(SIGNATURE, REDACTED)
      : clean;
  };
};

/** The redactor for the secrets of an account; several, when its key was rotated. */
export const redactorOf = (...keys: readonly (ApiCredentials | null)[]): Redactor =>
  redactor(
    keys.flatMap(key => {
      if (key === null) return [];
      const socket = socketPairOf(key);
      return [key.apiSecret, key.apiKey, socket.apiSecret, socket.apiKey];
    }),
  );

/** How deep facts are followed; below that they are left out rather than let through. */
const MAX_DEPTH = 12;

/** Applies a redactor to every text inside plain facts, keys included. Facts without a secret are returned as they are. */
export const redactFacts = (redact: Redactor, value: unknown, depth = 0): unknown => {
  if (typeof value === 'string') return redact(value);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if (depth >= MAX_DEPTH) return '[too deep]';
  const clean = (item: unknown): unknown => redactFacts(redact, item, depth + 1);
  if (value instanceof Error)
    return { name: value.name, message: redact(value.message), stack: redact(value.stack ?? '') };
  if (Array.isArray(value)) {
    const items = value.map(clean);
    return items.some((item, index) => item !== value[index]) ? items : value;
  }
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [clean(key), clean(item)]));
  if (value instanceof Set) return new Set([...value].map(clean));
  // Nearly all facts are without one, and every order's pass here: nothing is copied before something is found.
  const facts = value as Readonly<Record<string, unknown>>;
  const keys = Object.keys(facts);
  let cleaned: [string, unknown][] | null = null;
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string;
    const item = facts[key];
    const cleanKey = redact(key);
    const cleanItem = clean(item);
    if (cleaned === null && (cleanKey !== key || cleanItem !== item))
      cleaned = keys.slice(0, index).map(before => [before, facts[before]]);
    cleaned?.push([cleanKey, cleanItem]);
  }
  return cleaned === null ? value : Object.fromEntries(cleaned);
};
