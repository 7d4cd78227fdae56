/** How fast frames become books. */
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { gunzipSync } from 'node:zlib';
import { createPublicFrameReader } from '#src/btcturk/public-frames.js';
import { openSocket } from '#src/btcturk/socket.js';
import type { Instrument } from '#src/domain/instrument.js';
import { initialMarketData, stepMarketData } from '#src/domain/market-data.js';
import { applyDifference, applySnapshot, initialOrderBook } from '#src/domain/order-book.js';
import type { PublicFrame } from '#src/domain/public-frame.js';
import { eventIds } from '#src/domain/step.js';
import { monoMs, now } from '#src/runtime/clock.js';
import { instrument } from '../btcturk/fixtures.js';
import { fullFrame } from '../domain/venue-feed.js';
import { figure, median, percentile } from './figures.js';
import { cycleFor, type FrameStream, symbolOf } from './frame-cycle.js';
import type { Section } from './section.js';

const PAIRS = 379;
const FRAMES_PER_SECOND = 20_000;
const SECONDS = 20;

const instrumentsOf = (pairs: number): readonly Instrument[] =>
  Array.from({ length: pairs }, (_, pair) =>
    instrument({ symbol: symbolOf(pair), pairId: pair, priceScale: 2, quantityScale: 4 }),
  );

/** CPU time of this thread, ms: on a busy machine the clock says less. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
};

const apply = (book: ReturnType<typeof initialOrderBook>, frame: PublicFrame): void => {
  const verdict =
    frame.type === 'book-snapshot'
      ? applySnapshot(book, frame.changeSet, frame.bids, frame.asks)
      : frame.type === 'book-difference'
        ? applyDifference(book, frame.changeSet, frame.bids, frame.asks)
        : 'ignored';
  if (verdict !== 'applied') throw new Error(`a frame was ${verdict}`);
};

/** The shared recording's book frames, or null where it is not. */
const recordedTexts = (): readonly string[] | null => {
  const path = join(process.env.BTCBOT_SHARED ?? '../shared', 'data/btcusdt-2024-08-08.jsonl.gz');
  if (!existsSync(path)) return null;
  return gunzipSync(readFileSync(path))
    .toString('utf8')
    .split('\n')
    .filter(line => line.includes('"frame":[43'))
    .map(line => JSON.stringify((JSON.parse(line) as { frame: unknown }).frame));
};

/** A small pair's book and `total` differences of one to three levels. */
const smallTexts = (total: number): readonly string[] => {
  const { first, texts } = cycleFor(symbolOf(0));
  return [
    fullFrame(symbolOf(0), 0, first),
    ...Array.from({ length: total }, (_, n) =>
      (texts[n % texts.length] as string).replace('"CS":0', `"CS":${n + 1}`),
    ),
  ];
};

/** Parses and applies every text, `rounds` times; µs of CPU a frame. */
const parseAndApply = (
  texts: readonly string[],
  instruments: readonly Instrument[],
  rounds: number,
): readonly number[] => {
  const reader = createPublicFrameReader(instruments);
  return Array.from({ length: rounds }, () => {
    const book = initialOrderBook();
    const cpu = cpuMs();
    for (const text of texts) apply(book, reader.read(text));
    return ((cpuMs() - cpu) / texts.length) * 1_000;
  });
};

/** Applies frames that were parsed before, as a backtest from a binary recording does; µs of CPU a frame. */
const applyAlone = (
  texts: readonly string[],
  instruments: readonly Instrument[],
  rounds: number,
): readonly number[] => {
  const reader = createPublicFrameReader(instruments);
  const frames = texts.map(text => reader.read(text));
  return Array.from({ length: rounds }, () => {
    const book = initialOrderBook();
    const cpu = cpuMs();
    for (const frame of frames) apply(book, frame);
    return ((cpuMs() - cpu) / frames.length) * 1_000;
  });
};

interface SocketRun {
  readonly latencies: readonly number[];
  readonly published: number;
  readonly resyncs: number;
  readonly cpuShare: number;
}

/** One thread sends, the market-data actor's feed reads: from the time of sending to the book it is applied to. */
const socketToBook = async (stream: FrameStream): Promise<SocketRun> => {
  const worker = new Worker(new URL('./frame-source.js', import.meta.url), { workerData: stream });
  const [{ port }] = (await once(worker, 'message')) as [{ port: number }];
  const instruments = instrumentsOf(stream.pairs);
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
  const latencies: number[] = [];
  let published = 0;
  let resyncs = 0;
  let batch = false;
  let firstMs = 0;
  let firstCpu = 0;
  await new Promise<void>((resolve, reject) => {
    const step = (input: Parameters<typeof stepMarketData>[1]): void => {
      const stepped = stepMarketData(state, input, now());
      state = stepped.state;
      for (const effect of stepped.effects) {
        if (effect.type === 'tell' && effect.message.type === 'book-updated') published += 1;
        if (effect.type === 'log' && effect.event === 'book-resync') resyncs += 1;
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
      onClosed: detail => reject(new Error(detail)),
      onText: text => {
        if (text.startsWith('[999')) {
          clearInterval(ticks);
          socket.drop();
          resolve();
          return;
        }
        const sentMs = text.startsWith('[432') ? Number(/"at":([\d.]+)/.exec(text)?.[1]) : 0;
        step({ type: 'frame', frame: reader.read(text) });
        if (sentMs > 0) {
          if (latencies.length === 0) [firstMs, firstCpu] = [monoMs(), cpuMs()];
          latencies.push(monoMs() - sentMs);
        }
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
  const cpuShare = (cpuMs() - firstCpu) / (monoMs() - firstMs);
  await worker.terminate();
  return { latencies, published, resyncs, cpuShare };
};

export const marketData: Section = {
  name: 'market-data',
  title: 'Frames to books',
  about: `Parsing and applying book frames on one thread, and ${PAIRS} pairs at ${FRAMES_PER_SECOND.toLocaleString('en')} frames/s over one loopback socket, from the time of sending, written inside each frame by another thread, to the book it is applied to.`,
  async run({ rounds, tiny }) {
    const stream: FrameStream = tiny
      ? { pairs: 3, perSecond: 2_000, frames: 60 }
      : { pairs: PAIRS, perSecond: FRAMES_PER_SECOND, frames: FRAMES_PER_SECOND * SECONDS };
    const recorded = recordedTexts()?.slice(0, tiny ? 50 : undefined) ?? null;
    const small = smallTexts(tiny ? 50 : 100_000);
    const recordedInstruments = [instrument({ priceScale: 2, quantityScale: 5 })];
    const passes: (readonly [what: string, samples: readonly number[], texts: readonly string[]])[] = [
      ['small differences, parsed and applied', parseAndApply(small, instrumentsOf(1), rounds), small],
      ['small differences, applied', applyAlone(small, instrumentsOf(1), rounds), small],
    ];
    if (recorded !== null)
      passes.push(
        [
          'recorded market, parsed and applied',
          parseAndApply(recorded, recordedInstruments, rounds),
          recorded,
        ],
        ['recorded market, applied', applyAlone(recorded, recordedInstruments, rounds), recorded],
      );
    const run = await socketToBook(stream);
    const bytesOf = (texts: readonly string[]): number =>
      texts.reduce((sum, text) => sum + text.length, 0) / texts.length;
    const lost = stream.frames - run.latencies.length;
    return {
      tables: [
        {
          head: ['What', 'µs of CPU a frame', 'frames/s of one core', 'bytes a frame'],
          rows: passes.map(([what, samples, texts]) => [
            what,
            figure(median(samples)),
            Math.round(1e6 / median(samples)).toLocaleString('en'),
            String(Math.round(bytesOf(texts))),
          ]),
        },
        {
          head: ['Socket to book', 'Measured'],
          rows: [
            ['frames sent, and lost', `${stream.frames.toLocaleString('en')}, ${lost}`],
            [
              'latency ms: p50, p99, p99.9, longest',
              [0.5, 0.99, 0.999, 1].map(share => figure(percentile(run.latencies, share))).join(', '),
            ],
            ['books published, resyncs', `${run.published.toLocaleString('en')}, ${run.resyncs}`],
            ['of one core, reading', `${Math.round(run.cpuShare * 100)} %`],
          ],
        },
      ],
      goals: [
        { what: 'frames lost', goal: 'none', measured: String(lost), met: lost === 0 && run.resyncs === 0 },
      ],
      ...(recorded === null ? { remarks: ['The shared recording was absent.'] } : {}),
    };
  },
};
