/**
 * What goes wrong in a simulated world, drawn from its seed: faults of the exchange, of the network, of workers, of the
 * process, of clocks, and acts of operators and strangers. Each is counted, so that a run can say what it has seen.
 */

import { CAUSES } from '../domain/breaker.js';
import type { LedgerRecord } from '../domain/ledger-records.js';
import { basisPoints, fromInteger, ratio, roundTo } from '../domain/money.js';
import type { ActorName } from '../domain/step.js';
import { type FaultName, type FaultSpec, faultFrom } from '../exchange/faults.js';
import { priceDecimals } from '../exchange/instruments.js';
import { exponential, type Random, uniform } from '../exchange/random.js';
import { CRASH_LIMIT, START_WORKER_MS } from '../runtime/limits.js';
import { LIVE_ACKNOWLEDGEMENT } from '../runtime/setting-table.js';
import { type CommitFate, DONE } from './kept-ledger.js';
import { type Fate, NORMAL } from './sim-rest.js';
import type { World } from './world.js';

/** How often things go wrong. */
export interface FaultRates {
  /** Mean time between two faults, ms of virtual time. */
  readonly meanIntervalMs: number;
  /** Mean time for which a lasting fault lasts, ms. */
  readonly meanDurationMs: number;
}

/** Faults of the exchange that may come and go; switches of undecided points and unfixable lies are left out. */
const VENUE_FAULTS: readonly (readonly [name: FaultName, options?: Readonly<Record<string, unknown>>])[] = [
  ['hang', { on: 'writes', probability: 0.5 }],
  ['hang', { on: 'reads', probability: 0.5 }],
  ['slow-replies', { value: 2_000, on: 'writes' }],
  ['slow-replies', { value: 1_000, on: 'reads' }],
  ['html-5xx', { on: 'writes', probability: 0.5 }],
  ['html-5xx', { on: 'reads', probability: 0.5 }],
  ['rate-limit', { on: 'submit', count: 1 }],
  ['rate-limit', { on: 'cancel', count: 1 }],
  ['rate-limit', { on: 'reads', count: 2 }],
  ['unauthorized', { on: 'private', count: 1 }],
  ['maintenance', { on: 'submit', probability: 0.5 }],
  ['maintenance', { on: 'submit', value: 'ORDER_INSERT_BLOCKED' }],
  ['maintenance', { on: 'cancel', value: 'ORDER_CANCEL_BLOCKED' }],
  ['reject', { on: 'submit', probability: 0.3 }],
  ['reset-before', { on: 'writes', probability: 0.5 }],
  ['accept-then-timeout', { probability: 0.5 }],
  ['accept-then-reset', { probability: 0.5 }],
  ['accept-then-5xx', { probability: 0.5 }],
  ['accept-then-429', { count: 1 }],
  ['accept-then-garbage', { probability: 0.5 }],
  ['late-accept', { value: 8_000, probability: 0.3 }],
  ['insufficient-after-fill', { value: 150 }],
  ['cancel-refused', { probability: 0.5 }],
  ['cancel-late', { value: 3_000 }],
  ['cancel-lost', { probability: 0.3 }],
  ['cancel-overtaken', { probability: 0.5 }],
  ['stuck-order', { probability: 0.3 }],
  ['stale-balances', { value: 3_000 }],
  ['stale-open-orders', { value: 2_000 }],
  ['empty-trades', { probability: 0.5 }],
  ['late-trades', { value: 3_000 }],
  ['handshake-refused', {}],
  ['login-refused', {}],
  ['forbidden', { on: 'writes', probability: 0.5 }],
  ['forbidden', { on: 'reads', probability: 0.3 }],
  ['reconnect-storm', { value: 50 }],
  ['no-version', {}],
  ['no-ping', {}],
  ['silent-stall', {}],
  ['stalled-channel', { value: 'obdiff' }],
  ['stalled-channel', { value: 'trade' }],
  ['cs-gap', { probability: 0.3 }],
  ['cs-repeat', { probability: 0.3 }],
  ['late-full-book', { probability: 0.3 }],
  ['missing-delete', { probability: 0.3 }],
  ['crossed-book', { probability: 0.3 }],
  ['corrupt-frame', { probability: 0.1 }],
  ['drop-private', { value: '423', probability: 0.5 }],
  ['drop-private', { value: '441+451+452', probability: 0.5 }],
  ['mute-after-relogin', {}],
  ['duplicate-423', {}],
  ['late-423', { value: 2_000 }],
  ['wrong-441-amount', {}],
];

/** Ways in which exchanges of this kind differ: some of them hold for a whole run. */
const VENUE_SWITCHES: readonly FaultName[] = [
  'comma-balances',
  'success-on-401',
  'string-code',
  'no-http-status-code',
  'no-451-when-immediate',
  '452-after-fill',
  'list-oldest-first',
  'second-login-refused',
];
const SWITCH_CHANCE = 0.15;

/** The switches of one run. */
export const drawSwitches = (random: Random): readonly FaultSpec[] =>
  VENUE_SWITCHES.filter(() => uniform(random) < SWITCH_CHANCE).map(name => faultFrom({ name }));

/** A start that finds no venue ends with a code of its own, by this time at the latest, and the container tries again. */
const GAVE_UP_RESTART_MS = START_WORKER_MS + 1_000;
/** Crashes in a row that use a restart budget up, and the time between them. */
const STORM_CRASHES = CRASH_LIMIT + 1;
const STORM_INTERVAL_MS = 3_000;

/** A venue that refuses every order does so for at least so long: as a quiet strategy takes to try some five of them. */
const REFUSING_MS = 45_000;

/** Share of commits that a flaky disk fails. */
const FLAKY_SHARE = 0.4;

/** While the disk refuses an intent the supervisor stands still for this long: nobody stops the order for another reason. */
const REFUSED_FREEZE_MS = 600;
/** Sockets fall silent for as long as it takes a quiet market to send its next frame, and books then grow old. */
const SILENCE_MS = 4_000;

/**
 * For so long after the books were opened the clock is not set back. The bot and its venue have one clock here, and what
 * others trade at a moment dated before the opening is held as a difference for good: a venue whose own clock goes back in
 * the first seconds of a database, while somebody else trades, needs a person.
 */
const YOUNG_BOOKS_MS = 30_000;

/** Value of an order placed by hand. */
const BY_HAND_VALUE = fromInteger(300);
const KILLABLE: readonly ActorName[] = ['market-data', 'reconciliation', 'execution', 'strategy', 'ledger'];

export interface FaultPlan {
  /** Begins to draw mishaps. */
  begin(): void;
  /** The books were opened just now. */
  noteOpening(): void;
  /** Draws no more, clears what still lasts, and has the process run. */
  end(): void;
  /** Kills the sender of a message here when that was drawn. */
  beforeSend(from: ActorName): void;
  /** The network's fate for a request. */
  fateOf(): Fate;
  /** The disk's fate for a commit of the ledger. */
  commitFateOf(batches: readonly (readonly LedgerRecord[])[]): CommitFate;
}

/** An operator who has read the reasons and releases what only an operator may. @returns the keys */
export const releaseLatched = (world: World): readonly string[] => {
  const keys = world.process.state.control.holds
    .filter(({ cause }) => CAUSES[cause].releasedBy === 'operator')
    .map(({ key }) => key);
  for (const key of keys)
    world.process.command({ type: 'safe-mode-off', acknowledgement: LIVE_ACKNOWLEDGEMENT, key });
  return keys;
};

/** One thing that can happen to a world. */
interface Mishap {
  readonly name: string;
  readonly weight: number;
  happen(): void;
}

export const createFaultPlan = (
  world: () => World,
  random: Random,
  rates: FaultRates,
  count: (name: string) => void,
): FaultPlan => {
  let active = false;
  let wallOffMs = 0;
  let openedMonoMs = Number.NEGATIVE_INFINITY;
  /** Who is to die at one of its next effects: the count of sends left, by victim. */
  let doomed: { readonly victim: ActorName | 'process'; left: number } | null = null;
  let lossy: { readonly share: number } | null = null;
  let disk: 'sound' | 'full' | 'sync' | 'flaky' = 'sound';
  /** Commits until the power goes in one. */
  let commitsToLive: number | null = null;
  /** Whether the disk refuses the next commit that has an intent in it. */
  let refusesIntent = false;

  const pick = <T>(items: readonly T[]): T => items[Math.floor(uniform(random) * items.length)] as T;
  const after = (delayMs: number, what: string, run: () => void): void =>
    world().time.after(delayMs, what, run);
  const duration = (): number => 500 + exponential(random, rates.meanDurationMs);
  const running = (): boolean => world().isRunning;
  const booksAreYoung = (): boolean => world().time.now().monoMs - openedMonoMs < YOUNG_BOOKS_MS;

  const venueFault = (): void => {
    const [name, options = {}] = pick(VENUE_FAULTS);
    count(`venue ${name}`);
    world().venue.admin({ type: 'set-fault', fault: faultFrom({ name, ...options }) });
    after(duration(), `end of ${name}`, () => world().venue.admin({ type: 'clear-faults', name }));
  };

  const correctWall = (byMs: number): void => {
    // The end of the faults may have corrected it already.
    if (wallOffMs === 0) return;
    // At the end it is corrected all the same: nothing more goes wrong, and everything has to come right soon.
    if (byMs > 0 && active && booksAreYoung()) {
      after(YOUNG_BOOKS_MS, 'wall clock corrected', () => correctWall(Math.min(byMs, wallOffMs)));
      return;
    }
    wallOffMs -= byMs;
    world().time.jumpWall(-byMs);
  };

  const actOddly = (act: string): void => {
    const { process } = world();
    switch (act) {
      case 'SIGINT twice':
        process.signal('SIGINT');
        process.signal('SIGINT');
        restartSoon();
        return;
      case 'status':
      case 'drill-kill':
        process.command({ type: act });
        return;
      case 'safe-mode-on':
        process.command({ type: act, reason: 'simulation' });
        return;
      default:
        process.signal(act);
    }
  };

  const restartSoon = (): void => {
    after(1_000 + exponential(random, 3_000), 'restart', () => {
      if (!running()) world().start();
    });
  };

  const mishaps: readonly Mishap[] = [
    { name: 'venue fault', weight: 60, happen: venueFault },
    {
      name: 'venue drops every socket',
      weight: 4,
      happen: () => world().venue.admin({ type: 'set-fault', fault: faultFrom({ name: 'abrupt-drop' }) }),
    },
    {
      name: 'lossy network',
      weight: 10,
      happen: () => {
        lossy = { share: 0.2 + 0.6 * uniform(random) };
        after(duration(), 'network recovers', () => {
          lossy = null;
        });
      },
    },
    {
      name: 'worker crash',
      weight: 8,
      happen: () => {
        const actor = pick(KILLABLE);
        count(`crash of ${actor}`);
        if (running()) world().process.tree.kill(actor, 'it crashed in the simulation');
      },
    },
    {
      name: 'worker crash between two effects',
      weight: 6,
      happen: () => {
        doomed = { victim: pick(KILLABLE), left: 1 + Math.floor(uniform(random) * 20) };
      },
    },
    {
      name: 'process killed between two effects',
      weight: 4,
      happen: () => {
        doomed = { victim: 'process', left: 1 + Math.floor(uniform(random) * 40) };
      },
    },
    {
      name: 'worker stalls',
      weight: 10,
      happen: () => {
        const actor = pick(KILLABLE);
        count(`stall of ${actor}`);
        if (running()) world().process.tree.stall(actor, 50 + exponential(random, 1_500));
      },
    },
    {
      name: 'slow hops',
      weight: 4,
      happen: () => {
        if (running()) world().process.tree.slowHops(5 + exponential(random, 150));
        after(duration(), 'hops recover', () => {
          if (running()) world().process.tree.slowHops(0);
        });
      },
    },
    {
      name: 'crash storm',
      weight: 2,
      happen: () => {
        const actor = pick(KILLABLE);
        count(`crash storm of ${actor}`);
        for (let crash = 0; crash < STORM_CRASHES; crash++)
          after(crash * STORM_INTERVAL_MS, 'crash of a storm', () => {
            if (active && running()) world().process.tree.kill(actor, 'it crashes again and again');
          });
      },
    },
    {
      name: 'disk fails',
      weight: 8,
      happen: () => {
        disk = pick(['full', 'sync', 'flaky']);
        count(`disk ${disk}`);
        after(duration(), 'disk recovers', () => {
          disk = 'sound';
        });
      },
    },
    {
      name: 'disk refuses the next intent',
      weight: 6,
      happen: () => {
        refusesIntent = true;
      },
    },
    {
      name: 'books grow old in silence',
      weight: 6,
      happen: () => {
        world().venue.admin({ type: 'set-fault', fault: faultFrom({ name: 'silent-stall' }) });
        after(SILENCE_MS, 'end of the silence', () =>
          world().venue.admin({ type: 'clear-faults', name: 'silent-stall' }),
        );
      },
    },
    {
      name: 'power goes in a commit',
      weight: 4,
      happen: () => {
        commitsToLive = 1 + Math.floor(uniform(random) * 8);
      },
    },
    {
      name: 'odd signal or command',
      weight: 4,
      happen: () => {
        const odd = pick(['SIGHUP', 'SIGUSR1', 'SIGINT twice', 'status', 'safe-mode-on', 'drill-kill']);
        count(`operator: ${odd}`);
        if (running()) actOddly(odd);
      },
    },
    {
      name: 'order by hand',
      weight: 3,
      happen: () => {
        const traded = [...world().venue.state.markets].filter(([, { tape }]) => tape.length > 0);
        if (traded.length === 0) return;
        const [symbol, market] = pick(traded);
        const buys = uniform(random) < 0.5;
        // One in two is marketable, the others rest a while.
        const awayBps = uniform(random) < 0.5 ? -30 : 100;
        const price = market.lastPrice;
        const limit = price + basisPoints(price, buys ? -awayBps : awayBps, 'half-up');
        world().tradeByHand({
          symbol,
          side: buys ? 'buy' : 'sell',
          method: 'limit',
          price: roundTo(limit, priceDecimals(market.listing), 'half-up'),
          quantity: roundTo(ratio(BY_HAND_VALUE, price, 'up'), market.listing.quantityScale, 'up'),
          quoteQuantity: null,
          stopPrice: null,
        });
      },
    },
    {
      name: 'deposit or withdrawal',
      weight: 3,
      happen: () => {
        const wished = fromInteger(Math.round((uniform(random) - 0.5) * 2_000) || 1);
        const holding = world().exchangeAccount().holdings.get('TRY');
        const free = holding === undefined ? 0n : holding.total - holding.locked;
        // Nobody takes out what is not there.
        world().moveFunds('TRY', wished < -free ? -wished : wished);
      },
    },
    {
      name: 'process killed',
      weight: 4,
      happen: () => {
        if (!running()) return;
        world().process.kill();
        restartSoon();
      },
    },
    {
      name: 'process stopped',
      weight: 3,
      happen: () => {
        if (running()) world().process.signal('SIGTERM');
        after(9_000, 'restart after a stop', () => {
          if (!running()) world().start();
        });
      },
    },
    {
      name: 'supervisor frozen',
      weight: 8,
      happen: () => {
        if (running()) world().process.freeze(200 + exponential(random, 2_000));
      },
    },
    {
      name: 'wall clock jump',
      weight: 3,
      happen: () => {
        const drawnMs = Math.round((uniform(random) - 0.5) * 20_000);
        const byMs = booksAreYoung() ? Math.abs(drawnMs) : drawnMs;
        world().time.jumpWall(byMs);
        wallOffMs += byMs;
        after(duration(), 'wall clock corrected', () => correctWall(byMs));
      },
    },
    {
      name: 'safe mode on and off',
      weight: 3,
      happen: () => {
        if (!running()) return;
        world().process.signal('SIGUSR2');
        after(duration(), 'safe mode off', () => {
          if (running())
            world().process.command({
              type: 'safe-mode-off',
              acknowledgement: LIVE_ACKNOWLEDGEMENT,
              key: 'operator',
            });
        });
      },
    },
    {
      name: 'operator releases what is latched',
      weight: 25,
      happen: () => {
        if (running()) releaseLatched(world());
      },
    },
    {
      name: 'cancel-all',
      weight: 3,
      happen: () => {
        if (running()) world().process.command({ type: 'cancel-all', reason: 'simulation' });
      },
    },
    {
      name: 'busy market',
      weight: 6,
      happen: () => {
        const { marketPace } = world().tempo;
        world().venue.admin({ type: 'market-pace', pace: Math.max(1, marketPace) });
        after(duration(), 'market calms', () =>
          world().venue.admin({ type: 'market-pace', pace: marketPace }),
        );
      },
    },
    {
      name: 'venue refuses every order',
      weight: 2,
      happen: () => {
        world().venue.admin({ type: 'set-fault', fault: faultFrom({ name: 'reject', on: 'submit' }) });
        after(REFUSING_MS + duration(), 'end of the refusals', () =>
          world().venue.admin({ type: 'clear-faults', name: 'reject' }),
        );
      },
    },
    {
      name: 'market shock',
      weight: 6,
      happen: () => {
        const symbol = pick(world().settings.symbols);
        world().venue.admin({ type: 'shock', symbol, bps: (uniform(random) - 0.5) * 200 });
      },
    },
  ];
  const totalWeight = mishaps.reduce((sum, { weight }) => sum + weight, 0);

  const drawMishap = (): Mishap => {
    let left = uniform(random) * totalWeight;
    for (const mishap of mishaps) {
      left -= mishap.weight;
      if (left < 0) return mishap;
    }
    return mishaps[0] as Mishap;
  };

  const next = (): void => {
    after(exponential(random, rates.meanIntervalMs), 'mishap', () => {
      if (!active) return;
      const mishap = drawMishap();
      count(mishap.name);
      mishap.happen();
      next();
    });
  };

  const end = (): void => {
    active = false;
    doomed = null;
    lossy = null;
    disk = 'sound';
    commitsToLive = null;
    refusesIntent = false;
    if (running()) world().process.tree.slowHops(0);
    correctWall(wallOffMs);
    world().venue.admin({ type: 'clear-faults' });
    if (!running()) world().start();
    // A start that was under way among faults may still come to nothing.
    after(GAVE_UP_RESTART_MS, 'the container starts again what gave up', () => {
      if (!running()) world().start();
    });
  };

  return {
    begin: () => {
      active = true;
      next();
    },
    noteOpening: () => {
      openedMonoMs = world().time.now().monoMs;
    },
    end,
    beforeSend: from => {
      if (doomed === null || !running()) return;
      if (doomed.victim !== 'process' && doomed.victim !== from) return;
      doomed.left -= 1;
      if (doomed.left > 0) return;
      const { victim } = doomed;
      doomed = null;
      count(`${victim} dies between two effects`);
      if (victim !== 'process') {
        world().process.tree.kill(victim, 'it crashed between two effects in the simulation');
        return;
      }
      world().process.kill();
      restartSoon();
    },
    commitFateOf: batches => {
      if (refusesIntent && running() && batches.some(batch => batch.some(isIntent))) {
        refusesIntent = false;
        count('an intent is refused by the disk');
        world().process.freeze(REFUSED_FREEZE_MS);
        return { type: 'fails', reason: 'full', kept: false };
      }
      if (commitsToLive !== null && running()) {
        commitsToLive -= 1;
        if (commitsToLive <= 0) {
          commitsToLive = null;
          const kept = uniform(random) < 0.5;
          count(kept ? 'power goes after a commit' : 'power goes in a commit, which is torn');
          return {
            type: 'dies',
            kept,
            kill: () => {
              world().process.kill();
              restartSoon();
            },
          };
        }
      }
      if (disk === 'sound' || (disk === 'flaky' && uniform(random) >= FLAKY_SHARE)) return DONE;
      const reason = disk === 'full' ? 'full' : 'sync';
      return { type: 'fails', reason, kept: reason === 'sync' && uniform(random) < 0.5 };
    },
    fateOf: () => {
      if (!active || lossy === null || uniform(random) >= lossy.share) return NORMAL;
      const fate = pick<Fate>([
        { type: 'request-lost' },
        { type: 'reply-lost' },
        { type: 'reset', arrived: false },
        { type: 'reset', arrived: true },
        { type: 'slow', extraMs: Math.min(4_000, 200 + exponential(random, 2_000)) },
      ]);
      count(`network ${fate.type}`);
      return fate;
    },
  };
};

const isIntent = ({ type }: LedgerRecord): boolean => type === 'order-intended';
