/** What the venue says of the symbols we want, asked for at a start. */
import type { Instrument } from '../domain/instrument.js';
import type { ReadFailure } from '../domain/venue-port.js';
import type { RestClient } from './rest-client.js';

/** The venue cannot be read, or does not list a wanted symbol: there is nothing to follow then. */
export class ListingError extends Error {
  override readonly name = 'ListingError';
}

export interface ListingRetries {
  readonly triesMax: number;
  readonly pauseMs: number;
  /** No further try begins later than this after the first. */
  readonly untilMs: number;
}

/**
 * A failing read takes at most 8.5 s (connect and reply), most fail at once: with these numbers the last try ends
 * within the 15 s a worker has to start.
 */
const RETRIES: ListingRetries = { triesMax: 3, pauseMs: 1_000, untilMs: 6_000 };

/**
 * The instruments of `symbols`, in their order.
 * @param unlisted what becomes of a symbol that the venue does not list, or not readably: at a first start it is a mistake;
 *   later it was listed, and the others must not wait for it
 * @throws ListingError also when none is left
 */
export const readListedInstruments = async (
  client: Pick<RestClient, 'read'>,
  symbols: readonly string[],
  monoMs: () => number,
  unlisted: 'refused' | 'left-out' = 'refused',
  retries: ListingRetries = RETRIES,
): Promise<readonly Instrument[]> => {
  const beganMonoMs = monoMs();
  for (let tries = 1; ; tries++) {
    const result = await client.read({ type: 'instruments', symbols });
    if (result.ok) return pick(symbols, result.value.instruments, result.value.problems ?? [], unlisted);
    if (tries >= retries.triesMax || monoMs() - beganMonoMs + retries.pauseMs > retries.untilMs)
      throw new ListingError(
        `the venue's instruments cannot be read: ${failureText(result.failure)}. Check the address and the network`,
      );
    await new Promise(resolve => setTimeout(resolve, retries.pauseMs));
  }
};

const pick = (
  symbols: readonly string[],
  listed: readonly Instrument[],
  problems: readonly string[],
  unlisted: 'refused' | 'left-out',
): readonly Instrument[] => {
  const bySymbol = new Map(listed.map(instrument => [instrument.symbol, instrument]));
  const missing = symbols.filter(symbol => !bySymbol.has(symbol));
  const found = symbols.flatMap(symbol => bySymbol.get(symbol) ?? []);
  if (missing.length === 0 || (unlisted === 'left-out' && found.length > 0)) return found;
  const reasons = problems.filter(problem => missing.some(symbol => problem.startsWith(`${symbol}:`)));
  throw new ListingError(
    reasons.length > 0
      ? `the venue's listing of ${missing.join(', ')} cannot be read: ${reasons.join('; ')}`
      : `SYMBOLS names ${missing.join(', ')}, which the venue does not list`,
  );
};

/**
 * What the venue lists now of these symbols, once and without patience: for a list that is kept current.
 * @returns null when it cannot be read; a symbol whose entry cannot be read is left out like one that is gone
 */
export const rereadInstruments = async (
  client: Pick<RestClient, 'read'>,
  symbols: readonly string[],
): Promise<readonly Instrument[] | null> => {
  const result = await client.read({ type: 'instruments', symbols });
  if (!result.ok) return null;
  return result.value.instruments.filter(({ symbol }) => symbols.includes(symbol));
};

/** A failed read in words. */
export const failureText = (failure: ReadFailure): string => {
  switch (failure.type) {
    case 'rate-limited':
      return `too many requests; the venue asks for ${failure.retryAfterMs} ms of patience`;
    case 'unauthorized':
      return failure.message;
    case 'refused':
      return failure.message;
    case 'unavailable':
      return failure.detail === undefined ? failure.cause : `${failure.cause} (${failure.detail})`;
  }
};
