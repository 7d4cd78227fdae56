import { expect } from 'chai';
import fc from 'fast-check';
import {
  continueReadiness,
  countReadiness,
  DRILL_MAX_AGE_MS,
  type DrillRecord,
  newReadiness,
  READINESS_MAX_AGE_MS,
  type ReadinessRecord,
  readinessRefusals,
} from '#src/domain/readiness.js';
import { type ControlState, type Hold, type HoldCause, holdKey } from '#src/domain/safety.js';
import { tradingControl } from '#src/domain/trading-state.js';
import { runs } from '../runs.js';
import { configOf, World } from './supervisor-world.js';

const START = 1_800_000_000_000;
const hold = (cause: HoldCause, subject = ''): Hold => ({
  key: holdKey(cause, subject),
  cause,
  subject,
  detail: 'why',
  placedAtMs: 1,
});
const control = (holds: readonly Hold[] = [], mode: ControlState['mode'] = 'dry-run'): ControlState =>
  tradingControl(
    {
      mode,
      safeMode: false,
      killSwitch: false,
      dryRun: true,
      modeReasons: ['x'],
      symbols: ['BTCTRY', 'ETHTRY'],
      holds,
      stopping: null,
    },
    1,
  );
/** Seconds of the given states, one after the other. */
const count = (states: readonly ControlState[], stepMs = 1_000): ReadinessRecord => {
  let record = newReadiness('b', 'c', START);
  let at = START;
  for (const state of states) {
    at += stepMs;
    record = countReadiness(record, state, at);
  }
  return record;
};
const times = (state: ControlState, seconds: number): readonly ControlState[] => Array(seconds).fill(state);

describe('evidence of a healthy dry run', () => {
  it('grows by the time in which nothing is held', () => {
    expect(count(times(control(), 61)).healthyMs).to.equal(60_000);
  });

  it('stops growing while a passing hold stands, and keeps what it has', () => {
    const record = count([
      ...times(control(), 31),
      ...times(control([hold('stale-data', 'BTCTRY')]), 30),
      ...times(control(), 31),
    ]);
    expect(record.healthyMs).to.equal(60_000);
    expect(record.healthyAtEnd).to.equal(true);
  });

  for (const cause of [
    'operator',
    'invariant',
    'auth',
    'loss-limit',
    'restart-storm',
    'foreign-order',
    'worker-down',
    'ledger',
  ] as const)
    it(`is gone after a hold ${cause}`, () => {
      const record = count([...times(control(), 100), control([hold(cause)]), ...times(control(), 11)]);
      expect(record.healthyMs).to.equal(10_000);
      expect(record.incident).to.contain(cause);
    });

  it('does not grow in another mode, under a flag or in a gap', () => {
    expect(count(times(control([], 'paper'), 60)).healthyMs).to.equal(0);
    expect(count(times(control([], 'live'), 60)).healthyMs).to.equal(0);
    const safe = { ...control(), state: 'observe-only', maySubmit: false } as const;
    expect(count(times(safe, 60)).healthyMs).to.equal(0);
    expect(count(times(control(), 60), 6_000).healthyMs).to.equal(0);
  });

  it('does not live on a few healthy seconds a day', () => {
    const DAY_MS = 86_400_000;
    const wanted = { build: 'b', configHash: 'c', minMinutes: 30 };
    const drillAt = (atMs: number): DrillRecord => ({
      build: 'b',
      atMs,
      passed: true,
      verifiedZeroMs: 900,
      left: [],
    });
    /** A dry run of so many seconds that begins then. */
    const dryRun = (record: ReadinessRecord | null, atMs: number, seconds: number): ReadinessRecord => {
      let run = continueReadiness(record, 'b', 'c', atMs);
      for (let second = 1; second <= seconds; second++)
        run = countReadiness(run, control(), atMs + second * 1_000);
      return run;
    };
    const refusals = (record: ReadinessRecord): readonly string[] =>
      readinessRefusals(record, drillAt(record.untilMs), { ...wanted, nowMs: record.untilMs + 60_000 });
    let record = dryRun(null, START, 1_801);
    expect(refusals(record)).to.deep.equal([]);
    // The same day what was gathered goes on counting.
    record = dryRun(record, START + DAY_MS / 2, 10);
    expect(refusals(record)).to.deep.equal([]);
    for (let day = 1; day <= 3; day++) record = dryRun(record, START + day * DAY_MS, 10);
    expect(refusals(record).join()).to.contain('healthy for 0.');
    // A long dry run that is started again keeps its last day.
    const long = dryRun(dryRun(null, START, (3 * DAY_MS) / 1_000), START + 3 * DAY_MS + 1_000, 10);
    expect(refusals(long)).to.deep.equal([]);
    expect(long.healthyMs).to.be.at.most(DAY_MS + 10_000);
  });

  it('is never more than the time that has passed', () => {
    const state = fc.constantFrom(control(), control([hold('stale-data')]), control([hold('invariant')]));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(state, fc.integer({ min: -2_000, max: 10_000 })), { maxLength: 50 }),
        steps => {
          let record = newReadiness('b', 'c', START);
          let at = START;
          let passed = 0;
          for (const [next, step] of steps) {
            at = Math.max(START, at + step);
            passed += Math.max(0, step);
            record = countReadiness(record, next, at);
            expect(record.healthyMs).to.be.at.least(0);
            expect(record.healthyMs).to.be.at.most(passed);
          }
        },
      ),
      { numRuns: runs(300) },
    );
  });

  it('goes on in the next run of the same build and configuration, and in no other', () => {
    const record = count(times(control(), 61));
    const again = (over: Partial<ReadinessRecord>, nowMs = record.untilMs + 60_000) =>
      continueReadiness({ ...record, ...over }, 'b', 'c', nowMs).healthyMs;
    expect(again({})).to.equal(60_000);
    expect(again({ build: 'other' })).to.equal(0);
    expect(again({ configHash: 'other' })).to.equal(0);
    expect(again({}, record.untilMs + READINESS_MAX_AGE_MS + 1)).to.equal(0);
    expect(again({}, record.untilMs - 1)).to.equal(0);
    expect(continueReadiness(null, 'b', 'c', START).healthyMs).to.equal(0);
  });
});

describe('the demand for evidence', () => {
  const good: ReadinessRecord = {
    build: 'b',
    configHash: 'c',
    healthyMs: 31 * 60_000,
    sinceMs: START - 40 * 60_000,
    untilMs: START,
    healthyAtEnd: true,
    incident: '',
  };
  const wanted = { build: 'b', configHash: 'c', minMinutes: 30, nowMs: START + 60_000 };
  const drill: DrillRecord = { build: 'b', atMs: START, passed: true, verifiedZeroMs: 900, left: [] };

  it('is met by enough, recent, healthy time of the same build and configuration', () => {
    expect(readinessRefusals(good, drill, wanted)).to.deep.equal([]);
  });

  const table: readonly [words: string, record: ReadinessRecord | null, refusal: string][] = [
    ['nothing', null, 'no evidence'],
    ['another build', { ...good, build: 'x' }, 'another build'],
    ['another configuration', { ...good, configHash: 'x' }, 'another configuration'],
    ['too little time', { ...good, healthyMs: 29 * 60_000 }, '29.0 of 30 minutes'],
    [
      'too little time since an incident',
      { ...good, healthyMs: 0, incident: 'auth: 401' },
      'since the incident auth: 401',
    ],
    ['an unhealthy end', { ...good, healthyAtEnd: false }, 'did not end healthily'],
    ['old evidence', { ...good, untilMs: START - READINESS_MAX_AGE_MS }, '24 hours old'],
    ['evidence from the future', { ...good, untilMs: START + 120_000 }, 'from the future'],
  ];
  for (const [words, record, refusal] of table)
    it(`is not met by ${words}`, () => {
      expect(readinessRefusals(record, drill, wanted).join('; ')).to.contain(refusal);
    });

  const drills: readonly [words: string, drill: DrillRecord | null, refusal: string][] = [
    ['without a kill drill', null, 'no kill drill is recorded'],
    ['after a kill drill that failed', { ...drill, passed: false }, 'the last kill drill failed'],
    ['after a drill of another build', { ...drill, build: 'x' }, 'held with another build'],
    [
      'after an old drill',
      { ...drill, atMs: wanted.nowMs - DRILL_MAX_AGE_MS - 1 },
      '30 days old, more than 30',
    ],
    ['after a drill from the future', { ...drill, atMs: wanted.nowMs + 1 }, 'from the future'],
  ];
  for (const [words, held, refusal] of drills)
    it(`is not met ${words}`, () => {
      expect(readinessRefusals(good, held, wanted)).to.have.length(1);
      expect(readinessRefusals(good, held, wanted)[0]).to.contain(refusal);
    });

  it('asks for no drill where less than the full time is asked for, but hears of one that failed', () => {
    const rehearsal = { ...wanted, minMinutes: 1 };
    expect(readinessRefusals(good, null, rehearsal)).to.deep.equal([]);
    expect(readinessRefusals(good, { ...drill, atMs: 0 }, rehearsal)).to.deep.equal([]);
    expect(readinessRefusals(good, { ...drill, passed: false }, rehearsal)).to.deep.equal([
      'the last kill drill failed',
    ]);
    expect(readinessRefusals(null, { ...drill, passed: false }, rehearsal)).to.have.length(2);
  });

  it('can be waived where the settings allow zero minutes', () => {
    expect(readinessRefusals(null, null, { ...wanted, minMinutes: 0 })).to.deep.equal([]);
  });
});

describe('the supervisor gathering evidence', () => {
  const dryRun = () =>
    new World(
      configOf({
        mode: 'dry-run',
        flags: { safeMode: false, killSwitch: false, dryRun: true },
        modeReasons: ['DRY_RUN is true'],
        readiness: newReadiness('b', 'c', 1_700_000_001_000),
      }),
    ).run();
  const saved = (world: World): readonly ReadinessRecord[] =>
    world.effects.flatMap(effect => (effect.type === 'save-readiness' ? [effect.record] : []));

  it('writes it down every ten seconds and at the end', () => {
    const world = dryRun();
    world.pass(60_000);
    expect(saved(world).length).to.be.within(5, 7);
    expect(saved(world).at(-1)?.healthyMs).to.be.within(45_000, 60_000);
    world.feed({ type: 'signal', signal: 'SIGTERM' });
    expect(saved(world).at(-1)).to.include({ healthyAtEnd: true });
    expect(saved(world).at(-1)?.healthyMs).to.be.within(59_000, 60_000);
  });

  it('writes at once that an incident took it away', () => {
    const world = dryRun();
    world.pass(15_000);
    world.want('reconciliation', 'foreign-order', '77');
    world.pass(100);
    expect(saved(world).at(-1)).to.include({ healthyMs: 0, healthyAtEnd: false });
    expect(world.logged('readiness-lost')).to.have.length(1);
  });
});
