/**
 * The supervisor's thread stands still while every other thread goes on: the lease runs out and writes stop by
 * themselves. What was decided meanwhile must not come out in a burst afterwards.
 */
import { setTimeout as pause } from 'node:timers/promises';
import SqliteDatabase from 'better-sqlite3';
import { LEASE_LIFE_MS } from '#src/runtime/limits.js';
import { Stage } from './harness.js';
import { definePart, millis, seconds } from './part.js';
import { preciseMs } from './seam.js';

/** How long the main thread stands still, in the order in which they are taken. */
const DURATIONS_MS = [2_500, 500, 1_000, 1_500, 5_000, 10_000, 20_000, 30_000];
const GOAL_MS = 1_500;
/** Beyond this from the freeze nothing may arrive, whatever the machine is busy with: the lease has ended long ago. */
const CERTAIN_MS = LEASE_LIFE_MS + 1_000;
/** A second's submits and cancels at the budget of ten each, burst included. */
const SECOND_AT_MOST = 40;
/** An intent is good for a second; between its journal and its bytes lie the fence and the machine. */
const OLDEST_INTENT_MS = 2_500;
const SETTLE_MS = 400;

interface Frozen {
  readonly ms: number;
  readonly withSignal: boolean;
  /** From the freeze to the last write before the thaw; null when none came. */
  readonly lastWriteMs: number | null;
  /** From the thaw to the first write; null with a signal, after which none may come. */
  readonly backMs: number | null;
  /** Writes in the first second from the first one on. */
  readonly firstSecond: number;
}

const oneFreeze = async (
  stage: Stage,
  ms: number,
  withSignal: boolean,
  contradictions: string[],
): Promise<Frozen> => {
  const what = `frozen for ${ms} ms${withSignal ? ' with a signal' : ''}`;
  await stage.trading();
  const fromIndex = stage.bot.events.length;
  const command = { to: 'supervisor', act: 'freeze', ms } as const;
  const thaw = stage.told('done', command);
  const { atMs: frozenAtMs } = await stage.command(command);
  if (withSignal) {
    await pause(ms / 2);
    stage.bot.kill('SIGUSR2');
  }
  const { atMs: thawedAtMs } = await thaw;
  if (withSignal) await stage.heard('trading-state-changed', fromIndex, line => line.to === 'observe-only');
  else await stage.trading();
  await pause(withSignal ? SETTLE_MS : 1_000);
  const during = stage.writes(frozenAtMs).filter(({ atMs }) => atMs < thawedAtMs);
  const after = stage.writes(thawedAtMs);
  const lastWriteMs = during.length === 0 ? null : (during.at(-1)?.atMs ?? 0) - frozenAtMs;
  if (lastWriteMs !== null && lastWriteMs > CERTAIN_MS)
    contradictions.push(`${what}: a write came after ${Math.round(lastWriteMs)} ms`);
  if (withSignal && after.length > 0 && ms > CERTAIN_MS)
    contradictions.push(`${what}: ${after.length} writes came after the thaw`);
  const firstAtMs = after[0]?.atMs ?? thawedAtMs;
  const firstSecond = after.filter(({ atMs }) => atMs < firstAtMs + 1_000).length;
  if (firstSecond > SECOND_AT_MOST) contradictions.push(`${what}: ${firstSecond} writes in the first second`);
  if (withSignal) await stage.release();
  return {
    ms,
    withSignal,
    lastWriteMs,
    backMs: withSignal || after.length === 0 ? null : firstAtMs - thawedAtMs,
    firstSecond,
  };
};

/** Orders that the exchange got later than their decision was good for. */
const tooOld = (stage: Stage): string[] => {
  const db = new SqliteDatabase(stage.database, { readonly: true, timeout: 5_000 });
  try {
    const intendedAt = db.prepare('SELECT intended_at FROM v_orders WHERE client_order_id = ?').pluck();
    return [...stage.venue.exchange.account().orders.values()].flatMap(order => {
      const at = intendedAt.get(order.clientOrderId) as string | undefined;
      const age = at === undefined ? 0 : order.createdAtMs - Date.parse(at);
      return age > OLDEST_INTENT_MS ? [`order ${order.clientOrderId} came ${age} ms after its decision`] : [];
    });
  } finally {
    db.close();
  }
};

export const freeze = definePart({
  name: 'freeze',
  title: 'A supervisor that stands still',
  about: `The main thread alone sleeps for a while; the workers go on, the strategy still wants 10 orders a second. The write lease
lives ${LEASE_LIFE_MS} ms from its last renewal. In half of the freezes SIGUSR2 is sent in the middle.`,
  full: { durations: DURATIONS_MS.length },
  small: { durations: 1 },
  run: async (size, { seed }) => {
    const stage = await Stage.open(seed + 4_000);
    stage.venue.fault('no-rate-limits');
    const contradictions: string[] = [];
    const frozen: Frozen[] = [];
    try {
      await stage.start().until(line => line.event === 'recovered');
      const startedAtMs = preciseMs();
      for (const ms of DURATIONS_MS.slice(0, size.durations))
        for (const withSignal of [false, true])
          frozen.push(await oneFreeze(stage, ms, withSignal, contradictions));
      const crashed = stage.bot.events.filter(line => line.event === 'worker-crashed');
      contradictions.push(
        ...crashed.map(line => `${String(line.worker)} was replaced though it never stopped`),
        ...tooOld(stage),
      );
      const trades = stage.writes(startedAtMs).length;
      contradictions.push(...(await stage.finish()));
      const long = frozen.filter(({ ms }) => ms > GOAL_MS);
      const lasts = long.map(({ lastWriteMs }) => lastWriteMs ?? 0);
      return {
        rows: [
          ...frozen.map(
            ({ ms, withSignal, lastWriteMs, backMs, firstSecond }) =>
              [
                `frozen for ${seconds(ms)}${withSignal ? ', SIGUSR2 meanwhile' : ''}`,
                withSignal ? 'no write after it' : ms > GOAL_MS ? 'last write ≤ 1.5 s' : '',
                `last write ${lastWriteMs === null ? 'none' : `after ${millis(lastWriteMs)}`}; ${
                  withSignal
                    ? `${firstSecond} writes after the thaw`
                    : `first again ${backMs === null ? 'never' : millis(backMs)} after the thaw, ${firstSecond} in its first second`
                }`,
              ] as const,
          ),
          [
            'longest from the freeze to the last write',
            '1.5 s',
            lasts.length === 0 ? 'none to judge' : seconds(Math.max(...lasts)),
          ],
          ['writes in all', '', String(trades)],
          [
            `orders sent later than ${seconds(OLDEST_INTENT_MS)} after their decision; workers replaced; books against the exchange`,
            '0',
            String(contradictions.length),
          ],
        ],
        contradictions,
      };
    } finally {
      await stage.close();
    }
  },
});
