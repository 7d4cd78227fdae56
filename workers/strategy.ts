/** The strategy actor's shell: feeds its brain and performs what comes back. Talks to nobody outside the process. */

import { dearestFees } from '#src/domain/fees.js';
import type { LedgerSnapshot } from '#src/domain/ledger-records.js';
import type { ControlState } from '#src/domain/safety.js';
import { DEFAULT_INTENT_VALIDITY_MS, STOPPING, type StrategyHostInput } from '#src/domain/strategy-host.js';
import {
  initialPortfolio,
  type PortfolioMember,
  type PortfolioState,
  type PortfolioWatch,
  portfolioFacts,
  stepPortfolio,
} from '#src/domain/strategy-portfolio.js';
import { StartRefused } from '#src/messages/control.js';
import type { FromLedger } from '#src/messages/ledger.js';
import { hostActor } from '#src/runtime/actor-host.js';
import { performCommon } from '#src/runtime/perform.js';
import { findMembers, MembersRefused } from '#src/runtime/strategy-members.js';
import { createSoleMemory, createStrategyMemory } from '#src/runtime/strategy-memory.js';
import { openStrategyRecord } from '#src/runtime/strategy-record.js';
import { findStrategy, STRATEGIES } from '#src/strategies/catalogue.js';

/** Messages that arrive before the ledger has answered are kept up to this many, oldest first out. */
const MAX_EARLY = 1_000;

hostActor('strategy', context => {
  const { settings, incarnation, scratch } = context.boot;
  const record = openStrategyRecord(scratch);
  let memory = createSoleMemory();
  const watch: PortfolioWatch = member => {
    record.watch(member);
    memory.watch(member);
  };
  let members: readonly PortfolioMember[] = [];
  let state: PortfolioState | null = null;
  let control: ControlState | null = null;
  let snapshotAsked = false;
  let early: StrategyHostInput[] = [];

  const step = (input: StrategyHostInput): void => {
    if (state === null) {
      early.push(input);
      if (early.length > MAX_EARLY) early.shift();
      return;
    }
    const stepped = stepPortfolio(state, input, context.now(), watch);
    state = stepped.state;
    if (input.type === 'tick')
      for (const [member, { stopped }] of state.hosts.entries())
        if (stopped !== null && stopped !== STOPPING) record.condemn(member);
    if (input.type === 'tick') endHoarder(state);
    for (const effect of stepped.effects) {
      if (effect.type === 'tell') {
        // Without a channel the message is lost, and the brain gives it up or repeats it when nobody answers.
        if (effect.to === 'execution') context.send('execution', effect.message);
        else context.send('market-data', effect.message);
      } else if (effect.type === 'fills-wanted') context.send('ledger', effect);
      else performCommon(context, effect);
    }
  };

  /** Buffers are let go only with the thread that holds them: it ends, and the next one leaves the culprit out. */
  const endHoarder = ({ hosts }: PortfolioState): void => {
    const culprit = memory.culprit();
    if (culprit === null) return;
    record.watch(culprit);
    throw new Error(`strategy ${hosts[culprit]?.name} keeps too much memory outside the heap`);
  };

  const begin = (snapshot: LedgerSnapshot): void => {
    if (members.length > 1) memory = createStrategyMemory();
    state = initialPortfolio(
      {
        members,
        incarnation,
        startedAt: context.now(),
        intentValidityMs: DEFAULT_INTENT_VALIDITY_MS,
        maxOpenOrders: settings.risk.maxOpenOrders,
        maxOpenOrdersPerSymbol: settings.risk.maxOpenOrdersPerSymbol,
        feesOf: dearestFees,
        candleHistory: true,
        restored: snapshot,
      },
      watch,
    );
    const waiting = early;
    early = [];
    if (control !== null) step({ type: 'control', control });
    for (const input of waiting) step(input);
  };

  return {
    async start() {
      try {
        members = await findMembers(settings.strategies, {
          find: findStrategy,
          names: STRATEGIES.map(({ name }) => name),
          cwd: process.cwd(),
          loading: file => context.log('info', 'strategy-loading', { file }),
          record,
        });
      } catch (error) {
        throw error instanceof MembersRefused ? new StartRefused(2, error.message) : error;
      }
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
        snapshotAsked = context.send('ledger', {
          type: 'snapshot-wanted',
          request: 1,
          fills: 'after-checkpoint',
        });
    },
    async drain() {
      if (state !== null) step({ type: 'stopping' });
    },
    snapshot: () => (state === null ? { state: 'waiting for the ledger' } : portfolioFacts(state)),
  };
});
