/** The execution actor in a simulated world: workers/execution.ts over the simulated network. */
import {
  type ExecutionEffect,
  type ExecutionInput,
  type ExecutionState,
  initialExecution,
  isDrained,
  stepExecution,
  vetoOf,
  writeOutcome,
} from '../domain/execution.js';
import { dearestFees } from '../domain/fees.js';
import { checkFence, type WriteApproval } from '../domain/fence.js';
import type { LedgerSnapshot } from '../domain/ledger-records.js';
import type { ActorName } from '../domain/step.js';
import type { CancelOutcome, SubmitOutcome, VenueWrite } from '../domain/venue-port.js';
import type { FromLedger } from '../messages/ledger.js';
import { STOP_EXECUTION_MS, TICK_MS } from '../runtime/limits.js';
import { performCommon } from '../runtime/perform.js';
import type { SimRest } from './sim-rest.js';
import type { Presence, SimActor } from './worker-tree.js';

/** As in workers/execution.ts. */
const JOURNAL_MARGIN_MS = 1_000;
const COLD_MS = 60_000;

interface Departure {
  readonly write: VenueWrite;
  readonly approval: WriteApproval;
  sent: boolean;
  abort(): void;
}

/** Looks over the shoulder of execution. */
export interface ExecutionWitness {
  /** A new incarnation; `read` gives its state, or null before it has one and after its end. */
  onIncarnation(read: () => ExecutionState | null): void;
  /** It has taken a step. */
  onStep(): void;
  /** A write whose bytes leave now. */
  onWrite(write: VenueWrite, approval: WriteApproval): void;
  /** What the shell makes of its end. */
  onOutcome(write: VenueWrite, outcome: SubmitOutcome | CancelOutcome): void;
}

export const simExecution =
  (restOf: (presence: Presence) => SimRest, witness: ExecutionWitness): SimActor =>
  context => {
    const { settings, incarnation } = context.boot;
    const departures = new Set<Departure>();
    const connected = new Set<ActorName>();
    const pending: ExecutionEffect[] = [];
    const rest = restOf(context);
    let performing = false;
    let state: ExecutionState | null = null;
    let snapshot: LedgerSnapshot | null = null;
    let epoch: number | null = null;
    let asked = false;
    let early: ExecutionInput[] = [];

    const step = (input: ExecutionInput): void => {
      if (state === null) {
        early.push(input);
        return;
      }
      const stepped = stepExecution(state, input, context.now());
      state = stepped.state;
      witness.onStep();
      pending.push(...stepped.effects);
      if (performing) return;
      performing = true;
      try {
        for (let effect = pending.shift(); effect !== undefined; effect = pending.shift()) perform(effect);
      } finally {
        performing = false;
      }
    };

    const perform = (effect: ExecutionEffect): void => {
      switch (effect.type) {
        case 'tell':
          context.send(effect.to, effect.message as never);
          return;
        case 'append':
          if (!context.send('ledger', effect.request as never) && effect.request.durable)
            step({
              type: 'message',
              from: 'ledger',
              message: {
                type: 'append-failed',
                batch: effect.request.batch,
                reason: 'no ledger is connected',
              },
            });
          return;
        case 'write':
          depart(effect.write, effect.approval);
          return;
        case 'read':
          rest.ask(effect.call, answer => step({ type: 'read-answered', answer }));
          return;
        default:
          performCommon(context, effect);
      }
    };

    const obstacle = ({ write, approval }: Pick<Departure, 'write' | 'approval'>): string | null => {
      const control = context.control();
      const now = context.now();
      return (
        checkFence({
          now,
          control: control.state,
          leaseUntilMonoMs: control.leaseUntilMonoMs,
          approval,
          write,
        }) ?? (state === null ? 'not-started' : vetoOf(state, write, now))
      );
    };

    const depart = (write: VenueWrite, approval: WriteApproval): void => {
      const { clientOrderId } = write;
      // As in workers/execution.ts: a cancel needs none.
      const instrument =
        write.type === 'cancel' ? null : (state?.instruments.get(write.terms.symbol) ?? null);
      const departure: Departure = { write, approval, sent: false, abort: () => {} };
      departures.add(departure);
      const way = rest.write(
        write,
        instrument,
        {
          beforeBytes: () => {
            const reason = obstacle(departure);
            if (reason !== null) return reason;
            departure.sent = true;
            step({ type: 'write-sent', kind: write.type, clientOrderId });
            // It may have died telling that the write is sent: then no byte follows.
            if (!context.isAlive()) return 'the worker is gone';
            witness.onWrite(write, approval);
            return null;
          },
        },
        outcome => {
          departures.delete(departure);
          witness.onOutcome(write, outcome);
          settle(write, outcome);
        },
      );
      departure.abort = way.abort;
    };

    const settle = (write: VenueWrite, outcome: SubmitOutcome | CancelOutcome): void =>
      step(writeOutcome(write, outcome));

    const abortForbidden = (): void => {
      for (const departure of departures)
        if (!departure.sent && obstacle(departure) !== null) departure.abort();
    };

    const begin = (): void => {
      if (state !== null || snapshot === null || epoch === null) return;
      const now = context.now();
      state = initialExecution(
        {
          symbols: settings.symbols,
          limits: settings.risk,
          maxMarketDataAgeMs: settings.maxMarketDataAgeMs,
          feesOf: dearestFees,
          configHash: settings.configHash,
          instance: snapshot.instance,
          epoch,
          incarnation,
          budget: {
            writesPerSecond: settings.rest.rateLimitRps,
            writeBurst: settings.rest.rateLimitBurst,
            cold: snapshot.lastRecordAtMs > 0 && now.wallMs - snapshot.lastRecordAtMs < COLD_MS,
          },
          shutdownOpenOrders: settings.shutdownOpenOrders,
        },
        snapshot,
        now,
      );
      snapshot = null;
      const waiting = early;
      early = [];
      step({ type: 'started' });
      const control = context.control().state;
      if (control !== null) step({ type: 'control', control });
      for (const peer of connected) step({ type: 'peer-connected', peer });
      for (const input of waiting) step(input);
    };

    const onLedger = (message: FromLedger): void => {
      if (message.type === 'snapshot-given') snapshot = message.snapshot;
      else if (message.type === 'epoch-given') epoch = message.epoch;
      else if (message.type !== 'fills-given') step({ type: 'message', from: 'ledger', message });
      begin();
    };

    const drainUntil = (untilMonoMs: number, done: () => void): void => {
      if (state !== null && !isDrained(state) && context.now().monoMs < untilMonoMs) {
        context.after(TICK_MS, 'execution drains', () => {
          step({ type: 'tick', leaseUntilMonoMs: context.control().leaseUntilMonoMs });
          abortForbidden();
          drainUntil(untilMonoMs, done);
        });
        return;
      }
      step({ type: 'drain-deadline' });
      awaitJournal(untilMonoMs + JOURNAL_MARGIN_MS / 2, done);
    };
    const awaitJournal = (untilMonoMs: number, done: () => void): void => {
      if (state !== null && state.unconfirmed.length > 0 && context.now().monoMs < untilMonoMs) {
        context.after(TICK_MS, 'execution waits for its journal', () => awaitJournal(untilMonoMs, done));
        return;
      }
      done();
    };

    witness.onIncarnation(() => (context.isAlive() ? state : null));
    return {
      start: ready => ready({}),
      onMessage: (from, message: never) => {
        if (from === 'ledger') onLedger(message);
        else if (from === 'strategy' || from === 'market-data' || from === 'reconciliation')
          step({ type: 'message', from, message });
        else throw new Error(`execution does not talk with ${from}`);
      },
      onControl: message => {
        switch (message.type) {
          case 'control-state':
            if (state !== null) step({ type: 'control', control: message });
            abortForbidden();
            return;
          case 'peer-connected':
            connected.add(message.peer);
            if (message.peer === 'ledger') asked = false;
            if (state !== null) step({ type: 'peer-connected', peer: message.peer });
            return;
          case 'peer-lost':
            connected.delete(message.peer);
            if (state !== null) step({ type: 'peer-lost', peer: message.peer });
            return;
          case 'cancel-all-ordered':
            step({ type: 'cancel-all-ordered', reason: message.reason });
            return;
          case 'lease-renewed':
            return;
        }
      },
      onTick: () => {
        if (state === null) {
          if (asked) return;
          asked = context.send('ledger', {
            type: 'snapshot-wanted',
            request: 1,
            fills: 'of-open-orders',
            recentOrders: true,
          } as never);
          context.send('ledger', { type: 'epoch-wanted', request: 2 } as never);
          return;
        }
        step({ type: 'tick', leaseUntilMonoMs: context.control().leaseUntilMonoMs });
        abortForbidden();
      },
      drain: done => {
        if (state === null) {
          done();
          return;
        }
        step({ type: 'drain' });
        abortForbidden();
        drainUntil(context.now().monoMs + STOP_EXECUTION_MS - JOURNAL_MARGIN_MS, done);
      },
    };
  };
