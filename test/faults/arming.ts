/**
 * The mode flags in every form they were ever seen in: all combinations through the decision itself, and real bots under
 * a choice of them, whose every request the exchange counts. Only the one right combination, with every limit and with
 * evidence, may bring a write.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { newReadiness, type ReadinessRecord } from '#src/domain/readiness.js';
import { uniform } from '#src/domain/reconnect.js';
import { buildId } from '#src/runtime/build-id.js';
import { loadSettings } from '#src/runtime/config.js';
import { decideMode, FLAG_NAMES, type FlagName, type FlagReadings, readFlag } from '#src/runtime/mode.js';
import { readinessPath, writeReadiness } from '#src/runtime/readiness-file.js';
import { botFolder, databaseIn, removeFolder, startBot, tells } from '../support/bot.js';
import { liveSettings, openVenue } from '../support/live-venue.js';
import { isWrite, watchRequests } from './harness.js';
import { definePart } from './part.js';

type Given = Readonly<Record<FlagName, string | undefined>>;

/** As an operator, a compose file or a shell may hand them over; undefined is unset. */
const FORMS = [undefined, '', 'true', 'false', 'TRUE', ' true', '1', 'yes', 'garbage'] as const;
const WORDS = [undefined, '', 'I_UNDERSTAND', 'i_understand', ' I_UNDERSTAND', 'true', 'garbage'] as const;
const RIGHT: Given = {
  SAFE_MODE: 'false',
  DRY_RUN: 'false',
  KILL_SWITCH: 'false',
  LIVE_TRADING: 'true',
  LIVE_TRADING_ACK: 'I_UNDERSTAND',
};
const LIMITS = [
  'MAX_NOTIONAL_PER_ORDER_TRY',
  'MAX_POSITION_NOTIONAL_TRY',
  'MAX_GROSS_EXPOSURE_TRY',
  'MAX_DAILY_LOSS_TRY',
  'MAX_DRAWDOWN_PCT',
  'PRICE_COLLAR_BPS',
  'MAX_ORDERS_PER_MINUTE',
  'MAX_REPEATED_EXECUTIONS',
] as const;

const formsOf = (name: FlagName): readonly (string | undefined)[] =>
  name === 'LIVE_TRADING_ACK' ? WORDS : FORMS;

/** Every combination of every form: 45,927. */
export function* allCombinations(): Generator<Given> {
  for (const SAFE_MODE of FORMS)
    for (const DRY_RUN of FORMS)
      for (const KILL_SWITCH of FORMS)
        for (const LIVE_TRADING of FORMS)
          for (const LIVE_TRADING_ACK of WORDS)
            yield { SAFE_MODE, DRY_RUN, KILL_SWITCH, LIVE_TRADING, LIVE_TRADING_ACK };
}

/** Whether the flags alone would let real orders leave. */
const isArmed = (given: Given): boolean => {
  const readings = Object.fromEntries(
    FLAG_NAMES.map(name => [name, readFlag(name, given[name], 'environment')]),
  ) as unknown as FlagReadings;
  const { mode, reasons } = decideMode('btcturk', readings, []);
  return mode === 'live' && reasons.length === 0;
};

/** One start of the bot. */
interface Boot {
  readonly words: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What is kept of a dry run; undefined when the settings ask for none. */
  readonly evidence?: Partial<ReadinessRecord> | null;
}

const shown = (given: Partial<Given>): string =>
  Object.entries(given)
    .map(([name, form]) => (form === undefined ? `${name} unset` : `${name}=${JSON.stringify(form)}`))
    .join(' ');

const DAY_MS = 86_400_000;
const WANTS_EVIDENCE = { LIVE_READINESS_MIN_MINUTES: '0.01' };

/** One thing wrong at a time, then combinations drawn from all of them. */
const wrongBoots = (seed: number, drawn: number): Boot[] => {
  const boots: Boot[] = FLAG_NAMES.flatMap(name =>
    formsOf(name)
      .filter(form => form !== RIGHT[name])
      .map(form => ({ words: shown({ [name]: form }), env: { ...RIGHT, [name]: form } })),
  );
  for (const limit of LIMITS) boots.push({ words: `${limit} unset`, env: { ...RIGHT, [limit]: undefined } });
  const evidence: readonly [string, Partial<ReadinessRecord> | null][] = [
    ['no evidence', null],
    ['evidence of the day before', { sinceMs: Date.now() - 3 * DAY_MS, untilMs: Date.now() - DAY_MS - 1 }],
    ['evidence of another build', { build: 'another' }],
    ['evidence of another configuration', { configHash: 'another' }],
    ['evidence that ended badly', { healthyAtEnd: false }],
    ['too little evidence', { healthyMs: 1 }],
  ];
  for (const [words, record] of evidence)
    boots.push({ words, env: { ...RIGHT, ...WANTS_EVIDENCE }, evidence: record });
  const random = { random: seed };
  const combinations = [...allCombinations()].filter(given => !isArmed(given));
  for (let count = 0; count < drawn; count++) {
    const given = combinations[Math.floor(uniform(random) * combinations.length)] ?? RIGHT;
    boots.push({ words: shown(given), env: { ...given } });
  }
  return boots;
};

const RIGHT_BOOTS: readonly Boot[] = [
  { words: 'everything right', env: { ...RIGHT } },
  { words: 'everything right, with evidence', env: { ...RIGHT, ...WANTS_EVIDENCE }, evidence: {} },
];

/** Long enough for ten orders, had the strategy been let. */
const WATCH_MS = 1_000;

interface BootResult {
  readonly boot: Boot;
  readonly writes: number;
  readonly state: string;
}

/** Starts a bot that would send ten orders a second, and counts what arrives at the exchange it calls live. */
const bootOnce = async (boot: Boot): Promise<BootResult> => {
  const venue = await openVenue();
  const watch = watchRequests(Number(new URL(venue.url).port));
  const folder = botFolder();
  const database = databaseIn(folder);
  try {
    const merged: Record<string, string | undefined> = {
      ...liveSettings(venue, database),
      STRATEGY: 'pulse',
      STRATEGY_CONFIG: '{"intervalMs":100}',
      ...boot.env,
    };
    const env = Object.fromEntries(
      Object.entries(merged).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
    if (boot.evidence !== undefined && boot.evidence !== null) keepEvidence(env, database, boot.evidence);
    const bot = startBot(env);
    const { mode } = await bot.until(tells('banner'));
    await bot.until(tells('all-workers-ready'));
    await bot.until(line => line.event === 'hold-released' && line.key === 'starting');
    const trades = bot.events.some(line => line.event === 'trading-state-changed' && line.maySubmit === true);
    if (trades) await bot.until(tells('order-working'));
    else await pause(WATCH_MS);
    bot.kill('SIGTERM');
    const { code } = await bot.ended;
    if (code !== 0) throw new Error(`${boot.words}: the bot ended with ${code}: ${bot.stderr()}`);
    return {
      boot,
      writes: watch.seen.filter(isWrite).length,
      state: `${String(mode)}, ${trades ? 'trading' : 'closed'}`,
    };
  } finally {
    watch.stop();
    await venue.close();
    removeFolder(folder);
  }
};

/** A machine that is too busy to start a bot in time says nothing about arming: the start is tried again. */
const bootAgain = async (boot: Boot, triesLeft = 4): Promise<BootResult> => {
  try {
    return await bootOnce(boot);
  } catch (error) {
    if (triesLeft <= 1 || !String(error).includes('not ready in time')) throw error;
    return bootAgain(boot, triesLeft - 1);
  }
};

const keepEvidence = (
  env: Readonly<Record<string, string>>,
  database: string,
  over: Partial<ReadinessRecord>,
): void => {
  const nowMs = Date.now();
  const loaded = loadSettings({
    env,
    cwd: process.cwd(),
    readFile: () => {
      throw new Error('no file is read here');
    },
    nowMs,
  });
  if (!loaded.ok) throw new Error(loaded.problems.map(({ problem }) => problem).join('; '));
  writeReadiness(readinessPath(database), {
    ...newReadiness(buildId(), loaded.settings.configHash, nowMs - DAY_MS / 2),
    healthyMs: DAY_MS / 4,
    untilMs: nowMs - 1_000,
    healthyAtEnd: true,
    ...over,
  });
};

/** `count` of them, spread over the whole list. */
const spreadOver = (boots: readonly Boot[], count: number): Boot[] =>
  count >= boots.length
    ? [...boots]
    : Array.from({ length: count }, (_, index) => boots[Math.floor((index * boots.length) / count)] as Boot);

const inLanes = async (boots: readonly Boot[], lanes: number): Promise<BootResult[]> => {
  const waiting = [...boots];
  const results: BootResult[] = [];
  const lane = async (): Promise<void> => {
    for (let boot = waiting.shift(); boot !== undefined; boot = waiting.shift())
      results.push(await bootAgain(boot));
  };
  await Promise.all(Array.from({ length: Math.max(1, lanes) }, lane));
  return results;
};

export const arming = definePart({
  name: 'arming',
  title: 'Every form of the mode flags',
  about: `Each flag unset, empty, \`true\`, \`false\`, \`TRUE\`, \` true\`, \`1\`, \`yes\` and \`garbage\`, in all combinations, through the
decision itself; then bots that would send ten orders a second, started against an exchange that they take for the real
one: with one flag, one limit or one piece of evidence wrong at a time, and with combinations drawn from all. The exchange
counts every POST and DELETE on its order path.`,
  full: { boots: 200, drawn: 120 },
  small: { boots: 2, drawn: 2 },
  run: async ({ boots, drawn }, { seed, lanes }) => {
    let combinations = 0;
    const armed: Given[] = [];
    for (const given of allCombinations()) {
      combinations += 1;
      if (isArmed(given)) armed.push(given);
    }
    const wrong = await inLanes(spreadOver(wrongBoots(seed, drawn), boots), lanes);
    const right = await inLanes(boots < RIGHT_BOOTS.length * 2 ? RIGHT_BOOTS.slice(1) : RIGHT_BOOTS, lanes);
    const states = new Map<string, number>();
    for (const { state } of wrong) states.set(state, (states.get(state) ?? 0) + 1);
    return {
      rows: [
        ['combinations of forms, through the decision', '45927', String(combinations)],
        ['of them armed', '1', String(armed.length)],
        ['bots started with something wrong', 'all of them', String(wrong.length)],
        ['what they were', '', [...states].map(([state, count]) => `${state} ${count}`).join('; ')],
        [
          'writes of theirs that the exchange saw',
          '0',
          String(wrong.reduce((sum, { writes }) => sum + writes, 0)),
        ],
        ['bots started with everything right', 'also with evidence', String(right.length)],
        ['of them wrote', 'all', String(right.filter(({ writes }) => writes > 0).length)],
      ],
      contradictions: [
        ...(combinations === 45_927 ? [] : [`${combinations} combinations instead of 45927`]),
        ...armed
          .filter(given => FLAG_NAMES.some(name => given[name] !== RIGHT[name]))
          .map(given => `armed: ${shown(given)}`),
        ...(armed.length === 1 ? [] : [`${armed.length} combinations arm the bot`]),
        ...wrong
          .filter(({ writes }) => writes > 0)
          .map(({ boot, writes }) => `${writes} writes with ${boot.words}`),
        ...right
          .filter(({ writes }) => writes === 0)
          .map(({ boot }) => `nothing was written with ${boot.words}`),
      ],
    };
  },
});
