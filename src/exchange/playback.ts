/** A recording played into a running exchange: when it begins, how it is paced, when it is over. */
import type { LogLevel } from '../domain/step.js';
import { monoMs } from '../runtime/clock.js';
import { playRecording, type RecordedEntry, type Recording } from './recording.js';
import type { VenueState } from './venue-state.js';

/** What playing needs of the exchange. */
export interface Stage {
  /** Times real speed; Infinity for as fast as the clients keep up. */
  readonly speed: number;
  /** Begin at once instead of when a client follows a book and an account is logged in. */
  readonly atOnce: boolean;
  readonly signal: AbortSignal;
  venue(): VenueState;
  feed(entry: RecordedEntry): void;
  caughtUp(): Promise<void>;
  log(level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>): void;
}

/** A client that follows the book but never logs in gets its recording anyway. */
const LOGIN_WAIT_MS = 10_000;
/** From ready clients to the first recorded frame, and from the last one to the end. */
const CURTAIN_MS = 1_000;
const WATCH_MS = 50;

/**
 * Shows the first book, waits for clients, plays, and lets what was queued come to its end.
 * @returns why it is over, in words
 */
export const playInto = async (recording: Recording, stage: Stage): Promise<string> => {
  const { items, path } = recording;
  const { signal } = stage;
  let damage: string | null = null;
  const shown = await showFirstBook(items, stage.feed);
  if (!stage.atOnce) await clientsReady(stage.venue, signal);
  if (shown)
    await playRecording(items, {
      speed: stage.speed,
      signal,
      caughtUp: stage.caughtUp,
      feed: stage.feed,
      notice: item => {
        stage.log('warn', `recording-${item.type}`, { line: item.line, reason: item.reason });
        if (item.type === 'damage') damage = `line ${item.line}: ${item.reason}`;
      },
    });
  await wait(CURTAIN_MS, signal);
  await stage.caughtUp();
  if (signal.aborted) return `recording ${path} was stopped before its end`;
  return damage === null
    ? `recording ${path} has been played to its end`
    : `recording ${path} has been played up to where it is damaged (${damage})`;
};

/** Puts the recording's first book on show. @returns false when there is none */
const showFirstBook = async (
  items: Recording['items'],
  feed: (entry: RecordedEntry) => void,
): Promise<boolean> => {
  for (;;) {
    const { value, done } = await items.next();
    if (done === true || value.type === 'damage') return false;
    if (value.type !== 'entry') continue;
    feed(value.entry);
    if (value.entry.activity.type === 'book') return true;
  }
};

/** Resolves when somebody follows a book and an account is logged in, or after a while without a login. */
const clientsReady = (venue: () => VenueState, signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    let followedSince: number | undefined;
    let loggedInSince: number | undefined;
    const watch = setInterval(() => {
      const at = monoMs();
      const sessions = [...venue().sockets.values()];
      const followed = [...venue().markets.values()].some(market => market.subscribers.obdiff.size > 0);
      followedSince = followed ? (followedSince ?? at) : undefined;
      loggedInSince = sessions.some(session => session.account !== null) ? (loggedInSince ?? at) : undefined;
      const ready =
        followedSince !== undefined &&
        (at - followedSince >= LOGIN_WAIT_MS ||
          (loggedInSince !== undefined && at - Math.max(followedSince, loggedInSince) >= CURTAIN_MS));
      if (!ready && !signal.aborted) return;
      clearInterval(watch);
      resolve();
    }, WATCH_MS);
  });

const wait = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
