/**
 * How fast frames become books. Run by hand: `npm run build && node dist/test/bench/market-data.js`.
 *
 * 1. Parse and apply, one thread: the shared recording, and small frames of 379 pairs.
 * 2. Apply alone, from numbers, as a backtest from a binary recording does.
 * 3. Socket to book: a server thread sends 20,000 frames/s for 379 pairs over one loopback socket; the feed of the
 *    market-data actor reads them. Measured from the time of sending, inside each frame, to the book it is applied to.
 */
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { gunzipSync } from 'node:zlib';
import { WebSocketServer } from 'ws';
import { createPublicFrameReader } from '#src/btcturk/public-frames.js';
import { openSocket } from '#src/btcturk/socket.js';
import type { Instrument } from '#src/domain/instrument.js';
import { initialMarketData, stepMarketData } from '#src/domain/market-data.js';
import { applyDifference, applySnapshot, initialOrderBook } from '#src/domain/order-book.js';
import type { PublicFrame } from '#src/domain/public-frame.js';
import { eventIds } from '#src/domain/step.js';
import { monoMs, now } from '#src/runtime/clock.js';
import { instrument } from '../btcturk/fixtures.js';
import {
  applyMove,
  differenceFrame,
  fullFrame,
  initialSides,
  type Window,
  windowOf,
} from '../domain/venue-feed.js';

const PAIRS = 379;
const FRAMES_PER_SECOND = 20_000;
const SECONDS = 20;

const instruments: readonly Instrument[] = Array.from({ length: PAIRS }, (_, index) =>
  instrument({ symbol: `P${index}USDT`, pairId: index, priceScale: 2, quantityScale: 4 }),
);

/** A cycle of differences for one pair, in frame text without its change set: one to three levels each. */
const cycleFor = (symbol: string): { readonly first: Window; readonly texts: readonly string[] } => {
  const sides = initialSides(10_000, 100);
  const first = windowOf(sides, 100);
  const texts: string[] = [];
  let window = first;
  const step = (ticks: number, lots: number, side: 'bids' | 'asks'): void => {
    applyMove(sides, { side, ticks, lots });
    const next = windowOf(sides, 100);
    texts.push(differenceFrame(symbol, 0, window, next));
    window = next;
  };
  for (let round = 0; round < 10; round++) {
    step(9_999 - round, 500 + round, 'bids');
    step(10_001 + round, 0, 'asks');
    step(10_001 + round, 700 + round, 'asks');
  }
  return { first, texts };
};

const report = (words: string): void => {
  process.stdout.write(`${words}\n`);
};
/** CPU time of this thread, ms: on a busy machine the clock says less. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
};
const rate = (frames: number, ms: number, cpu: number): string =>
  `${Math.round((frames / ms) * 1_000).toLocaleString('en')} frames/s, ${((cpu / frames) * 1_000).toFixed(2)} µs of CPU each`;

const parseAndApply = (): void => {
  const path = join(process.env.BTCBOT_SHARED ?? '../shared', 'data/btcusdt-2024-08-08.jsonl.gz');
  if (existsSync(path)) {
    const texts = gunzipSync(readFileSync(path))
      .toString('utf8')
      .split('\n')
      .filter(line => line.includes('"frame":[43'))
      .map(line => JSON.stringify((JSON.parse(line) as { frame: unknown }).frame));
    const reader = createPublicFrameReader([instrument({ priceScale: 2, quantityScale: 5 })]);
    const bytes = texts.reduce((sum, text) => sum + text.length, 0);
    for (const pass of ['cold', 'warm', 'warm']) {
      const book = initialOrderBook();
      const [began, cpu] = [monoMs(), cpuMs()];
      for (const text of texts) apply(book, reader.read(text));
      report(
        `recording, ${pass}: ${rate(texts.length, monoMs() - began, cpuMs() - cpu)}, ${Math.round(bytes / texts.length)} bytes a frame`,
      );
    }
    const frames = texts.map(text => reader.read(text));
    const book = initialOrderBook();
    let applied = 0;
    const [began, cpu] = [monoMs(), cpuMs()];
    for (let pass = 0; pass < 50; pass++) for (const frame of frames) applied += apply(book, frame) ? 1 : 0;
    report(`recording, from numbers: ${rate(applied, monoMs() - began, cpuMs() - cpu)}`);
  } else report(`recording: ${path} is not there`);
  const { first, texts } = cycleFor('P0USDT');
  const reader = createPublicFrameReader(instruments);
  const book = initialOrderBook();
  apply(book, reader.read(fullFrame('P0USDT', 0, first)));
  let changeSet = 0;
  const [began, cpu] = [monoMs(), cpuMs()];
  const total = 200_000;
  for (let index = 0; index < total; index++) {
    const text = (texts[index % texts.length] as string).replace('"CS":0', `"CS":${++changeSet}`);
    apply(book, reader.read(text));
  }
  report(
    `small frames, 1 to 3 levels: ${rate(total, monoMs() - began, cpuMs() - cpu)}, ${texts[0]?.length} bytes a frame`,
  );
};

const apply = (book: ReturnType<typeof initialOrderBook>, frame: PublicFrame): boolean => {
  const verdict =
    frame.type === 'book-snapshot'
      ? applySnapshot(book, frame.changeSet, frame.bids, frame.asks)
      : frame.type === 'book-difference'
        ? applyDifference(book, frame.changeSet, frame.bids, frame.asks)
        : 'ignored';
  if (verdict !== 'applied') throw new Error(`a frame was ${verdict}`);
  return true;
};

/** The venue's side, in a thread of its own: an even stream, the time of sending inside each frame. */
const serve = async (): Promise<void> => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  await once(server, 'listening');
  parentPort?.postMessage({ port: (server.address() as AddressInfo).port });
  server.once('connection', socket => {
    const cycles = instruments.map(({ symbol }) => cycleFor(symbol));
    const changeSets = instruments.map(() => 1);
    socket.send('[991,{"type":991}]');
    let joined = 0;
    socket.on('message', message => {
      const [, payload] = JSON.parse(message.toString()) as [
        number,
        { channel: string; event: string; join: boolean },
      ];
      if (payload.channel !== 'obdiff' || !payload.join) return;
      const index = Number(payload.event.slice(1, -4));
      socket.send(fullFrame(payload.event, 1, (cycles[index] as (typeof cycles)[number]).first));
      joined += 1;
      // A start is measured nowhere: 379 whole books are read first.
      if (joined === PAIRS) setTimeout(stream, 1_500);
    });
    const stream = (): void => {
      const beganMs = monoMs();
      let sent = 0;
      const timer = setInterval(() => {
        const due = Math.min(
          FRAMES_PER_SECOND * SECONDS,
          Math.floor(((monoMs() - beganMs) * FRAMES_PER_SECOND) / 1_000),
        );
        while (sent < due) {
          const pair = sent % PAIRS;
          const { texts } = cycles[pair] as (typeof cycles)[number];
          const place = ((changeSets[pair] as number) - 1) % texts.length;
          changeSets[pair] = (changeSets[pair] as number) + 1;
          const text = (texts[place] as string).replace(
            '"CS":0',
            `"CS":${changeSets[pair]},"at":${monoMs()}`,
          );
          socket.send(text);
          sent += 1;
        }
        if (sent < FRAMES_PER_SECOND * SECONDS) return;
        clearInterval(timer);
        socket.send('[999,{"end":true}]');
      }, 1);
    };
  });
};

const socketToBook = async (): Promise<void> => {
  const worker = new Worker(new URL(import.meta.url), { workerData: { role: 'venue' } });
  const [{ port }] = (await once(worker, 'message')) as [{ port: number }];
  const reader = createPublicFrameReader(instruments);
  let state = initialMarketData(
    {
      instruments,
      maxAgeMs: 5_000,
      idleReconnectMs: 30_000,
      seed: 1,
      forgottenAttempts: 0,
      ids: eventIds('market-data', 1),
    },
    now(),
  );
  const latencies = new Float64Array(FRAMES_PER_SECOND * SECONDS);
  let measured = 0;
  let published = 0;
  let trouble = 0;
  let batch = false;
  const cpu = cpuMs();
  await new Promise<void>(resolve => {
    const step = (input: Parameters<typeof stepMarketData>[1]): void => {
      const stepped = stepMarketData(state, input, now());
      state = stepped.state;
      for (const effect of stepped.effects) {
        if (effect.type === 'tell' && effect.message.type === 'book-updated') published += 1;
        if (effect.type === 'log' && effect.event === 'book-resync') trouble += 1;
        if (effect.type === 'subscribe')
          socket.send(
            JSON.stringify([
              151,
              { type: 151, channel: effect.channel, event: effect.symbol, join: effect.join },
            ]),
          );
      }
    };
    const socket = openSocket(`ws://127.0.0.1:${port}`, {
      onOpen: () => step({ type: 'opened' }),
      onPing: () => {},
      onClosed: detail => {
        throw new Error(detail);
      },
      onText: text => {
        if (text.startsWith('[999')) {
          clearInterval(ticks);
          socket.drop();
          resolve();
          return;
        }
        const sentMs = text.startsWith('[432') ? Number(/"at":([\d.]+)/.exec(text)?.[1]) : 0;
        step({ type: 'frame', frame: reader.read(text) });
        if (sentMs > 0) latencies[measured++] = monoMs() - sentMs;
        if (batch) return;
        batch = true;
        setImmediate(() => {
          batch = false;
          step({ type: 'batch-end' });
        });
      },
    });
    step({ type: 'tick' });
    const ticks = setInterval(() => step({ type: 'tick' }), 50);
  });
  const cpuShare = (cpuMs() - cpu) / (SECONDS * 1_000);
  await worker.terminate();
  const sorted = latencies.subarray(0, measured).toSorted();
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(2);
  report(
    `socket to book, ${PAIRS} pairs, ${FRAMES_PER_SECOND.toLocaleString('en')} frames/s for ${SECONDS} s: ` +
      `${measured.toLocaleString('en')} of ${(FRAMES_PER_SECOND * SECONDS).toLocaleString('en')} applied, ${trouble} resyncs, ` +
      `${published.toLocaleString('en')} books published; ms p50 ${at(0.5)}, p99 ${at(0.99)}, p99.9 ${at(0.999)}, max ${at(1)}; ` +
      `this thread used ${(cpuShare * 100).toFixed(0)} % of a core`,
  );
};

if (isMainThread) {
  parseAndApply();
  await socketToBook();
} else if ((workerData as { role?: string } | null)?.role === 'venue') await serve();
