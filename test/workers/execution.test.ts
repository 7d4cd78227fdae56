import type { ServerResponse } from 'node:http';
import { expect } from 'chai';
import { monoMs } from '#src/runtime/clock.js';
import { childSpecs } from '#src/supervision/child-spec.js';
import { limitTerms, orderIn } from '../domain/orders.js';
import { type ExecutionThread, startExecutionThread } from './execution-thread.js';

describe('the execution worker', () => {
  let thread: ExecutionThread;
  afterEach(async () => {
    await thread.drain();
  });

  it('sends an order once, under its label, and only after the ledger’s word', async () => {
    thread = await startExecutionThread();
    thread.commits = false;
    const intent = thread.place();
    await thread.order(intent, 'intended');
    const intended = await thread.appends.first(request =>
      request.records.some(record => record.type === 'order-intended'),
    );
    expect(intended.durable).to.equal(true);
    // The worker answers in order: had it sent anything at all, it would have been before this denial.
    thread.place({ symbol: 'DOGETRY' });
    await thread.strategy.first(message => message.type === 'intent-denied');
    expect(thread.writes.all).to.deep.equal([]);
    thread.commits = true;
    thread.tell('ledger', { type: 'appended', batch: intended.batch } as never);
    expect(await thread.order(intent, 'working')).to.deep.include({ venueOrderId: '31840022901' });
    expect(thread.writes.all).to.have.length(1);
    expect(thread.writes.all[0]).to.deep.equal({
      method: 'POST',
      path: '/api/v1/order',
      body: {
        quantity: '1',
        price: '100',
        newOrderClientId: 'bb-feed-7-test-1',
        orderMethod: 'limit',
        orderType: 'buy',
        pairSymbol: 'BTCTRY',
      },
    });
  });

  it('sends nothing without the supervisor’s lease', async () => {
    thread = await startExecutionThread();
    thread.endLease();
    const intent = thread.place();
    expect(await thread.order(intent, 'denied')).to.deep.equal({
      status: 'denied',
      reason: 'fenced: lease-expired',
    });
    expect(thread.writes.all).to.deep.equal([]);
    const hold = await thread.supervisor.first(message => message.type === 'hold-wanted');
    expect(hold).to.include({ holdCause: 'lease', subject: '' });
  });

  it('hears a control state that came after the ledger’s word, before the bytes', async () => {
    thread = await startExecutionThread();
    thread.commits = false;
    const intent = thread.place();
    const intended = await thread.appends.first(request =>
      request.records.some(record => record.type === 'order-intended'),
    );
    thread.commits = true;
    thread.tell('ledger', { type: 'appended', batch: intended.batch } as never);
    thread.control({ state: 'observe-only', maySubmit: false, mayCancel: false });
    const state = await thread.order(intent, 'denied');
    expect(state.reason).to.match(/^(writes-forbidden|fenced)/);
    expect(thread.writes.all).to.deep.equal([]);
  });

  it('takes a connection that broke after the request for unknown, and the venue’s word for its end', async () => {
    thread = await startExecutionThread();
    thread.reply = (_seen, response) => response.destroy();
    const intent = thread.place();
    expect(await thread.order(intent, 'unknown')).to.include({ cause: 'disconnect' });
    await thread.reconciliation.first(message => message.type === 'evidence-wanted');
    const hold = await thread.supervisor.first(message => message.type === 'hold-wanted');
    expect(hold).to.include({ holdCause: 'unknown-outcome', subject: 'BTCTRY' });
    thread.tell('reconciliation', {
      type: 'order-hinted',
      id: 'reconciliation:1:9',
      cause: 'frame',
      clientOrderId: 'bb-feed-7-test-1',
      venueOrderId: '31840022999',
      hint: 'inserted',
    } as never);
    expect(await thread.order(intent, 'working')).to.include({ venueOrderId: '31840022999' });
    await thread.supervisor.first(message => message.type === 'hold-cleared');
    expect(thread.writes.all).to.have.length(1);
  });

  /** Eight at once hang at the venue, which is all that the client has under way; a ninth waits for a connection. */
  const oneWaits = async (): Promise<{
    readonly held: readonly ServerResponse[];
    readonly hanging: readonly string[];
    readonly waiting: string;
  }> => {
    const held: ServerResponse[] = [];
    thread.reply = (_seen, response) => held.push(response);
    const hanging = Array.from({ length: 8 }, () => thread.place());
    for (const intent of hanging) await thread.order(intent, 'in-flight');
    const waiting = thread.place();
    await thread.order(waiting, 'intended');
    await thread.supervisor.first(
      message =>
        message.type === 'status-reported' &&
        (message.facts.openOrders as readonly { state: string }[]).length === 9 &&
        message.facts.queued === 0,
    );
    return { held, hanging, waiting };
  };

  it('ends a write that waits for a connection as soon as it may not leave any more', async () => {
    thread = await startExecutionThread();
    const { held, hanging, waiting } = await oneWaits();
    thread.control({ state: 'observe-only', maySubmit: false, mayCancel: false });
    expect(await thread.order(waiting, 'denied')).to.include({ status: 'denied' });
    expect(thread.writes.all).to.have.length(8);
    for (const response of held) response.destroy();
    for (const intent of hanging) await thread.order(intent, 'unknown');
  });

  it('sends no order that was canceled while it waited for a connection', async () => {
    thread = await startExecutionThread();
    const { held, hanging, waiting } = await oneWaits();
    thread.cancel(waiting);
    expect(await thread.order(waiting, 'denied')).to.deep.equal({
      status: 'denied',
      reason: 'fenced: cancel-wanted',
    });
    expect(thread.writes.all).to.have.length(8);
    for (const response of held) response.destroy();
    for (const intent of hanging) await thread.order(intent, 'unknown');
  });

  it('cancels by the operator’s hand under the kill switch', async () => {
    thread = await startExecutionThread();
    const intent = thread.place();
    await thread.order(intent, 'working');
    thread.control({ state: 'killed', maySubmit: false, mayCancel: false });
    thread.cancelAll('drill');
    await thread.order(intent, 'cancel-in-flight');
    const seen = await thread.writes.first(request => request.method === 'DELETE');
    expect(seen.path).to.equal('/api/v1/order?id=31840022901');
  });

  it('cancels an order of a pair that the venue’s list does not have', async () => {
    const left = {
      ...orderIn(
        { status: 'working', venueOrderId: '31840022777', filled: 0n },
        limitTerms({ symbol: 'DOGETRY' }),
      ),
      clientOrderId: 'bb-feed-6-test-1',
    };
    thread = await startExecutionThread({ snapshot: { openOrders: [left] } });
    thread.cancelAll('the pair is gone');
    const seen = await thread.writes.first(request => request.method === 'DELETE');
    expect(seen.path).to.equal('/api/v1/order?id=31840022777');
  });

  it('takes over what the journal left, and sends none of it again', async () => {
    const left = { ...orderIn({ status: 'in-flight', sentAtMs: 1 }), clientOrderId: 'bb-feed-6-test-1' };
    thread = await startExecutionThread({ snapshot: { openOrders: [left] } });
    const moved = thread.records('order-moved');
    expect(moved[0]).to.deep.include({ clientOrderId: 'bb-feed-6-test-1' });
    expect(moved[0]?.state).to.include({ status: 'unknown', cause: 'process-ended' });
    expect(thread.writes.all).to.deep.equal([]);
  });

  it('turns to no account beyond this machine unless it is live', async () => {
    // Nothing is resolved or connected: the name stands for any other host.
    thread = await startExecutionThread({ accountUrl: 'https://venue.invalid' });
    expect(await thread.order(thread.place(), 'denied')).to.deep.equal({
      status: 'denied',
      reason: 'fenced: venue-not-simulated',
    });
  });

  it('drains: what hangs is left unknown in the journal, and the thread ends by itself', async () => {
    thread = await startExecutionThread();
    thread.reply = () => {};
    const intent = thread.place();
    await thread.order(intent, 'in-flight');
    expect(await thread.drain()).to.equal(0);
    const last = thread.records('order-moved').at(-1);
    expect(last?.state).to.include({ status: 'unknown', cause: 'process-ended' });
  });

  it('is done with a stop, and has said what is left, before the supervisor ends it', async () => {
    const given = childSpecs({ mode: 'live' }).find(({ actor }) => actor === 'execution')?.stopWithinMs ?? 0;
    thread = await startExecutionThread({ settings: { shutdownOpenOrders: 'cancel' } });
    const resting = thread.place();
    await thread.order(resting, 'working');
    // Neither an order nor a cancel is ever answered from now on.
    thread.reply = () => {};
    const hanging = thread.place();
    await thread.order(hanging, 'in-flight');
    const from = monoMs();
    expect(await thread.drain()).to.equal(0);
    expect(monoMs() - from).to.be.lessThan(given);
    expect(thread.records('order-moved').at(-1)?.state).to.include({ cause: 'process-ended' });
  }).timeout(10_000);
});
