/** The real worker on a real thread: the addresses it hands out, its files, its end. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { expect } from 'chai';
import * as Comlink from 'comlink';
import { WebSocket } from 'ws';
import type { FromWorker, WorkerControl } from '#src/messages/control.js';
import { request } from './client.js';
import { amounts, sign } from './harness.js';

const folder = mkdtempSync(join(tmpdir(), 'paper-'));
after(() => rmSync(folder, { recursive: true, force: true }));

interface PaperThread {
  readonly control: Comlink.Remote<WorkerControl>;
  readonly exited: Promise<number>;
  /** Resolves when the worker has nothing more to do. */
  readonly finished: Promise<string>;
}

const startThread = (paper: {
  readonly recording: string | null;
  readonly speed: number;
  readonly name: string;
  readonly symbols: readonly string[];
}): PaperThread => {
  const control = new MessageChannel();
  const surface = new MessageChannel();
  const settings = {
    mode: 'paper',
    venue: 'paper',
    symbols: paper.symbols,
    stateDbPath: join(folder, `${paper.name}.sqlite`),
    paper: {
      recording: paper.recording,
      speed: paper.speed,
      seed: 1,
      balances: amounts({ TRY: '1000000', USDT: '10000', BTC: '1' }),
    },
  };
  const worker = new Worker(new URL('../../workers/paper-exchange.js', import.meta.url), {
    workerData: {
      boot: { actor: 'paper-exchange', incarnation: 1, settings, facts: {}, terminal: false },
      ports: { control: control.port2, surface: surface.port2 },
    },
    transferList: [control.port2, surface.port2],
  });
  const finished = new Promise<string>(resolve => {
    control.port1.on('message', (message: FromWorker) => {
      if (message.type === 'work-finished') resolve(message.reason);
    });
  });
  const exited = once(worker, 'exit').then(([code]) => {
    control.port1.close();
    surface.port1.close();
    return code as number;
  });
  return {
    control: Comlink.wrap<WorkerControl>(surface.port1 as unknown as Comlink.Endpoint),
    exited,
    finished,
  };
};
const addresses = (facts: Readonly<Record<string, string>>) => ({
  url: facts.baseUrl ?? '',
  apiKey: facts.apiKey ?? '',
  apiSecret: facts.apiSecret ?? '',
});

describe('the paper exchange as a worker', () => {
  it('hands out its addresses and key, serves, drains and leaves the account in two files', async () => {
    const first = startThread({ recording: null, speed: 1, name: 'bot', symbols: ['BTCTRY'] });
    const facts = await first.control.start();
    expect(Object.keys(facts).sort()).to.deep.equal([
      'accountFile',
      'apiKey',
      'apiSecret',
      'baseUrl',
      'exchangeStartedAtMs',
      'graphUrl',
      'statementFile',
      'wsUrl',
    ]);
    expect(facts.accountFile).to.equal(join(folder, 'bot.paper.jsonl'));
    expect(facts.statementFile).to.equal(join(folder, 'bot.paper-account.json'));
    const placed = await request(addresses(facts), 'POST', '/api/v1/order', {
      pairSymbol: 'BTCTRY',
      orderType: 'buy',
      orderMethod: 'limit',
      price: '3000000',
      quantity: '0.001',
      newOrderClientId: 'left-behind',
    });
    expect(placed.status, placed.text).to.equal(200);
    expect(await first.control.snapshot()).to.deep.include({ openOrders: 1, trades: 0 });
    await first.control.drain();
    expect(await first.exited).to.equal(0);
    const statement = JSON.parse(readFileSync(facts.statementFile ?? '', 'utf8')) as {
      balances: { asset: string; locked: string }[];
      orders: { clientOrderId: string; status: string }[];
    };
    expect(statement.orders.map(order => order.clientOrderId)).to.deep.equal(['left-behind']);
    expect(statement.balances.find(balance => balance.asset === 'TRY')?.locked).to.equal('3007.2');

    const second = startThread({ recording: null, speed: 1, name: 'bot', symbols: ['BTCTRY'] });
    const again = await second.control.start();
    expect([again.apiKey, again.apiSecret]).to.deep.equal([facts.apiKey, facts.apiSecret]);
    const open = await request(addresses(again), 'GET', '/api/v1/openOrders?pairSymbol=BTCTRY');
    expect(open.text).to.contain('"orderClientId":"left-behind"');
    await second.control.drain();
    expect(await second.exited).to.equal(0);
  });

  it('says when a recording has been played, with the statement written', async () => {
    const frame = (at: number, model: number, payload: object): string =>
      JSON.stringify({ at, frame: [model, payload] });
    const book = {
      PS: 'BTCUSDT',
      AO: [{ A: '1', P: '60001.5' }],
      BO: [{ A: '1', P: '60000.5' }],
      channel: 'obdiff',
      event: 'BTCUSDT',
    };
    const recording = join(folder, 'played.jsonl');
    writeFileSync(
      recording,
      [
        frame(1_000, 431, { CS: 1, ...book, type: 431 }),
        frame(1_050, 432, { CS: 2, ...book, AO: [{ CP: 0, A: '2', P: '60001.5' }], BO: [], type: 432 }),
      ].join('\n'),
    );
    const thread = startThread({
      recording,
      speed: Number.POSITIVE_INFINITY,
      name: 'played',
      symbols: ['BTCUSDT'],
    });
    const facts = await thread.control.start();
    const socket = new WebSocket(facts.wsUrl ?? '');
    await once(socket, 'open');
    socket.send('[151,{"type":151,"channel":"obdiff","event":"BTCUSDT","join":true}]');
    socket.send(
      JSON.stringify([
        114,
        {
          type: 114,
          publicKey: facts.apiKey,
          timestamp: Date.now(),
          nonce: 15_000,
          signature: sign(facts.apiSecret ?? '', `${facts.apiKey}15000`),
        },
      ]),
    );
    expect(await thread.finished).to.equal(`recording ${recording} has been played to its end`);
    expect(readFileSync(facts.statementFile ?? '', 'utf8')).to.contain('"asset":"USDT","total":"10000"');
    socket.terminate();
    await thread.control.drain();
    expect(await thread.exited).to.equal(0);
  });

  it('does not start on a recording that is not there, and says so', async () => {
    const thread = startThread({
      recording: join(folder, 'absent'),
      speed: 1,
      name: 'absent',
      symbols: ['BTCUSDT'],
    });
    const failure = await thread.control.start().then(
      () => '',
      (error: unknown) => String(error),
    );
    expect(failure).to.match(/recording .*absent cannot be read: ENOENT/);
    await thread.control.drain();
    expect(await thread.exited).to.equal(0);
  });
});
