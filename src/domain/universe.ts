/**
 * Which of the allowed symbols are worth trading now. A pure choice from the venue's tickers under rules an operator
 * writes; it never adds a symbol that is not in `SYMBOLS`, and it forbids nothing: strategies see it and decide.
 *
 * A symbol that falls out stays out for the cooldown, so that one at the border does not come and go.
 */
import type { MarketTicker } from './market-events.js';
import { type Amount, notional } from './money.js';

/** Rules; null is no rule. */
export interface UniverseRules {
  /** Least value traded in 24 hours, in quote of the symbol. */
  readonly minVolume: Amount | null;
  /** Greatest distance of bid and ask, bps of their middle. */
  readonly maxSpreadBps: number | null;
  /** Least time for which the symbol has been watched, ms: the venue does not say when it was listed. */
  readonly minAgeMs: number;
  /** Only these; null for all. */
  readonly allow: readonly string[] | null;
  readonly deny: readonly string[];
  /** How long a symbol that fell out stays out, ms. */
  readonly cooldownMs: number;
  /** At most this many, those with the greatest volume; null for all. */
  readonly maxSymbols: number | null;
}

export const NO_RULES: UniverseRules = {
  minVolume: null,
  maxSpreadBps: null,
  minAgeMs: 0,
  allow: null,
  deny: [],
  cooldownMs: 0,
  maxSymbols: null,
};

/** Why a symbol is out, in order of precedence. */
export type UniverseReason =
  | 'denied'
  | 'not-allowed'
  | 'no-ticker'
  | 'too-young'
  | 'volume-too-low'
  | 'spread-too-wide'
  | 'cooling-down'
  | 'beyond-the-most';

export interface Universe {
  /** In, by volume, greatest first; without rules in the order of `SYMBOLS`. */
  readonly symbols: readonly string[];
  readonly out: ReadonlyMap<string, UniverseReason>;
  /** Against the choice before. */
  readonly entered: readonly string[];
  readonly left: readonly string[];
}

/** What a choice leaves for the next one. Times are Unix ms. */
export interface UniverseMemory {
  readonly firstSeenMs: ReadonlyMap<string, number>;
  readonly leftAtMs: ReadonlyMap<string, number>;
  readonly symbols: readonly string[];
}

export const wholeUniverse = (symbols: readonly string[]): Universe => ({
  symbols,
  out: new Map(),
  entered: [],
  left: [],
});

export const initialUniverseMemory: UniverseMemory = {
  firstSeenMs: new Map(),
  leftAtMs: new Map(),
  symbols: [],
};

/** Chooses among `symbols`. A symbol without a ticker is out: what is not known is not traded. */
export const chooseUniverse = (
  symbols: readonly string[],
  rules: UniverseRules,
  tickers: readonly MarketTicker[],
  memory: UniverseMemory,
  nowMs: number,
): { readonly universe: Universe; readonly memory: UniverseMemory } => {
  const bySymbol = new Map(tickers.map(ticker => [ticker.symbol, ticker]));
  const firstSeenMs = new Map(memory.firstSeenMs);
  const leftAtMs = new Map(memory.leftAtMs);
  const out = new Map<string, UniverseReason>();
  const passed: { readonly symbol: string; readonly volume: Amount }[] = [];
  for (const symbol of symbols) {
    const ticker = bySymbol.get(symbol);
    if (ticker !== undefined && !firstSeenMs.has(symbol)) firstSeenMs.set(symbol, nowMs);
    const volume = ticker === undefined ? 0n : notional(ticker.last, ticker.volume);
    const reason = reasonOf(symbol, ticker, volume, rules, firstSeenMs, leftAtMs, nowMs);
    if (reason === null) passed.push({ symbol, volume });
    else out.set(symbol, reason);
  }
  passed.sort((one, other) =>
    one.volume === other.volume ? (one.symbol < other.symbol ? -1 : 1) : one.volume > other.volume ? -1 : 1,
  );
  const most = rules.maxSymbols ?? passed.length;
  for (const { symbol } of passed.slice(most)) out.set(symbol, 'beyond-the-most');
  const chosen = passed.slice(0, most).map(({ symbol }) => symbol);
  const entered = chosen.filter(symbol => !memory.symbols.includes(symbol));
  const left = memory.symbols.filter(symbol => !chosen.includes(symbol));
  for (const symbol of left) leftAtMs.set(symbol, nowMs);
  for (const symbol of chosen) leftAtMs.delete(symbol);
  return {
    universe: { symbols: chosen, out, entered, left },
    memory: { firstSeenMs, leftAtMs, symbols: chosen },
  };
};

const reasonOf = (
  symbol: string,
  ticker: MarketTicker | undefined,
  volume: Amount,
  rules: UniverseRules,
  firstSeenMs: ReadonlyMap<string, number>,
  leftAtMs: ReadonlyMap<string, number>,
  nowMs: number,
): UniverseReason | null => {
  if (rules.deny.includes(symbol)) return 'denied';
  if (rules.allow !== null && !rules.allow.includes(symbol)) return 'not-allowed';
  if (ticker === undefined) return 'no-ticker';
  if (nowMs - (firstSeenMs.get(symbol) ?? nowMs) < rules.minAgeMs) return 'too-young';
  if (rules.minVolume !== null && volume < rules.minVolume) return 'volume-too-low';
  if (rules.maxSpreadBps !== null && spreadBps(ticker) > rules.maxSpreadBps) return 'spread-too-wide';
  const leftMs = leftAtMs.get(symbol);
  return leftMs !== undefined && nowMs - leftMs < rules.cooldownMs ? 'cooling-down' : null;
};

/** A crossed or one-sided pair of prices counts as infinitely wide. */
const spreadBps = ({ bid, ask }: MarketTicker): number =>
  bid <= 0n || ask < bid
    ? Number.POSITIVE_INFINITY
    : Number(((ask - bid) * 20_000_000n) / (ask + bid)) / 1_000;
