/** The strategy actor in a simulated world: workers/strategy.ts without a thread. */
import { dearestFees } from '../domain/fees.js';
import type { LedgerSnapshot } from '../domain/ledger-records.js';
import type { ControlState } from '../domain/safety.js';
import type { StrategyDefinition } from '../domain/strategy.js';
import { DEFAULT_INTENT_VALIDITY_MS, type StrategyHostInput } from '../domain/strategy-host.js';
import { checkParameters } from '../domain/strategy-parameters.js';
import {
  initialPortfolio,
  type PortfolioMember,
  type PortfolioState,
  stepPortfolio,
} from '../domain/strategy-portfolio.js';
import type { FromLedger } from '../messages/ledger.js';
import { performCommon } from '../runtime/perform.js';
import type { StrategySetting } from '../runtime/settings.js';
import type { SimActor } from './worker-tree.js';

/**
 * @param definitions the strategies that the settings may name
 * @param given what runs, in place of what they name
 */
export const simStrategy =
  (definitions: readonly StrategyDefinition[], given?: readonly PortfolioMember[]): SimActor =>
  context => {
    const { settings, incarnation } = context.boot;
    let state: PortfolioState | null = null;
    let control: ControlState | null = null;
    let snapshotAsked = false;
    let early: StrategyHostInput[] = [];

    const memberOf = ({ name, strategy, symbols, config, universe }: StrategySetting): PortfolioMember => {
      const definition = definitions.find(each => each.name === strategy);
      if (definition === undefined) throw new Error(`there is no strategy ${strategy}`);
      const checked = checkParameters(definition, config);
      if (!checked.ok) throw new Error(checked.problems.join('; '));
      return {
        name: name ?? definition.name,
        definition,
        parameters: checked.values,
        symbols,
        universe,
        disabled: null,
      };
    };

    const step = (input: StrategyHostInput): void => {
      if (state === null) {
        early.push(input);
        return;
      }
      const stepped = stepPortfolio(state, input, context.now());
      state = stepped.state;
      for (const effect of stepped.effects)
        if (effect.type === 'tell') context.send(effect.to, effect.message as never);
        else if (effect.type === 'fills-wanted') context.send('ledger', effect as never);
        else performCommon(context, effect);
    };

    const begin = (snapshot: LedgerSnapshot): void => {
      state = initialPortfolio({
        members: given ?? settings.strategies.map(memberOf),
        incarnation,
        startedAt: context.now(),
        intentValidityMs: DEFAULT_INTENT_VALIDITY_MS,
        maxOpenOrders: settings.risk.maxOpenOrders,
        maxOpenOrdersPerSymbol: settings.risk.maxOpenOrdersPerSymbol,
        feesOf: dearestFees,
        restored: snapshot,
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
          snapshotAsked = context.send('ledger', {
            type: 'snapshot-wanted',
            request: 1,
            fills: 'after-checkpoint',
          } as never);
      },
      drain: done => {
        if (state !== null) step({ type: 'stopping' });
        done();
      },
    };
  };
