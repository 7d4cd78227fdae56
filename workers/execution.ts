/**
 * The execution actor: every write to the venue leaves here, once, through the fence. The brain decides
 * (src/domain/execution.ts); this shell asks the ledger what it knows, hands writes to the venue's client and carries
 * the answers back.
 */
import { createEnding, type Ending } from '#src/btcturk/ending.js';
import { createKeySeat } from '#src/btcturk/key-seat.js';
import { createRestClient } from '#src/btcturk/rest-client.js';
import {
  awaitsLedger,
  type ExecutionEffect,
  type ExecutionInput,
  type ExecutionState,
  initialExecution,
  isDrained,
  stepExecution,
  vetoOf,
  writeOutcome,
} from '#src/domain/execution.js';
import { dearestFees } from '#src/domain/fees.js';
import { checkFence, type WriteApproval } from '#src/domain/fence.js';
import type { Instrument } from '#src/domain/instrument.js';
import type { LedgerReply, LedgerSnapshot } from '#src/domain/ledger-records.js';
import { followsEarlierRun } from '#src/domain/request-budget.js';
import type { ActorName } from '#src/domain/step.js';
import type { VenueWrite } from '#src/domain/venue-port.js';
import type { FromLedger } from '#src/messages/ledger.js';
import { hostActor } from '#src/runtime/actor-host.js';
import { STOP_EXECUTION_MS, TICK_MS } from '#src/runtime/limits.js';
import { performCommon } from '#src/runtime/perform.js';
import { isLoopbackHost } from '#src/runtime/setting-kinds.js';

/** Messages that arrive before the ledger has answered are kept up to this many. */
const MAX_EARLY = 10_000;
/** Connections for writes are kept standing, so that no order waits for a handshake. */
const WARM_UP_MS = 10_000;
/** Of the stop's time, what is kept for the journal's last commit. */
const JOURNAL_MARGIN_MS = 1_000;

/** A write on its way. */
interface Departure {
  readonly write: VenueWrite;
  readonly approval: WriteApproval;
  readonly ending: Ending;
  sent: boolean;
  /** Why it was ended before a byte left; null while it may still leave. */
  endedBecause: string | null;
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

hostActor('execution', context => {
  const { settings, accountEndpoints, credentials, incarnation } = context.boot;
  const rest = createRestClient({ endpoints: accountEndpoints, credentials, ...context.restraint });
  /** Only live may turn to an account that is not on this machine. */
  const venueAllowed = settings.mode === 'live' || isLoopbackHost(new URL(accountEndpoints.baseUrl).hostname);
  const keySeat = createKeySeat({
    endpoints: accountEndpoints,
    restraint: context.restraint,
    adopt: newKey => rest.useKey(newKey),
    tell: context.toSupervisor,
  });
  const departures = new Set<Departure>();
  const connected = new Set<ActorName>();
  const pending: ExecutionEffect[] = [];
  /**
   * What strategy and reconciliation are still to hear, in order. Who is told wakes up, and where cores are few an order
   * on its way would wait for that: to the ledger and back, and until its first byte is out (measured: 0.3 ms of 1.9).
   */
  const untold: (() => void)[] = [];
  let performing = false;
  let state: ExecutionState | null = null;
  let snapshot: LedgerSnapshot | null = null;
  let epoch: number | null = null;
  let asked = false;
  let warmedUpAt = Number.NEGATIVE_INFINITY;
  let early: ExecutionInput[] = [];

  const take = (input: ExecutionInput): void => {
    if (state === null) {
      early.push(input);
      if (early.length > MAX_EARLY) early.shift();
      return;
    }
    const stepped = stepExecution(state, input, context.now());
    state = stepped.state;
    pending.push(...stepped.effects);
  };

  const step = (input: ExecutionInput): void => {
    take(input);
    performPending();
  };

  /** Effects are performed in order, also those of a step that happens while others are being performed. */
  const performPending = (): void => {
    if (performing) return;
    performing = true;
    try {
      for (let effect = pending.shift(); effect !== undefined; effect = pending.shift()) perform(effect);
    } finally {
      performing = false;
    }
    if (!isHurried()) tellUntold();
  };

  /** An intent has still to become durable, or a write to leave. */
  const isHurried = (): boolean => {
    if (state !== null && state.journaling.size > 0) return true;
    for (const { sent, endedBecause } of departures) if (!sent && endedBecause === null) return true;
    return false;
  };

  const tellUntold = (): void => {
    for (const tell of untold.splice(0)) tell();
  };

  const perform = (effect: ExecutionEffect): void => {
    switch (effect.type) {
      case 'tell':
        untold.push(() => {
          if (effect.to !== 'strategy') {
            context.send('reconciliation', effect.message);
            return;
          }
          context.send('strategy', effect.message);
          if (effect.message.type === 'order-updated') context.sendTogether('twin', effect.message);
        });
        return;
      case 'append':
        if (!context.send('ledger', effect.request) && effect.request.durable)
          step({
            type: 'message',
            from: 'ledger',
            message: { type: 'append-failed', batch: effect.request.batch, reason: 'no ledger is connected' },
          });
        return;
      case 'write':
        void depart({ ...effect, ending: createEnding(), sent: false, endedBecause: null });
        return;
      case 'read':
        if (venueAllowed)
          void rest
            .ask(effect.call)
            .then(answer => context.guarded('read', answer, () => step({ type: 'read-answered', answer })));
        return;
      default:
        performCommon(context, effect);
    }
  };

  /** Why a write may not leave now; null when it may. */
  const obstacle = ({ write, approval }: Departure): string | null => {
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

  const depart = async (departure: Departure): Promise<void> => {
    const { write, ending } = departure;
    const { clientOrderId } = write;
    if (!venueAllowed) {
      settle(write, { type: 'denied', reason: 'venue-not-simulated' });
      return;
    }
    departures.add(departure);
    const guard = {
      beforeBytes: (): string | null => {
        const reason = obstacle(departure);
        if (reason !== null) return reason;
        departure.sent = true;
        // Known at once, told once the bytes are out: nobody who is told may hold them up.
        take({ type: 'write-sent', kind: write.type, clientOrderId });
        queueMicrotask(performPending);
        return null;
      },
      signal: ending.signal,
    };
    const outcome = await rest.write(write, instrumentOf(write), guard);
    departures.delete(departure);
    const { endedBecause } = departure;
    settle(
      write,
      outcome.type === 'denied' && endedBecause !== null ? { type: 'denied', reason: endedBecause } : outcome,
    );
  };

  /** A cancel needs none: it leaves also while the venue's list cannot be read, or no longer has the pair. */
  const instrumentOf = (write: VenueWrite): Instrument | null =>
    write.type === 'cancel' ? null : (state?.instruments.get(write.terms.symbol) ?? null);

  const settle = (write: VenueWrite, outcome: Awaited<ReturnType<typeof rest.write>>): void =>
    step(writeOutcome(write, outcome));

  /** What still waits for a connection and may not leave any more does not wait longer. */
  const abortForbidden = (): void => {
    for (const departure of departures) {
      if (departure.sent || departure.endedBecause !== null) continue;
      departure.endedBecause = obstacle(departure);
      if (departure.endedBecause !== null) departure.ending.abort();
    }
  };

  const tick = (): void => {
    step({ type: 'tick', leaseUntilMonoMs: context.control().leaseUntilMonoMs });
    abortForbidden();
    // Nobody waits longer than a tick for news, however many writes are under way.
    tellUntold();
  };

  const begin = (): void => {
    if (state !== null || snapshot === null || epoch === null) return;
    const now = context.now();
    const { pauses } = context.restraint;
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
          cold: followsEarlierRun(incarnation, snapshot.lastRecordAtMs, now.wallMs),
        },
        pausedUntil: { submit: pauses.until('submit'), cancel: pauses.until('cancel') },
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
    else if (message.type !== 'fills-given')
      step({ type: 'message', from: 'ledger', message: message satisfies LedgerReply });
    begin();
  };

  const keepWarm = (): void => {
    const { monoMs } = context.now();
    if (!venueAllowed || monoMs - warmedUpAt < WARM_UP_MS) return;
    warmedUpAt = monoMs;
    void rest.warmUp();
  };

  return {
    async start() {
      keepWarm();
      return {};
    },
    onMessage(from, message: never) {
      switch (from) {
        case 'ledger':
          onLedger(message);
          return;
        case 'strategy':
        case 'market-data':
        case 'reconciliation':
          step({ type: 'message', from, message });
          return;
        default:
          throw new Error(`execution does not talk with ${from}`);
      }
    },
    onRefused(_from, message: never) {
      step({ type: 'intent-refused', message });
    },
    onControl(message) {
      switch (message.type) {
        case 'control-state':
          if (state !== null) step({ type: 'control', control: message });
          abortForbidden();
          return;
        case 'peer-connected':
          connected.add(message.peer);
          // A restarted ledger has forgotten the question.
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
        case 'key-offered':
        case 'key-adopted':
        case 'key-dropped':
          keySeat.take(message);
          return;
        case 'lease-renewed':
          return;
      }
    },
    onTick() {
      keepWarm();
      if (state === null) {
        if (asked) return;
        asked = context.send('ledger', {
          type: 'snapshot-wanted',
          request: 1,
          fills: 'of-open-orders',
          recentOrders: true,
        });
        context.send('ledger', { type: 'epoch-wanted', request: 2 });
        return;
      }
      tick();
    },
    async drain() {
      const now = (): number => context.now().monoMs;
      const until = now() + STOP_EXECUTION_MS - JOURNAL_MARGIN_MS;
      if (state !== null) {
        step({ type: 'drain' });
        abortForbidden();
        while (!isDrained(state) && now() < until) {
          await pause(TICK_MS);
          tick();
        }
        step({ type: 'drain-deadline' });
      }
      // What ends here is still journaled.
      await rest.close();
      while (state !== null && awaitsLedger(state) && now() < until + JOURNAL_MARGIN_MS / 2) {
        await pause(TICK_MS);
        // What the ledger refused is handed over again on ticks, and what came after it waits for that.
        tick();
      }
      tellUntold();
    },
    snapshot: () =>
      state === null
        ? { state: 'waiting for the ledger' }
        : {
            epoch: state.config.epoch,
            recovered: state.recovered,
            open: [...state.open.values()].map(({ record }) => record.order),
          },
  };
});
