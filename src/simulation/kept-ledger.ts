/**
 * A database in memory that outlives the workers and processes which have it open: what was committed when one of them
 * ended is what the next one opens.
 */
import SqliteDatabase from 'better-sqlite3';
import type { LedgerSnapshot } from '../domain/ledger-records.js';
import type { Mode } from '../domain/safety.js';
import { type Ledger, openLedger } from '../ledger/store.js';

export interface KeptLedger {
  /** Opens the database for a new incarnation of the ledger worker. */
  open(): Ledger;
  /** Whoever had it open is gone; what was not committed is lost. */
  crash(): void;
  /** The whole database as it is committed now. */
  bytes(): Buffer;
  /** What a worker that starts now would be told. */
  snapshot(): LedgerSnapshot;
}

export const createKeptLedger = (mode: Mode, instance: string): KeptLedger => {
  let bytes: Buffer | null = null;
  let opened: Ledger | null = null;
  const openCopy = (from: Buffer | null): Ledger =>
    openLedger({
      path: ':memory:',
      mode,
      instance,
      connect: () => (from === null ? new SqliteDatabase(':memory:') : new SqliteDatabase(from)),
    });
  const letGo = (): void => {
    if (opened === null) return;
    bytes = opened.serialize();
    opened.close();
    opened = null;
  };
  const current = (): Buffer => opened?.serialize() ?? bytes ?? Buffer.alloc(0);
  return {
    open: () => {
      letGo();
      const ledger = openCopy(bytes);
      opened = ledger;
      return {
        ...ledger,
        close: () => {
          if (opened === ledger) letGo();
        },
      };
    },
    crash: letGo,
    bytes: current,
    snapshot: () => {
      if (opened !== null) return opened.snapshot();
      const copy = openCopy(bytes);
      try {
        return copy.snapshot();
      } finally {
        copy.close();
      }
    },
  };
};
