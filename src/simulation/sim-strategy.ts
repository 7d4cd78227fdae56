/** The strategy actor in a simulated world: workers/strategy.ts without a thread. */
import { dearestFees } from '../domain/fees.js';
import type { LedgerSnapshot } from '../domain/ledger-records.js';
import type { ControlState } from '../domain/safety.js';
import type { StrategyDefinition } from '../domain/strategy.js';
import {
  DEFAULT_INTENT_VALIDITY_MS,
  initialStrategyHost,
  type StrategyHostInput,
  type StrategyHostState,
  stepStrategyHost,
} from '../domain/strategy-host.js';
import { checkParameters } from '../domain/strategy-parameters.js';
import type { FromLedger } from '../messages/ledger.js';
import { performCommon } from '../runtime/perform.js';
import type { SimActor } from './worker-tree.js';

/** @param definition the strategy to run; its parameters come from the settings */
export const simStrategy =
  (definition: StrategyDefinition): SimActor =>
  context => {
    const { settings, incarnation } = context.boot;
    let state: StrategyHostState | null = null;
    let control: ControlState | null = null;
    let snapshotAsked = false;
    let early: StrategyHostInput[] = [];

    const step = (input: StrategyHostInput): void => {
      if (state === null) {
        early.push(input);
        return;
      }
      const stepped = stepStrategyHost(state, input, context.now());
      state = stepped.state;
      for (const effect of stepped.effects)
        if (effect.type === 'tell') context.send(effect.to, effect.message as never);
        else performCommon(context, effect);
    };

    const begin = (snapshot: LedgerSnapshot): void => {
      const checked = checkParameters(definition, settings.strategyConfig);
      if (!checked.ok) throw new Error(checked.problems.join('; '));
      state = initialStrategyHost({
        definition,
        parameters: checked.values,
        symbols: settings.symbols,
        incarnation,
        startedAt: context.now(),
        intentValidityMs: DEFAULT_INTENT_VALIDITY_MS,
        maxOpenOrders: settings.risk.maxOpenOrders,
        maxOpenOrdersPerSymbol: settings.risk.maxOpenOrdersPerSymbol,
        feesOf: dearestFees,
        restored: {
          saved: snapshot.strategyStates.get(definition.name) ?? null,
          openOrders: snapshot.openOrders,
        },
      });
      const waiting = early;
      early = [];
      if (control !== null) step({ type: 'control', control });
      for (const input of waiting) step(input);
    };

    return {
      start: ready => ready({}),
      onMessage: (from, message: StrategyHostInput | FromLedger) => {
        if (from === 'ledger' && message.type === 'snapshot-given') begin(message.snapshot);
        else if (message.type !== 'snapshot-given' && message.type !== 'epoch-given') step(message);
      },
      onControl: message => {
        if (message.type === 'peer-connected' && message.peer === 'ledger') snapshotAsked = false;
        if (message.type !== 'control-state') return;
        control = message;
        if (state !== null) step({ type: 'control', control: message });
      },
      onTick: () => {
        if (state !== null) step({ type: 'tick' });
        else if (!snapshotAsked)
          snapshotAsked = context.send('ledger', { type: 'snapshot-wanted', request: 1 } as never);
      },
      drain: done => {
        if (state !== null) step({ type: 'stopping' });
        done();
      },
    };
  };
