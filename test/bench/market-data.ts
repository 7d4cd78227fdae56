/** How fast frames become books. */
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { gunzipSync } from 'node:zlib';
import { createPublicFrameReader } from '#src/btcturk/public-frames.js';
import type { BookView } from '#src/domain/book-view.js';
import type { Instrument } from '#src/domain/instrument.js';
import { applyDifference, applySnapshot, initialOrderBook } from '#src/domain/order-book.js';
import type { PublicFrame } from '#src/domain/public-frame.js';
import { monoMs } from '#src/runtime/clock.js';
import { instrument } from '../btcturk/fixtures.js';
import { fullFrame, layout } from '../domain/venue-feed.js';
import { startMarketDataThread } from '../workers/market-data-thread.js';
import { figure, median, percentile } from './figures.js';
import { cycleFor, FIRST_CHANGE_SET, type FrameStream, symbolOf } from './frame-cycle.js';
import type { FrameSourceData, FrameSourceEnd } from './frame-source.js';
import type { Section } from './section.js';

const PAIRS = 379;
const FRAMES_PER_SECOND = 20_000;
const SECONDS = 20;
const SOCKET_ROUNDS_MAX = 3;
const GOAL_MS = 20;
const MB = 1_048_576;

const instrumentsOf = (pairs: number): readonly Instrument[] =>
  Array.from({ length: pairs }, (_, pair) =>
    instrument({ symbol: symbolOf(pair), pairId: pair, priceScale: 2, quantityScale: 4 }),
  );

/** How this process stood against others that want the cores; `chrt -r 5` puts it ahead of them. */
const priorityWords = (): string => {
  const path = '/proc/self/sched';
  const policy = existsSync(path) ? /^policy\s*:\s*(\d+)$/m.exec(readFileSync(path, 'utf8'))?.[1] : undefined;
  return policy === '1' || policy === '2'
    ? 'the cores ahead of all other work (real-time scheduling)'
    : 'no precedence over the other work on the machine';
};

/** CPU time of this thread, ms: on a busy machine the clock says less. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
};

const processCpuMs = (): number => {
  const { user, system } = process.cpuUsage();
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
  const { first, steps } = CYCLE;
  return [
    fullFrame(symbolOf(0), FIRST_CHANGE_SET, first),
    ...Array.from({ length: total }, (_, n) =>
      (steps[n % steps.length]?.text ?? '').replace(
        String(FIRST_CHANGE_SET),
        String(FIRST_CHANGE_SET + n + 1),
      ),
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

/** Frames of a connection beside the differences: tickers, full books, tapes, acks. */
const OTHER_FRAMES_SHARE = 0.3;
const OTHER_FRAMES_MIN = 20_000;

/** A start and the whole books, on a machine that is busy with other things. */
const START_PATIENCE_MS = 90_000;
/** The last books are told within this; what is not there by then was lost. */
const LAST_BOOKS_MS = 5_000;

/** The levels of a pair after so many differences, from the maker of the frames. */
const layoutAfter = (steps: number): readonly number[] => {
  const cycle = CYCLE.steps.length;
  const last = steps % cycle === 0 ? undefined : CYCLE.steps[(steps % cycle) - 1];
  return layout(last?.after ?? CYCLE.first);
};
const CYCLE = cycleFor(symbolOf(0));

const isSame = (levels: ArrayLike<number> | undefined, expected: readonly number[]): boolean =>
  levels !== undefined &&
  levels.length === expected.length &&
  expected.every((value, at) => levels[at] === value);

interface SocketRun {
  /** Of every difference, ms from leaving the venue's thread to the book it was applied to. */
  readonly toBook: readonly number[];
  /** Of every published book, ms from the same moment to the thread of a listener. */
  readonly toListener: readonly number[];
  readonly sent: number;
  /** Differences missing in the last published books. */
  readonly lost: number;
  readonly resyncs: number;
  readonly perSecond: number;
  /** Of the actor's thread at the end, bytes. */
  readonly memory: { readonly used: number; readonly committed: number };
  /** CPU of each thread as a share of one core. */
  readonly cpu: { readonly actor: number; readonly listener: number; readonly source: number };
}

/**
 * One thread sends, the market-data actor itself reads in another, and this thread is told the books as strategy and
 * execution are.
 */
const socketToBook = async (stream: FrameStream): Promise<SocketRun> => {
  const room = Math.ceil(stream.differences * (1 + OTHER_FRAMES_SHARE)) + OTHER_FRAMES_MIN;
  const sentAt = new Float64Array(new SharedArrayBuffer(room * Float64Array.BYTES_PER_ELEMENT));
  const source = new Worker(new URL('./frame-source.js', import.meta.url), {
    workerData: { ...stream, sentAt } satisfies FrameSourceData,
  });
  const [{ port }] = (await once(source, 'message')) as [{ port: number }];
  const symbols = Array.from({ length: stream.pairs }, (_, pair) => symbolOf(pair));
  const actor = startMarketDataThread({
    baseUrl: `http://127.0.0.1:${port}`,
    wsUrl: `ws://127.0.0.1:${port}`,
    symbols,
  });
  /** When the book behind the n-th frame was updated; 0 where it was not published. */
  const updatedAt = new Float64Array(room);
  const toListener: number[] = [];
  const newest = new Map<string, BookView>();
  let resyncs = 0;
  actor.connect('strategy', event => {
    if (event.type === 'feed-status-changed' && (event.state === 'resyncing' || event.state === 'stale'))
      resyncs += 1;
    if (event.type !== 'book-updated') return;
    const frame = Number(event.cause.slice(event.cause.lastIndexOf(':') + 1));
    const leftMs = sentAt[frame] ?? 0;
    updatedAt[frame] = event.book.receivedMonoMs;
    newest.set(event.book.symbol, event.book);
    if (leftMs > 0) toListener.push(monoMs() - leftMs);
  });
  actor.connect('execution', () => {});
  // Asked for before anything can be sent: a message nobody listens for is gone.
  const patienceMs = START_PATIENCE_MS + (3 * stream.differences * 1_000) / stream.perSecond;
  const ended = once(source, 'message', { signal: AbortSignal.timeout(patienceMs) }) as Promise<
    [FrameSourceEnd]
  >;
  ended.catch(() => {});
  try {
    await actor.control.start();
    const before = { own: cpuMs(), all: processCpuMs() };
    const [done] = await ended;
    const expected = symbols.map((_, pair) => layoutAfter(done.steps[pair] ?? 0));
    const isWhole = (): boolean =>
      symbols.every((symbol, pair) => isSame(newest.get(symbol)?.levels, expected[pair] ?? []));
    // The last books are on their way; what is not there after this long was lost.
    for (const untilMs = monoMs() + LAST_BOOKS_MS; !isWhole() && monoMs() < untilMs; ) await pause(5);
    const own = cpuMs() - before.own;
    const cpu = {
      // What is left of the process once the two other threads are taken off: the actor and its collector of garbage.
      actor: (processCpuMs() - before.all - own - done.cpuMs) / done.tookMs,
      listener: own / done.tookMs,
      source: done.cpuMs / done.tookMs,
    };
    // Frames are applied in their order: one whose book was not published by itself was applied before the next that was.
    const toBook: number[] = [];
    let byMs = 0;
    let lost = 0;
    for (let frame = done.sent; frame > 0; frame--) {
      const updatedMs = updatedAt[frame] ?? 0;
      const leftMs = sentAt[frame] ?? 0;
      if (updatedMs > 0) byMs = updatedMs;
      if (leftMs === 0) continue;
      if (byMs === 0) lost += 1;
      else toBook.push(byMs - leftMs);
    }
    if (!isWhole()) lost = Math.max(lost, 1);
    return {
      toBook,
      toListener,
      sent: stream.differences,
      lost,
      resyncs,
      perSecond: (stream.differences * 1_000) / done.tookMs,
      memory: await actor.memory(),
      cpu,
    };
  } finally {
    await actor.terminate();
    await source.terminate();
  }
};

export const marketData: Section = {
  name: 'market-data',
  title: 'Frames to books',
  about: `Parsing and applying book frames on one thread, and ${PAIRS} pairs on one loopback socket: ${FRAMES_PER_SECOND.toLocaleString('en')} differences/s, and beside them the ticker and the full book of every pair each 750 ms. One thread is the venue, another the market-data actor itself, a third is told the books as strategy and execution are. Times run from the moment a frame leaves the venue's thread, and every difference counts.`,
  async run({ rounds, tiny }) {
    const stream: FrameStream = tiny
      ? { pairs: 3, perSecond: 2_000, differences: 60 }
      : { pairs: PAIRS, perSecond: FRAMES_PER_SECOND, differences: FRAMES_PER_SECOND * SECONDS };
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
    const runs: SocketRun[] = [];
    for (let round = 0; round < (tiny ? 1 : Math.min(rounds, SOCKET_ROUNDS_MAX)); round++)
      runs.push(await socketToBook(stream));
    const bytesOf = (texts: readonly string[]): number =>
      texts.reduce((sum, text) => sum + text.length, 0) / texts.length;
    const over = (pick: (run: SocketRun) => number): string => figure(median(runs.map(pick)));
    const spread = (pick: (run: SocketRun) => readonly number[]): string =>
      [0.5, 0.99, 0.999, 1].map(share => over(run => percentile(pick(run), share))).join(', ');
    const sum = (pick: (run: SocketRun) => number): number =>
      runs.reduce((total, run) => total + pick(run), 0);
    const p99 = median(runs.map(run => percentile(run.toBook, 0.99)));
    const p99s = runs.map(run => figure(percentile(run.toBook, 0.99))).join(', ');
    const lost = sum(run => run.lost);
    const resyncs = sum(run => run.resyncs);
    const perSecond = median(runs.map(run => run.perSecond));
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
            [
              'differences sent a second, and in all',
              `${Math.round(perSecond).toLocaleString('en')}, ${sum(run => run.sent).toLocaleString('en')}`,
            ],
            ['lost, resyncs', `${lost}, ${resyncs}`],
            ['to the updated book, ms: p50, p99, p99.9, longest', spread(run => run.toBook)],
            ["to a listener's thread, ms: p50, p99, p99.9, longest", spread(run => run.toListener)],
            [
              "the actor's memory, MB: in use, taken from the system",
              `${over(run => run.memory.used / MB)}, ${over(run => run.memory.committed / MB)}`,
            ],
            [
              'of one core: the actor, its two listeners, the venue',
              [
                over(run => 100 * run.cpu.actor),
                over(run => 100 * run.cpu.listener),
                over(run => 100 * run.cpu.source),
              ]
                .map(share => `${share} %`)
                .join(', '),
            ],
          ],
        },
      ],
      goals: [
        {
          what: 'differences lost, and books broken, at this rate',
          goal: 'none',
          measured: String(lost + resyncs),
          met: lost + resyncs === 0,
        },
        {
          what: 'p99 from socket to updated book',
          goal: `under ${GOAL_MS} ms`,
          measured: `${figure(p99)} ms (of the rounds: ${p99s})`,
          met: p99 < GOAL_MS,
          why: 'Other work shares the cores: a thread that waits for one counts as slow.',
        },
      ],
      remarks: [
        `The run had ${priorityWords()}.`,
        ...(recorded === null ? ['The shared recording was absent.'] : []),
      ],
    };
  },
};
