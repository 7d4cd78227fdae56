import { createHash } from 'node:crypto';
import { copyFileSync } from 'node:fs';
import SqliteDatabase from 'better-sqlite3';
import { expect } from 'chai';
import fc from 'fast-check';
import { takeHistory } from '#src/domain/fill-history.js';
import type { LedgerSnapshot } from '#src/domain/ledger-records.js';
import { formatDecimal } from '#src/domain/money.js';
import type { Fill } from '#src/domain/order.js';
import { initialReconciliation } from '#src/domain/reconciliation.js';
import type { ReconciliationState } from '#src/domain/reconciliation-state.js';
import { initialPortfolio } from '#src/domain/strategy-portfolio.js';
import { expectedTotals } from '#src/domain/three-way-proof.js';
import { type Ledger, openLedger } from '#src/ledger/store.js';
import { CONFIG } from '../domain/reconciliation/bench.js';
import { AT, fill, filled, intended, scratch } from './fixtures.js';

const runs = Number(process.env.BTCBOT_RUNS ?? 15);
const SIZES = { keep: 4, every: 8 };
const NOW = { monoMs: 0, wallMs: AT + 10_000_000 };

const label = (n: number): string => `bb-aaaa0000-1-maker-${n.toString(36)}`;

const nth = (n: number, changes: Partial<Fill> = {}): ReturnType<typeof filled> =>
  filled(String(1_000 + n), {
    clientOrderId: n % 5 === 4 ? null : label(n),
    side: n % 3 === 2 ? 'sell' : 'buy',
    symbol: n % 7 === 6 ? 'ETHTRY' : 'BTCTRY',
    executedAtMs: AT + n * 10,
    ...changes,
  });

const opened = (ledger: Ledger): void => {
  ledger.append([{ type: 'balances', atMs: AT - 1, opening: true, balances: [] }]);
};

const sorted = (entries: Iterable<readonly [string, unknown]>): unknown =>
  [...entries].sort(([left], [right]) => (left < right ? -1 : 1));

/** All that reconciliation knows of its fills after a start, whatever it had to read for it. */
const pictureOf = (state: ReconciliationState): unknown => ({
  totals: sorted(expectedTotals(state)),
  booked: sorted(state.bookedByOrder),
  violations: [...state.violations],
  books: [state.accounting, state.foreignAccounting].map(({ positions }) =>
    sorted([...positions].map(([symbol, { foundation, fills, ...sums }]) => [symbol, sums] as const)),
  ),
});

/** A late fill that was booked since the ledger was opened makes reconciliation ask for the history of its symbol. */
const started = (ledger: Ledger, snapshot: LedgerSnapshot): unknown => {
  const state = initialReconciliation(CONFIG, snapshot, NOW);
  for (const books of [state.accounting, state.foreignAccounting])
    for (const symbol of books.outOfOrder)
      takeHistory(
        books,
        { type: 'fills-given', symbol, fills: ledger.fillsOf(symbol) },
        ({ clientOrderId }) => (clientOrderId !== null) === (books === state.accounting),
      );
  return pictureOf(state);
};

describe('checkpoints in the ledger', () => {
  const dir = scratch();
  const open = (checkpoints = SIZES): Ledger =>
    openLedger({ path: dir.file('a.sqlite'), mode: 'paper', instance: 'aaaa0000', checkpoints });
  const shell = (sql: string): void => {
    const db = new SqliteDatabase(dir.file('a.sqlite'));
    db.exec(sql);
    db.close();
  };
  /** A ledger, and the connection it works on. */
  const openWithHandle = (): { readonly ledger: Ledger; readonly db: SqliteDatabase.Database } => {
    const db = new SqliteDatabase(dir.file('a.sqlite'), { timeout: 1 });
    const ledger = openLedger({
      path: dir.file('a.sqlite'),
      mode: 'paper',
      instance: 'aaaa0000',
      checkpoints: SIZES,
      connect: () => db,
    });
    return { ledger, db };
  };
  /** Opened books with so many fills, each of an order of its own; every tenth order is still open. */
  const filledUp = (count: number): Ledger => {
    const ledger = open();
    opened(ledger);
    ledger.appendGroup(Array.from({ length: count }, (_, n) => [intended(label(n)), nth(n)]));
    return ledger;
  };
  const afterCheckpoint = (ledger: Ledger): LedgerSnapshot => ledger.snapshot({ fills: 'after-checkpoint' });
  const same = (ledger: Ledger): void => {
    expect(started(ledger, afterCheckpoint(ledger))).to.deep.equal(started(ledger, ledger.snapshot()));
  };

  it('are written once there are enough new fills, and a start reads those after the newest', () => {
    const ledger = filledUp(11);
    expect(ledger.keepBooks()).to.equal(null);
    expect(afterCheckpoint(ledger).fills).to.have.length(11);
    ledger.append([intended(label(11)), nth(11)]);
    expect(ledger.keepBooks()).to.equal(8);
    expect(ledger.keepBooks()).to.equal(null);
    ledger.append([intended(label(12)), nth(12)]);
    expect(ledger.keepBooks(true)).to.equal(9);
    ledger.close();

    const again = open();
    const snapshot = afterCheckpoint(again);
    expect(snapshot.fills.map(each => each.tradeId)).to.deep.equal(['1009', '1010', '1011', '1012']);
    expect(snapshot.checkpoint?.tradeIds).to.have.length(9);
    expect(again.checkpointComplaints()).to.deep.equal([]);
    same(again);
    again.close();
  });

  it('make a start as if every fill had been read, whatever the history and wherever they were written', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            behindMs: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 150 })),
            after: fc.constantFrom('', '', '', 'keep', 'stop'),
          }),
          { maxLength: 40 },
        ),
        steps => {
          let ledger = openLedger({
            path: ':memory:',
            mode: 'paper',
            instance: 'aaaa0000',
            checkpoints: SIZES,
          });
          try {
            opened(ledger);
            for (const [n, { behindMs, after }] of steps.entries()) {
              ledger.append([
                intended(label(n)),
                nth(n, { executedAtMs: AT + Math.max(0, n * 10 - behindMs) }),
              ]);
              if (after === 'keep') ledger.keepBooks();
              if (after !== 'stop') continue;
              ledger.keepBooks(true);
              const bytes = ledger.serialize();
              ledger.close();
              ledger = openLedger({
                path: ':memory:',
                mode: 'paper',
                checkpoints: SIZES,
                connect: () => new SqliteDatabase(bytes),
              });
              same(ledger);
            }
            same(ledger);
          } finally {
            ledger.close();
          }
        },
      ),
      { numRuns: runs },
    );
  });

  it('give each strategy the position of its own fills', () => {
    const ledger = filledUp(20);
    ledger.keepBooks();
    const positionFrom = (restored: LedgerSnapshot): unknown => {
      const { hosts } = initialPortfolio({
        members: [
          {
            name: 'maker',
            definition: { name: 'maker', portVersion: 1, about: '', parameters: {}, create: () => ({}) },
            parameters: {},
            symbols: ['BTCTRY'],
            universe: null,
            disabled: null,
          },
        ],
        incarnation: 1,
        startedAt: NOW,
        intentValidityMs: 1_000,
        maxOpenOrders: 5,
        maxOpenOrdersPerSymbol: 1,
        feesOf: () => ({ maker: 0n, taker: 0n }) as never,
        restored,
      });
      return ['BTCTRY', 'ETHTRY'].map(symbol => hosts[0]?.host.view.position(symbol));
    };
    expect(afterCheckpoint(ledger).fills.length).to.be.lessThan(20);
    expect(positionFrom(afterCheckpoint(ledger))).to.deep.equal(positionFrom(ledger.snapshot()));
    ledger.close();
  });

  for (const [what, sql, complaint] of [
    ['damaged', "UPDATE book_checkpoints SET books = replace(books, '1', '2')", 'is damaged'],
    ['of another format', 'UPDATE book_checkpoints SET format = 9', 'has format 9, not 1'],
    [
      'of another database',
      "UPDATE meta SET value = 'bbbb1111' WHERE key = 'instance'",
      'is of another database',
    ],
    [
      'of another opening',
      "UPDATE meta SET value = '5' WHERE key = 'opening_at_ms'",
      'is of books with another opening',
    ],
  ] as const)
    it(`that are ${what} are left alone: everything is folded again, and written anew`, () => {
      const ledger = filledUp(20);
      expect(ledger.keepBooks()).to.equal(16);
      ledger.close();
      shell(sql);
      const again = open();
      expect(afterCheckpoint(again).checkpoint?.tradeIds).to.have.length(16);
      expect(again.checkpointComplaints()).to.deep.equal([`the checkpoint through fill 16 ${complaint}`]);
      same(again);
      expect(again.keepBooks()).to.equal(16);
      again.close();
      const third = open();
      same(third);
      expect(third.checkpointComplaints()).to.deep.equal([]);
      third.close();
    });

  it('fall back to the one before when the newest is damaged', () => {
    const ledger = filledUp(12);
    expect(ledger.keepBooks()).to.equal(8);
    for (let n = 12; n < 20; n++) ledger.append([intended(label(n)), nth(n)]);
    expect(ledger.keepBooks()).to.equal(16);
    ledger.close();
    shell("UPDATE book_checkpoints SET checksum = 'x' WHERE through_seq = 16");
    const again = open();
    expect(afterCheckpoint(again).checkpoint?.tradeIds).to.have.length(8);
    same(again);
    again.close();
  });

  it('that a late fill belongs before are not used again: the start after it folds everything', () => {
    const ledger = filledUp(20);
    expect(ledger.keepBooks()).to.equal(16);
    ledger.append([intended(label(20)), nth(20, { executedAtMs: AT + 35 })]);
    for (let n = 21; n < 35; n++) ledger.append([intended(label(n)), nth(n)]);
    expect(ledger.keepBooks()).to.equal(null);
    expect(ledger.checkpointComplaints()).to.have.length(1);
    ledger.close();
    const again = open();
    same(again);
    expect(again.checkpointComplaints()[0]).to.contain('executed after one booked later');
    expect(again.keepBooks()).to.equal(31);
    same(again);
    again.close();
  });

  it('that were refused do not push out the earlier one that takes their place', () => {
    const ledger = filledUp(20);
    expect(ledger.keepBooks()).to.equal(16);
    ledger.append([intended(label(20)), nth(20)]);
    expect(ledger.keepBooks(true)).to.equal(17);
    ledger.append([intended(label(21)), nth(21, { executedAtMs: AT + 85 })]);
    ledger.close();
    const again = open();
    expect(afterCheckpoint(again).checkpoint?.tradeIds).to.have.length(9);
    expect(again.checkpointComplaints()).to.have.length(2);
    expect(again.keepBooks()).to.equal(9);
    again.close();
    const third = open();
    expect(afterCheckpoint(third).checkpoint?.tradeIds).to.have.length(9);
    expect(third.checkpointComplaints()).to.deep.equal([]);
    same(third);
    third.close();
  });

  it('whose text says nothing to this program are left alone, however whole they are', () => {
    const ledger = filledUp(20);
    expect(ledger.keepBooks()).to.equal(16);
    ledger.close();
    const db = new SqliteDatabase(dir.file('a.sqlite'));
    const row = db.prepare('SELECT * FROM book_checkpoints').get() as Record<string, string | number>;
    const { through_seq, through_trade, format, instance, opening_at_ms } = row;
    const checksum = createHash('sha256')
      .update(JSON.stringify([through_seq, through_trade, format, instance, opening_at_ms]))
      .update('{}')
      .digest('hex');
    db.prepare("UPDATE book_checkpoints SET books = '{}', checksum = ?").run(checksum);
    db.close();
    const again = open();
    same(again);
    expect(again.checkpointComplaints()[0]).to.contain('the checkpoint through fill 16 cannot be read: ');
    again.close();
  });

  it('are whole or not there when the process dies while one is written', () => {
    const { ledger, db } = openWithHandle();
    const dies = (name: string): null => {
      for (const suffix of ['', '-wal'])
        copyFileSync(`${dir.file('a.sqlite')}${suffix}`, `${dir.file(name)}${suffix}`);
      return null;
    };
    db.function('dies', name => dies(String(name)));
    db.exec(`
      CREATE TEMP TRIGGER inserted AFTER INSERT ON book_checkpoints BEGIN SELECT dies('inserted-' || new.through_seq); END;
      CREATE TEMP TRIGGER removed AFTER DELETE ON book_checkpoints BEGIN SELECT dies('removed-' || old.through_seq); END;`);
    opened(ledger);
    for (let round = 0; round < 3; round++) {
      ledger.appendGroup(
        Array.from({ length: 12 }, (_, n) => [intended(label(12 * round + n)), nth(12 * round + n)]),
      );
      ledger.keepBooks();
    }
    dies('after');
    ledger.close();
    for (const [name, through] of [
      ['inserted-8', 0],
      ['inserted-20', 8],
      ['inserted-32', 20],
      ['removed-8', 20],
      ['after', 32],
    ] as const) {
      const again = openLedger({ path: dir.file(name), mode: 'paper', checkpoints: { keep: 4, every: 999 } });
      expect(afterCheckpoint(again).checkpoint?.tradeIds.length ?? 0, name).to.equal(through);
      same(again);
      again.close();
    }
  });

  it('that the disk refuses fail as a commit does: nothing more is taken, and nothing is lost', () => {
    const { ledger, db } = openWithHandle();
    opened(ledger);
    for (let n = 0; n < 12; n++) ledger.append([intended(label(n)), nth(n)]);
    db.exec(
      "CREATE TEMP TRIGGER dies BEFORE DELETE ON book_checkpoints BEGIN SELECT RAISE(ABORT, 'now'); END",
    );
    ledger.keepBooks();
    for (let n = 12; n < 20; n++) ledger.append([intended(label(n)), nth(n)]);
    expect(ledger.keepBooks()).to.equal(16);
    for (let n = 20; n < 28; n++) ledger.append([intended(label(n)), nth(n)]);
    // The third is in the transaction already when the first is to be removed.
    expect(() => ledger.keepBooks()).to.throw('now');
    expect(() => ledger.append([nth(30)])).to.throw('last commit failed');
    ledger.close();
    const again = open();
    expect(afterCheckpoint(again).checkpoint?.tradeIds).to.have.length(16);
    same(again);
    again.close();
  });

  it('keep every lot, in about fifty bytes', () => {
    const ledger = open();
    opened(ledger);
    ledger.appendGroup(
      Array.from({ length: 300 }, (_, n) => [nth(n, { side: 'buy', clientOrderId: 'a', symbol: 'BTCTRY' })]),
    );
    ledger.keepBooks();
    const books = afterCheckpoint(ledger).checkpoint?.books.own.positions.get('BTCTRY')?.foundation;
    expect(books?.lots).to.have.length(296);
    ledger.close();
    const db = new SqliteDatabase(dir.file('a.sqlite'), { readonly: true });
    const bytes = db.prepare('SELECT length(books) FROM book_checkpoints').pluck().get() as number;
    db.close();
    expect(bytes).to.be.lessThan(300 * 60);
  });

  it('do not hide a fill that cannot be right: every fill is told, and the start says so', () => {
    const ledger = filledUp(20);
    ledger.append([nth(21, { clientOrderId: null, executedAtMs: AT - 5_000 })]);
    const snapshot = afterCheckpoint(ledger);
    expect(snapshot).not.to.have.property('checkpoint');
    expect(snapshot.fills).to.have.length(21);
    const { violations } = initialReconciliation(CONFIG, snapshot, NOW);
    expect([...violations.values()].join()).to.contain('before-opening');
    ledger.close();
  });

  it('say of each order what is booked of it, in the checkpoint or after', () => {
    const ledger = filledUp(12);
    ledger.append([nth(12, { clientOrderId: label(0) })]);
    ledger.keepBooks();
    const { bookedByOrder } = initialReconciliation(CONFIG, afterCheckpoint(ledger), NOW);
    expect(formatDecimal(bookedByOrder.get(label(0)) ?? 0n)).to.equal(formatDecimal(2n * fill('x').quantity));
    ledger.close();
  });
});
