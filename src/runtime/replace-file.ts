/** Files that are there whole or not at all, whatever dies when. */
import { closeSync, fsyncSync, openSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Writes a file whole, under its owner's eyes alone.
 * @param synced false where a power cut may cost the newest text and nobody may wait for a disk; else the text is on disk
 *   before the file takes its name, and its name before this returns
 * @throws when the disk refuses.
 */
export const replaceFile = (path: string, text: string, { synced } = { synced: true }): void => {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    try {
      writeFileSync(file, text);
      if (synced) fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    // A full disk needs the room that half a file takes.
    unlinkSync(temporary);
    throw error;
  }
  if (synced) syncFolder(dirname(path));
};

/** A name is the folder's: a power cut can take a file back that is itself on disk. */
const syncFolder = (path: string): void => {
  // Windows cannot open a directory for this.
  if (process.platform === 'win32') return;
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
};
