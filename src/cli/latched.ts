/** What earlier runs left latched: as a starting bot finds it, from the latch file and from the ledger. */
import { existsSync } from 'node:fs';
import { CAUSES } from '../domain/breaker.js';
import type { Hold } from '../domain/safety.js';
import { openReader } from '../ledger/reader.js';
import { latchPath, readLatch } from '../runtime/latch-file.js';

/**
 * The latch file may not have been writable when a latch fell, nor the ledger: each tells of what the other may not know.
 * @throws LedgerRefused when there is a ledger and it cannot be read.
 */
export const latchedHolds = (stateDbPath: string): readonly Hold[] => {
  const holds = new Map(readLatch(latchPath(stateDbPath)).map(hold => [hold.key, hold]));
  if (!existsSync(stateDbPath)) return [...holds.values()];
  const books = openReader(stateDbPath);
  try {
    for (const hold of books.holds())
      if (CAUSES[hold.cause].survivesRestart && !holds.has(hold.key)) holds.set(hold.key, hold);
  } finally {
    books.close();
  }
  return [...holds.values()];
};
