/**
 * The holds that survive a restart, beside the ledger: the ledger may be down or its disk full when a latch falls.
 * Written whole, and on disk before the writer goes on.
 */
import { readFileSync, rmSync } from 'node:fs';
import { HOLD_CAUSES, type Hold, type HoldCause, holdKey } from '../domain/safety.js';
import { replaceFile } from './replace-file.js';

export const latchPath = (stateDbPath: string): string => `${stateDbPath}.latch`;

/** Replaces the file; no holds means no file. @throws when the disk refuses. */
export const writeLatch = (path: string, holds: readonly Hold[]): void => {
  if (holds.length === 0) {
    rmSync(path, { force: true });
    return;
  }
  replaceFile(path, `${JSON.stringify(holds)}\n`);
};

const asHold = (value: unknown): Hold | undefined => {
  if (typeof value !== 'object' || value === null) return undefined;
  const { cause, subject, detail, placedAtMs } = value as Readonly<Record<string, unknown>>;
  const known = HOLD_CAUSES.find(name => name === cause);
  if (known === undefined || typeof subject !== 'string') return undefined;
  return makeHold(
    known,
    subject,
    typeof detail === 'string' ? detail : '',
    typeof placedAtMs === 'number' ? placedAtMs : 0,
  );
};

const makeHold = (cause: HoldCause, subject: string, detail: string, placedAtMs: number): Hold => ({
  key: holdKey(cause, subject),
  cause,
  subject,
  detail,
  placedAtMs,
});

/** The latched holds. A file that is there but cannot be understood is itself a latch: somebody wanted one. */
export const readLatch = (path: string): readonly Hold[] => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    return [makeHold('operator', '', `the latch file cannot be read: ${(error as Error).message}`, 0)];
  }
  try {
    const values: unknown = JSON.parse(text);
    const holds = Array.isArray(values) ? values.map(asHold) : [];
    if (holds.length > 0 && holds.every(hold => hold !== undefined)) return holds;
  } catch {
    // Falls through to the latch below.
  }
  return [makeHold('operator', '', `the latch file ${path} cannot be understood`, 0)];
};
