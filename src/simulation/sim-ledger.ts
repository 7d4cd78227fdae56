/** The ledger actor in a simulated world: the real service over a real database in memory. */
import { nextEventId } from '../domain/step.js';
import { createLedgerService, type LedgerService } from '../ledger/service.js';
import type { Ledger } from '../ledger/store.js';
import type { SimActor } from './worker-tree.js';

/** @param open the database of this world, opened anew for each incarnation */
export const simLedger =
  (open: () => Ledger): SimActor =>
  context => {
    let service: LedgerService | null = null;
    const early: { readonly from: never; readonly message: never }[] = [];
    const traced = () => {
      const id = nextEventId(context.ids);
      return { id, cause: id };
    };
    return {
      start: ready => {
        const ledger = open();
        service = createLedgerService(ledger, {
          now: context.now,
          send: (to, message) => void context.send(to, message as never),
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
          later: (work, when) => context.after(0, `ledger ${when}`, work),
        });
        for (const { from, message } of early.splice(0)) service.onMessage(from, message);
        ready({ instance: ledger.instance, run: String(ledger.run) });
      },
      onMessage: (from, message) => {
        if (service === null) early.push({ from: from as never, message });
        else service.onMessage(from, message);
      },
      onTick: () => service?.onTick(),
      drain: done => {
        service?.drain();
        done();
      },
    };
  };
