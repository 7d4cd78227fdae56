import { existsSync, renameSync } from 'node:fs';
import SqliteDatabase from 'better-sqlite3';
import { expect } from 'chai';
import fc from 'fast-check';
import type { LedgerRecord } from '#src/domain/ledger-records.js';
import type { ActorName, MetricEffect } from '#src/domain/step.js';
import {
  createLedgerService,
  GROUP_RECORDS_MAX,
  KEPT_RECORDS_MAX,
  type LedgerService,
} from '#src/ledger/service.js';
import { type Ledger, openLedger } from '#src/ledger/store.js';
import type { FromLedger, ToLedger } from '#src/messages/ledger.js';
import { AT, audited, filled, intended, moved, scratch } from './fixtures.js';

const runs = Math.min(Number(process.env.BTCBOT_RUNS ?? 30), 5_000);

/** A service over a real file, with turns, time and the disk in the test's hand. */
const harness = (path: string) => {
  let db: SqliteDatabase.Database | undefined;
  let failing = false;
  const ledger: Ledger = openLedger({
    path,
    mode: 'paper',
    instance: 'aaaa0000',
    checkpoints: { keep: 2, every: 4 },
    connect: file => {
      db = new SqliteDatabase(file, { timeout: 1 });
      if (failing) db.pragma('query_only = ON');
      return db;
    },
  });
  let monoMs = 0;
  const turns: (() => void)[] = [];
  const sent: { to: ActorName; message: FromLedger }[] = [];
  const holds: string[] = [];
  const contradictions: string[] = [];
  const metrics: MetricEffect[] = [];
  const logged: string[] = [];
  const service: LedgerService = createLedgerService(ledger, {
    now: () => ({ monoMs, wallMs: AT + monoMs }),
    send: (to, message) => sent.push({ to, message }),
    hold: (type, detail) => holds.push(`${type}: ${detail}`),
    contradiction: (subject, detail) => contradictions.push(`${subject}: ${detail}`),
    metric: metric => metrics.push(metric),
    log: (_level, event) => logged.push(event),
    status: () => undefined,
    later: work => turns.push(work),
  });
  let batch = 0;
  return {
    ledger,
    service,
    sent,
    holds,
    contradictions,
    metrics,
    logged,
    ask: (message: ToLedger, from: ActorName = 'execution') => service.onMessage(from, message),
    append(records: readonly LedgerRecord[], durable = true, from: ActorName = 'execution'): number {
      batch += 1;
      service.onMessage(from, { type: 'append', batch, durable, records });
      return batch;
    },
    /** The end of this turn, and only this one. */
    turn: () => {
      for (const work of turns.splice(0)) work();
    },
    settle: () => {
      while (turns.length > 0) turns.shift()?.();
    },
    tick(ms = 50) {
      monoMs += ms;
      service.onTick();
      while (turns.length > 0) turns.shift()?.();
    },
    fail(on: boolean) {
      failing = on;
      if (db?.open) db.pragma(`query_only = ${on ? 'ON' : 'OFF'}`);
    },
    answers: () =>
      sent.flatMap(({ message }) => ('batch' in message ? [`${message.type} ${message.batch}`] : [])),
    orders: () => ledger.snapshot().openOrders.map(each => each.clientOrderId),
  };
};

describe('ledger service', () => {
  const dir = scratch();
  const start = () => harness(dir.file('a.sqlite'));

  it('commits everything that waits in one turn once, then answers in order', () => {
    const h = start();
    for (let n = 1; n <= 10; n++) h.append([intended(`c${n}`)], true, n % 2 ? 'execution' : 'reconciliation');
    h.append([intended('c11')], false);
    expect(h.sent).to.deep.equal([]);
    h.turn();
    expect(h.answers()).to.deep.equal(Array.from({ length: 10 }, (_, n) => `appended ${n + 1}`));
    expect(h.sent.map(({ to }) => to)[1]).to.equal('reconciliation');
    expect(h.service.facts).to.include({ commits: 1, records: 11, waiting: 0 });
    expect(
      h.metrics.map(each => `${each.kind} ${each.name} ${each.name.endsWith('ms') ? '' : each.value}`),
    ).to.deep.equal(['histogram btcbot_ledger_commit_ms ', 'histogram btcbot_ledger_commit_records 11']);
    h.service.drain();
  });

  it('bounds one commit and takes the rest in later turns', () => {
    const h = start();
    const bulk = Array.from({ length: GROUP_RECORDS_MAX - 1 }, (_, n) => audited(`x:1:${n}`, 'x', 'seen'));
    h.append(bulk);
    h.append([intended('c1'), intended('c2')]);
    h.turn();
    expect(h.answers()).to.deep.equal(['appended 1']);
    h.turn();
    expect(h.answers()).to.deep.equal(['appended 1', 'appended 2']);
    expect(h.service.facts).to.include({ commits: 2 });
    h.service.drain();
  });

  it('takes one batch beyond the bound whole', () => {
    const h = start();
    h.append(Array.from({ length: GROUP_RECORDS_MAX + 5 }, (_, n) => audited(`x:1:${n}`, 'x', 'seen')));
    h.turn();
    expect(h.answers()).to.deep.equal(['appended 1']);
    h.service.drain();
  });

  it('lets what nobody waits for ride along, and writes it at the next tick at the latest', () => {
    const h = start();
    h.append([intended('c1')], false);
    h.settle();
    expect(h.orders()).to.deep.equal([]);
    h.tick();
    expect(h.orders()).to.deep.equal(['c1']);
    expect(h.sent).to.deep.equal([]);
    h.service.drain();
  });

  it('answers a question with everything sent before it', () => {
    const h = start();
    h.append([intended('c1')], false);
    h.ask({ type: 'snapshot-wanted', request: 7 });
    h.append([intended('c2')]);
    h.settle();
    const [first, second] = h.sent.map(({ message }) => message);
    expect(first?.type).to.equal('snapshot-given');
    if (first?.type === 'snapshot-given')
      expect(first.snapshot.openOrders.map(each => each.clientOrderId)).to.deep.equal(['c1']);
    expect(second).to.deep.equal({ type: 'appended', batch: 2 });
    h.service.drain();
  });

  it('leaves the fills out of the answer to whom they say nothing', () => {
    const h = start();
    h.append([
      intended('c1'),
      filled('t1', { clientOrderId: 'c1' }),
      intended('c2'),
      filled('t2', { clientOrderId: 'c2' }),
      moved('c2', { status: 'filled', venueOrderId: '2', filled: 1n }),
    ]);
    h.ask({ type: 'snapshot-wanted', request: 1, fills: false });
    h.ask({ type: 'snapshot-wanted', request: 2 });
    h.ask({ type: 'snapshot-wanted', request: 3, fills: 'of-open-orders' });
    h.settle();
    const fills = h.sent.flatMap(({ message }) =>
      message.type === 'snapshot-given' ? [message.snapshot.fills.map(fill => fill.tradeId)] : [],
    );
    expect(fills).to.deep.equal([[], ['t1', 't2'], ['t1']]);
    h.service.drain();
  });

  it('tells the recent orders to whom they say something', () => {
    const h = start();
    h.append([intended('c1')]);
    h.ask({ type: 'snapshot-wanted', request: 1, fills: false });
    h.ask({ type: 'snapshot-wanted', request: 2, fills: 'of-open-orders', recentOrders: true });
    h.settle();
    const recent = h.sent.flatMap(({ message }) =>
      message.type === 'snapshot-given' ? [message.snapshot.recentOrders?.length ?? null] : [],
    );
    expect(recent).to.deep.equal([null, 1]);
    h.service.drain();
  });

  it('refuses a batch that contradicts the books without harm to the others', () => {
    const h = start();
    h.append([intended('c1')]);
    h.append([intended('c1', { intentId: 'other' }), intended('c2')]);
    h.append([intended('c3')]);
    h.append([intended('c3', { intentId: 'other' })], false);
    h.settle();
    expect(h.answers()).to.deep.equal(['appended 1', 'append-failed 2', 'appended 3']);
    expect(h.orders()).to.deep.equal(['c1', 'c3']);
    expect(h.holds).to.deep.equal([]);
    expect(h.contradictions).to.have.length(1);
    h.service.drain();
  });

  it('asks for a hold when a trade comes with other numbers', () => {
    const h = start();
    h.append([filled('t1')]);
    h.append([filled('t1', { quantity: 7n })]);
    h.settle();
    expect(h.contradictions).to.deep.equal(['t1: fill-contradicted: t1 was recorded with other numbers']);
    expect(h.metrics.map(each => each.name)).to.include('btcbot_ledger_fill_contradicted_total');
    h.service.drain();
  });

  it('after a failed commit: tells every durable sender, keeps the rest, holds, recovers, releases', () => {
    const h = start();
    h.fail(true);
    h.append([intended('c1')], true, 'execution');
    h.append([intended('c2')], false);
    h.append([intended('c3')], true, 'reconciliation');
    h.settle();
    expect(h.answers()).to.deep.equal(['append-failed 1', 'append-failed 3']);
    expect(h.holds).to.have.length(1);
    expect(h.holds[0]).to.contain('hold-wanted').and.to.contain('readonly');

    h.append([intended('c4')]);
    h.settle();
    expect(h.answers(), 'at once, without touching the file').to.include('append-failed 4');
    h.tick(1_000);
    expect(h.service.facts).to.include({ state: 'broken' });

    h.fail(false);
    h.tick(1_000);
    expect(h.holds[1]).to.contain('hold-cleared');
    expect(h.service.facts).to.include({ state: 'sound' });
    h.append([intended('c5')]);
    h.settle();
    expect(h.answers()).to.include('appended 5');
    expect(h.orders()).to.deep.equal(['c2', 'c5']);
    h.service.drain();
  });

  it('waits out a short foreign lock without a word', () => {
    const h = start();
    const shell = new SqliteDatabase(dir.file('a.sqlite'));
    shell.exec('BEGIN IMMEDIATE');
    h.append([intended('c1')]);
    h.settle();
    h.tick(500);
    expect([h.sent, h.holds]).to.deep.equal([[], []]);
    shell.exec('ROLLBACK');
    h.tick(500);
    expect(h.answers()).to.deep.equal(['appended 1']);
    expect(h.holds).to.deep.equal([]);
    shell.close();
    h.service.drain();
  });

  it('a lock that lasts fails the durable batches and holds until it is gone', () => {
    const h = start();
    const shell = new SqliteDatabase(dir.file('a.sqlite'));
    shell.exec('BEGIN IMMEDIATE');
    h.append([intended('c1')]);
    h.append([intended('c2')], false);
    h.ask({ type: 'epoch-wanted', request: 1 });
    h.settle();
    for (let n = 0; n < 12; n++) h.tick(100);
    expect(h.answers()).to.deep.equal(['append-failed 1']);
    expect(h.holds).to.have.length(1);
    shell.exec('ROLLBACK');
    shell.close();
    h.tick(100);
    expect(h.holds[1]).to.contain('hold-cleared');
    expect(h.sent.at(-1)?.message).to.include({ type: 'epoch-given', request: 1 });
    expect(h.orders()).to.deep.equal(['c2']);
    h.service.drain();
  });

  it('notices the end of a lock also when nothing waits', () => {
    const h = start();
    const shell = new SqliteDatabase(dir.file('a.sqlite'));
    shell.exec('BEGIN IMMEDIATE');
    h.append([intended('c1')]);
    h.settle();
    for (let n = 0; n < 12; n++) h.tick(100);
    shell.exec('ROLLBACK');
    shell.close();
    h.tick(100);
    expect(h.holds[1]).to.contain('hold-cleared');
    h.service.drain();
  });

  it('gives up the oldest of what it keeps beyond its bound, loudly', () => {
    const h = start();
    h.fail(true);
    h.append([intended('c0')]);
    h.settle();
    const bulk = (name: string) =>
      Array.from({ length: KEPT_RECORDS_MAX / 2 }, (_, n) => audited(`${name}:1:${n}`, 'x', name));
    h.append([intended('c1')], false);
    h.append(bulk('first'), false);
    h.append(bulk('second'), false);
    expect(h.logged).to.include('ledger-records-given-up');
    h.fail(false);
    h.tick(1_000);
    expect(h.orders()).to.deep.equal([]);
    expect(h.service.facts).to.include({ records: KEPT_RECORDS_MAX });
    h.service.drain();
  });

  it('stops on a row that it cannot read instead of opening the file for ever', () => {
    const h = start();
    h.append([intended('c1')]);
    h.settle();
    const shell = new SqliteDatabase(dir.file('a.sqlite'));
    shell.exec("UPDATE order_states SET status = 'resting'");
    shell.close();
    h.ask({ type: 'snapshot-wanted', request: 1 });
    h.append([intended('c2')]);
    h.settle();
    expect(h.logged).to.include('ledger-row-unreadable');
    expect(h.contradictions[0]).to.contain('resting');
    expect(h.answers()).to.deep.equal(['appended 1', 'appended 2']);
    h.service.drain();
  });

  it('moves a grown journal into the database when nothing waits', () => {
    const h = start();
    for (let n = 0; h.ledger.walBytes() < 5 * 1024 * 1024; n++) {
      h.append([{ type: 'strategy-saved', strategy: 'maker', state: 'x'.repeat(500_000), atMs: n }]);
      h.settle();
    }
    h.tick(2_000);
    h.append([intended('c1')]);
    h.settle();
    // The next commit starts the journal over.
    const before = h.ledger.walBytes();
    h.append([{ type: 'strategy-saved', strategy: 'maker', state: 'x'.repeat(500_000), atMs: 0 }]);
    h.settle();
    expect(h.ledger.walBytes()).to.equal(before);
    h.service.drain();
  });

  it('keeps checkpoints of the books, now and then and at the end, and says which it could not use', () => {
    const h = start();
    const book = (from: number, to: number): void => {
      for (let n = from; n < to; n++)
        h.append([filled(`t${n}`, { clientOrderId: null, executedAtMs: AT + n })], false, 'reconciliation');
    };
    const through = (): unknown => {
      const shell = new SqliteDatabase(dir.file('a.sqlite'), { readonly: true });
      try {
        return shell.prepare('SELECT max(through_seq) FROM book_checkpoints').pluck().get();
      } finally {
        shell.close();
      }
    };
    book(0, 6);
    h.settle();
    h.tick(1_000);
    expect(through()).to.equal(null);
    h.tick(1_000);
    expect(through()).to.equal(4);
    book(6, 7);
    h.service.drain();
    expect(through()).to.equal(5);

    const shell = new SqliteDatabase(dir.file('a.sqlite'));
    shell.exec("UPDATE book_checkpoints SET books = ''");
    shell.close();
    const next = start();
    next.ask({ type: 'snapshot-wanted', request: 1, fills: 'after-checkpoint' }, 'reconciliation');
    next.ask({ type: 'fills-wanted', symbol: 'BTCTRY' }, 'reconciliation');
    next.settle();
    expect(next.logged.filter(event => event === 'ledger-checkpoint-unused')).to.have.length(2);
    const [snapshot, history] = next.sent.map(({ message }) => message);
    expect(snapshot?.type === 'snapshot-given' && snapshot.snapshot.fills.length).to.equal(2);
    expect(history?.type === 'fills-given' && history.fills.length).to.equal(7);
    next.service.drain();
  });

  it('takes a checkpoint that the disk refuses for a failed commit, and writes it when the disk is well', () => {
    const h = start();
    for (let n = 0; n < 6; n++) h.append([filled(`t${n}`, { clientOrderId: null, executedAtMs: AT + n })]);
    h.settle();
    h.fail(true);
    h.tick(1_000);
    expect(h.holds).to.have.length(1);
    h.fail(false);
    h.tick(1_000);
    h.tick(1_000);
    expect(h.holds[1]).to.contain('hold-cleared');
    h.ask({ type: 'snapshot-wanted', request: 1, fills: 'after-checkpoint' });
    h.settle();
    const given = h.sent.at(-1)?.message;
    expect(given?.type === 'snapshot-given' && given.snapshot.checkpoint?.tradeIds.length).to.equal(4);
    h.service.drain();
  });

  it('notices that its file was taken away, and goes on when it is back', () => {
    const h = start();
    h.append([intended('c1')]);
    h.settle();
    renameSync(dir.file('a.sqlite'), dir.file('elsewhere'));
    h.tick(1_000);
    expect(h.holds[0]).to.contain('removed or replaced');
    h.append([intended('c2')]);
    h.settle();
    h.tick(1_000);
    expect(h.answers()).to.deep.equal(['appended 1', 'append-failed 2']);
    expect(existsSync(dir.file('a.sqlite')), 'no new file in its place').to.equal(false);
    renameSync(dir.file('elsewhere'), dir.file('a.sqlite'));
    h.tick(1_000);
    expect(h.holds[1]).to.contain('hold-cleared');
    h.append([intended('c3')]);
    h.settle();
    expect(h.orders()).to.deep.equal(['c1', 'c3']);
    h.service.drain();
  });

  it('fails what it can no longer write at the end, and lets go', () => {
    const h = start();
    h.fail(true);
    h.append([intended('c1')]);
    h.service.drain();
    expect(h.answers()).to.deep.equal(['append-failed 1']);
    openLedger({ path: dir.file('a.sqlite'), mode: 'paper' }).close();
  });

  it('whatever fails whenever: what was confirmed is there, what was refused is not, what was kept comes in order', () => {
    const action = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('append' as const), durable: fc.boolean() }) },
      { weight: 3, arbitrary: fc.constant({ do: 'turn' as const }) },
      { weight: 2, arbitrary: fc.constant({ do: 'tick' as const }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), on: fc.boolean() }) },
    );
    let history = 0;
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), actions => {
        history += 1;
        const h = harness(dir.file(`h${history}.sqlite`));
        const kept: string[] = [];
        const names = new Map<number, string>();
        for (const each of actions) {
          if (each.do === 'append') {
            const name = `c${names.size}`;
            names.set(h.append([intended(name)], each.durable), name);
            if (!each.durable) kept.push(name);
          } else if (each.do === 'turn') h.turn();
          else if (each.do === 'tick') h.tick(600);
          else h.fail(each.on);
        }
        h.fail(false);
        h.tick(1_000);
        h.tick(1_000);
        h.service.drain();
        const after = openLedger({ path: dir.file(`h${history}.sqlite`), mode: 'paper' });
        const found = after.snapshot().openOrders.map(order => order.clientOrderId);
        after.close();
        const told = new Map(
          h
            .answers()
            .map(answer => answer.split(' ') as [string, string])
            .map(([verdict, batch]) => [Number(batch), verdict]),
        );
        for (const [batch, name] of names) {
          if (kept.includes(name)) continue;
          expect(told.get(batch), `${name} is answered`).to.be.oneOf(['appended', 'append-failed']);
          expect(found.includes(name), name).to.equal(told.get(batch) === 'appended');
        }
        expect(found.filter(name => kept.includes(name))).to.deep.equal(kept);
      }),
      { numRuns: runs },
    );
  });
});
