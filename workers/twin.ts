/**
 * The paper twin's actor (src/research/twin.ts). It may be missed: when it cannot keep up it ends, the supervisor says so,
 * and nothing else changes.
 */
import { initialTwin, stepTwin, type TwinInput, type TwinState } from '#src/research/twin.js';
import { hostActor } from '#src/runtime/actor-host.js';
import { performCommon } from '#src/runtime/perform.js';

hostActor('twin', context => {
  let state: TwinState = initialTwin();
  let facts: Readonly<Record<string, unknown>> = {};

  const step = (input: TwinInput): void => {
    const stepped = stepTwin(state, input, context.now());
    state = stepped.state;
    for (const effect of stepped.effects) {
      if (effect.type === 'status') facts = effect.facts;
      performCommon(context, effect);
    }
  };

  return {
    async start() {
      return {};
    },
    onMessage(from, message: never) {
      if (from === 'market-data' || from === 'execution') step({ type: 'message', from, message });
    },
    onDropped(from) {
      throw new Error(`it lags: messages of ${from} were given up, and its figures would be wrong`);
    },
    onControl: message => {
      if (message.type === 'peer-lost') step({ type: 'peer-lost', peer: message.peer });
    },
    onTick: () => step({ type: 'tick' }),
    async drain() {
      step({ type: 'tick' });
    },
    snapshot: () => facts,
  };
});
