/** The trading state, computed from mode, flags and holds: nobody sets it. */
import { CAUSES, type HoldLevel } from './breaker.js';
import type { ControlState, Hold, Mode, TradingState } from './safety.js';

export interface SafetyFacts {
  readonly mode: Mode;
  readonly safeMode: boolean;
  readonly killSwitch: boolean;
  /** The DRY_RUN flag as it counts. */
  readonly dryRun: boolean;
  /** Every reason why no order of real money may be sent; empty only when armed. */
  readonly modeReasons: readonly string[];
  readonly symbols: readonly string[];
  readonly holds: readonly Hold[];
  /** Set from the order to stop on: nothing new; resting orders as configured. */
  readonly stopping: { readonly reason: string; readonly openOrders: 'leave' | 'cancel' } | null;
  /** True while a kill drill runs: as under the kill switch. */
  readonly drilling?: boolean;
}

/** Restrictions from strictest to none. */
const RESTRICTIONS = ['observe-only', 'killed', 'cancel-only', 'paused', 'none'] as const;
type Restriction = (typeof RESTRICTIONS)[number];

const stricter = (left: Restriction, right: Restriction): Restriction =>
  RESTRICTIONS.indexOf(left) <= RESTRICTIONS.indexOf(right) ? left : right;

/** What the flags alone allow. In live mode anything missing besides SAFE_MODE and KILL_SWITCH closes the bot too. */
const restrictionOfFlags = (facts: SafetyFacts): Restriction => {
  if (facts.safeMode) return 'observe-only';
  if (facts.killSwitch) return 'killed';
  return facts.mode === 'live' && facts.modeReasons.length > 0 ? 'observe-only' : 'none';
};

/** The level a hold puts on everything; null when it only concerns one of our symbols. */
const wholeLevel = (hold: Hold, symbols: readonly string[]): HoldLevel | null =>
  CAUSES[hold.cause].perSymbol && symbols.includes(hold.subject) ? null : CAUSES[hold.cause].level;

/** The symbols blocked one by one. */
const symbolsOf = (holds: readonly Hold[], symbols: readonly string[]): readonly string[] => [
  ...new Set(holds.filter(hold => wholeLevel(hold, symbols) === null).map(hold => hold.subject)),
];

/**
 * What may be done now. The strictest restriction that applies wins.
 *
 * `maySubmit` and `mayCancel` mean writes to whatever venue the mode writes to: the exchange itself when live, the
 * embedded exchange on paper and in dry run (where it mirrors the public feed). So a healthy dry run has state
 * `dry-run` and may submit: its orders act on the simulated venue, and the same holds stop them. On paper the embedded
 * exchange is the venue, so an explicit DRY_RUN=true leaves nowhere to write to, and nothing is.
 *
 * In state `killed` the only write is a cancel that belongs to an operator's cancel-all.
 */
export const tradingControl = (facts: SafetyFacts, epoch: number): ControlState => {
  let restriction = restrictionOfFlags(facts);
  for (const hold of facts.holds)
    restriction = stricter(restriction, wholeLevel(hold, facts.symbols) ?? 'none');
  const blockedSymbols = symbolsOf(facts.holds, facts.symbols);
  if (facts.drilling === true) restriction = stricter(restriction, 'killed');
  if (facts.stopping !== null) restriction = stricter(restriction, 'cancel-only');
  if (facts.symbols.every(symbol => blockedSymbols.includes(symbol)))
    restriction = stricter(restriction, 'cancel-only');

  const nowhereToWrite = facts.mode === 'paper' && facts.dryRun;
  const simulated = facts.mode === 'dry-run' || nowhereToWrite;
  const maySubmit = restriction === 'none' && !nowhereToWrite;
  const mayCancel =
    (restriction === 'none' || restriction === 'paused' || restriction === 'cancel-only') && !nowhereToWrite;
  return {
    type: 'control-state',
    epoch,
    mode: facts.mode,
    state: stateOf(restriction, simulated),
    mayObserve: true,
    maySubmit,
    mayCancel,
    blockedSymbols,
    pull: mayCancel ? pullOf(facts) : 'none',
    holds: facts.holds,
    reasons: reasonsOf(facts),
  };
};

const stateOf = (restriction: Restriction, simulated: boolean): TradingState => {
  if (restriction === 'observe-only' || restriction === 'killed') return restriction;
  if (simulated) return 'dry-run';
  return restriction === 'none' ? 'live' : restriction;
};

const pullOf = (facts: SafetyFacts): ControlState['pull'] => {
  if (facts.stopping?.openOrders === 'cancel') return 'all';
  const pulled = facts.holds.filter(hold => CAUSES[hold.cause].restingOrders === 'pulled');
  if (pulled.some(hold => wholeLevel(hold, facts.symbols) !== null)) return 'all';
  return pulled.length === 0 ? 'none' : symbolsOf(pulled, facts.symbols);
};

const reasonsOf = (facts: SafetyFacts): readonly string[] => [
  ...facts.modeReasons,
  ...(facts.drilling === true ? ['a kill drill is running'] : []),
  ...facts.holds.map(hold => `hold ${hold.key}: ${hold.detail}`),
  ...(facts.stopping === null ? [] : [`stopping: ${facts.stopping.reason}`]),
];
