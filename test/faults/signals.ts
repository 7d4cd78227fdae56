/**
 * SIGUSR2 at the worst moment: ten orders a second, a thousand intents at execution's door, the strategy spinning, and
 * then also with execution itself in a tight loop. What counts is what still reaches the exchange.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Stage, timeOf } from './harness.js';
import { ascending, at, definePart, millis, type Row, spread } from './part.js';
import { preciseMs } from './seam.js';

const QUEUED = 1_000;
const STRATEGY_SPINS_MS = 700;
const EXECUTION_SPINS_MS = 300;
/** Everything that is on its way when safe mode falls is at the exchange after this. */
const SETTLE_MS = 400;
/** One run in so many is watched for longer before safe mode is released. */
const LONG_WATCH_EVERY = 20;
const LONG_WATCH_MS = 2_000;
const GOAL_MS = 50;
/** A strategy that spins while a thousand answers come is a contradiction of its own, latched: the flood is ours. */
const FLOOD_HOLD = 'invariant:execution>strategy';

/** What else goes on at the moment of the signal, beside ten orders a second. */
const KINDS = ['steady', 'queued', 'blocked'] as const;
type Kind = (typeof KINDS)[number];

interface SignalRun {
  readonly kind: Kind;
  /** From the signal to the last write's first byte at the exchange; 0 when none came. */
  readonly lastWriteMs: number;
  readonly writesAfterSignal: number;
  /** From the flood, or the last look, to the signal. */
  readonly writesBeforeSignal: number;
  /** From the signal to the supervisor's word, by the log. */
  readonly heldMs: number;
}

/** One signal to a trading bot, and the silence after it. The bot is left in safe mode. */
const oneSignal = async (
  stage: Stage,
  kind: Kind,
  waitMs: number,
  watchMs: number,
  contradictions: string[],
): Promise<SignalRun> => {
  await stage.trading();
  const fromIndex = stage.bot.events.length;
  let fromMs = preciseMs();
  let flooded: Promise<unknown> | null = null;
  if (kind !== 'steady') {
    const flood = { to: 'strategy', act: 'flood', count: QUEUED, ms: STRATEGY_SPINS_MS } as const;
    flooded = stage.told('done', flood);
    fromMs = (await stage.command(flood)).atMs;
  }
  if (kind === 'blocked') await stage.command({ to: 'execution', act: 'busy', ms: EXECUTION_SPINS_MS });
  await pause(waitMs);
  const signaledAtMs = preciseMs();
  stage.bot.kill('SIGUSR2');
  const held = await stage.heard('trading-state-changed', fromIndex, line => line.to === 'observe-only');
  await flooded;
  await pause(SETTLE_MS);
  const after = stage.writes(signaledAtMs);
  await pause(watchMs);
  const later = stage.writes(signaledAtMs).slice(after.length);
  if (later.length > 0)
    contradictions.push(
      `${later.length} writes came ${Math.round((later[0]?.atMs ?? 0) - signaledAtMs)} ms and more after the signal`,
    );
  return {
    kind,
    lastWriteMs: Math.max(0, (after.at(-1)?.atMs ?? signaledAtMs) - signaledAtMs),
    writesAfterSignal: after.length,
    writesBeforeSignal: stage.writes(fromMs).length - after.length - later.length,
    heldMs: Math.max(0, timeOf(held) - signaledAtMs),
  };
};

/** `kill -9` in safe mode, and a start: nothing may be written by either. */
const restartInSafeMode = async (stage: Stage, contradictions: string[]): Promise<void> => {
  const killedAtMs = preciseMs();
  stage.bot.kill('SIGKILL');
  await stage.bot.ended;
  const bot = stage.start();
  await bot.until(line => line.event === 'recovered');
  await bot.until(line => line.event === 'all-workers-ready');
  await pause(SETTLE_MS);
  const { state, maySubmit } = await stage.status();
  if (state !== 'observe-only' || maySubmit) contradictions.push(`after kill -9 the state is ${state}`);
  const writes = stage.writes(killedAtMs).length;
  if (writes > 0) contradictions.push(`${writes} writes came after kill -9 in safe mode and a start`);
};

/** The kinds take turns, so that a busy minute of the machine meets all of them. */
const inTurns = (counts: Readonly<Record<Kind, number>>): Kind[] => {
  const rounds = Math.max(...Object.values(counts));
  return Array.from({ length: rounds }, (_, round) => KINDS.filter(kind => round < counts[kind])).flat();
};

const ABOUT: Readonly<Record<Kind, string>> = {
  steady: '10 orders and 10 cancels a second',
  queued: 'and 1,000 intents at the door, strategy spinning',
  blocked: 'and execution in a tight loop',
};

export const signals = definePart({
  name: 'signals',
  title: 'The operator’s signal',
  about: `SIGUSR2 to a bot that sends 10 orders and 10 cancels a second; with 1,000 more intents put at execution's door and the
strategy in a loop; and with execution in a tight loop, too, at the moment of the signal. Counted at the exchange: the
time from the signal to the first byte of the last write, the exchange's own reading included. The bot is reused:
\`btcbot safe-mode off\` lets go between two signals; now and then \`kill -9\` and a start come instead, in safe mode.`,
  full: { steadySignals: 200, queuedSignals: 200, blockedSignals: 200, restarts: 5 },
  small: { steadySignals: 0, queuedSignals: 1, blockedSignals: 1, restarts: 1 },
  run: async (size, { seed }) => {
    const stage = await Stage.open(seed + 3_000);
    // Ten a second for minutes is more than the venue allows one account; its limits are not what is asked here.
    stage.venue.fault('no-rate-limits');
    const contradictions: string[] = [];
    const runs: SignalRun[] = [];
    const kinds = inTurns({
      steady: size.steadySignals,
      queued: size.queuedSignals,
      blocked: size.blockedSignals,
    });
    try {
      await stage.start().until(line => line.event === 'recovered');
      let restarts = 0;
      for (const [index, kind] of kinds.entries()) {
        const waitMs = kind === 'queued' ? (index * 37) % 600 : 40 + ((index * 37) % 150);
        const watchMs = index % LONG_WATCH_EVERY === 0 ? LONG_WATCH_MS : 0;
        runs.push(await oneSignal(stage, kind, waitMs, watchMs, contradictions));
        if (restarts < size.restarts && (index + 1) * size.restarts >= (restarts + 1) * kinds.length) {
          restarts += 1;
          await restartInSafeMode(stage, contradictions);
        }
        await stage.release([FLOOD_HOLD]);
        await stage.trading(1, [FLOOD_HOLD]);
      }
      contradictions.push(...(await stage.finish()));
      const row = (kind: Kind): Row => {
        const mine = runs.filter(run => run.kind === kind);
        const sorted = ascending(mine.map(run => run.lastWriteMs));
        return [
          `${ABOUT[kind]}: signal to last write`,
          'p99 ≤ 50 ms of 200',
          [
            `p99 ${millis(at(sorted, 0.99))}, longest ${millis(sorted.at(-1) ?? 0)}`,
            `no write at all after ${sorted.filter(ms => ms === 0).length} of ${sorted.length}`,
            `writes just before it in ${mine.filter(run => run.writesBeforeSignal > 0).length}`,
          ].join('; '),
        ];
      };
      return {
        rows: [
          ...KINDS.map(row),
          [
            'writes that were on their way at the signal, most',
            '',
            String(Math.max(0, ...runs.map(run => run.writesAfterSignal))),
          ],
          ['signal to the supervisor’s word, by the log', '', spread(runs.map(run => run.heldMs))],
          ['runs beyond 50 ms', '1 % of them', String(runs.filter(run => run.lastWriteMs > GOAL_MS).length)],
          ['restarts after kill -9 in safe mode', '', String(restarts)],
          [
            'writes afterwards, also after kill -9 and a start; books against the exchange',
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
