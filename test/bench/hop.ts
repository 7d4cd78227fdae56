/** What a message between two actors costs, beyond the thread that it wakes. */
import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import * as Comlink from 'comlink';
import type { ActorName } from '#src/domain/step.js';
import type { ToWorker, WorkerControl } from '#src/messages/control.js';
import { acrossRounds, figure, inTurns, type Rounds, ratioOf } from './figures.js';
import type { HopThreadData } from './hop-thread.js';
import type { Section } from './section.js';

const HOPS = 2_000;
/** The first of a thread are slower: it compiles. */
const WARM_UP_SHARE = 0.25;

type Asked = 'intent' | 'book';
const PAIRS: Readonly<Record<Asked, readonly [asks: ActorName, answers: ActorName]>> = {
  intent: ['strategy', 'execution'],
  book: ['market-data', 'strategy'],
};

const THREAD = new URL('./hop-thread.js', import.meta.url);

/** There and back through hosts, mailboxes and brokered ports, ms. */
const throughActors = async (asked: Asked, count: number): Promise<readonly number[]> => {
  const ends = PAIRS[asked].map((actor, end) => {
    const control = new MessageChannel();
    const surface = new MessageChannel();
    const worker = new Worker(THREAD, {
      workerData: {
        boot: { actor, incarnation: 1, credentials: null },
        peer: PAIRS[asked][1 - end] as ActorName,
        asks: end === 0 ? asked : null,
        count,
        ports: { control: control.port2, surface: surface.port2 },
      } satisfies HopThreadData & { readonly ports: object },
      transferList: [control.port2, surface.port2],
    });
    const start = Comlink.wrap<WorkerControl>(surface.port1 as unknown as Comlink.Endpoint);
    return { actor, worker, control: control.port1, surface: surface.port1, start };
  });
  try {
    const [asking, answering] = ends as [(typeof ends)[0], (typeof ends)[0]];
    await answering.start.start();
    const measured = asking.start.start();
    const between = new MessageChannel();
    for (const [end, other, port] of [
      [answering, asking, between.port1],
      [asking, answering, between.port2],
    ] as const)
      end.control.postMessage(
        { type: 'peer-connected', peer: other.actor, incarnation: 1, port } satisfies ToWorker,
        [port],
      );
    return JSON.parse((await measured).taken ?? '[]') as number[];
  } finally {
    for (const { worker, control, surface } of ends) {
      await worker.terminate();
      control.close();
      surface.close();
    }
  }
};

/** The same messages on a channel with nothing around it, ms. */
const onBarePorts = async (asked: Asked, count: number): Promise<readonly number[]> => {
  const { port1, port2 } = new MessageChannel();
  const workers = (
    [
      [null, port1],
      [asked, port2],
    ] as const
  ).map(
    ([asks, bare]) =>
      new Worker(THREAD, {
        workerData: {
          boot: { actor: 'strategy', incarnation: 1, credentials: null },
          peer: 'execution',
          asks,
          count,
          bare,
        } satisfies HopThreadData,
        transferList: [bare],
      }),
  );
  try {
    const [taken] = (await once(workers[1] as Worker, 'message')) as [readonly number[]];
    return taken;
  } finally {
    for (const worker of workers) await worker.terminate();
  }
};

/** Half of a way there and back, µs. */
const hops = (taken: readonly number[]): readonly number[] =>
  taken.slice(Math.floor(taken.length * WARM_UP_SHARE)).map(ms => ms * 500);

export const hop: Section = {
  name: 'hop',
  title: 'A hop between actors',
  about:
    'Half of the time a message needs to another actor and an answer back, one at a time, so that each one wakes a sleeping thread: an intent between strategy and execution, and a book of 100 levels a side from market-data with an intent as its answer. The actors are hosted as in the bot, with mailboxes, the control port drained before each message, beats and ticks, over ports brokered by this thread. The baseline sends the same messages over a bare `MessageChannel` between two threads.',
  async run({ rounds, tiny }) {
    const count = tiny ? 8 : HOPS;
    const taken = await inTurns(
      {
        intent: async () => hops(await throughActors('intent', count)),
        bareIntent: async () => hops(await onBarePorts('intent', count)),
        book: async () => hops(await throughActors('book', count)),
        bareBook: async () => hops(await onBarePorts('book', count)),
      },
      rounds,
    );
    const row = (what: string, of: Rounds, baseline: Rounds): string[] => [
      what,
      ...[0.5, 0.9, 0.99].map(share => figure(acrossRounds(of, share))),
      ...[0.5, 0.99].map(share => figure(ratioOf(of, baseline, share))),
    ];
    return {
      tables: [
        {
          head: ['What', 'p50 µs', 'p90 µs', 'p99 µs', 'p50 / bare', 'p99 / bare'],
          rows: [
            row('intent, between actors', taken.intent, taken.bareIntent),
            row('intent, bare channel', taken.bareIntent, taken.bareIntent),
            row('book and answer, between actors', taken.book, taken.bareBook),
            row('book and answer, bare channel', taken.bareBook, taken.bareBook),
          ],
        },
      ],
    };
  },
};
