/** A small disk of its own, real enough to be full or read-only: ext4 in a file, where this user may mount one. */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { botFolder, removeFolder } from '../support/bot.js';

const SIZE_BYTES = 24 * 1024 * 1024;
const BLOCK = Buffer.alloc(64 * 1024);

export interface SmallDisk {
  /** Where it is mounted; a plain folder where nothing can be mounted. */
  readonly folder: string;
  readonly small: boolean;
  /** Uses up the last byte. */
  fill(): void;
  free(): void;
  /** Turns it read-only under the feet of whoever writes, as the kernel does after an error. */
  makeReadOnly(): void;
  /** Repairs it: only when nobody has a file open there. */
  repair(): void;
  remove(): void;
}

const tool = (command: string, ...args: readonly string[]): void => {
  execFileSync(command, args, { stdio: 'pipe' });
};

/** Why there is no small disk here; null when there is. */
export const diskProblem = (): string | null => {
  if (process.getuid?.() !== 0) return 'mounting a disk needs root';
  return spawnSync('mkfs.ext4', ['-V']).error === undefined ? null : 'mkfs.ext4 is absent';
};

const mount = (image: string, folder: string): void => tool('mount', '-o', 'loop', image, folder);

/** Mounts one; where that cannot be done, a plain folder whose `small` is false and which never fills. */
export const smallDisk = (): SmallDisk => {
  const base = botFolder();
  const folder = join(base, 'd');
  const image = join(base, 'image');
  const filler = join(folder, 'filler');
  mkdirSync(folder);
  let small = diskProblem() === null;
  if (small)
    try {
      writeFileSync(image, '');
      tool('truncate', '-s', String(SIZE_BYTES), image);
      tool('mkfs.ext4', '-q', '-F', '-m', '0', image);
      mount(image, folder);
    } catch {
      small = false;
    }
  return {
    folder,
    small,
    fill() {
      const file = openSync(filler, 'a');
      try {
        // Ever smaller pieces, down to the last byte.
        for (let size = BLOCK.length; size > 0; )
          try {
            writeSync(file, BLOCK, 0, size);
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
            size = Math.floor(size / 2);
          }
      } finally {
        closeSync(file);
      }
    },
    free() {
      if (small) rmSync(filler, { force: true });
    },
    makeReadOnly: () => tool('mount', '-o', 'remount,abort', folder),
    repair() {
      tool('umount', folder);
      // 1 says that errors were corrected.
      const checked = spawnSync('e2fsck', ['-p', image]);
      if ((checked.status ?? 9) > 1) throw new Error(`e2fsck: ${checked.stdout} ${checked.stderr}`);
      mount(image, folder);
    },
    remove() {
      if (small) tool('umount', folder);
      removeFolder(base);
    },
  };
};
