import { accessSync, constants, existsSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CliRefused } from './refused.js';

/** @throws CliRefused when a file that is to be made is there already */
export const mustBeNew = (path: string): void => {
  if (existsSync(path)) throw new CliRefused(`${path} exists: name a new file`);
};

/** @throws CliRefused when a file cannot be made or replaced there, for all that can be told before the work */
export const mustBePossible = (path: string): void => {
  const isFolder = (place: string): boolean =>
    statSync(place, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isFolder(path)) throw new CliRefused(`cannot write ${path}: it is a folder`);
  if (!isFolder(dirname(path)))
    throw new CliRefused(`cannot write ${path}: there is no folder ${dirname(path)}`);
  try {
    accessSync(existsSync(path) ? path : dirname(path), constants.W_OK);
  } catch (error) {
    throw new CliRefused(`cannot write ${path}: ${(error as Error).message}`);
  }
};

/** Writes a file by `write`. @throws CliRefused when the disk refuses. */
export const writing = (path: string, write: () => void): void => {
  try {
    write();
  } catch (error) {
    throw new CliRefused(`cannot write ${path}: ${(error as Error).message}`);
  }
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
