/**
 * Every read that reconciliation makes: queued, paced by the request budget, retried when that is allowed, settled.
 *
 * Retries live here and nowhere else in the program: reads are idempotent, writes are never repeated. A retry waits a
 * full-jitter back-off and is paid from one allowance that fresh reads fill at a tenth each, so that a venue in trouble
 * gets at most 10 % more requests from us.
 */
import { THROTTLED_STORM, THROTTLED_WINDOW_MS } from './breaker.js';
import { type Bucket, bucketOfRead, pause, pausedUntil, type RequestBudget, take } from './request-budget.js';
import type { Now } from './step.js';
import type { ReadAnswer, ReadFailure, VenueRead } from './venue-port.js';

export interface ReadSettings {
  /** Upper bound of the first back-off, ms; doubles with each further one. */
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  /** Retries of one read, beyond its first request. */
  readonly maxRetries: number;
}

/** A read somebody wants; `Purpose` says to whom its answer matters. */
export interface WantedRead<Purpose> {
  readonly call: VenueRead;
  readonly purpose: Purpose;
  /** Requests already made for it. */
  readonly attempt: number;
  readonly notBeforeMonoMs: number;
}

export interface SentRead<Purpose> extends WantedRead<Purpose> {
  readonly requestId: number;
  readonly sentMonoMs: number;
  readonly sentWallMs: number;
}

/** For the shell: ask the venue once, and answer with the same request id. */
export interface ReadEffect {
  readonly type: 'read';
  readonly requestId: number;
  readonly call: VenueRead;
}

export interface ReadSchedule<Purpose> {
  readonly settings: ReadSettings;
  readonly budget: RequestBudget;
  readonly waiting: WantedRead<Purpose>[];
  readonly sent: Map<number, SentRead<Purpose>>;
  nextRequestId: number;
  /** State of the jitter's generator. */
  random: number;
  retryAllowance: number;
  /** Monotonic times of the requests, the retries among them, and the 429s, of the last five minutes. */
  requestedAt: number[];
  retriedAt: number[];
  throttledAt: number[];
  /** Buckets in which the venue has had us wait, until something is read from them again. */
  readonly throttled: Set<Bucket>;
  unauthorizedInRow: number;
  /** After three refusals of the key in a row nothing signed is sent (protocol section 3.2: 50 block the address). */
  signedStopped: boolean;
}

/** What an answer means for its read. */
export type SettledRead<Purpose> =
  | { readonly type: 'answered'; readonly read: SentRead<Purpose>; readonly answer: ReadAnswer }
  | { readonly type: 'retrying'; readonly read: SentRead<Purpose>; readonly failure: ReadFailure }
  | { readonly type: 'failed'; readonly read: SentRead<Purpose>; readonly failure: ReadFailure }
  /** Nobody waits for it: it came after its deadline. */
  | { readonly type: 'unexpected' };

/** After each 429 of a storm: time for the word that it is one to reach everybody, and a little peace for the venue. */
const STORM_PAUSE_MS = 250;
/** Retries paid per fresh read: the shared retry budget of 10 %. */
const ALLOWANCE_PER_READ = 0.1;
/** Few enough that a burst of retries after a quiet time stays small. */
const MAX_ALLOWANCE = 10;
/** Lets the first reads of a start be retried before the tenth has bitten. */
const FIRST_ALLOWANCE = 2;
/** The shell's own deadlines are 5 s; an answer this late is not coming. */
const ANSWER_DEADLINE_MS = 20_000;
const RATE_WINDOW_MS = 300_000;
const REFUSALS_BEFORE_STOP = 3;

const NOTHING: readonly ReadEffect[] = [];

export const initialReadSchedule = <Purpose>(
  settings: ReadSettings,
  budget: RequestBudget,
  seed: number,
): ReadSchedule<Purpose> => ({
  settings,
  budget,
  waiting: [],
  sent: new Map(),
  nextRequestId: 1,
  random: seed >>> 0,
  retryAllowance: FIRST_ALLOWANCE,
  requestedAt: [],
  retriedAt: [],
  throttledAt: [],
  throttled: new Set(),
  unauthorizedInRow: 0,
  signedStopped: false,
});

/** Whether the venue wants the key for this read (protocol sections 4 and 5). */
export const isSigned = (call: VenueRead): boolean =>
  call.type !== 'server-time' && call.type !== 'instruments' && call.type !== 'ticker';

/**
 * Queues a read. The queue needs no bound of its own: who wants reads waits for their answers before wanting more.
 */
export const wantRead = <Purpose>(
  schedule: ReadSchedule<Purpose>,
  call: VenueRead,
  purpose: Purpose,
  notBeforeMonoMs: number,
): void => {
  schedule.waiting.push({ call, purpose, attempt: 0, notBeforeMonoMs });
};

/**
 * The reads that may leave now, in the order in which they were wanted, as far as the budget has tokens. It is asked after
 * every step, and hundreds wait while the venue has us pause: those that stay are moved up in their own list.
 */
export const sendDueReads = <Purpose>(schedule: ReadSchedule<Purpose>, now: Now): readonly ReadEffect[] => {
  const { waiting } = schedule;
  if (waiting.length === 0) return NOTHING;
  const effects: ReadEffect[] = [];
  const exhausted = new Set<Bucket>();
  let kept = 0;
  for (const wanted of waiting) {
    if (!mayLeave(schedule, wanted, now, exhausted)) {
      waiting[kept++] = wanted;
      continue;
    }
    const requestId = schedule.nextRequestId++;
    schedule.sent.set(requestId, { ...wanted, requestId, sentMonoMs: now.monoMs, sentWallMs: now.wallMs });
    schedule.requestedAt.push(now.monoMs);
    if (wanted.attempt > 0) schedule.retriedAt.push(now.monoMs);
    else schedule.retryAllowance = Math.min(MAX_ALLOWANCE, schedule.retryAllowance + ALLOWANCE_PER_READ);
    effects.push({ type: 'read', requestId, call: wanted.call });
  }
  waiting.length = kept;
  return effects;
};

const mayLeave = <Purpose>(
  schedule: ReadSchedule<Purpose>,
  wanted: WantedRead<Purpose>,
  now: Now,
  exhausted: Set<Bucket>,
): boolean => {
  if (wanted.notBeforeMonoMs > now.monoMs || schedule.sent.size >= mostInFlight(schedule, now)) return false;
  if (schedule.signedStopped && isSigned(wanted.call)) return false;
  const bucket = bucketOfRead(wanted.call);
  if (exhausted.has(bucket)) return false;
  // After a 429 the next read is a probe: until it is answered well, no second one leaves beside it.
  if (schedule.throttled.has(bucket) && isInFlight(schedule, bucket)) return false;
  if (take(schedule.budget, bucket, now.monoMs).granted) return true;
  exhausted.add(bucket);
  return false;
};

/** Replies are awaited as if each were a 429: so the one that makes the storm is the last, and in a storm each is a probe. */
const mostInFlight = <Purpose>({ throttledAt }: ReadSchedule<Purpose>, now: Now): number => {
  let recent = 0;
  while (recent < throttledAt.length && now.monoMs - (throttledAt.at(-1 - recent) ?? 0) < THROTTLED_WINDOW_MS)
    recent += 1;
  if (recent < THROTTLED_STORM) return THROTTLED_STORM - recent;
  return now.monoMs - (throttledAt.at(-1) ?? 0) < STORM_PAUSE_MS ? 0 : 1;
};

const isInFlight = <Purpose>(schedule: ReadSchedule<Purpose>, bucket: Bucket): boolean => {
  for (const { call } of schedule.sent.values()) if (bucketOfRead(call) === bucket) return true;
  return false;
};

/** Takes an answer: the read is done, goes back into the queue for a retry, or has failed. */
export const settleRead = <Purpose>(
  schedule: ReadSchedule<Purpose>,
  requestId: number,
  answer: ReadAnswer,
  now: Now,
): SettledRead<Purpose> => {
  const read = schedule.sent.get(requestId);
  if (read === undefined) return { type: 'unexpected' };
  schedule.sent.delete(requestId);
  if (answer.result.ok) {
    if (isSigned(read.call)) schedule.unauthorizedInRow = 0;
    schedule.throttled.delete(bucketOfRead(read.call));
    return { type: 'answered', read, answer };
  }
  return settleFailure(schedule, read, answer.result.failure, now);
};

/** Reads whose answer will not come, as failed. Call it on ticks. */
export const settleOverdueReads = <Purpose>(
  schedule: ReadSchedule<Purpose>,
  now: Now,
): SettledRead<Purpose>[] => {
  const settled: SettledRead<Purpose>[] = [];
  for (const [requestId, read] of schedule.sent) {
    if (now.monoMs - read.sentMonoMs < ANSWER_DEADLINE_MS) continue;
    schedule.sent.delete(requestId);
    settled.push(settleFailure(schedule, read, { type: 'unavailable', cause: 'timeout' }, now));
  }
  return settled;
};

const settleFailure = <Purpose>(
  schedule: ReadSchedule<Purpose>,
  read: SentRead<Purpose>,
  failure: ReadFailure,
  now: Now,
): SettledRead<Purpose> => {
  switch (failure.type) {
    case 'unavailable': {
      if (read.attempt >= schedule.settings.maxRetries || schedule.retryAllowance < 1)
        return { type: 'failed', read, failure };
      schedule.retryAllowance -= 1;
      schedule.waiting.push({
        call: read.call,
        purpose: read.purpose,
        attempt: read.attempt + 1,
        notBeforeMonoMs: now.monoMs + backOff(schedule, read.attempt),
      });
      return { type: 'retrying', read, failure };
    }
    case 'rate-limited': {
      if (failure.unsent !== true) schedule.throttledAt.push(now.monoMs);
      const bucket = bucketOfRead(read.call);
      schedule.throttled.add(bucket);
      pause(schedule.budget, bucket, now.monoMs, failure.retryAfterMs);
      return { type: 'failed', read, failure };
    }
    case 'unauthorized':
      schedule.unauthorizedInRow += 1;
      if (schedule.unauthorizedInRow >= REFUSALS_BEFORE_STOP) schedule.signedStopped = true;
      return { type: 'failed', read, failure };
    case 'refused':
      return { type: 'failed', read, failure };
  }
};

/** Lets signed reads leave again, once somebody has looked at the key. */
export const resumeSignedReads = <Purpose>(schedule: ReadSchedule<Purpose>): void => {
  schedule.signedStopped = false;
  schedule.unauthorizedInRow = 0;
};

/** Full jitter: anywhere between now and the bound, which doubles with each attempt. */
const backOff = <Purpose>(schedule: ReadSchedule<Purpose>, attempt: number): number => {
  const bound = Math.min(schedule.settings.maxDelayMs, schedule.settings.baseDelayMs * 2 ** attempt);
  return Math.floor(nextRandom(schedule) * (bound + 1));
};

/** Uniform in [0, 1): a 32-bit mixing counter, enough to spread retries. */
const nextRandom = <Purpose>(schedule: ReadSchedule<Purpose>): number => {
  schedule.random = (schedule.random + 0x9e3779b9) >>> 0;
  let mixed = schedule.random;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
};

/** Requests refused for their rate in the last minute, and retries per request of the last five. */
export const readRates = <Purpose>(
  schedule: ReadSchedule<Purpose>,
  now: Now,
): { readonly throttledPerMinute: number; readonly retryRate: number } => {
  // Oldest first: mostly none of them has grown old.
  const recent = (times: number[]): number[] =>
    times[0] === undefined || now.monoMs - times[0] < RATE_WINDOW_MS
      ? times
      : times.filter(at => now.monoMs - at < RATE_WINDOW_MS);
  schedule.requestedAt = recent(schedule.requestedAt);
  schedule.retriedAt = recent(schedule.retriedAt);
  schedule.throttledAt = recent(schedule.throttledAt);
  return {
    throttledPerMinute: schedule.throttledAt.filter(at => now.monoMs - at < THROTTLED_WINDOW_MS).length,
    retryRate:
      schedule.requestedAt.length === 0 ? 0 : schedule.retriedAt.length / schedule.requestedAt.length,
  };
};

/**
 * Whether the venue has us wait in a read bucket, or has not answered there since although somebody asks. A bucket that
 * nobody asks stands in nobody's way, but its next read is a probe all the same.
 */
export const isThrottled = <Purpose>(schedule: ReadSchedule<Purpose>, now: Now): boolean => {
  const reads = [...schedule.waiting, ...schedule.sent.values()];
  for (const bucket of schedule.throttled)
    if (
      pausedUntil(schedule.budget, bucket) > now.monoMs ||
      reads.some(({ call }) => bucketOfRead(call) === bucket)
    )
      return true;
  return false;
};
