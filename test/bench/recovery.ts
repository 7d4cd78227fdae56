/** How long the books of a bot that has traded for long take to come back. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Accounting,
  accountingFrom,
  bookFill,
  initialAccounting,
  pairFromSymbol,
} from '#src/domain/accounting.js';
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
  'The integrity check reads the whole file, and most of the time goes there; what the accounts need is the newest checkpoint of the books, the ids of its trades and the fills after it. Only a start without a usable checkpoint reads and folds every fill.';

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

const fold = ({ fills, checkpoint }: LedgerSnapshot): Accounting => {
  const accounting =
    checkpoint == null
      ? initialAccounting(null)
      : accountingFrom(null, checkpoint.books.own, new Set(checkpoint.tradeIds));
  for (const fill of fills) bookFill(accounting, fill, pairFromSymbol(fill.symbol, fill.feeAsset));
  return accounting;
};

/** Wall and CPU time of each round, ms. */
interface Samples {
  readonly wall: number[];
  readonly cpu: number[];
}

const samples = (): Samples => ({ wall: [], cpu: [] });

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

const take = async <T>(into: Samples, work: () => T): Promise<T> => {
  const before = cpuMs();
  const { ms, value } = await timed(work);
  into.cpu.push(cpuMs() - before);
  into.wall.push(ms);
  return value;
};

/** Of each round, the sum of its steps. */
const sumOf = (steps: readonly Samples[]): Samples => {
  const sum = (pick: (step: Samples) => readonly number[]): number[] =>
    (steps[0]?.wall ?? []).map((_, round) => steps.reduce((all, step) => all + (pick(step)[round] ?? 0), 0));
  return { wall: sum(step => step.wall), cpu: sum(step => step.cpu) };
};

export const recovery: Section = {
  name: 'recovery',
  title: 'Recovery of a long journal',
  about: `A journal with ${ORDERS.toLocaleString('en')} orders, each with its intent, decision, transitions and fill, ${OPEN} of them still open: opening and checking the file, reading what a start needs, and bringing the accounts from their newest checkpoint to the newest fill. The checkpoint is the one that the last stop wrote.`,
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
      built.keepBooks(true);
      built.close();
      const opening = samples();
      const open = samples();
      const reading = samples();
      const folding = samples();
      const instead = samples();
      let integrity = '';
      for (let round = 0; round < rounds; round++) {
        const ledger = await take(opening, () => openLedger({ path, mode: 'paper' }));
        integrity = ledger.integrity;
        await take(open, () => ledger.snapshot({ fills: 'of-open-orders', recentOrders: true }));
        const read = await take(reading, () => ledger.snapshot({ fills: 'after-checkpoint' }));
        const books = await take(folding, () => fold(read));
        const all = await take(instead, () => fold(ledger.snapshot()));
        ledger.close();
        if (read.openOrders.length !== OPEN) throw new Error('the open orders are not there');
        if (!tiny && read.fills.length === orders - OPEN) throw new Error('there is no checkpoint');
        const [some, every] = [books, all].map(each => each.positions.get('BTCTRY'));
        if (some?.grossRealizedFifo !== every?.grossRealizedFifo || some?.cost !== every?.cost)
          throw new Error('the checkpoint does not go on to the same books');
      }
      const whole = sumOf([opening, open, reading, folding]);
      const row = (what: string, { wall, cpu }: Samples): string[] => [
        what,
        figure(median(wall)),
        figure(Math.max(...wall)),
        figure(median(cpu)),
      ];
      return {
        tables: [
          {
            head: ['What', 'median ms', 'longest ms', 'median ms of CPU'],
            rows: [
              row(`open and check (${integrity})`, opening),
              row('read what execution takes over', open),
              row('read the checkpoint of the accounts and what came after', reading),
              row('go on to the newest fill', folding),
              row('in all', whole),
              row('for comparison, without a checkpoint: read and fold every fill', instead),
            ],
          },
        ],
        goals: [
          {
            what: 'recovery in all',
            goal: 'under 1 s',
            measured: `${figure(median(whole.wall) / 1_000)} s`,
            met: median(whole.wall) < GOAL_MS,
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
