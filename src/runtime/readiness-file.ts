/** Where the evidence of a healthy dry run is kept: beside the ledger, so that a live ledger in the same folder finds it. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ReadinessRecord } from '../domain/readiness.js';

export const readinessPath = (stateDbPath: string): string => join(dirname(stateDbPath), 'readiness.json');

/** @throws when the disk refuses. */
export const writeReadiness = (path: string, record: ReadinessRecord): void => {
  writeFileSync(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
};

/** The record, or null when there is none or it cannot be understood: stored state is input. */
export const readReadiness = (path: string): ReadinessRecord | null => {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { build, configHash, healthyMs, sinceMs, untilMs, healthyAtEnd, incident } = value as Readonly<
    Record<string, unknown>
  >;
  const isCount = (number: unknown): number is number =>
    typeof number === 'number' && Number.isFinite(number) && number >= 0;
  return typeof build === 'string' &&
    typeof configHash === 'string' &&
    isCount(healthyMs) &&
    isCount(sinceMs) &&
    isCount(untilMs) &&
    healthyMs <= untilMs - sinceMs + 1 &&
    typeof healthyAtEnd === 'boolean'
    ? {
        build,
        configHash,
        healthyMs,
        sinceMs,
        untilMs,
        healthyAtEnd,
        incident: typeof incident === 'string' ? incident : '',
      }
    : null;
};
