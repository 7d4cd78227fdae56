/**
 * Sudden deaths. A bot that trades is killed again and again, at random moments and at named ones, and started again on
 * the same ledger and the same account; the exchange lives on. After each start everything that the exchange had done
 * before must be in the ledger, once, to the last digit.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { botFolder, databaseIn, type RunningBot, removeFolder } from '../support/bot.js';
import { CRASH_POINTS, type CrashPointName } from './crash-points.js';
import { ascending, at, definePart, per, type Row, seconds } from './part.js';
import { impossibilities, missingIn, momentOf, openQuestions } from './proof.js';
import { finalDifferences, reached } from './submits.js';
import { FAST_PULSE, type OutsideVenue, openVenue } from './venue.js';

export interface KillsPlan {
  /** Kills at random moments, shared evenly by the lanes. */
  readonly kills: number;
  /** Deaths at each named point. */
  readonly perPoint: number;
  readonly points: readonly CrashPointName[];
  /** Bots that are killed side by side, each with an exchange of its own. */
  readonly lanes: number;
  readonly seed: number;
}

/** One death and the start after it. */
export interface Death {
  /** A crash point with its count, or how long after the start or the first order the kill came. */
  readonly at: string;
  /** From the start of the process to the log's `recovered`; null when the next kill came first. */
  readonly recoveredMs: number | null;
  /** Of that, the reading and comparing of the account, as the bot itself says. */
  readonly readingMs: number | null;
  /** From the start of the process until the ledger held all that the exchange had done before it; null as above. */
  readonly equalMs: number | null;
}

export interface KillsResult {
  readonly deaths: readonly Death[];
  /** Starts that ended by themselves because a worker was not ready in time, with their last log lines. */
  readonly gaveUp: readonly string[];
  readonly orders: number;
  readonly trades: number;
  readonly violations: readonly string[];
  readonly tookMs: number;
}

/** A dead bot's last bytes arrive, and are carried out, within this. */
const SETTLE_MS = 150;
const RECOVERY_DEADLINE_MS = 60_000;
/** From the death of a lane's last bot until its successor has no question left. */
const QUESTIONS_DEADLINE_MS = 90_000;
/** Named points are reached within this, the checkpoint's 4 MiB of log included. */
const POINT_DEADLINE_MS = 180_000;
/** One kill in so many comes at any moment of a start, the others while the bot trades. */
const START_KILLS = 4;
const START_MS = 2_500;
const TRADING_MS = 3_000;
/** A recovered bot has an order at the exchange within this. */
const TRADING_DEADLINE_MS = 60_000;

/** The bot's exit code when a worker did not start. */
const START_REFUSED = 1;
const GAVE_UP = 'a start that gave up';
/** Of a start that gave up, so many log lines are told. */
const TOLD_LINES = 40;

const lastLines = (bot: RunningBot): string =>
  bot.events
    .slice(-TOLD_LINES)
    .map(line => JSON.stringify(line))
    .join('\n');

/** Counts at which a point strikes: the first time, and later ones. */
const COUNTS: Readonly<Partial<Record<CrashPointName, readonly number[]>>> = {
  checkpoint: [1],
  'recovery-read': [1, 2, 3, 4, 5, 6],
  'recovery-commit': [1, 2, 3, 4],
};
const USUAL_COUNTS = [1, 4, 2, 7, 3, 5];

export const sudden = async (plan: KillsPlan): Promise<KillsResult> => {
  const startedMs = performance.now();
  const named = plan.points.flatMap(point => {
    const counts = COUNTS[point] ?? USUAL_COUNTS;
    return Array.from({ length: plan.perPoint }, (_, index) => `${point}:${counts[index % counts.length]}`);
  });
  const lanes = await Promise.all(
    Array.from({ length: plan.lanes }, (_, lane) => {
      const mine = named.filter((_at, index) => index % plan.lanes === lane);
      const kills = Math.floor(plan.kills / plan.lanes) + (lane < plan.kills % plan.lanes ? 1 : 0);
      return oneLane(plan.seed + lane, kills, mine);
    }),
  );
  return {
    deaths: lanes.flatMap(lane => lane.deaths),
    gaveUp: lanes.flatMap(lane => lane.gaveUp),
    orders: lanes.reduce((sum, lane) => sum + lane.orders, 0),
    trades: lanes.reduce((sum, lane) => sum + lane.trades, 0),
    violations: lanes.flatMap(lane => lane.violations),
    tookMs: performance.now() - startedMs,
  };
};

const oneLane = async (
  seed: number,
  kills: number,
  named: readonly string[],
): Promise<Omit<KillsResult, 'tookMs'>> => {
  const folder = botFolder();
  const database = databaseIn(folder);
  const venue = await openVenue(seed);
  // Nobody starts a bot ten times a minute: the venue's limit on new sockets (15 a minute) would be all that is measured.
  venue.fault('no-rate-limits');
  const random = lehmer(seed);
  const deaths: Death[] = [];
  const gaveUp: string[] = [];
  const violations: string[] = [];
  const running = new Set<RunningBot>();
  const start = (crashAt?: string): RunningBot => {
    const bot = venue.startBot(database, FAST_PULSE, crashAt);
    running.add(bot);
    void bot.ended.then(() => running.delete(bot));
    return bot;
  };
  try {
    // The first start opens the books; every later one is after a death.
    let bot = start();
    await bot.until(line => line.event === 'order-submitted' || line.event === 'recovered');
    bot.kill('SIGKILL');
    await bot.ended;
    let at = 'first start';
    const plans = [
      ...named.map(point => ({ point })),
      ...Array.from({ length: kills }, () => ({ point: null })),
    ];
    const open = shuffled(plans, random);
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const { point } = next;
      await pause(SETTLE_MS);
      const before = momentOf(venue.exchange.account());
      const startedMs = performance.now();
      bot = start(point ?? undefined);
      const inStart = point === null && Math.floor(random() * START_KILLS) === 0;
      if (inStart) {
        const waitMs = Math.floor(random() * START_MS);
        await pause(waitMs);
        bot.kill('SIGKILL');
        deaths.push({ at, recoveredMs: null, readingMs: null, equalMs: null });
        at = `${waitMs} ms after a start`;
      } else {
        deaths.push(await proveRecovery(bot, venue, database, { at, before, startedMs }, violations));
        const waitMs = Math.floor(random() * TRADING_MS);
        if (point === null) {
          const { orders } = venue.exchange.account();
          await Promise.race([
            reached(bot, () => orders.size > before.orders.length, TRADING_DEADLINE_MS),
            bot.ended,
          ]);
          await pause(waitMs);
          bot.kill('SIGKILL');
        } else await within(bot.ended, POINT_DEADLINE_MS, `${point} was not reached`);
        at = point ?? `${waitMs} ms into trading`;
      }
      const { signal, code } = await bot.ended;
      if (code === START_REFUSED && bot.stderr().includes('did not start')) {
        // What a starved machine makes of a start: it ends with nothing sent, and is repeated as a container's would be.
        gaveUp.push(`${bot.stderr().trim()}\n${lastLines(bot)}`);
        open.push(next);
        at = GAVE_UP;
      } else if (signal !== 'SIGKILL')
        violations.push(`before ${at}: the bot ended with ${code}: ${bot.stderr()}`);
    }
    await pause(SETTLE_MS);
    const before = momentOf(venue.exchange.account());
    const startedMs = performance.now();
    bot = start();
    deaths.push(await proveRecovery(bot, venue, database, { at, before, startedMs }, violations));
    // An order of its own: from then on it may also cancel, as its stop is told to.
    const { orders } = venue.exchange.account();
    await reached(bot, () => orders.size > before.orders.length, TRADING_DEADLINE_MS);
    await reached(bot, () => openQuestions(database).length === 0, QUESTIONS_DEADLINE_MS);
    bot.kill('SIGINT');
    const end = await bot.ended;
    if (end.code !== 0) violations.push(`the last bot ended with ${end.code ?? end.signal}: ${bot.stderr()}`);
    violations.push(...(await finalDifferences(venue, database)).differences);
    const account = venue.exchange.account();
    return { deaths, gaveUp, orders: account.orders.size, trades: account.trades.length, violations };
  } finally {
    for (const bot of running) {
      bot.kill('SIGKILL');
      await bot.ended;
    }
    await venue.exchange.close();
    removeFolder(folder);
  }
};

/** Waits for a start to have recovered, unless it dies before, and holds its ledger against what the exchange had done before it. */
const proveRecovery = async (
  bot: RunningBot,
  venue: OutsideVenue,
  database: string,
  death: { readonly at: string; readonly before: ReturnType<typeof momentOf>; readonly startedMs: number },
  violations: string[],
): Promise<Death> => {
  const { at, before, startedMs } = death;
  const recovered = await within(
    bot.until(line => line.event === 'recovered').catch(() => null),
    RECOVERY_DEADLINE_MS,
    `after ${at}: no recovery; ${JSON.stringify(bot.events.slice(-6))}`,
  );
  if (recovered === null) return { at, recoveredMs: null, readingMs: null, equalMs: null };
  const recoveredMs = performance.now() - startedMs;
  let equalMs: number | null = null;
  let missing: string[] = [];
  let hasEnded = false;
  void bot.ended.then(() => {
    hasEnded = true;
  });
  while (equalMs === null && !hasEnded && performance.now() - startedMs < RECOVERY_DEADLINE_MS) {
    missing = missingIn(database, before);
    if (missing.length === 0) equalMs = performance.now() - startedMs;
    else await pause(20);
  }
  // Reconciliation has recovered before execution has recorded what it was told. One that reached its point in between
  // records nothing any more: what it left is asked of the next start, with all that came before it.
  if (!hasEnded) violations.push(...missing.map(text => `after ${at}: ${text}`));
  const now = momentOf(venue.exchange.account());
  violations.push(...impossibilities(database, before, now).map(text => `after ${at}: ${text}`));
  return { at, recoveredMs, readingMs: Number(recovered.tookMs), equalMs };
};

const within = async <T>(promise: Promise<T>, ms: number, otherwise: string): Promise<T> => {
  const timer = new AbortController();
  try {
    return await Promise.race([
      promise,
      pause(ms, undefined, { signal: timer.signal }).then(() => {
        throw new Error(otherwise);
      }),
    ]);
  } finally {
    timer.abort();
  }
};

/** Every named point. */
export const ALL_POINTS = Object.keys(CRASH_POINTS) as readonly CrashPointName[];

const shuffled = <T>(items: readonly T[], random: () => number): T[] =>
  items
    .map(item => ({ item, key: random() }))
    .sort((left, right) => left.key - right.key)
    .map(({ item }) => item);

/** Lehmer's generator: 0 ≤ x < 1, the same on every machine. */
const lehmer = (seed: number): (() => number) => {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
};

const RECOVERED_WITHIN_MS = 10_000;

const rowsOf = (result: KillsResult): Row[] => {
  const proven = result.deaths.filter(death => death.equalMs !== null);
  const equal = ascending(proven.map(death => death.equalMs ?? 0));
  const reading = ascending(proven.map(death => death.readingMs ?? 0));
  const named = result.deaths.filter(death => death.at.includes(':'));
  const times = ALL_POINTS.map(
    point => `${point} ${named.filter(death => death.at.startsWith(`${point}:`)).length}`,
  ).join(', ');
  return [
    [
      'kills at random moments',
      '500',
      String(result.deaths.filter(death => death.at !== GAVE_UP).length - named.length),
    ],
    ['deaths at named points', '10 each', times],
    ['orders and trades at the exchange', '', `${result.orders} and ${result.trades}`],
    ['starts that lived long enough to be judged', '', String(proven.length)],
    [
      'starts that gave up because a worker was not ready within 15 s, and were repeated',
      '0',
      String(result.gaveUp.length),
    ],
    [
      'ledger equal to the exchange, from the start of the process',
      'within 10 s plus the reads',
      `${per(equal.filter(ms => ms <= RECOVERED_WITHIN_MS).length, equal.length)} (median ${seconds(at(equal, 0.5))}, longest ${seconds(equal.at(-1) ?? 0)})`,
    ],
    [
      'of that, reading and comparing the account',
      '',
      `median ${seconds(at(reading, 0.5))}, longest ${seconds(reading.at(-1) ?? 0)}`,
    ],
    ['intents sent twice', '0', String(result.violations.filter(text => text.includes('two orders')).length)],
    ['contradictions between ledger and exchange, to the last digit', '0', String(result.violations.length)],
  ];
};

/** Of the named points, those that the suite visits. */
const FEW_POINTS: readonly CrashPointName[] = [
  'after-commit',
  'mid-request',
  'before-response',
  'recovery-read',
];

export const kills = definePart({
  name: 'kills',
  title: 'Sudden deaths',
  about: `\`kill -9\` at random moments of starts and of trading, and at named points, each followed by a start on the same ledger
and account. The exchange's limits on requests are off here: nobody starts a bot ten times a minute.

${Object.entries(CRASH_POINTS)
  .map(([name, { about }]) => `- \`${name}\`: ${about}.`)
  .join('\n')}`,
  full: { kills: 500, perPoint: 10, points: ALL_POINTS.length },
  small: { kills: 1, perPoint: 1, points: FEW_POINTS.length },
  run: async (size, { seed, lanes }) => {
    const points = size.points < ALL_POINTS.length ? FEW_POINTS : ALL_POINTS;
    const deaths = size.kills + points.length * size.perPoint;
    const result = await sudden({
      kills: size.kills,
      perPoint: size.perPoint,
      points,
      lanes: Math.min(lanes, Math.ceil(deaths / 8)),
      seed: seed + 1_000,
    });
    for (const told of result.gaveUp) console.error(told);
    return {
      rows: rowsOf(result),
      contradictions: [
        ...result.violations,
        // Each lane's first start is after a death, too.
        ...(result.deaths.length <= deaths ? [`only ${result.deaths.length} deaths were judged`] : []),
        ...(result.orders === 0 ? ['no order reached the exchange'] : []),
      ],
    };
  },
});
