/**
 * The ledger actor's work between its mailbox and its file: gathers what waits into one commit, answers after it, and
 * keeps its promises when the disk does not.
 *
 * - A durable batch is answered `appended` after its commit, or `append-failed`; then nothing of it was promised.
 * - Nobody is told about a batch that is not durable, so the ledger itself keeps it until a commit succeeds.
 * - After a failed commit every durable batch fails at once, until the file has been reopened, checked, written out
 *   and has taken a commit again. A foreign lock is waited out between turns, never inside one.
 */
import type { LedgerRecord } from '../domain/ledger-records.js';
import { MoneyError } from '../domain/money.js';
import type { HoldCleared, HoldWanted } from '../domain/safety.js';
import type { ActorName, LogLevel, MetricEffect, Now } from '../domain/step.js';
import type { FromLedger, ToLedger } from '../messages/ledger.js';
import { LedgerRowError } from './rows.js';
import { isBusy } from './sqlite-errors.js';
import { type BatchOutcome, type Ledger, LedgerBroken } from './store.js';
import type { Finding } from './writer.js';

/** Records in one commit; what waits beyond them is for the next, so that no sender's batch delays the thread. */
export const GROUP_RECORDS_MAX = 2_000;
/** Records kept for later while the disk fails; beyond, the oldest are given up, counted and logged. */
export const KEPT_RECORDS_MAX = 50_000;
/** A write-ahead log of this size is moved into the database when nothing waits. */
export const CHECKPOINT_WAL_BYTES = 4 * 1024 * 1024;
/** A write-ahead log of this size means that some reader does not let go. */
export const WAL_ALARM_BYTES = 64 * 1024 * 1024;
/** A foreign lock that lasts this long fails the durable batches and asks for the hold. */
export const LOCK_PATIENCE_MS = 1_000;
/** Pauses between attempts, for a lock and for a broken file. */
const LOCK_RETRY_MS = 100;
const RECOVER_RETRY_MS = 500;
const STATUS_INTERVAL_MS = 1_000;

export interface LedgerServicePorts {
  now(): Now;
  send(to: ActorName, message: FromLedger): void;
  hold(type: HoldWanted['type'] | HoldCleared['type'], detail: string): void;
  /** A contradiction in the facts themselves. */
  contradiction(subject: string, detail: string): void;
  metric(metric: MetricEffect): void;
  log(level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>): void;
  status(facts: Readonly<Record<string, unknown>>): void;
  /** Runs `work` at the end of the current turn, or in the next one. */
  later(work: () => void, when: 'end-of-turn' | 'next-turn'): void;
}

export interface LedgerService {
  onMessage(from: ActorName, message: ToLedger): void;
  onTick(): void;
  /** Writes what waits and lets go of the file. */
  drain(): void;
  readonly facts: Readonly<Record<string, unknown>>;
}

interface Waiting {
  readonly from: ActorName;
  readonly message: ToLedger;
}

type Health =
  | { readonly state: 'sound' }
  /** Somebody else holds a lock. */
  | { readonly state: 'locked'; readonly sinceMonoMs: number; readonly held: boolean }
  /** A commit failed. */
  | { readonly state: 'broken'; readonly reason: string };

export const createLedgerService = (ledger: Ledger, ports: LedgerServicePorts): LedgerService => {
  let waiting: Waiting[] = [];
  let health: Health = { state: 'sound' };
  let nextAttemptMonoMs = 0;
  let nextStatusMonoMs = 0;
  let flushScheduled = false;
  let walAlarmed = false;
  let commits = 0;
  let records = 0;
  let failures = 0;
  let givenUp = 0;
  let lastCommitMs = 0;

  const facts = (): Readonly<Record<string, unknown>> => ({
    path: ledger.path,
    mode: ledger.mode,
    instance: ledger.instance,
    run: ledger.run,
    schemaVersion: ledger.schemaVersion,
    state: health.state,
    ...(health.state === 'broken' ? { reason: health.reason } : {}),
    commits,
    records,
    failures,
    waiting: waiting.length,
    lastCommitMs: Math.round(lastCommitMs * 1_000) / 1_000,
    walBytes: ledger.walBytes(),
  });

  const isSound = (): boolean => health.state === 'sound';

  const counter = (name: string, value: number): void =>
    ports.metric({ type: 'metric', kind: 'counter', name, value });
  const histogram = (name: string, value: number): void =>
    ports.metric({ type: 'metric', kind: 'histogram', name, value });

  const reply = (to: Waiting, message: FromLedger): void => ports.send(to.from, message);

  const reportFinding = (finding: Finding): void => {
    if (finding.type === 'fill-contradicted' || finding.type === 'movement-contradicted') {
      ports.log('error', 'ledger-record-contradicted', { ...finding });
      ports.contradiction(
        finding.subject,
        `${finding.type}: ${finding.subject} was recorded with other numbers`,
      );
    } else
      ports.log(finding.type === 'order-unknown' ? 'warn' : 'debug', 'ledger-record-odd', { ...finding });
    counter(`btcbot_ledger_${finding.type.replaceAll('-', '_')}_total`, 1);
  };

  /** Answers one append of a commit that succeeded. */
  const settle = (each: Waiting, outcome: BatchOutcome): void => {
    const message = each.message as Extract<ToLedger, { type: 'append' }>;
    if (outcome.ok) {
      for (const finding of outcome.findings) reportFinding(finding);
      if (message.durable) reply(each, { type: 'appended', batch: message.batch });
      return;
    }
    ports.log('error', 'ledger-batch-refused', {
      from: each.from,
      batch: message.batch,
      reason: outcome.reason,
    });
    counter('btcbot_ledger_refused_total', 1);
    if (message.durable) reply(each, { type: 'append-failed', batch: message.batch, reason: outcome.reason });
    else ports.contradiction(`${each.from}>ledger`, outcome.reason);
  };

  const isAppend = (each: Waiting): boolean => each.message.type === 'append';
  const isDurable = (each: Waiting): boolean => each.message.type === 'append' && each.message.durable;

  /** Tells the senders of durable batches that nothing is promised; keeps the rest. */
  const failDurable = (reason: string): void => {
    const kept: Waiting[] = [];
    for (const each of waiting) {
      if (each.message.type === 'append' && each.message.durable)
        reply(each, { type: 'append-failed', batch: each.message.batch, reason });
      else kept.push(each);
    }
    waiting = kept;
    giveUpOldest();
  };

  const giveUpOldest = (): void => {
    const sizeOf = (each: Waiting): number =>
      each.message.type === 'append' ? each.message.records.length : 0;
    let kept = waiting.reduce((sum, each) => sum + sizeOf(each), 0);
    let lost = 0;
    while (kept > KEPT_RECORDS_MAX) {
      const oldest = waiting.findIndex(isAppend);
      const [dropped] = waiting.splice(oldest, 1);
      if (dropped === undefined) break;
      kept -= sizeOf(dropped);
      lost += sizeOf(dropped);
    }
    if (lost === 0) return;
    givenUp += lost;
    ports.log('error', 'ledger-records-given-up', { lost, total: givenUp });
    counter('btcbot_ledger_given_up_total', lost);
  };

  const onFailure = (error: unknown): void => {
    const { monoMs } = ports.now();
    const reason = error instanceof Error ? error.message : String(error);
    if (isBusy(error)) {
      const since = health.state === 'locked' ? health.sinceMonoMs : monoMs;
      const overdue = monoMs - since >= LOCK_PATIENCE_MS;
      if (overdue && !(health.state === 'locked' && health.held)) {
        ports.log('error', 'ledger-locked', { reason });
        ports.hold('hold-wanted', `another program keeps ${ledger.path} locked: ${reason}`);
      }
      health = { state: 'locked', sinceMonoMs: since, held: overdue };
      nextAttemptMonoMs = monoMs + LOCK_RETRY_MS;
      if (overdue) failDurable(`the ledger is locked by another program: ${reason}`);
      return;
    }
    failures += 1;
    counter('btcbot_ledger_failures_total', 1);
    ports.log('error', 'ledger-commit-failed', { reason });
    ports.hold('hold-wanted', `a commit failed: ${reason}`);
    health = { state: 'broken', reason };
    nextAttemptMonoMs = monoMs + RECOVER_RETRY_MS;
    failDurable(`the ledger could not write: ${reason}`);
  };

  const onSuccess = (): void => {
    if (health.state === 'sound') return;
    const held = health.state === 'broken' || health.held;
    health = { state: 'sound' };
    if (held) {
      ports.log('info', 'ledger-sound-again', {});
      ports.hold('hold-cleared', 'the ledger has been checked and takes commits again');
    }
  };

  /** The appends of the next commit: from the front, up to the bound, not past a question. */
  const nextGroup = (): Waiting[] => {
    let size = 0;
    let count = 0;
    for (const each of waiting) {
      if (each.message.type !== 'append') break;
      if (count > 0 && size + each.message.records.length > GROUP_RECORDS_MAX) break;
      size += each.message.records.length;
      count += 1;
    }
    return waiting.slice(0, count);
  };

  const commitGroup = (group: readonly Waiting[]): void => {
    const batches: (readonly LedgerRecord[])[] = group.map(each =>
      each.message.type === 'append' ? each.message.records : [],
    );
    const startedMonoMs = ports.now().monoMs;
    const outcomes = ledger.appendGroup(batches);
    lastCommitMs = ports.now().monoMs - startedMonoMs;
    waiting = waiting.slice(group.length);
    commits += 1;
    const size = batches.reduce((sum, batch) => sum + batch.length, 0);
    records += size;
    onSuccess();
    for (const [index, each] of group.entries()) settle(each, outcomes[index] as BatchOutcome);
    histogram('btcbot_ledger_commit_ms', lastCommitMs);
    histogram('btcbot_ledger_commit_records', size);
  };

  const answerQuestion = (each: Waiting): void => {
    const { message } = each;
    if (message.type === 'epoch-wanted') {
      const epoch = ledger.nextEpoch(ports.now().wallMs);
      onSuccess();
      reply(each, { type: 'epoch-given', request: message.request, epoch });
    } else if (message.type === 'snapshot-wanted') {
      const { fills = true, recentOrders = false } = message;
      const snapshot = readable(() => ledger.snapshot({ fills, recentOrders }));
      tellComplaints();
      if (snapshot !== null) reply(each, { type: 'snapshot-given', request: message.request, snapshot });
    } else if (message.type === 'fills-wanted') {
      const fills = readable(() => ledger.fillsOf(message.symbol));
      if (fills !== null) reply(each, { type: 'fills-given', symbol: message.symbol, fills });
    }
    waiting = waiting.slice(1);
  };

  /** A row that cannot be read is not the disk's failure: opening the file again would not mend it. */
  const readable = <T>(read: () => T): T | null => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof LedgerRowError || error instanceof MoneyError)) throw error;
      ports.log('fatal', 'ledger-row-unreadable', { reason: error.message });
      ports.contradiction('ledger-row', error.message);
      return null;
    }
  };

  const tellComplaints = (): void => {
    for (const complaint of ledger.checkpointComplaints())
      ports.log('warn', 'ledger-checkpoint-unused', { complaint });
  };

  const keepBooks = (soon: boolean): void => {
    try {
      const throughSeq = readable(() => ledger.keepBooks(soon));
      if (throughSeq !== null) ports.log('debug', 'ledger-checkpoint-written', { throughSeq });
    } catch (error) {
      onFailure(error);
    }
    tellComplaints();
  };

  /** One commit or one answer. */
  const step = (): void => {
    try {
      const group = nextGroup();
      if (group.length > 0) commitGroup(group);
      else if (waiting[0] !== undefined) answerQuestion(waiting[0]);
    } catch (error) {
      onFailure(error);
    }
  };

  const flush = (): void => {
    flushScheduled = false;
    if (!isSound()) {
      if (health.state === 'broken') failDurable(`the ledger could not write: ${health.reason}`);
      return;
    }
    step();
    if (waiting.length > 0 && isSound()) scheduleFlush('next-turn');
  };

  const scheduleFlush = (when: 'end-of-turn' | 'next-turn'): void => {
    if (flushScheduled) return;
    flushScheduled = true;
    ports.later(flush, when);
  };

  const tryAgain = (): void => {
    if (health.state === 'sound' || ports.now().monoMs < nextAttemptMonoMs) return;
    if (health.state === 'locked') {
      // With nothing to write there is still a lock to find gone.
      if (waiting.length > 0) step();
      else
        try {
          ledger.appendGroup([]);
          onSuccess();
        } catch (error) {
          onFailure(error);
        }
    } else
      try {
        ledger.recover();
        onSuccess();
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        health = { state: 'broken', reason };
        nextAttemptMonoMs = ports.now().monoMs + RECOVER_RETRY_MS;
        failDurable(`the ledger could not write: ${reason}`);
      }
    if (waiting.length > 0 && isSound()) scheduleFlush('next-turn');
  };

  const watchPlace = (): void => {
    if (isSound() && !ledger.inPlace())
      onFailure(new LedgerBroken(`${ledger.path} was removed or replaced while in use`));
  };

  const keepWalSmall = (): void => {
    if (health.state !== 'sound' || waiting.length > 0) return;
    const bytes = ledger.walBytes();
    if (bytes < CHECKPOINT_WAL_BYTES) return;
    try {
      ledger.checkpoint('passive');
    } catch (error) {
      onFailure(error);
      return;
    }
    const alarm = bytes >= WAL_ALARM_BYTES;
    if (alarm && !walAlarmed) ports.log('warn', 'ledger-wal-large', { bytes });
    walAlarmed = alarm;
  };

  return {
    onMessage(from, message) {
      waiting.push({ from, message });
      // What nobody waits for rides with the next commit, at the latest at the next tick.
      if (message.type !== 'append' || message.durable) scheduleFlush('end-of-turn');
      else giveUpOldest();
    },
    onTick() {
      if (health.state === 'sound') {
        if (waiting.length > 0) scheduleFlush('end-of-turn');
      } else tryAgain();
      const { monoMs } = ports.now();
      if (monoMs < nextStatusMonoMs) return;
      nextStatusMonoMs = monoMs + STATUS_INTERVAL_MS;
      watchPlace();
      if (isSound() && waiting.length === 0) keepBooks(false);
      keepWalSmall();
      ports.metric({
        type: 'metric',
        kind: 'gauge',
        name: 'btcbot_ledger_wal_bytes',
        value: ledger.walBytes(),
      });
      ports.status(facts());
    },
    drain() {
      do step();
      while (waiting.length > 0 && isSound());
      if (waiting.some(isDurable)) failDurable('the ledger is closing');
      const lost = waiting.filter(isAppend).length;
      if (lost > 0) ports.log('error', 'ledger-closed-with-batches-waiting', { lost });
      if (isSound()) keepBooks(true);
      ledger.close();
    },
    get facts() {
      return facts();
    },
  };
};
