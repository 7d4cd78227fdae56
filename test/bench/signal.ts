/** From the operator's signal, or the supervisor's last breath, to the last write: the fault suite's parts, in short. */
import { freeze } from '../faults/freeze.js';
import type { FaultPart, Sizes } from '../faults/part.js';
import { signals } from '../faults/signals.js';
import type { BenchTable, Section } from './section.js';

const SEED = 5;
const SIGNALS = { steadySignals: 10, queuedSignals: 10, blockedSignals: 10, restarts: 0 };
const FEWEST_SIGNALS = { steadySignals: 1, queuedSignals: 0, blockedSignals: 0, restarts: 0 };

export const signal: Section = {
  name: 'signal',
  inSuite: false,
  title: 'Signal to last write',
  about:
    'The parts `signals` and `freeze` of the fault suite at a small size; docs/RELIABILITY.md has them at their full one. A bot that sends 10 orders and 10 cancels a second gets SIGUSR2; and its main thread sleeps until the write lease ends. Times are taken at the exchange: to the first byte of the last write.',
  async run({ rounds, tiny }) {
    const contradictions: string[] = [];
    const tableOf = async (part: FaultPart, size: Sizes): Promise<BenchTable> => {
      const result = await part.run(size, { seed: SEED, lanes: 1 });
      contradictions.push(...result.contradictions);
      return {
        head: [part.title, 'Goal', 'Measured'],
        // What was not tried at this size has nothing to show.
        rows: result.rows.filter(([, , measured]) => !measured.includes('of 0;')).map(row => [...row]),
      };
    };
    const tables = [await tableOf(signals, tiny ? FEWEST_SIGNALS : SIGNALS)];
    // One length of a freeze for each round: they take as long as they are.
    if (!tiny) tables.push(await tableOf(freeze, { durations: rounds }));
    return {
      tables,
      goals: [
        {
          what: 'writes that should not have left, and books against the exchange',
          goal: 'none',
          measured: contradictions.length === 0 ? 'none' : contradictions.join('; '),
          met: contradictions.length === 0,
        },
      ],
    };
  },
};
