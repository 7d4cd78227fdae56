/** Where the last day is kept: beside the ledger, written now and then, never waited for. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Slot, Tally } from './objective-day.js';

export const objectivePath = (stateDbPath: string): string => `${stateDbPath}.objectives.json`;

/** @throws when the disk refuses. */
export const writeObjectives = (path: string, slots: readonly Slot[]): void => {
  writeFileSync(`${path}.new`, `${JSON.stringify({ slots })}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
};

const isTally = (value: unknown): value is Tally => {
  const { count, sum, max, beyond } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return [count, sum, max, beyond].every(number => typeof number === 'number' && Number.isFinite(number));
};
const isSlot = (value: unknown): value is Slot => {
  const { atMs, tallies } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return (
    Number.isSafeInteger(atMs) &&
    typeof tallies === 'object' &&
    tallies !== null &&
    Object.values(tallies).every(isTally)
  );
};

/** What was kept; empty when nothing was, or nothing that can be understood: figures are no money. */
export const readObjectives = (path: string): readonly Slot[] => {
  try {
    const { slots } = JSON.parse(readFileSync(path, 'utf8')) as { readonly slots?: unknown };
    return Array.isArray(slots) ? slots.filter(isSlot) : [];
  } catch {
    return [];
  }
};
