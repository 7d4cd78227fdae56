/**
 * The inputs that crashed a worker too often, beside the ledger: the venue and the ledger may say them again after a
 * restart, and three more crashes would tell nothing new. Another build may be able to handle them, so it starts with none.
 */
import { readFileSync, rmSync } from 'node:fs';
import { ACTOR_NAMES } from '../domain/step.js';
import type { QuarantinedInput } from '../domain/supervisor.js';
import { replaceFile } from './replace-file.js';
import { parseJsonObject } from './setting-kinds.js';

export const quarantinePath = (stateDbPath: string): string => `${stateDbPath}.quarantine`;

/** Replaces the file; no inputs means no file. @throws when the disk refuses. */
export const writeQuarantine = (path: string, build: string, inputs: readonly QuarantinedInput[]): void => {
  if (inputs.length === 0) rmSync(path, { force: true });
  else replaceFile(path, `${JSON.stringify({ build, inputs }, null, 2)}\n`);
};

const asInput = (value: unknown): readonly QuarantinedInput[] => {
  const { actor, input } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const known = ACTOR_NAMES.find(name => name === actor);
  return known === undefined || typeof input !== 'string' ? [] : [{ actor: known, input }];
};

/** What this build has left out before. A file that cannot be understood says nothing: the inputs show themselves again. */
export const readQuarantine = (path: string, build: string): readonly QuarantinedInput[] => {
  try {
    const kept = parseJsonObject(readFileSync(path, 'utf8'));
    return kept?.build === build && Array.isArray(kept.inputs) ? kept.inputs.flatMap(asInput) : [];
  } catch {
    return [];
  }
};
