import SqliteDatabase from 'better-sqlite3';
import { expect } from 'chai';
import { openLedger } from '#src/ledger/store.js';
import { ledgerRefusalIn } from '#src/messages/ledger-refusal.js';
import { AT, intended, moved, order, scratch } from './fixtures.js';
import { type LedgerThread, startLedgerThread } from './thread.js';

describe('ledger worker', () => {
  const dir = scratch();
  const start = async (mode = 'paper'): Promise<LedgerThread> => {
    const thread = startLedgerThread({ stateDbPath: dir.file('a.sqlite'), mode });
    await thread.control.start();
    return thread;
  };
  const stop = async (thread: LedgerThread): Promise<void> => {
    await thread.control.drain();
    expect(await thread.exited).to.equal(0);
  };

  it('answers appends of several senders, gives epochs and snapshots, and leaves by itself', async () => {
    const thread = await start();
    const execution = thread.connect('execution');
    const reconciliation = thread.connect('reconciliation');
    const [first, second] = [execution.append([intended('c1')]), execution.append([intended('c2')])];
    const third = reconciliation.append([
      {
        type: 'balances',
        atMs: AT,
        opening: true,
        balances: [{ asset: 'TRY', total: 5n, free: 5n, locked: 0n }],
      },
    ]);
    expect(await execution.answered(first)).to.deep.equal({ type: 'appended', batch: first });
    expect(await execution.answered(second)).to.deep.equal({ type: 'appended', batch: second });
    expect(await reconciliation.answered(third)).to.deep.equal({ type: 'appended', batch: third });

    execution.append([moved('c2', { status: 'denied', reason: 'fenced' })], false);
    const { snapshot } = await execution.ask({ type: 'snapshot-wanted', request: 1 }, 'snapshot-given');
    expect(snapshot.openOrders).to.deep.equal([order('c1')]);
    expect(snapshot.openingBalances).to.deep.equal([{ asset: 'TRY', total: 5n, free: 5n, locked: 0n }]);
    const { epoch } = await execution.ask({ type: 'epoch-wanted', request: 2 }, 'epoch-given');
    const next = await execution.ask({ type: 'epoch-wanted', request: 3 }, 'epoch-given');
    expect(next.epoch).to.be.greaterThan(epoch);
    await stop(thread);

    const after = openLedger({ path: dir.file('a.sqlite'), mode: 'paper' });
    expect(after.nextEpoch()).to.equal(next.epoch + 1);
    after.close();
  });

  it('writes what nobody waits for by itself and on its way out', async () => {
    const thread = await start();
    const execution = thread.connect('execution');
    execution.append([intended('c1')], false);
    await thread.heard(
      message => message.type === 'status-reported' && (message.facts as { records: number }).records === 1,
    );
    execution.append([intended('c2')], false);
    await stop(thread);
    const after = openLedger({ path: dir.file('a.sqlite'), mode: 'paper' });
    expect(after.snapshot().openOrders.map(each => each.clientOrderId)).to.deep.equal(['c1', 'c2']);
    after.close();
  });

  it('hears out a sender that is gone before it listens to its successor, and loses nothing', async () => {
    const thread = await start();
    const labels = (word: string): string[] => Array.from({ length: 300 }, (_, index) => `${word}${index}`);
    const gone = thread.connect('execution');
    for (const label of labels('a')) gone.append([intended(label)]);
    thread.lose('execution');
    const next = thread.connect('execution');
    for (const label of labels('b')) next.append([intended(label)], false);
    const { snapshot } = await next.ask({ type: 'snapshot-wanted', request: 1 }, 'snapshot-given');
    expect(snapshot.openOrders.map(each => each.clientOrderId)).to.deep.equal([
      ...labels('a'),
      ...labels('b'),
    ]);
    await stop(thread);
  });

  it('refuses to start on another mode’s file with a reason that crosses the thread', async () => {
    openLedger({ path: dir.file('a.sqlite'), mode: 'live' }).close();
    const thread = startLedgerThread({ stateDbPath: dir.file('a.sqlite'), mode: 'paper' });
    const error = await thread.control.start().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(ledgerRefusalIn(error)).to.include({ reason: 'mode-mismatch', exitCode: 3 });
    await stop(thread);
  });

  it('refuses to start while another instance owns the file', async () => {
    const owner = openLedger({ path: dir.file('a.sqlite'), mode: 'paper' });
    const thread = startLedgerThread({ stateDbPath: dir.file('a.sqlite'), mode: 'paper' });
    const error = await thread.control.start().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(ledgerRefusalIn(error)).to.include({ reason: 'owned', exitCode: 5 });
    await stop(thread);
    owner.close();
  });

  it('waits out a foreign lock, tells the supervisor, and goes on when it is gone', async () => {
    const thread = await start();
    const execution = thread.connect('execution');
    await execution.answered(execution.append([intended('c1')]));
    const shell = new SqliteDatabase(dir.file('a.sqlite'));
    shell.exec('BEGIN IMMEDIATE');
    const blocked = execution.append([intended('c2')]);
    const kept = execution.append([intended('c3')], false);
    await thread.heard(message => message.type === 'hold-wanted' && message.holdCause === 'ledger');
    expect(await execution.answered(blocked)).to.include({ type: 'append-failed' });
    shell.exec('ROLLBACK');
    shell.close();
    await thread.heard(message => message.type === 'hold-cleared' && message.holdCause === 'ledger');
    const after = await execution.answered(execution.append([intended('c4')]));
    expect(after.type).to.equal('appended');
    const { snapshot } = await execution.ask({ type: 'snapshot-wanted', request: 1 }, 'snapshot-given');
    expect(snapshot.openOrders.map(each => each.clientOrderId)).to.deep.equal(['c1', 'c3', 'c4']);
    expect(execution.replies.some(reply => 'batch' in reply && reply.batch === kept)).to.equal(false);
    await stop(thread);
  });
});
