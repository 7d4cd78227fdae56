/**
 * A venue that takes every connection and closes it again: a trading bot with its public and its private socket, and,
 * as in a dry run, the public feed beside a mirrored exchange. Attempts are counted where they arrive, at the venue.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ATTEMPTS_PER_ADDRESS } from '#src/domain/reconnect.js';
import { parseFault } from '#src/exchange/faults.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import { startMarketDataThread } from '../workers/market-data-thread.js';
import { Stage } from './harness.js';
import { ascending, at, definePart, millis, type PartResult, type Row, seconds } from './part.js';
import { type PingSample, preciseMs } from './seam.js';

export interface ReconnectStormPlan {
  readonly seed: number;
  /** The same messages timed before the storm, for comparison. */
  readonly baselineMs: number;
  readonly stormMs: number;
}

export interface ReconnectStormResult {
  /** Times of the attempts of the bot's two sockets, and of the dry run's two. */
  readonly trading: readonly number[];
  readonly mirrored: readonly number[];
  readonly before: readonly PingSample[];
  readonly during: readonly PingSample[];
  readonly contradictions: readonly string[];
}

const WINDOW_MS = 60_000;
const LOOK_MS = 5;
const FIRST_ATTEMPT_MS = 60_000;
const STORM = 'reconnect-storm=50';

/** Begins the storm at an exchange, and notes every connection it takes from then on. */
const countAttempts = (
  exchange: RunningExchange,
): { readonly times: number[]; lasts(ms: number): Promise<void> } => {
  const times: number[] = [];
  // A refusal would hide an attempt.
  for (const text of ['no-rate-limits', STORM, 'abrupt-drop'])
    exchange.admin({ type: 'set-fault', fault: parseFault(text) });
  const looks = setInterval(() => {
    const storm = exchange.venue.faults.active.find(({ spec }) => spec.name === 'reconnect-storm');
    while (times.length < (storm?.struck ?? 0)) times.push(preciseMs());
  }, LOOK_MS);
  return {
    times,
    lasts: async ms => {
      await pause(ms);
      // The first attempt comes within the first wait's jitter; a short storm waits for it, so that it shows something.
      for (const untilMs = preciseMs() + FIRST_ATTEMPT_MS; times.length === 0 && preciseMs() < untilMs; )
        await pause(LOOK_MS);
      clearInterval(looks);
    },
  };
};

/** Most attempts within any minute. */
export const mostInAMinute = (times: readonly number[]): number =>
  Math.max(0, ...times.map(from => times.filter(time => time >= from && time < from + WINDOW_MS).length));

/** A market-data actor and a mirrored exchange at one venue, as a dry run has them. */
const mirrorStorm = async ({ seed, stormMs }: ReconnectStormPlan): Promise<readonly number[]> => {
  const symbols = ['BTCTRY'];
  const source = await startExchange({ market: { type: 'generated' }, symbols, seed });
  const mirror = await startExchange({
    market: { type: 'mirror', wsUrl: source.wsUrl, baseUrl: source.url },
    symbols,
  });
  const feed = startMarketDataThread({ baseUrl: source.url, wsUrl: source.wsUrl, symbols });
  const isTrusted = new Promise<void>(resolve => {
    feed.connect('strategy', event => {
      if (event.type === 'book-updated' && event.book.trusted) resolve();
    });
  });
  try {
    await feed.control.start();
    await isTrusted;
    const attempts = countAttempts(source);
    await attempts.lasts(stormMs);
    return attempts.times;
  } finally {
    await feed.terminate();
    await mirror.close();
    await source.close();
  }
};

export const reconnectStorm = async (plan: ReconnectStormPlan): Promise<ReconnectStormResult> => {
  const stage = await Stage.open(plan.seed);
  try {
    await stage.start().until(line => line.event === 'recovered');
    await stage.trading(1);
    stage.startPings();
    await pause(plan.baselineMs);
    const before = await stage.pings();
    const attempts = countAttempts(stage.venue.exchange);
    const [mirrored] = await Promise.all([mirrorStorm(plan), attempts.lasts(plan.stormMs)]);
    const during = await stage.pings();
    stage.venue.clearFaults();
    return { trading: attempts.times, mirrored, before, during, contradictions: await stage.finish() };
  } finally {
    await stage.close();
  }
};

const gapsOf = (times: readonly number[]): readonly number[] =>
  ascending(times.slice(1).map((time, index) => time - (times[index] ?? 0)));

const attemptRows = (what: string, times: readonly number[]): readonly Row[] => {
  const gaps = gapsOf(times);
  return [
    [
      `${what}: attempts in all, and at most in any 60 s`,
      `at most ${ATTEMPTS_PER_ADDRESS} in 60 s`,
      `${times.length}, ${mostInAMinute(times)}`,
    ],
    [
      `${what}: time between attempts`,
      'spread by jitter',
      gaps.length === 0
        ? 'one attempt'
        : `shortest ${seconds(gaps[0] ?? 0)}, median ${seconds(at(gaps, 0.5))}, longest ${seconds(gaps.at(-1) ?? 0)}`,
    ],
  ];
};

/** A ping that was never answered counts as one that took a second. */
const tookOf = (samples: readonly PingSample[], actor: string): readonly number[] =>
  ascending(samples.filter(sample => sample.actor === actor).map(({ tookMs }) => tookMs ?? 1_000));

const latencyRows = ({ before, during }: ReconnectStormResult): readonly Row[] =>
  [...new Set(before.map(({ actor }) => actor))].map(actor => {
    const [calm, storm] = [tookOf(before, actor), tookOf(during, actor)];
    const ratio = (share: number): string => (at(storm, share) / at(calm, share)).toFixed(2);
    return [
      `a message to ${actor} and back: before, in the storm, and the ratio of the two`,
      'ratio near 1',
      `median ${millis(at(calm, 0.5))}, ${millis(at(storm, 0.5))}, ${ratio(0.5)}; p99 ${millis(at(calm, 0.99))}, ${millis(at(storm, 0.99))}, ${ratio(0.99)} (${calm.length}, ${storm.length})`,
    ];
  });

const judged = (result: ReconnectStormResult): PartResult => {
  const contradictions = [...result.contradictions];
  for (const [what, times] of [
    ['the bot', result.trading],
    ['the dry run', result.mirrored],
  ] as const) {
    const most = mostInAMinute(times);
    if (most > ATTEMPTS_PER_ADDRESS) contradictions.push(`${what} made ${most} attempts in a minute`);
    if (times.length === 0) contradictions.push(`${what} made no attempt: nothing was shown`);
    // Two sockets that were lost together and come back together were not spread.
    const gaps = gapsOf(times);
    if (gaps.length > 8 && gaps.filter(gap => gap < 20).length > gaps.length / 4)
      contradictions.push(`${what} makes its attempts together`);
  }
  return {
    rows: [
      ...attemptRows('public and private socket of a bot', result.trading),
      ...attemptRows('public socket and mirror of a dry run', result.mirrored),
      ...latencyRows(result),
      [
        'books against the exchange after the storm',
        '0 contradictions',
        String(result.contradictions.length),
      ],
    ],
    contradictions,
  };
};

export const reconnects = definePart({
  name: 'reconnects',
  title: 'Reconnect storm',
  about: `Every connection is taken, and closed again after 50 ms. One bot trades with its public and its private socket at a venue;
beside it, at another, the public feed and a mirrored exchange are what a dry run has there. Attempts are counted as they
arrive. Messages to every thread of the bot are timed before the storm and in it.`,
  full: { baselineMs: 60_000, stormMs: 180_000 },
  small: { baselineMs: 500, stormMs: 4_000 },
  run: async ({ baselineMs, stormMs }, { seed }) =>
    judged(await reconnectStorm({ seed: seed + 11_000, baselineMs, stormMs })),
});
