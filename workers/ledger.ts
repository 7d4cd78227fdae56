/** The ledger actor: the one writable handle on the books. Never terminated; it drains and lets go by itself. */
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { type ActorName, nextEventId } from '#src/domain/step.js';
import { createLedgerService, type LedgerService } from '#src/ledger/service.js';
import { type Ledger, openLedger } from '#src/ledger/store.js';
import type { ToLedger } from '#src/messages/ledger.js';
import { ledgerRefusalIn } from '#src/messages/ledger-refusal.js';
import { hostActor } from '#src/runtime/actor-host.js';

/** A predecessor in this process may still be letting go of the file, and a shell may hold a short lock. */
const OPEN_PATIENCE_MS = 1_000;
const OPEN_RETRY_MS = 100;

hostActor('ledger', context => {
  let ledger: Ledger | undefined;
  let service: LedgerService | undefined;
  /** What arrived while the file was being opened. */
  const early: { from: ActorName; message: ToLedger }[] = [];

  const open = async (): Promise<Ledger> => {
    const { stateDbPath: path, mode } = context.boot.settings;
    const deadline = context.now().monoMs + OPEN_PATIENCE_MS;
    for (;;) {
      try {
        return openLedger({ path, mode });
      } catch (error) {
        const refusal = ledgerRefusalIn(error);
        const mayPass = refusal?.reason === 'owned' || refusal?.reason === 'locked';
        if (!mayPass || context.now().monoMs >= deadline) throw error;
        await pause(OPEN_RETRY_MS);
      }
    }
  };

  const traced = () => {
    const id = nextEventId(context.ids);
    return { id, cause: id };
  };

  return {
    async start() {
      const startedMonoMs = context.now().monoMs;
      ledger = await open();
      // Read once before anybody asks: an order that cannot be read must stop the start, not a running bot.
      const snapshot = ledger.snapshot({ fills: false });
      service = createLedgerService(ledger, {
        now: context.now,
        send: (to, message) => {
          if (!context.send(to, message as never))
            context.log('debug', 'ledger-answer-undeliverable', { to, message: message.type });
        },
        hold: (type, detail) =>
          context.toSupervisor({ type, ...traced(), holdCause: 'ledger', subject: '', detail }),
        contradiction: (subject, detail) =>
          context.toSupervisor({
            type: 'hold-wanted',
            ...traced(),
            holdCause: 'invariant',
            subject,
            detail,
          }),
        metric: context.metric,
        log: context.log,
        status: facts => context.toSupervisor({ type: 'status-reported', facts }),
        later: (work, when) => (when === 'end-of-turn' ? queueMicrotask(work) : void setImmediate(work)),
      });
      for (const { from, message } of early.splice(0)) service.onMessage(from, message);
      if (ledger.warning !== null) context.log('warn', 'ledger-place', { warning: ledger.warning });
      context.log('info', 'ledger-opened', {
        path: ledger.path,
        mode: ledger.mode,
        run: ledger.run,
        integrity: ledger.integrity,
        migrationBackup: ledger.migrationBackup,
        openOrders: snapshot.openOrders.length,
        holds: snapshot.holds.length,
        tookMs: context.now().monoMs - startedMonoMs,
      });
      return {
        instance: ledger.instance,
        run: String(ledger.run),
        schemaVersion: String(ledger.schemaVersion),
        integrity: ledger.integrity,
      };
    },
    onMessage(from, message) {
      if (service === undefined) early.push({ from, message });
      else service.onMessage(from, message);
    },
    onTick: () => service?.onTick(),
    async drain() {
      // What the others sent before they ended may still wait in its ports.
      await nextTurn();
      await nextTurn();
      service?.drain();
    },
    snapshot: () => service?.facts ?? null,
  };
});
