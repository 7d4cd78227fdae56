/**
 * The venue's REST interface over a simulated network: the real requests, signatures and translation of replies as
 * wire text, with drawn delays and fates instead of sockets. One attempt per call, as btcturk/rest-client.ts.
 */
import { type ClockTracker, createClockTracker } from '../btcturk/clock-offset.js';
import { LANE_LIMITS } from '../btcturk/http-lane.js';
import type { BtcturkAnswers } from '../btcturk/market-reads.js';
import { cancelOutcome, type HttpReply, readAnswer, submitOutcome } from '../btcturk/replies.js';
import { buildRead, buildWrite, type HttpRequest, RequestError } from '../btcturk/requests.js';
import { prepareSigningKey, type SigningKey, signedHeaders } from '../btcturk/sign.js';
import type { Instrument } from '../domain/instrument.js';
import type { Now } from '../domain/step.js';
import type {
  CancelOutcome,
  ReadAnswer,
  SubmitOutcome,
  VenueRead,
  VenueWrite,
} from '../domain/venue-port.js';
import type { Random } from '../exchange/random.js';
import type { HttpReply as VenueReply } from '../exchange/venue-state.js';
import type { ApiCredentials } from '../runtime/settings.js';
import { drawLatency, type Latency } from './link.js';
import type { VirtualTime } from './virtual-time.js';

/** What the network does to one request. */
export type Fate =
  | { readonly type: 'normal' }
  /** It never arrives; the sender waits for nothing. */
  | { readonly type: 'request-lost' }
  /** It is carried out; the reply never comes. */
  | { readonly type: 'reply-lost' }
  /** The connection breaks with the request in it, before it arrived or after. */
  | { readonly type: 'reset'; readonly arrived: boolean }
  | { readonly type: 'slow'; readonly extraMs: number };

export const NORMAL: Fate = { type: 'normal' };

export interface NetworkLatencies {
  /** Until a standing connection is free. */
  readonly connection: Latency;
  readonly toVenue: Latency;
  readonly fromVenue: Latency;
}

/** The venue as a network sees it. A `null` reply is a reset connection. */
export interface VenueHttp {
  http(
    request: {
      readonly method: string;
      readonly path: string;
      readonly query: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
      readonly ip: string;
    },
    onReply: (reply: VenueReply | null) => void,
  ): void;
}

export interface SimRestOptions {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly latencies: NetworkLatencies;
  readonly venue: VenueHttp;
  readonly credentials: ApiCredentials | null;
  fateOf(request: HttpRequest): Fate;
  /** False once the worker behind this client is gone: nothing more is sent, nothing is heard. */
  isAlive(): boolean;
  /** Has `run` happen now, or when the worker's loop turns again. */
  whenAwake(run: () => void): void;
}

/** The caller's hold on a write until its bytes leave. */
export interface SimWriteGuard {
  /** The fence: a reason to send nothing, or null. */
  beforeBytes(): string | null;
}

export interface SimRest {
  ask(call: VenueRead, done: (answer: ReadAnswer) => void): void;
  /** @returns a way to give the write up while its bytes have not left. */
  write(
    write: VenueWrite,
    instrument: Instrument | null,
    guard: SimWriteGuard,
    done: (outcome: SubmitOutcome | CancelOutcome) => void,
  ): { abort(): void };
  clockOffsetMs(): number | null;
}

interface Answered {
  readonly reply: HttpReply;
  readonly sentMonoMs: number | null;
  readonly received: Now;
}

export const createSimRest = (options: SimRestOptions): SimRest => {
  const { time, random, latencies } = options;
  const key = options.credentials === null ? null : prepareSigningKey(options.credentials);
  const clock = createClockTracker(true);

  const send = (
    request: HttpRequest,
    beforeBytes: () => string | null,
    done: (answered: Answered) => void,
  ): void => {
    let settled = false;
    let sentMonoMs: number | null = null;
    const settle = (reply: HttpReply): void => {
      if (settled || !options.isAlive()) return;
      settled = true;
      options.whenAwake(() => done({ reply, sentMonoMs, received: time.now() }));
    };
    const depart = (): void => {
      if (!options.isAlive()) return;
      if (request.signed && key === null) {
        settle({ type: 'not-sent', reason: 'there is no API key to sign with' });
        return;
      }
      const reason = beforeBytes();
      if (reason !== null) {
        settle({ type: 'not-sent', reason });
        return;
      }
      sentMonoMs = time.now().monoMs;
      time.after(LANE_LIMITS.replyMs, 'reply deadline', () =>
        settle({
          type: 'no-response',
          cause: 'timeout',
          detail: `no complete reply in ${LANE_LIMITS.replyMs} ms`,
        }),
      );
      travel(request, headersOf(request, key, clock, time.now()), settle);
    };
    time.after(drawLatency(latencies.connection, random), 'connection', () => options.whenAwake(depart));
  };

  const travel = (
    request: HttpRequest,
    headers: Readonly<Record<string, string>>,
    settle: (reply: HttpReply) => void,
  ): void => {
    const fate = options.fateOf(request);
    const extraMs = fate.type === 'slow' ? fate.extraMs : 0;
    const reset = (): void =>
      settle({ type: 'no-response', cause: 'disconnect', detail: 'the connection was reset' });
    if (fate.type === 'request-lost') return;
    const [path = '', query = ''] = request.path.split('?');
    time.after(drawLatency(latencies.toVenue, random) + extraMs, `${request.method} arrives`, () => {
      if (fate.type === 'reset' && !fate.arrived) {
        reset();
        return;
      }
      options.venue.http(
        { method: request.method, path, query, headers, body: request.body ?? '', ip: CLIENT_IP },
        reply => {
          if (fate.type === 'reply-lost') return;
          time.after(drawLatency(latencies.fromVenue, random), `${request.method} reply`, () => {
            if (reply === null || fate.type === 'reset') reset();
            else settle(responseOf(reply));
          });
        },
      );
    });
  };

  const ask: SimRest['ask'] = (call, done) => {
    const startedMonoMs = time.now().monoMs;
    const replies: HttpReply[] = [];
    let last: Answered | null = null;
    const finish = (): void => {
      const ended = time.now();
      const result = readAnswer(call, replies, {
        tookMs: ended.monoMs - startedMonoMs,
        receivedAtMs: last?.received.wallMs ?? ended.wallMs,
      });
      if (call.type === 'server-time' && result.ok && last !== null && last.sentMonoMs !== null)
        clock.add((result.value as BtcturkAnswers['server-time']).serverMs, last.sentMonoMs, last.received);
      done({ call, result } as ReadAnswer);
    };
    const next = (requests: readonly HttpRequest[]): void => {
      const [request, ...rest] = requests;
      if (request === undefined) {
        finish();
        return;
      }
      send(
        request,
        () => null,
        answered => {
          last = answered;
          replies.push(answered.reply);
          next(answered.reply.type === 'response' ? rest : []);
        },
      );
    };
    try {
      next(buildRead(call));
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      replies.push({ type: 'not-sent', reason: error.message });
      finish();
    }
  };

  const write: SimRest['write'] = (wanted, instrument, guard, done) => {
    let aborted = false;
    let request: HttpRequest;
    try {
      request = buildWrite(wanted, instrument);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      done({ type: 'denied', reason: error.message });
      return { abort: () => {} };
    }
    send(
      request,
      () => (aborted ? 'aborted' : guard.beforeBytes()),
      ({ reply }) => done(wanted.type === 'submit' ? submitOutcome(wanted, reply) : cancelOutcome(reply)),
    );
    return {
      abort: () => {
        aborted = true;
      },
    };
  };

  return { ask, write, clockOffsetMs: () => clock.current()?.offsetMs ?? null };
};

/** One address for the whole process. */
export const CLIENT_IP = '127.0.0.1';

const headersOf = (
  request: HttpRequest,
  key: SigningKey | null,
  clock: ClockTracker,
  at: Now,
): Readonly<Record<string, string>> => {
  const signed = request.signed && key !== null ? signedHeaders(key, clock.stamp(at)) : {};
  return { 'content-type': 'application/json', ...inLowerCase(signed) };
};

const inLowerCase = (headers: Readonly<Record<string, string>>): Record<string, string> => {
  const lowered: Record<string, string> = {};
  for (const name of Object.keys(headers)) lowered[name.toLowerCase()] = headers[name] as string;
  return lowered;
};

const responseOf = ({ status, headers, body }: VenueReply): HttpReply => ({
  type: 'response',
  status,
  headers: inLowerCase(headers),
  body,
});
