import { expect } from 'chai';
import fc from 'fast-check';
import { CAUSES } from '#src/domain/breaker.js';
import { type ControlState, HOLD_CAUSES, type Hold, type HoldCause, holdKey } from '#src/domain/safety.js';
import { type SafetyFacts, tradingControl } from '#src/domain/trading-state.js';
import { runs } from '../runs.js';

const hold = (cause: HoldCause, subject = ''): Hold => ({
  key: holdKey(cause, subject),
  cause,
  subject,
  detail: 'why',
  placedAtMs: 1,
});

const LIVE: SafetyFacts = {
  mode: 'live',
  safeMode: false,
  killSwitch: false,
  dryRun: false,
  modeReasons: [],
  symbols: ['BTCTRY', 'ETHTRY'],
  holds: [],
  stopping: null,
};
const PAPER: SafetyFacts = { ...LIVE, mode: 'paper', modeReasons: ['VENUE is paper'] };
const DRY: SafetyFacts = { ...LIVE, mode: 'dry-run', dryRun: true, modeReasons: ['DRY_RUN is true'] };

const control = (facts: Partial<SafetyFacts>, base = LIVE): ControlState =>
  tradingControl({ ...base, ...facts }, 7);
const permissions = ({ state, maySubmit, mayCancel, pull }: ControlState) => [
  state,
  maySubmit,
  mayCancel,
  pull,
];

describe('the trading state', () => {
  const table: readonly [
    words: string,
    facts: Partial<SafetyFacts>,
    base: SafetyFacts,
    expected: unknown[],
  ][] = [
    ['armed live with nothing held', {}, LIVE, ['live', true, true, 'none']],
    [
      'live with anything missing',
      { modeReasons: ['MAX_DAILY_LOSS_TRY is not set'] },
      LIVE,
      ['observe-only', false, false, 'none'],
    ],
    [
      'live under SAFE_MODE',
      { safeMode: true, modeReasons: ['x'] },
      LIVE,
      ['observe-only', false, false, 'none'],
    ],
    [
      'live under KILL_SWITCH',
      { killSwitch: true, modeReasons: ['x'] },
      LIVE,
      ['killed', false, false, 'none'],
    ],
    [
      'SAFE_MODE and KILL_SWITCH',
      { safeMode: true, killSwitch: true, modeReasons: ['x'] },
      LIVE,
      ['observe-only', false, false, 'none'],
    ],
    ['a healthy dry run', {}, DRY, ['dry-run', true, true, 'none']],
    ['a dry run under KILL_SWITCH', { killSwitch: true }, DRY, ['killed', false, false, 'none']],
    ['a dry run under SAFE_MODE', { safeMode: true }, DRY, ['observe-only', false, false, 'none']],
    [
      'a dry run with stale data on everything',
      { holds: [hold('stale-data')] },
      DRY,
      ['dry-run', false, true, 'all'],
    ],
    [
      'a dry run in a 429 storm',
      { holds: [hold('rest-429', 'submit')] },
      DRY,
      ['dry-run', false, true, 'none'],
    ],
    ['paper', {}, PAPER, ['live', true, true, 'none']],
    ['paper with an explicit DRY_RUN', { dryRun: true }, PAPER, ['dry-run', false, false, 'none']],
    ['paper under SAFE_MODE', { safeMode: true }, PAPER, ['observe-only', false, false, 'none']],
    ['one symbol stale', { holds: [hold('stale-data', 'BTCTRY')] }, LIVE, ['live', true, true, ['BTCTRY']]],
    [
      'every symbol stale',
      { holds: [hold('stale-data', 'BTCTRY'), hold('book-untrusted', 'ETHTRY')] },
      LIVE,
      ['cancel-only', false, true, ['BTCTRY', 'ETHTRY']],
    ],
    [
      'a per-symbol cause on no symbol of ours',
      { holds: [hold('unknown-outcome', 'order-9')] },
      LIVE,
      ['cancel-only', false, true, 'all'],
    ],
    ['a 429 storm', { holds: [hold('rest-429', 'submit')] }, LIVE, ['paused', false, true, 'none']],
    [
      'a 429 storm with a reconnect storm',
      { holds: [hold('rest-429'), hold('ws-reconnect')] },
      LIVE,
      ['cancel-only', false, true, 'all'],
    ],
    ['a loss limit', { holds: [hold('loss-limit')] }, LIVE, ['cancel-only', false, true, 'all']],
    ['a foreign order', { holds: [hold('foreign-order', '77')] }, LIVE, ['cancel-only', false, true, 'none']],
    ['a latch by the operator', { holds: [hold('operator')] }, LIVE, ['observe-only', false, false, 'none']],
    [
      'a latch beside a pulling hold',
      { holds: [hold('operator'), hold('stale-data')] },
      LIVE,
      ['observe-only', false, false, 'none'],
    ],
    [
      'the kill switch beside a pulling hold',
      { killSwitch: true, modeReasons: ['x'], holds: [hold('stale-data')] },
      LIVE,
      ['killed', false, false, 'none'],
    ],
    [
      'a stop that leaves orders',
      { stopping: { reason: 'SIGTERM', openOrders: 'leave' } },
      LIVE,
      ['cancel-only', false, true, 'none'],
    ],
    [
      'a stop that cancels orders',
      { stopping: { reason: 'SIGTERM', openOrders: 'cancel' } },
      LIVE,
      ['cancel-only', false, true, 'all'],
    ],
    [
      'a stop that cancels orders, in safe mode',
      { safeMode: true, modeReasons: ['x'], stopping: { reason: 'SIGTERM', openOrders: 'cancel' } },
      LIVE,
      ['observe-only', false, false, 'none'],
    ],
  ];
  for (const [words, facts, base, expected] of table)
    it(`of ${words} is ${String(expected[0])}`, () => {
      expect(permissions(control(facts, base))).to.deep.equal(expected);
    });

  for (const cause of HOLD_CAUSES)
    it(`with a ${cause} hold on everything lets no order through, and cancels only where its row says`, () => {
      const { state, maySubmit, mayCancel } = control({ holds: [hold(cause)] });
      expect(maySubmit).to.equal(false);
      expect(state).to.equal(CAUSES[cause].level);
      expect(mayCancel).to.equal(CAUSES[cause].level !== 'observe-only');
    });

  it('says every reason: the mode, each hold, the stop', () => {
    const { reasons } = control({
      modeReasons: ['SAFE_MODE is true'],
      holds: [hold('auth')],
      stopping: { reason: 'SIGTERM', openOrders: 'leave' },
    });
    expect(reasons).to.deep.equal(['SAFE_MODE is true', 'hold auth: why', 'stopping: SIGTERM']);
  });

  const anyHold = fc
    .record({
      cause: fc.constantFrom(...HOLD_CAUSES),
      subject: fc.constantFrom('', 'BTCTRY', 'ETHTRY', 'other'),
    })
    .map(({ cause, subject }) => hold(cause, subject));
  const anyFacts: fc.Arbitrary<SafetyFacts> = fc.record({
    mode: fc.constantFrom('live' as const, 'paper' as const, 'dry-run' as const),
    safeMode: fc.boolean(),
    killSwitch: fc.boolean(),
    dryRun: fc.boolean(),
    modeReasons: fc.constantFrom<readonly string[]>([], ['something is missing']),
    symbols: fc.constantFrom<readonly string[]>(['BTCTRY'], ['BTCTRY', 'ETHTRY']),
    holds: fc.array(anyHold, { maxLength: 5 }),
    stopping: fc.constantFrom<SafetyFacts['stopping']>(
      null,
      { reason: 'x', openOrders: 'leave' },
      { reason: 'x', openOrders: 'cancel' },
    ),
  });

  it('never allows more with one more hold', () => {
    fc.assert(
      fc.property(anyFacts, anyHold, (facts, more) => {
        const before = tradingControl(facts, 1);
        const after = tradingControl({ ...facts, holds: [...facts.holds, more] }, 1);
        if (!before.maySubmit) expect(after.maySubmit).to.equal(false);
        if (!before.mayCancel) expect(after.mayCancel).to.equal(false);
        for (const symbol of before.blockedSymbols) expect(after.blockedSymbols).to.include(symbol);
      }),
      { numRuns: runs(1_000) },
    );
  });

  it('lets an order through only when nothing at all forbids it', () => {
    fc.assert(
      fc.property(anyFacts, facts => {
        const { maySubmit, mayCancel, pull, state } = tradingControl(facts, 1);
        if (maySubmit) {
          expect(facts.safeMode || facts.killSwitch || facts.stopping !== null).to.equal(false);
          expect(facts.mode === 'live' && facts.modeReasons.length > 0).to.equal(false);
          for (const each of facts.holds)
            expect(CAUSES[each.cause].perSymbol && facts.symbols.includes(each.subject)).to.equal(true);
        }
        if (facts.safeMode) expect(state).to.equal('observe-only');
        if (!mayCancel) expect(pull).to.equal('none');
      }),
      { numRuns: runs(1_000) },
    );
  });

  it('pulls and leaves resting orders exactly as the table of causes says, for every cause', () => {
    for (const cause of HOLD_CAUSES) {
      const { level, perSymbol, restingOrders } = CAUSES[cause];
      const pullOf = (subject: string): unknown => {
        const state = control({ holds: [hold(cause, subject)] });
        expect(state.mayCancel, cause).to.equal(level !== 'observe-only');
        return state.pull;
      };
      const pulls = restingOrders === 'pulled';
      expect(pullOf(''), cause).to.deep.equal(pulls ? 'all' : 'none');
      if (perSymbol) expect(pullOf('BTCTRY'), cause).to.deep.equal(pulls ? ['BTCTRY'] : 'none');
    }
  });
});
