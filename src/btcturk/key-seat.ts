/** A signing worker's part in a rotation of the key: prove the offered one by a signed read, adopt it when told to. */
import type { FromWorker, KeyAdopted, KeyDropped, KeyOffered } from '../messages/control.js';
import type { ApiCredentials, Endpoints } from '../runtime/settings.js';
import { failureText } from './listed-instruments.js';
import { createRestClient, type RestClient } from './rest-client.js';
import { SigningKeyError } from './sign.js';

export interface KeySeatOptions {
  readonly endpoints: Endpoints;
  /** Signs with this key from now on. */
  adopt(credentials: ApiCredentials): void;
  tell(message: FromWorker): void;
}

export interface KeySeat {
  take(message: KeyOffered | KeyAdopted | KeyDropped): void;
}

/** What the venue says to a key, on connections of its own: the key in use is not touched. Null when it is accepted. */
const refusalOf = async (endpoints: Endpoints, credentials: ApiCredentials): Promise<string | null> => {
  let client: RestClient;
  try {
    client = createRestClient({ endpoints, credentials });
  } catch (error) {
    if (error instanceof SigningKeyError) return error.message;
    throw error;
  }
  try {
    // The stamp of a signature travels in venue time.
    const clock = await client.read({ type: 'server-time' });
    if (!clock.ok) return `the venue’s clock cannot be read: ${failureText(clock.failure)}`;
    const balances = await client.read({ type: 'balances' });
    return balances.ok ? null : `the new key is not accepted: ${failureText(balances.failure)}`;
  } finally {
    await client.close();
  }
};

export const createKeySeat = ({ endpoints, adopt, tell }: KeySeatOptions): KeySeat => {
  let offered: ApiCredentials | null = null;

  const prove = async (credentials: ApiCredentials): Promise<void> => {
    const refusal = await refusalOf(endpoints, credentials);
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
