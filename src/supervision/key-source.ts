/** Where a running bot finds another key: the files it was given at start, read anew through the one provider. */
import { type LoadedConfig, renderProblem } from '../runtime/config.js';
import { type ApiCredentials, type KeyPair, socketPairOf } from '../runtime/settings.js';

export interface KeySource {
  /** Reads settings and secrets again, from the environment without its secrets, the files and the dotenv file. */
  load(): LoadedConfig;
  /** The key came from the environment of the process, which nobody can change while it runs. */
  readonly inEnvironment: boolean;
}

export type FoundKey =
  | { readonly ok: true; readonly credentials: ApiCredentials }
  | { readonly ok: false; readonly reason: string };

const no = (reason: string): FoundKey => ({ ok: false, reason });

const isSame = (one: KeyPair, other: KeyPair): boolean =>
  one.apiKey === other.apiKey && one.apiSecret === other.apiSecret;

/** The new key, or why there is none that may be used. */
export const readNewKey = (source: KeySource, inUse: ApiCredentials | null): FoundKey => {
  if (source.inEnvironment)
    return no(
      'the key was given in the environment, which cannot be changed while the bot runs: give BTCTURK_API_KEY_FILE and BTCTURK_API_SECRET_FILE instead, or restart with the new key',
    );
  const loaded = source.load();
  if (!loaded.ok) return no(loaded.problems.map(renderProblem).join('; '));
  const { credentials, requirements } = loaded;
  const policy = requirements.find(({ name }) => name === 'API key');
  if (credentials === null) return no(`the files hold no key any more: ${policy?.detail ?? ''}`);
  if (inUse !== null && isSame(credentials, inUse) && isSame(socketPairOf(credentials), socketPairOf(inUse)))
    return no('the files still hold the key in use: replace them first');
  if (policy?.met === false) return no(policy.detail);
  return { ok: true, credentials };
};
