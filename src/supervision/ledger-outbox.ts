/**
 * The supervisor's records on their way to the ledger: one batch at a time, kept until it is on disk, and handed in again
 * to a ledger that was restarted or could not write. So none is lost, and none overtakes another; one that is handed in
 * twice is written once (ledger/writer.ts).
 */
import type { LedgerRecord, LedgerReply } from '../domain/ledger-records.js';
import type { ToLedger } from '../messages/ledger.js';

/** After a refusal the ledger is left alone for this long. */
const AGAIN_MS = 1_000;
/** Records kept while no ledger takes them; the oldest go. */
const KEPT_MOST = 10_000;

export interface LedgerOutbox {
  add(record: LedgerRecord): void;
  /** Hands in what is due. */
  flush(monoMs: number): void;
  /** The ledger is about to close: everything goes to it now. */
  flushLast(): void;
  /** A ledger is connected; it knows nothing of what was asked of its predecessor. */
  connected(send: (message: ToLedger) => void): void;
  lost(): void;
  answered(reply: LedgerReply, monoMs: number): void;
}

export const createLedgerOutbox = (): LedgerOutbox => {
  let send: ((message: ToLedger) => void) | null = null;
  const waiting: LedgerRecord[] = [];
  /** Handed in and not confirmed: its number, and how many of the waiting records it holds. */
  let open: { readonly batch: number; readonly count: number } | null = null;
  let nextBatch = 1;
  let notBeforeMonoMs = Number.NEGATIVE_INFINITY;

  return {
    add(record) {
      waiting.push(record);
      if (waiting.length > KEPT_MOST && open === null) waiting.shift();
    },
    flush(monoMs) {
      if (send === null || open !== null || waiting.length === 0 || monoMs < notBeforeMonoMs) return;
      open = { batch: nextBatch++, count: waiting.length };
      send({ type: 'append', batch: open.batch, durable: true, records: [...waiting] });
    },
    flushLast() {
      const records = waiting.slice(open?.count ?? 0);
      if (records.length > 0) send?.({ type: 'append', batch: nextBatch++, durable: true, records });
    },
    connected(to) {
      send = to;
      open = null;
      notBeforeMonoMs = Number.NEGATIVE_INFINITY;
    },
    lost() {
      send = null;
      open = null;
    },
    answered(reply, monoMs) {
      if (reply.batch !== open?.batch) return;
      if (reply.type === 'appended') waiting.splice(0, open.count);
      else notBeforeMonoMs = monoMs + AGAIN_MS;
      open = null;
    },
  };
};
