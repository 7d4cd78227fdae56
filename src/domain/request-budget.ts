/**
 * How many requests may leave, per venue endpoint. Invariants:
 *
 * - at most 80 % of each documented limit in every window of its length, wherever the window starts, so also in the
 *   venue's own fixed windows whose start we cannot see (protocol section 8);
 * - submits, cancels and each kind of read have buckets of their own: nothing ever starves a cancel;
 * - a request counts from the moment it is granted until its window has passed after its bytes left;
 * - after a 429 nothing leaves the bucket before `Retry-After`, then the budget ramps up in steps, never a burst.
 *
 * All times are monotonic milliseconds.
 */
import type { VenueRead } from './venue-port.js';

export const BUCKETS = [
  'submit',
  'cancel',
  'order-query',
  'open-orders',
  'all-orders',
  'trades',
  'balances',
  'ticker',
  'cash-movements',
  'server-time',
  'instruments',
] as const;
export type Bucket = (typeof BUCKETS)[number];

/** At most `requests` within `windowMs`. */
export interface WindowLimit {
  readonly requests: number;
  readonly windowMs: number;
}

const MINUTE = 60_000;

/** What the venue documents (protocol section 8); `server-time` and `instruments` are undocumented and assumed. */
export const VENUE_LIMITS: Readonly<Record<Bucket, readonly WindowLimit[]>> = {
  submit: [
    { requests: 10, windowMs: 1_000 },
    { requests: 300, windowMs: MINUTE },
  ],
  cancel: [
    { requests: 10, windowMs: 1_000 },
    { requests: 300, windowMs: MINUTE },
  ],
  'order-query': [
    { requests: 30, windowMs: 1_000 },
    { requests: 900, windowMs: MINUTE },
  ],
  'open-orders': [{ requests: 300, windowMs: MINUTE }],
  'all-orders': [{ requests: 300, windowMs: MINUTE }],
  trades: [{ requests: 120, windowMs: MINUTE }],
  balances: [{ requests: 120, windowMs: MINUTE }],
  ticker: [{ requests: 600, windowMs: MINUTE }],
  'cash-movements': [{ requests: 90, windowMs: MINUTE }],
  'server-time': [{ requests: 60, windowMs: MINUTE }],
  instruments: [{ requests: 60, windowMs: MINUTE }],
};

/** The share of a documented limit that we use. */
export const BUDGET_SHARE = 0.8;
/** While an earlier run of this process may have used its 80 % of a window, the new one takes what is left. */
const COLD_SHARE = 0.2;
/**
 * Windows are judged this much longer than they are: what leaves evenly arrives unevenly, and the venue counts arrivals.
 * With no margin a simulated day had ten submits arrive within one second, and 241 within one minute.
 */
const WINDOW_MARGIN_MS = 100;
/** An exchange of our own is as near as it gets; then rounding alone must not decide. */
const OWN_MARGIN_MS = 1;
/** The venue blocks an endpoint for a minute (protocol section 8). */
export const ORDER_PATH_PAUSE_MIN_MS = 60_000;
const READ_PAUSE_MIN_MS = 1_000;
/** An absurd Retry-After is not believed beyond this. */
const PAUSE_MAX_MS = 3_600_000;
/** Shares of the budget after a pause, one step after the other. */
export const RAMP_SHARES = [0.1, 0.25, 0.5] as const;
/** Three steps of 80 s: the full budget is back after four minutes without a further 429. */
export const RAMP_STEP_MS = 80_000;
/** Cancels only lower risk, and a kill must not take minutes: they ramp in a tenth of a minute a step. */
export const CANCEL_RAMP_STEP_MS = 6_000;

const ORDER_PATH: ReadonlySet<Bucket> = new Set(['submit', 'cancel', 'order-query']);

export interface BudgetSettings {
  /**
   * BTCTURK_RATE_LIMIT_RPS: steady pace of submits, and of cancels, per second. Above 80 % of the documented limit only
   * for an exchange on this machine, whose limits are then taken to be higher in proportion.
   */
  readonly writesPerSecond: number;
  /** BTCTURK_RATE_LIMIT_BURST: how many of them may leave back to back. */
  readonly writeBurst: number;
  /** True when an earlier run may have sent requests within the last minute. */
  readonly cold: boolean;
}

interface BucketState {
  readonly windows: readonly WindowLimit[];
  readonly marginMs: number;
  readonly longestMs: number;
  /** Milliseconds between two requests at the steady pace, and how many may come back to back; null without pace. */
  readonly pace: { readonly intervalMs: number; readonly burst: number } | null;
  readonly rampStepMs: number;
  /** Times at which bytes left, ascending, from `head` on. */
  sent: number[];
  head: number;
  /** Granted, bytes not yet left: counted as if they left now. */
  unsent: number;
  /** Time at which the steady pace will have absorbed everything granted so far. */
  paceFullAt: number;
  pausedUntil: number;
  /** When the last pause ended, from which the ramp runs; -Infinity without one. */
  rampFrom: number;
}

export interface RequestBudget {
  readonly buckets: Readonly<Record<Bucket, BucketState>>;
  /** Start of a cold run; -Infinity when nobody can have sent anything before us. */
  readonly coldSince: number;
}

/**
 * Whether somebody before us may have sent requests that still count in the venue's windows: a worker that replaces
 * another follows it within seconds; a first one follows an earlier process, whose last record says when it ended.
 *
 * @param lastRecordAtMs Unix ms of the newest record of an earlier process; 0 when there was none
 */
export const followsEarlierRun = (incarnation: number, lastRecordAtMs: number, wallMs: number): boolean =>
  // A clock that went backwards proves nothing.
  incarnation > 1 || (lastRecordAtMs > 0 && wallMs - lastRecordAtMs < MINUTE);

/** The answer to a request for a request. */
export type Grant =
  | { readonly granted: true }
  | { readonly granted: false; readonly notBeforeMonoMs: number };

/** A budget with nothing spent. `nowMonoMs` is the start of this run. */
export const createRequestBudget = (settings: BudgetSettings, nowMonoMs: number): RequestBudget => {
  const bucket = (name: Bucket): BucketState => {
    const paced = name === 'submit' || name === 'cancel';
    const windows = paced ? writeWindows(name, settings) : VENUE_LIMITS[name];
    const marginMs = windows === VENUE_LIMITS[name] ? WINDOW_MARGIN_MS : OWN_MARGIN_MS;
    return {
      windows,
      marginMs,
      longestMs: Math.max(...windows.map(window => window.windowMs)) + marginMs,
      pace: paced
        ? { intervalMs: 1_000 / settings.writesPerSecond, burst: Math.max(1, settings.writeBurst) }
        : null,
      rampStepMs: name === 'cancel' ? CANCEL_RAMP_STEP_MS : RAMP_STEP_MS,
      sent: [],
      head: 0,
      unsent: 0,
      paceFullAt: Number.NEGATIVE_INFINITY,
      pausedUntil: Number.NEGATIVE_INFINITY,
      rampFrom: Number.NEGATIVE_INFINITY,
    };
  };
  const buckets = Object.fromEntries(BUCKETS.map(name => [name, bucket(name)])) as Record<
    Bucket,
    BucketState
  >;
  return { buckets, coldSince: settings.cold ? nowMonoMs : Number.NEGATIVE_INFINITY };
};

const writeWindows = (
  name: Bucket,
  { writesPerSecond, writeBurst }: BudgetSettings,
): readonly WindowLimit[] => {
  const documented = VENUE_LIMITS[name];
  const perSecond = Math.max(writesPerSecond, writeBurst);
  if (perSecond <= (documented[0]?.requests ?? 0) * BUDGET_SHARE) return documented;
  return documented.map(({ windowMs }) => ({
    requests: Math.ceil((perSecond * windowMs) / 1_000 / BUDGET_SHARE),
    windowMs,
  }));
};

/** The bucket a read is counted in. */
export const bucketOfRead = (read: VenueRead): Bucket => {
  switch (read.type) {
    case 'order':
      return 'order-query';
    case 'trades-of-order':
      return 'trades';
    default:
      return read.type;
  }
};

/** The share of the budget that the ramp allows at `now`, from 0.1 to 1. */
const rampShare = (bucket: BucketState, now: number): number => {
  // Before the ramp begins the bucket is paused: what may leave then is what its first step allows.
  const step = Math.max(0, Math.floor((now - bucket.rampFrom) / bucket.rampStepMs));
  return RAMP_SHARES[step] ?? 1;
};

const allowedIn = (budget: RequestBudget, bucket: BucketState, window: WindowLimit, now: number): number => {
  const cold = now - budget.coldSince < window.windowMs;
  const share = cold ? COLD_SHARE : BUDGET_SHARE;
  return Math.max(1, Math.floor(window.requests * share * rampShare(bucket, now) + 1e-9));
};

const forget = (bucket: BucketState, now: number): void => {
  while (bucket.head < bucket.sent.length && (bucket.sent[bucket.head] ?? 0) + bucket.longestMs <= now)
    bucket.head += 1;
  if (bucket.head > 512) {
    bucket.sent = bucket.sent.slice(bucket.head);
    bucket.head = 0;
  }
};

/**
 * When the next request may leave, given `ahead` further ones that are taken to leave at these times. Limits as they
 * are at `now`: they only widen until the next 429.
 */
const earliest = (
  budget: RequestBudget,
  bucket: BucketState,
  now: number,
  ahead: readonly number[],
): number => {
  const sentCount = bucket.sent.length - bucket.head;
  const counted = sentCount + bucket.unsent;
  let at = Math.max(now, bucket.pausedUntil);
  for (const window of bucket.windows) {
    const position = counted + ahead.length - allowedIn(budget, bucket, window, now);
    if (position < 0) continue;
    const blocking =
      position < sentCount
        ? (bucket.sent[bucket.head + position] ?? now)
        : position < counted
          ? now
          : (ahead[position - counted] ?? now);
    at = Math.max(at, blocking + window.windowMs + bucket.marginMs);
  }
  if (bucket.pace !== null) {
    const share = rampShare(bucket, now);
    const intervalMs = bucket.pace.intervalMs / share;
    const burst = Math.max(1, Math.floor(bucket.pace.burst * share));
    let fullAt = bucket.paceFullAt;
    for (const time of ahead) fullAt = Math.max(fullAt, time) + intervalMs;
    at = Math.max(at, fullAt - (burst - 1) * intervalMs);
  }
  return at;
};

/**
 * Asks for one request whose bytes leave later: it counts as sent now until {@link spend} says when its bytes really
 * left, or {@link giveBack} that they never will.
 */
export const reserve = (budget: RequestBudget, name: Bucket, nowMonoMs: number): Grant => {
  const bucket = budget.buckets[name];
  forget(bucket, nowMonoMs);
  const at = earliest(budget, bucket, nowMonoMs, []);
  if (at > nowMonoMs) return { granted: false, notBeforeMonoMs: at };
  bucket.unsent += 1;
  if (bucket.pace !== null)
    bucket.paceFullAt =
      Math.max(bucket.paceFullAt, nowMonoMs) + bucket.pace.intervalMs / rampShare(bucket, nowMonoMs);
  return { granted: true };
};

/** A reserved request's bytes left at `nowMonoMs`. */
export const spend = (budget: RequestBudget, name: Bucket, nowMonoMs: number): void => {
  const bucket = budget.buckets[name];
  if (bucket.unsent === 0) throw new Error(`a ${name} request left that was never granted`);
  bucket.unsent -= 1;
  bucket.sent.push(nowMonoMs);
};

/** A reserved request was refused before a byte left. */
export const giveBack = (budget: RequestBudget, name: Bucket): void => {
  const bucket = budget.buckets[name];
  if (bucket.unsent === 0) throw new Error(`a ${name} request was given back that was never granted`);
  bucket.unsent -= 1;
};

/** Asks for one request that leaves at once if granted. */
export const take = (budget: RequestBudget, name: Bucket, nowMonoMs: number): Grant => {
  const grant = reserve(budget, name, nowMonoMs);
  if (grant.granted) spend(budget, name, nowMonoMs);
  return grant;
};

/**
 * The venue answered 429. Nothing leaves the bucket before `retryAfterMs`, and never less than 60 s on an order path;
 * absent, negative or nonsensical values count as 60 s, and nothing is believed beyond an hour.
 * @returns the monotonic time at which the pause ends.
 */
export const pause = (
  budget: RequestBudget,
  name: Bucket,
  nowMonoMs: number,
  retryAfterMs: number | null | undefined,
): number => {
  pauseUntil(budget, name, nowMonoMs + pauseMs(name, retryAfterMs));
  return budget.buckets[name].pausedUntil;
};

/** Leaves a bucket alone until then, monotonic ms; it comes back slowly. A longer pause stays. */
export const pauseUntil = (budget: RequestBudget, name: Bucket, untilMonoMs: number): void => {
  const bucket = budget.buckets[name];
  bucket.pausedUntil = Math.max(bucket.pausedUntil, untilMonoMs);
  bucket.rampFrom = bucket.pausedUntil;
};

/** How long a 429 has a bucket wait, ms. */
export const pauseMs = (name: Bucket, retryAfterMs: number | null | undefined): number => {
  const least = ORDER_PATH.has(name) ? ORDER_PATH_PAUSE_MIN_MS : READ_PAUSE_MIN_MS;
  const asked =
    typeof retryAfterMs === 'number' && Number.isFinite(retryAfterMs) && retryAfterMs > 0
      ? Math.min(retryAfterMs, PAUSE_MAX_MS)
      : ORDER_PATH_PAUSE_MIN_MS;
  return Math.max(asked, least);
};

/** Has a bucket begin slowly from `nowMonoMs` on, as after a pause of its own. */
export const rampUp = (budget: RequestBudget, name: Bucket, nowMonoMs: number): void => {
  const bucket = budget.buckets[name];
  bucket.rampFrom = Math.max(bucket.rampFrom, nowMonoMs);
};

/** When the bucket's pause ends; in the past when there is none. */
export const pausedUntil = (budget: RequestBudget, name: Bucket): number => budget.buckets[name].pausedUntil;

/** How many of `wanted` requests could leave the bucket within `horizonMs` from now, if all were asked for at once. */
export const capacityWithin = (
  budget: RequestBudget,
  name: Bucket,
  nowMonoMs: number,
  horizonMs: number,
  wanted: number,
): number => {
  const bucket = budget.buckets[name];
  forget(bucket, nowMonoMs);
  const ahead: number[] = [];
  while (ahead.length < wanted) {
    const at = earliest(budget, bucket, nowMonoMs, ahead);
    if (at > nowMonoMs + horizonMs) break;
    ahead.push(at);
  }
  return ahead.length;
};

/** A bucket's standing, for status and tests. */
export const usage = (
  budget: RequestBudget,
  name: Bucket,
  nowMonoMs: number,
): {
  readonly lastMinute: number;
  readonly unsent: number;
  readonly share: number;
  readonly pausedMs: number;
} => {
  const bucket = budget.buckets[name];
  forget(bucket, nowMonoMs);
  return {
    lastMinute: bucket.sent.length - bucket.head,
    unsent: bucket.unsent,
    share: rampShare(bucket, nowMonoMs),
    pausedMs: Math.max(0, bucket.pausedUntil - nowMonoMs),
  };
};
