/**
 * How long it takes until somebody is told: each kind of alert is brought about, and its arrival at a webhook is timed, also
 * when the receiver refuses or hangs at that very moment.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { askBot } from '#src/cli/control-client.js';
import type { Alert, AlertKind } from '#src/runtime/alerts.js';
import { controlSocketPath } from '#src/runtime/control-protocol.js';
import { CRASH_LIMIT } from '#src/runtime/limits.js';
import { request } from '../exchange/client.js';
import { botFolder, databaseIn, removeFolder, startBot, tells } from '../support/bot.js';
import { liveSettings, openVenue } from '../support/live-venue.js';
import { openReceiver, type Receiver } from '../support/receiver.js';
import { diskProblem, type SmallDisk, smallDisk } from './disk.js';
import { PATIENCE_MS, Stage } from './harness.js';
import { definePart, type Row, spread } from './part.js';
import { preciseMs } from './seam.js';

const GOAL_MS = 5_000;
/** The receiver has had nothing for so long: what it does to the next request hits the alert that is meant. */
const QUIET_MS = 300;
/** What holds a bot goes away one after the other, on a busy machine slowly. */
const LONG_PATIENCE_MS = 5 * PATIENCE_MS;
const SETTLE_LOOK_MS = 100;
/** The clock of an alert has whole milliseconds. */
const CLOCK_SLACK_MS = 5;

const TROUBLES = ['takes it', 'refuses once', 'hangs once'] as const;
type Trouble = (typeof TROUBLES)[number];

interface Delivery {
  readonly arrivedAtMs: number;
  readonly alerts: readonly Alert[];
}

/** An alert that came, and how long after its cause. */
interface Told {
  readonly kind: AlertKind;
  readonly from: string;
  readonly trouble: Trouble;
  readonly tookMs: number;
}

interface Happening {
  readonly kinds: readonly AlertKind[];
  /** What the time counts from. */
  readonly from: string;
  /** Brings it about; resolves with when, or with null where the bot's own word of it is what counts. */
  act(stage: Stage): Promise<number | null>;
  /** Takes it away again. */
  undo?(stage: Stage): Promise<void> | void;
}

const OWN_WORD = 'the bot’s own finding';
const startTelling = (url: string): Happening => ({
  kinds: ['started', 'armed'],
  from: OWN_WORD,
  act(stage) {
    stage.start({
      ALERT_WEBHOOK_URL: url,
      STRATEGY_CONFIG: JSON.stringify({ intervalMs: 300, notional: '300', offsetBps: 3, maxOpen: 1 }),
      RECONCILE_INTERVAL_MS: '1000',
      RECONCILE_MAX_LAG_MS: '10000',
    });
    return Promise.resolve(null);
  },
});
const stopping: Happening = {
  kinds: ['stopping'],
  from: 'SIGTERM',
  act(stage) {
    const atMs = preciseMs();
    stage.bot.kill('SIGTERM');
    return Promise.resolve(atMs);
  },
};
const givenUp: Happening = {
  kinds: ['worker-given-up'],
  from: OWN_WORD,
  async act(stage) {
    for (let crash = 1; crash <= CRASH_LIMIT + 1; crash++) {
      await stage.until('a strategy, or none any more', async () => {
        const { workers } = await stage.status();
        return workers.strategy?.status === 'up' || workers.strategy?.status === 'given-up';
      });
      if ((await stage.status()).workers.strategy?.status === 'given-up') break;
      stage.bot.channel.send({ to: 'strategy', act: 'exit-1' });
      const before = (await stage.status()).workers.strategy?.incarnation ?? 0;
      await stage.until('the end of the strategy', async () => {
        const strategy = (await stage.status()).workers.strategy;
        return strategy?.status === 'given-up' || (strategy?.incarnation ?? 0) > before;
      });
    }
    return null;
  },
};

/** An order of somebody else on the account: far from the market, so that it rests. */
const placeForeign = async ({ venue }: Stage): Promise<void> => {
  const { exchange } = venue;
  const { text } = await request(exchange, 'GET', '/api/v2/ticker?pairSymbol=BTCTRY');
  const { bid } = (JSON.parse(text) as { data: { bid: number | string }[] }).data[0] ?? { bid: 0 };
  const { status, text: answer } = await request(exchange, 'POST', '/api/v1/order', {
    pairSymbol: 'BTCTRY',
    orderType: 'buy',
    orderMethod: 'limit',
    price: String(Math.round(Number(bid) / 2)),
    quantity: '0.001',
    newOrderClientId: 'somebody-else',
  });
  if (status !== 200) throw new Error(`the foreign order was refused: ${answer}`);
};
const pullForeign = async ({ venue: { exchange } }: Stage): Promise<void> => {
  for (const order of exchange.account().open.values())
    if (order.clientOrderId === 'somebody-else')
      await request(exchange, 'DELETE', `/api/v1/order?id=${order.orderId}`);
};

const happenings = (disk: SmallDisk): readonly Happening[] => [
  {
    kinds: ['hold-placed', 'disarmed', 'kill-result'],
    from: 'SIGUSR2',
    act(stage) {
      const atMs = preciseMs();
      stage.bot.kill('SIGUSR2');
      return Promise.resolve(atMs);
    },
  },
  {
    kinds: ['hold-released', 'armed'],
    from: OWN_WORD,
    async act(stage) {
      stage.bot.kill('SIGUSR2');
      await stage.until('safe mode', async () => (await stage.status()).state === 'observe-only');
      await stage.release();
      return null;
    },
  },
  {
    kinds: ['unknown-order', 'breaker-opened'],
    from: 'the submit that is answered with 504',
    async act(stage) {
      const fromMs = preciseMs();
      stage.venue.fault('accept-then-5xx,on=submit,count=1');
      await stage.until('a submit', () => stage.writes(fromMs).some(({ method }) => method === 'POST'));
      return stage.writes(fromMs).find(({ method }) => method === 'POST')?.atMs ?? fromMs;
    },
  },
  {
    kinds: ['foreign-order'],
    from: 'the foreign order',
    async act(stage) {
      const atMs = preciseMs();
      await placeForeign(stage);
      return atMs;
    },
    undo: pullForeign,
  },
  {
    kinds: ['cancel-all'],
    from: 'the command',
    async act(stage) {
      const atMs = preciseMs();
      await stage.ask({ type: 'cancel-all', reason: 'a test' }, PATIENCE_MS);
      return atMs;
    },
  },
  {
    kinds: ['residual'],
    from: OWN_WORD,
    act(stage) {
      stage.venue.fault('wrong-balance=1');
      return Promise.resolve(null);
    },
    undo: ({ venue }) => venue.clearFaults(),
  },
  {
    kinds: ['worker-restarted'],
    from: 'the crash',
    act(stage) {
      const atMs = preciseMs();
      stage.bot.channel.send({ to: 'market-data', act: 'exit-1' });
      return Promise.resolve(atMs);
    },
  },
  ...(disk.small
    ? [
        {
          kinds: ['ledger-trouble'],
          from: OWN_WORD,
          act() {
            disk.fill();
            return Promise.resolve(null);
          },
          undo: () => disk.free(),
        } satisfies Happening,
      ]
    : []),
];

class Listening {
  readonly told: Told[] = [];
  readonly missing: string[] = [];
  private lastAtMs = preciseMs();
  readonly receiver: Receiver<Delivery>;

  private constructor(receiver: Receiver<Delivery>, heard: { onDelivery: () => void }) {
    this.receiver = receiver;
    heard.onDelivery = () => {
      this.lastAtMs = preciseMs();
    };
  }

  static async open(): Promise<Listening> {
    const heard = { onDelivery: () => {} };
    return new Listening(
      await openReceiver(body => {
        heard.onDelivery();
        const { alerts } = JSON.parse(body.toString()) as { readonly alerts: readonly Alert[] };
        return { arrivedAtMs: preciseMs(), alerts };
      }),
      heard,
    );
  }

  async prepare(trouble: Trouble): Promise<void> {
    while (preciseMs() - this.lastAtMs < QUIET_MS) await pause(QUIET_MS / 10);
    if (trouble !== 'takes it') this.receiver.strikeNext(trouble === 'refuses once' ? 'refuse' : 'hang');
  }

  /** Waits for the alerts of a happening. @param sinceMs older ones are of something else */
  async hear(
    { kinds, from }: Pick<Happening, 'kinds' | 'from'>,
    trouble: Trouble,
    sinceMs: number,
    causedAtMs: number | null,
  ): Promise<void> {
    for (const kind of kinds) {
      const isIt = (alert: Alert): boolean => alert.kind === kind && alert.atMs >= sinceMs - CLOCK_SLACK_MS;
      const patience = new AbortController();
      const delivery = await Promise.race([
        this.receiver.until(({ alerts }) => alerts.some(isIt)),
        pause(LONG_PATIENCE_MS, null, { signal: patience.signal }).catch(() => null),
      ]);
      patience.abort();
      if (delivery === null) {
        this.missing.push(
          `${kind}, while the receiver ${trouble}: never told of within ${LONG_PATIENCE_MS} ms`,
        );
        continue;
      }
      const atMs = causedAtMs ?? delivery.alerts.find(isIt)?.atMs ?? sinceMs;
      this.told.push({ kind, from, trouble, tookMs: Math.max(0, delivery.arrivedAtMs - atMs) });
    }
  }
}

/** Lets go of whatever the last happening has latched, until the bot trades again. */
const settle = (stage: Stage): Promise<void> =>
  stage.until(
    'a bot that trades again',
    async () => {
      const { holds, maySubmit } = await stage.status();
      for (const { key, releasedBy } of holds) if (releasedBy === 'operator') await stage.off(key);
      await pause(SETTLE_LOOK_MS);
      return maySubmit && holds.length === 0;
    },
    LONG_PATIENCE_MS,
  );

/** One bot, from its start to its end, with everything that can happen to it between. */
const oneLife = async (listening: Listening, seed: number, index: number, cycles: number): Promise<void> => {
  const disk = smallDisk();
  const stage = await Stage.open(seed + index, disk.folder);
  const ends = TROUBLES[(index + 2) % TROUBLES.length] ?? 'takes it';
  const happen = async (happening: Happening, trouble: Trouble): Promise<void> => {
    await listening.prepare(trouble);
    const sinceMs = preciseMs();
    const causedAtMs = await happening.act(stage);
    await listening.hear(happening, trouble, sinceMs, causedAtMs);
    await happening.undo?.(stage);
  };
  try {
    stage.venue.fault('no-rate-limits');
    await happen(startTelling(listening.receiver.url), ends);
    const all = happenings(disk);
    for (let cycle = 0; cycle < cycles; cycle++) {
      const trouble = TROUBLES[(index + cycle) % TROUBLES.length] ?? 'takes it';
      for (const happening of all) {
        await settle(stage);
        await stage.trading(1);
        await happen(happening, trouble);
        stage.venue.fault('no-rate-limits');
      }
    }
    if (cycles > 0) {
      await settle(stage);
      await happen(givenUp, ends);
    }
    await happen(stopping, ends);
    await stage.bot.ended;
  } finally {
    await stage.close();
    disk.remove();
  }
};

/** A refused rotation, which only a bot with a key of its own can have. */
const oneRotation = async (listening: Listening, trouble: Trouble): Promise<void> => {
  const venue = await openVenue();
  const folder = botFolder();
  const {
    BTCTURK_API_KEY: apiKey = '',
    BTCTURK_API_SECRET: apiSecret = '',
    ...live
  } = liveSettings(venue, databaseIn(folder));
  const files = {
    BTCTURK_API_KEY_FILE: join(folder, 'key'),
    BTCTURK_API_SECRET_FILE: join(folder, 'secret'),
  };
  writeFileSync(files.BTCTURK_API_KEY_FILE, apiKey);
  writeFileSync(files.BTCTURK_API_SECRET_FILE, apiSecret);
  const bot = startBot({ ...live, ...files, ALERT_WEBHOOK_URL: listening.receiver.url });
  try {
    await bot.until(tells('all-workers-ready'));
    writeFileSync(files.BTCTURK_API_KEY_FILE, 'a-key-that-nobody-knows');
    await listening.prepare(trouble);
    const sinceMs = preciseMs();
    await askBot(controlSocketPath(databaseIn(folder)), { type: 'rotate-key' }, PATIENCE_MS);
    await listening.hear({ kinds: ['key-rotation'], from: 'the command' }, trouble, sinceMs, sinceMs);
  } finally {
    bot.kill('SIGKILL');
    await bot.ended;
    await venue.close();
    removeFolder(folder);
  }
};

const rowsOf = (told: readonly Told[]): Row[] =>
  [...new Set(told.map(({ kind }) => kind))].map(kind => {
    const mine = told.filter(each => each.kind === kind);
    return [
      `\`${kind}\`, from ${[...new Set(mine.map(({ from }) => from))].join(' or ')}`,
      '≤ 5 s',
      TROUBLES.map(trouble => ({ trouble, times: mine.filter(each => each.trouble === trouble) }))
        .filter(({ times }) => times.length > 0)
        .map(({ trouble, times }) => `${trouble}: ${spread(times.map(({ tookMs }) => tookMs))}`)
        .join('; '),
    ];
  });

export const alerts = definePart({
  name: 'alerts',
  title: 'Being told',
  about: `Each kind of alert is brought about in a bot that trades, and its arrival at a webhook is timed by the clock: while the receiver
takes it, refuses the request at that moment with 503, or never answers it. The time counts from the cause where the
cause comes from outside, and from the bot's own word where finding it is the bot's work.`,
  full: { lives: 3, cycles: 6, rotations: 3 },
  small: { lives: 1, cycles: 0, rotations: 0 },
  run: async (size, { seed }) => {
    const listening = await Listening.open();
    try {
      for (let index = 0; index < size.lives; index++)
        await oneLife(listening, seed + 9_000, index, size.cycles);
      for (let index = 0; index < size.rotations; index++)
        await oneRotation(listening, TROUBLES[index % TROUBLES.length] ?? 'takes it');
    } finally {
      listening.receiver.close();
    }
    const late = listening.told.filter(({ tookMs }) => tookMs > GOAL_MS);
    return {
      rows: [
        ...rowsOf(listening.told),
        [
          'all, and later than 5 s',
          '0',
          `${spread(listening.told.map(({ tookMs }) => tookMs))}; ${late.length} later`,
        ],
        ['alerts that never came', '0', String(listening.missing.length)],
      ],
      contradictions: listening.missing,
      notes: [
        ...(diskProblem() === null ? [] : [`No \`ledger-trouble\`: ${diskProblem()}.`]),
        ...late.map(
          ({ kind, trouble, tookMs }) =>
            `\`${kind}\` came ${Math.round(tookMs)} ms after its cause while the receiver ${trouble}.`,
        ),
      ],
    };
  },
});
