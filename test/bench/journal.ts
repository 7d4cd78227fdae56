/** Durable commits of the ledger, alone and in groups, against the naked write that a commit cannot do without. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLedger } from '#src/ledger/store.js';
import { intended, moved } from '../ledger/fixtures.js';
import { acrossRounds, figure, inTurns, ratioOf } from './figures.js';
import type { Section } from './section.js';

const GROUPS = [1, 10, 100] as const;
/** What one intent adds to the write-ahead log, about. */
const NAKED_BYTES = 16_384;

export const journal: Section = {
  name: 'journal',
  title: 'Durable intents',
  about:
    "One commit of the ledger with `synchronous=FULL`: the intents of a group and one transition of each, in one transaction, on this machine's disk. The baseline appends 16 KiB to a file and calls `fdatasync`: nothing durable is cheaper.",
  async run({ rounds, tiny }) {
    const commits = tiny ? 3 : 200;
    const directory = mkdtempSync(join(tmpdir(), 'btcbot-bench-'));
    const ledger = openLedger({ path: join(directory, 'a.sqlite'), mode: 'paper' });
    const naked = openSync(join(directory, 'naked'), 'a');
    const block = Buffer.alloc(NAKED_BYTES, 1);
    let made = 0;
    const sampled = async (work: () => void): Promise<readonly number[]> => {
      const samples: number[] = [];
      for (let n = 0; n < commits; n++) {
        const startedMs = performance.now();
        work();
        samples.push(performance.now() - startedMs);
      }
      ledger.checkpoint('passive');
      return samples;
    };
    const commit = (group: number) => (): void => {
      const batches = Array.from({ length: group }, () => {
        const id = `bb-0123abcd-1-bench-${(made++).toString(36)}`;
        return [intended(id), moved(id, { status: 'denied', reason: 'bench' })];
      });
      ledger.appendGroup(batches);
    };
    try {
      const taken = await inTurns(
        {
          naked: () =>
            sampled(() => {
              writeSync(naked, block);
              fdatasyncSync(naked);
            }),
          of1: () => sampled(commit(1)),
          of10: () => sampled(commit(10)),
          of100: () => sampled(commit(100)),
        },
        rounds,
      );
      const row = (what: string, rows: (typeof taken)['naked'], group: number): string[] => {
        const ms = acrossRounds(rows, 0.5);
        return [
          what,
          figure(ms),
          figure(acrossRounds(rows, 0.99)),
          group === 0 ? '' : figure((group * 1_000) / ms),
          figure(ratioOf(rows, taken.naked, 0.5)),
        ];
      };
      return {
        tables: [
          {
            head: ['What', 'p50 ms', 'p99 ms', 'intents/s', 'times the baseline'],
            rows: [
              row('append and fdatasync', taken.naked, 0),
              ...GROUPS.map(group =>
                row(`commit of ${group} ${group === 1 ? 'intent' : 'intents'}`, taken[`of${group}`], group),
              ),
            ],
          },
        ],
      };
    } finally {
      closeSync(naked);
      ledger.close();
      rmSync(directory, { recursive: true, force: true });
    }
  },
};
