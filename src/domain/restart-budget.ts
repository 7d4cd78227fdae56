/**
 * How often a worker may crash: `limit` crashes within `windowMs` use the budget up. One burst is forgiven, a crash
 * loop is not.
 */
export interface RestartBudget {
  readonly limit: number;
  readonly windowMs: number;
  /** Monotonic times of the crashes inside the window, oldest first. */
  readonly crashes: readonly number[];
}

export const restartBudget = (limit: number, windowMs: number): RestartBudget => ({
  limit,
  windowMs,
  crashes: [],
});

/** Counts a crash at `monoMs`. `exhausted` says that this one must not be followed by a restart. */
export const spend = (
  budget: RestartBudget,
  monoMs: number,
): { readonly budget: RestartBudget; readonly exhausted: boolean } => {
  const crashes = [...budget.crashes.filter(at => monoMs - at < budget.windowMs), monoMs];
  return { budget: { ...budget, crashes }, exhausted: crashes.length >= budget.limit };
};

/** A fresh start, after an operator has looked at the cause. */
export const refill = (budget: RestartBudget): RestartBudget => ({ ...budget, crashes: [] });
