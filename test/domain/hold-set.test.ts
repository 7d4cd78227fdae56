import { expect } from 'chai';
import fc from 'fast-check';
import { CAUSES, circuitValue, HOLD_LEVELS, MAX_TRIAL_MS } from '#src/domain/breaker.js';
import {
  circuitStates,
  clearHold,
  clearHoldsOf,
  emptyHolds,
  type HoldChange,
  hasHold,
  holdsOf,
  passTrials,
  placeHold,
  releaseHold,
  restoreHold,
} from '#src/domain/hold-set.js';
import { HOLD_CAUSES, type HoldCause, holdKey } from '#src/domain/safety.js';
import type { ActorName } from '#src/domain/step.js';
import { runs } from '../runs.js';

const place = (
  set: ReturnType<typeof emptyHolds>,
  cause: HoldCause,
  subject = '',
  by: ActorName = 'execution',
) => placeHold(set, cause, subject, 'why', by, 1_000);

describe('the table of causes', () => {
  it('has a row for every cause, and only for those', () => {
    expect(Object.keys(CAUSES).sort()).to.deep.equal([...HOLD_CAUSES].sort());
  });

  it('lets only the six causes of the design half-open by themselves', () => {
    const probed = HOLD_CAUSES.filter(cause => CAUSES[cause].releasedBy === 'probe');
    expect(probed).to.have.members([
      'rest-429',
      'ws-reconnect',
      'stale-data',
      'book-untrusted',
      'reconcile-lag',
      'clock-skew',
    ]);
    for (const cause of HOLD_CAUSES)
      expect(CAUSES[cause].trialMs > 0, cause).to.equal(probed.includes(cause));
  });

  it('puts the causes of the design on observe-only', () => {
    const closed = HOLD_CAUSES.filter(cause => CAUSES[cause].level === 'observe-only');
    expect(closed).to.have.members([
      'starting',
      'operator',
      'invariant',
      'auth',
      'ledger',
      'restart-storm',
      'lease',
    ]);
  });

  it('pulls resting orders where they rest on what is not known, and nothing where cancelling is not allowed', () => {
    const pulled = HOLD_CAUSES.filter(cause => CAUSES[cause].restingOrders === 'pulled');
    expect(pulled).to.have.members([
      'ws-reconnect',
      'stale-data',
      'book-untrusted',
      'reconcile-lag',
      'unknown-outcome',
      'reject-storm',
      'repeat-execution',
      'loss-limit',
    ]);
    for (const cause of HOLD_CAUSES) {
      const { level, restingOrders } = CAUSES[cause];
      if (!pulled.includes(cause)) expect(restingOrders, cause).to.equal('left');
      if (level === 'observe-only') expect(pulled, cause).not.to.include(cause);
    }
  });

  it('keeps across restarts exactly what only an operator may release', () => {
    for (const cause of HOLD_CAUSES)
      expect(CAUSES[cause].survivesRestart, cause).to.equal(CAUSES[cause].releasedBy === 'operator');
  });

  it('says something in every cell', () => {
    for (const cause of HOLD_CAUSES) {
      const rule = CAUSES[cause];
      expect(HOLD_LEVELS).to.include(rule.level);
      for (const words of [rule.detector, rule.threshold, rule.action])
        expect(words.length).to.be.greaterThan(3);
    }
  });
});

/** One key's life: absent, open, on trial. Every state and event, per release rule. */
describe('a hold', () => {
  type State = 'absent' | 'open' | 'trial';
  type Event = 'wanted' | 'cleared' | 'operator' | 'supervisor' | 'trial passed';
  const EXAMPLES = {
    probe: 'stale-data',
    evidence: 'ledger',
    operator: 'loss-limit',
    supervisor: 'worker-down',
  } as const satisfies Record<string, HoldCause>;
  const STATES: Readonly<Record<keyof typeof EXAMPLES, readonly State[]>> = {
    probe: ['absent', 'open', 'trial'],
    evidence: ['absent', 'open'],
    operator: ['absent', 'open'],
    supervisor: ['absent', 'open'],
  };
  const EVENTS: readonly Event[] = ['wanted', 'cleared', 'operator', 'supervisor', 'trial passed'];
  /** What becomes of it; anything not listed changes nothing. */
  const EXPECTED: Readonly<Record<string, readonly [HoldChange['type'], State]>> = {
    'probe absent wanted': ['placed', 'open'],
    'probe open cleared': ['trial-started', 'trial'],
    'probe open operator': ['refused', 'open'],
    'probe open supervisor': ['refused', 'open'],
    'probe trial wanted': ['relapsed', 'open'],
    'probe trial operator': ['refused', 'trial'],
    'probe trial supervisor': ['refused', 'trial'],
    'probe trial trial passed': ['released', 'absent'],
    'evidence absent wanted': ['placed', 'open'],
    'evidence open cleared': ['released', 'absent'],
    'evidence open operator': ['refused', 'open'],
    'evidence open supervisor': ['refused', 'open'],
    'operator absent wanted': ['placed', 'open'],
    'operator open cleared': ['refused', 'open'],
    'operator open operator': ['released', 'absent'],
    'operator open supervisor': ['refused', 'open'],
    'supervisor absent wanted': ['placed', 'open'],
    'supervisor open cleared': ['refused', 'open'],
    'supervisor open operator': ['refused', 'open'],
    'supervisor open supervisor': ['released', 'absent'],
  };

  for (const [rule, cause] of Object.entries(EXAMPLES) as [keyof typeof EXAMPLES, HoldCause][])
    for (const state of STATES[rule])
      for (const event of EVENTS) {
        const expected = EXPECTED[`${rule} ${state} ${event}`];
        const words = expected === undefined ? 'changes nothing' : `is ${expected[0]}`;
        it(`of rule ${rule}, ${state}, ${words} when ${event}`, () => {
          const set = emptyHolds();
          if (state !== 'absent') place(set, cause);
          if (state === 'trial') clearHold(set, cause, '', 0);
          const change: HoldChange =
            event === 'wanted'
              ? place(set, cause)
              : event === 'cleared'
                ? clearHold(set, cause, '', 0)
                : event === 'trial passed'
                  ? (passTrials(set, 1_000_000)[0] ?? { type: 'unchanged' })
                  : releaseHold(set, holdKey(cause, ''), event);
          const after: State = !hasHold(set, cause)
            ? 'absent'
            : circuitStates(set).get(cause) === 'half-open'
              ? 'trial'
              : 'open';
          expect([change.type, after]).to.deep.equal(expected ?? ['unchanged', state]);
        });
      }

  it('keeps its first time and takes the newest words', () => {
    const set = emptyHolds();
    placeHold(set, 'rest-429', 'submit', 'for 60 s', 'execution', 1_000);
    placeHold(set, 'rest-429', 'submit', 'for 120 s', 'execution', 2_000);
    expect(holdsOf(set)).to.deep.equal([
      {
        key: 'rest-429:submit',
        cause: 'rest-429',
        subject: 'submit',
        detail: 'for 120 s',
        placedAtMs: 1_000,
      },
    ]);
  });

  it('is on trial twice as long after each relapse, up to a limit', () => {
    const set = emptyHolds();
    place(set, 'stale-data', 'BTCTRY');
    const lengths: number[] = [];
    for (let round = 0; round < 8; round++) {
      const change = clearHold(set, 'stale-data', 'BTCTRY', 0);
      if (change.type === 'trial-started') lengths.push(change.untilMonoMs);
      place(set, 'stale-data', 'BTCTRY');
    }
    expect(lengths).to.deep.equal([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, MAX_TRIAL_MS]);
  });

  it('ends at the last moment of its trial, and not before', () => {
    const set = emptyHolds();
    place(set, 'stale-data', 'BTCTRY');
    place(set, 'stale-data', 'ETHTRY');
    clearHold(set, 'stale-data', 'BTCTRY', 10_000);
    expect(passTrials(set, 11_999)).to.deep.equal([]);
    expect(passTrials(set, 12_000).map(change => change.type)).to.deep.equal(['released']);
    expect(holdsOf(set).map(({ key }) => key)).to.deep.equal(['stale-data:ETHTRY']);
  });

  it('says who may end it to whoever may not', () => {
    const set = emptyHolds();
    for (const cause of ['loss-limit', 'worker-down', 'ledger'] as const) place(set, cause);
    const why = (change: HoldChange): string => (change.type === 'refused' ? change.why : change.type);
    expect(why(clearHold(set, 'loss-limit', '', 0))).to.equal('only an operator may release it');
    expect(why(clearHold(set, 'worker-down', '', 0))).to.equal('only the supervisor releases it');
    expect(why(releaseHold(set, 'ledger', 'operator'))).to.equal('the operator may not release it');
    expect(why(releaseHold(set, 'loss-limit', 'supervisor'))).to.equal('the supervisor may not release it');
  });

  it('comes back as it was', () => {
    const set = emptyHolds();
    const hold = {
      key: 'operator',
      cause: 'operator',
      subject: '',
      detail: 'SIGUSR2',
      placedAtMs: 5,
    } as const;
    expect(restoreHold(set, hold).type).to.equal('placed');
    expect(restoreHold(set, hold).type).to.equal('unchanged');
    expect(holdsOf(set)).to.deep.equal([hold]);
  });

  it('ends with its detector when that was replaced, unless it needs an operator', () => {
    const set = emptyHolds();
    place(set, 'unknown-outcome', 'BTCTRY', 'execution');
    place(set, 'stale-data', 'BTCTRY', 'execution');
    place(set, 'stale-data', 'ETHTRY', 'market-data');
    place(set, 'loss-limit', '', 'execution');
    place(set, 'starting', '', 'execution');
    const changes = clearHoldsOf(set, 'execution', 0);
    expect(changes.map(change => change.type)).to.deep.equal(['released', 'trial-started']);
    expect(holdsOf(set).map(hold => hold.key)).to.deep.equal([
      'stale-data:BTCTRY',
      'stale-data:ETHTRY',
      'loss-limit',
      'starting',
    ]);
  });

  it('shows its circuit: closed, open, half-open, latched', () => {
    const set = emptyHolds();
    place(set, 'stale-data', 'BTCTRY');
    place(set, 'stale-data', 'ETHTRY');
    place(set, 'loss-limit');
    clearHold(set, 'stale-data', 'BTCTRY', 0);
    const states = circuitStates(set);
    expect(states.get('stale-data')).to.equal('open');
    clearHold(set, 'stale-data', 'ETHTRY', 0);
    expect(circuitStates(set).get('stale-data')).to.equal('half-open');
    place(set, 'stale-data', 'BTCTRY');
    expect(circuitStates(set).get('stale-data'), 'whichever is open').to.equal('open');
    expect(states.get('loss-limit')).to.equal('latched');
    expect(states.get('ledger')).to.equal('closed');
    expect(
      ['closed', 'half-open', 'open', 'latched'].map(state => circuitValue(state as never)),
    ).to.deep.equal([0, 1, 2, 3]);
  });
});

describe('a set of holds', () => {
  it('never loses a hold through an event of another key', () => {
    const key = fc.record({
      cause: fc.constantFrom(...HOLD_CAUSES),
      subject: fc.constantFrom('', 'BTCTRY', 'ETHTRY'),
    });
    const event = fc.record({
      key,
      type: fc.constantFrom('want' as const, 'clear' as const, 'operator' as const, 'supervisor' as const),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), events => {
        const set = emptyHolds();
        for (const { key: at, type } of events) {
          const before = new Set(set.open.keys());
          const name = holdKey(at.cause, at.subject);
          if (type === 'want') placeHold(set, at.cause, at.subject, 'why', 'execution', 0);
          else if (type === 'clear') clearHold(set, at.cause, at.subject, 0);
          else releaseHold(set, name, type);
          for (const other of before) if (other !== name) expect(set.open.has(other)).to.equal(true);
        }
      }),
      { numRuns: runs(1_000) },
    );
  });
});
