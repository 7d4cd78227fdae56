/**
 * The documented request budgets (protocol section 8): fixed windows that begin with the first request, a block once
 * one is exceeded, bodies and `Retry-After` as documented.
 */
import { toJson } from './wire.js';

/** One budget. */
export interface RateLimit {
  readonly limit: number;
  readonly windowMs: number;
  readonly blockMs: number;
  /** As printed in the body. */
  readonly period: string;
  readonly policy: 'ip' | 'account';
}

const perMinute = (limit: number, policy: 'ip' | 'account' = 'ip'): RateLimit => ({
  limit,
  windowMs: 60_000,
  blockMs: 60_000,
  period: '1m',
  policy,
});
const perSecond = (limit: number): RateLimit => ({
  limit,
  windowMs: 1_000,
  blockMs: 1_000,
  period: '1s',
  policy: 'account',
});

/** Budgets by name. Those the venue does not publish are set to what it is assumed to have (60 a minute). */
export const RATE_LIMITS = {
  balances: [perMinute(120)],
  submit: [perSecond(10), perMinute(300, 'account')],
  cancel: [perSecond(10), perMinute(300, 'account')],
  order: [perSecond(30), perMinute(900, 'account')],
  'open-orders': [perMinute(300)],
  'all-orders': [perMinute(300)],
  'user-trades': [perMinute(120)],
  crypto: [perMinute(90)],
  fiat: [perMinute(90)],
  'trades-v1': [perMinute(90)],
  trades: [perMinute(90)],
  ticker: [perMinute(600)],
  'order-book': [perMinute(180)],
  ohlc: [perMinute(90)],
  'exchange-info': [perMinute(60)],
  'server-time': [perMinute(60)],
  ohlcs: [perMinute(120)],
  klines: [perMinute(150)],
  graph: [{ limit: 600, windowMs: 600_000, blockMs: 600_000, period: '10m', policy: 'ip' }],
  'socket-connect': [perMinute(15)],
} as const satisfies Record<string, readonly RateLimit[]>;

export type RateLimitName = keyof typeof RATE_LIMITS;

interface Window {
  startedMs: number;
  requests: number;
  blockedUntilMs: number;
}

/** Windows by budget and by who asked. */
export type RateWindows = Map<string, Window>;

/** A refused request: the budget it exceeded and how long it stays shut. */
export interface Exceeded {
  readonly budget: RateLimit;
  readonly retryAfterMs: number;
}

/**
 * Counts one request.
 * @param subject who asks: an address, or a key when the budget is an account's
 * @returns what it exceeded, or `undefined` when it may pass
 */
export const countRequest = (
  windows: RateWindows,
  name: RateLimitName,
  subject: string,
  nowMs: number,
): Exceeded | undefined => {
  let exceeded: Exceeded | undefined;
  const budgets: readonly RateLimit[] = RATE_LIMITS[name];
  for (let index = 0; index < budgets.length; index++) {
    const budget = budgets[index]!;
    const key = `${name}/${index}/${subject}`;
    let window = windows.get(key);
    if (window === undefined) {
      window = { startedMs: nowMs, requests: 0, blockedUntilMs: 0 };
      windows.set(key, window);
    }
    if (nowMs < window.blockedUntilMs) {
      exceeded ??= { budget, retryAfterMs: window.blockedUntilMs - nowMs };
      continue;
    }
    if (window.blockedUntilMs > 0 || nowMs - window.startedMs >= budget.windowMs) {
      window.startedMs = nowMs;
      window.requests = 0;
      window.blockedUntilMs = 0;
    }
    window.requests += 1;
    if (window.requests > budget.limit) {
      window.blockedUntilMs = nowMs + budget.blockMs;
      exceeded ??= { budget, retryAfterMs: budget.blockMs };
    }
  }
  return exceeded;
};

/** The 429 body, which has its own shape. */
export const tooManyRequests = ({ budget, retryAfterMs }: Exceeded): string => {
  const seconds = Math.ceil(retryAfterMs / 1_000);
  const again = budget.policy === 'account' ? ` Please try again in ${seconds} second(s).` : '';
  return toJson({
    message: 'TOO_MANY_REQUESTS',
    success: false,
    code: 429,
    details: `Quota exceeded. Maximum allowed: ${budget.limit} per ${budget.period}.${again}`,
    limit: String(budget.limit),
    period: budget.period,
    policy: budget.policy,
  });
};
