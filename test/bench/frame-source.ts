/**
 * The venue's side of the socket-to-book measurement, a thread of its own: the listing over HTTP, and over one socket an
 * even stream of differences, with tickers and full books at their usual pace. When each frame left stands in memory
 * that the measuring thread sees.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { WebSocketServer } from 'ws';
import { monoMs } from '#src/runtime/clock.js';
import { fullFrame } from '../domain/venue-feed.js';
import {
  cycleFor,
  FIRST_CHANGE_SET,
  type FrameStream,
  type FrameTemplate,
  symbolOf,
  templatesOf,
  writeFrame,
} from './frame-cycle.js';

/** What the source is born with. */
export interface FrameSourceData extends FrameStream {
  /** Monotonic ms at which the n-th frame of the connection left, 0 for all but differences. */
  readonly sentAt: Float64Array;
}

/** What it tells when all has been sent. */
export interface FrameSourceEnd {
  /** Frames of the connection. */
  readonly sent: number;
  /** Differences of each pair. */
  readonly steps: Int32Array;
  readonly cpuMs: number;
  readonly tookMs: number;
}

/** A start is measured nowhere: the whole books are read first. */
const SETTLE_MS = 1_500;
/** Pace of tickers and full books (protocol section 9.3). */
const SLOW_MS = 750;
const CHUNK_BYTES = 1024 * 1024;

const { pairs, perSecond, differences, sentAt } = workerData as FrameSourceData;
const names = Array.from({ length: pairs }, (_, pair) => symbolOf(pair));
const symbols = names.map(name => Buffer.from(name));
const pairOf = new Map(names.map((name, pair) => [name, pair]));
const templates = templatesOf();
const { first } = cycleFor(symbolOf(0));
/** Differences sent for each pair, and full books. */
const steps = new Int32Array(pairs);
const fulls = new Int32Array(pairs);

const listing = (name: string, pair: number): object => ({
  id: pair + 1,
  name,
  nameNormalized: name,
  status: 'TRADING',
  numerator: name.slice(0, -4),
  denominator: 'USDT',
  numeratorScale: 4,
  denominatorScale: 2,
  hasFraction: true,
  filters: [
    {
      filterType: 'PRICE_FILTER',
      minPrice: '0.01',
      maxPrice: '10000000',
      tickSize: '0.01',
      minExchangeValue: '9.91',
    },
  ],
  orderMethods: ['LIMIT', 'MARKET'],
  order: pair,
});

const http = createServer((_request, response) => {
  const body = JSON.stringify({
    data: { symbols: names.map(listing) },
    success: true,
    message: null,
    code: 0,
  });
  response.writeHead(200, { 'content-type': 'application/json' }).end(body);
});
const server = new WebSocketServer({ server: http, perMessageDeflate: false });
http.listen(0, '127.0.0.1');
await once(http, 'listening');
parentPort?.postMessage({ port: (http.address() as AddressInfo).port });

server.once('connection', (socket, request) => {
  const out = new Output(request.socket);
  let joined = 0;
  const say = (text: string): void => {
    out.count();
    socket.send(text);
  };
  say('[991,{"type":991,"current":"6.0.0","min":"2.3.0"}]');
  socket.on('message', message => {
    const [, { channel, event, join }] = JSON.parse(message.toString()) as [
      number,
      { readonly channel: string; readonly event: string; readonly join: boolean },
    ];
    const pair = pairOf.get(event);
    if (!join || pair === undefined) return;
    if (channel === 'obdiff') say(fullFrame(event, FIRST_CHANGE_SET, first));
    if (channel === 'ticker') out.add(templates.tickers[0] as FrameTemplate, pair, 0, false);
    if (channel === 'trade') {
      say(`[421,{"symbol":"${event}","items":[],"channel":"trade","event":"${event}","type":421}]`);
      joined += 1;
    }
    out.flush();
    if (joined === pairs) setTimeout(() => stream(out), SETTLE_MS);
  });
});

/** Frames written into one buffer and sent by one call, and how many there have been. */
class Output {
  sent = 0;
  private buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  private at = 0;
  private readonly connection: Socket;

  constructor(connection: Socket) {
    this.connection = connection;
  }

  count(isDifference = false): void {
    this.sent += 1;
    if (isDifference) sentAt[this.sent] = monoMs();
  }

  add(template: FrameTemplate, pair: number, changeSet: number, isDifference: boolean): void {
    if (this.at + template.bytes.length > this.buffer.length) this.flush();
    this.count(isDifference);
    this.at = writeFrame(this.buffer, this.at, template, symbols[pair] as Buffer, changeSet);
  }

  flush(): void {
    if (this.at === 0) return;
    this.connection.write(this.buffer.subarray(0, this.at));
    this.at = 0;
    // What the kernel has not taken at once must not be written over.
    if (this.connection.writableLength > 0) this.buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  }
}

const threadCpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
};

const stream = (out: Output): void => {
  const cpuBefore = threadCpuMs();
  const beganMs = monoMs();
  const placeOf = (pair: number): number => (steps[pair] as number) % templates.differences.length;
  let sent = 0;
  let slow = 0;
  const timer = setInterval(() => {
    const elapsedMs = monoMs() - beganMs;
    const due = Math.min(differences, Math.floor((elapsedMs * perSecond) / 1_000));
    for (; sent < due; sent++) {
      const pair = sent % pairs;
      const template = templates.differences[placeOf(pair)] as FrameTemplate;
      steps[pair] = (steps[pair] as number) + 1;
      out.add(template, pair, FIRST_CHANGE_SET + (steps[pair] as number), true);
    }
    // One pair after the other, so that each is told every 750 ms and no moment is crowded.
    const slowDue = Math.floor((elapsedMs * pairs) / SLOW_MS);
    for (; slow < slowDue; slow++) {
      const pair = slow % pairs;
      fulls[pair] = (fulls[pair] as number) + 1;
      out.add(templates.tickers[placeOf(pair)] as FrameTemplate, pair, 0, false);
      out.add(
        templates.books[placeOf(pair)] as FrameTemplate,
        pair,
        FIRST_CHANGE_SET + (fulls[pair] as number),
        false,
      );
    }
    out.flush();
    if (sent < differences) return;
    clearInterval(timer);
    parentPort?.postMessage({
      sent: out.sent,
      steps,
      cpuMs: threadCpuMs() - cpuBefore,
      tookMs: monoMs() - beganMs,
    } satisfies FrameSourceEnd);
  }, 1);
};
