/**
 * Each worker made to fail in each way while the bot trades. What counts: nobody else is held up, no order is sent twice,
 * the bot comes back by itself through reconciliation, and a worker that keeps failing stays down.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { ActorName } from '#src/domain/step.js';
import { CRASH_LIMIT, CRASH_WINDOW_MS } from '#src/runtime/limits.js';
import { childSpecs } from '#src/supervision/child-spec.js';
import { Stage, timeOf } from './harness.js';
import { definePart, type Row, seconds, spread } from './part.js';
import { CRASHES, type Crash, type PingSample, preciseMs } from './seam.js';

/** In an order in which the suite's few say most. */
const VICTIMS: readonly ActorName[] = [
  'execution',
  'market-data',
  'strategy',
  'reconciliation',
  'ledger',
  'telemetry',
];
/** A bot that is asked for its status all the time does little else. */
const LOOK_EVERY_MS = 50;
/** The log's clock and the supervisor's are not one. */
const LOG_SLACK_MS = 1_000;
const BACK_GOAL_MS = 10_000;
const MESSAGE_GOAL_MS = 10;
/** How long the ledger spins: a thread inside SQLite is never terminated, so its loop must end for the bot to go on. */
const LEDGER_SPINS_MS = 5_000;
/** After a crash, so that a worker's budget of crashes is never used up by the rounds. */
const SPACING_MS = CRASH_WINDOW_MS / (CRASH_LIMIT - 1);

interface Failure {
  readonly victim: ActorName;
  readonly how: Crash;
  /** From the failure to the first order after the bot was trading again. */
  readonly backMs: number;
  /** Messages to the actors that the failure does not concern, while it lasted, there and back, ms. */
  readonly others: readonly number[];
  /** Messages to them that were never answered. */
  readonly unanswered: number;
  /** True when an order's absence at the venue had to be proven first: by reads more than 10 s after its submit. */
  readonly provedAbsence: boolean;
  /** Actors that the supervisor called late or replaced though they had nothing to do with it. */
  readonly disturbed: readonly string[];
}

/** The victim and those that start afresh with it: all others must not notice. */
const concernedBy = (victim: ActorName): ReadonlySet<ActorName> =>
  new Set([
    victim,
    ...(childSpecs({ mode: 'live' }).find(({ actor }) => actor === victim)?.restartsWith ?? []),
  ]);

const oneFailure = async (stage: Stage, victim: ActorName, how: Crash): Promise<Failure> => {
  await stage.trading();
  await stage.pings();
  const fromIndex = stage.bot.events.length;
  const before = (await stage.status()).workers[victim]?.incarnation ?? 0;
  const spins = victim === 'ledger' && how === 'endless-loop';
  const { atMs } = await stage.command(
    spins ? { to: victim, act: 'busy', ms: LEDGER_SPINS_MS } : { to: victim, act: how },
  );
  if (victim === 'telemetry')
    // It is telemetry that writes the log: its own end shows when its successor speaks.
    await stage.until('a new telemetry', async () => {
      await pause(LOOK_EVERY_MS);
      const { workers } = await stage.status();
      return workers.telemetry?.status === 'up' && workers.telemetry.incarnation > before;
    });
  else {
    await stage.heard('hold-placed', fromIndex, line => timeOf(line) >= atMs - 5);
    await stage.heard('trading-state-changed', fromIndex, line => line.to === 'live');
  }
  // What was under way when the thread ended may still arrive: an order counts once trading was allowed again.
  await stage.trading(1);
  const backMs = preciseMs() - atMs;
  // The last messages come back.
  await pause(200);
  const samples = await stage.pings();
  const concerned = concernedBy(victim);
  const others = samples.filter(({ actor, sentAtMs }) => !concerned.has(actor) && sentAtMs >= atMs);
  const disturbed = stage.bot.events
    .slice(fromIndex)
    .filter(line => line.event === 'worker-late' || line.event === 'worker-crashed')
    .map(line => `${String(line.worker)} (${line.event})`)
    .filter(text => ![...concerned].some(actor => text.startsWith(`${actor} `)));
  return {
    victim,
    how,
    backMs,
    others: others.flatMap(({ tookMs }: PingSample) => (tookMs === null ? [] : [tookMs])),
    unanswered: others.filter(({ tookMs }) => tookMs === null).length,
    provedAbsence: stage.bot.events
      .slice(fromIndex)
      .some(line => String(line.evidence).includes('more than 10 s')),
    disturbed,
  };
};

/** A worker that ends as soon as it is up, until it stays down; then the latch holds, and control answers. */
const untilLatched = async (stage: Stage, victim: ActorName, contradictions: string[]): Promise<number> => {
  const fromIndex = stage.bot.events.length;
  const startedAtMs = preciseMs();
  // Earlier failures of the same worker may still count: it may stay down sooner.
  for (let isDown = false; !isDown; ) {
    let incarnation = 0;
    await stage.until(`${victim} up again or given up`, async () => {
      await pause(LOOK_EVERY_MS);
      const worker = (await stage.status()).workers[victim];
      isDown = worker?.status === 'given-up';
      incarnation = worker?.incarnation ?? 0;
      return isDown || worker?.status === 'up';
    });
    if (isDown) break;
    await stage.command({ to: victim, act: 'exit-0' });
    await stage.until(`the end of ${victim}`, async () => {
      await pause(LOOK_EVERY_MS);
      const worker = (await stage.status()).workers[victim];
      return worker?.status !== 'up' || worker.incarnation !== incarnation;
    });
  }
  await stage.heard(
    'hold-placed',
    fromIndex,
    line => line.cause === 'restart-storm' && line.subject === victim,
  );
  const latchedMs = preciseMs() - startedAtMs;
  const crashTimes = stage.bot.events
    .filter(line => line.event === 'worker-crashed' && line.worker === victim)
    .map(timeOf);
  const counted = crashTimes.filter(
    ms => ms > (crashTimes.at(-1) ?? 0) - CRASH_WINDOW_MS - LOG_SLACK_MS,
  ).length;
  if (counted < CRASH_LIMIT) contradictions.push(`latched after ${counted} crashes`);
  await pause(500);
  const { state, maySubmit, workers } = await stage.status();
  if (state !== 'observe-only' || maySubmit) contradictions.push(`latched, and the state is ${state}`);
  if (workers[victim]?.status !== 'given-up')
    contradictions.push(`${victim} is ${workers[victim]?.status} though it was given up`);
  const silentFromMs = preciseMs();
  await pause(1_000);
  const writes = stage.writes(silentFromMs).length;
  if (writes > 0) contradictions.push(`${writes} writes left under the latch`);
  return latchedMs;
};

/** One thread that does it all: it answers messages, and then something in it loops for as long. @returns its longest */
export const oneThread = async (loopMs: number): Promise<number> => {
  const { port1, port2 } = new MessageChannel();
  const thread = new Worker(
    `require('node:worker_threads').parentPort.once('message', port => {
       port.on('message', id => {
         if (id >= 0) port.postMessage(id);
         else for (const until = performance.now() - id; performance.now() < until;);
       });
     });`,
    { eval: true, execArgv: [] },
  );
  thread.postMessage(port2, [port2]);
  const sentAt: number[] = [];
  let longest = 0;
  let answered = 0;
  port1.on('message', (id: number) => {
    answered += 1;
    longest = Math.max(longest, performance.now() - (sentAt[id] ?? 0));
  });
  const ping = (): void => {
    port1.postMessage(sentAt.push(performance.now()) - 1);
  };
  for (let count = 0; count < 10; count++) {
    ping();
    await pause(20);
  }
  port1.postMessage(-loopMs);
  ping();
  while (answered < sentAt.length) await pause(20);
  port1.close();
  await thread.terminate();
  return longest;
};

export const crashes = definePart({
  name: 'crashes',
  title: 'A worker that fails',
  about: `Each worker fails in each way (${CRASHES.join(', ')}) while the bot sends
10 orders a second. Meanwhile a message goes to every thread every 20 ms, through a port of its own, and comes back: what
counts are the threads that neither failed nor start afresh with the one that did. The ledger is never terminated, so its
endless loop ends after ${LEDGER_SPINS_MS / 1_000} s.`,
  full: { victims: VICTIMS.length, ways: CRASHES.length },
  small: { victims: 2, ways: 1 },
  run: async (size, { seed }) => {
    const stage = await Stage.open(seed + 8_000);
    stage.venue.fault('no-rate-limits');
    const contradictions: string[] = [];
    const failures: Failure[] = [];
    try {
      await stage.start().until(line => line.event === 'recovered');
      stage.startPings();
      const victims = VICTIMS.slice(0, size.victims);
      const lastAt = new Map<ActorName, number>();
      for (let way = 0; way < size.ways; way++)
        for (const [index, victim] of victims.entries()) {
          // Shifted from one victim to the next, so that few rounds still see every way.
          const how = CRASHES[(way + index) % CRASHES.length] as Crash;
          const sinceMs = preciseMs() - (lastAt.get(victim) ?? 0);
          if (sinceMs < SPACING_MS) await pause(SPACING_MS - sinceMs);
          failures.push(await oneFailure(stage, victim, how));
          lastAt.set(victim, preciseMs());
          contradictions.push(
            ...stage.duplicates().map(label => `${victim} by ${how}: two orders are called ${label}`),
          );
        }
      await stage.trading();
      contradictions.push(...stage.contradictions());
      const latchedMs = await untilLatched(stage, 'strategy', contradictions);
      // The operator lets go, and the worker is started again: at the end nothing may rest that could still fill.
      await stage.release([], 'restart-storm:strategy');
      await stage.trading(1);
      contradictions.push(...(await stage.finish()));
      const bare = await oneThread(3_000);
      const all = failures.flatMap(({ others }) => others);
      const proving = failures.filter(({ provedAbsence }) => provedAbsence);
      const usual = failures.filter(({ provedAbsence }) => !provedAbsence);
      const inTime = usual.filter(({ backMs }) => backMs <= BACK_GOAL_MS);
      const disturbed = failures.flatMap(failure =>
        failure.disturbed.map(text => `${text} when ${failure.victim} failed by ${failure.how}`),
      );
      const rows: Row[] = victims.map(victim => {
        const mine = failures.filter(failure => failure.victim === victim);
        return [
          `${victim} fails: back to trading; messages of the others meanwhile`,
          '≤ 10 s; p99 < 10 ms',
          `${mine.map(({ how, backMs }) => `${how} ${seconds(backMs)}`).join(', ')}; ${spread(mine.flatMap(({ others }) => others))}`,
        ];
      });
      rows.push(
        ['messages of all others, there and back', `p99 < ${MESSAGE_GOAL_MS} ms`, spread(all)],
        ['the same with everything in one thread: longest message during a loop of 3 s', '', seconds(bare)],
        [
          'messages of others never answered',
          '0',
          String(failures.reduce((sum, { unanswered }) => sum + unanswered, 0)),
        ],
        ['others that missed their beats or were replaced', '0', disturbed.join(', ') || '0'],
        [
          `back to trading within ${seconds(BACK_GOAL_MS)}`,
          'all',
          `${inTime.length} of ${usual.length} (longest ${seconds(Math.max(0, ...usual.map(({ backMs }) => backMs)))})`,
        ],
        [
          'back to trading where the absence of an order had to be proven',
          '10 s and the reads',
          proving.length === 0
            ? 'never needed'
            : `${proving.length}, longest ${seconds(Math.max(...proving.map(({ backMs }) => backMs)))}`,
        ],
        [`${CRASH_LIMIT} crashes of one worker: latched after`, 'stays down', seconds(latchedMs)],
        [
          'orders sent twice; writes under the latch; books against the exchange',
          '0',
          String(contradictions.length),
        ],
      );
      const notes =
        proving.length === 0
          ? []
          : [
              `An order that was journaled and perhaps not sent when its worker died may reach the venue late: that it is not
there counts as proven only by reads more than 10 s after its submit, and its pair stays closed until then.`,
            ];
      return { rows, contradictions, notes };
    } finally {
      await stage.close();
    }
  },
});
