/**
 * Which strategy is running at this moment, in memory that outlives the strategy thread. When the thread is ended in the
 * middle of a call (it looped for ever, or used up its memory) the next one reads here whose call that was, and leaves
 * that strategy out. It stays out until the process is started again: a person has to look.
 */
import type { PortfolioWatch } from '../domain/strategy-portfolio.js';
import { MAX_STRATEGIES } from './strategy-settings.js';

/** Cell 0 is the member that runs, counted from 1, or 0 for none; each member's own cell is one of the verdicts. */
export const STRATEGY_SCRATCH_BYTES = (1 + MAX_STRATEGIES) * Int32Array.BYTES_PER_ELEMENT;

export interface StrategyRecord {
  /** To be told who is about to run, and when nobody does. */
  readonly watch: PortfolioWatch;
  /** A member was stopped for its faults: it stays so, whatever else ends this thread. */
  condemn(member: number): void;
  /** Why a member must not run, or null when it may. */
  verdictOn(member: number): string | null;
}

const ENDED_ITS_THREAD = 1;
const STOPPED = 2;
const WORDS: Readonly<Record<number, string>> = {
  [ENDED_ITS_THREAD]:
    'its thread ended in the middle of one of its calls: it looped, or used up its memory. Mend it and start the bot again',
  [STOPPED]: 'it was stopped earlier in this run, see the log. Mend it and start the bot again',
};

/** Opens the record for a new incarnation of the thread. @param scratch absent where threads are not restarted */
export const openStrategyRecord = (scratch: SharedArrayBuffer | undefined): StrategyRecord => {
  const cells = new Int32Array(scratch ?? new SharedArrayBuffer(STRATEGY_SCRATCH_BYTES));
  const culprit = Atomics.exchange(cells, 0, 0);
  if (culprit > 0 && culprit < cells.length) Atomics.store(cells, culprit, ENDED_ITS_THREAD);
  return {
    watch: member => void Atomics.store(cells, 0, member === null ? 0 : member + 1),
    condemn: member => void Atomics.compareExchange(cells, member + 1, 0, STOPPED),
    verdictOn: member => WORDS[Atomics.load(cells, member + 1)] ?? null,
  };
};
