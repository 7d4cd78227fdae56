/** Hours of trading with faults: what grows that should not, and whether the books still agree at the end. */
import { readdirSync, statSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { Stage } from '../faults/harness.js';
import type { SeamActor } from '../faults/seam.js';
import { residentMbOf } from '../support/process-facts.js';
import { figure, median } from './figures.js';
import type { Section } from './section.js';

const MINUTES = 3;
const TINY_MINUTES = 0.03;
const SEED = 8;
/** Of the generated market, which at 1 is as busy as the busiest pair was when it was measured. */
const MARKET_PACE = 2;
const SAMPLE_MS = 5_000;
const FAULT_EVERY_MS = 20_000;
const FAULT_LASTS_MS = 4_000;
/** The first part of the time: caches fill and the compiler works. */
const WARM_UP_SHARE = 0.25;
/**
 * When the threads' garbage is collected for the first time: long enough before the time that counts that the heaps have
 * again grown to what they are by themselves.
 */
const FIRST_COLLECTION_SHARE = 0.125;
/** Parts of the time of which each has a least resident memory; ten minutes of two hours. */
const WINDOWS = 12;
const MB = 1_048_576;
/** One after the other, again and again; what they leave behind is what is looked for. */
const FAULTS = [
  'accept-then-timeout,probability=0.5',
  'abrupt-drop',
  'cs-gap,probability=0.3',
  'html-5xx,on=reads,probability=0.5',
  'cancel-late=3000',
  'reset-before,on=writes,probability=0.5',
  'drop-private=423,probability=0.5',
  'slow-replies=1000,on=reads',
  'stale-balances=3000',
] as const;
/** After it reads come back over four minutes, in which nothing new is sent: seldom enough that the bot mostly trades. */
const THROTTLED = 'rate-limit,on=reads,count=2';
const THROTTLED_EVERY = 30;
/** The simulator holds the bot to it, too. */
const CONVERGED_MS = 60_000;
const GOAL_MB_PER_HOUR = 10;

const faultAt = (index: number): string =>
  index % THROTTLED_EVERY === THROTTLED_EVERY - 1 ? THROTTLED : (FAULTS[index % FAULTS.length] as string);

interface Sample {
  readonly atMs: number;
  readonly residentMb: number;
  readonly openFiles: number;
  readonly walMb: number;
}

const sampleOf = (stage: Stage): Sample | null => {
  const resident = residentMbOf(stage.bot.pid);
  if (resident === null) return null;
  return {
    atMs: performance.now(),
    residentMb: resident,
    openFiles: readdirSync(`/proc/${stage.bot.pid}/fd`).length,
    walMb: (statSync(`${stage.database}-wal`, { throwIfNoEntry: false })?.size ?? 0) / 1_048_576,
  };
};

/** What each thread keeps: in use after all of its garbage has been collected. */
interface Kept {
  readonly atMs: number;
  readonly mbOf: ReadonlyMap<SeamActor, number>;
}

const keptBy = async (stage: Stage): Promise<Kept> => {
  const atMs = performance.now();
  const mbOf = new Map<SeamActor, number>();
  for (const actor of await stage.threads()) {
    const { used, external } = await stage.heapOf(actor, true);
    mbOf.set(actor, (used + external) / MB);
  }
  return { atMs, mbOf };
};

const sumOf = ({ mbOf }: Kept): number => [...mbOf.values()].reduce((sum, mb) => sum + mb, 0);

/** The least sample of each window of `windowMs`: what is left of a sawtooth when its garbage has gone. */
export const leastOfWindows = <T extends { readonly atMs: number }>(
  samples: readonly T[],
  windowMs: number,
  pick: (sample: T) => number,
): T[] => {
  const least = new Map<number, T>();
  const startedMs = samples[0]?.atMs ?? 0;
  for (const sample of samples) {
    const window = Math.floor((sample.atMs - startedMs) / windowMs);
    const known = least.get(window);
    if (known === undefined || pick(sample) < pick(known)) least.set(window, sample);
  }
  return [...least.values()];
};

/** Least squares: by how much a figure grows in an hour. */
export const growthPerHour = (
  samples: readonly { readonly atMs: number }[],
  figures: readonly number[],
): number => {
  const meanAt = samples.reduce((sum, { atMs }) => sum + atMs, 0) / samples.length;
  const mean = figures.reduce((sum, value) => sum + value, 0) / figures.length;
  let product = 0;
  let square = 0;
  for (const [index, { atMs }] of samples.entries()) {
    product += (atMs - meanAt) * ((figures[index] ?? mean) - mean);
    square += (atMs - meanAt) ** 2;
  }
  return square === 0 ? 0 : (product / square) * 3_600_000;
};

/** Starts the bot once more and stops it when it has recovered. @returns what ledger and exchange still differ in */
const leftByTheNextStart = async (stage: Stage): Promise<string[]> => {
  await stage.start().until(line => line.event === 'recovered');
  return stage.finish();
};

export const soak: Section = {
  name: 'soak',
  inSuite: false,
  title: 'A long run',
  about: `A bot that sends 10 orders and 10 cancels a second on a market twice as busy as the generated one is by itself, and every ${FAULT_EVERY_MS / 1_000} s another fault of the exchange for ${FAULT_LASTS_MS / 1_000} s, every ${THROTTLED_EVERY}th of them throttled reads. It sends as much when nothing holds it: how many orders that came to is said below. Taken every ${SAMPLE_MS / 1_000} s: memory that is resident, open files, the size of the write-ahead log; at the end, a minute after the last fault, the ledger against the exchange, to the last digit, as the stop leaves it and after one more start. The exchange runs in the process of the benchmark, so that what it keeps is not in these figures. A heap is a sawtooth, and a slope over few of its teeth says little: beside the slope of all samples stands that of the least of each twelfth of the time, and what each thread has in use once its garbage is collected on demand, after an eighth of the time and at the end. \`npm run bench -- soak --minutes 120\` runs it for two hours; ${MINUTES} minutes when nobody says. The first quarter of the time counts for nothing.`,
  async run({ tiny, minutes = tiny ? TINY_MINUTES : MINUTES }) {
    const lastsMs = minutes * 60_000;
    const everyMs = tiny ? lastsMs / 6 : SAMPLE_MS;
    const stage = await Stage.open(SEED);
    const unlimited = (): void => stage.venue.fault('no-rate-limits');
    unlimited();
    stage.venue.exchange.admin({ type: 'market-pace', pace: MARKET_PACE });
    const samples: Sample[] = [];
    const kept: Kept[] = [];
    const struck: string[] = [];
    try {
      await stage.start().until(line => line.event === 'recovered');
      await stage.trading(1);
      const startedMs = performance.now();
      let faultMs = startedMs + FAULT_EVERY_MS;
      const collectMs = startedMs + lastsMs * FIRST_COLLECTION_SHARE;
      while (performance.now() < startedMs + lastsMs) {
        if (kept.length === 0 && performance.now() >= collectMs) kept.push(await keptBy(stage));
        await pause(Math.min(everyMs, Math.max(0, startedMs + lastsMs - performance.now())));
        const sample = sampleOf(stage);
        if (sample !== null) samples.push(sample);
        if (performance.now() < faultMs) continue;
        faultMs += FAULT_EVERY_MS;
        const fault = faultAt(struck.length);
        struck.push(fault);
        stage.venue.fault(fault);
        await pause(FAULT_LASTS_MS);
        stage.venue.clearFaults();
        unlimited();
      }
      kept.push(await keptBy(stage));
      // As after any fault: unknown orders are searched for and reads go slowly for a while, and then all comes right.
      if (struck.length > 0) await pause(CONVERGED_MS);
      await stage.trading(1);
      const orders = stage.venue.exchange.account().orders.size;
      const contradictions = [...stage.contradictions(), ...(await stage.finish())];
      const left = await leftByTheNextStart(stage);
      const counted = samples.slice(Math.floor(samples.length * WARM_UP_SHARE));
      const row = (what: string, pick: (sample: Sample) => number, of = counted): string[] => {
        const figures = of.map(pick);
        return figures.length === 0
          ? [what, 'not told by this system', '', '', '']
          : [
              what,
              figure(figures[0] ?? 0),
              figure(median(figures)),
              figure(Math.max(...figures)),
              figure(growthPerHour(of, figures)),
            ];
      };
      const resident = (sample: Sample): number => sample.residentMb;
      const slope = growthPerHour(counted, counted.map(resident));
      const minuteOf = ({ atMs }: Kept): string => figure((atMs - startedMs) / 60_000);
      const [first, last] = [kept[0], kept.at(-1)] as [Kept, Kept];
      const keptRow = (what: string, pick: (of: Kept) => number): string[] => [
        what,
        figure(pick(first)),
        figure(pick(last)),
        first === last ? '' : figure(growthPerHour([first, last], [pick(first), pick(last)])),
      ];
      return {
        tables: [
          {
            head: ['What', 'first', 'median', 'most', 'growth an hour'],
            rows: [
              row('resident memory, MB', resident),
              row(
                `the least of each ${figure(minutes / WINDOWS)} minutes, MB`,
                resident,
                leastOfWindows(counted, lastsMs / WINDOWS, resident),
              ),
              row('open files', sample => sample.openFiles),
              row('write-ahead log, MB', sample => sample.walMb),
            ],
          },
          {
            head: [
              'Thread',
              `in use after ${minuteOf(first)} minutes, MB`,
              `after ${minuteOf(last)} minutes`,
              'growth an hour',
            ],
            rows: [
              ...[...last.mbOf.keys()].map(actor => keptRow(actor, ({ mbOf }) => mbOf.get(actor) ?? 0)),
              keptRow('together', sumOf),
            ],
          },
        ],
        goals: [
          {
            what: 'growth of the resident memory',
            goal: `under ${GOAL_MB_PER_HOUR} MB an hour`,
            measured: `${figure(slope)} MB an hour`,
            met: slope < GOAL_MB_PER_HOUR,
            why: 'The heaps of seven threads are collected when they are full: see the least of each window, and what is in use when the garbage is gone.',
          },
          {
            what: 'ledger and exchange, at the end',
            goal: 'equal to the last digit',
            measured: contradictions.length === 0 ? 'equal' : contradictions.join('; '),
            met: contradictions.length === 0,
            why: 'A stop has a few seconds. While reads are throttled they do not suffice for a last look: then the last report of the balances is old, or a fill is not booked, and the next start makes it good.',
          },
          {
            what: 'ledger and exchange, after one more start',
            goal: 'equal to the last digit',
            measured: left.length === 0 ? 'equal' : left.join('; '),
            met: left.length === 0,
          },
        ],
        remarks: [
          `${figure(minutes)} minutes, ${orders} orders, ${struck.length} faults, ${samples.length} samples.`,
        ],
      };
    } finally {
      await stage.close();
    }
  },
};
