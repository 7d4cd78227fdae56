import type { BookView } from './book-view.js';

/**
 * The newest book of a symbol, and when its recent versions were received, so that the gate can tell how old the book
 * was that a decision was made on.
 */
export interface BookMemory {
  book: BookView;
  /** Ascending versions and their receipt times, oldest first; at most {@link VERSIONS_KEPT}. */
  readonly versions: number[];
  readonly receivedMonoMs: number[];
}

const VERSIONS_KEPT = 256;
/**
 * A decision may name a version that has not arrived here yet: strategy and execution are told separately. Further
 * ahead than this it belongs to another run of the market-data actor.
 */
export const BOOK_VERSION_LEAD = 64;

/** Remembers a new view. A version that does not grow begins a new run of market-data: earlier ones are forgotten. */
export const rememberBook = (memories: Map<string, BookMemory>, book: BookView): void => {
  const memory = memories.get(book.symbol);
  if (memory === undefined || book.version <= memory.book.version) {
    memories.set(book.symbol, {
      book,
      versions: [book.version],
      receivedMonoMs: [book.receivedMonoMs],
    });
    return;
  }
  memory.book = book;
  memory.versions.push(book.version);
  memory.receivedMonoMs.push(book.receivedMonoMs);
  if (memory.versions.length > VERSIONS_KEPT * 2) {
    memory.versions.splice(0, memory.versions.length - VERSIONS_KEPT);
    memory.receivedMonoMs.splice(0, memory.receivedMonoMs.length - VERSIONS_KEPT);
  }
};

/**
 * When the version a decision names was received: that of the newest version known that is not newer, so never later
 * than the truth. `undefined` when it is older than what is remembered or belongs to another run.
 */
export const receivedAtOfVersion = (memory: BookMemory, version: number): number | undefined => {
  if (version > memory.book.version)
    return version - memory.book.version <= BOOK_VERSION_LEAD ? memory.book.receivedMonoMs : undefined;
  for (let index = memory.versions.length - 1; index >= 0; index--)
    if ((memory.versions[index] ?? Number.POSITIVE_INFINITY) <= version) return memory.receivedMonoMs[index];
  return undefined;
};
