/**
 * Every request is answered with a 429, in every form that Retry-After can take, while every socket is cut and each new
 * one closed again. The breaker must open at once, the venue must be left alone, and trading must come back in steps.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { HoldCause } from '#src/domain/safety.js';
import { type ArrivedRequest, isWrite, Stage, timeOf } from './harness.js';
import { ascending, definePart, type Row, seconds } from './part.js';
import { missingIn, momentOf } from './proof.js';
import { preciseMs } from './seam.js';

/** How Retry-After looks, and how long the venue is to be left alone by it: on an order path, and for reads, seconds. */
const FORMS: readonly (readonly [form: string, orderPathS: number, readS: number])[] = [
  ['seconds:1', 60, 1],
  ['seconds:90', 90, 90],
  ['date', 60, 5],
  ['missing', 60, 60],
  ['zero', 60, 1],
  ['negative', 60, 60],
  ['fraction', 60, 60],
  ['garbage', 60, 60],
  ['huge', 3_600, 3_600],
  ['text', 60, 60],
];
const OPEN_GOAL_MS = 1_000;
const OPEN_GOAL_REPLIES = 3;
/** What had left when the first 429 of its bucket came, and arrived after it. */
const IN_FLIGHT_MS = 250;
/** Gaps are judged this much shorter, since they are seen at the other end. */
const SLACK_MS = 250;
/** At a tenth of eight a second: what may leave in the first ten seconds after the pause, and one to begin with. */
const RAMP_MS = 10_000;
const RAMP_POSTS = 0.8 * (RAMP_MS / 1_000) + 1;
const RECOVERY_MS = 150_000;

/** Inside the venue's own limits. */
const POLITE = { BTCTURK_RATE_LIMIT_RPS: '8', BTCTURK_RATE_LIMIT_BURST: '8' };

/** The budget that a request is counted in: its endpoint, without what it asks for. */
const bucketOf = ({ method, path }: ArrivedRequest): string =>
  `${method} ${path.replace(/\?.*$/, '').replace(/\/\d+$/, '/:id')}`;

interface Storm {
  readonly form: string;
  /** From the first reply of the storm to the hold, and how many replies that took. */
  readonly openMs: number;
  readonly replies: number;
  readonly reconnectHeldMs: number | null;
  /** Most requests of one bucket that came before its pause was over. */
  readonly early: number;
  readonly earlyBucket: string;
  readonly requests: number;
  readonly reads: number;
  readonly causes: readonly string[];
}

const isHold =
  (cause: HoldCause) =>
  (line: { readonly [field: string]: unknown }): boolean =>
    line.cause === cause;

/** The longest run of requests in one bucket that came before the pause of the one before was over. */
const earlyRequests = (
  requests: readonly ArrivedRequest[],
  orderPathMs: number,
  readMs: number,
): { readonly most: number; readonly bucket: string } => {
  const byBucket = new Map<string, ArrivedRequest[]>();
  for (const request of requests)
    byBucket.set(bucketOf(request), [...(byBucket.get(bucketOf(request)) ?? []), request]);
  let most = 0;
  let worst = '';
  for (const [bucket, list] of byBucket) {
    const first = list[0] as ArrivedRequest;
    const pauseMs = (isWrite(first) ? orderPathMs : readMs) - SLACK_MS;
    const early = list.filter(
      ({ atMs }, index) =>
        atMs > first.atMs + IN_FLIGHT_MS && atMs - (list[index - 1]?.atMs ?? atMs) < pauseMs,
    ).length;
    if (early > most) {
      most = early;
      worst = bucket;
    }
  }
  return { most, bucket: worst };
};

const oneStorm = async (
  seed: number,
  [form, orderPathS, readS]: (typeof FORMS)[number],
  withReconnects: boolean,
  watchMs: number,
  contradictions: string[],
  after?: (stage: Stage) => Promise<void>,
): Promise<Storm> => {
  const stage = await Stage.open(seed);
  try {
    await stage.start(POLITE).until(line => line.event === 'recovered');
    await stage.trading(3);
    const fromIndex = stage.bot.events.length;
    stage.venue.fault(`rate-limit=${form},on=all`);
    if (withReconnects) {
      stage.venue.fault('reconnect-storm=50');
      stage.venue.fault('abrupt-drop');
    }
    const stormAtMs = preciseMs();
    const held = await stage.heard('hold-placed', fromIndex, isHold('rest-429'));
    const reconnectHeld = withReconnects
      ? await stage.heard('hold-placed', fromIndex, isHold('ws-reconnect'))
      : null;
    await pause(Math.max(0, watchMs - (preciseMs() - stormAtMs)));
    const requests = stage.requests.filter(({ atMs }) => atMs > stormAtMs);
    const firstAtMs = requests[0]?.atMs ?? stormAtMs;
    const { holds, maySubmit } = await stage.status();
    const causes = [...new Set(holds.map(({ cause }) => cause))];
    for (const cause of withReconnects ? ['rest-429', 'ws-reconnect'] : ['rest-429'])
      if (!causes.includes(cause as HoldCause)) contradictions.push(`${form}: ${cause} is not shown`);
    if (maySubmit) contradictions.push(`${form}: the bot may submit in the storm`);
    if (!withReconnects && causes.some(cause => cause === 'stale-data' || cause === 'book-untrusted'))
      contradictions.push(`${form}: market data stood still: ${causes.join(', ')}`);
    const { most, bucket } = earlyRequests(requests, orderPathS * 1_000, readS * 1_000);
    if (most > OPEN_GOAL_REPLIES)
      contradictions.push(`${form}: ${most} requests to ${bucket} came too early`);
    if (after !== undefined) await after(stage);
    contradictions.push(...stage.contradictions().map(text => `${form}: ${text}`));
    const heldAtMs = timeOf(held);
    return {
      form,
      openMs: Math.max(0, heldAtMs - firstAtMs),
      replies: requests.filter(({ atMs }) => atMs <= heldAtMs).length,
      reconnectHeldMs: reconnectHeld === null ? null : timeOf(reconnectHeld) - stormAtMs,
      early: most,
      earlyBucket: bucket,
      requests: requests.length,
      reads: requests.filter(request => !isWrite(request)).length,
      causes,
    };
  } finally {
    await stage.close();
  }
};

/** The storm is over: the first orders, and how many of them. */
const recovery = async (stage: Stage, rows: Row[], contradictions: string[]): Promise<void> => {
  stage.venue.clearFaults();
  const overAtMs = preciseMs();
  const posts = (): readonly ArrivedRequest[] =>
    stage.writes(overAtMs).filter(({ method }) => method === 'POST');
  await stage.until('orders after the storm', () => posts().length > 0, RECOVERY_MS);
  await pause(RAMP_MS);
  const firstAtMs = posts()[0]?.atMs ?? overAtMs;
  const inRamp = posts().filter(({ atMs }) => atMs < firstAtMs + RAMP_MS).length;
  if (inRamp > RAMP_POSTS) contradictions.push(`${inRamp} orders in the first ${RAMP_MS} ms after the pause`);
  rows.push([
    'after the storm (seconds:1): first order, orders in the next 10 s',
    `after the pause; at most ${RAMP_POSTS}, a tenth of the pace`,
    `${seconds(firstAtMs - overAtMs)}; ${inRamp}`,
  ]);
  stage.bot.kill('SIGTERM');
  await stage.bot.ended;
  // Reads are still rationed, so the last one may be older than the last fill: here orders and fills alone.
  const moment = momentOf(stage.venue.exchange.account());
  contradictions.push(
    ...missingIn(stage.database, moment).filter(text => !text.includes('has ended at the exchange')),
  );
  // After the next start balances too, to the last digit, also of what filled while nobody looked.
  await stage
    .start({ ...POLITE, STRATEGY: 'observe', STRATEGY_CONFIG: '{}' })
    .until(line => line.event === 'recovered');
  contradictions.push(...(await stage.finish()));
};

const words = (storm: Storm): string =>
  [
    `open after ${seconds(storm.openMs)} and ${storm.replies} replies`,
    ...(storm.reconnectHeldMs === null ? [] : [`ws-reconnect after ${seconds(storm.reconnectHeldMs)}`]),
    `${storm.early} early requests${storm.early === 0 ? '' : ` (${storm.earlyBucket})`}`,
    `${storm.requests} requests in all, ${storm.reads} of them reads`,
    `causes shown: ${storm.causes.join(', ')}`,
  ].join('; ');

export const storms = definePart({
  name: 'storms',
  title: 'Storms',
  about: `Every request is answered with a 429, in ${FORMS.length} forms of Retry-After, and at once every socket is cut and each new one closed
after 50 ms: a bot of its own for each form, with 8 orders a second, inside the venue's limits. Early are requests to an
endpoint that come before the pause of its last 429 is over (order paths at least a minute). Then the 429s alone.`,
  full: { forms: FORMS.length, watchMs: 20_000, recoveries: 1 },
  small: { forms: 1, watchMs: 1_000, recoveries: 0 },
  run: async (size, { seed }) => {
    const contradictions: string[] = [];
    const rows: Row[] = [];
    const found: Storm[] = [];
    for (const form of FORMS.slice(0, size.forms)) {
      const storm = await oneStorm(seed + 9_000, form, true, size.watchMs, contradictions).catch(
        (error: unknown) => {
          // The other forms are worth their minutes all the same.
          contradictions.push(
            `${form[0]}: broke off: ${error instanceof Error ? error.message : String(error)}`,
          );
          return null;
        },
      );
      if (storm === null) continue;
      found.push(storm);
      rows.push([`429 \`${storm.form}\` and reconnects`, 'open ≤ 1 s or 3 replies; ≤ 1 early', words(storm)]);
    }
    if (size.recoveries > 0) {
      const alone = await oneStorm(
        seed + 9_000,
        FORMS[0] as (typeof FORMS)[number],
        false,
        size.watchMs,
        contradictions,
        stage => recovery(stage, rows, contradictions),
      );
      found.push(alone);
      rows.push([
        '429 `seconds:1` alone: market data and reconciliation go on',
        'no stale or untrusted book; reads go on, one at a time',
        words(alone),
      ]);
    }
    const open = found.filter(
      ({ openMs, replies }) => openMs <= OPEN_GOAL_MS || replies <= OPEN_GOAL_REPLIES,
    );
    const longest = ascending(found.map(({ openMs }) => openMs)).at(-1) ?? 0;
    rows.push(
      ['breaker open in time', 'all', `${open.length} of ${found.length}, longest ${seconds(longest)}`],
      ['most early requests of one endpoint', '1', String(Math.max(0, ...found.map(({ early }) => early)))],
      ['a cause not shown; a ramp too steep; books against the exchange', '0', String(contradictions.length)],
    );
    return { rows, contradictions };
  },
});
