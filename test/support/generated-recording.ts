import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

/** What a generated recording contains; the same options give the same bytes. */
export interface RecordingOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly symbol: string;
  /** Starting middle price in cents of the quote asset. */
  readonly midCents: number;
}

const LEVELS = 30;
const STEP_MS = 100;
const START_MS = 1_767_225_600_000;

/**
 * A market in BtcTurk frames, one JSON object a line as a recording has them: a snapshot, differences every 100 ms and
 * trades that print at the touch, with a middle that wanders enough for resting orders to be reached.
 */
export const recordingLines = (options: RecordingOptions): string[] => {
  const random = lehmer(options.seed);
  const lines: string[] = [];
  let middle = options.midCents;
  let changeSet = 1_000;
  let tradeId = 5_000_000;
  let book = ladder(middle, random);
  const write = (atMs: number, model: number, body: Record<string, unknown>): void => {
    lines.push(JSON.stringify({ at: atMs, frame: [model, { ...body, event: options.symbol, type: model }] }));
  };
  write(START_MS, 431, {
    CS: changeSet,
    PS: options.symbol,
    AO: [...book.asks].map(([cents, lots]) => ({ A: amount(lots), P: price(cents) })),
    BO: [...book.bids].map(([cents, lots]) => ({ A: amount(lots), P: price(cents) })),
    channel: 'obdiff',
  });
  for (let step = 1; step <= (options.seconds * 1_000) / STEP_MS; step++) {
    const atMs = START_MS + step * STEP_MS;
    const drift = Math.floor(random() * 801) - 400;
    const trades = Math.floor(random() * 4);
    for (let count = 0; count < trades; count++) {
      const buys = drift > 0 ? random() < 0.8 : random() < 0.2;
      const [cents] = [...(buys ? book.asks : book.bids).keys()];
      write(atMs - 50 + count, 422, {
        D: String(atMs - 50 + count),
        I: String(tradeId++),
        A: amount(1_000 + Math.floor(random() * 200_000)),
        P: price(cents ?? middle),
        PS: options.symbol,
        S: buys ? 0 : 1,
        channel: 'trade',
      });
    }
    middle += drift;
    const next = ladder(middle, random);
    changeSet += 1;
    write(atMs, 432, {
      CS: changeSet,
      PS: options.symbol,
      AO: differences(book.asks, next.asks),
      BO: differences(book.bids, next.bids),
      channel: 'obdiff',
    });
    book = next;
  }
  return lines;
};

/** Writes a generated recording as gzipped JSON lines. */
export const writeRecording = (path: string, options: RecordingOptions): void => {
  writeFileSync(path, gzipSync(`${recordingLines(options).join('\n')}\n`));
};

/** Lehmer's generator: 0 ≤ x < 1, the same on every machine. */
export const lehmer = (seed: number): (() => number) => {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
};

type Ladder = Map<number, number>;

const ladder = (middle: number, random: () => number): { readonly bids: Ladder; readonly asks: Ladder } => {
  const bids: Ladder = new Map();
  const asks: Ladder = new Map();
  for (let level = 0; level < LEVELS; level++) {
    bids.set(middle - 1 - level * 40, 10_000 + Math.floor(random() * 5_000_000));
    asks.set(middle + 1 + level * 40, 10_000 + Math.floor(random() * 5_000_000));
  }
  return { bids, asks };
};

const differences = (before: Ladder, after: Ladder): unknown[] => {
  const changes: unknown[] = [];
  for (const [cents, lots] of before)
    if (!after.has(cents)) changes.push({ CP: 3, P: price(cents), A: amount(lots) });
  for (const [cents, lots] of after) {
    const known = before.get(cents);
    if (known !== lots) changes.push({ CP: known === undefined ? 1 : 0, P: price(cents), A: amount(lots) });
  }
  return changes;
};

const price = (cents: number): string => String(cents / 100);
/** Lots of 10^-8. */
const amount = (lots: number): string => (lots / 1e8).toFixed(8);
