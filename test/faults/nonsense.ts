/**
 * A million frames and bodies that no venue should send, in a process with little room: mutated real ones, deep JSON,
 * huge numbers, wrong types, text that looks like a number, strings of a megabyte.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { definePart, type PartResult } from './part.js';

export interface NonsensePlan {
  readonly frames: number;
  readonly bodies: number;
  /** So many of each between two looks at the memory. */
  readonly chunk: number;
  readonly seed: number;
}

export type NonsenseWord =
  | {
      readonly type: 'chunk';
      /** So far. */
      readonly frames: number;
      readonly bodies: number;
      readonly large: number;
      /** After a collection of garbage. */
      readonly heapMb: number;
      readonly rssMb: number;
    }
  | { readonly type: 'found'; readonly what: string };

type Chunk = Extract<NonsenseWord, { readonly type: 'chunk' }>;

const HEAP_LIMIT_MB = 192;
/** Growth from the first tenth to the last chunk that is no growth: what the engine keeps for itself. */
const HEAP_SLACK_MB = 24;

export const nonsense = definePart({
  name: 'nonsense',
  title: 'Nonsense from the venue',
  about: `Mutated frames meet a live book, mutated bodies every kind of read, submit and cancel, in a process whose heap may not
exceed ${HEAP_LIMIT_MB} MB. A book shown as trusted must be the one before the frame, or the one that a second reader, which shares no code
with the adapter, makes of it; a submit counts as confirmed or refused only by a body that says so. One brain takes in all frames.`,
  full: { frames: 500_000, bodies: 500_000, chunk: 10_000 },
  small: { frames: 200, bodies: 200, chunk: 100 },
  run: async ({ frames, bodies, chunk }, { seed }): Promise<PartResult> => {
    const plan: NonsensePlan = { frames, bodies, chunk, seed: seed + 13_000 };
    const child = fork(fileURLToPath(new URL('./nonsense-run.js', import.meta.url)), [JSON.stringify(plan)], {
      execArgv: [`--max-old-space-size=${HEAP_LIMIT_MB}`, '--expose-gc'],
    });
    const chunks: Chunk[] = [];
    const found: string[] = [];
    child.on('message', (word: NonsenseWord) => {
      if (word.type === 'found') found.push(word.what);
      else chunks.push(word);
    });
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    const contradictions = [...found];
    if (code !== 0) contradictions.push(`the process ended with ${code ?? signal}`);
    const last = chunks.at(-1);
    if (last?.frames !== frames || last.bodies !== bodies)
      contradictions.push(`it came to ${last?.frames ?? 0} frames and ${last?.bodies ?? 0} bodies`);
    const early = chunks[Math.floor(chunks.length / 10)]?.heapMb ?? 0;
    const heap = chunks.map(({ heapMb }) => heapMb);
    if ((heap.at(-1) ?? 0) > early + HEAP_SLACK_MB) contradictions.push('the heap grows');
    const mb = (value: number): string => `${value.toFixed(0)} MB`;
    return {
      rows: [
        ['frames', String(500_000), String(last?.frames ?? 0)],
        ['bodies', String(500_000), String(last?.bodies ?? 0)],
        ['texts of up to a megabyte, and 60,000 levels deep', '', String(last?.large ?? 0)],
        ['crashes', '0', code === 0 ? '0' : '1'],
        ['books, fills or outcomes that the text did not say', '0', String(found.length)],
        [
          'heap after a collection: at a tenth of the way, at most, at the end',
          'bounded',
          [early, Math.max(0, ...heap), heap.at(-1) ?? 0].map(mb).join(', '),
        ],
        ['memory of the process, at most', 'bounded', mb(Math.max(0, ...chunks.map(({ rssMb }) => rssMb)))],
      ],
      contradictions,
    };
  },
});
