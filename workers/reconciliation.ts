/**
 * The reconciliation actor: the account as the venue shows it. The brain decides (src/domain/reconciliation.ts); this
 * shell asks the ledger what it knows, performs the reads, listens to the private socket, and carries everything there
 * and back.
 */
import { createKeySeat } from '#src/btcturk/key-seat.js';
import { openPrivateFeed, type PrivateFeed } from '#src/btcturk/private-feed.js';
import { createRestClient, type RestClient } from '#src/btcturk/rest-client.js';
import { prepareSigningKey } from '#src/btcturk/sign.js';
import type { ExecutionReport } from '#src/domain/account-events.js';
import type { LedgerSnapshot } from '#src/domain/ledger-records.js';
import {
  initialReconciliation,
  type ReconciliationConfig,
  type ReconciliationEffect,
  type ReconciliationInput,
  type ReconciliationState,
  statusFacts,
  stepReconciliation,
} from '#src/domain/reconciliation.js';
import { followsEarlierRun } from '#src/domain/request-budget.js';
import type { Now } from '#src/domain/step.js';
import { isOurAccount } from '#src/domain/three-way-proof.js';
import type { FromLedger } from '#src/messages/ledger.js';
import { hostActor } from '#src/runtime/actor-host.js';
import { performCommon } from '#src/runtime/perform.js';
import { socketPairOf, type WorkerBoot } from '#src/runtime/settings.js';

/** Messages that arrive before the ledger has answered are kept up to this many. */
const MAX_EARLY = 10_000;
/** The last look's share of the stop. */
const LAST_LOOK_MS = 1_500;
const DRAIN_TICK_MS = 20;

/**
 * What depends on who the venue is. BtcTurk may take minutes to show an order it took in (protocol section 12 rule 2);
 * an exchange on this machine has no queue in front of it.
 */
const VENUE_DELAYS = {
  remote: { absenceWindowMs: 300_000, openingQuietMs: 3_000 },
  loopback: { absenceWindowMs: 10_000, openingQuietMs: 300 },
} as const;
const BALANCE_LAG_MS = 30_000;
const MARK_INTERVAL_MS = 2_000;

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

const isLoopback = (url: string): boolean =>
  ['127.0.0.1', 'localhost', '[::1]'].includes(new URL(url).hostname);

const configOf = (
  boot: WorkerBoot,
  snapshot: LedgerSnapshot,
  signed: boolean,
  now: Now,
): ReconciliationConfig => {
  const { settings, incarnation } = boot;
  return {
    incarnation,
    seed: incarnation,
    symbols: settings.symbols,
    signed,
    coldBudget: followsEarlierRun(incarnation, snapshot.lastRecordAtMs, now.wallMs),
    reads: settings.rest,
    reconcileIntervalMs: settings.reconcileIntervalMs,
    reconcileMaxLagMs: settings.reconcileMaxLagMs,
    ...VENUE_DELAYS[isLoopback(boot.accountEndpoints.baseUrl) ? 'loopback' : 'remote'],
    venueStartedAtMs: settings.mode === 'live' ? null : Number(boot.facts.exchangeStartedAtMs ?? Number.NaN),
    graceMs: settings.reconcileMaxLagMs,
    balanceLagMs: BALANCE_LAG_MS,
    feedMaxDownMs: settings.wsIdleReconnectMs,
    markIntervalMs: MARK_INTERVAL_MS,
  };
};

/** Connections that earlier incarnations may just have made. */
const FORGOTTEN_ATTEMPTS_MAX = 2;

hostActor('reconciliation', context => {
  const { boot } = context;
  let rest: RestClient | null = null;
  let signed = false;
  let feed: PrivateFeed | null = null;
  const keySeat = createKeySeat({
    endpoints: boot.accountEndpoints,
    account: {
      userId: () => feed?.userId() ?? null,
      isProvenBy: balances => state !== null && isOurAccount(state, balances),
    },
    restraint: context.restraint,
    adopt: newKey => {
      rest?.useKey(newKey);
      feed?.useKey(newKey);
    },
    tell: context.toSupervisor,
  });
  let state: ReconciliationState | null = null;
  let asked = false;
  let drained = false;
  let early: ReconciliationInput[] = [];
  const pending: ReconciliationEffect[] = [];
  let performing = false;

  /** Effects are performed in order, also those of a step that happens while others are being performed. */
  const step = (input: ReconciliationInput): void => {
    if (state === null) {
      early.push(input);
      if (early.length > MAX_EARLY) early.shift();
      return;
    }
    const stepped = stepReconciliation(state, input, context.now());
    state = stepped.state;
    pending.push(...stepped.effects);
    if (performing) return;
    performing = true;
    try {
      for (let effect = pending.shift(); effect !== undefined; effect = pending.shift()) perform(effect);
    } finally {
      performing = false;
    }
  };

  const perform = (effect: ReconciliationEffect): void => {
    switch (effect.type) {
      case 'tell':
        context.send(effect.to, effect.message);
        return;
      case 'read': {
        const { requestId, call } = effect;
        void rest?.ask(call).then(answer =>
          context.guarded(
            'read',
            answer,
            () => step({ type: 'read-answered', requestId, ...answer }),
            () =>
              step({
                type: 'read-answered',
                requestId,
                ...answer,
                result: {
                  ok: false,
                  failure: { type: 'unavailable', cause: 'unreadable', detail: 'quarantined' },
                  tookMs: answer.result.tookMs,
                },
              }),
          ),
        );
        return;
      }
      case 'append':
        if (!context.send('ledger', effect.request) && effect.request.durable)
          step({
            type: 'ledger-replied',
            reply: { type: 'append-failed', batch: effect.request.batch, reason: 'no ledger is connected' },
          });
        return;
      case 'fills-wanted':
        context.send('ledger', effect);
        return;
      case 'expect-inserted':
        feed?.expectInserted(effect.clientOrderId, effect.sentAtMonoMs);
        return;
      case 'reconnect-private':
        feed?.reconnect(effect.reason);
        return;
      case 'drained':
        drained = true;
        return;
      default:
        performCommon(context, effect);
    }
  };

  const listen = (): void => {
    if (boot.credentials === null || !signed || drained) return;
    feed = openPrivateFeed({
      wsUrl: boot.accountEndpoints.wsUrl,
      credentials: boot.credentials,
      guard: (text, handle) => context.guarded('private-frame', text, handle),
      onEvent: event => step({ type: 'private-event', event }),
      onState: (newState, detail) => step({ type: 'private-state', feed: newState, reason: detail }),
      onProblem: problem => context.log('warn', 'private-frame-unreadable', { problem }),
      seed: boot.incarnation,
      // A worker that is replaced again and again must not make connections as if it were the first.
      forgottenAttempts: Math.min(FORGOTTEN_ATTEMPTS_MAX, boot.earlierStarts ?? boot.incarnation - 1),
      clockOffsetMs: () => rest?.clock()?.offsetMs ?? 0,
    });
  };

  const begin = (snapshot: LedgerSnapshot): void => {
    if (state !== null) return;
    const now = context.now();
    state = initialReconciliation(configOf(boot, snapshot, signed, now), snapshot, now);
    const waiting = early;
    early = [];
    if (!signed) context.log('warn', 'observing-only', { reason: 'there is no usable API key' });
    const control = context.control().state;
    if (control !== null) step({ type: 'control', control });
    for (const input of waiting) step(input);
    step({ type: 'tick' });
    listen();
  };

  const onLedger = (message: FromLedger): void => {
    switch (message.type) {
      case 'snapshot-given':
        begin(message.snapshot);
        return;
      case 'fills-given':
        step(message);
        return;
      case 'appended':
      case 'append-failed':
        step({ type: 'ledger-replied', reply: message });
        return;
      case 'epoch-given':
        return;
    }
  };

  return {
    async start() {
      const { accountEndpoints, credentials } = boot;
      try {
        if (credentials !== null) prepareSigningKey(socketPairOf(credentials));
        rest = createRestClient({ endpoints: accountEndpoints, credentials, ...context.restraint });
        signed = credentials !== null;
      } catch (error) {
        // A key that cannot sign is no key: the bot observes.
        context.log('error', 'key-unusable', {
          reason: error instanceof Error ? error.message : String(error),
        });
        rest = createRestClient({ endpoints: accountEndpoints, credentials: null, ...context.restraint });
      }
      return {};
    },
    onMessage(from, message: never) {
      if (from === 'ledger') onLedger(message);
      else if (from === 'execution')
        step({ type: 'message', from, message: message satisfies ExecutionReport });
      else throw new Error(`reconciliation is told nothing by ${from}`);
    },
    onControl(message) {
      switch (message.type) {
        case 'control-state':
          if (state !== null) step({ type: 'control', control: message });
          return;
        case 'peer-connected':
          // A restarted ledger has forgotten the question.
          if (message.peer === 'ledger') asked = false;
          if (message.peer === 'ledger' || message.peer === 'execution' || message.peer === 'strategy')
            step({ type: 'peer-connected', peer: message.peer });
          return;
        case 'key-offered':
        case 'key-adopted':
        case 'key-dropped':
          keySeat.take(message);
          return;
        case 'lease-renewed':
        case 'peer-lost':
        case 'cancel-all-ordered':
          return;
      }
    },
    onTick() {
      if (state !== null) step({ type: 'tick' });
      else if (!asked)
        asked = context.send('ledger', {
          type: 'snapshot-wanted',
          request: 1,
          fills: 'after-checkpoint',
        });
    },
    async drain() {
      if (state !== null) {
        step({ type: 'drain', deadlineMonoMs: context.now().monoMs + LAST_LOOK_MS });
        while (!drained) {
          await pause(DRAIN_TICK_MS);
          step({ type: 'tick' });
        }
      }
      feed?.close();
      await rest?.close();
    },
    snapshot: () =>
      state === null ? { phase: 'waiting for the ledger' } : statusFacts(state, context.now()),
  };
});
