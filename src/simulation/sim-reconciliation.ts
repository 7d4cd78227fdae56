/** The reconciliation actor in a simulated world: workers/reconciliation.ts over the simulated network. */
import { readPrivateFrame } from '../btcturk/private-frames.js';
import {
  initialPrivateSession,
  type PrivateSessionEffect,
  type PrivateSessionInput,
  stepPrivateSession,
} from '../btcturk/private-session.js';
import { loginFrame, prepareSigningKey } from '../btcturk/sign.js';
import type { LedgerSnapshot } from '../domain/ledger-records.js';
import {
  initialReconciliation,
  type ReconciliationEffect,
  type ReconciliationInput,
  type ReconciliationState,
  stepReconciliation,
} from '../domain/reconciliation.js';
import type { ActorName } from '../domain/step.js';
import type { FromLedger } from '../messages/ledger.js';
import { performCommon } from '../runtime/perform.js';
import type { SimRest } from './sim-rest.js';
import type { SimSocket, SocketListener } from './sim-socket.js';
import type { Presence, SimActor, SimContext } from './worker-tree.js';

/** As in workers/reconciliation.ts. */
const COLD_MS = 60_000;
const LAST_LOOK_MS = 1_500;
const DRAIN_TICK_MS = 20;
const VENUE_DELAYS = { absenceWindowMs: 10_000, openingQuietMs: 300 };
const BALANCE_LAG_MS = 30_000;

export interface ReconciliationNetwork {
  rest(presence: Presence): SimRest;
  socket(listener: SocketListener, presence: Presence): SimSocket;
}

export const simReconciliation =
  (network: ReconciliationNetwork, markIntervalMs: number): SimActor =>
  context => {
    const { boot } = context;
    const { settings, incarnation, credentials } = boot;
    const rest = network.rest(context);
    let feed: SimPrivateFeed | null = null;
    let state: ReconciliationState | null = null;
    let asked = false;
    let drained = false;
    let early: ReconciliationInput[] = [];
    const pending: ReconciliationEffect[] = [];
    let performing = false;

    const step = (input: ReconciliationInput): void => {
      if (state === null) {
        early.push(input);
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
          context.send(effect.to, effect.message as never);
          return;
        case 'read': {
          const { requestId, call } = effect;
          rest.ask(call, answer => step({ type: 'read-answered', requestId, ...answer }));
          return;
        }
        case 'append':
          if (!context.send('ledger', effect.request as never) && effect.request.durable)
            step({
              type: 'ledger-replied',
              reply: {
                type: 'append-failed',
                batch: effect.request.batch,
                reason: 'no ledger is connected',
              },
            });
          return;
        case 'fills-wanted':
          context.send('ledger', effect as never);
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
      if (credentials === null || drained) return;
      feed = openSimPrivateFeed(context, {
        credentials,
        seed: incarnation,
        forgottenAttempts: Math.min(2, incarnation - 1),
        clockOffsetMs: () => rest.clockOffsetMs() ?? 0,
        open: listener => network.socket(listener, context),
        step,
      });
    };

    const begin = (snapshot: LedgerSnapshot): void => {
      if (state !== null) return;
      const now = context.now();
      state = initialReconciliation(
        {
          incarnation,
          seed: incarnation,
          symbols: settings.symbols,
          signed: credentials !== null,
          coldBudget: snapshot.lastRecordAtMs > 0 && now.wallMs - snapshot.lastRecordAtMs < COLD_MS,
          reads: settings.rest,
          reconcileIntervalMs: settings.reconcileIntervalMs,
          reconcileMaxLagMs: settings.reconcileMaxLagMs,
          ...VENUE_DELAYS,
          graceMs: settings.reconcileMaxLagMs,
          balanceLagMs: BALANCE_LAG_MS,
          feedMaxDownMs: settings.wsIdleReconnectMs,
          markIntervalMs,
        },
        snapshot,
        now,
      );
      const waiting = early;
      early = [];
      const control = context.control().state;
      if (control !== null) step({ type: 'control', control });
      for (const input of waiting) step(input);
      step({ type: 'tick' });
      listen();
    };

    const onLedger = (message: FromLedger): void => {
      if (message.type === 'snapshot-given') begin(message.snapshot);
      else if (message.type === 'fills-given') step(message);
      else if (message.type !== 'epoch-given') step({ type: 'ledger-replied', reply: message });
    };

    const awaitLastLook = (done: () => void): void => {
      if (drained) {
        feed?.close();
        done();
        return;
      }
      context.after(DRAIN_TICK_MS, 'reconciliation drains', () => {
        step({ type: 'tick' });
        awaitLastLook(done);
      });
    };

    return {
      start: ready => ready({}),
      onMessage: (from, message: never) => {
        if (from === 'ledger') onLedger(message);
        else if (from === 'execution') step({ type: 'message', from, message });
        else throw new Error(`reconciliation is told nothing by ${from}`);
      },
      onControl: message => {
        if (message.type === 'control-state') {
          if (state !== null) step({ type: 'control', control: message });
          return;
        }
        if (message.type !== 'peer-connected') return;
        const { peer } = message;
        if (peer === 'ledger') asked = false;
        if (peer === 'ledger' || peer === 'execution' || peer === 'strategy')
          step({ type: 'peer-connected', peer });
      },
      onTick: () => {
        feed?.tick();
        if (state !== null) step({ type: 'tick' });
        else if (!asked)
          asked = context.send('ledger', {
            type: 'snapshot-wanted',
            request: 1,
            fills: 'after-checkpoint',
          } as never);
      },
      drain: done => {
        if (state === null) {
          done();
          return;
        }
        step({ type: 'drain', deadlineMonoMs: context.now().monoMs + LAST_LOOK_MS });
        awaitLastLook(done);
      },
    };
  };

interface SimPrivateFeed {
  tick(): void;
  expectInserted(clientOrderId: string, sentAtMonoMs: number): void;
  reconnect(reason: string): void;
  close(): void;
}

interface SimPrivateFeedOptions {
  readonly credentials: { readonly apiKey: string; readonly apiSecret: string };
  readonly seed: number;
  readonly forgottenAttempts: number;
  clockOffsetMs(): number;
  open(listener: SocketListener): SimSocket;
  step(input: ReconciliationInput): void;
}

/** The private socket: btcturk/private-feed.ts with a simulated socket and virtual ticks. */
const openSimPrivateFeed = (
  context: SimContext<ActorName>,
  options: SimPrivateFeedOptions,
): SimPrivateFeed => {
  const key = prepareSigningKey(options.credentials);
  let session = initialPrivateSession(
    { seed: options.seed, forgottenAttempts: options.forgottenAttempts },
    context.now().monoMs,
  );
  let socket: SimSocket | null = null;
  let closed = false;
  const inputs: PrivateSessionInput[] = [];
  let stepping = false;

  const step = (input: PrivateSessionInput): void => {
    inputs.push(input);
    if (stepping) return;
    stepping = true;
    try {
      for (let next = inputs.shift(); next !== undefined && !closed; next = inputs.shift()) {
        const stepped = stepPrivateSession(session, next, context.now());
        session = stepped.state;
        for (const effect of stepped.effects) perform(effect);
      }
    } finally {
      stepping = false;
    }
  };

  const perform = (effect: PrivateSessionEffect): void => {
    switch (effect.type) {
      case 'connect':
        socket = options.open({
          onOpen: () => step({ type: 'opened' }),
          onText: text => step({ type: 'frame', frame: readPrivateFrame(text) }),
          onPing: () => step({ type: 'pinged' }),
          onClosed: detail => step({ type: 'closed', detail }),
        });
        return;
      case 'disconnect':
        socket?.drop();
        socket = null;
        return;
      case 'send-login':
        socket?.send(loginFrame(key, Math.round(context.now().wallMs + options.clockOffsetMs())));
        return;
      case 'event':
        options.step({ type: 'private-event', event: effect.event });
        return;
      case 'state':
        options.step({ type: 'private-state', feed: effect.state, reason: effect.detail });
        return;
      case 'problem':
        context.log('warn', 'private-frame-unreadable', { problem: effect.problem });
        return;
    }
  };

  context.after(0, 'private feed begins', () => step({ type: 'tick' }));
  return {
    tick: () => step({ type: 'tick' }),
    expectInserted: (clientOrderId, sentAtMonoMs) =>
      step({ type: 'expect-inserted', clientOrderId, sentAtMonoMs }),
    reconnect: reason => step({ type: 'reconnect', reason }),
    close: () => {
      closed = true;
      socket?.drop();
      socket = null;
    },
  };
};
