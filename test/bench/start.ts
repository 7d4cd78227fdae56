/** From the start of the process to the gate's opening, and what memory it then has. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { childSpecs } from '#src/supervision/child-spec.js';
import { Stage } from '../faults/harness.js';
import type { SeamActor, ThreadHeap } from '../faults/seam.js';
import { residentMbOf } from '../support/process-facts.js';
import { figure, inTurns, median, ratioOf } from './figures.js';
import type { Section } from './section.js';

/** The most that `SYMBOLS` takes. */
const PAIRS = 20;
const SEED = 7;
/** After the gate has opened: what the start left behind has been collected by then, or is there to stay. */
const SETTLE_MS = 10_000;
const GOAL_MB = 300;
const MARKET_PACE = 0.02;
const MB = 1_048_576;
/** Threads of the bot beside its main one. */
const WORKERS = childSpecs({ mode: 'paper' }).length;

/** Threads of a bot, each with nothing to do: what the runtime alone takes. */
const BARE = `
const { Worker } = require('node:worker_threads');
let up = 0;
for (let n = 0; n < ${WORKERS}; n++)
  new Worker('setInterval(() => {}, 1e6)', { eval: true }).once('online', () => {
    up += 1;
    if (up === ${WORKERS}) console.log('up');
  });
`;

interface Started {
  readonly tookMs: number;
  readonly residentMb: number | null;
  readonly heaps: ReadonlyMap<SeamActor, ThreadHeap>;
}

/** Distinct pairs that the exchange lists on demand. */
const pairsNamed = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => {
    const letter = (digit: number): string => String.fromCharCode(65 + digit);
    return n === 0 ? 'BTCTRY' : `Q${letter(Math.floor(n / 26))}${letter(n % 26)}TRY`;
  });

const startOf = async (
  stage: Stage,
  settings: Readonly<Record<string, string>>,
  settleMs: number,
): Promise<Started> => {
  const startedMs = performance.now();
  const bot = stage.start({ STRATEGY: 'observe', STRATEGY_CONFIG: '{}', ...settings });
  await bot.until(line => line.event === 'trading-state-changed' && line.to === 'live');
  const tookMs = performance.now() - startedMs;
  await pause(settleMs);
  const resident = residentMbOf(bot.pid);
  const heaps = new Map<SeamActor, ThreadHeap>();
  for (const actor of await stage.threads()) heaps.set(actor, await stage.heapOf(actor));
  bot.kill('SIGTERM');
  await bot.ended;
  return { tookMs, residentMb: resident, heaps };
};

const bareStart = async (): Promise<{ readonly tookMs: number; readonly residentMb: number | null }> => {
  const startedMs = performance.now();
  const child = spawn(process.execPath, ['-e', BARE], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    return { tookMs: performance.now() - startedMs, residentMb: residentMbOf(child.pid ?? -1) };
  } finally {
    child.kill('SIGKILL');
  }
};

export const start: Section = {
  name: 'start',
  title: 'Start, and memory',
  about: `From the start of the process to the word that orders may be sent: configuration, ledger, ${WORKERS} threads, sockets, login, the account proven against an exchange on this machine in another process. The baseline is a process of Node's that starts as many threads with nothing in them. Memory ${SETTLE_MS / 1_000} s later: what is resident of the whole process, and each thread's heap by its own word; with one pair, and with ${PAIRS} pairs whose market is slow.`,
  async run({ rounds, tiny }) {
    const settleMs = tiny ? 0 : SETTLE_MS;
    const runs: { idle: Started[]; many: Started[]; bare: Awaited<ReturnType<typeof bareStart>>[] } = {
      idle: [],
      many: [],
      bare: [],
    };
    const taken = await inTurns(
      {
        idle: async () => {
          const stage = await Stage.open(SEED);
          try {
            runs.idle.push(await startOf(stage, {}, settleMs));
          } finally {
            await stage.close();
          }
          return [runs.idle.at(-1)?.tookMs ?? Number.NaN];
        },
        bare: async () => {
          runs.bare.push(await bareStart());
          return [runs.bare.at(-1)?.tookMs ?? Number.NaN];
        },
      },
      rounds,
    );
    const pairs = pairsNamed(tiny ? 2 : PAIRS);
    if (!tiny) {
      const stage = await Stage.open(SEED, null, pairs);
      stage.venue.exchange.admin({ type: 'market-pace', pace: MARKET_PACE });
      try {
        runs.many.push(await startOf(stage, { SYMBOLS: pairs.join(',') }, settleMs));
      } finally {
        await stage.close();
      }
    }
    const residentOf = (of: readonly { readonly residentMb: number | null }[]): string => {
      const known = of.flatMap(run => (run.residentMb === null ? [] : [run.residentMb]));
      return known.length === 0 ? 'not told by this system' : figure(median(known));
    };
    const heapOf = (of: readonly Started[], actor: SeamActor, pick: (heap: ThreadHeap) => number): string => {
      const known = of.flatMap(run => {
        const heap = run.heaps.get(actor);
        return heap === undefined ? [] : [pick(heap) / MB];
      });
      return known.length === 0 ? '' : figure(median(known));
    };
    const most = Math.max(...[...runs.idle, ...runs.many].map(run => run.residentMb ?? 0));
    const what = (of: 'idle' | 'bare'): string[] => [
      figure(median(runs[of].map(({ tookMs }) => tookMs))),
      figure(ratioOf(taken[of], taken.bare, 0.5)),
      residentOf(runs[of]),
    ];
    return {
      tables: [
        {
          head: ['What', 'ms to ready', 'times the baseline', 'resident MB'],
          rows: [
            ['the bot, one pair', ...what('idle')],
            ...(runs.many.length === 0
              ? []
              : [
                  [
                    `the bot, ${pairs.length} pairs`,
                    figure(median(runs.many.map(({ tookMs }) => tookMs))),
                    '',
                    residentOf(runs.many),
                  ],
                ]),
            ['as many empty threads', ...what('bare')],
          ],
        },
        {
          head: [
            'Thread',
            'heap in use MB, one pair',
            'committed MB',
            `in use MB, ${PAIRS} pairs`,
            'committed MB',
          ],
          rows: [...(runs.idle[0]?.heaps.keys() ?? [])].map(actor => [
            actor,
            heapOf(runs.idle, actor, heap => heap.used + heap.external),
            heapOf(runs.idle, actor, heap => heap.committed + heap.external),
            heapOf(runs.many, actor, heap => heap.used + heap.external),
            heapOf(runs.many, actor, heap => heap.committed + heap.external),
          ]),
        },
      ],
      goals: [
        {
          what: 'resident in all, the most of these',
          goal: `under ${GOAL_MB} MB`,
          measured: `${figure(most)} MB`,
          met: most > 0 && most < GOAL_MB,
          why: 'Each thread has an isolate of its own with its own copy of the libraries; see the empty threads.',
        },
      ],
      remarks: [
        "One of the bot's threads stands in for the embedded exchange and does nothing.",
        'A bot trades 20 pairs at most; the market-data actor alone is measured with 379 under "Frames to books".',
      ],
    };
  },
};
