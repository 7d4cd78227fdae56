/**
 * Does a strategy know the future? The run is made again on data that end earlier: whatever was decided before that end
 * must have been decided in the same way. What differs was decided by something that had not happened yet.
 */
import { formatDecimal } from '../domain/money.js';
import { askedBy, type RunResult } from './run-result.js';

/** One decision that was made otherwise when the future was missing. */
export interface LookaheadFinding {
  /** The data ended here, Unix ms. */
  readonly cutMs: number;
  /** When it was decided; in the whole run, and in the shorter one. Null for not at all. */
  readonly whole: string | null;
  readonly cut: string | null;
}

export interface LookaheadResult {
  readonly cuts: readonly number[];
  /** Decisions compared, over all cuts. */
  readonly compared: number;
  /** The first difference of each cut that has one. */
  readonly findings: readonly LookaheadFinding[];
}

/**
 * @param whole the run over all data
 * @param runUntil makes the same run on the data up to a time (Unix ms)
 * @param cuts how many times the data are cut, evenly over the run
 */
export const checkLookahead = (
  whole: RunResult,
  runUntil: (untilMs: number) => RunResult,
  cuts: number,
): LookaheadResult => {
  const all = decisionsOf(whole);
  const times: number[] = [];
  const findings: LookaheadFinding[] = [];
  let compared = 0;
  for (let cut = 1; cut <= cuts; cut++) {
    const cutMs = Math.floor(whole.fromMs + ((whole.toMs - whole.fromMs) * cut) / (cuts + 1));
    times.push(cutMs);
    const before = all.filter(({ atMs }) => atMs <= cutMs);
    const short = decisionsOf(runUntil(cutMs)).filter(({ atMs }) => atMs <= cutMs);
    compared += before.length;
    const most = Math.max(before.length, short.length);
    for (let index = 0; index < most; index++) {
      const left = before[index]?.words ?? null;
      const right = short[index]?.words ?? null;
      if (left === right) continue;
      findings.push({ cutMs, whole: left, cut: right });
      break;
    }
  }
  return { cuts: times, compared, findings };
};

interface Decision {
  readonly atMs: number;
  readonly words: string;
}

/** What strategies asked for, in order: orders, whether let through or not, and cancels. Of several each is named. */
const decisionsOf = (run: RunResult): readonly Decision[] => {
  const by = (name: string): string => (run.strategies.length > 1 ? `${name}: ` : '');
  return run.records.flatMap((record): readonly Decision[] => {
    if (record.type === 'order-intended') {
      const { terms, intendedAtMs } = record.order;
      const price = terms.price === null ? 'market' : formatDecimal(terms.price);
      return [
        decision(
          intendedAtMs,
          `${by(record.order.strategy)}${terms.side} ${formatDecimal(terms.quantity)} ${terms.symbol} at ${price}`,
        ),
      ];
    }
    if (record.type !== 'audit') return [];
    if (record.event === 'intent-denied')
      return [
        decision(
          record.atMs,
          `${by(askedBy(record.facts.intentId))}denied ${record.facts.side} ${record.facts.symbol}: ${record.facts.code}`,
        ),
      ];
    if (record.event === 'cancel-wanted')
      return [decision(record.atMs, `cancel ${record.facts.clientOrderId}`)];
    return [];
  });
};

const decision = (atMs: number, words: string): Decision => ({
  atMs,
  words: `${new Date(atMs).toISOString()} ${words}`,
});
