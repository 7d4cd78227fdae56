import { openReader } from '../ledger/reader.js';
import { wallMs } from '../runtime/clock.js';
import { BOOKS_OPTIONS, BOOKS_USAGE, ledgerPath } from './books.js';
import { askBot, socketOf } from './control-client.js';
import { CliRefused } from './refused.js';
import { json } from './table.js';
import type { Verb } from './verb.js';

/** A little longer than the bot gives itself. */
const ANSWER_WITHIN_MS = 20_000;

/** What a kill drill came to; times from the kill, ms. */
interface DrillReport {
  readonly passed: boolean;
  readonly message: string;
  /** The last order sent; 0 when none left after the kill. */
  readonly fenceMs: number;
  readonly lastCancelMs: number | null;
  readonly verifiedZeroMs: number | null;
  readonly left: readonly string[];
}

export const verb: Verb = {
  name: 'drill',
  usage: `drill kill ${BOOKS_USAGE}`,
  about: `Holds a kill drill on a bot that runs on paper or in dry run: no new order, every own order canceled, and the
exchange asked until it shows none. Reports the time to the fence, to the last cancel and to the verified zero, and
keeps the result: a failed drill stands in the way of live. Afterwards the bot trades on.

JSON: { passed, message, fenceMs, lastCancelMs, verifiedZeroMs, left: [] }. Exit codes: 0 passed, 1 failed, 2 refused.`,
  options: { ...BOOKS_OPTIONS },
  async run({ values, positionals }, io) {
    if (positionals.length !== 1 || positionals[0] !== 'kill')
      throw new CliRefused('name the drill: btcbot drill kill');
    const startedAtMs = wallMs();
    const answer = await askBot(socketOf(values, io), { type: 'drill-kill' }, ANSWER_WITHIN_MS);
    if (answer.drill === undefined) throw new CliRefused(answer.message);
    const report: DrillReport = {
      passed: answer.ok,
      message: answer.message,
      ...timesIn(ledgerPath(values, io.env), startedAtMs, wallMs()),
      verifiedZeroMs: answer.drill.verifiedZeroMs,
      left: answer.drill.left,
    };
    io.out(values.json === true ? json(report) : reportText(report));
    return report.passed ? 0 : 1;
  },
};

/** When the last order and the last cancel of the drill left, as the ledger has it. */
const timesIn = (
  database: string,
  fromMs: number,
  toMs: number,
): Pick<DrillReport, 'fenceMs' | 'lastCancelMs'> => {
  const books = openReader(database);
  try {
    let fenceMs = 0;
    let lastCancelMs: number | null = null;
    for (const { order } of books.orders()) {
      if (order.settledAtMs !== null && order.settledAtMs < fromMs) continue;
      for (const { status, atMs } of books.transitions(order.clientOrderId)) {
        if (atMs < fromMs || atMs > toMs) continue;
        if (status === 'in-flight') fenceMs = Math.max(fenceMs, atMs - fromMs);
        else if (status === 'cancel-in-flight') lastCancelMs = Math.max(lastCancelMs ?? 0, atMs - fromMs);
      }
    }
    return { fenceMs, lastCancelMs };
  } finally {
    books.close();
  }
};

const reportText = (report: DrillReport): string =>
  [
    report.message,
    `  last order sent after ${report.fenceMs} ms`,
    `  last cancel sent after ${report.lastCancelMs ?? '-'} ms`,
    `  verified zero after ${report.verifiedZeroMs ?? '-'} ms`,
    '',
  ].join('\n');
