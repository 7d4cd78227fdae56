/**
 * What a worker is working on, in memory that outlives its thread: when it throws, spins for ever or runs out of memory,
 * the supervisor reads there which input it was. Written before each input is handled and cleared after it.
 */
import { fingerprintOf } from '../domain/fingerprint.js';
import { ACTOR_NAMES, type ActorName } from '../domain/step.js';

/** Where an input comes from: a peer, the venue's frames, an answer to a read. */
export const WORK_SOURCES = [...ACTOR_NAMES, 'public-frame', 'private-frame', 'read'] as const;
export type WorkSource = (typeof WORK_SOURCES)[number];

const WORDS = 4;
const BUSY = 0;
const SOURCE = 1;
const HASH = 2;

export const createWorkSlot = (): SharedArrayBuffer => new SharedArrayBuffer(WORDS * 4);

const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
const nameOf = (source: WorkSource, [a, b]: readonly [number, number]): string =>
  `${source}:${hex(a)}${hex(b)}`;

/** The input that is being worked on, `<source>:<fingerprint>`; null between two inputs. */
export const inputInWork = (slot: SharedArrayBuffer): string | null => {
  const words = new Int32Array(slot);
  if (Atomics.load(words, BUSY) === 0) return null;
  const source = WORK_SOURCES[Atomics.load(words, SOURCE)];
  return source === undefined
    ? null
    : nameOf(source, [Atomics.load(words, HASH), Atomics.load(words, HASH + 1)]);
};

/** Those to whom nobody says anything about money: the log and its figures, wishes for market data, a run beside the real one. */
const NEVER_TOLD_OF_MONEY: ReadonlySet<ActorName> = new Set(['telemetry', 'market-data', 'twin']);

/** Whether what `receiver` leaves out may be money: not where it never is, and market data can be had again. */
export const mayBeMoney = (receiver: ActorName, source: WorkSource): boolean =>
  !NEVER_TOLD_OF_MONEY.has(receiver) &&
  source !== 'market-data' &&
  source !== 'public-frame' &&
  source !== 'telemetry';

export interface WorkGuard {
  /**
   * Handles one input: does `work`, unless the input is quarantined.
   * @returns false when it was skipped
   */
  handle(source: WorkSource, input: unknown, work: () => void): boolean;
  /** Nothing is being worked on: somebody else's turn has come. */
  idle(): void;
}

/**
 * @param slot where the supervisor looks; null when nobody does
 * @param quarantined names of inputs that are not handled any more
 * @param onSkipped told each time one of them is skipped
 */
export const createWorkGuard = (
  slot: SharedArrayBuffer | null,
  quarantined: readonly string[],
  onSkipped: (source: WorkSource, name: string, input: unknown) => void,
): WorkGuard => {
  const words = new Int32Array(slot ?? createWorkSlot());
  const banned = new Set(quarantined);
  let busy = false;
  return {
    handle(source, input, work) {
      // An input that leads to another is the one to blame.
      if (busy) {
        work();
        return true;
      }
      const hash = fingerprintOf(input);
      if (banned.size > 0 && banned.has(nameOf(source, hash))) {
        onSkipped(source, nameOf(source, hash), input);
        return false;
      }
      Atomics.store(words, SOURCE, WORK_SOURCES.indexOf(source));
      Atomics.store(words, HASH, hash[0]);
      Atomics.store(words, HASH + 1, hash[1]);
      Atomics.store(words, BUSY, 1);
      busy = true;
      // What throws leaves its mark: whoever looks for the cause finds it.
      work();
      busy = false;
      Atomics.store(words, BUSY, 0);
      return true;
    },
    idle() {
      busy = false;
      Atomics.store(words, BUSY, 0);
    },
  };
};
