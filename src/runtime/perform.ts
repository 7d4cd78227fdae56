import type { CommonEffect } from '../domain/effects.js';
import type { ActorName } from '../domain/step.js';
import type { ActorContext } from './actor-host.js';

/**
 * Performs an effect that every actor may have.
 * @returns false when the effect is the actor's own and still has to be performed.
 */
export const performCommon = <Self extends ActorName>(
  context: Omit<ActorContext<Self>, 'restraint'>,
  effect: { readonly type: string },
): boolean => {
  const common = effect as CommonEffect;
  switch (common.type) {
    case 'log':
      context.log(common.level, common.event, common.fields);
      return true;
    case 'metric':
      context.metric(common);
      return true;
    case 'hold':
      context.toSupervisor(common.message);
      return true;
    case 'append':
      context.send('ledger', common.request as never);
      return true;
    case 'status':
      context.toSupervisor({ type: 'status-reported', facts: common.facts });
      return true;
    default:
      return false;
  }
};
