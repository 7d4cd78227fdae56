/** How long a 429 asks us to wait, whatever form it takes (RFC 9110 section 10.2.3, protocol section 8). */

/** The venue's longest per-endpoint block: what an absent or unusable value means. */
export const RETRY_AFTER_DEFAULT_MS = 60_000;
/** A longer wait than this is not believed. */
export const RETRY_AFTER_MAX_MS = 3_600_000;
/** A read never comes back sooner than this, whatever the header says. */
const RETRY_AFTER_MIN_MS = 1_000;

type Headers = Readonly<Record<string, string>>;

/**
 * Milliseconds to wait after a 429. A date counts from the reply's own `Date` header, since our clock may differ from
 * theirs. Absent, past, negative and unreadable values mean one minute; values above an hour, one hour.
 * @param orderPath true for submits and cancels, whose wait is never below a minute: their block is 60 s, and the
 *   shorter of the two windows is the one the header may speak of.
 */
export const retryAfterMs = (headers: Headers, orderPath: boolean): number => {
  const asked = askedMs(headers['retry-after'], headers.date) ?? RETRY_AFTER_DEFAULT_MS;
  const least = orderPath ? RETRY_AFTER_DEFAULT_MS : RETRY_AFTER_MIN_MS;
  return Math.min(RETRY_AFTER_MAX_MS, Math.max(least, asked));
};

const askedMs = (value: string | undefined, date: string | undefined): number | undefined => {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d{1,15}$/.test(text)) return Number(text) * 1_000;
  const until = httpDate(text);
  const servedAt = date === undefined ? undefined : httpDate(date.trim());
  if (until === undefined || servedAt === undefined || until <= servedAt) return undefined;
  return until - servedAt;
};

/** The date forms of RFC 9110 begin with a day's name; anything else that `Date.parse` would take is not one. */
const httpDate = (text: string): number | undefined => {
  if (!/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? /.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
};
