/**
 * What the venue has closed for maintenance, pair by pair or as a whole (protocol sections 7.2 and 11). It says so only by
 * refusing, and gives no time for the end: so nothing new goes there for minutes, then one order alone is tried, whose
 * fate decides. No hold stands for it, since no order passes the fence under a hold, and this one ends by an order.
 */
import type { ClientOrderId } from './order.js';
import type { Now } from './step.js';

/** Nothing new is tried for this long after the venue said that it is closed (protocol section 7.2: minutes). */
export const VENUE_BLOCK_RETRY_MS = 120_000;

/** Subject of a block on everything. */
export const WHOLE_VENUE = '';

export interface VenueBlock {
  /** A symbol, or {@link WHOLE_VENUE}. */
  readonly subject: string;
  /** The venue's words, the newest. */
  readonly words: string;
  /** When it began, Unix ms. */
  readonly sinceMs: number;
  /** Monotonic ms from which one order may be tried. */
  readonly retryAtMonoMs: number;
  /** The order that is being tried; null for none. */
  readonly trial: ClientOrderId | null;
}

/** By subject. Owned state; change it only through the functions below. */
export type VenueBlocks = Map<string, VenueBlock>;

const CLOSED_PAIR = /^ORDER_(?:INSERT|CANCEL)_BLOCKED\b/;
const CLOSED_VENUE = /^SYSTEM_UNDER_MAINTENANCE\b/;

/** What a refusal of a write on `symbol` says is closed: the pair, everything, or (null) nothing. */
export const closedBy = (words: string, symbol: string): string | null => {
  if (CLOSED_VENUE.test(words)) return WHOLE_VENUE;
  return CLOSED_PAIR.test(words) ? symbol : null;
};

/** The venue says that it is closed. @returns whether that is news. */
export const noteBlock = (blocks: VenueBlocks, subject: string, words: string, now: Now): boolean => {
  const known = blocks.get(subject);
  blocks.set(subject, {
    subject,
    words,
    sinceMs: known?.sinceMs ?? now.wallMs,
    retryAtMonoMs: now.monoMs + VENUE_BLOCK_RETRY_MS,
    trial: known?.trial ?? null,
  });
  return known === undefined;
};

/** The block that forbids an order on `symbol`; null when none does. `order` names one that may be on trial. */
export const blockOn = (
  blocks: ReadonlyMap<string, VenueBlock>,
  symbol: string,
  nowMonoMs: number,
  order: ClientOrderId | null,
): VenueBlock | null => {
  for (const subject of [WHOLE_VENUE, symbol]) {
    const block = blocks.get(subject);
    if (block === undefined) continue;
    if (nowMonoMs < block.retryAtMonoMs || (block.trial !== null && block.trial !== order)) return block;
  }
  return null;
};

/** An order was let through: where a block stands it is the one that is tried. */
export const beginTrial = (blocks: VenueBlocks, symbol: string, order: ClientOrderId): void => {
  for (const subject of [WHOLE_VENUE, symbol]) {
    const block = blocks.get(subject);
    if (block !== undefined) blocks.set(subject, { ...block, trial: order });
  }
};

/**
 * How the order on trial came out: the venue took it, or it ended without (another may be tried). What the venue has closed
 * again meanwhile stays so.
 * @returns the blocks that are over.
 */
export const settleTrial = (
  blocks: VenueBlocks,
  order: ClientOrderId,
  fate: 'taken' | 'ended',
  nowMonoMs: number,
): readonly VenueBlock[] => {
  const over: VenueBlock[] = [];
  for (const [subject, block] of blocks) {
    if (block.trial !== order) continue;
    if (fate === 'ended' || nowMonoMs < block.retryAtMonoMs) blocks.set(subject, { ...block, trial: null });
    else {
      blocks.delete(subject);
      over.push(block);
    }
  }
  return over;
};
