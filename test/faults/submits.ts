/**
 * Faulty submits through real threads and sockets: of all submits, so many are carried out and then not answered, half
 * answered or answered with an error. No intent may reach the exchange twice, nothing may be there that the bot does not
 * know, and every question must find its answer.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { askVerb, botFolder, databaseIn, type RunningBot, removeFolder } from '../support/bot.js';
import { at, definePart, per, type Row, seconds } from './part.js';
import { impossibilities, missingIn, momentOf, openQuestions, unknownTimes } from './proof.js';
import { botSettings, FAST_PULSE, type OutsideVenue, openVenue } from './venue.js';

export const SUBMIT_FAULTS = ['accept-then-timeout', 'accept-then-5xx', 'accept-then-reset'] as const;

export interface SubmitsPlan {
  /** Submits in all, shared evenly by the bots: each has an exchange, an account and a budget of its own. */
  readonly submits: number;
  readonly bots: number;
  readonly seed: number;
  /** Chance of each of {@link SUBMIT_FAULTS}. */
  readonly probability: number;
}

export interface SubmitsResult {
  readonly submits: number;
  readonly struck: Readonly<Record<string, number>>;
  readonly unknowns: number;
  /** Ms from the first doubt to the answer, ascending. */
  readonly resolvedMs: readonly number[];
  readonly unresolved: number;
  readonly violations: readonly string[];
  /** Orders whose end the stop left to the next start to record. */
  readonly lateEnds: readonly string[];
  readonly tookMs: number;
}

const POLL_MS = 200;
/** The slowest pace that is waited for, and the time in which the last questions must be answered. */
const MS_PER_SUBMIT = 2_500;
const SETTLE_MS = 60_000;

export const faultySubmits = async (plan: SubmitsPlan): Promise<SubmitsResult> => {
  const startedMs = performance.now();
  const share = Math.ceil(plan.submits / plan.bots);
  const results = await Promise.all(
    Array.from({ length: plan.bots }, (_, index) => oneBot(share, plan.seed + index, plan.probability)),
  );
  const struck: Record<string, number> = {};
  for (const result of results)
    for (const [name, times] of Object.entries(result.struck)) struck[name] = (struck[name] ?? 0) + times;
  return {
    submits: results.reduce((sum, result) => sum + result.submits, 0),
    struck,
    unknowns: results.reduce((sum, result) => sum + result.unknowns, 0),
    resolvedMs: results.flatMap(result => result.resolvedMs).sort((left, right) => left - right),
    unresolved: results.reduce((sum, result) => sum + result.unresolved, 0),
    violations: results.flatMap(result => result.violations),
    lateEnds: results.flatMap(result => result.lateEnds),
    tookMs: performance.now() - startedMs,
  };
};

const oneBot = async (
  submits: number,
  seed: number,
  probability: number,
): Promise<Omit<SubmitsResult, 'tookMs'>> => {
  const folder = botFolder();
  const database = databaseIn(folder);
  const venue = await openVenue(seed);
  const { exchange } = venue;
  for (const fault of SUBMIT_FAULTS) venue.fault(`${fault},on=submit,probability=${probability}`);
  const bot = venue.startBot(database, FAST_PULSE);
  try {
    await bot.until(line => line.event === 'recovered');
    await reached(bot, () => exchange.account().orders.size >= submits, submits * MS_PER_SUBMIT + 10_000);
    const struck = Object.fromEntries(
      exchange.venue.faults.active
        .filter(({ spec }) => SUBMIT_FAULTS.some(name => name === spec.name))
        .map(({ spec, struck: times }) => [spec.name, times]),
    );
    venue.clearFaults();
    // An answer that was swallowed before is missed only when the bot's patience with it ends.
    const clearedMs = Date.now();
    await reached(bot, () => openQuestions(database, clearedMs).length === 0, SETTLE_MS);
    bot.kill('SIGINT');
    const end = await bot.ended;
    const violations =
      end.code === 0 ? [] : [`the bot ended with ${end.code ?? end.signal}: ${bot.stderr()}`];
    const { differences, lateEnds } = await finalDifferences(venue, database);
    violations.push(...differences);
    const times = unknownTimes(database);
    return {
      submits: exchange.account().orders.size,
      struck,
      unknowns: times.length,
      resolvedMs: times.flatMap(({ ms }) => (ms === null ? [] : [ms])),
      unresolved: times.filter(({ ms }) => ms === null).length,
      violations,
      lateEnds,
    };
  } finally {
    bot.kill('SIGKILL');
    await bot.ended;
    await exchange.close();
    removeFolder(folder);
  }
};

/** Waits for a condition outside the bot. @throws when it does not come about in time, or the bot ends first. */
export const reached = async (bot: RunningBot, condition: () => boolean, withinMs: number): Promise<void> => {
  const until = performance.now() + withinMs;
  let ended = false;
  void bot.ended.then(() => {
    ended = true;
  });
  while (!condition()) {
    if (ended) throw new Error(`the bot ended first: ${bot.stderr() || '(nothing on stderr)'}`);
    if (performance.now() > until) throw new Error(`not reached within ${withinMs} ms; ${lastWords(bot)}`);
    await pause(POLL_MS);
  }
};

/** The newest warnings and errors, for whoever has to find out why. */
const lastWords = (bot: RunningBot): string =>
  bot.events
    .filter(line => line.level === 'warn' || line.level === 'error')
    .slice(-5)
    .map(line => JSON.stringify(line))
    .join('\n');

/** What a stopped bot's books and the exchange do not say alike. */
export interface FinalDifferences {
  readonly differences: readonly string[];
  /** No difference in money: a stop that runs out of time leaves an order in flight, and the next start asks again. */
  readonly lateEnds: readonly string[];
}

/** Holds a stopped bot's ledger and balances against its exchange. */
export const finalDifferences = async (venue: OutsideVenue, database: string): Promise<FinalDifferences> => {
  const account = venue.exchange.account();
  const moment = momentOf(account);
  const missing = missingIn(database, moment);
  const lateEnds = missing.filter(text => text.includes('has ended at the exchange and is'));
  const found = [
    ...impossibilities(database, moment, moment),
    ...missing.filter(text => !lateEnds.includes(text)),
  ];
  const { balances } = await askVerb<{
    readonly balances: readonly {
      readonly asset: string;
      /** What the venue reported last, what the books make of every fill, and the one less the other. */
      readonly total: string;
      readonly expected: string;
      readonly difference: string;
    }[];
  }>('balances', botSettings(database, FAST_PULSE));
  for (const { asset, difference } of balances)
    if (difference !== '0')
      found.push(`the last report of the venue's ${asset} is ${difference} off the books`);
  const statement = JSON.parse(venue.exchange.statement()) as {
    readonly balances: readonly { readonly asset: string; readonly total: string }[];
  };
  for (const { asset, total } of statement.balances) {
    const known = balances.find(balance => balance.asset === asset);
    if (known?.expected !== total)
      found.push(`${asset}: ${total} at the exchange, ${known?.expected ?? 'nothing'} by the books`);
    if (known?.total !== total)
      found.push(`${asset}: ${total} at the exchange, ${known?.total ?? 'nothing'} in its last report`);
  }
  return { differences: found, lateEnds };
};

const UNKNOWN_WITHIN_MS = 15_000;

const rowsOf = (result: SubmitsResult): Row[] => {
  const inTime = result.resolvedMs.filter(ms => ms <= UNKNOWN_WITHIN_MS).length;
  const struck = SUBMIT_FAULTS.map(name => `${name} ${result.struck[name] ?? 0}`).join(', ');
  const matching = (pattern: RegExp): string =>
    String(result.violations.filter(text => pattern.test(text)).length);
  return [
    ['submits that reached the exchange', '10000', String(result.submits)],
    ['of them with a swallowed answer', '5 % of each kind', struck],
    [
      'outcomes that became unknown',
      '',
      `${result.unknowns} (the private feed answers most questions before they are asked)`,
    ],
    [
      'unknowns resolved within 15 s',
      '99 %',
      `${per(inTime, result.unknowns)} (median ${seconds(at(result.resolvedMs, 0.5))}, longest ${seconds(result.resolvedMs.at(-1) ?? 0)}, never: ${result.unresolved})`,
    ],
    ['intents sent twice', '0', matching(/^two orders/)],
    ['orders that the bot does not know', '0', matching(/never intended|not in the ledger|no venue id/)],
    ['contradictions between ledger and exchange, to the last digit', '0', String(result.violations.length)],
    ['orders whose end the stop left to the next start to record', '', String(result.lateEnds.length)],
  ];
};

export const submits = definePart({
  name: 'submits',
  title: 'Swallowed answers',
  about:
    'The exchange carries a submit out and then stays silent, resets the connection, or answers with a gateway page.',
  full: { submits: 10_000, percentOfEach: 5 },
  small: { submits: 24, percentOfEach: 10 },
  run: async (size, { seed, lanes }) => {
    const result = await faultySubmits({
      submits: size.submits,
      bots: Math.min(lanes, Math.ceil(size.submits / 24)),
      seed,
      probability: size.percentOfEach / 100,
    });
    const struck = Object.values(result.struck).reduce((sum, times) => sum + times, 0);
    return {
      rows: rowsOf(result),
      contradictions: [
        ...result.violations,
        ...(result.submits < size.submits ? [`only ${result.submits} submits reached the exchange`] : []),
        ...(struck === 0 ? ['no answer was swallowed'] : []),
        ...(result.unresolved > 0 ? [`${result.unresolved} outcomes stayed unknown`] : []),
      ],
    };
  },
});
