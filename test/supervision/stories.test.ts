import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { latchPath, readLatch } from '#src/runtime/latch-file.js';
import { run } from '../cli/run.js';
import type { Fault } from '../fakes/workers/actor.js';
import { type BotProcess, cleanUp, startBot } from './bot-process.js';

const running = (bot: BotProcess) => bot.heard('trading-state-changed', line => line.to === 'live');
const eventsOf = (bot: BotProcess, event: string): readonly string[] =>
  bot.log.filter(line => line.event === event).map(line => String(line.worker ?? line.actor));

describe('the supervisor over worker threads', function () {
  this.timeout(30_000);
  afterEach(cleanUp);

  it('starts in order, gives keys only to those that sign, forbids new orders before it stops anybody, stops in reverse', async () => {
    const bot = startBot({});
    await running(bot);
    bot.signal('SIGTERM');
    expect(await bot.exited).to.deep.equal({ code: 0, signal: null });
    expect(eventsOf(bot, 'worker-ready')).to.deep.equal([
      'paper-exchange',
      'ledger',
      'telemetry',
      'market-data',
      'reconciliation',
      'execution',
      'strategy',
    ]);
    expect(eventsOf(bot, 'fake-drained').slice(0, 4)).to.deep.equal([
      'strategy',
      'execution',
      'reconciliation',
      'market-data',
    ]);
    expect(bot.errors()).to.equal('');
    const signing = bot.log.filter(line => line.event === 'fake-started' && line.signs === true);
    expect(signing.map(line => line.actor)).to.deep.equal(['reconciliation', 'execution']);
    const told = bot.log.findIndex(
      line => line.event === 'fake-told' && line.actor === 'execution' && line.state === 'cancel-only',
    );
    expect(told).to.be.greaterThan(0);
    // Lines of one actor keep their order.
    expect(told).to.be.lessThan(
      bot.log.findIndex(line => line.event === 'fake-drained' && line.actor === 'execution'),
    );
  });

  const crashes: readonly [fault: Fault, words: RegExp][] = [
    ['exit-0', /ended with code 0/],
    ['throw', /thrown on purpose/],
    ['reject', /rejected on purpose/],
    // Collecting garbage may keep it silent for so long that it is replaced before its heap is full.
    ['out-of-memory', /memory|no sign of life/],
    ['hang', /no sign of life/],
  ];
  for (const [fault, words] of crashes)
    it(`holds, restarts and goes on when a worker fails by ${fault}`, async () => {
      const bot = startBot({ faults: { 'market-data': { fault, incarnations: 1 } } });
      await bot.heard('worker-ready', line => line.worker === 'market-data' && line.incarnation === 2);
      const placed = await bot.heard('hold-placed', line => line.key === 'worker-down:market-data');
      const released = await bot.heard('hold-released', line => line.key === 'worker-down:market-data');
      await running(bot);
      bot.signal('SIGTERM');
      expect((await bot.exited).code).to.equal(0);
      const crash = bot.log.find(line => line.event === 'worker-crashed');
      expect(`${placed.detail} ${crash?.error} ended with code ${crash?.code}`).to.match(words);
      expect(bot.log.indexOf(placed)).to.be.lessThan(bot.log.indexOf(released));
      // Nobody else was touched.
      expect(eventsOf(bot, 'worker-crashed')).to.deep.equal(['market-data']);
      expect(eventsOf(bot, 'worker-ready').filter(worker => worker === 'strategy')).to.have.length(1);
    });

  it('names a twin that fails, and goes on without it as if it had never been', async () => {
    const bot = startBot({
      faults: { twin: { fault: 'throw', incarnations: 1 } },
      env: { PAPER_TWIN: 'true' },
    });
    await running(bot);
    expect(await bot.heard('worker-dropped')).to.include({ worker: 'twin' });
    const status = await bot.status();
    expect(status).to.include({ state: 'live', phase: 'running' });
    expect(status.holds).to.deep.equal([]);
    bot.signal('SIGTERM');
    expect(await bot.exited).to.deep.equal({ code: 0, signal: null });
    expect(eventsOf(bot, 'worker-crashed')).to.deep.equal([]);
    expect(eventsOf(bot, 'worker-ready').at(-1)).to.equal('twin');
  });

  it('restarts what relied on a worker together with it, and proves the account again', async () => {
    const bot = startBot({ faults: { reconciliation: { fault: 'throw', incarnations: 1 } } });
    await bot.heard('worker-ready', line => line.worker === 'strategy' && line.incarnation === 2);
    bot.signal('SIGTERM');
    await bot.exited;
    const again = bot.log
      .filter(line => line.event === 'worker-ready' && line.incarnation === 2)
      .map(line => line.worker);
    expect(again).to.deep.equal(['reconciliation', 'execution', 'strategy']);
    const starting = bot.log.filter(line => line.key === 'starting').map(line => line.event);
    expect(starting).to.deep.equal(['hold-released', 'hold-placed', 'hold-released']);
  });

  it('asks a ledger again for the holds of earlier runs when its predecessor ended before it answered', async () => {
    const bot = startBot({ faults: { ledger: { fault: 'ends-when-asked', incarnations: 1 } } });
    const restored = await bot.heard('hold-restored');
    expect(restored.key).to.equal('foreign-order:17');
    bot.signal('SIGTERM');
    expect((await bot.exited).code).to.equal(0);
    expect(eventsOf(bot, 'worker-crashed')).to.deep.equal(['ledger']);
    expect(bot.log.some(line => line.event === 'fake-told' && line.maySubmit === true)).to.equal(false);
  });

  it('counts the earlier connections of a worker against the exchange that saw them, not against its successor', async () => {
    const started = (bot: BotProcess, actor: string) =>
      bot.heard('fake-started', line => line.actor === actor && line.incarnation === 2);
    const bot = startBot({ faults: { 'paper-exchange': { fault: 'exit-0', incarnations: 1 } } });
    const onNewExchange = await started(bot, 'market-data');
    bot.signal('SIGTERM');
    await bot.exited;
    const other = startBot({ faults: { 'market-data': { fault: 'exit-0', incarnations: 1 } } });
    const onSameExchange = await started(other, 'market-data');
    other.signal('SIGTERM');
    await other.exited;
    expect([onNewExchange.earlierStarts, onSameExchange.earlierStarts]).to.deep.equal([0, 1]);
  });

  for (const [words, fault, hold] of [
    ['one of the market, and trades on', 'chokes-on-trade', null],
    [
      'one that may be money, and holds until somebody has looked',
      'chokes-on-order',
      'invariant:poison:strategy',
    ],
  ] as const)
    it(`leaves a message out that a worker crashed on three times: ${words}`, async () => {
      const bot = startBot({ faults: { strategy: { fault, incarnations: 99 } } });
      const quarantined = await bot.heard('input-quarantined');
      expect(quarantined.worker).to.equal('strategy');
      const skipped = await bot.heard('input-skipped');
      expect(skipped.input).to.equal(quarantined.input);
      expect(String(skipped.text)).to.contain('POISON');
      if (hold === null)
        await bot.heard(
          'hold-released',
          line => line.key === 'worker-down:strategy' && bot.log.indexOf(line) > bot.log.indexOf(quarantined),
        );
      else await bot.heard('hold-placed', line => line.key === hold);
      const { workers, holds } = await bot.status();
      expect(workers.strategy).to.include({ status: 'up', incarnation: 4 });
      expect(holds.map(({ key }) => key)).to.deep.equal(hold === null ? [] : [hold]);
      bot.signal('SIGTERM');
      expect((await bot.exited).code).to.equal(0);
      expect(eventsOf(bot, 'worker-crashed')).to.deep.equal(['strategy', 'strategy', 'strategy']);
      if (hold !== null) return;
      // The next start knows it, and does not crash on it again.
      const next = startBot({ folder: bot.folder, faults: { strategy: { fault, incarnations: 99 } } });
      expect((await next.heard('input-skipped')).input).to.equal(quarantined.input);
      next.signal('SIGTERM');
      expect((await next.exited).code).to.equal(0);
      expect(eventsOf(next, 'worker-crashed')).to.deep.equal([]);
    });

  it('says when no disk takes the latch of a safe mode, and writes it once one does', async () => {
    const bot = startBot({});
    await running(bot);
    const database = join(bot.folder, 'bot.sqlite');
    // Nothing can be written under the name that the new file has at first.
    const inTheWay = `${latchPath(database)}.new`;
    mkdirSync(inTheWay);
    const ordered = await run(['safe-mode', 'on'], { STATE_DB_PATH: database });
    expect(ordered.code).to.equal(0);
    expect(ordered.out).to.contain('safe mode is on').and.to.contain('BUT the latch could not be written');
    await bot.heard('latch-not-written');
    rmdirSync(inTheWay);
    await bot.heard('latch-written');
    expect(readLatch(latchPath(database)).map(({ key }) => key)).to.deep.equal(['operator']);
    expect((await run(['safe-mode', 'on'], { STATE_DB_PATH: database })).out).to.not.contain('BUT');
    expect(eventsOf(bot, 'latch-not-written')).to.have.length(1);
  });

  it('latches when a worker keeps crashing, keeps control and telemetry up, and remembers it', async () => {
    const bot = startBot({ faults: { strategy: { fault: 'exit-0', incarnations: 99 } } });
    const latched = await bot.heard('hold-placed', line => line.key === 'restart-storm:strategy');
    expect(latched.detail).to.contain('5 times in 30 s');
    await bot.heard('trading-state-changed', line => line.to === 'observe-only');
    bot.signal('SIGTERM');
    expect((await bot.exited).code).to.equal(0);
    expect(eventsOf(bot, 'worker-crashed')).to.have.length(5);

    const next = startBot({ folder: bot.folder });
    const restored = await next.heard('hold-restored');
    expect(restored.key).to.equal('restart-storm:strategy');
    await next.heard('all-workers-ready');
    next.signal('SIGTERM');
    await next.exited;
    expect(next.log.some(line => line.event === 'trading-state-changed' && line.to === 'live')).to.equal(
      false,
    );
  });

  const refusals: readonly [fault: Fault, code: number, words: string][] = [
    ['start-throws', 1, 'execution did not start: start failed on purpose'],
    ['start-refused', 2, 'execution did not start: refused on purpose: choose another one'],
    ['ends-before-ready', 1, 'execution did not start: it ended with code 0'],
  ];
  for (const [fault, code, words] of refusals)
    it(`leaves with ${code} and one line, and tries nothing twice, when a first start fails by ${fault}`, async () => {
      const bot = startBot({ faults: { execution: { fault, incarnations: 99 } } });
      expect((await bot.exited).code).to.equal(code);
      expect(bot.errors()).to.equal(`btcbot: ${words}\n`);
      expect(bot.log.filter(line => line.event === 'fake-started').map(line => line.actor)).to.deep.equal([
        'paper-exchange',
        'ledger',
        'market-data',
        'reconciliation',
      ]);
    });

  it('ends a worker that does not drain, and still leaves with 0', async () => {
    const bot = startBot({ faults: { strategy: { fault: 'never-drains', incarnations: 1 } } });
    await running(bot);
    bot.signal('SIGTERM');
    expect((await bot.exited).code).to.equal(0);
    expect(bot.log.find(line => line.event === 'worker-overdue')?.worker).to.equal('strategy');
  });

  it('leaves with 4 at the second signal, without waiting', async () => {
    const bot = startBot({ faults: { execution: { fault: 'never-drains', incarnations: 1 } } });
    await running(bot);
    bot.signal('SIGTERM');
    await bot.heard('fake-drained', line => line.actor === 'execution');
    bot.signal('SIGINT');
    expect((await bot.exited).code).to.equal(4);
  });

  it('takes a copy of the same signal within a moment for the same order', async () => {
    const bot = startBot({ faults: { strategy: { fault: 'never-drains', incarnations: 1 } } });
    await running(bot);
    bot.signal('SIGINT');
    bot.signal('SIGINT');
    bot.signal('SIGINT');
    expect((await bot.exited).code).to.equal(0);
  });

  it('is not harmed by SIGHUP and SIGUSR1', async () => {
    const bot = startBot({});
    await running(bot);
    bot.signal('SIGHUP');
    bot.signal('SIGUSR1');
    await bot.heard('signal-ignored', line => line.signal === 'SIGHUP');
    await bot.heard('signal-ignored', line => line.signal === 'SIGUSR1');
    bot.signal('SIGTERM');
    expect((await bot.exited).code).to.equal(0);
    expect(bot.errors()).to.equal('');
  });

  it('forces safe mode on SIGUSR2, also across a kill', async () => {
    const bot = startBot({});
    await running(bot);
    bot.signal('SIGUSR2');
    const held = await bot.heard('trading-state-changed', line => line.to === 'observe-only');
    expect(held.reasons).to.include('hold operator: safe mode was ordered: SIGUSR2');
    bot.signal('SIGKILL');
    expect((await bot.exited).signal).to.equal('SIGKILL');

    const next = startBot({ folder: bot.folder });
    expect((await next.heard('hold-restored')).key).to.equal('operator');
    await next.heard('all-workers-ready');
    next.signal('SIGTERM');
    expect((await next.exited).code).to.equal(0);
    expect(next.log.some(line => line.event === 'fake-told' && line.maySubmit === true)).to.equal(false);
  });
});
