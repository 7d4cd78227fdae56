/**
 * The intents that were approved within the last minute, and how many of them were the same order. Counted as they come
 * and go: an order must not wait for a look at all of a busy minute (0.1 ms of 600, none of them in the cache).
 */

const MINUTE_MS = 60_000;

/** When an intent was approved, monotonic ms, and a text that is equal for equal orders. */
export interface Approval {
  readonly at: number;
  readonly fingerprint: string;
}

/** Owned; changed through the functions below. */
export interface RecentApprovals {
  /** Oldest first. */
  approvals: Approval[];
  /** How many of them count as an order of this fingerprint. */
  readonly same: Map<string, number>;
}

/** @param approvals oldest first */
export const recentApprovals = (approvals: readonly Approval[]): RecentApprovals => {
  const recent: RecentApprovals = { approvals: [], same: new Map() };
  for (const approval of approvals) noteApproval(recent, approval);
  return recent;
};

export const noteApproval = ({ approvals, same }: RecentApprovals, approval: Approval): void => {
  approvals.push(approval);
  same.set(approval.fingerprint, repeatsOf(same, approval.fingerprint) + 1);
};

/** Lets go of what is a minute old. */
export const forgetApprovals = ({ approvals, same }: RecentApprovals, monoMs: number): void => {
  let gone = 0;
  for (const { at, fingerprint } of approvals) {
    if (at > monoMs - MINUTE_MS) break;
    gone += 1;
    const left = repeatsOf(same, fingerprint) - 1;
    if (left > 0) same.set(fingerprint, left);
    else same.delete(fingerprint);
  }
  if (gone > 0) approvals.splice(0, gone);
};

/** The count of equal orders begins anew; how many there were in the minute stays. */
export const forgetRepeats = (recent: RecentApprovals): void => {
  recent.same.clear();
  recent.approvals = recent.approvals.map(({ at }) => ({ at, fingerprint: '' }));
};

/** How many orders of this fingerprint were approved, as far as they are known. */
export const repeatsOf = (same: ReadonlyMap<string, number>, fingerprint: string): number =>
  same.get(fingerprint) ?? 0;
