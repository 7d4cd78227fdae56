/** What one actor's trouble costs the others, against one thread that does everything. */
import { setTimeout as pause } from 'node:timers/promises';
import type { ActorName } from '#src/domain/step.js';
import { oneThread } from '../faults/crashes.js';
import { Stage } from '../faults/harness.js';
import { preciseMs } from '../faults/seam.js';
import { acrossRounds, figure, median, type Rounds, ratioOf } from './figures.js';
import type { Section } from './section.js';

/** The supervisor replaces a thread that gives no beat for 3 s: then nothing would be measured. */
const TROUBLE_MS = 2_000;
const TINY_MS = 200;
const SEED = 6;
const GOAL_P99_MS = 10;

type Trouble = 'none' | 'spins' | 'garbage' | 'storm';

const ABOUT: Readonly<Record<Trouble, string>> = {
  none: 'nothing wrong',
  spins: 'strategy burns a core',
  garbage: 'strategy makes garbage',
  storm: 'every request is answered with 429',
};
/** Whose messages are not counted: the thread in trouble. */
const VICTIM: Readonly<Record<Trouble, ActorName | null>> = {
  none: null,
  spins: 'strategy',
  garbage: 'strategy',
  storm: null,
};

/** Messages there and back to the actors that have no trouble, while it lasts, ms. */
const during = async (stage: Stage, trouble: Trouble, ms: number): Promise<readonly number[]> => {
  // In a storm nobody trades.
  if (trouble !== 'storm') await stage.trading(1);
  await stage.pings();
  const fromMs = preciseMs();
  if (trouble === 'spins' || trouble === 'garbage') {
    const command = { to: 'strategy', act: trouble === 'spins' ? 'busy' : 'garbage', ms } as const;
    const done = stage.told('done', command);
    await stage.command(command);
    await done;
  } else await pause(ms);
  const untilMs = preciseMs();
  const samples = await stage.pings();
  return samples.flatMap(({ actor, sentAtMs, tookMs }) =>
    tookMs !== null && actor !== VICTIM[trouble] && sentAtMs >= fromMs && sentAtMs <= untilMs ? [tookMs] : [],
  );
};

export const isolation: Section = {
  name: 'isolation',
  inSuite: false,
  title: 'One trouble, and the others',
  about: `A bot that sends 10 orders a second; a message goes to every thread every 20 ms, through a port of its own, and comes back. For ${TROUBLE_MS / 1_000} s the strategy spins, or makes garbage as fast as it can, or the exchange answers every request with 429: counted are the messages to all threads without that trouble. The baseline is the same bot with nothing wrong; and one thread that answers messages and spins for as long, as a bot in one thread would.`,
  async run({ rounds, tiny }) {
    const ms = tiny ? TINY_MS : TROUBLE_MS;
    const stage = await Stage.open(SEED);
    stage.venue.fault('no-rate-limits');
    const taken: Record<Trouble, (readonly number[])[]> = { none: [], spins: [], garbage: [], storm: [] };
    const alone: number[] = [];
    try {
      await stage.start().until(line => line.event === 'recovered');
      stage.startPings();
      for (let round = 0; round < rounds; round++) {
        for (const trouble of ['none', 'spins', 'garbage'] as const)
          taken[trouble].push(await during(stage, trouble, ms));
        alone.push(await oneThread(ms));
      }
      // Last: the bot is slow to believe that a storm is over.
      stage.venue.fault('rate-limit,on=all');
      for (let round = 0; round < rounds; round++) taken.storm.push(await during(stage, 'storm', ms));
      const row = (trouble: Trouble): string[] => {
        const of: Rounds = taken[trouble];
        return [
          ABOUT[trouble],
          ...[0.5, 0.99, 1].map(share => figure(acrossRounds(of, share))),
          ...[0.5, 0.99].map(share => figure(ratioOf(of, taken.none, share))),
        ];
      };
      const worst = Math.max(
        ...(['spins', 'garbage', 'storm'] as const).map(trouble => acrossRounds(taken[trouble], 0.99)),
      );
      return {
        tables: [
          {
            head: ['What', 'p50 ms', 'p99 ms', 'longest ms', 'p50 / nothing wrong', 'p99 / nothing wrong'],
            rows: [
              ...(['none', 'spins', 'garbage', 'storm'] as const).map(row),
              ['one thread that spins for as long', '', '', figure(median(alone)), '', ''],
            ],
          },
        ],
        goals: [
          {
            what: 'messages of the others at the 99th percentile, whatever the trouble',
            goal: `under ${GOAL_P99_MS} ms`,
            measured: `${figure(worst)} ms`,
            met: worst < GOAL_P99_MS,
            why: 'A thread that waits for a core counts as slow, and the trouble takes one of them.',
          },
        ],
      };
    } finally {
      await stage.close();
    }
  },
};
