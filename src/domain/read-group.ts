/**
 * Reads that belong together: a pass, a search for evidence, a look at one order. A group ends when each of its parts
 * has been answered in full (lists that the venue cut off are read on, window by window) or has failed.
 */

import type { ClientOrderId, VenueOrderId } from './order.js';
import { type ReadSchedule, type SettledRead, wantRead } from './read-schedule.js';
import type { ReadAnswer, ReadFailure, VenueRead } from './venue-port.js';

/** Who asked. */
export type GroupOwner =
  | { readonly type: 'pass' }
  | { readonly type: 'opening' }
  | { readonly type: 'evidence'; readonly symbol: string; readonly orders: readonly ClientOrderId[] }
  | { readonly type: 'watch'; readonly clientOrderId: ClientOrderId }
  | { readonly type: 'foreign'; readonly venueOrderId: VenueOrderId }
  | { readonly type: 'balances' }
  | { readonly type: 'marks' }
  | { readonly type: 'clock' };

export interface ReadPurpose {
  readonly group: number;
  readonly part: string;
}

interface Part {
  /** Requests of it that are not settled. */
  open: number;
  /** When the first of its requests left: what it shows is at least as new. */
  asOfMonoMs: number | null;
  failure: ReadFailure | null;
}

export interface ReadGroup {
  readonly id: number;
  readonly owner: GroupOwner;
  readonly parts: Map<string, Part>;
}

/** What groups need of the brain's state. */
export interface ReadGroups {
  readonly schedule: ReadSchedule<ReadPurpose>;
  readonly groups: Map<number, ReadGroup>;
  nextGroup: number;
}

/** Rows per answer of the trades endpoint (protocol section 5.2). */
export const TRADES_CAP = 200;
/** The most rows that can be asked for (protocol section 5.6). */
export const ALL_ORDERS_LIMIT = 1_000;
/** Older reports know lower caps, whatever was asked for: a list of exactly this length may have been cut off. */
const SUSPECT_LENGTHS: ReadonlySet<number> = new Set([25, 50, 100, 200, 500]);

/** Wants all reads of a group, each under its own part name. */
export const startGroup = (
  state: ReadGroups,
  owner: GroupOwner,
  calls: ReadonlyMap<string, VenueRead>,
  notBeforeMonoMs: number,
): ReadGroup => {
  const group: ReadGroup = { id: state.nextGroup++, owner, parts: new Map() };
  state.groups.set(group.id, group);
  for (const [part, call] of calls) {
    group.parts.set(part, { open: 0, asOfMonoMs: null, failure: null });
    wantPart(state, group, part, call, notBeforeMonoMs);
  }
  return group;
};

const wantPart = (
  state: ReadGroups,
  group: ReadGroup,
  name: string,
  call: VenueRead,
  notBeforeMonoMs: number,
): void => {
  const part = group.parts.get(name);
  if (part === undefined) return;
  wantRead(state.schedule, call, { group: group.id, part: name }, notBeforeMonoMs);
  part.open += 1;
};

/**
 * Takes a settled read of a group into it.
 * @returns the group when this was its last read, else null.
 */
export const settlePart = (
  state: ReadGroups,
  settled: Exclude<SettledRead<ReadPurpose>, { readonly type: 'unexpected' }>,
  nowMonoMs: number,
): ReadGroup | null => {
  const { purpose, sentMonoMs } = settled.read;
  const group = state.groups.get(purpose.group);
  const part = group?.parts.get(purpose.part);
  if (group === undefined || part === undefined || settled.type === 'retrying') return null;
  part.open -= 1;
  part.asOfMonoMs = Math.min(part.asOfMonoMs ?? sentMonoMs, sentMonoMs);
  if (settled.type === 'failed') part.failure = settled.failure;
  else for (const call of furtherReads(settled.answer)) wantPart(state, group, purpose.part, call, nowMonoMs);
  for (const each of group.parts.values()) if (each.open > 0) return null;
  state.groups.delete(group.id);
  return group;
};

/** When a part's first request left, or null when the part has failed: then it shows nothing. */
export const partAsOf = (group: ReadGroup, name: string): number | null => {
  const part = group.parts.get(name);
  return part === undefined || part.failure !== null ? null : part.asOfMonoMs;
};

/** When the group's first request left, or null when any part of it has failed. */
export const groupAsOf = (group: ReadGroup): number | null => {
  let least: number | null = null;
  for (const { asOfMonoMs, failure } of group.parts.values()) {
    if (asOfMonoMs === null || failure !== null) return null;
    least = Math.min(least ?? asOfMonoMs, asOfMonoMs);
  }
  return least;
};

/** The parts that failed, for people. */
export const failedParts = (group: ReadGroup): string[] =>
  [...group.parts]
    .filter(([, part]) => part.failure !== null)
    .map(([name, part]) => `${name} (${describeFailure(part.failure)})`);

/** Not one part was answered: there is no connection to be had. */
export const isUnreachable = (group: ReadGroup): boolean =>
  [...group.parts.values()].every(
    ({ failure }) => failure?.type === 'unavailable' && failure.cause === 'disconnect',
  );

const describeFailure = (failure: ReadFailure | null): string => {
  switch (failure?.type) {
    case undefined:
      return 'no answer';
    case 'rate-limited':
      return 'rate limited';
    case 'unauthorized':
      return `unauthorized: ${failure.message}`;
    case 'refused':
      return `refused: ${failure.code} ${failure.message}`;
    case 'unavailable':
      return failure.cause;
  }
};

/** The windows that a list which was cut off has not shown. Empty when the list was whole. */
export const furtherReads = (answer: ReadAnswer): VenueRead[] => {
  if (!answer.result.ok) return [];
  if (answer.call.type === 'trades') {
    const { fills } = answer.result.value as { readonly fills: readonly { readonly executedAtMs: number }[] };
    return fills.length < TRADES_CAP ? [] : olderTrades(answer.call, fills);
  }
  if (answer.call.type === 'all-orders') {
    const { orders } = answer.result.value as {
      readonly orders: readonly { readonly createdAtMs: number }[];
    };
    const whole = orders.length < answer.call.limit && !SUSPECT_LENGTHS.has(orders.length);
    return whole ? [] : otherOrders(answer.call, orders);
  }
  return [];
};

/**
 * The cut keeps the newest rows: what is older than the oldest shown, with its millisecond again. Whether a row of the
 * very end of a window is in it is not documented: the next window ends a millisecond later.
 */
const olderTrades = (
  call: Extract<VenueRead, { readonly type: 'trades' }>,
  fills: readonly { readonly executedAtMs: number }[],
): VenueRead[] => {
  const oldest = fills.reduce((least, fill) => Math.min(least, fill.executedAtMs), Number.POSITIVE_INFINITY);
  const afterOldest = oldest + 1;
  const toMs = call.toMs !== null && afterOldest >= call.toMs ? call.toMs - 1 : afterOldest;
  return call.fromMs !== null && toMs < call.fromMs ? [] : [{ ...call, toMs }];
};

/** Nothing is documented about order or cut of this list: both sides of what was shown, in whole seconds (section 5.6). */
const otherOrders = (
  call: Extract<VenueRead, { readonly type: 'all-orders' }>,
  orders: readonly { readonly createdAtMs: number }[],
): VenueRead[] => {
  const times = orders.map(order => order.createdAtMs);
  const oldest = Math.floor(Math.min(...times) / 1_000) * 1_000 + 1_000;
  const newest = Math.floor(Math.max(...times) / 1_000) * 1_000;
  const windows: VenueRead[] = [];
  const narrower = (fromMs: number | null, toMs: number | null): void => {
    const shrinks = fromMs !== call.fromMs || (toMs !== null && (call.toMs === null || toMs < call.toMs));
    if (shrinks && (fromMs === null || toMs === null || fromMs < toMs))
      windows.push({ ...call, fromMs, toMs });
  };
  narrower(call.fromMs, oldest);
  if (call.fromMs === null || newest > call.fromMs) narrower(newest, call.toMs);
  return windows;
};
