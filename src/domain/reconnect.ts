/**
 * When to connect again: full jitter under a doubling bound, never more than a number of attempts in any window, and
 * no forgiveness before the feed has been useful for a while (a server that accepts and closes would earn it at once).
 */

export interface ReconnectPolicy {
  /** The first wait after a loss is uniform between 0 and this. */
  readonly firstMs: number;
  /** The bound doubles with every further loss, up to this. */
  readonly boundMaxMs: number;
  /**
   * Attempts allowed in any `windowMs`. The venue refuses the 16th in a minute and advises ten (protocol section 9.4),
   * counted per address: whoever connects from this machine has a share of the ten.
   */
  readonly attemptsMax: number;
  readonly windowMs: number;
  /** Useful data for this long forgets the losses before. */
  readonly forgiveAfterMs: number;
}

/** Attempts of everybody together in any minute. */
export const ATTEMPTS_PER_ADDRESS = 10;
/** So few attempts in the window that a successor may connect at once: the share still has room for a loss or two. */
const FEW_ATTEMPTS = 3;

/** The public socket's share. */
export const PUBLIC_RECONNECT: ReconnectPolicy = {
  firstMs: 5_000,
  boundMaxMs: 60_000,
  attemptsMax: 6,
  windowMs: 60_000,
  forgiveAfterMs: 60_000,
};

/** The private socket's share: with the public one it makes up the ten when the bot is live. */
export const PRIVATE_RECONNECT: ReconnectPolicy = {
  ...PUBLIC_RECONNECT,
  attemptsMax: ATTEMPTS_PER_ADDRESS - PUBLIC_RECONNECT.attemptsMax,
};

/**
 * The share of an embedded exchange that mirrors the venue's market: in a dry run it stands in the place of the private
 * socket, which then goes to that exchange and not to the venue.
 */
export const MIRROR_RECONNECT: ReconnectPolicy = PRIVATE_RECONNECT;

export interface ReconnectState {
  /** State of the jitter's generator. */
  random: number;
  /** Losses since the feed was last useful for long enough. */
  losses: number;
  /** Monotonic times of the attempts inside the window, oldest first. */
  attempts: number[];
  usefulSinceMonoMs: number | null;
}

/**
 * @param seed any integer; different seeds spread the attempts of different processes
 * @param forgottenAttempts attempts that an earlier incarnation may just have made
 */
export const initialReconnect = (seed: number, forgottenAttempts = 0, monoMs = 0): ReconnectState => ({
  random: seed >>> 0,
  losses: 0,
  attempts: Array.from({ length: forgottenAttempts }, () => monoMs),
  usefulSinceMonoMs: null,
});

/**
 * A worker has replaced another whose attempts are known: when it may connect for the first time (monotonic ms). That its
 * predecessor ended says nothing about the connection, so it waits only when there were many attempts lately.
 *
 * @param earlier monotonic times of the predecessors' attempts, oldest first; `state` counts them from now on
 */
export const attemptAfterRestart = (
  state: ReconnectState,
  policy: ReconnectPolicy,
  earlier: readonly number[],
  monoMs: number,
): number => {
  for (const attempt of earlier) noteAttempt(state, policy, attempt);
  return attemptsInWindow(state, policy, monoMs) <= FEW_ATTEMPTS
    ? monoMs
    : attemptAfterLoss(state, policy, monoMs);
};

/** A connection was lost, refused or given up: when to try again (monotonic ms). */
export const attemptAfterLoss = (state: ReconnectState, policy: ReconnectPolicy, monoMs: number): number => {
  const boundMs = Math.min(policy.boundMaxMs, policy.firstMs * 2 ** Math.min(state.losses, 16));
  state.losses += 1;
  state.usefulSinceMonoMs = null;
  return earliestAllowed(state, policy, monoMs + uniform(state) * boundMs);
};

/** `atMonoMs`, or the later time at which the window has room for one more attempt. */
export const earliestAllowed = (state: ReconnectState, policy: ReconnectPolicy, atMonoMs: number): number => {
  const blocking = state.attempts.at(-policy.attemptsMax);
  return blocking === undefined ? atMonoMs : Math.max(atMonoMs, blocking + policy.windowMs + 1);
};

/** An attempt begins now. */
export const noteAttempt = (state: ReconnectState, policy: ReconnectPolicy, monoMs: number): void => {
  state.attempts.push(monoMs);
  if (state.attempts.length > policy.attemptsMax) state.attempts.shift();
};

/** Something useful arrived. */
export const noteUseful = (state: ReconnectState, policy: ReconnectPolicy, monoMs: number): void => {
  state.usefulSinceMonoMs ??= monoMs;
  if (monoMs - state.usefulSinceMonoMs >= policy.forgiveAfterMs) state.losses = 0;
};

/** Attempts in the window that ends now. */
export const attemptsInWindow = (state: ReconnectState, policy: ReconnectPolicy, monoMs: number): number => {
  let count = 0;
  for (const attempt of state.attempts) if (monoMs - attempt < policy.windowMs) count += 1;
  return count;
};

/** The next draw in [0, 1): a 32-bit counter-based mixer, good enough to spread waits and the same on every run. */
export const uniform = (state: { random: number }): number => {
  state.random = (state.random + 0x9e3779b9) >>> 0;
  let mixed = state.random;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
};
