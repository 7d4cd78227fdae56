/** Files that are there whole or not at all, whatever dies when. */
import { closeSync, fsyncSync, openSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';

/** Writes a file whole, under its owner's eyes alone, and has it on disk before it goes on. @throws when the disk refuses. */
export const replaceFile = (path: string, text: string): void => {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    // A full disk needs the room that half a file takes.
    unlinkSync(temporary);
    throw error;
  }
};
