import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { openLedger } from '#src/ledger/store.js';
import { controlSocketPath } from '#src/runtime/control-protocol.js';
import { type ControlSocket, openControlSocket } from '#src/supervision/control-socket.js';
import { eventsOf } from '../btcturk/collected.js';
import { orderIn } from '../domain/orders.js';
import { configOf, World } from '../domain/supervisor-world.js';
import { run } from './run.js';

/** How often somebody asked for the status after a command. */
const looksAfter = (commands: readonly string[], command: string): number =>
  commands.slice(commands.indexOf(command)).filter(type => type === 'status').length;

/** The verbs that talk to a running bot, against the supervisor's brain behind a real socket. */
describe('the verbs that talk to a running bot', () => {
  let folder = '';
  let socket: ControlSocket;
  let world: World;
  let commands = eventsOf<string>();
  const open = async (over: Parameters<typeof configOf>[0] = {}): Promise<void> => {
    world = new World(configOf(over)).run();
    socket = await openControlSocket(controlSocketPath(join(folder, 'b.sqlite')), (request, command) => {
      socket.answer(request, world.ask(command));
      commands.add(command.type);
    });
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'btcbot-control-'));
    commands = eventsOf();
  });
  afterEach(() => {
    socket?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const bot = (...words: string[]) => run(words, { STATE_DB_PATH: join(folder, 'b.sqlite') });

  it('status shows state, reasons, holds, workers, orders and positions', async () => {
    await open();
    world.feed({
      type: 'status-reported',
      actor: 'execution',
      facts: {
        openOrders: [
          {
            symbol: 'BTCTRY',
            side: 'buy',
            price: '3750000',
            quantity: '0.1',
            filled: '0',
            state: 'working',
            clientOrderId: 'bb-1',
          },
        ],
      },
    });
    world.want('execution', 'loss-limit');
    const { code, out } = await bot('status');
    expect(code).to.equal(0);
    for (const words of [
      'paper · cancel-only · running',
      'VENUE is paper',
      'loss-limit',
      'latched',
      'execution',
      '3750000',
      'bb-1',
    ])
      expect(out).to.contain(words);
    const status = (await bot('status', '--json')).json<{ state: string; workers: object }>();
    expect(status.state).to.equal('cancel-only');
    expect(Object.keys(status.workers)).to.include('strategy');
  });

  it('status and health name a strategy that was stopped, alone and among others', async () => {
    await open();
    const report = (facts: Readonly<Record<string, unknown>>): void =>
      world.feed({ type: 'status-reported', actor: 'strategy', facts });
    const stopped = {
      strategy: 'maker',
      state: 'stopped',
      reason: '10 faults within 60 s',
      openOrders: 0,
      faults: 10,
    };
    for (const facts of [
      stopped,
      {
        state: 'running',
        stopped: ['maker'],
        strategies: {
          maker: stopped,
          grid: { strategy: 'grid', state: 'running', reason: null, openOrders: 2, faults: 0 },
        },
      },
    ]) {
      report(facts);
      expect((await bot('status')).out).to.match(/maker +stopped .*10 faults within 60 s/);
      const health = await bot('health');
      expect(health.code).to.equal(1);
      expect(health.out).to.contain('strategy maker is stopped: 10 faults within 60 s');
    }
    report({ ...stopped, state: 'running', reason: null });
    expect((await bot('health')).code).to.equal(0);
  });

  it('status shows the private feed, the last proof and what stands against it', async () => {
    await open();
    expect((await bot('status')).out).to.contain('not proven equal to the exchange yet');
    world.feed({
      type: 'status-reported',
      actor: 'reconciliation',
      facts: {
        phase: 'running',
        privateFeed: 'live',
        clockOffsetMs: 12.4,
        reconciliation: {
          lagMs: 1_234,
          lastCleanAtMs: 1_700_000_000_000,
          discrepancies: ['BTC: 0.1 missing'],
        },
      },
    });
    const { out } = await bot('status');
    for (const words of [
      'private feed: live',
      'proven equal to the exchange 1.2 s ago',
      'clock of the exchange minus ours: 12 ms',
      '  - BTC: 0.1 missing',
    ])
      expect(out).to.contain(words);
  });

  it('health is 0 when all is well, 1 when something is not, 2 when nobody answers', async () => {
    await open();
    expect((await bot('health')).code).to.equal(0);
    world.want('market-data', 'stale-data', 'BTCTRY');
    const degraded = await bot('health', '--json');
    expect(degraded.code).to.equal(1);
    expect(degraded.json()).to.deep.equal({ health: 'degraded', reasons: ['hold stale-data:BTCTRY: why'] });
    socket.close();
    const gone = await bot('health');
    expect(gone.code).to.equal(2);
    expect(gone.out).to.contain('no bot runs on this data');
  });

  it('health takes the operator’s own safe mode for no fault', async () => {
    await open();
    await bot('safe-mode', 'on');
    expect((await bot('health')).code).to.equal(0);
  });

  it('safe-mode on closes the bot, off needs the words', async () => {
    await open();
    expect((await bot('safe-mode', 'on')).code).to.equal(0);
    expect(world.control?.maySubmit).to.equal(false);
    const refused = await bot('safe-mode', 'off');
    expect(refused.code).to.equal(2);
    expect(refused.err).to.contain('I_UNDERSTAND');
    expect((await bot('safe-mode', 'off', '--ack', 'I_UNDERSTAND')).code).to.equal(0);
    expect(world.control?.maySubmit).to.equal(true);
  });

  it('safe-mode releases another latch by its key', async () => {
    await open();
    world.want('execution', 'repeat-execution', 'BTCTRY');
    const released = await bot(
      'safe-mode',
      'off',
      '--ack',
      'I_UNDERSTAND',
      '--hold',
      'repeat-execution:BTCTRY',
    );
    expect(released.code).to.equal(0);
    expect(world.status.holds).to.deep.equal([]);
  });

  it('safe-mode takes nothing but on and off', async () => {
    await open();
    for (const words of [[], ['maybe'], ['on', 'off']])
      expect((await bot('safe-mode', ...words)).code).to.equal(2);
    expect(world.control?.maySubmit).to.equal(true);
  });

  it('cancel-all reaches execution, and is refused in safe mode', async () => {
    await open();
    expect((await bot('cancel-all')).code).to.equal(0);
    expect(world.effects.filter(effect => effect.type === 'cancel-all')).to.have.length(1);
    await bot('safe-mode', 'on');
    const refused = await bot('cancel-all', '--json');
    expect(refused.code).to.equal(2);
    expect(refused.err).to.contain('observe-only');
    expect(refused.err).to.contain('restart with SAFE_MODE=false KILL_SWITCH=true');
  });

  it('cancel-all believes no report over the ledger: an order that none names yet has to end, too', async () => {
    const ledger = openLedger({ path: join(folder, 'b.sqlite'), mode: 'paper' });
    try {
      await open({ flags: { safeMode: false, killSwitch: true, dryRun: false } });
      // Made before the order: execution has sent it since, and nobody has reported since.
      world.feed({ type: 'status-reported', actor: 'execution', facts: { openOrders: [] } });
      world.feed({ type: 'status-reported', actor: 'reconciliation', facts: { openOrders: 0 } });
      const order = orderIn({ status: 'intended' });
      const { clientOrderId } = order;
      const later = {
        ...order,
        clientOrderId: 'later',
        intentId: 'test:1:2',
        intendedAtMs: Date.now() + 3_600_000,
      };
      ledger.append([
        { type: 'order-intended', order },
        { type: 'order-intended', order: later },
      ]);
      const early = await bot('cancel-all', '--within', '1', '--json');
      expect(early.json()).to.deep.include({ orders: 1, verifiedZeroMs: null, left: [clientOrderId] });
      expect(early.code).to.equal(1);

      commands.clear();
      let hasEnded = false;
      const asked = bot('cancel-all', '--json').finally(() => {
        hasEnded = true;
      });
      await commands.find(() => looksAfter(commands.items, 'cancel-all') >= 3);
      expect(hasEnded, 'it waits').to.equal(false);
      const moved = {
        type: 'order-moved',
        clientOrderId,
        atMs: 2,
        cause: 'execution:1:1',
        detail: '',
      } as const;
      ledger.append([{ ...moved, state: { status: 'denied', reason: 'writes-forbidden' } }]);
      const report = (await asked).json<{ verifiedZeroMs: number }>();
      expect(report).to.deep.include({ orders: 1, left: [] });
      expect(report.verifiedZeroMs).to.be.a('number');
      expect((await asked).code).to.equal(0);
    } finally {
      ledger.close();
    }
  });

  it('say with code 2 that a bot is there and does not answer, and speak of its orders in nobody’s place', async () => {
    const mute = createServer();
    await new Promise<void>(resolve => mute.listen(controlSocketPath(join(folder, 'b.sqlite')), resolve));
    try {
      const { code, err } = await bot('cancel-all');
      expect(code).to.equal(2);
      expect(err).to.contain('does not answer').and.to.contain('b.sqlite.lock');
      expect(err).to.not.contain('this configuration is');
    } finally {
      mute.close();
    }
  });

  it('say with code 2 that no bot runs', async () => {
    for (const words of [['status'], ['safe-mode', 'on'], ['cancel-all']]) {
      const { code, err } = await bot(...words);
      expect(code, words.join(' ')).to.equal(2);
      expect(err).to.contain('no bot runs on this data');
    }
  });
});
