import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { lehmer, type RecordingOptions } from './generated-recording.js';

const STEP_MS = 100;
const START_MS = 1_767_225_600_000;
/** Levels of a side in sight. */
const WINDOW = 100;
/** Mean distance of two levels, cents. */
const GAP_CENTS = 33;
/** How often the touch moves, and how far, cents: median, and spread of the logarithm. */
const MOVES = 0.115;
const MOVE_CENTS = 110;
const MOVE_SPREAD = 1.6;
/** The further the touch has wandered from where it began, the more moves lead back. */
const LEASH_CENTS = 100_000;
/** A direction lasts so many differences, and is worth this to the odds of a move at most. */
const TREND_STEPS = 300;
const TREND = 0.4;
/** Orders that come or go between two differences, besides those of a move. */
const TURNS = 8.3;
const TURNS_SPREAD = 1.1;
/** Levels stated anew beside each of these. */
const RESTATED = 0.33;
/** How often somebody trades between two differences, and how many trades that makes. */
const TRADING = 0.4;
const TRADES = 1.9;
const TRADES_SPREAD = 1.5;

/** One side of the book, best first: prices in cents, amounts in lots of 10^-5. */
interface Ladder {
  /** From a price to a worse one. */
  readonly worse: 1 | -1;
  readonly cents: number[];
  readonly lots: number[];
}

/**
 * A market in BtcTurk frames, like one that was recorded on a busy evening: one hundred levels a side at absolute
 * prices, of which each difference changes some, and the window's far edge with them; a touch one tick wide that
 * mostly stands still and then jumps through whatever stood there; trades in bursts. The same options give the same
 * lines.
 */
export const marketLines = (options: RecordingOptions): string[] => {
  const random = lehmer(options.seed);
  const skewed = (median: number, spread: number): number =>
    median * Math.exp(spread * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
  const gap = (): number => 1 + Math.floor(-GAP_CENTS * Math.log(1 - random()));
  const lotsOf = (median: number): number => 1 + Math.floor(Math.min(skewed(median, 1.8), median * 500));
  const ladder = (best: number, worse: 1 | -1): Ladder => {
    const side: Ladder = { worse, cents: [best], lots: [lotsOf(5_000)] };
    fill(side);
    return side;
  };
  /** What comes into sight at the far edge. */
  const fill = ({ cents, lots, worse }: Ladder): void => {
    while (cents.length < WINDOW) {
      cents.push((cents.at(-1) ?? 0) + worse * gap());
      lots.push(lotsOf(5_000));
    }
  };
  /** The best level is at a price from now on: better ones go, and the way there is filled. */
  const moveTo = (side: Ladder, best: number): void => {
    const { cents, lots, worse } = side;
    const gone = cents.findIndex(at => (at - best) * worse >= 0);
    cents.splice(0, gone === -1 ? cents.length : gone);
    lots.splice(0, gone === -1 ? lots.length : gone);
    const added: number[] = [];
    for (let at = best; cents.length === 0 ? added.length === 0 : (at - (cents[0] ?? 0)) * worse < 0; ) {
      added.push(at);
      at += worse * gap();
    }
    cents.unshift(...added);
    lots.unshift(...added.map(() => lotsOf(5_000)));
  };
  /** One order more or less somewhere behind the touch, the nearer the more often. */
  const turn = ({ cents, lots, worse }: Ladder): void => {
    const index = 1 + Math.floor((cents.length - 1) * random() ** 1.6);
    if (random() < 0.5) {
      cents.splice(index, 1);
      lots.splice(index, 1);
      return;
    }
    const at = (cents[index - 1] ?? 0) + worse * gap();
    const place = cents.findIndex(each => (each - at) * worse >= 0);
    if (place === -1 || cents[place] === at) return;
    cents.splice(place, 0, at);
    lots.splice(place, 0, lotsOf(5_000));
  };
  const lines: string[] = [];
  const write = (atMs: number, model: number, body: Record<string, unknown>): void => {
    lines.push(JSON.stringify({ at: atMs, frame: [model, { ...body, event: options.symbol, type: model }] }));
  };
  const bids = ladder(options.midCents, -1);
  const asks = ladder(options.midCents + 1, 1);
  let changeSet = 1_000;
  let tradeId = 5_000_000;
  let trend = 0;
  write(START_MS, 431, {
    CS: changeSet,
    PS: options.symbol,
    AO: asks.cents.map((cents, index) => level(cents, asks.lots[index] ?? 0)),
    BO: bids.cents.map((cents, index) => level(cents, bids.lots[index] ?? 0)),
    channel: 'obdiff',
  });
  for (let step = 1; step <= (options.seconds * 1_000) / STEP_MS; step++) {
    const atMs = START_MS + step * STEP_MS;
    const before = [asks, bids].map(
      side => new Map(side.cents.map((cents, at) => [cents, side.lots[at] ?? 0])),
    );
    if (step % TREND_STEPS === 1) trend = TREND * (2 * random() - 1);
    const best = bids.cents[0] ?? 0;
    const away = (best - options.midCents) / LEASH_CENTS;
    const up = random() > 0.5 + away / 2 + trend;
    const moved = random() < MOVES ? Math.ceil(Math.min(skewed(MOVE_CENTS, MOVE_SPREAD), 4_500)) : 0;
    const eaten = up ? asks : bids;
    const trades =
      moved > 0 || random() < TRADING ? Math.min(140, Math.ceil(skewed(TRADES, TRADES_SPREAD))) : 0;
    for (let count = 0; count < trades; count++) {
      // Where the touch moves, the trades before go through what stands in the way.
      const reach = Math.floor((count / trades) * Math.min(moved / GAP_CENTS, WINDOW - 1));
      const at = STEP_MS / 2 + Math.floor((count * 40) / trades);
      write(atMs - STEP_MS + at, 422, {
        D: String(atMs - STEP_MS + at),
        I: String(tradeId++),
        A: amount(lotsOf(70)),
        P: price(eaten.cents[reach] ?? best),
        PS: options.symbol,
        S: up ? 0 : 1,
        channel: 'trade',
      });
    }
    if (moved > 0) {
      const next = best + (up ? moved : -moved);
      moveTo(bids, next);
      moveTo(asks, next + 1);
    }
    const turns = Math.min(120, Math.floor(skewed(TURNS, TURNS_SPREAD)));
    for (let count = 0; count < turns; count++) {
      turn(random() < 0.5 ? bids : asks);
      if (random() > RESTATED) continue;
      const side = random() < 0.5 ? bids : asks;
      side.lots[Math.floor(side.lots.length * random() ** 3)] = lotsOf(5_000);
    }
    for (const side of [bids, asks]) {
      fill(side);
      side.cents.length = WINDOW;
      side.lots.length = WINDOW;
    }
    changeSet += 1;
    write(atMs, 432, {
      CS: changeSet,
      PS: options.symbol,
      AO: changes(before[0], asks),
      BO: changes(before[1], bids),
      channel: 'obdiff',
    });
  }
  return lines;
};

/** Writes such a market as gzipped JSON lines. */
export const writeMarket = (path: string, options: RecordingOptions): void => {
  writeFileSync(path, gzipSync(`${marketLines(options).join('\n')}\n`));
};

/** What a difference says, best first: deleted (3), new (1) and restated (0) levels. */
const changes = (
  before: ReadonlyMap<number, number> | undefined,
  { cents, lots, worse }: Ladder,
): unknown[] => {
  const now = new Map(cents.map((at, index) => [at, lots[index] ?? 0]));
  const all: { readonly at: number; readonly change: unknown }[] = [];
  for (const [at, held] of before ?? []) if (!now.has(at)) all.push({ at, change: changed(3, at, held) });
  for (const [at, held] of now) {
    const known = before?.get(at);
    if (known !== held) all.push({ at, change: changed(known === undefined ? 1 : 0, at, held) });
  }
  return all.sort((left, right) => (left.at - right.at) * worse).map(({ change }) => change);
};

const changed = (action: number, cents: number, lots: number) => ({
  CP: action,
  P: price(cents),
  A: amount(lots),
});
const level = (cents: number, lots: number) => ({ A: amount(lots), P: price(cents) });
const price = (cents: number): string => String(cents / 100);
const amount = (lots: number): string => String(Number((lots / 1e5).toFixed(5)));
