/** SIGTERM at good and bad moments: how the process ends, how long it takes, and what the next start finds. */
import { setTimeout as pause } from 'node:timers/promises';
import { STOP_TOTAL_MS } from '#src/runtime/limits.js';
import type { BotEnd } from '../support/bot.js';
import { diskProblem, type SmallDisk, smallDisk } from './disk.js';
import { Stage } from './harness.js';
import { definePart, millis, type Row, seconds } from './part.js';
import { impossibilities, missingIn, momentOf } from './proof.js';
import { preciseMs } from './seam.js';

interface Scenario {
  readonly name: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly exitCode: number;
  /** Makes the moment bad; the bot trades unless it is idle. */
  readonly prepare?: (stage: Stage, disk: SmallDisk) => Promise<void> | void;
  readonly second?: boolean;
  readonly needsDisk?: boolean;
}

const IDLE = { STRATEGY: 'observe', STRATEGY_CONFIG: '{}' };
/** Two signals closer together than 100 ms are one. */
const SECOND_SIGNAL_MS = 300;
/** A bot whose requests hang needs a moment to have some under way. */
const HANGING_MS = 500;
/** The stop's promise, and what is left for a machine that is busy with something else. */
const GOAL_MS = STOP_TOTAL_MS;

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a second signal while the exchange hangs',
    settings: {},
    exitCode: 4,
    second: true,
    prepare: async stage => {
      stage.venue.fault('hang,on=all');
      await pause(HANGING_MS);
    },
  },
  { name: 'idle', settings: IDLE, exitCode: 0 },
  { name: 'under load, resting orders canceled', settings: {}, exitCode: 0 },
  { name: 'under load, resting orders left', settings: { SHUTDOWN_OPEN_ORDERS: 'leave' }, exitCode: 0 },
  {
    name: 'with the exchange hanging',
    settings: {},
    exitCode: 0,
    prepare: async stage => {
      stage.venue.fault('hang,on=all');
      await pause(HANGING_MS);
    },
  },
  {
    name: 'with the disk full',
    settings: {},
    exitCode: 0,
    needsDisk: true,
    prepare: async (stage, disk) => {
      const fromIndex = stage.bot.events.length;
      disk.fill();
      await stage.heard('hold-placed', fromIndex, line => line.cause === 'ledger');
    },
  },
];

interface Ended {
  readonly end: BotEnd;
  readonly tookMs: number;
  readonly lastPostMs: number;
}

const oneStop = async (
  stage: Stage,
  disk: SmallDisk,
  scenario: Scenario,
  contradictions: string[],
): Promise<Ended> => {
  const bot = stage.start(scenario.settings);
  await bot.until(line => line.event === 'recovered');
  await bot.until(line => line.event === 'all-workers-ready');
  if (scenario.settings.STRATEGY === undefined) await stage.trading();
  await scenario.prepare?.(stage, disk);
  const signaledAtMs = preciseMs();
  bot.kill('SIGTERM');
  if (scenario.second === true) {
    await pause(SECOND_SIGNAL_MS);
    bot.kill('SIGTERM');
  }
  const end = await bot.ended;
  const tookMs = preciseMs() - signaledAtMs;
  stage.venue.clearFaults();
  disk.free();
  // Forced, the process waits half a second for its threads and then ends itself the hard way.
  const isForced = scenario.second === true && end.signal === 'SIGKILL';
  if (end.code !== scenario.exitCode && !isForced)
    contradictions.push(
      `${scenario.name}: ended with ${end.code ?? end.signal} instead of ${scenario.exitCode}`,
    );
  const posts = stage.writes(signaledAtMs).filter(({ method }) => method === 'POST');
  return { end, tookMs, lastPostMs: (posts.at(-1)?.atMs ?? signaledAtMs) - signaledAtMs };
};

/** The next start finds everything that the exchange had done before it. */
const nothingLost = async (stage: Stage, name: string, contradictions: string[]): Promise<void> => {
  const before = momentOf(stage.venue.exchange.account());
  await stage.start(IDLE).until(line => line.event === 'recovered');
  let missing: readonly string[] = [];
  await stage
    .until('everything in the ledger', () => {
      missing = missingIn(stage.database, before);
      return missing.length === 0;
    })
    .catch(() => undefined);
  const now = momentOf(stage.venue.exchange.account());
  contradictions.push(
    ...[...missing, ...impossibilities(stage.database, before, now)].map(text => `after ${name}: ${text}`),
  );
  stage.bot.kill('SIGTERM');
  await stage.bot.ended;
};

export const stop = definePart({
  name: 'stop',
  title: 'The stop',
  about: `SIGTERM while the bot idles or sends 10 orders a second, with an exchange that has stopped answering, with a full disk, and
with a second SIGTERM. After each the next start must find everything that the exchange had done. Two cores stop seven
threads here, and the exchange of the run is one more.`,
  full: { stops: SCENARIOS.length, rounds: 3 },
  small: { stops: 1, rounds: 1 },
  run: async (size, { seed }) => {
    const disk = smallDisk();
    const stage = await Stage.open(seed + 6_000, disk.folder);
    stage.venue.fault('no-rate-limits');
    const contradictions: string[] = [];
    const rows: Row[] = [];
    const notes: string[] = [];
    try {
      for (const scenario of SCENARIOS.slice(0, size.stops)) {
        if (scenario.needsDisk === true && !disk.small) {
          notes.push(`Not tried ${scenario.name}: ${diskProblem()}.`);
          continue;
        }
        const ended: Ended[] = [];
        for (let round = 0; round < size.rounds; round++) {
          stage.venue.fault('no-rate-limits');
          ended.push(await oneStop(stage, disk, scenario, contradictions));
          stage.venue.fault('no-rate-limits');
          await nothingLost(stage, scenario.name, contradictions);
        }
        const codes = ended.map(({ end }) => String(end.code ?? end.signal)).join(', ');
        const longest = Math.max(...ended.map(({ tookMs }) => tookMs));
        const lastPost = Math.max(...ended.map(({ lastPostMs }) => lastPostMs));
        rows.push([
          scenario.name,
          `exit code ${scenario.exitCode}, ${scenario.second === true ? 'at once' : `within ${seconds(GOAL_MS)}`}, last POST ≤ 100 ms`,
          `exit code ${codes}; longest ${seconds(longest)}; last POST ${lastPost === 0 ? 'none after the signal' : millis(lastPost)}`,
        ]);
        if (ended.some(({ end }) => end.signal === 'SIGKILL'))
          notes.push(
            'SIGKILL: its threads had not ended half a second after the second signal, and the process ended itself.',
          );
        if (scenario.second !== true && longest > GOAL_MS)
          notes.push(`A stop ${scenario.name} took ${seconds(longest)}.`);
      }
      rows.push(['other exit codes; anything lost', '0', String(contradictions.length)]);
      return { rows, contradictions, notes };
    } finally {
      await stage.close();
      disk.remove();
    }
  },
});
