/**
 * The disk fails under the ledger: it is full, it turns read-only, another program locks the database. No POST may leave
 * without a durable intent, and the operator must be able to look and to act all the same.
 */
import { setTimeout as pause } from 'node:timers/promises';
import SqliteDatabase from 'better-sqlite3';
import { freePort } from '../support/free-port.js';
import { diskProblem, type SmallDisk, smallDisk } from './disk.js';
import { Stage } from './harness.js';
import { definePart, type Row, seconds, spread } from './part.js';
import { missingIn, momentOf } from './proof.js';
import { preciseMs } from './seam.js';

const ANSWER_GOAL_MS = 1_000;
const LOOK_EVERY_MS = 250;

interface Trouble {
  readonly name: string;
  /** From the fault to the hold `ledger`. */
  readonly heldMs: number;
  /** Times of the answers to `status` and to a read of the metrics while it lasted. */
  readonly controlMs: readonly number[];
  readonly metricsMs: readonly number[];
  /** From the hold on, until the cause went away. */
  readonly posts: number;
  /** From the end of the cause to the first order; null when the cause stays. */
  readonly backMs: number | null;
}

interface Cause {
  readonly name: string;
  begin(): void;
  /** Takes the cause away; null when that takes a restart. */
  readonly end: (() => void) | null;
}

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
};

/** One trouble with a trading bot, looked at while it lasts. */
const oneTrouble = async (
  stage: Stage,
  cause: Cause,
  lastsMs: number,
  metricsUrl: string,
  contradictions: string[],
): Promise<Trouble> => {
  await stage.trading();
  const fromIndex = stage.bot.events.length;
  const beganAtMs = preciseMs();
  cause.begin();
  await stage.heard('hold-placed', fromIndex, line => line.cause === 'ledger');
  const heldAtMs = preciseMs();
  const controlMs: number[] = [];
  const metricsMs: number[] = [];
  while (preciseMs() < heldAtMs + lastsMs) {
    controlMs.push(await timed(() => stage.status()));
    metricsMs.push(await timed(async () => (await fetch(metricsUrl)).text()));
    await pause(LOOK_EVERY_MS);
  }
  const { maySubmit, phase } = await stage.status();
  if (maySubmit) contradictions.push(`${cause.name}: the bot may submit without a ledger`);
  if (phase !== 'running') contradictions.push(`${cause.name}: the bot is ${phase}`);
  const settledMs = 500;
  const posts = stage.writes(heldAtMs + settledMs).filter(({ method }) => method === 'POST').length;
  if (posts > 0) contradictions.push(`${cause.name}: ${posts} POSTs left while nothing could be recorded`);
  let backMs: number | null = null;
  if (cause.end !== null) {
    const endedAtMs = preciseMs();
    cause.end();
    await stage.trading(1);
    backMs = preciseMs() - endedAtMs;
    contradictions.push(...stage.contradictions().map(text => `${cause.name}: ${text}`));
  }
  return { name: cause.name, heldMs: heldAtMs - beganAtMs, controlMs, metricsMs, posts, backMs };
};

const rowOf = (trouble: Trouble): Row => {
  const slow = [...trouble.controlMs, ...trouble.metricsMs].filter(ms => ms > ANSWER_GOAL_MS).length;
  return [
    trouble.name,
    'no POST; control and metrics ≤ 1 s',
    [
      `held after ${seconds(trouble.heldMs)}`,
      `${trouble.posts} POSTs`,
      `status ${spread(trouble.controlMs)}`,
      `metrics ${spread(trouble.metricsMs)}`,
      `${slow} answers above 1 s`,
      trouble.backMs === null ? 'needs a restart' : `trades again ${seconds(trouble.backMs)} after its end`,
    ].join('; '),
  ];
};

/** A foreign program that holds a write lock on the database. */
const foreignLock = (database: string): { begin(): void; end(): void } => {
  let db: SqliteDatabase.Database | null = null;
  return {
    begin() {
      db = new SqliteDatabase(database, { timeout: 5_000 });
      db.exec('BEGIN IMMEDIATE');
    },
    end() {
      db?.exec('ROLLBACK');
      db?.close();
      db = null;
    },
  };
};

/** On a disk that has turned read-only: the bot is stopped, the disk repaired, and a start must find everything. */
const afterRepair = async (
  stage: Stage,
  disk: SmallDisk,
  contradictions: string[],
): Promise<number | null> => {
  stage.bot.kill('SIGTERM');
  const stopped = await stage.bot.ended;
  disk.repair();
  const before = momentOf(stage.venue.exchange.account());
  await stage.start().until(line => line.event === 'recovered');
  let missing: readonly string[] = [];
  await stage
    .until('everything in the ledger', () => {
      missing = missingIn(stage.database, before);
      return missing.length === 0;
    })
    .catch(() => undefined);
  contradictions.push(...missing.map(text => `after a read-only disk: ${text}`));
  await stage.trading(1);
  return stopped.code;
};

export const disk = definePart({
  name: 'disk',
  title: 'The disk',
  about: `A small ext4 of the bot's own is filled to the last byte, then locked by another program (\`BEGIN IMMEDIATE\`), then turned
read-only by the kernel's own hand (\`remount,abort\`) while the bot sends 10 orders a second. Meanwhile \`status\` is asked
over the control socket and the metrics over HTTP.`,
  full: { fullMs: 20_000, lockedMs: 60_000, readOnlyMs: 10_000 },
  small: { fullMs: 500, lockedMs: 500, readOnlyMs: 0 },
  run: async (size, { seed }) => {
    const small = smallDisk();
    const stage = await Stage.open(seed + 7_000, small.folder);
    stage.venue.fault('no-rate-limits');
    const contradictions: string[] = [];
    const rows: Row[] = [];
    const notes: string[] = [];
    const port = await freePort();
    const metricsUrl = `http://127.0.0.1:${port}/metrics`;
    const settings = {
      OBSERVABILITY_ENABLED: 'true',
      OBSERVABILITY_METRICS_EXPORTER: 'prometheus',
      OBSERVABILITY_PROMETHEUS_PORT: String(port),
    };
    const lock = foreignLock(stage.database);
    try {
      await stage.start(settings).until(line => line.event === 'recovered');
      const pid = stage.bot.pid;
      if (small.small)
        rows.push(
          rowOf(
            await oneTrouble(
              stage,
              { name: 'full disk', begin: () => small.fill(), end: () => small.free() },
              size.fullMs,
              metricsUrl,
              contradictions,
            ),
          ),
        );
      else notes.push(`No full and no read-only disk: ${diskProblem() ?? 'nothing can be mounted'}.`);
      rows.push(
        rowOf(
          await oneTrouble(
            stage,
            { name: `foreign lock for ${seconds(size.lockedMs)}`, begin: lock.begin, end: lock.end },
            size.lockedMs,
            metricsUrl,
            contradictions,
          ),
        ),
      );
      const restarted = stage.bot.events.filter(line => line.event === 'worker-crashed').length;
      rows.push([
        'workers replaced until then, processes started',
        '0, 1',
        `${restarted}, ${stage.bot.pid === pid ? 1 : 2}`,
      ]);
      if (small.small && size.readOnlyMs > 0) {
        rows.push(
          rowOf(
            await oneTrouble(
              stage,
              { name: 'read-only disk', begin: () => small.makeReadOnly(), end: null },
              size.readOnlyMs,
              metricsUrl,
              contradictions,
            ),
          ),
        );
        const code = await afterRepair(stage, small, contradictions);
        if (code !== 0) contradictions.push(`the stop on a read-only disk ended with ${code}`);
        rows.push([
          'stop on the read-only disk, repair, start',
          'exit code 0; nothing lost',
          `exit code ${code}`,
        ]);
      }
      contradictions.push(...stage.contradictions(), ...(await stage.finish()));
      rows.push([
        'POSTs without a durable intent; books against the exchange',
        '0',
        String(contradictions.length),
      ]);
      return { rows, contradictions, notes };
    } finally {
      lock.end();
      await stage.close();
      small.remove();
    }
  },
});
