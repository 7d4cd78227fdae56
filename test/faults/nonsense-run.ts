/** The process in which nonsense is thrown at the adapter: it tells after every chunk how far it is and what it holds. */
import fc from 'fast-check';
import type { BtcturkRead } from '#src/btcturk/market-reads.js';
import {
  BODIES,
  CALLS,
  checkBody,
  checkFrame,
  FRAMES,
  LARGE,
  liveMarket,
  nasty,
  status,
} from '../btcturk/nonsense.js';
import type { NonsensePlan, NonsenseWord } from './nonsense.js';

const say = (word: NonsenseWord): void => void process.send?.(word);

const plan = JSON.parse(process.argv[2] ?? '') as NonsensePlan;
// One brain for all frames: what it might gather, it gathers.
const run = liveMarket();
const memory = (): { readonly heapMb: number; readonly rssMb: number } => {
  globalThis.gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  return { heapMb: heapUsed / 2 ** 20, rssMb: rss / 2 ** 20 };
};

let frames = 0;
let bodies = 0;
for (let chunk = 0; frames < plan.frames || bodies < plan.bodies; chunk++) {
  const seed = plan.seed + chunk;
  const [someFrames, someBodies] = [
    Math.min(plan.chunk, plan.frames - frames),
    Math.min(plan.chunk, plan.bodies - bodies),
  ];
  try {
    // Not shrunk: the brain has moved on, and the seed and the text are told.
    fc.assert(
      fc.property(nasty(FRAMES), text => checkFrame(text, run)),
      { numRuns: someFrames, seed, endOnFailure: true },
    );
    fc.assert(fc.property(status, nasty(BODIES), fc.constantFrom(...CALLS), checkBody), {
      numRuns: someBodies,
      seed,
    });
    for (const text of LARGE) {
      checkFrame(text, run);
      checkBody(200, text, CALLS[0] as BtcturkRead);
    }
  } catch (error) {
    say({ type: 'found', what: error instanceof Error ? error.message : String(error) });
  }
  frames += someFrames;
  bodies += someBodies;
  say({ type: 'chunk', frames, bodies, large: (chunk + 1) * LARGE.length, ...memory() });
}
process.disconnect?.();
