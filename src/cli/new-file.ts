import { existsSync, writeFileSync } from 'node:fs';
import { CliRefused } from './refused.js';

/** @throws CliRefused when a file that is to be made is there already */
export const mustBeNew = (path: string): void => {
  if (existsSync(path)) throw new CliRefused(`${path} exists: name a new file`);
};

/** Writes a file for its owner alone. @throws CliRefused when it exists or cannot be written. */
export const writeNew = (path: string, content: string | Uint8Array): void => {
  mustBeNew(path);
  try {
    writeFileSync(path, content, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw new CliRefused(`cannot write ${path}: ${(error as Error).message}`);
  }
};
