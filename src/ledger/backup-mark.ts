/** When and where a ledger was last copied by hand, beside the ledger: nobody else can know. */
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';

export interface BackupMark {
  readonly file: string;
  readonly atMs: number;
}

const pathOf = (ledgerPath: string): string => `${ledgerPath}.last-backup`;

/** @throws when the folder of the ledger cannot be written. */
export const writeBackupMark = (ledgerPath: string, file: string, atMs: number): void => {
  const mark: BackupMark = { file: resolve(file), atMs };
  writeFileSync(pathOf(ledgerPath), `${JSON.stringify(mark)}\n`, { mode: 0o600 });
};

/** Null when no backup is known of. */
export const readBackupMark = (ledgerPath: string): BackupMark | null => {
  try {
    const { file, atMs } = JSON.parse(readFileSync(pathOf(ledgerPath), 'utf8')) as Partial<BackupMark>;
    return typeof file === 'string' && typeof atMs === 'number' ? { file, atMs } : null;
  } catch {
    return null;
  }
};
