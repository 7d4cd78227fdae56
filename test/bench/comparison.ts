/** The adapter against ccxt's code for the same things, and hand-written guards against zod. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { createPublicFrameReader } from '#src/btcturk/public-frames.js';
import { submitOutcome } from '#src/btcturk/replies.js';
import { buildWrite } from '#src/btcturk/requests.js';
import { prepareSigningKey, signedHeaders } from '#src/btcturk/sign.js';
import type { Instrument } from '#src/domain/instrument.js';
import {
  applyDifference,
  applySnapshot,
  bestAskTicks,
  bestBidTicks,
  initialOrderBook,
} from '#src/domain/order-book.js';
import type { BookDifferenceFrame } from '#src/domain/public-frame.js';
import { CREDENTIALS, instrument, SUBMITTED, submit } from '../btcturk/fixtures.js';
import { fullFrame } from '../domain/venue-feed.js';
import { acrossRounds, figure, inTurns, type Rounds, ratioOf } from './figures.js';
import { cycleFor, FIRST_CHANGE_SET, symbolOf } from './frame-cycle.js';
import type { BenchTable, Section } from './section.js';

/** ccxt comes without types of its own when its files are loaded one by one. */
// biome-ignore lint/suspicious/noExplicitAny: see above
type Untyped = any;
const PACKAGE = 'node_modules/ccxt/js/src';
const ccxt = async (path: string): Promise<Untyped> =>
  import(pathToFileURL(resolve(PACKAGE, path)).href) as Promise<Untyped>;

/** A frame text's levels as a library takes them: price and amount as numbers, 0 for one that is gone. */
interface LevelText {
  readonly CP?: number;
  readonly P: string;
  readonly A: string;
}
interface BookText {
  readonly AO: readonly LevelText[];
  readonly BO: readonly LevelText[];
}
const plain = ({ CP, P, A }: LevelText): [number, number] => [
  Number.parseFloat(P),
  CP === 3 ? 0 : Number.parseFloat(A),
];

interface Frames {
  readonly instrument: Instrument;
  readonly snapshot: string;
  readonly differences: readonly string[];
  readonly recorded: boolean;
}

/** The shared recording's book, or an invented one where it is not there. */
const framesToApply = (count: number): Frames => {
  const path = join(process.env.BTCBOT_SHARED ?? '../shared', 'data/btcusdt-2024-08-08.jsonl.gz');
  if (existsSync(path)) {
    const [snapshot = '', ...differences] = gunzipSync(readFileSync(path))
      .toString('utf8')
      .split('\n')
      .filter(line => line.includes('"frame":[43'))
      .map(line => JSON.stringify((JSON.parse(line) as { frame: unknown }).frame));
    return {
      instrument: instrument({ priceScale: 2, quantityScale: 5 }),
      snapshot,
      differences: differences.slice(0, count),
      recorded: true,
    };
  }
  const { first, steps } = cycleFor(symbolOf(0));
  return {
    instrument: instrument({ symbol: symbolOf(0), priceScale: 2, quantityScale: 4 }),
    snapshot: fullFrame(symbolOf(0), FIRST_CHANGE_SET, first),
    differences: Array.from({ length: count }, (_, n) =>
      (steps[n % steps.length]?.text ?? '').replace(
        String(FIRST_CHANGE_SET),
        String(FIRST_CHANGE_SET + n + 1),
      ),
    ),
    recorded: false,
  };
};

/** Operations between two looks at the clock: shorter than a turn on a busy core, longer than the clock's own cost. */
const CHUNK = 20;
/** Does `work` for 0 to `count` - 1. @returns µs of each operation, in chunks */
const sampled = (count: number, work: (index: number) => void): readonly number[] => {
  const samples: number[] = [];
  for (let index = 0; index < count; ) {
    const end = Math.min(count, index + CHUNK);
    const size = end - index;
    const startedMs = performance.now();
    for (; index < end; index++) work(index);
    samples.push(((performance.now() - startedMs) * 1_000) / size);
  }
  return samples;
};

const table = (
  what: string,
  rows: readonly (readonly [name: string, rounds: Rounds, baseline: Rounds])[],
): BenchTable => ({
  head: [what, 'p50 µs', 'p99 µs', 'times the baseline'],
  rows: rows.map(([name, rounds, baseline]) => [
    name,
    figure(acrossRounds(rounds, 0.5)),
    figure(acrossRounds(rounds, 0.99)),
    rounds === baseline ? '1' : figure(ratioOf(rounds, baseline, 0.5)),
  ]),
});

/** A difference as a zod schema would describe it. */
const differenceSchema = z.tuple([
  z.literal(432),
  z.object({
    CS: z.int(),
    event: z.string(),
    AO: z.array(
      z.object({ CP: z.union([z.literal(0), z.literal(1), z.literal(3)]), P: z.string(), A: z.string() }),
    ),
    BO: z.array(
      z.object({ CP: z.union([z.literal(0), z.literal(1), z.literal(3)]), P: z.string(), A: z.string() }),
    ),
  }),
]);

export const comparison: Section = {
  name: 'comparison',
  title: 'Against a library',
  about:
    "The same work by this adapter and by the classes of ccxt 4.5.84, in turns in one process: the differences of a book (`OrderBook` of its WebSocket clients), and an order from its terms to the bytes and from the reply to its meaning (`btcturk.sign` and `btcturk.createOrder`, whose network call is replaced by a canned reply). ccxt works in binary floats; the adapter's books are whole ticks and lots, its orders exact decimals. Last, a schema of zod against the hand-written guard of the same frame, both on parsed JSON; the guard also turns its texts into ticks and lots.",
  async run({ rounds, tiny }) {
    const frames = framesToApply(tiny ? 60 : 6_000);
    const { OrderBook } = await ccxt('base/ws/OrderBook.js');
    const reader = createPublicFrameReader([frames.instrument]);
    const snapshotOf = (): BookText => (JSON.parse(frames.snapshot) as [number, BookText])[1];
    const read = frames.differences.map(text => reader.read(text) as BookDifferenceFrame);
    const parsed = frames.differences.map(text => JSON.parse(text) as [number, BookText]);

    const ourBook = (): ReturnType<typeof initialOrderBook> => {
      const book = initialOrderBook();
      const frame = reader.read(frames.snapshot);
      if (frame.type !== 'book-snapshot') throw new Error('the first frame is no book');
      applySnapshot(book, frame.changeSet, frame.bids, frame.asks);
      return book;
    };
    const theirBook = (): Untyped => {
      const { AO, BO } = snapshotOf();
      return new OrderBook({ asks: AO.map(plain), bids: BO.map(plain) }, 256);
    };
    const store = (
      book: Untyped,
      bids: readonly [number, number][],
      asks: readonly [number, number][],
    ): void => {
      for (const level of bids) book.bids.storeArray(level);
      for (const level of asks) book.asks.storeArray(level);
    };
    const compareTops = (ours: ReturnType<typeof initialOrderBook>, theirs: Untyped): void => {
      const scale = 10 ** frames.instrument.priceScale;
      const same =
        bestBidTicks(ours) === Math.round(theirs.bids[0][0] * scale) &&
        bestAskTicks(ours) === Math.round(theirs.asks[0][0] * scale);
      if (!same) throw new Error('the two books differ');
    };
    const count = frames.differences.length;
    let lastOurs = ourBook();
    const books = await inTurns(
      {
        ours: async () => {
          const book = ourBook();
          lastOurs = book;
          return sampled(count, index => {
            const frame = reader.read(frames.differences[index] as string) as BookDifferenceFrame;
            if (applyDifference(book, frame.changeSet, frame.bids, frame.asks) !== 'applied')
              throw new Error('a difference was not applied');
          });
        },
        theirs: async () => {
          const book = theirBook();
          const samples = sampled(count, index => {
            const [, { BO, AO }] = JSON.parse(frames.differences[index] as string) as [number, BookText];
            store(book, BO.map(plain), AO.map(plain));
          });
          compareTops(lastOurs, book);
          return samples;
        },
        oursApplied: async () => {
          const book = ourBook();
          return sampled(count, index => {
            const { changeSet, bids, asks } = read[index] as BookDifferenceFrame;
            applyDifference(book, changeSet, bids, asks);
          });
        },
        theirsApplied: async () => {
          const book = theirBook();
          // Stored levels become part of the book, so every round needs its own.
          const levels = parsed.map(([, { BO, AO }]) => [BO.map(plain), AO.map(plain)] as const);
          return sampled(count, index => {
            const [bids, asks] = levels[index] as (typeof levels)[number];
            store(book, bids, asks);
          });
        },
      },
      rounds,
    );

    const { default: Btcturk } = await ccxt('btcturk.js');
    const client = new Btcturk({
      apiKey: CREDENTIALS.apiKey,
      secret: CREDENTIALS.apiSecret,
      enableRateLimit: false,
    });
    client.setMarkets([
      {
        id: 'BTCUSDT',
        symbol: 'BTC/USDT',
        base: 'BTC',
        quote: 'USDT',
        baseId: 'BTC',
        quoteId: 'USDT',
        type: 'spot',
        spot: true,
        active: true,
        precision: { amount: 1e-8, price: 1 },
        limits: {},
        info: {},
      },
    ]);
    const canned = JSON.parse(SUBMITTED) as unknown;
    client.fetch = async () => canned;
    const key = prepareSigningKey(CREDENTIALS);
    const write = submit();
    const btc = instrument();
    const orders = tiny ? 40 : 4_000;
    const request = {
      orderType: 'buy',
      orderMethod: 'limit',
      pairSymbol: 'BTCUSDT',
      quantity: '0.004',
      price: '77000',
      newOrderClientId: 'b-1-1',
    };
    const reply = { type: 'response', status: 200, headers: {}, body: SUBMITTED } as const;
    const awaited = async (times: number, work: () => Promise<unknown>): Promise<readonly number[]> => {
      const samples: number[] = [];
      for (let done = 0; done < times; done += CHUNK) {
        const startedMs = performance.now();
        for (let index = 0; index < CHUNK; index++) await work();
        samples.push(((performance.now() - startedMs) * 1_000) / CHUNK);
      }
      return samples;
    };
    const sending = await inTurns(
      {
        ours: async () =>
          sampled(orders, index => {
            buildWrite(write, btc);
            signedHeaders(key, 1_767_225_600_000 + index);
          }),
        theirs: async () => sampled(orders, () => client.sign('order', 'private', 'POST', request)),
        oursWhole: async () =>
          awaited(orders, async () => {
            buildWrite(write, btc);
            signedHeaders(key, 1_767_225_600_000);
            return submitOutcome(write, reply);
          }),
        theirsWhole: async () =>
          awaited(orders, () =>
            client.createOrder('BTC/USDT', 'limit', 'buy', 0.004, 77_000, { newOrderClientId: 'b-1-1' }),
          ),
      },
      rounds,
    );

    const values = parsed as readonly unknown[];
    const guards = await inTurns(
      {
        guard: async () =>
          sampled(count, index => {
            if (reader.readValue(values[index]).type !== 'book-difference') throw new Error('refused');
          }),
        zod: async () =>
          sampled(count, index => {
            if (!differenceSchema.safeParse(values[index]).success) throw new Error('refused');
          }),
      },
      rounds,
    );
    return {
      tables: [
        table(`One difference of a book (${frames.recorded ? 'recorded' : 'invented'}, ${count})`, [
          ['from the text: ccxt', books.theirs, books.theirs],
          ['from the text: ours', books.ours, books.theirs],
          ['from numbers: ccxt', books.theirsApplied, books.theirsApplied],
          ['from numbers: ours', books.oursApplied, books.theirsApplied],
        ]),
        table('One order', [
          ['body and signature: ccxt `sign`', sending.theirs, sending.theirs],
          ['body and signature: ours, terms checked', sending.ours, sending.theirs],
          ['terms to outcome: ccxt `createOrder`', sending.theirsWhole, sending.theirsWhole],
          ['terms to outcome: ours', sending.oursWhole, sending.theirsWhole],
        ]),
        table('One parsed frame', [
          ['zod', guards.zod, guards.zod],
          ['hand-written guard', guards.guard, guards.zod],
        ]),
      ],
    };
  },
};
