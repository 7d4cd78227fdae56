/** Where the evidence of a healthy dry run is kept: beside the ledger, so that a live ledger in the same folder finds it. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { DrillRecord, ReadinessRecord } from '../domain/readiness.js';
import { replaceFile } from './replace-file.js';
import { parseJsonObject } from './setting-kinds.js';

export const readinessPath = (stateDbPath: string): string => join(dirname(stateDbPath), 'readiness.json');

export const drillPath = (stateDbPath: string): string => join(dirname(stateDbPath), 'drill.json');

/** @throws when the disk refuses. */
export const writeReadiness = (path: string, record: ReadinessRecord | DrillRecord): void => {
  // The supervisor writes it every few seconds, between the leases that it grants; what is lost only means fewer rights.
  replaceFile(path, `${JSON.stringify(record, null, 2)}\n`, { synced: false });
};

/** The object a file holds; null when it holds anything else. */
const readObject = (path: string): Readonly<Record<string, unknown>> | null => {
  try {
    return parseJsonObject(readFileSync(path, 'utf8')) ?? null;
  } catch {
    return null;
  }
};

/** The last drill; null when there was none. A file that cannot be understood is a drill that failed. */
export const readDrill = (path: string): DrillRecord | null => {
  if (!existsSync(path)) return null;
  const { build, atMs, passed, verifiedZeroMs, left } = readObject(path) ?? {};
  const understood = typeof build === 'string' && typeof atMs === 'number' && passed === true;
  return {
    build: typeof build === 'string' ? build : '',
    atMs: typeof atMs === 'number' ? atMs : 0,
    passed: understood,
    verifiedZeroMs: understood && typeof verifiedZeroMs === 'number' ? verifiedZeroMs : null,
    left: understood && Array.isArray(left) ? left.map(String) : [],
  };
};

/** The record, or null when there is none or it cannot be understood: stored state is input. */
export const readReadiness = (path: string): ReadinessRecord | null => {
  const value = readObject(path);
  if (value === null) return null;
  const { build, configHash, healthyMs, sinceMs, untilMs, healthyAtEnd, incident } = value;
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
