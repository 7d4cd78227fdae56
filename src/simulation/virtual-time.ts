/**
 * The one clock and the one order of events of a simulated world: things happen at virtual times, and among equals in
 * the order in which they were asked for. Nothing waits for real time, so a run is as fast as its steps.
 */
import type { Now } from '../domain/step.js';
import { emptySchedule, nextDueMs, schedule, takeDue } from '../exchange/schedule.js';

/** Something that will happen, with a word for the trace. */
interface Happening {
  readonly what: string;
  readonly run: () => void;
}

export interface VirtualTime {
  now(): Now;
  /** Has `run` happen after a delay; a negative one counts as none. */
  after(delayMs: number, what: string, run: () => void): void;
  /** Has `run` happen at a monotonic time, or now when that has passed. */
  at(monoMs: number, what: string, run: () => void): void;
  /** Lets the next thing happen unless it is later than `untilMonoMs`. @returns whether anything happened */
  next(untilMonoMs: number): boolean;
  /** Moves the clock to `monoMs` although nothing happens there. */
  idleUntil(monoMs: number): void;
  /** Sets the wall clock forward or back, as an operator or NTP does; the monotonic clock does not notice. */
  jumpWall(byMs: number): void;
  /** How many things have happened. */
  readonly count: number;
}

/**
 * @param startWallMs Unix ms at the start; the monotonic clock starts at `START_MONO_MS`
 * @param onHappening told before each thing that happens, for traces
 */
export const createVirtualTime = (
  startWallMs: number,
  onHappening: (what: string, now: Now) => void = () => {},
): VirtualTime => {
  const waiting = emptySchedule<Happening>();
  let monoMs = START_MONO_MS;
  let wallOffsetMs = startWallMs - START_MONO_MS;
  let count = 0;
  /** One for all who ask while the clocks stand; between two happenings they do. */
  let current: Now | null = null;
  const now = (): Now => {
    current ??= { monoMs, wallMs: Math.floor(monoMs + wallOffsetMs) };
    return current;
  };
  const at: VirtualTime['at'] = (dueMs, what, run) => {
    schedule(waiting, Math.max(dueMs, monoMs), { what, run });
  };
  return {
    now,
    at,
    after: (delayMs, what, run) => at(monoMs + delayMs, what, run),
    next: untilMonoMs => {
      const taken = takeDue(waiting, untilMonoMs);
      if (taken === undefined) return false;
      monoMs = taken.dueMs;
      current = null;
      count += 1;
      onHappening(taken.item.what, now());
      taken.item.run();
      return true;
    },
    idleUntil: untilMs => {
      const due = nextDueMs(waiting);
      monoMs = Math.max(monoMs, due === undefined ? untilMs : Math.min(due, untilMs));
      current = null;
    },
    jumpWall: byMs => {
      wallOffsetMs += byMs;
      current = null;
    },
    get count() {
      return count;
    },
  };
};

/** A monotonic clock does not start at zero in a real process either; code that treats 0 as "never" would show. */
export const START_MONO_MS = 10_000;
