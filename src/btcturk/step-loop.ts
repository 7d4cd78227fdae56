/** Runs a step function: one input at a time, its effects in order. */

/**
 * @param step advances the state and returns what to do
 * @param perform does one effect; inputs it gives rise to wait until all effects of the current one are done, so that
 *   effects keep their order
 */
export const createStepLoop = <Input, Effect>(
  step: (input: Input) => readonly Effect[],
  perform: (effect: Effect) => void,
): ((input: Input) => void) => {
  const waiting: Input[] = [];
  let stepping = false;
  return input => {
    waiting.push(input);
    if (stepping) return;
    stepping = true;
    try {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
        for (const effect of step(next)) perform(effect);
    } finally {
      stepping = false;
    }
  };
};
