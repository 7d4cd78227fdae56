import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes a folder and the missing ones above it. Not by `mkdirSync`'s own `recursive`, which never returns where the
 * system says ENOENT although the parent exists (measured on Node 26: any folder under /proc).
 * @param mode permissions of the folders made
 * @throws the system's error when one cannot be made.
 */
export const makeFolder = (path: string, mode = 0o777): void => {
  const missing: string[] = [];
  for (let folder = path; !existsSync(folder); folder = dirname(folder)) {
    missing.push(folder);
    if (dirname(folder) === folder) break;
  }
  for (const folder of missing.reverse()) {
    try {
      mkdirSync(folder, { mode });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
};
