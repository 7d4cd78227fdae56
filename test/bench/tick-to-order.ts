/** From a frame at the socket to the order's bytes at the exchange. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import SqliteDatabase from 'better-sqlite3';
import { botSettings } from '../faults/venue.js';
import { botFolder, databaseIn, type RunningBot, removeFolder, startBot } from '../support/bot.js';
import type { BareSettings } from './bare-parts.js';
import { acrossRounds, figure, inTurns, percentile, type Rounds, ratioOf } from './figures.js';
import { OTHER_ACCOUNT, openQuietVenue, type QuietVenue } from './quiet-venue.js';
import type { Section } from './section.js';

const BOT_SYMBOL = 'BTCTRY';
/** Decimals of a quantity there. */
const BARE = { symbol: 'ETHTRY', quantityScale: 8 };
const DURABLE = { symbol: 'AAVETRY', quantityScale: 4 };
const SPLIT = { symbol: 'XRPTRY', quantityScale: 4 };
const TICKS = 100;
/**
 * Ticks of each before the first round. A bot runs for days, and V8 compiles in steps what is called often: measured over
 * the same rounds, a bot after 400 needs three quarters of the time of one after 40, and after 1,000 hardly less.
 */
const WARM_UP = 400;
const WARM_UP_PAUSE_MS = 15;
/** A tick that crosses with the first books, or with the end of the order before it, leads to none. */
const ATTEMPTS = 20;
/** Pause before a tick, ms: this much, and up to as much again, so that ticks meet every phase of the bot's timers. */
const PAUSE_MS = 40;
const GOAL_MEDIAN = 1.5;
const GOAL_P99 = 2.5;

/** What stands between the bot and its goal; the figures of the section say how much of it. */
const WHY =
  'Four hops between threads lie on the way, each of which wakes a thread that sleeps: (c) says what they cost by themselves. The rest is what the bot does on top: books with sums and trust, gates, budget, fence, each on a thread that last ran it some dozens of milliseconds ago, and an intent committed with its transition and its place among the open orders, seven pages where (b) writes three.';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

const startTickBot = (venue: QuietVenue, database: string): RunningBot => {
  const { url, wsUrl, apiKey, apiSecret } = venue.exchange;
  return startBot(
    {
      ...botSettings(database, { STRATEGY: here('./tick-strategy.js'), SYMBOLS: BOT_SYMBOL }),
      // Loopback alone may be given more than the venue's limits.
      BTCTURK_RATE_LIMIT_RPS: '100',
      BTCTURK_RATE_LIMIT_BURST: '100',
      FAULTS_VENUE: JSON.stringify({ baseUrl: url, graphUrl: url, wsUrl, apiKey, apiSecret }),
    },
    [],
    here('../faults/bot.js'),
  );
};

/** A bare trader in a process of its own, subscribed and waiting. */
const startBare = async (
  venue: QuietVenue,
  market: typeof BARE,
  journal: string | null,
  split = false,
): Promise<ChildProcess> => {
  const { url, wsUrl } = venue.exchange;
  const child = spawn(process.execPath, [here('./bare-trader.js')], {
    env: {
      PATH: process.env.PATH,
      BARE: JSON.stringify({
        url,
        wsUrl,
        ...OTHER_ACCOUNT,
        ...market,
        journal,
        split,
      } satisfies BareSettings),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child;
};

const lastWords = (bot: RunningBot): string =>
  bot.events
    .slice(-12)
    .map(line => JSON.stringify(line))
    .join('\n');

/** Where the bot says that the time of its last orders went, from its own audit, ms. */
const auditedTimings = (
  database: string,
  orders: number,
): Readonly<Record<'journalMs' | 'budgetMs' | 'departureMs', number[]>> => {
  const db = new SqliteDatabase(database, { readonly: true });
  try {
    const rows = db
      .prepare("SELECT facts FROM audit WHERE event = 'order-in-flight' ORDER BY seq")
      .pluck()
      .all() as string[];
    const facts = rows.slice(-orders).map(row => JSON.parse(row) as Record<string, number>);
    const of = (name: string): number[] =>
      facts.flatMap(fact => (name in fact ? [fact[name] as number] : []));
    return { journalMs: of('journalMs'), budgetMs: of('budgetMs'), departureMs: of('departureMs') };
  } finally {
    db.close();
  }
};

/** Ticks until one leads to an order. */
const orderFollows = async (venue: QuietVenue, symbol: string, apiKey: string): Promise<number> => {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const taken = await venue.tick(symbol, apiKey, 1_000).catch(() => null);
    if (taken !== null) return taken;
  }
  throw new Error(`no order after ${ATTEMPTS} ticks`);
};

export const tickToOrder: Section = {
  name: 'tick-to-order',
  title: 'Tick to order',
  about:
    "From handing a 432 frame to the socket to the first line of the POST at the exchange, both taken by the exchange's clock. The bot: market-data, strategy, execution, ledger and execution again, each a thread of its own, the intent durable before the POST, every gate in force, all settings as users have them but for the rate. (a): one process with one thread, `ws`, `JSON.parse`, HMAC, undici. (b): the same with one row committed durably (better-sqlite3, WAL, `synchronous=FULL`) before the POST. (c): what (b) does on four threads, joined by message ports as the bot's actors are: one watches, one decides, one sends, one commits, and the way of an order is the bot's. All run at once, and are asked in turns, each after as many ticks that do not count: a bot runs for days.",
  async run({ rounds, tiny }) {
    const ticks = tiny ? 2 : TICKS;
    const warmUp = tiny ? 1 : WARM_UP;
    const folder = botFolder();
    const database = databaseIn(folder);
    const venue = await openQuietVenue();
    const children: ChildProcess[] = [];
    const bot = startTickBot(venue, database);
    try {
      children.push(
        await startBare(venue, BARE, null),
        await startBare(venue, DURABLE, join(folder, 'bare.sqlite')),
        await startBare(venue, SPLIT, join(folder, 'split.sqlite'), true),
      );
      await bot.until(line => line.event === 'trading-state-changed' && line.to === 'live');
      type Tick = (symbol: string, apiKey: string) => Promise<number>;
      const ask =
        (symbol: string, apiKey: string, count: number, pauseMs: number, tick: Tick) => async () => {
          const taken: number[] = [];
          for (let n = 0; n < count; n++) {
            // Golden-ratio steps: every phase is met equally, and the same ones in every run.
            await pause(pauseMs * (1 + ((n * 0.618_034) % 1)));
            taken.push(await tick(symbol, apiKey));
            // Its order has come and gone again before the next.
            const { orders, open } = venue.exchange.account(apiKey);
            const before = orders.size;
            while (open.size > 0 || orders.size < before) await pause(5);
          }
          return taken;
        };
      const asked = (...how: readonly [count: number, pauseMs: number, tick: Tick]) => ({
        bot: ask(BOT_SYMBOL, venue.exchange.apiKey, ...how),
        bare: ask(BARE.symbol, OTHER_ACCOUNT.apiKey, ...how),
        durable: ask(DURABLE.symbol, OTHER_ACCOUNT.apiKey, ...how),
        split: ask(SPLIT.symbol, OTHER_ACCOUNT.apiKey, ...how),
      });
      await inTurns(
        asked(warmUp, WARM_UP_PAUSE_MS, (symbol, apiKey) => orderFollows(venue, symbol, apiKey)),
        1,
      );
      const taken = await inTurns(asked(ticks, PAUSE_MS, venue.tick), rounds);
      bot.kill('SIGINT');
      await bot.ended;
      const audited = auditedTimings(database, rounds * ticks);

      const row = (what: string, of: Rounds): string[] => [
        what,
        ...[0.5, 0.9, 0.99].map(share => figure(acrossRounds(of, share))),
        ...[0.5, 0.99].map(share => figure(ratioOf(of, taken.bare, share))),
        ...[0.5, 0.99].map(share => figure(ratioOf(of, taken.durable, share))),
      ];
      const [atMedian, atP99] = [0.5, 0.99].map(share => ratioOf(taken.bot, taken.durable, share)) as [
        number,
        number,
      ];
      return {
        tables: [
          {
            head: ['What', 'p50 ms', 'p90 ms', 'p99 ms', 'p50 / (a)', 'p99 / (a)', 'p50 / (b)', 'p99 / (b)'],
            rows: [
              row('the bot', taken.bot),
              row('(a) one bare thread', taken.bare),
              row('(b) with a durable commit', taken.durable),
              row('(c) as (b), on four threads', taken.split),
            ],
          },
          {
            head: ["Of the bot's time, by its own audit", 'p50 ms', 'p99 ms'],
            rows: [
              ['approval to durable intent, and back', audited.journalMs],
              ["waiting for the budget's grant", audited.budgetMs],
              ['grant to first byte', audited.departureMs],
            ].map(([what, samples]) => [
              what as string,
              ...[0.5, 0.99].map(share => figure(percentile(samples as number[], share))),
            ]),
          },
        ],
        goals: [
          {
            what: 'the bot at the median',
            goal: `at most ${GOAL_MEDIAN} × (b)`,
            measured: `${figure(atMedian)} × (b)`,
            met: atMedian <= GOAL_MEDIAN,
            why: WHY,
          },
          {
            what: 'the bot at the 99th percentile',
            goal: `at most ${GOAL_P99} × (b)`,
            measured: `${figure(atP99)} × (b)`,
            met: atP99 <= GOAL_P99,
            why: 'As at the median; a hop that meets a busy core waits for its turn.',
          },
        ],
        remarks: [
          `${rounds} rounds of ${ticks} ticks for each, after ${warmUp} that do not count; ratios are taken within each round.`,
        ],
      };
    } catch (error) {
      throw new Error(`the bot's last words: ${lastWords(bot)}`, { cause: error });
    } finally {
      bot.kill('SIGKILL');
      for (const child of children) child.kill('SIGKILL');
      await bot.ended;
      await venue.close();
      removeFolder(folder);
    }
  },
};
