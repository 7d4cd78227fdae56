/** Backtests: frames a second from JSON lines and from the binary form, a year of candles, and a sweep on two cores. */
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { LedgerRecord } from '#src/domain/ledger-records.js';
import { fromInteger } from '#src/domain/money.js';
import { bestAskTicks, bestBidTicks, initialOrderBook } from '#src/domain/order-book.js';
import type { StrategyDefinition } from '#src/domain/strategy.js';
import { soleMember } from '#src/domain/strategy-portfolio.js';
import { CATALOGUE } from '#src/exchange/instruments.js';
import { randomStream, uniform } from '#src/exchange/random.js';
import { bytesOfRecording } from '#src/exchange/recording.js';
import { runCandles } from '#src/research/candle-run.js';
import type { CandleTape } from '#src/research/candles.js';
import { runFast } from '#src/research/fast-run.js';
import { ordersOf } from '#src/research/run-result.js';
import { readAxis } from '#src/research/search.js';
import { studyParameters, studySettings } from '#src/research/study.js';
import { runSweep, segmentsOf } from '#src/research/sweep.js';
import { openSweepStore } from '#src/research/sweep-store.js';
import { applyTapeBook, type MarketTape, TAPE_KINDS } from '#src/research/tape.js';
import { readTape, readTapeFile, writeTapeFile } from '#src/research/tape-file.js';
import { maker } from '#src/strategies/maker.js';
import { pulse } from '#src/strategies/pulse.js';
import { trend } from '#src/strategies/trend.js';
import { writeMarket } from '../support/market-recording.js';
import { figure, median } from './figures.js';
import type { BenchGoal, Section } from './section.js';

const RATES = new Map([
  ['TRY', fromInteger(1)],
  ['USDT', fromInteger(48)],
]);
/** Two hours: a recording is long where compiling the program for it does not decide. */
const GENERATED_SECONDS = 7_200;
/** A quarter of it, for what a second thread brings where there is less to do for each set. */
const SHORTER_SECONDS = GENERATED_SECONDS / 4;
const YEAR_MINUTES = 525_600;
const JSON_GOAL = 80_000;
const BINARY_GOAL = 500_000;
const YEAR_GOAL_S = 2;
const SPEED_UP_GOAL = 1.8;
/** A long recording is run by code that is compiled. Runs from the binary form, and rounds of both. */
const WARM_UP_RUNS = 5;
const WARM_UP_ROUNDS = 2;
/** What sends orders at a steady beat. The goal for the binary form is that of the slower one, see `about`. */
const CALM_PULSE = { label: 'pulse, an order a minute', config: { intervalMs: 60_000 } };
const BUSY_PULSE = { label: 'pulse, an order every 5 s', config: { intervalMs: 5_000 } };
/** Minutes of one thread: a sweep has hundreds of sets, and each thread has first to load and compile the program. */
const SWEPT_SETS = 288;
/** Each round sweeps on one thread and on two. */
const SWEEP_ROUNDS = 2;
/** About a second of one core. */
const SPIN_ROUNDS = 400_000_000;
/** The candles' price stays around this, in ticks: outside the exchange's window every order would be refused. */
const CANDLES_AROUND = 3_500_000;

/** What a run over a tape needs. */
const studyOn = (
  definition: StrategyDefinition,
  symbols: readonly string[],
  config: Readonly<Record<string, unknown>>,
) => {
  const settings = studySettings({
    definition,
    config,
    symbols,
    inputs: {
      env: {},
      cwd: '/',
      readFile: path => {
        throw new Error(`nothing is read here, and ${path} was asked for`);
      },
      nowMs: 0,
    },
  });
  return {
    members: [soleMember(definition, studyParameters(definition, config), settings.symbols)],
    settings,
    opening: settings.paper.balances,
    feeLevel: 1,
    fillModel: 'queue' as const,
    tryRates: RATES,
  };
};

const symbolsOf = ({ listings }: MarketTape): readonly string[] => listings.map(({ symbol }) => symbol);

/** Processor seconds of this process that a piece of work takes: what else runs on the machine counts less. */
const cpuSeconds = async (work: () => Promise<void> | void): Promise<number> => {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
};

/** Processor time of the whole process over that of its main thread, for work that the main thread does. */
const coresOf = async (work: () => void): Promise<number> => {
  const before = process.threadCpuUsage();
  const all = await cpuSeconds(work);
  const { user, system } = process.threadCpuUsage(before);
  return all / ((user + system) / 1e6);
};

/** What nothing of a run can be quicker than, in seconds of processor time. */
interface Floor {
  /** Of the unpacked recording. */
  readonly bytes: number;
  readonly unpack: number;
  readonly parse: number;
  readonly book: number;
}

/** Unpacking alone, unpacking and `JSON.parse` of every line, and the book alone from the binary form. */
const floorOf = async (path: string, binary: string): Promise<Floor> => {
  let lines = 0;
  let bytes = 0;
  const unpack = await cpuSeconds(async () => {
    for await (const chunk of bytesOfRecording(path)) bytes += chunk.length;
  });
  const parse = await cpuSeconds(async () => {
    for await (const chunk of bytesOfRecording(path))
      for (const text of chunk.toString().split('\n'))
        if (text !== '') lines += Object.keys(JSON.parse(text)).length;
  });
  const book = await cpuSeconds(() => {
    const tape = readTapeFile(binary);
    const books = tape.listings.map(initialOrderBook);
    for (let event = 0; event < tape.length; event++) {
      const each = books[tape.symbols[event] ?? 0];
      if (each === undefined || (tape.kinds[event] ?? 0) > TAPE_KINDS.difference) continue;
      applyTapeBook(each, tape, event);
      lines += bestAskTicks(each) - bestBidTicks(each);
    }
  });
  if (lines === 0) throw new Error('nothing was read');
  return { bytes, unpack, parse, book };
};

/** What a market is like: bytes a line, and levels changed and trades printed for each difference. */
const shapeOf = (tape: MarketTape, bytes: number): readonly string[] => {
  let differences = 0;
  let trades = 0;
  let levels = 0;
  for (let event = 0; event < tape.length; event++) {
    const kind = tape.kinds[event] ?? 0;
    if (kind > TAPE_KINDS.difference) trades += 1;
    if (kind !== TAPE_KINDS.difference) continue;
    differences += 1;
    levels += ((tape.offsets[event + 1] ?? 0) - (tape.offsets[event] ?? 0)) / 2;
  }
  return [
    Math.round(bytes / tape.length).toString(),
    (levels / differences).toFixed(1),
    (trades / differences).toFixed(1),
  ];
};

export const research: Section = {
  name: 'research',
  title: 'Backtests and sweeps',
  about:
    "Frames a second of processor time through book, strategy, risk gate, matching and an in-memory ledger: read as gzipped JSON lines and run, and run from the binary form (reading it included), after a few runs of each, since the code of a fresh process has still to be compiled: the last table has its first run. `pulse` places an order at a steady beat and cancels the one before; `maker` reacts to every book. What one of our orders costs is told apart by the two beats: at a minute's, which is often for people who trade by hand or with candles, the market decides, at one of 5 s our own orders do. Beside them what nothing can be quicker than: unpacking alone, `JSON.parse` of the unpacked lines, and the book alone from the binary form. The generated market of two hours is made like the recorded one (403 bytes a line, 26.7 levels and 3.1 trades a difference, the touch moving in an eighth of them): the table says what each is like. A year of generated one-minute candles runs with `trend`. The sweep runs 288 parameter sets of `maker` over the whole generated market with one thread and with two (elapsed time of all rounds together, the threads' start included; the table says how long that is), beside what two loops without memory or garbage reach on the same cores. Each thread compiles the program for itself, most of it in its first four sets and beside its work, which one thread has a second core for and two have not: the shorter a sweep, the less a second thread brings. The same sets over the market's first half an hour show how much less. What comes before a thread's first set is told by a sweep of one set over the first second.",
  async run({ rounds, tiny }) {
    const folder = mkdtempSync(join(tmpdir(), 'btcbot-bench-'));
    try {
      const recorded = (name: string, seconds: number): string => {
        const path = join(folder, `${name}.jsonl.gz`);
        writeMarket(path, {
          seed: 5,
          seconds: tiny ? 5 : seconds,
          symbol: 'BTCUSDT',
          midCents: 6_000_000,
        });
        return path;
      };
      const generated = recorded('generated', GENERATED_SECONDS);
      const shared = join(process.env.BTCBOT_SHARED ?? '../shared', 'data/btcusdt-2024-08-08.jsonl.gz');
      const recordings = [
        ['generated', generated],
        ...(existsSync(shared) && !tiny ? [['shared recording', shared] as const] : []),
      ] as const;
      const rows: string[][] = [];
      const floors: string[][] = [];
      let worstJson = Number.POSITIVE_INFINITY;
      let worstBinary = Number.POSITIVE_INFINITY;
      let firstRun: number | undefined;
      /** Of the first market, by what ran: seconds and orders. */
      const beats = new Map<string, { readonly seconds: number; readonly orders: number }>();
      for (const [name, path] of recordings) {
        const binary = join(folder, `${rows.length}.tape`);
        const tape = await readTape(path);
        writeTapeFile(binary, tape);
        const floor: Floor[] = [];
        for (let round = 0; round < Math.min(rounds, 3); round++) floor.push(await floorOf(path, binary));
        floors.push([
          name,
          ...shapeOf(tape, floor[0]?.bytes ?? 0),
          ...(['unpack', 'parse', 'book'] as const).map(what =>
            figure(tape.length / median(floor.map(each => each[what]))),
          ),
        ]);
        for (const { label, definition, config } of [
          { ...CALM_PULSE, definition: pulse },
          { ...BUSY_PULSE, definition: pulse },
          { label: 'maker', definition: maker, config: {} },
        ]) {
          const study = studyOn(definition, symbolsOf(tape), config);
          const json: number[] = [];
          const fast: number[] = [];
          let orders = 0;
          for (let run = tiny ? WARM_UP_RUNS - 1 : 0; run < WARM_UP_RUNS; run++) {
            const seconds = await cpuSeconds(() => void runFast({ ...study, tape: readTapeFile(binary) }));
            firstRun ??= tape.length / seconds;
          }
          for (let round = tiny ? 0 : -WARM_UP_ROUNDS; round < rounds; round++) {
            const fromJson = await cpuSeconds(
              async () => void runFast({ ...study, tape: await readTape(path) }),
            );
            let records: readonly LedgerRecord[] = [];
            const fromBinary = await cpuSeconds(() => {
              ({ records } = runFast({ ...study, tape: readTapeFile(binary) }));
            });
            orders = ordersOf(records).length;
            if (round < 0) continue;
            json.push(tape.length / fromJson);
            fast.push(tape.length / fromBinary);
          }
          const perJson = median(json);
          const perBinary = median(fast);
          if (definition === pulse) worstJson = Math.min(worstJson, perJson);
          if (label === CALM_PULSE.label) worstBinary = Math.min(worstBinary, perBinary);
          if (!beats.has(label)) beats.set(label, { seconds: tape.length / perBinary, orders });
          rows.push([name, label, String(tape.length), figure(perJson), figure(perBinary)]);
        }
      }
      const year = candlesOfAYear(tiny ? 2_000 : YEAR_MINUTES);
      const onCandles = studyOn(trend, ['BTCTRY'], {});
      const years: number[] = [];
      let yearFills = 0;
      for (let round = 0; round < Math.min(rounds, 3); round++)
        years.push(
          await cpuSeconds(() => {
            yearFills = runCandles({ ...onCandles, candles: year }).fills.length;
          }),
        );
      const yearSeconds = median(years);
      const cores: number[] = [];
      const swept = await readTape(generated);
      const sweptStudy = studyOn(maker, symbolsOf(swept), {});
      for (let round = 0; round < Math.min(rounds, 3); round++)
        cores.push(await coresOf(() => void runFast({ ...sweptStudy, tape: swept })));
      const sweeps: Sweeps[] = [];
      const ceilings: number[] = [];
      for (let round = 0; round < Math.min(rounds, 3); round++) ceilings.push(await machineSpeedUp(tiny));
      for (let round = 0; round < Math.min(rounds, SWEEP_ROUNDS); round++)
        sweeps.push(await sweepsOf(folder, swept, tiny, round));
      const meanOf = (of: (sweep: Sweeps) => number): number =>
        sweeps.reduce((sum, sweep) => sum + of(sweep), 0) / sweeps.length;
      /** The ratio of two figures, each over all rounds. */
      const ratioOf = (over: (sweep: Sweeps) => number, under: (sweep: Sweeps) => number): number =>
        meanOf(over) / meanOf(under);
      const speedUp = ratioOf(
        ({ whole }) => whole.alone.elapsedS,
        ({ whole }) => whole.both.elapsedS,
      );
      const shorterSpeedUp = ratioOf(
        ({ shorter }) => shorter.alone.elapsedS,
        ({ shorter }) => shorter.both.elapsedS,
      );
      const dearer = ratioOf(
        ({ whole }) => whole.both.cpuS,
        ({ whole }) => whole.alone.cpuS,
      );
      const ceiling = median(ceilings);
      const goal = (
        what: string,
        wanted: string,
        measured: string,
        met: boolean,
        why: string,
      ): BenchGoal => ({
        what,
        goal: wanted,
        measured,
        met,
        ...(met ? {} : { why }),
      });
      return {
        tables: [
          {
            head: ['market', 'strategy', 'frames', 'frames/s from JSON lines', 'frames/s from binary'],
            rows,
          },
          {
            head: [
              'market',
              'bytes a line',
              'levels a difference',
              'trades a difference',
              'frames/s, unpacking alone',
              'unpacking and JSON.parse alone',
              'the book alone, from binary',
            ],
            rows: floors,
          },
          {
            head: ['what', 'result'],
            rows: [
              [
                'frames/s from binary, the first run of the process, generated, an order a minute',
                figure(firstRun ?? Number.NaN),
              ],
              [
                'what an order and its cancel cost, from binary, generated, µs of processor time',
                figure(costOfOrder(beats)),
              ],
              [
                `${year.length} candles with trend (${yearFills} fills), s of processor time`,
                figure(yearSeconds),
              ],
              ['cores that one thread of a sweep keeps busy', figure(median(cores))],
              ['two empty loops on two threads, times one thread', figure(ceiling)],
              ["until a thread's first set is under way, s", figure(meanOf(({ start }) => start.elapsedS))],
              ['sweep on one thread, s', figure(meanOf(({ whole }) => whole.alone.elapsedS))],
              ['sweep on two threads, s', figure(meanOf(({ whole }) => whole.both.elapsedS))],
              ["processor time of the sweep on two threads, times one thread's", figure(dearer)],
              ['sweep on two threads, times one thread', figure(speedUp)],
              [
                'the same sets over half an hour on one thread, s',
                figure(meanOf(({ shorter }) => shorter.alone.elapsedS)),
              ],
              ['the same sets over half an hour on two threads, times one thread', figure(shorterSpeedUp)],
            ],
          },
        ],
        goals: [
          goal(
            'frames/s from JSON lines',
            `≥ ${JSON_GOAL}`,
            String(Math.round(worstJson)),
            worstJson >= JSON_GOAL,
            'unpacking and reading the bytes takes most of it: see what they allow alone',
          ),
          goal(
            'frames/s from binary, an order a minute',
            `≥ ${BINARY_GOAL}`,
            String(Math.round(worstBinary)),
            worstBinary >= BINARY_GOAL,
            'a third of it is the book, the rest the copies of it that strategy and execution get, their steps, and the way of our orders',
          ),
          goal(
            'a year of candles',
            `< ${YEAR_GOAL_S} s`,
            `${yearSeconds.toFixed(2)} s`,
            yearSeconds < YEAR_GOAL_S,
            'every candle is shown as a book and passes host and execution',
          ),
          goal(
            'sweep on two cores',
            `≥ ${SPEED_UP_GOAL}`,
            figure(speedUp),
            speedUp >= SPEED_UP_GOAL,
            `elapsed time, so that whatever else runs on the machine counts: two empty loops reached ${figure(ceiling)} beside it; one thread keeps ${figure(median(cores))} cores busy, since its garbage is collected and its code compiled beside it, which allows ${figure(2 / median(cores))}, and each thread loads the program and compiles it for itself: two take ${figure(dearer)} times the processor time of one`,
          ),
        ],
      };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

/** Microseconds of an order, of two runs that differ in how many they send. */
const costOfOrder = (
  beats: ReadonlyMap<string, { readonly seconds: number; readonly orders: number }>,
): number => {
  const calm = beats.get(CALM_PULSE.label);
  const busy = beats.get(BUSY_PULSE.label);
  if (calm === undefined || busy === undefined) return Number.NaN;
  return (1e6 * (busy.seconds - calm.seconds)) / (busy.orders - calm.orders);
};

/** What a sweep took, the start and the end of its threads included. */
interface Swept {
  readonly elapsedS: number;
  /** Of the whole process. */
  readonly cpuS: number;
}

/** A sweep on one thread and on two. */
interface OneAndTwo {
  readonly alone: Swept;
  readonly both: Swept;
}

/** The same sets over the whole market and over its beginning, and the shortest sweep that there is. */
interface Sweeps {
  readonly whole: OneAndTwo;
  readonly shorter: OneAndTwo;
  readonly start: Swept;
}

const sweepsOf = async (folder: string, tape: MarketTape, tiny: boolean, round: number): Promise<Sweeps> => {
  const tapePath = join(folder, `sweep-${round}.tape`);
  writeTapeFile(tapePath, tape);
  const study = studyOn(maker, symbolsOf(tape), {});
  const fromMs = tape.atMs[0] ?? 0;
  const took = async (what: string, threads: number, sets: number, toMs: number): Promise<Swept> => {
    const store = openSweepStore(join(folder, `sweep-${round}-${what}.sqlite`), 'bench', '');
    const startedMs = performance.now();
    try {
      const cpuS = await cpuSeconds(
        async () =>
          void (await runSweep({
            method: 'grid',
            axes: [
              readAxis(
                `skewBps=${Array.from({ length: sets }, (_, index) => (index + 1) / 2).join()}`,
                maker.parameters,
              ),
            ],
            trials: 0,
            seed: 1,
            segments: segmentsOf(fromMs, toMs, 1),
            threads,
            store,
            signal: new AbortController().signal,
            task: {
              tapePath,
              strategy: 'maker',
              config: {},
              settings: study.settings,
              tryRates: RATES,
              fillModel: 'queue',
              feeLevel: 1,
              score: 'profit',
              periodMs: 60_000,
            },
            onProgress: () => {},
          })),
      );
      return { elapsedS: (performance.now() - startedMs) / 1_000, cpuS };
    } finally {
      store.close();
    }
  };
  const sets = tiny ? 2 : SWEPT_SETS;
  const toMs = tape.atMs[tape.length - 1] ?? 0;
  const oneAndTwo = async (what: string, until: number): Promise<OneAndTwo> => ({
    alone: await took(`${what}-alone`, 1, sets, until),
    both: await took(`${what}-both`, 2, sets, until),
  });
  return {
    start: await took('start', 1, 1, fromMs + 1_000),
    whole: await oneAndTwo('whole', toMs),
    shorter: await oneAndTwo('shorter', Math.min(toMs, fromMs + SHORTER_SECONDS * 1_000)),
  };
};

/** Adds up for a while, each time that it is asked to, and touches no memory. */
const SPIN = `const { parentPort } = require('node:worker_threads');
parentPort.on('message', rounds => {
  let sum = 1;
  for (let round = 0; round < rounds; round++) sum = (Math.imul(sum, 48271) + round) | 0;
  parentPort.postMessage(sum);
});`;

/** What the machine allows: elapsed time of two loops one after the other over that of both at once, each on a thread. */
const machineSpeedUp = async (tiny: boolean): Promise<number> => {
  const threads = [0, 1].map(() => new Worker(SPIN, { eval: true }));
  const took = async (busy: readonly Worker[]): Promise<number> => {
    const startedMs = performance.now();
    await Promise.all(
      busy.map(thread => {
        const answered = once(thread, 'message');
        thread.postMessage(tiny ? 1_000 : SPIN_ROUNDS);
        return answered;
      }),
    );
    return performance.now() - startedMs;
  };
  try {
    await took(threads);
    const alone = await took(threads.slice(0, 1));
    return (2 * alone) / (await took(threads));
  } finally {
    await Promise.all(threads.map(thread => thread.terminate()));
  }
};

/** Minutes of a market with drifts that come and go, and lead back the further it has gone. */
const candlesOfAYear = (length: number): CandleTape => {
  const listing = CATALOGUE.find(({ symbol }) => symbol === 'BTCTRY');
  if (listing === undefined) throw new Error('the catalogue has no BTCTRY');
  const random = randomStream(9, 1);
  const column = () => new Float64Array(length);
  const tape = {
    listing,
    interval: '1m' as const,
    length,
    openAtMs: column(),
    open: column(),
    high: column(),
    low: column(),
    close: column(),
    volume: column(),
    filled: new Uint8Array(length),
    nextOpen: null,
  };
  let price = CANDLES_AROUND;
  let drift = 0;
  for (let index = 0; index < length; index++) {
    if (index % 3_000 === 0)
      drift = (uniform(random) - 0.5) * 0.000_3 - Math.log(price / CANDLES_AROUND) * 0.000_1;
    const open = Math.round(price);
    price *= 1 + drift + (uniform(random) - 0.5) * 0.001_5;
    const close = Math.round(price);
    tape.openAtMs[index] = Date.UTC(2025, 0, 1) + index * 60_000;
    tape.open[index] = open;
    tape.close[index] = close;
    tape.high[index] = Math.max(open, close) + Math.round(uniform(random) * 1_500);
    tape.low[index] = Math.min(open, close) - Math.round(uniform(random) * 1_500);
    tape.volume[index] = Math.round(1e8 * uniform(random));
  }
  return tape;
};
