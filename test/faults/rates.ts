/** Days of a strategy that never rests, under virtual time, against the exchange's own limits. */
import { bookDifferences } from '#src/simulation/books.js';
import type { Tempo } from '#src/simulation/tempo.js';
import { createWorld, type World } from '#src/simulation/world.js';
import { pulse } from '#src/strategies/pulse.js';
import { definePart, type Row } from './part.js';
import { INTERVAL_MS, RequestCount } from './request-count.js';
import { writeDay } from './write-day.js';

const SYMBOLS = ['BTCTRY', 'ETHTRY', 'USDTTRY', 'XRPTRY'] as const;
const MINUTE_MS = 60_000;
/** After the last write its end is known within this. */
const SETTLE_MS = 30_000;
/** Quiet books, but every routine of the bot at its usual pace. */
const TEMPO: Tempo = {
  marketPace: 0.02,
  slowIntervalMs: 2_000,
  markIntervalMs: 2_000,
  reconcileIntervalMs: 15_000,
  refreshMs: 1_000,
};
const SETTINGS = {
  MAX_OPEN_ORDERS: '60',
  MAX_OPEN_ORDERS_PER_SYMBOL: '15',
  MAX_NOTIONAL_PER_ORDER_TRY: '1000000',
  MAX_POSITION_NOTIONAL_TRY: '1000000000',
  MAX_GROSS_EXPOSURE_TRY: '1000000000',
  MAX_DAILY_LOSS_TRY: '1000000000',
  MAX_DRAWDOWN_PCT: '100',
  MAX_ORDERS_PER_MINUTE: '10000',
  MAX_REPEATED_EXECUTIONS: '10000',
  PRICE_COLLAR_BPS: '1000',
};

export interface BusyTime {
  readonly count: RequestCount;
  readonly denied: number;
  readonly trades: number;
  readonly differences: readonly string[];
}

/** A bot that trades as fast as it is let for `minutes` of virtual time, with nothing going wrong but its own haste. */
export const busyTime = (minutes: number, seed: number): BusyTime => {
  const count = new RequestCount();
  let denied = 0;
  const world: World = createWorld({
    seed,
    symbols: SYMBOLS,
    strategy: pulse,
    strategyConfig: { intervalMs: INTERVAL_MS, notional: '300', offsetBps: 40, maxOpen: 4 },
    env: SETTINGS,
    tempo: TEMPO,
    watcher: {
      onLog: (_actor, _level, event) => {
        if (event === 'intent-denied' || event === 'order-denied') denied += 1;
      },
    },
  });
  count.watch(world.venue, () => world.time.now().monoMs);
  world.start();
  world.run(minutes * MINUTE_MS);
  // What ends between execution's last word and the ledger's is left for the next start to record: nothing is under way here.
  world.process.signal('SIGUSR2');
  world.run(SETTLE_MS);
  const trades = world.exchangeAccount().trades.length;
  world.process.signal('SIGTERM');
  const exitCode = world.runToEnd(MINUTE_MS);
  const differences = bookDifferences(world.ledger.snapshot(), world.exchangeAccount());
  return {
    count,
    denied,
    trades,
    differences: exitCode === 0 ? differences : [`the stop ended with ${exitCode}`, ...differences],
  };
};

const hoursText = (minutes: number): string => String(Math.round((minutes / 60) * 100) / 100);

export const rates = definePart({
  name: 'rates',
  title: 'A day at the highest rate',
  about: `Under virtual time, against the embedded exchange with its limits in force, a strategy asks for ${1_000 / INTERVAL_MS} orders a second and for
the cancels that make room for them. The whole bot does it on ${SYMBOLS.length} symbols with every routine read (the real brains, the real
adapter's translation); for the whole day the execution brain, its request budget and the adapter do it alone, which is
all that decides when a write leaves. The exchange counts each request as it arrives; the fullest window of each limit is
the fullest of all windows of its length, wherever they begin, so also of the exchange's own.`,
  full: { writeMinutes: 24 * 60, botMinutes: 24 * 60 },
  small: { writeMinutes: 3, botMinutes: 2 },
  run: async ({ writeMinutes, botMinutes }, { seed }) => {
    const bot = busyTime(botMinutes, seed);
    const day = writeDay(writeMinutes, seed);
    const sent = ({ count }: { readonly count: RequestCount }): string =>
      `${count.requestsTo('submit')} and ${count.requestsTo('cancel')}`;
    const both = [bot, day];
    const rows: Row[] = [
      ['simulated hours, writes alone', '24', hoursText(writeMinutes)],
      ['orders and cancels sent', '', sent(day)],
      ['intents denied because there was no room for them', '', String(day.denied)],
      ...day.count.rows,
      ['simulated hours, whole bot', '', hoursText(botMinutes)],
      ['orders and cancels sent', '', sent(bot)],
      ['intents denied because there was no room for them', '', String(bot.denied)],
      ['trades', '', String(bot.trades)],
      ...bot.count.rows,
      ['requests refused with 429, both', '0', String(day.count.refused + bot.count.refused)],
      ['differences between ledger and exchange after the stop', '0', String(bot.differences.length)],
    ];
    return {
      rows,
      contradictions: [
        ...both.flatMap(({ count }) => count.contradictions),
        ...bot.differences,
        // Otherwise nothing was shown: the limits were never near.
        ...both.flatMap(({ denied }) =>
          denied > 0 ? [] : ['the strategy never asked for more than there was room for'],
        ),
      ],
    };
  },
});
