/** The strategy actor's shell: feeds its brain and performs what comes back. Talks to nobody outside the process. */

import { dearestFees } from '#src/domain/fees.js';
import type { LedgerSnapshot } from '#src/domain/ledger-records.js';
import type { ControlState } from '#src/domain/safety.js';
import type { ParameterValues, StrategyDefinition } from '#src/domain/strategy.js';
import {
  DEFAULT_INTENT_VALIDITY_MS,
  initialStrategyHost,
  type StrategyHostInput,
  type StrategyHostState,
  statusFacts,
  stepStrategyHost,
} from '#src/domain/strategy-host.js';
import { checkParameters } from '#src/domain/strategy-parameters.js';
import { StartRefused } from '#src/messages/control.js';
import type { FromLedger } from '#src/messages/ledger.js';
import { hostActor } from '#src/runtime/actor-host.js';
import { performCommon } from '#src/runtime/perform.js';
import { importStrategy, isModulePath, StrategyModuleError } from '#src/runtime/strategy-module.js';
import { findStrategy, STRATEGIES } from '#src/strategies/catalogue.js';

/** Messages that arrive before the ledger has answered are kept up to this many, oldest first out. */
const MAX_EARLY = 1_000;

hostActor('strategy', context => {
  const { settings, incarnation } = context.boot;
  let definition: StrategyDefinition | null = null;
  let parameters: ParameterValues = {};
  let state: StrategyHostState | null = null;
  let control: ControlState | null = null;
  let snapshotAsked = false;
  let early: StrategyHostInput[] = [];

  const findDefinition = async (): Promise<StrategyDefinition> => {
    if (isModulePath(settings.strategy))
      try {
        return await importStrategy(settings.strategy, process.cwd());
      } catch (error) {
        throw error instanceof StrategyModuleError ? new StartRefused(2, error.message) : error;
      }
    const found = findStrategy(settings.strategy);
    if (found !== undefined) return found;
    const names = STRATEGIES.map(strategy => strategy.name).join(', ');
    throw new StartRefused(
      2,
      `STRATEGY=${settings.strategy} is not a strategy; there are ${names}, or give the path of a file of your own`,
    );
  };

  const step = (input: StrategyHostInput): void => {
    if (state === null) {
      early.push(input);
      if (early.length > MAX_EARLY) early.shift();
      return;
    }
    const stepped = stepStrategyHost(state, input, context.now());
    state = stepped.state;
    for (const effect of stepped.effects) {
      if (effect.type === 'tell') {
        // Without a channel the intent is lost, and the brain gives it up when nobody answers.
        context.send(effect.to, effect.message);
      } else performCommon(context, effect);
    }
  };

  const begin = (snapshot: LedgerSnapshot): void => {
    if (definition === null) return;
    state = initialStrategyHost({
      definition,
      parameters,
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
    async start() {
      const found = await findDefinition();
      const checked = checkParameters(found, settings.strategyConfig);
      if (!checked.ok) throw new StartRefused(2, checked.problems.join('; '));
      definition = found;
      parameters = checked.values;
      return {};
    },
    onMessage(from, message: StrategyHostInput | FromLedger) {
      if (from === 'ledger' && message.type === 'snapshot-given') begin(message.snapshot);
      else if (message.type !== 'snapshot-given' && message.type !== 'epoch-given') step(message);
    },
    onControl(message) {
      // A restarted ledger has forgotten the question.
      if (message.type === 'peer-connected' && message.peer === 'ledger') snapshotAsked = false;
      if (message.type !== 'control-state') return;
      control = message;
      if (state !== null) step({ type: 'control', control: message });
    },
    onTick() {
      if (state !== null) step({ type: 'tick' });
      else if (!snapshotAsked)
        snapshotAsked = context.send('ledger', { type: 'snapshot-wanted', request: 1 });
    },
    async drain() {
      if (state !== null) step({ type: 'stopping' });
    },
    snapshot: () => (state === null ? { state: 'waiting for the ledger' } : statusFacts(state)),
  };
});
