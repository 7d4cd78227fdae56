/** Signatures, as the venue checks them (protocol sections 3 and 9.10). */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';

/** Stamps may be this far from the server's clock. */
export const STAMP_TOLERANCE_MS = 5_000;
/** Window of a socket login: values seen in use run from 100 to 60,000. */
const NONCE_MIN = 100;
const NONCE_MAX = 60_000;

/** A base64 secret, ready to sign with. */
export const signingKey = (apiSecret: string): KeyObject => createSecretKey(Buffer.from(apiSecret, 'base64'));

/** base64 of the HMAC-SHA256 of public key and stamp, or of public key and login nonce. */
export const signatureOf = (key: KeyObject, publicKey: string, stamp: string): string =>
  createHmac('sha256', key).update(`${publicKey}${stamp}`, 'utf8').digest('base64');

/** What an account needs to be recognised: each of its public keys with what it signs with. */
export interface KeyHolder {
  readonly keys: ReadonlyMap<string, KeyObject>;
  /** Those of `keys` that were made for the socket. */
  readonly socketKeys: ReadonlySet<string>;
}

export type AuthVerdict<Account> =
  | { readonly ok: true; readonly account: Account }
  | { readonly ok: false; readonly message: string };

/**
 * Whose key this is. An account may have several; the one it was opened with may have been revoked.
 * @param madeFor what it must have been made for; null where the two kinds are not told apart
 */
const holderOf = <Account extends KeyHolder>(
  accounts: ReadonlyMap<string, Account>,
  publicKey: string,
  madeFor: 'requests' | 'socket' | null,
): { readonly account: Account; readonly key: KeyObject } | undefined => {
  for (const account of accounts.values()) {
    const key = account.keys.get(publicKey);
    if (key === undefined) continue;
    const fits = madeFor === null || account.socketKeys.has(publicKey) === (madeFor === 'socket');
    return fits ? { account, key } : undefined;
  }
  return undefined;
};

/**
 * Checks the four headers of a private request, given with lower-case names.
 * @param separate whether keys of requests and of the socket are told apart (protocol section 3.2)
 */
export const checkRequest = <Account extends KeyHolder>(
  headers: Readonly<Record<string, string | undefined>>,
  accounts: ReadonlyMap<string, Account>,
  serverMs: number,
  separate = false,
): AuthVerdict<Account> => {
  const publicKey = headers['x-pck'];
  const stamp = headers['x-stamp'];
  const signature = headers['x-signature'];
  if (publicKey === undefined || stamp === undefined || signature === undefined)
    return { ok: false, message: 'Unauthorized - Headers are missing' };
  const found = holderOf(accounts, publicKey, separate ? 'requests' : null);
  if (found === undefined) return { ok: false, message: 'Unauthorized - Invalid Public key' };
  const stampMs = /^\d{1,15}$/.test(stamp) ? Number(stamp) : Number.NaN;
  if (!(Math.abs(stampMs - serverMs) <= STAMP_TOLERANCE_MS))
    return { ok: false, message: 'Unauthorized - Invalid Nonce' };
  if (!equal(signature, signatureOf(found.key, publicKey, stamp)))
    return { ok: false, message: 'Unauthorized - Invalid Signature' };
  return { ok: true, account: found.account };
};

/** Checks the payload of a 114 login: what is signed is the public key and the nonce, a window in ms. */
export const checkLogin = <Account extends KeyHolder>(
  payload: Readonly<Record<string, unknown>>,
  accounts: ReadonlyMap<string, Account>,
  serverMs: number,
  separate = false,
): AuthVerdict<Account> => {
  const { publicKey, signature } = payload;
  const nonce = wholeNumber(payload.nonce);
  const timestamp = wholeNumber(payload.timestamp);
  if (typeof publicKey !== 'string' || typeof signature !== 'string' || nonce === undefined)
    return { ok: false, message: 'Unauthorized - Invalid Request' };
  if (timestamp === undefined) return { ok: false, message: 'Unauthorized - Invalid Nonce' };
  if (nonce < NONCE_MIN || nonce > NONCE_MAX) return { ok: false, message: 'Unauthorized - Invalid Request' };
  const found = holderOf(accounts, publicKey, separate ? 'socket' : null);
  if (found === undefined) return { ok: false, message: 'Unauthorized - Invalid Public key' };
  if (Math.abs(timestamp - serverMs) > nonce) return { ok: false, message: 'Unauthorized - Invalid Nonce' };
  if (!equal(signature, signatureOf(found.key, publicKey, String(payload.nonce))))
    return { ok: false, message: 'Unauthorized - Invalid Signature' };
  return { ok: true, account: found.account };
};

const wholeNumber = (value: unknown): number | undefined => {
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined;
};

const equal = (left: string, right: string): boolean => {
  const a = Buffer.from(left);
  const b = Buffer.from(right);
  return a.length === b.length && timingSafeEqual(a, b);
};
