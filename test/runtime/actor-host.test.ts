import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { holdKey } from '#src/domain/safety.js';
import type { ActorName } from '#src/domain/step.js';
import type { FromWorker, ToWorker } from '#src/messages/control.js';
import type { ToTelemetry } from '#src/messages/telemetry.js';
import { LEFT_OUT_AGAIN_MS } from '#src/runtime/actor-host.js';
import { BEAT_INTERVAL_MS } from '#src/runtime/limits.js';
import { createWorkGuard, createWorkSlot, inputInWork, type WorkSource } from '#src/runtime/work-slot.js';
import { eventsOf } from '../btcturk/collected.js';
import { controlState } from '../domain/execution-bench.js';

const poison = { type: 'instruments-listed', id: 'p', cause: 'p', instruments: [] };

/** The name under which an input is left out when it has crashed a worker too often. */
const nameIn = (source: WorkSource, input: unknown): string => {
  const slot = createWorkSlot();
  let name = '';
  createWorkGuard(slot, [], () => {}).handle(source, input, () => {
    name = inputInWork(slot) ?? '';
  });
  return name;
};

/** Resolves after so many signs of life from now on. */
const beats = async (control: MessagePort, count: number): Promise<void> => {
  const said = eventsOf<FromWorker>();
  control.on('message', said.add);
  await said.find(() => said.items.filter(({ type }) => type === 'beat').length >= count);
  control.off('message', said.add);
};

describe('what actors say to each other', function () {
  this.timeout(60_000);
  const ends: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
  });

  const startTalker = (
    actor: ActorName,
    peer: ActorName,
    quarantined: readonly string[] = [],
    gate?: SharedArrayBuffer,
  ): { control: MessagePort; port: MessagePort } => {
    const control = new MessageChannel();
    const surface = new MessageChannel();
    const worker = new Worker(new URL('../fakes/workers/talker.js', import.meta.url), {
      workerData: {
        boot: { actor, incarnation: 1, quarantined },
        ports: { control: control.port2, surface: surface.port2 },
        gate,
      },
      transferList: [control.port2, surface.port2],
    });
    const channel = new MessageChannel();
    const message: ToWorker = { type: 'peer-connected', peer, incarnation: 1, port: channel.port2 };
    control.port1.postMessage(message, [channel.port2]);
    ends.push(async () => {
      await worker.terminate();
      for (const port of [control.port1, surface.port1, channel.port1]) port.close();
    });
    return { control: control.port1, port: channel.port1 };
  };

  it('travels together when it is said together, and keeps its order with what is said alone', async () => {
    const { port } = startTalker('market-data', 'strategy');
    const arrived: unknown[] = [];
    while (arrived.length < 3) arrived.push((await once(port, 'message'))[0]);
    const ids = (arrivedAtOnce: unknown): unknown =>
      Array.isArray(arrivedAtOnce)
        ? arrivedAtOnce.map(({ id }: { id: string }) => id)
        : (arrivedAtOnce as { id: string }).id;
    expect(arrived.map(ids)).to.deep.equal([['first', 'second'], 'third', 'fourth']);
  });

  it('is heard one by one, however it travelled', async () => {
    const { control, port } = startTalker('strategy', 'market-data');
    const heard: unknown[] = [];
    const all = new Promise<void>(resolve => {
      control.on('message', (message: FromWorker) => {
        if (message.type !== 'status-reported') return;
        heard.push(message.facts.id);
        if (heard.length === 4) resolve();
      });
    });
    const named = (id: string): object => ({ type: 'instruments-listed', id, cause: id, instruments: [] });
    port.postMessage(named('a'));
    port.postMessage([named('b'), named('c')]);
    port.postMessage(named('d'));
    await all;
    expect(heard).to.deep.equal(['a', 'b', 'c', 'd']);
  });

  it('ends with its sender where it was a wish to trade, but not where it was a cancel', async () => {
    const gate = new SharedArrayBuffer(4);
    const { control, port } = startTalker('execution', 'strategy', [], gate);
    const heard: unknown[] = [];
    const all = new Promise<void>(resolve => {
      control.on('message', (message: FromWorker) => {
        if (message.type !== 'status-reported') return;
        heard.push(message.facts.id);
        if (message.facts.id === 'successor') resolve();
      });
    });
    const named = (type: string, id: string): object => ({ type, id, cause: id });
    port.postMessage(named('place-order', 'place-1'));
    port.postMessage(named('cancel-order', 'cancel-1'));
    port.postMessage([named('place-order', 'place-2'), named('cancel-order', 'cancel-2')]);
    control.postMessage({ type: 'peer-lost', peer: 'strategy' } satisfies ToWorker);
    const channel = new MessageChannel();
    channel.port1.postMessage(named('place-order', 'successor'));
    const connected: ToWorker = {
      type: 'peer-connected',
      peer: 'strategy',
      incarnation: 2,
      port: channel.port2,
    };
    control.postMessage(connected, [channel.port2]);
    // Nothing of the first strategy has been read: the thread waits since it was connected.
    Atomics.store(new Int32Array(gate), 0, 1);
    Atomics.notify(new Int32Array(gate), 0);
    await all;
    channel.port1.close();
    expect(heard).to.deep.equal(['cancel-1', 'cancel-2', 'successor']);
  });

  it('may be left out without a hold where it is a line of the log, whoever said it', async () => {
    const line = { type: 'log', actor: 'execution', atMs: 1, level: 'info', event: 'x', fields: {} };
    const { control, port } = startTalker('telemetry', 'execution', [nameIn('execution', line)]);
    const told = eventsOf<FromWorker>();
    control.on('message', (message: FromWorker) => told.add(message));
    control.postMessage(controlState());
    port.postMessage(line);
    port.postMessage({ ...line, event: 'y' });
    await told.find(message => message.type === 'status-reported' && message.facts.event === 'y');
    expect(told.items.filter(({ type }) => type === 'hold-wanted')).to.deep.equal([]);
    expect(told.items.filter(({ type }) => type === 'status-reported')).to.have.length(1);
  });

  it('waits for telemetry while that is being replaced, lines rather than figures, the newest of them', async () => {
    const { control } = startTalker('execution', 'telemetry');
    control.postMessage({ type: 'peer-lost', peer: 'telemetry' } satisfies ToWorker);
    const many = 3_000;
    const said = eventsOf<FromWorker>();
    control.on('message', said.add);
    for (let epoch = 1; epoch <= many; epoch++) control.postMessage(controlState({ epoch }));
    await said.find(message => message.type === 'status-reported' && message.facts.epoch === many);
    // Longer than lines wait for company.
    await beats(control, 2);
    const channel = new MessageChannel();
    const lines: ToTelemetry[] = [];
    const last = new Promise<void>(resolve => {
      channel.port1.on('message', (message: ToTelemetry) => {
        if (message.type !== 'log') return;
        lines.push(message);
        if (message.fields.epoch === many) resolve();
      });
    });
    const connected: ToWorker = {
      type: 'peer-connected',
      peer: 'telemetry',
      incarnation: 2,
      port: channel.port2,
    };
    control.postMessage(connected, [channel.port2]);
    await last;
    channel.port1.close();
    expect(lines.length).to.be.within(1_000, 2_000);
    const epochs = lines.map(line => (line.type === 'log' ? line.fields.epoch : null));
    expect(epochs).to.deep.equal(epochs.map((_, index) => many - epochs.length + 1 + index));
  });

  it('is never left out without a hold where it may be money, also after the hold was released', async () => {
    const { control, port } = startTalker('strategy', 'reconciliation', [nameIn('reconciliation', poison)]);
    const asked = eventsOf<FromWorker>();
    const heard = eventsOf<FromWorker>();
    control.on('message', (message: FromWorker) => {
      if (message.type === 'hold-wanted') asked.add(message);
      if (message.type === 'status-reported') heard.add(message);
    });
    /** Sends the poison, and behind it a message that is heard, under these holds. */
    const send = async (holds: readonly object[], mark: string): Promise<void> => {
      control.postMessage({ ...controlState(), holds });
      port.postMessage(poison);
      port.postMessage({ ...poison, id: mark, instruments: [mark] });
      await heard.find(message => message.type === 'status-reported' && message.facts.id === mark);
    };
    await send([], 'first');
    expect(asked.items).to.have.length(1);
    expect(asked.items[0]).to.include({ holdCause: 'invariant', subject: 'poison:strategy' });
    await send([{ key: holdKey('invariant', 'poison:strategy') }], 'held');
    expect(asked.items).to.have.length(1);
    await send([], 'released');
    expect(asked.items).to.have.length(2);
  });

  it('is asked for soon also while the hold is shown: it may have been released a moment ago', async () => {
    const { control, port } = startTalker('strategy', 'reconciliation', [nameIn('reconciliation', poison)]);
    const asked = eventsOf<FromWorker>();
    const heard = eventsOf<FromWorker>();
    control.on('message', (message: FromWorker) => {
      if (message.type === 'hold-wanted') asked.add(message);
      if (message.type === 'status-reported') heard.add(message);
    });
    control.postMessage({ ...controlState(), holds: [{ key: holdKey('invariant', 'poison:strategy') }] });
    for (let count = 0; count < 20; count++) port.postMessage(poison);
    port.postMessage({ ...poison, id: 'last', instruments: ['last'] });
    await heard.find(message => message.type === 'status-reported' && message.facts.id === 'last');
    await asked.find(message => message.type === 'hold-wanted');
    expect(asked.items).to.have.length(1);
    // Of those that followed it only the newest is told, a little later, and nothing after that.
    await asked.find(() => asked.items.length === 2);
    await beats(control, LEFT_OUT_AGAIN_MS / BEAT_INTERVAL_MS + 2);
    expect(asked.items).to.have.length(2);
  });
});
