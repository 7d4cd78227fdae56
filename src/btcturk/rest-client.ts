/**
 * The venue's REST interface over sockets. Exactly one attempt per call: whether and when to ask again is decided by
 * the brains. Reads, submits and cancels have lanes of their own, so that none ever queues in front of another.
 */
import type { Instrument } from '../domain/instrument.js';
import { type Bucket, bucketOfRead, pauseMs } from '../domain/request-budget.js';
import type { Now } from '../domain/step.js';
import type {
  CancelOutcome,
  ReadAnswer,
  ReadResult,
  SubmitOutcome,
  VenueRead,
  VenueWrite,
} from '../domain/venue-port.js';
import { now as clockNow } from '../runtime/clock.js';
import type { PauseBoard } from '../runtime/pause-board.js';
import { isLoopbackHost } from '../runtime/setting-kinds.js';
import type { ApiCredentials, Endpoints } from '../runtime/settings.js';
import { type ClockOffset, type ClockTracker, createClockTracker } from './clock-offset.js';
import type { EndSignal } from './ending.js';
import { createLane, type HttpLane, LANE_LIMITS, type LaneLimits, type LaneReply } from './http-lane.js';
import type { BtcturkAnswers, BtcturkRead } from './market-reads.js';
import { cancelOutcome, type HttpReply, readAnswer, submitOutcome } from './replies.js';
import { buildRead, buildWrite, type HttpRequest, RequestError } from './requests.js';
import { retryAfterMs } from './retry-after.js';
import { prepareSigningKey, type SigningKey, signedHeaders } from './sign.js';

/** The caller's hold on a write until its bytes leave. */
export interface WriteGuard {
  /**
   * Called once, synchronously before the bytes are written to a standing connection: the fence. A returned reason
   * denies the write and nothing leaves; null lets it go, and from then on its outcome can be unknown.
   */
  beforeBytes(): string | null;
  /**
   * Ends the write: `denied` when nothing has left yet (a request that waits for a place or a connection settles at
   * once), `unknown` when it has. So abort what has not passed `beforeBytes`; abort the rest only to leave.
   */
  readonly signal: EndSignal;
}

export type WriteOutcome<W extends VenueWrite> = W extends { readonly type: 'submit' }
  ? SubmitOutcome
  : CancelOutcome;

/** A request and what came back, for recordings. Carries no signature and no key. */
export interface HttpExchange {
  readonly request: HttpRequest;
  readonly reply: HttpReply;
  readonly received: Now;
}

export interface RestClientOptions {
  readonly endpoints: Endpoints;
  /** Null for a client that only reads public endpoints. */
  readonly credentials: ApiCredentials | null;
  readonly now?: () => Now;
  /** Whether the venue reads the clock of this machine; when absent, one on loopback does. */
  readonly readsOurClock?: boolean;
  readonly limits?: Partial<LaneLimits>;
  /** How many of each may be under way at once. */
  readonly concurrency?: Partial<Readonly<Record<'read' | 'submit' | 'cancel', number>>>;
  readonly onExchange?: (exchange: HttpExchange) => void;
  /**
   * The pauses of the venue's endpoints, shared with its other clients. A read of a paused endpoint does not leave;
   * for writes execution's budget sees to it.
   */
  readonly pauses?: PauseBoard;
  /** Told of every reply 429, with what was asked. */
  readonly onThrottled?: (request: string) => void;
}

export interface RestClient {
  /** Asks once. Never rejects. A `server-time` answer also corrects the clock. */
  read<C extends BtcturkRead>(call: C): Promise<ReadResult<BtcturkAnswers[C['type']]>>;
  /** As `read`, with the answer paired with its question, as the brains take it. */
  ask(call: VenueRead): Promise<ReadAnswer>;
  /** Sends once, or not at all. Never rejects. Without its instrument a submit is denied; a cancel needs none. */
  write<W extends VenueWrite>(
    write: W,
    instrument: Instrument | null,
    guard: WriteGuard,
  ): Promise<WriteOutcome<W>>;
  /**
   * Opens a connection for submits and one for cancels where none stands, sending nothing. Cheap when they stand: call
   * it at start and now and then, so that no order waits for a handshake.
   * @returns how many of the two stand.
   */
  warmUp(): Promise<number>;
  /** The venue's clock against ours; null before the first `server-time` answer. */
  clock(): ClockOffset | null;
  /**
   * Signs with this key from now on; what has left goes on under the key it was signed with.
   * @throws SigningKeyError when it cannot sign; the key in use stays.
   */
  useKey(credentials: ApiCredentials): void;
  /** Ends every request under way (a write that has left becomes unknown) and closes the connections. */
  close(): Promise<void>;
}

const CONCURRENCY = { read: 4, submit: 8, cancel: 8 } as const;

/** @throws SigningKeyError when the credentials cannot sign. */
export const createRestClient = (options: RestClientOptions): RestClient => {
  const now = options.now ?? clockNow;
  const limits: LaneLimits = { ...LANE_LIMITS, ...options.limits };
  const concurrency = { ...CONCURRENCY, ...options.concurrency };
  let key = options.credentials === null ? null : prepareSigningKey(options.credentials);
  const { baseUrl, graphUrl } = options.endpoints;
  const clock = createClockTracker(options.readsOurClock ?? isLoopbackHost(new URL(baseUrl).hostname));
  const lanes = {
    read: createLane(baseUrl, concurrency.read, limits, now),
    submit: createLane(baseUrl, concurrency.submit, limits, now),
    cancel: createLane(baseUrl, concurrency.cancel, limits, now),
  };
  /** The pauses of reads that no budget counts, monotonic ms: one worker makes them all. */
  const ownPauses = new Map<BtcturkRead['type'], number>();
  let charts: HttpLane | null = null;
  const chartLane = (): HttpLane => {
    charts ??= createLane(graphUrl, 1, limits, now);
    return charts;
  };

  const send = async (
    lane: HttpLane,
    request: HttpRequest,
    guard: Pick<WriteGuard, 'beforeBytes'> & Partial<WriteGuard>,
  ): Promise<LaneReply> => {
    if (request.signed && key === null) {
      const reply: HttpReply = { type: 'not-sent', reason: 'there is no API key to sign with' };
      return { reply, sentMonoMs: null, received: now() };
    }
    const answered = await lane.send({
      method: request.method,
      path: request.path,
      body: request.body,
      headers: () => headersOf(request, key, clock, now()),
      beforeBytes: () => guard.beforeBytes(),
      signal: guard.signal ?? null,
    });
    options.onExchange?.({ request, reply: answered.reply, received: answered.received });
    if (answered.reply.type === 'response' && answered.reply.status === 429)
      options.onThrottled?.(`${request.method} ${request.path.replace(/\?.*$/, '')}`);
    return answered;
  };

  const read: RestClient['read'] = async call => {
    const startedMonoMs = now().monoMs;
    const bucket = bucketOf(call);
    const pausedUntil = (): number =>
      (bucket === null ? ownPauses.get(call.type) : options.pauses?.until(bucket)) ?? 0;
    let waitsMs = 0;
    const guard = {
      beforeBytes: (): string | null => {
        waitsMs = pausedUntil() - now().monoMs;
        return waitsMs > 0 ? 'the venue wants this endpoint left alone' : null;
      },
    };
    const replies: HttpReply[] = [];
    let last: LaneReply | null = null;
    for (const request of requestsOf(call)) {
      if ('problem' in request) {
        replies.push({ type: 'not-sent', reason: request.problem });
        break;
      }
      last = await send(request.host === 'graph' ? chartLane() : lanes.read, request, guard);
      replies.push(last.reply);
      if (last.reply.type !== 'response') break;
      if (last.reply.status !== 429) continue;
      const asked = retryAfterMs(last.reply.headers, false);
      if (bucket === null) ownPauses.set(call.type, last.received.monoMs + asked);
      else options.pauses?.pause(bucket, last.received.monoMs + pauseMs(bucket, asked));
    }
    const ended = now();
    if (waitsMs > 0 && replies.length === 1)
      return {
        ok: false,
        failure: { type: 'rate-limited', retryAfterMs: waitsMs, unsent: true },
        tookMs: ended.monoMs - startedMonoMs,
      };
    const result = readAnswer(call, replies, {
      tookMs: ended.monoMs - startedMonoMs,
      receivedAtMs: last?.received.wallMs ?? ended.wallMs,
    });
    if (call.type === 'server-time' && result.ok && last !== null && last.sentMonoMs !== null)
      clock.add((result.value as BtcturkAnswers['server-time']).serverMs, last.sentMonoMs, last.received);
    return result;
  };

  return {
    read,
    async ask(call) {
      return { call, result: await read(call) } as ReadAnswer;
    },
    async write(write, instrument, guard) {
      const outcome = await writeOnce(write, instrument, guard, send, lanes, options.pauses);
      return outcome as WriteOutcome<typeof write>;
    },
    async warmUp() {
      const standing = await Promise.all([lanes.submit.warmUp(1), lanes.cancel.warmUp(1)]);
      return standing[0] + standing[1];
    },
    clock: () => clock.current(),
    useKey(credentials) {
      key = prepareSigningKey(credentials);
    },
    async close() {
      await Promise.all(
        [...Object.values(lanes), ...(charts === null ? [] : [charts])].map(lane => lane.close()),
      );
    },
  };
};

type Send = (lane: HttpLane, request: HttpRequest, guard: WriteGuard) => Promise<LaneReply>;

const writeOnce = async (
  write: VenueWrite,
  instrument: Instrument | null,
  guard: WriteGuard,
  send: Send,
  lanes: Readonly<Record<'submit' | 'cancel', HttpLane>>,
  pauses: PauseBoard | undefined,
): Promise<SubmitOutcome | CancelOutcome> => {
  let request: HttpRequest;
  try {
    request = buildWrite(write, instrument);
  } catch (error) {
    if (error instanceof RequestError) return { type: 'denied', reason: error.message };
    throw error;
  }
  const { reply, received } = await send(lanes[write.type], request, guard);
  // Execution knows; its next incarnation will have to ask.
  if (reply.type === 'response' && reply.status === 429)
    pauses?.pause(write.type, received.monoMs + pauseMs(write.type, retryAfterMs(reply.headers, true)));
  return write.type === 'submit' ? submitOutcome(write, reply) : cancelOutcome(reply);
};

/** The budget that the venue counts a read in; null for those that no brain plans. */
const bucketOf = (call: BtcturkRead): Bucket | null => {
  switch (call.type) {
    case 'order-book':
    case 'public-trades':
    case 'candles':
    case 'daily-candles':
      return null;
    case 'day-tickers':
      return 'ticker';
    default:
      return bucketOfRead(call);
  }
};

/** The requests of a read, or what is wrong with the question. */
const requestsOf = (call: BtcturkRead): readonly (HttpRequest | { readonly problem: string })[] => {
  try {
    return buildRead(call);
  } catch (error) {
    if (error instanceof RequestError) return [{ problem: error.message }];
    throw error;
  }
};

const headersOf = (
  request: HttpRequest,
  key: SigningKey | null,
  clock: ClockTracker,
  at: Now,
): Readonly<Record<string, string>> => ({
  accept: 'application/json',
  'user-agent': 'btcbot',
  'content-type': 'application/json',
  ...(request.signed && key !== null ? signedHeaders(key, clock.stamp(at)) : {}),
});
