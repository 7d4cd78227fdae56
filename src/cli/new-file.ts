import { existsSync, writeFileSync } from 'node:fs';
import { CliRefused } from './refused.js';

/** Writes a file for its owner alone. @throws CliRefused when it exists or cannot be written. */
export const writeNew = (path: string, text: string): void => {
  if (existsSync(path)) throw new CliRefused(`${path} exists: name a new file`);
  try {
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw new CliRefused(`cannot write ${path}: ${(error as Error).message}`);
  }
};
