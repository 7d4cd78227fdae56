/** How long the books of a bot that has traded for long take to come back. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bookFill, initialAccounting, pairFromSymbol } from '#src/domain/accounting.js';
import type { LedgerRecord, LedgerSnapshot } from '#src/domain/ledger-records.js';
import { openLedger } from '#src/ledger/store.js';
import { audited, filled, intended, moved } from '../ledger/fixtures.js';
import { figure, median, timed } from './figures.js';
import type { Section } from './section.js';

const ORDERS = 100_000;
/** Of the newest, so many are still open. */
const OPEN = 5;
const GOAL_MS = 1_000;
const WHY =
  'Every booked fill is read and folded again, so that the accounts follow from the facts alone: most of the time goes there and grows with the history, while execution itself reads only what is open.';

/** A whole life: intent, decision, sending, answer and, unless it stays open, fill and end. */
const life = (n: number, open: boolean): LedgerRecord[] => {
  const id = `bb-0123abcd-1-maker-${n.toString(36)}`;
  const venueOrderId = String(31_840_000_000 + n);
  return [
    intended(id),
    audited(`execution:1:${n}`, `strategy:1:${n}`, 'intent-approved', {
      clientOrderId: id,
      notional: '500.25',
    }),
    moved(id, { status: 'in-flight', sentAtMs: 1 }),
    moved(id, { status: 'working', venueOrderId, filled: 0n }),
    ...(open
      ? []
      : [
          filled(`t${n}`, { clientOrderId: id, venueOrderId, executedAtMs: 1_790_000_000_000 + n }),
          moved(id, { status: 'filled', venueOrderId, filled: 10n ** 15n }),
        ]),
  ];
};

const fold = (snapshot: LedgerSnapshot): void => {
  const accounting = initialAccounting(null);
  for (const fill of snapshot.fills) bookFill(accounting, fill, pairFromSymbol(fill.symbol, fill.feeAsset));
};

export const recovery: Section = {
  name: 'recovery',
  title: 'Recovery of a long journal',
  about: `A journal with ${ORDERS.toLocaleString('en')} orders, each with its intent, decision, transitions and fill, ${OPEN} of them still open: opening and checking the file, reading what a start needs, and folding the fills into the accounts.`,
  async run({ rounds, tiny }) {
    const orders = tiny ? 50 : ORDERS;
    const directory = mkdtempSync(join(tmpdir(), 'btcbot-bench-'));
    const path = join(directory, 'a.sqlite');
    try {
      const built = openLedger({ path, mode: 'paper' });
      for (let n = 0; n < orders; n += 200) {
        built.appendGroup(
          Array.from({ length: Math.min(200, orders - n) }, (_, k) => life(n + k, n + k >= orders - OPEN)),
        );
        if (n % 20_000 === 0) built.checkpoint('passive');
      }
      built.close();
      const opening: number[] = [];
      const open: number[] = [];
      const reading: number[] = [];
      const folding: number[] = [];
      const whole: number[] = [];
      let integrity = '';
      for (let round = 0; round < rounds; round++) {
        const opened = await timed(() => openLedger({ path, mode: 'paper' }));
        const ledger = opened.value;
        integrity = ledger.integrity;
        const taken = await timed(() => ledger.snapshot({ fills: 'of-open-orders' }));
        const read = await timed(() => ledger.snapshot());
        const folded = await timed(() => fold(read.value));
        if (read.value.openOrders.length !== OPEN) throw new Error('the open orders are not there');
        ledger.close();
        opening.push(opened.ms);
        open.push(taken.ms);
        reading.push(read.ms);
        folding.push(folded.ms);
        whole.push(opened.ms + taken.ms + read.ms + folded.ms);
      }
      const row = (what: string, samples: readonly number[]): string[] => [
        what,
        figure(median(samples)),
        figure(Math.max(...samples)),
      ];
      return {
        tables: [
          {
            head: ['What', 'median ms', 'longest ms'],
            rows: [
              row(`open and check (${integrity})`, opening),
              row('read what execution takes over', open),
              row('read what the accounts are made of', reading),
              row('fold the fills', folding),
              row('in all', whole),
            ],
          },
        ],
        goals: [
          {
            what: 'recovery in all',
            goal: 'under 1 s',
            measured: `${figure(median(whole) / 1_000)} s`,
            met: median(whole) < GOAL_MS,
            why: WHY,
          },
        ],
        remarks: [`The file has ${figure(statSync(path).size / 1e6)} MB.`],
      };
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
};
