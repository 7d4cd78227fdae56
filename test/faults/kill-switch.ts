/**
 * Everything off, now: 25 orders rest, and the operator orders a kill. The drill is the whole path of an emergency: no
 * submit any more, paced cancels, and zero only when the exchange shows zero.
 */
import { Stage } from './harness.js';
import { definePart, type Row, seconds } from './part.js';
import { preciseMs } from './seam.js';

const RESTING = 25;
const LAST_DELETE_GOAL_MS = 3_500;
const ZERO_GOAL_MS = 10_000;
/** A drill ends by itself after 15 s. */
const DRILL_PATIENCE_MS = 60_000;

/** What the exchange does to the cancels of a kill. */
const VARIANTS = [
  [
    'cancels lost',
    `cancel-lost,count=${RESTING}`,
    'each is answered with success and never carried out, once',
  ],
  ['cancels refused', 'cancel-refused,count=10', 'ten are refused although they could be carried out'],
  ['cancels late', 'cancel-late=2000', 'each is carried out 2 s late'],
  [
    'cancels overtaken by fills',
    'cancel-overtaken,count=10',
    'ten orders fill before their cancel is carried out',
  ],
] as const;

/** Orders that rest far from the market, inside the venue's own limits on requests. */
const RESTING_PULSE = {
  STRATEGY_CONFIG: JSON.stringify({ intervalMs: 200, notional: '300', offsetBps: 300, maxOpen: 100 }),
  MAX_OPEN_ORDERS: String(RESTING),
  MAX_OPEN_ORDERS_PER_SYMBOL: String(RESTING),
  BTCTURK_RATE_LIMIT_RPS: '8',
  BTCTURK_RATE_LIMIT_BURST: '8',
};

interface Kill {
  readonly passed: boolean;
  readonly lastDeleteMs: number;
  readonly deletes: number;
  readonly lastPostMs: number;
  /** From the order to zero at the exchange; null when some were left at the end of the drill. */
  readonly zeroMs: number | null;
  /** What the bot says, ms. */
  readonly verifiedZeroMs: number | null;
  readonly left: number;
}

const oneKill = async (stage: Stage, name: string, contradictions: string[]): Promise<Kill> => {
  const account = stage.venue.exchange.account();
  await stage.until(`${RESTING} resting orders`, () => account.open.size >= RESTING);
  const orderedAtMs = preciseMs();
  let zeroAtMs: number | null = null;
  const answer = stage.ask({ type: 'drill-kill' }, DRILL_PATIENCE_MS);
  let answered = false;
  const settled = answer.finally(() => {
    answered = true;
  });
  await stage.until('the end of the drill', () => {
    if (account.open.size === 0) zeroAtMs ??= preciseMs();
    return answered;
  });
  const { drill, message } = await settled;
  if (drill === undefined) throw new Error(`${name}: ${message}`);
  // Whatever was open when the kill was ordered; the strategy may be at work again.
  const old = [...account.open.values()].filter(order => order.createdAtMs < orderedAtMs);
  if (drill.passed && (zeroAtMs === null || old.length > 0))
    contradictions.push(
      `${name}: the drill says zero and ${old.length} of the orders are open at the exchange`,
    );
  if (!drill.passed && old.length === 0 && drill.left.length > 0)
    contradictions.push(`${name}: the drill says ${drill.left.length} are left and the exchange has none`);
  const writes = stage.writes(orderedAtMs);
  const deletes = writes.filter(({ method, atMs }) => method === 'DELETE' && atMs <= (zeroAtMs ?? Infinity));
  const posts = writes.filter(({ method, atMs }) => method === 'POST' && atMs <= (zeroAtMs ?? 0));
  return {
    passed: drill.passed,
    lastDeleteMs: (deletes.at(-1)?.atMs ?? orderedAtMs) - orderedAtMs,
    deletes: deletes.length,
    lastPostMs: Math.max(0, (posts.at(-1)?.atMs ?? orderedAtMs) - orderedAtMs),
    zeroMs: zeroAtMs === null ? null : zeroAtMs - orderedAtMs,
    verifiedZeroMs: drill.verifiedZeroMs,
    left: old.length,
  };
};

const words = (kill: Kill): string =>
  [
    `last DELETE ${seconds(kill.lastDeleteMs)} (${kill.deletes} sent)`,
    `zero at the exchange ${kill.zeroMs === null ? 'not within the drill' : seconds(kill.zeroMs)}`,
    `verified by the bot ${kill.verifiedZeroMs === null ? `no: ${kill.left} left, and said so` : seconds(kill.verifiedZeroMs)}`,
    `last POST ${seconds(kill.lastPostMs)}`,
  ].join('; ');

export const killSwitch = definePart({
  name: 'kill-switch',
  title: 'The kill',
  about: `${RESTING} orders rest; \`btcbot drill kill\` forbids every submit and pulls them, at the venue's documented limits on requests
(10 a second, 300 a minute for cancels, of which the bot uses 80 %). Then the same with the exchange misbehaving:
${VARIANTS.map(([name, , about]) => `${name} (${about})`).join(', ')}.`,
  full: { kills: 5, variants: VARIANTS.length },
  small: { kills: 1, variants: 0 },
  run: async (size, { seed }) => {
    const stage = await Stage.open(seed + 5_000);
    const contradictions: string[] = [];
    const plain: Kill[] = [];
    const rows: Row[] = [];
    try {
      await stage.start(RESTING_PULSE).until(line => line.event === 'recovered');
      for (let index = 0; index < size.kills; index++)
        plain.push(await oneKill(stage, 'plain', contradictions));
      for (const kill of plain)
        rows.push(['25 resting orders', 'last DELETE ≤ 3.5 s, verified zero ≤ 10 s', words(kill)]);
      for (const [name, fault] of VARIANTS.slice(0, size.variants)) {
        const { open } = stage.venue.exchange.account();
        await stage.until(`${RESTING} resting orders`, () => open.size >= RESTING);
        stage.venue.fault(fault);
        const kill = await oneKill(stage, name, contradictions);
        stage.venue.clearFaults();
        rows.push([name, 'the end is right', words(kill)]);
      }
      for (const kill of plain) if (!kill.passed) contradictions.push('a plain kill did not reach zero');
      contradictions.push(...stage.contradictions(), ...(await stage.finish()));
      const good = plain.filter(
        kill => kill.lastDeleteMs <= LAST_DELETE_GOAL_MS && (kill.verifiedZeroMs ?? Infinity) <= ZERO_GOAL_MS,
      );
      rows.push(
        ['plain kills within both goals', 'all', `${good.length} of ${plain.length}`],
        ['a zero that was none; books against the exchange at the end', '0', String(contradictions.length)],
      );
      return { rows, contradictions };
    } finally {
      await stage.close();
    }
  },
});
