/**
 * A signing worker's part in a rotation of the key: prove the offered one by a signed read, adopt it when told to. The worker
 * that knows the account also proves that the key is one of the same account: with a good key of another one the bot would
 * trade and reconcile on books that are not its own.
 */
import type { Balance } from '../domain/venue-port.js';
import type { FromWorker, KeyAdopted, KeyDropped, KeyOffered } from '../messages/control.js';
import { type ApiCredentials, type Endpoints, socketPairOf } from '../runtime/settings.js';
import { failureText } from './listed-instruments.js';
import { openPrivateFeed } from './private-feed.js';
import { createRestClient, type RestClient, type RestClientOptions } from './rest-client.js';
import { prepareSigningKey, SigningKeyError } from './sign.js';

/** What is known of the account whose key is in use. */
export interface KnownAccount {
  /** Whom the venue has logged in with the key in use; null when it has not said. */
  userId(): string | null;
  /** Whether this is what the ledger expects the account to hold, to the last digit. */
  isProvenBy(balances: readonly Balance[]): boolean;
}

export interface KeySeatOptions {
  readonly endpoints: Endpoints;
  /** Absent where another worker proves whose the new key is. */
  readonly account?: KnownAccount;
  /** What every client of the venue keeps to after a 429: proving a key is no exception. */
  readonly restraint?: Pick<RestClientOptions, 'pauses' | 'onThrottled'>;
  /** Signs with this key from now on. */
  adopt(credentials: ApiCredentials): void;
  tell(message: FromWorker): void;
}

export interface KeySeat {
  take(message: KeyOffered | KeyAdopted | KeyDropped): void;
}

/** Balances lag behind the fills of the same moment (protocol section 5.1): so often they are looked at, so far apart. */
const LOOKS = 3;
const LOOK_AGAIN_MS = 1_000;

/** What the venue says to a key, on connections of its own: the key in use is not touched. Null when it is accepted. */
const refusalOf = async (
  endpoints: Endpoints,
  credentials: ApiCredentials,
  { account, restraint }: Pick<KeySeatOptions, 'account' | 'restraint'>,
): Promise<string | null> => {
  let client: RestClient;
  try {
    prepareSigningKey(socketPairOf(credentials));
    client = createRestClient({ endpoints, credentials, ...restraint });
  } catch (error) {
    if (error instanceof SigningKeyError) return error.message;
    throw error;
  }
  try {
    // The stamp of a signature travels in venue time.
    const clock = await client.read({ type: 'server-time' });
    if (!clock.ok) return `the venue’s clock cannot be read: ${failureText(clock.failure)}`;
    const balances = await client.read({ type: 'balances' });
    if (!balances.ok) return `the new key is not accepted: ${failureText(balances.failure)}`;
    return account === undefined ? null : await foreignness(endpoints, credentials, client, account);
  } finally {
    await client.close();
  }
};

/**
 * Why a key that the venue accepts is not shown to be one of this account; null when it is. The reply to a login names the
 * user (protocol section 9.10), and no read does: that is the proof. Where the venue does not say, the balances must be what
 * the ledger expects to the last digit, which needs no word from the old key: it may have been revoked.
 */
const foreignness = async (
  endpoints: Endpoints,
  credentials: ApiCredentials,
  client: RestClient,
  account: KnownAccount,
): Promise<string | null> => {
  const login = await logIn(endpoints, credentials, client.clock()?.offsetMs ?? 0);
  if (login.state === 'refused') return `the new key may not log in to the private feed: ${login.detail}`;
  const known = account.userId();
  if (known !== null && login.userId !== null) {
    if (known !== login.userId)
      return (
        'it is a key of another account: the venue logs it in as another user than the key in use. ' +
        'Make the new key in the account that this bot trades on'
      );
    // Where another pair logs in, its user says nothing of the one that signs.
    if (credentials.socket === undefined) return null;
  }
  for (let look = 1; look <= LOOKS; look++) {
    if (look > 1) await new Promise(resolve => setTimeout(resolve, LOOK_AGAIN_MS));
    const balances = await client.read({ type: 'balances' });
    if (balances.ok && account.isProvenBy(balances.value.balances)) return null;
  }
  return (
    'it is not shown to be a key of this account: the venue does not say whose it is ' +
    `(${notSaying(credentials, login)}), and the balances it reads are not ` +
    'those of the ledger. Try again when the private feed is live'
  );
};

const notSaying = ({ socket }: ApiCredentials, login: LoginAnswer): string => {
  if (login.userId === null) return login.detail;
  return socket === undefined ? 'the key in use has not been logged in' : 'another pair logs in for it';
};

interface LoginAnswer {
  readonly state: 'live' | 'refused' | 'disconnected';
  readonly detail: string;
  readonly userId: string | null;
}

/** Logs in once, on a socket of its own, and leaves. */
const logIn = (
  { wsUrl }: Endpoints,
  credentials: ApiCredentials,
  clockOffsetMs: number,
): Promise<LoginAnswer> =>
  new Promise(resolve => {
    const feed = openPrivateFeed({
      wsUrl,
      credentials,
      seed: 0,
      clockOffsetMs: () => clockOffsetMs,
      onEvent: () => {},
      onState: (state, detail) => {
        if (state === 'connecting' || state === 'logging-in') return;
        resolve({ state, detail, userId: feed.userId() });
        feed.close();
      },
    });
  });

export const createKeySeat = (options: KeySeatOptions): KeySeat => {
  const { endpoints, adopt, tell } = options;
  let offered: ApiCredentials | null = null;

  const prove = async (credentials: ApiCredentials): Promise<void> => {
    const refusal = await refusalOf(endpoints, credentials, options);
    // A key that was dropped meanwhile is nobody's question any more.
    if (offered !== credentials) return;
    tell(refusal === null ? { type: 'key-verified' } : { type: 'key-refused', reason: refusal });
  };

  return {
    take(message) {
      switch (message.type) {
        case 'key-offered':
          offered = message.credentials;
          void prove(message.credentials);
          return;
        case 'key-adopted':
          if (offered !== null) adopt(offered);
          offered = null;
          return;
        case 'key-dropped':
          offered = null;
          return;
      }
    },
  };
};
