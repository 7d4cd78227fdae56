import { expect } from 'chai';
import fc from 'fast-check';
import { degradations } from '#src/cli/health.js';
import { CAUSES } from '#src/domain/breaker.js';
import { HOLD_CAUSES, holdKey } from '#src/domain/safety.js';
import type { ActorName } from '#src/domain/step.js';
import type { QuarantinedInput } from '#src/domain/supervisor.js';
import { START_WORKER_MS } from '#src/runtime/limits.js';
import { childSpecs } from '#src/supervision/child-spec.js';
import { runs } from '../runs.js';
import { ACTORS, configOf, type Manner, World } from './supervisor-world.js';

const keys = (world: World): readonly string[] => world.status.holds.map(hold => hold.key);
const REVERSED = [...ACTORS].reverse();

describe('the supervisor’s start', () => {
  it('starts each worker when the one before it is ready', () => {
    const world = new World();
    expect(world.deeds).to.deep.equal(['start paper-exchange']);
    world.settle();
    expect(world.deeds).to.deep.equal(ACTORS.map(actor => `start ${actor}`));
  });

  it('lets nothing be written before every worker is up and the account is proven', () => {
    const world = new World();
    expect(world.control).to.include({ state: 'observe-only', maySubmit: false, mayCancel: false });
    world.manners.set('execution', 'never-ready');
    world.settle();
    world.clear('reconciliation', 'starting');
    expect(world.control?.maySubmit).to.equal(false);
    world.threads.get('execution')!.manner = 'good';
    world.settle();
    expect(world.control).to.include({ state: 'live', maySubmit: true });

    const other = new World();
    other.settle();
    expect(other.control?.maySubmit).to.equal(false);
    other.clear('reconciliation', 'starting');
    expect(other.control?.maySubmit).to.equal(true);
  });

  it('keeps the decision about its mode, with every reason, in the audit, and counts the reasons', () => {
    const world = new World(
      configOf({ modeReasons: ['one', 'another'], build: '0.1.0+abc', configHash: 'c0ffee' }),
    );
    const kept = world.effects.flatMap(effect =>
      effect.type === 'record' && effect.record.type === 'audit' ? [effect.record] : [],
    );
    expect(kept).to.have.length(1);
    expect(kept[0]).to.deep.nested.include({
      event: 'mode-decided',
      'facts.mode': 'paper',
      'facts.build': '0.1.0+abc',
    });
    expect(kept[0]?.facts).to.include({ configHash: 'c0ffee', safeMode: false });
    for (const reason of world.control?.reasons ?? []) expect(kept[0]?.facts.reasons).to.contain(reason);
    expect(world.logged('banner')[0]).to.include({ build: '0.1.0+abc', configHash: 'c0ffee' });
    const gauge = world.effects.findLast(
      effect => effect.type === 'metric' && effect.name === 'btcbot_live_reasons',
    );
    expect(gauge).to.include({ value: world.control?.reasons.length });
  });

  it('ends with the code of the worker that refuses its first start, and tries nothing twice', () => {
    const world = new World();
    const { incarnation } = world.threads.get('paper-exchange')!;
    world.feed({
      type: 'worker-start-failed',
      actor: 'paper-exchange',
      incarnation,
      reason: 'port in use',
      exitCode: 2,
    });
    world.settle();
    expect(world.exit).to.include({
      code: 2,
      forced: false,
      reason: 'paper-exchange did not start: port in use',
    });
    expect(world.deeds).to.deep.equal(['start paper-exchange', 'terminate paper-exchange', 'exit 2']);
  });

  it('asks a ledger that refuses to start to leave, and never terminates it', () => {
    const world = new World();
    world.manners.set('ledger', 'never-ready');
    world.settle();
    world.feed({
      type: 'worker-start-failed',
      actor: 'ledger',
      incarnation: 1,
      reason: 'owned',
      exitCode: 5,
    });
    world.settle();
    expect(world.deeds).to.deep.equal([
      'start paper-exchange',
      'start ledger',
      'drain ledger',
      'drain paper-exchange',
      'exit 5',
    ]);
  });

  it('gives a worker 15 s to become ready', () => {
    const world = new World();
    world.manners.set('market-data', 'never-ready');
    world.settle();
    world.pass(14_900);
    expect(world.exit).to.equal(null);
    world.pass(300);
    expect(world.exit).to.include({ code: 1, forced: false });
  });

  it('shows the state and every reason in the banner', () => {
    const world = new World(
      configOf({
        modeReasons: ['SAFE_MODE is true'],
        flags: { safeMode: true, killSwitch: true, dryRun: false },
      }),
    );
    const [banner] = world.logged('banner');
    expect(banner).to.include({ mode: 'paper', state: 'observe-only' });
    expect(banner?.reasons).to.include('SAFE_MODE is true');
  });
});

describe('the supervisor’s stop', () => {
  it('forbids new orders first, then stops in reverse, the ledger almost last, and ends with 0', () => {
    const world = new World().run();
    world.deeds.length = 0;
    world.feed({ type: 'signal', signal: 'SIGTERM' });
    expect(world.control).to.include({ maySubmit: false, state: 'cancel-only' });
    world.settle();
    expect(world.deeds).to.deep.equal([...REVERSED.map(actor => `drain ${actor}`), 'exit 0']);
  });

  it('pulls resting orders when told to cancel them', () => {
    const world = new World(configOf({ shutdownOpenOrders: 'cancel' })).run();
    world.feed({ type: 'signal', signal: 'SIGINT' });
    expect(world.control?.pull).to.equal('all');
  });

  it('says that resting orders stay when it must stop before the worker that cancels them is up', () => {
    const early = new World(configOf({ shutdownOpenOrders: 'cancel' }));
    early.feed({ type: 'signal', signal: 'SIGINT' });
    expect(early.logged('resting-orders-left')).to.have.length(1);
    const starting = new World(configOf({ shutdownOpenOrders: 'cancel' }));
    starting.manners.set('execution', 'never-ready');
    starting.settle();
    starting.feed({ type: 'signal', signal: 'SIGINT' });
    starting.pass(1_000);
    expect(starting.deeds).to.include('terminate execution');
    expect(starting.logged('resting-orders-left')).to.have.length(1);

    const running = new World(configOf({ shutdownOpenOrders: 'cancel' })).run();
    running.feed({ type: 'signal', signal: 'SIGINT' });
    expect(running.logged('resting-orders-left')).to.have.length(0);
  });

  it('says that resting orders may stay when the worker that was to cancel them ends before it has', () => {
    const stopping = (): World => {
      const world = new World(configOf({ shutdownOpenOrders: 'cancel' })).run();
      world.feed({
        type: 'status-reported',
        actor: 'execution',
        facts: { openOrders: [{ clientOrderId: 'bb-1' }] },
      });
      return world;
    };
    const left = { orders: 1, first: ['bb-1'] };
    const inDrain = stopping();
    inDrain.threads.get('execution')!.manner = 'never-drains';
    inDrain.feed({ type: 'signal', signal: 'SIGTERM' });
    inDrain.settle();
    expect(inDrain.deeds).to.include('drain execution');
    inDrain.crash('execution');
    expect(inDrain.logged('resting-orders-left')).to.have.length(1);
    expect(inDrain.logged('resting-orders-left')[0]).to.deep.include(left);

    const overdue = stopping();
    overdue.threads.get('execution')!.manner = 'never-drains';
    overdue.feed({ type: 'signal', signal: 'SIGTERM' });
    overdue.pass(9_000);
    expect(overdue.deeds).to.include('terminate execution');
    expect(overdue.logged('resting-orders-left')).to.have.length(1);

    const clean = stopping();
    clean.feed({ type: 'signal', signal: 'SIGTERM' });
    clean.pass(1_000);
    expect(clean.ended()).to.include({ code: 0 });
    expect(clean.logged('resting-orders-left')).to.have.length(0);
  });

  it('tells the figures of the run once more when everybody who counts has ended', () => {
    const world = new World().run();
    world.feed({ type: 'signal', signal: 'SIGTERM' });
    world.feed({ type: 'status-reported', actor: 'reconciliation', facts: { openOrders: 9 } });
    world.settle();
    expect(world.logged('run-figures').at(-1)).to.include({ openOrders: 9 });
  });

  it('ends at once with 4 at a second signal', () => {
    const world = new World().run();
    world.feed({ type: 'signal', signal: 'SIGTERM' });
    world.feed({ type: 'signal', signal: 'SIGINT' });
    expect(world.exit).to.include({ code: 4, forced: true });
  });

  for (const actor of ACTORS)
    it(`ends within 8 s with 0 although ${actor} does not drain`, () => {
      const world = new World().run();
      world.threads.get(actor)!.manner = 'never-drains';
      const from = world.monoMs;
      world.feed({ type: 'signal', signal: 'SIGTERM' });
      world.pass(9_000);
      expect(world.exit?.code).to.equal(0);
      expect(world.exit?.forced).to.equal(actor === 'ledger');
      expect(world.monoMs - from).to.be.at.most(8_000);
      expect(world.deeds.includes(`terminate ${actor}`)).to.equal(actor !== 'ledger');
    });

  it('ends by itself when the work is done', () => {
    const world = new World().run();
    world.feed({ type: 'work-finished', actor: 'paper-exchange', reason: 'the recording has ended' });
    world.settle();
    expect(world.exit).to.include({ code: 0, forced: false });
  });

  it('renews the lease while it stops, so that cancels can leave', () => {
    const world = new World();
    world.run();
    world.feed({ type: 'signal', signal: 'SIGTERM' });
    world.pass(1_500, true);
    expect(world.leaseUntilMonoMs).to.be.greaterThan(world.monoMs);
  });
});

describe('the supervisor’s answer to faults', () => {
  it('holds in the same step in which it sees a crash, and lets go when the worker is ready again', () => {
    const world = new World().run();
    world.crash('market-data', 0);
    expect(world.control).to.include({ maySubmit: false, state: 'cancel-only' });
    expect(keys(world)).to.deep.equal(['worker-down:market-data']);
    world.settle();
    expect(world.control?.maySubmit).to.equal(true);
  });

  const restartsWith: Readonly<Record<string, readonly string[]>> = {
    'paper-exchange': ['paper-exchange', 'market-data', 'reconciliation', 'execution', 'strategy'],
    ledger: ['ledger', 'reconciliation', 'execution', 'strategy'],
    telemetry: ['telemetry'],
    'market-data': ['market-data'],
    reconciliation: ['reconciliation', 'execution', 'strategy'],
    execution: ['execution', 'strategy'],
    strategy: ['strategy'],
  };
  for (const actor of ACTORS)
    it(`restarts after a crash of ${actor} exactly what relied on it, in order`, () => {
      const world = new World().run();
      world.deeds.length = 0;
      world.crash(actor);
      world.settle();
      const restarted = restartsWith[actor]!;
      expect(world.deeds).to.deep.equal([
        ...[...restarted.slice(1)].reverse().map(each => `drain ${each}`),
        ...restarted.map(each => `start ${each}`),
      ]);
      const needsProof = restarted.includes('reconciliation');
      expect(world.control?.maySubmit).to.equal(!needsProof);
      world.clear('reconciliation', 'starting');
      expect(world.control?.maySubmit).to.equal(true);
    });

  describe('of a worker that only looks on', () => {
    const children = childSpecs({ mode: 'paper', paperTwin: true });
    const withTwin = (): World => new World(configOf({ children }));
    const isDropped = (world: World): void => {
      expect(world.status.workers.twin?.status).to.equal('dropped');
      expect(world.logged('worker-dropped')).to.have.length(1);
      expect(degradations(world.status)).to.deep.equal([]);
      expect(world.control).to.include({ state: 'live', maySubmit: true });
      expect(keys(world)).to.deep.equal([]);
    };

    it('lets everybody start and trade before it, and drops it when it never becomes ready', () => {
      const world = withTwin();
      world.manners.set('twin', 'never-ready');
      world.run();
      expect(world.deeds.at(-1)).to.equal('start twin');
      expect(world.control?.maySubmit).to.equal(true);
      world.pass(START_WORKER_MS + 1_000);
      isDropped(world);
    });

    it('drops it when it crashes, without a hold, and does not start it again', () => {
      const world = withTwin().run();
      const epoch = world.control?.epoch;
      world.crash('twin');
      world.pass(10_000);
      isDropped(world);
      expect(world.control?.epoch).to.equal(epoch);
      expect(world.deeds.filter(deed => deed === 'start twin')).to.have.length(1);
      expect(world.exit).to.equal(null);
    });

    it('drops it when it gives no sign of life', () => {
      const world = withTwin().run();
      world.threads.get('twin')!.manner = 'mute';
      world.pass(4_000);
      expect(world.deeds).to.include('terminate twin');
      isDropped(world);
    });

    it('is named as dropped to a telemetry that was replaced, too', () => {
      const world = withTwin().run();
      world.crash('twin');
      world.effects.length = 0;
      world.crash('telemetry');
      world.settle();
      expect(
        world.effects.filter(effect => effect.type === 'metric' && effect.name === 'btcbot_worker_dropped'),
      ).to.have.length(1);
    });

    it('acts on nothing that it says', () => {
      const world = withTwin().run();
      world.want('twin', 'invariant');
      world.clear('twin', 'starting');
      world.feed({ type: 'work-finished', actor: 'twin', reason: 'why' });
      expect(world.control?.maySubmit).to.equal(true);
      expect(world.status.phase).to.equal('running');
    });

    it('stops it first, and stops as well when it is gone', () => {
      for (const gone of [false, true]) {
        const world = withTwin().run();
        if (gone) world.crash('twin');
        world.deeds.length = 0;
        world.feed({ type: 'signal', signal: 'SIGTERM' });
        world.pass(1_000);
        expect(world.deeds[0]).to.equal(gone ? 'drain strategy' : 'drain twin');
        expect(world.ended()).to.include({ code: 0, forced: false });
      }
    });
  });

  it('goes on trading without telemetry', () => {
    const world = new World().run();
    world.crash('telemetry');
    expect(world.control?.maySubmit).to.equal(true);
  });

  it('notices a worker that gives no sign of life within 3.1 s, and replaces it', () => {
    const world = new World().run();
    const thread = world.threads.get('strategy')!;
    thread.manner = 'mute';
    world.pass(1_600);
    expect(world.logged('worker-late')).to.have.length(1);
    expect(world.control?.maySubmit).to.equal(true);
    world.pass(1_500);
    expect(world.deeds).to.include('terminate strategy');
    expect(world.threads.get('strategy')?.incarnation).to.equal(2);
    expect(world.control?.maySubmit).to.equal(true);
    expect(world.logged('worker-crashed')).to.have.length(1);
  });

  it('only holds while the ledger gives no sign of life, and goes on when it does again', () => {
    const world = new World().run();
    const thread = world.threads.get('ledger')!;
    thread.manner = 'mute';
    world.pass(3_200);
    expect(world.control).to.include({ state: 'observe-only', maySubmit: false });
    expect(world.threads.get('ledger')).to.equal(thread);
    thread.manner = 'good';
    world.pass(100);
    expect(world.control?.maySubmit).to.equal(true);
  });

  it('does not take its own standing still for a sign of life of a ledger that gives none', () => {
    const world = new World().run();
    const thread = world.threads.get('ledger')!;
    thread.manner = 'mute';
    world.pass(3_200);
    expect(keys(world)).to.deep.equal(['ledger:ledger']);
    // The disk that the ledger waits for has kept the supervisor waiting, too.
    world.monoMs += 1_000;
    world.feed({ type: 'tick' });
    world.pass(200);
    expect(keys(world)).to.deep.equal(['ledger:ledger']);
    expect(world.logged('worker-on-time')).to.have.length(0);
    thread.manner = 'good';
    world.pass(100);
    expect(keys(world)).to.deep.equal([]);
  });

  it('latches at the fifth crash in 30 s, keeps everybody else up, and restarts it when an operator releases it', () => {
    const world = new World().run();
    for (let crash = 0; crash < 5; crash++) {
      world.pass(1_000);
      world.crash('strategy', 0);
      world.settle();
    }
    expect(world.status.workers.strategy?.status).to.equal('given-up');
    expect(keys(world)).to.include('restart-storm:strategy');
    expect(world.latched.map(hold => hold.key)).to.deep.equal(['restart-storm:strategy']);
    expect(world.control).to.include({ state: 'observe-only', maySubmit: false });
    world.pass(60_000);
    expect(world.threads.size).to.equal(ACTORS.length - 1);
    expect(world.threads.has('strategy')).to.equal(false);

    const answer = world.ask({
      type: 'safe-mode-off',
      acknowledgement: 'I_UNDERSTAND',
      key: 'restart-storm:strategy',
    });
    expect(answer.ok).to.equal(true);
    world.settle();
    expect(world.status.workers.strategy?.status).to.equal('up');
    expect(world.control?.maySubmit).to.equal(true);
    expect(world.latched).to.deep.equal([]);
  });

  it('has the account proven anew also by one that stayed down and was let go again', () => {
    for (const actor of ['reconciliation', 'ledger', 'paper-exchange'] as const) {
      const world = new World().run();
      for (let crash = 0; crash < 5; crash++) {
        world.pass(1_000);
        world.clear('reconciliation', 'starting');
        world.crash(actor);
        world.settle();
      }
      expect(world.status.workers[actor]?.status).to.equal('given-up');
      const key = `restart-storm:${actor}`;
      expect(world.ask({ type: 'safe-mode-off', acknowledgement: 'I_UNDERSTAND', key }).ok).to.equal(true);
      world.settle();
      expect(world.status.workers.strategy?.status, actor).to.equal('up');
      expect(keys(world), actor).to.deep.equal(['starting']);
      expect(world.control?.maySubmit, actor).to.equal(false);
      world.clear('reconciliation', 'starting');
      expect(world.control?.maySubmit, actor).to.equal(true);
    }
  });

  it('forgives crashes that are far enough apart', () => {
    const world = new World().run();
    for (let crash = 0; crash < 10; crash++) {
      world.pass(8_000);
      world.crash('strategy');
      world.settle();
    }
    expect(world.status.workers.strategy?.status).to.equal('up');
  });

  it('latches at once when a restart does not become ready', () => {
    for (const failure of ['refused', 'ended', 'silent'] as const) {
      const world = new World().run();
      world.manners.set('market-data', 'never-ready');
      world.crash('market-data');
      if (failure === 'refused')
        world.feed({
          type: 'worker-start-failed',
          actor: 'market-data',
          incarnation: 2,
          reason: 'no',
          exitCode: 1,
        });
      else if (failure === 'ended') world.crash('market-data');
      else world.pass(15_100);
      world.settle();
      expect(keys(world), failure).to.include('restart-storm:market-data');
      expect(world.exit, failure).to.equal(null);
      expect(world.threads.has('market-data'), failure).to.equal(false);
    }
  });

  it('ignores what an incarnation says that is gone', () => {
    const world = new World().run();
    world.crash('market-data');
    world.settle();
    world.feed({ type: 'worker-exited', actor: 'market-data', incarnation: 1, code: 1, error: null });
    world.feed({ type: 'worker-ready', actor: 'market-data', incarnation: 1 });
    expect(world.status.workers['market-data']).to.include({ status: 'up', incarnation: 2 });
  });

  it('blames nobody, and renews nothing, for the time it stood still itself', () => {
    const world = new World().run();
    world.pass(1_000);
    const lease = world.leaseUntilMonoMs;
    world.monoMs += 20_000;
    world.feed({ type: 'tick' });
    expect(world.leaseUntilMonoMs).to.equal(lease);
    expect(world.logged('supervisor-paused')).to.have.length(1);
    // A signal that waited meanwhile is read before the next tick.
    world.feed({ type: 'signal', signal: 'SIGUSR2' });
    expect(world.control?.maySubmit).to.equal(false);
    world.pass(200);
    expect(world.leaseUntilMonoMs).to.be.greaterThan(world.monoMs);
    expect(world.deeds.some(deed => deed.startsWith('terminate'))).to.equal(false);
  });
});

describe('the operator’s hand', () => {
  it('forces safe mode on SIGUSR2, once however often it is given, and tells everybody before the disk', () => {
    const world = new World().run();
    world.effects.length = 0;
    world.feed({ type: 'signal', signal: 'SIGUSR2' });
    const types = world.effects.map(effect => effect.type);
    expect(types.indexOf('broadcast')).to.equal(0);
    expect(types).to.include('latch');
    expect(types).to.include('record');
    const epoch = world.control?.epoch;
    world.feed({ type: 'signal', signal: 'SIGUSR2' });
    expect(world.control?.epoch).to.equal(epoch);
    expect(world.latched.map(hold => hold.key)).to.deep.equal(['operator']);
  });

  it('starts closed when a latch of an earlier run is there', () => {
    const latched = {
      key: 'operator',
      cause: 'operator',
      subject: '',
      detail: 'SIGUSR2',
      placedAtMs: 5,
    } as const;
    const world = new World(configOf({ restoredHolds: [latched] })).run();
    expect(world.control).to.include({ state: 'observe-only', maySubmit: false });
    expect(world.status.holds[0]).to.include({ key: 'operator', circuit: 'latched', releasedBy: 'operator' });
  });

  it('takes over the latches that the ledger kept, and nothing else from it', () => {
    const world = new World().run();
    world.feed({
      type: 'holds-restored',
      holds: [
        { key: 'loss-limit', cause: 'loss-limit', subject: '', detail: 'day', placedAtMs: 1 },
        { key: 'stale-data:BTCTRY', cause: 'stale-data', subject: 'BTCTRY', detail: 'old', placedAtMs: 1 },
      ],
    });
    expect(keys(world)).to.deep.equal(['loss-limit']);
    expect(
      world.effects.some(
        effect =>
          effect.type === 'record' &&
          effect.record.type === 'hold-placed' &&
          effect.record.hold.key === 'loss-limit',
      ),
    ).to.equal(false);
  });

  it('lets go of safe mode only with the words, and only in a clean state', () => {
    const world = new World().run();
    world.ask({ type: 'safe-mode-on', reason: 'test' });
    const off = (acknowledgement: string, key = 'operator') =>
      world.ask({ type: 'safe-mode-off', acknowledgement, key });
    expect(off('i_understand')).to.include({
      ok: false,
      message: 'refused: give the acknowledgement I_UNDERSTAND',
    });
    expect(world.control?.maySubmit).to.equal(false);
    world.want('execution', 'invariant', 'BTCTRY');
    expect(off('I_UNDERSTAND').message).to.contain('invariant:BTCTRY');
    expect(off('I_UNDERSTAND', 'invariant:BTCTRY').ok).to.equal(true);
    expect(world.control?.maySubmit).to.equal(false);
    expect(off('I_UNDERSTAND').ok).to.equal(true);
    expect(world.control?.maySubmit).to.equal(true);
    expect(off('I_UNDERSTAND')).to.deep.equal({ ok: false, message: 'there is no hold operator' });
  });

  it('refuses to release by hand what proof releases', () => {
    const world = new World().run();
    world.want('execution', 'unknown-outcome', 'BTCTRY');
    const answer = world.ask({
      type: 'safe-mode-off',
      acknowledgement: 'I_UNDERSTAND',
      key: 'unknown-outcome:BTCTRY',
    });
    expect(answer.ok).to.equal(false);
    expect(answer.message).to.contain('it ends by proof that it has passed');
    expect(keys(world)).to.include('unknown-outcome:BTCTRY');
  });

  it('says what else holds to an operator who releases what is not there', () => {
    const world = new World(configOf({ flags: { safeMode: true, killSwitch: false, dryRun: false } })).run();
    const off = (): string =>
      world.ask({ type: 'safe-mode-off', acknowledgement: 'I_UNDERSTAND', key: 'operator' }).message;
    expect(off()).to.equal(
      'there is no hold operator; SAFE_MODE is true, which no command ends: set SAFE_MODE=false and restart',
    );
    world.want('reconciliation', 'foreign-order', '17');
    expect(off()).to.contain('these wait for an operator, each by --hold and its key: foreign-order:17');
  });

  it('passes cancel-all on under the kill switch, and refuses it in safe mode', () => {
    const killed = new World(configOf({ flags: { safeMode: false, killSwitch: true, dryRun: false } })).run();
    expect(killed.ask({ type: 'cancel-all', reason: 'test' }).ok).to.equal(true);
    expect(killed.effects.some(effect => effect.type === 'cancel-all')).to.equal(true);
    // The ledger keeps it for an execution that ends before it heard of it.
    const kept = killed.effects.find(
      effect => effect.type === 'record' && effect.record.type === 'cancel-all-ordered',
    );
    expect(kept).to.deep.nested.include({ 'record.reason': 'test', 'record.atMs': killed.now.wallMs });
    const safe = new World(configOf({ flags: { safeMode: true, killSwitch: true, dryRun: false } })).run();
    expect(safe.ask({ type: 'cancel-all', reason: 'test' }).message).to.contain('observe-only');
    expect(safe.effects.some(effect => effect.type === 'cancel-all')).to.equal(false);
  });

  it('does not say that a cancel-all is on its way while execution is down', () => {
    const world = new World().run();
    world.crash('execution');
    expect(world.status.workers.execution?.status).to.equal('down');
    const answered = world.ask({ type: 'cancel-all', reason: 'test' });
    expect(answered.ok).to.equal(false);
    expect(answered.message).to.contain('execution is down');
    expect(world.effects.some(effect => effect.type === 'cancel-all')).to.equal(false);
    world.pass(1_000);
    expect(world.ask({ type: 'cancel-all', reason: 'test' }).ok).to.equal(true);
  });

  it('ignores every other signal', () => {
    const world = new World().run();
    world.feed({ type: 'signal', signal: 'SIGHUP' });
    world.feed({ type: 'signal', signal: 'SIGUSR1' });
    expect(world.control?.maySubmit).to.equal(true);
    expect(world.exit).to.equal(null);
  });
});

describe('a kill drill', () => {
  /**
   * Both report what they hold, under the control state that they have seen, and reconciliation under which it asked the
   * venue for its lists: the newest unless told otherwise.
   */
  const report = (
    world: World,
    own: readonly string[],
    atVenue: number,
    controlEpoch = world.state.control.epoch,
    listedEpoch = controlEpoch,
  ): void => {
    world.feed({
      type: 'status-reported',
      actor: 'execution',
      facts: { controlEpoch, openOrders: own.map(clientOrderId => ({ clientOrderId })) },
    });
    world.feed({
      type: 'status-reported',
      actor: 'reconciliation',
      facts: { controlEpoch, listedEpoch, openOrders: atVenue },
    });
  };
  const begin = (world: World): void =>
    world.feed({ type: 'command', request: 99, command: { type: 'drill-kill' } });

  it('forbids orders, cancels all, waits until execution and then the venue show none, and trades on', () => {
    const world = new World().run();
    report(world, ['bb-1'], 1);
    begin(world);
    expect(world.control).to.include({ state: 'killed', maySubmit: false });
    expect(world.effects.filter(effect => effect.type === 'cancel-all')).to.have.length(1);
    report(world, ['bb-1'], 0);
    expect(world.answers.has(99)).to.equal(false);
    world.pass(500);
    report(world, [], 1);
    report(world, [], 0);
    expect(world.answers.get(99)).to.deep.include({ ok: true });
    expect(world.answers.get(99)?.drill).to.include({ passed: true, verifiedZeroMs: 500 });
    expect(world.control).to.include({ state: 'live', maySubmit: true });
    expect(world.effects.some(effect => effect.type === 'save-drill' && effect.record.passed)).to.equal(true);
  });

  it('believes no report that was made before its order was heard', () => {
    const world = new World().run();
    const before = world.state.control.epoch;
    begin(world);
    report(world, [], 0, before);
    expect(world.answers.has(99)).to.equal(false);
    // One of them has heard, the other has not: an order that is not in its report yet may be on its way.
    const killed = world.state.control.epoch;
    expect(killed).to.be.greaterThan(before);
    for (const [execution, reconciliation] of [
      [killed, before],
      [before, killed],
    ] as const) {
      world.feed({
        type: 'status-reported',
        actor: 'execution',
        facts: {
          controlEpoch: execution,
          openOrders: execution === killed ? [{ clientOrderId: 'bb-1' }] : [],
        },
      });
      world.feed({
        type: 'status-reported',
        actor: 'reconciliation',
        facts: { controlEpoch: reconciliation, listedEpoch: reconciliation, openOrders: 0 },
      });
      expect(world.answers.has(99)).to.equal(false);
    }
    // Nor one that does not say what it had seen.
    world.feed({ type: 'status-reported', actor: 'execution', facts: { openOrders: [] } });
    world.feed({ type: 'status-reported', actor: 'reconciliation', facts: { openOrders: 0 } });
    expect(world.answers.has(99)).to.equal(false);
    report(world, [], 0, killed, before);
    expect(world.answers.has(99), 'the venue has not been asked since').to.equal(false);
    report(world, [], 0);
    expect(world.answers.get(99)?.drill).to.include({ passed: true });
  });

  it('believes a report under a later control state, which forbids no less', () => {
    const world = new World().run();
    begin(world);
    world.want('market-data', 'stale-data', 'BTCTRY');
    report(world, [], 0);
    expect(world.answers.get(99)?.drill).to.include({ passed: true });
  });

  it('has failed when nobody reports after its order, and says who did not', () => {
    const world = new World().run();
    const before = world.state.control.epoch;
    report(world, [], 0);
    begin(world);
    report(world, [], 0, before);
    world.pass(15_000);
    const answer = world.answers.get(99);
    expect(answer?.drill).to.deep.include({ passed: false, verifiedZeroMs: null, left: [] });
    expect(answer?.message).to.contain('nothing was heard of execution and reconciliation');
    begin(world);
    report(world, [], 0, world.state.control.epoch, before);
    world.pass(15_000);
    expect(world.answers.get(99)?.message).to.contain('the exchange has not answered');
    expect(world.answers.get(99)?.drill).to.include({ passed: false });
  });

  it('says that no cancel was rehearsed when no order was open', () => {
    const quiet = new World().run();
    report(quiet, [], 0);
    begin(quiet);
    report(quiet, [], 0);
    expect(quiet.answers.get(99)?.message).to.contain('none was open');
    const busy = new World().run();
    report(busy, ['bb-1'], 1);
    begin(busy);
    report(busy, [], 0);
    expect(busy.answers.get(99)?.message).not.to.contain('none was open');
  });

  it('has failed when orders are left after 15 s, and says which', () => {
    const world = new World().run();
    begin(world);
    report(world, ['bb-7'], 1);
    world.pass(15_100);
    expect(world.answers.get(99)).to.deep.include({ ok: false });
    expect(world.answers.get(99)?.drill).to.deep.include({ passed: false, left: ['bb-7'] });
    expect(world.control?.maySubmit).to.equal(true);
  });

  it('is refused with real money, twice at once, and while the bot is not trading', () => {
    const refusal = (world: World): string => {
      begin(world);
      return world.answers.get(99)?.message ?? '';
    };
    expect(refusal(new World(configOf({ mode: 'live', modeReasons: [] })).run())).to.contain(
      'never with real money',
    );
    const held = new World().run();
    held.want('execution', 'loss-limit');
    expect(refusal(held)).to.contain('must be trading');
    const twice = new World().run();
    begin(twice);
    expect(refusal(twice)).to.contain('running already');
  });
});

describe('an input that a worker crashes on', () => {
  const crashOn = (world: World, actor: ActorName, inWork: string | null): void => {
    const { incarnation } = world.threads.get(actor)!;
    world.threads.delete(actor);
    world.feed({ type: 'worker-exited', actor, incarnation, code: 1, error: null, inWork });
    world.settle();
  };
  const quarantined = (world: World): readonly (readonly string[])[] =>
    world.effects.flatMap(effect =>
      effect.type === 'start-worker' && effect.actor === 'market-data' ? [effect.quarantined] : [],
    );

  it('is left out from its third crash on, by every later incarnation, and nobody is latched for it', () => {
    const world = new World().run();
    for (let count = 0; count < 3; count++) crashOn(world, 'market-data', 'public-frame:aa');
    expect(quarantined(world)).to.deep.equal([[], [], [], ['public-frame:aa']]);
    expect(world.logged('input-quarantined')).to.have.length(1);
    expect(world.status.workers['market-data']).to.include({ status: 'up', restarts: 3 });
    expect(keys(world)).to.deep.equal([]);
    world.pass(60_000);
    crashOn(world, 'market-data', null);
    expect(quarantined(world).at(-1)).to.deep.equal(['public-frame:aa']);
    const audit = world.effects.find(
      effect =>
        effect.type === 'record' &&
        effect.record.type === 'audit' &&
        effect.record.event === 'input-quarantined',
    );
    expect(audit).to.not.equal(undefined);
  });

  const kept = (world: World): readonly QuarantinedInput[] | undefined =>
    world.effects.flatMap(effect => (effect.type === 'save-quarantine' ? [effect.inputs] : [])).at(-1);

  it('is kept for the next start, which leaves it out from the beginning', () => {
    const world = new World().run();
    for (let count = 0; count < 3; count++) crashOn(world, 'market-data', 'public-frame:aa');
    expect(kept(world)).to.deep.equal([{ actor: 'market-data', input: 'public-frame:aa' }]);
    const next = new World(
      configOf({ quarantined: [...(kept(world) ?? []), { actor: 'execution', input: 'reconciliation:bb' }] }),
    ).run();
    expect(quarantined(next)).to.deep.equal([['public-frame:aa']]);
    for (let count = 0; count < 3; count++) {
      crashOn(next, 'market-data', 'public-frame:cc');
      next.pass(20_000);
    }
    expect(kept(next)).to.have.deep.members([
      { actor: 'market-data', input: 'public-frame:aa' },
      { actor: 'market-data', input: 'public-frame:cc' },
      { actor: 'execution', input: 'reconciliation:bb' },
    ]);
  });

  it('may come to the next incarnation once an operator has released the hold that stands for it, and no other hold', () => {
    const release = (world: World, key: string): void => {
      expect(world.ask({ type: 'safe-mode-off', acknowledgement: 'I_UNDERSTAND', key }).ok).to.equal(true);
    };
    const inputs = [
      { actor: 'ledger', input: 'execution:aa' },
      { actor: 'market-data', input: 'public-frame:aa' },
    ] as const;
    const world = new World(configOf({ quarantined: inputs })).run();
    world.want('ledger', 'invariant', 'poison:ledger');
    world.want('reconciliation', 'invariant', 'account');
    release(world, 'invariant:account');
    expect(kept(world)).to.equal(undefined);
    release(world, 'invariant:poison:ledger');
    expect(kept(world)).to.deep.equal([inputs[1]]);
    expect(world.logged('quarantine-ended')).to.have.length(1);
    // Market data is left out without a hold: the same key ends it all the same, once.
    release(world, 'invariant:poison:market-data');
    expect(kept(world)).to.deep.equal([]);
    const again = world.ask({
      type: 'safe-mode-off',
      acknowledgement: 'I_UNDERSTAND',
      key: 'invariant:poison:market-data',
    });
    expect(again).to.deep.include({ ok: false, message: 'there is no hold invariant:poison:market-data' });
  });

  it('is told from others: crashes on different inputs, or on none, quarantine nothing and use the budget up', () => {
    const world = new World().run();
    for (const input of ['a:1', 'a:2', null, 'a:1', 'a:3']) crashOn(world, 'market-data', input);
    expect(world.logged('input-quarantined')).to.deep.equal([]);
    expect(keys(world)).to.include('restart-storm:market-data');
  });

  it('may come before the new worker is ready: that is no failed start', () => {
    const world = new World().run();
    world.manners.set('market-data', 'never-ready');
    crashOn(world, 'market-data', 'public-frame:aa');
    crashOn(world, 'market-data', 'public-frame:aa');
    world.manners.set('market-data', 'good');
    crashOn(world, 'market-data', 'public-frame:aa');
    expect(world.status.workers['market-data']?.status).to.equal('up');
    expect(quarantined(world).at(-1)).to.deep.equal(['public-frame:aa']);
    // Without an input in work it still is one.
    const other = new World().run();
    other.manners.set('market-data', 'never-ready');
    crashOn(other, 'market-data', null);
    crashOn(other, 'market-data', null);
    expect(keys(other)).to.include('restart-storm:market-data');
  });
});

describe('a canary run', () => {
  const canary = (withinMs = 60_000): World =>
    new World(
      configOf({ mode: 'live', modeReasons: [], shutdownOpenOrders: 'cancel', canary: { withinMs } }),
    );

  it('ends at its first hold, of whatever cause, and pulls what rests where it may', () => {
    for (const cause of HOLD_CAUSES.filter(each => each !== 'starting')) {
      const world = canary().run();
      expect(world.control?.maySubmit).to.equal(true);
      world.want('execution', cause, CAUSES[cause].perSymbol ? 'BTCTRY' : '');
      expect(world.status.phase, cause).to.equal('stopping');
      expect(world.control).to.include({ maySubmit: false });
      expect(world.control?.pull, cause).to.equal(world.control?.mayCancel === true ? 'all' : 'none');
      world.settle();
      expect(world.ended(), cause).to.deep.include({ code: 1, forced: false });
    }
  });

  it('takes the first signal after it has begun to end for the same order, and only the second for force', () => {
    const world = canary().run();
    for (const [, thread] of world.threads) thread.manner = 'never-drains';
    world.want('execution', 'unknown-outcome', 'BTCTRY');
    world.feed({ type: 'signal', signal: 'SIGTERM' });
    expect(world.ended()).to.equal(null);
    world.feed({ type: 'signal', signal: 'SIGTERM' });
    expect(world.ended()).to.deep.include({ code: 4, forced: true });
  });

  it('is not ended by what comes and goes before it may trade', () => {
    const world = canary();
    world.settle();
    world.want('market-data', 'book-untrusted', 'BTCTRY');
    world.clear('market-data', 'book-untrusted', 'BTCTRY');
    world.pass(5_000);
    world.clear('reconciliation', 'starting');
    expect(world.control?.maySubmit).to.equal(true);
    expect(world.status.phase).to.equal('running');
  });

  it('ends when its time is over, also if it never may trade', () => {
    const world = canary(2_000);
    world.settle();
    world.pass(2_200);
    expect(world.ended()).to.deep.include({ code: 1, forced: false });
  });
});

describe('the word that the account is proven', () => {
  it('counts from a reconciliation that lives, and from nobody else', () => {
    const world = new World().run();
    world.crash('paper-exchange');
    expect(world.status.workers.reconciliation?.status).to.equal('draining');
    world.clear('reconciliation', 'starting');
    world.settle();
    world.clear('execution', 'starting');
    world.clear('reconciliation', 'starting', 'workers');
    expect(keys(world)).to.deep.equal(['starting']);
    world.clear('reconciliation', 'starting');
    expect(keys(world)).to.deep.equal([]);
  });
});

describe('the supervisor’s breaker', () => {
  it('half-opens a stale book when its detector says so, and closes it after a quiet trial', () => {
    const world = new World().run();
    world.want('market-data', 'stale-data', 'BTCTRY');
    expect(world.control).to.include({ state: 'cancel-only', maySubmit: false });
    expect(world.control?.pull).to.deep.equal(['BTCTRY']);
    world.clear('market-data', 'stale-data', 'BTCTRY');
    expect(world.status.holds[0]?.circuit).to.equal('half-open');
    expect(world.control?.maySubmit).to.equal(false);
    world.pass(1_900);
    expect(world.control?.maySubmit).to.equal(false);
    world.pass(200);
    expect(world.control?.maySubmit).to.equal(true);
  });

  it('adds the replies 429 of all workers up: the third within a minute stops orders, and a calm minute begins a trial', () => {
    const world = new World().run();
    const reply = (actor: ActorName): void =>
      world.feed({ type: 'throttled', actor, request: 'GET /api/v2/server/time' });
    reply('market-data');
    world.pass(61_000);
    reply('execution');
    reply('reconciliation');
    expect(keys(world)).to.deep.equal([]);
    world.pass(30_000);
    reply('market-data');
    expect(keys(world)).to.deep.equal(['rest-429:venue']);
    expect(world.control).to.include({ state: 'paused', maySubmit: false });
    expect(world.status.holds[0]?.detail).to.contain('GET /api/v2/server/time of market-data');
    world.pass(29_000);
    expect(world.status.holds[0]?.circuit).to.equal('open');
    world.pass(2_000);
    expect(world.status.holds[0]?.circuit).to.equal('half-open');
    reply('execution');
    expect(keys(world)).to.deep.equal(['rest-429:venue']);
    world.pass(6_000);
    expect(keys(world)).to.deep.equal([]);
  });

  it('does not let a replaced worker take the count of its replies with it', () => {
    const world = new World().run();
    for (const actor of ['reconciliation', 'execution'] as const)
      world.feed({ type: 'throttled', actor, request: 'GET /api/v2/server/time' });
    world.crash('reconciliation');
    world.settle();
    world.feed({ type: 'throttled', actor: 'reconciliation', request: 'GET /api/v2/server/time' });
    expect(keys(world)).to.include('rest-429:venue');
    world.crash('reconciliation');
    world.settle();
    world.pass(1_000);
    expect(keys(world)).to.include('rest-429:venue');
  });

  it('reports every change of a circuit as a number per cause', () => {
    const world = new World().run();
    const value = (cause: string): number | undefined =>
      world.effects
        .flatMap(effect =>
          effect.type === 'metric' &&
          effect.name === 'circuit_breaker_state' &&
          effect.labels?.cause === cause
            ? [effect.value]
            : [],
        )
        .at(-1);
    expect(value('stale-data')).to.equal(0);
    world.want('market-data', 'stale-data', 'BTCTRY');
    expect(value('stale-data')).to.equal(2);
    world.clear('market-data', 'stale-data', 'BTCTRY');
    expect(value('stale-data')).to.equal(1);
    world.pass(2_100);
    expect(value('stale-data')).to.equal(0);
    world.want('execution', 'loss-limit');
    expect(value('loss-limit')).to.equal(3);
    expect(value('rest-429')).to.equal(0);
  });
});

describe('the supervisor in any history', () => {
  type Act =
    | { readonly type: 'crash' | 'mute' | 'heal'; readonly actor: ActorName }
    | { readonly type: 'manner'; readonly actor: ActorName; readonly manner: Manner }
    | {
        readonly type: 'want' | 'clear';
        readonly cause: (typeof HOLD_CAUSES)[number];
        readonly subject: string;
      }
    | { readonly type: 'pass'; readonly ms: number; readonly settle: boolean }
    | { readonly type: 'freeze'; readonly ms: number }
    | { readonly type: 'signal'; readonly signal: string }
    | { readonly type: 'release'; readonly key: string }
    | { readonly type: 'settle' };
  const actor = fc.constantFrom(...ACTORS);
  const cause = fc.constantFrom(...HOLD_CAUSES);
  const subject = fc.constantFrom('', 'BTCTRY');
  const act: fc.Arbitrary<Act> = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constantFrom('crash' as const, 'mute' as const, 'heal' as const),
        actor,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('manner' as const),
        actor,
        manner: fc.constantFrom<Manner>('good', 'never-ready', 'never-drains', 'mute'),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ type: fc.constantFrom('want' as const, 'clear' as const), cause, subject }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('pass' as const),
        ms: fc.integer({ min: 50, max: 4_000 }),
        settle: fc.boolean(),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('freeze' as const),
        ms: fc.integer({ min: 100, max: 20_000 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Act>(
        { type: 'signal', signal: 'SIGUSR2' },
        { type: 'signal', signal: 'SIGHUP' },
      ),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('release' as const),
        key: fc.tuple(cause, subject).map(([name, on]) => holdKey(name, on)),
      }),
    },
    { weight: 4, arbitrary: fc.constant<Act>({ type: 'settle' }) },
  );

  const play = (world: World, each: Act): void => {
    switch (each.type) {
      case 'crash':
        world.crash(each.actor);
        return;
      case 'mute':
      case 'heal': {
        const thread = world.threads.get(each.actor);
        if (thread?.ready === true) thread.manner = each.type === 'mute' ? 'mute' : 'good';
        return;
      }
      case 'manner':
        world.manners.set(each.actor, each.manner);
        return;
      case 'want':
        world.want('execution', each.cause, each.subject);
        return;
      case 'clear':
        // A reconciliation that is not up has nothing to say.
        if (each.cause !== 'starting') world.clear('execution', each.cause, each.subject);
        else if (world.threads.get('reconciliation')?.ready === true)
          world.clear('reconciliation', each.cause, each.subject);
        return;
      case 'pass':
        world.pass(each.ms, each.settle);
        return;
      case 'freeze':
        world.monoMs += each.ms;
        world.feed({ type: 'tick' });
        return;
      case 'signal':
        world.feed({ type: 'signal', signal: each.signal });
        return;
      case 'release':
        world.ask({ type: 'safe-mode-off', acknowledgement: 'I_UNDERSTAND', key: each.key });
        return;
      case 'settle':
        world.settle();
        return;
    }
  };

  const check = (world: World, heldBefore: readonly string[], did: Act): void => {
    const held = keys(world);
    if (world.control?.maySubmit === true) {
      // Whoever may lose money by being absent is there, and nothing forbids it.
      for (const needed of ['ledger', 'market-data', 'reconciliation', 'execution', 'strategy'] as const)
        expect(world.status.workers[needed]?.status, needed).to.be.oneOf(['up', 'starting', 'draining']);
      for (const hold of world.status.holds)
        expect(CAUSES[hold.cause].perSymbol && hold.subject === 'BTCTRY', hold.key).to.equal(true);
      expect(world.control.blockedSymbols).to.not.include('BTCTRY');
    }
    expect(world.control?.holds.map(hold => hold.key)).to.deep.equal(held);
    // A latch ends only by the operator's release of exactly this key.
    for (const key of heldBefore) {
      const kind = HOLD_CAUSES.find(name => key === name || key.startsWith(`${name}:`))!;
      if (CAUSES[kind].releasedBy === 'operator' && !held.includes(key))
        expect(did).to.deep.equal({ type: 'release', key });
    }
    for (const hold of world.status.holds)
      if (CAUSES[hold.cause].survivesRestart)
        expect(world.latched.map(each => each.key)).to.include(hold.key);
  };

  it('never lets an order through that anything forbids, and always ends when told to', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 40 }), fc.boolean(), (acts, calmStart) => {
        const world = new World();
        if (calmStart) world.run();
        for (const each of acts) {
          if (world.exit !== null) break;
          const before = keys(world);
          play(world, each);
          check(world, before, each);
        }
        if (world.exit !== null) {
          // Only a first start that failed ends the bot by itself.
          expect(calmStart).to.equal(false);
          return;
        }
        const from = world.monoMs;
        const starting = world.status.phase === 'stopping';
        world.feed({ type: 'signal', signal: 'SIGTERM' });
        expect(world.control?.maySubmit).to.equal(false);
        world.pass(9_000);
        const end = world.ended();
        expect(end).to.not.equal(null);
        expect(world.monoMs - from).to.be.at.most(8_050);
        if (!starting) expect(end?.code).to.equal(0);
      }),
      { numRuns: runs(600) },
    );
  });
});
