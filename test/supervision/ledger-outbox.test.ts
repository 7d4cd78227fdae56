import { expect } from 'chai';
import type { LedgerRecord } from '#src/domain/ledger-records.js';
import { openLedger } from '#src/ledger/store.js';
import type { ToLedger } from '#src/messages/ledger.js';
import { createLedgerOutbox } from '#src/supervision/ledger-outbox.js';

const released = (key: string, atMs = 1): LedgerRecord => ({ type: 'hold-released', key, atMs, by: 'x' });

describe('the supervisor’s records for the ledger', () => {
  const start = () => {
    const outbox = createLedgerOutbox();
    const sent: Extract<ToLedger, { type: 'append' }>[] = [];
    const connect = (): void => outbox.connected(message => sent.push(message as (typeof sent)[number]));
    const keys = (): string[] =>
      sent.map(({ records }) => records.map(each => (each as { key: string }).key).join(' '));
    const confirm = (): void => outbox.answered({ type: 'appended', batch: sent.at(-1)?.batch ?? 0 }, 0);
    const refuse = (monoMs: number): void =>
      outbox.answered({ type: 'append-failed', batch: sent.at(-1)?.batch ?? 0, reason: 'full' }, monoMs);
    return { outbox, sent, connect, keys, confirm, refuse };
  };

  it('wait until there is a ledger, and go one batch after the other', () => {
    const { outbox, connect, keys, confirm } = start();
    outbox.add(released('a'));
    outbox.flush(0);
    connect();
    outbox.flush(0);
    outbox.add(released('b'));
    outbox.add(released('c'));
    outbox.flush(0);
    expect(keys()).to.deep.equal(['a']);
    confirm();
    outbox.flush(0);
    expect(keys()).to.deep.equal(['a', 'b c']);
    confirm();
    outbox.flush(0);
    expect(keys()).to.have.length(2);
  });

  it('go again, in their order, when the ledger could not write, after it was left alone for a while', () => {
    const { outbox, connect, keys, refuse } = start();
    connect();
    outbox.add(released('a'));
    outbox.flush(0);
    outbox.add(released('b'));
    refuse(10);
    outbox.flush(20);
    expect(keys()).to.deep.equal(['a']);
    outbox.flush(1_010);
    expect(keys()).to.deep.equal(['a', 'a b']);
  });

  it('go again to a ledger that was restarted before it answered, and old answers confirm nothing', () => {
    const { outbox, connect, keys, sent } = start();
    connect();
    outbox.add(released('a'));
    outbox.flush(0);
    outbox.lost();
    outbox.add(released('b'));
    outbox.flush(5);
    connect();
    outbox.flush(10);
    expect(keys()).to.deep.equal(['a', 'a b']);
    outbox.answered({ type: 'appended', batch: sent[0]!.batch }, 10);
    outbox.lost();
    connect();
    outbox.flush(20);
    expect(keys().at(-1)).to.equal('a b');
  });

  it('go together with what is not confirmed when the ledger is about to close', () => {
    const { outbox, connect, keys } = start();
    connect();
    outbox.add(released('a'));
    outbox.flush(0);
    outbox.add(released('b'));
    outbox.flushLast();
    expect(keys()).to.deep.equal(['a', 'b']);
  });

  it('are written once, however often they are handed in', () => {
    const ledger = openLedger({ path: ':memory:', mode: 'paper' });
    const hold = { key: 'operator', cause: 'operator', subject: '', detail: 'x', placedAtMs: 1 } as const;
    const records: readonly LedgerRecord[] = [
      { type: 'hold-placed', hold, atMs: 1 },
      {
        type: 'audit',
        atMs: 2,
        actor: 'supervisor',
        event: 'kill-drill',
        id: 's:1',
        cause: 'operator',
        facts: {},
      },
      { type: 'cancel-all-ordered', atMs: 3, reason: 'x', id: 's:2' },
    ];
    ledger.append(records);
    ledger.append([...records, { type: 'hold-released', key: 'operator', atMs: 4, by: 'x' }]);
    expect(ledger.snapshot().holds).to.deep.equal([]);
    ledger.close();
  });
});
